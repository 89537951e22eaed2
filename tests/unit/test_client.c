/* Goal: what a client makes of a server that sends early, or what no server of ours would. Method:
 * a client's engine without threads, turned by hand, and a server by hand on raw sockets. */
#include "tests/unit/server_fixture.h"
#include "transfer/proto/bench.h"

#define CHUNK 4096u
#define FEATURES (HSR_FEATURE_XXH3 | HSR_FEATURE_BENCH)

static int closed_code;

static void client_event(void *context, const struct hsr_event *event)
{
    struct fixture *fx = context;

    fx->events[event->kind]++;
    if (event->kind == HSR_EVENT_CLOSED)
        closed_code = event->code;
}

/* The fixture's engine is the client's, its socket the server's. */
static void client_start(struct fixture *fx)
{
    struct hsr_plan_request request = { .shards = 1, .streams = 1, .depth = 2, .chunk = 65536 };
    struct hsr_engine_config config = { .event = client_event, .context = fx, .no_threads = true };
    socklen_t size = sizeof(fx->address);
    char why[512];
    int rc;

    memset(fx, 0, sizeof(*fx));
    fx->shards = 1;
    CHECK_EQ(hsr_place_make(1, "synthetic:core:1 pu:1", NULL, &config.placement), 0);
    CHECK_EQ(hsr_plan_make(&request, &config.placement, &config.plan, why, sizeof(why)), 0);
    fx->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    fx->address =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    CHECK_EQ(bind(fx->listen_fd, (struct sockaddr *)&fx->address, size), 0);
    CHECK_EQ(listen(fx->listen_fd, 8), 0);
    CHECK_EQ(getsockname(fx->listen_fd, (struct sockaddr *)&fx->address, &size), 0);
    rc = hsr_engine_create(&config, &fx->engine, why, sizeof(why));
    if (rc == HSR_E_NO_IO_URING || rc == HSR_E_MEMLOCK)
        SKIP(why);
    CHECK_EQ(rc, 0);
}

static void client_stop(struct fixture *fx)
{
    hsr_engine_destroy(fx->engine); /* asserts that every buffer is home */
    (void)close(fx->listen_fd);
}

/* The client's next connection, and its HELLO. */
static void client_comes(struct fixture *fx, struct raw *raw)
{
    uint64_t end = now_ns() + COMES_NS;
    struct hsr_span payload;

    memset(raw, 0, sizeof(*raw));
    raw->bytes = malloc(REPLY_MAX);
    do {
        fixture_turn(fx);
        raw->fd = accept4(fx->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    } while (raw->fd < 0 && now_ns() < end);
    CHECK(raw->fd >= 0);
    raw_expect(fx, raw, HSR_FRAME_HELLO, &payload);
}

static size_t hello_ack_make(struct raw *raw, uint8_t *out)
{
    struct hsr_hello_ack ack = { .version = HSR_PROTO_VERSION,
                                 .features = FEATURES,
                                 .streams_max = 1,
                                 .depth_max = 2,
                                 .chunk_max = 65536,
                                 .agent = { (const uint8_t *)"test/1", 6 } };
    uint8_t payload[128];
    int size = hsr_hello_ack_encode(&ack, payload, sizeof(payload));

    CHECK(size > 0);
    return frame_make(raw, HSR_FRAME_HELLO_ACK, payload, (size_t)size, out);
}

static size_t join_ack_make(struct raw *raw, uint8_t *out)
{
    struct hsr_join_ack ack = { .congestion = { (const uint8_t *)"cubic", 5 } };
    uint8_t payload[64];
    int size = hsr_join_ack_encode(&ack, payload, sizeof(payload));

    CHECK(size > 0);
    return frame_make(raw, HSR_FRAME_JOIN_ACK, payload, (size_t)size, out);
}

/* A session of a benchmark, in which the client sends; its data connection has said HELLO. */
static void bench_begin(struct fixture *fx, struct raw *control, struct raw *stream)
{
    struct hsr_job_spec spec = { .role = HSR_ROLE_SOURCE,
                                 .benching = true,
                                 .bench = { .role = HSR_ROLE_SOURCE,
                                            .streams = 1,
                                            .depth = 2,
                                            .chunk = CHUNK,
                                            .time_ns = 60 * HSR_NS_PER_S,
                                            .bytes = CHUNK },
                                 .export_name = "",
                                 .path = "" };
    struct hsr_bench_ack ack = {
        .streams = 1, .depth = 2, .chunk = CHUNK, .time_ns = HSR_NS_PER_S, .bytes = CHUNK
    };
    struct hsr_span payload;
    uint8_t out[256];
    int size;

    memcpy(&spec.address, &fx->address, sizeof(fx->address));
    spec.address_size = sizeof(fx->address);
    CHECK_EQ(hsr_engine_run(fx->engine, &spec), 0);
    client_comes(fx, control);
    raw_send(control, out, hello_ack_make(control, out));
    raw_expect(fx, control, HSR_FRAME_BENCH, &payload);
    size = hsr_bench_ack_encode(&ack, out, sizeof(out));
    CHECK(size > 0);
    raw_frame(control, HSR_FRAME_BENCH_ACK, out, (size_t)size);
    client_comes(fx, stream);
}

/* Goal: JOIN_ACK before JOIN was sent is refused, whether it is looked at together with HELLO_ACK
 * or in a later slice. */
static void test_client_join_ack_too_early(void)
{
    struct raw control, stream;
    struct hsr_span payload;
    struct hsr_frame frame;
    struct fixture fx;
    uint8_t out[512];
    size_t size;

    for (int apart = 0; apart < 2; apart++) {
        client_start(&fx);
        bench_begin(&fx, &control, &stream);
        size = hello_ack_make(&stream, out);
        size += join_ack_make(&stream, out + size);
        raw_send(&stream, out, size);
        if (apart)
            fixture_hurry(&fx);
        fixture_turn_for(&fx, 20 * HSR_NS_PER_MS);
        memset(out, 0x5a, sizeof(out));
        (void)send(stream.fd, out, sizeof(out), MSG_NOSIGNAL); /* and some more */
        while (raw_wait(&fx, &stream, &frame, &payload))
            CHECK(frame.kind != HSR_FRAME_DATA);
        CHECK(stream.ended);
        fixture_wait_events(&fx, HSR_EVENT_CLOSED, 1);
        CHECK_EQ(closed_code, HSR_E_PROTOCOL);
        raw_close(&stream);
        raw_close(&control);
        client_stop(&fx);
    }
}

/* Goal: a server that wants nobody any more may say so at any time. */
static void test_client_reject_behind_hello_ack(void)
{
    struct hsr_reject reject = { .code = HSR_E_BUSY, .text = { (const uint8_t *)"full", 4 } };
    struct raw control, stream;
    uint8_t payload[64], out[512];
    struct fixture fx;
    size_t size;
    int rc = hsr_reject_encode(&reject, payload, sizeof(payload));

    CHECK(rc > 0);
    client_start(&fx);
    bench_begin(&fx, &control, &stream);
    size = hello_ack_make(&stream, out);
    size += frame_make(&stream, HSR_FRAME_REJECT, payload, (size_t)rc, out + size);
    raw_send(&stream, out, size);
    fixture_wait_events(&fx, HSR_EVENT_CLOSED, 1);
    CHECK_EQ(closed_code, HSR_E_BUSY);
    raw_close(&stream);
    raw_close(&control);
    client_stop(&fx);
}

/* Goal: beats that come in one piece with JOIN_ACK are read, and what follows them is the next. */
static void test_client_beats_behind_join_ack(void)
{
    struct hsr_frame beat = { .kind = HSR_FRAME_BEAT, .check.low = hsr_hash64("", 0) };
    struct hsr_frame ack = { .kind = HSR_FRAME_BENCH_DATA_ACK,
                             .flags = HSR_FRAME_RANGE_END,
                             .offset = CHUNK,
                             .check.low = hsr_hash64("", 0) };
    struct hsr_bench_result result = { .bytes = CHUNK, .chunks = 1, .elapsed_ns = 1 };
    struct raw control, stream;
    struct hsr_span payload;
    struct fixture fx;
    uint8_t out[1024];
    size_t size;
    int rc;

    client_start(&fx);
    bench_begin(&fx, &control, &stream);
    raw_send(&stream, out, hello_ack_make(&stream, out));
    raw_expect(&fx, &stream, HSR_FRAME_JOIN, &payload);
    size = join_ack_make(&stream, out);
    for (unsigned i = 0; i < 3; i++) {
        beat.seq = stream.seq++;
        hsr_frame_encode(&beat, out + size);
        size += HSR_FRAME_HEADER_SIZE;
    }
    raw_send(&stream, out, size);
    raw_expect(&fx, &stream, HSR_FRAME_DATA, &payload);
    CHECK_EQ(payload.size, CHUNK);
    ack.seq = stream.seq++;
    hsr_frame_encode(&ack, out);
    raw_send(&stream, out, HSR_FRAME_HEADER_SIZE);
    rc = hsr_bench_result_encode(&result, out, sizeof(out));
    CHECK(rc > 0);
    raw_frame(&control, HSR_FRAME_BENCH_RESULT, out, (size_t)rc);
    fixture_wait_events(&fx, HSR_EVENT_CLOSED, 1);
    CHECK_EQ(closed_code, 0);
    raw_close(&stream);
    raw_close(&control);
    client_stop(&fx);
}

int main(void)
{
    RUN(test_client_join_ack_too_early);
    RUN(test_client_reject_behind_hello_ack);
    RUN(test_client_beats_behind_join_ack);
    TEST_END();
}
