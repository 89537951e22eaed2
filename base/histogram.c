/* Log-linear histograms; see histogram.h. */
#include "base/histogram.h"

#include "base/assert.h"
#include "base/util.h"

#define PPM_ALL 1000000u

static uint64_t bucket_highest(unsigned bucket);
static uint64_t sum_saturated(uint64_t a, uint64_t b);

void hsr_histogram_add(struct hsr_histogram *histogram, uint64_t value)
{
    unsigned bucket = hsr_histogram_bucket(value);

    hsr_assert_hot(bucket < HSR_HISTOGRAM_BUCKETS);
    if (histogram->count == 0 || value < histogram->least)
        histogram->least = value;
    if (value > histogram->greatest)
        histogram->greatest = value;
    histogram->buckets[bucket]++;
    histogram->count++;
    histogram->sum = sum_saturated(histogram->sum, value);
}

void hsr_histogram_merge(struct hsr_histogram *into, const struct hsr_histogram *from)
{
    hsr_assert(into != from);
    if (from->count == 0)
        return;
    into->least = into->count == 0 ? from->least : HSR_MIN(into->least, from->least);
    into->greatest = HSR_MAX(into->greatest, from->greatest);
    into->count += from->count;
    into->sum = sum_saturated(into->sum, from->sum);
    for (unsigned i = 0; i < HSR_HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

uint64_t hsr_histogram_quantile(const struct hsr_histogram *histogram, uint32_t ppm)
{
    uint64_t rank, seen = 0;

    hsr_assert(ppm <= PPM_ALL);
    if (histogram->count == 0 || ppm == 0)
        return histogram->least;
    /* The exact quantile is the rank-th smallest value, counted from 1. In 128 bits: a product of
     * any count and a million. */
    rank = (uint64_t)(((unsigned __int128)histogram->count * ppm + PPM_ALL - 1) / PPM_ALL);
    hsr_assert(rank >= 1 && rank <= histogram->count);
    if (rank == histogram->count)
        return histogram->greatest;
    for (unsigned i = 0; i < HSR_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank)
            return HSR_MIN(bucket_highest(i), histogram->greatest);
    }
    hsr_unreachable("a histogram whose buckets do not add up to its count");
}

uint64_t hsr_histogram_mean(const struct hsr_histogram *histogram)
{
    return histogram->count == 0 ? 0 : histogram->sum / histogram->count;
}

static uint64_t bucket_highest(unsigned bucket)
{
    unsigned octave;

    if (bucket == HSR_HISTOGRAM_BUCKETS - 1)
        return UINT64_MAX;
    if (bucket < 2u << HSR_HISTOGRAM_BITS)
        return bucket;
    octave = (bucket >> HSR_HISTOGRAM_BITS) - 1;
    return ((bucket - ((uint64_t)octave << HSR_HISTOGRAM_BITS) + 1) << octave) - 1;
}

static uint64_t sum_saturated(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}
