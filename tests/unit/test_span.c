/* Cursors stay inside their bytes, whatever is asked of them. */
#include <stdint.h>

#include "base/prng.h"
#include "base/span.h"
#include "tests/unit/hsr_test.h"

static void test_span_round_trip(void)
{
    uint8_t bytes[32];
    struct hsr_writer w = hsr_writer_init(bytes, sizeof(bytes));

    hsr_put_u8(&w, 0x12);
    hsr_put_u16(&w, 0x3456);
    hsr_put_u32(&w, 0x789abcde);
    hsr_put_u64(&w, 0x0123456789abcdefull);
    hsr_put_bytes(&w, "xyz", 3);
    CHECK(!w.failed);
    CHECK_EQ(w.offset, 18);
    CHECK_EQ(bytes[1], 0x56); /* little endian */
    CHECK_EQ(hsr_writer_left(&w), 14);

    struct hsr_reader r = hsr_reader_init(bytes, w.offset);
    CHECK_EQ(hsr_get_u8(&r), 0x12);
    CHECK_EQ(hsr_get_u16(&r), 0x3456);
    CHECK_EQ(hsr_get_u32(&r), 0x789abcde);
    CHECK(hsr_get_u64(&r) == 0x0123456789abcdefull);
    struct hsr_span span = hsr_get_span(&r, 3);
    CHECK(span.size == 3 && memcmp(span.ptr, "xyz", 3) == 0);
    CHECK(!r.failed);
    CHECK_EQ(hsr_reader_left(&r), 0);
}

static void test_reader_past_end_gives_zeros_from_then_on(void)
{
    uint8_t bytes[5] = { 1, 2, 3, 4, 5 };
    struct hsr_reader r = hsr_reader_init(bytes, sizeof(bytes));

    CHECK_EQ(hsr_get_u32(&r), 0x04030201);
    CHECK_EQ(hsr_get_u16(&r), 0);
    CHECK(r.failed);
    CHECK_EQ(hsr_get_u8(&r), 0); /* one byte is left, but the message is broken */
    CHECK_EQ(r.offset, 4);
    CHECK(hsr_get_span(&r, 0).ptr == NULL);
}

static void test_reader_huge_size_does_not_wrap(void)
{
    uint8_t bytes[8] = { 0 };
    struct hsr_reader r = hsr_reader_init(bytes, sizeof(bytes));

    hsr_get_u8(&r);
    struct hsr_span span = hsr_get_span(&r, SIZE_MAX);
    CHECK(span.ptr == NULL && span.size == 0);
    CHECK(r.failed);
}

static void test_writer_full_writes_nothing_more(void)
{
    uint8_t bytes[8];
    struct hsr_writer w = hsr_writer_init(bytes, 6);

    memset(bytes, 0xee, sizeof(bytes));
    hsr_put_u32(&w, 1);
    hsr_put_u32(&w, 2); /* two bytes would fit: none is written */
    CHECK(w.failed);
    CHECK_EQ(w.offset, 4);
    CHECK_EQ(bytes[4], 0xee);
    hsr_put_u8(&w, 3);
    CHECK_EQ(bytes[4], 0xee);
    CHECK_EQ(w.offset, 4);

    w = hsr_writer_init(bytes, sizeof(bytes));
    hsr_put_u8(&w, 3);
    hsr_put_bytes(&w, bytes, SIZE_MAX);
    CHECK(w.failed && w.offset == 1);
}

static void test_span_empty(void)
{
    struct hsr_reader r = hsr_reader_init(NULL, 0);
    struct hsr_writer w = hsr_writer_init(NULL, 0);
    uint8_t out[2] = { 9, 9 };

    CHECK(!hsr_get_span(&r, 0).size && !r.failed);
    hsr_put_bytes(&w, NULL, 0);
    CHECK(!w.failed);
    hsr_get_bytes(&r, out, sizeof(out));
    CHECK(out[0] == 0 && out[1] == 0 && r.failed);
}

int main(void)
{
    RUN(test_span_round_trip);
    RUN(test_reader_past_end_gives_zeros_from_then_on);
    RUN(test_reader_huge_size_does_not_wrap);
    RUN(test_writer_full_writes_nothing_more);
    RUN(test_span_empty);
    TEST_END();
}
