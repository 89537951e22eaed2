/* See swarm.h. */
#include "tests/sim/swarm.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAILURES_SHOWN 20u
#define TWICE_EVERY 16u /* one in so many seeds runs again, and must leave the same trace */
#define RUN_SECONDS 60u /* of real time: a run that takes longer hangs */
#define WORDS_ROOM 1024u

struct sim_tally *sim_tally;
static const char *words_now; /* for the message of an abort */

static void assert_hook(const char *text)
{
    (void)text; /* it was printed */
    if (words_now != NULL)
        fprintf(stderr, "repeat with: tools/sim %s\n", words_now);
}

void sim_run_init(void)
{
    sim_tally =
        mmap(NULL, sizeof(*sim_tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    hsr_assert(sim_tally != MAP_FAILED);
    sim_tally->failures_max = FAILURES_SHOWN;
    hsr_assert_hook_set(assert_hook);
}

static void report_print(const struct sim_job *job, const struct sim_report *report)
{
    const struct sim_world *world = report->world;

    for (unsigned i = 0; i < HSR_MIN(world->violation_count, SIM_VIOLATIONS_MAX); i++)
        fprintf(stderr, "VIOLATION %s\n", world->violations[i]);
    fprintf(stderr, "  of %s, seed %llu: session %s, %u failures, %u warnings told; fault on %s\n",
            job->scenario->name, (unsigned long long)job->seed,
            report->code == 0 ? "good" : hsr_err_name(report->code), report->failures,
            report->warnings,
            world->fault.fired > 0 ? hsr_op_name(world->fault.fired_kind) : "nothing");
    fprintf(stderr, "repeat with: tools/sim %s\n", words_now);
}

bool sim_run(const struct sim_job *job, const char *words, struct sim_report *ret_report)
{
    bool good;

    words_now = words;
    sim_drive(job, ret_report);
    good = ret_report->world->violation_count == 0;
    if (!good && job->bug == SIM_BUG_NONE)
        report_print(job, ret_report);
    words_now = NULL;
    sim_tally->faults += ret_report->world->fault.fired + ret_report->world->swarm_fired;
    sim_tally->deaths += ret_report->deaths;
    sim_tally->resets += ret_report->resets;
    sim_tally->stops += ret_report->stops;
    sim_tally->holds += ret_report->holds;
    sim_tally->stalls += ret_report->stalls;
    sim_tally->touches += ret_report->touches;
    sim_tally->clocks += ret_report->clocks;
    sim_tally->rots += ret_report->rots;
    sim_tally->resumed += ret_report->resumed > 0;
    sim_tally->damaged += ret_report->world->damaged;
    return good;
}

/* ---- one seed ---- */

static bool knobs_run(uint64_t seed, const struct sim_knobs *knobs, FILE *trace, uint64_t *ret_hash)
{
    char words[WORDS_ROOM];
    struct sim_forest forest;
    struct sim_scenario scenario;
    struct sim_report report;
    struct sim_job job;
    bool good;

    sim_knobs_job(seed, knobs, &job, &scenario, &forest);
    job.trace = trace;
    good = sim_run(&job, sim_knobs_words(seed, knobs, words, sizeof(words)), &report);
    *ret_hash = report.trace_hash;
    sim_world_destroy(report.world);
    return good;
}

/* In a process of its own, so that an abort or a hang ends only that. @quiet: nothing is printed.
 */
static bool knobs_run_apart(uint64_t seed, const struct sim_knobs *knobs, bool quiet)
{
    int status = 0;
    uint64_t hash;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    hsr_assert(pid >= 0);
    if (pid == 0) {
        if (quiet && freopen("/dev/null", "w", stderr) == NULL)
            _exit(3);
        (void)alarm(RUN_SECONDS);
        _exit(knobs_run(seed, knobs, NULL, &hash) ? 0 : 1);
    }
    hsr_assert(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status) && !quiet) {
        char words[WORDS_ROOM];

        fprintf(stderr, "VIOLATION died of signal %d\nrepeat with: tools/sim %s\n",
                WTERMSIG(status), sim_knobs_words(seed, knobs, words, sizeof(words)));
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool knobs_take(uint64_t seed, char **words, int count, struct sim_knobs *ret_knobs)
{
    sim_knobs_random(seed, ret_knobs);
    for (int i = 0; i < count; i++) {
        if (sim_knobs_set(ret_knobs, words[i]))
            continue;
        fprintf(stderr, "no such knob: %s; there are:\n", words[i]);
        for (unsigned k = 0; k < SIM_KNOB_COUNT; k++)
            fprintf(stderr, "  %-14s %s\n", sim_knob_table[k].name, sim_knob_table[k].text);
        return false;
    }
    return true;
}

bool sim_replay(uint64_t seed, char **words, int count)
{
    struct sim_knobs knobs;
    uint64_t hash;

    if (!knobs_take(seed, words, count, &knobs))
        return false;
    sim_tally->runs++;
    sim_tally->failures += !knobs_run(seed, &knobs, stderr, &hash);
    return true;
}

/* ---- making it smaller ---- */

/* Try @value for one knob: kept if the run still fails. */
static bool shrink_try(uint64_t seed, struct sim_knobs *knobs, unsigned index, uint32_t value)
{
    struct sim_knobs next = *knobs;

    *sim_knob_at(&next, index) = value;
    sim_tally->runs++;
    if (knobs_run_apart(seed, &next, true))
        return false;
    *knobs = next;
    return true;
}

/* The least value of one knob, by halves: it need not be the least of all that fail. */
static bool shrink_knob(uint64_t seed, struct sim_knobs *knobs, unsigned index)
{
    uint32_t low = sim_knob_table[index].least, before = *sim_knob_at(knobs, index);

    if (before <= low)
        return false;
    if (shrink_try(seed, knobs, index, low))
        return true;
    while (*sim_knob_at(knobs, index) - low > 1) {
        uint32_t middle = low + (*sim_knob_at(knobs, index) - low) / 2;

        if (!shrink_try(seed, knobs, index, middle))
            low = middle;
    }
    return *sim_knob_at(knobs, index) < before;
}

bool sim_shrink(uint64_t seed, char **words, int count)
{
    struct sim_knobs knobs;
    char line[WORDS_ROOM];
    bool smaller = true;
    uint64_t hash;

    if (!knobs_take(seed, words, count, &knobs))
        return false;
    sim_tally->runs++;
    if (knobs_run_apart(seed, &knobs, true)) {
        printf("it does not fail\n");
        return true;
    }
    while (smaller) {
        smaller = false;
        for (unsigned i = 0; i < SIM_KNOB_COUNT; i++)
            smaller = shrink_knob(seed, &knobs, i) || smaller;
    }
    fprintf(stderr, "smallest: tools/sim %s\n", sim_knobs_words(seed, &knobs, line, sizeof(line)));
    for (unsigned i = 0; i < SIM_KNOB_COUNT; i++) {
        if (*sim_knob_at(&knobs, i) > sim_knob_table[i].least)
            fprintf(stderr, "  %-14s %u\n", sim_knob_table[i].name, *sim_knob_at(&knobs, i));
    }
    sim_tally->failures++;
    fflush(stdout);
    (void)knobs_run(seed, &knobs, stderr, &hash); /* with its trace; it fails */
    return true;
}

/* ---- many seeds ---- */

/* A run is a function of its seed. */
static bool seed_twice(uint64_t seed, const struct sim_knobs *knobs)
{
    uint64_t first, second;

    (void)knobs_run(seed, knobs, NULL, &first); /* it was judged before */
    (void)knobs_run(seed, knobs, NULL, &second);
    if (first != second)
        fprintf(stderr, "VIOLATION the same seed gives two traces\nrepeat with: tools/sim %llu\n",
                (unsigned long long)seed);
    return first == second;
}

bool sim_swarm(uint64_t seed, uint64_t count, bool apart, unsigned seconds, char **words,
               int word_count)
{
    time_t end = time(NULL) + (time_t)seconds;
    uint64_t hash;

    sim_tally->seeds = count;
    for (uint64_t i = 0; i < count && (seconds == 0 || time(NULL) < end); i++) {
        struct sim_knobs knobs;
        bool good;

        if (!knobs_take(seed + i, words, word_count, &knobs))
            return false;
        sim_tally->runs++;
        sim_tally->seeds_done++;
        good = apart ? knobs_run_apart(seed + i, &knobs, false)
                     : knobs_run(seed + i, &knobs, NULL, &hash);
        if (good && !apart && i % TWICE_EVERY == TWICE_EVERY - 1)
            good = seed_twice(seed + i, &knobs);
        sim_tally->failures += !good;
        if (sim_tally->failures >= sim_tally->failures_max) {
            fprintf(stderr, "enough failures\n");
            break;
        }
    }
    return true;
}
