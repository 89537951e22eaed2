/* Goal: what a server does that is held up, or asked to stop, and with peers that say so when they
 * may not. Method: a real server engine on loopback, and sessions by hand. */
#include "tests/unit/server_fixture.h"

#define FEATURES (HSR_FEATURE_XXH3 | HSR_FEATURE_HOLD)
#define HOLE_SIZE (256 * HSR_MIB)

struct hand {
    struct fixture fx;
    struct raw control, stream;
    uint8_t token[HSR_TOKEN_SIZE];
};

static void hand_open(struct hand *hand, uint8_t role, uint64_t features)
{
    struct hsr_open open = open_of(role);
    int fd;

    memset(hand, 0, sizeof(*hand));
    fixture_start(&hand->fx, 1);
    hand->fx.writable = true;
    fd = openat(hand->fx.root_fd, "there", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK_EQ(write(fd, "12345", 5), 5);
    CHECK_EQ(close(fd), 0);
    raw_session(&hand->fx, &hand->control, &hand->stream, features, &open, hand->token);
}

static void hand_close(struct hand *hand)
{
    raw_close(&hand->stream);
    raw_close(&hand->control);
    fixture_stop(&hand->fx); /* asserts that every buffer is home */
}

static void say(struct hand *hand, uint16_t kind)
{
    raw_frame(&hand->control, kind, NULL, 0);
}

/* Soon, on the control connection; its end is something too. */
static bool anything_comes(struct hand *hand)
{
    struct hsr_span payload;
    struct hsr_frame frame;

    return raw_wait_for(&hand->fx, &hand->control, SILENCE_NS, &frame, &payload) ||
           hand->control.ended;
}

/* Goal: a source that is held says nothing of its tree until it may go on; twice is once. */
static void test_source_is_held(void)
{
    static struct hand hand;
    struct hsr_span payload;

    hand_open(&hand, HSR_ROLE_TARGET, FEATURES);
    say(&hand, HSR_FRAME_HOLD);
    say(&hand, HSR_FRAME_HOLD);
    raw_paths(&hand.control, "");
    CHECK(!anything_comes(&hand));
    say(&hand, HSR_FRAME_GO);
    raw_expect(&hand.fx, &hand.control, HSR_FRAME_ENTRIES, &payload);
    say(&hand, HSR_FRAME_GO); /* harmless */
    CHECK(!anything_comes(&hand)); /* it waits for what is wanted */
    hand_close(&hand);
}

/* Goal: a source that is to stop ends its data connections, says so, and waits for the target, held
 * or not; nothing lets it go on. */
static void test_source_stops(void)
{
    static struct hand hand;
    struct hsr_span payload;

    for (int held = 0; held < 2; held++) {
        hand_open(&hand, HSR_ROLE_TARGET, FEATURES);
        if (held)
            say(&hand, HSR_FRAME_HOLD);
        say(&hand, HSR_FRAME_STOP);
        say(&hand, HSR_FRAME_GO);
        raw_paths(&hand.control, "");
        raw_expect_end(&hand.fx, &hand.stream);
        CHECK(!anything_comes(&hand)); /* it waits for us to have read all of it */
        CHECK_EQ(shutdown(hand.stream.fd, SHUT_WR), 0);
        raw_expect(&hand.fx, &hand.control, HSR_FRAME_STOP, &payload);
        CHECK(!anything_comes(&hand));
        hand_close(&hand);
    }
}

static void want_whole(struct hand *hand, uint32_t page, uint16_t index)
{
    struct hsr_want_item item = { .index = index, .action = HSR_WANT_WHOLE };
    struct hsr_list_writer list;
    uint8_t out[64];
    int size;

    hsr_list_start(&list, out, sizeof(out));
    CHECK_EQ(hsr_want_put(&list, HSR_BLAKE3_SIZE, &item), 0);
    size = hsr_list_finish(&list);
    CHECK(size > 0);
    raw_frame_as(&hand->control, (struct hsr_frame){ .kind = HSR_FRAME_WANT, .page = page }, out,
                 (size_t)size);
}

/* Goal: a file that is through but for its digest has its FILE_END before STOP, not behind it.
 * Method: a hole that takes many slices to hash. */
static void test_source_ends_files_before_stop(void)
{
    struct hsr_open open = open_of(HSR_ROLE_TARGET);
    static struct hand hand;
    struct hsr_span payload;
    uint32_t page, index = 0;
    int fd;

    open.digest = HSR_DIGEST_BLAKE3;
    memset(&hand, 0, sizeof(hand));
    fixture_start(&hand.fx, 1);
    fd = openat(hand.fx.root_fd, "hole", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK_EQ(ftruncate(fd, (off_t)HOLE_SIZE), 0);
    CHECK_EQ(close(fd), 0);
    raw_session(&hand.fx, &hand.control, &hand.stream, FEATURES | HSR_FEATURE_BLAKE3, &open,
                hand.token);
    raw_paths(&hand.control, "");
    raw_page(&hand.fx, &hand.control, &page, &index);
    want_whole(&hand, page, (uint16_t)index);
    fixture_turn_for(&hand.fx, HSR_NS_PER_MS); /* it begins */
    say(&hand, HSR_FRAME_STOP);
    raw_expect_end(&hand.fx, &hand.stream);
    CHECK_EQ(shutdown(hand.stream.fd, SHUT_WR), 0);
    raw_expect(&hand.fx, &hand.control, HSR_FRAME_FILE_END, &payload);
    raw_expect(&hand.fx, &hand.control, HSR_FRAME_WALK_END, &payload); /* all is settled */
    raw_expect(&hand.fx, &hand.control, HSR_FRAME_STOP, &payload);
    CHECK(!anything_comes(&hand));
    hand_close(&hand);
}

/* Goal: a target whose source has stopped waits for its data connections, then says what is left,
 * and ends the session. */
static void test_target_stops(void)
{
    static struct hand hand;
    struct hsr_left left = { .files = 9 };
    struct hsr_span payload;

    hand_open(&hand, HSR_ROLE_SOURCE, FEATURES);
    say(&hand, HSR_FRAME_STOP);
    CHECK(!anything_comes(&hand)); /* something may still come on the stream */
    CHECK_EQ(shutdown(hand.stream.fd, SHUT_WR), 0);
    raw_expect(&hand.fx, &hand.control, HSR_FRAME_LEFT, &payload);
    CHECK_EQ(hsr_left_decode(payload, &left), 0);
    CHECK_EQ(left.files, 0);
    CHECK_EQ(left.bytes, 0);
    raw_expect_cancel(&hand.fx, &hand.control, HSR_E_CANCELED);
    hand_close(&hand);
}

static size_t lost_make(struct hand *hand, uint8_t *out)
{
    return frame_make_as(&hand->control, (struct hsr_frame){ .kind = HSR_FRAME_LOST }, NULL, 0,
                         out);
}

/* Goal: a source that is held settles a lost connection as ever: it does not wait until the target
 * has closed what is dead for it. */
static void test_held_source_settles_a_loss(void)
{
    uint8_t out[HSR_FRAME_HEADER_SIZE];
    static struct hand hand;
    struct hsr_span payload;

    hand_open(&hand, HSR_ROLE_TARGET, FEATURES);
    say(&hand, HSR_FRAME_HOLD);
    CHECK(!anything_comes(&hand));
    raw_send(&hand.control, out, lost_make(&hand, out));
    raw_expect(&hand.fx, &hand.control, HSR_FRAME_LOST, &payload); /* and it is still held */
    hand_close(&hand);
}

/* Goal: a source that is to stop does not wait for a connection that the target has lost, whatever
 * is said first. */
static void test_source_stops_without_a_lost_one(void)
{
    uint8_t out[2 * HSR_FRAME_HEADER_SIZE];
    static struct hand hand;
    struct hsr_span payload;
    size_t size;

    for (int crosses = 0; crosses < 2; crosses++) {
        hand_open(&hand, HSR_ROLE_TARGET, FEATURES);
        raw_paths(&hand.control, "");
        raw_expect(&hand.fx, &hand.control, HSR_FRAME_ENTRIES, &payload);
        if (crosses) {
            say(&hand, HSR_FRAME_STOP);
            CHECK(!anything_comes(&hand));
        }
        size = lost_make(&hand, out);
        if (!crosses)
            size += frame_make(&hand.control, HSR_FRAME_STOP, NULL, 0, out + size);
        raw_send(&hand.control, out, size);
        raw_expect(&hand.fx, &hand.control, HSR_FRAME_STOP, &payload);
        CHECK(!anything_comes(&hand)); /* no LOST of its own */
        hand_close(&hand);
    }
}

/* Goal: a target reads on, to the end, when the source's LOST has crossed STOP. */
static void test_target_stops_after_lost(void)
{
    uint8_t out[HSR_FRAME_HEADER_SIZE];
    static struct hand hand;
    struct hsr_span payload;

    hand_open(&hand, HSR_ROLE_SOURCE, FEATURES);
    say(&hand, HSR_FRAME_STOP);
    raw_send(&hand.control, out, lost_make(&hand, out));
    CHECK(!anything_comes(&hand));
    CHECK_EQ(shutdown(hand.stream.fd, SHUT_WR), 0);
    raw_expect(&hand.fx, &hand.control, HSR_FRAME_LEFT, &payload);
    raw_expect_cancel(&hand.fx, &hand.control, HSR_E_CANCELED);
    hand_close(&hand);
}

/* Goal: what may not be said ends the session. A source may not be held by another source, asked
 * twice, told what is left; and nobody anything where the feature is not in force. */
static void test_out_of_place(void)
{
    static const struct {
        uint8_t role; /* of the client */
        uint64_t features;
        uint16_t kinds[2];
    } cases[] = {
        { HSR_ROLE_SOURCE, FEATURES, { HSR_FRAME_HOLD } },
        { HSR_ROLE_SOURCE, FEATURES, { HSR_FRAME_GO } },
        { HSR_ROLE_SOURCE, FEATURES, { HSR_FRAME_LEFT } },
        { HSR_ROLE_SOURCE, FEATURES, { HSR_FRAME_STOP, HSR_FRAME_STOP } },
        { HSR_ROLE_TARGET, FEATURES, { HSR_FRAME_STOP, HSR_FRAME_STOP } },
        { HSR_ROLE_TARGET, FEATURES, { HSR_FRAME_LEFT } },
        { HSR_ROLE_TARGET, HSR_FEATURE_XXH3, { HSR_FRAME_HOLD } },
        { HSR_ROLE_TARGET, HSR_FEATURE_XXH3, { HSR_FRAME_GO } },
        { HSR_ROLE_TARGET, HSR_FEATURE_XXH3, { HSR_FRAME_STOP } },
        { HSR_ROLE_SOURCE, HSR_FEATURE_XXH3, { HSR_FRAME_STOP } },
        { HSR_ROLE_SOURCE, HSR_FEATURE_XXH3, { HSR_FRAME_LEFT } },
    };
    static struct hand hand;

    for (size_t i = 0; i < HSR_ARRAY_COUNT(cases); i++) {
        hand_open(&hand, cases[i].role, cases[i].features);
        for (unsigned k = 0; k < 2 && cases[i].kinds[k] != 0; k++) {
            uint8_t payload[HSR_LEFT_SIZE] = { 0 };
            bool left = cases[i].kinds[k] == HSR_FRAME_LEFT;

            raw_frame(&hand.control, cases[i].kinds[k], payload, left ? sizeof(payload) : 0);
        }
        raw_expect_cancel(&hand.fx, &hand.control, HSR_E_PROTOCOL);
        hand_close(&hand);
    }
}

int main(void)
{
    RUN(test_source_is_held);
    RUN(test_source_stops);
    RUN(test_source_ends_files_before_stop);
    RUN(test_target_stops);
    RUN(test_held_source_settles_a_loss);
    RUN(test_source_stops_without_a_lost_one);
    RUN(test_target_stops_after_lost);
    RUN(test_out_of_place);
    TEST_END();
}
