/* What makes a target durable, in groups.
 *
 *   small file:  in a batch (staged) -> open group -> being synced -> named by a hand -> settled
 *   larger one:  complete            -> open group -> being synced -> named by the home -> settled
 *   from 8 MiB:  complete            -> fdatasync(2) of its own (target_file.c) -> named -> settled
 *   name:        settled -> covered by the next sync that begins -> durable
 *
 * A sync is of a whole file system (syncfs(2), on a helper thread): it covers what was written
 * before it began, contents and names alike. So while one runs, the next group fills, and one sync
 * makes the contents of a group and the names of the last one durable. A name is never given to
 * content that no sync has covered: after a power cut it holds the whole new content, the whole old
 * one, or it is not there. Where a file system cannot be synced as a whole (volume.h: no
 * descriptor) each file is, before it gets its name, and the names are not promised. */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/target_impl.h"
#include "transfer/tree/volume.h"

static bool group_due(const struct hsr_target *target, uint64_t now_ns);
static bool group_waited_for(const struct hsr_target *target);
static void group_collect(struct hsr_target *target, struct hsr_batch *batch);
static void group_name(struct hsr_target *target);
static struct hsr_batch *group_batch(struct hsr_target *target, uint32_t files);
static uint32_t group_needs(struct hsr_target *target, const struct hsr_intake *intake);
static int name_sync(struct hsr_tree *tree, const struct hsr_stage *stage);
static void group_timer(struct hsr_target *target, uint64_t now_ns);
static void group_timer_fired(struct hsr_timer *timer);
static void sync_begin(struct hsr_target *target);
static void sync_next(struct hsr_target *target);
static void sync_volume_done(struct hsr_op *op, int64_t res, unsigned flags);

void hsr_target_groups_create(struct hsr_target *target)
{
    struct target_groups *groups = &target->groups;
    struct hsr_session *session = target->session;

    hsr_list_init(&groups->free);
    hsr_list_init(&groups->open);
    hsr_list_init(&groups->synced);
    hsr_list_init(&groups->named);
    hsr_list_init(&groups->asking);
    hsr_list_init(&groups->open_large);
    hsr_list_init(&groups->synced_large);
    groups->timer.fired = group_timer_fired;
    hsr_volumes_init(&groups->volumes, &session->home->loop, session->root_fd);
    target->root.dir.volume = &groups->volumes.list[0];
    groups->on = session->durability == HSR_DURABILITY_DURABLE &&
                 !(session->options & (HSR_OPT_DRY_RUN | HSR_OPT_DISCARD));
}

void hsr_target_groups_destroy(struct hsr_target *target)
{
    struct target_groups *groups = &target->groups;
    struct hsr_engine *engine = target->session->engine;

    hsr_assert(!groups->op.armed);
    for (uint32_t i = 0; i < groups->batch_count; i++) {
        struct hsr_batch *batch = groups->batches[i];

        for (uint32_t k = 0; k < batch->count; k++)
            if (batch->items[k].stage.fd >= 0)
                hsr_stage_abort(&target->tree, &batch->items[k].stage);
        atomic_fetch_sub(&engine->staged, batch->room);
        free(batch);
    }
    hsr_loop_timer_clear(&target->session->home->loop, &groups->timer);
    hsr_volumes_fini(&groups->volumes);
}

size_t hsr_target_groups_bytes(void)
{
    return TARGET_BATCHES_MAX * sizeof(struct hsr_batch);
}

bool hsr_target_groups(const struct hsr_session *session, const struct hsr_dir *dir)
{
    return session->durability == HSR_DURABILITY_DURABLE && !dir->volume->memory &&
           !(session->options & HSR_OPT_DISCARD);
}

/* ---- packs: batches for streams ---- */

bool hsr_target_batch_grant(struct hsr_target *target, struct hsr_intake *intake)
{
    uint32_t files;

    hsr_target_batch_take(target, intake);
    if (target->session->state != HSR_SESSION_MOVING) {
        intake->rc = HSR_E_CANCELED;
        return true;
    }
    files = group_needs(target, intake);
    if (files == 0)
        return true;
    intake->batch = group_batch(target, files);
    if (intake->batch != NULL)
        return true;
    hsr_list_push_tail(&target->groups.asking, &intake->asking);
    hsr_session_wake(target->session); /* the open group is synced for it */
    return false;
}

void hsr_target_batch_take(struct hsr_target *target, struct hsr_intake *intake)
{
    struct hsr_batch *batch = intake->batch;

    intake->batch = NULL;
    if (batch != NULL)
        group_collect(target, batch);
}

/* How many of its members, from the next one on, wait for a sync before they get their names? */
static uint32_t group_needs(struct hsr_target *target, const struct hsr_intake *intake)
{
    const struct hsr_chunk *chunk = intake->chunk;
    uint32_t files = 0;

    for (uint32_t i = chunk->item_next; i < chunk->item_count; i++) {
        const struct hsr_pack_item *item = &chunk->items[i];

        files += item->entry != NULL && item->code == 0 && item->member.code == 0 &&
                 hsr_target_groups(target->session, item->dir);
    }
    return files;
}

/* A batch with room for up to @files; NULL: not now. */
static struct hsr_batch *group_batch(struct hsr_target *target, uint32_t files)
{
    struct target_groups *groups = &target->groups;
    struct hsr_engine *engine = target->session->engine;
    uint32_t wish = HSR_MIN(files, HSR_BATCH_FILES);
    uint32_t used = atomic_fetch_add(&engine->staged, wish);
    uint32_t most = engine->config.plan.staged;
    uint32_t room = used >= most ? 0 : HSR_MIN(wish, most - used);
    struct hsr_list *node;
    struct hsr_batch *batch = NULL;

    node = room > 0 ? hsr_list_pop_head(&groups->free) : NULL;
    if (node != NULL) {
        batch = hsr_container_of(node, struct hsr_batch, task.node);
    } else if (room > 0 && groups->batch_count < TARGET_BATCHES_MAX) {
        batch = malloc(sizeof(*batch));
        if (batch != NULL)
            groups->batches[groups->batch_count++] = batch;
    }
    if (batch == NULL)
        room = 0;
    atomic_fetch_sub(&engine->staged, wish - room);
    if (batch == NULL)
        return NULL;
    memset(batch, 0, offsetof(struct hsr_batch, items));
    hsr_list_init(&batch->task.node);
    batch->task.kind = TARGET_TASK_NAMES;
    batch->room = room;
    return batch;
}

static void group_batch_free(struct hsr_target *target, struct hsr_batch *batch)
{
    atomic_fetch_sub(&target->session->engine->staged, batch->room);
    batch->room = batch->count = 0;
    hsr_list_push_tail(&target->groups.free, &batch->task.node);
}

/* It came from its stream: its files wait for the next sync. */
static void group_collect(struct hsr_target *target, struct hsr_batch *batch)
{
    struct target_groups *groups = &target->groups;
    uint32_t spare = batch->room - batch->count;

    hsr_assert(batch->count <= batch->room);
    atomic_fetch_sub(&target->session->engine->staged, spare);
    batch->room = batch->count;
    if (batch->count == 0) {
        group_batch_free(target, batch);
        return;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        struct target_page *page = hsr_target_page_find(target, batch->items[i].page);
        struct target_entry *entry = &page->entries[batch->items[i].index];

        hsr_assert(entry->state == TARGET_BUSY);
        entry->state = TARGET_STAGED;
        entry->dir->dir.volume->dirty = true;
    }
    if (groups->open_files + groups->open_larges == 0)
        groups->open_ns = hsr_loop_clock(&target->session->home->loop);
    groups->open_files += batch->count;
    groups->open_bytes += batch->bytes;
    groups->staged += batch->count;
    groups->levels.received += batch->count;
    hsr_list_push_tail(&groups->open, &batch->task.node);
}

/* ---- large files ---- */

bool hsr_target_group_file(struct hsr_target *target, struct hsr_target_file *file)
{
    struct target_groups *groups = &target->groups;
    struct hsr_volume *volume = file->page->entries[file->index].dir->dir.volume;

    if (file->entry.size >= TARGET_GROUP_LARGE_MAX || volume->fd < 0)
        return false;
    if (groups->open_files + groups->open_larges == 0)
        groups->open_ns = hsr_loop_clock(&target->session->home->loop);
    groups->open_larges++;
    groups->staged++;
    volume->dirty = true;
    hsr_list_push_tail(&groups->open_large, &file->group);
    hsr_session_wake(target->session); /* it may be the last one */
    return true;
}

void hsr_target_group_drop(struct hsr_target *target, struct hsr_target_file *file)
{
    if (hsr_list_empty(&file->group))
        return;
    hsr_list_remove(&file->group);
    target->groups.staged--;
}

/* ---- at the home, in each of its steps ---- */

void hsr_target_groups_step(struct hsr_target *target)
{
    struct target_groups *groups = &target->groups;
    struct hsr_session *session = target->session;
    uint64_t now_ns;

    if (!groups->on)
        return;
    while (session->state != HSR_SESSION_MOVING && !hsr_list_empty(&groups->asking)) {
        struct hsr_list *node = hsr_list_pop_head(&groups->asking);

        hsr_target_intake(session, hsr_container_of(node, struct hsr_intake, asking));
    }
    if (session->state != HSR_SESSION_MOVING)
        return;
    group_name(target);
    for (bool more = true; more && !hsr_list_empty(&groups->asking);) {
        struct hsr_intake *intake =
            hsr_container_of(groups->asking.next, struct hsr_intake, asking);

        hsr_list_remove(&intake->asking);
        more = hsr_target_batch_grant(target, intake);
        if (more)
            hsr_stream_answer(intake);
    }
    if (groups->sync_done && !groups->op.armed)
        sync_next(target);
    now_ns = hsr_loop_clock(&session->home->loop);
    if (!groups->syncing && group_due(target, now_ns))
        sync_begin(target);
    group_timer(target, now_ns);
}

/* Lend what a sync has covered to hands, which name it. */
static void group_name(struct hsr_target *target)
{
    struct target_groups *groups = &target->groups;

    while (!hsr_list_empty(&groups->named)) {
        struct hsr_hand *hand = hsr_crew_hand(&target->session->crew);
        struct hsr_batch *batch;

        if (hand == NULL)
            return; /* what comes back wakes us */
        batch = hsr_container_of(groups->named.next, struct hsr_batch, task.node);
        hsr_list_remove(&batch->task.node);
        hsr_crew_lend(hand, &batch->task);
    }
}

bool hsr_batch_name(struct hsr_target *target, struct hsr_tree *tree, struct hsr_batch *batch)
{
    unsigned steps = 0;

    while (batch->next < batch->count) {
        struct hsr_batch_item *item = &batch->items[batch->next];
        struct target_page *page = hsr_target_page_find(target, item->page);
        bool alone = page->entries[item->index].dir->dir.volume->fd < 0; /* no sync covered it */
        struct hsr_entry entry;

        if (steps++ >= (alone ? 1 : TARGET_NAMES_SLICE) && hsr_loop_pressed(tree->loop))
            return false;
        hsr_target_entry_read(target, page, (uint16_t)item->index, &entry);
        item->code = alone ? name_sync(tree, &item->stage) : 0;
        if (item->code < 0)
            hsr_stage_abort(tree, &item->stage);
        else
            item->code = hsr_stage_publish(tree, &item->stage, &entry);
        item->stage.fd = -1;
        batch->next++;
    }
    return true;
}

/* Content alone, on a file system that cannot be synced as a whole. */
static int name_sync(struct hsr_tree *tree, const struct hsr_stage *stage)
{
    struct hsr_op op = {
        .kind = HSR_OP_FSYNC, .fd = stage->fd, .data_only = true, .buf_index = -1
    };

    return (int)hsr_loop_call(tree->loop, &op);
}

void hsr_target_named(struct hsr_target *target, struct hsr_batch *batch)
{
    hsr_assert(batch->next == batch->count);
    hsr_assert(target->groups.staged >= batch->count);
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct hsr_batch_item *item = &batch->items[i];
        struct target_page *page = hsr_target_page_find(target, item->page);

        target->groups.staged--;
        if (item->code < 0)
            hsr_target_settle(target, page, (uint16_t)item->index, item->code, "write");
        else
            hsr_target_committed(target, page, (uint16_t)item->index, item->size, item->warning);
    }
    group_batch_free(target, batch);
}

/* ---- when ---- */

static bool group_due(const struct hsr_target *target, uint64_t now_ns)
{
    const struct target_groups *groups = &target->groups;

    if (groups->open_files + groups->open_larges > 0)
        return groups->open_files >= TARGET_GROUP_FILES ||
               groups->open_larges >= TARGET_GROUP_LARGES || !hsr_list_empty(&target->asking) ||
               groups->open_bytes >= TARGET_GROUP_BYTES ||
               now_ns - groups->open_ns >= TARGET_GROUP_NS || !hsr_list_empty(&groups->asking) ||
               target->session->hold.stop_heard || group_waited_for(target);
    return groups->levels.written > groups->covered &&
           now_ns - groups->synced_ns >= TARGET_NAMES_NS;
}

/* Is there nothing to do but to name what is staged? */
static bool group_waited_for(const struct hsr_target *target)
{
    uint32_t pending = 0;

    for (uint32_t i = 0; i < HSR_PAGES_MAX; i++)
        if (target->pages[i].used)
            pending += target->pages[i].pending;
    return pending == target->groups.staged + target->linking_count + target->ending_count;
}

bool hsr_target_groups_hold(const struct hsr_target *target)
{
    const struct target_groups *groups = &target->groups;

    return groups->syncing && (!hsr_list_empty(&groups->asking) || group_waited_for(target));
}

static void group_timer(struct hsr_target *target, uint64_t now_ns)
{
    struct target_groups *groups = &target->groups;
    struct hsr_loop *loop = &target->session->home->loop;
    uint64_t next_ns = UINT64_MAX;

    if (groups->syncing) /* its end wakes us */
        next_ns = UINT64_MAX;
    else if (groups->open_files + groups->open_larges > 0)
        next_ns = groups->open_ns + TARGET_GROUP_NS;
    else if (groups->levels.written > groups->covered)
        next_ns = groups->synced_ns + TARGET_NAMES_NS;
    if (!hsr_list_empty(&groups->asking)) /* other sessions may have given descriptors back */
        next_ns = HSR_MIN(next_ns, now_ns + TARGET_GROUP_NS);
    if (next_ns == UINT64_MAX)
        hsr_loop_timer_clear(loop, &groups->timer);
    else if (groups->timer.heap_index == 0 || groups->timer.deadline_ns != next_ns)
        hsr_loop_timer_set(loop, &groups->timer, next_ns);
}

static void group_timer_fired(struct hsr_timer *timer)
{
    struct target_groups *groups = hsr_container_of(timer, struct target_groups, timer);

    hsr_session_wake(hsr_container_of(groups, struct hsr_target, groups)->session);
}

/* ---- syncs ---- */

bool hsr_target_groups_durable(struct hsr_target *target)
{
    struct target_groups *groups = &target->groups;
    bool dirty = false;

    if (!groups->on)
        return true;
    hsr_assert(groups->staged == 0);
    for (uint32_t i = 0; i < groups->volumes.count; i++)
        dirty |= groups->volumes.list[i].dirty;
    if (!groups->syncing && dirty)
        sync_begin(target);
    return !groups->syncing;
}

/* From here on: what is written by now will be covered. */
static void sync_begin(struct hsr_target *target)
{
    struct target_groups *groups = &target->groups;
    struct hsr_list *node;

    hsr_assert(!groups->syncing && hsr_list_empty(&groups->synced));
    groups->syncing = true;
    while ((node = hsr_list_pop_head(&groups->open)) != NULL)
        hsr_list_push_tail(&groups->synced, node);
    while ((node = hsr_list_pop_head(&groups->open_large)) != NULL)
        hsr_list_push_tail(&groups->synced_large, node);
    groups->open_files = groups->open_larges = 0;
    groups->open_bytes = 0;
    groups->covered = groups->levels.written;
    groups->covered_pages = groups->pages;
    for (uint32_t i = 0; i < groups->volumes.count; i++) {
        struct hsr_volume *volume = &groups->volumes.list[i];

        volume->due = volume->dirty && !volume->memory && volume->fd >= 0;
        volume->dirty = false;
    }
    sync_next(target);
}

/* The next file system that has something to sync; else all is done. */
static void sync_next(struct hsr_target *target)
{
    struct target_groups *groups = &target->groups;
    struct hsr_loop *loop = &target->session->home->loop;
    struct hsr_list *node;

    groups->sync_done = false;
    for (uint32_t i = 0; i < groups->volumes.count; i++) {
        struct hsr_volume *volume = &groups->volumes.list[i];

        if (!volume->due)
            continue;
        volume->due = false;
        groups->op = (struct hsr_op){
            .kind = HSR_OP_SYNCFS, .done = sync_volume_done, .fd = volume->fd, .buf_index = -1
        };
        hsr_loop_submit(loop, &groups->op);
        return;
    }
    groups->syncing = false;
    groups->synced_ns = hsr_loop_clock(loop);
    if (hsr_volumes_lasting(&groups->volumes)) {
        groups->levels.durable = groups->covered;
        groups->levels.pages = groups->covered_pages;
    }
    groups->tell = true;
    while ((node = hsr_list_pop_head(&groups->synced)) != NULL)
        hsr_list_push_tail(&groups->named, node);
    for (node = groups->synced_large.next; node != &groups->synced_large; node = node->next) {
        hsr_container_of(node, struct hsr_target_file, group)->synced = true;
        target->files_synced = true;
    }
    hsr_session_wake(target->session);
}

static void sync_volume_done(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct target_groups *groups = hsr_container_of(op, struct target_groups, op);
    struct hsr_target *target = hsr_container_of(groups, struct hsr_target, groups);

    if (flags & HSR_CQE_MORE)
        return;
    groups->sync_done = true; /* the task goes on */
    if (res < 0 && target->session->rc == 0) /* nothing may be promised, nor named, now */
        hsr_session_end(target->session, (int)res, "cannot sync the target");
    hsr_session_wake(target->session);
}
