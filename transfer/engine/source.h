/* The source machine, at its session's home: walks, sends pages, hears what is wanted, deals ranges
 * and packs to the streams, checks files after their last read. Steps are bounded slices. */
#ifndef HSR_ENGINE_SOURCE_H
#define HSR_ENGINE_SOURCE_H

#include "transfer/engine/stream.h"

#define HSR_SOURCE_PATHS_MAX                                                                       \
    1000000u /* of one pull: their text is bounded by the peer's patience */

int hsr_source_create(struct hsr_session *session);
/** Server: a PATHS frame of a pull, or all of them are there. */
int hsr_source_paths(struct hsr_session *session, struct hsr_span payload);
/** What the home waits for when it has nothing to do. */
enum hsr_figure hsr_source_waits(const struct hsr_session *session);

void hsr_source_step(struct hsr_session *session);
int hsr_source_frame(struct hsr_session *session, const struct hsr_frame *frame,
                     struct hsr_span payload);
/** The target has dealt with so many PACKs and RANGE_ENDs of a stream. 0 or HSR_E_PROTOCOL. */
int hsr_source_taken(struct hsr_session *session, uint32_t index, uint64_t ends);
/** A stream is lost, and so many of its PACKs and RANGE_ENDs arrived: send the rest again. */
int hsr_source_lost(struct hsr_session *session, uint32_t index, uint64_t arrived);
/** @stream is freed after this. */
void hsr_source_stream_gone(struct hsr_session *session, const struct hsr_stream *stream);
/** A work came back. */
void hsr_source_work_done(struct hsr_session *session, struct hsr_work *work);
/** All lent work is home. */
void hsr_source_destroy(struct hsr_session *session);
/** Has FILE_END been sent of every file that is through? Else it will be, without a stream. */
bool hsr_source_ends_told(const struct hsr_source *source);
/** Bytes that a source remembers of each stream, for the plan. */
size_t hsr_source_lane_bytes(void);
/** Bytes that one hand of a source needs, for the plan. */
size_t hsr_source_hand_bytes(void);
/** And what its signatures need beside their sums and indexes. */
size_t hsr_source_deltas_bytes(void);

struct hsr_small_sums;

/* for streams: opens one pack member or reads an entry's identity */
struct hsr_source_view {
    const struct hsr_walk *walk;
    const struct hsr_dir *dir;
    char name[HSR_NAME_MAX + 1];
    struct hsr_source_identity identity;
    uint32_t page;
    uint64_t size;
    bool sparse;
    const struct hsr_small_sums *sums; /* of the target's old version; NULL: none. Borrowed */
};
void hsr_source_view(const struct hsr_source_page *page, uint16_t index,
                     struct hsr_source_view *ret_view);

#endif
