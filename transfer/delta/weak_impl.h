/* The body of one variant. The includer defines VARIANT (the exported symbol), VARIANT_NAME,
 * LANES (of 16 bits in a vector) and MULTIPLY(a, b) (the instruction that multiplies 16-bit lanes
 * and adds pairs of products to 32 bits), and is compiled with flags for that instruction set.
 *
 * A coefficient of 64 bits is four signed digits of 16. Each digit's products with the bytes of a
 * group are added up on their own: a lane gets at most 64 pairs of products below 2^24, so 32 bits
 * hold them. Then the four sums are put together. */
#include <immintrin.h>
#include <string.h>

#include "transfer/delta/weak.h"
#include "transfer/delta/weak_simd.h"

typedef uint8_t variant_bytes __attribute__((vector_size(LANES), aligned(1), may_alias));
typedef int16_t variant_words __attribute__((vector_size(LANES * 2)));
typedef int32_t variant_pairs __attribute__((vector_size(LANES * 2)));
typedef int64_t variant_wides __attribute__((vector_size(LANES * 4)));
typedef uint64_t variant_sums __attribute__((vector_size(LANES * 4)));

_Static_assert(HSR_WEAK_GROUP / LANES <= 64, "32 bits hold a lane's products");

static uint64_t group_sum(const uint8_t *bytes)
{
    variant_pairs sums[HSR_WEAK_DIGITS] = { 0 };
    variant_sums totals = { 0 };
    uint64_t sum = 0;

    for (unsigned i = 0; i < HSR_WEAK_GROUP; i += LANES) {
        variant_words words =
            __builtin_convertvector(*(const variant_bytes *)(bytes + i), variant_words);

        for (unsigned digit = 0; digit < HSR_WEAK_DIGITS; digit++) {
            variant_words digits;

            memcpy(&digits, &hsr_weak_digits[digit][i], sizeof(digits));
            sums[digit] += (variant_pairs)MULTIPLY(words, digits);
        }
    }
    for (unsigned digit = 0; digit < HSR_WEAK_DIGITS; digit++)
        totals += (variant_sums) __builtin_convertvector(sums[digit], variant_wides) << 16 * digit;
    for (unsigned i = 0; i < LANES / 2; i++)
        sum += totals[i];
    return sum;
}

static uint64_t variant_groups(const uint8_t *bytes, size_t count)
{
    uint64_t power = HSR_WEAK_MULTIPLIER, state = 0;

    for (unsigned i = 1; i < HSR_WEAK_GROUP; i *= 2)
        power *= power;
    for (; count > 0; count--, bytes += HSR_WEAK_GROUP)
        state = state * power + group_sum(bytes);
    return state;
}

const struct hsr_weak_variant VARIANT = { .name = VARIANT_NAME, .groups = variant_groups };
