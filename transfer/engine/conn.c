/* Connections that speak frames; see conn.h. */
#include "transfer/engine/conn.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/stream.h"
#include "transfer/engine/takeover.h"

#define CONN_HANDSHAKE_NS (10 * HSR_NS_PER_S)
#define CONN_IDLE_NS (30 * HSR_NS_PER_S)
#define CONN_FRAMES_PER_STEP 64u /* then others get their turn */

static struct hsr_conn *conn_create(struct hsr_shard *shard, int fd, const struct sockaddr *address,
                                    socklen_t address_size, bool server);
static void conn_free(struct hsr_conn *conn);
static void conn_run(struct hsr_task *task);
static bool conn_parse(struct hsr_conn *conn);
static int conn_take(struct hsr_conn *conn, const struct hsr_frame *frame, struct hsr_span payload);
static void conn_receive(struct hsr_conn *conn);
static void conn_flush(struct hsr_conn *conn);
static void conn_linger(struct hsr_conn *conn);
static void conn_connected(struct hsr_link *link, int rc);
static void conn_sent(struct hsr_link *link, int rc);
static void conn_received(struct hsr_link *link, int64_t received);
static void conn_closed(struct hsr_link *link);
static void conn_timer(struct hsr_timer *timer);
static void conn_tick(struct hsr_conn *conn);
static bool conn_greeted(const struct hsr_conn *conn);
static uint64_t conn_idle_ns(const struct hsr_conn *conn);
static void conn_pulse(struct hsr_conn *conn);
static void conn_report(struct hsr_conn *conn, int code, const char *text);

struct hsr_conn *hsr_conn_accept(struct hsr_shard *shard, int fd, const struct sockaddr *address,
                                 socklen_t address_size)
{
    struct hsr_conn *conn = conn_create(shard, fd, address, address_size, true);

    if (conn == NULL)
        return NULL;
    conn->state = HSR_CONN_GREETING;
    conn->on_frame = hsr_handshake_frame;
    hsr_conn_timer_start(conn);
    hsr_loop_wake(&shard->loop, &conn->task);
    return conn;
}

struct hsr_conn *hsr_conn_connect(struct hsr_shard *shard, const struct sockaddr *address,
                                  socklen_t address_size, uint64_t deadline_ns)
{
    struct hsr_conn *conn = conn_create(shard, -1, address, address_size, false);
    int rc;

    if (conn == NULL)
        return NULL;
    conn->state = HSR_CONN_CONNECTING;
    rc = hsr_link_connect(&conn->link, (struct sockaddr *)&conn->address, conn->address_size);
    if (rc < 0) {
        conn->rc = rc;
        hsr_loop_wake(&shard->loop, &conn->task);
    }
    hsr_loop_timer_set(&shard->loop, &conn->timer, hsr_loop_clock(&shard->loop) + deadline_ns);
    return conn;
}

uint8_t *hsr_conn_begin(struct hsr_conn *conn, size_t payload_max)
{
    hsr_assert(payload_max <= HSR_CONTROL_PAYLOAD_MAX);
    if (conn->state == HSR_CONN_CLOSING || conn->close_flushed)
        return NULL;
    if (conn->out_size + HSR_FRAME_HEADER_SIZE + payload_max > HSR_CONN_BUFFER_SIZE)
        return NULL;
    return conn->out[conn->fill] + conn->out_size + HSR_FRAME_HEADER_SIZE;
}

void hsr_conn_commit(struct hsr_conn *conn, struct hsr_frame frame, size_t payload_size)
{
    uint8_t *at = conn->out[conn->fill] + conn->out_size;

    hsr_assert(conn->out_size + HSR_FRAME_HEADER_SIZE + payload_size <= HSR_CONN_BUFFER_SIZE);
    frame.size = (uint32_t)payload_size;
    frame.seq = conn->seq_out++;
    frame.check =
        (struct hsr_digest_sum){ .low = hsr_hash64(at + HSR_FRAME_HEADER_SIZE, payload_size) };
    hsr_frame_encode(&frame, at);
    conn->out_size += HSR_FRAME_HEADER_SIZE + payload_size;
    hsr_loop_wake(&conn->shard->loop, &conn->task);
}

bool hsr_conn_put(struct hsr_conn *conn, uint16_t kind)
{
    if (hsr_conn_begin(conn, 0) == NULL)
        return false;
    hsr_conn_commit(conn, (struct hsr_frame){ .kind = kind }, 0);
    return true;
}

void hsr_conn_resume(struct hsr_conn *conn)
{
    conn->in_waits = false;
    conn->in_paused = false;
    hsr_loop_wake(&conn->shard->loop, &conn->task);
}

void hsr_conn_fail(struct hsr_conn *conn, int code, const char *text)
{
    struct hsr_reject reject = { .code = code, .text = { (const uint8_t *)text, strlen(text) } };
    uint8_t *out;

    hsr_assert(code < 0);
    if (conn->state == HSR_CONN_CLOSING || conn->close_flushed)
        return;
    conn_report(conn, code, text);
    if (conn->rc == 0)
        conn->rc = code;
    if (conn->state == HSR_CONN_CONNECTING) { /* nobody is there to tell */
        hsr_conn_close(conn);
        return;
    }
    out = hsr_conn_begin(conn, 2048);
    if (out != NULL) {
        int size = hsr_reject_encode(&reject, out, 2048);
        bool session = conn->state == HSR_CONN_SESSION;

        if (size > 0)
            hsr_conn_commit(
                conn, (struct hsr_frame){ .kind = session ? HSR_FRAME_CANCEL : HSR_FRAME_REJECT },
                (size_t)size);
    }
    hsr_conn_finish(conn);
}

void hsr_conn_finish(struct hsr_conn *conn)
{
    if (conn->state == HSR_CONN_CLOSING)
        return;
    conn->close_flushed = true;
    conn->timed_out = false; /* a tick that is still to be seen is not this deadline */
    /* a peer that does not read must not hold the connection for ever */
    hsr_loop_timer_set(&conn->shard->loop, &conn->timer, conn->shard->loop.now_ns + HSR_NS_PER_S);
    hsr_loop_wake(&conn->shard->loop, &conn->task);
}

void hsr_conn_close(struct hsr_conn *conn)
{
    if (conn->state == HSR_CONN_CLOSING)
        return;
    conn->state = HSR_CONN_CLOSING;
    hsr_loop_timer_clear(&conn->shard->loop, &conn->timer);
    hsr_loop_wake(&conn->shard->loop, &conn->task);
}

void hsr_conn_detach(struct hsr_conn *conn)
{
    hsr_loop_forget(&conn->shard->loop, &conn->task);
    hsr_loop_timer_clear(&conn->shard->loop, &conn->timer);
    hsr_list_remove(&conn->node);
    conn->shard->conn_count--;
}

void hsr_conn_attach(struct hsr_conn *conn, struct hsr_shard *shard)
{
    conn->shard = shard;
    hsr_link_move(&conn->link, &shard->loop);
    hsr_list_push_tail(&shard->conns, &conn->node);
    shard->conn_count++;
    hsr_conn_timer_start(conn);
}

void hsr_conn_timer_start(struct hsr_conn *conn)
{
    const struct hsr_engine_config *config = &conn->shard->engine->config;
    uint64_t now = hsr_loop_clock(&conn->shard->loop);
    uint64_t wait_ns = config->handshake_ns > 0 ? config->handshake_ns : CONN_HANDSHAKE_NS;

    if (conn_greeted(conn)) {
        hsr_pulse_start(&conn->pulse, now, conn_idle_ns(conn), conn->silence_ms);
        wait_ns = conn->pulse.beat_ns;
    }
    hsr_loop_timer_set(&conn->shard->loop, &conn->timer, now + wait_ns);
}

static struct hsr_conn *conn_create(struct hsr_shard *shard, int fd, const struct sockaddr *address,
                                    socklen_t address_size, bool server)
{
    struct hsr_conn *conn = calloc(1, sizeof(*conn));

    if (conn != NULL) {
        conn->in = malloc(HSR_CONN_BUFFER_SIZE);
        conn->out[0] = malloc(HSR_CONN_BUFFER_SIZE);
        conn->out[1] = malloc(HSR_CONN_BUFFER_SIZE);
    }
    if (conn == NULL || conn->in == NULL || conn->out[0] == NULL || conn->out[1] == NULL) {
        struct hsr_op op = { .kind = HSR_OP_CLOSE, .fd = fd };

        if (fd >= 0)
            (void)hsr_loop_call(&shard->loop, &op);
        if (conn != NULL)
            conn_free(conn);
        return NULL;
    }
    conn->shard = shard;
    conn->server = server;
    hsr_list_init(&conn->node);
    hsr_task_init(&conn->task, "connection", conn_run);
    conn->timer.fired = conn_timer;
    hsr_link_init(&conn->link, &shard->loop, fd);
    conn->link.connected = conn_connected;
    conn->link.sent = conn_sent;
    conn->link.received = conn_received;
    conn->link.closed = conn_closed;
    if (address_size > sizeof(conn->address))
        address_size = sizeof(conn->address);
    memcpy(&conn->address, address, address_size);
    conn->address_size = address_size;
    hsr_peer_text(&conn->address, conn->peer, sizeof(conn->peer));
    hsr_list_push_tail(&shard->conns, &conn->node);
    shard->conn_count++;
    return conn;
}

static void conn_free(struct hsr_conn *conn)
{
    free(conn->in);
    free(conn->out[0]);
    free(conn->out[1]);
    free(conn);
}

static void conn_run(struct hsr_task *task)
{
    struct hsr_conn *conn = hsr_container_of(task, struct hsr_conn, task);
    bool more;

    if (conn->timed_out)
        conn_tick(conn);
    if (conn->state != HSR_CONN_CLOSING && conn->state != HSR_CONN_STREAM && conn->rc < 0 &&
        !conn->close_flushed)
        hsr_conn_fail(conn, conn->rc, conn->why[0] != '\0' ? conn->why : hsr_err_text(conn->rc));
    if (conn->state == HSR_CONN_CLOSING) {
        hsr_link_close(&conn->link); /* conn_closed() frees; may be now */
        return;
    }
    more = !conn->close_flushed && conn_parse(conn);
    if (!more && conn->in_ended && !conn->close_flushed) {
        if (conn->rc == 0)
            conn->rc = conn->end_rc;
        hsr_conn_close(conn);
        return;
    }
    conn_flush(conn);
    if (conn->lingers)
        conn->in_start = conn->in_end;
    /* Before a session nothing is read while frames are left: one may hand the link over. */
    if (conn->state != HSR_CONN_CLOSING && (!conn->close_flushed || conn->lingers) &&
        (!more || conn_greeted(conn)))
        conn_receive(conn);
    if (conn->state == HSR_CONN_JOINING)
        hsr_handshake_join(conn); /* it may be another shard's from here on */
}

/* Take frames off the input, as long as handlers take them. True: there is more to do, and the task
 * was woken for it. */
static bool conn_parse(struct hsr_conn *conn)
{
    for (unsigned i = 0;; i++) {
        struct hsr_frame frame;
        struct hsr_span payload;
        size_t have = conn->in_end - conn->in_start;
        int rc;

        if (conn->in_waits || conn->in_paused || conn->in_stopped ||
            conn->state == HSR_CONN_CLOSING || conn->close_flushed || have < HSR_FRAME_HEADER_SIZE)
            return false;
        if (i == CONN_FRAMES_PER_STEP ||
            (i > 0 && hsr_loop_slice_over(&conn->shard->loop))) { /* a frame may finish a file */
            hsr_loop_wake(&conn->shard->loop, &conn->task);
            return true;
        }
        rc = hsr_frame_decode(conn->in + conn->in_start, &frame);
        if (rc == 0 && frame.seq != conn->seq_in)
            rc = HSR_E_PROTOCOL;
        if (rc == 0 && hsr_frame_is_bulk(frame.kind))
            rc = HSR_E_PROTOCOL; /* data has streams of its own */
        if (rc < 0) {
            hsr_conn_fail(conn, rc, "a malformed frame");
            return false;
        }
        if (have < HSR_FRAME_HEADER_SIZE + (size_t)frame.size)
            return false;
        payload =
            (struct hsr_span){ conn->in + conn->in_start + HSR_FRAME_HEADER_SIZE, frame.size };
        rc = conn_take(conn, &frame, payload);
        if (rc == HSR_CONN_WAIT) {
            conn->in_waits = true;
            return false;
        }
        conn->seq_in++;
        conn->in_start += HSR_FRAME_HEADER_SIZE + (size_t)frame.size;
        if (rc < 0)
            hsr_conn_fail(conn, rc, hsr_frame_name(frame.kind));
    }
}

static int conn_take(struct hsr_conn *conn, const struct hsr_frame *frame, struct hsr_span payload)
{
    uint64_t check = hsr_hash64(payload.ptr, payload.size);

    if (frame->check.low != check || frame->check.high != 0)
        return HSR_E_CHECK;
    if ((frame->kind == HSR_FRAME_BEAT || frame->kind == HSR_FRAME_REST) && conn_greeted(conn))
        return hsr_conn_beat(conn, frame);
    return conn->on_frame(conn, frame, payload);
}

static void conn_receive(struct hsr_conn *conn)
{
    if (conn->state == HSR_CONN_CONNECTING || conn->in_stopped || conn->in_paused ||
        conn->in_ended || hsr_link_receiving(&conn->link))
        return;
    if (conn->in_start == conn->in_end) {
        conn->in_start = 0;
        conn->in_end = 0;
    } else if (conn->in_end == HSR_CONN_BUFFER_SIZE ||
               HSR_CONN_BUFFER_SIZE - conn->in_start <
                   HSR_CONTROL_PAYLOAD_MAX + HSR_FRAME_HEADER_SIZE) {
        memmove(conn->in, conn->in + conn->in_start, conn->in_end - conn->in_start);
        conn->in_end -= conn->in_start;
        conn->in_start = 0;
    }
    if (conn->in_end == HSR_CONN_BUFFER_SIZE)
        return; /* full of frames that a handler cannot take yet */
    conn->iov = (struct iovec){ conn->in + conn->in_end, HSR_CONN_BUFFER_SIZE - conn->in_end };
    hsr_link_receive(&conn->link, &conn->iov, 1);
}

static void conn_flush(struct hsr_conn *conn)
{
    if (conn->state == HSR_CONN_CONNECTING || hsr_link_sending(&conn->link))
        return;
    if (conn->out_ended)
        conn->out_size = 0; /* nobody takes it */
    if (conn->out_size == 0) {
        if (conn->close_flushed)
            conn_linger(conn);
        return;
    }
    hsr_link_send(&conn->link, conn->out[conn->fill], conn->out_size);
    conn->fill ^= 1u;
    conn->out_size = 0;
    if (conn->in_waits) { /* there is room for an answer again */
        conn->in_waits = false;
        hsr_loop_wake(&conn->shard->loop, &conn->task);
    }
    if (conn->on_writable != NULL)
        conn->on_writable(conn);
}

/* All is sent. A server's last words (DONE, CANCEL) may still be on their way, and a kernel that
 * closes a socket whose bytes nobody has read resets the connection and forgets them: so the client
 * closes first, which it does when it has heard them. */
static void conn_linger(struct hsr_conn *conn)
{
    struct hsr_op op = { .kind = HSR_OP_SHUTDOWN, .fd = conn->link.fd, .msg_flags = SHUT_WR };
    uint64_t now = hsr_loop_clock(&conn->shard->loop);

    if (conn->lingers)
        return;
    if (!conn->server || conn->state != HSR_CONN_SESSION ||
        conn->session->state != HSR_SESSION_CLOSING || conn->in_ended || conn->out_ended ||
        hsr_loop_call(&conn->shard->loop, &op) < 0) {
        hsr_conn_close(conn);
        return;
    }
    conn->lingers = true;
    if (conn->session->rc == 0) /* else for as long as hsr_conn_finish() said */
        hsr_loop_timer_set(&conn->shard->loop, &conn->timer, now + conn_idle_ns(conn));
}

static void conn_connected(struct hsr_link *link, int rc)
{
    struct hsr_conn *conn = hsr_container_of(link, struct hsr_conn, link);
    struct hsr_hello hello = { .magic = HSR_PROTO_MAGIC,
                               .version_min = 1,
                               .version_max = HSR_PROTO_VERSION,
                               .features = HSR_FEATURES_OURS,
                               .silence_ms = hsr_conn_silence_ms(conn),
                               .agent = { (const uint8_t *)"hawser/" HSR_VERSION,
                                          sizeof("hawser/" HSR_VERSION) - 1 } };
    uint8_t *out;

    if (rc < 0) {
        conn->rc = rc;
    } else {
        conn->state = HSR_CONN_GREETING;
        hsr_conn_timer_start(conn);
        out = hsr_conn_begin(conn, 256);
        hsr_assert(out != NULL); /* nothing was queued before */
        rc = hsr_hello_encode(&hello, out, 256);
        hsr_assert(rc > 0);
        hsr_conn_commit(conn, (struct hsr_frame){ .kind = HSR_FRAME_HELLO }, (size_t)rc);
    }
    hsr_loop_wake(&conn->shard->loop, &conn->task);
}

static void conn_sent(struct hsr_link *link, int rc)
{
    struct hsr_conn *conn = hsr_container_of(link, struct hsr_conn, link);

    if (rc < 0) {
        conn->out_ended = true;
        conn->send_rc = rc;
        if (conn->close_flushed || conn->in_ended || conn->in_paused || conn->in_stopped)
            hsr_conn_close(conn); /* nobody is there to read a reason, or to give one */
        else /* a peer that ended may have said why before: that counts more */
            hsr_loop_timer_set(&conn->shard->loop, &conn->timer,
                               conn->shard->loop.now_ns + HSR_NS_PER_S);
        if (conn->state == HSR_CONN_CLOSING && conn->rc == 0)
            conn->rc = rc;
    }
    hsr_loop_wake(&conn->shard->loop, &conn->task);
}

static void conn_received(struct hsr_link *link, int64_t received)
{
    struct hsr_conn *conn = hsr_container_of(link, struct hsr_conn, link);

    if (received > 0) {
        conn->in_end += (size_t)received;
    } else {
        conn->in_ended = true; /* frames that arrived before may still explain it */
        conn->end_rc = received < 0 ? (int)received : HSR_E_CLOSED;
        if (conn->close_flushed)
            hsr_conn_close(conn);
    }
    hsr_loop_wake(&conn->shard->loop, &conn->task);
}

static void conn_closed(struct hsr_link *link)
{
    struct hsr_conn *conn = hsr_container_of(link, struct hsr_conn, link);

    hsr_loop_forget(&conn->shard->loop, &conn->task);
    hsr_loop_timer_clear(&conn->shard->loop, &conn->timer);
    hsr_list_remove(&conn->node);
    conn->shard->conn_count--;
    hsr_takeover_forget(conn);
    if (conn->rc < 0 && conn->on_closed == NULL && conn->stream == NULL) /* it never got in */
        conn_report(conn, conn->rc, hsr_err_text(conn->rc));
    if (conn->on_closed != NULL)
        conn->on_closed(conn);
    conn_free(conn);
}

static void conn_timer(struct hsr_timer *timer)
{
    struct hsr_conn *conn = hsr_container_of(timer, struct hsr_conn, timer);

    conn->timed_out = true;
    hsr_loop_wake(&conn->shard->loop, &conn->task);
}

/* A deadline passed: the handshake's, or it is time to look who is silent. */
static void conn_tick(struct hsr_conn *conn)
{
    conn->timed_out = false;
    if (conn->state == HSR_CONN_CLOSING)
        return;
    if (conn->close_flushed) {
        hsr_conn_close(conn);
        return;
    }
    if (conn->out_ended) { /* it said nothing */
        if (conn->rc == 0)
            conn->rc = conn->send_rc;
        hsr_conn_close(conn);
        return;
    }
    if (conn_greeted(conn))
        conn_pulse(conn);
    else if (conn->rc == 0)
        conn->rc = conn->takeover != NULL ? HSR_E_BUSY : HSR_E_TIMEOUT;
}

static bool conn_greeted(const struct hsr_conn *conn)
{
    return conn->state == HSR_CONN_SESSION || conn->state == HSR_CONN_STREAM ||
           conn->state == HSR_CONN_LISTING;
}

static uint64_t conn_idle_ns(const struct hsr_conn *conn)
{
    uint64_t idle_ns = conn->shard->engine->config.idle_ns;

    return idle_ns > 0 ? idle_ns : CONN_IDLE_NS;
}

uint32_t hsr_conn_silence_ms(const struct hsr_conn *conn)
{
    return (uint32_t)HSR_MIN(conn_idle_ns(conn) / HSR_NS_PER_MS, (uint64_t)UINT32_MAX);
}

int hsr_conn_beat(struct hsr_conn *conn, const struct hsr_frame *frame)
{
    return hsr_pulse_told(&conn->pulse, hsr_loop_clock(&conn->shard->loop),
                          frame->kind == HSR_FRAME_REST, frame->offset,
                          hsr_link_given(&conn->link));
}

/* Look, and beat. A beat that finds no place is left out: then bytes are on their way. */
static void conn_pulse(struct hsr_conn *conn)
{
    uint64_t now = hsr_loop_clock(&conn->shard->loop);
    struct hsr_pulse_view view = { .received = conn->link.received_bytes,
                                   .reading = hsr_link_receiving(&conn->link) && !conn->in_waits };
    int rc = hsr_pulse_look(&conn->pulse, now, &view);
    bool stream = conn->state == HSR_CONN_STREAM, there;
    uint64_t quiet_ns = hsr_pulse_quiet(&conn->pulse, &there);

    if (stream)
        hsr_stream_quiet(conn->stream, quiet_ns, there);
    if (rc < 0) {
        hsr_conn_quiet_words(conn->peer, stream ? conn->stream->index : UINT32_MAX, quiet_ns, there,
                             conn->why, sizeof(conn->why));
        conn->rc = rc;
        if (stream)
            hsr_stream_fail(conn->stream, rc); /* it closes us, and takes the words along */
        return;
    }
    if (hsr_conn_begin(conn, 0) != NULL &&
        !(stream && (hsr_link_sending(&conn->link) || conn->out_size > 0)))
        hsr_conn_commit(conn,
                        (struct hsr_frame){ .kind = view.reading ? HSR_FRAME_BEAT : HSR_FRAME_REST,
                                            .offset = view.received },
                        0);
    hsr_loop_timer_set(&conn->shard->loop, &conn->timer, now + conn->pulse.beat_ns);
}

void hsr_conn_quiet_words(const char *peer, uint32_t stream, uint64_t quiet_ns, bool there,
                          char *buf, size_t size)
{
    char which[32] = "control connection";

    if (stream != UINT32_MAX)
        (void)snprintf(which, sizeof(which), "stream %u", stream);
    (void)snprintf(buf, size, "no byte %s for %.1f s, waiting for %s (%s)",
                   there ? "arrives there" : "comes", (double)quiet_ns / 1e9, peer, which);
}

void hsr_peer_text(const struct sockaddr_storage *address, char *buf, size_t size)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    char host[INET6_ADDRSTRLEN] = "?";

    if (address->ss_family == AF_INET) {
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        (void)snprintf(buf, size, "%s:%u", host, ntohs(v4->sin_port));
    } else if (address->ss_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        (void)snprintf(buf, size, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        (void)snprintf(buf, size, "?");
    }
}

static void conn_report(struct hsr_conn *conn, int code, const char *text)
{
    struct hsr_event event = {
        .kind = HSR_EVENT_REFUSED, .peer = conn->peer, .code = code, .text = text
    };

    if (conn->said || !conn->server || conn->state == HSR_CONN_SESSION ||
        conn->state == HSR_CONN_STREAM)
        return;
    conn->said = true;
    hsr_engine_event(conn->shard->engine, &event);
}
