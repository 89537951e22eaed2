/* BLAKE3 in plain C: what other machines run, and what the tests compare with. */
#include <string.h>

#include "hash/blake3_round.h"
#include "hash/blake3_simd.h"

#define PORTABLE_ROTATE(x, bits) ((x) >> (bits) | (x) << (32 - (bits)))

static void portable_compress(const uint32_t value[8], const uint8_t bytes[HSR_BLAKE3_BLOCK_SIZE],
                              struct hsr_blake3_block block, uint32_t out[16])
{
    uint32_t m[16], v[16];

    memcpy(m, bytes, sizeof(m));
    memcpy(v, value, 32);
    memcpy(v + 8, hsr_blake3_iv, 16);
    v[12] = (uint32_t)block.counter;
    v[13] = (uint32_t)(block.counter >> 32);
    v[14] = block.size;
    v[15] = block.flags;
    HSR_BLAKE3_ROUNDS(v, m, PORTABLE_ROTATE);
    for (unsigned i = 0; i < 8; i++) {
        out[i + 8] = v[i + 8] ^ value[i]; /* first: @out may be @value */
        out[i] = v[i] ^ v[i + 8];
    }
}

static void portable_many(const struct hsr_blake3_batch *batch, uint8_t *out)
{
    for (size_t i = 0; i < batch->count; i++) {
        const uint8_t *input = batch->bytes + i * batch->stride;
        uint32_t words[16];

        memcpy(words, batch->key, 32);
        for (uint32_t b = 0; b < batch->blocks; b++) {
            struct hsr_blake3_block block = { .counter = batch->counter + (i & batch->counter_mask),
                                              .size = HSR_BLAKE3_BLOCK_SIZE,
                                              .flags = batch->flags };

            block.flags |= b == 0 ? batch->flags_first : 0;
            block.flags |= b == batch->blocks - 1 ? batch->flags_last : 0;
            portable_compress(words, input + b * HSR_BLAKE3_BLOCK_SIZE, block, words);
        }
        memcpy(out + 32 * i, words, 32);
    }
}

const struct hsr_blake3_variant hsr_blake3_portable = {
    .name = "portable",
    .many = portable_many,
    .compress = portable_compress,
};
