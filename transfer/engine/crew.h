/* A session's crew: one hand on every shard, the home's own included. What a machine has to do for
 * each entry and what needs no order (listing, asking for metadata, comparing, digests) is cut into
 * tasks of some 100 us, which the home lends to the hands and gets back with the answers.
 *
 * Messages: home -> hand: TASK, CLOSE; hand -> home: the same cells. A hand works in slices, oldest
 * task first, between the other work of its shard. When the session ends, every task comes back
 * canceled, then the hand itself. */
#ifndef HSR_ENGINE_CREW_H
#define HSR_ENGINE_CREW_H

#include <stdatomic.h>

#include "ring/ring.h"

#define HSR_HANDS_MAX 16u /* of one session; memory for each is in the plan */

struct hsr_crew;
struct hsr_hand;
struct hsr_session;
struct hsr_shard;

/* Embedded in what is to be done. */
struct hsr_crew_task {
    struct hsr_msg msg; /* TASK there and back */
    struct hsr_list node; /* hand: its queue; else its owner's to use */
    struct hsr_hand *hand; /* that has it */
    atomic_ullong wanted_ns; /* of a crew whose tasks are jobs: somebody waits for it from then on;
                                0: already, UINT64_MAX: nobody */
    bool canceled; /* not done, or not to its end: the session is over */
    uint8_t kind; /* its owner's: what it is embedded in, where there are several */
};

/* What a machine's hands do. */
struct hsr_crew_ops {
    const char *name; /* static; for the turn histogram */
    /** Tasks are jobs (ring/job.h), one after the other: work ahead until somebody wants it. step()
     * is then one step of a job: until hand->deadline_ns or hsr_loop_pressed(), and it may call
     * hsr_loop_job_worked() on hand->job. */
    bool jobs;
    uint32_t depth; /* tasks that a hand away from home may have; 0: a few */
    /** Hand's thread, before its first task: make hand->own. 0 or -ENOMEM: the session ends. */
    int (*begin)(struct hsr_hand *hand);
    /** Hand's thread: one slice of @task. True when it is done. */
    bool (*step)(struct hsr_hand *hand, struct hsr_crew_task *task);
    /** Hand's thread: is an operation of it under way? Its end wakes hand->task. NULL: never. */
    bool (*busy)(const struct hsr_hand *hand);
    /** Home's thread: @task came back. Not called for what is canceled. */
    void (*back)(struct hsr_session *session, struct hsr_crew_task *task);
    /** Hand's thread, after its last task: free hand->own. */
    void (*end)(struct hsr_hand *hand);
};

struct hsr_hand {
    struct hsr_crew *crew;
    struct hsr_shard *shard; /* for life */
    void *own; /* what the machine keeps here, made by begin(); the hand's thread only */
    struct hsr_task task;
    struct hsr_list tasks; /* lent to it, oldest first */
    struct hsr_msg close_msg;
    struct hsr_job job; /* of a crew whose tasks are jobs */
    uint64_t deadline_ns; /* of the step at hand */
    struct hsr_job_account account; /* of that; any thread may read it */
    struct hsr_msg want_msg;
    atomic_bool want_out;
    bool closing;
    bool parked; /* set by step(): not done, and an operation that ends wakes hand->task */
    int rc; /* why it cannot work */
    uint32_t lent; /* home's count of tasks it has */
    atomic_ullong worked_ns; /* on tasks; written by the hand's thread */
};

struct hsr_crew {
    struct hsr_session *session;
    const struct hsr_crew_ops *ops;
    struct hsr_hand *hands;
    uint32_t hand_count;
    uint32_t open; /* hands that are not back */
    bool closing;
};

/** Hands on all shards of the session's engine, at most HSR_HANDS_MAX. Home thread. 0, -ENOMEM. */
int hsr_crew_create(struct hsr_crew *crew, struct hsr_session *session,
                    const struct hsr_crew_ops *ops);

/** How many hands a session of an engine with @shards shards has. */
uint32_t hsr_crew_size(unsigned shards);

/** The hand that should get the next task, the home's own first; NULL: all have enough. Home
 * thread.
 */
struct hsr_hand *hsr_crew_hand(struct hsr_crew *crew);

/** The same, of those on other shards. */
struct hsr_hand *hsr_crew_hand_away(struct hsr_crew *crew);

/** Lend @task. Home thread. */
void hsr_crew_lend(struct hsr_hand *hand, struct hsr_crew_task *task);

/** Lend @task, for which somebody waits already, to a crew whose tasks are jobs. Home thread. */
void hsr_crew_lend_wanted(struct hsr_hand *hand, struct hsr_crew_task *task);

/** Somebody waits for @task, which a crew has whose tasks are jobs: from now on it is work in
 * demand, and so is what this hand has before it. Home thread. */
void hsr_crew_want(struct hsr_crew_task *task);

/** The same, from @due_ns on: until then a gap may come. */
void hsr_crew_want_by(struct hsr_crew_task *task, uint64_t due_ns);

/** Call everything home; again and again does no harm. True when all of it is. The session is woken
 * when that changes. Home thread. */
bool hsr_crew_close(struct hsr_crew *crew);

/** Every hand is back. */
void hsr_crew_free(struct hsr_crew *crew);

#endif
