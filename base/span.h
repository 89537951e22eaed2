/* Bounded reading and writing of bytes. A cursor cannot run past its end: it remembers that it
 * tried (`failed`) and from then on returns zeros, so parsers read like the layout of the message
 * and check once at the end. Wire order is little endian. */
#ifndef HSR_BASE_SPAN_H
#define HSR_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct hsr_span {
    const uint8_t *ptr;
    size_t size; /* bytes */
};

struct hsr_reader {
    const uint8_t *ptr;
    size_t size; /* bytes in all */
    size_t offset; /* bytes read so far; never over size */
    bool failed; /* something asked for more than there was */
};

struct hsr_writer {
    uint8_t *ptr;
    size_t size;
    size_t offset;
    bool failed; /* something did not fit; nothing after it was written */
};

static inline struct hsr_reader hsr_reader_init(const void *ptr, size_t size)
{
    return (struct hsr_reader){ .ptr = ptr, .size = size };
}

static inline struct hsr_writer hsr_writer_init(void *ptr, size_t size)
{
    return (struct hsr_writer){ .ptr = ptr, .size = size };
}

static inline size_t hsr_reader_left(const struct hsr_reader *r)
{
    return r->size - r->offset;
}

static inline size_t hsr_writer_left(const struct hsr_writer *w)
{
    return w->size - w->offset;
}

/** Borrow @size bytes of the input; {NULL, 0} and failed when there are fewer. */
static inline struct hsr_span hsr_get_span(struct hsr_reader *r, size_t size)
{
    if (r->failed || size > r->size - r->offset) {
        r->failed = true;
        return (struct hsr_span){ NULL, 0 };
    }
    /* C counts NULL + 0 as undefined, and an empty message may have no bytes at all. */
    struct hsr_span span = { r->ptr != NULL ? r->ptr + r->offset : NULL, size };
    r->offset += size;
    return span;
}

/** Copy @size bytes out; zeros when there are fewer. */
static inline void hsr_get_bytes(struct hsr_reader *r, void *out, size_t size)
{
    struct hsr_span span = hsr_get_span(r, size);
    if (span.ptr != NULL)
        memcpy(out, span.ptr, size);
    else
        memset(out, 0, size);
}

static inline void hsr_put_bytes(struct hsr_writer *w, const void *bytes, size_t size)
{
    if (w->failed || size > w->size - w->offset) {
        w->failed = true;
        return;
    }
    if (size > 0)
        memcpy(w->ptr + w->offset, bytes, size);
    w->offset += size;
}

#define HSR_SPAN_INT(bits, swap)                                                                   \
    static inline uint##bits##_t hsr_get_u##bits(struct hsr_reader *r)                             \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        hsr_get_bytes(r, &value, sizeof(value));                                                   \
        return swap(value);                                                                        \
    }                                                                                              \
    static inline void hsr_put_u##bits(struct hsr_writer *w, uint##bits##_t value)                 \
    {                                                                                              \
        value = swap(value);                                                                       \
        hsr_put_bytes(w, &value, sizeof(value));                                                   \
    }

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "big-endian machines need byte swaps here"
#endif
#define HSR_SPAN_SAME(value) (value)
HSR_SPAN_INT(8, HSR_SPAN_SAME)
HSR_SPAN_INT(16, HSR_SPAN_SAME)
HSR_SPAN_INT(32, HSR_SPAN_SAME)
HSR_SPAN_INT(64, HSR_SPAN_SAME)
#undef HSR_SPAN_SAME
#undef HSR_SPAN_INT

#endif
