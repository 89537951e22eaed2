/* One job, one session. A client that lost its connections opens its job anew, and the server may
 * not have noticed that the old peer is gone: the older session ends first, and gives back what it
 * holds, before OPEN is answered.
 *
 * A cell goes from shard to shard, waits on each until no session of the job is left there, and
 * comes back to the connection. */
#ifndef HSR_ENGINE_TAKEOVER_H
#define HSR_ENGINE_TAKEOVER_H

#include "transfer/engine/conn.h"

/** End what else serves the job of @open, which may have none. @conn (state CHOOSING) is resumed
 * with `took_over` when all of it is gone, and with `late` if a later attempt is there, which goes
 * on. @return 1: OPEN has to wait; 0: there is nothing to wait for; -ENOMEM */
int hsr_takeover_begin(struct hsr_conn *conn, const struct hsr_open *open);

/** A session of @shard was freed: who waits for it goes on. */
void hsr_takeover_look(struct hsr_shard *shard);

/** @conn closes. */
void hsr_takeover_forget(struct hsr_conn *conn);

#endif
