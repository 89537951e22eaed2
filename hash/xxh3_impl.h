/* The body of one variant. The includer defines XXH_VECTOR (how XXH3 runs), VARIANT (the exported
 * symbol), VARIANT_NAME and VECTOR_SIZE, and is compiled with flags for that instruction set. The
 * library is taken inline: the packaged libxxhash.so was built for SSE2 and is 4 times slower. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <string.h>

#include "hash/simd.h"

#define ZERO_HEAD_SIZE 64u /* bytes: nearly all data that is not a hole shows it here */
#define ZERO_BLOCK_SIZE 512u /* bytes between two tests: a few cache lines */

typedef uint64_t variant_vector
    __attribute__((vector_size(VECTOR_SIZE), aligned(1), may_alias)); /* unaligned loads */

static uint64_t variant_hash64(const void *bytes, size_t size)
{
    return XXH3_64bits(bytes, size);
}

static struct hsr_digest_sum variant_hash128(const void *bytes, size_t size)
{
    XXH128_hash_t hash = XXH3_128bits(bytes, size);

    return (struct hsr_digest_sum){ .low = hash.low64, .high = hash.high64 };
}

static struct hsr_digest_sum variant_hash128_secret(const void *bytes, size_t size,
                                                    const uint8_t *secret)
{
    XXH128_hash_t hash = XXH3_128bits_withSecret(bytes, size, secret, HSR_HASH_SECRET_SIZE);

    return (struct hsr_digest_sum){ .low = hash.low64, .high = hash.high64 };
}

static bool block_is_zero(const uint8_t *bytes, size_t size)
{
    const variant_vector *vectors = (const void *)bytes;
    variant_vector all = { 0 };
    uint64_t lanes[VECTOR_SIZE / sizeof(uint64_t)];
    uint64_t any = 0;

    for (size_t i = 0; i < size / VECTOR_SIZE; i++)
        all |= vectors[i];
    memcpy(lanes, &all, sizeof(lanes));
    for (size_t i = 0; i < VECTOR_SIZE / sizeof(uint64_t); i++)
        any |= lanes[i];
    return any == 0;
}

static bool variant_is_zero(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint8_t tail = 0;

    if (size >= ZERO_HEAD_SIZE && !block_is_zero(at, ZERO_HEAD_SIZE))
        return false;
    for (; size >= ZERO_BLOCK_SIZE; at += ZERO_BLOCK_SIZE, size -= ZERO_BLOCK_SIZE)
        if (!block_is_zero(at, ZERO_BLOCK_SIZE))
            return false;
    for (size_t i = 0; i < size; i++)
        tail |= at[i];
    return tail == 0;
}

const struct hsr_hash_variant VARIANT = {
    .name = VARIANT_NAME,
    .hash64 = variant_hash64,
    .hash128 = variant_hash128,
    .hash128_secret = variant_hash128_secret,
    .is_zero = variant_is_zero,
};
