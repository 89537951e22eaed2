/* See fileio.h. */
#include "transfer/tree/fileio.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "ring/uapi.h"

/* Smaller files, or files moved in smaller pieces, are read and written through the cache, where
 * the kernel reads ahead and gathers what is written. */
#define DIRECT_SIZE_MIN (64 * HSR_KIB)
#define DIRECT_CHUNK_MIN (64 * HSR_KIB)

/* From this share on copying out of the cache beats reading the whole from the disk again. */
#define CACHED_MUCH 50u /* hundredths */

#define CACHED_SAMPLES 16u /* one-byte reads that stand for a file */

static struct hsr_fileio fileio_start(struct hsr_fileio_wish wish);
static bool fileio_wants_direct(uint64_t size, struct hsr_fileio_wish wish);
static uint32_t fileio_align(struct hsr_loop *loop, int fd);
static int fileio_setfl(struct hsr_loop *loop, int fd, uint32_t flags);
static bool fileio_direct(struct hsr_loop *loop, int fd, uint32_t align, struct hsr_fileio *io);

struct hsr_fileio hsr_fileio_source(struct hsr_loop *loop, int fd, uint64_t size,
                                    struct hsr_fileio_wish wish)
{
    struct hsr_fileio io = fileio_start(wish);
    uint32_t align = fileio_wants_direct(size, wish) ? fileio_align(loop, fd) : 0;

    if (align != 0 && wish.io == HSR_IO_AUTO && hsr_fileio_cached(loop, fd, size) >= CACHED_MUCH)
        align = 0;
    if (align == 0 || !fileio_direct(loop, fd, align, &io))
        (void)fileio_setfl(loop, fd, 0); /* if it is refused, it may still work */
    return io;
}

struct hsr_fileio hsr_fileio_target(struct hsr_loop *loop, int fd, uint64_t size,
                                    struct hsr_fileio_wish wish)
{
    struct hsr_fileio io = fileio_start(wish);
    uint32_t align = fileio_wants_direct(size, wish) ? fileio_align(loop, fd) : 0;

    if (align != 0)
        (void)fileio_direct(loop, fd, align, &io);
    return io;
}

static struct hsr_fileio fileio_start(struct hsr_fileio_wish wish)
{
    return (struct hsr_fileio){ .call = wish.call,
                                .uncached = !wish.call && wish.io != HSR_IO_BUFFERED };
}

static bool fileio_wants_direct(uint64_t size, struct hsr_fileio_wish wish)
{
    if (wish.call || wish.io == HSR_IO_BUFFERED)
        return false;
    return wish.io == HSR_IO_DIRECT || (size >= DIRECT_SIZE_MIN && wish.chunk >= DIRECT_CHUNK_MIN);
}

/* Blocks of direct I/O on this file in bytes; 0: none, or larger than ours. */
static uint32_t fileio_align(struct hsr_loop *loop, int fd)
{
    struct statx stx = { 0 };
    struct hsr_op op = { .kind = HSR_OP_STATX,
                         .fd = fd,
                         .path = "",
                         .at_flags = AT_EMPTY_PATH,
                         .mask = STATX_DIOALIGN,
                         .statx = &stx,
                         .buf_index = -1 };
    uint32_t memory = 0, file = 0;

    _Static_assert(sizeof(stx) >= HSR_STATX_DIO_FILE_OFFSET + sizeof(file), "statx has the room");
    if (hsr_loop_call(loop, &op) < 0 || !(stx.stx_mask & STATX_DIOALIGN))
        return 0;
    memcpy(&memory, (const uint8_t *)&stx + HSR_STATX_DIO_MEM_OFFSET, sizeof(memory));
    memcpy(&file, (const uint8_t *)&stx + HSR_STATX_DIO_FILE_OFFSET, sizeof(file));
    if (memory == 0 || memory > HSR_FILEIO_ALIGN_MAX || file == 0 || file > HSR_FILEIO_ALIGN_MAX)
        return 0;
    return HSR_FILEIO_ALIGN_MAX; /* a multiple of both: each is a power of two */
}

/* Not O_NONBLOCK, which was for opening: where reads cannot be tried without waiting, io_uring
 * would answer each with EAGAIN. */
static int fileio_setfl(struct hsr_loop *loop, int fd, uint32_t flags)
{
    struct hsr_op op = { .kind = HSR_OP_SETFL,
                         .fd = fd,
                         .open_flags = flags,
                         .mask = O_DIRECT | O_NONBLOCK,
                         .buf_index = -1 };

    return (int)hsr_loop_call(loop, &op);
}

static bool fileio_direct(struct hsr_loop *loop, int fd, uint32_t align, struct hsr_fileio *io)
{
    if (fileio_setfl(loop, fd, O_DIRECT) < 0) /* EINVAL: the file system only pretends (fcntl(2)) */
        return false;
    io->align = align;
    io->uncached = false;
    return true;
}

int hsr_fileio_undirect(struct hsr_loop *loop, int fd, struct hsr_fileio *io)
{
    int rc = io->align != 0 ? fileio_setfl(loop, fd, 0) : 0;

    if (rc < 0 || io->align == 0)
        return rc;
    io->align = 0;
    io->uncached = true;
    return 0;
}

void hsr_fileio_prepare(const struct hsr_fileio *io, struct hsr_op *op, uint64_t offset,
                        uint32_t size, uint32_t done)
{
    hsr_assert(done < size);
    op->buf = (uint8_t *)op->buf + done;
    op->size = size - done;
    op->offset = offset + done;
    op->call = io->call;
    op->rw_flags = io->uncached ? RWF_DONTCACHE : 0;
    op->direct = io->align;
    if (io->align == 0)
        return;
    hsr_assert(op->kind == HSR_OP_READ || op->size % io->align == 0);
    op->size = HSR_ALIGN_UP(op->size, (uint64_t)io->align);
    hsr_assert(op->offset % io->align == 0);
    hsr_assert((uintptr_t)op->buf % io->align == 0);
}

int hsr_fileio_result(struct hsr_loop *loop, const struct hsr_op *op, struct hsr_fileio *io,
                      int64_t res, uint32_t size, uint32_t *done)
{
    uint64_t now = *done;

    if (res == -EINTR || res == -EAGAIN)
        return 1;
    if (res == -EINVAL && op->direct != 0) { /* statx promised too much */
        int rc = hsr_fileio_undirect(loop, op->fd, io);

        return rc < 0 ? rc : 1;
    }
    if (res == -EOPNOTSUPP && (op->rw_flags & RWF_DONTCACHE)) {
        io->uncached = false;
        return 1;
    }
    if (res <= 0)
        return res < 0 ? (int)res : -ENODATA;
    now = HSR_MIN(now + (uint64_t)res, size); /* a direct read may have come upon more */
    if (op->direct != 0 && now < size) {
        now -= now % op->direct; /* short: the block is moved again */
        if (now == *done) { /* not even one: now its bytes count */
            int rc = hsr_fileio_undirect(loop, op->fd, io);

            return rc < 0 ? rc : 1;
        }
    }
    *done = (uint32_t)now;
    return now < size;
}

enum hsr_fileio_way hsr_fileio_way(const struct hsr_op *op)
{
    if (op->direct != 0)
        return HSR_FILEIO_DIRECT;
    return op->rw_flags & RWF_DONTCACHE ? HSR_FILEIO_UNCACHED : HSR_FILEIO_BUFFERED;
}

unsigned hsr_fileio_cached(struct hsr_loop *loop, int fd, uint64_t size)
{
    struct hsr_cachestat stat = { 0 };
    struct hsr_op op = { .kind = HSR_OP_CACHESTAT, .fd = fd, .buf = &stat, .buf_index = -1 };
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t pages = HSR_MAX((size + page - 1) / page, 1u);

    if (hsr_loop_call(loop, &op) < 0)
        return hsr_fileio_cached_sampled(loop, fd, size);
    return (unsigned)(HSR_MIN(stat.cached, pages) * 100 / pages);
}

/* A read that may not wait finds only what is there (preadv2(2), RWF_NOWAIT). */
unsigned hsr_fileio_cached_sampled(struct hsr_loop *loop, int fd, uint64_t size)
{
    unsigned hits = 0;

    for (unsigned i = 0; i < CACHED_SAMPLES; i++) {
        uint8_t byte;
        struct hsr_op op = { .kind = HSR_OP_READ,
                             .fd = fd,
                             .buf = &byte,
                             .size = 1,
                             .offset = size / CACHED_SAMPLES * i,
                             .rw_flags = RWF_NOWAIT,
                             .buf_index = -1 };

        hits += hsr_loop_call(loop, &op) == 1;
    }
    return hits * 100 / CACHED_SAMPLES;
}
