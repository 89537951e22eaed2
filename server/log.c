/* Lines of the log. Names of peers and files are bytes that somebody else chose: they are escaped
 * before they come near a terminal or a log reader. */
#include "server/log.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

#define LOG_LINE_SIZE 8192u /* longer ones are cut; two long paths fit */
#define LOG_VALUE_SIZE 3000u /* of one escaped value */

static enum log_format format_now; /* set once, before there are threads */

static const char *const level_names[LOG_LEVEL_COUNT] = {
    [LOG_LEVEL_INFO] = "INFO",
    [LOG_LEVEL_WARN] = "WARN",
    [LOG_LEVEL_ERROR] = "ERROR",
};

void log_format_set(enum log_format format)
{
    format_now = format;
}

static void time_print(uint64_t wall_ns, char *buf, size_t size)
{
    time_t seconds = (time_t)(wall_ns / HSR_NS_PER_S);
    struct tm tm;
    size_t at;

    if (gmtime_r(&seconds, &tm) == NULL)
        tm = (struct tm){ 0 };
    at = strftime(buf, size, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(buf + at, size - at, ".%03uZ", (unsigned)(wall_ns / HSR_NS_PER_MS % 1000));
}

/* Quotes where a reader that splits at blanks would go wrong. A value that held a quote or a
 * backslash has them escaped, so that the closing quote is the real one. */
static size_t value_print(const char *value, char *buf, size_t size)
{
    bool quote = *value == '\0' || strpbrk(value, " =\"") != NULL;
    size_t at = 0;

    if (quote)
        buf[at++] = '"';
    for (; *value != '\0' && at + 3 < size; value++) {
        if (*value == '"')
            buf[at++] = '\\';
        buf[at++] = *value;
    }
    if (quote)
        buf[at++] = '"';
    buf[at] = '\0';
    return at;
}

static size_t line_text(const char *when, enum log_level level, const char *message,
                        const struct log_field *fields, size_t count, char *buf, size_t size)
{
    int head = snprintf(buf, size, "%s %s %s", when, level_names[level], message);
    size_t at = head < 0 ? 0 : HSR_MIN((size_t)head, size - 1);

    for (size_t i = 0; i < count; i++) {
        char value[LOG_VALUE_SIZE], printed[LOG_VALUE_SIZE * 2 + 4];
        int more;

        if (fields[i].text == NULL) {
            (void)snprintf(printed, sizeof(printed), "%llu", (unsigned long long)fields[i].number);
        } else {
            hsr_escape(fields[i].text, strlen(fields[i].text), value, sizeof(value));
            value_print(value, printed, sizeof(printed));
        }
        more = snprintf(buf + at, size - at, " %s=%s", fields[i].key, printed);
        if (more < 0)
            break;
        at = HSR_MIN(at + (size_t)more, size - 1);
    }
    return at;
}

static size_t line_json(const char *when, enum log_level level, const char *message,
                        const struct log_field *fields, size_t count, char *buf, size_t size)
{
    struct json_object *object = json_object_new_object();
    const char *text;
    int written;

    if (object == NULL)
        return 0;
    json_object_object_add(object, "time", json_object_new_string(when));
    json_object_object_add(object, "level", json_object_new_string(level_names[level]));
    json_object_object_add(object, "message", json_object_new_string(message));
    for (size_t i = 0; i < count; i++) {
        char value[LOG_VALUE_SIZE];

        if (fields[i].text == NULL) {
            json_object_object_add(object, fields[i].key, json_object_new_uint64(fields[i].number));
            continue;
        }
        /* Escaped here too: what comes out is valid UTF-8, whatever went in. */
        hsr_escape(fields[i].text, strlen(fields[i].text), value, sizeof(value));
        json_object_object_add(object, fields[i].key, json_object_new_string(value));
    }
    text = json_object_to_json_string_ext(object,
                                          JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    written = text != NULL ? snprintf(buf, size, "%s", text) : 0;
    json_object_put(object);
    /* Half an object is no object: better no line than one that no reader can parse. */
    return written > 0 && (size_t)written < size ? (size_t)written : 0;
}

size_t log_line(enum log_format format, uint64_t wall_ns, enum log_level level, const char *message,
                const struct log_field *fields, size_t count, char *buf, size_t size)
{
    char when[40];

    hsr_assert(level < LOG_LEVEL_COUNT);
    hsr_assert(size > 0);
    time_print(wall_ns, when, sizeof(when));
    if (format == LOG_FORMAT_JSON)
        return line_json(when, level, message, fields, count, buf, size);
    return line_text(when, level, message, fields, count, buf, size);
}

bool log_bucket_take(struct log_bucket *bucket, uint64_t now_ns, uint64_t *ret_left_out)
{
    bool may;

    (void)pthread_mutex_lock(&bucket->lock); /* cannot fail: nobody takes it twice */
    if (now_ns - bucket->begin_ns >= HSR_NS_PER_S) {
        bucket->begin_ns = now_ns;
        bucket->lines = 0;
    }
    may = bucket->lines < LOG_BUCKET_LINES;
    if (may) {
        bucket->lines++;
        *ret_left_out = bucket->left_out;
        bucket->left_out = 0;
    } else {
        bucket->left_out++;
    }
    (void)pthread_mutex_unlock(&bucket->lock);
    return may;
}

void log_write(enum log_level level, const char *message, const struct log_field *fields,
               size_t count)
{
    char line[LOG_LINE_SIZE * 2];
    struct timespec now;
    size_t size;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    size = log_line(format_now, (uint64_t)now.tv_sec * HSR_NS_PER_S + (uint64_t)now.tv_nsec, level,
                    message, fields, count, line, sizeof(line) - 1);
    if (size == 0)
        return;
    line[size++] = '\n';
    /* One call a line: threads do not mix. A log that cannot be written has nowhere to say so. */
    if (write(STDERR_FILENO, line, size) < 0)
        return;
}
