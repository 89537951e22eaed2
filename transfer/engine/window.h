/* What a file that is changed in place held before: the old content of the last blocks that were
 * written over, for patches that copy from behind where they write. The file is written in
 * ascending order by one stream; blocks that stayed the same are not kept, the file still has them.
 * Pure. */
#ifndef HSR_ENGINE_WINDOW_H
#define HSR_ENGINE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "transfer/proto/delta.h"

#define HSR_WINDOW_BLOCK 4096u
#define HSR_WINDOW_BLOCKS (HSR_INPLACE_WINDOW / HSR_WINDOW_BLOCK)

struct hsr_window {
    uint64_t front; /* bytes from here on are as they were; a multiple of the block */
    const void *maker; /* whose turn it is to move the front; NULL: nobody's */
    uint32_t size; /* bytes; a multiple of the block */
    uint64_t kept[HSR_WINDOW_BLOCKS / 64]; /* blocks before the front that are in `bytes` */
    uint8_t bytes[]; /* byte p of the file at p modulo the size */
};

/** Bytes that the window of a file of @file_size has: as much as the protocol says, or all of it.
 */
uint32_t hsr_window_bytes(uint64_t file_size);

/** Free it with free(). NULL: no memory. */
struct hsr_window *hsr_window_create(uint64_t file_size);

/** Where the first bytes of [@offset, @offset + @size) of the old content are now: in the window
 * (*ret_bytes), or in the file (NULL). @offset is at most HSR_INPLACE_WINDOW before the front.
 * @return how many are there, at least 1 */
uint32_t hsr_window_find(const struct hsr_window *window, uint64_t offset, uint32_t size,
                         const uint8_t **ret_bytes);

/** The old content of [@offset, @offset + @size) is about to be written over: whole blocks, at the
 * front or behind it, but for the file's end. What is to be read there first, and how much of it.
 */
uint8_t *hsr_window_keep(struct hsr_window *window, uint64_t offset, uint32_t size,
                         uint32_t *ret_size);

/** The region [front, @end) is done: of its blocks those are kept for which @changed has a bit. */
void hsr_window_advance(struct hsr_window *window, uint64_t end, const uint64_t *changed);

#endif
