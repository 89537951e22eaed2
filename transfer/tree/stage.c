/* Regular files: written without a name, or under a hidden one, and named when they are complete.
 *
 *   unnamed (O_TMPFILE) --new name-->  link(2)
 *           |            --replace-->  flock, link to a hidden name, rename(2)
 *   named (no O_TMPFILE) ----------->  rename(2)
 *
 * A crash leaves nothing, or a hidden name whose lock died with its owner: hsr_prune removes those.
 *
 * Why unnamed first: new files of 4 KiB with mode and time set, one core, kernel 6.18, files/s:
 *
 *                                         tmpfs    ext4 (fresh; 1000 files a directory)
 *   openat(O_CREAT), write, rename        92 000   25 000
 *   O_TMPFILE, write, link (here)         95 000   33 000
 *   named stage (here; locked, re-moded)  71 000   20 000
 *
 * fallocate(2) on tmpfs writes zeros to every page before the data does: twice the work, so it is
 * left out there. */
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "transfer/tree/at.h"
#include "transfer/tree/meta.h"
#include "transfer/tree/stage.h"

#define STAGE_PREFIX ".hawser."
#define STAGE_SUFFIX ".stage"
#define STAGE_PREFIX_SIZE (sizeof(STAGE_PREFIX) - 1)
#define STAGE_SUFFIX_SIZE (sizeof(STAGE_SUFFIX) - 1)
#define STAGE_HEX_SIZE 24u /* nonce and counter */
#define STAGE_NAME_SIZE (STAGE_PREFIX_SIZE + STAGE_HEX_SIZE + STAGE_SUFFIX_SIZE)
_Static_assert(STAGE_HEX_SIZE == 2 * HSR_STAGE_ID_SIZE, "two digits a byte");
_Static_assert(STAGE_NAME_SIZE < HSR_STAGE_TEMP_SIZE, "a hidden name fits");

/* Below this a file is written in so few pieces that the allocator sees its size anyway. */
#define STAGE_ALLOCATE_MIN HSR_MIB

static int stage_open(struct hsr_tree *tree, const struct hsr_dir *dir,
                      const struct hsr_entry *entry, bool replace, bool hidden,
                      struct hsr_stage *ret_stage);
static int stage_open_unnamed(struct hsr_tree *tree, struct hsr_stage *stage, int dir_fd,
                              const struct hsr_entry *entry);
static int stage_open_named(struct hsr_tree *tree, struct hsr_stage *stage, int dir_fd);
static int stage_allocate(struct hsr_tree *tree, struct hsr_stage *stage,
                          const struct hsr_entry *entry);
static int stage_name_give(struct hsr_tree *tree, struct hsr_stage *stage, const char *name);
static int stage_hide(struct hsr_tree *tree, struct hsr_stage *stage, int dir_fd);

void hsr_tree_init(struct hsr_tree *tree, struct hsr_loop *loop, int root_fd, uint32_t options)
{
    hsr_assert(root_fd >= 0);
    hsr_assert((options & ~HSR_OPTS_ALL) == 0);
    memset(tree, 0, sizeof(*tree));
    tree->loop = loop;
    tree->options = options;
    tree->uid = geteuid();
    tree->gid = getegid();
    tree->root = tree->uid == 0;
    loop->backend->ops->random(loop->backend, &tree->nonce, sizeof(tree->nonce));
    hsr_dircache_init(&tree->cache, loop, root_fd, /* follow= */ false);
}

void hsr_tree_fini(struct hsr_tree *tree)
{
    if (tree->loop == NULL)
        return;
    hsr_dircache_fini(&tree->cache);
    tree->loop = NULL;
}

/* ---- names ---- */

bool hsr_stage_name_is(struct hsr_span name)
{
    const char *at = (const char *)name.ptr;

    if (name.size == sizeof(HSR_JOURNAL_NAME) - 1 && memcmp(at, HSR_JOURNAL_NAME, name.size) == 0)
        return true;
    if (name.size != STAGE_NAME_SIZE || memcmp(at, STAGE_PREFIX, STAGE_PREFIX_SIZE) != 0)
        return false;
    for (size_t i = 0; i < STAGE_HEX_SIZE; i++) {
        char c = at[STAGE_PREFIX_SIZE + i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return memcmp(at + STAGE_PREFIX_SIZE + STAGE_HEX_SIZE, STAGE_SUFFIX, STAGE_SUFFIX_SIZE) == 0;
}

void hsr_stage_name(struct hsr_tree *tree, char ret_temp[HSR_STAGE_TEMP_SIZE])
{
    int size = snprintf(ret_temp, HSR_STAGE_TEMP_SIZE, STAGE_PREFIX "%016llx%08x" STAGE_SUFFIX,
                        (unsigned long long)tree->nonce, tree->stage_count);

    hsr_assert(size == (int)STAGE_NAME_SIZE);
    if (++tree->stage_count == 0)
        tree->nonce++; /* four thousand million names later */
}

int hsr_stage_rename(struct hsr_tree *tree, int dir_fd, const char *temp, const char *name)
{
    int rc = hsr_at_rename(tree->loop, dir_fd, temp, dir_fd, name);

    if (rc != -EISDIR && rc != -ENOTEMPTY && rc != -EEXIST)
        return rc;
    rc = hsr_at_unlink(tree->loop, dir_fd, name, /* is_dir= */ true);
    if (rc == -EEXIST) /* what some file systems say for ENOTEMPTY (rmdir(2)) */
        rc = -ENOTEMPTY;
    if (rc < 0)
        return rc;
    return hsr_at_rename(tree->loop, dir_fd, temp, dir_fd, name);
}

/* ---- opening ---- */

/* A plain user writes user.* attributes only to what its owner may write. */
static uint32_t stage_mode(const struct hsr_tree *tree, const struct hsr_entry *entry)
{
    uint32_t mode = entry->mode & 0777u;

    if (!tree->root && entry->xattr_count > 0)
        mode |= S_IWUSR;
    return mode;
}

int hsr_stage_open(struct hsr_tree *tree, const struct hsr_dir *dir, const struct hsr_entry *entry,
                   bool replace, struct hsr_stage *ret_stage)
{
    return stage_open(tree, dir, entry, replace, /* hidden= */ false, ret_stage);
}

int hsr_stage_open_hidden(struct hsr_tree *tree, const struct hsr_dir *dir,
                          const struct hsr_entry *entry, bool replace, struct hsr_stage *ret_stage)
{
    return stage_open(tree, dir, entry, replace, /* hidden= */ true, ret_stage);
}

static int stage_open(struct hsr_tree *tree, const struct hsr_dir *dir,
                      const struct hsr_entry *entry, bool replace, bool hidden,
                      struct hsr_stage *ret_stage)
{
    struct hsr_stage stage = { .fd = -1, .replace = replace, .dir = dir };
    int dir_fd, rc;

    hsr_require(entry->type == HSR_ENTRY_FILE, HSR_E_KIND);
    dir_fd = hsr_dircache_get(&tree->cache, dir);
    if (dir_fd < 0)
        return dir_fd;
    rc = hidden ? -EOPNOTSUPP : stage_open_unnamed(tree, &stage, dir_fd, entry);
    if (rc == -EOPNOTSUPP)
        rc = stage_open_named(tree, &stage, dir_fd);
    if (rc == 0)
        rc = stage_allocate(tree, &stage, entry);
    if (rc < 0) {
        hsr_stage_abort(tree, &stage);
        return rc;
    }
    hsr_assert(stage.fd >= 0);
    hsr_assert(stage.unnamed == (stage.temp[0] == '\0'));
    *ret_stage = stage;
    return 0;
}

/* -EOPNOTSUPP: not here. */
static int stage_open_unnamed(struct hsr_tree *tree, struct hsr_stage *stage, int dir_fd,
                              const struct hsr_entry *entry)
{
    int fd;

    if (tree->no_tmpfile)
        return -EOPNOTSUPP;
    fd = hsr_at_open(tree->loop, dir_fd, ".", O_TMPFILE | O_RDWR, stage_mode(tree, entry));
    if (fd == -EOPNOTSUPP || fd == -EISDIR || fd == -EINVAL) {
        tree->no_tmpfile = true;
        return -EOPNOTSUPP;
    }
    if (fd == -ENOENT) /* some network file systems; or the directory is gone: a name will tell */
        return -EOPNOTSUPP;
    if (fd < 0)
        return fd;
    stage->fd = fd;
    stage->unnamed = true;
    return 0;
}

/* Its mode keeps others out until it is committed: the owner and group it is for come last. */
static int stage_open_named(struct hsr_tree *tree, struct hsr_stage *stage, int dir_fd)
{
    struct statx stx;
    int fd, rc = -EEXIST;

    for (unsigned try = 0; try < HSR_STAGE_TRIES; try++) {
        hsr_stage_name(tree, stage->temp);
        fd = hsr_at_open(tree->loop, dir_fd, stage->temp, O_CREAT | O_EXCL | O_RDWR, 0600);
        if (fd == -EEXIST)
            continue;
        if (fd < 0) {
            stage->temp[0] = '\0';
            return fd;
        }
        /* Between these two calls a prune may have taken it for a stale one. */
        rc = hsr_at_flock(tree->loop, fd, LOCK_EX | LOCK_NB);
        if (rc == -EOPNOTSUPP || rc == -ENOLCK || rc == -EINVAL)
            rc = 0; /* no locks on this file system: then a prune cannot lock it either */
        if (rc == 0)
            rc = hsr_at_statx(tree->loop, fd, "", &stx);
        if (rc == 0 && stx.stx_nlink > 0) {
            stage->fd = fd;
            return 0;
        }
        /* untested: needs a prune in the microsecond between, or a lock that fails */
        (void)hsr_at_close(tree->loop, fd); /* empty: nothing to lose */
        if (rc < 0 && rc != -EWOULDBLOCK) {
            (void)hsr_at_unlink(tree->loop, dir_fd, stage->temp, false); /* `rc` is the news */
            break;
        }
        rc = -EBUSY;
    }
    stage->temp[0] = '\0';
    return rc;
}

/* A session may have died between its metadata and its name: then it is the entry's owner's, if we
 * may give files away. */
static bool again_ours(const struct hsr_tree *tree, const struct hsr_entry *entry, uint64_t ino,
                       const struct statx *stx)
{
    return S_ISREG(stx->stx_mode) && stx->stx_nlink == 1 && stx->stx_ino == ino &&
           (stx->stx_uid == tree->uid || (tree->root && stx->stx_uid == entry->uid));
}

/* Nobody else may look into it until it is complete. */
static int again_hide(struct hsr_tree *tree, int fd, const struct statx *stx)
{
    struct hsr_op op = { .kind = HSR_OP_CHOWN,
                         .fd = fd,
                         .path = "",
                         .uid = tree->uid,
                         .gid = tree->gid,
                         .buf_index = -1 };
    int rc = stx->stx_uid != tree->uid ? (int)hsr_loop_call(tree->loop, &op) : 0;

    return rc < 0 ? rc : hsr_at_chmod(tree->loop, fd, /* path_fd= */ false, 0600);
}

/* What may not be opened as it is, and is ours, gets the mode of a stage first. */
static int again_open(struct hsr_tree *tree, int dir_fd, const char *temp,
                      const struct hsr_entry *entry, uint64_t ino)
{
    const uint32_t flags = O_RDWR | O_NONBLOCK | O_NOCTTY;
    int fd = hsr_at_open(tree->loop, dir_fd, temp, flags, 0), path_fd, rc;
    struct statx stx;

    if (fd != -EACCES)
        return fd;
    path_fd = hsr_at_open(tree->loop, dir_fd, temp, O_PATH, 0);
    if (path_fd < 0)
        return path_fd;
    rc = hsr_at_statx(tree->loop, path_fd, "", &stx);
    if (rc == 0 && !again_ours(tree, entry, ino, &stx))
        rc = HSR_E_CHANGED;
    if (rc == 0)
        rc = hsr_at_chmod(tree->loop, path_fd, /* path_fd= */ true, 0600);
    (void)hsr_at_close(tree->loop, path_fd); /* O_PATH */
    return rc < 0 ? rc : hsr_at_open(tree->loop, dir_fd, temp, flags, 0);
}

int hsr_stage_open_again(struct hsr_tree *tree, const struct hsr_dir *dir,
                         const struct hsr_entry *entry, bool replace,
                         const uint8_t id[HSR_STAGE_ID_SIZE], uint64_t ino, uint64_t size_min,
                         struct hsr_stage *ret_stage)
{
    struct hsr_stage stage = { .fd = -1, .resumed = true, .replace = replace, .dir = dir };
    int dir_fd = hsr_dircache_get(&tree->cache, dir);
    size_t at = STAGE_PREFIX_SIZE;
    struct statx stx;
    int rc;

    if (dir_fd < 0)
        return dir_fd;
    memcpy(stage.temp, STAGE_PREFIX, STAGE_PREFIX_SIZE);
    for (unsigned i = 0; i < HSR_STAGE_ID_SIZE; i++, at += 2)
        (void)snprintf(stage.temp + at, 3, "%02x", id[i]);
    memcpy(stage.temp + at, STAGE_SUFFIX, STAGE_SUFFIX_SIZE + 1);
    stage.fd = again_open(tree, dir_fd, stage.temp, entry, ino);
    if (stage.fd < 0)
        return stage.fd;
    rc = hsr_at_flock(tree->loop, stage.fd, LOCK_EX | LOCK_NB);
    if (rc == 0)
        rc = hsr_at_statx(tree->loop, stage.fd, "", &stx);
    if (rc == 0 && (!again_ours(tree, entry, ino, &stx) || stx.stx_size < size_min ||
                    stx.stx_size > entry->size))
        rc = HSR_E_CHANGED;
    if (rc == 0 && (stx.stx_uid != tree->uid || (stx.stx_mode & 07777u) != 0600u))
        rc = again_hide(tree, stage.fd, &stx);
    if (rc < 0) {
        (void)hsr_at_close(tree->loop, stage.fd); /* nothing was done to it */
        return rc;
    }
    *ret_stage = stage;
    return 0;
}

void hsr_stage_id(const struct hsr_stage *stage, uint8_t ret_id[HSR_STAGE_ID_SIZE])
{
    const char *at = stage->temp + STAGE_PREFIX_SIZE;

    hsr_assert(stage->temp[0] != '\0');
    for (unsigned i = 0; i < HSR_STAGE_ID_SIZE; i++, at += 2) {
        unsigned high = (unsigned)(at[0] <= '9' ? at[0] - '0' : at[0] - 'a' + 10);
        unsigned low = (unsigned)(at[1] <= '9' ? at[1] - '0' : at[1] - 'a' + 10);

        ret_id[i] = (uint8_t)(high << 4 | low);
    }
}

void hsr_stage_leave(struct hsr_tree *tree, struct hsr_stage *stage)
{
    hsr_assert(stage->temp[0] != '\0' && stage->fd >= 0);
    (void)hsr_at_close(tree->loop, stage->fd); /* who goes on with it sees what is missing */
    stage->fd = -1;
    stage->temp[0] = '\0';
}

static bool stage_on_tmpfs(struct hsr_tree *tree, int fd)
{
    struct statfs fs = { 0 };
    struct hsr_op op = { .kind = HSR_OP_STATFS, .fd = fd, .statfs = &fs, .buf_index = -1 };

    if (!tree->tmpfs_known && hsr_loop_call(tree->loop, &op) == 0) {
        tree->tmpfs = fs.f_type == TMPFS_MAGIC;
        tree->tmpfs_known = true;
    }
    return tree->tmpfs;
}

static int stage_allocate(struct hsr_tree *tree, struct hsr_stage *stage,
                          const struct hsr_entry *entry)
{
    struct hsr_op op = { .fd = stage->fd, .buf_index = -1 };
    int rc;

    hsr_require(entry->size <= INT64_MAX, -EFBIG);
    if (entry->flags & HSR_ENTRY_SPARSE) {
        op.kind = HSR_OP_FTRUNCATE;
        op.offset = entry->size;
        return (int)hsr_loop_call(tree->loop, &op);
    }
    if (entry->size < STAGE_ALLOCATE_MIN || stage_on_tmpfs(tree, stage->fd))
        return 0;
    op.kind = HSR_OP_FALLOCATE;
    op.mode = 0; /* the size too: writes then never extend the file */
    op.size = entry->size;
    rc = (int)hsr_loop_call(tree->loop, &op);
    if (rc == 0)
        stage->allocated = entry->size;
    return rc == -EOPNOTSUPP || rc == -ENOSYS ? 0 : rc;
}

/* ---- ending ---- */

int hsr_stage_commit(struct hsr_tree *tree, struct hsr_stage *stage, const struct hsr_entry *entry,
                     bool sync)
{
    int rc = hsr_stage_seal(tree, stage, entry);

    if (rc == 0 && sync) {
        struct hsr_op op = {
            .kind = HSR_OP_FSYNC, .fd = stage->fd, .data_only = true, .buf_index = -1
        };

        rc = (int)hsr_loop_call(tree->loop, &op);
    }
    if (rc == 0)
        return hsr_stage_publish(tree, stage, entry);
    hsr_stage_abort(tree, stage);
    return rc;
}

int hsr_stage_publish(struct hsr_tree *tree, struct hsr_stage *stage, const struct hsr_entry *entry)
{
    char name[HSR_NAME_MAX + 1];
    int rc, close_rc;

    hsr_assert(stage->fd >= 0);
    rc = hsr_at_name(entry->name, name);
    if (rc == 0)
        rc = stage_name_give(tree, stage, name);
    if (rc < 0) {
        hsr_stage_abort(tree, stage);
        return rc;
    }
    hsr_assert(stage->temp[0] == '\0'); /* the name is the file's own now */
    close_rc = hsr_at_close(tree->loop, stage->fd);
    stage->fd = -1;
    return close_rc;
}

int hsr_stage_seal(struct hsr_tree *tree, struct hsr_stage *stage, const struct hsr_entry *entry)
{
    struct hsr_meta_now now = { .mode = S_IFREG | stage_mode(tree, entry),
                                .uid = tree->uid,
                                .gid = tree->gid,
                                .xattrs_none = true };
    int rc;

    if (!stage->unnamed)
        now.mode = S_IFREG | 0600u;
    if (stage->resumed || hsr_dircache_inherits(&tree->cache, stage->dir)) {
        struct statx stx;

        rc = hsr_at_statx(tree->loop, stage->fd, "", &stx);
        if (rc < 0)
            return rc;
        hsr_meta_now_statx(&now, &stx);
    }
    now.mtime_stale = true;
    rc = hsr_meta_apply(tree, stage->fd, /* path_fd= */ false, entry, &now);
    return rc < 0 ? rc : 0;
}

static int stage_name_give(struct hsr_tree *tree, struct hsr_stage *stage, const char *name)
{
    int dir_fd = hsr_dircache_get(&tree->cache, stage->dir);
    int rc;

    if (dir_fd < 0)
        return dir_fd;
    if (stage->unnamed && !stage->replace) {
        rc = hsr_at_link(tree->loop, stage->fd, "", dir_fd, name);
        if (rc != -EEXIST)
            return rc;
        stage->replace = true; /* it appeared meanwhile */
    }
    if (stage->temp[0] == '\0') {
        rc = stage_hide(tree, stage, dir_fd);
        if (rc < 0)
            return rc;
    }
    rc = hsr_stage_rename(tree, dir_fd, stage->temp, name);
    if (rc == 0)
        stage->temp[0] = '\0';
    return rc;
}

/* Give an unnamed stage a hidden name, locked before anyone can see it. */
static int stage_hide(struct hsr_tree *tree, struct hsr_stage *stage, int dir_fd)
{
    int rc;

    hsr_assert(stage->unnamed);
    rc = hsr_at_flock(tree->loop, stage->fd, LOCK_EX | LOCK_NB);
    if (rc < 0 && rc != -EOPNOTSUPP && rc != -ENOLCK && rc != -EINVAL)
        return rc;
    for (unsigned try = 0; try < HSR_STAGE_TRIES; try++) {
        hsr_stage_name(tree, stage->temp);
        rc = hsr_at_link(tree->loop, stage->fd, "", dir_fd, stage->temp);
        if (rc != -EEXIST)
            break;
    }
    if (rc < 0)
        stage->temp[0] = '\0';
    return rc;
}

void hsr_stage_abort(struct hsr_tree *tree, struct hsr_stage *stage)
{
    if (stage->temp[0] != '\0') {
        int dir_fd = hsr_dircache_get(&tree->cache, stage->dir);

        /* If even this fails the name stays, unlocked: the next prune removes it. */
        if (dir_fd >= 0)
            (void)hsr_at_unlink(tree->loop, dir_fd, stage->temp, /* is_dir= */ false);
        stage->temp[0] = '\0';
    }
    (void)hsr_at_close(tree->loop, stage->fd); /* thrown away: no error in it matters */
    stage->fd = -1;
}

int hsr_tree_put(struct hsr_tree *tree, const struct hsr_dir *dir, const struct hsr_entry *entry,
                 const void *bytes, size_t size, bool replace)
{
    struct hsr_stage stage;
    int rc = hsr_tree_stage(tree, dir, entry, bytes, size, replace, &stage);

    return rc < 0 ? rc : hsr_stage_publish(tree, &stage, entry);
}

int hsr_tree_stage(struct hsr_tree *tree, const struct hsr_dir *dir, const struct hsr_entry *entry,
                   const void *bytes, size_t size, bool replace, struct hsr_stage *ret_stage)
{
    struct hsr_stage stage;
    size_t offset = 0;
    int rc;

    rc = hsr_stage_open(tree, dir, entry, replace, &stage);
    if (rc < 0)
        return rc;
    while (offset < size) {
        struct hsr_op op = { .kind = HSR_OP_WRITE,
                             .fd = stage.fd,
                             .buf = (uint8_t *)(uintptr_t)bytes + offset, /* only read */
                             .size = size - offset,
                             .offset = offset,
                             .buf_index = -1 };
        int64_t res = hsr_loop_call(tree->loop, &op);

        if (res <= 0) {
            hsr_stage_abort(tree, &stage);
            return res < 0 ? (int)res : -EIO;
        }
        hsr_assert((uint64_t)res <= size - offset);
        offset += (size_t)res;
    }
    rc = hsr_stage_seal(tree, &stage, entry);
    if (rc < 0) {
        hsr_stage_abort(tree, &stage);
        return rc;
    }
    *ret_stage = stage;
    return 0;
}

/* ---- what is there, to be read ---- */

int hsr_target_read_open(struct hsr_dircache *cache, const struct hsr_dir *dir, const char *name,
                         uint64_t size)
{
    int dir_fd = hsr_dircache_get(cache, dir);
    struct statx stx;
    int fd, rc;

    if (dir_fd < 0)
        return dir_fd;
    /* O_NONBLOCK: a FIFO that has the name by now must not hold us up. */
    fd = hsr_at_open(cache->loop, dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return fd;
    rc = hsr_at_statx(cache->loop, fd, "", &stx);
    if (rc == 0 && !S_ISREG(stx.stx_mode))
        rc = HSR_E_KIND;
    else if (rc == 0 && stx.stx_size != size)
        rc = HSR_E_CHANGED;
    if (rc == 0)
        return fd;
    (void)hsr_at_close(cache->loop, fd); /* only read */
    return rc;
}
