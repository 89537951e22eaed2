/* What the files of a benchmark share: home (bench.c), source and target streams. Private. */
#ifndef HSR_ENGINE_BENCH_IMPL_H
#define HSR_ENGINE_BENCH_IMPL_H

#include "transfer/engine/bench.h"

struct hsr_bench {
    struct hsr_bench_ask ask; /* in force; the client's role */
    _Atomic uint64_t claimed; /* source: bytes that streams have taken to send */
    _Atomic uint64_t taken; /* target: bytes received */
    uint64_t start_ns; /* the first stream is ready; 0: not yet */
    uint64_t start_cpu_ns;
    uint32_t streams_done;
    bool result_said; /* server */
    bool result_heard; /* client */
    struct hsr_histogram latency; /* of all streams */
    struct hsr_bench_report report;
};

/* A stream's part; its shard's until DONE, then the home's. */
struct hsr_bench_stream {
    struct hsr_stream *stream;
    struct hsr_msg done_msg;
    bool done_said;
    uint64_t begin_ns; /* joined */
    uint64_t bytes, chunks; /* acknowledged (source), received (target) */
    uint64_t end_ns; /* of the last of them */
    /* source */
    uint64_t sent_bytes, sent_chunks; /* handed to the socket */
    uint64_t sent_ns[HSR_DEPTH_MAX]; /* when; chunk i at i % HSR_DEPTH_MAX */
    uint32_t held; /* of stream->chunks: they have a buffer, filled, for the whole session */
    struct hsr_chunk *next; /* hashed, waits for its turn */
    bool last; /* the frame that ends the stream is made */
    struct hsr_histogram latency;
    /* target */
    bool ended; /* RANGE_END came */
    bool ack_due, ack_ended; /* something to acknowledge; the end is acknowledged */
    uint8_t ack[HSR_FRAME_HEADER_SIZE];
};

/** Every stream of a benchmark has one. Its thread. */
int hsr_bench_stream_make(struct hsr_stream *stream);

/** Tell the home that the stream has ended well. */
void hsr_bench_stream_done(struct hsr_stream *stream);

#endif
