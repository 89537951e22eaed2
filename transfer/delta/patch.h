/* The payload of a PATCH frame: how one region of the new file is made of the base and of new
 * bytes.
 *
 *   u32 count, then for each item a varint ((size - 1) * 4 + kind) and, for a COPY, a varint: the
 *   zigzag of its base offset minus the expected one; then the bytes of all LITERAL items, in order
 *
 * A varint has 7 bits a byte, low ones first, the upper bit set in all but the last, and no more
 * bytes than it needs. Expected is first the region's own offset, then where the last COPY ended
 * plus the sizes of the items since: so after a block that was changed the next COPY costs one byte
 * for its base. Sizes add up to the region's. Pure. */
#ifndef HSR_DELTA_PATCH_H
#define HSR_DELTA_PATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define HSR_PATCH_ITEMS_MAX 4096u /* of one frame: 64 KiB of memory */
#define HSR_PATCH_REGION_MAX ((uint32_t)4 << 20) /* bytes */
#define HSR_PATCH_ITEM_SIZE_MAX 14u /* bytes of one item on the wire: a size of 4, a base of 10 */
#define HSR_PATCH_TABLE_SIZE_MAX (4u + HSR_PATCH_ITEMS_MAX * HSR_PATCH_ITEM_SIZE_MAX)

enum hsr_patch_kind {
    HSR_PATCH_LITERAL, /* new bytes, in the payload */
    HSR_PATCH_COPY, /* bytes of the base */
    HSR_PATCH_ZERO, /* zeros */
    HSR_PATCH_KIND_COUNT
};

struct hsr_patch_item {
    uint64_t base_offset; /* of a COPY; else 0 */
    uint32_t size; /* bytes; not 0 */
    uint32_t kind; /* enum hsr_patch_kind */
};

/** Where a patch belongs and what it may refer to. */
struct hsr_patch_bounds {
    uint64_t offset; /* of the region in the new file */
    uint64_t base_size;
    uint64_t copy_min; /* a COPY begins here in the base, or later */
    uint32_t size; /* bytes of the region; 1 .. HSR_PATCH_REGION_MAX */
};

/** Bytes of the table (count and items) on the wire. */
size_t hsr_patch_table_size(const struct hsr_patch_item *items, uint32_t count, uint64_t offset);

/** Write the table; @out has hsr_patch_table_size() bytes. Returns them. */
size_t hsr_patch_table_encode(const struct hsr_patch_item *items, uint32_t count, uint64_t offset,
                              uint8_t *out);

/* Moves a region's literal bytes together, a slice at a time. */
struct hsr_patch_gather {
    const struct hsr_patch_item *items;
    const uint8_t *region;
    uint8_t *out;
    uint32_t count;
    uint32_t next; /* item */
    uint32_t done; /* bytes of that item */
};

/** @out may be @region itself, or before it: bytes only move down. */
void hsr_patch_gather_init(struct hsr_patch_gather *gather, const struct hsr_patch_item *items,
                           uint32_t count, const uint8_t *region, uint8_t *out);

/** Move up to @budget bytes; true when all literal bytes are at @out. */
bool hsr_patch_gather_step(struct hsr_patch_gather *gather, size_t budget);

/* A payload that was checked, and where its reader is. */
struct hsr_patch {
    struct hsr_reader table; /* items left */
    const uint8_t *literals; /* those of the items left */
    uint64_t expected; /* base offset */
    uint32_t count; /* items left */
    uint32_t size; /* bytes of the region that the items left make */
};

/** Check the whole payload and begin to read it; it is borrowed. @bounds->size and base_size are
 * our own, checked.
 *
 * @return 0; HSR_E_TRUNCATED: the table ends too early; HSR_E_LIMIT: too many items, a range
 *   outside the base or before copy_min, more bytes than the region; HSR_E_PROTOCOL: anything else
 *   that is not what an encoder writes */
int hsr_patch_open(struct hsr_patch *patch, struct hsr_span payload,
                   const struct hsr_patch_bounds *bounds);

/** The next item, in the order of the region, and where a LITERAL's bytes are (else NULL); false
 * after the last. The table is read from the payload as it goes. */
bool hsr_patch_next(struct hsr_patch *patch, struct hsr_patch_item *ret_item,
                    const uint8_t **ret_literal);

#endif
