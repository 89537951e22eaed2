/* Listed paths: brought into one form, and into the order of the tree. */
#include "client/client.h"

#include <errno.h>

#include "tests/unit/hsr_test.h"

static int normalise(const char *in, const char *out, bool contents)
{
    char text[64];
    bool is_contents = !contents;

    (void)snprintf(text, sizeof(text), "%s", in);
    return hsr_paths_normalise(text, &is_contents) == 0 && strcmp(text, out) == 0 &&
           is_contents == contents;
}

static void test_paths_normal_form(void)
{
    CHECK(normalise("a", "a", false));
    CHECK(normalise("/a/two.o", "a/two.o", false));
    CHECK(normalise("./x/foo/f", "x/foo/f", false));
    CHECK(normalise("a//b///c/", "a/b/c", true));
    CHECK(normalise("foo/", "foo", true));
    CHECK(normalise("foo/.", "foo", true));
    CHECK(normalise("", "", true));
    CHECK(normalise("/", "", true));
    CHECK(normalise(".", "", true));
    CHECK(normalise("...", "...", false));
    CHECK(normalise("..a/b..", "..a/b..", false));
}

static void test_paths_refused(void)
{
    static const char *const texts[] = { "..", "../a", "a/..", "a/../b", "/..", "./..", "a/../" };
    char text[HSR_NAME_MAX + 2];
    bool contents;

    for (size_t i = 0; i < HSR_ARRAY_COUNT(texts); i++) {
        (void)snprintf(text, sizeof(text), "%s", texts[i]);
        CHECK_EQ(hsr_paths_normalise(text, &contents), HSR_E_ESCAPE);
    }
    memset(text, 'n', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    CHECK_EQ(hsr_paths_normalise(text, &contents), -ENAMETOOLONG);
}

/* Goal: what is below a directory comes right behind it, whatever bytes sort before '/'. */
static void test_paths_order_of_the_tree(void)
{
    static const char *const in[] = { "a.b", "a/z", "b", "a", "a/b/c", "a-x", "a/b", "a", "a b" };
    static const char *const out[] = { "a", "a/b", "a/b/c", "a/z", "a b", "a-x", "a.b", "b" };
    char *paths[HSR_ARRAY_COUNT(in)];
    size_t count;

    for (size_t i = 0; i < HSR_ARRAY_COUNT(in); i++)
        paths[i] = strdup(in[i]);
    count = hsr_paths_sort(paths, HSR_ARRAY_COUNT(in));
    CHECK_EQ(count, HSR_ARRAY_COUNT(out));
    for (size_t i = 0; i < count; i++) {
        CHECK(strcmp(paths[i], out[i]) == 0);
        free(paths[i]);
    }
    CHECK_EQ(hsr_paths_sort(NULL, 0), 0);
}

/* Goal: what is not there yet is where its deepest existing part is. */
static void test_paths_disks(void)
{
    struct hsr_device disks[4], same[4];
    unsigned count = hsr_paths_disks("/", disks, 4);

    CHECK_EQ(hsr_paths_disks("/no-such-name/x/y", same, 4), count);
    CHECK_EQ(hsr_paths_disks("/no-such-name", same, 4), count);
    for (unsigned i = 0; i < count; i++)
        CHECK(strcmp(disks[i].name, same[i].name) == 0);
    count = hsr_paths_disks(".", disks, 4);
    CHECK_EQ(hsr_paths_disks("", same, 4), count);
    CHECK_EQ(hsr_paths_disks("no-such-name", same, 4), count);
    CHECK_EQ(hsr_paths_disks("no-such-name/x", same, 4), count);
    CHECK_EQ(hsr_paths_disks("/proc/self", same, 4), 0); /* on no disk */
    CHECK_EQ(hsr_paths_disks("/proc/no-such-name", same, 4), 0);
    CHECK_EQ(hsr_paths_disks("/dev/null/x", same, 4), 0); /* no directory */
}

/* Goal: structures of older and newer callers. */
static void test_opts_of_other_versions(void)
{
    struct {
        hawser_client_opts opts;
        uint64_t more;
    } newer = { .opts = { .size = sizeof(newer), .depth = 7 } };
    hawser_client_opts copy, old = { .size = offsetof(hawser_client_opts, depth), .depth = 9 };

    CHECK_EQ(hsr_client_opts_copy(&copy, sizeof(copy), &newer), 0);
    CHECK_EQ(copy.depth, 7);
    newer.more = 1;
    CHECK_EQ(hsr_client_opts_copy(&copy, sizeof(copy), &newer), HSR_E_USAGE);
    CHECK_EQ(hsr_client_opts_copy(&copy, sizeof(copy), &old), 0);
    CHECK_EQ(copy.depth, 0);
    old.size = 0;
    CHECK_EQ(hsr_client_opts_copy(&copy, sizeof(copy), &old), HSR_E_USAGE);
    CHECK_EQ(hsr_client_opts_copy(&copy, sizeof(copy), NULL), 0);
}

int main(void)
{
    RUN(test_paths_normal_form);
    RUN(test_paths_refused);
    RUN(test_paths_order_of_the_tree);
    RUN(test_paths_disks);
    RUN(test_opts_of_other_versions);
    TEST_END();
}
