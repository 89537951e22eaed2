/* What the loop itself costs: turns, operations that do nothing, timers, tasks, messages to itself,
 * buffers. Over the null backend it is our own code alone; over the ring it has the kernel in it.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/prng.h"
#include "base/queue.h"
#include "base/util.h"
#include "bench/micro/rows.h"
#include "ring/buf.h"
#include "ring/ring.h"

#define BATCH_MAX 64u
#define TIMERS_MAX 1024u
#define PAYLOAD_SIZE 4096u
#define SPREAD_NS HSR_NS_PER_S /* deadlines lie within this */
#define NEVER_NS (1ull << 62)

struct ring_state {
    struct hsr_loop loop;
    struct hsr_task task;
    struct hsr_op ops[BATCH_MAX];
    unsigned batch;
    unsigned left; /* of this batch, in flight */
    bool closing;
    struct hsr_timer timers[TIMERS_MAX + 1];
    unsigned timer_count; /* armed all the time */
    struct hsr_prng prng;
    struct hsr_msg msg;
    struct hsr_mpsc queue;
    struct hsr_mpsc_node node;
    unsigned happened; /* timers fired, tasks run, messages delivered */
};

/* ---- a loop over the backend that row->what names ---- */

static const char *loop_open(const struct hsr_micro_row *row, void **ret_state)
{
    struct hsr_uring_options options = { .iowq_cpu = -1 };
    struct ring_state *state;
    struct hsr_backend *backend;
    char why[256];

    if (strcmp(row->what, "uring") != 0)
        hsr_assert(hsr_null_create(&backend) == 0);
    else if (hsr_uring_create(&options, &backend, why, sizeof(why)) < 0)
        return "no io_uring here";
    state = hsr_micro_alloc(sizeof(*state));
    hsr_assert(hsr_loop_init(&state->loop, backend, 0) == 0);
    state->prng = hsr_prng_init(row->size);
    *ret_state = state;
    return NULL;
}

static void loop_close(void *ctx)
{
    struct ring_state *state = ctx;

    hsr_loop_fini(&state->loop);
    free(state);
}

static void turn_run(void *ctx, uint64_t times)
{
    struct ring_state *state = ctx;

    while (times-- > 0)
        (void)hsr_loop_turn(&state->loop, false); /* nothing happens in it */
}

/* ---- batches of operations: in every turn one comes back and the next one goes out ---- */

static void nop_done(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct ring_state *state = op->buf;

    (void)flags;
    hsr_assert(res == 0);
    state->left--;
    if (state->left == 0)
        hsr_loop_wake(&state->loop, &state->task);
}

static void batch_submit(struct hsr_task *task)
{
    struct ring_state *state = hsr_container_of(task, struct ring_state, task);

    if (state->closing)
        return;
    for (unsigned i = 0; i < state->batch; i++)
        hsr_loop_submit(&state->loop, &state->ops[i]);
    state->left = state->batch;
    state->happened++;
}

static const char *nop_open(const struct hsr_micro_row *row, void **ret_state)
{
    const char *why = loop_open(row, ret_state);
    struct ring_state *state = *ret_state;

    if (why != NULL)
        return why;
    state->batch = (unsigned)row->size;
    for (unsigned i = 0; i < state->batch; i++)
        state->ops[i] =
            (struct hsr_op){ .kind = HSR_OP_NOP, .done = nop_done, .buf_index = -1, .buf = state };
    hsr_task_init(&state->task, "batch", batch_submit);
    hsr_loop_wake(&state->loop, &state->task);
    return NULL;
}

static void nop_run(void *ctx, uint64_t times)
{
    struct ring_state *state = ctx;

    while (times-- > 0)
        for (unsigned before = state->happened; state->happened == before;)
            (void)hsr_loop_turn(&state->loop, true); /* `happened` says it */
}

static void nop_close(void *ctx)
{
    struct ring_state *state = ctx;

    state->closing = true;
    while (state->loop.armed > 0)
        (void)hsr_loop_turn(&state->loop, false); /* no sleep: the last one wakes nobody */
    hsr_loop_forget(&state->loop, &state->task);
    loop_close(state);
}

/* ---- timers: row->size of them are armed beside the one that is measured ---- */

static void timer_fired(struct hsr_timer *timer)
{
    (void)timer;
}

static const char *timer_open(const struct hsr_micro_row *row, void **ret_state)
{
    const char *why = loop_open(row, ret_state);
    struct ring_state *state = *ret_state;

    if (why != NULL)
        return why;
    for (unsigned i = 0; i <= row->size; i++)
        state->timers[i].fired = timer_fired;
    state->timer_count = (unsigned)row->size;
    for (unsigned i = 0; i < state->timer_count; i++)
        hsr_loop_timer_set(&state->loop, &state->timers[i],
                           NEVER_NS + hsr_prng_below(&state->prng, SPREAD_NS));
    return NULL;
}

static void timer_close(void *ctx)
{
    struct ring_state *state = ctx;

    for (unsigned i = 0; i <= state->timer_count; i++)
        hsr_loop_timer_clear(&state->loop, &state->timers[i]);
    loop_close(state);
}

static void timer_set_clear_run(void *ctx, uint64_t times)
{
    struct ring_state *state = ctx;
    struct hsr_timer *timer = &state->timers[state->timer_count];

    while (times-- > 0) {
        hsr_loop_timer_set(&state->loop, timer, NEVER_NS + hsr_prng_below(&state->prng, SPREAD_NS));
        hsr_loop_timer_clear(&state->loop, timer);
    }
}

/* What a connection does with its timer of silence: any one goes behind all others. */
static void timer_move_run(void *ctx, uint64_t times)
{
    struct ring_state *state = ctx;
    uint64_t last_ns = NEVER_NS + SPREAD_NS;

    while (times-- > 0)
        hsr_loop_timer_set(&state->loop,
                           &state->timers[hsr_prng_below(&state->prng, state->timer_count)],
                           last_ns++);
}

static void timer_fire_run(void *ctx, uint64_t times)
{
    struct ring_state *state = ctx;
    struct hsr_timer *timer = &state->timers[state->timer_count];

    while (times-- > 0) {
        hsr_loop_timer_set(&state->loop, timer, 0);
        (void)hsr_loop_turn(&state->loop, false); /* it fires */
        hsr_assert(timer->heap_index == 0);
    }
}

/* ---- tasks and messages of one thread ---- */

static void task_counted(struct hsr_task *task)
{
    hsr_container_of(task, struct ring_state, task)->happened++;
}

static void msg_counted(struct hsr_msg *msg)
{
    hsr_container_of(msg, struct ring_state, msg)->happened++;
}

static const char *task_open(const struct hsr_micro_row *row, void **ret_state)
{
    const char *why = loop_open(row, ret_state);
    struct ring_state *state = *ret_state;

    if (why != NULL)
        return why;
    hsr_task_init(&state->task, "count", task_counted);
    state->msg.deliver = msg_counted;
    hsr_mpsc_init(&state->queue);
    return NULL;
}

static void task_run(void *ctx, uint64_t times)
{
    struct ring_state *state = ctx;

    while (times-- > 0) {
        hsr_loop_wake(&state->loop, &state->task);
        (void)hsr_loop_turn(&state->loop, false); /* the task runs */
    }
}

static void msg_run(void *ctx, uint64_t times)
{
    struct ring_state *state = ctx;

    while (times-- > 0) {
        hsr_loop_send(&state->loop, &state->msg);
        (void)hsr_loop_turn(&state->loop, false); /* the message is delivered */
    }
}

static void queue_run(void *ctx, uint64_t times)
{
    struct ring_state *state = ctx;

    while (times-- > 0) {
        hsr_mpsc_push(&state->queue, &state->node);
        hsr_assert(hsr_mpsc_pop(&state->queue) == &state->node);
    }
}

/* ---- buffers ---- */

struct pool_state {
    struct ring_state *ring;
    struct hsr_bufpool pool;
    struct hsr_buf_waiter waiter;
    void *memory;
};

/* A pool of row->size buffers over the null backend. */
static const char *pool_open(const struct hsr_micro_row *row, void **ret_state)
{
    size_t size = row->size * hsr_buf_stride(PAYLOAD_SIZE);
    struct pool_state *state = hsr_micro_alloc(sizeof(*state));
    void *loop_state;

    hsr_assert(loop_open(row, &loop_state) == NULL); /* null: it cannot fail */
    state->ring = loop_state;
    state->memory = aligned_alloc(PAYLOAD_SIZE, size);
    hsr_assert(state->memory != NULL);
    hsr_assert(hsr_bufpool_init(&state->pool, &state->ring->loop, state->memory, size, PAYLOAD_SIZE,
                                false) == 0);
    hsr_task_init(&state->ring->task, "waiter", task_counted);
    hsr_list_init(&state->waiter.node);
    state->waiter.task = &state->ring->task;
    *ret_state = state;
    return NULL;
}

static void pool_close(void *ctx)
{
    struct pool_state *state = ctx;

    hsr_loop_forget(&state->ring->loop, &state->ring->task);
    hsr_bufpool_fini(&state->pool);
    loop_close(state->ring);
    free(state->memory);
    free(state);
}

/* The life of a chunk: out of the pool, to the kernel, back, home. */
static void pool_cycle_run(void *ctx, uint64_t times)
{
    struct pool_state *state = ctx;

    while (times-- > 0) {
        struct hsr_buf *buf = hsr_buf_take(&state->pool, NULL);

        hsr_buf_lend(buf);
        hsr_micro_clobber(buf);
        hsr_buf_return(buf);
        hsr_buf_give(&state->pool, buf);
    }
}

/* The pool is empty: what is given goes to who waits. */
static void pool_wait_run(void *ctx, uint64_t times)
{
    struct pool_state *state = ctx;
    struct hsr_buf *buf = hsr_buf_take(&state->pool, NULL);

    while (times-- > 0) {
        hsr_assert(hsr_buf_take(&state->pool, &state->waiter) == NULL);
        hsr_buf_give(&state->pool, buf);
        buf = hsr_buf_take(&state->pool, &state->waiter);
        hsr_assert(buf != NULL);
    }
    hsr_buf_give(&state->pool, buf);
}

#define ROW(row_name, backend, do_open, do_run, do_close, count, is_counted)                       \
    {                                                                                              \
        .name = row_name, .open = do_open, .run = do_run, .close = do_close, .what = (backend),    \
        .size = (count), .counted = (is_counted)                                                   \
    }

#define NOP(backend, batch, is_counted)                                                            \
    {                                                                                              \
        .name = "nop/" backend "/" #batch, .open = nop_open, .run = nop_run, .close = nop_close,   \
        .what = (backend), .size = (batch), .operations = (batch), .counted = (is_counted)         \
    }

static const struct hsr_micro_row rows[] = {
    ROW("turn/null", "null", loop_open, turn_run, loop_close, 0, true),
    ROW("turn/uring", "uring", loop_open, turn_run, loop_close, 0, false),
    NOP("null", 1, true),
    NOP("null", 8, true),
    NOP("null", 64, true),
    NOP("uring", 1, false),
    NOP("uring", 8, false),
    NOP("uring", 64, false),
    ROW("timer/set_clear/0", "null", timer_open, timer_set_clear_run, timer_close, 0, true),
    ROW("timer/set_clear/1024", "null", timer_open, timer_set_clear_run, timer_close, 1024, true),
    ROW("timer/move/1024", "null", timer_open, timer_move_run, timer_close, 1024, true),
    ROW("timer/fire/1024", "null", timer_open, timer_fire_run, timer_close, 1024, true),
    ROW("task/wake", "null", task_open, task_run, loop_close, 0, true),
    ROW("message/queue", "null", task_open, queue_run, loop_close, 0, true),
    ROW("message/self", "null", task_open, msg_run, loop_close, 0, true),
    ROW("pool/cycle", "null", pool_open, pool_cycle_run, pool_close, 16, true),
    ROW("pool/wait", "null", pool_open, pool_wait_run, pool_close, 1, true),
};

const struct hsr_micro_table hsr_micro_ring = { rows, HSR_ARRAY_COUNT(rows) };
