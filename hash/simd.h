/* The same code, compiled once for each instruction set. For digest.c, its test, and who
 * measures them all. */
#ifndef HSR_HASH_SIMD_H
#define HSR_HASH_SIMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hash/digest.h"

#define HSR_HASH_SECRET_SIZE 192u

struct hsr_hash_variant {
    const char *name;
    uint64_t (*hash64)(const void *bytes, size_t size);
    struct hsr_digest_sum (*hash128)(const void *bytes, size_t size);
    /** With a secret of HSR_HASH_SECRET_SIZE bytes instead of the well-known one. */
    struct hsr_digest_sum (*hash128_secret)(const void *bytes, size_t size, const uint8_t *secret);
    bool (*is_zero)(const void *bytes, size_t size);
};

#if defined(__x86_64__)
extern const struct hsr_hash_variant hsr_hash_avx512;
extern const struct hsr_hash_variant hsr_hash_avx2;
extern const struct hsr_hash_variant hsr_hash_sse2;
#endif
extern const struct hsr_hash_variant hsr_hash_scalar;

#define HSR_HASH_VARIANTS_MAX 4u /* the four above */

/** Every variant this CPU can run, best first; returns how many. */
size_t hsr_hash_variants(const struct hsr_hash_variant *ret_variants[HSR_HASH_VARIANTS_MAX]);

#endif
