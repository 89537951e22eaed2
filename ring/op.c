/* Names of the operations. */
#include "ring/op.h"

#include "base/assert.h"

static const char *const op_names[HSR_OP_COUNT] = {
    [HSR_OP_NOP] = "nop",
    [HSR_OP_ACCEPT] = "accept",
    [HSR_OP_CONNECT] = "connect",
    [HSR_OP_SEND] = "send",
    [HSR_OP_SEND_ZC] = "send_zc",
    [HSR_OP_RECV] = "recv",
    [HSR_OP_RECVMSG] = "recvmsg",
    [HSR_OP_SHUTDOWN] = "shutdown",
    [HSR_OP_POLL] = "poll",
    [HSR_OP_READ] = "read",
    [HSR_OP_WRITE] = "write",
    [HSR_OP_FSYNC] = "fsync",
    [HSR_OP_SYNCFS] = "syncfs",
    [HSR_OP_FALLOCATE] = "fallocate",
    [HSR_OP_FTRUNCATE] = "ftruncate",
    [HSR_OP_LSEEK] = "lseek",
    [HSR_OP_FADVISE] = "fadvise",
    [HSR_OP_SETFL] = "fcntl",
    [HSR_OP_CACHESTAT] = "cachestat",
    [HSR_OP_CLONE] = "clone",
    [HSR_OP_HUGE] = "huge",
    [HSR_OP_CLOSE] = "close",
    [HSR_OP_OPENAT2] = "openat2",
    [HSR_OP_STATX] = "statx",
    [HSR_OP_GETDENTS] = "getdents",
    [HSR_OP_READLINK] = "readlink",
    [HSR_OP_MKDIR] = "mkdir",
    [HSR_OP_UNLINK] = "unlink",
    [HSR_OP_RENAME] = "rename",
    [HSR_OP_LINK] = "link",
    [HSR_OP_SYMLINK] = "symlink",
    [HSR_OP_MKNOD] = "mknod",
    [HSR_OP_CHMOD] = "chmod",
    [HSR_OP_CHOWN] = "chown",
    [HSR_OP_UTIMENS] = "utimens",
    [HSR_OP_LISTXATTR] = "listxattr",
    [HSR_OP_GETXATTR] = "getxattr",
    [HSR_OP_SETXATTR] = "setxattr",
    [HSR_OP_REMOVEXATTR] = "removexattr",
    [HSR_OP_FLOCK] = "flock",
    [HSR_OP_STATFS] = "statfs",
    [HSR_OP_SOCKET] = "socket",
    [HSR_OP_SOCKOPT] = "setsockopt",
    [HSR_OP_SOCKOPT_GET] = "getsockopt",
};

const char *hsr_op_name(enum hsr_op_kind kind)
{
    hsr_assert((unsigned)kind < HSR_OP_COUNT);
    hsr_assert(op_names[kind] != NULL); /* a new kind needs its name here */
    return op_names[kind];
}

void hsr_op_deliver(struct hsr_op *op)
{
    unsigned due = op->due;

    hsr_assert(due != 0);
    op->due = 0;
    if (due & HSR_DUE_RESULT)
        op->done(op, op->res, due & HSR_DUE_MORE ? HSR_CQE_MORE : 0);
    if (due & HSR_DUE_NOTICE)
        op->done(op, op->notice, HSR_CQE_NOTIF);
}
