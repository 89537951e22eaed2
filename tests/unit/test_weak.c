/* The rolling sum: by definition, by instruction set, rolled, and how well it tells apart. */
#include "base/base.h"
#include "tests/unit/hsr_test.h"
#include "transfer/delta/weak.h"
#include "transfer/delta/weak_simd.h"

#define SIZE 70000u

static uint8_t bytes[SIZE];

static void bytes_fill(uint64_t seed)
{
    struct hsr_prng prng = hsr_prng_init(seed);

    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(hsr_prng_next(&prng) >> 32);
}

/* c[0] * M^n + ... + c[n-1] * M, term by term. */
static uint64_t defined(const uint8_t *at, size_t size)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += at[i] * hsr_weak_power((uint32_t)(size - i));
    return sum;
}

static void test_weak_power_is_repeated_multiplication(void)
{
    uint64_t power = 1;

    for (uint32_t i = 0; i < 3000; i++, power *= HSR_WEAK_MULTIPLIER)
        CHECK(hsr_weak_power(i) == power);
    CHECK(HSR_WEAK_MULTIPLIER % 2 == 1); /* else powers end in zeros */
}

static void test_weak_digits_make_up_the_coefficients(void)
{
    for (uint32_t i = 0; i < HSR_WEAK_GROUP; i++) {
        uint64_t sum = 0;

        for (unsigned digit = 0; digit < HSR_WEAK_DIGITS; digit++)
            sum += (uint64_t)(int64_t)hsr_weak_digits[digit][i] << 16 * digit;
        CHECK(sum == hsr_weak_power(HSR_WEAK_GROUP - i));
    }
}

static void test_weak_block_is_as_defined(void)
{
    bytes_fill(1);
    for (size_t size = 0; size < 2100; size += 1 + size / 64)
        CHECK(hsr_weak_block(bytes + size % 7, size) == defined(bytes + size % 7, size));
}

static void test_weak_variants_agree(void)
{
    const struct hsr_weak_variant *variants[HSR_WEAK_VARIANTS_MAX];
    size_t count = hsr_weak_variants(variants);

    CHECK(count >= 1);
    for (unsigned fill = 0; fill < 3; fill++) {
        bytes_fill(fill);
        if (fill == 1)
            memset(bytes, 0xff, SIZE); /* the largest sums that lanes must hold */
        if (fill == 2)
            memset(bytes, 0, SIZE);
        for (size_t groups = 0; groups < 20; groups++)
            for (size_t i = 0; i < count; i++)
                CHECK(variants[i]->groups(bytes + fill, groups) ==
                      hsr_weak_scalar.groups(bytes + fill, groups));
    }
    CHECK(hsr_weak_block(bytes, SIZE) == 0); /* zeros are 0, whatever their number */
}

static void test_weak_rolled_is_the_block(void)
{
    static const uint32_t windows[] = { 1, 512, 1000, 4096, 65536 };

    bytes_fill(3);
    for (size_t w = 0; w < HSR_ARRAY_COUNT(windows); w++) {
        uint64_t power = hsr_weak_power(windows[w]);
        uint64_t state = hsr_weak_block(bytes, windows[w]);

        for (uint32_t i = 0; i < 2000; i++) {
            state = hsr_weak_roll(power, state, bytes[i], bytes[i + windows[w]]);
            CHECK(state == hsr_weak_block(bytes + i + 1, windows[w]));
        }
    }
}

static int sum_compare(const void *a, const void *b)
{
    uint32_t left, right;

    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return left < right ? -1 : left > right;
}

/* Goal: blocks that differ in little, or hold the same bytes in another order, have different sums.
 * Method: 20,000 near relatives of one block; of so many random sums 0.05 pairs would be equal. */
static void test_weak_tells_relatives_apart(void)
{
    static uint32_t sums[20000];
    uint8_t block[1024];
    uint32_t count = 0, equal = 0;

    for (uint32_t i = 0; i < sizeof(block); i++)
        block[i] = (uint8_t)(i % 64 < 32 ? i % 3 : 0);
    for (uint32_t i = 0; i < 1024 && count < 10000; i++) /* one byte changed by little */
        for (uint8_t by = 1; by < 10 && count < 10000; by++, count++) {
            block[i] = (uint8_t)(block[i] + by);
            sums[count] = hsr_weak_sum(hsr_weak_block(block, sizeof(block)));
            block[i] = (uint8_t)(block[i] - by);
        }
    for (uint32_t i = 0; count < HSR_ARRAY_COUNT(sums); i++, count++) { /* one moved about */
        uint32_t from = i % 101 * 10, to = i / 101 % 1014;

        block[from] = (uint8_t)(block[from] + 77);
        block[to] = (uint8_t)(block[to] + 11);
        sums[count] = hsr_weak_sum(hsr_weak_block(block, sizeof(block)));
        block[from] = (uint8_t)(block[from] - 77);
        block[to] = (uint8_t)(block[to] - 11);
    }
    qsort(sums, count, sizeof(sums[0]), sum_compare);
    for (uint32_t i = 1; i < count; i++)
        equal += sums[i] == sums[i - 1];
    CHECK(equal <= 2);
}

int main(void)
{
    RUN(test_weak_power_is_repeated_multiplication);
    RUN(test_weak_digits_make_up_the_coefficients);
    RUN(test_weak_block_is_as_defined);
    RUN(test_weak_variants_agree);
    RUN(test_weak_rolled_is_the_block);
    RUN(test_weak_tells_relatives_apart);
    TEST_END();
}
