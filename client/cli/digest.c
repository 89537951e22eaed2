/* hawser digest: lines as b3sum prints them, sorted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"

#define LINES_MIN 64u /* first size of the growing array */
#define LINES_MAX (1u << 20) /* sorted; of a larger tree the rest comes as it was read */
#define DIGEST_SIZE_MAX 32u

struct digest_line {
    uint64_t bytes;
    uint8_t digest[DIGEST_SIZE_MAX];
    size_t digest_size;
    char path[]; /* as it is printed */
};

struct digest_lines {
    const struct cli_options *options;
    const char *prefix; /* of all paths of the place at hand */
    size_t prefix_size;
    struct digest_line **items;
    size_t count, room;
};

/* As a sorted walk meets them: what is in a directory comes where the directory is. */
static int digest_compare(const void *a, const void *b)
{
    const unsigned char *x = (const unsigned char *)(*(struct digest_line *const *)a)->path;
    const unsigned char *y = (const unsigned char *)(*(struct digest_line *const *)b)->path;

    while (*x != '\0' && *x == *y) {
        x++;
        y++;
    }
    if (*x == '\0' || *y == '\0')
        return (*x != '\0') - (*y != '\0');
    if (*x == '/' || *y == '/')
        return *x == '/' ? -1 : 1;
    return (*x > *y) - (*x < *y);
}

static void digest_hex(const struct digest_line *line, char out[2 * DIGEST_SIZE_MAX + 1])
{
    for (size_t i = 0; i < line->digest_size; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", line->digest[i]);
}

/* A backslash in front says that in the name \\ and \n stand for what they are in C. */
static void digest_print(const struct cli_options *options, const struct digest_line *line)
{
    char hex[2 * DIGEST_SIZE_MAX + 1];

    digest_hex(line, hex);
    if (options->json) {
        cli_json_digest(line->path, line->bytes, cli_digest_name(options->transfer.digest), hex);
        return;
    }
    printf("%s%s  ", strpbrk(line->path, "\\\n") != NULL ? "\\" : "", hex);
    for (const char *at = line->path; *at != '\0'; at++) {
        if (*at == '\\' || *at == '\n')
            fputs(*at == '\\' ? "\\\\" : "\\n", stdout);
        else
            putchar(*at);
    }
    putchar('\n');
}

/* Keep it for sorting; false: there is no room. */
static bool digest_keep(struct digest_lines *lines, struct digest_line *line)
{
    if (lines->count == lines->room && lines->count < LINES_MAX) {
        size_t room = lines->room > 0 ? lines->room * 2 : LINES_MIN;
        struct digest_line **items = reallocarray(lines->items, room, sizeof(items[0]));

        if (items != NULL) {
            lines->items = items;
            lines->room = room;
        }
    }
    if (lines->count == lines->room)
        return false;
    lines->items[lines->count++] = line;
    return true;
}

static void digest_value(void *context, const hawser_digest_value *value)
{
    struct digest_lines *lines = context;
    size_t size = strlen(value->path);
    struct digest_line *line = malloc(sizeof(*line) + lines->prefix_size + size + 1);

    if (line == NULL || value->digest_size > DIGEST_SIZE_MAX) {
        fprintf(stderr, "hawser: out of memory\n");
        exit(CLI_EXIT_RESOURCE);
    }
    line->bytes = value->bytes;
    line->digest_size = value->digest_size;
    memcpy(line->digest, value->digest, value->digest_size);
    memcpy(line->path, lines->prefix, lines->prefix_size);
    memcpy(line->path + lines->prefix_size, value->path, size + 1);
    if (digest_keep(lines, line))
        return;
    digest_print(lines->options, line);
    free(line);
}

/* What stands before the paths of @place: they begin with its last part, or below it. */
static char *digest_prefix(const char *place)
{
    const char *slash = strrchr(place, '/');
    const char *last = slash != NULL ? slash + 1 : place;
    bool below = *last == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
    char *prefix = NULL;

    if (strncmp(place, "hawser://", 9) == 0)
        return strdup("");
    if (asprintf(&prefix, "%.*s%s", below ? (int)strlen(place) : (int)(last - place), place,
                 below && *last != '\0' ? "/" : "") < 0)
        return NULL;
    return prefix;
}

static int digest_place(struct cli_options *options, struct cli_output *output,
                        hawser_client *client, const char *place)
{
    struct digest_lines lines = { .options = options };
    char *prefix = digest_prefix(place);
    int rc;

    if (prefix == NULL)
        return CLI_EXIT_RESOURCE;
    lines.prefix = prefix;
    lines.prefix_size = strlen(prefix);
    rc = hawser_digest_tree(client, place, &options->transfer, digest_value, &lines);
    if (lines.count > 0)
        qsort(lines.items, lines.count, sizeof(lines.items[0]), digest_compare);
    for (size_t i = 0; i < lines.count; i++) {
        digest_print(options, lines.items[i]);
        free(lines.items[i]);
    }
    free(lines.items);
    free(prefix);
    if (rc < 0 && (rc != HAWSER_E_PARTIAL || output->failed == 0)) {
        const char *message = hawser_client_message(client);

        cli_error(output, rc, *message != '\0' ? message : place);
    }
    return cli_exit_code(output, rc);
}

int cli_digest(struct cli_options *options, struct cli_output *output, hawser_client *client)
{
    int code = CLI_EXIT_OK;

    options->transfer.event = cli_output_event;
    options->transfer.context = output;
    if (options->transfer.digest == HAWSER_DIGEST_DEFAULT)
        options->transfer.digest = HAWSER_DIGEST_BLAKE3;
    for (size_t i = 0; i < options->arg_count; i++) {
        int one = digest_place(options, output, client, options->args[i]);

        if (code == CLI_EXIT_OK || one == CLI_EXIT_INTERRUPTED)
            code = one;
    }
    return code;
}
