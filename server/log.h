/* The server's log: one line an event on stderr, for people or as JSON. Any thread. */
#ifndef HSR_SERVER_LOG_H
#define HSR_SERVER_LOG_H

#include <pthread.h>
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

/** Lines of a kind that strangers can cause as often as they like: so many in a second. */
#define LOG_BUCKET_LINES 20u

/** Zeroed but for the lock: LOG_BUCKET. Any thread. */
struct log_bucket {
    pthread_mutex_t lock;
    uint64_t begin_ns; /* of the second that is counted */
    uint64_t lines; /* written in it */
    uint64_t left_out; /* since the last one that was written */
};

#define LOG_BUCKET                                                                                 \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                          \
    }

/** Whether one more line may be written.
 * @param now_ns        of a clock that does not jump
 * @param ret_left_out  how many were left out since the last one; written when true */
bool log_bucket_take(struct log_bucket *bucket, uint64_t now_ns, uint64_t *ret_left_out);

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
