/* The ways to the disk: which is chosen when, that every size and alignment arrives whole on each,
 * what happens when a call is refused, and that a copy leaves the page cache as it found it. On the
 * file system of TMPDIR and, where direct I/O is wanted and not to be had there, skipped. */
#include <sys/mman.h>

#include "ring/uapi.h"
#include "transfer/tree/fileio.h"
#include "tree_fixture.h"

#define ROOM (256u * 1024)

static uint8_t *buf, *pattern;

static void pattern_init(void)
{
    buf = aligned_alloc(HSR_FILEIO_ALIGN_MAX, ROOM);
    pattern = malloc(ROOM);
    for (uint32_t i = 0; buf != NULL && pattern != NULL && i < ROOM; i++)
        pattern[i] = (uint8_t)(i * 131 + i / 251);
    if (buf == NULL || pattern == NULL)
        abort();
}

static int file_make(struct fixture *fx, const char *name, uint64_t size)
{
    int fd = openat(fx->root_fd, name, O_RDWR | O_CREAT | O_TRUNC, 0600);

    for (uint64_t at = 0; at < size; at += ROOM)
        CHECK_EQ(pwrite(fd, pattern, HSR_MIN(size - at, ROOM), (off_t)at),
                 HSR_MIN(size - at, ROOM));
    return fd;
}

static void file_uncache(int fd)
{
    CHECK_EQ(fsync(fd), 0);
    CHECK_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

static struct hsr_fileio_wish wish(enum hsr_io io, bool call)
{
    return (struct hsr_fileio_wish){ .io = io, .chunk = ROOM, .call = call };
}

static bool is_direct(int fd)
{
    return fcntl(fd, F_GETFL) & O_DIRECT;
}

/* Move one piece as the streams do, by calls or by submissions. @return as hsr_fileio_result */
static int move(struct fixture *fx, struct hsr_fileio *io, int fd, enum hsr_op_kind kind,
                uint64_t offset, uint32_t size, uint32_t *ret_done)
{
    uint32_t done = 0;
    int rc = 1;

    for (unsigned turn = 0; rc > 0 && turn < 8; turn++) {
        struct hsr_op op = { .kind = (uint8_t)kind, .fd = fd, .buf = buf, .buf_index = -1 };

        hsr_fileio_prepare(io, &op, offset, size, done);
        rc = hsr_fileio_result(&fx->loop, &op, io, hsr_loop_call(&fx->loop, &op), size, &done);
    }
    *ret_done = done;
    return rc;
}

/* Goal: each way is taken when it should be, and only then.
 * Method: the same file small, large and cold, large and cached; every wish; the descriptor says.
 */
static void test_fileio_choice(void)
{
    struct hsr_fileio io;
    struct fixture fx;
    bool can;
    int fd;

    fixture_init(&fx, 0);
    fd = file_make(&fx, "large", 4 * HSR_MIB);
    file_uncache(fd);
    io = hsr_fileio_source(&fx.loop, fd, 4 * HSR_MIB, wish(HSR_IO_AUTO, false));
    can = io.align != 0;
    if (!can)
        fprintf(stderr, "no direct I/O in %s: only the other ways are tested\n", fx.path);
    CHECK(is_direct(fd) == can && io.uncached == !can && !io.call);
    io = hsr_fileio_source(&fx.loop, fd, 4 * HSR_MIB, wish(HSR_IO_BUFFERED, false));
    CHECK(io.align == 0 && !io.uncached && !is_direct(fd)); /* not even when it was before */
    for (off_t at = 0; at < (off_t)(4 * HSR_MIB); at += ROOM)
        CHECK_EQ(pread(fd, buf, ROOM, at), ROOM);
    CHECK(hsr_fileio_cached(&fx.loop, fd, 4 * HSR_MIB) > 90);
    io = hsr_fileio_source(&fx.loop, fd, 4 * HSR_MIB, wish(HSR_IO_AUTO, false));
    CHECK(io.align == 0 && io.uncached && !is_direct(fd));
    io = hsr_fileio_source(&fx.loop, fd, 4 * HSR_MIB, wish(HSR_IO_DIRECT, false));
    CHECK((io.align != 0) == can && is_direct(fd) == can);
    io = hsr_fileio_source(&fx.loop, fd, 4096, wish(HSR_IO_AUTO, false));
    CHECK(io.align == 0 && !is_direct(fd));
    io = hsr_fileio_target(&fx.loop, fd, 4096, wish(HSR_IO_AUTO, false));
    CHECK(io.align == 0 && io.uncached && !is_direct(fd));
    io = hsr_fileio_target(&fx.loop, fd, 4 * HSR_MIB, wish(HSR_IO_BUFFERED, false));
    CHECK(io.align == 0 && !io.uncached && !is_direct(fd));
    io = hsr_fileio_target(&fx.loop, fd, 4 * HSR_MIB, wish(HSR_IO_DIRECT, /* call= */ true));
    CHECK(io.align == 0 && !io.uncached && io.call && !is_direct(fd)); /* memory is no disk */
    io = hsr_fileio_target(&fx.loop, fd, 4 * HSR_MIB, wish(HSR_IO_AUTO, false));
    CHECK((io.align != 0) == can && is_direct(fd) == can);
    io = hsr_fileio_target(&fx.loop, fd, 4 * HSR_MIB,
                           (struct hsr_fileio_wish){ .io = HSR_IO_AUTO, .chunk = 4096 });
    CHECK(io.align == 0); /* such small pieces are for the cache to gather */
    close(fd);
    fixture_fini(&fx);
}

/* Goal: opening flags that are not ours to change stay, and O_NONBLOCK goes.
 * Method: a descriptor with both kinds; look at it after each choice. */
static void test_fileio_flags(void)
{
    struct fixture fx;
    int fd, made;

    fixture_init(&fx, 0);
    made = file_make(&fx, "file", 2 * HSR_MIB);
    fd = openat(fx.root_fd, "file", O_RDONLY | O_NONBLOCK | O_NOATIME);
    for (unsigned io = 0; io < HSR_IO_COUNT; io++) {
        (void)hsr_fileio_source(&fx.loop, fd, 2 * HSR_MIB, wish((enum hsr_io)io, false));
        CHECK((fcntl(fd, F_GETFL) & (O_NONBLOCK | O_NOATIME)) == O_NOATIME);
    }
    close(fd);
    close(made);
    fixture_fini(&fx);
}

/* Goal: a file of any size is read whole on every way, and nothing is written behind what was asked
 * for but in the last block.
 * Method: sizes around the blocks; a canary in the buffer behind the last block. */
static void test_fileio_reads_every_size(void)
{
    static const uint32_t sizes[] = { 1,    511,  512,  513,   4095,  4096,
                                      4097, 8191, 8193, 12288, 65537, 131072 - 1 };
    struct fixture fx;

    fixture_init(&fx, 0);
    for (unsigned i = 0; i < HSR_ARRAY_COUNT(sizes) * HSR_IO_COUNT; i++) {
        uint32_t size = sizes[i / HSR_IO_COUNT], done;
        uint32_t blocks = HSR_ALIGN_UP(size, HSR_FILEIO_ALIGN_MAX);
        int fd = file_make(&fx, "file", size);
        struct hsr_fileio io;

        file_uncache(fd);
        io = hsr_fileio_source(&fx.loop, fd, size, wish((enum hsr_io)(i % HSR_IO_COUNT), false));
        memset(buf, 0xa5, ROOM);
        CHECK_EQ(move(&fx, &io, fd, HSR_OP_READ, 0, size, &done), 0);
        CHECK_EQ(done, size);
        CHECK(memcmp(buf, pattern, size) == 0);
        CHECK(buf[blocks] == 0xa5 && buf[ROOM - 1] == 0xa5);
        close(fd);
    }
    fixture_fini(&fx);
}

/* Goal: a file that is shorter than it was is noticed, one that is longer does no harm.
 * Method: ask for more, and for less, than there is; from the start and behind the end. */
static void test_fileio_changed_file(void)
{
    struct fixture fx;
    uint32_t done;
    int fd;

    fixture_init(&fx, 0);
    fd = file_make(&fx, "file", 10000);
    file_uncache(fd);
    for (unsigned i = 0; i < HSR_IO_COUNT; i++) {
        struct hsr_fileio io = hsr_fileio_source(&fx.loop, fd, 70000, wish((enum hsr_io)i, false));

        CHECK_EQ(move(&fx, &io, fd, HSR_OP_READ, 0, 70000, &done), -ENODATA);
        CHECK(done <= 10000);
        io = hsr_fileio_source(&fx.loop, fd, 70000, wish((enum hsr_io)i, false));
        CHECK_EQ(move(&fx, &io, fd, HSR_OP_READ, 65536, 4464, &done), -ENODATA);
        CHECK_EQ(done, 0);
        io = hsr_fileio_source(&fx.loop, fd, 5000, wish((enum hsr_io)i, false));
        CHECK_EQ(move(&fx, &io, fd, HSR_OP_READ, 0, 5000, &done), 0);
        CHECK(done == 5000 && memcmp(buf, pattern, 5000) == 0);
    }
    close(fd);
    fixture_fini(&fx);
}

/* Goal: whole blocks are written on every way; after undirect also what follows them, and the file
 * is not longer than it should be. */
static void test_fileio_writes(void)
{
    struct fixture fx;
    struct stat st;
    uint32_t done;

    fixture_init(&fx, 0);
    memcpy(buf, pattern, ROOM);
    for (unsigned i = 0; i < HSR_IO_COUNT; i++) {
        int fd = openat(fx.root_fd, "file", O_RDWR | O_CREAT | O_TRUNC, 0600);
        struct hsr_fileio io = hsr_fileio_target(&fx.loop, fd, 70001, wish((enum hsr_io)i, false));

        CHECK_EQ(move(&fx, &io, fd, HSR_OP_WRITE, 0, 65536, &done), 0);
        CHECK_EQ(hsr_fileio_undirect(&fx.loop, fd, &io), 0);
        CHECK(io.align == 0 && !is_direct(fd));
        memcpy(buf, pattern + 65536, 4465);
        CHECK_EQ(move(&fx, &io, fd, HSR_OP_WRITE, 65536, 4465, &done), 0);
        CHECK(fstat(fd, &st) == 0 && st.st_size == 70001);
        CHECK_EQ(pread(fd, buf, ROOM, 0), 70001);
        CHECK(memcmp(buf, pattern, 70001) == 0);
        memcpy(buf, pattern, ROOM);
        close(fd);
    }
    fixture_fini(&fx);
}

/* Goal: each refusal has its way out, also when several operations were under way; other errors and
 * refusals of what was not asked for are errors.
 * Method: results made up; the descriptor is looked at. */
static void test_fileio_refusals(void)
{
    struct hsr_op op = { .kind = HSR_OP_READ, .buf_index = -1 };
    struct hsr_fileio io = { .align = 4096 };
    struct fixture fx;
    uint32_t done = 0;
    int fd;

    fixture_init(&fx, 0);
    fd = op.fd = file_make(&fx, "file", 8192);
    (void)fcntl(fd, F_SETFL, O_DIRECT);
    op.buf = buf;
    hsr_fileio_prepare(&io, &op, 0, 8192, 0);
    CHECK_EQ(hsr_fileio_result(&fx.loop, &op, &io, -EIO, 8192, &done), -EIO);
    CHECK_EQ(hsr_fileio_result(&fx.loop, &op, &io, -EOPNOTSUPP, 8192, &done), -EOPNOTSUPP);
    CHECK_EQ(io.align, 4096);
    CHECK_EQ(hsr_fileio_result(&fx.loop, &op, &io, 5000, 8192, &done), 1);
    CHECK(done == 4096 && io.align == 4096); /* half a block is no block */
    done = 0;
    CHECK_EQ(hsr_fileio_result(&fx.loop, &op, &io, -EINVAL, 8192, &done), 1);
    CHECK(io.align == 0 && io.uncached && !is_direct(fd));
    CHECK_EQ(hsr_fileio_result(&fx.loop, &op, &io, -EINVAL, 8192, &done), 1); /* a second one */
    op.buf = buf;
    hsr_fileio_prepare(&io, &op, 0, 8192, 0);
    CHECK_EQ(op.rw_flags, RWF_DONTCACHE);
    CHECK_EQ(hsr_fileio_result(&fx.loop, &op, &io, -EINVAL, 8192, &done), -EINVAL);
    CHECK_EQ(hsr_fileio_result(&fx.loop, &op, &io, -EOPNOTSUPP, 8192, &done), 1);
    CHECK(!io.uncached);
    CHECK_EQ(hsr_fileio_result(&fx.loop, &op, &io, -EOPNOTSUPP, 8192, &done), 1);
    op.buf = buf;
    hsr_fileio_prepare(&io, &op, 0, 8192, 0);
    CHECK_EQ(op.rw_flags, 0);
    CHECK_EQ(hsr_fileio_result(&fx.loop, &op, &io, -EOPNOTSUPP, 8192, &done), -EOPNOTSUPP);
    CHECK_EQ(hsr_fileio_result(&fx.loop, &op, &io, -EINTR, 8192, &done), 1);
    CHECK_EQ(hsr_fileio_result(&fx.loop, &op, &io, 0, 8192, &done), -ENODATA);
    CHECK_EQ(done, 0);
    close(fd);
    fixture_fini(&fx);
}

/* Goal: where RWF_DONTCACHE is refused by the kernel itself, the data moves all the same.
 * Method: tmpfs refuses it. */
static void test_fileio_on_tmpfs(void)
{
    struct hsr_fileio io;
    struct fixture fx;
    uint32_t done;
    int fd;

    fixture_init_at(&fx, "/dev/shm", 0);
    fd = file_make(&fx, "file", 9999);
    io = hsr_fileio_source(&fx.loop, fd, 9999, wish(HSR_IO_AUTO, false));
    CHECK(io.align == 0 && io.uncached);
    CHECK_EQ(move(&fx, &io, fd, HSR_OP_READ, 0, 9999, &done), 0);
    CHECK(!io.uncached && memcmp(buf, pattern, 9999) == 0);
    close(fd);
    fixture_fini(&fx);
}

/* Goal: a copy that nobody asked to keep in the cache evicts nothing and leaves nothing there.
 * Method: a cached witness; copy a large cold file as the streams do; count pages of all three. */
static void test_fileio_leaves_the_cache_alone(void)
{
    const uint64_t size = 24 * HSR_MIB, witness_size = 4 * HSR_MIB;
    struct hsr_fileio from_io, to_io;
    struct fixture fx;
    int witness, from, to;

    fixture_init(&fx, 0);
    witness = file_make(&fx, "witness", witness_size);
    from = file_make(&fx, "from", size);
    to = openat(fx.root_fd, "to", O_RDWR | O_CREAT, 0600);
    CHECK_EQ(fsync(witness), 0);
    file_uncache(from);
    from_io = hsr_fileio_source(&fx.loop, from, size, wish(HSR_IO_AUTO, false));
    to_io = hsr_fileio_target(&fx.loop, to, size, wish(HSR_IO_AUTO, false));
    for (uint64_t at = 0; at < size; at += ROOM) {
        uint32_t done;

        CHECK_EQ(move(&fx, &from_io, from, HSR_OP_READ, at, ROOM, &done), 0);
        CHECK_EQ(move(&fx, &to_io, to, HSR_OP_WRITE, at, ROOM, &done), 0);
    }
    CHECK_EQ(fsync(to), 0);
    CHECK(hsr_fileio_cached(&fx.loop, witness, witness_size) >= 95);
    if (from_io.align != 0)
        CHECK_EQ(hsr_fileio_cached(&fx.loop, from, size), 0);
    if (to_io.align != 0)
        CHECK_EQ(hsr_fileio_cached(&fx.loop, to, size), 0);
    close(witness);
    close(from);
    close(to);
    fixture_fini(&fx);
}

/* Goal: what is in the cache is seen; also without cachestat(2), from samples.
 * Method: a file cached whole, half and not at all, measured both ways. */
static void test_fileio_sees_the_cache(void)
{
    const uint64_t size = 4 * HSR_MIB;
    struct hsr_cachestat stat;
    struct fixture fx;
    int fd;

    fixture_init(&fx, 0);
    fd = file_make(&fx, "file", size);
    CHECK_EQ(hsr_fileio_cached(&fx.loop, fd, size), 100);
    if (preadv2(fd, &(struct iovec){ buf, 1 }, 1, 0, RWF_NOWAIT) == 1) /* tmpfs cannot */
        CHECK_EQ(hsr_fileio_cached_sampled(&fx.loop, fd, size), 100);
    file_uncache(fd);
    if (syscall(SYS_cachestat, fd, &(struct hsr_cachestat_range){ 0 }, &stat, 0) == 0 &&
        stat.cached == 0) { /* a file system may keep its pages all the same: tmpfs does */
        CHECK_EQ(hsr_fileio_cached(&fx.loop, fd, size), 0);
        CHECK(hsr_fileio_cached_sampled(&fx.loop, fd, size) <= 25); /* samples may read ahead */
    }
    CHECK_EQ(hsr_fileio_cached(&fx.loop, fd, 0), hsr_fileio_cached(&fx.loop, fd, 1) > 0 ? 100 : 0);
    close(fd);
    fixture_fini(&fx);
}

int main(void)
{
    pattern_init();
    RUN(test_fileio_choice);
    RUN(test_fileio_flags);
    RUN(test_fileio_reads_every_size);
    RUN(test_fileio_changed_file);
    RUN(test_fileio_writes);
    RUN(test_fileio_refusals);
    RUN(test_fileio_on_tmpfs);
    RUN(test_fileio_leaves_the_cache_alone);
    RUN(test_fileio_sees_the_cache);
    free(buf);
    free(pattern);
    TEST_END();
}
