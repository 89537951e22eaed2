/* Hawser: bulk transfer between machines. Trees are moved as replicas, every byte is compared,
 * names appear whole or not at all. See libhawser(3).
 *
 * Every function that can fail returns 0 or a negative code: -errno, or one of enum hawser_error.
 * The library prints nothing, takes no signals, changes neither umask nor working directory, and
 * does not end the process for a mistake of its caller: it returns HAWSER_E_USAGE. Functions of one
 * client may be called by one thread at a time, hawser_cancel(), hawser_pause() and hawser_resume()
 * excepted; different clients are independent. Today's transfer functions block until the transfer
 * is over.
 *
 * Structures that the caller fills start with `size`: set it to sizeof the structure (HAWSER_INIT
 * does, and zeroes the rest). Zero always means the default. */
#ifndef HAWSER_HAWSER_H
#define HAWSER_HAWSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HAWSER_API __attribute__((visibility("default")))
#else
#define HAWSER_API
#endif

/** Initial value of a structure with a `size` field: hawser_push_opts o = HAWSER_INIT(o); */
#define HAWSER_INIT(object)                                                                        \
    {                                                                                              \
        .size = sizeof(object)                                                                     \
    }

#define HAWSER_VERSION "0.1.0"
#define HAWSER_PORT 7440 /* where hawserd listens unless told otherwise */
#define HAWSER_HOST_MAX 255 /* bytes of a host name */
#define HAWSER_NAME_MAX 255 /* bytes of one name, and of an export's name */
#define HAWSER_PATH_MAX 32768 /* bytes of a whole path in a URL */

/* ---- errors ---- */

enum hawser_error {
    HAWSER_E_PROTOCOL = -5001, /* the peer broke the protocol */
    HAWSER_E_VERSION = -5002, /* no protocol version in common */
    HAWSER_E_TRUNCATED = -5003, /* a message ended too early */
    HAWSER_E_LIMIT = -5004, /* a count or length is over its limit */
    HAWSER_E_CHECK = -5005, /* data was damaged on the way */
    HAWSER_E_DIGEST = -5006, /* what arrived is not what was sent */
    HAWSER_E_CLOSED = -5007, /* the peer closed the connection */
    HAWSER_E_TIMEOUT = -5008, /* the peer did not answer in time */
    HAWSER_E_RESOLVE = -5009, /* the host name is not known */
    HAWSER_E_EXPORT = -5010, /* no such export */
    HAWSER_E_READONLY = -5011, /* the export is read-only */
    HAWSER_E_DENIED = -5012, /* the server refuses this */
    HAWSER_E_BUSY = -5013, /* the server has no room for another session */
    HAWSER_E_SHUTDOWN = -5014, /* the server is shutting down */
    HAWSER_E_ESCAPE = -5015, /* a path leaves its root */
    HAWSER_E_NAME = -5016, /* not a valid name */
    HAWSER_E_CHANGED = -5017, /* a file changed while it was read */
    HAWSER_E_VANISHED = -5018, /* a file vanished before it was read */
    HAWSER_E_KIND = -5019, /* this kind of file cannot be kept */
    HAWSER_E_TOO_DEEP = -5020, /* the tree is deeper than the limit */
    HAWSER_E_DELETE_LIMIT = -5021, /* more to delete than delete_max allows */
    HAWSER_E_CANCELED = -5022, /* hawser_cancel() was called */
    HAWSER_E_USAGE = -5023, /* a mistake of the caller: hawser_client_message() says which */
    HAWSER_E_NO_IO_URING = -5024, /* io_uring is not available here */
    HAWSER_E_MEMLOCK = -5025, /* the memory lock limit is too small */
    HAWSER_E_PLAN = -5026, /* the memory budget is too small */
    HAWSER_E_PARTIAL = -5027, /* some files failed; each was named in an event; the others moved */
    HAWSER_E_INTERNAL = -5028, /* a bug of Hawser */
    HAWSER_E_FILTER = -5029, /* not a valid filter rule */
    HAWSER_E_MEMORY_BOUND = -5030 /* the tree needs more memory than the plan allows */
};

/** What kind of trouble a code is: what a caller switches on. */
enum hawser_class {
    HAWSER_CLASS_IO, /* a file, here or there */
    HAWSER_CLASS_NET, /* the connection */
    HAWSER_CLASS_PEER, /* the peer broke the rules */
    HAWSER_CLASS_AUTH, /* refused */
    HAWSER_CLASS_PATH, /* a name or path */
    HAWSER_CLASS_INTEGRITY, /* data differ */
    HAWSER_CLASS_BUSY, /* try again later */
    HAWSER_CLASS_CANCELED,
    HAWSER_CLASS_USAGE, /* the caller's mistake */
    HAWSER_CLASS_RESOURCE, /* memory, limits, kernel features of this machine */
    HAWSER_CLASS_INTERNAL
};

/** Words for a code. Never NULL; static storage. Any thread. Since 0.1. */
HAWSER_API const char *hawser_strerror(int code);

/** Short stable name of a code: "ENOSPC", "DIGEST". Never NULL; static storage. Since 0.1. */
HAWSER_API const char *hawser_error_name(int code);

/** Class of a code. Any thread. Since 0.1. */
HAWSER_API enum hawser_class hawser_error_class(int code);

/** Version of the library that runs, as HAWSER_VERSION is of the header. Static. Since 0.1. */
HAWSER_API const char *hawser_version(void);

/** Make raw bytes safe to print: control bytes, invalid UTF-8 and backslashes become \xNN.
 * @param name       @name_size bytes; borrowed
 * @param buf        room for @size bytes; 4 * @name_size + 1 always suffices; always NUL-ended
 * @return bytes written without the NUL. Since 0.1. */
HAWSER_API size_t hawser_escape(const char *name, size_t name_size, char *buf, size_t size);

/* ---- URLs ---- */

/** hawser://HOST[:PORT]/EXPORT[/PATH], taken apart and percent-decoded. Filled by the library. */
typedef struct hawser_url {
    char host[HAWSER_HOST_MAX + 1]; /* without the brackets of an IPv6 address */
    uint16_t port;
    bool contents; /* the path ended in '/': what is in it, not itself */
    char export_name[HAWSER_NAME_MAX + 1];
    char path[HAWSER_PATH_MAX + 1]; /* below the export: no outer or doubled '/'; "": the export */
} hawser_url;

/** Take a URL apart. "%2F" and "%00" are refused, and so are ".." and whatever cannot be a name.
 * @param text      NUL-ended; borrowed
 * @param ret_url   written on success only
 * @param why       words about what is wrong, for @why_size bytes; may be NULL
 * @return 0; HAWSER_E_USAGE: not such a URL. Any thread. Since 0.1. */
HAWSER_API int hawser_url_parse(const char *text, hawser_url *ret_url, char *why, size_t why_size);

/* ---- a client ---- */

typedef struct hawser_client hawser_client; /* its threads, rings and buffers */

/** What a client may use. */
typedef struct hawser_client_opts {
    size_t size;
    uint64_t memory; /* bytes for buffers and tables together */
    uint32_t shards; /* threads with a ring each; default: one a core */
    uint32_t streams; /* connections for data, 1..64 */
    uint32_t depth; /* chunks in flight on each, 1..256 */
    uint32_t chunk; /* bytes of a chunk, 64 KiB..4 MiB, a multiple of 64 KiB */
    uint64_t connect_timeout_ns; /* default 10 s */
    uint64_t idle_timeout_ns; /* longest silence of a connection, either way; default 30 s */
    bool no_pin; /* let the scheduler move the threads */
    /* Congestion control of the data connections, at both ends: a name that the kernel has, "auto"
     * (default: "cubic" where the round trip is under a millisecond, else the host's) or "system"
     * (the host's). Borrowed for the call. */
    const char *congestion;
    /* With fewer shards than cores: run them near the disks that hold this path, or the deepest
     * part of it that exists. NULL: nothing is looked up. Borrowed for the call. */
    const char *near_path;
    /* For looking into it: when the client is closed, the newest spans of what its threads did are
     * written here, a line of JSON each. 0: nowhere, and nothing is kept. Borrowed until then. */
    int trace_fd;
    /* A job is tried again after a lost connection, by a server that is busy, shuts down or
     * restarts: so many times in a row without progress, after pauses that grow to 30 s. Default 5.
     * What arrived is not sent twice (with `no_journal` or `inplace`: what is complete). */
    uint32_t retries;
    bool no_retries; /* whatever `retries` says */
    bool retry_connect; /* also when nobody ever answered: refused, unreachable, unknown */
} hawser_client_opts;

/** Start a client: threads, rings and buffers.
 * @param opts        NULL: defaults; copied
 * @param ret_client  owned by the caller; hawser_client_close() ends it; written on success only
 * @param why         words about a failure and what to do, for @why_size bytes; may be NULL
 * @return 0, or
 *   HAWSER_E_USAGE        an option is out of range
 *   HAWSER_E_PLAN         `memory` cannot hold what is asked for
 *   HAWSER_E_NO_IO_URING  forbidden here, or the kernel is too old
 *   HAWSER_E_MEMLOCK      the memory lock limit is too small even for a small plan
 *   -errno                ENOMEM, EMFILE
 * Nothing is left behind after an error. The new threads block every signal. Any thread. Since 0.1.
 */
HAWSER_API int hawser_client_open(const hawser_client_opts *opts, hawser_client **ret_client,
                                  char *why, size_t why_size);

/** End a client; its transfer functions must have returned. Accepts NULL. Since 0.1. */
HAWSER_API void hawser_client_close(hawser_client *client);

/** End what the client does: the running call, or else the next one, returns HAWSER_E_CANCELED and
 * so does every later one. A transfer ends in good order: nothing new is sent, the target finishes
 * what has come, gives complete files their names, and keeps of the others what it has, so that the
 * same transfer later goes on from there (hawser_stats.kept_bytes). That takes 10 s at most, or
 * hawser_client_opts.idle_timeout_ns if that is less. Called once more it ends at once, and what
 * was on its way is lost; dry runs, hawser_verify(), digests, lists and benchmarks end at once the
 * first time. Any thread; async-signal-safe. Accepts NULL. Since 0.1. */
HAWSER_API void hawser_cancel(hawser_client *client);

/** Hold up the running transfer and those that follow: nothing new is read or sent, what was sent
 * is finished, connections stay alive, and no deadline runs out, until hawser_resume(). A transfer
 * that waits to be tried again waits until then. An event tells when the running one is held, or
 * the next one has begun and is; a server that is the target still deals with the names that it has
 * been told, and reads their files where digests are compared. Lists, benchmarks and digests of
 * what is here do not pause. Any thread; async-signal-safe. Accepts NULL. Since 0.1. */
HAWSER_API void hawser_pause(hawser_client *client);

/** Go on. Harmless when nothing is paused. As hawser_pause(). Since 0.1. */
HAWSER_API void hawser_resume(hawser_client *client);

/** More words about the last failure of this client ("" if there are none): which path or address,
 * what was tried. Valid until the next call with this client. Never NULL. Since 0.1. */
HAWSER_API const char *hawser_client_message(const hawser_client *client);

/** Words about what runs: shards, plan, kernel features in use and missing.
 * @param client  NULL: the kernel's features alone; borrowed
 * @param buf     room for @size bytes (1024 suffice); always NUL-ended. Since 0.1. */
HAWSER_API void hawser_engine_info(const hawser_client *client, char *buf, size_t size);

/* ---- events ---- */

enum hawser_event_kind {
    HAWSER_EVENT_OPENED = 1, /* the server accepted: peer, export_name, path */
    HAWSER_EVENT_PROGRESS, /* at most 10 a second: progress */
    HAWSER_EVENT_NOTE, /* something about one path: note, path, code, text, bytes */
    HAWSER_EVENT_RETRY, /* the job is tried again: code, text, retry, retries_left, pause_ns */
    HAWSER_EVENT_STALL, /* nothing comes, or arrives: text, stalled_ns; once more when it is over */
    HAWSER_EVENT_STATE /* it is held, goes on, or begins to end early in good order: state. None
                          where nothing changes, or no session runs yet, or that ends at once */
};

enum hawser_state {
    HAWSER_STATE_RUNNING,
    HAWSER_STATE_PAUSED, /* hawser_pause() */
    HAWSER_STATE_STOPPING /* hawser_cancel(): what is on its way is finished */
};

enum hawser_note {
    HAWSER_NOTE_FAILED = 1, /* could not be kept; the others move: code says why */
    HAWSER_NOTE_SKIPPED, /* left out on purpose (a socket) */
    HAWSER_NOTE_WARNING, /* kept, but not all of it (owners, as a plain user) */
    HAWSER_NOTE_CREATED, /* `names` only: a new name */
    HAWSER_NOTE_UPDATED, /* `names` only: other content */
    HAWSER_NOTE_TOUCHED, /* `names` only: metadata alone */
    HAWSER_NOTE_DELETED /* `names` only */
};

/** The stages that content passes on its way; one of them holds the others up. */
enum hawser_stage {
    HAWSER_STAGE_NONE = 0, /* nothing can be said yet */
    HAWSER_STAGE_SOURCE_FILES, /* walk, small files, metadata */
    HAWSER_STAGE_SOURCE_DISK, /* reads */
    HAWSER_STAGE_SOURCE_HASH,
    HAWSER_STAGE_SOURCE_CPU, /* no core has time left, and no single stage takes it */
    HAWSER_STAGE_SOURCE_MEMORY, /* its buffers are all in use */
    HAWSER_STAGE_BWLIMIT, /* hawser_transfer_opts.bwlimit */
    HAWSER_STAGE_NETWORK,
    HAWSER_STAGE_TARGET_CPU,
    HAWSER_STAGE_TARGET_MEMORY,
    HAWSER_STAGE_TARGET_HASH,
    HAWSER_STAGE_TARGET_DISK, /* writes */
    HAWSER_STAGE_TARGET_FILES, /* decisions, small files, metadata, names */
    HAWSER_STAGE_TARGET_SYNC,
    HAWSER_STAGE_OTHER, /* the network or the other side: an older server does not tell which */
    HAWSER_STAGE_COUNT
};

/** One stage in a stretch of time. */
typedef struct hawser_stage_time {
    uint64_t busy_ns; /* work was under way in it; summed over threads or streams */
    uint64_t wait_ns; /* of the stretch: the other stages waited for this one */
    uint64_t bytes; /* that passed it; 0 where that means nothing */
    uint64_t ceiling; /* bytes per second it could do alone; 0: this stretch does not show it */
} hawser_stage_time;

/** What people call a stage: "target disk"; "" for NONE and unknown ones. Since 0.1. */
HAWSER_API const char *hawser_stage_name(enum hawser_stage stage);

/** Counters of a running transfer; after RETRY they begin anew. */
typedef struct hawser_progress {
    uint64_t entries_seen; /* found at the source so far */
    uint64_t files_seen; /* regular files among them */
    uint64_t bytes_seen; /* in those */
    uint64_t files_done; /* files with content that are settled */
    uint64_t entries_done; /* settled entries of any kind */
    uint64_t bytes_done; /* content bytes that moved */
    uint64_t wire_sent; /* bytes on all connections */
    uint64_t wire_received;
    uint64_t elapsed_ns;
    bool walk_done; /* then the *_seen are final */
    bool paused; /* hawser_pause() */
    enum hawser_stage limit; /* what the others waited for most, of late */
    hawser_stage_time stages[HAWSER_STAGE_COUNT]; /* of the last quarter of a second or so */
    uint64_t stalled_ns; /* nothing has come, or arrived, for so long; 0: it moves */
    const char *stall; /* words about that, or ""; valid during the callback */
} hawser_progress;

/** Valid during the callback only. */
typedef struct hawser_event {
    enum hawser_event_kind kind;
    enum hawser_note note; /* NOTE */
    int code; /* NOTE: 0 or why */
    const char *peer; /* OPENED: "address:port" */
    const char *export_name; /* OPENED */
    const char *path; /* raw bytes, NUL-ended, never NULL; relative to the transfer's root */
    const char *text; /* more words, never NULL */
    uint64_t bytes; /* NOTE: of the file, where that makes sense */
    const hawser_progress *progress; /* PROGRESS */
    uint32_t retry; /* RETRY: the number of the one that follows, from 1 */
    uint32_t retries_left; /* RETRY: after that one, if it comes no further */
    uint64_t pause_ns; /* RETRY: before it begins */
    uint64_t stalled_ns; /* STALL: so far; or in all, when it is over: then text is "" */
    enum hawser_state state; /* STATE */
} hawser_event;

/** Called on the client's threads, one call at a time. It must return soon (it holds the transfer
 * up) and may call nothing with this client but hawser_cancel(), hawser_pause() and
 * hawser_resume(). */
typedef void hawser_event_fn(void *context, const hawser_event *event);

/* ---- transfers ---- */

enum hawser_durability {
    HAWSER_DURABILITY_DEFAULT = 0, /* durable */
    HAWSER_DURABILITY_RECEIVED = 1, /* arrived and compared; a crash of the target takes it back */
    HAWSER_DURABILITY_WRITTEN = 2, /* and has its name; a power cut may take it back */
    HAWSER_DURABILITY_DURABLE = 3 /* and synced, data and names */
};

enum hawser_digest {
    HAWSER_DIGEST_DEFAULT = 0, /* xxh3 */
    HAWSER_DIGEST_XXH3 = 1, /* 16 bytes; finds damage, and is no protection against malice */
    HAWSER_DIGEST_BLAKE3 = 2 /* 32 bytes: what b3sum prints; holes cost what zeros do */
};

/** How large files are read and written here; the server has a setting of its own. */
enum hawser_io {
    HAWSER_IO_AUTO = 0, /* direct where that is faster and the file system can, else through the
                           page cache without leaving anything in it where the kernel can */
    HAWSER_IO_DIRECT = 1, /* direct wherever the file system can */
    HAWSER_IO_BUFFERED = 2 /* through the page cache, which keeps what moved */
};

/** Sending file data without a copy, where this side sends; the server has a setting of its own. */
enum hawser_zero_copy {
    HAWSER_ZERO_COPY_OFF = 0,
    HAWSER_ZERO_COPY_AUTO = 1, /* to peers behind a network device, if the kernel says of each send
                                  whether it was copied all the same; not on this host */
    HAWSER_ZERO_COPY_ON = 2 /* to all. In both a connection whose sends are mostly copied stops */
};

/** Comparing a changed file with the older version that the target has, and moving only what
 * differs. */
enum hawser_delta {
    HAWSER_DELTA_AUTO = 0, /* where the way to the server seems to be slower than a disk */
    HAWSER_DELTA_ON = 1,
    HAWSER_DELTA_OFF = 2
};

/** Signatures of old versions before their turn, in time in which the target would do nothing. */
enum hawser_ahead {
    HAWSER_AHEAD_AUTO = 0, /* until it does not pay */
    HAWSER_AHEAD_ON = 1,
    HAWSER_AHEAD_OFF = 2
};

/** One filter rule with rsync's meaning; the first that matches decides. */
typedef struct hawser_rule {
    const char *pattern; /* NUL-ended; "+ P" and "- P" decide for themselves */
    bool include;
} hawser_rule;

/** How to transfer. All pointers are borrowed for the call. */
typedef struct hawser_transfer_opts {
    size_t size;
    hawser_event_fn *event; /* may be NULL */
    void *context; /* of `event` */
    const hawser_rule *rules;
    size_t rule_count;
    /* --files-from: only these paths below the single source (push) or URL (pull). Parents are
     * implied; a listed directory itself is made, with a '/' at its end (push) also what is
     * directly in it. NULL: everything. */
    const char *const *files;
    size_t file_count;
    uint64_t bwlimit; /* bytes per second */
    uint64_t delete_max; /* with `delete_extraneous`: at most so many, if `delete_limited` */
    enum hawser_durability durability;
    enum hawser_digest digest;
    enum hawser_io io;
    enum hawser_zero_copy zero_copy;
    enum hawser_delta delta;
    uint32_t delta_block; /* compared at once: a power of two, 512 to 1 MiB; 0: by the size */
    bool inplace; /* into files where they lie: an early end leaves a mix; the next run mends it */
    enum hawser_ahead ahead;
    bool no_journal; /* the target keeps nothing for a later run, and uses nothing of an earlier */
    bool verify_resume; /* the target reads again what an earlier run kept before it uses it */
    bool delete_extraneous; /* remove what the source does not have */
    bool delete_limited;
    bool dry_run; /* change nothing, tell what would be */
    bool checksum; /* compare digests of files of the same size, whatever their times */
    bool size_only; /* the same size is the same file */
    bool ignore_existing;
    bool no_owner;
    bool no_times;
    bool no_xattrs;
    bool no_hard_links;
    bool copy_links; /* what symlinks point to, not themselves */
    bool names; /* events for every name that is created, updated, touched or deleted */
    bool discard; /* push: contents are verified and dropped; DENIED unless the server allows it */
} hawser_transfer_opts;

/** What the target's signatures before their turn came to. */
enum hawser_ahead_state {
    HAWSER_AHEAD_NONE = 0, /* there were no deltas, or the server does not tell */
    HAWSER_AHEAD_WAS_OFF = 1, /* as asked */
    HAWSER_AHEAD_WAS_ON = 2,
    /* it turned itself off: */
    HAWSER_AHEAD_STALE = 3, /* old versions changed meanwhile */
    HAWSER_AHEAD_WASTED = 4, /* most of it was not used */
    HAWSER_AHEAD_NO_GAPS = 5, /* nearly all was waited for */
    HAWSER_AHEAD_QUICK = 6, /* signatures took no time */
    HAWSER_AHEAD_NO_MEMORY = 7 /* never on: other sessions had the memory */
};

typedef struct hawser_ahead_stats {
    enum hawser_ahead_state state; /* of the last session */
    uint64_t gap_ns; /* in which nothing was runnable: added up over the target's threads */
    uint64_t used_ns; /* of that, with signatures */
    uint64_t ahead_bytes; /* of old versions: signed in gaps */
    uint64_t demand_bytes; /* signed while something waited for it */
    uint64_t hits; /* signatures that were ready when their turn came */
    uint64_t late; /* begun, not ready */
    uint64_t stale; /* dropped: the file had changed */
    uint64_t wasted_bytes; /* signed in gaps and not used */
    /* of the target's threads since they began; times of the worst one */
    uint64_t preempted; /* gaps that ended before their work */
    uint64_t turns;
    uint64_t turns_long; /* over a millisecond */
    uint64_t turn_p50_ns;
    uint64_t turn_p999_ns;
    uint64_t turn_max_ns;
    uint64_t step_p999_ns; /* of signatures */
} hawser_ahead_stats;

/** What a transfer did; also filled when it ended with an error, as far as is known. */
typedef struct hawser_stats {
    uint64_t files; /* regular files whose content moved */
    uint64_t bytes; /* of that content */
    uint64_t created; /* other new names: directories, links, devices, empty files */
    uint64_t touched; /* metadata only */
    uint64_t unchanged; /* needed nothing */
    uint64_t deleted;
    uint64_t failed; /* entries that failed; each was named in an event */
    uint64_t differences; /* hawser_verify(): names that differ, are missing, or are too many */
    uint64_t entries_seen;
    uint64_t files_seen;
    uint64_t bytes_seen;
    uint64_t wire_sent;
    uint64_t wire_received;
    uint64_t zc_sent_bytes; /* of wire_sent: by zero-copy sends */
    uint64_t zc_copied_bytes; /* of zc_sent_bytes: copied by the kernel all the same */
    uint64_t zc_downgrades; /* connections that stopped zero-copy sends */
    uint64_t elapsed_ns; /* pauses before retries included, as long as they were */
    enum hawser_durability durability; /* what holds now, for all of it; see files_received */
    /* Of the regular files whose content moved, each counted in every level that it reached, as far
     * as this side was told. All equal `files` after success, but that files_durable is less where
     * less was asked for, or can be had: see `durability`. After an interruption they say what is
     * safe: files that were only received (complete and compared, not named yet) are gone. */
    uint64_t files_received;
    uint64_t files_written; /* have their names */
    uint64_t files_durable; /* survive a power cut */
    char congestion[16]; /* congestion control of the side that sent the data; "": not known */
    /* Bytes of large files that were read or written here: past the page cache; through it, leaving
     * nothing there; through it. */
    uint64_t disk_direct;
    uint64_t disk_uncached;
    uint64_t disk_buffered;
    /* What deltas did. */
    uint64_t delta_files; /* files sent against an older version */
    uint64_t delta_fallbacks; /* of which the older version was of no use after all: sent whole */
    uint64_t literal_bytes; /* content of those files that travelled */
    uint64_t copied_bytes; /* content of those files that the target had */
    uint64_t signature_bytes; /* sums of blocks, from the target to the source */
    uint64_t resumed_files; /* that an earlier run had begun */
    uint64_t resumed_bytes; /* of them: what was there and was not sent again */
    /* After an end before its time: what the target keeps of files that are not complete, as far as
     * it could say so. The same transfer goes on from there. */
    uint64_t kept_files;
    uint64_t kept_bytes; /* of them, that need not be sent again */
    bool delta; /* they were allowed; */
    char delta_why[64]; /* and why, or why not */
    hawser_ahead_stats ahead;
    enum hawser_stage limit; /* what the others waited for most */
    /* of the whole transfer; several URLs of a pull add up, a ceiling is the highest of them */
    hawser_stage_time stages[HAWSER_STAGE_COUNT];
    uint64_t retries; /* further attempts; counters above add up over all of them */
    uint64_t streams_lost; /* data connections that were lost: others took over */
} hawser_stats;

/** Copy from here to a server; the destination becomes a replica of the sources.
 *
 * @param client      open client; borrowed
 * @param sources     @source_count paths, at least one; borrowed. "dir" puts the directory itself
 *                    below @url, "dir/", "." and "/" their contents, as rsync does
 * @param url         hawser://HOST[:PORT]/EXPORT[/PATH]; borrowed. PATH is made if it is missing.
 *                    A single file takes PATH as its new name if that is no directory and does not
 *                    end in '/'
 * @param opts        NULL: defaults; borrowed for the call
 * @param ret_stats   what was done; may be NULL; zeroed first, filled also on failure
 *
 * @return 0: everything moved, was compared, and is as durable as asked; or
 *   HAWSER_E_PARTIAL   some entries failed (named in events), all others moved
 *   HAWSER_E_USAGE, HAWSER_E_FILTER   nothing was started
 *   HAWSER_E_RESOLVE, HAWSER_E_TIMEOUT, -ECONNREFUSED and other classes NET, AUTH, BUSY
 *   HAWSER_E_PROTOCOL, HAWSER_E_CHECK, HAWSER_E_DIGEST and others of PEER, INTEGRITY
 *   HAWSER_E_CANCELED  hawser_cancel()
 *   -ENOSPC, -EDQUOT   the target is full
 * After any error each name at the target is whole, old or new. Blocks. Since 0.1. */
HAWSER_API int hawser_push(hawser_client *client, const char *const *sources, size_t source_count,
                           const char *url, const hawser_transfer_opts *opts,
                           hawser_stats *ret_stats);

/** Copy from servers to here.
 *
 * @param urls    @url_count of them, at least one; borrowed. A '/' at the end: the contents
 * @param target  directory, made if it is missing; or the new name of a single file; borrowed
 * Everything else, and what it returns, as hawser_push(); also -errno for @target. Blocks.
 * Since 0.1. */
HAWSER_API int hawser_pull(hawser_client *client, const char *const *urls, size_t url_count,
                           const char *target, const hawser_transfer_opts *opts,
                           hawser_stats *ret_stats);

/** Compare trees here with one on a server, by digest: nothing moves, nothing changes, and an
 * export that may only be read will do. Each difference is an event: HAWSER_NOTE_CREATED: the
 * server has no such name; HAWSER_NOTE_DELETED: only the server has it; HAWSER_NOTE_UPDATED:
 * content or type differ; HAWSER_NOTE_TOUCHED: only metadata. `text` says of the last two what:
 * some of "content", "type", "size", "mode", "owner", "mtime", "xattrs", "link", with ", " between
 * them.
 *
 * @param opts       as for hawser_push(); what is about moving is ignored, so are `checksum`,
 *                   `dry_run`, `delete_extraneous` and `names`, which are implied
 * @param ret_stats  `differences`; `unchanged` is what is the same
 * @return as hawser_push(): 0 also if there are differences; HAWSER_E_PARTIAL: something could not
 * be compared; HAWSER_E_VERSION: the server cannot. Blocks. Since 0.1. */
HAWSER_API int hawser_verify(hawser_client *client, const char *const *sources, size_t source_count,
                             const char *url, const hawser_transfer_opts *opts,
                             hawser_stats *ret_stats);

/** The digest of one file. Valid during the callback only. */
typedef struct hawser_digest_value {
    const char *path; /* raw bytes, NUL-ended; begins with the last part of the place, or below it
                         if that ended in '/' */
    uint64_t bytes; /* of the file */
    const uint8_t *digest;
    size_t digest_size; /* 16: xxh3, 32: blake3 */
} hawser_digest_value;

typedef void hawser_digest_fn(void *context, const hawser_digest_value *value);

/** Digests of a file, or of all regular files below a directory, read on all shards.
 *
 * @param place   a path here, or a URL: then the server reads, and only digests travel; borrowed
 * @param opts    `digest`, `event`, `rules`, `copy_links` and `io` count; NULL: defaults; borrowed
 * @param digest  called for each file, in no order, on the client's threads, one call at a time
 * @return as hawser_pull(); HAWSER_E_PARTIAL: some files could not be read; HAWSER_E_VERSION: the
 * server cannot. Blocks. Since 0.1. */
HAWSER_API int hawser_digest_tree(hawser_client *client, const char *place,
                                  const hawser_transfer_opts *opts, hawser_digest_fn *digest,
                                  void *context);

/* ---- looking ---- */

/** One extended attribute. */
typedef struct hawser_xattr {
    const char *name; /* NUL-ended */
    const void *value;
    size_t value_size; /* bytes */
} hawser_xattr;

/** One entry of a server's tree; valid during the callback only. */
typedef struct hawser_entry {
    const char *name; /* raw bytes, NUL-ended; "" for an export itself */
    uint32_t mode; /* as st_mode of stat(2): type and permissions */
    uint32_t uid;
    uint32_t gid;
    uint64_t bytes; /* of a regular file */
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint32_t rdev_major;
    uint32_t rdev_minor;
    const char *link_target; /* symlink: raw bytes; else "" */
    const hawser_xattr *xattrs;
    size_t xattr_count;
    bool sparse; /* has holes */
} hawser_entry;

typedef void hawser_entry_fn(void *context, const hawser_entry *entry);

/** List a directory of a server, in no order; of anything else, itself.
 * @param entry  called for each, on the client's threads, one call at a time
 * @return as hawser_push(); -ENOENT: no such path; HAWSER_E_PARTIAL: some entries could not be
 * read. Blocks. Since 0.1. */
HAWSER_API int hawser_list(hawser_client *client, const char *url, hawser_entry_fn *entry,
                           void *context);

/** As hawser_list(), but what @url names itself: @entry is called once, with everything known. */
HAWSER_API int hawser_stat(hawser_client *client, const char *url, hawser_entry_fn *entry,
                           void *context);

/* ---- the machine ---- */

enum hawser_finding_level {
    HAWSER_FINDING_OK, /* as it should be, or nothing to be done about */
    HAWSER_FINDING_ADVICE, /* something would be better otherwise */
    HAWSER_FINDING_PROBLEM /* something will fail */
};

/** One thing about this machine. Valid during the callback only; no string is NULL. */
typedef struct hawser_finding {
    enum hawser_finding_level level;
    const char *area; /* "kernel", "limits", "memory", "cpu", "network", "disk" */
    const char *name; /* of the thing; stays the same from version to version */
    const char *subject; /* the device or path it is about, raw bytes; "" if there is only one */
    const char *what; /* what is */
    const char *change; /* commands that change it, one a line, for root; a line that begins with
                           '#' is no command but words; "" */
    const char *gain; /* what the change is expected to give, and where that was measured; "" */
} hawser_finding;

typedef void hawser_finding_fn(void *context, const hawser_finding *finding);

/** Look at this machine: kernel, limits, memory, processors, network, disks. Reads /proc and /sys,
 * asks the kernel about NICs, makes a ring and ends it; changes nothing, runs no other program.
 * Needs no client.
 * @param paths    @path_count of them: only the disks behind these are looked at, and their file
 *                 systems; borrowed. None: all disks
 * @param finding  called for each finding, on the caller's thread, in the order of the areas
 * @return 0: Hawser runs here, whatever the findings are; HAWSER_E_NO_IO_URING, HAWSER_E_MEMLOCK,
 * -errno: it does not, and a finding says why; HAWSER_E_PARTIAL: a path could not be looked at;
 * HAWSER_E_USAGE. Blocks for some milliseconds. Any thread. Since 0.1. */
HAWSER_API int hawser_doctor(const char *const *paths, size_t path_count,
                             hawser_finding_fn *finding, void *context);

#ifdef __cplusplus
}
#endif

#endif
