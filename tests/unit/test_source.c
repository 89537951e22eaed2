/* Opening what the walk found, and opening by name at all. */
#include "tests/unit/tree_test.h"
#include "transfer/tree/opener.h"
#include "transfer/tree/walk.h"

static struct hsr_span span(const char *text)
{
    return (struct hsr_span){ (const uint8_t *)text, strlen(text) };
}

/* Opened without a look: a link is refused all the same, a FIFO neither hangs nor loses what is in
 * it to a read by position, and the check says what it is. */
static void source_blind(struct tree_fixture *fx, struct hsr_dircache *cache, struct hsr_walk *walk,
                         struct hsr_dir *dir)
{
    struct hsr_source_identity identity = { 0 };
    int writer = openat(fx->fd, "a/b/fifo", O_RDWR | O_NONBLOCK);
    int fd = hsr_source_open_blind(cache, walk, dir, "fifo", false);
    struct statx stx;
    char text[2];

    CHECK(writer >= 0 && write(writer, "x", 1) == 1);
    CHECK(fd >= 0);
    CHECK(pread(fd, text, 1, 0) == -1 && errno == ESPIPE);
    CHECK(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) == 0);
    identity.ino = stx.stx_ino;
    CHECK_EQ(hsr_source_check(&fx->loop, fd, &identity), HSR_E_KIND);
    CHECK(read(writer, text, 2) == 1);
    close(fd);
    close(writer);
    CHECK_EQ(hsr_source_open_blind(cache, walk, dir, "link", false), HSR_E_KIND);
    CHECK_EQ(hsr_source_open_blind(cache, walk, dir, "..", false), -EXDEV);
    CHECK_EQ(hsr_source_open_blind(cache, walk, dir, "gone", false), HSR_E_VANISHED);
}

/* One name needs no RESOLVE_BENEATH, where symlinks are refused; anything else keeps it. */
static void test_opener_resolve_one_name(void)
{
    const uint64_t strict = HSR_RESOLVE_STRICT;
    const uint64_t less = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    const uint64_t follow = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    struct tree_fixture fx;

    CHECK_EQ(hsr_opener_resolve("name", strict), less);
    CHECK_EQ(hsr_opener_resolve(".", strict), less);
    CHECK_EQ(hsr_opener_resolve("...", strict), less);
    CHECK_EQ(hsr_opener_resolve("..", strict), strict);
    CHECK_EQ(hsr_opener_resolve("a/b", strict), strict);
    CHECK_EQ(hsr_opener_resolve("/", strict), strict);
    CHECK_EQ(hsr_opener_resolve("name", follow), follow);

    tree_fixture_init(&fx);
    tree_file(fx.fd, "f", "1");
    CHECK(symlinkat("/etc/passwd", fx.fd, "out") == 0 && symlinkat("f", fx.fd, "in") == 0);
    CHECK(symlinkat("/proc/self/root", fx.fd, "magic") == 0);
    static const struct {
        const char *path;
        int rc;
    } refused[] = { { "out", -ELOOP }, { "in", -ELOOP },     { "magic", -ELOOP },
                    { "..", -EXDEV },  { "../x", -EXDEV },   { "/etc/passwd", -EXDEV },
                    { "", -ENOENT },   { "out/..", -ELOOP }, { "./..", -EXDEV } };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(refused); i++)
        CHECK_EQ(hsr_opener_openat(&fx.loop, fx.fd, refused[i].path, O_RDONLY, strict),
                 refused[i].rc);
    int fd = hsr_opener_openat(&fx.loop, fx.fd, "f", O_RDONLY, strict);

    CHECK(fd >= 0);
    close(fd);
    tree_fixture_fini(&fx);
}

/* Goal: records resolve at the source through their top, and only regular files open. */
static void test_source_opens_what_the_walk_found(void)
{
    struct hsr_walk_options options = { .xattrs = true,
                                        .hard_links = true,
                                        .links_bytes_max = HSR_MIB };
    struct hsr_dircache cache;
    struct hsr_walk_item item;
    struct hsr_dir *held = NULL;
    struct tree_fixture fx;
    struct hsr_walk *walk;
    char text[8];
    unsigned files = 0;

    tree_fixture_init(&fx);
    CHECK(mkdirat(fx.fd, "a", 0755) == 0 && mkdirat(fx.fd, "a/b", 0755) == 0);
    tree_file(fx.fd, "a/b/f", "1");
    tree_file(fx.fd, "a/f", "2");
    struct hsr_walk_top tops[] = {
        { .base_fd = fx.fd, .path = span("a/b"), .name = span("other") },
        { .base_fd = fx.fd, .path = span("a/f"), .name = span("g") },
        { .base_fd = fx.fd, .path = span("a"), .contents = true },
        { .base_fd = fx.fd, .path = span("a/f"), .list = true },
    };

    hsr_dircache_init(&cache, &fx.loop, -1, false);
    CHECK_EQ(hsr_walk_create(&fx.loop, tops, 4, &options, &walk), 0);
    while (hsr_walk_next(walk, &item) == 1) {
        char name[256];

        CHECK_EQ(item.code, 0);
        if (item.entry.type != HSR_ENTRY_FILE)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)item.entry.name.size,
                 (const char *)item.entry.name.ptr);
        int fd = hsr_source_open(&cache, walk, item.dir, name, false);
        struct hsr_source_identity identity = { .dev = item.dev,
                                                .ino = item.ino,
                                                .size = item.entry.size,
                                                .mtime_s = item.entry.mtime_s,
                                                .mtime_ns = item.entry.mtime_ns,
                                                .ctime_s = item.ctime_s,
                                                .ctime_ns = item.ctime_ns };

        CHECK(fd >= 0 && read(fd, text, sizeof(text)) == 1);
        CHECK_EQ(hsr_source_check(&fx.loop, fd, &identity), 0);
        identity.size++;
        CHECK_EQ(hsr_source_check(&fx.loop, fd, &identity), HSR_E_CHANGED);
        close(fd);
        files++;
        if (held == NULL) {
            held = item.dir;
            hsr_walk_dir_hold(walk, held);
        }
    }
    CHECK_EQ(files, 5);
    CHECK(held != NULL && strcmp(held->name, "other") == 0);
    CHECK_EQ(hsr_source_open(&cache, walk, held, "gone", false), HSR_E_VANISHED);
    CHECK(symlinkat("f", fx.fd, "a/b/link") == 0 && mkfifoat(fx.fd, "a/b/fifo", 0600) == 0);
    CHECK_EQ(hsr_source_open(&cache, walk, held, "link", false), HSR_E_KIND);
    CHECK_EQ(hsr_source_open(&cache, walk, held, "fifo", false), HSR_E_KIND);
    CHECK_EQ(hsr_source_open(&cache, walk, held, "..", false), -EXDEV);
    int fd = hsr_source_open(&cache, walk, held, "link", true);

    CHECK(fd >= 0);
    close(fd);
    source_blind(&fx, &cache, walk, held);
    hsr_walk_dir_release(walk, held);
    hsr_walk_destroy(walk);
    hsr_dircache_fini(&cache);
    tree_fixture_fini(&fx);
}

int main(void)
{
    RUN(test_opener_resolve_one_name);
    RUN(test_source_opens_what_the_walk_found);
    TEST_END();
}
