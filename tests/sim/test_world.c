/* The simulated world itself: is it what it says it is? Its files are compared with those of the
 * real kernel, call by call; its streams, faults, clock and power cuts are tried one by one. */
#include <errno.h>
#include <ftw.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ring/ring.h"
#include "tests/sim/tree.h"
#include "tests/unit/hsr_test.h"

/* ---- the same calls on a real directory and on a simulated one ---- */

#define OPEN_TRIES 1000u
#define SLOTS 6u /* descriptors held on both sides; [0] is the root */
#define STEPS 3000u

struct twin {
    struct sim_world *world;
    struct hsr_prng prng;
    int real[SLOTS], sim[SLOTS];
    unsigned calls;
};

static const char *name_pick(struct twin *twin)
{
    static const char *const names[] = {
        "a", "b", "c", "a/b", "b/c", "a/b/c", "..", ".", "a/../b", "/etc", "a/..", "", "b/.",
    };
    uint64_t pick = hsr_prng_below(&twin->prng, 40);

    return names[pick < HSR_ARRAY_COUNT(names) ? pick : pick % 6];
}

static struct hsr_op op_make(struct twin *twin)
{
    static const uint8_t kinds[] = { HSR_OP_OPENAT2, HSR_OP_OPENAT2,   HSR_OP_MKDIR,
                                     HSR_OP_MKDIR,   HSR_OP_UNLINK,    HSR_OP_RENAME,
                                     HSR_OP_LINK,    HSR_OP_SYMLINK,   HSR_OP_STATX,
                                     HSR_OP_WRITE,   HSR_OP_FTRUNCATE, HSR_OP_READ,
                                     HSR_OP_LSEEK,   HSR_OP_READLINK,  HSR_OP_CHMOD,
                                     HSR_OP_UTIMENS, HSR_OP_OPENAT2,   HSR_OP_RENAME };
    static const uint32_t flags[] = {
        O_RDONLY,        O_RDWR | O_CREAT,    O_WRONLY | O_CREAT | O_EXCL, O_RDONLY | O_DIRECTORY,
        O_PATH,          O_PATH | O_NOFOLLOW, O_RDONLY | O_NOFOLLOW,       O_RDWR | O_TMPFILE,
        O_RDWR | O_TRUNC
    };
    /* The owner keeps all rights: the simulator knows no permissions, and the kernel asks a plain
     * user for them. */
    static const uint32_t modes[] = { 0700, 0750, 0711, 0755 };
    static const uint64_t resolves[] = { RESOLVE_BENEATH, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    struct hsr_op op = { .kind = kinds[hsr_prng_below(&twin->prng, sizeof(kinds))],
                         .buf_index = -1 };
    unsigned slot = (unsigned)hsr_prng_below(&twin->prng, SLOTS);

    op.fd = (int)slot;
    op.fd2 = op.kind == HSR_OP_RENAME || op.kind == HSR_OP_LINK
                 ? (int)hsr_prng_below(&twin->prng, SLOTS)
                 : op.fd;
    op.path = name_pick(twin);
    op.path2 = op.kind == HSR_OP_RENAME || op.kind == HSR_OP_LINK || op.kind == HSR_OP_SYMLINK
                   ? name_pick(twin)
                   : NULL;
    op.open_flags = flags[hsr_prng_below(&twin->prng, HSR_ARRAY_COUNT(flags))];
    op.mode =
        op.kind != HSR_OP_OPENAT2 || (op.open_flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) != 0
            ? modes[hsr_prng_below(&twin->prng, HSR_ARRAY_COUNT(modes))]
            : 0;
    op.resolve = resolves[hsr_prng_below(&twin->prng, 2)];
    op.offset = hsr_prng_below(&twin->prng, 5) * 3000;
    op.size = 4000;
    op.whence = hsr_prng_below(&twin->prng, 2) ? SEEK_DATA : SEEK_HOLE;
    if (op.kind == HSR_OP_UNLINK)
        op.at_flags = hsr_prng_below(&twin->prng, 2) ? AT_REMOVEDIR : 0;
    else if (op.kind == HSR_OP_RENAME)
        op.at_flags = (int)hsr_prng_below(&twin->prng, 3);
    else if (op.kind == HSR_OP_STATX)
        op.at_flags = hsr_prng_below(&twin->prng, 2) ? AT_SYMLINK_NOFOLLOW : 0;
    if (op.kind == HSR_OP_CHMOD || op.kind == HSR_OP_UTIMENS)
        op.path_fd = true;
    return op;
}

/* Absolute names and those above the root lead to different places: only where nothing can come
 * of it. */
static bool op_leaves(const struct hsr_op *op)
{
    bool up = strstr(op->path, "..") != NULL || op->path[0] == '/' || op->path[0] == '\0';

    if (op->kind == HSR_OP_OPENAT2)
        return false; /* RESOLVE_BENEATH */
    if (op->path2 != NULL && op->kind != HSR_OP_SYMLINK)
        up = up || strstr(op->path2, "..") != NULL || op->path2[0] == '/';
    if (op->kind == HSR_OP_SYMLINK)
        up = up || op->path2[0] == '/' || strstr(op->path2, "..") != NULL;
    return up && op->kind != HSR_OP_READ && op->kind != HSR_OP_WRITE &&
           op->kind != HSR_OP_FTRUNCATE && op->kind != HSR_OP_LSEEK;
}

static void twin_close(struct twin *twin, unsigned slot)
{
    if (twin->real[slot] < 0)
        return;
    CHECK_EQ(close(twin->real[slot]), 0);
    CHECK_EQ(sim_fd_close(&twin->world->hosts[0], twin->sim[slot]), 0);
    twin->real[slot] = twin->sim[slot] = -1;
}

/* Where each file system has its own answer. */
static bool op_differs(const struct twin *twin, const struct hsr_op *op)
{
    const struct sim_file *file = sim_fd_get(&twin->world->hosts[0], twin->sim[op->fd]);

    if (file == NULL || !S_ISDIR(file->inode->live.attrs.mode))
        return false;
    if (op->kind == HSR_OP_LSEEK)
        return true; /* holes in directories */
    /* A nameless file in a directory that was removed: tmpfs makes one, ext4 does not. */
    return op->kind == HSR_OP_OPENAT2 && (op->open_flags & (O_TMPFILE & ~O_DIRECTORY)) != 0 &&
           file->inode->nlink == 0;
}

/* Returns false when the two have gone apart: what follows would say nothing. */
static bool twin_step(struct twin *twin)
{
    static char bytes[8192], real_bytes[8192], sim_bytes[8192];
    struct hsr_op op = op_make(twin), real = op, sim = op;
    struct statx real_statx = { 0 }, sim_statx = { 0 };
    unsigned slot = 1 + (unsigned)hsr_prng_below(&twin->prng, SLOTS - 1);
    int64_t a = 0, b;

    if (twin->real[op.fd] < 0 || twin->real[op.fd2] < 0 || op_leaves(&op) || op_differs(twin, &op))
        return true;
    twin->calls++;
    real.fd = twin->real[op.fd];
    real.fd2 = twin->real[op.fd2];
    sim.fd = twin->sim[op.fd];
    sim.fd2 = twin->sim[op.fd2];
    real.buf = op.kind == HSR_OP_WRITE ? bytes : real_bytes;
    sim.buf = op.kind == HSR_OP_WRITE ? bytes : sim_bytes;
    real.statx = &real_statx;
    sim.statx = &sim_statx;
    real.mask = sim.mask = STATX_BASIC_STATS;
    memset(bytes, (int)hsr_prng_next(&twin->prng) | 1, sizeof(bytes));
    /* A rename anywhere on this machine may meet a ".." (openat2(2)): the caller is to try again.
     */
    for (unsigned try = 0; try == 0 || (a == -EAGAIN && try < OPEN_TRIES); try++)
        a = hsr_syscall_run(&real);
    b = sim_fs_run(&twin->world->hosts[0], &sim, 0);
    if (a != b && !(op.kind == HSR_OP_OPENAT2 && a >= 0 && b >= 0)) {
        fprintf(stderr,
                "%s(%d, \"%s\", %d, \"%s\", flags %#x at %#x offset %llu): real %s, simulated %s\n",
                hsr_op_name(op.kind), op.fd, op.path, op.fd2, op.path2 != NULL ? op.path2 : "",
                op.open_flags, (unsigned)op.at_flags, (unsigned long long)op.offset,
                a < 0 ? hsr_err_name((int)a) : "good", b < 0 ? hsr_err_name((int)b) : "good");
        CHECK_EQ(a, b);
        return false;
    }
    if (op.kind == HSR_OP_OPENAT2 && a >= 0) {
        twin_close(twin, slot);
        twin->real[slot] = (int)a;
        twin->sim[slot] = (int)b;
    } else if ((op.kind == HSR_OP_READ || op.kind == HSR_OP_READLINK) && a > 0) {
        CHECK(memcmp(real_bytes, sim_bytes, (size_t)a) == 0);
    } else if (op.kind == HSR_OP_STATX && a == 0) {
        CHECK_EQ(real_statx.stx_mode, sim_statx.stx_mode);
        if (!S_ISDIR(real_statx.stx_mode)) {
            CHECK_EQ(real_statx.stx_size, sim_statx.stx_size);
            CHECK_EQ(real_statx.stx_nlink, sim_statx.stx_nlink);
        }
    }
    return true;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* Goal: the simulated file system answers as the kernel does. Method: the same random calls on
 * both; every result must be the same. */
static void test_files_are_as_the_kernel_has_them(void)
{
    unsigned calls = 0;

    umask(0);
    for (uint64_t seed = 1; seed <= 100; seed++) {
        char path[] = "/tmp/hsr-sim-XXXXXX";
        struct twin twin = { .world = sim_world_create(seed), .prng = hsr_prng_init(seed) };

        if (mkdtemp(path) == NULL)
            SKIP("no temporary directory");
        sim_mkdir(&twin.world->hosts[0], "/root", 0700);
        memset(twin.real, -1, sizeof(twin.real));
        memset(twin.sim, -1, sizeof(twin.sim));
        twin.real[0] = open(path, O_RDONLY | O_DIRECTORY);
        twin.sim[0] = sim_open(&twin.world->hosts[0], "/root", O_RDONLY | O_DIRECTORY);
        CHECK(twin.real[0] >= 0 && twin.sim[0] >= 0);
        for (unsigned i = 0; i < STEPS && twin_step(&twin); i++)
            ;
        for (unsigned i = 0; i < SLOTS; i++)
            twin_close(&twin, i);
        calls += twin.calls;
        CHECK_EQ(twin.world->violation_count, 0);
        CHECK_EQ(sim_fd_count(&twin.world->hosts[0], true), 0);
        sim_world_destroy(twin.world);
        CHECK_EQ(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    }
    CHECK(calls > 100 * STEPS / 4);
}

/* ---- what a power cut leaves ---- */

static int64_t run(struct sim_host *host, struct hsr_op op)
{
    op.buf_index = -1;
    return sim_fs_run(host, &op, 0);
}

static int64_t sync_fd(struct sim_host *host, const char *path, uint8_t kind, bool data_only)
{
    int fd = sim_open(host, path, O_RDONLY);
    int64_t rc = run(host, (struct hsr_op){ .kind = kind, .fd = fd, .data_only = data_only });

    CHECK_EQ(sim_fd_close(host, fd), 0);
    return rc;
}

/* Goal: a power cut leaves what was synced and nothing else: names by a sync of their directory,
 * contents by a sync of the file. */
static void test_power_cut_leaves_what_was_synced(void)
{
    struct sim_world *world = sim_world_create(3);
    struct sim_host *host = &world->hosts[0];

    sim_mkdir(host, "/d", 0755);
    sim_file(host, "/d/all", 0644, 1, 10000, false);
    CHECK_EQ(sync_fd(host, "/d", HSR_OP_SYNCFS, false), 0);
    sim_symlink(host, "/d/link", "all"); /* its inode and its text are made with its name */
    sim_file(host, "/d/name", 0644, 2, 5000, false); /* its name is synced, its content is not */
    CHECK_EQ(sync_fd(host, "/d", HSR_OP_FSYNC, false), 0);
    sim_file(host, "/d/content", 0644, 3, 5000, false); /* the other way round */
    CHECK_EQ(sync_fd(host, "/d/content", HSR_OP_FSYNC, false), 0);
    sim_file(host, "/d/none", 0644, 4, 5000, false);
    CHECK_EQ(run(host, (struct hsr_op){ .kind = HSR_OP_UNLINK, .fd = AT_FDCWD, .path = "/d/all" }),
             0);
    sim_fs_crash(host, false);
    CHECK(sim_find(host, "/d/all") != NULL && sim_find(host, "/d/all")->live.data.size == 10000);
    CHECK(sim_find(host, "/d/name") != NULL && sim_find(host, "/d/name")->live.data.size == 0);
    CHECK(sim_find(host, "/d/link") != NULL &&
          sim_find(host, "/d/link")->live.attrs.mode == (S_IFLNK | 0777));
    CHECK(sim_find(host, "/d/content") == NULL);
    CHECK(sim_find(host, "/d/none") == NULL);
    sim_world_destroy(world);
}

/* Goal: pages written after a sync are not durable, though they share memory with durable ones. */
static void test_power_cut_keeps_old_bytes(void)
{
    struct sim_world *world = sim_world_create(3);
    struct sim_host *host = &world->hosts[0];
    char before[16] = "old old old old", after[16];
    int fd;

    sim_file(host, "/f", 0644, 1, 0, false);
    fd = sim_open(host, "/f", O_RDWR);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(run(host, (struct hsr_op){ .kind = HSR_OP_WRITE,
                                            .fd = fd,
                                            .buf = i == 0 ? before : (char[]){ "new new new new" },
                                            .size = 16 }),
                 16);
        if (i == 0)
            CHECK_EQ(run(host, (struct hsr_op){ .kind = HSR_OP_SYNCFS, .fd = fd }), 0);
    }
    CHECK_EQ(sim_fd_close(host, fd), 0);
    sim_fs_crash(host, false);
    fd = sim_open(host, "/f", O_RDONLY);
    CHECK_EQ(run(host, (struct hsr_op){ .kind = HSR_OP_READ, .fd = fd, .buf = after, .size = 16 }),
             16);
    CHECK(memcmp(before, after, 16) == 0);
    CHECK_EQ(sim_fd_close(host, fd), 0);
    sim_world_destroy(world);
}

/* ---- directories, locks, attributes, a full disk ---- */

/* Goal: a listing in small pieces, continued at a remembered d_off, shows each name once. */
static void test_listing_continues_at_cookies(void)
{
    struct sim_world *world = sim_world_create(5);
    struct sim_host *host = &world->hosts[0];
    uint64_t position = 0;
    unsigned count = 0;
    int64_t got;

    sim_mkdir(host, "/d", 0755);
    for (unsigned i = 0; i < 50; i++) {
        char path[32];

        snprintf(path, sizeof(path), "/d/name%u", i);
        sim_file(host, path, 0644, i, 10, false);
    }
    do {
        _Alignas(8) uint8_t buf[96];
        int fd = sim_open(host, "/d", O_RDONLY | O_DIRECTORY);

        CHECK_EQ(run(host,
                     (struct hsr_op){
                         .kind = HSR_OP_LSEEK, .fd = fd, .offset = position, .whence = SEEK_SET }),
                 (int64_t)position);
        got = run(host, (struct hsr_op){
                            .kind = HSR_OP_GETDENTS, .fd = fd, .buf = buf, .size = sizeof(buf) });
        for (int64_t at = 0; at < got;) {
            uint16_t size;

            memcpy(&position, buf + at + 8, 8);
            memcpy(&size, buf + at + 16, 2);
            at += size;
            count++;
        }
        CHECK_EQ(sim_fd_close(host, fd), 0);
    } while (got > 0);
    CHECK_EQ(count, 52);
    sim_world_destroy(world);
}

static void test_locks_exclude(void)
{
    struct sim_world *world = sim_world_create(5);
    struct sim_host *host = &world->hosts[0];
    struct hsr_op lock = { .kind = HSR_OP_FLOCK, .msg_flags = LOCK_EX | LOCK_NB };
    int first, second;

    sim_file(host, "/f", 0644, 1, 1, false);
    first = sim_open(host, "/f", O_RDONLY);
    second = sim_open(host, "/f", O_RDONLY);
    lock.fd = first;
    CHECK_EQ(run(host, lock), 0);
    CHECK_EQ(run(host, lock), 0); /* again is fine */
    lock.fd = second;
    CHECK_EQ(run(host, lock), -EWOULDBLOCK);
    CHECK_EQ(sim_fd_close(host, first), 0);
    CHECK_EQ(run(host, lock), 0);
    CHECK_EQ(sim_fd_close(host, second), 0);
    CHECK_EQ(world->violation_count, 0);
    CHECK_EQ(sim_fd_close(host, second), -EBADF);
    CHECK_EQ(world->violation_count, 1); /* closing twice is noticed */
    sim_world_destroy(world);
}

static void test_full_disk_and_new_owner(void)
{
    struct sim_world *world = sim_world_create(5);
    struct sim_host *host = &world->hosts[0];
    static char bytes[4 * SIM_PAGE];
    struct hsr_op write_op = { .kind = HSR_OP_WRITE, .buf = bytes, .size = sizeof(bytes) };

    sim_file(host, "/f", 04755, 1, 0, false);
    write_op.fd = sim_open(host, "/f", O_RDWR);
    host->pages_max = host->pages + 3;
    CHECK_EQ(run(host, write_op), 3 * SIM_PAGE); /* what fits, then nothing */
    write_op.offset = 3 * SIM_PAGE;
    CHECK_EQ(run(host, write_op), -ENOSPC);
    sim_xattr(host, "/f", "security.capability", "x");
    CHECK_EQ(run(host,
                 (struct hsr_op){
                     .kind = HSR_OP_CHOWN, .fd = AT_FDCWD, .path = "/f", .uid = 5, .gid = 6 }),
             0);
    CHECK_EQ(sim_find(host, "/f")->live.attrs.mode, S_IFREG | 0755);
    CHECK_EQ(sim_find(host, "/f")->live.attrs.xattr_count, 0);
    CHECK_EQ(sim_fd_close(host, write_op.fd), 0);
    sim_world_destroy(world);
}

/* ---- streams ---- */

#define PORT 7440
#define STREAM_SIZE (700 * HSR_KIB) /* more than any pipe holds */

struct end {
    struct hsr_loop loop;
    struct hsr_op op;
    int64_t res;
    bool done;
};

static struct end *end_of_op(struct hsr_op *op)
{
    return hsr_container_of(op, struct end, op);
}

static void op_done(struct hsr_op *op, int64_t res, unsigned flags)
{
    CHECK_EQ(flags, 0);
    end_of_op(op)->res = res;
    end_of_op(op)->done = true;
}

static void ends_init(struct sim_world *world, struct end *ends)
{
    for (unsigned i = 0; i < 2; i++) {
        struct hsr_backend *backend;

        memset(&ends[i], 0, sizeof(ends[i]));
        CHECK_EQ(sim_backend_create(world, i, 0, &backend), 0);
        CHECK_EQ(hsr_loop_init(&ends[i].loop, backend, 0), 0);
    }
    world->driven = true;
}

static void submit(struct end *end, struct hsr_op op)
{
    end->op = op;
    end->op.done = op_done;
    end->op.buf_index = -1;
    end->done = false;
    hsr_loop_submit(&end->loop, &end->op);
}

/* Turn both loops until nothing happens any more. */
static void settle(struct sim_world *world, struct end *ends)
{
    for (;;) {
        bool busy = hsr_loop_turn(&ends[0].loop, true);

        busy = hsr_loop_turn(&ends[1].loop, true) || busy;
        if (busy)
            continue;
        if (sim_world_next(world) == UINT64_MAX)
            return;
        sim_world_jump(world, sim_world_next(world));
    }
}

static void connect_both(struct sim_world *world, struct end *ends, int fds[3])
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(PORT) };
    struct hsr_op socket_op = { .kind = HSR_OP_SOCKET, .mode = AF_INET, .buf_index = -1 };

    fds[2] = sim_listen(world, 0, PORT);
    fds[1] = (int)hsr_loop_call(&ends[1].loop, &socket_op);
    CHECK(fds[1] >= 0);
    submit(&ends[0], (struct hsr_op){ .kind = HSR_OP_ACCEPT, .fd = fds[2] });
    submit(&ends[1], (struct hsr_op){ .kind = HSR_OP_CONNECT,
                                      .fd = fds[1],
                                      .addr = (struct sockaddr *)&address,
                                      .addr_size = sizeof(address) });
    settle(world, ends);
    CHECK(ends[0].done && ends[1].done);
    CHECK_EQ(ends[1].res, 0);
    fds[0] = (int)ends[0].res;
    CHECK(fds[0] >= 0);
}

static void ends_fini(struct sim_world *world, struct end *ends, const int fds[3])
{
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(sim_fd_close(&world->hosts[i % 2], fds[i]), 0);
    settle(world, ends);
    for (unsigned i = 0; i < 2; i++) {
        hsr_loop_fini(&ends[i].loop);
        CHECK_EQ(sim_fd_count(&world->hosts[i], true), 0);
    }
    CHECK_EQ(world->violation_count, 0);
    sim_world_destroy(world);
}

/* Goal: a stream keeps its bytes in order, stops a writer nobody reads, and cuts what may be cut.
 */
static void test_stream_keeps_bytes_and_stops_writers(void)
{
    struct sim_world *world = sim_world_create(11);
    struct end ends[2];
    uint8_t *out = malloc(STREAM_SIZE), *in = calloc(1, STREAM_SIZE);
    int fds[3];

    hsr_assert(out != NULL && in != NULL);
    for (unsigned i = 0; i < STREAM_SIZE; i++)
        out[i] = (uint8_t)(i * 31 + i / 251);
    ends_init(world, ends);
    connect_both(world, ends, fds);
    submit(&ends[1], (struct hsr_op){ .kind = HSR_OP_SEND,
                                      .fd = fds[1],
                                      .buf = out,
                                      .size = STREAM_SIZE,
                                      .msg_flags = MSG_WAITALL });
    settle(world, ends);
    CHECK(!ends[1].done); /* nobody reads: it waits, and only a bounded part is on its way */
    submit(&ends[0], (struct hsr_op){ .kind = HSR_OP_RECV,
                                      .fd = fds[0],
                                      .buf = in,
                                      .size = STREAM_SIZE,
                                      .msg_flags = MSG_WAITALL });
    settle(world, ends);
    CHECK_EQ(ends[1].res, STREAM_SIZE);
    CHECK_EQ(ends[0].res, STREAM_SIZE);
    CHECK(memcmp(in, out, STREAM_SIZE) == 0);
    for (unsigned at = 0, pieces = 0; at < STREAM_SIZE; pieces++) { /* without MSG_WAITALL */
        submit(&ends[0], (struct hsr_op){
                             .kind = HSR_OP_RECV, .fd = fds[0], .buf = in, .size = STREAM_SIZE });
        submit(&ends[1],
               (struct hsr_op){
                   .kind = HSR_OP_SEND, .fd = fds[1], .buf = out + at, .size = STREAM_SIZE - at });
        settle(world, ends);
        CHECK(ends[1].done && ends[1].res > 0);
        CHECK(ends[0].done && ends[0].res > 0);
        for (int64_t left = ends[1].res - ends[0].res; left > 0; left -= ends[0].res) {
            submit(&ends[0],
                   (struct hsr_op){
                       .kind = HSR_OP_RECV, .fd = fds[0], .buf = in, .size = STREAM_SIZE });
            settle(world, ends);
            CHECK(ends[0].res > 0);
        }
        at += (unsigned)ends[1].res;
        CHECK(pieces < 100);
    }
    ends_fini(world, ends, fds);
    free(out);
    free(in);
}

/* Goal: the end of a stream, a reset and a canceled receive are three different things. */
static void test_stream_ends(void)
{
    for (unsigned how = 0; how < 3; how++) {
        struct sim_world *world = sim_world_create(12 + how);
        struct end ends[2];
        char buf[8];
        struct hsr_op stop = { .kind = HSR_OP_SHUTDOWN, .msg_flags = SHUT_WR, .buf_index = -1 };
        int fds[3];

        ends_init(world, ends);
        connect_both(world, ends, fds);
        if (how == 1)
            world->fault =
                (struct sim_fault){ .kind = HSR_OP_RECV, .host = 0, .nth = 1, .error = ECONNRESET };
        submit(&ends[0], (struct hsr_op){
                             .kind = HSR_OP_RECV, .fd = fds[0], .buf = buf, .size = sizeof(buf) });
        if (how != 1) {
            settle(world, ends);
            CHECK(!ends[0].done);
        }
        stop.fd = fds[1];
        if (how == 0)
            CHECK_EQ(hsr_loop_call(&ends[1].loop, &stop), 0);
        if (how == 2)
            hsr_loop_cancel(&ends[0].loop, &ends[0].op);
        settle(world, ends);
        CHECK(ends[0].done);
        CHECK_EQ(ends[0].res, how == 0 ? 0 : how == 1 ? -ECONNRESET : -ECANCELED);
        CHECK_EQ(world->fault.fired, how == 1);
        if (how == 1) { /* and the other side sees it too */
            submit(&ends[1],
                   (struct hsr_op){ .kind = HSR_OP_SEND, .fd = fds[1], .buf = buf, .size = 8 });
            settle(world, ends);
            CHECK_EQ(ends[1].res, -ECONNRESET);
        }
        ends_fini(world, ends, fds);
    }
}

/* ---- faults and time ---- */

/* Goal: the n-th operation fails, that one alone, and says that it did. */
static void test_fault_hits_the_nth(void)
{
    struct sim_world *world = sim_world_create(1);
    struct hsr_backend *backend;
    struct hsr_loop loop;
    unsigned failed = 0;

    sim_file(&world->hosts[0], "/f", 0644, 1, 100, false);
    CHECK_EQ(sim_backend_create(world, 0, 0, &backend), 0);
    CHECK_EQ(hsr_loop_init(&loop, backend, 0), 0);
    world->fault =
        (struct sim_fault){ .kind = HSR_OP_STATX, .host = SIM_ANY, .nth = 3, .error = EIO };
    for (unsigned i = 1; i <= 5; i++) {
        struct statx stx;
        struct hsr_op op = {
            .kind = HSR_OP_STATX, .fd = AT_FDCWD, .path = "/f", .statx = &stx, .buf_index = -1
        };
        int64_t rc = hsr_loop_call(&loop, &op);

        CHECK_EQ(rc, i == 3 ? -EIO : 0);
        failed += rc < 0;
    }
    CHECK_EQ(failed, 1);
    CHECK_EQ(world->fault.fired, 1);
    CHECK_EQ(world->fault.fired_kind, HSR_OP_STATX);
    hsr_loop_fini(&loop);
    sim_world_destroy(world);
}

static struct hsr_loop *timer_loop;

static void timer_fired(struct hsr_timer *timer)
{
    (void)timer;
    hsr_loop_stop(timer_loop);
}

/* Goal: an hour of waiting takes an hour of simulated time and none of ours. */
static void test_time_jumps(void)
{
    struct sim_world *world = sim_world_create(1);
    struct hsr_timer timer = { .fired = timer_fired };
    struct hsr_backend *backend;
    struct hsr_loop loop;
    uint64_t before_ns = world->now_ns, hour_ns = 3600 * HSR_NS_PER_S;

    CHECK_EQ(sim_backend_create(world, 0, 0, &backend), 0);
    CHECK_EQ(hsr_loop_init(&loop, backend, 0), 0);
    timer_loop = &loop;
    hsr_loop_timer_set(&loop, &timer, before_ns + hour_ns);
    hsr_loop_run(&loop);
    CHECK(world->now_ns >= before_ns + hour_ns);
    CHECK(world->now_ns < before_ns + hour_ns + HSR_NS_PER_S);
    hsr_loop_fini(&loop);
    sim_world_destroy(world);
}

int main(void)
{
    RUN(test_files_are_as_the_kernel_has_them);
    RUN(test_power_cut_leaves_what_was_synced);
    RUN(test_power_cut_keeps_old_bytes);
    RUN(test_listing_continues_at_cookies);
    RUN(test_locks_exclude);
    RUN(test_full_disk_and_new_owner);
    RUN(test_stream_keeps_bytes_and_stops_writers);
    RUN(test_stream_ends);
    RUN(test_fault_hits_the_nth);
    RUN(test_time_jumps);
    TEST_END();
}
