/* A benchmark's source stream: the same few buffers of made-up bytes, hashed and sent again and
 * again, `depth` chunks ahead of what the target has acknowledged; see bench.h.
 *
 *   chunk: FREE -> READING (has bytes) -> READY (hashed) -> SENDING (-> LINGERING) -> READING ...
 *          -> FREE
 *
 * Zero-copy sends as in stream_source.c: at most half of the chunks linger, and nothing waits. */
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/bench_impl.h"

static void source_step(struct hsr_stream *stream);
static bool source_idle(const struct hsr_stream *stream);
static void source_drop(struct hsr_stream *stream);
static int source_begin(struct hsr_stream *stream);
static void source_prepare(struct hsr_stream *stream);
static struct hsr_chunk *source_chunk(struct hsr_stream *stream);
static void source_fill(struct hsr_stream *stream, struct hsr_chunk *chunk);
static uint32_t source_claim(struct hsr_stream *stream, bool *ret_last);
static bool source_send(struct hsr_stream *stream);
static void source_sent(struct hsr_link *link, int rc);
static void source_returned(struct hsr_link_loan *loan);
static void source_again(struct hsr_chunk *chunk);
static void source_release(struct hsr_stream *stream);
static void source_count(struct hsr_stream *stream, uint64_t bytes);
static int source_listen(struct hsr_stream *stream);
static int source_take(struct hsr_stream *stream);
static int source_acked(struct hsr_stream *stream, const struct hsr_frame *frame);

const struct hsr_stream_part hsr_bench_source_part = {
    .name = "benchmark source",
    .step = source_step,
    .idle = source_idle,
    .drop = source_drop,
};

static void source_step(struct hsr_stream *stream)
{
    int rc = stream->bench == NULL ? source_begin(stream) : 0;

    if (rc == 0)
        rc = source_listen(stream);
    if (rc < 0) {
        hsr_stream_fail(stream, rc);
        return;
    }
    do {
        source_prepare(stream);
    } while (source_send(stream));
    if (stream->bench->done_said)
        return;
    hsr_meter_wait(&stream->meter, HSR_FIGURE_WAIT_PEER);
}

static bool source_idle(const struct hsr_stream *stream)
{
    for (uint32_t i = 0; i < stream->chunk_count; i++)
        if (stream->chunks[i].state != HSR_CHUNK_FREE)
            return false;
    return true;
}

static void source_drop(struct hsr_stream *stream)
{
    hsr_assert(stream->flying == NULL); /* the connection let go of it */
    for (uint32_t i = 0; i < stream->chunk_count; i++)
        if (stream->chunks[i].state != HSR_CHUNK_FREE)
            hsr_stream_chunk_free(&stream->chunks[i]);
}

static int source_begin(struct hsr_stream *stream)
{
    int rc = hsr_bench_stream_make(stream);

    if (rc < 0)
        return rc;
    stream->conn->link.sent = source_sent;
    stream->conn->link.received = hsr_stream_received;
    hsr_link_zc_start(&stream->conn->link, stream->session->zero_copy);
    return 0;
}

/* Make the next frame, one ahead of what is being sent. */
static void source_prepare(struct hsr_stream *stream)
{
    const struct hsr_session *session = stream->session;
    struct hsr_bench_stream *mine = stream->bench;
    struct hsr_chunk *chunk;

    if (mine->next != NULL || mine->last)
        return;
    chunk = source_chunk(stream);
    if (chunk == NULL)
        return;
    chunk->size = source_claim(stream, &mine->last);
    chunk->frame = (struct hsr_frame){ .kind = HSR_FRAME_DATA,
                                       .flags = mine->last ? HSR_FRAME_RANGE_END : 0,
                                       .size = chunk->size,
                                       .offset = mine->sent_bytes };
    if (!(session->bench->ask.flags & HSR_BENCH_NO_VERIFY))
        chunk->frame.check = hsr_stream_check(chunk);
    mine->sent_bytes += chunk->size;
    hsr_chunk_enter(chunk, HSR_CHUNK_READY);
    mine->next = chunk;
    if (mine->last)
        source_release(stream);
}

/* One that is not being sent: one that has been filled before, else a new one. */
static struct hsr_chunk *source_chunk(struct hsr_stream *stream)
{
    struct hsr_bench_stream *mine = stream->bench;
    struct hsr_chunk *chunk;

    for (uint32_t i = 0; i < mine->held; i++)
        if (stream->chunks[i].state == HSR_CHUNK_READING) {
            hsr_chunk_begin(&stream->chunks[i]);
            return &stream->chunks[i];
        }
    if (mine->held == stream->chunk_count)
        return NULL;
    chunk = hsr_stream_chunk(stream);
    if (chunk == NULL)
        return NULL; /* the pool wakes us */
    hsr_assert(chunk == &stream->chunks[mine->held]);
    mine->held++;
    source_fill(stream, chunk);
    hsr_chunk_enter(chunk, HSR_CHUNK_READING);
    return chunk;
}

/* What a buffer held before is another session's: nothing of it may leave. And zeros would be
 * cheaper to check than what files hold. */
static void source_fill(struct hsr_stream *stream, struct hsr_chunk *chunk)
{
    struct hsr_prng prng = hsr_prng_init(1 + stream->index);
    uint8_t *out = chunk->buf->payload;

    for (uint32_t at = 0; at < stream->session->chunk; at += sizeof(uint64_t)) {
        uint64_t word = hsr_prng_next(&prng);

        memcpy(out + at, &word, sizeof(word));
    }
}

/* How much the next frame carries: a chunk, or what is left; nothing when the time is over. */
static uint32_t source_claim(struct hsr_stream *stream, bool *ret_last)
{
    struct hsr_bench *bench = stream->session->bench;
    uint32_t chunk = stream->session->chunk;
    uint64_t before;

    *ret_last = true;
    if (hsr_loop_clock(&stream->shard->loop) - stream->bench->begin_ns >= bench->ask.time_ns)
        return 0;
    before = atomic_fetch_add_explicit(&bench->claimed, chunk, memory_order_relaxed);
    if (before >= bench->ask.bytes)
        return 0;
    *ret_last = bench->ask.bytes - before <= chunk;
    return (uint32_t)HSR_MIN((uint64_t)chunk, bench->ask.bytes - before);
}

/* One send at a time, within the window. True: one was started. */
static bool source_send(struct hsr_stream *stream)
{
    const struct hsr_bench_ask *ask = &stream->session->bench->ask;
    struct hsr_bench_stream *mine = stream->bench;
    struct hsr_conn *conn = stream->conn;
    struct hsr_chunk *chunk = mine->next;

    if (chunk == NULL || stream->flying != NULL || hsr_link_sending(&conn->link) ||
        conn->out_size > 0)
        return false;
    if (chunk->size > 0) {
        if (!(ask->flags & HSR_BENCH_NO_ACK) && mine->sent_chunks - mine->chunks >= ask->depth)
            return false;
        mine->sent_ns[mine->sent_chunks % HSR_DEPTH_MAX] = hsr_loop_clock(&stream->shard->loop);
        mine->sent_chunks++;
    }
    mine->next = NULL;
    hsr_stream_send(chunk, source_returned);
    return true;
}

static void source_sent(struct hsr_link *link, int rc)
{
    struct hsr_conn *conn = hsr_container_of(link, struct hsr_conn, link);
    struct hsr_stream *stream = conn->stream;
    struct hsr_chunk *chunk = stream->flying;

    if (rc < 0)
        hsr_stream_fail(stream, rc);
    if (chunk != NULL) {
        stream->flying = NULL;
        hsr_meter_end(&stream->meter, HSR_FLIGHT_WIRE, rc == 0 ? chunk->size : 0);
        hsr_times_zc(stream->times, link);
        if (chunk->loan.op.armed) {
            hsr_chunk_enter(chunk, HSR_CHUNK_LINGERING);
            stream->lingering++;
        } else {
            source_again(chunk);
        }
        if (stream->session->bench->ask.flags & HSR_BENCH_NO_ACK)
            source_count(stream, chunk->size);
    } else {
        hsr_loop_wake(&conn->shard->loop, &conn->task); /* the end of the handshake was sent */
    }
    hsr_loop_wake(&stream->shard->loop, &stream->task);
}

/* The kernel needs the memory no more; as in stream_source.c. */
static void source_returned(struct hsr_link_loan *loan)
{
    struct hsr_chunk *chunk = hsr_container_of(loan, struct hsr_chunk, loan);
    struct hsr_stream *stream = chunk->stream;

    hsr_times_zc(stream->times, loan->link);
    if (chunk->state != HSR_CHUNK_LINGERING)
        return;
    stream->lingering--;
    source_again(chunk);
    hsr_loop_wake(&stream->shard->loop, &stream->task);
}

/* It is ours, with the same bytes. */
static void source_again(struct hsr_chunk *chunk)
{
    hsr_buf_return(chunk->buf);
    hsr_chunk_end(chunk);
    chunk->state = HSR_CHUNK_READING;
    if (chunk->stream->bench->last)
        source_release(chunk->stream);
}

/* Nothing more to send: another stream, of this session even, may wait for the buffers. */
static void source_release(struct hsr_stream *stream)
{
    for (uint32_t i = 0; i < stream->chunk_count; i++)
        if (stream->chunks[i].state == HSR_CHUNK_READING)
            hsr_stream_chunk_free(&stream->chunks[i]);
}

/* For progress: what has arrived, or at least was sent. */
static void source_count(struct hsr_stream *stream, uint64_t bytes)
{
    atomic_fetch_add_explicit(&stream->session->counts.bytes, bytes, memory_order_relaxed);
}

/* Acknowledgements and beats: headers without payload. What came with JOIN_ACK is there at once. */
static int source_listen(struct hsr_stream *stream)
{
    int rc = 0;

    while (rc == 0 && !stream->bench->done_said) {
        if (stream->has_arrived)
            rc = source_take(stream);
        if (rc == 0 && !stream->bench->done_said)
            hsr_stream_receive(stream);
        if (!stream->has_arrived)
            break;
    }
    return rc;
}

static int source_take(struct hsr_stream *stream)
{
    int rc;

    stream->has_arrived = false;
    if (stream->arrived <= 0)
        return stream->arrived < 0 ? (int)stream->arrived : HSR_E_CLOSED;
    stream->header_have += (uint32_t)stream->arrived;
    hsr_assert(stream->header_have <= HSR_FRAME_HEADER_SIZE);
    if (stream->header_have < HSR_FRAME_HEADER_SIZE)
        return 0;
    rc = hsr_stream_header(stream);
    if (rc != 0)
        return HSR_MIN(rc, 0);
    hsr_require(stream->next.kind == HSR_FRAME_BENCH_DATA_ACK, HSR_E_PROTOCOL);
    hsr_require(stream->next.check.low == hsr_hash64("", 0), HSR_E_CHECK);
    return source_acked(stream, &stream->next);
}

/* Whole chunks, one after the other; the end after all of them. */
static int source_acked(struct hsr_stream *stream, const struct hsr_frame *frame)
{
    const struct hsr_session *session = stream->session;
    struct hsr_bench_stream *mine = stream->bench;
    uint64_t sent = mine->sent_bytes - (mine->next != NULL ? mine->next->size : 0);
    uint64_t chunks = (frame->offset + session->chunk - 1) / session->chunk;
    bool end = frame->flags & HSR_FRAME_RANGE_END;

    hsr_require(frame->offset <= sent && frame->offset >= mine->bytes, HSR_E_PROTOCOL);
    hsr_require(frame->offset == sent || frame->offset % session->chunk == 0, HSR_E_PROTOCOL);
    hsr_require(!end || (mine->last && mine->next == NULL && frame->offset == sent),
                HSR_E_PROTOCOL);
    hsr_assert(chunks <= mine->sent_chunks);
    mine->end_ns = hsr_loop_clock(&stream->shard->loop);
    if (!(session->bench->ask.flags & HSR_BENCH_NO_ACK))
        for (uint64_t i = mine->chunks; i < chunks; i++)
            hsr_histogram_add(&mine->latency, mine->end_ns - mine->sent_ns[i % HSR_DEPTH_MAX]);
    if (!(session->bench->ask.flags & HSR_BENCH_NO_ACK))
        source_count(stream, frame->offset - mine->bytes);
    mine->bytes = frame->offset;
    mine->chunks = chunks;
    if (end)
        hsr_bench_stream_done(stream);
    return 0;
}
