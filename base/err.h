/* Error codes, their classes, and the one record that says what failed. errno values travel as
 * -errno; ours start below -4096 so that the two never meet. */
#ifndef HSR_BASE_ERR_H
#define HSR_BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

enum hsr_class {
    HSR_CLASS_IO,
    HSR_CLASS_NET,
    HSR_CLASS_PEER,
    HSR_CLASS_AUTH,
    HSR_CLASS_PATH,
    HSR_CLASS_INTEGRITY,
    HSR_CLASS_BUSY,
    HSR_CLASS_CANCELED,
    HSR_CLASS_USAGE,
    HSR_CLASS_RESOURCE,
    HSR_CLASS_INTERNAL,
    HSR_CLASS_COUNT
};

/* X(name, number, class, retry may help, text) */
#define HSR_ERR_TABLE(X)                                                                           \
    X(PROTOCOL, -5001, PEER, false, "the peer broke the protocol")                                 \
    X(VERSION, -5002, PEER, false, "no protocol version in common")                                \
    X(TRUNCATED, -5003, PEER, false, "a message ends too early")                                   \
    X(LIMIT, -5004, PEER, false, "a count or length is over its limit")                            \
    X(CHECK, -5005, INTEGRITY, true, "data was damaged on the way")                                \
    X(DIGEST, -5006, INTEGRITY, true, "the digest of what arrived differs from what was sent")     \
    X(CLOSED, -5007, NET, true, "the peer closed the connection")                                  \
    X(TIMEOUT, -5008, NET, true, "the peer did not answer in time")                                \
    X(RESOLVE, -5009, NET, false, "the host name is not known")                                    \
    X(EXPORT, -5010, AUTH, false, "no such export")                                                \
    X(READONLY, -5011, AUTH, false, "the export is read-only")                                     \
    X(DENIED, -5012, AUTH, false, "the server refuses this")                                       \
    X(BUSY, -5013, BUSY, true, "the server has no room for another session now")                   \
    X(SHUTDOWN, -5014, BUSY, true, "the server is shutting down")                                  \
    X(ESCAPE, -5015, PATH, false, "the path leaves its root")                                      \
    X(NAME, -5016, PATH, false, "not a valid name")                                                \
    X(CHANGED, -5017, IO, true, "the file changed while it was read")                              \
    X(VANISHED, -5018, IO, true, "the file vanished before it was read")                           \
    X(KIND, -5019, IO, false, "this kind of file cannot be kept")                                  \
    X(TOO_DEEP, -5020, PATH, false, "the tree is deeper than the limit")                           \
    X(DELETE_LIMIT, -5021, USAGE, false, "more to delete than --max-delete allows")                \
    X(CANCELED, -5022, CANCELED, true, "interrupted")                                              \
    X(USAGE, -5023, USAGE, false, "wrong use")                                                     \
    X(NO_IO_URING, -5024, RESOURCE, false, "io_uring is not available")                            \
    X(MEMLOCK, -5025, RESOURCE, false, "the memory lock limit is too small")                       \
    X(PLAN, -5026, RESOURCE, false, "the memory budget is too small for this plan")                \
    X(PARTIAL, -5027, IO, false, "some files could not be transferred")                            \
    X(INTERNAL, -5028, INTERNAL, false, "internal error")                                          \
    X(FILTER, -5029, USAGE, false, "not a valid filter rule")                                      \
    X(MEMORY_BOUND, -5030, RESOURCE, false, "the tree needs more memory than the plan allows")

enum hsr_err {
#define HSR_ERR_ENUM(name, number, class, retry, text) HSR_E_##name = (number),
    HSR_ERR_TABLE(HSR_ERR_ENUM)
#undef HSR_ERR_ENUM
};

/** Text for a negative code: ours from the table, else strerror(). Never NULL; static storage. */
const char *hsr_err_text(int code);

/** Short stable name for logs and JSON: "ENOSPC", "PROTOCOL". Static storage. */
const char *hsr_err_name(int code);

enum hsr_class hsr_err_class(int code);

/** May the same thing work if tried again later? */
bool hsr_err_retry(int code);

#define HSR_ERROR_TEXT_SIZE 256
#define HSR_ERROR_PATH_SIZE 1024

/** The first error of something, with what is needed to act on it. Zero means none. */
struct hsr_error {
    int code;
    const char *op; /* static string: "open", "send" */
    uint64_t offset; /* bytes into the file, 0 if it does not apply */
    char path[HSR_ERROR_PATH_SIZE]; /* raw bytes, NUL ended, cut at the front if too long */
    char text[HSR_ERROR_TEXT_SIZE]; /* more words, may be empty */
};

/** Record @code unless an error is there already: the first one wins. @path may be NULL. */
void hsr_error_set(struct hsr_error *error, int code, const char *op, const char *path,
                   const char *fmt, ...) HSR_PRINTF(5, 6);

/** Print "op path: text (why)" into @buf, escaped for a terminal; returns @buf. */
const char *hsr_error_print(const struct hsr_error *error, char *buf, size_t size);

/** Escape @size raw bytes of @name for terminals and logs: control bytes, DEL, 0x80-0x9f and
 * backslash become \xNN; valid UTF-8 stays. Always ends with NUL; returns bytes written. */
size_t hsr_escape(const char *name, size_t name_size, char *buf, size_t size);

#endif
