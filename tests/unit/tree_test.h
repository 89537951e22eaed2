/* What the tests of transfer/tree share: a loop with a real ring, and a temporary directory. */
#ifndef HSR_TREE_TEST_H
#define HSR_TREE_TEST_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ring/ring.h"
#include "tests/unit/hsr_test.h"

struct tree_fixture {
    struct hsr_loop loop;
    int fd; /* of the temporary directory */
    char path[64];
};

static void tree_fixture_init(struct tree_fixture *fx)
{
    struct hsr_uring_options options = { .entries = 8, .iowq_cpu = -1 };
    struct hsr_backend *backend = NULL;
    const char *base = getenv("HSR_TEST_DIR");
    char why[256] = "";

    if (hsr_uring_create(&options, &backend, why, sizeof(why)) < 0)
        SKIP(why);
    if (hsr_loop_init(&fx->loop, backend, 0) < 0)
        SKIP("no loop");
    snprintf(fx->path, sizeof(fx->path), "%.40s/hsr-test-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(fx->path) == NULL)
        SKIP("no temporary directory");
    fx->fd = open(fx->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fx->fd >= 0);
}

/* Remove everything in @fd, however deep: a path may be longer than PATH_MAX, so directories are
 * flattened into @top until they are empty. */
static void tree_empty(int top, int fd)
{
    static unsigned moved;
    DIR *dir = fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char name[32];

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, entry->d_name, 0) == 0 || unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0)
            continue;
        if (fd != top) {
            snprintf(name, sizeof(name), "..moved-%u", moved++);
            (void)renameat(fd, entry->d_name, top, name);
            continue;
        }
        (void)fchmodat(fd, entry->d_name, 0700, 0);
        int below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (below >= 0) {
            tree_empty(top, below);
            close(below);
            (void)unlinkat(fd, entry->d_name, AT_REMOVEDIR);
        }
        rewinddir(dir);
    }
    if (dir != NULL)
        closedir(dir);
}

static void tree_fixture_fini(struct tree_fixture *fx)
{
    tree_empty(fx->fd, fx->fd);
    close(fx->fd);
    CHECK(rmdir(fx->path) == 0);
    hsr_loop_fini(&fx->loop);
}

static inline void tree_file(int fd, const char *path, const char *text)
{
    int file = openat(fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    CHECK(file >= 0);
    CHECK(write(file, text, strlen(text)) == (ssize_t)strlen(text));
    close(file);
}

static inline unsigned tree_fds_open(void)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    unsigned count = 0;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char target[64];
        ssize_t size = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target));

        /* A ring's helpers open theirs when they come to run, which may be now. */
        if (size > 9 && size < (ssize_t)sizeof(target) &&
            memcmp(target + size - 9, "schedstat", 9) == 0)
            continue;
        count++;
    }
    if (dir != NULL)
        closedir(dir);
    return count;
}

#endif
