/* See crew.h. */
#include "transfer/engine/crew.h"

#include <errno.h>
#include <stdlib.h>

#include "base/base.h"
#include "transfer/engine/session.h"

/* One that is worked on, one that waits, one that is on its way: a hand that has to sleep for want
 * of work costs a wake-up of some 50 us. The home deals whenever it runs, so one is enough there.
 */
#define HAND_TASKS 3u
#define HAND_TASKS_HOME 1u

static void hand_run(struct hsr_task *task);
static void hand_work(struct hsr_hand *hand);
static void hand_taken(struct hsr_msg *msg);
static void hand_back(struct hsr_msg *msg);
static void hand_close(struct hsr_msg *msg);
static void hand_gone(struct hsr_msg *msg);
static void hand_return(struct hsr_hand *hand, struct hsr_crew_task *task);

uint32_t hsr_crew_size(unsigned shards)
{
    return HSR_MIN(shards, HSR_HANDS_MAX);
}

int hsr_crew_create(struct hsr_crew *crew, struct hsr_session *session,
                    const struct hsr_crew_ops *ops)
{
    struct hsr_engine *engine = session->engine;

    crew->session = session;
    crew->ops = ops;
    crew->hands = calloc(hsr_crew_size(engine->shard_count), sizeof(*crew->hands));
    if (crew->hands == NULL)
        return -ENOMEM;
    crew->hand_count = hsr_crew_size(engine->shard_count);
    crew->open = crew->hand_count;
    for (uint32_t i = 0; i < crew->hand_count; i++) {
        struct hsr_hand *hand = &crew->hands[i];

        hand->crew = crew;
        hand->shard = &engine->shards[(session->home->index + i) % engine->shard_count];
        hsr_list_init(&hand->tasks);
        hsr_task_init(&hand->task, ops->name, hand_run);
    }
    hsr_assert(crew->hands[0].shard == session->home);
    return 0;
}

struct hsr_hand *hsr_crew_hand(struct hsr_crew *crew)
{
    struct hsr_hand *best = &crew->hands[0];

    hsr_assert(!crew->closing);
    if (best->lent < HAND_TASKS_HOME)
        return best;
    best = NULL;
    for (uint32_t i = 1; i < crew->hand_count; i++) {
        struct hsr_hand *hand = &crew->hands[i];

        if (hand->lent < HAND_TASKS && (best == NULL || hand->lent < best->lent))
            best = hand;
    }
    return best;
}

void hsr_crew_lend(struct hsr_hand *hand, struct hsr_crew_task *task)
{
    hsr_assert(!hand->crew->closing);
    task->hand = hand;
    task->canceled = false;
    task->msg.deliver = hand_taken;
    hand->lent++;
    hsr_loop_send(&hand->shard->loop, &task->msg);
}

bool hsr_crew_close(struct hsr_crew *crew)
{
    for (uint32_t i = 0; i < crew->hand_count && !crew->closing; i++) {
        struct hsr_hand *hand = &crew->hands[i];

        hand->close_msg.deliver = hand_close;
        hsr_loop_send(&hand->shard->loop, &hand->close_msg);
    }
    crew->closing = true;
    return crew->open == 0;
}

void hsr_crew_free(struct hsr_crew *crew)
{
    hsr_assert(crew->open == 0);
    free(crew->hands);
    crew->hands = NULL;
    crew->hand_count = 0;
}

/* ---- at the hand ---- */

static void hand_taken(struct hsr_msg *msg)
{
    struct hsr_crew_task *task = hsr_container_of(msg, struct hsr_crew_task, msg);
    struct hsr_hand *hand = task->hand;

    hsr_list_init(&task->node);
    hsr_list_push_tail(&hand->tasks, &task->node);
    hsr_loop_wake(&hand->shard->loop, &hand->task);
}

static void hand_run(struct hsr_task *loop_task)
{
    struct hsr_hand *hand = hsr_container_of(loop_task, struct hsr_hand, task);
    const struct hsr_crew_ops *ops = hand->crew->ops;
    struct hsr_loop *loop = &hand->shard->loop;

    hsr_limit_watch(hand->shard);
    if (hand->closing && hand->own != NULL && ops->busy != NULL && ops->busy(hand))
        return; /* the kernel still has memory of it */
    hand_work(hand);
    if (!hand->closing || !hsr_list_empty(&hand->tasks))
        return;
    if (hand->own != NULL)
        ops->end(hand);
    hand->own = NULL;
    hsr_loop_forget(loop, &hand->task);
    hand->close_msg.deliver = hand_gone;
    hsr_loop_send(&hand->crew->session->home->loop, &hand->close_msg);
}

/* Tasks, until something else waits for this thread. */
static void hand_work(struct hsr_hand *hand)
{
    const struct hsr_crew_ops *ops = hand->crew->ops;
    struct hsr_loop *loop = &hand->shard->loop;
    uint64_t start_ns = hsr_loop_clock(loop);

    if (hand->own == NULL && !hand->closing && hand->rc == 0)
        hand->rc = ops->begin(hand);
    while (!hsr_list_empty(&hand->tasks)) {
        struct hsr_crew_task *task = hsr_container_of(hand->tasks.next, struct hsr_crew_task, node);

        task->canceled = hand->closing || hand->rc < 0;
        if (!task->canceled && !ops->step(hand, task)) {
            if (!hand->parked)
                hsr_loop_wake(loop, &hand->task); /* the next slice, after the others' turn */
            hand->parked = false;
            break;
        }
        hand_return(hand, task);
        if (!hand->closing && hsr_loop_pressed(loop)) {
            if (!hsr_list_empty(&hand->tasks))
                hsr_loop_wake(loop, &hand->task);
            break;
        }
    }
    atomic_fetch_add_explicit(&hand->worked_ns, hsr_loop_clock(loop) - start_ns,
                              memory_order_relaxed);
}

static void hand_return(struct hsr_hand *hand, struct hsr_crew_task *task)
{
    hsr_list_remove(&task->node);
    task->msg.deliver = hand_back;
    hsr_loop_send(&hand->crew->session->home->loop, &task->msg);
}

static void hand_close(struct hsr_msg *msg)
{
    struct hsr_hand *hand = hsr_container_of(msg, struct hsr_hand, close_msg);

    hand->closing = true;
    hsr_loop_wake(&hand->shard->loop, &hand->task);
}

/* ---- at home ---- */

static void hand_back(struct hsr_msg *msg)
{
    struct hsr_crew_task *task = hsr_container_of(msg, struct hsr_crew_task, msg);
    struct hsr_hand *hand = task->hand;
    struct hsr_crew *crew = hand->crew;

    hsr_assert(hand->lent > 0);
    hand->lent--;
    hsr_limit_lane(crew->session, hand->shard);
    if (!task->canceled)
        crew->ops->back(crew->session, task);
    else if (crew->session->state != HSR_SESSION_CLOSING)
        hsr_session_end(crew->session, -ENOMEM, "no memory for a shard's part of the work");
    hsr_session_wake(crew->session);
}

static void hand_gone(struct hsr_msg *msg)
{
    struct hsr_hand *hand = hsr_container_of(msg, struct hsr_hand, close_msg);
    struct hsr_crew *crew = hand->crew;

    hsr_assert(hand->lent == 0 && crew->open > 0);
    crew->open--;
    hsr_session_wake(crew->session);
}
