/* PATCH payloads: what is written is read, and nothing else is. */
#include "transfer/delta/patch.h"

#include "base/base.h"
#include "tests/unit/hsr_test.h"

#define REGION 100000u
#define BASE ((uint64_t)1 << 40)
#define OFFSET ((uint64_t)1 << 30)

static uint8_t payload[HSR_PATCH_TABLE_SIZE_MAX + REGION];
static const struct hsr_patch_bounds bounds = { OFFSET, BASE, 0, REGION };

static size_t encoded(const struct hsr_patch_item *items, uint32_t count, size_t literal)
{
    size_t size = hsr_patch_table_encode(items, count, OFFSET, payload);

    CHECK_EQ(size, hsr_patch_table_size(items, count, OFFSET));
    for (size_t i = 0; i < literal; i++)
        payload[size + i] = (uint8_t)(i * 7);
    return size + literal;
}

static int opened(size_t size, const struct hsr_patch_bounds *limits)
{
    struct hsr_patch patch;
    uint8_t *exact = malloc(size > 0 ? size : 1); /* the address sanitizer sees its end */
    int rc;

    memcpy(exact, payload, size);
    rc = hsr_patch_open(&patch, (struct hsr_span){ exact, size }, limits);
    free(exact);
    return rc;
}

static void test_patch_comes_back_as_it_was(void)
{
    static const struct hsr_patch_item items[] = {
        { OFFSET, 4096, HSR_PATCH_COPY },
        { 0, 1, HSR_PATCH_LITERAL },
        { BASE - 70000, 70000, HSR_PATCH_COPY },
        { 0, 63, HSR_PATCH_COPY },
        { 63, 1, HSR_PATCH_COPY },
        { 0, 20000, HSR_PATCH_ZERO },
        { 0, 5839, HSR_PATCH_LITERAL },
    };
    size_t size = encoded(items, HSR_ARRAY_COUNT(items), 5840);
    struct hsr_patch patch;
    struct hsr_patch_item item;
    const uint8_t *literal;
    size_t literals = 0;

    CHECK_EQ(hsr_patch_open(&patch, (struct hsr_span){ payload, size }, &bounds), 0);
    for (size_t i = 0; i < HSR_ARRAY_COUNT(items); i++) {
        CHECK(hsr_patch_next(&patch, &item, &literal));
        CHECK_EQ(item.kind, items[i].kind);
        CHECK_EQ(item.size, items[i].size);
        CHECK_EQ(item.base_offset, items[i].base_offset);
        CHECK((literal != NULL) == (item.kind == HSR_PATCH_LITERAL));
        for (uint32_t k = 0; literal != NULL && k < item.size; k++, literals++)
            CHECK(literal[k] == (uint8_t)(literals * 7));
    }
    CHECK(!hsr_patch_next(&patch, &item, &literal));
    CHECK_EQ(literals, 5840);
}

/* 1 % of the blocks of 4 KiB changed: what is not literal is less than half a percent of it. */
static void test_patch_of_changed_blocks_is_small(void)
{
    struct hsr_patch_item items[21];
    uint64_t at = OFFSET;

    for (uint32_t i = 0; i < 21; i++) {
        bool copy = i % 2 == 0;

        items[i] = (struct hsr_patch_item){ copy ? at : 0, copy ? 400000 : 4096,
                                            copy ? HSR_PATCH_COPY : HSR_PATCH_LITERAL };
        at += items[i].size;
    }
    CHECK(hsr_patch_table_size(items, 21, OFFSET) * 200 < 10 * 4096);
}

static void test_patch_gathers_in_place_and_in_slices(void)
{
    static uint8_t region[REGION], out[REGION];
    struct hsr_patch_item items[100];
    struct hsr_patch_gather gather;
    size_t literal = 0, at = 0;

    for (size_t i = 0; i < REGION; i++)
        region[i] = (uint8_t)(i * 13 + i / 256);
    for (uint32_t i = 0; i < 100; i++) {
        items[i] = (struct hsr_patch_item){ 0, 1000, i % 3 };
        if (i % 3 == HSR_PATCH_LITERAL) {
            memcpy(out + literal, region + at, 1000);
            literal += 1000;
        }
        at += 1000;
    }
    for (size_t budget = 1; budget < 5000; budget = budget * 3 + 1) {
        uint8_t *copy = malloc(REGION);
        unsigned calls = 1;

        memcpy(copy, region, REGION);
        hsr_patch_gather_init(&gather, items, 100, copy, copy);
        while (!hsr_patch_gather_step(&gather, budget))
            calls++;
        CHECK(memcmp(copy, out, literal) == 0);
        CHECK(calls >= literal / budget);
        free(copy);
    }
}

static void test_patch_outside_its_bounds_is_refused(void)
{
    const struct hsr_patch_item copy = { BASE - REGION, REGION, HSR_PATCH_COPY };
    const struct hsr_patch_item low = { 4095, REGION, HSR_PATCH_COPY };
    struct hsr_patch_bounds limits = bounds;
    size_t size = encoded(&copy, 1, 0);

    CHECK_EQ(opened(size, &bounds), 0);
    limits.base_size = BASE - 1; /* the copy ends one byte beyond it */
    CHECK_EQ(opened(size, &limits), HSR_E_LIMIT);
    limits.base_size = BASE - REGION; /* it begins at its end */
    CHECK_EQ(opened(size, &limits), HSR_E_LIMIT);
    limits = bounds;
    limits.size = REGION - 1;
    CHECK_EQ(opened(size, &limits), HSR_E_LIMIT);
    limits.size = REGION + 1;
    CHECK_EQ(opened(size, &limits), HSR_E_PROTOCOL);
    limits = bounds;
    size = encoded(&low, 1, 0);
    limits.copy_min = 4095;
    CHECK_EQ(opened(size, &limits), 0);
    limits.copy_min = 4096;
    CHECK_EQ(opened(size, &limits), HSR_E_LIMIT);
    limits = bounds;
    limits.offset = 0; /* the base before 0, or after 2^64 */
    CHECK_EQ(opened(size, &limits), HSR_E_LIMIT);
}

static void test_patch_cut_short_is_refused(void)
{
    static const struct hsr_patch_item items[] = {
        { 5, 50000, HSR_PATCH_COPY },
        { 0, 1000, HSR_PATCH_LITERAL },
        { 0, 49000, HSR_PATCH_ZERO },
    };
    size_t size = encoded(items, 3, 1000);

    CHECK_EQ(opened(size, &bounds), 0);
    for (size_t cut = 0; cut < size; cut++)
        CHECK(opened(cut, &bounds) < 0);
    CHECK_EQ(opened(3, &bounds), HSR_E_TRUNCATED);
    CHECK_EQ(opened(6, &bounds), HSR_E_TRUNCATED);
    CHECK_EQ(opened(size - 1, &bounds), HSR_E_PROTOCOL);
    CHECK_EQ(opened(size + 1, &bounds), HSR_E_PROTOCOL);
}

static void test_patch_that_no_encoder_writes_is_refused(void)
{
    /* counts and items as bytes; a region of 2 bytes */
    static const struct {
        uint8_t bytes[16];
        size_t size;
        int rc;
    } wrong[] = {
        { { 1, 0, 0, 0, 0x04 | HSR_PATCH_ZERO }, 5, 0 },
        { { 0, 0, 0, 0, 0x04 | HSR_PATCH_ZERO }, 5, HSR_E_LIMIT },
        { { 1, 0x10, 0, 0, 0x04 | HSR_PATCH_ZERO }, 5, HSR_E_LIMIT }, /* 4097 items */
        { { 0xff, 0xff, 0xff, 0xff, 0x04 | HSR_PATCH_ZERO }, 5, HSR_E_LIMIT },
        { { 1, 0, 0, 0, 0x04 | 3 }, 5, HSR_E_PROTOCOL }, /* no such kind */
        { { 1, 0, 0, 0, 0x84 | HSR_PATCH_ZERO, 0 }, 6, HSR_E_PROTOCOL }, /* longer than it needs */
        { { 2, 0, 0, 0, HSR_PATCH_ZERO, HSR_PATCH_ZERO }, 6, HSR_E_PROTOCOL }, /* two of a kind */
        { { 2, 0, 0, 0, 0, 0, 9, 9 }, 8, HSR_E_PROTOCOL },
        { { 2, 0, 0, 0, HSR_PATCH_ZERO, 0, 9 }, 7, 0 },
        { { 1, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0 }, 9, HSR_E_PROTOCOL }, /* kind 3 again */
        { { 1, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff, 0x0f, 0 }, 10, HSR_E_LIMIT }, /* 4 GiB */
        { { 1, 0, 0, 0, 0x05, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02 },
          15,
          HSR_E_PROTOCOL }, /* a base of 65 bits */
    };
    struct hsr_patch_bounds limits = { 0, BASE, 0, 2 };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(wrong); i++) {
        memcpy(payload, wrong[i].bytes, wrong[i].size);
        CHECK_EQ(opened(wrong[i].size, &limits), wrong[i].rc);
    }
}

int main(void)
{
    RUN(test_patch_comes_back_as_it_was);
    RUN(test_patch_of_changed_blocks_is_small);
    RUN(test_patch_gathers_in_place_and_in_slices);
    RUN(test_patch_outside_its_bounds_is_refused);
    RUN(test_patch_cut_short_is_refused);
    RUN(test_patch_that_no_encoder_writes_is_refused);
    TEST_END();
}
