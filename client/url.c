/* hawser://HOST[:PORT]/EXPORT[/PATH]. Pure. Only what would change the meaning must be
 * percent-encoded ('%' itself; '/' and NUL cannot be in names at all). '?' and '#' stand for
 * themselves: they are legal in names, and there are no queries. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"

#define URL_SCHEME "hawser://"

static int url_fail(char *why, size_t why_size, const char *fmt, ...) HSR_PRINTF(3, 4);

static int url_fail(char *why, size_t why_size, const char *fmt, ...)
{
    va_list args;

    if (why == NULL || why_size == 0)
        return HSR_E_USAGE;
    va_start(args, fmt);
    (void)vsnprintf(why, why_size, fmt, args); /* cut when it does not fit */
    va_end(args);
    return HSR_E_USAGE;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decode @size bytes of @text. Returns the bytes written, or -1 with words in @why. */
static int64_t decode(const char *text, size_t size, char *out, size_t out_size, char *why,
                      size_t why_size)
{
    size_t at = 0;

    for (size_t i = 0; i < size; i++) {
        char c = text[i];

        if (c == '%') {
            int high = i + 1 < size ? hex_value(text[i + 1]) : -1;
            int low = i + 2 < size ? hex_value(text[i + 2]) : -1;

            if (high < 0 || low < 0) {
                url_fail(why, why_size, "'%%' needs two hex digits; write %%25 for '%%' itself");
                return -1;
            }
            c = (char)(high * 16 + low);
            i += 2;
            if (c == '\0' || c == '/') {
                url_fail(why, why_size, "%s cannot be part of a name", c == '/' ? "%2F" : "%00");
                return -1;
            }
        }
        if (at + 1 >= out_size) {
            url_fail(why, why_size, "longer than %zu bytes", out_size - 1);
            return -1;
        }
        out[at++] = c;
    }
    out[at] = '\0';
    return (int64_t)at;
}

static int parse_port(const char *text, size_t size, uint16_t *ret_port, char *why, size_t why_size)
{
    unsigned port = 0;

    if (size == 0 || size > 5)
        return url_fail(why, why_size, "the port must be a number from 1 to 65535");
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return url_fail(why, why_size, "the port must be a number from 1 to 65535");
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    if (port < 1 || port > UINT16_MAX)
        return url_fail(why, why_size, "the port must be a number from 1 to 65535");
    *ret_port = (uint16_t)port;
    return 0;
}

/* HOST, HOST:PORT, [V6], [V6]:PORT */
static int parse_authority(const char *text, size_t size, hawser_url *url, char *why,
                           size_t why_size)
{
    const char *host = text, *rest;
    size_t host_size;

    if (size > 0 && text[0] == '[') {
        const char *end = memchr(text, ']', size);

        if (end == NULL)
            return url_fail(why, why_size, "'[' without ']'");
        host = text + 1;
        host_size = (size_t)(end - host);
        rest = end + 1;
        if (memchr(host, ':', host_size) == NULL)
            return url_fail(why, why_size, "brackets are for IPv6 addresses");
    } else {
        const char *colon = memchr(text, ':', size);

        host_size = colon != NULL ? (size_t)(colon - text) : size;
        rest = text + host_size;
        if (colon != NULL && memchr(colon + 1, ':', size - host_size - 1) != NULL)
            return url_fail(why, why_size, "an IPv6 address needs brackets: hawser://[::1]/EXPORT");
    }
    if (host_size == 0)
        return url_fail(why, why_size, "there is no host");
    if (host_size > HAWSER_HOST_MAX)
        return url_fail(why, why_size, "the host is longer than %d bytes", HAWSER_HOST_MAX);
    for (size_t i = 0; i < host_size; i++)
        if ((unsigned char)host[i] <= ' ' || host[i] == 0x7f || strchr("@\\\"<>^`{|}", host[i]))
            return url_fail(why, why_size, "the host holds a byte that no host name has");
    memcpy(url->host, host, host_size);
    url->host[host_size] = '\0';
    url->port = HAWSER_PORT;
    if (rest == text + size)
        return 0;
    if (*rest != ':')
        return url_fail(why, why_size, "after ']' only :PORT may follow");
    return parse_port(rest + 1, (size_t)(text + size - rest - 1), &url->port, why, why_size);
}

/* The decoded parts of the path, joined with one '/' each. */
static int parse_path(const char *text, hawser_url *url, char *why, size_t why_size)
{
    size_t at = 0;

    url->contents = *text == '\0' || text[strlen(text) - 1] == '/';
    while (*text != '\0') {
        size_t size = strcspn(text, "/");
        char name[HAWSER_NAME_MAX + 1];
        int64_t name_size;

        if (size == 0) {
            text++;
            continue;
        }
        name_size = decode(text, size, name, sizeof(name), why, why_size);
        if (name_size < 0)
            return HSR_E_USAGE;
        text += size;
        if (strcmp(name, ".") == 0) {
            url->contents = url->contents || *text == '\0';
            continue;
        }
        if (strcmp(name, "..") == 0)
            return url_fail(why, why_size, "\"..\" is not allowed in the path");
        if (at + (size_t)name_size + 1 > HAWSER_PATH_MAX)
            return url_fail(why, why_size, "the path is longer than %d bytes", HAWSER_PATH_MAX);
        if (at > 0)
            url->path[at++] = '/';
        memcpy(url->path + at, name, (size_t)name_size);
        at += (size_t)name_size;
    }
    url->path[at] = '\0';
    url->contents = url->contents || at == 0;
    return 0;
}

static int url_parse(const char *text, hawser_url *url, char *why, size_t why_size)
{
    size_t size;

    if (strncmp(text, URL_SCHEME, sizeof(URL_SCHEME) - 1) != 0)
        return url_fail(why, why_size,
                        "a server is written " URL_SCHEME "HOST[:PORT]/EXPORT[/PATH]");
    text += sizeof(URL_SCHEME) - 1;
    size = strcspn(text, "/");
    if (parse_authority(text, size, url, why, why_size) < 0)
        return HSR_E_USAGE;
    text += size;
    text += strspn(text, "/");
    size = strcspn(text, "/");
    if (size == 0)
        return url_fail(why, why_size,
                        "there is no export: " URL_SCHEME "HOST[:PORT]/EXPORT[/PATH]");
    if (decode(text, size, url->export_name, sizeof(url->export_name), why, why_size) < 0)
        return HSR_E_USAGE;
    if (strcmp(url->export_name, ".") == 0 || strcmp(url->export_name, "..") == 0)
        return url_fail(why, why_size, "an export cannot be called \"%s\"", url->export_name);
    return parse_path(text + size, url, why, why_size);
}

int hawser_url_parse(const char *text, hawser_url *ret_url, char *why, size_t why_size)
{
    hawser_url *url;
    int rc;

    if (why != NULL && why_size > 0)
        why[0] = '\0';
    if (text == NULL || ret_url == NULL)
        return url_fail(why, why_size, "no URL");
    url = calloc(1, sizeof(*url)); /* written to the caller on success only */
    if (url == NULL)
        return -ENOMEM;
    rc = url_parse(text, url, why, why_size);
    if (rc == 0)
        *ret_url = *url;
    free(url);
    return rc;
}
