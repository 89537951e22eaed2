/* The operator's own paths: what to push, where a pull goes. They are opened here, on the caller's
 * thread, as any program opens the arguments of its command line; from then on everything goes
 * through these descriptors and transfer/tree. No loop exists yet on this thread, so these are
 * plain calls; this file is the only one of libhawser that makes them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/client.h"

#define PATHS_ROOM_MIN 16u /* first size of a growing array */
#define PATHS_DIR_MODE 0755u /* the umask narrows it, as for mkdir(1) */

/* Make room for one more of @count elements of @size bytes; false when there is no memory. */
static bool room_make(void *array, size_t *room, size_t count, size_t size)
{
    void **pointer = array;
    size_t more = HSR_MAX(*room * 2, (size_t)PATHS_ROOM_MIN);
    void *moved;

    if (count < *room)
        return true;
    moved = reallocarray(*pointer, more, size);
    if (moved == NULL)
        return false;
    *pointer = moved;
    *room = more;
    return true;
}

/* A directory that may be entered but not read is a base all the same. */
static int open_base(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == EACCES)
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int hold_fd(struct hsr_paths_tops *tops, int fd)
{
    if (fd < 0)
        return fd;
    if (!room_make(&tops->fds, &tops->fd_room, tops->fd_count, sizeof(tops->fds[0]))) {
        (void)close(fd); /* read-only: nothing can be lost */
        return -ENOMEM;
    }
    tops->fds[tops->fd_count++] = fd;
    return fd;
}

static int top_add(struct hsr_paths_tops *tops, struct hsr_walk_top top)
{
    if (!room_make(&tops->tops, &tops->room, tops->count, sizeof(tops->tops[0])))
        return -ENOMEM;
    tops->tops[tops->count++] = top;
    return 0;
}

/* "a/b" -> "a" and "b". The name is the end of @path; its '/' are no part of either. */
static char *parent_of(const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');

    *ret_name = slash != NULL ? slash + 1 : path;
    if (slash == NULL)
        return strdup(".");
    while (slash > path && slash[-1] == '/')
        slash--;
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* A path whose last part names no entry of its parent stands for its contents. */
static bool means_contents(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *last = slash != NULL ? slash + 1 : path;

    return *last == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
}

int hsr_paths_add_source(struct hsr_paths_tops *tops, const char *source, bool follow,
                         bool *ret_is_dir)
{
    struct hsr_walk_top top = { .base_fd = -1 };
    const char *name = NULL;
    struct stat st;
    char *parent;
    int fd;

    hsr_require(source[0] != '\0', -ENOENT);
    if (means_contents(source)) {
        fd = hold_fd(tops, open_base(source));
        if (fd < 0)
            return fd;
        *ret_is_dir = true;
        top = (struct hsr_walk_top){ .base_fd = fd, .contents = true };
        return top_add(tops, top);
    }
    parent = parent_of(source, &name);
    if (parent == NULL)
        return -ENOMEM;
    fd = hold_fd(tops, open_base(parent));
    free(parent);
    if (fd < 0)
        return fd;
    if (fstatat(fd, name, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    *ret_is_dir = S_ISDIR(st.st_mode);
    top.base_fd = fd;
    top.name = (struct hsr_span){ (const uint8_t *)name, strlen(name) };
    top.path = top.name;
    return top_add(tops, top);
}

/* ---- lists ---- */

int hsr_paths_normalise(char *path, bool *ret_contents)
{
    char *out = path;
    const char *in = path;

    *ret_contents = *in == '\0' || in[strlen(in) - 1] == '/';
    while (*in != '\0') {
        size_t size = strcspn(in, "/");

        if (size == 2 && in[0] == '.' && in[1] == '.')
            return HSR_E_ESCAPE;
        hsr_require(size <= HSR_NAME_MAX, -ENAMETOOLONG);
        if (size == 1 && in[0] == '.' && in[1] == '\0')
            *ret_contents = true;
        if (size > 0 && !(size == 1 && in[0] == '.')) {
            if (out > path)
                *out++ = '/';
            memmove(out, in, size);
            out += size;
        }
        in += size;
        while (*in == '/')
            in++;
    }
    *out = '\0';
    return 0;
}

/* Order of a depth-first walk: '/' sorts before every other byte, so what is below a directory
 * comes right behind it. */
static int path_compare(const void *a, const void *b)
{
    const unsigned char *x = *(const unsigned char *const *)a;
    const unsigned char *y = *(const unsigned char *const *)b;

    while (*x != '\0' && *x == *y) {
        x++;
        y++;
    }
    if (*x == *y)
        return 0;
    int left = *x == '\0' ? -1 : *x == '/' ? 0 : *x;
    int right = *y == '\0' ? -1 : *y == '/' ? 0 : *y;
    return left < right ? -1 : 1;
}

size_t hsr_paths_sort(char **paths, size_t count)
{
    size_t kept = 0;

    if (count == 0)
        return 0;
    qsort(paths, count, sizeof(paths[0]), path_compare);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && strcmp(paths[kept - 1], paths[i]) == 0)
            free(paths[i]);
        else
            paths[kept++] = paths[i];
    }
    return kept;
}

/* Takes @text, which must be malloc'ed; NULL is no memory. */
static int text_add(struct hsr_paths_tops *tops, char *text)
{
    if (text == NULL)
        return -ENOMEM;
    if (!room_make(&tops->texts, &tops->text_room, tops->text_count, sizeof(tops->texts[0]))) {
        free(text);
        return -ENOMEM;
    }
    tops->texts[tops->text_count++] = text;
    return 0;
}

/* "dir/" in a list: what is directly in it, as rsync does. */
static int list_expand(struct hsr_paths_tops *tops, int base_fd, const char *path)
{
    int fd = openat(base_fd, *path != '\0' ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *entry;
    int rc = 0;
    DIR *dir;

    if (fd < 0)
        return errno == ENOTDIR ? 0 : -errno; /* a file with a '/' behind it is that file */
    dir = fdopendir(fd);
    if (dir == NULL) {
        rc = -errno;
        (void)close(fd); /* read-only: nothing can be lost */
        return rc;
    }
    while (rc == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        char *text;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (*path == '\0')
            text = strdup(entry->d_name);
        else if (asprintf(&text, "%s/%s", path, entry->d_name) < 0)
            text = NULL;
        rc = text_add(tops, text);
    }
    if (rc == 0 && errno != 0)
        rc = -errno;
    (void)closedir(dir); /* read-only: nothing can be lost */
    return rc;
}

static int list_add_one(struct hsr_paths_tops *tops, int base_fd, const char *file)
{
    char *path = strdup(file);
    bool contents = false;
    int rc;

    if (path == NULL)
        return -ENOMEM;
    rc = hsr_paths_normalise(path, &contents);
    if (rc == 0 && contents)
        rc = list_expand(tops, base_fd, path);
    if (rc == 0 && *path != '\0')
        return text_add(tops, path);
    free(path);
    return rc;
}

int hsr_paths_add_list(struct hsr_paths_tops *tops, const char *source, const char *const *files,
                       size_t file_count,
                       void (*failed)(void *context, const char *path, int code, const char *text),
                       void *context)
{
    int fd = hold_fd(tops, open_base(source));

    if (fd < 0)
        return fd;
    for (size_t i = 0; i < file_count; i++) {
        int rc = list_add_one(tops, fd, files[i]);

        if (rc == -ENOMEM)
            return rc;
        if (rc < 0)
            failed(context, files[i], rc, "listed");
    }
    tops->text_count = hsr_paths_sort(tops->texts, tops->text_count);
    for (size_t i = 0; i < tops->text_count; i++) {
        const char *text = tops->texts[i];
        const char *slash = strrchr(text, '/');
        const char *name = slash != NULL ? slash + 1 : text;
        int rc = top_add(tops, (struct hsr_walk_top){
                                   .base_fd = fd,
                                   .path = { (const uint8_t *)text, strlen(text) },
                                   .name = { (const uint8_t *)name, strlen(name) },
                                   .list = true,
                               });

        if (rc < 0)
            return rc;
    }
    return 0;
}

void hsr_paths_fini(struct hsr_paths_tops *tops)
{
    for (size_t i = 0; i < tops->fd_count; i++)
        (void)close(tops->fds[i]); /* directories: nothing can be lost */
    for (size_t i = 0; i < tops->text_count; i++)
        free(tops->texts[i]);
    free(tops->fds);
    free(tops->texts);
    free(tops->tops);
    *tops = (struct hsr_paths_tops){ 0 };
}

unsigned hsr_paths_disks(const char *path, struct hsr_device *ret, unsigned max)
{
    char *part = strdup(path), *slash;
    unsigned count = 0;
    struct stat st;
    int rc;

    if (part == NULL)
        return 0; /* it only decides what is near */
    for (;;) {
        rc = stat(*part != '\0' ? part : ".", &st);
        slash = strrchr(part, '/');
        if (rc == 0 || errno != ENOENT || *part == '\0')
            break;
        if (slash == part && part[1] != '\0')
            part[1] = '\0'; /* the root is there */
        else if (slash == part)
            break;
        else
            *(slash != NULL ? slash : part) = '\0';
    }
    if (rc == 0)
        count = hsr_device_of_dev("", st.st_dev, ret, max);
    free(part);
    return count;
}

/* ---- where a pull goes ---- */

int hsr_paths_target_kind(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return errno == ENOENT ? (int)PATHS_MISSING : -errno;
    return S_ISDIR(st.st_mode) ? PATHS_DIR : PATHS_OTHER;
}

/* Make every missing directory of @path. */
static int make_parents(const char *path)
{
    char *part = strdup(path);
    int rc = 0;

    if (part == NULL)
        return -ENOMEM;
    for (char *at = part + 1; rc == 0; at++) {
        char c = *at;

        if (c != '/' && c != '\0')
            continue;
        *at = '\0';
        if (mkdir(part, PATHS_DIR_MODE) < 0 && errno != EEXIST)
            rc = -errno;
        *at = c;
        if (c == '\0')
            break;
    }
    free(part);
    return rc;
}

/* A directory that exists only as a descriptor: every name in it is missing, none can be made. */
static int open_nowhere(void)
{
    char name[] = "/tmp/hawser-dry-run-XXXXXX";
    int fd;

    if (mkdtemp(name) == NULL)
        return -errno;
    fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        fd = -errno;
    (void)rmdir(name); /* empty and ours; if it stays nothing else is harmed */
    return fd;
}

int hsr_paths_open_target(const char *path, bool create, bool dry_run)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        return fd;
    if (errno != ENOENT || !create)
        return -errno;
    if (dry_run)
        return open_nowhere();
    int rc = make_parents(path);
    if (rc < 0)
        return rc;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int hsr_paths_open_scratch(int dir_fd)
{
    char name[64];
    int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    /* EISDIR: a kernel, EOPNOTSUPP: a file system without unnamed files. */
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return fd >= 0 ? fd : -errno;
    (void)snprintf(name, sizeof(name), ".hawser.bench.%ld.%ld", (long)getpid(), (long)gettid());
    fd = openat(dir_fd, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (unlinkat(dir_fd, name, 0) < 0) {
        int rc = -errno;

        (void)close(fd); /* nothing was written */
        return rc;
    }
    return fd;
}

int hsr_paths_open_parent(const char *path, bool dry_run, char ret_name[HSR_NAME_MAX + 1])
{
    const char *name = NULL;
    char *parent = parent_of(path, &name);
    int fd;

    if (parent == NULL)
        return -ENOMEM;
    if (strlen(name) > HSR_NAME_MAX || *name == '\0')
        fd = *name == '\0' ? -EISDIR : -ENAMETOOLONG;
    else
        fd = hsr_paths_open_target(parent, true, dry_run);
    if (fd >= 0)
        memcpy(ret_name, name, strlen(name) + 1);
    free(parent);
    return fd;
}

int hsr_paths_open_nothing(void)
{
    int fd = open("/dev/null", O_PATH | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}
