/* What a small file costs in system calls, each alone: CPU time of the calling thread, the least of
 * many rounds, so that neighbours on the machine do not count.
 *
 *   file_calls DIR [FILES]
 *
 * Makes FILES files (1,000) of 4 KiB in ten directories of DIR a round and removes them again. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ring/uapi.h"

#define ROUNDS 100u
#define FILES_MAX 10000u /* each is open for a while: below the usual limit of descriptors */
#define DIRS 10u
#define NAME_SIZE 16u
#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
#define ONE_NAME (RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
#define READ_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOATIME | O_CLOEXEC)

static const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1700000000 } };
static char names[FILES_MAX][NAME_SIZE], block[4096];
static int fds[FILES_MAX], dirs[DIRS];

static int openat_with(unsigned i, const char *name, uint64_t flags, uint64_t resolve)
{
    struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };

    if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
        how.mode = 0644;
    return fds[i] = (int)syscall(SYS_openat2, dirs[i % DIRS], name, &how, sizeof(how));
}

static int unnamed_beneath(unsigned i)
{
    return openat_with(i, ".", O_TMPFILE | O_RDWR, BENEATH);
}

static int unnamed(unsigned i)
{
    return openat_with(i, ".", O_TMPFILE | O_RDWR, ONE_NAME);
}

static int create(unsigned i)
{
    return openat_with(i, names[i], O_CREAT | O_EXCL | O_RDWR, ONE_NAME);
}

static int read_beneath(unsigned i)
{
    return openat_with(i, names[i], READ_FLAGS, BENEATH);
}

static int read_open(unsigned i)
{
    return openat_with(i, names[i], READ_FLAGS, ONE_NAME);
}

static int data_write(unsigned i)
{
    return (int)pwrite(fds[i], block, sizeof(block), 0);
}

static int data_read(unsigned i)
{
    return (int)pread(fds[i], block, sizeof(block), 0);
}

static int time_set(unsigned i)
{
    return futimens(fds[i], times);
}

static int name_give(unsigned i)
{
    return linkat(fds[i], "", dirs[i % DIRS], names[i], AT_EMPTY_PATH);
}

static int held_statx(unsigned i)
{
    struct statx stx;

    return statx(fds[i], "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx);
}

static int name_statx(unsigned i)
{
    struct statx stx;

    return statx(dirs[i % DIRS], names[i], AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx);
}

static int name_listxattr(unsigned i)
{
    return (int)syscall(SYS_listxattrat, dirs[i % DIRS], names[i], AT_SYMLINK_NOFOLLOW, block, 512);
}

static int held_close(unsigned i)
{
    return close(fds[i]);
}

static int name_unlink(unsigned i)
{
    return unlinkat(dirs[i % DIRS], names[i], 0);
}

/* In this order, each for all files; without a label it only cleans up. */
static struct step {
    const char *label;
    int (*run)(unsigned i);
    double least_us;
} steps[] = {
    { "new, unnamed: openat2 O_TMPFILE, RESOLVE_BENEATH", unnamed_beneath, 0 },
    { NULL, held_close, 0 },
    { "new, unnamed: openat2 O_TMPFILE", unnamed, 0 },
    { "  pwrite of 4 KiB", data_write, 0 },
    { "  utimensat", time_set, 0 },
    { "  linkat", name_give, 0 },
    { "  close", held_close, 0 },
    { "read: openat2, RESOLVE_BENEATH", read_beneath, 0 },
    { NULL, held_close, 0 },
    { "read: openat2", read_open, 0 },
    { "  pread of 4 KiB", data_read, 0 },
    { "  statx, held", held_statx, 0 },
    { "  close", held_close, 0 },
    { "look: statx by name", name_statx, 0 },
    { "  listxattrat", name_listxattr, 0 },
    { NULL, name_unlink, 0 },
    { "new, under its name: openat2 O_CREAT", create, 0 },
    { "  pwrite of 4 KiB", data_write, 0 },
    { "  utimensat", time_set, 0 },
    { "  close", held_close, 0 },
    { NULL, name_unlink, 0 },
};

static void fail(const char *what)
{
    fprintf(stderr, "file_calls: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void step_run(struct step *step, unsigned count)
{
    struct timespec begin, end;
    double us;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin); /* a clock that every Linux has */
    for (unsigned i = 0; i < count; i++) {
        if (step->run(i) < 0 && !(step->run == name_listxattr && errno == ENOSYS))
            fail(step->label != NULL ? step->label : "cleaning up");
    }
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    us = (double)(end.tv_sec - begin.tv_sec) * 1e6 + (double)(end.tv_nsec - begin.tv_nsec) / 1e3;
    us /= count;
    if (step->least_us == 0 || us < step->least_us)
        step->least_us = us;
}

/* Files share directories evenly, whatever their number. */
static void dirs_make(bool make)
{
    for (unsigned i = 0; i < DIRS; i++) {
        char name[NAME_SIZE];

        (void)snprintf(name, sizeof(name), "calls%u", i);
        if (!make) {
            (void)close(dirs[i]); /* only read from */
            if (rmdir(name) < 0)
                fail(name);
            continue;
        }
        if (mkdir(name, 0755) < 0)
            fail(name);
        dirs[i] = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dirs[i] < 0)
            fail(name);
    }
}

int main(int argc, char **argv)
{
    unsigned count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1000;

    if (argc < 2 || count == 0 || count > FILES_MAX) {
        fprintf(stderr, "usage: file_calls DIR [FILES]\n");
        return 2;
    }
    if (chdir(argv[1]) < 0)
        fail(argv[1]);
    for (unsigned i = 0; i < count; i++)
        (void)snprintf(names[i], sizeof(names[i]), "f%06u", i);
    for (unsigned round = 0; round < ROUNDS; round++) {
        dirs_make(true);
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
            step_run(&steps[i], count);
        dirs_make(false);
    }
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (steps[i].label != NULL)
            printf("%6.2f us  %s\n", steps[i].least_us, steps[i].label);
    }
    return 0;
}
