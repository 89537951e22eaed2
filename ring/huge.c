/* See huge.h. */
#include "ring/huge.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "ring/uapi.h"

static int huge_collapse(int fd, uint64_t offset, uint64_t size);

int hsr_huge_make(int fd, uint64_t offset, uint64_t size)
{
    hsr_assert(offset % HSR_HUGE_SIZE == 0);
    hsr_assert(size > 0 && size % HSR_HUGE_SIZE == 0);
    /* A piece without a page is left alone, so each gets one. Not by writing to it: somebody else
     * may have written there. */
    for (uint64_t at = offset; at < offset + size; at += HSR_HUGE_SIZE)
        if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)at, 1) < 0)
            return -1;
    return huge_collapse(fd, offset, size);
}

/* Files under transfer are never mapped, because a mapping that is used fails with SIGBUS. This one
 * is not used, and cannot be: it only says to madvise(2) which pieces are meant. */
static int huge_collapse(int fd, uint64_t offset, uint64_t size)
{
    size_t room = (size_t)size + HSR_HUGE_SIZE;
    uint8_t *base, *at;
    int rc, error;

    base = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return -1;
    at = base + (HSR_ALIGN_UP((uintptr_t)base, (uintptr_t)HSR_HUGE_SIZE) - (uintptr_t)base);
    rc = mmap(at, (size_t)size, PROT_NONE, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED
             ? -1
             : madvise(at, (size_t)size, MADV_COLLAPSE);
    error = errno;
    hsr_assert(munmap(base, room) == 0);
    errno = error;
    return rc;
}
