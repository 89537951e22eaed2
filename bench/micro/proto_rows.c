/* Bytes to structures and back: cursors, frames, pages of entries, lists, tables of packs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/span.h"
#include "base/util.h"
#include "bench/micro/rows.h"
#include "transfer/proto/entry.h"
#include "transfer/proto/frame.h"
#include "transfer/proto/message.h"

#define NAME_SIZE 24u
#define XATTR_SIZE 64u /* about an ACL of five entries with its name */

/* ---- cursors: the fields of a frame's header, one after the other ---- */

static const char *bytes_open(const struct hsr_micro_row *row, void **ret_state)
{
    *ret_state = hsr_micro_alloc(row->size);
    return NULL;
}

static void span_put_run(void *state, uint64_t times)
{
    while (times-- > 0) {
        struct hsr_writer w = hsr_writer_init(state, HSR_FRAME_HEADER_SIZE);

        hsr_micro_clobber(&w); /* nothing is known about the room */
        hsr_put_u16(&w, (uint16_t)times);
        hsr_put_u16(&w, 1);
        for (unsigned i = 0; i < 4; i++)
            hsr_put_u32(&w, i);
        for (unsigned i = 0; i < 4; i++)
            hsr_put_u64(&w, i);
        hsr_micro_keep(w.failed);
        hsr_micro_clobber(state);
    }
}

static void span_get_run(void *state, uint64_t times)
{
    while (times-- > 0) {
        struct hsr_reader r = hsr_reader_init(state, HSR_FRAME_HEADER_SIZE);

        hsr_micro_clobber(&r);
        hsr_micro_keep(hsr_get_u16(&r));
        hsr_micro_keep(hsr_get_u16(&r));
        for (unsigned i = 0; i < 4; i++)
            hsr_micro_keep(hsr_get_u32(&r));
        for (unsigned i = 0; i < 4; i++)
            hsr_micro_keep(hsr_get_u64(&r));
        hsr_micro_keep(r.failed);
    }
}

/* ---- frames ---- */

static const struct hsr_frame data_frame = {
    .kind = HSR_FRAME_DATA,
    .size = 262144,
    .seq = 4711,
    .page = 3,
    .index = 17,
    .offset = 1 << 30,
    .check = { 0x0123456789abcdefull, 0xfedcba9876543210ull },
};

static const char *frame_open(const struct hsr_micro_row *row, void **ret_state)
{
    uint8_t *header = hsr_micro_alloc(HSR_FRAME_HEADER_SIZE);
    struct hsr_frame frame;

    (void)row;
    hsr_frame_encode(&data_frame, header);
    hsr_assert(hsr_frame_decode(header, &frame) == 0);
    *ret_state = header;
    return NULL;
}

static void frame_encode_run(void *state, uint64_t times)
{
    while (times-- > 0) {
        hsr_frame_encode(&data_frame, state);
        hsr_micro_clobber(state);
    }
}

static void frame_decode_run(void *state, uint64_t times)
{
    struct hsr_frame frame;

    while (times-- > 0) {
        hsr_micro_keep((uint64_t)hsr_frame_decode(state, &frame));
        hsr_micro_clobber(&frame);
    }
}

/* ---- pages: one operation is one entry ---- */

struct page_state {
    uint8_t *page;
    size_t size; /* encoded */
    uint32_t count;
    struct hsr_entry *entries;
    char *names;
    uint8_t xattrs[2 * XATTR_SIZE];
};

static size_t page_encode(const struct page_state *state)
{
    struct hsr_writer w = hsr_writer_init(state->page, HSR_CONTROL_PAYLOAD_MAX);

    for (uint32_t i = 0; i < state->count; i++)
        hsr_assert(hsr_entry_encode(&w, &state->entries[i]) == 0);
    return w.offset;
}

static struct hsr_span page_xattrs(struct page_state *state)
{
    static const char name[] = "system.posix_acl_access";
    static const uint8_t value[44];
    struct hsr_writer w = hsr_writer_init(state->xattrs, sizeof(state->xattrs));
    struct hsr_xattr xattr = { { (const uint8_t *)name, sizeof(name) - 1 },
                               { value, sizeof(value) } };

    hsr_assert(hsr_xattr_put(&w, xattr) == 0);
    return (struct hsr_span){ state->xattrs, w.offset };
}

/* row->size entries of row->what: "file", "xattr" */
static const char *page_open(const struct hsr_micro_row *row, void **ret_state)
{
    struct page_state *state = hsr_micro_alloc(sizeof(*state));
    struct hsr_span xattrs = { NULL, 0 };

    state->page = hsr_micro_alloc(HSR_CONTROL_PAYLOAD_MAX);
    state->count = (uint32_t)row->size;
    state->entries = hsr_micro_alloc(row->size * sizeof(*state->entries));
    state->names = hsr_micro_alloc(row->size * NAME_SIZE);
    if (strcmp(row->what, "xattr") == 0)
        xattrs = page_xattrs(state);
    for (uint32_t i = 0; i < state->count; i++) {
        char *name = state->names + i * NAME_SIZE;
        int name_size = snprintf(name, NAME_SIZE, "picture-%06u.jpeg", i);

        state->entries[i] = (struct hsr_entry){
            .type = HSR_ENTRY_FILE,
            .parent = 12,
            .name = { (const uint8_t *)name, (size_t)name_size },
            .mode = 0644,
            .uid = 1000,
            .gid = 1000,
            .mtime_s = 1700000000 + i,
            .mtime_ns = 123456789,
            .size = 4096 + i,
            .xattr_count = xattrs.size > 0,
            .xattrs = xattrs,
        };
    }
    state->size = page_encode(state);
    *ret_state = state;
    return NULL;
}

static void page_close(void *ctx)
{
    struct page_state *state = ctx;

    free(state->page);
    free(state->entries);
    free(state->names);
    free(state);
}

static void page_encode_run(void *state, uint64_t times)
{
    while (times-- > 0)
        hsr_micro_keep(page_encode(state));
}

static void page_decode_run(void *ctx, uint64_t times)
{
    const struct page_state *state = ctx;
    struct hsr_entry entry;

    while (times-- > 0) {
        struct hsr_reader r = hsr_reader_init(state->page, state->size);

        while (hsr_reader_left(&r) > 0) {
            hsr_assert(hsr_entry_decode(&r, &entry) == 0);
            hsr_micro_clobber(&entry);
        }
    }
}

/* ---- WANT: one operation is one item ---- */

struct want_state {
    uint8_t payload[HSR_CONTROL_PAYLOAD_MAX];
    size_t size;
};

static size_t want_encode(struct want_state *state)
{
    struct hsr_list_writer list;

    hsr_list_start(&list, state->payload, sizeof(state->payload));
    for (uint16_t i = 0; i < HSR_PAGE_ENTRIES_MAX; i++)
        hsr_assert(hsr_want_put(&list, 16,
                                &(struct hsr_want_item){ .index = i, .action = HSR_WANT_WHOLE }) ==
                   0);
    return (size_t)hsr_list_finish(&list);
}

static const char *want_open(const struct hsr_micro_row *row, void **ret_state)
{
    struct want_state *state = hsr_micro_alloc(sizeof(*state));

    (void)row;
    state->size = want_encode(state);
    *ret_state = state;
    return NULL;
}

static void want_encode_run(void *state, uint64_t times)
{
    while (times-- > 0)
        hsr_micro_keep(want_encode(state));
}

static void want_decode_run(void *ctx, uint64_t times)
{
    const struct want_state *state = ctx;
    struct hsr_span payload = { state->payload, state->size };

    while (times-- > 0) {
        struct hsr_list_reader list;
        struct hsr_want_item item;
        uint32_t count = 0;

        hsr_assert(hsr_list_begin(&list, payload, HSR_PAGE_ENTRIES_MAX) == 0);
        while (hsr_want_next(&list, 16, &item) == 1)
            count++;
        hsr_assert(count == HSR_PAGE_ENTRIES_MAX);
    }
}

/* ---- the table of a pack: one operation is one member ---- */

#define PACK_MEMBERS 256u

struct pack_state {
    struct hsr_pack_member members[HSR_PACK_MEMBERS_MAX];
    uint8_t payload[HSR_PACK_HEAD_SIZE + PACK_MEMBERS * HSR_PACK_MEMBER_SIZE_MAX];
};

/* Members of no bytes: the payload is the table alone. */
static const char *pack_open(const struct hsr_micro_row *row, void **ret_state)
{
    struct pack_state *state = hsr_micro_alloc(sizeof(*state));

    (void)row;
    for (uint16_t i = 0; i < PACK_MEMBERS; i++)
        state->members[i] = (struct hsr_pack_member){ .page = 3, .index = i };
    hsr_pack_encode(state->members, PACK_MEMBERS, 16, state->payload);
    *ret_state = state;
    return NULL;
}

static void pack_encode_run(void *ctx, uint64_t times)
{
    struct pack_state *state = ctx;

    while (times-- > 0) {
        hsr_pack_encode(state->members, PACK_MEMBERS, 16, state->payload);
        hsr_micro_clobber(state->payload);
    }
}

static void pack_decode_run(void *ctx, uint64_t times)
{
    struct pack_state *state = ctx;
    struct hsr_span payload = { state->payload, hsr_pack_table_size(PACK_MEMBERS, 16) };
    uint32_t count = 0;

    while (times-- > 0) {
        hsr_assert(hsr_pack_decode(payload, 16, state->members, &count) == 0);
        hsr_micro_clobber(state->members);
    }
}

#define PAGE(row_name, kind, do_run)                                                               \
    {                                                                                              \
        .name = row_name, .open = page_open, .run = do_run, .close = page_close, .what = (kind),   \
        .size = HSR_PAGE_ENTRIES_MAX, .operations = HSR_PAGE_ENTRIES_MAX, .counted = true          \
    }

static const struct hsr_micro_row rows[] = {
    { .name = "span/put",
      .open = bytes_open,
      .run = span_put_run,
      .close = free,
      .size = HSR_FRAME_HEADER_SIZE,
      .counted = true },
    { .name = "span/get",
      .open = bytes_open,
      .run = span_get_run,
      .close = free,
      .size = HSR_FRAME_HEADER_SIZE,
      .counted = true },
    { .name = "frame/encode",
      .open = frame_open,
      .run = frame_encode_run,
      .close = free,
      .counted = true },
    { .name = "frame/decode",
      .open = frame_open,
      .run = frame_decode_run,
      .close = free,
      .counted = true },
    PAGE("page/encode/file", "file", page_encode_run),
    PAGE("page/encode/xattr", "xattr", page_encode_run),
    PAGE("page/decode/file", "file", page_decode_run),
    PAGE("page/decode/xattr", "xattr", page_decode_run),
    { .name = "want/encode",
      .open = want_open,
      .run = want_encode_run,
      .close = free,
      .operations = HSR_PAGE_ENTRIES_MAX,
      .counted = true },
    { .name = "want/decode",
      .open = want_open,
      .run = want_decode_run,
      .close = free,
      .operations = HSR_PAGE_ENTRIES_MAX,
      .counted = true },
    { .name = "pack_table/encode",
      .open = pack_open,
      .run = pack_encode_run,
      .close = free,
      .operations = PACK_MEMBERS,
      .counted = true },
    { .name = "pack_table/decode",
      .open = pack_open,
      .run = pack_decode_run,
      .close = free,
      .operations = PACK_MEMBERS,
      .counted = true },
};

const struct hsr_micro_table hsr_micro_proto = { rows, HSR_ARRAY_COUNT(rows) };
