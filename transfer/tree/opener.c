/* Opening long paths piece by piece. */
#include "transfer/tree/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* openat2(2): a ".." or a concurrent rename under RESOLVE_BENEATH may give EAGAIN, and the caller
 * should try again. Somebody who renames without end must not hold us without end. */
#define OPENER_TRIES_MAX 64u

uint64_t hsr_opener_resolve(const char *path, uint64_t resolve)
{
    if ((resolve & RESOLVE_NO_SYMLINKS) == 0 || strchr(path, '/') != NULL ||
        strcmp(path, "..") == 0)
        return resolve;
    return resolve & ~(uint64_t)RESOLVE_BENEATH;
}

int hsr_opener_openat(struct hsr_loop *loop, int fd, const char *path, uint32_t flags,
                      uint64_t resolve)
{
    struct hsr_op op = { .kind = HSR_OP_OPENAT2,
                         .buf_index = -1,
                         .fd = fd,
                         .path = path,
                         .open_flags = flags | O_CLOEXEC,
                         .resolve = hsr_opener_resolve(path, resolve) };
    int64_t res = -EAGAIN;

    for (unsigned try = 0; try < OPENER_TRIES_MAX && res == -EAGAIN; try++) {
        res = hsr_loop_call(loop, &op);
        if (res == -EPERM && (op.open_flags & O_NOATIME) != 0) {
            op.open_flags &= ~(uint32_t)O_NOATIME; /* open(2): for the owner only */
            res = -EAGAIN;
        }
    }
    return (int)res;
}

void hsr_opener_close(struct hsr_loop *loop, int fd)
{
    struct hsr_op op = { .kind = HSR_OP_CLOSE, .buf_index = -1, .fd = fd };

    hsr_assert(fd >= 0);
    (void)hsr_loop_call(loop, &op); /* only read from: nothing can be lost */
}

void hsr_opener_begin(struct hsr_opener *opener, struct hsr_loop *loop, int fd, uint64_t resolve)
{
    opener->loop = loop;
    opener->resolve = resolve;
    opener->fd = fd;
    opener->owned = false;
    opener->rc = 0;
    opener->size = 0;
}

/* Open what has gathered, as a place to go on from. Search permission is enough for that. */
static void opener_flush(struct hsr_opener *opener)
{
    int fd;

    hsr_assert(opener->size > 0 && opener->rc == 0);
    opener->path[opener->size] = '\0';
    fd = hsr_opener_openat(opener->loop, opener->fd, opener->path, O_PATH | O_DIRECTORY,
                           opener->resolve);
    if (opener->owned)
        hsr_opener_close(opener->loop, opener->fd);
    opener->owned = fd >= 0;
    opener->fd = fd;
    opener->rc = HSR_MIN(fd, 0);
    opener->size = 0;
}

void hsr_opener_add(struct hsr_opener *opener, struct hsr_span path)
{
    size_t offset = 0;

    while (offset < path.size && opener->rc == 0) {
        const uint8_t *start = path.ptr + offset;
        const uint8_t *slash = memchr(start, '/', path.size - offset);
        size_t size = slash != NULL ? (size_t)(slash - start) : path.size - offset;

        offset += size + 1;
        if (size == 0)
            continue;
        if (size > HSR_OPENER_PATH_SIZE / 2) {
            opener->rc = -ENAMETOOLONG;
            break;
        }
        if (opener->size + 1 + size + 1 > sizeof(opener->path))
            opener_flush(opener);
        if (opener->rc != 0)
            break;
        if (opener->size > 0)
            opener->path[opener->size++] = '/';
        memcpy(opener->path + opener->size, start, size);
        opener->size += size;
    }
}

int hsr_opener_end(struct hsr_opener *opener, uint32_t flags)
{
    int fd = opener->rc;

    if (fd == 0) {
        opener->path[opener->size] = '\0';
        fd = hsr_opener_openat(opener->loop, opener->fd, opener->size > 0 ? opener->path : ".",
                               flags, opener->resolve);
    }
    if (opener->owned)
        hsr_opener_close(opener->loop, opener->fd);
    opener->owned = false;
    return fd;
}
