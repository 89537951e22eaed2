/* Holding a session up, and ending it early in good order (docs/PROTOCOL.md 5.11).
 *
 *   GOING <-> HELD -> STOPPING, GOING -> STOPPING
 *
 * HELD: the source begins nothing new; what has begun to leave leaves, connections stay alive.
 * STOPPING: the same for good. Its streams end when what they send has left; then it says STOP, and
 * the target finishes what came: names what is complete, keeps what is not for a later session,
 * says what that is (LEFT), and ends the session (CANCEL).
 *
 * Home thread, but for what streams look at. */
#ifndef HSR_ENGINE_HOLD_H
#define HSR_ENGINE_HOLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "transfer/proto/frame.h"

#define HSR_HOLD_LOOK_NS (50000000ull) /* how often who is held looks whether it still is */

struct hsr_session;

struct hsr_hold {
    bool wished; /* client: its user wants it held */
    bool told; /* client that is the target: the source knows */
    bool stopping; /* it ends early */
    bool stop_told; /* STOP was sent */
    bool stop_heard; /* STOP came */
    uint64_t stop_ns; /* client: when it ends, finished or not */
    atomic_bool held; /* source: nothing new leaves. Any thread looks */
};

/** Must a source begin nothing new? Any thread. */
static inline bool hsr_hold_is(const struct hsr_hold *hold)
{
    return atomic_load_explicit(&hold->held, memory_order_relaxed);
}

/** Client: hold the transfer up, or let it go on. Nothing, for sessions that move no tree. */
void hsr_hold_set(struct hsr_session *session, bool hold);

/** Client: end it early, in good order; where nothing could be kept, at once. */
void hsr_hold_stop(struct hsr_session *session);

/** HOLD, GO, STOP or LEFT came. 0 or HSR_E_PROTOCOL. */
int hsr_hold_frame(struct hsr_session *session, const struct hsr_frame *frame,
                   struct hsr_span payload);

/** In each step of a session that moves. */
void hsr_hold_step(struct hsr_session *session);

/** A server's target ends because of an error: tell the client first what is kept. Best effort. */
void hsr_hold_tell_left(struct hsr_session *session);

#endif
