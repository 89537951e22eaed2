/* Goal: tasks of a crew that works ahead run in gaps only, until somebody wants one; each comes
 * back once, and all of them when the session ends, whatever was wanted. Method: a session without
 * a connection over two loops of the null backend, turned by hand. */
#include "hsr_test.h"

#include <stdlib.h>

#include "transfer/engine/crew.h"
#include "transfer/engine/session.h"

#define TASKS 3u
#define STEPS 4u /* of each task */

struct counted_task {
    struct hsr_crew_task task;
    unsigned steps;
    bool back;
};

static struct hsr_engine engine;
static struct hsr_shard shards[2];
static struct hsr_session session;
static struct hsr_crew crew;
static struct counted_task tasks[TASKS];
static unsigned begun, ended, in_gaps, in_turns;
static bool park; /* the next step parks its hand */

static int count_begin(struct hsr_hand *hand)
{
    begun++;
    hand->own = hand;
    return 0;
}

static bool count_step(struct hsr_hand *hand, struct hsr_crew_task *task)
{
    struct counted_task *counted = hsr_container_of(task, struct counted_task, task);

    hsr_loop_job_worked(&hand->shard->loop, &hand->job, 10);
    if (hand->shard->loop.jobs.stepping_when == HSR_JOB_AHEAD)
        in_gaps++;
    else
        in_turns++;
    hand->parked = park;
    park = false;
    return ++counted->steps == STEPS;
}

static void count_back(struct hsr_session *of, struct hsr_crew_task *task)
{
    struct counted_task *counted = hsr_container_of(task, struct counted_task, task);

    CHECK(of == &session);
    CHECK(!counted->back);
    CHECK_EQ(counted->steps, STEPS);
    counted->back = true;
}

static void count_end(struct hsr_hand *hand)
{
    (void)hand;
    ended++;
}

static const struct hsr_crew_ops count_crew = { .name = "count",
                                                .jobs = true,
                                                .begin = count_begin,
                                                .step = count_step,
                                                .back = count_back,
                                                .end = count_end };

static void session_woken(struct hsr_task *task)
{
    (void)task;
}

/* Keeps its loop from having a gap. */
static struct hsr_task busy;
static bool busy_on;

static void busy_run(struct hsr_task *task)
{
    if (busy_on)
        hsr_loop_wake(&shards[1].loop, task);
}

static void fixture_init(void)
{
    begun = ended = in_gaps = in_turns = 0;
    park = busy_on = false;
    memset(&engine, 0, sizeof(engine));
    memset(shards, 0, sizeof(shards));
    memset(&session, 0, sizeof(session));
    memset(&crew, 0, sizeof(crew));
    memset(tasks, 0, sizeof(tasks));
    engine.shards = shards;
    engine.shard_count = 2;
    for (unsigned i = 0; i < 2; i++) {
        struct hsr_backend *backend;

        CHECK_EQ(hsr_null_create(&backend), 0);
        CHECK_EQ(hsr_loop_init(&shards[i].loop, backend, i), 0);
        shards[i].engine = &engine;
        shards[i].index = i;
        hsr_list_init(&shards[i].conns);
        hsr_list_init(&shards[i].sessions);
    }
    session.engine = &engine;
    session.home = &shards[0];
    session.state = HSR_SESSION_MOVING;
    hsr_task_init(&session.task, "session", session_woken);
    hsr_task_init(&busy, "busy", busy_run);
    CHECK_EQ(hsr_crew_create(&crew, &session, &count_crew), 0);
}

static void turns(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; k < 2; k++)
            (void)hsr_loop_turn(&shards[k].loop, false);
}

static void fixture_fini(void)
{
    busy_on = false;
    session.state = HSR_SESSION_CLOSING;
    for (unsigned i = 0; i < 20 && !hsr_crew_close(&crew); i++)
        turns(1);
    CHECK(hsr_crew_close(&crew));
    CHECK_EQ(begun, ended);
    hsr_crew_free(&crew);
    for (unsigned i = 0; i < 2; i++) {
        hsr_loop_timer_clear(&shards[i].loop, &shards[i].watch);
        hsr_loop_fini(&shards[i].loop);
    }
}

/* Three tasks for the hand on the other shard. */
static void lend_all(void)
{
    for (unsigned i = 0; i < TASKS; i++)
        hsr_crew_lend(&crew.hands[1], &tasks[i].task);
}

static unsigned back_count(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < TASKS; i++)
        count += tasks[i].back;
    return count;
}

static void test_crew_ahead_in_gaps(void)
{
    fixture_init();
    lend_all();
    CHECK_EQ(crew.hands[1].lent, TASKS);
    busy_on = true;
    hsr_loop_wake(&shards[1].loop, &busy);
    turns(50);
    CHECK_EQ(in_gaps + in_turns, 0); /* there was none */
    busy_on = false;
    turns(30);
    CHECK_EQ(back_count(), TASKS);
    CHECK_EQ(in_gaps, TASKS * STEPS);
    CHECK_EQ(in_turns, 0);
    CHECK_EQ(crew.hands[1].lent, 0);
    CHECK_EQ(hsr_job_count(&crew.hands[1].account.bytes[HSR_JOB_AHEAD]), TASKS * STEPS * 10);
    fixture_fini();
}

/* Wanted: it and what the hand has before it is done in turns; what is behind it waits on. */
static void test_crew_wanted(void)
{
    fixture_init();
    busy_on = true;
    hsr_loop_wake(&shards[1].loop, &busy);
    lend_all();
    turns(3);
    hsr_crew_want(&tasks[1].task);
    hsr_crew_want(&tasks[1].task); /* twice is once */
    turns(50);
    CHECK(tasks[0].back && tasks[1].back && !tasks[2].back);
    CHECK_EQ(tasks[2].steps, 0);
    CHECK_EQ(in_turns, 2 * STEPS);
    CHECK_EQ(in_gaps, 0);
    busy_on = false;
    turns(30);
    CHECK(tasks[2].back);
    CHECK_EQ(in_gaps, STEPS);
    CHECK_EQ(hsr_job_count(&crew.hands[1].account.bytes[HSR_JOB_DEMAND]), 2 * STEPS * 10);
    fixture_fini();
}

/* Wanted before the hand has heard of it. */
static void test_crew_wanted_on_its_way(void)
{
    fixture_init();
    busy_on = true;
    hsr_loop_wake(&shards[1].loop, &busy);
    lend_all();
    hsr_crew_want(&tasks[0].task);
    turns(50);
    CHECK_EQ(back_count(), 1);
    CHECK_EQ(in_turns, STEPS);
    fixture_fini();
}

/* Wanted from the beginning. */
static void test_crew_lent_wanted(void)
{
    fixture_init();
    busy_on = true;
    hsr_loop_wake(&shards[1].loop, &busy);
    hsr_crew_lend(&crew.hands[1], &tasks[0].task);
    hsr_crew_lend_wanted(&crew.hands[1], &tasks[1].task); /* so what is before it is, too */
    hsr_crew_lend(&crew.hands[1], &tasks[2].task);
    turns(50);
    CHECK(tasks[0].back && tasks[1].back && !tasks[2].back);
    CHECK_EQ(in_turns, 2 * STEPS);
    fixture_fini();
}

/* Wanted by some time: in gaps until then, in turns if there was none. */
static void test_crew_wanted_by(void)
{
    uint64_t due_ns;

    fixture_init();
    busy_on = true;
    hsr_loop_wake(&shards[1].loop, &busy);
    lend_all();
    turns(3);
    due_ns = hsr_loop_clock(&shards[1].loop) + 3600 * HSR_NS_PER_S;
    for (unsigned i = 0; i < TASKS; i++)
        hsr_crew_want_by(&tasks[i].task, due_ns);
    turns(50);
    CHECK_EQ(in_gaps + in_turns, 0);
    due_ns = hsr_loop_clock(&shards[1].loop) + HSR_NS_PER_MS;
    hsr_crew_want_by(&tasks[0].task, due_ns);
    hsr_crew_want_by(&tasks[0].task, due_ns + 1); /* the earliest counts */
    turns(1);
    while (hsr_loop_clock(&shards[1].loop) < due_ns)
        continue;
    turns(50);
    CHECK_EQ(back_count(), 1);
    CHECK_EQ(in_turns, STEPS);
    CHECK_EQ(in_gaps, 0);
    busy_on = false;
    turns(30);
    CHECK_EQ(back_count(), TASKS);
    CHECK_EQ(in_gaps, 2 * STEPS);
    fixture_fini();
}

/* Who gets the next task: the home's hand first, unless it is asked for one away from home. */
static void test_crew_away(void)
{
    fixture_init();
    CHECK(hsr_crew_hand(&crew) == &crew.hands[0]);
    CHECK(hsr_crew_hand_away(&crew) == &crew.hands[1]);
    lend_all();
    CHECK(hsr_crew_hand(&crew) == &crew.hands[0]);
    CHECK(hsr_crew_hand_away(&crew) == NULL); /* it has enough */
    turns(30);
    CHECK(hsr_crew_hand_away(&crew) == &crew.hands[1]);
    fixture_fini();
}

/* A parked hand does nothing until its task is woken. */
static void test_crew_parked(void)
{
    fixture_init();
    park = true;
    lend_all();
    turns(30);
    CHECK_EQ(in_gaps, 1);
    hsr_loop_wake(&shards[1].loop, &crew.hands[1].task); /* a read has ended */
    turns(30);
    CHECK_EQ(back_count(), TASKS);
    CHECK_EQ(in_gaps, TASKS * STEPS);
    fixture_fini();
}

/* The end: what is not done comes home canceled, parked or wanted. */
static void test_crew_closed_early(void)
{
    for (unsigned i = 0; i < 3; i++) {
        fixture_init();
        park = i == 1;
        lend_all();
        turns(1);
        if (i == 2)
            hsr_crew_want(&tasks[2].task);
        session.state = HSR_SESSION_CLOSING;
        CHECK(!hsr_crew_close(&crew));
        turns(20);
        CHECK(hsr_crew_close(&crew));
        for (unsigned k = 0; k < TASKS; k++)
            CHECK(tasks[k].back || tasks[k].task.canceled);
        fixture_fini();
    }
}

int main(void)
{
    RUN(test_crew_ahead_in_gaps);
    RUN(test_crew_wanted);
    RUN(test_crew_wanted_on_its_way);
    RUN(test_crew_lent_wanted);
    RUN(test_crew_wanted_by);
    RUN(test_crew_away);
    RUN(test_crew_parked);
    RUN(test_crew_closed_early);
    TEST_END();
}
