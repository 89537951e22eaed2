/* Numbers, sizes, JSON strings and exit codes of the command. */
#include "client/cli/cli.h"

#include <errno.h>

#include "client/cli/bench.h"
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
/* Goal: "not sent twice" is said only where it is so. */
static void test_hints(void)
{
    static const int codes[] = { HAWSER_E_CANCELED, HAWSER_E_BUSY, HAWSER_E_SHUTDOWN,
                                 HAWSER_E_CLOSED, HAWSER_E_TIMEOUT };
    static const enum cli_command others[] = { CLI_LS, CLI_STAT, CLI_VERIFY, CLI_DIGEST };

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct cli_options options = { .command = CLI_PUSH };
        bool *const wasted[] = { &options.transfer.dry_run, &options.transfer.discard,
                                 &options.transfer.no_times };
        bool *const parts[] = { &options.transfer.no_journal, &options.transfer.inplace };
        const char *hint = cli_hint(&options, codes[i]);

        CHECK(strstr(hint, "what arrived is not sent twice") != NULL);
        options.command = CLI_PULL;
        CHECK(cli_hint(&options, codes[i]) == hint);
        for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
            *parts[k] = true;
            CHECK(strstr(cli_hint(&options, codes[i]), "complete files are not sent twice"));
            *parts[k] = false;
        }
        for (size_t k = 0; k < sizeof(wasted) / sizeof(wasted[0]); k++) {
            *wasted[k] = true;
            hint = cli_hint(&options, codes[i]);
            CHECK((hint == NULL) == (codes[i] == HAWSER_E_CANCELED));
            CHECK(hint == NULL || strstr(hint, "twice") == NULL);
            *wasted[k] = false;
        }
        options.transfer.no_times = options.transfer.checksum = true;
        CHECK(strstr(cli_hint(&options, codes[i]), "what arrived") != NULL);
        options.transfer.no_times = options.transfer.checksum = false;
        for (size_t k = 0; k < sizeof(others) / sizeof(others[0]); k++) {
            options.command = others[k];
            CHECK(cli_hint(&options, codes[i]) == cli_hint(NULL, codes[i]));
        }
        hint = cli_hint(NULL, codes[i]);
        CHECK(hint == NULL || strstr(hint, "twice") == NULL);
    }
    CHECK(cli_hint(NULL, HAWSER_E_MEMLOCK) != NULL);
}

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

static void test_bench_list(void)
{
    static const char *const bad[] = { "", ",", "1,", ",1", "1,,2", "0", "65", "1,65", "x", "1 ,2",
                                       "1;2", "-1", "1.5", "0x1",
                                       /* one more than there is room for */
                                       ("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,"
                                        "23,24,25,26,27,28,29,30,31,32,33") };
    struct bench_list list = { .count = 77 };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!bench_list_parse(bad[i], false, 1, 64, &list));
    CHECK_EQ(list.count, 77); /* nothing is written on errors */
    CHECK(bench_list_parse("4", false, 1, 64, &list));
    CHECK(list.count == 1 && list.values[0] == 4);
    CHECK(bench_list_parse("1,64,2", false, 1, 64, &list));
    CHECK(list.count == 3 && list.values[1] == 64 && list.values[2] == 2);
    CHECK(bench_list_parse("64K,1M", true, 4096, 4u << 20, &list));
    CHECK(list.count == 2 && list.values[0] == 65536 && list.values[1] == 1u << 20);
    CHECK(!bench_list_parse("64K,8M", true, 4096, 4u << 20, &list));
    CHECK(!bench_list_parse("1K", true, 4096, 4u << 20, &list));
}

static void test_bench_time(void)
{
    static const char *const bad[] = {
        "", "0", "0.0009", "601", "1s", "1K", "-1", "1e3", ".5", "1."
    };
    uint64_t ns = 77;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!bench_time_parse(bad[i], 600000000000ull, &ns));
    CHECK_EQ(ns, 77);
    CHECK(bench_time_parse("5", 600000000000ull, &ns));
    CHECK_EQ(ns, 5000000000ull);
    CHECK(bench_time_parse("0.25", 600000000000ull, &ns));
    CHECK_EQ(ns, 250000000);
    CHECK(bench_time_parse("600", 600000000000ull, &ns));
}

static void test_bench_figures(void)
{
    hawser_bench_result result = { 0 };
    char text[32];

    CHECK(bench_rate(&result) == 0); /* nothing is divided by nothing */
    CHECK(bench_cost(&result, 0) < 0); /* not known is not 0 */
    result.bytes = 4000000000;
    result.elapsed_ns = 2000000000;
    CHECK(bench_rate(&result) == 2);
    CHECK(bench_cost(&result, 1000000000) == 0.25);
    CHECK(strcmp(bench_size_print(1 << 20, text, sizeof(text)), "1M") == 0);
    CHECK(strcmp(bench_size_print(1000, text, sizeof(text)), "1000") == 0);
    CHECK(strcmp(bench_time_print(999, text, sizeof(text)), "999 ns") == 0);
    CHECK(strcmp(bench_time_print(999600, text, sizeof(text)), "1.00 ms") == 0);
    CHECK(strcmp(bench_time_print(12345, text, sizeof(text)), "12.3 us") == 0);
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
    RUN(test_hints);
    RUN(test_rules);
    RUN(test_bench_list);
    RUN(test_bench_time);
    RUN(test_bench_figures);
    TEST_END();
}
