/* The walk of a source, on all shards: hands fill batches with what they find, encoded; the home
 * puts it into pages in one order, tight, with hard links told apart, and deals out the parts of
 * the walk that the hands give away.
 *
 *   batch: home -> lent -> full -> taken: home */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/source_impl.h"

#define WALK_ASK 8u /* entries walked between two looks at what else waits: about 20 us */
#define TAKE_ASK 64u /* entries put into pages between two looks at what else waits: 4 us */

/* What a source keeps at each hand. */
struct lister {
    struct hsr_source *source;
    struct hsr_walk *branch; /* made for the first part */
    struct hsr_walk *walking; /* the branch, or at home the walk itself; NULL: neither */
    struct hsr_list jobs; /* given and not begun */
    bool trunk; /* so is the walk itself */
    uint32_t offers; /* left for this batch */
    struct hsr_walk_item item;
    bool item_pending; /* `item` did not fit the last batch */
};

static int lister_begin(struct hsr_hand *hand);
static void lister_end(struct hsr_hand *hand);
static bool lister_step(struct hsr_hand *hand, struct hsr_crew_task *task);
static int lister_next(struct hsr_hand *hand);
static bool batch_add(const struct hsr_source *source, struct source_batch *batch,
                      struct hsr_walk *walk, const struct hsr_walk_item *item);
static void batch_back(struct hsr_session *session, struct hsr_crew_task *task);
static bool walk_take(struct hsr_source *source);
static bool walk_take_one(struct hsr_source *source, struct source_batch *batch,
                          const struct source_found *found);
static bool walk_take_entry(struct hsr_source *source, struct source_batch *batch,
                            const struct source_found *found);
static void walk_ready(struct hsr_source *source, const struct source_batch *batch,
                       const struct source_found *found);
static void walk_failed(struct hsr_source *source, const struct source_batch *batch,
                        const struct source_found *found);
static void walk_ordered(struct hsr_source *source, const struct source_found *found);
static void walk_lend(struct hsr_source *source);
static void walk_drop(struct hsr_source *source, const struct source_found *found);

const struct hsr_crew_ops hsr_source_crew = { .name = "source hand",
                                              .begin = lister_begin,
                                              .step = lister_step,
                                              .back = batch_back,
                                              .end = lister_end };

size_t hsr_source_hand_bytes(void)
{
    return sizeof(struct source_hand) + SOURCE_BATCHES * HSR_CONTROL_PAYLOAD_MAX +
           sizeof(struct lister) + hsr_walk_branch_bytes();
}

int hsr_source_walk_create(struct hsr_source *source)
{
    struct hsr_session *session = source->session;
    int rc = hsr_crew_create(&session->crew, session, &hsr_source_crew);

    if (rc < 0)
        return rc;
    source->hands = calloc(session->crew.hand_count, sizeof(*source->hands));
    if (source->hands == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < session->crew.hand_count * SOURCE_BATCHES; i++) {
        struct source_batch *batch = &source->hands[i / SOURCE_BATCHES].batches[i % SOURCE_BATCHES];

        batch->home = true;
        hsr_list_init(&batch->task.node);
        batch->payload = malloc(HSR_CONTROL_PAYLOAD_MAX);
        if (batch->payload == NULL)
            return -ENOMEM;
    }
    return 0;
}

/* Every hand is back. */
void hsr_source_walk_destroy(struct hsr_source *source)
{
    uint32_t count = source->hands == NULL ? 0 : source->session->crew.hand_count;

    while (!hsr_list_empty(&source->jobs))
        hsr_walk_job_free(source->walk, hsr_walk_job_of(hsr_list_pop_head(&source->jobs)));
    for (uint32_t i = 0; i < count * SOURCE_BATCHES; i++) {
        struct source_batch *batch = &source->hands[i / SOURCE_BATCHES].batches[i % SOURCE_BATCHES];

        for (; batch->next < batch->count; batch->next++) {
            hsr_walk_job_free(source->walk, batch->found[batch->next].job);
            walk_drop(source, &batch->found[batch->next]);
        }
        hsr_walk_job_free(source->walk, batch->job);
        free(batch->payload);
    }
    free(source->hands);
    source->hands = NULL;
}

void hsr_source_walk(struct hsr_source *source)
{
    struct hsr_session *session = source->session;

    if (source->walk_over || hsr_hold_is(&session->hold))
        return;
    if (!walk_take(source) || session->state != HSR_SESSION_MOVING)
        return;
    walk_lend(source);
    for (uint32_t i = 0; i < session->crew.hand_count; i++)
        if (source->hands[i].unfinished > 0 || source->hands[i].lent > 0)
            return;
    hsr_assert(source->job_count == 0); /* else somebody would have it */
    source->walk_over = hsr_source_page_flush(source);
}

/* ---- at the hand ---- */

static int lister_begin(struct hsr_hand *hand)
{
    struct lister *lister = calloc(1, sizeof(*lister));

    if (lister == NULL)
        return -ENOMEM;
    lister->source = hand->crew->session->source;
    hsr_list_init(&lister->jobs);
    hand->own = lister;
    return 0;
}

static void lister_end(struct hsr_hand *hand)
{
    struct lister *lister = hand->own;

    while (!hsr_list_empty(&lister->jobs))
        hsr_walk_job_free(lister->source->walk, hsr_walk_job_of(hsr_list_pop_head(&lister->jobs)));
    if (lister->item_pending)
        hsr_walk_job_free(lister->source->walk, lister->item.job);
    hsr_walk_destroy(lister->branch);
    free(lister);
}

static bool lister_step(struct hsr_hand *hand, struct hsr_crew_task *task)
{
    struct source_batch *batch = hsr_container_of(task, struct source_batch, task);
    struct lister *lister = hand->own;
    unsigned steps = 0;

    lister->trunk |= batch->trunk;
    batch->trunk = false;
    if (batch->job != NULL)
        hsr_list_push_tail(&lister->jobs, hsr_walk_job_node(batch->job));
    batch->job = NULL;
    if (batch->count == 0)
        lister->offers = batch->offers;
    while (batch->count < HSR_PAGE_ENTRIES_MAX && batch->size < SOURCE_PAGE_FULL) {
        if (++steps % WALK_ASK == 0 && hsr_loop_slice_over(&hand->shard->loop))
            return false;
        if (!lister->item_pending) {
            int rc = lister_next(hand);

            if (rc == 0 && lister->walking == NULL)
                return true; /* nothing more to do */
            if (rc == 0) {
                lister->walking = NULL;
                batch->over++;
                continue;
            }
            batch->rc = HSR_MIN(rc, 0);
            if (rc < 0)
                return true;
        }
        lister->item_pending = !batch_add(lister->source, batch, lister->walking, &lister->item);
        if (lister->item_pending)
            return true;
        if (lister->item.kind == HSR_WALK_OFFER && lister->offers > 0 && --lister->offers == 0)
            return true; /* somebody waits for these */
    }
    return true;
}

/* 1: lister->item; 0: what is being walked is over, or nothing is; negative: it cannot go on. */
static int lister_next(struct hsr_hand *hand)
{
    struct lister *lister = hand->own;
    struct hsr_walk *trunk = lister->source->walk;
    struct hsr_list *node;
    int rc;

    if (lister->walking == NULL && lister->trunk) {
        lister->trunk = false;
        lister->walking = trunk;
    } else if (lister->walking == NULL) {
        if (hsr_list_empty(&lister->jobs))
            return 0;
        if (lister->branch == NULL) {
            struct hsr_walk_options options = hsr_source_walk_options(lister->source);

            rc = hsr_walk_branch(&hand->shard->loop, &options, &lister->branch);
            if (rc < 0)
                return rc;
        }
        node = hsr_list_pop_head(&lister->jobs);
        rc = hsr_walk_begin(lister->branch, trunk, hsr_walk_job_of(node));
        if (rc < 0)
            return rc;
        lister->walking = lister->branch;
    }
    hsr_walk_offers(lister->walking, lister->offers);
    return hsr_walk_next(lister->walking, &lister->item);
}

/* Shall the target be told which version of a file it gets? */
static bool walk_versions(const struct hsr_session *session)
{
    return (session->features & HSR_FEATURE_RESUME) && !(session->options & HSR_OPT_NO_JOURNAL);
}

/* False: it does not fit any more. */
static bool batch_add(const struct hsr_source *source, struct source_batch *batch,
                      struct hsr_walk *walk, const struct hsr_walk_item *item)
{
    struct source_found *found = &batch->found[batch->count];
    struct hsr_writer writer =
        hsr_writer_init(batch->payload + batch->size, HSR_CONTROL_PAYLOAD_MAX - batch->size);
    struct hsr_source_identity identity = { .dev = item->dev,
                                            .ino = item->ino,
                                            .size = item->entry.size,
                                            .mtime_s = item->entry.mtime_s,
                                            .mtime_ns = item->entry.mtime_ns,
                                            .ctime_s = item->ctime_s,
                                            .ctime_ns = item->ctime_ns };
    struct hsr_span name = item->entry.name;

    if (item->kind == HSR_WALK_ENTRY && item->code == 0) {
        struct hsr_entry entry = item->entry;
        int rc;

        if (walk_versions(source->session) && entry.type == HSR_ENTRY_FILE &&
            entry.size >= HSR_KEPT_FILE_MIN) {
            entry.flags |= HSR_ENTRY_VERSION;
            entry.version = hsr_source_version(&identity);
        }
        rc = hsr_entry_encode(&writer, &entry);

        hsr_assert(rc == 0 || batch->count > 0); /* limits are per entry: one always fits */
        if (rc < 0)
            return false;
    } else if (name.size > 0) { /* of a failure; not always a name that could be encoded */
        if (name.size > HSR_CONTROL_PAYLOAD_MAX - batch->size)
            return false;
        memcpy(batch->payload + batch->size, name.ptr, name.size);
        writer.offset = name.size;
    }
    *found = (struct source_found){ .dir = item->dir,
                                    .self = item->self,
                                    .job = item->job,
                                    .op = item->op,
                                    .identity = identity,
                                    .offset = (uint32_t)batch->size,
                                    .size = (uint32_t)writer.offset,
                                    .nlink = item->nlink,
                                    .code = item->code,
                                    .kind = item->kind,
                                    .type = item->entry.type,
                                    .name_size = (uint8_t)HSR_MIN(name.size, UINT8_MAX),
                                    .last = item->last,
                                    .incomplete = item->incomplete,
                                    .skipped = item->skipped,
                                    .sparse = (item->entry.flags & HSR_ENTRY_SPARSE) != 0 };
    hsr_walk_dir_hold(walk, item->dir);
    if (item->self != NULL)
        hsr_walk_dir_hold(walk, item->self);
    batch->count++;
    batch->size += writer.offset;
    return true;
}

/* ---- at home ---- */

static void batch_back(struct hsr_session *session, struct hsr_crew_task *task)
{
    struct hsr_source *source = session->source;

    hsr_list_init(&task->node);
    hsr_list_push_tail(&source->full, &task->node);
    source->hands[task->hand - session->crew.hands].lent--;
}

/* Into pages, oldest batch first. False: something has to happen first, which wakes us. */
static bool walk_take(struct hsr_source *source)
{
    struct hsr_session *session = source->session;
    unsigned steps = 0;

    while (!hsr_list_empty(&source->full)) {
        struct source_batch *batch =
            hsr_container_of(source->full.next, struct source_batch, task.node);
        struct source_hand *hand = &source->hands[batch->task.hand - session->crew.hands];

        while (batch->next < batch->count) {
            if (++steps % TAKE_ASK == 0 && hsr_loop_slice_over(&session->home->loop)) {
                hsr_session_wake(session);
                return false;
            }
            if (!walk_take_one(source, batch, &batch->found[batch->next]))
                return false;
            batch->next++;
        }
        hsr_list_remove(&batch->task.node);
        batch->home = true;
        hsr_assert(hand->unfinished >= batch->over);
        hand->unfinished -= batch->over;
        if (batch->rc < 0) {
            hsr_session_end(session, batch->rc, "the walk cannot go on");
            return false;
        }
    }
    return true;
}

static bool walk_take_one(struct hsr_source *source, struct source_batch *batch,
                          const struct source_found *found)
{
    if (found->kind == HSR_WALK_ENTRY && found->code == 0) {
        if (!walk_take_entry(source, batch, found))
            return false;
        walk_ordered(source, found);
        if (found->self != NULL)
            hsr_walk_dir_release(source->walk, found->self);
        return true; /* the hold on `dir` is the page's now */
    }
    if (found->kind == HSR_WALK_ENTRY)
        walk_failed(source, batch, found);
    else
        walk_ordered(source, found);
    walk_drop(source, found);
    return true;
}

static bool walk_take_entry(struct hsr_source *source, struct source_batch *batch,
                            const struct source_found *found)
{
    const uint8_t *bytes = batch->payload + found->offset;

    if (found->nlink > 0 || source->round > 0) {
        walk_ready(source, batch, found);
        bytes = NULL;
    }
    do {
        if (!hsr_source_page_open(source))
            return false;
        if (hsr_source_page_add(source, found, bytes)) {
            source->entry_ready = false;
            return true;
        }
    } while (hsr_source_page_flush(source));
    return false;
}

/* source->entry: what has to look different now that its place is known. Once for each. */
static void walk_ready(struct hsr_source *source, const struct source_batch *batch,
                       const struct source_found *found)
{
    struct hsr_reader reader = hsr_reader_init(batch->payload + found->offset, found->size);
    struct hsr_entry *entry = &source->entry;
    int rc;

    if (source->entry_ready)
        return;
    source->entry_ready = true;
    rc = hsr_entry_decode(&reader, entry);
    hsr_assert(rc == 0); /* a hand encoded it */
    if (source->round > 0) { /* parents of a retried file get their times set again */
        entry->flags &= (uint8_t)~HSR_ENTRY_IMPLIED;
        if (entry->type == HSR_ENTRY_DIR_END)
            entry->flags |= HSR_ENTRY_INCOMPLETE;
    }
    if (found->nlink == 0 ||
        hsr_walk_link(source->walk, found->dir, found->identity.dev, found->identity.ino,
                      found->nlink, entry) ||
        source->link_told)
        return;
    source->link_told = true;
    walk_failed(source, batch,
                &(struct source_found){ .dir = found->dir,
                                        .code = HSR_E_MEMORY_BOUND,
                                        .skipped = true,
                                        .op = "link",
                                        .offset = found->offset + 7, /* see page_add */
                                        .size = found->name_size });
}

static void walk_failed(struct hsr_source *source, const struct source_batch *batch,
                        const struct source_found *found)
{
    struct hsr_span name = { batch->payload + found->offset, found->size };
    char path[HSR_ERROR_PATH_SIZE];

    (void)hsr_dir_path(found->dir, name, path, sizeof(path));
    hsr_session_note(source->session, found->skipped ? HSR_NOTE_SKIPPED : HSR_NOTE_FAILED,
                     found->code, found->op, path, 0);
}

/* It has its place: what is there to do now? */
static void walk_ordered(struct hsr_source *source, const struct source_found *found)
{
    struct hsr_walk_item item = { .kind = found->kind,
                                  .last = found->last,
                                  .incomplete = found->incomplete,
                                  .job = found->job,
                                  .self = found->self,
                                  .entry.type = found->type };
    struct hsr_walk_job *job = hsr_walk_ordered(&item);

    if (job == NULL)
        return;
    source->job_count++;
    if (hsr_walk_job_ends(job))
        hsr_list_push_head(&source->jobs, hsr_walk_job_node(job));
    else
        hsr_list_push_tail(&source->jobs, hsr_walk_job_node(job));
}

static void walk_drop(struct hsr_source *source, const struct source_found *found)
{
    hsr_walk_dir_release(source->walk, found->dir);
    if (found->self != NULL)
        hsr_walk_dir_release(source->walk, found->self);
}

/* A batch for hand @index, if it has something to do. */
static bool walk_lend_one(struct hsr_source *source, uint32_t index)
{
    struct hsr_crew *crew = &source->session->crew;
    struct source_hand *hand = &source->hands[index];
    struct source_batch *batch = NULL;
    bool trunk = index == 0 && !source->walk_begun;
    struct hsr_walk_job *job = NULL;

    for (uint32_t i = 0; i < SOURCE_BATCHES && batch == NULL; i++)
        if (hand->batches[i].home)
            batch = &hand->batches[i];
    if (batch == NULL)
        return false;
    if (!trunk && hand->unfinished < SOURCE_JOBS && source->job_count > 0) {
        job = hsr_walk_job_of(hsr_list_pop_head(&source->jobs));
        source->job_count--;
    }
    if (!trunk && job == NULL && hand->unfinished <= hand->lent)
        return false;
    batch->home = false;
    batch->trunk = trunk;
    batch->job = job;
    batch->over = 0;
    batch->rc = 0;
    batch->count = batch->next = 0;
    batch->size = 0;
    batch->offers = 0;
    if (crew->hand_count > 1 && source->job_count < SOURCE_JOBS * crew->hand_count)
        batch->offers = SOURCE_OFFERS;
    source->walk_begun |= trunk;
    hand->unfinished += trunk || job != NULL;
    hand->lent++;
    hsr_crew_lend(&crew->hands[index], &batch->task);
    return true;
}

static void walk_lend(struct hsr_source *source)
{
    bool more = true;

    while (more) { /* one each, as long as there is something */
        more = false;
        for (uint32_t i = source->session->crew.hand_count; i-- > 0;)
            more = walk_lend_one(source, i) || more;
    }
}
