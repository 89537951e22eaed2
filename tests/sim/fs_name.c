/* Operations on names of the simulated file system. */
#include <errno.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "tests/sim/fs.h"

#define UMASK 0u /* transfer/tree wants it so */

#define RENAME_NOREPLACE_                                                                          \
    (1 << 0) /* <stdio.h> of glibc and <linux/fs.h> disagree on who has it                         \
              */
#define RENAME_EXCHANGE_ (1 << 1)

#define RESOLVE_KNOWN                                                                              \
    (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV)

static int file_open(struct sim_host *host, struct sim_inode *inode, uint32_t flags)
{
    struct sim_file *file = calloc(1, sizeof(*file));
    int fd;

    hsr_assert(file != NULL);
    file->inode = inode;
    file->flags = flags;
    fd = sim_fd_add(host, file);
    if (fd < 0)
        free(file);
    return fd;
}

static int64_t open_unnamed(struct sim_host *host, const struct hsr_op *op, struct sim_inode *dir)
{
    struct sim_inode *inode;
    int fd;

    if (host->no_tmpfile)
        return -EOPNOTSUPP;
    if ((op->open_flags & O_ACCMODE) == O_RDONLY)
        return -EINVAL;
    inode = sim_inode_create(host, S_IFREG | (op->mode & 07777 & ~UMASK), dir);
    fd = file_open(host, inode, op->open_flags);
    inode->linkable = fd >= 0 && !(op->open_flags & O_EXCL);
    return fd;
}

static int64_t open_existing(struct sim_host *host, const struct hsr_op *op,
                             struct sim_inode *inode)
{
    uint32_t flags = op->open_flags;
    uint32_t mode = inode->live.attrs.mode;

    if ((flags & O_CREAT) && (flags & O_EXCL))
        return -EEXIST;
    if ((flags & O_DIRECTORY) && !S_ISDIR(mode))
        return -ENOTDIR;
    if (flags & O_PATH)
        return file_open(host, inode, flags);
    if (S_ISLNK(mode))
        return -ELOOP;
    if (S_ISDIR(mode) && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT)))
        return -EISDIR;
    if (S_ISCHR(mode) || S_ISBLK(mode) || S_ISSOCK(mode))
        return -ENXIO; /* no driver is behind it */
    if (S_ISFIFO(mode) && !(flags & O_NONBLOCK)) {
        sim_violation(host->world, "host %u opens FIFO \"%s\" and would hang", host->index,
                      op->path);
        return -EINTR;
    }
    if ((flags & O_TRUNC) && S_ISREG(mode)) {
        if (host->no_named_writes && inode->named > 0)
            sim_violation(host->world, "\"%s\" is truncated under its name", op->path);
        (void)sim_data_resize(inode, 0);
        sim_inode_changed(inode, true);
    }
    return file_open(host, inode, flags);
}

int64_t sim_fs_open(struct sim_host *host, const struct hsr_op *op)
{
    bool follow = !(op->open_flags & O_NOFOLLOW) &&
                  !((op->open_flags & O_CREAT) && (op->open_flags & O_EXCL));
    struct sim_lookup lookup;
    struct sim_inode *inode;
    int64_t fd;
    int rc;

    if (op->resolve & ~(uint64_t)RESOLVE_KNOWN)
        return -EINVAL;
    if (op->mode != 0 && !(op->open_flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))))
        return -EINVAL; /* openat2(2) is strict */
    rc = sim_lookup(host, op->fd, op->path != NULL ? op->path : "", op->resolve, follow, &lookup);
    if (rc < 0)
        return rc;
    if ((op->open_flags & O_TMPFILE) == O_TMPFILE) {
        if (lookup.inode == NULL)
            return -ENOENT;
        if (!S_ISDIR(lookup.inode->live.attrs.mode))
            return -ENOTDIR;
        return open_unnamed(host, op, lookup.inode);
    }
    if (lookup.inode != NULL)
        return open_existing(host, op, lookup.inode);
    if (!(op->open_flags & O_CREAT))
        return -ENOENT;
    if (lookup.slash)
        return -EISDIR;
    if (lookup.parent->nlink == 0)
        return -ENOENT;
    inode = sim_inode_create(host, S_IFREG | (op->mode & 07777 & ~UMASK), lookup.parent);
    fd = file_open(host, inode, op->open_flags);
    if (fd >= 0)
        sim_name_add(lookup.parent, lookup.last, lookup.last_size, inode);
    return fd;
}

static int64_t name_make(struct sim_host *host, const struct hsr_op *op, uint32_t mode)
{
    struct sim_lookup lookup;
    struct sim_inode *inode;
    int rc = sim_lookup_name(host, op->fd, op->path, &lookup);

    if (rc < 0)
        return rc;
    if (lookup.inode != NULL)
        return -EEXIST;
    if (lookup.slash && !S_ISDIR(mode))
        return -ENOENT;
    if (lookup.parent->nlink == 0)
        return -ENOENT; /* the directory was removed */
    inode = sim_inode_create(host, mode, lookup.parent);
    if (S_ISLNK(mode)) {
        inode->link = strdup(op->path2);
        hsr_assert(inode->link != NULL);
        inode->live.data.size = strlen(op->path2);
    }
    inode->rdev = S_ISCHR(mode) || S_ISBLK(mode) ? op->rdev : 0;
    sim_name_add(lookup.parent, lookup.last, lookup.last_size, inode);
    return 0;
}

/* Does the path end in ".."? */
static bool dot_dot(const char *path)
{
    size_t size = strlen(path);

    while (size > 0 && path[size - 1] == '/')
        size--;
    return size >= 2 && path[size - 1] == '.' && path[size - 2] == '.';
}

static int64_t name_unlink(struct sim_host *host, const struct hsr_op *op)
{
    struct sim_lookup lookup;
    int rc = sim_lookup_name(host, op->fd, op->path, &lookup);
    bool is_dir;

    if (rc == -EEXIST) /* "." or "..": unlink(2), rmdir(2) */
        return !(op->at_flags & AT_REMOVEDIR) ? -EISDIR : dot_dot(op->path) ? -ENOTEMPTY : -EINVAL;
    if (rc < 0)
        return rc;
    if (lookup.inode == NULL)
        return -ENOENT;
    is_dir = S_ISDIR(lookup.inode->live.attrs.mode);
    if (is_dir != ((op->at_flags & AT_REMOVEDIR) != 0))
        return is_dir ? -EISDIR : -ENOTDIR;
    if (is_dir && lookup.inode->live.names.count > 0)
        return -ENOTEMPTY;
    sim_name_remove(lookup.parent, sim_name_find(lookup.parent, lookup.last, lookup.last_size));
    return 0;
}

static int64_t name_link(struct sim_host *host, const struct hsr_op *op)
{
    struct sim_lookup to;
    struct sim_inode *inode = NULL;
    bool self = op->path == NULL || op->path[0] == '\0';
    int rc = sim_lookup_inode(host, op->fd, op->path, true, false, &inode);

    if (rc < 0)
        return rc;
    rc = sim_lookup_name(host, op->fd2, op->path2, &to);
    if (rc < 0)
        return rc;
    if (to.inode != NULL)
        return -EEXIST;
    if (to.parent->nlink == 0)
        return -ENOENT;
    if (S_ISDIR(inode->live.attrs.mode))
        return -EPERM;
    if (self && inode->nlink == 0 && !inode->linkable)
        return -ENOENT;
    sim_name_check(to.parent, to.last, to.last_size, inode);
    sim_name_add(to.parent, to.last, to.last_size, inode);
    return 0;
}

static void rename_move(struct sim_lookup *from, struct sim_lookup *to)
{
    struct sim_inode *inode = from->inode;
    bool linkable = inode->linkable;

    sim_name_remove(from->parent, sim_name_find(from->parent, from->last, from->last_size));
    sim_name_check(to->parent, to->last, to->last_size, inode);
    sim_name_add(to->parent, to->last, to->last_size, inode);
    inode->linkable = linkable;
}

static void rename_exchange(struct sim_lookup *from, struct sim_lookup *to)
{
    sim_name_remove(from->parent, sim_name_find(from->parent, from->last, from->last_size));
    sim_name_remove(to->parent, sim_name_find(to->parent, to->last, to->last_size));
    sim_name_add(to->parent, to->last, to->last_size, from->inode);
    sim_name_add(from->parent, from->last, from->last_size, to->inode);
}

static bool is_above(const struct sim_inode *inode, const struct sim_inode *dir)
{
    while (dir != inode && dir->parent != dir)
        dir = dir->parent;
    return dir == inode;
}

static int rename_check(const struct sim_lookup *from, const struct sim_lookup *to, int flags)
{
    bool is_dir = S_ISDIR(from->inode->live.attrs.mode);

    if ((flags & RENAME_NOREPLACE_) && to->inode != NULL)
        return -EEXIST;
    if ((flags & RENAME_EXCHANGE_) && to->inode == NULL)
        return -ENOENT;
    if (to->parent->nlink == 0)
        return -ENOENT; /* the directory was removed */
    if (is_above(from->inode, to->parent))
        return -EINVAL; /* into itself */
    if (to->inode != NULL && is_above(to->inode, from->parent))
        return flags & RENAME_EXCHANGE_ ? -EINVAL : -ENOTEMPTY;
    if ((flags & RENAME_EXCHANGE_) || to->inode == NULL)
        return 0;
    if (from->inode == to->inode)
        return 0;
    if (S_ISDIR(to->inode->live.attrs.mode) != is_dir)
        return is_dir ? -ENOTDIR : -EISDIR;
    return is_dir && to->inode->live.names.count > 0 ? -ENOTEMPTY : 0;
}

static int64_t name_rename(struct sim_host *host, const struct hsr_op *op)
{
    struct sim_world *world = host->world;
    struct sim_lookup from, to;
    int rc, rc2;

    if (op->at_flags & ~(RENAME_NOREPLACE_ | RENAME_EXCHANGE_))
        return -EINVAL;
    rc = sim_lookup_name(host, op->fd, op->path, &from);
    if (rc < 0 && rc != -EEXIST)
        return rc;
    rc2 = sim_lookup_name(host, op->fd2, op->path2, &to);
    if (rc2 < 0 && rc2 != -EEXIST)
        return rc2;
    if (rc < 0 || rc2 < 0) /* "." and ".." are no names to work with */
        return rc == 0 && (op->at_flags & RENAME_NOREPLACE_) ? -EEXIST : -EBUSY;
    if (from.inode == NULL)
        return -ENOENT;
    rc = rename_check(&from, &to, op->at_flags);
    if (rc < 0)
        return rc;
    if (world->bug == SIM_BUG_LOST_RENAME && world->bug_fired == 0) {
        world->bug_fired++;
        return 0;
    }
    if (from.inode == to.inode)
        return 0; /* two names of one file: rename(2) leaves both, as POSIX wants it */
    if (op->at_flags & RENAME_EXCHANGE_) {
        rename_exchange(&from, &to);
        return 0;
    }
    if (to.inode != NULL)
        sim_name_remove(to.parent, sim_name_find(to.parent, to.last, to.last_size));
    rename_move(&from, &to);
    return 0;
}

static int64_t name_readlink(struct sim_host *host, struct hsr_op *op)
{
    struct sim_inode *inode = NULL;
    bool self = op->path == NULL || op->path[0] == '\0';
    int rc = sim_lookup_inode(host, op->fd, op->path, true, false, &inode);
    uint64_t size;

    if (rc < 0)
        return rc;
    if (inode->link == NULL)
        return self ? -ENOENT : -EINVAL;
    size = HSR_MIN(op->size, strlen(inode->link));
    memcpy(op->buf, inode->link, (size_t)size);
    return (int64_t)size;
}

int64_t sim_fs_name(struct sim_host *host, struct hsr_op *op)
{
    uint32_t bits = op->mode & 07777 & ~UMASK;

    switch ((enum hsr_op_kind)op->kind) {
    case HSR_OP_OPENAT2:
        return sim_fs_open(host, op);
    case HSR_OP_READLINK:
        return name_readlink(host, op);
    case HSR_OP_MKDIR:
        return name_make(host, op, S_IFDIR | (bits & 01777));
    case HSR_OP_UNLINK:
        return name_unlink(host, op);
    case HSR_OP_RENAME:
        return name_rename(host, op);
    case HSR_OP_LINK:
        return name_link(host, op);
    case HSR_OP_SYMLINK:
        return op->path2[0] == '\0' ? -ENOENT : name_make(host, op, S_IFLNK | 0777);
    case HSR_OP_MKNOD:
        return name_make(host, op,
                         (op->mode & S_IFMT) == 0 ? S_IFREG | bits : (op->mode & S_IFMT) | bits);
    default:
        hsr_unreachable("operation on a name that is not simulated");
    }
}
