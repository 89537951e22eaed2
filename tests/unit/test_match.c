/* The matcher, judged by what is made from its result, and by what that costs. */
#include "tests/unit/delta_fixture.h"
#include "tests/unit/hsr_test.h"

#define SIZE ((size_t)3 << 20)
#define REGION ((uint32_t)1 << 18)

static uint8_t base[SIZE];
static uint8_t fresh[2 * SIZE];

static struct delta_case case_make(size_t base_size, size_t fresh_size)
{
    return (struct delta_case){ .base = base,
                                .fresh = fresh,
                                .base_size = base_size,
                                .fresh_size = fresh_size,
                                .block_size = 4096,
                                .region_size = REGION };
}

/* fresh = base[0, cut) + extra bytes + base[cut + skip, SIZE) */
static size_t fresh_splice(size_t cut, size_t skip, size_t extra)
{
    memcpy(fresh, base, cut);
    delta_random(fresh + cut, extra, 99);
    memcpy(fresh + cut + extra, base + cut + skip, SIZE - cut - skip);
    return SIZE + extra - skip;
}

static struct delta_result spliced(size_t cut, size_t skip, size_t extra)
{
    struct delta_case c;

    delta_random(base, SIZE, 7);
    c = case_make(SIZE, fresh_splice(cut, skip, extra));
    return delta_run(&c);
}

static void test_match_same_content_is_one_copy_a_region(void)
{
    struct delta_result r = spliced(SIZE, 0, 0);

    CHECK(r.same);
    CHECK_EQ(r.literal, 0);
    CHECK_EQ(r.items, SIZE / REGION);
    CHECK(r.payload < 12 * SIZE / REGION);
}

/* An edit in one place costs at most the blocks it touches. */
static void test_match_edit_costs_its_blocks(void)
{
    static const struct {
        size_t cut, skip, extra, most;
    } edits[] = {
        { SIZE, 0, 1000, 1000 }, /* append */
        { 0, 0, 1000, 1000 }, /* prepend */
        { 0, 0, 1, 1 },
        { 500000, 0, 100, 4096 + 100 }, /* insert */
        { REGION - 10, 0, 100, 4096 + 100 }, /* across two regions */
        { REGION, 0, 100, 100 }, /* where a block and a region begin */
        { 500000, 5000, 0, 2 * 4096 }, /* delete */
        { 0, 5000, 0, 4096 }, /* cut off the head */
        { SIZE - 5000, 5000, 0, 4096 }, /* and the tail */
        { 409600, 4096, 4096, 4096 }, /* one block changed */
        { 409600, 40960, 40960, 40960 },
        { 500000, 1, 1, 4096 },
    };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(edits); i++) {
        struct delta_result r = spliced(edits[i].cut, edits[i].skip, edits[i].extra);

        CHECK(r.same);
        CHECK(r.literal >= edits[i].extra);
        CHECK(r.literal <= edits[i].most);
        CHECK(r.payload - r.literal < 20 * SIZE / REGION);
    }
}

static void test_match_different_content_is_literal(void)
{
    struct delta_case c = case_make(SIZE, SIZE);
    struct delta_result r;

    delta_random(base, SIZE, 1);
    delta_random(fresh, SIZE, 2);
    r = delta_run(&c);
    CHECK(r.same);
    CHECK_EQ(r.literal, SIZE);
    CHECK(r.payload > SIZE); /* so plain data is sent */
}

/* Goal: whatever the sizes of blocks, regions and ranges, and whatever was edited, the result is
 * the new content. Method: random edits of random, zero and periodic content. */
static void test_match_random_edits_come_out_right(void)
{
    struct hsr_prng prng = hsr_prng_init(11);

    for (unsigned round = 0; round < 400; round++) {
        size_t base_size = 1 + hsr_prng_below(&prng, 200000), fresh_size = 0;
        unsigned kind = (unsigned)hsr_prng_below(&prng, 3);
        struct delta_case c;

        delta_random(base, base_size, round);
        if (kind == 1)
            memset(base + base_size / 3, 0, base_size / 3);
        if (kind == 2)
            for (size_t i = 0; i < base_size; i++)
                base[i] = (uint8_t)(i % 24 < 20 ? i % 24 : i / 50000);
        while (fresh_size < 150000) { /* pieces of the base, of zeros, and of nothing known */
            size_t from = hsr_prng_below(&prng, base_size);
            size_t size = hsr_prng_below(&prng, HSR_MIN(base_size - from, (size_t)60000)) + 1;
            unsigned piece = (unsigned)hsr_prng_below(&prng, 8);

            if (piece == 0)
                delta_random(fresh + fresh_size, size, round + fresh_size);
            else if (piece == 1)
                memset(fresh + fresh_size, 0, size);
            else
                memcpy(fresh + fresh_size, base + from, size);
            fresh_size += size;
            if (hsr_prng_below(&prng, 5) == 0)
                break;
        }
        c = case_make(base_size, fresh_size);
        c.block_size = 512u << hsr_prng_below(&prng, 6);
        c.region_size = 4096u << hsr_prng_below(&prng, 5);
        c.range_regions = (uint32_t)hsr_prng_below(&prng, 4);
        c.budget = 1u + (uint32_t)hsr_prng_below(&prng, 20000);
        c.window = hsr_prng_below(&prng, 2) * (1 + hsr_prng_below(&prng, 50000));
        c.sums_spoilt = (uint32_t)hsr_prng_below(&prng, 3);
        CHECK(delta_run(&c).same);
        if (hsr_test_failures > 0) {
            fprintf(stderr, "round %u\n", round);
            return;
        }
    }
}

int main(void)
{
    RUN(test_match_same_content_is_one_copy_a_region);
    RUN(test_match_edit_costs_its_blocks);
    RUN(test_match_different_content_is_literal);
    RUN(test_match_random_edits_come_out_right);
    TEST_END();
}
