/* A target's stream: frames -> chunks -> verified -> files. See stream.h;
 * stream_write.c and stream_make.c for the last step.
 *
 *   chunk:  FREE -> RECEIVING -> WAITING -> WRITING -> FREE
 *   intake: free -> active (asked, granted) -> done (lent to the home) -> free */
#include "transfer/engine/stream_target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/stream_patch.h"
#include "transfer/engine/target.h"

static void target_step(struct hsr_stream *stream);
static bool target_idle(const struct hsr_stream *stream);
static void target_drop(struct hsr_stream *stream);
static bool target_ebb(struct hsr_stream *stream);
static void target_ebbs(struct hsr_msg *msg);
static void target_take(struct hsr_stream *stream);
static bool target_begin_frame(struct hsr_stream *stream);
static int target_arrived(struct hsr_stream *stream, struct hsr_chunk *chunk);
static int target_data(struct hsr_stream *stream, struct hsr_chunk *chunk);
static int target_pack(struct hsr_stream *stream, struct hsr_chunk *chunk);
static struct hsr_intake *target_range_new(struct hsr_stream *stream,
                                           const struct hsr_frame *frame);
static bool target_hash(struct hsr_chunk *chunk);
static struct hsr_intake *target_intake_find(struct hsr_stream *stream, uint32_t page,
                                             uint32_t index);
static struct hsr_intake *target_intake_new(struct hsr_stream *stream);
static void target_intake_home(struct hsr_msg *msg);
static void target_intake_back(struct hsr_msg *msg);
static void target_intake_check(struct hsr_intake *intake);
static void target_write_waiting(struct hsr_stream *stream);
static void target_chunk(struct hsr_chunk *chunk);
static void target_turn_heard(struct hsr_msg *msg);

const struct hsr_stream_part hsr_stream_target_part = {
    .name = "target stream",
    .step = target_step,
    .idle = target_idle,
    .drop = target_drop,
};

static void target_step(struct hsr_stream *stream)
{
    if (!stream->tree_ready) {
        hsr_tree_init(&stream->tree, &stream->shard->loop, stream->session->root_fd,
                      stream->session->options);
        stream->tree_ready = true;
        stream->conn->link.received = hsr_stream_received;
    }
    target_write_waiting(stream);
    for (;;) {
        if (stream->has_arrived)
            target_take(stream);
        if (stream->rc < 0)
            return;
        if (stream->taken && !target_begin_frame(stream)) {
            hsr_meter_wait(&stream->meter, hsr_stream_chunk_waits(stream));
            return;
        }
        hsr_stream_receive(stream);
        if (!stream->has_arrived)
            break;
    }
    hsr_meter_wait(&stream->meter, HSR_FIGURE_WAIT_PEER);
}

static bool target_idle(const struct hsr_stream *stream)
{
    for (uint32_t i = 0; i < stream->chunk_count; i++)
        if (stream->chunks[i].state != HSR_CHUNK_FREE)
            return false;
    for (uint32_t i = 0; i < stream->intake_count; i++)
        if (stream->intakes[i].home || stream->intakes[i].granted || stream->intakes[i].busy > 0 ||
            stream->intakes[i].units.out)
            return false;
    return true;
}

/* The connection is gone: what no system call and no message holds goes back. */
static void target_drop(struct hsr_stream *stream)
{
    bool lossy = hsr_stream_lost(stream);

    if (lossy && !target_ebb(stream))
        return;
    stream->receiving = NULL;
    for (uint32_t i = 0; i < stream->chunk_count; i++) {
        struct hsr_chunk *chunk = &stream->chunks[i];
        struct hsr_intake *intake = chunk->intake;

        if (chunk->state == HSR_CHUNK_FREE || chunk->op.armed)
            continue;
        if (intake != NULL && intake->home)
            continue; /* the home still looks at it */
        if (intake != NULL) {
            if (intake->rc == 0)
                intake->rc = HSR_E_CANCELED;
            if (intake->pack)
                for (uint32_t k = chunk->item_next; k < chunk->item_count; k++)
                    if (chunk->items[k].code == 0)
                        chunk->items[k].code = HSR_E_CANCELED;
            hsr_stream_chunk_done(chunk);
        } else {
            hsr_stream_chunk_free(chunk);
        }
    }
    for (uint32_t i = 0; i < stream->intake_count; i++) {
        struct hsr_intake *intake = &stream->intakes[i];

        if (!intake->home && intake->granted && !intake->ended) {
            intake->ended = true;
            intake->lost = lossy;
            if (intake->rc == 0)
                intake->rc = HSR_E_CANCELED;
            target_intake_check(intake);
        }
    }
}

/* The connection is lost, the session goes on: what came whole is dealt with as ever, so that what
 * arrived is what came first. False: not all of it yet. */
static bool target_ebb(struct hsr_stream *stream)
{
    if (!stream->ebbing) {
        stream->ebbing = true;
        stream->ebb_msg.deliver = target_ebbs;
        hsr_loop_send(&stream->session->home->loop, &stream->ebb_msg);
    }
    if (stream->receiving != NULL) { /* a part of a frame */
        hsr_stream_chunk_free(stream->receiving);
        stream->receiving = NULL;
    }
    if (stream->tree_ready)
        target_write_waiting(stream);
    for (uint32_t i = 0; i < stream->chunk_count; i++) {
        const struct hsr_chunk *chunk = &stream->chunks[i];

        if (chunk->state == HSR_CHUNK_WAITING || chunk->state == HSR_CHUNK_MAKING ||
            chunk->state == HSR_CHUNK_WRITING)
            return false;
    }
    return true;
}

/* At home: there may be more files under way now, whose ends come on other streams. */
static void target_ebbs(struct hsr_msg *msg)
{
    const struct hsr_stream *stream = hsr_container_of(msg, struct hsr_stream, ebb_msg);

    hsr_target_loses(stream->session);
}

void hsr_stream_answer(struct hsr_intake *intake)
{
    intake->msg.deliver = target_intake_back;
    hsr_loop_send(&intake->stream->shard->loop, &intake->msg);
}

/* Share out what the last receive brought: the rest of a payload, then of the next header. */
static void target_take(struct hsr_stream *stream)
{
    int64_t arrived = stream->arrived;
    struct hsr_chunk *chunk = stream->receiving;
    int rc = 0;

    stream->has_arrived = false;
    if (arrived <= 0) {
        hsr_stream_fail(stream, arrived < 0 ? (int)arrived : HSR_E_CLOSED);
        return;
    }
    if (chunk != NULL) {
        uint32_t part = (uint32_t)HSR_MIN((uint64_t)arrived, chunk->size - stream->received);

        stream->received += part;
        arrived -= part;
        if (stream->received == chunk->size) {
            stream->receiving = NULL;
            rc = target_arrived(stream, chunk);
        }
    }
    stream->header_have += (uint32_t)arrived;
    hsr_assert(stream->header_have <= HSR_FRAME_HEADER_SIZE);
    if (rc == 0 && stream->header_have == HSR_FRAME_HEADER_SIZE) {
        rc = hsr_stream_header(stream);
        stream->taken = rc == 0;
        if (rc == 0 && !hsr_frame_is_bulk(stream->next.kind))
            rc = HSR_E_PROTOCOL;
        if (rc == 0 && stream->next.size > stream->session->chunk)
            rc = HSR_E_LIMIT;
    }
    if (rc < 0)
        hsr_stream_fail(stream, rc);
}

/* A header is there: find a chunk for its payload. False: none is free. */
static bool target_begin_frame(struct hsr_stream *stream)
{
    struct hsr_chunk *chunk;

    if (hsr_list_empty(&stream->intakes_free))
        return false;
    chunk = hsr_stream_chunk(stream);
    if (chunk == NULL)
        return false;
    hsr_chunk_enter(chunk, HSR_CHUNK_RECEIVING);
    chunk->frame = stream->next;
    chunk->size = stream->next.size;
    chunk->offset = stream->next.offset;
    chunk->at = hsr_patch_place(stream, &stream->next);
    stream->taken = false;
    stream->received = 0;
    if (chunk->size == 0) {
        int rc = target_arrived(stream, chunk);

        if (rc < 0)
            hsr_stream_fail(stream, rc);
        return true;
    }
    stream->receiving = chunk;
    return true;
}

void hsr_stream_receive(struct hsr_stream *stream)
{
    struct hsr_conn *conn = stream->conn;
    struct hsr_chunk *chunk = stream->receiving;
    unsigned count = 0;

    if (stream->rc < 0 || hsr_link_receiving(&conn->link) || stream->has_arrived || stream->taken)
        return;
    if (chunk != NULL)
        stream->iov[count++] = (struct iovec){ chunk->buf->payload + chunk->at + stream->received,
                                               chunk->size - stream->received };
    stream->iov[count++] = (struct iovec){ stream->header + stream->header_have,
                                           HSR_FRAME_HEADER_SIZE - stream->header_have };
    if (conn->in_start < conn->in_end) { /* came together with the end of the handshake */
        size_t before = conn->in_start;

        for (unsigned i = 0; i < count; i++) {
            size_t part = HSR_MIN(stream->iov[i].iov_len, conn->in_end - conn->in_start);

            memcpy(stream->iov[i].iov_base, conn->in + conn->in_start, part);
            conn->in_start += part;
        }
        stream->arrived = (int64_t)(conn->in_start - before);
        stream->has_arrived = true;
        return;
    }
    stream->receive_ns = 0;
    if (chunk != NULL) {
        hsr_buf_lend(chunk->buf);
        hsr_meter_begin(&stream->meter, HSR_FLIGHT_WIRE);
        if (chunk->timed)
            stream->receive_ns = hsr_loop_clock(&stream->shard->loop);
    }
    stream->lent = chunk != NULL;
    hsr_link_receive(&conn->link, stream->iov, count);
}

void hsr_stream_received(struct hsr_link *link, int64_t received)
{
    struct hsr_conn *conn = hsr_container_of(link, struct hsr_conn, link);
    struct hsr_stream *stream = conn->stream;

    if (stream->receive_ns > 0)
        hsr_times_add(stream->times, HSR_TIME_RECEIVE,
                      hsr_loop_clock(&stream->shard->loop) - stream->receive_ns);
    if (stream->lent) {
        hsr_meter_end(&stream->meter, HSR_FLIGHT_WIRE, received > 0 ? (uint64_t)received : 0);
        hsr_buf_return(stream->receiving->buf);
    }
    stream->lent = false;
    stream->arrived = received;
    stream->has_arrived = true;
    hsr_loop_wake(&stream->shard->loop, &stream->task);
}

/* A whole frame is there. */
static int target_arrived(struct hsr_stream *stream, struct hsr_chunk *chunk)
{
    int rc;

    rc = chunk->frame.kind == HSR_FRAME_PACK ? target_pack(stream, chunk)
                                             : target_data(stream, chunk);
    if (rc < 0 && chunk->intake == NULL)
        hsr_stream_chunk_free(chunk);
    return rc;
}

static int target_data(struct hsr_stream *stream, struct hsr_chunk *chunk)
{
    const struct hsr_frame *frame = &chunk->frame;
    uint32_t leaf = stream->session->leaf;
    struct hsr_intake *intake;

    hsr_require(frame->offset % leaf == 0, HSR_E_PROTOCOL);
    if (frame->kind == HSR_FRAME_PATCH) { /* its content is not there yet */
        int rc = hsr_patch_arrived(chunk);

        hsr_require(rc == 0, rc);
    }
    intake = target_intake_find(stream, frame->page, frame->index);
    if (intake == NULL)
        intake = target_range_new(stream, frame);
    hsr_require(frame->offset == intake->next, HSR_E_PROTOCOL);
    intake->next += chunk->size;
    chunk->hashed = false;
    hsr_require(!(intake->granted && intake->rc == 0) ||
                    (frame->offset + chunk->size <= intake->file_size &&
                     (chunk->size % leaf == 0 || frame->offset + chunk->size == intake->file_size)),
                HSR_E_PROTOCOL);
    chunk->intake = intake;
    chunk->done = 0;
    intake->busy++;
    intake->bytes += chunk->size;
    if (frame->flags & HSR_FRAME_RANGE_END) {
        intake->ended = true;
        stream->ends++;
    }
    atomic_fetch_add_explicit(&stream->session->counts.bytes, chunk->size, memory_order_relaxed);
    hsr_chunk_enter(chunk, HSR_CHUNK_WAITING);
    hsr_list_push_tail(&stream->waiting, &chunk->node);
    hsr_loop_wake(&stream->shard->loop, &stream->task);
    return 0;
}

/* The first frame of a range: the home is asked about it. */
static struct hsr_intake *target_range_new(struct hsr_stream *stream, const struct hsr_frame *frame)
{
    struct hsr_intake *intake = target_intake_new(stream);

    intake->page = frame->page;
    intake->index = frame->index;
    intake->next = frame->offset;
    hsr_digest_run_init(&intake->run, (enum hsr_digest_kind)stream->session->digest,
                        stream->session->leaf, frame->offset);
    hsr_units_init(intake);
    hsr_stream_intake_send(intake);
    return intake;
}

/* Hash a chunk when those before it in its range were, and compare. False: not yet, or the stream
 * failed. */
static bool target_hash(struct hsr_chunk *chunk)
{
    struct hsr_digest_run *run = &chunk->intake->run;

    if (chunk->hashed || chunk->frame.kind == HSR_FRAME_PATCH)
        return true;
    if (run->end < chunk->offset || !hsr_stream_digest(chunk, run, chunk->intake))
        return false;
    chunk->hashed = true;
    if (!hsr_digest_same(chunk->sum, chunk->frame.check))
        hsr_stream_fail(chunk->stream, HSR_E_CHECK);
    return chunk->stream->rc == 0;
}

static int target_pack(struct hsr_stream *stream, struct hsr_chunk *chunk)
{
    uint32_t digest_size = stream->session->digest_size;
    struct hsr_span payload = { chunk->buf->payload, chunk->size };
    struct hsr_pack_member members[HSR_PACK_MEMBERS_MAX];
    struct hsr_intake *intake;
    size_t table_size;
    uint32_t count;
    int rc = hsr_pack_decode(payload, digest_size, members, &count);

    if (rc < 0)
        return rc;
    table_size = hsr_pack_table_size(count, digest_size);
    hsr_require(hsr_hash64(payload.ptr, table_size) == chunk->frame.check.low, HSR_E_CHECK);
    if (chunk->items == NULL)
        chunk->items = malloc(HSR_CHUNK_TABLE_SIZE);
    if (chunk->items == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        chunk->items[i] = (struct hsr_pack_item){ .member = members[i] };
    chunk->item_count = count;
    chunk->item_next = 0;
    chunk->item_offset = table_size;
    intake = target_intake_new(stream);
    intake->pack = true;
    stream->ends++;
    intake->chunk = chunk;
    intake->ended = true;
    intake->busy = 1;
    chunk->intake = intake;
    hsr_chunk_enter(chunk, HSR_CHUNK_WAITING);
    hsr_list_push_tail(&stream->waiting, &chunk->node);
    hsr_stream_intake_send(intake);
    return 0;
}

static struct hsr_intake *target_intake_find(struct hsr_stream *stream, uint32_t page,
                                             uint32_t index)
{
    for (struct hsr_list *node = stream->intakes_active.next; node != &stream->intakes_active;
         node = node->next) {
        struct hsr_intake *intake = hsr_container_of(node, struct hsr_intake, node);

        if (!intake->pack && !intake->ended && intake->page == page && intake->index == index)
            return intake;
    }
    return NULL;
}

static struct hsr_intake *target_intake_new(struct hsr_stream *stream)
{
    struct hsr_list *node = hsr_list_pop_head(&stream->intakes_free);
    struct hsr_intake *intake;

    hsr_assert(node != NULL); /* target_begin_frame() saw one */
    intake = hsr_container_of(node, struct hsr_intake, node);
    memset(intake, 0, sizeof(*intake));
    hsr_list_init(&intake->node);
    hsr_list_init(&intake->asking);
    intake->stream = stream;
    intake->fd = -1;
    intake->basis_fd = -1;
    hsr_turn_waiter_init(&intake->waiter, &stream->shard->loop, target_turn_heard);
    hsr_list_push_tail(&stream->intakes_active, &intake->node);
    return intake;
}

void hsr_stream_intake_send(struct hsr_intake *intake)
{
    hsr_assert(!intake->home);
    intake->home = true;
    intake->msg.deliver = target_intake_home;
    hsr_loop_send(&intake->stream->session->home->loop, &intake->msg);
}

static void target_intake_home(struct hsr_msg *msg)
{
    struct hsr_intake *intake = hsr_container_of(msg, struct hsr_intake, msg);

    hsr_target_intake_came(intake->stream->session, intake);
}

static void target_intake_back(struct hsr_msg *msg)
{
    struct hsr_intake *intake = hsr_container_of(msg, struct hsr_intake, msg);
    struct hsr_stream *stream = intake->stream;

    intake->home = false;
    if (intake->done) {
        hsr_list_remove(&intake->node);
        intake->granted = false;
        if (intake->chunk != NULL) {
            hsr_stream_chunk_free(intake->chunk);
            intake->chunk = NULL;
        }
        hsr_list_push_tail(&stream->intakes_free, &intake->node);
    } else {
        intake->granted = true;
        if (intake->ended && intake->busy == 0)
            target_intake_check(intake);
    }
    hsr_loop_wake(&stream->shard->loop, &stream->task);
}

/* Nothing of it is left here: back to the home. */
static void target_intake_check(struct hsr_intake *intake)
{
    if (intake->home || !intake->granted)
        return;
    if (!hsr_units_tell(intake))
        return; /* hsr_units_heard() comes back */
    if (!intake->ended || intake->busy > 0)
        return;
    if (intake->turn != NULL && !hsr_turn_leave(intake->turn, &intake->waiter))
        return; /* target_turn_heard() comes back */
    intake->done = true;
    hsr_stream_intake_send(intake);
}

void hsr_units_heard(struct hsr_intake *intake)
{
    target_intake_check(intake);
    hsr_loop_wake(&intake->stream->shard->loop, &intake->stream->task);
}

/* Chunks whose grant is there, oldest first. */
static void target_write_waiting(struct hsr_stream *stream)
{
    for (struct hsr_list *node = stream->waiting.next, *next; node != &stream->waiting;
         node = next) {
        struct hsr_chunk *chunk = hsr_container_of(node, struct hsr_chunk, node);
        struct hsr_intake *intake = chunk->intake;
        bool granted;

        next = node->next;
        if (chunk->state == HSR_CHUNK_MAKING)
            continue;
        granted = intake->granted && !intake->home;
        if (intake->pack && granted) {
            uint64_t start_ns = hsr_loop_clock(&stream->shard->loop);

            if (chunk->state != HSR_CHUNK_WRITING) /* it may have paused */
                hsr_chunk_enter(chunk, HSR_CHUNK_WRITING);
            hsr_stream_make(chunk);
            hsr_meter_add(&stream->meter, HSR_FIGURE_PACK_TIME,
                          hsr_loop_clock(&stream->shard->loop) - start_ns);
        } else if (!intake->pack && (target_hash(chunk) || intake->rc < 0) && granted) {
            target_chunk(chunk);
        }
        if ((stream->rc < 0 && !(stream->ebbing && hsr_stream_lost(stream))) ||
            hsr_list_linked(&stream->task.node))
            return; /* it failed; or it paused, and comes back */
    }
}

/* A chunk of a range that is granted, and verified but for a patch. */
static void target_chunk(struct hsr_chunk *chunk)
{
    struct hsr_intake *intake = chunk->intake;
    struct hsr_stream *stream = chunk->stream;

    if (intake->rc < 0 || chunk->size == 0) {
        hsr_stream_chunk_done(chunk);
    } else if (chunk->offset + chunk->size > intake->file_size ||
               (chunk->size % stream->session->leaf != 0 &&
                chunk->offset + chunk->size != intake->file_size)) {
        hsr_stream_fail(stream, HSR_E_PROTOCOL);
    } else if (!hsr_patch_make(chunk)) {
        return; /* an old version is being read, or it paused */
    } else if (intake->rc < 0 || (stream->session->options & HSR_OPT_DISCARD)) {
        hsr_stream_chunk_done(chunk); /* it was verified */
    } else {
        hsr_stream_write(chunk);
    }
}

/* Another stream has written: it may be our turn now. */
static void target_turn_heard(struct hsr_msg *msg)
{
    struct hsr_intake *intake = hsr_container_of(msg, struct hsr_intake, waiter.msg);

    hsr_turn_heard(intake->turn, &intake->waiter);
    target_intake_check(intake);
    hsr_loop_wake(&intake->stream->shard->loop, &intake->stream->task);
}

void hsr_stream_chunk_done(struct hsr_chunk *chunk)
{
    struct hsr_intake *intake = chunk->intake;

    hsr_assert(intake->busy > 0);
    intake->busy--;
    hsr_patch_forget(chunk);
    if (intake->pack)
        hsr_list_remove(&chunk->node); /* its items are the home's to read; freed when back */
    else
        hsr_stream_chunk_free(chunk);
    target_intake_check(intake);
}
