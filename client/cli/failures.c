/* The file of --failures: the paths that failed, one a line, or each ended by NUL with --from0, so
 * that
 * --files-from of the next run takes them. They are kept until the end: an attempt that is repeated
 * may mend some. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"

static FILE *file; /* NULL: not asked for */
static const char *file_name;
static bool nul;
static struct cli_strings paths;
static bool lacking; /* no memory for some path */

int cli_failures_open(const struct cli_options *options)
{
    if (options->failures == NULL)
        return 0;
    file_name = options->failures;
    nul = options->from0;
    file = fopen(file_name, "we");
    return file != NULL ? 0 : -errno;
}

void cli_failures_add(const char *path)
{
    if (file == NULL || *path == '\0')
        return;
    /* the same path may fail twice: its content, and later its metadata */
    if (paths.count > 0 && strcmp(paths.items[paths.count - 1], path) == 0)
        return;
    lacking |= !cli_strings_add(&paths, path, strlen(path));
}

void cli_failures_forget(void)
{
    paths.count = 0; /* the strings stay until the process ends */
}

/* Lines are read with their ends cut, and some as comments. */
static bool is_line(const char *path)
{
    return strpbrk(path, "\n\r") == NULL && *path != '#' && *path != ';';
}

int cli_failures_close(void)
{
    size_t left_out = 0;
    bool failed = lacking;
    char text[4 * HAWSER_PATH_MAX + 1];

    if (file == NULL)
        return 0;
    for (size_t i = 0; i < paths.count; i++) {
        const char *path = paths.items[i];

        if (!nul && !is_line(path)) {
            hawser_escape(path, strlen(path), text, sizeof(text));
            fprintf(stderr, "hawser: %s: %s cannot hold this name as a line (use --from0)\n", text,
                    file_name);
            left_out++;
            continue;
        }
        failed |= fputs(path, file) < 0 || fputc(nul ? '\0' : '\n', file) == EOF;
    }
    failed |= fclose(file) != 0;
    file = NULL;
    if (failed)
        return lacking ? -ENOMEM : errno != 0 ? -errno : -EIO;
    return left_out > 0 ? -EILSEQ : 0;
}
