/* The real backend: one io_uring per loop thread. liburing makes the ring and fills SQEs; the
 * entering is done here, because liburing 2.3 knows neither the newer flags nor what to do when the
 * kernel is short of memory: nothing is lost, what was not taken stays in the queue.
 *
 *   submit()  ops -> queued -> SQEs (while there is room), or calls (while there is time)
 *   wait()    one io_uring_enter for all SQEs; sleeps in it
 *   reap()    first what plain calls and overflow left in `completed`, then the CQ
 *
 * With DEFER_TASKRUN completions appear only inside of io_uring_enter; IORING_SQ_TASKRUN in the
 * ring's flag word tells, for the price of a load, that entering would bring some. */
#include <errno.h>
#include <liburing.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "ring/backend.h"
#include "ring/slow.h"
#include "ring/uapi.h"

#define URING_ENTRIES 1024u /* default; four times that is what a busy shard has in flight */
#define URING_CQ_FACTOR 4u /* ops in flight outnumber those submitted in one turn */
#define URING_IOWQ_MAX 2u /* workers; more only fight for the shard's CPU */
#define URING_FD_WORKERS_ALL 0u /* 0 leaves the unbounded workers as they are */

/* One SQE moves at most this much (read(2), NOTES); sqe->len has 32 bits. */
#define TRANSFER_SIZE_MAX 0x7ffff000ull

/* user_data of what is not an operation; operations are aligned pointers. */
#define URING_BELL 1ull /* the doorbell's read */
#define URING_IGNORE 2ull /* a cancel request: only its target's completion matters */

/* Its own thread for each, or one session's sync would hold up another's huge pages. */
enum { SLOW_SYNC, SLOW_MEMORY, SLOW_COUNT };

/* A buffer is registered when it is first used: that pins it, which zeroes it too, and a short job
 * uses few of them or, with plain calls, none. */
enum uring_buffer_state { BUFFER_NEW, BUFFER_REGISTERED, BUFFER_REFUSED };

struct uring_buffer {
    struct iovec iov;
    uint8_t state; /* enum uring_buffer_state */
};

struct uring {
    struct hsr_backend backend;
    struct io_uring ring;
    bool ring_made;
    bool bell_armed;
    struct uring_buffer *buffers; /* by hsr_op.buf_index; NULL: none may be registered */
    unsigned buffer_count;
    int bell_fd; /* eventfd; any thread writes */
    int usage_fd; /* the thread's schedstat; -1: the kernel has none */
    unsigned enter_flags; /* of every io_uring_enter */
    uint64_t bell_value; /* where the doorbell's read goes */
    struct hsr_list calls; /* operations that are plain calls, not made yet */
    struct hsr_list queued; /* operations without an SQE yet */
    struct hsr_list completed; /* results without a call of done() yet, oldest first */
    struct hsr_slow slow[SLOW_COUNT];
};

static const struct hsr_backend_ops uring_ops;

static int uring_ring_init(struct uring *uring, const struct hsr_uring_options *options);
static void uring_ring_tune(struct uring *uring, const struct hsr_uring_options *options);
static int uring_explain(int rc, char *why, size_t why_size);
static void uring_fini(struct hsr_backend *backend);
static void uring_fill(struct uring *uring);
static void uring_calls(struct uring *uring, uint64_t until_ns);
static struct io_uring_sqe *uring_sqe(struct uring *uring);
static int uring_enter(struct uring *uring, unsigned complete_min, uint64_t timeout_ns);
static void uring_drain(struct uring *uring);
static bool uring_prep(struct uring *uring, struct io_uring_sqe *sqe, struct hsr_op *op);

static struct uring *uring_of(struct hsr_backend *backend)
{
    hsr_assert_hot(backend->ops == &uring_ops);
    return hsr_container_of(backend, struct uring, backend);
}

int hsr_uring_create(const struct hsr_uring_options *options, struct hsr_backend **ret_backend,
                     char *why, size_t why_size)
{
    struct uring *uring;
    int rc;

    if (why_size > 0)
        why[0] = '\0';
    uring = calloc(1, sizeof(*uring));
    if (uring == NULL)
        return -ENOMEM;
    uring->backend.ops = &uring_ops;
    uring->backend.spin_ns = options->spin_ns;
    hsr_list_init(&uring->calls);
    hsr_list_init(&uring->queued);
    hsr_list_init(&uring->completed);
    /* Not EFD_NONBLOCK: the armed read would fail with EAGAIN instead of waiting. */
    uring->bell_fd = eventfd(0, EFD_CLOEXEC);
    /* Opened now: later a sandbox may forbid it. It is this thread's whoever reads it. */
    uring->usage_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (uring->bell_fd < 0) {
        rc = -errno;
        goto fail;
    }
    rc = uring_ring_init(uring, options);
    if (rc < 0) {
        rc = uring_explain(rc, why, why_size);
        goto fail;
    }
    uring_ring_tune(uring, options);
    uring->backend.send_zc = hsr_uring_probe_zc(&uring->ring);
    for (unsigned i = 0; i < SLOW_COUNT; i++) {
        rc = hsr_slow_start(&uring->slow[i], &uring->backend);
        if (rc < 0)
            goto fail;
    }
    *ret_backend = &uring->backend;
    return 0;

fail:
    uring_fini(&uring->backend);
    return rc;
}

/* ---- set-up ---- */

static int uring_ring_init(struct uring *uring, const struct hsr_uring_options *options)
{
    static const unsigned flag_steps[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
            IORING_SETUP_SUBMIT_ALL, /* 6.1 has all of it; the others are for odd back-ports */
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
    };
    static const unsigned entry_steps[] = { 256, 64 }; /* after ENOMEM */
    unsigned entries = options->entries > 0 ? options->entries : URING_ENTRIES;
    unsigned entry_step = 0, flag_step = 0;

    for (;;) {
        struct io_uring_params params = { .flags = flag_steps[flag_step] | IORING_SETUP_CQSIZE |
                                                   IORING_SETUP_CLAMP,
                                          .cq_entries = entries * URING_CQ_FACTOR };
        int rc = io_uring_queue_init_params(entries, &uring->ring, &params);

        if (rc == 0)
            break;
        if (rc == -EINVAL && flag_step + 1 < HSR_ARRAY_COUNT(flag_steps)) {
            flag_step++;
            continue;
        }
        while (entry_step < HSR_ARRAY_COUNT(entry_steps) && entry_steps[entry_step] >= entries)
            entry_step++;
        if (rc != -ENOMEM || entry_step == HSR_ARRAY_COUNT(entry_steps))
            return rc;
        entries = entry_steps[entry_step];
    }
    uring->ring_made = true;
    return 0;
}

/* Nothing in here is needed to work, so failures are ignored: an older kernel has less. */
static void uring_ring_tune(struct uring *uring, const struct hsr_uring_options *options)
{
    unsigned workers[2] = { options->iowq_max > 0 ? options->iowq_max : URING_IOWQ_MAX,
                            URING_FD_WORKERS_ALL };

    for (unsigned i = 0; i < uring->ring.sq.ring_entries; i++)
        uring->ring.sq.array[i] = i; /* slot i is SQE i, for good; uring_enter() relies on it */
    (void)io_uring_register_iowq_max_workers(&uring->ring, workers);
    if (options->iowq_cpu >= 0 && options->iowq_cpu < CPU_SETSIZE) {
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET((unsigned)options->iowq_cpu, &set);
        (void)io_uring_register_iowq_aff(&uring->ring, sizeof(set), &set);
    }
    if (io_uring_register_ring_fd(&uring->ring) == 1) /* saves a reference count per enter */
        uring->enter_flags |= IORING_ENTER_REGISTERED_RING;
    if (uring->ring.features & IORING_FEAT_NO_IOWAIT) /* a sleeping shard is idle, not in I/O */
        uring->enter_flags |= IORING_ENTER_NO_IOWAIT;
}

static int uring_explain(int rc, char *why, size_t why_size)
{
    struct rlimit limit = { 0, 0 };
    FILE *file;
    int disabled = -1;

    if (rc == -ENOMEM) {
        (void)getrlimit(RLIMIT_MEMLOCK, &limit); /* cannot fail with these arguments */
        (void)snprintf(why, why_size,
                       "no locked memory left for a ring: the limit is %llu KiB; raise it with "
                       "'ulimit -l', or LimitMEMLOCK= in the systemd unit",
                       (unsigned long long)limit.rlim_cur / 1024);
        return HSR_E_MEMLOCK;
    }
    if (rc != -EINVAL && rc != -ENOSYS && rc != -EPERM && rc != -EACCES)
        return rc;
    file = fopen("/proc/sys/kernel/io_uring_disabled", "re"); /* since 6.6 */
    if (file != NULL) {
        if (fscanf(file, "%d", &disabled) != 1)
            disabled = -1;
        (void)fclose(file); /* was only read */
    }
    if (rc == -EINVAL)
        (void)snprintf(
            why, why_size,
            "the kernel is too old for the io_uring features Hawser needs: run Linux 6.1 "
            "or newer");
    else if (disabled > 0)
        (void)snprintf(why, why_size,
                       "io_uring is switched off: sysctl kernel.io_uring_disabled is %d; set it to "
                       "0%s",
                       disabled,
                       disabled == 1 ? ", or put the user in the group kernel.io_uring_group" : "");
    else
        (void)snprintf(
            why, why_size,
            "io_uring is refused (%s) although the sysctl allows it: a seccomp filter, as "
            "containers have, forbids it, or the kernel was built without; allow "
            "io_uring_setup, io_uring_enter and io_uring_register (docker: "
            "--security-opt seccomp=...)",
            rc == -ENOSYS ? "ENOSYS" : "EPERM");
    return HSR_E_NO_IO_URING;
}

static void uring_fini(struct hsr_backend *backend)
{
    struct uring *uring = uring_of(backend);

    hsr_assert(hsr_list_empty(&uring->calls));
    hsr_assert(hsr_list_empty(&uring->queued));
    hsr_assert(hsr_list_empty(&uring->completed));
    for (unsigned i = 0; i < SLOW_COUNT; i++)
        hsr_slow_stop(&uring->slow[i]);
    if (uring->ring_made)
        io_uring_queue_exit(&uring->ring);
    free(uring->buffers);
    if (uring->bell_fd >= 0)
        (void)close(uring->bell_fd); /* an eventfd has nothing to lose */
    if (uring->usage_fd >= 0)
        (void)close(uring->usage_fd); /* only read */
    free(uring);
}

/* ---- submission ---- */

/* Which thread beside the ring runs it; SLOW_COUNT: none. CLOSE would have an SQE, which runs here:
 * whoever has a file last frees its pages. */
static unsigned uring_beside(const struct hsr_op *op)
{
    if (op->kind == HSR_OP_SYNCFS)
        return SLOW_SYNC;
    return op->kind == HSR_OP_HUGE || op->kind == HSR_OP_CLOSE ? SLOW_MEMORY : SLOW_COUNT;
}

/* Plain calls run here. */
static void uring_submit(struct hsr_backend *backend, struct hsr_list *ops, uint64_t calls_until_ns)
{
    struct uring *uring = uring_of(backend);

    hsr_list_splice_tail(&uring->queued, ops);
    uring_fill(uring);
    if (calls_until_ns > 0)
        uring_calls(uring, calls_until_ns);
    hsr_assert(hsr_list_empty(ops));
}

/* Each copies up to a chunk: what a turn has no time for is left to the next. */
static void uring_calls(struct uring *uring, uint64_t until_ns)
{
    uint64_t now_ns = 0;
    struct hsr_list *node;

    while (now_ns < until_ns && (node = hsr_list_pop_head(&uring->calls)) != NULL) {
        struct hsr_op *op = hsr_container_of(node, struct hsr_op, node);
        uint64_t start_ns = now_ns > 0 ? now_ns : hsr_system_now(&uring->backend);

        op->res = hsr_syscall_run(op);
        now_ns = hsr_system_now(&uring->backend);
        op->call_ns = now_ns - start_ns;
        op->due = HSR_DUE_RESULT;
        hsr_list_push_tail(&uring->completed, &op->node);
    }
}

/* Move queued operations to SQEs as far as there is room; the rest waits for the next enter. */
static void uring_fill(struct uring *uring)
{
    while (!hsr_list_empty(&uring->queued)) {
        struct hsr_op *op = hsr_container_of(uring->queued.next, struct hsr_op, node);
        struct io_uring_sqe *sqe;

        if (op->call) {
            hsr_list_remove(&op->node);
            hsr_list_push_tail(&uring->calls, &op->node);
            continue;
        }
        if (uring_beside(op) < SLOW_COUNT) {
            hsr_list_remove(&op->node);
            hsr_slow_run(&uring->slow[uring_beside(op)], op);
            continue;
        }
        if (!uring_prep(uring, NULL, op)) {
            hsr_list_remove(&op->node);
            op->res = hsr_syscall_run(op);
            op->call_ns = 0;
            op->due = HSR_DUE_RESULT;
            hsr_list_push_tail(&uring->completed, &op->node);
            continue;
        }
        sqe = uring_sqe(uring);
        if (sqe == NULL)
            return;
        hsr_list_remove(&op->node);
        (void)uring_prep(uring, sqe, op); /* said yes just before */
        io_uring_sqe_set_data(sqe, op);
    }
}

/* An SQE, entering the kernel to make room if need be; NULL when it takes none right now. */
static struct io_uring_sqe *uring_sqe(struct uring *uring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

    if (sqe != NULL)
        return sqe;
    if (uring_enter(uring, 0, 0) < 0)
        uring_drain(uring); /* EBUSY: the kernel wants its completions fetched first */
    return io_uring_get_sqe(&uring->ring);
}

/* Hand over all SQEs and, with @complete_min 1, sleep until there is a completion; UINT64_MAX: no
 * timeout. Returns what the kernel says; SQEs it did not take stay and go with the next call. */
static int uring_enter(struct uring *uring, unsigned complete_min, uint64_t timeout_ns)
{
    struct io_uring *ring = &uring->ring;
    struct __kernel_timespec ts = { .tv_sec = (long long)(timeout_ns / HSR_NS_PER_S),
                                    .tv_nsec = (long long)(timeout_ns % HSR_NS_PER_S) };
    struct io_uring_getevents_arg arg = { .ts = timeout_ns == UINT64_MAX
                                                    ? 0
                                                    : (uint64_t)(uintptr_t)&ts };
    unsigned tail = ring->sq.sqe_tail;
    unsigned flags = uring->enter_flags | IORING_ENTER_GETEVENTS;
    unsigned submit;

    ring->sq.sqe_head = tail;
    io_uring_smp_store_release(ring->sq.ktail, tail);
    submit = tail - IO_URING_READ_ONCE(*ring->sq.khead);
    hsr_assert(submit <= ring->sq.ring_entries);
    if (complete_min == 0)
        return io_uring_enter2((unsigned)ring->enter_ring_fd, submit, 0, flags, NULL, 0);
    return io_uring_enter2((unsigned)ring->enter_ring_fd, submit, complete_min,
                           flags | IORING_ENTER_EXT_ARG, (sigset_t *)(void *)&arg, sizeof(arg));
}

static void prep_recvmsg(struct io_uring_sqe *sqe, struct hsr_op *op)
{
    memset(&op->msghdr, 0, sizeof(op->msghdr));
    op->msghdr.msg_iov = (struct iovec *)(uintptr_t)op->iov; /* the kernel does not change it */
    op->msghdr.msg_iovlen = op->iov_count;
    io_uring_prep_recvmsg(sqe, op->fd, &op->msghdr, op->msg_flags);
}

/* Is buffer @index (-1: none) registered? It is now, if the kernel agrees. */
static bool uring_buffer_use(struct uring *uring, int index)
{
    struct uring_buffer *buffer;
    __u64 tag = 0; /* no notice when it goes */

    if (index < 0 || uring->buffers == NULL)
        return false;
    hsr_assert((unsigned)index < uring->buffer_count);
    buffer = &uring->buffers[index];
    if (buffer->state == BUFFER_NEW)
        buffer->state = io_uring_register_buffers_update_tag(&uring->ring, (unsigned)index,
                                                             &buffer->iov, &tag, 1) == 1
                            ? BUFFER_REGISTERED
                            : BUFFER_REFUSED; /* the lock limit: without it works as well */
    return buffer->state == BUFFER_REGISTERED;
}

/* A broken connection is a result, never a signal. */
static void prep_send(struct uring *uring, struct io_uring_sqe *sqe, struct hsr_op *op)
{
    size_t size = (size_t)HSR_MIN(op->size, TRANSFER_SIZE_MAX);

    io_uring_prep_send(sqe, op->fd, op->buf, size, (int)(op->msg_flags | MSG_NOSIGNAL));
    if (op->kind == HSR_OP_SEND)
        return;
    sqe->opcode = IORING_OP_SEND_ZC;
    sqe->ioprio = IORING_SEND_ZC_REPORT_USAGE;
    if (!uring_buffer_use(uring, op->buf_index))
        return;
    sqe->ioprio |= IORING_RECVSEND_FIXED_BUF;
    sqe->buf_index = (uint16_t)op->buf_index;
}

static void prep_openat2(struct io_uring_sqe *sqe, struct hsr_op *op)
{
    /* Must live until the SQE was handed over; the scratch of RECVMSG is free here. */
    struct open_how *how = (struct open_how *)(void *)&op->msghdr;

    _Static_assert(sizeof(*how) <= sizeof(op->msghdr), "open_how fits the scratch");
    *how = (struct open_how){ .flags = op->open_flags | O_CLOEXEC,
                              .mode = op->mode,
                              .resolve = op->resolve };
    io_uring_prep_openat2(sqe, op->fd, op->path, how);
}

static void prep_statx(struct io_uring_sqe *sqe, struct hsr_op *op)
{
    const char *path = op->path != NULL ? op->path : "";

    io_uring_prep_statx(sqe, op->fd, path, op->at_flags | (path[0] == '\0' ? AT_EMPTY_PATH : 0),
                        op->mask, op->statx);
}

static void prep_data(struct uring *uring, struct io_uring_sqe *sqe, struct hsr_op *op)
{
    unsigned size = (unsigned)HSR_MIN(op->size, TRANSFER_SIZE_MAX);

    if (op->kind == HSR_OP_READ)
        io_uring_prep_read(sqe, op->fd, op->buf, size, op->offset);
    else
        io_uring_prep_write(sqe, op->fd, op->buf, size, op->offset);
    sqe->rw_flags = op->rw_flags;
    if (!uring_buffer_use(uring, op->buf_index))
        return;
    sqe->opcode = op->kind == HSR_OP_READ ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED;
    sqe->buf_index = (uint16_t)op->buf_index;
}

/* Fill @sqe (NULL: only tell). False: this kind has no SQE, or a worse one than the plain call. */
static bool uring_prep(struct uring *uring, struct io_uring_sqe *sqe, struct hsr_op *op)
{
    size_t size = (size_t)HSR_MIN(op->size, TRANSFER_SIZE_MAX);

    if (sqe == NULL)
        return op->kind != HSR_OP_FTRUNCATE && op->kind != HSR_OP_LSEEK &&
               op->kind != HSR_OP_SETFL && op->kind != HSR_OP_CACHESTAT &&
               op->kind != HSR_OP_CLONE && op->kind <= HSR_OP_STATX;
    switch ((enum hsr_op_kind)op->kind) {
    case HSR_OP_NOP:
        io_uring_prep_nop(sqe);
        return true;
    case HSR_OP_ACCEPT:
        io_uring_prep_accept(sqe, op->fd, op->addr, op->addr_size_out, SOCK_CLOEXEC);
        return true;
    case HSR_OP_CONNECT:
        io_uring_prep_connect(sqe, op->fd, op->addr, op->addr_size);
        return true;
    case HSR_OP_SEND:
    case HSR_OP_SEND_ZC:
        prep_send(uring, sqe, op);
        return true;
    case HSR_OP_RECV:
        io_uring_prep_recv(sqe, op->fd, op->buf, size, (int)op->msg_flags);
        return true;
    case HSR_OP_RECVMSG:
        prep_recvmsg(sqe, op);
        return true;
    case HSR_OP_SHUTDOWN:
        io_uring_prep_shutdown(sqe, op->fd, (int)op->msg_flags);
        return true;
    case HSR_OP_POLL:
        io_uring_prep_poll_add(sqe, op->fd, op->msg_flags);
        return true;
    case HSR_OP_READ:
    case HSR_OP_WRITE:
        prep_data(uring, sqe, op);
        return true;
    case HSR_OP_FSYNC:
        io_uring_prep_fsync(sqe, op->fd, op->data_only ? IORING_FSYNC_DATASYNC : 0);
        return true;
    case HSR_OP_FALLOCATE:
        io_uring_prep_fallocate(sqe, op->fd, (int)op->mode, (off_t)op->offset, (off_t)op->size);
        return true;
    case HSR_OP_FADVISE:
        io_uring_prep_fadvise(sqe, op->fd, op->offset, (off_t)op->size, (int)op->mode);
        return true;
    case HSR_OP_OPENAT2:
        prep_openat2(sqe, op);
        return true;
    case HSR_OP_STATX:
        prep_statx(sqe, op);
        return true;
    default:
        hsr_unreachable("operation without an SQE");
    }
}

/* ---- completions ---- */

static bool uring_cq_ready(const struct uring *uring)
{
    return io_uring_smp_load_acquire(uring->ring.cq.ktail) != *uring->ring.cq.khead;
}

/* Would entering the kernel bring completions? */
static bool uring_kernel_ready(const struct uring *uring)
{
    return IO_URING_READ_ONCE(*uring->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static bool uring_pending(struct hsr_backend *backend)
{
    struct uring *uring = uring_of(backend);

    return !hsr_list_empty(&uring->completed) || !hsr_list_empty(&uring->calls) ||
           uring_cq_ready(uring) || uring_kernel_ready(uring) ||
           hsr_slow_done(&uring->slow[SLOW_SYNC]) || hsr_slow_done(&uring->slow[SLOW_MEMORY]);
}

/* Only zero-copy sends complete more than once. */
static void uring_note(struct hsr_op *op, const struct io_uring_cqe *cqe)
{
    if (cqe->flags & IORING_CQE_F_NOTIF) {
        hsr_assert(op->kind == HSR_OP_SEND_ZC);
        op->notice =
            (uint32_t)cqe->res & IORING_NOTIF_USAGE_ZC_COPIED ? HSR_NOTICE_COPIED : HSR_NOTICE_SENT;
        op->due |= HSR_DUE_NOTICE;
        return;
    }
    op->res = cqe->res;
    op->due = HSR_DUE_RESULT;
    if (cqe->flags & IORING_CQE_F_MORE) {
        hsr_assert(op->kind == HSR_OP_SEND_ZC);
        op->due |= HSR_DUE_MORE;
    }
}

/* Take one CQE; NULL if it was not an operation's. */
static struct hsr_op *uring_take(struct uring *uring)
{
    unsigned head = *uring->ring.cq.khead;
    struct io_uring_cqe *cqe = &uring->ring.cq.cqes[head & uring->ring.cq.ring_mask];
    struct hsr_op *op = NULL;

    if (cqe->user_data == URING_BELL) {
        uring->bell_armed = false;
    } else if (cqe->user_data != URING_IGNORE) {
        op = io_uring_cqe_get_data(cqe);
        uring_note(op, cqe);
    }
    io_uring_cq_advance(&uring->ring, 1);
    return op;
}

/* Empty the CQ without running handlers. */
static void uring_drain(struct uring *uring)
{
    while (uring_cq_ready(uring)) {
        struct hsr_op *op = uring_take(uring);

        if (op != NULL && !hsr_list_linked(&op->node)) /* linked: a notice right after its result */
            hsr_list_push_tail(&uring->completed, &op->node);
    }
}

static unsigned uring_reap(struct hsr_backend *backend, unsigned max)
{
    struct uring *uring = uring_of(backend);
    struct hsr_list *node;
    struct hsr_op *slow;
    unsigned count = 0;

    if (uring_kernel_ready(uring))
        (void)uring_enter(uring, 0, 0); /* EBUSY and the like: the next turn tries again */
    while (count < max && (node = hsr_list_pop_head(&uring->completed)) != NULL) {
        struct hsr_op *op = hsr_container_of(node, struct hsr_op, node);

        hsr_op_deliver(op);
        count++;
    }
    for (unsigned i = 0; i < SLOW_COUNT; i++) {
        while (count < max && (slow = hsr_slow_take(&uring->slow[i])) != NULL) {
            slow->done(slow, slow->res, 0);
            count++;
        }
    }
    while (count < max && uring_cq_ready(uring)) {
        struct hsr_op *op = uring_take(uring);

        if (op == NULL)
            continue;
        hsr_op_deliver(op);
        count++;
    }
    return count;
}

static bool uring_bell_arm(struct uring *uring)
{
    struct io_uring_sqe *sqe;

    if (uring->bell_armed)
        return true;
    sqe = uring_sqe(uring);
    if (sqe == NULL)
        return false;
    io_uring_prep_read(sqe, uring->bell_fd, &uring->bell_value, sizeof(uring->bell_value), 0);
    io_uring_sqe_set_data64(sqe, URING_BELL);
    uring->bell_armed = true;
    return true;
}

static void uring_wait(struct hsr_backend *backend, uint64_t deadline_ns)
{
    struct uring *uring = uring_of(backend);
    uint64_t timeout_ns = UINT64_MAX;
    bool sleep = deadline_ns != 0;
    int rc;

    uring_fill(uring);
    if (sleep && deadline_ns != UINT64_MAX) {
        uint64_t now_ns = hsr_system_now(backend);

        timeout_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    }
    if (sleep && (!uring_bell_arm(uring) || timeout_ns == 0 || !hsr_list_empty(&uring->queued) ||
                  !hsr_list_empty(&uring->calls) || !hsr_list_empty(&uring->completed) ||
                  uring_cq_ready(uring)))
        sleep = false;
    if (!sleep && uring->ring.sq.sqe_tail == IO_URING_READ_ONCE(*uring->ring.sq.khead) &&
        !uring_kernel_ready(uring))
        return;
    rc = uring_enter(uring, sleep ? 1 : 0, timeout_ns);
    if (rc == -EBUSY || rc == -EAGAIN)
        uring_drain(uring); /* room for what the kernel holds back; it is entered again next turn */
    else /* ETIME: the deadline; EINTR: a signal, and the loop looks around */
        hsr_assert(rc >= 0 || rc == -ETIME || rc == -EINTR);
}

/* ---- the rest ---- */

static int64_t uring_call(struct hsr_backend *backend, struct hsr_op *op)
{
    (void)backend;
    return hsr_syscall_run(op);
}

static void uring_cancel(struct hsr_backend *backend, struct hsr_op *op)
{
    struct uring *uring = uring_of(backend);
    struct io_uring_sync_cancel_reg reg = { .addr = (uint64_t)(uintptr_t)op, .fd = -1 };
    struct hsr_list *lists[] = { &uring->queued, &uring->calls };
    struct io_uring_sqe *sqe;

    for (unsigned i = 0; i < HSR_ARRAY_COUNT(lists); i++)
        for (struct hsr_list *node = lists[i]->next; node != lists[i]; node = node->next) {
            if (node != &op->node)
                continue;
            hsr_list_remove(node); /* the kernel has not seen it */
            op->res = -ECANCELED;
            op->due = HSR_DUE_RESULT;
            hsr_list_push_tail(&uring->completed, node);
            return;
        }
    if (op->call)
        return; /* it was made */
    sqe = uring_sqe(uring);
    if (sqe != NULL) {
        io_uring_prep_cancel(sqe, op, 0);
        io_uring_sqe_set_data64(sqe, URING_IGNORE);
        return;
    }
    /* untested: the kernel must be out of memory. Not to be lost; it may have completed by now. */
    (void)io_uring_register_sync_cancel(&uring->ring, &reg);
}

/* An eventfd for everybody. IORING_OP_MSG_RING through the sender's own ring was tried against it:
 * a round trip between two threads took as long within the noise of a sleeping core's wake-up
 * (docs/ARCHITECTURE.md 9b). That is not worth a second path with its own failures (a sender
 * without a ring, a full target, kernels before 6.3). */
static void uring_wake(struct hsr_backend *backend)
{
    uint64_t one = 1;

    /* It can only fail when the counter is full, and then the bell rings anyway. */
    (void)!write(uring_of(backend)->bell_fd, &one, sizeof(one));
}

static int uring_register_buffers(struct hsr_backend *backend, const struct iovec *iov,
                                  unsigned count)
{
    struct uring *uring = uring_of(backend);
    struct uring_buffer *buffers;
    uint8_t state = BUFFER_NEW;
    int rc;

    hsr_assert(uring->buffers == NULL); /* one pool per ring */
    buffers = calloc(count, sizeof(*buffers));
    if (buffers == NULL)
        return -ENOMEM;
    rc = io_uring_register_buffers_sparse(&uring->ring, count); /* Linux 5.19 */
    if (rc == -EINVAL) {
        rc = io_uring_register_buffers(&uring->ring, iov, count);
        state = BUFFER_REGISTERED;
    }
    if (rc < 0) {
        free(buffers);
        return rc;
    }
    for (unsigned i = 0; i < count; i++)
        buffers[i] = (struct uring_buffer){ .iov = iov[i], .state = state };
    uring->buffers = buffers;
    uring->buffer_count = count;
    return 0;
}

static bool uring_usage(struct hsr_backend *backend, struct hsr_usage *ret_usage)
{
    const struct uring *uring = uring_of(backend);

    if (!hsr_schedstat_read(uring->usage_fd, ret_usage))
        return false;
    for (unsigned i = 0; i < SLOW_COUNT; i++) {
        struct hsr_usage helper;

        if (!hsr_slow_usage(&uring->slow[i], &helper))
            continue;
        ret_usage->help_ns += helper.cpu_ns;
        ret_usage->help_delay_ns += helper.delay_ns;
    }
    return true;
}

static const struct hsr_backend_ops uring_ops = {
    .name = "uring",
    .submit = uring_submit,
    .wait = uring_wait,
    .reap = uring_reap,
    .now = hsr_system_now,
    .wall = hsr_system_wall,
    .call = uring_call,
    .cancel = uring_cancel,
    .pending = uring_pending,
    .wake = uring_wake,
    .register_buffers = uring_register_buffers,
    .random = hsr_system_random,
    .cpu = hsr_system_cpu,
    .ran = hsr_system_ran,
    .usage = uring_usage,
    .fini = uring_fini,
};
