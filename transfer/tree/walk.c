/* The source's walk: where it starts, and in which order things come out.
 *
 * The levels are a stack. Each kind of level has one step:
 *
 *   READING  next name of the directory -> an entry, or DIR and a new level above; then DIR_END
 *   TOP      the one name that a top gets; has no DIR of its own
 *   LIST     next component of the --files-from path in progress; DIR_END when the next path leaves
 *
 * A step queues what it found. hsr_walk_next() gives the queue out, and steps when it is empty. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "transfer/tree/opener.h"
#include "transfer/tree/walk_impl.h"

#define TOP_DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_NOATIME)

static int walk_step(struct hsr_walk *walk);

int hsr_walk_create(struct hsr_loop *loop, const struct hsr_walk_top *tops, unsigned top_count,
                    const struct hsr_walk_options *options, struct hsr_walk **ret_walk)
{
    struct hsr_walk *walk = calloc(1, sizeof(*walk));

    hsr_assert(top_count == 0 || tops != NULL);
    if (walk == NULL)
        return -ENOMEM;
    walk->loop = loop;
    walk->trunk = walk;
    walk->level_fds = WALK_LEVEL_FDS;
    walk->options = *options;
    walk->privileged = geteuid() == 0;
    atomic_init(&walk->dir_next, options->first_dir != 0 ? options->first_dir : HSR_DIR_ROOT + 1);
    hsr_links_init(&walk->links, options->links_bytes_max);
    walk->tops = calloc(HSR_MAX(top_count, 1u), sizeof(*tops));
    walk->top_count = top_count;
    if (walk->tops == NULL)
        goto fail;
    if (top_count > 0)
        memcpy(walk->tops, tops, top_count * sizeof(*tops));
    for (unsigned i = 0; i < top_count; i++)
        walk->poured |= tops[i].contents && top_count > 1;
    if (!hsr_walk_buffers(walk))
        goto fail;
    *ret_walk = walk;
    return 0;

fail:
    hsr_walk_destroy(walk);
    return -ENOMEM;
}

bool hsr_walk_buffers(struct hsr_walk *walk)
{
    if (!walk->options.xattrs)
        return true;
    walk->xattrs = malloc(HSR_XATTR_TOTAL_MAX);
    walk->xattr_names = malloc(WALK_XATTR_SIZE);
    walk->xattr_value = malloc(WALK_XATTR_SIZE);
    return walk->xattrs != NULL && walk->xattr_names != NULL && walk->xattr_value != NULL;
}

void hsr_walk_destroy(struct hsr_walk *walk)
{
    if (walk == NULL)
        return;
    for (; walk->queue_index < walk->queue_count; walk->queue_index++)
        hsr_walk_job_free(walk, walk->queue[walk->queue_index].job); /* offered to nobody yet */
    hsr_walk_levels_fini(walk);
    if (walk->trunk == walk) {
        hsr_assert(atomic_load(&walk->record_count) == 0); /* else somebody still holds one */
        free(walk->tops);
    }
    hsr_links_fini(&walk->links);
    free(walk->xattrs);
    free(walk->xattr_names);
    free(walk->xattr_value);
    free(walk->path);
    free(walk);
}

uint32_t hsr_walk_next_dir(const struct hsr_walk *walk)
{
    return atomic_load(&walk->dir_next);
}

size_t hsr_walk_memory(const struct hsr_walk *walk)
{
    return sizeof(*walk) + walk->top_count * sizeof(*walk->tops) +
           walk->level_room * sizeof(*walk->levels) +
           atomic_load(&walk->record_count) * sizeof(struct hsr_walk_record) +
           (size_t)walk->dents_count * WALK_DENTS_SIZE + walk->path_room + walk->links.bytes +
           (walk->options.xattrs ? HSR_XATTR_TOTAL_MAX + 2 * WALK_XATTR_SIZE : 0);
}

void hsr_walk_dir_hold(struct hsr_walk *walk, struct hsr_dir *dir)
{
    (void)walk;
    atomic_fetch_add_explicit(&hsr_container_of(dir, struct hsr_walk_record, dir)->refs, 1,
                              memory_order_relaxed);
}

void hsr_walk_dir_release(struct hsr_walk *walk, struct hsr_dir *dir)
{
    hsr_walk_record_put(walk, hsr_container_of(dir, struct hsr_walk_record, dir));
}

int hsr_walk_next(struct hsr_walk *walk, struct hsr_walk_item *ret_item)
{
    if (walk->queue_index == walk->queue_count) {
        hsr_walk_record_put(walk, walk->lent);
        walk->lent = NULL;
        walk->queue_index = walk->queue_count = 0;
    }
    while (walk->queue_count == 0) {
        int rc = walk_step(walk);

        if (rc <= 0) {
            hsr_walk_record_put(walk, walk->lent);
            walk->lent = NULL;
            return rc;
        }
    }
    *ret_item = walk->queue[walk->queue_index++];
    return 1;
}

/* ---- tops ---- */

/* Push the level of a root: what stands above everything of one top. */
static int root_push(struct hsr_walk *walk, uint8_t kind)
{
    struct hsr_walk_record *root =
        hsr_walk_record_new(walk, NULL, (struct hsr_span){ 0 }, walk->top_index);

    return root == NULL ? -ENOMEM : hsr_walk_level_push(walk, root, kind);
}

/* A top that cannot be started. Its level goes; its record stays until the next call. */
static void top_failed(struct hsr_walk *walk, struct hsr_span name, int code)
{
    hsr_walk_fail(walk, hsr_walk_innermost(walk)->record, name, code, "open", false);
    hsr_walk_level_pop(walk);
}

/* "SRC/": the directory itself is the root. */
static int top_start_contents(struct hsr_walk *walk, const struct hsr_walk_top *top)
{
    uint64_t resolve =
        walk->options.copy_links ? hsr_walk_resolve_follow(walk) : HSR_RESOLVE_STRICT;
    struct hsr_walk_level *level;
    struct hsr_opener opener;
    int rc = root_push(walk, HSR_WALK_READING);
    int fd;

    if (rc < 0)
        return rc;
    level = hsr_walk_innermost(walk);
    /* Two tops fill one root: neither listing says what is not at the source. */
    level->incomplete = walk->top_count > 1;
    hsr_opener_begin(&opener, walk->loop, top->base_fd, resolve);
    hsr_opener_add(&opener, top->path);
    fd = hsr_opener_end(&opener, TOP_DIR_FLAGS);
    if (fd < 0) {
        top_failed(walk, (struct hsr_span){ 0 }, fd);
        return 0;
    }
    rc = hsr_walk_level_opened(walk, level, fd, false);
    if (rc < 0)
        return rc;
    rc = hsr_walk_inspect_root(walk);
    if (rc < 0)
        top_failed(walk, (struct hsr_span){ 0 }, rc);
    return 0;
}

/* "SRC": one name in the root. The level above it is the directory that it lies in. */
static int top_start_named(struct hsr_walk *walk, const struct hsr_walk_top *top)
{
    struct hsr_span path = top->path;
    const uint8_t *slash = path.size > 0 ? memrchr(path.ptr, '/', path.size) : NULL;
    size_t start = slash != NULL ? (size_t)(slash - path.ptr) + 1 : 0;
    struct hsr_walk_level *level;
    int rc = root_push(walk, HSR_WALK_TOP);
    int fd;

    if (rc < 0)
        return rc;
    level = hsr_walk_innermost(walk);
    if (path.size - start > HSR_NAME_MAX) {
        top_failed(walk, top->name, -ENAMETOOLONG);
        return 0;
    }
    if (path.size > start)
        memcpy(walk->source_name, path.ptr + start, path.size - start);
    walk->source_name[path.size - start] = '\0';
    if (slash == NULL)
        return hsr_walk_level_opened(walk, level, top->base_fd, true);

    fd = hsr_walk_record_open(walk, walk->loop, level->record, NULL,
                              walk->options.copy_links ? hsr_walk_resolve_follow(walk)
                                                       : HSR_RESOLVE_STRICT,
                              O_PATH | O_DIRECTORY);
    if (fd < 0) {
        top_failed(walk, top->name, fd);
        return 0;
    }
    return hsr_walk_level_opened(walk, level, fd, false);
}

static int top_start(struct hsr_walk *walk)
{
    const struct hsr_walk_top *top = &walk->tops[walk->top_index];
    int rc;

    if (top->list) { /* the list step takes the path itself */
        rc = root_push(walk, HSR_WALK_LIST);
        if (rc < 0)
            return rc;
        hsr_walk_innermost(walk)->silent = true;
        return hsr_walk_level_opened(walk, hsr_walk_innermost(walk), top->base_fd, true);
    }
    rc = top->contents ? top_start_contents(walk, top) : top_start_named(walk, top);
    walk->top_index++;
    return rc;
}

static int top_step(struct hsr_walk *walk)
{
    struct hsr_walk_level *level = hsr_walk_innermost(walk);
    const struct hsr_walk_top *top = &walk->tops[level->record->top];
    struct hsr_walk_name name = { .fd = level->fd,
                                  .source = walk->source_name,
                                  .name = top->name,
                                  .d_type = DT_UNKNOWN,
                                  .must_exist = true,
                                  .kind = HSR_WALK_READING };

    if (level->finished) {
        hsr_walk_level_pop(walk);
        return 0;
    }
    level->finished = true;
    return hsr_walk_inspect(walk, &name);
}

/* ---- --files-from ---- */

static struct hsr_span component(struct hsr_span path, size_t offset)
{
    const uint8_t *slash = memchr(path.ptr + offset, '/', path.size - offset);
    size_t end = slash != NULL ? (size_t)(slash - path.ptr) : path.size;

    return (struct hsr_span){ path.ptr + offset, end - offset };
}

/* How many levels, the root's included, lie on the way to @path; *ret_offset: of the component that
 * comes after them. The last component is never among them: it is to be sent itself. */
static uint32_t list_keep(const struct hsr_walk *walk, struct hsr_span path, size_t *ret_offset)
{
    size_t offset = 0;
    uint32_t keep = 1;

    while (keep < walk->level_count) {
        const struct hsr_dir *dir = &walk->levels[keep].record->dir;
        struct hsr_span name = component(path, offset);

        if (offset + name.size == path.size || name.size != dir->name_size ||
            memcmp(name.ptr, dir->name, name.size) != 0)
            break;
        offset += name.size + 1;
        keep++;
    }
    *ret_offset = offset;
    return keep;
}

/* Leave the innermost directory of the list. */
static void list_pop(struct hsr_walk *walk)
{
    struct hsr_walk_level *level = hsr_walk_innermost(walk);

    if (!level->silent)
        hsr_walk_inspect_end(walk);
    hsr_walk_level_pop(walk);
}

/* Go on to the next path: leave one directory that is not on its way, or make it the one in
 * progress. */
static void list_turn(struct hsr_walk *walk)
{
    const struct hsr_walk_top *next =
        walk->top_index < walk->top_count ? &walk->tops[walk->top_index] : NULL;
    const struct hsr_walk_top *here = &walk->tops[walk->levels[0].record->top];
    uint32_t keep = 0;

    if (next != NULL && next->list && next->base_fd == here->base_fd)
        keep = list_keep(walk, next->path, &walk->list_offset);
    if (walk->level_count > keep) {
        list_pop(walk);
        return;
    }
    walk->top_index++;
    if (next->path.size > 0) /* "" is the root: there is no entry to send */
        walk->list = next;
}

static int list_step(struct hsr_walk *walk)
{
    struct hsr_walk_level *level = hsr_walk_innermost(walk);
    char source[HSR_NAME_MAX + 1];
    struct hsr_walk_name name = {
        .source = source, .d_type = DT_UNKNOWN, .must_exist = true, .kind = HSR_WALK_LIST
    };
    uint32_t level_count = walk->level_count;
    bool last;
    int rc;

    if (walk->list == NULL) {
        list_turn(walk);
        return 0;
    }
    name.name = component(walk->list->path, walk->list_offset);
    last = walk->list_offset + name.name.size == walk->list->path.size;
    walk->list_offset += name.name.size + 1;
    name.must_be_dir = !last;
    name.dir_flags = last ? 0 : HSR_ENTRY_IMPLIED;
    if (last || name.name.size > HSR_NAME_MAX)
        walk->list = NULL;
    rc = level->failed != 0 ? level->failed : hsr_walk_level_open(walk);
    if (rc < 0) {
        walk->list = NULL;
        hsr_walk_fail(walk, level->record, name.name, rc, "open", false);
        return rc == -ENOMEM ? rc : 0;
    }
    name.fd = level->fd;
    if (name.name.size <= HSR_NAME_MAX) { /* else inspecting it says that it is no name */
        memcpy(source, name.name.ptr, name.name.size);
        source[name.name.size] = '\0';
    }
    rc = hsr_walk_inspect(walk, &name);
    if (walk->level_count == level_count)
        walk->list = NULL; /* nothing to go on in: it was the last, is excluded or failed */
    return rc;
}

/* ---- the order of things ---- */

static int reading_step(struct hsr_walk *walk)
{
    struct hsr_walk_level *level = hsr_walk_innermost(walk);

    if (!level->finished)
        return hsr_walk_level_step(walk);
    if (level->slice) {
        hsr_walk_tell(walk, level->record, HSR_WALK_SLICED, NULL);
    } else if (level->deferred) {
        if (walk->level_count > 1)
            walk->levels[walk->level_count - 2].deferred = true;
        hsr_walk_tell(walk, level->record, HSR_WALK_LISTED, NULL);
    } else if (!walk->options.one_level) {
        hsr_walk_inspect_end(walk);
    }
    hsr_walk_level_pop(walk);
    return 0;
}

/* 1: go on, 0: the walk is over, or -ENOMEM. */
static int walk_step(struct hsr_walk *walk)
{
    int rc;

    if (walk->level_count == 0) {
        if (walk->top_index == walk->top_count)
            return 0;
        rc = top_start(walk);
        return rc < 0 ? rc : 1;
    }
    switch ((enum hsr_walk_level_kind)hsr_walk_innermost(walk)->kind) {
    case HSR_WALK_READING:
        rc = reading_step(walk);
        break;
    case HSR_WALK_TOP:
        rc = top_step(walk);
        break;
    case HSR_WALK_LIST:
        rc = list_step(walk);
        break;
    default:
        hsr_unreachable("kind of level");
    }
    return rc < 0 ? rc : 1;
}
