/* The server's log: one line an event on stderr, for people or as JSON. Any thread. */
#ifndef HSR_SERVER_LOG_H
#define HSR_SERVER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR, LOG_LEVEL_COUNT };

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/** One `key=value`. Without text it is the number. Text is raw bytes: it is escaped here. */
struct log_field {
    const char *key;
    const char *text;
    uint64_t number;
};

void log_format_set(enum log_format format);

/** @param fields  @count of them; borrowed */
void log_write(enum log_level level, const char *message, const struct log_field *fields,
               size_t count);

/** The line log_write() would write, without newline, into @buf; cut when it does not fit.
 * @param wall_ns  time of the event, since 1970. Returns its size. */
size_t log_line(enum log_format format, uint64_t wall_ns, enum log_level level, const char *message,
                const struct log_field *fields, size_t count, char *buf, size_t size);

#define LOG(level, message, ...)                                                                   \
    do {                                                                                           \
        const struct log_field log_fields[] = { __VA_ARGS__ };                                     \
        log_write(level, message, log_fields, sizeof(log_fields) / sizeof(log_fields[0]));         \
    } while (0)

#define LOG_TEXT(name, value)                                                                      \
    {                                                                                              \
        .key = (name), .text = (value) != NULL ? (value) : ""                                      \
    }
#define LOG_NUMBER(name, value)                                                                    \
    {                                                                                              \
        .key = (name), .number = (value)                                                           \
    }

#endif
