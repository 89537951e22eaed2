/* Buffers and their owners; see buf.h. */
#include "ring/buf.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"

#define BUF_ALIGN 4096u /* direct I/O and registration work on pages */
#define BUF_COUNT_MAX 16384u /* IORING_MAX_REG_BUFFERS; also keeps hsr_buf.index in range */

_Static_assert(BUF_COUNT_MAX <= INT16_MAX + 1, "the index of a buffer is an int16_t");
_Static_assert(HSR_BUF_HEAD % BUF_ALIGN == 0, "the payload stays aligned");

static void bufpool_register(struct hsr_bufpool *pool);
static void buf_move(struct hsr_buf *buf, enum hsr_buf_owner from, enum hsr_buf_owner to);

size_t hsr_buf_stride(uint32_t payload_size)
{
    return (size_t)HSR_BUF_HEAD + payload_size;
}

int hsr_bufpool_init(struct hsr_bufpool *pool, struct hsr_loop *loop, void *memory,
                     size_t memory_size, uint32_t payload_size, bool want_registered)
{
    size_t stride = hsr_buf_stride(payload_size);
    size_t count = memory_size / stride;

    hsr_assert((uintptr_t)memory % BUF_ALIGN == 0);
    hsr_assert(payload_size > 0 && payload_size % BUF_ALIGN == 0);
    memset(pool, 0, sizeof(*pool));
    if (count == 0 || count > BUF_COUNT_MAX)
        return -EINVAL;
    pool->bufs = calloc(count, sizeof(*pool->bufs));
    if (pool->bufs == NULL)
        return -ENOMEM;
    pool->loop = loop;
    pool->count = (unsigned)count;
    pool->free_count = pool->count;
    pool->free_low = pool->count;
    hsr_list_init(&pool->free);
    hsr_list_init(&pool->waiters);
    for (unsigned i = 0; i < pool->count; i++) {
        struct hsr_buf *buf = &pool->bufs[i];

        hsr_list_init(&buf->node);
        buf->payload = (uint8_t *)memory + (size_t)i * stride + HSR_BUF_HEAD;
        buf->size = payload_size;
        buf->index = -1;
        buf->owner = HSR_BUF_POOL;
        hsr_list_push_tail(&pool->free, &buf->node);
    }
    if (want_registered)
        bufpool_register(pool);
    return 0;
}

void hsr_bufpool_fini(struct hsr_bufpool *pool)
{
    if (pool->bufs == NULL)
        return;
    hsr_assert(pool->free_count == pool->count);
    hsr_assert(hsr_list_empty(&pool->waiters));
    free(pool->bufs);
    memset(pool, 0, sizeof(*pool));
}

struct hsr_buf *hsr_buf_take(struct hsr_bufpool *pool, struct hsr_buf_waiter *waiter)
{
    struct hsr_list *node;
    struct hsr_buf *buf;

    if (waiter != NULL && waiter->buf != NULL) { /* was put aside for this waiter */
        buf = waiter->buf;
        waiter->buf = NULL;
        hsr_assert(buf->owner == HSR_BUF_CHUNK);
        return buf;
    }
    node = hsr_list_pop_head(&pool->free);
    if (node == NULL) {
        hsr_assert(pool->free_count == 0);
        if (waiter != NULL && !hsr_list_linked(&waiter->node))
            hsr_list_push_tail(&pool->waiters, &waiter->node);
        return NULL;
    }
    hsr_assert(hsr_list_empty(&pool->waiters)); /* a free buffer goes to a waiter first */
    hsr_assert(pool->free_count > 0);
    pool->free_count--;
    pool->free_low = pool->free_count < pool->free_low ? pool->free_count : pool->free_low;
    if (waiter != NULL)
        hsr_list_remove(&waiter->node);
    buf = hsr_container_of(node, struct hsr_buf, node);
    buf_move(buf, HSR_BUF_POOL, HSR_BUF_CHUNK);
    return buf;
}

void hsr_buf_give(struct hsr_bufpool *pool, struct hsr_buf *buf)
{
    struct hsr_list *node;

    hsr_assert(buf >= pool->bufs && buf < pool->bufs + pool->count);
    hsr_assert(buf->owner == HSR_BUF_CHUNK);
    node = hsr_list_pop_head(&pool->waiters);
    if (node != NULL) {
        struct hsr_buf_waiter *waiter = hsr_container_of(node, struct hsr_buf_waiter, node);

        hsr_assert(waiter->buf == NULL);
        waiter->buf = buf; /* stays CHUNK: it never was free */
        hsr_loop_wake(pool->loop, waiter->task);
        return;
    }
    buf_move(buf, HSR_BUF_CHUNK, HSR_BUF_POOL);
    hsr_list_push_head(&pool->free, &buf->node);
    pool->free_count++;
    hsr_assert(pool->free_count <= pool->count);
}

void hsr_buf_waiter_cancel(struct hsr_bufpool *pool, struct hsr_buf_waiter *waiter)
{
    struct hsr_buf *buf = waiter->buf;

    hsr_list_remove(&waiter->node);
    waiter->buf = NULL;
    if (buf != NULL)
        hsr_buf_give(pool, buf);
}

void hsr_buf_lend(struct hsr_buf *buf)
{
    buf_move(buf, HSR_BUF_CHUNK, HSR_BUF_KERNEL);
}

void hsr_buf_return(struct hsr_buf *buf)
{
    buf_move(buf, HSR_BUF_KERNEL, HSR_BUF_CHUNK);
}

static void buf_move(struct hsr_buf *buf, enum hsr_buf_owner from, enum hsr_buf_owner to)
{
    hsr_assert(buf->owner == from);
    hsr_assert(!hsr_list_linked(&buf->node));
    buf->owner = (uint8_t)to;
}

/* Payloads with the room before them: a zero-copy send starts at its header. Without memory for the
 * table, or when the kernel refuses, we work unregistered. */
static void bufpool_register(struct hsr_bufpool *pool)
{
    struct hsr_backend *backend = pool->loop->backend;
    size_t stride = hsr_buf_stride(pool->bufs[0].size);
    unsigned count = (unsigned)HSR_MIN(pool->count, HSR_BUF_REGISTERED_MAX / stride);
    struct iovec *iov = count > 0 ? calloc(count, sizeof(*iov)) : NULL;

    if (iov == NULL)
        return;
    for (unsigned i = 0; i < count; i++)
        iov[i] = (struct iovec){ pool->bufs[i].payload - HSR_BUF_HEAD, stride };
    pool->registered = backend->ops->register_buffers(backend, iov, count) == 0;
    free(iov);
    for (unsigned i = 0; pool->registered && i < count; i++)
        pool->bufs[i].index = (int16_t)i;
}
