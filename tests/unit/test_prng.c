/* Goal: the generator is splitmix64, so that a seed means the same on every machine and for ever,
 * and `below` stays below.
 * Method: the values that the reference implementation gives for a seed; counts over many draws. */
#include "hsr_test.h"

#include <stdint.h>

#include "base/prng.h"

static void test_prng_gives_the_reference_values(void)
{
    static const uint64_t reference[] = { 6457827717110365317u, 3203168211198807973u,
                                          9817491932198370423u, 4593380528125082431u,
                                          16408922859458223821u };
    struct hsr_prng prng = hsr_prng_init(1234567);

    for (size_t i = 0; i < sizeof(reference) / sizeof(reference[0]); i++)
        CHECK(hsr_prng_next(&prng) == reference[i]);
}

static void test_prng_below_stays_below_and_spreads(void)
{
    struct hsr_prng prng = hsr_prng_init(0);
    unsigned counts[7] = { 0 };

    for (unsigned i = 0; i < 70000; i++) {
        uint64_t value = hsr_prng_below(&prng, 7);

        CHECK(value < 7);
        if (value < 7)
            counts[value]++;
    }
    for (unsigned i = 0; i < 7; i++)
        CHECK(counts[i] > 9500 && counts[i] < 10500); /* five standard deviations */
    CHECK_EQ(hsr_prng_below(&prng, 1), 0);
    for (unsigned i = 0; i < 1000; i++)
        CHECK(hsr_prng_below(&prng, UINT64_MAX) < UINT64_MAX);
}

static void test_prng_same_seed_same_numbers(void)
{
    struct hsr_prng a = hsr_prng_init(99), b = hsr_prng_init(99), c = hsr_prng_init(100);
    unsigned different = 0;

    for (unsigned i = 0; i < 100; i++) {
        uint64_t value = hsr_prng_next(&a);

        CHECK(value == hsr_prng_next(&b));
        different += value != hsr_prng_next(&c);
    }
    CHECK_EQ(different, 100);
}

int main(void)
{
    RUN(test_prng_gives_the_reference_values);
    RUN(test_prng_below_stays_below_and_spreads);
    RUN(test_prng_same_seed_same_numbers);
    TEST_END();
}
