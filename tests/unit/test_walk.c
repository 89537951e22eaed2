/* The source's walk, on real trees, and opening again what it found. */
#include "transfer/tree/walk.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "tests/unit/tree_test.h"

#define LOG_MAX 400
#define NAMES_MAX 128

/* What came out, as one line each: "FILE a/b", "DIR a", "END a", "FAIL a open". */
struct log {
    unsigned count;
    char lines[LOG_MAX][NAMES_MAX + 64];
    struct hsr_walk_item items[LOG_MAX];
    size_t memory_max;
    unsigned fds_max;
};

static struct log walk_log;

static struct hsr_span span(const char *text)
{
    return (struct hsr_span){ (const uint8_t *)text, strlen(text) };
}

static struct hsr_walk_options options_all(void)
{
    return (
        struct hsr_walk_options){ .xattrs = true, .hard_links = true, .links_bytes_max = HSR_MIB };
}

static const char *type_name(const struct hsr_walk_item *item)
{
    static const char *const names[HSR_ENTRY_TYPE_COUNT] = {
        [HSR_ENTRY_FILE] = "FILE",   [HSR_ENTRY_DIR] = "DIR",     [HSR_ENTRY_SYMLINK] = "LINK",
        [HSR_ENTRY_FIFO] = "FIFO",   [HSR_ENTRY_CHAR] = "CHAR",   [HSR_ENTRY_BLOCK] = "BLOCK",
        [HSR_ENTRY_SOCKET] = "SOCK", [HSR_ENTRY_DIR_END] = "END",
    };

    if (item->code != 0)
        return item->skipped ? "SKIP" : "FAIL";
    return names[item->entry.type];
}

static void log_add(struct log *log, const struct hsr_walk_item *item)
{
    char path[NAMES_MAX];
    uint8_t flags = item->code == 0 ? item->entry.flags : 0;

    if (log->count == LOG_MAX)
        return;
    hsr_dir_path(item->dir, item->entry.name, path, sizeof(path));
    snprintf(log->lines[log->count], sizeof(log->lines[0]), "%s %s%s%s%s%s%s%s%s", type_name(item),
             path, item->code != 0 ? " " : "", item->code != 0 ? item->op : "",
             flags & HSR_ENTRY_SPARSE ? " sparse" : "",
             flags & HSR_ENTRY_LINK_FIRST ? " first" : "",
             flags & HSR_ENTRY_LINK_NEXT ? " next" : "",
             flags & HSR_ENTRY_INCOMPLETE ? " incomplete" : "",
             flags & HSR_ENTRY_IMPLIED ? " implied" : "");
    log->items[log->count] = *item;
    log->items[log->count].dir = log->items[log->count].self = NULL;
    log->count++;
}

/* Every entry must survive the wire. */
static void check_encodes(const struct hsr_entry *entry)
{
    static uint8_t page[HSR_CONTROL_PAYLOAD_MAX];
    struct hsr_writer writer = hsr_writer_init(page, sizeof(page));
    struct hsr_entry back;

    CHECK_EQ(hsr_entry_encode(&writer, entry), 0);
    struct hsr_reader reader = hsr_reader_init(page, writer.offset);

    CHECK_EQ(hsr_entry_decode(&reader, &back), 0);
    CHECK(back.type == entry->type && back.dir == entry->dir && back.parent == entry->parent);
}

static unsigned long walk_all(struct tree_fixture *fx, const struct hsr_walk_top *tops,
                              unsigned top_count, const struct hsr_walk_options *options)
{
    struct hsr_walk_item item;
    struct hsr_walk *walk;
    unsigned long count = 0;
    unsigned fds = tree_fds_open();
    int rc;

    walk_log.count = 0;
    walk_log.memory_max = 0;
    walk_log.fds_max = 0;
    CHECK_EQ(hsr_walk_create(&fx->loop, tops, top_count, options, &walk), 0);
    while ((rc = hsr_walk_next(walk, &item)) == 1) {
        size_t memory = hsr_walk_memory(walk);

        count++;
        log_add(&walk_log, &item);
        if (item.code == 0)
            check_encodes(&item.entry);
        walk_log.memory_max = HSR_MAX(walk_log.memory_max, memory);
        if (count % 16 == 0)
            walk_log.fds_max = HSR_MAX(walk_log.fds_max, tree_fds_open() - fds);
    }
    CHECK_EQ(rc, 0);
    CHECK_EQ(hsr_walk_next(walk, &item), 0);
    hsr_walk_destroy(walk);
    CHECK_EQ(tree_fds_open(), fds);
    return count;
}

static unsigned long walk_contents(struct tree_fixture *fx, const struct hsr_walk_options *options)
{
    struct hsr_walk_top top = { .base_fd = fx->fd, .contents = true };

    return walk_all(fx, &top, 1, options);
}

/* Index of a line, or -1. */
static int find(const char *line)
{
    for (unsigned i = 0; i < walk_log.count; i++)
        if (strcmp(walk_log.lines[i], line) == 0)
            return (int)i;
    return -1;
}

static void log_print(void)
{
    for (unsigned i = 0; i < walk_log.count; i++)
        fprintf(stderr, "  [%s] %d\n", walk_log.lines[i], walk_log.items[i].code);
}

/* Are these, ended by NULL, all the lines there are, in this order? */
static void check_lines(const char *const *lines, int line)
{
    unsigned count = 0;
    bool same = true;

    for (; lines[count] != NULL; count++)
        same = same && count < walk_log.count && strcmp(lines[count], walk_log.lines[count]) == 0;
    if (!same || count != walk_log.count) {
        fprintf(stderr, "at line %d:\n", line);
        log_print();
        CHECK(false);
    }
}
#define LINES(...) check_lines((const char *const[]){ __VA_ARGS__, NULL }, __LINE__)

static void test_walk_reports_every_kind(void)
{
    struct hsr_walk_options options = options_all();
    struct tree_fixture fx;
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int at, sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    tree_fixture_init(&fx);
    CHECK(mkdirat(fx.fd, "d", 0750) == 0);
    tree_file(fx.fd, "d/file", "hello");
    CHECK(fchmodat(fx.fd, "d/file", 04711, 0) == 0);
    CHECK(symlinkat("../nowhere", fx.fd, "d/link") == 0);
    CHECK(mkfifoat(fx.fd, "d/fifo", 0600) == 0);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/d/sock", fx.path);
    CHECK(bind(sock, (struct sockaddr *)&addr, sizeof(addr)) == 0);
    walk_contents(&fx, &options);
    CHECK_EQ(walk_log.count, 8);
    CHECK_EQ(find("DIR "), 0);
    CHECK_EQ(find("DIR d"), 1);
    CHECK_EQ(find("END d"), 6);
    CHECK_EQ(find("END "), 7);
    CHECK(find("FIFO d/fifo") > 0 && find("LINK d/link") > 0);
    at = find("FILE d/file");
    CHECK(at > 0);
    CHECK_EQ(walk_log.items[at].entry.size, 5);
    CHECK_EQ(walk_log.items[at].entry.mode, 04711);
    CHECK_EQ(walk_log.items[at].entry.uid, geteuid());
    at = find("SKIP d/sock socket");
    CHECK(at > 0);
    CHECK_EQ(walk_log.items[at].code, HSR_E_KIND);

    options.list_sockets = options.one_level = true;
    walk_contents(&fx, &options);
    LINES("DIR ", "DIR d");
    struct hsr_walk_top top = { .base_fd = fx.fd, .path = span("d"), .contents = true };

    walk_all(&fx, &top, 1, &options);
    CHECK_EQ(walk_log.count, 5);
    CHECK(find("SOCK sock") > 0 && find("END ") < 0);
    top = (struct hsr_walk_top){ .base_fd = fx.fd, .path = span("d"), .name = span("d") };
    struct hsr_walk_top two[] = { top, top };

    walk_all(&fx, two, 2, &options);
    LINES("DIR d", "DIR d");
    close(sock);
    tree_fixture_fini(&fx);
}

static void test_walk_odd_names(void)
{
    struct hsr_walk_options options = options_all();
    struct tree_fixture fx;
    char name[256];

    tree_fixture_init(&fx);
    memset(name, 'x', 255);
    name[255] = '\0';
    tree_file(fx.fd, name, "");
    tree_file(fx.fd, "\n", "");
    tree_file(fx.fd, "\xff\xfe", "");
    tree_file(fx.fd, "...", "");
    tree_file(fx.fd, " -rf *", "");
    tree_file(fx.fd, "back\\slash", "");
    walk_contents(&fx, &options);
    CHECK_EQ(walk_log.count, 8);
    CHECK(find("FILE \n") > 0 && find("FILE \xff\xfe") > 0 && find("FILE ...") > 0);
    CHECK(find("FILE  -rf *") > 0 && find("FILE back\\slash") > 0);
    tree_fixture_fini(&fx);
}

/* Goal: paths over PATH_MAX, more levels than descriptors; every level is continued where it was.
 * Method: 300 levels with 20-byte names, each with files before and after the directory below. */
static void test_walk_deep(void)
{
    enum { DEPTH = 300, FILES = 6 };
    struct hsr_walk_options options = options_all();
    struct tree_fixture fx;
    unsigned long count;
    int at;

    tree_fixture_init(&fx);
    at = dup(fx.fd);
    for (unsigned i = 0; i < DEPTH; i++) {
        for (unsigned file = 0; file < FILES; file++) {
            char name[32];

            snprintf(name, sizeof(name), "file-%u", file * 7919u % 97u);
            tree_file(at, name, "x");
        }
        CHECK(mkdirat(at, "twenty-bytes-of-name", 0755) == 0);
        int below = openat(at, "twenty-bytes-of-name", O_RDONLY | O_DIRECTORY);

        close(at);
        at = below;
    }
    close(at);
    count = walk_contents(&fx, &options);
    CHECK_EQ(count, 2 + DEPTH * (FILES + 2));
    CHECK(walk_log.fds_max <= 32);
    CHECK(walk_log.memory_max < 3 * HSR_MIB);
    tree_fixture_fini(&fx);
}

/* Goal: what is under the depth limit comes, what is over it is a failure, not a crash. */
static void test_walk_too_deep(void)
{
    struct hsr_walk_options options = options_all();
    struct tree_fixture fx;
    unsigned long count;
    int at;

    tree_fixture_init(&fx);
    at = dup(fx.fd);
    for (unsigned i = 0; i < HSR_DIR_DEPTH_MAX + 5; i++) {
        CHECK(mkdirat(at, "d", 0755) == 0);
        int below = openat(at, "d", O_RDONLY | O_DIRECTORY);

        close(at);
        at = below;
    }
    close(at);
    count = walk_contents(&fx, &options);
    CHECK_EQ(count, 2 * (HSR_DIR_DEPTH_MAX + 1) + 1);
    CHECK(walk_log.memory_max < 8 * HSR_MIB);
    tree_fixture_fini(&fx);
}

/* Goal: many names in one directory, each once, in bounded memory. */
static void test_walk_wide(void)
{
    enum { FILES = 100000 };
    struct hsr_walk_options options = options_all();
    struct tree_fixture fx;

    tree_fixture_init(&fx);
    for (unsigned i = 0; i < FILES; i++) {
        char name[32];

        snprintf(name, sizeof(name), "file-%u", i);
        CHECK(mknodat(fx.fd, name, S_IFREG | 0644, 0) == 0);
    }
    CHECK_EQ(walk_contents(&fx, &options), FILES + 2);
    CHECK(walk_log.memory_max < HSR_MIB);
    tree_fixture_fini(&fx);
}

static void test_walk_hard_links(void)
{
    struct hsr_walk_options options = options_all();
    struct tree_fixture fx;
    unsigned firsts = 0, nexts = 0;

    tree_fixture_init(&fx);
    CHECK(mkdirat(fx.fd, "d", 0755) == 0);
    tree_file(fx.fd, "a", "data");
    CHECK(linkat(fx.fd, "a", fx.fd, "d/b", 0) == 0 && linkat(fx.fd, "a", fx.fd, "c", 0) == 0);
    walk_contents(&fx, &options);
    for (unsigned i = 0; i < walk_log.count; i++) {
        firsts += (walk_log.items[i].entry.flags & HSR_ENTRY_LINK_FIRST) != 0;
        nexts += (walk_log.items[i].entry.flags & HSR_ENTRY_LINK_NEXT) != 0;
    }
    CHECK_EQ(firsts, 1);
    CHECK_EQ(nexts, 2);

    options.links_bytes_max = 0;
    walk_contents(&fx, &options);
    CHECK_EQ(walk_log.count, 8); /* told once, not three times */
    CHECK(find("FILE a") > 0 && find("FILE c") > 0 && find("FILE d/b") > 0);
    options.hard_links = false;
    walk_contents(&fx, &options);
    CHECK_EQ(walk_log.count, 7);
    tree_fixture_fini(&fx);
}

static void test_walk_tops_make_a_union(void)
{
    struct hsr_walk_options options = options_all();
    struct tree_fixture fx;

    tree_fixture_init(&fx);
    CHECK(mkdirat(fx.fd, "a", 0755) == 0 && mkdirat(fx.fd, "a/sub", 0755) == 0);
    CHECK(mkdirat(fx.fd, "b", 0755) == 0);
    tree_file(fx.fd, "a/sub/x", "ax");
    tree_file(fx.fd, "b/y", "by");
    tree_file(fx.fd, "b/f", "bf");
    struct hsr_walk_top tops[] = {
        { .base_fd = fx.fd, .path = span("a/sub"), .name = span("renamed") },
        { .base_fd = fx.fd, .path = span("b/f"), .name = span("g") },
        { .base_fd = fx.fd, .path = span("missing"), .name = span("missing") },
        { .base_fd = fx.fd, .path = span("no/such"), .name = span("such") },
        { .base_fd = fx.fd, .path = span("a"), .contents = true },
        { .base_fd = fx.fd, .path = span("b/f"), .contents = true },
    };

    walk_all(&fx, tops, 6, &options);
    LINES("DIR renamed", "FILE renamed/x", "END renamed", "FILE g", "FAIL missing stat",
          "FAIL such open", "DIR ", "DIR sub", "FILE sub/x", "END sub", "END  incomplete",
          "FAIL  open");
    CHECK_EQ(walk_log.items[4].code, -ENOENT);
    CHECK_EQ(walk_log.items[5].code, -ENOENT);
    CHECK_EQ(walk_log.items[11].code, -ENOTDIR);
    CHECK(walk_log.items[0].entry.parent == 0 && walk_log.items[0].entry.dir != 0);
    CHECK(walk_log.items[7].entry.dir != walk_log.items[0].entry.dir);
    walk_all(&fx, tops + 4, 1, &options);
    LINES("DIR ", "DIR sub", "FILE sub/x", "END sub", "END ");

    struct hsr_walk_top itself = { .base_fd = fx.fd, .name = span("whole") };

    walk_all(&fx, &itself, 1, &options);
    CHECK(find("DIR whole") == 0 && find("FILE whole/a/sub/x") > 0 && find("END whole") > 0);
    tree_fixture_fini(&fx);
}

static void test_walk_list_implies_parents(void)
{
    struct hsr_walk_options options = options_all();
    struct tree_fixture fx;
    const char *const paths[] = { "a/b/x", "a/b/y", "a/z", "c",      "a/b/x",
                                  "c/in",  "a/z/q", "",    "a/none", "link/x" };
    struct hsr_walk_top tops[10];

    tree_fixture_init(&fx);
    CHECK(mkdirat(fx.fd, "a", 0755) == 0 && mkdirat(fx.fd, "a/b", 0711) == 0);
    CHECK(mkdirat(fx.fd, "c", 0755) == 0 && symlinkat("a", fx.fd, "link") == 0);
    tree_file(fx.fd, "a/b/x", "");
    tree_file(fx.fd, "a/b/y", "");
    tree_file(fx.fd, "a/b/unlisted", "");
    tree_file(fx.fd, "a/z", "");
    tree_file(fx.fd, "c/in", "");
    for (unsigned i = 0; i < 10; i++)
        tops[i] = (struct hsr_walk_top){ .base_fd = fx.fd, .path = span(paths[i]), .list = true };
    walk_all(&fx, tops, 10, &options);
    LINES("DIR a implied", "DIR a/b implied", "FILE a/b/x", "FILE a/b/y", "END a/b incomplete",
          "FILE a/z", "END a incomplete", "DIR c", "END c incomplete", "DIR a implied",
          "DIR a/b implied", "FILE a/b/x", "END a/b incomplete", "END a incomplete",
          "DIR c implied", "FILE c/in", "END c incomplete", "DIR a implied", "FAIL a/z open",
          "END a incomplete", "DIR a implied", "FAIL a/none stat", "END a incomplete",
          "FAIL link open");
    CHECK_EQ(walk_log.items[1].entry.mode, 0711);
    CHECK(walk_log.items[0].entry.dir != walk_log.items[9].entry.dir);
    CHECK_EQ(walk_log.items[18].code, -ENOTDIR);
    tree_fixture_fini(&fx);
}

static void rule(struct hsr_writer *writer, const char *text, bool include)
{
    CHECK_EQ(hsr_rule_encode(writer, text, strlen(text), include), 0);
}

static void test_walk_filter_and_stages(void)
{
    struct hsr_walk_options options = options_all();
    struct hsr_filter *filter = NULL;
    struct tree_fixture fx;
    uint8_t rules[512];
    struct hsr_writer writer = hsr_writer_init(rules, sizeof(rules));

    tree_fixture_init(&fx);
    CHECK(mkdirat(fx.fd, "keep", 0755) == 0 && mkdirat(fx.fd, "skip", 0755) == 0);
    tree_file(fx.fd, "keep/a.o", "");
    tree_file(fx.fd, "keep/a.c", "");
    tree_file(fx.fd, "keep/skip", "");
    tree_file(fx.fd, "skip/a.c", "");
    rule(&writer, "*.o", false);
    rule(&writer, "/skip/", false);
    CHECK_EQ(hsr_filter_create((struct hsr_span){ rules, writer.offset }, &filter), 0);
    options.filter = filter;
    walk_contents(&fx, &options);
    CHECK_EQ(walk_log.count, 6);
    CHECK(find("FILE keep/a.c") > 0 && find("FILE keep/skip") > 0 && find("DIR skip") < 0);
    struct hsr_walk_top top = { .base_fd = fx.fd, .path = span("skip/a.c"), .list = true };

    CHECK_EQ(walk_all(&fx, &top, 1, &options), 0);
    hsr_filter_destroy(filter);
    tree_fixture_fini(&fx);
}

static void test_walk_xattrs(void)
{
    struct hsr_walk_options options = options_all();
    static char big[65536];
    struct tree_fixture fx;
    struct hsr_xattr xattr;
    int fd, at;

    tree_fixture_init(&fx);
    tree_file(fx.fd, "f", "x");
    fd = openat(fx.fd, "f", O_RDONLY);
    memset(big, 'v', sizeof(big));
    if (fsetxattr(fd, "user.one", "1", 1, 0) != 0) {
        fprintf(stderr, "no user xattrs here\n");
        goto out;
    }
    CHECK(fsetxattr(fd, "user.long", big, 2000, 0) == 0);
    walk_contents(&fx, &options);
    /* spans are gone with the walk, the count is not */
    at = find("FILE f");
    CHECK(at > 0 && walk_log.items[at].entry.xattr_count == 2);

    bool large = fsetxattr(fd, "user.big1", big, 60000, 0) == 0 &&
                 fsetxattr(fd, "user.big2", big, 60000, 0) == 0 &&
                 fsetxattr(fd, "user.big3", big, 60000, 0) == 0;
    struct hsr_walk_top top = { .base_fd = fx.fd, .path = span("f"), .name = span("f") };
    struct hsr_walk_item item;
    struct hsr_walk *walk;
    unsigned seen = 0;

    CHECK_EQ(hsr_walk_create(&fx.loop, &top, 1, &options, &walk), 0);
    if (large) {
        CHECK_EQ(hsr_walk_next(walk, &item), 1);
        CHECK(item.code == HSR_E_LIMIT && item.skipped && strcmp(item.op, "xattr") == 0);
    }
    CHECK_EQ(hsr_walk_next(walk, &item), 1);
    CHECK_EQ(item.code, 0);
    struct hsr_reader reader = hsr_reader_init(item.entry.xattrs.ptr, item.entry.xattrs.size);

    while (hsr_xattr_next(&reader, &xattr) == 1) {
        seen++;
        if (xattr.name.size == 8 && memcmp(xattr.name.ptr, "user.one", 8) == 0)
            CHECK(xattr.value.size == 1 && xattr.value.ptr[0] == '1');
        if (xattr.name.size == 9 && memcmp(xattr.name.ptr, "user.long", 9) == 0)
            CHECK(xattr.value.size == 2000 && memcmp(xattr.value.ptr, big, 2000) == 0);
    }
    CHECK_EQ(seen, item.entry.xattr_count);
    CHECK_EQ(seen, large ? 4 : 2);
    CHECK_EQ(hsr_walk_next(walk, &item), 0);
    hsr_walk_destroy(walk);
    options.xattrs = false;
    walk_contents(&fx, &options);
    CHECK_EQ(walk_log.items[find("FILE f")].entry.xattr_count, 0);
out:
    close(fd);
    tree_fixture_fini(&fx);
}

static void test_walk_sparse_flag_and_extents(void)
{
    struct hsr_walk_options options = options_all();
    static char block[65536];
    struct tree_fixture fx;
    uint64_t start = 0, end = 0;
    int fd;

    tree_fixture_init(&fx);
    memset(block, 'x', sizeof(block));
    fd = openat(fx.fd, "sparse", O_RDWR | O_CREAT, 0644);
    CHECK(ftruncate(fd, 10 << 20) == 0);
    CHECK(pwrite(fd, block, 65536, 1 << 20) == 65536);
    CHECK(pwrite(fd, block, 100, (4 << 20) + 8192) == 100);
    fsync(fd);
    tree_file(fx.fd, "dense", "a little");
    walk_contents(&fx, &options);
    CHECK(find("FILE sparse sparse") > 0);

    CHECK_EQ(hsr_source_extent(&fx.loop, fd, 0, 10 << 20, 65536, &start, &end), 0);
    CHECK(start == 1 << 20 && end == (1 << 20) + 65536);
    CHECK_EQ(hsr_source_extent(&fx.loop, fd, end, 10 << 20, 65536, &start, &end), 0);
    CHECK(start == 4 << 20 && end == (4 << 20) + 65536);
    CHECK_EQ(hsr_source_extent(&fx.loop, fd, end, 10 << 20, 65536, &start, &end), 1);
    CHECK_EQ(hsr_source_extent(&fx.loop, fd, 10 << 20, 10 << 20, 65536, &start, &end), 1);
    CHECK_EQ(hsr_source_extent(&fx.loop, fd, 0, 1 << 20, 65536, &start, &end), 1); /* grew */
    CHECK_EQ(hsr_source_extent(&fx.loop, fd, 0, (1 << 20) + 5, 65536, &start, &end), 0);
    CHECK(start == 1 << 20 && end == (1 << 20) + 5);
    close(fd);
    tree_fixture_fini(&fx);
}

static void test_walk_copy_links(void)
{
    struct hsr_walk_options options = options_all();
    struct tree_fixture fx;
    int at;

    tree_fixture_init(&fx);
    CHECK(mkdirat(fx.fd, "in", 0755) == 0 && mkdirat(fx.fd, "in/real", 0755) == 0);
    tree_file(fx.fd, "in/real/f", "data");
    tree_file(fx.fd, "outside", "secret");
    CHECK(symlinkat("real/f", fx.fd, "in/file") == 0);
    CHECK(symlinkat("../in/real", fx.fd, "in/dir") == 0);
    CHECK(symlinkat("..", fx.fd, "in/real/loop") == 0);
    CHECK(symlinkat("nowhere", fx.fd, "in/dangling") == 0);
    CHECK(symlinkat("../outside", fx.fd, "in/out") == 0);
    int in = openat(fx.fd, "in", O_RDONLY | O_DIRECTORY);
    struct hsr_walk_top top = { .base_fd = in, .contents = true };

    options.copy_links = true;
    walk_all(&fx, &top, 1, &options);
    CHECK(find("FILE file") > 0 && find("FILE dir/f") > 0 && find("FILE out") > 0);
    at = find("FAIL real/loop follow");
    CHECK(at > 0 && walk_log.items[at].code == -ELOOP);
    CHECK(find("FAIL dir/loop follow") > 0);
    at = find("FAIL dangling follow");
    CHECK(at > 0 && walk_log.items[at].code == -ENOENT);
    CHECK(find("END real incomplete") > 0);

    options.beneath = true;
    walk_all(&fx, &top, 1, &options);
    at = find("FAIL out follow");
    CHECK(at > 0 && walk_log.items[at].code == -EXDEV);
    CHECK(find("FILE file") > 0 && find("FAIL dir follow") > 0);

    top = (struct hsr_walk_top){ .base_fd = fx.fd, .path = span("in"), .contents = true };
    walk_all(&fx, &top, 1, &options);
    CHECK(find("FILE out") > 0 && find("FILE dir/f") > 0);
    close(in);
    tree_fixture_fini(&fx);
}

/* Goal: an unreadable directory is a failure, and its end says so. Method: as another user. */
static void test_walk_unreadable_directory(void)
{
    struct hsr_walk_options options = options_all();
    struct tree_fixture fx;
    int status = 0;
    pid_t pid;

    if (geteuid() != 0) {
        fprintf(stderr, "needs root to become somebody else\n");
        return;
    }
    pid = fork();
    if (pid == 0) {
        hsr_test_failures = 0;
        tree_fixture_init(&fx);
        CHECK(fchmod(fx.fd, 0755) == 0 && mkdirat(fx.fd, "shut", 0700) == 0);
        tree_file(fx.fd, "shut/x", "");
        CHECK(mkdirat(fx.fd, "listed", 0744) == 0 && fchmodat(fx.fd, "listed", 0744, 0) == 0);
        tree_file(fx.fd, "listed/y", "");
        tree_file(fx.fd, "open", "");
        CHECK(setegid(65534) == 0 && seteuid(65534) == 0);
        walk_contents(&fx, &options);
        CHECK(seteuid(0) == 0);
        CHECK(find("DIR shut") > 0 && find("END shut incomplete") > find("FAIL shut open"));
        CHECK(walk_log.items[find("FAIL shut open")].code == -EACCES);
        CHECK(walk_log.items[find("END shut incomplete")].entry.mode == 0700);
        CHECK(find("FAIL listed/y stat") > 0 && find("END listed incomplete") > 0);
        CHECK(find("FILE open") > 0 && find("END ") > 0);
        tree_fixture_fini(&fx);
        _exit(hsr_test_failures != 0);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Goal: what vanishes or is swapped while the walk runs is never followed. */
static void test_walk_swapped_directory(void)
{
    struct hsr_walk_options options = options_all();
    struct hsr_walk_item item;
    struct tree_fixture fx;
    struct hsr_walk *walk;

    tree_fixture_init(&fx);
    CHECK(mkdirat(fx.fd, "top", 0755) == 0 && mkdirat(fx.fd, "top/d", 0755) == 0);
    CHECK(mkdirat(fx.fd, "secret", 0755) == 0);
    tree_file(fx.fd, "secret/s", "");
    struct hsr_walk_top top = { .base_fd = fx.fd, .path = span("top"), .contents = true };

    CHECK_EQ(hsr_walk_create(&fx.loop, &top, 1, &options, &walk), 0);
    CHECK_EQ(hsr_walk_next(walk, &item), 1);
    CHECK_EQ(hsr_walk_next(walk, &item), 1);
    CHECK(item.entry.type == HSR_ENTRY_DIR && item.entry.name.size == 1);
    CHECK(unlinkat(fx.fd, "top/d", AT_REMOVEDIR) == 0 &&
          symlinkat("../secret", fx.fd, "top/d") == 0);
    CHECK_EQ(hsr_walk_next(walk, &item), 1);
    CHECK(item.code == -ELOOP && !item.skipped && strcmp(item.op, "open") == 0);
    CHECK_EQ(hsr_walk_next(walk, &item), 1);
    CHECK(item.entry.type == HSR_ENTRY_DIR_END && (item.entry.flags & HSR_ENTRY_INCOMPLETE) != 0 &&
          item.entry.mode == 0755);
    CHECK_EQ(hsr_walk_next(walk, &item), 1);
    CHECK(item.entry.type == HSR_ENTRY_DIR_END && item.entry.dir == 0);
    CHECK_EQ(hsr_walk_next(walk, &item), 0);
    hsr_walk_destroy(walk);
    tree_fixture_fini(&fx);
}

/* A backend that fails one call. */
static struct hsr_backend_ops fault_ops;
static int64_t (*fault_call_real)(struct hsr_backend *backend, struct hsr_op *op);
static unsigned fault_at, fault_calls;
static int fault_code;
static uint8_t fault_kind;

static int64_t fault_call(struct hsr_backend *backend, struct hsr_op *op)
{
    if (++fault_calls == fault_at && op->kind != HSR_OP_CLOSE) {
        fault_kind = op->kind;
        return fault_code;
    }
    return fault_call_real(backend, op);
}

/* Goal: whatever call fails, the walk ends, and says so: a failed item, or an end that is not
 * complete. Method: fail call 1, 2, 3 ... until a walk needs fewer. The tree is deep enough for
 * levels to be closed and reopened. */
static void test_walk_survives_every_fault(void)
{
    struct hsr_walk_options options = options_all();
    static struct log clean;
    struct tree_fixture fx;
    const struct hsr_backend_ops *real;
    unsigned fired = 0;
    int at;

    tree_fixture_init(&fx);
    at = dup(fx.fd);
    for (unsigned i = 0; i < 40; i++) {
        CHECK(mkdirat(at, "d", 0755) == 0);
        int below = openat(at, "d", O_RDONLY | O_DIRECTORY);

        tree_file(at, "f", "x");
        CHECK(symlinkat("f", at, "l") == 0);
        close(at);
        at = below;
    }
    close(at);
    walk_contents(&fx, &options);
    clean = walk_log;
    CHECK_EQ(clean.count, 2 * 41 + 80);
    real = fx.loop.backend->ops;
    fault_ops = *real;
    fault_call_real = fault_ops.call;
    fault_ops.call = fault_call;
    fx.loop.backend->ops = &fault_ops;
    fault_code = -EIO;
    for (fault_at = 1;; fault_at++) {
        bool told = false, same;

        fault_calls = 0;
        fault_kind = HSR_OP_NOP;
        walk_contents(&fx, &options);
        if (fault_calls < fault_at)
            break;
        if (fault_kind == HSR_OP_NOP)
            continue;
        fired++;
        for (unsigned i = 0; i < walk_log.count; i++)
            told |= walk_log.items[i].code == -EIO ||
                    (walk_log.items[i].entry.flags & HSR_ENTRY_INCOMPLETE) != 0;
        /* A level that was to be opened ahead may be opened again when it is needed. */
        same = walk_log.count == clean.count;
        for (unsigned i = 0; same && i < clean.count; i++)
            same = strcmp(walk_log.lines[i], clean.lines[i]) == 0;
        told |= same && (fault_kind == HSR_OP_OPENAT2 || fault_kind == HSR_OP_STATX ||
                         fault_kind == HSR_OP_LSEEK);
        if (!told)
            fprintf(stderr, "call %u, %s\n", fault_at, hsr_op_name(fault_kind));
        CHECK(told);
    }
    fx.loop.backend->ops = real;
    /* A plain user's walk does not ask for the attributes of the 40 symlinks (xattr(7)). */
    CHECK(fired > (geteuid() == 0 ? 500 : 500 - 40));
    tree_fixture_fini(&fx);
}

int main(void)
{
    RUN(test_walk_survives_every_fault);
    RUN(test_walk_reports_every_kind);
    RUN(test_walk_odd_names);
    RUN(test_walk_deep);
    RUN(test_walk_too_deep);
    RUN(test_walk_wide);
    RUN(test_walk_hard_links);
    RUN(test_walk_tops_make_a_union);
    RUN(test_walk_list_implies_parents);
    RUN(test_walk_filter_and_stages);
    RUN(test_walk_xattrs);
    RUN(test_walk_sparse_flag_and_extents);
    RUN(test_walk_copy_links);
    RUN(test_walk_unreadable_directory);
    RUN(test_walk_swapped_directory);
    TEST_END();
}
