/* Jobs: CPU work that is cut into steps (digests, signatures), and when a loop does it.
 *
 *   ahead   nobody waits for it yet: in the gaps of the loop, when nothing is runnable and it would
 *           sleep; the one that is needed next first
 *   demand  somebody waits for it: in the turn, like any task, before everything that is ahead
 *
 * The same job is the one or the other: demanding one that is ahead goes on where it is. One may be
 * due at some time: if no gap has come by then it is in demand. A step is
 * followed at once by a look at what else waits (two or three loads, the ring's flag word among
 * them), so nothing waits longer than one step for work that is ahead. */
#ifndef HSR_RING_JOB_H
#define HSR_RING_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "ring/task.h"

struct hsr_loop;

enum hsr_job_result { HSR_JOB_MORE, HSR_JOB_DONE, HSR_JOB_BLOCKED };

enum hsr_job_when { HSR_JOB_AHEAD, HSR_JOB_DEMAND, HSR_JOB_WHEN_COUNT };

/* What jobs cost and brought: one writer, the loop's thread; any thread may read. */
struct hsr_job_account {
    atomic_ullong ns[HSR_JOB_WHEN_COUNT];
    atomic_ullong bytes[HSR_JOB_WHEN_COUNT]; /* by which cursors moved */
    atomic_ullong steps[HSR_JOB_WHEN_COUNT];
    atomic_ullong preempted; /* gaps that ended before the work that was ahead; the loop's only */
};

/** step() works until @deadline_ns or until hsr_loop_pressed() says that others wait, whatever is
 * first, in pieces of some 20 us, and says how far it came; it must not sleep.
 *
 * MORE: step again.
 *
 * BLOCKED: nothing to do until hsr_loop_job_wake(), which may have been called inside of the step.
 *
 * DONE: the job has left the loop before step() was called and the loop does not touch it any more:
 * the owner may free or add it again. The owner learns of it inside of step(), which is where it
 * wakes its task. A job that wants to leave from inside of its own step() returns DONE.
 *
 * Zeroed but for step, name, need and account before it is added for the first time. */
struct hsr_job {
    struct hsr_list node;
    enum hsr_job_result (*step)(struct hsr_job *job, uint64_t deadline_ns);
    const char *name; /* static; for the trace */
    uint64_t need; /* what is needed earlier has a lower one; changed only while it is out */
    uint64_t cursor; /* bytes of its work that are done */
    uint64_t memory; /* bytes that it holds; its owner's account */
    uint64_t due_ns; /* ahead: from then on it is in demand; 0: not by itself */
    struct hsr_job_account *account; /* beside the loop's own; may be NULL */
    uint8_t when; /* enum hsr_job_when */
    bool in; /* the loop has it */
    bool blocked;
    bool woken; /* since its step began */
};

/* Inside of a loop. */
struct hsr_jobs {
    struct hsr_list ready[HSR_JOB_WHEN_COUNT]; /* by need */
    struct hsr_list blocked;
    uint64_t due_ns; /* no job ahead is due before */
    struct hsr_task task; /* steps those in demand */
    struct hsr_job *stepping; /* NULL: none */
    uint8_t stepping_when;
    struct hsr_job_account account;
    struct hsr_histogram step_ns;
};

/** Add @job as work ahead. Own thread, as everything here. Jobs are added in the order of their
 * need, or nearly: finding a place is a walk from the end. */
void hsr_loop_job_add(struct hsr_loop *loop, struct hsr_job *job);

/** Somebody waits for @job now, whether it was added before or not. */
void hsr_loop_job_demand(struct hsr_loop *loop, struct hsr_job *job);

/** @job, which the loop has, is in demand from @due_ns on, if it still is ahead by then. The
 * earliest of several counts. */
void hsr_loop_job_due(struct hsr_loop *loop, struct hsr_job *job, uint64_t due_ns);

/** What a blocked job waited for has come. Harmless otherwise. */
void hsr_loop_job_wake(struct hsr_loop *loop, struct hsr_job *job);

/** Its result is not wanted any more. Harmless if the loop does not have it; not from inside of its
 * own step. */
void hsr_loop_job_remove(struct hsr_loop *loop, struct hsr_job *job);

/** From inside of step(): so much more of the work is done. */
void hsr_loop_job_worked(struct hsr_loop *loop, struct hsr_job *job, uint64_t bytes);

/* ---- for the loop ---- */

void hsr_jobs_init(struct hsr_loop *loop);

/** Is there work ahead that could go on now? */
bool hsr_jobs_ahead(const struct hsr_loop *loop);

/** In every turn: what is due is in demand. */
void hsr_jobs_due(struct hsr_loop *loop);

/** Work ahead until it is time for another turn; returns the steps. */
unsigned hsr_jobs_gap(struct hsr_loop *loop);

static inline uint64_t hsr_job_count(const atomic_ullong *figure)
{
    return atomic_load_explicit(figure, memory_order_relaxed);
}

#endif
