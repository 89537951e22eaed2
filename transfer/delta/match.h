/* Finds what a region of the new file has in common with the base.
 *
 * A region is a chunk of the new file; regions of one range come in ascending order and share a
 * cursor, which carries what crosses from one to the next. At each position, in this order:
 *
 *   1. the block that follows the last match in the base, and the block at the same offset: one
 *      strong hash of the window, two comparisons, nothing is rolled
 *   2. zeros
 *   3. the index, by the weak sum
 *   4. if one of the blocks of 1. has its successor right behind the window, the window is new
 *      bytes: no other block could lie between the two
 *   5. else the weak sum rolls, byte by byte, until the index knows it
 *
 * So what did not move costs one fast hash, and only what is new or has just been shifted is
 * rolled through. Windows that begin in the region may end in the bytes ahead of it. Pure: works on
 * the caller's memory, in slices. */
#ifndef HSR_DELTA_MATCH_H
#define HSR_DELTA_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "transfer/delta/index.h"
#include "transfer/delta/patch.h"
#include "transfer/delta/sign.h"

/* One call's worth of work, about 50 us: as many bytes are rolled, or 16 times as many compared. */
#define HSR_MATCH_BUDGET ((uint32_t)49152)

/* What a range knows behind its last region. Begin with zeros. */
struct hsr_match_cursor {
    uint64_t offset; /* in the new file: where the next region must begin for this to hold */
    uint64_t base_offset; /* the base has there what is expected at @offset */
    uint32_t rest; /* bytes from there that were already compared */
    bool is_known; /* something was matched before */
};

/* One region. All memory is borrowed until the match is done. */
struct hsr_match_region {
    const uint8_t *bytes;
    uint32_t size; /* 1 .. HSR_PATCH_REGION_MAX */
    uint64_t offset; /* in the new file */
    struct hsr_span ahead; /* what follows it; up to block_size - 1 bytes are used; may be empty */
    uint64_t new_size; /* of the whole new file */
    uint64_t copy_min; /* no copy begins below this in the base (in place); else 0 */
    uint8_t *seam; /* hsr_match_seam_size() bytes */
    struct hsr_patch_item *items; /* HSR_PATCH_ITEMS_MAX of them: the result */
};

struct hsr_match {
    struct hsr_match_region region;
    struct hsr_match_cursor *cursor;
    const struct hsr_delta_index *index;
    const struct hsr_delta_key *key;
    uint64_t run_base; /* the base offset that is expected at @at, if @run_known */
    uint64_t state; /* of the window at @at, if @rolling */
    uint32_t at; /* next position to look at */
    uint32_t literal; /* all before it is in items */
    uint32_t rest; /* of a copy beyond the region's end */
    uint32_t item_count;
    uint32_t literal_size; /* bytes of all LITERAL items */
    uint32_t false_count; /* windows whose weak sum alone was known */
    uint32_t seam_start; /* position of the seam's first byte */
    uint32_t seam_size; /* 0: not filled yet */
    bool run_known;
    bool rolling;
    bool done;
};

/** Bytes of memory that a match needs for windows that cross the region's end. */
size_t hsr_match_seam_size(const struct hsr_delta_plan *plan);

/** Begin with a region. @index is ready, and made with @key. A cursor that does not fit @region's
 * offset is begun anew. */
void hsr_match_begin(struct hsr_match *match, const struct hsr_delta_index *index,
                     const struct hsr_delta_key *key, struct hsr_match_cursor *cursor,
                     const struct hsr_match_region *region);

/** Work for about @budget units (HSR_MATCH_BUDGET). True when done: then region.items[0 ..
 * item_count) make up the region, and the cursor is ready for the next. */
bool hsr_match_step(struct hsr_match *match, uint32_t budget);

/** Bytes of the patch payload of a match that is done. Send plain data unless this is less than
 * the region's size. */
size_t hsr_match_payload_size(const struct hsr_match *match);

#endif
