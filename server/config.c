/* The configuration. Strict: what it does not know, or finds twice, is an error with file and line;
 * a server that guesses what its administrator meant is a security hole. */
#include "server/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transfer/engine/engine.h"
#include "transfer/net/zerocopy.h"
#include "transfer/proto/frame.h"
#include "transfer/tree/fileio.h"

#define SECTION_SIZE_MAX 49u /* inih cuts longer ones silently */
#define SECONDS_MAX 86400u
#define CONNECTIONS_MAX 65536u
#define EXPORT_PREFIX "export "

enum key_kind {
    KEY_LISTEN,
    KEY_NUMBER,
    KEY_SHARDS,
    KEY_SIZE,
    KEY_CHUNK,
    KEY_SECONDS,
    KEY_LOG,
    KEY_IO,
    KEY_ZERO_COPY,
    KEY_BOOL,
    KEY_CONGESTION
};

static const struct {
    const char *name;
    enum key_kind kind;
    size_t offset; /* of the field in struct config */
    uint32_t max;
} keys[] = {
    { "listen", KEY_LISTEN, 0, 0 },
    { "shards", KEY_SHARDS, offsetof(struct config, shards), 256 },
    { "memory", KEY_SIZE, offsetof(struct config, memory), 0 },
    { "chunk", KEY_CHUNK, offsetof(struct config, chunk), 0 },
    { "depth", KEY_NUMBER, offsetof(struct config, depth), HSR_DEPTH_MAX },
    { "streams", KEY_NUMBER, offsetof(struct config, streams), HSR_STREAMS_MAX },
    { "max-sessions", KEY_NUMBER, offsetof(struct config, sessions), HSR_SESSIONS_MAX },
    { "max-connections-per-peer", KEY_NUMBER, offsetof(struct config, connections_per_peer),
      CONNECTIONS_MAX },
    { "handshake-timeout", KEY_SECONDS, offsetof(struct config, handshake_ns), SECONDS_MAX },
    { "idle-timeout", KEY_SECONDS, offsetof(struct config, idle_ns), SECONDS_MAX },
    { "drain-timeout", KEY_SECONDS, offsetof(struct config, drain_ns), SECONDS_MAX },
    { "congestion", KEY_CONGESTION, 0, 0 },
    { "io", KEY_IO, 0, 0 },
    { "zero-copy", KEY_ZERO_COPY, 0, 0 },
    { "log", KEY_LOG, 0, 0 },
    { "insecure", KEY_BOOL, offsetof(struct config, insecure), 0 },
    { "bench", KEY_BOOL, offsetof(struct config, bench), 0 },
};

static int why_set(char why[CONFIG_WHY_SIZE], const char *fmt, ...) HSR_PRINTF(2, 3);

static int why_set(char why[CONFIG_WHY_SIZE], const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(why, CONFIG_WHY_SIZE, fmt, args); /* cut when it does not fit */
    va_end(args);
    return HSR_E_USAGE;
}

/* ---- values ---- */

static bool number_parse(const char *text, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;

    if (*text == '\0')
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        number = number * 10 + (uint64_t)(*text - '0');
        if (number > max)
            return false;
    }
    if (*text != '\0')
        return false;
    *ret_number = number;
    return true;
}

/* "64K", "1M", "2GiB": powers of 1024. */
static bool size_parse(const char *text, uint64_t *ret_bytes)
{
    static const char letters[] = "KMGT";
    size_t digits = strspn(text, "0123456789");
    char number[20];
    const char *suffix = text + digits, *at;
    uint64_t bytes;
    unsigned shift = 0;

    if (digits == 0 || digits >= sizeof(number))
        return false;
    memcpy(number, text, digits);
    number[digits] = '\0';
    if (*suffix != '\0') {
        at = strchr(letters, *suffix);
        if (at == NULL || (suffix[1] != '\0' && strcmp(suffix + 1, "iB") != 0))
            return false;
        shift = 10 * (unsigned)(at - letters + 1);
    }
    if (!number_parse(number, UINT64_MAX >> 1 >> shift, &bytes))
        return false;
    *ret_bytes = bytes << shift;
    return true;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;

        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;

        return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
    }
    return false;
}

/* ADDR:PORT or [ADDR6]:PORT, numeric: a listener must not depend on a name server. */
static int listener_add(struct config *config, const char *text, char why[CONFIG_WHY_SIZE])
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct config_listener *listener = &config->listeners[config->listener_count];
    const char *colon = strrchr(text, ':');
    struct addrinfo *info = NULL;
    char host[INET6_ADDRSTRLEN + 2];
    uint64_t port;
    size_t size;

    if (config->listener_count == CONFIG_LISTENERS_MAX)
        return why_set(why, "more than %u listeners", CONFIG_LISTENERS_MAX);
    if (colon == NULL || !number_parse(colon + 1, UINT16_MAX, &port))
        return why_set(why, "listen = %s: must be ADDR:PORT, port 0 to 65535", text);
    size = (size_t)(colon - text);
    if (size >= 2 && text[0] == '[' && text[size - 1] == ']') {
        hints.ai_family = AF_INET6;
        text++;
        size -= 2;
    } else {
        hints.ai_family = AF_INET;
    }
    if (size == 0 || size >= sizeof(host))
        return why_set(why, "listen = %s: must be a numeric address and a port", text);
    memcpy(host, text, size);
    host[size] = '\0';
    if (hints.ai_family == AF_INET6)
        text--;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
    if (getaddrinfo(host, colon + 1, &hints, &info) != 0)
        return why_set(why,
                       "listen = %s: must be a numeric address and a port, such as 127.0.0.1:7440 "
                       "or [::1]:7440",
                       text);
    memcpy(&listener->address, info->ai_addr, info->ai_addrlen);
    listener->address_size = info->ai_addrlen;
    listener->loopback = is_loopback(info->ai_addr);
    freeaddrinfo(info);
    listener->text = strdup(text);
    if (listener->text == NULL)
        return -ENOMEM;
    config->listener_count++;
    return 0;
}

static int bool_parse(const char *key, const char *value, bool *ret_flag, char *why)
{
    bool yes = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0 || strcmp(value, "on") == 0;
    bool no = strcmp(value, "no") == 0 || strcmp(value, "false") == 0 || strcmp(value, "off") == 0;

    if (!yes && !no)
        return why_set(why, "%s = %s: must be yes or no", key, value);
    *ret_flag = yes;
    return 0;
}

bool config_has_key(const char *key)
{
    for (size_t i = 0; i < HSR_ARRAY_COUNT(keys); i++)
        if (strcmp(keys[i].name, key) == 0)
            return true;
    return false;
}

static int log_parse(struct config *config, const char *value, char *why)
{
    if (strcmp(value, "text") != 0 && strcmp(value, "json") != 0)
        return why_set(why, "log = %s: must be text or json", value);
    config->log = *value == 'j' ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT;
    return 0;
}

/* A name is tried at once: a server whose setting cannot be kept does not start. */
static int congestion_parse(struct config *config, const char *value, char *why)
{
    struct hsr_span name = { (const uint8_t *)value, strlen(value) };
    int rc = name.size == 0 ? HSR_E_NAME : hsr_congestion_name_check(name);

    if (rc < 0)
        return why_set(why, "congestion = %s: must be auto, system, or a name such as cubic",
                       value);
    rc = hsr_congestion_check(value);
    if (rc == -ENOENT || rc == -EPERM)
        return why_set(why, "congestion = %s: %s", value,
                       rc == -EPERM ? "not allowed for this user (see "
                                      "/proc/sys/net/ipv4/tcp_allowed_congestion_control)"
                                    : "not in this kernel (see "
                                      "/proc/sys/net/ipv4/tcp_available_congestion_control)");
    memset(config->congestion, 0, sizeof(config->congestion));
    memcpy(config->congestion, value, name.size);
    return 0;
}

static int io_parse(struct config *config, const char *value, char *why)
{
    static const char *const modes[HSR_IO_COUNT] = { "auto", "direct", "buffered" };

    for (uint8_t i = 0; i < HSR_IO_COUNT; i++)
        if (strcmp(value, modes[i]) == 0) {
            config->io = i;
            return 0;
        }
    return why_set(why, "io = %s: must be auto, direct or buffered", value);
}

static int zero_copy_parse(struct config *config, const char *value, char *why)
{
    static const char *const modes[HSR_ZC_MODE_COUNT] = { "off", "auto", "on" };

    for (uint8_t i = 0; i < HSR_ZC_MODE_COUNT; i++)
        if (strcmp(value, modes[i]) == 0) {
            config->zero_copy = i;
            return 0;
        }
    return why_set(why, "zero-copy = %s: must be off, auto or on", value);
}

int config_set(struct config *config, const char *key, const char *value, char why[CONFIG_WHY_SIZE])
{
    uint64_t number = 0;
    void *field;
    size_t i = 0;

    while (i < HSR_ARRAY_COUNT(keys) && strcmp(keys[i].name, key) != 0)
        i++;
    if (i == HSR_ARRAY_COUNT(keys))
        return why_set(why, "%s: no such setting", key);
    field = (char *)config + keys[i].offset;
    switch (keys[i].kind) {
    case KEY_LISTEN:
        return listener_add(config, value, why);
    case KEY_LOG:
        return log_parse(config, value, why);
    case KEY_CONGESTION:
        return congestion_parse(config, value, why);
    case KEY_IO:
        return io_parse(config, value, why);
    case KEY_ZERO_COPY:
        return zero_copy_parse(config, value, why);
    case KEY_BOOL:
        return bool_parse(key, value, field, why);
    case KEY_SIZE:
        if (!size_parse(value, &number) || number == 0)
            return why_set(why, "%s = %s: must be a size such as 512M", key, value);
        *(uint64_t *)field = number;
        return 0;
    case KEY_CHUNK:
        if (!size_parse(value, &number) || number == 0 || number > HSR_CHUNK_SIZE_MAX ||
            number % HSR_DIGEST_LEAF_SIZE != 0)
            return why_set(why, "%s = %s: must be 64K to 4M, a multiple of 64K", key, value);
        *(uint32_t *)field = (uint32_t)number;
        return 0;
    case KEY_SHARDS:
        if (strcmp(value, "auto") == 0) {
            *(uint32_t *)field = 0;
            return 0;
        }
        break;
    default:
        break;
    }
    if (!number_parse(value, keys[i].max, &number) || number == 0)
        return why_set(why, "%s = %s: must be a number from 1 to %u", key, value, keys[i].max);
    if (keys[i].kind == KEY_SECONDS)
        *(uint64_t *)field = number * HSR_NS_PER_S;
    else
        *(uint32_t *)field = (uint32_t)number;
    return 0;
}

/* ---- exports ---- */

static int export_find(struct config *config, const char *name, struct config_export **ret_export,
                       char why[CONFIG_WHY_SIZE])
{
    struct config_export *export;
    size_t size = strlen(name);

    *ret_export = NULL;
    if (size == 0 || size > CONFIG_NAME_MAX || strchr(name, '/') != NULL ||
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return why_set(why, "\"%s\" cannot be the name of an export", name);
    for (unsigned i = 0; i < config->export_count; i++)
        if (strcmp(config->exports[i].name, name) == 0) {
            *ret_export = &config->exports[i];
            return 0;
        }
    if (config->export_count == CONFIG_EXPORTS_MAX)
        return why_set(why, "more than %u exports", CONFIG_EXPORTS_MAX);
    export = &config->exports[config->export_count];
    *export = (struct config_export){ .name = strdup(name), .fd = -1 };
    if (export->name == NULL)
        return -ENOMEM;
    config->export_count++;
    *ret_export = export;
    return 0;
}

int config_add_export(struct config *config, const char *text, char why[CONFIG_WHY_SIZE])
{
    const char *equals = strchr(text, '=');
    struct config_export *export;
    unsigned before = config->export_count;
    bool writable = true;
    char *name;
    size_t size;
    int rc;

    if (equals == NULL || equals[1] == '\0')
        return why_set(why, "--export=%s: must be NAME=PATH, NAME=PATH:ro or NAME=PATH:rw", text);
    name = strndup(text, (size_t)(equals - text));
    if (name == NULL)
        return -ENOMEM;
    rc = export_find(config, name, &export, why);
    free(name);
    if (rc < 0)
        return rc;
    if (config->export_count == before)
        return why_set(why, "--export=%s: there is an export of that name already", text);
    size = strlen(equals + 1);
    if (size > 3 &&
        (strcmp(equals + size - 2, ":ro") == 0 || strcmp(equals + size - 2, ":rw") == 0)) {
        writable = equals[size] == 'w';
        size -= 3;
    }
    export->writable = writable;
    export->path = strndup(equals + 1, size);
    return export->path != NULL ? 0 : -ENOMEM;
}

int config_trace_open(const struct config *config, char why[CONFIG_WHY_SIZE])
{
    int fd;

    if (config->trace == NULL)
        return 0;
    fd = open(config->trace, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return why_set(why, "trace file %s: %s", config->trace, strerror(errno));
    return fd;
}

int config_exports_open(struct config *config, char why[CONFIG_WHY_SIZE])
{
    for (unsigned i = 0; i < config->export_count; i++) {
        struct config_export *export = &config->exports[i];

        export->fd = open(export->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (export->fd >= 0)
            continue;
        if (export->line > 0)
            return why_set(why, "%s:%u: export %s: %s: %s", config->file, export->line,
                           export->name, export->path, strerror(errno));
        return why_set(why, "export %s: %s: %s", export->name, export->path, strerror(errno));
    }
    return 0;
}

void config_fini(struct config *config)
{
    for (unsigned i = 0; i < config->listener_count; i++)
        free(config->listeners[i].text);
    for (unsigned i = 0; i < config->export_count; i++) {
        free(config->exports[i].name);
        free(config->exports[i].path);
        if (config->exports[i].fd >= 0)
            (void)close(config->exports[i].fd); /* a directory: nothing can be lost */
    }
    free(config->file);
    *config = (struct config){ 0 };
}

/* ---- the file ---- */

struct reading {
    struct config *config;
    const char *path;
    FILE *file;
    unsigned line; /* the one being read */
    int rc; /* first error */
    char *why; /* CONFIG_WHY_SIZE */
};

static void reading_fail(struct reading *reading, unsigned line, const char *text)
{
    if (reading->rc != 0)
        return; /* first error wins */
    reading->rc = why_set(reading->why, "%s:%u: %s", reading->path, line, text);
}

/* Sections without keys never reach the handler, and long names reach it cut: look at them here. */
static void reading_section(struct reading *reading, const char *line)
{
    const char *end = strchr(line, ']');
    size_t size = end != NULL ? (size_t)(end - line - 1) : 0;
    const char *name = line + 1;

    if (end == NULL)
        reading_fail(reading, reading->line, "a section without ']'");
    else if (size > SECTION_SIZE_MAX)
        reading_fail(reading, reading->line, "the name of the section is too long");
    else if (!(size == 6 && strncmp(name, "server", 6) == 0) &&
             strncmp(name, EXPORT_PREFIX, sizeof(EXPORT_PREFIX) - 1) != 0)
        reading_fail(reading, reading->line,
                     "no such section; there are [server] and [export NAME]");
}

static char *reading_line(char *out, int size, void *stream)
{
    struct reading *reading = stream;
    const char *start;
    size_t length;

    if (fgets(out, size, reading->file) == NULL)
        return NULL;
    reading->line++;
    length = strlen(out);
    start = out + strspn(out, " \t");
    if (length + 1 == (size_t)size && out[length - 1] != '\n' && !feof(reading->file)) {
        reading_fail(reading, reading->line, "the line is too long");
        return NULL;
    }
    if (*start == '[')
        reading_section(reading, start);
    return out;
}

static int export_set(struct reading *reading, const char *name, const char *key, const char *value,
                      char why[CONFIG_WHY_SIZE])
{
    struct config_export *export;
    int rc = export_find(reading->config, name, &export, why);

    if (rc < 0)
        return rc;
    if (strcmp(key, "path") == 0) {
        if (export->path != NULL)
            return why_set(why, "path is set twice");
        if (*value == '\0')
            return why_set(why, "path is empty");
        export->path = strdup(value);
        export->line = reading->line;
        return export->path != NULL ? 0 : -ENOMEM;
    }
    if (strcmp(key, "access") != 0)
        return why_set(why, "%s: no such setting of an export", key);
    if (strcmp(value, "ro") != 0 && strcmp(value, "rw") != 0)
        return why_set(why, "access = %s: must be ro or rw", value);
    if (export->line == 0)
        export->line = reading->line;
    export->writable = value[1] == 'w';
    return 0;
}

static int server_set(struct reading *reading, const char *key, const char *value,
                      char why[CONFIG_WHY_SIZE])
{
    struct config *config = reading->config;

    for (size_t i = 0; i < HSR_ARRAY_COUNT(keys); i++) {
        if (strcmp(keys[i].name, key) != 0)
            continue;
        if (keys[i].kind != KEY_LISTEN && (config->seen >> i & 1) != 0)
            return why_set(why, "%s is set twice", key);
        config->seen |= 1ull << i;
        if (keys[i].kind == KEY_LISTEN)
            config->listeners_of_file = true;
    }
    return config_set(config, key, value, why);
}

/* For inih: 1 is success. */
static int reading_value(void *context, const char *section, const char *key, const char *value)
{
    struct reading *reading = context;
    char why[CONFIG_WHY_SIZE] = "";
    int rc;

    if (reading->rc != 0)
        return 1;
    if (strcmp(section, "server") == 0)
        rc = server_set(reading, key, value, why);
    else if (strncmp(section, EXPORT_PREFIX, sizeof(EXPORT_PREFIX) - 1) == 0)
        rc = export_set(reading,
                        section + sizeof(EXPORT_PREFIX) - 1 +
                            strspn(section + sizeof(EXPORT_PREFIX) - 1, " "),
                        key, value, why);
    else
        rc = why_set(why, "%s stands outside of [server] and [export NAME]", key);
    if (rc == -ENOMEM)
        reading->rc = rc;
    else if (rc < 0)
        reading_fail(reading, reading->line, why);
    return 1;
}

int config_read(struct config *config, const char *path, char why[CONFIG_WHY_SIZE])
{
    struct reading reading = { .config = config, .path = path, .why = why };
    int line;

    reading.file = fopen(path, "re");
    if (reading.file == NULL)
        return why_set(why, "%s: %s", path, strerror(errno));
    line = ini_parse_stream(reading_line, &reading, reading_value, &reading);
    if (reading.rc == 0 && ferror(reading.file))
        reading.rc = why_set(why, "%s: %s", path, strerror(EIO));
    (void)fclose(reading.file); /* it was only read */
    if (line > 0)
        reading_fail(&reading, (unsigned)line, "neither [SECTION] nor KEY = VALUE");
    for (unsigned i = 0; reading.rc == 0 && i < config->export_count; i++)
        if (config->exports[i].path == NULL)
            reading_fail(&reading, config->exports[i].line, "the export has no path");
    return reading.rc;
}
