/* See job.h. */
#include "ring/job.h"

#include "base/assert.h"
#include "base/util.h"
#include "ring/ring.h"

/* How long one gap is filled before the loop looks around with system calls and timers. The look
 * costs a microsecond or two, so 50 lose some 3 % of a gap that nothing disturbs, and a timer is
 * late by no more. What completes meanwhile is seen after each step. */
#define GAP_NS (50 * HSR_NS_PER_US)
/* What is in demand gets this much of a turn before other tasks and the ring have theirs: a
 * fifth of the millisecond that a turn may last. */
#define DEMAND_NS (200 * HSR_NS_PER_US)
/* The clock of a simulated loop stands still while it works. */
#define STEPS_MAX 64u

static void jobs_demand_run(struct hsr_task *task);
static unsigned jobs_run(struct hsr_loop *loop, enum hsr_job_when when, uint64_t budget_ns);
static uint64_t jobs_step(struct hsr_loop *loop, struct hsr_job *job, uint64_t now_ns,
                          uint64_t deadline_ns);
static void jobs_put(struct hsr_loop *loop, struct hsr_job *job);
static void jobs_put_again(struct hsr_loop *loop, struct hsr_job *job);
static void account_add(atomic_ullong *figure, uint64_t more);

void hsr_jobs_init(struct hsr_loop *loop)
{
    struct hsr_jobs *jobs = &loop->jobs;

    for (unsigned i = 0; i < HSR_JOB_WHEN_COUNT; i++)
        hsr_list_init(&jobs->ready[i]);
    hsr_list_init(&jobs->blocked);
    jobs->due_ns = UINT64_MAX;
    hsr_task_init(&jobs->task, "jobs in demand", jobs_demand_run);
    jobs->task.bulk = true;
}

void hsr_loop_job_add(struct hsr_loop *loop, struct hsr_job *job)
{
    hsr_assert(job->step != NULL);
    hsr_assert(!job->in);
    job->in = true;
    job->blocked = job->woken = false;
    job->when = HSR_JOB_AHEAD;
    job->due_ns = 0;
    hsr_list_init(&job->node);
    jobs_put(loop, job);
}

void hsr_loop_job_demand(struct hsr_loop *loop, struct hsr_job *job)
{
    hsr_assert(job->step != NULL);
    if (!job->in)
        hsr_loop_job_add(loop, job);
    if (job->when == HSR_JOB_DEMAND)
        return;
    job->when = HSR_JOB_DEMAND;
    if (job->blocked)
        return; /* it comes to the others when it goes on */
    hsr_list_remove(&job->node);
    jobs_put(loop, job);
}

void hsr_loop_job_due(struct hsr_loop *loop, struct hsr_job *job, uint64_t due_ns)
{
    hsr_assert(job->in && due_ns > 0);
    if (job->due_ns == 0 || due_ns < job->due_ns)
        job->due_ns = due_ns;
    loop->jobs.due_ns = HSR_MIN(loop->jobs.due_ns, due_ns);
}

void hsr_jobs_due(struct hsr_loop *loop)
{
    struct hsr_jobs *jobs = &loop->jobs;
    struct hsr_list *lists[] = { &jobs->ready[HSR_JOB_AHEAD], &jobs->blocked };

    if (loop->now_ns < jobs->due_ns)
        return;
    jobs->due_ns = UINT64_MAX;
    for (unsigned i = 0; i < HSR_ARRAY_COUNT(lists); i++)
        for (struct hsr_list *node = lists[i]->next, *next; node != lists[i]; node = next) {
            struct hsr_job *job = hsr_container_of(node, struct hsr_job, node);

            next = node->next;
            if (job->when == HSR_JOB_DEMAND || job->due_ns == 0)
                continue;
            if (job->due_ns <= loop->now_ns)
                hsr_loop_job_demand(loop, job);
            else
                jobs->due_ns = HSR_MIN(jobs->due_ns, job->due_ns);
        }
}

void hsr_loop_job_wake(struct hsr_loop *loop, struct hsr_job *job)
{
    job->woken = true; /* perhaps inside of its own step */
    if (!job->in || !job->blocked)
        return;
    job->blocked = false;
    hsr_list_remove(&job->node);
    jobs_put(loop, job);
}

void hsr_loop_job_remove(struct hsr_loop *loop, struct hsr_job *job)
{
    hsr_assert(loop->jobs.stepping != job);
    if (!job->in)
        return;
    hsr_list_remove(&job->node);
    job->in = job->blocked = false;
}

bool hsr_jobs_ahead(const struct hsr_loop *loop)
{
    return !hsr_list_empty(&loop->jobs.ready[HSR_JOB_AHEAD]);
}

unsigned hsr_jobs_gap(struct hsr_loop *loop)
{
    unsigned steps;

    if (!hsr_jobs_ahead(loop) || hsr_loop_pressed(loop))
        return 0;
    steps = jobs_run(loop, HSR_JOB_AHEAD, GAP_NS);
    hsr_assert(steps > 0);
    return steps;
}

static void jobs_demand_run(struct hsr_task *task)
{
    struct hsr_loop *loop = hsr_container_of(task, struct hsr_loop, jobs.task);

    (void)jobs_run(loop, HSR_JOB_DEMAND, DEMAND_NS); /* the account has them */
    if (!hsr_list_empty(&loop->jobs.ready[HSR_JOB_DEMAND]))
        hsr_loop_wake(loop, task);
}

static unsigned jobs_run(struct hsr_loop *loop, enum hsr_job_when when, uint64_t budget_ns)
{
    struct hsr_list *ready = &loop->jobs.ready[when];
    uint64_t now_ns = hsr_loop_clock(loop), deadline_ns = now_ns + budget_ns;
    unsigned steps = 0;

    while (!hsr_list_empty(ready) && now_ns < deadline_ns && steps < STEPS_MAX) {
        struct hsr_job *job = hsr_container_of(ready->next, struct hsr_job, node);

        hsr_assert(job->in && !job->blocked && job->when == when);
        now_ns = jobs_step(loop, job, now_ns, deadline_ns);
        steps++;
        if (when == HSR_JOB_DEMAND ? !hsr_loop_slice_over(loop) : !hsr_loop_pressed(loop))
            continue;
        if (when == HSR_JOB_AHEAD && !hsr_list_empty(ready))
            account_add(&loop->jobs.account.preempted, 1);
        break;
    }
    return steps;
}

/* Returns the time after it. */
static uint64_t jobs_step(struct hsr_loop *loop, struct hsr_job *job, uint64_t now_ns,
                          uint64_t deadline_ns)
{
    struct hsr_jobs *jobs = &loop->jobs;
    struct hsr_job_account *accounts[] = { &jobs->account, job->account };
    const char *name = job->name;
    unsigned when = job->when;
    enum hsr_job_result result;
    uint64_t after_ns;

    hsr_assert(jobs->stepping == NULL);
    hsr_list_remove(&job->node);
    job->in = false;
    job->woken = false;
    jobs->stepping = job;
    jobs->stepping_when = (uint8_t)when;
    result = job->step(job, deadline_ns);
    jobs->stepping = NULL;
    if (result != HSR_JOB_DONE) { /* else it is not ours any more, perhaps freed */
        hsr_assert(!job->in);
        job->in = true;
        job->blocked = result == HSR_JOB_BLOCKED && !job->woken;
        if (job->blocked)
            hsr_list_push_tail(&jobs->blocked, &job->node);
        else
            jobs_put_again(loop, job);
    }
    after_ns = hsr_loop_clock(loop);
    hsr_histogram_add(&jobs->step_ns, after_ns - now_ns);
    for (unsigned i = 0; i < HSR_ARRAY_COUNT(accounts) && accounts[i] != NULL; i++) {
        account_add(&accounts[i]->ns[when], after_ns - now_ns);
        account_add(&accounts[i]->steps[when], 1);
    }
    hsr_loop_span(loop, when == HSR_JOB_AHEAD ? HSR_SPAN_AHEAD : HSR_SPAN_DEMAND, name, now_ns,
                  after_ns);
    return after_ns;
}

void hsr_loop_job_worked(struct hsr_loop *loop, struct hsr_job *job, uint64_t bytes)
{
    struct hsr_jobs *jobs = &loop->jobs;

    hsr_assert(jobs->stepping == job);
    job->cursor += bytes;
    account_add(&jobs->account.bytes[jobs->stepping_when], bytes);
    if (job->account != NULL)
        account_add(&job->account->bytes[jobs->stepping_when], bytes);
}

/* Into the list where it belongs. Of equal needs the one that came first goes first. */
static void jobs_put(struct hsr_loop *loop, struct hsr_job *job)
{
    struct hsr_jobs *jobs = &loop->jobs;
    struct hsr_list *list = &jobs->ready[job->when];
    struct hsr_list *before = list->prev;

    hsr_assert(job->in && !job->blocked);
    hsr_assert(!hsr_list_linked(&job->node));
    while (before != list && hsr_container_of(before, struct hsr_job, node)->need > job->need)
        before = before->prev;
    hsr_list_push_head(before, &job->node);
    if (job->when == HSR_JOB_DEMAND)
        hsr_loop_wake(loop, &jobs->task);
}

/* One that was stepped goes on, unless a nearer one came inside of its step. */
static void jobs_put_again(struct hsr_loop *loop, struct hsr_job *job)
{
    struct hsr_list *list = &loop->jobs.ready[job->when], *before = list;

    hsr_assert(job->in && !job->blocked);
    while (before->next != list &&
           hsr_container_of(before->next, struct hsr_job, node)->need < job->need)
        before = before->next;
    hsr_list_push_head(before, &job->node);
}

static void account_add(atomic_ullong *figure, uint64_t more)
{
    /* One writer: no read-modify-write is needed. */
    atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + more,
                          memory_order_relaxed);
}
