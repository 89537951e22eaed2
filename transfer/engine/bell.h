/* A client's bell: what other threads, and signal handlers, want of its sessions. They set a flag
 * and ring (an eventfd); shard 0, where a client's sessions live, reads and looks. */
#ifndef HSR_ENGINE_BELL_H
#define HSR_ENGINE_BELL_H

#include "transfer/engine/shard.h"

/** Shard 0 of a client listens from now on. Its thread. */
void hsr_bell_arm(struct hsr_shard *shard);

/** End the sessions of a shard because of @rc; those that close already have a result. Its thread.
 */
void hsr_bell_end(struct hsr_shard *shard, int rc, const char *why);

#endif
