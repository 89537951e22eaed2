/* BLAKE3 in every instruction set, as a whole. What b3sum says: b3sum_table.py. */
#include <stdint.h>

#include "base/prng.h"
#include "base/util.h"
#include "hash/blake3.h"
#include "hash/blake3_simd.h"
#include "hash/digest.h"
#include "tests/unit/hsr_test.h"

#define CHUNK 1024u
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

int main(void)
{
    RUN(test_blake3_known_values);
    RUN(test_kernels_agree);
    RUN(test_kernels_work_in_place);
    RUN(test_variants_agree_on_lengths);
    TEST_END();
}
