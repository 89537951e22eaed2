/* The command line of hawser bench: one table, as in options.c. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/bench.h"

#define CHUNK_STEP 4096u
#define CHUNK_MAX (4u * 1024 * 1024)
#define TIME_MAX_NS 600000000000ull
#define BYTES_MAX (1ull << 50)
#define TIMEOUT_S_MAX 86400u
#define NS_PER_S 1000000000ull

#define NET BENCH_NET
#define DISK BENCH_DISK
#define HASH BENCH_HASH
#define PATH BENCH_PATH
#define ALL (NET | DISK | HASH | PATH)

enum option_id {
    OPTION_QUIET = 'q',
    OPTION_TIME = 256,
    OPTION_SIZE,
    OPTION_STREAMS,
    OPTION_DEPTH,
    OPTION_CHUNK,
    OPTION_SHARDS,
    OPTION_PATTERN,
    OPTION_IO,
    OPTION_MEMORY,
    OPTION_CONGESTION,
    OPTION_ZERO_COPY,
    OPTION_DOWNLOAD,
    OPTION_DISCARD,
    OPTION_NO_VERIFY,
    OPTION_NO_ACK,
    OPTION_JSON,
    OPTION_JSON_LINES,
    OPTION_CSV,
    OPTION_REPORT,
    OPTION_PROGRESS,
    OPTION_NO_PROGRESS,
    OPTION_TIMEOUT,
    OPTION_HELP,
};

static const struct option_row {
    int id; /* a letter is its short form too */
    const char *name;
    const char *arg; /* NULL: takes none */
    unsigned kinds;
    const char *help;
} rows[] = {
    { OPTION_TIME, "time", "SECONDS", ALL & ~PATH, "measure each point so long, 0.001 to 600" },
    { OPTION_SIZE, "size", "SIZE", ALL & ~PATH, "measure each point until so much has moved" },
    { OPTION_STREAMS, "streams", "LIST", NET | PATH, "connections, 1 to 64: a list is a sweep" },
    { OPTION_CHUNK, "chunk", "LIST", ALL, "bytes of a chunk or block, 4K to 4M" },
    { OPTION_DEPTH, "depth", "LIST", NET | DISK | PATH, "how many of them at once, 1 to 256" },
    { OPTION_SHARDS, "shards", "LIST", ALL, "threads here, with a ring each" },
    { OPTION_PATTERN, "pattern", "LIST", DISK, "read, write, randread, randwrite; normally all" },
    { OPTION_IO, "io", "LIST", DISK, "direct, buffered; normally both" },
    { OPTION_MEMORY, "memory", "SIZE", ALL, "for all buffers and tables together" },
    { OPTION_CONGESTION, "congestion", "NAME", NET | PATH,
      "TCP's congestion control; auto, system" },
    { OPTION_ZERO_COPY, "zero-copy", "MODE", NET | PATH, "send without a copy: off, auto, on" },
    { OPTION_DOWNLOAD, "download", NULL, NET, "the server sends" },
    { OPTION_DISCARD, "discard", NULL, PATH, "the server verifies, and keeps nothing" },
    { OPTION_NO_VERIFY, "no-verify", NULL, NET, "hash nothing, as other network benchmarks do" },
    { OPTION_NO_ACK, "no-ack", NULL, NET, "acknowledge the end alone: no depth, no latency" },
    { OPTION_QUIET, "quiet", NULL, ALL, "no live line" },
    { OPTION_PROGRESS, "progress", NULL, ALL, "show the live line even without a terminal" },
    { OPTION_NO_PROGRESS, "no-progress", NULL, ALL, "never show it" },
    { OPTION_JSON, "json", NULL, ALL, "one JSON document at the end" },
    { OPTION_JSON_LINES, "json-lines", NULL, ALL, "one JSON object a line, while it runs" },
    { OPTION_CSV, "csv", NULL, ALL, "one line for each point" },
    { OPTION_REPORT, "report", "FILE", ALL, "write a page (HTML) with plots, too" },
    { OPTION_TIMEOUT, "timeout", "SECONDS", NET | PATH, "how long nothing may come, or arrive" },
    { OPTION_HELP, "help", NULL, ALL, "print this" },
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const struct {
    const char *name;
    enum bench_kind kind;
    const char *args;
    const char *help;
} kinds[] = {
    { "net", BENCH_NET, "HOST[:PORT]|URL", "The network, from memory to memory" },
    { "disk", BENCH_DISK, "DIRECTORY", "Reads and writes of files that are gone afterwards" },
    { "path", BENCH_PATH, "SRC URL", "A push from disk to disk, as it is" },
    { "hash", BENCH_HASH, "", "Every hash that this CPU can do" },
};

/* In the order of the bits. */
static const char *const pattern_words[] = { "read", "write", "randread", "randwrite", NULL };
static const char *const io_words[] = { "direct", "buffered", NULL };

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

const char *bench_kind_name(enum bench_kind kind)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (kinds[i].kind == kind)
            return kinds[i].name;
    return "?";
}

bool bench_list_parse(const char *text, bool size, uint64_t min, uint64_t max,
                      struct bench_list *ret_list)
{
    struct bench_list list = { .count = 0 };

    for (;;) {
        size_t length = strcspn(text, ",");
        char item[32];
        uint64_t value;

        if (length == 0 || length >= sizeof(item) || list.count == BENCH_LIST_MAX)
            return false;
        memcpy(item, text, length);
        item[length] = '\0';
        if (!(size ? cli_size_parse(item, 1, &value) : cli_number_parse(item, min, max, &value)) ||
            value < min || value > max)
            return false;
        list.values[list.count++] = value;
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    *ret_list = list;
    return true;
}

bool bench_time_parse(const char *text, uint64_t max_ns, uint64_t *ret_ns)
{
    uint64_t ns;

    /* A size in units of a second: the same digits with the same fraction, without a suffix. */
    if (strspn(text, "0123456789.") != strlen(text) || !cli_size_parse(text, NS_PER_S, &ns))
        return false;
    if (ns < NS_PER_S / 1000 || ns > max_ns)
        return false;
    *ret_ns = ns;
    return true;
}

static void help_print(unsigned mask)
{
    printf("usage: hawser bench KIND [OPTIONS] ...\n\n");
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (mask & kinds[i].kind)
            printf("  hawser bench %-4s [OPTIONS] %-18s %s\n", kinds[i].name, kinds[i].args,
                   kinds[i].help);
    printf("  hawser bench --all [OPTIONS] DIRECTORY URL     All of them; the push is discarded\n");
    printf(
        "\nA LIST is values with commas between them: each combination is measured. A server must "
        "allow\nthat it is measured: hawserd --bench.\n\noptions:\n");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char left[48];

        if ((rows[i].kinds & mask) == 0)
            continue;
        (void)snprintf(left, sizeof(left), "--%s%s%s", rows[i].name, rows[i].arg != NULL ? "=" : "",
                       rows[i].arg != NULL ? rows[i].arg : ""); /* fits: the table is constant */
        if (rows[i].id < 256)
            printf("  -%c, %-18s %s\n", rows[i].id, left, rows[i].help);
        else
            printf("      %-18s %s\n", left, rows[i].help);
    }
}

static int list_option(const struct option_row *row, const char *text, bool size, uint64_t min,
                       uint64_t max, struct bench_list *ret_list)
{
    if (!bench_list_parse(text, size, min, max, ret_list))
        return cli_usage(size ? "--%s=%s: must be sizes with commas between them, such as 64K,1M"
                              : "--%s=%s: must be numbers with commas between them, such as 1,2,4",
                         row->name, text);
    for (size_t i = 0; size && i < ret_list->count; i++)
        if (ret_list->values[i] % CHUNK_STEP != 0)
            return cli_usage("--%s=%s: must be multiples of 4K", row->name, text);
    return -1;
}

static int size_option(const struct option_row *row, const char *text, uint64_t max,
                       uint64_t *ret_bytes)
{
    if (!cli_size_parse(text, 1, ret_bytes) || *ret_bytes == 0 || *ret_bytes > max)
        return cli_usage("--%s=%s: must be a size such as 64M or 4G", row->name, text);
    return -1;
}

/* Words of a list, as bits. */
static int words_option(const struct option_row *row, const char *text, const char *const *words,
                        unsigned *ret_bits)
{
    unsigned bits = 0;

    for (;;) {
        size_t length = strcspn(text, ","), i = 0;

        while (words[i] != NULL && (strlen(words[i]) != length || strncmp(words[i], text, length)))
            i++;
        if (words[i] == NULL)
            return cli_usage("--%s: there is no \"%.*s\"", row->name, (int)length, text);
        bits |= 1u << i;
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    *ret_bits = bits;
    return -1;
}

static int value_option(const struct option_row *row, const char *text,
                        struct bench_options *options)
{
    uint64_t seconds;

    switch (row->id) {
    case OPTION_TIME:
        if (!bench_time_parse(text, TIME_MAX_NS, &options->time_ns))
            return cli_usage("--time=%s: must be seconds, 0.001 to 600", text);
        return -1;
    case OPTION_SIZE:
        return size_option(row, text, BYTES_MAX, &options->bytes);
    case OPTION_MEMORY:
        return size_option(row, text, UINT64_MAX / 2, &options->memory);
    case OPTION_STREAMS:
        return list_option(row, text, false, 1, 64, &options->streams);
    case OPTION_DEPTH:
        return list_option(row, text, false, 1, 256, &options->depth);
    case OPTION_SHARDS:
        return list_option(row, text, false, 1, 256, &options->shards);
    case OPTION_CHUNK:
        return list_option(row, text, true, CHUNK_STEP, CHUNK_MAX, &options->chunk);
    case OPTION_PATTERN:
        return words_option(row, text, pattern_words, &options->patterns);
    case OPTION_IO:
        return words_option(row, text, io_words, &options->ios);
    default: /* OPTION_TIMEOUT */
        if (!cli_number_parse(text, 1, TIMEOUT_S_MAX, &seconds))
            return cli_usage("--timeout=%s: must be a number from 1 to %u", text, TIMEOUT_S_MAX);
        options->timeout_ns = seconds * NS_PER_S;
        return -1;
    }
}

static int form_option(enum bench_form form, struct bench_options *options)
{
    if (options->form != BENCH_TEXT && options->form != form)
        return cli_usage("--json, --json-lines and --csv: only one of them");
    options->form = form;
    return -1;
}

static int zero_copy_option(const char *text, struct bench_options *options)
{
    unsigned mode;

    if (!cli_word_parse(text, cli_zero_copy_words, &mode))
        return cli_usage("--zero-copy=%s: must be off, auto or on", text);
    options->zero_copy = (enum hawser_zero_copy)mode;
    return -1;
}

static int option_apply(const struct option_row *row, const char *text,
                        struct bench_options *options)
{
    switch (row->id) {
    case OPTION_CONGESTION: /* opening the client checks it */
        options->congestion = text;
        return -1;
    case OPTION_REPORT:
        if (*text == '\0')
            return cli_usage("--report needs a file");
        options->report = text;
        return -1;
    case OPTION_ZERO_COPY:
        return zero_copy_option(text, options);
    case OPTION_DISCARD:
        options->discard = true;
        return -1;
    case OPTION_DOWNLOAD:
        options->download = true;
        return -1;
    case OPTION_NO_VERIFY:
        options->no_verify = true;
        return -1;
    case OPTION_NO_ACK:
        options->no_ack = true;
        return -1;
    case OPTION_QUIET:
        options->quiet = true;
        return -1;
    case OPTION_PROGRESS:
        options->progress = CLI_PROGRESS_ON;
        return -1;
    case OPTION_NO_PROGRESS:
        options->progress = CLI_PROGRESS_OFF;
        return -1;
    case OPTION_JSON:
        return form_option(BENCH_JSON, options);
    case OPTION_JSON_LINES:
        return form_option(BENCH_JSON_LINES, options);
    case OPTION_CSV:
        return form_option(BENCH_CSV, options);
    default:
        return value_option(row, text, options);
    }
}

static const struct option_row *row_find(int id)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].id == id)
            return &rows[i];
    return NULL;
}

static int unknown(char **argv, int id)
{
    const char *text = optind > 0 ? argv[optind - 1] : "";

    if (id == ':')
        return cli_usage("%s needs a value", text);
    if (optopt > 0 && optopt < 256)
        return cli_usage("unknown option -%c", optopt);
    if (optopt != 0)
        return cli_usage("%s: takes no value", text);
    return cli_usage("unknown or ambiguous option %s", text);
}

static int options_read(int argc, char **argv, unsigned mask, struct bench_options *options)
{
    struct option longs[ROW_COUNT + 1] = { 0 };
    int id, rc = -1;

    for (size_t i = 0; i < ROW_COUNT; i++)
        longs[i] =
            (struct option){ .name = rows[i].name,
                             .has_arg = rows[i].arg != NULL ? required_argument : no_argument,
                             .val = rows[i].id };
    opterr = 0;
    optind = 0; /* GNU: start again, with its state forgotten */
    while (rc == -1 && (id = getopt_long(argc, argv, ":q", longs, NULL)) != -1) {
        const struct option_row *row = row_find(id);

        if (row == NULL)
            return unknown(argv, id);
        if (id == OPTION_HELP) {
            help_print(mask);
            return CLI_EXIT_OK;
        }
        if ((row->kinds & mask) == 0)
            return cli_usage("bench %s takes no --%s", bench_kind_name((enum bench_kind)mask),
                             row->name);
        rc = option_apply(row, optarg, options);
    }
    return rc;
}

/* The sweep: what was not given is one point, the default. */
static int options_finish(struct bench_options *options)
{
    struct bench_list *const lists[] = { &options->shards, &options->streams, &options->depth,
                                         &options->chunk };
    size_t points = 1;

    if (options->no_ack && options->depth.count > 0)
        return cli_usage("--no-ack has no --depth: nothing waits for acknowledgements");
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (lists[i]->count == 0)
            lists[i]->values[lists[i]->count++] = 0;
        points *= lists[i]->count;
    }
    if (points > BENCH_POINTS_MAX)
        return cli_usage("%zu points: a sweep has at most %u", points, BENCH_POINTS_MAX);
    return -1;
}

static int args_take(int argc, char **argv, struct bench_options *options)
{
    bool all = options->kinds == ALL;
    int wanted = options->kinds == BENCH_HASH ? 0 : all || options->kinds == BENCH_PATH ? 2 : 1;
    size_t i = 0;

    while (!all && kinds[i].kind != options->kinds)
        i++;
    if (all && (argc != wanted || *argv[0] == '\0'))
        return cli_usage("usage: hawser bench --all [OPTIONS] DIRECTORY URL");
    if (argc != wanted || (argc > 0 && *argv[0] == '\0'))
        return cli_usage("usage: hawser bench %s [OPTIONS] %s", kinds[i].name, kinds[i].args);
    if (options->kinds & BENCH_NET)
        options->server = argv[all ? 1 : 0];
    if (options->kinds & BENCH_DISK)
        options->path = argv[0];
    if (options->kinds & BENCH_PATH) {
        options->source = argv[0];
        options->url = argv[1];
    }
    options->discard = options->discard || all; /* a measurement of all leaves nothing */
    return -1;
}

int bench_options_parse(int argc, char **argv, struct bench_options *ret_options)
{
    struct bench_options options = { 0 };
    int rc;

    if (argc < 2)
        return cli_usage("bench what? net, disk, path or hash");
    if (strcmp(argv[1], "--help") == 0) {
        help_print(ALL);
        return CLI_EXIT_OK;
    }
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strcmp(argv[1], kinds[i].name) == 0)
            options.kinds = kinds[i].kind;
    if (strcmp(argv[1], "--all") == 0)
        options.kinds = ALL;
    if (options.kinds == 0)
        return cli_usage("bench %s: there is no such benchmark; there are net, disk, path and hash",
                         argv[1]);
    rc = options_read(argc - 1, argv + 1, options.kinds, &options);
    if (rc != -1)
        return rc;
    rc = args_take(argc - 1 - optind, argv + 1 + optind, &options);
    if (rc == -1)
        rc = options_finish(&options);
    if (rc == -1)
        *ret_options = options;
    return rc;
}
