/* Strong hashes of blocks, one or many. */
#include "hash/strong.h"

#include <string.h>

#include "base/assert.h"
#include "base/span.h"
#include "hash/simd.h"

#define STRONG_BATCH 64u /* hashed at once: 2 KiB of stack; 4 KiB blocks fill all lanes */

void hsr_strong_init(struct hsr_strong *strong, enum hsr_digest_kind kind,
                     const uint8_t key[HSR_STRONG_KEY_SIZE])
{
    struct hsr_blake3_mode derive = hsr_blake3_derive(HSR_STRONG_CONTEXT);

    hsr_assert(hsr_digest_known(kind));
    strong->kind = kind;
    strong->mode = hsr_blake3_keyed(key);
    hsr_blake3(&derive, key, HSR_STRONG_KEY_SIZE, strong->secret, sizeof(strong->secret));
}

static struct hsr_digest_sum strong_sum(const uint8_t *bytes)
{
    struct hsr_reader r = hsr_reader_init(bytes, 16);
    struct hsr_digest_sum sum;

    sum.low = hsr_get_u64(&r);
    sum.high = hsr_get_u64(&r);
    return sum;
}

struct hsr_digest_sum hsr_strong_block(const struct hsr_strong *strong, const void *bytes,
                                       size_t size)
{
    uint8_t digest[16];

    if (strong->kind == HSR_DIGEST_XXH3)
        return hsr_hash128_secret(bytes, size, strong->secret);
    hsr_blake3(&strong->mode, bytes, size, digest, sizeof(digest));
    return strong_sum(digest);
}

void hsr_strong_blocks(const struct hsr_strong *strong, const void *bytes, size_t size,
                       size_t count, struct hsr_digest_sum *out)
{
    const uint8_t *at = bytes;

    if (strong->kind == HSR_DIGEST_XXH3) {
        for (size_t i = 0; i < count; i++)
            out[i] = hsr_hash128_secret(at + i * size, size, strong->secret);
        return;
    }
    while (count > 0) {
        struct hsr_blake3_value values[STRONG_BATCH];
        size_t part = HSR_MIN(count, STRONG_BATCH);

        hsr_blake3_blocks(&strong->mode, at, size, part, values);
        for (size_t i = 0; i < part; i++)
            out[i] = strong_sum(values[i].bytes);
        at += part * size;
        out += part;
        count -= part;
    }
}
