/* How the bytes of one open file are moved: past the page cache, or through it. The choice is made
 * when the file is opened, from what its file system says and what the cache holds already, and is
 * corrected when a call is refused. See "The disk" in docs/ARCHITECTURE.md for the measurements.
 *
 *   call      plain calls at memory speed (tmpfs)
 *   direct    O_DIRECT: offset and size of each operation are multiples of `align`
 *   uncached  through the page cache, but what we bring in leaves it again (RWF_DONTCACHE)
 *   buffered  through the page cache, and left there */
#ifndef HSR_TREE_FILEIO_H
#define HSR_TREE_FILEIO_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/ring.h"

/** What was asked for (--io). */
enum hsr_io {
    HSR_IO_AUTO,
    HSR_IO_DIRECT, /* wherever the file system can, also small files and what is cached */
    HSR_IO_BUFFERED, /* the page cache keeps what moved */
    HSR_IO_COUNT
};

/** Largest alignment in use: memory of buffers, and the blocks of what is read or written. */
#define HSR_FILEIO_ALIGN_MAX 4096u

/** The way an operation went, for counters. */
enum hsr_fileio_way {
    HSR_FILEIO_DIRECT,
    HSR_FILEIO_UNCACHED,
    HSR_FILEIO_BUFFERED,
    HSR_FILEIO_WAY_COUNT
};

struct hsr_fileio {
    uint32_t align; /* bytes; 0: not direct */
    bool call;
    bool uncached;
};

/** What decides beside the file itself. */
struct hsr_fileio_wish {
    enum hsr_io io;
    uint32_t chunk; /* bytes of one operation */
    bool call; /* tmpfs */
};

/** Choose for a file opened for reading. @param size  bytes, as the walk saw it */
struct hsr_fileio hsr_fileio_source(struct hsr_loop *loop, int fd, uint64_t size,
                                    struct hsr_fileio_wish wish);

/** Choose for a new file opened for writing. @param size  bytes that it will have */
struct hsr_fileio hsr_fileio_target(struct hsr_loop *loop, int fd, uint64_t size,
                                    struct hsr_fileio_wish wish);

/** Stop direct I/O on @fd, for whoever else uses it too: what is in flight ends as it began.
 * @return 0, or -errno: then it is still direct */
int hsr_fileio_undirect(struct hsr_loop *loop, int fd, struct hsr_fileio *io);

/** Fill in what @op needs (kind, fd and buf of the whole piece are set) for the rest of a piece of
 * @size bytes at @offset, of which @done are there. A direct read asks for whole blocks: the buffer
 * has room for them. A direct write must be one of whole blocks. */
void hsr_fileio_prepare(const struct hsr_fileio *io, struct hsr_op *op, uint64_t offset,
                        uint32_t size, uint32_t done);

/** Look at the result of an operation that was prepared; @io may have changed meanwhile.
 * @param done  in: before it; out: bytes of the piece that are there
 * @return 1: go on with what is missing (also after a refusal that changed @io); 0: the piece is
 * there; -ENODATA: nothing came any more (the file ends here); -errno */
int hsr_fileio_result(struct hsr_loop *loop, const struct hsr_op *op, struct hsr_fileio *io,
                      int64_t res, uint32_t size, uint32_t *done);

/** How did this operation go? */
enum hsr_fileio_way hsr_fileio_way(const struct hsr_op *op);

/** Pages of the file that are in the cache, in hundredths of the file; a guess from some samples
 * where the kernel cannot count them (before 6.5). */
unsigned hsr_fileio_cached(struct hsr_loop *loop, int fd, uint64_t size);

/** That guess. */
unsigned hsr_fileio_cached_sampled(struct hsr_loop *loop, int fd, uint64_t size);

#endif
