/* The patches of a target's stream: a region of a file is made of what came and of the old version,
 * in the buffer in which the patch came. See stream_patch.c. */
#ifndef HSR_ENGINE_STREAM_PATCH_H
#define HSR_ENGINE_STREAM_PATCH_H

#include "transfer/engine/stream.h"

/** Where in its buffer the payload of the frame that comes now belongs. */
uint32_t hsr_patch_place(const struct hsr_stream *stream, const struct hsr_frame *frame);

/** The payload of a PATCH is there. 0, HSR_E_CHECK, HSR_E_PROTOCOL, -ENOMEM: the connection ends.
 */
int hsr_patch_arrived(struct hsr_chunk *chunk);

/** Make the content of a granted chunk, and see to it that it may be written: whatever its kind.
 * True: it is done, or intake->rc says why not (intake->stale: the delta failed). False: the task
 * is woken when it is worth another try. */
bool hsr_patch_make(struct hsr_chunk *chunk);

/** The chunk is done with, however far it came. */
void hsr_patch_forget(struct hsr_chunk *chunk);

/** Step over what the file has already, from chunk->done on; true: nothing is left to write. Else
 * *ret_size is lowered to the run to write. */
/* intake->rewrite. */
bool hsr_patch_skip_same(struct hsr_chunk *chunk, uint32_t *ret_size);

#endif
