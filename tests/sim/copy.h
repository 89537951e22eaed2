/* A copy of /data from one simulated host to the other by transfer/tree alone: the walk on one
 * loop, the target's functions on another, no network and no engine. */
#ifndef HSR_SIM_COPY_H
#define HSR_SIM_COPY_H

#include "tests/sim/scenario.h"

struct sim_copy_result {
    unsigned failures; /* paths that could not be kept, and said so */
    unsigned warnings; /* kept, but not all of it */
    int code; /* the walk could not go on, or the sync failed */
};

/** Copy, prune when the scenario wants it, and sync. Loops and descriptors are gone afterwards. */
void sim_copy(struct sim_world *world, unsigned source, unsigned target,
              const struct sim_scenario *scenario, struct sim_copy_result *ret_result);

#endif
