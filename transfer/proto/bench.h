/* Payloads of benchmark sessions: bytes from memory to memory, over the same streams and in the
 * same frames as files, without a tree. Same rules as message.h. */
#ifndef HSR_PROTO_BENCH_H
#define HSR_PROTO_BENCH_H

#include "transfer/proto/measured.h"
#include "transfer/proto/message.h"

#define HSR_BENCH_NO_VERIFY (1u << 0) /* checks of DATA are zero and are not compared */
#define HSR_BENCH_NO_ACK (1u << 1) /* only the end of a stream is acknowledged */
#define HSR_BENCH_FLAGS_ALL ((1u << 2) - 1)

#define HSR_BENCH_TIME_MAX_NS                                                                      \
    (UINT64_C(600) * 1000000000) /* ten minutes: no server serves longer */
#define HSR_BENCH_BYTES_MAX (UINT64_C(1) << 50) /* 1 PiB: ten minutes at 15 Tb/s */

/** BENCH: what the client wants. Time and bytes: whichever is reached first ends it; 0: no limit of
 * the client's. One of them is not 0. */
struct hsr_bench_ask {
    uint8_t role; /* the client's: SOURCE uploads, TARGET downloads */
    uint8_t flags; /* HSR_BENCH_x */
    uint32_t streams;
    uint32_t depth; /* chunks of a stream that are sent and not acknowledged */
    uint32_t chunk; /* bytes, a multiple of 4096 */
    uint64_t time_ns;
    uint64_t bytes;
    char congestion[HSR_CONGESTION_MAX + 1]; /* of the server's data sockets; "": its choice */
};

/** BENCH_ACK: what is in force; neither limit is 0. */
struct hsr_bench_ack {
    uint8_t token[HSR_TOKEN_SIZE];
    uint32_t streams, depth, chunk;
    uint64_t time_ns;
    uint64_t bytes;
};

/** BENCH_RESULT: what the server measured. */
struct hsr_bench_result {
    uint64_t bytes;
    uint64_t chunks;
    uint64_t elapsed_ns;
    uint64_t cpu_ns; /* of the whole process while it ran; 0: not known */
    struct hsr_latency latency; /* of a source: from a chunk's send to its acknowledgement */
};

int hsr_bench_ask_encode(const struct hsr_bench_ask *ask, void *out, size_t size);
int hsr_bench_ask_decode(struct hsr_span payload, struct hsr_bench_ask *ret_ask);
int hsr_bench_ack_encode(const struct hsr_bench_ack *ack, void *out, size_t size);
int hsr_bench_ack_decode(struct hsr_span payload, struct hsr_bench_ack *ret_ack);
int hsr_bench_result_encode(const struct hsr_bench_result *result, void *out, size_t size);
int hsr_bench_result_decode(struct hsr_span payload, struct hsr_bench_result *ret_result);

#endif
