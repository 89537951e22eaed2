/* What to do about each entry: compare it with what has its name, make what needs no data, want the
 * rest. Entries are decided in order, in slices. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/target_impl.h"

#define DECIDE_SLICE 32u /* entries before others get a turn: about 100 us */
#define DECIDE_DIGEST (256 * HSR_KIB) /* bytes hashed in one step for --checksum */

enum decide_result { DECIDE_DONE, DECIDE_AGAIN };

static enum decide_result decide_entry(struct hsr_target *target, struct target_page *page,
                                       uint16_t index);
static int decide_begin(struct hsr_target *target, struct target_page *page, uint16_t index,
                        const struct hsr_entry *entry);
static enum decide_result decide_compared(struct hsr_target *target, struct target_page *page,
                                          uint16_t index, const struct hsr_entry *entry);
static enum decide_result decide_by_kind(struct hsr_target *target, struct target_page *page,
                                         uint16_t index, const struct hsr_entry *entry, int compare,
                                         const struct hsr_existing *existing);
static enum decide_result decide_clear_way(struct hsr_target *target, struct target_page *page,
                                           uint16_t index, const struct hsr_entry *entry);
static enum decide_result decide_digest(struct hsr_target *target, struct target_page *page,
                                        uint16_t index, const struct hsr_entry *entry);
static void decide_want(struct hsr_target *target, struct target_page *page, uint16_t index,
                        const struct hsr_want_item *item);
static void decide_dry(struct hsr_target *target, struct target_page *page, uint16_t index,
                       const struct hsr_entry *entry, int compare);
static void decide_make(struct hsr_target *target, struct target_page *page, uint16_t index,
                        const struct hsr_entry *entry, int compare);
static void decide_link(struct hsr_target *target, struct target_page *page, uint16_t index,
                        const struct hsr_entry *entry);
static bool decide_link_ready(const struct hsr_target *target, uint32_t link_id);
static void decide_owner(struct hsr_target *target, const struct hsr_entry *entry);

void hsr_target_decide(struct hsr_target *target)
{
    struct hsr_session *session = target->session;
    unsigned slice = 0;

    while (session->state == HSR_SESSION_MOVING && target->decide_next != target->page_next) {
        struct target_page *page = &target->pages[target->decide_next % HSR_PAGES_MAX];

        while (page->next < page->count) {
            if (slice++ >= DECIDE_SLICE) {
                hsr_session_wake(session); /* streams of this shard get their turn */
                return;
            }
            if (decide_entry(target, page, page->next) == DECIDE_DONE)
                page->next++;
            if (session->state != HSR_SESSION_MOVING)
                return;
        }
        page->decided = true;
        target->decide_next++;
    }
}

void hsr_target_links(struct hsr_target *target)
{
    uint32_t kept = 0;

    if (!target->links_moved)
        return;
    target->links_moved = false;
    for (uint32_t i = 0; i < target->linking_count; i++) {
        uint32_t key = target->linking[i];
        struct target_page *page = &target->pages[key >> 16];
        uint16_t index = (uint16_t)(key & 0xffff);
        struct hsr_entry entry;

        hsr_target_entry_read(target, page, index, &entry);
        if (decide_link_ready(target, entry.link_id))
            decide_link(target, page, index, &entry);
        else
            target->linking[kept++] = key;
    }
    target->linking_count = kept;
}

static enum decide_result decide_entry(struct hsr_target *target, struct target_page *page,
                                       uint16_t index)
{
    struct hsr_session *session = target->session;
    struct hsr_entry entry;
    int rc;

    hsr_target_entry_read(target, page, index, &entry);
    if (target->way == NULL && target->digest.fd < 0) {
        rc = decide_begin(target, page, index, &entry);
        if (rc < 0) {
            hsr_session_end(session, rc, "an entry that cannot be");
            return DECIDE_AGAIN;
        }
        if (page->entries[index].state != TARGET_LISTED)
            return DECIDE_DONE;
    }
    if (target->way != NULL)
        return decide_clear_way(target, page, index, &entry);
    if (target->digest.fd >= 0)
        return decide_digest(target, page, index, &entry);
    return decide_compared(target, page, index, &entry);
}

/* Where it belongs. Directories are settled here; what cannot be is the source's fault. */
static int decide_begin(struct hsr_target *target, struct target_page *page, uint16_t index,
                        const struct hsr_entry *entry)
{
    struct target_entry *slot = &page->entries[index];
    struct target_dir *dir;

    if (entry->type == HSR_ENTRY_DIR_END) {
        dir = hsr_target_dir_find(target, entry->dir);
        hsr_require(dir != NULL && !dir->ended, HSR_E_PROTOCOL);
        hsr_target_dir_end(target, page, index, entry);
        return 0;
    }
    dir = hsr_target_dir_find(target, entry->parent);
    hsr_require(dir != NULL, HSR_E_PROTOCOL);
    hsr_require(!dir->ended || dir == &target->root, HSR_E_PROTOCOL);
    hsr_require(entry->name.size > 0 || entry->type == HSR_ENTRY_DIR, HSR_E_PROTOCOL);
    hsr_require(!hsr_stage_name_is(entry->name), HSR_E_NAME);
    slot->dir = dir;
    dir->pending++;
    if (dir->dead != 0 && entry->type != HSR_ENTRY_DIR) { /* told once, for the directory */
        target->session->totals.failed++;
        hsr_target_settle(target, page, index, dir->dead, NULL);
        return 0;
    }
    if ((target->session->options & HSR_OPT_DELETE) && !dir->fresh && !dir->keep_over &&
        entry->name.size > 0 &&
        hsr_nameset_add(&dir->keep, target->names_key, entry->name, &target->names_budget) < 0) {
        dir->keep_over = true;
        hsr_target_warn(target, dir, &(struct hsr_entry){ 0 }, HSR_E_MEMORY_BOUND, "delete");
    }
    decide_owner(target, entry);
    if (entry->type == HSR_ENTRY_DIR)
        return hsr_target_dir_begin(target, page, index, entry);
    if (entry->flags & HSR_ENTRY_LINK_NEXT) {
        hsr_require(hsr_path_valid(entry->link_path) && entry->link_path.size > 0, HSR_E_NAME);
        if (decide_link_ready(target, entry->link_id)) {
            decide_link(target, page, index, entry);
        } else {
            slot->state = TARGET_LINKING;
            target->linking[target->linking_count++] =
                (uint32_t)(page - target->pages) << 16 | index;
        }
    } else if (entry->flags & HSR_ENTRY_LINK_FIRST) {
        uint32_t *head = &target->links[entry->link_id % TARGET_LINK_BUCKETS];

        slot->link_first = true;
        slot->link_id = entry->link_id;
        slot->link_chain = *head;
        *head = ((uint32_t)(page - target->pages) << 16 | index) + 1;
    }
    return 0;
}

static enum decide_result decide_compared(struct hsr_target *target, struct target_page *page,
                                          uint16_t index, const struct hsr_entry *entry)
{
    struct target_dir *dir = page->entries[index].dir;
    struct hsr_existing existing = { 0 };
    int compare = HSR_COMPARE_ABSENT;

    if (!dir->fresh && !dir->phantom)
        compare = hsr_tree_compare(&target->tree, &dir->dir, entry, &existing);
    if (compare < 0) {
        hsr_target_settle(target, page, index, compare, "stat");
        return DECIDE_DONE;
    }
    if (compare != HSR_COMPARE_ABSENT && (target->session->options & HSR_OPT_IGNORE_EXISTING)) {
        target->session->totals.skipped++;
        hsr_target_settle(target, page, index, 0, NULL);
        return DECIDE_DONE;
    }
    return decide_by_kind(target, page, index, entry, compare, &existing);
}

static enum decide_result decide_by_kind(struct hsr_target *target, struct target_page *page,
                                         uint16_t index, const struct hsr_entry *entry, int compare,
                                         const struct hsr_existing *existing)
{
    struct hsr_session *session = target->session;
    struct target_dir *dir = page->entries[index].dir;
    bool same_size = existing->size == entry->size;

    if (compare == HSR_COMPARE_CONTENT && entry->type == HSR_ENTRY_FILE && same_size &&
        entry->size > 0 && (session->options & HSR_OPT_CHECKSUM)) {
        char name[HSR_NAME_MAX + 1];

        memcpy(name, entry->name.ptr, entry->name.size);
        name[entry->name.size] = '\0';
        if (hsr_digest_begin(&target->tree, &dir->dir, name, &target->digest) == 0)
            return DECIDE_AGAIN;
        target->digest.fd = -1; /* not to be read: replaced like any other */
    }
    if (session->options & HSR_OPT_DRY_RUN) {
        decide_dry(target, page, index, entry, compare);
        return DECIDE_DONE;
    }
    if (compare == HSR_COMPARE_SAME) {
        session->totals.skipped++;
        hsr_target_settle(target, page, index, 0, NULL);
        return DECIDE_DONE;
    }
    if (compare == HSR_COMPARE_METADATA) {
        int rc = hsr_tree_touch(&target->tree, &dir->dir, entry);

        hsr_target_warn(target, dir, entry, target->tree.warning.code, target->tree.warning.op);
        target->tree.warning.code = 0;
        if (rc == 0) {
            session->totals.touched++;
            hsr_target_tell(target, dir, entry, HSR_NOTE_TOUCHED);
        }
        hsr_target_settle(target, page, index, rc, "metadata");
        return DECIDE_DONE;
    }
    if (compare == HSR_COMPARE_OTHER_KIND && S_ISDIR(existing->mode) &&
        (session->options & HSR_OPT_DELETE)) {
        char name[HSR_NAME_MAX + 1];

        memcpy(name, entry->name.ptr, entry->name.size);
        name[entry->name.size] = '\0';
        if (hsr_prune_create_name(&target->tree, &dir->dir, name, session->filter,
                                  &target->delete_left, hsr_target_deleted, target,
                                  &target->way) == 0)
            return DECIDE_AGAIN;
    }
    page->entries[index].replace = compare != HSR_COMPARE_ABSENT;
    if (entry->type == HSR_ENTRY_FILE && entry->size > 0)
        decide_want(target, page, index,
                    &(struct hsr_want_item){ .index = index, .action = HSR_WANT_WHOLE });
    else
        decide_make(target, page, index, entry, compare);
    return DECIDE_DONE;
}

/* A tree has the name: it goes first (--delete). */
static enum decide_result decide_clear_way(struct hsr_target *target, struct target_page *page,
                                           uint16_t index, const struct hsr_entry *entry)
{
    int rc = hsr_prune_step(target->way);

    if (rc > 0)
        return DECIDE_AGAIN;
    hsr_prune_destroy(target->way);
    target->way = NULL;
    if (rc < 0) {
        hsr_target_settle(target, page, index, rc, "delete");
        return DECIDE_DONE;
    }
    page->entries[index].replace = true;
    if (entry->type == HSR_ENTRY_FILE && entry->size > 0)
        decide_want(target, page, index,
                    &(struct hsr_want_item){ .index = index, .action = HSR_WANT_WHOLE });
    else
        decide_make(target, page, index, entry, HSR_COMPARE_OTHER_KIND);
    return DECIDE_DONE;
}

/* --checksum: one slice of our file's digest; then ask for theirs. */
static enum decide_result decide_digest(struct hsr_target *target, struct target_page *page,
                                        uint16_t index, const struct hsr_entry *entry)
{
    struct hsr_want_item item = { .index = index, .action = HSR_WANT_UNLESS };
    int rc;

    if (target->digest_buf == NULL)
        target->digest_buf = malloc(DECIDE_DIGEST);
    rc = target->digest_buf == NULL
             ? -ENOMEM
             : hsr_digest_step(&target->tree, &target->digest, target->digest_buf, DECIDE_DIGEST,
                               item.digest);
    if (rc > 0)
        return DECIDE_AGAIN;
    hsr_digest_end(&target->tree, &target->digest);
    target->digest.fd = -1;
    if (rc < 0)
        item.action = HSR_WANT_WHOLE;
    page->entries[index].replace = true;
    if (target->session->options & HSR_OPT_DRY_RUN)
        decide_dry(target, page, index, entry,
                   HSR_COMPARE_SAME); /* see docs: -n compares no digest */
    else
        decide_want(target, page, index, &item);
    return DECIDE_DONE;
}

static void decide_want(struct hsr_target *target, struct target_page *page, uint16_t index,
                        const struct hsr_want_item *item)
{
    (void)target;
    page->entries[index].state = TARGET_WANTED;
    page->wants[page->want_count++] = *item;
}

/* -n: count and say what would happen. */
static void decide_dry(struct hsr_target *target, struct target_page *page, uint16_t index,
                       const struct hsr_entry *entry, int compare)
{
    struct hsr_session *session = target->session;
    struct target_dir *dir = page->entries[index].dir;

    if (compare == HSR_COMPARE_SAME) {
        session->totals.skipped++;
    } else if (compare == HSR_COMPARE_METADATA) {
        session->totals.touched++;
        hsr_target_tell(target, dir, entry, HSR_NOTE_TOUCHED);
    } else {
        if (entry->type == HSR_ENTRY_FILE && entry->size > 0) {
            session->totals.files++;
            session->totals.bytes += entry->size;
        } else {
            session->totals.created++;
        }
        hsr_target_tell(target, dir, entry,
                        compare == HSR_COMPARE_ABSENT ? HSR_NOTE_CREATED : HSR_NOTE_UPDATED);
    }
    hsr_target_settle(target, page, index, 0, NULL);
}

static void decide_make(struct hsr_target *target, struct target_page *page, uint16_t index,
                        const struct hsr_entry *entry, int compare)
{
    struct target_dir *dir = page->entries[index].dir;
    int rc = hsr_tree_make(&target->tree, &dir->dir, entry, (enum hsr_compare)compare);

    hsr_target_warn(target, dir, entry, target->tree.warning.code, target->tree.warning.op);
    target->tree.warning.code = 0;
    if (rc == 0) {
        target->session->totals.created++;
        dir->changed = true;
        hsr_target_tell(target, dir, entry,
                        compare == HSR_COMPARE_ABSENT ? HSR_NOTE_CREATED : HSR_NOTE_UPDATED);
    }
    hsr_target_settle(target, page, index, rc, "create");
}

/* A further name: the first is there, or will never be. */
static void decide_link(struct hsr_target *target, struct target_page *page, uint16_t index,
                        const struct hsr_entry *entry)
{
    struct hsr_session *session = target->session;
    struct target_dir *dir = page->entries[index].dir;
    bool same = false;
    int rc = 0;

    for (uint32_t i = 0; i < target->links_failed_count; i++)
        if (target->links_failed[i] == entry->link_id ||
            target->links_failed_count == TARGET_LINKS_FAILED)
            rc = -ENOENT;
    if (session->options & HSR_OPT_DRY_RUN) {
        int compare = dir->fresh || dir->phantom ? HSR_COMPARE_ABSENT
                                                 : hsr_tree_compare(&target->tree, &dir->dir, entry,
                                                                    &(struct hsr_existing){ 0 });

        decide_dry(target, page, index, entry, compare < 0 ? HSR_COMPARE_ABSENT : compare);
        return;
    }
    if ((session->options & HSR_OPT_IGNORE_EXISTING) && !dir->fresh &&
        hsr_tree_compare(&target->tree, &dir->dir, entry, &(struct hsr_existing){ 0 }) >
            HSR_COMPARE_ABSENT) {
        session->totals.skipped++;
        hsr_target_settle(target, page, index, 0, NULL);
        return;
    }
    if (rc == 0)
        rc = hsr_tree_link(&target->tree, &dir->dir, entry, &same);
    if (rc == 0 && same) {
        session->totals.skipped++;
    } else if (rc == 0) {
        session->totals.created++;
        dir->changed = true;
        hsr_target_tell(target, dir, entry, HSR_NOTE_CREATED);
    }
    hsr_target_settle(target, page, index, rc, "link");
}

static bool decide_link_ready(const struct hsr_target *target, uint32_t link_id)
{
    uint32_t at = target->links[link_id % TARGET_LINK_BUCKETS];

    while (at != 0) {
        const struct target_entry *entry =
            &target->pages[(at - 1) >> 16].entries[(at - 1) & 0xffff];

        if (entry->link_id == link_id)
            return false;
        at = entry->link_chain;
    }
    return true;
}

/* A plain user cannot give files away: said once. */
static void decide_owner(struct hsr_target *target, const struct hsr_entry *entry)
{
    if (target->owner_said || target->tree.root || (target->session->options & HSR_OPT_NO_OWNER) ||
        entry->uid == target->tree.uid)
        return;
    target->owner_said = true;
    hsr_session_note(target->session, HSR_NOTE_WARNING, -EPERM,
                     "owners are not kept: the receiving side is not root", "", 0);
}
