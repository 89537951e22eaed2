/* A measured session (a benchmark, or a push that asks for it): what its streams and threads took,
 * put together at its end and told to the client in MEASURED. All on the home's thread. */
#ifndef HSR_ENGINE_MEASURE_H
#define HSR_ENGINE_MEASURE_H

#include <stdbool.h>

#include "transfer/engine/times.h"

struct hsr_session;
struct hsr_shard;
struct hsr_stream;
struct hsr_measure;

/** Both sides of one session. */
struct hsr_measures {
    struct hsr_measured ours, theirs; /* client: theirs is all zero when the server told nothing */
};

/** Begin, if the session is to be measured. 0 or -ENOMEM. */
int hsr_measure_begin(struct hsr_session *session);

void hsr_measure_destroy(struct hsr_session *session);

/** Room for the times of stream @index, the session's for all its life; NULL: not measured, or no
 * memory for it. */
struct hsr_times *hsr_measure_times(struct hsr_session *session, uint32_t index);

/** From now on @shard's thread works for the session; it publishes already. */
void hsr_measure_lane(struct hsr_session *session, const struct hsr_shard *shard);

/** @stream is about to be freed. */
void hsr_measure_gone(struct hsr_session *session, const struct hsr_stream *stream);

/** Server, before the last frame of the session: tell. False: no room yet, the connection's output
 * wakes the session. True: told, or there is nothing to tell. */
bool hsr_measure_tell(struct hsr_session *session);

/** Client: MEASURED came. */
int hsr_measure_heard(struct hsr_session *session, struct hsr_span payload);

/** The session is over: what both sides measured; NULL: nothing. Lives as long as the session. */
const struct hsr_measures *hsr_measure_end(struct hsr_session *session);

/** Bytes that one stream's times take, for the plan. */
uint64_t hsr_measure_stream_bytes(void);

#endif
