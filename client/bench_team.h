/* Workers of a benchmark of this machine alone: one thread each, pinned like a shard's. They
 * prepare side by side, then all start at once; meanwhile the caller is told how far they are. */
#ifndef HSR_CLIENT_BENCH_TEAM_H
#define HSR_CLIENT_BENCH_TEAM_H

#include "base/histogram.h"
#include "client/client.h"

struct hsr_team;

struct hsr_team_worker {
    struct hsr_team *team;
    unsigned index;
    pthread_t thread;
    bool started;
    int rc; /* first error */
    atomic_ullong bytes; /* so far; for samples */
    uint64_t operations;
    uint64_t end_ns, end_cpu_ns; /* when its work was done: hsr_team_done() */
    struct hsr_histogram latency; /* of one operation */
};

/* Each on the worker's own thread. */
struct hsr_team_ops {
    size_t worker_size; /* of the structure that begins with a struct hsr_team_worker; zeroed */
    int (*prepare)(struct hsr_team_worker *worker); /* not measured */
    int (*work)(struct hsr_team_worker *worker); /* looks at hsr_team_stopped() now and then */
    void (*fini)(struct hsr_team_worker *worker); /* also after a failed prepare */
};

struct hsr_team {
    struct hawser_client *client;
    const struct hsr_team_ops *ops;
    void *job; /* what the workers share; the caller's */
    unsigned count;
    char *workers; /* count * worker_size */
    pthread_mutex_t lock;
    pthread_cond_t moved;
    unsigned ready, ended;
    bool go, failed;
    atomic_bool stop;
    uint64_t begin_ns, begin_cpu_ns;
};

/** Run @count workers to their end. @ret_result: bytes, operations, elapsed_ns, cpu_ns, latency,
 * shards and pinned are filled in. @sum, if it is not NULL, sees each worker before it is freed.
 * @return 0, HSR_E_CANCELED, -errno, or the first error of a worker */
int hsr_team_run(struct hawser_client *client, const struct hsr_team_ops *ops, unsigned count,
                 void *job, void (*sum)(void *job, const struct hsr_team_worker *worker),
                 hawser_bench_result *ret_result);

/** The measured part of a worker's work ends here; what follows in work() is beside it. */
void hsr_team_done(struct hsr_team_worker *worker);

/** Should a worker end early? */
static inline bool hsr_team_stopped(const struct hsr_team_worker *worker)
{
    return atomic_load_explicit(&worker->team->stop, memory_order_relaxed);
}

uint64_t hsr_bench_now(void); /* monotonic, ns */
uint64_t hsr_bench_cpu(void); /* of the process, ns */
hawser_latency hsr_bench_latency(const struct hsr_latency *latency);

#endif
