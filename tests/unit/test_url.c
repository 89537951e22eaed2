/* URLs: what is taken apart, and what is refused with words. */
#include "hawser/hawser.h"

#include <errno.h>

#include "tests/unit/hsr_test.h"

static hawser_url url;
static char why[256];

static int parse(const char *text)
{
    memset(&url, 0xa5, sizeof(url));
    return hawser_url_parse(text, &url, why, sizeof(why));
}

/* Goal: each part lands where it belongs, with defaults. */
static void test_url_parts(void)
{
    CHECK_EQ(parse("hawser://host/x"), 0);
    CHECK(strcmp(url.host, "host") == 0 && strcmp(url.export_name, "x") == 0);
    CHECK(url.port == HAWSER_PORT && url.path[0] == '\0' && url.contents);
    CHECK_EQ(parse("hawser://1.2.3.4:99/data/a/b"), 0);
    CHECK(strcmp(url.host, "1.2.3.4") == 0 && url.port == 99 && !url.contents);
    CHECK(strcmp(url.export_name, "data") == 0 && strcmp(url.path, "a/b") == 0);
    CHECK_EQ(parse("hawser://[::1]:7441/x/"), 0);
    CHECK(strcmp(url.host, "::1") == 0 && url.port == 7441 && url.contents);
    CHECK_EQ(parse("hawser://[fe80::1%eth0]/x"), 0);
    CHECK(strcmp(url.host, "fe80::1%eth0") == 0);
}

/* Goal: slashes and dots that say nothing are gone; those at the end mean the contents. */
static void test_url_path_is_normal(void)
{
    CHECK_EQ(parse("hawser://h/x//a///b/"), 0);
    CHECK(strcmp(url.path, "a/b") == 0 && url.contents);
    CHECK_EQ(parse("hawser://h/x/./a/./b"), 0);
    CHECK(strcmp(url.path, "a/b") == 0 && !url.contents);
    CHECK_EQ(parse("hawser://h/x/a/."), 0);
    CHECK(strcmp(url.path, "a") == 0 && url.contents);
    CHECK_EQ(parse("hawser://h/x/..."), 0);
    CHECK(strcmp(url.path, "...") == 0);
}

/* Goal: bytes are bytes, encoded or not. */
static void test_url_percent(void)
{
    CHECK_EQ(parse("hawser://h/a%20b/c%25d%ffe"), 0);
    CHECK(strcmp(url.export_name, "a b") == 0 && strcmp(url.path, "c%d\xff"
                                                                  "e") == 0);
    CHECK_EQ(parse("hawser://h/x/a?b#c\n\x1b"), 0);
    CHECK(strcmp(url.path, "a?b#c\n\x1b") == 0);
}

static void test_url_refused(void)
{
    static const char *const texts[] = {
        "",
        "host",
        "http://h/x",
        "hawser:/h/x",
        "hawser://",
        "hawser:///x",
        "hawser://h",
        "hawser://h/",
        "hawser://h//",
        "hawser://h:/x",
        "hawser://h:0/x",
        "hawser://h:65536/x",
        "hawser://h:99999/x",
        "hawser://h:7x/x",
        "hawser://h:-1/x",
        "hawser://h:123456/x",
        "hawser://::1/x",
        "hawser://[::1/x",
        "hawser://[host]/x",
        "hawser://[::1]7/x",
        "hawser://[]/x",
        "hawser://user@h/x",
        "hawser://a b/x",
        "hawser://h/x/../y",
        "hawser://h/x/..",
        "hawser://h/..",
        "hawser://h/.",
        "hawser://h/%2e%2e/y",
        "hawser://h/x/%2E%2E",
        "hawser://h/x/a%2Fb",
        "hawser://h/x/a%2fb",
        "hawser://h/x/a%00b",
        "hawser://h/x/%",
        "hawser://h/x/%4",
        "hawser://h/x/%zz",
        "hawser://h/a%2Fb",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int rc = parse(texts[i]);

        CHECK_EQ(rc, HAWSER_E_USAGE);
        if (rc == 0)
            fprintf(stderr, "accepted: %s\n", texts[i]);
        CHECK(why[0] != '\0');
        CHECK((unsigned char)url.host[0] == 0xa5); /* written on success only */
    }
    CHECK_EQ(hawser_url_parse(NULL, &url, why, sizeof(why)), HAWSER_E_USAGE);
    CHECK_EQ(hawser_url_parse("hawser://h/x", NULL, NULL, 0), HAWSER_E_USAGE);
}

/* Goal: limits hold exactly at their border. */
static void test_url_limits(void)
{
    static char text[2 * HAWSER_PATH_MAX];
    size_t at = (size_t)snprintf(text, sizeof(text), "hawser://h/x/");

    memset(text + at, 'n', HAWSER_NAME_MAX);
    text[at + HAWSER_NAME_MAX] = '\0';
    CHECK_EQ(parse(text), 0);
    text[at + HAWSER_NAME_MAX] = 'n';
    text[at + HAWSER_NAME_MAX + 1] = '\0';
    CHECK_EQ(parse(text), HAWSER_E_USAGE);

    for (size_t i = 0; i < HAWSER_PATH_MAX; i++)
        text[at + i] = i % 2 == 0 ? 'a' : '/';
    text[at + HAWSER_PATH_MAX - 1] = '\0';
    CHECK_EQ(parse(text), 0);
    CHECK_EQ(strlen(url.path), HAWSER_PATH_MAX - 1);
    memcpy(text + at + HAWSER_PATH_MAX - 1, "/ab", 4);
    CHECK_EQ(parse(text), HAWSER_E_USAGE);
}

/* Goal: no client is needed for words, and none breaks them. */
static void test_error_words(void)
{
    CHECK(strcmp(hawser_error_name(-ENOSPC), "ENOSPC") == 0);
    CHECK(strcmp(hawser_error_name(HAWSER_E_DIGEST), "DIGEST") == 0);
    CHECK(hawser_error_class(HAWSER_E_READONLY) == HAWSER_CLASS_AUTH);
    CHECK(hawser_error_class(-ECONNREFUSED) == HAWSER_CLASS_NET);
    CHECK(hawser_strerror(-123456)[0] != '\0');
    CHECK(hawser_client_message(NULL)[0] == '\0');
    hawser_cancel(NULL);
    hawser_client_close(NULL);
    CHECK_EQ(hawser_push(NULL, NULL, 0, NULL, NULL, NULL), HAWSER_E_USAGE);
    CHECK_EQ(hawser_pull(NULL, NULL, 0, NULL, NULL, NULL), HAWSER_E_USAGE);
    CHECK_EQ(hawser_list(NULL, NULL, NULL, NULL), HAWSER_E_USAGE);
    CHECK_EQ(hawser_client_open(NULL, NULL, NULL, 0), HAWSER_E_USAGE);
    CHECK(strcmp(hawser_version(), HAWSER_VERSION) == 0);
}

int main(void)
{
    RUN(test_url_parts);
    RUN(test_url_path_is_normal);
    RUN(test_url_percent);
    RUN(test_url_refused);
    RUN(test_url_limits);
    RUN(test_error_words);
    TEST_END();
}
