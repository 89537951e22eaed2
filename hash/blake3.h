/* BLAKE3: the standard hash, and the parts of its tree that pieces of a file are hashed with.
 *
 * The input is cut into chunks of 1024 bytes. Each chunk has a chaining value, two neighbours
 * make a parent, and so on up to the root; the left part of every node is the largest power of two
 * of chunks that leaves something for the right. A chunk's value depends on its number, so pieces
 * cannot change places. The root is made in another way than a node below it: who merges pieces
 * must leave the last two apart until it is known that nothing follows.
 *
 * A *subtree of level n* covers 2^n chunks and begins at a multiple of 2^n chunks. Only the last
 * chunk of the input may be shorter than 1024 bytes; it counts as a whole one here. */
#ifndef HSR_HASH_BLAKE3_H
#define HSR_HASH_BLAKE3_H

#include <stddef.h>
#include <stdint.h>

#define HSR_BLAKE3_CHUNK_SIZE 1024u /* bytes */
#define HSR_BLAKE3_SIZE 32u /* of a chaining value, and of a digest unless asked otherwise */
#define HSR_BLAKE3_LEAF_LEVEL 6u /* of 64 chunks, 64 KiB: what hsr_blake3_pieces() takes */
#define HSR_BLAKE3_PIECES_MAX (HSR_BLAKE3_LEAF_LEVEL + 1) /* powers of two that 64 chunks make */

struct hsr_blake3_variant;

/** How to hash: plain, with a key, or to derive keys. */
struct hsr_blake3_mode {
    uint32_t key[8];
    uint32_t flags;
    const struct hsr_blake3_variant *variant; /* NULL: the best here; see blake3_simd.h */
};

/** A subtree's chaining value. */
struct hsr_blake3_value {
    uint8_t bytes[HSR_BLAKE3_SIZE];
};

extern const struct hsr_blake3_mode hsr_blake3_plain;

/** The keyed hash: a MAC and a pseudorandom function. @key is copied. */
struct hsr_blake3_mode hsr_blake3_keyed(const uint8_t key[HSR_BLAKE3_SIZE]);

/** Derive keys from what is hashed; @context is a constant string that is used for nothing else. */
struct hsr_blake3_mode hsr_blake3_derive(const char *context);

/** The hash of @bytes, @out_size bytes of it (each length is the beginning of longer ones). */
void hsr_blake3(const struct hsr_blake3_mode *mode, const void *bytes, size_t size, uint8_t *out,
                size_t out_size);

/** Chaining values of @count neighbouring subtrees of @level, at most HSR_BLAKE3_LEAF_LEVEL; all
 * their chunks are whole.
 *
 * @param bytes  their content, or NULL: zeros
 * @param start  number of the first chunk, a multiple of 2^level
 * @param out    @count values */
void hsr_blake3_leaves(const struct hsr_blake3_mode *mode, const uint8_t *bytes, size_t count,
                       unsigned level, uint64_t start, struct hsr_blake3_value *out);

/** The largest subtrees of which a piece consists, in order, which is largest first. If the piece
 * begins the input and would be one subtree of more than a chunk, it is given as its two halves:
 * it may be all there is, and then they make the root.
 *
 * @param bytes   1 byte to 64 KiB, or NULL: zeros
 * @param start   number of the first chunk; a subtree of so many chunks or more may begin there
 * @param out     the values
 * @param levels  their levels
 * @return how many, at least 1 */
unsigned hsr_blake3_pieces(const struct hsr_blake3_mode *mode, const uint8_t *bytes, size_t size,
                           uint64_t start, struct hsr_blake3_value out[HSR_BLAKE3_PIECES_MAX],
                           uint8_t levels[HSR_BLAKE3_PIECES_MAX]);

/** The value above two neighbours. @ret_value may be one of them. */
void hsr_blake3_parent(const struct hsr_blake3_mode *mode, const struct hsr_blake3_value *left,
                       const struct hsr_blake3_value *right, struct hsr_blake3_value *ret_value);

/** The hash of an input whose two topmost subtrees are these. */
void hsr_blake3_root(const struct hsr_blake3_mode *mode, const struct hsr_blake3_value *left,
                     const struct hsr_blake3_value *right, uint8_t *out, size_t out_size);

/** The hash of an input of at most one chunk; @size may be 0. */
void hsr_blake3_root_chunk(const struct hsr_blake3_mode *mode, const void *bytes, size_t size,
                           uint8_t *out, size_t out_size);

/** What runs here: "avx512", "avx2", "sse41", "portable". Static storage. */
const char *hsr_blake3_simd(void);

#endif
