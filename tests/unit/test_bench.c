/* A benchmark at a server, byte by byte: who may, what is in force, what is refused and with which
 * code; and the payloads. */
#include "transfer/proto/bench.h"

#include "tests/unit/server_fixture.h"

#define CHUNK 4096u

static const struct hsr_bench_ask ask_good = { .role = HSR_ROLE_SOURCE,
                                               .streams = 1,
                                               .depth = 2,
                                               .chunk = CHUNK,
                                               .time_ns = 60 * HSR_NS_PER_S,
                                               .bytes = 3 * CHUNK,
                                               .congestion = "cubic" };

/* ---- payloads ---- */

static int ask_refused(struct hsr_bench_ask ask)
{
    uint8_t out[64];

    return hsr_bench_ask_encode(&ask, out, sizeof(out));
}

static void test_bench_ask_limits(void)
{
    struct hsr_bench_ask ask = ask_good, back;
    uint8_t out[64];

    CHECK_EQ(hsr_bench_ask_encode(&ask, out, sizeof(out)), 39);
    for (size_t cut = 0; cut < 39; cut++)
        CHECK_EQ(hsr_bench_ask_decode((struct hsr_span){ out, cut }, &back), HSR_E_TRUNCATED);
    CHECK_EQ(hsr_bench_ask_decode((struct hsr_span){ out, 40 }, &back), HSR_E_PROTOCOL);
    CHECK_EQ(hsr_bench_ask_decode((struct hsr_span){ out, 39 }, &back), 0);
    CHECK(back.role == ask.role && back.flags == 0 && back.streams == 1 && back.depth == 2 &&
          back.chunk == CHUNK && back.time_ns == ask.time_ns && back.bytes == ask.bytes &&
          strcmp(back.congestion, "cubic") == 0);
    CHECK_EQ(hsr_bench_ask_encode(&ask, out, 38), HSR_E_LIMIT);
    out[2] = 1; /* the zero field */
    CHECK_EQ(hsr_bench_ask_decode((struct hsr_span){ out, 39 }, &back), HSR_E_PROTOCOL);

    ask.role = 0;
    CHECK_EQ(ask_refused(ask), HSR_E_PROTOCOL);
    ask.role = 3;
    CHECK_EQ(ask_refused(ask), HSR_E_PROTOCOL);
    ask = ask_good;
    ask.flags = HSR_BENCH_FLAGS_ALL + 1;
    CHECK_EQ(ask_refused(ask), HSR_E_PROTOCOL);
    ask = ask_good;
    ask.streams = 0;
    CHECK_EQ(ask_refused(ask), HSR_E_LIMIT);
    ask.streams = HSR_STREAMS_MAX + 1;
    CHECK_EQ(ask_refused(ask), HSR_E_LIMIT);
    ask = ask_good;
    ask.depth = 0;
    CHECK_EQ(ask_refused(ask), HSR_E_LIMIT);
    ask.depth = HSR_DEPTH_MAX + 1;
    CHECK_EQ(ask_refused(ask), HSR_E_LIMIT);
    ask = ask_good;
    ask.chunk = CHUNK / 2;
    CHECK_EQ(ask_refused(ask), HSR_E_LIMIT);
    ask.chunk = CHUNK + 1;
    CHECK_EQ(ask_refused(ask), HSR_E_LIMIT);
    ask.chunk = HSR_CHUNK_SIZE_MAX + CHUNK;
    CHECK_EQ(ask_refused(ask), HSR_E_LIMIT);
    ask = ask_good;
    ask.time_ns = HSR_BENCH_TIME_MAX_NS + 1;
    CHECK_EQ(ask_refused(ask), HSR_E_LIMIT);
    ask = ask_good;
    ask.bytes = HSR_BENCH_BYTES_MAX + 1;
    CHECK_EQ(ask_refused(ask), HSR_E_LIMIT);
    ask.bytes = 0;
    CHECK_EQ(ask_refused(ask), 39);
    ask.time_ns = 0; /* for ever */
    CHECK_EQ(ask_refused(ask), HSR_E_PROTOCOL);
    ask = ask_good;
    ask.congestion[0] = '/';
    CHECK_EQ(ask_refused(ask), HSR_E_NAME);
    memset(ask.congestion, 'a', sizeof(ask.congestion));
    CHECK_EQ(ask_refused(ask), HSR_E_LIMIT);
}

static void test_bench_ack_limits(void)
{
    struct hsr_bench_ack ack = { .streams = 1,
                                 .depth = 2,
                                 .chunk = CHUNK,
                                 .time_ns = 1,
                                 .bytes = 1,
                                 .token = { 1, 2, 3 } },
                         back;
    uint8_t out[64];

    CHECK_EQ(hsr_bench_ack_encode(&ack, out, sizeof(out)), 44);
    for (size_t cut = 0; cut < 44; cut++)
        CHECK_EQ(hsr_bench_ack_decode((struct hsr_span){ out, cut }, &back), HSR_E_TRUNCATED);
    CHECK_EQ(hsr_bench_ack_decode((struct hsr_span){ out, 45 }, &back), HSR_E_PROTOCOL);
    CHECK_EQ(hsr_bench_ack_decode((struct hsr_span){ out, 44 }, &back), 0);
    CHECK(memcmp(&back, &ack, sizeof(ack)) == 0);
    ack.time_ns = 0; /* what is in force is never without limit */
    CHECK_EQ(hsr_bench_ack_encode(&ack, out, sizeof(out)), HSR_E_PROTOCOL);
    ack.time_ns = 1;
    ack.bytes = 0;
    CHECK_EQ(hsr_bench_ack_encode(&ack, out, sizeof(out)), HSR_E_PROTOCOL);
    ack.bytes = 1;
    ack.streams = 65;
    CHECK_EQ(hsr_bench_ack_encode(&ack, out, sizeof(out)), HSR_E_LIMIT);
}

static void test_bench_result_is_in_order(void)
{
    struct hsr_bench_result result = { .bytes = 1,
                                       .chunks = 2,
                                       .elapsed_ns = 3,
                                       .cpu_ns = 4,
                                       .latency = { 5, 1, 2, 2, 3, 4, 5, 6 } },
                            back;
    uint8_t out[128];

    CHECK_EQ(hsr_bench_result_encode(&result, out, sizeof(out)), 96);
    for (size_t cut = 0; cut < 96; cut++)
        CHECK_EQ(hsr_bench_result_decode((struct hsr_span){ out, cut }, &back), HSR_E_TRUNCATED);
    CHECK_EQ(hsr_bench_result_decode((struct hsr_span){ out, 97 }, &back), HSR_E_PROTOCOL);
    CHECK_EQ(hsr_bench_result_decode((struct hsr_span){ out, 96 }, &back), 0);
    CHECK(memcmp(&back, &result, sizeof(result)) == 0);
    result.latency.p90 = 1; /* below the median */
    CHECK_EQ(hsr_bench_result_encode(&result, out, sizeof(out)), HSR_E_PROTOCOL);
    result.latency = (struct hsr_latency){ .count = 1, .mean = 1 };
    CHECK_EQ(hsr_bench_result_encode(&result, out, sizeof(out)), HSR_E_PROTOCOL);
    result.latency = (struct hsr_latency){ .count = 0, .greatest = 1 };
    CHECK_EQ(hsr_bench_result_encode(&result, out, sizeof(out)), HSR_E_PROTOCOL);
    result.latency = (struct hsr_latency){ 0 };
    CHECK_EQ(hsr_bench_result_encode(&result, out, sizeof(out)), 96);
}

static void test_bench_latency_of_histogram(void)
{
    static struct hsr_histogram histogram;
    struct hsr_bench_result result = { 0 };
    uint8_t out[128];

    result.latency = hsr_latency_of(&histogram);
    CHECK_EQ(hsr_bench_result_encode(&result, out, sizeof(out)), 96);
    for (uint64_t i = 1; i <= 1000; i++)
        hsr_histogram_add(&histogram, i * 1000);
    result.latency = hsr_latency_of(&histogram);
    CHECK_EQ(result.latency.count, 1000);
    CHECK_EQ(result.latency.least, 1000);
    CHECK_EQ(result.latency.greatest, 1000000);
    CHECK(result.latency.p50 >= 500000 && result.latency.p50 <= 510000);
    CHECK(result.latency.p99 >= 990000 && result.latency.p99 <= 1000000);
    CHECK_EQ(hsr_bench_result_encode(&result, out, sizeof(out)), 96);
}

/* ---- a server ---- */

static void greet(struct fixture *fx, struct raw *raw)
{
    struct hsr_hello hello = hello_good;
    struct hsr_span payload;
    struct hsr_hello_ack ack;
    uint8_t out[128];

    hello.features = HSR_FEATURES_OURS;
    raw_frame(raw, HSR_FRAME_HELLO, out, hello_make(&hello, out));
    raw_expect(fx, raw, HSR_FRAME_HELLO_ACK, &payload);
    CHECK_EQ(hsr_hello_ack_decode(payload, &ack), 0);
    CHECK_EQ((ack.features & HSR_FEATURE_BENCH) != 0, fx->bench);
}

static void ask_send(struct raw *raw, const struct hsr_bench_ask *ask)
{
    uint8_t out[64];
    int size = hsr_bench_ask_encode(ask, out, sizeof(out));

    CHECK(size > 0);
    raw_frame(raw, HSR_FRAME_BENCH, out, (size_t)size);
}

/* A control connection and one stream, joined. */
static void open_bench(struct fixture *fx, const struct hsr_bench_ask *ask, struct raw *control,
                       struct raw *stream, struct hsr_bench_ack *ret_ack)
{
    struct hsr_join join = { .stream = 0 };
    struct hsr_span payload;
    uint8_t out[64];

    raw_connect(fx, control);
    greet(fx, control);
    ask_send(control, ask);
    raw_expect(fx, control, HSR_FRAME_BENCH_ACK, &payload);
    CHECK_EQ(hsr_bench_ack_decode(payload, ret_ack), 0);
    memcpy(join.token, ret_ack->token, HSR_TOKEN_SIZE);
    raw_connect(fx, stream);
    greet(fx, stream);
    CHECK_EQ(hsr_join_encode(&join, out, sizeof(out)), 20);
    raw_frame(stream, HSR_FRAME_JOIN, out, 20);
    raw_expect(fx, stream, HSR_FRAME_JOIN_ACK, &payload);
}

static void close_bench(struct fixture *fx, struct raw *control, struct raw *stream)
{
    raw_close(stream);
    raw_close(control);
    fixture_stop(fx); /* asserts that every buffer is home */
}

static struct hsr_digest_sum payload_check(const void *payload, size_t size, uint64_t offset)
{
    struct hsr_digest_run run;

    hsr_digest_run_init(&run, HSR_DIGEST_XXH3, CHUNK, offset);
    return hsr_digest_run_add(&run, payload, size);
}

static void data_send(struct raw *raw, struct hsr_frame frame, const uint8_t *payload,
                      bool verified)
{
    static uint8_t out[HSR_FRAME_HEADER_SIZE + 2 * CHUNK];

    frame.kind = HSR_FRAME_DATA;
    frame.seq += raw->seq++;
    if (verified)
        frame.check = payload_check(payload, frame.size, frame.offset);
    hsr_frame_encode(&frame, out);
    memcpy(out + HSR_FRAME_HEADER_SIZE, payload, frame.size);
    raw_send(raw, out, HSR_FRAME_HEADER_SIZE + frame.size);
}

static void expect_ack(struct fixture *fx, struct raw *raw, uint64_t bytes, bool end)
{
    struct hsr_frame frame = { 0 };
    struct hsr_span payload;

    do { /* one acknowledgement may cover several chunks */
        CHECK(raw_wait(fx, raw, &frame, &payload));
        CHECK_EQ(frame.kind, HSR_FRAME_BENCH_DATA_ACK);
    } while (frame.kind == HSR_FRAME_BENCH_DATA_ACK && frame.offset < bytes);
    CHECK_EQ(frame.offset, bytes);
    CHECK_EQ(frame.flags, end ? HSR_FRAME_RANGE_END : 0);
}

/* Goal: without --bench neither is said that it can be done nor is it. */
static void test_bench_needs_permission(void)
{
    struct fixture fx;
    struct raw raw;

    fixture_start(&fx, 1);
    raw_connect(&fx, &raw);
    greet(&fx, &raw);
    ask_send(&raw, &ask_good);
    raw_expect_reject(&fx, &raw, HSR_E_DENIED);
    CHECK_EQ(fx.events[HSR_EVENT_OPENED], 0);
    raw_close(&raw);
    fixture_stop(&fx);
}

/* Goal: what is asked for is cut to what the server can do, and bounded in time and size. */
static void test_bench_shape_is_limited(void)
{
    struct hsr_bench_ask ask = { .role = HSR_ROLE_TARGET,
                                 .streams = HSR_STREAMS_MAX,
                                 .depth = HSR_DEPTH_MAX,
                                 .chunk = HSR_CHUNK_SIZE_MAX,
                                 .bytes = 1 };
    struct hsr_bench_ack ack;
    struct fixture fx;
    struct raw control;
    struct hsr_span payload;

    fixture_start_as(&fx, (struct fixture_shape){ .shards = 2, .bench = true });
    raw_connect(&fx, &control);
    greet(&fx, &control);
    ask_send(&control, &ask);
    raw_expect(&fx, &control, HSR_FRAME_BENCH_ACK, &payload);
    CHECK_EQ(hsr_bench_ack_decode(payload, &ack), 0);
    CHECK_EQ(ack.streams, 4);
    CHECK_EQ(ack.chunk, 65536);
    CHECK_EQ(ack.depth, HSR_DEPTH_MAX);
    CHECK_EQ(ack.time_ns, HSR_BENCH_TIME_MAX_NS);
    CHECK_EQ(ack.bytes, 1);
    raw_close(&control);
    fixture_stop(&fx);
}

/* Goal: three chunks up, each acknowledged, the end too; then the server's figures. */
static void test_bench_upload(void)
{
    static struct hsr_measured measured;
    static uint8_t bytes[CHUNK] = { 1, 2, 3 };
    struct hsr_bench_result result = { 0 };
    struct hsr_bench_ack ack;
    struct raw control, stream;
    struct hsr_span payload;
    struct fixture fx;

    fixture_start_as(&fx, (struct fixture_shape){ .shards = 2, .bench = true });
    open_bench(&fx, &ask_good, &control, &stream, &ack);
    for (uint64_t i = 0; i < 3; i++) {
        data_send(&stream, (struct hsr_frame){ .size = CHUNK, .offset = i * CHUNK }, bytes, true);
        expect_ack(&fx, &stream, (i + 1) * CHUNK, false);
    }
    data_send(&stream,
              (struct hsr_frame){ .flags = HSR_FRAME_RANGE_END, .offset = (uint64_t)3 * CHUNK },
              bytes, true);
    expect_ack(&fx, &stream, (uint64_t)3 * CHUNK, true);
    raw_expect(&fx, &control, HSR_FRAME_MEASURED, &payload);
    CHECK_EQ(hsr_measured_decode(payload, &measured), 0);
    CHECK(measured.cpu_ns > 0);
    CHECK_EQ(measured.times[HSR_TIME_RECEIVING].count, 1); /* small ones: one in eight */
    CHECK_EQ(measured.times[HSR_TIME_CHUNK].count, 1);
    CHECK_EQ(measured.times[HSR_TIME_SENDING].count, 0);
    CHECK_EQ(measured.core_count, 1);
    raw_expect(&fx, &control, HSR_FRAME_BENCH_RESULT, &payload);
    CHECK_EQ(hsr_bench_result_decode(payload, &result), 0);
    CHECK_EQ(result.bytes, 3 * CHUNK);
    CHECK_EQ(result.chunks, 3);
    CHECK(result.cpu_ns > 0);
    CHECK_EQ(result.latency.count, 0); /* a target knows none */
    CHECK_EQ(fx.events[HSR_EVENT_OPENED], 1);
    fixture_wait_events(&fx, HSR_EVENT_CLOSED, 1);
    close_bench(&fx, &control, &stream);
}

/* Goal: whatever a target could be sent that it must not take ends the benchmark, and says why. */
static void test_bench_upload_refuses(void)
{
    static uint8_t bytes[2 * CHUNK] = { 1, 2, 3 };
    const struct {
        struct hsr_frame frame; /* seq: how far it is off */
        bool verified;
        uint8_t flags;
        int code;
    } cases[] = {
        { { .size = CHUNK, .offset = CHUNK }, true, 0, HSR_E_PROTOCOL }, /* a gap */
        { { .size = CHUNK, .page = 1 }, true, 0, HSR_E_PROTOCOL }, /* there are no pages */
        { { .size = CHUNK, .index = 1 }, true, 0, HSR_E_PROTOCOL },
        { { .size = CHUNK, .seq = 1 }, true, 0, HSR_E_PROTOCOL },
        { { .size = CHUNK / 2 }, true, 0, HSR_E_PROTOCOL }, /* short before the end */
        { { .size = 2 * CHUNK }, true, 0, HSR_E_LIMIT }, /* more than the chunk in force */
        { { .size = CHUNK }, false, 0, HSR_E_CHECK }, /* no check */
        { { .size = CHUNK }, true, HSR_BENCH_NO_VERIFY, HSR_E_CHECK }, /* there is to be none */
    };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(cases); i++) {
        struct hsr_bench_ask ask = ask_good;
        struct hsr_bench_ack ack;
        struct raw control, stream;
        struct fixture fx;

        ask.flags = cases[i].flags;
        fixture_start_as(&fx, (struct fixture_shape){ .shards = 1, .bench = true });
        open_bench(&fx, &ask, &control, &stream, &ack);
        data_send(&stream, cases[i].frame, bytes, cases[i].verified);
        raw_expect_cancel(&fx, &control, cases[i].code);
        close_bench(&fx, &control, &stream);
    }
}

/* Goal: more bytes than were agreed are too many, in the last frame as well. */
static void test_bench_upload_is_bounded(void)
{
    static uint8_t bytes[CHUNK] = { 1, 2, 3 };
    struct hsr_bench_ask ask = ask_good;
    struct hsr_bench_ack ack;
    struct raw control, stream;
    struct fixture fx;

    ask.bytes = CHUNK + 1;
    fixture_start_as(&fx, (struct fixture_shape){ .shards = 1, .bench = true });
    open_bench(&fx, &ask, &control, &stream, &ack);
    data_send(&stream, (struct hsr_frame){ .size = CHUNK }, bytes, true);
    expect_ack(&fx, &stream, CHUNK, false);
    data_send(&stream,
              (struct hsr_frame){ .size = 2, .offset = CHUNK, .flags = HSR_FRAME_RANGE_END }, bytes,
              true);
    raw_expect_cancel(&fx, &control, HSR_E_LIMIT);
    close_bench(&fx, &control, &stream);
}

static void ack_send(struct raw *raw, uint64_t bytes, uint16_t flags)
{
    raw_frame_as(
        raw,
        (struct hsr_frame){ .kind = HSR_FRAME_BENCH_DATA_ACK, .flags = flags, .offset = bytes }, "",
        0);
}

/* Goal: a server that sends keeps to the depth, counts what is acknowledged, and ends. */
static void test_bench_download(void)
{
    static struct hsr_measured measured;
    struct hsr_bench_ask ask = ask_good;
    struct hsr_bench_result result = { 0 };
    struct hsr_bench_ack ack;
    struct raw control, stream;
    struct hsr_span payload;
    struct hsr_frame frame = { 0 };
    struct fixture fx;
    uint64_t at = 0;

    ask.role = HSR_ROLE_TARGET;
    fixture_start_as(&fx, (struct fixture_shape){ .shards = 1, .bench = true });
    open_bench(&fx, &ask, &control, &stream, &ack);
    for (int i = 0; i < 2; i++, at += CHUNK) {
        CHECK(raw_wait(&fx, &stream, &frame, &payload));
        CHECK_EQ(frame.kind, HSR_FRAME_DATA);
        CHECK_EQ(frame.offset, at);
        CHECK_EQ(frame.size, CHUNK);
        CHECK(hsr_digest_same(frame.check, payload_check(payload.ptr, CHUNK, at)));
    }
    fixture_turn_for(&fx, 20 * HSR_NS_PER_MS);
    CHECK_EQ(recv(stream.fd, &frame, sizeof(frame), 0), -1); /* two is the depth */
    ack_send(&stream, at, 0);
    CHECK(raw_wait(&fx, &stream, &frame, &payload));
    CHECK_EQ(frame.flags, HSR_FRAME_RANGE_END);
    CHECK_EQ(frame.size, CHUNK);
    ack_send(&stream, at + CHUNK, HSR_FRAME_RANGE_END);
    raw_expect(&fx, &control, HSR_FRAME_MEASURED, &payload);
    CHECK_EQ(hsr_measured_decode(payload, &measured), 0);
    CHECK_EQ(measured.times[HSR_TIME_SENDING].count, 1);
    CHECK_EQ(measured.times[HSR_TIME_READY].count, 1);
    CHECK_EQ(measured.times[HSR_TIME_RECEIVING].count, 0);
    raw_expect(&fx, &control, HSR_FRAME_BENCH_RESULT, &payload);
    CHECK_EQ(hsr_bench_result_decode(payload, &result), 0);
    CHECK_EQ(result.bytes, 3 * CHUNK);
    CHECK_EQ(result.latency.count, 3);
    CHECK(result.latency.greatest >= 20 * HSR_NS_PER_MS); /* they waited for us */
    close_bench(&fx, &control, &stream);
}

/* Goal: acknowledgements of what was not sent, or backwards, or between chunks are refused. */
static void test_bench_download_refuses(void)
{
    const struct {
        uint64_t first; /* fine; 0: none */
        uint64_t second;
        uint16_t flags; /* of the second */
        uint32_t skip; /* its seq is off by so much */
    } cases[] = {
        { 0, 99 * CHUNK, 0, 0 }, /* never sent */
        { 2 * CHUNK, CHUNK, 0, 0 }, /* backwards */
        { CHUNK, CHUNK + 1, 0, 0 }, /* no whole chunk */
        { 0, CHUNK, 0, 1 }, /* an acknowledgement was lost */
        { 0, CHUNK, HSR_FRAME_RANGE_END, 0 }, /* an end that was not sent */
    };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(cases); i++) {
        struct hsr_bench_ask ask = ask_good;
        struct hsr_bench_ack ack;
        struct raw control, stream;
        struct hsr_span payload;
        struct hsr_frame frame;
        struct fixture fx;

        ask.role = HSR_ROLE_TARGET;
        ask.bytes = 100 * CHUNK;
        fixture_start_as(&fx, (struct fixture_shape){ .shards = 1, .bench = true });
        open_bench(&fx, &ask, &control, &stream, &ack);
        for (int k = 0; k < 2; k++)
            CHECK(raw_wait(&fx, &stream, &frame, &payload));
        if (cases[i].first > 0)
            ack_send(&stream, cases[i].first, 0);
        stream.seq += cases[i].skip;
        ack_send(&stream, cases[i].second, cases[i].flags);
        raw_expect_cancel(&fx, &control, HSR_E_PROTOCOL);
        close_bench(&fx, &control, &stream);
    }
}

/* Goal: a client that opens a benchmark and does nothing more is not waited for for ever. */
static void test_bench_stream_missing(void)
{
    struct hsr_span payload;
    struct fixture fx;
    struct raw control;

    fixture_start_as(&fx, (struct fixture_shape){
                              .shards = 1, .bench = true, .handshake_ns = HANDSHAKE_SHORT_NS });
    raw_connect(&fx, &control);
    greet(&fx, &control);
    ask_send(&control, &ask_good);
    raw_expect(&fx, &control, HSR_FRAME_BENCH_ACK, &payload);
    raw_expect_cancel(&fx, &control, HSR_E_TIMEOUT);
    raw_close(&control);
    fixture_stop(&fx);
}

int main(void)
{
    RUN(test_bench_ask_limits);
    RUN(test_bench_ack_limits);
    RUN(test_bench_result_is_in_order);
    RUN(test_bench_latency_of_histogram);
    RUN(test_bench_needs_permission);
    RUN(test_bench_shape_is_limited);
    RUN(test_bench_upload);
    RUN(test_bench_upload_refuses);
    RUN(test_bench_upload_is_bounded);
    RUN(test_bench_download);
    RUN(test_bench_download_refuses);
    RUN(test_bench_stream_missing);
    TEST_END();
}
