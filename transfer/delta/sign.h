/* The signature of a base: for each block, in order, the weak sum (u32 le) and the first
 * strong_size bytes of the strong hash. Slices are calls: any ranges that begin at a block, in any
 * order, by any shard. Pure. */
#ifndef HSR_DELTA_SIGN_H
#define HSR_DELTA_SIGN_H

#include <stddef.h>
#include <stdint.h>

#include "hash/strong.h"
#include "transfer/delta/plan.h"

#define HSR_DELTA_KEY_SIZE HSR_STRONG_KEY_SIZE /* bytes of the session's secret */

/* The key of the strong hash, ready for use; read only after its init, so shards may share it. The
 * hash is the keyed XXH3-128 whatever the file's digest is: a false match is found by that, and a
 * slower hash here would find none that is left. */
struct hsr_delta_key {
    struct hsr_strong strong;
};

/** Nobody who does not know the secret can prepare two blocks with equal strong hashes. */
void hsr_delta_key_init(struct hsr_delta_key *key, const uint8_t secret[HSR_DELTA_KEY_SIZE]);

/** The whole strong hash of one block. */
void hsr_delta_strong(const struct hsr_delta_key *key, const void *bytes, size_t size,
                      uint8_t out[HSR_DELTA_STRONG_MAX]);

/** Write the sums of the blocks in @bytes.
 *
 * @param bytes   borrowed; they lie at @offset of the base
 * @param size    bytes; whole blocks, and at the base's end its short last one
 * @param offset  bytes; a multiple of the block size
 * @param out     hsr_delta_sum_size() bytes for each block
 * @return how many blocks */
uint32_t hsr_delta_sign(const struct hsr_delta_plan *plan, const struct hsr_delta_key *key,
                        const void *bytes, size_t size, uint64_t offset, uint8_t *out);

/* The same for bytes that come in slices of any size: a block that is not complete waits in
 * @scratch. One signer for each range; it begins at a block. */
struct hsr_delta_signer {
    const struct hsr_delta_plan *plan;
    const struct hsr_delta_key *key;
    uint8_t *scratch; /* plan->block_size bytes of the caller's; no use if slices are blocks */
    uint64_t offset; /* of the first byte whose block has no sums yet */
    uint32_t waiting; /* bytes of that block in @scratch */
};

void hsr_delta_signer_init(struct hsr_delta_signer *signer, const struct hsr_delta_plan *plan,
                           const struct hsr_delta_key *key, uint64_t offset, uint8_t *scratch);

/** Take the next @size bytes; not beyond the base's end. @out gets the sums of every block that
 * they complete, at most size / block_size + 2. Returns how many. */
uint32_t hsr_delta_signer_put(struct hsr_delta_signer *signer, const void *bytes, size_t size,
                              uint8_t *out);

#endif
