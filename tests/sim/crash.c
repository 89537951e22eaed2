/* The death of a host: its program is killed, or its power is cut. What ran there goes on as a
 * ghost: every operation fails and acts on nothing, its clock is its own, and so its memory can be
 * given back by the code that made it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

static bool host_syncs(const struct sim_host *host)
{
    const struct sim_world *world = host->world;

    for (uint32_t i = 0; i < world->event_count; i++) {
        const struct sim_pending *pending = world->events[i].what;

        if (world->events[i].kind == SIM_EVENT_OP && pending->backend->host == host->index &&
            pending->op->kind == HSR_OP_FSYNC)
            return true;
    }
    return false;
}

/* Is this operation, which was just counted, the one? */
static bool crash_is_due(struct sim_host *host)
{
    struct sim_crash *crash = &host->crash;

    if (crash->nth == 0 || !crash->syncing)
        return crash->nth > 0 && host->ops >= crash->nth;
    return host_syncs(host) && --crash->nth == 0;
}

bool sim_host_dies(struct sim_host *host)
{
    if (host->dead)
        return true;
    host->ops++;
    if (!crash_is_due(host))
        return false;
    host->dead = true;
    host->dead_ns = host->world->now_ns;
    if (host->world->trace != NULL)
        fprintf(host->world->trace, "%12.6f %s   DIES   %s\n", (double)host->world->now_ns / 1e9,
                host->index == 0 ? "server" : "client",
                host->crash.power ? "of a power cut" : "killed");
    return true;
}

/* Operations that were under way: a write may still have happened, or a part of it. */
static void events_end(struct sim_host *host)
{
    struct sim_world *world = host->world;
    struct sim_event *events = world->events;
    uint32_t count = world->event_count;

    world->events = NULL;
    world->event_count = world->event_room = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct sim_pending *pending = events[i].what;
        bool ours = (events[i].kind == SIM_EVENT_OP || events[i].kind == SIM_EVENT_NOTICE) &&
                    pending->backend->host == host->index;

        if (events[i].kind == SIM_EVENT_RING && events[i].what != NULL &&
            ((struct sim_backend *)events[i].what)->host == host->index) {
            sim_ring_end(events[i].what);
            continue;
        }

        if (!ours)
            sim_event_keep(world, events[i]);
        else if (events[i].kind == SIM_EVENT_OP)
            sim_pending_end(pending);
        else
            sim_notice_end(pending);
    }
    free(events);
}

static void queue_end(struct hsr_list *queue)
{
    struct hsr_list *node;

    while ((node = hsr_list_pop_head(queue)) != NULL) {
        struct sim_pending *pending = hsr_container_of(node, struct sim_pending, node);

        pending->queued = false;
        sim_complete(pending, -ECONNRESET);
    }
}

void sim_host_bury(struct sim_host *host)
{
    struct sim_world *world = host->world;

    hsr_assert(host->dead);
    host->down = host->crash.power;
    for (struct sim_socket *socket = world->sockets; socket != NULL; socket = socket->next) {
        if (socket->host != host->index || socket->closed)
            continue;
        queue_end(&socket->reads);
        queue_end(&socket->writes);
        queue_end(&socket->polls);
        queue_end(&socket->accepts);
    }
    events_end(host);
    for (unsigned i = 0; i < SIM_FDS_MAX; i++) {
        struct sim_file *file = host->files[i];

        host->files[i] = NULL;
        if (file != NULL)
            sim_file_release(host, file);
    }
    if (host->crash.power) {
        sim_fs_crash(host, /* torn= */ true);
        host->boots++;
    }
    host->crash = (struct sim_crash){ 0 };
}

void sim_host_revive(struct sim_host *host)
{
    struct sim_world *world = host->world;

    hsr_assert(host->dead);
    for (unsigned i = 0; i < world->backend_count; i++) {
        if (world->backends[i]->host == host->index)
            sim_violation(world, "host %u: what died there never ends", host->index);
    }
    host->dead = host->down = false;
    host->lives++;
    sim_net_answer(world, host->index);
}
