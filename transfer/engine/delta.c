/* Whether deltas pay, and their memory; see delta.h. */
#include "transfer/engine/delta.h"

#include <stdio.h>

#include "base/base.h"
#include "transfer/engine/shard.h"

/* A path slower than this is worth the second look at both versions. A choice on the careful side:
 * whoever is not sure of a path that is faster says what he wants. */
#define PATH_RATE (400 * HSR_MIB)
/* Who is further away is taken to be behind something slower than a disk: a building's network
 * answers in a fraction of this. */
#define PATH_RTT_US 1000u

bool hsr_delta_pays(const struct hsr_delta_path *path, char ret_why[HSR_DELTA_WHY_SIZE])
{
    bool slow = path->bwlimit > 0 && path->bwlimit < PATH_RATE;

    if (slow) {
        (void)snprintf(ret_why, HSR_DELTA_WHY_SIZE, "--bwlimit is %.1f MB/s",
                       (double)path->bwlimit / 1e6);
    } else if (path->nic_rate > 0 && path->nic_rate < PATH_RATE) {
        slow = true;
        (void)snprintf(ret_why, HSR_DELTA_WHY_SIZE, "the network device does %.0f MB/s",
                       (double)path->nic_rate / 1e6);
    } else if (path->rtt_us > 0) {
        slow = path->rtt_us > PATH_RTT_US;
        (void)snprintf(ret_why, HSR_DELTA_WHY_SIZE, "the round trip is %.2f ms",
                       (double)path->rtt_us / 1e3);
    } else {
        (void)snprintf(ret_why, HSR_DELTA_WHY_SIZE, "nothing is known of the path");
    }
    return slow;
}

bool hsr_delta_room_take(struct hsr_engine *engine, uint64_t bytes)
{
    unsigned long long used =
        atomic_load_explicit(&engine->delta_used, memory_order_relaxed); /* as the atomic is */

    do {
        if (bytes > engine->config.plan.delta_bytes - used)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&engine->delta_used, &used, used + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void hsr_delta_room_give(struct hsr_engine *engine, uint64_t bytes)
{
    uint64_t before = atomic_fetch_sub_explicit(&engine->delta_used, bytes, memory_order_relaxed);

    hsr_assert(before >= bytes);
}
