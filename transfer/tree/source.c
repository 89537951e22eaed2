/* Opening again what the walk found: from any shard, through its own cache. Of the walk it reads
 * its options, its tops and records, which do not change while anybody holds them. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "transfer/tree/dircache.h"
#include "transfer/tree/opener.h"
#include "transfer/tree/walk_impl.h"

#define SOURCE_DIR_FLAGS (O_RDONLY | O_DIRECTORY)
/* O_NONBLOCK: a FIFO that took the file's place must not hang us. */
#define SOURCE_FILE_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOATIME)

uint64_t hsr_walk_resolve_follow(const struct hsr_walk *walk)
{
    return walk->options.beneath ? RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS : RESOLVE_NO_MAGICLINKS;
}

/* A top with a name of its own: its records' first name is the target's, not ours. */
static bool top_is_named(const struct hsr_walk_top *top)
{
    return !top->contents && !top->list;
}

static struct hsr_span path_parent(struct hsr_span path)
{
    const uint8_t *slash =
        memrchr(path.ptr != NULL ? path.ptr : (const uint8_t *)"", '/', path.size);

    path.size = slash != NULL ? (size_t)(slash - path.ptr) : 0;
    return path;
}

int hsr_walk_record_open(const struct hsr_walk *walk, struct hsr_loop *loop,
                         const struct hsr_walk_record *record, const char *last, uint64_t resolve,
                         uint32_t flags)
{
    const struct hsr_dir *chain[HSR_DIR_DEPTH_MAX + 1];
    const struct hsr_walk_top *top = &walk->tops[record->top];
    bool above_top = top_is_named(top) && record->dir.depth == 0;
    unsigned depth_min = top_is_named(top) ? 2 : 1;
    struct hsr_opener opener;
    size_t count = 0;

    for (const struct hsr_dir *dir = &record->dir; dir->depth >= depth_min; dir = dir->parent)
        chain[count++] = dir;
    hsr_opener_begin(&opener, loop, top->base_fd, resolve);
    if (!top->list)
        hsr_opener_add(&opener, above_top && last == NULL ? path_parent(top->path) : top->path);
    while (count-- > 0)
        hsr_opener_add(&opener, hsr_walk_span(chain[count]->name, chain[count]->name_size));
    if (last != NULL && !above_top)
        hsr_opener_add(&opener, hsr_walk_span(last, strlen(last)));
    return hsr_opener_end(&opener, flags);
}

static uint64_t source_key(const struct hsr_walk_record *record)
{
    return record->dir.parent != NULL ? record->dir.id : ((uint64_t)record->top + 1) << 32;
}

int hsr_source_dir_fd(struct hsr_dircache *cache, const struct hsr_walk *walk,
                      const struct hsr_dir *dir)
{
    const struct hsr_walk_record *record = (const void *)dir; /* its first member */
    const struct hsr_walk_record *parent = (const void *)dir->parent;
    struct hsr_dircache_slot *slot = hsr_dircache_find(cache, source_key(record));
    struct hsr_dircache_slot *above;
    int fd;

    _Static_assert(offsetof(struct hsr_walk_record, dir) == 0, "records begin with what is public");
    if (slot != NULL)
        return slot->fd;
    above = parent != NULL ? hsr_dircache_find(cache, source_key(parent)) : NULL;
    /* What lies in the root of a named top is that top: its name at the source is another one. */
    if (above != NULL && (dir->depth > 1 || !top_is_named(&walk->tops[record->top])))
        fd = hsr_opener_openat(cache->loop, above->fd, dir->name, SOURCE_DIR_FLAGS | O_NOATIME,
                               HSR_RESOLVE_STRICT);
    else
        fd = hsr_walk_record_open(walk, cache->loop, record, NULL, HSR_RESOLVE_STRICT,
                                  SOURCE_DIR_FLAGS | O_NOATIME);
    if (fd == -ELOOP && walk->options.copy_links)
        fd = hsr_walk_record_open(walk, cache->loop, record, NULL, hsr_walk_resolve_follow(walk),
                                  SOURCE_DIR_FLAGS | O_NOATIME);
    if (fd == -EACCES) /* listed by nobody, but its files may be readable (--files-from) */
        fd = hsr_walk_record_open(walk, cache->loop, record, NULL,
                                  walk->options.copy_links ? hsr_walk_resolve_follow(walk)
                                                           : HSR_RESOLVE_STRICT,
                                  O_PATH | O_DIRECTORY);
    if (fd >= 0)
        hsr_dircache_put(cache, source_key(record), fd, false);
    return fd;
}

static int source_is_file(struct hsr_loop *loop, int fd)
{
    struct statx stx;
    struct hsr_op op = { .kind = HSR_OP_STATX,
                         .buf_index = -1,
                         .fd = fd,
                         .path = "",
                         .at_flags = AT_EMPTY_PATH,
                         .mask = STATX_TYPE,
                         .statx = &stx };
    int rc = (int)hsr_loop_call(loop, &op);

    if (rc < 0)
        return rc;
    return S_ISREG(stx.stx_mode) ? 0 : HSR_E_KIND;
}

int hsr_source_open(struct hsr_dircache *cache, const struct hsr_walk *walk,
                    const struct hsr_dir *dir, const char *name, bool follow)
{
    int fd = hsr_source_open_blind(cache, walk, dir, name, follow);
    int rc = fd < 0 ? fd : source_is_file(cache->loop, fd);

    if (rc == 0)
        return fd;
    if (fd >= 0)
        hsr_opener_close(cache->loop, fd);
    return rc;
}

int hsr_source_open_blind(struct hsr_dircache *cache, const struct hsr_walk *walk,
                          const struct hsr_dir *dir, const char *name, bool follow)
{
    const struct hsr_walk_record *record = (const void *)dir;
    const struct hsr_walk_top *top = &walk->tops[record->top];
    int fd;

    if (dir->parent == NULL && top_is_named(top)) {
        fd = hsr_walk_record_open(walk, cache->loop, record, name, HSR_RESOLVE_STRICT,
                                  SOURCE_FILE_FLAGS);
    } else {
        fd = hsr_source_dir_fd(cache, walk, dir);
        if (fd >= 0)
            fd = hsr_opener_openat(cache->loop, fd, name, SOURCE_FILE_FLAGS, HSR_RESOLVE_STRICT);
    }
    if (fd == -ELOOP && follow)
        fd = hsr_walk_record_open(walk, cache->loop, record, name, hsr_walk_resolve_follow(walk),
                                  SOURCE_FILE_FLAGS);
    if (fd == -ENOENT)
        return HSR_E_VANISHED;
    if (fd == -ELOOP || fd == -ENXIO) /* a symlink, or a socket (open(2)) */
        return HSR_E_KIND;
    return fd;
}

int hsr_source_check(struct hsr_loop *loop, int fd, const struct hsr_source_identity *identity)
{
    struct statx stx;
    struct hsr_op op = { .kind = HSR_OP_STATX,
                         .buf_index = -1,
                         .fd = fd,
                         .path = "",
                         .at_flags = AT_EMPTY_PATH,
                         .mask = STATX_BASIC_STATS,
                         .statx = &stx };
    int rc = (int)hsr_loop_call(loop, &op);

    if (rc < 0)
        return rc;
    if (!S_ISREG(stx.stx_mode))
        return HSR_E_KIND;
    if (stx.stx_ino != identity->ino || hsr_walk_dev(&stx) != identity->dev ||
        stx.stx_size != identity->size || stx.stx_mtime.tv_sec != identity->mtime_s ||
        stx.stx_mtime.tv_nsec != identity->mtime_ns || stx.stx_ctime.tv_sec != identity->ctime_s ||
        stx.stx_ctime.tv_nsec != identity->ctime_ns)
        return HSR_E_CHANGED;
    return 0;
}

static int64_t source_seek(struct hsr_loop *loop, int fd, uint64_t offset, int whence)
{
    struct hsr_op op = {
        .kind = HSR_OP_LSEEK, .buf_index = -1, .fd = fd, .offset = offset, .whence = whence
    };

    return hsr_loop_call(loop, &op);
}

int hsr_source_extent(struct hsr_loop *loop, int fd, uint64_t offset, uint64_t file_size,
                      uint32_t leaf_size, uint64_t *ret_start, uint64_t *ret_end)
{
    int64_t start, end;

    hsr_assert(leaf_size > 0 && file_size <= INT64_MAX);
    if (offset >= file_size)
        return 1;
    start = source_seek(loop, fd, offset, SEEK_DATA);
    if (start == -ENXIO)
        return 1; /* lseek(2): no data behind the offset */
    if (start == -EINVAL || start == -EOPNOTSUPP) {
        *ret_start = offset - offset % leaf_size;
        *ret_end = file_size;
        return 0;
    }
    if (start < 0)
        return (int)start;
    if ((uint64_t)start >= file_size)
        return 1; /* it has grown; what is new is not ours to send */
    end = source_seek(loop, fd, (uint64_t)start, SEEK_HOLE);
    if (end == -ENXIO)
        end = (int64_t)file_size; /* cut short meanwhile: reading will find out */
    if (end < 0)
        return (int)end;
    end = HSR_MAX(end, start + 1); /* punched meanwhile: reading gives zeros */
    *ret_start = (uint64_t)start - (uint64_t)start % leaf_size;
    *ret_end = ((uint64_t)end + leaf_size - 1) / leaf_size * leaf_size;
    *ret_end = HSR_MIN(*ret_end, file_size);
    return 0;
}
