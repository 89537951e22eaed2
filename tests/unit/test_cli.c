/* Numbers, sizes, JSON strings and exit codes of the command. */
#include "client/cli/cli.h"

#include <errno.h>

#include "tests/unit/hsr_test.h"

static void test_size_units(void)
{
    static const struct {
        const char *text;
        uint64_t unit, bytes;
    } cases[] = {
        { "0", 1, 0 },
        { "1", 1024, 1024 },
        { "10M", 1024, 10u << 20 },
        { "10240", 1024, 10u << 20 },
        { "64K", 1, 65536 },
        { "64k", 1, 65536 },
        { "64KiB", 1, 65536 },
        { "64kib", 1, 65536 },
        { "64KB", 1, 64000 },
        { "1.5M", 1, 3u << 19 },
        { "1.5", 1024, 1536 },
        { "2G", 1, 2ull << 30 },
        { "1T", 1, 1ull << 40 },
        { "7B", 1024, 7 },
        { "0.5GB", 1, 500000000 },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t bytes = 1234567;

        CHECK(cli_size_parse(cases[i].text, cases[i].unit, &bytes));
        CHECK_EQ(bytes, cases[i].bytes);
    }
}

static void test_size_refused(void)
{
    static const char *const texts[] = { "",
                                         "K",
                                         "fast",
                                         "-1",
                                         "+1",
                                         " 1",
                                         "1 ",
                                         "1 K",
                                         "1X",
                                         "1Ki",
                                         "1KK",
                                         "1.",
                                         ".5",
                                         "1.K",
                                         "1e3",
                                         "0x1",
                                         "1,5",
                                         "1Bi",
                                         "1M1",
                                         "99999999999999999T",
                                         "9999999999999999999999",
                                         "18446744073709551616" };
    uint64_t bytes = 77;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        CHECK(!cli_size_parse(texts[i], 1, &bytes));
    CHECK_EQ(bytes, 77);
}

static void test_number(void)
{
    uint64_t number = 5;

    CHECK(cli_number_parse("64", 1, 64, &number) && number == 64);
    CHECK(!cli_number_parse("65", 1, 64, &number));
    CHECK(!cli_number_parse("0", 1, 64, &number));
    CHECK(!cli_number_parse("-1", 0, 64, &number));
    CHECK(!cli_number_parse("", 0, 64, &number));
    CHECK(!cli_number_parse("6 ", 0, 64, &number));
    CHECK(!cli_number_parse("18446744073709551616", 0, UINT64_MAX, &number));
    CHECK(cli_number_parse("18446744073709551615", 0, UINT64_MAX, &number));
    CHECK(number == UINT64_MAX);
}

static void test_print(void)
{
    char buf[32];

    CHECK(strcmp(cli_bytes_print(0, buf, sizeof(buf)), "0 B") == 0);
    CHECK(strcmp(cli_bytes_print(999, buf, sizeof(buf)), "999 B") == 0);
    CHECK(strcmp(cli_bytes_print(1000, buf, sizeof(buf)), "1.00 kB") == 0);
    CHECK(strcmp(cli_bytes_print(999999, buf, sizeof(buf)), "1.00 MB") == 0);
    CHECK(strcmp(cli_bytes_print(123.4e6, buf, sizeof(buf)), "123.4 MB") == 0);
    CHECK(strcmp(cli_bytes_print(2.5e9, buf, sizeof(buf)), "2.50 GB") == 0);
    CHECK(strcmp(cli_count_print(7, buf, sizeof(buf)), "7") == 0);
    CHECK(strcmp(cli_count_print(1234567, buf, sizeof(buf)), "1,234,567") == 0);
    CHECK(strcmp(cli_count_print(100, buf, sizeof(buf)), "100") == 0);
}

static void check_utf8(const char *in, const char *out, bool exact)
{
    bool was_exact = !exact;
    char *text = cli_utf8(in, strlen(in), &was_exact);

    CHECK(text != NULL && strcmp(text, out) == 0);
    CHECK(was_exact == exact);
    free(text);
}

#define BAD "\xef\xbf\xbd"

/* Goal: what goes into JSON is valid UTF-8, and it is known when it is not the name itself. */
static void test_utf8(void)
{
    check_utf8("", "", true);
    check_utf8("plain \n\x1b\"\\", "plain \n\x1b\"\\", true);
    check_utf8("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
               true);
    check_utf8("a\xff"
               "b",
               "a" BAD "b", false);
    check_utf8("\xc3", BAD, false); /* cut */
    check_utf8("\xc0\xaf", BAD BAD, false); /* overlong '/' */
    check_utf8("\xe0\x80\xaf", BAD BAD BAD, false);
    check_utf8("\xed\xa0\x80", BAD BAD BAD, false); /* a surrogate */
    check_utf8("\xf4\x90\x80\x80", BAD BAD BAD BAD, false); /* over U+10FFFF */
    check_utf8("\x80", BAD, false);
}

static void test_base64(void)
{
    static const char *const pairs[][2] = {
        { "", "" },        { "f", "Zg==" },        { "fo", "Zm8=" },
        { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "\xff\xfe\xfd", "//79" }
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char *text = cli_base64(pairs[i][0], strlen(pairs[i][0]));

        CHECK(text != NULL && strcmp(text, pairs[i][1]) == 0);
        free(text);
    }
}

static void test_exit_codes(void)
{
    struct cli_output output = { 0 };

    CHECK_EQ(cli_exit_code(&output, 0), 0);
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_PARTIAL), 1);
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_USAGE), 2);
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_FILTER), 2);
    CHECK_EQ(cli_exit_code(&output, -ECONNREFUSED), 3);
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_RESOLVE), 3);
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_EXPORT), 3);
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_READONLY), 3);
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_BUSY), 3);
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_PROTOCOL), 4);
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_CHECK), 4);
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_DIGEST), 4);
    CHECK_EQ(cli_exit_code(&output, -ENOSPC), 5);
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_NO_IO_URING), 5);
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_PLAN), 5);
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_CANCELED), 130);
    CHECK_EQ(cli_exit_code(&output, -EACCES), 1);
    output.full = true;
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_PARTIAL), 5);
    output = (struct cli_output){ .damaged = true };
    CHECK_EQ(cli_exit_code(&output, HAWSER_E_PARTIAL), 4);
}

/* Goal: "!" forgets what came before; other rules keep their order. */
static void test_rules(void)
{
    static struct cli_options options;

    CHECK(cli_rule_add(&options, "*.o", 3, false));
    CHECK(cli_rule_add(&options, "!", 1, false));
    CHECK_EQ(options.rule_count, 0);
    CHECK(cli_rule_add(&options, "*.cxx", 3, true)); /* the size counts */
    CHECK(cli_rule_add(&options, "*", 1, false));
    CHECK_EQ(options.rule_count, 2);
    CHECK(strcmp(options.rules[0].pattern, "*.c") == 0 && options.rules[0].include);
    CHECK(strcmp(options.rules[1].pattern, "*") == 0 && !options.rules[1].include);
}

int main(void)
{
    RUN(test_size_units);
    RUN(test_size_refused);
    RUN(test_number);
    RUN(test_print);
    RUN(test_utf8);
    RUN(test_base64);
    RUN(test_exit_codes);
    RUN(test_rules);
    TEST_END();
}
