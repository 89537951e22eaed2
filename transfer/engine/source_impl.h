/* What the files of the source machine share: pages, files, queues. Private to source*.c. */
#ifndef HSR_ENGINE_SOURCE_IMPL_H
#define HSR_ENGINE_SOURCE_IMPL_H

#include "transfer/engine/source.h"
#include "transfer/engine/tally.h"
#include "transfer/proto/kept.h"
#include "transfer/tree/fileio.h"

#define SOURCE_PAGE_FULL (48u * 1024) /* bytes of entries after which a page leaves */
#define SOURCE_QUEUE_SIZE (HSR_PAGES_MAX * HSR_PAGE_ENTRIES_MAX)
#define SOURCE_WORKS_PER_STREAM 3u /* one in the pipeline, one next, one on its way back */
#define SOURCE_RETRIES_MAX 256u /* changed files waiting for another try */
#define SOURCE_TRIES_MAX 3u

#define SOURCE_BATCHES 2u /* of a hand: one is filled while the other is taken */
#define SOURCE_JOBS 2u /* given to one hand at a time */
#define SOURCE_OFFERS 8u /* parts of a walk given away before a batch is handed over */

/* What a walk found, on its way to a page. */
struct source_found {
    struct hsr_dir *dir; /* held */
    struct hsr_dir *self; /* held, or NULL */
    struct hsr_walk_job *job; /* OFFER: ours */
    const char *op;
    struct hsr_source_identity identity;
    uint32_t offset, size; /* in the batch's payload: the encoded entry; of a failure the name */
    uint32_t nlink;
    int32_t code;
    uint8_t kind, type, name_size;
    bool last, incomplete, skipped, sparse;
};

/* Lent to a hand, which fills it. */
struct source_batch {
    struct hsr_crew_task task;
    bool home; /* not lent, and nothing in it */
    bool trunk; /* to the hand: begin the walk itself */
    struct hsr_walk_job *job; /* to the hand: one more part; NULL: go on with what there is */
    uint32_t offers; /* to the hand: how many parts it may give away meanwhile */
    uint32_t over; /* from the hand: parts that ended */
    int rc; /* from the hand: the walk cannot go on */
    uint16_t count, next; /* found, and taken */
    size_t size;
    uint8_t *payload; /* HSR_CONTROL_PAYLOAD_MAX */
    struct source_found found[HSR_PAGE_ENTRIES_MAX];
};

/* What the home knows of one of its hands. */
struct source_hand {
    struct source_batch batches[SOURCE_BATCHES];
    uint32_t lent; /* batches */
    uint32_t unfinished; /* parts given and not over, the walk itself included */
};

/* Ranges and packs of a stream that the target has not said to have: it does so every 64. */
#define HSR_SOURCE_SENT_MAX 512u

/* What a PACK or a RANGE_END was about. */
struct source_sent {
    uint64_t start, end, bytes;
    uint32_t page;
    int32_t rc; /* the range was cut short: why */
    uint16_t index;
    bool pack;
    bool delta; /* when the file was wanted by DELTA: it may be wanted WHOLE since then */
};

/* What it takes to go on without a stream (source_lost.c). */
struct source_lane {
    uint64_t base; /* numbers of earlier connections */
    uint64_t ended; /* PACKs and RANGE_ENDs of this one that came home */
    uint64_t taken; /* of them, the target has */
    struct source_sent *sent; /* HSR_SOURCE_SENT_MAX, by number */
    struct hsr_list held; /* hsr_work.node: came home from the lost one */
};

/* A range to be sent again. */
struct source_again {
    uint64_t start, end;
    uint32_t page;
    int32_t rc; /* nothing is sent: the file failed already */
    uint16_t index;
    bool hashed;
};

enum source_delta_wish {
    SOURCE_DELTA_NONE,
    SOURCE_DELTA_WANTED, /* its signature comes, or has come */
    SOURCE_DELTA_SENT, /* sent against the old version: may be wanted once more, whole */
    SOURCE_DELTA_AGAIN, /* wanted once more before we heard that all of it was sent */
};

struct source_entry {
    struct hsr_dir *dir; /* held by the page */
    struct hsr_source_identity identity;
    uint32_t name_offset; /* in the page's payload */
    uint8_t name_size;
    uint8_t type;
    bool sparse;
    bool wanted; /* asked for and not yet answered */
    bool asked; /* its content, at least once */
    bool failed; /* and that was told, or it is listed once more */
    int32_t mend; /* why it failed at the target, which asks for it once more; else 0 */
    bool resume; /* KEPT comes */
    bool differs; /* DIFFERS was sent: another wish comes */
    uint8_t delta; /* enum source_delta_wish */
    uint16_t slot; /* of its signature in source->deltas, + 1; 0: none */
    uint8_t lane; /* of a pack that came home: its stream, */
    uint64_t number; /* and its number there, over all connections; 0: none */
    uint64_t sent_bytes; /* large: of its content, as FILE_END said */
    struct hsr_small_sums *sums; /* wanted by PATCH; owned; NULL: no room, or none */
};

struct hsr_source_page {
    struct hsr_source *source;
    uint32_t page;
    bool used, acked;
    uint16_t count;
    uint32_t lent; /* entries wanted and not done yet */
    uint32_t sent; /* entries with SOURCE_DELTA_SENT */
    bool answered; /* WANT was heard */
    size_t size; /* encoded bytes */
    uint8_t *payload;
    struct source_entry entries[HSR_PAGE_ENTRIES_MAX];
};

enum source_slot_state {
    SOURCE_SLOT_FREE,
    SOURCE_SLOT_RECEIVING,
    SOURCE_SLOT_BUILDING, /* all sums are there: the index is made in slices */
    SOURCE_SLOT_READY, /* waits for a place among the files */
    SOURCE_SLOT_SENDING
};

/* A signature, from its first frame until FILE_END. */
struct source_delta {
    struct hsr_list node; /* FREE, BUILDING or READY: among the others, oldest first */
    uint8_t state; /* enum source_slot_state */
    uint16_t entry;
    struct hsr_source_page *page; /* stays: the entry is not done */
    struct hsr_delta_plan plan;
    uint32_t received; /* blocks */
    uint64_t room; /* bytes of `memory`, taken from the plan's pool */
    void *memory; /* of `index`; NULL: there was no room, sums are dropped */
    struct hsr_delta_index index;
};

/* What the target has of a file from an earlier session. */
struct source_kept {
    struct hsr_list node; /* source->kept */
    struct hsr_source_page *page; /* stays: the entry is not done */
    uint16_t entry;
    uint32_t count;
    struct hsr_kept_range ranges[];
};

struct hsr_source_file {
    bool used, dealt, ending;
    bool again; /* FILE_END was sent: it is open for ranges that are sent again */
    uint8_t waits; /* --inplace: stream + 1 that was lost, until that is settled; 0 */
    struct hsr_source_page *page;
    uint16_t index;
    int fd;
    struct hsr_fileio io;
    int rc;
    uint32_t works; /* ranges on streams */
    struct source_delta *delta; /* NULL: it is sent whole */
    struct source_kept *kept; /* NULL: nothing is */
    uint32_t kept_next; /* the first range that is not behind `next` */
    struct hsr_stream *stream; /* INPLACE: takes all of it, in order */
    struct hsr_source_view view;
    uint64_t next, extent_end; /* [next, extent_end) is to be dealt */
    uint64_t range;
    uint64_t bytes;
    uint32_t holes; /* left between what was dealt */
    struct hsr_tally tally;
};

/* A bounded queue of entries. */
struct source_queue {
    uint32_t head, count;
    uint32_t *items; /* page slot << 16 | index; SOURCE_QUEUE_SIZE */
};

/* A digest that the target asked for, by slot and index of the entry. */
struct source_check {
    uint8_t action; /* UNLESS: `digest` is theirs until ours is known; DIGEST */
    bool differs; /* UNLESS: it does */
    int32_t rc;
    uint8_t digest[HSR_DIGEST_SIZE_MAX];
};

struct hsr_source_retry {
    struct hsr_dir *dir; /* held */
    char name[HSR_NAME_MAX + 1];
};

struct hsr_source {
    struct hsr_session *session;
    struct hsr_walk *walk;
    struct hsr_dircache cache;
    bool walk_begun, walk_over, end_sent;
    uint32_t page_next;
    struct hsr_source_page *pages; /* HSR_PAGES_MAX */
    struct hsr_source_page *filling;
    struct source_hand *hands;
    struct hsr_list full; /* source_batch.task.node: came back, oldest first */
    struct hsr_list jobs; /* parts of the walk that nobody has */
    uint32_t job_count;
    bool entry_ready; /* `entry` is made of the next thing found, which waits for room */
    struct hsr_entry entry;
    bool link_told; /* that links become copies */
    struct source_queue small, large;
    struct source_queue unless, answers; /* to be read for a digest; that can be told */
    struct source_check *checks; /* SOURCE_QUEUE_SIZE, made when the first is asked for */
    uint64_t small_bytes;
    struct hsr_source_file files[HSR_FILES_MAX];
    struct source_delta deltas[HSR_SIGS_MAX];
    struct hsr_list deltas_free, deltas_building, deltas_ready;
    struct hsr_list kept; /* source_kept.node */
    uint32_t kept_count; /* of these; at most files_max */
    uint32_t delta_count; /* in use; at most HSR_SIGS_PER_FILE * files_max */
    uint32_t delta_blocks; /* of them; at most HSR_SIG_BLOCKS_MAX */
    struct hsr_delta_key delta_key;
    bool zeros_done; /* in this step: a file's holes were hashed for a slice of time */
    struct hsr_work *works;
    uint32_t work_count;
    struct hsr_list works_free;
    struct source_lane lanes[HSR_STREAMS_MAX];
    struct source_again *again;
    uint32_t again_count, again_room;
    /* files that changed while they were read: another, short walk after the first */
    struct hsr_source_retry *retries; /* SOURCE_RETRIES_MAX */
    uint32_t retry_count;
    uint32_t acks; /* PAGE_ACKs that came */
    uint8_t round; /* 0: the walk itself */
    struct hsr_walk_top *tops; /* of the first walk */
    uint32_t top_count;
    char *retry_paths[SOURCE_RETRIES_MAX];
    /* pull: what to send */
    char **paths;
    uint32_t path_count;
    uint32_t path_want;
};

void hsr_source_queue_push(struct source_queue *queue, uint32_t item);
bool hsr_source_queue_pop(struct source_queue *queue, uint32_t *ret_item);
uint32_t hsr_source_queue_peek(const struct source_queue *queue, uint32_t at);

/** Path of an entry, for people. */
size_t hsr_source_entry_path(const struct hsr_source_page *page, uint16_t index, char *buf,
                             size_t size);

/** One wanted entry is answered (sent, or failed with @code): the page may go. */
void hsr_source_entry_done(struct hsr_source *source, struct hsr_source_page *page, uint16_t index,
                           int code);

/** Walk options of this session. */
struct hsr_walk_options hsr_source_walk_options(const struct hsr_source *source);

/* source_walk.c: hands walk, the home puts what they found into pages */
extern const struct hsr_crew_ops hsr_source_crew;
int hsr_source_walk_create(struct hsr_source *source);
void hsr_source_walk(struct hsr_source *source);
void hsr_source_walk_destroy(struct hsr_source *source);

/* source.c: the page being filled */
/** Is there room in the window for a page with room? */
bool hsr_source_page_open(struct hsr_source *source);
/** An encoded entry takes its place in that page, with the hold on its directory: @bytes of a
 * batch, or NULL: source->entry. False: it does not fit; tried again with the next page. */
bool hsr_source_page_add(struct hsr_source *source, const struct source_found *found,
                         const uint8_t *bytes);
/** Send it if anything is in it. False: no room in the connection. */
bool hsr_source_page_flush(struct hsr_source *source);

/* hsr_source_retry.c: list again what changed; the walk begins anew with those files only. */
void hsr_source_retry(struct hsr_source *source);
/** List entry @index once more at the end. False: it had its tries, or there are too many. */
bool hsr_source_retry_add(struct hsr_source *source, const struct hsr_source_page *page,
                          uint16_t index);
/** The page is settled: what the target asks for once more is listed again, or told as failed. */
void hsr_source_retry_mend(struct hsr_source *source, struct hsr_source_page *page);
void hsr_source_retry_drop(struct hsr_source *source);

/* hsr_source_deal.c: wanted entries -> work for the streams */
/** Queue a wanted entry (slot << 16 | index) by its size. */
void hsr_source_enqueue(struct hsr_source *source, uint32_t key);
void hsr_source_deal(struct hsr_source *source);
bool hsr_source_deal_idle(const struct hsr_source *source);
void hsr_source_deal_drop(struct hsr_source *source);

/** A work is over: its result goes into its file, or to its members. */
void hsr_source_work_finish(struct hsr_source *source, struct hsr_work *work);
/** The open file of an entry, or NULL. */
struct hsr_source_file *hsr_source_file_find(struct hsr_source *source,
                                             const struct hsr_source_page *page, uint16_t index);
/** Open a file again whose FILE_END was sent. NULL: there is no place now. */
struct hsr_source_file *hsr_source_file_again(struct hsr_source *source,
                                              struct hsr_source_page *page, uint16_t index);

/* source_lost.c: lost data connections */
int hsr_source_lanes_create(struct hsr_source *source);
void hsr_source_lanes_destroy(struct hsr_source *source);
/** May @stream have another work, or are there too many that the target has not taken? */
bool hsr_source_lane_open(const struct hsr_source *source, const struct hsr_stream *stream);
/** A work came home, all sent. */
void hsr_source_lane_home(struct hsr_source *source, const struct hsr_work *work);
/** A work came home from a lost connection. */
void hsr_source_lane_hold(struct hsr_source *source, struct hsr_work *work);
/** Is anything of @file to be sent again? */
bool hsr_source_again_has(const struct hsr_source *source, const struct hsr_source_file *file);
/** Take the next range that is to be sent again, and can be. */
bool hsr_source_again_next(struct hsr_source *source, struct source_again *ret_range,
                           struct hsr_source_file **ret_file);
/** Is nothing lost that was not dealt again? */
bool hsr_source_again_idle(const struct hsr_source *source);

/* source_delta.c: signatures of old versions */
void hsr_source_delta_init(struct hsr_source *source);
/** The target wants an entry by DELTA. 0 or HSR_E_PROTOCOL. */
int hsr_source_delta_want(struct hsr_source *source, struct hsr_source_page *page, uint16_t index);
/** The target wants a small entry by PATCH. 0 or HSR_E_PROTOCOL. */
int hsr_source_patch_want(struct hsr_source *source, struct hsr_source_page *page,
                          const struct hsr_want_item *item);
/** A SIG frame. */
int hsr_source_delta_sig(struct hsr_source *source, struct hsr_source_page *page,
                         const struct hsr_frame *frame, struct hsr_span payload);
/** The target wants an entry whole after all: instead of its signature, or after it was sent. */
int hsr_source_delta_again(struct hsr_source *source, struct hsr_source_page *page, uint16_t index);
/** Make indexes, a slice. */
void hsr_source_delta_step(struct hsr_source *source);
/** The next one that is ready to be sent, or NULL. */
struct source_delta *hsr_source_delta_next(struct hsr_source *source);
void hsr_source_delta_free(struct hsr_source *source, struct source_delta *delta);
void hsr_source_delta_drop(struct hsr_source *source);

/* source_kept.c: what the target has from an earlier session */
/** The version of a file, as the walk saw it: ENTRIES carry it. */
struct hsr_digest_sum hsr_source_version(const struct hsr_source_identity *identity);
/** The target wants what of an entry it has not. 0 or HSR_E_PROTOCOL. */
int hsr_source_kept_want(struct hsr_source *source, struct hsr_source_page *page, uint16_t index);
/** A KEPT frame. */
int hsr_source_kept_heard(struct hsr_source *source, struct hsr_source_page *page, uint32_t index,
                          struct hsr_span payload);
/** A file is to be opened: what is kept of it is its own, until hsr_source_kept_end(). */
void hsr_source_kept_take(const struct hsr_source *source, struct hsr_source_file *file);
/** It was opened: take what is kept of it into its digest. Sets file->rc. */
void hsr_source_kept_begin(struct hsr_source *source, struct hsr_source_file *file);
/** Step over what is kept at file->next. False: that is all of this run of data. */
bool hsr_source_kept_skip(struct hsr_source_file *file);
/** Where a range that begins at file->next and would end at @end has to end. */
uint64_t hsr_source_kept_limit(const struct hsr_source_file *file, uint64_t end);
/** The file is done with. Harmless without. */
void hsr_source_kept_end(struct hsr_source *source, struct hsr_source_file *file);
void hsr_source_kept_drop(struct hsr_source *source);

/* source_check.c: digests that the target asked for */
/** The target wants entry @key unless, or only, its digest. 0, -ENOMEM. */
int hsr_source_check_add(struct hsr_source *source, uint32_t key, const struct hsr_want_item *item);
void hsr_source_check_step(struct hsr_source *source);
bool hsr_source_check_idle(const struct hsr_source *source);

#endif
