/* Huge pages for the large files of a tmpfs (ring/huge.h), made ahead of the writes, in order and a
 * window at a time, by the ring's own thread for it:
 *
 *   0 .. end: made   end .. end + WINDOW: being made   .. last: to be made
 *
 * Writes wait at `end` (hsr_turn_limit()): what is written beyond could only be copied again. Where
 * the kernel refuses (before 6.1, shmem_enabled=deny, no huge page to be had) they go on and make
 * the pages, as they always can. */
#include <errno.h>
#include <unistd.h>

#include "base/base.h"
#include "ring/huge.h"
#include "transfer/engine/target_impl.h"
#include "transfer/tree/at.h"

/* A call costs tens of microseconds before it clears anything (the kernel empties a list of pages
 * on every core), and the first writes wait for all of it. */
#define HUGE_WINDOW (32 * HSR_MIB)
/* Smaller files are written before a thread has woken up. */
#define HUGE_FILE_MIN (4 * HSR_MIB)

static bool huge_wanted(struct hsr_target *target, const struct hsr_target_file *file);
static void huge_start(struct hsr_target *target, struct hsr_target_file *file);
static void huge_made(struct hsr_op *op, int64_t res, unsigned flags);

int hsr_target_huge_begin(struct hsr_target *target, struct hsr_target_file *file)
{
    struct hsr_op op = {
        .kind = HSR_OP_FTRUNCATE, .fd = file->stage.fd, .offset = file->entry.size, .buf_index = -1
    };
    int rc;

    hsr_assert(file->huge.last == 0);
    if (!huge_wanted(target, file))
        return 0;
    rc = (int)hsr_loop_call(&target->session->home->loop, &op); /* before anybody writes */
    if (rc < 0)
        return rc;
    file->huge.last = file->entry.size - file->entry.size % HSR_HUGE_SIZE;
    hsr_turn_limit(&file->turn, 0);
    huge_start(target, file);
    return 0;
}

void hsr_target_huge_step(struct hsr_target *target)
{
    if (!target->huge_heard)
        return;
    target->huge_heard = false;
    for (struct hsr_list *node = target->files.next, *next; node != &target->files; node = next) {
        struct hsr_target_file *file = hsr_container_of(node, struct hsr_target_file, node);

        next = node->next;
        if (!file->huge.heard)
            continue;
        file->huge.heard = false;
        if (target->session->state == HSR_SESSION_MOVING)
            huge_start(target, file);
        hsr_target_file_check(target, file); /* it may have waited for this alone */
    }
}

static bool huge_wanted(struct hsr_target *target, const struct hsr_target_file *file)
{
    struct statx stx;

    if (!target->session->call_io || target->huge_refused || file->entry.size < HUGE_FILE_MIN ||
        (file->entry.flags & HSR_ENTRY_SPARSE) || file->stage.fd < 0 || file->rewrite ||
        file->stage.resumed)
        return false;
    if (hsr_at_statx(&target->session->home->loop, file->stage.fd, "", &stx) < 0)
        return false;
    return stx.stx_blksize == (uint64_t)sysconf(_SC_PAGESIZE); /* else mounted with huge= */
}

static void huge_start(struct hsr_target *target, struct hsr_target_file *file)
{
    struct hsr_huge_plan *huge = &file->huge;

    hsr_assert(!huge->op.armed);
    if (target->huge_refused || huge->end >= huge->last) {
        hsr_turn_limit(&file->turn, UINT64_MAX);
        return;
    }
    huge->op = (struct hsr_op){ .kind = HSR_OP_HUGE,
                                .done = huge_made,
                                .fd = file->stage.fd,
                                .offset = huge->end,
                                .size = HSR_MIN(HUGE_WINDOW, huge->last - huge->end),
                                .buf_index = -1 };
    hsr_loop_submit(&target->session->home->loop, &huge->op);
}

static void huge_made(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_target_file *file = hsr_container_of(op, struct hsr_target_file, huge.op);
    struct hsr_huge_plan *huge = &file->huge;
    struct hsr_target *target = file->session->target;

    if (flags & HSR_CQE_MORE)
        return;
    if (res < 0 && res != -EAGAIN) /* this will not change within seconds; ENOSPC the write says */
        target->huge_refused = true;
    huge->end += op->size;
    huge->heard = true;
    hsr_turn_limit(&file->turn, huge->end);
    target->huge_heard = true; /* the next one is begun by the task, not here */
    hsr_session_wake(file->session);
}
