/* Building the lookup, and searching it. */
#include "transfer/delta/index.h"

#include <string.h>

#include "base/base.h"
#include "transfer/delta/weak.h"

#define ALIGN 64u /* a cache line; parts begin at one */
#define FILTER_BITS_LOG                                                                            \
    4u /* 16 to 32 bits a block: two of them marked: 1 position in 64 to 256 passes */
#define FILTER_LOG_MIN 9u
#define BUCKET_BLOCKS_LOG 2u /* 2 to 4 blocks a bucket */
#define BLOCK_BITS 20u
#define BLOCK_MASK ((1u << BLOCK_BITS) - 1)
#define TAG_MASK ((1u << (32 - BLOCK_BITS)) - 1)
#define ENTRY_NONE UINT32_MAX /* one sum of the last of 2^20 blocks looks so: it gets no entry */
#define CLEAR_SIZE 64u /* bytes cleared for the price of a block */

_Static_assert(HSR_DELTA_BLOCKS_MAX == 1u << BLOCK_BITS, "a block number fits into an entry");

/* Where the parts lie in the caller's memory. */
struct index_layout {
    size_t filter; /* bytes from the start */
    size_t buckets;
    size_t entries;
    size_t sums;
    size_t size;
    uint32_t filter_log;
    uint32_t bucket_log;
};

static struct index_layout layout_make(const struct hsr_delta_plan *plan)
{
    uint32_t blocks = hsr_delta_blocks(plan);
    uint32_t blocks_log = blocks <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(blocks - 1);
    struct index_layout layout = { 0 };

    layout.filter_log = HSR_MAX(blocks_log + FILTER_BITS_LOG, FILTER_LOG_MIN);
    layout.bucket_log = blocks_log > BUCKET_BLOCKS_LOG ? blocks_log - BUCKET_BLOCKS_LOG : 0;
    layout.buckets = ((size_t)1 << layout.filter_log) / 8;
    layout.entries =
        layout.buckets + HSR_ALIGN_UP((((size_t)1 << layout.bucket_log) + 1) * 4, (size_t)ALIGN);
    layout.sums = layout.entries + HSR_ALIGN_UP((size_t)blocks * 4, (size_t)ALIGN);
    layout.size = layout.sums + (size_t)hsr_delta_signature_size(plan);
    return layout;
}

size_t hsr_delta_index_size(const struct hsr_delta_plan *plan)
{
    return layout_make(plan).size;
}

void hsr_delta_index_init(struct hsr_delta_index *index, const struct hsr_delta_plan *plan,
                          void *memory)
{
    struct index_layout layout = layout_make(plan);
    uint8_t *bytes = memory;

    hsr_assert(hsr_delta_plan_check(plan) == 0);
    hsr_assert((uintptr_t)memory % sizeof(uint64_t) == 0);
    *index = (struct hsr_delta_index){
        .plan = *plan,
        .power = hsr_weak_power(plan->block_size),
        .sums = bytes + layout.sums,
        .filter = (void *)(bytes + layout.filter),
        .buckets = (void *)(bytes + layout.buckets),
        .entries = (void *)(bytes + layout.entries),
        .blocks = hsr_delta_blocks(plan),
        .full_blocks = (uint32_t)(plan->base_size / plan->block_size),
        .bucket_count = 1u << layout.bucket_log,
        .filter_mask = (1u << layout.filter_log) - 1,
        .filter_shift = (uint8_t)(32 - layout.filter_log),
        .bucket_shift = (uint8_t)(32 - layout.bucket_log),
    };
}

int hsr_delta_index_put(struct hsr_delta_index *index, uint32_t first_block, const void *sums,
                        size_t size)
{
    uint32_t sum_size = hsr_delta_sum_size(&index->plan);
    size_t count = size / sum_size;

    hsr_require(first_block == index->received && size % sum_size == 0, HSR_E_PROTOCOL);
    hsr_require(count <= index->blocks - index->received, HSR_E_LIMIT);
    if (size > 0)
        memcpy(index->sums + (size_t)first_block * sum_size, sums, size);
    index->received += (uint32_t)count;
    return 0;
}

static uint32_t sum_weak(const uint8_t *sum)
{
    uint32_t weak;

    memcpy(&weak, sum, sizeof(weak));
    return weak;
}

static uint32_t *index_bucket(const struct hsr_delta_index *index, uint32_t weak)
{
    return &index->buckets[(uint64_t)weak >> index->bucket_shift];
}

/* Filter and buckets are counted and marked from 0, entries are empty: a slice at a time. */
static bool index_clear(struct hsr_delta_index *index, uint32_t *budget)
{
    uint8_t *start = (uint8_t *)index->filter;
    size_t zero_size = (size_t)((uint8_t *)index->entries - start);
    size_t size = (size_t)(index->sums - start);
    size_t from = (size_t)index->at * CLEAR_SIZE;
    size_t end = HSR_MIN(size, from + (size_t)*budget * CLEAR_SIZE);

    if (from < zero_size)
        memset(start + from, 0, HSR_MIN(end, zero_size) - from);
    if (end > zero_size)
        memset(start + HSR_MAX(from, zero_size), 0xff, end - HSR_MAX(from, zero_size));
    index->at += *budget;
    *budget = 0;
    return end == size;
}

/* How many entries each bucket gets. */
static bool index_count(struct hsr_delta_index *index, uint32_t *budget)
{
    for (; index->at<index->full_blocks && * budget> 0; index->at++, (*budget)--) {
        uint32_t *bucket = index_bucket(index, sum_weak(hsr_delta_index_sum(index, index->at)));

        if (*bucket < HSR_DELTA_BUCKET_MAX)
            (*bucket)++;
    }
    return index->at == index->full_blocks;
}

/* Where each bucket's entries begin; the total is carried in the one after the last. */
static bool index_place(struct hsr_delta_index *index, uint32_t *budget)
{
    uint32_t begin = index->buckets[index->bucket_count];

    for (; index->at<index->bucket_count && * budget> 0; index->at++, (*budget)--) {
        uint32_t count = index->buckets[index->at];

        index->buckets[index->at] = begin;
        begin += count;
    }
    hsr_assert(begin <= index->full_blocks);
    index->buckets[index->bucket_count] = begin;
    return index->at == index->bucket_count;
}

static void filter_mark(struct hsr_delta_index *index, uint32_t weak)
{
    uint32_t first = weak >> index->filter_shift, second = weak & index->filter_mask;

    index->filter[first / 64] |= 1ull << first % 64;
    index->filter[second / 64] |= 1ull << second % 64;
}

static void index_insert(struct hsr_delta_index *index, uint32_t block)
{
    const uint8_t *sum = hsr_delta_index_sum(index, block);
    uint32_t weak = sum_weak(sum);
    const uint32_t *bucket = index_bucket(index, weak);
    uint32_t entry = block | (weak & TAG_MASK) << BLOCK_BITS;

    for (uint32_t i = bucket[0]; i < bucket[1]; i++) {
        uint32_t other = index->entries[i];

        if (other == ENTRY_NONE) {
            index->entries[i] = entry;
            filter_mark(index, weak);
            return;
        }
        if (other >> BLOCK_BITS == entry >> BLOCK_BITS &&
            memcmp(hsr_delta_index_sum(index, other & BLOCK_MASK), sum,
                   hsr_delta_sum_size(&index->plan)) == 0)
            return;
    }
}

/* From the last block down: of equal ones the last stays, which in place is used longest. */
static bool index_fill(struct hsr_delta_index *index, uint32_t *budget)
{
    for (; index->at<index->full_blocks && * budget> 0; index->at++, (*budget)--)
        index_insert(index, index->full_blocks - 1 - index->at);
    return index->at == index->full_blocks;
}

bool hsr_delta_index_build(struct hsr_delta_index *index, uint32_t budget)
{
    static bool (*const steps[])(struct hsr_delta_index *, uint32_t *) = {
        [HSR_DELTA_INDEX_CLEARING] = index_clear,
        [HSR_DELTA_INDEX_COUNTING] = index_count,
        [HSR_DELTA_INDEX_PLACING] = index_place,
        [HSR_DELTA_INDEX_FILLING] = index_fill,
    };

    hsr_assert(hsr_delta_index_received(index));
    while (index->phase != HSR_DELTA_INDEX_READY && budget > 0)
        if (steps[index->phase](index, &budget)) {
            index->phase++;
            index->at = 0;
        }
    if (index->phase == HSR_DELTA_INDEX_READY)
        filter_mark(index, 0); /* always looked at: it may be zeros */
    return index->phase == HSR_DELTA_INDEX_READY;
}

bool hsr_delta_index_has(const struct hsr_delta_index *index, uint32_t weak)
{
    const uint32_t *bucket = index_bucket(index, weak);

    for (uint32_t i = bucket[0]; i < bucket[1]; i++) {
        uint32_t entry = index->entries[i];

        if (entry == ENTRY_NONE)
            return false;
        if (entry >> BLOCK_BITS == (weak & TAG_MASK) &&
            sum_weak(hsr_delta_index_sum(index, entry & BLOCK_MASK)) == weak)
            return true;
    }
    return false;
}

uint32_t hsr_delta_index_find(const struct hsr_delta_index *index, uint32_t weak,
                              const uint8_t *strong, uint32_t block_min)
{
    const uint32_t *bucket = index_bucket(index, weak);

    for (uint32_t i = bucket[0]; i < bucket[1]; i++) {
        uint32_t entry = index->entries[i];
        uint32_t block = entry & BLOCK_MASK;

        if (entry == ENTRY_NONE)
            break;
        if (entry >> BLOCK_BITS != (weak & TAG_MASK) || block < block_min)
            continue;
        if (sum_weak(hsr_delta_index_sum(index, block)) == weak &&
            memcmp(hsr_delta_index_sum(index, block) + HSR_DELTA_WEAK_SIZE, strong,
                   index->plan.strong_size) == 0)
            return block;
    }
    return HSR_DELTA_BLOCK_NONE;
}
