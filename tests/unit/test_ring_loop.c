/* Goal: the order of a turn, and that nothing is lost between threads.
 * Method: single turns over the null backend; real threads over both backends. */
#include "hsr_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "front_backend.h"
#include "ring/ring.h"

#define PINGS 100000u

static struct hsr_loop loop;
static char order[64]; /* what ran, one letter each */

static void note(char letter)
{
    size_t size = strlen(order);

    if (size + 1 < sizeof(order)) {
        order[size] = letter;
        order[size + 1] = '\0';
    }
}

struct letter_task {
    struct hsr_task task;
    char letter;
    struct hsr_task *wakes; /* one more to wake from inside */
};

static void letter_run(struct hsr_task *task)
{
    struct letter_task *letter = hsr_container_of(task, struct letter_task, task);

    note(letter->letter);
    CHECK(hsr_loop_current() == &loop);
    if (letter->wakes != NULL)
        hsr_loop_wake(&loop, letter->wakes);
}

static struct letter_task letter_task(char letter)
{
    return (struct letter_task){ .letter = letter };
}

static void fixture_init(void)
{
    struct hsr_backend *backend;

    order[0] = '\0';
    CHECK_EQ(hsr_null_create(&backend), 0);
    CHECK_EQ(hsr_loop_init(&loop, backend, 3), 0);
    CHECK_EQ(loop.index, 3);
    CHECK(hsr_loop_current() == NULL);
}

static void test_tasks_run_once_in_order(void)
{
    struct letter_task a = letter_task('a'), b = letter_task('b'), c = letter_task('c');

    fixture_init();
    hsr_task_init(&a.task, "a", letter_run);
    hsr_task_init(&b.task, "b", letter_run);
    hsr_task_init(&c.task, "c", letter_run);
    CHECK(!hsr_loop_pressed(&loop));
    hsr_loop_wake(&loop, &b.task);
    hsr_loop_wake(&loop, &a.task);
    hsr_loop_wake(&loop, &b.task);
    hsr_loop_wake(&loop, &c.task);
    hsr_loop_forget(&loop, &c.task);
    hsr_loop_forget(&loop, &c.task); /* harmless */
    CHECK(hsr_loop_pressed(&loop));
    CHECK(hsr_loop_turn(&loop, false));
    CHECK(strcmp(order, "ba") == 0);
    CHECK(!hsr_loop_turn(&loop, false));
    CHECK(strcmp(order, "ba") == 0);
    CHECK_EQ(loop.stats.turns, 2);
    CHECK_EQ(loop.stats.turn_ns.count, 2);
    hsr_loop_fini(&loop);
    hsr_loop_fini(&loop); /* accepts what is gone */
}

static void test_task_woken_by_task_runs_next_turn(void)
{
    struct letter_task a = letter_task('a'), b = letter_task('b');

    fixture_init();
    hsr_task_init(&a.task, "a", letter_run);
    hsr_task_init(&b.task, "b", letter_run);
    a.wakes = &a.task; /* itself, for ever */
    hsr_loop_wake(&loop, &a.task);
    (void)hsr_loop_turn(&loop, false);
    CHECK(strcmp(order, "a") == 0);
    hsr_loop_wake(&loop, &b.task);
    (void)hsr_loop_turn(&loop, true); /* must not sleep: a task is runnable */
    CHECK(strcmp(order, "aab") == 0);
    hsr_loop_forget(&loop, &a.task);
    hsr_loop_fini(&loop);
}

struct letter_timer {
    struct hsr_timer timer;
    char letter;
    uint64_t again_ns; /* set again while firing */
};

static void letter_fired(struct hsr_timer *timer)
{
    struct letter_timer *letter = hsr_container_of(timer, struct letter_timer, timer);

    note(letter->letter);
    CHECK_EQ(timer->heap_index, 0);
    hsr_loop_stop(&loop); /* heard by those who run */
    if (letter->again_ns > 0)
        hsr_loop_timer_set(&loop, timer, letter->again_ns);
}

static void test_timers_fire_in_order(void)
{
    struct letter_timer timers[26];
    uint64_t base_ns;

    fixture_init();
    base_ns = hsr_loop_clock(&loop) - 1000;
    for (unsigned i = 0; i < 26; i++) {
        unsigned at = (i * 7) % 26; /* a permutation */

        timers[at] =
            (struct letter_timer){ .timer = { .fired = letter_fired }, .letter = (char)('a' + at) };
        hsr_loop_timer_set(&loop, &timers[at].timer, base_ns + at);
    }
    hsr_loop_timer_set(&loop, &timers[0].timer, base_ns + 100); /* moved behind all */
    hsr_loop_timer_clear(&loop, &timers[12].timer);
    hsr_loop_timer_clear(&loop, &timers[12].timer); /* harmless */
    timers[3].again_ns = 1; /* due at once, and yet not in this turn */
    CHECK_EQ(loop.timer_count, 25);
    (void)hsr_loop_turn(&loop, false);
    CHECK(strcmp(order, "bcdefghijklnopqrstuvwxyza") == 0);
    CHECK_EQ(loop.timer_count, 1);
    timers[3].again_ns = 0;
    (void)hsr_loop_turn(&loop, false);
    CHECK(strcmp(order, "bcdefghijklnopqrstuvwxyzad") == 0);
    hsr_loop_fini(&loop);
}

/* Against a sorted list: random deadlines, moves and clears keep the heap in order. */
static void test_timers_random(void)
{
    static struct letter_timer timers[500];
    uint64_t seed = 7;

    fixture_init();
    for (unsigned i = 0; i < 500; i++)
        timers[i] = (struct letter_timer){ .timer = { .fired = letter_fired } };
    for (unsigned i = 0; i < 20000; i++) {
        struct letter_timer *timer;

        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        timer = &timers[(seed >> 33) % 500];
        if ((seed >> 20) % 3 == 0)
            hsr_loop_timer_clear(&loop, &timer->timer);
        else
            hsr_loop_timer_set(&loop, &timer->timer, (seed >> 40) % 1000);
    }
    for (uint32_t i = 1; i <= loop.timer_count; i++) {
        CHECK_EQ(loop.timers[i]->heap_index, i);
        if (i > 1)
            CHECK(loop.timers[i / 2]->deadline_ns <= loop.timers[i]->deadline_ns);
    }
    hsr_loop_fini(&loop);
}

static void test_timer_ends_sleep(void)
{
    struct letter_timer timer = { .timer = { .fired = letter_fired }, .letter = 't' };
    uint64_t start_ns;

    fixture_init();
    start_ns = hsr_loop_clock(&loop);
    hsr_loop_timer_set(&loop, &timer.timer, start_ns + 3 * HSR_NS_PER_MS);
    hsr_loop_run(&loop);
    CHECK(hsr_loop_clock(&loop) - start_ns >= 3 * HSR_NS_PER_MS);
    CHECK(loop.stats.sleeps >= 1 && loop.stats.sleeps < 10); /* asleep, not spinning */
    CHECK(loop.stats.sleep_ns > HSR_NS_PER_MS);
    hsr_loop_fini(&loop);
}

struct counted_op {
    struct hsr_op op;
    unsigned done_count;
    int64_t res;
};

static void counted_done(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct counted_op *counted = hsr_container_of(op, struct counted_op, op);

    CHECK_EQ(flags, 0);
    CHECK(!op->armed);
    CHECK(op->done == counted_done);
    counted->done_count++;
    counted->res = res;
    note('o');
}

static void test_ops_complete_next_turn(void)
{
    struct counted_op ops[3] = {
        { .op = { .done = counted_done, .kind = HSR_OP_NOP } },
        { .op = { .done = counted_done, .kind = HSR_OP_SEND, .size = 99 } },
        { .op = { .done = counted_done, .kind = HSR_OP_OPENAT2 } }
    };
    uint64_t hash;

    fixture_init();
    for (unsigned i = 0; i < 3; i++)
        hsr_loop_submit(&loop, &ops[i].op);
    CHECK_EQ(loop.armed, 3);
    CHECK(ops[0].op.armed);
    (void)hsr_loop_turn(&loop, true);
    CHECK_EQ(ops[0].done_count, 0); /* submission is the end of a turn */
    hsr_loop_cancel(&loop, &ops[0].op);
    hash = loop.trace_hash;
    (void)hsr_loop_turn(&loop, false);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(ops[i].done_count, 1);
    CHECK_EQ(ops[1].res, 99);
    CHECK(ops[2].res > 1000);
    CHECK_EQ(loop.armed, 0);
    CHECK(loop.trace_hash != hash);
    hsr_loop_cancel(&loop, &ops[0].op); /* not armed: harmless */
    CHECK_EQ(loop.stats.completions, 3);
    CHECK_EQ(loop.stats.submits, 3);
    hash = loop.trace_hash;
    CHECK_EQ(hsr_loop_call(&loop, &ops[1].op), 99);
    CHECK_EQ(ops[1].done_count, 1); /* a call says it in its result */
    CHECK(loop.trace_hash != hash);
    CHECK_EQ(loop.stats.calls, 1);
    hsr_loop_fini(&loop);
}

/* ---- a clock that tasks move: what a turn has time for ---- */

static struct front script;
static uint64_t script_ns;

static uint64_t script_now(struct hsr_backend *inner)
{
    (void)inner;
    return script_ns;
}

static void script_submitted(bool any, uint64_t calls_until_ns)
{
    if (any)
        note(calls_until_ns == 0 ? 's' : 'S'); /* S: the turn's end */
}

static void script_init(void)
{
    fixture_init();
    script_ns = HSR_NS_PER_S;
    front_put(&script, &loop, script_now);
    script.submitted = script_submitted;
}

struct worker {
    struct hsr_task task;
    char letter;
    uint64_t takes_ns;
    struct hsr_op *op; /* submitted by each run */
};

static void worker_run(struct hsr_task *task)
{
    struct worker *worker = hsr_container_of(task, struct worker, task);

    note(worker->letter);
    script_ns += worker->takes_ns;
    (void)hsr_loop_slice_over(&loop); /* whoever works asks; there is no more work */
    if (worker->op != NULL)
        hsr_loop_submit(&loop, worker->op);
}

static void worker_init(struct worker *worker, char letter, bool bulk, uint64_t takes_us)
{
    *worker = (struct worker){ .letter = letter, .takes_ns = takes_us * HSR_NS_PER_US };
    hsr_task_init(&worker->task, "worker", worker_run);
    worker->task.bulk = bulk;
}

static void turn_of(struct worker *const *workers, unsigned count, const char *expected)
{
    order[0] = '\0';
    for (unsigned i = 0; i < count; i++)
        hsr_loop_wake(&loop, &workers[i]->task);
    (void)hsr_loop_turn(&loop, false);
    CHECK(strcmp(order, expected) == 0);
}

/* Goal: a bulk task with little to do is as prompt as others; one that works for long comes last,
 * and stays there for a while; a task that is not bulk never does. */
static void test_heavy_tasks_come_last(void)
{
    struct worker heavy, light, prompt;
    struct worker *all[] = { &heavy, &light, &prompt };

    script_init();
    worker_init(&heavy, 'h', true, 60);
    worker_init(&light, 'l', true, 5);
    worker_init(&prompt, 'p', false, 60);
    turn_of(all, 3, "hlp"); /* nobody knows yet */
    for (unsigned i = 0; i < 3; i++)
        turn_of(all, 3, "lph");
    heavy.takes_ns = HSR_NS_PER_US;
    prompt.takes_ns = HSR_NS_PER_US;
    for (unsigned i = 0; i < 8; i++)
        turn_of(all, 3, "lph");
    turn_of(all, 3, "hlp");
    hsr_loop_fini(&loop);
}

/* Goal: what a prompt task submits leaves before heavy ones run; without them nothing leaves twice.
 */
static void test_answers_leave_first(void)
{
    struct counted_op answer = { .op = { .done = counted_done, .kind = HSR_OP_NOP } };
    struct counted_op data = { .op = { .done = counted_done, .kind = HSR_OP_NOP } };
    struct worker heavy, prompt;
    struct worker *both[] = { &heavy, &prompt };

    script_init();
    worker_init(&heavy, 'h', true, 60);
    worker_init(&prompt, 'p', false, 5);
    turn_of(both, 2, "hp");
    prompt.op = &answer.op;
    heavy.op = &data.op;
    turn_of(both, 2, "pshS");
    turn_of(both, 0, "oo");
    turn_of(both + 1, 1, "pS");
    turn_of(both, 0, "o");
    prompt.op = NULL;
    turn_of(both, 2, "phS");
    turn_of(both, 0, "o");
    hsr_loop_fini(&loop);
}

/* Goal: heavy tasks that a turn has no time for are the first ones of the next, in their order. */
static void test_heavy_tasks_share_turns(void)
{
    struct worker a, b, c;
    struct worker *all[] = { &a, &b, &c };

    script_init();
    worker_init(&a, 'a', true, 60);
    worker_init(&b, 'b', true, 60);
    worker_init(&c, 'c', true, 60);
    turn_of(all, 3, "ab");
    turn_of(all, 3, "ca"); /* c had waited, and was not heavy yet; a and b were */
    turn_of(all, 0, "b");
    turn_of(all, 3, "ab");
    turn_of(all, 1, "ca");
    hsr_loop_fini(&loop);
}

static void test_submit_twice_aborts(void)
{
    struct counted_op op = { .op = { .done = counted_done, .kind = HSR_OP_NOP } };
    int status = 0;
    pid_t pid;

    fixture_init();
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        hsr_loop_submit(&loop, &op.op);
        hsr_loop_submit(&loop, &op.op);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    hsr_loop_fini(&loop);
}

/* ---- threads ---- */

struct player {
    struct hsr_msg msg;
    struct hsr_loop *self;
    struct player *other;
    unsigned count;
};

static struct hsr_loop loops[2];
static struct player players[2];
static pthread_barrier_t barrier;
static bool use_uring;
static uint32_t use_spin_ns;

static void player_got(struct hsr_msg *msg)
{
    struct player *player = hsr_container_of(msg, struct player, msg);

    CHECK(hsr_loop_current() == player->self);
    player->count++;
    if (player->count == PINGS)
        hsr_loop_stop(player->self);
    if (player == &players[0] || player->count < PINGS)
        hsr_loop_send(player->other->self, &player->other->msg);
}

static struct hsr_backend *backend_make(void)
{
    struct hsr_uring_options options = { .entries = 64, .iowq_cpu = -1, .spin_ns = use_spin_ns };
    struct hsr_backend *backend = NULL;
    char why[256];

    if (!use_uring)
        CHECK_EQ(hsr_null_create(&backend), 0);
    else if (hsr_uring_create(&options, &backend, why, sizeof(why)) != 0)
        SKIP(why);
    return backend;
}

static void *player_main(void *arg)
{
    struct player *player = arg;

    CHECK_EQ(hsr_loop_init(player->self, backend_make(), 0), 0);
    pthread_barrier_wait(&barrier);
    if (player == &players[0])
        hsr_loop_send(players[0].self, &players[0].msg);
    hsr_loop_run(player->self);
    pthread_barrier_wait(&barrier); /* the other may still ring here */
    hsr_loop_fini(player->self);
    return NULL;
}

static void ping_pong(void)
{
    pthread_t threads[2];

    CHECK_EQ(pthread_barrier_init(&barrier, NULL, 2), 0);
    for (unsigned i = 0; i < 2; i++)
        players[i] = (struct player){ .msg = { .deliver = player_got },
                                      .self = &loops[i],
                                      .other = &players[1 - i] };
    for (unsigned i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, player_main, &players[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(players[0].count, PINGS);
    CHECK_EQ(players[1].count, PINGS);
    CHECK_EQ(pthread_barrier_destroy(&barrier), 0);
}

static void test_ping_pong_null(void)
{
    use_uring = false;
    use_spin_ns = 0;
    ping_pong();
}

static void test_ping_pong_uring(void)
{
    use_uring = true;
    use_spin_ns = 0;
    ping_pong();
}

static void test_ping_pong_uring_spinning(void)
{
    use_uring = true;
    use_spin_ns = 20000;
    ping_pong();
}

/* A handler stops its own loop, which would poll for seconds before it sleeps: it ends at once. */
static void stop_got(struct hsr_msg *msg)
{
    (void)msg;
    hsr_loop_stop(&loops[0]);
}

static void test_stop_ends_spinning(void)
{
    struct hsr_msg msg = { .deliver = stop_got };
    uint64_t before_ns;

    use_uring = true;
    use_spin_ns = UINT32_MAX; /* 4.3 s */
    CHECK_EQ(hsr_loop_init(&loops[0], backend_make(), 0), 0);
    hsr_loop_send(&loops[0], &msg);
    before_ns = hsr_loop_clock(&loops[0]);
    hsr_loop_run(&loops[0]);
    CHECK(hsr_loop_clock(&loops[0]) - before_ns < 2 * HSR_NS_PER_S);
    CHECK_EQ(loops[0].stats.messages, 1);
    hsr_loop_fini(&loops[0]);
}

/* Three producers without a loop of their own push into one: each message arrives, each producer's
 * in order. */
#define FLOOD 30000u

struct flood_msg {
    struct hsr_msg msg;
    unsigned producer;
    unsigned number;
};

static unsigned flood_next[3];
static unsigned flood_total;

static void flood_got(struct hsr_msg *msg)
{
    struct flood_msg *flood = hsr_container_of(msg, struct flood_msg, msg);

    CHECK_EQ(flood->number, flood_next[flood->producer]);
    flood_next[flood->producer]++;
    if (++flood_total == 3 * FLOOD)
        hsr_loop_stop(&loops[0]);
    free(flood);
}

static void *flood_main(void *arg)
{
    for (unsigned i = 0; i < FLOOD; i++) {
        struct flood_msg *flood = calloc(1, sizeof(*flood));

        if (flood == NULL)
            abort();
        flood->msg.deliver = flood_got;
        flood->producer = (unsigned)(uintptr_t)arg;
        flood->number = i;
        hsr_loop_send(&loops[0], &flood->msg);
    }
    return NULL;
}

static void test_flood_from_three_threads(void)
{
    pthread_t threads[3];

    use_uring = true;
    use_spin_ns = 0;
    flood_total = 0;
    CHECK_EQ(hsr_loop_init(&loops[0], backend_make(), 0), 0);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, flood_main, (void *)(uintptr_t)i), 0);
    hsr_loop_run(&loops[0]);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK_EQ(flood_next[i], FLOOD);
    }
    CHECK_EQ(loops[0].stats.messages, 3 * FLOOD);
    hsr_loop_fini(&loops[0]);
}

int main(void)
{
    RUN(test_tasks_run_once_in_order);
    RUN(test_task_woken_by_task_runs_next_turn);
    RUN(test_timers_fire_in_order);
    RUN(test_timers_random);
    RUN(test_timer_ends_sleep);
    RUN(test_ops_complete_next_turn);
    RUN(test_heavy_tasks_come_last);
    RUN(test_answers_leave_first);
    RUN(test_heavy_tasks_share_turns);
    RUN(test_submit_twice_aborts);
    RUN(test_ping_pong_null);
    RUN(test_ping_pong_uring);
    RUN(test_ping_pong_uring_spinning);
    RUN(test_stop_ends_spinning);
    RUN(test_flood_from_three_threads);
    TEST_END();
}
