/* What becomes of a target's chunk whose grant is there: a piece of a file is written
 * (stream_write.c), a pack's files are made (stream_make.c). See stream_target.c for the rest. */
#ifndef HSR_ENGINE_STREAM_TARGET_H
#define HSR_ENGINE_STREAM_TARGET_H

#include "transfer/engine/stream.h"

/** Write the chunk, of a range that is granted; verified, or made by hsr_patch_make().
 * hsr_stream_chunk_done() follows, now or later; after a pause, or while another stream has its
 * turn at the file, the chunk still waits, and this is called again. */
void hsr_stream_write(struct hsr_chunk *chunk);

/** Make the pack's files, a slice at a time: call again until hsr_stream_chunk_done() was; each
 * file's result is in its item. */
void hsr_stream_make(struct hsr_chunk *chunk);

/* stream_target.c */

/** Nothing more is done with it; intake->rc or its items say how it went. */
void hsr_stream_chunk_done(struct hsr_chunk *chunk);

/** To the home: ask for a grant, or for another batch, or say that it is done. */
void hsr_stream_intake_send(struct hsr_intake *intake);

#endif
