/* See trace.h. */
#include "ring/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/util.h"

static int trace_flush(int fd, const char *text, size_t size);

static const char *const span_names[HSR_SPAN_KIND_COUNT] = {
    [HSR_SPAN_HANDLERS] = "handlers", [HSR_SPAN_TASK] = "task",   [HSR_SPAN_DEMAND] = "demand",
    [HSR_SPAN_ENTER] = "enter",       [HSR_SPAN_SLEEP] = "sleep", [HSR_SPAN_AHEAD] = "ahead",
};

struct hsr_trace *hsr_trace_create(void)
{
    return calloc(1, sizeof(struct hsr_trace));
}

void hsr_trace_destroy(struct hsr_trace *trace)
{
    free(trace);
}

void hsr_trace_add(struct hsr_trace *trace, enum hsr_span_kind kind, const char *name,
                   uint64_t start_ns, uint64_t end_ns)
{
    hsr_assert_hot(kind < HSR_SPAN_KIND_COUNT);
    hsr_assert_hot(end_ns >= start_ns);
    trace->spans[trace->count % HSR_TRACE_SPANS] = (struct hsr_trace_span){
        .start_ns = start_ns,
        .name = name,
        .size_ns = (uint32_t)HSR_MIN(end_ns - start_ns, UINT32_MAX),
        .kind = (uint32_t)kind,
    };
    trace->count++;
}

int hsr_trace_write(const struct hsr_trace *trace, unsigned loop, int fd)
{
    uint64_t first = trace->count > HSR_TRACE_SPANS ? trace->count - HSR_TRACE_SPANS : 0;
    char text[16384];
    size_t used = 0;

    for (uint64_t i = first; i < trace->count; i++) {
        const struct hsr_trace_span *span = &trace->spans[i % HSR_TRACE_SPANS];
        int size = snprintf(text + used, sizeof(text) - used,
                            "{\"loop\":%u,\"kind\":\"%s\",\"name\":\"%s\",\"start_ns\":%llu,"
                            "\"size_ns\":%u}\n",
                            loop, span_names[span->kind], span->name,
                            (unsigned long long)span->start_ns, span->size_ns);

        hsr_assert(size > 0 && (size_t)size < sizeof(text) - used); /* names are short words */
        used += (size_t)size;
        if (used > sizeof(text) - 512 || i + 1 == trace->count) {
            int rc = trace_flush(fd, text, used);

            if (rc < 0)
                return rc;
            used = 0;
        }
    }
    return 0;
}

static int trace_flush(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t wrote = write(fd, text, size);

        if (wrote < 0 && errno != EINTR)
            return -errno;
        if (wrote > 0) {
            text += wrote;
            size -= (size_t)wrote;
        }
    }
    return 0;
}
