/* Goal: every moment of a loop's sleep goes to one cause, operations under way are counted once
 * however many there are, and what the scheduler gave a thread is what it says.
 * Method: a loop whose sleep and time are set by hand; a thread that computes. */
#include "hsr_test.h"

#include <errno.h>

#include "transfer/engine/meter.h"

static struct hsr_loop loop;
static struct hsr_meter meter;

static uint64_t figure(enum hsr_figure which)
{
    struct hsr_stages stages = { 0 };

    hsr_meter_read(&meter, &stages);
    return stages.figure[which];
}

static void fixture_init(void)
{
    memset(&loop, 0, sizeof(loop));
    loop.now_ns = 5000;
    loop.stats.sleep_ns = 100;
    hsr_meter_init(&meter, &loop);
    hsr_meter_start(&meter, HSR_FIGURE_STREAMS);
}

static void test_sleep_goes_to_the_cause_of_its_time(void)
{
    fixture_init();
    loop.stats.sleep_ns += 50; /* before anything is awaited: nobody's */
    hsr_meter_wait(&meter, HSR_FIGURE_WAIT_DISK);
    loop.stats.sleep_ns += 7;
    hsr_meter_wait(&meter, HSR_FIGURE_COUNT); /* it runs */
    hsr_meter_wait(&meter, HSR_FIGURE_WAIT_PEER);
    loop.stats.sleep_ns += 20;
    loop.stats.spin_ns += 3; /* polling is sleep that costs a core */
    hsr_meter_wait(&meter, HSR_FIGURE_COUNT);
    loop.stats.sleep_ns += 1000; /* it runs, so it cannot be: still nobody's */
    hsr_meter_wait(&meter, HSR_FIGURE_WAIT_PEER);
    CHECK_EQ(figure(HSR_FIGURE_WAIT_DISK), 7);
    CHECK_EQ(figure(HSR_FIGURE_WAIT_PEER), 23);
    loop.stats.sleep_ns += 9;
    hsr_meter_look(&meter); /* without a change of cause */
    CHECK_EQ(figure(HSR_FIGURE_WAIT_PEER), 32);
    loop.stats.sleep_ns += 1;
    hsr_meter_wait(&meter, HSR_FIGURE_COUNT);
    CHECK_EQ(figure(HSR_FIGURE_WAIT_PEER), 33);
}

static void test_overlapping_operations_count_once(void)
{
    struct hsr_op op = { .kind = HSR_OP_READ };

    fixture_init();
    hsr_meter_disk_begin(&meter, &op);
    loop.now_ns += 10;
    hsr_meter_disk_begin(&meter, &op);
    loop.now_ns += 10;
    hsr_meter_disk_end(&meter, &op, 4096);
    loop.now_ns += 10;
    hsr_meter_look(&meter); /* in the middle */
    CHECK_EQ(figure(HSR_FIGURE_DISK_TIME), 30);
    loop.now_ns += 10;
    hsr_meter_disk_end(&meter, &op, -EIO);
    loop.now_ns += 500; /* nothing is under way */
    hsr_meter_look(&meter);
    CHECK_EQ(figure(HSR_FIGURE_DISK_TIME), 40);
    CHECK_EQ(figure(HSR_FIGURE_DISK_BYTES), 4096);
    CHECK_EQ(figure(HSR_FIGURE_DISK_CALLS), 0);
    CHECK_EQ(figure(HSR_FIGURE_STREAMS), 540); /* its life */
}

static void test_a_plain_call_knows_its_own_time(void)
{
    struct hsr_op op = { .kind = HSR_OP_WRITE, .call = true, .call_ns = 77 };

    fixture_init();
    hsr_meter_disk_begin(&meter, &op);
    loop.now_ns += 1000;
    hsr_meter_disk_end(&meter, &op, 10);
    CHECK_EQ(figure(HSR_FIGURE_DISK_TIME), 77);
    CHECK_EQ(figure(HSR_FIGURE_DISK_CALLS), 77);
    CHECK_EQ(figure(HSR_FIGURE_DISK_BYTES), 10);
    CHECK_EQ(figure(HSR_FIGURE_WIRE_TIME), 0);
}

static void test_a_lane_without_a_scheduler_says_zero(void)
{
    struct hsr_stages stages = { 0 };
    struct hsr_backend *backend;
    struct hsr_lane lane = { 0 };

    CHECK_EQ(hsr_null_create(&backend), 0);
    CHECK_EQ(hsr_loop_init(&loop, backend, 0), 0);
    loop.stats.sleep_ns = 11;
    hsr_lane_look(&lane, &loop);
    hsr_lane_read(&lane, &stages);
    CHECK_EQ(stages.figure[HSR_FIGURE_ASLEEP], 11);
    CHECK(stages.figure[HSR_FIGURE_LANES] > 0);
    CHECK_EQ(stages.figure[HSR_FIGURE_CPU], 0);
    CHECK_EQ(stages.figure[HSR_FIGURE_DELAY], 0);
    hsr_loop_fini(&loop);
}

/* A thread that computes has cpu and delay; together they are the time that passed. */
static void test_a_lane_tells_what_the_scheduler_gave(void)
{
    struct hsr_uring_options options = { .iowq_cpu = -1 };
    struct hsr_stages before = { 0 }, after = { 0 };
    struct hsr_usage usage;
    struct hsr_backend *backend;
    struct hsr_lane lane = { 0 };
    uint64_t passed, wanted;
    char why[256];

    if (hsr_uring_create(&options, &backend, why, sizeof(why)) < 0)
        SKIP("no io_uring");
    CHECK_EQ(hsr_loop_init(&loop, backend, 0), 0);
    if (!hsr_loop_usage(&loop, &usage))
        SKIP("the kernel has no schedstat");
    hsr_lane_look(&lane, &loop);
    hsr_lane_read(&lane, &before);
    while (hsr_loop_clock(&loop) < before.figure[HSR_FIGURE_LANES] + HSR_NS_PER_S / 4)
        continue;
    hsr_lane_look(&lane, &loop);
    hsr_lane_read(&lane, &after);
    passed = after.figure[HSR_FIGURE_LANES] - before.figure[HSR_FIGURE_LANES];
    wanted = after.figure[HSR_FIGURE_CPU] - before.figure[HSR_FIGURE_CPU] +
             after.figure[HSR_FIGURE_DELAY] - before.figure[HSR_FIGURE_DELAY];
    CHECK(after.figure[HSR_FIGURE_CPU] > before.figure[HSR_FIGURE_CPU]);
    CHECK(wanted > passed / 10 * 8 && wanted < passed / 10 * 12);
    hsr_loop_fini(&loop);
}

static int64_t synced;

static void sync_done(struct hsr_op *op, int64_t res, unsigned flags)
{
    (void)op;
    (void)flags;
    synced = res;
    hsr_loop_stop(&loop);
}

/* What its helpers cost is told too, apart from what the thread had. */
static void test_a_lane_tells_what_its_helpers_had(void)
{
    struct hsr_uring_options options = { .iowq_cpu = -1 };
    struct hsr_stages before = { 0 }, after = { 0 };
    struct hsr_usage usage;
    struct hsr_backend *backend;
    struct hsr_lane lane = { 0 };
    char why[256];

    if (hsr_uring_create(&options, &backend, why, sizeof(why)) < 0)
        SKIP("no io_uring");
    CHECK_EQ(hsr_loop_init(&loop, backend, 0), 0);
    if (!hsr_loop_usage(&loop, &usage))
        SKIP("the kernel has no schedstat");
    hsr_lane_look(&lane, &loop);
    hsr_lane_read(&lane, &before);
    for (unsigned i = 0; i < 20; i++) {
        struct hsr_op op = { .kind = HSR_OP_SYNCFS, .done = sync_done, .fd = -1 };

        synced = 0;
        hsr_loop_submit(&loop, &op);
        hsr_loop_run(&loop);
        CHECK_EQ(synced, -EBADF);
    }
    hsr_lane_look(&lane, &loop);
    hsr_lane_read(&lane, &after);
    CHECK(after.figure[HSR_FIGURE_HELP] > before.figure[HSR_FIGURE_HELP]);
    CHECK(after.figure[HSR_FIGURE_HELP] < HSR_NS_PER_S); /* its own alone */
    hsr_loop_fini(&loop);
}

int main(void)
{
    RUN(test_sleep_goes_to_the_cause_of_its_time);
    RUN(test_overlapping_operations_count_once);
    RUN(test_a_plain_call_knows_its_own_time);
    RUN(test_a_lane_without_a_scheduler_says_zero);
    RUN(test_a_lane_tells_what_the_scheduler_gave);
    RUN(test_a_lane_tells_what_its_helpers_had);
    TEST_END();
}
