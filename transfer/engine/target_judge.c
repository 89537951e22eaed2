/* The part of a decision that needs no order and no shared table, on whichever shard has a hand
 * free: ask what has an entry's name, compare; with --checksum read it; set metadata where only
 * that differs; make what needs no data. The home gets a verdict for each entry and does the rest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/target_impl.h"

#define JUDGE_SLICE 32u /* entries before others get a turn: 70 us */

/* What the target keeps at each hand. */
struct judge {
    struct hsr_tree tree;
    struct hsr_digest_cursor digest; /* of the verdict at hand */
    uint8_t *buf; /* TARGET_DIGEST bytes, made for the first file that is read */
};

static int judge_begin(struct hsr_hand *hand);
static void judge_end(struct hsr_hand *hand);
static bool judge_step(struct hsr_hand *hand, struct hsr_crew_task *task);
static bool judge_one(struct judge *judge, struct target_slice *slice,
                      struct target_verdict *verdict);
static bool judge_by_kind(struct judge *judge, const struct hsr_dir *dir,
                          const struct hsr_entry *entry, const struct hsr_existing *existing,
                          struct target_verdict *verdict);
static bool judge_digest(struct judge *judge, struct target_verdict *verdict);

const struct hsr_crew_ops hsr_target_crew = { .name = "target hand",
                                              .begin = judge_begin,
                                              .step = judge_step,
                                              .back = hsr_target_judged,
                                              .end = judge_end };

size_t hsr_target_hand_bytes(void)
{
    return sizeof(struct judge) + TARGET_DIGEST +
           TARGET_SLICES_PER_HAND * sizeof(struct target_slice);
}

static int judge_begin(struct hsr_hand *hand)
{
    struct hsr_session *session = hand->crew->session;
    struct judge *judge = malloc(sizeof(*judge)); /* hsr_tree_init() clears what must be */

    if (judge == NULL)
        return -ENOMEM;
    hsr_tree_init(&judge->tree, &hand->shard->loop, session->root_fd, session->options);
    judge->digest.fd = -1;
    judge->buf = NULL;
    hand->own = judge;
    return 0;
}

static void judge_end(struct hsr_hand *hand)
{
    struct judge *judge = hand->own;

    if (judge->digest.fd >= 0)
        hsr_digest_end(&judge->tree, &judge->digest);
    hsr_tree_fini(&judge->tree);
    free(judge->buf);
    free(judge);
}

static bool judge_step(struct hsr_hand *hand, struct hsr_crew_task *task)
{
    struct target_slice *slice = hsr_container_of(task, struct target_slice, task);
    struct judge *judge = hand->own;
    unsigned steps = 0;

    while (slice->next < slice->count) {
        if (steps++ >= JUDGE_SLICE && hsr_loop_pressed(&hand->shard->loop))
            return false;
        if (judge_one(judge, slice, &slice->verdicts[slice->next]))
            slice->next++;
        else
            steps = JUDGE_SLICE; /* a piece of a file: some 30 us, more if the disk must be read */
    }
    return true;
}

/* False: a file is being read, go on with it. */
static bool judge_one(struct judge *judge, struct target_slice *slice,
                      struct target_verdict *verdict)
{
    struct target_page *page = slice->page;
    const struct hsr_dir *dir = &page->entries[verdict->index].dir->dir;
    struct hsr_existing existing = { 0 };
    struct hsr_entry entry;
    bool done;

    if (judge->digest.fd >= 0)
        return judge_digest(judge, verdict);
    hsr_target_entry_read(slice->target, page, verdict->index, &entry);
    verdict->compare = HSR_COMPARE_ABSENT;
    if (!verdict->fresh)
        verdict->compare = hsr_tree_compare(&judge->tree, dir, &entry, &existing);
    if (verdict->compare < 0 ||
        (verdict->compare != HSR_COMPARE_ABSENT && (judge->tree.options & HSR_OPT_IGNORE_EXISTING)))
        return true;
    done = judge_by_kind(judge, dir, &entry, &existing, verdict);
    verdict->warning = judge->tree.warning.code;
    verdict->warning_op = judge->tree.warning.op;
    judge->tree.warning.code = 0;
    return done;
}

static bool judge_by_kind(struct judge *judge, const struct hsr_dir *dir,
                          const struct hsr_entry *entry, const struct hsr_existing *existing,
                          struct target_verdict *verdict)
{
    struct hsr_tree *tree = &judge->tree;
    bool dry = (tree->options & HSR_OPT_DRY_RUN) != 0;

    if (verdict->compare == HSR_COMPARE_CONTENT && entry->type == HSR_ENTRY_FILE &&
        existing->size == entry->size && entry->size > 0 && (tree->options & HSR_OPT_CHECKSUM)) {
        char name[HSR_NAME_MAX + 1];

        if (dry) { /* see docs: -n compares no digest */
            verdict->compare = HSR_COMPARE_SAME;
            return true;
        }
        memcpy(name, entry->name.ptr, entry->name.size);
        name[entry->name.size] = '\0';
        if (hsr_digest_begin(tree, dir, name, &judge->digest) == 0)
            return false;
        judge->digest.fd = -1; /* not to be read: replaced like any other */
    }
    if (dry || verdict->compare == HSR_COMPARE_SAME)
        return true;
    if (verdict->compare == HSR_COMPARE_METADATA) {
        verdict->deed = TARGET_TOUCHED;
        verdict->rc = hsr_tree_touch(tree, dir, entry);
        return true;
    }
    if (verdict->compare == HSR_COMPARE_OTHER_KIND && S_ISDIR(existing->mode) &&
        (tree->options & HSR_OPT_DELETE)) {
        verdict->in_way = true;
        return true;
    }
    if (entry->type != HSR_ENTRY_FILE || entry->size == 0) {
        verdict->deed = TARGET_MADE;
        verdict->rc = hsr_tree_make(tree, dir, entry, (enum hsr_compare)verdict->compare);
    }
    return true;
}

/* One piece of our file; true when its digest is there, or it cannot be read: then it is replaced
 * like any other. */
static bool judge_digest(struct judge *judge, struct target_verdict *verdict)
{
    int rc = -ENOMEM;

    if (judge->buf == NULL)
        judge->buf = malloc(TARGET_DIGEST);
    if (judge->buf != NULL)
        rc = hsr_digest_step(&judge->tree, &judge->digest, judge->buf, TARGET_DIGEST,
                             verdict->digest);
    if (rc > 0)
        return false;
    hsr_digest_end(&judge->tree, &judge->digest);
    judge->digest.fd = -1;
    verdict->deed = rc == 0 ? TARGET_DIGESTED : TARGET_COMPARED;
    return true;
}
