/* What limits a session: collects the figures of its streams, its home and the threads that work
 * for it, exchanges them with the peer (the server tells, the client judges), and keeps the
 * verdict. All on the home's thread. */
#ifndef HSR_ENGINE_LIMIT_H
#define HSR_ENGINE_LIMIT_H

#include "numa/numa.h"
#include "transfer/engine/meter.h"
#include "transfer/engine/verdict.h"

struct hsr_session;
struct hsr_shard;
struct hsr_stream;

struct hsr_limit {
    bool agreed; /* HSR_FEATURE_STAGES is in force */
    struct hsr_meter meter; /* the home's */
    struct hsr_stages gone; /* of streams that are freed */
    struct hsr_stages lanes_base; /* what the threads had done before */
    bool lanes[HSR_SHARDS_MAX]; /* shards that work for the session */
    uint64_t told_ns, judged_ns; /* when the last STAGES left; when the last verdict was made */
    bool heard;
    struct hsr_stages peer; /* client: what the server told last */
    struct hsr_stages ours; /* client: our own figures at the last verdict */
    struct hsr_verdict verdict; /* about the last stretch; at the end, about everything */
};

/** With the session; starts to watch the home's shard. */
void hsr_limit_init(struct hsr_session *session);

/** From now on @shard's thread works for the session; it publishes already. */
void hsr_limit_lane(struct hsr_session *session, const struct hsr_shard *shard);

/** @stream is about to be freed. */
void hsr_limit_gone(struct hsr_session *session, const struct hsr_stream *stream);

/** Ten times a second: the server tells, the client judges if the server does not. */
void hsr_limit_tick(struct hsr_session *session);

/** Server: tell now, if there is room. Before DONE and after WALK_END. */
void hsr_limit_tell(struct hsr_session *session);

/** Client: STAGES came. */
int hsr_limit_heard(struct hsr_session *session, struct hsr_span payload);

/** The gaps of the threads that work for the session, and what their loops did with them. */
void hsr_limit_ahead(struct hsr_session *session, struct hsr_ahead *into);

/** The verdict about the whole session, into limit.verdict. */
void hsr_limit_close(struct hsr_session *session);

/** Keep the figures of everything on this shard fresh, from now on until nothing is on it. */
void hsr_limit_watch(struct hsr_shard *shard);

#endif
