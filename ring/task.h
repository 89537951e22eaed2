/* A task: what a completion wakes, and the loop runs later in the same or the next turn.
 *
 * Two kinds: a prompt one does little for many (decisions, control frames); a bulk one moves data
 * or hashes it, in slices, and has what is left of a turn (ring.h). */
#ifndef HSR_RING_TASK_H
#define HSR_RING_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/queue.h"

struct hsr_task {
    struct hsr_list node; /* in loop->runnable while woken */
    void (*run)(struct hsr_task *task);
    const char *name; /* static; for the turn histogram */
    bool bulk; /* false unless set after hsr_task_init() and before it is woken */
    uint8_t heavy; /* bulk, and one of the last times it ran it worked for long: the loop's */
};

/** A prompt task. */
void hsr_task_init(struct hsr_task *task, const char *name, void (*run)(struct hsr_task *task));

#endif
