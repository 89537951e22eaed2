/* BLAKE3 in plain C: what other machines run, what the tests compare with, and what compresses
 * single blocks everywhere. */
#include <string.h>

#include "hash/blake3_round.h"
#include "hash/blake3_simd.h"

#define PORTABLE_ROTATE(x, bits) ((x) >> (bits) | (x) << (32 - (bits)))

void hsr_blake3_compress(const uint32_t value[8], const uint8_t bytes[HSR_BLAKE3_BLOCK_SIZE],
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
#define ROUND(...) HSR_BLAKE3_ROUND(v, m, PORTABLE_ROTATE, __VA_ARGS__)
    HSR_BLAKE3_ROUNDS(ROUND);
#undef ROUND
    for (unsigned i = 0; i < 8; i++) {
        out[i + 8] = v[i + 8] ^ value[i]; /* first: @out may be @value */
        out[i] = v[i] ^ v[i + 8];
    }
}

void hsr_blake3_one(const struct hsr_blake3_batch *batch, size_t index, uint8_t *out)
{
    const uint8_t *input = batch->bytes + index * batch->stride;
    uint32_t words[16];

    memcpy(words, batch->key, 32);
    for (uint32_t i = 0; i < batch->blocks; i++) {
        struct hsr_blake3_block block = { .counter = batch->counter + (index & batch->counter_mask),
                                          .size = HSR_BLAKE3_BLOCK_SIZE,
                                          .flags = batch->flags };

        block.flags |= i == 0 ? batch->flags_first : 0;
        block.flags |= i == batch->blocks - 1 ? batch->flags_last : 0;
        hsr_blake3_compress(words, input + i * HSR_BLAKE3_BLOCK_SIZE, block, words);
    }
    memcpy(out, words, 32);
}

static void portable_many(const struct hsr_blake3_batch *batch, uint8_t *out)
{
    for (size_t i = 0; i < batch->count; i++)
        hsr_blake3_one(batch, i, out + 32 * i);
}

const struct hsr_blake3_variant hsr_blake3_portable = { .name = "portable", .many = portable_many };
