/* Everything a target does to names: compare, make directories and special files, stage and commit
 * regular files, set metadata through descriptors, link, prune. Plain calls through the loop; the
 * caller slices. A context belongs to one shard and one session. */
#ifndef HSR_TREE_TARGET_H
#define HSR_TREE_TARGET_H

#include "base/base.h"
#include "transfer/proto/entry.h"
#include "transfer/proto/message.h"
#include "transfer/tree/dir.h"
#include "transfer/tree/filter.h"
#include "transfer/tree/journal_table.h"

/* Of a target's root, where it remembers what it has staged. */
#define HSR_JOURNAL_NAME ".hawser.journal"

/* Bytes: XATTR_LIST_MAX and XATTR_SIZE_MAX, the kernel's limits. */
#define HSR_TREE_XATTR_SIZE 65536u

struct hsr_tree {
    struct hsr_loop *loop;
    struct hsr_dircache cache;
    uint32_t options; /* HSR_OPT_x */
    uint32_t uid; /* effective ids of this process */
    uint32_t gid;
    bool root; /* may chown, mknod devices, set trusted.* and security.* */
    bool owner_refused; /* owners were not kept at least once (plain user): said once */
    bool no_clone; /* this file system has no reflinks */
    bool no_tmpfile; /* this file system has no O_TMPFILE: named stages */
    bool tmpfs; /* valid with tmpfs_known: preallocating there only costs (see stage.c) */
    bool tmpfs_known;
    uint64_t nonce; /* random: part of stage names */
    uint32_t stage_count;
    /* The first thing that could not be kept although the entry itself could (code 0: none): an
     * attribute, a set-id bit. The caller reports and clears it after each call. Owners that a
     * plain user cannot give away are not here: see owner_refused. */
    struct {
        int code;
        const char *op; /* static: "setxattr" */
    } warning;
    char xattr_names[HSR_TREE_XATTR_SIZE]; /* scratch of one call */
    uint8_t xattr_value[HSR_TREE_XATTR_SIZE];
};

/** The calling thread's umask must be 0: permission bits are given at creation.
 * @param root_fd  the session's target directory; borrowed */
void hsr_tree_init(struct hsr_tree *tree, struct hsr_loop *loop, int root_fd, uint32_t options);
void hsr_tree_fini(struct hsr_tree *tree);

/* ---- what is there already ---- */

enum hsr_compare {
    HSR_COMPARE_ABSENT, /* no such name */
    HSR_COMPARE_SAME, /* content and metadata as the entry says */
    HSR_COMPARE_METADATA, /* content by the quick check the same, metadata differs */
    HSR_COMPARE_CONTENT, /* same type, other content */
    HSR_COMPARE_OTHER_KIND /* another type of file has the name */
};

/* What differs, as bits: known for what has the same kind as the entry. */
#define HSR_DIFFERS_CONTENT (1u << 0) /* of a file or link, or the device */
#define HSR_DIFFERS_KIND (1u << 1)
#define HSR_DIFFERS_SIZE (1u << 2)
#define HSR_DIFFERS_MODE (1u << 3)
#define HSR_DIFFERS_OWNER (1u << 4)
#define HSR_DIFFERS_TIME (1u << 5)
#define HSR_DIFFERS_XATTRS (1u << 6)
#define HSR_DIFFERS_LINK (1u << 7) /* it is not the same file as another name of it */
#define HSR_DIFFERS_TEXT_SIZE 64u

/** "content, mode, mtime": the words for HSR_DIFFERS_x bits. */
void hsr_differs_text(unsigned differs, char buf[HSR_DIFFERS_TEXT_SIZE]);

struct hsr_existing {
    uint16_t differs; /* HSR_DIFFERS_x; of metadata also where content differs, with CHECKSUM or
                         DRY_RUN */
    uint64_t size;
    uint64_t dev, ino;
    uint32_t mode; /* with S_IFMT */
    uint32_t links; /* names it has */
};

/** Compare one entry (not DIR_END, not LINK_NEXT) with what has its name, by the session's options
 * (quick check: size and mtime in ns; SIZE_ONLY; CHECKSUM makes same-size files CONTENT unless the
 * caller compares digests). Symlinks: by target. Metadata: mode, owner (as root), mtime, xattrs, as
 * far as the options keep them. @return enum hsr_compare or -errno */
int hsr_tree_compare(struct hsr_tree *tree, const struct hsr_dir *dir,
                     const struct hsr_entry *entry, struct hsr_existing *ret_existing);

/* ---- entries without data ---- */

/** Make sure directory @entry exists in @parent and can be filled (owner rwx meanwhile); something
 * of another kind is replaced (a non-directory is removed). *ret_created: it is new, so nothing
 * below it needs comparing, and it is on its parent's file system; *ret_dev: of one that was there,
 * as hsr_volume_dev() says it. 0 or -errno. */
int hsr_tree_mkdir(struct hsr_tree *tree, const struct hsr_dir *parent,
                   const struct hsr_entry *entry, bool *ret_created, uint64_t *ret_dev);

/** Final metadata of directory @dir, from its DIR_END entry. *ret_changed: something differed. */
int hsr_tree_dir_finish(struct hsr_tree *tree, const struct hsr_dir *dir,
                        const struct hsr_entry *entry, bool *ret_changed);

/** What of directory @dir's metadata differs from its DIR_END entry: HSR_DIFFERS_x, or -errno. */
int hsr_tree_dir_compare(struct hsr_tree *tree, const struct hsr_dir *dir,
                         const struct hsr_entry *entry);

/** Make a symlink, FIFO, device or empty regular file with all metadata; what has the name is
 * replaced in one rename (a directory in the way: only when empty, or with OPT_DELETE its tree is
 * the caller's to prune first: -ENOTEMPTY or -EISDIR). */
int hsr_tree_make(struct hsr_tree *tree, const struct hsr_dir *dir, const struct hsr_entry *entry,
                  enum hsr_compare compare);

/** A further name of a file: link_path (relative to the root, checked) -> dir/name. An existing
 * name is replaced in one rename. *ret_same: it already was that link. 0 or -errno. */
int hsr_tree_link(struct hsr_tree *tree, const struct hsr_dir *dir, const struct hsr_entry *entry,
                  bool *ret_same);

/** Set the metadata that differs on what has the name already (content stays). */
int hsr_tree_touch(struct hsr_tree *tree, const struct hsr_dir *dir, const struct hsr_entry *entry);

/* ---- regular files: stage, fill, commit ---- */

struct hsr_stage {
    int fd; /* open for writing, or -1 */
    bool unnamed; /* O_TMPFILE: a crash leaves nothing */
    bool resumed; /* of an earlier session: its metadata is not what a new one has */
    bool replace; /* the name exists: commit goes through a rename */
    uint64_t allocated; /* bytes preallocated */
    const struct hsr_dir *dir; /* borrowed until commit or abort */
    char temp[48]; /* hidden name of a named stage: hsr_stage_name_is() knows it; "" if unnamed */
};

/** Open a stage for @entry beside its final name: unnamed where the file system can, else under a
 * hidden random name, locked with flock(2) so that others can tell it from a stale one. Files of
 * at least 1 MiB are preallocated (not SPARSE ones, which are set to their length instead).
 * @return 0 or -errno (-ENOSPC, -EDQUOT, -EROFS, -EACCES ...) */
int hsr_stage_open(struct hsr_tree *tree, const struct hsr_dir *dir, const struct hsr_entry *entry,
                   bool replace, struct hsr_stage *ret_stage);

/** The same under a hidden name always, so that a later session can find it. */
int hsr_stage_open_hidden(struct hsr_tree *tree, const struct hsr_dir *dir,
                          const struct hsr_entry *entry, bool replace, struct hsr_stage *ret_stage);

/** Open the stage of an earlier session again, and lock it. It must be a regular file of ours with
 * one name and inode number @ino, of at least @size_min bytes and not more than @entry's. One that
 * has its owner and mode already takes those of a stage again.
 * @param id  the part of its name that differs, HSR_STAGE_ID_SIZE bytes
 * @return 0, HSR_E_CHANGED: it is not that file; -ENOENT; -EWOULDBLOCK: somebody has it; -errno */
int hsr_stage_open_again(struct hsr_tree *tree, const struct hsr_dir *dir,
                         const struct hsr_entry *entry, bool replace,
                         const uint8_t id[HSR_STAGE_ID_SIZE], uint64_t ino, uint64_t size_min,
                         struct hsr_stage *ret_stage);

/** The part of a hidden stage's name that differs. */
void hsr_stage_id(const struct hsr_stage *stage, uint8_t ret_id[HSR_STAGE_ID_SIZE]);

/** Close a hidden stage and leave it where it is. */
void hsr_stage_leave(struct hsr_tree *tree, struct hsr_stage *stage);

/** Metadata through the descriptor: the stage is complete then. 0 or -errno; it stays. */
int hsr_stage_seal(struct hsr_tree *tree, struct hsr_stage *stage, const struct hsr_entry *entry);

/** Give a complete stage its name, in one step for readers, and close it. Consumes it also on error
 * (nothing is left behind then). @tree may be another shard's than the one that made it. */
int hsr_stage_publish(struct hsr_tree *tree, struct hsr_stage *stage,
                      const struct hsr_entry *entry);

/** Seal, then publish; consumes the stage as that does. With @sync the data is synced before it
 * gets the name (fdatasync). */
int hsr_stage_commit(struct hsr_tree *tree, struct hsr_stage *stage, const struct hsr_entry *entry,
                     bool sync);

/** Throw a stage away. Harmless on one that was consumed. */
void hsr_stage_abort(struct hsr_tree *tree, struct hsr_stage *stage);

/** Small file in one go, but for its name: stage, write @bytes, seal. */
int hsr_tree_stage(struct hsr_tree *tree, const struct hsr_dir *dir, const struct hsr_entry *entry,
                   const void *bytes, size_t size, bool replace, struct hsr_stage *ret_stage);

/** And with it: stage, publish. */
int hsr_tree_put(struct hsr_tree *tree, const struct hsr_dir *dir, const struct hsr_entry *entry,
                 const void *bytes, size_t size, bool replace);

/** Does this name look like one of our stages, or is it the journal's? A source never sends it, a
 * target never takes it. */
bool hsr_stage_name_is(struct hsr_span name);

/** Open the regular file of @size bytes that has the name now, to be read (--checksum).
 * @return descriptor, HSR_E_KIND, HSR_E_CHANGED: another size; or -errno */
int hsr_target_read_open(struct hsr_dircache *cache, const struct hsr_dir *dir, const char *name,
                         uint64_t size);

/* ---- pruning: --delete, stale stages, trees in the way ---- */

/* Names the source listed in one directory: 64-bit keyed hashes. A collision keeps a file that
 * should go (chance n*m/2^64), never the reverse. */
struct hsr_nameset {
    uint64_t *slots; /* open addressing; NULL when empty */
    uint32_t count;
    uint32_t size; /* slots, a power of two */
};
/** 0, or HSR_E_MEMORY_BOUND when *budget bytes are used up (it is lowered by what is taken). */
int hsr_nameset_add(struct hsr_nameset *set, uint64_t key, struct hsr_span name, size_t *budget);
bool hsr_nameset_has(const struct hsr_nameset *set, uint64_t key, struct hsr_span name);
/** Frees, and returns the bytes to *budget. */
void hsr_nameset_clear(struct hsr_nameset *set, size_t *budget);

/** What a prune did to one name: `path` relative to the root. Called before the next step. */
typedef void hsr_prune_event(void *context, const char *path, int code);

struct hsr_prune; /* a cursor over one directory */

/** Remove what is in @dir but not in @keep (NULL: remove only stale stages), depth first, in steps.
 * Names that @filter excludes stay, and so does a directory that holds one. Stale stages (ours, not
 * locked by anyone) always go and are not counted. Stops with HSR_E_DELETE_LIMIT when *left reaches
 * 0. With OPT_DRY_RUN it reports what it would do. */
int hsr_prune_create(struct hsr_tree *tree, const struct hsr_dir *dir,
                     const struct hsr_nameset *keep, uint64_t key, const struct hsr_filter *filter,
                     uint64_t *left, hsr_prune_event *event, void *context,
                     struct hsr_prune **ret_prune);
/** 1: more to do, 0: done, negative: it cannot go on. Some 64 names a step. */
int hsr_prune_step(struct hsr_prune *prune);
void hsr_prune_destroy(struct hsr_prune *prune);

/** Remove the tree that @name in @dir is, all of it (a directory in the way of something else):
 * as hsr_prune_create. */
int hsr_prune_create_name(struct hsr_tree *tree, const struct hsr_dir *dir, const char *name,
                          const struct hsr_filter *filter, uint64_t *left, hsr_prune_event *event,
                          void *context, struct hsr_prune **ret_prune);

#endif
