/* Metadata and data operations of the simulated file system, and the descriptor table. */
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "ring/huge.h"
#include "ring/uapi.h"
#include "tests/sim/fs.h"

#define MOUNTS 0x100000000u /* numbers of mounts that no later one gets begin here */

/* As the kernel's struct linux_dirent64. */
struct record {
    uint64_t d_ino;
    int64_t d_off;
    uint16_t d_reclen;
    uint8_t d_type;
    char d_name[];
};

/* ---- descriptors ---- */

int sim_fd_add(struct sim_host *host, struct sim_file *file)
{
    for (unsigned i = 0; i < SIM_FDS_MAX; i++) {
        unsigned index = (host->fd_next + i) % SIM_FDS_MAX;

        if (host->files[index] != NULL)
            continue;
        host->files[index] = file;
        /* Numbers are not used again soon, so that the use of a closed one shows. */
        host->fd_next = (index + 1) % SIM_FDS_MAX;
        file->refs = 1;
        return SIM_FD_FIRST * (int)(host->index + 1) + (int)index;
    }
    return -EMFILE;
}

struct sim_file *sim_fd_get(struct sim_host *host, int fd)
{
    int index = fd - SIM_FD_FIRST * (int)(host->index + 1);

    if (host->bound_file != NULL && fd == host->bound_fd)
        return host->bound_file;
    if (index < 0 || index >= (int)SIM_FDS_MAX || host->files[index] == NULL) {
        sim_violation(host->world, "host %u uses descriptor %d, which is not open", host->index,
                      fd);
        return NULL;
    }
    return host->files[index];
}

static void file_unlock(struct sim_file *file)
{
    if (file->lock == LOCK_SH)
        file->inode->flocks--;
    else if (file->lock == LOCK_EX)
        file->inode->flocks = 0;
    file->lock = 0;
}

void sim_file_release(struct sim_host *host, struct sim_file *file)
{
    (void)host;
    hsr_assert(file->refs > 0);
    if (--file->refs > 0)
        return;
    if (file->socket != NULL)
        sim_net_close(file->socket);
    else
        file_unlock(file);
    free(file);
}

int sim_fd_close(struct sim_host *host, int fd)
{
    struct sim_file *file = sim_fd_get(host, fd);

    if (file == NULL)
        return -EBADF;
    hsr_assert(file == host->files[fd - SIM_FD_FIRST * (int)(host->index + 1)]);
    host->files[fd - SIM_FD_FIRST * (int)(host->index + 1)] = NULL;
    sim_file_release(host, file);
    return 0;
}

unsigned sim_fd_count(const struct sim_host *host, bool print)
{
    unsigned count = 0;

    for (unsigned i = 0; i < SIM_FDS_MAX; i++) {
        const struct sim_file *file = host->files[i];

        if (file == NULL)
            continue;
        count++;
        if (print)
            fprintf(stderr, "host %u: descriptor %d is open: %s, inode %llu\n", host->index,
                    SIM_FD_FIRST * (int)(host->index + 1) + (int)i,
                    file->socket != NULL ? "socket" : "file",
                    file->inode != NULL ? (unsigned long long)file->inode->ino : 0);
    }
    return count;
}

/* ---- data ---- */

/* The open file behind op->fd, if it may be read (@access O_RDONLY) or written (O_WRONLY). */
static int file_get(struct sim_host *host, const struct hsr_op *op, uint32_t access,
                    struct sim_file **ret_file)
{
    struct sim_file *file = sim_fd_get(host, op->fd);
    uint32_t mode;

    if (file == NULL || file->inode == NULL || (file->flags & O_PATH))
        return -EBADF;
    mode = file->flags & O_ACCMODE;
    if (mode != O_RDWR && mode != access)
        return -EBADF;
    *ret_file = file;
    return 0;
}

static void named_write_check(struct sim_host *host, const struct sim_inode *inode,
                              const char *what)
{
    if (host->no_named_writes && inode->named > 0)
        sim_violation(host->world, "%s on host %u: inode %llu has a name readers see", what,
                      host->index, (unsigned long long)inode->ino);
}

/* Under O_DIRECT whole blocks move, and nothing of ours may rely on being told. */
static int data_flags_check(struct sim_host *host, const struct sim_file *file,
                            const struct hsr_op *op)
{
    uint64_t together = (uint64_t)(uintptr_t)op->buf | op->offset | op->size;

    if (op->rw_flags & ~(RWF_DONTCACHE | RWF_NOWAIT))
        sim_violation(host->world, "rw_flags %#x are not simulated", (unsigned)op->rw_flags);
    if ((op->rw_flags & RWF_DONTCACHE) && host->no_dontcache)
        return -EOPNOTSUPP;
    if (!(file->flags & O_DIRECT))
        return 0;
    hsr_assert(host->dio_align > 0); /* else SETFL said no */
    if (together % host->dio_align == 0)
        return 0;
    sim_violation(host->world, "direct %s of host %u: %llu bytes at %llu are no whole blocks",
                  hsr_op_name(op->kind), host->index, (unsigned long long)op->size,
                  (unsigned long long)op->offset);
    return -EINVAL;
}

/* Every third file is in the page cache. */
static bool data_cached(const struct sim_inode *inode)
{
    return inode->ino % 3 == 0;
}

static int64_t data_clone(struct sim_host *host, struct sim_file *to, const struct hsr_op *op)
{
    struct sim_file *from;
    int rc = file_get(host, &(struct hsr_op){ .fd = op->fd2 }, O_RDONLY, &from);

    if (rc < 0)
        return rc;
    if (!host->clones)
        return -EOPNOTSUPP;
    if (!S_ISREG(from->inode->live.attrs.mode))
        return -EINVAL;
    sim_data_clone(to->inode, &from->inode->live.data);
    return 0;
}

static int64_t data_change(struct sim_host *host, struct hsr_op *op, uint64_t cut)
{
    struct sim_file *file;
    int64_t res = file_get(host, op, O_WRONLY, &file);

    if (res < 0)
        return op->kind == HSR_OP_FTRUNCATE && file_get(host, op, O_RDONLY, &file) == 0 ? -EINVAL
                                                                                        : res;
    if (!S_ISREG(file->inode->live.attrs.mode))
        return -EINVAL;
    named_write_check(host, file->inode, hsr_op_name(op->kind));
    switch ((enum hsr_op_kind)op->kind) {
    case HSR_OP_WRITE:
        res = data_flags_check(host, file, op);
        if (res < 0)
            break;
        res = sim_data_write(file->inode, op->buf, cut != 0 ? HSR_MIN(cut, op->size) : op->size,
                             op->offset);
        break;
    case HSR_OP_FALLOCATE:
        res = sim_data_fallocate(file->inode, op->mode, op->offset, op->size);
        break;
    case HSR_OP_FTRUNCATE:
        res = sim_data_resize(file->inode, op->offset);
        break;
    case HSR_OP_CLONE:
        res = data_clone(host, file, op);
        break;
    default:
        hsr_unreachable("operation on data that is not simulated");
    }
    if (res >= 0)
        sim_inode_changed(file->inode, true);
    return res;
}

/* A bit of what a disk gives is wrong. */
static void read_damage(struct sim_host *host, const struct hsr_op *op, int64_t size)
{
    struct sim_world *world = host->world;

    bool some = world->base_ppm > 0 && !world->faults_off && host->index == world->base_host;

    if (size <= 0 || (!host->flip && !(some && sim_between(world, 0, 999999) < world->base_ppm)))
        return;
    host->flip = false;
    ((uint8_t *)op->buf)[sim_between(world, 0, (uint64_t)size - 1)] ^=
        (uint8_t)(1u << sim_between(world, 0, 7));
    world->damaged++;
}

static int64_t data_read(struct sim_host *host, struct hsr_op *op, uint64_t cut)
{
    struct sim_file *file;
    int rc = file_get(host, op, O_RDONLY, &file);
    int64_t res;

    if (rc < 0)
        return rc;
    if (S_ISDIR(file->inode->live.attrs.mode))
        return -EISDIR;
    if (!S_ISREG(file->inode->live.attrs.mode))
        return 0;
    rc = data_flags_check(host, file, op);
    if (rc < 0)
        return rc;
    if ((op->rw_flags & RWF_NOWAIT) && !data_cached(file->inode))
        return -EAGAIN;
    res = sim_data_read(&file->inode->live.data, op->buf,
                        cut != 0 ? HSR_MIN(cut, op->size) : op->size, op->offset);
    read_damage(host, op, res);
    return res;
}

static int64_t data_sync(struct sim_host *host, const struct hsr_op *op)
{
    struct sim_file *file = sim_fd_get(host, op->fd);

    if (file == NULL || file->inode == NULL || (file->flags & O_PATH))
        return -EBADF;
    if (host->world->bug == SIM_BUG_LYING_SYNC) {
        host->world->bug_fired++;
        return 0;
    }
    if (op->kind == HSR_OP_SYNCFS)
        sim_fs_sync(host);
    else
        sim_inode_sync(file->inode, op->data_only);
    return 0;
}

/* Huge pages change nothing that can be seen; but they are for files in a tmpfs alone, and a piece
 * beyond a file's end would be memory that nobody asked for. */
static int64_t data_huge(struct sim_host *host, struct hsr_op *op)
{
    struct sim_file *file;
    int rc = file_get(host, op, O_WRONLY, &file);

    if (rc < 0)
        return rc;
    if (!host->world->tmpfs || op->offset % HSR_HUGE_SIZE != 0 || op->size % HSR_HUGE_SIZE != 0 ||
        op->size == 0 || op->offset + op->size > file->inode->live.data.size) {
        sim_violation(host->world, "huge pages at %llu of host %u", (unsigned long long)op->offset,
                      host->index);
        return -EINVAL;
    }
    host->world->huge_count++;
    return 0;
}

static int64_t data_setfl(struct sim_host *host, const struct hsr_op *op)
{
    struct sim_file *file = sim_fd_get(host, op->fd);

    if (file == NULL || file->inode == NULL || (file->flags & O_PATH))
        return -EBADF;
    if (op->mask & ~(uint32_t)(O_DIRECT | O_NONBLOCK))
        sim_violation(host->world, "fcntl: flags %#x are not simulated", op->mask);
    if ((op->open_flags & O_DIRECT) && host->dio_align == 0)
        return -EINVAL;
    file->flags = (file->flags & ~op->mask) | (op->open_flags & op->mask);
    return 0;
}

static int64_t data_cachestat(struct sim_host *host, const struct hsr_op *op)
{
    struct sim_file *file = sim_fd_get(host, op->fd);
    uint64_t pages;

    if (host->no_cachestat)
        return -ENOSYS;
    if (file == NULL || file->inode == NULL || (file->flags & O_PATH))
        return -EBADF;
    pages = (file->inode->live.data.size + SIM_PAGE - 1) / SIM_PAGE;
    *(struct hsr_cachestat *)op->buf =
        (struct hsr_cachestat){ .cached = data_cached(file->inode) ? pages : 0 };
    return 0;
}

static int64_t data_seek(struct sim_host *host, const struct hsr_op *op)
{
    struct sim_file *file = sim_fd_get(host, op->fd);

    if (file == NULL || file->inode == NULL || (file->flags & O_PATH))
        return -EBADF;
    if (S_ISDIR(file->inode->live.attrs.mode)) {
        if (op->whence != SEEK_SET)
            return -EINVAL;
        file->position = op->offset;
        return (int64_t)op->offset;
    }
    if (op->whence != SEEK_DATA && op->whence != SEEK_HOLE) {
        sim_violation(host->world, "lseek whence %d is not simulated", op->whence);
        return -EINVAL;
    }
    return sim_data_seek(&file->inode->live.data, op->offset, op->whence == SEEK_HOLE);
}

/* ---- metadata ---- */

static struct statx_timestamp stamp(struct timespec time)
{
    return (struct statx_timestamp){ .tv_sec = time.tv_sec, .tv_nsec = (uint32_t)time.tv_nsec };
}

static uint32_t links_of(const struct sim_inode *inode)
{
    uint32_t count = inode->nlink;

    if (!S_ISDIR(inode->live.attrs.mode) || inode->nlink == 0)
        return count;
    count++; /* its own "." */
    for (uint32_t i = 0; i < inode->live.names.count; i++)
        count += S_ISDIR(inode->live.names.list[i].inode->live.attrs.mode);
    return count;
}

static int64_t meta_statx(struct sim_host *host, const struct hsr_op *op)
{
    struct sim_inode *inode = NULL;
    bool follow = !(op->at_flags & AT_SYMLINK_NOFOLLOW);
    int rc = sim_lookup_inode(host, op->fd, op->path, true, follow, &inode);
    const struct sim_attrs *attrs;

    if (rc < 0)
        return rc;
    attrs = &inode->live.attrs;
    *op->statx = (struct statx){ .stx_mask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID,
                                 .stx_blksize = SIM_PAGE,
                                 .stx_nlink = links_of(inode),
                                 .stx_uid = attrs->uid,
                                 .stx_gid = attrs->gid,
                                 .stx_mode = (uint16_t)attrs->mode,
                                 .stx_ino = inode->ino,
                                 .stx_size = inode->live.data.size,
                                 .stx_blocks = sim_data_blocks(&inode->live.data),
                                 .stx_atime = stamp(attrs->atime),
                                 .stx_mtime = stamp(attrs->mtime),
                                 .stx_ctime = stamp(attrs->ctime),
                                 .stx_rdev_major = major(inode->rdev),
                                 .stx_rdev_minor = minor(inode->rdev),
                                 .stx_dev_major = 8,
                                 .stx_dev_minor = host->index + 1,
                                 .stx_mnt_id = 100 + host->index };
    if (S_ISDIR(attrs->mode))
        op->statx->stx_size = SIM_PAGE;
    if (op->mask & HSR_STATX_MNT_ID_UNIQUE) {
        op->statx->stx_mask |= HSR_STATX_MNT_ID_UNIQUE;
        op->statx->stx_mnt_id = MOUNTS + host->index + (uint64_t)SIM_HOSTS * host->boots;
    }
    if (op->mask & STATX_DIOALIGN) {
        uint8_t *raw = (uint8_t *)op->statx;

        op->statx->stx_mask |= STATX_DIOALIGN;
        memcpy(raw + HSR_STATX_DIO_MEM_OFFSET, &host->dio_align, sizeof(host->dio_align));
        memcpy(raw + HSR_STATX_DIO_FILE_OFFSET, &host->dio_align, sizeof(host->dio_align));
    }
    return 0;
}

static uint8_t type_of(const struct sim_inode *inode)
{
    return (uint8_t)((inode->live.attrs.mode & S_IFMT) >> 12);
}

/* One record; 0 when it does not fit. */
static size_t record_put(uint8_t *out, uint64_t room, const struct sim_inode *inode,
                         const char *name, size_t name_size, uint64_t cookie)
{
    size_t size = HSR_ALIGN_UP(offsetof(struct record, d_name) + name_size + 1, 8ul);
    struct record record = { .d_ino = inode->ino,
                             .d_off = (int64_t)cookie,
                             .d_reclen = (uint16_t)size,
                             .d_type = type_of(inode) };

    if (size > room)
        return 0;
    memset(out, 0, size);
    memcpy(out, &record, offsetof(struct record, d_name));
    memcpy(out + offsetof(struct record, d_name), name, name_size);
    return size;
}

/* With @cut only the next of them: a file system may give fewer than fit. */
static int64_t meta_getdents(struct sim_host *host, struct hsr_op *op, uint64_t cut)
{
    struct sim_file *file;
    int rc = file_get(host, op, O_RDONLY, &file);
    struct sim_names *names;
    uint64_t done = 0;
    bool full = false;

    if (rc < 0)
        return rc;
    if (!S_ISDIR(file->inode->live.attrs.mode))
        return -ENOTDIR;
    if (file->inode->nlink == 0)
        return -ENOENT;
    names = &file->inode->live.names;
    for (uint32_t i = 0; i < names->count + 2 && !full && (done == 0 || cut == 0); i++) {
        uint64_t cookie = i < 2 ? i + 1 : names->list[i - 2].cookie;
        const struct sim_inode *inode = i == 0   ? file->inode
                                        : i == 1 ? file->inode->parent
                                                 : names->list[i - 2].inode;
        const char *name = i < 2 ? &".."[1 - i] : names->list[i - 2].name;
        size_t put;

        if (cookie <= file->position)
            continue;
        put = record_put((uint8_t *)op->buf + done, op->size - done, inode, name, strlen(name),
                         cookie);
        full = put == 0;
        done += put;
        if (!full)
            file->position = cookie;
    }
    return done == 0 && full ? -EINVAL : (int64_t)done;
}

/* The inode whose metadata @op works on; descriptors opened with O_PATH only where op->path_fd. */
static int meta_inode(struct sim_host *host, const struct hsr_op *op, struct sim_inode **ret_inode)
{
    bool self = op->path == NULL || op->path[0] == '\0';
    struct sim_file *file = self ? sim_fd_get(host, op->fd) : NULL;
    bool any = op->kind == HSR_OP_CHOWN || op->kind == HSR_OP_UTIMENS; /* AT_EMPTY_PATH */

    if (self && (file == NULL || ((file->flags & O_PATH) && !op->path_fd && !any)))
        return -EBADF;
    return sim_lookup_inode(host, op->fd, op->path, true, false, ret_inode);
}

static int64_t meta_chmod(struct sim_inode *inode, uint32_t mode)
{
    if (S_ISLNK(inode->live.attrs.mode))
        return -EOPNOTSUPP;
    inode->live.attrs.mode = (inode->live.attrs.mode & S_IFMT) | (mode & 07777);
    sim_acl_chmod(inode);
    sim_inode_changed(inode, false);
    return 0;
}

/* Set-id bits and capabilities do not survive a new owner (chown(2), NOTES). */
static int64_t meta_chown(struct sim_inode *inode, uint32_t uid, uint32_t gid)
{
    struct sim_attrs *attrs = &inode->live.attrs;

    if (uid != UINT32_MAX)
        attrs->uid = uid;
    if (gid != UINT32_MAX)
        attrs->gid = gid;
    if (!S_ISDIR(attrs->mode) && !S_ISLNK(attrs->mode)) {
        attrs->mode &= ~(uint32_t)S_ISUID;
        if (attrs->mode & S_IXGRP)
            attrs->mode &= ~(uint32_t)S_ISGID;
        (void)sim_xattr_remove(inode, "security.capability"); /* it need not have one */
    }
    sim_inode_changed(inode, false);
    return 0;
}

static int64_t meta_utimens(struct sim_inode *inode, const struct timespec times[2])
{
    struct sim_world *world = inode->host->world;
    struct timespec *fields[2] = { &inode->live.attrs.atime, &inode->live.attrs.mtime };

    sim_inode_changed(inode, false);
    if (world->bug == SIM_BUG_TIMES) {
        world->bug_fired++;
        return 0;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (times[i].tv_nsec == UTIME_NOW)
            *fields[i] = sim_time(inode->host);
        else if (times[i].tv_nsec != UTIME_OMIT)
            *fields[i] = times[i];
    }
    return 0;
}

static int64_t meta_listxattr(struct sim_inode *inode, char *buf, uint64_t size)
{
    const struct sim_attrs *attrs = &inode->live.attrs;
    uint64_t need = 0;

    for (uint32_t i = 0; i < attrs->xattr_count; i++) {
        size_t name_size = strlen(attrs->xattrs[i].name) + 1;

        if (size != 0) {
            if (need + name_size > size)
                return -ERANGE;
            memcpy(buf + need, attrs->xattrs[i].name, name_size);
        }
        need += name_size;
    }
    return (int64_t)need;
}

static int64_t meta_xattr(struct sim_inode *inode, struct hsr_op *op)
{
    struct sim_xattr *xattr;
    uint32_t mode = inode->live.attrs.mode;

    if (op->kind == HSR_OP_LISTXATTR)
        return meta_listxattr(inode, op->buf, op->size);
    if (strchr(op->xattr, '.') == NULL)
        return -EOPNOTSUPP;
    if (strncmp(op->xattr, "user.", 5) == 0 && !S_ISREG(mode) && !S_ISDIR(mode))
        return op->kind == HSR_OP_GETXATTR ? -ENODATA : -EPERM;
    if (op->kind == HSR_OP_SETXATTR && sim_acl_name(op->xattr))
        return sim_acl_set(inode, op->xattr, op->buf, op->size);
    if (op->kind == HSR_OP_SETXATTR)
        return sim_xattr_set(inode, op->xattr, op->buf, op->size);
    if (op->kind == HSR_OP_REMOVEXATTR)
        return sim_xattr_remove(inode, op->xattr);
    xattr = sim_xattr_find(inode, op->xattr);
    if (xattr == NULL)
        return -ENODATA;
    if (op->size == 0)
        return xattr->size;
    if (op->size < xattr->size)
        return -ERANGE;
    memcpy(op->buf, xattr->value, xattr->size);
    return xattr->size;
}

static int64_t meta_flock(struct sim_host *host, const struct hsr_op *op)
{
    struct sim_file *file = sim_fd_get(host, op->fd);
    unsigned how = op->msg_flags & ~(unsigned)LOCK_NB;
    unsigned before;
    bool free_now;

    if (file == NULL || file->inode == NULL || (file->flags & O_PATH))
        return -EBADF;
    before = file->lock;
    file_unlock(file);
    if (how == LOCK_UN)
        return 0;
    free_now = how == LOCK_SH ? file->inode->flocks >= 0 : file->inode->flocks == 0;
    if (!free_now) { /* a conversion that fails has lost the lock it had: flock(2) */
        if (!(op->msg_flags & LOCK_NB))
            sim_violation(host->world, "flock would hang (had %u)", before);
        return -EWOULDBLOCK;
    }
    file->lock = how;
    file->inode->flocks = how == LOCK_SH ? file->inode->flocks + 1 : -1;
    return 0;
}

static int64_t meta_statfs(struct sim_host *host, const struct hsr_op *op)
{
    uint64_t total = host->pages_max != 0 ? host->pages_max : 1u << 30;

    if (sim_fd_get(host, op->fd) == NULL)
        return -EBADF;
    *(struct statfs *)op->statfs =
        (struct statfs){ .f_type = host->world->tmpfs ? TMPFS_MAGIC : EXT4_SUPER_MAGIC,
                         .f_bsize = SIM_PAGE,
                         .f_frsize = SIM_PAGE,
                         .f_blocks = total,
                         .f_bfree = total - host->pages,
                         .f_bavail = total - host->pages,
                         .f_files = 1u << 20,
                         .f_ffree = 1u << 19,
                         .f_namelen = 255 };
    return 0;
}

int64_t sim_fs_meta(struct sim_host *host, struct hsr_op *op)
{
    struct sim_inode *inode = NULL;
    int rc = meta_inode(host, op, &inode);

    if (rc < 0)
        return rc;
    switch ((enum hsr_op_kind)op->kind) {
    case HSR_OP_CHMOD:
        return meta_chmod(inode, op->mode);
    case HSR_OP_CHOWN:
        return meta_chown(inode, op->uid, op->gid);
    case HSR_OP_UTIMENS:
        return meta_utimens(inode, op->times);
    case HSR_OP_LISTXATTR:
    case HSR_OP_GETXATTR:
    case HSR_OP_SETXATTR:
    case HSR_OP_REMOVEXATTR:
        return meta_xattr(inode, op);
    default:
        hsr_unreachable("operation on metadata that is not simulated");
    }
}

int64_t sim_fs_run(struct sim_host *host, struct hsr_op *op, uint64_t cut)
{
    switch ((enum hsr_op_kind)op->kind) {
    case HSR_OP_NOP:
        return 0;
    case HSR_OP_READ:
        return data_read(host, op, cut);
    case HSR_OP_WRITE:
    case HSR_OP_FALLOCATE:
    case HSR_OP_FTRUNCATE:
    case HSR_OP_CLONE:
        return data_change(host, op, cut);
    case HSR_OP_FSYNC:
    case HSR_OP_SYNCFS:
        return data_sync(host, op);
    case HSR_OP_LSEEK:
        return data_seek(host, op);
    case HSR_OP_HUGE:
        return data_huge(host, op);
    case HSR_OP_FADVISE:
        return sim_fd_get(host, op->fd) != NULL ? 0 : -EBADF;
    case HSR_OP_SETFL:
        return data_setfl(host, op);
    case HSR_OP_CACHESTAT:
        return data_cachestat(host, op);
    case HSR_OP_CLOSE:
        return sim_fd_close(host, op->fd);
    case HSR_OP_STATX:
        return meta_statx(host, op);
    case HSR_OP_GETDENTS:
        return meta_getdents(host, op, cut);
    case HSR_OP_FLOCK:
        return meta_flock(host, op);
    case HSR_OP_STATFS:
        return meta_statfs(host, op);
    default:
        if (op->kind >= HSR_OP_OPENAT2 && op->kind <= HSR_OP_MKNOD)
            return sim_fs_name(host, op);
        if (op->kind < HSR_OP_CHMOD || op->kind > HSR_OP_REMOVEXATTR)
            hsr_assert_failed(hsr_op_name(op->kind), __FILE__, __LINE__);
        return sim_fs_meta(host, op);
    }
}
