/* A source's stream: granted work -> chunks -> the wire, in order. See stream.h.
 *
 *   chunk: FREE -> READING -> (MATCHING ->) READY -> SENDING -> (LINGERING ->) FREE
 *
 * A chunk lingers when its send was zero-copy and the peer has not acknowledged it: its work is
 * done, the next chunk is being sent, only its buffer is not ours yet. At most half of the chunks
 * linger; then sends are copies, so that nothing ever waits for an acknowledgement, which a peer
 * may hold back for 40 ms. */
#include "transfer/engine/stream.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/patcher.h"
#include "transfer/engine/small.h"
#include "transfer/engine/source.h"

#define PACK_ASK 4u /* members read between two looks at what else waits: 20 us for 4 KiB each */

static void source_step(struct hsr_stream *stream);
static bool source_idle(const struct hsr_stream *stream);
static void source_drop(struct hsr_stream *stream);
static bool source_leave(struct hsr_stream *stream);
static bool source_held(struct hsr_stream *stream);
static enum hsr_figure source_waits(const struct hsr_stream *stream);
static bool source_fill(struct hsr_stream *stream);
static bool source_ahead(const struct hsr_stream *stream, const struct hsr_work *work);
static struct hsr_work *source_next_work(struct hsr_stream *stream);
static void source_read(struct hsr_stream *stream, struct hsr_work *work, struct hsr_chunk *chunk);
static void source_read_submit(struct hsr_chunk *chunk);
static void source_chunk_read(struct hsr_op *op, int64_t res, unsigned flags);
static bool source_settle_reads(struct hsr_stream *stream);
static bool source_hash(struct hsr_chunk *chunk);
static void source_cut(struct hsr_chunk *chunk);
static bool source_pack(struct hsr_stream *stream, struct hsr_work *work);
static int source_member(struct hsr_stream *stream, struct hsr_work *work,
                         struct hsr_source_member *member, uint8_t *out,
                         struct hsr_pack_member *ret_member);
static void source_patch(struct hsr_stream *stream, struct hsr_work *work,
                         const struct hsr_source_view *view, uint8_t *bytes,
                         struct hsr_pack_member *member);
static void source_pack_end(struct hsr_chunk *chunk);
static void source_listen(struct hsr_stream *stream);
static void source_send(struct hsr_stream *stream);
static void source_sent(struct hsr_link *link, int rc);
static void source_returned(struct hsr_link_loan *loan);
static void source_chunk_done(struct hsr_chunk *chunk);
static void source_work_leave(struct hsr_work *work);
static void source_work_return(struct hsr_work *work);
static void source_work_home(struct hsr_msg *msg);

const struct hsr_stream_part hsr_stream_source_part = {
    .name = "source stream",
    .step = source_step,
    .idle = source_idle,
    .drop = source_drop,
    .leave = source_leave,
};

void hsr_stream_source_granted(struct hsr_msg *msg)
{
    struct hsr_work *work = hsr_container_of(msg, struct hsr_work, msg);
    struct hsr_stream *stream = work->stream;

    hsr_list_init(&work->node);
    if (stream->gone) { /* it crossed GONE on its way: the home waits for it before it frees us */
        work->rc = HSR_E_CANCELED;
        work->number = 0;
        work->bytes = 0;
        work->dropped = true;
        source_work_return(work);
        return;
    }
    work->rc = 0;
    work->number = 0;
    work->dropped = false;
    work->busy = 0;
    work->next = work->start;
    work->bytes = 0;
    work->marked = NULL;
    if (work->kind == HSR_WORK_RANGE)
        hsr_digest_run_init(&work->run, (enum hsr_digest_kind)stream->session->digest,
                            stream->session->leaf, work->start);
    work->cursor = (struct hsr_match_cursor){ 0 };
    work->literal = 0;
    work->copied = 0;
    work->patches = 0;
    hsr_list_push_tail(&stream->works, &work->node);
    hsr_loop_wake(&stream->shard->loop, &stream->task);
}

static void source_step(struct hsr_stream *stream)
{
    if (!stream->cache_ready) {
        hsr_dircache_init(&stream->cache, &stream->shard->loop, -1,
                          (stream->session->options & HSR_OPT_COPY_LINKS) != 0);
        stream->cache_ready = true;
        stream->conn->link.sent = source_sent;
        stream->conn->link.received = hsr_stream_received;
        hsr_link_zc_start(&stream->conn->link, stream->session->zero_copy);
    }
    source_listen(stream);
    if (stream->rc < 0)
        return;
    if (source_settle_reads(stream) && !source_held(stream)) {
        while (source_fill(stream))
            continue;
        hsr_patcher_step(stream);
    }
    if (!source_held(stream))
        source_send(stream);
    hsr_meter_wait(&stream->meter, source_waits(stream));
}

/* First what is being sent, then the end of it. We close after the target has: a beat of it that
 * met a closed socket would make the kernel throw away what it still has to send. */
static bool source_leave(struct hsr_stream *stream)
{
    struct hsr_conn *conn = stream->conn;

    if (!stream->cache_ready)
        return false; /* it was never stepped: nothing was sent */
    source_listen(stream);
    if (stream->rc < 0)
        return false;
    if (!stream->leaving && stream->flying == NULL && stream->lingering == 0 &&
        !hsr_link_sending(&conn->link) && conn->out_size == 0) {
        hsr_loop_timer_clear(&stream->shard->loop, &conn->timer); /* no further beat */
        hsr_link_end(&conn->link);
        stream->leaving = true;
    }
    return true;
}

/* Nothing is begun: look again later. There is no message for its end, so none can cross ours. */
static bool source_held(struct hsr_stream *stream)
{
    struct hsr_loop *loop = &stream->shard->loop;

    if (!hsr_hold_is(&stream->session->hold))
        return false;
    if (!stream->paced && (!hsr_list_empty(&stream->works) || !hsr_list_empty(&stream->sending))) {
        stream->paced = true;
        hsr_loop_timer_set(loop, &stream->timer, hsr_loop_clock(loop) + HSR_HOLD_LOOK_NS);
    }
    return true;
}

static enum hsr_figure source_waits(const struct hsr_stream *stream)
{
    if (stream->flying == NULL && hsr_hold_is(&stream->session->hold))
        return HSR_FIGURE_COUNT; /* for its user, who is no stage */
    if (stream->flying != NULL || (stream->lingering > 0 && hsr_list_empty(&stream->sending) &&
                                   !hsr_list_empty(&stream->works)))
        return HSR_FIGURE_WAIT_PEER;
    if (stream->paced)
        return HSR_FIGURE_WAIT_PACE;
    if (!hsr_list_empty(&stream->sending))
        return HSR_FIGURE_WAIT_DISK; /* the oldest chunk is still being read */
    return hsr_list_linked(&stream->waiter.node) ? HSR_FIGURE_WAIT_MEMORY : HSR_FIGURE_WAIT_HOME;
}

static bool source_idle(const struct hsr_stream *stream)
{
    for (uint32_t i = 0; i < stream->chunk_count; i++)
        if (stream->chunks[i].state != HSR_CHUNK_FREE)
            return false;
    return hsr_list_empty(&stream->works);
}

/* The connection is gone: what is not in the kernel's hands goes back. */
static void source_drop(struct hsr_stream *stream)
{
    stream->packing = NULL;
    for (uint32_t i = 0; i < stream->chunk_count; i++) {
        struct hsr_chunk *chunk = &stream->chunks[i];

        if (chunk->state == HSR_CHUNK_FREE || chunk->op.armed)
            continue;
        chunk->work->busy--;
        hsr_patcher_forget(stream, chunk);
        hsr_stream_chunk_free(chunk);
    }
    for (struct hsr_list *node = stream->works.next, *next; node != &stream->works; node = next) {
        struct hsr_work *work = hsr_container_of(node, struct hsr_work, node);

        next = node->next;
        work->dropped = true;
        if (work->rc == 0)
            work->rc = HSR_E_CANCELED;
        if (work->busy == 0)
            source_work_return(work);
    }
}

/* Start one chunk; false when nothing can be started now. */
static bool source_fill(struct hsr_stream *stream)
{
    struct hsr_work *work = source_next_work(stream);
    struct hsr_chunk *chunk;

    if (work == NULL)
        return false;
    if (work->kind == HSR_WORK_PACK) {
        uint64_t start_ns = hsr_loop_clock(&stream->shard->loop);
        bool complete = source_pack(stream, work);

        hsr_meter_add(&stream->meter, HSR_FIGURE_PACK_TIME,
                      hsr_loop_clock(&stream->shard->loop) - start_ns);
        return complete;
    }
    if (source_ahead(stream, work))
        return false;
    chunk = hsr_stream_chunk(stream);
    if (chunk == NULL)
        return false;
    source_read(stream, work, chunk);
    return true;
}

/* A tmpfs is read by copying, and what was copied is still in the core's cache if it is hashed and
 * sent at once: one chunk beside the one that flies is enough; of a delta one is compared
 * meanwhile, and the one behind it is there for its end. Nothing is won by reading further ahead,
 * as it is from a disk. */
static bool source_ahead(const struct hsr_stream *stream, const struct hsr_work *work)
{
    uint32_t waiting = 0;

    for (struct hsr_list *node = stream->sending.next; node != &stream->sending; node = node->next)
        if (hsr_container_of(node, struct hsr_chunk, node) != stream->flying)
            waiting++;
    return stream->session->call_io && waiting >= (work->base != NULL ? 3u : 1u);
}

/* The oldest work that has something left to read. */
static struct hsr_work *source_next_work(struct hsr_stream *stream)
{
    for (struct hsr_list *node = stream->works.next; node != &stream->works; node = node->next) {
        struct hsr_work *work = hsr_container_of(node, struct hsr_work, node);

        if (work->next < work->end)
            return work;
    }
    return NULL;
}

static void source_read(struct hsr_stream *stream, struct hsr_work *work, struct hsr_chunk *chunk)
{
    chunk->work = work;
    chunk->offset = work->next;
    chunk->size = (uint32_t)HSR_MIN((uint64_t)stream->session->chunk, work->end - work->next);
    hsr_chunk_enter(chunk, HSR_CHUNK_READING);
    chunk->frame = (struct hsr_frame){ .kind = HSR_FRAME_DATA,
                                       .page = work->page,
                                       .index = work->index,
                                       .offset = chunk->offset,
                                       .size = chunk->size };
    work->next += chunk->size;
    if (work->next == work->end)
        chunk->frame.flags = HSR_FRAME_RANGE_END;
    work->busy++;
    hsr_list_push_tail(&stream->sending, &chunk->node);
    source_read_submit(chunk);
}

static void source_read_submit(struct hsr_chunk *chunk)
{
    chunk->op = (struct hsr_op){ .kind = HSR_OP_READ,
                                 .done = source_chunk_read,
                                 .fd = chunk->work->fd,
                                 .buf = chunk->buf->payload,
                                 .buf_index = chunk->buf->index };
    hsr_fileio_prepare(&chunk->work->io, &chunk->op, chunk->offset, chunk->size, chunk->done);
    hsr_assert(chunk->done + chunk->op.size <= chunk->buf->size);
    hsr_buf_lend(chunk->buf);
    hsr_meter_disk_begin(&chunk->stream->meter, &chunk->op);
    hsr_chunk_op_begin(chunk);
    hsr_loop_submit(&chunk->stream->shard->loop, &chunk->op);
}

static void source_chunk_read(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_chunk *chunk = hsr_container_of(op, struct hsr_chunk, op);
    struct hsr_work *work = chunk->work;
    struct hsr_stream *stream = chunk->stream;
    int rc;

    if (flags & HSR_CQE_MORE)
        return;
    hsr_assert(chunk->state == HSR_CHUNK_READING);
    hsr_meter_disk_end(&stream->meter, op, res);
    hsr_chunk_op_end(chunk, HSR_TIME_READ, op->call ? op->call_ns : 0);
    hsr_buf_return(chunk->buf);
    hsr_session_moved(stream->session, op, res);
    rc = hsr_fileio_result(&stream->shard->loop, op, &work->io, res, chunk->size, &chunk->done);
    if (rc < 0 && work->rc == 0)
        work->rc = rc == -ENODATA ? HSR_E_CHANGED : rc; /* shorter than it was: changed */
    if (work->rc == 0 && rc > 0)
        source_read_submit(chunk);
    else
        hsr_loop_wake(&stream->shard->loop, &stream->task);
}

/* Hash what was read, in the order it will leave; take back what will not. False: the slice is
 * over. */
static bool source_settle_reads(struct hsr_stream *stream)
{
    for (struct hsr_list *node = stream->sending.next, *next; node != &stream->sending;
         node = next) {
        struct hsr_chunk *chunk = hsr_container_of(node, struct hsr_chunk, node);

        next = node->next;
        if (chunk->op.armed || chunk == stream->flying || chunk == stream->packing)
            continue;
        if (chunk->work->rc < 0)
            source_cut(chunk);
        else if (chunk->state == HSR_CHUNK_READING && !source_hash(chunk))
            return false;
    }
    return true;
}

/* When those before it in the range were. False: the slice is over. */
static bool source_hash(struct hsr_chunk *chunk)
{
    uint64_t end = chunk->work->run.end;

    if (end < chunk->offset || end >= chunk->offset + chunk->size)
        return true;
    hsr_assert(chunk->done == chunk->size);
    if (!hsr_stream_digest(chunk, &chunk->work->run, NULL))
        return false;
    chunk->frame.check = chunk->sum;
    hsr_chunk_enter(chunk, chunk->work->base != NULL ? HSR_CHUNK_MATCHING : HSR_CHUNK_READY);
    return true;
}

/* The range failed: nothing of it leaves any more. If something has left, the first chunk taken
 * back becomes an empty end of the range, so that the target lets go of it; of a range that sent
 * nothing the target knows nothing, and FILE_END may have settled the file when an end would come.
 */
static void source_cut(struct hsr_chunk *chunk)
{
    struct hsr_work *work = chunk->work;

    if (work->marked == chunk)
        return; /* the end itself, on its way */
    hsr_patcher_forget(chunk->stream, chunk);
    work->next = work->end;
    if (work->bytes == 0 || work->marked != NULL) {
        source_chunk_done(chunk);
        return;
    }
    work->marked = chunk;
    chunk->size = 0;
    chunk->head = 0;
    chunk->frame.kind = HSR_FRAME_DATA;
    chunk->frame.size = 0;
    chunk->frame.region = 0;
    chunk->frame.flags = HSR_FRAME_RANGE_END;
    chunk->frame.check = (struct hsr_digest_sum){ 0 };
    hsr_chunk_enter(chunk, HSR_CHUNK_READY);
}

/* Fill a pack, a slice at a time. Returns true when the pack is complete and more may be started.
 */
static bool source_pack(struct hsr_stream *stream, struct hsr_work *work)
{
    struct hsr_chunk *chunk = stream->packing;
    struct hsr_pack_member *table;
    unsigned asked = 0;

    if (chunk == NULL) {
        chunk = hsr_stream_chunk(stream);
        if (chunk == NULL)
            return false;
        chunk->work = work;
        hsr_chunk_enter(chunk, HSR_CHUNK_READING);
        chunk->size =
            (uint32_t)hsr_pack_table_size(work->member_count, stream->session->digest_size);
        chunk->done = 0; /* members so far */
        work->busy++;
        work->next = work->start;
        stream->packing = chunk;
        hsr_list_push_tail(&stream->sending, &chunk->node);
    }
    table = work->table;
    while (chunk->done < work->member_count) {
        uint32_t i = chunk->done;

        if (++asked % PACK_ASK == 0 && hsr_stream_pause(stream))
            return false;
        work->members[i].code = source_member(stream, work, &work->members[i],
                                              chunk->buf->payload + chunk->size, &table[i]);
        chunk->size += table[i].size;
        if (table[i].patch)
            asked |= PACK_ASK - 1; /* that took longer: ask before the next */
        chunk->done++;
    }
    stream->packing = NULL;
    work->next = work->end;
    hsr_meter_add(&stream->meter, HSR_FIGURE_PACK_BYTES, work->bytes);
    source_pack_end(chunk);
    return true;
}

/* Open, read, look again, close: the whole life of a small file at the source. */
static int source_member(struct hsr_stream *stream, struct hsr_work *work,
                         struct hsr_source_member *member, uint8_t *out,
                         struct hsr_pack_member *ret_member)
{
    struct hsr_loop *loop = &stream->shard->loop;
    struct hsr_source_view view;
    struct hsr_op op;
    uint64_t have = 0;
    int64_t res = 0;
    int fd, rc;

    hsr_source_view(member->page, member->index, &view);
    *ret_member = (struct hsr_pack_member){ .page = view.page, .index = member->index };
    fd = hsr_source_open_blind(&stream->cache, view.walk, view.dir, view.name,
                               (stream->session->options & HSR_OPT_COPY_LINKS) != 0);
    if (fd < 0)
        return ret_member->code = fd;
    while (have < view.size) {
        op = (struct hsr_op){ .kind = HSR_OP_READ,
                              .fd = fd,
                              .buf = out + have,
                              .size = view.size - have,
                              .offset = have,
                              .buf_index = -1 };
        res = hsr_loop_call(loop, &op);
        if (res <= 0)
            break;
        have += (uint64_t)res;
    }
    rc = hsr_source_check(loop, fd, &view.identity);
    if (have < view.size && rc != HSR_E_KIND) /* no file: that is why it could not be read */
        rc = res < 0 ? (int)res : HSR_E_CHANGED;
    op = (struct hsr_op){ .kind = HSR_OP_CLOSE, .fd = fd };
    (void)hsr_loop_call(loop, &op); /* read only: a failed close loses nothing */
    ret_member->code = rc;
    if (rc == 0) {
        ret_member->size = (uint32_t)view.size;
        hsr_digest_bytes((enum hsr_digest_kind)stream->session->digest, out, view.size,
                         stream->session->leaf, ret_member->digest);
        work->bytes += view.size;
        if (view.sums != NULL)
            source_patch(stream, work, &view, out, ret_member);
    }
    return rc;
}

/* The target has an old version of it: if a patch is shorter, that is the member. */
static void source_patch(struct hsr_stream *stream, struct hsr_work *work,
                         const struct hsr_source_view *view, uint8_t *bytes,
                         struct hsr_pack_member *member)
{
    uint32_t literal = member->size;
    uint32_t size = hsr_small_patch(stream, view->sums, work->key, bytes, member->size, &literal);

    work->literal += literal;
    work->copied += member->size - literal;
    if (size == 0)
        return;
    member->patch = true;
    member->size = size;
    work->patches++;
}

static void source_pack_end(struct hsr_chunk *chunk)
{
    struct hsr_work *work = chunk->work;
    uint32_t digest_size = work->session->digest_size;
    size_t table_size = hsr_pack_table_size(work->member_count, digest_size);

    hsr_pack_encode(work->table, work->member_count, digest_size, chunk->buf->payload);
    chunk->frame = (struct hsr_frame){ .kind = HSR_FRAME_PACK,
                                       .size = chunk->size,
                                       .check.low = hsr_hash64(chunk->buf->payload, table_size) };
    hsr_chunk_enter(chunk, HSR_CHUNK_READY);
}

/* All that a target says on a stream is that it lives. */
static void source_listen(struct hsr_stream *stream)
{
    while (stream->rc == 0) {
        int rc = 1;

        if (stream->has_arrived) {
            stream->has_arrived = false;
            if (stream->arrived <= 0)
                rc = stream->arrived < 0 ? (int)stream->arrived : HSR_E_CLOSED;
            else
                stream->header_have += (uint32_t)stream->arrived;
            hsr_assert(stream->header_have <= HSR_FRAME_HEADER_SIZE);
            if (rc > 0 && stream->header_have == HSR_FRAME_HEADER_SIZE)
                rc = hsr_stream_header(stream);
        }
        if (rc <= 0)
            hsr_stream_fail(stream, rc < 0 ? rc : HSR_E_PROTOCOL);
        hsr_stream_receive(stream);
        if (!stream->has_arrived)
            return;
    }
}

/* One send at a time, oldest chunk first, when --bwlimit allows. */
static void source_send(struct hsr_stream *stream)
{
    struct hsr_loop *loop = &stream->shard->loop;
    struct hsr_conn *conn = stream->conn;
    struct hsr_chunk *chunk;
    size_t size;

    if (stream->flying != NULL || hsr_link_sending(&conn->link) || conn->out_size > 0 ||
        hsr_list_empty(&stream->sending) || stream->paced)
        return;
    chunk = hsr_container_of(stream->sending.next, struct hsr_chunk, node);
    if (chunk->state != HSR_CHUNK_READY)
        return;
    size = HSR_FRAME_HEADER_SIZE + (size_t)chunk->frame.size;
    if (stream->pace_ns == 0)
        stream->pace_ns = hsr_session_pace(stream->session, hsr_loop_clock(loop), size);
    if (stream->pace_ns > hsr_loop_clock(loop)) {
        stream->paced = true;
        hsr_loop_timer_set(loop, &stream->timer, stream->pace_ns);
        return;
    }
    stream->pace_ns = 0;
    if (chunk->frame.kind == HSR_FRAME_PACK || (chunk->frame.flags & HSR_FRAME_RANGE_END))
        chunk->work->number = ++stream->ends;
    if (chunk->work->kind == HSR_WORK_RANGE)
        chunk->work->bytes += chunk->size;
    hsr_stream_send(chunk, source_returned);
}

static void source_sent(struct hsr_link *link, int rc)
{
    struct hsr_conn *conn = hsr_container_of(link, struct hsr_conn, link);
    struct hsr_stream *stream = conn->stream;
    struct hsr_chunk *chunk = stream->flying;

    if (rc < 0)
        hsr_stream_fail(stream, rc);
    if (chunk != NULL) {
        if (rc < 0) { /* some of it may have left */
            chunk->work->dropped = true;
            if (chunk->work->rc == 0)
                chunk->work->rc = HSR_E_CANCELED;
        }
        stream->flying = NULL;
        hsr_times_zc(stream->times, link);
        hsr_meter_end(&stream->meter, HSR_FLIGHT_WIRE, rc == 0 ? chunk->frame.size : 0);
        if (rc == 0)
            atomic_fetch_add_explicit(&stream->session->counts.bytes,
                                      chunk->work->kind == HSR_WORK_PACK ? chunk->work->bytes
                                                                         : chunk->size,
                                      memory_order_relaxed);
        source_work_leave(chunk->work);
        if (chunk->loan.op.armed) {
            hsr_list_remove(&chunk->node);
            hsr_chunk_enter(chunk, HSR_CHUNK_LINGERING);
            chunk->work = NULL;
            stream->lingering++;
        } else {
            hsr_buf_return(chunk->buf);
            hsr_stream_chunk_free(chunk);
        }
    } else {
        hsr_loop_wake(&conn->shard->loop, &conn->task); /* the end of the handshake was sent */
    }
    hsr_loop_wake(&stream->shard->loop, &stream->task);
}

/* The kernel needs the memory no more. Before the whole chunk is sent that changes nothing, and
 * when the connection closes in between, stream_conn_closed() takes the buffer. */
static void source_returned(struct hsr_link_loan *loan)
{
    struct hsr_chunk *chunk = hsr_container_of(loan, struct hsr_chunk, loan);
    struct hsr_stream *stream = chunk->stream;

    hsr_times_zc(stream->times, loan->link);
    if (chunk->state != HSR_CHUNK_LINGERING)
        return;
    stream->lingering--;
    hsr_buf_return(chunk->buf);
    hsr_stream_chunk_free(chunk);
    hsr_loop_wake(&stream->shard->loop, &stream->task);
}

static void source_chunk_done(struct hsr_chunk *chunk)
{
    struct hsr_work *work = chunk->work;

    hsr_stream_chunk_free(chunk);
    source_work_leave(work);
}

/* A chunk of @work is out of the pipeline. */
static void source_work_leave(struct hsr_work *work)
{
    hsr_assert(work->busy > 0);
    work->busy--;
    if (work->busy == 0 && work->next >= work->end)
        source_work_return(work);
}

static void source_work_return(struct hsr_work *work)
{
    hsr_list_remove(&work->node);
    work->msg.deliver = source_work_home;
    hsr_loop_send(&work->session->home->loop, &work->msg);
}

static void source_work_home(struct hsr_msg *msg)
{
    struct hsr_work *work = hsr_container_of(msg, struct hsr_work, msg);

    struct hsr_stream *stream = work->stream;

    stream->works_lent--;
    hsr_source_work_done(work->session, work);
    if (stream->gone_heard && stream->works_lent == 0)
        hsr_session_stream_gone(stream->session, stream, stream->rc);
}
