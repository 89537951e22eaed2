/* Directories of a running transfer: begun by DIR, ended by DIR_END, finished (pruned, metadata
 * set) when everything below them is settled. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/target_impl.h"

static struct target_dir *dir_make(struct hsr_target *target, struct target_dir *parent,
                                   const struct hsr_entry *entry);
static int dir_mounted(struct hsr_target *target, struct target_dir *dir, uint64_t dev);
static void dir_free(struct hsr_target *target, struct target_dir *dir);
static void dir_poured_again(struct hsr_target *target);
static bool dir_prune(struct hsr_target *target, struct target_dir *dir,
                      const struct hsr_entry *entry);
static void dir_kept_say(struct hsr_target *target, const struct target_dir *dir, bool deleted);
static void dir_delete_failed(struct hsr_target *target, struct target_dir *dir, int code);
static void dir_finish(struct hsr_target *target, struct target_dir *dir);
static int dir_finish_dry(struct hsr_target *target, struct target_dir *dir,
                          const struct target_dir *parent, struct hsr_entry *entry);
static void dir_root_keep(struct hsr_target *target);
static void dir_settle_end(struct hsr_target *target, struct target_dir *dir, int code);

struct target_dir *hsr_target_dir_find(struct hsr_target *target, uint32_t id)
{
    struct target_dir *dir;

    if (id == HSR_DIR_ROOT)
        return &target->root;
    dir = target->dirs[id % TARGET_DIR_BUCKETS];
    while (dir != NULL && dir->dir.id != id)
        dir = dir->chain;
    return dir;
}

/* DIR: make it, so that what is below it can be. */
int hsr_target_dir_begin(struct hsr_target *target, struct target_page *page, uint16_t index,
                         const struct hsr_entry *entry)
{
    struct hsr_session *session = target->session;
    struct target_dir *parent = page->entries[index].dir;
    bool dry = (session->options & HSR_OPT_DRY_RUN) != 0;
    bool created = false;
    struct target_dir *dir;
    struct hsr_existing existing;
    uint64_t dev = 0;
    int rc = 0;

    if (entry->name.size == 0) { /* the root's own metadata */
        hsr_require(entry->dir == HSR_DIR_ROOT, HSR_E_PROTOCOL);
        if (target->root.ended)
            dir_poured_again(target);
        hsr_target_settle(target, page, index, 0, NULL);
        return 0;
    }
    hsr_require(entry->dir != HSR_DIR_ROOT && hsr_target_dir_find(target, entry->dir) == NULL,
                HSR_E_PROTOCOL);
    hsr_require(parent->dir.depth < HSR_DIR_DEPTH_MAX, HSR_E_TOO_DEEP);
    dir = dir_make(target, parent, entry);
    hsr_require(dir != NULL, -ENOMEM);
    if (parent->dead != 0) {
        rc = parent->dead;
        session->totals.failed++;
    } else if (!dry) {
        rc = hsr_tree_mkdir(&target->tree, &parent->dir, entry, &created, &dev);
        dir->fresh = created;
        if (rc == 0 && !created && dev != parent->dir.volume->dev)
            rc = dir_mounted(target, dir, dev);
    } else {
        rc = parent->phantom ? HSR_COMPARE_ABSENT
                             : hsr_tree_compare(&target->tree, &parent->dir, entry, &existing);
        dir->phantom = created = rc >= 0 && rc != HSR_COMPARE_SAME;
        rc = HSR_MIN(rc, 0);
    }
    if (created) {
        session->totals.created++;
        parent->changed = true;
        hsr_target_tell(target, parent, entry, HSR_NOTE_CREATED);
    }
    dir->dead = rc;
    hsr_target_settle(target, page, index, rc, parent->dead != 0 ? NULL : "mkdir");
    return 0;
}

/* It is on another file system than its parent. */
static int dir_mounted(struct hsr_target *target, struct target_dir *dir, uint64_t dev)
{
    int fd = hsr_dircache_get(&target->tree.cache, &dir->dir);

    if (fd < 0)
        return fd;
    dir->dir.volume = hsr_volumes_get(&target->groups.volumes, dev, fd);
    return 0;
}

void hsr_target_dir_end(struct hsr_target *target, struct target_page *page, uint16_t index,
                        const struct hsr_entry *entry)
{
    struct target_dir *dir = hsr_target_dir_find(target, entry->dir);

    page->entries[index].dir = dir;
    page->entries[index].state = TARGET_ENDING;
    target->ending_count++;
    dir->ended = true;
    dir->end_page = page;
    dir->end_index = index;
    if (dir->pending == 0)
        hsr_list_push_tail(&target->endings, &dir->node);
}

/* One thing less is pending in this directory. */
void hsr_target_dir_less(struct hsr_target *target, struct target_dir *dir)
{
    hsr_assert(dir->pending > 0);
    dir->pending--;
    if (dir->pending == 0 && dir->ended && dir->end_page != NULL && !hsr_list_linked(&dir->node)) {
        hsr_list_push_tail(&target->endings, &dir->node);
        hsr_session_wake(target->session);
    }
}

/* Prune and finish what has ended; the deepest come first by themselves. */
void hsr_target_dirs_finish(struct hsr_target *target)
{
    while (!hsr_list_empty(&target->endings)) {
        struct target_dir *dir = hsr_container_of(target->endings.next, struct target_dir, node);
        struct hsr_entry entry;

        if (target->session->state != HSR_SESSION_MOVING || !hsr_target_may_tell(target))
            return;
        if (hsr_loop_slice_over(&target->session->home->loop)) {
            hsr_session_wake(target->session);
            return;
        }
        hsr_target_entry_read(target, dir->end_page, dir->end_index, &entry);
        if (!dir->pruned && !dir_prune(target, dir, &entry))
            continue;
        hsr_list_remove(&dir->node);
        dir_finish(target, dir);
    }
}

void hsr_target_dirs_free(struct hsr_target *target)
{
    for (uint32_t i = 0; i < TARGET_DIR_BUCKETS; i++) {
        while (target->dirs[i] != NULL) {
            struct target_dir *dir = target->dirs[i];

            target->dirs[i] = dir->chain;
            if (dir->prune != NULL)
                hsr_prune_destroy(dir->prune);
            hsr_nameset_clear(&dir->keep, &target->names_budget);
            free(dir);
        }
    }
    if (target->root.prune != NULL)
        hsr_prune_destroy(target->root.prune);
    hsr_nameset_clear(&target->root.keep, &target->names_budget);
    free(target->root_end);
    while (target->dirs_free != NULL) {
        struct target_dir *dir = target->dirs_free;

        target->dirs_free = dir->chain;
        free(dir);
    }
}

void hsr_target_root_again(struct hsr_target *target)
{
    struct hsr_session *session = target->session;
    struct hsr_reader reader = hsr_reader_init(target->root_end, target->root_end_size);
    struct hsr_entry entry;
    bool changed;
    int rc;

    if (target->root_end == NULL || !target->root.changed || (session->options & HSR_OPT_DRY_RUN))
        return;
    target->root.changed = false;
    target->root.dir.volume->dirty = true;
    rc = hsr_entry_decode(&reader, &entry);
    hsr_assert(rc == 0); /* it was read before */
    rc = hsr_tree_dir_finish(&target->tree, &target->root.dir, &entry, &changed);
    if (rc < 0) {
        session->totals.failed++;
        hsr_session_note(session, HSR_NOTE_FAILED, rc, "metadata", "", 0);
    }
}

void hsr_target_deleted(void *context, const char *path, int code)
{
    struct hsr_target *target = context;
    struct hsr_session *session = target->session;

    if (code < 0) {
        session->totals.failed++;
        hsr_session_note(session, HSR_NOTE_FAILED, code, "delete", path, 0);
        return;
    }
    target->changed = true;
    session->totals.deleted++;
    if (session->options & HSR_OPT_NAMES)
        hsr_session_note(session, HSR_NOTE_DELETED, 0, "", path, 0);
}

static struct target_dir *dir_make(struct hsr_target *target, struct target_dir *parent,
                                   const struct hsr_entry *entry)
{
    struct target_dir *dir = target->dirs_free;
    struct target_dir **bucket = &target->dirs[entry->dir % TARGET_DIR_BUCKETS];

    if (dir != NULL)
        target->dirs_free = dir->chain;
    else
        dir = malloc(sizeof(*dir));
    if (dir == NULL)
        return NULL;
    memset(dir, 0, sizeof(*dir));
    dir->dir.parent = &parent->dir;
    dir->dir.volume = parent->dir.volume;
    dir->dir.id = entry->dir;
    dir->dir.depth = (uint16_t)(parent->dir.depth + 1);
    dir->dir.name_size = (uint16_t)entry->name.size;
    memcpy(dir->dir.name, entry->name.ptr, entry->name.size);
    dir->dir.name[entry->name.size] = '\0';
    hsr_list_init(&dir->node);
    dir->chain = *bucket;
    *bucket = dir;
    parent->pending++; /* until it is finished */
    target->dir_count++;
    return dir;
}

static void dir_free(struct hsr_target *target, struct target_dir *dir)
{
    struct target_dir **at = &target->dirs[dir->dir.id % TARGET_DIR_BUCKETS];

    while (*at != dir)
        at = &(*at)->chain;
    *at = dir->chain;
    dir->chain = target->dirs_free;
    target->dirs_free = dir;
    target->dir_count--;
}

/* A further source is poured into the root: what the last one said about its end is over. */
static void dir_poured_again(struct hsr_target *target)
{
    struct target_dir *root = &target->root;

    hsr_list_remove(&root->node);
    if (root->end_page != NULL)
        dir_settle_end(target, root, 0);
    root->ended = false;
    root->pruned = false;
}

/* Extraneous names go when the listing was complete and nothing below failed; stale stages always.
 * True when there is nothing more to remove. */
static bool dir_prune(struct hsr_target *target, struct target_dir *dir,
                      const struct hsr_entry *entry)
{
    struct hsr_session *session = target->session;
    bool dry = (session->options & HSR_OPT_DRY_RUN) != 0; /* then nothing can be lost */
    bool delete = (session->options & HSR_OPT_DELETE) && (!dir->failed || dry) && !dir->keep_over &&
                  !(entry->flags & HSR_ENTRY_INCOMPLETE) && !target->delete_stopped;
    int rc;

    if (dir->prune == NULL) {
        dir_kept_say(target, dir, delete);
        if (dir->dead != 0 || dir->fresh || dir->phantom || (dry && !delete)) {
            dir->pruned = true;
            return true;
        }
        rc = hsr_prune_create(&target->tree, &dir->dir, delete ? &dir->keep : NULL,
                              target->names_key, session->filter, &target->delete_left,
                              hsr_target_deleted, target, &dir->prune);
        if (rc < 0) {
            dir_delete_failed(target, dir, rc);
            dir->pruned = true;
            return true;
        }
    }
    rc = hsr_prune_step(dir->prune);
    if (rc > 0)
        return false;
    hsr_prune_destroy(dir->prune);
    dir->prune = NULL;
    dir->pruned = true;
    target->delete_stopped |= rc == HSR_E_DELETE_LIMIT;
    if (rc < 0)
        dir_delete_failed(target, dir, rc);
    return true;
}

/* What failed and may not when it is listed again (a file changed while it was read, a name was in
 * use here) is sent again, and its directory does not wait for that: said once, unless a failure
 * says more. */
static void dir_kept_say(struct hsr_target *target, const struct target_dir *dir, bool deleted)
{
    struct hsr_session *session = target->session;
    char path[HSR_ERROR_PATH_SIZE];

    if (deleted || !dir->failed || target->kept_said || session->totals.failed > 0 ||
        (session->options & (HSR_OPT_DELETE | HSR_OPT_DRY_RUN)) != HSR_OPT_DELETE)
        return;
    target->kept_said = true;
    (void)hsr_dir_path(&dir->dir, (struct hsr_span){ NULL, 0 }, path, sizeof(path));
    hsr_session_note(session, HSR_NOTE_WARNING, HSR_E_CHANGED,
                     "nothing is deleted here: a file changed while it was read, or could not be "
                     "written at first",
                     path, 0);
}

static void dir_delete_failed(struct hsr_target *target, struct target_dir *dir, int code)
{
    char path[HSR_ERROR_PATH_SIZE];

    (void)hsr_dir_path(&dir->dir, (struct hsr_span){ NULL, 0 }, path, sizeof(path));
    hsr_target_deleted(target, path, code);
}

/* Metadata last: nothing changes in it any more. */
static void dir_finish(struct hsr_target *target, struct target_dir *dir)
{
    struct hsr_session *session = target->session;
    struct target_dir *parent =
        dir->dir.parent != NULL ? hsr_container_of(dir->dir.parent, struct target_dir, dir) : NULL;
    struct hsr_entry entry;
    bool changed = false;
    int rc = 0;

    hsr_target_entry_read(target, dir->end_page, dir->end_index, &entry);
    if (dir->dead == 0 && !dir->phantom && !(session->options & HSR_OPT_DRY_RUN)) {
        if (dir->fresh) /* also a parent that is only implied looks like its source then */
            entry.flags &= (uint8_t)~HSR_ENTRY_IMPLIED;
        rc = hsr_tree_dir_finish(&target->tree, &dir->dir, &entry, &changed);
        entry.name = (struct hsr_span){ (const uint8_t *)dir->dir.name, dir->dir.name_size };
        hsr_target_warn(target, parent != NULL ? parent : dir, &entry, target->tree.warning.code,
                        target->tree.warning.op);
        target->tree.warning.code = 0;
        if (rc == 0 && changed && !dir->fresh && !dir->changed) {
            session->totals.touched++;
            hsr_target_tell(target, parent != NULL ? parent : dir, &entry, HSR_NOTE_TOUCHED);
        }
        target->changed |= changed;
    }
    if (dir->dead == 0 && !dir->phantom && (session->options & HSR_OPT_DRY_RUN))
        rc = dir_finish_dry(target, dir, parent, &entry);
    if (parent == NULL)
        dir_root_keep(target);
    hsr_nameset_clear(&dir->keep, &target->names_budget);
    if (dir->failed && parent != NULL)
        parent->failed = true;
    dir_settle_end(target, dir, dir->dead != 0 ? 0 : rc);
    hsr_dircache_drop(&target->tree.cache, dir->dir.id);
    if (parent != NULL) {
        dir_free(target, dir);
        hsr_target_dir_less(target, parent);
    }
}

/* Its metadata is compared: by verify always, else where nothing in it would be made. */
static int dir_finish_dry(struct hsr_target *target, struct target_dir *dir,
                          const struct target_dir *parent, struct hsr_entry *entry)
{
    struct hsr_session *session = target->session;
    int rc = hsr_tree_dir_compare(&target->tree, &dir->dir, entry);

    if (rc <= 0 || (dir->changed && !(session->options & HSR_OPT_VERIFY)))
        return HSR_MIN(rc, 0);
    entry->name = (struct hsr_span){ (const uint8_t *)dir->dir.name, dir->dir.name_size };
    session->totals.touched++;
    hsr_target_differs(target, parent != NULL ? parent : dir, entry, HSR_NOTE_TOUCHED,
                       (unsigned)rc);
    return 0;
}

/* Remember how the root is to look; out of memory only costs the second setting. */
static void dir_root_keep(struct hsr_target *target)
{
    const struct target_dir *root = &target->root;
    const struct target_entry *end = &root->end_page->entries[root->end_index];

    free(target->root_end);
    target->root_end = malloc(end->size);
    if (target->root_end != NULL)
        memcpy(target->root_end, root->end_page->payload + end->offset, end->size);
    target->root_end_size = end->size;
    target->root.changed = false;
}

/* DIR_END is an entry of its page, but pending in no directory. */
static void dir_settle_end(struct hsr_target *target, struct target_dir *dir, int code)
{
    struct target_page *page = dir->end_page;
    struct hsr_session *session = target->session;
    char path[HSR_ERROR_PATH_SIZE];

    page->entries[dir->end_index].state = TARGET_SETTLED;
    target->ending_count--;
    dir->dir.volume->dirty = true;
    page->entries[dir->end_index].code = code;
    page->pending--;
    dir->end_page = NULL;
    if (code < 0) {
        page->failed++;
        session->totals.failed++;
        (void)hsr_dir_path(&dir->dir, (struct hsr_span){ NULL, 0 }, path, sizeof(path));
        hsr_session_note(session, HSR_NOTE_FAILED, code, "metadata", path, 0);
    }
    hsr_session_wake(session);
}
