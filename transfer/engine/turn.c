/* Turns; see turn.h. */
#include "transfer/engine/turn.h"

#include "base/assert.h"

static void turn_lock(struct hsr_turn *turn)
{
    hsr_assert(pthread_mutex_lock(&turn->lock) == 0);
}

static void turn_unlock(struct hsr_turn *turn)
{
    hsr_assert(pthread_mutex_unlock(&turn->lock) == 0);
}

/* Tell those whom nothing but the turn kept. */
static void turn_tell(struct hsr_turn *turn)
{
    for (struct hsr_list *node = turn->waiters.next, *next; node != &turn->waiters; node = next) {
        struct hsr_turn_waiter *waiter = hsr_container_of(node, struct hsr_turn_waiter, node);

        next = node->next;
        hsr_assert(!waiter->posted);
        if (waiter->end > turn->end)
            continue;
        hsr_list_remove(node);
        waiter->posted = true;
        hsr_loop_send(waiter->loop, &waiter->msg);
    }
}

void hsr_turn_init(struct hsr_turn *turn)
{
    hsr_assert(pthread_mutex_init(&turn->lock, NULL) == 0); /* default kind: allocates nothing */
    turn->taken = false;
    turn->end = UINT64_MAX;
    hsr_list_init(&turn->waiters);
}

void hsr_turn_limit(struct hsr_turn *turn, uint64_t end)
{
    turn_lock(turn);
    turn->end = end;
    if (!turn->taken) /* else hsr_turn_give() tells them */
        turn_tell(turn);
    turn_unlock(turn);
}

void hsr_turn_fini(struct hsr_turn *turn)
{
    hsr_assert(!turn->taken);
    hsr_assert(hsr_list_empty(&turn->waiters));
    hsr_assert(pthread_mutex_destroy(&turn->lock) == 0);
}

void hsr_turn_waiter_init(struct hsr_turn_waiter *waiter, struct hsr_loop *loop,
                          void (*deliver)(struct hsr_msg *msg))
{
    hsr_list_init(&waiter->node);
    waiter->msg.deliver = deliver;
    waiter->loop = loop;
    waiter->posted = false;
}

bool hsr_turn_take(struct hsr_turn *turn, struct hsr_turn_waiter *waiter, uint64_t end)
{
    bool ours;

    turn_lock(turn);
    waiter->end = end;
    ours = !turn->taken && end <= turn->end;
    if (ours) {
        turn->taken = true;
        hsr_list_remove(&waiter->node);
    }
    if (!ours && !waiter->posted && !hsr_list_linked(&waiter->node))
        hsr_list_push_tail(&turn->waiters, &waiter->node);
    turn_unlock(turn);
    return ours;
}

/* All of them and not the first: whoever is told may have nothing to write any more, and those who
 * find it taken again queue again behind the one who has it. */
void hsr_turn_give(struct hsr_turn *turn)
{
    turn_lock(turn);
    hsr_assert(turn->taken);
    turn->taken = false;
    turn_tell(turn);
    turn_unlock(turn);
}

void hsr_turn_heard(struct hsr_turn *turn, struct hsr_turn_waiter *waiter)
{
    turn_lock(turn);
    hsr_assert(waiter->posted);
    waiter->posted = false;
    turn_unlock(turn);
}

bool hsr_turn_leave(struct hsr_turn *turn, struct hsr_turn_waiter *waiter)
{
    bool free;

    turn_lock(turn);
    hsr_list_remove(&waiter->node);
    free = !waiter->posted;
    turn_unlock(turn);
    return free;
}
