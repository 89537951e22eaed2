/* LIST at a server: what it shows, in pages, and what it refuses. */
#include "tests/unit/server_fixture.h"

/* Read pages until LIST_END; returns how many entries, the first one's name in @name. */
static unsigned list_read(struct fixture *fx, struct raw *raw, char name[256])
{
    struct hsr_frame frame = { 0 };
    struct hsr_span payload;
    unsigned count = 0, pages = 0;

    name[0] = '\0';
    raw->size -= raw->offset; /* make room for the pages to come */
    memmove(raw->bytes, raw->bytes + raw->offset, raw->size);
    raw->offset = 0;
    while (raw_wait(fx, raw, &frame, &payload) && frame.kind == HSR_FRAME_ENTRIES) {
        struct hsr_reader reader = hsr_reader_init(payload.ptr, payload.size);
        struct hsr_entry entry;
        unsigned before = count;

        CHECK_EQ(frame.page, pages);
        pages++;
        while (hsr_reader_left(&reader) > 0) {
            CHECK_EQ(hsr_entry_decode(&reader, &entry), 0);
            CHECK_EQ(entry.parent, 0);
            if (count == 0 && entry.name.size > 0) {
                memcpy(name, entry.name.ptr, entry.name.size);
                name[entry.name.size] = '\0';
            }
            count++;
        }
        CHECK(count > before && count - before <= HSR_PAGE_ENTRIES_MAX);
    }
    CHECK_EQ(frame.kind, HSR_FRAME_LIST_END);
    return count;
}

static void root_file(struct fixture *fx, const char *path)
{
    int fd = openat(fx->root_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    CHECK(fd >= 0);
    (void)close(fd);
}

static void test_listing_lists(void)
{
    struct fixture fx;
    struct raw raw;
    char name[256];

    fixture_start(&fx, 2);
    CHECK_EQ(mkdirat(fx.root_fd, "sub", 0755), 0);
    CHECK_EQ(mkdirat(fx.root_fd, "sub/deep", 0755), 0);
    root_file(&fx, "sub/deep/file");
    root_file(&fx, "sub/one");
    raw_connect(&fx, &raw);
    raw_greet(&fx, &raw);
    list_send(&raw, "data", "", false);
    CHECK_EQ(list_read(&fx, &raw, name), 1);
    CHECK(strcmp(name, "sub") == 0);
    list_send(&raw, "data", "sub", false);
    CHECK_EQ(list_read(&fx, &raw, name), 2);
    list_send(&raw, "data", "sub", true);
    CHECK_EQ(list_read(&fx, &raw, name), 1);
    CHECK(strcmp(name, "sub") == 0);
    list_send(&raw, "data", "sub/deep/file", true);
    CHECK_EQ(list_read(&fx, &raw, name), 1);
    CHECK(strcmp(name, "file") == 0);
    list_send(&raw, "data", "", true);
    CHECK_EQ(list_read(&fx, &raw, name), 1);
    CHECK_EQ(name[0], '\0');
    list_send(&raw, "data", "sub", false); /* three at once: answered in turn */
    list_send(&raw, "data", "sub/deep", false);
    list_send(&raw, "data", "sub/one", true);
    CHECK_EQ(list_read(&fx, &raw, name), 2);
    CHECK_EQ(list_read(&fx, &raw, name), 1);
    CHECK_EQ(list_read(&fx, &raw, name), 1);
    CHECK(strcmp(name, "one") == 0);
    raw_close(&raw);
    fixture_turn_for(&fx, 5 * HSR_NS_PER_MS);
    CHECK_EQ(fx.events[HSR_EVENT_REFUSED], 0);
    fixture_stop(&fx);
}

/* Goal: more entries than a page and both output buffers hold, to a client that reads late. */
static void test_listing_lists_many(void)
{
    struct fixture fx;
    struct raw raw;
    char name[256];

    fixture_start(&fx, 1);
    for (unsigned i = 0; i < 3000; i++) {
        char path[256];

        (void)snprintf(path, sizeof(path), "%0200u", i);
        root_file(&fx, path);
    }
    raw_connect(&fx, &raw);
    raw_greet(&fx, &raw);
    list_send(&raw, "data", "", false);
    fixture_turn_for(&fx, 30 * HSR_NS_PER_MS);
    CHECK_EQ(list_read(&fx, &raw, name), 3000);
    CHECK_EQ(strlen(name), 200);
    raw_close(&raw);
    fixture_stop(&fx);
}

static void test_listing_refuses(void)
{
    static const struct {
        const char *export_name, *path;
        bool self_only;
        int code;
    } cases[] = {
        { "none", "", false, HSR_E_EXPORT },   { "data", "missing", false, -ENOENT },
        { "data", "missing", true, -ENOENT },  { "data", "missing/below", true, -ENOENT },
        { "data", "file", false, -ENOTDIR },   { "data", "link", false, -ELOOP },
        { "data", "link/etc", false, -ELOOP }, { "data", "link/etc/passwd", true, -ELOOP },
    };
    struct fixture fx;
    struct raw raw;
    char name[256];

    fixture_start(&fx, 1);
    root_file(&fx, "file");
    CHECK_EQ(symlinkat("/", fx.root_fd, "link"), 0);
    for (size_t i = 0; i < HSR_ARRAY_COUNT(cases); i++) {
        raw_connect(&fx, &raw);
        raw_greet(&fx, &raw);
        list_send(&raw, cases[i].export_name, cases[i].path, cases[i].self_only);
        raw_expect_reject(&fx, &raw, cases[i].code);
        raw_close(&raw);
    }
    raw_connect(&fx, &raw); /* the link itself may be looked at */
    raw_greet(&fx, &raw);
    list_send(&raw, "data", "link", true);
    CHECK_EQ(list_read(&fx, &raw, name), 1);
    CHECK(strcmp(name, "link") == 0);
    raw_frame(&raw, HSR_FRAME_HELLO, "", 0); /* and then only LIST may follow */
    raw_expect_reject(&fx, &raw, HSR_E_PROTOCOL);
    raw_close(&raw);
    fixture_stop(&fx);
}

/* Goal: a path that leaves is refused before anything is opened. */
static void test_listing_path_escapes(void)
{
    static const char *const paths[] = { "..", "../etc", "a/../../etc", "/etc", "a//b", "a/", "." };
    struct fixture fx;
    struct raw raw;

    fixture_start(&fx, 1);
    for (size_t i = 0; i < HSR_ARRAY_COUNT(paths); i++) {
        uint8_t payload[256];
        struct hsr_writer writer = hsr_writer_init(payload, sizeof(payload));

        hsr_put_u8(&writer, 0);
        hsr_put_u16(&writer, 4);
        hsr_put_bytes(&writer, "data", 4);
        hsr_put_u16(&writer, (uint16_t)strlen(paths[i]));
        hsr_put_bytes(&writer, paths[i], strlen(paths[i]));
        raw_connect(&fx, &raw);
        raw_greet(&fx, &raw);
        raw_frame(&raw, HSR_FRAME_LIST, payload, writer.offset);
        raw_expect_reject(&fx, &raw, HSR_E_NAME);
        raw_close(&raw);
    }
    fixture_stop(&fx);
}

int main(void)
{
    RUN(test_listing_lists);
    RUN(test_listing_lists_many);
    RUN(test_listing_refuses);
    RUN(test_listing_path_escapes);
    TEST_END();
}
