/* Shards, from start to end, and what other threads ask of them; see engine.h.
 *
 *   create: one thread per shard makes its ring, memory and pool, then turns its loop
 *   asks:   LISTEN, DRAIN, RUN, CANCEL, STOP; messages, so that everything happens on its thread
 *   end:    STOP on every shard; a shard is quiet when it has no connection, session or accept
 * left; when all are quiet at once, and no connection is between two of them, they stop */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "transfer/engine/bell.h"
#include "transfer/engine/conn.h"
#include "transfer/engine/session.h"

#define ACCEPT_RETRY_NS (100 * HSR_NS_PER_MS)
#define ACCEPT_SPARE 4u /* places that are made free before they are needed */
#define PEER_CONNECTIONS 256u
#define STOP_TICK_NS (2 * HSR_NS_PER_MS)
#define STOP_TICK_FIRST_NS (50 * HSR_NS_PER_US) /* who has nothing to end has ended by then */
#define STOP_MEMORY_NS HSR_NS_PER_MS /* comes back as sessions end */
#define STOP_POLITE_NS (2 * HSR_NS_PER_S) /* then connections are closed whatever they are */
#define STOP_MAX_NS (5 * HSR_NS_PER_S) /* then a shard is left as it is: it waits for a disk */

static int engine_start(struct hsr_engine *engine);
static void engine_stop(struct hsr_engine *engine);
static void engine_free(struct hsr_engine *engine);
static bool engine_quiet(const struct hsr_engine *engine);
static void *shard_thread(void *context);
static void shard_init(struct hsr_shard *shard);
static void shard_pin(const struct hsr_shard *shard, bool near);
static int shard_backend(struct hsr_shard *shard, struct hsr_backend **ret_backend);
static void shard_fini(struct hsr_shard *shard);
static void shard_listen(struct hsr_shard *shard, int fd);
static void shard_deaf(struct hsr_shard *shard);
static void shard_run(struct hsr_shard *shard, const struct hsr_job_spec *spec);
static void shard_stop(struct hsr_shard *shard);
static void shard_stop_tick(struct hsr_timer *timer);
static int ask_all(struct hsr_engine *engine, enum hsr_ask_kind kind, int fd, uint64_t nodes);
static bool shard_on(const struct hsr_shard *shard, uint64_t nodes);
static struct hsr_ask *ask_new(struct hsr_shard *shard, enum hsr_ask_kind kind);
static void acceptor_done(struct hsr_op *op, int64_t res, unsigned flags);
static void acceptor_retry(struct hsr_timer *timer);
static void acceptor_take(struct hsr_acceptor *acceptor, int fd);
static void acceptor_close(struct hsr_acceptor *acceptor);

int hsr_engine_create(const struct hsr_engine_config *config, struct hsr_engine **ret_engine,
                      char *why, size_t why_size)
{
    struct hsr_engine *engine = calloc(1, sizeof(*engine));
    pthread_condattr_t monotonic;
    int rc = -ENOMEM;

    hsr_assert(config->plan.shards >= 1 && config->plan.shards <= HSR_SHARDS_MAX);
    if (why_size > 0)
        why[0] = '\0';
    if (engine == NULL)
        return rc;
    engine->config = *config;
    engine->cancel_fd = -1;
    (void)pthread_mutex_init(&engine->start_lock, NULL); /* cannot fail with these attributes */
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&engine->start_cond, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    engine->shards = calloc(config->plan.shards, sizeof(*engine->shards));
    if (engine->shards == NULL)
        goto fail;
    engine->shard_count = config->plan.shards;
    for (unsigned i = 0; i < engine->shard_count; i++) {
        engine->shards[i].engine = engine;
        engine->shards[i].index = i;
        hsr_list_init(&engine->shards[i].conns);
        hsr_list_init(&engine->shards[i].sessions);
        hsr_list_init(&engine->shards[i].takeovers);
        hsr_list_init(&engine->shards[i].openings);
    }
    if (!config->server && !config->no_threads) {
        /* Not EFD_NONBLOCK: the armed read would fail with EAGAIN instead of waiting. */
        engine->cancel_fd = eventfd(0, EFD_CLOEXEC);
        if (engine->cancel_fd < 0) {
            rc = -errno;
            goto fail;
        }
    }
    rc = engine_start(engine);
    if (rc < 0)
        goto fail;
    *ret_engine = engine;
    return 0;

fail:
    for (unsigned i = 0; i < engine->shard_count && why_size > 0 && why[0] == '\0'; i++)
        if (engine->shards[i].start_rc == rc)
            (void)snprintf(why, why_size, "%s", engine->shards[i].start_why);
    if (why_size > 0 && why[0] == '\0')
        (void)snprintf(why, why_size, "%s", hsr_err_text(rc));
    engine_free(engine);
    return rc;
}

int hsr_engine_listen(struct hsr_engine *engine, int fd, uint64_t nodes)
{
    bool served = false;
    unsigned before = atomic_fetch_add(&engine->listeners, 1);
    int rc;

    hsr_assert(engine->config.server);
    if (before >= HSR_LISTENERS_MAX) {
        atomic_fetch_sub(&engine->listeners, 1);
        return HSR_E_LIMIT;
    }
    if (!engine->config.no_threads) { /* else it may not be a descriptor of this kernel */
        int flags = fcntl(fd, F_GETFL);

        /* An accept on a non-blocking socket would fail with EAGAIN instead of waiting. */
        if (flags < 0 || ((flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)) {
            rc = -errno;
            atomic_fetch_sub(&engine->listeners, 1);
            return rc;
        }
    }
    for (unsigned i = 0; i < engine->shard_count; i++)
        served |= shard_on(&engine->shards[i], nodes);
    rc = ask_all(engine, HSR_ASK_LISTEN, fd, served ? nodes : 0);
    if (rc < 0)
        atomic_fetch_sub(&engine->listeners, 1);
    return rc;
}

void hsr_engine_drain(struct hsr_engine *engine)
{
    atomic_store(&engine->draining, true);
}

unsigned hsr_engine_sessions(const struct hsr_engine *engine)
{
    return atomic_load(&engine->sessions);
}

void hsr_engine_destroy(struct hsr_engine *engine)
{
    if (engine == NULL)
        return;
    engine_stop(engine);
    /* What sessions share is whole again when none is left. */
    hsr_assert(atomic_load(&engine->delta_used) == 0);
    hsr_assert(atomic_load(&engine->staged) == 0);
    engine_free(engine);
}

enum hsr_pages hsr_engine_pages(const struct hsr_engine *engine)
{
    enum hsr_pages least = HSR_PAGES_POOL;

    for (unsigned i = 0; i < engine->shard_count; i++)
        least = HSR_MIN(least, engine->shards[i].mem.pages);
    return least;
}

struct hsr_loop *hsr_engine_loop(struct hsr_engine *engine, unsigned shard)
{
    hsr_assert(shard < engine->shard_count);
    return &engine->shards[shard].loop;
}

int hsr_engine_run(struct hsr_engine *engine, const struct hsr_job_spec *spec)
{
    struct hsr_ask *ask = ask_new(&engine->shards[0], HSR_ASK_RUN);

    hsr_assert(!engine->config.server);
    if (ask == NULL)
        return -ENOMEM;
    ask->spec = *spec;
    hsr_loop_send(&ask->shard->loop, &ask->msg);
    return 0;
}

void hsr_engine_cancel(struct hsr_engine *engine)
{
    struct hsr_ask *ask = ask_new(&engine->shards[0], HSR_ASK_CANCEL);

    if (ask != NULL)
        hsr_loop_send(&ask->shard->loop, &ask->msg);
    else
        hsr_engine_cancel_async(engine); /* needs no memory */
}

void hsr_engine_event(struct hsr_engine *engine, const struct hsr_event *event)
{
    hsr_assert(event->kind < HSR_EVENT_COUNT);
    if (engine->config.event != NULL)
        engine->config.event(engine->config.context, event);
}

/* ---- start and end ---- */

static int engine_start(struct hsr_engine *engine)
{
    sigset_t all, before;
    unsigned asked = 0;
    int rc = 0;

    if (engine->config.no_threads) {
        for (unsigned i = 0; i < engine->shard_count && rc == 0; i++) {
            shard_init(&engine->shards[i]);
            rc = engine->shards[i].start_rc;
        }
        return rc;
    }
    /* Signals are the program's business: no shard ever runs a handler. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < engine->shard_count && rc == 0; i++) {
        struct hsr_shard *shard = &engine->shards[i];

        rc = -pthread_create(&shard->thread, NULL, shard_thread, shard);
        if (rc == 0) { /* from here on start_rc is its own, until it says that it is up */
            shard->thread_started = true;
            asked++;
        } else {
            shard->start_rc = rc;
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_mutex_lock(&engine->start_lock);
    while (atomic_load(&engine->started) < asked)
        (void)pthread_cond_wait(&engine->start_cond, &engine->start_lock);
    (void)pthread_mutex_unlock(&engine->start_lock);
    for (unsigned i = 0; i < asked && rc == 0; i++)
        rc = engine->shards[i].start_rc;
    return rc;
}

/* Ask every shard to end what it has, and wait until nothing is left anywhere. */
static void engine_stop(struct hsr_engine *engine)
{
    const struct timespec pause = { .tv_nsec = (long)STOP_MEMORY_NS };
    struct timespec end;
    int rc = 0;

    while (ask_all(engine, HSR_ASK_STOP, -1, 0) < 0)
        (void)nanosleep(&pause, NULL);
    while (engine->config.no_threads && !engine_quiet(engine)) {
        uint64_t started_ns = engine->shards[0].stop_ns;

        for (unsigned i = 0; i < engine->shard_count; i++)
            (void)hsr_loop_turn(&engine->shards[i].loop, /* may_sleep= */ true);
        if (started_ns > 0 && hsr_loop_clock(&engine->shards[0].loop) > started_ns + STOP_MAX_NS)
            return;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)(2 * STOP_MAX_NS / HSR_NS_PER_S); /* the shards give up before that */
    (void)pthread_mutex_lock(&engine->start_lock);
    while (!engine_quiet(engine) && rc == 0) /* each shard that is says so, again and again */
        rc = pthread_cond_timedwait(&engine->start_cond, &engine->start_lock, &end);
    (void)pthread_mutex_unlock(&engine->start_lock);
}

/* True only when every shard has heard STOP, so that no connection leaves for another one any more,
 * then none is under way, and then none that arrived in between is left: in this order. */
static bool engine_quiet(const struct hsr_engine *engine)
{
    for (unsigned i = 0; i < engine->shard_count; i++)
        if (!atomic_load(&engine->shards[i].quiet))
            return false;
    if (atomic_load(&engine->joining) > 0)
        return false;
    for (unsigned i = 0; i < engine->shard_count; i++)
        if (!atomic_load(&engine->shards[i].quiet))
            return false;
    return true;
}

static void engine_free(struct hsr_engine *engine)
{
    bool leak = false;

    for (unsigned i = 0; i < engine->shard_count; i++)
        if (engine->shards[i].thread_started && engine->shards[i].loop_ready)
            hsr_loop_stop(&engine->shards[i].loop);
    for (unsigned i = 0; i < engine->shard_count; i++) {
        struct hsr_shard *shard = &engine->shards[i];

        if (shard->thread_started)
            (void)pthread_join(shard->thread, NULL);
        if (shard->stopping && !atomic_load(&shard->quiet))
            leak = true; /* the kernel still owns some of its memory: it cannot be freed */
        else
            shard_fini(shard);
    }
    if (leak)
        return;
    if (engine->cancel_fd >= 0)
        (void)close(engine->cancel_fd); /* an eventfd has nothing to lose */
    (void)pthread_cond_destroy(&engine->start_cond);
    (void)pthread_mutex_destroy(&engine->start_lock);
    free(engine->shards);
    free(engine);
}

static void *shard_thread(void *context)
{
    struct hsr_shard *shard = context;
    struct hsr_engine *engine = shard->engine;
    int rc;

    /* Modes that are to be kept are set as they are; without CLONE_FS this is this thread's umask
     * alone, and the program's stays. Where that is refused the umask is the program's own. */
    if (unshare(CLONE_FS) == 0)
        (void)umask(0);
    shard_init(shard);
    rc = shard->start_rc;
    (void)pthread_mutex_lock(&engine->start_lock);
    atomic_fetch_add(&engine->started, 1);
    (void)pthread_cond_signal(&engine->start_cond);
    (void)pthread_mutex_unlock(&engine->start_lock);
    if (rc == 0)
        hsr_loop_run(&shard->loop);
    while (shard->cancel_op.armed) { /* another shard failed to start: nobody asked us to stop */
        hsr_loop_cancel(&shard->loop, &shard->cancel_op);
        (void)hsr_loop_turn(&shard->loop, /* may_sleep= */ true);
    }
    return NULL;
}

/* On the shard's own thread: a ring belongs to the thread that made it. */
static void shard_init(struct hsr_shard *shard)
{
    const struct hsr_plan *plan = &shard->engine->config.plan;
    struct hsr_backend *backend = NULL;
    int node = shard->index < shard->engine->config.placement.count &&
                       shard->engine->config.placement.this_system
                   ? shard->engine->config.placement.shards[shard->index].node
                   : -1;
    int rc;

    shard_pin(shard, true); /* the threads beside the ring may share any core of the node */
    rc = shard_backend(shard, &backend);
    shard_pin(shard, false);
    if (rc < 0)
        goto out;
    rc = hsr_loop_init(&shard->loop, backend, shard->index);
    if (rc < 0)
        goto out;
    shard->loop_ready = true;
    if (shard->engine->config.trace_fd > 0)
        rc = hsr_loop_trace(&shard->loop);
    if (rc < 0)
        goto out;
    shard->stop_timer.fired = shard_stop_tick;
    rc = hsr_mem_map(&shard->mem, node, plan->buffer_bytes);
    if (rc < 0) {
        (void)snprintf(shard->start_why, sizeof(shard->start_why),
                       "shard %u: %llu bytes for buffers: %s", shard->index,
                       (unsigned long long)plan->buffer_bytes, hsr_err_text(rc));
        goto out;
    }
    rc = hsr_bufpool_init(&shard->pool, &shard->loop, shard->mem.ptr, plan->buffer_bytes,
                          plan->chunk, plan->register_buffers);
    if (rc == 0 && shard->index == 0 && shard->engine->cancel_fd >= 0)
        hsr_bell_arm(shard);
out:
    shard->start_rc = rc;
    if (rc < 0 && shard->start_why[0] == '\0')
        (void)snprintf(shard->start_why, sizeof(shard->start_why), "shard %u: %s", shard->index,
                       hsr_err_text(rc));
}

/* To the shard's core, or @near it. Where that is refused it is only slower. */
static void shard_pin(const struct hsr_shard *shard, bool near)
{
    const struct hsr_placement *placement = &shard->engine->config.placement;

    if (!shard->engine->config.pin || !placement->this_system || shard->index >= placement->count)
        return;
    if (near)
        (void)hsr_place_pin_near(placement, shard->index);
    else
        (void)hsr_place_pin(&placement->shards[shard->index]);
}

static int shard_backend(struct hsr_shard *shard, struct hsr_backend **ret_backend)
{
    const struct hsr_engine_config *config = &shard->engine->config;
    struct hsr_uring_options options = { .iowq_cpu = -1, .spin_ns = config->spin_ns };

    if (config->backend_create != NULL)
        return config->backend_create(config->context, shard->index, ret_backend);
    if (config->pin && shard->index < config->placement.count && config->placement.this_system)
        options.iowq_cpu = (int)config->placement.shards[shard->index].cpu;
    return hsr_uring_create(&options, ret_backend, shard->start_why, sizeof(shard->start_why));
}

static void shard_fini(struct hsr_shard *shard)
{
    struct hsr_event event = { .kind = HSR_EVENT_SHARD,
                               .shard = shard->index,
                               .shard_stats = &shard->loop.stats };

    if (shard->loop_ready)
        hsr_engine_event(shard->engine, &event);
    hsr_assert(hsr_list_empty(&shard->conns));
    hsr_assert(hsr_list_empty(&shard->sessions));
    hsr_bufpool_fini(&shard->pool);
    if (shard->loop.trace != NULL) /* a file that takes no more is a trace that is cut */
        (void)hsr_trace_write(shard->loop.trace, shard->index, shard->engine->config.trace_fd);
    hsr_loop_fini(&shard->loop);
    hsr_mem_unmap(&shard->mem);
}

/* ---- asks ---- */

static void ask_deliver(struct hsr_msg *msg)
{
    struct hsr_ask *ask = hsr_container_of(msg, struct hsr_ask, msg);
    struct hsr_shard *shard = ask->shard;

    switch (ask->kind) {
    case HSR_ASK_LISTEN:
        if (ask->nodes == 0 || shard_on(shard, ask->nodes))
            shard_listen(shard, ask->fd);
        break;
    case HSR_ASK_RUN:
        shard_run(shard, &ask->spec);
        break;
    case HSR_ASK_CANCEL:
        hsr_bell_end(shard, HSR_E_CANCELED, "interrupted");
        break;
    case HSR_ASK_STOP:
        shard_stop(shard);
        break;
    default:
        hsr_unreachable("kind of ask");
    }
    free(ask);
}

static struct hsr_ask *ask_new(struct hsr_shard *shard, enum hsr_ask_kind kind)
{
    struct hsr_ask *ask = calloc(1, sizeof(*ask));

    if (ask == NULL)
        return NULL;
    ask->msg.deliver = ask_deliver;
    ask->shard = shard;
    ask->kind = kind;
    ask->fd = -1;
    return ask;
}

/* The same to every shard, or to none. */
static int ask_all(struct hsr_engine *engine, enum hsr_ask_kind kind, int fd, uint64_t nodes)
{
    struct hsr_ask *asks[HSR_SHARDS_MAX];

    for (unsigned i = 0; i < engine->shard_count; i++) {
        asks[i] = ask_new(&engine->shards[i], kind);
        if (asks[i] == NULL) {
            while (i-- > 0)
                free(asks[i]);
            return -ENOMEM;
        }
        asks[i]->fd = fd;
        asks[i]->nodes = nodes;
    }
    for (unsigned i = 0; i < engine->shard_count; i++)
        hsr_loop_send(&engine->shards[i].loop, &asks[i]->msg);
    return 0;
}

static bool shard_on(const struct hsr_shard *shard, uint64_t nodes)
{
    const struct hsr_placement *placement = &shard->engine->config.placement;
    const struct hsr_device there = { .nodes = nodes };

    return shard->index < placement->count &&
           hsr_device_is_near(&there, placement->shards[shard->index].node);
}

static void shard_listen(struct hsr_shard *shard, int fd)
{
    struct hsr_acceptor *acceptor = &shard->acceptors[shard->acceptor_count];

    hsr_assert(shard->acceptor_count < HSR_LISTENERS_MAX);
    shard->acceptor_count++;
    *acceptor = (struct hsr_acceptor){ .shard = shard, .fd = fd };
    acceptor->retry.fired = acceptor_retry;
    hsr_acceptor_arm(acceptor);
}

/* Nobody new comes in. */
static void shard_deaf(struct hsr_shard *shard)
{
    for (unsigned i = 0; i < shard->acceptor_count; i++)
        acceptor_close(&shard->acceptors[i]);
}

static void shard_run(struct hsr_shard *shard, const struct hsr_job_spec *spec)
{
    static const struct hsr_progress nothing;
    static const struct hsr_totals none;
    int rc;

    if (shard->stopping)
        rc = HSR_E_CANCELED;
    else if (atomic_exchange(&shard->engine->cancel_async, false) ||
             atomic_exchange(&shard->engine->stop_async, false))
        rc = HSR_E_CANCELED; /* asked between two jobs */
    else
        rc = hsr_session_run(shard, spec);
    if (rc < 0) {
        struct hsr_event event = { .kind = HSR_EVENT_CLOSED,
                                   .role = spec->role,
                                   .export_name = spec->export_name,
                                   .path = spec->path,
                                   .code = rc,
                                   .text = hsr_err_text(rc),
                                   .progress = &nothing,
                                   .totals = &none };

        hsr_engine_event(shard->engine, &event);
    }
}

/* Close connections that belong to no session; with @all every one. */
static void shard_close_conns(struct hsr_shard *shard, bool all)
{
    for (struct hsr_list *node = shard->conns.next; node != &shard->conns; node = node->next) {
        struct hsr_conn *conn = hsr_container_of(node, struct hsr_conn, node);

        if (all || (conn->session == NULL && conn->stream == NULL))
            hsr_conn_close(conn); /* only wakes its task: the list stays as it is */
    }
}

static void shard_stop(struct hsr_shard *shard)
{
    bool server = shard->engine->config.server;

    if (shard->stopping)
        return;
    shard->stopping = true;
    shard->stop_ns = hsr_loop_clock(&shard->loop);
    shard_deaf(shard);
    hsr_loop_cancel(&shard->loop, &shard->cancel_op);
    hsr_bell_end(shard, server ? HSR_E_SHUTDOWN : HSR_E_CANCELED,
                 server ? "the server is shutting down" : "interrupted");
    shard_close_conns(shard, false);
    hsr_loop_timer_set(&shard->loop, &shard->stop_timer, shard->stop_ns + STOP_TICK_FIRST_NS);
}

static void shard_stop_tick(struct hsr_timer *timer)
{
    struct hsr_shard *shard = hsr_container_of(timer, struct hsr_shard, stop_timer);
    uint64_t now = hsr_loop_clock(&shard->loop);
    bool quiet = hsr_list_empty(&shard->conns) && hsr_list_empty(&shard->sessions) &&
                 !shard->cancel_op.armed;

    for (unsigned i = 0; i < shard->acceptor_count; i++)
        quiet = quiet && !shard->acceptors[i].op.armed;
    quiet = quiet && shard->loop.armed == 0;
    atomic_store(&shard->quiet, quiet);
    if (quiet) { /* the lock: engine_stop() may have looked a moment ago, and not slept yet */
        (void)pthread_mutex_lock(&shard->engine->start_lock);
        (void)pthread_cond_broadcast(&shard->engine->start_cond);
        (void)pthread_mutex_unlock(&shard->engine->start_lock);
    }
    if (!quiet && now > shard->stop_ns + STOP_POLITE_NS)
        shard_close_conns(shard, true);
    hsr_loop_timer_set(&shard->loop, timer, now + STOP_TICK_NS);
}

/* ---- accepting ---- */

void hsr_acceptor_arm(struct hsr_acceptor *acceptor)
{
    struct hsr_shard *shard = acceptor->shard;

    hsr_assert(!acceptor->op.armed);
    if (acceptor->closed || shard->stopping) {
        acceptor->closed = true;
        return;
    }
    acceptor->address_size = sizeof(acceptor->address);
    acceptor->op = (struct hsr_op){ .kind = HSR_OP_ACCEPT,
                                    .done = acceptor_done,
                                    .fd = acceptor->fd,
                                    .addr = (struct sockaddr *)&acceptor->address,
                                    .addr_size = acceptor->address_size,
                                    .addr_size_out = &acceptor->address_size,
                                    .buf_index = -1 };
    hsr_loop_submit(&shard->loop, &acceptor->op);
}

static void acceptor_done(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_acceptor *acceptor = hsr_container_of(op, struct hsr_acceptor, op);
    struct hsr_loop *loop = &acceptor->shard->loop;

    (void)flags; /* one completion each */
    switch (res) {
    case -ECANCELED:
    case -EBADF:
    case -EINVAL:
    case -ENOTSOCK: /* drained, or the socket is no listener any more */
        acceptor->closed = true;
        return;
    case -ECONNABORTED: /* that one changed its mind: the next */
    case -EINTR:
        break;
    default:
        if (res < 0) { /* EMFILE, ENFILE, ENOMEM, ENOBUFS and their kind would fail again at once */
            if (!acceptor->closed)
                hsr_loop_timer_set(loop, &acceptor->retry, hsr_loop_clock(loop) + ACCEPT_RETRY_NS);
            return;
        }
        acceptor_take(acceptor, (int)res);
    }
    hsr_acceptor_arm(acceptor);
}

static void acceptor_retry(struct hsr_timer *timer)
{
    hsr_acceptor_arm(hsr_container_of(timer, struct hsr_acceptor, retry));
}

static bool address_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    if (a->ss_family == AF_INET6)
        return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                      &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
    return true;
}

/* Who has been on the way to a session the longest makes room, so that a flood of connections that
 * are silent, that dribble, or that greet and then ask for nothing keeps out only its own kind. An
 * honest client says HELLO at once, and a round trip later what it wants. HELLO gives no advantage:
 * whoever floods could say it as well. The list is in the order in which they came. */
static void acceptor_evict(const struct hsr_acceptor *acceptor, bool same)
{
    struct hsr_shard *shard = acceptor->shard;

    for (struct hsr_list *node = shard->conns.next; node != &shard->conns; node = node->next) {
        struct hsr_conn *conn = hsr_container_of(node, struct hsr_conn, node);
        bool coming = conn->state == HSR_CONN_GREETING ||
                      (conn->state == HSR_CONN_CHOOSING && conn->takeover == NULL);

        if (!coming || !conn->server || (same && !address_same(&conn->address, &acceptor->address)))
            continue;
        hsr_conn_fail(conn, HSR_E_BUSY, "too many connections, and this one asks for nothing");
        hsr_conn_close(conn);
        return;
    }
}

/* Why the connection is not wanted, or NULL. */
static const char *acceptor_limit(const struct hsr_acceptor *acceptor)
{
    const struct hsr_shard *shard = acceptor->shard;
    const struct hsr_engine_config *config = &shard->engine->config;
    unsigned most =
        config->connections_per_peer > 0 ? config->connections_per_peer : PEER_CONNECTIONS;
    unsigned count = 0;

    if (shard->conn_count + ACCEPT_SPARE >= config->plan.connections)
        acceptor_evict(acceptor, false); /* its place is free a turn later */
    if (shard->conn_count >= config->plan.connections)
        return "too many connections";
    for (const struct hsr_list *node = shard->conns.next; node != &shard->conns; node = node->next)
        count += address_same(&hsr_container_of(node, struct hsr_conn, node)->address,
                              &acceptor->address);
    if (count + ACCEPT_SPARE >= most)
        acceptor_evict(acceptor, true);
    return count >= most ? "too many connections from this address" : NULL;
}

static void acceptor_take(struct hsr_acceptor *acceptor, int fd)
{
    struct hsr_shard *shard = acceptor->shard;
    const char *limit = shard->stopping ? "the server is shutting down" : acceptor_limit(acceptor);
    struct hsr_event event = { .kind = HSR_EVENT_ACCEPTED };
    struct hsr_conn *conn;
    char peer[64];

    hsr_peer_text(&acceptor->address, peer, sizeof(peer));
    event.peer = peer;
    if (limit == NULL) {
        conn = hsr_conn_accept(shard, fd, (struct sockaddr *)&acceptor->address,
                               acceptor->address_size);
        if (conn == NULL)
            limit = "no memory for a connection"; /* and the socket is closed */
    } else {
        struct hsr_op op = { .kind = HSR_OP_CLOSE, .fd = fd };

        (void)hsr_loop_call(&shard->loop, &op); /* nothing was sent, nothing can be lost */
    }
    if (limit != NULL) {
        event.kind = HSR_EVENT_REFUSED;
        event.code = HSR_E_BUSY;
        event.text = limit;
    }
    hsr_engine_event(shard->engine, &event);
}

static void acceptor_close(struct hsr_acceptor *acceptor)
{
    acceptor->closed = true;
    hsr_loop_timer_clear(&acceptor->shard->loop, &acceptor->retry);
    hsr_loop_cancel(&acceptor->shard->loop, &acceptor->op);
}
