/* Data connections that are lost while the control connection lives: the others take over, and the
 * client joins a new one in its place (docs/PROTOCOL.md 5.8).
 *
 *   alive -> gone (ours gave everything back) -> told (LOST was sent) -\
 *                                  heard (LOST came; ours is closed) --+-> settled -> joined again
 *
 * Home thread. */
#ifndef HSR_ENGINE_LOSS_H
#define HSR_ENGINE_LOSS_H

#include <stdbool.h>
#include <stdint.h>

#include "transfer/engine/conn.h"
#include "transfer/proto/frame.h"

struct hsr_session;
struct hsr_stream;

struct hsr_losses {
    uint64_t gone, told, heard; /* a bit for each stream, as above */
    uint64_t again; /* client: settled, to be joined at due_ns */
    uint64_t ends[HSR_STREAMS_MAX]; /* PACKs and RANGE_ENDs that arrived on the lost one */
    uint64_t due_ns[HSR_STREAMS_MAX];
    uint64_t joined_ns[HSR_STREAMS_MAX];
    uint8_t tries[HSR_STREAMS_MAX]; /* of joining again, since one that was of use */
    uint64_t count; /* in all */
    int rc; /* why the last one was lost */
    char why[HSR_CONN_WHY_SIZE]; /* words about it; or "" */
    /* target */
    uint64_t taken[HSR_STREAMS_MAX]; /* ends that were dealt with, of the connection of now */
    uint64_t taken_told[HSR_STREAMS_MAX];
};

/** Can the session do without the stream that ended because of @rc? */
bool hsr_loss_may(const struct hsr_session *session, int rc);

/** @stream is lost, and has given everything back; it is freed after this. */
void hsr_loss_gone(struct hsr_session *session, const struct hsr_stream *stream, int rc);

/** It has joined. */
void hsr_loss_joined(struct hsr_session *session, const struct hsr_stream *stream);

/** LOST came. 0 or HSR_E_PROTOCOL. */
int hsr_loss_frame(struct hsr_session *session, const struct hsr_frame *frame);

/** Ten times a second: tell, and join again. */
void hsr_loss_tick(struct hsr_session *session);

/** Is a loss not settled yet? */
bool hsr_loss_open(const struct hsr_session *session);

/** May stream @index be joined, or is an older one not settled? */
bool hsr_loss_settled(const struct hsr_session *session, uint32_t index);

/** Target: one more range or pack of stream @index is dealt with; now and then the source is told,
 * so that it may forget. */
void hsr_loss_taken(struct hsr_session *session, uint32_t index);

#endif
