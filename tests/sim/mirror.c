/* See mirror.h. */
#include "tests/sim/mirror.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/sim/fs.h"

#define PATH_ROOM 4096u
#define XATTRS_ROOM 4096u
#define TIMES_COUNT 2

/* A file with several names: the first of them. */
struct first {
    uint64_t number; /* of its inode */
    char *path;
};

struct mirror {
    struct sim_host *host;
    const char *folder;
    struct first *firsts;
    unsigned first_count, first_room;
    int rc;
};

static void must(bool done, const char *what, const char *path)
{
    if (done)
        return;
    fprintf(stderr, "%s \"%s\": %s\n", what, path, strerror(errno));
    abort();
}

static const char *join(char out[PATH_ROOM], const char *folder, const char *path)
{
    int used = snprintf(out, PATH_ROOM, "%s%s%s", folder, path[0] != '\0' ? "/" : "", path);

    hsr_assert(used > 0 && (unsigned)used < PATH_ROOM);
    return out;
}

/* The name that the file of inode @number had first; NULL: @path is it. */
static const char *first_name(struct mirror *mirror, uint64_t number, const char *path)
{
    for (unsigned i = 0; i < mirror->first_count; i++) {
        if (mirror->firsts[i].number == number)
            return mirror->firsts[i].path;
    }
    if (mirror->first_count == mirror->first_room) {
        mirror->first_room = mirror->first_room == 0 ? 16 : 2 * mirror->first_room;
        mirror->firsts = realloc(mirror->firsts, mirror->first_room * sizeof(*mirror->firsts));
        hsr_assert(mirror->firsts != NULL);
    }
    mirror->firsts[mirror->first_count].number = number;
    mirror->firsts[mirror->first_count].path = strdup(path);
    hsr_assert(mirror->firsts[mirror->first_count].path != NULL);
    mirror->first_count++;
    return NULL;
}

static void mirror_end(struct mirror *mirror)
{
    for (unsigned i = 0; i < mirror->first_count; i++)
        free(mirror->firsts[i].path);
    free(mirror->firsts);
}

/* ---- out ---- */

/* Owner, xattrs, mode, times: in an order in which none undoes another. */
static int attrs_out(const struct sim_inode *inode, const char *real)
{
    const struct sim_attrs *attrs = &inode->live.attrs;
    struct timespec times[TIMES_COUNT] = { attrs->atime, attrs->mtime };

    if (geteuid() == 0)
        must(lchown(real, attrs->uid, attrs->gid) == 0, "chown", real);
    for (uint32_t i = 0; i < attrs->xattr_count; i++) {
        const struct sim_xattr *xattr = &attrs->xattrs[i];

        if (lsetxattr(real, xattr->name, xattr->value, xattr->size, 0) < 0)
            return -errno;
    }
    if (!S_ISLNK(attrs->mode))
        must(chmod(real, attrs->mode & 07777u) == 0, "chmod", real);
    must(utimensat(AT_FDCWD, real, times, AT_SYMLINK_NOFOLLOW) == 0, "utimens", real);
    return 0;
}

static void data_out(const struct sim_inode *inode, const char *real)
{
    const struct sim_data *data = &inode->live.data;
    int fd = open(real, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

    must(fd >= 0, "create", real);
    for (uint32_t i = 0; i < data->count; i++) {
        uint64_t offset = data->extents[i].index * SIM_PAGE;
        uint64_t size = offset < data->size ? HSR_MIN(SIM_PAGE, data->size - offset) : 0;

        must(pwrite(fd, data->extents[i].page->bytes, size, (off_t)offset) == (ssize_t)size,
             "write", real);
    }
    must(ftruncate(fd, (off_t)data->size) == 0 && close(fd) == 0, "write", real);
}

static void entry_out(void *context, const char *path, struct sim_inode *dir,
                      struct sim_name *entry)
{
    struct mirror *mirror = context;
    const struct sim_inode *inode = entry->inode;
    uint32_t mode = inode->live.attrs.mode;
    char real[PATH_ROOM], first[PATH_ROOM];
    const char *other = NULL;

    (void)dir;
    if (mirror->rc < 0)
        return;
    (void)join(real, mirror->folder, path);
    if (S_ISDIR(mode)) {
        must(mkdir(real, 0700) == 0, "mkdir", real);
        return; /* dirs_out() does the rest, last */
    }
    if (inode->nlink > 1)
        other = first_name(mirror, inode->ino, path);
    if (other != NULL) {
        must(link(join(first, mirror->folder, other), real) == 0, "link", real);
        return;
    }
    if (S_ISREG(mode))
        data_out(inode, real);
    else if (S_ISLNK(mode))
        must(symlink(inode->link, real) == 0, "symlink", real);
    else if (mknod(real, mode, (dev_t)inode->rdev) < 0)
        mirror->rc = -errno; /* a user who may not */
    if (mirror->rc == 0)
        mirror->rc = attrs_out(inode, real);
}

/* Of directories, once nothing changes in them: sub-directories first. */
static int dirs_out(struct sim_inode *dir, const char *real)
{
    char below[PATH_ROOM];

    for (uint32_t i = 0; i < dir->live.names.count; i++) {
        const struct sim_name *entry = &dir->live.names.list[i];
        int rc = 0;

        if (S_ISDIR(entry->inode->live.attrs.mode))
            rc = dirs_out(entry->inode, join(below, real, entry->name));
        if (rc < 0)
            return rc;
    }
    return attrs_out(dir, real);
}

int sim_mirror_out(struct sim_host *host, const char *path, const char *folder)
{
    struct mirror mirror = { .host = host, .folder = folder };

    sim_tree_visit(host, path, entry_out, &mirror);
    if (mirror.rc == 0)
        mirror.rc = dirs_out(sim_find(host, path), folder);
    mirror_end(&mirror);
    return mirror.rc;
}

/* ---- in ---- */

static void attrs_in(struct sim_inode *inode, const char *real, const struct stat *st)
{
    struct sim_attrs *attrs = &inode->live.attrs;
    char names[XATTRS_ROOM], value[XATTRS_ROOM];
    ssize_t size = llistxattr(real, names, sizeof(names));

    must(size >= 0 || errno == EOPNOTSUPP, "listxattr", real);
    while (attrs->xattr_count > 0)
        (void)sim_xattr_remove(inode, attrs->xattrs[0].name); /* it is there */
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1) {
        ssize_t got;

        if (strncmp(names + at, "user.", 5) != 0 && strncmp(names + at, "system.", 7) != 0)
            continue; /* labels of the machine */
        got = lgetxattr(real, names + at, value, sizeof(value));
        must(got >= 0, "getxattr", real);
        hsr_assert(sim_xattr_set(inode, names + at, value, (uint64_t)got) == 0);
    }
    attrs->mode = st->st_mode;
    attrs->uid = st->st_uid;
    attrs->gid = st->st_gid;
    attrs->mtime = st->st_mtim;
    attrs->ctime = st->st_ctim;
}

static void data_in(struct sim_inode *inode, const char *real, uint64_t size)
{
    int fd = open(real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    off_t start = 0, end;
    uint8_t page[SIM_PAGE];

    must(fd >= 0, "open", real);
    while ((start = lseek(fd, start, SEEK_DATA)) >= 0) {
        end = lseek(fd, start, SEEK_HOLE);
        must(end > start, "seek", real);
        while (start < end) {
            ssize_t got = pread(fd, page, sizeof(page) - (size_t)start % sizeof(page), start);

            must(got > 0, "read", real);
            hsr_assert(sim_data_write(inode, page, (uint64_t)got, (uint64_t)start) == got);
            start += got;
        }
    }
    must(errno == ENXIO, "seek", real);
    hsr_assert(sim_data_resize(inode, size) == 0);
    must(close(fd) == 0, "close", real);
}

static void dir_in(struct mirror *mirror, const char *path, const char *real);

/* One name: @path in the host, @real on the disk. */
static void entry_in(struct mirror *mirror, const char *path, const char *real)
{
    char text[PATH_ROOM];
    const char *other = NULL;
    struct stat st;
    ssize_t size;

    must(lstat(real, &st) == 0, "stat", real);
    if (S_ISDIR(st.st_mode)) {
        sim_mkdir(mirror->host, path, 0700);
        dir_in(mirror, path, real);
        return;
    }
    if (st.st_nlink > 1)
        other = first_name(mirror, st.st_ino, path);
    if (other != NULL) {
        sim_link(mirror->host, path, other);
    } else if (S_ISLNK(st.st_mode)) {
        size = readlink(real, text, sizeof(text) - 1);
        must(size >= 0, "readlink", real);
        text[size] = '\0';
        sim_symlink(mirror->host, path, text);
    } else if (S_ISREG(st.st_mode)) {
        sim_file(mirror->host, path, 0600, 0, 0, false);
        data_in(sim_find(mirror->host, path), real, (uint64_t)st.st_size);
    } else {
        sim_special(mirror->host, path, st.st_mode, st.st_rdev);
    }
    attrs_in(sim_find(mirror->host, path), real, &st);
}

static void dir_in(struct mirror *mirror, const char *path, const char *real)
{
    struct sim_inode *dir = sim_find(mirror->host, path);
    char below[PATH_ROOM], below_real[PATH_ROOM];
    struct dirent *entry;
    struct stat st;
    DIR *stream;

    hsr_assert(dir != NULL);
    must(lstat(real, &st) == 0, "stat", real);
    stream = opendir(real);
    must(stream != NULL, "open", real);
    while (dir->live.names.count > 0)
        sim_name_remove(dir, &dir->live.names.list[dir->live.names.count - 1]);
    while ((entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            entry_in(mirror, join(below, path, entry->d_name),
                     join(below_real, real, entry->d_name));
    }
    (void)closedir(stream); /* it was only read */
    attrs_in(dir, real, &st);
}

void sim_mirror_in(struct sim_host *host, const char *path, const char *folder)
{
    struct mirror mirror = { .host = host, .folder = folder };

    dir_in(&mirror, path, folder);
    mirror_end(&mirror);
}

/* ---- away ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void sim_mirror_remove(const char *folder)
{
    must(nftw(folder, remove_one, 32, FTW_DEPTH | FTW_PHYS) == 0, "remove", folder);
}
