/* See measured.h. */
#include "transfer/proto/measured.h"

#include "base/base.h"
#include "transfer/proto/message.h"
#include "transfer/proto/wire.h"

static int measured_check(const struct hsr_measured *measured);

struct hsr_latency hsr_latency_of(const struct hsr_histogram *histogram)
{
    return (struct hsr_latency){
        .count = histogram->count,
        .least = histogram->least,
        .mean = hsr_histogram_mean(histogram),
        .p50 = hsr_histogram_quantile(histogram, 500000),
        .p90 = hsr_histogram_quantile(histogram, 900000),
        .p99 = hsr_histogram_quantile(histogram, 990000),
        .p999 = hsr_histogram_quantile(histogram, 999000),
        .greatest = histogram->greatest,
    };
}

/* What is printed and plotted must be in order. */
int hsr_latency_check(const struct hsr_latency *latency)
{
    const uint64_t rising[] = { latency->least, latency->p50,  latency->p90,
                                latency->p99,   latency->p999, latency->greatest };

    hsr_require(latency->count > 0 || (latency->greatest == 0 && latency->mean == 0),
                HSR_E_PROTOCOL);
    for (size_t i = 1; i < HSR_ARRAY_COUNT(rising); i++)
        hsr_require(rising[i - 1] <= rising[i], HSR_E_PROTOCOL);
    hsr_require(latency->least <= latency->mean && latency->mean <= latency->greatest,
                HSR_E_PROTOCOL);
    return 0;
}

void hsr_latency_put(struct hsr_writer *w, const struct hsr_latency *latency)
{
    hsr_put_u64(w, latency->count);
    hsr_put_u64(w, latency->least);
    hsr_put_u64(w, latency->mean);
    hsr_put_u64(w, latency->p50);
    hsr_put_u64(w, latency->p90);
    hsr_put_u64(w, latency->p99);
    hsr_put_u64(w, latency->p999);
    hsr_put_u64(w, latency->greatest);
}

void hsr_latency_get(struct hsr_reader *r, struct hsr_latency *ret_latency)
{
    ret_latency->count = hsr_get_u64(r);
    ret_latency->least = hsr_get_u64(r);
    ret_latency->mean = hsr_get_u64(r);
    ret_latency->p50 = hsr_get_u64(r);
    ret_latency->p90 = hsr_get_u64(r);
    ret_latency->p99 = hsr_get_u64(r);
    ret_latency->p999 = hsr_get_u64(r);
    ret_latency->greatest = hsr_get_u64(r);
}

static int measured_check(const struct hsr_measured *measured)
{
    hsr_require(measured->core_count <= HSR_CORES_MAX, HSR_E_LIMIT);
    hsr_require(measured->zc_copied <= measured->zc_sent, HSR_E_PROTOCOL);
    for (unsigned i = 0; i < HSR_TIME_COUNT; i++) {
        int rc = hsr_latency_check(&measured->times[i]);

        hsr_require(rc == 0, rc);
    }
    for (uint32_t i = 0; i < measured->core_count; i++) {
        const struct hsr_core_use *use = &measured->cores[i];
        const uint64_t times[] = { use->elapsed, use->cpu,   use->help,
                                   use->hash,    use->files, use->disk };

        for (size_t k = 0; k < HSR_ARRAY_COUNT(times); k++) /* they are added up */
            hsr_require(times[k] <= HSR_FIGURE_MAX, HSR_E_LIMIT);
    }
    return 0;
}

int hsr_measured_encode(const struct hsr_measured *measured, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = measured_check(measured);

    if (rc < 0)
        return rc;
    hsr_put_u64(&w, measured->cpu_ns);
    hsr_put_u64(&w, measured->zc_sent);
    hsr_put_u64(&w, measured->zc_copied);
    hsr_put_u64(&w, measured->zc_downgrades);
    for (unsigned i = 0; i < HSR_TIME_COUNT; i++)
        hsr_latency_put(&w, &measured->times[i]);
    hsr_put_u32(&w, measured->core_count);
    hsr_put_u32(&w, 0);
    for (uint32_t i = 0; i < measured->core_count; i++) {
        const struct hsr_core_use *use = &measured->cores[i];

        hsr_put_u32(&w, use->core);
        hsr_put_u32(&w, 0);
        hsr_put_u64(&w, use->elapsed);
        hsr_put_u64(&w, use->cpu);
        hsr_put_u64(&w, use->help);
        hsr_put_u64(&w, use->hash);
        hsr_put_u64(&w, use->files);
        hsr_put_u64(&w, use->disk);
    }
    return wire_size(&w);
}

int hsr_measured_decode(struct hsr_span payload, struct hsr_measured *ret_measured)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_measured measured = { .cpu_ns = hsr_get_u64(&r) };
    uint32_t zeros;
    int rc;

    measured.zc_sent = hsr_get_u64(&r);
    measured.zc_copied = hsr_get_u64(&r);
    measured.zc_downgrades = hsr_get_u64(&r);
    for (unsigned i = 0; i < HSR_TIME_COUNT; i++)
        hsr_latency_get(&r, &measured.times[i]);
    measured.core_count = hsr_get_u32(&r);
    zeros = hsr_get_u32(&r);
    hsr_require(measured.core_count <= HSR_CORES_MAX, HSR_E_LIMIT);
    for (uint32_t i = 0; i < measured.core_count; i++) {
        struct hsr_core_use *use = &measured.cores[i];

        use->core = hsr_get_u32(&r);
        zeros |= hsr_get_u32(&r);
        use->elapsed = hsr_get_u64(&r);
        use->cpu = hsr_get_u64(&r);
        use->help = hsr_get_u64(&r);
        use->hash = hsr_get_u64(&r);
        use->files = hsr_get_u64(&r);
        use->disk = hsr_get_u64(&r);
    }
    rc = wire_end(&r);
    if (rc == 0 && zeros != 0)
        rc = HSR_E_PROTOCOL;
    if (rc == 0)
        rc = measured_check(&measured);
    if (rc == 0)
        *ret_measured = measured;
    return rc;
}
