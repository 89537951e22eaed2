/* Signatures that no base has: the plan is checked, sums are taken in pieces, and whatever they
 * are, a match ends, and makes a patch that a target accepts.
 *
 *   u32 base size, u32 block size, u8 strong size, u8 count of hints, hints, sums
 *
 * A hint is the u16 number of a window of the new content: its true weak sum, so that the matcher
 * has something to look at, is put before the next sum's strong half. The new content is the input
 * itself, over and over. */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tests/fuzz/fuzz.h"
#include "transfer/delta/match.h"
#include "transfer/delta/weak.h"

#define HEAD 10u
#define REGION 20000u
#define AHEAD_MAX 25500u
#define BASE_MAX (1u << 18)

static uint8_t content[REGION + HSR_DELTA_BLOCK_MAX];
static struct hsr_patch_item items[HSR_PATCH_ITEMS_MAX];
static uint8_t payload[HSR_PATCH_TABLE_SIZE_MAX + REGION];

static void matched(const struct hsr_delta_index *index, uint32_t ahead)
{
    static const uint8_t secret[HSR_DELTA_KEY_SIZE];
    const struct hsr_delta_plan *plan = &index->plan;
    struct hsr_match_cursor cursor = { 0 };
    struct hsr_match_region region = { .bytes = content,
                                       .size = REGION,
                                       .ahead = { content + REGION, ahead },
                                       .new_size = REGION + ahead,
                                       .seam = malloc(hsr_match_seam_size(plan)),
                                       .items = items };
    struct hsr_patch_bounds bounds = { .base_size = plan->base_size, .size = REGION };
    struct hsr_patch_gather gather;
    struct hsr_delta_key key;
    struct hsr_match match;
    struct hsr_patch patch;
    unsigned calls = 0;
    size_t table, size;

    hsr_delta_key_init(&key, secret);
    hsr_match_begin(&match, index, &key, &cursor, &region);
    while (!hsr_match_step(&match, 1000))
        FUZZ_CHECK(++calls < 1000);
    size = hsr_match_payload_size(&match);
    table = hsr_patch_table_encode(items, match.item_count, 0, payload);
    hsr_patch_gather_init(&gather, items, match.item_count, content, payload + table);
    while (!hsr_patch_gather_step(&gather, 1000))
        ;
    FUZZ_CHECK(hsr_patch_open(&patch, (struct hsr_span){ payload, size }, &bounds) == 0);
    free(region.seam);
}

/* Sums as a peer sends them: some of what follows @bytes, hints put in. */
static void indexed(struct hsr_delta_index *index, const uint8_t *bytes, size_t size, uint8_t hints)
{
    uint32_t sum_size = hsr_delta_sum_size(&index->plan);
    uint8_t sum[HSR_DELTA_SUM_MAX];

    for (uint32_t block = 0; !hsr_delta_index_received(index); block++) {
        for (uint32_t i = 0; i < sum_size; i++)
            sum[i] = size > 0 ? bytes[(block * sum_size + i) % size] : 0;
        if (block < hints && size >= 2) {
            uint32_t at = (sum[0] | (uint32_t)sum[1] << 8) % REGION;
            uint32_t weak = hsr_weak_sum(hsr_weak_block(content + at, index->plan.block_size));

            memcpy(sum, &weak, sizeof(weak));
        }
        FUZZ_CHECK(hsr_delta_index_put(index, block + 1, sum, sum_size) == HSR_E_PROTOCOL);
        FUZZ_CHECK(hsr_delta_index_put(index, block, sum, sum_size - 1) == HSR_E_PROTOCOL);
        FUZZ_CHECK(hsr_delta_index_put(index, block, sum, sum_size) == 0);
    }
    FUZZ_CHECK(hsr_delta_index_put(index, hsr_delta_blocks(&index->plan), sum, sum_size) ==
               HSR_E_LIMIT);
    while (!hsr_delta_index_build(index, 50))
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct hsr_delta_index index;
    struct hsr_delta_plan plan;
    uint32_t base_size;
    void *memory;

    if (size <= HEAD)
        return 0;
    memcpy(&base_size, bytes, sizeof(base_size));
    plan.base_size = base_size;
    memcpy(&plan.block_size, bytes + 4, sizeof(plan.block_size));
    plan.strong_size = bytes[8];
    if (hsr_delta_plan_check(&plan) < 0 || plan.base_size > BASE_MAX)
        return 0;
    for (size_t i = 0; i < REGION + HSR_MAX(plan.block_size, AHEAD_MAX); i++)
        content[i] = bytes[HEAD + i % (size - HEAD)];
    memory = malloc(hsr_delta_index_size(&plan));
    hsr_delta_index_init(&index, &plan, memory);
    indexed(&index, bytes + HEAD, size - HEAD, bytes[9]);
    matched(&index, bytes[HEAD] * AHEAD_MAX / 255);
    free(memory);
    return 0;
}
