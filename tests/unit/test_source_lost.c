/* Goal: what a lost data connection had is sent again, once and whole, as the target says what
 * came; a target that says what cannot be ends the session, whatever state the source is in.
 * Method: a server sends one file of two ranges to a raw target, over one data connection at a
 * time. */
#include "tests/unit/server_fixture.h"

#define CHUNK 65536u
#define SIZE (8 * CHUNK)
#define RANGES 2u /* of one stream: halves */
#define DIGEST_SIZE 16u /* xxh3 */

struct pull {
    struct fixture fx;
    struct raw control, stream;
    uint8_t token[HSR_TOKEN_SIZE];
    uint8_t *source, *made;
    uint32_t page, index;
    uint32_t ends; /* ranges that came on the connection of now */
    uint32_t covered[SIZE / CHUNK]; /* how often each chunk came, in whole ranges */
};

static void say(struct pull *pull, uint16_t kind, uint32_t stream, uint64_t ends)
{
    raw_frame_as(&pull->control, (struct hsr_frame){ .kind = kind, .page = stream, .offset = ends },
                 "", 0);
}

/* Up to the file's being wanted. */
static void pull_open(struct pull *pull)
{
    struct hsr_open open = open_of(HSR_ROLE_TARGET);
    struct hsr_want_item item = { .action = HSR_WANT_WHOLE };
    struct hsr_list_writer list;
    uint8_t out[512];
    int fd;

    memset(pull, 0, sizeof(*pull));
    pull->source = malloc(SIZE);
    pull->made = calloc(1, SIZE);
    for (uint32_t i = 0; i < SIZE; i++)
        pull->source[i] = (uint8_t)(((uint64_t)i + 1) * 0x9e3779b97f4a7c15ull >> 56);
    fixture_start(&pull->fx, 1);
    fd = openat(pull->fx.root_fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK_EQ(write(fd, pull->source, SIZE), SIZE);
    CHECK_EQ(close(fd), 0);
    raw_session(&pull->fx, &pull->control, &pull->stream, HSR_FEATURES_OURS, &open, pull->token);
    raw_paths(&pull->control, "");
    raw_page(&pull->fx, &pull->control, &pull->page, &pull->index);
    item.index = (uint16_t)pull->index;
    hsr_list_start(&list, out, sizeof(out));
    CHECK_EQ(hsr_want_put(&list, DIGEST_SIZE, &item), 0);
    raw_frame_as(&pull->control, (struct hsr_frame){ .kind = HSR_FRAME_WANT, .page = pull->page },
                 out, (size_t)hsr_list_finish(&list));
}

static void pull_close(struct pull *pull)
{
    raw_close(&pull->stream);
    raw_close(&pull->control);
    fixture_stop(&pull->fx); /* asserts that every buffer is home */
    free(pull->source);
    free(pull->made);
}

/* Take what comes until @ranges of them are whole. A range that is begun and not ended does not
 * count. */
static void ranges_take(struct pull *pull, uint32_t ranges)
{
    uint32_t first = SIZE / CHUNK;

    while (pull->ends < ranges) {
        struct hsr_frame frame = { 0 };
        struct hsr_span payload = { 0 };
        uint32_t chunk;
        bool there = raw_wait(&pull->fx, &pull->stream, &frame, &payload);

        CHECK(there);
        if (!there)
            return;
        CHECK_EQ(frame.kind, HSR_FRAME_DATA);
        CHECK_EQ(frame.size, CHUNK);
        memcpy(pull->made + frame.offset, payload.ptr, frame.size);
        chunk = (uint32_t)(frame.offset / CHUNK);
        if (first == SIZE / CHUNK)
            first = chunk;
        if (!(frame.flags & HSR_FRAME_RANGE_END))
            continue;
        for (uint32_t i = first; i <= chunk; i++)
            pull->covered[i]++;
        first = SIZE / CHUNK;
        pull->ends++;
    }
}

static bool control_wait(struct pull *pull, uint16_t kind, struct hsr_frame *ret_frame,
                         struct hsr_span *ret_payload)
{
    do { /* STAGES may come in between */
        if (!raw_wait(&pull->fx, &pull->control, ret_frame, ret_payload))
            return false;
    } while (ret_frame->kind != kind && ret_frame->kind != HSR_FRAME_CANCEL);
    return ret_frame->kind == kind;
}

/* The connection goes; the server says so, and we say what came. */
static void stream_lose(struct pull *pull, uint64_t ends)
{
    struct hsr_frame frame = { 0 };
    struct hsr_span payload;

    raw_close(&pull->stream);
    CHECK(control_wait(pull, HSR_FRAME_LOST, &frame, &payload));
    CHECK_EQ(frame.page, 0);
    CHECK_EQ(frame.offset, 0); /* it is the source */
    say(pull, HSR_FRAME_LOST, 0, ends);
    pull->ends = 0;
    pull->stream = (struct raw){ .fd = -1 };
}

/* JOIN on a new connection. */
static void join_say(struct pull *pull)
{
    struct hsr_join join = { .stream = 0 };
    struct hsr_span payload;
    uint8_t out[64];

    memcpy(join.token, pull->token, sizeof(join.token));
    raw_connect(&pull->fx, &pull->stream);
    raw_hello(&pull->stream);
    raw_expect(&pull->fx, &pull->stream, HSR_FRAME_HELLO_ACK, &payload);
    CHECK_EQ(hsr_join_encode(&join, out, sizeof(out)), 20);
    raw_frame(&pull->stream, HSR_FRAME_JOIN, out, 20);
}

/* The connection comes back. A loss is settled ten times a second: until then the server is BUSY.
 */
static void stream_join(struct pull *pull)
{
    uint64_t end = now_ns() + COMES_NS;

    for (;;) {
        struct hsr_reject reject = { 0 };
        struct hsr_frame frame = { 0 };
        struct hsr_span payload = { 0 };

        join_say(pull);
        CHECK(raw_wait(&pull->fx, &pull->stream, &frame, &payload));
        if (frame.kind != HSR_FRAME_REJECT || now_ns() > end) {
            CHECK_EQ(frame.kind, HSR_FRAME_JOIN_ACK);
            return;
        }
        CHECK_EQ(hsr_reject_decode(payload, &reject), 0);
        CHECK_EQ(reject.code, HSR_E_BUSY);
        raw_close(&pull->stream);
        fixture_turn_for(&pull->fx, 20 * HSR_NS_PER_MS);
    }
}

/* Whatever came before: what did not is sent again, and nothing else. */
static void test_lost_what_did_not_arrive_comes_again(void)
{
    for (uint32_t had = 0; had < RANGES; had++) {
        struct pull pull;
        struct hsr_frame frame = { 0 };
        struct hsr_span payload;
        struct hsr_file_end end = { 0 };

        pull_open(&pull);
        ranges_take(&pull, had);
        stream_lose(&pull, had);
        stream_join(&pull);
        ranges_take(&pull, RANGES - had);
        for (uint32_t i = 0; i < SIZE / CHUNK; i++)
            CHECK_EQ(pull.covered[i], 1);
        CHECK(memcmp(pull.made, pull.source, SIZE) == 0);
        CHECK(control_wait(&pull, HSR_FRAME_FILE_END, &frame, &payload));
        CHECK_EQ(hsr_file_end_decode(payload, DIGEST_SIZE, &end), 0);
        CHECK(end.code == 0 && end.bytes == SIZE);
        pull_close(&pull);
    }
}

/* All had left, and FILE_END too: the file is opened again for what did not arrive. */
static void test_lost_after_the_end(void)
{
    struct pull pull;
    struct hsr_frame frame = { 0 };
    struct hsr_span payload;

    pull_open(&pull);
    ranges_take(&pull, RANGES);
    CHECK(control_wait(&pull, HSR_FRAME_FILE_END, &frame, &payload));
    say(&pull, HSR_FRAME_TAKEN, 0, 1);
    stream_lose(&pull, RANGES - 1); /* they came, but that is ours to say */
    stream_join(&pull);
    ranges_take(&pull, 1);
    CHECK(memcmp(pull.made, pull.source, SIZE) == 0);
    fixture_turn_for(&pull.fx, 20 * HSR_NS_PER_MS);
    CHECK_EQ(pull.fx.events[HSR_EVENT_CLOSED], 0);
    pull_close(&pull);
}

/* Goal: a file that turns out to have changed when a part of it is to be sent again, after the walk
 * has ended, is told as failed: nothing is listed any more. */
static void test_lost_after_the_walk_and_changed(void)
{
    struct pull pull;
    struct hsr_frame frame = { 0 };
    struct hsr_span payload;
    struct hsr_file_end end = { 0 };
    struct hsr_note note = { 0 };
    int fd;

    pull_open(&pull);
    ranges_take(&pull, RANGES);
    CHECK(control_wait(&pull, HSR_FRAME_WALK_END, &frame, &payload));
    fixture_turn_for(&pull.fx, 20 * HSR_NS_PER_MS); /* times of files have ticks */
    fd = openat(pull.fx.root_fd, "f", O_WRONLY | O_CLOEXEC);
    CHECK_EQ(pwrite(fd, "changed", 7, 1000), 7);
    CHECK_EQ(close(fd), 0);
    stream_lose(&pull, 0);
    stream_join(&pull);
    CHECK(control_wait(&pull, HSR_FRAME_FILE_END, &frame, &payload));
    CHECK_EQ(hsr_file_end_decode(payload, DIGEST_SIZE, &end), 0);
    CHECK_EQ(end.code, HSR_E_CHANGED);
    CHECK(control_wait(&pull, HSR_FRAME_NOTE, &frame, &payload));
    CHECK_EQ(hsr_note_decode(payload, &note), 0);
    CHECK_EQ(note.event, HSR_NOTE_FAILED);
    CHECK_EQ(note.code, HSR_E_CHANGED);
    pull_close(&pull);
}

static void test_lost_join_waits_for_the_settlement(void)
{
    struct hsr_frame frame = { 0 };
    struct hsr_span payload;
    struct pull pull;

    pull_open(&pull);
    ranges_take(&pull, 1);
    raw_close(&pull.stream);
    CHECK(control_wait(&pull, HSR_FRAME_LOST, &frame, &payload)); /* and we say nothing */
    fixture_turn_for(&pull.fx, 150 * HSR_NS_PER_MS); /* ten times a second it is looked at */
    join_say(&pull);
    raw_expect_reject(&pull.fx, &pull.stream, HSR_E_BUSY);
    pull_close(&pull);
}

static void test_late_join_has_its_own_reason(void)
{
    struct pull pull;

    pull_open(&pull);
    ranges_take(&pull, 1);
    stream_lose(&pull, 100); /* ends it; the control connection waits for us to close */
    raw_expect_cancel(&pull.fx, &pull.control, HSR_E_PROTOCOL);
    join_say(&pull);
    raw_expect_reject(&pull.fx, &pull.stream, HSR_E_CLOSED);
    CHECK(strcmp(pull.fx.refused_text, "JOIN: the session has ended") == 0);
    pull_close(&pull);
}

/* What no target of ours says. Each ends the session, at once or when the loss is settled. */
static void test_lost_lies_end_the_session(void)
{
    static const struct {
        const char *what;
        uint32_t taken; /* said first, when all has come; it is true */
        bool lose; /* the data connection goes, and then LOST is what is said */
        uint16_t kind;
        uint32_t stream;
        uint64_t ends;
        unsigned times;
    } cases[] = {
        { "taken of no stream", 0, false, HSR_FRAME_TAKEN, 1, 0, 1 },
        { "taken of a wild stream", 0, false, HSR_FRAME_TAKEN, UINT32_MAX, 0, 1 },
        { "more taken than was sent", 0, false, HSR_FRAME_TAKEN, 0, 100, 1 },
        { "wildly more", 0, false, HSR_FRAME_TAKEN, 0, INT64_MAX, 1 },
        { "less taken than before", 2, false, HSR_FRAME_TAKEN, 0, 1, 1 },
        { "lost of no stream", 0, false, HSR_FRAME_LOST, 1, 0, 1 },
        { "lost of a wild stream", 0, false, HSR_FRAME_LOST, UINT32_MAX, 0, 1 },
        { "lost twice", 0, false, HSR_FRAME_LOST, 0, 0, 2 },
        { "more arrived than was sent", 0, false, HSR_FRAME_LOST, 0, 100, 1 },
        { "wildly more arrived", 0, false, HSR_FRAME_LOST, 0, INT64_MAX, 1 },
        { "less arrived than was taken", 2, false, HSR_FRAME_LOST, 0, 1, 1 },
        { "the same of one that is gone", 2, true, HSR_FRAME_LOST, 0, 1, 1 },
        { "more, of one that is gone", 0, true, HSR_FRAME_LOST, 0, 100, 1 },
    };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(cases); i++) {
        struct pull pull;

        pull_open(&pull);
        ranges_take(&pull, RANGES);
        fixture_turn_for(&pull.fx, 5 * HSR_NS_PER_MS);
        if (cases[i].taken > 0)
            say(&pull, HSR_FRAME_TAKEN, 0, cases[i].taken);
        if (cases[i].lose)
            stream_lose(&pull, cases[i].ends);
        else
            for (unsigned k = 0; k < cases[i].times; k++)
                say(&pull, cases[i].kind, cases[i].stream, cases[i].ends);
        raw_expect_cancel(&pull.fx, &pull.control, HSR_E_PROTOCOL);
        if (pull.stream.fd < 0)
            raw_connect(&pull.fx, &pull.stream); /* to have something to close */
        pull_close(&pull);
    }
}

/* TAKEN that was on its way when the connection was lost says nothing that LOST does not. */
static void test_taken_after_lost_is_nothing(void)
{
    struct hsr_frame frame = { 0 };
    struct hsr_span payload;
    struct pull pull;

    pull_open(&pull);
    ranges_take(&pull, 2);
    say(&pull, HSR_FRAME_LOST, 0, 2);
    say(&pull, HSR_FRAME_TAKEN, 0, 1);
    CHECK(control_wait(&pull, HSR_FRAME_LOST, &frame, &payload));
    CHECK_EQ(frame.offset, 0); /* a source counts nothing, whoever spoke first */
    fixture_turn_for(&pull.fx, 20 * HSR_NS_PER_MS);
    CHECK_EQ(pull.fx.events[HSR_EVENT_CLOSED], 0);
    pull_close(&pull);
}

/* A target is told by its source that a connection is lost, and never what was taken. */
static void test_a_target_hears_no_counts(void)
{
    static const struct hsr_frame frames[] = {
        { .kind = HSR_FRAME_TAKEN },
        { .kind = HSR_FRAME_LOST, .offset = 1 },
        { .kind = HSR_FRAME_LOST, .page = 1 },
    };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(frames); i++) {
        struct hsr_open open = open_of(HSR_ROLE_SOURCE);
        struct pull push;

        memset(&push, 0, sizeof(push));
        fixture_start(&push.fx, 1);
        push.fx.writable = true;
        raw_session(&push.fx, &push.control, &push.stream, HSR_FEATURES_OURS, &open, push.token);
        raw_frame_as(&push.control, frames[i], "", 0);
        raw_expect_cancel(&push.fx, &push.control, HSR_E_PROTOCOL);
        pull_close(&push);
    }
}

/* Beats come by themselves on both connections, and count what we sent. */
static void test_beats_count_what_came(void)
{
    uint64_t end = now_ns() + COMES_NS;
    struct raw *raw;
    struct pull pull;
    unsigned beats = 0;

    pull_open(&pull);
    ranges_take(&pull, RANGES);
    raw = &pull.stream;
    while (beats < 2 && now_ns() < end && !raw->ended) { /* what follows the file is beats */
        struct hsr_frame frame;
        ssize_t got;

        if (raw->size - raw->offset >= HSR_FRAME_HEADER_SIZE) {
            CHECK_EQ(hsr_frame_decode(raw->bytes + raw->offset, &frame), 0);
            CHECK_EQ(frame.kind, HSR_FRAME_BEAT);
            /* HELLO and JOIN, each with its header */
            CHECK_EQ(frame.offset, 2 * HSR_FRAME_HEADER_SIZE + 28 + 20);
            raw->offset += HSR_FRAME_HEADER_SIZE;
            beats++;
            continue;
        }
        fixture_turn(&pull.fx);
        got = recv(raw->fd, raw->bytes + raw->size, REPLY_MAX - raw->size, 0);
        raw->size += got > 0 ? (size_t)got : 0;
        raw->ended = got == 0;
    }
    CHECK_EQ(beats, 2);
    pull_close(&pull);
}

/* A beat that says more than was sent, or less than before, is a lie about the connection. */
static void test_beats_that_lie_end_the_session(void)
{
    static const uint64_t told[][2] = { { INT64_MAX, 0 }, { 100, 99 } };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(told); i++)
        for (unsigned on_stream = 0; on_stream < 2; on_stream++) {
            struct pull pull;
            struct raw *raw;

            pull_open(&pull);
            ranges_take(&pull, RANGES);
            raw = on_stream ? &pull.stream : &pull.control;
            for (unsigned k = 0; k < 2 && told[i][k] > 0; k++) {
                struct hsr_frame frame = { .kind = k == 0 ? HSR_FRAME_BEAT : HSR_FRAME_REST,
                                           .offset = told[i][k] };

                raw_frame_as(raw, frame, "", 0);
            }
            raw_expect_cancel(&pull.fx, &pull.control, HSR_E_PROTOCOL);
            pull_close(&pull);
        }
}

int main(void)
{
    RUN(test_lost_what_did_not_arrive_comes_again);
    RUN(test_lost_after_the_end);
    RUN(test_lost_after_the_walk_and_changed);
    RUN(test_lost_join_waits_for_the_settlement);
    RUN(test_late_join_has_its_own_reason);
    RUN(test_lost_lies_end_the_session);
    RUN(test_taken_after_lost_is_nothing);
    RUN(test_a_target_hears_no_counts);
    RUN(test_beats_count_what_came);
    RUN(test_beats_that_lie_end_the_session);
    TEST_END();
}
