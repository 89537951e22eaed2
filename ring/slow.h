/* A thread beside each ring for the few calls that take long and that the kernel's ring cannot
 * take: one for syncfs(2), which may sleep for seconds, and one that makes and frees much memory:
 * ring/huge.h, and close(2). Started with the ring, so that nothing needs a new thread later. */
#ifndef HSR_RING_SLOW_H
#define HSR_RING_SLOW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/queue.h"
#include "ring/backend.h"

struct hsr_slow {
    struct hsr_backend *backend; /* woken when something is done */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* guards the lists and `stop`; held for a few instructions */
    pthread_cond_t come;
    struct hsr_list waiting; /* hsr_op.node */
    struct hsr_list done;
    bool stop;
    atomic_uint done_count;
    atomic_int usage_fd; /* the thread's schedstat; -1: not yet, or the kernel has none */
};

/** 0 or -errno. */
int hsr_slow_start(struct hsr_slow *slow, struct hsr_backend *backend);

/** Let it run @op; it comes back through hsr_slow_take(). */
void hsr_slow_run(struct hsr_slow *slow, struct hsr_op *op);

/** Is an operation done? One load. */
bool hsr_slow_done(const struct hsr_slow *slow);

/** An operation that is done, its result in op->res; NULL: none. */
struct hsr_op *hsr_slow_take(struct hsr_slow *slow);

/** What its thread had of the CPU; false: not known. Some microseconds. */
bool hsr_slow_usage(const struct hsr_slow *slow, struct hsr_usage *ret_usage);

/** What schedstat @fd says of its thread, whoever asks; false: nothing. */
bool hsr_schedstat_read(int fd, struct hsr_usage *ret_usage);

/** Nothing is waiting. Harmless when it was not started. */
void hsr_slow_stop(struct hsr_slow *slow);

#endif
