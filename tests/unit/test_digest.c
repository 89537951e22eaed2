/* The digest of leaves: any order, any grouping, any instruction set. */
#include <stdint.h>

#include "base/prng.h"
#include "hash/digest.h"
#include "hash/simd.h"
#include "tests/unit/hsr_test.h"

#define LEAF 4096u

static uint8_t *random_bytes(size_t size, uint64_t seed)
{
    struct hsr_prng prng = hsr_prng_init(seed);
    uint8_t *bytes = malloc(size + 1);

    CHECK(bytes != NULL);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)hsr_prng_next(&prng);
    return bytes;
}

static void digest_of(const uint8_t *bytes, size_t size, char text[HSR_DIGEST_HEX_SIZE])
{
    uint8_t digest[HSR_DIGEST_SIZE_MAX];

    hsr_digest_bytes(HSR_DIGEST_XXH3, bytes, size, LEAF, digest);
    hsr_digest_hex(digest, hsr_digest_size(HSR_DIGEST_XXH3), text);
}

static struct hsr_digest_sum piece_sum(const uint8_t *bytes, size_t size, uint64_t offset)
{
    struct hsr_digest_run run;

    hsr_digest_run_init(&run, HSR_DIGEST_XXH3, LEAF, offset);
    return hsr_digest_run_add(&run, bytes, size);
}

/* XXH3 as the rest of the world computes it: a peer on another machine must agree. */
static void test_hash_known_values(void)
{
    CHECK(hsr_hash64("", 0) == 0x2d06800538d394c2ull);
    CHECK(hsr_hash64("abc", 3) == 0x78af5f94892f3950ull);
    CHECK(hsr_digest_same(hsr_hash128("", 0),
                          (struct hsr_digest_sum){ 0x6001c324468d497full, 0x99aa06d3014798d8ull }));
    CHECK(hsr_digest_same(hsr_hash128("abc", 3),
                          (struct hsr_digest_sum){ 0x78af5f94892f3950ull, 0x06b05ab6733a6185ull }));
}

/* Goal: a machine with AVX-512 and one without agree on every size and alignment. */
static void test_hash_variants_agree(void)
{
    const struct hsr_hash_variant *variants[HSR_HASH_VARIANTS_MAX];
    size_t count = hsr_hash_variants(variants);
    uint8_t *bytes = random_bytes(70000, 1);

    CHECK(count >= 1);
    CHECK(strcmp(variants[0]->name, hsr_hash_simd()) == 0);
    for (size_t size = 0; size < 70000 - 64; size = size < 1100 ? size + 1 : size * 5 / 3) {
        const uint8_t *at = bytes + size % 61;
        uint64_t hash64 = variants[count - 1]->hash64(at, size);
        struct hsr_digest_sum hash128 = variants[count - 1]->hash128(at, size);
        for (size_t i = 0; i + 1 < count; i++) {
            CHECK(variants[i]->hash64(at, size) == hash64);
            CHECK(hsr_digest_same(variants[i]->hash128(at, size), hash128));
        }
    }
    free(bytes);
}

/* Goal: one set bit anywhere is seen, and nothing outside the bytes is looked at. */
static void test_is_zero_sees_every_bit(void)
{
    const struct hsr_hash_variant *variants[HSR_HASH_VARIANTS_MAX];
    size_t count = hsr_hash_variants(variants);
    uint8_t bytes[1400];

    for (size_t i = 0; i < count; i++) {
        for (size_t size = 0; size < 1300; size += size < 80 ? 1 : 97) {
            uint8_t *at = bytes + size % 7 + 1;
            memset(bytes, 0xff, sizeof(bytes));
            memset(at, 0, size);
            CHECK(variants[i]->is_zero(at, size));
            for (size_t bit = 0; bit < size; bit++) {
                at[bit] = (uint8_t)(1u << bit % 8);
                CHECK(!variants[i]->is_zero(at, size));
                at[bit] = 0;
            }
        }
    }
}

/* Goal: pieces in any order and any grouping give the digest of the whole.
 * Method: the file's leaves are cut into random runs, summed backwards. */
static void test_digest_order_does_not_matter(void)
{
    const size_t size = 37 * LEAF + 123; /* a short last leaf */
    uint8_t *bytes = random_bytes(size, 2);
    struct hsr_digest_sum whole = piece_sum(bytes, size, 0);
    struct hsr_prng prng = hsr_prng_init(3);

    for (int round = 0; round < 50; round++) {
        struct hsr_digest_sum sum = { 0 };
        uint64_t leaf = 38; /* one past the last */
        while (leaf > 0) {
            uint64_t run = 1 + hsr_prng_below(&prng, leaf);
            uint64_t start = (leaf - run) * LEAF;
            size_t end = leaf == 38 ? size : leaf * LEAF;
            hsr_digest_add(&sum, piece_sum(bytes + start, end - start, start));
            leaf -= run;
        }
        CHECK(hsr_digest_same(sum, whole));
    }
    free(bytes);
}

static void test_digest_differs_when_data_differs(void)
{
    const size_t size = 4 * LEAF + 10;
    uint8_t *bytes = random_bytes(size, 4);
    uint8_t swap[LEAF];
    char before[HSR_DIGEST_HEX_SIZE], after[HSR_DIGEST_HEX_SIZE];

    digest_of(bytes, size, before);
    for (size_t i = 0; i < size; i += 997) {
        bytes[i] ^= 0x10;
        digest_of(bytes, size, after);
        CHECK(strcmp(before, after) != 0);
        bytes[i] ^= 0x10;
    }
    memcpy(swap, bytes, LEAF); /* the same leaves at other places */
    memcpy(bytes, bytes + LEAF, LEAF);
    memcpy(bytes + LEAF, swap, LEAF);
    digest_of(bytes, size, after);
    CHECK(strcmp(before, after) != 0);
    free(bytes);
}

/* Goal: a hole and written zeros are the same, but the size still counts. */
static void test_digest_zero_leaves_contribute_nothing(void)
{
    uint8_t *bytes = calloc(1, 5 * LEAF);
    struct hsr_digest_sum none = { 0 };
    char shorter[HSR_DIGEST_HEX_SIZE], longer[HSR_DIGEST_HEX_SIZE];

    CHECK(bytes != NULL);
    CHECK(hsr_digest_same(piece_sum(bytes, 5 * LEAF, 0), none));
    CHECK(hsr_digest_same(piece_sum(bytes, 10, LEAF), none));
    CHECK(hsr_digest_same(piece_sum(bytes, 0, 0), none));
    bytes[2 * LEAF + 5] = 1;
    CHECK(hsr_digest_same(piece_sum(bytes, 5 * LEAF, 0),
                          piece_sum(bytes + 2 * LEAF, LEAF, 2 * LEAF)));
    digest_of(bytes, 4 * LEAF, shorter);
    digest_of(bytes, 5 * LEAF, longer);
    CHECK(strcmp(shorter, longer) != 0);
    free(bytes);
}

static void test_digest_add_carries(void)
{
    struct hsr_digest_sum a = { .low = UINT64_MAX, .high = 1 };

    hsr_digest_add(&a, (struct hsr_digest_sum){ .low = 1 });
    CHECK(hsr_digest_same(a, (struct hsr_digest_sum){ .low = 0, .high = 2 }));
    hsr_digest_add(&a, (struct hsr_digest_sum){ .high = UINT64_MAX });
    CHECK(hsr_digest_same(a, (struct hsr_digest_sum){ .high = 1 })); /* modulo 2^128 */
}

/* Goal: the definition in digest.h, spelled out; a change of it breaks every peer. */
static void test_digest_matches_its_definition(void)
{
    static const char content[] = "a file of one short leaf";
    const size_t size = sizeof(content) - 1;
    uint8_t message[32] = { 0 };
    uint64_t file_size = size, leaf_size = LEAF;
    char text[HSR_DIGEST_HEX_SIZE], want[HSR_DIGEST_HEX_SIZE];

    struct hsr_digest_sum leaf = hsr_hash128(content, size);
    memcpy(message, &leaf.low, 8);
    memcpy(message + 8, &leaf.high, 8); /* index 0 follows */
    struct hsr_digest_sum sum = hsr_hash128(message, 24);
    CHECK(hsr_digest_same(sum, piece_sum((const uint8_t *)content, size, 0)));
    memcpy(message, &sum.low, 8);
    memcpy(message + 8, &sum.high, 8);
    memcpy(message + 16, &file_size, 8);
    memcpy(message + 24, &leaf_size, 8);
    struct hsr_digest_sum final = hsr_hash128(message, 32);

    memcpy(message, &final.low, 8);
    memcpy(message + 8, &final.high, 8);
    for (size_t i = 0; i < 16; i++)
        snprintf(want + 2 * i, 3, "%02x", message[i]);
    digest_of((const uint8_t *)content, size, text);
    CHECK(strcmp(text, want) == 0);
}

int main(void)
{
    RUN(test_hash_known_values);
    RUN(test_hash_variants_agree);
    RUN(test_is_zero_sees_every_bit);
    RUN(test_digest_order_does_not_matter);
    RUN(test_digest_differs_when_data_differs);
    RUN(test_digest_zero_leaves_contribute_nothing);
    RUN(test_digest_add_carries);
    RUN(test_digest_matches_its_definition);
    TEST_END();
}
