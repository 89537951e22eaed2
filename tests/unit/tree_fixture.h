/* A real directory, a real ring and a target context in it, for the tests of transfer/tree. */
#ifndef HSR_TREE_FIXTURE_H
#define HSR_TREE_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "hsr_test.h"
#include "transfer/tree/target.h"

#define FIXTURE_TIME 1234567890

struct fixture {
    char path[64]; /* holds root/ and what must never change beside it */
    int base_fd, root_fd;
    struct hsr_loop loop;
    struct hsr_dir root;
    struct hsr_tree tree;
};

static inline struct hsr_span span_of(const char *text)
{
    return (struct hsr_span){ (const uint8_t *)text, strlen(text) };
}

static inline void fixture_loop(struct fixture *fx, uint32_t options)
{
    struct hsr_backend *backend;
    char why[256] = "";

    if (hsr_uring_create(&(struct hsr_uring_options){ .entries = 8, .iowq_cpu = -1 }, &backend, why,
                         sizeof(why)) < 0)
        SKIP(why);
    if (hsr_loop_init(&fx->loop, backend, 0) < 0)
        abort();
    hsr_tree_init(&fx->tree, &fx->loop, fx->root_fd, options);
}

/* In a directory of @parent: another file system may be wanted. */
static inline void fixture_init_at(struct fixture *fx, const char *parent, uint32_t options)
{
    memset(fx, 0, sizeof(*fx));
    umask(0);
    snprintf(fx->path, sizeof(fx->path), "%s/hsr-tree-XXXXXX", parent);
    if (mkdtemp(fx->path) == NULL)
        SKIP("no temporary directory");
    fx->base_fd = open(fx->path, O_RDONLY | O_DIRECTORY);
    if (fchmod(fx->base_fd, 0777) < 0 || mkdirat(fx->base_fd, "root", 0777) < 0)
        abort();
    fx->root_fd = openat(fx->base_fd, "root", O_RDONLY | O_DIRECTORY);
    fixture_loop(fx, options);
}

static inline void fixture_init(struct fixture *fx, uint32_t options)
{
    const char *parent = getenv("TMPDIR");

    fixture_init_at(fx, parent != NULL && strlen(parent) < 40 ? parent : "/tmp", options);
}

/* Another context in the same directory, with other options. */
static inline void fixture_again(struct fixture *fx, uint32_t options)
{
    hsr_tree_fini(&fx->tree);
    hsr_tree_init(&fx->tree, &fx->loop, fx->root_fd, options);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void fixture_fini(struct fixture *fx)
{
    hsr_tree_fini(&fx->tree);
    hsr_loop_fini(&fx->loop);
    close(fx->root_fd);
    close(fx->base_fd);
    CHECK_EQ(nftw(fx->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static inline void write_at(int fd, const char *name, const char *text)
{
    int file = openat(fd, name, O_CREAT | O_WRONLY | O_TRUNC, 0644);

    CHECK(file >= 0);
    CHECK_EQ(write(file, text, strlen(text)), strlen(text));
    close(file);
}

static inline bool holds(int fd, const char *name, const char *text)
{
    char buf[256];
    int file = openat(fd, name, O_RDONLY | O_NOFOLLOW);
    ssize_t size = file >= 0 ? read(file, buf, sizeof(buf)) : -1;

    if (file >= 0)
        close(file);
    return size == (ssize_t)strlen(text) && memcmp(buf, text, strlen(text)) == 0;
}

static inline struct stat stat_at(int fd, const char *name)
{
    struct stat st = { 0 };

    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        st.st_mode = 0;
    return st;
}

static inline bool exists(int fd, const char *name)
{
    return stat_at(fd, name).st_mode != 0;
}

/* Names in directory @name of @fd, "." and ".." not counted. */
static inline unsigned count_names(int fd, const char *name)
{
    DIR *dir = fdopendir(openat(fd, name, O_RDONLY | O_DIRECTORY));
    unsigned count = 0;

    if (dir == NULL)
        return 0;
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 2;
}

static inline struct hsr_entry entry_of(uint8_t type, const char *name)
{
    return (struct hsr_entry){ .type = type,
                               .name = span_of(name),
                               .mode = 0640,
                               .uid = geteuid(),
                               .gid = getegid(),
                               .mtime_s = FIXTURE_TIME,
                               .mtime_ns = 123456789,
                               .rdev_major = 1,
                               .rdev_minor = 3,
                               .target = span_of("nowhere") };
}

static inline struct hsr_dir dir_of(struct hsr_dir *parent, uint32_t id, const char *name)
{
    struct hsr_dir dir = { .parent = parent,
                           .id = id,
                           .depth = (uint16_t)(parent->depth + 1),
                           .name_size = (uint16_t)strlen(name) };

    memcpy(dir.name, name, strlen(name) + 1);
    return dir;
}

/* Encoded attributes: pairs of name and value, NULL at the end. */
static inline void entry_xattrs(struct hsr_entry *entry, uint8_t *buf, size_t size, ...)
{
    struct hsr_writer writer = hsr_writer_init(buf, size);
    const char *name;
    va_list args;

    entry->xattr_count = 0;
    va_start(args, size);
    while ((name = va_arg(args, const char *)) != NULL) {
        const char *value = va_arg(args, const char *);

        CHECK_EQ(hsr_xattr_put(&writer, (struct hsr_xattr){ span_of(name), span_of(value) }), 0);
        entry->xattr_count++;
    }
    va_end(args);
    entry->xattrs = (struct hsr_span){ buf, writer.offset };
}

#endif
