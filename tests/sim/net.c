/* Streams between hosts: pipes with bounded room, so that whoever does not read stops the writer.
 * Operations on one direction of a socket happen in order. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

#define PUMP_NS_MIN (5 * HSR_NS_PER_US)
#define PUMP_NS_MAX (120 * HSR_NS_PER_US)
#define CONNECT_AGAIN_NS (200 * HSR_NS_PER_MS)
#define SHORT_CHANCE 6u /* one in so many transfers is short for no reason */

bool sim_net_kind(enum hsr_op_kind kind)
{
    return kind == HSR_OP_SOCKET || kind == HSR_OP_SOCKOPT || kind == HSR_OP_SOCKOPT_GET ||
           (kind >= HSR_OP_ACCEPT && kind <= HSR_OP_POLL);
}

static struct sim_socket *socket_create(struct sim_world *world, unsigned host)
{
    struct sim_socket *socket = calloc(1, sizeof(*socket));

    hsr_assert(socket != NULL);
    socket->next = world->sockets;
    world->sockets = socket;
    socket->world = world;
    socket->host = host;
    socket->in.room = world->pipe_bytes;
    hsr_list_init(&socket->reads);
    hsr_list_init(&socket->writes);
    hsr_list_init(&socket->polls);
    hsr_list_init(&socket->accepts);
    hsr_list_init(&socket->backlog);
    hsr_list_init(&socket->waiting);
    return socket;
}

static int socket_fd(struct sim_socket *socket)
{
    struct sim_file *file = calloc(1, sizeof(*file));
    int fd;

    hsr_assert(file != NULL);
    file->socket = socket;
    fd = sim_fd_add(&socket->world->hosts[socket->host], file);
    if (fd < 0)
        free(file);
    return fd;
}

static void pump_later(struct sim_socket *socket)
{
    uint64_t slow = HSR_MAX(socket->world->net_slow, 1u);

    sim_event_add(socket->world, slow * sim_between(socket->world, PUMP_NS_MIN, PUMP_NS_MAX),
                  SIM_EVENT_PUMP, socket);
}

static void both_reset(struct sim_socket *socket)
{
    socket->in.reset = true;
    socket->in.size = 0;
    if (socket->peer != NULL) {
        socket->peer->in.reset = true;
        socket->peer->in.size = 0;
        pump_later(socket->peer);
    }
}

int sim_listen(struct sim_world *world, unsigned host, uint16_t port)
{
    struct sim_socket *socket = socket_create(world, host);

    socket->listening = true;
    socket->port = port;
    return socket_fd(socket);
}

int64_t sim_net_call(struct sim_host *host, struct hsr_op *op)
{
    struct sim_file *file;
    struct sim_socket *socket;

    if (op->kind == HSR_OP_SOCKET)
        return socket_fd(socket_create(host->world, host->index));
    file = sim_fd_get(host, op->fd);
    if (file == NULL || file->socket == NULL)
        return file == NULL ? -EBADF : -ENOTSOCK;
    if (op->kind == HSR_OP_SOCKOPT) {
        if (op->mask == SOL_SOCKET && op->mode == SO_LINGER)
            file->socket->abort = true; /* nobody asks for anything but {1, 0} */
        return 0;
    }
    if (op->kind == HSR_OP_SOCKOPT_GET)
        return -ENOPROTOOPT; /* there is neither TCP nor a CPU here */
    if (op->kind != HSR_OP_SHUTDOWN) /* the others are asynchronous only */
        hsr_assert_failed(hsr_op_name(op->kind), __FILE__, __LINE__);
    socket = file->socket;
    if (!socket->connected)
        return -ENOTCONN;
    if (op->msg_flags != SHUT_RD && socket->peer != NULL)
        socket->peer->in.ended = true;
    if (op->msg_flags != SHUT_WR)
        socket->read_shut = true;
    pump_later(socket);
    if (socket->peer != NULL)
        pump_later(socket->peer);
    return 0;
}

void sim_net_submit(struct sim_pending *pending)
{
    struct sim_world *world = pending->backend->world;
    struct sim_socket *socket = pending->file != NULL ? pending->file->socket : NULL;
    struct hsr_list *queue;

    if (socket == NULL || pending->op->kind == HSR_OP_SOCKET ||
        pending->op->kind == HSR_OP_SOCKOPT || pending->op->kind == HSR_OP_SOCKOPT_GET) {
        sim_violation(world, "%s is submitted on what is no socket",
                      hsr_op_name(pending->op->kind));
        sim_complete(pending, -ENOTSOCK);
        return;
    }
    switch ((enum hsr_op_kind)pending->op->kind) {
    case HSR_OP_ACCEPT:
        queue = &socket->accepts;
        break;
    case HSR_OP_RECV:
    case HSR_OP_RECVMSG:
        queue = &socket->reads;
        break;
    case HSR_OP_POLL:
        queue = &socket->polls;
        break;
    default: /* SEND, SEND_ZC, and SHUTDOWN, which waits for what was sent before it */
        queue = &socket->writes;
        break;
    }
    hsr_list_push_tail(queue, &pending->node);
    pending->queued = true;
    pump_later(socket);
}

void sim_net_cancel(struct sim_pending *pending)
{
    hsr_assert(pending->queued);
    hsr_list_remove(&pending->node);
    pending->queued = false;
}

static void queue_complete(struct sim_pending *pending, int64_t res)
{
    sim_net_cancel(pending);
    sim_complete(pending, res);
}

static struct sim_pending *queue_head(struct hsr_list *queue)
{
    return hsr_list_empty(queue) ? NULL : hsr_container_of(queue->next, struct sim_pending, node);
}

/* ---- connecting ---- */

void sim_net_connect(struct sim_pending *pending)
{
    struct sim_world *world = pending->backend->world;
    struct sim_socket *socket = pending->file != NULL ? pending->file->socket : NULL;
    struct sim_socket *listener, *other;
    uint16_t port;

    if (socket == NULL || socket->connected) {
        sim_complete(pending, socket == NULL ? -ENOTSOCK : -EISCONN);
        return;
    }
    if (world->hosts[1 - socket->host].down) { /* nobody answers; whoever asks has a deadline */
        sim_event_add(world, CONNECT_AGAIN_NS, SIM_EVENT_OP, pending);
        return;
    }
    /* The port stands at the same place in both families. */
    port = ntohs(((const struct sockaddr_in *)(const void *)pending->op->addr)->sin_port);
    for (listener = world->sockets; listener != NULL; listener = listener->next) {
        if (listener->listening && !listener->closed && listener->port == port)
            break;
    }
    if (listener == NULL) {
        sim_complete(pending, -ECONNREFUSED);
        return;
    }
    other = socket_create(world, listener->host);
    other->peer = socket;
    socket->peer = other;
    other->connected = socket->connected = true;
    hsr_list_push_tail(&listener->backlog, &other->waiting);
    pump_later(listener);
    sim_complete(pending, 0);
}

static void pump_accepts(struct sim_socket *socket)
{
    struct sim_pending *pending;

    while ((pending = queue_head(&socket->accepts)) != NULL) {
        struct sim_socket *other;
        struct hsr_op *op = pending->op;
        int fd;

        if (pending->error != 0) {
            queue_complete(pending, -pending->error);
            continue;
        }
        if (hsr_list_empty(&socket->backlog))
            return;
        other = hsr_container_of(hsr_list_pop_head(&socket->backlog), struct sim_socket, waiting);
        fd = socket_fd(other);
        if (fd >= 0 && op->addr != NULL) {
            struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(40000) };
            socklen_t room = op->addr_size_out != NULL ? *op->addr_size_out : op->addr_size;

            peer.sin_addr.s_addr = htonl(0x0a000001u + other->peer->host);
            memcpy(op->addr, &peer, HSR_MIN(sizeof(peer), (size_t)room));
            if (op->addr_size_out != NULL)
                *op->addr_size_out = sizeof(peer);
        }
        queue_complete(pending, fd);
    }
}

/* ---- moving bytes ---- */

static uint64_t wanted(const struct hsr_op *op)
{
    uint64_t size = 0;

    if (op->kind != HSR_OP_RECVMSG)
        return op->size;
    for (unsigned i = 0; i < op->iov_count; i++)
        size += op->iov[i].iov_len;
    return size;
}

static void pipe_take(struct sim_pipe *pipe, uint8_t *out, uint32_t size)
{
    hsr_assert(size <= pipe->size);
    for (uint32_t done = 0; done < size;) {
        uint32_t part = HSR_MIN(size - done, pipe->room - pipe->start);

        memcpy(out + done, pipe->bytes + pipe->start, part);
        pipe->start = (pipe->start + part) % pipe->room;
        done += part;
    }
    pipe->size -= size;
}

static void pipe_put(struct sim_pipe *pipe, const uint8_t *in, uint32_t size)
{
    hsr_assert(size <= pipe->room - pipe->size);
    if (pipe->bytes == NULL)
        pipe->bytes = malloc(pipe->room);
    hsr_assert(pipe->bytes != NULL);
    for (uint32_t done = 0; done < size;) {
        uint32_t at = (pipe->start + pipe->size) % pipe->room;
        uint32_t part = HSR_MIN(size - done, pipe->room - at);

        memcpy(pipe->bytes + at, in + done, part);
        pipe->size += part;
        done += part;
    }
}

/* Bytes from the pipe to where the operation left off. */
static void read_copy(struct sim_pending *pending, struct sim_pipe *pipe, uint64_t size)
{
    const struct hsr_op *op = pending->op;
    uint64_t skip = pending->progress;

    if (op->kind == HSR_OP_RECV) {
        pipe_take(pipe, (uint8_t *)op->buf + skip, (uint32_t)size);
        pending->progress += size;
        return;
    }
    for (unsigned i = 0; i < op->iov_count && size > 0; i++) {
        uint64_t part = op->iov[i].iov_len;

        if (skip >= part) {
            skip -= part;
            continue;
        }
        part = HSR_MIN(part - skip, size);
        pipe_take(pipe, (uint8_t *)op->iov[i].iov_base + skip, (uint32_t)part);
        pending->progress += part;
        size -= part;
        skip = 0;
    }
}

/* A bit of what came since @before bytes were there has turned on the way. */
static void read_damage(struct sim_pending *pending, uint64_t before)
{
    struct sim_world *world = pending->backend->world;
    const struct hsr_op *op = pending->op;
    struct iovec one = { .iov_base = op->buf, .iov_len = op->size };
    const struct iovec *iov = op->kind == HSR_OP_RECV ? &one : op->iov;
    uint64_t at;

    if (world->wire_ppm == 0 || world->faults_off || pending->progress == before ||
        sim_between(world, 0, 999999) >= world->wire_ppm)
        return;
    at = sim_between(world, before, pending->progress - 1);
    while (at >= iov->iov_len)
        at -= iov++->iov_len;
    ((uint8_t *)iov->iov_base)[at] ^= (uint8_t)(1u << sim_between(world, 0, 7));
    world->damaged++;
    if (world->trace != NULL)
        fprintf(world->trace, "%12.6f a bit turns on the wire\n", (double)world->now_ns / 1e9);
}

/* A transfer of @size bytes: perhaps fewer, where fewer are allowed. */
static uint64_t shorten(struct sim_pending *pending, uint64_t size)
{
    struct sim_world *world = pending->backend->world;

    if (pending->cut != 0)
        return HSR_MIN(size, pending->cut);
    if ((pending->op->msg_flags & MSG_WAITALL) || size < 2 ||
        sim_between(world, 1, SHORT_CHANCE) != 1)
        return size;
    return sim_between(world, 1, size - 1);
}

static int64_t read_ending(const struct sim_socket *socket, const struct sim_pending *pending)
{
    if (pending->progress > 0)
        return (int64_t)pending->progress;
    return socket->in.reset ? -ECONNRESET : 0;
}

static void pump_reads(struct sim_socket *socket)
{
    struct sim_pending *pending;

    while ((pending = queue_head(&socket->reads)) != NULL) {
        uint64_t size = wanted(pending->op);

        if (!socket->connected) {
            queue_complete(pending, -ENOTCONN);
            continue;
        }
        if (pending->error != 0) {
            both_reset(socket);
            queue_complete(pending, -pending->error);
            continue;
        }
        if (socket->stalled_ns > socket->world->now_ns)
            return; /* sim_net_trouble() looks again */
        if (pending->ended) {
            both_reset(socket);
            socket->in.reset = false;
            socket->in.ended = true;
        }
        if (socket->in.size > 0 && !socket->read_shut) {
            uint64_t before = pending->progress;

            read_copy(pending, &socket->in,
                      shorten(pending, HSR_MIN(size - pending->progress, socket->in.size)));
            read_damage(pending, before);
            if (socket->peer != NULL)
                pump_later(socket->peer); /* there is room now */
            if (pending->progress == size || !(pending->op->msg_flags & MSG_WAITALL))
                queue_complete(pending, (int64_t)pending->progress);
            continue;
        }
        if (!socket->in.reset && !socket->in.ended && !socket->read_shut)
            return;
        queue_complete(pending, read_ending(socket, pending));
    }
}

/* -errno when nothing can be written any more, 0 when there is no room, else bytes that fit. */
static int64_t write_room(struct sim_socket *socket)
{
    struct sim_socket *peer = socket->peer;

    if (!socket->connected)
        return -ENOTCONN;
    if (socket->in.reset)
        return -ECONNRESET;
    if (peer == NULL || peer->in.ended)
        return -EPIPE;
    return peer->in.room - peer->in.size;
}

static void write_shut(struct sim_socket *socket, struct sim_pending *pending)
{
    if (!socket->connected) {
        queue_complete(pending, -ENOTCONN);
        return;
    }
    if (pending->op->msg_flags != SHUT_RD && socket->peer != NULL)
        socket->peer->in.ended = true;
    if (pending->op->msg_flags != SHUT_WR)
        socket->read_shut = true;
    if (socket->peer != NULL)
        pump_later(socket->peer);
    queue_complete(pending, -pending->error);
}

/* No memory to lock, or a device that cannot: the connection is as good as before. */
static bool zc_refused(const struct sim_pending *pending)
{
    return pending->op->kind == HSR_OP_SEND_ZC &&
           (pending->error == ENOMEM || pending->error == EOPNOTSUPP);
}

static void pump_writes(struct sim_socket *socket)
{
    struct sim_pending *pending;

    while ((pending = queue_head(&socket->writes)) != NULL) {
        struct hsr_op *op = pending->op;
        int64_t room;
        uint64_t size;

        if (op->kind == HSR_OP_SHUTDOWN) {
            write_shut(socket, pending);
            continue;
        }
        if (pending->error != 0) {
            if (!zc_refused(pending))
                both_reset(socket);
            queue_complete(pending, -pending->error);
            continue;
        }
        room = write_room(socket);
        if (room < 0) {
            queue_complete(pending, pending->progress > 0 ? (int64_t)pending->progress : room);
            continue;
        }
        if (socket->peer->vanished && !socket->world->hosts[socket->peer->host].down) {
            socket->in.reset = true; /* it knows of no such connection any more */
            continue;
        }
        if ((socket->peer->closed && !socket->peer->vanished) || socket->peer->read_shut) {
            /* Nobody reads: the bytes go, and what comes back is a reset. */
            socket->in.reset = true;
            queue_complete(pending, (int64_t)op->size);
            continue;
        }
        if (room == 0)
            return;
        size = shorten(pending, HSR_MIN(op->size - pending->progress, (uint64_t)room));
        pipe_put(&socket->peer->in, (const uint8_t *)op->buf + pending->progress, (uint32_t)size);
        pending->progress += size;
        pump_later(socket->peer);
        if (pending->progress == op->size || !(op->msg_flags & MSG_WAITALL))
            queue_complete(pending, (int64_t)pending->progress);
    }
}

static void pump_polls(struct sim_socket *socket)
{
    struct hsr_list *node = socket->polls.next;

    while (node != &socket->polls) {
        struct sim_pending *pending = hsr_container_of(node, struct sim_pending, node);
        unsigned mask = 0;

        node = node->next;
        if (socket->in.size > 0 || socket->in.ended || socket->in.reset ||
            !hsr_list_empty(&socket->backlog))
            mask |= POLLIN;
        if (socket->connected && write_room(socket) != 0)
            mask |= POLLOUT;
        mask &= pending->op->msg_flags;
        if (socket->in.reset)
            mask |= POLLERR | POLLHUP;
        if (pending->error != 0)
            queue_complete(pending, -pending->error);
        else if (mask != 0)
            queue_complete(pending, (int64_t)mask);
    }
}

void sim_net_pump(struct sim_socket *socket)
{
    if (socket->listening)
        pump_accepts(socket);
    pump_reads(socket);
    pump_writes(socket);
    pump_polls(socket);
}

void sim_net_close(struct sim_socket *socket)
{
    struct hsr_list *node;

    hsr_assert(!socket->closed);
    hsr_assert(hsr_list_empty(&socket->reads) && hsr_list_empty(&socket->writes));
    socket->closed = true;
    if (socket->world->hosts[socket->host].down) {
        socket->vanished = true; /* and its peer hears nothing of it */
        return;
    }
    while ((node = hsr_list_pop_head(&socket->backlog)) != NULL)
        both_reset(hsr_container_of(node, struct sim_socket, waiting));
    if (socket->peer == NULL)
        return;
    if (socket->abort) {
        both_reset(socket);
        return;
    }
    /* Closing with bytes nobody read is a reset (RFC 2525, 2.17). */
    if (socket->in.size > 0)
        socket->peer->in.reset = true;
    else
        socket->peer->in.ended = true;
    pump_later(socket->peer);
}

void sim_net_answer(struct sim_world *world, unsigned host)
{
    for (struct sim_socket *socket = world->sockets; socket != NULL; socket = socket->next) {
        if (socket->host != host || !socket->vanished || socket->peer == NULL)
            continue;
        if (socket->in.size > 0) /* its peer sends it again and again */
            both_reset(socket);
        else
            pump_later(socket->peer); /* a send may be waiting for room */
    }
}

bool sim_net_trouble(struct sim_world *world, uint64_t stall_ns)
{
    struct sim_socket *picked = NULL;
    unsigned count = 0;

    for (struct sim_socket *socket = world->sockets; socket != NULL; socket = socket->next) {
        if (socket->connected && !socket->closed && !socket->peer->closed && !socket->in.reset &&
            sim_between(world, 0, count++) == 0)
            picked = socket;
    }
    if (picked == NULL)
        return false;
    if (world->trace != NULL)
        fprintf(world->trace, "%12.6f a connection of host %u is %s\n", (double)world->now_ns / 1e9,
                picked->host, stall_ns > 0 ? "stalled" : "reset");
    if (stall_ns == 0) {
        both_reset(picked);
        pump_later(picked);
        return true;
    }
    picked->stalled_ns = world->now_ns + stall_ns;
    sim_event_add(world, stall_ns, SIM_EVENT_PUMP, picked);
    return true;
}

void sim_net_fini(struct sim_world *world)
{
    while (world->sockets != NULL) {
        struct sim_socket *socket = world->sockets;

        world->sockets = socket->next;
        free(socket->in.bytes);
        free(socket);
    }
}
