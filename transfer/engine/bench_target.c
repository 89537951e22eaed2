/* A benchmark's target stream: frames into one chunk, verified, dropped, acknowledged; see bench.h.
 * An acknowledgement says how many bytes have come, so while one is on its way those that follow
 * become one. */
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/bench_impl.h"

static void target_step(struct hsr_stream *stream);
static bool target_idle(const struct hsr_stream *stream);
static void target_drop(struct hsr_stream *stream);
static int target_take(struct hsr_stream *stream);
static int target_header(struct hsr_stream *stream);
static bool target_place(struct hsr_stream *stream);
static int target_arrived(struct hsr_stream *stream);
static void target_ack(struct hsr_stream *stream);
static void target_ack_sent(struct hsr_link *link, int rc);

const struct hsr_stream_part hsr_bench_target_part = {
    .name = "benchmark target",
    .step = target_step,
    .idle = target_idle,
    .drop = target_drop,
};

static void target_step(struct hsr_stream *stream)
{
    int rc = 0;

    if (stream->bench == NULL) {
        rc = hsr_bench_stream_make(stream);
        if (rc == 0) {
            stream->conn->link.sent = target_ack_sent;
            stream->conn->link.received = hsr_stream_received;
        }
    }
    while (rc == 0) {
        if (stream->has_arrived)
            rc = target_take(stream);
        if (rc == 0 && stream->taken && !target_place(stream))
            break; /* the pool wakes us */
        if (rc == 0 && stream->receiving != NULL && stream->received == stream->receiving->size)
            rc = target_arrived(stream);
        if (rc < 0 || stream->bench->ended)
            break;
        hsr_stream_receive(stream);
        if (!stream->has_arrived)
            break;
    }
    if (rc < 0) {
        hsr_stream_fail(stream, rc);
        return;
    }
    target_ack(stream);
    if (stream->bench->ack_ended && !stream->bench->done_said &&
        !hsr_link_sending(&stream->conn->link))
        hsr_bench_stream_done(stream);
    hsr_meter_wait(&stream->meter, HSR_FIGURE_WAIT_PEER);
}

static bool target_idle(const struct hsr_stream *stream)
{
    for (uint32_t i = 0; i < stream->chunk_count; i++)
        if (stream->chunks[i].state != HSR_CHUNK_FREE)
            return false;
    return true;
}

static void target_drop(struct hsr_stream *stream)
{
    stream->receiving = NULL;
    for (uint32_t i = 0; i < stream->chunk_count; i++)
        if (stream->chunks[i].state != HSR_CHUNK_FREE)
            hsr_stream_chunk_free(&stream->chunks[i]);
}

/* Share out what the last receive brought: the rest of a payload, then of the next header. */
static int target_take(struct hsr_stream *stream)
{
    uint64_t arrived = stream->arrived > 0 ? (uint64_t)stream->arrived : 0;
    int rc;

    stream->has_arrived = false;
    if (arrived == 0)
        return stream->arrived < 0 ? (int)stream->arrived : HSR_E_CLOSED;
    if (stream->receiving != NULL) {
        uint32_t part = (uint32_t)HSR_MIN(arrived, stream->receiving->size - stream->received);

        stream->received += part;
        arrived -= part;
        if (stream->received == stream->receiving->size) {
            rc = target_arrived(stream);
            if (rc < 0)
                return rc;
        }
    }
    stream->header_have += (uint32_t)arrived;
    hsr_assert(stream->header_have <= HSR_FRAME_HEADER_SIZE);
    return stream->header_have == HSR_FRAME_HEADER_SIZE ? target_header(stream) : 0;
}

static int target_header(struct hsr_stream *stream)
{
    const struct hsr_session *session = stream->session;
    const struct hsr_frame *frame = &stream->next;
    bool end;
    int rc;

    rc = hsr_stream_header(stream);
    if (rc != 0)
        return HSR_MIN(rc, 0);
    end = frame->flags & HSR_FRAME_RANGE_END;
    hsr_require(!stream->bench->ended, HSR_E_PROTOCOL); /* nothing follows the end */
    hsr_require(frame->kind == HSR_FRAME_DATA, HSR_E_PROTOCOL);
    hsr_require(frame->page == 0 && frame->index == 0 && frame->offset == stream->bench->bytes,
                HSR_E_PROTOCOL);
    hsr_require(frame->size <= session->chunk, HSR_E_LIMIT);
    hsr_require(frame->size == session->chunk || end, HSR_E_PROTOCOL);
    stream->taken = true;
    return 0;
}

/* A place for the payload of the header that came: the stream's one chunk. */
static bool target_place(struct hsr_stream *stream)
{
    struct hsr_chunk *chunk = &stream->chunks[0];

    if (chunk->state == HSR_CHUNK_FREE) {
        chunk = hsr_stream_chunk(stream);
        if (chunk == NULL)
            return false;
        hsr_chunk_enter(chunk, HSR_CHUNK_RECEIVING);
    } else {
        hsr_chunk_begin(chunk);
    }
    chunk->frame = stream->next;
    chunk->size = stream->next.size;
    stream->taken = false;
    stream->received = 0;
    stream->receiving = chunk;
    return true;
}

/* A whole frame is there: verify it, and forget it. */
static int target_arrived(struct hsr_stream *stream)
{
    struct hsr_session *session = stream->session;
    struct hsr_bench *bench = session->bench;
    struct hsr_bench_stream *mine = stream->bench;
    struct hsr_chunk *chunk = stream->receiving;
    struct hsr_digest_sum sum = { 0 };
    uint64_t before;

    stream->receiving = NULL;
    if (!(bench->ask.flags & HSR_BENCH_NO_VERIFY))
        sum = hsr_stream_check(chunk);
    hsr_require(hsr_digest_same(sum, chunk->frame.check), HSR_E_CHECK);
    hsr_chunk_end(chunk);
    before = atomic_fetch_add_explicit(&bench->taken, chunk->size, memory_order_relaxed);
    hsr_require(before + chunk->size <= bench->ask.bytes, HSR_E_LIMIT);
    mine->bytes += chunk->size;
    mine->chunks += chunk->size > 0;
    mine->end_ns = hsr_loop_clock(&stream->shard->loop);
    mine->ended = chunk->frame.flags & HSR_FRAME_RANGE_END;
    if (mine->ended || !(bench->ask.flags & HSR_BENCH_NO_ACK))
        mine->ack_due = true;
    atomic_fetch_add_explicit(&session->counts.bytes, chunk->size, memory_order_relaxed);
    return 0;
}

static void target_ack(struct hsr_stream *stream)
{
    struct hsr_bench_stream *mine = stream->bench;
    struct hsr_conn *conn = stream->conn;
    struct hsr_frame frame = { .kind = HSR_FRAME_BENCH_DATA_ACK,
                               .flags = mine->ended ? HSR_FRAME_RANGE_END : 0,
                               .offset = mine->bytes,
                               .check.low = hsr_hash64("", 0) };

    if (!mine->ack_due || hsr_link_sending(&conn->link) || conn->out_size > 0)
        return;
    mine->ack_due = false;
    mine->ack_ended = mine->ended;
    frame.seq = conn->seq_out++;
    hsr_frame_encode(&frame, mine->ack);
    hsr_link_send(&conn->link, mine->ack, sizeof(mine->ack));
}

static void target_ack_sent(struct hsr_link *link, int rc)
{
    struct hsr_conn *conn = hsr_container_of(link, struct hsr_conn, link);
    struct hsr_stream *stream = conn->stream;

    if (rc < 0)
        hsr_stream_fail(stream, rc);
    else if (conn->out_size > 0)
        hsr_loop_wake(&conn->shard->loop, &conn->task); /* the end of the handshake */
    hsr_loop_wake(&stream->shard->loop, &stream->task);
}
