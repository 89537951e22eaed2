/* Removing what a source does not have, and what dead transfers left.
 *
 * A cursor walks depth first. Of the chain it is in, frame 0 and the deepest PRUNE_FDS frames hold
 * descriptors; others are opened again by name, component by component beneath frame 0. One
 * buffer serves all frames: a directory that was left for a subdirectory is continued at its d_off.
 *
 * Older tmpfs counts positions instead of naming them: what is removed meanwhile shifts the rest,
 * and entries are skipped. So a directory in which something was removed around a return to it is
 * read once more from its start; not after a failure in it, which would be reported twice.
 *
 * It never leaves the file system of the directory it started in: what is mounted at the target was
 * not put there by a transfer. */
#include <dirent.h>
#include <errno.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "hash/digest.h"
#include "transfer/tree/at.h"
#include "transfer/tree/stage.h"
#include "transfer/tree/target.h"

#define PRUNE_NAMES_STEP 8u /* names a step; a disk's file system may sleep in each */
#define PRUNE_BUFFER_SIZE                                                                          \
    8192u /* getdents64: some 200 short names, and read again after each                           \
             subdirectory, so not larger */
#define PRUNE_FDS 8u /* open at once besides frame 0 */
#define PRUNE_OPEN_PATH_MAX 4000u /* bytes of a path given to one open: below PATH_MAX */
#define NAMESET_SIZE_MIN 16u
#define NAMESET_SIZE_MAX (1u << 31)

struct dirent_record { /* linux_dirent64, getdents64(2) */
    uint64_t ino;
    int64_t off;
    uint16_t size;
    uint8_t type;
    char name[];
};

struct frame {
    int fd; /* -1: to be opened again by name */
    uint32_t path_size; /* bytes of prune->path that are this directory's path */
    int64_t offset; /* d_off of the last entry handled; 0: the start */
    bool kept; /* something in it stays, so it stays */
    bool returned; /* continued at `offset` after a subdirectory */
    bool removed; /* something in it went since its start was read */
    bool failed; /* something in it was reported as failed */
    bool again; /* it was read once more already, or may not be */
};

struct hsr_prune {
    struct hsr_tree *tree;
    const struct hsr_nameset *keep; /* borrowed; for frame 0 */
    uint64_t key;
    const struct hsr_filter *filter; /* borrowed */
    uint64_t *left; /* the caller's count of what may still go */
    hsr_prune_event *event;
    void *context;
    bool stages_only;
    bool dry_run;
    bool single; /* one name, `name`, not what is listed in frame 0 */
    bool started;
    char name[HSR_NAME_MAX + 1];
    struct frame *frames;
    uint32_t depth; /* frames in use, at least 1 */
    uint32_t frames_size;
    char *path; /* of the transfer: frame's path, then the name at hand; NUL-ended */
    size_t path_size;
    uint32_t buffer_used, buffer_at; /* records of the deepest frame */
    _Alignas(8) char buffer[PRUNE_BUFFER_SIZE];
};

static int prune_new(struct hsr_tree *tree, const struct hsr_dir *dir,
                     const struct hsr_filter *filter, uint64_t *left, hsr_prune_event *event,
                     void *context, struct hsr_prune **ret_prune);
static int prune_base_path(struct hsr_prune *prune, const struct hsr_dir *dir);
static int prune_fill(struct hsr_prune *prune);
static int prune_name(struct hsr_prune *prune, const char *name, uint8_t type);
static int prune_stage(struct hsr_prune *prune, struct frame *frame, const char *name);
static int prune_enter(struct hsr_prune *prune, const char *name);
static int prune_leave(struct hsr_prune *prune);
static int prune_reopen(struct hsr_prune *prune, struct frame *frame);
static void prune_failed(struct hsr_prune *prune, struct frame *frame, int code);
static int prune_remove(struct hsr_prune *prune, struct frame *frame, const char *name,
                        bool is_dir);

/* ---- names to keep ---- */

/* Keyed, so that a peer cannot look for collisions; never 0, which is an empty slot. */
static uint64_t nameset_hash(uint64_t key, struct hsr_span name)
{
    uint8_t bytes[sizeof(key) + HSR_NAME_MAX];
    uint64_t hash;

    hsr_assert(name.size <= HSR_NAME_MAX);
    memcpy(bytes, &key, sizeof(key));
    memcpy(bytes + sizeof(key), name.ptr, name.size);
    hash = hsr_hash64(bytes, sizeof(key) + name.size);
    return hash != 0 ? hash : 1;
}

/* The slot that holds @hash, or the empty one where it belongs. */
static uint32_t nameset_find(const struct hsr_nameset *set, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (set->size - 1);

    hsr_assert(set->count < set->size); /* there is an empty slot to end at */
    while (set->slots[at] != 0 && set->slots[at] != hash)
        at = (at + 1) & (set->size - 1);
    return at;
}

static int nameset_grow(struct hsr_nameset *set, size_t *budget)
{
    struct hsr_nameset old = *set;
    uint32_t size = old.size == 0 ? NAMESET_SIZE_MIN : old.size * 2;
    size_t bytes = (size_t)size * sizeof(*set->slots);

    hsr_require(old.size < NAMESET_SIZE_MAX, HSR_E_MEMORY_BOUND);
    hsr_require(bytes <= *budget, HSR_E_MEMORY_BOUND); /* both live for a moment */
    set->slots = calloc(size, sizeof(*set->slots));
    if (set->slots == NULL) {
        set->slots = old.slots;
        return HSR_E_MEMORY_BOUND;
    }
    set->size = size;
    for (uint32_t i = 0; i < old.size; i++) {
        if (old.slots[i] != 0)
            set->slots[nameset_find(set, old.slots[i])] = old.slots[i];
    }
    free(old.slots);
    *budget -= bytes;
    *budget += (size_t)old.size * sizeof(*old.slots);
    return 0;
}

int hsr_nameset_add(struct hsr_nameset *set, uint64_t key, struct hsr_span name, size_t *budget)
{
    uint64_t hash = nameset_hash(key, name);
    uint32_t at;
    int rc;

    if ((uint64_t)set->count * 4 >= (uint64_t)set->size * 3) { /* three quarters: short probes */
        rc = nameset_grow(set, budget);
        if (rc < 0)
            return rc;
    }
    at = nameset_find(set, hash);
    if (set->slots[at] == 0) {
        set->slots[at] = hash;
        set->count++;
    }
    hsr_assert(set->count < set->size);
    return 0;
}

bool hsr_nameset_has(const struct hsr_nameset *set, uint64_t key, struct hsr_span name)
{
    if (set->size == 0)
        return false;
    return set->slots[nameset_find(set, nameset_hash(key, name))] != 0;
}

void hsr_nameset_clear(struct hsr_nameset *set, size_t *budget)
{
    *budget += (size_t)set->size * sizeof(*set->slots);
    free(set->slots);
    *set = (struct hsr_nameset){ 0 };
}

/* ---- the cursor ---- */

int hsr_prune_create(struct hsr_tree *tree, const struct hsr_dir *dir,
                     const struct hsr_nameset *keep, uint64_t key, const struct hsr_filter *filter,
                     uint64_t *left, hsr_prune_event *event, void *context,
                     struct hsr_prune **ret_prune)
{
    struct hsr_prune *prune;
    int rc = prune_new(tree, dir, filter, left, event, context, &prune);

    if (rc < 0)
        return rc;
    prune->keep = keep;
    prune->key = key;
    prune->stages_only = keep == NULL;
    *ret_prune = prune;
    return 0;
}

int hsr_prune_create_name(struct hsr_tree *tree, const struct hsr_dir *dir, const char *name,
                          const struct hsr_filter *filter, uint64_t *left, hsr_prune_event *event,
                          void *context, struct hsr_prune **ret_prune)
{
    struct hsr_span span = { (const uint8_t *)name, strlen(name) };
    struct hsr_prune *prune;
    int rc;

    hsr_require(hsr_name_valid(span), HSR_E_NAME);
    rc = prune_new(tree, dir, filter, left, event, context, &prune);
    if (rc < 0)
        return rc;
    prune->single = true;
    memcpy(prune->name, name, span.size + 1);
    *ret_prune = prune;
    return 0;
}

static int prune_new(struct hsr_tree *tree, const struct hsr_dir *dir,
                     const struct hsr_filter *filter, uint64_t *left, hsr_prune_event *event,
                     void *context, struct hsr_prune **ret_prune)
{
    struct hsr_prune *prune = calloc(1, sizeof(*prune));
    int dir_fd, rc;

    if (prune == NULL)
        return -ENOMEM;
    prune->tree = tree;
    prune->filter = filter;
    prune->left = left;
    prune->event = event;
    prune->context = context;
    prune->dry_run = (tree->options & HSR_OPT_DRY_RUN) != 0;
    prune->frames_size = 16;
    prune->frames = calloc(prune->frames_size, sizeof(*prune->frames));
    if (prune->frames == NULL) {
        rc = -ENOMEM;
        goto fail;
    }
    prune->frames[0].fd = -1;
    prune->depth = 1;
    rc = prune_base_path(prune, dir);
    if (rc < 0)
        goto fail;
    dir_fd = hsr_dircache_get(&tree->cache, dir);
    rc = dir_fd;
    if (rc >= 0) /* its own: the cursor moves the file offset, and lives longer than a slot */
        rc = hsr_at_open(tree->loop, dir_fd, ".", O_RDONLY | O_DIRECTORY, 0);
    if (rc < 0)
        goto fail;
    prune->frames[0].fd = rc;
    *ret_prune = prune;
    return 0;

fail:
    hsr_prune_destroy(prune);
    return rc;
}

void hsr_prune_destroy(struct hsr_prune *prune)
{
    if (prune == NULL)
        return;
    for (uint32_t i = 0; i < prune->depth; i++)
        (void)hsr_at_close(prune->tree->loop, prune->frames[i].fd); /* only listed */
    free(prune->frames);
    free(prune->path);
    free(prune);
}

/* 0, 1 when the name was handled and there is more, negative. */
int hsr_prune_step(struct hsr_prune *prune)
{
    int rc;

    hsr_assert(prune->depth >= 1);
    if (prune->single && !prune->started) {
        prune->started = true;
        rc = prune_name(prune, prune->name, DT_UNKNOWN);
        return rc < 0 ? rc : 1;
    }
    for (unsigned count = 0; count < PRUNE_NAMES_STEP; count++) {
        const struct dirent_record *record;

        if (prune->single && prune->depth == 1)
            return 0;
        if (prune->buffer_at == prune->buffer_used) {
            rc = prune_fill(prune);
            if (rc < 0)
                return rc;
            if (rc == 0) {
                if (prune->depth == 1)
                    return 0;
                rc = prune_leave(prune);
                if (rc < 0)
                    return rc;
                continue;
            }
        }
        record = (const void *)(prune->buffer + prune->buffer_at);
        hsr_assert(record->size > offsetof(struct dirent_record, name));
        hsr_assert(record->size <= prune->buffer_used - prune->buffer_at);
        if (strcmp(record->name, ".") != 0 && strcmp(record->name, "..") != 0) {
            uint32_t depth = prune->depth;
            struct frame *frame = &prune->frames[depth - 1];
            int64_t before = frame->offset;

            frame->offset = record->off; /* before entering: that reuses the buffer */
            rc = prune_name(prune, record->name, record->type);
            if (rc < 0) {
                prune->frames[depth - 1].offset = before;
                return rc;
            }
            if (prune->depth != depth)
                continue;
        }
        prune->frames[prune->depth - 1].offset = record->off;
        prune->buffer_at += record->size;
    }
    return 1;
}

/* Path of the directory it works in; unlike hsr_dir_path() never cut: filters look at it. */
static int prune_base_path(struct hsr_prune *prune, const struct hsr_dir *dir)
{
    size_t size = 0;

    for (const struct hsr_dir *at = dir; at->parent != NULL; at = at->parent)
        size += at->name_size + 1u;
    prune->path_size = size + 2 * (HSR_NAME_MAX + 2);
    prune->path = malloc(prune->path_size);
    if (prune->path == NULL)
        return -ENOMEM;
    prune->frames[0].path_size = size == 0 ? 0 : (uint32_t)(size - 1);
    prune->path[prune->frames[0].path_size] = '\0';
    for (const struct hsr_dir *at = dir; at->parent != NULL; at = at->parent) {
        size -= at->name_size + 1u;
        memcpy(prune->path + size, at->name, at->name_size);
        if (at != dir)
            prune->path[size + at->name_size] = '/';
    }
    hsr_assert(size == 0);
    return 0;
}

/* prune->path = path of @frame and @name. Returns its size or -ENOMEM. */
static int64_t prune_path(struct hsr_prune *prune, const struct frame *frame, const char *name)
{
    size_t at = frame->path_size;
    size_t name_size = strlen(name);

    if (at + name_size + 2 > prune->path_size) {
        char *path = realloc(prune->path, prune->path_size * 2 + name_size);

        if (path == NULL)
            return -ENOMEM;
        prune->path = path;
        prune->path_size = prune->path_size * 2 + name_size;
    }
    if (at > 0)
        prune->path[at++] = '/';
    memcpy(prune->path + at, name, name_size + 1);
    return (int64_t)(at + name_size);
}

/* More records of the deepest frame: 1, 0 at its end. */
static int prune_fill(struct hsr_prune *prune)
{
    struct frame *frame = &prune->frames[prune->depth - 1];
    struct hsr_op op = { .kind = HSR_OP_GETDENTS,
                         .buf = prune->buffer,
                         .size = sizeof(prune->buffer),
                         .buf_index = -1 };
    int64_t res;
    int rc;

    prune->buffer_at = 0;
    prune->buffer_used = 0;
    rc = prune_reopen(prune, frame);
    if (rc < 0) {
        /* Gone, or not ours to list: what is in it stays. */
        prune->path[frame->path_size] = '\0';
        if (rc != -ENOENT)
            prune_failed(prune, frame, rc);
        frame->kept = true;
        return prune->depth == 1 ? rc : 0;
    }
    op.fd = frame->fd;
    res = hsr_loop_call(prune->tree->loop, &op);
    if (res == -ENOENT)
        res = 0; /* removed by somebody while we are in it (getdents(2)) */
    if (res < 0)
        return (int)res;
    hsr_assert((uint64_t)res <= sizeof(prune->buffer));
    prune->buffer_used = (uint32_t)res;
    if (res > 0)
        return 1;
    if (frame->returned && frame->removed && !frame->again) {
        struct hsr_op seek = {
            .kind = HSR_OP_LSEEK, .fd = frame->fd, .whence = SEEK_SET, .buf_index = -1
        };

        frame->again = true;
        frame->offset = 0;
        res = hsr_loop_call(prune->tree->loop, &seek);
        return res < 0 ? (int)res : prune_fill(prune); /* once: `again` is set now */
    }
    return 0;
}

/* prune->path stays where it is, and so does @frame, in which it is. */
static void prune_failed(struct hsr_prune *prune, struct frame *frame, int code)
{
    hsr_assert(code < 0);
    frame->kept = true;
    frame->failed = true;
    frame->again = true;
    prune->event(prune->context, prune->path, code);
}

/* Is it a directory? 1, 0, -errno. */
static int prune_is_dir(struct hsr_prune *prune, struct frame *frame, const char *name,
                        uint8_t type)
{
    struct statx stx;
    int rc;

    if (type != DT_UNKNOWN)
        return type == DT_DIR;
    rc = hsr_at_statx(prune->tree->loop, frame->fd, name, &stx);
    return rc < 0 ? rc : S_ISDIR(stx.stx_mode);
}

/* One name of the deepest frame. 0, or negative to stop. */
static int prune_name(struct hsr_prune *prune, const char *name, uint8_t type)
{
    struct frame *frame = &prune->frames[prune->depth - 1];
    struct hsr_span span = { (const uint8_t *)name, strlen(name) };
    int64_t path_size;
    int is_dir;

    is_dir = prune_is_dir(prune, frame, name, type);
    if (is_dir == -ENOENT)
        return 0;
    if (is_dir < 0)
        return is_dir;
    if (!is_dir && hsr_stage_name_is(span))
        return prune_stage(prune, frame, name);
    if (prune->stages_only)
        return 0;
    if (prune->depth == 1 && prune->keep != NULL && hsr_nameset_has(prune->keep, prune->key, span))
        return 0;
    path_size = prune_path(prune, frame, name);
    if (path_size < 0)
        return (int)path_size;
    if (hsr_filter_excluded(prune->filter, prune->path, (size_t)path_size, is_dir == 1)) {
        frame->kept = true;
        return 0;
    }
    return is_dir ? prune_enter(prune, name) : prune_remove(prune, frame, name, false);
}

/* Whoever holds the lock is alive. What is no regular file is hidden for some microseconds only,
 * and its maker makes it again if it goes. */
static int prune_stage(struct hsr_prune *prune, struct frame *frame, const char *name)
{
    struct hsr_loop *loop = prune->tree->loop;
    struct statx stx;
    int fd = -1, rc;

    rc = hsr_at_statx(loop, frame->fd, name, &stx);
    if (rc == 0 && S_ISREG(stx.stx_mode)) {
        uint32_t flags = O_NONBLOCK | O_NOCTTY;

        fd = hsr_at_open(loop, frame->fd, name, O_RDWR | flags, 0);
        if (fd == -EACCES)
            fd = hsr_at_open(loop, frame->fd, name, O_RDONLY | flags, 0);
        rc = fd < 0 ? fd : hsr_at_flock(loop, fd, LOCK_EX | LOCK_NB);
    }
    if (rc == 0 && !prune->dry_run)
        rc = hsr_at_unlink(loop, frame->fd, name, /* is_dir= */ false);
    (void)hsr_at_close(loop, fd); /* ends the lock too */
    if (rc == 0)
        frame->removed |= !prune->dry_run;
    else if (rc != -ENOENT)
        frame->kept = true; /* alive, or not ours: not this time */
    return 0;
}

/* Unlink, count, report. A failure is reported and does not stop the others. */
static int prune_remove(struct hsr_prune *prune, struct frame *frame, const char *name, bool is_dir)
{
    int64_t path_size;
    int rc = 0;

    if (*prune->left == 0)
        return HSR_E_DELETE_LIMIT;
    if (!prune->dry_run)
        rc = hsr_at_unlink(prune->tree->loop, frame->fd, name, is_dir);
    if (rc == -ENOENT)
        return 0; /* somebody else was faster */
    if (rc < 0)
        frame->kept = true;
    if (is_dir && (rc == -ENOTEMPTY || rc == -EEXIST))
        return 0; /* filled meanwhile: no error, it just stays */
    path_size = prune_path(prune, frame, name);
    if (path_size < 0)
        return (int)path_size;
    if (rc < 0) {
        prune_failed(prune, frame, rc);
        return 0;
    }
    frame->removed |= !prune->dry_run;
    --*prune->left;
    prune->event(prune->context, prune->path, 0);
    return 0;
}

/* Open directory @name of @fd for listing; never into another file system. A plain user's own
 * directory may be closed to himself: then it is opened up, it goes anyway. */
static int prune_open(struct hsr_prune *prune, int fd, const char *name)
{
    struct hsr_tree *tree = prune->tree;
    struct hsr_op op = { .kind = HSR_OP_OPENAT2,
                         .fd = fd,
                         .path = name,
                         .open_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
                                    RESOLVE_NO_XDEV,
                         .buf_index = -1 };
    int rc = (int)hsr_loop_call(tree->loop, &op);
    struct statx stx;
    int path_fd;

    if (rc == -EXDEV)
        return -EBUSY; /* as rmdir(2) says it of a mount point */
    if (tree->root || prune->dry_run)
        return rc;
    if (rc >= 0) {
        if (hsr_at_statx(tree->loop, rc, "", &stx) == 0 && stx.stx_uid == tree->uid &&
            (stx.stx_mode & 0700u) != 0700u)
            (void)hsr_at_chmod(tree->loop, rc, false, stx.stx_mode | 0700u); /* unlink will tell */
        return rc;
    }
    if (rc != -EACCES)
        return rc;
    path_fd = hsr_at_open(tree->loop, fd, name, O_PATH | O_DIRECTORY, 0);
    if (path_fd < 0)
        return path_fd;
    if (hsr_at_statx(tree->loop, path_fd, "", &stx) == 0 && stx.stx_uid == tree->uid &&
        hsr_at_chmod(tree->loop, path_fd, true, stx.stx_mode | 0700u) == 0)
        rc = (int)hsr_loop_call(tree->loop, &op);
    (void)hsr_at_close(tree->loop, path_fd); /* O_PATH */
    return rc;
}

/* prune->path is the path of @name. */
static int prune_enter(struct hsr_prune *prune, const char *name)
{
    struct frame *frame = &prune->frames[prune->depth - 1];
    int rc;

    if (prune->depth > HSR_DIR_DEPTH_MAX)
        rc = HSR_E_TOO_DEEP;
    else
        rc = prune_open(prune, frame->fd, name);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0) {
        prune_failed(prune, frame, rc);
        return 0;
    }
    if (prune->depth == prune->frames_size) {
        struct frame *frames = realloc(prune->frames, 2 * sizeof(*frames) * prune->frames_size);

        if (frames == NULL) {
            (void)hsr_at_close(prune->tree->loop, rc); /* only opened */
            return -ENOMEM;
        }
        prune->frames = frames;
        prune->frames_size *= 2;
    }
    prune->frames[prune->depth] =
        (struct frame){ .fd = rc, .path_size = (uint32_t)strlen(prune->path) };
    prune->depth++;
    prune->buffer_at = 0;
    prune->buffer_used = 0;
    if (prune->depth > PRUNE_FDS + 1) { /* frame 0 stays: all others are found from it */
        struct frame *far = &prune->frames[prune->depth - 1 - PRUNE_FDS];

        (void)hsr_at_close(prune->tree->loop, far->fd); /* only listed */
        far->fd = -1;
    }
    return 0;
}

/* The deepest frame was read to its end: remove it if nothing in it stays, go on with its parent.
 */
static int prune_leave(struct hsr_prune *prune)
{
    struct frame *self = &prune->frames[prune->depth - 1];
    struct frame *parent = self - 1;
    char name[HSR_NAME_MAX + 1];
    uint32_t start = parent->path_size > 0 ? parent->path_size + 1 : 0;
    bool kept = self->kept, failed = self->failed;
    int rc;

    hsr_assert(prune->depth >= 2);
    hsr_assert(self->path_size > start && self->path_size - start <= HSR_NAME_MAX);
    memcpy(name, prune->path + start, self->path_size - start);
    name[self->path_size - start] = '\0';
    if (!kept && *prune->left == 0)
        return HSR_E_DELETE_LIMIT;

    (void)hsr_at_close(prune->tree->loop, self->fd); /* only listed */
    self->fd = -1;
    prune->depth--;
    prune->buffer_at = 0;
    prune->buffer_used = 0;
    parent->kept |= kept;
    parent->failed |= failed;
    parent->again |= failed;
    rc = prune_reopen(prune, parent);
    if (rc < 0) {
        parent->kept = true;
        return prune->depth == 1 ? rc : 0; /* prune_fill() meets it again and reports it */
    }
    if (!kept) {
        rc = prune_remove(prune, parent, name, /* is_dir= */ true);
        if (rc < 0)
            return rc;
    }
    if (!(prune->single && prune->depth == 1)) {
        struct hsr_op op = { .kind = HSR_OP_LSEEK,
                             .fd = parent->fd,
                             .offset = (uint64_t)parent->offset,
                             .whence = SEEK_SET,
                             .buf_index = -1 };
        int64_t res = hsr_loop_call(prune->tree->loop, &op);

        parent->returned = true;
        if (res < 0)
            return (int)res;
    }
    return 0;
}

/* Open a frame again, by its path beneath frame 0, some components at a time. */
static int prune_reopen(struct hsr_prune *prune, struct frame *frame)
{
    struct hsr_loop *loop = prune->tree->loop;
    uint32_t base = prune->frames[0].path_size;
    uint32_t at = base > 0 ? base + 1 : 0;
    int fd = prune->frames[0].fd;
    char part[PRUNE_OPEN_PATH_MAX + 1];

    if (frame->fd >= 0)
        return 0;
    hsr_assert(frame != &prune->frames[0]);
    while (at < frame->path_size) {
        uint32_t size = HSR_MIN(frame->path_size - at, PRUNE_OPEN_PATH_MAX);
        int next;

        while (at + size < frame->path_size && prune->path[at + size] != '/')
            size--; /* a whole name: there is a '/' in every 256 bytes */
        hsr_assert(size > 0);
        memcpy(part, prune->path + at, size);
        part[size] = '\0';
        next = prune_open(prune, fd, part);
        if (fd != prune->frames[0].fd)
            (void)hsr_at_close(loop, fd); /* only passed through */
        if (next < 0)
            return next;
        fd = next;
        at += size + 1;
    }
    frame->fd = fd;
    return 0;
}
