/* What the drivers transfer: trees on the source host, and what is at the target before. The same
 * on every run, or a function of a seed.
 *
 *   /data     the tree; on the target host it is the export or the directory pulled into
 *   /old      target host: a second copy of what /data held before
 *   /beside   both hosts: what must never change */
#ifndef HSR_SIM_SCENARIO_H
#define HSR_SIM_SCENARIO_H

#include "tests/sim/forest.h"

#define SIM_DATA "/data"
#define SIM_OLD "/old"
#define SIM_BESIDE "/beside"

struct sim_scenario {
    const char *name;
    bool delete; /* with --delete */
    bool checksum; /* with --checksum */
    bool dry; /* with --dry-run: the target stays as it is */
    bool verify; /* a dry push by digest, as `hawser verify` (with dry); a pull: as with -n -c */
    bool list; /* only the names of a pull's directory (with dry) */
    bool digests; /* only the digests of a pull (with dry); a push: of the client's own files */
    bool ahead; /* with --ahead=on: something must be made before its turn */
    bool blake3; /* with --digest=blake3 */
    bool delta; /* with --delta=on */
    bool inplace; /* with --inplace: a run that fails may leave mixed contents */
    uint64_t bench_bytes; /* not the trees: a benchmark of so many bytes; both stay as they are */
    bool resume; /* files of which a target keeps what it has; what is there does not travel */
    bool reread; /* with --verify-resume */
    bool slow_sync; /* an fsync takes longer than all data together */
    bool tmpfs; /* that is where both trees are */
    bool tight; /* no more memory than a plan needs */
    bool named; /* no unnamed files at the target */
    unsigned streams, shards;
    unsigned client_shards; /* 0: as many as `shards`, which the server has */
    const struct sim_forest *forest; /* the trees; or NULL: the two functions make them */
    /** Fill /data at the source, and /data at the target through @old, called for /data and again
     * for /old. */
    void (*source)(struct sim_host *host, const char *root, uint64_t seed);
    void (*old)(struct sim_host *host, const char *root, uint64_t seed);
};

#define SIM_TREE_COUNT 6u /* the first ones; the others move no tree */
#define SIM_SCENARIO_COUNT 19u
extern const struct sim_scenario sim_scenarios[SIM_SCENARIO_COUNT];

/** Build it on a fresh world: everything durable, violations of the target watched. */
void sim_scenario_build(const struct sim_scenario *scenario, struct sim_world *world,
                        unsigned source, unsigned target, uint64_t seed);

struct sim_outcome {
    bool failed; /* the run reported an error, or a failure or warning of some path */
    bool durable; /* it promised that a power cut loses nothing */
    bool kept; /* it failed, and what it has staged may stay for the next one */
    bool unlink_failed; /* a fault hit unlink(2): hidden stage files may be left */
    bool touched; /* the source was changed meanwhile */
    bool again; /* a session before may have made names that were not there at first */
    bool rotten; /* so was what the target keeps for a later run */
    uint64_t source_hash, target_hash; /* of all outside of /data before the run */
};

/** May a run of it that fails leave stages and a journal for the next one? */
bool sim_scenario_keeps(const struct sim_scenario *scenario);

/** Fingerprints of what must not change, before the run. */
void sim_scenario_before(struct sim_world *world, unsigned source, unsigned target,
                         struct sim_outcome *outcome);

/** Everything that must hold after a run; what does not is a violation of @world. Descriptors must
 * be closed. Ends with a power cut when the outcome is durable. */
void sim_scenario_check(const struct sim_scenario *scenario, struct sim_world *world,
                        unsigned source, unsigned target, const struct sim_outcome *outcome);

/** What must hold at any moment, also right after one of the hosts died: names at the target hold
 * the whole old or the whole new content, and nothing that was there before is gone. Hidden stages
 * may be there. @again: it is not the first session of the run, as in the outcome. */
void sim_scenario_check_names(const struct sim_scenario *scenario, struct sim_world *world,
                              unsigned source, unsigned target, bool again);

/** Success was reported: the trees are equal. */
void sim_scenario_check_equal(const struct sim_scenario *scenario, struct sim_world *world,
                              unsigned source, unsigned target, const char *when);

#endif
