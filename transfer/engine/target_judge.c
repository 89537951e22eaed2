/* The part of a decision that needs no order and no shared table, on whichever shard has a hand
 * free: ask what has an entry's name, compare; set metadata where only
 * that differs; make what needs no data. The home gets a verdict for each entry and does the rest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/small.h"
#include "transfer/engine/target_impl.h"

#define JUDGE_ASK 4u /* entries between two looks at what else waits: 10 us */

/* What the target keeps at each hand. */
struct judge {
    struct hsr_tree tree;
    uint8_t *memory; /* for small old versions; made when the first is read */
    bool compares; /* digests */
};

static int judge_begin(struct hsr_hand *hand);
static void judge_end(struct hsr_hand *hand);
static bool judge_step(struct hsr_hand *hand, struct hsr_crew_task *task);
static void judge_back(struct hsr_session *session, struct hsr_crew_task *task);
static void judge_one(struct judge *judge, struct target_slice *slice,
                      struct target_verdict *verdict);
static void judge_by_kind(struct judge *judge, const struct hsr_dir *dir,
                          const struct hsr_entry *entry, const struct hsr_existing *existing,
                          struct target_verdict *verdict);
static void judge_small(struct judge *judge, struct target_slice *slice, const struct hsr_dir *dir,
                        const struct hsr_entry *entry, const struct hsr_existing *existing,
                        struct target_verdict *verdict);

const struct hsr_crew_ops hsr_target_crew = { .name = "target hand",
                                              .begin = judge_begin,
                                              .step = judge_step,
                                              .back = judge_back,
                                              .end = judge_end };

size_t hsr_target_hand_bytes(void)
{
    return sizeof(struct judge) + TARGET_SLICES_PER_HAND * sizeof(struct target_slice);
}

static int judge_begin(struct hsr_hand *hand)
{
    struct hsr_session *session = hand->crew->session;
    struct judge *judge = malloc(sizeof(*judge)); /* hsr_tree_init() clears what must be */

    if (judge == NULL)
        return -ENOMEM;
    hsr_tree_init(&judge->tree, &hand->shard->loop, session->root_fd, session->options);
    judge->memory = NULL;
    judge->compares =
        !(session->options & HSR_OPT_DRY_RUN) || (session->features & HSR_FEATURE_COMPARE);
    hand->own = judge;
    return 0;
}

static void judge_end(struct hsr_hand *hand)
{
    struct judge *judge = hand->own;

    hsr_tree_fini(&judge->tree);
    free(judge->memory);
    free(judge);
}

static bool judge_step(struct hsr_hand *hand, struct hsr_crew_task *task)
{
    struct target_slice *slice = hsr_container_of(task, struct target_slice, task);
    struct judge *judge = hand->own;
    struct target_verdict *verdict;
    unsigned steps = 0;

    if (task->kind == TARGET_TASK_NAMES)
        return hsr_batch_name(hand->crew->session->target, &judge->tree,
                              hsr_container_of(task, struct hsr_batch, task));

    while (slice->next < slice->count) {
        if (++steps % JUDGE_ASK == 0 && hsr_loop_slice_over(&hand->shard->loop))
            return false;
        verdict = &slice->verdicts[slice->next++];
        judge_one(judge, slice, verdict);
        if (verdict->base_size > 0)
            steps |= JUDGE_ASK - 1; /* that took longer: ask before the next */
    }
    return true;
}

static void judge_back(struct hsr_session *session, struct hsr_crew_task *task)
{
    if (task->kind == TARGET_TASK_NAMES)
        hsr_target_named(session->target, hsr_container_of(task, struct hsr_batch, task));
    else
        hsr_target_judged(session, task);
}

static void judge_one(struct judge *judge, struct target_slice *slice,
                      struct target_verdict *verdict)
{
    struct target_page *page = slice->page;
    const struct hsr_dir *dir = &page->entries[verdict->index].dir->dir;
    struct hsr_existing existing = { 0 };
    struct hsr_entry entry;

    hsr_target_entry_read(slice->target, page, verdict->index, &entry);
    verdict->compare = HSR_COMPARE_ABSENT;
    if (!verdict->fresh)
        verdict->compare = hsr_tree_compare(&judge->tree, dir, &entry, &existing);
    if (verdict->compare < 0 ||
        (verdict->compare != HSR_COMPARE_ABSENT && (judge->tree.options & HSR_OPT_IGNORE_EXISTING)))
        return;
    verdict->differs = existing.differs;
    judge_by_kind(judge, dir, &entry, &existing, verdict);
    if (verdict->deed == TARGET_COMPARED && verdict->compare == HSR_COMPARE_CONTENT)
        judge_small(judge, slice, dir, &entry, &existing, verdict);
    verdict->warning = judge->tree.warning.code;
    verdict->warning_op = judge->tree.warning.op;
    judge->tree.warning.code = 0;
}

/* May what has the name be worth a signature? Small files travel in packs. */
static bool judge_basis(const struct hsr_tree *tree, const struct hsr_entry *entry,
                        const struct hsr_existing *existing, int compare)
{
    return (tree->options & HSR_OPT_DELTA) && compare == HSR_COMPARE_CONTENT &&
           !((tree->options & HSR_OPT_INPLACE) && (entry->flags & HSR_ENTRY_SPARSE)) &&
           entry->type == HSR_ENTRY_FILE && entry->size > HSR_PACK_FILE_MAX &&
           existing->size >= TARGET_BASIS_MIN;
}

/* A small file that changed: the sums of what is there, if a patch may be shorter. */
static void judge_small(struct judge *judge, struct target_slice *slice, const struct hsr_dir *dir,
                        const struct hsr_entry *entry, const struct hsr_existing *existing,
                        struct target_verdict *verdict)
{
    struct hsr_delta_plan plan;
    uint32_t size;

    if (slice->sums == NULL || (judge->tree.options & HSR_OPT_DRY_RUN) ||
        entry->type != HSR_ENTRY_FILE || entry->size < HSR_SMALL_MIN ||
        entry->size > HSR_PACK_FILE_MAX || existing->size > HSR_DELTA_SMALL_BASE_MAX)
        return;
    if (judge->memory == NULL)
        judge->memory = malloc(HSR_DELTA_SMALL_BASE_MAX);
    if (judge->memory == NULL)
        return; /* it travels whole */
    size =
        hsr_small_sign(&judge->tree, dir, entry, &slice->target->delta_key, judge->memory,
                       slice->sums + slice->sums_size, TARGET_SLICE_SUMS - slice->sums_size, &plan);
    if (size == 0)
        return;
    verdict->base_size = (uint32_t)plan.base_size;
    verdict->block_log = (uint8_t)__builtin_ctz(plan.block_size);
    verdict->sums = (struct hsr_span){ slice->sums + slice->sums_size, size };
    slice->sums_size += size;
}

/* Is what has the name a file of several names, though the source's has one, and does its metadata
 * differ? Setting it would change the other names too, so the file is made anew. */
static bool judge_splits(const struct hsr_entry *entry, const struct hsr_existing *existing)
{
    return entry->type != HSR_ENTRY_DIR && existing->links > 1 &&
           !(entry->flags & (HSR_ENTRY_LINK_FIRST | HSR_ENTRY_LINK_NEXT)) && existing->differs != 0;
}

static void judge_by_kind(struct judge *judge, const struct hsr_dir *dir,
                          const struct hsr_entry *entry, const struct hsr_existing *existing,
                          struct target_verdict *verdict)
{
    struct hsr_tree *tree = &judge->tree;
    bool dry = (tree->options & HSR_OPT_DRY_RUN) != 0;

    if ((verdict->compare == HSR_COMPARE_METADATA || verdict->compare == HSR_COMPARE_CONTENT) &&
        !(tree->options & HSR_OPT_VERIFY) && judge_splits(entry, existing)) {
        verdict->compare = HSR_COMPARE_CONTENT;
    } else if (verdict->compare == HSR_COMPARE_CONTENT && entry->type == HSR_ENTRY_FILE &&
               existing->size == entry->size && entry->size > 0 &&
               (tree->options & HSR_OPT_CHECKSUM)) {
        if (judge->compares)
            verdict->deed = TARGET_UNREAD;
        else /* a dry run, and a source that tells no digests */
            verdict->compare = HSR_COMPARE_SAME;
        return;
    }
    if (dry || verdict->compare == HSR_COMPARE_SAME)
        return;
    if (verdict->compare == HSR_COMPARE_METADATA) {
        verdict->deed = TARGET_TOUCHED;
        verdict->rc = hsr_tree_touch(tree, dir, entry);
        return;
    }
    if (verdict->compare == HSR_COMPARE_OTHER_KIND && S_ISDIR(existing->mode) &&
        (tree->options & HSR_OPT_DELETE)) {
        verdict->in_way = true;
        return;
    }
    verdict->basis = judge_basis(tree, entry, existing, verdict->compare);
    if (entry->type != HSR_ENTRY_FILE || entry->size == 0) {
        verdict->deed = TARGET_MADE;
        verdict->rc = hsr_tree_make(tree, dir, entry, (enum hsr_compare)verdict->compare);
    }
}
