/* From names to inodes, as path_resolution(7) and openat2(2) have it. Permissions are not checked:
 * what a kernel would refuse is injected as a fault. */
#include <errno.h>
#include <linux/openat2.h>
#include <string.h>

#include "tests/sim/fs.h"

#define LINKS_MAX 40u /* symlinks in one resolution, as in the kernel */
#define PATH_SIZE_MAX 4096u

struct walk {
    struct sim_host *host;
    struct sim_inode *start, *dir;
    uint64_t resolve;
    unsigned links;
};

static int walk_path(struct walk *walk, const char *path, bool follow, struct sim_lookup *out);

static int walk_begin(struct walk *walk, int fd)
{
    struct sim_file *file;

    if (fd == AT_FDCWD) {
        walk->dir = walk->host->root;
    } else {
        file = sim_fd_get(walk->host, fd);
        if (file == NULL || file->inode == NULL)
            return -EBADF;
        walk->dir = file->inode;
    }
    walk->start = walk->dir;
    return 0;
}

static int walk_up(struct walk *walk, struct sim_lookup *out)
{
    if ((walk->resolve & RESOLVE_BENEATH) && walk->dir == walk->start)
        return -EXDEV;
    walk->dir = walk->dir->parent;
    out->inode = walk->dir;
    out->last_size = 0;
    return 0;
}

static int walk_link(struct walk *walk, bool follow, struct sim_lookup *out)
{
    const char *text = out->inode->link;

    if ((walk->resolve & RESOLVE_NO_SYMLINKS) || ++walk->links > LINKS_MAX)
        return -ELOOP;
    return walk_path(walk, text, follow, out);
}

/* One component in walk->dir. @last: nothing follows it. */
static int walk_step(struct walk *walk, const char *name, size_t size, bool last, bool follow,
                     struct sim_lookup *out)
{
    struct sim_name *entry;

    if (!S_ISDIR(walk->dir->live.attrs.mode))
        return -ENOTDIR;
    if (size > 255)
        return -ENAMETOOLONG;
    if (size == 1 && name[0] == '.') {
        out->inode = walk->dir;
        out->last_size = 0;
        return 0;
    }
    if (size == 2 && name[0] == '.' && name[1] == '.')
        return walk_up(walk, out);
    entry = sim_name_find(walk->dir, name, size);
    out->parent = walk->dir;
    out->inode = entry != NULL ? entry->inode : NULL;
    memcpy(out->last, name, size);
    out->last[size] = '\0';
    out->last_size = size;
    if (out->inode == NULL)
        return last ? 0 : -ENOENT;
    if (S_ISLNK(out->inode->live.attrs.mode) && (!last || follow))
        return walk_link(walk, !last || follow, out);
    return 0;
}

static int walk_path(struct walk *walk, const char *path, bool follow, struct sim_lookup *out)
{
    int rc;

    if (path[0] == '\0')
        return -ENOENT;
    if (path[0] == '/') {
        if (walk->resolve & RESOLVE_BENEATH)
            return -EXDEV;
        walk->dir = walk->host->root;
        out->inode = walk->dir;
        out->last_size = 0;
    }
    for (;;) {
        size_t size;
        bool last;

        path += strspn(path, "/");
        if (*path == '\0')
            return 0;
        size = strcspn(path, "/");
        last = path[size + strspn(path + size, "/")] == '\0';
        out->slash = last && path[size] == '/';
        rc = walk_step(walk, path, size, last, follow || out->slash, out);
        if (rc < 0)
            return rc;
        if (last)
            return out->slash && out->inode != NULL && !S_ISDIR(out->inode->live.attrs.mode)
                       ? -ENOTDIR
                       : 0;
        if (out->inode == NULL)
            return -ENOENT; /* a symlink that dangles */
        walk->dir = out->inode;
        path += size;
    }
}

int sim_lookup(struct sim_host *host, int fd, const char *path, uint64_t resolve, bool follow,
               struct sim_lookup *ret_lookup)
{
    struct walk walk = { .host = host, .resolve = resolve };
    int rc = walk_begin(&walk, fd);

    *ret_lookup = (struct sim_lookup){ 0 };
    if (rc < 0)
        return rc;
    if (strlen(path) >= PATH_SIZE_MAX)
        return -ENAMETOOLONG;
    return walk_path(&walk, path, follow, ret_lookup);
}

int sim_lookup_inode(struct sim_host *host, int fd, const char *path, bool empty, bool follow,
                     struct sim_inode **ret_inode)
{
    struct sim_lookup lookup;
    int rc;

    if ((path == NULL || path[0] == '\0') && empty) {
        struct sim_file *file = sim_fd_get(host, fd);

        if (file == NULL || file->inode == NULL)
            return -EBADF;
        *ret_inode = file->inode;
        return 0;
    }
    rc = sim_lookup(host, fd, path != NULL ? path : "", 0, follow, &lookup);
    if (rc < 0)
        return rc;
    if (lookup.inode == NULL)
        return -ENOENT;
    *ret_inode = lookup.inode;
    return 0;
}

int sim_lookup_name(struct sim_host *host, int fd, const char *path, struct sim_lookup *ret_lookup)
{
    int rc = sim_lookup(host, fd, path != NULL ? path : "", 0, false, ret_lookup);

    if (rc < 0)
        return rc;
    return ret_lookup->last_size == 0 ? -EEXIST : 0;
}
