/* From a name to an entry. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "transfer/tree/opener.h"
#include "transfer/tree/target.h"
#include "transfer/tree/walk_impl.h"

#define INSPECT_MASK (STATX_BASIC_STATS)

/* Most files have no attribute or a short one. The kernel allocates a buffer of the size that is
 * asked for, so asking for the largest every time would cost a 64 KiB allocation per file. */
#define XATTR_FIRST_SIZE 512u

uint64_t hsr_walk_dev(const struct statx *stx)
{
    return makedev(stx->stx_dev_major, stx->stx_dev_minor);
}

/* ---- items ---- */

static void item_queue(struct hsr_walk *walk, const struct hsr_walk_item *item)
{
    hsr_assert(walk->queue_count < WALK_QUEUE_MAX);
    walk->queue[walk->queue_count++] = *item;
}

void hsr_walk_fail(struct hsr_walk *walk, struct hsr_walk_record *parent, struct hsr_span name,
                   int code, const char *op, bool skipped)
{
    struct hsr_walk_item item = { .code = code, .skipped = skipped, .op = op };

    hsr_assert(code < 0);
    item.entry.name = name;
    item.entry.parent = parent->dir.id;
    item.dir = &parent->dir;
    item_queue(walk, &item);
}

void hsr_walk_tell(struct hsr_walk *walk, struct hsr_walk_record *record, uint8_t kind,
                   struct hsr_walk_job *job)
{
    struct hsr_walk_level *level = hsr_walk_innermost(walk);
    struct hsr_walk_item item = { .kind = kind,
                                  .last = walk->trunk != walk && walk->level_count == 1,
                                  .incomplete = level->incomplete,
                                  .job = job,
                                  .dir = &record->dir,
                                  .self = &record->dir };

    item_queue(walk, &item);
}

/* A name of the innermost level failed: what the target has under it must stay. */
static int name_failed(struct hsr_walk *walk, struct hsr_span name, int code, const char *op)
{
    struct hsr_walk_level *level = hsr_walk_innermost(walk);

    level->incomplete = true;
    hsr_walk_fail(walk, level->record, name, code, op, false);
    return 0;
}

int hsr_walk_path_set(struct hsr_walk *walk, struct hsr_span name)
{
    size_t start = walk->level_count > 0 ? hsr_walk_innermost(walk)->path_size : 0;
    size_t need = start + name.size + 1; /* the '/' */

    if (need > walk->path_room) {
        size_t room = HSR_MAX(need * 2, HSR_OPENER_PATH_SIZE);
        char *path = realloc(walk->path, room);

        if (path == NULL)
            return -ENOMEM;
        walk->path = path;
        walk->path_room = room;
    }
    memcpy(walk->path + start, name.ptr, name.size);
    return 0;
}

static struct hsr_span path_of(const struct hsr_walk *walk, struct hsr_span name)
{
    size_t start = walk->level_count > 0 ? walk->levels[walk->level_count - 1].path_size : 0;

    return hsr_walk_span(walk->path, start + name.size);
}

/* ---- extended attributes ---- */

static bool xattr_wanted(const char *name, bool privileged)
{
    if (strncmp(name, "user.", 5) == 0)
        return true;
    if (strncmp(name, "system.", 7) == 0)
        return strcmp(name + 7, "posix_acl_access") == 0 ||
               strcmp(name + 7, "posix_acl_default") == 0;
    if (!privileged)
        return false;
    if (strncmp(name, "trusted.", 8) == 0)
        return true;
    /* Labels and measurements belong to the system they were made on. */
    return strncmp(name, "security.", 9) == 0 && strcmp(name + 9, "selinux") != 0 &&
           strcmp(name + 9, "ima") != 0 && strcmp(name + 9, "evm") != 0;
}

static bool dev_without_xattrs(const struct hsr_walk *walk, uint64_t dev)
{
    for (uint32_t i = 0; i < walk->dev_count; i++)
        if (walk->devs[i] == dev)
            return true;
    return false;
}

static int64_t xattr_call(struct hsr_walk *walk, const struct hsr_walk_name *name, uint8_t kind,
                          const char *xattr, void *buf)
{
    struct hsr_op op = { .kind = kind,
                         .buf_index = -1,
                         .fd = name->fd,
                         .path = name->source,
                         .path_fd = name->path_fd,
                         .xattr = xattr,
                         .buf = buf,
                         .size = XATTR_FIRST_SIZE };
    int64_t res = hsr_loop_call(walk->loop, &op);

    if (res == -ERANGE) {
        op.size = WALK_XATTR_SIZE;
        res = hsr_loop_call(walk->loop, &op);
    }
    return res;
}

/* Append the value of @xattr. 0 or why it could not be kept. */
static int xattr_take(struct hsr_walk *walk, const struct hsr_walk_name *name, const char *xattr,
                      struct hsr_writer *writer, uint16_t *count)
{
    int64_t size = xattr_call(walk, name, HSR_OP_GETXATTR, xattr, walk->xattr_value);
    struct hsr_xattr put = { .name = hsr_walk_span(xattr, strlen(xattr)) };
    int rc;

    if (size == -ENODATA)
        return 0; /* removed meanwhile */
    if (size == -ERANGE || size == -E2BIG)
        return HSR_E_LIMIT;
    if (size < 0)
        return (int)size;
    if (*count == HSR_XATTR_COUNT_MAX)
        return HSR_E_LIMIT;
    put.value = (struct hsr_span){ walk->xattr_value, (size_t)size };
    rc = hsr_xattr_put(writer, put);
    if (rc == 0)
        (*count)++;
    return rc;
}

/* Attributes of @name into @entry; returns the first reason why not all of them are there. */
static int xattrs_read(struct hsr_walk *walk, const struct hsr_walk_name *name, uint64_t dev,
                       struct hsr_entry *entry)
{
    struct hsr_writer writer;
    int64_t size;
    int rc = 0;

    if (!walk->options.xattrs || (walk->dev_count > 0 && dev_without_xattrs(walk, dev)))
        return 0;
    size = xattr_call(walk, name, HSR_OP_LISTXATTR, NULL, walk->xattr_names);
    if (size == -EOPNOTSUPP) {
        if (walk->dev_count < WALK_DEVS_MAX)
            walk->devs[walk->dev_count++] = dev;
        return 0;
    }
    if (size == -ENOENT)
        return 0; /* the name vanished after its statx: opening it will say so */
    if (size < 0)
        return (int)size;
    writer = hsr_writer_init(walk->xattrs, HSR_XATTR_TOTAL_MAX);
    for (int64_t offset = 0; offset < size;) {
        const char *xattr = walk->xattr_names + offset;

        offset += (int64_t)strnlen(xattr, (size_t)(size - offset)) + 1;
        hsr_assert(offset <= size); /* listxattr(2): every name ends with NUL */
        if (xattr_wanted(xattr, walk->privileged)) {
            int taken = xattr_take(walk, name, xattr, &writer, &entry->xattr_count);

            rc = rc == 0 ? taken : rc;
        }
    }
    entry->xattrs = (struct hsr_span){ writer.ptr, writer.offset };
    return rc;
}

/* ---- entries ---- */

static uint8_t entry_type(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return HSR_ENTRY_FILE;
    case S_IFDIR:
        return HSR_ENTRY_DIR;
    case S_IFLNK:
        return HSR_ENTRY_SYMLINK;
    case S_IFIFO:
        return HSR_ENTRY_FIFO;
    case S_IFCHR:
        return HSR_ENTRY_CHAR;
    case S_IFBLK:
        return HSR_ENTRY_BLOCK;
    case S_IFSOCK:
        return HSR_ENTRY_SOCKET;
    default:
        return 0;
    }
}

static int name_statx(struct hsr_walk *walk, const struct hsr_walk_name *name, struct statx *stx)
{
    struct hsr_op op = { .kind = HSR_OP_STATX,
                         .buf_index = -1,
                         .fd = name->fd,
                         .path = name->source,
                         .at_flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT |
                                     (name->source[0] == '\0' ? AT_EMPTY_PATH : 0),
                         .mask = INSPECT_MASK,
                         .statx = stx };

    return (int)hsr_loop_call(walk->loop, &op);
}

static void item_fill(struct hsr_walk_item *item, const struct statx *stx)
{
    struct hsr_entry *entry = &item->entry;

    entry->type = entry_type(stx->stx_mode);
    entry->mode = stx->stx_mode & 07777u;
    entry->uid = stx->stx_uid;
    entry->gid = stx->stx_gid;
    entry->mtime_s = stx->stx_mtime.tv_sec;
    entry->mtime_ns = stx->stx_mtime.tv_nsec;
    if (entry->type == HSR_ENTRY_FILE) {
        entry->size = stx->stx_size;
        /* A file that is not sparse has at least its size: its last block counts in full. */
        if (stx->stx_blocks * 512 < stx->stx_size)
            entry->flags |= HSR_ENTRY_SPARSE;
    }
    if (entry->type == HSR_ENTRY_CHAR || entry->type == HSR_ENTRY_BLOCK) {
        entry->rdev_major = stx->stx_rdev_major;
        entry->rdev_minor = stx->stx_rdev_minor;
    }
    item->dev = hsr_walk_dev(stx);
    item->ino = stx->stx_ino;
    item->ctime_s = stx->stx_ctime.tv_sec;
    item->ctime_ns = stx->stx_ctime.tv_nsec;
}

/* A file with several names: the first one carries its data. */
static void item_link(struct hsr_walk *walk, struct hsr_walk_item *item, uint32_t nlink)
{
    struct hsr_span path = path_of(walk, item->entry.name);
    enum hsr_link_kind kind = HSR_LINK_COPY;

    if (walk->options.links_later) {
        item->nlink = nlink;
        return;
    }

    if (path.size <= HSR_PATH_WIRE_MAX)
        kind = hsr_links_see(&walk->links, item->dev, item->ino, nlink, path, &item->entry.link_id,
                             &item->entry.link_path);
    if (kind == HSR_LINK_FIRST)
        item->entry.flags |= HSR_ENTRY_LINK_FIRST;
    else if (kind == HSR_LINK_NEXT)
        item->entry.flags |= HSR_ENTRY_LINK_NEXT;
    else if (!walk->link_told)
        hsr_walk_fail(walk, hsr_walk_innermost(walk)->record, item->entry.name, HSR_E_MEMORY_BOUND,
                      "link", true);
    walk->link_told |= kind == HSR_LINK_COPY;
}

static void record_met(struct hsr_walk_record *record, const struct hsr_walk_item *item)
{
    record->dev = item->dev;
    record->ino = item->ino;
    record->meta = (struct hsr_walk_meta){ .mode = item->entry.mode,
                                           .uid = item->entry.uid,
                                           .gid = item->entry.gid,
                                           .mtime_s = item->entry.mtime_s,
                                           .mtime_ns = item->entry.mtime_ns };
}

/* Directory @record of the innermost level goes to somebody else, who is told behind its DIR. */
static int inspect_give(struct hsr_walk *walk, struct hsr_walk_record *record)
{
    struct hsr_walk_job *job = hsr_walk_job_new(walk, record, WALK_JOB_LIST);

    hsr_walk_record_put(walk, walk->lent); /* its DIR was not looked at yet */
    walk->lent = record;
    if (job == NULL)
        return -ENOMEM;
    hsr_walk_innermost(walk)->deferred = true;
    walk->offers_left -= walk->offers_left > 0;
    hsr_walk_tell(walk, record, HSR_WALK_OFFER, job);
    return 0;
}

/* A directory: its DIR, and a level to go on with. */
static int inspect_dir(struct hsr_walk *walk, const struct hsr_walk_name *name,
                       struct hsr_walk_item *item)
{
    struct hsr_walk_level *outer = hsr_walk_innermost(walk);
    struct hsr_walk_record *record;
    int rc;

    if (outer->record->dir.depth == HSR_DIR_DEPTH_MAX) {
        walk->queue_count = 0; /* what was said about its attributes does not matter any more */
        return name_failed(walk, name->name, HSR_E_TOO_DEEP, "open");
    }
    for (const struct hsr_walk_record *above = outer->record;
         walk->options.copy_links && above != NULL; above = (const void *)above->dir.parent) {
        if (above->ino == item->ino && above->dev == item->dev) {
            walk->queue_count = 0;
            return name_failed(walk, name->name, -ELOOP, "follow");
        }
    }
    record = hsr_walk_record_new(walk, outer->record, name->name, outer->record->top);
    if (record == NULL)
        return -ENOMEM;
    item->entry.dir = record->dir.id;
    item->entry.flags = name->dir_flags;
    item->entry.name = hsr_walk_span(record->dir.name, record->dir.name_size);
    item->self = &record->dir;
    record_met(record, item);
    record->xattr_told = walk->queue_count > 0;
    item_queue(walk, item);
    if (walk->options.one_level) {
        hsr_walk_record_put(walk, walk->lent);
        walk->lent = record;
        return 0;
    }
    if (outer->slice || (walk->offers_left > 0 && outer->kind == HSR_WALK_READING))
        return inspect_give(walk, record);
    rc = hsr_walk_level_push(walk, record, name->kind);
    if (rc == 0)
        hsr_walk_innermost(walk)->incomplete = name->kind == HSR_WALK_LIST;
    return rc;
}

/* What is no directory. 0, or why it could not be read any more. */
static int inspect_leaf(struct hsr_walk *walk, const struct hsr_walk_name *name,
                        const struct statx *stx, bool followed, struct hsr_walk_item *item)
{
    if (item->entry.type == HSR_ENTRY_SYMLINK) {
        struct hsr_op op = { .kind = HSR_OP_READLINK,
                             .buf_index = -1,
                             .fd = name->fd,
                             .path = name->source,
                             .buf = walk->target,
                             .size = sizeof(walk->target) };
        int64_t res = hsr_loop_call(walk->loop, &op);

        if (res < 0)
            return (int)res;
        if (res == 0 || res > (int64_t)HSR_LINK_TARGET_MAX)
            return HSR_E_LIMIT;
        item->entry.target = hsr_walk_span(walk->target, (size_t)res);
    }
    if (walk->options.hard_links && stx->stx_nlink > 1 && !followed)
        item_link(walk, item, stx->stx_nlink);
    item_queue(walk, item);
    return 0;
}

/* Everything after the name is known to be wanted. @name is what to ask: the name itself, or what
 * a symlink led to. */
static int inspect_known(struct hsr_walk *walk, const struct hsr_walk_name *name,
                         const struct statx *stx, bool followed)
{
    struct hsr_walk_level *level = hsr_walk_innermost(walk);
    struct hsr_walk_item item = { .dir = &level->record->dir };
    int rc;

    item.entry.name = name->name;
    item.entry.parent = level->record->dir.id;
    item_fill(&item, stx);
    if (item.entry.type == 0)
        return name_failed(walk, name->name, HSR_E_KIND, "stat");
    if (name->must_be_dir && item.entry.type != HSR_ENTRY_DIR)
        return name_failed(walk, name->name, -ENOTDIR, "open");
    if (item.entry.type == HSR_ENTRY_SOCKET && !walk->options.list_sockets) {
        hsr_walk_fail(walk, level->record, name->name, HSR_E_KIND, "socket", true);
        return 0;
    }
    /* A plain user cannot give a symlink attributes that would travel (xattr(7)). */
    if (item.entry.type != HSR_ENTRY_SYMLINK || walk->privileged) {
        rc = xattrs_read(walk, name, item.dev, &item.entry);
        if (rc < 0)
            hsr_walk_fail(walk, level->record, name->name, rc, "xattr", rc == HSR_E_LIMIT);
    }
    if (item.entry.type == HSR_ENTRY_DIR)
        return inspect_dir(walk, name, &item);
    rc = inspect_leaf(walk, name, stx, followed, &item);
    if (rc == 0)
        return 0;
    walk->queue_count = 0;
    return rc == -ENOENT ? 0 : name_failed(walk, name->name, rc, "readlink");
}

static bool excluded(const struct hsr_walk *walk, struct hsr_span name, bool is_dir)
{
    struct hsr_span path = path_of(walk, name);

    return hsr_filter_excluded(walk->options.filter, (const char *)path.ptr, path.size, is_dir);
}

/* --copy-links: what the symlink leads to takes its name. */
static int inspect_follow(struct hsr_walk *walk, const struct hsr_walk_name *name)
{
    struct hsr_walk_level *level = hsr_walk_innermost(walk);
    struct hsr_walk_name found = *name;
    struct statx stx;
    int rc;

    /* From the base: relative to where it lies, a link with ".." would leave what is held. */
    found.fd = hsr_walk_record_open(walk, walk->loop, level->record, name->source,
                                    hsr_walk_resolve_follow(walk), O_PATH);
    if (found.fd < 0)
        return name_failed(walk, name->name, found.fd, "follow");
    found.source = "";
    found.path_fd = true;
    rc = name_statx(walk, &found, &stx);
    if (rc < 0)
        rc = name_failed(walk, name->name, rc, "stat");
    else if (!excluded(walk, name->name, S_ISDIR(stx.stx_mode)))
        rc = inspect_known(walk, &found, &stx, true);
    hsr_opener_close(walk->loop, found.fd);
    return rc;
}

int hsr_walk_inspect(struct hsr_walk *walk, const struct hsr_walk_name *name)
{
    bool filtered = false;
    struct statx stx;
    int rc;

    if (!hsr_name_valid(name->name))
        return name_failed(walk, name->name, HSR_E_NAME, "stat");
    if (hsr_stage_name_is(name->name))
        return 0;
    rc = hsr_walk_path_set(walk, name->name);
    if (rc < 0)
        return rc;
    if (walk->options.filter != NULL && name->d_type != DT_UNKNOWN &&
        (name->d_type != DT_LNK || !walk->options.copy_links)) {
        if (excluded(walk, name->name, name->d_type == DT_DIR))
            return 0;
        filtered = true;
    }
    rc = name_statx(walk, name, &stx);
    if (rc == -ENOENT && !name->must_exist)
        return 0; /* vanished after it was listed */
    if (rc < 0)
        return name_failed(walk, name->name, rc, "stat");
    if (S_ISLNK(stx.stx_mode) && walk->options.copy_links)
        return inspect_follow(walk, name);
    if (walk->options.filter != NULL && !filtered &&
        excluded(walk, name->name, S_ISDIR(stx.stx_mode)))
        return 0;
    return inspect_known(walk, name, &stx, false);
}

int hsr_walk_inspect_root(struct hsr_walk *walk)
{
    struct hsr_walk_level *level = hsr_walk_innermost(walk);
    struct hsr_walk_name name = { .fd = level->fd, .source = "" };
    struct hsr_walk_item item = { .dir = &level->record->dir, .self = &level->record->dir };
    struct statx stx;
    int rc = name_statx(walk, &name, &stx);

    if (rc < 0)
        return rc;
    item_fill(&item, &stx);
    hsr_assert(item.entry.type == HSR_ENTRY_DIR);
    rc = xattrs_read(walk, &name, item.dev, &item.entry);
    if (rc < 0)
        hsr_walk_fail(walk, level->record, name.name, rc, "xattr", rc == HSR_E_LIMIT);
    record_met(level->record, &item);
    level->record->xattr_told = walk->queue_count > 0;
    item_queue(walk, &item);
    return 0;
}

/* Of a job: nothing above it is open. Search permission on the way is enough to ask. */
static void end_open(struct hsr_walk *walk, struct hsr_walk_level *level)
{
    uint32_t flags = O_PATH | O_DIRECTORY;

    if (walk->trunk == walk)
        return; /* it was its top that could not be opened */
    level->fd =
        hsr_walk_record_open(walk, walk->loop, level->record, NULL, HSR_RESOLVE_STRICT, flags);
    if (level->fd == -ELOOP && walk->options.copy_links)
        level->fd = hsr_walk_record_open(walk, walk->loop, level->record, NULL,
                                         hsr_walk_resolve_follow(walk), flags);
    level->path_fd = level->fd >= 0;
}

/* Ask the directory again: filling it took time. One that cannot be opened is asked by name. 0, or
 * why it cannot be asked. */
static int end_fill(struct hsr_walk *walk, struct hsr_walk_level *level, struct hsr_walk_item *item)
{
    const struct hsr_walk_level *outer =
        walk->level_count > 1 ? &walk->levels[walk->level_count - 2] : NULL;
    struct hsr_walk_name name = { .source = "" };
    struct statx stx;
    int rc;

    if (level->fd < 0 && outer == NULL)
        end_open(walk, level);
    name.fd = level->fd;
    name.path_fd = level->kind == HSR_WALK_LIST || level->path_fd;
    if (level->fd < 0) {
        if (outer == NULL || outer->fd < 0)
            return HSR_E_VANISHED;
        name.fd = outer->fd;
        name.path_fd = false;
        name.source = outer->kind == HSR_WALK_TOP ? walk->source_name : level->record->dir.name;
    }
    rc = name_statx(walk, &name, &stx);
    if (rc < 0)
        return rc;
    /* The number alone would not do: it is soon used again for what took the name. */
    if (!S_ISDIR(stx.stx_mode) || stx.stx_ino != level->record->ino ||
        hsr_walk_dev(&stx) != level->record->dev)
        return HSR_E_VANISHED;
    item_fill(item, &stx);
    rc = xattrs_read(walk, &name, item->dev, &item->entry);
    if (rc < 0 && !level->record->xattr_told) /* not twice: with its DIR, and here again */
        hsr_walk_fail(walk, hsr_container_of(item->dir, struct hsr_walk_record, dir),
                      hsr_walk_span(level->record->dir.name, level->record->dir.name_size), rc,
                      "xattr", rc == HSR_E_LIMIT);
    return 0;
}

void hsr_walk_inspect_end(struct hsr_walk *walk)
{
    struct hsr_walk_level *level = hsr_walk_innermost(walk);
    struct hsr_dir *dir = &level->record->dir;
    struct hsr_walk_item item = { .dir = dir->parent != NULL ? dir->parent : dir,
                                  .self = dir,
                                  .last = walk->trunk != walk && walk->level_count == 1 };
    int rc = end_fill(walk, level, &item);

    if (rc < 0) {
        /* Its attributes do not arrive and nothing is deleted in it: that must not pass in
         * silence, unless this directory has its failure already. */
        if (!level->incomplete)
            hsr_walk_fail(walk, hsr_container_of(item.dir, struct hsr_walk_record, dir),
                          hsr_walk_span(dir->name, dir->name_size), rc, "stat", false);
        level->incomplete = true;
        item.entry.mode = level->record->meta.mode;
        item.entry.uid = level->record->meta.uid;
        item.entry.gid = level->record->meta.gid;
        item.entry.mtime_s = level->record->meta.mtime_s;
        item.entry.mtime_ns = level->record->meta.mtime_ns;
        item.dev = level->record->dev;
        item.ino = level->record->ino;
    }
    item.entry.type = HSR_ENTRY_DIR_END;
    item.entry.flags = level->incomplete ? HSR_ENTRY_INCOMPLETE : 0;
    item.entry.parent = item.dir->id;
    item.entry.dir = dir->id;
    item.entry.name = hsr_walk_span(dir->name, dir->name_size);
    item_queue(walk, &item);
}
