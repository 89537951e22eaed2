/* Goal: work that nobody waits for runs in gaps only, nearest need first, and gives way at once;
 * work that is waited for runs in the turn; nothing runs that was removed; accounts are right.
 * Method: single turns over the null backend with synthetic jobs. */
#include "hsr_test.h"

#include <stdbool.h>

#include "ring/ring.h"

static struct hsr_loop loop;
static char order[80]; /* what ran, one letter each */

static void note(char letter)
{
    size_t size = strlen(order);

    if (size + 1 < sizeof(order)) {
        order[size] = letter;
        order[size + 1] = '\0';
    }
}

static void fixture_init(void)
{
    struct hsr_backend *backend;

    order[0] = '\0';
    CHECK_EQ(hsr_null_create(&backend), 0);
    CHECK_EQ(hsr_loop_init(&loop, backend, 0), 0);
}

struct letter_task {
    struct hsr_task task;
    char letter;
};

static void letter_run(struct hsr_task *task)
{
    note(hsr_container_of(task, struct letter_task, task)->letter);
}

struct letter_job {
    struct hsr_job job;
    enum hsr_job_result result;
    unsigned steps_left; /* MORE until 0, then `result` */
    unsigned steps;
    unsigned bytes; /* of each step */
    char letter;
    struct hsr_task *wakes;
    bool wakes_itself;
    uint64_t works_ns;
};

static enum hsr_job_result letter_step(struct hsr_job *job, uint64_t deadline_ns)
{
    struct letter_job *letter = hsr_container_of(job, struct letter_job, job);
    uint64_t until_ns = hsr_loop_clock(&loop) + letter->works_ns;

    CHECK(deadline_ns > loop.now_ns);
    letter->steps++;
    note(letter->letter);
    if (letter->bytes > 0)
        hsr_loop_job_worked(&loop, job, letter->bytes);
    while (hsr_loop_clock(&loop) < until_ns)
        continue;
    if (letter->wakes != NULL)
        hsr_loop_wake(&loop, letter->wakes);
    if (letter->wakes_itself)
        hsr_loop_job_wake(&loop, job);
    if (letter->steps_left == 0)
        return letter->result;
    letter->steps_left--;
    return HSR_JOB_MORE;
}

static struct letter_job letter_job(char letter, uint64_t need)
{
    return (struct letter_job){ .job = { .step = letter_step, .name = "letter", .need = need },
                                .letter = letter,
                                .result = HSR_JOB_DONE };
}

/* Turns until nothing is ready. */
static void turns(void)
{
    while (hsr_loop_turn(&loop, false))
        continue;
}

static void test_ahead_nearest_need_first(void)
{
    struct letter_job a = letter_job('a', 3), b = letter_job('b', 1), c = letter_job('c', 2),
                      d = letter_job('d', 2);

    fixture_init();
    CHECK(!hsr_jobs_ahead(&loop));
    a.steps_left = b.steps_left = c.steps_left = d.steps_left = 1;
    hsr_loop_job_add(&loop, &a.job);
    hsr_loop_job_add(&loop, &b.job);
    hsr_loop_job_add(&loop, &c.job);
    hsr_loop_job_add(&loop, &d.job); /* behind its equal */
    CHECK(hsr_jobs_ahead(&loop));
    turns();
    CHECK(strcmp(order, "bbccddaa") == 0);
    CHECK(!a.job.in && !b.job.in && !c.job.in && !d.job.in);
    CHECK_EQ(hsr_job_count(&loop.jobs.account.steps[HSR_JOB_AHEAD]), 8);
    CHECK_EQ(loop.jobs.step_ns.count, 8);
    CHECK_EQ(hsr_job_count(&loop.jobs.account.steps[HSR_JOB_DEMAND]), 0);
    hsr_loop_fini(&loop);
}

/* A job that makes the loop busy with each step gets one step between two turns. */
static void test_ahead_gives_way_within_a_step(void)
{
    struct letter_job job = letter_job('j', 0);
    struct letter_task a = { .letter = 'a' };

    fixture_init();
    hsr_task_init(&a.task, "a", letter_run);
    job.steps_left = 1000;
    job.wakes = &a.task;
    hsr_loop_job_add(&loop, &job.job);
    (void)hsr_loop_turn(&loop, true); /* there is work: no sleep */
    CHECK(strcmp(order, "j") == 0);
    CHECK_EQ(hsr_job_count(&loop.jobs.account.preempted), 1);
    (void)hsr_loop_turn(&loop, true);
    CHECK(strcmp(order, "jaj") == 0);
    CHECK_EQ(hsr_job_count(&loop.jobs.account.preempted), 2);
    CHECK_EQ(loop.stats.sleeps, 0);
    job.wakes = NULL;
    (void)hsr_loop_turn(&loop, true); /* nothing else to do: many steps in a turn */
    CHECK(job.steps > 4);
    CHECK_EQ(hsr_job_count(&loop.jobs.account.preempted), 2);
    hsr_loop_job_remove(&loop, &job.job);
    CHECK(!hsr_jobs_ahead(&loop));
    hsr_loop_forget(&loop, &a.task);
    hsr_loop_fini(&loop);
}

/* What is runnable goes first, however long work ahead has waited. */
static void test_ahead_waits_for_tasks(void)
{
    struct letter_job job = letter_job('j', 0);
    struct letter_task a = { .letter = 'a' };

    fixture_init();
    hsr_task_init(&a.task, "a", letter_run);
    hsr_loop_job_add(&loop, &job.job);
    hsr_loop_wake(&loop, &a.task);
    (void)hsr_loop_turn(&loop, true);
    CHECK(strcmp(order, "aj") == 0);
    hsr_loop_fini(&loop);
}

static void test_demand_runs_in_the_turn_before_ahead(void)
{
    struct letter_job a = letter_job('a', 1), b = letter_job('b', 2), c = letter_job('c', 9);

    fixture_init();
    a.bytes = b.bytes = 10;
    c.bytes = 1;
    b.steps_left = 1;
    hsr_loop_job_add(&loop, &a.job);
    hsr_loop_job_add(&loop, &b.job);
    hsr_loop_job_demand(&loop, &c.job); /* was never added */
    hsr_loop_job_demand(&loop, &b.job); /* and needed sooner */
    hsr_loop_job_demand(&loop, &b.job); /* once is enough */
    turns();
    CHECK(strcmp(order, "bbca") == 0);
    CHECK_EQ(hsr_job_count(&loop.jobs.account.bytes[HSR_JOB_DEMAND]), 21);
    CHECK_EQ(hsr_job_count(&loop.jobs.account.bytes[HSR_JOB_AHEAD]), 10);
    CHECK_EQ(b.job.cursor, 20);
    hsr_loop_fini(&loop);
}

/* Half done ahead, then demanded: goes on where it is, and each half is in its own account. */
static void test_demand_goes_on_where_ahead_was(void)
{
    struct hsr_job_account own = { 0 };
    struct letter_job job = letter_job('j', 0);
    struct letter_task stop = { .letter = '.' };

    fixture_init();
    hsr_task_init(&stop.task, "stop", letter_run);
    job.job.account = &own;
    job.bytes = 5;
    job.steps_left = 3;
    job.wakes = &stop.task;
    hsr_loop_job_add(&loop, &job.job);
    (void)hsr_loop_turn(&loop, true);
    CHECK_EQ(job.steps, 1);
    job.wakes = NULL;
    hsr_loop_job_demand(&loop, &job.job);
    turns();
    CHECK_EQ(job.steps, 4);
    CHECK_EQ(job.job.cursor, 20);
    CHECK_EQ(hsr_job_count(&own.bytes[HSR_JOB_AHEAD]), 5);
    CHECK_EQ(hsr_job_count(&own.bytes[HSR_JOB_DEMAND]), 15);
    CHECK_EQ(hsr_job_count(&own.steps[HSR_JOB_AHEAD]), 1);
    CHECK_EQ(hsr_job_count(&own.steps[HSR_JOB_DEMAND]), 3);
    hsr_loop_fini(&loop);
}

/* What is due runs in the turn though the loop has no gap, blocked or not; what is due later, or
 * was removed and added anew, does not. */
static void test_due_is_in_demand(void)
{
    struct letter_job a = letter_job('a', 1), b = letter_job('b', 2), c = letter_job('c', 3);
    struct letter_task busy = { .letter = '.' };
    uint64_t due_ns;

    fixture_init();
    hsr_task_init(&busy.task, "busy", letter_run);
    c.result = HSR_JOB_BLOCKED;
    hsr_loop_job_add(&loop, &c.job);
    turns();
    hsr_loop_job_add(&loop, &a.job);
    hsr_loop_job_add(&loop, &b.job);
    due_ns = hsr_loop_clock(&loop) + HSR_NS_PER_MS;
    hsr_loop_job_due(&loop, &a.job, due_ns);
    hsr_loop_job_remove(&loop, &a.job);
    hsr_loop_job_add(&loop, &a.job);
    hsr_loop_job_due(&loop, &a.job, due_ns + 3600 * HSR_NS_PER_S);
    hsr_loop_job_due(&loop, &b.job, due_ns);
    hsr_loop_job_due(&loop, &c.job, due_ns);
    for (unsigned i = 0; i < 2; i++) { /* too early, and in time */
        hsr_loop_wake(&loop, &busy.task);
        hsr_jobs_due(&loop);
        CHECK_EQ(b.job.when, i == 0 ? HSR_JOB_AHEAD : HSR_JOB_DEMAND);
        CHECK_EQ(c.job.when, i == 0 ? HSR_JOB_AHEAD : HSR_JOB_DEMAND);
        CHECK_EQ(a.job.when, HSR_JOB_AHEAD);
        loop.now_ns = due_ns;
    }
    CHECK(c.job.blocked);
    CHECK_EQ(loop.jobs.due_ns, due_ns + 3600 * HSR_NS_PER_S);
    (void)hsr_loop_turn(&loop, false);
    CHECK_EQ(b.steps, 1);
    CHECK_EQ(hsr_job_count(&loop.jobs.account.steps[HSR_JOB_DEMAND]), 1);
    hsr_loop_job_remove(&loop, &a.job);
    hsr_loop_job_remove(&loop, &c.job);
    hsr_loop_forget(&loop, &busy.task);
    hsr_loop_fini(&loop);
}

/* Demand does not starve the ring either: it ends after a part of a turn. */
static void test_demand_shares_the_turn(void)
{
    struct letter_job job = letter_job('j', 0);
    struct letter_task a = { .letter = 'a' };

    fixture_init();
    hsr_task_init(&a.task, "a", letter_run);
    job.works_ns = 150 * HSR_NS_PER_US;
    job.steps_left = 5;
    hsr_loop_job_demand(&loop, &job.job);
    (void)hsr_loop_turn(&loop, true);
    CHECK(job.steps >= 1 && job.steps <= 2);
    hsr_loop_wake(&loop, &a.task);
    (void)hsr_loop_turn(&loop, true);
    CHECK(strchr(order, 'a') != NULL);
    CHECK(strlen(order) <= 5);
    turns();
    CHECK_EQ(job.steps, 6);
    hsr_loop_fini(&loop);
}

static void test_removed_jobs_never_run(void)
{
    struct letter_job a = letter_job('a', 1), b = letter_job('b', 2), c = letter_job('c', 3);

    fixture_init();
    c.result = HSR_JOB_BLOCKED;
    hsr_loop_job_add(&loop, &a.job);
    hsr_loop_job_demand(&loop, &b.job);
    hsr_loop_job_remove(&loop, &a.job);
    hsr_loop_job_remove(&loop, &a.job); /* harmless */
    hsr_loop_job_remove(&loop, &b.job);
    turns();
    CHECK(strcmp(order, "") == 0);
    hsr_loop_job_add(&loop, &c.job);
    turns();
    hsr_loop_job_remove(&loop, &c.job); /* while it is blocked */
    hsr_loop_job_wake(&loop, &c.job); /* too late: harmless */
    turns();
    CHECK(strcmp(order, "c") == 0);
    hsr_loop_job_add(&loop, &a.job); /* and it may come back */
    turns();
    CHECK(strcmp(order, "ca") == 0);
    hsr_loop_fini(&loop);
}

struct wake_timer {
    struct hsr_timer timer;
    struct hsr_job *job;
};

static void wake_fired(struct hsr_timer *timer)
{
    hsr_loop_job_wake(&loop, hsr_container_of(timer, struct wake_timer, timer)->job);
    hsr_loop_stop(&loop);
}

/* A blocked job lets the others run and the loop sleep, and goes on when it is woken. */
static void test_blocked_jobs_sleep_until_woken(void)
{
    struct letter_job a = letter_job('a', 1), b = letter_job('b', 2);
    struct wake_timer timer = { .timer = { .fired = wake_fired }, .job = &a.job };

    fixture_init();
    a.result = HSR_JOB_BLOCKED;
    hsr_loop_job_add(&loop, &a.job);
    hsr_loop_job_add(&loop, &b.job);
    turns();
    CHECK(strcmp(order, "ab") == 0);
    CHECK(a.job.in && a.job.blocked && !b.job.in);
    CHECK(!hsr_jobs_ahead(&loop));
    a.result = HSR_JOB_DONE;
    hsr_loop_timer_set(&loop, &timer.timer, hsr_loop_clock(&loop) + 2 * HSR_NS_PER_MS);
    hsr_loop_run(&loop);
    CHECK(loop.stats.sleeps > 0);
    CHECK(hsr_loop_gap_ns(&loop) >= HSR_NS_PER_MS); /* a gap that nothing filled */
    turns();
    CHECK(strcmp(order, "aba") == 0);
    CHECK(!a.job.in);
    hsr_loop_fini(&loop);
}

/* What is demanded while it is blocked comes to the demanded ones; a wake-up inside of the step
 * that blocks is not lost. */
static void test_blocked_jobs_lose_no_wakeup(void)
{
    struct letter_job a = letter_job('a', 1), b = letter_job('b', 2);

    fixture_init();
    a.result = HSR_JOB_BLOCKED;
    a.wakes_itself = true;
    hsr_loop_job_add(&loop, &a.job);
    (void)hsr_loop_turn(&loop, true);
    CHECK(a.steps > 1);
    a.wakes_itself = false;
    turns();
    CHECK(a.job.blocked);
    a.result = HSR_JOB_DONE;
    a.steps = 0;
    hsr_loop_job_add(&loop, &b.job);
    hsr_loop_job_demand(&loop, &a.job);
    CHECK(a.job.blocked); /* still: demand brings no data */
    order[0] = '\0';
    hsr_loop_job_wake(&loop, &a.job);
    turns();
    CHECK(strcmp(order, "ab") == 0);
    CHECK_EQ(hsr_job_count(&loop.jobs.account.steps[HSR_JOB_DEMAND]), 1);
    hsr_loop_fini(&loop);
}

int main(void)
{
    RUN(test_ahead_nearest_need_first);
    RUN(test_ahead_gives_way_within_a_step);
    RUN(test_ahead_waits_for_tasks);
    RUN(test_demand_runs_in_the_turn_before_ahead);
    RUN(test_demand_goes_on_where_ahead_was);
    RUN(test_demand_shares_the_turn);
    RUN(test_due_is_in_demand);
    RUN(test_removed_jobs_never_run);
    RUN(test_blocked_jobs_sleep_until_woken);
    RUN(test_blocked_jobs_lose_no_wakeup);
    TEST_END();
}
