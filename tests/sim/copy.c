/* See copy.h. */
#include "tests/sim/copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "transfer/tree/target.h"
#include "transfer/tree/walk.h"

#define PUT_MAX (64 * HSR_KIB) /* larger files are staged and filled */
#define DEPTH_MAX 16u
#define LINKS_MAX 64u
#define SET_KEY 0x5eed

struct copy {
    struct sim_world *world;
    const struct sim_scenario *scenario;
    struct hsr_loop source_loop, target_loop;
    int source_fd, target_fd;
    struct hsr_walk *walk;
    struct hsr_dircache cache; /* the source's */
    struct hsr_tree *tree;
    struct hsr_nameset keep[DEPTH_MAX];
    bool gaps[DEPTH_MAX]; /* something below failed: delete nothing there */
    unsigned depth; /* directories open now */
    uint32_t links_failed[LINKS_MAX]; /* the first name of these could not be kept */
    unsigned links_failed_count;
    struct sim_copy_result *result;
    uint8_t buf[PUT_MAX];
};

static void copy_note(struct copy *copy, const struct hsr_walk_item *item, const char *what, int rc)
{
    if (rc >= 0)
        return;
    copy->result->failures++;
    if (copy->world->trace != NULL)
        fprintf(copy->world->trace, "%12.6f note: %s \"%.*s\": %s\n",
                (double)copy->world->now_ns / 1e9, what, (int)item->entry.name.size,
                (const char *)item->entry.name.ptr, hsr_err_name(rc));
}

static void prune_event(void *context, const char *path, int code)
{
    struct copy *copy = context;

    (void)path;
    if (code < 0)
        copy->result->failures++;
}

static int prune_run(struct hsr_prune *prune)
{
    int rc;

    do {
        rc = hsr_prune_step(prune);
    } while (rc > 0);
    hsr_prune_destroy(prune);
    return rc;
}

static int read_some(struct copy *copy, int fd, uint64_t offset, uint64_t size)
{
    uint64_t done = 0;

    while (done < size) {
        struct hsr_op op = { .kind = HSR_OP_READ,
                             .fd = fd,
                             .buf = copy->buf + done,
                             .size = size - done,
                             .offset = offset + done,
                             .buf_index = -1 };
        int64_t res = hsr_loop_call(&copy->source_loop, &op);

        if (res <= 0)
            return res < 0 ? (int)res : HSR_E_CHANGED;
        done += (uint64_t)res;
    }
    return 0;
}

static int write_some(struct copy *copy, int fd, uint64_t offset, uint64_t size)
{
    uint64_t done = 0;

    while (done < size) {
        struct hsr_op op = { .kind = HSR_OP_WRITE,
                             .fd = fd,
                             .buf = copy->buf + done,
                             .size = size - done,
                             .offset = offset + done,
                             .buf_index = -1 };
        int64_t res = hsr_loop_call(&copy->target_loop, &op);

        if (res <= 0)
            return res < 0 ? (int)res : -EIO;
        done += (uint64_t)res;
    }
    return 0;
}

static int fill_stage(struct copy *copy, int fd, const struct hsr_stage *stage, uint64_t size)
{
    uint64_t start, end, offset = 0;
    int rc;

    while ((rc = hsr_source_extent(&copy->source_loop, fd, offset, size, SIM_PAGE, &start, &end)) ==
           0) {
        hsr_assert(start >= offset && end > start && end <= size);
        for (offset = start; offset < end;) {
            uint64_t part = HSR_MIN(end - offset, PUT_MAX);

            rc = read_some(copy, fd, offset, part);
            if (rc == 0)
                rc = write_some(copy, stage->fd, offset, part);
            if (rc < 0)
                return rc;
            offset += part;
        }
    }
    return rc > 0 ? 0 : rc;
}

static int copy_file(struct copy *copy, const struct hsr_walk_item *item, bool replace)
{
    const struct hsr_entry *entry = &item->entry;
    struct hsr_op close_op = { .kind = HSR_OP_CLOSE, .buf_index = -1 };
    struct hsr_stage stage = { .fd = -1 };
    char name[256];
    int fd, rc;

    snprintf(name, sizeof(name), "%.*s", (int)entry->name.size, (const char *)entry->name.ptr);
    fd = hsr_source_open(&copy->cache, copy->walk, item->dir, name, false);
    if (fd < 0)
        return fd;
    if (entry->size <= PUT_MAX && !(entry->flags & HSR_ENTRY_SPARSE)) {
        rc = read_some(copy, fd, 0, entry->size);
        if (rc == 0)
            rc =
                hsr_tree_put(copy->tree, item->dir, entry, copy->buf, (size_t)entry->size, replace);
    } else {
        rc = hsr_stage_open(copy->tree, item->dir, entry, replace, &stage);
        if (rc == 0) {
            rc = fill_stage(copy, fd, &stage, entry->size);
            if (rc == 0)
                rc = hsr_stage_commit(copy->tree, &stage, entry, false);
            else
                hsr_stage_abort(copy->tree, &stage);
        }
    }
    close_op.fd = fd;
    (void)hsr_loop_call(&copy->source_loop, &close_op); /* it was only read */
    return rc;
}

/* A directory stands where something else goes. */
static int clear_way(struct copy *copy, const struct hsr_walk_item *item)
{
    uint64_t left = UINT64_MAX;
    struct hsr_prune *prune;
    char name[256];
    int rc;

    snprintf(name, sizeof(name), "%.*s", (int)item->entry.name.size,
             (const char *)item->entry.name.ptr);
    rc = hsr_prune_create_name(copy->tree, item->dir, name, NULL, &left, prune_event, copy, &prune);
    return rc < 0 ? rc : prune_run(prune);
}

static bool link_failed(const struct copy *copy, uint32_t link_id)
{
    for (unsigned i = 0; i < copy->links_failed_count; i++) {
        if (copy->links_failed[i] == link_id)
            return true;
    }
    return false;
}

static int copy_entry(struct copy *copy, const struct hsr_walk_item *item)
{
    const struct hsr_entry *entry = &item->entry;
    struct hsr_existing existing;
    bool same;
    int rc;

    if ((entry->flags & HSR_ENTRY_LINK_NEXT) && link_failed(copy, entry->link_id))
        return HSR_E_PARTIAL; /* the first name may hold something older */
    if (entry->flags & HSR_ENTRY_LINK_NEXT) {
        rc = hsr_tree_link(copy->tree, item->dir, entry, &same);
        if (rc == -ENOTEMPTY && copy->scenario->delete)
            rc = clear_way(copy, item);
        else
            return rc;
        return rc < 0 ? rc : hsr_tree_link(copy->tree, item->dir, entry, &same);
    }
    rc = hsr_tree_compare(copy->tree, item->dir, entry, &existing);
    if (rc < 0 || rc == HSR_COMPARE_SAME)
        return HSR_MIN(rc, 0);
    if (rc == HSR_COMPARE_METADATA)
        return hsr_tree_touch(copy->tree, item->dir, entry);
    if (rc == HSR_COMPARE_OTHER_KIND && S_ISDIR(existing.mode)) {
        int cleared = clear_way(copy, item);

        if (cleared < 0)
            return cleared;
        rc = HSR_COMPARE_ABSENT;
    }
    if (entry->type == HSR_ENTRY_FILE && entry->size > 0)
        return copy_file(copy, item, rc != HSR_COMPARE_ABSENT);
    return hsr_tree_make(copy->tree, item->dir, entry, (enum hsr_compare)rc);
}

static int dir_begin(struct copy *copy, const struct hsr_walk_item *item)
{
    bool created;
    uint64_t dev = 0;
    int rc = 0;

    if (item->entry.name.size > 0)
        rc = hsr_tree_mkdir(copy->tree, item->dir, &item->entry, &created, &dev);
    hsr_assert(copy->depth < DEPTH_MAX);
    copy->keep[copy->depth] = (struct hsr_nameset){ 0 };
    copy->gaps[copy->depth++] = rc < 0;
    return rc;
}

static int dir_end(struct copy *copy, const struct hsr_walk_item *item)
{
    struct hsr_nameset *keep = &copy->keep[--copy->depth];
    bool gaps = copy->gaps[copy->depth] || (item->entry.flags & HSR_ENTRY_INCOMPLETE);
    uint64_t left = UINT64_MAX;
    size_t budget = 0;
    struct hsr_prune *prune;
    bool changed;
    int rc;

    rc = hsr_prune_create(copy->tree, item->self, copy->scenario->delete &&!gaps ? keep : NULL,
                          SET_KEY, NULL, &left, prune_event, copy, &prune);
    if (rc == 0)
        rc = prune_run(prune);
    hsr_nameset_clear(keep, &budget);
    copy_note(copy, item, "prune", rc);
    return hsr_tree_dir_finish(copy->tree, item->self, &item->entry, &changed);
}

static void copy_item(struct copy *copy, const struct hsr_walk_item *item)
{
    size_t budget = HSR_MIB;
    const char *what = "entry";
    int rc;

    if (item->code != 0) {
        copy_note(copy, item, item->op, item->code);
        if (copy->depth > 0)
            copy->gaps[copy->depth - 1] = true;
        return;
    }
    if (item->entry.type == HSR_ENTRY_DIR_END) {
        what = "finish";
        rc = dir_end(copy, item);
    } else {
        if (copy->depth > 0)
            hsr_assert(hsr_nameset_add(&copy->keep[copy->depth - 1], SET_KEY, item->entry.name,
                                       &budget) == 0);
        rc = item->entry.type == HSR_ENTRY_DIR ? dir_begin(copy, item) : copy_entry(copy, item);
    }
    copy_note(copy, item, what, rc);
    if (rc < 0 && (item->entry.flags & HSR_ENTRY_LINK_FIRST)) {
        hsr_assert(copy->links_failed_count < LINKS_MAX);
        copy->links_failed[copy->links_failed_count++] = item->entry.link_id;
    }
    if (copy->tree->warning.code != 0) {
        copy->result->warnings++;
        copy->tree->warning.code = 0;
    }
}

static void copy_run(struct copy *copy)
{
    struct hsr_walk_top top = { .base_fd = copy->source_fd, .contents = true };
    struct hsr_walk_options options = { .xattrs = true,
                                        .hard_links = true,
                                        .links_bytes_max = HSR_MIB };
    struct hsr_op sync_op = { .kind = HSR_OP_SYNCFS, .fd = copy->target_fd, .buf_index = -1 };
    struct hsr_walk_item item;
    int rc;

    rc = hsr_walk_create(&copy->source_loop, &top, 1, &options, &copy->walk);
    hsr_assert(rc == 0);
    hsr_dircache_init(&copy->cache, &copy->source_loop, -1, false);
    hsr_tree_init(copy->tree, &copy->target_loop, copy->target_fd,
                  copy->scenario->delete ? HSR_OPT_DELETE : 0);
    while ((rc = hsr_walk_next(copy->walk, &item)) > 0)
        copy_item(copy, &item);
    copy->result->code = rc;
    if (rc == 0)
        copy->result->code = (int)hsr_loop_call(&copy->target_loop, &sync_op);
    hsr_tree_fini(copy->tree);
    hsr_dircache_fini(&copy->cache);
    hsr_walk_destroy(copy->walk);
    while (copy->depth > 0) {
        size_t budget = 0;

        hsr_nameset_clear(&copy->keep[--copy->depth], &budget);
    }
}

void sim_copy(struct sim_world *world, unsigned source, unsigned target,
              const struct sim_scenario *scenario, struct sim_copy_result *ret_result)
{
    struct copy *copy = calloc(1, sizeof(*copy));
    struct hsr_backend *backend;

    hsr_assert(copy != NULL);
    *ret_result = (struct sim_copy_result){ 0 };
    copy->world = world;
    copy->scenario = scenario;
    copy->result = ret_result;
    copy->tree = calloc(1, sizeof(*copy->tree));
    hsr_assert(copy->tree != NULL);
    copy->source_fd = sim_open(&world->hosts[source], SIM_DATA, O_RDONLY | O_DIRECTORY);
    copy->target_fd = sim_open(&world->hosts[target], SIM_DATA, O_RDONLY | O_DIRECTORY);
    (void)sim_backend_create(world, source, 0, &backend); /* cannot fail */
    hsr_assert(hsr_loop_init(&copy->source_loop, backend, 0) == 0);
    (void)sim_backend_create(world, target, 0, &backend); /* cannot fail */
    hsr_assert(hsr_loop_init(&copy->target_loop, backend, 0) == 0);
    copy_run(copy);
    hsr_loop_fini(&copy->source_loop);
    hsr_loop_fini(&copy->target_loop);
    hsr_assert(sim_fd_close(&world->hosts[source], copy->source_fd) == 0);
    hsr_assert(sim_fd_close(&world->hosts[target], copy->target_fd) == 0);
    free(copy->tree);
    free(copy);
}
