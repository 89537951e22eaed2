/* What a run on a simulated world and one on a real kernel have in common: how engines are set up,
 * and what a session must have told. */
#include <string.h>

#include "tests/sim/run.h"

#define MEMORY (256 * HSR_MIB)
#define MEMORY_LEAST HSR_MIB
#define EXPORT "data"

static int setup_authorize(void *context, const struct sockaddr *peer, struct hsr_span export_name,
                           bool write, int *ret_root_fd)
{
    struct side *side = context;

    (void)peer;
    (void)write;
    if (export_name.size != strlen(EXPORT) || memcmp(export_name.ptr, EXPORT, strlen(EXPORT)) != 0)
        return HSR_E_EXPORT;
    *ret_root_fd = side->run->server_fd;
    return 0;
}

static const struct hsr_placement *placement(void)
{
    static struct hsr_placement place;

    if (place.count == 0)
        hsr_assert(hsr_place_make(4, "synthetic:core:4 pu:1", NULL, &place) == 0);
    return &place;
}

void sim_setup_engine(struct run *run, unsigned host, struct hsr_engine_config *ret_config)
{
    const struct sim_scenario *scenario = run->job->scenario;
    unsigned shards = host == SIM_CLIENT && scenario->client_shards > 0 ? scenario->client_shards
                                                                        : scenario->shards;
    struct hsr_plan_request request = { .shards = shards,
                                        .memory = MEMORY,
                                        .chunk = SIM_CHUNK,
                                        .depth = SIM_DEPTH,
                                        .streams = scenario->streams,
                                        .sessions = host == SIM_SERVER ? 2 : 1,
                                        .server = host == SIM_SERVER };
    struct hsr_engine_config config = { .placement = *placement(),
                                        .server = host == SIM_SERVER,
                                        .io = sim_session_io(run, host),
                                        .zero_copy = sim_session_zero_copy(run, host),
                                        .authorize = setup_authorize,
                                        .bench = host == SIM_SERVER,
                                        .event = sim_session_event,
                                        .context = &run->sides[host] };
    char why[256] = "";
    int rc;

    config.placement.count = shards;
    config.boot[0] = (uint8_t)(1 + host);
    memcpy(config.boot + 1, &run->world->hosts[host].boots, sizeof(unsigned));
    if (scenario->tight)
        request.memory = MEMORY_LEAST;
    do
        rc = hsr_plan_make(&request, &config.placement, &config.plan, why, sizeof(why));
    while (rc == HSR_E_PLAN && (request.memory += MEMORY_LEAST) <= MEMORY);
    if (rc < 0)
        fprintf(stderr, "plan: %s: %s\n", hsr_err_name(rc), why);
    hsr_assert(rc == 0);
    *ret_config = config;
}

/* What success must say: no power cut leaves anything of a tmpfs. */
static uint8_t reaches(const struct run *run)
{
    const struct sim_scenario *scenario = run->job->scenario;

    return scenario->tmpfs && !scenario->dry && scenario->bench_bytes == 0 ? HSR_DURABILITY_WRITTEN
                                                                           : HSR_DURABILITY_DURABLE;
}

void sim_outcome_fill(struct run *run)
{
    const struct sim_world *world = run->world;
    struct sim_report *report = run->report;
    struct sim_outcome *outcome = &run->outcome;

    if (report->failures > 0 && report->code == 0 && !run->died)
        sim_violation(run->world, "%u paths were told as failed and the session says success",
                      report->failures);
    /* of a journal that is not what it was a warning tells, and no more */
    report->failed = report->code != 0 || report->failures > 0 || run->died ||
                     (report->warnings > 0 && !outcome->rotten);
    outcome->failed = report->failed;
    outcome->durable = report->code == 0 && run->durability == HSR_DURABILITY_DURABLE;
    outcome->kept = report->failed && sim_scenario_keeps(run->job->scenario);
    outcome->unlink_failed = !run->spared && (world->fault.fired_kind == HSR_OP_UNLINK ||
                                              world->swarm_fired > 0 || report->deaths > 0);
    /* Whose statfs failed does not know that it writes to a tmpfs. */
    if (report->code == 0 && !run->died && report->warnings == 0 &&
        run->durability != reaches(run) &&
        !(run->job->scenario->tmpfs &&
          (world->swarm_fired > 0 || world->fault.fired_kind == HSR_OP_STATFS)))
        sim_violation(run->world, "success, and the level told is %u", run->durability);
    if (!report->failed && !outcome->touched)
        sim_scenario_check_equal(run->job->scenario, run->world, run->source, run->target,
                                 "after a session");
}
