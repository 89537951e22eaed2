/* The rolling sum of whole groups of bytes, once for each instruction set. For weak.c, its test,
 * and who measures them all. */
#ifndef HSR_DELTA_WEAK_SIMD_H
#define HSR_DELTA_WEAK_SIMD_H

#include <stddef.h>
#include <stdint.h>

#define HSR_WEAK_GROUP 512u /* bytes: the least block is one */
#define HSR_WEAK_DIGITS 4u /* of a 64-bit coefficient: 16 bits each, signed */

struct hsr_weak_variant {
    const char *name;
    /** The state after @count groups, begun at 0. */
    uint64_t (*groups)(const uint8_t *bytes, size_t count);
};

#if defined(__x86_64__)
extern const struct hsr_weak_variant hsr_weak_avx512;
extern const struct hsr_weak_variant hsr_weak_avx2;
extern const struct hsr_weak_variant hsr_weak_sse2;
#endif
extern const struct hsr_weak_variant hsr_weak_scalar;

#define HSR_WEAK_VARIANTS_MAX 4u

/** Every variant this CPU can run, best first; returns how many. */
size_t hsr_weak_variants(const struct hsr_weak_variant *ret_variants[HSR_WEAK_VARIANTS_MAX]);

/* M^512, M^511 ... M, one for each byte of a group, by digits: the sum of digit d times 2^(16 d)
 * over all d is the coefficient, modulo 2^64. */
extern const int16_t hsr_weak_digits[HSR_WEAK_DIGITS][HSR_WEAK_GROUP];

#endif
