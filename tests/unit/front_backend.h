/* A backend in front of another one: all is passed on, with a clock of the test's. One at a time
 * for each loop; it lies in the test, and its loop frees the one behind it. */
#ifndef HSR_TESTS_FRONT_BACKEND_H
#define HSR_TESTS_FRONT_BACKEND_H

#include "base/util.h"
#include "ring/ring.h"

struct front {
    struct hsr_backend backend;
    struct hsr_backend *inner;
    uint64_t (*now)(struct hsr_backend *inner);
    void (*submitted)(bool any, uint64_t calls_until_ns); /* told before it is passed on; or NULL */
};

static inline struct front *front_of(struct hsr_backend *backend)
{
    return hsr_container_of(backend, struct front, backend);
}

static void front_submit(struct hsr_backend *backend, struct hsr_list *ops, uint64_t calls_until_ns)
{
    struct front *front = front_of(backend);

    if (front->submitted != NULL)
        front->submitted(!hsr_list_empty(ops), calls_until_ns);
    front->inner->ops->submit(front->inner, ops, calls_until_ns);
}

static void front_wait(struct hsr_backend *backend, uint64_t deadline_ns)
{
    front_of(backend)->inner->ops->wait(front_of(backend)->inner, deadline_ns);
}

static unsigned front_reap(struct hsr_backend *backend, unsigned max)
{
    return front_of(backend)->inner->ops->reap(front_of(backend)->inner, max);
}

static uint64_t front_now(struct hsr_backend *backend)
{
    return front_of(backend)->now(front_of(backend)->inner);
}

static uint64_t front_wall(struct hsr_backend *backend)
{
    return front_of(backend)->inner->ops->wall(front_of(backend)->inner);
}

static int64_t front_call(struct hsr_backend *backend, struct hsr_op *op)
{
    return front_of(backend)->inner->ops->call(front_of(backend)->inner, op);
}

static void front_cancel(struct hsr_backend *backend, struct hsr_op *op)
{
    front_of(backend)->inner->ops->cancel(front_of(backend)->inner, op);
}

static bool front_pending(struct hsr_backend *backend)
{
    return front_of(backend)->inner->ops->pending(front_of(backend)->inner);
}

static void front_wake(struct hsr_backend *backend)
{
    front_of(backend)->inner->ops->wake(front_of(backend)->inner);
}

static int front_register(struct hsr_backend *backend, const struct iovec *iov, unsigned count)
{
    return front_of(backend)->inner->ops->register_buffers(front_of(backend)->inner, iov, count);
}

static void front_random(struct hsr_backend *backend, void *out, size_t size)
{
    front_of(backend)->inner->ops->random(front_of(backend)->inner, out, size);
}

static void front_fini(struct hsr_backend *backend)
{
    front_of(backend)->inner->ops->fini(front_of(backend)->inner);
}

static const struct hsr_backend_ops front_ops = { .name = "front",
                                                  .submit = front_submit,
                                                  .wait = front_wait,
                                                  .reap = front_reap,
                                                  .now = front_now,
                                                  .wall = front_wall,
                                                  .call = front_call,
                                                  .cancel = front_cancel,
                                                  .pending = front_pending,
                                                  .wake = front_wake,
                                                  .register_buffers = front_register,
                                                  .random = front_random,
                                                  .fini = front_fini };

/* Put @front before the backend of @loop. Its own thread, or before it runs. */
static inline void front_put(struct front *front, struct hsr_loop *loop,
                             uint64_t (*now)(struct hsr_backend *inner))
{
    front->inner = loop->backend;
    front->now = now;
    front->backend = *loop->backend;
    front->backend.ops = &front_ops;
    loop->backend = &front->backend;
}

#endif
