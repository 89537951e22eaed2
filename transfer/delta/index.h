/* The source's lookup, made from a received signature, in the caller's memory. Read only once it is
 * built: streams on all shards share it.
 *
 *   sums      as received, in order: what follows a match is tested here, without a search
 *   filter    bits, two for each weak sum, by its upper and lower end: nearly all positions of
 *             unmatched data end here
 *   buckets   by the weak sum's upper bits: where the bucket's entries begin
 *   entries   u32: block number (20 bits) and the weak sum's lower 12 bits
 *
 * 7 to 10 bytes a block beside its sums. A bucket holds at most HSR_DELTA_BUCKET_MAX entries and
 * equal sums have one, the last of them in the base: whatever a peer sends, building is linear and
 * a search is short. What a full bucket leaves out is not found by a search; that costs literal
 * bytes, nothing else. Pure. */
#ifndef HSR_DELTA_INDEX_H
#define HSR_DELTA_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transfer/delta/plan.h"

#define HSR_DELTA_BUCKET_MAX 16u /* entries; 4 are expected, more than 16 in one of a million */
#define HSR_DELTA_BLOCK_NONE UINT32_MAX

enum hsr_delta_index_phase {
    HSR_DELTA_INDEX_CLEARING,
    HSR_DELTA_INDEX_COUNTING,
    HSR_DELTA_INDEX_PLACING,
    HSR_DELTA_INDEX_FILLING,
    HSR_DELTA_INDEX_READY,
    HSR_DELTA_INDEX_PHASE_COUNT
};

struct hsr_delta_index {
    struct hsr_delta_plan plan;
    uint64_t power; /* rolls windows of a block */
    uint8_t *sums;
    uint64_t *filter;
    uint32_t *buckets;
    uint32_t *entries;
    uint32_t blocks; /* in the base */
    uint32_t received; /* sums so far */
    uint32_t full_blocks; /* blocks that are not short: only these are searched */
    uint32_t bucket_count;
    uint32_t at; /* how far the phase is */
    uint32_t filter_mask; /* from a weak sum to its second bit */
    uint8_t filter_shift; /* to its first one */
    uint8_t bucket_shift; /* from a weak sum, as 64 bits, to its bucket: 32 if there is one */
    enum hsr_delta_index_phase phase;
};

/** Bytes of memory that the index of this plan needs. */
size_t hsr_delta_index_size(const struct hsr_delta_plan *plan);

/** @memory: hsr_delta_index_size() bytes, aligned to 8, of any content; borrowed. @plan was
 * checked. */
void hsr_delta_index_init(struct hsr_delta_index *index, const struct hsr_delta_plan *plan,
                          void *memory);

/** Take the next part of the signature: whole sums, in order, @first_block the next one.
 * 0; HSR_E_PROTOCOL: not the next one, or not whole; HSR_E_LIMIT: more than the base has blocks. */
int hsr_delta_index_put(struct hsr_delta_index *index, uint32_t first_block, const void *sums,
                        size_t size);

/** Have all sums come? */
static inline bool hsr_delta_index_received(const struct hsr_delta_index *index)
{
    return index->received == index->blocks;
}

/** Build for about @budget blocks' worth of work (a block costs some 10 ns); all sums have come.
 * Returns true when it is ready. */
bool hsr_delta_index_build(struct hsr_delta_index *index, uint32_t budget);

/** Sums of a block as they came. */
static inline const uint8_t *hsr_delta_index_sum(const struct hsr_delta_index *index,
                                                 uint32_t block)
{
    return index->sums + (size_t)block * hsr_delta_sum_size(&index->plan);
}

/** Is there an entry with this weak sum? */
bool hsr_delta_index_has(const struct hsr_delta_index *index, uint32_t weak);

/** The block with these sums, of those that begin at @block_min or later, or NONE. */
uint32_t hsr_delta_index_find(const struct hsr_delta_index *index, uint32_t weak,
                              const uint8_t *strong, uint32_t block_min);

#endif
