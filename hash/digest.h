/* The digest of a file, computed in slices, out of order, by several shards.
 *
 * A file is cut into *leaves* of a fixed size at multiples of that size; its last leaf may be
 * short. A *run* takes neighbouring leaves in order, on any shard; a *tree* is what the file has of
 * itself and takes runs in any order. At the end it gives the digest.
 *
 * `xxh3`: a leaf that is not all zeros contributes XXH3-128(XXH3-128(leaf bytes) || leaf index as
 * u64 le); a leaf of zeros (a hole, or written zeros) contributes nothing. Contributions are added
 * modulo 2^128, so their order does not matter and a 1 TiB file needs 16 bytes of state. The digest
 * is XXH3-128(sum || size u64 le || leaf size u64 le). It finds damage; it does not stop an
 * adversary.
 *
 * `blake3`: the standard BLAKE3 of the content, what b3sum prints. A run holds the values of the
 * largest complete subtrees of what it took; the tree merges them. Holes are hashed as the zeros
 * that they are: each costs what its bytes would. A leaf contributes the first 16 bytes of its
 * chaining value to the check of a piece. */
#ifndef HSR_HASH_DIGEST_H
#define HSR_HASH_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "hash/blake3.h"

enum hsr_digest_kind { HSR_DIGEST_XXH3 = 1, HSR_DIGEST_BLAKE3 = 2 }; /* as on the wire */

#define HSR_DIGEST_LEAF_SIZE ((uint32_t)65536) /* bytes; frames of data hold whole leaves */
#define HSR_DIGEST_SIZE_MAX 32u /* bytes of a file's digest of any kind */
#define HSR_DIGEST_HEX_SIZE (2 * HSR_DIGEST_SIZE_MAX + 1) /* lower-case hex and NUL */

/** A sum of leaf contributions: 128 bits, little endian halves. */
struct hsr_digest_sum {
    uint64_t low;
    uint64_t high;
};

/** 64-bit XXH3 of some bytes: the check of frames. Best SIMD of this CPU. */
uint64_t hsr_hash64(const void *bytes, size_t size);

/** 128-bit XXH3 of some bytes, as two halves. */
struct hsr_digest_sum hsr_hash128(const void *bytes, size_t size);

/** The same with a secret of 192 random bytes in place of the well-known one. */
struct hsr_digest_sum hsr_hash128_secret(const void *bytes, size_t size, const uint8_t *secret);

/** a += b; any order, any grouping. */
void hsr_digest_add(struct hsr_digest_sum *a, struct hsr_digest_sum b);

bool hsr_digest_same(struct hsr_digest_sum a, struct hsr_digest_sum b);

/** Does this version know @kind? */
bool hsr_digest_known(unsigned kind);

/** Bytes of a file's digest: 16 or 32. @kind is known. */
size_t hsr_digest_size(enum hsr_digest_kind kind);

/** "xxh3" or "blake3". Static storage. */
const char *hsr_digest_name(enum hsr_digest_kind kind);

/** The kind of that name; false and nothing written if there is none. */
bool hsr_digest_parse(const char *name, enum hsr_digest_kind *ret_kind);

/** The leaf size of a session with chunks of at most @chunk bytes, at least 4096: min(65536,
 * @chunk) for xxh3, for blake3 the largest power of two in it. Frames hold whole leaves. */
uint32_t hsr_digest_leaf(enum hsr_digest_kind kind, uint32_t chunk);

/** @size bytes of a digest as hex. */
void hsr_digest_hex(const uint8_t *digest, size_t size, char out[HSR_DIGEST_HEX_SIZE]);

/** The digest of a file that is in memory as a whole.
 *
 * @param leaf_size  of the session; blake3's digest is the same with any
 * @param out        hsr_digest_size(@kind) bytes */
void hsr_digest_bytes(enum hsr_digest_kind kind, const void *bytes, size_t size, uint32_t leaf_size,
                      uint8_t *out);

/* Subtrees that a run can consist of: two of each size at most, of files below 2^63 bytes, where
 * a subtree has 2^0 to 2^52 chunks. */
#define HSR_DIGEST_RUN_VALUES_MAX 106u

/** Neighbouring leaves of one file, taken in order. Not copied while it is large: 3.5 KiB, of which
 * only the values in use are touched. No pointers into itself. */
struct hsr_digest_run {
    enum hsr_digest_kind kind;
    uint32_t leaf_size; /* bytes */
    uint64_t start; /* offset of the first byte */
    uint64_t end; /* offset behind the last one so far */
    struct hsr_digest_sum sum; /* of the contributions of its leaves */
    const struct hsr_blake3_mode *mode; /* borrowed */
    /* blake3: complete subtrees in order of offset. Two neighbours are merged when something
     * follows them: as the last two of a file they would be its root. */
    uint32_t value_count;
    bool has_root; /* it began at 0 and has one chunk at most: its digest is known, not its size */
    uint8_t levels[HSR_DIGEST_RUN_VALUES_MAX];
    struct hsr_blake3_value root;
    struct hsr_blake3_value values[HSR_DIGEST_RUN_VALUES_MAX];
};

/** An empty run that begins at @offset, a multiple of @leaf_size. @leaf_size is one that
 * hsr_digest_leaf() gives. */
void hsr_digest_run_init(struct hsr_digest_run *run, enum hsr_digest_kind kind, uint32_t leaf_size,
                         uint64_t offset);

/** The same for BLAKE3 in another mode; @mode lives as long as the run and its tree. */
void hsr_digest_run_init_mode(struct hsr_digest_run *run, const struct hsr_blake3_mode *mode,
                              uint32_t leaf_size, uint64_t offset);

/** Take the next @size bytes of the file. Only if they end the file may @size not be a multiple of
 * the leaf size, and nothing can follow; so the last call may have an odd size and no other.
 *
 * Returns the check of these bytes at this place: the sum of what their leaves contribute, which
 * depends on nothing else that the run took. One pass over the bytes. */
struct hsr_digest_sum hsr_digest_run_add(struct hsr_digest_run *run, const void *bytes,
                                         size_t size);

/** Take zeros, up to the offset @end, which is a multiple of the leaf size or ends the file. xxh3
 * takes them at once; blake3 hashes at most about @budget bytes of them and returns how many bytes
 * of zeros it took, so that the caller can come back: done when run->end == @end. */
uint64_t hsr_digest_run_zeros(struct hsr_digest_run *run, uint64_t end, uint64_t budget);

/** What a piece of a file adds to its digest, in a form that can be kept and added later: xxh3: its
 * sum (16 bytes, low half first); blake3: the value of the complete subtree that it is. Of @run,
 * the last @size bytes, which begin at a multiple of the leaf size; with blake3 @size is a power of
 * two and the piece begins at a multiple of it and is not the whole file.
 *
 * @param before  run->sum as it was when the piece began
 * @param out     hsr_digest_size() bytes */
void hsr_digest_run_piece(const struct hsr_digest_run *run, struct hsr_digest_sum before,
                          uint64_t size, uint8_t *out);

/** Two neighbouring pieces, each of which could be one, as one; @out may be either of them. blake3:
 * both have one size, @left begins at a multiple of twice that, and they are not the whole file. */
void hsr_digest_piece_join(enum hsr_digest_kind kind, const uint8_t *left, const uint8_t *right,
                           uint8_t *out);

/** One subtree that a tree holds. */
struct hsr_digest_node {
    uint64_t start; /* number of its first chunk */
    uint32_t level; /* 2^level chunks; the file's last chunk may be short */
    struct hsr_blake3_value value;
};

/** What is known of a file's digest. */
struct hsr_digest_tree {
    enum hsr_digest_kind kind;
    uint32_t leaf_size; /* bytes */
    struct hsr_digest_sum sum; /* xxh3 */
    const struct hsr_blake3_mode *mode; /* borrowed; plain, or that of its runs */
    struct hsr_digest_node *nodes; /* borrowed; in order of start, none overlaps */
    uint32_t node_count;
    uint32_t node_max;
    bool has_root;
    struct hsr_blake3_value root; /* of a file of one chunk */
};

/** An empty tree.
 *
 * @param nodes     room for @node_max nodes, lent until the tree is not used any more; xxh3 needs
 *                  none. blake3: a file taken in order needs 54; each gap between what has come
 *                  needs at most twice the binary logarithm of its neighbours' chunks, far less if
 *                  the runs begin and end at multiples of large powers of two. */
void hsr_digest_tree_init(struct hsr_digest_tree *tree, enum hsr_digest_kind kind,
                          uint32_t leaf_size, struct hsr_digest_node *nodes, uint32_t node_max);

/** Merge what @run has; the run is unchanged. 0, or
 *   HSR_E_PROTOCOL  something of it is there already (blake3 only)
 *   HSR_E_LIMIT     too many gaps: no room for another node
 * After an error the tree is good for nothing but to be dropped. */
int hsr_digest_tree_add(struct hsr_digest_tree *tree, const struct hsr_digest_run *run);

/** Merge a piece of which only the value is known: hsr_digest_run_piece(). As
 * hsr_digest_tree_add(), and HSR_E_PROTOCOL for what can be no piece (blake3). */
int hsr_digest_tree_put(struct hsr_digest_tree *tree, uint64_t offset, uint64_t size,
                        const uint8_t *value);

/** Fill what is missing of a file of @size bytes with zeros, from its beginning on, hashing about
 * @budget bytes at most.
 *
 * @return 0 nothing is missing any more; 1 come back; HSR_E_LIMIT no room for another node;
 *   HSR_E_PROTOCOL a short leaf is followed by others */
int hsr_digest_tree_zeros(struct hsr_digest_tree *tree, uint64_t size, uint64_t budget);

/** The digest of a file of @size bytes, hsr_digest_size() bytes of it to @out. 0, or
 *   HSR_E_PROTOCOL  something is missing, or there is more (blake3 only); @out is not written */
int hsr_digest_tree_final(const struct hsr_digest_tree *tree, uint64_t size, uint8_t *out);

/** Are all @size bytes zero? */
bool hsr_is_zero(const void *bytes, size_t size);

/** What runs here: "avx512", "avx2", "sse2", "scalar". Static storage. */
const char *hsr_hash_simd(void);

#endif
