/* What a run of the swarm is made of, as a table of numbers. The seed sets them all; a person, or
 * the search for the smallest run that still fails, may set some of them otherwise. */
#ifndef HSR_SIM_KNOBS_H
#define HSR_SIM_KNOBS_H

#include "tests/sim/drive.h"

/* name, value of the simplest run, what it is */
#define SIM_KNOBS(X)                                                                               \
    X(pull, 0, "1: the client is the target")                                                      \
    X(kind, 0, "0 transfer, 1 dry run, 2 verify, 3 list, 4 digests, 5 benchmark")                  \
    X(tree, 0, "0 mixed, 1 small files, 2 large, 3 edited, 4 links, 5 resumed")                    \
    X(files, 1, "entries of the trees")                                                            \
    X(dirs, 0, "directories of the trees")                                                         \
    X(size, 1, "KiB of the largest file")                                                          \
    X(streams, 1, "data connections")                                                              \
    X(shards, 1, "of the server")                                                                  \
    X(client_shards, 1, "of the client")                                                           \
    X(delete, 0, "--delete")                                                                       \
    X(checksum, 0, "--checksum")                                                                   \
    X(blake3, 0, "--digest=blake3")                                                                \
    X(delta, 0, "--delta=on")                                                                      \
    X(inplace, 0, "--inplace")                                                                     \
    X(tmpfs, 0, "both trees are on one")                                                           \
    X(slow_sync, 0, "a sync takes half a second")                                                  \
    X(named, 0, "the target's file system has no unnamed files")                                   \
    X(attempts, 1, "runs with troubles")                                                           \
    X(faults, 0, "operations that fail or are short, of a million")                                \
    X(crash1, 0, "of the first attempt: 0 none, 1 server, 2 client")                               \
    X(crash1_op, 1, "at which operation of that host")                                             \
    X(crash1_power, 0, "1: a power cut")                                                           \
    X(crash2, 0, "of the second attempt")                                                          \
    X(crash2_op, 1, "")                                                                            \
    X(crash2_power, 0, "")                                                                         \
    X(crash3, 0, "of the third attempt")                                                           \
    X(crash3_op, 1, "")                                                                            \
    X(crash3_power, 0, "")                                                                         \
    X(eager, 0, "1: the next attempt begins while the server still has the last one")              \
    X(resets, 0, "connections that are reset, in each attempt")                                    \
    X(stalls, 0, "connections on which nothing arrives for a while")                               \
    X(touches, 0, "files of the source that somebody changes")                                     \
    X(stops, 0, "interruptions by the client's user")                                              \
    X(holds, 0, "pauses of 40 s by the client's user")                                             \
    X(wire, 0, "bits that turn on the wire, of a million parts")                                   \
    X(base, 0, "bits that turn when the target reads, of a million reads")                         \
    X(disk_slow, 1, "how many times slower than usual")                                            \
    X(net_slow, 1, "")                                                                             \
    X(room, 0, "4 KiB blocks left on the target's disk; 0: enough")                                \
    X(pipe, 0, "bytes that a connection holds; 0: as the seed says")                               \
    X(acls, 0, "some have an ACL, and what is made at the target inherits one")                    \
    X(clocks, 0, "how often somebody sets a wall clock")                                           \
    X(rots, 0, "bits that turn between attempts in what is kept at the target")                    \
    X(reread, 0, "--verify-resume: then bits of stages may turn too")                              \
    X(ring, 0, "room of a submission queue; 0: enough")                                            \
    X(reap, 0, "room of a completion queue; 0: enough")                                            \
    X(tight, 0, "no more memory than a plan needs")

struct sim_knobs {
#define SIM_KNOB_FIELD(name, least, text) uint32_t name;
    SIM_KNOBS(SIM_KNOB_FIELD)
#undef SIM_KNOB_FIELD
};

#define SIM_KNOB_COUNT (sizeof(struct sim_knobs) / sizeof(uint32_t))

struct sim_knob {
    const char *name, *text;
    uint32_t least;
};

extern const struct sim_knob sim_knob_table[SIM_KNOB_COUNT];

static inline uint32_t *sim_knob_at(struct sim_knobs *knobs, unsigned index)
{
    return (uint32_t *)knobs + index;
}

/** What @seed sets. */
void sim_knobs_random(uint64_t seed, struct sim_knobs *ret_knobs);

/** "name=value"; false: there is no such knob. */
bool sim_knobs_set(struct sim_knobs *knobs, const char *word);

/** Words that repeat it: the seed, and what the seed would set otherwise. */
const char *sim_knobs_words(uint64_t seed, const struct sim_knobs *knobs, char *buf, size_t size);

/** The run; @ret_job points to the other two. */
void sim_knobs_job(uint64_t seed, const struct sim_knobs *knobs, struct sim_job *ret_job,
                   struct sim_scenario *ret_scenario, struct sim_forest *ret_forest);

#endif
