/* The shard's loop: who runs when. See ring.h for the order of a turn. Everything in here is plain
 * bookkeeping on one thread; the two things other threads touch are the inbox and `sleeping`.
 *
 * Wake-ups are not lost because both sides change `sleeping` with read-modify-write operations: a
 * sender pushes and then exchanges in false, the loop exchanges in true and then looks at the
 * inbox. Either the sender's exchange comes second and finds true (it rings), or it comes first,
 * and then the loop's exchange has read it or a later one of the same release sequence, and sees
 * the push. */
#include "ring/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"

/* Bounds of one turn, so that no phase starves the others: both are larger than what one turn meets
 * in practice and still far below a millisecond of handlers, which only record and wake. */
#define REAP_MAX 1024u
#define DELIVER_MAX 1024u

#define TURN_LONG_NS HSR_NS_PER_MS
/* A tenth of what a turn may last: its last slice may be a long one, and handing over copies into
 * sockets. Whoever is served between two turns waits for half of one, at least: 250 us were as
 * quick for the others (bench/macro/gaps --responsive). */
#define TURN_BUDGET_NS (100 * HSR_NS_PER_US)
/* What a turn costs (some 2 us) is 4 % of a slice, and only while somebody waits. */
#define SLICE_NS (50 * HSR_NS_PER_US)
#define SLICE_NS_MIN (25 * HSR_NS_PER_US) /* everybody gets on, however long the others took */
#define SLICE_PIECES 16u
/* A bulk task that works longer than that takes turns with its like the next times that it runs:
 * what it hands over is large too. One that does not is as prompt as a session. */
#define HEAVY_NS (25 * HSR_NS_PER_US)
#define HEAVY_RUNS 8u
#define SPIN_ROUNDS 16u /* polls between two looks at the clock */

static __thread struct hsr_loop *loop_current;

/* The turn at hand, for its account. */
struct turn {
    uint64_t part_ns; /* when the part at hand began */
    uint64_t ran_ns; /* with a trace: CPU time of the thread when the turn began */
    uint64_t longest_ns; /* of its parts */
    const char *longest;
};

static void loop_trace(struct hsr_loop *loop, unsigned kind, int64_t res);
static void loop_completed(struct hsr_op *op, int64_t res, unsigned flags);
static void loop_ring(struct hsr_loop *loop);
static bool loop_inbox_ready(struct hsr_loop *loop);
static unsigned loop_deliver(struct hsr_loop *loop);
static unsigned loop_fire(struct hsr_loop *loop);
static unsigned loop_step_tasks(struct hsr_loop *loop, struct turn *turn);
static unsigned loop_step_list(struct hsr_loop *loop, struct hsr_list *list, struct turn *turn);
static unsigned loop_hand_over(struct hsr_loop *loop, uint64_t calls_until_ns);
static void turn_part(struct hsr_loop *loop, struct turn *turn, enum hsr_span_kind kind,
                      const char *name);
static uint64_t loop_ran(struct hsr_loop *loop);
static void loop_account(struct hsr_loop *loop, const struct turn *turn);
static void loop_wait(struct hsr_loop *loop, struct turn *turn, bool may_sleep);
static void timer_place(struct hsr_loop *loop, struct hsr_timer *timer, uint32_t index);
static void timer_sift(struct hsr_loop *loop, uint32_t index);

int hsr_loop_init(struct hsr_loop *loop, struct hsr_backend *backend, unsigned index)
{
    hsr_assert(backend != NULL);
    hsr_assert(backend->ops != NULL);
    memset(loop, 0, sizeof(*loop));
    loop->backend = backend;
    loop->index = index;
    hsr_list_init(&loop->runnable);
    hsr_list_init(&loop->running);
    hsr_list_init(&loop->bulk);
    hsr_list_init(&loop->bulk_running);
    hsr_list_init(&loop->submitted);
    hsr_jobs_init(loop);
    hsr_mpsc_init(&loop->inbox);
    atomic_init(&loop->sleeping, false);
    atomic_init(&loop->stop, false);
    loop->timers = calloc(HSR_TIMERS_MAX + 1, sizeof(struct hsr_timer *));
    if (loop->timers == NULL) {
        hsr_loop_fini(loop);
        return -ENOMEM;
    }
    loop->now_ns = backend->ops->now(backend);
    return 0;
}

void hsr_loop_fini(struct hsr_loop *loop)
{
    if (loop->backend == NULL)
        return;
    hsr_assert(loop->armed == 0);
    hsr_assert(loop_current != loop); /* not from inside of its own turn */
    loop->backend->ops->fini(loop->backend);
    free(loop->timers);
    hsr_trace_destroy(loop->trace);
    loop->backend = NULL;
    loop->timers = NULL;
    loop->trace = NULL;
}

void hsr_loop_run(struct hsr_loop *loop)
{
    while (!atomic_load_explicit(&loop->stop, memory_order_acquire))
        (void)hsr_loop_turn(loop, true); /* nothing happened: a wake-up without a cause */
    atomic_store_explicit(&loop->stop, false, memory_order_relaxed);
}

bool hsr_loop_turn(struct hsr_loop *loop, bool may_sleep)
{
    struct hsr_loop *outer = loop_current;
    struct turn turn = { 0 };
    unsigned happened, reaped;

    hsr_assert(outer != loop);
    loop_current = loop;
    loop->stats.turns++;
    loop->now_ns = turn.part_ns = loop->backend->ops->now(loop->backend);
    turn.ran_ns = loop_ran(loop);
    reaped = loop->backend->ops->reap(loop->backend, REAP_MAX);
    loop->stats.completions += reaped;
    happened = reaped;
    happened += loop_deliver(loop);
    happened += loop_fire(loop);
    hsr_jobs_due(loop);
    happened += loop_step_tasks(loop, &turn);
    happened += loop_hand_over(loop, loop->now_ns + TURN_BUDGET_NS);
    loop_wait(loop, &turn, may_sleep);
    happened += hsr_jobs_gap(loop);
    hsr_assert(loop_current == loop);
    loop_current = outer;
    return happened > 0;
}

void hsr_loop_stop(struct hsr_loop *loop)
{
    atomic_store_explicit(&loop->stop, true, memory_order_release);
    loop_ring(loop);
}

struct hsr_loop *hsr_loop_current(void)
{
    return loop_current;
}

void hsr_loop_submit(struct hsr_loop *loop, struct hsr_op *op)
{
    hsr_assert(!op->armed);
    hsr_assert(op->done != NULL);
    hsr_assert(op->kind < HSR_OP_COUNT);
    op->armed = true;
    op->owner_done = op->done;
    op->done = loop_completed;
    op->trace_ns = loop->now_ns;
    hsr_list_init(&op->node);
    hsr_list_push_tail(&loop->submitted, &op->node);
    loop->armed++;
    loop->stats.submits++;
}

int64_t hsr_loop_call(struct hsr_loop *loop, struct hsr_op *op)
{
    int64_t res;

    hsr_assert(!op->armed);
    res = loop->backend->ops->call(loop->backend, op);
    loop->stats.calls++;
    loop_trace(loop, op->kind, res);
    return res;
}

void hsr_loop_cancel(struct hsr_loop *loop, struct hsr_op *op)
{
    if (!op->armed)
        return;
    /* The backend can only cancel what it has. */
    (void)loop_hand_over(loop, 0); /* the count of operations is of no interest here */
    loop->backend->ops->cancel(loop->backend, op);
}

void hsr_task_init(struct hsr_task *task, const char *name, void (*run)(struct hsr_task *task))
{
    hsr_assert(run != NULL);
    hsr_list_init(&task->node);
    task->name = name;
    task->run = run;
    task->bulk = false;
    task->heavy = 0;
}

void hsr_loop_wake(struct hsr_loop *loop, struct hsr_task *task)
{
    hsr_assert_hot(loop_current == NULL || loop_current == loop);
    hsr_assert_hot(task->run != NULL);
    if (!hsr_list_linked(&task->node))
        hsr_list_push_tail(task->heavy > 0 ? &loop->bulk : &loop->runnable, &task->node);
}

void hsr_loop_forget(struct hsr_loop *loop, struct hsr_task *task)
{
    hsr_assert_hot(loop_current == NULL || loop_current == loop);
    (void)loop; /* only the strict build looks at it */
    hsr_list_remove(&task->node);
}

void hsr_loop_send(struct hsr_loop *to, struct hsr_msg *msg)
{
    hsr_assert(msg->deliver != NULL);
    hsr_mpsc_push(&to->inbox, &msg->node);
    loop_ring(to);
}

int hsr_loop_trace(struct hsr_loop *loop)
{
    hsr_assert(loop->trace == NULL);
    loop->trace = hsr_trace_create();
    return loop->trace != NULL ? 0 : -ENOMEM;
}

bool hsr_loop_pressed(struct hsr_loop *loop)
{
    return !hsr_list_empty(&loop->running) || !hsr_list_empty(&loop->runnable) ||
           !hsr_list_empty(&loop->bulk_running) || !hsr_list_empty(&loop->bulk) ||
           loop_inbox_ready(loop) || loop->backend->ops->pending(loop->backend);
}

bool hsr_loop_slice_over(struct hsr_loop *loop)
{
    uint64_t now_ns = hsr_loop_clock(loop), ran_ns = now_ns - loop->slice_ns;
    bool had_pieces = ++loop->slice_asked >= SLICE_PIECES;

    if (ran_ns >= HEAVY_NS && loop->task != NULL && loop->task->bulk)
        loop->task->heavy = HEAVY_RUNS;
    if (ran_ns >= SLICE_NS_MIN && now_ns - loop->now_ns >= TURN_BUDGET_NS)
        return true;
    return (had_pieces || ran_ns >= SLICE_NS) && hsr_loop_pressed(loop);
}

bool hsr_loop_usage(struct hsr_loop *loop, struct hsr_usage *ret_usage)
{
    return loop->backend->ops->usage != NULL && loop->backend->ops->usage(loop->backend, ret_usage);
}

uint64_t hsr_loop_clock(struct hsr_loop *loop)
{
    return loop->backend->ops->now(loop->backend);
}

void hsr_loop_timer_set(struct hsr_loop *loop, struct hsr_timer *timer, uint64_t deadline_ns)
{
    hsr_assert(timer->fired != NULL);
    /* A timer that is set while timers fire waits for the next turn, even if it is due at once. */
    timer->deadline_ns = loop->firing ? HSR_MAX(deadline_ns, loop->now_ns + 1) : deadline_ns;
    if (timer->heap_index == 0) {
        hsr_assert(loop->timer_count < HSR_TIMERS_MAX);
        loop->timer_count++;
        timer_place(loop, timer, loop->timer_count);
    }
    hsr_assert_hot(loop->timers[timer->heap_index] == timer);
    timer_sift(loop, timer->heap_index);
}

void hsr_loop_timer_clear(struct hsr_loop *loop, struct hsr_timer *timer)
{
    uint32_t index = timer->heap_index;
    struct hsr_timer *last;

    if (index == 0)
        return;
    hsr_assert(index <= loop->timer_count);
    hsr_assert(loop->timers[index] == timer);
    last = loop->timers[loop->timer_count];
    loop->timers[loop->timer_count] = NULL;
    loop->timer_count--;
    timer->heap_index = 0;
    if (last != timer) {
        timer_place(loop, last, index);
        timer_sift(loop, index);
    }
}

static void timer_place(struct hsr_loop *loop, struct hsr_timer *timer, uint32_t index)
{
    loop->timers[index] = timer;
    timer->heap_index = index;
}

/* Move the timer at @index up or down until the heap is in order again. */
static void timer_sift(struct hsr_loop *loop, uint32_t index)
{
    struct hsr_timer *timer = loop->timers[index];

    while (index > 1 && timer->deadline_ns < loop->timers[index / 2]->deadline_ns) {
        timer_place(loop, loop->timers[index / 2], index);
        index /= 2;
    }
    for (;;) {
        uint32_t child = index * 2;

        if (child > loop->timer_count)
            break;
        if (child < loop->timer_count &&
            loop->timers[child + 1]->deadline_ns < loop->timers[child]->deadline_ns)
            child++;
        if (timer->deadline_ns <= loop->timers[child]->deadline_ns)
            break;
        timer_place(loop, loop->timers[child], index);
        index = child;
    }
    timer_place(loop, timer, index);
}

/* Order matters for the simulator, so this is a chain and not a sum. The multiplier is that of
 * splitmix64. */
static void loop_trace(struct hsr_loop *loop, unsigned kind, int64_t res)
{
    uint64_t hash = loop->trace_hash ^ (uint64_t)res ^ ((uint64_t)(kind + 1) << 56);

    hash *= 0xbf58476d1ce4e5b9ull;
    loop->trace_hash = hash ^ (hash >> 29);
}

/* Stands in for op->done while the operation is armed: backends know only op->done, and the loop
 * must see every completion. */
static void loop_completed(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_loop *loop = loop_current;

    hsr_assert(loop != NULL);
    hsr_assert(op->armed);
    loop_trace(loop, op->kind, res);
    if (flags & HSR_CQE_MORE) {
        op->owner_done(op, res, flags);
        return;
    }
    hsr_assert(loop->armed > 0);
    loop->armed--;
    op->armed = false;
    op->done = op->owner_done; /* before the call: the owner may free the operation in it */
    op->done(op, res, flags);
}

/* Wake the loop if it sleeps or is about to. */
static void loop_ring(struct hsr_loop *loop)
{
    if (atomic_exchange_explicit(&loop->sleeping, false, memory_order_acq_rel))
        loop->backend->ops->wake(loop->backend);
}

/* Would a pop return something? A producer between its two stores does not count: it rings after
 * the second one, and waiting awake for a thread that may be descheduled would burn its CPU. */
static bool loop_inbox_ready(struct hsr_loop *loop)
{
    struct hsr_mpsc_node *head = loop->inbox.head;

    if (atomic_load_explicit(&head->next, memory_order_acquire) != NULL)
        return true;
    return head != &loop->inbox.dummy &&
           head == atomic_load_explicit(&loop->inbox.tail, memory_order_acquire);
}

static unsigned loop_deliver(struct hsr_loop *loop)
{
    unsigned count;

    for (count = 0; count < DELIVER_MAX; count++) {
        struct hsr_mpsc_node *node = hsr_mpsc_pop(&loop->inbox);
        struct hsr_msg *msg;

        if (node == NULL)
            break;
        msg = hsr_container_of(node, struct hsr_msg, node);
        msg->deliver(msg);
    }
    loop->stats.messages += count;
    return count;
}

static unsigned loop_fire(struct hsr_loop *loop)
{
    unsigned count = 0;

    loop->firing = true;
    while (loop->timer_count > 0) {
        struct hsr_timer *timer = loop->timers[1];

        if (timer->deadline_ns > loop->now_ns)
            break;
        hsr_loop_timer_clear(loop, timer);
        hsr_assert_hot(timer->heap_index == 0);
        timer->fired(timer);
        count++;
    }
    loop->firing = false;
    return count;
}

/* Tasks woken from here on run in the next turn, so that a task that wakes itself cannot keep the
 * ring from being served. What the prompt ones have to say leaves before the heavy ones run. */
static unsigned loop_step_tasks(struct hsr_loop *loop, struct turn *turn)
{
    unsigned count;

    hsr_list_splice_tail(&loop->running, &loop->runnable);
    hsr_list_splice_tail(&loop->bulk_running, &loop->bulk);
    if (hsr_list_empty(&loop->running) && hsr_list_empty(&loop->bulk_running))
        return 0;
    turn_part(loop, turn, HSR_SPAN_HANDLERS, "handlers");
    count = loop_step_list(loop, &loop->running, turn);
    if (!hsr_list_empty(&loop->bulk_running) && !hsr_list_empty(&loop->submitted)) {
        (void)loop_hand_over(loop, 0); /* the turn counts it by its tasks */
        loop->backend->ops->wait(loop->backend, 0);
        turn_part(loop, turn, HSR_SPAN_ENTER, "answers");
    }
    return count + loop_step_list(loop, &loop->bulk_running, turn);
}

/* The oldest of @list, and the others while there is time. */
static unsigned loop_step_list(struct hsr_loop *loop, struct hsr_list *list, struct turn *turn)
{
    struct hsr_list *node;
    unsigned count = 0;

    while ((count == 0 || turn->part_ns - loop->now_ns < TURN_BUDGET_NS) &&
           (node = hsr_list_pop_head(list)) != NULL) {
        struct hsr_task *task = hsr_container_of(node, struct hsr_task, node);
        const char *name = task->name; /* the task may be freed when it has run */

        loop->slice_ns = turn->part_ns;
        loop->slice_asked = 0;
        loop->task = task;
        if (task->heavy > 0)
            task->heavy--;
        task->run(task);
        loop->task = NULL;
        turn_part(loop, turn, HSR_SPAN_TASK, name);
        count++;
    }
    return count;
}

/* Also with nothing new: plain calls may be left over from earlier turns. */
static unsigned loop_hand_over(struct hsr_loop *loop, uint64_t calls_until_ns)
{
    bool any = !hsr_list_empty(&loop->submitted);

    loop->backend->ops->submit(loop->backend, &loop->submitted, calls_until_ns);
    hsr_assert(hsr_list_empty(&loop->submitted));
    return any;
}

/* A part of the turn has ended, and the next one begins. */
static void turn_part(struct hsr_loop *loop, struct turn *turn, enum hsr_span_kind kind,
                      const char *name)
{
    uint64_t now_ns = hsr_loop_clock(loop);

    if (now_ns - turn->part_ns >= turn->longest_ns) {
        turn->longest_ns = now_ns - turn->part_ns;
        turn->longest = name;
    }
    hsr_loop_span(loop, kind, name, turn->part_ns, now_ns);
    turn->part_ns = now_ns;
}

static uint64_t loop_ran(struct hsr_loop *loop)
{
    if (__builtin_expect(loop->trace == NULL, 1) || loop->backend->ops->ran == NULL)
        return 0;
    return loop->backend->ops->ran(loop->backend);
}

/* The turn ends here as far as its length goes: what follows is sleep and work ahead. */
static void loop_account(struct hsr_loop *loop, const struct turn *turn)
{
    uint64_t turn_ns = turn->part_ns - loop->now_ns;

    hsr_histogram_add(&loop->stats.turn_ns, turn_ns);
    if (turn->ran_ns > 0)
        hsr_histogram_add(&loop->stats.turn_ran_ns, loop_ran(loop) - turn->ran_ns);
    if (turn_ns > TURN_LONG_NS) {
        loop->stats.turns_long++;
        loop->stats.turn_long_task = turn->longest;
    }
}

static inline void loop_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Returns true if something came up before @backend->spin_ns was over. */
static bool loop_spin(struct hsr_loop *loop)
{
    uint64_t start_ns = hsr_loop_clock(loop), now_ns = start_ns;
    bool found = false;

    while (!found && now_ns - start_ns < loop->backend->spin_ns) {
        for (unsigned i = 0; i < SPIN_ROUNDS && !found; i++) {
            found = loop->backend->ops->pending(loop->backend) || loop_inbox_ready(loop) ||
                    atomic_load_explicit(&loop->stop, memory_order_relaxed);
            if (!found)
                loop_pause();
        }
        now_ns = hsr_loop_clock(loop);
    }
    loop->stats.spin_ns += now_ns - start_ns;
    return found;
}

/* Hand over, and fetch what is ready, without sleep: still of the turn. */
static void loop_enter(struct hsr_loop *loop, struct turn *turn)
{
    loop->backend->ops->wait(loop->backend, 0);
    turn_part(loop, turn, HSR_SPAN_ENTER, "enter");
    loop_account(loop, turn);
}

static void loop_wait(struct hsr_loop *loop, struct turn *turn, bool may_sleep)
{
    uint64_t deadline_ns = UINT64_MAX, before_ns;

    if (turn->longest == NULL)
        turn_part(loop, turn, HSR_SPAN_HANDLERS, "handlers"); /* there was nothing else */
    else
        turn_part(loop, turn, HSR_SPAN_ENTER, "hand over");
    if (!may_sleep || hsr_jobs_ahead(loop) || hsr_loop_pressed(loop)) {
        loop_enter(loop, turn);
        return;
    }
    if (loop->backend->spin_ns > 0) {
        loop_enter(loop, turn);
        if (loop_spin(loop))
            return;
        turn->part_ns = hsr_loop_clock(loop);
    } else {
        loop_account(loop, turn);
    }
    before_ns = turn->part_ns;
    if (loop->timer_count > 0)
        deadline_ns = loop->timers[1]->deadline_ns;
    (void)atomic_exchange_explicit(&loop->sleeping, true, memory_order_acq_rel); /* was false */
    if (loop_inbox_ready(loop) || atomic_load_explicit(&loop->stop, memory_order_acquire))
        deadline_ns = 0;
    loop->backend->ops->wait(loop->backend, deadline_ns);
    turn_part(loop, turn, HSR_SPAN_SLEEP, "sleep");
    loop->stats.sleep_ns += turn->part_ns - before_ns;
    loop->stats.sleeps++;
    /* An exchange and not a store: a store would end the release sequence (see the top). */
    (void)atomic_exchange_explicit(&loop->sleeping, false, memory_order_acq_rel); /* either */
}
