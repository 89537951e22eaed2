/* What the files of the target machine share. Private to target*.c. */
#ifndef HSR_ENGINE_TARGET_IMPL_H
#define HSR_ENGINE_TARGET_IMPL_H

#include "transfer/engine/batch.h"
#include "transfer/engine/sign.h"
#include "transfer/engine/tally.h"
#include "transfer/engine/target.h"
#include "transfer/proto/delta.h"
#include "transfer/tree/basis.h"
#include "transfer/tree/journal.h"
#include "transfer/tree/volume.h"

/* Large files staged at once; each holds a descriptor. More than a source has in transit: the
 * others are being synced, and when those are this many, further ones wait. */
#define TARGET_FILES_MAX (4 * HSR_FILES_MAX)
/* The same once a data connection was lost: staged files may wait for ranges that have to be sent
 * again, behind others that need a place. */
#define TARGET_FILES_LOSSY (4 * TARGET_FILES_MAX)
/* directories alive are few: ancestors, and those in the window */
#define TARGET_DIR_BUCKETS 1024u
#define TARGET_LINK_BUCKETS 1024u
#define TARGET_LINKS_FAILED 256u /* first names that failed; beyond that no link is made at all */
/* Sums of small old versions: of one slice's files, and of one page's. The size of all that a page
 * of 512 files of 10 KiB needs; what has no room is wanted whole. */
#define TARGET_SLICE_SUMS (20u * 1024)
#define TARGET_PAGE_SUMS (160u * 1024)
#define TARGET_SLICE 64u /* entries judged by one hand at a time */
#define TARGET_SLICES_PER_HAND 3u /* as many as it takes, and the one that is being filled */
/* An old version is not worth a signature below this: the file travels whole. */
#define TARGET_BASIS_MIN ((uint64_t)16384)
/* Of one of these a hand makes the sums: if it is cached that takes milliseconds at most. */
#define TARGET_PIECE_BYTES (4 * HSR_MIB)
#define TARGET_PIECE_SUMS (32 * HSR_KIB)
#define TARGET_PIECES_PER_HAND 4u /* as many as it takes, and one on its way to the source */
/* Old versions open at once, of which the source has the sums or before that: each holds a
 * descriptor. Eight times what the source may be working on, so that a long round trip finds enough
 * work for its gap. */
#define TARGET_AHEAD_MAX HSR_SIGS_MAX
#define TARGET_KEYS_MAX (HSR_PAGES_MAX * HSR_PAGE_ENTRIES_MAX)
#define TARGET_AHEAD_BYTES (4 * HSR_MIB) /* of their sums: some 512 files of 1 MiB */

/* Small files without a name, of one session: memory is in the plan, and each file of them holds a
 * descriptor. Two groups of them, and what is being named. */
#define TARGET_BATCHES_MAX 32u
/* A group is closed at the first of these. */
#define TARGET_GROUP_FILES 2048u
#define TARGET_GROUP_BYTES (64 * HSR_MIB)
#define TARGET_GROUP_LARGES (TARGET_FILES_MAX / 2) /* the next ones are staged meanwhile */
/* A file of this size is synced by itself: to write it takes longer than a sync, so that nothing
 * was gained from 16 MiB on (docs/BENCHMARKS.md), and an error of the disk is its own. */
#define TARGET_GROUP_LARGE_MAX (8 * HSR_MIB)
#define TARGET_GROUP_NS (100 * HSR_NS_PER_MS)
#define TARGET_NAMES_NS HSR_NS_PER_S /* names alone: what a power cut may take of them */
#define TARGET_NAMES_SLICE 32u /* given by a hand before others get a turn */

enum target_task_kind { TARGET_TASK_SLICE, TARGET_TASK_NAMES };

enum target_entry_state {
    TARGET_LISTED, /* not decided yet */
    TARGET_CLEARING, /* a tree has its name, which goes first (--delete) */
    TARGET_READING, /* ours is read for its digest */
    TARGET_WANTED, /* asked for; nothing has come */
    TARGET_ASKED, /* a dry run: only its digest is asked for */
    TARGET_BUSY, /* in a pack, or a large file that is staged */
    TARGET_STAGED, /* complete, in a batch: waits for a sync, then for its name */
    TARGET_LINKING, /* waits for the first name of its file */
    TARGET_ENDING, /* DIR_END: waits for what is below */
    TARGET_SETTLED
};

/* A directory of the transfer between its DIR and the end of everything below it. */
struct target_dir {
    struct hsr_dir dir; /* what shards see */
    struct target_dir *chain; /* in its bucket */
    struct hsr_list node; /* target->endings */
    uint32_t pending; /* entries not settled, and directories not finished, in it */
    bool fresh; /* made by this session: nothing in it needs comparing */
    bool phantom; /* a dry run would have made it */
    int dead; /* it could not be made: nothing below it can */
    bool failed; /* something below it failed: delete nothing here */
    bool ended;
    bool changed; /* something was made or removed in it */
    struct hsr_nameset keep;
    bool keep_over; /* too many names to remember: delete nothing here */
    struct target_page *end_page;
    uint16_t end_index;
    struct hsr_prune *prune;
    bool pruned;
};

struct target_entry {
    uint32_t offset, size; /* its encoded form in the page */
    struct target_dir *dir;
    uint8_t state;
    bool replace;
    bool link_first;
    uint16_t differs; /* HSR_DIFFERS_x: as far as it was compared */
    int32_t code;
    bool mend; /* it failed, and may not when it is listed once more: the source tells of it */
    uint32_t link_id;
    uint32_t link_chain; /* next key + 1 in its bucket */
    bool delta; /* wanted by DELTA: patches may come */
    uint32_t patch_base; /* wanted by PATCH: bytes of its old version; else 0 */
    bool queued; /* for its signature */
    bool resuming; /* wanted by RESUME, KEPT was not sent */
    bool offered; /* KEPT was sent, FILE_END has not come */
    struct target_kept *kept; /* its stage of an earlier session, until it is gone on with */
    struct target_basis *basis; /* its old version, from the opening on; else NULL */
    struct hsr_target_file *file;
};

struct target_page {
    bool used, decided, want_sent;
    uint32_t page;
    uint16_t count, next; /* entries, and how many were begun */
    uint16_t slices; /* lent to hands */
    uint16_t clearing; /* entries of which a tree has the name */
    uint16_t reading; /* entries of which ours are being read */
    uint32_t pending; /* entries not settled */
    uint32_t failed;
    size_t size;
    uint8_t *payload;
    struct hsr_file_end *ends; /* FILE_END of each entry, made when the first comes; code 1: none */
    struct target_check *checks; /* of each entry, made when the first is read */
    struct target_entry entries[HSR_PAGE_ENTRIES_MAX];
    uint8_t *sums; /* of PATCH items, until WANT is sent: TARGET_PAGE_SUMS bytes, or NULL */
    uint32_t sums_size; /* used */
    uint16_t want_count;
    struct hsr_want_item wants[HSR_PAGE_ENTRIES_MAX];
};

/* The old version of a file that is wanted by DELTA (target_basis.c). */
struct target_basis {
    struct hsr_list node; /* target->signing, while sums are missing at the source */
    struct hsr_basis basis;
    struct target_page *page;
    uint16_t index;
    struct hsr_delta_plan plan;
    uint64_t dealt; /* up to here the base was given to hands */
    uint32_t sent; /* blocks whose sums were sent */
    uint8_t *shelf; /* sums made ahead: room for all of them; else NULL */
    bool ahead; /* opened before its turn, which has not come yet */
    struct hsr_list pieces; /* target_piece.node, in order: lent, or waiting to be sent */
    int rc; /* why it cannot be read */
    bool counted; /* the source has, or will have, its sums in memory */
    bool dropped; /* freed when its last piece is back */
};

/* A part of a signature: a hand makes it, the home sends it. */
struct target_piece {
    struct hsr_crew_task task;
    struct hsr_list node; /* target->pieces_free, or its base's */
    struct target_basis *basis;
    struct hsr_sign sign;
    bool begun, done;
    bool ahead; /* one of those that are made ahead: its sums are on the base's shelf */
    atomic_bool gone; /* nobody wants it any more */
    uint8_t *sums; /* borrowed: TARGET_PIECE_SUMS bytes, or a part of the shelf */
};

/* Signatures made before their turn, in gaps (target_ahead.c). */
struct target_ahead {
    uint8_t state; /* enum hsr_ahead_state */
    bool room_taken; /* of the memory for deltas */
    bool may_stop; /* when it does not pay: --ahead=auto */
    bool full; /* the next one does not fit, or cannot be opened: until one leaves */
    struct hsr_crew crew;
    struct hsr_job job; /* the home's: opens, and deals to the hands */
    struct target_piece *pieces;
    struct hsr_list pieces_free;
    struct hsr_list bases; /* target_basis.node: opened ahead, in transfer order */
    uint32_t count; /* of them: the first ones of target->deltas */
    uint64_t bytes; /* on shelves */
    uint64_t need; /* of the next one */
    uint64_t demand_bytes; /* of old versions, signed by the hands that do not work ahead */
    uint64_t hits, late, stale, wasted;
    struct hsr_ahead look; /* when it was last asked whether it pays */
};

/* A stage of an earlier session, opened and locked. */
struct target_kept {
    struct hsr_stage stage;
    uint32_t slot; /* in the journal */
    uint32_t count; /* ranges, as they are told to the source; owned */
    struct hsr_kept_range *ranges;
    struct target_reread *reread; /* until all of it was read again; owned; else NULL */
};

/* A stage that is read again (target_reread.c). */
struct target_reread {
    struct hsr_list node; /* target->rereads.list */
    struct target_page *page;
    uint16_t index;
    uint32_t count, dealt, home; /* parts; given to hands; and back */
    bool judged; /* all are home, and the journal knows */
    struct target_part {
        struct hsr_kept_range at;
        bool bad;
    } parts[];
};

struct target_rereads {
    bool on; /* there is memory for them */
    struct hsr_crew crew;
    struct target_reread_task *tasks;
    struct hsr_list tasks_free;
    struct hsr_list list; /* target_reread.node */
};

/* What is kept for, and of, other sessions (target_journal.c). */
struct target_resume {
    struct hsr_journal *journal; /* NULL: none in this session */
    bool said; /* why it cannot be used */
    bool heard; /* a sync of some file ended */
    uint32_t *queue; /* ring of keys: entries wanted by RESUME, of which KEPT was not sent */
    uint32_t head, count;
    uint32_t offered; /* entries */
    uint64_t fresh; /* bytes journaled since files were synced last */
    uint64_t sync_ns; /* when that was */
};

/* What a hand finds out about an entry, and what it has done already. */
enum target_deed {
    TARGET_COMPARED, /* nothing */
    TARGET_UNREAD, /* --checksum: of the same size; its digest must be compared */
    TARGET_TOUCHED, /* its metadata was set: `rc` */
    TARGET_MADE /* it needs no data and was made: `rc` */
};

struct target_verdict {
    uint16_t index; /* in the page */
    bool fresh; /* nothing can have the name: it was not looked for */
    bool in_way; /* a directory has the name and goes first */
    bool basis; /* a delta may pay: the name is a regular file of some size */
    uint8_t deed; /* enum target_deed */
    int32_t compare; /* enum hsr_compare, or -errno */
    int32_t rc; /* of the deed */
    int32_t warning; /* what could not be kept, or 0 */
    const char *warning_op;
    uint16_t differs; /* HSR_DIFFERS_x */
    uint8_t block_log; /* of the sums of its old version */
    uint32_t base_size; /* bytes of that; 0: there are none */
    struct hsr_span sums; /* in the slice */
};

/* Entries of one page, judged by one hand. What it reads of the page and the directories does not
 * change meanwhile: a page with a slice out is not settled. */
struct target_slice {
    struct hsr_crew_task task;
    struct hsr_target *target;
    struct target_page *page;
    uint16_t count, next; /* verdicts, and how many the hand has given */
    uint8_t *sums; /* of small old versions: TARGET_SLICE_SUMS bytes; NULL: no deltas */
    uint32_t sums_size; /* used */
    struct target_verdict verdicts[TARGET_SLICE];
};

/* The huge pages of a file in a tmpfs, in order (target_huge.c). */
struct hsr_huge_plan {
    struct hsr_op op; /* makes those of a window */
    uint64_t end; /* where what is made ends */
    uint64_t last; /* where what can be made at all ends; 0: none in this file */
    bool heard; /* a window is ready, and the next one was not begun */
};

/* A large file between its first byte and its commit. */
struct hsr_target_file {
    struct hsr_list node; /* target->files */
    struct hsr_session *session;
    struct target_page *page;
    uint16_t index;
    struct hsr_stage stage; /* fd -1: written in place */
    struct hsr_basis place; /* the file itself, written in place; fd -1: a stage is */
    int fd; /* of one of them; borrowed */
    struct target_basis *basis; /* patches are made from it; NULL: none */
    bool rewrite; /* `fd` holds the old version: what is the same need not be written */
    bool stale; /* the delta failed: the file is wanted whole */
    bool lossy; /* it was there when a data connection was lost: it may wait for a range */
    struct hsr_window *window; /* in place with a delta; owned */
    struct hsr_stream *writer; /* with a window: the only stream that may write */
    struct hsr_turn turn; /* tmpfs: one stream writes at a time */
    struct hsr_entry entry; /* spans borrow from the page */
    int rc;
    struct hsr_fileio io;
    uint8_t *tail; /* direct: one block, for what follows the last whole one; else NULL */
    bool tail_set;
    uint32_t borrows; /* ranges on streams */
    uint64_t bytes;
    struct hsr_tally tally;
    struct hsr_huge_plan huge;
    int slot; /* in the journal, or -1 */
    uint64_t fresh; /* bytes journaled since its last sync */
    struct hsr_op sync_op; /* fdatasync on the way, for the journal */
    int sync_rc;
    bool sync_heard;
    struct hsr_op op; /* fdatasync before the commit: a file of its own */
    struct hsr_list group; /* target_groups.open_large or synced_large; else in none */
    bool synced;
    bool finishing;
    bool summing; /* all has come, and holes are hashed */
};

/* What waits for syncs (target_group.c). */
struct target_groups {
    bool on; /* the session is to be durable, and writes */
    struct hsr_volumes volumes;
    struct hsr_batch *batches[TARGET_BATCHES_MAX]; /* made when needed */
    uint32_t batch_count;
    /* hsr_batch.task.node: unused; not covered yet; covered by the sync under way; to be named */
    struct hsr_list free, open, synced, named;
    struct hsr_list asking; /* intakes that wait for a batch */
    struct hsr_list open_large, synced_large; /* hsr_target_file.group: the same for large files */
    uint32_t staged; /* files in batches that are here or at hands, and large ones in these */
    uint32_t open_files, open_larges;
    uint64_t open_bytes, open_ns; /* since when */
    bool syncing;
    bool sync_done; /* of one file system: the task goes on with the next */
    struct hsr_op op;
    uint64_t synced_ns; /* when the last one ended */
    uint64_t covered; /* files named when the last one began */
    uint32_t pages, covered_pages; /* PAGE_ACKs sent; by then */
    struct hsr_levels levels;
    bool tell; /* these have moved */
    struct hsr_timer timer;
};

struct hsr_target {
    struct hsr_session *session;
    struct hsr_tree tree;
    struct target_page *pages; /* HSR_PAGES_MAX */
    uint32_t page_next; /* number of the page that must come next */
    uint32_t decide_next; /* and of the one whose entries are being begun */
    struct target_slice *slices;
    uint8_t *slices_sums; /* of all of them */
    struct hsr_list slices_free;
    struct hsr_list judged; /* slices that came back, oldest first */
    struct target_slice *filling; /* of the page being begun; NULL: none */
    struct hsr_hand *hand; /* that will get it */
    bool walk_ended;
    uint64_t acks; /* PAGE_ACKs sent */
    uint64_t acks_mend; /* the last of them that asked for an entry once more; 0: none */
    uint64_t acks_heard; /* that the source had received when it sent WALK_END */
    struct target_groups groups;
    uint32_t ending_count; /* entries in that state */
    struct target_dir root;
    uint8_t *root_end; /* the root's last DIR_END, encoded: a file sent again may come after it */
    size_t root_end_size;
    struct target_dir *dirs[TARGET_DIR_BUCKETS];
    struct target_dir *dirs_free;
    uint32_t dir_count;
    struct hsr_list endings; /* target_dir: ended, nothing pending */
    struct hsr_list files;
    uint32_t file_count;
    uint32_t files_max;
    struct hsr_list arrived; /* intakes that were not looked at yet */
    struct hsr_list asking; /* those that wait for a place among the files */
    bool holes_waiting; /* files without data may do so too */
    uint32_t tail_count; /* of which have a block for their end */
    uint32_t file_syncs; /* under way */
    uint32_t links[TARGET_LINK_BUCKETS]; /* key + 1 of unsettled first names */
    uint32_t *linking; /* keys of entries that wait for one */
    uint32_t linking_count;
    bool links_moved; /* a first name settled: look at `linking` again */
    uint32_t links_failed[TARGET_LINKS_FAILED];
    uint32_t links_failed_count;
    uint64_t names_key;
    size_t names_budget;
    uint64_t delete_left;
    bool delete_stopped;
    uint32_t *reading; /* keys of entries to be read: a ring, made when the first is */
    uint32_t reading_head, reading_count;
    uint32_t *compared; /* dry runs: keys of entries that both sides have read */
    uint32_t compared_count;
    uint32_t clearing; /* entries in that state, on all pages */
    uint32_t clearing_key; /* the one `way` is for */
    struct hsr_prune *way; /* clears a tree that is in the way of an entry */
    /* deltas */
    bool deltas_on; /* the session may, and there is memory */
    uint32_t *deltas; /* ring of keys of entries wanted by DELTA, not opened yet */
    uint32_t deltas_head, deltas_count;
    struct hsr_list signing; /* target_basis.node: oldest first */
    struct hsr_crew signers;
    struct target_piece *pieces;
    uint8_t *pieces_sums;
    struct hsr_list pieces_free;
    struct target_ahead ahead;
    struct hsr_delta_key delta_key;
    struct target_resume resume;
    struct target_rereads rereads;
    uint32_t bases; /* counted ones */
    uint64_t bases_blocks; /* of these */
    uint32_t closing; /* old versions that a thread closes (target_replaced.c) */
    bool owner_said;
    bool kept_said; /* that names were kept because a file changed */
    bool files_summing; /* some file is */
    bool files_synced; /* a file's data is synced: it can be committed */
    bool huge_heard; /* a window of some file is ready */
    bool huge_refused; /* no more of them in this session */
    bool changed; /* anything at all: else nothing needs syncing */
};

/* target.c */
struct target_page *hsr_target_page_find(struct hsr_target *target, uint32_t page);
/** Decode entry @index of @page; it was checked when the page came. Applies the top's new name. */
void hsr_target_entry_read(struct hsr_target *target, struct target_page *page, uint16_t index,
                           struct hsr_entry *ret_entry);
/** @code: 0 or why not; @op says what failed when the target is the one to tell (NULL: the source
 * knows and tells). */
void hsr_target_settle(struct hsr_target *target, struct target_page *page, uint16_t index,
                       int code, const char *op);
/** A note about one entry, with NAMES; and the totals. */
void hsr_target_tell(struct hsr_target *target, const struct target_dir *dir,
                     const struct hsr_entry *entry, enum hsr_note_event event);
/** A dry run: the same, with what differs (HSR_DIFFERS_x). */
void hsr_target_differs(struct hsr_target *target, const struct target_dir *dir,
                        const struct hsr_entry *entry, enum hsr_note_event event, unsigned differs);
/** Is there room to tell of some names? A dry run is there to tell, so it waits; its `writable`
 * wakes the session. */
bool hsr_target_may_tell(const struct hsr_target *target);
/** Say what tree->warning holds, and clear it. */
void hsr_target_warn(struct hsr_target *target, const struct target_dir *dir,
                     const struct hsr_entry *entry, int code, const char *op);

/* hsr_target_decide.c */
void hsr_target_decide(struct hsr_target *target);
void hsr_target_links(struct hsr_target *target);
/** A file is to be asked for: all of it, what is missing of it, or what differs (@delta: it may be
 * wanted by DELTA). */
void hsr_target_want_file(struct hsr_target *target, struct target_page *page, uint16_t index,
                          const struct hsr_entry *entry, bool delta);
/** An entry is to be asked for: it is in the page's WANT. */
void hsr_target_want(struct target_page *page, uint16_t index, const struct hsr_want_item *item);
/** Is everything known that the answer to this page says? */
void hsr_target_page_check(struct hsr_target *target, struct target_page *page);
/** -n: count and say what would happen, by enum hsr_compare and what differs. */
void hsr_target_dry(struct hsr_target *target, struct target_page *page, uint16_t index,
                    const struct hsr_entry *entry, int compare);

/* target_small.c: small files by delta */
/** Wants a changed file by PATCH if its old version's sums are there, and have room; false: no. */
bool hsr_target_small_want(struct hsr_target *target, struct target_page *page,
                           const struct target_verdict *verdict);
/** Its patch did not come out: want all of it. */
void hsr_target_small_again(struct hsr_target *target, struct target_page *page, uint16_t index);
/** The sums of this page were sent, or will not be. */
void hsr_target_small_sent(struct hsr_target *target, struct target_page *page);

/* target_check.c: --checksum */
/** Have ours read, so that digests can be compared. 0, -ENOMEM. */
int hsr_target_check_add(struct hsr_target *target, struct target_page *page, uint16_t index);
/** Digests alone: only the source's is asked for, where there is one. */
void hsr_target_check_ask(struct hsr_target *target, struct target_page *page, uint16_t index,
                          const struct hsr_entry *entry);
/** Read on, and settle what was compared. */
void hsr_target_check_step(struct hsr_target *target);
/** Does the source have our digest, and has not sent the file: so that it may say SAME or DIFFERS?
 */
bool hsr_target_check_told(const struct target_page *page, uint32_t index);
/** DIFFERS came: it is wanted by what costs least. */
int hsr_target_check_differs(struct hsr_target *target, struct target_page *page, uint32_t index);
/** Is everything that is wanted of a page said, so that KEPT and SIG may follow? */
static inline bool hsr_target_want_said(const struct target_page *page)
{
    return page->want_sent && page->want_count == 0;
}
/** DIGEST came. */
int hsr_target_check_heard(struct hsr_target *target, struct target_page *page, uint32_t index,
                           const struct hsr_digest_answer *answer);

/* target_judge.c: the part of a decision that needs no order, on any shard */
extern const struct hsr_crew_ops hsr_target_crew;
/** The verdicts of a slice are there (target_decide.c). Home thread. */
void hsr_target_judged(struct hsr_session *session, struct hsr_crew_task *task);

/* target_basis.c: signatures of old versions */
extern const struct hsr_crew_ops hsr_target_signers;
int hsr_target_bases_create(struct hsr_target *target);
/** An entry was wanted by DELTA: its signature will be made when its turn comes. */
void hsr_target_basis_want(struct hsr_target *target, struct target_page *page, uint16_t index);
/** Open, lend, send; bounded by what there is room for. */
void hsr_target_bases_step(struct hsr_target *target);
/** The source has sent the file: it needs no sums any more. */
void hsr_target_basis_ended(struct hsr_target *target, struct target_entry *entry);
/** The entry needs its old version no more; harmless without one. */
void hsr_target_basis_drop(struct hsr_target *target, struct target_page *page, uint16_t index);
void hsr_target_bases_destroy(struct hsr_target *target);
/** Open the old version of an entry, and plan its signature. 0, or why not: never -EAGAIN. */
int hsr_target_basis_open(struct hsr_target *target, struct target_page *page, uint16_t index,
                          struct target_basis *basis);
/** What both crews do: make the sums of a piece, and take it home. */
int hsr_target_signer_begin(struct hsr_hand *hand);
void hsr_target_signer_end(struct hsr_hand *hand);
bool hsr_target_signer_busy(const struct hsr_hand *hand);
void hsr_target_signer_back(struct hsr_session *session, struct hsr_crew_task *task);
/** Cut the next piece of @basis for @hand, and lend it. piece->sums is set. */
void hsr_target_piece_lend(struct hsr_target *target, struct target_basis *basis,
                           struct target_piece *piece, struct hsr_hand *hand);
/** Give a piece back. */
void hsr_target_piece_free(struct hsr_target *target, struct target_piece *piece);

/* target_ahead.c: signatures before their turn */
int hsr_target_ahead_create(struct hsr_target *target);
/** There may be something to do in the next gap. */
void hsr_target_ahead_step(struct hsr_target *target);
/** Is all of the signature there, made ahead? */
bool hsr_target_ahead_whole(const struct target_basis *basis);
/** The entry at the head of the queue is @basis, opened ahead, and the source may have its sums:
 * will they soon be made in gaps, and has the source others meanwhile? If no gap comes, they, and
 * those of the next ones that the source may have, are in demand. */
bool hsr_target_ahead_waits(struct hsr_target *target, const struct target_basis *basis);
/** The turn of the entry at the head of the queue has come, and it was opened ahead. True: what was
 * made of it is good; false: it was dropped, and is to be opened. */
bool hsr_target_ahead_use(struct hsr_target *target, struct target_basis *basis);
/** @basis leaves without having been used. */
void hsr_target_ahead_drop(struct hsr_target *target, struct target_basis *basis);
/** Its sums are not needed any more. */
void hsr_target_ahead_shelf_free(struct hsr_target *target, struct target_basis *basis);
/** The queue's head moved: what did not fit may do so now. */
void hsr_target_ahead_moved(struct hsr_target *target);
/** Call the hands home; true when all are. Again and again does no harm. */
bool hsr_target_ahead_close(struct hsr_target *target);
void hsr_target_ahead_destroy(struct hsr_target *target);

/* target_dir.c */
struct target_dir *hsr_target_dir_find(struct hsr_target *target, uint32_t id);
int hsr_target_dir_begin(struct hsr_target *target, struct target_page *page, uint16_t index,
                         const struct hsr_entry *entry);
void hsr_target_dir_end(struct hsr_target *target, struct target_page *page, uint16_t index,
                        const struct hsr_entry *entry);
void hsr_target_dir_less(struct hsr_target *target, struct target_dir *dir);
void hsr_target_dirs_finish(struct hsr_target *target);
/** The root changed after its end (a file that was sent again): set its metadata once more. */
void hsr_target_root_again(struct hsr_target *target);
void hsr_target_dirs_free(struct hsr_target *target);
void hsr_target_deleted(void *context, const char *path, int code);

/* target_file.c */
/** What streams have sent, for a slice of time; all of it when the session closes. To make a file
 * or to give it its name is a step of that. */
void hsr_target_intakes_step(struct hsr_target *target);
/** A stream asks for a grant, or gives an intake back. It is answered, or waits. */
void hsr_target_intake(struct hsr_session *session, struct hsr_intake *intake);
int hsr_target_file_ended(struct hsr_target *target, struct target_page *page, uint16_t index,
                          const struct hsr_file_end *end);
/** Files that waited for others get their turn; all of them when the session closes. */
void hsr_target_files_asked(struct hsr_target *target);
/** Hash holes for a slice of time, as the digests of complete files need it. */
void hsr_target_files_sum(struct hsr_target *target);
/** Commit the files whose data has been synced. */
void hsr_target_files_commit(struct hsr_target *target);
void hsr_target_files_free(struct hsr_target *target);
/** Finish @file, which is gone then, if all of it is here. */
void hsr_target_file_check(struct hsr_target *target, struct hsr_target_file *file);

/** Has its content and its name: count, tell, settle. @warning: 0, or what was not kept. */
void hsr_target_committed(struct hsr_target *target, struct target_page *page, uint16_t index,
                          uint64_t bytes, int warning);

/* target_group.c */
void hsr_target_groups_create(struct hsr_target *target);
void hsr_target_groups_destroy(struct hsr_target *target);
/** Give batches to packs that wait, sync, have names given: what is due. */
void hsr_target_groups_step(struct hsr_target *target);
/** A pack is here: take the batch that it filled, and give it one for what is left of it, if that
 * needs one. False: it waits, and is answered later. */
bool hsr_target_batch_grant(struct hsr_target *target, struct hsr_intake *intake);
/** A pack is done: take its batch. */
void hsr_target_batch_take(struct hsr_target *target, struct hsr_intake *intake);
/** A large file is complete but for its name: have it synced with others. False: it is to be synced
 * by itself. */
bool hsr_target_group_file(struct hsr_target *target, struct hsr_target_file *file);
/** It is to be named, or is given up: it waits for no sync any more. */
void hsr_target_group_drop(struct hsr_target *target, struct hsr_target_file *file);
/** A batch came back from its hand: settle its files. */
void hsr_target_named(struct hsr_target *target, struct hsr_batch *batch);
/** Everything is settled: is it as durable as can be? Else a sync is under way. */
bool hsr_target_groups_durable(struct hsr_target *target);
/** Does a sync hold the home up? */
bool hsr_target_groups_hold(const struct hsr_target *target);

/* target_journal.c */
int hsr_target_journal_create(struct hsr_target *target);
/** A file is to be had: by what action? Knows and queues what is kept of it. @delta: it may be
 * wanted by DELTA. */
enum hsr_want_action hsr_target_journal_want(struct hsr_target *target, struct target_page *page,
                                             uint16_t index, const struct hsr_entry *entry,
                                             bool delta);
/** Tell sources what is kept, sync, write. */
void hsr_target_journal_step(struct hsr_target *target);
/** The session stops: sync and write what has come. True: nothing is under way or left to do. */
bool hsr_target_journal_flush(struct hsr_target *target);
/** Shall the stage of @file be one that a later session can find? */
bool hsr_target_journal_wants(const struct hsr_target *target, const struct hsr_target_file *file);
/** Its stage was opened. */
void hsr_target_journal_begin(struct hsr_target *target, struct hsr_target_file *file);
/** Go on with the stage that is kept of an entry: file->stage, its digest. 0 or why not. */
int hsr_target_journal_adopt(struct hsr_target *target, struct hsr_target_file *file,
                             struct target_entry *entry);
/** It has its name, or is thrown away. Harmless without. */
void hsr_target_journal_end(struct hsr_target *target, struct hsr_target_file *file);
/** The session is over: was @file left for a later one? Else its stage is the caller's to abort. */
bool hsr_target_journal_leave(struct hsr_target *target, struct hsr_target_file *file);
/** FILE_END of the entry came, or it was settled without: @keep what is kept, if it still is. */
void hsr_target_journal_ended(struct hsr_target *target, struct target_entry *entry, bool keep);
/** All is settled: the journal goes, before the root gets its times. False: not yet. */
bool hsr_target_journal_finish(struct hsr_target *target);
bool hsr_target_journal_idle(const struct hsr_target *target);
void hsr_target_journal_destroy(struct hsr_target *target);

/** Say what is kept of an entry, for which `kept` was found, or was not. False: there is no room
 * now. */
bool hsr_target_journal_tell(struct hsr_target *target, struct target_page *page, uint16_t index);
/** Give an entry's kept stage up, or @keep it for a later session. */
void hsr_target_journal_unkeep(struct hsr_target *target, struct target_entry *entry, bool keep);
/** What the journal has of an entry's kept stage, to be told. False: nothing, or no memory: it is
 * not used. */
bool hsr_target_journal_ranges(struct hsr_target *target, struct target_entry *entry);

/* target_reread.c: --verify-resume */
int hsr_target_rereads_create(struct hsr_target *target);
/** An entry's `kept` was found: read it again before it is told. False: no memory. */
bool hsr_target_reread_begin(struct hsr_target *target, struct target_page *page, uint16_t index);
/** Lend, judge, tell; bounded. */
void hsr_target_rereads_step(struct hsr_target *target);
void hsr_target_rereads_destroy(struct hsr_target *target);

/* target_replaced.c */
/** Memory for old versions that are being closed. */
size_t hsr_target_replaced_bytes(void);
/** A large file is about to replace what has its name: hold that, so that it is not freed by this.
 * @ret_held gets it, with fd -1 where there is nothing worth it. */
void hsr_target_replaced_hold(struct hsr_target *target, const struct hsr_target_file *file,
                              struct hsr_basis *ret_held);
/** Close @basis, which was only read and may be the last that knew its file: a large one without
 * waiting for it. hsr_target_idle() knows when it has ended. */
void hsr_target_replaced_close(struct hsr_target *target, struct hsr_basis *basis);

/* target_huge.c */
/** A stage was opened: begin to make its huge pages, if it shall have some. @return 0 or -errno of
 * ftruncate(2) */
int hsr_target_huge_begin(struct hsr_target *target, struct hsr_target_file *file);
/** Begin the next windows where one is ready. */
void hsr_target_huge_step(struct hsr_target *target);

#endif
