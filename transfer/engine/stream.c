/* What both halves of a stream share: its connection, its chunks, its birth and end. See stream.h.
 */
#include "transfer/engine/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/patcher.h"
#include "transfer/engine/small.h"

static void stream_run(struct hsr_task *task);
static bool stream_leaves(struct hsr_stream *stream);
static void stream_shut(struct hsr_stream *stream);
static void stream_start(struct hsr_msg *msg);
static void stream_ready(struct hsr_msg *msg);
static void stream_close(struct hsr_msg *msg);
static void stream_gone(struct hsr_msg *msg);
static void stream_timer(struct hsr_timer *timer);
static int stream_frame(struct hsr_conn *conn, const struct hsr_frame *frame,
                        struct hsr_span payload);
static int stream_join(struct hsr_stream *stream, struct hsr_span payload);
static int stream_joined(struct hsr_stream *stream, struct hsr_span payload);
static void stream_put_join_ack(struct hsr_stream *stream);
static void stream_begin(struct hsr_stream *stream);
static void stream_conn_closed(struct hsr_conn *conn);
static uint64_t chunk_stamp(struct hsr_chunk *chunk, enum hsr_time spent);

/* Of smaller chunks one in eight is timed: the looks at the clock, some 200 ns for each, would be
 * a visible part of what they measure. */
#define TIMES_ALL_MIN (64u * 1024)
#define TIMES_EACH 8u

_Static_assert((int)HSR_TIME_CHUNK == (int)HSR_CHUNK_STATE_COUNT &&
                   (int)HSR_TIME_IDLE == (int)HSR_CHUNK_FREE &&
                   (int)HSR_TIME_SENDING == (int)HSR_CHUNK_SENDING &&
                   (int)HSR_TIME_WRITING == (int)HSR_CHUNK_WRITING,
               "a state's number is that of its time");

static const struct hsr_stream_part *stream_part(const struct hsr_session *session)
{
    bool source = session->role == HSR_ROLE_SOURCE;

    if (session->bench != NULL)
        return source ? &hsr_bench_source_part : &hsr_bench_target_part;
    return source ? &hsr_stream_source_part : &hsr_stream_target_part;
}

struct hsr_stream *hsr_stream_create(struct hsr_session *session, uint32_t index,
                                     struct hsr_shard *shard)
{
    struct hsr_stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL)
        return NULL;
    stream->session = session;
    stream->shard = shard;
    stream->index = index;
    stream->chunk_count = session->depth;
    stream->intake_count = session->depth + 2;
    stream->part = stream_part(session);
    hsr_meter_init(&stream->meter, &shard->loop);
    hsr_task_init(&stream->task, stream->part->name, stream_run);
    stream->task.bulk = true;
    stream->timer.fired = stream_timer;
    stream->waiter.task = &stream->task;
    hsr_list_init(&stream->waiter.node);
    hsr_list_init(&stream->works);
    hsr_list_init(&stream->sending);
    hsr_list_init(&stream->intakes_free);
    hsr_list_init(&stream->intakes_active);
    hsr_list_init(&stream->waiting);
    stream->chunks = calloc(stream->chunk_count, sizeof(*stream->chunks));
    stream->intakes = calloc(stream->intake_count, sizeof(*stream->intakes));
    if (stream->chunks == NULL || stream->intakes == NULL) {
        hsr_stream_free(stream);
        return NULL;
    }
    stream->times = hsr_measure_times(session, index);
    for (uint32_t i = 0; i < stream->chunk_count; i++) {
        stream->chunks[i].stream = stream;
        hsr_list_init(&stream->chunks[i].node);
    }
    for (uint32_t i = 0; i < stream->intake_count; i++) {
        stream->intakes[i].stream = stream;
        hsr_list_init(&stream->intakes[i].node);
        hsr_list_push_tail(&stream->intakes_free, &stream->intakes[i].node);
    }
    return stream;
}

void hsr_stream_free(struct hsr_stream *stream)
{
    if (stream->chunks != NULL)
        for (uint32_t i = 0; i < stream->chunk_count; i++)
            free(stream->chunks[i].items);
    free(stream->chunks);
    free(stream->intakes);
    free(stream->bench);
    hsr_patcher_destroy(stream);
    hsr_small_destroy(stream);
    free(stream);
}

void hsr_stream_connect(struct hsr_stream *stream)
{
    stream->start_msg.deliver = stream_start;
    hsr_loop_send(&stream->shard->loop, &stream->start_msg);
}

void hsr_stream_adopt(struct hsr_stream *stream, struct hsr_conn *conn)
{
    stream->conn = conn;
    conn->stream = stream;
    conn->on_frame = stream_frame;
    conn->on_closed = stream_conn_closed;
    hsr_link_tune(&conn->link, stream->session->congestion, stream->congestion);
    stream_put_join_ack(stream);
    stream_begin(stream);
}

static void stream_put_join_ack(struct hsr_stream *stream)
{
    struct hsr_join_ack ack = { .congestion = { (const uint8_t *)stream->congestion,
                                                strlen(stream->congestion) } };
    uint8_t *out = hsr_conn_begin(stream->conn, 64);
    int size;

    hsr_assert(out != NULL); /* HELLO_ACK has left */
    size = hsr_join_ack_encode(&ack, out, 64);
    if (size < 0) { /* a name of a kind that we do not know: it is for information only */
        ack.congestion.size = 0;
        size = hsr_join_ack_encode(&ack, out, 64);
    }
    hsr_assert(size > 0);
    hsr_conn_commit(stream->conn, (struct hsr_frame){ .kind = HSR_FRAME_JOIN_ACK }, (size_t)size);
}

void hsr_stream_close(struct hsr_stream *stream)
{
    if (stream->close_msg.deliver != NULL || stream->gone_heard)
        return; /* it is freed when its last work is home: the cell would still be on its way */
    stream->close_msg.deliver = stream_close;
    hsr_loop_send(&stream->shard->loop, &stream->close_msg);
}

void hsr_stream_grant(struct hsr_stream *stream, struct hsr_work *work)
{
    work->stream = stream;
    work->msg.deliver = hsr_stream_source_granted;
    stream->works_lent++;
    hsr_loop_send(&stream->shard->loop, &work->msg);
}

bool hsr_stream_lost(const struct hsr_stream *stream)
{
    enum hsr_class class = hsr_err_class(stream->rc);

    return !atomic_load(&stream->session->ended) && stream->session->bench == NULL &&
           (stream->rc == 0 || class == HSR_CLASS_NET || class == HSR_CLASS_BUSY);
}

void hsr_stream_fail(struct hsr_stream *stream, int rc)
{
    hsr_assert(rc < 0);
    if (stream->rc == 0 || stream->ebbing) /* what came is worse than that nothing more comes */
        stream->rc = rc;
    hsr_loop_wake(&stream->shard->loop, &stream->task);
}

struct hsr_chunk *hsr_stream_chunk(struct hsr_stream *stream)
{
    struct hsr_chunk *chunk = NULL;

    for (uint32_t i = 0; i < stream->chunk_count && chunk == NULL; i++)
        if (stream->chunks[i].state == HSR_CHUNK_FREE)
            chunk = &stream->chunks[i];
    if (chunk == NULL || hsr_list_linked(&stream->waiter.node))
        return NULL;
    chunk->buf = hsr_buf_take(&stream->shard->pool, &stream->waiter);
    if (chunk->buf == NULL)
        return NULL;
    chunk->size = 0;
    chunk->head = 0;
    chunk->done = 0;
    chunk->at = 0;
    chunk->phase = 0;
    chunk->work = NULL;
    chunk->intake = NULL;
    chunk->frame = (struct hsr_frame){ 0 };
    return chunk;
}

void hsr_stream_chunk_free(struct hsr_chunk *chunk)
{
    hsr_assert(!chunk->op.armed && !chunk->loan.op.armed);
    hsr_list_remove(&chunk->node);
    hsr_buf_give(&chunk->stream->shard->pool, chunk->buf);
    chunk->buf = NULL;
    hsr_chunk_enter(chunk, HSR_CHUNK_FREE);
}

void hsr_chunk_enter(struct hsr_chunk *chunk, enum hsr_chunk_state state)
{
    if (chunk->state == HSR_CHUNK_FREE && state != HSR_CHUNK_FREE)
        hsr_chunk_begin(chunk);
    else if (state == HSR_CHUNK_FREE && chunk->state != HSR_CHUNK_FREE)
        hsr_chunk_end(chunk);
    else if (chunk->timed)
        (void)chunk_stamp(chunk, (enum hsr_time)chunk->state);
    chunk->state = (uint8_t)state;
}

void hsr_chunk_begin(struct hsr_chunk *chunk)
{
    struct hsr_stream *stream = chunk->stream;
    uint32_t each = stream->session->chunk < TIMES_ALL_MIN ? TIMES_EACH : 1;

    chunk->timed = stream->times != NULL && stream->times_round++ % each == 0;
    if (!chunk->timed)
        return;
    if (chunk->since_ns > 0) /* it had ended, and that was timed */
        chunk->begun_ns = chunk_stamp(chunk, HSR_TIME_IDLE);
    else
        chunk->begun_ns = chunk->since_ns = hsr_loop_clock(&stream->shard->loop);
}

/* A begin that is not timed may follow: then nobody knows how long it was idle. */
void hsr_chunk_end(struct hsr_chunk *chunk)
{
    if (chunk->timed)
        hsr_times_add(chunk->stream->times, HSR_TIME_CHUNK,
                      chunk_stamp(chunk, (enum hsr_time)chunk->state) - chunk->begun_ns);
    else
        chunk->since_ns = 0;
    chunk->timed = false;
}

void hsr_chunk_op_begin(struct hsr_chunk *chunk)
{
    if (chunk->timed)
        chunk->op_ns = hsr_loop_clock(&chunk->stream->shard->loop);
}

void hsr_chunk_op_end(struct hsr_chunk *chunk, enum hsr_time time, uint64_t call_ns)
{
    if (!chunk->timed)
        return;
    if (call_ns == 0)
        call_ns = hsr_loop_clock(&chunk->stream->shard->loop) - chunk->op_ns;
    hsr_times_add(chunk->stream->times, time, call_ns);
}

/* The time since the last stamp was @spent; returns now. */
static uint64_t chunk_stamp(struct hsr_chunk *chunk, enum hsr_time spent)
{
    uint64_t now_ns = hsr_loop_clock(&chunk->stream->shard->loop);

    hsr_times_add(chunk->stream->times, spent, now_ns - chunk->since_ns);
    chunk->since_ns = now_ns;
    return now_ns;
}

void hsr_stream_send(struct hsr_chunk *chunk, void (*returned)(struct hsr_link_loan *loan))
{
    struct hsr_stream *stream = chunk->stream;
    struct hsr_conn *conn = stream->conn;
    uint8_t *header = chunk->buf->payload - chunk->head - HSR_FRAME_HEADER_SIZE;
    size_t size = HSR_FRAME_HEADER_SIZE + (size_t)chunk->frame.size;

    hsr_assert(stream->flying == NULL);
    chunk->frame.seq = conn->seq_out++;
    hsr_frame_encode(&chunk->frame, header);
    hsr_chunk_enter(chunk, HSR_CHUNK_SENDING);
    stream->flying = chunk;
    hsr_buf_lend(chunk->buf);
    hsr_meter_begin(&stream->meter, HSR_FLIGHT_WIRE);
    if (hsr_link_zc_wanted(&conn->link, size) && stream->lingering < stream->chunk_count / 2) {
        chunk->loan.returned = returned;
        hsr_link_send_zc(&conn->link, &chunk->loan, header, size, chunk->buf->index);
    } else {
        hsr_link_send(&conn->link, header, size);
    }
}

int hsr_stream_header(struct hsr_stream *stream)
{
    struct hsr_conn *conn = stream->conn;
    int rc = hsr_frame_decode(stream->header, &stream->next);

    stream->header_have = 0;
    hsr_require(rc == 0, rc);
    hsr_require(stream->next.seq == conn->seq_in++, HSR_E_PROTOCOL);
    if (stream->next.kind != HSR_FRAME_BEAT && stream->next.kind != HSR_FRAME_REST)
        return 0;
    hsr_require(stream->next.check.low == hsr_hash64("", 0), HSR_E_CHECK);
    rc = hsr_conn_beat(conn, &stream->next);
    return rc < 0 ? rc : 1;
}

void hsr_stream_quiet(struct hsr_stream *stream, uint64_t quiet_ns, bool there)
{
    uint64_t now = hsr_loop_clock(&stream->shard->loop);

    atomic_store_explicit(&stream->quiet_there, there, memory_order_relaxed);
    atomic_store_explicit(&stream->quiet_ns, quiet_ns > 0 ? now - HSR_MIN(quiet_ns, now - 1) : 0,
                          memory_order_relaxed);
}

bool hsr_stream_pause(struct hsr_stream *stream)
{
    if (!hsr_loop_slice_over(&stream->shard->loop))
        return false;
    hsr_loop_wake(&stream->shard->loop, &stream->task);
    return true;
}

/* Of the chunk's payload from @done on, the next piece, of at most @most bytes. */
static uint32_t stream_digest_piece(struct hsr_chunk *chunk, struct hsr_digest_run *run,
                                    uint32_t done, uint64_t most)
{
    struct hsr_stream *stream = chunk->stream;
    uint32_t piece = HSR_MAX(HSR_CHUNK_PIECE - HSR_CHUNK_PIECE % run->leaf_size, run->leaf_size);
    uint32_t size = (uint32_t)HSR_MIN(most, (uint64_t)HSR_MIN(piece, chunk->size - done));
    uint64_t start_ns = hsr_loop_clock(&stream->shard->loop);

    hsr_digest_add(&chunk->sum, hsr_digest_run_add(run, chunk->buf->payload + done, size));
    hsr_meter_add(&stream->meter, HSR_FIGURE_HASH_TIME,
                  hsr_loop_clock(&stream->shard->loop) - start_ns);
    hsr_meter_add(&stream->meter, HSR_FIGURE_HASH_BYTES, size);
    return size;
}

bool hsr_stream_digest(struct hsr_chunk *chunk, struct hsr_digest_run *run,
                       struct hsr_intake *intake)
{
    uint32_t done = (uint32_t)(run->end - chunk->frame.offset);

    hsr_assert(run->end >= chunk->frame.offset && done <= chunk->size);
    if (done == 0)
        chunk->sum = (struct hsr_digest_sum){ 0 };
    while (done < chunk->size) {
        if (done > 0 && hsr_stream_pause(chunk->stream))
            return false;
        done += stream_digest_piece(chunk, run, done,
                                    intake != NULL ? hsr_units_left(intake) : UINT64_MAX);
        if (intake != NULL)
            hsr_units_hashed(intake);
    }
    return true;
}

struct hsr_digest_sum hsr_stream_check(struct hsr_chunk *chunk)
{
    struct hsr_digest_run run;

    hsr_digest_run_init(&run, HSR_DIGEST_XXH3, chunk->stream->session->leaf, chunk->frame.offset);
    chunk->sum = (struct hsr_digest_sum){ 0 };
    for (uint32_t done = 0; done < chunk->size;)
        done += stream_digest_piece(chunk, &run, done, UINT64_MAX);
    return chunk->sum;
}

enum hsr_figure hsr_stream_chunk_waits(const struct hsr_stream *stream)
{
    if (hsr_list_linked(&stream->waiter.node))
        return HSR_FIGURE_WAIT_MEMORY;
    for (uint32_t i = 0; i < stream->chunk_count; i++) {
        const struct hsr_chunk *chunk = &stream->chunks[i];

        if (chunk->state == HSR_CHUNK_WRITING || chunk->state == HSR_CHUNK_MAKING)
            return HSR_FIGURE_WAIT_DISK;
        if (chunk->state == HSR_CHUNK_WAITING && chunk->intake->granted)
            return HSR_FIGURE_WAIT_DISK; /* for its turn: another stream writes to this file */
    }
    return HSR_FIGURE_WAIT_HOME;
}

static void stream_run(struct hsr_task *task)
{
    struct hsr_stream *stream = hsr_container_of(task, struct hsr_stream, task);

    hsr_assert(!stream->gone);
    hsr_meter_wait(&stream->meter, HSR_FIGURE_COUNT);
    if (stream->rc == 0 && !stream->closing && stream->joined &&
        stream->conn->state == HSR_CONN_STREAM) /* else it closes */
        stream->part->step(stream);
    if ((stream->rc < 0 || stream->closing) && !stream_leaves(stream))
        stream_shut(stream);
}

/* The session stops in good order: what is being sent still has to arrive. */
static bool stream_leaves(struct hsr_stream *stream)
{
    struct hsr_loop *loop = &stream->shard->loop;

    if (stream->rc < 0 || !stream->joined || stream->conn == NULL || stream->part->leave == NULL ||
        stream->conn->state != HSR_CONN_STREAM || !hsr_hold_is(&stream->session->hold) ||
        atomic_load(&stream->session->ended) || atomic_load(&stream->unheard) ||
        !stream->part->leave(stream))
        return false;
    hsr_loop_timer_set(loop, &stream->timer, hsr_loop_clock(loop) + HSR_HOLD_LOOK_NS);
    return true;
}

/* End: the connection first, then what it held, then what the disk still does; then say so. */
static void stream_shut(struct hsr_stream *stream)
{
    hsr_loop_timer_clear(&stream->shard->loop, &stream->timer);
    if (stream->conn != NULL) {
        hsr_conn_close(stream->conn);
        return; /* stream_conn_closed() comes back */
    }
    hsr_buf_waiter_cancel(&stream->shard->pool, &stream->waiter);
    stream->part->drop(stream);
    if (!stream->part->idle(stream))
        return;
    stream->gone = true;
    if (stream->joined) {
        hsr_meter_look(&stream->meter);
        hsr_lane_look(&stream->shard->lane, &stream->shard->loop);
    }
    if (stream->cache_ready)
        hsr_dircache_fini(&stream->cache);
    if (stream->tree_ready)
        hsr_tree_fini(&stream->tree);
    hsr_loop_forget(&stream->shard->loop, &stream->task);
    stream->gone_msg.deliver = stream_gone;
    hsr_loop_send(&stream->session->home->loop, &stream->gone_msg);
}

static void stream_start(struct hsr_msg *msg)
{
    struct hsr_stream *stream = hsr_container_of(msg, struct hsr_stream, start_msg);
    const struct hsr_job_spec *spec = &stream->session->spec;

    stream->conn =
        hsr_conn_connect(stream->shard, (const struct sockaddr *)&spec->address, spec->address_size,
                         spec->connect_ns ? spec->connect_ns : 10 * HSR_NS_PER_S);
    if (stream->conn == NULL) {
        hsr_stream_fail(stream, -ENOMEM);
        return;
    }
    stream->conn->stream = stream;
    stream->conn->on_frame = stream_frame;
    stream->conn->on_closed = stream_conn_closed;
    if (stream->closing)
        hsr_loop_wake(&stream->shard->loop, &stream->task);
}

static void stream_ready(struct hsr_msg *msg)
{
    struct hsr_stream *stream = hsr_container_of(msg, struct hsr_stream, ready_msg);

    hsr_session_stream_ready(stream->session, stream);
}

static void stream_close_back(struct hsr_msg *msg)
{
    struct hsr_stream *stream = hsr_container_of(msg, struct hsr_stream, close_msg);

    hsr_session_stream_gone(stream->session, stream, stream->rc);
}

static void stream_close(struct hsr_msg *msg)
{
    struct hsr_stream *stream = hsr_container_of(msg, struct hsr_stream, close_msg);

    if (stream->gone) { /* it ended by itself: the cell goes home too, then it can be freed */
        stream->close_msg.deliver = stream_close_back;
        hsr_loop_send(&stream->session->home->loop, &stream->close_msg);
        return;
    }
    stream->closing = true;
    hsr_loop_wake(&stream->shard->loop, &stream->task);
}

static void stream_gone(struct hsr_msg *msg)
{
    struct hsr_stream *stream = hsr_container_of(msg, struct hsr_stream, gone_msg);

    if (stream->close_msg.deliver != NULL && !stream->closing)
        return; /* CLOSE was sent and not seen: stream_close() sends it back */
    hsr_session_stream_gone(stream->session, stream, stream->rc);
}

static void stream_timer(struct hsr_timer *timer)
{
    struct hsr_stream *stream = hsr_container_of(timer, struct hsr_stream, timer);

    stream->paced = false;
    hsr_loop_wake(&stream->shard->loop, &stream->task);
}

/* A client's handshake on a data connection; a server's connection comes here joined. */
static int stream_frame(struct hsr_conn *conn, const struct hsr_frame *frame,
                        struct hsr_span payload)
{
    struct hsr_stream *stream = conn->stream;
    struct hsr_reject reject;

    if (frame->kind == HSR_FRAME_REJECT && hsr_reject_decode(payload, &reject) >= 0) {
        /* The session may have ended there: the control connection knows more. */
        hsr_stream_fail(stream, stream->again ? HSR_E_CLOSED : reject.code);
        return 0;
    }
    if (conn->state == HSR_CONN_GREETING && frame->kind == HSR_FRAME_HELLO_ACK)
        return stream_join(stream, payload);
    if (conn->state == HSR_CONN_WAITING && frame->kind == HSR_FRAME_JOIN_ACK)
        return stream_joined(stream, payload);
    return HSR_E_PROTOCOL;
}

static int stream_join(struct hsr_stream *stream, struct hsr_span payload)
{
    struct hsr_hello_ack ack;
    struct hsr_join join = { .stream = stream->index };
    uint8_t *out;
    int rc = hsr_hello_ack_decode(payload, &ack);

    if (rc < 0)
        return rc;
    hsr_require(ack.version == HSR_PROTO_VERSION, HSR_E_VERSION);
    stream->early = payload.ptr + payload.size < stream->conn->in + stream->conn->in_end;
    stream->conn->silence_ms = ack.silence_ms;
    memcpy(join.token, stream->session->token, HSR_TOKEN_SIZE);
    out = hsr_conn_begin(stream->conn, 64);
    hsr_assert(out != NULL); /* only HELLO was queued before */
    rc = hsr_join_encode(&join, out, 64);
    hsr_assert(rc > 0);
    hsr_conn_commit(stream->conn, (struct hsr_frame){ .kind = HSR_FRAME_JOIN }, (size_t)rc);
    stream->conn->state = HSR_CONN_WAITING;
    return 0;
}

static int stream_joined(struct hsr_stream *stream, struct hsr_span payload)
{
    struct hsr_join_ack ack;
    int rc = hsr_join_ack_decode(payload, &ack);

    if (rc < 0)
        return rc;
    hsr_require(!stream->early, HSR_E_PROTOCOL);
    hsr_assert(!hsr_link_receiving(&stream->conn->link)); /* the machine's are the next bytes */
    memcpy(stream->congestion_peer, ack.congestion.ptr, ack.congestion.size);
    stream->conn->state = HSR_CONN_STREAM;
    hsr_link_tune(&stream->conn->link, stream->session->congestion, stream->congestion);
    stream_begin(stream);
    return 0;
}

/* Joined: the machine takes over the link; the connection keeps only its output of the handshake.
 */
static void stream_begin(struct hsr_stream *stream)
{
    struct hsr_conn *conn = stream->conn;

    conn->in_stopped = true;
    hsr_conn_timer_start(conn);
    stream->joined = true;
    hsr_meter_start(&stream->meter, HSR_FIGURE_STREAMS);
    hsr_lane_look(&stream->shard->lane, &stream->shard->loop); /* the home counts from here */
    hsr_limit_watch(stream->shard);
    stream->ready_msg.deliver = stream_ready;
    hsr_loop_send(&stream->session->home->loop, &stream->ready_msg);
    hsr_loop_wake(&stream->shard->loop, &stream->task);
}

static void stream_conn_closed(struct hsr_conn *conn)
{
    struct hsr_stream *stream = conn->stream;
    struct hsr_session_counts *counts = &stream->session->counts;

    atomic_fetch_add_explicit(&counts->sent, conn->link.sent_bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->received, conn->link.received_bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->zc_sent, conn->link.zc.sent_bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->zc_copied, conn->link.zc.copied_bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->zc_downgrades, conn->link.zc.downgrades,
                              memory_order_relaxed);
    stream->conn = NULL;
    if (stream->flying != NULL) { /* the link has let go of its buffer */
        hsr_meter_end(&stream->meter, HSR_FLIGHT_WIRE, 0);
        hsr_buf_return(stream->flying->buf);
        hsr_chunk_enter(stream->flying, HSR_CHUNK_READY);
        stream->flying = NULL;
    }
    if (stream->lent) {
        hsr_meter_end(&stream->meter, HSR_FLIGHT_WIRE, 0);
        hsr_buf_return(stream->receiving->buf);
    }
    stream->lent = false;
    if (stream->rc == 0 && !stream->closing)
        stream->rc = conn->rc < 0 ? conn->rc : HSR_E_CLOSED;
    memcpy(stream->why, conn->why, sizeof(stream->why));
    hsr_loop_wake(&stream->shard->loop, &stream->task);
}
