/* The clock, the event heap and the backends of the simulated world. */
#include "tests/sim/world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "hash/digest.h"

#define LOOK_NS 100u /* what a look at the clock costs: code takes time too */
#define NAP_NS (50 * HSR_NS_PER_US) /* one wait while nobody drives and there are several loops */
#define GHOST_NAP_NS HSR_NS_PER_MS
#define CALL_NS_MIN 500u
#define CALL_NS_MAX 3000u
#define NOTICE_NS_MAX (4 * HSR_NS_PER_S) /* less than an engine waits when it stops */
#define RING_NS_MIN 1000u
#define RING_NS_MAX (200 * HSR_NS_PER_US)
#define PIPE_BYTES_MIN (16 * HSR_KIB)
#define PIPE_BYTES_MAX (256 * HSR_KIB)

static const struct hsr_backend_ops sim_ops;

static struct sim_backend *sim_of(struct hsr_backend *backend)
{
    hsr_assert(backend->ops == &sim_ops);
    return hsr_container_of(backend, struct sim_backend, backend);
}

struct sim_world *sim_world_create(uint64_t seed)
{
    static const uint32_t aligns[] = { 512, 4096, 512, 0 };
    struct sim_world *world = calloc(1, sizeof(*world));

    hsr_assert(world != NULL);
    world->seed = seed;
    world->prng = hsr_prng_init(seed);
    world->now_ns = HSR_NS_PER_S;
    world->pipe_bytes = (uint32_t)sim_between(world, PIPE_BYTES_MIN, PIPE_BYTES_MAX);
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        world->hosts[i].world = world;
        world->hosts[i].index = i;
        world->hosts[i].dio_align = aligns[(seed / 4 + i) % HSR_ARRAY_COUNT(aligns)];
        world->hosts[i].no_dontcache = (seed / 16 + i) % 2 == 1;
        world->hosts[i].clones = (seed / 32 + i) % 2 == 1;
        world->hosts[i].no_cachestat = (seed / 32) % 4 == 1;
        sim_fs_init(&world->hosts[i]);
    }
    return world;
}

void sim_world_destroy(struct sim_world *world)
{
    if (world == NULL)
        return;
    hsr_assert(world->backend_count == 0);
    hsr_assert(world->event_count == 0 || world->sockets != NULL); /* only pumps may be left */
    for (unsigned h = 0; h < SIM_HOSTS; h++) {
        for (unsigned i = 0; i < SIM_FDS_MAX; i++) {
            if (world->hosts[h].files[i] != NULL)
                sim_file_release(&world->hosts[h], world->hosts[h].files[i]);
        }
        sim_fs_fini(&world->hosts[h]);
    }
    sim_net_fini(world);
    while (world->versions != NULL) {
        struct sim_version *version = world->versions;

        world->versions = version->next;
        free(version); /* the inode is its host's */
    }
    free(world->events);
    free(world->records);
    free(world);
}

uint64_t sim_between(struct sim_world *world, uint64_t low, uint64_t high)
{
    hsr_assert(low <= high);
    return low + hsr_prng_below(&world->prng, high - low + 1);
}

void sim_violation(struct sim_world *world, const char *fmt, ...)
{
    va_list args;

    if (world->violation_count < SIM_VIOLATIONS_MAX) {
        char *text = world->violations[world->violation_count];

        va_start(args, fmt);
        (void)vsnprintf(text, sizeof(world->violations[0]), fmt, args); /* cut is fine */
        va_end(args);
        if (world->trace != NULL)
            fprintf(world->trace, "%12.6f VIOLATION %s\n", (double)world->now_ns / 1e9, text);
    }
    world->violation_count++;
}

/* ---- events ---- */

static void event_notice(struct sim_pending *pending);
static void ring_event(struct sim_backend *backend);

static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->sequence < b->sequence;
}

void sim_event_add(struct sim_world *world, uint64_t delay_ns, enum sim_event_kind kind, void *what)
{
    sim_event_keep(world, (struct sim_event){ .at_ns = world->now_ns + delay_ns,
                                              .sequence = world->sequence++,
                                              .kind = kind,
                                              .what = what });
}

void sim_event_keep(struct sim_world *world, struct sim_event event)
{
    uint32_t at = world->event_count++;

    if (at == world->event_room) {
        world->event_room = world->event_room == 0 ? 64 : world->event_room * 2;
        world->events = realloc(world->events, world->event_room * sizeof(*world->events));
        hsr_assert(world->events != NULL);
    }
    while (at > 0 && event_before(&event, &world->events[(at - 1) / 2])) {
        world->events[at] = world->events[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    world->events[at] = event;
}

static struct sim_event event_pop(struct sim_world *world)
{
    struct sim_event first = world->events[0];
    struct sim_event last = world->events[--world->event_count];
    uint32_t at = 0;

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= world->event_count)
            break;
        if (child + 1 < world->event_count &&
            event_before(&world->events[child + 1], &world->events[child]))
            child++;
        if (!event_before(&world->events[child], &last))
            break;
        world->events[at] = world->events[child];
        at = child;
    }
    if (world->event_count > 0)
        world->events[at] = last;
    return first;
}

static void event_op(struct sim_pending *pending)
{
    struct sim_host *host = &pending->backend->world->hosts[pending->backend->host];
    int64_t res;

    if (pending->canceled || host->dead) {
        sim_complete(pending, -ECANCELED);
        return;
    }
    if (pending->op->kind == HSR_OP_CONNECT && pending->error == 0) {
        sim_net_connect(pending);
        return;
    }
    host->bound_fd = pending->op->fd;
    host->bound_file = pending->op->kind == HSR_OP_CLOSE ? NULL : pending->file;
    if (pending->error != 0) {
        res = -pending->error;
        if (pending->op->kind == HSR_OP_CLOSE)
            (void)sim_fs_run(host, pending->op, 0); /* close(2) closes, whatever it says */
    } else {
        host->flip = pending->flip;
        res = pending->ended ? 0 : sim_fs_run(host, pending->op, pending->cut);
        host->flip = false;
    }
    host->bound_file = NULL;
    sim_complete(pending, res);
}

/* A part of a write may have got through. */
void sim_pending_end(struct sim_pending *pending)
{
    struct sim_world *world = pending->backend->world;
    struct sim_host *host = &world->hosts[pending->backend->host];
    struct hsr_op *op = pending->op;

    if (op->kind == HSR_OP_WRITE && pending->error == 0 && !pending->canceled && op->size > 0 &&
        sim_between(world, 0, 1) == 0) {
        host->bound_fd = op->fd;
        host->bound_file = pending->file;
        (void)sim_fs_run(host, op, sim_between(world, 1, op->size)); /* nobody hears of it */
        host->bound_file = NULL;
    }
    sim_complete(pending, -EIO);
}

unsigned sim_world_step(struct sim_world *world)
{
    unsigned count = 0;

    while (world->event_count > 0 && world->events[0].at_ns <= world->now_ns) {
        struct sim_event event = event_pop(world);

        if (event.kind == SIM_EVENT_OP)
            event_op(event.what);
        else if (event.kind == SIM_EVENT_NOTICE)
            event_notice(event.what);
        else if (event.kind == SIM_EVENT_TROUBLE)
            world->trouble(world->trouble_context, event.what);
        else if (event.kind == SIM_EVENT_RING)
            ring_event(event.what);
        else
            sim_net_pump(event.what);
        count++;
    }
    return count;
}

uint64_t sim_world_next(const struct sim_world *world)
{
    return world->event_count > 0 ? world->events[0].at_ns : UINT64_MAX;
}

void sim_world_jump(struct sim_world *world, uint64_t at_ns)
{
    hsr_assert(at_ns != UINT64_MAX);
    world->now_ns = HSR_MAX(world->now_ns, at_ns);
}

/* ---- completions ---- */

static void hash_add(struct sim_world *world, uint64_t value)
{
    uint64_t hash = (world->trace_hash ^ value) * 0xbf58476d1ce4e5b9ull;

    world->trace_hash = hash ^ (hash >> 29);
}

void sim_trace(struct sim_world *world, const struct sim_backend *backend, const char *how,
               const struct hsr_op *op, int64_t res)
{
    char path[96];
    char result[32];

    hash_add(world, world->now_ns);
    hash_add(world, ((uint64_t)backend->host << 40) ^ ((uint64_t)backend->shard << 32) ^ op->kind);
    hash_add(world, (uint64_t)res);
    if (world->trace == NULL)
        return;
    path[0] = '\0';
    if (op->path != NULL && op->kind >= HSR_OP_OPENAT2)
        (void)hsr_escape(op->path, strlen(op->path), path, sizeof(path));
    if (res < 0)
        (void)snprintf(result, sizeof(result), "%s", hsr_err_name((int)res));
    else
        (void)snprintf(result, sizeof(result), "%lld", (long long)res);
    fprintf(world->trace, "%12.6f %s.%u %-6s %-10s fd %d", (double)world->now_ns / 1e9,
            backend->host == 0 ? "server" : "client", backend->shard, how, hsr_op_name(op->kind),
            op->fd);
    if (op->kind >= HSR_OP_OPENAT2)
        fprintf(world->trace, " \"%s\"%s%s", path, op->path2 != NULL ? " " : "",
                op->path2 != NULL ? op->path2 : "");
    else
        fprintf(world->trace, " size %llu offset %llu", (unsigned long long)op->size,
                (unsigned long long)op->offset);
    fprintf(world->trace, " = %s\n", result);
}

/* Mostly soon, sometimes together with the result, sometimes as late as a retransmission, or as a
 * few of them in a row. */
static uint64_t notice_delay(struct sim_world *world)
{
    uint64_t pick = sim_between(world, 0, 7);

    if (pick == 2 && sim_between(world, 0, 31) == 0) {
        world->notices_late++;
        return sim_between(world, HSR_NS_PER_S, NOTICE_NS_MAX);
    }
    if (pick == 0)
        return 0;
    return pick == 1 ? sim_between(world, HSR_NS_PER_MS, 300 * HSR_NS_PER_MS)
                     : sim_between(world, 5 * HSR_NS_PER_US, 500 * HSR_NS_PER_US);
}

void sim_complete(struct sim_pending *pending, int64_t res)
{
    struct sim_backend *backend = pending->backend;
    struct hsr_op *op = pending->op;

    hsr_assert(!pending->queued);
    hsr_assert(backend->in_flight > 0);
    if (pending->error != 0 || pending->ended || pending->cut != 0)
        sim_trace(backend->world, backend, "FAULT", op, res);
    else
        sim_trace(backend->world, backend, "done", op, res);
    if (pending->file != NULL)
        sim_file_release(&backend->world->hosts[backend->host], pending->file);
    op->res = res;
    op->due = HSR_DUE_RESULT;
    op->msghdr.msg_control = NULL;
    hsr_list_init(&op->node);
    hsr_list_push_tail(&backend->completed, &op->node);
    if (op->kind == HSR_OP_SEND_ZC && !backend->world->hosts[backend->host].dead &&
        (res >= 0 || sim_between(backend->world, 0, 1) == 0)) {
        op->due |= HSR_DUE_MORE;
        pending->lent_hash = hsr_hash64(op->buf, op->size);
        sim_event_add(backend->world, notice_delay(backend->world), SIM_EVENT_NOTICE, pending);
        return;
    }
    backend->in_flight--;
    free(pending);
}

/* The kernel needs the memory no more. Until now it could have sent it again. */
static void event_notice(struct sim_pending *pending)
{
    const struct hsr_op *op = pending->op;

    if (hsr_hash64(op->buf, op->size) != pending->lent_hash)
        sim_violation(pending->backend->world, "memory changed under a zero-copy send");
    sim_notice_end(pending);
}

void sim_notice_end(struct sim_pending *pending)
{
    struct sim_backend *backend = pending->backend;
    struct hsr_op *op = pending->op;

    op->notice = sim_between(backend->world, 0, 1) == 0 ? HSR_NOTICE_COPIED : HSR_NOTICE_SENT;
    op->due |= HSR_DUE_NOTICE;
    sim_trace(backend->world, backend, "notice", op, op->notice);
    if (!hsr_list_linked(&op->node)) /* linked: right after its result */
        hsr_list_push_tail(&backend->completed, &op->node);
    backend->in_flight--;
    free(pending);
}

/* ---- the backend ---- */

static void registered_check(const struct sim_backend *backend, const struct hsr_op *op)
{
    const struct iovec *iov;
    const uint8_t *start = op->buf;

    if (op->kind != HSR_OP_READ && op->kind != HSR_OP_WRITE && op->kind != HSR_OP_SEND_ZC)
        return;
    if (op->buf_index < 0)
        return;
    hsr_assert((unsigned)op->buf_index < backend->registered_count);
    iov = &backend->registered[op->buf_index];
    hsr_assert(start >= (const uint8_t *)iov->iov_base);
    hsr_assert(start + op->size <= (const uint8_t *)iov->iov_base + iov->iov_len);
}

/* Nothing works for the dead, but closing, as ever. */
static int64_t ghost_result(const struct hsr_op *op)
{
    if (op->kind == HSR_OP_CLOSE || op->kind == HSR_OP_NOP)
        return 0;
    return sim_net_kind(op->kind) ? -ECONNRESET : -EIO;
}

static int64_t sim_call(struct hsr_backend *base, struct hsr_op *op)
{
    struct sim_backend *backend = sim_of(base);
    struct sim_world *world = backend->world;
    struct sim_host *host = &world->hosts[backend->host];
    struct sim_pending pending = { .op = op, .backend = backend };
    uint64_t index = world->op_count;
    int64_t res;

    hsr_assert(op->kind < HSR_OP_COUNT);
    if (sim_host_dies(host))
        return ghost_result(op);
    world->now_ns += sim_between(world, CALL_NS_MIN, CALL_NS_MAX);
    sim_fault_decide(world, backend->host, op, false, &pending);
    if (pending.error != 0) {
        res = -pending.error;
        if (op->kind == HSR_OP_CLOSE)
            (void)sim_fs_run(host, op, 0); /* close(2) closes, whatever it says */
    } else if (pending.ended) {
        res = 0;
    } else if (sim_net_kind(op->kind)) {
        res = sim_net_call(host, op);
    } else {
        host->flip = pending.flip;
        res = sim_fs_run(host, op, pending.cut);
        host->flip = false;
    }
    sim_fault_record(world, index, res);
    sim_trace(world, backend,
              pending.error != 0 || pending.ended || pending.cut != 0 ? "FAULT" : "call", op, res);
    return res;
}

/* How long a submitted operation takes: mostly about what a drive needs, sometimes far longer. */
static uint64_t op_delay(struct sim_world *world, const struct hsr_op *op)
{
    uint64_t slow = HSR_MAX(world->disk_slow, 1u);

    if (world->slow_sync && (op->kind == HSR_OP_FSYNC || op->kind == HSR_OP_SYNCFS))
        return SIM_SYNC_NS;
    if (sim_between(world, 0, 63) == 0)
        return slow * sim_between(world, HSR_NS_PER_MS, 20 * HSR_NS_PER_MS);
    return slow * sim_between(world, 5 * HSR_NS_PER_US, 300 * HSR_NS_PER_US);
}

/* Operations go into a queue of a few entries; the rest waits until the kernel has taken those. */
static bool ring_full(struct sim_backend *backend, struct hsr_op *op)
{
    struct sim_world *world = backend->world;

    if (world->ring_room == 0 || world->hosts[backend->host].dead || op->call)
        return false;
    if (!backend->draining) {
        backend->draining = true;
        backend->room = world->ring_room;
        sim_event_add(world, sim_between(world, RING_NS_MIN, RING_NS_MAX), SIM_EVENT_RING, backend);
    }
    if (backend->room > 0 && hsr_list_empty(&backend->unsent)) {
        backend->room--;
        return false;
    }
    op->msghdr.msg_control = NULL; /* nothing to cancel yet */
    hsr_list_push_tail(&backend->unsent, &op->node);
    return true;
}

static void submit_one(struct sim_backend *backend, struct hsr_op *op)
{
    struct sim_world *world = backend->world;
    struct sim_host *host = &world->hosts[backend->host];
    struct sim_pending *pending;

    if (ring_full(backend, op))
        return;
    registered_check(backend, op);
    if (op->call) {
        hsr_assert(!sim_net_kind(op->kind));
        op->res = sim_call(&backend->backend, op);
        op->due = HSR_DUE_RESULT;
        hsr_list_push_tail(&backend->completed, &op->node);
        return;
    }
    if (sim_host_dies(host)) {
        op->res = ghost_result(op);
        op->due = HSR_DUE_RESULT;
        op->msghdr.msg_control = NULL;
        hsr_list_push_tail(&backend->completed, &op->node);
        return;
    }
    pending = calloc(1, sizeof(*pending));
    hsr_assert(pending != NULL);
    pending->op = op;
    pending->backend = backend;
    hsr_list_init(&pending->node);
    op->msghdr.msg_control = pending; /* the backend's scratch: for cancel */
    backend->in_flight++;
    if (op->kind != HSR_OP_NOP && op->kind != HSR_OP_CLOSE && op->fd != AT_FDCWD)
        pending->file = sim_fd_get(host, op->fd);
    if (pending->file != NULL)
        pending->file->refs++;
    sim_fault_decide(world, backend->host, op, true, pending);
    if (sim_net_kind(op->kind) && op->kind != HSR_OP_CONNECT)
        sim_net_submit(pending);
    else
        sim_event_add(world, op_delay(world, op), SIM_EVENT_OP, pending);
}

static void ring_drain(struct sim_backend *backend)
{
    struct hsr_list left;
    struct hsr_list *node;

    hsr_list_init(&left);
    while ((node = hsr_list_pop_head(&backend->unsent)) != NULL)
        hsr_list_push_tail(&left, node);
    backend->draining = false;
    while ((node = hsr_list_pop_head(&left)) != NULL)
        submit_one(backend, hsr_container_of(node, struct hsr_op, node));
}

static void ring_event(struct sim_backend *backend)
{
    if (backend != NULL) /* else its ring is gone */
        ring_drain(backend);
}

/* Cancel what the kernel has not seen. */
static bool ring_forgets(struct sim_backend *backend, struct hsr_op *op)
{
    struct hsr_list *node = backend->unsent.next;

    while (node != &backend->unsent && node != &op->node)
        node = node->next;
    if (node == &backend->unsent)
        return false;
    hsr_list_remove(&op->node);
    op->res = -ECANCELED;
    op->due = HSR_DUE_RESULT;
    hsr_list_push_tail(&backend->completed, &op->node);
    return true;
}

void sim_ring_end(struct sim_backend *backend)
{
    hsr_assert(backend->world->hosts[backend->host].dead);
    ring_drain(backend);
}

static void sim_submit(struct hsr_backend *base, struct hsr_list *ops, uint64_t calls_until_ns)
{
    struct sim_backend *backend = sim_of(base);
    struct hsr_list *node;

    (void)calls_until_ns; /* calls take no time of the shard */
    while ((node = hsr_list_pop_head(ops)) != NULL)
        submit_one(backend, hsr_container_of(node, struct hsr_op, node));
}

static void sim_wait(struct hsr_backend *base, uint64_t deadline_ns)
{
    struct sim_backend *backend = sim_of(base);
    struct sim_world *world = backend->world;
    struct sim_host *host = &world->hosts[backend->host];

    backend->deadline_ns = deadline_ns;
    if (deadline_ns == 0)
        return;
    if (host->dead) {
        if (hsr_list_empty(&backend->completed) && !backend->rung)
            host->dead_ns = HSR_MIN(deadline_ns, host->dead_ns + GHOST_NAP_NS);
        backend->rung = false;
        return;
    }
    if (world->driven)
        return;
    if (world->backend_count > 1) /* the others have work too, perhaps at once: a nap, no more */
        deadline_ns = HSR_MIN(deadline_ns, world->now_ns + NAP_NS);
    while (hsr_list_empty(&backend->completed) && !backend->rung && world->now_ns < deadline_ns) {
        uint64_t next_ns = HSR_MIN(sim_world_next(world), deadline_ns);

        if (next_ns == UINT64_MAX) {
            sim_violation(world, "host %u shard %u sleeps for ever", backend->host, backend->shard);
            break;
        }
        sim_world_jump(world, next_ns);
        (void)sim_world_step(world); /* what it did shows in `completed` */
    }
    backend->rung = false;
}

static unsigned sim_reap(struct hsr_backend *base, unsigned max)
{
    struct sim_backend *backend = sim_of(base);
    struct hsr_list *node;
    unsigned count = 0;

    if (!backend->world->hosts[backend->host].dead)
        (void)sim_world_step(backend->world); /* what it did shows in `completed` */
    if (backend->world->reap_max > 0)
        max = HSR_MIN(max, backend->world->reap_max); /* the others overflowed: the next time */
    while (count < max && (node = hsr_list_pop_head(&backend->completed)) != NULL) {
        struct hsr_op *op = hsr_container_of(node, struct hsr_op, node);

        hsr_op_deliver(op);
        count++;
    }
    return count;
}

static uint64_t sim_now(struct hsr_backend *base)
{
    struct sim_world *world = sim_of(base)->world;
    struct sim_host *host = &world->hosts[sim_of(base)->host];

    if (host->dead) {
        host->dead_ns += LOOK_NS;
        return host->dead_ns;
    }
    world->now_ns += LOOK_NS;
    return world->now_ns;
}

static uint64_t sim_wall(struct hsr_backend *base)
{
    return sim_wall_ns(&sim_of(base)->world->hosts[sim_of(base)->host]);
}

static void sim_cancel(struct hsr_backend *base, struct hsr_op *op)
{
    struct sim_backend *backend = sim_of(base);
    struct sim_pending *pending = op->msghdr.msg_control;

    if (ring_forgets(backend, op))
        return;
    if (pending == NULL)
        return; /* it has completed */
    hsr_assert(pending->op == op);
    if (pending->queued) {
        int64_t res = pending->progress > 0 ? (int64_t)pending->progress : -ECANCELED;

        sim_net_cancel(pending);
        sim_complete(pending, res);
    } else if (op->kind == HSR_OP_CONNECT || sim_between(backend->world, 0, 1) == 0) {
        pending->canceled = true; /* the other half was too late and ends as if nothing was said */
    }
}

static bool sim_pending_any(struct hsr_backend *base)
{
    return !hsr_list_empty(&sim_of(base)->completed);
}

static void sim_wake(struct hsr_backend *base)
{
    sim_of(base)->rung = true;
}

static int sim_register(struct hsr_backend *base, const struct iovec *iov, unsigned count)
{
    struct sim_backend *backend = sim_of(base);
    struct iovec *copy = malloc(count * sizeof(*copy));

    hsr_assert(copy != NULL && backend->registered == NULL);
    memcpy(copy, iov, count * sizeof(*copy));
    backend->registered = copy;
    backend->registered_count = count;
    return 0;
}

static void sim_random(struct hsr_backend *base, void *out, size_t size)
{
    struct sim_backend *backend = sim_of(base);
    uint8_t *bytes = out;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)hsr_prng_next(&backend->random);
}

static void sim_fini(struct hsr_backend *base)
{
    struct sim_backend *backend = sim_of(base);
    struct sim_world *world = backend->world;

    hsr_assert(hsr_list_empty(&backend->completed) && hsr_list_empty(&backend->unsent));
    hsr_assert(backend->in_flight == 0);
    for (uint32_t i = 0; i < world->event_count; i++) {
        if (world->events[i].kind == SIM_EVENT_RING && world->events[i].what == backend)
            world->events[i].what = NULL;
    }
    for (unsigned i = 0; i < world->backend_count; i++) {
        if (world->backends[i] == backend)
            world->backends[i--] = world->backends[--world->backend_count];
    }
    free((void *)backend->registered);
    free(backend);
}

static const struct hsr_backend_ops sim_ops = {
    .name = "sim",
    .submit = sim_submit,
    .wait = sim_wait,
    .reap = sim_reap,
    .now = sim_now,
    .wall = sim_wall,
    .call = sim_call,
    .cancel = sim_cancel,
    .pending = sim_pending_any,
    .wake = sim_wake,
    .register_buffers = sim_register,
    .random = sim_random,
    .fini = sim_fini,
};

int sim_backend_create(struct sim_world *world, unsigned host, unsigned shard,
                       struct hsr_backend **ret_backend)
{
    struct sim_backend *backend = calloc(1, sizeof(*backend));

    hsr_assert(backend != NULL);
    hsr_assert(host < SIM_HOSTS && world->backend_count < SIM_BACKENDS_MAX);
    backend->backend.ops = &sim_ops;
    backend->backend.send_zc = true;
    backend->world = world;
    backend->host = host;
    backend->shard = shard;
    backend->random = hsr_prng_init(world->seed ^ ((uint64_t)world->hosts[host].lives << 40) ^
                                    ((uint64_t)host << 32) ^ (shard + 1));
    hsr_list_init(&backend->completed);
    hsr_list_init(&backend->unsent);
    world->backends[world->backend_count++] = backend;
    *ret_backend = &backend->backend;
    return 0;
}
