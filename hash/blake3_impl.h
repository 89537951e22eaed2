/* The body of one variant. The includer defines VARIANT (the exported symbol), VARIANT_NAME and
 * WIDEST (lanes of the widest vector: 4, 8 or 16), and is compiled with flags for that instruction
 * set. */
#include <string.h>

#include "hash/blake3_round.h"
#include "hash/blake3_simd.h"

#define SHUFFLE __builtin_shufflevector

typedef uint32_t row __attribute__((vector_size(16)));

/* Rotations: AVX-512 has them, and compilers find it. Without it one shuffle does those of whole
 * bytes. */
#define ROTATE_BITS(x, bits) ((x) >> (bits) | (x) << (32 - (bits)))
#define TURN_16(at) (at) + 2, (at) + 3, (at), (at) + 1
#define TURN_8(at) (at) + 1, (at) + 2, (at) + 3, (at)
#define TURN_ROW(turn, at) turn(at), turn((at) + 4), turn((at) + 8), turn((at) + 12)

#define LANES 4
#include "hash/blake3_lanes.h"
#undef LANES
#if WIDEST >= 8
#define LANES 8
#include "hash/blake3_lanes.h"
#undef LANES
#endif
#if WIDEST >= 16
#define LANES 16
#include "hash/blake3_lanes.h"
#undef LANES
#endif

#if WIDEST == 16
#define WIDEST_HASH lanes16_hash_twice
#elif WIDEST == 8
#define WIDEST_HASH lanes8_hash_twice
#else
#define WIDEST_HASH lanes4_hash_twice
#endif

/* The widest vectors while there are enough inputs for more than half of their lanes, narrow ones
 * for the rest. A single input is faster in plain registers. */
static void variant_many(const struct hsr_blake3_batch *batch, uint8_t *out)
{
    size_t index = 0;

    while (index < batch->count) {
        size_t left = batch->count - index, done = 1;

        if (left > WIDEST)
            done = WIDEST_HASH(batch, index, left, out + 32 * index);
        else
#if WIDEST >= 16
            if (left > 8)
            done = lanes16_hash(batch, index, left, out + 32 * index);
        else
#endif
#if WIDEST >= 8
            if (left > 4)
            done = lanes8_hash(batch, index, left, out + 32 * index);
        else
#endif
            if (left > 1)
            done = lanes4_hash(batch, index, left, out + 32 * index);
        else
            hsr_blake3_one(batch, index, out + 32 * index);
        index += done;
    }
}

const struct hsr_blake3_variant VARIANT = {
    .name = VARIANT_NAME,
    .many = variant_many,
};
