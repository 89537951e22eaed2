/* Goal: every kind of operation does what its system call does, as a plain call and, through the
 * same code, when it is submitted to a real ring, with the same results and errors.
 * Method: the same scenario in a temporary directory runs through both doors. */
#include "hsr_test.h"

#include <dirent.h>
#include <errno.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "ring/huge.h"
#include "ring/ring.h"

enum door { DOOR_CALL, DOOR_SUBMIT, DOOR_SUBMIT_CALL };

static struct hsr_loop loop;
static enum door door;
static bool op_done;
static int64_t op_res;
static char dir_path[64];
static int dir;

static void door_done(struct hsr_op *op, int64_t res, unsigned flags)
{
    (void)op;
    CHECK_EQ(flags, 0);
    CHECK(!op_done);
    op_done = true;
    op_res = res;
}

/* One operation through the door under test. */
static int64_t go(struct hsr_op op)
{
    if (op.buf_index == 0)
        op.buf_index = -1;
    if (door == DOOR_CALL)
        return hsr_loop_call(&loop, &op);
    op.done = door_done;
    op.call = door == DOOR_SUBMIT_CALL;
    op_done = false;
    hsr_loop_submit(&loop, &op);
    CHECK(!op_done); /* never from inside of submit */
    while (!op_done)
        (void)hsr_loop_turn(&loop, false);
    return op_res;
}

#define GO(...) go((struct hsr_op){ __VA_ARGS__ })

static int open_at(const char *path, uint32_t flags, uint32_t mode)
{
    return (int)GO(.kind = HSR_OP_OPENAT2, .fd = dir, .path = path, .open_flags = flags,
                   .mode = mode, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

static void test_data(void)
{
    char buf[16] = { 0 };
    struct statx stx;
    int fd;

    CHECK_EQ(open_at("none", O_RDONLY, 0), -ENOENT);
    fd = open_at("data", O_RDWR | O_CREAT | O_EXCL, 0640);
    CHECK(fd >= 0);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(open_at("data", O_RDWR | O_CREAT | O_EXCL, 0640), -EEXIST);
    CHECK_EQ(open_at("../x", O_RDONLY, 0), -EXDEV);
    CHECK_EQ(GO(.kind = HSR_OP_NOP), 0);
    CHECK_EQ(
        GO(.kind = HSR_OP_WRITE, .fd = fd, .buf = (char[]){ "hello" }, .size = 5, .offset = 4096),
        5);
    CHECK_EQ(GO(.kind = HSR_OP_READ, .fd = fd, .buf = buf, .size = 16, .offset = 4095), 6);
    CHECK(memcmp(buf, "\0hello", 6) == 0);
    CHECK_EQ(GO(.kind = HSR_OP_READ, .fd = fd, .buf = buf, .size = 16, .offset = 9000), 0);
    CHECK_EQ(GO(.kind = HSR_OP_READ, .fd = -1, .buf = buf, .size = 16), -EBADF);
    CHECK_EQ(GO(.kind = HSR_OP_FSYNC, .fd = fd), 0);
    CHECK_EQ(GO(.kind = HSR_OP_FSYNC, .fd = fd, .data_only = true), 0);
    CHECK_EQ(GO(.kind = HSR_OP_SYNCFS, .fd = fd), 0);
    CHECK_EQ(GO(.kind = HSR_OP_LSEEK, .fd = fd, .offset = 0, .whence = SEEK_HOLE), 0);
    CHECK_EQ(GO(.kind = HSR_OP_LSEEK, .fd = fd, .offset = 5000, .whence = SEEK_DATA), -ENXIO);
    CHECK_EQ(GO(.kind = HSR_OP_FALLOCATE, .fd = fd, .mode = 0, .offset = 0, .size = 16384), 0);
    CHECK_EQ(GO(.kind = HSR_OP_FTRUNCATE, .fd = fd, .offset = 12345), 0);
    CHECK_EQ(
        GO(.kind = HSR_OP_STATX, .fd = fd, .path = NULL, .mask = STATX_BASIC_STATS, .statx = &stx),
        0);
    CHECK_EQ(stx.stx_size, 12345);
    CHECK_EQ(stx.stx_mode, S_IFREG | 0640);
    CHECK_EQ(GO(.kind = HSR_OP_STATX, .fd = dir, .path = "none", .mask = STATX_BASIC_STATS,
                .statx = &stx),
             -ENOENT);
    CHECK_EQ(GO(.kind = HSR_OP_FLOCK, .fd = fd, .msg_flags = LOCK_EX | LOCK_NB), 0);
    CHECK_EQ(GO(.kind = HSR_OP_CLOSE, .fd = fd), 0);
    CHECK_EQ(GO(.kind = HSR_OP_CLOSE, .fd = fd), -EBADF);
    CHECK_EQ(GO(.kind = HSR_OP_UNLINK, .fd = dir, .path = "data"), 0);
    CHECK_EQ(GO(.kind = HSR_OP_UNLINK, .fd = dir, .path = "data"), -ENOENT);
}

/* Goal: huge pages bring memory for their pieces and change neither content nor size; where they
 * are not to be had that is said. Method: a file in /dev/shm with a few bytes in it. */
static void test_huge(void)
{
    char buf[8] = { 0 };
    struct stat st;
    int64_t res;
    int fd = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);

    if (fd < 0) {
        printf("SKIP: /dev/shm: %s\n", strerror(errno));
        return;
    }
    CHECK_EQ(GO(.kind = HSR_OP_FTRUNCATE, .fd = fd, .offset = 3 * HSR_HUGE_SIZE + 5), 0);
    CHECK_EQ(GO(.kind = HSR_OP_WRITE, .fd = fd, .buf = (char[]){ "before" }, .size = 6), 6);
    CHECK_EQ(GO(.kind = HSR_OP_WRITE, .fd = fd, .buf = (char[]){ "beside" }, .size = 6,
                .offset = 2 * HSR_HUGE_SIZE - 6),
             6);
    res = GO(.kind = HSR_OP_HUGE, .fd = fd, .offset = 0, .size = 2 * HSR_HUGE_SIZE);
    CHECK_EQ(fstat(fd, &st), 0);
    if (res == 0)
        CHECK_EQ(st.st_blocks, 2 * HSR_HUGE_SIZE / 512);
    else
        printf("SKIP: no huge pages here: %s\n", strerror((int)-res));
    CHECK_EQ(st.st_size, 3 * HSR_HUGE_SIZE + 5);
    CHECK_EQ(GO(.kind = HSR_OP_READ, .fd = fd, .buf = buf, .size = 8), 8);
    CHECK(memcmp(buf, "before\0", 8) == 0);
    CHECK_EQ(
        GO(.kind = HSR_OP_READ, .fd = fd, .buf = buf, .size = 8, .offset = 2 * HSR_HUGE_SIZE - 7),
        8);
    CHECK(memcmp(buf, "\0beside", 8) == 0);
    CHECK_EQ(GO(.kind = HSR_OP_CLOSE, .fd = fd), 0);
    CHECK_EQ(GO(.kind = HSR_OP_HUGE, .fd = fd, .size = HSR_HUGE_SIZE), -EBADF);
    fd = open("/dev/shm", O_RDONLY | O_DIRECTORY);
    CHECK_EQ(GO(.kind = HSR_OP_HUGE, .fd = fd, .size = HSR_HUGE_SIZE), -EBADF);
    CHECK_EQ(GO(.kind = HSR_OP_CLOSE, .fd = fd), 0);
}

static void test_names(void)
{
    char buf[4096], text[64];
    struct statfs stfs;
    struct statx stx;
    int fd, sub;
    int64_t size;

    CHECK_EQ(GO(.kind = HSR_OP_MKDIR, .fd = dir, .path = "sub", .mode = 0755), 0);
    CHECK_EQ(GO(.kind = HSR_OP_MKDIR, .fd = dir, .path = "sub", .mode = 0755), -EEXIST);
    CHECK_EQ(GO(.kind = HSR_OP_SYMLINK, .fd = dir, .path = "link", .path2 = "no/where"), 0);
    size = GO(.kind = HSR_OP_READLINK, .fd = dir, .path = "link", .buf = text, .size = 64);
    CHECK(size == 8 && memcmp(text, "no/where", 8) == 0);
    fd = open_at("link", O_PATH | O_NOFOLLOW, 0);
    CHECK(fd >= 0); /* the link itself: nothing was followed */
    size = GO(.kind = HSR_OP_READLINK, .fd = fd, .path = "", .buf = text, .size = 4);
    CHECK_EQ(size, 4);
    (void)close(fd);
    CHECK_EQ(GO(.kind = HSR_OP_STATX, .fd = dir, .path = "link", .at_flags = AT_SYMLINK_NOFOLLOW,
                .mask = STATX_TYPE, .statx = &stx),
             0);
    CHECK(S_ISLNK(stx.stx_mode));
    CHECK_EQ(GO(.kind = HSR_OP_MKNOD, .fd = dir, .path = "pipe", .mode = S_IFIFO | 0600), 0);
    fd = open_at("file", O_RDWR | O_CREAT, 0600);
    CHECK_EQ(GO(.kind = HSR_OP_LINK, .fd = dir, .path = "file", .fd2 = dir, .path2 = "hard"), 0);
    CHECK_EQ(GO(.kind = HSR_OP_LINK, .fd = fd, .path = "", .fd2 = dir, .path2 = "hard2"), 0);
    CHECK_EQ(GO(.kind = HSR_OP_LINK, .fd = fd, .path = "", .fd2 = dir, .path2 = "hard2"), -EEXIST);
    CHECK_EQ(GO(.kind = HSR_OP_STATX, .fd = fd, .path = "", .mask = STATX_NLINK, .statx = &stx), 0);
    CHECK_EQ(stx.stx_nlink, 3);
    (void)close(fd);
    fd = open_at(".", O_RDWR | O_TMPFILE, 0600); /* an unnamed file gets its name */
    CHECK(fd >= 0);
    CHECK_EQ(GO(.kind = HSR_OP_LINK, .fd = fd, .path = "", .fd2 = dir, .path2 = "named"), 0);
    (void)close(fd);
    CHECK_EQ(GO(.kind = HSR_OP_RENAME, .fd = dir, .path = "named", .fd2 = dir, .path2 = "hard",
                .at_flags = RENAME_NOREPLACE),
             -EEXIST);
    CHECK_EQ(GO(.kind = HSR_OP_RENAME, .fd = dir, .path = "named", .fd2 = dir, .path2 = "hard"), 0);
    sub = open_at(".", O_RDONLY | O_DIRECTORY, 0);
    size = GO(.kind = HSR_OP_GETDENTS, .fd = sub, .buf = buf, .size = sizeof(buf));
    CHECK(size > 0);
    CHECK_EQ(GO(.kind = HSR_OP_GETDENTS, .fd = sub, .buf = buf, .size = sizeof(buf)), 0);
    CHECK_EQ(GO(.kind = HSR_OP_LSEEK, .fd = sub, .offset = 0, .whence = SEEK_SET), 0);
    CHECK_EQ(GO(.kind = HSR_OP_GETDENTS, .fd = sub, .buf = buf, .size = sizeof(buf)), size);
    CHECK_EQ(GO(.kind = HSR_OP_STATFS, .fd = sub, .statfs = &stfs), 0);
    CHECK(stfs.f_bsize > 0);
    (void)close(sub);
    CHECK_EQ(GO(.kind = HSR_OP_UNLINK, .fd = dir, .path = "sub"), -EISDIR);
    CHECK_EQ(GO(.kind = HSR_OP_UNLINK, .fd = dir, .path = "sub", .at_flags = AT_REMOVEDIR), 0);
    for (unsigned i = 0; i < 5; i++)
        CHECK_EQ(GO(.kind = HSR_OP_UNLINK, .fd = dir,
                    .path = (const char *[]){ "link", "pipe", "file", "hard", "hard2" }[i]),
                 0);
}

static void test_metadata(void)
{
    struct timespec omit = { .tv_nsec = UTIME_OMIT }, then = { .tv_sec = 1000, .tv_nsec = 7 };
    struct stat st;
    int fd = open_at("meta", O_RDWR | O_CREAT, 0600);
    int path_fd = open_at("meta", O_PATH, 0);

    CHECK_EQ(symlinkat("meta", dir, "to"), 0);
    CHECK_EQ(GO(.kind = HSR_OP_CHMOD, .fd = fd, .path = "", .mode = 0611), 0);
    CHECK(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0611);
    CHECK_EQ(GO(.kind = HSR_OP_CHMOD, .fd = path_fd, .path = "", .path_fd = true, .mode = 0622), 0);
    CHECK(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0622);
    CHECK_EQ(GO(.kind = HSR_OP_CHMOD, .fd = dir, .path = "meta", .mode = 0633), 0);
    CHECK(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0633);
    CHECK(GO(.kind = HSR_OP_CHMOD, .fd = dir, .path = "to", .mode = 0777) < 0);
    CHECK(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0633); /* was not followed */
    CHECK_EQ(GO(.kind = HSR_OP_CHMOD, .fd = path_fd, .path = "", .mode = 0600), -EBADF);

    CHECK_EQ(GO(.kind = HSR_OP_CHOWN, .fd = fd, .path = "", .uid = getuid(), .gid = (gid_t)-1), 0);
    CHECK_EQ(GO(.kind = HSR_OP_CHOWN, .fd = path_fd, .path = "", .path_fd = true, .uid = (uid_t)-1,
                .gid = getgid()),
             0);
    CHECK_EQ(GO(.kind = HSR_OP_CHOWN, .fd = dir, .path = "none", .uid = 0, .gid = 0), -ENOENT);

    CHECK_EQ(GO(.kind = HSR_OP_UTIMENS, .fd = fd, .path = "", .times = { omit, then }), 0);
    CHECK(fstat(fd, &st) == 0 && st.st_mtim.tv_sec == 1000 && st.st_mtim.tv_nsec == 7);
    then.tv_sec = 2000;
    CHECK_EQ(GO(.kind = HSR_OP_UTIMENS, .fd = path_fd, .path = "", .path_fd = true,
                .times = { omit, then }),
             0);
    CHECK(fstat(fd, &st) == 0 && st.st_mtim.tv_sec == 2000);
    then.tv_sec = 3000;
    CHECK_EQ(GO(.kind = HSR_OP_UTIMENS, .fd = dir, .path = "to", .times = { omit, then }), 0);
    CHECK(fstat(fd, &st) == 0 && st.st_mtim.tv_sec == 2000);
    CHECK(fstatat(dir, "to", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtim.tv_sec == 3000);

    CHECK_EQ(unlinkat(dir, "to", 0), 0);
    CHECK_EQ(unlinkat(dir, "meta", 0), 0);
    (void)close(path_fd);
    (void)close(fd);
}

/* @way 0: descriptor, 1: O_PATH descriptor, 2: name in the directory */
static void xattr_way(int fd, int path_fd, unsigned way)
{
    int at = way == 0 ? fd : way == 1 ? path_fd : dir;
    const char *path = way == 2 ? "attr" : "";
    bool is_path = way == 1;
    char buf[256];
    int64_t res;

    res = GO(.kind = HSR_OP_SETXATTR, .fd = at, .path = path, .path_fd = is_path, .xattr = "user.a",
             .buf = (char[]){ "value" }, .size = 5);
    if (res == -EOPNOTSUPP)
        return; /* an old tmpfs */
    CHECK_EQ(res, 0);
    CHECK_EQ(GO(.kind = HSR_OP_GETXATTR, .fd = at, .path = path, .path_fd = is_path,
                .xattr = "user.a", .buf = buf, .size = sizeof(buf)),
             5);
    CHECK(memcmp(buf, "value", 5) == 0);
    CHECK_EQ(GO(.kind = HSR_OP_GETXATTR, .fd = at, .path = path, .path_fd = is_path,
                .xattr = "user.a", .buf = buf, .size = 2),
             -ERANGE);
    CHECK_EQ(GO(.kind = HSR_OP_GETXATTR, .fd = at, .path = path, .path_fd = is_path,
                .xattr = "user.b", .buf = buf, .size = 2),
             -ENODATA);
    res = GO(.kind = HSR_OP_LISTXATTR, .fd = at, .path = path, .path_fd = is_path, .buf = buf,
             .size = sizeof(buf));
    CHECK(res >= 7 && memmem(buf, (size_t)res, "user.a", 7) != NULL);
    CHECK_EQ(GO(.kind = HSR_OP_REMOVEXATTR, .fd = at, .path = path, .path_fd = is_path,
                .xattr = "user.a"),
             0);
    CHECK_EQ(GO(.kind = HSR_OP_REMOVEXATTR, .fd = at, .path = path, .path_fd = is_path,
                .xattr = "user.a"),
             -ENODATA);
}

static void test_xattrs(void)
{
    int fd = open_at("attr", O_RDWR | O_CREAT, 0600);
    int path_fd = open_at("attr", O_PATH, 0);
    char buf[16];

    for (unsigned way = 0; way < 3; way++)
        xattr_way(fd, path_fd, way);
    /* A name is never followed: the link has no such attribute, its target has. */
    CHECK_EQ(symlinkat("attr", dir, "to"), 0);
    (void)fsetxattr(fd, "user.t", "x", 1, 0); /* an old tmpfs has none; the check holds too */
    CHECK(GO(.kind = HSR_OP_GETXATTR, .fd = dir, .path = "to", .xattr = "user.t", .buf = buf,
             .size = 16) < 0);
    CHECK_EQ(unlinkat(dir, "to", 0), 0);
    CHECK_EQ(unlinkat(dir, "attr", 0), 0);
    (void)close(path_fd);
    (void)close(fd);
}

static void test_sockets_are_asynchronous_only(void)
{
    static const enum hsr_op_kind kinds[] = { HSR_OP_ACCEPT, HSR_OP_CONNECT, HSR_OP_SEND,
                                              HSR_OP_RECV,   HSR_OP_RECVMSG, HSR_OP_POLL };
    int fds[2];

    for (unsigned i = 0; door != DOOR_SUBMIT && i < HSR_ARRAY_COUNT(kinds); i++)
        CHECK_EQ(GO(.kind = (uint8_t)kinds[i], .fd = 0), -EOPNOTSUPP);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_EQ(GO(.kind = HSR_OP_SHUTDOWN, .fd = fds[0], .msg_flags = SHUT_WR), 0);
    CHECK_EQ(read(fds[1], &(char){ 0 }, 1), 0);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void test_every_kind_has_a_name(void)
{
    for (unsigned i = 0; i < HSR_OP_COUNT; i++)
        CHECK(strlen(hsr_op_name((enum hsr_op_kind)i)) > 1);
    CHECK(strcmp(hsr_op_name(HSR_OP_OPENAT2), "openat2") == 0);
}

int main(void)
{
    struct hsr_uring_options options = { .entries = 8, .iowq_cpu = -1 };
    struct hsr_backend *backend;
    char why[256];

    if (hsr_uring_create(&options, &backend, why, sizeof(why)) != 0)
        SKIP(why);
    CHECK_EQ(hsr_loop_init(&loop, backend, 0), 0);
    (void)snprintf(dir_path, sizeof(dir_path), "/tmp/hsr-syscall-XXXXXX");
    if (mkdtemp(dir_path) == NULL)
        SKIP("no temporary directory");
    dir = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)umask(0);
    RUN(test_every_kind_has_a_name);
    for (door = DOOR_CALL; door <= DOOR_SUBMIT_CALL; door++) {
        RUN(test_data);
        RUN(test_huge);
        RUN(test_names);
        RUN(test_metadata);
        RUN(test_xattrs);
        RUN(test_sockets_are_asynchronous_only);
    }
    CHECK_EQ(rmdir(dir_path), 0); /* nothing was left behind */
    (void)close(dir);
    hsr_loop_fini(&loop);
    TEST_END();
}
