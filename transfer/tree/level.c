/* The walk's chain of ancestors. The innermost levels are open, at most WALK_LEVEL_FDS of them;
 * those above are closed and remember their position, which is the d_off of the last name that was
 * used: getdents64(2) continues there on a new descriptor of the same directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "transfer/tree/opener.h"
#include "transfer/tree/target.h"
#include "transfer/tree/walk_impl.h"

#define LEVELS_ROOM_MIN 64u
#define LEVEL_FLAGS (O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_NOATIME)
#define LEVEL_FLAGS_LIST (O_PATH | O_DIRECTORY) /* it is not read: passing through is enough */

/* What getdents64(2) writes; the C library declares it as struct dirent64 with another name size.
 */
struct level_dirent {
    uint64_t ino;
    int64_t position;
    uint16_t size;
    uint8_t type;
    char name[];
};
#define LEVEL_DIRENT_NAME 19u /* offset of the name: no padding before it */

/* ---- records ---- */

struct hsr_walk_record *hsr_walk_record_new(struct hsr_walk *walk, struct hsr_walk_record *parent,
                                            struct hsr_span name, uint32_t top)
{
    struct hsr_walk_record *record;

    hsr_assert(name.size <= HSR_NAME_MAX && (parent != NULL) == (name.size > 0));
    record = calloc(1, sizeof(*record));
    if (record == NULL)
        return NULL;
    atomic_fetch_add_explicit(&walk->trunk->record_count, 1, memory_order_relaxed);
    if (name.size > 0)
        memcpy(record->dir.name, name.ptr, name.size);
    record->dir.name_size = (uint16_t)name.size;
    record->top = top;
    atomic_init(&record->refs, 1);
    if (parent != NULL) {
        hsr_assert(parent->dir.depth < HSR_DIR_DEPTH_MAX);
        record->dir.parent = &parent->dir;
        record->dir.depth = (uint16_t)(parent->dir.depth + 1);
        record->dir.id = atomic_fetch_add_explicit(&walk->trunk->dir_next, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&parent->refs, 1, memory_order_relaxed);
    }
    return record;
}

void hsr_walk_record_put(struct hsr_walk *walk, struct hsr_walk_record *record)
{
    while (record != NULL) {
        struct hsr_dir *parent = record->dir.parent;

        uint32_t refs = atomic_fetch_sub_explicit(&record->refs, 1, memory_order_acq_rel);

        hsr_assert(refs > 0);
        if (refs > 1)
            return;
        free(record);
        atomic_fetch_sub_explicit(&walk->trunk->record_count, 1, memory_order_relaxed);
        record = parent == NULL ? NULL : hsr_container_of(parent, struct hsr_walk_record, dir);
    }
}

/* ---- opening and closing ---- */

static void dents_give(struct hsr_walk *walk, uint8_t *dents);

static void level_close(struct hsr_walk *walk, struct hsr_walk_level *level)
{
    if (level->fd >= 0 && !level->borrowed)
        hsr_opener_close(walk->loop, level->fd);
    level->fd = -1;
    free(level->given);
    level->given = NULL;
    if (level->dents != NULL)
        dents_give(walk, level->dents);
    level->dents = NULL;
    level->dents_size = 0;
    level->dents_offset = 0;
}

int hsr_walk_level_opened(struct hsr_walk *walk, struct hsr_walk_level *level, int fd,
                          bool borrowed)
{
    uint32_t index = (uint32_t)(level - walk->levels);

    hsr_assert(fd >= 0 && level->fd < 0 && level->dents == NULL);
    level->fd = fd;
    level->borrowed = borrowed;
    level->opened = true;
    level->dents_size = 0;
    level->dents_offset = 0;
    walk->level_open = HSR_MIN(walk->level_open, index);
    while (index - walk->level_open >= walk->level_fds) {
        struct hsr_walk_level *outer = &walk->levels[walk->level_open++];

        if (!outer->borrowed)
            level_close(walk, outer);
    }
    if (level->kind != HSR_WALK_READING)
        return 0;
    level->dents = hsr_walk_dents_take(walk);
    return level->dents == NULL ? -ENOMEM : 0;
}

uint8_t *hsr_walk_dents_take(struct hsr_walk *walk)
{
    uint8_t *dents;

    if (walk->dents_free_count > 0)
        return walk->dents_free[--walk->dents_free_count];
    dents = malloc(WALK_DENTS_SIZE);
    if (dents != NULL)
        walk->dents_count++;
    return dents;
}

static void dents_give(struct hsr_walk *walk, uint8_t *dents)
{
    if (walk->dents_free_count < walk->level_fds) {
        walk->dents_free[walk->dents_free_count++] = dents;
        return;
    }
    free(dents); /* came with a slice */
    walk->dents_count--;
}

/* Is @fd still the directory that was met here, and continue it where we were. */
static int level_resume(struct hsr_walk *walk, const struct hsr_walk_level *level, int fd)
{
    struct statx stx;
    struct hsr_op stat = { .kind = HSR_OP_STATX,
                           .buf_index = -1,
                           .fd = fd,
                           .path = "",
                           .at_flags = AT_EMPTY_PATH,
                           .mask = STATX_INO,
                           .statx = &stx };
    struct hsr_op seek = { .kind = HSR_OP_LSEEK,
                           .buf_index = -1,
                           .fd = fd,
                           .offset = level->position,
                           .whence = SEEK_SET };
    int64_t res = hsr_loop_call(walk->loop, &stat);

    if (res < 0)
        return (int)res;
    if (stx.stx_ino != level->record->ino || hsr_walk_dev(&stx) != level->record->dev)
        return HSR_E_CHANGED;
    if (level->kind != HSR_WALK_READING || level->position == 0)
        return 0;
    res = hsr_loop_call(walk->loop, &seek);
    return (int)HSR_MIN(res, 0);
}

/* Open levels[@index], in the level above it if that is open, else from the base. */
static int level_open_one(struct hsr_walk *walk, uint32_t index)
{
    struct hsr_walk_level *level = &walk->levels[index];
    const struct hsr_walk_level *outer = index > 0 ? &walk->levels[index - 1] : NULL;
    uint32_t flags = level->kind == HSR_WALK_LIST ? LEVEL_FLAGS_LIST : LEVEL_FLAGS;
    int fd;

    if (outer != NULL && outer->fd >= 0) {
        const char *source =
            outer->kind == HSR_WALK_TOP ? walk->source_name : level->record->dir.name;

        fd = hsr_opener_openat(walk->loop, outer->fd, source[0] != '\0' ? source : ".", flags,
                               HSR_RESOLVE_STRICT);
    } else {
        fd = hsr_walk_record_open(walk, walk->loop, level->record, NULL, HSR_RESOLVE_STRICT, flags);
    }
    if (fd == -ELOOP && walk->options.copy_links)
        fd = hsr_walk_record_open(walk, walk->loop, level->record, NULL,
                                  hsr_walk_resolve_follow(walk), flags);
    if (fd < 0)
        return fd == -ENOENT ? HSR_E_VANISHED : fd;
    if (level->opened) {
        int rc = level_resume(walk, level, fd);

        if (rc < 0) {
            hsr_opener_close(walk->loop, fd);
            return rc;
        }
    }
    return hsr_walk_level_opened(walk, level, fd, false);
}

int hsr_walk_level_open(struct hsr_walk *walk)
{
    uint32_t index = walk->level_count - 1;
    struct hsr_walk_level *level = hsr_walk_innermost(walk);
    int rc = 0;

    if (level->fd >= 0)
        return 0;
    hsr_assert(level->failed == 0);
    if (level->opened) {
        /* The walk comes back up: the ones above will be needed soon, and each opened from the
         * base on its own would make a deep tree quadratic. Their failures count in their turn. */
        for (uint32_t i = index - HSR_MIN(index, WALK_REOPEN); i < index && rc != -ENOMEM; i++) {
            struct hsr_walk_level *outer = &walk->levels[i];

            if (outer->fd < 0 && outer->failed == 0 && outer->kind != HSR_WALK_TOP)
                rc = level_open_one(walk, i);
        }
    }
    if (rc != -ENOMEM)
        rc = level_open_one(walk, index);
    if (rc < 0) {
        level->failed = rc;
        level->incomplete = true;
    }
    return rc;
}

int hsr_walk_level_push(struct hsr_walk *walk, struct hsr_walk_record *record, uint8_t kind)
{
    struct hsr_walk_level *level;
    size_t path_size = 0;

    if (walk->level_count == walk->level_room) {
        uint32_t room = HSR_MAX(walk->level_room * 2, LEVELS_ROOM_MIN);
        void *levels = realloc(walk->levels, room * sizeof(*walk->levels));

        if (levels == NULL) {
            hsr_walk_record_put(walk, record);
            return -ENOMEM;
        }
        walk->levels = levels;
        walk->level_room = room;
    }
    if (walk->level_count > 0)
        path_size = hsr_walk_innermost(walk)->path_size;
    if (record->dir.name_size > 0) {
        int rc = hsr_walk_path_set(walk, hsr_walk_span(record->dir.name, record->dir.name_size));

        if (rc < 0) {
            hsr_walk_record_put(walk, record);
            return rc;
        }
        path_size += record->dir.name_size;
        walk->path[path_size++] = '/';
    }
    hsr_assert(walk->level_count <= HSR_DIR_DEPTH_MAX + 1);
    level = &walk->levels[walk->level_count++];
    *level =
        (struct hsr_walk_level){ .record = record, .fd = -1, .kind = kind, .path_size = path_size };
    return 0;
}

void hsr_walk_level_pop(struct hsr_walk *walk)
{
    struct hsr_walk_level *level = hsr_walk_innermost(walk);

    level_close(walk, level);
    hsr_walk_record_put(walk, walk->lent);
    walk->lent = level->record;
    walk->level_count--;
    walk->level_open = HSR_MIN(walk->level_open, walk->level_count);
}

void hsr_walk_levels_fini(struct hsr_walk *walk)
{
    while (walk->level_count > 0)
        hsr_walk_level_pop(walk);
    hsr_walk_record_put(walk, walk->lent);
    walk->lent = NULL;
    while (walk->dents_free_count > 0)
        free(walk->dents_free[--walk->dents_free_count]);
    free(walk->levels);
    walk->levels = NULL;
}

/* ---- names ---- */

/* Read more names. 1: there are some, 0: that was all, or -errno. */
static int level_fill(struct hsr_walk *walk, struct hsr_walk_level *level)
{
    struct hsr_op op = { .kind = HSR_OP_GETDENTS,
                         .buf_index = -1,
                         .fd = level->fd,
                         .buf = level->dents,
                         .size = WALK_DENTS_SIZE };
    int64_t res = hsr_loop_call(walk->loop, &op);

    if (res <= 0)
        return (int)res;
    hsr_assert(res <= WALK_DENTS_SIZE);
    level->dents_size = (uint32_t)res;
    level->dents_offset = 0;
    return 1;
}

static void level_failed(struct hsr_walk *walk, struct hsr_walk_level *level, int code,
                         const char *op)
{
    struct hsr_walk_record *record = level->record;
    struct hsr_span name = hsr_walk_span(record->dir.name, record->dir.name_size);
    struct hsr_dir *parent = record->dir.parent;

    level->finished = level->incomplete = true;
    if (parent != NULL)
        record = hsr_container_of(parent, struct hsr_walk_record, dir);
    hsr_walk_fail(walk, record, name, code, op, false);
}

/* A large directory: its next names go to somebody else. */
static int level_give(struct hsr_walk *walk, struct hsr_walk_level *level)
{
    int rc = level_fill(walk, level);
    struct hsr_walk_job *job;
    uint32_t offset = 0;

    if (rc < 0)
        level_failed(walk, level, rc, "getdents");
    if (rc <= 0) {
        level->finished = true;
        return 0;
    }
    job = hsr_walk_job_new(walk, level->record, WALK_JOB_SLICE);
    if (job == NULL)
        return -ENOMEM;
    while (offset < level->dents_size) { /* where to go on, should it be closed */
        const struct level_dirent *dirent = (const void *)(level->dents + offset);

        level->position = (uint64_t)dirent->position;
        offset += dirent->size;
    }
    job->dents = level->dents;
    job->dents_size = level->dents_size;
    walk->dents_count--;
    level->dents_offset = level->dents_size;
    level->dents = hsr_walk_dents_take(walk);
    if (level->dents == NULL) {
        hsr_walk_job_free(walk->trunk, job);
        return -ENOMEM;
    }
    level->deferred = true;
    walk->offers_left--;
    hsr_walk_tell(walk, level->record, HSR_WALK_OFFER, job);
    return 0;
}

static bool dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

int hsr_walk_level_step(struct hsr_walk *walk)
{
    struct hsr_walk_level *level = hsr_walk_innermost(walk);
    const struct level_dirent *dirent;
    struct hsr_walk_name name = { .path_fd = false };
    int rc = hsr_walk_level_open(walk);

    hsr_assert(level->kind == HSR_WALK_READING && !level->finished);
    if (rc < 0) {
        level_failed(walk, level, rc, "open");
        return rc == -ENOMEM ? rc : 0;
    }
    if (level->given != NULL) {
        dents_give(walk, level->dents);
        level->dents = level->given;
        level->dents_size = level->given_size;
        level->given = NULL;
        walk->dents_count++;
    }
    if (level->dents_offset == level->dents_size && level->slice) {
        level->finished = true;
        return 0;
    }
    if (level->dents_offset == level->dents_size) {
        if (level->refilled && walk->offers_left > 0)
            return level_give(walk, level);
        level->refilled = level->dents_size > 0;
        rc = level_fill(walk, level);
        if (rc < 0)
            level_failed(walk, level, rc, "getdents");
        if (rc <= 0) {
            level->finished = true;
            return 0;
        }
    }
    dirent = (const void *)(level->dents + level->dents_offset);
    hsr_assert(dirent->size > LEVEL_DIRENT_NAME &&
               dirent->size <= level->dents_size - level->dents_offset);
    level->dents_offset += dirent->size;
    level->position = (uint64_t)dirent->position;
    if (dots(dirent->name))
        return 0;

    name.fd = level->fd;
    name.source = dirent->name;
    name.name = hsr_walk_span(dirent->name, strlen(dirent->name));
    name.d_type = dirent->type;
    name.kind = HSR_WALK_READING;
    return hsr_walk_inspect(walk, &name);
}
