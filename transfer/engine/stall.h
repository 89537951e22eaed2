/* Stalls, named while they last: which connection is quiet (pulse.h), or, where all of them live
 * and nothing moves all the same, which stage the others wait for (verdict.h). The client's home
 * looks; who listens to events is told when a stall begins and when it is over. */
#ifndef HSR_ENGINE_STALL_H
#define HSR_ENGINE_STALL_H

#include <stdint.h>

struct hsr_session;

struct hsr_stall {
    uint64_t moved; /* the session's counters together, when they last changed */
    uint64_t moved_ns;
    uint64_t since_ns; /* of the stall that is named; 0: there is none */
};

/** Ten times a second, while the session moves, and when a connection has just ended because it was
 * quiet, before it is forgotten: so no stall ends one without having been told.
 * progress.stall_ns and progress.stall say what there is to say, and STALL events when that begins
 * and ends. */
void hsr_stall_tick(struct hsr_session *session);

#endif
