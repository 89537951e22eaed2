/* Goal: a pulse ends in time when nothing comes, or nothing arrives, and never while a byte moves
 * either way. Method: the clock and the counters of a connection are numbers of the test. */
#include "hsr_test.h"

#include "base/base.h"
#include "transfer/engine/pulse.h"

#define S HSR_NS_PER_S

/* One side of a connection, and what a test lets happen to it. */
struct side {
    struct hsr_pulse pulse;
    struct hsr_pulse_view view;
    uint64_t now, given;
};

static void side_start(struct side *side, uint64_t bound_ns, uint32_t peer_ms)
{
    *side = (struct side){ .now = 100 * S, .given = 1000, .view = { 500, true } };
    hsr_pulse_start(&side->pulse, side->now, bound_ns, peer_ms);
    CHECK_EQ(hsr_pulse_look(&side->pulse, side->now, &side->view), 0);
}

/* A beat's time goes by: @in bytes come, and a beat of the peer that has @told of ours. */
static int side_beat(struct side *side, uint64_t in, bool rests, uint64_t told)
{
    side->now += side->pulse.beat_ns;
    side->given += 56;
    side->view.received += in;
    if (in > 0)
        CHECK_EQ(hsr_pulse_told(&side->pulse, side->now, rests, told, side->given), 0);
    return hsr_pulse_look(&side->pulse, side->now, &side->view);
}

static void test_pulse_beats_four_times_in_the_shorter_bound(void)
{
    struct side side;

    side_start(&side, 2 * S, 0);
    CHECK_EQ(side.pulse.beat_ns, S / 2);
    side_start(&side, 2 * S, 400);
    CHECK_EQ(side.pulse.beat_ns, S / 10);
    side_start(&side, 2 * S, 4000);
    CHECK_EQ(side.pulse.beat_ns, S / 2);
    side_start(&side, 3600 * S, 0);
    CHECK_EQ(side.pulse.beat_ns, S); /* a stall is named long before */
    side_start(&side, 30 * S, 1);
    CHECK_EQ(side.pulse.beat_ns, 100 * HSR_NS_PER_MS); /* whatever a peer wishes */
}

static void test_pulse_silence_ends_at_the_bound(void)
{
    struct side side;
    unsigned beats = 0;
    bool there;

    side_start(&side, 2 * S, 0);
    CHECK_EQ(side_beat(&side, 56, false, side.given), 0);
    CHECK_EQ(hsr_pulse_quiet(&side.pulse, &there), 0);
    while (beats < 10 && side_beat(&side, 0, false, 0) == 0)
        beats++;
    CHECK_EQ(beats, 4); /* the fifth beat of half a second is the first over 2 s */
    CHECK_EQ(hsr_pulse_quiet(&side.pulse, &there), 2 * S + S / 2);
    CHECK(!there);
}

/* Also where looks are late, each by nearly as much as the next should be. */
static void test_pulse_is_named_before_it_ends(void)
{
    for (uint64_t late = 0; late < 100; late += 7) {
        struct side side;
        bool named = false, there;
        int rc = 0;

        side_start(&side, 2 * S, 0);
        for (unsigned i = 0; rc == 0 && i < 10; i++) {
            named = hsr_pulse_quiet(&side.pulse, &there) > 0;
            side.now += side.pulse.beat_ns * late / 100;
            rc = side_beat(&side, 0, false, 0);
        }
        CHECK_EQ(rc, HSR_E_TIMEOUT);
        CHECK(named);
    }
}

/* Bytes that trickle are life, and so is that we do not read. */
static void test_pulse_slow_is_not_dead(void)
{
    struct side side;
    bool there;

    side_start(&side, 2 * S, 0);
    for (unsigned i = 0; i < 1000; i++) {
        side.view.received += i % 4 == 0;
        CHECK_EQ(side_beat(&side, 0, false, 0), 0);
    }
    side.view.reading = false;
    for (unsigned i = 0; i < 1000; i++)
        CHECK_EQ(side_beat(&side, 0, false, 0), 0);
    CHECK_EQ(hsr_pulse_quiet(&side.pulse, &there), 0);
    side.view.reading = true;
    CHECK_EQ(side_beat(&side, 0, false, 0), 0); /* its time begins now */
}

/* The peer's beats come, and say that ours do not arrive. */
static void test_pulse_the_other_way_dead(void)
{
    struct side side;
    unsigned beats = 0;
    bool there;

    side_start(&side, 2 * S, 0);
    CHECK_EQ(side_beat(&side, 56, false, 900), 0);
    while (beats < 10 && side_beat(&side, 56, false, 900) == 0)
        beats++;
    CHECK_EQ(beats, 4);
    CHECK_EQ(hsr_pulse_quiet(&side.pulse, &there), 2 * S + S / 2);
    CHECK(there);
}

static void test_pulse_the_other_way_alive(void)
{
    struct side side;

    side_start(&side, 2 * S, 0);
    for (unsigned i = 0; i < 100; i++) /* it trickles */
        CHECK_EQ(side_beat(&side, 56, false, 900 + i / 4), 0);
    for (unsigned i = 0; i < 100; i++) /* the peer does not read, and says so */
        CHECK_EQ(side_beat(&side, 56, true, 1000), 0);
    for (unsigned i = 0; i < 100; i++) /* nothing is on its way */
        CHECK_EQ(side_beat(&side, 56, false, side.given + 56), 0);
    /* A peer that sends data for long is not asked for beats in between; its next one counts. */
    for (unsigned i = 0; i < 100; i++) {
        side.view.received += 1000;
        side.now += S / 2;
        CHECK_EQ(hsr_pulse_look(&side.pulse, side.now, &side.view), 0);
    }
    CHECK_EQ(side_beat(&side, 56, false, side.pulse.told + 1), 0);
}

/* Who was stopped himself knows nothing of the peer's silence meanwhile. */
static void test_pulse_own_sleep_does_not_count(void)
{
    struct side side;

    side_start(&side, 2 * S, 0);
    CHECK_EQ(side_beat(&side, 56, false, 900), 0);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(side_beat(&side, 0, false, 0), 0);
    side.now += 3600 * S;
    CHECK_EQ(hsr_pulse_look(&side.pulse, side.now, &side.view), 0);
    CHECK_EQ(hsr_pulse_told(&side.pulse, side.now, false, 900, side.given), 0);
    CHECK_EQ(hsr_pulse_look(&side.pulse, side.now, &side.view), 0);
    CHECK_EQ(side_beat(&side, 0, false, 0), HSR_E_TIMEOUT); /* what was quiet before counts on */
}

static void test_pulse_refuses_lies(void)
{
    struct side side;

    side_start(&side, 2 * S, 0);
    CHECK_EQ(hsr_pulse_told(&side.pulse, side.now, false, side.given + 1, side.given),
             HSR_E_PROTOCOL);
    CHECK_EQ(hsr_pulse_told(&side.pulse, side.now, false, 900, side.given), 0);
    CHECK_EQ(hsr_pulse_told(&side.pulse, side.now, true, 899, side.given), HSR_E_PROTOCOL);
}

int main(void)
{
    RUN(test_pulse_beats_four_times_in_the_shorter_bound);
    RUN(test_pulse_silence_ends_at_the_bound);
    RUN(test_pulse_is_named_before_it_ends);
    RUN(test_pulse_slow_is_not_dead);
    RUN(test_pulse_the_other_way_dead);
    RUN(test_pulse_the_other_way_alive);
    RUN(test_pulse_own_sleep_does_not_count);
    RUN(test_pulse_refuses_lies);
    TEST_END();
}
