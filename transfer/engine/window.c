/* See window.h. */
#include "transfer/engine/window.h"

#include <stdlib.h>

#include "base/base.h"

uint32_t hsr_window_bytes(uint64_t file_size)
{
    uint64_t blocks = (file_size + HSR_WINDOW_BLOCK - 1) / HSR_WINDOW_BLOCK;

    return (uint32_t)(HSR_MIN(HSR_MAX(blocks, 1u), (uint64_t)HSR_WINDOW_BLOCKS) * HSR_WINDOW_BLOCK);
}

struct hsr_window *hsr_window_create(uint64_t file_size)
{
    struct hsr_window *window = calloc(1, sizeof(*window) + hsr_window_bytes(file_size));

    if (window != NULL)
        window->size = hsr_window_bytes(file_size);
    return window;
}

static bool window_has(const struct hsr_window *window, uint64_t block)
{
    uint32_t slot = (uint32_t)(block % (window->size / HSR_WINDOW_BLOCK));

    return window->kept[slot / 64] >> slot % 64 & 1;
}

uint32_t hsr_window_find(const struct hsr_window *window, uint64_t offset, uint32_t size,
                         const uint8_t **ret_bytes)
{
    uint64_t block = offset / HSR_WINDOW_BLOCK, at = offset;
    bool kept = offset < window->front && window_has(window, block);

    hsr_assert(size > 0);
    hsr_assert(offset + HSR_INPLACE_WINDOW >= window->front);
    *ret_bytes = kept ? window->bytes + offset % window->size : NULL;
    while (at < offset + size) {
        if (at >= window->front && !kept)
            return size; /* all of the rest is in the file */
        if (at >= window->front || window_has(window, block) != kept)
            break;
        if (kept && at > offset && at % window->size == 0)
            break; /* the ring goes round */
        block++;
        at = block * HSR_WINDOW_BLOCK;
    }
    return (uint32_t)(HSR_MIN(at, offset + size) - offset);
}

uint8_t *hsr_window_keep(struct hsr_window *window, uint64_t offset, uint32_t size,
                         uint32_t *ret_size)
{
    uint32_t place = (uint32_t)(offset % window->size);

    hsr_assert(offset % HSR_WINDOW_BLOCK == 0 && offset >= window->front);
    *ret_size = HSR_MIN(size, window->size - place);
    return window->bytes + place;
}

void hsr_window_advance(struct hsr_window *window, uint64_t end, const uint64_t *changed)
{
    uint64_t first = window->front / HSR_WINDOW_BLOCK;
    uint64_t count = (end - window->front + HSR_WINDOW_BLOCK - 1) / HSR_WINDOW_BLOCK;

    hsr_assert(window->front % HSR_WINDOW_BLOCK == 0 && end > window->front);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t slot = (uint32_t)((first + i) % (window->size / HSR_WINDOW_BLOCK));
        uint64_t bit = 1ull << slot % 64;

        if (changed[i / 64] >> i % 64 & 1)
            window->kept[slot / 64] |= bit;
        else
            window->kept[slot / 64] &= ~bit;
    }
    window->front = end; /* only the file's end is no multiple of the block */
}
