/* A backend that says yes to everything, at once and in full: what is left is our own overhead. A
 * read never ends, a directory is empty, a file has no attributes. Descriptors it hands out start
 * far above what a process has, so that closing one for real would be noticed. */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "ring/backend.h"

#define NULL_FD_FIRST 0x10000000

struct null_backend {
    struct hsr_backend backend;
    struct hsr_list completed;
    int fd_next;
    int bell_fd;
};

static const struct hsr_backend_ops null_ops;

int hsr_null_create(struct hsr_backend **ret_backend)
{
    struct null_backend *null = calloc(1, sizeof(*null));
    int rc;

    if (null == NULL)
        return -ENOMEM;
    null->backend.ops = &null_ops;
    null->backend.send_zc = true;
    null->fd_next = NULL_FD_FIRST;
    hsr_list_init(&null->completed);
    null->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (null->bell_fd < 0) {
        rc = -errno;
        free(null);
        return rc;
    }
    *ret_backend = &null->backend;
    return 0;
}

static struct null_backend *null_of(struct hsr_backend *backend)
{
    hsr_assert_hot(backend->ops == &null_ops);
    return hsr_container_of(backend, struct null_backend, backend);
}

static int64_t null_size(const struct hsr_op *op)
{
    uint64_t size = op->size;

    if (op->kind == HSR_OP_RECVMSG) {
        size = 0;
        for (unsigned i = 0; i < op->iov_count; i++)
            size += op->iov[i].iov_len;
    }
    return (int64_t)size;
}

static int64_t null_call(struct hsr_backend *backend, struct hsr_op *op)
{
    struct null_backend *null = null_of(backend);

    switch ((enum hsr_op_kind)op->kind) {
    case HSR_OP_SEND:
    case HSR_OP_SEND_ZC:
    case HSR_OP_RECV:
    case HSR_OP_RECVMSG:
    case HSR_OP_READ:
    case HSR_OP_WRITE:
        return null_size(op);
    case HSR_OP_ACCEPT:
    case HSR_OP_OPENAT2:
        return null->fd_next++;
    case HSR_OP_POLL:
        return (int64_t)op->msg_flags;
    case HSR_OP_LSEEK:
        return (int64_t)op->offset;
    case HSR_OP_STATX:
        memset(op->statx, 0, sizeof(*op->statx));
        op->statx->stx_mask = op->mask;
        op->statx->stx_mode = S_IFREG | 0644;
        op->statx->stx_nlink = 1;
        return 0;
    case HSR_OP_STATFS:
        memset(op->statfs, 0, sizeof(struct statfs));
        return 0;
    default:
        return 0;
    }
}

static void null_submit(struct hsr_backend *backend, struct hsr_list *ops, uint64_t calls_until_ns)
{
    struct null_backend *null = null_of(backend);

    (void)calls_until_ns; /* all take no time */
    for (struct hsr_list *node = ops->next; node != ops; node = node->next) {
        struct hsr_op *op = hsr_container_of(node, struct hsr_op, node);

        op->res = null_call(backend, op);
        op->due = HSR_DUE_RESULT;
        if (op->kind == HSR_OP_SEND_ZC) {
            op->due |= HSR_DUE_MORE | HSR_DUE_NOTICE;
            op->notice = HSR_NOTICE_SENT;
        }
    }
    hsr_list_splice_tail(&null->completed, ops);
}

static void null_wait(struct hsr_backend *backend, uint64_t deadline_ns)
{
    struct null_backend *null = null_of(backend);
    struct pollfd poll_fd = { .fd = null->bell_fd, .events = POLLIN };
    struct timespec ts;
    uint64_t now_ns, rings;

    if (deadline_ns == 0 || !hsr_list_empty(&null->completed))
        return;
    now_ns = hsr_system_now(backend);
    if (now_ns >= deadline_ns)
        return;
    ts.tv_sec = (time_t)((deadline_ns - now_ns) / HSR_NS_PER_S);
    ts.tv_nsec = (long)((deadline_ns - now_ns) % HSR_NS_PER_S);
    if (ppoll(&poll_fd, 1, deadline_ns == UINT64_MAX ? NULL : &ts, NULL) > 0) {
        /* Only this thread reads, so there is something; how often it rang does not matter. */
        (void)!read(null->bell_fd, &rings, sizeof(rings));
    }
}

static unsigned null_reap(struct hsr_backend *backend, unsigned max)
{
    struct null_backend *null = null_of(backend);
    struct hsr_list *node;
    unsigned count = 0;

    while (count < max && (node = hsr_list_pop_head(&null->completed)) != NULL) {
        struct hsr_op *op = hsr_container_of(node, struct hsr_op, node);

        hsr_op_deliver(op);
        count++;
    }
    return count;
}

static void null_cancel(struct hsr_backend *backend, struct hsr_op *op)
{
    (void)backend; /* everything has completed already */
    (void)op;
}

static bool null_pending(struct hsr_backend *backend)
{
    return !hsr_list_empty(&null_of(backend)->completed);
}

static void null_wake(struct hsr_backend *backend)
{
    uint64_t one = 1;

    /* It can only fail when the counter is full, and then the bell rings anyway. */
    (void)!write(null_of(backend)->bell_fd, &one, sizeof(one));
}

static int null_register_buffers(struct hsr_backend *backend, const struct iovec *iov,
                                 unsigned count)
{
    (void)backend;
    (void)iov;
    (void)count;
    return 0;
}

static void null_fini(struct hsr_backend *backend)
{
    struct null_backend *null = null_of(backend);

    hsr_assert(hsr_list_empty(&null->completed));
    (void)close(null->bell_fd); /* an eventfd has nothing to lose */
    free(null);
}

static const struct hsr_backend_ops null_ops = {
    .name = "null",
    .submit = null_submit,
    .wait = null_wait,
    .reap = null_reap,
    .now = hsr_system_now,
    .wall = hsr_system_wall,
    .call = null_call,
    .cancel = null_cancel,
    .pending = null_pending,
    .wake = null_wake,
    .register_buffers = null_register_buffers,
    .random = hsr_system_random,
    .fini = null_fini,
};
