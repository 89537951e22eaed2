/* Who had a loop's thread, and when: spans of time in memory, the newest ones. A loop without a
 * trace pays one load and one jump for each span that would be. One thread at a time. */
#ifndef HSR_RING_TRACE_H
#define HSR_RING_TRACE_H

#include <stdbool.h>
#include <stdint.h>

enum hsr_span_kind {
    HSR_SPAN_HANDLERS, /* completions, messages, timers */
    HSR_SPAN_TASK,
    HSR_SPAN_DEMAND, /* a step of a job that somebody waits for */
    HSR_SPAN_ENTER, /* operations are handed over, what is ready is fetched */
    HSR_SPAN_SLEEP,
    HSR_SPAN_AHEAD, /* a step of a job in a gap */
    HSR_SPAN_KIND_COUNT
};

/* 24 bytes; 65,536 of them are 1.5 MiB: between a tenth of a second and some seconds of a busy
 * loop. */
#define HSR_TRACE_SPANS 65536u

struct hsr_trace_span {
    uint64_t start_ns;
    const char *name; /* static */
    uint32_t size_ns;
    uint32_t kind;
};

struct hsr_trace {
    uint64_t count; /* spans so far; the last HSR_TRACE_SPANS are there */
    struct hsr_trace_span spans[HSR_TRACE_SPANS];
};

/** NULL: no memory. */
struct hsr_trace *hsr_trace_create(void);
void hsr_trace_destroy(struct hsr_trace *trace);

void hsr_trace_add(struct hsr_trace *trace, enum hsr_span_kind kind, const char *name,
                   uint64_t start_ns, uint64_t end_ns);

/** Write what is there to @fd as JSON, one line a span, oldest first:
 * {"loop":0,"kind":"task","name":"stream","start_ns":1,"size_ns":2}
 * After the loop has stopped. 0 or -errno. */
int hsr_trace_write(const struct hsr_trace *trace, unsigned loop, int fd);

#endif
