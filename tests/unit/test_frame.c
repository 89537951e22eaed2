/* Frame headers: what is encoded comes back; everything else is refused with the right code. */
#include "transfer/proto/frame.h"

#include "base/err.h"
#include "tests/unit/hsr_test.h"

/* What docs/PROTOCOL.md says, written out once more so that a change here is seen. */
static const struct {
    const char *name;
    uint32_t size_max;
    bool page, index, bulk;
} kinds[HSR_FRAME_KIND_COUNT] = {
    [HSR_FRAME_HELLO] = { "HELLO", 86, false, false, false },
    [HSR_FRAME_HELLO_ACK] = { "HELLO_ACK", 92, false, false, false },
    [HSR_FRAME_OPEN] = { "OPEN", 164180, false, false, false },
    [HSR_FRAME_OPEN_ACK] = { "OPEN_ACK", 290, false, false, false },
    [HSR_FRAME_JOIN] = { "JOIN", 20, false, false, false },
    [HSR_FRAME_JOIN_ACK] = { "JOIN_ACK", 17, false, false, false },
    [HSR_FRAME_REJECT] = { "REJECT", 1030, false, false, false },
    [HSR_FRAME_PATHS] = { "PATHS", 196608, false, false, false },
    [HSR_FRAME_ENTRIES] = { "ENTRIES", 196608, true, false, false },
    [HSR_FRAME_WANT] = { "WANT", 196608, true, false, false },
    [HSR_FRAME_SAME] = { "SAME", 0, true, true, false },
    [HSR_FRAME_DIFFERS] = { "DIFFERS", 0, true, true, false },
    [HSR_FRAME_DATA] = { "DATA", 4194304, true, true, true },
    [HSR_FRAME_PACK] = { "PACK", 4194304, false, false, true },
    [HSR_FRAME_FILE_END] = { "FILE_END", 56, true, true, false },
    [HSR_FRAME_PAGE_ACK] = { "PAGE_ACK", 3589, true, false, false },
    [HSR_FRAME_NOTE] = { "NOTE", 33809, false, false, false },
    [HSR_FRAME_WALK_END] = { "WALK_END", 40, false, false, false },
    [HSR_FRAME_DONE] = { "DONE", 62, false, false, false },
    [HSR_FRAME_BEAT] = { "BEAT", 0, false, false, false },
    [HSR_FRAME_REST] = { "REST", 0, false, false, false },
    [HSR_FRAME_LIST] = { "LIST", 33028, false, false, false },
    [HSR_FRAME_LIST_END] = { "LIST_END", 0, false, false, false },
    [HSR_FRAME_CANCEL] = { "CANCEL", 1030, false, false, false },
    [HSR_FRAME_BENCH] = { "BENCH", 49, false, false, false },
    [HSR_FRAME_BENCH_ACK] = { "BENCH_ACK", 44, false, false, false },
    [HSR_FRAME_BENCH_DATA_ACK] = { "BENCH_DATA_ACK", 0, false, false, false },
    [HSR_FRAME_BENCH_RESULT] = { "BENCH_RESULT", 96, false, false, false },
    [HSR_FRAME_STAGES] = { "STAGES", 208, false, false, false },
    [HSR_FRAME_SIG] = { "SIG", 196608, true, true, false },
    [HSR_FRAME_AHEAD] = { "AHEAD", 128, false, false, false },
    [HSR_FRAME_LEVELS] = { "LEVELS", 28, false, false, false },
    [HSR_FRAME_PATCH] = { "PATCH", 4194304, true, true, true },
    [HSR_FRAME_MEASURED] = { "MEASURED", 2728, false, false, false },
    [HSR_FRAME_KEPT] = { "KEPT", 24580, true, true, false },
    [HSR_FRAME_DIGEST] = { "DIGEST", 36, true, true, false },
    [HSR_FRAME_LOST] = { "LOST", 0, true, false, false },
    [HSR_FRAME_TAKEN] = { "TAKEN", 0, true, false, false },
    [HSR_FRAME_HOLD] = { "HOLD", 0, false, false, false },
    [HSR_FRAME_GO] = { "GO", 0, false, false, false },
    [HSR_FRAME_STOP] = { "STOP", 0, false, false, false },
    [HSR_FRAME_LEFT] = { "LEFT", 72, false, false, false },
};

/* Lay out a header by hand, with its check, so that headers no encoder writes can be tried. */
static int decode_raw(const struct hsr_frame *frame, struct hsr_frame *ret_frame)
{
    uint8_t bytes[HSR_FRAME_HEADER_SIZE];
    struct hsr_writer w = hsr_writer_init(bytes, sizeof(bytes));

    hsr_put_u16(&w, frame->kind);
    hsr_put_u16(&w, frame->flags);
    hsr_put_u32(&w, frame->size);
    hsr_put_u32(&w, frame->seq);
    hsr_put_u32(&w, frame->page);
    hsr_put_u32(&w, frame->index);
    hsr_put_u32(&w, frame->region);
    hsr_put_u64(&w, frame->offset);
    hsr_put_u64(&w, frame->check.low);
    hsr_put_u64(&w, frame->check.high);
    hsr_put_u64(&w, hsr_hash64(bytes, w.offset));
    CHECK(!w.failed && w.offset == sizeof(bytes));
    return hsr_frame_decode(bytes, ret_frame);
}

static bool uses_end(uint16_t kind)
{
    return kind == HSR_FRAME_DATA || kind == HSR_FRAME_PATCH || kind == HSR_FRAME_BENCH_DATA_ACK;
}

static bool uses_offset(uint16_t kind)
{
    return uses_end(kind) || kind == HSR_FRAME_SIG || kind == HSR_FRAME_LOST ||
           kind == HSR_FRAME_BEAT || kind == HSR_FRAME_TAKEN || kind == HSR_FRAME_REST;
}

static bool uses_high(uint16_t kind)
{
    return kind == HSR_FRAME_DATA || kind == HSR_FRAME_PATCH;
}

/* The smallest frame of a kind that may be. */
static struct hsr_frame smallest(uint16_t kind)
{
    return (struct hsr_frame){ .kind = kind,
                               .size = kind == HSR_FRAME_DATA    ? 1
                                       : kind == HSR_FRAME_PATCH ? 9
                                                                 : 0,
                               .region = kind == HSR_FRAME_PATCH };
}

static int try(struct hsr_frame frame)
{
    struct hsr_frame back;

    return decode_raw(&frame, &back);
}

static void test_frame_round_trip(void)
{
    for (uint16_t kind = 1; kind < HSR_FRAME_KIND_COUNT; kind++) {
        struct hsr_frame frame = { .kind = kind, .size = kinds[kind].size_max, .seq = 0xfffffffe };
        struct hsr_frame back;
        uint8_t bytes[HSR_FRAME_HEADER_SIZE];
        uint8_t again[HSR_FRAME_HEADER_SIZE];

        frame.page = kinds[kind].page ? UINT32_MAX : 0;
        frame.index = kinds[kind].index ? HSR_PAGE_ENTRIES_MAX - 1 : 0;
        frame.check.low = 0x0123456789abcdef;
        frame.check.high = uses_high(kind) ? 0xfedcba9876543210 : 0;
        frame.offset = kind == HSR_FRAME_SIG ? 0xfffff : uses_offset(kind) ? 0x123456780000 : 0;
        frame.flags = uses_end(kind) ? HSR_FRAME_RANGE_END : 0;
        frame.region = kind == HSR_FRAME_PATCH ? 4194304 : 0;
        hsr_frame_encode(&frame, bytes);
        CHECK_EQ(hsr_frame_decode(bytes, &back), 0);
        hsr_frame_encode(&back, again);
        CHECK(memcmp(bytes, again, sizeof(bytes)) == 0);
        CHECK(back.kind == kind && back.flags == frame.flags && back.size == frame.size);
        CHECK(back.seq == frame.seq && back.page == frame.page && back.index == frame.index);
        CHECK(back.offset == frame.offset && hsr_digest_same(back.check, frame.check));
        CHECK_EQ(back.region, frame.region);
        CHECK_EQ(hsr_frame_content(&back), kinds[kind].size_max);
    }
}

static void test_frame_any_flipped_bit_is_seen(void)
{
    struct hsr_frame frame = { .kind = HSR_FRAME_DATA, .size = 4096, .page = 3, .index = 4 };
    struct hsr_frame back = { .kind = 77 };
    uint8_t bytes[HSR_FRAME_HEADER_SIZE];

    hsr_frame_encode(&frame, bytes);
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_EQ(hsr_frame_decode(bytes, &back), HSR_E_CHECK);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK_EQ(back.kind, 77); /* nothing is written on errors */
}

static void test_frame_kind_table(void)
{
    CHECK_EQ(try((struct hsr_frame){ .kind = 0 }), HSR_E_PROTOCOL);
    CHECK_EQ(try((struct hsr_frame){ .kind = HSR_FRAME_KIND_COUNT }), HSR_E_PROTOCOL);
    CHECK_EQ(try((struct hsr_frame){ .kind = UINT16_MAX }), HSR_E_PROTOCOL);
    CHECK(strcmp(hsr_frame_name(0), "unknown") == 0);
    CHECK(strcmp(hsr_frame_name(HSR_FRAME_KIND_COUNT), "unknown") == 0);
    CHECK(!hsr_frame_is_bulk(0) && !hsr_frame_is_bulk(UINT16_MAX));
    for (uint16_t kind = 1; kind < HSR_FRAME_KIND_COUNT; kind++) {
        CHECK(strcmp(hsr_frame_name(kind), kinds[kind].name) == 0);
        CHECK_EQ(hsr_frame_is_bulk(kind), kinds[kind].bulk);
    }
}

static void test_frame_size_limit_of_each_kind(void)
{
    for (uint16_t kind = 1; kind < HSR_FRAME_KIND_COUNT; kind++) {
        uint32_t max = kinds[kind].size_max;
        struct hsr_frame frame = smallest(kind);

        if (max > 0) {
            frame.size = max - 1;
            CHECK_EQ(try(frame), 0);
        }
        frame.size = max;
        CHECK_EQ(try(frame), 0);
        frame.size = max + 1;
        CHECK_EQ(try(frame), HSR_E_LIMIT);
        frame.size = UINT32_MAX;
        CHECK_EQ(try(frame), HSR_E_LIMIT);
    }
}

static void test_frame_unused_fields_are_zero(void)
{
    for (uint16_t kind = 1; kind < HSR_FRAME_KIND_COUNT; kind++) {
        struct hsr_frame frame = smallest(kind);

        frame.region++;
        CHECK_EQ(try(frame), kind == HSR_FRAME_PATCH ? 0 : HSR_E_PROTOCOL);
        frame.region--;
        frame.page = 1;
        CHECK_EQ(try(frame), kinds[kind].page ? 0 : HSR_E_PROTOCOL);
        frame.page = 0;
        frame.index = 1;
        CHECK_EQ(try(frame), kinds[kind].index ? 0 : HSR_E_PROTOCOL);
        frame.index = 0;
        frame.offset = 1;
        CHECK_EQ(try(frame), uses_offset(kind) ? 0 : HSR_E_PROTOCOL);
        frame.offset = 0;
        frame.check.high = 1;
        CHECK_EQ(try(frame), uses_high(kind) ? 0 : HSR_E_PROTOCOL);
        frame.check.high = 0;
        for (unsigned bit = 0; bit < 16; bit++) {
            frame.flags = (uint16_t)(1u << bit);
            CHECK_EQ(try(frame),
                     uses_end(kind) && frame.flags == HSR_FRAME_RANGE_END ? 0 : HSR_E_PROTOCOL);
        }
    }
}

static void test_frame_index_and_offset_limits(void)
{
    struct hsr_frame frame = { .kind = HSR_FRAME_DATA, .size = 4096 };

    frame.index = HSR_PAGE_ENTRIES_MAX - 1;
    CHECK_EQ(try(frame), 0);
    frame.index = HSR_PAGE_ENTRIES_MAX;
    CHECK_EQ(try(frame), HSR_E_LIMIT);
    frame.index = 0;
    frame.offset = (uint64_t)INT64_MAX - 4096;
    CHECK_EQ(try(frame), 0);
    frame.offset++;
    CHECK_EQ(try(frame), HSR_E_LIMIT);
    frame.offset = UINT64_MAX - 4095; /* offset + size wraps to 0 */
    CHECK_EQ(try(frame), HSR_E_LIMIT);
    frame.offset = UINT64_MAX;
    CHECK_EQ(try(frame), HSR_E_LIMIT);
}

static void test_frame_empty_data_only_ends_a_range(void)
{
    CHECK_EQ(try((struct hsr_frame){ .kind = HSR_FRAME_DATA }), HSR_E_PROTOCOL);
    CHECK_EQ(try((struct hsr_frame){ .kind = HSR_FRAME_DATA, .flags = HSR_FRAME_RANGE_END }), 0);
}

/* Goal: nothing without content, nothing past the ends. */
static void test_frame_patch_and_sig_limits(void)
{
    struct hsr_frame frame = { .kind = HSR_FRAME_PATCH, .size = 9, .region = 4194304 };

    CHECK_EQ(try(frame), 0);
    frame.size = 8; /* nothing behind its check */
    CHECK_EQ(try(frame), HSR_E_PROTOCOL);
    frame.flags = HSR_FRAME_RANGE_END; /* an empty end of a range is DATA's */
    frame.size = 0;
    CHECK_EQ(try(frame), HSR_E_PROTOCOL);
    frame.size = 9;
    frame.region = 0;
    CHECK_EQ(try(frame), HSR_E_PROTOCOL);
    frame.region = 4194305;
    CHECK_EQ(try(frame), HSR_E_LIMIT);
    frame.region = 65536;
    frame.offset = (uint64_t)INT64_MAX - 65536;
    CHECK_EQ(try(frame), 0);
    frame.offset++; /* it is the content that must end in time, not the payload */
    CHECK_EQ(try(frame), HSR_E_LIMIT);
    CHECK_EQ(try((struct hsr_frame){ .kind = HSR_FRAME_SIG, .offset = 0xfffff }), 0);
    CHECK_EQ(try((struct hsr_frame){ .kind = HSR_FRAME_SIG, .offset = 0x100000 }), HSR_E_LIMIT);
}

int main(void)
{
    RUN(test_frame_round_trip);
    RUN(test_frame_any_flipped_bit_is_seen);
    RUN(test_frame_kind_table);
    RUN(test_frame_size_limit_of_each_kind);
    RUN(test_frame_unused_fields_are_zero);
    RUN(test_frame_index_and_offset_limits);
    RUN(test_frame_empty_data_only_ends_a_range);
    RUN(test_frame_patch_and_sig_limits);
    TEST_END();
}
