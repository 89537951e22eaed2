/* The source machine: walk -> pages -> what is wanted. Dealing to streams is in hsr_source_deal.c.
 */
#include "transfer/engine/small.h"
#include "transfer/engine/source_impl.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>

#include "base/base.h"

static int source_walk_start(struct hsr_session *session, const struct hsr_walk_top *tops,
                             unsigned count);
static int source_paths_start(struct hsr_session *session);
static bool source_page_send(struct hsr_source *source);
static void source_finish(struct hsr_source *source);
static int source_wanted(struct hsr_source *source, struct hsr_source_page *page,
                         struct hsr_span payload);
static int source_want_one(struct hsr_source *source, struct hsr_source_page *page,
                           const struct hsr_want_item *item);
static int source_want_more(struct hsr_source *source, struct hsr_source_page *page,
                            const struct hsr_want_item *item);
static int source_want_act(struct hsr_source *source, struct hsr_source_page *page,
                           const struct hsr_want_item *item);
static int source_acked(struct hsr_source *source, struct hsr_source_page *page,
                        struct hsr_span payload);
static void source_arrived(struct hsr_source *source, const struct hsr_source_page *page);
static int source_levels(struct hsr_source *source, struct hsr_span payload);
static void source_page_free(struct hsr_source *source, struct hsr_source_page *page);
static struct hsr_source_page *source_page_find(struct hsr_source *source, uint32_t page);
static bool source_root_is_tmpfs(struct hsr_loop *loop, int fd);
static bool source_page_heard(const struct hsr_source_page *page);
static bool source_may_mend(int code);

int hsr_source_create(struct hsr_session *session)
{
    struct hsr_source *source = calloc(1, sizeof(*source));
    const struct hsr_job_spec *spec = &session->spec;
    int rc;

    if (source == NULL)
        return -ENOMEM;
    session->source = source;
    source->session = session;
    hsr_list_init(&source->works_free);
    hsr_list_init(&source->full);
    hsr_list_init(&source->jobs);
    hsr_list_init(&source->kept);
    source->pages = calloc(HSR_PAGES_MAX, sizeof(*source->pages));
    source->small.items = calloc(SOURCE_QUEUE_SIZE, sizeof(uint32_t));
    source->large.items = calloc(SOURCE_QUEUE_SIZE, sizeof(uint32_t));
    source->unless.items = calloc(SOURCE_QUEUE_SIZE, sizeof(uint32_t));
    source->retries = calloc(SOURCE_RETRIES_MAX, sizeof(*source->retries));
    source->work_count = session->streams_count * SOURCE_WORKS_PER_STREAM;
    source->works = calloc(source->work_count, sizeof(*source->works));
    if (source->pages == NULL || source->small.items == NULL || source->large.items == NULL ||
        source->unless.items == NULL || source->retries == NULL || source->works == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < HSR_PAGES_MAX; i++) {
        source->pages[i].source = source;
        source->pages[i].payload = malloc(HSR_CONTROL_PAYLOAD_MAX);
        if (source->pages[i].payload == NULL)
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < source->work_count; i++) {
        struct hsr_work *work = &source->works[i];

        work->session = session;
        work->members = calloc(HSR_PACK_MEMBERS_MAX, sizeof(*work->members));
        work->table = calloc(HSR_PACK_MEMBERS_MAX, sizeof(*work->table));
        if (work->members == NULL || work->table == NULL)
            return -ENOMEM;
        hsr_list_init(&work->node);
        hsr_list_push_tail(&source->works_free, &work->node);
    }
    hsr_source_delta_init(source);
    hsr_dircache_init(&source->cache, &session->home->loop, -1,
                      (session->options & HSR_OPT_COPY_LINKS) != 0);
    rc = hsr_source_lanes_create(source);
    if (rc == 0)
        rc = hsr_source_walk_create(source);
    if (rc < 0)
        return rc;
    if (session->client)
        return source_walk_start(session, spec->tops, spec->top_count);
    source->path_want = spec->path_count;
    hsr_require(source->path_want > 0, HSR_E_PROTOCOL);
    hsr_require(source->path_want <= HSR_SOURCE_PATHS_MAX, HSR_E_LIMIT);
    source->paths = calloc(source->path_want, sizeof(*source->paths));
    return source->paths == NULL ? -ENOMEM : 0;
}

/* PATHS of a pull: copied; the walk starts when all are there. */
int hsr_source_paths(struct hsr_session *session, struct hsr_span payload)
{
    struct hsr_source *source = session->source;
    struct hsr_list_reader list;
    struct hsr_span path;
    int rc;

    hsr_require(!session->client && source->walk == NULL, HSR_E_PROTOCOL);
    rc = hsr_list_begin(&list, payload, source->path_want - source->path_count);
    while (rc >= 0 && (rc = hsr_paths_next(&list, &path)) > 0) {
        char *copy = strndup((const char *)path.ptr, path.size);

        if (copy == NULL)
            return -ENOMEM;
        source->paths[source->path_count++] = copy;
    }
    if (rc == 0 && source->path_count == source->path_want)
        rc = source_paths_start(session);
    hsr_session_wake(session);
    return rc;
}

void hsr_source_step(struct hsr_session *session)
{
    struct hsr_source *source = session->source;

    if (source->walk == NULL)
        return;
    hsr_source_walk(source);
    if (session->state != HSR_SESSION_MOVING)
        return;
    hsr_source_deal(source);
    source_finish(source);
}

enum hsr_figure hsr_source_waits(const struct hsr_session *session)
{
    for (uint32_t i = 0; i < session->streams_count; i++)
        if (session->streams[i] != NULL && session->streams[i]->works_lent > 0)
            return HSR_FIGURE_HOME_STREAMS;
    if (!hsr_source_check_idle(session->source))
        return HSR_FIGURE_HOME_STREAMS;
    return HSR_FIGURE_HOME_PEER; /* for what it wants, what it has settled, or DONE */
}

int hsr_source_frame(struct hsr_session *session, const struct hsr_frame *frame,
                     struct hsr_span payload)
{
    struct hsr_source *source = session->source;
    struct hsr_source_page *page;

    if (frame->kind == HSR_FRAME_PATHS)
        return hsr_source_paths(session, payload);
    if (frame->kind == HSR_FRAME_LEVELS)
        return source_levels(source, payload);
    hsr_require(frame->kind == HSR_FRAME_WANT || frame->kind == HSR_FRAME_PAGE_ACK ||
                    frame->kind == HSR_FRAME_SIG || frame->kind == HSR_FRAME_KEPT,
                HSR_E_PROTOCOL);
    page = source_page_find(source, frame->page);
    hsr_require(page != NULL, HSR_E_PROTOCOL);
    hsr_session_wake(session);
    if (frame->kind == HSR_FRAME_SIG)
        return hsr_source_delta_sig(source, page, frame, payload);
    if (frame->kind == HSR_FRAME_KEPT)
        return hsr_source_kept_heard(source, page, frame->index, payload);
    return frame->kind == HSR_FRAME_WANT ? source_wanted(source, page, payload)
                                         : source_acked(source, page, payload);
}

void hsr_source_view(const struct hsr_source_page *page, uint16_t index,
                     struct hsr_source_view *ret_view)
{
    const struct source_entry *entry = &page->entries[index];

    ret_view->walk = page->source->walk;
    ret_view->dir = entry->dir;
    ret_view->identity = entry->identity;
    ret_view->page = page->page;
    ret_view->size = entry->identity.size;
    ret_view->sparse = entry->sparse;
    ret_view->sums = entry->sums;
    memcpy(ret_view->name, page->payload + entry->name_offset, entry->name_size);
    ret_view->name[entry->name_size] = '\0';
}

void hsr_source_destroy(struct hsr_session *session)
{
    struct hsr_source *source = session->source;

    hsr_source_deal_drop(source);
    for (uint32_t i = 0; source->pages != NULL && i < HSR_PAGES_MAX; i++) {
        if (source->pages[i].used)
            source_page_free(source, &source->pages[i]);
        free(source->pages[i].payload);
    }
    hsr_source_retry_drop(source);
    hsr_source_walk_destroy(source);
    hsr_walk_destroy(source->walk);
    if (source->cache.loop != NULL)
        hsr_dircache_fini(&source->cache);
    for (uint32_t i = 0; source->works != NULL && i < source->work_count; i++) {
        free(source->works[i].members);
        free(source->works[i].table);
    }
    for (uint32_t i = 0; i < source->path_count; i++)
        free(source->paths[i]);
    hsr_source_lanes_destroy(source);
    free(source->paths);
    free(source->tops);
    free(source->works);
    free(source->retries);
    free(source->checks);
    free(source->answers.items);
    free(source->small.items);
    free(source->large.items);
    free(source->unless.items);
    free(source->pages);
    free(source);
    session->source = NULL;
}

void hsr_source_queue_push(struct source_queue *queue, uint32_t item)
{
    hsr_assert(queue->count < SOURCE_QUEUE_SIZE);
    queue->items[(queue->head + queue->count++) % SOURCE_QUEUE_SIZE] = item;
}

bool hsr_source_queue_pop(struct source_queue *queue, uint32_t *ret_item)
{
    if (queue->count == 0)
        return false;
    *ret_item = queue->items[queue->head];
    queue->head = (queue->head + 1) % SOURCE_QUEUE_SIZE;
    queue->count--;
    return true;
}

uint32_t hsr_source_queue_peek(const struct source_queue *queue, uint32_t at)
{
    hsr_assert(at < queue->count);
    return queue->items[(queue->head + at) % SOURCE_QUEUE_SIZE];
}

size_t hsr_source_entry_path(const struct hsr_source_page *page, uint16_t index, char *buf,
                             size_t size)
{
    const struct source_entry *entry = &page->entries[index];

    return hsr_dir_path(entry->dir,
                        (struct hsr_span){ page->payload + entry->name_offset, entry->name_size },
                        buf, size);
}

/* What the next look at the file may not meet again: it changes, is replaced, is busy. */
static bool source_may_mend(int code)
{
    enum hsr_class class = hsr_err_class(code);

    return hsr_err_retry(code) && (class == HSR_CLASS_IO || class == HSR_CLASS_BUSY);
}

void hsr_source_entry_done(struct hsr_source *source, struct hsr_source_page *page, uint16_t index,
                           int code)
{
    struct source_entry *entry = &page->entries[index];
    struct hsr_session *session = source->session;
    char path[HSR_ERROR_PATH_SIZE];

    hsr_assert(page->lent > 0 && entry->wanted);
    hsr_small_sums_free(session->engine, entry->sums);
    entry->sums = NULL;
    if (entry->delta == SOURCE_DELTA_AGAIN && code == 0) {
        entry->delta = SOURCE_DELTA_NONE;
        atomic_fetch_sub_explicit(&session->counts.bytes, entry->sent_bytes, memory_order_relaxed);
        hsr_source_enqueue(source, (uint32_t)(page - source->pages) << 16 | index);
        return;
    }
    entry->wanted = false;
    page->lent--;
    if (entry->delta == SOURCE_DELTA_WANTED && code == 0) {
        entry->delta = SOURCE_DELTA_SENT;
        page->sent++;
    }
    session->progress.files_done++;
    if (source_may_mend(code) && !source->end_sent && hsr_source_retry_add(source, page, index)) {
        entry->failed = true;
    } else if (code < 0 && code != HSR_E_CANCELED && !entry->failed) {
        entry->failed = true;
        (void)hsr_source_entry_path(page, index, path, sizeof(path));
        hsr_session_note(session, HSR_NOTE_FAILED, code, "read", path, entry->identity.size);
    }
    if (page->acked && page->lent == 0)
        source_page_free(source, page);
    hsr_session_wake(session);
}

static int source_walk_start(struct hsr_session *session, const struct hsr_walk_top *tops,
                             unsigned count)
{
    struct hsr_source *source = session->source;
    struct hsr_walk_options options = hsr_source_walk_options(source);

    hsr_require(count > 0, HSR_E_USAGE);
    source->tops = calloc(count, sizeof(*source->tops));
    if (source->tops == NULL)
        return -ENOMEM;
    memcpy(source->tops, tops, count * sizeof(*tops));
    source->top_count = count;
    if (session->client && session->single_name) { /* one file that takes another name */
        hsr_require(count == 1 && !tops[0].contents, HSR_E_PROTOCOL);
        source->tops[0].name =
            (struct hsr_span){ (const uint8_t *)session->top_name, strlen(session->top_name) };
    }
    session->call_io = source_root_is_tmpfs(&session->home->loop, tops[0].base_fd);
    return hsr_walk_create(&session->home->loop, source->tops, count, &options, &source->walk);
}

struct hsr_walk_options hsr_source_walk_options(const struct hsr_source *source)
{
    const struct hsr_session *session = source->session;

    return (struct hsr_walk_options){ .filter = session->filter,
                                      .xattrs = !(session->options & HSR_OPT_NO_XATTRS),
                                      .hard_links = !(session->options & HSR_OPT_NO_HARD_LINKS),
                                      .copy_links = (session->options & HSR_OPT_COPY_LINKS) != 0,
                                      .beneath = !session->client,
                                      .links_later = true,
                                      .links_bytes_max = session->engine->config.plan.links_bytes };
}

/* A pull's paths become tops below the session's root. */
static int source_paths_start(struct hsr_session *session)
{
    struct hsr_source *source = session->source;
    struct hsr_walk_top *tops = calloc(source->path_count, sizeof(*tops));
    int rc;

    if (tops == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < source->path_count; i++) {
        const char *path = source->paths[i];
        const char *slash = strrchr(path, '/');
        const char *name = slash != NULL ? slash + 1 : path;

        tops[i] = (struct hsr_walk_top){ .base_fd = session->root_fd,
                                         .path = { (const uint8_t *)path, strlen(path) },
                                         .name = { (const uint8_t *)name, strlen(name) },
                                         .contents = path[0] == '\0',
                                         .list = (session->options & HSR_OPT_LIST) != 0 };
    }
    rc = source_walk_start(session, tops, source->path_count);
    free(tops);
    return rc;
}

bool hsr_source_page_open(struct hsr_source *source)
{
    struct hsr_source_page *page = source->filling;

    if (page != NULL && page->size < SOURCE_PAGE_FULL && page->count < HSR_PAGE_ENTRIES_MAX)
        return true;
    if (page != NULL && !source_page_send(source))
        return false; /* no room in the connection: its `writable` wakes us */
    page = &source->pages[source->page_next % HSR_PAGES_MAX];
    if (page->used)
        return false; /* the window is full: PAGE_ACK wakes us */
    page->used = true;
    page->acked = false;
    page->answered = false;
    page->page = source->page_next++;
    page->count = 0;
    page->lent = 0;
    page->sent = 0;
    page->size = 0;
    source->filling = page;
    return true;
}

bool hsr_source_page_flush(struct hsr_source *source)
{
    if (source->filling == NULL)
        return true;
    if (source->filling->count > 0)
        return source_page_send(source);
    source->filling->used = false; /* opened, and then there was nothing for it */
    source->filling = NULL;
    source->page_next--;
    return true;
}

bool hsr_source_page_add(struct hsr_source *source, const struct source_found *found,
                         const uint8_t *bytes)
{
    struct hsr_source_page *page = source->filling;
    struct hsr_progress *progress = &source->session->progress;
    struct source_entry *entry = &page->entries[page->count];
    struct hsr_writer writer =
        hsr_writer_init(page->payload + page->size, HSR_CONTROL_PAYLOAD_MAX - page->size);

    if (bytes == NULL) {
        int rc = hsr_entry_encode(&writer, &source->entry);

        hsr_assert(rc == 0 || page->count > 0); /* limits are per entry: one always fits */
        if (rc < 0)
            return false;
    } else if (found->size > HSR_CONTROL_PAYLOAD_MAX - page->size) {
        return false;
    } else {
        memcpy(page->payload + page->size, bytes, found->size);
        writer.offset = found->size;
    }
    /* an encoded entry begins: type u8, flags u8, parent u32, name size u8, name */
    entry->name_offset = (uint32_t)page->size + 7;
    entry->name_size = found->name_size;
    entry->type = found->type;
    entry->sparse = found->sparse;
    entry->asked = false;
    entry->failed = false;
    entry->mend = 0;
    entry->number = 0;
    entry->wanted = entry->resume = entry->differs = false;
    entry->delta = SOURCE_DELTA_NONE;
    entry->slot = 0;
    entry->dir = found->dir;
    entry->identity = found->identity;
    page->count++;
    page->size += writer.offset;
    if (found->type != HSR_ENTRY_DIR_END)
        progress->entries_seen++;
    if (found->type == HSR_ENTRY_FILE &&
        (bytes != NULL || !(source->entry.flags & HSR_ENTRY_LINK_NEXT))) {
        progress->files_seen++;
        progress->bytes_seen += found->identity.size;
    }
    return true;
}

static bool source_page_send(struct hsr_source *source)
{
    struct hsr_source_page *page = source->filling;
    struct hsr_conn *conn = source->session->control;
    uint8_t *out = conn != NULL ? hsr_conn_begin(conn, page->size) : NULL;

    if (out == NULL)
        return false;
    memcpy(out, page->payload, page->size);
    hsr_conn_commit(conn, (struct hsr_frame){ .kind = HSR_FRAME_ENTRIES, .page = page->page },
                    page->size);
    source->filling = NULL;
    return true;
}

/* After the last page has left and nothing can come back: WALK_END, once. */
static void source_finish(struct hsr_source *source)
{
    struct hsr_session *session = source->session;
    struct hsr_progress *progress = &session->progress;
    struct hsr_walk_end end = { .entries = progress->entries_seen,
                                .files = progress->files_seen,
                                .bytes = progress->bytes_seen,
                                .failed = session->failed,
                                .acks = source->acks };
    uint8_t *out;
    int size;

    if (!source->walk_over || source->end_sent ||
        (source->filling != NULL && source->filling->count > 0))
        return;
    progress->walk_done = true;
    if (!hsr_source_deal_idle(source))
        return;
    for (uint32_t i = 0; i < HSR_PAGES_MAX; i++)
        if (source->pages[i].used && (source->retry_count > 0 || source->pages[i].lent > 0 ||
                                      !source_page_heard(&source->pages[i])))
            return; /* a page may still bring a file that changes under our hands */
    if (source->retry_count > 0) {
        hsr_source_retry(source);
        return;
    }
    out = hsr_conn_begin(session->control, 64);
    if (out == NULL)
        return;
    size = hsr_walk_end_encode(&end, out, 64);
    hsr_assert(size > 0);
    hsr_conn_commit(session->control, (struct hsr_frame){ .kind = HSR_FRAME_WALK_END },
                    (size_t)size);
    source->end_sent = true;
    hsr_limit_tell(session);
}

static int source_wanted(struct hsr_source *source, struct hsr_source_page *page,
                         struct hsr_span payload)
{
    struct hsr_list_reader list;
    struct hsr_want_item item;
    int rc = hsr_list_begin(&list, payload, page->count);

    hsr_require(!page->acked && page != source->filling, HSR_E_PROTOCOL);
    hsr_require(!page->answered || rc < 0 || list.left > 0, HSR_E_PROTOCOL); /* once is enough */
    while (rc >= 0 && (rc = hsr_want_next(&list, source->session->digest_size, &item)) > 0) {
        hsr_require(item.index < page->count, HSR_E_PROTOCOL);
        hsr_require(page->entries[item.index].type == HSR_ENTRY_FILE, HSR_E_PROTOCOL);
        rc = page->answered ? source_want_more(source, page, &item)
                            : source_want_one(source, page, &item);
        if (rc < 0)
            return rc;
    }
    if (!page->answered)
        source->session->progress.entries_kept += page->count - page->lent;
    page->answered = true;
    return rc;
}

/* A further wish: instead of a delta, or what is to become of a file that differs. */
static int source_want_more(struct hsr_source *source, struct hsr_source_page *page,
                            const struct hsr_want_item *item)
{
    struct source_entry *entry = &page->entries[item->index];

    if (!entry->differs) {
        hsr_require(item->action == HSR_WANT_WHOLE, HSR_E_PROTOCOL);
        return hsr_source_delta_again(source, page, item->index);
    }
    hsr_require(item->action == HSR_WANT_WHOLE || item->action == HSR_WANT_DELTA ||
                    item->action == HSR_WANT_RESUME || item->action == HSR_WANT_REST,
                HSR_E_PROTOCOL);
    entry->differs = false;
    return source_want_act(source, page, item);
}

static int source_want_one(struct hsr_source *source, struct hsr_source_page *page,
                           const struct hsr_want_item *item)
{
    struct source_entry *entry = &page->entries[item->index];
    bool dry = (source->session->options & (HSR_OPT_DRY_RUN | HSR_OPT_DISCARD)) == HSR_OPT_DRY_RUN;
    bool compare = (source->session->features & HSR_FEATURE_COMPARE) != 0;

    /* A dry run moves nothing, and only a dry run compares at the target. */
    hsr_require(dry == (item->action == HSR_WANT_DIGEST) && (compare || !dry), HSR_E_PROTOCOL);
    entry->wanted = true;
    entry->asked = item->action != HSR_WANT_DIGEST;
    page->lent++;
    return source_want_act(source, page, item);
}

static int source_want_act(struct hsr_source *source, struct hsr_source_page *page,
                           const struct hsr_want_item *item)
{
    uint32_t key = (uint32_t)(page - source->pages) << 16 | item->index;
    int rc = 0;

    if (item->action == HSR_WANT_UNLESS || item->action == HSR_WANT_DIGEST)
        return hsr_source_check_add(source, key, item);
    if (item->action == HSR_WANT_RESUME || item->action == HSR_WANT_REST)
        rc = hsr_source_kept_want(source, page, item->index);
    if (rc < 0 || item->action == HSR_WANT_RESUME)
        return rc;
    if (item->action == HSR_WANT_DELTA || item->action == HSR_WANT_REST)
        return hsr_source_delta_want(source, page, item->index);
    if (item->action == HSR_WANT_PATCH)
        return hsr_source_patch_want(source, page, item);
    hsr_source_enqueue(source, key);
    return 0;
}

static int source_acked(struct hsr_source *source, struct hsr_source_page *page,
                        struct hsr_span payload)
{
    struct hsr_list_reader list;
    struct hsr_ack_item item;
    bool dry = (source->session->options & HSR_OPT_DRY_RUN) != 0;
    uint8_t level;
    int rc = hsr_ack_begin(&list, payload, page->count, &level);

    hsr_require(!page->acked && page != source->filling, HSR_E_PROTOCOL);
    while (rc >= 0 && (rc = hsr_ack_next(&list, &item)) > 0) {
        hsr_require(item.index < page->count, HSR_E_PROTOCOL);
        page->entries[item.index].asked = false; /* it did not arrive */
        page->entries[item.index].mend = item.mend ? item.code : 0;
    }
    if (rc < 0)
        return rc;
    hsr_require(dry == (level == 0), HSR_E_PROTOCOL);
    source_arrived(source, page);
    page->acked = true;
    source->acks++;
    source->session->progress.entries_done += page->count;
    if (page->lent == 0) /* else the last sends are still coming home */
        source_page_free(source, page);
    return 0;
}

/* What is known to have moved if no DONE comes. */
static void source_arrived(struct hsr_source *source, const struct hsr_source_page *page)
{
    struct hsr_session *session = source->session;

    for (uint16_t i = 0; i < page->count; i++) {
        session->totals.files += page->entries[i].asked;
        session->totals.bytes += page->entries[i].asked ? page->entries[i].identity.size : 0;
    }
    if (!page->answered)
        session->progress.entries_kept += page->count;
}

static int source_levels(struct hsr_source *source, struct hsr_span payload)
{
    struct hsr_levels *ours = &source->session->progress.levels;
    struct hsr_levels levels;
    int rc = hsr_levels_decode(payload, &levels);

    hsr_require(rc == 0, rc);
    hsr_require(levels.pages <= source->acks && levels.pages >= ours->pages &&
                    levels.received >= ours->received && levels.written >= ours->written &&
                    levels.durable >= ours->durable,
                HSR_E_PROTOCOL);
    *ours = levels;
    return 0;
}

static void source_page_free(struct hsr_source *source, struct hsr_source_page *page)
{
    hsr_source_retry_mend(source, page);
    for (uint16_t i = 0; i < page->count; i++) {
        hsr_walk_dir_release(source->walk, page->entries[i].dir);
        hsr_small_sums_free(source->session->engine, page->entries[i].sums);
    }
    page->count = 0;
    page->used = false;
    if (source->filling == page)
        source->filling = NULL;
}

static struct hsr_source_page *source_page_find(struct hsr_source *source, uint32_t page)
{
    struct hsr_source_page *slot = &source->pages[page % HSR_PAGES_MAX];

    return slot->used && slot->page == page ? slot : NULL;
}

static bool source_root_is_tmpfs(struct hsr_loop *loop, int fd)
{
    struct statfs fs;
    struct hsr_op op = { .kind = HSR_OP_STATFS, .fd = fd, .statfs = &fs };

    return hsr_loop_call(loop, &op) == 0 && fs.f_type == TMPFS_MAGIC;
}

/* Will nothing more be wanted of this page? */
static bool source_page_heard(const struct hsr_source_page *page)
{
    return page->acked || (page->answered && page->sent == 0);
}
