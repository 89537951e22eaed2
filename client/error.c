/* Codes, classes and words for the public API, and the promise that they are the inner ones. */
#include <stdarg.h>
#include <stdio.h>

#include "client/client.h"

#define ERROR_SAME(name, number, class, retry, text)                                               \
    _Static_assert((int)HAWSER_E_##name == (int)HSR_E_##name, #name " differs");
HSR_ERR_TABLE(ERROR_SAME)
#undef ERROR_SAME

#define CLASS_SAME(name)                                                                           \
    _Static_assert((int)HAWSER_CLASS_##name == (int)HSR_CLASS_##name, #name " differs")
CLASS_SAME(IO);
CLASS_SAME(NET);
CLASS_SAME(PEER);
CLASS_SAME(AUTH);
CLASS_SAME(PATH);
CLASS_SAME(INTEGRITY);
CLASS_SAME(BUSY);
CLASS_SAME(CANCELED);
CLASS_SAME(USAGE);
CLASS_SAME(RESOURCE);
CLASS_SAME(INTERNAL);
_Static_assert((int)HSR_CLASS_COUNT == (int)HSR_CLASS_INTERNAL + 1, "a class is not public");
#undef CLASS_SAME

_Static_assert((int)HAWSER_NOTE_FAILED == (int)HSR_NOTE_FAILED, "notes differ");
_Static_assert((int)HAWSER_NOTE_DELETED == (int)HSR_NOTE_DELETED, "notes differ");
_Static_assert((int)HSR_NOTE_EVENT_COUNT == (int)HAWSER_NOTE_DELETED + 1, "a note is not public");
_Static_assert((int)HAWSER_DURABILITY_DURABLE == (int)HSR_DURABILITY_DURABLE, "levels differ");
_Static_assert((int)HAWSER_DIGEST_XXH3 == (int)HSR_DIGEST_XXH3, "digests differ");
_Static_assert((int)HAWSER_DIGEST_BLAKE3 == (int)HSR_DIGEST_BLAKE3, "digests differ");
_Static_assert(HAWSER_PORT == HSR_DEFAULT_PORT, "ports differ");
_Static_assert(HAWSER_PATH_MAX == HSR_PATH_WIRE_MAX, "paths differ");
_Static_assert(HAWSER_NAME_MAX == HSR_NAME_MAX, "names differ");

const char *hawser_strerror(int code)
{
    return hsr_err_text(code);
}

const char *hawser_error_name(int code)
{
    return hsr_err_name(code);
}

enum hawser_class hawser_error_class(int code)
{
    return (enum hawser_class)hsr_err_class(code);
}

const char *hawser_version(void)
{
    return HSR_VERSION;
}

size_t hawser_escape(const char *name, size_t name_size, char *buf, size_t size)
{
    if (buf == NULL || size == 0)
        return 0;
    return hsr_escape(name != NULL ? name : "", name != NULL ? name_size : 0, buf, size);
}

const char *hawser_client_message(const hawser_client *client)
{
    return client != NULL ? client->message : "";
}

int hsr_client_fail(struct hawser_client *client, int code, const char *path, const char *fmt, ...)
{
    size_t at = 0;
    va_list args;
    int size;

    if (path != NULL) {
        at = hsr_escape(path, strlen(path), client->message, sizeof(client->message) - 2);
        client->message[at++] = ':';
        client->message[at++] = ' ';
    }
    va_start(args, fmt);
    size = vsnprintf(client->message + at, sizeof(client->message) - at, fmt, args);
    va_end(args);
    if (size < 0) /* what is formatted is valid: only a broken C library gets here */
        client->message[at] = '\0';
    return code;
}
