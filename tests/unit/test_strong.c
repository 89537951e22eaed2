/* Strong hashes of blocks: keyed. */
#include <stdint.h>

#include "base/prng.h"
#include "base/util.h"
#include "hash/simd.h"
#include "hash/strong.h"
#include "tests/unit/hsr_test.h"

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
 * Method: the secret is what `b3sum --derive-key` prints (192 bytes). */
static void test_strong_known_values(void)
{
    struct hsr_strong strong;
    char text[HSR_DIGEST_HEX_SIZE];

    hsr_strong_init(&strong, test_key);
    hsr_digest_hex(strong.secret, 16, text);
    CHECK(strcmp(text, "f746c6b34767351efeaec99009fc1284") == 0);
    hsr_digest_hex(strong.secret + 176, 16, text);
    CHECK(strcmp(text, "b8d86c747380e51ccd0e9b823ace6bfd") == 0);
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
    hsr_strong_init(&strong, test_key);
    hsr_strong_init(&other, other_key);
    for (size_t size = 0; size < 5000; size += 1 + size / 9) {
        struct hsr_digest_sum sum = hsr_strong_block(&strong, bytes, size);

        CHECK(!hsr_digest_same(sum, hsr_strong_block(&other, bytes, size)));
        CHECK(!hsr_digest_same(sum, hsr_hash128(bytes, size)));
        for (size_t v = 0; v < variant_count; v++)
            CHECK(hsr_digest_same(sum, variants[v]->hash128_secret(bytes, size, strong.secret)));
    }
    free(bytes);
}

int main(void)
{
    RUN(test_strong_known_values);
    RUN(test_strong_depends_on_the_key);
    TEST_END();
}
