/* See measure.h. */
#include "transfer/engine/measure.h"

#include <errno.h>
#include <stdlib.h>

#include "base/base.h"
#include "transfer/engine/session.h"
#include "transfer/engine/stream.h"

struct measure_lane {
    bool used;
    struct hsr_stages base; /* what the thread had done before */
    struct hsr_stages gone; /* of streams here that are freed */
};

struct hsr_measure {
    struct hsr_times *times[HSR_STREAMS_MAX]; /* owned */
    struct measure_lane *lanes; /* of each shard */
    uint64_t start_cpu_ns;
    bool told, heard;
    struct hsr_measures both;
};

static void measure_make(struct hsr_session *session, struct hsr_measured *measured);
static void measure_times(const struct hsr_measure *measure, struct hsr_measured *measured);
static void measure_cores(struct hsr_session *session, struct hsr_measured *measured);
static struct hsr_core_use measure_core(struct hsr_session *session, const struct hsr_shard *shard);
static uint64_t measure_cpu(struct hsr_session *session);

uint64_t hsr_measure_stream_bytes(void)
{
    return sizeof(struct hsr_times);
}

int hsr_measure_begin(struct hsr_session *session)
{
    /* A client wants its half even of a server that does not tell the other. */
    uint32_t options = session->options | session->spec.options;
    struct hsr_measure *measure;

    if (session->bench == NULL && !(options & HSR_OPT_MEASURE))
        return 0;
    measure = calloc(1, sizeof(*measure));
    hsr_require(measure != NULL, -ENOMEM);
    session->measure = measure;
    measure->lanes = calloc(session->engine->shard_count, sizeof(measure->lanes[0]));
    hsr_require(measure->lanes != NULL, -ENOMEM);
    measure->start_cpu_ns = measure_cpu(session);
    hsr_lane_look(&session->home->lane, &session->home->loop);
    hsr_measure_lane(session, session->home);
    return 0;
}

void hsr_measure_destroy(struct hsr_session *session)
{
    struct hsr_measure *measure = session->measure;

    if (measure == NULL)
        return;
    for (uint32_t i = 0; i < HSR_STREAMS_MAX; i++)
        free(measure->times[i]);
    free(measure->lanes);
    free(measure);
    session->measure = NULL;
}

struct hsr_times *hsr_measure_times(struct hsr_session *session, uint32_t index)
{
    struct hsr_measure *measure = session->measure;

    if (measure == NULL)
        return NULL;
    hsr_assert(index < HSR_STREAMS_MAX && measure->times[index] == NULL);
    measure->times[index] = calloc(1, sizeof(*measure->times[index]));
    return measure->times[index];
}

void hsr_measure_lane(struct hsr_session *session, const struct hsr_shard *shard)
{
    struct measure_lane *lane;

    if (session->measure == NULL)
        return;
    lane = &session->measure->lanes[shard->index];
    if (!lane->used)
        hsr_lane_read(&shard->lane, &lane->base);
    lane->used = true;
}

void hsr_measure_gone(struct hsr_session *session, const struct hsr_stream *stream)
{
    if (session->measure != NULL)
        hsr_meter_read(&stream->meter, &session->measure->lanes[stream->shard->index].gone);
}

bool hsr_measure_tell(struct hsr_session *session)
{
    struct hsr_measure *measure = session->measure;
    uint8_t *out;
    int size;

    if (measure == NULL || measure->told || session->client || session->control == NULL)
        return true;
    out = hsr_conn_begin(session->control, HSR_MEASURED_SIZE_MAX);
    if (out == NULL)
        return false;
    measure_make(session, &measure->both.ours);
    size = hsr_measured_encode(&measure->both.ours, out, HSR_MEASURED_SIZE_MAX);
    hsr_assert(size > 0); /* our own figures are in order */
    hsr_conn_commit(session->control, (struct hsr_frame){ .kind = HSR_FRAME_MEASURED },
                    (size_t)size);
    measure->told = true;
    return true;
}

int hsr_measure_heard(struct hsr_session *session, struct hsr_span payload)
{
    struct hsr_measure *measure = session->measure;

    hsr_require(session->client && measure != NULL && !measure->heard, HSR_E_PROTOCOL);
    measure->heard = true;
    return hsr_measured_decode(payload, &measure->both.theirs);
}

const struct hsr_measures *hsr_measure_end(struct hsr_session *session)
{
    if (session->measure == NULL)
        return NULL;
    measure_make(session, &session->measure->both.ours);
    return &session->measure->both;
}

static void measure_make(struct hsr_session *session, struct hsr_measured *measured)
{
    const struct hsr_measure *measure = session->measure;
    uint64_t cpu_ns = measure_cpu(session);

    *measured = (struct hsr_measured){ 0 };
    measured->cpu_ns = cpu_ns > measure->start_cpu_ns ? cpu_ns - measure->start_cpu_ns : 0;
    measure_times(measure, measured);
    measure_cores(session, measured);
}

static void measure_times(const struct hsr_measure *measure, struct hsr_measured *measured)
{
    for (unsigned time = 0; time < HSR_TIME_COUNT; time++) {
        struct hsr_histogram sum = { 0 };

        for (uint32_t i = 0; i < HSR_STREAMS_MAX; i++)
            if (measure->times[i] != NULL)
                hsr_times_read(measure->times[i], (enum hsr_time)time, &sum);
        measured->times[time] = hsr_latency_of(&sum);
    }
    for (uint32_t i = 0; i < HSR_STREAMS_MAX; i++) {
        struct hsr_times *times = measure->times[i];

        if (times == NULL)
            continue;
        measured->zc_copied += atomic_load_explicit(&times->zc_copied, memory_order_relaxed);
        measured->zc_sent += atomic_load_explicit(&times->zc_sent, memory_order_relaxed);
        measured->zc_downgrades +=
            atomic_load_explicit(&times->zc_downgrades, memory_order_relaxed);
    }
    measured->zc_copied = HSR_MIN(measured->zc_copied, measured->zc_sent); /* read one by one */
}

static void measure_cores(struct hsr_session *session, struct hsr_measured *measured)
{
    hsr_lane_look(&session->home->lane, &session->home->loop);
    hsr_meter_look(&session->limit.meter);
    for (unsigned i = 0; i < session->engine->shard_count; i++) {
        struct hsr_core_use use;

        if (!session->measure->lanes[i].used || measured->core_count == HSR_CORES_MAX)
            continue;
        use = measure_core(session, &session->engine->shards[i]);
        if (use.elapsed > 0) /* else it has published nothing since: it is new */
            measured->cores[measured->core_count++] = use;
    }
}

/* What is timed by the clock may be more than the thread ran. */
static struct hsr_core_use measure_core(struct hsr_session *session, const struct hsr_shard *shard)
{
    const struct measure_lane *lane = &session->measure->lanes[shard->index];
    const struct hsr_engine_config *config = &session->engine->config;
    const struct hsr_placement *placement = &config->placement;
    struct hsr_stages now = { 0 }, work = lane->gone;
    struct hsr_core_use use = { .core = HSR_CORE_NONE };

    hsr_lane_read(&shard->lane, &now);
    now = hsr_stages_between(&lane->base, &now);
    for (uint32_t i = 0; i < HSR_STREAMS_MAX; i++)
        if (session->streams[i] != NULL && session->streams[i]->shard == shard)
            hsr_meter_read(&session->streams[i]->meter, &work);
    for (uint32_t i = 0; i < session->crew.hand_count; i++)
        if (session->crew.hands[i].shard == shard)
            work.figure[HSR_FIGURE_HOME_WORK] +=
                atomic_load_explicit(&session->crew.hands[i].worked_ns, memory_order_relaxed);
    if (session->home == shard)
        hsr_meter_read(&session->limit.meter, &work);
    if (config->pin && shard->index < placement->count && placement->this_system)
        use.core = placement->shards[shard->index].cpu;
    use.elapsed = now.figure[HSR_FIGURE_LANES];
    use.cpu = now.figure[HSR_FIGURE_CPU];
    use.help = now.figure[HSR_FIGURE_HELP];
    use.hash = HSR_MIN(work.figure[HSR_FIGURE_HASH_TIME], use.cpu);
    use.files = HSR_MIN(work.figure[HSR_FIGURE_HOME_WORK] + work.figure[HSR_FIGURE_PACK_TIME],
                        use.cpu - use.hash);
    use.disk = HSR_MIN(work.figure[HSR_FIGURE_DISK_CALLS], use.cpu - use.hash - use.files);
    return use;
}

static uint64_t measure_cpu(struct hsr_session *session)
{
    struct hsr_backend *backend = session->home->loop.backend;

    return backend->ops->cpu != NULL ? backend->ops->cpu(backend) : 0;
}
