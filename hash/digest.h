/* The digest of a file, computed in slices, out of order, by several shards.
 *
 * `xxh3`: the file is cut into leaves of a fixed size at multiples of that size. A leaf that is not
 * all zeros contributes XXH3-128(XXH3-128(leaf bytes) || leaf index as u64 le); a leaf of zeros (a
 * hole, or written zeros) contributes nothing. Contributions are added modulo 2^128, so their order
 * does not matter and a 1 TiB file needs 16 bytes of state. The digest is
 * XXH3-128(sum || size u64 le || leaf size u64 le). It finds damage; it does not stop an adversary.
 *
 * `blake3` has its number reserved; the interface (pieces that start at a leaf boundary, merged in
 * any order) is the one its tree form needs. */
#ifndef HSR_HASH_DIGEST_H
#define HSR_HASH_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

enum hsr_digest_kind { HSR_DIGEST_XXH3 = 1 };

#define HSR_DIGEST_LEAF_SIZE ((uint32_t)65536) /* bytes; frames of data hold whole leaves */
#define HSR_DIGEST_SIZE 16u /* bytes of a file's xxh3 digest */
#define HSR_DIGEST_TEXT_SIZE 33u /* lower-case hex and NUL */

/** A sum of leaf contributions: 128 bits, little endian halves. */
struct hsr_digest_sum {
    uint64_t low;
    uint64_t high;
};

/** 64-bit XXH3 of some bytes: the check of frames. Best SIMD of this CPU. */
uint64_t hsr_hash64(const void *bytes, size_t size);

/** 128-bit XXH3 of some bytes, as two halves. */
struct hsr_digest_sum hsr_hash128(const void *bytes, size_t size);

/** Add the leaves in @bytes, which lie at @offset of the file. @offset is a multiple of
 * @leaf_size; only the file's last leaf may be short, so @size is a multiple too unless it ends
 * the file. Returns the sum of these leaves alone. */
struct hsr_digest_sum hsr_digest_piece(const void *bytes, size_t size, uint64_t offset,
                                       uint32_t leaf_size);

/** a += b; any order, any grouping. */
void hsr_digest_add(struct hsr_digest_sum *a, struct hsr_digest_sum b);

bool hsr_digest_same(struct hsr_digest_sum a, struct hsr_digest_sum b);

/** The file's digest from the sum of all its leaves. */
void hsr_digest_final(struct hsr_digest_sum sum, uint64_t file_size, uint32_t leaf_size,
                      uint8_t out[HSR_DIGEST_SIZE]);

void hsr_digest_text(const uint8_t digest[HSR_DIGEST_SIZE], char out[HSR_DIGEST_TEXT_SIZE]);

/** Are all @size bytes zero? */
bool hsr_is_zero(const void *bytes, size_t size);

/** What runs here: "avx512", "avx2", "sse2", "scalar". Static storage. */
const char *hsr_hash_simd(void);

#endif
