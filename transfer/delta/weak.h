/* The rolling sum: of the bytes c[0] .. c[n-1] it is the upper half of
 *
 *   c[0] * M^n + c[1] * M^(n-1) + ... + c[n-1] * M   modulo 2^64
 *
 * for a fixed odd M. Every byte has a coefficient that is mixed through all bits, so that swapped,
 * shifted or repeated bytes do not cancel as they do in sums of the Adler kind; the lower half,
 * whose bits know little of a byte's place, is kept in the state and not used. The sum of zeros is
 * 0. It is no defence against anybody: the strong hash is. Pure. */
#ifndef HSR_DELTA_WEAK_H
#define HSR_DELTA_WEAK_H

#include <stddef.h>
#include <stdint.h>

#define HSR_WEAK_MULTIPLIER 0x9e6c63d0876a9a47ull /* odd; bits of no pattern */

/** The state after the @size bytes, any size. */
uint64_t hsr_weak_block(const void *bytes, size_t size);

/** The sum that a state stands for. */
static inline uint32_t hsr_weak_sum(uint64_t state)
{
    return (uint32_t)(state >> 32);
}

/** M^@exponent: of a byte's coefficient, if it is the first of that many. */
uint64_t hsr_weak_power(uint32_t exponent);

/** The state of the window one byte further: without @out, its first byte, and with @in. @power is
 * that of the window's size. */
static inline uint64_t hsr_weak_roll(uint64_t power, uint64_t state, uint8_t out, uint8_t in)
{
    return (state + in - power * out) * HSR_WEAK_MULTIPLIER;
}

#endif
