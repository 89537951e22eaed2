/* Signatures: in slices, and keyed. */
#include "tests/unit/delta_fixture.h"
#include "tests/unit/hsr_test.h"
#include "transfer/delta/weak.h"

#define SIZE 100001u

static uint8_t base[SIZE];
static uint8_t whole[SIZE];
static uint8_t pieces[SIZE];
static struct hsr_delta_key key;
static const struct hsr_delta_plan plan = { SIZE, 1024, 5 };

static void signed_whole(void)
{
    delta_random(base, SIZE, 5);
    hsr_delta_key_init(&key, delta_secret);
    CHECK_EQ(hsr_delta_sign(&plan, &key, base, SIZE, 0, whole), hsr_delta_blocks(&plan));
}

static void test_sign_writes_weak_and_cut_strong(void)
{
    uint8_t strong[HSR_DELTA_STRONG_MAX];
    uint32_t weak;

    signed_whole();
    for (uint32_t i = 0; i < hsr_delta_blocks(&plan); i++) {
        const uint8_t *sum = whole + (size_t)i * hsr_delta_sum_size(&plan);

        memcpy(&weak, sum, sizeof(weak));
        hsr_delta_strong(&key, base + i * 1024, hsr_delta_block_bytes(&plan, i), strong);
        CHECK(weak ==
              hsr_weak_sum(hsr_weak_block(base + i * 1024, hsr_delta_block_bytes(&plan, i))));
        CHECK(memcmp(sum + HSR_DELTA_WEAK_SIZE, strong, plan.strong_size) == 0);
    }
}

static void test_sign_pieces_in_any_order_are_the_whole(void)
{
    uint32_t sum_size = hsr_delta_sum_size(&plan);

    signed_whole();
    memset(pieces, 0, sizeof(pieces));
    for (uint32_t i = 0; i < 10; i++) {
        size_t from = (size_t)(i * 7 % 10) * 10 * 1024;
        size_t size = HSR_MIN((size_t)10 * 1024, SIZE - from);

        hsr_delta_sign(&plan, &key, base + from, size, from, pieces + from / 1024 * sum_size);
    }
    CHECK(memcmp(pieces, whole, hsr_delta_signature_size(&plan)) == 0);
}

static void test_signer_takes_slices_of_any_size(void)
{
    struct hsr_prng prng = hsr_prng_init(9);

    signed_whole();
    for (unsigned round = 0; round < 50; round++) {
        uint8_t *scratch = delta_alloc(plan.block_size);
        struct hsr_delta_signer signer;
        uint32_t count = 0;

        hsr_delta_signer_init(&signer, &plan, &key, 0, scratch);
        for (size_t at = 0, size; at < SIZE; at += size) {
            size = 1 + hsr_prng_below(&prng, round < 25 ? 300 : 9000);
            size = HSR_MIN(SIZE - at, size);
            uint8_t *slice = delta_alloc(size);
            uint32_t before = count;

            memcpy(slice, base + at, size);
            count += hsr_delta_signer_put(&signer, slice, size,
                                          pieces + (size_t)count * hsr_delta_sum_size(&plan));
            CHECK(count - before <= size / plan.block_size + 2);
            free(slice);
        }
        CHECK_EQ(count, hsr_delta_blocks(&plan));
        CHECK(memcmp(pieces, whole, hsr_delta_signature_size(&plan)) == 0);
        free(scratch);
    }
}

static void test_strong_depends_on_key_and_bytes(void)
{
    uint8_t secret[HSR_DELTA_KEY_SIZE], first[HSR_DELTA_STRONG_MAX], other[HSR_DELTA_STRONG_MAX];
    struct hsr_delta_key keys[2];

    memcpy(secret, delta_secret, sizeof(secret));
    hsr_delta_key_init(&keys[0], secret);
    secret[HSR_DELTA_KEY_SIZE - 1] ^= 1;
    hsr_delta_key_init(&keys[1], secret);
    delta_random(base, 4096, 1);
    hsr_delta_strong(&keys[0], base, 4096, first);
    hsr_delta_strong(&keys[1], base, 4096, other);
    CHECK(memcmp(first, other, HSR_DELTA_STRONG_MIN) != 0);
    base[4095] ^= 1;
    hsr_delta_strong(&keys[0], base, 4096, other);
    CHECK(memcmp(first, other, HSR_DELTA_STRONG_MIN) != 0);
    base[4095] ^= 1;
    hsr_delta_strong(&keys[0], base, 4096, other);
    CHECK(memcmp(first, other, sizeof(first)) == 0);
}

int main(void)
{
    RUN(test_sign_writes_weak_and_cut_strong);
    RUN(test_sign_pieces_in_any_order_are_the_whole);
    RUN(test_signer_takes_slices_of_any_size);
    RUN(test_strong_depends_on_key_and_bytes);
    TEST_END();
}
