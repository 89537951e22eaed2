/* Workers of a benchmark; see bench_team.h. */
#include "client/bench_team.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLE_NS (100 * HSR_NS_PER_MS)

static void *team_thread(void *context);
static int team_start(struct hsr_team *team);
static void team_watch(struct hsr_team *team);
static int team_sum(struct hsr_team *team,
                    void (*sum)(void *job, const struct hsr_team_worker *worker),
                    hawser_bench_result *result);

uint64_t hsr_bench_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail on Linux, nor below */
    return (uint64_t)now.tv_sec * HSR_NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t hsr_bench_cpu(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * HSR_NS_PER_S + (uint64_t)now.tv_nsec;
}

static struct hsr_team_worker *team_worker(const struct hsr_team *team, unsigned index)
{
    return (struct hsr_team_worker *)(void *)(team->workers + index * team->ops->worker_size);
}

int hsr_team_run(struct hawser_client *client, const struct hsr_team_ops *ops, unsigned count,
                 void *job, void (*sum)(void *job, const struct hsr_team_worker *worker),
                 hawser_bench_result *ret_result)
{
    struct hsr_team team = { .client = client, .ops = ops, .job = job, .count = count };
    hawser_bench_result result = { .shards = count, .pinned = client->pinned };
    pthread_condattr_t monotonic;
    int rc;

    hsr_require(!client->canceled, HSR_E_CANCELED);
    team.workers = calloc(count, ops->worker_size);
    if (team.workers == NULL)
        return -ENOMEM;
    (void)pthread_mutex_init(&team.lock, NULL); /* these cannot fail: see hawser_client_open() */
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&team.moved, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    rc = team_start(&team);
    team_watch(&team);
    for (unsigned i = 0; i < count; i++)
        if (team_worker(&team, i)->started)
            (void)pthread_join(team_worker(&team, i)->thread, NULL);
    if (rc == 0)
        rc = team_sum(&team, sum, &result);
    if (rc == 0 && client->canceled)
        rc = HSR_E_CANCELED;
    if (rc == 0)
        *ret_result = result;
    (void)pthread_cond_destroy(&team.moved);
    (void)pthread_mutex_destroy(&team.lock);
    free(team.workers);
    return rc;
}

/* A thread that could not be started counts as one that is ready and has ended. */
static int team_start(struct hsr_team *team)
{
    sigset_t all, before;
    int rc = 0;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals stay with the caller's threads */
    for (unsigned i = 0; i < team->count; i++) {
        struct hsr_team_worker *worker = team_worker(team, i);

        worker->team = team;
        worker->index = i;
        if (rc == 0)
            rc = -pthread_create(&worker->thread, NULL, team_thread, worker);
        worker->started = rc == 0;
        if (rc == 0)
            continue;
        (void)pthread_mutex_lock(&team->lock);
        team->failed = true;
        team->ready++;
        team->ended++;
        (void)pthread_cond_broadcast(&team->moved);
        (void)pthread_mutex_unlock(&team->lock);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

void hsr_team_done(struct hsr_team_worker *worker)
{
    worker->end_ns = hsr_bench_now();
    worker->end_cpu_ns = hsr_bench_cpu();
}

static void *team_thread(void *context)
{
    struct hsr_team_worker *worker = context;
    struct hsr_team *team = worker->team;
    const struct hsr_placement *placement = &team->client->placement;
    bool go;

    if (team->client->pinned && placement->this_system)
        (void)hsr_place_pin(&placement->shards[worker->index % placement->count]); /* only slower */
    worker->rc = team->ops->prepare(worker);
    (void)pthread_mutex_lock(&team->lock);
    team->failed = team->failed || worker->rc < 0;
    team->ready++;
    (void)pthread_cond_broadcast(&team->moved);
    while (!team->go)
        (void)pthread_cond_wait(&team->moved, &team->lock);
    go = !team->failed;
    (void)pthread_mutex_unlock(&team->lock);
    if (go)
        worker->rc = team->ops->work(worker);
    team->ops->fini(worker);
    (void)pthread_mutex_lock(&team->lock);
    team->ended++;
    (void)pthread_cond_broadcast(&team->moved);
    (void)pthread_mutex_unlock(&team->lock);
    return NULL;
}

static void team_sample(struct hsr_team *team)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < team->count; i++)
        bytes += atomic_load_explicit(&team_worker(team, i)->bytes, memory_order_relaxed);
    if (team->client->sample != NULL)
        hsr_client_sample(team->client, hsr_bench_now() - team->begin_ns, bytes);
}

/* Let them start when all are ready; then samples until all have ended. */
static void team_watch(struct hsr_team *team)
{
    (void)pthread_mutex_lock(&team->lock);
    while (team->ended < team->count) {
        struct timespec until;
        uint64_t next = hsr_bench_now() + SAMPLE_NS;

        if (team->ready == team->count && !team->go) {
            team->go = true;
            team->begin_ns = hsr_bench_now();
            team->begin_cpu_ns = hsr_bench_cpu();
            team->client->sample_cpu_ns = team->begin_cpu_ns;
            (void)pthread_cond_broadcast(&team->moved);
        }
        until = (struct timespec){ .tv_sec = (time_t)(next / HSR_NS_PER_S),
                                   .tv_nsec = (long)(next % HSR_NS_PER_S) };
        while (team->ended < team->count && (team->go || team->ready < team->count) &&
               pthread_cond_timedwait(&team->moved, &team->lock, &until) == 0)
            continue;
        if (team->client->canceled)
            atomic_store(&team->stop, true);
        if (team->go && team->ended < team->count && hsr_bench_now() >= next)
            team_sample(team);
    }
    (void)pthread_mutex_unlock(&team->lock);
}

static int team_sum(struct hsr_team *team,
                    void (*sum)(void *job, const struct hsr_team_worker *worker),
                    hawser_bench_result *result)
{
    struct hsr_histogram *latency = calloc(1, sizeof(*latency));
    uint64_t end_ns = team->begin_ns, end_cpu_ns = team->begin_cpu_ns;
    struct hsr_latency figures;
    int rc = latency == NULL ? -ENOMEM : 0;

    for (unsigned i = 0; i < team->count && rc == 0; i++) {
        const struct hsr_team_worker *worker = team_worker(team, i);

        rc = worker->rc;
        result->bytes += atomic_load(&worker->bytes);
        result->operations += worker->operations;
        end_ns = HSR_MAX(end_ns, worker->end_ns);
        end_cpu_ns = HSR_MAX(end_cpu_ns, worker->end_cpu_ns);
        hsr_histogram_merge(latency, &worker->latency);
        if (sum != NULL)
            sum(team->job, worker);
    }
    if (rc == 0) {
        figures = hsr_latency_of(latency);
        result->elapsed_ns = end_ns - team->begin_ns;
        result->cpu_ns = end_cpu_ns - team->begin_cpu_ns;
        result->latency = hsr_bench_latency(&figures);
    }
    free(latency);
    return rc;
}
