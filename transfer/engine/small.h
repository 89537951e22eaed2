/* Small files by delta. The target's hands make the sums of an old version while they compare it,
 * and the sums travel with the wish for the file (WANT, PATCH); the source's streams compare while
 * they fill a pack, and a member is a patch where that is shorter; the target's streams make the
 * file from it. All of a file fits into memory, so each of these is one call. Whatever does not
 * come out, the file's digest tells: then it is wanted whole. */
#ifndef HSR_ENGINE_SMALL_H
#define HSR_ENGINE_SMALL_H

#include "transfer/engine/stream.h"
#include "transfer/tree/basis.h"

/* A file below this travels whole: its sums and the patch would not be shorter. */
#define HSR_SMALL_MIN ((uint64_t)512)

/* The sums of an old version at the source, from WANT until the file was sent. Owned by its entry.
 */
struct hsr_small_sums {
    struct hsr_delta_plan plan;
    uint32_t size; /* bytes of the sums */
    uint8_t bytes[];
};

/** Copy the sums of a PATCH item, checked, into the plan's memory for deltas. NULL: no room; the
 * file is sent whole. */
struct hsr_small_sums *hsr_small_sums_make(struct hsr_engine *engine,
                                           const struct hsr_want_item *item);

/** Give them back; harmless with NULL. */
void hsr_small_sums_free(struct hsr_engine *engine, struct hsr_small_sums *sums);

/** Source: make a patch of the @size bytes of a file, in place. Returns its size; 0: it would not
 * be shorter, or there is no memory, and the bytes are as they were. @ret_literal: bytes of content
 * that are in it. */
uint32_t hsr_small_patch(struct hsr_stream *stream, const struct hsr_small_sums *sums,
                         const struct hsr_delta_key *key, uint8_t *bytes, uint32_t size,
                         uint32_t *ret_literal);

/** Target, a hand: the sums of what has @entry's name in @dir.
 *
 * @param memory  HSR_DELTA_SMALL_BASE_MAX bytes to read into
 * @param out     @room bytes for the sums
 * @return bytes of the sums, and the plan they follow; 0: a patch would not pay, they have no room,
 *   or it could not be read */
uint32_t hsr_small_sign(struct hsr_tree *tree, const struct hsr_dir *dir,
                        const struct hsr_entry *entry, const struct hsr_delta_key *key,
                        uint8_t *memory, uint8_t *out, uint32_t room,
                        struct hsr_delta_plan *ret_plan);

/** Target: make the content of a pack's member from the patch that came and from what has its name.
 * @ret_bytes: entry->size bytes, until the next call. Counts item->copied.
 *
 * @return 0; HSR_E_CHANGED: it cannot be made (another size, unreadable, no memory); negative: the
 *   patch is none (hsr_patch_open()) */
int hsr_small_make(struct hsr_stream *stream, struct hsr_pack_item *item,
                   const struct hsr_entry *entry, struct hsr_span patch, const uint8_t **ret_bytes);

/** Free what a stream has for these, of either side. */
void hsr_small_destroy(struct hsr_stream *stream);

#endif
