/* Digests of files of this machine, without a peer: a session of a client that has no connection.
 * Its home walks, its readers (reader.h) hash on all shards, and each file is an event. Those of a
 * server are asked for in a pull that wants nothing else (WANT DIGEST). */
#ifndef HSR_ENGINE_SUMS_H
#define HSR_ENGINE_SUMS_H

#include "transfer/engine/session.h"

/** @session->spec.tops say where to begin. 0, -ENOMEM. */
int hsr_sums_create(struct hsr_session *session);
void hsr_sums_step(struct hsr_session *session);
/** Everything lent is home. Accepts a session without them. */
void hsr_sums_destroy(struct hsr_session *session);

/** Tell the digest of one file of @size bytes. NULL: that of no bytes. */
void hsr_sums_tell(struct hsr_session *session, const struct hsr_dir *dir, struct hsr_span name,
                   uint64_t size, const uint8_t *digest);

#endif
