/* One job, one session. A client that lost its connections opens its job anew, and the server may
 * not have noticed that the old peer is gone: the older session ends first, and gives back what it
 * holds, before OPEN is answered. Of several OPENs of a job at once only that of the latest attempt
 * becomes a session.
 *
 *   at the connection -> shard 0 (entered) -> waits on each shard until no session of the job is
 *   left there -> at the connection, which answers OPEN -> shard 0 (struck out, freed)
 *
 * Why one of two remains: whoever is entered while another one of the job is makes the older one
 * late. If that one had looked before, its session was made in the same step of its shard, and the
 * younger one, whose visits begin later, finds it. */
#ifndef HSR_ENGINE_TAKEOVER_H
#define HSR_ENGINE_TAKEOVER_H

#include "transfer/engine/conn.h"

/** End what else serves the job of @open, which may have none. Asked again with each try of the
 * same frame. In all cases but 1 hsr_takeover_end() follows when OPEN is answered, in the same
 * step.
 * @return 0: OPEN may become a session; 1: it has to wait, and @conn (state CHOOSING) is resumed;
 * HSR_E_CLOSED: a later attempt is there; -ENOMEM */
int hsr_takeover_begin(struct hsr_conn *conn, const struct hsr_open *open);

/** OPEN was answered. */
void hsr_takeover_end(struct hsr_conn *conn);

/** A session of @shard was freed: who waits for it goes on. */
void hsr_takeover_look(struct hsr_shard *shard);

/** @conn closes. */
void hsr_takeover_forget(struct hsr_conn *conn);

#endif
