/* Filter rules: the encoded form and its limits, the forms of patterns, and the bound on time. What
 * rules mean is compared with rsync itself by tests/integration/filter_table.py. */
#include "transfer/tree/filter.h"

#include <errno.h>
#include <time.h>

#include "base/err.h"
#include "tests/unit/hsr_test.h"

static uint8_t rules[HSR_RULES_SIZE_MAX + 64];

/* Is @path excluded by rules that are separated by '|'? A path that ends in '/' is a directory. */
static bool excluded(const char *text, const char *path)
{
    struct hsr_writer w = hsr_writer_init(rules, HSR_RULES_SIZE_MAX);
    struct hsr_filter *filter = NULL;
    size_t size = strlen(path);
    bool is_dir = size > 0 && path[size - 1] == '/';
    bool answer;

    while (*text != '\0') {
        size_t rule_size = strcspn(text, "|");
        CHECK_EQ(hsr_rule_encode(&w, text, rule_size, false), 0);
        text += rule_size + (text[rule_size] == '|');
    }
    CHECK_EQ(hsr_filter_create((struct hsr_span){ rules, w.offset }, &filter), 0);
    memset(rules, 0xee, w.offset); /* the filter holds its own copy */
    answer = hsr_filter_excluded(filter, path, is_dir ? size - 1 : size, is_dir);
    hsr_filter_destroy(filter);
    return answer;
}

static void test_filter_forms(void)
{
    CHECK(excluded("*.o", "a/b.o") && !excluded("*.o", "a/b.oo"));
    CHECK(excluded("/a", "a") && !excluded("/a", "b/a"));
    CHECK(excluded("a/b", "x/a/b") && !excluded("a/b", "xa/b"));
    CHECK(excluded("d/", "x/d/") && !excluded("d/", "x/d"));
    CHECK(excluded("**/x", "x") && excluded("**/x", "a/b/x"));
    CHECK(excluded("a/**/b", "a/x/y/b") && !excluded("a/**/b", "a/b"));
    CHECK(excluded("dir/***", "dir/") && excluded("dir/***", "dir/x") &&
          !excluded("dir/***", "dir"));
    CHECK(excluded("[!a-c]", "d") && !excluded("[!a-c]", "b"));
    CHECK(excluded("??", "\xc3\xa9") && !excluded("?", "\xc3\xa9"));
    CHECK(excluded("a\\*", "a\\*") == false); /* a wildcard: backslash escapes */
    CHECK(excluded("a\\*", "a*") && !excluded("a\\*", "ab"));
    CHECK(excluded("a\\b", "a\\b") && !excluded("a\\b", "ab")); /* no wildcard: bytes */
    CHECK(!excluded("[", "[") && !excluded("*\\", "a\\"));
}

static void test_filter_first_match_wins(void)
{
    CHECK(!excluded("+ *.c|- *", "x.c") && excluded("+ *.c|- *", "x.h"));
    CHECK(excluded("- *|+ *.c", "x.c"));
    CHECK(!excluded("+ /a/|- *", "a/") && excluded("+ /a/|- *", "a") &&
          excluded("+ /a/|- *", "a/b"));
    CHECK(!excluded("", "x"));
}

static void test_filter_root_and_null(void)
{
    CHECK(!hsr_filter_excluded(NULL, "x", 1, false));
    CHECK(!excluded("***", "") && !excluded("*", ""));
    hsr_filter_destroy(NULL);
}

static void test_rule_encode_prefixes(void)
{
    struct hsr_writer w = hsr_writer_init(rules, 64);

    CHECK_EQ(hsr_rule_encode(&w, "+ a", 3, false), 0);
    CHECK_EQ(hsr_rule_encode(&w, "- b", 3, true), 0);
    CHECK_EQ(hsr_rule_encode(&w, "c", 1, true), 0);
    CHECK_EQ(hsr_rule_encode(&w, "-d", 2, false), 0);
    CHECK_EQ(w.offset, 4 + 4 + 4 + 5);
    CHECK(memcmp(rules, "\1\1\0a\0\1\0b\1\1\0c\0\2\0-d", w.offset) == 0);
}

static void test_rule_encode_refuses(void)
{
    static char text[4100];
    struct hsr_writer w = hsr_writer_init(rules, sizeof(rules));

    CHECK_EQ(hsr_rule_encode(&w, "", 0, false), HSR_E_FILTER);
    CHECK_EQ(hsr_rule_encode(&w, "- ", 2, false), HSR_E_FILTER);
    CHECK_EQ(hsr_rule_encode(&w, "!", 1, false), HSR_E_FILTER);
    CHECK_EQ(hsr_rule_encode(&w, "a\0b", 3, false), HSR_E_FILTER);
    memset(text, 'x', sizeof(text));
    CHECK_EQ(hsr_rule_encode(&w, text, 4097, false), HSR_E_LIMIT);
    CHECK(w.offset == 0 && !w.failed);
    CHECK_EQ(hsr_rule_encode(&w, text, 4096, false), 0);
    while (HSR_RULES_SIZE_MAX - w.offset >= 4099)
        CHECK_EQ(hsr_rule_encode(&w, text, 4096, false), 0);
    CHECK_EQ(hsr_rule_encode(&w, text, HSR_RULES_SIZE_MAX - w.offset - 2, false), HSR_E_LIMIT);
    CHECK_EQ(hsr_rule_encode(&w, text, HSR_RULES_SIZE_MAX - w.offset - 3, false), 0);
    CHECK_EQ(w.offset, HSR_RULES_SIZE_MAX);
    CHECK_EQ(hsr_rule_encode(&w, "a", 1, false), HSR_E_LIMIT);
}

static int create(const uint8_t *bytes, size_t size)
{
    struct hsr_filter *filter = NULL;
    int rc = hsr_filter_create((struct hsr_span){ bytes, size }, &filter);

    CHECK((rc == 0) == (filter != NULL));
    hsr_filter_destroy(filter);
    return rc;
}

static void test_filter_create_refuses(void)
{
    static const uint8_t good[] = { 0, 3, 0, 'a', '*', 'b', 1, 1, 0, 'c' };

    CHECK_EQ(create(NULL, 0), 0);
    CHECK_EQ(create(good, sizeof(good)), 0);
    for (size_t cut = 1; cut < sizeof(good); cut++)
        CHECK_EQ(create(good, cut), cut == 6 ? 0 : HSR_E_TRUNCATED);
    CHECK_EQ(create((const uint8_t[]){ 2, 1, 0, 'a' }, 4), HSR_E_FILTER); /* kind */
    CHECK_EQ(create((const uint8_t[]){ 0, 0, 0 }, 3), HSR_E_FILTER); /* empty */
    CHECK_EQ(create((const uint8_t[]){ 0, 1, 0, 0 }, 4), HSR_E_FILTER); /* NUL */
    memset(rules, 'x', sizeof(rules));
    rules[0] = 0;
    rules[1] = 1;
    rules[2] = 0x10; /* 4097 */
    CHECK_EQ(create(rules, 4100), HSR_E_LIMIT);
    CHECK_EQ(create(rules, HSR_RULES_SIZE_MAX + 1), HSR_E_LIMIT);
}

static void test_filter_rule_count_limit(void)
{
    for (size_t count = HSR_RULES_MAX - 1; count <= HSR_RULES_MAX + 1; count++) {
        struct hsr_writer w = hsr_writer_init(rules, sizeof(rules));

        for (size_t i = 0; i < count; i++)
            CHECK_EQ(hsr_rule_encode(&w, "[a]*", 4, false), 0);
        CHECK_EQ(create(rules, w.offset), count > HSR_RULES_MAX ? HSR_E_LIMIT : 0);
    }
}

/* Goal: patterns that make a recursive matcher take for ever take no time here.
 * Method: many stars that nearly match, on the longest path; seconds would be seen. */
static void test_filter_time_is_bounded(void)
{
    static char path[HSR_PATH_WIRE_MAX];
    static const char *const patterns[] = {
        "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", "**a**a**a**a**a**a**a**a**a**a**a**a**a**b",
        "**a*a*a*a*a*a*a*a*b**a*a*a*a*a*a*b",     "a**/a*a*/a*a**/*a*a*/b",
        "**/*a*/*a*/*a*/*a*/*a*/*a*/b",           "**?a?*?a?**?a?*?a?*b",
    };
    struct timespec start;
    struct timespec end;

    memset(path, 'a', sizeof(path));
    for (size_t i = 250; i < sizeof(path); i += 251)
        path[i] = '/';
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    for (size_t i = 0; i < HSR_ARRAY_COUNT(patterns); i++) {
        struct hsr_writer w = hsr_writer_init(rules, sizeof(rules));
        struct hsr_filter *filter = NULL;

        CHECK_EQ(hsr_rule_encode(&w, patterns[i], strlen(patterns[i]), false), 0);
        CHECK_EQ(hsr_filter_create((struct hsr_span){ rules, w.offset }, &filter), 0);
        CHECK(!hsr_filter_excluded(filter, path, sizeof(path), false));
        path[sizeof(path) - 1] = 'b';
        if (i == 1)
            CHECK(hsr_filter_excluded(filter, path, sizeof(path), false));
        path[sizeof(path) - 1] = 'a';
        hsr_filter_destroy(filter);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    CHECK(end.tv_sec - start.tv_sec < 5);
}

int main(void)
{
    RUN(test_filter_forms);
    RUN(test_filter_first_match_wins);
    RUN(test_filter_root_and_null);
    RUN(test_rule_encode_prefixes);
    RUN(test_rule_encode_refuses);
    RUN(test_filter_create_refuses);
    RUN(test_filter_rule_count_limit);
    RUN(test_filter_time_is_bounded);
    TEST_END();
}
