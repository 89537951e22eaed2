/* Payloads of control frames: one structure, one encoder and one decoder each. Decoders borrow from
 * the input: spans point into the payload. They accept exactly what encoders write: trailing bytes,
 * unknown flags and values over their limit are errors (HSR_E_TRUNCATED, HSR_E_PROTOCOL,
 * HSR_E_LIMIT; HSR_E_NAME for names and paths). Encoders return the payload size, or HSR_E_LIMIT
 * when it does not fit; what a decoder would refuse they refuse too, with the same code. Fields
 * that do not apply (sum of a failed file, code of a NOTE that is no failure) are written as zero.
 */
#ifndef HSR_PROTO_MESSAGE_H
#define HSR_PROTO_MESSAGE_H

#include <stdint.h>

#include "base/span.h"
#include "transfer/proto/frame.h"

#define HSR_TOKEN_SIZE 16u
#define HSR_JOB_SIZE 16u
#define HSR_AGENT_MAX 64u /* bytes of `agent` */
#define HSR_CONGESTION_MAX 15u /* bytes of a congestion control's name, as in Linux */

struct hsr_hello {
    uint32_t magic;
    uint16_t version_min;
    uint16_t version_max;
    uint64_t features;
    uint32_t silence_ms; /* of the peer, that the sender bears: then it gives up; 0: it does not say
                          */
    struct hsr_span agent; /* "hawser/0.1.0", for logs; at most 64 bytes */
};

struct hsr_hello_ack {
    uint16_t version;
    uint64_t features;
    uint32_t streams_max;
    uint32_t depth_max;
    uint32_t chunk_max;
    uint32_t silence_ms; /* as in HELLO */
    struct hsr_span agent;
};

enum hsr_role { HSR_ROLE_SOURCE = 1, HSR_ROLE_TARGET = 2 };

/* options of a session; the bits that matter to a side are used by it, the rest ignored */
#define HSR_OPT_DRY_RUN (1u << 0)
#define HSR_OPT_CHECKSUM (1u << 1)
#define HSR_OPT_DELETE (1u << 2)
#define HSR_OPT_SIZE_ONLY (1u << 3)
#define HSR_OPT_IGNORE_EXISTING (1u << 4)
#define HSR_OPT_NO_OWNER (1u << 5)
#define HSR_OPT_NO_TIMES (1u << 6)
#define HSR_OPT_NO_XATTRS (1u << 7)
#define HSR_OPT_NO_HARD_LINKS (1u << 8)
#define HSR_OPT_COPY_LINKS (1u << 9)
#define HSR_OPT_NAMES (1u << 10) /* the peer wants a NOTE for every name changed (-v, --json) */
#define HSR_OPT_SINGLE_FILE                                                                        \
    (1u << 11) /* one source that is not a directory: path may be its name */
#define HSR_OPT_LIST (1u << 12) /* PATHS are a --files-from list: parents are implied */
/* With DRY_RUN: contents move, are verified, and dropped. For benchmarks. */
#define HSR_OPT_DISCARD (1u << 13)
/* with feature DELTA */
#define HSR_OPT_DELTA (1u << 14) /* the target may ask for deltas against what it has */
#define HSR_OPT_INPLACE (1u << 15) /* files are written where they lie, in ascending order */
/* With DRY_RUN and CHECKSUM: the trees are compared, and reading is all that it needs. */
#define HSR_OPT_VERIFY (1u << 16)
#define HSR_OPT_AHEAD_OFF (1u << 17) /* no signatures before their turn */
#define HSR_OPT_AHEAD_ON (1u << 18) /* as long as there are gaps, even where it does not pay */
/* A push: the target says what it measured (MEASURED). With feature BENCH. */
#define HSR_OPT_MEASURE (1u << 19)
/* with feature RESUME */
#define HSR_OPT_NO_JOURNAL (1u << 20) /* nothing is kept for a later session, nor used */
#define HSR_OPT_VERIFY_RESUME (1u << 21) /* what was kept is read again before it is used */
#define HSR_OPTS_ALL ((1u << 22) - 1)

enum hsr_durability {
    HSR_DURABILITY_RECEIVED = 1,
    HSR_DURABILITY_WRITTEN = 2,
    HSR_DURABILITY_DURABLE = 3
};

struct hsr_open {
    uint8_t role; /* the client's: SOURCE for push, TARGET for pull */
    uint8_t digest; /* enum hsr_digest_kind */
    uint8_t durability; /* enum hsr_durability */
    uint8_t block_log; /* DELTA: blocks of 2^this bytes; 0: the target chooses */
    uint32_t options; /* HSR_OPT_x */
    uint32_t streams; /* data connections asked for */
    uint32_t depth; /* chunks per stream asked for */
    uint32_t chunk; /* bytes of payload per chunk asked for */
    uint64_t bwlimit; /* bytes per second for the whole session; 0: none */
    uint64_t delete_max; /* --max-delete; UINT64_MAX: no limit */
    uint32_t paths; /* how many paths follow in PATHS frames (server is the source) */
    struct hsr_span export_name;
    struct hsr_span path; /* below the export; "" is the export itself */
    struct hsr_span rules; /* encoded filter rules (tree/filter.h), may be empty */
    struct hsr_span congestion; /* of the server's data sockets; empty: the server's choice */
    uint8_t job[HSR_JOB_SIZE]; /* the same in every attempt at one job; zeros: it has no other */
    uint32_t attempt; /* counts them: a lower one is older */
};

struct hsr_open_ack {
    uint8_t token[HSR_TOKEN_SIZE]; /* names the session in JOIN; unguessable */
    uint32_t streams; /* in force; at most what was asked */
    uint32_t depth;
    uint32_t chunk;
    uint32_t files_max; /* large files the target keeps open at once */
    uint8_t rename_top; /* SINGLE_FILE: the top entry takes the name `top_name` */
    struct hsr_span top_name;
};

struct hsr_join {
    uint8_t token[HSR_TOKEN_SIZE];
    uint32_t stream; /* 0 .. streams-1 */
};

struct hsr_join_ack {
    struct hsr_span congestion; /* in use on the server's socket; empty: not known */
};

struct hsr_reject { /* REJECT and CANCEL */
    int32_t code; /* -errno (Linux numbers) or HSR_E_x */
    struct hsr_span text;
};

struct hsr_note {
    uint8_t event; /* enum hsr_note_event */
    int32_t code; /* for FAILED and SKIPPED: why */
    uint64_t size; /* bytes of the file, where that makes sense */
    struct hsr_span path; /* relative to the transfer's root */
    struct hsr_span text; /* operation or more words; may be empty */
};

enum hsr_note_event {
    HSR_NOTE_FAILED = 1, /* this path could not be kept: counts as a failure */
    HSR_NOTE_SKIPPED, /* not kept on purpose, named: sockets */
    HSR_NOTE_WARNING, /* kept, but not all of it (owner as a plain user) */
    HSR_NOTE_CREATED, /* with OPT_NAMES: a new name, or one whose content changed */
    HSR_NOTE_UPDATED, /* with OPT_NAMES */
    HSR_NOTE_TOUCHED, /* with OPT_NAMES: metadata only */
    HSR_NOTE_DELETED, /* with OPT_NAMES */
    HSR_NOTE_EVENT_COUNT
};

struct hsr_totals { /* in DONE: what the target did */
    uint64_t files; /* regular files whose content was transferred */
    uint64_t bytes; /* of content written */
    uint64_t created; /* other new names: directories, links, devices, empty files */
    uint64_t touched; /* metadata only */
    uint64_t skipped; /* entries that needed nothing */
    uint64_t deleted;
    uint64_t failed;
};

struct hsr_done {
    uint8_t durability; /* what holds now */
    uint8_t limit; /* the most that could: below durable, bytes in it are in memory only */
    int32_t code; /* 0, HSR_E_PARTIAL, or why the target gave up */
    struct hsr_totals totals;
};

struct hsr_walk_end {
    uint64_t entries;
    uint64_t files;
    uint64_t bytes; /* of regular files seen */
    uint64_t failed; /* at the source, so far */
    uint64_t acks; /* PAGE_ACKs that it has received */
};

struct hsr_file_end {
    int32_t code; /* 0: digest and size are true; else why the source gave up (HSR_E_CHANGED...) */
    uint64_t size; /* bytes of the file */
    uint64_t bytes; /* bytes sent in DATA frames (holes are not) */
    uint8_t digest[HSR_DIGEST_SIZE_MAX]; /* of the file */
};

enum hsr_want_action {
    HSR_WANT_WHOLE = 1, /* send it */
    HSR_WANT_UNLESS = 2, /* send it unless its digest is this one (--checksum) */
    HSR_WANT_DELTA = 3, /* wait for its signature, then send what differs; feature DELTA */
    HSR_WANT_DIGEST = 4, /* do not send it, say its digest (dry runs) */
    HSR_WANT_PATCH = 5, /* a small file: here are sums of the old version; feature DELTA */
    HSR_WANT_RESUME = 6, /* KEPT says what of it is here; send the rest; feature RESUME */
    HSR_WANT_REST = 7, /* the same, and after KEPT the old version's signature, as with DELTA */
    HSR_WANT_ACTION_COUNT
};

struct hsr_want_item {
    uint16_t index;
    uint8_t action;
    uint8_t block_log; /* PATCH only: blocks of 2^this bytes; the last may be short */
    uint32_t base_size; /* PATCH only: bytes of the old version, not 0 */
    struct hsr_span sums; /* PATCH only: of all its blocks; borrowed */
    uint8_t digest[HSR_DIGEST_SIZE_MAX]; /* UNLESS only */
};

struct hsr_digest_answer {
    int32_t code; /* 0, or why the source could not read it: then the digest is zero */
    uint8_t digest[HSR_DIGEST_SIZE_MAX];
};

/* LEVELS: regular files whose content moved, each counted in every level that it has reached. */
struct hsr_levels {
    uint32_t pages; /* PAGE_ACKs, the first of this session: what they say is durable */
    uint64_t received, written, durable;
};
#define HSR_LEVELS_SIZE 28u

/* LEFT: what a target keeps of files that are not complete, and what it did so far. */
struct hsr_left {
    uint64_t files;
    uint64_t bytes; /* of these that need not be sent again */
    struct hsr_totals totals;
};
#define HSR_LEFT_SIZE 72u

struct hsr_ack_item {
    uint16_t index;
    bool mend; /* it may pass: the source lists it once more, or tells of the failure */
    int32_t code; /* why this entry failed */
};

/* fixed-layout messages */
int hsr_hello_encode(const struct hsr_hello *hello, void *out, size_t size);
int hsr_hello_decode(struct hsr_span payload, struct hsr_hello *ret_hello);
int hsr_hello_ack_encode(const struct hsr_hello_ack *ack, void *out, size_t size);
int hsr_hello_ack_decode(struct hsr_span payload, struct hsr_hello_ack *ret_ack);
/** Could @name be that of a congestion control (a-z, 0-9, '_', '-'), or empty? 0, HSR_E_LIMIT or
 * HSR_E_NAME. */
int hsr_congestion_name_check(struct hsr_span name);

int hsr_open_encode(const struct hsr_open *open, void *out, size_t size);
int hsr_open_decode(struct hsr_span payload, struct hsr_open *ret_open);
int hsr_open_ack_encode(const struct hsr_open_ack *ack, void *out, size_t size);
int hsr_open_ack_decode(struct hsr_span payload, struct hsr_open_ack *ret_ack);
int hsr_join_encode(const struct hsr_join *join, void *out, size_t size);
int hsr_join_decode(struct hsr_span payload, struct hsr_join *ret_join);
int hsr_join_ack_encode(const struct hsr_join_ack *ack, void *out, size_t size);
int hsr_join_ack_decode(struct hsr_span payload, struct hsr_join_ack *ret_ack);
int hsr_reject_encode(const struct hsr_reject *reject, void *out, size_t size);
int hsr_reject_decode(struct hsr_span payload, struct hsr_reject *ret_reject);
int hsr_note_encode(const struct hsr_note *note, void *out, size_t size);
int hsr_note_decode(struct hsr_span payload, struct hsr_note *ret_note);
int hsr_done_encode(const struct hsr_done *done, void *out, size_t size);
int hsr_done_decode(struct hsr_span payload, struct hsr_done *ret_done);
int hsr_levels_encode(const struct hsr_levels *levels, void *out, size_t size);
int hsr_levels_decode(struct hsr_span payload, struct hsr_levels *ret_levels);
int hsr_left_encode(const struct hsr_left *left, void *out, size_t size);
int hsr_left_decode(struct hsr_span payload, struct hsr_left *ret_left);
int hsr_walk_end_encode(const struct hsr_walk_end *end, void *out, size_t size);
int hsr_walk_end_decode(struct hsr_span payload, struct hsr_walk_end *ret_end);

/* Digests have the session's size on the wire: @digest_size bytes, 16 or 32. What is behind them in
 * the structures is zero. */
int hsr_file_end_encode(const struct hsr_file_end *end, uint32_t digest_size, void *out,
                        size_t size);
int hsr_file_end_decode(struct hsr_span payload, uint32_t digest_size,
                        struct hsr_file_end *ret_end);
int hsr_digest_answer_encode(const struct hsr_digest_answer *answer, uint32_t digest_size,
                             void *out, size_t size);
int hsr_digest_answer_decode(struct hsr_span payload, uint32_t digest_size,
                             struct hsr_digest_answer *ret_answer);

/* STAGES: where one side's time went since the session began. Every figure only grows, so that a
 * later one makes an earlier one superfluous and the difference of two describes the time between.
 * Nanoseconds, and bytes. */
enum hsr_figure {
    HSR_FIGURE_ELAPSED, /* since the session began */
    /* threads: summed over the shards that work for the session */
    HSR_FIGURE_LANES, /* elapsed time of each */
    HSR_FIGURE_ASLEEP, /* of which its loop had nothing to do */
    HSR_FIGURE_CPU, /* it ran on a core; with the next one: both zero where it is not known */
    HSR_FIGURE_DELAY, /* it could have run, and no core was given to it */
    HSR_FIGURE_HELP, /* threads beside it that make its long calls ran: not in CPU */
    HSR_FIGURE_HELP_DELAY, /* they could have run, and no core was given to them */
    /* streams: summed over them; only time in which the loop slept */
    HSR_FIGURE_STREAMS, /* elapsed time of each, since it joined */
    HSR_FIGURE_WAIT_PEER, /* source: a send is under way; target: nothing comes */
    HSR_FIGURE_WAIT_DISK, /* source: reads; target: every chunk is being written */
    HSR_FIGURE_WAIT_HOME, /* source: no work was granted; target: a grant is awaited */
    HSR_FIGURE_WAIT_PACE, /* --bwlimit */
    HSR_FIGURE_WAIT_MEMORY, /* the shard's buffers are all in use */
    /* the home: what it waited for while its loop slept, and how long it worked */
    HSR_FIGURE_HOME_PEER, /* source: answers; target: pages */
    HSR_FIGURE_HOME_STREAMS, /* its streams */
    HSR_FIGURE_HOME_SYNC, /* a sync */
    HSR_FIGURE_HOME_WORK, /* walk, decisions, names, metadata */
    /* what was done, and how long at least one such operation was under way in a stream */
    HSR_FIGURE_PACK_TIME, /* small files read, or made */
    HSR_FIGURE_PACK_BYTES,
    HSR_FIGURE_DISK_TIME, /* reads or writes of large files */
    HSR_FIGURE_DISK_CALLS, /* the part of it that were plain calls, on the shard's thread */
    HSR_FIGURE_DISK_BYTES,
    HSR_FIGURE_HASH_TIME, /* digests of large files */
    HSR_FIGURE_HASH_BYTES,
    HSR_FIGURE_WIRE_TIME, /* sends; receives of payloads */
    HSR_FIGURE_WIRE_BYTES,
    HSR_FIGURE_COUNT
};

#define HSR_FIGURE_MAX (UINT64_C(1) << 58) /* nine years, 288 petabytes; some add up in 64 bits */

struct hsr_stages {
    uint64_t figure[HSR_FIGURE_COUNT];
};

int hsr_stages_encode(const struct hsr_stages *stages, void *out, size_t size);
int hsr_stages_decode(struct hsr_span payload, struct hsr_stages *ret_stages);

/* AHEAD: what a target's signatures before their turn came to. */
enum hsr_ahead_state {
    HSR_AHEAD_NONE, /* no deltas */
    HSR_AHEAD_OFF, /* asked for */
    HSR_AHEAD_ON,
    /* it turned itself off: */
    HSR_AHEAD_STALE, /* old versions change meanwhile */
    HSR_AHEAD_WASTED, /* most of it is not used */
    HSR_AHEAD_NO_GAPS, /* nearly all was waited for */
    HSR_AHEAD_QUICK, /* signatures take no time */
    HSR_AHEAD_NO_MEMORY, /* never on: other sessions have the memory */
    HSR_AHEAD_STATE_COUNT
};

struct hsr_ahead {
    uint64_t state; /* enum hsr_ahead_state */
    uint64_t gap_ns; /* nothing was runnable: added up over the threads */
    uint64_t used_ns; /* of that, with signatures */
    uint64_t ahead_bytes; /* of old versions: signed in gaps */
    uint64_t demand_bytes; /* signed while somebody waited */
    uint64_t hits; /* signatures that were ready when their turn came */
    uint64_t late; /* begun, not ready */
    uint64_t stale; /* whose file had changed: dropped */
    uint64_t wasted_bytes; /* signed in gaps and not used */
    /* of the threads since they began */
    uint64_t preempted; /* gaps that ended before their work */
    uint64_t turns;
    uint64_t turns_long; /* over a millisecond */
    uint64_t turn_p50_ns, turn_p999_ns, turn_max_ns; /* of the worst thread */
    uint64_t step_p999_ns; /* of a job */
};

#define HSR_AHEAD_SIZE 128u

int hsr_ahead_encode(const struct hsr_ahead *figures, void *out, size_t size);
int hsr_ahead_decode(struct hsr_span payload, struct hsr_ahead *ret_figures);

/* LIST: export, path, flags (bit 0: the path itself only) */
struct hsr_list_request {
    uint8_t self_only;
    struct hsr_span export_name;
    struct hsr_span path;
};
int hsr_list_request_encode(const struct hsr_list_request *list, void *out, size_t size);
int hsr_list_request_decode(struct hsr_span payload, struct hsr_list_request *ret_list);

/* PATHS, WANT, PAGE_ACK: lists, read one by one. *_begin checks the count against its limit. */
struct hsr_list_reader {
    struct hsr_reader reader;
    uint32_t left;
    uint64_t seen[HSR_PAGE_ENTRIES_MAX / 64]; /* WANT, PAGE_ACK: an index comes at most once */
};

int hsr_list_begin(struct hsr_list_reader *list, struct hsr_span payload, uint32_t count_max);
/** 1: an item; 0: the end, and nothing trails; negative: malformed. */
int hsr_paths_next(struct hsr_list_reader *list, struct hsr_span *ret_path);
int hsr_want_next(struct hsr_list_reader *list, uint32_t digest_size,
                  struct hsr_want_item *ret_item);
/** PAGE_ACK: *ret_level is the level at which it holds (0: nothing is promised). */
int hsr_ack_begin(struct hsr_list_reader *list, struct hsr_span payload, uint32_t count_max,
                  uint8_t *ret_level);
int hsr_ack_next(struct hsr_list_reader *list, struct hsr_ack_item *ret_item);

/* writers: begin, put until it says HSR_E_LIMIT (then the item is not in), end returns the size */
struct hsr_list_writer {
    struct hsr_writer writer;
    uint32_t count;
};
void hsr_list_start(struct hsr_list_writer *list, void *out, size_t size);
int hsr_paths_put(struct hsr_list_writer *list, struct hsr_span path);
int hsr_want_put(struct hsr_list_writer *list, uint32_t digest_size,
                 const struct hsr_want_item *item);
/** PAGE_ACK, at @level; ended by hsr_ack_finish(). */
void hsr_ack_start(struct hsr_list_writer *list, void *out, size_t size, uint8_t level);
int hsr_ack_finish(struct hsr_list_writer *list);
int hsr_ack_put(struct hsr_list_writer *list, const struct hsr_ack_item *item);
int hsr_list_finish(struct hsr_list_writer *list);

/* PACK: payload = member table, then the members' bytes one after the other, in table order. */
#define HSR_PACK_HEAD_SIZE 8u /* u32 count, u32 zero */
#define HSR_PACK_MEMBER_FIXED 16u /* page u32, index u16, flags u16, code i32, size u32; digest */
#define HSR_PACK_MEMBER_PATCH 1u /* of the flags */
#define HSR_PACK_MEMBER_SIZE_MAX (HSR_PACK_MEMBER_FIXED + HSR_DIGEST_SIZE_MAX)

struct hsr_pack_member {
    uint32_t page;
    uint16_t index;
    bool patch; /* its bytes are a patch of the old version */
    int32_t code; /* 0, or why the source could not read it: then size is 0 */
    uint32_t size; /* bytes in the pack */
    uint8_t digest[HSR_DIGEST_SIZE_MAX]; /* of the whole file, as hsr_digest_tree_final gives it */
};

static inline size_t hsr_pack_table_size(uint32_t count, uint32_t digest_size)
{
    return HSR_PACK_HEAD_SIZE + (size_t)count * (HSR_PACK_MEMBER_FIXED + digest_size);
}

/** Write the table of @count members to @out (room: hsr_pack_table_size). */
void hsr_pack_encode(const struct hsr_pack_member *members, uint32_t count, uint32_t digest_size,
                     uint8_t *out);

/** Check and read the table at the start of @payload; the sizes add up to the payload exactly.
 * @param members  room for HSR_PACK_MEMBERS_MAX */
int hsr_pack_decode(struct hsr_span payload, uint32_t digest_size, struct hsr_pack_member *members,
                    uint32_t *ret_count);

#endif
