/* hawser doctor: what hawser_doctor() finds, for people or as one JSON document. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/cli/cli.h"

#define COLUMNS_USUAL 100 /* where there is no terminal to ask */
#define COLUMNS_LEAST 60
#define COLUMNS_MAX 120 /* longer lines are hard to read */
#define TEXT_COLUMN 12 /* where words begin, below their headline */

struct report {
    const struct cli_options *options;
    char area[32]; /* of the last finding */
    int columns;
    unsigned counts[3]; /* by level */
};

const char *cli_level_name(enum hawser_finding_level level)
{
    switch (level) {
    case HAWSER_FINDING_OK:
        return "ok";
    case HAWSER_FINDING_ADVICE:
        return "advice";
    case HAWSER_FINDING_PROBLEM:
        return "problem";
    }
    return "unknown"; /* of a newer library */
}

/* @text from column @at on, broken at blanks. */
static void words_print(const char *text, int at, int columns)
{
    int column = at;

    while (*text != '\0') {
        int size = (int)strcspn(text, " ");

        if (column > TEXT_COLUMN && column + 1 + size > columns) {
            printf("\n%*s", TEXT_COLUMN, "");
            column = TEXT_COLUMN;
        } else if (column > at || at > TEXT_COLUMN) {
            putchar(' ');
            column++;
        }
        printf("%.*s", size, text);
        column += size;
        text += size;
        text += strspn(text, " ");
    }
    putchar('\n');
}

/* Commands are for copying: one a line, never broken. What is done by no command begins with '#'.
 */
static void commands_print(const char *text)
{
    while (*text != '\0') {
        int size = (int)strcspn(text, "\n");

        printf("%*s%s%.*s\n", TEXT_COLUMN, "", *text == '#' ? "" : "$ ", size, text);
        text += size;
        text += *text == '\n';
    }
}

static void finding_print(struct report *report, const hawser_finding *finding)
{
    char what[4096], subject[4096];
    int at;

    hawser_escape(finding->what, strlen(finding->what), what, sizeof(what));
    hawser_escape(finding->subject, strlen(finding->subject), subject, sizeof(subject));
    if (strcmp(report->area, finding->area) != 0) {
        printf("%s%s\n", report->area[0] != '\0' ? "\n" : "", finding->area);
        (void)snprintf(report->area, sizeof(report->area), "%s", finding->area); /* short words */
    }
    at = printf("  %-8s  %s%s%s:", cli_level_name(finding->level), finding->name,
                *subject != '\0' ? " " : "", subject);
    words_print(what, at, report->columns);
    commands_print(finding->change);
    if (*finding->gain != '\0') {
        printf("%*s", TEXT_COLUMN, "");
        words_print(finding->gain, TEXT_COLUMN, report->columns);
    }
}

static void finding_show(void *context, const hawser_finding *finding)
{
    struct report *report = context;

    if ((size_t)finding->level < sizeof(report->counts) / sizeof(report->counts[0]))
        report->counts[finding->level]++;
    if (report->options->json)
        cli_json_finding(finding);
    else if (!report->options->quiet || finding->level != HAWSER_FINDING_OK)
        finding_print(report, finding);
}

static void summary_print(const struct report *report, int code)
{
    unsigned problems = report->counts[HAWSER_FINDING_PROBLEM];
    unsigned advice = report->counts[HAWSER_FINDING_ADVICE];

    if (report->options->quiet && problems + advice == 0)
        return;
    printf("%sHawser %s%s. ", report->area[0] != '\0' ? "\n" : "",
           code == 0 || code == HAWSER_E_PARTIAL ? "runs here" : "does not run here: ",
           code == 0 || code == HAWSER_E_PARTIAL ? "" : hawser_strerror(code));
    if (problems > 0)
        printf("%u problem%s, ", problems, problems == 1 ? "" : "s");
    printf("%u thing%s could be better, %u %s in order.\n", advice, advice == 1 ? "" : "s",
           report->counts[HAWSER_FINDING_OK],
           report->counts[HAWSER_FINDING_OK] == 1 ? "is" : "are");
}

static int columns_get(void)
{
    struct winsize window = { 0 };

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) < 0 || window.ws_col == 0)
        return COLUMNS_USUAL;
    if (window.ws_col < COLUMNS_LEAST)
        return COLUMNS_LEAST;
    return window.ws_col < COLUMNS_MAX ? window.ws_col : COLUMNS_MAX;
}

int cli_doctor(const struct cli_options *options, struct cli_output *output)
{
    struct report report = { .options = options, .columns = columns_get() };
    int code, rc;

    rc = hawser_doctor(options->args, options->arg_count, finding_show, &report);
    code = cli_exit_code(output, rc);
    if (options->json)
        cli_json_doctor(rc, code);
    else
        summary_print(&report, rc);
    return code;
}
