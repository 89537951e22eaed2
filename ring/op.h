/* Operations as data. An operation is a tagged structure embedded in its owner; it reaches the
 * kernel (or a simulated one) through ring/backend.h and in no other way. Two doors:
 *
 *   hsr_loop_submit(loop, op)  asynchronous; op->done(op, res, flags) runs in the loop, later;
 *                              the last completion has no HSR_CQE_MORE
 *   hsr_loop_call(loop, op)    now, on this thread; returns the result; op->done is not called
 *
 * Which door is a measurement: metadata on a local file system and reads of cached files are
 * faster as plain calls than through a kernel worker; sockets, bulk file data and syncs are not.
 *
 * SEND_ZC completes twice: when the bytes are accepted (HSR_CQE_MORE), and when the kernel needs
 * the memory no more (HSR_CQE_NOTIF), which on TCP is when the peer has acknowledged them. A send
 * that failed may come without the second. Only where backend->send_zc says so.
 *
 * Results are those of the system call: >= 0, or -errno. Paths are NUL-ended and borrowed until
 * the last completion, as is every other pointer. */
#ifndef HSR_RING_OP_H
#define HSR_RING_OP_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "base/queue.h"
#include "base/util.h"

enum hsr_op_kind {
    HSR_OP_NOP,
    /* sockets; asynchronous only, but for SHUTDOWN */
    HSR_OP_ACCEPT, /* fd; res = new descriptor (CLOEXEC); addr and addr_size may be NULL */
    HSR_OP_CONNECT, /* fd, addr, addr_size */
    HSR_OP_SEND, /* fd, buf, size, msg_flags; may be short */
    HSR_OP_SEND_ZC, /* the same and buf_index, without a copy: see below */
    HSR_OP_RECV, /* fd, buf, size, msg_flags */
    HSR_OP_RECVMSG, /* fd, iov, iov_count, msg_flags: the rest of a payload and the next header */
    HSR_OP_SHUTDOWN, /* fd, msg_flags = SHUT_xx */
    HSR_OP_POLL, /* fd, msg_flags = POLLIN...: one shot */
    /* file data */
    HSR_OP_READ, /* fd, buf, size, offset, buf_index, rw_flags (RWF_x of preadv2(2)) */
    HSR_OP_WRITE, /* fd, buf, size, offset, buf_index, rw_flags */
    HSR_OP_FSYNC, /* fd; data_only: fdatasync(2) */
    HSR_OP_SYNCFS, /* fd */
    HSR_OP_FALLOCATE, /* fd, mode (FALLOC_FL_x), offset, size */
    HSR_OP_FTRUNCATE, /* fd, offset = new size in bytes */
    HSR_OP_LSEEK, /* fd, offset, whence (SEEK_DATA, SEEK_HOLE, SEEK_SET on a directory) */
    HSR_OP_FADVISE, /* fd, offset, size (0: to the end), mode = POSIX_FADV_x */
    HSR_OP_SETFL, /* call only: fd, open_flags: those of `mask`; the others stay (fcntl(2)) */
    HSR_OP_CACHESTAT, /* call only: fd, offset, size (0: to the end), buf = struct hsr_cachestat */
    HSR_OP_CLONE, /* call only: fd gets the blocks of fd2, all of it (FICLONE of ioctl_ficlone(2))
                   */
    HSR_OP_HUGE, /* fd, offset, size: huge pages ahead of the writes; see ring/huge.h */
    HSR_OP_CLOSE, /* fd; submitted: the pages of a file that nobody else has are freed elsewhere */
    /* names: always relative to a held directory descriptor */
    HSR_OP_OPENAT2, /* fd, path, open_flags, mode, resolve (RESOLVE_x) */
    HSR_OP_STATX, /* fd, path ("" with AT_EMPTY_PATH), at_flags, mask, statx */
    HSR_OP_GETDENTS, /* fd, buf, size: getdents64(2) records */
    HSR_OP_READLINK, /* fd, path ("": the descriptor itself), buf, size */
    HSR_OP_MKDIR, /* fd, path, mode */
    HSR_OP_UNLINK, /* fd, path, at_flags (AT_REMOVEDIR) */
    HSR_OP_RENAME, /* fd, path -> fd2, path2, at_flags = RENAME_x of renameat2(2) */
    HSR_OP_LINK, /* fd, path -> fd2, path2; path "": link the descriptor itself */
    HSR_OP_SYMLINK, /* text in path2, created as fd, path */
    HSR_OP_MKNOD, /* fd, path, mode (with S_IFMT), rdev */
    /* metadata: on the descriptor when path is "", else on that name in directory fd, never
     * following it. `path_fd` says that the descriptor was opened with O_PATH. */
    HSR_OP_CHMOD, /* fd, path, path_fd, mode */
    HSR_OP_CHOWN, /* fd, path, uid, gid ((uid_t)-1: leave) */
    HSR_OP_UTIMENS, /* fd, path, times[2] (atime, mtime; UTIME_OMIT works) */
    HSR_OP_LISTXATTR, /* fd, path, path_fd, buf, size */
    HSR_OP_GETXATTR, /* fd, path, path_fd, xattr, buf, size */
    HSR_OP_SETXATTR, /* fd, path, path_fd, xattr, buf, size */
    HSR_OP_REMOVEXATTR, /* fd, path, path_fd, xattr */
    HSR_OP_FLOCK, /* fd, msg_flags = LOCK_x of flock(2) */
    HSR_OP_STATFS, /* fd, statfs */
    HSR_OP_SOCKET, /* call only: mode = domain; a TCP socket, CLOEXEC */
    HSR_OP_SOCKOPT, /* call only: fd, mask = level, mode = option name, buf, size */
    HSR_OP_SOCKOPT_GET, /* call only: the same, into buf; res = bytes that came */
    HSR_OP_COUNT
};

/* flags of a completion */
#define HSR_CQE_MORE (1u << 0) /* another completion of this operation follows */
#define HSR_CQE_NOTIF (1u << 1) /* zero-copy notice: the buffer is free; res: HSR_NOTICE_x */

/* result of a zero-copy notice */
#define HSR_NOTICE_SENT 0 /* from where it stood */
#define HSR_NOTICE_COPIED 1 /* the kernel had to copy it */

/* what of an operation waits for its handler: hsr_op.due */
#define HSR_DUE_RESULT (1u << 0)
#define HSR_DUE_MORE (1u << 1) /* with HSR_DUE_RESULT: a notice follows */
#define HSR_DUE_NOTICE (1u << 2)

struct hsr_op;

/** Runs in the loop's completion phase. Records and wakes; never submits work that could recurse.
 * @param res    result of the system call, or -errno; -ECANCELED after hsr_loop_cancel()
 * @param flags  HSR_CQE_x */
typedef void hsr_op_done(struct hsr_op *op, int64_t res, unsigned flags);

struct hsr_op {
    struct hsr_list node; /* the loop's, while submitted */
    hsr_op_done *done;
    uint8_t kind; /* enum hsr_op_kind */
    bool armed; /* between submit and the last completion; the loop's */
    bool path_fd; /* the descriptor is O_PATH */
    bool data_only; /* FSYNC: fdatasync */
    uint8_t due; /* HSR_DUE_x; the backend's */
    bool call; /* submit(): run it as a plain call in the loop's submit phase (tmpfs) */
    int16_t buf_index; /* registered buffer, or -1 */
    int fd;
    int fd2;
    unsigned msg_flags; /* also shutdown how, poll mask, flock operation */
    int rw_flags; /* RWF_x */
    uint32_t direct; /* READ, WRITE: O_DIRECT in blocks of so many bytes; for whoever reads `res` */
    int at_flags; /* also renameat2 flags */
    int whence;
    uint32_t open_flags;
    uint32_t mode;
    uint32_t mask;
    uint32_t uid;
    uint32_t gid;
    uint64_t resolve;
    uint64_t offset; /* bytes */
    uint64_t size; /* bytes */
    uint64_t rdev;
    void *buf;
    const char *path;
    const char *path2;
    const char *xattr;
    const struct iovec *iov;
    unsigned iov_count;
    struct sockaddr *addr;
    socklen_t addr_size;
    socklen_t *addr_size_out; /* ACCEPT */
    struct statx *statx;
    void *statfs;
    struct timespec times[2];
    struct msghdr msghdr; /* the backend's scratch for RECVMSG */
    uint64_t call_ns; /* `call`: how long it took; the backend's. 0 after an asynchronous one */
    int64_t res; /* result waiting to be delivered; the backend's */
    int64_t notice; /* the same of a notice */
    uint64_t trace_ns; /* when it was submitted; the loop's */
    hsr_op_done *owner_done; /* `done` while armed: the loop's handler stands in its place */
};

/** For backends: call op->done for what is due, in order. It may free the operation. */
void hsr_op_deliver(struct hsr_op *op);

/** Short name of a kind for traces and errors: "openat2". */
const char *hsr_op_name(enum hsr_op_kind kind);

#endif
