/* Goal: the stage that was slowed down is the one that is named, whatever else the figures hold.
 * Method: figures of both sides as such transfers have them, in percent of one second; then what
 * no transfer has: zeros, one side, clocks that step, every figure at its limit. */
#include "hsr_test.h"

#include "base/prng.h"
#include "base/util.h"
#include "transfer/engine/verdict.h"

#define PERCENT (HSR_NS_PER_S / 100)

/* One side in percent of a second; one thread, one stream. */
struct percent {
    unsigned asleep, cpu, delay; /* the thread */
    unsigned help, help_delay; /* those beside it */
    unsigned peer, disk, home, pace, memory; /* its stream's waits */
    unsigned home_peer, home_streams, home_sync, home_work;
    unsigned packs, reads, calls, hash, wire; /* what was under way */
};

static struct hsr_stages figures(const struct percent *p)
{
    struct hsr_stages stages = { 0 };
    uint64_t *figure = stages.figure;

    figure[HSR_FIGURE_ELAPSED] = HSR_NS_PER_S;
    figure[HSR_FIGURE_LANES] = HSR_NS_PER_S;
    figure[HSR_FIGURE_STREAMS] = HSR_NS_PER_S;
    figure[HSR_FIGURE_ASLEEP] = p->asleep * PERCENT;
    figure[HSR_FIGURE_CPU] = p->cpu * PERCENT;
    figure[HSR_FIGURE_DELAY] = p->delay * PERCENT;
    figure[HSR_FIGURE_HELP] = p->help * PERCENT;
    figure[HSR_FIGURE_HELP_DELAY] = p->help_delay * PERCENT;
    figure[HSR_FIGURE_WAIT_PEER] = p->peer * PERCENT;
    figure[HSR_FIGURE_WAIT_DISK] = p->disk * PERCENT;
    figure[HSR_FIGURE_WAIT_HOME] = p->home * PERCENT;
    figure[HSR_FIGURE_WAIT_PACE] = p->pace * PERCENT;
    figure[HSR_FIGURE_WAIT_MEMORY] = p->memory * PERCENT;
    figure[HSR_FIGURE_HOME_PEER] = p->home_peer * PERCENT;
    figure[HSR_FIGURE_HOME_STREAMS] = p->home_streams * PERCENT;
    figure[HSR_FIGURE_HOME_SYNC] = p->home_sync * PERCENT;
    figure[HSR_FIGURE_HOME_WORK] = p->home_work * PERCENT;
    figure[HSR_FIGURE_PACK_TIME] = p->packs * PERCENT;
    figure[HSR_FIGURE_DISK_TIME] = p->reads * PERCENT;
    figure[HSR_FIGURE_DISK_CALLS] = p->calls * PERCENT;
    figure[HSR_FIGURE_HASH_TIME] = p->hash * PERCENT;
    figure[HSR_FIGURE_WIRE_TIME] = p->wire * PERCENT;
    figure[HSR_FIGURE_DISK_BYTES] = 100000000;
    figure[HSR_FIGURE_HASH_BYTES] = 100000000;
    figure[HSR_FIGURE_WIRE_BYTES] = 100000000;
    return stages;
}

#define SENDS                                                                                      \
    {                                                                                              \
        .asleep = 90, .cpu = 10, .peer = 90, .wire = 95                                            \
    }
#define STARVES                                                                                    \
    {                                                                                              \
        .asleep = 90, .cpu = 10, .peer = 90                                                        \
    }
/* ASKS: its stream has nothing to do and its home waits for answers */
#define ASKS                                                                                       \
    {                                                                                              \
        .asleep = 95, .cpu = 5, .home = 95, .home_peer = 95                                        \
    }
static const struct {
    const char *what;
    struct percent source, target;
    enum hsr_step limit;
} cases[] = {
    { "both wait for each other", SENDS, STARVES, HSR_STEP_NETWORK },
    { "round trips", ASKS, STARVES, HSR_STEP_NETWORK },
    { "chunks are being written",
      SENDS,
      { .asleep = 90, .cpu = 10, .peer = 10, .disk = 80, .reads = 98 },
      HSR_STEP_TARGET_DISK },
    { "chunks are being read",
      { .asleep = 90, .cpu = 10, .peer = 10, .disk = 80, .reads = 98 },
      STARVES,
      HSR_STEP_SOURCE_DISK },
    { "both disks, the source's more",
      { .asleep = 90, .cpu = 10, .peer = 30, .disk = 60 },
      { .asleep = 90, .cpu = 10, .peer = 50, .disk = 40 },
      HSR_STEP_SOURCE_DISK },
    { "stuck in plain reads",
      { .asleep = 5, .cpu = 10, .packs = 90, .home = 5 },
      STARVES,
      HSR_STEP_SOURCE_DISK },
    { "plain writes that compute",
      SENDS,
      { .asleep = 2, .cpu = 97, .calls = 70, .reads = 70, .hash = 10 },
      HSR_STEP_TARGET_DISK },
    { "the limit that was set",
      { .asleep = 90, .cpu = 10, .pace = 85, .peer = 5 },
      STARVES,
      HSR_STEP_BWLIMIT },
    { "a quota at the target",
      SENDS,
      { .asleep = 60, .cpu = 20, .delay = 60, .peer = 40, .disk = 20, .calls = 30 },
      HSR_STEP_TARGET_CPU },
    { "a quota at the source, that mostly hashes",
      { .asleep = 20, .cpu = 20, .delay = 75, .hash = 70, .peer = 15 },
      STARVES,
      HSR_STEP_SOURCE_CPU },
    { "a core that copies for sockets while it seems to sleep",
      SENDS,
      { .asleep = 80, .cpu = 97, .delay = 1, .peer = 80, .hash = 10 },
      HSR_STEP_TARGET_CPU },
    { "a full core, nothing stands out",
      SENDS,
      { .asleep = 1, .cpu = 98, .calls = 35, .hash = 30 },
      HSR_STEP_TARGET_CPU },
    { "digests", { .asleep = 2, .cpu = 97, .hash = 75 }, STARVES, HSR_STEP_SOURCE_HASH },
    { "digests at the target",
      SENDS,
      { .asleep = 2, .cpu = 97, .hash = 75 },
      HSR_STEP_TARGET_HASH },
    { "small files are read",
      { .asleep = 5, .cpu = 94, .packs = 85 },
      STARVES,
      HSR_STEP_SOURCE_FILES },
    { "the walk",
      { .asleep = 5, .cpu = 95, .home_work = 90, .home = 5 },
      STARVES,
      HSR_STEP_SOURCE_FILES },
    { "the walk, on another thread: streams idle, few answers awaited",
      { .asleep = 90, .cpu = 10, .home = 90, .home_work = 80, .home_peer = 5 },
      STARVES,
      HSR_STEP_SOURCE_FILES },
    { "decisions", ASKS, { .asleep = 5, .cpu = 95, .home_work = 90 }, HSR_STEP_TARGET_FILES },
    { "grants", SENDS, { .asleep = 90, .cpu = 10, .home = 85 }, HSR_STEP_TARGET_FILES },
    { "the sync at the end",
      ASKS,
      { .asleep = 95, .cpu = 5, .peer = 95, .home_sync = 85 },
      HSR_STEP_TARGET_SYNC },
    { "syncs while data flows",
      SENDS,
      { .asleep = 90, .cpu = 10, .peer = 90, .home_sync = 90 },
      HSR_STEP_NETWORK },
    { "no buffer", { .asleep = 90, .cpu = 10, .memory = 85 }, STARVES, HSR_STEP_SOURCE_MEMORY },
    { "no buffer at the target",
      SENDS,
      { .asleep = 90, .cpu = 10, .memory = 85 },
      HSR_STEP_TARGET_MEMORY },
    { "pages are made beside it",
      SENDS,
      { .asleep = 90, .cpu = 10, .help = 85, .help_delay = 2, .peer = 5, .disk = 85 },
      HSR_STEP_TARGET_DISK },
    { "pages are to be made, and there is no core for it",
      SENDS,
      { .asleep = 90, .cpu = 10, .help = 15, .help_delay = 70, .peer = 5, .disk = 85 },
      HSR_STEP_TARGET_CPU },
    { "a sync that cannot get at a core",
      ASKS,
      { .asleep = 95, .cpu = 5, .help = 10, .help_delay = 75, .peer = 95, .home_sync = 85 },
      HSR_STEP_TARGET_CPU },
    { "helpers lack a core, and nothing waits for them",
      SENDS,
      { .asleep = 90, .cpu = 10, .help = 15, .help_delay = 80, .peer = 90 },
      HSR_STEP_NETWORK },
    { "the scheduler does not tell",
      SENDS,
      { .asleep = 4, .hash = 10, .calls = 20 },
      HSR_STEP_TARGET_CPU },
};

static void test_the_slow_stage_is_named(void)
{
    for (size_t i = 0; i < HSR_ARRAY_COUNT(cases); i++) {
        struct hsr_stages source = figures(&cases[i].source), target = figures(&cases[i].target);
        struct hsr_verdict verdict;

        hsr_verdict_make(&source, &target, 0, &verdict);
        if (verdict.limit != cases[i].limit)
            fprintf(stderr, "%s: %s\n", cases[i].what, hsr_step_name(verdict.limit));
        CHECK_EQ(verdict.limit, cases[i].limit);
    }
}

static void test_one_side_alone_judges_itself(void)
{
    static const struct percent waits = { .asleep = 90, .cpu = 10, .peer = 90 };
    static const struct percent reads = { .asleep = 90, .cpu = 10, .disk = 80, .peer = 10 };
    static const struct percent syncs = { .asleep = 90, .cpu = 10, .peer = 90, .home_sync = 80 };
    struct hsr_stages side = figures(&waits);
    struct hsr_verdict verdict;

    hsr_verdict_make(&side, NULL, 0, &verdict);
    CHECK_EQ(verdict.limit, HSR_STEP_OTHER);
    CHECK_EQ(verdict.steps[HSR_STEP_NETWORK].wait_ns, 0);
    hsr_verdict_make(NULL, &side, 0, &verdict);
    CHECK_EQ(verdict.limit, HSR_STEP_OTHER);
    side = figures(&reads);
    hsr_verdict_make(&side, NULL, 0, &verdict);
    CHECK_EQ(verdict.limit, HSR_STEP_SOURCE_DISK);
    hsr_verdict_make(NULL, &side, 0, &verdict);
    CHECK_EQ(verdict.limit, HSR_STEP_TARGET_DISK);
    side = figures(&syncs);
    hsr_verdict_make(NULL, &side, 0, &verdict);
    CHECK_EQ(verdict.limit, HSR_STEP_TARGET_SYNC);
}

static void test_nothing_known_is_nothing_said(void)
{
    struct hsr_stages zero = { 0 }, later = { 0 };
    struct hsr_verdict verdict;

    hsr_verdict_make(NULL, NULL, 0, &verdict);
    CHECK_EQ(verdict.limit, HSR_STEP_NONE);
    hsr_verdict_make(&zero, &zero, 0, &verdict);
    CHECK_EQ(verdict.limit, HSR_STEP_NONE);
    for (unsigned i = 0; i < HSR_STEP_COUNT; i++)
        CHECK_EQ(verdict.steps[i].wait_ns + verdict.steps[i].ceiling, 0);
    later.figure[HSR_FIGURE_ELAPSED] = HSR_NS_PER_S; /* and no thread */
    hsr_verdict_make(&later, &later, 0, &verdict);
    CHECK_EQ(verdict.limit, HSR_STEP_NONE);
}

static void test_ceilings_are_bytes_by_busy_time(void)
{
    static const struct percent reads = {
        .asleep = 90, .cpu = 10, .disk = 40, .peer = 50, .reads = 50, .hash = 1, .wire = 60
    };
    static const struct percent writes = {
        .asleep = 60, .cpu = 40, .peer = 60, .calls = 25, .reads = 25
    };
    struct hsr_stages source = figures(&reads), target = figures(&writes);
    struct hsr_verdict verdict;

    hsr_verdict_make(&source, &target, 12345, &verdict);
    CHECK_EQ(verdict.steps[HSR_STEP_SOURCE_DISK].ceiling, 200000000); /* 0.1 GB in half a second */
    CHECK_EQ(verdict.steps[HSR_STEP_SOURCE_HASH].ceiling, 10000000000);
    CHECK_EQ(verdict.steps[HSR_STEP_SOURCE_CPU].ceiling, 1000000000);
    CHECK_EQ(verdict.steps[HSR_STEP_TARGET_DISK].ceiling, 400000000);
    CHECK_EQ(verdict.steps[HSR_STEP_BWLIMIT].ceiling, 12345);
    CHECK_EQ(verdict.steps[HSR_STEP_TARGET_HASH].ceiling, 0); /* no time: nothing is known */
    /* A send was under way for 0.6 s, but the target was busy for 0.4 of them. */
    CHECK(verdict.steps[HSR_STEP_NETWORK].ceiling > 490000000 &&
          verdict.steps[HSR_STEP_NETWORK].ceiling < 510000000);
    CHECK_EQ(verdict.steps[HSR_STEP_SOURCE_DISK].busy_ns, HSR_NS_PER_S / 2);
    CHECK_EQ(verdict.steps[HSR_STEP_SOURCE_DISK].bytes, 100000000);
    source.figure[HSR_FIGURE_STREAMS] *= 4; /* four streams, each busy for an eighth of it */
    hsr_verdict_make(&source, &target, 0, &verdict);
    CHECK_EQ(verdict.steps[HSR_STEP_SOURCE_DISK].ceiling, 800000000);
    source.figure[HSR_FIGURE_HELP] = 15 * PERCENT; /* helpers cost as much as the thread itself */
    hsr_verdict_make(&source, &target, 0, &verdict);
    CHECK_EQ(verdict.steps[HSR_STEP_SOURCE_CPU].busy_ns, 25 * PERCENT);
    CHECK_EQ(verdict.steps[HSR_STEP_SOURCE_CPU].ceiling, 400000000);
}

static void test_between_is_never_negative(void)
{
    struct hsr_stages earlier, later, between;

    for (unsigned i = 0; i < HSR_FIGURE_COUNT; i++) {
        earlier.figure[i] = 100;
        later.figure[i] = 98 + i;
    }
    between = hsr_stages_between(&earlier, &later);
    for (unsigned i = 0; i < HSR_FIGURE_COUNT; i++)
        CHECK_EQ(between.figure[i], i > 2 ? i - 2 : 0);
}

/* What a peer may send and no transfer has. */
static void test_any_figures_give_a_verdict_within_bounds(void)
{
    struct hsr_prng prng = hsr_prng_init(3);
    struct hsr_stages sides[2];
    struct hsr_verdict verdict;

    for (unsigned round = 0; round < 20000; round++) {
        uint64_t elapsed;

        for (unsigned i = 0; i < 2 * HSR_FIGURE_COUNT; i++) {
            uint64_t value = hsr_prng_next(&prng) % (HSR_FIGURE_MAX + 1);

            if (hsr_prng_below(&prng, 3) == 0)
                value = hsr_prng_below(&prng, 2) ? HSR_FIGURE_MAX : 0;
            sides[i / HSR_FIGURE_COUNT].figure[i % HSR_FIGURE_COUNT] =
                value >> (hsr_prng_below(&prng, 4) * 15);
        }
        hsr_verdict_make(&sides[0], round % 5 == 0 ? NULL : &sides[1], hsr_prng_next(&prng),
                         &verdict);
        elapsed = HSR_MAX(sides[0].figure[HSR_FIGURE_ELAPSED], sides[1].figure[HSR_FIGURE_ELAPSED]);
        CHECK(verdict.limit < HSR_STEP_COUNT);
        for (unsigned i = 0; i < HSR_STEP_COUNT; i++)
            CHECK(verdict.steps[i].wait_ns <= elapsed + (elapsed >> 50)); /* doubles round */
    }
}

static void test_every_stage_has_a_name(void)
{
    CHECK(*hsr_step_name(HSR_STEP_NONE) == '\0');
    CHECK(*hsr_step_name(HSR_STEP_COUNT) == '\0');
    CHECK(*hsr_step_name((enum hsr_step) - 1) == '\0');
    for (unsigned i = 1; i < HSR_STEP_COUNT; i++)
        for (unsigned k = 0; k < i; k++)
            CHECK(strcmp(hsr_step_name((enum hsr_step)i), hsr_step_name((enum hsr_step)k)) != 0);
}

int main(void)
{
    RUN(test_the_slow_stage_is_named);
    RUN(test_one_side_alone_judges_itself);
    RUN(test_nothing_known_is_nothing_said);
    RUN(test_ceilings_are_bytes_by_busy_time);
    RUN(test_between_is_never_negative);
    RUN(test_any_figures_give_a_verdict_within_bounds);
    RUN(test_every_stage_has_a_name);
    TEST_END();
}
