/* See at.h. */
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "transfer/tree/at.h"
#include "transfer/tree/opener.h"
#include "transfer/tree/target.h"

int hsr_at_open(struct hsr_loop *loop, int fd, const char *path, uint32_t flags, uint32_t mode)
{
    struct hsr_op op = { .kind = HSR_OP_OPENAT2,
                         .fd = fd,
                         .path = path,
                         .open_flags = flags | O_NOFOLLOW | O_CLOEXEC,
                         .mode = mode,
                         .resolve = hsr_opener_resolve(path, HSR_RESOLVE_STRICT),
                         .buf_index = -1 };

    hsr_assert(fd >= 0);
    return (int)hsr_loop_call(loop, &op);
}

int hsr_at_close(struct hsr_loop *loop, int fd)
{
    struct hsr_op op = { .kind = HSR_OP_CLOSE, .fd = fd, .buf_index = -1 };
    int rc;

    if (fd < 0)
        return 0;
    rc = (int)hsr_loop_call(loop, &op);
    hsr_assert(rc != -EBADF);
    return rc == -EINTR ? 0 : rc; /* Linux has closed it all the same (close(2), NOTES) */
}

int hsr_at_statx(struct hsr_loop *loop, int fd, const char *path, struct statx *ret_statx)
{
    struct hsr_op op = { .kind = HSR_OP_STATX,
                         .fd = fd,
                         .path = path,
                         .at_flags = AT_SYMLINK_NOFOLLOW | (path[0] == '\0' ? AT_EMPTY_PATH : 0),
                         .mask = STATX_BASIC_STATS,
                         .statx = ret_statx,
                         .buf_index = -1 };

    hsr_assert(fd >= 0);
    return (int)hsr_loop_call(loop, &op);
}

int hsr_at_unlink(struct hsr_loop *loop, int fd, const char *path, bool is_dir)
{
    struct hsr_op op = { .kind = HSR_OP_UNLINK,
                         .fd = fd,
                         .path = path,
                         .at_flags = is_dir ? AT_REMOVEDIR : 0,
                         .buf_index = -1 };

    hsr_assert(fd >= 0 && path[0] != '\0');
    return (int)hsr_loop_call(loop, &op);
}

int hsr_at_rename(struct hsr_loop *loop, int fd, const char *path, int fd2, const char *path2)
{
    struct hsr_op op = {
        .kind = HSR_OP_RENAME, .fd = fd, .path = path, .fd2 = fd2, .path2 = path2, .buf_index = -1
    };

    hsr_assert(fd >= 0 && fd2 >= 0);
    return (int)hsr_loop_call(loop, &op);
}

int hsr_at_link(struct hsr_loop *loop, int fd, const char *path, int fd2, const char *path2)
{
    struct hsr_op op = {
        .kind = HSR_OP_LINK, .fd = fd, .path = path, .fd2 = fd2, .path2 = path2, .buf_index = -1
    };

    hsr_assert(fd >= 0 && fd2 >= 0);
    return (int)hsr_loop_call(loop, &op);
}

int hsr_at_flock(struct hsr_loop *loop, int fd, unsigned how)
{
    struct hsr_op op = { .kind = HSR_OP_FLOCK, .fd = fd, .msg_flags = how, .buf_index = -1 };

    hsr_assert(fd >= 0);
    return (int)hsr_loop_call(loop, &op);
}

int hsr_at_chmod(struct hsr_loop *loop, int fd, bool path_fd, uint32_t mode)
{
    struct hsr_op op = { .kind = HSR_OP_CHMOD,
                         .fd = fd,
                         .path = "",
                         .path_fd = path_fd,
                         .mode = mode & 07777u,
                         .buf_index = -1 };
    int rc;

    hsr_assert(fd >= 0);
    rc = (int)hsr_loop_call(loop, &op);
    if (rc == -EBADF && !path_fd) { /* a directory that may not be read is held by O_PATH */
        op.path_fd = true;
        rc = (int)hsr_loop_call(loop, &op);
    }
    return rc;
}

int hsr_at_name(struct hsr_span span, char ret_name[HSR_NAME_MAX + 1])
{
    hsr_require(hsr_name_valid(span), HSR_E_NAME);
    hsr_require(!hsr_stage_name_is(span), HSR_E_NAME);
    hsr_assert(span.size <= HSR_NAME_MAX);
    memcpy(ret_name, span.ptr, span.size);
    ret_name[span.size] = '\0';
    return 0;
}
