/* Goal: what time may mend is tried again, a bounded number of times without progress, after pauses
 * that grow and are drawn from the whole of their range; what it cannot mend is not.
 * Method: the policy is pure: ends of attempts go in, decisions come out. */
#include "hsr_test.h"

#include <errno.h>

#include "base/err.h"
#include "client/attempts.h"

static uint64_t pause_ns;

static struct hsr_attempts attempts_make(uint32_t retries, bool connect)
{
    return (
        struct hsr_attempts){ .retries = retries, .connect = connect, .prng = hsr_prng_init(7) };
}

static bool again(struct hsr_attempts *attempts, int rc, bool opened, uint64_t settled)
{
    struct hsr_attempt_end end = { .rc = rc, .opened = opened, .settled = settled };

    return hsr_attempts_again(attempts, &end, &pause_ns);
}

static void test_retries_are_bounded(void)
{
    struct hsr_attempts attempts = attempts_make(3, false);

    for (unsigned i = 0; i < 3; i++)
        CHECK(again(&attempts, HSR_E_CLOSED, true, 0));
    CHECK(!again(&attempts, HSR_E_CLOSED, true, 0));
    CHECK(attempts.made == 3);
    attempts = attempts_make(0, true);
    CHECK(!again(&attempts, HSR_E_CLOSED, true, 0));
}

static void test_progress_begins_a_new_count(void)
{
    struct hsr_attempts attempts = attempts_make(2, false);

    CHECK(again(&attempts, -ECONNRESET, true, 10));
    CHECK(again(&attempts, -ECONNRESET, true, 10));
    CHECK(again(&attempts, -ECONNRESET, true, 11)); /* further than ever */
    CHECK(again(&attempts, -ECONNRESET, true, 5)); /* it was cut before it came as far again */
    CHECK(!again(&attempts, -ECONNRESET, true, 11));
    CHECK(attempts.made == 4);
}

/* One huge file over a bad line: no entry is ever settled, but each attempt finds more of it. */
static void test_bytes_kept_are_progress(void)
{
    struct hsr_attempts attempts = attempts_make(2, false);
    struct hsr_attempt_end end = { .rc = -ECONNRESET, .opened = true };

    for (unsigned i = 0; i < 20; i++) {
        end.kept = i * 1000;
        CHECK(hsr_attempts_again(&attempts, &end, &pause_ns));
    }
    end.kept = 18000; /* another one was cut before it had found all */
    CHECK(hsr_attempts_again(&attempts, &end, &pause_ns));
    end.kept = 19000;
    CHECK(!hsr_attempts_again(&attempts, &end, &pause_ns));
    end.kept = 0;
    end.settled = 1; /* the file is done, and of the next one nothing is kept yet */
    attempts.spent = 2;
    CHECK(hsr_attempts_again(&attempts, &end, &pause_ns));
}

static void test_what_time_cannot_mend_is_not_repeated(void)
{
    static const int codes[] = { HSR_E_PROTOCOL, HSR_E_VERSION,  HSR_E_CHECK,   HSR_E_DIGEST,
                                 HSR_E_EXPORT,   HSR_E_READONLY, HSR_E_DENIED,  HSR_E_USAGE,
                                 HSR_E_CANCELED, HSR_E_PARTIAL,  -ENOSPC,       -EACCES,
                                 -ENOMEM,        HSR_E_FILTER,   HSR_E_INTERNAL };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(codes); i++) {
        struct hsr_attempts attempts = attempts_make(5, true);

        CHECK(!again(&attempts, codes[i], true, 100));
        CHECK(attempts.made == 0);
    }
}

static void test_a_server_that_was_never_reached(void)
{
    struct hsr_attempts attempts = attempts_make(5, false);

    CHECK(!again(&attempts, -ECONNREFUSED, false, 0));
    CHECK(!again(&attempts, HSR_E_RESOLVE, false, 0));
    attempts = attempts_make(5, true); /* --retries was given */
    CHECK(again(&attempts, -ECONNREFUSED, false, 0));
    CHECK(again(&attempts, HSR_E_RESOLVE, false, 0));
    attempts = attempts_make(5, false);
    CHECK(again(&attempts, HSR_E_BUSY, false, 0)); /* its own words: it is there */
    CHECK(again(&attempts, -ECONNREFUSED, false, 0)); /* and may come back */
}

static void test_pauses_grow_and_are_spread(void)
{
    uint64_t most = ATTEMPTS_PAUSE_NS;

    for (uint32_t spent = 0; spent < 8; spent++) {
        uint64_t low = UINT64_MAX, high = 0;

        for (uint32_t seed = 0; seed < 200; seed++) {
            struct hsr_attempts attempts = attempts_make(20, false);

            attempts.prng = hsr_prng_init(seed);
            attempts.spent = attempts.made = spent;
            CHECK(again(&attempts, HSR_E_SHUTDOWN, false, 0));
            low = HSR_MIN(low, pause_ns);
            high = HSR_MAX(high, pause_ns);
        }
        CHECK(high <= most);
        CHECK(high > most / 10 * 9);
        CHECK(low < most / 10);
        most = HSR_MIN(2 * most, (uint64_t)ATTEMPTS_PAUSE_MAX_NS);
    }
    CHECK(most == ATTEMPTS_PAUSE_MAX_NS);
}

int main(void)
{
    RUN(test_retries_are_bounded);
    RUN(test_progress_begins_a_new_count);
    RUN(test_bytes_kept_are_progress);
    RUN(test_what_time_cannot_mend_is_not_repeated);
    RUN(test_a_server_that_was_never_reached);
    RUN(test_pauses_grow_and_are_spread);
    TEST_END();
}
