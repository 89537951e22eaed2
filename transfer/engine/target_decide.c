/* What to do about each entry. The home begins the entries of a page in order: where they belong,
 * directories, further names, what is wanted in a directory that is new. What has to be compared
 * goes to the hands in slices (target_judge.c); their verdicts come back in any order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/target_impl.h"

#define DECIDE_ASK 16u /* entries begun between two looks at what else waits: 1 to 6 us */

static void decide_verdicts(struct hsr_target *target);
static bool decide_slice_open(struct hsr_target *target, struct target_page *page);
static void decide_slice_lend(struct hsr_target *target);
static bool decide_entry(struct hsr_target *target, struct target_page *page, uint16_t index);
static int decide_begin(struct hsr_target *target, struct target_page *page, uint16_t index,
                        const struct hsr_entry *entry);
static void decide_judged(struct hsr_target *target, struct target_page *page,
                          const struct target_verdict *verdict);
static void decide_changed(struct hsr_target *target, struct target_page *page,
                           const struct target_verdict *verdict, const struct hsr_entry *entry);
static void decide_clear(struct hsr_target *target);
static void decide_clear_begin(struct hsr_target *target, struct target_page *page, uint16_t index);
static bool decide_clear_find(struct hsr_target *target);
static void decide_cleared(struct hsr_target *target, int rc);
static void decide_made(struct hsr_target *target, struct target_page *page, uint16_t index,
                        const struct hsr_entry *entry, int compare, int rc);
static void decide_link(struct hsr_target *target, struct target_page *page, uint16_t index,
                        const struct hsr_entry *entry);
static void decide_link_dry(struct hsr_target *target, struct target_page *page, uint16_t index,
                            const struct hsr_entry *entry);
static bool decide_link_ready(const struct hsr_target *target, uint32_t link_id);
static void decide_link_first(struct hsr_target *target, struct target_page *page, uint16_t index,
                              const struct hsr_entry *entry);
static void decide_owner(struct hsr_target *target, const struct hsr_entry *entry);

void hsr_target_decide(struct hsr_target *target)
{
    struct hsr_session *session = target->session;
    unsigned steps = 0;

    decide_clear(target);
    decide_verdicts(target);
    while (session->state == HSR_SESSION_MOVING && target->decide_next != target->page_next) {
        struct target_page *page = &target->pages[target->decide_next % HSR_PAGES_MAX];

        while (page->next < page->count) {
            if (++steps % DECIDE_ASK == 0 && hsr_loop_slice_over(&session->home->loop)) {
                hsr_session_wake(session); /* streams and hands of this shard get their turn */
                return;
            }
            if (!hsr_target_may_tell(target))
                return; /* its `writable` wakes us */
            if (target->filling == NULL && !decide_slice_open(target, page))
                return; /* all hands have enough: what comes back wakes us */
            if (!decide_entry(target, page, page->next))
                return;
            page->next++;
        }
        decide_slice_lend(target);
        target->decide_next++;
        hsr_target_page_check(target, page);
    }
}

void hsr_target_judged(struct hsr_session *session, struct hsr_crew_task *task)
{
    struct target_slice *slice = hsr_container_of(task, struct target_slice, task);
    struct hsr_target *target = session->target;

    hsr_assert(slice->page->slices > 0 && slice->next == slice->count);
    slice->next = 0; /* now: how many were taken */
    hsr_list_push_tail(&target->judged, &slice->task.node);
    decide_verdicts(target);
}

/* Take the verdicts that came back, as far as what is to be told of them has room. */
static void decide_verdicts(struct hsr_target *target)
{
    struct hsr_session *session = target->session;

    while (!hsr_list_empty(&target->judged)) {
        struct target_slice *slice =
            hsr_container_of(target->judged.next, struct target_slice, task.node);
        struct target_page *page = slice->page;

        while (slice->next < slice->count && session->state == HSR_SESSION_MOVING) {
            if (!hsr_target_may_tell(target))
                return;
            decide_judged(target, page, &slice->verdicts[slice->next++]);
        }
        page->slices--;
        hsr_list_remove(&slice->task.node);
        hsr_list_push_tail(&target->slices_free, &slice->task.node);
        hsr_target_page_check(target, page);
    }
}

static bool decide_slice_open(struct hsr_target *target, struct target_page *page)
{
    struct hsr_list *node;

    target->hand = hsr_crew_hand(&target->session->crew);
    if (target->hand == NULL)
        return false;
    node = hsr_list_pop_head(&target->slices_free);
    if (node == NULL)
        return false; /* verdicts wait for room to tell of them */
    target->filling = hsr_container_of(node, struct target_slice, task.node);
    target->filling->page = page;
    target->filling->count = target->filling->next = 0;
    target->filling->sums_size = 0;
    return true;
}

static void decide_slice_lend(struct hsr_target *target)
{
    struct target_slice *slice = target->filling;

    target->filling = NULL;
    if (slice == NULL)
        return;
    if (slice->count == 0) {
        hsr_list_push_tail(&target->slices_free, &slice->task.node);
        return;
    }
    slice->page->slices++;
    hsr_crew_lend(target->hand, &slice->task);
}

/* Is everything known that the answer to this page says? */
void hsr_target_page_check(struct hsr_target *target, struct target_page *page)
{
    bool dry = (target->session->options & HSR_OPT_DRY_RUN) != 0; /* tells no digest of ours */

    page->decided = page->next == page->count && page->slices == 0 && page->clearing == 0 &&
                    (page->reading == 0 || dry);
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
        if (decide_link_ready(target, entry.link_id) && hsr_target_may_tell(target)) {
            decide_link(target, page, index, &entry);
        } else {
            target->links_moved |= decide_link_ready(target, entry.link_id); /* no room to tell */
            target->linking[kept++] = key;
        }
    }
    target->linking_count = kept;
}

/* A dry run that wants contents all the same: they are verified, and dropped. */
static bool decide_discard(const struct hsr_target *target, const struct hsr_entry *entry)
{
    return (target->session->options & HSR_OPT_DISCARD) && entry->type == HSR_ENTRY_FILE &&
           entry->size > 0;
}

/* False: the session is over. */
static bool decide_entry(struct hsr_target *target, struct target_page *page, uint16_t index)
{
    struct target_slice *slice = target->filling;
    const struct target_dir *dir;
    struct hsr_entry entry;
    bool fresh;
    int rc;

    hsr_target_entry_read(target, page, index, &entry);
    rc = decide_begin(target, page, index, &entry);
    if (rc < 0) {
        hsr_session_end(target->session, rc, "an entry that cannot be");
        return false;
    }
    if (page->entries[index].state != TARGET_LISTED)
        return true;
    dir = page->entries[index].dir;
    fresh = dir->fresh || dir->phantom;
    if (target->session->spec.summing) {
        hsr_target_check_ask(target, page, index, &entry);
        return true;
    }
    if (fresh && (target->session->options & HSR_OPT_DRY_RUN) && !decide_discard(target, &entry)) {
        hsr_target_dry(target, page, index, &entry, HSR_COMPARE_ABSENT);
        return true;
    }
    if (fresh && entry.type == HSR_ENTRY_FILE && entry.size > 0) {
        hsr_target_want(page, index,
                        &(struct hsr_want_item){ .index = index, .action = HSR_WANT_WHOLE });
        return true;
    }
    slice->verdicts[slice->count++] = (struct target_verdict){ .index = index, .fresh = fresh };
    if (slice->count == TARGET_SLICE)
        decide_slice_lend(target);
    return true;
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
        decide_link_first(target, page, index, entry); /* its other names fail, too */
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
    } else {
        decide_link_first(target, page, index, entry);
    }
    return 0;
}

/* Further names wait until it is settled. */
static void decide_link_first(struct hsr_target *target, struct target_page *page, uint16_t index,
                              const struct hsr_entry *entry)
{
    struct target_entry *slot = &page->entries[index];
    uint32_t *head = &target->links[entry->link_id % TARGET_LINK_BUCKETS];

    if (!(entry->flags & HSR_ENTRY_LINK_FIRST))
        return;
    slot->link_first = true;
    slot->link_id = entry->link_id;
    slot->link_chain = *head;
    *head = ((uint32_t)(page - target->pages) << 16 | index) + 1;
}

/* What a hand found out about an entry. */
static void decide_judged(struct hsr_target *target, struct target_page *page,
                          const struct target_verdict *verdict)
{
    struct hsr_session *session = target->session;
    uint16_t index = verdict->index;
    int compare = verdict->compare;
    struct hsr_entry entry;

    if (compare < 0) {
        hsr_target_settle(target, page, index, compare, "stat");
        return;
    }
    if (compare == HSR_COMPARE_SAME ||
        (compare != HSR_COMPARE_ABSENT && (session->options & HSR_OPT_IGNORE_EXISTING))) {
        session->totals.skipped++;
        hsr_target_settle(target, page, index, 0, NULL);
        return;
    }
    hsr_target_entry_read(target, page, index, &entry);
    if (decide_discard(target, &entry)) {
        hsr_target_want(page, index,
                        &(struct hsr_want_item){ .index = index, .action = HSR_WANT_WHOLE });
        return;
    }
    page->entries[index].differs = verdict->differs;
    if (verdict->deed == TARGET_UNREAD) {
        int rc = hsr_target_check_add(target, page, index);

        if (rc < 0)
            hsr_session_end(session, rc, "no memory to compare digests");
        return;
    }
    if (session->options & HSR_OPT_DRY_RUN) {
        hsr_target_dry(target, page, index, &entry, compare);
        return;
    }
    hsr_target_warn(target, page->entries[index].dir, &entry, verdict->warning,
                    verdict->warning_op);
    decide_changed(target, page, verdict, &entry);
}

static void decide_changed(struct hsr_target *target, struct target_page *page,
                           const struct target_verdict *verdict, const struct hsr_entry *entry)
{
    struct target_dir *dir = page->entries[verdict->index].dir;
    bool delta = verdict->basis && target->deltas_on;

    if (verdict->in_way) {
        decide_clear_begin(target, page, verdict->index);
        return;
    }
    page->entries[verdict->index].replace = verdict->compare != HSR_COMPARE_ABSENT;
    switch ((enum target_deed)verdict->deed) {
    case TARGET_TOUCHED:
        if (verdict->rc == 0) {
            target->session->totals.touched++;
            hsr_target_tell(target, dir, entry, HSR_NOTE_TOUCHED);
        }
        hsr_target_settle(target, page, verdict->index, verdict->rc, "metadata");
        break;
    case TARGET_MADE:
        decide_made(target, page, verdict->index, entry, verdict->compare, verdict->rc);
        break;
    case TARGET_COMPARED:
        if (!delta && hsr_target_small_want(target, page, verdict))
            break;
        hsr_target_want_file(target, page, verdict->index, entry, delta);
        break;
    default:
        hsr_unreachable("what a hand did");
    }
}

void hsr_target_want_file(struct hsr_target *target, struct target_page *page, uint16_t index,
                          const struct hsr_entry *entry, bool delta)
{
    enum hsr_want_action action = hsr_target_journal_want(target, page, index, entry, delta);

    hsr_target_want(page, index,
                    &(struct hsr_want_item){ .index = index, .action = (uint8_t)action });
    if (action == HSR_WANT_DELTA || action == HSR_WANT_REST)
        hsr_target_basis_want(target, page, index);
}

/* Trees that have the name of something else go, one after the other, in steps. */
static void decide_clear(struct hsr_target *target)
{
    struct hsr_session *session = target->session;
    int rc = 0;

    while (target->clearing > 0 && session->state == HSR_SESSION_MOVING) {
        if (target->way == NULL && !decide_clear_find(target))
            continue; /* it could not be begun, and is settled */
        rc = hsr_prune_step(target->way);
        if (rc <= 0) {
            hsr_prune_destroy(target->way);
            target->way = NULL;
            decide_cleared(target, rc);
        }
        if (hsr_loop_slice_over(&session->home->loop)) {
            hsr_session_wake(session);
            return;
        }
    }
}

/* What has the name is a directory with something in it: it goes first. */
static void decide_clear_begin(struct hsr_target *target, struct target_page *page, uint16_t index)
{
    page->entries[index].state = TARGET_CLEARING;
    page->clearing++;
    target->clearing++;
    hsr_session_wake(target->session);
}

/* Begin with the first of them. */
static bool decide_clear_find(struct hsr_target *target)
{
    struct target_page *page = target->pages;
    char name[HSR_NAME_MAX + 1];
    struct hsr_entry entry;
    uint16_t index = 0;
    int rc;

    while (page->clearing == 0)
        page++;
    while (page->entries[index].state != TARGET_CLEARING)
        index++;
    hsr_assert(page < target->pages + HSR_PAGES_MAX && index < page->count);
    target->clearing_key = (uint32_t)(page - target->pages) << 16 | index;
    hsr_target_entry_read(target, page, index, &entry);
    memcpy(name, entry.name.ptr, entry.name.size);
    name[entry.name.size] = '\0';
    rc = hsr_prune_create_name(&target->tree, &page->entries[index].dir->dir, name,
                               target->session->filter, &target->delete_left, hsr_target_deleted,
                               target, &target->way);
    if (rc < 0)
        decide_cleared(target, rc);
    return rc == 0;
}

/* The name is free, or will not be. */
static void decide_cleared(struct hsr_target *target, int rc)
{
    struct target_page *page = &target->pages[target->clearing_key >> 16];
    uint16_t index = (uint16_t)(target->clearing_key & 0xffff);
    struct target_dir *dir = page->entries[index].dir;
    struct hsr_entry entry;

    target->clearing--;
    page->clearing--;
    hsr_target_entry_read(target, page, index, &entry);
    page->entries[index].replace = true;
    if (rc < 0) {
        hsr_target_settle(target, page, index, rc, "delete");
    } else if (entry.flags & HSR_ENTRY_LINK_NEXT) {
        decide_link(target, page, index, &entry);
    } else if (entry.type == HSR_ENTRY_FILE && entry.size > 0) {
        hsr_target_want_file(target, page, index, &entry, false);
    } else {
        rc = hsr_tree_make(&target->tree, &dir->dir, &entry, HSR_COMPARE_OTHER_KIND);
        hsr_target_warn(target, dir, &entry, target->tree.warning.code, target->tree.warning.op);
        target->tree.warning.code = 0;
        decide_made(target, page, index, &entry, HSR_COMPARE_OTHER_KIND, rc);
    }
    hsr_target_page_check(target, page);
}

void hsr_target_want(struct target_page *page, uint16_t index, const struct hsr_want_item *item)
{
    page->entries[index].state = item->action == HSR_WANT_DIGEST ? TARGET_ASKED : TARGET_WANTED;
    page->wants[page->want_count++] = *item;
}

/* -n: count and say what would happen. */
void hsr_target_dry(struct hsr_target *target, struct target_page *page, uint16_t index,
                    const struct hsr_entry *entry, int compare)
{
    struct hsr_session *session = target->session;
    struct target_dir *dir = page->entries[index].dir;
    uint16_t differs = page->entries[index].differs;

    if (compare == HSR_COMPARE_SAME) {
        session->totals.skipped++;
    } else if (compare == HSR_COMPARE_METADATA) {
        session->totals.touched++;
        hsr_target_differs(target, dir, entry, HSR_NOTE_TOUCHED, differs);
    } else {
        if (entry->type == HSR_ENTRY_FILE && entry->size > 0 &&
            !(entry->flags & HSR_ENTRY_LINK_NEXT)) { /* a further name moves nothing */
            session->totals.files++;
            session->totals.bytes += entry->size;
        } else {
            session->totals.created++;
        }
        dir->changed = true;
        if (compare == HSR_COMPARE_ABSENT)
            hsr_target_differs(target, dir, entry, HSR_NOTE_CREATED, 0);
        else
            hsr_target_differs(target, dir, entry, HSR_NOTE_UPDATED, differs);
    }
    hsr_target_settle(target, page, index, 0, NULL);
}

/* Something without data was made: @rc. */
static void decide_made(struct hsr_target *target, struct target_page *page, uint16_t index,
                        const struct hsr_entry *entry, int compare, int rc)
{
    struct target_dir *dir = page->entries[index].dir;

    if (rc == 0) {
        target->session->totals.created++;
        dir->changed = true;
        hsr_target_tell(target, dir, entry,
                        compare == HSR_COMPARE_ABSENT ? HSR_NOTE_CREATED : HSR_NOTE_UPDATED);
    }
    hsr_target_settle(target, page, index, rc, "create");
}

/* Is a further name one of the same file here, too? */
static void decide_link_dry(struct hsr_target *target, struct target_page *page, uint16_t index,
                            const struct hsr_entry *entry)
{
    const struct target_dir *dir = page->entries[index].dir;
    int compare = HSR_COMPARE_ABSENT;
    struct hsr_existing existing = { 0 };
    bool same = false;

    if (!dir->fresh && !dir->phantom)
        compare = hsr_tree_compare(&target->tree, &dir->dir, entry, &existing);
    if (compare < 0) {
        hsr_target_settle(target, page, index, compare, "stat");
        return;
    }
    /* What is wrong with the file itself was told with its first name. */
    if (compare != HSR_COMPARE_ABSENT && compare != HSR_COMPARE_OTHER_KIND) {
        if (hsr_tree_link(&target->tree, &dir->dir, entry, &same) < 0)
            same = false; /* the first name is not there, or is something else */
        compare = same ? HSR_COMPARE_SAME : HSR_COMPARE_CONTENT;
        existing.differs = same ? 0 : HSR_DIFFERS_LINK;
    }
    page->entries[index].differs = existing.differs;
    hsr_target_dry(target, page, index, entry, compare);
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
        decide_link_dry(target, page, index, entry);
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
    if (rc == -ENOTEMPTY && (session->options & HSR_OPT_DELETE) && !page->entries[index].replace) {
        decide_clear_begin(target, page, index);
        return;
    }
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
