/* Small files of /proc and /sys; see sysfs.h. */
#include "numa/sysfs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

/* @root and what @fmt says, or -ENAMETOOLONG. */
static int path_make(char path[HSR_SYSFS_PATH_SIZE], const char *root, const char *fmt,
                     va_list args)
{
    size_t at = strlen(root);
    int size;

    hsr_require(at < HSR_SYSFS_PATH_SIZE, -ENAMETOOLONG);
    memcpy(path, root, at + 1);
    size = vsnprintf(path + at, HSR_SYSFS_PATH_SIZE - at, fmt, args);
    hsr_require(size >= 0 && (size_t)size < HSR_SYSFS_PATH_SIZE - at, -ENAMETOOLONG);
    return 0;
}

int hsr_sysfs_text(const char *root, char *buf, size_t size, const char *fmt, ...)
{
    char path[HSR_SYSFS_PATH_SIZE];
    size_t count = 0;
    va_list args;
    FILE *file;
    int rc;

    hsr_assert(size > 0);
    buf[0] = '\0';
    va_start(args, fmt);
    rc = path_make(path, root, fmt, args);
    va_end(args);
    if (rc < 0)
        return rc;
    file = fopen(path, "re");
    if (file == NULL)
        return -errno;
    errno = 0;
    count = fread(buf, 1, size - 1, file);
    rc = ferror(file) ? -(errno != 0 ? errno : EIO) : 0; /* some answer with EINVAL: no link */
    (void)fclose(file); /* only read from */
    if (rc < 0)
        count = 0;
    while (count > 0 && isspace((unsigned char)buf[count - 1]))
        count--;
    buf[count] = '\0';
    return rc;
}

bool hsr_sysfs_number(const char *root, int64_t *ret, const char *fmt, ...)
{
    char path[HSR_SYSFS_PATH_SIZE], text[64], *end;
    long long number;
    va_list args;
    int rc;

    va_start(args, fmt);
    rc = path_make(path, root, fmt, args);
    va_end(args);
    if (rc < 0 || hsr_sysfs_text("", text, sizeof(text), "%s", path) < 0)
        return false;
    errno = 0;
    number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0)
        return false;
    *ret = number;
    return true;
}

static int name_wanted(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

int hsr_sysfs_each(const char *root, void (*each)(void *context, const char *name), void *context,
                   const char *fmt, ...)
{
    char path[HSR_SYSFS_PATH_SIZE];
    struct dirent **entries;
    va_list args;
    int rc, count;

    va_start(args, fmt);
    rc = path_make(path, root, fmt, args);
    va_end(args);
    if (rc < 0)
        return rc;
    count = scandir(path, &entries, name_wanted, versionsort);
    if (count < 0)
        return -errno;
    for (int i = 0; i < count; i++) {
        each(context, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

/* The real place of @path, which begins with @root, without @root. */
static int real_make(const char *root, const char *path, char buf[HSR_SYSFS_PATH_SIZE])
{
    char *real = realpath(path, NULL), *top;
    size_t skip = 0;
    int rc = real != NULL ? 0 : -errno;

    buf[0] = '\0';
    if (rc < 0)
        return rc;
    if (*root != '\0') { /* itself it may lie behind a symlink */
        top = realpath(root, NULL);
        skip = top != NULL ? strlen(top) : 0;
        if (top == NULL || strncmp(real, top, skip) != 0)
            rc = -EXDEV;
        free(top);
    }
    if (rc == 0 && snprintf(buf, HSR_SYSFS_PATH_SIZE, "%s", real + skip) < 0)
        rc = -EINVAL;
    free(real);
    return rc;
}

int hsr_sysfs_real(const char *root, char buf[HSR_SYSFS_PATH_SIZE], const char *fmt, ...)
{
    char path[HSR_SYSFS_PATH_SIZE];
    va_list args;
    int rc;

    buf[0] = '\0';
    va_start(args, fmt);
    rc = path_make(path, root, fmt, args);
    va_end(args);
    return rc < 0 ? rc : real_make(root, path, buf);
}

int hsr_sysfs_base(const char *root, char *buf, size_t size, const char *fmt, ...)
{
    char path[HSR_SYSFS_PATH_SIZE], real[HSR_SYSFS_PATH_SIZE];
    const char *slash;
    va_list args;
    int rc;

    hsr_assert(size > 0);
    buf[0] = '\0';
    va_start(args, fmt);
    rc = path_make(path, root, fmt, args);
    va_end(args);
    if (rc == 0)
        rc = real_make(root, path, real);
    if (rc < 0)
        return rc;
    slash = strrchr(real, '/');
    (void)snprintf(buf, size, "%s", slash != NULL ? slash + 1 : real); /* names are short */
    return 0;
}

bool hsr_sysfs_there(const char *root, const char *fmt, ...)
{
    char path[HSR_SYSFS_PATH_SIZE];
    va_list args;
    int rc;

    va_start(args, fmt);
    rc = path_make(path, root, fmt, args);
    va_end(args);
    return rc == 0 && access(path, F_OK) == 0;
}

int hsr_sysfs_above(const char *root, char buf[HSR_SYSFS_PATH_SIZE], const char *entry,
                    const char *fmt, ...)
{
    char path[HSR_SYSFS_PATH_SIZE];
    va_list args;
    char *slash;
    int rc;

    buf[0] = '\0';
    va_start(args, fmt);
    rc = path_make(path, root, fmt, args);
    va_end(args);
    if (rc == 0)
        rc = real_make(root, path, buf);
    if (rc < 0)
        return rc;
    while (!hsr_sysfs_there(root, "%s/%s", buf, entry)) {
        slash = strrchr(buf, '/');
        if (slash == NULL || slash == buf) {
            buf[0] = '\0';
            return -ENOENT;
        }
        *slash = '\0';
    }
    return 0;
}
