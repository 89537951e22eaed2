/* Names, texts and classes of error codes; the record of a first error; escaping of names. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

struct err_entry {
    int code;
    enum hsr_class class;
    bool retry;
    const char *name;
    const char *text;
};

static const struct err_entry err_table[] = {
#define ERR_ENTRY(name, number, class, retry, text)                                                \
    { (number), HSR_CLASS_##class, (retry), #name, (text) },
    HSR_ERR_TABLE(ERR_ENTRY)
#undef ERR_ENTRY
};

/* errno values whose class is not IO, or that may go away by themselves. */
static const struct {
    int number;
    enum hsr_class class;
    bool retry;
} errno_table[] = {
    { ECONNREFUSED, HSR_CLASS_NET, true },   { ECONNRESET, HSR_CLASS_NET, true },
    { ECONNABORTED, HSR_CLASS_NET, true },   { ETIMEDOUT, HSR_CLASS_NET, true },
    { EHOSTUNREACH, HSR_CLASS_NET, true },   { EHOSTDOWN, HSR_CLASS_NET, true },
    { ENETUNREACH, HSR_CLASS_NET, true },    { ENETDOWN, HSR_CLASS_NET, true },
    { ENETRESET, HSR_CLASS_NET, true },      { EPIPE, HSR_CLASS_NET, true },
    { ENOTCONN, HSR_CLASS_NET, true },       { EADDRINUSE, HSR_CLASS_NET, false },
    { EADDRNOTAVAIL, HSR_CLASS_NET, false }, { EAFNOSUPPORT, HSR_CLASS_NET, false },
    { EACCES, HSR_CLASS_AUTH, false },       { EPERM, HSR_CLASS_AUTH, false },
    { ENAMETOOLONG, HSR_CLASS_PATH, false }, { ELOOP, HSR_CLASS_PATH, false },
    { EXDEV, HSR_CLASS_PATH, false },        { ENOENT, HSR_CLASS_PATH, false },
    { ENOTDIR, HSR_CLASS_PATH, false },      { EISDIR, HSR_CLASS_PATH, false },
    { EEXIST, HSR_CLASS_PATH, false },       { ENOTEMPTY, HSR_CLASS_PATH, false },
    { EAGAIN, HSR_CLASS_BUSY, true },        { EINTR, HSR_CLASS_BUSY, true },
    { EBUSY, HSR_CLASS_BUSY, true },         { ETXTBSY, HSR_CLASS_BUSY, true },
    { ECANCELED, HSR_CLASS_CANCELED, true }, { ENOMEM, HSR_CLASS_RESOURCE, true },
    { ENOBUFS, HSR_CLASS_RESOURCE, true },   { EMFILE, HSR_CLASS_RESOURCE, true },
    { ENFILE, HSR_CLASS_RESOURCE, true },    { ENOSPC, HSR_CLASS_RESOURCE, false },
    { EDQUOT, HSR_CLASS_RESOURCE, false },   { ENOSYS, HSR_CLASS_RESOURCE, false },
    { EINVAL, HSR_CLASS_INTERNAL, false },   { EFAULT, HSR_CLASS_INTERNAL, false },
    { EBADF, HSR_CLASS_INTERNAL, false },    { ESTALE, HSR_CLASS_IO, true },
};

static const struct err_entry *err_find(int code)
{
    for (size_t i = 0; i < HSR_ARRAY_COUNT(err_table); i++)
        if (err_table[i].code == code)
            return &err_table[i];
    return NULL;
}

const char *hsr_err_text(int code)
{
    const struct err_entry *entry = err_find(code);
    const char *text = NULL;

    if (entry != NULL)
        return entry->text;
    if (code == 0)
        return "success";
    if (code < 0 && code > -4096)
        text = strerrordesc_np(-code);
    return text != NULL ? text : "unknown error";
}

const char *hsr_err_name(int code)
{
    const struct err_entry *entry = err_find(code);
    const char *name = NULL;

    if (entry != NULL)
        return entry->name;
    if (code == 0)
        return "OK";
    if (code < 0 && code > -4096)
        name = strerrorname_np(-code);
    return name != NULL ? name : "UNKNOWN";
}

enum hsr_class hsr_err_class(int code)
{
    const struct err_entry *entry = err_find(code);

    if (entry != NULL)
        return entry->class;
    for (size_t i = 0; i < HSR_ARRAY_COUNT(errno_table); i++)
        if (errno_table[i].number == -code)
            return errno_table[i].class;
    return code < 0 && code > -4096 ? HSR_CLASS_IO : HSR_CLASS_INTERNAL;
}

bool hsr_err_retry(int code)
{
    const struct err_entry *entry = err_find(code);

    if (entry != NULL)
        return entry->retry;
    for (size_t i = 0; i < HSR_ARRAY_COUNT(errno_table); i++)
        if (errno_table[i].number == -code)
            return errno_table[i].retry;
    return false;
}

/* The end of a path tells more than its start, so what does not fit is cut there. */
static void error_path_set(struct hsr_error *error, const char *path)
{
    static const char cut[] = "...";
    size_t size = strlen(path);

    if (size < sizeof(error->path)) {
        memcpy(error->path, path, size + 1);
        return;
    }
    size_t keep = sizeof(error->path) - sizeof(cut); /* sizeof(cut) counts the NUL */
    memcpy(error->path, cut, sizeof(cut) - 1);
    memcpy(error->path + sizeof(cut) - 1, path + size - keep, keep + 1);
}

void hsr_error_set(struct hsr_error *error, int code, const char *op, const char *path,
                   const char *fmt, ...)
{
    hsr_assert(code < 0);
    if (error == NULL || error->code != 0)
        return;
    error->code = code;
    error->op = op;
    error->path[0] = '\0';
    error->text[0] = '\0';
    if (path != NULL)
        error_path_set(error, path);
    if (fmt != NULL) {
        va_list args;
        va_start(args, fmt);
        int size = vsnprintf(error->text, sizeof(error->text), fmt, args);
        va_end(args);
        if (size < 0)
            error->text[0] = '\0';
    }
}

/* Append @text, escaped if @escape, to what @buf holds; never past @size. */
static size_t print_append(char *buf, size_t size, size_t at, const char *text, bool escape)
{
    size_t text_size = strlen(text);

    if (at + 1 >= size)
        return at;
    if (escape)
        return at + hsr_escape(text, text_size, buf + at, size - at);
    text_size = HSR_MIN(text_size, size - at - 1);
    memcpy(buf + at, text, text_size);
    buf[at + text_size] = '\0';
    return at + text_size;
}

const char *hsr_error_print(const struct hsr_error *error, char *buf, size_t size)
{
    size_t at = 0;
    bool path = error->path[0] != '\0';
    bool text = error->text[0] != '\0';

    if (size == 0)
        return buf;
    buf[0] = '\0';
    if (error->op != NULL)
        at = print_append(buf, size, at, error->op, false);
    if (path) {
        if (at > 0)
            at = print_append(buf, size, at, " ", false);
        at = print_append(buf, size, at, error->path, true);
    }
    if (at > 0)
        at = print_append(buf, size, at, ": ", false);
    if (!text) {
        print_append(buf, size, at, hsr_err_text(error->code), false);
        return buf;
    }
    at = print_append(buf, size, at, error->text, true);
    at = print_append(buf, size, at, " (", false);
    at = print_append(buf, size, at, hsr_err_text(error->code), false);
    print_append(buf, size, at, ")", false);
    return buf;
}

/* Bytes of the valid UTF-8 sequence at @s (Unicode 15, table 3-7: no overlong forms, no
 * surrogates, nothing over U+10FFFF), or 0. C1 controls are two bytes here, and are refused. */
static size_t utf8_sequence(const uint8_t *s, size_t size)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t count;

    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        count = 2;
    else if ((s[0] & 0xf0) == 0xe0)
        count = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        count = 4;
    else
        return 0;
    if (count > size)
        return 0;
    if (s[0] == 0xc2) /* U+0080 to U+009F are C1 controls: terminals obey them */
        low = 0xa0;
    else if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < count; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return count;
}

size_t hsr_escape(const char *name, size_t name_size, char *buf, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *in = (const uint8_t *)name;
    size_t at = 0;

    if (size == 0)
        return 0;
    for (size_t i = 0; i < name_size;) {
        size_t count = 1;
        bool plain = in[i] >= 0x20 && in[i] < 0x7f && in[i] != '\\';

        if (in[i] >= 0x80) {
            count = utf8_sequence(in + i, name_size - i);
            plain = count > 0;
            count = plain ? count : 1;
        }
        if (plain) {
            if (size - at <= count) /* whole characters only, and room for the NUL */
                break;
            memcpy(buf + at, in + i, count);
            at += count;
        } else {
            if (size - at <= 4)
                break;
            buf[at++] = '\\';
            buf[at++] = 'x';
            buf[at++] = hex[in[i] >> 4];
            buf[at++] = hex[in[i] & 15];
        }
        i += count;
    }
    buf[at] = '\0';
    return at;
}
