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

static void crew_lend(struct hsr_hand *hand, struct hsr_crew_task *task, uint64_t wanted_ns);
static void hand_run(struct hsr_task *task);
static void hand_work(struct hsr_hand *hand);
static void hand_taken(struct hsr_msg *msg);
static void hand_back(struct hsr_msg *msg);
static void hand_close(struct hsr_msg *msg);
static void hand_ready(struct hsr_hand *hand);
static enum hsr_job_result hand_job(struct hsr_job *job, uint64_t deadline_ns);
static uint64_t hand_due(const struct hsr_hand *hand);
static void hand_want(struct hsr_msg *msg);
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
        hand->task.bulk = true;
        hand->job = (struct hsr_job){ .step = hand_job, .name = ops->name };
        hand->job.account = &hand->account;
    }
    hsr_assert(crew->hands[0].shard == session->home);
    return 0;
}

struct hsr_hand *hsr_crew_hand(struct hsr_crew *crew)
{
    hsr_assert(!crew->closing);
    if (crew->hands[0].lent < HAND_TASKS_HOME)
        return &crew->hands[0];
    return hsr_crew_hand_away(crew);
}

struct hsr_hand *hsr_crew_hand_away(struct hsr_crew *crew)
{
    uint32_t depth = crew->ops->depth > 0 ? crew->ops->depth : HAND_TASKS;
    struct hsr_hand *best = NULL;

    hsr_assert(!crew->closing);
    for (uint32_t i = 1; i < crew->hand_count; i++) {
        struct hsr_hand *hand = &crew->hands[i];

        if (hand->lent < depth && (best == NULL || hand->lent < best->lent))
            best = hand;
    }
    return best;
}

void hsr_crew_lend(struct hsr_hand *hand, struct hsr_crew_task *task)
{
    crew_lend(hand, task, UINT64_MAX);
}

void hsr_crew_lend_wanted(struct hsr_hand *hand, struct hsr_crew_task *task)
{
    hsr_assert(hand->crew->ops->jobs);
    crew_lend(hand, task, 0);
}

static void crew_lend(struct hsr_hand *hand, struct hsr_crew_task *task, uint64_t wanted_ns)
{
    hsr_assert(!hand->crew->closing);
    task->hand = hand;
    task->canceled = false;
    atomic_store_explicit(&task->wanted_ns, wanted_ns, memory_order_relaxed); /* and then TASK */
    task->msg.deliver = hand_taken;
    hand->lent++;
    hsr_loop_send(&hand->shard->loop, &task->msg);
}

void hsr_crew_want(struct hsr_crew_task *task)
{
    hsr_crew_want_by(task, 0);
}

void hsr_crew_want_by(struct hsr_crew_task *task, uint64_t due_ns)
{
    struct hsr_hand *hand = task->hand;

    hsr_assert(hand->crew->ops->jobs);
    if (atomic_load_explicit(&task->wanted_ns, memory_order_relaxed) <= due_ns)
        return;
    atomic_store_explicit(&task->wanted_ns, due_ns, memory_order_relaxed);
    if (hand->crew->closing || atomic_exchange(&hand->want_out, true))
        return; /* it is on its way: whoever gets it sees this task too */
    hand->want_msg.deliver = hand_want;
    hsr_loop_send(&hand->shard->loop, &hand->want_msg);
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
    hand_ready(hand);
}

/* There is something to do for it. */
static void hand_ready(struct hsr_hand *hand)
{
    struct hsr_loop *loop = &hand->shard->loop;
    uint64_t due_ns;

    if (!hand->crew->ops->jobs || hand->closing) {
        hsr_loop_wake(loop, &hand->task);
        return;
    }
    due_ns = hand_due(hand);
    if (due_ns <= loop->now_ns) {
        hsr_loop_job_demand(loop, &hand->job);
        return;
    }
    if (!hand->job.in)
        hsr_loop_job_add(loop, &hand->job);
    if (due_ns < UINT64_MAX)
        hsr_loop_job_due(loop, &hand->job, due_ns);
}

static void hand_run(struct hsr_task *loop_task)
{
    struct hsr_hand *hand = hsr_container_of(loop_task, struct hsr_hand, task);
    const struct hsr_crew_ops *ops = hand->crew->ops;
    struct hsr_loop *loop = &hand->shard->loop;

    hsr_limit_watch(hand->shard);
    if (ops->jobs && !hand->closing) { /* a read has ended */
        hsr_loop_job_wake(loop, &hand->job);
        return;
    }
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
        if (!hand->closing && hsr_loop_slice_over(loop)) {
            if (!hsr_list_empty(&hand->tasks))
                hsr_loop_wake(loop, &hand->task);
            break;
        }
    }
    atomic_fetch_add_explicit(&hand->worked_ns, hsr_loop_clock(loop) - start_ns,
                              memory_order_relaxed);
}

/* One step of the oldest task. */
static enum hsr_job_result hand_job(struct hsr_job *job, uint64_t deadline_ns)
{
    struct hsr_hand *hand = hsr_container_of(job, struct hsr_hand, job);
    const struct hsr_crew_ops *ops = hand->crew->ops;
    struct hsr_crew_task *task;
    uint64_t due_ns;
    bool demand;

    hsr_assert(!hand->closing && !hsr_list_empty(&hand->tasks));
    hsr_limit_watch(hand->shard);
    if (hand->own == NULL && hand->rc == 0)
        hand->rc = ops->begin(hand);
    hand->deadline_ns = deadline_ns;
    task = hsr_container_of(hand->tasks.next, struct hsr_crew_task, node);
    task->canceled = hand->rc < 0;
    if (!task->canceled && !ops->step(hand, task)) {
        bool parked = hand->parked;

        hand->parked = false;
        return parked ? HSR_JOB_BLOCKED : HSR_JOB_MORE;
    }
    demand = job->when == HSR_JOB_DEMAND;
    hand_return(hand, task);
    if (hsr_list_empty(&hand->tasks))
        return HSR_JOB_DONE;
    due_ns = hand_due(hand);
    if (!demand) /* what is left may be due later */
        job->due_ns = due_ns < UINT64_MAX ? due_ns : 0;
    if (demand == (due_ns <= hand->shard->loop.now_ns))
        return HSR_JOB_MORE;
    hand_ready(hand); /* as what it is now */
    return HSR_JOB_DONE;
}

/* When the first of its tasks is wanted: 0, a time, or never. */
static uint64_t hand_due(const struct hsr_hand *hand)
{
    uint64_t due_ns = UINT64_MAX;

    for (const struct hsr_list *node = hand->tasks.next; node != &hand->tasks; node = node->next) {
        const struct hsr_crew_task *task = hsr_container_of(node, struct hsr_crew_task, node);

        due_ns =
            HSR_MIN(due_ns, (uint64_t)atomic_load_explicit(&task->wanted_ns, memory_order_relaxed));
    }
    return due_ns;
}

static void hand_want(struct hsr_msg *msg)
{
    struct hsr_hand *hand = hsr_container_of(msg, struct hsr_hand, want_msg);

    atomic_store(&hand->want_out, false); /* before it looks */
    if (!hand->closing && hand_due(hand) < UINT64_MAX)
        hand_ready(hand);
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
    hsr_loop_job_remove(&hand->shard->loop, &hand->job);
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
