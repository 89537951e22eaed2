/* A shard's loop. One thread owns it; each turn, in this order:
 *
 *   reap completions -> run handlers (record, wake) -> messages -> timers -> step woken tasks
 *   -> submit, and wait if nothing is runnable (work ahead included) -> work ahead
 *
 * Handlers and messages only record and wake; tasks do the work. Nothing recurses. Except
 * hsr_loop_send() and hsr_loop_stop() everything here is for the owning thread.
 *
 * A turn has a budget of time. Prompt tasks go first; then bulk tasks, one after the other, until
 * it is spent, at least one. Who is left runs first in the next turn, so all have the same share:
 * a slice each, whatever number of them a session has. */
#ifndef HSR_RING_RING_H
#define HSR_RING_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/queue.h"
#include "ring/backend.h"
#include "ring/job.h"
#include "ring/op.h"
#include "ring/task.h"
#include "ring/trace.h"

struct hsr_loop;

/* ---- timers ---- */

struct hsr_timer {
    uint32_t heap_index; /* 1-based position in the heap; 0: not armed */
    uint64_t deadline_ns;
    void (*fired)(struct hsr_timer *timer); /* records and wakes */
};

/* ---- messages from other threads: the cell is lent until it was delivered ---- */

struct hsr_msg {
    struct hsr_mpsc_node node;
    void (*deliver)(struct hsr_msg *msg); /* on the receiving loop's thread */
};

/* ---- the loop ---- */

struct hsr_loop_stats {
    uint64_t turns;
    uint64_t sleeps;
    uint64_t completions;
    uint64_t calls; /* operations run as plain calls */
    uint64_t submits; /* operations submitted */
    uint64_t messages;
    uint64_t sleep_ns; /* spent waiting */
    uint64_t spin_ns; /* spent polling before that, with nothing to do */
    struct hsr_histogram turn_ns; /* how long turns took, without sleep and work ahead */
    struct hsr_histogram turn_ran_ns; /* CPU time of the thread in them; only with a trace */
    uint64_t turns_long; /* over 1 ms */
    const char *turn_long_task; /* the last task that made one */
};

#define HSR_TIMERS_MAX 4096u /* armed at once in one loop: two per connection, and bwlimit */

struct hsr_loop {
    struct hsr_backend *backend;
    struct hsr_list runnable; /* woken tasks, oldest first */
    struct hsr_list running; /* those of this turn that have not run yet */
    struct hsr_list bulk; /* the same of bulk tasks that were heavy */
    struct hsr_list bulk_running; /* those for which a turn has no time left wait for the next */
    struct hsr_list submitted; /* operations of this turn, not yet handed over */
    struct hsr_jobs jobs;
    struct hsr_trace *trace; /* owned; NULL: none */
    struct hsr_timer **timers; /* binary heap; [1..timer_count] */
    uint32_t timer_count;
    bool firing; /* timers are firing: none set now may fire in this turn */
    struct hsr_mpsc inbox;
    atomic_bool sleeping; /* a sender rings only then */
    atomic_bool stop;
    unsigned index; /* which shard this is */
    uint32_t armed; /* operations in flight */
    uint64_t now_ns; /* at the start of this turn */
    struct hsr_task *task; /* the task at hand; NULL between tasks */
    uint64_t slice_ns; /* when it began */
    uint32_t slice_asked; /* how often it has asked hsr_loop_slice_over() */
    uint64_t trace_hash; /* order of everything that happened; the simulator compares it */
    struct hsr_loop_stats stats;
};

/** @param backend  owned from here on, also after an error */
int hsr_loop_init(struct hsr_loop *loop, struct hsr_backend *backend, unsigned index);

/** Asserts that nothing is armed, then frees the backend. Accepts a zeroed loop. */
void hsr_loop_fini(struct hsr_loop *loop);

/** Run turns until hsr_loop_stop(). */
void hsr_loop_run(struct hsr_loop *loop);

/** One turn. With @may_sleep false it never waits. Returns true if anything happened. For the
 * simulator and tests, which step loops by hand. */
bool hsr_loop_turn(struct hsr_loop *loop, bool may_sleep);

/** Any thread: hsr_loop_run() returns after its current turn. */
void hsr_loop_stop(struct hsr_loop *loop);

/** The loop whose turn runs on this thread, or NULL. */
struct hsr_loop *hsr_loop_current(void);

/** Queue @op for this turn's submission. op->done and the arguments are set; buf_index is -1 unless
 * a registered buffer is used. */
void hsr_loop_submit(struct hsr_loop *loop, struct hsr_op *op);

/** Run @op as a plain call now. */
int64_t hsr_loop_call(struct hsr_loop *loop, struct hsr_op *op);

/** End an armed operation early; harmless when it is not armed. Its completion still comes. */
void hsr_loop_cancel(struct hsr_loop *loop, struct hsr_op *op);

/** Make @task run in this or the next turn; once, however often it is woken before. */
void hsr_loop_wake(struct hsr_loop *loop, struct hsr_task *task);

/** Forget a wake-up, before the owner of @task is freed. */
void hsr_loop_forget(struct hsr_loop *loop, struct hsr_task *task);

/** Any thread. */
void hsr_loop_send(struct hsr_loop *to, struct hsr_msg *msg);

/** Arm, or move, a timer. */
void hsr_loop_timer_set(struct hsr_loop *loop, struct hsr_timer *timer, uint64_t deadline_ns);
void hsr_loop_timer_clear(struct hsr_loop *loop, struct hsr_timer *timer);

/** Is the kernel, a message or a task waiting? One or two loads. For work that costs nothing to
 * interrupt. */
bool hsr_loop_pressed(struct hsr_loop *loop);

/** A task asks after each piece of long work (at most some 50 us) whether to return to the loop,
 * having woken itself: yes when it had its slice, of 50 us or 16 pieces, and somebody waits; and
 * when the turn's budget is spent, whoever waits. A look at the clock and some loads. */
bool hsr_loop_slice_over(struct hsr_loop *loop);

/** Keep the newest spans from now on. 0 or -ENOMEM. Own thread, or before the first turn. */
int hsr_loop_trace(struct hsr_loop *loop);

/** The thread did something from @start_ns to @end_ns. */
static inline void hsr_loop_span(struct hsr_loop *loop, enum hsr_span_kind kind, const char *name,
                                 uint64_t start_ns, uint64_t end_ns)
{
    if (__builtin_expect(loop->trace != NULL, 0))
        hsr_trace_add(loop->trace, kind, name, start_ns, end_ns);
}

/** What this loop's thread had of the CPU; false: this backend cannot tell. Own thread. */
bool hsr_loop_usage(struct hsr_loop *loop, struct hsr_usage *ret_usage);

/** For how long nothing was runnable so far: asleep, polling, or with work ahead. Own thread. */
static inline uint64_t hsr_loop_gap_ns(const struct hsr_loop *loop)
{
    return loop->stats.sleep_ns + loop->stats.spin_ns +
           hsr_job_count(&loop->jobs.account.ns[HSR_JOB_AHEAD]);
}

/** Time now (not the turn's start), in nanoseconds. */
uint64_t hsr_loop_clock(struct hsr_loop *loop);

#endif
