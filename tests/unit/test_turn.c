/* Turns: one holder at a time, everybody who waits is told, nobody is told who has left. */
#include <pthread.h>

#include "ring/backend.h"
#include "tests/unit/hsr_test.h"
#include "transfer/engine/turn.h"

#define THREADS 4u
#define ROUNDS 2000u

struct fixture {
    struct hsr_backend *backend;
    struct hsr_loop loop;
    struct hsr_turn turn;
    struct hsr_turn_waiter a, b;
};

static unsigned heard;

static void count_heard(struct hsr_msg *msg)
{
    (void)msg;
    heard++;
}

static void fixture_init(struct fixture *fx)
{
    heard = 0;
    CHECK_EQ(hsr_null_create(&fx->backend), 0);
    CHECK_EQ(hsr_loop_init(&fx->loop, fx->backend, 0), 0);
    hsr_turn_init(&fx->turn);
    hsr_turn_waiter_init(&fx->a, &fx->loop, count_heard);
    hsr_turn_waiter_init(&fx->b, &fx->loop, count_heard);
}

static void fixture_fini(struct fixture *fx)
{
    hsr_turn_fini(&fx->turn);
    hsr_loop_fini(&fx->loop);
}

static void test_turn_is_one_at_a_time(void)
{
    struct fixture fx;

    fixture_init(&fx);
    CHECK(hsr_turn_take(&fx.turn, &fx.a, 1));
    CHECK(!hsr_turn_take(&fx.turn, &fx.b, 1));
    CHECK(!hsr_turn_take(&fx.turn, &fx.b, 1)); /* asking twice queues once */
    (void)hsr_loop_turn(&fx.loop, false);
    CHECK_EQ(heard, 0);
    hsr_turn_give(&fx.turn);
    (void)hsr_loop_turn(&fx.loop, false);
    CHECK_EQ(heard, 1);
    hsr_turn_heard(&fx.turn, &fx.b);
    CHECK(hsr_turn_take(&fx.turn, &fx.b, 1));
    hsr_turn_give(&fx.turn); /* nobody waits: nobody is told */
    (void)hsr_loop_turn(&fx.loop, false);
    CHECK_EQ(heard, 1);
    fixture_fini(&fx);
}

static void test_turn_taken_before_it_was_heard(void)
{
    struct fixture fx;

    fixture_init(&fx);
    CHECK(hsr_turn_take(&fx.turn, &fx.a, 1));
    CHECK(!hsr_turn_take(&fx.turn, &fx.b, 1));
    hsr_turn_give(&fx.turn);
    CHECK(hsr_turn_take(&fx.turn, &fx.b, 1)); /* by luck, with the message still under way */
    CHECK(!hsr_turn_leave(&fx.turn, &fx.b)); /* so it must stay */
    hsr_turn_give(&fx.turn);
    (void)hsr_loop_turn(&fx.loop, false);
    CHECK_EQ(heard, 1);
    hsr_turn_heard(&fx.turn, &fx.b);
    CHECK(hsr_turn_leave(&fx.turn, &fx.b));
    fixture_fini(&fx);
}

static void test_turn_who_left_is_not_told(void)
{
    struct fixture fx;

    fixture_init(&fx);
    CHECK(hsr_turn_take(&fx.turn, &fx.a, 1));
    CHECK(!hsr_turn_take(&fx.turn, &fx.b, 1));
    CHECK(hsr_turn_leave(&fx.turn, &fx.b));
    CHECK(hsr_turn_leave(&fx.turn, &fx.b)); /* harmless */
    hsr_turn_give(&fx.turn);
    (void)hsr_loop_turn(&fx.loop, false);
    CHECK_EQ(heard, 0);
    fixture_fini(&fx);
}

/* Goal: a write beyond the limit waits although nobody has the turn, hears when the limit moves
 * past it and not before, and is not told of turns that it cannot use. */
static void test_turn_beyond_the_limit_waits(void)
{
    struct fixture fx;

    fixture_init(&fx);
    hsr_turn_limit(&fx.turn, 100);
    CHECK(!hsr_turn_take(&fx.turn, &fx.a, 101));
    CHECK(hsr_turn_take(&fx.turn, &fx.b, 100));
    hsr_turn_give(&fx.turn);
    hsr_turn_limit(&fx.turn, 100);
    (void)hsr_loop_turn(&fx.loop, false);
    CHECK_EQ(heard, 0);
    CHECK(hsr_turn_take(&fx.turn, &fx.b, 50));
    hsr_turn_limit(&fx.turn, 200); /* taken: it is told when that one is done */
    (void)hsr_loop_turn(&fx.loop, false);
    CHECK_EQ(heard, 0);
    hsr_turn_give(&fx.turn);
    (void)hsr_loop_turn(&fx.loop, false);
    CHECK_EQ(heard, 1);
    hsr_turn_heard(&fx.turn, &fx.a);
    CHECK(hsr_turn_take(&fx.turn, &fx.a, 101));
    hsr_turn_give(&fx.turn);
    CHECK(!hsr_turn_take(&fx.turn, &fx.a, 201));
    hsr_turn_limit(&fx.turn, UINT64_MAX);
    (void)hsr_loop_turn(&fx.loop, false);
    CHECK_EQ(heard, 2);
    hsr_turn_heard(&fx.turn, &fx.a);
    fixture_fini(&fx);
}

/* ---- many threads ---- */

static struct hsr_turn shared;
static unsigned inside, done; /* not atomic: the turn must be enough */

struct worker {
    pthread_t thread;
    struct hsr_backend *backend;
    struct hsr_loop loop;
    struct hsr_turn_waiter waiter;
    struct hsr_task task;
    unsigned rounds;
};

static void worker_run(struct hsr_task *task)
{
    struct worker *worker = hsr_container_of(task, struct worker, task);

    if (worker->rounds == ROUNDS) {
        if (hsr_turn_leave(&shared, &worker->waiter))
            hsr_loop_stop(&worker->loop);
        return;
    }
    if (!hsr_turn_take(&shared, &worker->waiter, 1))
        return; /* worker_heard() wakes us; if it never comes the test hangs, and that is a failure
                 */
    CHECK_EQ(inside, 0);
    inside = 1;
    done++;
    inside = 0;
    worker->rounds++;
    hsr_turn_give(&shared);
    hsr_loop_wake(&worker->loop, task);
}

static void worker_heard(struct hsr_msg *msg)
{
    struct worker *worker = hsr_container_of(msg, struct worker, waiter.msg);

    hsr_turn_heard(&shared, &worker->waiter);
    hsr_loop_wake(&worker->loop, &worker->task);
}

static void *worker_thread(void *context)
{
    struct worker *worker = context;
    char why[128];

    CHECK_EQ(hsr_uring_create(&(struct hsr_uring_options){ .entries = 8 }, &worker->backend, why,
                              sizeof(why)),
             0);
    CHECK_EQ(hsr_loop_init(&worker->loop, worker->backend, 0), 0);
    hsr_turn_waiter_init(&worker->waiter, &worker->loop, worker_heard);
    hsr_task_init(&worker->task, "worker", worker_run);
    hsr_loop_wake(&worker->loop, &worker->task);
    hsr_loop_run(&worker->loop);
    return NULL;
}

/* Goal: with real loops no wake-up is lost and nobody is inside with somebody else. */
static void test_turn_between_threads(void)
{
    static struct worker workers[THREADS];

    hsr_turn_init(&shared);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_create(&workers[i].thread, NULL, worker_thread, &workers[i]) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
    CHECK_EQ(done, THREADS * ROUNDS);
    hsr_turn_fini(&shared);
    for (unsigned i = 0; i < THREADS; i++)
        hsr_loop_fini(&workers[i].loop);
}

int main(void)
{
    struct hsr_backend *probe;
    char why[128];

    RUN(test_turn_is_one_at_a_time);
    RUN(test_turn_taken_before_it_was_heard);
    RUN(test_turn_who_left_is_not_told);
    RUN(test_turn_beyond_the_limit_waits);
    if (hsr_uring_create(&(struct hsr_uring_options){ .entries = 8 }, &probe, why, sizeof(why)) ==
        0) {
        probe->ops->fini(probe);
        RUN(test_turn_between_threads);
    }
    TEST_END();
}
