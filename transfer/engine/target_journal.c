/* What a target keeps of large files for a later session, and what it has of an earlier one.
 *
 *   staged under a hidden name -> units come (journaled) -> [synced (journaled)] -> named (gone)
 *                                        |
 *            the session ends: left, found by the next one: wanted by RESUME, told by KEPT
 *
 * What of a file's units is only written is lost with the machine; so files are synced from time to
 * time, and what is durable by then is said. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/target_impl.h"
#include "transfer/tree/at.h"

/* What a power cut may cost, beside what the disk needs: time, whatever the speed. Each flushes the
 * cache of the disk twice, in the middle of what is being written; with one more for each 512 MiB
 * a fast disk did so several times a second (docs/BENCHMARKS.md). */
#define SYNC_NS (5 * HSR_NS_PER_S)
/* Less than this share of a file is sent whole: the sums of its old version, all of which has to be
 * read for them, are a four hundredth of it. */
#define REST_SHARE 64u
/* Longer paths are not known to the journal: their files begin anew. */
#define PATH_MAX_KNOWN 4096u

static void journal_say(struct hsr_target *target);
static void journal_woken(void *context);
static bool journal_key(const struct hsr_target *target, const struct target_dir *dir,
                        const struct hsr_entry *entry, struct hsr_digest_sum *ret_path);
static void journal_forget(struct hsr_target *target, const struct target_dir *dir,
                           const struct hsr_entry *entry, uint32_t slot);
static void journal_offer(struct hsr_target *target);
static bool journal_offer_one(struct hsr_target *target, uint32_t key);
static void journal_kept_open(struct hsr_target *target, struct target_page *page, uint16_t index);
static bool journal_syncs(const struct hsr_target *target);
static void journal_sync(struct hsr_target *target);
static void journal_sync_file(struct hsr_target *target, struct hsr_target_file *file);
static void journal_synced(struct hsr_op *op, int64_t res, unsigned flags);
static void journal_syncs_heard(struct hsr_target *target);

size_t hsr_target_journal_bytes(void)
{
    /* a target's journal and queue, and what a source is told of files on their way */
    return hsr_journal_bytes() + TARGET_KEYS_MAX * sizeof(uint32_t) +
           HSR_FILES_MAX * (size_t)HSR_KEPT_SIZE_MAX +
           HSR_JOURNAL_RANGES_MAX * sizeof(struct target_part);
}

int hsr_target_journal_create(struct hsr_target *target)
{
    struct target_resume *resume = &target->resume;
    struct hsr_session *session = target->session;
    int rc;

    if (!(session->features & HSR_FEATURE_RESUME) || session->root_fd < 0 ||
        session->spec.summing || HSR_KEPT_UNIT % session->leaf != 0 ||
        (session->options & (HSR_OPT_NO_JOURNAL | HSR_OPT_DRY_RUN | HSR_OPT_DISCARD)))
        return 0;
    resume->journal = malloc(sizeof(*resume->journal));
    if (resume->journal == NULL)
        return -ENOMEM;
    rc = hsr_journal_open(resume->journal, &target->tree, session->engine->config.boot);
    resume->journal->woken = journal_woken;
    resume->journal->context = session;
    resume->sync_ns = session->home->loop.now_ns;
    return rc < 0 ? rc : hsr_target_rereads_create(target);
}

/* Once, when the session can be talked to. */
static void journal_say(struct hsr_target *target)
{
    const struct hsr_journal *journal = target->resume.journal;

    if (target->resume.said || journal->why == 0)
        return;
    target->resume.said = true;
    hsr_session_note(target->session, HSR_NOTE_WARNING, journal->why,
                     journal->off ? "nothing is kept for a later run"
                                  : "what an earlier run kept is not used",
                     HSR_JOURNAL_NAME, 0);
}

static void journal_woken(void *context)
{
    hsr_session_wake(context);
}

/* ---- what an earlier session has left ---- */

enum hsr_want_action hsr_target_journal_want(struct hsr_target *target, struct target_page *page,
                                             uint16_t index, const struct hsr_entry *entry,
                                             bool delta)
{
    enum hsr_want_action other = delta ? HSR_WANT_DELTA : HSR_WANT_WHOLE;
    const struct target_dir *dir = page->entries[index].dir;
    struct target_resume *resume = &target->resume;
    struct hsr_journal_file *file;
    struct hsr_digest_sum path;
    int slot = -1;

    if (resume->journal == NULL || resume->journal->off || !(entry->flags & HSR_ENTRY_VERSION))
        return other;
    if (journal_key(target, dir, entry, &path))
        slot = hsr_journal_table_find(&resume->journal->table, path);
    if (slot < 0)
        return other;
    file = &resume->journal->table.files[slot];
    if (file->claimed)
        return other; /* listed twice */
    if (!hsr_digest_same(file->version, entry->version) || file->size != entry->size ||
        file->digest != target->session->digest || file->leaf != target->session->leaf ||
        entry->size < HSR_KEPT_FILE_MIN ||
        ((target->session->options & HSR_OPT_VERIFY_RESUME) && !target->rereads.on)) {
        journal_forget(target, dir, entry, (uint32_t)slot);
        return other;
    }
    if (resume->queue == NULL)
        resume->queue = calloc(TARGET_KEYS_MAX, sizeof(*resume->queue));
    if (resume->queue == NULL)
        return other;
    file->claimed = true;
    page->entries[index].resuming = true;
    hsr_assert(resume->count < TARGET_KEYS_MAX); /* an entry is in it once */
    resume->queue[(resume->head + resume->count++) % TARGET_KEYS_MAX] =
        (uint32_t)(page - target->pages) << 16 | index;
    return delta && entry->size - hsr_journal_file_bytes(file) > entry->size / REST_SHARE
               ? HSR_WANT_REST
               : HSR_WANT_RESUME;
}

/* False: it is too long. */
static bool journal_key(const struct hsr_target *target, const struct target_dir *dir,
                        const struct hsr_entry *entry, struct hsr_digest_sum *ret_path)
{
    char path[PATH_MAX_KNOWN];
    size_t size = hsr_dir_path(&dir->dir, entry->name, path, sizeof(path));

    if (size + 1 >= sizeof(path))
        return false;
    *ret_path =
        hsr_journal_path(target->resume.journal, (struct hsr_span){ (const uint8_t *)path, size });
    return true;
}

/* The stage in @slot is of no use: it goes before another one takes its room. */
static void journal_forget(struct hsr_target *target, const struct target_dir *dir,
                           const struct hsr_entry *entry, uint32_t slot)
{
    struct hsr_journal *journal = target->resume.journal;
    const struct hsr_journal_file *file = &journal->table.files[slot];
    struct hsr_entry any = *entry;
    struct hsr_stage stage;

    any.size = INT64_MAX;
    if (hsr_stage_open_again(&target->tree, &dir->dir, &any, false, file->stage, file->ino, 0,
                             &stage) == 0)
        hsr_stage_abort(&target->tree, &stage);
    (void)hsr_journal_do(journal,
                         &(struct hsr_journal_record){ .kind = HSR_JOURNAL_GONE, .slot = slot });
}

/* KEPT of the next entries, as far as the source has room for them. */
static void journal_offer(struct hsr_target *target)
{
    struct target_resume *resume = &target->resume;

    while (resume->count > 0 && resume->offered < HSR_FILES_MAX) {
        if (!journal_offer_one(target, resume->queue[resume->head]))
            return;
        resume->head = (resume->head + 1) % TARGET_KEYS_MAX;
        resume->count--;
    }
}

/* False: later. */
static bool journal_offer_one(struct hsr_target *target, uint32_t key)
{
    struct target_page *page = &target->pages[key >> 16];
    uint16_t index = (uint16_t)(key & 0xffff);
    struct target_entry *entry = &page->entries[index];
    struct hsr_conn *conn = target->session->control;

    if (!hsr_target_want_said(page) || conn == NULL ||
        hsr_conn_begin(conn, HSR_KEPT_SIZE_MAX) == NULL)
        return false; /* its `writable` wakes us */
    journal_kept_open(target, page, index);
    entry->offered = true;
    target->resume.offered++;
    if (entry->kept != NULL && (target->session->options & HSR_OPT_VERIFY_RESUME)) {
        if (hsr_target_reread_begin(target, page, index))
            return true;
        hsr_target_journal_unkeep(target, entry, /* keep= */ false);
    }
    return hsr_target_journal_tell(target, page, index);
}

/* Sets entry->kept, if what the journal says is there. */
static void journal_kept_open(struct hsr_target *target, struct target_page *page, uint16_t index)
{
    struct target_entry *entry = &page->entries[index];
    struct hsr_journal *journal = target->resume.journal;
    const struct hsr_journal_file *file;
    struct hsr_digest_sum path;
    struct hsr_entry read;
    int slot, rc = -ENOMEM;

    hsr_target_entry_read(target, page, index, &read);
    slot = journal_key(target, entry->dir, &read, &path)
               ? hsr_journal_table_find(&journal->table, path)
               : -1;
    hsr_assert(slot >= 0 && journal->table.files[slot].claimed && entry->kept == NULL);
    file = &journal->table.files[slot];
    entry->kept = calloc(1, sizeof(*entry->kept));
    if (entry->kept != NULL) {
        const struct hsr_kept_range *last = NULL;

        entry->kept->slot = (uint32_t)slot;
        if (hsr_target_journal_ranges(target, entry))
            last = &entry->kept->ranges[entry->kept->count - 1];
        if (last != NULL)
            rc = hsr_stage_open_again(&target->tree, &entry->dir->dir, &read, entry->replace,
                                      file->stage, file->ino, last->offset + last->size,
                                      &entry->kept->stage);
    }
    if (rc == 0)
        return;
    if (entry->kept != NULL) /* it is not there any more: all of it, then */
        free(entry->kept->ranges);
    free(entry->kept);
    entry->kept = NULL;
    (void)hsr_journal_do(
        journal, &(struct hsr_journal_record){ .kind = HSR_JOURNAL_GONE, .slot = (uint32_t)slot });
}

bool hsr_target_journal_ranges(struct hsr_target *target, struct target_entry *entry)
{
    struct target_kept *kept = entry->kept;
    struct hsr_kept_range ranges[HSR_KEPT_RANGES_MAX]; /* 24 KiB */

    free(kept->ranges);
    kept->count = hsr_journal_file_kept(&target->resume.journal->table.files[kept->slot], ranges);
    kept->ranges = kept->count > 0 ? calloc(kept->count, sizeof(*ranges)) : NULL;
    if (kept->ranges == NULL)
        return false;
    memcpy(kept->ranges, ranges, kept->count * sizeof(*ranges));
    return true;
}

bool hsr_target_journal_tell(struct hsr_target *target, struct target_page *page, uint16_t index)
{
    struct target_entry *entry = &page->entries[index];
    struct hsr_conn *conn = target->session->control;
    uint8_t *out = conn != NULL ? hsr_conn_begin(conn, HSR_KEPT_SIZE_MAX) : NULL;
    const struct target_kept *kept = entry->kept;
    int size;

    if (out == NULL)
        return false;
    size = hsr_kept_encode(kept != NULL ? kept->ranges : NULL, kept != NULL ? kept->count : 0,
                           target->session->digest_size, out, HSR_KEPT_SIZE_MAX);
    hsr_assert(size > 0);
    hsr_conn_commit(
        conn, (struct hsr_frame){ .kind = HSR_FRAME_KEPT, .page = page->page, .index = index },
        (size_t)size);
    entry->resuming = false;
    return true;
}

int hsr_target_journal_adopt(struct hsr_target *target, struct hsr_target_file *file,
                             struct target_entry *entry)
{
    struct hsr_progress *progress = &target->session->progress;
    struct target_kept *kept = entry->kept;
    int rc = 0;

    hsr_assert(kept->reread == NULL);
    entry->kept = NULL;
    file->stage = kept->stage;
    file->slot = (int)kept->slot;
    for (uint32_t i = 0; i < kept->count && rc == 0; i++) {
        const struct hsr_kept_range *range = &kept->ranges[i];

        rc = hsr_tally_put(&file->tally, range->offset, range->size, range->value,
                           &target->session->tally_budget);
        progress->resumed_bytes += range->size;
    }
    progress->resumed_files++;
    free(kept->ranges);
    free(kept);
    return rc;
}

void hsr_target_journal_ended(struct hsr_target *target, struct target_entry *entry, bool keep)
{
    if (entry->offered)
        target->resume.offered--;
    entry->offered = false;
    if (entry->kept != NULL)
        hsr_target_journal_unkeep(target, entry, keep);
}

void hsr_target_journal_unkeep(struct hsr_target *target, struct target_entry *entry, bool keep)
{
    struct target_kept *kept = entry->kept;

    entry->kept = NULL;
    if (kept->reread != NULL)
        hsr_list_remove(&kept->reread->node);
    free(kept->reread);
    if (keep) {
        hsr_stage_leave(&target->tree, &kept->stage);
    } else {
        hsr_stage_abort(&target->tree, &kept->stage);
        (void)hsr_journal_do(
            target->resume.journal,
            &(struct hsr_journal_record){ .kind = HSR_JOURNAL_GONE, .slot = kept->slot });
    }
    free(kept->ranges);
    free(kept);
}

/* ---- what is kept for a later one ---- */

bool hsr_target_journal_wants(const struct hsr_target *target, const struct hsr_target_file *file)
{
    const struct hsr_journal *journal = target->resume.journal;

    return journal != NULL && !journal->off && (file->entry.flags & HSR_ENTRY_VERSION) &&
           file->entry.size >= HSR_KEPT_FILE_MIN;
}

void hsr_target_journal_begin(struct hsr_target *target, struct hsr_target_file *file)
{
    const struct target_dir *dir = file->page->entries[file->index].dir;
    struct hsr_journal *journal = target->resume.journal;
    struct hsr_session *session = target->session;
    struct hsr_journal_record record = { .kind = HSR_JOURNAL_FILE };
    struct statx stx;
    int slot;

    if (!hsr_target_journal_wants(target, file) || file->stage.temp[0] == '\0' ||
        !journal_key(target, dir, &file->entry, &record.file.path) ||
        hsr_at_statx(&session->home->loop, file->stage.fd, "", &stx) < 0 ||
        hsr_journal_table_find(&journal->table, record.file.path) >= 0)
        return;
    slot = hsr_journal_slot(journal);
    if (slot < 0)
        return; /* it is not kept */
    record.slot = (uint32_t)slot;
    record.file.claimed = true;
    record.file.digest = session->digest;
    record.file.leaf = session->leaf;
    record.file.version = file->entry.version;
    record.file.size = file->entry.size;
    record.file.ino = stx.stx_ino;
    hsr_stage_id(&file->stage, record.file.stage);
    if (hsr_journal_do(journal, &record) == 0)
        file->slot = slot;
}

void hsr_target_units(struct hsr_session *session, struct hsr_intake *intake)
{
    struct hsr_target *target = session->target;
    struct hsr_target_file *file = intake->file;
    const struct hsr_units *units = &intake->units;

    hsr_assert(units->out && file != NULL && file->borrows > 0);
    for (uint32_t i = 0; i < units->told && file->slot >= 0; i++) {
        const struct hsr_unit *unit = &units->list[(units->head + i) % HSR_UNITS_MAX];
        struct hsr_journal_record record = {
            .kind = HSR_JOURNAL_RANGE,
            .slot = (uint32_t)file->slot,
            .range = { .at = { .offset = unit->end - HSR_KEPT_UNIT, .size = HSR_KEPT_UNIT },
                       .level = HSR_RANGE_WRITTEN },
        };

        memcpy(record.range.at.value, unit->value, sizeof(unit->value));
        if (hsr_journal_do(target->resume.journal, &record) < 0)
            continue; /* no room: it would be sent again */
        file->fresh += HSR_KEPT_UNIT;
        target->resume.fresh += HSR_KEPT_UNIT;
    }
    hsr_session_wake(session);
}

void hsr_target_journal_end(struct hsr_target *target, struct hsr_target_file *file)
{
    if (file->slot < 0)
        return;
    (void)hsr_journal_do(
        target->resume.journal,
        &(struct hsr_journal_record){ .kind = HSR_JOURNAL_GONE, .slot = (uint32_t)file->slot });
    file->slot = -1;
}

bool hsr_target_journal_leave(struct hsr_target *target, struct hsr_target_file *file)
{
    const struct hsr_journal *journal = target->resume.journal;

    if (file->slot < 0 || (file->rc < 0 && file->rc != HSR_E_CANCELED) || file->stale ||
        journal->off || journal->table.files[file->slot].range_count == 0)
        return false;
    hsr_stage_leave(&target->tree, &file->stage);
    file->slot = -1;
    return true;
}

void hsr_target_journal_step(struct hsr_target *target)
{
    struct hsr_journal *journal = target->resume.journal;

    if (journal == NULL)
        return;
    if (target->session->state == HSR_SESSION_MOVING) {
        journal_say(target);
        journal_offer(target);
        hsr_target_rereads_step(target);
        journal_sync(target);
    }
    journal_syncs_heard(target);
    hsr_journal_step(journal);
    if (hsr_journal_idle(journal) && !hsr_journal_settled(journal))
        hsr_session_wake(target->session); /* a step without an operation: the next one goes on */
}

/* Where nobody asked for it, and on a tmpfs, never. */
static bool journal_syncs(const struct hsr_target *target)
{
    const struct hsr_session *session = target->session;

    return session->durability == HSR_DURABILITY_DURABLE && !session->call_io &&
           !target->resume.journal->off;
}

/* Sync what has come since the last time. */
static void journal_sync(struct hsr_target *target)
{
    struct target_resume *resume = &target->resume;
    struct hsr_session *session = target->session;
    uint64_t now_ns = session->home->loop.now_ns;

    if (!journal_syncs(target) || resume->fresh == 0 || now_ns - resume->sync_ns < SYNC_NS)
        return;
    resume->fresh = 0;
    resume->sync_ns = now_ns;
    for (struct hsr_list *node = target->files.next; node != &target->files; node = node->next) {
        struct hsr_target_file *file = hsr_container_of(node, struct hsr_target_file, node);

        if (file->slot >= 0 && file->fresh > 0 && !file->finishing && !file->sync_op.armed &&
            file->rc == 0)
            journal_sync_file(target, file);
    }
}

bool hsr_target_journal_flush(struct hsr_target *target)
{
    const struct hsr_journal *journal = target->resume.journal;
    bool quiet = true;

    if (journal == NULL)
        return true;
    for (struct hsr_list *node = target->files.next; node != &target->files; node = node->next) {
        struct hsr_target_file *file = hsr_container_of(node, struct hsr_target_file, node);

        if (file->slot >= 0 && file->fresh > 0 && !file->finishing && !file->sync_op.armed &&
            file->rc == 0 && journal_syncs(target))
            journal_sync_file(target, file);
        quiet &= !file->sync_op.armed && !file->sync_heard;
    }
    if (quiet && hsr_journal_idle(journal) && !hsr_journal_settled(journal))
        hsr_session_wake(target->session); /* what was just told is written in the next step */
    return quiet && hsr_journal_settled(journal);
}

void hsr_target_left(const struct hsr_session *session, uint64_t *ret_files, uint64_t *ret_bytes)
{
    const struct hsr_journal *journal = session->target->resume.journal;

    *ret_files = *ret_bytes = 0;
    for (uint32_t i = 0; journal != NULL && !journal->off && i < HSR_JOURNAL_FILES_MAX; i++) {
        const struct hsr_journal_file *file = &journal->table.files[i];

        if (!file->used || file->range_count == 0)
            continue;
        *ret_files += 1;
        *ret_bytes += hsr_journal_file_bytes(file);
    }
}

static void journal_sync_file(struct hsr_target *target, struct hsr_target_file *file)
{
    struct hsr_journal_record record = { .kind = HSR_JOURNAL_SYNC,
                                         .level = HSR_RANGE_SYNCING,
                                         .slot = (uint32_t)file->slot };

    file->fresh = 0;
    (void)hsr_journal_do(target->resume.journal, &record);
    file->sync_op = (struct hsr_op){ .kind = HSR_OP_FSYNC,
                                     .done = journal_synced,
                                     .fd = file->fd,
                                     .data_only = true,
                                     .buf_index = -1 };
    hsr_loop_submit(&target->session->home->loop, &file->sync_op);
}

static void journal_synced(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_target_file *file = hsr_container_of(op, struct hsr_target_file, sync_op);

    if (flags & HSR_CQE_MORE)
        return;
    file->sync_rc = (int)HSR_MIN(res, 0);
    file->sync_heard = true;
    file->session->target->resume.heard = true;
    hsr_session_wake(file->session);
}

static void journal_syncs_heard(struct hsr_target *target)
{
    struct target_resume *resume = &target->resume;

    if (!resume->heard)
        return;
    resume->heard = false;
    for (struct hsr_list *node = target->files.next, *next; node != &target->files; node = next) {
        struct hsr_target_file *file = hsr_container_of(node, struct hsr_target_file, node);
        struct hsr_journal_record record = { .kind = HSR_JOURNAL_SYNC, .level = HSR_RANGE_DURABLE };

        next = node->next;
        if (!file->sync_heard)
            continue;
        file->sync_heard = false;
        record.slot = (uint32_t)file->slot;
        if (file->sync_rc < 0) { /* fsync(2) tells of it once: the file's own would not */
            file->rc = file->rc == 0 ? file->sync_rc : file->rc;
            record.level = HSR_RANGE_WRITTEN;
        }
        (void)hsr_journal_do(resume->journal, &record);
        resume->journal->want_sync = true;
        hsr_target_file_check(target, file); /* it may have waited for this alone */
    }
}

bool hsr_target_journal_idle(const struct hsr_target *target)
{
    return target->resume.journal == NULL || hsr_journal_settled(target->resume.journal);
}

bool hsr_target_journal_finish(struct hsr_target *target)
{
    struct target_resume *resume = &target->resume;

    if (resume->journal == NULL)
        return true;
    /* What is left is of others: if all of the root was listed, of nobody. */
    if (target->root_end != NULL ? !hsr_journal_idle(resume->journal)
                                 : !hsr_journal_settled(resume->journal))
        return false;
    hsr_assert(hsr_list_empty(&target->files) && resume->count == 0 && resume->offered == 0);
    target->root.changed |= resume->journal->fd >= 0;
    hsr_journal_close(resume->journal, target->root_end != NULL);
    free(resume->journal);
    resume->journal = NULL;
    return true;
}

void hsr_target_journal_destroy(struct hsr_target *target)
{
    struct target_resume *resume = &target->resume;

    for (uint32_t i = 0; target->pages != NULL && i < HSR_PAGES_MAX; i++)
        for (uint16_t k = 0; target->pages[i].used && k < target->pages[i].count; k++)
            hsr_target_journal_ended(target, &target->pages[i].entries[k], /* keep= */ true);
    hsr_target_rereads_destroy(target);
    if (resume->journal != NULL)
        hsr_journal_close(resume->journal, /* done= */ false);
    free(resume->journal);
    free(resume->queue);
    memset(resume, 0, sizeof(*resume));
}
