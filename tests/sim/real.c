/* The scenarios of the simulation on this machine's kernel: a server and a client in processes of
 * their own, real rings, real files, sockets on loopback. Trees come from the simulated world, and
 * what became of them is read back into it, so that the same checks judge both.
 *
 *   real clean                      every scenario, push and pull, nothing goes wrong
 *   real kill SCENARIO push|pull    SIGKILL to either side instead of an operation; then the same
 *       [--points N]                again, without
 *   real fault SCENARIO push|pull   an operation of either side fails with an error it can return
 *       [--points N]
 *   real kill|fault ... --op N --host 0|1      this one only
 *   real canary                     the target is spoiled behind our back: the checks must find it
 *
 * --points N: so many operations, spread over all (default 20); --seed N; --folder DIR: where trees
 * lie (default /tmp); --memory DIR: a tmpfs (default /dev/shm). Exit 77: it cannot run here. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/mirror.h"
#include "tests/sim/run.h"
#include "tests/sim/watch.h"

#define SEED_DEFAULT 7u
#define POINTS_DEFAULT 20u
#define SESSION_SECONDS 100u /* more than any deadline of a session */
#define BIND_TRIES 10000u /* ticks */
#define TICK_NS HSR_NS_PER_MS
#define FOLDER_ROOM 96u
#define PATH_ROOM 160u
#define SKIP_CODE 77

/* What the processes of a run tell one another. */
struct shared {
    struct sim_watch watches[SIM_HOSTS];
    _Atomic uint32_t server_up, server_stop, server_sessions;
    uint16_t port; /* of the server; the first one chooses */
    /* the client's, once it has ended */
    bool closed;
    int code;
    unsigned failures, warnings;
    uint8_t durability;
    uint64_t ahead_hits, resumed;
    uint32_t violation_count[SIM_HOSTS];
    char violations[SIM_HOSTS][SIM_VIOLATIONS_MAX][160];
};

/* What is done to a target's files after a session that went well. */
enum spoil {
    SPOIL_NOTHING,
    SPOIL_BYTE, /* one byte of a file, whose times stay */
    SPOIL_MODE,
    SPOIL_GONE, /* a file */
    SPOIL_STAGE, /* one is left */
    SPOIL_BESIDE, /* a file outside of the target */
    SPOIL_COUNT
};

struct real {
    struct run run;
    enum spoil spoil;
    struct sim_job job;
    struct sim_scenario scenario; /* with `tmpfs` as it is */
    struct sim_report report;
    struct shared *shared;
    char folder[FOLDER_ROOM];
    pid_t server; /* 0: none runs */
    bool skipped;
};

struct point { /* what goes wrong; host SIM_HOSTS: nothing */
    unsigned host;
    uint64_t kill_nth, fault_nth, pick;
};

static struct {
    uint64_t seed, points, op, host;
    const char *folder, *memory;
} options = { SEED_DEFAULT, POINTS_DEFAULT, 0, 0, "/tmp", "/dev/shm" };

static enum spoil spoil_all; /* of every run from now on */

static struct {
    unsigned runs, failures, deaths, faults, resumed, skipped;
} tally;

/* What the client's process waits for. */
static pthread_mutex_t told_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;

static const char *place(const struct real *real, unsigned host, const char *name,
                         char out[PATH_ROOM])
{
    (void)snprintf(out, PATH_ROOM, "%s/%u%s", real->folder, host, name);
    return out;
}

static void nap(void)
{
    struct timespec tick = { .tv_nsec = TICK_NS };

    (void)nanosleep(&tick, NULL);
}

/* ---- in a process of either side ---- */

static unsigned descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    hsr_assert(dir != NULL);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir); /* it was only read */
    return count;
}

static int real_backend(void *context, unsigned shard, struct hsr_backend **ret_backend)
{
    const struct side *side = context;
    struct real *real = hsr_container_of(side->run, struct real, run);
    char why[256] = "";
    int rc = sim_watch_create(&real->shared->watches[side->host], ret_backend, why, sizeof(why));

    (void)shard;
    if (rc < 0)
        fprintf(stderr, "%s\n", why);
    return rc;
}

static void real_event(void *context, const struct hsr_event *event)
{
    (void)pthread_mutex_lock(&told_lock);
    sim_session_event(context, event);
    (void)pthread_cond_broadcast(&told);
    (void)pthread_mutex_unlock(&told_lock);
}

static void engine_start(struct real *real, unsigned host)
{
    struct run *run = &real->run;
    struct hsr_engine_config config;
    char path[PATH_ROOM], why[256] = "";
    int root, rc;

    root = open(place(real, host, SIM_DATA, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    hsr_assert(root >= 0);
    if (host == SIM_SERVER) {
        run->server_fd = root;
    } else {
        run->client_fd = root;
        run->nothing_fd = open(place(real, host, SIM_BESIDE "/canary", path), O_PATH | O_CLOEXEC);
        hsr_assert(run->nothing_fd >= 0);
    }
    run->sides[host] = (struct side){ .run = run, .host = host };
    sim_setup_engine(run, host, &config);
    config.boot[0] = 1; /* nobody cuts the power here */
    config.backend_create = real_backend;
    config.event = real_event;
    rc = hsr_engine_create(&config, &run->sides[host].engine, why, sizeof(why));
    if (rc == HSR_E_NO_IO_URING || rc == HSR_E_MEMLOCK) {
        fprintf(stderr, "%s\n", why);
        _exit(SKIP_CODE);
    }
    if (rc < 0)
        fprintf(stderr, "engine: %s: %s\n", hsr_err_name(rc), why);
    hsr_assert(rc == 0);
}

/* Everything is given back; what broke goes to the one who waits. */
static void process_end(struct real *real, unsigned host, unsigned before)
{
    struct run *run = &real->run;
    struct shared *shared = real->shared;
    unsigned after;

    hsr_engine_destroy(run->sides[host].engine);
    (void)close(host == SIM_SERVER ? run->server_fd : run->client_fd);
    (void)close(host == SIM_SERVER ? run->listen_fd : run->nothing_fd);
    after = descriptors();
    if (after != before)
        sim_violation(run->world, "host %u has %u descriptors, and had %u", host, after, before);
    shared->violation_count[host] = run->world->violation_count;
    memcpy(shared->violations[host], run->world->violations, sizeof(shared->violations[host]));
    _exit(0);
}

static void server_listen(struct real *real)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(real->shared->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    hsr_assert(fd >= 0);
    hsr_assert(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
    /* After a SIGKILL the kernel still ends what the rings had armed, an accept too: until then the
     * port is taken. */
    for (unsigned i = 0; i < BIND_TRIES && bind(fd, (struct sockaddr *)&address, size) < 0; i++) {
        hsr_assert(errno == EADDRINUSE && i + 1 < BIND_TRIES);
        nap();
    }
    hsr_assert(listen(fd, 64) == 0);
    hsr_assert(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    real->shared->port = ntohs(address.sin_port);
    real->run.listen_fd = fd;
}

static void server_main(struct real *real)
{
    struct shared *shared = real->shared;
    unsigned before = descriptors();
    struct hsr_engine *engine;

    server_listen(real);
    engine_start(real, SIM_SERVER);
    engine = real->run.sides[SIM_SERVER].engine;
    hsr_assert(hsr_engine_listen(engine, real->run.listen_fd, 0) == 0);
    atomic_store(&shared->server_up, 1);
    while (atomic_load(&shared->server_stop) == 0) {
        atomic_store(&shared->server_sessions, hsr_engine_sessions(engine));
        nap();
    }
    process_end(real, SIM_SERVER, before);
}

static void client_main(struct real *real)
{
    struct run *run = &real->run;
    struct shared *shared = real->shared;
    unsigned before = descriptors();

    engine_start(real, SIM_CLIENT);
    (void)sim_session_ask(run); /* if it is refused the run is closed */
    (void)pthread_mutex_lock(&told_lock);
    while (!run->closed)
        (void)pthread_cond_wait(&told, &told_lock);
    shared->code = run->report->code;
    shared->failures = run->report->failures;
    shared->warnings = run->report->warnings;
    shared->durability = run->durability;
    shared->ahead_hits = run->report->ahead_hits;
    shared->resumed = run->report->resumed;
    shared->closed = true;
    (void)pthread_mutex_unlock(&told_lock);
    process_end(real, SIM_CLIENT, before);
}

/* ---- the one who waits ---- */

static pid_t process_start(struct real *real, unsigned host)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    hsr_assert(pid >= 0);
    if (pid == 0) {
        (void)alarm(2 * SESSION_SECONDS);
        (void)umask(0); /* as our programs do */
        if (host == SIM_SERVER)
            server_main(real);
        client_main(real);
    }
    return pid;
}

/* How a process ended: by our SIGKILL it may. True: it did. */
static bool process_ended(struct real *real, unsigned host, int status)
{
    struct shared *shared = real->shared;

    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIP_CODE)
        exit(SKIP_CODE);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && shared->watches[host].kill_nth > 0) {
        real->run.died = true;
        real->report.deaths++;
        return true;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        sim_violation(real->run.world, "host %u ended with status %#x", host, (unsigned)status);
    for (uint32_t i = 0; i < HSR_MIN(shared->violation_count[host], SIM_VIOLATIONS_MAX); i++)
        sim_violation(real->run.world, "%s", shared->violations[host][i]);
    shared->violation_count[host] = 0;
    return false;
}

static void server_wait_up(struct real *real)
{
    struct shared *shared = real->shared;
    int status;

    atomic_store(&shared->server_up, 0);
    atomic_store(&shared->server_stop, 0);
    atomic_store(&shared->server_sessions, 0);
    shared->watches[SIM_SERVER].ops = 0;
    real->server = process_start(real, SIM_SERVER);
    while (atomic_load(&shared->server_up) == 0 && real->server != 0) {
        nap();
        if (waitpid(real->server, &status, WNOHANG) == real->server) {
            real->server = 0; /* killed before it was up: the client finds nobody */
            (void)process_ended(real, SIM_SERVER, status);
        }
    }
}

/* Until the client's process has ended, or both are given up. */
static void client_wait(struct real *real, pid_t client)
{
    struct timespec now, end;
    int status;

    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += SESSION_SECONDS;
    do {
        if (waitpid(client, &status, WNOHANG) == client) {
            (void)process_ended(real, SIM_CLIENT, status);
            return;
        }
        nap();
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec);
    sim_violation(real->run.world, "no end after %u seconds", SESSION_SECONDS);
    (void)kill(client, SIGKILL);
    (void)waitpid(client, &status, 0);
}

/* The server's session ends too, when the client has gone; then the server, unless it died. */
static void server_wait_end(struct real *real)
{
    int status = 0;

    if (real->server == 0)
        return;
    for (unsigned i = 0; i < SESSION_SECONDS * (HSR_NS_PER_S / TICK_NS); i++) {
        if (waitpid(real->server, &status, WNOHANG) == real->server) {
            real->server = 0;
            (void)process_ended(real, SIM_SERVER, status);
            return;
        }
        if (atomic_load(&real->shared->server_sessions) == 0 && i > 2) /* told since then */
            break;
        nap();
    }
    if (atomic_load(&real->shared->server_sessions) != 0)
        sim_violation(real->run.world, "the server's session has not ended");
    atomic_store(&real->shared->server_stop, 1);
    (void)waitpid(real->server, &status, 0);
    real->server = 0;
    (void)process_ended(real, SIM_SERVER, status);
}

static void trees_in(struct real *real)
{
    char path[PATH_ROOM];

    for (unsigned host = 0; host < SIM_HOSTS; host++) {
        struct sim_host *home = &real->run.world->hosts[host];

        sim_mirror_in(home, SIM_DATA, place(real, host, SIM_DATA, path));
        sim_mirror_in(home, SIM_BESIDE, place(real, host, SIM_BESIDE, path));
    }
}

/* As somebody else would who is not on our side. */
static void spoil(const struct real *real)
{
    char path[PATH_ROOM];
    struct stat st;
    uint8_t byte = 0;
    int fd;

    (void)place(real, real->run.target,
                real->spoil == SPOIL_BESIDE ? SIM_BESIDE "/canary" : SIM_DATA "/file04", path);
    hsr_assert(stat(path, &st) == 0);
    if (real->spoil == SPOIL_BYTE) {
        struct timespec times[2] = { st.st_atim, st.st_mtim };

        fd = open(path, O_RDWR | O_CLOEXEC);
        hsr_assert(fd >= 0 && pread(fd, &byte, 1, 5) == 1);
        byte ^= 1;
        hsr_assert(pwrite(fd, &byte, 1, 5) == 1 && futimens(fd, times) == 0);
        (void)close(fd); /* what it tells does not matter */
    } else if (real->spoil == SPOIL_STAGE) {
        hsr_assert(link(path, place(real, real->run.target,
                                    SIM_DATA "/.hawser.0123456789abcdef01234567.stage",
                                    (char[PATH_ROOM]){ 0 })) == 0);
    } else if (real->spoil == SPOIL_GONE) {
        hsr_assert(unlink(path) == 0);
    } else {
        hsr_assert(chmod(path, st.st_mode ^ 0010) == 0);
    }
}

/* One attempt, with @point or without. */
static void attempt(struct real *real, const struct point *point)
{
    struct run *run = &real->run;
    struct shared *shared = real->shared;

    memset(shared->watches, 0, sizeof(shared->watches));
    shared->watches[run->target].target = true;
    if (point->host < SIM_HOSTS) {
        shared->watches[point->host].kill_nth = point->kill_nth;
        shared->watches[point->host].fault_nth = point->fault_nth;
        shared->watches[point->host].pick = point->pick;
    }
    run->died = false;
    shared->closed = false;
    server_wait_up(real);
    run->address.sin_port = htons(shared->port);
    client_wait(real, process_start(real, SIM_CLIENT));
    server_wait_end(real);
    run->report->code = shared->closed ? shared->code : HSR_E_CANCELED;
    run->report->failures = shared->closed ? shared->failures : 0;
    run->report->warnings = shared->closed ? shared->warnings : 0;
    run->report->ahead_hits = shared->ahead_hits;
    run->report->resumed = shared->resumed;
    run->durability = shared->durability;
    for (unsigned host = 0; host < SIM_HOSTS; host++) {
        const struct sim_watch *watch = &shared->watches[host];

        if (!run->spared && atomic_load(&watch->fired) > 0) {
            run->world->fault.fired++;
            run->world->fault.fired_kind = (enum hsr_op_kind)atomic_load(&watch->fired_kind);
        }
        run->report->ops[host] = atomic_load(&watch->ops);
    }
    if (real->spoil != SPOIL_NOTHING)
        spoil(real);
    trees_in(real);
    if (run->died)
        sim_scenario_check_names(run->job->scenario, run->world, run->source, run->target,
                                 run->outcome.again);
    sim_outcome_fill(run);
}

/* ---- one run ---- */

static bool is_tmpfs(const char *folder)
{
    struct statfs fs;

    return statfs(folder, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

/* False: this file system or user cannot have what is in the trees. */
static bool trees_out(struct real *real)
{
    const char *base = real->job.scenario->tmpfs ? options.memory : options.folder;
    static const char *const names[] = { "", SIM_DATA, SIM_BESIDE };
    char path[PATH_ROOM];
    int rc = 0;

    (void)snprintf(real->folder, sizeof(real->folder), "%s/hawser-real-XXXXXX", base);
    hsr_assert(mkdtemp(real->folder) != NULL);
    real->scenario = *real->job.scenario;
    real->scenario.tmpfs = is_tmpfs(real->folder);
    real->job.scenario = &real->scenario;
    for (unsigned host = 0; host < SIM_HOSTS && rc == 0; host++) {
        for (unsigned i = 0; i < HSR_ARRAY_COUNT(names); i++)
            hsr_assert(mkdir(place(real, host, names[i], path), 0755) == 0);
        rc = sim_mirror_out(&real->run.world->hosts[host], SIM_BESIDE,
                            place(real, host, SIM_BESIDE, path));
        if (rc == 0)
            rc = sim_mirror_out(&real->run.world->hosts[host], SIM_DATA,
                                place(real, host, SIM_DATA, path));
    }
    if (rc < 0)
        printf("skipped: %s below %s\n", hsr_err_name(rc), base);
    return rc == 0;
}

static void real_begin(struct real *real, const struct sim_scenario *scenario, bool pull)
{
    struct run *run = &real->run;

    *real = (struct real){ .spoil = spoil_all,
                           .job = { .scenario = scenario, .seed = options.seed, .pull = pull } };
    *run = (struct run){ .job = &real->job,
                         .report = &real->report,
                         .world = sim_world_create(options.seed),
                         .address = { .sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
                         .source = pull ? SIM_SERVER : SIM_CLIENT,
                         .target = pull ? SIM_CLIENT : SIM_SERVER };
    real->shared = mmap(NULL, sizeof(*real->shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    hsr_assert(real->shared != MAP_FAILED);
    sim_scenario_build(scenario, run->world, run->source, run->target, options.seed);
    for (unsigned host = 0; host < SIM_HOSTS; host++) /* what is written here is read back */
        run->world->hosts[host].no_named_writes = false;
    real->skipped = !trees_out(real);
}

/* What must hold in the end: as in the simulation, but for power cuts. */
static void real_judge(struct real *real)
{
    struct run *run = &real->run;

    run->outcome.durable = false;
    sim_scenario_check(run->job->scenario, run->world, run->source, run->target, &run->outcome);
    if (run->spared || real->report.failed)
        return;
    if (real->scenario.ahead && real->report.ahead_hits == 0)
        sim_violation(run->world, "nothing was made ahead");
}

static bool real_end(struct real *real, const char *words)
{
    struct sim_world *world = real->run.world;
    bool good = world->violation_count == 0;

    for (unsigned i = 0; i < HSR_MIN(world->violation_count, SIM_VIOLATIONS_MAX); i++)
        fprintf(stderr, "%s %s\n", real->spoil != SPOIL_NOTHING ? "as it must:" : "VIOLATION",
                world->violations[i]);
    if (!good && real->spoil == SPOIL_NOTHING)
        fprintf(stderr,
                "  session %s, %u failures, %u warnings told; fault on %s\nrepeat with: %s\n",
                real->report.code == 0 ? "good" : hsr_err_name(real->report.code),
                real->report.failures, real->report.warnings,
                world->fault.fired > 0 ? hsr_op_name(world->fault.fired_kind) : "nothing", words);
    sim_mirror_remove(real->folder);
    sim_world_destroy(world);
    (void)munmap(real->shared, sizeof(*real->shared));
    return good;
}

/* Run it with @point; if anything went wrong, once more without. */
static bool real_run(const struct sim_scenario *scenario, bool pull, const struct point *point,
                     uint64_t ret_ops[SIM_HOSTS])
{
    struct real real;
    struct run *run = &real.run;
    char words[200];

    (void)snprintf(words, sizeof(words), "real %s %s %s --op %llu --host %u --seed %llu",
                   point->kill_nth > 0    ? "kill"
                   : point->fault_nth > 0 ? "fault"
                                          : "clean",
                   scenario->name, pull ? "pull" : "push",
                   (unsigned long long)(point->kill_nth + point->fault_nth), point->host,
                   (unsigned long long)options.seed);
    real_begin(&real, scenario, pull);
    ret_ops[0] = ret_ops[1] = 0;
    if (real.skipped) {
        tally.skipped++;
        return real_end(&real, words);
    }
    trees_in(&real); /* with the times that they have here */
    sim_scenario_before(run->world, run->source, run->target, &run->outcome);
    attempt(&real, point);
    memcpy(ret_ops, real.report.ops, sizeof(real.report.ops));
    if (point->host == SIM_HOSTS && real.report.failed)
        sim_violation(run->world, "nothing went wrong and an error was told");
    if (run->world->violation_count == 0 && (real.report.failed || run->world->fault.fired > 0)) {
        run->spared = true;
        attempt(&real, &(struct point){ .host = SIM_HOSTS });
        if (real.report.failed)
            sim_violation(run->world, "without faults the next session fails: %s",
                          hsr_err_name(real.report.code));
    }
    tally.runs++;
    tally.deaths += real.report.deaths;
    tally.faults += run->world->fault.fired;
    tally.resumed += real.report.resumed > 0;
    real_judge(&real);
    return real_end(&real, words);
}

/* ---- the commands ---- */

static void clean(void)
{
    for (unsigned i = 0; i < SIM_SCENARIO_COUNT * 2; i++) {
        const struct sim_scenario *scenario = &sim_scenarios[i / 2];
        struct point none = { .host = SIM_HOSTS };
        uint64_t ops[SIM_HOSTS];

        if (scenario->tmpfs && !is_tmpfs(options.memory)) {
            printf("%s: skipped, %s is no tmpfs\n", scenario->name, options.memory);
            tally.skipped++;
            continue;
        }
        tally.failures += !real_run(scenario, i % 2 != 0, &none, ops);
        printf("%-8s %s: %llu operations of the server, %llu of the client\n", scenario->name,
               i % 2 != 0 ? "pull" : "push", (unsigned long long)ops[SIM_SERVER],
               (unsigned long long)ops[SIM_CLIENT]);
    }
}

static bool point_try(const struct sim_scenario *scenario, bool pull, bool killing, unsigned host,
                      uint64_t nth)
{
    struct point point = { .host = host, .pick = nth };
    uint64_t ops[SIM_HOSTS];

    if (killing)
        point.kill_nth = nth;
    else
        point.fault_nth = nth;
    return real_run(scenario, pull, &point, ops);
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

static void points(const char *name, bool pull, bool killing)
{
    const struct sim_scenario *scenario = scenario_named(name);
    struct point none = { .host = SIM_HOSTS };
    uint64_t ops[SIM_HOSTS], total;

    if (options.op > 0) {
        tally.failures += !point_try(scenario, pull, killing, (unsigned)options.host, options.op);
        return;
    }
    tally.failures += !real_run(scenario, pull, &none, ops);
    total = ops[SIM_SERVER] + ops[SIM_CLIENT];
    for (uint64_t i = 0; i < options.points && total > 0; i++) {
        uint64_t nth = (i * total + options.seed % total) / options.points;
        unsigned host = nth < ops[SIM_SERVER] ? SIM_SERVER : SIM_CLIENT;

        nth -= host == SIM_CLIENT ? ops[SIM_SERVER] : 0;
        tally.failures += !point_try(scenario, pull, killing, host, nth + 1);
    }
    if (total > 0 && (killing ? tally.deaths : tally.faults) == 0) {
        fprintf(stderr, "nothing went wrong\n");
        tally.failures++;
    }
    printf("%s %s: %llu operations of the server, %llu of the client\n", name,
           pull ? "pull" : "push", (unsigned long long)ops[SIM_SERVER],
           (unsigned long long)ops[SIM_CLIENT]);
}

/* Every spoiled target is noticed. */
static void canary(void)
{
    for (int what = SPOIL_NOTHING + 1; what < SPOIL_COUNT; what++) {
        struct point none = { .host = SIM_HOSTS };
        uint64_t ops[SIM_HOSTS];

        spoil_all = (enum spoil)what;
        for (unsigned pull = 0; pull < 2; pull++) {
            bool good = real_run(scenario_named("pack"), pull != 0, &none, ops);

            if (good)
                fprintf(stderr, "nobody noticed spoil %d\n", what);
            tally.failures += good;
        }
    }
}

static int options_take(int argc, char **argv)
{
    static const struct {
        const char *name;
        uint64_t *number;
        const char **text;
    } known[] = { { "--seed", &options.seed, NULL },     { "--points", &options.points, NULL },
                  { "--op", &options.op, NULL },         { "--host", &options.host, NULL },
                  { "--folder", NULL, &options.folder }, { "--memory", NULL, &options.memory } };
    int left = 0;

    for (int i = 1; i < argc; i++) {
        bool taken = false;

        for (unsigned n = 0; n < HSR_ARRAY_COUNT(known) && i + 1 < argc && !taken; n++) {
            taken = strcmp(argv[i], known[n].name) == 0;
            if (taken && known[n].number != NULL)
                *known[n].number = strtoull(argv[++i], NULL, 0);
            else if (taken)
                *known[n].text = argv[++i];
        }
        if (!taken)
            argv[left++] = argv[i];
    }
    options.host = HSR_MIN(options.host, SIM_HOSTS - 1u);
    options.points = HSR_MAX(options.points, 1u);
    return left;
}

int main(int argc, char **argv)
{
    int left = options_take(argc, argv);

    if (left == 1 && strcmp(argv[0], "clean") == 0) {
        clean();
    } else if (left == 1 && strcmp(argv[0], "canary") == 0) {
        canary();
    } else if (left == 3 && (strcmp(argv[0], "kill") == 0 || strcmp(argv[0], "fault") == 0)) {
        points(argv[1], strcmp(argv[2], "pull") == 0, strcmp(argv[0], "kill") == 0);
    } else {
        fprintf(stderr,
                "usage: real clean | canary | kill SCENARIO push|pull | fault SCENARIO push|pull\n"
                "       [--points N] [--op N --host 0|1] [--seed N] [--folder DIR] "
                "[--memory DIR]\n");
        return 2;
    }
    printf("%u runs: %u faults, %u deaths, %u resumed, %u skipped; %u failed\n", tally.runs,
           tally.faults, tally.deaths, tally.resumed, tally.skipped, tally.failures);
    if (tally.runs == 0)
        return SKIP_CODE;
    return tally.failures == 0 ? 0 : 1;
}
