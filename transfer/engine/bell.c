/* See bell.h. */
#include "transfer/engine/bell.h"

#include <errno.h>
#include <unistd.h>

#include "base/base.h"
#include "transfer/engine/session.h"

static void bell_ring(struct hsr_engine *engine);
static void bell_hear(struct hsr_shard *shard);
static void bell_rung(struct hsr_op *op, int64_t res, unsigned flags);

void hsr_engine_cancel_async(struct hsr_engine *engine)
{
    atomic_store(&engine->cancel_async, true);
    bell_ring(engine);
}

void hsr_engine_control(struct hsr_engine *engine, enum hsr_control control)
{
    hsr_assert(!engine->config.server);
    if (control == HSR_CONTROL_STOP)
        atomic_store(&engine->stop_async, true);
    else
        atomic_store(&engine->hold, control == HSR_CONTROL_HOLD);
    if (engine->config.no_threads)
        bell_hear(&engine->shards[0]); /* we are its thread */
    else
        bell_ring(engine);
}

/* Async-signal-safe. */
static void bell_ring(struct hsr_engine *engine)
{
    uint64_t one = 1;
    int saved = errno; /* a signal handler must not change it */

    if (engine->cancel_fd >= 0 && write(engine->cancel_fd, &one, sizeof(one)) < 0)
        hsr_assert(errno == EAGAIN || errno == EINTR); /* it was rung already, or will be again */
    errno = saved;
}

void hsr_bell_arm(struct hsr_shard *shard)
{
    shard->cancel_op = (struct hsr_op){ .kind = HSR_OP_READ,
                                        .done = bell_rung,
                                        .fd = shard->engine->cancel_fd,
                                        .buf = &shard->cancel_value,
                                        .size = sizeof(shard->cancel_value),
                                        .buf_index = -1 };
    hsr_loop_submit(&shard->loop, &shard->cancel_op);
}

/* The signal handler's bell. */
static void bell_rung(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_shard *shard = hsr_container_of(op, struct hsr_shard, cancel_op);

    (void)flags; /* a read completes once */
    if (shard->stopping || (res < 0 && res != -EINTR && res != -EAGAIN))
        return; /* -ECANCELED: the engine ends */
    bell_hear(shard);
    hsr_bell_arm(shard);
}

/* What others have set. With no session here it stays, for the next one. */
static void bell_hear(struct hsr_shard *shard)
{
    struct hsr_engine *engine = shard->engine;
    struct hsr_list *node = shard->sessions.next, *next;
    bool stop;

    if (hsr_list_empty(&shard->sessions))
        return;
    if (atomic_exchange(&engine->cancel_async, false))
        hsr_bell_end(shard, HSR_E_CANCELED, "interrupted");
    stop = atomic_exchange(&engine->stop_async, false);
    for (; node != &shard->sessions; node = next) {
        struct hsr_session *session = hsr_container_of(node, struct hsr_session, node);

        next = node->next;
        hsr_hold_set(session, atomic_load(&engine->hold));
        if (stop)
            hsr_hold_stop(session);
    }
}

void hsr_bell_end(struct hsr_shard *shard, int rc, const char *why)
{
    struct hsr_list *node = shard->sessions.next;

    while (node != &shard->sessions) {
        struct hsr_list *next = node->next; /* ending one may take it off the list, no other */
        struct hsr_session *session = hsr_container_of(node, struct hsr_session, node);

        if (session->state != HSR_SESSION_CLOSING) /* else its result stands */
            hsr_session_end(session, rc, why);
        node = next;
    }
}
