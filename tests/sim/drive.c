/* See drive.h. */
#include "tests/sim/drive.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "ring/ring.h"
#include "transfer/engine/engine.h"
#include "transfer/net/zerocopy.h"
#include "transfer/tree/fileio.h"

#define PORT 7440
#define CHUNK (64 * HSR_KIB)
#define DEPTH 2u
#define MEMORY (256 * HSR_MIB)
#define LIMIT_NS                                                                                   \
    (300 * HSR_NS_PER_S) /* of simulated time, for one session and all its deadlines               \
                          */
#define TURNS_MAX 400000u /* of one session; a clean one takes some thousands */
#define LOOPS_MAX 8u

struct side {
    struct run *run;
    unsigned host;
    struct hsr_engine *engine;
};

struct run {
    const struct sim_job *job;
    struct sim_report *report;
    struct sim_world *world;
    struct side sides[SIM_HOSTS];
    struct hsr_loop *loops[LOOPS_MAX];
    unsigned loop_count;
    struct hsr_prng order;
    unsigned source, target; /* hosts */
    int listen_fd, server_fd, client_fd;
    struct hsr_walk_top top; /* borrowed by the session, which may outlive a failed run */
    struct hsr_span all;
    bool closed; /* the client's session */
    uint8_t durability;
};

/* Mostly direct, where the file system of that host can: there is more to go wrong. */
static uint8_t run_io(const struct run *run, unsigned host)
{
    static const uint8_t io[] = { HSR_IO_DIRECT, HSR_IO_AUTO, HSR_IO_BUFFERED, HSR_IO_DIRECT };

    return io[(run->job->seed + host) % HSR_ARRAY_COUNT(io)];
}

/* Two of three; AUTO finds no device here. */
static uint8_t run_zero_copy(const struct run *run, unsigned host)
{
    static const uint8_t modes[] = { HSR_ZC_ON, HSR_ZC_ON, HSR_ZC_AUTO };

    return modes[(run->job->seed + host) % HSR_ARRAY_COUNT(modes)];
}

static int run_backend(void *context, unsigned shard, struct hsr_backend **ret_backend)
{
    struct side *side = context;

    return sim_backend_create(side->run->world, side->host, shard, ret_backend);
}

static int run_authorize(void *context, const struct sockaddr *peer, struct hsr_span export_name,
                         bool write, int *ret_root_fd)
{
    struct side *side = context;

    (void)peer;
    (void)write;
    if (export_name.size != 4 || memcmp(export_name.ptr, "data", 4) != 0)
        return HSR_E_EXPORT;
    *ret_root_fd = side->run->server_fd;
    return 0;
}

static void event_trace(const struct run *run, const struct side *side,
                        const struct hsr_event *event)
{
    static const char *const names[HSR_EVENT_COUNT] = { "accepted", "refused", "opened", "progress",
                                                        "note",     "closed",  "entry" };

    if (run->world->trace == NULL || event->kind == HSR_EVENT_PROGRESS)
        return;
    fprintf(run->world->trace, "%12.6f %s   EVENT  %s: %s \"%s\" %s\n",
            (double)run->world->now_ns / 1e9, side->host == SIM_SERVER ? "server" : "client",
            names[event->kind], event->code != 0 ? hsr_err_name(event->code) : "",
            event->path != NULL ? event->path : "", event->text != NULL ? event->text : "");
}

/* A benchmark that says it went well has moved all, and both sides saw the same. */
static void event_bench(struct run *run, const struct hsr_event *event)
{
    const struct hsr_bench_report *report = event->report;
    uint64_t bytes = run->job->scenario->bench_bytes;

    run->durability = HSR_DURABILITY_DURABLE; /* nothing was to be kept */
    if (event->code == 0 &&
        (report == NULL || report->ours.bytes != bytes || report->theirs.bytes != bytes))
        sim_violation(run->world, "a benchmark of %llu bytes has other figures",
                      (unsigned long long)bytes);
}

/* A dry run between trees that differ says so. */
static void event_dry(struct run *run, const struct hsr_event *event)
{
    const struct hsr_totals *totals = event->totals;

    run->durability = HSR_DURABILITY_DURABLE; /* nothing was to be kept */
    if (event->code == 0 && (totals->files == 0 || totals->created == 0 || totals->deleted == 0))
        sim_violation(run->world, "a dry run found %llu files, %llu others, %llu to delete",
                      (unsigned long long)totals->files, (unsigned long long)totals->created,
                      (unsigned long long)totals->deleted);
}

static void run_event(void *context, const struct hsr_event *event)
{
    struct side *side = context;
    struct run *run = side->run;

    event_trace(run, side, event);
    if (side->host != SIM_CLIENT)
        return;
    if (event->kind == HSR_EVENT_NOTE) {
        run->report->failures += event->note == HSR_NOTE_FAILED;
        run->report->warnings += event->note == HSR_NOTE_WARNING;
    }
    if (event->kind != HSR_EVENT_CLOSED)
        return;
    if (run->closed)
        sim_violation(run->world, "the session closed twice");
    run->closed = true;
    run->report->code = event->code;
    run->durability = event->durability;
    if (run->job->scenario->bench_bytes > 0)
        event_bench(run, event);
    if (run->job->scenario->dry)
        event_dry(run, event);
    if (event->totals != NULL && event->totals->failed > 0 && event->code == 0)
        sim_violation(run->world, "%llu paths failed and the session says success",
                      (unsigned long long)event->totals->failed);
}

/* ---- turning ---- */

static uint64_t next_deadline(const struct run *run)
{
    uint64_t next_ns = sim_world_next(run->world);

    for (unsigned i = 0; i < run->loop_count; i++) {
        if (run->loops[i]->timer_count > 0)
            next_ns = HSR_MIN(next_ns, run->loops[i]->timers[1]->deadline_ns);
    }
    return next_ns;
}

/* Every loop once, in a seeded order; now and then one of them is held up. */
static bool turn_all(struct run *run)
{
    struct hsr_loop *loops[LOOPS_MAX];
    bool busy = false;

    memcpy(loops, run->loops, sizeof(loops));
    for (unsigned left = run->loop_count; left > 0; left--) {
        unsigned pick = (unsigned)hsr_prng_below(&run->order, left);
        struct hsr_loop *loop = loops[pick];

        loops[pick] = loops[left - 1];
        if (hsr_prng_below(&run->order, 16) == 0) {
            busy = true; /* its work waits: this is no silence */
            continue;
        }
        busy = hsr_loop_turn(loop, true) || busy;
    }
    return busy;
}

/* Until the client's session has closed and the server holds none; or a bound is passed. */
static void turn_until_closed(struct run *run)
{
    struct sim_world *world = run->world;
    uint64_t end_ns = world->now_ns + LIMIT_NS;
    unsigned quiet = 0;

    for (unsigned turn = 0; turn < TURNS_MAX; turn++) {
        uint64_t next_ns;

        if (turn_all(run)) {
            quiet = 0;
            continue;
        }
        if (run->closed && hsr_engine_sessions(run->sides[SIM_SERVER].engine) == 0)
            return;
        if (++quiet < 2) /* a message may have come after its loop's turn */
            continue;
        next_ns = next_deadline(run);
        if (next_ns == UINT64_MAX) {
            sim_violation(world, "nothing will ever happen again: %s has not ended",
                          run->closed ? "the server's session" : "the client's session");
            return;
        }
        if (next_ns > end_ns) {
            sim_violation(world, "no end after %llu simulated seconds",
                          (unsigned long long)(LIMIT_NS / HSR_NS_PER_S));
            return;
        }
        sim_world_jump(world, next_ns);
    }
    sim_violation(world, "no end after %u turns", TURNS_MAX);
}

/* ---- starting and ending ---- */

static const struct hsr_placement *placement(void)
{
    static struct hsr_placement place;

    if (place.count == 0)
        hsr_assert(hsr_place_make(4, "synthetic:core:4 pu:1", NULL, &place) == 0);
    return &place;
}

static void side_start(struct run *run, unsigned host)
{
    const struct sim_scenario *scenario = run->job->scenario;
    struct side *side = &run->sides[host];
    struct hsr_plan_request request = { .shards = scenario->shards,
                                        .memory = MEMORY,
                                        .chunk = CHUNK,
                                        .depth = DEPTH,
                                        .streams = scenario->streams,
                                        .sessions = host == SIM_SERVER ? 2 : 1,
                                        .server = host == SIM_SERVER };
    struct hsr_engine_config config = { .placement = *placement(),
                                        .server = host == SIM_SERVER,
                                        .io = run_io(run, host),
                                        .zero_copy = run_zero_copy(run, host),
                                        .authorize = run_authorize,
                                        .bench = host == SIM_SERVER,
                                        .event = run_event,
                                        .context = side,
                                        .backend_create = run_backend,
                                        .no_threads = true };
    char why[256] = "";
    int rc;

    side->run = run;
    side->host = host;
    config.placement.count = scenario->shards;
    rc = hsr_plan_make(&request, &config.placement, &config.plan, why, sizeof(why));
    if (rc == 0)
        rc = hsr_engine_create(&config, &side->engine, why, sizeof(why));
    if (rc < 0)
        fprintf(stderr, "engine: %s: %s\n", hsr_err_name(rc), why);
    hsr_assert(rc == 0);
    for (unsigned i = 0; i < scenario->shards; i++) {
        hsr_assert(run->loop_count < LOOPS_MAX);
        run->loops[run->loop_count++] = hsr_engine_loop(side->engine, i);
    }
}

static void session_run(struct run *run)
{
    const struct sim_scenario *scenario = run->job->scenario;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(PORT) };
    struct hsr_job_spec spec = { .address_size = sizeof(address),
                                 .role = run->job->pull ? HSR_ROLE_TARGET : HSR_ROLE_SOURCE,
                                 .export_name = "data",
                                 .path = "",
                                 .digest = scenario->blake3 ? HSR_DIGEST_BLAKE3 : HSR_DIGEST_XXH3,
                                 .durability = HSR_DURABILITY_DURABLE,
                                 .io = run_io(run, SIM_CLIENT),
                                 .zero_copy = run_zero_copy(run, SIM_CLIENT),
                                 .streams = scenario->streams,
                                 .depth = DEPTH,
                                 .chunk = CHUNK,
                                 .delete_max = UINT64_MAX,
                                 .tops = &run->top,
                                 .top_count = run->job->pull ? 0 : 1,
                                 .paths = &run->all,
                                 .path_count = run->job->pull ? 1 : 0,
                                 .target_fd = run->job->pull ? run->client_fd : -1 };
    int rc;

    address.sin_addr.s_addr = htonl(0x0a000001);
    memcpy(&spec.address, &address, sizeof(address));
    spec.delta = scenario->delta ? HSR_DELTA_ON : HSR_DELTA_OFF;
    spec.options =
        (scenario->delete ? HSR_OPT_DELETE : 0) | (scenario->checksum ? HSR_OPT_CHECKSUM : 0) |
        (scenario->dry ? HSR_OPT_DRY_RUN : 0) | (scenario->inplace ? HSR_OPT_INPLACE : 0);
    if (scenario->bench_bytes > 0) {
        spec.benching = true;
        spec.bench = (struct hsr_bench_ask){ .role = spec.role,
                                             .streams = scenario->streams,
                                             .depth = DEPTH,
                                             .chunk = CHUNK,
                                             .time_ns = LIMIT_NS,
                                             .bytes = scenario->bench_bytes };
    }
    run->top = (struct hsr_walk_top){ .base_fd = run->client_fd, .contents = true };
    run->all = (struct hsr_span){ .ptr = (const uint8_t *)"" };
    run->closed = false;
    run->report->code = 0;
    rc = hsr_engine_run(run->sides[SIM_CLIENT].engine, &spec);
    if (rc < 0) { /* refused before it began */
        run->closed = true;
        run->report->code = rc;
        return;
    }
    turn_until_closed(run);
    if (!run->closed)
        run->report->code = HSR_E_TIMEOUT; /* the violation was told */
}

static void outcome_fill(struct run *run, struct sim_outcome *outcome)
{
    const struct sim_world *world = run->world;
    struct sim_report *report = run->report;

    if (report->failures > 0 && report->code == 0)
        sim_violation(run->world, "%u paths were told as failed and the session says success",
                      report->failures);
    report->failed = report->code != 0 || report->failures > 0 || report->warnings > 0;
    outcome->failed = report->failed;
    outcome->durable = report->code == 0 && run->durability == HSR_DURABILITY_DURABLE;
    outcome->unlink_failed = (world->fault.fired > 0 && world->fault.fired_kind == HSR_OP_UNLINK) ||
                             world->swarm_fired > 0;
    if (report->code == 0 && run->durability != HSR_DURABILITY_DURABLE && report->warnings == 0)
        sim_violation(run->world, "success, but not as durable as asked");
}

static void engines_stop(struct run *run)
{
    run->world->driven = false; /* whoever turns a loop now may sleep */
    run->world->faults_off = true;
    hsr_engine_destroy(run->sides[SIM_CLIENT].engine);
    hsr_engine_destroy(run->sides[SIM_SERVER].engine);
}

static void descriptors_close(struct run *run)
{
    (void)sim_fd_close(&run->world->hosts[SIM_SERVER], run->listen_fd); /* a second close would */
    (void)sim_fd_close(&run->world->hosts[SIM_SERVER], run->server_fd); /* be a violation and */
    (void)sim_fd_close(&run->world->hosts[SIM_CLIENT], run->client_fd); /* found as that */
}

/* Once nothing goes wrong any more, the same job succeeds, whatever happened before. */
static void session_again(struct run *run, struct sim_outcome *outcome)
{
    struct sim_report before = *run->report;

    run->world->faults_off = true;
    run->report->failures = run->report->warnings = 0;
    session_run(run);
    outcome_fill(run, outcome);
    outcome->unlink_failed = false; /* what was left is stale and had to go now */
    if (run->report->failed)
        sim_violation(run->world, "without faults the next session fails: %s",
                      hsr_err_name(run->report->code));
    run->report->code = before.code;
    run->report->failures = before.failures;
    run->report->warnings = before.warnings;
    run->report->failed = before.failed;
}

static void run_session(struct run *run, struct sim_outcome *outcome)
{
    const struct sim_job *job = run->job;
    struct sim_world *world = run->world;

    world->driven = true;
    side_start(run, SIM_SERVER);
    side_start(run, SIM_CLIENT);
    hsr_assert(hsr_engine_listen(run->sides[SIM_SERVER].engine, run->listen_fd, 0) == 0);
    world->fault = job->fault;
    world->swarm_ppm = job->swarm_ppm;
    world->bug = job->bug;
    session_run(run);
    outcome_fill(run, outcome);
    if (job->again && world->violation_count == 0 &&
        (world->fault.fired > 0 || world->swarm_fired > 0))
        session_again(run, outcome);
}

void sim_drive(const struct sim_job *job, struct sim_report *ret_report)
{
    struct sim_world *world = sim_world_create(job->seed);
    struct run run = { .job = job,
                       .report = ret_report,
                       .world = world,
                       .order = hsr_prng_init(job->seed ^ 0x07de7),
                       .source = job->pull ? SIM_SERVER : SIM_CLIENT,
                       .target = job->pull ? SIM_CLIENT : SIM_SERVER };
    struct sim_outcome outcome = { 0 };
    uint64_t start_ns;

    *ret_report = (struct sim_report){ .world = world };
    sim_scenario_build(job->scenario, world, run.source, run.target, job->seed);
    sim_scenario_before(world, run.source, run.target, &outcome);
    world->trace = job->trace;
    if (job->record) {
        world->record_room = 4096;
        world->records = calloc(world->record_room, sizeof(*world->records));
        hsr_assert(world->records != NULL);
    }
    run.listen_fd = sim_listen(world, SIM_SERVER, PORT);
    run.server_fd = sim_open(&world->hosts[SIM_SERVER], SIM_DATA, O_RDONLY | O_DIRECTORY);
    run.client_fd = sim_open(&world->hosts[SIM_CLIENT], SIM_DATA, O_RDONLY | O_DIRECTORY);
    start_ns = world->now_ns;
    run_session(&run, &outcome);
    ret_report->took_ns = world->now_ns - start_ns;
    ret_report->trace_hash = world->trace_hash;
    for (unsigned i = 0; i < run.loop_count; i++)
        ret_report->trace_hash = ret_report->trace_hash * 31 + run.loops[i]->trace_hash;
    engines_stop(&run);
    descriptors_close(&run);
    sim_scenario_check(job->scenario, world, run.source, run.target, &outcome);
}

const char *sim_job_words(const struct sim_job *job, char *buf, size_t size)
{
    const struct sim_fault *fault = &job->fault;
    int used;

    if (job->swarm_ppm > 0) {
        (void)snprintf(buf, size, "%llu", (unsigned long long)job->seed); /* fits */
        return buf;
    }
    used = snprintf(buf, size, "fault %s %s", job->scenario->name, job->pull ? "pull" : "push");
    if (fault->nth > 0 && used > 0 && (size_t)used < size)
        (void)snprintf(buf + used, size - (size_t)used, " --op %llu --error %s",
                       (unsigned long long)fault->nth,
                       fault->error != 0 ? hsr_err_name(-fault->error)
                       : fault->end      ? "end"
                                         : "short");
    return buf;
}
