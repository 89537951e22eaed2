/* The configuration file and the log: what is accepted, and what is refused with file and line. */
#include "server/config.h"

#include <errno.h>
#include <json-c/json.h>
#include <unistd.h>

#include "tests/unit/hsr_test.h"

static struct config config;
static char why[CONFIG_WHY_SIZE];

static int read_text(const char *text)
{
    char path[] = "/tmp/hawser-test-config-XXXXXX";
    int fd = mkstemp(path), rc;

    config_fini(&config);
    why[0] = '\0';
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    config.file = strdup(path);
    rc = config_read(&config, path, why);
    (void)close(fd);
    (void)unlink(path);
    return rc;
}

static void test_config_everything(void)
{
    CHECK_EQ(read_text("# comment\n; another\n\n[server]\nlisten = 127.0.0.1:0\nlisten=[::1]:7440\n"
                       "shards = 2\nmemory = 512M\nchunk = 1M\ndepth = 8\nstreams=4 ; inline\n"
                       "max-sessions = 10\nmax-connections-per-peer = 99\nhandshake-timeout = 5\n"
                       "idle-timeout = 60\nlog = json\ninsecure = yes\n"
                       "[export data]\npath = /tmp\naccess = rw\n[export b]\npath = /usr\n"),
             0);
    CHECK(why[0] == '\0');
    CHECK_EQ(config.listener_count, 2);
    CHECK(config.listeners[0].loopback && config.listeners[1].loopback);
    CHECK_EQ(config.shards, 2);
    CHECK_EQ(config.memory, 512u << 20);
    CHECK_EQ(config.chunk, 1u << 20);
    CHECK_EQ(config.depth, 8);
    CHECK_EQ(config.streams, 4);
    CHECK_EQ(config.sessions, 10);
    CHECK_EQ(config.connections_per_peer, 99);
    CHECK_EQ(config.handshake_ns, 5 * HSR_NS_PER_S);
    CHECK_EQ(config.idle_ns, 60 * HSR_NS_PER_S);
    CHECK(config.log == LOG_FORMAT_JSON && config.insecure);
    CHECK_EQ(config.export_count, 2);
    CHECK(config.exports[0].writable && !config.exports[1].writable);
    CHECK(strcmp(config.exports[0].name, "data") == 0);
    CHECK_EQ(config_exports_open(&config, why), 0);
    CHECK(config.exports[0].fd >= 0);
}

/* Goal: each mistake is refused, and the message names the line it is in. */
static void test_config_refused(void)
{
    static const struct {
        const char *text;
        const char *line; /* must be in the message */
    } cases[] = {
        { "[server]\nno-such-key = 1\n", ":2:" },
        { "[server]\n\n\nlisten = 127.0.0.1:999999\n", ":4:" },
        { "[server]\nlisten = localhost:1\n", ":2:" },
        { "[server]\nlisten = here\n", ":2:" },
        { "[server]\nlisten = ::1:1\n", ":2:" },
        { "[server]\nlisten = 127.0.0.1:\n", ":2:" },
        { "[server]\nlisten = [127.0.0.1]:1\n", ":2:" },
        { "[server]\nshards = 0\n", ":2:" },
        { "[server]\nshards = -1\n", ":2:" },
        { "[server]\nshards = two\n", ":2:" },
        { "[server]\nshards = 257\n", ":2:" },
        { "[server]\nmax-sessions = 1025\n", "1 to 1024" }, /* what a plan can have */
        { "[server]\nshards = 1\nshards = 2\n", ":3:" },
        { "[server]\nmemory = lots\n", ":2:" },
        { "[server]\nmemory = 1.5G\n", ":2:" },
        { "[server]\nmemory = 99999999999T\n", ":2:" },
        { "[server]\nmemory =\n", ":2:" },
        { "[server]\nchunk = 1\n", ":2:" },
        { "[server]\nchunk = 100K\n", ":2:" },
        { "[server]\nchunk = 8M\n", ":2:" },
        { "[server]\nlog = xml\n", ":2:" },
        { "[server]\nio = fast\n", ":2:" },
        { "[server]\nzero-copy = maybe\n", ":2:" },
        { "[server]\nio =\n", ":2:" },
        { "[server]\ninsecure = maybe\n", ":2:" },
        { "[server]\nidle-timeout = 0\n", ":2:" },
        { "shards = 1\n", ":1:" },
        { "[bogus]\nx = 1\n", ":1:" },
        { "[bogus]\n", ":1:" },
        { "[server\n", ":1:" },
        { "[nonsense\nlisten = = =\n", ":1:" },
        { "[server]\njust words\n", ":2:" },
        { "[export a]\naccess = rw\n", "no path" },
        { "[export a]\npath = /tmp\naccess = maybe\n", ":3:" },
        { "[export a]\npath = /tmp\nmode = 1\n", ":3:" },
        { "[export a]\npath = /tmp\npath = /usr\n", ":3:" },
        { "[export a]\npath =\n", ":2:" },
        { "[export a/b]\npath = /tmp\n", ":2:" },
        { "[export ..]\npath = /tmp\n", ":2:" },
        { "[export ]\npath = /tmp\n", ":" },
        { "[export aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\npath = /tmp\n",
          ":1:" },
    };
    static char longest[1024];

    for (size_t i = 0; i < HSR_ARRAY_COUNT(cases); i++) {
        int rc = read_text(cases[i].text);

        CHECK_EQ(rc, HSR_E_USAGE);
        CHECK(strstr(why, cases[i].line) != NULL);
        if (rc == 0 || strstr(why, cases[i].line) == NULL)
            fprintf(stderr, "case %zu: %s: %s\n", i, cases[i].text, why);
    }
    memset(longest, 'x', sizeof(longest) - 1);
    memcpy(longest, "[export a]\npath = /", 19);
    CHECK_EQ(read_text(longest), HSR_E_USAGE);
    CHECK(strstr(why, ":2: the line is too long") != NULL);
    CHECK_EQ(config_read(&config, "/no/such/hawser.conf", why), HSR_E_USAGE);
    CHECK(strstr(why, "/no/such/hawser.conf") != NULL);
}

static void test_config_missing_directory(void)
{
    CHECK_EQ(read_text("[export a]\n\npath = /no/such/folder\n"), 0);
    CHECK_EQ(config_exports_open(&config, why), HSR_E_USAGE);
    CHECK(strstr(why, ":3:") != NULL && strstr(why, "/no/such/folder") != NULL);
}

static void test_export_option(void)
{
    config_fini(&config);
    CHECK_EQ(config_add_export(&config, "a=/tmp", why), 0);
    CHECK(config.exports[0].writable && strcmp(config.exports[0].path, "/tmp") == 0);
    CHECK_EQ(config_add_export(&config, "b=/tmp:ro", why), 0);
    CHECK(!config.exports[1].writable && strcmp(config.exports[1].path, "/tmp") == 0);
    CHECK_EQ(config_add_export(&config, "c=/a:b=c:rw", why), 0);
    CHECK(config.exports[2].writable && strcmp(config.exports[2].path, "/a:b=c") == 0);
    CHECK_EQ(config_add_export(&config, "a=/usr", why), HSR_E_USAGE);
    CHECK_EQ(config_add_export(&config, "noequals", why), HSR_E_USAGE);
    CHECK_EQ(config_add_export(&config, "=/tmp", why), HSR_E_USAGE);
    CHECK_EQ(config_add_export(&config, "x=", why), HSR_E_USAGE);
    CHECK_EQ(config_add_export(&config, "x/y=/tmp", why), HSR_E_USAGE);
    CHECK_EQ(config_add_export(&config, "..=/tmp", why), HSR_E_USAGE);
}

/* Goal: only loopback counts as loopback. */
static void test_loopback(void)
{
    static const struct {
        const char *text;
        bool loopback;
    } cases[] = {
        { "127.0.0.1:1", true },
        { "127.9.9.9:1", true },
        { "[::1]:1", true },
        { "0.0.0.0:1", false },
        { "[::]:1", false },
        { "10.0.0.1:1", false },
        { "[::ffff:127.0.0.1]:1", false },
    };

    config_fini(&config);
    for (unsigned i = 0; i < HSR_ARRAY_COUNT(cases); i++) {
        CHECK_EQ(config_set(&config, "listen", cases[i].text, why), 0);
        CHECK(config.listeners[i].loopback == cases[i].loopback);
    }
}

#define ODD "odd\n\x1b[31m\"'\\ \r\xff"

/* Goal: names of any bytes give one line without control bytes, and valid JSON. */
static void test_log_lines(void)
{
    const struct log_field fields[] = { LOG_TEXT("path", ODD), LOG_TEXT("plain", "value"),
                                        LOG_NUMBER("count", 7), LOG_TEXT("empty", "") };
    char line[4096];
    struct json_object *object;
    size_t size;

    size = log_line(LOG_FORMAT_TEXT, 0, LOG_LEVEL_WARN, "message", fields, 4, line, sizeof(line));
    CHECK(size == strlen(line));
    CHECK(strncmp(line, "1970-01-01T00:00:00.000Z WARN message path=\"", 44) == 0);
    CHECK(strstr(line, " plain=value count=7 empty=\"\"") != NULL);
    for (size_t i = 0; i < size; i++)
        CHECK((unsigned char)line[i] >= ' ' && (unsigned char)line[i] < 0x7f);

    size = log_line(LOG_FORMAT_JSON, 1500 * HSR_NS_PER_MS, LOG_LEVEL_INFO, "message", fields, 4,
                    line, sizeof(line));
    CHECK(size == strlen(line) && strchr(line, '\n') == NULL);
    object = json_tokener_parse(line);
    CHECK(object != NULL);
    CHECK(strstr(line, "\"count\":7") != NULL && strstr(line, "01.500Z") != NULL);
    json_object_put(object);
    CHECK_EQ(log_line(LOG_FORMAT_JSON, 0, LOG_LEVEL_INFO, "message", fields, 4, line, 20), 0);
}

/* Goal: so many lines in a second, and those that were left out are counted once. */
static void test_log_bucket(void)
{
    struct log_bucket bucket = LOG_BUCKET;
    const uint64_t start = 1000 * HSR_NS_PER_S;
    uint64_t left_out = 77;

    for (unsigned i = 0; i < LOG_BUCKET_LINES; i++) {
        CHECK(log_bucket_take(&bucket, start + i, &left_out));
        CHECK_EQ(left_out, 0);
    }
    for (unsigned i = 0; i < 500; i++)
        CHECK(!log_bucket_take(&bucket, start + HSR_NS_PER_S - 1, &left_out));
    CHECK_EQ(left_out, 0);
    CHECK(log_bucket_take(&bucket, start + HSR_NS_PER_S, &left_out));
    CHECK_EQ(left_out, 500);
    CHECK(log_bucket_take(&bucket, start + HSR_NS_PER_S, &left_out));
    CHECK_EQ(left_out, 0);
}

int main(void)
{
    RUN(test_config_everything);
    RUN(test_config_refused);
    RUN(test_config_missing_directory);
    RUN(test_export_option);
    RUN(test_loopback);
    RUN(test_log_lines);
    RUN(test_log_bucket);
    config_fini(&config);
    TEST_END();
}
