/* Records of directories, and the cache that turns them into descriptors. */
#include "transfer/tree/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "transfer/tree/dircache.h"
#include "transfer/tree/opener.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY)
#define DIR_MODE 0755u /* of what --mkpath-like creation makes; the umask narrows it */

void hsr_dircache_init(struct hsr_dircache *cache, struct hsr_loop *loop, int root_fd, bool follow)
{
    *cache = (struct hsr_dircache){ .loop = loop, .root_fd = root_fd, .follow = follow };
    for (unsigned i = 0; i < HSR_DIRCACHE_SIZE; i++)
        cache->slots[i].fd = -1;
}

void hsr_dircache_fini(struct hsr_dircache *cache)
{
    for (unsigned i = 0; i < HSR_DIRCACHE_SIZE; i++) {
        if (cache->slots[i].fd >= 0 && cache->loop != NULL)
            hsr_opener_close(cache->loop, cache->slots[i].fd);
        cache->slots[i].fd = -1;
    }
}

struct hsr_dircache_slot *hsr_dircache_find(struct hsr_dircache *cache, uint64_t key)
{
    struct hsr_dircache_slot *slot = &cache->slots[cache->last];

    if (slot->key != key || slot->fd < 0) {
        unsigned i = 0;

        while (i < HSR_DIRCACHE_SIZE && (cache->slots[i].key != key || cache->slots[i].fd < 0))
            i++;
        if (i == HSR_DIRCACHE_SIZE)
            return NULL;
        slot = &cache->slots[i];
        cache->last = i;
    }
    slot->used = ++cache->clock;
    return slot;
}

void hsr_dircache_put(struct hsr_dircache *cache, uint64_t key, int fd, bool path_fd)
{
    unsigned oldest = 0;

    hsr_assert(fd >= 0);
    for (unsigned i = 0; i < HSR_DIRCACHE_SIZE; i++) {
        if (cache->slots[i].fd < 0) {
            oldest = i;
            break;
        }
        hsr_assert_hot(cache->slots[i].key != key);
        if (cache->slots[i].used < cache->slots[oldest].used)
            oldest = i;
    }
    if (cache->slots[oldest].fd >= 0)
        hsr_opener_close(cache->loop, cache->slots[oldest].fd);
    cache->slots[oldest] = (struct hsr_dircache_slot){
        .key = key, .fd = fd, .path_fd = path_fd, .used = ++cache->clock
    };
    cache->last = oldest;
}

/* Open @dir below the nearest ancestor that is held. Only @dir itself is kept: the ancestors of one
 * deep directory must not push everything else out. */
static int dircache_open(struct hsr_dircache *cache, const struct hsr_dir *dir, uint32_t flags)
{
    const struct hsr_dir *chain[HSR_DIR_DEPTH_MAX + 1];
    const struct hsr_dir *above = dir;
    struct hsr_opener opener;
    size_t count = 0;
    int fd = -1;

    while (fd < 0) {
        hsr_require(count <= HSR_DIR_DEPTH_MAX, HSR_E_TOO_DEEP);
        chain[count++] = above;
        above = above->parent;
        if (above->parent == NULL) {
            fd = cache->root_fd;
        } else {
            struct hsr_dircache_slot *slot = hsr_dircache_find(cache, above->id);

            fd = slot != NULL ? slot->fd : -1;
        }
    }
    hsr_opener_begin(&opener, cache->loop, fd, HSR_RESOLVE_STRICT);
    while (count-- > 0) {
        struct hsr_span name = { (const uint8_t *)chain[count]->name, chain[count]->name_size };

        hsr_opener_add(&opener, name);
    }
    return hsr_opener_end(&opener, flags);
}

int hsr_dircache_get(struct hsr_dircache *cache, const struct hsr_dir *dir)
{
    struct hsr_dircache_slot *slot;
    bool path_fd = false;
    int fd;

    hsr_assert(dir != NULL);
    if (dir->parent == NULL)
        return cache->root_fd;
    slot = hsr_dircache_find(cache, dir->id);
    if (slot != NULL)
        return slot->fd;

    fd = dircache_open(cache, dir, DIR_FLAGS);
    if (fd == -EACCES) { /* what may not be read may still be written into */
        path_fd = true;
        fd = dircache_open(cache, dir, O_PATH | O_DIRECTORY);
    }
    if (fd >= 0)
        hsr_dircache_put(cache, dir->id, fd, path_fd);
    return fd;
}

/* When the kernel does not tell, the answer is yes: a check too many does no harm. */
static bool dir_inherits(struct hsr_loop *loop, int fd, bool path_fd)
{
    struct statx stx;
    struct hsr_op stat = { .kind = HSR_OP_STATX,
                           .buf_index = -1,
                           .fd = fd,
                           .path = "",
                           .mask = STATX_MODE,
                           .at_flags = AT_EMPTY_PATH,
                           .statx = &stx };
    struct hsr_op acl = { .kind = HSR_OP_GETXATTR,
                          .buf_index = -1,
                          .fd = fd,
                          .path = "",
                          .path_fd = path_fd,
                          .xattr = "system.posix_acl_default" };
    int64_t res = hsr_loop_call(loop, &stat);

    if (res < 0 || (stx.stx_mode & S_ISGID) != 0)
        return true;
    res = hsr_loop_call(loop, &acl);
    return res != -ENODATA && res != -EOPNOTSUPP;
}

bool hsr_dircache_inherits(struct hsr_dircache *cache, const struct hsr_dir *dir)
{
    struct hsr_dircache_slot *slot;
    int fd = hsr_dircache_get(cache, dir);

    if (fd < 0)
        return true;
    if (dir->parent == NULL) {
        if (!cache->root_inherits_known)
            cache->root_inherits = dir_inherits(cache->loop, fd, false);
        cache->root_inherits_known = true;
        return cache->root_inherits;
    }
    slot = hsr_dircache_find(cache, dir->id);
    hsr_assert(slot != NULL && slot->fd == fd);
    if (!slot->inherits_known)
        slot->inherits = dir_inherits(cache->loop, fd, slot->path_fd);
    slot->inherits_known = true;
    return slot->inherits;
}

void hsr_dircache_drop(struct hsr_dircache *cache, uint32_t id)
{
    for (unsigned i = 0; i < HSR_DIRCACHE_SIZE; i++) {
        if (cache->slots[i].key == id && cache->slots[i].fd >= 0) {
            hsr_opener_close(cache->loop, cache->slots[i].fd);
            cache->slots[i].fd = -1;
        }
    }
}

size_t hsr_dir_path(const struct hsr_dir *dir, struct hsr_span name, char *buf, size_t size)
{
    size_t end = size - 1; /* filled from the back: records know their parents only */
    bool cut = false;

    hsr_assert(size >= 8);
    if (name.size > 0) {
        cut = name.size > end;
        size_t part = HSR_MIN(name.size, end);

        end -= part;
        memcpy(buf + end, name.ptr + name.size - part, part);
    }
    for (; dir != NULL && dir->parent != NULL && !cut; dir = dir->parent) {
        bool slash = end != size - 1;
        size_t room = end - (slash && end > 0);
        size_t part = HSR_MIN((size_t)dir->name_size, room);

        cut = part < dir->name_size || (slash && end == 0);
        if (slash && end > 0)
            buf[--end] = '/';
        end -= part;
        memcpy(buf + end, dir->name + dir->name_size - part, part);
    }
    if (cut)
        memcpy(buf + end, "...", 3);
    memmove(buf, buf + end, size - 1 - end);
    buf[size - 1 - end] = '\0';
    return size - 1 - end;
}

static int dir_mkdir(struct hsr_loop *loop, int fd, const char *path)
{
    struct hsr_op op = {
        .kind = HSR_OP_MKDIR, .buf_index = -1, .fd = fd, .path = path, .mode = DIR_MODE
    };
    int64_t res = hsr_loop_call(loop, &op);

    return res == -EEXIST ? 0 : (int)res;
}

int hsr_root_open(struct hsr_loop *loop, const char *path, bool create)
{
    char part[PATH_MAX];
    size_t size = strlen(path);
    int fd = hsr_opener_openat(loop, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);

    if (fd != -ENOENT || !create || size == 0)
        return fd;
    hsr_require(size < sizeof(part), -ENAMETOOLONG);
    memcpy(part, path, size + 1);
    for (size_t i = 1; i <= size; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        int rc = dir_mkdir(loop, AT_FDCWD, part);

        if (rc < 0)
            return rc;
        part[i] = path[i];
    }
    return hsr_opener_openat(loop, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
}

/* The component of @path that starts at *offset, NUL-ended, and *offset moved behind it. */
static bool component_next(struct hsr_span path, size_t *offset, char name[NAME_MAX + 1])
{
    const uint8_t *start = path.ptr + *offset;
    const uint8_t *slash;
    size_t size;

    if (*offset >= path.size)
        return false;
    slash = memchr(start, '/', path.size - *offset);
    size = slash != NULL ? (size_t)(slash - start) : path.size - *offset;
    hsr_assert(size > 0 && size <= NAME_MAX); /* hsr_path_valid() said so */
    memcpy(name, start, size);
    name[size] = '\0';
    *offset += size + 1;
    return true;
}

int hsr_root_open_below(struct hsr_loop *loop, int root_fd, struct hsr_span path, bool create)
{
    struct hsr_opener opener;
    char name[NAME_MAX + 1];
    size_t offset = 0;
    int fd;

    hsr_opener_begin(&opener, loop, root_fd, HSR_RESOLVE_STRICT);
    hsr_opener_add(&opener, path);
    fd = hsr_opener_end(&opener, DIR_FLAGS);
    if (fd != -ENOENT || !create)
        return fd;

    fd = root_fd;
    while (fd >= 0 && component_next(path, &offset, name)) {
        int rc = dir_mkdir(loop, fd, name);
        uint32_t flags = offset < path.size ? O_PATH | O_DIRECTORY : DIR_FLAGS;
        int below = rc < 0 ? rc : hsr_opener_openat(loop, fd, name, flags, HSR_RESOLVE_STRICT);

        if (fd != root_fd)
            hsr_opener_close(loop, fd);
        fd = below;
    }
    hsr_assert(fd != root_fd); /* a path without components is there: it was not ENOENT */
    return fd;
}
