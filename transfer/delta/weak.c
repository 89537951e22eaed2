/* The rolling sum of whole blocks, and the choice of instruction set. */
#include "transfer/delta/weak.h"

#include <stdatomic.h>

#include "base/assert.h"
#include "transfer/delta/weak_simd.h"

/* M^(2^k) modulo 2^64, as the compiler cannot square for a table; the test does it again. */
#define M_1 HSR_WEAK_MULTIPLIER
#define M_2 0x9817387b01c57fb1ull
#define M_4 0x3d774773281b1861ull
#define M_8 0xfa542fa276c854c1ull
#define M_16 0xae6f6d2a759f3981ull
#define M_32 0x9f1fa5ec6528b301ull
#define M_64 0xba00778f377a6601ull
#define M_128 0x4598b577cf98cc01ull
#define M_256 0x840f880a81c19801ull
#define M_512 0xee839dab8dc33001ull

#define FACTOR(k, bit) (((k)&bit) != 0 ? M_##bit : 1)
#define POWER(k)                                                                                   \
    (FACTOR(k, 1) * FACTOR(k, 2) * FACTOR(k, 4) * FACTOR(k, 8) * FACTOR(k, 16) * FACTOR(k, 32) *   \
     FACTOR(k, 64) * FACTOR(k, 128) * FACTOR(k, 256) * FACTOR(k, 512))

/* What makes digits signed: each of the lower three lends the next one what it is below. */
#define HALVES 0x800080008000ull
#define DIGIT(k, d) (int16_t)(uint16_t)(((POWER(k) + HALVES) >> 16 * (d)) - ((d) < 3 ? 0x8000u : 0))

#define DIGITS_4(k, d) DIGIT(k, d), DIGIT((k)-1, d), DIGIT((k)-2, d), DIGIT((k)-3, d)
#define DIGITS_16(k, d) DIGITS_4(k, d), DIGITS_4((k)-4, d), DIGITS_4((k)-8, d), DIGITS_4((k)-12, d)
#define DIGITS_64(k, d)                                                                            \
    DIGITS_16(k, d), DIGITS_16((k)-16, d), DIGITS_16((k)-32, d), DIGITS_16((k)-48, d)
#define DIGITS_256(k, d)                                                                           \
    DIGITS_64(k, d), DIGITS_64((k)-64, d), DIGITS_64((k)-128, d), DIGITS_64((k)-192, d)
#define DIGITS_512(d) DIGITS_256(512, d), DIGITS_256(256, d)

const int16_t hsr_weak_digits[HSR_WEAK_DIGITS][HSR_WEAK_GROUP] __attribute__((aligned(64))) = {
    { DIGITS_512(0) },
    { DIGITS_512(1) },
    { DIGITS_512(2) },
    { DIGITS_512(3) },
};

static uint64_t scalar_bytes(const uint8_t *bytes, size_t size, uint64_t state)
{
    for (size_t i = 0; i < size; i++)
        state = (state + bytes[i]) * HSR_WEAK_MULTIPLIER;
    return state;
}

static uint64_t scalar_groups(const uint8_t *bytes, size_t count)
{
    return scalar_bytes(bytes, count * HSR_WEAK_GROUP, 0);
}

const struct hsr_weak_variant hsr_weak_scalar = { .name = "scalar", .groups = scalar_groups };

size_t hsr_weak_variants(const struct hsr_weak_variant *ret_variants[HSR_WEAK_VARIANTS_MAX])
{
    size_t count = 0;

#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bw"))
        ret_variants[count++] = &hsr_weak_avx512;
    if (__builtin_cpu_supports("avx2"))
        ret_variants[count++] = &hsr_weak_avx2;
    ret_variants[count++] = &hsr_weak_sse2;
#endif
    ret_variants[count++] = &hsr_weak_scalar;
    hsr_assert(count <= HSR_WEAK_VARIANTS_MAX);
    return count;
}

/* Chosen at the first call. Two threads may both choose: they choose the same. */
static const struct hsr_weak_variant *variant_get(void)
{
    static _Atomic(const struct hsr_weak_variant *) chosen;
    const struct hsr_weak_variant *variant = atomic_load_explicit(&chosen, memory_order_relaxed);

    if (__builtin_expect(variant == NULL, 0)) {
        const struct hsr_weak_variant *variants[HSR_WEAK_VARIANTS_MAX];

        hsr_weak_variants(variants);
        variant = variants[0];
        atomic_store_explicit(&chosen, variant, memory_order_relaxed);
    }
    return variant;
}

uint64_t hsr_weak_block(const void *bytes, size_t size)
{
    size_t groups = size / HSR_WEAK_GROUP;
    uint64_t state = variant_get()->groups(bytes, groups);

    return scalar_bytes((const uint8_t *)bytes + groups * HSR_WEAK_GROUP,
                        size - groups * HSR_WEAK_GROUP, state);
}

uint64_t hsr_weak_power(uint32_t exponent)
{
    uint64_t power = 1, base = HSR_WEAK_MULTIPLIER;

    for (; exponent > 0; exponent /= 2, base *= base)
        if (exponent & 1)
            power *= base;
    return power;
}
