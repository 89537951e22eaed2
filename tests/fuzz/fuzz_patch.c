/* Payloads of PATCH frames: what is accepted makes up exactly its region, refers to nothing outside
 * its bounds, and encodes to the same bytes. The first ten bytes say how many zeros follow the
 * input, and the bounds. */
#include <string.h>

#include "base/err.h"
#include "tests/fuzz/fuzz.h"
#include "transfer/delta/patch.h"

#define HEAD 10u
#define INPUT_MAX 8192u

static uint8_t payload[INPUT_MAX + 65536];
static uint8_t again[HSR_PATCH_TABLE_SIZE_MAX];
static struct hsr_patch_item items[HSR_PATCH_ITEMS_MAX];

static uint32_t get_u16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static void accepted(struct hsr_patch *patch, const struct hsr_patch_bounds *bounds, size_t size)
{
    const uint8_t *literal;
    uint64_t total = 0, literals = 0;
    uint32_t count = 0;
    size_t table;

    for (; hsr_patch_next(patch, &items[count], &literal); count++) {
        const struct hsr_patch_item *item = &items[count];

        FUZZ_CHECK(item->size > 0 && item->kind < HSR_PATCH_KIND_COUNT);
        total += item->size;
        if (item->kind == HSR_PATCH_COPY) {
            FUZZ_CHECK(item->base_offset >= bounds->copy_min);
            FUZZ_CHECK(item->base_offset <= bounds->base_size);
            FUZZ_CHECK(item->size <= bounds->base_size - item->base_offset);
        } else if (item->kind == HSR_PATCH_LITERAL) {
            FUZZ_CHECK(literal >= payload && literal + item->size <= payload + size);
            literals += item->size;
        }
    }
    FUZZ_CHECK(total == bounds->size);
    table = hsr_patch_table_size(items, count, bounds->offset);
    FUZZ_CHECK(table + literals == size);
    FUZZ_CHECK(hsr_patch_table_encode(items, count, bounds->offset, again) == table);
    FUZZ_CHECK(memcmp(again, payload, table) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct hsr_patch_bounds bounds;
    struct hsr_patch patch;
    size_t tail;
    int rc;

    if (size < HEAD || size > INPUT_MAX)
        return 0;
    tail = get_u16(bytes);
    bounds = (struct hsr_patch_bounds){ .offset = (uint64_t)get_u16(bytes + 2) << 16,
                                        .base_size = (uint64_t)get_u16(bytes + 4) << 8,
                                        .copy_min = (uint64_t)get_u16(bytes + 6) << 8,
                                        .size = get_u16(bytes + 8) + 1 };
    size -= HEAD;
    memcpy(payload, bytes + HEAD, size);
    memset(payload + size, 0, tail);
    rc = hsr_patch_open(&patch, (struct hsr_span){ payload, size + tail }, &bounds);
    FUZZ_CHECK(rc == 0 || rc == HSR_E_TRUNCATED || rc == HSR_E_PROTOCOL || rc == HSR_E_LIMIT);
    if (rc == 0)
        accepted(&patch, &bounds, size + tail);
    return 0;
}
