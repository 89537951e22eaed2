/* The target machine, at its session's home: compares pages with its own tree, makes what needs no
 * data, asks for the rest, resolves packs and ranges for the streams, commits, prunes, finishes
 * directories, acknowledges pages and ends with DONE. Steps are bounded slices. */
#ifndef HSR_ENGINE_TARGET_H
#define HSR_ENGINE_TARGET_H

#include "transfer/engine/stream.h"

int hsr_target_create(struct hsr_session *session);
void hsr_target_step(struct hsr_session *session);
/** What the home waits for when it has nothing to do. */
enum hsr_figure hsr_target_waits(const struct hsr_session *session);
int hsr_target_frame(struct hsr_session *session, const struct hsr_frame *frame,
                     struct hsr_span payload);
/** A stream asks for a grant, or gives an intake back: the home's next step deals with it. */
void hsr_target_intake_came(struct hsr_session *session, struct hsr_intake *intake);
/** A data connection is being lost: files that wait for what it had must not block others. */
void hsr_target_loses(struct hsr_session *session);
/** @stream is lost, and freed after this. */
void hsr_target_stream_gone(struct hsr_session *session, const struct hsr_stream *stream);
/** A stream tells of units that have come: intake->units. */
void hsr_target_units(struct hsr_session *session, struct hsr_intake *intake);
/** Is no system call of the machine under way? Then it may be destroyed. */
/** The session closes: what waits here for something goes home. */
void hsr_target_closing(struct hsr_session *session);
bool hsr_target_idle(const struct hsr_session *session);
void hsr_target_destroy(struct hsr_session *session);
/** What signatures before their turn came to; some microseconds. */
void hsr_target_ahead_figures(struct hsr_target *target, struct hsr_ahead *ret_figures);
/** The source has stopped, and no stream is left: is everything that came named, kept, synced and
 * told? Home steps until it is. */
bool hsr_target_stopped(struct hsr_session *session);
/** Files that are not complete, of which a part is kept for a later session; and bytes of these
 * parts. */
void hsr_target_left(const struct hsr_session *session, uint64_t *ret_files, uint64_t *ret_bytes);
/** How many files have reached which level. */
void hsr_target_levels(const struct hsr_target *target, struct hsr_levels *ret_levels);
/** Must what is made in @dir be synced before it gets its name? Any shard. */
bool hsr_target_groups(const struct hsr_session *session, const struct hsr_dir *dir);
/** Bytes for the small files of a target that wait for a sync, for the plan. */
size_t hsr_target_groups_bytes(void);
/** Bytes for the large files that a target stages at once, for the plan. What a lost connection may
 * hold up beside these is outside it. */
size_t hsr_target_files_bytes(void);
/** Bytes that one hand of a target needs, for the plan. */
size_t hsr_target_hand_bytes(void);
/** Bytes for what is kept for later sessions. */
size_t hsr_target_journal_bytes(void);
/** Bytes for the old versions of a target's files. */
size_t hsr_target_bases_bytes(void);

#endif
