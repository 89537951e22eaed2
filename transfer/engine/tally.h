/* A file's digest at its session's home: what the ranges bring is merged here, in any order, and
 * what no range covers is hashed as the zeros that it is. For blake3 a file has memory for some
 * subtrees, more comes out of a budget of the session; a peer that leaves more gaps is refused. */
#ifndef HSR_ENGINE_TALLY_H
#define HSR_ENGINE_TALLY_H

#include "hash/digest.h"
#include "ring/ring.h"

#define HSR_TALLY_NODES 64u /* a file in order needs 54 */
#define HSR_TALLY_NODES_MAX 8192u /* of one file: 384 KiB */
#define HSR_TALLY_BUDGET (2 * HSR_MIB) /* of a session, beyond the first nodes of each file */

/* What a source keeps to, so that no target runs out of memory. PROTOCOL 5.3. */
#define HSR_TALLY_HOLES_MAX 64u /* gaps that a source leaves in a file */
#define HSR_TALLY_RANGES_MAX 64u /* ranges of a file on their way */

struct hsr_tally {
    struct hsr_digest_tree tree;
    size_t taken; /* bytes of the budget */
};

void hsr_tally_init(struct hsr_tally *tally, enum hsr_digest_kind kind, uint32_t leaf_size);

/** Merge a range. 0, HSR_E_PROTOCOL: something of it was there; HSR_E_LIMIT: too many gaps, or
 * *budget bytes are used up; -ENOMEM. */
int hsr_tally_add(struct hsr_tally *tally, const struct hsr_digest_run *run, size_t *budget);

/** Merge a range of which only the value is known (hsr_digest_run_piece()). As hsr_tally_add. */
int hsr_tally_put(struct hsr_tally *tally, uint64_t offset, uint64_t size, const uint8_t *value,
                  size_t *budget);

/** Hash zeros into the gaps of a file of @size bytes, for a slice of time. 1: come back; 0: there
 * are none any more; negative: as hsr_tally_add. */
int hsr_tally_zeros(struct hsr_tally *tally, uint64_t size, struct hsr_loop *loop, size_t *budget);

/** The digest, once there are no gaps. 0, HSR_E_PROTOCOL. */
int hsr_tally_final(const struct hsr_tally *tally, uint64_t size, uint8_t out[HSR_DIGEST_SIZE_MAX]);

/** Frees, and returns the bytes to *budget. Harmless on zeroed memory. */
void hsr_tally_fini(struct hsr_tally *tally, size_t *budget);

#endif
