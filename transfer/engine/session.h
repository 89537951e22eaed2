/* A session: one transfer. Its home shard holds the control connection and one of two machines, the
 * source (transfer/engine/source.h) or the target (target.h); its streams may live on other shards
 * and meet the home only through messages.
 *
 *   OPENING (client: until OPEN_ACK) -> MOVING -> CLOSING -> (freed)
 *
 * Whoever ends it, every stream is closed and has given back what it borrowed before the session is
 * freed. */
#ifndef HSR_ENGINE_SESSION_H
#define HSR_ENGINE_SESSION_H

#include "transfer/engine/conn.h"
#include "transfer/engine/crew.h"
#include "transfer/engine/hold.h"
#include "transfer/engine/limit.h"
#include "transfer/engine/loss.h"
#include "transfer/engine/measure.h"
#include "transfer/engine/shard.h"
#include "transfer/engine/stall.h"
#include "transfer/net/zerocopy.h"
#include "transfer/proto/message.h"
#include "transfer/tree/fileio.h"
#include "transfer/tree/filter.h"

#define HSR_PAGES_MAX 32u /* pages in flight: at most 16,384 entries ahead; 6 MiB each side */
#define HSR_FILES_MAX 32u /* large files in transit at once */
/* Signatures that a source has at once, for each file that may be in transit: those of the files
 * that come next are there before they can be begun, over a long round trip too (PROTOCOL 8). */
#define HSR_SIGS_PER_FILE 8u
#define HSR_SIGS_MAX (HSR_SIGS_PER_FILE * HSR_FILES_MAX)
/* Files written directly at once: each has a block of memory for its end. A source has at most
 * HSR_FILES_MAX in transit, and some more of its files are being synced. */
#define HSR_FILES_DIRECT_MAX (2 * HSR_FILES_MAX)
#define HSR_PACK_FILE_MAX (64u * 1024) /* larger files travel alone */

struct hsr_bench;
struct hsr_readers;
struct hsr_source;
struct hsr_sums;
struct hsr_target;
struct hsr_stream;

enum hsr_session_state {
    HSR_SESSION_OPENING,
    HSR_SESSION_MOVING,
    HSR_SESSION_CLOSING,
    HSR_SESSION_STATE_COUNT
};

/* Counters that streams on other shards add to (relaxed; read by the home for progress). */
struct hsr_session_counts {
    atomic_ullong bytes; /* of content: sent by a source, verified by a target */
    atomic_ullong sent; /* on the wire, streams only */
    atomic_ullong received;
    atomic_ullong disk[HSR_FILEIO_WAY_COUNT]; /* of large files: read or written, by its way */
    atomic_ullong zc_sent, zc_copied; /* by zero-copy sends; of that, copied all the same */
    atomic_ullong zc_downgrades; /* connections that stopped zero-copy sends */
};

struct hsr_session {
    struct hsr_list node; /* shard->sessions */
    struct hsr_shard *home;
    struct hsr_engine *engine;
    struct hsr_task task; /* steps the machine */
    struct hsr_timer tick; /* progress, 10 a second */
    bool ticked;
    uint64_t id; /* unique in this process; for events */
    uint8_t state;
    uint8_t role; /* ours: enum hsr_role */
    bool client;
    bool closed_said;
    int rc; /* first error that ends the session */
    char why[HSR_ERROR_TEXT_SIZE];
    struct hsr_conn *control; /* NULL once it is closed */
    uint8_t job[HSR_JOB_SIZE]; /* zeros: none */
    uint32_t attempt; /* at it */
    uint8_t token[HSR_TOKEN_SIZE]; /* last byte: the home shard's index */
    char peer[64];
    char export_name[HSR_NAME_MAX + 1];
    char *path; /* below the export; owned */
    /* what is in force */
    uint64_t features; /* HSR_FEATURE_x */
    uint32_t options;
    uint8_t durability;
    uint8_t block_log; /* DELTA: blocks of 2^this bytes are wished; 0: the target chooses */
    uint8_t digest; /* enum hsr_digest_kind */
    uint32_t digest_size; /* bytes, on the wire */
    uint32_t streams_count, depth, chunk, leaf, files_max;
    size_t tally_budget; /* bytes that digests of files may still take beside their first ones */
    uint64_t bwlimit, delete_max;
    char congestion[HSR_CONGESTION_SIZE]; /* wished for: net/tune.h */
    _Atomic uint64_t
        send_due_ns; /* --bwlimit: when the next byte may leave; all streams share it */
    struct hsr_filter *filter; /* NULL: none */
    uint8_t io; /* enum hsr_io: ours, the peer has its own */
    uint8_t zero_copy; /* enum hsr_zc_mode: of what we send */
    bool call_io; /* tmpfs: file data by plain calls, which are faster there than io-wq */
    int root_fd; /* source: where paths start (server); target: where they go */
    bool root_owned; /* close it at the end */
    struct hsr_stream *streams[HSR_STREAMS_MAX]; /* NULL: not joined, or gone */
    uint32_t streams_open; /* made and not yet given back */
    uint32_t streams_joined; /* were ready once; one that is joined again counts again */
    struct hsr_losses losses; /* of data connections */
    struct hsr_hold hold;
    atomic_bool ended; /* streams look: what is left need not be finished */
    struct hsr_source *source; /* one of these three */
    struct hsr_target *target;
    struct hsr_crew crew; /* of source and target */
    struct hsr_sums *sums; /* or digests alone */
    struct hsr_readers *readers; /* who compute digests, once the first is needed; or NULL */
    struct hsr_bench *bench;
    struct hsr_measure *measure; /* NULL: not measured */
    struct hsr_session_counts counts;
    struct hsr_limit limit;
    struct hsr_stall stall; /* client */
    struct hsr_progress progress;
    struct hsr_totals totals; /* source: from DONE; target: its own */
    uint8_t done_durability;
    uint64_t started_ns;
    uint64_t failed; /* paths that failed, as far as this side knows */
    /* client only */
    struct hsr_job_spec spec;
    uint32_t path_sent; /* of spec.paths */
    bool phantom_root; /* a dry run into a directory that does not exist */
    bool single_name; /* SINGLE_FILE: the top entry is renamed */
    char top_name[HSR_NAME_MAX + 1];
};

/* ---- server: from the handshake ---- */

/** OPEN came on @conn (state CHOOSING). Checks, authorizes, creates the session and queues
 * OPEN_ACK.
 * @return 0, or the code to reject with (nothing was queued) */
int hsr_session_open(struct hsr_conn *conn, const struct hsr_open *open);

/** Find a session of this shard by its token; NULL: none. */
struct hsr_session *hsr_session_find(struct hsr_shard *shard, const uint8_t token[HSR_TOKEN_SIZE]);

/** A connection wants to be stream @index of @session: 0 and *ret_shard where it will live; or
 * HSR_E_PROTOCOL (taken, out of range), HSR_E_CLOSED (the session has ended), HSR_E_BUSY (a loss
 * is not settled). Reserves the place. Home thread.
 * @param cpu  where its packets arrive, or -1: that CPU's shard is taken while the session's
 * streams stay evenly spread */
int hsr_session_admit(struct hsr_session *session, uint32_t index, int cpu,
                      struct hsr_shard **ret_shard, struct hsr_stream **ret_stream);

/* ---- client ---- */

/** Start the client's session on @shard (its home). */
int hsr_session_run(struct hsr_shard *shard, const struct hsr_job_spec *spec);

/* ---- both ---- */

/** End the session because of @rc (first wins); 0 ends it in peace. Home thread. */
void hsr_session_end(struct hsr_session *session, int rc, const char *why);

/** Wake the machine. Home thread. */
void hsr_session_wake(struct hsr_session *session);

/** Tell a person about one path: an event here, and a NOTE to the peer when the peer is the client.
 * FAILED counts as a failure. */
void hsr_session_note(struct hsr_session *session, enum hsr_note_event event, int code,
                      const char *op, const char *path, uint64_t size);

/** A stream is connected and joined / has closed and holds nothing any more. Home thread. */
void hsr_session_stream_ready(struct hsr_session *session, struct hsr_stream *stream);
void hsr_session_stream_gone(struct hsr_session *session, struct hsr_stream *stream, int rc);

/** When may @size bytes leave under --bwlimit? Takes the place in the queue; any shard. Time in ns;
 * not later than @now_ns: at once. */
uint64_t hsr_session_pace(struct hsr_session *session, uint64_t now_ns, uint64_t size);

/** What decides how a large file is read or written here. */
struct hsr_fileio_wish hsr_session_fileio(const struct hsr_session *session);

/** Count what an operation on a large file moved. Any shard. */
void hsr_session_moved(struct hsr_session *session, const struct hsr_op *op, int64_t res);

/** Progress counters as they are now. Home thread. */
const struct hsr_progress *hsr_session_progress(struct hsr_session *session);

#endif
