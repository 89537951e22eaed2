/* A whole client and a whole server in one simulated world, turned by hand in a seeded order, with
 * whatever goes wrong. */
#ifndef HSR_SIM_DRIVE_H
#define HSR_SIM_DRIVE_H

#include "tests/sim/scenario.h"

#define SIM_SERVER 0u
#define SIM_CLIENT 1u
#define SIM_CRASHES_MAX 3u

/* What befalls a run beside failing operations. Each attempt has its share; the last run is spared.
 */
struct sim_troubles {
    unsigned attempts; /* runs with troubles before the one without; 0: one */
    struct {
        unsigned host;
        struct sim_crash when; /* counted from the attempt's start */
    } crashes[SIM_CRASHES_MAX]; /* of the first, second, third attempt; nth 0: none */
    bool eager; /* a client that died comes back before the server has noticed */
    uint32_t resets, stalls; /* connections */
    uint32_t touches; /* of files of the source */
    uint64_t touch_nth; /* one more, right before this operation of both sides; 0: none */
    uint32_t clocks; /* how often somebody sets a wall clock */
    uint32_t
        rots; /* between attempts: bits of the target's journal that turn, or its end is lost */
    uint32_t stops; /* the client's user interrupts it */
    uint32_t holds; /* he pauses it for longer than anybody waits */
    uint64_t stop_nth, hold_nth; /* the same, right after this operation of both sides; 0: never */
    uint32_t disk_slow, net_slow; /* times */
    uint32_t ring_room, reap_max; /* see world.h */
    uint32_t wire_ppm, base_ppm; /* damage: see world.h */
    uint32_t room_pages; /* what the target's disk has left; 0: enough */
    uint32_t pipe_bytes; /* room of a connection; 0: the world chooses */
};

struct sim_job {
    const struct sim_scenario *scenario;
    uint64_t seed;
    bool pull;
    bool again; /* when anything went wrong: run once more without faults; that must succeed */
    struct sim_fault fault; /* nth 0: none */
    uint32_t swarm_ppm;
    struct sim_troubles troubles;
    enum sim_bug bug;
    FILE *trace; /* or NULL */
    bool record; /* keep a record of every operation */
};

struct sim_report {
    struct sim_world *world; /* for its violations and records; destroy it */
    int code; /* of the client's session */
    unsigned failures, warnings; /* paths that were told */
    bool failed; /* anything was told, or a host died */
    uint64_t trace_hash; /* of everything that happened */
    uint64_t ahead_hits; /* signatures made before their turn */
    uint64_t resumed; /* bytes that were there from an earlier attempt, of all attempts */
    uint64_t took_ns; /* simulated */
    uint64_t ops[SIM_HOSTS]; /* operations of each host in the first run */
    unsigned deaths, resets, stalls, touches, clocks, rots, stops, holds; /* that happened */
    uint64_t left; /* bytes that an interrupted session said to keep, if nothing else happened */
};

/** Run @job from start to end and check everything. */
void sim_drive(const struct sim_job *job, struct sim_report *ret_report);

#endif
