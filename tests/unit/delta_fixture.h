/* A base, a new content, and all that lies between them: signature, index, match, patch, and the
 * content made again from it. */
#ifndef HSR_DELTA_FIXTURE_H
#define HSR_DELTA_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/delta/match.h"

struct delta_case {
    uint8_t *base;
    uint8_t *fresh;
    size_t base_size;
    size_t fresh_size;
    uint32_t block_size; /* 0: by the cost model */
    uint32_t region_size;
    uint32_t range_regions; /* regions that share a cursor and have bytes ahead; 0: all */
    uint32_t budget; /* 0: HSR_MATCH_BUDGET */
    uint64_t window; /* in place: how far back a copy may reach; 0: everywhere */
    uint32_t sums_spoilt; /* every this many sums get a wrong strong hash; 0: none */
    uint32_t searched; /* only so many blocks have true weak sums; 0: all */
};

struct delta_result {
    uint64_t payload; /* bytes of all patches */
    uint64_t literal;
    uint64_t zero;
    uint64_t backward; /* least of a copy's base offset minus its own, as a distance */
    uint32_t items;
    uint32_t steps; /* calls of hsr_match_step() */
    bool same; /* what was made is what was wanted */
};

static const uint8_t delta_secret[HSR_DELTA_KEY_SIZE] = { 1, 2, 3 };

static inline void *delta_alloc(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);

    hsr_assert(memory != NULL);
    return memory;
}

static inline void delta_random(uint8_t *bytes, size_t size, uint64_t seed)
{
    struct hsr_prng prng = hsr_prng_init(seed);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(hsr_prng_next(&prng) >> 32);
}

/* Signature and index of a base. The index' memory is its `filter`. */
static inline void delta_index_make(struct hsr_delta_index *index, const struct hsr_delta_key *key,
                                    const struct hsr_delta_plan *plan, const uint8_t *base,
                                    uint32_t sums_spoilt, uint32_t searched)
{
    uint8_t *sums = delta_alloc(hsr_delta_signature_size(plan));
    size_t size = hsr_delta_signature_size(plan), sum_size = hsr_delta_sum_size(plan);
    uint32_t half = hsr_delta_blocks(plan) / 2;
    int rc;

    hsr_delta_sign(plan, key, base, plan->base_size, 0, sums);
    if (sums_spoilt > 0)
        for (uint32_t i = 0; i < hsr_delta_blocks(plan); i += sums_spoilt)
            sums[i * sum_size + HSR_DELTA_WEAK_SIZE] ^= (uint8_t)(1 + i % 255);
    for (uint32_t i = searched; searched > 0 && i < hsr_delta_blocks(plan); i++)
        sums[i * sum_size + 1] ^= 1;
    hsr_delta_index_init(index, plan, delta_alloc(hsr_delta_index_size(plan)));
    rc = hsr_delta_index_put(index, 0, sums, half * sum_size);
    hsr_assert(rc == 0);
    rc = hsr_delta_index_put(index, half, sums + half * sum_size, size - half * sum_size);
    hsr_assert(rc == 0);
    while (!hsr_delta_index_build(index, 100))
        ;
    free(sums);
}

/* One region: through the wire's form, and applied to @out. */
static inline bool delta_apply(const struct delta_case *c, const struct hsr_match *match,
                               uint8_t *out, struct delta_result *result)
{
    const struct hsr_match_region *region = &match->region;
    size_t size = hsr_match_payload_size(match);
    uint8_t *payload = delta_alloc(size);
    struct hsr_patch_bounds bounds = { .offset = region->offset,
                                       .base_size = c->base_size,
                                       .copy_min = region->copy_min,
                                       .size = region->size };
    struct hsr_patch_gather gather;
    struct hsr_patch_item item;
    const uint8_t *literal;
    struct hsr_patch patch;
    size_t table;
    bool valid;

    table = hsr_patch_table_encode(region->items, match->item_count, region->offset, payload);
    hsr_assert(table + match->literal_size == size);
    hsr_patch_gather_init(&gather, region->items, match->item_count, region->bytes,
                          payload + table);
    while (!hsr_patch_gather_step(&gather, 5000))
        ;
    valid = hsr_patch_open(&patch, (struct hsr_span){ payload, size }, &bounds) == 0;
    for (uint64_t at = region->offset; valid && hsr_patch_next(&patch, &item, &literal);
         at += item.size) {
        if (item.kind == HSR_PATCH_LITERAL) {
            memcpy(out + at, literal, item.size);
            result->literal += item.size;
        } else if (item.kind == HSR_PATCH_COPY) {
            memcpy(out + at, c->base + item.base_offset, item.size);
            if (item.base_offset < at)
                result->backward = HSR_MAX(result->backward, at - item.base_offset);
        } else {
            memset(out + at, 0, item.size);
            result->zero += item.size;
        }
        result->items++;
    }
    result->payload += size;
    free(payload);
    return valid;
}

static inline struct delta_result delta_run(const struct delta_case *c)
{
    struct delta_result result = { .same = true };
    struct hsr_match_cursor cursor = { 0 };
    struct hsr_match_region region;
    struct hsr_delta_index index;
    struct hsr_delta_plan plan;
    struct hsr_delta_key key;
    struct hsr_match match;
    uint8_t *out = delta_alloc(c->fresh_size);
    uint32_t number = 0;
    int rc = hsr_delta_plan_make(c->base_size, c->fresh_size, c->block_size, &plan);

    hsr_assert(rc == 0);
    hsr_delta_key_init(&key, delta_secret);
    delta_index_make(&index, &key, &plan, c->base, c->sums_spoilt, c->searched);
    region.seam = delta_alloc(hsr_match_seam_size(&plan));
    region.items = delta_alloc(HSR_PATCH_ITEMS_MAX * sizeof(*region.items));
    for (size_t at = 0; at < c->fresh_size; at += region.size, number++) {
        size_t end;

        if (c->range_regions > 0 && number % c->range_regions == 0)
            cursor = (struct hsr_match_cursor){ 0 };
        region.size = (uint32_t)HSR_MIN((size_t)c->region_size, c->fresh_size - at);
        region.offset = at;
        region.new_size = c->fresh_size;
        region.copy_min = c->window > 0 && at > c->window ? at - c->window : 0;
        end = c->range_regions > 0 && (number + 1) % c->range_regions == 0
                  ? at + region.size
                  : HSR_MIN(c->fresh_size, at + region.size + c->region_size);
        /* Memory of exactly this size, so that the address sanitizer sees what reads beyond. */
        uint8_t *bytes = delta_alloc(region.size), *ahead = delta_alloc(end - at - region.size);
        memcpy(bytes, c->fresh + at, region.size);
        memcpy(ahead, c->fresh + at + region.size, end - at - region.size);
        region.bytes = bytes;
        region.ahead = (struct hsr_span){ ahead, end - at - region.size };
        hsr_match_begin(&match, &index, &key, &cursor, &region);
        do
            result.steps++;
        while (!hsr_match_step(&match, c->budget > 0 ? c->budget : HSR_MATCH_BUDGET));
        result.same = delta_apply(c, &match, out, &result) && result.same;
        free(bytes);
        free(ahead);
    }
    result.same = result.same && memcmp(out, c->fresh, c->fresh_size) == 0;
    free(region.seam);
    free(region.items);
    free(index.filter);
    free(out);
    return result;
}

#endif
