/* The matcher. Positions are bytes from the region's start. See match.h for the order of tests. */
#include "transfer/delta/match.h"

#include <string.h>

#include "base/base.h"
#include "hash/digest.h"
#include "transfer/delta/scan.h"
#include "transfer/delta/weak.h"

#define HASH_SPEED 16u /* a byte hashed costs this part of a byte rolled */
#define PROBE_COST 64u /* units, at least */
#define FALSE_LEAST 64u /* false windows that any region may have */
#define FALSE_BLOCKS 4u /* and for each of its blocks: more is no chance */
#define ITEMS_KEPT 3u /* free items for one more match: literal, copy, last literal */

/* The window of @size bytes at @at, or NULL if not all of them are known. */
static const uint8_t *match_window(struct hsr_match *match, uint32_t at, uint32_t size)
{
    const struct hsr_match_region *region = &match->region;

    if (size <= region->size - at)
        return region->bytes + at;
    if (match->seam_size == 0) {
        uint32_t block = match->index->plan.block_size;
        uint32_t head = HSR_MIN(block, region->size);
        size_t tail = HSR_MIN((size_t)block - 1, region->ahead.size);

        match->seam_start = region->size - head;
        memcpy(region->seam, region->bytes + match->seam_start, head);
        if (tail > 0)
            memcpy(region->seam + head, region->ahead.ptr, tail);
        match->seam_size = head + (uint32_t)tail;
    }
    if (at < match->seam_start || size > match->seam_size - (at - match->seam_start))
        return NULL;
    return region->seam + (at - match->seam_start);
}

size_t hsr_match_seam_size(const struct hsr_delta_plan *plan)
{
    return 2 * (size_t)plan->block_size;
}

static void match_put(struct hsr_match *match, uint32_t kind, uint64_t base_offset, uint32_t size)
{
    struct hsr_patch_item *last = NULL;

    if (size == 0)
        return;
    if (match->item_count > 0)
        last = &match->region.items[match->item_count - 1];
    if (last != NULL && last->kind == kind &&
        (kind != HSR_PATCH_COPY || last->base_offset + last->size == base_offset)) {
        last->size += size;
        return;
    }
    hsr_assert(match->item_count < HSR_PATCH_ITEMS_MAX);
    match->region.items[match->item_count++] =
        (struct hsr_patch_item){ .base_offset = base_offset, .size = size, .kind = kind };
}

/* The literal bytes before @at, then @size bytes of one kind from there, which may reach beyond the
 * region. With no room for more items the rest of the region becomes literal. */
static void match_found(struct hsr_match *match, uint32_t at, uint32_t kind, uint64_t base_offset,
                        uint32_t size)
{
    uint32_t inside = HSR_MIN(size, match->region.size - at);

    hsr_assert(at >= match->literal && at < match->region.size);
    match->rolling = false;
    if (match->item_count + ITEMS_KEPT > HSR_PATCH_ITEMS_MAX) {
        match->at = match->region.size;
        match->run_known = false;
        return;
    }
    match->literal_size += at - match->literal;
    match_put(match, HSR_PATCH_LITERAL, 0, at - match->literal);
    match_put(match, kind, base_offset, inside);
    match->at = match->literal = at + inside;
    if (kind == HSR_PATCH_COPY) {
        match->run_known = true;
        match->run_base = base_offset + inside;
        match->rest = size - inside;
    } else if (match->run_known) {
        match->run_base += inside;
    }
}

/* The new bytes before @at belong to no match; what follows the last one moves along. */
static void match_pass(struct hsr_match *match, uint32_t size)
{
    match->at += size;
    match->run_base += size;
}

/* The block that begins at @base_offset, if there is one and it may be copied. */
static uint32_t match_block(const struct hsr_match *match, uint64_t base_offset)
{
    const struct hsr_delta_plan *plan = &match->index->plan;

    if (base_offset % plan->block_size != 0 || base_offset >= plan->base_size ||
        base_offset < match->region.copy_min)
        return HSR_DELTA_BLOCK_NONE;
    return (uint32_t)(base_offset / plan->block_size);
}

static bool strong_equals(const struct hsr_match *match, uint32_t block, const uint8_t *strong)
{
    return memcmp(hsr_delta_index_sum(match->index, block) + HSR_DELTA_WEAK_SIZE, strong,
                  match->index->plan.strong_size) == 0;
}

/* Strong hashes of a few bytes do not count alone. */
static bool weak_equals(struct hsr_match *match, uint32_t at, uint32_t block, uint32_t size)
{
    const uint8_t *window = match_window(match, at, size);
    uint32_t weak;

    if (window == NULL)
        return false;
    weak = hsr_weak_sum(hsr_weak_block(window, size));
    return memcmp(hsr_delta_index_sum(match->index, block), &weak, sizeof(weak)) == 0;
}

/* Too many windows had a known weak sum and another content: somebody made them so. The rest of the
 * region is looked at once a block and not rolled through, so that its cost stays linear. */
static bool match_is_blunt(const struct hsr_match *match)
{
    return match->false_count >=
           FALSE_LEAST + FALSE_BLOCKS * (match->region.size / match->index->plan.block_size);
}

/* Is block @block of the base what lies at @at? @strong, if not NULL, is the strong hash there of a
 * whole block. */
static bool match_try(struct hsr_match *match, uint32_t at, uint32_t block, const uint8_t *strong)
{
    const struct hsr_delta_plan *plan = &match->index->plan;
    uint8_t own[HSR_DELTA_STRONG_MAX];
    uint32_t size;

    if (block == HSR_DELTA_BLOCK_NONE)
        return false;
    size = hsr_delta_block_bytes(plan, block);
    if (size != plan->block_size || strong == NULL) { /* the short last one, or no hash yet */
        const uint8_t *window = match_window(match, at, size);

        if (window == NULL)
            return false;
        hsr_delta_strong(match->key, window, size, own);
        strong = own;
    }
    if (!strong_equals(match, block, strong) ||
        (plan->strong_size < HSR_DELTA_STRONG_MIN && !weak_equals(match, at, block, size)))
        return false;
    match_found(match, at, HSR_PATCH_COPY, (uint64_t)block * plan->block_size, size);
    return true;
}

/* Tests 1 to 3 for a whole window at @at, whose weak state is known if @rolling: else it is made
 * when it is needed, for rolling too. */
static bool match_here(struct hsr_match *match, const uint8_t *window, bool rolling)
{
    const struct hsr_delta_plan *plan = &match->index->plan;
    uint32_t run = match->run_known ? match_block(match, match->run_base) : HSR_DELTA_BLOCK_NONE;
    uint32_t same = match_block(match, match->region.offset + match->at);
    uint8_t strong[HSR_DELTA_STRONG_MAX];
    uint64_t block_min = match->region.copy_min + plan->block_size - 1;
    uint32_t block;

    hsr_delta_strong(match->key, window, plan->block_size, strong);
    if (match_try(match, match->at, run, strong) ||
        (same != run && match_try(match, match->at, same, strong)))
        return true;
    if (hsr_is_zero(window, plan->block_size)) {
        match_found(match, match->at, HSR_PATCH_ZERO, 0, plan->block_size);
        return true;
    }
    if (!rolling)
        match->state = hsr_weak_block(window, plan->block_size);
    block = hsr_delta_index_find(match->index, hsr_weak_sum(match->state), strong,
                                 (uint32_t)(block_min / plan->block_size));
    if (block == HSR_DELTA_BLOCK_NONE)
        return false;
    match_found(match, match->at, HSR_PATCH_COPY, (uint64_t)block * plan->block_size,
                plan->block_size);
    return true;
}

/* Test 4: what is expected behind the window at @at is there, so the window itself is new. */
static bool match_behind(struct hsr_match *match)
{
    uint32_t block_size = match->index->plan.block_size;
    uint32_t at = match->at + block_size, run = HSR_DELTA_BLOCK_NONE, same;

    if (match->region.size - match->at <= block_size)
        return false;
    if (match->run_known)
        run = match_block(match, match->run_base + block_size);
    same = match_block(match, match->region.offset + at);
    return match_try(match, at, run, NULL) || (same != run && match_try(match, at, same, NULL));
}

/* No whole window is left. The base's short last block may still be here, or end the file. */
static void match_end(struct hsr_match *match)
{
    const struct hsr_match_region *region = &match->region;
    const struct hsr_delta_plan *plan = &match->index->plan;
    uint32_t last = match->index->blocks - 1;
    uint32_t short_size = hsr_delta_block_bytes(plan, last);
    uint64_t last_base = (uint64_t)last * plan->block_size;

    match->rolling = false;
    if (short_size < plan->block_size && last_base >= region->copy_min) {
        uint64_t end = region->offset + region->size + region->ahead.size;

        if (match->run_known && match->run_base == last_base &&
            match_try(match, match->at, last, NULL))
            return;
        if (end >= region->new_size &&
            region->new_size >= region->offset + match->at + short_size &&
            region->new_size - short_size < region->offset + region->size &&
            match_try(match, (uint32_t)(region->new_size - short_size - region->offset), last,
                      NULL))
            return;
    }
    match_pass(match, region->size - match->at);
}

/* The first look at a position. Returns what it cost. */
static uint32_t match_probe(struct hsr_match *match)
{
    uint32_t block_size = match->index->plan.block_size;
    const uint8_t *window = match_window(match, match->at, block_size);
    uint32_t cost = PROBE_COST + block_size / HASH_SPEED;

    if (window == NULL)
        match_end(match);
    else if (match_here(match, window, false) || match_behind(match))
        return cost;
    else if (match_is_blunt(match))
        match_pass(match, HSR_MIN(block_size, match->region.size - match->at));
    else
        match->rolling = true;
    return 2 * cost;
}

/* How many bytes further the window at @at can roll within one piece of memory, and that memory. */
static uint32_t match_room(struct hsr_match *match, const uint8_t **ret_window)
{
    const struct hsr_match_region *region = &match->region;
    uint32_t block_size = match->index->plan.block_size;
    uint32_t left = region->size - match->at - 1; /* windows begin in the region */
    uint32_t in_seam;

    if (left >= block_size) {
        *ret_window = region->bytes + match->at;
        return left + 1 - block_size;
    }
    if (left == 0 || match_window(match, match->at + 1, block_size) == NULL)
        return 0;
    in_seam = match->at - match->seam_start;
    *ret_window = region->seam + in_seam;
    return HSR_MIN(left, match->seam_size - in_seam - block_size);
}

/* From the window at @at, which was looked at, on to the next one that the index knows. */
static uint32_t match_roll(struct hsr_match *match, uint32_t budget)
{
    const uint8_t *window;
    uint32_t room = match_room(match, &window);
    uint32_t rolled;
    bool found;

    if (room == 0) {
        match->rolling = false;
        match_pass(match, 1);
        return 1;
    }
    rolled = hsr_delta_scan(match->index, window, HSR_MIN(room, budget), &match->state, &found);
    match_pass(match, rolled);
    if (!found)
        return rolled;
    if (!match_here(match, window + rolled, true)) {
        match->false_count++;
        match->rolling = !match_is_blunt(match);
    }
    return rolled + PROBE_COST + match->index->plan.block_size / HASH_SPEED;
}

void hsr_match_begin(struct hsr_match *match, const struct hsr_delta_index *index,
                     const struct hsr_delta_key *key, struct hsr_match_cursor *cursor,
                     const struct hsr_match_region *region)
{
    hsr_assert(index->phase == HSR_DELTA_INDEX_READY);
    hsr_assert(region->size >= 1 && region->size <= HSR_PATCH_REGION_MAX);
    hsr_assert(region->offset + region->size <= region->new_size);
    *match = (struct hsr_match){ .region = *region, .cursor = cursor, .index = index, .key = key };
    if (!cursor->is_known || cursor->offset != region->offset)
        return;
    match->run_known = true;
    match->run_base = cursor->base_offset;
    if (cursor->rest > 0 && cursor->base_offset >= region->copy_min)
        match_found(match, 0, HSR_PATCH_COPY, cursor->base_offset, cursor->rest);
}

static void match_finish(struct hsr_match *match)
{
    const struct hsr_match_region *region = &match->region;

    match->literal_size += region->size - match->literal;
    match_put(match, HSR_PATCH_LITERAL, 0, region->size - match->literal);
    match->literal = region->size;
    *match->cursor = (struct hsr_match_cursor){ .offset = region->offset + region->size,
                                                .base_offset = match->run_base,
                                                .rest = match->rest,
                                                .is_known = match->run_known };
    match->done = true;
}

bool hsr_match_step(struct hsr_match *match, uint32_t budget)
{
    uint32_t spent = 0;

    while (match->at < match->region.size && spent < budget)
        spent += match->rolling ? match_roll(match, budget - spent) : match_probe(match);
    hsr_assert(match->at <= match->region.size);
    if (match->at == match->region.size && !match->done)
        match_finish(match);
    return match->done;
}

size_t hsr_match_payload_size(const struct hsr_match *match)
{
    hsr_assert(match->done);
    return hsr_patch_table_size(match->region.items, match->item_count, match->region.offset) +
           match->literal_size;
}
