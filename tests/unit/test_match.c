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

/* Blocks that changed places are copied from there; a log that was rotated is found at its end. */
static void test_match_moved_blocks_are_copies(void)
{
    struct delta_case c = case_make(SIZE, SIZE);
    struct delta_result r;

    delta_random(base, SIZE, 4);
    memcpy(fresh, base, SIZE);
    memcpy(fresh + 40960, base + 2 * REGION, 8192);
    memcpy(fresh + 2 * REGION, base + 40960, 8192);
    r = delta_run(&c);
    CHECK(r.same);
    CHECK_EQ(r.literal, 0);

    memcpy(fresh, base + 1000003, SIZE - 1000003);
    delta_random(fresh + SIZE - 1000003, 5000, 5);
    c.fresh_size = SIZE - 1000003 + 5000;
    r = delta_run(&c);
    CHECK(r.same);
    CHECK(r.literal >= 5000 && r.literal < 5000 + 4096);
}

/* The short last block is found where it was, behind new bytes, and in the middle of the file. */
static void test_match_finds_the_short_last_block(void)
{
    const size_t size = 100 * 4096 + 1234;
    struct delta_case c = case_make(size, size + 10000);
    struct delta_result r;

    delta_random(base, size, 14);
    memcpy(fresh, base, size);
    delta_random(fresh + size, 10000, 15);
    r = delta_run(&c); /* appended to */
    CHECK(r.same);
    CHECK_EQ(r.literal, 10000);

    delta_random(fresh, 10000, 15);
    memcpy(fresh + 10000, base, size);
    r = delta_run(&c);
    CHECK(r.same);
    CHECK_EQ(r.literal, 10000);

    c.fresh_size = 1234 + 777; /* nothing else is left of it */
    memcpy(fresh + 777, base + size - 1234, 1234);
    r = delta_run(&c);
    CHECK(r.same);
    CHECK_EQ(r.literal, 777);
}

/* Goal: behind new bytes the run goes on without a search. Method: the weak sums of all blocks but
 * the first are wrong, so that nothing else is found by a search. */
static void test_match_goes_on_behind_new_bytes(void)
{
    struct delta_case c = case_make(SIZE, SIZE + 100);
    struct delta_result r;

    c.searched = 1;
    delta_random(base, SIZE, 16);
    c.fresh_size = fresh_splice(0, 0, 100);
    delta_random(fresh + 100 + 50 * 4096, 4096, 17); /* right behind the window */
    r = delta_run(&c);
    CHECK(r.same);
    CHECK_EQ(r.literal, 100 + 4096);

    c.fresh_size = fresh_splice(0, 0, 4096); /* two blocks at the end of a region, moved by one */
    delta_random(fresh + REGION - 2 * 4096, 2 * 4096, 18);
    r = delta_run(&c);
    CHECK(r.same);
    CHECK_EQ(r.literal, 3 * 4096);

    memcpy(fresh, base, SIZE); /* and where nothing has moved */
    delta_random(fresh + 50 * 4096, 4096, 19);
    c.fresh_size = SIZE;
    r = delta_run(&c);
    CHECK(r.same);
    CHECK_EQ(r.literal, 4096);

    delta_random(fresh, 4096, 20); /* there before anything was found */
    memcpy(fresh + 50 * 4096, base + 50 * 4096, 4096);
    r = delta_run(&c);
    CHECK(r.same);
    CHECK_EQ(r.literal, 4096);
}

static void test_match_one_percent_costs_little_more_than_itself(void)
{
    struct delta_case c = case_make(SIZE, SIZE);
    struct hsr_prng prng = hsr_prng_init(8);
    struct delta_result r;
    size_t changed = 0;

    delta_random(base, SIZE, 6);
    memcpy(fresh, base, SIZE);
    for (size_t block = 0; block < SIZE / 4096; block++)
        if (hsr_prng_below(&prng, 100) == 0) {
            delta_random(fresh + block * 4096, 4096, block);
            changed += 4096;
        }
    r = delta_run(&c);
    CHECK(r.same);
    CHECK(changed > 0);
    CHECK_EQ(r.literal, changed);
    CHECK((r.payload - r.literal) * 200 < changed);
}

/* Zeros cost nothing, whether the base has any or not. */
static void test_match_zeros_are_not_sent(void)
{
    struct delta_case c = case_make(SIZE, SIZE);
    struct delta_result r;

    delta_random(base, SIZE, 6);
    memset(fresh, 0, SIZE);
    r = delta_run(&c);
    CHECK(r.same);
    CHECK_EQ(r.literal, 0);
    CHECK_EQ(r.zero, SIZE);
    CHECK_EQ(r.items, SIZE / REGION);

    memcpy(fresh + 100, base, 50000); /* data that begins and ends anywhere */
    r = delta_run(&c);
    CHECK(r.same);
    CHECK(r.literal <= 3 * 4096);
}

/* In place the target keeps only so much of what it overwrites. */
static void test_match_in_place_never_reaches_back_too_far(void)
{
    struct delta_case c = case_make(SIZE, SIZE);
    struct delta_result r;

    delta_random(base, SIZE, 6);
    memcpy(fresh + SIZE / 2, base, SIZE / 2);
    memcpy(fresh, base + SIZE / 2, SIZE / 2);
    r = delta_run(&c);
    CHECK(r.same);
    CHECK_EQ(r.literal, 0);
    CHECK(r.backward > 2 * REGION); /* else the next one tests nothing */
    c.window = 2 * REGION;
    r = delta_run(&c);
    CHECK(r.same);
    CHECK(r.backward < c.window + REGION); /* from the region's begin, not from its end */
    CHECK(r.literal >= SIZE / 2 - REGION && r.literal <= SIZE / 2);

    c.fresh_size = fresh_splice(0, 0, 1000); /* within the window all is used */
    r = delta_run(&c);
    CHECK(r.same);
    CHECK_EQ(r.literal, 1000);
}

/* Goal: data made so that every window has a known weak sum but another content costs linear time.
 * Method: the base is one byte over and over, its strong hashes are wrong; the budget's units are
 * counted by calls, and compared with those of data of which nothing is known. */
static void test_match_false_windows_cost_linear_time(void)
{
    struct delta_case c = case_make(SIZE, SIZE);
    struct delta_result honest, hostile;

    c.budget = 4096;
    delta_random(base, SIZE, 6);
    delta_random(fresh, SIZE, 7);
    honest = delta_run(&c);
    memset(base, 'a', SIZE);
    memset(fresh, 'a', SIZE);
    c.sums_spoilt = 1;
    hostile = delta_run(&c);
    CHECK(honest.same && hostile.same);
    CHECK_EQ(hostile.literal, SIZE);
    CHECK(hostile.steps < 2 * honest.steps);
}

/* No call works for longer than asked, give or take a window or two. */
static void test_match_works_in_slices(void)
{
    struct delta_case c = case_make(SIZE, SIZE);
    struct delta_result r;

    delta_random(base, SIZE, 6);
    delta_random(fresh, SIZE, 7);
    c.budget = 1000;
    r = delta_run(&c);
    CHECK(r.same);
    CHECK(r.steps > SIZE / (1000 + 4 * 4096));
    memcpy(fresh, base, SIZE);
    r = delta_run(&c);
    CHECK(r.same);
    CHECK(r.steps > SIZE / 4096 / 8);
}

/* More changes than a frame has items: the rest of the region is literal, and right. */
static void test_match_with_too_many_items_gives_up_quietly(void)
{
    struct delta_case c = case_make(SIZE, SIZE);
    struct delta_result r;

    delta_random(base, SIZE, 6);
    memcpy(fresh, base, SIZE);
    for (size_t at = 0; at < SIZE; at += 2 * 512)
        fresh[at] ^= 1;
    c.block_size = 512;
    c.region_size = HSR_PATCH_REGION_MAX;
    r = delta_run(&c);
    CHECK(r.same);
    CHECK(r.items <= HSR_PATCH_ITEMS_MAX && r.items > HSR_PATCH_ITEMS_MAX - 4);
    CHECK(r.literal > SIZE / 2);
    c.region_size = REGION; /* here they fit */
    r = delta_run(&c);
    CHECK(r.same);
    CHECK_EQ(r.literal, SIZE / 2);
}

int main(void)
{
    RUN(test_match_same_content_is_one_copy_a_region);
    RUN(test_match_edit_costs_its_blocks);
    RUN(test_match_different_content_is_literal);
    RUN(test_match_moved_blocks_are_copies);
    RUN(test_match_finds_the_short_last_block);
    RUN(test_match_goes_on_behind_new_bytes);
    RUN(test_match_one_percent_costs_little_more_than_itself);
    RUN(test_match_zeros_are_not_sent);
    RUN(test_match_in_place_never_reaches_back_too_far);
    RUN(test_match_false_windows_cost_linear_time);
    RUN(test_match_works_in_slices);
    RUN(test_match_with_too_many_items_gives_up_quietly);
    RUN(test_match_random_edits_come_out_right);
    TEST_END();
}
