/* Strong hashes of blocks: keyed, and the same one at a time as many at once. */
#include <stdint.h>

#include "base/prng.h"
#include "base/util.h"
#include "hash/blake3_simd.h"
#include "hash/simd.h"
#include "hash/strong.h"
#include "tests/unit/hsr_test.h"

static const enum hsr_digest_kind kinds[] = { HSR_DIGEST_XXH3, HSR_DIGEST_BLAKE3 };
static const uint8_t test_key[32] = "a key of the unit tests, 32 byte";

static uint8_t *random_bytes(size_t size)
{
    struct hsr_prng prng = hsr_prng_init(size);
    uint8_t *bytes = malloc(size + 8);

    CHECK(bytes != NULL);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)hsr_prng_next(&prng);
    return bytes;
}

/* Goal: what another implementation computes from the same key.
 * Method: values of `b3sum --derive-key` (192 bytes) and `b3sum --keyed`, of "abc" and of 4096
 * bytes "a". */
static void test_strong_known_values(void)
{
    struct hsr_strong strong;
    struct hsr_digest_sum sum;
    char text[HSR_DIGEST_HEX_SIZE];
    uint8_t block[4096];

    memset(block, 'a', sizeof(block));
    hsr_strong_init(&strong, HSR_DIGEST_BLAKE3, test_key);
    hsr_digest_hex(strong.secret, 16, text);
    CHECK(strcmp(text, "f746c6b34767351efeaec99009fc1284") == 0);
    hsr_digest_hex(strong.secret + 176, 16, text);
    CHECK(strcmp(text, "b8d86c747380e51ccd0e9b823ace6bfd") == 0);
    sum = hsr_strong_block(&strong, "abc", 3);
    hsr_digest_hex((const uint8_t *)&sum, 16, text);
    CHECK(strcmp(text, "fb552ad8456287c962c1c1e2a769b2ed") == 0);
    sum = hsr_strong_block(&strong, block, sizeof(block));
    hsr_digest_hex((const uint8_t *)&sum, 16, text);
    CHECK(strcmp(text, "dd4cdfb9da3d448055ef9f555d6d3f05") == 0);
}

/* Goal: blocks of any size and number are hashed as each by itself, by every kernel. */
static void test_strong_many_equal_one(void)
{
    const struct hsr_blake3_variant *variants[HSR_BLAKE3_VARIANTS_MAX];
    size_t variant_count = hsr_blake3_variants(variants);
    static const size_t sizes[] = { 1,    63,   64,   128,  512,   700,    1024,
                                    2048, 4096, 8192, 5000, 65536, 131072, 200000 };
    uint8_t *bytes = random_bytes(3u << 20);
    struct hsr_digest_sum one, many[131];
    struct hsr_strong strong;

    for (size_t v = 0; v < variant_count; v++) {
        for (size_t k = 0; k < 2; k++) {
            hsr_strong_init(&strong, kinds[k], test_key);
            strong.mode.variant = variants[v];
            for (size_t i = 0; i < HSR_ARRAY_COUNT(sizes); i++) {
                size_t max = HSR_MIN((3u << 20) / sizes[i], (size_t)130);

                for (size_t count = 1; count <= max; count += 1 + count / 2) {
                    memset(many, 0xee, sizeof(many));
                    hsr_strong_blocks(&strong, bytes, sizes[i], count, many);
                    for (size_t at = 0; at < count; at++) {
                        one = hsr_strong_block(&strong, bytes + at * sizes[i], sizes[i]);
                        CHECK(hsr_digest_same(one, many[at]));
                    }
                    CHECK(many[count].low == 0xeeeeeeeeeeeeeeeeull); /* nothing behind */
                }
            }
        }
    }
    free(bytes);
}

/* Goal: another key, another hash, for every size; and XXH3's instruction sets agree with a
 * secret too. */
static void test_strong_depends_on_the_key(void)
{
    const struct hsr_hash_variant *variants[HSR_HASH_VARIANTS_MAX];
    size_t variant_count = hsr_hash_variants(variants);
    uint8_t *bytes = random_bytes(5000), other_key[32];
    struct hsr_strong strong, other;

    memcpy(other_key, test_key, 32);
    other_key[31] ^= 1;
    for (size_t k = 0; k < 2; k++) {
        hsr_strong_init(&strong, kinds[k], test_key);
        hsr_strong_init(&other, kinds[k], other_key);
        for (size_t size = 0; size < 5000; size += 1 + size / 9) {
            struct hsr_digest_sum sum = hsr_strong_block(&strong, bytes, size);

            CHECK(!hsr_digest_same(sum, hsr_strong_block(&other, bytes, size)));
            if (kinds[k] == HSR_DIGEST_XXH3) {
                CHECK(!hsr_digest_same(sum, hsr_hash128(bytes, size)));
                for (size_t v = 0; v < variant_count; v++)
                    CHECK(hsr_digest_same(sum,
                                          variants[v]->hash128_secret(bytes, size, strong.secret)));
            }
        }
    }
    free(bytes);
}

int main(void)
{
    RUN(test_strong_known_values);
    RUN(test_strong_many_equal_one);
    RUN(test_strong_depends_on_the_key);
    TEST_END();
}
