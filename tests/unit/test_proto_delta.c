/* What deltas put into frames: signatures in pieces and sealed patches. Round trips, every
 * truncation, limits from both sides, damage. */
#include "transfer/proto/delta.h"

#include "base/err.h"
#include "tests/unit/hsr_test.h"
#include "transfer/proto/message.h"

static uint8_t out[HSR_CONTROL_PAYLOAD_MAX + 64];
static uint8_t sums[HSR_CONTROL_PAYLOAD_MAX];

/* Three blocks of a version of 2.5. */
static struct hsr_sig sig_good(void)
{
    for (size_t i = 0; i < sizeof(sums); i++)
        sums[i] = (uint8_t)(i * 7 + 1);
    return (struct hsr_sig){
        .base_size = 5 << 11, .block_log = 12, .strong_size = 6, .count = 3, .sums = { sums, 30 }
    };
}

static int decode(size_t size, uint64_t first)
{
    struct hsr_sig back = { .count = 77 };
    int rc = hsr_sig_decode((struct hsr_span){ out, size }, first, &back);

    CHECK(rc == 0 || back.count == 77); /* nothing is written on errors */
    return rc;
}

static void test_delta_signature_round_trip(void)
{
    struct hsr_sig sig = sig_good(), back;
    int size = hsr_sig_encode(&sig, 0, out, sizeof(out));

    CHECK_EQ(size, 16 + 30);
    CHECK_EQ(hsr_sig_decode((struct hsr_span){ out, 46 }, 0, &back), 0);
    CHECK(back.base_size == sig.base_size && back.block_log == 12 && back.strong_size == 6);
    CHECK(back.count == 3 && back.sums.size == 30 && memcmp(back.sums.ptr, sums, 30) == 0);
    for (size_t cut = 0; cut < 46; cut++) {
        CHECK_EQ(decode(cut, 0), HSR_E_TRUNCATED);
        CHECK_EQ(hsr_sig_encode(&sig, 0, out, cut), HSR_E_LIMIT);
    }
    CHECK_EQ(hsr_sig_encode(&sig, 0, out, 46), 46);
    CHECK_EQ(decode(47, 0), HSR_E_PROTOCOL);
}

static void test_delta_signature_blocks_are_within_the_version(void)
{
    struct hsr_sig sig = sig_good();

    CHECK_EQ(hsr_sig_encode(&sig, 1, out, sizeof(out)), HSR_E_LIMIT); /* 1 + 3 > 3 */
    CHECK_EQ(hsr_sig_encode(&sig, UINT64_MAX, out, sizeof(out)), HSR_E_LIMIT);
    CHECK_EQ(hsr_sig_encode(&sig, 0, out, sizeof(out)), 46);
    CHECK_EQ(decode(46, 1), HSR_E_LIMIT);
    CHECK_EQ(decode(46, 3), HSR_E_LIMIT);
    CHECK_EQ(decode(46, UINT64_MAX), HSR_E_LIMIT);
    sig.count = 1;
    sig.sums.size = 10;
    CHECK_EQ(hsr_sig_encode(&sig, 2, out, sizeof(out)), 26);
    CHECK_EQ(decode(26, 2), 0);
    sig.base_size = 1ull << 32; /* 2^20 blocks: the most */
    CHECK_EQ(hsr_sig_encode(&sig, (1u << 20) - 1, out, sizeof(out)), 26);
    sig.base_size++;
    CHECK_EQ(hsr_sig_encode(&sig, 0, out, sizeof(out)), HSR_E_LIMIT);
}

static void test_delta_signature_fields(void)
{
    static const struct {
        size_t at;
        uint8_t byte;
        int code;
    } pokes[] = {
        { 0, 1, 0 }, /* another size that has three blocks */
        { 7, 0x80, HSR_E_LIMIT }, /* base size past 2^63 */
        { 8, 8, HSR_E_LIMIT }, /* blocks of 256 bytes */
        { 8, 21, HSR_E_LIMIT },
        { 9, 3, HSR_E_LIMIT }, /* strong hashes of 3 bytes */
        { 9, 17, HSR_E_LIMIT },
        { 9, 5, HSR_E_PROTOCOL }, /* bytes trail */
        { 9, 7, HSR_E_TRUNCATED },
        { 10, 1, HSR_E_PROTOCOL }, /* zero field */
        { 11, 1, HSR_E_PROTOCOL },
        { 12, 0, HSR_E_PROTOCOL }, /* no block */
        { 12, 2, HSR_E_PROTOCOL },
        { 15, 1, HSR_E_LIMIT },
    };
    struct hsr_sig sig = sig_good();

    for (size_t i = 0; i < HSR_ARRAY_COUNT(pokes); i++) {
        CHECK_EQ(hsr_sig_encode(&sig, 0, out, sizeof(out)), 46);
        out[pokes[i].at] = pokes[i].byte;
        CHECK_EQ(decode(46, 0), pokes[i].code);
    }
    memset(out, 0, 8);
    CHECK_EQ(decode(46, 0), HSR_E_PROTOCOL); /* no bytes */
    sig.sums.size = 29;
    CHECK_EQ(hsr_sig_encode(&sig, 0, out, sizeof(out)), HSR_E_PROTOCOL);
}

static void test_delta_signature_fills_a_frame(void)
{
    struct hsr_sig sig = sig_good();

    for (uint8_t strong = HSR_SIG_STRONG_MIN; strong <= HSR_SIG_STRONG_MAX; strong++) {
        sig.base_size = 1ull << 30;
        sig.strong_size = strong;
        sig.count = hsr_sig_count_max(strong);
        sig.sums.size = (size_t)sig.count * (4u + strong);
        CHECK(hsr_sig_encode(&sig, 0, out, sizeof(out)) > 0);
        sig.count++;
        sig.sums.size += 4u + strong;
        CHECK_EQ(hsr_sig_encode(&sig, 0, out, sizeof(out)), HSR_E_LIMIT);
    }
}

static void test_delta_blocks_of_a_version(void)
{
    CHECK_EQ(hsr_sig_blocks(1, 12), 1);
    CHECK_EQ(hsr_sig_blocks(4096, 12), 1);
    CHECK_EQ(hsr_sig_blocks(4097, 12), 2);
    CHECK(hsr_sig_blocks(INT64_MAX, 9) == 1ull << 54);
}

static void test_delta_patch_is_sealed(void)
{
    uint8_t payload[20] = { 0 };
    struct hsr_span patch;

    memcpy(payload + HSR_PATCH_HEAD_SIZE, "twelve bytes", 12);
    hsr_patch_frame_seal(payload, sizeof(payload));
    CHECK_EQ(hsr_patch_frame_open((struct hsr_span){ payload, 20 }, &patch), 0);
    CHECK(patch.size == 12 && memcmp(patch.ptr, "twelve bytes", 12) == 0);
    for (size_t bit = 0; bit < 8 * sizeof(payload); bit++) {
        payload[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_EQ(hsr_patch_frame_open((struct hsr_span){ payload, 20 }, &patch), HSR_E_CHECK);
        payload[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < 20; cut++)
        CHECK_EQ(hsr_patch_frame_open((struct hsr_span){ payload, cut }, &patch),
                 cut <= 8 ? HSR_E_TRUNCATED : HSR_E_CHECK);
}

static void test_delta_key_is_the_token(void)
{
    uint8_t token[HSR_TOKEN_SIZE], key[HSR_SIG_KEY_SIZE], other[HSR_SIG_KEY_SIZE];

    memset(token, 0xab, sizeof(token));
    memset(key, 0xee, sizeof(key));
    hsr_delta_key(token, key);
    CHECK(memcmp(key, token, sizeof(token)) == 0);
    for (size_t i = sizeof(token); i < sizeof(key); i++)
        CHECK_EQ(key[i], 0);
    token[15] ^= 1;
    hsr_delta_key(token, other);
    CHECK(memcmp(key, other, sizeof(key)) != 0);
}

int main(void)
{
    RUN(test_delta_signature_round_trip);
    RUN(test_delta_signature_blocks_are_within_the_version);
    RUN(test_delta_signature_fields);
    RUN(test_delta_signature_fills_a_frame);
    RUN(test_delta_blocks_of_a_version);
    RUN(test_delta_patch_is_sealed);
    RUN(test_delta_key_is_the_token);
    TEST_END();
}
