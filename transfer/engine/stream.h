/* A stream: one data connection of a session, on the shard that owns it for life. At a source it
 * takes work (a range of a large file, or a pack of small ones) that the home grants, reads it into
 * its chunks and sends them in order; at a target it receives frames into its chunks, verifies and
 * writes them. Its `depth` chunks are the only queue for file data anywhere.
 *
 * Messages: home -> stream: START, GRANT, CLOSE; stream -> home: READY, DONE, ASK, GONE. Every cell
 * is embedded in what it is about, lent until it comes back. */
#ifndef HSR_ENGINE_STREAM_H
#define HSR_ENGINE_STREAM_H

#include "transfer/delta/match.h"
#include "transfer/delta/patch.h"
#include "transfer/engine/batch.h"
#include "transfer/engine/session.h"
#include "transfer/engine/times.h"
#include "transfer/engine/turn.h"
#include "transfer/tree/dir.h"
#include "transfer/tree/fileio.h"
#include "transfer/tree/target.h"
#include "transfer/tree/walk.h"

enum hsr_work_kind { HSR_WORK_RANGE, HSR_WORK_PACK };

struct hsr_source_file;
struct hsr_source_page;

struct hsr_source_member {
    struct hsr_source_page *page; /* stays while the work is lent */
    uint16_t index;
    int32_t code; /* result: why it was not sent */
};

/* Work lent by a source's home to one stream. */
struct hsr_work {
    struct hsr_msg msg; /* GRANT there, DONE back */
    struct hsr_list node; /* home: free list; stream: its queue */
    struct hsr_session *session;
    struct hsr_stream *stream;
    uint8_t kind;
    int rc; /* result: first error of this work */
    /* RANGE: bytes [start, end) of an open file */
    struct hsr_source_file *file;
    int fd;
    struct hsr_fileio io; /* result: what turned out to work */
    uint32_t page, index;
    uint64_t start, end, file_size;
    uint64_t bytes; /* result: sent */
    struct hsr_digest_run run; /* result: of what was read, which is hashed in order */
    /* a delta: what the target's old version has; NULL: all of it is sent */
    const struct hsr_delta_index *base; /* the file's, shared by all its works */
    const struct hsr_delta_key *key;
    struct hsr_match_cursor cursor; /* stream */
    uint64_t literal, copied; /* result: bytes of content that are sent, that are there */
    uint32_t patches; /* result: members of a pack that are patches */
    uint64_t number; /* result: of its PACK or RANGE_END on the connection, from 1; 0: none left */
    bool dropped; /* result: the connection is gone; it may have arrived all the same */
    bool hashed; /* it is sent again: its content is in the file's digest */
    uint64_t next; /* stream: next offset to read */
    uint32_t busy; /* stream: chunks in the pipeline */
    struct hsr_chunk *marked; /* stream: the empty end of a range that failed */
    /* PACK */
    uint32_t member_count;
    struct hsr_source_member *members; /* HSR_PACK_MEMBERS_MAX */
    struct hsr_pack_member *table; /* the same number; what goes out */
};

enum hsr_chunk_state {
    HSR_CHUNK_FREE,
    HSR_CHUNK_READING, /* source: file -> buffer */
    HSR_CHUNK_MATCHING, /* source: hashed, waits to be compared with the old version */
    HSR_CHUNK_READY, /* source: waits for its turn to be sent */
    HSR_CHUNK_SENDING,
    HSR_CHUNK_LINGERING, /* source: sent, but the kernel still holds the memory (zero copy) */
    HSR_CHUNK_RECEIVING, /* target */
    HSR_CHUNK_WAITING, /* target: verified, waits for the home's grant */
    HSR_CHUNK_MAKING, /* target: a patch; the old version is being read */
    HSR_CHUNK_WRITING,
    HSR_CHUNK_STATE_COUNT
};

/* One member of a pack at the target, as the home resolved it. */
struct hsr_pack_item {
    struct hsr_pack_member member;
    const uint8_t *entry; /* encoded entry in the page, which is held */
    size_t entry_size;
    const struct hsr_dir *dir; /* held */
    const char *name; /* NUL-ended when it differs from the entry's; else NULL */
    bool replace;
    uint32_t base_size; /* bytes of the old version whose sums the source has; 0: none */
    uint32_t size; /* result: bytes of the file */
    uint32_t copied; /* result: of them, by a patch from the old version */
    bool again; /* result: a patch that does not come out; it is wanted whole */
    int32_t code; /* result */
    int32_t warning; /* result: kept, but not all of its metadata */
    bool staged; /* result: it is in a batch, and its home settles it */
};

struct hsr_target_file;
struct hsr_window;

/* Of a range on its way in: units of the file (HSR_KEPT_UNIT) that are hashed as a whole. Those
 * that are also written are told to the home, which journals them. */
#define HSR_UNITS_MAX 16u /* a range of our own source has no more */
struct hsr_unit {
    uint64_t end; /* offset behind it */
    uint8_t value[HSR_DIGEST_SIZE_MAX];
};

struct hsr_units {
    struct hsr_msg msg; /* to the home: the first `told` ones; and back */
    bool out; /* the message is */
    bool wanted; /* grant: the home has a journal for this file */
    uint32_t told;
    uint32_t head, count; /* a ring; what is in the message is not touched meanwhile */
    uint64_t begin; /* of the unit that is being hashed: where the run was at its start */
    struct hsr_digest_sum before; /* the run's sum there */
    struct hsr_unit list[HSR_UNITS_MAX];
};

/* A range on its way in, or a pack: what a target's stream lends to the home and gets back. */
struct hsr_intake {
    struct hsr_msg msg;
    struct hsr_list node; /* stream: free or active */
    struct hsr_list asking; /* home: waits to be looked at, or for a place among the files */
    struct hsr_stream *stream;
    bool pack;
    bool granted, asked;
    bool ended; /* RANGE_END was seen */
    bool home; /* lent to the home now */
    uint32_t page, index;
    uint32_t busy; /* chunks of this range being received or written */
    int rc; /* grant: why it is refused; later: first error */
    int fd;
    bool sparse;
    struct hsr_fileio io;
    uint8_t *tail; /* direct: room for what follows the last whole block; the file's */
    bool tail_set; /* it was filled */
    struct hsr_turn *turn; /* tmpfs: write by plain calls, when it is our turn; else NULL */
    struct hsr_turn_waiter waiter;
    int basis_fd; /* the old version that patches copy from; -1: none may come */
    bool basis_call; /* it is read at memory speed */
    bool rewrite; /* fd holds the old version: what stays the same is not written */
    bool stale; /* the delta failed */
    uint64_t basis_size;
    struct hsr_window *window; /* in place: what was written over; the file's */
    uint64_t file_size;
    uint64_t bytes;
    uint64_t next; /* where the next frame belongs: a range has no gaps */
    struct hsr_digest_run run; /* of what was hashed, in order */
    struct hsr_units units;
    uint64_t copied; /* of them, by patches from the old version */
    struct hsr_target_file *file; /* home's */
    struct hsr_chunk *chunk; /* pack */
    struct hsr_batch *batch; /* pack: where its files wait for a sync; NULL: none is needed, or the
                                next one is asked for */
    bool done; /* stream -> home: finished, not asking */
    bool lost; /* the connection ended before the range did: it never was */
};

/* What of a chunk need not be written is told by blocks of this size. */
#define HSR_CHUNK_BLOCK 4096u
#define HSR_CHUNK_BLOCKS (HSR_CHUNK_SIZE_MAX / HSR_CHUNK_BLOCK)

/* Bytes of a chunk that are hashed, copied or written between two looks at what else waits: 50 us
 * at 5 GB/s. */
#define HSR_CHUNK_PIECE ((uint32_t)262144)

#define HSR_CHUNK_TABLE_SIZE                                                                       \
    HSR_MAX(HSR_PACK_MEMBERS_MAX * sizeof(struct hsr_pack_item),                                   \
            HSR_PATCH_ITEMS_MAX * sizeof(struct hsr_patch_item))

struct hsr_chunk {
    struct hsr_op op;
    struct hsr_link_loan loan; /* source: a zero-copy send */
    struct hsr_list node; /* source: send order; target: waiting for a grant */
    struct hsr_stream *stream;
    struct hsr_buf *buf;
    uint8_t state;
    uint32_t size; /* bytes of content, or of a pack */
    uint32_t head; /* source: bytes of the frame's payload that lie before the buffer's: a patch */
    uint32_t done; /* of which read or written so far */
    bool hashed; /* target: its payload was compared with its check */
    struct hsr_digest_sum sum; /* of what was hashed of it so far */
    uint64_t offset;
    /* times of a measured session */
    bool timed; /* this time; not every small one is */
    uint64_t begun_ns, since_ns; /* when it left FREE; when it entered its state */
    uint64_t op_ns; /* when its read or write was begun */
    struct hsr_frame frame;
    struct hsr_work *work; /* source */
    struct hsr_intake *intake; /* target */
    /* target, HSR_CHUNK_TABLE_SIZE bytes, made on first use: HSR_PACK_MEMBERS_MAX of a PACK, or
     * HSR_PATCH_ITEMS_MAX of a PATCH */
    union {
        struct hsr_pack_item *items;
        struct hsr_patch_item *patch_items;
    };
    uint32_t item_count, item_next;
    uint64_t item_offset;
    /* target, PATCH: stream_patch.c */
    uint32_t at; /* where the payload lies in the buffer */
    uint8_t phase;
    struct hsr_span patch; /* the payload, without its head */
    uint32_t patch_count, patch_next, patch_done; /* items; bytes of the one at hand */
    uint32_t made; /* bytes of the region */
    const uint8_t *literal; /* the next ones */
    uint8_t *read_buf; /* a read of the old version */
    uint32_t read_size, read_done;
    uint64_t read_offset;
    uint64_t changed[HSR_CHUNK_BLOCKS / 64]; /* blocks that differ from what the file holds */
};

struct hsr_bench_stream;
struct hsr_patcher;
struct hsr_small;

/* What a stream does between its joining and its end: the part of one kind and role. On the
 * stream's thread. */
struct hsr_stream_part {
    const char *name; /* of the task */
    void (*step)(struct hsr_stream *stream);
    bool (*idle)(const struct hsr_stream *stream); /* holds nothing of others, nothing in flight */
    void (*drop)(struct hsr_stream *stream); /* the connection is gone: give back what can be */
    /* The session stops in good order (hold.h). True: what has begun to leave has not arrived yet;
     * it is called again after whatever happens, and from time to time. NULL: nothing leaves. */
    bool (*leave)(struct hsr_stream *stream);
};

struct hsr_stream {
    struct hsr_session *session;
    struct hsr_shard *shard; /* for life */
    const struct hsr_stream_part *part;
    uint32_t index;
    struct hsr_conn *conn; /* NULL before and after */
    struct hsr_task task;
    struct hsr_timer timer; /* --bwlimit; held: when to look again */
    struct hsr_buf_waiter waiter;
    struct hsr_msg start_msg, ready_msg, close_msg, gone_msg;
    bool joined, closing, gone;
    atomic_bool unheard; /* set by the home: the peer has lost it, what leaves would not arrive */
    bool again; /* client: it takes the place of one that was lost */
    bool early; /* client: something was there before JOIN was sent: it may be REJECT, no answer */
    bool ebbing; /* target: the connection is lost, what came whole is still dealt with */
    struct hsr_msg ebb_msg;
    uint64_t ends; /* PACKs and RANGE_ENDs that left, or came */
    int rc;
    char why[HSR_CONN_WHY_SIZE]; /* words about it, where there are some */
    atomic_ullong quiet_ns; /* since when the connection is; 0: it is not. The home reads both */
    atomic_bool quiet_there; /* our bytes do not arrive; else none come */
    char congestion[HSR_CONGESTION_SIZE]; /* in use on our socket */
    char congestion_peer[HSR_CONGESTION_SIZE]; /* client: on the server's */
    uint32_t chunk_count; /* depth */
    struct hsr_chunk *chunks;
    /* source */
    struct hsr_list works; /* granted, oldest first */
    struct hsr_list sending; /* chunks in the order they must leave */
    uint32_t works_lent; /* home's count */
    bool gone_heard; /* home's: GONE has come, only works on their way back are waited for */
    bool ready; /* home's: joined */
    struct hsr_dircache cache;
    bool paced; /* waits for the timer */
    uint64_t pace_ns; /* when the head of `sending` may leave; 0: not asked yet */
    struct hsr_chunk *flying; /* being sent */
    uint32_t lingering; /* chunks in that state */
    bool cache_ready;
    bool leaving; /* all was sent, and the end of it; the peer closes when it has read that */
    struct hsr_chunk *packing; /* being filled, member by member */
    struct hsr_patcher *patcher; /* made for the first delta; owned */
    /* target */
    struct hsr_tree tree;
    bool tree_ready;
    struct hsr_list intakes_free, intakes_active;
    struct hsr_intake *intakes; /* intake_count */
    uint32_t intake_count;
    struct hsr_list waiting; /* chunks that wait for a grant or a slice of time */
    uint8_t header[HSR_FRAME_HEADER_SIZE];
    uint32_t header_have;
    struct hsr_chunk *receiving;
    uint32_t received; /* of receiving->size */
    int64_t arrived; /* result of the last receive, not looked at yet */
    bool has_arrived;
    bool lent; /* the buffer of `receiving` is in a receive */
    bool taken; /* header[] holds a decoded header that waits for a chunk */
    struct hsr_frame next; /* that header */
    struct iovec iov[2];
    struct hsr_small *small; /* made for the first small file by delta; owned */
    struct hsr_bench_stream *bench; /* of a benchmark; owned */
    struct hsr_times *times; /* the session's; NULL: it is not measured */
    uint32_t times_round; /* chunks begun, for `timed` */
    uint64_t receive_ns; /* when the receive in flight was begun; 0: it is not timed */
    struct hsr_meter meter; /* what it waits for, for "what limits it" */
};

/** Make stream @index of @session, to live on @shard. Home thread. NULL: no memory. */
struct hsr_stream *hsr_stream_create(struct hsr_session *session, uint32_t index,
                                     struct hsr_shard *shard);

/** Client: tell the stream's shard to connect and join. Home thread. */
void hsr_stream_connect(struct hsr_stream *stream);

/** Server: the joined connection has arrived on the stream's shard. Its thread. Queues JOIN_ACK. */
void hsr_stream_adopt(struct hsr_stream *stream, struct hsr_conn *conn);

/** Tell the stream to close; hsr_session_stream_gone() answers. Home thread. */
void hsr_stream_close(struct hsr_stream *stream);

/** Lend work. Home thread. */
void hsr_stream_grant(struct hsr_stream *stream, struct hsr_work *work);

void hsr_stream_free(struct hsr_stream *stream);

/* the parts: stream_source.c, stream_target.c, bench_source.c, bench_target.c */
extern const struct hsr_stream_part hsr_stream_source_part;
extern const struct hsr_stream_part hsr_stream_target_part;
extern const struct hsr_stream_part hsr_bench_source_part;
extern const struct hsr_stream_part hsr_bench_target_part;

void hsr_stream_source_granted(struct hsr_msg *msg);
void hsr_stream_fail(struct hsr_stream *stream, int rc);

/** It ends, and its session goes on without it. Its thread. */
bool hsr_stream_lost(const struct hsr_stream *stream);

/** Home -> stream: the answer to an ASK, or the return of a finished intake. */
void hsr_stream_answer(struct hsr_intake *intake);

/** Arm a receive for the rest of the payload of `receiving`, if there is one, and the next header;
 * bytes that came with the handshake are there at once. Then has_arrived, and how much in
 * `arrived`. */
void hsr_stream_receive(struct hsr_stream *stream);
void hsr_stream_received(struct hsr_link *link, int64_t received); /* the link's handler for it */

/** header[] is whole: decode it into `next`, and begin another one. 0; 1: it was a beat, and is
 * dealt with; HSR_E_CHECK, HSR_E_PROTOCOL, HSR_E_LIMIT. */
int hsr_stream_header(struct hsr_stream *stream);

/** The connection's word about itself: for how long it is quiet (0: it is not), as of now, and
 * whether it is our bytes that do not arrive. The stream's thread. */
void hsr_stream_quiet(struct hsr_stream *stream, uint64_t quiet_ns, bool there);

/** A free chunk with a buffer (state FREE, buf set), or NULL: woken when there is one. */
struct hsr_chunk *hsr_stream_chunk(struct hsr_stream *stream);
void hsr_stream_chunk_free(struct hsr_chunk *chunk);

/** Source: send it as `flying`, frame and payload; without a copy where that is on, and at most
 * half of the chunks linger. Nothing else is being sent.
 * @param returned  of its loan */
void hsr_stream_send(struct hsr_chunk *chunk, void (*returned)(struct hsr_link_loan *loan));

/** The only way to another state: a measured session counts how long the last one took. */
void hsr_chunk_enter(struct hsr_chunk *chunk, enum hsr_chunk_state state);

/** For chunks that keep their buffer: the time since the last of these calls was idle, and it sets
 * out anew; it has arrived. */
void hsr_chunk_begin(struct hsr_chunk *chunk);
void hsr_chunk_end(struct hsr_chunk *chunk);

/** A read or write of it is submitted, or a plain one begins; and is over: one of @time. @call_ns:
 * what a plain call took, if that is known; else 0. */
void hsr_chunk_op_begin(struct hsr_chunk *chunk);
void hsr_chunk_op_end(struct hsr_chunk *chunk, enum hsr_time time, uint64_t call_ns);

/** The task at hand had its slice, or its turn: it was woken for the next one, and returns now. */
bool hsr_stream_pause(struct hsr_stream *stream);

/** Take the chunk's payload, which lies at frame.offset, into @run, which ends there, or inside of
 * it after a pause. True: all of it was taken, and chunk->sum is its check. False:
 * hsr_stream_pause() was. Its time is counted. @intake: whose run it is, and whose units are
 * remembered as they end; NULL: a source's. */
bool hsr_stream_digest(struct hsr_chunk *chunk, struct hsr_digest_run *run,
                       struct hsr_intake *intake);

/** The check of the chunk's payload alone, as benchmarks have it: xxh3. */
struct hsr_digest_sum hsr_stream_check(struct hsr_chunk *chunk);

/* stream_units.c */
void hsr_units_init(struct hsr_intake *intake);
/** How many bytes the intake's run may take before a unit ends. */
uint64_t hsr_units_left(const struct hsr_intake *intake);
/** The run took no more than that: remember the unit that ended, if one did. */
void hsr_units_hashed(struct hsr_intake *intake);
/** Some of the range was written: tell the home of units. False: it has been told and did not
 * answer yet; hsr_units_heard is called then, on the stream's thread. */
bool hsr_units_tell(struct hsr_intake *intake);
void hsr_units_heard(struct hsr_intake *intake); /* stream_target.c */

/** What the stream waits for when no chunk is to be had. */
enum hsr_figure hsr_stream_chunk_waits(const struct hsr_stream *stream);

#endif
