/* The whole seam between Hawser and a kernel. `ring/uring.c` is the real one, `ring/null.c` says
 * yes to everything (it measures our own overhead), `tests/sim/` holds a simulated world. A backend
 * belongs to one loop and is used by that loop's thread only, except wake(). */
#ifndef HSR_RING_BACKEND_H
#define HSR_RING_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/queue.h"
#include "ring/op.h"

struct hsr_backend;

/** What a thread had of the CPU so far. */
struct hsr_usage {
    uint64_t cpu_ns; /* it ran */
    uint64_t
        delay_ns; /* it could have run and did not: others had the core, or its quota was used */
    /* and the same of the threads that help it with calls that take long; not in the above */
    uint64_t help_ns, help_delay_ns;
};

struct hsr_backend_ops {
    const char *name;
    /** Take every operation of @ops (linked by op->node, in order; the list is empty afterwards,
     * and may be before). Each will complete; submission itself cannot fail: what the kernel
     * refuses completes with that error. Of those that are plain calls (op->call), old ones too, as
     * many are made as fit until @calls_until_ns of now(), at least one; 0: none now. */
    void (*submit)(struct hsr_backend *backend, struct hsr_list *ops, uint64_t calls_until_ns);
    /** Hand pending submissions over, then sleep until something completes, wake() was called or
     * @deadline_ns (of now()) has passed. UINT64_MAX: no deadline; 0: do not sleep. */
    void (*wait)(struct hsr_backend *backend, uint64_t deadline_ns);
    /** Call op->done for at most @max completions; returns how many. */
    unsigned (*reap)(struct hsr_backend *backend, unsigned max);
    /** Monotonic time in nanoseconds; the only clock of the house. */
    uint64_t (*now)(struct hsr_backend *backend);
    /** Wall clock in nanoseconds since 1970, for stage names and logs. */
    uint64_t (*wall)(struct hsr_backend *backend);
    /** Run @op now and return its result. Sockets: only SHUTDOWN. */
    int64_t (*call)(struct hsr_backend *backend, struct hsr_op *op);
    /** Ask for an armed operation to end soon (-ECANCELED or its normal result): its completion
     * still comes. */
    void (*cancel)(struct hsr_backend *backend, struct hsr_op *op);
    /** Is there something to reap, or does the kernel have work for us? No system call. */
    bool (*pending)(struct hsr_backend *backend);
    /** Any thread: make wait() return. */
    void (*wake)(struct hsr_backend *backend);
    /** @count buffers (iov index = hsr_op.buf_index) that may be registered: each is when it is
     * first used, where the kernel can. 0 or -errno: then the caller works without registration. */
    int (*register_buffers)(struct hsr_backend *backend, const struct iovec *iov, unsigned count);
    /** Random bytes: getrandom(2); seeded in the simulator. */
    void (*random)(struct hsr_backend *backend, void *out, size_t size);
    /** CPU time of the whole process so far, kernel workers included, in nanoseconds. NULL: there
     * is no such thing here. */
    uint64_t (*cpu)(struct hsr_backend *backend);
    /** CPU time of the calling thread, in nanoseconds: a system call. What others had of its core,
     * or the host of the machine, is not in it. NULL: there is no such thing here. */
    uint64_t (*ran)(struct hsr_backend *backend);
    /** What the loop's thread had of the CPU; false: not known. Some microseconds: now and then,
     * not on the way of data. May be NULL. */
    bool (*usage)(struct hsr_backend *backend, struct hsr_usage *ret_usage);
    void (*fini)(struct hsr_backend *backend);
};

struct hsr_backend {
    const struct hsr_backend_ops *ops;
    uint32_t spin_ns; /* the loop polls pending() and its inbox this long before it sleeps */
    bool send_zc; /* SEND_ZC works, and its notices say whether the kernel copied */
};

struct hsr_uring_options {
    unsigned entries; /* submission queue; the completion queue is four times that */
    unsigned iowq_max; /* bounded kernel workers; 0: as many as the ring's CPU allows (2) */
    int iowq_cpu; /* pin kernel workers to this CPU; -1: no */
    uint32_t spin_ns; /* poll the ring this long before sleeping; 0 when shards >= cores */
};

/** What the running kernel gives, probed once per process. */
struct hsr_uring_features {
    bool single_issuer, defer_taskrun, submit_all, no_sqarray, no_iowait;
    bool send_zc; /* with the report of what was copied */
    bool recv_multishot, msg_ring, bundle, min_wait;
    bool xattrat, fchmodat2, cachestat, dontcache;
    char used[256]; /* words for the start-up line */
    char missing[512]; /* "name (why)" for what is not used */
};

struct io_uring;

/** Can @ring send without a copy and say whether it did? Asks it with a send that cannot work, so
 * nothing else may be in flight on it. */
bool hsr_uring_probe_zc(struct io_uring *ring);

/** Probe; never fails: what cannot be probed is absent. */
void hsr_uring_probe(struct hsr_uring_features *features);

/** Create a real ring on the calling thread (it must be the loop's thread: SINGLE_ISSUER).
 * @param ret_backend  owned; free with ops->fini
 * @return 0, HSR_E_NO_IO_URING (forbidden by seccomp, sysctl or an old kernel: @why says which and
 * what to do), HSR_E_MEMLOCK, or -errno */
int hsr_uring_create(const struct hsr_uring_options *options, struct hsr_backend **ret_backend,
                     char *why, size_t why_size);

/** Everything succeeds at once, with full sizes; opens return made-up descriptors. */
int hsr_null_create(struct hsr_backend **ret_backend);

/** Clocks and random bytes of the machine: members of struct hsr_backend_ops for real kernels. */
uint64_t hsr_system_now(struct hsr_backend *backend);
uint64_t hsr_system_ran(struct hsr_backend *backend);
uint64_t hsr_system_wall(struct hsr_backend *backend);
uint64_t hsr_system_cpu(struct hsr_backend *backend);
void hsr_system_random(struct hsr_backend *backend, void *out, size_t size);

/** The plain system call behind @op: shared by `uring` and tools. Interrupted calls are repeated,
 * but for close(2). Details that matter to callers:
 *   OPENAT2  O_CLOEXEC is always added
 *   STATX    at_flags go through as they are (add AT_SYMLINK_NOFOLLOW yourself); an empty or NULL
 *            path adds AT_EMPTY_PATH
 *   xattrs   of a name: the name is one component (an old kernel needs it so: /proc/self/fd/N/name)
 * Returns res or -errno; -EOPNOTSUPP for sockets, but for SHUTDOWN. */
int64_t hsr_syscall_run(struct hsr_op *op);

#endif
