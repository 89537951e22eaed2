/* The cost model of block and strong sizes. */
#include "transfer/delta/plan.h"

#include <stdbool.h>

#include "base/base.h"

/* What is expected to differ, when nothing is known: a few places in any file, and one in each 2
 * MiB of a large one. An edit costs about a block of literal bytes, so the best block size is 4 KiB
 * for large files (what differs there is mostly pages) and falls to 512 bytes for small ones. */
#define EDITS_LEAST 4u
#define EDIT_DISTANCE ((uint64_t)2 << 20)

/* One file in 2^20 at most is sent again because two different blocks look the same. */
#define CHANCE_LOG 20u

/* A block may be tested against its likely successors without its weak sum: about three times. */
#define TESTS 3u

/* Edits that a changed small file is expected to have. */
#define SMALL_EDITS 4u

static uint64_t blocks_of(uint64_t size, uint32_t block_size)
{
    return size / block_size + (size % block_size != 0);
}

/* Enough bits for the strong hash alone over all tests of a block with its expected successor, and
 * for both sums together over all pairs of a position and a block. Below 2^88 and 2^104. */
static uint32_t strong_size(uint64_t base_size, uint64_t new_size, uint32_t block_size)
{
    uint64_t size = HSR_MAX(base_size, new_size);
    unsigned __int128 tests = (unsigned __int128)TESTS * blocks_of(size, block_size) << CHANCE_LOG;
    unsigned __int128 pairs = (unsigned __int128)size * blocks_of(base_size, block_size)
                              << CHANCE_LOG;
    uint32_t strong = HSR_DELTA_STRONG_MIN;

    while (strong < HSR_DELTA_STRONG_MAX - HSR_DELTA_WEAK_SIZE &&
           ((tests - 1) >> 8 * strong > 0 || (pairs - 1) >> 8 * (strong + HSR_DELTA_WEAK_SIZE) > 0))
        strong++;
    return strong;
}

static uint64_t plan_cost(const struct hsr_delta_plan *plan)
{
    uint64_t edits = EDITS_LEAST * EDIT_DISTANCE + plan->base_size; /* times the distance */

    return hsr_delta_signature_size(plan) + edits * plan->block_size / EDIT_DISTANCE;
}

static bool block_size_fits(uint64_t base_size, uint32_t block_size)
{
    return base_size <= (uint64_t)block_size * HSR_DELTA_BLOCKS_MAX;
}

int hsr_delta_plan_make(uint64_t base_size, uint64_t new_size, uint32_t block_size,
                        struct hsr_delta_plan *ret_plan)
{
    struct hsr_delta_plan best = { 0 };

    hsr_require(base_size > 0 && base_size <= HSR_DELTA_BASE_MAX, HSR_E_LIMIT);
    if (block_size != 0)
        hsr_require(block_size >= HSR_DELTA_BLOCK_MIN && block_size <= HSR_DELTA_BLOCK_MAX &&
                        (block_size & (block_size - 1)) == 0,
                    HSR_E_USAGE);
    for (uint32_t size = block_size != 0 ? block_size : HSR_DELTA_BLOCK_MIN;
         size <= HSR_DELTA_BLOCK_MAX; size *= 2) {
        struct hsr_delta_plan plan = { base_size, size, strong_size(base_size, new_size, size) };

        if (!block_size_fits(base_size, size))
            continue;
        if (best.block_size == 0 || plan_cost(&plan) < plan_cost(&best))
            best = plan;
        if (block_size != 0)
            break;
    }
    hsr_assert(hsr_delta_plan_check(&best) == 0);
    *ret_plan = best;
    return 0;
}

/* An edit of a small file costs half a block before it and half a block behind it, and a line of
 * the patch. Two versions of one size mostly are one: long blocks tell that with few sums. */
void hsr_delta_plan_small(uint32_t base_size, uint64_t new_size, struct hsr_delta_plan *ret_plan)
{
    struct hsr_delta_plan plan = { base_size, HSR_DELTA_SMALL_BLOCK_MAX, HSR_DELTA_SMALL_STRONG };

    hsr_assert(base_size > 0 && base_size <= HSR_DELTA_SMALL_BASE_MAX);
    while (base_size != new_size && plan.block_size > HSR_DELTA_SMALL_BLOCK_MIN) {
        struct hsr_delta_plan half = plan;

        half.block_size /= 2;
        if (hsr_delta_signature_size(&half) + SMALL_EDITS * half.block_size >=
            hsr_delta_signature_size(&plan) + SMALL_EDITS * plan.block_size)
            break;
        plan = half;
    }
    hsr_assert(hsr_delta_plan_check(&plan) == 0);
    *ret_plan = plan;
}

static int plan_check_small(const struct hsr_delta_plan *plan)
{
    hsr_require(plan->block_size >= HSR_DELTA_SMALL_BLOCK_MIN &&
                    plan->block_size <= HSR_DELTA_SMALL_BLOCK_MAX &&
                    (plan->block_size & (plan->block_size - 1)) == 0,
                HSR_E_LIMIT);
    hsr_require(plan->base_size > 0 && plan->base_size <= HSR_DELTA_SMALL_BASE_MAX, HSR_E_LIMIT);
    return 0;
}

int hsr_delta_plan_check(const struct hsr_delta_plan *plan)
{
    uint32_t block_size = plan->block_size;

    if (plan->strong_size == HSR_DELTA_SMALL_STRONG)
        return plan_check_small(plan);
    hsr_require(block_size >= HSR_DELTA_BLOCK_MIN && block_size <= HSR_DELTA_BLOCK_MAX,
                HSR_E_LIMIT);
    hsr_require((block_size & (block_size - 1)) == 0, HSR_E_LIMIT);
    hsr_require(plan->base_size > 0 && block_size_fits(plan->base_size, block_size), HSR_E_LIMIT);
    hsr_require(plan->strong_size >= HSR_DELTA_STRONG_MIN &&
                    plan->strong_size <= HSR_DELTA_STRONG_MAX,
                HSR_E_LIMIT);
    return 0;
}
