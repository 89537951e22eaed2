/* Pruning: what goes, what stays, what is counted, and that nothing outside is touched. */
#include <sys/file.h>

#include "tree_fixture.h"

#define STALE ".hawser.0123456789abcdef00000001.stage"
#define LIVE ".hawser.0123456789abcdef00000002.stage"

struct events {
    unsigned count, failed;
    int code; /* the last failure */
    char paths[64][128];
};

static void event_add(void *context, const char *path, int code)
{
    struct events *events = context;

    if (events->count < HSR_ARRAY_COUNT(events->paths))
        snprintf(events->paths[events->count], sizeof(events->paths[0]), "%s", path);
    events->count++;
    if (code < 0) {
        events->failed++;
        events->code = code;
    }
}

static bool events_have(const struct events *events, const char *path)
{
    for (unsigned i = 0; i < HSR_MIN(events->count, HSR_ARRAY_COUNT(events->paths)); i++) {
        if (strcmp(events->paths[i], path) == 0)
            return true;
    }
    return false;
}

static int run(struct hsr_prune *prune)
{
    int rc;

    while ((rc = hsr_prune_step(prune)) == 1)
        ;
    hsr_prune_destroy(prune);
    return rc;
}

static int prune(struct fixture *fx, const struct hsr_dir *dir, const struct hsr_nameset *keep,
                 const struct hsr_filter *filter, uint64_t *left, struct events *events)
{
    struct hsr_prune *cursor;
    int rc;

    memset(events, 0, sizeof(*events));
    rc = hsr_prune_create(&fx->tree, dir, keep, 99, filter, left, event_add, events, &cursor);
    return rc < 0 ? rc : run(cursor);
}

static int prune_name(struct fixture *fx, const char *name, uint64_t *left, struct events *events)
{
    struct hsr_prune *cursor;
    int rc;

    memset(events, 0, sizeof(*events));
    rc = hsr_prune_create_name(&fx->tree, &fx->root, name, NULL, left, event_add, events, &cursor);
    return rc < 0 ? rc : run(cursor);
}

static struct hsr_filter *filter_of(const char *pattern)
{
    static uint8_t buf[256];
    struct hsr_writer writer = hsr_writer_init(buf, sizeof(buf));
    struct hsr_filter *filter = NULL;

    CHECK_EQ(hsr_rule_encode(&writer, pattern, strlen(pattern), false), 0);
    CHECK_EQ(hsr_filter_create((struct hsr_span){ buf, writer.offset }, &filter), 0);
    return filter;
}

/* a, b, d/{x, e/{y, z}}, link -> ../canary */
static void plant(struct fixture *fx)
{
    write_at(fx->base_fd, "canary", "alive");
    write_at(fx->root_fd, "a", "a");
    write_at(fx->root_fd, "b", "b");
    CHECK_EQ(mkdirat(fx->root_fd, "d", 0755), 0);
    write_at(fx->root_fd, "d/x", "x");
    CHECK_EQ(mkdirat(fx->root_fd, "d/e", 0755), 0);
    write_at(fx->root_fd, "d/e/y", "y");
    write_at(fx->root_fd, "d/e/z.keep", "z");
    CHECK_EQ(symlinkat("../canary", fx->root_fd, "link"), 0);
    CHECK_EQ(symlinkat("../../..", fx->root_fd, "d/e/up"), 0);
}

/* Goal: what is not listed goes, depth first, and is reported with its path. */
static void test_prune_removes_unlisted(void)
{
    struct hsr_nameset keep = { 0 };
    size_t budget = 4096;
    uint64_t left = 100;
    struct events events;
    struct fixture fx;

    fixture_init(&fx, 0);
    plant(&fx);
    CHECK_EQ(hsr_nameset_add(&keep, 99, span_of("a"), &budget), 0);
    CHECK_EQ(prune(&fx, &fx.root, &keep, NULL, &left, &events), 0);
    CHECK_EQ(count_names(fx.root_fd, "."), 1);
    CHECK(holds(fx.root_fd, "a", "a"));
    CHECK(holds(fx.base_fd, "canary", "alive"));
    CHECK_EQ(events.count, 8);
    CHECK_EQ(events.failed, 0);
    CHECK_EQ(left, 92);
    CHECK(events_have(&events, "d/e/y"));
    CHECK(events_have(&events, "d/e/up"));
    CHECK(events_have(&events, "d/e"));
    CHECK(events_have(&events, "d"));
    CHECK(events_have(&events, "link"));
    hsr_nameset_clear(&keep, &budget);
    CHECK_EQ(budget, 4096);
    fixture_fini(&fx);
}

/* Goal: paths are relative to the transfer's root also from below, and only @dir is pruned. */
static void test_prune_below(void)
{
    struct hsr_nameset keep = { 0 };
    uint64_t left = UINT64_MAX;
    struct hsr_dir d, e;
    struct events events;
    struct fixture fx;

    fixture_init(&fx, 0);
    plant(&fx);
    d = dir_of(&fx.root, 3, "d");
    e = dir_of(&d, 4, "e");
    CHECK_EQ(prune(&fx, &e, &keep, NULL, &left, &events), 0);
    CHECK_EQ(events.count, 3);
    CHECK(events_have(&events, "d/e/z.keep"));
    CHECK(exists(fx.root_fd, "d/e"));
    CHECK_EQ(count_names(fx.root_fd, "d/e"), 0);
    CHECK(exists(fx.root_fd, "d/x"));
    fixture_fini(&fx);
}

/* Goal: a dry run reports the same and removes nothing. */
static void test_prune_dry_run(void)
{
    struct hsr_nameset keep = { 0 };
    uint64_t left = 100;
    struct events events;
    struct fixture fx;

    fixture_init(&fx, HSR_OPT_DRY_RUN);
    plant(&fx);
    write_at(fx.root_fd, STALE, "s");
    CHECK_EQ(prune(&fx, &fx.root, &keep, NULL, &left, &events), 0);
    CHECK_EQ(events.count, 9);
    CHECK_EQ(left, 91);
    CHECK(exists(fx.root_fd, "d/e/y"));
    CHECK(exists(fx.root_fd, STALE));
    fixture_fini(&fx);
}

/* Goal: excluded names protect themselves and the directories above them; that is no error. */
static void test_prune_excluded_stays(void)
{
    struct hsr_nameset keep = { 0 };
    struct hsr_filter *filter = filter_of("*.keep");
    uint64_t left = 100;
    struct events events;
    struct fixture fx;

    fixture_init(&fx, 0);
    plant(&fx);
    CHECK_EQ(prune(&fx, &fx.root, &keep, filter, &left, &events), 0);
    CHECK(holds(fx.root_fd, "d/e/z.keep", "z"));
    CHECK(!exists(fx.root_fd, "d/e/y"));
    CHECK(!exists(fx.root_fd, "d/x"));
    CHECK_EQ(events.failed, 0);
    CHECK_EQ(events.count, 6);
    CHECK_EQ(left, 94);
    hsr_filter_destroy(filter);
    fixture_fini(&fx);
}

/* Goal: it stops exactly at the limit. */
static void test_prune_limit(void)
{
    struct hsr_nameset keep = { 0 };
    struct events events;
    struct fixture fx;

    fixture_init(&fx, 0);
    plant(&fx);
    for (uint64_t limit = 0; limit < 9; limit++) {
        uint64_t left = limit;
        int rc = prune(&fx, &fx.root, &keep, NULL, &left, &events);

        CHECK_EQ(rc, HSR_E_DELETE_LIMIT);
        CHECK_EQ(left, 0);
        CHECK_EQ(events.count, limit);
        if (limit == 3)
            break; /* 0 + 1 + 2 + 3 are gone: 3 of 9 are left */
    }
    uint64_t left = 3;
    CHECK_EQ(prune(&fx, &fx.root, &keep, NULL, &left, &events), 0); /* enough is no error */
    CHECK_EQ(left, 0);
    CHECK_EQ(count_names(fx.root_fd, "."), 0);
    fixture_fini(&fx);
}

/* Goal: a dead transfer's stages go, uncounted; a live one's, and what only looks alike, stay. */
static void test_prune_stages(void)
{
    uint64_t left = 0;
    struct events events;
    struct fixture fx;
    int live;

    fixture_init(&fx, 0);
    plant(&fx);
    write_at(fx.root_fd, STALE, "left behind");
    write_at(fx.root_fd, LIVE, "being written");
    write_at(fx.root_fd, ".hawser.mine.stage", "a user's");
    CHECK_EQ(symlinkat("../canary", fx.root_fd, ".hawser.0123456789abcdef00000003.stage"), 0);
    CHECK_EQ(mkfifoat(fx.root_fd, ".hawser.0123456789abcdef00000004.stage", 0600), 0);
    CHECK_EQ(mkdirat(fx.root_fd, ".hawser.0123456789abcdef00000005.stage", 0700), 0);
    live = openat(fx.root_fd, LIVE, O_RDWR);
    CHECK_EQ(flock(live, LOCK_EX | LOCK_NB), 0);
    CHECK_EQ(prune(&fx, &fx.root, NULL, NULL, &left, &events), 0);
    CHECK(!exists(fx.root_fd, STALE));
    CHECK(!exists(fx.root_fd, ".hawser.0123456789abcdef00000003.stage"));
    CHECK(!exists(fx.root_fd, ".hawser.0123456789abcdef00000004.stage"));
    CHECK(exists(fx.root_fd, ".hawser.0123456789abcdef00000005.stage")); /* never one of ours */
    CHECK(exists(fx.root_fd, ".hawser.mine.stage"));
    CHECK(holds(fx.root_fd, LIVE, "being written"));
    CHECK(holds(fx.base_fd, "canary", "alive"));
    CHECK_EQ(events.count, 0);
    CHECK(exists(fx.root_fd, "a") && exists(fx.root_fd, "d/e/y"));
    close(live); /* its owner died */
    CHECK_EQ(prune(&fx, &fx.root, NULL, NULL, &left, &events), 0);
    CHECK(!exists(fx.root_fd, LIVE));
    fixture_fini(&fx);
}

/* Goal: one name with all below it; a symlink is removed, not followed; a missing one is fine. */
static void test_prune_one_name(void)
{
    uint64_t left = 100;
    struct events events;
    struct fixture fx;

    fixture_init(&fx, 0);
    plant(&fx);
    CHECK_EQ(prune_name(&fx, "d", &left, &events), 0);
    CHECK(!exists(fx.root_fd, "d"));
    CHECK_EQ(events.count, 6);
    CHECK_EQ(left, 94);
    CHECK_EQ(prune_name(&fx, "link", &left, &events), 0);
    CHECK(!exists(fx.root_fd, "link"));
    CHECK(holds(fx.base_fd, "canary", "alive"));
    CHECK_EQ(prune_name(&fx, "none", &left, &events), 0);
    CHECK_EQ(events.count, 0);
    CHECK_EQ(prune_name(&fx, "..", &left, &events), HSR_E_NAME);
    CHECK_EQ(prune_name(&fx, "a/b", &left, &events), HSR_E_NAME);
    CHECK_EQ(count_names(fx.root_fd, "."), 2);
    fixture_fini(&fx);
}

/* Goal: many names and many subdirectories, so that directories are continued and reopened, and a
 * chain deeper than the descriptors held and longer than one path. */
static void test_prune_wide_and_deep(void)
{
    static const char part[] = "a-name-that-makes-paths-long-quickly-because-it-is-long-itself";
    struct hsr_nameset keep = { 0 };
    uint64_t left = UINT64_MAX;
    struct events events;
    struct fixture fx;
    char name[64];
    int fd;

    fixture_init(&fx, 0);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "%s%u", i % 3 ? "file" : "dir", i);
        if (i % 3) {
            write_at(fx.root_fd, name, "");
        } else {
            CHECK_EQ(mkdirat(fx.root_fd, name, 0755), 0);
            fd = openat(fx.root_fd, name, O_RDONLY | O_DIRECTORY);
            write_at(fd, "inside", "");
            close(fd);
        }
    }
    fd = dup(fx.root_fd);
    for (unsigned i = 0; i < 150; i++) { /* 9 KiB of path */
        int next;

        CHECK_EQ(mkdirat(fd, part, 0755), 0);
        write_at(fd, "beside", "");
        next = openat(fd, part, O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    CHECK_EQ(prune(&fx, &fx.root, &keep, NULL, &left, &events), 0);
    CHECK_EQ(count_names(fx.root_fd, "."), 0);
    CHECK_EQ(events.count, 1000 + 334 + 300);
    CHECK_EQ(events.failed, 0);
    fixture_fini(&fx);
}

/* Goal: what is mounted at the target is not ours: reported, untouched, the rest goes on. */
static void test_prune_never_crosses_a_mount(void)
{
    struct hsr_nameset keep = { 0 };
    uint64_t left = 100;
    struct events events;
    struct fixture fx;
    char path[96];

    if (geteuid() != 0)
        return;
    fixture_init(&fx, 0);
    plant(&fx);
    snprintf(path, sizeof(path), "%s/root/d/e", fx.path);
    if (mount("none", path, "tmpfs", 0, "size=64k") == 0) {
        write_at(fx.root_fd, "d/e/mounted", "safe");
        CHECK_EQ(prune(&fx, &fx.root, &keep, NULL, &left, &events), 0);
        CHECK(holds(fx.root_fd, "d/e/mounted", "safe"));
        CHECK(!exists(fx.root_fd, "d/x"));
        CHECK(!exists(fx.root_fd, "a"));
        CHECK_EQ(events.failed, 1);
        CHECK_EQ(events.code, -EBUSY);
        CHECK_EQ(umount(path), 0);
    }
    fixture_fini(&fx);
}

/* Goal: a plain user removes his own read-only directories too; what is not his is reported and
 * the rest goes on. Method: a child that becomes nobody. */
static void test_prune_plain_user(void)
{
    struct hsr_nameset keep = { 0 };
    uint64_t left = 100;
    struct events events;
    struct fixture fx;
    int status = -1;
    pid_t child;

    fixture_init(&fx, 0);
    if (!fx.tree.root) {
        fixture_fini(&fx);
        return;
    }
    CHECK_EQ(mkdirat(fx.root_fd, "theirs", 0755), 0);
    write_at(fx.root_fd, "theirs/file", "stays");
    child = fork();
    if (child == 0) {
        if (setgid(65534) < 0 || setuid(65534) < 0)
            _exit(99);
        fixture_loop(&fx, 0);
        CHECK_EQ(mkdirat(fx.root_fd, "mine", 0755), 0);
        write_at(fx.root_fd, "mine/file", "goes");
        CHECK_EQ(mkdirat(fx.root_fd, "mine/shut", 0000), 0);
        CHECK_EQ(fchmodat(fx.root_fd, "mine", 0500, 0), 0);
        CHECK_EQ(prune(&fx, &fx.root, &keep, NULL, &left, &events), 0);
        CHECK(!exists(fx.root_fd, "mine"));
        CHECK(holds(fx.root_fd, "theirs/file", "stays"));
        CHECK_EQ(events.failed, 1);
        CHECK_EQ(events.code, -EACCES);
        _exit(hsr_test_failures == 0 ? 0 : 1);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    fixture_fini(&fx);
}

/* Goal: the set grows, finds all it was given and nothing else, and keeps to its budget. */
static void test_nameset(void)
{
    struct hsr_nameset set = { 0 };
    size_t budget = 8 * HSR_MIB, empty = 0;
    unsigned wrong = 0;
    char name[32];
    int rc = 0;

    CHECK(!hsr_nameset_has(&set, 7, span_of("a")));
    CHECK_EQ(hsr_nameset_add(&set, 7, span_of("a"), &empty), HSR_E_MEMORY_BOUND);
    CHECK_EQ(set.count, 0);
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(name, sizeof(name), "name-%u", i);
        CHECK_EQ(hsr_nameset_add(&set, 7, span_of(name), &budget), 0);
    }
    CHECK_EQ(hsr_nameset_add(&set, 7, span_of("name-5"), &budget), 0);
    CHECK_EQ(set.count, 100000);
    CHECK_EQ(budget, 8 * HSR_MIB - set.size * sizeof(uint64_t));
    for (unsigned i = 0; i < 200000; i++) {
        snprintf(name, sizeof(name), "name-%u", i);
        wrong += hsr_nameset_has(&set, 7, span_of(name)) != (i < 100000);
    }
    CHECK_EQ(wrong, 0);
    CHECK(!hsr_nameset_has(&set, 8, span_of("name-5"))); /* keyed */
    for (unsigned i = 100000; i < 1000000 && rc == 0; i++) {
        snprintf(name, sizeof(name), "name-%u", i);
        rc = hsr_nameset_add(&set, 7, span_of(name), &budget);
    }
    CHECK_EQ(rc, HSR_E_MEMORY_BOUND);
    CHECK(hsr_nameset_has(&set, 7, span_of("name-5"))); /* still whole */
    hsr_nameset_clear(&set, &budget);
    CHECK_EQ(budget, 8 * HSR_MIB);
}

int main(void)
{
    RUN(test_prune_removes_unlisted);
    RUN(test_prune_below);
    RUN(test_prune_dry_run);
    RUN(test_prune_excluded_stays);
    RUN(test_prune_limit);
    RUN(test_prune_stages);
    RUN(test_prune_one_name);
    RUN(test_prune_wide_and_deep);
    RUN(test_prune_never_crosses_a_mount);
    RUN(test_prune_plain_user);
    RUN(test_nameset);
    TEST_END();
}
