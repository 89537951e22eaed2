/* Numbers and sizes, read strictly and printed for people. Pure. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/cli/cli.h"

bool cli_number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        unsigned digit = (unsigned)(unsigned char)*text - '0';

        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    if (number < min || number > max)
        return false;
    *ret_number = number;
    return true;
}

/* "", "B", "K", "KiB", "KB" and the like for M, G, T; 0 when it is none of them. */
static uint64_t suffix_unit(const char *text, uint64_t unit)
{
    static const char letters[] = "KMGT";
    const char *at;
    uint64_t base, result = 1;
    char letter = *text;

    if (letter == '\0')
        return unit;
    if (letter >= 'a' && letter <= 'z')
        letter = (char)(letter - 'a' + 'A');
    if (letter == 'B')
        return text[1] == '\0' ? 1 : 0;
    at = strchr(letters, letter);
    if (at == NULL)
        return 0;
    text++;
    if (*text == '\0' || strcasecmp(text, "ib") == 0)
        base = 1024;
    else if (strcasecmp(text, "b") == 0)
        base = 1000;
    else
        return 0;
    for (long i = 0; i <= at - letters; i++)
        result *= base;
    return result;
}

bool cli_size_parse(const char *text, uint64_t unit, uint64_t *ret_bytes)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t whole = 0, scale = 1, fraction = 0, bytes;
    const char *rest = text + digits;

    if (digits == 0 || digits > 18)
        return false;
    for (size_t i = 0; i < digits; i++)
        whole = whole * 10 + (uint64_t)(text[i] - '0');
    if (*rest == '.') {
        rest++;
        if (*rest < '0' || *rest > '9')
            return false;
        for (; *rest >= '0' && *rest <= '9'; rest++) {
            if (scale >= 1000000) /* finer than a millionth of a unit: of no use to anybody */
                continue;
            fraction = fraction * 10 + (uint64_t)(*rest - '0');
            scale *= 10;
        }
    }
    unit = suffix_unit(rest, unit);
    if (unit == 0 || __builtin_mul_overflow(whole, unit, &bytes))
        return false;
    fraction = (uint64_t)((unsigned __int128)fraction * unit / scale);
    if (__builtin_add_overflow(bytes, fraction, &bytes))
        return false;
    *ret_bytes = bytes;
    return true;
}

const char *const cli_zero_copy_words[] = { "off", "auto", "on", NULL };

bool cli_word_parse(const char *text, const char *const *words, unsigned *ret_index)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) != 0)
            continue;
        *ret_index = i;
        return true;
    }
    return false;
}

const char *cli_bytes_print(double bytes, char *buf, size_t size)
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
    unsigned unit = 0;

    /* 999.95 would be printed as "1000.0". */
    while (bytes >= (unit == 0 ? 1000.0 : 999.95) && unit + 1 < sizeof(units) / sizeof(units[0])) {
        bytes /= 1000.0;
        unit++;
    }
    (void)snprintf(buf, size,
                   unit == 0       ? "%.0f %s"
                   : bytes < 99.95 ? "%.2f %s"
                                   : "%.1f %s",
                   bytes, units[unit]); /* at most 11 bytes */
    return buf;
}

const char *cli_count_print(uint64_t count, char *buf, size_t size)
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
    size_t at = 0;

    for (int i = 0; i < length && at + 2 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            buf[at++] = ',';
        buf[at++] = digits[i];
    }
    buf[at] = '\0';
    return buf;
}
