/* Parts of a walk that other shards do: giving them away, doing them, and counting what is missing
 * of a directory before its end can be told. See walk.h. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "transfer/tree/walk_impl.h"

static struct hsr_walk_record *record_parent(const struct hsr_walk_record *record);
static struct hsr_walk_job *record_ended(struct hsr_walk_record *record);
static int branch_path(struct hsr_walk *branch, const struct hsr_walk_record *record);

int hsr_walk_branch(struct hsr_loop *loop, const struct hsr_walk_options *options,
                    struct hsr_walk **ret_branch)
{
    struct hsr_walk *walk = calloc(1, sizeof(*walk));

    if (walk == NULL)
        return -ENOMEM;
    walk->loop = loop;
    walk->level_fds = WALK_LEVEL_FDS_BRANCH;
    walk->options = *options;
    walk->privileged = geteuid() == 0;
    if (!hsr_walk_buffers(walk)) {
        hsr_walk_destroy(walk);
        return -ENOMEM;
    }
    *ret_branch = walk;
    return 0;
}

size_t hsr_walk_branch_bytes(void)
{
    return sizeof(struct hsr_walk) + WALK_LEVEL_FDS_BRANCH * WALK_DENTS_SIZE + HSR_XATTR_TOTAL_MAX +
           2 * WALK_XATTR_SIZE;
}

void hsr_walk_offers(struct hsr_walk *walk, uint32_t count)
{
    walk->offers_left = walk->poured ? 0 : count;
}

/* ---- jobs ---- */

struct hsr_walk_job *hsr_walk_job_new(struct hsr_walk *walk, struct hsr_walk_record *record,
                                      uint8_t kind)
{
    struct hsr_walk_job *job = calloc(1, sizeof(*job));

    if (job == NULL)
        return NULL;
    hsr_list_init(&job->node);
    job->record = record;
    job->kind = kind;
    hsr_walk_dir_hold(walk, &record->dir);
    return job;
}

void hsr_walk_job_free(struct hsr_walk *trunk, struct hsr_walk_job *job)
{
    struct hsr_walk_record *record;

    if (job == NULL)
        return;
    record = job->record;
    free(job->dents);
    if (job->kind != WALK_JOB_END) /* that lies in the record */
        free(job);
    hsr_walk_record_put(trunk, record);
}

struct hsr_list *hsr_walk_job_node(struct hsr_walk_job *job)
{
    return &job->node;
}

struct hsr_walk_job *hsr_walk_job_of(struct hsr_list *node)
{
    return hsr_container_of(node, struct hsr_walk_job, node);
}

bool hsr_walk_job_ends(const struct hsr_walk_job *job)
{
    return job->kind == WALK_JOB_END;
}

int hsr_walk_begin(struct hsr_walk *branch, struct hsr_walk *trunk, struct hsr_walk_job *job)
{
    struct hsr_walk_record *record = job->record;
    struct hsr_walk_level *level;
    int rc;

    hsr_assert(branch->level_count == 0 && branch->lent == NULL);
    branch->trunk = trunk;
    branch->tops = trunk->tops;
    hsr_walk_dir_hold(trunk, &record->dir);
    rc = hsr_walk_level_push(branch, record, HSR_WALK_READING);
    if (rc == 0)
        rc = branch_path(branch, record);
    if (rc < 0) {
        hsr_walk_job_free(trunk, job);
        return rc;
    }
    level = hsr_walk_innermost(branch);
    if (job->kind == WALK_JOB_SLICE) {
        level->slice = true;
        level->opened = true; /* it must be the one whose names these are */
        level->given = job->dents;
        level->given_size = job->dents_size;
        job->dents = NULL;
    } else if (job->kind == WALK_JOB_END) {
        level->finished = true;
        level->incomplete = record->incomplete;
    }
    hsr_walk_job_free(trunk, job);
    return 0;
}

/* The path of the job's directory, for rules: of any length, unlike hsr_dir_path(). */
static int branch_path(struct hsr_walk *branch, const struct hsr_walk_record *record)
{
    struct hsr_walk_level *level = hsr_walk_innermost(branch);
    size_t size = 0;

    for (const struct hsr_dir *dir = &record->dir; dir->parent != NULL; dir = dir->parent)
        size += dir->name_size + 1u;
    if (size > branch->path_room) {
        char *path = realloc(branch->path, size * 2);

        if (path == NULL)
            return -ENOMEM;
        branch->path = path;
        branch->path_room = size * 2;
    }
    level->path_size = size;
    for (const struct hsr_dir *dir = &record->dir; dir->parent != NULL; dir = dir->parent) {
        branch->path[--size] = '/';
        size -= dir->name_size;
        memcpy(branch->path + size, dir->name, dir->name_size);
    }
    hsr_assert(size == 0);
    return 0;
}

/* ---- at home: what is missing of each directory ---- */

static struct hsr_walk_record *record_parent(const struct hsr_walk_record *record)
{
    struct hsr_dir *parent = record->dir.parent;

    return parent == NULL ? NULL : hsr_container_of(parent, struct hsr_walk_record, dir);
}

struct hsr_walk_job *hsr_walk_ordered(const struct hsr_walk_item *item)
{
    struct hsr_walk_record *record =
        item->self == NULL ? NULL : hsr_container_of(item->self, struct hsr_walk_record, dir);
    struct hsr_walk_record *parent = record == NULL ? NULL : record_parent(record);

    switch ((enum hsr_walk_kind)item->kind) {
    case HSR_WALK_ENTRY:
        if (item->code == 0 && item->entry.type == HSR_ENTRY_DIR_END && item->last &&
            parent != NULL) {
            hsr_assert(parent->pending > 0);
            parent->pending--;
            return record_ended(parent);
        }
        return NULL;
    case HSR_WALK_OFFER:
        if (item->job->kind == WALK_JOB_SLICE)
            record->pending++;
        else
            parent->pending++;
        return item->job;
    case HSR_WALK_SLICED:
        hsr_assert(record->pending > 0);
        record->pending--;
        record->incomplete |= item->incomplete;
        return record_ended(record);
    case HSR_WALK_LISTED:
        hsr_assert(!record->listed);
        record->listed = true;
        record->incomplete |= item->incomplete;
        if (!item->last && parent != NULL)
            parent->pending++; /* a job's own directory was counted when it was offered */
        return record_ended(record);
    default:
        hsr_unreachable("kind of item");
    }
}

static struct hsr_walk_job *record_ended(struct hsr_walk_record *record)
{
    if (!record->listed || record->pending > 0)
        return NULL;
    record->listed = false;
    record->end = (struct hsr_walk_job){ .record = record, .kind = WALK_JOB_END };
    hsr_list_init(&record->end.node);
    atomic_fetch_add_explicit(&record->refs, 1, memory_order_relaxed);
    return &record->end;
}

bool hsr_walk_link(struct hsr_walk *trunk, const struct hsr_dir *dir, uint64_t dev, uint64_t ino,
                   uint32_t nlink, struct hsr_entry *entry)
{
    char path[HSR_PATH_WIRE_MAX + 2];
    size_t size = hsr_dir_path(dir, entry->name, path, sizeof(path));

    if (size > HSR_PATH_WIRE_MAX)
        return false;
    switch (hsr_links_see(&trunk->links, dev, ino, nlink, hsr_walk_span(path, size),
                          &entry->link_id, &entry->link_path)) {
    case HSR_LINK_FIRST:
        entry->flags |= HSR_ENTRY_LINK_FIRST;
        return true;
    case HSR_LINK_NEXT:
        entry->flags |= HSR_ENTRY_LINK_NEXT;
        return true;
    case HSR_LINK_COPY:
        return false;
    default:
        hsr_unreachable("kind of link");
    }
}
