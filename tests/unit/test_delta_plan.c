/* Block and strong sizes. */
#include "transfer/delta/plan.h"

#include "base/base.h"
#include "tests/unit/hsr_test.h"

static struct hsr_delta_plan made(uint64_t size, uint32_t block_size)
{
    struct hsr_delta_plan plan = { 0 };

    CHECK_EQ(hsr_delta_plan_make(size, size, block_size, &plan), 0);
    CHECK_EQ(hsr_delta_plan_check(&plan), 0);
    return plan;
}

static void test_plan_grows_with_the_file(void)
{
    static const struct {
        uint64_t size;
        uint32_t block_size;
    } sizes[] = {
        { 1, 512 },
        { 65537, 512 },
        { HSR_MIB, 1024 },
        { 64 * HSR_MIB, 4096 },
        { HSR_GIB, 4096 },
        { 4 * HSR_GIB, 4096 },
        { 5 * HSR_GIB, 8192 },
        { 1024 * HSR_GIB, HSR_DELTA_BLOCK_MAX },
    };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(sizes); i++)
        CHECK_EQ(made(sizes[i].size, 0).block_size, sizes[i].block_size);
}

static void test_plan_keeps_within_its_limits(void)
{
    struct hsr_delta_plan plan;
    uint32_t last = 0;

    for (uint64_t size = 1; size <= HSR_DELTA_BASE_MAX; size += size / 3 + 1) {
        plan = made(size, 0);
        CHECK(hsr_delta_blocks(&plan) <= HSR_DELTA_BLOCKS_MAX);
        CHECK(plan.block_size >= last); /* never smaller for a larger file */
        last = plan.block_size;
    }
    CHECK_EQ(hsr_delta_plan_make(HSR_DELTA_BASE_MAX + 1, 1, 0, &plan), HSR_E_LIMIT);
    CHECK_EQ(hsr_delta_plan_make(0, 1, 0, &plan), HSR_E_LIMIT);
}

/* Sums of 2^-20 and better, by the same reckoning as promised: pairs of a position and a block. */
static void test_plan_false_matches_are_rare(void)
{
    struct hsr_delta_plan huge;

    for (uint64_t size = 4096; size <= HSR_DELTA_BASE_MAX; size *= 2) {
        struct hsr_delta_plan plan = made(size, 0);
        double pairs = (double)size * hsr_delta_blocks(&plan);
        double runs = 3.0 * hsr_delta_blocks(&plan);
        double strong = 1, limit = 1.0 / (1 << 20);

        for (uint32_t i = 0; i < plan.strong_size; i++)
            strong /= 256;
        CHECK(pairs * strong / 4294967296.0 <= limit);
        CHECK(runs * strong <= limit);
        CHECK(plan.strong_size == HSR_DELTA_STRONG_MIN ||
              pairs * strong * 256 / 4294967296.0 > limit || runs * strong * 256 > limit);
    }
    CHECK_EQ(hsr_delta_plan_make(1000, UINT64_MAX, 512, &huge), 0); /* as much as there can be */
    CHECK_EQ(hsr_delta_plan_check(&huge), 0);
    CHECK_EQ(hsr_delta_plan_make(HSR_GIB, HSR_GIB + 100, 0, &huge), 0);
    CHECK_EQ(huge.block_size, 4096);
    CHECK_EQ(huge.strong_size, 5);
}

static void test_plan_takes_the_asked_size_if_it_fits(void)
{
    struct hsr_delta_plan plan;

    CHECK_EQ(made(HSR_GIB, 65536).block_size, 65536);
    CHECK_EQ(made(100, 1024).block_size, 1024);
    CHECK_EQ(made(8 * HSR_GIB, 512).block_size, 8192); /* the least that fits */
    CHECK_EQ(hsr_delta_plan_make(1000, 1000, 256, &plan), HSR_E_USAGE);
    CHECK_EQ(hsr_delta_plan_make(1000, 1000, 3000, &plan), HSR_E_USAGE);
    CHECK_EQ(hsr_delta_plan_make(1000, 1000, 2 * HSR_DELTA_BLOCK_MAX, &plan), HSR_E_USAGE);
}

static void test_plan_of_a_peer_is_checked(void)
{
    static const struct hsr_delta_plan wrong[] = {
        { 0, 4096, 8 },
        { 1000, 0, 8 },
        { 1000, 256, 8 },
        { 1000, 4095, 8 },
        { 1000, 2 * HSR_DELTA_BLOCK_MAX, 8 },
        { 1000, 1u << 31, 8 },
        { 1000, 4096, HSR_DELTA_STRONG_MIN - 1 },
        { 1000, 4096, HSR_DELTA_STRONG_MAX + 1 },
        { (uint64_t)512 * HSR_DELTA_BLOCKS_MAX + 1, 512, 8 },
        { HSR_DELTA_BASE_MAX + 1, HSR_DELTA_BLOCK_MAX, 8 },
        { UINT64_MAX, HSR_DELTA_BLOCK_MAX, 8 },
    };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(wrong); i++)
        CHECK_EQ(hsr_delta_plan_check(&wrong[i]), HSR_E_LIMIT);
}

/* Goal: blocks of small files are short where sizes differ, long where they do not, and their plans
 * are taken from a peer within their own limits only. */
static void test_plan_of_small_files(void)
{
    struct hsr_delta_plan plan;

    for (uint32_t size = 1; size <= HSR_DELTA_SMALL_BASE_MAX; size += size / 7 + 1) {
        hsr_delta_plan_small(size, size, &plan);
        CHECK_EQ(plan.block_size, 4096);
        hsr_delta_plan_small(size, size + 1, &plan);
        CHECK_EQ(hsr_delta_plan_check(&plan), 0);
        CHECK(hsr_delta_signature_size(&plan) <= 100 + size / 20);
    }
    hsr_delta_plan_small(10000, 10001, &plan);
    CHECK_EQ(plan.block_size, 128);
    hsr_delta_plan_small(HSR_DELTA_SMALL_BASE_MAX, 10001, &plan);
    CHECK_EQ(plan.block_size, 512);
    plan = (struct hsr_delta_plan){ HSR_DELTA_SMALL_BASE_MAX + 1, 4096, HSR_DELTA_SMALL_STRONG };
    CHECK_EQ(hsr_delta_plan_check(&plan), HSR_E_LIMIT);
    plan = (struct hsr_delta_plan){ 1000, 8192, HSR_DELTA_SMALL_STRONG };
    CHECK_EQ(hsr_delta_plan_check(&plan), HSR_E_LIMIT);
    plan = (struct hsr_delta_plan){ 1000, 64, HSR_DELTA_SMALL_STRONG };
    CHECK_EQ(hsr_delta_plan_check(&plan), HSR_E_LIMIT);
}

static void test_plan_last_block_is_what_is_left(void)
{
    struct hsr_delta_plan plan = { 10000, 4096, 8 };

    CHECK_EQ(hsr_delta_blocks(&plan), 3);
    CHECK_EQ(hsr_delta_block_bytes(&plan, 1), 4096);
    CHECK_EQ(hsr_delta_block_bytes(&plan, 2), 10000 - 8192);
    CHECK_EQ(hsr_delta_signature_size(&plan), 3 * 12);
}

int main(void)
{
    RUN(test_plan_grows_with_the_file);
    RUN(test_plan_keeps_within_its_limits);
    RUN(test_plan_false_matches_are_rare);
    RUN(test_plan_takes_the_asked_size_if_it_fits);
    RUN(test_plan_of_a_peer_is_checked);
    RUN(test_plan_of_small_files);
    RUN(test_plan_last_block_is_what_is_left);
    TEST_END();
}
