/* The source's walk: depth first, with bounded memory whatever the tree. It is pulled entry by
 * entry; each call makes a few plain system calls. A directory is descended into where it is met,
 * so only the chain of ancestors is held: their records, at most WALK_FDS open descriptors (deeper
 * ancestors are reopened and continued at their d_off) and one getdents buffer for each of those.
 *
 * Order of what comes out: DIR, then everything below it, then DIR_END with fresh metadata. */
#ifndef HSR_TREE_WALK_H
#define HSR_TREE_WALK_H

#include "base/base.h"
#include "base/queue.h"
#include "transfer/proto/entry.h"
#include "transfer/tree/dir.h"
#include "transfer/tree/filter.h"

struct hsr_walk; /* one walk; belongs to one loop */
struct hsr_walk_job; /* a part of it that somebody else does */

/* One place to start from. */
struct hsr_walk_top {
    int base_fd; /* directory descriptor; borrowed until the walk is destroyed */
    struct hsr_span path; /* relative to base_fd, checked; "" is base_fd itself; borrowed */
    struct hsr_span name; /* name it gets at the target; ignored with `contents`; borrowed */
    bool contents; /* SRC/: its contents go into the target's root; emits DIR and DIR_END of
                      the root itself (id 0, name "") with its metadata */
    bool list; /* --files-from: parents are implied, directories are not descended into */
};

struct hsr_walk_options {
    const struct hsr_filter *filter; /* borrowed; may be NULL */
    bool xattrs;
    bool hard_links;
    bool copy_links; /* follow symlinks; with `beneath` only below base_fd */
    bool beneath; /* a server's export: nothing outside base_fd, ever */
    bool list_sockets; /* LIST: report sockets as entries */
    bool one_level; /* LIST: do not descend; no DIR_END */
    size_t links_bytes_max; /* budget of the hard-link table; beyond it links become copies */
    uint32_t first_dir; /* first directory id to give; 0: 1. For a walk that follows another */
    bool links_later; /* the caller orders the items and calls hsr_walk_link() then */
};

/* What an item is. Those after ENTRY come only from a walk that gave parts away. */
enum hsr_walk_kind {
    HSR_WALK_ENTRY, /* an entry, or with `code` a failure */
    HSR_WALK_OFFER, /* `job` is for somebody else: a directory whose DIR came before, or a slice */
    HSR_WALK_SLICED, /* a slice of `self` is over: `incomplete` */
    HSR_WALK_LISTED /* `self` was listed: `incomplete`; what it gave away may not be over */
};

struct hsr_walk_item {
    uint8_t kind; /* enum hsr_walk_kind */
    bool last; /* the end (DIR_END, LISTED, SLICED) of the job at hand, and not only of a part */
    bool incomplete; /* SLICED, LISTED: the listing has gaps */
    struct hsr_walk_job *job; /* OFFER: the caller's now */
    uint32_t nlink; /* names of a file that may be linked, with links_later; else 0 */
    int code; /* 0: `entry` is valid; else this path failed or was skipped, and why */
    bool skipped; /* with code: left out on purpose (socket, hard link kept as a copy) */
    const char *op; /* with code: what failed, "open"; static */
    struct hsr_entry entry; /* spans are valid until the next call */
    struct hsr_dir *dir; /* where the entry is; borrowed: hsr_walk_dir_hold() to keep it */
    struct hsr_dir *self; /* DIR and DIR_END: the directory itself */
    uint64_t dev; /* identity and change time, to find changes while reading */
    uint64_t ino;
    int64_t ctime_s;
    uint32_t ctime_ns;
};

/** @param tops  @top_count places; copied (what they borrow is borrowed)
 * A top that does not exist comes out as a failed item. 0, -ENOMEM. */
int hsr_walk_create(struct hsr_loop *loop, const struct hsr_walk_top *tops, unsigned top_count,
                    const struct hsr_walk_options *options, struct hsr_walk **ret_walk);

/** Next item. @return 1: *ret_item is valid, 0: the walk is over, negative: it cannot go on
 * (-ENOMEM, HSR_E_MEMORY_BOUND) */
int hsr_walk_next(struct hsr_walk *walk, struct hsr_walk_item *ret_item);

/** Keep a directory record after the walk moved on, and let it go. Any shard. */
void hsr_walk_dir_hold(struct hsr_walk *walk, struct hsr_dir *dir);
void hsr_walk_dir_release(struct hsr_walk *walk, struct hsr_dir *dir);

/* ---- several shards on one walk ----
 *
 * A walk with offers (hsr_walk_offers) gives parts of itself away as jobs: directories that it met,
 * and in a large directory slices of its names. A branch, on any shard, does a job and may give
 * away parts of that in turn. The caller puts what comes from all of them in one order in which
 *
 *   - what a job brings comes behind the OFFER of it,
 *   - what one walk brings stays in its order.
 *
 * So a DIR comes before what is in it. Who gave something away does not know when it is over: he
 * says LISTED instead of DIR_END. The caller counts: */

/** @item took its place in the order. @return a job that is to be done now: @item's own offer, or
 * the end of a directory of which this was the last missing part; NULL: none. Home thread. */
struct hsr_walk_job *hsr_walk_ordered(const struct hsr_walk_item *item);

/** How many more parts @walk may give away. None at first. A walk over several tops that pours more
 * than one into the root gives nothing away. */
void hsr_walk_offers(struct hsr_walk *walk, uint32_t count);

/** A walk for jobs, on @loop. @options as the trunk's. 0, -ENOMEM. */
int hsr_walk_branch(struct hsr_loop *loop, const struct hsr_walk_options *options,
                    struct hsr_walk **ret_branch);

/** Begin @job of @trunk in an idle branch; hsr_walk_next() then brings its items, and 0 at its end.
 * Takes @job. 0, -ENOMEM. */
int hsr_walk_begin(struct hsr_walk *branch, struct hsr_walk *trunk, struct hsr_walk_job *job);

/** A job that will not be done. Accepts NULL. */
void hsr_walk_job_free(struct hsr_walk *trunk, struct hsr_walk_job *job);

/** In a list of jobs. */
struct hsr_list *hsr_walk_job_node(struct hsr_walk_job *job);
struct hsr_walk_job *hsr_walk_job_of(struct hsr_list *node);

/** Is it the end of a directory, which is a matter of microseconds? */
bool hsr_walk_job_ends(const struct hsr_walk_job *job);

/** links_later: @entry (of file @dev, @ino, found in @dir) took its place; sets its link flags, id
 * and path, which is valid until the next call. @return false: no room in the table, it became a
 * file of its own. The trunk's thread. */
bool hsr_walk_link(struct hsr_walk *trunk, const struct hsr_dir *dir, uint64_t dev, uint64_t ino,
                   uint32_t nlink, struct hsr_entry *entry);

/** Bytes of a branch at most, for the plan. */
size_t hsr_walk_branch_bytes(void);

/** Every hold must have been released. Accepts NULL. */
void hsr_walk_destroy(struct hsr_walk *walk);

/** The directory id that would be given next: where a later walk of the same session begins. */
uint32_t hsr_walk_next_dir(const struct hsr_walk *walk);

/** Bytes of memory the walk holds now (records, buffers, hard-link table). */
size_t hsr_walk_memory(const struct hsr_walk *walk);

/* ---- reading what the walk found; any shard, through its own cache ----
 *
 * With several tops, records resolve differently at the source than at the target (the target's
 * tree is the union). A source's cache therefore resolves through the record's top: */

/** Descriptor of @dir at the source, through @cache (made by hsr_dircache_init with root_fd -1).
 * Borrowed, as hsr_dircache_get. */
int hsr_source_dir_fd(struct hsr_dircache *cache, const struct hsr_walk *walk,
                      const struct hsr_dir *dir);

/** Open a regular file for reading, found in @dir under the name the walk saw (a file that is
 * itself a top may have another name at the target: the walk knows). Any shard: reads only
 * immutable parts of the walk. Never a link (unless @follow), never a device, O_NOATIME where
 * allowed. @return descriptor, HSR_E_KIND if it is no regular file any more, HSR_E_VANISHED, -errno
 */
int hsr_source_open(struct hsr_dircache *cache, const struct hsr_walk *walk,
                    const struct hsr_dir *dir, const char *name, bool follow);

/** The same without a look at what was opened (0.4 us a file): for who reads no more than the walk
 * saw, by position only, and believes nothing of it before hsr_source_check(). It does not hang,
 * and what has no positions (a FIFO, a terminal) loses nothing to such a read. @return descriptor,
 * HSR_E_KIND only for what cannot be opened this way, HSR_E_VANISHED, -errno */
int hsr_source_open_blind(struct hsr_dircache *cache, const struct hsr_walk *walk,
                          const struct hsr_dir *dir, const char *name, bool follow);

struct hsr_source_identity {
    uint64_t dev, ino, size;
    int64_t mtime_s, ctime_s;
    uint32_t mtime_ns, ctime_ns;
};

/** Is the open file still what the walk saw? 0, or HSR_E_CHANGED, HSR_E_KIND (no file), -errno. */
int hsr_source_check(struct hsr_loop *loop, int fd, const struct hsr_source_identity *identity);

/** Next run of data at or after @offset: [*ret_start, *ret_end), widened to @leaf_size boundaries
 * and cut at @file_size. 0: there is one; 1: only a hole follows; negative: -errno. Where holes are
 * not known it is all data. */
int hsr_source_extent(struct hsr_loop *loop, int fd, uint64_t offset, uint64_t file_size,
                      uint32_t leaf_size, uint64_t *ret_start, uint64_t *ret_end);

#endif
