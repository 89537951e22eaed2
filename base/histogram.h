/* Counts values in buckets whose width grows with the value, so that any quantile can be asked for
 * afterwards with a known relative error, whatever the range. Fixed size, no allocation; two of
 * them add up to the one that had seen both streams of values. One thread at a time.
 *
 * Values below 2^(BITS + 1) have a bucket each; above, each power of two is cut into 2^BITS equal
 * buckets. So a bucket's highest value is at most 1/64 (1.6 %) above its lowest one. What is larger
 * than HSR_HISTOGRAM_MAX shares the last bucket; count, sum, least and greatest stay exact. */
#ifndef HSR_BASE_HISTOGRAM_H
#define HSR_BASE_HISTOGRAM_H

#include <stdint.h>

#define HSR_HISTOGRAM_BITS 6u
#define HSR_HISTOGRAM_TOP 42u /* in nanoseconds 2^42 is 73 minutes: no operation lasts longer */
#define HSR_HISTOGRAM_MAX ((UINT64_C(1) << HSR_HISTOGRAM_TOP) - 1)
#define HSR_HISTOGRAM_BUCKETS ((HSR_HISTOGRAM_TOP - HSR_HISTOGRAM_BITS + 1) << HSR_HISTOGRAM_BITS)

/** All zeros is an empty one. */
struct hsr_histogram {
    uint64_t count;
    uint64_t sum; /* stays at UINT64_MAX once it would be more */
    uint64_t least, greatest; /* exact; 0 while it is empty */
    uint64_t buckets[HSR_HISTOGRAM_BUCKETS];
};

/** The bucket that @value is counted in. */
static inline unsigned hsr_histogram_bucket(uint64_t value)
{
    unsigned octave;

    if (value > HSR_HISTOGRAM_MAX)
        return HSR_HISTOGRAM_BUCKETS - 1;
    if (value < UINT64_C(2) << HSR_HISTOGRAM_BITS)
        return (unsigned)value;
    octave = 63u - (unsigned)__builtin_clzll(value) - HSR_HISTOGRAM_BITS;
    return (octave << HSR_HISTOGRAM_BITS) + (unsigned)(value >> octave);
}

void hsr_histogram_add(struct hsr_histogram *histogram, uint64_t value);

/** Add all that @from has counted to @into. */
void hsr_histogram_merge(struct hsr_histogram *into, const struct hsr_histogram *from);

/** A value that at least @ppm millionths of the values do not exceed: the highest one of the bucket
 * of the exact quantile, so never below the exact one and at most 1/64 above it (unless that is
 * over HSR_HISTOGRAM_MAX: then the greatest one). 500000 is the median; 0 the least value and
 * 1000000 the greatest, both exact. 0 while it is empty. */
uint64_t hsr_histogram_quantile(const struct hsr_histogram *histogram, uint32_t ppm);

/** The mean, rounded down; 0 while it is empty. */
uint64_t hsr_histogram_mean(const struct hsr_histogram *histogram);

#endif
