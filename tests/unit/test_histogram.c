/* Goal: quantiles are never below the exact ones and at most 1/64 above, two histograms add up to
 * one, and nothing overflows.
 * Method: the same values sorted; every bucket's edges; the ends of the range. */
#include "hsr_test.h"

#include <stdbool.h>

#include "base/histogram.h"
#include "base/prng.h"
#include "base/util.h"

#define VALUES 20000u

static const uint32_t quantiles[] = { 0,      1,      10000,  250000, 500000,
                                      900000, 990000, 999000, 999900, 1000000 };

static uint64_t values[VALUES];
static struct hsr_histogram histogram, other; /* large for a stack */

static int value_compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

/* The smallest value that at least @ppm millionths of the sorted values do not exceed. */
static uint64_t exact_quantile(size_t count, uint32_t ppm)
{
    size_t rank = (count * ppm + 999999) / 1000000;

    return values[rank == 0 ? 0 : rank - 1];
}

/* Sorts the first @count values and compares every quantile. */
static void check_quantiles(size_t count)
{
    qsort(values, count, sizeof(values[0]), value_compare);
    for (size_t i = 0; i < HSR_ARRAY_COUNT(quantiles); i++) {
        uint64_t exact = exact_quantile(count, quantiles[i]);
        uint64_t said = hsr_histogram_quantile(&histogram, quantiles[i]);

        CHECK(said >= exact);
        CHECK(said - exact <= exact / 64);
    }
    CHECK(hsr_histogram_quantile(&histogram, 0) == values[0]);
    CHECK(hsr_histogram_quantile(&histogram, 1000000) == values[count - 1]);
    CHECK(histogram.least == values[0]);
    CHECK(histogram.greatest == values[count - 1]);
}

/* Values of every size from one bit to @bits, as often each. */
static uint64_t value_any_size(struct hsr_prng *prng, unsigned bits)
{
    return hsr_prng_next(prng) >> (63u - hsr_prng_below(prng, bits));
}

static void test_quantiles_are_the_exact_ones_or_a_64th_above(void)
{
    struct hsr_prng prng = hsr_prng_init(7);

    for (unsigned round = 0; round < 40; round++) {
        size_t count = 1 + (size_t)hsr_prng_below(&prng, round < 20 ? 100 : VALUES);
        uint64_t sum = 0;

        memset(&histogram, 0, sizeof(histogram));
        for (size_t i = 0; i < count; i++) {
            values[i] = value_any_size(&prng, HSR_HISTOGRAM_TOP);
            sum += values[i];
            hsr_histogram_add(&histogram, values[i]);
        }
        CHECK_EQ(histogram.count, count);
        CHECK(histogram.sum == sum);
        CHECK(hsr_histogram_mean(&histogram) == sum / count);
        check_quantiles(count);
    }
}

static void test_small_values_are_exact(void)
{
    memset(&histogram, 0, sizeof(histogram));
    for (uint64_t i = 0; i < 128; i++)
        hsr_histogram_add(&histogram, i);
    for (uint32_t i = 1; i <= 128; i++)
        CHECK_EQ(hsr_histogram_quantile(&histogram, i * 1000000u / 128u), i - 1);
}

static void test_buckets_follow_one_another(void)
{
    unsigned bucket = 0;

    CHECK_EQ(hsr_histogram_bucket(0), 0);
    for (unsigned bits = 0; bits < HSR_HISTOGRAM_TOP; bits++) {
        uint64_t step = bits > HSR_HISTOGRAM_BITS ? UINT64_C(1) << (bits - HSR_HISTOGRAM_BITS) : 1;

        for (uint64_t value = UINT64_C(1) << bits; value < UINT64_C(2) << bits; value += step) {
            bucket++;
            CHECK_EQ(hsr_histogram_bucket(value - 1), bucket - 1);
            CHECK_EQ(hsr_histogram_bucket(value), bucket);
        }
    }
    CHECK_EQ(bucket, HSR_HISTOGRAM_BUCKETS - 1);
    CHECK_EQ(hsr_histogram_bucket(HSR_HISTOGRAM_MAX), HSR_HISTOGRAM_BUCKETS - 1);
}

static void test_merged_is_as_if_one_had_seen_all(void)
{
    static struct hsr_histogram all;
    struct hsr_prng prng = hsr_prng_init(8);

    memset(&histogram, 0, sizeof(histogram));
    memset(&other, 0, sizeof(other));
    for (unsigned i = 0; i < 5000; i++) {
        uint64_t value = value_any_size(&prng, 64);

        hsr_histogram_add(i % 3 == 0 ? &histogram : &other, value);
        hsr_histogram_add(&all, value);
    }
    hsr_histogram_merge(&histogram, &other);
    CHECK(memcmp(&histogram, &all, sizeof(all)) == 0);
}

static void test_an_empty_one_says_zero_and_merges_as_nothing(void)
{
    static const struct hsr_histogram empty;

    memset(&histogram, 0, sizeof(histogram));
    memset(&other, 0, sizeof(other));
    CHECK_EQ(hsr_histogram_quantile(&histogram, 0), 0);
    CHECK_EQ(hsr_histogram_quantile(&histogram, 1000000), 0);
    CHECK_EQ(hsr_histogram_mean(&histogram), 0);
    hsr_histogram_merge(&histogram, &other);
    CHECK(memcmp(&histogram, &empty, sizeof(empty)) == 0);
    hsr_histogram_add(&other, 1000);
    hsr_histogram_merge(&histogram, &other); /* into an empty one: its zero is no least value */
    CHECK_EQ(histogram.least, 1000);
    memset(&other, 0, sizeof(other));
    hsr_histogram_merge(&histogram, &other);
    CHECK_EQ(histogram.least, 1000);
    CHECK_EQ(histogram.count, 1);
}

static void test_beyond_the_range_only_the_bucket_is_coarse(void)
{
    memset(&histogram, 0, sizeof(histogram));
    hsr_histogram_add(&histogram, 5);
    hsr_histogram_add(&histogram, HSR_HISTOGRAM_MAX + 1);
    hsr_histogram_add(&histogram, UINT64_MAX - 1);
    CHECK_EQ(histogram.buckets[HSR_HISTOGRAM_BUCKETS - 1], 2);
    CHECK_EQ(hsr_histogram_quantile(&histogram, 300000), 5);
    CHECK(hsr_histogram_quantile(&histogram, 500000) == UINT64_MAX - 1); /* not below the exact */
    CHECK(histogram.greatest == UINT64_MAX - 1);
    CHECK(histogram.sum == UINT64_MAX); /* saturated */
    hsr_histogram_add(&histogram, UINT64_MAX);
    CHECK(histogram.sum == UINT64_MAX);
    CHECK_EQ(histogram.count, 4);
}

/* A count beyond what a 64-bit product with a million holds. */
static void test_a_huge_count_has_quantiles(void)
{
    memset(&histogram, 0, sizeof(histogram));
    hsr_histogram_add(&histogram, 10);
    hsr_histogram_add(&histogram, 20);
    histogram.buckets[10] = UINT64_C(1) << 62;
    histogram.buckets[20] = UINT64_C(1) << 62;
    histogram.count = UINT64_C(1) << 63;
    CHECK_EQ(hsr_histogram_quantile(&histogram, 500000), 10);
    CHECK_EQ(hsr_histogram_quantile(&histogram, 500001), 20);
}

int main(void)
{
    RUN(test_quantiles_are_the_exact_ones_or_a_64th_above);
    RUN(test_small_values_are_exact);
    RUN(test_buckets_follow_one_another);
    RUN(test_merged_is_as_if_one_had_seen_all);
    RUN(test_an_empty_one_says_zero_and_merges_as_nothing);
    RUN(test_beyond_the_range_only_the_bucket_is_coarse);
    RUN(test_a_huge_count_has_quantiles);
    TEST_END();
}
