/* The rolling sum of whole blocks. */
#include "transfer/delta/weak.h"

uint64_t hsr_weak_block(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint64_t state = 0;

    for (size_t i = 0; i < size; i++)
        state = (state + at[i]) * HSR_WEAK_MULTIPLIER;
    return state;
}

void hsr_weak_table_init(struct hsr_weak_table *table, uint32_t window_size)
{
    uint64_t power = 1, base = HSR_WEAK_MULTIPLIER;

    for (uint32_t left = window_size; left > 0; left /= 2, base *= base)
        if (left & 1)
            power *= base;
    for (unsigned byte = 0; byte < 256; byte++)
        table->out[byte] = byte * power;
}
