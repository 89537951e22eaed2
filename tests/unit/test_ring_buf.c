/* Goal: buffers have one owner, an empty pool serves waiters in order, misuse aborts.
 * Method: a pool on a loop over the null backend; what must abort does so in a child process. */
#include "hsr_test.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring/buf.h"

#define PAYLOAD 8192u
#define COUNT 4u

static struct hsr_loop loop;
static struct hsr_bufpool pool;
static void *memory;
static unsigned woken[8];
static unsigned woken_count;

struct taker {
    struct hsr_task task;
    struct hsr_buf_waiter waiter;
    unsigned name;
};

static void taker_run(struct hsr_task *task)
{
    struct taker *taker = hsr_container_of(task, struct taker, task);

    woken[woken_count++] = taker->name;
}

static void taker_init(struct taker *taker, unsigned name)
{
    memset(taker, 0, sizeof(*taker));
    hsr_task_init(&taker->task, "taker", taker_run);
    hsr_list_init(&taker->waiter.node);
    taker->waiter.task = &taker->task;
    taker->name = name;
}

static void fixture_init(void)
{
    struct hsr_backend *backend;
    size_t size = COUNT * hsr_buf_stride(PAYLOAD) + 4096; /* the rest is too small for a fifth */

    woken_count = 0;
    CHECK_EQ(hsr_null_create(&backend), 0);
    CHECK_EQ(hsr_loop_init(&loop, backend, 0), 0);
    CHECK_EQ(posix_memalign(&memory, 4096, size), 0);
    CHECK_EQ(hsr_bufpool_init(&pool, &loop, memory, size, PAYLOAD, true), 0);
}

static void fixture_fini(void)
{
    hsr_bufpool_fini(&pool);
    hsr_loop_fini(&loop);
    free(memory);
}

/* Runs @step in a child; true if it aborted. */
static bool aborts(void (*step)(void))
{
    int status = 0;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        step();
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_pool_cuts_memory(void)
{
    fixture_init();
    CHECK_EQ(pool.count, COUNT);
    CHECK_EQ(pool.free_count, COUNT);
    CHECK(pool.registered);
    for (unsigned i = 0; i < COUNT; i++) {
        CHECK_EQ(pool.bufs[i].index, i);
        CHECK_EQ(pool.bufs[i].size, PAYLOAD);
        CHECK_EQ((uintptr_t)pool.bufs[i].payload % 4096, 0);
        CHECK(pool.bufs[i].payload - HSR_BUF_HEAD >= (uint8_t *)memory);
        if (i > 0)
            CHECK(pool.bufs[i].payload - HSR_BUF_HEAD >= pool.bufs[i - 1].payload + PAYLOAD);
    }
    fixture_fini();
}

static void test_pool_refuses_too_little_memory(void)
{
    struct hsr_bufpool small;

    fixture_init();
    CHECK_EQ(hsr_bufpool_init(&small, &loop, memory, hsr_buf_stride(PAYLOAD) - 1, PAYLOAD, false),
             -EINVAL);
    hsr_bufpool_fini(&small); /* what init refused, fini accepts */
    fixture_fini();
}

static void test_pool_is_lifo(void)
{
    struct hsr_buf *a, *b;

    fixture_init();
    a = hsr_buf_take(&pool, NULL);
    b = hsr_buf_take(&pool, NULL);
    CHECK(a != NULL && b != NULL && a != b);
    CHECK_EQ(pool.free_low, COUNT - 2);
    hsr_buf_give(&pool, a);
    hsr_buf_give(&pool, b);
    CHECK(hsr_buf_take(&pool, NULL) == b); /* the warm one */
    hsr_buf_give(&pool, b);
    CHECK_EQ(pool.free_low, COUNT - 2);
    fixture_fini();
}

static void test_buf_moves_to_kernel_and_back(void)
{
    struct hsr_buf *buf;

    fixture_init();
    buf = hsr_buf_take(&pool, NULL);
    CHECK_EQ(buf->owner, HSR_BUF_CHUNK);
    hsr_buf_lend(buf);
    CHECK_EQ(buf->owner, HSR_BUF_KERNEL);
    hsr_buf_return(buf);
    CHECK_EQ(buf->owner, HSR_BUF_CHUNK);
    hsr_buf_give(&pool, buf);
    CHECK_EQ(buf->owner, HSR_BUF_POOL);
    fixture_fini();
}

static void test_waiters_are_served_in_order(void)
{
    struct hsr_buf *bufs[COUNT];
    struct taker takers[3];

    fixture_init();
    for (unsigned i = 0; i < COUNT; i++)
        bufs[i] = hsr_buf_take(&pool, NULL);
    CHECK(hsr_buf_take(&pool, NULL) == NULL);
    for (unsigned i = 0; i < 3; i++) {
        taker_init(&takers[i], i);
        CHECK(hsr_buf_take(&pool, &takers[i].waiter) == NULL);
        CHECK(hsr_buf_take(&pool, &takers[i].waiter) == NULL); /* queued once all the same */
    }
    for (unsigned i = 0; i < 3; i++)
        hsr_buf_give(&pool, bufs[i]);
    CHECK_EQ(pool.free_count, 0);
    (void)hsr_loop_turn(&loop, false);
    CHECK_EQ(woken_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(woken[i], i);
        CHECK(takers[i].waiter.buf == bufs[i]);
        CHECK_EQ(bufs[i]->owner, HSR_BUF_CHUNK);
        CHECK(hsr_buf_take(&pool, &takers[i].waiter) == bufs[i]); /* what was put aside */
        CHECK(takers[i].waiter.buf == NULL);
        hsr_buf_give(&pool, bufs[i]);
    }
    hsr_buf_give(&pool, bufs[3]);
    fixture_fini();
}

static void test_waiter_cancel_passes_its_buffer_on(void)
{
    struct hsr_buf *bufs[COUNT];
    struct taker takers[3];

    fixture_init();
    for (unsigned i = 0; i < COUNT; i++)
        bufs[i] = hsr_buf_take(&pool, NULL);
    for (unsigned i = 0; i < 3; i++) {
        taker_init(&takers[i], i);
        CHECK(hsr_buf_take(&pool, &takers[i].waiter) == NULL);
    }
    hsr_buf_waiter_cancel(&pool, &takers[1].waiter); /* still queued */
    hsr_buf_give(&pool, bufs[0]);
    CHECK(takers[0].waiter.buf == bufs[0]);
    hsr_buf_waiter_cancel(&pool, &takers[0].waiter); /* has one: the next in line gets it */
    CHECK(takers[0].waiter.buf == NULL);
    CHECK(takers[1].waiter.buf == NULL);
    CHECK(takers[2].waiter.buf == bufs[0]);
    hsr_buf_waiter_cancel(&pool, &takers[2].waiter);
    CHECK_EQ(pool.free_count, 1);
    for (unsigned i = 1; i < COUNT; i++)
        hsr_buf_give(&pool, bufs[i]);
    (void)hsr_loop_turn(&loop, false);
    fixture_fini();
}

static void step_double_give(void)
{
    struct hsr_buf *buf = hsr_buf_take(&pool, NULL);

    hsr_buf_give(&pool, buf);
    hsr_buf_give(&pool, buf);
}

static void step_give_lent(void)
{
    struct hsr_buf *buf = hsr_buf_take(&pool, NULL);

    hsr_buf_lend(buf);
    hsr_buf_give(&pool, buf);
}

static void step_return_unlent(void)
{
    hsr_buf_return(hsr_buf_take(&pool, NULL));
}

static void step_fini_with_one_out(void)
{
    CHECK(hsr_buf_take(&pool, NULL) != NULL);
    hsr_bufpool_fini(&pool);
}

static void step_nothing(void)
{
}

static void test_misuse_aborts(void)
{
    fixture_init();
    CHECK(!aborts(step_nothing)); /* else the others prove nothing */
    CHECK(aborts(step_double_give));
    CHECK(aborts(step_give_lent));
    CHECK(aborts(step_return_unlent));
    CHECK(aborts(step_fini_with_one_out));
    fixture_fini();
}

int main(void)
{
    RUN(test_pool_cuts_memory);
    RUN(test_pool_refuses_too_little_memory);
    RUN(test_pool_is_lifo);
    RUN(test_buf_moves_to_kernel_and_back);
    RUN(test_waiters_are_served_in_order);
    RUN(test_waiter_cancel_passes_its_buffer_on);
    RUN(test_misuse_aborts);
    TEST_END();
}
