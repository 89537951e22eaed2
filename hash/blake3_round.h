/* The seven rounds of BLAKE3's compression function, for words of any kind: numbers, or vectors
 * with one input to a lane. */
#ifndef HSR_HASH_BLAKE3_ROUND_H
#define HSR_HASH_BLAKE3_ROUND_H

#include <stdint.h>

static const uint32_t hsr_blake3_iv[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                           0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

#define HSR_BLAKE3_MIX(v, a, b, c, d, x, y, rotate)                                                \
    do {                                                                                           \
        (v)[a] = (v)[a] + (x) + (v)[b];                                                            \
        (v)[d] = rotate((v)[d] ^ (v)[a], 16);                                                      \
        (v)[c] = (v)[c] + (v)[d];                                                                  \
        (v)[b] = rotate((v)[b] ^ (v)[c], 12);                                                      \
        (v)[a] = (v)[a] + (y) + (v)[b];                                                            \
        (v)[d] = rotate((v)[d] ^ (v)[a], 8);                                                       \
        (v)[c] = (v)[c] + (v)[d];                                                                  \
        (v)[b] = rotate((v)[b] ^ (v)[c], 7);                                                       \
    } while (0)

/* Columns, then diagonals; s0 to s15 say which message word comes where. */
#define HSR_BLAKE3_ROUND(v, m, rotate, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, \
                         s14, s15)                                                                 \
    do {                                                                                           \
        HSR_BLAKE3_MIX(v, 0, 4, 8, 12, (m)[s0], (m)[s1], rotate);                                  \
        HSR_BLAKE3_MIX(v, 1, 5, 9, 13, (m)[s2], (m)[s3], rotate);                                  \
        HSR_BLAKE3_MIX(v, 2, 6, 10, 14, (m)[s4], (m)[s5], rotate);                                 \
        HSR_BLAKE3_MIX(v, 3, 7, 11, 15, (m)[s6], (m)[s7], rotate);                                 \
        HSR_BLAKE3_MIX(v, 0, 5, 10, 15, (m)[s8], (m)[s9], rotate);                                 \
        HSR_BLAKE3_MIX(v, 1, 6, 11, 12, (m)[s10], (m)[s11], rotate);                               \
        HSR_BLAKE3_MIX(v, 2, 7, 8, 13, (m)[s12], (m)[s13], rotate);                                \
        HSR_BLAKE3_MIX(v, 3, 4, 9, 14, (m)[s14], (m)[s15], rotate);                                \
    } while (0)

/* Each round takes the words of the one before in the order 2 6 3 10 7 0 4 13 1 11 12 5 9 14 15 8.
 * Written out, because the words must be constants for the compiler. */
#define HSR_BLAKE3_ROUNDS(round)                                                                   \
    do {                                                                                           \
        round(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);                               \
        round(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8);                               \
        round(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1);                               \
        round(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6);                               \
        round(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4);                               \
        round(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7);                               \
        round(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13);                               \
    } while (0)

#endif
