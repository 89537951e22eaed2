/* Whose turn is it to write to a file that lets one writer in at a time?
 *
 * A tmpfs takes the inode's lock for each write, and who finds it taken spins in the kernel until
 * it is free: two shards that write ranges of one file burn much of their time there (a quarter to
 * a third of the server's CPU in profiles of the time). So a stream asks first. If another one is
 * writing it goes on with what else there is to do, receives into its other chunks or sleeps, and
 * hears when it may try again. So it does when it wants to write where the file's memory is still
 * being made, ahead of the writes (target_huge.c). This is the one lock between shards: it is held
 * for a few instructions, never while writing, and the data still has one owner. */
#ifndef HSR_ENGINE_TURN_H
#define HSR_ENGINE_TURN_H

#include <pthread.h>
#include <stdbool.h>

#include "ring/ring.h"

struct hsr_turn {
    pthread_mutex_t lock; /* of everything here, and of `posted` of those who wait */
    bool taken;
    uint64_t end; /* writes end before this offset, UINT64_MAX: anywhere */
    struct hsr_list waiters;
};

/* Embedded in who waits; borrowed while queued or posted (see hsr_turn_leave()). */
struct hsr_turn_waiter {
    struct hsr_list node;
    struct hsr_msg msg; /* "try again", to `loop`: set msg.deliver and loop before use */
    struct hsr_loop *loop;
    uint64_t end; /* of what it wants to write */
    bool posted; /* the message is on its way, or was delivered and not acknowledged */
};

/** Writes may go anywhere. */
void hsr_turn_init(struct hsr_turn *turn);

/** From now on writes end at or before offset @end; UINT64_MAX: anywhere. Who waited for that is
 * told. */
void hsr_turn_limit(struct hsr_turn *turn, uint64_t end);

/** Nobody holds or waits for it. */
void hsr_turn_fini(struct hsr_turn *turn);

void hsr_turn_waiter_init(struct hsr_turn_waiter *waiter, struct hsr_loop *loop,
                          void (*deliver)(struct hsr_msg *msg));

/** To write up to offset @end. True: it is ours until hsr_turn_give(). False: @waiter hears when it
 * is worth another try. */
bool hsr_turn_take(struct hsr_turn *turn, struct hsr_turn_waiter *waiter, uint64_t end);

/** Give it back: everybody who waits for it is told. */
void hsr_turn_give(struct hsr_turn *turn);

/** From the handler of the message: it has arrived. */
void hsr_turn_heard(struct hsr_turn *turn, struct hsr_turn_waiter *waiter);

/** Wait no more. False: a message is on its way, @waiter must stay until hsr_turn_heard(). */
bool hsr_turn_leave(struct hsr_turn *turn, struct hsr_turn_waiter *waiter);

#endif
