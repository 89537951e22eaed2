/* What an earlier session has left is read again before it is believed (--verify-resume): hands on
 * all shards read each part that the journal has a value for, and hash it; what comes out otherwise
 * the journal forgets, and the source sends again.
 *
 *   kept: opened -> parts: dealt -> home -> judged -> told (KEPT) */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/delta.h"
#include "transfer/engine/target_impl.h"

#define TASKS_PER_HAND 3u /* as many as it takes */

/* A part on its way through a hand. */
struct target_reread_task {
    struct hsr_crew_task task; /* node: target->rereads.tasks_free */
    struct target_part *part;
    struct target_reread *reread;
    uint32_t digest_size;
    bool begun;
    struct hsr_sign sign;
    struct hsr_digest_run run;
};

static void reread_lend(struct hsr_target *target, struct target_reread *reread,
                        struct hsr_hand *hand);
static void reread_judge(struct hsr_target *target, struct target_reread *reread);
static int reread_clear(struct hsr_target *target, const struct target_reread *reread, int fd,
                        uint64_t size);
static bool reread_step(struct hsr_hand *hand, struct hsr_crew_task *task);
static bool reread_busy(const struct hsr_hand *hand);
static void reread_back(struct hsr_session *session, struct hsr_crew_task *task);

static const struct hsr_crew_ops rereaders = { .name = "target rereads",
                                               .begin = hsr_target_signer_begin,
                                               .step = reread_step,
                                               .busy = reread_busy,
                                               .back = reread_back,
                                               .end = hsr_target_signer_end };

/* From the memory for deltas: nothing else reads old content. */
static uint64_t rereads_bytes(const struct hsr_target *target)
{
    return target->rereads.crew.hand_count *
           (HSR_SIGN_MEMORY + TASKS_PER_HAND * sizeof(struct target_reread_task));
}

int hsr_target_rereads_create(struct hsr_target *target)
{
    struct target_rereads *rereads = &target->rereads;
    struct hsr_session *session = target->session;
    uint32_t count;
    int rc;

    hsr_list_init(&rereads->list);
    hsr_list_init(&rereads->tasks_free);
    if (!(session->options & HSR_OPT_VERIFY_RESUME))
        return 0;
    rc = hsr_crew_create(&rereads->crew, session, &rereaders);
    if (rc < 0)
        return rc;
    if (!hsr_delta_room_take(session->engine, rereads_bytes(target))) {
        if (target->resume.journal->table.file_count > 0) /* none of it is believed */
            target->resume.journal->why = HSR_E_MEMORY_BOUND;
        return 0;
    }
    rereads->on = true;
    count = TASKS_PER_HAND * rereads->crew.hand_count;
    rereads->tasks = calloc(count, sizeof(*rereads->tasks));
    hsr_require(rereads->tasks != NULL, -ENOMEM);
    for (uint32_t i = 0; i < count; i++) {
        hsr_list_init(&rereads->tasks[i].task.node);
        hsr_list_push_tail(&rereads->tasks_free, &rereads->tasks[i].task.node);
    }
    return 0;
}

bool hsr_target_reread_begin(struct hsr_target *target, struct target_page *page, uint16_t index)
{
    struct target_kept *kept = page->entries[index].kept;
    const struct hsr_journal_file *file = &target->resume.journal->table.files[kept->slot];
    struct target_reread *reread;

    reread = calloc(1, sizeof(*reread) + file->range_count * sizeof(reread->parts[0]));
    if (reread == NULL)
        return false;
    hsr_list_init(&reread->node);
    reread->page = page;
    reread->index = index;
    reread->count = file->range_count;
    for (uint32_t i = 0; i < file->range_count; i++)
        reread->parts[i].at = file->ranges[i].at;
    kept->reread = reread;
    hsr_list_push_tail(&target->rereads.list, &reread->node);
    return true;
}

void hsr_target_rereads_step(struct hsr_target *target)
{
    struct target_rereads *rereads = &target->rereads;
    struct hsr_hand *hand;

    for (struct hsr_list *node = rereads->list.next, *next; node != &rereads->list; node = next) {
        struct target_reread *reread = hsr_container_of(node, struct target_reread, node);
        struct target_kept *kept = reread->page->entries[reread->index].kept;

        next = node->next;
        while (reread->dealt < reread->count && !hsr_list_empty(&rereads->tasks_free) &&
               (hand = hsr_crew_hand(&rereads->crew)) != NULL)
            reread_lend(target, reread, hand);
        if (reread->home < reread->count)
            continue;
        if (!reread->judged)
            reread_judge(target, reread); /* @kept is gone if nothing is left of it */
        if (!hsr_target_journal_tell(target, reread->page, reread->index))
            return; /* `writable` wakes us */
        hsr_list_remove(&reread->node);
        if (reread->page->entries[reread->index].kept != NULL)
            kept->reread = NULL;
        free(reread);
    }
}

void hsr_target_rereads_destroy(struct hsr_target *target)
{
    struct target_rereads *rereads = &target->rereads;

    while (rereads->on && !hsr_list_empty(&rereads->list)) /* judged, nothing is kept, not told */
        free(hsr_container_of(hsr_list_pop_head(&rereads->list), struct target_reread, node));
    if (rereads->on)
        hsr_delta_room_give(target->session->engine, rereads_bytes(target));
    hsr_crew_free(&rereads->crew);
    free(rereads->tasks);
    memset(rereads, 0, sizeof(*rereads));
}

static void reread_lend(struct hsr_target *target, struct target_reread *reread,
                        struct hsr_hand *hand)
{
    struct hsr_list *node = hsr_list_pop_head(&target->rereads.tasks_free);
    struct target_reread_task *task = hsr_container_of(node, struct target_reread_task, task.node);
    struct hsr_session *session = target->session;
    struct target_part *part = &reread->parts[reread->dealt++];
    uint64_t end = part->at.offset + part->at.size;

    task->part = part;
    task->reread = reread;
    task->digest_size = session->digest_size;
    task->begun = false;
    task->sign =
        (struct hsr_sign){ .fd = reread->page->entries[reread->index].kept->stage.fd,
                           .io = { .call = session->call_io },
                           .plan = { .base_size = end, .block_size = HSR_DIGEST_LEAF_SIZE },
                           .offset = part->at.offset,
                           .end = end,
                           .run = &task->run };
    hsr_digest_run_init(&task->run, (enum hsr_digest_kind)session->digest, session->leaf,
                        part->at.offset);
    hsr_crew_lend(hand, &task->task);
}

/* All parts are home: the journal forgets what is not what it was, and that is said. */
static void reread_judge(struct hsr_target *target, struct target_reread *reread)
{
    struct target_entry *entry = &reread->page->entries[reread->index];
    char path[HSR_ERROR_PATH_SIZE];
    struct hsr_entry read;
    uint64_t bad = 0;
    int rc = 0;

    reread->judged = true;
    hsr_target_entry_read(target, reread->page, reread->index, &read);
    for (uint32_t i = 0; i < reread->count; i++) {
        struct hsr_journal_record record = { .kind = HSR_JOURNAL_LOST, .slot = entry->kept->slot };

        if (!reread->parts[i].bad)
            continue;
        bad += reread->parts[i].at.size;
        record.range.at = reread->parts[i].at;
        (void)hsr_journal_do(target->resume.journal, &record);
    }
    if (read.flags & HSR_ENTRY_SPARSE)
        rc = reread_clear(target, reread, entry->kept->stage.fd, read.size);
    if (bad > 0) {
        (void)hsr_dir_path(&entry->dir->dir, read.name, path, sizeof(path));
        hsr_session_note(target->session, HSR_NOTE_WARNING, HSR_E_DIGEST,
                         "what an earlier run kept is not what it was, and is sent again", path,
                         bad);
    }
    if (rc < 0 || !hsr_target_journal_ranges(target, entry)) {
        entry->kept->reread = NULL; /* the caller's */
        hsr_target_journal_unkeep(target, entry, /* keep= */ false);
    }
}

/* Where a source sends nothing there must be nothing: holes. */
static int reread_clear(struct hsr_target *target, const struct target_reread *reread, int fd,
                        uint64_t size)
{
    uint64_t from = 0;

    for (uint32_t i = 0; i <= reread->count; i++) {
        uint64_t to = i < reread->count ? reread->parts[i].at.offset : size;
        struct hsr_op op = { .kind = HSR_OP_FALLOCATE,
                             .fd = fd,
                             .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                             .offset = from,
                             .size = to - from,
                             .buf_index = -1 };
        int rc;

        if (i < reread->count && reread->parts[i].bad)
            continue; /* with what follows it */
        rc = to > from ? (int)hsr_loop_call(&target->session->home->loop, &op) : 0;
        if (rc < 0)
            return rc;
        if (i < reread->count)
            from = reread->parts[i].at.offset + reread->parts[i].at.size;
    }
    return 0;
}

/* ---- at a hand ---- */

static bool reread_step(struct hsr_hand *hand, struct hsr_crew_task *task)
{
    struct target_reread_task *reread = hsr_container_of(task, struct target_reread_task, task);
    struct hsr_loop *loop = &hand->shard->loop;
    uint8_t value[HSR_DIGEST_SIZE_MAX] = { 0 };
    enum hsr_sign_result result;

    if (!reread->begun)
        hsr_sign_begin(&reread->sign, loop, &hand->task, hand->own);
    reread->begun = true;
    do {
        result = hsr_sign_step(&reread->sign, 0);
    } while (result == HSR_SIGN_MORE && !hsr_loop_slice_over(loop));
    hand->parked = result == HSR_SIGN_WAITS;
    if (result != HSR_SIGN_DONE)
        return false;
    if (reread->sign.rc == 0)
        hsr_digest_run_piece(&reread->run, (struct hsr_digest_sum){ 0 }, reread->part->at.size,
                             value);
    reread->part->bad =
        reread->sign.rc < 0 || memcmp(value, reread->part->at.value, reread->digest_size) != 0;
    return true;
}

static bool reread_busy(const struct hsr_hand *hand)
{
    struct target_reread_task *task;

    if (hsr_list_empty(&hand->tasks))
        return false;
    task = hsr_container_of(hand->tasks.next, struct target_reread_task, task.node);
    return task->begun && !hsr_sign_stop(&task->sign);
}

static void reread_back(struct hsr_session *session, struct hsr_crew_task *task)
{
    struct target_reread_task *reread = hsr_container_of(task, struct target_reread_task, task);

    reread->reread->home++;
    hsr_list_push_tail(&session->target->rereads.tasks_free, &task->node);
    hsr_session_wake(session);
}
