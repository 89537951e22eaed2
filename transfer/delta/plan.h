/* How a base is cut into blocks, and how much of each block's hash travels. Both sides check the
 * same plan: the target makes it, the source takes it from the wire. Pure. */
#ifndef HSR_DELTA_PLAN_H
#define HSR_DELTA_PLAN_H

#include <stddef.h>
#include <stdint.h>

#define HSR_DELTA_BLOCK_MIN ((uint32_t)512) /* bytes; less costs more in sums than it saves */
#define HSR_DELTA_BLOCK_MAX ((uint32_t)1 << 20) /* bytes; a window must fit into two chunks */
#define HSR_DELTA_BLOCKS_MAX ((uint32_t)1 << 20) /* of one base: bounds signature and index */
#define HSR_DELTA_BASE_MAX ((uint64_t)HSR_DELTA_BLOCK_MAX * HSR_DELTA_BLOCKS_MAX)
#define HSR_DELTA_WEAK_SIZE 4u /* bytes of the rolling sum on the wire */
#define HSR_DELTA_STRONG_MIN 4u /* bytes of the strong hash on the wire */
#define HSR_DELTA_STRONG_MAX 16u

/* Bases of small files have shorter blocks and sums (hsr_delta_plan_small()). */
#define HSR_DELTA_SMALL_BASE_MAX ((uint32_t)131072) /* bytes */
#define HSR_DELTA_SMALL_BLOCK_MIN ((uint32_t)128)
#define HSR_DELTA_SMALL_BLOCK_MAX ((uint32_t)4096)
#define HSR_DELTA_SMALL_STRONG 2u

/* Room for any one block's sums. */
#define HSR_DELTA_SUM_MAX (HSR_DELTA_WEAK_SIZE + HSR_DELTA_STRONG_MAX)

struct hsr_delta_plan {
    uint64_t base_size; /* bytes; 1 .. HSR_DELTA_BASE_MAX */
    uint32_t block_size; /* a power of two; the last block may be short */
    uint32_t strong_size; /* bytes */
};

/** Choose a plan for a base of @base_size bytes and a new content of @new_size bytes.
 *
 * @param block_size  0: chosen by the cost model; else a power of two, taken unless the base has
 *                    too many such blocks: then the least that fits
 * @return 0; HSR_E_LIMIT: no plan holds this base (empty, or over HSR_DELTA_BASE_MAX);
 *   HSR_E_USAGE: @block_size is not a power of two within the limits */
int hsr_delta_plan_make(uint64_t base_size, uint64_t new_size, uint32_t block_size,
                        struct hsr_delta_plan *ret_plan);

/** The same for a base of 1 .. HSR_DELTA_SMALL_BASE_MAX bytes whose sums travel with the wish for
 * it: with sums of 6 bytes, of which the weak one counts in every comparison. */
void hsr_delta_plan_small(uint32_t base_size, uint64_t new_size, struct hsr_delta_plan *ret_plan);

/** Is this plan, which a peer may have sent, within all limits? 0 or HSR_E_LIMIT. */
int hsr_delta_plan_check(const struct hsr_delta_plan *plan);

/** How many blocks the base has, the short last one included. */
static inline uint32_t hsr_delta_blocks(const struct hsr_delta_plan *plan)
{
    return (uint32_t)((plan->base_size + plan->block_size - 1) / plan->block_size);
}

/** Bytes of block @block: block_size, or what is left for the last one. */
static inline uint32_t hsr_delta_block_bytes(const struct hsr_delta_plan *plan, uint32_t block)
{
    uint64_t left = plan->base_size - (uint64_t)block * plan->block_size;

    return left < plan->block_size ? (uint32_t)left : plan->block_size;
}

/** Bytes of one block's sums on the wire. */
static inline uint32_t hsr_delta_sum_size(const struct hsr_delta_plan *plan)
{
    return HSR_DELTA_WEAK_SIZE + plan->strong_size;
}

/** Bytes of the whole signature. */
static inline uint64_t hsr_delta_signature_size(const struct hsr_delta_plan *plan)
{
    return (uint64_t)hsr_delta_blocks(plan) * hsr_delta_sum_size(plan);
}

#endif
