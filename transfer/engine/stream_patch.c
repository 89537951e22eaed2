/* See stream_patch.h.
 *
 * A patch is received at the end of its buffer and the region grows from the buffer's start. Each
 * literal byte that is still to come makes a byte of the region, so what was made never reaches
 * what is needed; the items, which stand before the literals, are decoded aside first. So a region
 * needs no second buffer, and no stream can wait for one.
 *
 *   START -> COPYING (reads of the old version) -> CHECKING -> [KEEPING (reads into the window)]
 *   -> MADE
 *
 * Reads are plain calls where that is memory speed or the cache has it, else asynchronous. */
#include "transfer/engine/stream_patch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/window.h"
#include "transfer/proto/delta.h"

enum patch_phase { PATCH_START, PATCH_COPYING, PATCH_CHECKING, PATCH_KEEPING, PATCH_MADE };

_Static_assert(HSR_CHUNK_BLOCK == HSR_WINDOW_BLOCK, "one size of blocks that are written or not");

static bool patch_wanted(const struct hsr_chunk *chunk);
static bool patch_my_turn(struct hsr_chunk *chunk);
static void patch_start(struct hsr_chunk *chunk);
static int patch_items(struct hsr_chunk *chunk);
static bool patch_copy(struct hsr_chunk *chunk);
static bool patch_copy_some(struct hsr_chunk *chunk, const struct hsr_patch_item *item);
static bool patch_check(struct hsr_chunk *chunk);
static bool patch_keep(struct hsr_chunk *chunk);
static void patch_made(struct hsr_chunk *chunk);
static void patch_failed(struct hsr_chunk *chunk);
static void patch_changed(struct hsr_chunk *chunk, uint32_t start, uint32_t end);
static uint32_t patch_run(const struct hsr_chunk *chunk, uint32_t at, bool changed);
static bool patch_read(struct hsr_chunk *chunk, uint8_t *buf, uint32_t size, uint64_t offset);
static bool patch_read_ended(struct hsr_chunk *chunk);
static void patch_read_prepare(struct hsr_chunk *chunk);
static void patch_read_done(struct hsr_op *op, int64_t res, unsigned flags);

uint32_t hsr_patch_place(const struct hsr_stream *stream, const struct hsr_frame *frame)
{
    return frame->kind == HSR_FRAME_PATCH ? stream->session->chunk - frame->size : 0;
}

int hsr_patch_arrived(struct hsr_chunk *chunk)
{
    struct hsr_span payload = { chunk->buf->payload + chunk->at, chunk->frame.size };
    int rc;

    hsr_require(chunk->stream->session->options & HSR_OPT_DELTA, HSR_E_PROTOCOL);
    hsr_require(chunk->frame.region > 0 && chunk->frame.region <= chunk->stream->session->chunk,
                HSR_E_LIMIT);
    rc = hsr_patch_frame_open(payload, &chunk->patch);
    hsr_require(rc == 0, rc);
    if (chunk->patch_items == NULL)
        chunk->patch_items = malloc(HSR_CHUNK_TABLE_SIZE);
    hsr_require(chunk->patch_items != NULL, -ENOMEM);
    chunk->size = chunk->frame.region;
    return 0;
}

bool hsr_patch_make(struct hsr_chunk *chunk)
{
    struct hsr_intake *intake = chunk->intake;

    if (chunk->phase == PATCH_MADE || !patch_wanted(chunk))
        return true;
    if (!patch_my_turn(chunk))
        return false;
    if (chunk->phase == PATCH_START)
        patch_start(chunk);
    if (chunk->phase == PATCH_COPYING && intake->rc == 0 && !patch_copy(chunk))
        return false;
    if (chunk->phase == PATCH_CHECKING && intake->rc == 0 && !patch_check(chunk))
        return false;
    if (chunk->phase == PATCH_KEEPING && intake->rc == 0 && !patch_keep(chunk))
        return false;
    patch_made(chunk);
    return true;
}

/* A file with a window has to be told of all that is written. */
static bool patch_wanted(const struct hsr_chunk *chunk)
{
    return chunk->frame.kind == HSR_FRAME_PATCH || chunk->intake->window != NULL;
}

/* In place one region after the other. */
static bool patch_my_turn(struct hsr_chunk *chunk)
{
    struct hsr_window *window = chunk->intake->window;

    if (chunk->op.armed || (chunk->frame.kind == HSR_FRAME_PATCH && chunk->phase < PATCH_CHECKING &&
                            chunk->intake->run.end != chunk->offset))
        return false; /* a range is hashed in order */
    if (window == NULL || window->maker == chunk)
        return true;
    if (window->maker != NULL)
        return false;
    window->maker = chunk;
    return true;
}

static void patch_start(struct hsr_chunk *chunk)
{
    struct hsr_intake *intake = chunk->intake;

    memset(chunk->changed, 0, sizeof(chunk->changed));
    chunk->made = 0;
    chunk->read_size = 0;
    chunk->phase = PATCH_COPYING;
    if (intake->window != NULL && chunk->offset != intake->window->front) {
        intake->rc = HSR_E_PROTOCOL; /* not in ascending order: hsr_patch_made() ends it */
    } else if (chunk->frame.kind != HSR_FRAME_PATCH) {
        patch_changed(chunk, 0, chunk->size);
        chunk->phase = PATCH_KEEPING;
    } else {
        intake->rc = intake->basis_fd < 0 ? HSR_E_PROTOCOL : patch_items(chunk);
    }
    if (intake->rc < 0)
        hsr_stream_fail(chunk->stream, intake->rc);
}

/* Decode the items aside: the region will grow over them. */
static int patch_items(struct hsr_chunk *chunk)
{
    struct hsr_intake *intake = chunk->intake;
    struct hsr_patch_bounds bounds = { .offset = chunk->offset,
                                       .base_size = intake->basis_size,
                                       .size = chunk->size };
    struct hsr_patch patch;
    const uint8_t *literal;
    int rc;

    if (intake->window != NULL)
        bounds.copy_min = chunk->offset - HSR_MIN(chunk->offset, (uint64_t)HSR_INPLACE_WINDOW);
    rc = hsr_patch_open(&patch, chunk->patch, &bounds);
    hsr_require(rc == 0, rc);
    chunk->patch_count = chunk->patch_next = chunk->patch_done = 0;
    chunk->literal = NULL;
    while (hsr_patch_next(&patch, &chunk->patch_items[chunk->patch_count], &literal)) {
        if (chunk->patch_items[chunk->patch_count].kind == HSR_PATCH_COPY)
            chunk->intake->copied += chunk->patch_items[chunk->patch_count].size;
        chunk->patch_count++;
        if (chunk->literal == NULL)
            chunk->literal = literal;
    }
    return 0;
}

/* Make the region from here on; false: a read is under way, or it paused. */
static bool patch_copy(struct hsr_chunk *chunk)
{
    uint32_t asked = chunk->made;

    while (chunk->patch_next < chunk->patch_count) {
        const struct hsr_patch_item *item = &chunk->patch_items[chunk->patch_next];
        uint8_t *out = chunk->buf->payload + chunk->made;

        if (item->kind == HSR_PATCH_COPY) {
            if (!patch_copy_some(chunk, item))
                return false;
            if (chunk->intake->rc < 0)
                return true;
            if (chunk->patch_done < item->size) {
                if (hsr_stream_pause(chunk->stream))
                    return false;
                continue;
            }
        } else {
            patch_changed(chunk, chunk->made, chunk->made + item->size);
            if (item->kind == HSR_PATCH_ZERO) {
                memset(out, 0, item->size);
            } else {
                hsr_assert(out <= chunk->literal);
                memmove(out, chunk->literal, item->size);
                chunk->literal += item->size;
            }
            chunk->made += item->size;
        }
        chunk->patch_done = 0;
        chunk->patch_next++;
        if (chunk->made - asked >= HSR_CHUNK_PIECE / 4) {
            if (hsr_stream_pause(chunk->stream))
                return false;
            asked = chunk->made;
        }
    }
    hsr_assert(chunk->made == chunk->size);
    chunk->phase = PATCH_CHECKING;
    return true;
}

/* The next bytes of a COPY, as many as are in one place; false: a read is under way. */
static bool patch_copy_some(struct hsr_chunk *chunk, const struct hsr_patch_item *item)
{
    const struct hsr_intake *intake = chunk->intake;
    uint64_t offset = item->base_offset + chunk->patch_done;
    uint32_t size = HSR_MIN(item->size - chunk->patch_done, HSR_CHUNK_PIECE);
    uint8_t *out = chunk->buf->payload + chunk->made;
    const uint8_t *bytes = NULL;

    if (chunk->read_size > 0) {
        size = chunk->read_size;
        if (!patch_read_ended(chunk))
            return true;
    } else {
        if (offset != chunk->offset + chunk->made)
            patch_changed(chunk, chunk->made, chunk->made + size);
        if (intake->window != NULL)
            size = hsr_window_find(intake->window, offset, size, &bytes);
        if (bytes != NULL)
            memcpy(out, bytes, size);
        else if (!patch_read(chunk, out, size, offset))
            return false;
    }
    chunk->made += size;
    chunk->patch_done += size;
    return true;
}

/* Is it what the source has? False: it paused. */
static bool patch_check(struct hsr_chunk *chunk)
{
    if (!hsr_stream_digest(chunk, &chunk->intake->run, chunk->intake))
        return false;
    chunk->hashed = true;
    if (!hsr_digest_same(chunk->sum, chunk->frame.check))
        patch_failed(chunk);
    chunk->phase = PATCH_KEEPING;
    chunk->made = 0;
    return true;
}

/* In place: read what will be written over into the window. */
static bool patch_keep(struct hsr_chunk *chunk)
{
    struct hsr_intake *intake = chunk->intake;
    uint64_t end = HSR_MIN(chunk->offset + chunk->size, intake->basis_size);
    uint32_t limit = end > chunk->offset ? (uint32_t)(end - chunk->offset) : 0;

    if (intake->window == NULL || chunk->offset + chunk->size == intake->file_size)
        return true; /* nothing comes after it */
    if (chunk->read_size > 0) {
        uint32_t size = chunk->read_size;

        if (!patch_read_ended(chunk))
            return true;
        chunk->made += size;
    }
    while (chunk->made < limit) {
        uint32_t size = patch_run(chunk, chunk->made, false);
        uint64_t offset;
        uint8_t *place;

        if (size > 0) {
            chunk->made += size;
            continue;
        }
        offset = chunk->offset + chunk->made;
        size = HSR_MIN(patch_run(chunk, chunk->made, true), limit - chunk->made);
        size = HSR_MIN(size, HSR_CHUNK_PIECE);
        place = hsr_window_keep(intake->window, offset, size, &size);
        if (!patch_read(chunk, place, size, offset))
            return false;
        if (intake->rc < 0)
            return true;
        chunk->made += size;
        if (hsr_stream_pause(chunk->stream))
            return false;
    }
    return true;
}

static void patch_made(struct hsr_chunk *chunk)
{
    struct hsr_window *window = chunk->intake->window;

    chunk->phase = PATCH_MADE;
    hsr_chunk_enter(chunk, HSR_CHUNK_WAITING);
    if (window == NULL)
        return;
    if (chunk->intake->rc == 0)
        hsr_window_advance(window, chunk->offset + chunk->size, chunk->changed);
    window->maker = NULL;
}

/* The old version is not, or no more, what the source was told. */
static void patch_failed(struct hsr_chunk *chunk)
{
    chunk->intake->stale = true;
    if (chunk->intake->rc == 0)
        chunk->intake->rc = HSR_E_CHANGED;
}

void hsr_patch_forget(struct hsr_chunk *chunk)
{
    struct hsr_window *window = chunk->intake->window;

    if (window != NULL && window->maker == chunk)
        window->maker = NULL;
}

/* ---- blocks that differ from what the file holds ---- */

static void patch_changed(struct hsr_chunk *chunk, uint32_t start, uint32_t end)
{
    for (uint32_t i = start / HSR_CHUNK_BLOCK; i * HSR_CHUNK_BLOCK < end; i++)
        chunk->changed[i / 64] |= 1ull << i % 64;
}

/* Bytes from @at on, to the end of a block or of the chunk, that are all @changed, or not. */
static uint32_t patch_run(const struct hsr_chunk *chunk, uint32_t at, bool changed)
{
    uint32_t end = at;

    while (end < chunk->size) {
        uint32_t block = end / HSR_CHUNK_BLOCK;

        if ((chunk->changed[block / 64] >> block % 64 & 1) != changed)
            break;
        end = (block + 1) * HSR_CHUNK_BLOCK;
    }
    return HSR_MIN(end, chunk->size) - HSR_MIN(at, chunk->size);
}

bool hsr_patch_skip_same(struct hsr_chunk *chunk, uint32_t *ret_size)
{
    if (chunk->frame.kind != HSR_FRAME_PATCH)
        return *ret_size == 0; /* it was not compared */
    chunk->done += patch_run(chunk, chunk->done, false);
    *ret_size = patch_run(chunk, chunk->done, true);
    return *ret_size == 0;
}

/* ---- reads of the old version ---- */

/* False: it is under way. A failure is in the intake. */
static bool patch_read(struct hsr_chunk *chunk, uint8_t *buf, uint32_t size, uint64_t offset)
{
    struct hsr_stream *stream = chunk->stream;
    struct hsr_loop *loop = &stream->shard->loop;
    int rc;

    chunk->read_buf = buf;
    chunk->read_size = size;
    chunk->read_done = 0;
    chunk->read_offset = offset;
    do {
        uint64_t start_ns = hsr_loop_clock(loop);
        int64_t res;

        patch_read_prepare(chunk);
        if (!chunk->intake->basis_call)
            chunk->op.rw_flags |= RWF_NOWAIT;
        res = hsr_loop_call(loop, &chunk->op);
        if (!chunk->intake->basis_call && (res == -EAGAIN || res == -EOPNOTSUPP)) {
            patch_read_prepare(chunk);
            hsr_chunk_enter(chunk, HSR_CHUNK_MAKING);
            hsr_meter_disk_begin(&stream->meter, &chunk->op);
            hsr_loop_submit(loop, &chunk->op);
            return false;
        }
        hsr_meter_disk_call(&stream->meter, hsr_loop_clock(loop) - start_ns, res);
        rc = hsr_fileio_result(loop, &chunk->op, &(struct hsr_fileio){ 0 }, res, size,
                               &chunk->read_done);
    } while (rc > 0);
    chunk->read_size = 0;
    if (rc < 0)
        patch_failed(chunk);
    return true;
}

/* What was under way has ended: false when it failed. */
static bool patch_read_ended(struct hsr_chunk *chunk)
{
    bool whole = chunk->read_done == chunk->read_size;

    chunk->read_size = 0;
    if (!whole)
        patch_failed(chunk);
    return whole;
}

static void patch_read_prepare(struct hsr_chunk *chunk)
{
    chunk->op = (struct hsr_op){ .kind = HSR_OP_READ,
                                 .done = patch_read_done,
                                 .fd = chunk->intake->basis_fd,
                                 .buf = chunk->read_buf,
                                 .buf_index = -1 };
    hsr_fileio_prepare(&(struct hsr_fileio){ 0 }, &chunk->op, chunk->read_offset, chunk->read_size,
                       chunk->read_done);
}

static void patch_read_done(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_chunk *chunk = hsr_container_of(op, struct hsr_chunk, op);
    struct hsr_stream *stream = chunk->stream;
    int rc;

    if (flags & HSR_CQE_MORE)
        return;
    hsr_assert(chunk->state == HSR_CHUNK_MAKING);
    hsr_meter_disk_end(&stream->meter, op, res);
    rc = hsr_fileio_result(&stream->shard->loop, op, &(struct hsr_fileio){ 0 }, res,
                           chunk->read_size, &chunk->read_done);
    if (rc > 0 && stream->conn != NULL) {
        patch_read_prepare(chunk);
        hsr_meter_disk_begin(&stream->meter, &chunk->op);
        hsr_loop_submit(&stream->shard->loop, &chunk->op);
        return;
    }
    hsr_chunk_enter(chunk, HSR_CHUNK_WAITING);
    hsr_loop_wake(&stream->shard->loop, &stream->task);
}
