/* From what is wanted to work for the streams: small files in packs, large ones in ranges. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/source_impl.h"

#define RANGE_MAX (64 * HSR_MIB) /* a message per range costs nothing at this size */
#define RANGE_CHUNKS_MIN 4u /* a shorter range is not worth its messages */
#define PACK_MEMBERS_AIM 256u /* 3 ms of work at the target, 6 while two shards make files */

static struct hsr_stream *deal_stream(struct hsr_source *source);
static bool deal_pack(struct hsr_source *source, bool last);
static bool deal_range(struct hsr_source *source);
static void deal_file_start(struct hsr_source *source);
static bool deal_file_extent(struct hsr_source *source, struct hsr_source_file *file);
static bool deal_file_through(const struct hsr_source *source, const struct hsr_source_file *file);
static void deal_file_end(struct hsr_source *source, struct hsr_source_file *file);
static bool deal_file_zeros(struct hsr_source *source, struct hsr_source_file *file);
static void deal_file_close(struct hsr_source *source, struct hsr_source_file *file);
static uint32_t deal_pack_max(const struct hsr_session *session);

void hsr_source_enqueue(struct hsr_source *source, uint32_t key)
{
    struct hsr_source_page *page = &source->pages[key >> 16];
    uint64_t size = page->entries[key & 0xffff].identity.size;

    if (size <= deal_pack_max(source->session)) {
        hsr_source_queue_push(&source->small, key);
        source->small_bytes += size;
    } else {
        hsr_source_queue_push(&source->large, key);
    }
}

void hsr_source_deal(struct hsr_source *source)
{
    bool held = hsr_hold_is(&source->session->hold);
    bool more = !held;

    if (!held) {
        hsr_source_check_step(source);
        hsr_source_delta_step(source);
        deal_file_start(source);
    }
    while (more) {
        struct hsr_stream *stream = deal_stream(source);

        if (stream == NULL || hsr_list_empty(&source->works_free))
            break;
        more = deal_range(source);
        if (deal_stream(source) != NULL && !hsr_list_empty(&source->works_free))
            more = deal_pack(source, stream->works_lent == 0) || more;
    }
    source->zeros_done = false;
    for (uint32_t i = 0; i < HSR_FILES_MAX; i++) {
        if (!source->files[i].used)
            continue;
        if (held && !source->files[i].dealt) /* finds out that all of it is */
            (void)deal_file_extent(source, &source->files[i]);
        deal_file_end(source, &source->files[i]);
    }
}

bool hsr_source_deal_idle(const struct hsr_source *source)
{
    for (uint32_t i = 0; i < HSR_FILES_MAX; i++)
        if (source->files[i].used)
            return false;
    return source->small.count == 0 && source->large.count == 0 && hsr_source_again_idle(source) &&
           hsr_source_check_idle(source);
}

bool hsr_source_ends_told(const struct hsr_source *source)
{
    for (uint32_t i = 0; i < HSR_FILES_MAX; i++)
        if (source->files[i].used && deal_file_through(source, &source->files[i]))
            return false;
    return true;
}

void hsr_source_deal_drop(struct hsr_source *source)
{
    for (uint32_t i = 0; i < HSR_FILES_MAX; i++)
        if (source->files[i].used)
            deal_file_close(source, &source->files[i]);
    hsr_source_delta_drop(source);
    hsr_source_kept_drop(source);
}

void hsr_source_work_done(struct hsr_session *session, struct hsr_work *work)
{
    if (work->dropped && session->state == HSR_SESSION_MOVING) {
        hsr_source_lane_hold(session->source, work);
        return;
    }
    if (!work->dropped)
        hsr_source_lane_home(session->source, work);
    hsr_source_work_finish(session->source, work);
}

void hsr_source_work_finish(struct hsr_source *source, struct hsr_work *work)
{
    struct hsr_session *session = source->session;

    if (work->kind == HSR_WORK_PACK) {
        for (uint32_t i = 0; i < work->member_count; i++) {
            int code = work->rc < 0 ? HSR_E_CANCELED : work->members[i].code;
            struct source_entry *entry = &work->members[i].page->entries[work->members[i].index];

            entry->sent_bytes = entry->identity.size;
            hsr_source_entry_done(source, work->members[i].page, work->members[i].index, code);
        }
        session->progress.delta.files += work->patches;
    } else {
        struct hsr_source_file *file = work->file;

        hsr_assert(file->works > 0);
        file->works--;
        file->io = work->io;
        file->bytes += work->bytes;
        if (file->rc == 0)
            file->rc = work->rc;
        if (file->rc == 0 && !work->hashed)
            file->rc = hsr_tally_add(&file->tally, &work->run, &session->tally_budget);
    }
    session->progress.delta.literal += work->literal;
    session->progress.delta.copied += work->copied;
    hsr_list_push_tail(&source->works_free, &work->node);
    hsr_session_wake(session);
}

/* The stream with the least to do, or NULL. */
static struct hsr_stream *deal_stream(struct hsr_source *source)
{
    struct hsr_session *session = source->session;
    struct hsr_stream *best = NULL;

    for (uint32_t i = 0; i < session->streams_count; i++) {
        struct hsr_stream *stream = session->streams[i];

        if (stream != NULL && stream->ready && stream->works_lent < SOURCE_WORKS_PER_STREAM &&
            hsr_source_lane_open(source, stream) &&
            (best == NULL || stream->works_lent < best->works_lent))
            best = stream;
    }
    return best;
}

/* A file that travels in a pack fits a chunk together with a table of one. */
static uint32_t deal_pack_max(const struct hsr_session *session)
{
    uint32_t room = session->chunk - (uint32_t)hsr_pack_table_size(1, session->digest_size);

    return HSR_MIN(room, HSR_PACK_FILE_MAX);
}

/* One pack of the oldest small files. A pack that is not full waits for company, unless a stream
 * has nothing to do (@last). */
static bool deal_pack(struct hsr_source *source, bool last)
{
    struct hsr_session *session = source->session;
    struct hsr_work *work;
    uint32_t count = 0, key;
    size_t bytes = 0;

    if (source->small.count == 0)
        return false;
    if (!last && source->small.count < PACK_MEMBERS_AIM && source->small_bytes < session->chunk)
        return false;
    work = hsr_container_of(hsr_list_pop_head(&source->works_free), struct hsr_work, node);
    while (count < PACK_MEMBERS_AIM && source->small.count > 0) {
        struct hsr_source_page *page;
        uint64_t size;

        key = hsr_source_queue_peek(&source->small, 0);
        page = &source->pages[key >> 16];
        size = page->entries[key & 0xffff].identity.size;
        if (hsr_pack_table_size(count + 1, session->digest_size) + bytes + size > session->chunk)
            break;
        (void)hsr_source_queue_pop(&source->small, &key);
        work->members[count++] =
            (struct hsr_source_member){ .page = page, .index = (uint16_t)(key & 0xffff) };
        bytes += size;
        source->small_bytes -= size;
    }
    hsr_assert(count > 0); /* deal_pack_max() fits */
    work->kind = HSR_WORK_PACK;
    work->member_count = count;
    work->start = 0;
    work->end = 1;
    work->file = NULL;
    work->key = &source->delta_key;
    hsr_stream_grant(deal_stream(source), work);
    return true;
}

/* The file with the fewest ranges out: most file systems let one writer at a time into a file, so
 * streams do best in different ones. NULL: none has anything left to deal. */
static struct hsr_source_file *deal_file(struct hsr_source *source)
{
    struct hsr_source_file *best = NULL;

    for (uint32_t i = 0; i < HSR_FILES_MAX; i++) {
        struct hsr_source_file *file = &source->files[i];

        if (!file->used || file->dealt || file->waits != 0 ||
            (best != NULL && best->works <= file->works) || file->works == HSR_TALLY_RANGES_MAX)
            continue;
        if (file->stream != NULL && (file->stream->works_lent >= SOURCE_WORKS_PER_STREAM ||
                                     !hsr_source_lane_open(source, file->stream)))
            continue;
        if (deal_file_extent(source, file))
            best = file;
    }
    return best;
}

/* Deal one range. */
static bool deal_range(struct hsr_source *source)
{
    struct hsr_source_file *file;
    struct source_again again;
    struct hsr_stream *stream;
    struct hsr_work *work;
    bool lost = hsr_source_again_next(source, &again, &file);

    if (!lost)
        file = deal_file(source);
    if (file == NULL)
        return false;
    work = hsr_container_of(hsr_list_pop_head(&source->works_free), struct hsr_work, node);
    work->kind = HSR_WORK_RANGE;
    work->file = file;
    work->fd = file->fd;
    work->io = file->io;
    work->page = file->page->page;
    work->index = file->index;
    work->file_size = file->view.size;
    work->start = lost ? again.start : file->next;
    work->end =
        lost ? again.end
             : hsr_source_kept_limit(file, HSR_MIN(file->extent_end, file->next + file->range));
    work->hashed = lost && again.hashed;
    work->base = file->delta != NULL && file->delta->memory != NULL ? &file->delta->index : NULL;
    work->key = &source->delta_key;
    if (!lost)
        file->next = work->end;
    file->works++;
    stream = file->stream != NULL ? file->stream : deal_stream(source);
    if (source->session->options & HSR_OPT_INPLACE)
        file->stream = stream;
    hsr_stream_grant(stream, work);
    return true;
}

/* Open wanted large files while there are places. */
static void deal_file_start(struct hsr_source *source)
{
    struct hsr_session *session = source->session;
    uint32_t key;

    for (uint32_t i = 0; i < session->files_max; i++) {
        struct hsr_source_file *file = &source->files[i];
        struct source_delta *delta;
        uint64_t share;

        if (file->used)
            continue;
        delta = hsr_source_delta_next(source); /* first: its memory is waited for */
        if (delta == NULL && !hsr_source_queue_pop(&source->large, &key))
            return;
        *file = (struct hsr_source_file){
            .used = true,
            .delta = delta,
            .page = delta != NULL ? delta->page : &source->pages[key >> 16],
            .index = delta != NULL ? delta->entry : (uint16_t)(key & 0xffff),
        };
        hsr_source_view(file->page, file->index, &file->view);
        hsr_source_kept_take(source, file);
        hsr_tally_init(&file->tally, (enum hsr_digest_kind)session->digest, session->leaf);
        file->fd = hsr_source_open(&source->cache, file->view.walk, file->view.dir, file->view.name,
                                   (session->options & HSR_OPT_COPY_LINKS) != 0);
        if (file->fd < 0) {
            file->rc = file->fd;
            file->dealt = true;
            continue;
        }
        file->io = hsr_fileio_source(&session->home->loop, file->fd, file->view.size,
                                     hsr_session_fileio(session));
        share = session->options & HSR_OPT_INPLACE
                    ? RANGE_MAX /* one stream has all of it */
                    : file->view.size / (session->streams_count * 2u);
        share = HSR_MIN(share, (uint64_t)RANGE_MAX);
        share = HSR_MAX(share, (uint64_t)session->chunk * RANGE_CHUNKS_MIN);
        if (file->view.size >= HSR_KEPT_FILE_MIN)
            share = HSR_MAX(share, (uint64_t)HSR_KEPT_UNIT);
        file->range = (share + session->chunk - 1) / session->chunk * session->chunk;
        hsr_source_kept_begin(source, file);
    }
}

struct hsr_source_file *hsr_source_file_find(struct hsr_source *source,
                                             const struct hsr_source_page *page, uint16_t index)
{
    for (uint32_t i = 0; i < HSR_FILES_MAX; i++)
        if (source->files[i].used && source->files[i].page == page &&
            source->files[i].index == index)
            return &source->files[i];
    return NULL;
}

struct hsr_source_file *hsr_source_file_again(struct hsr_source *source,
                                              struct hsr_source_page *page, uint16_t index)
{
    struct hsr_session *session = source->session;
    struct hsr_source_file *file = source->files;

    while (file < source->files + HSR_FILES_MAX && file->used)
        file++;
    if (file == source->files + HSR_FILES_MAX)
        return NULL;
    *file = (struct hsr_source_file){ .used = true,
                                      .dealt = true,
                                      .again = true,
                                      .page = page,
                                      .index = index,
                                      .bytes = page->entries[index].sent_bytes };
    hsr_source_view(page, index, &file->view);
    hsr_tally_init(&file->tally, (enum hsr_digest_kind)session->digest, session->leaf);
    file->fd = hsr_source_open(&source->cache, file->view.walk, file->view.dir, file->view.name,
                               (session->options & HSR_OPT_COPY_LINKS) != 0);
    if (file->fd < 0)
        file->rc = file->fd;
    else
        file->io = hsr_fileio_source(&session->home->loop, file->fd, file->view.size,
                                     hsr_session_fileio(session));
    return file;
}

/* The next run of data. blake3: a hole that is one too many, or too small to be worth one of the
 * gaps that a target has memory for, is read as the zeros it is. 1: there is none. */
static int deal_extent(struct hsr_session *session, struct hsr_source_file *file)
{
    uint64_t least = file->view.size / (HSR_TALLY_HOLES_MAX / 2);
    uint64_t start = file->extent_end;
    int rc = hsr_source_extent(&session->home->loop, file->fd, start, file->view.size,
                               session->leaf, &file->next, &file->extent_end);

    if (rc != 0 || file->next == start)
        return rc;
    if (session->digest == HSR_DIGEST_BLAKE3 && file->holes >= HSR_TALLY_HOLES_MAX / 2 &&
        file->next - start < least)
        file->next = start;
    else
        file->holes++;
    return 0;
}

/* Is there something left to deal? Finds the next run of data when the last one is used up. */
static bool deal_file_extent(struct hsr_source *source, struct hsr_source_file *file)
{
    struct hsr_session *session = source->session;
    int rc;

    if (file->rc < 0) {
        file->dealt = true;
        return false;
    }
    for (;;) {
        if (file->next < file->extent_end && hsr_source_kept_skip(file))
            return true;
        if (file->extent_end >= file->view.size)
            break;
        if (!file->view.sparse) { /* finding that out page by page costs a tenth of the reading */
            file->next = file->extent_end;
            file->extent_end = file->view.size;
            continue;
        }
        rc = deal_extent(session, file);
        if (rc != 0) {
            file->rc = HSR_MIN(rc, 0);
            break;
        }
    }
    file->dealt = true;
    return false;
}

/* Are all of its ranges home, and known to arrive? */
static bool deal_file_through(const struct hsr_source *source, const struct hsr_source_file *file)
{
    return file->dealt && file->works == 0 && file->waits == 0 &&
           !hsr_source_again_has(source, file);
}

/* It is through: look at the file once more, and say how it ended. */
static void deal_file_end(struct hsr_source *source, struct hsr_source_file *file)
{
    struct hsr_session *session = source->session;
    struct hsr_file_end end;
    uint8_t *out;
    int size;

    if (session->control == NULL || !deal_file_through(source, file))
        return;
    if (!file->again && !deal_file_zeros(source, file))
        return;
    out = hsr_conn_begin(session->control, 64);
    if (out == NULL)
        return; /* its `writable` wakes us */
    if (file->rc == 0)
        file->rc = hsr_source_check(&session->home->loop, file->fd, &file->view.identity);
    if (file->again && (file->rc == 0 || file->page->entries[file->index].delta ==
                                             SOURCE_DELTA_AGAIN)) { /* FILE_END stands */
        file->page->entries[file->index].sent_bytes = file->bytes;
        deal_file_close(source, file);
        hsr_source_entry_done(source, file->page, file->index, 0);
        return;
    }
    end = (struct hsr_file_end){ .code = file->rc, .size = file->view.size, .bytes = file->bytes };
    if (file->rc == 0)
        end.code = file->rc = hsr_tally_final(&file->tally, file->view.size, end.digest);
    size = hsr_file_end_encode(&end, session->digest_size, out, 64);
    hsr_assert(size > 0);
    hsr_conn_commit(session->control,
                    (struct hsr_frame){ .kind = HSR_FRAME_FILE_END,
                                        .page = file->page->page,
                                        .index = file->index },
                    (size_t)size);
    file->page->entries[file->index].sent_bytes = file->bytes;
    if (file->rc == 0 && file->delta != NULL && file->delta->memory != NULL)
        session->progress.delta.files++;
    deal_file_close(source, file);
    hsr_source_entry_done(source, file->page, file->index, file->rc);
}

/* What no range covers counts as zeros. One file in a step of the home gets a slice of time. False:
 * there is more. */
static bool deal_file_zeros(struct hsr_source *source, struct hsr_source_file *file)
{
    struct hsr_session *session = source->session;
    int rc;

    if (file->rc < 0)
        return true;
    if (!source->zeros_done) {
        source->zeros_done = session->digest == HSR_DIGEST_BLAKE3;
        rc = hsr_tally_zeros(&file->tally, file->view.size, &session->home->loop,
                             &session->tally_budget);
        if (rc <= 0) {
            file->rc = rc;
            return true;
        }
    }
    hsr_session_wake(session);
    return false;
}

static void deal_file_close(struct hsr_source *source, struct hsr_source_file *file)
{
    hsr_tally_fini(&file->tally, &source->session->tally_budget);
    if (file->fd >= 0) {
        struct hsr_op op = { .kind = HSR_OP_CLOSE, .fd = file->fd };

        (void)hsr_loop_call(&source->session->home->loop, &op); /* read only */
    }
    if (file->delta != NULL)
        hsr_source_delta_free(source, file->delta);
    hsr_source_kept_end(source, file);
    file->delta = NULL;
    file->fd = -1;
    file->used = false;
}
