/* A whole client and a whole server in one simulated world, turned by hand in a seeded order. */
#ifndef HSR_SIM_DRIVE_H
#define HSR_SIM_DRIVE_H

#include "tests/sim/scenario.h"

#define SIM_SERVER 0u
#define SIM_CLIENT 1u

struct sim_job {
    const struct sim_scenario *scenario;
    uint64_t seed;
    bool pull;
    bool again; /* when a fault has fired: run once more without faults; that must succeed */
    struct sim_fault fault; /* nth 0: none */
    uint32_t swarm_ppm;
    enum sim_bug bug;
    FILE *trace; /* or NULL */
    bool record; /* keep a record of every operation */
};

struct sim_report {
    struct sim_world *world; /* for its violations and records; destroy it */
    int code; /* of the client's session */
    unsigned failures, warnings; /* paths that were told */
    bool failed; /* anything was told */
    uint64_t trace_hash; /* of everything that happened */
    uint64_t took_ns; /* simulated */
};

/** Run @job from start to end and check everything. */
void sim_drive(const struct sim_job *job, struct sim_report *ret_report);

/** Words that repeat exactly this job: "fault tree push --op 7 --error EIO". */
const char *sim_job_words(const struct sim_job *job, char *buf, size_t size);

#endif
