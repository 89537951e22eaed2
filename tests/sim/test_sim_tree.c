/* transfer/tree in the simulated world: a copy by walk and target functions, first with nothing
 * wrong, then with every operation failing in turn with each error its kind can return, then with a
 * world that lies: that must be found. */
#include <errno.h>

#include "tests/sim/copy.h"
#include "tests/unit/hsr_test.h"

#define SOURCE 1u
#define TARGET 0u
#define SEED 7u
#define RANDOM_RUNS 600u

struct run {
    struct sim_world *world;
    struct sim_copy_result result;
    struct sim_outcome outcome;
};

static struct run run_one(const struct sim_scenario *scenario, uint64_t seed,
                          const struct sim_fault *fault, enum sim_bug bug, bool record,
                          uint32_t swarm_ppm)
{
    struct run run = { .world = sim_world_create(seed) };
    struct sim_world *world = run.world;

    if (getenv("SIM_TRACE") != NULL)
        world->trace = stderr;
    sim_scenario_build(scenario, world, SOURCE, TARGET, seed);
    sim_scenario_before(world, SOURCE, TARGET, &run.outcome);
    if (fault != NULL)
        world->fault = *fault;
    world->bug = bug;
    world->swarm_ppm = swarm_ppm;
    if (record) {
        world->record_room = 4096;
        world->records = calloc(world->record_room, sizeof(*world->records));
    }
    sim_copy(world, SOURCE, TARGET, scenario, &run.result);
    run.outcome.failed = run.result.code != 0 || run.result.failures > 0 || run.result.warnings > 0;
    run.outcome.durable = !run.outcome.failed;
    run.outcome.unlink_failed =
        world->swarm_fired > 0 ||
        (world->fault.fired > 0 && world->fault.fired_kind == HSR_OP_UNLINK);
    sim_scenario_check(scenario, world, SOURCE, TARGET, &run.outcome);
    return run;
}

static unsigned violations_print(const struct sim_world *world, const char *what)
{
    for (unsigned i = 0; i < HSR_MIN(world->violation_count, SIM_VIOLATIONS_MAX); i++)
        fprintf(stderr, "%s: %s\n", what, world->violations[i]);
    return world->violation_count;
}

/* Goal: the copy is equal, also after a power cut, and the same seed gives the same trace. */
static void test_copy_is_equal(void)
{
    for (unsigned i = 0; i < SIM_TREE_COUNT; i++) {
        struct run run = run_one(&sim_scenarios[i], SEED, NULL, SIM_BUG_NONE, false, 0);
        struct run again = run_one(&sim_scenarios[i], SEED, NULL, SIM_BUG_NONE, false, 0);
        struct run other = run_one(&sim_scenarios[i], SEED + 1, NULL, SIM_BUG_NONE, false, 0);

        CHECK(!run.outcome.failed);
        CHECK(violations_print(run.world, sim_scenarios[i].name) == 0);
        CHECK(run.world->trace_hash == again.world->trace_hash);
        CHECK(run.world->trace_hash != other.world->trace_hash);
        sim_world_destroy(run.world);
        sim_world_destroy(again.world);
        sim_world_destroy(other.world);
    }
}

static void fault_try(const struct sim_scenario *scenario, uint64_t index,
                      const struct sim_op_record *record, struct sim_fault fault, unsigned *fired)
{
    struct run run;

    fault.kind = SIM_ANY;
    fault.host = SIM_ANY;
    fault.nth = index + 1;
    run = run_one(scenario, SEED, &fault, SIM_BUG_NONE, false, 0);
    *fired += run.world->fault.fired;
    if (run.world->violation_count > 0) {
        fprintf(stderr, "%s: operation %llu (%s on host %u) with %s:\n", scenario->name,
                (unsigned long long)index, hsr_op_name(record->kind), record->host,
                fault.error != 0 ? hsr_err_name(-fault.error)
                : fault.end      ? "end"
                                 : "short");
        CHECK(violations_print(run.world, "  violation") == 0);
    }
    sim_world_destroy(run.world);
}

/* Goal: whatever fails, it is said or it does not matter, and no promise breaks. */
static void test_every_fault(void)
{
    for (unsigned i = 0; i < SIM_TREE_COUNT - 2; i++) { /* the last are for the engine */
        const struct sim_scenario *scenario = &sim_scenarios[i];
        struct run clean = run_one(scenario, SEED, NULL, SIM_BUG_NONE, true, 0);
        unsigned fired = 0;

        for (uint64_t n = 0; n < clean.world->record_count; n++) {
            const struct sim_op_record *record = &clean.world->records[n];
            const int *errors = sim_fault_errors(record->kind);

            for (unsigned e = 0; errors[e] != 0; e++) {
                /* Gone from the target before we touch it: somebody else was faster. */
                if (errors[e] == ENOENT && record->host == TARGET)
                    continue;
                fault_try(scenario, n, record, (struct sim_fault){ .error = errors[e] }, &fired);
            }
            if (sim_fault_cuttable(record->kind) && record->res > 1)
                fault_try(scenario, n, record, (struct sim_fault){ .cut = 1 }, &fired);
            if (sim_fault_endable(record->kind))
                fault_try(scenario, n, record, (struct sim_fault){ .end = true }, &fired);
        }
        printf("%s: %llu operations, %u faults\n", scenario->name,
               (unsigned long long)clean.world->record_count, fired);
        CHECK(fired > clean.world->record_count);
        sim_world_destroy(clean.world);
    }
}

/* Goal: as above for random trees on random remains of older ones, with several faults in a run. */
static void test_random_runs(void)
{
    unsigned equal = 0, faults = 0;

    for (uint64_t seed = 1; seed <= RANDOM_RUNS; seed++) {
        struct sim_forest forest;
        struct sim_scenario scenario = { .name = "random", .forest = &forest };
        struct run run;

        sim_forest_random(seed, &forest);
        scenario.delete = forest.delete;
        forest.delete = false; /* sim_copy() links over no directory that is not empty */
        run = run_one(&scenario, seed, NULL, SIM_BUG_NONE, false, seed % 3 == 0 ? 0 : 5000);
        CHECK(run.world->swarm_fired > 0 || !run.outcome.failed);
        if (run.world->violation_count > 0) {
            fprintf(stderr, "random tree, seed %llu:\n", (unsigned long long)seed);
            CHECK(violations_print(run.world, "  violation") == 0);
        }
        equal += !run.outcome.failed;
        faults += run.world->swarm_fired;
        sim_world_destroy(run.world);
    }
    printf("random: %u runs, %u faults, %u good\n", RANDOM_RUNS, faults, equal);
    CHECK(equal > RANDOM_RUNS / 4 && faults > RANDOM_RUNS / 4);
}

/* Goal: the checks find a world that lies; else they prove nothing. */
static void test_canary_is_found(void)
{
    for (int bug = SIM_BUG_NONE + 1; bug < SIM_BUG_COUNT; bug++) {
        unsigned found = 0;

        fprintf(stderr, "planted bug %d: differences are expected\n", bug);
        for (unsigned i = 0; i < SIM_TREE_COUNT; i++) {
            struct run run = run_one(&sim_scenarios[i], SEED, NULL, (enum sim_bug)bug, false, 0);

            CHECK(bug == SIM_BUG_LOST_RENAME || run.world->bug_fired > 0);
            found += run.world->violation_count > 0 || run.outcome.failed;
            sim_world_destroy(run.world);
        }
        CHECK(found > 0);
        if (bug == SIM_BUG_CORRUPT || bug == SIM_BUG_LYING_SYNC || bug == SIM_BUG_TIMES)
            CHECK(found == SIM_TREE_COUNT);
    }
}

int main(void)
{
    RUN(test_copy_is_equal);
    RUN(test_every_fault);
    RUN(test_random_runs);
    RUN(test_canary_is_found);
    TEST_END();
}
