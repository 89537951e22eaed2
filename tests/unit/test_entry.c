/* Entries, attributes, names and paths: every type comes back as it was; flags and fields that a
 * type does not have are refused; every truncation is seen; limits from both sides. */
#include "transfer/proto/entry.h"

#include "base/err.h"
#include "tests/unit/hsr_test.h"

static uint8_t out[HSR_CONTROL_PAYLOAD_MAX];
static uint8_t copy[HSR_CONTROL_PAYLOAD_MAX];
static uint8_t xattrs[HSR_CONTROL_PAYLOAD_MAX];
static uint8_t filler[HSR_PATH_WIRE_MAX + 1];

static struct hsr_span span(const char *words)
{
    return (struct hsr_span){ (const uint8_t *)words, strlen(words) };
}

static struct hsr_entry entry_of(uint8_t type)
{
    struct hsr_entry entry = { .type = type,
                               .parent = 3,
                               .name = span("name"),
                               .mode = 07755,
                               .uid = 1000,
                               .gid = UINT32_MAX,
                               .mtime_s = -5,
                               .mtime_ns = 999999999 };

    if (type == HSR_ENTRY_DIR || type == HSR_ENTRY_DIR_END)
        entry.dir = 9;
    if (type == HSR_ENTRY_FILE)
        entry.size = INT64_MAX;
    if (type == HSR_ENTRY_CHAR || type == HSR_ENTRY_BLOCK) {
        entry.rdev_major = 0xfff;
        entry.rdev_minor = 0xfffff;
    }
    if (type == HSR_ENTRY_SYMLINK)
        entry.target = span("../any/where");
    return entry;
}

static int encode(const struct hsr_entry *entry)
{
    struct hsr_writer w = hsr_writer_init(out, sizeof(out));
    int rc = hsr_entry_encode(&w, entry);

    return rc < 0 ? rc : (int)w.offset;
}

static int decode(const uint8_t *bytes, size_t size, struct hsr_entry *ret_entry)
{
    struct hsr_reader r = hsr_reader_init(bytes, size);
    int rc = hsr_entry_decode(&r, ret_entry);

    return rc < 0 ? rc : (int)r.offset;
}

/* Encode, decode, encode again, compare; refuse every truncation; do not write where it does not
 * fit. Returns the size. */
static int check_entry(const struct hsr_entry *entry)
{
    struct hsr_entry back;
    int size = encode(entry);

    CHECK(size > 0);
    if (size <= 0)
        return size;
    memcpy(copy, out, (size_t)size);
    CHECK_EQ(decode(copy, (size_t)size, &back), size);
    CHECK_EQ(encode(&back), size);
    CHECK(memcmp(out, copy, (size_t)size) == 0);
    for (int cut = 0; cut<size; cut += size> 4096 ? 499 : 1) {
        struct hsr_writer w = hsr_writer_init(out, (size_t)cut);

        CHECK_EQ(decode(copy, (size_t)cut, &back), HSR_E_TRUNCATED);
        CHECK_EQ(hsr_entry_encode(&w, entry), HSR_E_LIMIT);
        CHECK(w.offset == 0 && !w.failed); /* unchanged: the page can be sent as it was */
    }
    return size;
}

static int put_xattr(struct hsr_writer *w, const char *name, size_t value_size)
{
    static const uint8_t value[HSR_XATTR_VALUE_MAX + 1];

    return hsr_xattr_put(w, (struct hsr_xattr){ span(name), { value, value_size } });
}

static bool has_link_flags(uint8_t type)
{
    return type != HSR_ENTRY_DIR && type != HSR_ENTRY_DIR_END && type != HSR_ENTRY_SOCKET;
}

static void test_entry_every_type_round_trips(void)
{
    struct hsr_writer w = hsr_writer_init(xattrs, sizeof(xattrs));

    CHECK_EQ(put_xattr(&w, "user.a", 3), 0);
    CHECK_EQ(put_xattr(&w, "user.empty", 0), 0);
    for (uint8_t type = HSR_ENTRY_FILE; type < HSR_ENTRY_TYPE_COUNT; type++) {
        struct hsr_entry entry = entry_of(type);
        struct hsr_entry back;
        int size = check_entry(&entry);

        CHECK_EQ(decode(copy, (size_t)size, &back), size);
        CHECK(back.type == type && back.flags == 0 && back.parent == 3);
        CHECK(back.mode == 07755 && back.uid == 1000 && back.gid == UINT32_MAX);
        CHECK(back.mtime_s == -5 && back.mtime_ns == 999999999);
        CHECK(back.dir == entry.dir && back.size == entry.size);
        CHECK(back.rdev_major == entry.rdev_major && back.rdev_minor == entry.rdev_minor);
        CHECK(back.name.size == 4 && memcmp(back.name.ptr, "name", 4) == 0);
        CHECK(back.target.size == entry.target.size);
        if (type == HSR_ENTRY_SOCKET)
            continue;
        entry.xattr_count = 2;
        entry.xattrs = (struct hsr_span){ xattrs, w.offset };
        CHECK_EQ(check_entry(&entry), size + (int)w.offset);
    }
}

static void test_entry_flags_belong_to_types(void)
{
    for (unsigned type = 0; type < 256; type++) {
        for (unsigned flags = 0; flags < 256; flags++) {
            struct hsr_entry entry = entry_of((uint8_t)type);
            struct hsr_entry back;
            unsigned allowed = 0;
            int want;

            if (type == HSR_ENTRY_FILE)
                allowed |= HSR_ENTRY_SPARSE | HSR_ENTRY_VERSION;
            if (type == HSR_ENTRY_DIR || type == HSR_ENTRY_DIR_END)
                allowed |= HSR_ENTRY_IMPLIED;
            if (type == HSR_ENTRY_DIR_END)
                allowed |= HSR_ENTRY_INCOMPLETE;
            if (has_link_flags((uint8_t)type))
                allowed |= HSR_ENTRY_LINK_FIRST | HSR_ENTRY_LINK_NEXT;
            want = (flags & ~allowed) != 0 || type == 0 || type >= HSR_ENTRY_TYPE_COUNT ||
                           (flags & 6) == 6
                       ? HSR_E_PROTOCOL
                       : 0;
            entry.flags = (uint8_t)flags;
            entry.link_id = 7;
            entry.link_path = span("a/first");
            entry.version = (struct hsr_digest_sum){ 1, UINT64_MAX };
            if (want == 0) {
                check_entry(&entry);
                continue;
            }
            CHECK_EQ(encode(&entry), want);
            memset(copy, 0, 256);
            copy[0] = (uint8_t)type;
            copy[1] = (uint8_t)flags;
            if ((flags & 6) != 6) /* both links at once are seen after the fields */
                CHECK_EQ(decode(copy, 256, &back), want);
        }
    }
}

static void test_entry_link_fields(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE);
    struct hsr_entry back;
    int plain = check_entry(&entry);

    entry.link_id = 77; /* without a flag they are not sent */
    entry.link_path = span("../..");
    CHECK_EQ(check_entry(&entry), plain);
    entry.flags = HSR_ENTRY_LINK_FIRST;
    CHECK_EQ(check_entry(&entry), plain + 4);
    CHECK_EQ(decode(copy, (size_t)plain + 4, &back), plain + 4);
    CHECK(back.link_id == 77 && back.link_path.size == 0);
    entry.flags = HSR_ENTRY_LINK_NEXT;
    CHECK_EQ(encode(&entry), HSR_E_NAME);
    entry.link_path = span("");
    CHECK_EQ(encode(&entry), HSR_E_NAME);
    entry.link_path = span("/etc/passwd");
    CHECK_EQ(encode(&entry), HSR_E_NAME);
    entry.link_path = span("a/b");
    CHECK_EQ(check_entry(&entry), plain + 4 + 5);
    memset(filler, 'a', sizeof(filler));
    for (size_t i = 200; i < sizeof(filler); i += 201)
        filler[i] = '/';
    entry.link_path = (struct hsr_span){ filler, HSR_PATH_WIRE_MAX };
    check_entry(&entry);
    entry.link_path.size++;
    CHECK_EQ(encode(&entry), HSR_E_LIMIT);
}

static void test_entry_names(void)
{
    static const char *const bad[] = { "", ".", "..", "/", "a/", "/a", "a/b" };
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE);
    struct hsr_entry back;
    int size;

    for (size_t i = 0; i < HSR_ARRAY_COUNT(bad); i++) {
        entry.name = span(bad[i]);
        CHECK_EQ(encode(&entry), HSR_E_NAME);
        entry.name = span("abc"); /* the decoder sees the same from a peer */
        size = encode(&entry);
        memmove(out + 7 + strlen(bad[i]), out + 10, (size_t)size - 10);
        memcpy(out + 7, bad[i], strlen(bad[i]));
        out[6] = (uint8_t)strlen(bad[i]);
        CHECK_EQ(decode(out, (size_t)size, &back), HSR_E_NAME);
    }
    size = encode(&entry);
    out[8] = 0;
    CHECK_EQ(decode(out, (size_t)size, &back), HSR_E_NAME);
    entry.name = span("\xff\xfe\n\033[31m");
    check_entry(&entry);
    entry.name = span("...");
    check_entry(&entry);
    memset(filler, 'n', 256);
    entry.name = (struct hsr_span){ filler, 254 };
    check_entry(&entry);
    entry.name.size = 255;
    check_entry(&entry);
    entry.name.size = 256;
    CHECK_EQ(encode(&entry), HSR_E_LIMIT);
}

static void test_entry_directories(void)
{
    for (uint8_t type = HSR_ENTRY_DIR; type <= HSR_ENTRY_DIR_END;
         type = (uint8_t)(type + HSR_ENTRY_DIR_END - HSR_ENTRY_DIR)) {
        struct hsr_entry entry = entry_of(type);

        entry.dir = HSR_DIR_ROOT; /* the root has neither name nor parent */
        CHECK_EQ(encode(&entry), HSR_E_PROTOCOL);
        entry.parent = HSR_DIR_ROOT;
        CHECK_EQ(encode(&entry), HSR_E_NAME);
        entry.name = span("");
        check_entry(&entry);
        entry.dir = 5;
        if (type == HSR_ENTRY_DIR)
            CHECK_EQ(encode(&entry), HSR_E_NAME);
        else
            check_entry(&entry);
        entry.name = span("d");
        check_entry(&entry);
        entry.parent = 5; /* its own parent */
        CHECK_EQ(encode(&entry), HSR_E_PROTOCOL);
    }
}

static void test_entry_numbers(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE);
    struct hsr_entry back;
    int size = check_entry(&entry);
    size_t mode_at = 7 + 4;

    entry.mode = 010000;
    CHECK_EQ(encode(&entry), HSR_E_PROTOCOL);
    entry.mode = 0;
    entry.mtime_ns = 1000000000;
    CHECK_EQ(encode(&entry), HSR_E_PROTOCOL);
    entry.mtime_ns = 0;
    entry.size = (uint64_t)INT64_MAX + 1;
    CHECK_EQ(encode(&entry), HSR_E_LIMIT);
    entry.size = 0;
    CHECK_EQ(encode(&entry), size);
    out[mode_at + 1] = 0x10;
    CHECK_EQ(decode(out, (size_t)size, &back), HSR_E_PROTOCOL);
    encode(&entry);
    out[mode_at + 2 + 8 + 8 + 3] = 0xff; /* nanoseconds */
    CHECK_EQ(decode(out, (size_t)size, &back), HSR_E_PROTOCOL);
    encode(&entry);
    out[mode_at + 22 + 7] = 0x80; /* size */
    CHECK_EQ(decode(out, (size_t)size, &back), HSR_E_LIMIT);
    entry = entry_of(HSR_ENTRY_BLOCK);
    entry.rdev_major = 0x1000;
    CHECK_EQ(encode(&entry), HSR_E_LIMIT);
    entry.rdev_major = 0;
    entry.rdev_minor = 0x100000;
    CHECK_EQ(encode(&entry), HSR_E_LIMIT);
}

static void test_entry_symlink_targets(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_SYMLINK);

    memset(filler, 't', 4097);
    entry.target = (struct hsr_span){ filler, 4094 };
    check_entry(&entry);
    entry.target.size = HSR_LINK_TARGET_MAX;
    check_entry(&entry);
    entry.target.size++;
    CHECK_EQ(encode(&entry), HSR_E_LIMIT);
    entry.target.size = 0;
    CHECK_EQ(encode(&entry), HSR_E_NAME);
    entry.target = (struct hsr_span){ (const uint8_t *)"a\0b", 3 };
    CHECK_EQ(encode(&entry), HSR_E_NAME);
}

static void test_xattr_limits(void)
{
    struct hsr_writer w = hsr_writer_init(xattrs, sizeof(xattrs));
    char name[HSR_XATTR_NAME_MAX + 2];

    memset(name, 'x', sizeof(name));
    name[HSR_XATTR_NAME_MAX + 1] = '\0';
    CHECK_EQ(put_xattr(&w, name, 1), HSR_E_LIMIT);
    CHECK_EQ(put_xattr(&w, "", 1), HSR_E_PROTOCOL);
    CHECK_EQ(put_xattr(&w, "a", HSR_XATTR_VALUE_MAX + 1), HSR_E_LIMIT);
    CHECK_EQ(hsr_xattr_put(&w, (struct hsr_xattr){ { (const uint8_t *)"a\0b", 3 }, span("v") }),
             HSR_E_PROTOCOL);
    CHECK(w.offset == 0 && !w.failed);
    name[HSR_XATTR_NAME_MAX] = '\0';
    CHECK_EQ(put_xattr(&w, name, HSR_XATTR_VALUE_MAX), 0);
    w.size = w.offset + 7;
    CHECK_EQ(put_xattr(&w, "abc", 0), HSR_E_LIMIT);
    w.size++;
    CHECK_EQ(put_xattr(&w, "abc", 0), 0);
}

static void test_xattr_count_matches(void)
{
    for (unsigned count = HSR_XATTR_COUNT_MAX - 1; count <= HSR_XATTR_COUNT_MAX + 1; count++) {
        struct hsr_writer w = hsr_writer_init(xattrs, sizeof(xattrs));
        struct hsr_entry entry = entry_of(HSR_ENTRY_FILE);

        for (unsigned i = 0; i < count; i++)
            CHECK_EQ(put_xattr(&w, "user.n", i), 0);
        entry.xattrs = (struct hsr_span){ xattrs, w.offset };
        entry.xattr_count = (uint16_t)count;
        if (count > HSR_XATTR_COUNT_MAX) {
            CHECK_EQ(encode(&entry), HSR_E_LIMIT);
            continue;
        }
        check_entry(&entry);
        entry.xattr_count--;
        CHECK_EQ(encode(&entry), HSR_E_PROTOCOL);
        entry.xattr_count++;
        entry.xattrs.size--;
        CHECK_EQ(encode(&entry), HSR_E_TRUNCATED);
    }
    CHECK_EQ(
        encode(&(struct hsr_entry){ .type = HSR_ENTRY_FIFO, .name = span("f"), .xattr_count = 1 }),
        HSR_E_TRUNCATED);
}

static void test_xattr_total(void)
{
    struct hsr_writer w = hsr_writer_init(xattrs, sizeof(xattrs));
    struct hsr_entry entry = entry_of(HSR_ENTRY_DIR);

    CHECK_EQ(put_xattr(&w, "a", HSR_XATTR_VALUE_MAX), 0);
    CHECK_EQ(put_xattr(&w, "b", HSR_XATTR_TOTAL_MAX - HSR_XATTR_VALUE_MAX - 2), 0);
    entry.xattr_count = 2;
    entry.xattrs = (struct hsr_span){ xattrs, w.offset };
    check_entry(&entry);
    CHECK_EQ(put_xattr(&w, "c", 0), 0);
    entry.xattr_count = 3;
    entry.xattrs.size = w.offset;
    CHECK_EQ(encode(&entry), HSR_E_LIMIT);
}

static void test_xattr_reader(void)
{
    static const uint8_t no_name[] = { 0, 0, 0, 0, 0 };
    static const uint8_t huge[] = { 1, 0xff, 0xff, 0xff, 0xff, 'a' };
    static const uint8_t good[] = { 1, 1, 0, 0, 0, 'a', 'v' };
    struct hsr_xattr xattr;
    struct hsr_reader r = hsr_reader_init(good, sizeof(good));

    CHECK_EQ(hsr_xattr_next(&r, &xattr), 1);
    CHECK(xattr.name.size == 1 && xattr.value.size == 1 && xattr.value.ptr[0] == 'v');
    CHECK_EQ(hsr_xattr_next(&r, &xattr), 0);
    CHECK_EQ(hsr_xattr_next(&r, &xattr), 0);
    for (size_t cut = 1; cut < sizeof(good); cut++) {
        r = hsr_reader_init(good, cut);
        CHECK_EQ(hsr_xattr_next(&r, &xattr), HSR_E_TRUNCATED);
        CHECK_EQ(hsr_xattr_next(&r, &xattr), HSR_E_TRUNCATED); /* and it stays so */
    }
    r = hsr_reader_init(no_name, sizeof(no_name));
    CHECK_EQ(hsr_xattr_next(&r, &xattr), HSR_E_PROTOCOL);
    r = hsr_reader_init(huge, sizeof(huge));
    CHECK_EQ(hsr_xattr_next(&r, &xattr), HSR_E_TRUNCATED);
}

static void test_path_valid(void)
{
    static const char *const good[] = { "", "a", "a/b", "...", ".a/..b", "a b/\n", "\xff" };
    static const char *const bad[] = { "/",   "a/",   "/a",   "a//b",   ".",     "..",  "./a",
                                       "a/.", "a/..", "../a", "a/../b", "a/./b", "a/b/" };
    struct hsr_span long_path = { filler, HSR_PATH_WIRE_MAX };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(good); i++)
        CHECK(hsr_path_valid(span(good[i])));
    for (size_t i = 0; i < HSR_ARRAY_COUNT(bad); i++)
        CHECK(!hsr_path_valid(span(bad[i])));
    CHECK(!hsr_path_valid((struct hsr_span){ (const uint8_t *)"a\0", 2 }));
    memset(filler, 'a', sizeof(filler));
    CHECK(hsr_path_valid((struct hsr_span){ filler, 255 }));
    CHECK(!hsr_path_valid((struct hsr_span){ filler, 256 }));
    for (size_t i = 255; i < sizeof(filler); i += 256)
        filler[i] = '/';
    CHECK(!hsr_path_valid(long_path)); /* ends in '/' */
    long_path.size--;
    CHECK(hsr_path_valid(long_path));
    filler[HSR_PATH_WIRE_MAX - 2] = '/';
    filler[HSR_PATH_WIRE_MAX - 1] = 'a';
    long_path.size++;
    CHECK(hsr_path_valid(long_path));
    long_path.size++;
    filler[HSR_PATH_WIRE_MAX] = 'a';
    CHECK(!hsr_path_valid(long_path));
}

int main(void)
{
    RUN(test_entry_every_type_round_trips);
    RUN(test_entry_flags_belong_to_types);
    RUN(test_entry_link_fields);
    RUN(test_entry_names);
    RUN(test_entry_directories);
    RUN(test_entry_numbers);
    RUN(test_entry_symlink_targets);
    RUN(test_xattr_limits);
    RUN(test_xattr_count_matches);
    RUN(test_xattr_total);
    RUN(test_xattr_reader);
    RUN(test_path_valid);
    TEST_END();
}
