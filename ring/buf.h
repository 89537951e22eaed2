/* Fixed buffers with one owner: POOL -> CHUNK -> KERNEL -> CHUNK -> POOL. Only ring/buf.c changes
 * the owner, and asserts the one it expects. An empty pool queues the caller; the oldest waiter is
 * served first. One pool per shard, no locks. */
#ifndef HSR_RING_BUF_H
#define HSR_RING_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/queue.h"
#include "ring/ring.h"

enum hsr_buf_owner { HSR_BUF_POOL, HSR_BUF_CHUNK, HSR_BUF_KERNEL, HSR_BUF_OWNER_COUNT };

/* Room before the payload, so that a frame's header stands right before it and one send covers
 * both, while the payload stays aligned for direct I/O. */
#define HSR_BUF_HEAD 4096u

/* Bytes of buffers that may be registered with the ring, from the first buffer on: registering pins
 * memory, of which users may have little, and free buffers are taken warmest first, so it is these
 * that a shard's few MiB in flight use. The others work unregistered. */
#define HSR_BUF_REGISTERED_MAX (8u * 1024 * 1024)

struct hsr_buf {
    struct hsr_list node; /* in the pool's free list */
    uint8_t *payload; /* HSR_BUF_HEAD bytes of room stand before it */
    uint32_t size; /* bytes of payload that fit */
    int16_t index; /* registered buffer, or -1 */
    uint8_t owner; /* enum hsr_buf_owner */
};

/** Someone who waits for a buffer. */
struct hsr_buf_waiter {
    struct hsr_list node;
    struct hsr_task *task; /* woken when a buffer was put aside for this waiter */
    struct hsr_buf *buf; /* set then; owner CHUNK */
};

struct hsr_bufpool {
    struct hsr_loop *loop;
    struct hsr_buf *bufs;
    unsigned count;
    unsigned free_count;
    unsigned free_low; /* fewest ever free */
    bool registered;
    struct hsr_list free; /* most recently used first: it is warm */
    struct hsr_list waiters; /* oldest first */
};

/** Cut @memory (borrowed; @memory_size bytes; 4 KiB aligned) into buffers of @payload_size bytes
 * payload (a multiple of 4096) and register them if @want_registered and the kernel agrees (a
 * refusal is not an error: pool->registered says). */
int hsr_bufpool_init(struct hsr_bufpool *pool, struct hsr_loop *loop, void *memory,
                     size_t memory_size, uint32_t payload_size, bool want_registered);

/** Asserts that every buffer is home. Accepts a zeroed pool. */
void hsr_bufpool_fini(struct hsr_bufpool *pool);

/** Bytes of memory one buffer takes. */
size_t hsr_buf_stride(uint32_t payload_size);

/** A buffer (owner CHUNK), or NULL: then @waiter is queued (if not NULL; its node initialised). */
struct hsr_buf *hsr_buf_take(struct hsr_bufpool *pool, struct hsr_buf_waiter *waiter);

/** CHUNK -> POOL, or straight to the oldest waiter. */
void hsr_buf_give(struct hsr_bufpool *pool, struct hsr_buf *buf);

/** Leave the queue; gives back a buffer that was already put aside. */
void hsr_buf_waiter_cancel(struct hsr_bufpool *pool, struct hsr_buf_waiter *waiter);

/** CHUNK -> KERNEL before an operation on the buffer is submitted, and back on its last
 * completion. */
void hsr_buf_lend(struct hsr_buf *buf);
void hsr_buf_return(struct hsr_buf *buf);

#endif
