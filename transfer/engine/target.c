/* The target machine: pages in, answers out, and the end. Decisions are in hsr_target_decide.c,
 * directories in target_dir.c, data in target_file.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/reader.h"
#include "transfer/engine/target_impl.h"

static int target_crew(struct hsr_target *target);
static int target_page_came(struct hsr_target *target, const struct hsr_frame *frame,
                            struct hsr_span payload);
static int target_page_read(struct hsr_target *target, struct target_page *page);
static void target_answer(struct hsr_target *target);
static bool target_want_send(struct hsr_target *target, struct target_page *page);
static bool target_may_mend(const struct hsr_target *target, const struct hsr_entry *entry,
                            int code);
static bool target_mends(const struct hsr_target *target);
static bool target_ack_send(struct hsr_target *target, struct target_page *page);
static int target_same(struct hsr_target *target, struct target_page *page, uint32_t index);
static int target_digest(struct hsr_target *target, struct target_page *page, uint32_t index,
                         struct hsr_span payload);
static void target_finish(struct hsr_target *target);
static void target_ahead_tell(struct hsr_target *target);
static void target_done_levels(const struct hsr_target *target, struct hsr_done *done);
static bool target_levels_tell(struct hsr_target *target);
static int target_send_paths(struct hsr_session *session);

size_t hsr_target_files_bytes(void)
{
    return TARGET_FILES_MAX *
           (sizeof(struct hsr_target_file) + HSR_TALLY_NODES * sizeof(struct hsr_digest_node));
}

int hsr_target_create(struct hsr_session *session)
{
    struct hsr_target *target = calloc(1, sizeof(*target));
    struct hsr_loop *loop = &session->home->loop;
    int rc;

    if (target == NULL)
        return -ENOMEM;
    session->target = target;
    target->session = session;
    hsr_list_init(&target->slices_free);
    hsr_list_init(&target->judged);
    hsr_list_init(&target->endings);
    hsr_list_init(&target->files);
    hsr_list_init(&target->arrived);
    hsr_list_init(&target->asking);
    hsr_list_init(&target->root.node);
    target->files_max = TARGET_FILES_MAX;
    target->delete_left = session->delete_max;
    target->root.phantom = session->phantom_root || session->spec.summing;
    target->names_budget = session->engine->config.plan.links_bytes;
    loop->backend->ops->random(loop->backend, &target->names_key, sizeof(target->names_key));
    hsr_tree_init(&target->tree, loop, session->root_fd, session->options);
    hsr_target_groups_create(target);
    session->call_io = target->root.dir.volume->memory;
    target->pages = calloc(HSR_PAGES_MAX, sizeof(*target->pages));
    target->linking = calloc(HSR_PAGES_MAX * HSR_PAGE_ENTRIES_MAX, sizeof(uint32_t));
    if (target->pages == NULL || target->linking == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < HSR_PAGES_MAX; i++) {
        target->pages[i].payload = malloc(HSR_CONTROL_PAYLOAD_MAX);
        if (target->pages[i].payload == NULL)
            return -ENOMEM;
    }
    rc = target_crew(target);
    if (rc == 0)
        rc = hsr_target_bases_create(target);
    if (rc == 0)
        rc = hsr_target_journal_create(target);
    if (rc < 0)
        return rc;
    return session->client ? target_send_paths(session) : 0;
}

/* Hands, and a slice for every task they take, and the one that is being filled. */
static int target_crew(struct hsr_target *target)
{
    struct hsr_session *session = target->session;
    int rc = hsr_crew_create(&session->crew, session, &hsr_target_crew);
    uint32_t count = TARGET_SLICES_PER_HAND * session->crew.hand_count;

    if (rc < 0)
        return rc;
    target->slices = calloc(count, sizeof(*target->slices));
    if (target->slices == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        target->slices[i].target = target;
        hsr_list_init(&target->slices[i].task.node);
        hsr_list_push_tail(&target->slices_free, &target->slices[i].task.node);
    }
    return 0;
}

void hsr_target_step(struct hsr_session *session)
{
    struct hsr_target *target = session->target;

    if (session->client && session->path_sent < session->spec.path_count) {
        int rc = target_send_paths(session);

        if (rc < 0)
            hsr_session_end(session, rc, "cannot ask for these paths");
    }
    hsr_target_intakes_step(target);
    if (session->state != HSR_SESSION_MOVING)
        return;
    if (!session->hold.stop_heard) /* then what is not decided is for the next session */
        hsr_target_decide(target);
    if (session->readers != NULL && session->state == HSR_SESSION_MOVING)
        hsr_target_check_step(target);
    hsr_target_files_sum(target);
    hsr_target_files_commit(target);
    hsr_target_huge_step(target);
    hsr_target_groups_step(target);
    hsr_target_files_asked(target);
    hsr_target_links(target);
    hsr_target_dirs_finish(target);
    hsr_target_journal_step(target);
    if (session->state != HSR_SESSION_MOVING)
        return;
    target_answer(target);
    hsr_target_bases_step(target);
    target_answer(target); /* what is wanted whole after all */
    if (target->groups.tell)
        (void)target_levels_tell(target); /* without room: in the next step */
    target_finish(target);
}

void hsr_target_closing(struct hsr_session *session)
{
    hsr_assert(session->state == HSR_SESSION_CLOSING);
    hsr_target_intakes_step(session->target);
    hsr_target_files_asked(session->target);
    hsr_target_groups_step(session->target);
    hsr_target_journal_step(session->target);
    (void)hsr_target_ahead_close(session->target);
    (void)hsr_crew_close(&session->target->rereads.crew);
    (void)hsr_crew_close(&session->target->signers); /* hsr_target_idle() asks */
}

enum hsr_figure hsr_target_waits(const struct hsr_session *session)
{
    const struct hsr_target *target = session->target;

    if (hsr_target_groups_hold(target) || target->file_syncs > 0)
        return HSR_FIGURE_HOME_SYNC;
    if (!hsr_readers_idle(session))
        return HSR_FIGURE_HOME_STREAMS;
    for (uint32_t i = 0; i < HSR_PAGES_MAX; i++)
        if (target->pages[i].used)
            return HSR_FIGURE_HOME_STREAMS;
    return HSR_FIGURE_HOME_PEER;
}

int hsr_target_frame(struct hsr_session *session, const struct hsr_frame *frame,
                     struct hsr_span payload)
{
    struct hsr_target *target = session->target;
    struct target_page *page;
    struct hsr_file_end end;
    struct hsr_walk_end walk_end;
    int rc;

    hsr_session_wake(session);
    if (frame->kind == HSR_FRAME_ENTRIES)
        return target_page_came(target, frame, payload);
    if (frame->kind == HSR_FRAME_WALK_END) {
        rc = hsr_walk_end_decode(payload, &walk_end);
        hsr_require(rc == 0, rc);
        hsr_require(!target->walk_ended || target_mends(target), HSR_E_PROTOCOL);
        hsr_require(walk_end.acks >= target->acks_heard && walk_end.acks <= target->acks,
                    HSR_E_PROTOCOL);
        target->walk_ended = true;
        target->acks_heard = walk_end.acks;
        session->progress.walk_done = true;
        if (session->client) /* NOTEs for which there was no room were not sent */
            session->failed = HSR_MAX(session->failed, walk_end.failed);
        return 0;
    }
    hsr_require(frame->kind == HSR_FRAME_FILE_END || frame->kind == HSR_FRAME_SAME ||
                    frame->kind == HSR_FRAME_DIFFERS || frame->kind == HSR_FRAME_DIGEST,
                HSR_E_PROTOCOL);
    page = hsr_target_page_find(target, frame->page);
    hsr_require(page != NULL && frame->index < page->count, HSR_E_PROTOCOL);
    if (frame->kind == HSR_FRAME_SAME)
        return target_same(target, page, frame->index);
    if (frame->kind == HSR_FRAME_DIFFERS)
        return hsr_target_check_differs(target, page, frame->index);
    if (frame->kind == HSR_FRAME_DIGEST)
        return target_digest(target, page, frame->index, payload);
    rc = hsr_file_end_decode(payload, session->digest_size, &end);
    hsr_require(rc == 0, rc);
    return hsr_target_file_ended(target, page, (uint16_t)frame->index, &end);
}

void hsr_target_levels(const struct hsr_target *target, struct hsr_levels *ret_levels)
{
    *ret_levels = target->groups.levels;
}

bool hsr_target_idle(const struct hsr_session *session)
{
    const struct hsr_target *target = session->target;

    for (const struct hsr_list *node = target->files.next; node != &target->files;
         node = node->next) {
        const struct hsr_target_file *file = hsr_container_of(node, struct hsr_target_file, node);

        if (file->op.armed || file->huge.op.armed || file->sync_op.armed)
            return false;
    }
    return !target->groups.op.armed && target->closing == 0 && hsr_target_journal_idle(target) &&
           target->signers.open == 0 && target->rereads.crew.open == 0 &&
           target->ahead.crew.open == 0;
}

void hsr_target_destroy(struct hsr_session *session)
{
    struct hsr_target *target = session->target;

    hsr_target_files_free(target);
    hsr_target_journal_destroy(target);
    hsr_target_groups_destroy(target);
    hsr_target_bases_destroy(target);
    hsr_target_dirs_free(target);
    if (target->way != NULL)
        hsr_prune_destroy(target->way);
    hsr_tree_fini(&target->tree);
    for (uint32_t i = 0; target->pages != NULL && i < HSR_PAGES_MAX; i++) {
        free(target->pages[i].payload);
        free(target->pages[i].ends);
        free(target->pages[i].checks);
    }
    free(target->pages);
    free(target->linking);
    free(target->reading);
    free(target->compared);
    free(target->slices);
    free(target);
    session->target = NULL;
}

struct target_page *hsr_target_page_find(struct hsr_target *target, uint32_t page)
{
    struct target_page *slot = &target->pages[page % HSR_PAGES_MAX];

    return slot->used && slot->page == page ? slot : NULL;
}

void hsr_target_entry_read(struct hsr_target *target, struct target_page *page, uint16_t index,
                           struct hsr_entry *ret_entry)
{
    const struct hsr_session *session = target->session;
    struct target_entry *entry = &page->entries[index];
    struct hsr_reader reader = hsr_reader_init(page->payload + entry->offset, entry->size);
    int rc = hsr_entry_decode(&reader, ret_entry);

    hsr_assert(rc == 0); /* checked by target_page_read() */
    if (session->client && session->single_name && ret_entry->parent == HSR_DIR_ROOT &&
        ret_entry->type != HSR_ENTRY_DIR_END)
        ret_entry->name =
            (struct hsr_span){ (const uint8_t *)session->top_name, strlen(session->top_name) };
}

void hsr_target_settle(struct hsr_target *target, struct target_page *page, uint16_t index,
                       int code, const char *op)
{
    struct target_entry *entry = &page->entries[index];
    struct hsr_session *session = target->session;
    struct hsr_entry read;
    char path[HSR_ERROR_PATH_SIZE];

    hsr_assert(entry->state != TARGET_SETTLED);
    hsr_assert(page->pending > 0);
    hsr_target_basis_drop(target, page, index);
    hsr_target_journal_ended(target, entry, session->state != HSR_SESSION_MOVING);
    entry->state = TARGET_SETTLED;
    entry->dir->dir.volume->dirty = true;
    entry->code = code;
    page->pending--;
    session->progress.entries_done++;
    if (code < 0) {
        page->failed++;
        entry->dir->failed = true;
        hsr_target_entry_read(target, page, index, &read);
        entry->mend = op != NULL && target_may_mend(target, &read, code);
        /* After WALK_END nothing is listed again but what we ask for: then it failed for good. */
        if (op == NULL && session->client && code != HSR_E_CANCELED && target->walk_ended &&
            !target_mends(target))
            session->failed = HSR_MAX(session->failed, 1u);
        if (op != NULL && !entry->mend) {
            session->totals.failed++;
            (void)hsr_dir_path(&entry->dir->dir, read.name, path, sizeof(path));
            hsr_session_note(session, HSR_NOTE_FAILED, code, op, path, read.size);
        }
    }
    if (entry->link_first) {
        uint32_t *at = &target->links[entry->link_id % TARGET_LINK_BUCKETS];
        uint32_t key = (uint32_t)(page - target->pages) << 16 | index;

        while (*at != key + 1) {
            hsr_assert(*at != 0);
            at = &target->pages[(*at - 1) >> 16].entries[(*at - 1) & 0xffff].link_chain;
        }
        *at = entry->link_chain;
        entry->link_first = false;
        target->links_moved = true;
        if (code < 0 && target->links_failed_count < TARGET_LINKS_FAILED)
            target->links_failed[target->links_failed_count++] = entry->link_id;
    }
    hsr_target_dir_less(target, entry->dir);
    hsr_session_wake(session);
}

/* May the entry succeed when it is listed once more, at the end? Somebody uses the name,
 * descriptors or memory are short, the directory vanished: those pass. A full disk does not, within
 * a run: all that comes would be sent twice. Directories and hard links have more than their own
 * name. */
static bool target_may_mend(const struct hsr_target *target, const struct hsr_entry *entry,
                            int code)
{
    enum hsr_class class = hsr_err_class(code);
    bool passes = hsr_err_retry(code) &&
                  (class == HSR_CLASS_IO || class == HSR_CLASS_BUSY || class == HSR_CLASS_RESOURCE);

    return (passes || code == -ENOENT || code == -ENOTDIR) && entry->type != HSR_ENTRY_DIR &&
           entry->type != HSR_ENTRY_DIR_END && !(target->session->options & HSR_OPT_DRY_RUN) &&
           (entry->flags & (HSR_ENTRY_LINK_FIRST | HSR_ENTRY_LINK_NEXT)) == 0;
}

/* Has the source still to say what becomes of entries that it was asked for once more? */
static bool target_mends(const struct hsr_target *target)
{
    return target->acks_mend > target->acks_heard;
}

void hsr_target_tell(struct hsr_target *target, const struct target_dir *dir,
                     const struct hsr_entry *entry, enum hsr_note_event event)
{
    struct hsr_session *session = target->session;
    char path[HSR_ERROR_PATH_SIZE];

    target->changed = true;
    if (!(session->options & HSR_OPT_NAMES))
        return;
    (void)hsr_dir_path(&dir->dir, entry->name, path, sizeof(path));
    hsr_session_note(session, event, 0, "", path, entry->size);
}

void hsr_target_differs(struct hsr_target *target, const struct target_dir *dir,
                        const struct hsr_entry *entry, enum hsr_note_event event, unsigned differs)
{
    struct hsr_session *session = target->session;
    char path[HSR_ERROR_PATH_SIZE], text[HSR_DIFFERS_TEXT_SIZE];

    if (!(session->options & HSR_OPT_NAMES))
        return;
    hsr_differs_text(differs, text);
    (void)hsr_dir_path(&dir->dir, entry->name, path, sizeof(path));
    hsr_session_note(session, event, 0, text, path, entry->size);
}

bool hsr_target_may_tell(const struct hsr_target *target)
{
    const struct hsr_session *session = target->session;

    return session->client || !(session->options & HSR_OPT_DRY_RUN) || session->control == NULL ||
           hsr_conn_begin(session->control, HSR_CONTROL_PAYLOAD_MAX) != NULL;
}

void hsr_target_warn(struct hsr_target *target, const struct target_dir *dir,
                     const struct hsr_entry *entry, int code, const char *op)
{
    char path[HSR_ERROR_PATH_SIZE];

    if (code == 0)
        return;
    (void)hsr_dir_path(&dir->dir, entry->name, path, sizeof(path));
    hsr_session_note(target->session, HSR_NOTE_WARNING, code, op != NULL ? op : "metadata", path,
                     entry->size);
}

static int target_page_came(struct hsr_target *target, const struct hsr_frame *frame,
                            struct hsr_span payload)
{
    struct target_page *page = &target->pages[frame->page % HSR_PAGES_MAX];
    int rc;

    hsr_require(!target->walk_ended || target_mends(target), HSR_E_PROTOCOL);
    target->walk_ended = false;
    hsr_require(frame->page == target->page_next && !page->used, HSR_E_PROTOCOL);
    target->page_next++;
    page->used = true;
    page->decided = false;
    page->want_sent = false;
    page->page = frame->page;
    page->next = 0;
    page->slices = 0;
    page->clearing = 0;
    page->reading = 0;
    page->failed = 0;
    page->want_count = 0;
    page->size = payload.size;
    memcpy(page->payload, payload.ptr, payload.size);
    free(page->ends);
    page->ends = NULL;
    free(page->checks);
    page->checks = NULL;
    rc = target_page_read(target, page);
    page->pending = page->count;
    return rc;
}

/* Check every entry now, so that later readers need not. */
static int target_page_read(struct hsr_target *target, struct target_page *page)
{
    struct hsr_reader reader = hsr_reader_init(page->payload, page->size);
    struct hsr_progress *progress = &target->session->progress;

    page->count = 0;
    while (hsr_reader_left(&reader) > 0) {
        struct target_entry *entry = &page->entries[page->count];
        size_t offset = reader.offset;
        struct hsr_entry read;
        int rc;

        hsr_require(page->count < HSR_PAGE_ENTRIES_MAX, HSR_E_LIMIT);
        rc = hsr_entry_decode(&reader, &read);
        if (rc < 0)
            return rc;
        hsr_require(read.type != HSR_ENTRY_SOCKET, HSR_E_PROTOCOL);
        *entry = (struct target_entry){ .offset = (uint32_t)offset,
                                        .size = (uint32_t)(reader.offset - offset) };
        page->count++;
        if (read.type != HSR_ENTRY_DIR_END)
            progress->entries_seen++;
        if (read.type == HSR_ENTRY_FILE && !(read.flags & HSR_ENTRY_LINK_NEXT)) {
            progress->files_seen++;
            progress->bytes_seen += read.size;
        }
    }
    return page->count > 0 ? 0 : HSR_E_PROTOCOL;
}

/* WANT and PAGE_ACK of every page that is ready for them. */
static void target_answer(struct hsr_target *target)
{
    for (uint32_t i = 0; i < HSR_PAGES_MAX; i++) {
        struct target_page *page = &target->pages[i];

        if (!page->used || !page->decided)
            continue;
        if ((!page->want_sent || page->want_count > 0) && !target_want_send(target, page))
            return;
        if (page->pending == 0 && !target_ack_send(target, page))
            return;
    }
}

static bool target_want_send(struct hsr_target *target, struct target_page *page)
{
    struct hsr_conn *conn = target->session->control;
    size_t room = 20u * 1024 + page->sums_size;
    struct hsr_list_writer list;
    uint8_t *out;
    int size;

    if (page->pending == 0) { /* PAGE_ACK alone says that nothing is wanted */
        page->want_sent = true;
        return true;
    }
    out = conn != NULL ? hsr_conn_begin(conn, room) : NULL;
    if (out == NULL)
        return false;
    hsr_list_start(&list, out, room);
    for (uint16_t i = 0; i < page->want_count; i++) {
        int rc = hsr_want_put(&list, target->session->digest_size, &page->wants[i]);

        hsr_assert(rc == 0); /* 512 items fit */
    }
    size = hsr_list_finish(&list);
    hsr_assert(size > 0);
    hsr_conn_commit(conn, (struct hsr_frame){ .kind = HSR_FRAME_WANT, .page = page->page },
                    (size_t)size);
    page->want_sent = true;
    page->want_count = 0;
    hsr_target_small_sent(target, page);
    if (target->resume.count > 0 || target->deltas_count > 0)
        hsr_session_wake(target->session); /* KEPT and SIG follow it */
    return true;
}

static bool target_ack_send(struct hsr_target *target, struct target_page *page)
{
    struct hsr_conn *conn = target->session->control;
    size_t room = 8u * 1024;
    struct hsr_list_writer list;
    uint8_t *out = conn != NULL ? hsr_conn_begin(conn, room) : NULL;
    bool dry = (target->session->options & HSR_OPT_DRY_RUN) != 0, mend = false;
    int size;

    if (out == NULL)
        return false;
    /* what is settled has its name, and no sync has covered that yet */
    hsr_ack_start(&list, out, room, dry ? 0 : HSR_DURABILITY_WRITTEN);
    for (uint16_t i = 0; i < page->count && page->failed > 0; i++) {
        struct hsr_ack_item item = { .index = i,
                                     .mend = page->entries[i].mend,
                                     .code = page->entries[i].code };

        if (item.code < 0) {
            int rc = hsr_ack_put(&list, &item);

            hsr_assert(rc == 0);
            mend |= item.mend;
        }
    }
    size = hsr_ack_finish(&list);
    hsr_assert(size > 0);
    hsr_conn_commit(conn, (struct hsr_frame){ .kind = HSR_FRAME_PAGE_ACK, .page = page->page },
                    (size_t)size);
    page->used = false;
    target->groups.pages++;
    target->acks++;
    if (mend)
        target->acks_mend = target->acks;
    return true;
}

/* The source's digest is the one we sent: only metadata may differ. */
static int target_same(struct hsr_target *target, struct target_page *page, uint32_t index)
{
    struct target_entry *entry = &page->entries[index];
    struct hsr_entry read;
    int rc;

    hsr_require(page->want_sent && entry->state == TARGET_WANTED, HSR_E_PROTOCOL);
    hsr_require(hsr_target_check_told(page, index), HSR_E_PROTOCOL);
    if (entry->differs == 0) {
        target->session->totals.skipped++;
        hsr_target_settle(target, page, (uint16_t)index, 0, NULL);
        return 0;
    }
    hsr_target_entry_read(target, page, (uint16_t)index, &read);
    rc = hsr_tree_touch(&target->tree, &entry->dir->dir, &read);
    hsr_target_warn(target, entry->dir, &read, target->tree.warning.code, target->tree.warning.op);
    target->tree.warning.code = 0;
    if (rc == 0) {
        target->session->totals.touched++;
        hsr_target_tell(target, entry->dir, &read, HSR_NOTE_TOUCHED);
    }
    hsr_target_settle(target, page, (uint16_t)index, rc, "metadata");
    return 0;
}

static int target_digest(struct hsr_target *target, struct target_page *page, uint32_t index,
                         struct hsr_span payload)
{
    struct hsr_digest_answer answer;
    int rc = hsr_digest_answer_decode(payload, target->session->digest_size, &answer);

    return rc < 0 ? rc : hsr_target_check_heard(target, page, index, &answer);
}

/* Everything is settled: sync as asked, then DONE. */
static void target_finish(struct hsr_target *target)
{
    struct hsr_session *session = target->session;
    struct hsr_done done = { 0 };
    uint8_t *out;
    int size;

    if (!target->walk_ended || target->decide_next != target->page_next || target_mends(target))
        return;
    for (uint32_t i = 0; i < HSR_PAGES_MAX; i++)
        if (target->pages[i].used)
            return;
    /* A small tree is done before the last stream has joined; it must not find the session gone. */
    if (session->streams_joined < session->streams_count)
        return;
    if (!hsr_target_journal_finish(target))
        return; /* its last write wakes us */
    hsr_target_root_again(target);
    if (!hsr_target_groups_durable(target) || !target_levels_tell(target))
        return;
    if (!hsr_measure_tell(session))
        return;
    target_done_levels(target, &done);
    session->done_durability = done.durability;
    hsr_limit_tell(session);
    target_ahead_tell(target);
    out = session->control != NULL ? hsr_conn_begin(session->control, 256) : NULL;
    if (out == NULL)
        return;
    done.totals = session->totals;
    done.code = session->totals.failed > 0 ? HSR_E_PARTIAL : 0;
    size = hsr_done_encode(&done, out, 256);
    hsr_assert(size > 0);
    hsr_conn_commit(session->control, (struct hsr_frame){ .kind = HSR_FRAME_DONE }, (size_t)size);
    hsr_session_end(session, 0, NULL);
}

/* What holds now, no more than is asked for above `written`; and the most that could. */
static void target_done_levels(const struct hsr_target *target, struct hsr_done *done)
{
    const struct target_groups *groups = &target->groups;

    done->limit = HSR_DURABILITY_DURABLE;
    if (target->session->options & HSR_OPT_DRY_RUN)
        return; /* nothing was written, nothing is promised */
    /* Only disks can keep it: then the client may be told less than it asked for. */
    if (hsr_volumes_syncable(&groups->volumes) && !hsr_volumes_lasting(&groups->volumes))
        done->limit = HSR_DURABILITY_WRITTEN;
    done->durability = HSR_DURABILITY_WRITTEN; /* all have their names, whatever was asked for */
    if (groups->on && hsr_volumes_lasting(&groups->volumes))
        done->durability = HSR_DURABILITY_DURABLE;
}

bool hsr_target_stopped(struct hsr_session *session)
{
    struct hsr_target *target = session->target;

    for (struct hsr_list *node = target->files.next; node != &target->files; node = node->next)
        if (hsr_container_of(node, struct hsr_target_file, node)->finishing)
            return false; /* it is being summed, synced or named */
    if (target->groups.staged > 0 || !hsr_target_journal_flush(target))
        return false;
    return hsr_target_groups_durable(target) && target_levels_tell(target);
}

/* How many files have reached which level. True: it is said, or nobody is to be told. */
static bool target_levels_tell(struct hsr_target *target)
{
    struct hsr_session *session = target->session;
    uint8_t *out;
    int size;

    if (!target->groups.tell || session->control == NULL)
        return true;
    out = hsr_conn_begin(session->control, HSR_LEVELS_SIZE);
    if (out == NULL)
        return false;
    size = hsr_levels_encode(&target->groups.levels, out, HSR_LEVELS_SIZE);
    hsr_assert(size > 0);
    hsr_conn_commit(session->control, (struct hsr_frame){ .kind = HSR_FRAME_LEVELS }, (size_t)size);
    target->groups.tell = false;
    return true;
}

/* Once, before DONE. Without room the client knows nothing of it: they are only figures. */
static void target_ahead_tell(struct hsr_target *target)
{
    struct hsr_session *session = target->session;
    struct hsr_ahead figures;
    uint8_t *out;
    int size;

    if (session->client || !(session->features & HSR_FEATURE_AHEAD) || session->control == NULL)
        return;
    out = hsr_conn_begin(session->control, HSR_AHEAD_SIZE);
    if (out == NULL)
        return;
    hsr_target_ahead_figures(target, &figures);
    size = hsr_ahead_encode(&figures, out, HSR_AHEAD_SIZE);
    hsr_assert(size > 0);
    hsr_conn_commit(session->control, (struct hsr_frame){ .kind = HSR_FRAME_AHEAD }, (size_t)size);
}

/* Pull: what we want from the server, as far as there is room now. */
static int target_send_paths(struct hsr_session *session)
{
    const struct hsr_job_spec *spec = &session->spec;
    size_t room = HSR_CONTROL_PAYLOAD_MAX;

    while (session->path_sent < spec->path_count) {
        struct hsr_list_writer list;
        uint8_t *out = hsr_conn_begin(session->control, room);
        uint32_t before = session->path_sent;
        int size;

        if (out == NULL)
            return 0;
        hsr_list_start(&list, out, room);
        while (session->path_sent < spec->path_count) {
            int rc = hsr_paths_put(&list, spec->paths[session->path_sent]);

            if (rc == HSR_E_LIMIT && session->path_sent > before)
                break;
            if (rc < 0)
                return rc;
            session->path_sent++;
        }
        size = hsr_list_finish(&list);
        hsr_assert(size > 0);
        hsr_conn_commit(session->control, (struct hsr_frame){ .kind = HSR_FRAME_PATHS },
                        (size_t)size);
    }
    return 0;
}
