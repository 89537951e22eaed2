/* BLAKE3's compression function, compiled once for each instruction set: many inputs side by side,
 * one to a lane. For blake3.c, its test, and who measures them all. */
#ifndef HSR_HASH_BLAKE3_SIMD_H
#define HSR_HASH_BLAKE3_SIMD_H

#include <stddef.h>
#include <stdint.h>

#define HSR_BLAKE3_BLOCK_SIZE 64u /* bytes; a chunk has 16, a parent's input is one */

/** Bits of the flags word. */
enum hsr_blake3_flag {
    HSR_BLAKE3_CHUNK_START = 1,
    HSR_BLAKE3_CHUNK_END = 2,
    HSR_BLAKE3_PARENT = 4,
    HSR_BLAKE3_ROOT = 8,
    HSR_BLAKE3_KEYED_HASH = 16,
    HSR_BLAKE3_DERIVE_CONTEXT = 32,
    HSR_BLAKE3_DERIVE_MATERIAL = 64,
};

/** Inputs of equal size, each hashed from the key on: chunks, or parents' inputs. Input i begins
 * at bytes + i * stride and has the counter counter + (i & counter_mask). */
struct hsr_blake3_batch {
    const uint8_t *bytes; /* borrowed */
    size_t stride; /* bytes; 0: all are the same */
    size_t count;
    uint32_t blocks; /* whole blocks of each input */
    uint32_t flags; /* of every block */
    uint32_t flags_first; /* of the first one beside these */
    uint32_t flags_last;
    const uint32_t *key; /* 8 words; borrowed */
    uint64_t counter;
    uint64_t counter_mask;
};

/** One compression. */
struct hsr_blake3_block {
    uint64_t counter;
    uint32_t size; /* bytes of the block that count; the others are zero */
    uint32_t flags;
};

struct hsr_blake3_variant {
    const char *name;
    /** Writes 32 bytes for each input. @out may begin where the inputs do if the stride is 64. */
    void (*many)(const struct hsr_blake3_batch *batch, uint8_t *out);
};

/** All 64 bytes of the output; the first 32 are the next chaining value. @out may be @value. In
 * plain registers: one compression is a chain, in which a vector's longer latencies add up. */
void hsr_blake3_compress(const uint32_t value[8], const uint8_t bytes[HSR_BLAKE3_BLOCK_SIZE],
                         struct hsr_blake3_block block, uint32_t out[16]);

/** Input @index alone, 32 bytes to @out. */
void hsr_blake3_one(const struct hsr_blake3_batch *batch, size_t index, uint8_t *out);

#if defined(__x86_64__)
extern const struct hsr_blake3_variant hsr_blake3_avx512;
extern const struct hsr_blake3_variant hsr_blake3_avx2;
extern const struct hsr_blake3_variant hsr_blake3_sse41;
#endif
extern const struct hsr_blake3_variant hsr_blake3_portable;

#define HSR_BLAKE3_VARIANTS_MAX 4u /* the four above */

/** Every variant this CPU can run, best first; returns how many. */
size_t hsr_blake3_variants(const struct hsr_blake3_variant *ret_variants[HSR_BLAKE3_VARIANTS_MAX]);

#endif
