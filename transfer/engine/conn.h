/* A connection that speaks frames: the handshake, and the control traffic of a session. Once it has
 * joined a session as a stream, transfer/engine/stream.h takes over its link.
 *
 *   GREETING -> CHOOSING -> SESSION | STREAM | LISTING -> CLOSING -> (freed)
 *   client: CONNECTING -> GREETING -> WAITING -> SESSION | STREAM | LISTING -> CLOSING
 *
 * Input is parsed in place from one buffer. Output is collected in one buffer while the other is
 * being sent, so frames leave in batches and nothing is allocated per frame. Both are bounded: who
 * finds no room waits until `writable` is called. */
#ifndef HSR_ENGINE_CONN_H
#define HSR_ENGINE_CONN_H

#include "transfer/engine/pulse.h"
#include "transfer/engine/shard.h"
#include "transfer/net/link.h"
#include "transfer/proto/frame.h"
#include "transfer/proto/message.h"

#define HSR_CONN_BUFFER_SIZE (2u * (HSR_CONTROL_PAYLOAD_MAX + HSR_FRAME_HEADER_SIZE))
#define HSR_CONN_WHY_SIZE 192u
#define HSR_CONN_WAIT 1 /* a frame handler cannot take the frame now; hsr_conn_resume() retries */

enum hsr_conn_state {
    HSR_CONN_CONNECTING,
    HSR_CONN_GREETING,
    HSR_CONN_CHOOSING, /* server: greeted, waits for OPEN, JOIN or LIST */
    HSR_CONN_WAITING, /* client: OPEN, JOIN or LIST was sent */
    HSR_CONN_SESSION,
    HSR_CONN_JOINING, /* server: on its way to the session's home, and to its stream's shard */
    HSR_CONN_STREAM,
    HSR_CONN_LISTING,
    HSR_CONN_CLOSING,
    HSR_CONN_STATE_COUNT
};

struct hsr_conn {
    struct hsr_list node; /* shard->conns */
    struct hsr_shard *shard;
    struct hsr_link link;
    struct hsr_task task; /* parses input, sends output, closes */
    struct hsr_timer timer; /* handshake deadline, then the pulse */
    uint8_t state;
    bool server;
    bool in_waits; /* a handler said HSR_CONN_WAIT */
    bool in_paused; /* do not parse: the link is being handed over */
    bool out_ended; /* the peer takes nothing any more; what it said may still be on its way */
    bool in_ended; /* nothing more will come; `end_rc` says why */
    bool in_stopped; /* no further receive: the stream machine reads now */
    bool close_flushed; /* close once everything queued has been sent */
    bool lingers; /* server: it was; what comes is thrown away until the client closes */
    bool said; /* the reason was reported already */
    bool timed_out;
    int rc; /* first error */
    int end_rc;
    int send_rc; /* with out_ended: why */
    uint32_t seq_in, seq_out;
    uint64_t features; /* in force; server */
    uint8_t *in; /* HSR_CONN_BUFFER_SIZE */
    size_t in_start, in_end;
    uint8_t *out[2]; /* [fill] is filled while the other is sent */
    unsigned fill;
    size_t out_size;
    uint32_t silence_ms; /* that the peer bears; 0: it did not say */
    struct hsr_pulse pulse; /* SESSION, STREAM of files, LISTING */
    char why[HSR_CONN_WHY_SIZE]; /* words about `rc`, where there are better ones; else "" */
    struct iovec iov;
    struct sockaddr_storage address;
    socklen_t address_size;
    char peer[64]; /* "addr:port" */
    struct hsr_session *session; /* SESSION: whose control connection it is */
    struct hsr_stream *stream; /* STREAM, and while a client joins */
    struct hsr_listing *listing; /* LISTING at a server */
    /* JOINING */
    struct hsr_msg join_msg;
    struct hsr_join join;
    int join_cpu; /* where its packets arrive, or -1 */
    struct hsr_shard *join_shard; /* where it came from, then where it goes */
    int join_rc;
    struct hsr_takeover *takeover; /* OPEN waits for an older session of its job to end */
    /* what a session hears */
    int (*on_frame)(struct hsr_conn *conn, const struct hsr_frame *frame, struct hsr_span payload);
    void (*on_writable)(struct hsr_conn *conn);
    void (*on_closed)(struct hsr_conn *conn); /* the last call; the connection is freed after it */
};

/** A server's connection on an accepted socket (owned). NULL when there is no memory: the socket is
 * closed. */
struct hsr_conn *hsr_conn_accept(struct hsr_shard *shard, int fd, const struct sockaddr *address,
                                 socklen_t address_size);

/** A client's connection: connects, says HELLO; `on_frame` gets HELLO_ACK and what follows. */
struct hsr_conn *hsr_conn_connect(struct hsr_shard *shard, const struct sockaddr *address,
                                  socklen_t address_size, uint64_t deadline_ns);

/** Room for a frame with up to @payload_max bytes, or NULL: wait for on_writable. The pointer is
 * valid until the commit, which must be the next call on this connection's output. */
uint8_t *hsr_conn_begin(struct hsr_conn *conn, size_t payload_max);

/** Queue the frame whose payload was written where hsr_conn_begin() said. */
void hsr_conn_commit(struct hsr_conn *conn, struct hsr_frame frame, size_t payload_size);

/** A frame without payload; false: no room. */
bool hsr_conn_put(struct hsr_conn *conn, uint16_t kind);

/** Try again the frame that a handler could not take. */
void hsr_conn_resume(struct hsr_conn *conn);

/** End it because of @code: server connections before a session send REJECT, sessions CANCEL, both
 * best effort with @text; reported once as a REFUSED event. */
void hsr_conn_fail(struct hsr_conn *conn, int code, const char *text);

/** Close after everything queued has been sent. */
void hsr_conn_finish(struct hsr_conn *conn);

/** Close now. */
void hsr_conn_close(struct hsr_conn *conn);

/** Hand the connection to another shard; its link is idle, its input paused. The receiving side
 * calls hsr_conn_attach() from the message. */
void hsr_conn_detach(struct hsr_conn *conn);
void hsr_conn_attach(struct hsr_conn *conn, struct hsr_shard *shard);

/** Frames that are not a session's: the handshake of a server (handshake.c). */
int hsr_handshake_frame(struct hsr_conn *conn, const struct hsr_frame *frame,
                        struct hsr_span payload);

/** Go on with a JOIN when nothing is in flight; the last thing that touches @conn on its thread. */
void hsr_handshake_join(struct hsr_conn *conn);

/** "addr:port" of @address. */
void hsr_peer_text(const struct sockaddr_storage *address, char *buf, size_t size);

/** What the peer is asked to bear of our silence, and we of its: milliseconds, for HELLO. */
uint32_t hsr_conn_silence_ms(const struct hsr_conn *conn);

/** BEAT or REST came. 0 or HSR_E_PROTOCOL. */
int hsr_conn_beat(struct hsr_conn *conn, const struct hsr_frame *frame);

/** What is quiet, since when: "no byte comes for 4.0 s, waiting for HOST:PORT (stream 3)".
 * @stream: its number; UINT32_MAX: the control connection. @there: it is our bytes that do not
 * arrive. */
void hsr_conn_quiet_words(const char *peer, uint32_t stream, uint64_t quiet_ns, bool there,
                          char *buf, size_t size);

/** Arm the timer for @state's rules: handshake deadline, or the pulse. */
void hsr_conn_timer_start(struct hsr_conn *conn);

#endif
