/* The old version of a file: only a regular file, never through a link, held whatever happens to
 * its name, and known to have changed when it has. */
#include "transfer/tree/basis.h"

#include "tree_fixture.h"

/* Descriptors, but for those that a ring's helpers open when they come to run. */
static unsigned fds_open(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 64; fd++) {
        char path[32], target[64];
        ssize_t size;

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd); /* fits */
        size = readlink(path, target, sizeof(target));
        if (size >= 9 && memcmp(target + size - 9, "schedstat", 9) == 0)
            continue;
        count += size >= 0;
    }
    return count;
}

/* Goal: what is no regular file of ours is refused, and nothing stays open.
 * Method: each kind under the name; count descriptors. */
static void test_basis_opens_regular_files_only(void)
{
    struct hsr_basis basis = { .fd = -1 };
    struct fixture fx;
    unsigned open_count;

    fixture_init(&fx, 0);
    write_at(fx.base_fd, "outside", "secret");
    CHECK_EQ(symlinkat("../outside", fx.root_fd, "link"), 0);
    CHECK_EQ(mkfifoat(fx.root_fd, "fifo", 0600), 0);
    CHECK_EQ(mkdirat(fx.root_fd, "dir", 0700), 0);
    write_at(fx.root_fd, "file", "old");
    CHECK_EQ(hsr_basis_open(&fx.tree, &fx.root, span_of("file"), false, &basis), 0);
    open_count = fds_open();
    hsr_basis_close(&fx.loop, &basis);
    CHECK_EQ(basis.fd, -1);
    hsr_basis_close(&fx.loop, &basis); /* harmless */
    CHECK_EQ(hsr_basis_open(&fx.tree, &fx.root, span_of("link"), false, &basis), -ELOOP);
    CHECK_EQ(hsr_basis_open(&fx.tree, &fx.root, span_of("fifo"), false, &basis), HSR_E_KIND);
    CHECK_EQ(hsr_basis_open(&fx.tree, &fx.root, span_of("dir"), false, &basis), HSR_E_KIND);
    CHECK_EQ(hsr_basis_open(&fx.tree, &fx.root, span_of("none"), false, &basis), -ENOENT);
    CHECK_EQ(hsr_basis_open(&fx.tree, &fx.root, span_of(".."), false, &basis), HSR_E_NAME);
    CHECK_EQ(hsr_basis_hold(&fx.tree, &fx.root, span_of("link"), &basis), HSR_E_KIND);
    CHECK_EQ(hsr_basis_hold(&fx.tree, &fx.root, span_of("fifo"), &basis), HSR_E_KIND);
    CHECK_EQ(hsr_basis_hold(&fx.tree, &fx.root, span_of("none"), &basis), -ENOENT);
    CHECK_EQ(basis.fd, -1);
    CHECK_EQ(fds_open(), open_count - 1);
    fixture_fini(&fx);
}

/* Goal: what is held lives on when another file gets its name, and cannot be read. */
static void test_basis_held_outlives_its_name(void)
{
    struct hsr_basis held;
    struct fixture fx;
    struct stat st;
    char byte;

    fixture_init(&fx, 0);
    write_at(fx.root_fd, "file", "old");
    write_at(fx.root_fd, "other", "newer");
    CHECK_EQ(hsr_basis_hold(&fx.tree, &fx.root, span_of("file"), &held), 0);
    CHECK_EQ(held.identity.size, 3);
    CHECK_EQ(renameat(fx.root_fd, "other", fx.root_fd, "file"), 0);
    CHECK_EQ(fstat(held.fd, &st), 0);
    CHECK_EQ(st.st_nlink, 0);
    CHECK_EQ(st.st_size, 3);
    CHECK_EQ(read(held.fd, &byte, 1), -1);
    CHECK_EQ(errno, EBADF);
    hsr_basis_close(&fx.loop, &held);
    fixture_fini(&fx);
}

/* Goal: a name that is replaced does not matter, content that changes does. */
static void test_basis_check_finds_changes(void)
{
    struct hsr_basis basis;
    struct fixture fx;
    char text[4] = "";

    fixture_init(&fx, 0);
    write_at(fx.root_fd, "file", "old");
    CHECK_EQ(hsr_basis_open(&fx.tree, &fx.root, span_of("file"), false, &basis), 0);
    CHECK_EQ(basis.identity.size, 3);
    CHECK_EQ(basis.links, 1);
    CHECK_EQ(hsr_basis_check(&fx.loop, &basis), 0);
    CHECK_EQ(renameat(fx.root_fd, "file", fx.root_fd, "other"), 0);
    write_at(fx.root_fd, "file", "new");
    CHECK_EQ(pread(basis.fd, text, 3, 0), 3);
    CHECK(strcmp(text, "old") == 0);
    write_at(fx.root_fd, "other", "odd"); /* same size */
    CHECK_EQ(hsr_basis_check(&fx.loop, &basis), HSR_E_CHANGED);
    hsr_basis_close(&fx.loop, &basis);
    fixture_fini(&fx);
}

/* Goal: a clone holds the same bytes, cut or extended to its size, and is independent; where there
 * are none that is said in one way, and remembered. */
static void test_basis_clone(void)
{
    struct hsr_basis basis;
    struct fixture fx;
    struct stat st;
    char text[8] = "";
    int fd, rc;

    fixture_init(&fx, 0);
    write_at(fx.root_fd, "file", "old text");
    CHECK_EQ(hsr_basis_open(&fx.tree, &fx.root, span_of("file"), true, &basis), 0);
    fd = openat(fx.root_fd, ".", O_TMPFILE | O_RDWR, 0600);
    CHECK(fd >= 0);
    rc = hsr_basis_clone(&fx.tree, &basis, fd, 5);
    CHECK(rc == 0 || rc == -EOPNOTSUPP);
    CHECK_EQ(fstat(fd, &st), 0);
    CHECK_EQ(st.st_size, rc == 0 ? 5 : 0);
    CHECK(fx.tree.no_clone == (rc < 0));
    if (rc == 0) {
        CHECK_EQ(pwrite(fd, "n", 1, 0), 1);
        CHECK_EQ(pread(fd, text, sizeof(text), 0), 5);
        CHECK(memcmp(text, "nld t", 5) == 0);
    }
    CHECK(holds(fx.root_fd, "file", "old text"));
    CHECK_EQ(pwrite(basis.fd, "OLD", 3, 0), 3); /* opened for writing */
    fx.tree.no_clone = true;
    CHECK_EQ(hsr_basis_clone(&fx.tree, &basis, fd, 5), -EOPNOTSUPP);
    close(fd);
    hsr_basis_close(&fx.loop, &basis);
    fixture_fini(&fx);
}

int main(void)
{
    RUN(test_basis_opens_regular_files_only);
    RUN(test_basis_held_outlives_its_name);
    RUN(test_basis_check_finds_changes);
    RUN(test_basis_clone);
    TEST_END();
}
