/* The plain system call behind every kind of operation. Newer calls are tried first and remembered
 * as missing after the first ENOSYS; what replaces them goes through /proc/self/fd, which follows a
 * held descriptor exactly to its inode and not to whatever has its name by now. */
#include <errno.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/assert.h"
#include "ring/backend.h"
#include "ring/huge.h"
#include "ring/uapi.h"

/* One read or write moves at most this much on Linux (read(2), NOTES). */
#define TRANSFER_SIZE_MAX 0x7ffff000ull

#define PROC_PATH_SIZE 40u /* "/proc/self/fd/" and an int */

/* Set once by whichever thread meets ENOSYS first; racing threads write the same value. */
static atomic_bool xattrat_missing;
static atomic_bool fchmodat2_missing;

static int64_t syscall_data(struct hsr_op *op);
static int64_t syscall_move(const struct hsr_op *op);
static int64_t syscall_name(struct hsr_op *op);
static int64_t syscall_meta(struct hsr_op *op);
static int64_t syscall_link(const struct hsr_op *op);
static int64_t syscall_chmod(const struct hsr_op *op);
static int64_t syscall_xattr_fd(const struct hsr_op *op);
static int64_t syscall_xattr_at(const struct hsr_op *op);
static int64_t syscall_xattr_path(const struct hsr_op *op, const char *path, bool follow);

int64_t hsr_syscall_run(struct hsr_op *op)
{
    int64_t res;

    hsr_assert(op->kind < HSR_OP_COUNT);
    do {
        if (op->kind <= HSR_OP_CLOSE)
            res = syscall_data(op);
        else if (op->kind <= HSR_OP_MKNOD)
            res = syscall_name(op);
        else
            res = syscall_meta(op);
        if (res == -1)
            res = -(int64_t)errno;
        /* close(2): on Linux the descriptor is gone even after EINTR, a second try could close
         * somebody else's. */
    } while (res == -EINTR && op->kind != HSR_OP_CLOSE);
    return res;
}

/* This and the two below return what the call returns: -1 with errno, or a result; where several
 * calls are tried, -errno (EPERM is 1, so these say it with errno too). */
static int64_t syscall_data(struct hsr_op *op)
{
    off_t offset = (off_t)op->offset;

    switch ((enum hsr_op_kind)op->kind) {
    case HSR_OP_NOP:
        return 0;
    case HSR_OP_SHUTDOWN:
        return shutdown(op->fd, (int)op->msg_flags);
    case HSR_OP_READ:
    case HSR_OP_WRITE:
        return syscall_move(op);
    case HSR_OP_FSYNC:
        return op->data_only ? fdatasync(op->fd) : fsync(op->fd);
    case HSR_OP_SYNCFS:
        return syncfs(op->fd);
    case HSR_OP_FALLOCATE:
        return fallocate(op->fd, (int)op->mode, offset, (off_t)op->size);
    case HSR_OP_FTRUNCATE:
        return ftruncate(op->fd, offset);
    case HSR_OP_LSEEK:
        return lseek(op->fd, offset, op->whence);
    case HSR_OP_FADVISE: /* says it with its result, not with errno */
        errno = posix_fadvise(op->fd, offset, (off_t)op->size, (int)op->mode);
        return errno == 0 ? 0 : -1;
    case HSR_OP_SETFL: {
        int flags = fcntl(op->fd, F_GETFL);

        return flags < 0 ? -1
                         : fcntl(op->fd, F_SETFL,
                                 (flags & ~(int)op->mask) | (int)(op->open_flags & op->mask));
    }
    case HSR_OP_CACHESTAT: {
        struct hsr_cachestat_range range = { .offset = op->offset, .size = op->size };

        return syscall(SYS_cachestat, op->fd, &range, op->buf, 0);
    }
    case HSR_OP_CLONE:
        return ioctl(op->fd, FICLONE, op->fd2);
    case HSR_OP_HUGE:
        return hsr_huge_make(op->fd, op->offset, op->size);
    case HSR_OP_CLOSE:
        return close(op->fd);
    default: /* sockets are asynchronous only */
        errno = EOPNOTSUPP;
        return -1;
    }
}

static int64_t syscall_move(const struct hsr_op *op)
{
    size_t size = (size_t)HSR_MIN(op->size, TRANSFER_SIZE_MAX);
    struct iovec iov = { op->buf, size };
    off_t offset = (off_t)op->offset;
    bool read = op->kind == HSR_OP_READ;

    if (op->rw_flags != 0)
        return read ? preadv2(op->fd, &iov, 1, offset, op->rw_flags)
                    : pwritev2(op->fd, &iov, 1, offset, op->rw_flags);
    return read ? pread(op->fd, op->buf, size, offset) : pwrite(op->fd, op->buf, size, offset);
}

static int64_t syscall_name(struct hsr_op *op)
{
    const char *path = op->path != NULL ? op->path : "";

    switch ((enum hsr_op_kind)op->kind) {
    case HSR_OP_OPENAT2: {
        struct open_how how = { .flags = op->open_flags | O_CLOEXEC,
                                .mode = op->mode,
                                .resolve = op->resolve };

        return syscall(SYS_openat2, op->fd, path, &how, sizeof(how));
    }
    case HSR_OP_STATX:
        return statx(op->fd, path, op->at_flags | (path[0] == '\0' ? AT_EMPTY_PATH : 0), op->mask,
                     op->statx);
    case HSR_OP_GETDENTS:
        return syscall(SYS_getdents64, op->fd, op->buf, (unsigned)HSR_MIN(op->size, INT_MAX));
    case HSR_OP_READLINK:
        return readlinkat(op->fd, path, op->buf, (size_t)HSR_MIN(op->size, INT_MAX));
    case HSR_OP_MKDIR:
        return mkdirat(op->fd, path, op->mode);
    case HSR_OP_UNLINK:
        return unlinkat(op->fd, path, op->at_flags);
    case HSR_OP_RENAME:
        return renameat2(op->fd, path, op->fd2, op->path2, (unsigned)op->at_flags);
    case HSR_OP_LINK:
        return syscall_link(op);
    case HSR_OP_SYMLINK:
        return symlinkat(op->path2, op->fd, path);
    case HSR_OP_MKNOD:
        return mknodat(op->fd, path, op->mode, op->rdev);
    default:
        hsr_unreachable("operation on a name");
    }
}

static int64_t syscall_meta(struct hsr_op *op)
{
    const char *path = op->path != NULL ? op->path : "";
    bool on_fd = path[0] == '\0';
    int at_flags = on_fd ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;

    switch ((enum hsr_op_kind)op->kind) {
    case HSR_OP_CHMOD:
        return syscall_chmod(op);
    case HSR_OP_CHOWN:
        return fchownat(op->fd, path, op->uid, op->gid, at_flags);
    case HSR_OP_UTIMENS: /* AT_EMPTY_PATH works here since 5.8 */
        return utimensat(op->fd, path, op->times, at_flags);
    case HSR_OP_LISTXATTR:
    case HSR_OP_GETXATTR:
    case HSR_OP_SETXATTR:
    case HSR_OP_REMOVEXATTR:
        return on_fd ? syscall_xattr_fd(op) : syscall_xattr_at(op);
    case HSR_OP_FLOCK:
        return flock(op->fd, (int)op->msg_flags);
    case HSR_OP_STATFS:
        return fstatfs(op->fd, op->statfs);
    case HSR_OP_SOCKET:
        return socket((int)op->mode, SOCK_STREAM | SOCK_CLOEXEC, 0);
    case HSR_OP_SOCKOPT:
        return setsockopt(op->fd, (int)op->mask, (int)op->mode, op->buf, (socklen_t)op->size);
    case HSR_OP_SOCKOPT_GET: {
        socklen_t size = (socklen_t)op->size;
        int rc = getsockopt(op->fd, (int)op->mask, (int)op->mode, op->buf, &size);

        return rc < 0 ? rc : (int64_t)size;
    }
    default:
        hsr_unreachable("operation on metadata");
    }
}

static const char *proc_path(char buf[PROC_PATH_SIZE], int fd)
{
    int size = snprintf(buf, PROC_PATH_SIZE, "/proc/self/fd/%d", fd);

    hsr_assert(size > 0 && (unsigned)size < PROC_PATH_SIZE);
    return buf;
}

/* AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH before 6.10 (ENOENT without it); the detour does not. */
static int64_t syscall_link(const struct hsr_op *op)
{
    char buf[PROC_PATH_SIZE];

    if (op->path != NULL && op->path[0] != '\0')
        return linkat(op->fd, op->path, op->fd2, op->path2, 0);
    if (linkat(op->fd, "", op->fd2, op->path2, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != ENOENT && errno != EPERM && errno != EINVAL)
        return -1;
    return linkat(AT_FDCWD, proc_path(buf, op->fd), op->fd2, op->path2, AT_SYMLINK_FOLLOW);
}

/* fchmodat2(2); -1 with ENOSYS when the kernel (before 6.6) has none. */
static int fchmodat2_try(int fd, const char *path, uint32_t mode, int at_flags)
{
    long res;

    if (atomic_load_explicit(&fchmodat2_missing, memory_order_relaxed)) {
        errno = ENOSYS;
        return -1;
    }
    res = syscall(SYS_fchmodat2, fd, path, mode, at_flags);
    if (res == -1 && errno == ENOSYS)
        atomic_store_explicit(&fchmodat2_missing, true, memory_order_relaxed);
    return (int)res;
}

static int64_t syscall_chmod(const struct hsr_op *op)
{
    bool on_fd = op->path == NULL || op->path[0] == '\0';
    char buf[PROC_PATH_SIZE];
    int fd, res, saved;

    if (on_fd && !op->path_fd)
        return fchmod(op->fd, op->mode);
    res = on_fd ? fchmodat2_try(op->fd, "", op->mode, AT_EMPTY_PATH)
                : fchmodat2_try(op->fd, op->path, op->mode, AT_SYMLINK_NOFOLLOW);
    if (res == 0 || errno != ENOSYS)
        return res;
    /* untested: needs a kernel before 6.6 */
    if (on_fd)
        return chmod(proc_path(buf, op->fd), op->mode);
    fd = openat(op->fd, op->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    res = chmod(proc_path(buf, fd), op->mode);
    saved = errno;
    (void)close(fd); /* an O_PATH descriptor has nothing to lose */
    errno = saved;
    return res;
}

static int64_t syscall_xattr_fd(const struct hsr_op *op)
{
    char buf[PROC_PATH_SIZE];

    if (op->path_fd)
        return syscall_xattr_path(op, proc_path(buf, op->fd), true);
    switch ((enum hsr_op_kind)op->kind) {
    case HSR_OP_LISTXATTR:
        return flistxattr(op->fd, op->buf, op->size);
    case HSR_OP_GETXATTR:
        return fgetxattr(op->fd, op->xattr, op->buf, op->size);
    case HSR_OP_SETXATTR:
        return fsetxattr(op->fd, op->xattr, op->buf, op->size, 0);
    case HSR_OP_REMOVEXATTR:
        return fremovexattr(op->fd, op->xattr);
    default:
        hsr_unreachable("operation on xattrs");
    }
}

static int64_t xattrat_try(const struct hsr_op *op)
{
    struct hsr_xattr_args args = { .value = (uint64_t)(uintptr_t)op->buf,
                                   .size = (uint32_t)HSR_MIN(op->size, UINT32_MAX) };
    int flags = AT_SYMLINK_NOFOLLOW;

    switch ((enum hsr_op_kind)op->kind) {
    case HSR_OP_LISTXATTR:
        return syscall(SYS_listxattrat, op->fd, op->path, flags, op->buf, (size_t)op->size);
    case HSR_OP_GETXATTR:
        return syscall(SYS_getxattrat, op->fd, op->path, flags, op->xattr, &args, sizeof(args));
    case HSR_OP_SETXATTR:
        return syscall(SYS_setxattrat, op->fd, op->path, flags, op->xattr, &args, sizeof(args));
    case HSR_OP_REMOVEXATTR:
        return syscall(SYS_removexattrat, op->fd, op->path, flags, op->xattr);
    default:
        hsr_unreachable("operation on xattrs");
    }
}

static int64_t syscall_xattr_at(const struct hsr_op *op)
{
    char path[PROC_PATH_SIZE + NAME_MAX + 2];
    char buf[PROC_PATH_SIZE];
    int size;

    if (!atomic_load_explicit(&xattrat_missing, memory_order_relaxed)) {
        int64_t res = xattrat_try(op);

        if (res != -1 || errno != ENOSYS)
            return res;
        atomic_store_explicit(&xattrat_missing, true, memory_order_relaxed);
    }
    /* untested: needs a kernel before 6.13. Only the last component is not followed, so this
     * insists on having just one. */
    if (strchr(op->path, '/') != NULL) {
        errno = EINVAL;
        return -1;
    }
    size = snprintf(path, sizeof(path), "%s/%s", op->fd == AT_FDCWD ? "." : proc_path(buf, op->fd),
                    op->path);
    if (size < 0 || (size_t)size >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return syscall_xattr_path(op, path, false);
}

static int64_t syscall_xattr_path(const struct hsr_op *op, const char *path, bool follow)
{
    switch ((enum hsr_op_kind)op->kind) {
    case HSR_OP_LISTXATTR:
        return follow ? listxattr(path, op->buf, op->size) : llistxattr(path, op->buf, op->size);
    case HSR_OP_GETXATTR:
        return follow ? getxattr(path, op->xattr, op->buf, op->size)
                      : lgetxattr(path, op->xattr, op->buf, op->size);
    case HSR_OP_SETXATTR:
        return follow ? setxattr(path, op->xattr, op->buf, op->size, 0)
                      : lsetxattr(path, op->xattr, op->buf, op->size, 0);
    case HSR_OP_REMOVEXATTR:
        return follow ? removexattr(path, op->xattr) : lremovexattr(path, op->xattr);
    default:
        hsr_unreachable("operation on xattrs");
    }
}
