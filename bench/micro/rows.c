/* All rows in order, and memory for them. */
#include "bench/micro/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"

#define ALIGN 64u /* a cache line, and the widest vector */

static const struct hsr_micro_table *const tables[] = {
    &hsr_micro_hash,   &hsr_micro_blake3, &hsr_micro_delta,   &hsr_micro_proto,
    &hsr_micro_filter, &hsr_micro_ring,   &hsr_micro_message,
};

const struct hsr_micro_row *hsr_micro_row(size_t index)
{
    for (size_t i = 0; i < HSR_ARRAY_COUNT(tables); i++) {
        if (index < tables[i]->count)
            return &tables[i]->rows[index];
        index -= tables[i]->count;
    }
    return NULL;
}

void *hsr_micro_alloc(size_t size)
{
    size_t rounded = HSR_ALIGN_UP(size, (size_t)ALIGN);
    void *memory = aligned_alloc(ALIGN, rounded);

    hsr_assert(memory != NULL);
    memset(memory, 0, rounded);
    return memory;
}
