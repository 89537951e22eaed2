/* The drivers of the simulation. Each prints what it did, and for every run in which a promise
 * broke the words that repeat it; the exit code is 0 only if none did.
 *
 *   sim clean                      every scenario, push and pull, nothing goes wrong; twice each:
 *                                  the same seed gives the same trace
 *   sim fault SCENARIO push|pull   fail every operation in turn with each error it can return
 *       [--stride N]               only every N-th operation, beginning with a seeded one
 *       [--op N --error NAME]      this one fault only, with a trace
 *   sim swarm SEED [COUNT]         random trees, shards, streams and faults, COUNT seeds
 *   sim canary                     worlds with a planted bug: the checks must find it
 *   sim SEED                       one seed of the swarm with a trace
 *
 * --keep-going: each run in a process of its own, so that an abort ends only that run.
 * --seed N: another seed for the scenarios' runs. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/drive.h"

#define SEED_DEFAULT 7u
#define SWARM_FAULTS_MAX 20000u /* millionths of all operations */
#define TWICE_EVERY 16u /* one in so many seeds runs again, and must leave the same trace */
#define FAILURES_SHOWN 40u

struct options {
    uint64_t seed, stride, op, count;
    const char *error;
    bool keep_going;
};

static struct options options = { .seed = SEED_DEFAULT, .stride = 1, .count = 1 };
static unsigned runs, failures;
static uint64_t fired;
static const struct sim_job *job_now; /* for the message of an abort */

static void say_replay(const struct sim_job *job)
{
    char words[160];

    fprintf(stderr, "repeat with: tools/sim %s --seed %llu\n",
            sim_job_words(job, words, sizeof(words)), (unsigned long long)job->seed);
}

static void assert_hook(const char *text)
{
    (void)text; /* it was printed */
    if (job_now != NULL)
        say_replay(job_now);
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
    say_replay(job);
}

/* One run; true if every promise held. */
static bool run_here(const struct sim_job *job, struct sim_report *ret_report)
{
    bool good;

    job_now = job;
    sim_drive(job, ret_report);
    job_now = NULL;
    good = ret_report->world->violation_count == 0;
    fired += ret_report->world->fault.fired + ret_report->world->swarm_fired;
    if (!good && job->bug == SIM_BUG_NONE)
        report_print(job, ret_report);
    return good;
}

static bool run_apart(const struct sim_job *job)
{
    struct sim_report report;
    int status = 0;
    pid_t pid = fork();

    hsr_assert(pid >= 0);
    if (pid == 0)
        _exit(run_here(job, &report) ? 0 : 1);
    hsr_assert(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "VIOLATION died of signal %d\n", WTERMSIG(status));
        say_replay(job);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void run_job(const struct sim_job *job)
{
    struct sim_report report = { 0 };
    bool good;

    runs++;
    if (options.keep_going) {
        good = run_apart(job);
    } else {
        good = run_here(job, &report);
        sim_world_destroy(report.world);
    }
    failures += !good;
    if (failures >= FAILURES_SHOWN && !options.keep_going) {
        fprintf(stderr, "too many failures\n");
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
        runs += 2;
        if (report.failed || again.failed) {
            fprintf(stderr, "nothing went wrong and an error was told:\n");
            report_print(&job, &report);
            good = false;
        }
        if (job.scenario->tmpfs && report.world->huge_count == 0) {
            fprintf(stderr, "no huge page was asked for in a tmpfs\n");
            good = false;
        }
        if (report.trace_hash != again.trace_hash) {
            fprintf(stderr, "the same seed gives two traces: %s\n", job.scenario->name);
            say_replay(&job);
            good = false;
        }
        printf("%-8s %s: %llu operations, %.1f ms simulated, trace %016llx\n", job.scenario->name,
               job.pull ? "pull" : "push", (unsigned long long)report.world->op_count,
               (double)report.took_ns / 1e6, (unsigned long long)report.trace_hash);
        failures += !good;
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
    else if (strcmp(options.error, "short") == 0)
        fault.cut = 1;
    else
        fault.error = error_number(options.error);
    fault_try(job, options.op, fault, true);
}

static void fault(const char *name, bool pull)
{
    struct sim_job job = { .pull = pull, .seed = options.seed, .record = true };
    struct sim_report report;
    uint64_t count;

    for (unsigned i = 0; i < SIM_SCENARIO_COUNT; i++) {
        if (strcmp(sim_scenarios[i].name, name) == 0)
            job.scenario = &sim_scenarios[i];
    }
    if (job.scenario == NULL) {
        fprintf(stderr, "no such scenario: %s\n", name);
        exit(2);
    }
    if (options.op > 0 && options.error != NULL) {
        job.record = false;
        fault_one(&job);
        return;
    }
    failures += !run_here(&job, &report);
    job.record = false;
    count = report.world->record_count;
    for (uint64_t n = options.seed % options.stride; n < count; n += options.stride)
        fault_all(&job, n + 1, &report.world->records[n]);
    sim_world_destroy(report.world);
    printf("%s %s: %llu operations%s\n", name, pull ? "pull" : "push", (unsigned long long)count,
           options.stride > 1 ? " (not every one was failed: --stride)" : "");
}

/* ---- random runs ---- */

/* With faults too, a run is a function of its seed. */
static void run_twice(const struct sim_job *job)
{
    struct sim_report first, second;

    (void)run_here(job, &first); /* it was judged before */
    (void)run_here(job, &second);
    if (first.trace_hash != second.trace_hash) {
        fprintf(stderr, "the same seed gives two traces\n");
        say_replay(job);
        failures++;
    }
    sim_world_destroy(first.world);
    sim_world_destroy(second.world);
}

static void swarm(uint64_t seed, uint64_t count, FILE *trace)
{
    for (uint64_t i = 0; i < count; i++) {
        struct hsr_prng prng = hsr_prng_init(seed + i);
        struct sim_scenario scenario;
        struct sim_job job = { .scenario = &scenario,
                               .seed = seed + i,
                               .again = true,
                               .pull = hsr_prng_below(&prng, 2) == 0,
                               .swarm_ppm = 1 + (uint32_t)hsr_prng_below(&prng, SWARM_FAULTS_MAX),
                               .trace = trace };

        sim_scenario_random(seed + i, &scenario);
        run_job(&job);
        if (i % TWICE_EVERY == TWICE_EVERY - 1 && !options.keep_going)
            run_twice(&job);
    }
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

            runs++;
            hit += report.world->bug_fired > 0;
            found += report.world->bug_fired > 0 && (!good || report.failed);
            sim_world_destroy(report.world);
        }
        printf("planted bug %d: in %u runs, found in %u\n", bug, hit, found);
        failures += hit == 0 || found < hit;
    }
}

/* ---- the command ---- */

static int usage(void)
{
    fprintf(stderr, "usage: sim clean | canary | swarm SEED [COUNT] | SEED | fault "
                    "SCENARIO push|pull [--op N --error NAME] [--stride N]\n"
                    "       [--seed N] [--keep-going]\n");
    return 2;
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 0);
}

/* Take the options out of @argv; the words that are left are counted. */
static int options_take(int argc, char **argv)
{
    int left = 0;

    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;

        if (strcmp(argv[i], "--keep-going") == 0)
            options.keep_going = true;
        else if (strcmp(argv[i], "--seed") == 0 && more)
            options.seed = number(argv[++i]);
        else if (strcmp(argv[i], "--stride") == 0 && more)
            options.stride = number(argv[++i]);
        else if (strcmp(argv[i], "--op") == 0 && more)
            options.op = number(argv[++i]);
        else if (strcmp(argv[i], "--error") == 0 && more)
            options.error = argv[++i];
        else
            argv[left++] = argv[i];
    }
    return left;
}

int main(int argc, char **argv)
{
    int left = options_take(argc, argv);

    if (options.stride == 0)
        options.stride = 1;

    hsr_assert_hook_set(assert_hook);
    if (left == 1 && strcmp(argv[0], "clean") == 0)
        clean();
    else if (left == 1 && strcmp(argv[0], "canary") == 0)
        canary();
    else if (left >= 2 && strcmp(argv[0], "swarm") == 0)
        swarm(number(argv[1]), left > 2 ? number(argv[2]) : 1, NULL);
    else if (left == 1 && isdigit((unsigned char)argv[0][0]))
        swarm(number(argv[0]), 1, stderr);
    else if (left == 3 && strcmp(argv[0], "fault") == 0)
        fault(argv[1], strcmp(argv[2], "pull") == 0);
    else
        return usage();
    printf("%u runs, %llu faults, %u failed\n", runs, (unsigned long long)fired, failures);
    return failures == 0 ? 0 : 1;
}
