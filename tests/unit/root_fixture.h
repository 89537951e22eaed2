/* A false root directory: the files of /proc and /sys that a test wants the code to read. */
#ifndef HSR_TEST_ROOT_FIXTURE_H
#define HSR_TEST_ROOT_FIXTURE_H

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/hsr_test.h"

static char root[256];

static inline void root_make(void)
{
    snprintf(root, sizeof(root), "%s/test_root.XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    CHECK(mkdtemp(root) != NULL);
}

/* Its full name; the directories above it are made. */
static inline const char *root_path(const char *path)
{
    static char full[1024];

    for (size_t i = 1; path[i] != '\0'; i++) {
        if (path[i] != '/')
            continue;
        snprintf(full, sizeof(full), "%s%.*s", root, (int)i, path);
        mkdir(full, 0755);
    }
    snprintf(full, sizeof(full), "%s%s", root, path);
    return full;
}

static inline void root_write(const char *path, const char *text)
{
    FILE *file = fopen(root_path(path), "w");

    CHECK(file != NULL);
    if (file == NULL)
        return;
    fputs(text, file);
    fclose(file);
}

/* @target as it is to stand in the link: relative ones stay within the root. */
static inline void root_link(const char *path, const char *target)
{
    const char *full = root_path(path);

    unlink(full);
    CHECK_EQ(symlink(target, full), 0);
}

static inline int root_remove_one(const char *path, const struct stat *st, int kind,
                                  struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline void root_remove(void)
{
    CHECK_EQ(nftw(root, root_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
