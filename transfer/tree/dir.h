/* Directories by held descriptors. A transfer names a directory by its record (name and parent
 * record); each shard turns records into descriptors through a small cache, component by component
 * with openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS) from the session's
 * root, so no symlink and no ".." is ever followed and a path may be longer than PATH_MAX. */
#ifndef HSR_TREE_DIR_H
#define HSR_TREE_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/ring.h"
#include "transfer/proto/entry.h"

#define HSR_DIR_DEPTH_MAX 4000u /* levels; a path of 255-byte names is then a megabyte long */

struct hsr_volume;

/* One directory of a running transfer. Immutable once published, so shards may read it while a
 * range or pack that refers to it is lent to them; freed by its owner (walk or target) only. */
struct hsr_dir {
    struct hsr_dir *parent; /* NULL: the root of the transfer */
    struct hsr_volume *volume; /* target: the file system it is on; else NULL */
    uint32_t id;
    uint16_t depth; /* root: 0 */
    uint16_t name_size;
    char name[HSR_NAME_MAX + 1]; /* NUL-ended; "" for the root */
};

#define HSR_DIRCACHE_SIZE 64u /* descriptors per shard and session */

struct hsr_dircache_slot {
    uint64_t key; /* directory id; a source's cache has the top of a root in the high half */
    int fd; /* O_RDONLY|O_DIRECTORY, or O_PATH where reading is not allowed; -1: free */
    bool path_fd; /* it is O_PATH */
    uint64_t used;
    bool inherits; /* has a default ACL, or set-gid: what is created inside needs a check */
    bool inherits_known;
};

struct hsr_dircache {
    struct hsr_loop *loop;
    int root_fd; /* borrowed */
    bool follow; /* --copy-links at a source: symlinks are followed, beneath the root */
    uint64_t clock;
    uint32_t last; /* slot of the last hit: most calls ask for the same directory again */
    bool root_inherits;
    bool root_inherits_known;
    struct hsr_dircache_slot slots[HSR_DIRCACHE_SIZE];
};

/** @param root_fd  directory descriptor; borrowed; outlives the cache */
void hsr_dircache_init(struct hsr_dircache *cache, struct hsr_loop *loop, int root_fd, bool follow);
void hsr_dircache_fini(struct hsr_dircache *cache);

/** Descriptor of @dir. Valid until HSR_DIRCACHE_SIZE further directories were asked for, so two
 * may be held at once. @return descriptor >= 0 (borrowed), or -errno (-ELOOP or -EXDEV: a symlink
 * or an escape was there; -ENOENT: it is gone) */
int hsr_dircache_get(struct hsr_dircache *cache, const struct hsr_dir *dir);

/** Does what is created in @dir inherit an ACL or a group? Asks once. */
bool hsr_dircache_inherits(struct hsr_dircache *cache, const struct hsr_dir *dir);

/** Close and forget one directory (it ended, or was replaced). */
void hsr_dircache_drop(struct hsr_dircache *cache, uint32_t id);

/** Path of @name in @dir, relative to the root, '/'-separated, into @buf: cut at the front with
 * "..." when it does not fit; NUL-ended. @name may be empty. Returns its length. */
size_t hsr_dir_path(const struct hsr_dir *dir, struct hsr_span name, char *buf, size_t size);

/* ---- roots: the operator's own paths, opened as the operator would ---- */

/** Open a directory the operator named (symlinks followed). With @create, missing components are
 * made (0755). @return descriptor or -errno */
int hsr_root_open(struct hsr_loop *loop, const char *path, bool create);

/** Open @path (relative, checked with hsr_path_valid) beneath @root_fd, never following symlinks.
 * With @create, missing directories are made (0755). @return descriptor or -errno */
int hsr_root_open_below(struct hsr_loop *loop, int root_fd, struct hsr_span path, bool create);

#endif
