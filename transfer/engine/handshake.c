/* The handshake of a server's connection:
 *
 *   GREETING --HELLO--> CHOOSING --OPEN--> SESSION
 *                                --BENCH-> SESSION
 *                                --LIST--> LISTING
 *                                --JOIN--> JOINING --> STREAM
 *
 * A JOIN travels: from the shard that accepted the connection to the session's home (which shard
 * that is, the token says), from there to the stream's shard. Meanwhile nothing is in flight on the
 * connection and only the shard that holds the message touches it. */
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/bench.h"
#include "transfer/engine/listing.h"
#include "transfer/engine/stream.h"
#include "transfer/engine/takeover.h"

static int greeting_frame(struct hsr_conn *conn, const struct hsr_frame *frame,
                          struct hsr_span payload);
static int choosing_frame(struct hsr_conn *conn, const struct hsr_frame *frame,
                          struct hsr_span payload);
static int choosing_open(struct hsr_conn *conn, struct hsr_span payload);
static int choosing_bench(struct hsr_conn *conn, struct hsr_span payload);
static int choosing_join(struct hsr_conn *conn, struct hsr_span payload);
static int choosing_list(struct hsr_conn *conn, struct hsr_span payload);
static void join_at_home(struct hsr_msg *msg);
static void join_arrived(struct hsr_msg *msg);
static void join_send(struct hsr_conn *conn, struct hsr_shard *to,
                      void (*deliver)(struct hsr_msg *msg));

int hsr_handshake_frame(struct hsr_conn *conn, const struct hsr_frame *frame,
                        struct hsr_span payload)
{
    hsr_assert(conn->server);
    switch (conn->state) {
    case HSR_CONN_GREETING:
        return greeting_frame(conn, frame, payload);
    case HSR_CONN_CHOOSING:
        return choosing_frame(conn, frame, payload);
    case HSR_CONN_LISTING:
        if (frame->kind != HSR_FRAME_LIST)
            return HSR_E_PROTOCOL;
        /* One at a time; the listing resumes the connection when it is done. */
        return conn->listing != NULL ? HSR_CONN_WAIT : choosing_list(conn, payload);
    default:
        return HSR_E_PROTOCOL;
    }
}

static int greeting_frame(struct hsr_conn *conn, const struct hsr_frame *frame,
                          struct hsr_span payload)
{
    const struct hsr_plan *plan = &conn->shard->engine->config.plan;
    struct hsr_hello_ack ack = { .streams_max = plan->streams,
                                 .depth_max = plan->depth,
                                 .chunk_max = plan->chunk,
                                 .silence_ms = hsr_conn_silence_ms(conn),
                                 .agent = { (const uint8_t *)"hawser/" HSR_VERSION,
                                            sizeof("hawser/" HSR_VERSION) - 1 } };
    struct hsr_hello hello;
    uint8_t *out;
    int rc;

    hsr_require(frame->kind == HSR_FRAME_HELLO, HSR_E_PROTOCOL);
    rc = hsr_hello_decode(payload, &hello);
    if (rc < 0)
        return rc;
    hsr_require(hello.magic == HSR_PROTO_MAGIC, HSR_E_PROTOCOL);
    hsr_require(hello.version_min <= HSR_PROTO_VERSION && hello.version_max >= 1, HSR_E_VERSION);
    ack.version = (uint16_t)HSR_MIN(hello.version_max, HSR_PROTO_VERSION);
    ack.features = hello.features & HSR_FEATURES_OURS;
    if (!conn->shard->engine->config.bench)
        ack.features &= ~HSR_FEATURE_BENCH;
    hsr_require(ack.features & HSR_FEATURE_XXH3, HSR_E_VERSION); /* version 1 cannot do without */
    conn->features = ack.features;
    conn->silence_ms = hello.silence_ms;
    out = hsr_conn_begin(conn, 256);
    hsr_assert(out != NULL); /* nothing was queued before */
    rc = hsr_hello_ack_encode(&ack, out, 256);
    hsr_assert(rc > 0);
    hsr_conn_commit(conn, (struct hsr_frame){ .kind = HSR_FRAME_HELLO_ACK }, (size_t)rc);
    conn->state = HSR_CONN_CHOOSING;
    hsr_conn_timer_start(conn);
    return 0;
}

static int choosing_frame(struct hsr_conn *conn, const struct hsr_frame *frame,
                          struct hsr_span payload)
{
    switch (frame->kind) {
    case HSR_FRAME_OPEN:
        return choosing_open(conn, payload);
    case HSR_FRAME_BENCH:
        return choosing_bench(conn, payload);
    case HSR_FRAME_JOIN:
        return choosing_join(conn, payload);
    case HSR_FRAME_LIST:
        return choosing_list(conn, payload);
    default:
        return HSR_E_PROTOCOL;
    }
}

static int choosing_open(struct hsr_conn *conn, struct hsr_span payload)
{
    struct hsr_engine *engine = conn->shard->engine;
    struct hsr_open open;
    int rc = hsr_open_decode(payload, &open);

    if (rc < 0)
        return rc;
    if (conn->shard->stopping || atomic_load(&engine->draining)) {
        rc = HSR_E_SHUTDOWN;
    } else {
        rc = hsr_takeover_begin(conn, &open);
        if (rc > 0)
            return HSR_CONN_WAIT;
        if (rc == 0)
            rc = hsr_session_open(conn, &open);
        hsr_takeover_end(conn);
    }
    if (rc < 0)
        hsr_conn_fail(conn, rc, hsr_err_text(rc));
    else
        hsr_conn_timer_start(conn); /* from the handshake's deadline to a session's rules */
    return 0;
}

static int choosing_bench(struct hsr_conn *conn, struct hsr_span payload)
{
    struct hsr_engine *engine = conn->shard->engine;
    struct hsr_bench_ask ask;
    int rc = hsr_bench_ask_decode(payload, &ask);

    if (rc < 0)
        return rc;
    if (conn->shard->stopping || atomic_load(&engine->draining))
        rc = HSR_E_SHUTDOWN;
    else
        rc = hsr_bench_open(conn, &ask);
    if (rc < 0)
        hsr_conn_fail(conn, rc, hsr_err_text(rc));
    else
        hsr_conn_timer_start(conn);
    return 0;
}

static int choosing_list(struct hsr_conn *conn, struct hsr_span payload)
{
    struct hsr_list_request request;
    bool first = conn->state == HSR_CONN_CHOOSING;
    int rc = hsr_list_request_decode(payload, &request);

    if (rc < 0)
        return rc;
    if (conn->shard->stopping || atomic_load(&conn->shard->engine->draining))
        rc = HSR_E_SHUTDOWN;
    else
        rc = hsr_listing_start(conn, &request);
    if (rc < 0)
        hsr_conn_fail(conn, rc, hsr_err_text(rc));
    else if (first)
        hsr_conn_timer_start(conn);
    return 0;
}

static int choosing_join(struct hsr_conn *conn, struct hsr_span payload)
{
    int rc = hsr_join_decode(payload, &conn->join);

    if (rc < 0)
        return rc;
    hsr_require(conn->join.token[HSR_TOKEN_SIZE - 1] < conn->shard->engine->shard_count,
                HSR_E_PROTOCOL);
    conn->state = HSR_CONN_JOINING;
    conn->in_paused = true; /* hsr_handshake_join() goes on when nothing is in flight */
    return 0;
}

void hsr_handshake_join(struct hsr_conn *conn)
{
    struct hsr_engine *engine = conn->shard->engine;

    hsr_assert(conn->state == HSR_CONN_JOINING);
    hsr_assert(!hsr_link_receiving(&conn->link));
    if (conn->rc < 0 || conn->close_flushed)
        return; /* it is being closed */
    if (hsr_link_sending(&conn->link) || conn->out_size > 0)
        return; /* HELLO_ACK is on its way; the connection's task comes back */
    if (conn->in_start != conn->in_end) { /* the client must wait for JOIN_ACK */
        hsr_conn_fail(conn, HSR_E_PROTOCOL, "bytes after JOIN");
        return;
    }
    if (conn->shard->stopping) {
        hsr_conn_fail(conn, HSR_E_SHUTDOWN, hsr_err_text(HSR_E_SHUTDOWN));
        return;
    }
    conn->join_shard = conn->shard;
    conn->join_cpu = hsr_link_cpu(&conn->link);
    conn->join_rc = 0;
    atomic_fetch_add(&engine->joining, 1);
    hsr_conn_detach(conn);
    join_send(conn, &engine->shards[conn->join.token[HSR_TOKEN_SIZE - 1]], join_at_home);
}

static void join_send(struct hsr_conn *conn, struct hsr_shard *to,
                      void (*deliver)(struct hsr_msg *msg))
{
    conn->join_msg.deliver = deliver;
    hsr_loop_send(&to->loop, &conn->join_msg);
}

/* On the home's thread, which knows the session. */
static void join_at_home(struct hsr_msg *msg)
{
    struct hsr_conn *conn = hsr_container_of(msg, struct hsr_conn, join_msg);
    struct hsr_engine *engine = conn->join_shard->engine;
    struct hsr_shard *home = &engine->shards[conn->join.token[HSR_TOKEN_SIZE - 1]];
    struct hsr_session *session = hsr_session_find(home, conn->join.token);
    struct hsr_stream *stream = NULL;

    conn->join_rc = session == NULL ? HSR_E_PROTOCOL
                                    : hsr_session_admit(session, conn->join.stream, conn->join_cpu,
                                                        &conn->join_shard, &stream);
    conn->stream = conn->join_rc == 0 ? stream : NULL;
    /* After a refusal join_shard is still where the connection came from. */
    join_send(conn, conn->join_shard, join_arrived);
}

static const char *join_words(int rc)
{
    switch (rc) {
    case HSR_E_PROTOCOL:
        return "JOIN: no such session or stream";
    case HSR_E_CLOSED:
        return "JOIN: the session has ended";
    case HSR_E_BUSY:
        return "JOIN: the connection before this one is not settled";
    default:
        return hsr_err_text(rc);
    }
}

/* On the stream's thread, or back where it was accepted. A close of the stream that the home sends
 * later comes after this message. */
static void join_arrived(struct hsr_msg *msg)
{
    struct hsr_conn *conn = hsr_container_of(msg, struct hsr_conn, join_msg);
    struct hsr_shard *shard = conn->join_shard;
    struct hsr_engine *engine = shard->engine;

    atomic_store(&shard->quiet, false); /* before `joining` goes down: see engine_quiet() */
    hsr_conn_attach(conn, shard);
    conn->join_shard = NULL;
    if (conn->join_rc == 0) {
        conn->state = HSR_CONN_STREAM;
        hsr_stream_adopt(conn->stream, conn);
    } else {
        conn->state = HSR_CONN_CHOOSING;
        hsr_conn_fail(conn, conn->join_rc, join_words(conn->join_rc));
    }
    atomic_fetch_sub(&engine->joining, 1);
}
