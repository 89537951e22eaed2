/* See watch.h. */
#include "tests/sim/watch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/sim/world.h"

#define ENTRIES 256u

struct watched {
    struct hsr_backend backend;
    struct hsr_backend *inner;
    struct sim_watch *watch;
    struct hsr_list failed; /* operations that never reached the kernel */
};

static const struct hsr_backend_ops watch_ops;

static struct watched *watched_of(struct hsr_backend *backend)
{
    hsr_assert(backend->ops == &watch_ops);
    return hsr_container_of(backend, struct watched, backend);
}

/* Gone from the target before we touch it: somebody else was faster. As in the simulation. */
static int watch_error(const struct sim_watch *watch, enum hsr_op_kind kind)
{
    const int *errors = sim_fault_errors(kind);
    unsigned count = 0;
    int error;

    while (errors[count] != 0)
        count++;
    if (count == 0)
        return 0;
    error = errors[watch->pick % count];
    return error == ENOENT && watch->target ? errors[0] : error;
}

/* Count it: 0, or the error that it ends with. */
static int watch_count(struct sim_watch *watch, const struct hsr_op *op)
{
    uint64_t number = atomic_fetch_add(&watch->ops, 1) + 1;
    uint32_t none = 0;
    int error;

    if (number == watch->kill_nth) {
        (void)kill(getpid(), SIGKILL);
        for (;;)
            (void)pause(); /* the signal is on its way */
    }
    if (watch->fault_nth == 0 || number < watch->fault_nth || atomic_load(&watch->fired) > 0)
        return 0;
    error = watch_error(watch, (enum hsr_op_kind)op->kind);
    if (error == 0 || !atomic_compare_exchange_strong(&watch->fired, &none, 1))
        return 0;
    atomic_store(&watch->fired_kind, op->kind);
    atomic_store(&watch->fired_error, (uint32_t)error);
    return error;
}

/* What an error leaves behind: close(2) closes, and a connection that failed carries nothing. */
static int64_t watch_fail(struct hsr_op *op, int error)
{
    bool refused =
        op->kind == HSR_OP_SEND_ZC && (error == ENOMEM || error == EOPNOTSUPP); /* as before */
    struct linger now = { .l_onoff = 1 };

    if (op->kind == HSR_OP_CLOSE)
        (void)close(op->fd);
    if (!refused && op->kind >= HSR_OP_SEND && op->kind <= HSR_OP_RECVMSG) {
        (void)setsockopt(op->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)); /* a reset, then */
        (void)shutdown(op->fd, SHUT_RDWR);
    }
    return -error;
}

static void watch_submit(struct hsr_backend *base, struct hsr_list *ops, uint64_t calls_until_ns)
{
    struct watched *watched = watched_of(base);
    struct hsr_list left;
    struct hsr_list *node;

    hsr_list_init(&left);
    while ((node = hsr_list_pop_head(ops)) != NULL) {
        struct hsr_op *op = hsr_container_of(node, struct hsr_op, node);
        int error = op->kind == HSR_OP_NOP ? 0 : watch_count(watched->watch, op);

        if (error == 0) {
            hsr_list_push_tail(&left, &op->node);
            continue;
        }
        op->res = watch_fail(op, error);
        op->due = HSR_DUE_RESULT;
        hsr_list_push_tail(&watched->failed, &op->node);
    }
    watched->inner->ops->submit(watched->inner, &left, calls_until_ns);
}

static int64_t watch_call(struct hsr_backend *base, struct hsr_op *op)
{
    struct watched *watched = watched_of(base);
    int error = watch_count(watched->watch, op);

    return error != 0 ? watch_fail(op, error) : watched->inner->ops->call(watched->inner, op);
}

static void watch_wait(struct hsr_backend *base, uint64_t deadline_ns)
{
    struct watched *watched = watched_of(base);

    watched->inner->ops->wait(watched->inner, hsr_list_empty(&watched->failed) ? deadline_ns : 0);
}

static unsigned watch_reap(struct hsr_backend *base, unsigned max)
{
    struct watched *watched = watched_of(base);
    struct hsr_list *node;
    unsigned count = 0;

    while (count < max && (node = hsr_list_pop_head(&watched->failed)) != NULL) {
        hsr_op_deliver(hsr_container_of(node, struct hsr_op, node));
        count++;
    }
    return count < max ? count + watched->inner->ops->reap(watched->inner, max - count) : count;
}

static bool watch_pending(struct hsr_backend *base)
{
    struct watched *watched = watched_of(base);

    return !hsr_list_empty(&watched->failed) || watched->inner->ops->pending(watched->inner);
}

static void watch_cancel(struct hsr_backend *base, struct hsr_op *op)
{
    struct watched *watched = watched_of(base);

    for (struct hsr_list *node = watched->failed.next; node != &watched->failed;
         node = node->next) {
        if (node == &op->node)
            return; /* its completion comes anyway */
    }
    watched->inner->ops->cancel(watched->inner, op);
}

/* ---- as they are ---- */

static void watch_wake(struct hsr_backend *base)
{
    struct hsr_backend *inner = watched_of(base)->inner;

    inner->ops->wake(inner);
}

static int watch_register(struct hsr_backend *base, const struct iovec *iov, unsigned count)
{
    struct hsr_backend *inner = watched_of(base)->inner;

    return inner->ops->register_buffers(inner, iov, count);
}

static void watch_fini(struct hsr_backend *base)
{
    struct watched *watched = watched_of(base);

    hsr_assert(hsr_list_empty(&watched->failed));
    watched->inner->ops->fini(watched->inner);
    free(watched);
}

/* `usage` is left out: a backend need not know it. */
static const struct hsr_backend_ops watch_ops = {
    .name = "watched",
    .submit = watch_submit,
    .wait = watch_wait,
    .reap = watch_reap,
    .now = hsr_system_now,
    .wall = hsr_system_wall,
    .call = watch_call,
    .cancel = watch_cancel,
    .pending = watch_pending,
    .wake = watch_wake,
    .register_buffers = watch_register,
    .random = hsr_system_random,
    .cpu = hsr_system_cpu,
    .fini = watch_fini,
};

int sim_watch_create(struct sim_watch *watch, struct hsr_backend **ret_backend, char *why,
                     size_t why_size)
{
    struct hsr_uring_options options = { .entries = ENTRIES, .iowq_cpu = -1 };
    struct watched *watched = calloc(1, sizeof(*watched));
    int rc;

    if (watched == NULL)
        return -ENOMEM;
    rc = hsr_uring_create(&options, &watched->inner, why, why_size);
    if (rc < 0) {
        free(watched);
        return rc;
    }
    watched->backend = *watched->inner; /* what it can */
    watched->backend.ops = &watch_ops;
    watched->watch = watch;
    hsr_list_init(&watched->failed);
    *ret_backend = &watched->backend;
    return 0;
}
