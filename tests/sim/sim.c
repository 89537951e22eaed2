/* The drivers of the simulation. Each prints what it did, and for every run in which a promise
 * broke the words that repeat it; the exit code is 0 only if none did.
 *
 *   sim clean                      every scenario, push and pull, nothing goes wrong; twice each:
 *                                  the same seed gives the same trace
 *   sim fault SCENARIO push|pull   fail every operation in turn with each error it can return
 *       [--stride N]               only every N-th operation, beginning with a seeded one
 *       [--op N --error NAME]      this one fault only, with a trace
 *   sim crash SCENARIO push|pull   let every operation of either side in turn be its last: killed,
 *       [--stride N]               and by a power cut; then the same again, without
 *       [--op N --host H]          this one only, with a trace; --power: the power cut
 *   sim touch SCENARIO push|pull   before every operation in turn somebody changes a file of the
 *       [--stride N] [--op N]      source; then the same again, without
 *   sim stop SCENARIO push|pull    after every operation in turn the client's user interrupts it
 *       [--stride N] [--op N]
 *   sim hold SCENARIO push|pull    the same: he pauses it for longer than anybody waits
 *       [--stride N] [--op N]
 *   sim swarm SEED [COUNT]         random trees, shards, streams and troubles, COUNT seeds
 *       [--seconds N] [--apart]    at most so long; each in a process of its own
 *       [NAME=VALUE]...            some of their numbers otherwise
 *   sim canary                     worlds with a planted bug: the checks must find it
 *   sim SEED [NAME=VALUE]...       one seed of the swarm with a trace; some of its numbers
 * otherwise sim shrink SEED                the smallest run that still fails
 *
 * --seed N: another seed for the scenarios' runs. --first: the first failure ends it. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/swarm.h"

#define SEED_DEFAULT 7u
#define WORDS_ROOM 200u
#define SLOW_TIMES 8000u
/* Of a run without troubles: what nobody woke goes on with the next beat, after a second. */
#define CLEAN_NS_MAX (900 * HSR_NS_PER_MS)

struct options {
    uint64_t seed, stride, op, host, seconds;
    const char *error;
    bool apart, power, first;
};

static struct options options = { .seed = SEED_DEFAULT, .stride = 1 };

/* Words that repeat exactly this job: "fault tree push --op 7 --error EIO --seed 7". */
static const char *job_words(const struct sim_job *job, char *buf, size_t size)
{
    const struct sim_fault *fault = &job->fault;
    const struct sim_crash *crash = &job->troubles.crashes[0].when;
    uint64_t user_nth = job->troubles.stop_nth + job->troubles.hold_nth;
    const char *way = job->pull ? "pull" : "push";
    unsigned long long seed = job->seed;

    if (crash->nth > 0)
        (void)snprintf(buf, size, "crash %s %s --host %u --op %llu%s --seed %llu",
                       job->scenario->name, way, job->troubles.crashes[0].host,
                       (unsigned long long)crash->nth, crash->power ? " --power" : "", seed);
    else if (job->troubles.touch_nth > 0)
        (void)snprintf(buf, size, "touch %s %s --op %llu --seed %llu", job->scenario->name, way,
                       (unsigned long long)job->troubles.touch_nth, seed);
    else if (user_nth > 0)
        (void)snprintf(buf, size, "%s %s %s --op %llu --seed %llu",
                       job->troubles.stop_nth > 0 ? "stop" : "hold", job->scenario->name, way,
                       (unsigned long long)user_nth, seed);
    else if (fault->nth > 0)
        (void)snprintf(buf, size, "fault %s %s --op %llu --error %s --seed %llu",
                       job->scenario->name, way, (unsigned long long)fault->nth,
                       fault->error != 0 ? hsr_err_name(-fault->error)
                       : fault->end      ? "end"
                       : fault->flip     ? "flip"
                                         : "short",
                       seed);
    else
        (void)snprintf(buf, size, "fault %s %s --seed %llu", job->scenario->name, way, seed);
    return buf;
}

/* One run; true if every promise held. */
static bool run_here(const struct sim_job *job, struct sim_report *ret_report)
{
    char words[WORDS_ROOM];

    return sim_run(job, job_words(job, words, sizeof(words)), ret_report);
}

static void run_job(const struct sim_job *job)
{
    struct sim_report report = { 0 };
    bool good;

    sim_tally->runs++;
    good = run_here(job, &report);
    sim_world_destroy(report.world);
    sim_tally->failures += !good;
    if (sim_tally->failures >= sim_tally->failures_max) {
        fprintf(stderr, "enough failures\n");
        exit(1);
    }
}

/* ---- clean ---- */

static void clean(void)
{
    for (unsigned i = 0; i < SIM_SCENARIO_COUNT * 2; i++) {
        struct sim_job job = { .scenario = &sim_scenarios[i / 2],
                               .pull = i % 2 != 0,
                               .seed = options.seed };
        struct sim_report report, again;
        bool good = run_here(&job, &report);

        good = run_here(&job, &again) && good;
        sim_tally->runs += 2;
        if (report.failed || again.failed) {
            fprintf(stderr, "nothing went wrong and an error was told:\n");
            fprintf(stderr, "  in %s\n", job.scenario->name);
            good = false;
        }
        if (report.took_ns > CLEAN_NS_MAX && !job.scenario->slow_sync &&
            report.world->notices_late == 0) {
            fprintf(stderr, "nothing went wrong and it took a second: something slept\n");
            good = false;
        }
        if (job.scenario->ahead && report.ahead_hits == 0) {
            fprintf(stderr, "nothing was made ahead\n");
            good = false;
        }
        if (job.scenario->tmpfs && report.world->huge_count == 0) {
            fprintf(stderr, "no huge page was asked for in a tmpfs\n");
            good = false;
        }
        if (report.trace_hash != again.trace_hash) {
            fprintf(stderr, "the same seed gives two traces: %s\n", job.scenario->name);
            good = false;
        }
        printf("%-8s %s: %llu operations, %.1f ms simulated, trace %016llx\n", job.scenario->name,
               job.pull ? "pull" : "push", (unsigned long long)report.world->op_count,
               (double)report.took_ns / 1e6, (unsigned long long)report.trace_hash);
        sim_tally->failures += !good;
        sim_world_destroy(report.world);
        sim_world_destroy(again.world);
    }
}

/* ---- every operation in turn ---- */

static void fault_try(struct sim_job *job, uint64_t nth, struct sim_fault fault, bool again)
{
    fault.kind = SIM_ANY;
    fault.host = SIM_ANY;
    fault.nth = nth;
    job->fault = fault;
    job->again = again;
    run_job(job);
}

static void fault_all(struct sim_job *job, uint64_t nth, const struct sim_op_record *record)
{
    const int *errors = sim_fault_errors(record->kind);
    unsigned target = job->pull ? SIM_CLIENT : SIM_SERVER;

    for (unsigned i = 0; errors[i] != 0; i++) {
        /* Gone from the target before we touch it: somebody else was faster. */
        if (errors[i] == ENOENT && record->host == target)
            continue;
        fault_try(job, nth, (struct sim_fault){ .error = errors[i] }, i == 0);
    }
    if (sim_fault_cuttable(record->kind) && !record->wait_all)
        fault_try(job, nth, (struct sim_fault){ .cut = 1 }, false);
    if (record->kind == HSR_OP_READ && record->host == target) /* of the source nobody would know */
        fault_try(job, nth, (struct sim_fault){ .flip = true }, true);
    if (sim_fault_endable(record->kind))
        fault_try(job, nth, (struct sim_fault){ .end = true }, true);
}

static int error_number(const char *name)
{
    for (int i = 1; i < 200; i++) {
        if (strcmp(hsr_err_name(-i), name) == 0)
            return i;
    }
    fprintf(stderr, "no such error: %s\n", name);
    exit(2);
}

static void fault_one(struct sim_job *job)
{
    struct sim_fault fault = { 0 };

    job->trace = stderr;
    if (strcmp(options.error, "end") == 0)
        fault.end = true;
    else if (strcmp(options.error, "flip") == 0)
        fault.flip = true;
    else if (strcmp(options.error, "short") == 0)
        fault.cut = 1;
    else
        fault.error = error_number(options.error);
    fault_try(job, options.op, fault, true);
}

static const struct sim_scenario *scenario_named(const char *name)
{
    for (unsigned i = 0; i < SIM_SCENARIO_COUNT; i++) {
        if (strcmp(sim_scenarios[i].name, name) == 0)
            return &sim_scenarios[i];
    }
    fprintf(stderr, "no such scenario: %s\n", name);
    exit(2);
}

static void fault(const char *name, bool pull)
{
    struct sim_job job = {
        .scenario = scenario_named(name), .pull = pull, .seed = options.seed, .record = true
    };
    struct sim_report report;
    uint64_t count;

    if (options.op > 0 && options.error != NULL) {
        job.record = false;
        fault_one(&job);
        return;
    }
    sim_tally->failures += !run_here(&job, &report);
    job.record = false;
    count = report.world->record_count;
    for (uint64_t n = options.seed % options.stride; n < count; n += options.stride)
        fault_all(&job, n + 1, &report.world->records[n]);
    sim_world_destroy(report.world);
    if (sim_tally->faults == 0) {
        fprintf(stderr, "no operation failed\n");
        sim_tally->failures++;
    }
    printf("%s %s: %llu operations%s\n", name, pull ? "pull" : "push", (unsigned long long)count,
           options.stride > 1 ? " (not every one was failed: --stride)" : "");
}

/* ---- every operation kills in turn ---- */

/* Files that are worth it: some take so long that they are synced in between, and some of these
 * syncs take long, and the power is cut in their middle; some change before the death; some
 * journals are not what they were after it. */
static void crash_resumed(struct sim_job *job, struct sim_scenario *scenario, uint64_t nth)
{
    unsigned target = job->pull ? SIM_CLIENT : SIM_SERVER;
    struct sim_crash *when = &job->troubles.crashes[0].when;

    if (nth % 4 >= 2)
        job->troubles.net_slow = SLOW_TIMES;
    scenario->slow_sync = nth % 4 >= 2 && nth % 3 == 2;
    when->syncing = scenario->slow_sync && when->power && job->troubles.crashes[0].host == target;
    job->troubles.touch_nth = nth % 7 == 6 ? nth + nth / 2 : 0;
    job->troubles.rots = nth % 5 == 4 ? 4 : 0;
}

/* Some of the clients come back before the server has noticed. */
static void crash_try(struct sim_job *job, unsigned host, uint64_t nth, bool power)
{
    const struct sim_scenario *listed = job->scenario;
    struct sim_scenario scenario = *listed;

    job->scenario = &scenario;
    job->troubles = (struct sim_troubles){ .eager = nth % 2 != 0, .net_slow = 1 };
    job->troubles.crashes[0].host = host;
    job->troubles.crashes[0].when = (struct sim_crash){ .nth = nth, .power = power };
    if (listed->resume)
        crash_resumed(job, &scenario, nth);
    run_job(job);
    job->scenario = listed;
}

static void crash(const char *name, bool pull)
{
    struct sim_job job = {
        .scenario = scenario_named(name), .pull = pull, .seed = options.seed, .again = true
    };
    struct sim_report report;

    if (options.op > 0) {
        job.trace = stderr;
        crash_try(&job, (unsigned)options.host, options.op, options.power);
        return;
    }
    sim_tally->failures += !run_here(&job, &report);
    sim_world_destroy(report.world);
    for (unsigned host = 0; host < SIM_HOSTS; host++) {
        for (uint64_t n = options.seed % options.stride; n < report.ops[host];
             n += options.stride) {
            crash_try(&job, host, n + 1, false);
            crash_try(&job, host, n + 1, true);
        }
    }
    if (sim_tally->deaths == 0 || (job.scenario->resume && sim_tally->resumed == 0)) {
        fprintf(stderr, sim_tally->deaths == 0 ? "nobody died\n" : "nothing was resumed\n");
        sim_tally->failures++;
    }
    printf("%s %s: %llu operations of the server, %llu of the client%s\n", name,
           pull ? "pull" : "push", (unsigned long long)report.ops[SIM_SERVER],
           (unsigned long long)report.ops[SIM_CLIENT],
           options.stride > 1 ? " (not each killed it: --stride)" : "");
}

/* ---- every operation is when the user says something ---- */

static void user_try(struct sim_job *job, bool hold, uint64_t nth)
{
    job->troubles.stop_nth = hold ? 0 : nth;
    job->troubles.hold_nth = hold ? nth : 0;
    job->troubles.net_slow = job->scenario->resume && nth % 4 >= 2 ? SLOW_TIMES : 1;
    run_job(job);
}

static void user(const char *name, bool pull, bool hold)
{
    struct sim_job job = {
        .scenario = scenario_named(name), .pull = pull, .seed = options.seed, .again = true
    };
    struct sim_report report;
    uint64_t count;

    if (options.op > 0) {
        job.trace = stderr;
        user_try(&job, hold, options.op);
        return;
    }
    sim_tally->failures += !run_here(&job, &report);
    count = report.world->op_count;
    sim_world_destroy(report.world);
    for (uint64_t n = options.seed % options.stride; n < count; n += options.stride)
        user_try(&job, hold, n + 1);
    if (sim_tally->stops + sim_tally->holds == 0 ||
        (job.scenario->resume && !hold && sim_tally->resumed == 0)) {
        fprintf(stderr, hold ? "nothing was paused\n" : "nothing was interrupted and resumed\n");
        sim_tally->failures++;
    }
    printf("%s %s: %llu operations%s\n", name, pull ? "pull" : "push", (unsigned long long)count,
           options.stride > 1 ? " (not each of them: --stride)" : "");
}

/* ---- before every operation a file of the source changes ---- */

static void touch(const char *name, bool pull)
{
    struct sim_job job = {
        .scenario = scenario_named(name), .pull = pull, .seed = options.seed, .again = true
    };
    struct sim_report report;
    uint64_t count;

    if (options.op > 0) {
        job.trace = stderr;
        job.troubles.touch_nth = options.op;
        run_job(&job);
        return;
    }
    sim_tally->failures += !run_here(&job, &report);
    count = report.world->op_count;
    sim_world_destroy(report.world);
    for (uint64_t n = options.seed % options.stride; n < count; n += options.stride) {
        job.troubles.touch_nth = n + 1;
        run_job(&job);
    }
    if (sim_tally->touches == 0) {
        fprintf(stderr, "nothing was touched\n");
        sim_tally->failures++;
    }
    printf("%s %s: %llu operations%s\n", name, pull ? "pull" : "push", (unsigned long long)count,
           options.stride > 1 ? " (not before every one: --stride)" : "");
}

/* ---- planted bugs ---- */

static void canary(void)
{
    for (int bug = SIM_BUG_NONE + 1; bug < SIM_BUG_COUNT; bug++) {
        unsigned found = 0, hit = 0;

        for (unsigned i = 0; i < SIM_SCENARIO_COUNT * 2; i++) {
            struct sim_job job = { .scenario = &sim_scenarios[i / 2],
                                   .pull = i % 2 != 0,
                                   .seed = options.seed,
                                   .bug = (enum sim_bug)bug };
            struct sim_report report;
            bool good = run_here(&job, &report);

            sim_tally->runs++;
            hit += report.world->bug_fired > 0;
            found += report.world->bug_fired > 0 && (!good || report.failed);
            sim_world_destroy(report.world);
        }
        printf("planted bug %d: in %u runs, found in %u\n", bug, hit, found);
        sim_tally->failures += hit == 0 || found < hit;
    }
}

/* ---- the command ---- */

static int usage(void)
{
    fprintf(
        stderr,
        "usage: sim clean | canary | swarm SEED [COUNT [NAME=VALUE]...] [--seconds N] [--apart]\n"
        "       fault SCENARIO push|pull [--op N --error NAME] [--stride N] [--seed N]\n"
        "       crash SCENARIO push|pull [--op N --host 0|1 [--power]] [--stride N]\n"
        "       touch|stop|hold SCENARIO push|pull [--op N] [--stride N]\n"
        "       SEED [NAME=VALUE]... | shrink SEED [NAME=VALUE]...\n");
    return 2;
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 0);
}

/* Take the options out of @argv; the words that are left are counted. */
static int options_take(int argc, char **argv)
{
    static const struct {
        const char *name;
        uint64_t *value;
    } numbers[] = { { "--seed", &options.seed },
                    { "--stride", &options.stride },
                    { "--op", &options.op },
                    { "--host", &options.host },
                    { "--seconds", &options.seconds } };
    int left = 0;

    for (int i = 1; i < argc; i++) {
        bool taken = false;

        for (unsigned n = 0; n < HSR_ARRAY_COUNT(numbers) && i + 1 < argc && !taken; n++) {
            taken = strcmp(argv[i], numbers[n].name) == 0;
            if (taken)
                *numbers[n].value = number(argv[++i]);
        }
        if (taken)
            continue;
        if (strcmp(argv[i], "--apart") == 0)
            options.apart = true;
        else if (strcmp(argv[i], "--first") == 0)
            options.first = true;
        else if (strcmp(argv[i], "--power") == 0)
            options.power = true;
        else if (strcmp(argv[i], "--error") == 0 && i + 1 < argc)
            options.error = argv[++i];
        else
            argv[left++] = argv[i];
    }
    return left;
}

static bool command(int left, char **argv)
{
    bool pull = left == 3 && strcmp(argv[2], "pull") == 0;

    if (left == 1 && strcmp(argv[0], "clean") == 0)
        clean();
    else if (left == 1 && strcmp(argv[0], "canary") == 0)
        canary();
    else if (left >= 2 && strcmp(argv[0], "swarm") == 0)
        return sim_swarm(number(argv[1]), left > 2 ? number(argv[2]) : 1, options.apart,
                         (unsigned)options.seconds, argv + 3, HSR_MAX(left - 3, 0));
    else if (left >= 1 && isdigit((unsigned char)argv[0][0]))
        return sim_replay(number(argv[0]), argv + 1, left - 1);
    else if (left >= 2 && strcmp(argv[0], "shrink") == 0)
        return sim_shrink(number(argv[1]), argv + 2, left - 2);
    else if (left == 3 && strcmp(argv[0], "fault") == 0)
        fault(argv[1], pull);
    else if (left == 3 && strcmp(argv[0], "crash") == 0)
        crash(argv[1], pull);
    else if (left == 3 && strcmp(argv[0], "touch") == 0)
        touch(argv[1], pull);
    else if (left == 3 && (strcmp(argv[0], "stop") == 0 || strcmp(argv[0], "hold") == 0))
        user(argv[1], pull, argv[0][0] == 'h');
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    int left = options_take(argc, argv);

    if (options.stride == 0)
        options.stride = 1;
    options.host = HSR_MIN(options.host, SIM_HOSTS - 1u);
    sim_run_init();
    if (options.first)
        sim_tally->failures_max = 1;
    if (!command(left, argv))
        return usage();
    printf("%u runs: %llu faults, %llu deaths, %llu resets, %llu stalls, %llu touches, "
           "%llu interruptions, %llu pauses, %llu bits, %llu clocks set, %llu rotten bits, "
           "%llu resumed; %u failed",
           sim_tally->runs, (unsigned long long)sim_tally->faults,
           (unsigned long long)sim_tally->deaths, (unsigned long long)sim_tally->resets,
           (unsigned long long)sim_tally->stalls, (unsigned long long)sim_tally->touches,
           (unsigned long long)sim_tally->stops, (unsigned long long)sim_tally->holds,
           (unsigned long long)sim_tally->damaged, (unsigned long long)sim_tally->clocks,
           (unsigned long long)sim_tally->rots, (unsigned long long)sim_tally->resumed,
           sim_tally->failures);
    if (sim_tally->seeds_done < sim_tally->seeds)
        printf("; stopped after %llu of %llu seeds", (unsigned long long)sim_tally->seeds_done,
               (unsigned long long)sim_tally->seeds);
    printf("\n");
    return sim_tally->failures == 0 ? 0 : 1;
}
