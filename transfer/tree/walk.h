/* The source's walk: depth first, with bounded memory whatever the tree. It is pulled entry by
 * entry; each call makes a few plain system calls. A directory is descended into where it is met,
 * so only the chain of ancestors is held: their records, at most WALK_FDS open descriptors (deeper
 * ancestors are reopened and continued at their d_off) and one getdents buffer for each of those.
 *
 * Order of what comes out: DIR, then everything below it, then DIR_END with fresh metadata. */
#ifndef HSR_TREE_WALK_H
#define HSR_TREE_WALK_H

#include "base/base.h"
#include "transfer/proto/entry.h"
#include "transfer/tree/dir.h"
#include "transfer/tree/filter.h"

struct hsr_walk; /* one walk; belongs to one loop */

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
};

struct hsr_walk_item {
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

/** Keep a directory record after the walk moved on, and let it go. Owner's thread only. */
void hsr_walk_dir_hold(struct hsr_walk *walk, struct hsr_dir *dir);
void hsr_walk_dir_release(struct hsr_walk *walk, struct hsr_dir *dir);

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

struct hsr_source_identity {
    uint64_t dev, ino, size;
    int64_t mtime_s, ctime_s;
    uint32_t mtime_ns, ctime_ns;
};

/** Is the open file still what the walk saw? 0, or HSR_E_CHANGED, or -errno. */
int hsr_source_check(struct hsr_loop *loop, int fd, const struct hsr_source_identity *identity);

/** Next run of data at or after @offset: [*ret_start, *ret_end), widened to @leaf_size boundaries
 * and cut at @file_size. 0: there is one; 1: only a hole follows; negative: -errno. Where holes are
 * not known it is all data. */
int hsr_source_extent(struct hsr_loop *loop, int fd, uint64_t offset, uint64_t file_size,
                      uint32_t leaf_size, uint64_t *ret_start, uint64_t *ret_end);

#endif
