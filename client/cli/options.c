/* The command line: one table says which options there are, which commands take them, and what the
 * help prints. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"

#define TIMEOUT_S_MAX 86400u
#define RETRIES_MAX 1000000u /* a week of pauses and more: for ever */
#define CONGESTION_MAX 15u /* bytes, as in Linux */
#define CHUNK_MIN (64u * 1024)
#define CHUNK_MAX (4u * 1024 * 1024)
#define DELTA_BLOCK_MIN 512u
#define DELTA_BLOCK_MAX (1024u * 1024)
#define NS_PER_S 1000000000ull

#define COMMANDS                                                                                   \
    "push, pull, verify, digest, ls, stat, jobs, pause, resume, cancel, doctor or bench"

#define MOVE (CLI_PUSH | CLI_PULL)
#define LOOK (CLI_LS | CLI_STAT)
#define COMPARE (MOVE | CLI_VERIFY)
#define READ (COMPARE | CLI_DIGEST)
#define ALL (READ | LOOK)
#define EVERY (ALL | CLI_DOCTOR)

enum option_id {
    OPTION_DRY_RUN = 'n',
    OPTION_VERBOSE = 'v',
    OPTION_QUIET = 'q',
    OPTION_CHECKSUM = 'c',
    OPTION_WHOLE_FILE = 'W',
    OPTION_FROM0 = '0',
    OPTION_DELETE = 256,
    OPTION_DISCARD,
    OPTION_MAX_DELETE,
    OPTION_EXCLUDE,
    OPTION_INCLUDE,
    OPTION_EXCLUDE_FROM,
    OPTION_INCLUDE_FROM,
    OPTION_FILES_FROM,
    OPTION_SIZE_ONLY,
    OPTION_IGNORE_EXISTING,
    OPTION_BWLIMIT,
    OPTION_STREAMS,
    OPTION_DEPTH,
    OPTION_CHUNK,
    OPTION_MEMORY,
    OPTION_SHARDS,
    OPTION_DIGEST,
    OPTION_DURABILITY,
    OPTION_IO,
    OPTION_ZERO_COPY,
    OPTION_DELTA,
    OPTION_DELTA_BLOCK,
    OPTION_INPLACE,
    OPTION_JSON,
    OPTION_PROGRESS,
    OPTION_NO_PROGRESS,
    OPTION_NO_OWNER,
    OPTION_NO_TIMES,
    OPTION_NO_XATTRS,
    OPTION_NO_HARD_LINKS,
    OPTION_COPY_LINKS,
    OPTION_TIMEOUT,
    OPTION_RETRIES,
    OPTION_FAILURES,
    OPTION_AHEAD,
    OPTION_NO_JOURNAL,
    OPTION_VERIFY_RESUME,
    OPTION_TRACE,
    OPTION_CONGESTION,
    OPTION_HELP,
    OPTION_VERSION,
};

struct option_row {
    int id; /* a letter is its short form too */
    const char *name;
    const char *arg; /* NULL: takes none */
    unsigned commands;
    const char *help;
};

static const struct option_row rows[] = {
    { OPTION_DRY_RUN, "dry-run", NULL, MOVE, "change nothing, show what would be done" },
    { OPTION_DISCARD, "discard", NULL, CLI_PUSH, "send and verify, keep nothing: hawserd --bench" },
    { OPTION_VERBOSE, "verbose", NULL, ALL, "name what changes; say what runs" },
    { OPTION_QUIET, "quiet", NULL, EVERY, "print errors only; doctor: what is not in order" },
    { OPTION_CHECKSUM, "checksum", NULL, MOVE, "compare digests of files of the same size" },
    { OPTION_DELETE, "delete", NULL, MOVE, "remove what the source does not have" },
    { OPTION_MAX_DELETE, "max-delete", "N", MOVE, "with --delete: remove at most N entries" },
    { OPTION_EXCLUDE, "exclude", "PATTERN", READ, "leave out what matches" },
    { OPTION_INCLUDE, "include", "PATTERN", READ, "keep what matches; the first match decides" },
    { OPTION_EXCLUDE_FROM, "exclude-from", "FILE", READ, "patterns, one a line; - is stdin" },
    { OPTION_INCLUDE_FROM, "include-from", "FILE", READ, "the same for --include" },
    { OPTION_FILES_FROM, "files-from", "FILE", COMPARE, "move only the paths listed; - is stdin" },
    { OPTION_FROM0, "from0", NULL, READ, "items of those files end with NUL" },
    { OPTION_SIZE_ONLY, "size-only", NULL, MOVE, "the same size is the same file" },
    { OPTION_IGNORE_EXISTING, "ignore-existing", NULL, MOVE, "leave existing files as they are" },
    { OPTION_BWLIMIT, "bwlimit", "RATE", MOVE, "bytes a second; plain numbers are KiB/s" },
    { OPTION_STREAMS, "streams", "N", MOVE, "connections for data, 1 to 64" },
    { OPTION_DEPTH, "depth", "N", MOVE, "chunks in flight on each, 1 to 256" },
    { OPTION_CHUNK, "chunk", "SIZE", MOVE, "bytes of a chunk, 64K to 4M, in steps of 64K" },
    { OPTION_CONGESTION, "congestion", "NAME", MOVE, "TCP's congestion control; auto, system" },
    { OPTION_MEMORY, "memory", "SIZE", ALL, "for all buffers and tables together" },
    { OPTION_SHARDS, "shards", "N|auto", ALL, "threads with a ring each; auto: one a core" },
    { OPTION_DIGEST, "digest", "KIND", READ, "xxh3 or blake3; default of digest: blake3" },
    { OPTION_DURABILITY, "durability", "LEVEL", MOVE, "received, written or durable (default)" },
    { OPTION_IO, "io", "MODE", READ, "disk: auto (default), direct or buffered" },
    { OPTION_ZERO_COPY, "zero-copy", "MODE", MOVE, "sending: off (default), auto or on" },
    { OPTION_DELTA, "delta", "MODE", MOVE, "send what differs from old: auto (default), on, off" },
    { OPTION_WHOLE_FILE, "whole-file", NULL, MOVE, "the same as --delta=off" },
    { OPTION_DELTA_BLOCK, "delta-block", "SIZE", MOVE, "bytes compared at once, 512 to 1M" },
    { OPTION_INPLACE, "inplace", NULL, MOVE, "write into files where they lie" },
    { OPTION_AHEAD, "ahead", "MODE", MOVE, "signatures in gaps: auto (default), on or off" },
    { OPTION_NO_JOURNAL, "no-journal", NULL, MOVE, "keep nothing for a run that goes on" },
    { OPTION_VERIFY_RESUME, "verify-resume", NULL, MOVE, "read again what an earlier run kept" },
    { OPTION_JSON, "json", NULL, EVERY, "one JSON object a line on stdout; doctor: one" },
    { OPTION_PROGRESS, "progress", NULL, COMPARE, "show progress even without a terminal" },
    { OPTION_NO_PROGRESS, "no-progress", NULL, COMPARE, "never show progress" },
    { OPTION_NO_OWNER, "no-owner", NULL, COMPARE, "do not keep owner and group" },
    { OPTION_NO_TIMES, "no-times", NULL, COMPARE, "do not keep modification times" },
    { OPTION_NO_XATTRS, "no-xattrs", NULL, COMPARE, "do not keep extended attributes and ACLs" },
    { OPTION_NO_HARD_LINKS, "no-hard-links", NULL, COMPARE, "hard links become files" },
    { OPTION_COPY_LINKS, "copy-links", NULL, READ, "move what symlinks point to" },
    { OPTION_TIMEOUT, "timeout", "SECONDS", ALL, "how long nothing may come, or arrive" },
    { OPTION_RETRIES, "retries", "N", ALL, "tries after a lost connection, without progress" },
    { OPTION_FAILURES, "failures", "FILE", MOVE, "write the paths that failed: for --files-from" },
    { OPTION_TRACE, "trace", "FILE", COMPARE, "at the end: what the threads did last" },
    { OPTION_HELP, "help", NULL, EVERY, "print this" },
    { OPTION_VERSION, "version", NULL, EVERY, "print the version" },
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const struct {
    const char *name;
    enum cli_command command;
    const char *args;
    const char *help;
} commands[] = {
    { "push", CLI_PUSH, "SRC... hawser://HOST[:PORT]/EXPORT[/PATH]", "Copy to a server" },
    { "pull", CLI_PULL, "hawser://HOST[:PORT]/EXPORT[/PATH]... DEST", "Copy from a server" },
    { "verify", CLI_VERIFY, "SRC... hawser://HOST[:PORT]/EXPORT[/PATH]", "Compare with a server" },
    { "digest", CLI_DIGEST, "PATH|URL...", "Print digests as b3sum does" },
    { "ls", CLI_LS, "hawser://HOST[:PORT]/EXPORT[/PATH]", "List a directory of a server" },
    { "stat", CLI_STAT, "hawser://HOST[:PORT]/EXPORT[/PATH]", "Everything about one path" },
    { "doctor", CLI_DOCTOR, "[PATH]...", "Say what of this machine to change" },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

int cli_usage(const char *fmt, ...)
{
    char text[2048], safe[4096];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args); /* cut when it does not fit */
    va_end(args);
    hawser_escape(text, strlen(text), safe, sizeof(safe));
    fprintf(stderr, "hawser: %s (see hawser --help)\n", safe);
    return CLI_EXIT_USAGE;
}

static void help_print(unsigned index)
{
    unsigned mask = index < COMMAND_COUNT ? commands[index].command : EVERY;

    if (index < COMMAND_COUNT) {
        printf("usage: hawser %s [OPTIONS] %s\n\n%s.\n\n", commands[index].name,
               commands[index].args, commands[index].help);
    } else {
        printf("usage: hawser COMMAND [OPTIONS] ...\n\n");
        for (unsigned i = 0; i < COMMAND_COUNT; i++)
            printf("  hawser %-6s [OPTIONS] %-42s %s\n", commands[i].name, commands[i].args,
                   commands[i].help);
        printf("  hawser bench KIND ...%*sMeasure (hawser bench --help)\n", 46, "");
        printf("  hawser %-60s%s\n", "jobs", "List transfers of yours that run here");
        printf("  hawser %-60s%s\n", "pause|resume|cancel [JOB]",
               "Hold one up, let it go on, end it in good order");
        printf("\n`SRC` copies the directory itself, `SRC/` its contents; so for URLs.\n\n");
    }
    printf("options:\n");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char left[48];

        if ((rows[i].commands & mask) == 0)
            continue;
        (void)snprintf(left, sizeof(left), "--%s%s%s", rows[i].name, rows[i].arg != NULL ? "=" : "",
                       rows[i].arg != NULL ? rows[i].arg : ""); /* fits: the table is constant */
        if (rows[i].id < 256)
            printf("  -%c, %-22s %s\n", rows[i].id, left, rows[i].help);
        else
            printf("      %-22s %s\n", left, rows[i].help);
    }
    if (mask == CLI_DOCTOR) {
        printf(
            "\nexit: 0 Hawser runs here; 1 a path could not be looked at; 2 usage; 5 Hawser does "
            "not run here\n");
        return;
    }
    printf(
        "\nexit: 0 all moved, compared and durable as asked; 1 some files failed; 2 usage; 3 could "
        "not\nconnect or was refused; 4 protocol or data error; 5 local resource or target full; "
        "130 interrupted\n");
}

static bool exclude_line(void *context, const char *text, size_t size)
{
    return cli_rule_add(context, text, size, false);
}

static bool include_line(void *context, const char *text, size_t size)
{
    return cli_rule_add(context, text, size, true);
}

static bool files_line(void *context, const char *text, size_t size)
{
    struct cli_options *options = context;

    return cli_strings_add(&options->files, text, size);
}

static int lines_failed(const char *option, const char *path, int error)
{
    return cli_usage("--%s=%s: %s", option, path,
                     error == EINVAL ? "a line holds a NUL byte (use --from0 for NUL-ended items)"
                                     : strerror(error));
}

static int number_option(const struct option_row *row, const char *text, uint64_t min, uint64_t max,
                         uint32_t *ret_number)
{
    uint64_t number;

    if (!cli_number_parse(text, min, max, &number))
        return cli_usage("--%s=%s: must be a number from %llu to %llu", row->name, text,
                         (unsigned long long)min, (unsigned long long)max);
    *ret_number = (uint32_t)number;
    return -1;
}

static int size_option(const struct option_row *row, const char *text, uint64_t unit, uint64_t max,
                       uint64_t *ret_bytes)
{
    uint64_t bytes;

    if (!cli_size_parse(text, unit, &bytes) || bytes > max)
        return cli_usage("--%s=%s: must be a size such as 64K, 1M or 1.5G", row->name, text);
    *ret_bytes = bytes;
    return -1;
}

static int word_option(const struct option_row *row, const char *text, struct cli_options *options)
{
    unsigned mode;

    if (row->id == OPTION_DIGEST) {
        if (strcmp(text, "xxh3") == 0)
            options->transfer.digest = HAWSER_DIGEST_XXH3;
        else if (strcmp(text, "blake3") == 0)
            options->transfer.digest = HAWSER_DIGEST_BLAKE3;
        else
            return cli_usage("--digest=%s: must be xxh3 or blake3", text);
        return -1;
    }
    if (row->id == OPTION_CONGESTION) {
        if (*text == '\0' || strlen(text) > CONGESTION_MAX ||
            strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(text))
            return cli_usage("--congestion=%s: must be auto, system, or a name such as cubic",
                             text);
        options->client.congestion = text;
        return -1;
    }
    if (row->id == OPTION_IO) {
        static const char *const modes[] = { "auto", "direct", "buffered",
                                             NULL }; /* enum hawser_io */

        if (!cli_word_parse(text, modes, &mode))
            return cli_usage("--io=%s: must be auto, direct or buffered", text);
        options->transfer.io = (enum hawser_io)mode;
        return -1;
    }
    if (row->id == OPTION_AHEAD) {
        static const char *const modes[] = { "auto", "on", "off", NULL }; /* enum hawser_ahead */

        if (!cli_word_parse(text, modes, &mode))
            return cli_usage("--ahead=%s: must be auto, on or off", text);
        options->transfer.ahead = (enum hawser_ahead)mode;
        return -1;
    }
    if (row->id == OPTION_ZERO_COPY) {
        if (!cli_word_parse(text, cli_zero_copy_words, &mode))
            return cli_usage("--zero-copy=%s: must be off, auto or on", text);
        options->transfer.zero_copy = (enum hawser_zero_copy)mode;
        return -1;
    }
    if (row->id == OPTION_DELTA) {
        static const char *const modes[] = { "auto", "on", "off", NULL }; /* enum hawser_delta */

        if (!cli_word_parse(text, modes, &mode))
            return cli_usage("--delta=%s: must be auto, on or off", text);
        options->transfer.delta = (enum hawser_delta)mode;
        return -1;
    }
    for (int level = HAWSER_DURABILITY_RECEIVED; level <= HAWSER_DURABILITY_DURABLE; level++) {
        if (strcmp(text, cli_durability_name((enum hawser_durability)level)) != 0)
            continue;
        options->transfer.durability = (enum hawser_durability)level;
        return -1;
    }
    return cli_usage("--durability=%s: must be received, written or durable", text);
}

/* Options that take a number or size. */
static int value_option(const struct option_row *row, const char *text, struct cli_options *options)
{
    uint64_t bytes = 0;
    uint32_t seconds = 0;
    int rc;

    switch (row->id) {
    case OPTION_STREAMS:
        return number_option(row, text, 1, 64, &options->client.streams);
    case OPTION_DEPTH:
        return number_option(row, text, 1, 256, &options->client.depth);
    case OPTION_SHARDS:
        if (strcmp(text, "auto") == 0) {
            options->client.shards = 0;
            return -1;
        }
        return number_option(row, text, 1, 256, &options->client.shards);
    case OPTION_CHUNK:
        rc = size_option(row, text, 1, CHUNK_MAX, &bytes);
        if (rc == -1 && (bytes < CHUNK_MIN || bytes % CHUNK_MIN != 0))
            return cli_usage("--chunk=%s: must be 64K to 4M, a multiple of 64K", text);
        options->client.chunk = (uint32_t)bytes;
        return rc;
    case OPTION_DELTA_BLOCK:
        rc = size_option(row, text, 1, DELTA_BLOCK_MAX, &bytes);
        if (rc == -1 && (bytes < DELTA_BLOCK_MIN || (bytes & (bytes - 1)) != 0))
            return cli_usage("--delta-block=%s: must be a power of two from 512 to 1M", text);
        options->transfer.delta_block = (uint32_t)bytes;
        return rc;
    case OPTION_MEMORY:
        rc = size_option(row, text, 1, UINT64_MAX / 2, &options->client.memory);
        if (rc == -1 && options->client.memory == 0)
            return cli_usage("--memory=%s: must be a size such as 256M", text);
        return rc;
    case OPTION_BWLIMIT: /* 0 means no limit, as in rsync */
        return size_option(row, text, 1024, UINT64_MAX / 2, &options->transfer.bwlimit);
    case OPTION_RETRIES:
        rc = number_option(row, text, 0, RETRIES_MAX, &options->client.retries);
        options->client.no_retries = rc == -1 && options->client.retries == 0;
        options->client.retry_connect = !options->client.no_retries;
        return rc;
    case OPTION_MAX_DELETE:
        if (!cli_number_parse(text, 0, INT64_MAX, &options->transfer.delete_max))
            return cli_usage("--max-delete=%s: must be a number", text);
        options->transfer.delete_limited = true;
        return -1;
    default: /* OPTION_TIMEOUT */
        rc = number_option(row, text, 1, TIMEOUT_S_MAX, &seconds);
        options->client.idle_timeout_ns = seconds * NS_PER_S;
        options->client.connect_timeout_ns = seconds * NS_PER_S;
        return rc;
    }
}

/* Options that name a pattern or a file; for patterns their order among each other counts. */
static int list_option(const struct option_row *row, const char *text, struct cli_options *options)
{
    bool include = row->id == OPTION_INCLUDE || row->id == OPTION_INCLUDE_FROM;
    int error;

    if (row->id == OPTION_TRACE) {
        options->trace = text;
        return -1;
    }
    if (row->id == OPTION_FAILURES) {
        options->failures = text;
        return -1;
    }
    if (row->id == OPTION_FILES_FROM) {
        options->files_from = text;
        return -1;
    }
    if (row->id == OPTION_EXCLUDE_FROM || row->id == OPTION_INCLUDE_FROM) {
        error = cli_lines_read(text, options->from0, true, include ? include_line : exclude_line,
                               options);
        return error == 0 ? -1 : lines_failed(row->name, text, error);
    }
    if (*text == '\0')
        return cli_usage("--%s: the pattern is empty", row->name);
    if (!cli_rule_add(options, text, strlen(text), include))
        return cli_usage("out of memory");
    return -1;
}

static void flag_option(int id, struct cli_options *options)
{
    hawser_transfer_opts *transfer = &options->transfer;
    const struct {
        int id;
        bool *flag;
    } flags[] = {
        { OPTION_DRY_RUN, &transfer->dry_run },
        { OPTION_DISCARD, &transfer->discard },
        { OPTION_CHECKSUM, &transfer->checksum },
        { OPTION_DELETE, &transfer->delete_extraneous },
        { OPTION_SIZE_ONLY, &transfer->size_only },
        { OPTION_IGNORE_EXISTING, &transfer->ignore_existing },
        { OPTION_NO_OWNER, &transfer->no_owner },
        { OPTION_NO_TIMES, &transfer->no_times },
        { OPTION_NO_XATTRS, &transfer->no_xattrs },
        { OPTION_NO_HARD_LINKS, &transfer->no_hard_links },
        { OPTION_COPY_LINKS, &transfer->copy_links },
        { OPTION_INPLACE, &transfer->inplace },
        { OPTION_NO_JOURNAL, &transfer->no_journal },
        { OPTION_VERIFY_RESUME, &transfer->verify_resume },
        { OPTION_QUIET, &options->quiet },
        { OPTION_JSON, &options->json },
        { OPTION_FROM0, &options->from0 },
    };

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (flags[i].id == id)
            *flags[i].flag = true;
    if (id == OPTION_VERBOSE)
        options->verbose++;
    if (id == OPTION_WHOLE_FILE)
        transfer->delta = HAWSER_DELTA_OFF;
    if (id == OPTION_PROGRESS)
        options->progress = CLI_PROGRESS_ON;
    if (id == OPTION_NO_PROGRESS)
        options->progress = CLI_PROGRESS_OFF;
}

static int option_apply(const struct option_row *row, const char *text, struct cli_options *options)
{
    switch (row->id) {
    case OPTION_STREAMS:
    case OPTION_DEPTH:
    case OPTION_SHARDS:
    case OPTION_CHUNK:
    case OPTION_DELTA_BLOCK:
    case OPTION_MEMORY:
    case OPTION_BWLIMIT:
    case OPTION_MAX_DELETE:
    case OPTION_TIMEOUT:
    case OPTION_RETRIES:
        return value_option(row, text, options);
    case OPTION_DIGEST:
    case OPTION_DURABILITY:
    case OPTION_CONGESTION:
    case OPTION_IO:
    case OPTION_ZERO_COPY:
    case OPTION_DELTA:
    case OPTION_AHEAD:
        return word_option(row, text, options);
    case OPTION_EXCLUDE:
    case OPTION_INCLUDE:
    case OPTION_EXCLUDE_FROM:
    case OPTION_INCLUDE_FROM:
    case OPTION_FILES_FROM:
    case OPTION_FAILURES:
    case OPTION_TRACE:
        return list_option(row, text, options);
    default:
        flag_option(row->id, options);
        return -1;
    }
}

static const struct option_row *row_find(int id)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].id == id)
            return &rows[i];
    return NULL;
}

/* What getopt_long(3) wants, from the table. */
static void table_make(struct option longs[ROW_COUNT + 1], char shorts[ROW_COUNT + 2])
{
    size_t at = 0;

    shorts[at++] = ':'; /* a missing argument is told apart from an unknown option */
    for (size_t i = 0; i < ROW_COUNT; i++) {
        longs[i] =
            (struct option){ .name = rows[i].name,
                             .has_arg = rows[i].arg != NULL ? required_argument : no_argument,
                             .val = rows[i].id };
        if (rows[i].id < 256)
            shorts[at++] = (char)rows[i].id;
    }
    shorts[at] = '\0';
    longs[ROW_COUNT] = (struct option){ 0 };
}

static int unknown(int argc, char **argv, int id)
{
    const char *text = optind > 0 && optind <= argc ? argv[optind - 1] : "";

    if (id == ':')
        return cli_usage("%s needs a value", text);
    if (optopt > 0 && optopt < 256)
        return cli_usage("unknown option -%c", optopt);
    if (optopt != 0)
        return cli_usage("%s: takes no value", text);
    return cli_usage("unknown or ambiguous option %s", text);
}

static int options_read(int argc, char **argv, unsigned index, struct cli_options *options)
{
    struct option longs[ROW_COUNT + 1];
    char shorts[ROW_COUNT + 2];
    int id, rc = -1;

    table_make(longs, shorts);
    opterr = 0;
    /* -0 says how the files of other options are read, wherever it stands: look for it first. */
    for (optind = 1; (id = getopt_long(argc, argv, shorts, longs, NULL)) != -1;)
        if (id == OPTION_FROM0)
            options->from0 = true;
    optind = 0; /* GNU: start again, with its state forgotten */
    while (rc == -1 && (id = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const struct option_row *row = row_find(id);

        if (id == '?' || id == ':' || row == NULL)
            return unknown(argc, argv, id);
        if (id == OPTION_HELP) {
            help_print(index);
            return CLI_EXIT_OK;
        }
        if (id == OPTION_VERSION) {
            printf("hawser %s\n", hawser_version());
            return CLI_EXIT_OK;
        }
        if ((row->commands & options->command) == 0)
            return index < COMMAND_COUNT
                       ? cli_usage("%s takes no --%s", commands[index].name, row->name)
                       : cli_usage("the command comes first: " COMMANDS);
        rc = option_apply(row, optarg, options);
    }
    return rc;
}

static int url_check(const char *text)
{
    static hawser_url url; /* large; nothing of it is kept */
    char why[256];

    if (hawser_url_parse(text, &url, why, sizeof(why)) == 0)
        return -1;
    return cli_usage("%s: %s", text, why);
}

/* The words that are no options, as the command wants them. */
static int args_check(const struct cli_options *options, unsigned index)
{
    bool move = (options->command & COMPARE) != 0, look = (options->command & LOOK) != 0;
    int rc = -1;

    if ((move && options->arg_count < 2) || (look && options->arg_count != 1) ||
        (options->command == CLI_DIGEST && options->arg_count == 0))
        return cli_usage("usage: hawser %s [OPTIONS] %s", commands[index].name,
                         commands[index].args);
    for (size_t i = 0; rc == -1 && i < options->arg_count; i++) {
        bool last = i + 1 == options->arg_count;
        bool from_here = options->command == CLI_PUSH || options->command == CLI_VERIFY;
        bool is_url = from_here ? last : look || (move && !last);
        const char *text = options->args[i];

        if (*text == '\0')
            return cli_usage("an empty name");
        if (is_url || (options->command == CLI_DIGEST && strncmp(text, "hawser://", 9) == 0))
            rc = url_check(text);
        else if (strncmp(text, "hawser://", 9) == 0)
            rc = cli_usage("%s: %s", text,
                           from_here                      ? "only the last word is a URL"
                           : options->command == CLI_PULL ? "the last word of pull is a local path"
                                                          : "doctor looks at this machine");
    }
    return rc;
}

static int options_finish(struct cli_options *options, unsigned index)
{
    int error, rc = args_check(options, index);

    if (rc != -1)
        return rc;
    if (options->transfer.delete_limited && !options->transfer.delete_extraneous)
        return cli_usage("--max-delete is for --delete");
    if (options->transfer.checksum && options->transfer.size_only)
        return cli_usage("--checksum and --size-only contradict each other");
    if (options->transfer.verify_resume && options->transfer.no_journal)
        return cli_usage("--verify-resume and --no-journal contradict each other");
    if (options->files_from != NULL) {
        if (options->arg_count != 2)
            return cli_usage("--files-from goes with one %s",
                             options->command == CLI_PULL ? "URL" : "source directory");
        error = cli_lines_read(options->files_from, options->from0, !options->from0, files_line,
                               options);
        if (error != 0)
            return lines_failed("files-from", options->files_from, error);
        /* An empty list means nothing, not everything: the pointer must not be NULL. */
        if (options->files.items == NULL && !cli_strings_add(&options->files, "", 0))
            return cli_usage("out of memory");
        if (options->files.count == 1 && *options->files.items[0] == '\0')
            options->files.count = 0;
        options->transfer.files = (const char *const *)options->files.items;
        options->transfer.file_count = options->files.count;
    } else if (options->from0 && options->rule_count == 0 && options->failures == NULL) {
        return cli_usage(
            "--from0 is for --files-from, --failures, --exclude-from and --include-from");
    }
    options->transfer.rules = options->rules;
    options->transfer.rule_count = options->rule_count;
    options->transfer.names = options->verbose > 0 || (options->json && !options->quiet);
    return -1;
}

int cli_options_parse(int argc, char **argv, struct cli_options *ret_options)
{
    struct cli_options options = { .client = HAWSER_INIT(options.client),
                                   .transfer = HAWSER_INIT(options.transfer) };
    unsigned index = 0;
    int rc;

    if (argc < 2)
        return cli_usage("which command? " COMMANDS);
    while (index < COMMAND_COUNT && strcmp(argv[1], commands[index].name) != 0)
        index++;
    if (index == COMMAND_COUNT) {
        if (argv[1][0] != '-')
            return cli_usage("%s: no such command: it is one of " COMMANDS, argv[1]);
        rc = options_read(argc, argv, index, &options);
        return rc != -1 ? rc : cli_usage("which command? " COMMANDS);
    }
    options.command = commands[index].command;
    rc = options_read(argc - 1, argv + 1, index, &options);
    if (rc != -1)
        return rc;
    options.args = (const char **)(void *)(argv + 1 + optind);
    options.arg_count = (size_t)(argc - 1 - optind);
    rc = options_finish(&options, index);
    if (rc == -1)
        *ret_options = options;
    return rc;
}
