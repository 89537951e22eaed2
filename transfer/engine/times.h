/* How long things took in one stream of a measured session: histograms that its thread writes and
 * any thread may read, while it runs and after. base/histogram.h has the buckets. */
#ifndef HSR_ENGINE_TIMES_H
#define HSR_ENGINE_TIMES_H

#include <stdatomic.h>

#include "transfer/net/link.h"
#include "transfer/proto/measured.h"

struct hsr_dial {
    atomic_ullong count, sum, least, greatest;
    atomic_uint buckets[HSR_HISTOGRAM_BUCKETS];
};

struct hsr_times {
    struct hsr_dial dials[HSR_TIME_COUNT];
    atomic_ullong zc_sent, zc_copied, zc_downgrades; /* of the stream's link */
};

/** Count @ns for @time. The stream's thread. */
void hsr_times_add(struct hsr_times *times, enum hsr_time time, uint64_t ns);

/** Publish what @link's zero-copy sends came to. The stream's thread. @times may be NULL. */
void hsr_times_zc(struct hsr_times *times, const struct hsr_link *link);

/** Add what was counted for @time to @into. Any thread; while the stream counts, a value may be
 * seen in one of the fields and not in another. */
void hsr_times_read(const struct hsr_times *times, enum hsr_time time, struct hsr_histogram *into);

#endif
