/* See sign.h. */
#include "transfer/engine/sign.h"

#include <errno.h>

#include "base/base.h"

static void sign_ask(struct hsr_sign *sign);
static void sign_read_submit(struct hsr_sign_read *read);
static void sign_read_done(struct hsr_op *op, int64_t res, unsigned flags);
static void sign_read_call(struct hsr_sign_read *read);
static int sign_read_result(struct hsr_sign_read *read, int64_t res);
static struct hsr_sign_read *sign_oldest(struct hsr_sign *sign);
static uint8_t *sign_place(const struct hsr_sign_read *read);

size_t hsr_sign_size(const struct hsr_delta_plan *plan, uint64_t offset, uint64_t end)
{
    uint64_t blocks = (end - offset + plan->block_size - 1) / plan->block_size;

    return (size_t)blocks * hsr_delta_sum_size(plan);
}

void hsr_sign_begin(struct hsr_sign *sign, struct hsr_loop *loop, struct hsr_task *task,
                    uint8_t *memory)
{
    hsr_assert(sign->offset % sign->plan.block_size == 0 && sign->offset < sign->end);
    hsr_assert(sign->end % sign->plan.block_size == 0 || sign->end == sign->plan.base_size);
    sign->loop = loop;
    sign->task = task;
    sign->memory = memory;
    sign->asked = sign->next = sign->offset;
    sign->blocks = 0;
    sign->rc = 0;
    sign->slice = sign->io.call ? HSR_SIGN_CALL_SIZE : HSR_SIGN_READ_SIZE;
    sign->slice = HSR_MAX(sign->slice, sign->plan.block_size);
    sign->slices = HSR_MIN(HSR_SIGN_READS_MAX, (uint32_t)(HSR_SIGN_MEMORY / sign->slice));
    for (uint32_t i = 0; i < HSR_SIGN_READS_MAX; i++)
        sign->reads[i] = (struct hsr_sign_read){ .sign = sign };
}

enum hsr_sign_result hsr_sign_step(struct hsr_sign *sign, uint64_t deadline_ns)
{
    while (sign->rc == 0 && sign->next < sign->end) {
        struct hsr_sign_read *read;

        sign_ask(sign);
        read = sign_oldest(sign);
        if (read->op.armed)
            return HSR_SIGN_WAITS;
        sign->rc = read->rc;
        if (sign->rc < 0)
            break;
        hsr_assert(read->done == read->size && read->offset == sign->next);
        if (sign->run != NULL)
            (void)hsr_digest_run_add(sign->run, sign_place(read), read->size); /* no frame */
        else
            sign->blocks +=
                hsr_delta_sign(&sign->plan, sign->key, sign_place(read), read->size, read->offset,
                               sign->sums + (size_t)sign->blocks * hsr_delta_sum_size(&sign->plan));
        sign->next += read->size;
        read->size = 0;
        if (sign->next < sign->end && hsr_loop_clock(sign->loop) >= deadline_ns)
            return HSR_SIGN_MORE;
    }
    return hsr_sign_stop(sign) ? HSR_SIGN_DONE : HSR_SIGN_WAITS;
}

bool hsr_sign_stop(struct hsr_sign *sign)
{
    bool idle = true;

    for (uint32_t i = 0; i < HSR_SIGN_READS_MAX; i++) {
        if (!sign->reads[i].op.armed)
            continue;
        hsr_loop_cancel(sign->loop, &sign->reads[i].op);
        idle = false;
    }
    return idle;
}

/* Fill every free place, in order; at memory speed only the next. */
static void sign_ask(struct hsr_sign *sign)
{
    uint32_t ahead = sign->io.call ? 1 : sign->slices;

    while (sign->asked < sign->end && sign->asked - sign->next < (uint64_t)ahead * sign->slice) {
        uint32_t slot = (uint32_t)((sign->asked - sign->offset) / sign->slice % sign->slices);
        struct hsr_sign_read *read = &sign->reads[slot];

        hsr_assert(read->size == 0 && !read->op.armed);
        read->offset = sign->asked;
        read->size = (uint32_t)HSR_MIN((uint64_t)sign->slice, sign->end - sign->asked);
        read->done = 0;
        read->rc = 0;
        sign->asked += read->size;
        if (sign->io.call)
            sign_read_call(read);
        else
            sign_read_submit(read);
    }
}

static void sign_read_prepare(struct hsr_sign_read *read)
{
    struct hsr_sign *sign = read->sign;

    read->op = (struct hsr_op){ .kind = HSR_OP_READ,
                                .done = sign_read_done,
                                .fd = sign->fd,
                                .buf = sign_place(read),
                                .buf_index = -1 };
    hsr_fileio_prepare(&sign->io, &read->op, read->offset, read->size, read->done);
}

static void sign_read_submit(struct hsr_sign_read *read)
{
    sign_read_prepare(read);
    hsr_loop_submit(read->sign->loop, &read->op);
}

static void sign_read_done(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_sign_read *read = hsr_container_of(op, struct hsr_sign_read, op);

    if (flags & HSR_CQE_MORE)
        return;
    if (sign_read_result(read, res) > 0)
        sign_read_submit(read);
    else
        hsr_loop_wake(read->sign->loop, read->sign->task);
}

static void sign_read_call(struct hsr_sign_read *read)
{
    do {
        sign_read_prepare(read);
    } while (sign_read_result(read, hsr_loop_call(read->sign->loop, &read->op)) > 0);
}

/* 1: some of it is missing. */
static int sign_read_result(struct hsr_sign_read *read, int64_t res)
{
    int rc = hsr_fileio_result(read->sign->loop, &read->op, &read->sign->io, res, read->size,
                               &read->done);

    if (rc < 0)
        read->rc = rc == -ENODATA ? HSR_E_CHANGED : rc;
    return rc;
}

static struct hsr_sign_read *sign_oldest(struct hsr_sign *sign)
{
    return &sign->reads[(sign->next - sign->offset) / sign->slice % sign->slices];
}

static uint8_t *sign_place(const struct hsr_sign_read *read)
{
    return read->sign->memory + (size_t)(read - read->sign->reads) * read->sign->slice;
}
