/* What both sides of a delta share: whether it pays, and the memory for it. */
#ifndef HSR_ENGINE_DELTA_H
#define HSR_ENGINE_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transfer/engine/engine.h"

/* What is known of the way to the peer when a session begins. */
struct hsr_delta_path {
    uint64_t bwlimit; /* bytes per second; 0: none */
    uint64_t nic_rate; /* bytes per second of the NICs on our side; 0: not known */
    uint32_t rtt_us; /* least round trip so far; 0: not known */
};

/** Does it pay to compare with old versions, and move only what differs? It does where the path is
 * slower than reading and comparing both versions. @ret_why gets the reason in words. Pure. */
bool hsr_delta_pays(const struct hsr_delta_path *path, char ret_why[HSR_DELTA_WHY_SIZE]);

/** Take @bytes of the plan's memory for deltas; false: so much is not left. Any thread. */
bool hsr_delta_room_take(struct hsr_engine *engine, uint64_t bytes);

/** Give them back. Any thread. */
void hsr_delta_room_give(struct hsr_engine *engine, uint64_t bytes);

#endif
