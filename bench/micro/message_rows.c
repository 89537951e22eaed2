/* Messages between two loops on two threads: out to the other one and back, over the ring. On one
 * core each side must give the core to the other; on two the sleeper must be woken, unless it polls
 * its inbox for a while first. One operation is one message on its way out; the answer comes after
 * the last of a batch. */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/util.h"
#include "bench/micro/rows.h"
#include "ring/ring.h"

#define BATCH_MAX 64u
#define SPIN_NS (50 * HSR_NS_PER_US)

struct message_kind {
    bool two_cores;
    uint32_t spin_ns; /* before a loop sleeps */
};

struct ping {
    struct hsr_msg msg;
    struct message_state *state;
    bool last;
};

struct message_state {
    struct hsr_loop home; /* of the thread that measures */
    struct hsr_loop away;
    pthread_t thread;
    sem_t ready; /* the other loop runs, or cannot */
    bool failed;
    const struct message_kind *kind;
    int away_cpu;
    cpu_set_t before; /* where the measuring thread was allowed to run */
    struct ping pings[BATCH_MAX];
    unsigned batch;
    struct hsr_msg pong;
};

static int loop_create(const struct message_state *state, struct hsr_loop *loop, unsigned index)
{
    struct hsr_uring_options options = { .iowq_cpu = -1, .spin_ns = state->kind->spin_ns };
    struct hsr_backend *backend;
    char why[256];
    int rc = hsr_uring_create(&options, &backend, why, sizeof(why));

    return rc < 0 ? rc : hsr_loop_init(loop, backend, index);
}

static void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    hsr_assert(sched_setaffinity(0, sizeof(set), &set) == 0); /* it is one we were given */
}

static void *away_main(void *ctx)
{
    struct message_state *state = ctx;

    pin(state->away_cpu);
    state->failed = loop_create(state, &state->away, 1) < 0;
    (void)sem_post(&state->ready); /* cannot overflow: once */
    if (!state->failed) {
        hsr_loop_run(&state->away);
        hsr_loop_fini(&state->away);
    }
    return NULL;
}

static void ping_deliver(struct hsr_msg *msg)
{
    struct ping *ping = hsr_container_of(msg, struct ping, msg);

    if (ping->last)
        hsr_loop_send(&ping->state->home, &ping->state->pong);
}

static void pong_deliver(struct hsr_msg *msg)
{
    hsr_loop_stop(&hsr_container_of(msg, struct message_state, pong)->home);
}

/* The first CPUs that we may use; @ret_cpus[1] is -1 when there is only one. */
static void cpus_find(const cpu_set_t *set, int ret_cpus[2])
{
    unsigned count = 0;

    ret_cpus[0] = ret_cpus[1] = -1;
    for (int cpu = 0; cpu < CPU_SETSIZE && count < 2; cpu++)
        if (CPU_ISSET((unsigned)cpu, set))
            ret_cpus[count++] = cpu;
}

static void message_close(void *ctx)
{
    struct message_state *state = ctx;

    if (!state->failed)
        hsr_loop_stop(&state->away);
    hsr_assert(pthread_join(state->thread, NULL) == 0);
    hsr_loop_fini(&state->home);
    hsr_assert(sched_setaffinity(0, sizeof(state->before), &state->before) == 0);
    (void)sem_destroy(&state->ready); /* nobody waits */
    free(state);
}

static const char *message_open(const struct hsr_micro_row *row, void **ret_state)
{
    const struct message_kind *kind = row->what;
    struct message_state *state;
    cpu_set_t before;
    int cpus[2];

    hsr_assert(sched_getaffinity(0, sizeof(before), &before) == 0);
    cpus_find(&before, cpus);
    if (kind->two_cores && cpus[1] < 0)
        return "one core only";
    state = hsr_micro_alloc(sizeof(*state));
    state->kind = kind;
    state->before = before;
    state->away_cpu = cpus[kind->two_cores ? 1 : 0];
    state->batch = (unsigned)row->size;
    for (unsigned i = 0; i < state->batch; i++)
        state->pings[i] =
            (struct ping){ { .deliver = ping_deliver }, state, i + 1 == state->batch };
    state->pong.deliver = pong_deliver;
    if (loop_create(state, &state->home, 0) < 0) {
        free(state);
        return "no io_uring here";
    }
    pin(cpus[0]);
    hsr_assert(sem_init(&state->ready, 0, 0) == 0);
    hsr_assert(pthread_create(&state->thread, NULL, away_main, state) == 0);
    while (sem_wait(&state->ready) < 0)
        continue; /* a signal */
    if (state->failed) {
        message_close(state);
        return "no room for a second ring";
    }
    *ret_state = state;
    return NULL;
}

static void message_run(void *ctx, uint64_t times)
{
    struct message_state *state = ctx;

    while (times-- > 0) {
        for (unsigned i = 0; i < state->batch; i++)
            hsr_loop_send(&state->away, &state->pings[i].msg);
        hsr_loop_run(&state->home); /* until the answer is there */
    }
}

static const struct message_kind one_core = { false, 0 };
static const struct message_kind two_cores = { true, 0 };
static const struct message_kind two_cores_spin = { true, SPIN_NS };

#define MESSAGE(row_name, kind, batch)                                                             \
    {                                                                                              \
        .name = row_name, .open = message_open, .run = message_run, .close = message_close,        \
        .what = &(kind), .size = (batch), .operations = (batch)                                    \
    }

static const struct hsr_micro_row rows[] = {
    MESSAGE("message/one_core/1", one_core, 1),
    MESSAGE("message/one_core/64", one_core, 64),
    MESSAGE("message/two_cores/1", two_cores, 1),
    MESSAGE("message/two_cores/64", two_cores, 64),
    MESSAGE("message/two_cores_spin/1", two_cores_spin, 1),
};

const struct hsr_micro_table hsr_micro_message = { rows, HSR_ARRAY_COUNT(rows) };
