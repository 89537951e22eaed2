/* Payloads of benchmark sessions; see bench.h. */
#include "transfer/proto/bench.h"

#include <string.h>

#include "transfer/proto/wire.h"

static int bench_shape_check(uint32_t streams, uint32_t depth, uint32_t chunk)
{
    hsr_require(streams >= 1 && streams <= HSR_STREAMS_MAX, HSR_E_LIMIT);
    hsr_require(depth >= 1 && depth <= HSR_DEPTH_MAX, HSR_E_LIMIT);
    hsr_require(chunk >= HSR_CHUNK_SIZE_MIN && chunk <= HSR_CHUNK_SIZE_MAX, HSR_E_LIMIT);
    hsr_require(chunk % HSR_CHUNK_SIZE_MIN == 0, HSR_E_LIMIT);
    return 0;
}

static int bench_bounds_check(uint64_t time_ns, uint64_t bytes)
{
    hsr_require(time_ns <= HSR_BENCH_TIME_MAX_NS, HSR_E_LIMIT);
    hsr_require(bytes <= HSR_BENCH_BYTES_MAX, HSR_E_LIMIT);
    return 0;
}

static struct hsr_span bench_congestion(const struct hsr_bench_ask *ask)
{
    return (struct hsr_span){ (const uint8_t *)ask->congestion,
                              strnlen(ask->congestion, sizeof(ask->congestion)) };
}

static int bench_ask_check(const struct hsr_bench_ask *ask)
{
    int rc;

    hsr_require(ask->role == HSR_ROLE_SOURCE || ask->role == HSR_ROLE_TARGET, HSR_E_PROTOCOL);
    hsr_require((ask->flags & ~HSR_BENCH_FLAGS_ALL) == 0, HSR_E_PROTOCOL);
    rc = bench_shape_check(ask->streams, ask->depth, ask->chunk);
    if (rc == 0)
        rc = bench_bounds_check(ask->time_ns, ask->bytes);
    hsr_require(rc < 0 || ask->time_ns > 0 || ask->bytes > 0, HSR_E_PROTOCOL);
    return rc < 0 ? rc : hsr_congestion_name_check(bench_congestion(ask));
}

int hsr_bench_ask_encode(const struct hsr_bench_ask *ask, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = bench_ask_check(ask);

    if (rc < 0)
        return rc;
    hsr_put_u8(&w, ask->role);
    hsr_put_u8(&w, ask->flags);
    hsr_put_u16(&w, 0);
    hsr_put_u32(&w, ask->streams);
    hsr_put_u32(&w, ask->depth);
    hsr_put_u32(&w, ask->chunk);
    hsr_put_u64(&w, ask->time_ns);
    hsr_put_u64(&w, ask->bytes);
    wire_put_string(&w, bench_congestion(ask));
    return wire_size(&w);
}

int hsr_bench_ask_decode(struct hsr_span payload, struct hsr_bench_ask *ret_ask)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_bench_ask ask = { 0 };
    struct hsr_span congestion;
    uint16_t zero;
    int rc;

    ask.role = hsr_get_u8(&r);
    ask.flags = hsr_get_u8(&r);
    zero = hsr_get_u16(&r);
    ask.streams = hsr_get_u32(&r);
    ask.depth = hsr_get_u32(&r);
    ask.chunk = hsr_get_u32(&r);
    ask.time_ns = hsr_get_u64(&r);
    ask.bytes = hsr_get_u64(&r);
    congestion = wire_get_string(&r);
    rc = wire_end(&r);
    if (rc == 0 && zero != 0)
        rc = HSR_E_PROTOCOL;
    if (rc == 0)
        rc = hsr_congestion_name_check(congestion);
    if (rc == 0 && congestion.size > 0)
        memcpy(ask.congestion, congestion.ptr, congestion.size);
    if (rc == 0)
        rc = bench_ask_check(&ask);
    if (rc == 0)
        *ret_ask = ask;
    return rc;
}

static int bench_ack_check(const struct hsr_bench_ack *ack)
{
    int rc = bench_shape_check(ack->streams, ack->depth, ack->chunk);

    if (rc == 0)
        rc = bench_bounds_check(ack->time_ns, ack->bytes);
    hsr_require(rc < 0 || (ack->time_ns > 0 && ack->bytes > 0), HSR_E_PROTOCOL);
    return rc;
}

int hsr_bench_ack_encode(const struct hsr_bench_ack *ack, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = bench_ack_check(ack);

    if (rc < 0)
        return rc;
    hsr_put_bytes(&w, ack->token, HSR_TOKEN_SIZE);
    hsr_put_u32(&w, ack->streams);
    hsr_put_u32(&w, ack->depth);
    hsr_put_u32(&w, ack->chunk);
    hsr_put_u64(&w, ack->time_ns);
    hsr_put_u64(&w, ack->bytes);
    return wire_size(&w);
}

int hsr_bench_ack_decode(struct hsr_span payload, struct hsr_bench_ack *ret_ack)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_bench_ack ack = { 0 };
    int rc;

    hsr_get_bytes(&r, ack.token, HSR_TOKEN_SIZE);
    ack.streams = hsr_get_u32(&r);
    ack.depth = hsr_get_u32(&r);
    ack.chunk = hsr_get_u32(&r);
    ack.time_ns = hsr_get_u64(&r);
    ack.bytes = hsr_get_u64(&r);
    rc = wire_end(&r);
    if (rc == 0)
        rc = bench_ack_check(&ack);
    if (rc == 0)
        *ret_ack = ack;
    return rc;
}

int hsr_bench_result_encode(const struct hsr_bench_result *result, void *out, size_t size)
{
    struct hsr_writer w = hsr_writer_init(out, size);
    int rc = hsr_latency_check(&result->latency);

    if (rc < 0)
        return rc;
    hsr_put_u64(&w, result->bytes);
    hsr_put_u64(&w, result->chunks);
    hsr_put_u64(&w, result->elapsed_ns);
    hsr_put_u64(&w, result->cpu_ns);
    hsr_latency_put(&w, &result->latency);
    return wire_size(&w);
}

int hsr_bench_result_decode(struct hsr_span payload, struct hsr_bench_result *ret_result)
{
    struct hsr_reader r = hsr_reader_init(payload.ptr, payload.size);
    struct hsr_bench_result result = { 0 };
    int rc;

    result.bytes = hsr_get_u64(&r);
    result.chunks = hsr_get_u64(&r);
    result.elapsed_ns = hsr_get_u64(&r);
    result.cpu_ns = hsr_get_u64(&r);
    hsr_latency_get(&r, &result.latency);
    rc = wire_end(&r);
    if (rc == 0)
        rc = hsr_latency_check(&result.latency);
    if (rc == 0)
        *ret_result = result;
    return rc;
}
