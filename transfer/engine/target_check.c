/* Files of which only the digest can tell whether they differ (--checksum): ours are read on all
 * shards (reader.h). In a run that changes things the source gets our digest with the WANT; in a
 * dry run it is asked for its own, which it computes meanwhile, and they are compared here.
 *
 *   READING -> WANTED (then as any other file), or ASKED -> settled */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/reader.h"
#include "transfer/engine/sums.h"
#include "transfer/engine/target_impl.h"

/* A file of a page, and what is known of it. */
struct target_check {
    bool told; /* the source has our digest */
    bool ours_known, theirs_known;
    int32_t ours_rc, theirs_rc;
    uint8_t ours[HSR_DIGEST_SIZE_MAX];
    uint8_t theirs[HSR_DIGEST_SIZE_MAX];
};

static bool check_next(struct hsr_session *session, struct hsr_read_file *ret_file);
static void check_done(struct hsr_session *session, const struct hsr_read_file *file);
static bool check_waited(struct hsr_session *session, const struct hsr_read_file *file);
static void check_tell(struct hsr_target *target, struct target_page *page, uint16_t index,
                       const struct hsr_digest_answer *answer);
static void check_compare(struct hsr_target *target, struct target_page *page, uint16_t index);
static void check_both(struct hsr_target *target, struct target_page *page, uint16_t index);

static const struct hsr_reader_ops check_reader = { .next = check_next,
                                                    .done = check_done,
                                                    .waited = check_waited };

int hsr_target_check_add(struct hsr_target *target, struct target_page *page, uint16_t index)
{
    struct hsr_session *session = target->session;
    struct target_entry *entry = &page->entries[index];
    int rc = 0;

    if (page->checks == NULL)
        page->checks = calloc(HSR_PAGE_ENTRIES_MAX, sizeof(*page->checks));
    if (target->reading == NULL)
        target->reading = calloc(HSR_PAGES_MAX * HSR_PAGE_ENTRIES_MAX, sizeof(uint32_t));
    if (target->compared == NULL)
        target->compared = calloc(HSR_PAGES_MAX * HSR_PAGE_ENTRIES_MAX, sizeof(uint32_t));
    hsr_require(page->checks != NULL && target->reading != NULL && target->compared != NULL,
                -ENOMEM);
    if (session->readers == NULL)
        rc = hsr_readers_create(session, &check_reader);
    if (rc < 0)
        return rc;
    page->checks[index] = (struct target_check){ 0 };
    page->reading++;
    target->reading[(target->reading_head + target->reading_count++) %
                    (HSR_PAGES_MAX * HSR_PAGE_ENTRIES_MAX)] =
        (uint32_t)(page - target->pages) << 16 | index;
    entry->state = TARGET_READING;
    if (session->options & HSR_OPT_DRY_RUN)
        hsr_target_want(page, index,
                        &(struct hsr_want_item){ .index = index, .action = HSR_WANT_DIGEST });
    return 0;
}

int hsr_target_check_heard(struct hsr_target *target, struct target_page *page, uint32_t index,
                           const struct hsr_digest_answer *answer)
{
    struct target_check *check;

    hsr_require(page->want_sent && page->entries[index].state == TARGET_ASKED, HSR_E_PROTOCOL);
    if (target->session->spec.summing) {
        check_tell(target, page, (uint16_t)index, answer);
        return 0;
    }
    check = &page->checks[index];
    hsr_require(!check->theirs_known, HSR_E_PROTOCOL);
    check->theirs_known = true;
    check->theirs_rc = answer->code;
    memcpy(check->theirs, answer->digest, sizeof(check->theirs));
    check_compare(target, page, (uint16_t)index);
    return 0;
}

int hsr_target_check_differs(struct hsr_target *target, struct target_page *page, uint32_t index)
{
    struct target_entry *entry = &page->entries[index];
    struct hsr_entry read;
    bool delta;

    hsr_require(page->want_sent && entry->state == TARGET_WANTED, HSR_E_PROTOCOL);
    hsr_require(hsr_target_check_told(page, index), HSR_E_PROTOCOL);
    hsr_target_entry_read(target, page, (uint16_t)index, &read);
    hsr_require(read.size > HSR_PACK_FILE_MAX, HSR_E_PROTOCOL);
    page->checks[index].told = false; /* it can be said once */
    entry->replace = true;
    delta = target->deltas_on &&
            !((target->session->options & HSR_OPT_INPLACE) && (read.flags & HSR_ENTRY_SPARSE));
    hsr_target_want_file(target, page, (uint16_t)index, &read, delta);
    return 0;
}

void hsr_target_check_ask(struct hsr_target *target, struct target_page *page, uint16_t index,
                          const struct hsr_entry *entry)
{
    if (entry->type == HSR_ENTRY_FILE && entry->size > 0) {
        hsr_target_want(page, index,
                        &(struct hsr_want_item){ .index = index, .action = HSR_WANT_DIGEST });
        return;
    }
    if (entry->type == HSR_ENTRY_FILE)
        hsr_sums_tell(target->session, &page->entries[index].dir->dir, entry->name, 0, NULL);
    hsr_target_settle(target, page, index, 0, NULL);
}

/* Digests alone: it is what was asked for. */
static void check_tell(struct hsr_target *target, struct target_page *page, uint16_t index,
                       const struct hsr_digest_answer *answer)
{
    struct hsr_entry entry;

    hsr_target_entry_read(target, page, index, &entry);
    if (answer->code == 0)
        hsr_sums_tell(target->session, &page->entries[index].dir->dir, entry.name, entry.size,
                      answer->digest);
    hsr_target_settle(target, page, index, answer->code, NULL);
}

void hsr_target_check_step(struct hsr_target *target)
{
    hsr_readers_step(target->session);
    while (target->compared_count > 0 && hsr_target_may_tell(target)) {
        uint32_t key = target->compared[--target->compared_count];

        check_both(target, &target->pages[key >> 16], (uint16_t)(key & 0xffff));
    }
}

bool hsr_target_check_told(const struct target_page *page, uint32_t index)
{
    return page->checks != NULL && page->checks[index].told &&
           (page->ends == NULL || page->ends[index].code == 1);
}

static bool check_next(struct hsr_session *session, struct hsr_read_file *ret_file)
{
    struct hsr_target *target = session->target;
    struct target_page *page;
    struct hsr_entry entry;
    uint32_t key;

    if (target->reading_count == 0)
        return false;
    key = target->reading[target->reading_head];
    target->reading_head = (target->reading_head + 1) % (HSR_PAGES_MAX * HSR_PAGE_ENTRIES_MAX);
    target->reading_count--;
    page = &target->pages[key >> 16];
    hsr_target_entry_read(target, page, (uint16_t)(key & 0xffff), &entry);
    *ret_file = (struct hsr_read_file){ .key = key,
                                        .dir = &page->entries[key & 0xffff].dir->dir,
                                        .name = entry.name,
                                        .size = entry.size };
    return true;
}

static void check_done(struct hsr_session *session, const struct hsr_read_file *file)
{
    struct hsr_target *target = session->target;
    struct target_page *page = &target->pages[file->key >> 16];
    uint16_t index = (uint16_t)(file->key & 0xffff);
    struct hsr_want_item item = { .index = index, .action = HSR_WANT_WHOLE };

    hsr_assert(page->reading > 0);
    page->reading--;
    if (session->options & HSR_OPT_DRY_RUN) {
        struct target_check *check = &page->checks[index];

        check->ours_known = true;
        check->ours_rc = file->rc;
        memcpy(check->ours, file->digest, sizeof(check->ours));
        check_compare(target, page, index);
        return;
    }
    if (file->rc == 0) { /* else it is replaced like any other */
        page->checks[index].told = true;
        item.action = HSR_WANT_UNLESS;
        memcpy(item.digest, file->digest, sizeof(item.digest));
    }
    hsr_target_want(page, index, &item);
    hsr_target_page_check(target, page);
}

/* The source waits for the answer to the oldest page, and in a dry run for all: it reads meanwhile.
 * Digests for pages behind that one are made ahead, so that moving data goes first. */
static bool check_waited(struct hsr_session *session, const struct hsr_read_file *file)
{
    const struct hsr_target *target = session->target;
    const struct target_page *page = &target->pages[file->key >> 16];

    if (session->options & HSR_OPT_DRY_RUN)
        return true;
    for (uint32_t i = 0; i < HSR_PAGES_MAX; i++) {
        const struct target_page *other = &target->pages[i];

        if (other->used && other->reading > 0 && other->page < page->page)
            return false;
    }
    return true;
}

/* When both sides have read it, or could not: to be settled. */
static void check_compare(struct hsr_target *target, struct target_page *page, uint16_t index)
{
    if (!page->checks[index].ours_known || !page->checks[index].theirs_known)
        return;
    target->compared[target->compared_count++] = (uint32_t)(page - target->pages) << 16 | index;
    hsr_session_wake(target->session);
}

static void check_both(struct hsr_target *target, struct target_page *page, uint16_t index)
{
    const struct target_check *check = &page->checks[index];
    struct target_entry *slot = &page->entries[index];
    int compare = HSR_COMPARE_SAME;
    struct hsr_entry entry;

    if (check->theirs_rc < 0) { /* the source tells why */
        hsr_target_settle(target, page, index, check->theirs_rc, NULL);
        return;
    }
    if (check->ours_rc < 0 && (target->session->options & HSR_OPT_VERIFY)) {
        hsr_target_settle(target, page, index, check->ours_rc, "read");
        return;
    }
    if (check->ours_rc < 0 || memcmp(check->ours, check->theirs, sizeof(check->ours)) != 0) {
        slot->differs |= HSR_DIFFERS_CONTENT;
        compare = HSR_COMPARE_CONTENT;
    } else if (slot->differs != 0) {
        compare = HSR_COMPARE_METADATA;
    }
    hsr_target_entry_read(target, page, index, &entry);
    hsr_target_dry(target, page, index, &entry, compare);
}
