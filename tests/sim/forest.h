/* Trees that are functions of a seed and of a few numbers that say how large and of what kind they
 * are: what is left out by a smaller number changes nothing else, so that a failing run can be made
 * smaller. */
#ifndef HSR_SIM_FOREST_H
#define HSR_SIM_FOREST_H

#include "tests/sim/tree.h"

enum sim_forest_kind {
    SIM_FOREST_MIXED, /* a bit of everything */
    SIM_FOREST_SMALL, /* many small files: packs */
    SIM_FOREST_LARGE, /* mostly files that travel alone, some with holes */
    SIM_FOREST_EDITED, /* large files that differ a little from what is there */
    SIM_FOREST_LINKS, /* hard links, symlinks, directories */
    SIM_FOREST_RESUME, /* few files, some large enough to be resumed */
    SIM_FOREST_KIND_COUNT
};

struct sim_forest {
    uint32_t kind; /* enum sim_forest_kind */
    uint32_t files; /* entries of all kinds but directories */
    uint32_t dirs;
    uint32_t size_kib; /* of the largest file */
    bool acls; /* some have one, and what is made at the target inherits one */
    bool delete; /* what stands in the way of another kind may be a full directory */
};

/** A small one. */
void sim_forest_random(uint64_t seed, struct sim_forest *ret_forest);

/** Fill /data at @source, and /data and /old at @target with what was there before. */
void sim_forest_grow(const struct sim_forest *forest, struct sim_host *source,
                     struct sim_host *target, uint64_t seed);

#endif
