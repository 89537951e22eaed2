/* A source's stream compares what it has read with the old version that the target has, and makes
 * patches of chunks: in the chunk's own buffer, in slices. One chunk at a time. */
#ifndef HSR_ENGINE_PATCHER_H
#define HSR_ENGINE_PATCHER_H

#include "transfer/engine/stream.h"

struct hsr_patcher;

/** Compare the chunks that wait for it, oldest first, until something else waits for this thread
 * or a chunk waits for the one behind it; then the stream is woken again. */
void hsr_patcher_step(struct hsr_stream *stream);

/** The chunk will not be sent: forget it, if it is the one. */
void hsr_patcher_forget(struct hsr_stream *stream, const struct hsr_chunk *chunk);

/** Free it, if there is one. */
void hsr_patcher_destroy(struct hsr_stream *stream);

#endif
