/* See times.h. */
#include "transfer/engine/times.h"

#include "base/base.h"

/* One writer: no read-modify-write is needed. */
static void times_store(atomic_ullong *to, uint64_t value)
{
    atomic_store_explicit(to, value, memory_order_relaxed);
}

static uint64_t times_load(const atomic_ullong *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

void hsr_times_add(struct hsr_times *times, enum hsr_time time, uint64_t ns)
{
    struct hsr_dial *dial = &times->dials[time];
    uint64_t count = times_load(&dial->count);
    atomic_uint *bucket = &dial->buckets[hsr_histogram_bucket(ns)];

    if (count == 0 || ns < times_load(&dial->least))
        times_store(&dial->least, ns);
    if (ns > times_load(&dial->greatest))
        times_store(&dial->greatest, ns);
    times_store(&dial->sum, times_load(&dial->sum) + ns);
    atomic_store_explicit(bucket, atomic_load_explicit(bucket, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    times_store(&dial->count, count + 1);
}

void hsr_times_zc(struct hsr_times *times, const struct hsr_link *link)
{
    if (times == NULL)
        return;
    times_store(&times->zc_sent, link->zc.sent_bytes);
    times_store(&times->zc_copied, link->zc.copied_bytes);
    times_store(&times->zc_downgrades, link->zc.downgrades);
}

/* The histogram's own fields must agree with its buckets: they are added up from there. */
void hsr_times_read(const struct hsr_times *times, enum hsr_time time, struct hsr_histogram *into)
{
    const struct hsr_dial *dial = &times->dials[time];
    uint64_t count = 0, least = times_load(&dial->least), greatest = times_load(&dial->greatest);
    uint64_t sum = times_load(&dial->sum), seen = times_load(&dial->count);

    for (unsigned i = 0; i < HSR_HISTOGRAM_BUCKETS; i++) {
        uint32_t more = atomic_load_explicit(&dial->buckets[i], memory_order_relaxed);

        into->buckets[i] += more;
        count += more;
    }
    if (count == 0)
        return;
    if (seen > 0 && seen != count) /* caught in between: the mean stays what it was */
        sum = (uint64_t)((unsigned __int128)sum * count / seen);
    least = HSR_MIN(least, greatest);
    sum = HSR_MIN(HSR_MAX(sum, least * count), greatest * count);
    into->least = into->count == 0 ? least : HSR_MIN(into->least, least);
    into->greatest = HSR_MAX(into->greatest, greatest);
    into->count += count;
    into->sum += sum;
}
