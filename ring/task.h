/* A task: what a completion wakes, and the loop runs later in the same or the next turn. */
#ifndef HSR_RING_TASK_H
#define HSR_RING_TASK_H

#include "base/queue.h"

struct hsr_task {
    struct hsr_list node; /* in loop->runnable while woken */
    void (*run)(struct hsr_task *task);
    const char *name; /* static; for the turn histogram */
};

void hsr_task_init(struct hsr_task *task, const char *name, void (*run)(struct hsr_task *task));

#endif
