/* Entries without data: directories, symlinks, FIFOs, devices, further names, metadata alone.
 *
 * What is made under its final name at once (nothing had it) gets its metadata a moment later, so
 * it is opened again with O_PATH | O_NOFOLLOW and must be what was made: the kind, the device, ours
 * and with one name, else somebody put another file there. */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "transfer/tree/at.h"
#include "transfer/tree/meta.h"
#include "transfer/tree/stage.h"
#include "transfer/tree/volume.h"

static int mkdir_fill(struct hsr_tree *tree, int fd, const char *name, uint64_t *ret_dev);
static int make_node(struct hsr_tree *tree, int dir_fd, const char *name,
                     const struct hsr_entry *entry);
static int make_metadata(struct hsr_tree *tree, const struct hsr_dir *dir, int dir_fd,
                         const char *name, const struct hsr_entry *entry);
static int make_replace(struct hsr_tree *tree, const struct hsr_dir *dir, int dir_fd,
                        const char *name, const struct hsr_entry *entry);
static int link_open_first(struct hsr_tree *tree, struct hsr_span path,
                           char name[HSR_NAME_MAX + 1]);
static int link_replace(struct hsr_tree *tree, int first_fd, const char *first, int dir_fd,
                        const char *name);

/* ---- directories ---- */

int hsr_tree_mkdir(struct hsr_tree *tree, const struct hsr_dir *parent,
                   const struct hsr_entry *entry, bool *ret_created, uint64_t *ret_dev)
{
    char name[HSR_NAME_MAX + 1];
    struct hsr_op op = {
        .kind = HSR_OP_MKDIR, .path = name, .mode = 0700u | (entry->mode & 0777u), .buf_index = -1
    };
    int fd, rc;

    hsr_require(entry->type == HSR_ENTRY_DIR, HSR_E_KIND);
    fd = hsr_dircache_get(&tree->cache, parent);
    if (fd < 0)
        return fd;
    if (entry->name.size == 0) { /* the root: it is there, or there would be no session */
        hsr_require(parent->parent == NULL, HSR_E_NAME);
        rc = mkdir_fill(tree, fd, ".", ret_dev);
        if (rc == 0)
            *ret_created = false;
        return rc;
    }
    rc = hsr_at_name(entry->name, name);
    if (rc < 0)
        return rc;
    op.fd = fd;
    for (unsigned try = 0; try < HSR_STAGE_TRIES; try++) {
        rc = (int)hsr_loop_call(tree->loop, &op);
        if (rc == 0) {
            *ret_created = true;
            return 0;
        }
        if (rc != -EEXIST)
            return rc;
        rc = mkdir_fill(tree, fd, name, ret_dev);
        if (rc == 0) {
            *ret_created = false;
            return 0;
        }
        /* A symlink to a directory is not that directory: it goes like anything else. */
        if (rc == -ENOTDIR)
            rc = hsr_at_unlink(tree->loop, fd, name, /* is_dir= */ false);
        if (rc < 0 && rc != -ENOENT)
            return rc;
    }
    return rc < 0 ? rc : -EEXIST;
}

/* Make sure the owner may list, search and fill directory @name. -ENOTDIR: it is none. */
static int mkdir_fill(struct hsr_tree *tree, int fd, const char *name, uint64_t *ret_dev)
{
    struct statx stx;
    int dir_fd, rc;

    rc = hsr_at_statx(tree->loop, fd, name, &stx);
    if (rc < 0)
        return rc;
    if (!S_ISDIR(stx.stx_mode))
        return -ENOTDIR;
    *ret_dev = hsr_volume_dev(stx.stx_dev_major, stx.stx_dev_minor);
    if (tree->root || stx.stx_uid != tree->uid || (stx.stx_mode & 0700u) == 0700u)
        return 0; /* somebody else's: it works as it is, or each entry says that it does not */

    dir_fd = hsr_at_open(tree->loop, fd, name, O_PATH | O_DIRECTORY, 0);
    if (dir_fd < 0)
        return dir_fd;
    rc = hsr_at_chmod(tree->loop, dir_fd, /* path_fd= */ true, stx.stx_mode | 0700u);
    (void)hsr_at_close(tree->loop, dir_fd); /* O_PATH */
    return rc;
}

int hsr_tree_dir_finish(struct hsr_tree *tree, const struct hsr_dir *dir,
                        const struct hsr_entry *entry, bool *ret_changed)
{
    struct hsr_meta_now now;
    struct statx stx;
    int fd, rc;

    hsr_require(entry->type == HSR_ENTRY_DIR_END, HSR_E_KIND);
    if (entry->flags & HSR_ENTRY_IMPLIED) { /* only a way to what is transferred */
        *ret_changed = false;
        return 0;
    }
    fd = hsr_dircache_get(&tree->cache, dir);
    if (fd < 0)
        return fd;
    rc = hsr_at_statx(tree->loop, fd, "", &stx);
    if (rc < 0)
        return rc;
    hsr_require(S_ISDIR(stx.stx_mode), -ENOTDIR);
    hsr_meta_now_statx(&now, &stx);
    rc = hsr_meta_apply(tree, fd, /* path_fd= */ false, entry, &now);
    if (rc < 0)
        return rc;
    *ret_changed = rc > 0;
    return 0;
}

/* ---- links and special files ---- */

int hsr_tree_make(struct hsr_tree *tree, const struct hsr_dir *dir, const struct hsr_entry *entry,
                  enum hsr_compare compare)
{
    char name[HSR_NAME_MAX + 1];
    int dir_fd, rc;

    if (entry->type == HSR_ENTRY_FILE) {
        hsr_require(entry->size == 0, HSR_E_KIND);
        return hsr_tree_put(tree, dir, entry, NULL, 0, compare != HSR_COMPARE_ABSENT);
    }
    rc = hsr_at_name(entry->name, name);
    if (rc < 0)
        return rc;
    dir_fd = hsr_dircache_get(&tree->cache, dir);
    if (dir_fd < 0)
        return dir_fd;
    if (compare == HSR_COMPARE_ABSENT) {
        rc = make_node(tree, dir_fd, name, entry);
        if (rc == 0)
            return make_metadata(tree, dir, dir_fd, name, entry);
        if (rc != -EEXIST)
            return rc;
    }
    for (unsigned try = 0; try < HSR_STAGE_TRIES; try++) {
        rc = make_replace(tree, dir, dir_fd, name, entry);
        /* What is no regular file cannot be locked: a prune may take the hidden name away. */
        if (rc != -ENOENT)
            break;
    }
    return rc;
}

static int make_node(struct hsr_tree *tree, int dir_fd, const char *name,
                     const struct hsr_entry *entry)
{
    char target[HSR_LINK_TARGET_MAX + 1];
    struct hsr_op op = { .fd = dir_fd, .path = name, .buf_index = -1 };

    switch (entry->type) {
    case HSR_ENTRY_SYMLINK:
        hsr_require(entry->target.size > 0 && entry->target.size <= HSR_LINK_TARGET_MAX,
                    HSR_E_LIMIT);
        hsr_require(memchr(entry->target.ptr, '\0', entry->target.size) == NULL, HSR_E_PROTOCOL);
        memcpy(target, entry->target.ptr, entry->target.size);
        target[entry->target.size] = '\0';
        op.kind = HSR_OP_SYMLINK;
        op.path2 = target;
        return (int)hsr_loop_call(tree->loop, &op);
    case HSR_ENTRY_CHAR:
    case HSR_ENTRY_BLOCK:
        op.rdev = makedev(entry->rdev_major, entry->rdev_minor);
        break;
    case HSR_ENTRY_FIFO:
        break;
    default:
        return HSR_E_KIND;
    }
    op.kind = HSR_OP_MKNOD;
    op.mode = hsr_meta_kind(entry->type) | (entry->mode & 0777u);
    return (int)hsr_loop_call(tree->loop, &op);
}

/* Is what has the name what make_node() made? */
static bool make_is_ours(const struct hsr_tree *tree, const struct hsr_entry *entry,
                         const struct statx *stx)
{
    if ((stx->stx_mode & S_IFMT) != hsr_meta_kind(entry->type))
        return false;
    if (stx->stx_uid != tree->uid || stx->stx_nlink != 1)
        return false;
    if (entry->type != HSR_ENTRY_CHAR && entry->type != HSR_ENTRY_BLOCK)
        return true;
    return stx->stx_rdev_major == entry->rdev_major && stx->stx_rdev_minor == entry->rdev_minor;
}

static int make_metadata(struct hsr_tree *tree, const struct hsr_dir *dir, int dir_fd,
                         const char *name, const struct hsr_entry *entry)
{
    struct hsr_meta_now now;
    struct statx stx;
    int fd, rc;

    fd = hsr_at_open(tree->loop, dir_fd, name, O_PATH, 0);
    if (fd < 0)
        return fd;
    rc = hsr_at_statx(tree->loop, fd, "", &stx);
    if (rc == 0 && !make_is_ours(tree, entry, &stx))
        rc = HSR_E_CHANGED;
    if (rc == 0) {
        hsr_meta_now_statx(&now, &stx);
        now.mtime_stale = true;
        now.xattrs_none = !hsr_dircache_inherits(&tree->cache, dir);
        rc = hsr_meta_apply(tree, fd, /* path_fd= */ true, entry, &now);
    }
    (void)hsr_at_close(tree->loop, fd); /* O_PATH */
    return rc < 0 ? rc : 0;
}

static int make_replace(struct hsr_tree *tree, const struct hsr_dir *dir, int dir_fd,
                        const char *name, const struct hsr_entry *entry)
{
    char temp[HSR_STAGE_TEMP_SIZE];
    int rc = -EEXIST;

    for (unsigned try = 0; try < HSR_STAGE_TRIES && rc == -EEXIST; try++) {
        hsr_stage_name(tree, temp);
        rc = make_node(tree, dir_fd, temp, entry);
    }
    if (rc < 0)
        return rc;
    rc = make_metadata(tree, dir, dir_fd, temp, entry);
    if (rc == 0)
        rc = hsr_stage_rename(tree, dir_fd, temp, name);
    if (rc < 0)
        (void)hsr_at_unlink(tree->loop, dir_fd, temp, /* is_dir= */ false); /* `rc` is the news */
    return rc;
}

/* ---- further names ---- */

int hsr_tree_link(struct hsr_tree *tree, const struct hsr_dir *dir, const struct hsr_entry *entry,
                  bool *ret_same)
{
    char first[HSR_NAME_MAX + 1], name[HSR_NAME_MAX + 1];
    struct statx first_stx, stx;
    int first_fd, dir_fd, rc;

    rc = hsr_at_name(entry->name, name);
    if (rc < 0)
        return rc;
    dir_fd = hsr_dircache_get(&tree->cache, dir);
    if (dir_fd < 0)
        return dir_fd;
    first_fd = link_open_first(tree, entry->link_path, first);
    if (first_fd < 0)
        return first_fd;

    rc = hsr_at_statx(tree->loop, first_fd, first, &first_stx);
    if (rc == 0 && (first_stx.stx_mode & S_IFMT) != hsr_meta_kind(entry->type))
        rc = HSR_E_KIND; /* not what the source linked; and never a directory */
    if (rc < 0)
        goto out;
    rc = hsr_at_statx(tree->loop, dir_fd, name, &stx);
    if (rc == 0 && stx.stx_ino == first_stx.stx_ino &&
        stx.stx_dev_major == first_stx.stx_dev_major &&
        stx.stx_dev_minor == first_stx.stx_dev_minor) {
        *ret_same = true;
        goto out;
    }
    if (rc < 0 && rc != -ENOENT)
        goto out;
    if (tree->options & HSR_OPT_DRY_RUN) {
        *ret_same = false;
        rc = 0;
        goto out;
    }
    if (rc == -ENOENT) {
        rc = hsr_at_link(tree->loop, first_fd, first, dir_fd, name);
        if (rc == -EEXIST)
            rc = link_replace(tree, first_fd, first, dir_fd, name);
    } else {
        rc = link_replace(tree, first_fd, first, dir_fd, name);
    }
    if (rc == 0)
        *ret_same = false;
out:
    (void)hsr_at_close(tree->loop, first_fd); /* a directory: nothing to lose */
    return rc;
}

/* Directory of @path and its last name. */
static int link_open_first(struct hsr_tree *tree, struct hsr_span path, char name[HSR_NAME_MAX + 1])
{
    struct hsr_span dir = { path.ptr, 0 };
    struct hsr_span last = path;
    int rc;

    hsr_require(path.size > 0 && hsr_path_valid(path), HSR_E_NAME);
    for (size_t i = path.size; i > 0; i--) {
        if (path.ptr[i - 1] == '/') {
            dir.size = i - 1;
            last = (struct hsr_span){ path.ptr + i, path.size - i };
            break;
        }
    }
    rc = hsr_at_name(last, name);
    if (rc < 0)
        return rc;
    if (dir.size == 0)
        return hsr_at_open(tree->loop, tree->cache.root_fd, ".", O_PATH | O_DIRECTORY, 0);
    return hsr_root_open_below(tree->loop, tree->cache.root_fd, dir, /* create= */ false);
}

static int link_replace(struct hsr_tree *tree, int first_fd, const char *first, int dir_fd,
                        const char *name)
{
    char temp[HSR_STAGE_TEMP_SIZE];
    int rc = -EEXIST;

    for (unsigned try = 0; try < HSR_STAGE_TRIES && rc == -EEXIST; try++) {
        hsr_stage_name(tree, temp);
        rc = hsr_at_link(tree->loop, first_fd, first, dir_fd, temp);
    }
    if (rc < 0)
        return rc;
    rc = hsr_stage_rename(tree, dir_fd, temp, name);
    /* rename(2) leaves both names where they are one file already: then the hidden one goes here.
     * Otherwise it is gone, and this finds nothing. */
    int unlink_rc = hsr_at_unlink(tree->loop, dir_fd, temp, /* is_dir= */ false);
    if (rc == 0 && unlink_rc < 0 && unlink_rc != -ENOENT)
        rc = unlink_rc;
    return rc;
}

/* ---- metadata alone ---- */

int hsr_tree_touch(struct hsr_tree *tree, const struct hsr_dir *dir, const struct hsr_entry *entry)
{
    char name[HSR_NAME_MAX + 1];
    struct hsr_meta_now now;
    struct statx stx;
    int dir_fd, fd, rc;

    rc = hsr_at_name(entry->name, name);
    if (rc < 0)
        return rc;
    dir_fd = hsr_dircache_get(&tree->cache, dir);
    if (dir_fd < 0)
        return dir_fd;
    fd = hsr_at_open(tree->loop, dir_fd, name, O_PATH, 0);
    if (fd < 0)
        return fd;
    rc = hsr_at_statx(tree->loop, fd, "", &stx);
    if (rc == 0 && (stx.stx_mode & S_IFMT) != hsr_meta_kind(entry->type))
        rc = HSR_E_CHANGED; /* it was that kind when it was compared */
    if (rc == 0) {
        hsr_meta_now_statx(&now, &stx);
        rc = hsr_meta_apply(tree, fd, /* path_fd= */ true, entry, &now);
    }
    (void)hsr_at_close(tree->loop, fd); /* O_PATH */
    return rc < 0 ? rc : 0;
}
