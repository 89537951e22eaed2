/* Codes, names and classes; the first error wins; escaping for terminals. */
#include <errno.h>
#include <stdint.h>

#include "base/err.h"
#include "base/prng.h"
#include "tests/unit/hsr_test.h"

#define CHECK_STR(a, b)                                                                            \
    do {                                                                                           \
        const char *check_a = (a), *check_b = (b);                                                 \
        if (strcmp(check_a, check_b) != 0) {                                                       \
            fprintf(stderr, "%s:%d: \"%s\" is not \"%s\"\n", __FILE__, __LINE__, check_a,          \
                    check_b);                                                                      \
            hsr_test_failures++;                                                                   \
        }                                                                                          \
    } while (0)

static void test_err_names_and_texts(void)
{
    CHECK_STR(hsr_err_name(-ENOSPC), "ENOSPC");
    CHECK_STR(hsr_err_text(-ENOSPC), "No space left on device");
    CHECK_STR(hsr_err_name(HSR_E_PROTOCOL), "PROTOCOL");
    CHECK_STR(hsr_err_text(HSR_E_CLOSED), "the peer closed the connection");
    CHECK_STR(hsr_err_name(0), "OK");
    CHECK_STR(hsr_err_name(-4000), "UNKNOWN");
    CHECK_STR(hsr_err_name(-9999), "UNKNOWN");
    CHECK_STR(hsr_err_name(17), "UNKNOWN"); /* a positive number is no code */
    CHECK_STR(hsr_err_text(INT32_MIN), "unknown error");
}

static void test_err_classes(void)
{
    CHECK_EQ(hsr_err_class(HSR_E_DIGEST), HSR_CLASS_INTEGRITY);
    CHECK_EQ(hsr_err_class(-ECONNRESET), HSR_CLASS_NET);
    CHECK_EQ(hsr_err_class(-EIO), HSR_CLASS_IO);
    CHECK_EQ(hsr_err_class(-ENOSPC), HSR_CLASS_RESOURCE);
    CHECK_EQ(hsr_err_class(-9999), HSR_CLASS_INTERNAL);
    CHECK(hsr_err_retry(-EAGAIN));
    CHECK(hsr_err_retry(HSR_E_CHANGED));
    CHECK(!hsr_err_retry(HSR_E_READONLY));
    CHECK(!hsr_err_retry(-EIO));
}

/* Goal: our codes and errno values never meet, and no two of ours are equal. */
static void test_err_codes_are_distinct(void)
{
    static const int codes[] = {
#define TEST_CODE(name, number, class, retry, text) HSR_E_##name,
        HSR_ERR_TABLE(TEST_CODE)
#undef TEST_CODE
    };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(codes); i++) {
        CHECK(codes[i] < -4096);
        for (size_t j = 0; j < i; j++)
            CHECK(codes[i] != codes[j]);
    }
}

static void test_error_first_wins(void)
{
    struct hsr_error error = { 0 };
    char line[512];

    hsr_error_set(&error, -ENOENT, "open", "a/b", "try %d", 3);
    hsr_error_set(&error, -EIO, "read", "c", NULL);
    CHECK_EQ(error.code, -ENOENT);
    CHECK_STR(error.path, "a/b");
    CHECK_STR(hsr_error_print(&error, line, sizeof(line)),
              "open a/b: try 3 (No such file or directory)");
}

static void test_error_print_leaves_out_what_is_missing(void)
{
    struct hsr_error error = { 0 };
    char line[512];

    hsr_error_set(&error, HSR_E_TIMEOUT, "receive", NULL, NULL);
    CHECK_STR(hsr_error_print(&error, line, sizeof(line)),
              "receive: the peer did not answer in time");
    error = (struct hsr_error){ 0 };
    hsr_error_set(&error, -EIO, "read", "x\n\033[31m", NULL);
    CHECK_STR(hsr_error_print(&error, line, sizeof(line)),
              "read x\\x0a\\x1b[31m: Input/output error");
    CHECK_STR(hsr_error_print(&error, line, 8), "read x:"); /* no half escape */
    CHECK_STR(hsr_error_print(&error, line, 1), "");
}

static void test_error_long_path_is_cut_in_front(void)
{
    struct hsr_error error = { 0 };
    char path[3000];

    memset(path, 'p', sizeof(path));
    memcpy(path + sizeof(path) - 9, "/the-end", 9);
    hsr_error_set(&error, -EIO, "read", path, NULL);
    CHECK_EQ(strlen(error.path), HSR_ERROR_PATH_SIZE - 1);
    CHECK(memcmp(error.path, "...p", 4) == 0);
    CHECK_STR(error.path + HSR_ERROR_PATH_SIZE - 9, "/the-end");

    error = (struct hsr_error){ 0 };
    path[HSR_ERROR_PATH_SIZE - 1] = '\0'; /* the longest that fits */
    hsr_error_set(&error, -EIO, "read", path, NULL);
    CHECK_STR(error.path, path);
}

static void escape_check(const char *in, size_t in_size, const char *want)
{
    char out[256];
    size_t size = hsr_escape(in, in_size, out, sizeof(out));

    CHECK_EQ(size, strlen(out));
    CHECK_STR(out, want);
}

#define ESCAPE(in, want) escape_check(in, sizeof(in) - 1, want)

static void test_escape_keeps_text(void)
{
    ESCAPE("plain name.txt", "plain name.txt");
    ESCAPE("\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\xa2", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\xa2");
    ESCAPE("\xc2\xa0", "\xc2\xa0"); /* the first code point after C1 */
    ESCAPE("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
}

static void test_escape_hides_controls(void)
{
    ESCAPE("a\\b", "a\\x5cb");
    ESCAPE("\t\n\033\x7f", "\\x09\\x0a\\x1b\\x7f");
    ESCAPE("a\0b", "a\\x00b");
    ESCAPE("\xc2\x80\xc2\x9f", "\\xc2\\x80\\xc2\\x9f"); /* C1 in UTF-8 */
    ESCAPE("\x9b"
           "31m",
           "\\x9b"
           "31m"); /* CSI in one byte */
}

static void test_escape_refuses_false_utf8(void)
{
    ESCAPE("\xc0\xaf", "\\xc0\\xaf"); /* overlong '/' */
    ESCAPE("\xe0\x9f\xbf", "\\xe0\\x9f\\xbf"); /* overlong */
    ESCAPE("\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf"); /* overlong */
    ESCAPE("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* surrogate */
    ESCAPE("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* over U+10FFFF */
    ESCAPE("\xff", "\\xff");
    ESCAPE("\xe2\x82", "\\xe2\\x82"); /* cut at the end */
    ESCAPE("\xe2\x82z", "\\xe2\\x82z");
}

/* Goal: whatever the bytes and however small the buffer, it ends with NUL inside the buffer, holds
 * no control byte, and is not cut inside an escape or a character.
 * Method: random bytes, every buffer size; a longer buffer's result starts with the shorter's. */
static void test_escape_any_bytes_any_size(void)
{
    struct hsr_prng prng = hsr_prng_init(7);

    for (int round = 0; round < 300; round++) {
        char in[40], whole[sizeof(in) * 4 + 1];
        size_t in_size = hsr_prng_below(&prng, sizeof(in) + 1);
        for (size_t i = 0; i < in_size; i++)
            in[i] = (char)hsr_prng_next(&prng);
        size_t whole_size = hsr_escape(in, in_size, whole, sizeof(whole));
        for (size_t size = 1; size <= whole_size + 1; size++) {
            char out[sizeof(whole)];
            memset(out, 0x55, sizeof(out));
            size_t out_size = hsr_escape(in, in_size, out, size);
            CHECK(out_size < size && out[out_size] == '\0');
            CHECK(size == sizeof(out) || out[size] == 0x55);
            CHECK(memcmp(out, whole, out_size) == 0);
            CHECK(size <= whole_size || out_size == whole_size);
            CHECK(out_size + 4 >= HSR_MIN(size, whole_size + 1) - 1);
        }
        for (size_t i = 0; i < whole_size; i++)
            CHECK((unsigned char)whole[i] >= 0x20 && whole[i] != 0x7f);
    }
    CHECK_EQ(hsr_escape("abc", 3, NULL, 0), 0);
}

int main(void)
{
    RUN(test_err_names_and_texts);
    RUN(test_err_classes);
    RUN(test_err_codes_are_distinct);
    RUN(test_error_first_wins);
    RUN(test_error_print_leaves_out_what_is_missing);
    RUN(test_error_long_path_is_cut_in_front);
    RUN(test_escape_keeps_text);
    RUN(test_escape_hides_controls);
    RUN(test_escape_refuses_false_utf8);
    RUN(test_escape_any_bytes_any_size);
    TEST_END();
}
