/* The command line of hawserd. Settings have the names they have in the file; what is given here
 * counts more than what the file says, and --listen takes the place of the file's listeners. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/server.h"

enum option_id {
    OPTION_SETTING = 256, /* its long name is the setting's */
    OPTION_CONFIG,
    OPTION_EXPORT,
    OPTION_INSECURE,
    OPTION_BENCH,
    OPTION_PRINT_PLAN,
    OPTION_TRACE,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct {
    int id;
    const char *name;
    const char *arg; /* NULL: takes none */
    const char *help;
} rows[] = {
    { OPTION_CONFIG, "config", "FILE", "read settings and exports: see hawser.conf(5)" },
    { OPTION_SETTING, "listen", "ADDR:PORT", "accept here; repeatable; port 0 picks one" },
    { OPTION_EXPORT, "export", "NAME=PATH[:ro|:rw]", "serve PATH as NAME; rw unless :ro" },
    { OPTION_SETTING, "shards", "N|auto", "threads with a ring each; auto: one a core" },
    { OPTION_SETTING, "memory", "SIZE", "for all buffers and tables together" },
    { OPTION_SETTING, "chunk", "SIZE", "largest chunk, 64K to 4M, in steps of 64K" },
    { OPTION_SETTING, "depth", "N", "most chunks in flight on a stream" },
    { OPTION_SETTING, "streams", "N", "most streams of a session" },
    { OPTION_SETTING, "max-sessions", "N", "sessions at once; more are told to come back" },
    { OPTION_SETTING, "max-connections-per-peer", "N", "connections of one address" },
    { OPTION_SETTING, "handshake-timeout", "SECONDS", "from accept to the first request" },
    { OPTION_SETTING, "idle-timeout", "SECONDS",
      "how long nothing may come on a connection, or arrive" },
    { OPTION_SETTING, "drain-timeout", "SECONDS", "for running sessions to end after SIGTERM" },
    { OPTION_SETTING, "congestion", "NAME", "TCP's congestion control; auto, system" },
    { OPTION_SETTING, "io", "auto|direct|buffered", "how large files are read and written" },
    { OPTION_SETTING, "zero-copy", "off|auto|on", "how file data is sent" },
    { OPTION_SETTING, "log", "text|json", "form of the log on stderr" },
    { OPTION_INSECURE, "insecure", NULL, "listen on other addresses than loopback" },
    { OPTION_BENCH, "bench", NULL, "allow benchmarks: clients may use all of this machine" },
    { OPTION_TRACE, "trace", "FILE", "at the end: what the threads did last" },
    { OPTION_PRINT_PLAN, "print-plan", NULL, "print where bytes and shards go, and exit" },
    { OPTION_HELP, "help", NULL, "print this" },
    { OPTION_VERSION, "version", NULL, "print the version" },
};

#define ROW_COUNT HSR_ARRAY_COUNT(rows)

static void help_print(void)
{
    printf("usage: hawserd [--config FILE] [--listen ADDR:PORT]... "
           "[--export NAME=PATH[:ro|:rw]]... [OPTIONS]\n\n"
           "Serves directories to hawser. Listens on 127.0.0.1:%u unless told otherwise.\n\n"
           "options:\n",
           HSR_DEFAULT_PORT);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char left[64];

        (void)snprintf(left, sizeof(left), "--%s%s%s", rows[i].name, rows[i].arg != NULL ? "=" : "",
                       rows[i].arg != NULL ? rows[i].arg : ""); /* fits: the table is constant */
        printf("  %-30s %s\n", left, rows[i].help);
    }
    printf("\nexit: 0 ended as asked; 2 usage or configuration; 5 local resource\n");
}

/* At start a mistake goes to stderr; in a reload it goes to the log. */
static int mistake(char *why_out, const char *fmt, ...) HSR_PRINTF(2, 3);

static int mistake(char *why_out, const char *fmt, ...)
{
    char text[CONFIG_WHY_SIZE], safe[4 * CONFIG_WHY_SIZE];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args); /* cut when it does not fit */
    va_end(args);
    if (why_out != NULL) {
        (void)snprintf(why_out, CONFIG_WHY_SIZE, "%s", text);
        return SERVER_EXIT_USAGE;
    }
    hsr_escape(text, strlen(text), safe, sizeof(safe));
    fprintf(stderr, "hawserd: %s (see hawserd --help)\n", safe);
    return SERVER_EXIT_USAGE;
}

static void listeners_forget(struct config *config)
{
    for (unsigned i = 0; i < config->listener_count; i++)
        free(config->listeners[i].text);
    config->listener_count = 0;
    config->listeners_of_file = false;
}

/* The file comes first, wherever --config stands: the command line counts more. */
static int file_load(int argc, char **argv, const struct option *longs, struct config *config,
                     char *why_out)
{
    char why[CONFIG_WHY_SIZE] = "";
    const char *path = NULL;
    int id;

    for (optind = 0; (id = getopt_long(argc, argv, "+:", longs, NULL)) != -1;) {
        if (id != OPTION_CONFIG)
            continue;
        if (path != NULL)
            return mistake(why_out, "--config is given twice");
        path = optarg;
    }
    if (path == NULL)
        return -1;
    config->file = strdup(path);
    if (config->file == NULL || config_read(config, path, why) < 0)
        return mistake(why_out, "%s", *why != '\0' ? why : "out of memory");
    return -1;
}

static int option_apply(int id, const char *name, struct config *config, char *why_out)
{
    char why[CONFIG_WHY_SIZE] = "";
    int rc = 0;

    switch (id) {
    case OPTION_SETTING:
        if (strcmp(name, "listen") == 0 && config->listeners_of_file)
            listeners_forget(config);
        rc = config_set(config, name, optarg, why);
        if (rc < 0)
            return mistake(why_out, "--%s", *why != '\0' ? why : hsr_err_text(rc));
        return -1;
    case OPTION_EXPORT:
        rc = config_add_export(config, optarg, why);
        if (rc < 0)
            return mistake(why_out, "%s", *why != '\0' ? why : hsr_err_text(rc));
        return -1;
    case OPTION_INSECURE:
        config->insecure = true;
        return -1;
    case OPTION_BENCH:
        config->bench = true;
        return -1;
    case OPTION_TRACE:
        config->trace = optarg; /* argv stays */
        return -1;
    case OPTION_PRINT_PLAN:
        config->print_plan = true;
        return -1;
    case OPTION_HELP:
        help_print();
        return SERVER_EXIT_OK;
    case OPTION_VERSION:
        printf("hawserd %s\n", HSR_VERSION);
        return SERVER_EXIT_OK;
    default: /* --config was read before */
        return -1;
    }
}

/* What must hold of all settings together. */
static int config_check(struct config *config, char *why_out)
{
    char why[CONFIG_WHY_SIZE] = "";
    int rc;

    if (config->listener_count == 0) {
        rc = config_set(config, "listen", "127.0.0.1:7440", why);
        if (rc < 0)
            return mistake(why_out, "%s", *why != '\0' ? why : hsr_err_text(rc));
    }
    for (unsigned i = 0; i < config->listener_count; i++)
        if (!config->listeners[i].loopback && !config->insecure)
            return mistake(
                why_out,
                "%s is no loopback address, and there is no authentication: whoever can "
                "connect may use every export; --insecure allows it for trusted networks",
                config->listeners[i].text);
    if (config->export_count == 0 && !config->print_plan && !config->bench)
        return mistake(why_out, "nothing to serve: give --export NAME=PATH");
    rc = config_exports_open(config, why);
    return rc < 0 ? mistake(why_out, "%s", why) : -1;
}

int options_load(int argc, char **argv, struct config *config, char *why_out)
{
    struct option longs[ROW_COUNT + 1] = { 0 };
    int id, index = 0, rc;

    _Static_assert(HSR_DEFAULT_PORT == 7440, "the default listener names the port");
    for (size_t i = 0; i < ROW_COUNT; i++)
        longs[i] =
            (struct option){ .name = rows[i].name,
                             .has_arg = rows[i].arg != NULL ? required_argument : no_argument,
                             .val = rows[i].id };
    opterr = 0;
    rc = file_load(argc, argv, longs, config, why_out);
    optind = 0; /* GNU: start again, with its state forgotten */
    while (rc == -1 && (id = getopt_long(argc, argv, "+:", longs, &index)) != -1) {
        if (id == ':')
            return mistake(why_out, "%s needs a value", argv[optind - 1]);
        if (id == '?' && optopt > 0 && optopt < 256)
            return mistake(why_out, "unknown option -%c", optopt);
        if (id == '?')
            return mistake(why_out, "%s %s", optopt != 0 ? "no value goes with" : "unknown option",
                           argv[optind - 1]);
        rc = option_apply(id, rows[index].name, config, why_out);
    }
    if (rc == -1 && optind < argc)
        return mistake(why_out, "what is \"%s\"?", argv[optind]);
    return rc == -1 ? config_check(config, why_out) : rc;
}
