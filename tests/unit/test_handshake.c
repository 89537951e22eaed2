/* The handshake of a server, byte by byte: what it takes, and what it refuses with which code. */
#include "tests/unit/server_fixture.h"

static void test_handshake_greets(void)
{
    struct fixture fx;
    struct raw raw;

    fixture_start(&fx, 1);
    raw_connect(&fx, &raw);
    raw_greet(&fx, &raw);
    CHECK_EQ(fx.events[HSR_EVENT_ACCEPTED], 1);
    CHECK_EQ(fx.events[HSR_EVENT_REFUSED], 0);
    CHECK_EQ(fixture_conns(&fx), 1);
    raw_close(&raw);
    fixture_wait_conns(&fx, 0);
    fixture_stop(&fx);
}

/* Goal: a frame that comes one byte at a time is a frame. */
static void test_handshake_greets_byte_by_byte(void)
{
    struct fixture fx;
    struct raw raw;
    uint8_t payload[128], out[256];
    struct hsr_span reply;
    size_t size;

    fixture_start(&fx, 1);
    raw_connect(&fx, &raw);
    size = frame_make(&raw, HSR_FRAME_HELLO, payload, hello_make(&hello_good, payload), out);
    for (size_t i = 0; i < size; i++) {
        raw_send(&raw, out + i, 1);
        fixture_turn(&fx);
    }
    raw_expect(&fx, &raw, HSR_FRAME_HELLO_ACK, &reply);
    raw_close(&raw);
    fixture_stop(&fx);
}

/* Goal: what is no frame is refused at its header, whatever it holds. */
static void test_handshake_refuses_garbage(void)
{
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: somebody who is lost here\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2 and then some more bytes to fill a header....\r\n",
    };
    struct hsr_prng prng;
    struct fixture fx;
    struct raw raw;

    fixture_start(&fx, 1);
    for (size_t i = 0; i < HSR_ARRAY_COUNT(texts); i++) {
        raw_connect(&fx, &raw);
        raw_send(&raw, texts[i], strlen(texts[i]));
        raw_expect_reject(&fx, &raw, HSR_E_CHECK);
        raw_close(&raw);
    }
    prng = hsr_prng_init(7);
    for (unsigned i = 0; i < 50; i++) {
        uint8_t bytes[512];

        for (size_t k = 0; k < sizeof(bytes); k++)
            bytes[k] = (uint8_t)hsr_prng_next(&prng);
        raw_connect(&fx, &raw);
        raw_send(&raw, bytes, sizeof(bytes));
        raw_expect_reject(&fx, &raw, HSR_E_CHECK);
        raw_close(&raw);
    }
    CHECK_EQ(fx.events[HSR_EVENT_ACCEPTED], 52);
    CHECK_EQ(fx.events[HSR_EVENT_REFUSED], 52);
    fixture_stop(&fx);
}

/* Goal: every bit of the header and of the payload is covered by a check. */
static void test_handshake_refuses_damage(void)
{
    struct fixture fx;
    struct raw raw;

    fixture_start(&fx, 1);
    for (size_t i = 0; i < HSR_FRAME_HEADER_SIZE + 22; i++) {
        uint8_t payload[128], out[256];
        size_t size;

        raw_connect(&fx, &raw);
        size = frame_make(&raw, HSR_FRAME_HELLO, payload, hello_make(&hello_good, payload), out);
        CHECK(i < size);
        out[i] ^= 0x10;
        raw_send(&raw, out, size);
        raw_expect_reject(&fx, &raw, HSR_E_CHECK);
        raw_close(&raw);
    }
    fixture_stop(&fx);
}

static void test_handshake_refuses_wrong_hello(void)
{
    const struct {
        struct hsr_hello hello;
        int code;
    } cases[] = {
        { { .magic = 0x72735749, .version_min = 1, .version_max = 1, .features = 1 },
          HSR_E_PROTOCOL },
        { { .magic = HSR_PROTO_MAGIC, .version_min = 2, .version_max = 9, .features = 1 },
          HSR_E_VERSION },
        { { .magic = HSR_PROTO_MAGIC, .version_min = 2, .version_max = 1, .features = 1 },
          HSR_E_PROTOCOL },
        { { .magic = HSR_PROTO_MAGIC, .version_min = 0, .version_max = 1, .features = 1 },
          HSR_E_PROTOCOL },
        { { .magic = HSR_PROTO_MAGIC, .version_min = 1, .version_max = 1, .features = 2 },
          HSR_E_VERSION }, /* no digest in common */
    };
    struct fixture fx;
    struct raw raw;

    fixture_start(&fx, 1);
    for (size_t i = 0; i < HSR_ARRAY_COUNT(cases); i++) {
        uint8_t payload[128];
        size_t size = hello_make(&cases[i].hello, payload);

        raw_connect(&fx, &raw);
        raw_frame(&raw, HSR_FRAME_HELLO, payload, size);
        raw_expect_reject(&fx, &raw, cases[i].code);
        raw_close(&raw);
    }
    /* one byte too few, one too many */
    for (size_t i = 0; i < 2; i++) {
        uint8_t payload[128] = { 0 };
        size_t size = hello_make(&hello_good, payload);

        raw_connect(&fx, &raw);
        raw_frame(&raw, HSR_FRAME_HELLO, payload, i == 0 ? size - 1 : size + 1);
        raw_expect_reject(&fx, &raw, i == 0 ? HSR_E_TRUNCATED : HSR_E_PROTOCOL);
        raw_close(&raw);
    }
    fixture_stop(&fx);
}

/* Goal: a client of a later version that still speaks ours gets ours. */
static void test_handshake_picks_our_version(void)
{
    struct hsr_hello hello = hello_good;
    struct hsr_hello_ack ack;
    struct hsr_span reply;
    uint8_t payload[128];
    struct fixture fx;
    struct raw raw;

    hello.version_max = 99;
    hello.features = UINT64_MAX;
    fixture_start(&fx, 1);
    raw_connect(&fx, &raw);
    raw_frame(&raw, HSR_FRAME_HELLO, payload, hello_make(&hello, payload));
    raw_expect(&fx, &raw, HSR_FRAME_HELLO_ACK, &reply);
    CHECK_EQ(hsr_hello_ack_decode(reply, &ack), 0);
    CHECK_EQ(ack.version, 1);
    CHECK_EQ(ack.features, HSR_FEATURES_OURS & ~HSR_FEATURE_BENCH); /* not allowed here */
    raw_close(&raw);
    fixture_stop(&fx);
}

/* Goal: a frame repeated or left out is noticed. */
static void test_handshake_refuses_wrong_seq(void)
{
    struct fixture fx;
    struct raw raw;

    fixture_start(&fx, 1);
    raw_connect(&fx, &raw);
    raw.seq = 1;
    raw_hello(&raw);
    raw_expect_reject(&fx, &raw, HSR_E_PROTOCOL);
    raw_close(&raw);

    raw_connect(&fx, &raw);
    raw_greet(&fx, &raw);
    raw.seq = 0;
    raw_frame(&raw, HSR_FRAME_LIST_END, "", 0);
    raw_expect_reject(&fx, &raw, HSR_E_PROTOCOL);
    raw_close(&raw);
    fixture_stop(&fx);
}

/* Goal: before and after HELLO only what the state table allows. */
static void test_handshake_refuses_wrong_kind(void)
{
    struct fixture fx;
    struct raw raw;

    fixture_start(&fx, 1);
    for (int greeted = 0; greeted < 2; greeted++) {
        for (uint16_t kind = HSR_FRAME_HELLO; kind < HSR_FRAME_KIND_COUNT; kind++) {
            bool allowed = greeted ? kind == HSR_FRAME_OPEN || kind == HSR_FRAME_JOIN ||
                                         kind == HSR_FRAME_LIST || kind == HSR_FRAME_BENCH
                                   : kind == HSR_FRAME_HELLO;

            if (allowed || kind == HSR_FRAME_DATA) /* empty, it needs a flag */
                continue;
            raw_connect(&fx, &raw);
            if (greeted)
                raw_greet(&fx, &raw);
            raw_frame(&raw, kind, "", 0);
            raw_expect_reject(&fx, &raw, HSR_E_PROTOCOL);
            raw_close(&raw);
        }
    }
    fixture_stop(&fx);
}

/* Goal: who says nothing, or half of something, is gone at the deadline. */
static void test_handshake_stalled_is_closed(void)
{
    uint8_t payload[128], out[256];
    struct fixture fx;
    struct raw raw;

    fixture_start_as(&fx,
                     (struct fixture_shape){ .shards = 1, .handshake_ns = HANDSHAKE_SHORT_NS });
    for (int how = 0; how < 4; how++) {
        uint64_t start = now_ns();
        size_t size;

        raw_connect(&fx, &raw);
        size = frame_make(&raw, HSR_FRAME_HELLO, payload, hello_make(&hello_good, payload), out);
        if (how == 1)
            raw_send(&raw, out, HSR_FRAME_HEADER_SIZE - 1);
        else if (how == 2)
            raw_send(&raw, out, size - 1);
        else if (how == 3) {
            raw.seq = 0;
            raw_greet(&fx, &raw);
        }
        raw_expect_reject(&fx, &raw, HSR_E_TIMEOUT);
        CHECK(now_ns() - start >= HANDSHAKE_SHORT_NS - 5 * HSR_NS_PER_MS);
        CHECK(now_ns() - start < HANDSHAKE_SHORT_NS + HANDSHAKE_NS / 2);
        raw_close(&raw);
    }
    CHECK_EQ(fx.events[HSR_EVENT_REFUSED], 4);
    fixture_wait_conns(&fx, 0);
    fixture_stop(&fx);
}

/* Goal: a client that goes away in the middle of a frame leaves nothing behind. */
static void test_handshake_truncated_is_closed(void)
{
    uint8_t payload[128], out[256];
    struct fixture fx;

    fixture_start(&fx, 1);
    for (unsigned cut = 0; cut < 60; cut += 7) {
        struct raw raw;

        raw_connect(&fx, &raw);
        (void)frame_make(&raw, HSR_FRAME_HELLO, payload, hello_make(&hello_good, payload), out);
        if (cut > 0)
            raw_send(&raw, out, cut);
        raw_close(&raw);
        fixture_wait_events(&fx, HSR_EVENT_REFUSED, cut / 7 + 1);
        fixture_wait_conns(&fx, 0);
        CHECK_EQ(fx.refused_code, HSR_E_CLOSED); /* noticed, not given up at the deadline */
    }
    CHECK_EQ(fx.events[HSR_EVENT_REFUSED], 9);
    fixture_stop(&fx);
}

/* Goal: a token that names no session is refused, on every shard, and on one that is none. The
 * connection travels to the home it names and back. */
static void test_handshake_join_bad_token(void)
{
    struct fixture fx;
    struct raw raw;

    for (unsigned shards = 1; shards <= 3; shards += 2) {
        fixture_start(&fx, shards);
        for (unsigned home = 0; home < 5; home++) {
            raw_connect(&fx, &raw);
            raw_greet(&fx, &raw);
            join_send_token(&raw, 0x5a, (uint8_t)home, 0, false);
            raw_expect_reject(&fx, &raw, HSR_E_PROTOCOL);
            raw_close(&raw);
        }
        CHECK_EQ(fx.events[HSR_EVENT_REFUSED], 5);
        fixture_wait_conns(&fx, 0);
        CHECK_EQ(atomic_load(&fx.engine->joining), 0);
        fixture_stop(&fx);
    }
}

/* Goal: nothing may follow JOIN before it was answered. */
static void test_handshake_join_with_trailing_bytes(void)
{
    struct fixture fx;
    struct raw raw;

    fixture_start(&fx, 2);
    raw_connect(&fx, &raw);
    raw_greet(&fx, &raw);
    join_send_token(&raw, 1, 1, 0, true);
    raw_expect_reject(&fx, &raw, HSR_E_PROTOCOL);
    CHECK(strstr(fx.refused_text, "after JOIN") != NULL);
    raw_close(&raw);
    fixture_stop(&fx);
}

/* Goal: HELLO and JOIN in one piece: JOIN waits until HELLO_ACK has left, whether it is looked at
 * together with HELLO or in a later slice. */
static void test_handshake_join_pipelined(void)
{
    uint8_t hello[128], join[64], out[512];
    struct hsr_join bad = { .stream = 1 };
    struct hsr_span reply;
    struct fixture fx;
    struct raw raw;
    size_t size;

    fixture_start(&fx, 2);
    for (int apart = 0; apart < 2; apart++) {
        raw_connect(&fx, &raw);
        fixture_wait_conns(&fx, 1);
        size = frame_make(&raw, HSR_FRAME_HELLO, hello, hello_make(&hello_good, hello), out);
        CHECK_EQ(hsr_join_encode(&bad, join, sizeof(join)), 20);
        size += frame_make(&raw, HSR_FRAME_JOIN, join, 20, out + size);
        raw_send(&raw, out, size);
        if (apart)
            fixture_hurry(&fx);
        raw_expect(&fx, &raw, HSR_FRAME_HELLO_ACK, &reply);
        raw_expect_reject(&fx, &raw, HSR_E_PROTOCOL);
        CHECK(strstr(fx.refused_text, "no such session") != NULL);
        raw_close(&raw);
        fixture_wait_conns(&fx, 0);
    }
    fixture_stop(&fx);
}

/* Another attempt at one job. */
static void attempt(struct fixture *fx, struct raw *raw, uint32_t number)
{
    struct hsr_open open = open_of(HSR_ROLE_SOURCE);
    uint8_t out[512];
    int size;

    open.job[0] = 7;
    open.attempt = number;
    size = hsr_open_encode(&open, out, sizeof(out));
    CHECK(size > 0);
    raw_connect(fx, raw);
    raw_greet(fx, raw);
    raw_frame(raw, HSR_FRAME_OPEN, out, (size_t)size);
}

/* Goal: a later attempt at a job ends the older session; one that was under way for so long that a
 * later one came before it is refused, and that one stays. */
static void test_handshake_attempts_in_order(void)
{
    struct raw first, second, late;
    struct hsr_span answer;
    struct fixture fx;

    fixture_start(&fx, 2);
    fx.writable = true;
    attempt(&fx, &first, 1);
    raw_expect(&fx, &first, HSR_FRAME_OPEN_ACK, &answer);
    attempt(&fx, &second, 3);
    raw_expect(&fx, &first, HSR_FRAME_CANCEL, &answer);
    raw_close(&first); /* the server waits for it, for a second at most */
    raw_expect(&fx, &second, HSR_FRAME_OPEN_ACK, &answer);
    CHECK_EQ(fx.events[HSR_EVENT_CLOSED], 1);
    attempt(&fx, &late, 2);
    raw_expect_reject(&fx, &late, HSR_E_CLOSED);
    CHECK_EQ(fx.events[HSR_EVENT_OPENED], 2);
    CHECK_EQ(fx.events[HSR_EVENT_CLOSED], 1);
    raw_close(&late);
    raw_close(&second);
    fixture_stop(&fx);
}

/* Goal: of two later attempts that wait for the same older session the latest alone goes on,
 * whichever came first. */
static void test_handshake_attempts_at_once(void)
{
    struct raw first, waiting[2];
    struct hsr_span answer;
    struct fixture fx;

    for (unsigned shards = 1; shards <= 3; shards += 2)
        for (unsigned latest = 0; latest < 2; latest++) {
            fixture_start(&fx, shards);
            fx.writable = true;
            attempt(&fx, &first, 1);
            raw_expect(&fx, &first, HSR_FRAME_OPEN_ACK, &answer);
            for (unsigned i = 0; i < 2; i++)
                attempt(&fx, &waiting[i], i == latest ? 3 : 2);
            raw_expect_reject(&fx, &waiting[1 - latest], HSR_E_CLOSED);
            raw_expect(&fx, &waiting[latest], HSR_FRAME_OPEN_ACK, &answer);
            raw_expect_cancel(&fx, &first, HSR_E_CLOSED);
            CHECK_EQ(fx.events[HSR_EVENT_OPENED], 2);
            CHECK_EQ(fx.events[HSR_EVENT_CLOSED], 1);
            fixture_turn_for(&fx, 20 * HSR_NS_PER_MS);
            CHECK_EQ(atomic_load(&fx.engine->joining), 0);
            CHECK_EQ(atomic_load(&fx.engine->opening), 0);
            raw_close(&first);
            raw_close(&waiting[0]);
            raw_close(&waiting[1]);
            fixture_stop(&fx);
        }
}

/* The first attempt at a job, to its DONE; its client does not close. */
static void attempt_done(struct fixture *fx, struct raw *control, struct raw *stream)
{
    struct hsr_join join = { .stream = 0 };
    struct hsr_walk_end end = { 0 };
    struct hsr_open_ack ack = { 0 };
    struct hsr_frame frame = { 0 };
    struct hsr_span answer;
    uint8_t out[64];
    int size;

    attempt(fx, control, 1);
    raw_expect(fx, control, HSR_FRAME_OPEN_ACK, &answer);
    CHECK_EQ(hsr_open_ack_decode(answer, &ack), 0);
    raw_connect(fx, stream);
    raw_greet(fx, stream);
    memcpy(join.token, ack.token, HSR_TOKEN_SIZE);
    size = hsr_join_encode(&join, out, sizeof(out));
    raw_frame(stream, HSR_FRAME_JOIN, out, (size_t)size);
    raw_expect(fx, stream, HSR_FRAME_JOIN_ACK, &answer);
    size = hsr_walk_end_encode(&end, out, sizeof(out));
    CHECK(size > 0);
    raw_frame(control, HSR_FRAME_WALK_END, out, (size_t)size);
    while (raw_wait(fx, control, &frame, &answer) && frame.kind != HSR_FRAME_DONE)
        continue;
    CHECK_EQ(frame.kind, HSR_FRAME_DONE);
    fixture_turn_for(fx, 20 * HSR_NS_PER_MS);
    CHECK_EQ(hsr_engine_sessions(fx->engine), 1); /* it waits for its client to close first */
}

/* Goal: a client that has not heard DONE, and comes back, does not wait for the connection on which
 * DONE was said. */
static void test_handshake_attempt_after_done(void)
{
    struct raw first, stream, second;
    struct hsr_span answer;
    struct fixture fx;

    fixture_start(&fx, 2);
    fx.writable = true;
    attempt_done(&fx, &first, &stream);
    attempt(&fx, &second, 2);
    raw_expect(&fx, &second, HSR_FRAME_OPEN_ACK, &answer); /* not after 30 s */
    CHECK_EQ(fx.events[HSR_EVENT_OPENED], 2);
    CHECK_EQ(fx.events[HSR_EVENT_CLOSED], 1);
    raw_expect_end(&fx, &first);
    raw_close(&first);
    raw_close(&stream);
    raw_close(&second);
    fixture_stop(&fx);
}

/* Goal: a client that does not close behind DONE holds up the server's end for the 2 s of its
 * politeness at most. */
static void test_handshake_end_after_done(void)
{
    struct raw control, stream;
    struct fixture fx;
    uint64_t start;

    fixture_start(&fx, 1);
    fx.writable = true;
    attempt_done(&fx, &control, &stream);
    hsr_engine_drain(fx.engine);
    start = now_ns();
    fixture_stop(&fx);
    CHECK(now_ns() - start < 4 * HSR_NS_PER_S);
    CHECK_EQ(fx.events[HSR_EVENT_CLOSED], 1);
    raw_close(&control);
    raw_close(&stream);
}

int main(void)
{
    RUN(test_handshake_greets);
    RUN(test_handshake_greets_byte_by_byte);
    RUN(test_handshake_refuses_garbage);
    RUN(test_handshake_refuses_damage);
    RUN(test_handshake_refuses_wrong_hello);
    RUN(test_handshake_picks_our_version);
    RUN(test_handshake_refuses_wrong_seq);
    RUN(test_handshake_refuses_wrong_kind);
    RUN(test_handshake_stalled_is_closed);
    RUN(test_handshake_truncated_is_closed);
    RUN(test_handshake_join_bad_token);
    RUN(test_handshake_join_with_trailing_bytes);
    RUN(test_handshake_join_pipelined);
    RUN(test_handshake_attempts_in_order);
    RUN(test_handshake_attempts_at_once);
    RUN(test_handshake_attempt_after_done);
    RUN(test_handshake_end_after_done);
    TEST_END();
}
