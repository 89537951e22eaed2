/* Old versions whose name another file has by now. Whoever lets such a file go last frees its
 * blocks and pages, one by one, which for a GiB in a tmpfs is a good part of a second; of a large
 * one a thread beside the ring does, so that neither the shard's other work nor the acknowledgement
 * waits for it. */
#include <stdlib.h>

#include "base/base.h"
#include "transfer/engine/target_impl.h"

/* Freeing its pages takes longer than waking a thread. */
#define REPLACED_CLOSE_MIN (256 * HSR_KIB)
/* And longer than that and looking at the old version, which nobody has open. Of the new one. */
#define REPLACED_HOLD_MIN HSR_MIB

struct target_closing {
    struct hsr_op op;
    struct hsr_target *target;
};

static void replaced_closed(struct hsr_op *op, int64_t res, unsigned flags);

size_t hsr_target_replaced_bytes(void)
{
    return HSR_FILES_MAX * sizeof(struct target_closing);
}

void hsr_target_replaced_hold(struct hsr_target *target, const struct hsr_target_file *file,
                              struct hsr_basis *ret_held)
{
    const struct target_entry *entry = &file->page->entries[file->index];

    *ret_held = (struct hsr_basis){ .fd = -1 };
    if (entry->replace && file->basis == NULL && file->entry.size >= REPLACED_HOLD_MIN &&
        target->session->state == HSR_SESSION_MOVING)
        (void)hsr_basis_hold(&target->tree, &entry->dir->dir, file->entry.name, ret_held);
}

void hsr_target_replaced_close(struct hsr_target *target, struct hsr_basis *basis)
{
    struct hsr_session *session = target->session;
    struct hsr_loop *loop = &session->home->loop;
    struct target_closing *closing = NULL;

    if (basis->identity.size >= REPLACED_CLOSE_MIN && session->state == HSR_SESSION_MOVING &&
        target->closing < HSR_FILES_MAX && basis->fd >= 0)
        closing = calloc(1, sizeof(*closing));
    if (closing == NULL) {
        hsr_basis_close(loop, basis);
        return;
    }
    closing->target = target;
    closing->op = (struct hsr_op){
        .kind = HSR_OP_CLOSE, .done = replaced_closed, .fd = basis->fd, .buf_index = -1
    };
    basis->fd = -1;
    target->closing++;
    hsr_loop_submit(loop, &closing->op);
}

static void replaced_closed(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct target_closing *closing = hsr_container_of(op, struct target_closing, op);
    struct hsr_target *target = closing->target;

    (void)res; /* it was only read */
    if (flags & HSR_CQE_MORE)
        return;
    hsr_assert(target->closing > 0);
    target->closing--;
    free(closing);
    hsr_session_wake(target->session); /* it may wait for this to end */
}
