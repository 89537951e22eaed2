/* MEASURED: what one side of a measured session saw: how long chunks were in each state and
 * operations took, the CPU, zero-copy sends, and who used which core. Same rules as message.h. */
#ifndef HSR_PROTO_MEASURED_H
#define HSR_PROTO_MEASURED_H

#include "base/histogram.h"
#include "base/span.h"

/** What a histogram says, in nanoseconds; all zero when nothing was counted. */
struct hsr_latency {
    uint64_t count, least, mean, p50, p90, p99, p999, greatest;
};

/* What is timed. The first ones are the states of a chunk, in the order of enum hsr_chunk_state:
 * how long it stays in each, every time. */
enum hsr_time {
    HSR_TIME_IDLE, /* there is no work, or no buffer */
    HSR_TIME_READING, /* source: it is read, and hashed */
    HSR_TIME_MATCHING, /* source: it is compared with the old version */
    HSR_TIME_READY, /* source: it waits for its turn to be sent */
    HSR_TIME_SENDING, /* source: its one send */
    HSR_TIME_LINGERING, /* source: sent; the kernel still holds the memory */
    HSR_TIME_RECEIVING, /* target: from its header to its end, and hashed */
    HSR_TIME_WAITING, /* target: for its grant, or its turn to be written */
    HSR_TIME_MAKING, /* target: from the old version */
    HSR_TIME_WRITING, /* target: until it is written */
    HSR_TIME_CHUNK, /* all of these but the first: a chunk's whole way */
    HSR_TIME_READ, /* one read of a large file */
    HSR_TIME_WRITE, /* one write of a large file */
    HSR_TIME_RECEIVE, /* one receive that has room for payload; it waits for the peer too */
    HSR_TIME_COUNT
};

#define HSR_CORES_MAX 32u /* threads that are told of; the others are left out */
#define HSR_CORE_NONE UINT32_MAX

/** A shard's thread: what it used since the session began. Nanoseconds. */
struct hsr_core_use {
    uint32_t core; /* where it is pinned, HSR_CORE_NONE: nowhere */
    uint64_t elapsed; /* since it began to work for the session */
    uint64_t cpu; /* it ran */
    uint64_t help; /* threads beside it ran, for its long calls; not in cpu */
    /* parts of cpu: how long these took, for this session */
    uint64_t hash; /* digests of large files */
    uint64_t files; /* walk, decisions, small files, metadata, names */
    uint64_t disk; /* reads and writes of large files by plain calls */
};

struct hsr_measured {
    uint64_t cpu_ns; /* of the whole process, while the session ran; 0: not known */
    uint64_t zc_sent; /* bytes by zero-copy sends */
    uint64_t zc_copied; /* of them: copied by the kernel all the same */
    uint64_t zc_downgrades; /* connections that stopped them */
    struct hsr_latency times[HSR_TIME_COUNT];
    uint32_t core_count;
    struct hsr_core_use cores[HSR_CORES_MAX];
};

#define HSR_LATENCY_SIZE 64u /* bytes on the wire */
#define HSR_MEASURED_SIZE_MAX (32u + HSR_TIME_COUNT * HSR_LATENCY_SIZE + 8u + HSR_CORES_MAX * 56u)

int hsr_measured_encode(const struct hsr_measured *measured, void *out, size_t size);
int hsr_measured_decode(struct hsr_span payload, struct hsr_measured *ret_measured);

/** The figures of @histogram. */
struct hsr_latency hsr_latency_of(const struct hsr_histogram *histogram);

/** Parts of a payload. get: what is out of order is found by check: 0 or HSR_E_PROTOCOL. */
void hsr_latency_put(struct hsr_writer *w, const struct hsr_latency *latency);
void hsr_latency_get(struct hsr_reader *r, struct hsr_latency *ret_latency);
int hsr_latency_check(const struct hsr_latency *latency);

#endif
