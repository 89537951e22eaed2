/* A file's digest from ranges in any order, with holes; and what it refuses. */
#include <string.h>

#include "base/base.h"
#include "ring/backend.h"
#include "tests/unit/hsr_test.h"
#include "transfer/engine/tally.h"

#define LEAF HSR_DIGEST_LEAF_SIZE
#define LEAVES 300u
#define GROUPS 42u /* of seven leaves, of which three are not zeros */

static uint8_t bytes[LEAVES * LEAF];
static size_t budget;

/* Leaves [first, first + count), @tail bytes less. */
static int add(struct hsr_tally *tally, enum hsr_digest_kind kind, uint32_t first, uint32_t count,
               uint32_t tail)
{
    struct hsr_digest_run run;

    hsr_digest_run_init(&run, kind, LEAF, (uint64_t)first * LEAF);
    (void)hsr_digest_run_add(&run, bytes + first * LEAF, count * LEAF - tail);
    return hsr_tally_add(tally, &run, &budget);
}

static int zeros_all(struct hsr_tally *tally, uint64_t size)
{
    struct hsr_backend *backend;
    static struct hsr_loop loop;
    int rc;

    CHECK_EQ(hsr_null_create(&backend), 0);
    CHECK_EQ(hsr_loop_init(&loop, backend, 0), 0);
    while ((rc = hsr_tally_zeros(tally, size, &loop, &budget)) == 1)
        ;
    hsr_loop_fini(&loop);
    return rc;
}

/* Goal: pieces with holes between them, in an order that is none, give the digest of the whole. */
static void test_tally_with_holes(void)
{
    const enum hsr_digest_kind kinds[] = { HSR_DIGEST_XXH3, HSR_DIGEST_BLAKE3 };

    for (size_t k = 0; k < 2; k++) {
        uint64_t size = sizeof(bytes) - 5;
        uint8_t want[HSR_DIGEST_SIZE_MAX] = { 0 }, got[HSR_DIGEST_SIZE_MAX];
        struct hsr_tally tally;

        memset(bytes, 0, sizeof(bytes));
        for (uint32_t i = 0; i < LEAVES; i++)
            if ((i % 7 < 3 && i / 7 < GROUPS) || i == LEAVES - 1)
                memset(bytes + i * LEAF, (int)(i % 255 + 1), LEAF);
        hsr_digest_bytes(kinds[k], bytes, size, LEAF, want);
        budget = HSR_MIB;
        hsr_tally_init(&tally, kinds[k], LEAF);
        CHECK_EQ(add(&tally, kinds[k], LEAVES - 1, 1, 5), 0);
        for (uint32_t i = 0; i < GROUPS; i++) {
            uint32_t first = i * 11 % GROUPS * 7; /* 11 and 42 have no common factor */

            CHECK_EQ(add(&tally, kinds[k], first, 3, 0), 0);
        }
        if (kinds[k] == HSR_DIGEST_BLAKE3)
            CHECK_EQ(hsr_tally_final(&tally, size, got), HSR_E_PROTOCOL); /* gaps */
        CHECK_EQ(zeros_all(&tally, size), 0);
        CHECK_EQ(hsr_tally_final(&tally, size, got), 0);
        CHECK(memcmp(got, want, sizeof(got)) == 0);
        hsr_tally_fini(&tally, &budget);
        hsr_tally_fini(&tally, &budget);
        CHECK_EQ(budget, HSR_MIB);
    }
}

/* Goal: a peer that leaves too many gaps, or sends something twice, is refused; and the budget is
 * kept. */
static void test_tally_refuses(void)
{
    struct hsr_tally tally;
    int rc = 0;

    budget = 0;
    hsr_tally_init(&tally, HSR_DIGEST_BLAKE3, LEAF);
    for (uint32_t i = 0; i < HSR_TALLY_NODES; i++)
        CHECK_EQ(add(&tally, HSR_DIGEST_BLAKE3, 2 * i + 1, 1, 0), 0);
    CHECK_EQ(add(&tally, HSR_DIGEST_BLAKE3, 2 * HSR_TALLY_NODES + 1, 1, 0), HSR_E_LIMIT);
    hsr_tally_fini(&tally, &budget);

    budget = HSR_MIB;
    hsr_tally_init(&tally, HSR_DIGEST_BLAKE3, LEAF);
    CHECK_EQ(add(&tally, HSR_DIGEST_BLAKE3, 3, 2, 0), 0);
    CHECK_EQ(add(&tally, HSR_DIGEST_BLAKE3, 4, 1, 0), HSR_E_PROTOCOL);
    hsr_tally_fini(&tally, &budget);

    budget = 64 * HSR_MIB;
    hsr_tally_init(&tally, HSR_DIGEST_BLAKE3, LEAF);
    for (uint64_t i = 0; i <= HSR_TALLY_NODES_MAX && rc == 0; i++) {
        struct hsr_digest_run run;

        hsr_digest_run_init(&run, HSR_DIGEST_BLAKE3, LEAF, (2 * i + 1) * LEAF);
        (void)hsr_digest_run_add(&run, bytes, LEAF);
        rc = hsr_tally_add(&tally, &run, &budget);
    }
    CHECK_EQ(rc, HSR_E_LIMIT);
    CHECK_EQ(tally.tree.node_count, HSR_TALLY_NODES_MAX);
    hsr_tally_fini(&tally, &budget);
    CHECK_EQ(budget, 64 * HSR_MIB);
}

int main(void)
{
    RUN(test_tally_with_holes);
    RUN(test_tally_refuses);
    TEST_END();
}
