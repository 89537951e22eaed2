/* Benchmarks: the home's part; see bench.h. */
#include "transfer/engine/bench_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/opening.h"

/* After the time in force: what was sent last is acknowledged, and the ends meet. A path that needs
 * longer than that for one window has no use for a benchmark. */
#define BENCH_GRACE_NS (10 * HSR_NS_PER_S)

_Static_assert(sizeof(struct hsr_bench_stream) <=
                   HSR_PACK_MEMBERS_MAX * sizeof(struct hsr_pack_item),
               "the plan's line for a stream of files has room for one of a benchmark");
_Static_assert(sizeof(struct hsr_bench) <= HSR_PAGES_MAX * HSR_CONTROL_PAYLOAD_MAX,
               "and the line for a session too");

static void bench_shape(struct hsr_session *session, uint32_t depth);
static int bench_ack_send(struct hsr_session *session, struct hsr_conn *conn);
static void bench_end(struct hsr_session *session);
static bool bench_say_result(struct hsr_session *session);
static void bench_stream_done(struct hsr_msg *msg);
static uint64_t bench_cpu(struct hsr_session *session);

/* ---- the handshake ---- */

/* Frames hold whole leaves, as those of files do, so that a check costs the same. */
static uint32_t bench_chunk(uint32_t chunk)
{
    return chunk > HSR_DIGEST_LEAF_SIZE ? chunk & ~(HSR_DIGEST_LEAF_SIZE - 1) : chunk;
}

int hsr_bench_open(struct hsr_conn *conn, const struct hsr_bench_ask *ask)
{
    struct hsr_shard *shard = conn->shard;
    const struct hsr_engine_config *config = &shard->engine->config;
    struct hsr_session *session;
    int rc;

    hsr_require(config->bench, HSR_E_DENIED);
    hsr_require(atomic_load(&shard->engine->sessions) < config->plan.sessions, HSR_E_BUSY);
    session = hsr_session_create(shard, false);
    if (session == NULL)
        return -ENOMEM;
    session->role = ask->role == HSR_ROLE_SOURCE ? HSR_ROLE_TARGET : HSR_ROLE_SOURCE;
    session->zero_copy = config->zero_copy;
    session->limit.agreed = (conn->features & HSR_FEATURE_STAGES) != 0;
    session->bench = calloc(1, sizeof(*session->bench));
    rc = session->bench == NULL ? -ENOMEM : 0;
    if (rc == 0) {
        struct hsr_bench_ask *force = &session->bench->ask;

        *force = *ask;
        force->streams = HSR_MIN(ask->streams, config->plan.streams);
        force->chunk = bench_chunk(HSR_MIN(ask->chunk, config->plan.chunk));
        force->time_ns = ask->time_ns > 0 ? ask->time_ns : HSR_BENCH_TIME_MAX_NS;
        force->bytes = ask->bytes > 0 ? ask->bytes : HSR_BENCH_BYTES_MAX;
        shard->loop.backend->ops->random(shard->loop.backend, session->token, HSR_TOKEN_SIZE);
        session->token[HSR_TOKEN_SIZE - 1] = (uint8_t)shard->index;
        memcpy(session->congestion, *ask->congestion != '\0' ? ask->congestion : config->congestion,
               sizeof(session->congestion));
        bench_shape(session, ask->depth);
        rc = bench_ack_send(session, conn);
    }
    if (rc < 0) {
        hsr_session_abandon(session);
        return rc;
    }
    hsr_session_control(session, conn);
    conn->state = HSR_CONN_SESSION;
    rc = hsr_session_start(session);
    if (rc < 0)
        hsr_session_end(session, rc, "cannot start the benchmark");
    return 0;
}

int hsr_bench_ask_send(struct hsr_session *session, uint64_t features)
{
    struct hsr_bench_ask ask = session->spec.bench;
    uint8_t *out;
    int size;

    if (!(features & HSR_FEATURE_BENCH)) {
        session->rc = HSR_E_DENIED; /* nobody broke a rule: the server is told nothing */
        (void)strncpy(session->why, "the server allows no benchmarks (hawserd --bench does)",
                      sizeof(session->why) - 1);
        hsr_session_end(session, 0, NULL);
        return 0;
    }
    ask.role = session->role;
    ask.streams = session->streams_count;
    ask.chunk = bench_chunk(session->chunk);
    memcpy(ask.congestion, session->congestion, sizeof(ask.congestion));
    out = hsr_conn_begin(session->control, 64);
    hsr_assert(out != NULL); /* only HELLO was queued before */
    size = hsr_bench_ask_encode(&ask, out, 64);
    if (size < 0)
        return size;
    hsr_conn_commit(session->control, (struct hsr_frame){ .kind = HSR_FRAME_BENCH }, (size_t)size);
    return 0;
}

int hsr_bench_opened(struct hsr_session *session, struct hsr_span payload)
{
    const struct hsr_bench_ask *ask = &session->spec.bench;
    struct hsr_bench_ack ack;
    int rc = hsr_bench_ack_decode(payload, &ack);

    if (rc < 0)
        return rc;
    hsr_require(ack.streams <= session->streams_count && ack.depth <= ask->depth &&
                    ack.chunk <= session->chunk && bench_chunk(ack.chunk) == ack.chunk,
                HSR_E_PROTOCOL);
    hsr_require(ask->time_ns == 0 || ack.time_ns <= ask->time_ns, HSR_E_PROTOCOL);
    hsr_require(ask->bytes == 0 || ack.bytes <= ask->bytes, HSR_E_PROTOCOL);
    session->bench = calloc(1, sizeof(*session->bench));
    if (session->bench == NULL)
        return -ENOMEM;
    session->bench->ask = *ask;
    session->bench->ask.role = session->role;
    session->bench->ask.streams = ack.streams;
    session->bench->ask.chunk = ack.chunk;
    session->bench->ask.time_ns = ack.time_ns;
    session->bench->ask.bytes = ack.bytes;
    memcpy(session->token, ack.token, HSR_TOKEN_SIZE);
    bench_shape(session, ack.depth);
    return 0;
}

/* A session's own fields, from what is in force. Its depth is the buffers of a stream: one that is
 * sent and the next one, which is hashed meanwhile, and where sends may be zero-copy as many that
 * the kernel holds; a target drops what it has verified. */
static void bench_shape(struct hsr_session *session, uint32_t depth)
{
    struct hsr_bench_ask *ask = &session->bench->ask;
    uint32_t shards = session->engine->shard_count;
    uint64_t beside = (ask->streams + shards - 1) / shards; /* streams of one shard */

    ask->depth = depth;
    session->streams_count = ask->streams;
    session->chunk = ask->chunk;
    session->leaf = hsr_digest_leaf(HSR_DIGEST_XXH3, ask->chunk);
    session->depth = 1;
    for (uint32_t most = session->zero_copy != HSR_ZC_OFF ? 4 : 2;
         session->role == HSR_ROLE_SOURCE && session->depth < most &&
         (session->depth + 1) * beside * ask->chunk <= HSR_BENCH_SHARD_BYTES;)
        session->depth++;
}

static int bench_ack_send(struct hsr_session *session, struct hsr_conn *conn)
{
    const struct hsr_bench_ask *ask = &session->bench->ask;
    struct hsr_bench_ack ack = { .streams = ask->streams,
                                 .depth = ask->depth,
                                 .chunk = ask->chunk,
                                 .time_ns = ask->time_ns,
                                 .bytes = ask->bytes };
    uint8_t *out = hsr_conn_begin(conn, 64);
    int size;

    if (out == NULL)
        return HSR_E_INTERNAL;
    memcpy(ack.token, session->token, HSR_TOKEN_SIZE);
    size = hsr_bench_ack_encode(&ack, out, 64);
    if (size < 0)
        return size;
    hsr_conn_commit(conn, (struct hsr_frame){ .kind = HSR_FRAME_BENCH_ACK }, (size_t)size);
    return 0;
}

/* ---- the machine ---- */

void hsr_bench_destroy(struct hsr_session *session)
{
    free(session->bench);
    session->bench = NULL;
}

void hsr_bench_step(struct hsr_session *session)
{
    struct hsr_bench *bench = session->bench;
    uint64_t now = hsr_loop_clock(&session->home->loop);

    if (bench->start_ns == 0 && session->streams_joined > 0) {
        bench->start_ns = now;
        bench->start_cpu_ns = bench_cpu(session);
    }
    if (bench->start_ns > 0 && now - bench->start_ns > bench->ask.time_ns + BENCH_GRACE_NS) {
        hsr_session_end(session, HSR_E_TIMEOUT, "the benchmark does not end");
        return;
    }
    if (!hsr_bench_ended(session))
        return;
    if (session->client ? bench->result_heard : bench_say_result(session))
        hsr_session_end(session, 0, NULL);
}

int hsr_bench_frame(struct hsr_session *session, const struct hsr_frame *frame,
                    struct hsr_span payload)
{
    struct hsr_bench *bench = session->bench;
    int rc;

    hsr_require(session->client && frame->kind == HSR_FRAME_BENCH_RESULT, HSR_E_PROTOCOL);
    hsr_require(!bench->result_heard, HSR_E_PROTOCOL);
    rc = hsr_bench_result_decode(payload, &bench->report.theirs);
    if (rc < 0)
        return rc;
    bench->result_heard = true;
    hsr_session_wake(session);
    if (hsr_bench_ended(session))
        hsr_session_end(session, 0, NULL); /* now: the server closes behind it */
    return 0;
}

bool hsr_bench_heard(const struct hsr_session *session)
{
    return session->bench != NULL && session->bench->result_heard;
}

bool hsr_bench_ended(const struct hsr_session *session)
{
    return session->bench != NULL && session->bench->streams_done == session->streams_count;
}

const struct hsr_bench_report *hsr_bench_report(const struct hsr_session *session)
{
    return hsr_bench_ended(session) ? &session->bench->report : NULL;
}

/* All streams have ended well: the figures of this side. */
static void bench_end(struct hsr_session *session)
{
    struct hsr_bench *bench = session->bench;
    struct hsr_bench_result *ours = &bench->report.ours;
    uint64_t cpu_ns = bench_cpu(session);

    bench->report.ask = bench->ask;
    ours->cpu_ns = cpu_ns > bench->start_cpu_ns ? cpu_ns - bench->start_cpu_ns : 0;
    ours->latency = hsr_latency_of(&bench->latency);
    hsr_session_wake(session);
}

/* False: no room yet; the connection's output wakes the session. */
static bool bench_say_result(struct hsr_session *session)
{
    uint8_t *out;
    int size;

    if (session->control == NULL || !hsr_measure_tell(session))
        return false;
    out = hsr_conn_begin(session->control, 256);
    if (out == NULL)
        return false;
    size = hsr_bench_result_encode(&session->bench->report.ours, out, 256);
    hsr_assert(size > 0); /* our own figures are in order */
    hsr_conn_commit(session->control, (struct hsr_frame){ .kind = HSR_FRAME_BENCH_RESULT },
                    (size_t)size);
    return true;
}

static uint64_t bench_cpu(struct hsr_session *session)
{
    struct hsr_backend *backend = session->home->loop.backend;

    return backend->ops->cpu != NULL ? backend->ops->cpu(backend) : 0;
}

/* ---- streams ---- */

int hsr_bench_stream_make(struct hsr_stream *stream)
{
    stream->bench = calloc(1, sizeof(*stream->bench));
    if (stream->bench == NULL)
        return -ENOMEM;
    stream->bench->stream = stream;
    stream->bench->begin_ns = hsr_loop_clock(&stream->shard->loop);
    stream->bench->end_ns = stream->bench->begin_ns;
    return 0;
}

void hsr_bench_stream_done(struct hsr_stream *stream)
{
    struct hsr_bench_stream *mine = stream->bench;

    hsr_assert(!mine->done_said);
    mine->done_said = true;
    hsr_lane_look(&stream->shard->lane, &stream->shard->loop); /* the home sums up now */
    mine->done_msg.deliver = bench_stream_done;
    hsr_loop_send(&stream->session->home->loop, &mine->done_msg);
}

/* The stream does not touch its part any more; it is freed later, by GONE. */
static void bench_stream_done(struct hsr_msg *msg)
{
    struct hsr_bench_stream *mine = hsr_container_of(msg, struct hsr_bench_stream, done_msg);
    struct hsr_session *session = mine->stream->session;
    struct hsr_bench *bench = session->bench;
    struct hsr_bench_result *ours = &bench->report.ours;

    hsr_assert(bench->streams_done < session->streams_count);
    bench->streams_done++;
    hsr_histogram_merge(&bench->latency, &mine->latency);
    ours->bytes += mine->bytes;
    ours->chunks += mine->chunks;
    /* READY came before DONE, and woke the session, but its task may not have run since. */
    if (bench->start_ns == 0)
        hsr_bench_step(session);
    if (mine->end_ns > bench->start_ns)
        ours->elapsed_ns = HSR_MAX(ours->elapsed_ns, mine->end_ns - bench->start_ns);
    if (hsr_bench_ended(session))
        bench_end(session);
}
