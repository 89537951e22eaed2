/* Engines of both sides: started, turned in a seeded order, killed and started again. */
#include "tests/sim/run.h"

#include "ring/ring.h"

#define TURNS_MAX 400000u /* of one session; a clean one takes some thousands */
#define REVIVE_NS_MAX (40 * HSR_NS_PER_S) /* longer than a client waits for a silent server */

static int side_backend(void *context, unsigned shard, struct hsr_backend **ret_backend)
{
    struct side *side = context;

    return sim_backend_create(side->run->world, side->host, shard, ret_backend);
}

static void side_descriptors(struct run *run, unsigned host)
{
    struct sim_world *world = run->world;
    int root = sim_open(&world->hosts[host], SIM_DATA, O_RDONLY | O_DIRECTORY);

    if (host == SIM_SERVER) {
        run->listen_fd = sim_listen(world, host, SIM_PORT);
        run->server_fd = root;
    } else {
        run->client_fd = root;
        run->nothing_fd = sim_open(&world->hosts[host], SIM_BESIDE "/canary", O_PATH);
    }
}

void sim_side_start(struct run *run, unsigned host)
{
    struct side *side = &run->sides[host];
    struct hsr_engine_config config;
    char why[256] = "";
    int rc;

    *side = (struct side){ .run = run, .host = host };
    side_descriptors(run, host);
    sim_setup_engine(run, host, &config);
    config.backend_create = side_backend;
    config.no_threads = true;
    rc = hsr_engine_create(&config, &side->engine, why, sizeof(why));
    if (rc < 0)
        fprintf(stderr, "engine: %s: %s\n", hsr_err_name(rc), why);
    hsr_assert(rc == 0);
    for (unsigned i = 0; i < config.placement.count; i++) {
        hsr_assert(run->loop_count < SIM_LOOPS_MAX);
        run->loops[run->loop_count].loop = hsr_engine_loop(side->engine, i);
        run->loops[run->loop_count++].host = host;
    }
    if (host == SIM_SERVER)
        hsr_assert(hsr_engine_listen(side->engine, run->listen_fd, 0) == 0);
}

/* Its loops are turned no more. */
static void side_forget(struct run *run, unsigned host)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < run->loop_count; i++) {
        if (run->loops[i].host == host)
            run->loops_hash = run->loops_hash * 31 + run->loops[i].loop->trace_hash;
        else
            run->loops[kept++] = run->loops[i];
    }
    run->loop_count = kept;
}

static void side_bury(struct run *run, unsigned host)
{
    struct side *side = &run->sides[host];
    struct sim_world *world = run->world;

    side_forget(run, host);
    sim_host_bury(&world->hosts[host]);
    hsr_engine_destroy(side->engine);
    side->engine = NULL;
    side->revive_ns = world->now_ns + sim_between(world, 0, REVIVE_NS_MAX);
    run->died = true;
    run->report->deaths++;
    if (host == SIM_CLIENT)
        run->closed = true;
    sim_scenario_check_names(run->job->scenario, world, run->source, run->target,
                             run->outcome.again);
}

void sim_side_revive(struct run *run, unsigned host)
{
    sim_host_revive(&run->world->hosts[host]);
    sim_side_start(run, host);
}

static void sides_bury(struct run *run)
{
    for (unsigned host = 0; host < SIM_HOSTS; host++) {
        if (run->world->hosts[host].dead && run->sides[host].engine != NULL)
            side_bury(run, host);
    }
}

void sim_sides_stop(struct run *run)
{
    run->world->driven = false; /* whoever turns a loop now may sleep */
    run->world->faults_off = true;
    for (unsigned host = 0; host < SIM_HOSTS; host++) {
        side_forget(run, host);
        run->world->hosts[host].crash = (struct sim_crash){ 0 };
    }
    hsr_engine_destroy(run->sides[SIM_CLIENT].engine);
    hsr_engine_destroy(run->sides[SIM_SERVER].engine);
    if (run->sides[SIM_SERVER].engine != NULL) { /* else they went with it */
        (void)sim_fd_close(&run->world->hosts[SIM_SERVER], run->listen_fd); /* a second close */
        (void)sim_fd_close(&run->world->hosts[SIM_SERVER], run->server_fd); /* is a violation */
    }
    if (run->sides[SIM_CLIENT].engine != NULL) {
        (void)sim_fd_close(&run->world->hosts[SIM_CLIENT], run->client_fd);
        (void)sim_fd_close(&run->world->hosts[SIM_CLIENT], run->nothing_fd);
    }
}

/* ---- turning ---- */

static uint64_t next_deadline(const struct run *run)
{
    uint64_t next_ns = sim_world_next(run->world);

    for (unsigned i = 0; i < run->loop_count; i++) {
        const struct hsr_loop *loop = run->loops[i].loop;

        if (loop->timer_count > 0)
            next_ns = HSR_MIN(next_ns, loop->timers[1]->deadline_ns);
    }
    if (run->sides[SIM_SERVER].engine == NULL)
        next_ns = HSR_MIN(next_ns, run->sides[SIM_SERVER].revive_ns);
    return next_ns;
}

/* Every loop once, in a seeded order; now and then one of them is held up. */
static bool turn_all(struct run *run)
{
    struct hsr_loop *loops[SIM_LOOPS_MAX];
    bool busy = false;

    sim_user_heard(run);
    for (unsigned i = 0; i < run->loop_count; i++)
        loops[i] = run->loops[i].loop;
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
    sides_bury(run);
    return busy;
}

static bool turned_enough(const struct run *run, bool both)
{
    const struct side *server = &run->sides[SIM_SERVER];

    return run->closed &&
           (!both || server->engine == NULL || hsr_engine_sessions(server->engine) == 0);
}

void sim_turn_until_closed(struct run *run, bool both)
{
    struct sim_world *world = run->world;
    uint64_t end_ns = world->now_ns + SIM_LIMIT_NS;
    unsigned quiet = 0;

    for (unsigned turn = 0; turn < TURNS_MAX; turn++) {
        uint64_t next_ns;

        if (turn_all(run)) {
            quiet = 0;
            if (run->closed && !both)
                return;
            continue;
        }
        if (turned_enough(run, both))
            return;
        if (++quiet < 2) /* a message may have come after its loop's turn */
            continue;
        next_ns = next_deadline(run);
        if (next_ns == UINT64_MAX || next_ns > end_ns) {
            sim_violation(world, "no end after %llu simulated seconds: %s has not ended%s",
                          (unsigned long long)(SIM_LIMIT_NS / HSR_NS_PER_S),
                          run->closed ? "the server's session" : "the client's session",
                          next_ns == UINT64_MAX ? ", and nothing will ever happen again" : "");
            return;
        }
        sim_world_jump(world, next_ns);
        if (run->sides[SIM_SERVER].engine == NULL &&
            world->now_ns >= run->sides[SIM_SERVER].revive_ns)
            sim_side_revive(run, SIM_SERVER);
    }
    sim_violation(world, "no end after %u turns", TURNS_MAX);
}
