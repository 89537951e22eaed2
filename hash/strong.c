/* Strong hashes of blocks. */
#include "hash/strong.h"

#include "hash/blake3.h"
#include "hash/simd.h"

void hsr_strong_init(struct hsr_strong *strong, const uint8_t key[HSR_STRONG_KEY_SIZE])
{
    struct hsr_blake3_mode derive = hsr_blake3_derive(HSR_STRONG_CONTEXT);

    hsr_blake3(&derive, key, HSR_STRONG_KEY_SIZE, strong->secret, sizeof(strong->secret));
}

struct hsr_digest_sum hsr_strong_block(const struct hsr_strong *strong, const void *bytes,
                                       size_t size)
{
    return hsr_hash128_secret(bytes, size, strong->secret);
}
