/* BLAKE3 in every instruction set, whole and in pieces. What b3sum says: b3sum_table.py. */
#include <stdint.h>

#include "base/err.h"
#include "base/prng.h"
#include "base/util.h"
#include "hash/blake3.h"
#include "hash/blake3_simd.h"
#include "hash/digest.h"
#include "tests/unit/hsr_test.h"

#define CHUNK 1024u
#define NODES 256u
#define CONTEXT "Hawser 2026-11-21 a test of derived keys"

static const uint8_t test_key[32] = "a key of the unit tests, 32 byte";

static const char *hex_of(const uint8_t *digest, size_t size)
{
    static char text[HSR_DIGEST_HEX_SIZE];

    hsr_digest_hex(digest, size, text);
    return text;
}

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

/* Goal: BLAKE3 as the rest of the world computes it.
 * Method: values that b3sum prints for the empty input and for "abc". */
static void test_blake3_known_values(void)
{
    uint8_t out[32];

    hsr_blake3(&hsr_blake3_plain, NULL, 0, out, 32);
    CHECK(strcmp(hex_of(out, 32),
                 "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262") == 0);
    hsr_blake3(&hsr_blake3_plain, "abc", 3, out, 32);
    CHECK(strcmp(hex_of(out, 32),
                 "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85") == 0);
}

static size_t variants_get(const struct hsr_blake3_variant *variants[HSR_BLAKE3_VARIANTS_MAX])
{
    size_t count = hsr_blake3_variants(variants);

    CHECK(count >= 1 && variants[count - 1] == &hsr_blake3_portable);
    return count;
}

/* Goal: every kernel gives what plain C gives for any number of inputs, counters that pass 2^32
 * within a batch, counters that repeat, and inputs that are all the same bytes. */
static void test_kernels_agree(void)
{
    const struct hsr_blake3_variant *variants[HSR_BLAKE3_VARIANTS_MAX];
    size_t variant_count = variants_get(variants);
    uint8_t *bytes = random_bytes(72 * CHUNK + 64, 6);
    uint8_t want[73 * 32], got[73 * 32];
    struct hsr_prng prng = hsr_prng_init(7);

    for (size_t count = 1; count <= 72; count++) {
        for (unsigned round = 0; round < 6; round++) {
            struct hsr_blake3_batch batch = { .bytes = bytes + hsr_prng_below(&prng, 64),
                                              .stride = round == 5 ? 0 : CHUNK,
                                              .count = count,
                                              .blocks = 1 + (uint32_t)hsr_prng_below(&prng, 16),
                                              .flags = 1u << round,
                                              .flags_first = 0x100,
                                              .flags_last = 0x200,
                                              .key = hsr_blake3_plain.key,
                                              .counter = 0x100000000ull * round - count / 2,
                                              .counter_mask = round == 4 ? 7 : UINT64_MAX };

            memset(want, 0xee, sizeof(want));
            hsr_blake3_portable.many(&batch, want);
            for (size_t i = 0; i < variant_count; i++) {
                memset(got, 0xee, sizeof(got));
                variants[i]->many(&batch, got);
                CHECK(memcmp(got, want, sizeof(want)) == 0); /* and nothing behind */
            }
        }
    }
    free(bytes);
}

/* Goal: parents may be written over their own inputs, whatever the width. */
static void test_kernels_work_in_place(void)
{
    const struct hsr_blake3_variant *variants[HSR_BLAKE3_VARIANTS_MAX];
    size_t variant_count = variants_get(variants);
    uint8_t *bytes = random_bytes(72 * 64, 8);
    uint8_t want[72 * 32], got[72 * 64];

    for (size_t count = 1; count <= 72; count++) {
        struct hsr_blake3_batch batch = { .bytes = bytes,
                                          .stride = 64,
                                          .count = count,
                                          .blocks = 1,
                                          .flags = HSR_BLAKE3_PARENT,
                                          .key = hsr_blake3_plain.key };

        hsr_blake3_portable.many(&batch, want);
        batch.bytes = got;
        for (size_t i = 0; i < variant_count; i++) {
            memcpy(got, bytes, sizeof(got));
            variants[i]->many(&batch, got);
            CHECK(memcmp(got, want, 32 * count) == 0);
        }
    }
    free(bytes);
}

/* Goal: a length is not hashed otherwise because of lanes, rests or the tree's shape.
 * Method: every length up to 4 KiB, then growing steps, all modes in turn. */
static void test_variants_agree_on_lengths(void)
{
    const struct hsr_blake3_variant *variants[HSR_BLAKE3_VARIANTS_MAX];
    size_t variant_count = variants_get(variants);
    struct hsr_blake3_mode modes[3] = { hsr_blake3_plain, hsr_blake3_keyed(test_key),
                                        hsr_blake3_derive(CONTEXT) };
    uint8_t *bytes = random_bytes(1000000, 9);
    uint8_t want[131], got[131];

    CHECK(strcmp(hsr_blake3_simd(), variants[0]->name) == 0);
    for (size_t size = 0; size < 1000000; size += size < 4200 ? 1 : 97 + size / 50) {
        struct hsr_blake3_mode *mode = &modes[size % 3];

        mode->variant = &hsr_blake3_portable;
        hsr_blake3(mode, bytes, size, want, sizeof(want));
        for (size_t i = 0; i + 1 < variant_count; i++) {
            mode->variant = variants[i];
            hsr_blake3(mode, bytes, size, got, sizeof(got));
            CHECK(memcmp(got, want, sizeof(want)) == 0);
        }
    }
    free(bytes);
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

int main(void)
{
    RUN(test_blake3_known_values);
    RUN(test_kernels_agree);
    RUN(test_kernels_work_in_place);
    RUN(test_variants_agree_on_lengths);
    RUN(test_tree_equals_whole);
    RUN(test_tree_zeros_fill_gaps);
    RUN(test_tree_refuses_overlaps_and_gaps);
    RUN(test_run_check_is_of_the_extension);
    RUN(test_run_zeros_equal_zero_bytes);
    TEST_END();
}
