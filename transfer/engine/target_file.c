/* File data at the target's home: resolves packs and ranges for the streams, counts what came,
 * commits.
 *
 *   large file: WANTED -> BUSY (staged, ranges lent) -> [syncing, alone or in a group] -> SETTLED
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/target_impl.h"
#include "transfer/engine/window.h"

static void file_loss_over(struct hsr_target *target);
static void file_pack_asked(struct hsr_target *target, struct hsr_intake *intake);
static int file_item_resolve(struct hsr_target *target, struct hsr_pack_item *item);
static void file_pack_done(struct hsr_target *target, struct hsr_intake *intake);
static bool file_range_asked(struct hsr_target *target, struct hsr_intake *intake);
static bool file_holes_asked(struct hsr_target *target);
static void file_grant(struct hsr_target *target, struct hsr_target_file *file,
                       struct hsr_intake *intake);
static int file_open(struct hsr_target *target, struct hsr_target_file *file,
                     struct target_entry *entry);
static int file_open_in_place(struct hsr_target *target, struct hsr_target_file *file,
                              const struct target_entry *entry, bool sparse);
static int file_seal(struct hsr_target *target, struct hsr_target_file *file);
static bool file_is_stale(struct hsr_session *session, const struct hsr_target_file *file,
                          const struct hsr_file_end *end);
static void file_again(struct hsr_target *target, struct hsr_target_file *file);
static struct hsr_target_file *file_make(struct hsr_target *target, struct target_page *page,
                                         uint16_t index);
static void file_io_choose(struct hsr_target *target, struct hsr_target_file *file);
static int file_tail_write(struct hsr_session *session, struct hsr_target_file *file);
static void file_finish(struct hsr_target *target, struct hsr_target_file *file);
static void file_synced(struct hsr_op *op, int64_t res, unsigned flags);
static int file_publish(struct hsr_target *target, struct hsr_target_file *file);
static void file_commit(struct hsr_target *target, struct hsr_target_file *file);
static void file_free(struct hsr_target *target, struct hsr_target_file *file);

void hsr_target_intake_came(struct hsr_session *session, struct hsr_intake *intake)
{
    hsr_list_push_tail(&session->target->arrived, &intake->asking);
    hsr_session_wake(session);
}

void hsr_target_intakes_step(struct hsr_target *target)
{
    struct hsr_session *session = target->session;

    while (!hsr_list_empty(&target->arrived)) {
        struct hsr_list *node = hsr_list_pop_head(&target->arrived);

        hsr_target_intake(session, hsr_container_of(node, struct hsr_intake, asking));
        if (session->state == HSR_SESSION_MOVING && hsr_loop_slice_over(&session->home->loop)) {
            hsr_session_wake(session);
            return;
        }
    }
}

void hsr_target_intake(struct hsr_session *session, struct hsr_intake *intake)
{
    struct hsr_target *target = session->target;

    if (intake->done && !intake->lost)
        hsr_loss_taken(session, intake->stream->index);
    if (!intake->done) {
        if (intake->pack && !intake->granted)
            file_pack_asked(target, intake);
        if (intake->pack ? !hsr_target_batch_grant(target, intake)
                         : !file_range_asked(target, intake))
            return; /* later */
    } else if (intake->pack) {
        file_pack_done(target, intake);
    } else if (intake->file != NULL) {
        struct hsr_target_file *file = intake->file;

        hsr_assert(file->borrows > 0);
        file->borrows--;
        if (intake->lost) { /* it is sent again, unless it was written in place */
            file->stale |= file->window != NULL;
            hsr_stream_answer(intake);
            return;
        }
        file->bytes += intake->bytes;
        file->io = intake->io;
        file->tail_set |= intake->tail_set;
        file->stale |= intake->stale;
        target->session->progress.delta.copied += intake->copied;
        if (file->rc == 0)
            file->rc = intake->rc;
        if (file->rc == 0)
            file->rc = hsr_tally_add(&file->tally, &intake->run, &session->tally_budget);
        hsr_target_file_check(target, file);
    }
    hsr_stream_answer(intake);
}

int hsr_target_file_ended(struct hsr_target *target, struct target_page *page, uint16_t index,
                          const struct hsr_file_end *end)
{
    const struct hsr_session *session = target->session;
    struct target_entry *entry = &page->entries[index];
    struct hsr_target_file *file;

    hsr_require(page->want_sent, HSR_E_PROTOCOL);
    hsr_require(!entry->resuming, HSR_E_PROTOCOL);
    hsr_require(entry->state == TARGET_WANTED || (entry->state == TARGET_BUSY && entry->file),
                HSR_E_PROTOCOL);
    if (page->ends == NULL) {
        page->ends = calloc(HSR_PAGE_ENTRIES_MAX, sizeof(*page->ends));
        hsr_require(page->ends != NULL, -ENOMEM);
        for (uint32_t i = 0; i < HSR_PAGE_ENTRIES_MAX; i++)
            page->ends[i].code = 1; /* not heard */
    }
    /* What was lost may turn out to be unreadable when it is to be sent again. */
    hsr_require(page->ends[index].code == 1 || (session->losses.count > 0 && end->code < 0),
                HSR_E_PROTOCOL);
    hsr_require(entry->file == NULL || !entry->file->finishing, HSR_E_PROTOCOL);
    page->ends[index] = *end;
    hsr_target_basis_ended(target, entry);
    if (entry->offered) { /* the source has room for what is kept of another one */
        entry->offered = false;
        target->resume.offered--;
    }
    file = entry->file;
    if (file == NULL && end->bytes == 0 && end->code < 0) {
        entry->state = TARGET_BUSY;
        hsr_target_settle(target, page, index, end->code, NULL);
        return 0;
    }
    if (file == NULL && end->bytes == 0) { /* a hole from end to end */
        if (target->file_count >= target->files_max) {
            target->holes_waiting = true;
            return 0;
        }
        file = file_make(target, page, index);
        hsr_require(file != NULL, -ENOMEM);
    }
    if (file != NULL)
        hsr_target_file_check(target, file);
    return 0;
}

void hsr_target_files_asked(struct hsr_target *target)
{
    struct hsr_session *session = target->session;

    file_loss_over(target);
    while (!hsr_list_empty(&target->asking) &&
           (session->state != HSR_SESSION_MOVING || target->file_count < target->files_max)) {
        struct hsr_list *node = hsr_list_pop_head(&target->asking);

        hsr_target_intake(session, hsr_container_of(node, struct hsr_intake, asking));
    }
    if (session->state == HSR_SESSION_MOVING && !file_holes_asked(target))
        hsr_session_end(session, -ENOMEM, "no memory for a file");
}

/* Make the files that are holes from end to end, as far as there are places. False: no memory. */
static bool file_holes_asked(struct hsr_target *target)
{
    bool waiting = target->holes_waiting;

    target->holes_waiting = false;
    for (uint32_t i = 0; waiting && i < HSR_PAGES_MAX; i++) {
        struct target_page *page = &target->pages[i];

        for (uint16_t k = 0; page->used && page->ends != NULL && k < page->count; k++) {
            struct hsr_target_file *file;

            if (page->entries[k].state != TARGET_WANTED || page->entries[k].resuming ||
                page->ends[k].code != 0 || page->ends[k].bytes != 0)
                continue;
            if (target->file_count >= target->files_max) {
                target->holes_waiting = true;
                return true;
            }
            file = file_make(target, page, k);
            if (file == NULL)
                return false;
            hsr_target_file_check(target, file);
        }
    }
    return true;
}

void hsr_target_loses(struct hsr_session *session)
{
    struct hsr_target *target = session->target;

    if (target == NULL)
        return;
    target->files_max = TARGET_FILES_LOSSY;
    for (struct hsr_list *node = target->files.next; node != &target->files; node = node->next)
        hsr_container_of(node, struct hsr_target_file, node)->lossy = true;
    hsr_session_wake(session);
}

/* What a loss may hold up is through: no more files than before are needed. */
static void file_loss_over(struct hsr_target *target)
{
    if (target->files_max == TARGET_FILES_MAX || target->file_count > TARGET_FILES_MAX ||
        hsr_loss_open(target->session))
        return;
    for (struct hsr_list *node = target->files.next; node != &target->files; node = node->next)
        if (hsr_container_of(node, struct hsr_target_file, node)->lossy)
            return;
    target->files_max = TARGET_FILES_MAX;
}

void hsr_target_stream_gone(struct hsr_session *session, const struct hsr_stream *stream)
{
    struct hsr_target *target = session->target;

    for (struct hsr_list *node = target->files.next; node != &target->files; node = node->next) {
        struct hsr_target_file *file = hsr_container_of(node, struct hsr_target_file, node);

        if (file->writer != stream)
            continue;
        file->writer = NULL; /* in place another one cannot go on: it is wanted whole */
        file->stale |= file->window != NULL;
    }
}

void hsr_target_files_free(struct hsr_target *target)
{
    while (!hsr_list_empty(&target->files))
        file_free(target, hsr_container_of(target->files.next, struct hsr_target_file, node));
}

/* A pack came: find what its members are, so that the stream can make them. */
static void file_pack_asked(struct hsr_target *target, struct hsr_intake *intake)
{
    struct hsr_chunk *chunk = intake->chunk;
    bool moving = target->session->state == HSR_SESSION_MOVING;

    for (uint32_t i = 0; i < chunk->item_count; i++) {
        struct hsr_pack_item *item = &chunk->items[i];
        int rc = moving ? file_item_resolve(target, item) : HSR_E_CANCELED;

        if (rc < 0) {
            item->code = rc;
            item->entry = NULL;
            if (moving)
                hsr_session_end(target->session, rc, "a pack with a member nobody asked for");
            moving = false;
        }
    }
}

static int file_item_resolve(struct hsr_target *target, struct hsr_pack_item *item)
{
    struct target_page *page = hsr_target_page_find(target, item->member.page);
    struct hsr_session *session = target->session;
    struct target_entry *entry;

    hsr_require(page != NULL && item->member.index < page->count, HSR_E_PROTOCOL);
    entry = &page->entries[item->member.index];
    hsr_require(page->want_sent && entry->state == TARGET_WANTED && !entry->resuming,
                HSR_E_PROTOCOL);
    hsr_require(!item->member.patch || entry->patch_base > 0, HSR_E_PROTOCOL);
    entry->state = TARGET_BUSY;
    item->entry = page->payload + entry->offset;
    item->entry_size = entry->size;
    item->dir = &entry->dir->dir;
    item->replace = entry->replace;
    item->base_size = entry->patch_base;
    if (session->client && session->single_name && entry->dir == &target->root)
        item->name = session->top_name;
    return 0;
}

/* A small file that needed no sync: its name was given at once. */
static void file_put(struct hsr_target *target, struct target_page *page,
                     const struct hsr_pack_item *item)
{
    target->groups.levels.received++;
    hsr_target_committed(target, page, item->member.index, item->size, item->warning);
}

static void file_pack_done(struct hsr_target *target, struct hsr_intake *intake)
{
    struct hsr_chunk *chunk = intake->chunk;

    hsr_target_batch_take(target, intake);
    for (uint32_t i = 0; i < chunk->item_count; i++) {
        struct hsr_pack_item *item = &chunk->items[i];
        struct target_page *page;

        if (item->entry == NULL)
            continue; /* it was never ours */
        if (item->code == 0 && item->member.code == 0) {
            target->session->progress.delta.files += item->member.patch;
            target->session->progress.delta.copied += item->copied;
        }
        if (item->staged)
            continue; /* it waits for a sync */
        page = hsr_target_page_find(target, item->member.page);
        hsr_assert(page != NULL); /* its entry is not settled */
        if (item->member.code < 0)
            hsr_target_settle(target, page, item->member.index, item->member.code, NULL);
        else if (item->again)
            hsr_target_small_again(target, page, item->member.index);
        else if (item->code == HSR_E_CANCELED)
            hsr_target_settle(target, page, item->member.index, item->code, NULL);
        else if (item->code < 0)
            hsr_target_settle(target, page, item->member.index, item->code, "write");
        else
            file_put(target, page, item);
    }
}

/* The first bytes of a range came: the file's stage, made on the first of its ranges. False: there
 * are too many files now; the stream's chunks fill up and its sender waits. */
static bool file_range_asked(struct hsr_target *target, struct hsr_intake *intake)
{
    struct hsr_session *session = target->session;
    struct target_page *page = hsr_target_page_find(target, intake->page);
    struct target_entry *entry = NULL;
    struct hsr_target_file *file = NULL;

    if (page != NULL && intake->index < page->count && page->want_sent)
        entry = &page->entries[intake->index];
    if (session->state != HSR_SESSION_MOVING) {
        intake->rc = HSR_E_CANCELED;
    } else if (entry == NULL ||
               !((entry->state == TARGET_WANTED && !entry->resuming) ||
                 (entry->state == TARGET_BUSY && entry->file != NULL && !entry->file->finishing))) {
        intake->rc = HSR_E_PROTOCOL;
        hsr_session_end(session, HSR_E_PROTOCOL, "data that nobody asked for");
    } else if (entry->file == NULL && target->file_count >= target->files_max) {
        hsr_list_push_tail(&target->asking, &intake->asking);
        return false;
    } else {
        file = entry->file != NULL ? entry->file : file_make(target, page, (uint16_t)intake->index);
        if (file == NULL) {
            intake->rc = -ENOMEM;
            hsr_session_end(session, -ENOMEM, "no memory for a file");
        }
    }
    if (file != NULL)
        file_grant(target, file, intake);
    return true;
}

/* What a stream has to know of a file to write a range of it. */
static void file_grant(struct hsr_target *target, struct hsr_target_file *file,
                       struct hsr_intake *intake)
{
    struct hsr_session *session = target->session;

    file->borrows++;
    intake->file = file;
    intake->fd = file->fd;
    intake->rc = file->rc;
    intake->file_size = file->entry.size;
    intake->sparse = (file->entry.flags & HSR_ENTRY_SPARSE) != 0;
    intake->rewrite = file->rewrite;
    intake->io = file->io;
    intake->tail = file->tail;
    intake->turn = session->call_io ? &file->turn : NULL;
    intake->units.wanted = file->slot >= 0;
    if (file->basis == NULL)
        return;
    intake->basis_fd = file->basis->basis.fd;
    intake->basis_size = file->basis->plan.base_size;
    intake->basis_call = session->call_io;
    intake->window = file->stale ? NULL : file->window;
    intake->stale = file->stale;
    if (file->writer == NULL)
        file->writer = intake->stream;
    if (file->stale)
        return; /* its frames are dropped, whoever brings them */
    if (file->window != NULL && file->writer != intake->stream) {
        intake->rc = HSR_E_PROTOCOL;
        intake->window = NULL; /* it belongs to the other stream's thread */
        hsr_session_end(session, HSR_E_PROTOCOL, "a file changed in place by two streams");
    }
}

static struct hsr_target_file *file_make(struct hsr_target *target, struct target_page *page,
                                         uint16_t index)
{
    struct target_entry *entry = &page->entries[index];
    struct hsr_target_file *file;

    hsr_assert(target->file_count < target->files_max);
    file = calloc(1, sizeof(*file));
    if (file == NULL)
        return NULL;
    file->session = target->session;
    file->page = page;
    file->index = index;
    hsr_list_init(&file->node);
    hsr_list_init(&file->group);
    hsr_turn_init(&file->turn);
    hsr_target_entry_read(target, page, index, &file->entry);
    hsr_tally_init(&file->tally, (enum hsr_digest_kind)target->session->digest,
                   target->session->leaf);
    file->stage.fd = file->place.fd = file->fd = -1;
    file->slot = -1;
    if (entry->delta)
        file->basis = entry->basis;
    if (!(target->session->options & HSR_OPT_DISCARD)) {
        file->rc = file_open(target, file, entry);
        file->fd = file->stage.fd >= 0 ? file->stage.fd : file->place.fd;
        if (file->rc == 0 && file->window == NULL)
            file_io_choose(target, file);
        if (file->rc == 0)
            file->rc = hsr_target_huge_begin(target, file);
    }
    hsr_list_push_tail(&target->files, &file->node);
    target->file_count++;
    entry->file = file;
    entry->state = TARGET_BUSY;
    return file;
}

/* Where its content goes: a stage; with a basis one that begins as its clone, where the file system
 * can; with --inplace the file that has the name. */
static int file_open(struct hsr_target *target, struct hsr_target_file *file,
                     struct target_entry *entry)
{
    struct hsr_tree *tree = &target->tree;
    struct hsr_entry plan = file->entry;
    bool sparse = (plan.flags & HSR_ENTRY_SPARSE) != 0;
    bool clone = file->basis != NULL && !sparse && !tree->no_clone;
    int rc;

    if (entry->kept != NULL)
        return hsr_target_journal_adopt(target, file, entry);
    if ((target->session->options & HSR_OPT_INPLACE) && entry->replace &&
        file_open_in_place(target, file, entry, sparse) == 0)
        return 0;
    if (clone)
        plan.flags |= HSR_ENTRY_SPARSE; /* its length, and no blocks of its own */
    rc = hsr_target_journal_wants(target, file)
             ? hsr_stage_open_hidden(tree, &entry->dir->dir, &plan, entry->replace, &file->stage)
             : hsr_stage_open(tree, &entry->dir->dir, &plan, entry->replace, &file->stage);
    if (rc < 0)
        file->stage.fd = -1;
    else
        hsr_target_journal_begin(target, file);
    if (rc < 0 || !clone)
        return rc;
    rc = hsr_basis_clone(tree, &file->basis->basis, file->stage.fd, plan.size);
    file->rewrite = rc == 0;
    return rc == -EOPNOTSUPP ? 0 : rc;
}

/* What cannot be opened for writing is replaced after all; so is a file of several names: at the
 * source they may be several files. */
static int file_open_in_place(struct hsr_target *target, struct hsr_target_file *file,
                              const struct target_entry *entry, bool sparse)
{
    struct hsr_loop *loop = &target->session->home->loop;
    int rc;

    if (file->basis != NULL) {
        hsr_require(file->basis->basis.links == 1, -EMLINK);
        file->window = hsr_window_create(file->basis->plan.base_size);
        if (file->window == NULL)
            return -ENOMEM;
        file->place = file->basis->basis; /* its descriptor stays the basis's own */
        file->rewrite = true;
        file->io = (struct hsr_fileio){ .call = target->session->call_io };
        return 0;
    }
    rc = hsr_basis_open(&target->tree, &entry->dir->dir, file->entry.name, true, &file->place);
    if (rc < 0)
        return rc;
    if (file->place.links > 1)
        rc = -EMLINK;
    if (rc == 0 && sparse)
        rc = hsr_basis_cut(loop, &file->place, file->entry.size, true);
    if (rc < 0)
        hsr_basis_close(loop, &file->place);
    return rc;
}

/* Direct where that pays and there is memory for the end of the file; else through the cache. */
static void file_io_choose(struct hsr_target *target, struct hsr_target_file *file)
{
    struct hsr_session *session = target->session;
    struct hsr_loop *loop = &session->home->loop;

    file->io = hsr_fileio_target(loop, file->fd, file->entry.size, hsr_session_fileio(session));
    if (file->io.align == 0 || file->entry.size % file->io.align == 0)
        return;
    if (target->tail_count < HSR_FILES_DIRECT_MAX)
        file->tail = malloc(file->io.align);
    if (file->tail != NULL)
        target->tail_count++;
    else
        file->rc = hsr_fileio_undirect(loop, file->fd, &file->io);
}

/* What follows the last whole block goes through the page cache: a write of a part of a block
 * cannot be direct, and one of a whole block would make the file longer. */
static int file_tail_write(struct hsr_session *session, struct hsr_target_file *file)
{
    uint32_t size = (uint32_t)(file->entry.size % HSR_FILEIO_ALIGN_MAX);
    uint64_t offset = file->entry.size - size;
    struct hsr_loop *loop = &session->home->loop;
    uint32_t done = 0;
    int rc = hsr_fileio_undirect(loop, file->fd, &file->io);

    rc = rc < 0 ? rc : 1;
    while (rc > 0) {
        struct hsr_op op = {
            .kind = HSR_OP_WRITE, .fd = file->fd, .buf = file->tail, .buf_index = -1
        };

        int64_t res;

        hsr_fileio_prepare(&file->io, &op, offset, size, done);
        res = hsr_loop_call(loop, &op);
        hsr_session_moved(session, &op, res);
        rc = hsr_fileio_result(loop, &op, &file->io, res, size, &done);
    }
    return rc == -ENODATA ? -EIO : rc;
}

/* Is all of it here, and is it what was read? */
void hsr_target_file_check(struct hsr_target *target, struct hsr_target_file *file)
{
    struct hsr_session *session = target->session;
    const struct hsr_file_end *end;

    if (session->state != HSR_SESSION_MOVING || file->borrows > 0 || file->finishing ||
        file->page->ends == NULL || file->huge.op.armed || file->sync_op.armed || file->sync_heard)
        return;
    end = &file->page->ends[file->index];
    if (end->code == 1 || file->bytes < end->bytes)
        return;
    if (file->basis != NULL && end->code == 0 && file_is_stale(session, file, end)) {
        file_again(target, file);
        return;
    }
    file->finishing = true;
    if (file->rc == 0 && end->code < 0)
        file->rc = end->code;
    if (file->rc == 0 && file->bytes != end->bytes)
        file->rc = HSR_E_DIGEST;
    if (file->rc == 0 && end->size != file->entry.size)
        file->rc = HSR_E_CHANGED;
    if (session->digest != HSR_DIGEST_BLAKE3) {
        file_finish(target, file);
        return;
    }
    file->summing = target->files_summing = true;
    hsr_session_wake(session);
}

/* One file in a step of the home. */
void hsr_target_files_sum(struct hsr_target *target)
{
    struct hsr_session *session = target->session;
    bool summed = false, waiting = false;

    if (!target->files_summing || session->state != HSR_SESSION_MOVING)
        return;
    for (struct hsr_list *node = target->files.next, *next; node != &target->files; node = next) {
        struct hsr_target_file *file = hsr_container_of(node, struct hsr_target_file, node);
        int rc = 1;

        next = node->next;
        if (!file->summing)
            continue;
        if (file->rc < 0)
            rc = 0;
        else if (!summed)
            rc = hsr_tally_zeros(&file->tally, file->entry.size, &session->home->loop,
                                 &session->tally_budget);
        summed = true;
        if (rc > 0) {
            waiting = true;
            continue;
        }
        file->summing = false;
        if (rc < 0 && file->rc == 0)
            file->rc = rc;
        file_finish(target, file);
    }
    target->files_summing = waiting;
    if (waiting)
        hsr_session_wake(session);
}

/* Its digest is known: compare, sync, and give it its name. */
static void file_finish(struct hsr_target *target, struct hsr_target_file *file)
{
    struct hsr_session *session = target->session;
    const struct target_dir *dir = file->page->entries[file->index].dir;
    uint8_t digest[HSR_DIGEST_SIZE_MAX];

    if (file->rc == 0)
        file->rc = hsr_tally_final(&file->tally, file->entry.size, digest);
    if (file->rc == 0 && memcmp(digest, file->page->ends[file->index].digest, sizeof(digest)) != 0)
        file->rc = HSR_E_DIGEST;
    if (file->rc == HSR_E_DIGEST && file->basis != NULL) {
        file_again(target, file); /* two blocks with the same sums */
        return;
    }
    target->groups.levels.received += file->rc == 0;
    if (file->rc == 0 && file->tail_set)
        file->rc = file_tail_write(session, file);
    if (file->rc == 0 && file->place.fd >= 0)
        file->rc = hsr_basis_cut(&session->home->loop, &file->place, file->entry.size, false);
    if (file->rc == 0 && file->stage.fd >= 0)
        file->rc = file_seal(target, file);
    if (file->rc == 0 && hsr_target_groups(session, &dir->dir)) {
        if (hsr_target_group_file(target, file))
            return;
        file->op = (struct hsr_op){ .kind = HSR_OP_FSYNC,
                                    .done = file_synced,
                                    .fd = file->fd,
                                    .data_only = true,
                                    .buf_index = -1 };
        hsr_loop_submit(&session->home->loop, &file->op);
        target->file_syncs++;
        return;
    }
    file_commit(target, file);
}

/* Its metadata, before it is synced: then only the name is missing. */
static int file_seal(struct hsr_target *target, struct hsr_target_file *file)
{
    const struct target_dir *dir = file->page->entries[file->index].dir;
    int rc = hsr_stage_seal(&target->tree, &file->stage, &file->entry);

    hsr_target_warn(target, dir, &file->entry, target->tree.warning.code, target->tree.warning.op);
    target->tree.warning.code = 0;
    return rc;
}

/* Did the delta fail? Its basis changed, or something in it is not what the source saw. */
static bool file_is_stale(struct hsr_session *session, const struct hsr_target_file *file,
                          const struct hsr_file_end *end)
{
    if (file->rc < 0 && !file->stale)
        return false; /* it failed for a reason of its own */
    if (file->stale || file->bytes != end->bytes)
        return true;
    if (file->rewrite && file->bytes != file->entry.size)
        return true; /* what nobody sent is not zeros */
    return file->window == NULL && hsr_basis_check(&session->home->loop, &file->basis->basis) < 0;
}

/* Want all of it. */
static void file_again(struct hsr_target *target, struct hsr_target_file *file)
{
    struct hsr_want_item item = { .index = file->index, .action = HSR_WANT_WHOLE };
    struct target_page *page = file->page;
    struct target_entry *entry = &page->entries[file->index];

    target->session->progress.delta.fallbacks++;
    page->ends[file->index].code = 1; /* another one will come */
    entry->file = NULL;
    entry->delta = false;
    file_free(target, file);
    hsr_target_basis_drop(target, page, item.index);
    hsr_target_want(page, item.index, &item);
    hsr_session_wake(target->session);
}

static void file_synced(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_target_file *file = hsr_container_of(op, struct hsr_target_file, op);
    struct hsr_target *target = file->session->target;

    if (flags & HSR_CQE_MORE)
        return;
    if (res < 0)
        file->rc = (int)res;
    file->synced = true;
    hsr_assert(target->file_syncs > 0);
    target->file_syncs--;
    target->files_synced = true; /* committed by the task, not here */
    hsr_session_wake(file->session);
}

void hsr_target_files_commit(struct hsr_target *target)
{
    if (!target->files_synced)
        return;
    target->files_synced = false;
    for (struct hsr_list *node = target->files.next, *next; node != &target->files; node = next) {
        struct hsr_target_file *file = hsr_container_of(node, struct hsr_target_file, node);

        next = node->next;
        if (file->synced)
            file_commit(target, file);
    }
}

static int file_publish(struct hsr_target *target, struct hsr_target_file *file)
{
    struct hsr_basis held;
    int rc;

    hsr_target_replaced_hold(target, file, &held);
    rc = hsr_stage_publish(&target->tree, &file->stage, &file->entry);
    hsr_target_replaced_close(target, &held);
    return rc;
}

static void file_commit(struct hsr_target *target, struct hsr_target_file *file)
{
    struct target_page *page = file->page;
    uint16_t index = file->index;
    struct target_dir *dir = page->entries[index].dir;
    bool source_knows = file->rc < 0 && file->rc == page->ends[index].code;
    const char *op = source_knows ? NULL : "write";
    int rc = file->rc;

    hsr_target_group_drop(target, file);
    if (rc == 0 && !(target->session->options & HSR_OPT_DISCARD)) {
        if (file->place.fd >= 0)
            rc = hsr_basis_finish(&target->tree, &file->place, &file->entry);
        else
            rc = file_publish(target, file);
        file->stage.fd = -1;
        hsr_target_journal_end(target, file);
        hsr_target_warn(target, dir, &file->entry, target->tree.warning.code,
                        target->tree.warning.op);
        target->tree.warning.code = 0;
    }
    page->entries[index].file = NULL;
    if (rc == 0 && file->basis != NULL)
        target->session->progress.delta.files++;
    if (rc < 0)
        hsr_target_settle(target, page, index, rc, op);
    else
        hsr_target_committed(target, page, index, file->entry.size, 0);
    file_free(target, file);
}

void hsr_target_committed(struct hsr_target *target, struct target_page *page, uint16_t index,
                          uint64_t bytes, int warning)
{
    struct hsr_session *session = target->session;
    struct target_entry *entry = &page->entries[index];
    struct hsr_entry read;

    session->totals.files++;
    session->totals.bytes += bytes;
    session->progress.files_done++;
    target->groups.levels.written++;
    entry->dir->changed = true;
    target->changed = true;
    if (warning != 0 || (session->options & HSR_OPT_NAMES)) {
        hsr_target_entry_read(target, page, index, &read);
        hsr_target_warn(target, entry->dir, &read, warning, NULL);
        hsr_target_tell(target, entry->dir, &read,
                        entry->replace ? HSR_NOTE_UPDATED : HSR_NOTE_CREATED);
    }
    hsr_target_settle(target, page, index, 0, NULL);
}

static void file_free(struct hsr_target *target, struct hsr_target_file *file)
{
    hsr_assert(!file->op.armed);
    hsr_assert(!file->huge.op.armed && !file->sync_op.armed);
    hsr_target_group_drop(target, file);
    if (file->stage.fd >= 0 &&
        !(target->session->state != HSR_SESSION_MOVING && hsr_target_journal_leave(target, file)))
        hsr_stage_abort(&target->tree, &file->stage);
    hsr_target_journal_end(target, file);
    hsr_tally_fini(&file->tally, &target->session->tally_budget);
    if (file->place.fd >= 0 && file->basis == NULL)
        hsr_basis_close(&target->session->home->loop, &file->place);
    hsr_list_remove(&file->node);
    target->file_count--;
    if (!hsr_list_empty(&target->asking) || target->holes_waiting)
        hsr_session_wake(target->session);
    if (file->tail != NULL)
        target->tail_count--;
    free(file->tail);
    free(file->window);
    hsr_turn_fini(&file->turn);
    free(file);
}
