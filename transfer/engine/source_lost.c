/* What a lost data connection had: ranges and packs that did not arrive are dealt again.
 *
 * Each PACK and each RANGE_END of a connection has a number, from 1, in the order in which they
 * leave; those that arrive are the first ones. A lane keeps what it takes to send again what the
 * target has not said to have. A range that is sent again counts once: in the file's digest if it
 * came home before, in its bytes when it is sent.
 *
 *   work: lent -> home -> sent[] -> taken
 *              -> held (the connection is lost) -> LOST says whether it arrived */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/source_impl.h"

static void lost_work(struct hsr_source *source, struct hsr_work *work, uint64_t arrived, int *rc);
static int lost_sent(struct hsr_source *source, const struct source_sent *sent);
static int lost_members(struct hsr_source *source, uint32_t index, uint64_t after);
static int lost_range(struct hsr_source *source, const struct source_again *range);

int hsr_source_lanes_create(struct hsr_source *source)
{
    for (uint32_t i = 0; i < source->session->streams_count; i++) {
        struct source_lane *lane = &source->lanes[i];

        hsr_list_init(&lane->held);
        lane->sent = calloc(HSR_SOURCE_SENT_MAX, sizeof(*lane->sent));
        if (lane->sent == NULL)
            return -ENOMEM;
    }
    return 0;
}

void hsr_source_lanes_destroy(struct hsr_source *source)
{
    for (uint32_t i = 0; i < HSR_STREAMS_MAX; i++)
        free(source->lanes[i].sent);
    free(source->again);
}

size_t hsr_source_lane_bytes(void)
{
    return HSR_SOURCE_SENT_MAX * (sizeof(struct source_sent) + sizeof(struct source_again));
}

bool hsr_source_lane_open(const struct hsr_source *source, const struct hsr_stream *stream)
{
    const struct source_lane *lane = &source->lanes[stream->index];

    return lane->ended - lane->taken + SOURCE_WORKS_PER_STREAM < HSR_SOURCE_SENT_MAX;
}

void hsr_source_lane_home(struct hsr_source *source, const struct hsr_work *work)
{
    struct source_lane *lane = &source->lanes[work->stream->index];
    bool pack = work->kind == HSR_WORK_PACK, delta = false;

    if (work->number == 0)
        return; /* nothing of it has left */
    if (!pack)
        delta = work->file->page->entries[work->index].delta != SOURCE_DELTA_NONE;
    hsr_assert(work->number == lane->ended + 1);
    hsr_assert(lane->ended - lane->taken < HSR_SOURCE_SENT_MAX);
    lane->sent[work->number % HSR_SOURCE_SENT_MAX] =
        (struct source_sent){ .pack = pack,
                              .delta = delta,
                              .page = work->page,
                              .index = (uint16_t)work->index,
                              .start = work->start,
                              .end = work->end,
                              .bytes = work->bytes,
                              .rc = work->rc };
    lane->ended = work->number;
    for (uint32_t i = 0; pack && i < work->member_count; i++) {
        struct source_entry *entry = &work->members[i].page->entries[work->members[i].index];

        entry->lane = (uint8_t)work->stream->index;
        entry->number = lane->base + work->number;
    }
}

void hsr_source_lane_hold(struct hsr_source *source, struct hsr_work *work)
{
    hsr_list_push_tail(&source->lanes[work->stream->index].held, &work->node);
}

int hsr_source_taken(struct hsr_session *session, uint32_t index, uint64_t ends)
{
    struct source_lane *lane = &session->source->lanes[index];

    /* What arrived may still be on its way home here. */
    hsr_require(ends >= lane->taken && ends <= lane->ended + SOURCE_WORKS_PER_STREAM,
                HSR_E_PROTOCOL);
    lane->taken = HSR_MIN(ends, lane->ended);
    hsr_session_wake(session);
    return 0;
}

int hsr_source_lost(struct hsr_session *session, uint32_t index, uint64_t arrived)
{
    struct hsr_source *source = session->source;
    struct source_lane *lane = &source->lanes[index];
    struct hsr_list *node;
    int rc = 0;

    hsr_require(arrived >= lane->taken && arrived <= lane->ended + SOURCE_WORKS_PER_STREAM,
                HSR_E_PROTOCOL);
    while ((node = hsr_list_pop_head(&lane->held)) != NULL)
        lost_work(source, hsr_container_of(node, struct hsr_work, node), arrived, &rc);
    for (uint64_t number = HSR_MAX(lane->taken, arrived) + 1; rc == 0 && number <= lane->ended;
         number++)
        rc = lost_sent(source, &lane->sent[number % HSR_SOURCE_SENT_MAX]);
    if (rc == 0)
        rc = lost_members(source, index, lane->base + arrived);
    lane->base += lane->ended; /* no number comes twice */
    lane->ended = lane->taken = 0;
    for (uint32_t i = 0; i < HSR_FILES_MAX; i++)
        if (source->files[i].waits == index + 1)
            source->files[i].waits = 0;
    hsr_session_wake(session);
    return rc;
}

/* --inplace: another stream takes the rest, when it is known what of it there is. */
void hsr_source_stream_gone(struct hsr_session *session, const struct hsr_stream *stream)
{
    struct hsr_source *source = session->source;

    for (uint32_t i = 0; i < HSR_FILES_MAX; i++)
        if (source->files[i].used && source->files[i].stream == stream) {
            source->files[i].stream = NULL;
            source->files[i].waits = (uint8_t)(stream->index + 1);
        }
}

/* A work that came home from a lost connection: did all of it arrive? */
static void lost_work(struct hsr_source *source, struct hsr_work *work, uint64_t arrived, int *rc)
{
    bool came = work->number > 0 && work->number <= arrived;

    if (work->rc == HSR_E_CANCELED)
        work->rc = 0;
    if (came || (work->kind == HSR_WORK_RANGE && work->rc < 0)) {
        if (!came)
            work->bytes = 0; /* the target forgets a range without its end */
        hsr_source_work_finish(source, work);
        return;
    }
    if (work->kind == HSR_WORK_PACK) {
        for (uint32_t i = 0; i < work->member_count; i++)
            hsr_source_enqueue(source, (uint32_t)(work->members[i].page - source->pages) << 16 |
                                           work->members[i].index);
    } else {
        struct source_again range = { .page = work->page,
                                      .index = (uint16_t)work->index,
                                      .start = work->start,
                                      .end = work->end,
                                      .hashed = work->hashed };

        work->file->works--;
        if (*rc == 0)
            *rc = lost_range(source, &range);
    }
    hsr_list_push_tail(&source->works_free, &work->node);
}

/* Something that was sent, and came home, did not arrive. */
static int lost_sent(struct hsr_source *source, const struct source_sent *sent)
{
    struct source_again range = { .page = sent->page,
                                  .index = sent->index,
                                  .start = sent->start,
                                  .end = sent->end,
                                  .rc = sent->rc,
                                  .hashed = true };
    struct hsr_source_page *page = &source->pages[sent->page % HSR_PAGES_MAX];
    struct source_entry *entry = &page->entries[sent->index];
    struct hsr_source_file *file;

    if (sent->pack)
        return 0; /* lost_members() finds them */
    hsr_require(page->used && page->page == sent->page && !page->acked, HSR_E_PROTOCOL);
    /* What was wanted WHOLE since then had arrived. */
    hsr_require(sent->delta == (entry->delta != SOURCE_DELTA_NONE), HSR_E_PROTOCOL);
    file = hsr_source_file_find(source, page, sent->index);
    if (file == NULL && !entry->wanted) { /* FILE_END was sent */
        entry->wanted = true;
        page->lent++;
        source->session->progress.files_done--;
    }
    if (file != NULL)
        file->bytes -= sent->bytes;
    else
        entry->sent_bytes -= sent->bytes;
    atomic_fetch_sub_explicit(&source->session->counts.bytes, sent->bytes, memory_order_relaxed);
    return lost_range(source, &range);
}

/* Members of packs that left on stream @index as number @after + 1 and later. */
static int lost_members(struct hsr_source *source, uint32_t index, uint64_t after)
{
    for (uint32_t i = 0; i < HSR_PAGES_MAX; i++) {
        struct hsr_source_page *page = &source->pages[i];

        for (uint16_t k = 0; page->used && !page->acked && k < page->count; k++) {
            struct source_entry *entry = &page->entries[k];

            if (entry->number <= after || entry->lane != index)
                continue;
            /* Its work came home; what was wanted once more had arrived. */
            hsr_require(!entry->wanted, HSR_E_PROTOCOL);
            entry->number = 0;
            entry->wanted = true;
            page->lent++;
            source->session->progress.files_done--;
            atomic_fetch_sub_explicit(&source->session->counts.bytes, entry->identity.size,
                                      memory_order_relaxed);
            hsr_source_enqueue(source, i << 16 | k);
        }
    }
    return 0;
}

static int lost_range(struct hsr_source *source, const struct source_again *range)
{
    if (source->again_count == source->again_room) {
        uint32_t room = source->again_room > 0 ? 2 * source->again_room : HSR_SOURCE_SENT_MAX;
        struct source_again *again = reallocarray(source->again, room, sizeof(*again));

        hsr_require(again != NULL, -ENOMEM);
        source->again = again;
        source->again_room = room;
    }
    source->again[source->again_count++] = *range;
    return 0;
}

bool hsr_source_again_has(const struct hsr_source *source, const struct hsr_source_file *file)
{
    for (uint32_t i = 0; i < source->again_count; i++)
        if (source->again[i].page == file->page->page && source->again[i].index == file->index)
            return true;
    return false;
}

bool hsr_source_again_idle(const struct hsr_source *source)
{
    for (uint32_t i = 0; i < source->session->streams_count; i++)
        if (!hsr_list_empty(&source->lanes[i].held))
            return false;
    return source->again_count == 0;
}

bool hsr_source_again_next(struct hsr_source *source, struct source_again *ret_range,
                           struct hsr_source_file **ret_file)
{
    for (uint32_t i = 0; i < source->again_count; i++) {
        struct source_again range = source->again[i];
        struct hsr_source_page *page = &source->pages[range.page % HSR_PAGES_MAX];
        struct hsr_source_file *file = hsr_source_file_find(source, page, range.index);

        if (file == NULL)
            file = hsr_source_file_again(source, page, range.index);
        if (file == NULL || file->works == HSR_TALLY_RANGES_MAX ||
            (file->stream != NULL && (file->stream->works_lent >= SOURCE_WORKS_PER_STREAM ||
                                      !hsr_source_lane_open(source, file->stream))))
            continue;
        source->again[i] = source->again[--source->again_count];
        if (file->rc == 0)
            file->rc = range.rc;
        if (file->rc < 0) { /* nothing more of it is sent */
            i--;
            continue;
        }
        *ret_range = range;
        *ret_file = file;
        return true;
    }
    return false;
}
