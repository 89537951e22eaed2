/* Writing a target's chunk, by the ring or by a plain call. See stream_target.h.
 *
 * A tmpfs takes plain calls, one stream after the other (turn.h): a write is a copy there. */
#include "transfer/engine/stream_target.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/stream_patch.h"
#include "transfer/engine/turn.h"

#define ZERO_BLOCK 4096u

static void write_now(struct hsr_chunk *chunk);
static void write_piece(struct hsr_chunk *chunk, uint32_t size);
static void write_submit(struct hsr_chunk *chunk);
static bool write_keep_tail(struct hsr_chunk *chunk, uint32_t *size);
static bool write_skip(struct hsr_chunk *chunk, uint32_t *ret_size);
static bool write_skip_zeros(struct hsr_chunk *chunk, uint32_t *ret_size);
static void write_written(struct hsr_op *op, int64_t res, unsigned flags);

void hsr_stream_write(struct hsr_chunk *chunk)
{
    if (chunk->intake->turn != NULL) {
        write_now(chunk);
        return;
    }
    hsr_list_remove(&chunk->node);
    hsr_chunk_enter(chunk, HSR_CHUNK_WRITING);
    write_submit(chunk);
}

/* A tmpfs: the write is a copy and waits for nothing but its turn, and for the file's memory. */
static void write_now(struct hsr_chunk *chunk)
{
    struct hsr_intake *intake = chunk->intake;
    bool over = false;

    if (!hsr_turn_take(intake->turn, &intake->waiter, chunk->offset + chunk->size))
        return;
    if (chunk->state != HSR_CHUNK_WRITING)
        hsr_chunk_enter(chunk, HSR_CHUNK_WRITING);
    while (!over && chunk->done < chunk->size && intake->rc == 0) {
        uint32_t size = chunk->size - chunk->done;

        if (write_skip(chunk, &size))
            break;
        write_piece(chunk, HSR_MIN(size, HSR_CHUNK_PIECE));
        over = hsr_stream_pause(chunk->stream);
    }
    hsr_turn_give(intake->turn);
    if (!over || chunk->done == chunk->size || intake->rc < 0)
        hsr_stream_chunk_done(chunk);
}

static void write_piece(struct hsr_chunk *chunk, uint32_t size)
{
    struct hsr_intake *intake = chunk->intake;
    struct hsr_stream *stream = chunk->stream;
    struct hsr_op op = { .kind = HSR_OP_WRITE,
                         .fd = intake->fd,
                         .buf = chunk->buf->payload + chunk->done,
                         .size = size,
                         .offset = chunk->offset + chunk->done,
                         .buf_index = -1 };
    uint64_t start_ns = hsr_loop_clock(&stream->shard->loop);
    int64_t res = hsr_loop_call(&stream->shard->loop, &op);
    uint64_t call_ns = hsr_loop_clock(&stream->shard->loop) - start_ns;

    hsr_meter_disk_call(&stream->meter, call_ns, res);
    hsr_chunk_op_end(chunk, HSR_TIME_WRITE, call_ns);
    if (res > 0)
        chunk->done += (uint32_t)res;
    else if (res != -EINTR && res != -EAGAIN)
        intake->rc = res == 0 ? -EIO : (int)res;
}

static void write_submit(struct hsr_chunk *chunk)
{
    struct hsr_intake *intake = chunk->intake;
    uint32_t size = chunk->size - chunk->done;

    if (write_skip(chunk, &size) || !write_keep_tail(chunk, &size)) {
        hsr_stream_chunk_done(chunk);
        return;
    }
    chunk->op = (struct hsr_op){ .kind = HSR_OP_WRITE,
                                 .done = write_written,
                                 .fd = intake->fd,
                                 .buf = chunk->buf->payload,
                                 .buf_index = chunk->buf->index };
    hsr_fileio_prepare(&intake->io, &chunk->op, chunk->offset, chunk->done + size, chunk->done);
    hsr_buf_lend(chunk->buf);
    hsr_meter_disk_begin(&chunk->stream->meter, &chunk->op);
    hsr_chunk_op_begin(chunk);
    hsr_loop_submit(&chunk->stream->shard->loop, &chunk->op);
}

/* A direct write is one of whole blocks: what follows the last one of the file goes home with the
 * intake. True: something is left to write, *size bytes. */
static bool write_keep_tail(struct hsr_chunk *chunk, uint32_t *size)
{
    struct hsr_intake *intake = chunk->intake;
    uint32_t rest = intake->io.align != 0 ? *size % intake->io.align : 0;

    if (rest == 0)
        return true;
    hsr_assert(intake->tail != NULL);
    hsr_assert(chunk->offset + chunk->done + *size == intake->file_size);
    *size -= rest;
    if (*size > 0)
        return true; /* first what is before it */
    memcpy(intake->tail, chunk->buf->payload + chunk->done, rest);
    intake->tail_set = true;
    chunk->done += rest;
    return false;
}

/* Step over what need not be written; true: nothing is left. Else *ret_size is what to write. */
static bool write_skip(struct hsr_chunk *chunk, uint32_t *ret_size)
{
    if (chunk->intake->rewrite)
        return hsr_patch_skip_same(chunk, ret_size);
    return chunk->intake->sparse && write_skip_zeros(chunk, ret_size);
}

/* Step over blocks of zeros; true: nothing is left. Else *ret_size is the run to write. */
static bool write_skip_zeros(struct hsr_chunk *chunk, uint32_t *ret_size)
{
    const uint8_t *payload = chunk->buf->payload;
    uint32_t run = 0;

    while (chunk->done < chunk->size) {
        uint32_t block = HSR_MIN(ZERO_BLOCK - chunk->done % ZERO_BLOCK, chunk->size - chunk->done);

        if (!hsr_is_zero(payload + chunk->done, block))
            break;
        chunk->done += block;
    }
    while (chunk->done + run < chunk->size) {
        uint32_t at = chunk->done + run;
        uint32_t block = HSR_MIN(ZERO_BLOCK - at % ZERO_BLOCK, chunk->size - at);

        if (hsr_is_zero(payload + at, block))
            break;
        run += block;
    }
    *ret_size = run;
    return run == 0;
}

static void write_written(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_chunk *chunk = hsr_container_of(op, struct hsr_chunk, op);
    struct hsr_intake *intake = chunk->intake;
    int rc;

    if (flags & HSR_CQE_MORE)
        return;
    hsr_assert(chunk->state == HSR_CHUNK_WRITING);
    hsr_meter_disk_end(&chunk->stream->meter, op, res);
    hsr_chunk_op_end(chunk, HSR_TIME_WRITE, op->call ? op->call_ns : 0);
    hsr_buf_return(chunk->buf);
    hsr_session_moved(chunk->stream->session, op, res);
    rc = hsr_fileio_result(&chunk->stream->shard->loop, op, &intake->io, res, chunk->size,
                           &chunk->done);
    if (rc < 0 && intake->rc == 0)
        intake->rc = rc == -ENODATA ? -EIO : rc;
    if (intake->rc == 0 && chunk->done < chunk->size)
        write_submit(chunk);
    else
        hsr_stream_chunk_done(chunk);
    hsr_loop_wake(&chunk->stream->shard->loop, &chunk->stream->task);
}
