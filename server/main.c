/* hawserd: configuration, listeners, signals; the engine does the rest on its own threads. The main
 * thread takes the signals, one at a time. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ring/backend.h"
#include "ring/boot.h"
#include "server/server.h"

#define DRAIN_NS (30 * HSR_NS_PER_S) /* sessions that are not done then are ended */
#define DRAIN_POLL_NS (50 * HSR_NS_PER_MS)

struct server {
    int argc;
    char **argv;
    struct config config; /* in force */
    struct exports exports;
    struct hsr_plan plan;
    struct hsr_placement placement;
    struct hsr_engine *engine;
    int fds[CONFIG_LISTENERS_MAX];
    char *texts[CONFIG_LISTENERS_MAX]; /* "ADDR:PORT" they really have */
    unsigned fd_count;
    sigset_t signals;
};

static int fail(int code, const char *text)
{
    char safe[4 * CONFIG_WHY_SIZE];

    hsr_escape(text, strlen(text), safe, sizeof(safe));
    fprintf(stderr, "hawserd: %s\n", safe);
    return code;
}

/* ---- the engine's events: on its threads ---- */

/* Only where there were deltas to make. */
static void event_ahead(const struct hsr_event *event)
{
    static const char *const states[HSR_AHEAD_STATE_COUNT] = { "none",  "off",      "on",
                                                               "stale", "wasted",   "no gaps",
                                                               "quick", "no memory" };
    const struct hsr_ahead *ahead = event->progress != NULL ? &event->progress->ahead : NULL;

    if (ahead == NULL || ahead->state == HSR_AHEAD_NONE)
        return;
    LOG(LOG_LEVEL_INFO, "signatures ahead", LOG_NUMBER("session", event->session),
        LOG_TEXT("state", states[ahead->state]), LOG_NUMBER("gap_ns", ahead->gap_ns),
        LOG_NUMBER("used_ns", ahead->used_ns), LOG_NUMBER("ahead_bytes", ahead->ahead_bytes),
        LOG_NUMBER("demand_bytes", ahead->demand_bytes), LOG_NUMBER("hits", ahead->hits),
        LOG_NUMBER("late", ahead->late), LOG_NUMBER("stale", ahead->stale),
        LOG_NUMBER("wasted_bytes", ahead->wasted_bytes), LOG_NUMBER("preempted", ahead->preempted),
        LOG_NUMBER("turns", ahead->turns), LOG_NUMBER("turns_long", ahead->turns_long),
        LOG_NUMBER("turn_p999_ns", ahead->turn_p999_ns),
        LOG_NUMBER("step_p999_ns", ahead->step_p999_ns));
}

static void event_closed(const struct hsr_event *event)
{
    const struct hsr_totals none = { 0 }, *totals = event->totals != NULL ? event->totals : &none;
    bool bad = event->code < 0 && event->code != HSR_E_PARTIAL && event->code != HSR_E_CANCELED;
    uint64_t elapsed = event->progress != NULL ? event->progress->elapsed_ns : 0;

    LOG(bad ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, event->bench ? "benchmark ended" : "session ended",
        LOG_NUMBER("session", event->session), LOG_TEXT("peer", event->peer),
        LOG_TEXT("export", event->export_name), LOG_TEXT("result", hsr_err_name(event->code)),
        LOG_TEXT("why", event->text), LOG_NUMBER("files", totals->files),
        LOG_NUMBER("bytes", event->bench && event->progress != NULL ? event->progress->bytes_done
                                                                    : totals->bytes),
        LOG_NUMBER("failed", totals->failed), LOG_NUMBER("milliseconds", elapsed / HSR_NS_PER_MS));
    event_ahead(event);
}

static void event_note(const struct hsr_event *event)
{
    if (event->note != HSR_NOTE_FAILED && event->note != HSR_NOTE_WARNING)
        return; /* what went well is the client's to tell */
    LOG(LOG_LEVEL_WARN, event->note == HSR_NOTE_FAILED ? "file failed" : "file not kept in full",
        LOG_NUMBER("session", event->session), LOG_TEXT("peer", event->peer),
        LOG_TEXT("export", event->export_name), LOG_TEXT("path", event->path),
        LOG_TEXT("result", hsr_err_name(event->code)), LOG_TEXT("why", event->text));
}

/* What its thread did all the time: how long others had to wait for it. */
static void event_shard(const struct hsr_event *event)
{
    const struct hsr_loop_stats *stats = event->shard_stats;

    LOG(LOG_LEVEL_INFO, "shard ended", LOG_NUMBER("shard", event->shard),
        LOG_NUMBER("turns", stats->turns),
        LOG_NUMBER("turn_p50_ns", hsr_histogram_quantile(&stats->turn_ns, 500000)),
        LOG_NUMBER("turn_p99_ns", hsr_histogram_quantile(&stats->turn_ns, 990000)),
        LOG_NUMBER("turn_p999_ns", hsr_histogram_quantile(&stats->turn_ns, 999000)),
        LOG_NUMBER("turn_max_ns", hsr_histogram_quantile(&stats->turn_ns, 1000000)),
        LOG_NUMBER("turn_ran_p999_ns", hsr_histogram_quantile(&stats->turn_ran_ns, 999000)),
        LOG_NUMBER("turns_long", stats->turns_long),
        LOG_TEXT("turn_long_task", stats->turn_long_task));
}

/* Strangers can be refused thousands of times a second: shards are not to write lines instead of
 * serving clients, nor to fill a disk with them. */
static void event_refused(const struct hsr_event *event)
{
    static struct log_bucket bucket = LOG_BUCKET;
    struct timespec now;
    uint64_t left_out;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    if (!log_bucket_take(&bucket, (uint64_t)now.tv_sec * HSR_NS_PER_S + (uint64_t)now.tv_nsec,
                         &left_out))
        return;
    LOG(LOG_LEVEL_WARN, "connection refused", LOG_TEXT("peer", event->peer),
        LOG_TEXT("export", event->export_name), LOG_TEXT("result", hsr_err_name(event->code)),
        LOG_TEXT("why", event->text != NULL && *event->text != '\0' ? event->text
                                                                    : hsr_err_text(event->code)),
        LOG_NUMBER("left_out", left_out));
}

static void server_event(void *context, const struct hsr_event *event)
{
    (void)context;
    switch (event->kind) {
    case HSR_EVENT_REFUSED:
        event_refused(event);
        break;
    case HSR_EVENT_OPENED:
        LOG(LOG_LEVEL_INFO, event->bench ? "benchmark opened" : "session opened",
            LOG_NUMBER("session", event->session), LOG_TEXT("peer", event->peer),
            LOG_TEXT("export", event->export_name), LOG_TEXT("path", event->path),
            LOG_TEXT("role", event->role == HSR_ROLE_TARGET ? "target" : "source"));
        break;
    case HSR_EVENT_NOTE:
        event_note(event);
        break;
    case HSR_EVENT_CLOSED:
        event_closed(event);
        break;
    case HSR_EVENT_SHARD:
        event_shard(event);
        break;
    default: /* connections of sessions, and what only clients hear */
        break;
    }
}

/* ---- start ---- */

static void plan_line(void *context, const char *text)
{
    (void)context;
    puts(text);
}

static int plan_make(struct server *server, unsigned shards, char why[CONFIG_WHY_SIZE])
{
    const struct config *config = &server->config;
    struct hsr_plan_request request = {
        .measured = server->config.bench,
        .memory = config->memory,
        .chunk = config->chunk,
        .depth = config->depth,
        .streams = config->streams,
        .sessions = config->sessions,
        .server = true,
    };
    struct hsr_device near[NEAR_MAX];
    struct hsr_place_request place = {
        .shards = shards,
        .cpus_max = hsr_cgroup_cpus(""),
        .near = near,
        .near_count = near_find(config, near),
        .devices = config->print_plan,
    };
    int rc = hsr_place_decide(&place, &server->placement);

    if (rc < 0) {
        (void)snprintf(why, CONFIG_WHY_SIZE, "placement: %s", hsr_err_text(rc));
        return rc;
    }
    request.shards = server->placement.count;
    return hsr_plan_make(&request, &server->placement, &server->plan, why, CONFIG_WHY_SIZE);
}

/* A smaller plan locks less memory: before giving up, try with half the shards, and so on. */
static int engine_start(struct server *server, char why[CONFIG_WHY_SIZE])
{
    struct hsr_engine_config config = {
        .server = true,
        .pin = server->placement.count <= server->placement.cpus,
        .handshake_ns = server->config.handshake_ns,
        .idle_ns = server->config.idle_ns,
        .bench = server->config.bench,
        .io = server->config.io,
        .zero_copy = server->config.zero_copy,
        .connections_per_peer = server->config.connections_per_peer,
        .authorize = exports_authorize,
        .event = server_event,
        .context = &server->exports,
        .trace_fd = config_trace_open(&server->config, why),
    };
    unsigned shards = server->placement.count;
    int rc;

    if (config.trace_fd < 0)
        return config.trace_fd;
    memcpy(config.congestion, server->config.congestion, sizeof(config.congestion));
    hsr_boot_id(config.boot);
    for (;;) {
        config.plan = server->plan;
        config.placement = server->placement;
        rc = hsr_engine_create(&config, &server->engine, why, CONFIG_WHY_SIZE);
        if (rc != HSR_E_MEMLOCK || shards <= 1)
            return rc;
        shards /= 2;
        LOG(LOG_LEVEL_WARN, "the memory lock limit is too small: fewer shards",
            LOG_NUMBER("shards", shards));
        rc = plan_make(server, shards, why);
        if (rc < 0)
            return rc;
    }
}

static int listeners_open(struct server *server, char why[CONFIG_WHY_SIZE])
{
    for (unsigned i = 0; i < server->config.listener_count; i++) {
        const struct config_listener *listener = &server->config.listeners[i];
        int fd = listener_open(listener, &server->texts[i], why);

        if (fd < 0)
            return fd;
        server->fds[server->fd_count++] = fd;
        if (!listener->loopback)
            LOG(LOG_LEVEL_WARN,
                "INSECURE: no authentication and no encryption here: whoever can connect may read "
                "and write the exports, whoever is on the way may read and change the data",
                LOG_TEXT("listen", server->texts[i]));
    }
    return 0;
}

static int listener_accept(struct server *server, unsigned index, char why[CONFIG_WHY_SIZE])
{
    uint64_t nodes = near_listener(&server->config, &server->placement, index);
    int rc = hsr_engine_listen(server->engine, server->fds[index], nodes);

    if (rc < 0)
        (void)snprintf(why, CONFIG_WHY_SIZE, "%s: %s", server->texts[index], hsr_err_text(rc));
    else
        printf("hawserd: ready on %s\n", server->texts[index]);
    fflush(stdout); /* whoever started us waits for this line */
    return rc;
}

/* Many files and connections are open at once; the soft limit is for programs that use select(2).
 */
static void descriptors_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* refused: the old one stays */
    }
}

static int server_start(struct server *server, char why[CONFIG_WHY_SIZE])
{
    struct hsr_uring_features features;
    int rc = listeners_open(server, why);

    if (rc == 0)
        rc = exports_replace(&server->exports, &server->config);
    if (rc == 0)
        rc = engine_start(server, why);
    if (rc < 0)
        return rc;
    hsr_uring_probe(&features);
    LOG(LOG_LEVEL_INFO, "started", LOG_TEXT("version", HSR_VERSION),
        LOG_NUMBER("shards", server->plan.shards), LOG_NUMBER("memory", server->plan.total),
        LOG_TEXT("pages", hsr_pages_name(hsr_engine_pages(server->engine))),
        LOG_NUMBER("sessions", server->plan.sessions), LOG_NUMBER("exports", server->exports.count),
        LOG_TEXT("io_uring", features.used), LOG_TEXT("without", features.missing));
    for (unsigned i = 0; rc == 0 && i < server->fd_count; i++)
        rc = listener_accept(server, i, why);
    if (rc == 0)
        notify_send("READY=1");
    return rc;
}

/* ---- reload ---- */

/* Listeners can be added; one that is gone keeps its socket until a restart. */
static void reload_listeners(struct server *server, struct config *fresh)
{
    struct config *config = &server->config;
    char why[CONFIG_WHY_SIZE] = "";

    for (unsigned i = 0; i < config->listener_count; i++) {
        unsigned j = 0;

        while (j < fresh->listener_count &&
               strcmp(fresh->listeners[j].text, config->listeners[i].text) != 0)
            j++;
        if (j == fresh->listener_count)
            LOG(LOG_LEVEL_WARN, "a listener is removed at the next restart only",
                LOG_TEXT("listen", server->texts[i]));
    }
    for (unsigned j = 0; j < fresh->listener_count; j++) {
        unsigned i = 0;
        int fd;

        while (i < config->listener_count &&
               strcmp(fresh->listeners[j].text, config->listeners[i].text) != 0)
            i++;
        if (i < config->listener_count || i == CONFIG_LISTENERS_MAX)
            continue;
        fd = listener_open(&fresh->listeners[j], &server->texts[i], why);
        if (fd < 0) {
            LOG(LOG_LEVEL_ERROR, "a new listener cannot be added", LOG_TEXT("why", why));
            continue;
        }
        config->listeners[config->listener_count++] = fresh->listeners[j];
        fresh->listeners[j].text = NULL; /* taken over */
        server->fds[server->fd_count++] = fd;
        if (listener_accept(server, i, why) < 0)
            LOG(LOG_LEVEL_ERROR, "a new listener cannot be added", LOG_TEXT("why", why));
    }
}

/* Settings that shaped the plan stay as they were: say which ones do not take effect. */
static void reload_settings(const struct config *config, const struct config *fresh)
{
    const struct {
        const char *name;
        bool changed;
    } settings[] = {
        { "shards", fresh->shards != config->shards },
        { "memory", fresh->memory != config->memory },
        { "chunk", fresh->chunk != config->chunk },
        { "depth", fresh->depth != config->depth },
        { "streams", fresh->streams != config->streams },
        { "max-sessions", fresh->sessions != config->sessions },
        { "max-connections-per-peer", fresh->connections_per_peer != config->connections_per_peer },
        { "handshake-timeout", fresh->handshake_ns != config->handshake_ns },
        { "idle-timeout", fresh->idle_ns != config->idle_ns },
        { "drain-timeout", fresh->drain_ns != config->drain_ns },
        { "congestion", strcmp(fresh->congestion, config->congestion) != 0 },
        { "bench", fresh->bench != config->bench },
        { "io", fresh->io != config->io },
        { "zero-copy", fresh->zero_copy != config->zero_copy },
        { "log", fresh->log != config->log },
    };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(settings); i++)
        if (settings[i].changed)
            LOG(LOG_LEVEL_WARN, "a setting takes effect at the next restart only",
                LOG_TEXT("setting", settings[i].name));
}

static void reload(struct server *server)
{
    struct config *fresh = calloc(1, sizeof(*fresh));
    char why[CONFIG_WHY_SIZE] = "out of memory";
    int rc = -1;

    notify_reloading();
    if (fresh != NULL)
        rc = options_load(server->argc, server->argv, fresh, why);
    if (fresh == NULL || rc != -1) {
        LOG(LOG_LEVEL_ERROR, "reload failed, everything stays as it was", LOG_TEXT("why", why));
    } else if (exports_replace(&server->exports, fresh) < 0) {
        LOG(LOG_LEVEL_ERROR, "reload failed, everything stays as it was",
            LOG_TEXT("why", "out of memory"));
    } else {
        reload_settings(&server->config, fresh);
        reload_listeners(server, fresh);
        LOG(LOG_LEVEL_INFO, "reloaded", LOG_NUMBER("exports", server->exports.count));
    }
    if (fresh != NULL)
        config_fini(fresh);
    free(fresh);
    notify_send("READY=1");
}

/* ---- the end ---- */

static void drain(struct server *server)
{
    uint64_t drain_ns = server->config.drain_ns > 0 ? server->config.drain_ns : DRAIN_NS;
    struct timespec pause = { .tv_nsec = (long)DRAIN_POLL_NS };
    sigset_t ending;

    notify_send("STOPPING=1");
    LOG(LOG_LEVEL_INFO, "draining", LOG_NUMBER("sessions", hsr_engine_sessions(server->engine)));
    hsr_engine_drain(server->engine); /* newcomers are told so, and come back later */
    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGTERM);
    (void)sigaddset(&ending, SIGINT);
    for (uint64_t waited = 0; hsr_engine_sessions(server->engine) > 0; waited += DRAIN_POLL_NS) {
        bool again = sigtimedwait(&ending, NULL, &pause) > 0;

        if (again || waited >= drain_ns) {
            LOG(LOG_LEVEL_WARN, again ? "asked again: ending the sessions" : "ending the sessions",
                LOG_NUMBER("sessions", hsr_engine_sessions(server->engine)));
            return;
        }
    }
}

static void server_run(struct server *server)
{
    for (;;) {
        int number = sigwaitinfo(&server->signals, NULL);

        if (number == SIGHUP)
            reload(server);
        else if (number == SIGTERM || number == SIGINT)
            break;
    }
    drain(server);
}

static void server_fini(struct server *server)
{
    hsr_engine_destroy(server->engine);
    for (unsigned i = 0; i < server->fd_count; i++) {
        (void)close(server->fds[i]); /* listening: nothing can be lost */
        free(server->texts[i]);
    }
    exports_fini(&server->exports);
    config_fini(&server->config);
}

static int exit_code(int rc)
{
    return hsr_err_class(rc) == HSR_CLASS_USAGE ? SERVER_EXIT_USAGE : SERVER_EXIT_RESOURCE;
}

int main(int argc, char **argv)
{
    static struct server server;
    char why[CONFIG_WHY_SIZE] = "";
    int rc, code;

    server.argc = argc;
    server.argv = argv;
    code = options_load(argc, argv, &server.config, NULL);
    if (code != -1)
        return code;
    log_format_set(server.config.log);
    rc = plan_make(&server, server.config.shards, why);
    if (rc < 0)
        return fail(exit_code(rc), *why != '\0' ? why : hsr_err_text(rc));
    if (server.config.print_plan) {
        hsr_plan_print(&server.plan, &server.placement, plan_line, NULL);
        return fflush(stdout) == 0 ? SERVER_EXIT_OK : SERVER_EXIT_RESOURCE;
    }
    descriptors_raise();
    exports_init(&server.exports);
    /* Before there are threads: they inherit the mask, and signals come to this thread alone. */
    (void)sigemptyset(&server.signals);
    (void)sigaddset(&server.signals, SIGTERM);
    (void)sigaddset(&server.signals, SIGINT);
    (void)sigaddset(&server.signals, SIGHUP);
    (void)sigaddset(&server.signals, SIGPIPE); /* never waited for: a closed pipe is EPIPE */
    (void)pthread_sigmask(SIG_BLOCK, &server.signals, NULL);
    (void)sigdelset(&server.signals, SIGPIPE);
    rc = server_start(&server, why);
    if (rc == 0)
        server_run(&server);
    else
        fail(exit_code(rc), *why != '\0' ? why : hsr_err_text(rc));
    server_fini(&server);
    log_write(LOG_LEVEL_INFO, rc == 0 ? "ended" : "not started", NULL, 0);
    return rc == 0 ? SERVER_EXIT_OK : exit_code(rc);
}
