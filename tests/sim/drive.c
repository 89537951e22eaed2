/* See drive.h: attempts with troubles, a last run without, and what must hold in between. */
#include "tests/sim/drive.h"

#include <stdlib.h>
#include <string.h>

#include "ring/ring.h"
#include "tests/sim/fs.h"
#include "tests/sim/run.h"
#include "transfer/tree/target.h"

#define TROUBLE_NS_MIN (20 * HSR_NS_PER_US)
#define TROUBLE_OCTAVES 12u /* up to 80 ms: the length of a longer run */
#define CLOCK_OCTAVES 40u /* of a millisecond: 34 years */
#define STALL_OCTAVES 27u /* of TROUBLE_NS_MIN: up to 45 minutes: the longest outlast every run */

#define STOP_NS_MAX (5 * HSR_NS_PER_S) /* in good order; after 10 it ends as it is */
#define SYNCING_OPS 48u /* so many come while files are synced, in a run that has syncs at all */
#define SYNCING_EVERY 12u /* one crash in so many is of that kind: sim.c */
#define HOLD_NS (40 * HSR_NS_PER_S) /* longer than anybody waits for a silent peer */

enum trouble {
    TROUBLE_RESET,
    TROUBLE_STALL,
    TROUBLE_TOUCH,
    TROUBLE_CLOCK,
    TROUBLE_STOP, /* the user interrupts the client */
    TROUBLE_HOLD, /* he pauses it */
    TROUBLE_GO, /* and lets it go on */
    TROUBLE_STOP_SOON, /* when the operation of now has been issued */
    TROUBLE_HOLD_SOON
};

/* ---- troubles ---- */

/* Any order of magnitude is as likely as the others. */
static uint64_t some_time(struct sim_world *world, unsigned octaves)
{
    uint64_t base = TROUBLE_NS_MIN << sim_between(world, 0, octaves);

    return sim_between(world, base, 2 * base);
}

/* Somebody sets the wall clock of @host: by milliseconds or decades, to and fro. */
static void clock_set(struct sim_host *host)
{
    uint64_t by_ns = HSR_NS_PER_MS << sim_between(host->world, 0, CLOCK_OCTAVES);

    host->wall_jump_ns = (int64_t)sim_between(host->world, 0, by_ns);
    if (sim_between(host->world, 0, 1) == 0)
        host->wall_jump_ns = -host->wall_jump_ns;
    if (host->world->trace != NULL)
        fprintf(host->world->trace, "%12.6f the clock of host %u is set by %lld ns\n",
                (double)host->world->now_ns / 1e9, host->index, (long long)host->wall_jump_ns);
}

/* The disk of the target gives @inode back otherwise than it took it: one bit is another. */
static void rot_bit(struct sim_inode *inode)
{
    uint64_t at = sim_between(inode->host->world, 0, inode->live.data.size - 1);
    uint8_t byte;

    (void)sim_data_read(&inode->live.data, &byte, 1, at); /* it is there */
    byte ^= (uint8_t)(1u << sim_between(inode->host->world, 0, 7));
    hsr_assert(sim_data_write(inode, &byte, 1, at) == 1);
}

static void rot_stage(void *context, const char *path, struct sim_inode *dir,
                      struct sim_name *entry)
{
    struct run *run = context;
    struct hsr_span name = { .ptr = (const uint8_t *)entry->name, .size = entry->size };

    (void)dir;
    if (!run->world->stage_name_is(name) || strcmp(path, HSR_JOURNAL_NAME) == 0 ||
        entry->inode->live.data.size == 0)
        return;
    rot_bit(entry->inode);
    run->report->rots++;
    run->outcome.rotten = true;
}

/* What an attempt has left is not what it was: the journal, or (if all of it is read again) stages.
 */
static void rot(struct run *run)
{
    struct sim_world *world = run->world;
    struct sim_inode *journal = sim_find(&world->hosts[run->target], SIM_DATA "/" HSR_JOURNAL_NAME);
    uint32_t before = run->report->rots;
    bool stages = run->job->scenario->reread && sim_between(world, 0, 1) == 0;

    for (uint32_t i = 0; i < run->job->troubles.rots && stages; i++)
        sim_tree_visit(&world->hosts[run->target], SIM_DATA, rot_stage, run);
    for (uint32_t i = 0; i < run->job->troubles.rots && !stages && journal != NULL; i++) {
        uint64_t size = journal->live.data.size;

        if (size == 0)
            break;
        run->report->rots++;
        run->outcome.rotten = true;
        if (sim_between(world, 0, 7) == 0)
            (void)sim_data_resize(journal, sim_between(world, 0, size - 1));
        else
            rot_bit(journal);
    }
    if (run->report->rots > before && world->trace != NULL)
        fprintf(world->trace, "%12.6f what is kept of %s is not what it was\n",
                (double)world->now_ns / 1e9, stages ? "files" : "the journal");
}

/* The client's user. What he says when nothing runs would be for the next session. */
static bool user_says(struct run *run, enum hsr_control control)
{
    struct hsr_engine *engine = run->sides[SIM_CLIENT].engine;

    if (engine == NULL || run->world->hosts[SIM_CLIENT].dead ||
        (run->closed && control != HSR_CONTROL_GO))
        return false;
    if (run->said_count < SIM_SAID_MAX)
        run->said[run->said_count++] = (uint8_t)control;
    return true;
}

void sim_user_heard(struct run *run)
{
    for (unsigned i = 0; i < run->said_count; i++) {
        struct hsr_engine *engine = run->sides[SIM_CLIENT].engine;

        if (engine != NULL && !run->world->hosts[SIM_CLIENT].dead)
            hsr_engine_control(engine, (enum hsr_control)run->said[i]);
    }
    run->said_count = 0;
}

static void trouble(void *context, void *what)
{
    struct run *run = context;
    struct sim_world *world = run->world;
    struct sim_report *report = run->report;

    if (world->faults_off)
        return;
    switch ((enum trouble)(uintptr_t)what) {
    case TROUBLE_RESET:
        report->resets += sim_net_trouble(world, 0);
        break;
    case TROUBLE_STALL:
        report->stalls += sim_net_trouble(world, some_time(world, STALL_OCTAVES));
        break;
    case TROUBLE_TOUCH:
        if (!sim_touch(&world->hosts[run->source], SIM_DATA))
            break;
        report->touches++;
        run->outcome.touched = true;
        run->outcome.source_hash = sim_host_hash(&world->hosts[run->source], NULL);
        break;
    case TROUBLE_CLOCK:
        report->clocks++;
        clock_set(&world->hosts[sim_between(world, 0, SIM_HOSTS - 1)]);
        break;
    case TROUBLE_STOP:
        report->stops += user_says(run, HSR_CONTROL_STOP);
        run->stop_ns = world->now_ns;
        break;
    case TROUBLE_HOLD:
        if (!user_says(run, HSR_CONTROL_HOLD))
            break;
        report->holds++;
        sim_event_add(world, HOLD_NS, SIM_EVENT_TROUBLE, (void *)(uintptr_t)TROUBLE_GO);
        break;
    case TROUBLE_STOP_SOON:
        sim_event_add(world, 0, SIM_EVENT_TROUBLE, (void *)(uintptr_t)TROUBLE_STOP);
        break;
    case TROUBLE_HOLD_SOON:
        sim_event_add(world, 0, SIM_EVENT_TROUBLE, (void *)(uintptr_t)TROUBLE_HOLD);
        break;
    case TROUBLE_GO:
        (void)user_says(run, HSR_CONTROL_GO);
        break;
    }
}

static void troubles_plan(struct run *run, enum trouble what, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        sim_event_add(run->world, some_time(run->world, TROUBLE_OCTAVES), SIM_EVENT_TROUBLE,
                      (void *)(uintptr_t)what);
}

static void troubles_begin(struct run *run, unsigned attempt)
{
    const struct sim_troubles *troubles = &run->job->troubles;
    struct sim_world *world = run->world;
    struct sim_host *target = &world->hosts[run->target];

    troubles_plan(run, TROUBLE_RESET, troubles->resets);
    troubles_plan(run, TROUBLE_STALL, troubles->stalls);
    troubles_plan(run, TROUBLE_TOUCH, troubles->touches);
    troubles_plan(run, TROUBLE_CLOCK, troubles->clocks);
    world->ring_room = troubles->ring_room;
    world->reap_max = troubles->reap_max;
    troubles_plan(run, TROUBLE_STOP, troubles->stops);
    troubles_plan(run, TROUBLE_HOLD, troubles->holds);
    if (attempt == 0 && troubles->touch_nth > 0) {
        world->trouble_nth = world->op_count + troubles->touch_nth;
        world->trouble_what = (void *)(uintptr_t)TROUBLE_TOUCH;
    } else if (attempt == 0 && troubles->stop_nth + troubles->hold_nth > 0) {
        world->trouble_nth = world->op_count + troubles->stop_nth + troubles->hold_nth;
        world->trouble_what =
            (void *)(uintptr_t)(troubles->stop_nth > 0 ? TROUBLE_STOP_SOON : TROUBLE_HOLD_SOON);
    }
    world->disk_slow = troubles->disk_slow;
    world->net_slow = troubles->net_slow;
    world->wire_ppm = troubles->wire_ppm;
    world->base_ppm = troubles->base_ppm;
    world->base_host = run->target;
    target->pages_max = troubles->room_pages > 0 ? target->pages + troubles->room_pages : 0;
    if (attempt < SIM_CRASHES_MAX && troubles->crashes[attempt].when.nth > 0) {
        struct sim_host *host = &world->hosts[troubles->crashes[attempt].host];

        host->crash = troubles->crashes[attempt].when;
        host->crash.nth = host->crash.syncing ? 1 + host->crash.nth / SYNCING_EVERY % SYNCING_OPS
                                              : host->crash.nth + host->ops;
        if (host == target && run->job->scenario->tmpfs)
            host->crash.power = false; /* nothing of a tmpfs is left */
    }
}

static void troubles_end(struct run *run)
{
    struct sim_world *world = run->world;

    (void)user_says(run, HSR_CONTROL_GO);
    sim_user_heard(run);
    world->faults_off = true;
    world->disk_slow = world->net_slow = 0;
    world->ring_room = world->reap_max = 0;
    for (unsigned host = 0; host < SIM_HOSTS; host++) {
        world->hosts[host].pages_max = 0;
        world->hosts[host].crash = (struct sim_crash){ 0 };
    }
}

/* Something that nobody wanted. */
static bool troubles_real(const struct run *run)
{
    const struct sim_report *report = run->report;
    const struct sim_world *world = run->world;

    return world->fault.fired > 0 || world->swarm_fired > 0 || world->damaged > 0 ||
           report->deaths > 0 || report->resets > 0 || report->stalls > 0 || report->touches > 0 ||
           (run->job->troubles.room_pages > 0 && report->failed);
}

static bool troubles_any(const struct run *run)
{
    return troubles_real(run) || run->report->stops > 0 || run->report->holds > 0;
}

/* If nothing else went wrong, who was interrupted says that, and who was held up nothing. */
static void user_check(struct run *run)
{
    struct sim_report *report = run->report;
    bool quick = run->job->troubles.net_slow <= 1 && run->job->troubles.disk_slow <= 1 &&
                 !run->job->scenario->slow_sync;
    bool stopped = report->stops > 0 && report->code == HSR_E_CANCELED && report->failures == 0;

    if (troubles_real(run)) {
        report->left = 0;
        return;
    }
    if (report->failed && !stopped)
        sim_violation(run->world, "its user interrupted it %u times and paused it %u times: %s",
                      report->stops, report->holds, hsr_err_name(report->code));
    if (stopped && quick && run->world->now_ns - run->stop_ns > STOP_NS_MAX)
        sim_violation(run->world, "an interrupted session took %.1f s to end",
                      (double)(run->world->now_ns - run->stop_ns) / 1e9);
}

/* ---- a session ---- */

static void session_run(struct run *run, bool both)
{
    run->died = false;
    for (unsigned host = 0; host < SIM_HOSTS; host++) {
        if (run->world->hosts[host].dead)
            sim_side_revive(run, host);
    }
    if (sim_session_ask(run))
        sim_turn_until_closed(run, both);
    if (!run->closed)
        run->report->code = HSR_E_TIMEOUT; /* the violation was told */
    sim_outcome_fill(run);
}

/* Once nothing goes wrong any more, the same job succeeds, whatever happened before. */
static void session_again(struct run *run)
{
    struct sim_report before = *run->report;

    troubles_end(run);
    run->spared = true;
    run->closed = true;
    sim_turn_until_closed(run, /* both= */ true); /* what the server still holds ends */
    sim_scenario_check_names(run->job->scenario, run->world, run->source, run->target,
                             run->outcome.again); /* before it repairs what was wrong */
    run->outcome.touched = false;
    run->outcome.again = true;
    rot(run);
    session_run(run, /* both= */ true);
    if (before.stops > 0 && before.code == 0 && run->report->code == HSR_E_CANCELED)
        session_run(run, /* both= */ true); /* a word that came too late for one is for the next */
    if (run->report->failed)
        sim_violation(run->world, "without faults the next session fails: %s",
                      hsr_err_name(run->report->code));
    run->report->code = before.code;
    run->report->failures = before.failures;
    run->report->warnings = before.warnings;
    run->report->failed = before.failed;
}

static void run_sessions(struct run *run)
{
    const struct sim_job *job = run->job;
    struct sim_world *world = run->world;
    unsigned attempts = HSR_MAX(job->troubles.attempts, 1u);

    world->driven = true;
    sim_side_start(run, SIM_SERVER);
    sim_side_start(run, SIM_CLIENT);
    world->fault = job->fault;
    world->swarm_ppm = job->swarm_ppm;
    world->bug = job->bug;
    for (unsigned i = 0; i < attempts && world->violation_count == 0; i++) {
        troubles_begin(run, i);
        run->outcome.again = i > 0;
        if (i > 0)
            rot(run);
        session_run(run, !job->troubles.eager);
        if (run->report->stops + run->report->holds > 0)
            user_check(run);
        for (unsigned host = 0; host < SIM_HOSTS && i == 0; host++)
            run->report->ops[host] = world->hosts[host].ops;
    }
    if (job->again && world->violation_count == 0 && troubles_any(run))
        session_again(run);
}

void sim_drive(const struct sim_job *job, struct sim_report *ret_report)
{
    struct sim_world *world = sim_world_create(job->seed);
    struct run run = { .job = job,
                       .report = ret_report,
                       .world = world,
                       .order = hsr_prng_init(job->seed ^ 0x07de7),
                       .address = { .sin_family = AF_INET,
                                    .sin_port = htons(SIM_PORT),
                                    .sin_addr.s_addr = htonl(0x0a000001) },
                       .source = job->pull ? SIM_SERVER : SIM_CLIENT,
                       .target = job->pull ? SIM_CLIENT : SIM_SERVER };
    uint64_t start_ns;

    *ret_report = (struct sim_report){ .world = world };
    if (job->troubles.pipe_bytes > 0)
        world->pipe_bytes = job->troubles.pipe_bytes;
    sim_scenario_build(job->scenario, world, run.source, run.target, job->seed);
    world->hosts[run.target].names_need_sync = !job->scenario->inplace && !job->scenario->tmpfs;
    sim_scenario_before(world, run.source, run.target, &run.outcome);
    world->trace = job->trace;
    world->trouble = trouble;
    world->trouble_context = &run;
    if (job->record) {
        world->record_room = 4096;
        world->records = calloc(world->record_room, sizeof(*world->records));
        hsr_assert(world->records != NULL);
    }
    start_ns = world->now_ns;
    run_sessions(&run);
    ret_report->took_ns = world->now_ns - start_ns;
    sim_sides_stop(&run);
    ret_report->trace_hash = world->trace_hash * 31 + run.loops_hash;
    sim_scenario_check(job->scenario, world, run.source, run.target, &run.outcome);
}
