/* PATCH payloads, to bytes and back. */
#include "transfer/delta/patch.h"

#include <string.h>

#include "base/base.h"

#define VARINT_BITS 7u
#define VARINT_MORE 0x80u
#define VARINT_SIZE_MAX 10u /* bytes of 64 bits */
#define KIND_BITS 2u
#define KIND_MASK ((1u << KIND_BITS) - 1)
#define COUNT_SIZE 4u

_Static_assert(HSR_PATCH_KIND_COUNT <= 1u << KIND_BITS, "a kind fits beside the size");
_Static_assert((uint64_t)HSR_PATCH_REGION_MAX << KIND_BITS <= 1ull << 28, "a size takes 4 bytes");

static uint64_t zigzag(uint64_t difference)
{
    return difference << 1 ^ (0 - (difference >> 63));
}

static uint64_t unzigzag(uint64_t value)
{
    return value >> 1 ^ (0 - (value & 1));
}

static size_t varint_size(uint64_t value)
{
    return value == 0 ? 1 : (63 - (size_t)__builtin_clzll(value)) / VARINT_BITS + 1;
}

static void put_varint(struct hsr_writer *w, uint64_t value)
{
    for (; value >= VARINT_MORE; value >>= VARINT_BITS)
        hsr_put_u8(w, (uint8_t)(value | VARINT_MORE));
    hsr_put_u8(w, (uint8_t)value);
}

/* False unless it ends, fits into 64 bits, and is as short as it can be. */
static bool get_varint(struct hsr_reader *r, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < VARINT_SIZE_MAX; i++) {
        uint8_t byte = hsr_get_u8(r);

        if (r->failed || (i == VARINT_SIZE_MAX - 1 && byte > 1) || (i > 0 && byte == 0))
            return false;
        value |= (uint64_t)(byte & (VARINT_MORE - 1)) << i * VARINT_BITS;
        if (!(byte & VARINT_MORE)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* What follows @item is expected there. */
static uint64_t expected_next(const struct hsr_patch_item *item, uint64_t expected)
{
    return (item->kind == HSR_PATCH_COPY ? item->base_offset : expected) + item->size;
}

static uint64_t item_head(const struct hsr_patch_item *item)
{
    return (uint64_t)(item->size - 1) << KIND_BITS | item->kind;
}

size_t hsr_patch_table_size(const struct hsr_patch_item *items, uint32_t count, uint64_t offset)
{
    uint64_t expected = offset;
    size_t size = COUNT_SIZE;

    for (uint32_t i = 0; i < count; i++) {
        size += varint_size(item_head(&items[i]));
        if (items[i].kind == HSR_PATCH_COPY)
            size += varint_size(zigzag(items[i].base_offset - expected));
        expected = expected_next(&items[i], expected);
    }
    return size;
}

size_t hsr_patch_table_encode(const struct hsr_patch_item *items, uint32_t count, uint64_t offset,
                              uint8_t *out)
{
    struct hsr_writer w = hsr_writer_init(out, HSR_PATCH_TABLE_SIZE_MAX);
    uint64_t expected = offset;

    hsr_assert(count >= 1 && count <= HSR_PATCH_ITEMS_MAX);
    hsr_put_u32(&w, count);
    for (uint32_t i = 0; i < count; i++) {
        hsr_assert_hot(items[i].size > 0 && items[i].kind < HSR_PATCH_KIND_COUNT);
        put_varint(&w, item_head(&items[i]));
        if (items[i].kind == HSR_PATCH_COPY)
            put_varint(&w, zigzag(items[i].base_offset - expected));
        expected = expected_next(&items[i], expected);
    }
    hsr_assert(!w.failed);
    return w.offset;
}

void hsr_patch_gather_init(struct hsr_patch_gather *gather, const struct hsr_patch_item *items,
                           uint32_t count, const uint8_t *region, uint8_t *out)
{
    *gather =
        (struct hsr_patch_gather){ .items = items, .region = region, .out = out, .count = count };
}

bool hsr_patch_gather_step(struct hsr_patch_gather *gather, size_t budget)
{
    while (gather->next < gather->count && budget > 0) {
        const struct hsr_patch_item *item = &gather->items[gather->next];
        size_t size = HSR_MIN((size_t)(item->size - gather->done), budget);

        if (item->kind != HSR_PATCH_LITERAL) {
            size = item->size;
            budget--; /* an item costs something too */
        } else {
            memmove(gather->out, gather->region, size);
            gather->out += size;
            budget -= size;
        }
        gather->region += size;
        gather->done += (uint32_t)size;
        if (gather->done == item->size) {
            gather->done = 0;
            gather->next++;
        }
    }
    return gather->next == gather->count;
}

static int get_item(struct hsr_reader *table, uint64_t *expected, struct hsr_patch_item *ret_item)
{
    struct hsr_patch_item item = { 0 };
    uint64_t head, difference;

    hsr_require(get_varint(table, &head), table->failed ? HSR_E_TRUNCATED : HSR_E_PROTOCOL);
    hsr_require((head & KIND_MASK) < HSR_PATCH_KIND_COUNT, HSR_E_PROTOCOL);
    hsr_require(head >> KIND_BITS < HSR_PATCH_REGION_MAX, HSR_E_LIMIT);
    item.kind = (uint32_t)(head & KIND_MASK);
    item.size = (uint32_t)(head >> KIND_BITS) + 1;
    if (item.kind == HSR_PATCH_COPY) {
        hsr_require(get_varint(table, &difference),
                    table->failed ? HSR_E_TRUNCATED : HSR_E_PROTOCOL);
        item.base_offset = *expected + unzigzag(difference);
    }
    *expected = expected_next(&item, *expected);
    *ret_item = item;
    return 0;
}

int hsr_patch_open(struct hsr_patch *patch, struct hsr_span payload,
                   const struct hsr_patch_bounds *bounds)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    uint32_t count = hsr_get_u32(&r);
    struct hsr_reader begin = r;
    uint64_t expected = bounds->offset, size = 0, literal_size = 0;
    uint32_t last_kind = HSR_PATCH_KIND_COUNT;

    hsr_assert(bounds->size >= 1 && bounds->size <= HSR_PATCH_REGION_MAX);
    hsr_require(!r.failed, HSR_E_TRUNCATED);
    hsr_require(count >= 1 && count <= HSR_PATCH_ITEMS_MAX, HSR_E_LIMIT);
    for (uint32_t i = 0; i < count; i++) {
        struct hsr_patch_item item;
        int rc = get_item(&r, &expected, &item);

        hsr_require(rc == 0, rc);
        size += item.size;
        hsr_require(size <= bounds->size, HSR_E_LIMIT);
        if (item.kind == HSR_PATCH_COPY)
            hsr_require(item.base_offset >= bounds->copy_min &&
                            item.base_offset < bounds->base_size &&
                            item.size <= bounds->base_size - item.base_offset,
                        HSR_E_LIMIT);
        else /* neighbours of one kind are one item */
            hsr_require(item.kind != last_kind, HSR_E_PROTOCOL);
        if (item.kind == HSR_PATCH_LITERAL)
            literal_size += item.size;
        last_kind = item.kind;
    }
    hsr_require(size == bounds->size, HSR_E_PROTOCOL);
    hsr_require(hsr_reader_left(&r) == literal_size, HSR_E_PROTOCOL);
    *patch = (struct hsr_patch){ .table = begin,
                                 .literals = payload.ptr + r.offset,
                                 .expected = bounds->offset,
                                 .count = count,
                                 .size = bounds->size };
    return 0;
}

bool hsr_patch_next(struct hsr_patch *patch, struct hsr_patch_item *ret_item,
                    const uint8_t **ret_literal)
{
    int rc;

    if (patch->count == 0)
        return false;
    rc = get_item(&patch->table, &patch->expected, ret_item);
    hsr_assert(rc == 0); /* open() checked it */
    hsr_assert(ret_item->size <= patch->size);
    patch->count--;
    patch->size -= ret_item->size;
    *ret_literal = NULL;
    if (ret_item->kind == HSR_PATCH_LITERAL) {
        *ret_literal = patch->literals;
        patch->literals += ret_item->size;
    }
    return true;
}
