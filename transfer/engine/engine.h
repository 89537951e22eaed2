/* The engine: shards with their loops and buffers, and the sessions that run on them. The server
 * and libhawser both stand on it; it does not own the process: no signals, no stdout, no exit, no
 * environment. Callbacks run on shard threads and must not block for long.
 *
 * A session has a home shard on each side: there live the control connection, the walk, the
 * manifest pages and every decision. Data connections ("streams") are spread over the shards; they
 * borrow work from the home by messages and give it back. */
#ifndef HSR_ENGINE_ENGINE_H
#define HSR_ENGINE_ENGINE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/base.h"
#include "numa/numa.h"
#include "ring/backend.h"
#include "transfer/engine/verdict.h"
#include "transfer/net/tune.h"
#include "transfer/proto/bench.h"
#include "transfer/proto/message.h"
#include "transfer/tree/fileio.h"
#include "transfer/tree/journal_format.h"
#include "transfer/tree/walk.h"

/* ---- the plan: every byte, by consumer ---- */

struct hsr_plan_request {
    unsigned shards; /* 0: from the placement */
    uint64_t memory; /* bytes for everything below; 0: default */
    uint32_t chunk; /* largest chunk, bytes; 0: default */
    uint32_t depth; /* chunks per stream; 0: default */
    uint32_t streams; /* streams of one session; 0: default */
    uint32_t sessions; /* sessions at once (server; a client has 1); 0: default */
    bool server;
    bool measured; /* sessions may be: a server that allows benchmarks, a client that runs them */
};

struct hsr_plan {
    unsigned shards;
    uint32_t chunk, depth, streams, sessions;
    uint32_t buffers; /* per shard */
    uint64_t buffer_bytes; /* per shard: buffers with their heads */
    uint64_t session_bytes; /* one session: pages, records, control buffers */
    uint64_t connection_bytes; /* one connection */
    uint32_t connections; /* per shard */
    uint64_t loop_bytes; /* per shard: ring, timers */
    uint64_t links_bytes; /* hard-link table and name sets, per session */
    uint64_t delta_bytes; /* signatures, their indexes and what else deltas need; all sessions */
    uint64_t total; /* what the whole comes to; at most `memory` */
    uint64_t memory;
    uint32_t staged; /* small files without a name at once, of all sessions: descriptors */
    bool register_buffers; /* lower when the memory lock limit is small */
};

#define HSR_DEFAULT_PORT 7440
#define HSR_SESSIONS_MAX 1024u /* of a server at once: each has a timer on its home */

/** Add it up. HSR_E_PLAN (with words in @why) when @memory cannot hold two chunks per stream. */
int hsr_plan_make(const struct hsr_plan_request *request, const struct hsr_placement *placement,
                  struct hsr_plan *ret_plan, char *why, size_t why_size);

/** One line per consumer into @line, which is called with text without newline. */
void hsr_plan_print(const struct hsr_plan *plan, const struct hsr_placement *placement,
                    void (*line)(void *context, const char *text), void *context);

/* ---- events ---- */

enum hsr_event_kind {
    HSR_EVENT_ACCEPTED, /* server: a connection; peer */
    HSR_EVENT_REFUSED, /* server: a connection closed before or for breaking the rules; peer, code,
                          text */
    HSR_EVENT_OPENED, /* a session began; peer, export, path, role */
    HSR_EVENT_PROGRESS, /* client: counters moved (at most 10 a second) */
    HSR_EVENT_STALL, /* client: nothing comes, or arrives: text, and for how many ns: size. "": that
                        is over, after so many */
    HSR_EVENT_NOTE, /* something about one path: note, code, path, text */
    HSR_EVENT_CLOSED, /* a session ended; code, totals, text */
    HSR_EVENT_ENTRY, /* client, LIST: one entry */
    HSR_EVENT_HOLD, /* client: it is held up, goes on, or ends early: hold */
    HSR_EVENT_DIGEST, /* client, digests alone: path, size, digest */
    HSR_EVENT_SHARD, /* a shard ends: shard, shard_stats */
    HSR_EVENT_COUNT
};

enum hsr_hold_state { HSR_HOLD_GOING, HSR_HOLD_HELD, HSR_HOLD_STOPPING, HSR_HOLD_STATE_COUNT };

#define HSR_DELTA_WHY_SIZE 64u
#define HSR_STALL_SIZE 160u /* words about a stall */

/* What deltas did, as far as this side knows. */
struct hsr_delta_figures {
    uint64_t literal; /* bytes of content of such files that travelled */
    uint64_t copied; /* bytes of content that came from the old version, zeros included */
    uint64_t signature; /* bytes of block sums */
    uint64_t files; /* that were sent against an old version */
    uint64_t fallbacks; /* wanted by delta, and then whole after all */
    bool on; /* the target may ask for deltas */
    char why[HSR_DELTA_WHY_SIZE]; /* client: what decided it */
};

struct hsr_progress {
    uint64_t entries_seen; /* by the walk */
    uint64_t files_seen;
    uint64_t bytes_seen; /* of regular files */
    bool walk_done; /* then the three above are final */
    bool held; /* client: its user holds it up */
    uint64_t files_done; /* settled entries that carried content */
    uint64_t entries_done; /* settled entries of any kind */
    uint64_t
        entries_kept; /* source: of the pages that were answered, not wanted: as they should be */
    uint64_t bytes_done; /* content bytes sent (source) or verified (target) */
    uint64_t wire_sent; /* bytes on all connections of the session */
    uint64_t wire_received;
    uint64_t disk[HSR_FILEIO_WAY_COUNT]; /* bytes of large files read or written here */
    uint64_t zc_sent; /* of wire_sent: by zero-copy sends; as connections end */
    uint64_t zc_copied; /* of zc_sent: copied by the kernel all the same */
    uint64_t zc_downgrades; /* connections that stopped zero-copy sends */
    uint64_t elapsed_ns;
    uint64_t streams_lost; /* data connections that others took over from */
    uint64_t stall_ns; /* client: how long nothing has come, or arrived; 0: it moves */
    char stall[HSR_STALL_SIZE]; /* and where that is; else "" */
    struct hsr_delta_figures delta;
    uint64_t resumed_files; /* of which a part was there from an earlier session */
    uint64_t resumed_bytes; /* of these parts */
    uint64_t left_files; /* at the end: not complete, of which a part is kept for a later session */
    uint64_t left_bytes; /* of these parts */
    char congestion[HSR_CONGESTION_SIZE]; /* of the side that sends the data; "": not known */
    struct hsr_ahead ahead; /* of the target, where it is known */
    struct hsr_levels levels; /* how many files are how safe, as far as this side knows */
    /* what limits it: PROGRESS about the last quarter of a second or so, CLOSED about all */
    struct hsr_verdict verdict;
};

/* A benchmark, when it is over. */
struct hsr_bench_report {
    struct hsr_bench_ask ask; /* what was in force */
    struct hsr_bench_result ours;
    struct hsr_bench_result theirs; /* client: the server's */
};

struct hsr_measures;

struct hsr_event {
    enum hsr_event_kind kind;
    uint64_t session; /* number, unique in this process */
    const char *peer; /* "addr:port" */
    const char *export_name;
    const char *path; /* raw bytes, NUL-ended */
    const char *text;
    uint8_t role; /* ours: enum hsr_role */
    int code;
    enum hsr_note_event note;
    uint64_t size;
    const struct hsr_progress *progress; /* PROGRESS, CLOSED */
    const struct hsr_totals *totals; /* CLOSED */
    uint8_t durability; /* CLOSED */
    enum hsr_hold_state hold; /* HOLD */
    const struct hsr_entry *entry; /* ENTRY */
    const uint8_t *digest; /* DIGEST */
    bool bench; /* OPENED, CLOSED: of a benchmark */
    const struct hsr_bench_report *report; /* CLOSED in peace, of a benchmark; else NULL */
    const struct hsr_measures *measures; /* CLOSED, of a measured session; else NULL */
    unsigned shard; /* SHARD */
    const struct hsr_loop_stats *shard_stats; /* SHARD */
};

/* ---- the engine ---- */

/** What a server lets one client do with one export. Called on a shard's thread.
 * @param ret_root_fd    directory descriptor, borrowed by the session (stays open as long as the
 *                       engine lives)
 * @return 0, HSR_E_EXPORT, HSR_E_READONLY (asked to write), HSR_E_DENIED, HSR_E_BUSY */
typedef int hsr_authorize(void *context, const struct sockaddr *peer, struct hsr_span export_name,
                          bool write, int *ret_root_fd);

struct hsr_engine_config {
    struct hsr_plan plan;
    struct hsr_placement placement;
    bool server;
    bool pin; /* pin shard threads to their cores */
    uint8_t io; /* server: enum hsr_io */
    uint8_t zero_copy; /* server: enum hsr_zc_mode */
    uint32_t spin_ns; /* see hsr_uring_options */
    uint64_t handshake_ns; /* deadline from accept to OPEN or JOIN; 0: 10 s */
    uint64_t idle_ns; /* silence of a peer that ends a session; 0: 30 s */
    /* names this run of the machine (/proc/sys/kernel/random/boot_id); zeros: not known */
    uint8_t boot[HSR_JOURNAL_ID_SIZE];
    uint32_t connections_per_peer; /* server: 0: default 256 */
    char congestion[HSR_CONGESTION_SIZE]; /* server: of data sockets, where a client has no wish */
    hsr_authorize *authorize; /* server */
    bool bench; /* server: benchmarks are allowed */
    int trace_fd; /* where the newest spans of all loops are written at the end; 0: nowhere */
    void (*event)(void *context, const struct hsr_event *event);
    void *context;
    /* for tests: where rings come from, and no threads (the caller turns the loops) */
    int (*backend_create)(void *context, unsigned shard, struct hsr_backend **ret_backend);
    bool no_threads;
};

struct hsr_engine;

/** Make loops and buffers, start the shard threads. @why gets words on failure.
 * @return 0, HSR_E_NO_IO_URING, HSR_E_MEMLOCK, -errno */
int hsr_engine_create(const struct hsr_engine_config *config, struct hsr_engine **ret_engine,
                      char *why, size_t why_size);

/** Server: accept on @fd (listening, borrowed until destroy). Any thread, after create.
 * @param nodes  bit n: only shards on node n accept; 0, or nodes without shards: all do */
int hsr_engine_listen(struct hsr_engine *engine, int fd, uint64_t nodes);

/** Server: no new session; who asks is told SHUTDOWN. Running ones go on and may join data
 * connections; engine->event CLOSED tells when each ends. */
void hsr_engine_drain(struct hsr_engine *engine);

/** Sessions running now. Any thread. */
unsigned hsr_engine_sessions(const struct hsr_engine *engine);

/** Cancel every session, stop and join the threads, free everything. Accepts NULL. */
void hsr_engine_destroy(struct hsr_engine *engine);

/** What the buffers of all shards are made of: the least of them. */
enum hsr_pages hsr_engine_pages(const struct hsr_engine *engine);

/** Loop of one shard (tests turn it by hand). */
struct hsr_loop *hsr_engine_loop(struct hsr_engine *engine, unsigned shard);

/* ---- a client's session ---- */

enum hsr_delta_mode { HSR_DELTA_AUTO, HSR_DELTA_ON, HSR_DELTA_OFF, HSR_DELTA_MODE_COUNT };

struct hsr_job_spec {
    uint8_t job[HSR_JOB_SIZE]; /* the same for every attempt at one job; zeros: none */
    uint32_t attempt; /* at it; each has a higher one than those before */
    struct sockaddr_storage address;
    socklen_t address_size;
    uint8_t role; /* SOURCE: push; TARGET: pull */
    bool list; /* LIST instead of a transfer; export_name, path, list_self */
    bool list_self;
    /* Digests of files, each an event, and nothing else: of `tops` here, without any connection
     * (SOURCE, no address), or of a pull that keeps nothing (TARGET, with DRY_RUN). */
    bool summing;
    bool benching; /* neither: a benchmark, `bench`, without export and path */
    struct hsr_bench_ask bench; /* its role is `role` */
    const char *export_name;
    const char *path; /* below the export */
    uint32_t options; /* HSR_OPT_x */
    uint8_t digest;
    uint8_t durability;
    uint8_t io; /* enum hsr_io */
    uint8_t zero_copy; /* enum hsr_zc_mode */
    uint32_t streams, depth, chunk; /* 0: the plan's */
    uint8_t delta; /* enum hsr_delta_mode; HSR_OPT_DELTA of `options` follows from it */
    uint8_t block_log; /* --delta-block; 0: the target chooses */
    uint64_t nic_rate; /* bytes per second of the NICs to the server; 0: not known */
    uint64_t bwlimit; /* bytes per second; 0: none */
    uint64_t delete_max; /* UINT64_MAX: no limit */
    struct hsr_span rules; /* encoded filter */
    uint64_t connect_ns; /* deadline for connecting; 0: 10 s */
    char congestion[HSR_CONGESTION_SIZE]; /* of the data sockets, ours and theirs (net/tune.h) */
    /* push */
    const struct hsr_walk_top *tops; /* borrowed until the session is closed */
    unsigned top_count;
    /* pull */
    const struct hsr_span *paths; /* what to fetch, relative to `path`: "" all of its contents */
    uint32_t path_count; /* borrowed until closed */
    int target_fd; /* where it goes: directory descriptor, borrowed */
    const char *top_name; /* SINGLE_FILE pull to a new name; NULL: as it is called */
};

/** Start; the session's CLOSED event ends it. One at a time per client engine. Any thread. */
int hsr_engine_run(struct hsr_engine *engine, const struct hsr_job_spec *spec);

enum hsr_control {
    HSR_CONTROL_HOLD, /* begin nothing new: this session, and those that follow */
    HSR_CONTROL_GO, /* go on */
    HSR_CONTROL_STOP /* end early in good order (hold.h); what cannot, at once */
};

/** Client: hold its sessions up, let them go on, or end the one that runs, else the next one
 * (HSR_E_CANCELED). Any thread; async-signal-safe. */
void hsr_engine_control(struct hsr_engine *engine, enum hsr_control control);

/** Ask the client's session to end at once (HSR_E_CANCELED). Any thread. */
void hsr_engine_cancel(struct hsr_engine *engine);

/** Async-signal-safe part of hsr_engine_cancel: sets a flag and wakes shard 0. */
void hsr_engine_cancel_async(struct hsr_engine *engine);

#endif
