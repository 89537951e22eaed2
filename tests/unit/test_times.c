/* Goal: what was counted for one time comes back as the histogram that had counted it, and added up
 * over streams; what a server says of it arrives as it was, and nothing out of order does.
 * Method: the same values into both; a payload with each of its fields spoilt in turn. */
#include "hsr_test.h"

#include "base/base.h"
#include "base/prng.h"
#include "transfer/engine/times.h"
#include "transfer/proto/message.h"

static struct hsr_times times[2];
static struct hsr_histogram wanted, got;

static void test_times_are_histograms(void)
{
    struct hsr_prng prng = hsr_prng_init(1);

    for (unsigned i = 0; i < 10000; i++) {
        uint64_t ns = hsr_prng_next(&prng) >> (20 + hsr_prng_below(&prng, 40));

        hsr_times_add(&times[i % 2], HSR_TIME_READY, ns);
        hsr_histogram_add(&wanted, ns);
        hsr_times_add(&times[0], HSR_TIME_WRITE, 1); /* for itself */
    }
    hsr_times_read(&times[0], HSR_TIME_READY, &got);
    hsr_times_read(&times[1], HSR_TIME_READY, &got);
    CHECK(memcmp(&wanted, &got, sizeof(got)) == 0);
}

static void test_nothing_counted_is_all_zero(void)
{
    struct hsr_histogram empty = { 0 }, none = { 0 };

    hsr_times_read(&times[0], HSR_TIME_MAKING, &empty);
    CHECK(memcmp(&empty, &none, sizeof(none)) == 0);
}

static void test_zero_copy_is_that_of_the_link(void)
{
    struct hsr_link link = { .zc = { .sent_bytes = 5, .copied_bytes = 3, .downgrades = 1 } };

    hsr_times_zc(NULL, &link); /* not measured */
    hsr_times_zc(&times[0], &link);
    hsr_times_zc(&times[0], &link); /* not added up */
    CHECK_EQ(times[0].zc_sent, 5);
    CHECK_EQ(times[0].zc_copied, 3);
    CHECK_EQ(times[0].zc_downgrades, 1);
}

static uint8_t out[HSR_MEASURED_SIZE_MAX + 1];

static int coded(const struct hsr_measured *measured, struct hsr_measured *ret)
{
    int size = hsr_measured_encode(measured, out, sizeof(out));

    if (size < 0)
        return size;
    return hsr_measured_decode((struct hsr_span){ out, (size_t)size }, ret);
}

static void test_what_is_told_arrives(void)
{
    static struct hsr_measured told, heard;
    int size;

    told = (struct hsr_measured){ .cpu_ns = 1, .zc_sent = 3, .zc_copied = 2, .zc_downgrades = 4 };
    for (unsigned i = 0; i < HSR_TIME_COUNT; i++)
        told.times[i] = (struct hsr_latency){ 9, 1, 3, 2, 4, 5, 6, 7 + i };
    told.core_count = HSR_CORES_MAX;
    for (unsigned i = 0; i < HSR_CORES_MAX; i++)
        told.cores[i] = (struct hsr_core_use){ i, 10, 9, 8, 7, 6, HSR_FIGURE_MAX - i };
    CHECK_EQ(coded(&told, &heard), 0);
    CHECK(memcmp(&told, &heard, sizeof(told)) == 0);
    size = hsr_measured_encode(&told, out, sizeof(out));
    CHECK_EQ(size, (int)HSR_MEASURED_SIZE_MAX);
    for (int i = 0; i < size; i++)
        CHECK(hsr_measured_decode((struct hsr_span){ out, (size_t)i }, &heard) < 0);
    CHECK(hsr_measured_decode((struct hsr_span){ out, (size_t)size + 1 }, &heard) < 0);
    out[932] = 1; /* zero */
    CHECK_EQ(hsr_measured_decode((struct hsr_span){ out, (size_t)size }, &heard), HSR_E_PROTOCOL);
    CHECK_EQ(hsr_measured_encode(&told, out, 2000), HSR_E_LIMIT);
}

static void test_what_is_out_of_order_is_refused(void)
{
    static struct hsr_measured good, bad, heard;

    good.core_count = 1;
    CHECK_EQ(coded(&good, &heard), 0);
    bad = good;
    bad.core_count = HSR_CORES_MAX + 1;
    CHECK_EQ(coded(&bad, &heard), HSR_E_LIMIT);
    bad = good;
    bad.zc_copied = 1; /* of nothing */
    CHECK_EQ(coded(&bad, &heard), HSR_E_PROTOCOL);
    bad = good;
    bad.times[HSR_TIME_RECEIVE] = (struct hsr_latency){ 1, 5, 5, 5, 5, 4, 5, 5 };
    CHECK_EQ(coded(&bad, &heard), HSR_E_PROTOCOL);
    bad = good;
    bad.cores[0].help = HSR_FIGURE_MAX + 1;
    CHECK_EQ(coded(&bad, &heard), HSR_E_LIMIT);
}

int main(void)
{
    RUN(test_times_are_histograms);
    RUN(test_nothing_counted_is_all_zero);
    RUN(test_zero_copy_is_that_of_the_link);
    RUN(test_what_is_told_arrives);
    RUN(test_what_is_out_of_order_is_refused);
    TEST_END();
}
