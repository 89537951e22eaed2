/* Runs and trees of both kinds of digest: pieces in any order, holes, and what peers do wrong. */
#include <stdint.h>

#include "base/err.h"
#include "base/prng.h"
#include "base/util.h"
#include "hash/digest.h"
#include "tests/unit/hsr_test.h"

#define NODES 256u
#define CONTEXT "Hawser 2026-11-21 a test of derived keys"

static const uint8_t test_key[32] = "a key of the unit tests, 32 byte";

static uint8_t *random_bytes(size_t size, uint64_t seed)
{
    struct hsr_prng prng = hsr_prng_init(seed);
    uint8_t *bytes = malloc(size + 8);

    CHECK(bytes != NULL);
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = hsr_prng_next(&prng);

        memcpy(bytes + i, &word, 8);
    }
    return bytes;
}

/* The digest from runs of random length, given to the tree in random order, some of them as zeros
 * where the content is. */
static void pieces_digest(const struct hsr_blake3_mode *mode, const uint8_t *bytes, size_t size,
                          uint32_t leaf, uint64_t seed, uint8_t out[32])
{
    static struct hsr_digest_run runs[64];
    struct hsr_digest_node nodes[NODES];
    struct hsr_digest_tree tree;
    struct hsr_prng prng = hsr_prng_init(seed);
    unsigned count = 0;
    size_t at = 0;

    hsr_digest_tree_init(&tree, HSR_DIGEST_BLAKE3, leaf, nodes, NODES);
    tree.mode = mode;
    while (at < size) {
        size_t leaves = 1 + hsr_prng_below(&prng, size / leaf / 20 + 2), end;

        end = count == 63 ? size : HSR_MIN(size, at + leaves * leaf);
        hsr_digest_run_init_mode(&runs[count], mode, leaf, at);
        while (at < end) {
            size_t some = leaf * (1 + hsr_prng_below(&prng, 5));
            size_t part = HSR_MIN(end - at, some);

            (void)hsr_digest_run_add(&runs[count], bytes + at, part);
            at += part;
        }
        count++;
    }
    for (; count > 0; count--) {
        unsigned pick = (unsigned)hsr_prng_below(&prng, count);

        CHECK_EQ(hsr_digest_tree_add(&tree, &runs[pick]), 0);
        runs[pick] = runs[count - 1];
    }
    CHECK_EQ(hsr_digest_tree_zeros(&tree, size, 1), 0); /* nothing is missing */
    CHECK_EQ(hsr_digest_tree_final(&tree, size, out), 0);
}

/* Goal: pieces in any order give what the whole gives, in every mode and leaf size. */
static void test_tree_equals_whole(void)
{
    const size_t size_max = 3 * 1024 * 1024;
    uint8_t *bytes = random_bytes(size_max, 1);
    struct hsr_blake3_mode modes[3] = { hsr_blake3_plain, hsr_blake3_keyed(test_key),
                                        hsr_blake3_derive(CONTEXT) };
    struct hsr_prng prng = hsr_prng_init(2);

    for (unsigned i = 0; i < 400; i++) {
        const struct hsr_blake3_mode *mode = &modes[i % 3];
        uint32_t leaf = 1024u << hsr_prng_below(&prng, 7);
        size_t size = hsr_prng_below(&prng, 1ull << hsr_prng_below(&prng, 22)) % size_max;
        uint8_t want[32], got[32];

        if (i % 4 == 0) /* trees without a rest */
            size = (size_t)1024 << hsr_prng_below(&prng, 12);
        hsr_blake3(mode, bytes, size, want, 32);
        pieces_digest(mode, bytes, size, leaf, i, got);
        CHECK(memcmp(got, want, 32) == 0);
    }
    free(bytes);
}

/* Goal: holes are hashed as zeros, in slices, wherever they are.
 * Method: some leaves of a file are not given to the tree; they are zero in the file. */
static void test_tree_zeros_fill_gaps(void)
{
    const uint32_t leaf = 4096;
    const size_t size = 100 * leaf + 700;
    uint8_t *bytes = random_bytes(size, 3);

    for (unsigned round = 0; round < 30; round++) {
        struct hsr_prng prng = hsr_prng_init(round);
        struct hsr_digest_node nodes[NODES];
        struct hsr_digest_run run;
        struct hsr_digest_tree tree;
        uint8_t *copy = malloc(size), want[32], got[32];
        unsigned slices = 0;

        CHECK(copy != NULL);
        memcpy(copy, bytes, size);
        hsr_digest_tree_init(&tree, HSR_DIGEST_BLAKE3, leaf, nodes, NODES);
        for (size_t at = 0; at < size; at += leaf) {
            size_t part = HSR_MIN(size - at, leaf);

            if (hsr_prng_below(&prng, 3) == 0 || round == 0) {
                memset(copy + at, 0, part);
                continue;
            }
            hsr_digest_run_init(&run, HSR_DIGEST_BLAKE3, leaf, at);
            (void)hsr_digest_run_add(&run, copy + at, part);
            CHECK_EQ(hsr_digest_tree_add(&tree, &run), 0);
        }
        if (round == 0)
            CHECK_EQ(hsr_digest_tree_final(&tree, size, got), HSR_E_PROTOCOL);
        while (hsr_digest_tree_zeros(&tree, size, 3 * leaf) == 1)
            slices++;
        CHECK(round > 0 || slices == 34);
        CHECK_EQ(hsr_digest_tree_final(&tree, size, got), 0);
        hsr_blake3(&hsr_blake3_plain, copy, size, want, 32);
        CHECK(memcmp(got, want, 32) == 0);
        free(copy);
    }
    free(bytes);
}

/* Goal: what a peer can do wrong is an error, and no node is written behind the room there is. */
static void test_tree_refuses_overlaps_and_gaps(void)
{
    uint8_t *bytes = random_bytes(65536, 4), out[32];
    struct hsr_digest_node nodes[9];
    struct hsr_digest_run run;
    struct hsr_digest_tree tree;
    int rc = 0;

    hsr_digest_tree_init(&tree, HSR_DIGEST_BLAKE3, 1024, nodes, 8);
    memset(&nodes[8], 0xee, sizeof(nodes[8]));
    for (unsigned i = 0; i < 9; i++) {
        CHECK_EQ(rc, 0);
        hsr_digest_run_init(&run, HSR_DIGEST_BLAKE3, 1024, 2048ull * i);
        (void)hsr_digest_run_add(&run, bytes, 1024);
        rc = hsr_digest_tree_add(&tree, &run);
    }
    CHECK_EQ(rc, HSR_E_LIMIT);
    CHECK(((uint8_t *)&nodes[8])[0] == 0xee && nodes[8].start == 0xeeeeeeeeeeeeeeeeull);

    hsr_digest_tree_init(&tree, HSR_DIGEST_BLAKE3, 1024, nodes, 8);
    hsr_digest_run_init(&run, HSR_DIGEST_BLAKE3, 1024, 4096);
    (void)hsr_digest_run_add(&run, bytes, 4096);
    CHECK_EQ(hsr_digest_tree_add(&tree, &run), 0);
    CHECK_EQ(hsr_digest_tree_add(&tree, &run), HSR_E_PROTOCOL); /* twice */
    hsr_digest_run_init(&run, HSR_DIGEST_BLAKE3, 1024, 0);
    (void)hsr_digest_run_add(&run, bytes, 16384);
    CHECK_EQ(hsr_digest_tree_add(&tree, &run), HSR_E_PROTOCOL); /* around it */
    hsr_digest_run_init(&run, HSR_DIGEST_BLAKE3, 1024, 5120);
    (void)hsr_digest_run_add(&run, bytes, 1024);
    CHECK_EQ(hsr_digest_tree_add(&tree, &run), HSR_E_PROTOCOL); /* within it */
    CHECK_EQ(hsr_digest_tree_final(&tree, 8192, out), HSR_E_PROTOCOL); /* half is missing */
    hsr_digest_run_init(&run, HSR_DIGEST_BLAKE3, 1024, 0);
    (void)hsr_digest_run_add(&run, bytes, 4096);
    CHECK_EQ(hsr_digest_tree_add(&tree, &run), 0);
    CHECK_EQ(hsr_digest_tree_final(&tree, 8193, out), HSR_E_PROTOCOL);
    CHECK_EQ(hsr_digest_tree_final(&tree, 7168, out), HSR_E_PROTOCOL);
    CHECK_EQ(hsr_digest_tree_final(&tree, 0, out), HSR_E_PROTOCOL);
    CHECK_EQ(hsr_digest_tree_final(&tree, 8192, out), 0);
    free(bytes);
}

/* Goal: the check of an extension depends on its bytes and place, and on nothing before it. */
static void test_run_check_is_of_the_extension(void)
{
    static const enum hsr_digest_kind kinds[] = { HSR_DIGEST_XXH3, HSR_DIGEST_BLAKE3 };
    const uint32_t leaf = 8192;
    uint8_t *bytes = random_bytes(9 * leaf, 5);

    for (unsigned k = 0; k < 2; k++) {
        for (size_t size = 1; size <= 3 * leaf; size += size < leaf ? 1021 : leaf) {
            struct hsr_digest_run whole, part;
            struct hsr_digest_sum check, sum;

            hsr_digest_run_init(&whole, kinds[k], leaf, 0);
            sum = hsr_digest_run_add(&whole, bytes, 4 * leaf);
            check = hsr_digest_run_add(&whole, bytes + 4 * leaf, size);
            hsr_digest_add(&sum, check);
            CHECK(hsr_digest_same(sum, whole.sum));
            hsr_digest_run_init(&part, kinds[k], leaf, 4 * leaf);
            CHECK(hsr_digest_same(hsr_digest_run_add(&part, bytes + 4 * leaf, size), check));
            hsr_digest_run_init(&part, kinds[k], leaf, 3 * leaf);
            CHECK(!hsr_digest_same(hsr_digest_run_add(&part, bytes + 4 * leaf, size), check));
            bytes[4 * leaf + size - 1] ^= 1;
            hsr_digest_run_init(&part, kinds[k], leaf, 4 * leaf);
            CHECK(!hsr_digest_same(hsr_digest_run_add(&part, bytes + 4 * leaf, size), check));
        }
    }
    free(bytes);
}

/* Goal: zeros that are said and zeros that are read give the same run. */
static void test_run_zeros_equal_zero_bytes(void)
{
    static const enum hsr_digest_kind kinds[] = { HSR_DIGEST_XXH3, HSR_DIGEST_BLAKE3 };
    const uint32_t leaf = 4096;
    uint8_t *zeros = calloc(21, leaf);

    CHECK(zeros != NULL);
    for (unsigned k = 0; k < 2; k++) {
        for (uint64_t size = 100; size <= 21 * leaf; size += 3333) {
            struct hsr_digest_run said, read;
            struct hsr_digest_node nodes[NODES];
            struct hsr_digest_tree trees[2];
            uint8_t digests[2][HSR_DIGEST_SIZE_MAX];
            unsigned calls = 0;

            hsr_digest_run_init(&said, kinds[k], leaf, 0);
            hsr_digest_run_init(&read, kinds[k], leaf, 0);
            while (said.end < size) {
                CHECK(hsr_digest_run_zeros(&said, size, 2 * leaf + 1) > 0);
                calls++;
            }
            CHECK_EQ(calls, kinds[k] == HSR_DIGEST_XXH3 ? 1 : (size + 2 * leaf - 1) / (2 * leaf));
            (void)hsr_digest_run_add(&read, zeros, size);
            CHECK(hsr_digest_same(said.sum, read.sum) && said.end == read.end);
            for (unsigned i = 0; i < 2; i++) {
                hsr_digest_tree_init(&trees[i], kinds[k], leaf, nodes, NODES);
                CHECK_EQ(hsr_digest_tree_add(&trees[i], i == 0 ? &said : &read), 0);
                CHECK_EQ(hsr_digest_tree_final(&trees[i], size, digests[i]), 0);
            }
            CHECK(memcmp(digests[0], digests[1], hsr_digest_size(kinds[k])) == 0);
        }
    }
    free(zeros);
}

/* Goal: names, sizes and leaf sizes of the kinds, and nothing for what is no kind. */
static void test_digest_kinds(void)
{
    enum hsr_digest_kind kind = HSR_DIGEST_XXH3;

    CHECK(hsr_digest_parse("blake3", &kind) && kind == HSR_DIGEST_BLAKE3);
    CHECK(!hsr_digest_parse("BLAKE3", &kind) && !hsr_digest_parse("", &kind) &&
          !hsr_digest_parse("blake33", &kind) && kind == HSR_DIGEST_BLAKE3);
    CHECK(hsr_digest_parse(hsr_digest_name(HSR_DIGEST_XXH3), &kind) && kind == HSR_DIGEST_XXH3);
    CHECK(!hsr_digest_known(0) && !hsr_digest_known(3) && hsr_digest_known(1));
    CHECK(hsr_digest_size(HSR_DIGEST_XXH3) == 16 && hsr_digest_size(HSR_DIGEST_BLAKE3) == 32);
    CHECK(hsr_digest_leaf(HSR_DIGEST_XXH3, 12288) == 12288);
    CHECK(hsr_digest_leaf(HSR_DIGEST_BLAKE3, 12288) == 8192);
    CHECK(hsr_digest_leaf(HSR_DIGEST_BLAKE3, 4096) == 4096);
    for (unsigned k = 1; k <= 2; k++)
        CHECK(hsr_digest_leaf(k, 1 << 20) == 65536 && hsr_digest_leaf(k, 65536) == 65536);
}

/* Goal: a run of the most unlucky place and length holds two subtrees of each size, no more.
 * Method: it begins one chunk behind the beginning of a file of zeros and ends one before its end;
 * 2^17 chunks show what the largest file would take years to show. */
static void test_run_holds_every_shape(void)
{
    struct hsr_digest_node nodes[NODES];
    struct hsr_digest_tree tree;
    struct hsr_digest_run run, rest;
    uint64_t size = (uint64_t)1024 << 17;
    uint8_t got[32], want[32];
    uint8_t *zeros = calloc(1, size);

    CHECK(zeros != NULL);
    hsr_digest_run_init(&run, HSR_DIGEST_BLAKE3, 1024, 1024);
    while (run.end < size - 1024)
        (void)hsr_digest_run_zeros(&run, size - 1024, 1 << 20);
    CHECK(run.value_count == 32); /* one of each size up, one of each down */
    hsr_digest_tree_init(&tree, HSR_DIGEST_BLAKE3, 1024, nodes, NODES);
    CHECK_EQ(hsr_digest_tree_add(&tree, &run), 0);
    hsr_digest_run_init(&rest, HSR_DIGEST_BLAKE3, 1024, size - 1024);
    (void)hsr_digest_run_add(&rest, zeros, 1024);
    CHECK_EQ(hsr_digest_tree_add(&tree, &rest), 0);
    CHECK_EQ(hsr_digest_tree_zeros(&tree, size, 1), 1);
    CHECK_EQ(hsr_digest_tree_zeros(&tree, size, 1), 0);
    CHECK_EQ(tree.node_count, 2); /* the halves of the root */
    CHECK_EQ(hsr_digest_tree_final(&tree, size, got), 0);
    hsr_blake3(&hsr_blake3_plain, zeros, size, want, 32);
    CHECK(memcmp(got, want, 32) == 0);
    free(zeros);
}

int main(void)
{
    RUN(test_tree_equals_whole);
    RUN(test_tree_zeros_fill_gaps);
    RUN(test_tree_refuses_overlaps_and_gaps);
    RUN(test_run_check_is_of_the_extension);
    RUN(test_run_zeros_equal_zero_bytes);
    RUN(test_digest_kinds);
    RUN(test_run_holds_every_shape);
    TEST_END();
}
