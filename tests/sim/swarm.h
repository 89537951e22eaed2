/* Random runs: a seed each, replayed, made smaller, judged. */
#ifndef HSR_SIM_SWARM_H
#define HSR_SIM_SWARM_H

#include "tests/sim/knobs.h"

/* What all runs of this process came to. */
struct sim_tally {
    unsigned runs, failures;
    unsigned failures_max; /* then it is enough */
    uint64_t seeds, seeds_done; /* of a swarm: asked for, and run before it was enough */
    uint64_t faults, deaths, resets, stalls, touches, stops, holds, damaged, resumed, clocks, rots;
};
/* Shared with the processes of runs that have one of their own. */
extern struct sim_tally *sim_tally;

/** Run @job here; true if every promise held. What broke is printed, with the words that repeat it
 * (@words, or those of a fault of a scenario). */
bool sim_run(const struct sim_job *job, const char *words, struct sim_report *ret_report);

/** Before the first run: the tally, and the message of assertions that fail. */
void sim_run_init(void);

/** @count seeds from @seed on, each in a process of its own if @apart; and now and then one twice:
 * the traces are equal. Ends early after @seconds (0: never), which the tally shows. @words:
 * numbers that all of them have otherwise ("name=value"); false: unknown word. */
bool sim_swarm(uint64_t seed, uint64_t count, bool apart, unsigned seconds, char **words,
               int word_count);

/** One seed with @words ("name=value"), with a trace on standard error; false: unknown word. */
bool sim_replay(uint64_t seed, char **words, int count);

/** Find the smallest run that still fails, say its words, and replay it. */
bool sim_shrink(uint64_t seed, char **words, int count);

#endif
