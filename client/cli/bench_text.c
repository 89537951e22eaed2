/* hawser bench for people: the live line, the tables at the end; and CSV for spreadsheets. */
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/cli/bench.h"
#include "client/cli/bench_sides.h"

#define LIVE_NS 1000000000ull /* between lines where there is no terminal */
#define CELL_SIZE 64u
#define COLUMNS_MAX 32u

/* ---- the live line ---- */

void bench_live_clear(struct bench_run *run)
{
    if (run->live)
        fputs("\r\033[K", stderr);
    run->live = false;
}

/* "1 of 8" and the values that are swept. */
static int live_point(const struct bench_run *run, char *buf, size_t size)
{
    const struct bench_point *point = &run->points[run->at];
    const struct {
        const char *name;
        uint32_t value;
        bool bytes;
    } fields[] = {
        { "shards", point->shards, false },
        { "streams", point->streams, false },
        { "depth", point->depth, false },
        { "chunk", point->chunk, true },
    };
    int length = snprintf(buf, size, "%s %s  %zu of %zu", bench_kind_name(point->kind), point->what,
                          run->at + 1, run->count);

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        char value[24];

        if (fields[i].value == 0)
            continue;
        if (fields[i].bytes)
            (void)bench_size_print(fields[i].value, value, sizeof(value));
        else
            (void)snprintf(value, sizeof(value), "%u", fields[i].value);
        length += snprintf(buf + length, size - (size_t)length, "  %s %s", fields[i].name, value);
    }
    return length; /* four names and numbers: some 100 bytes */
}

void bench_live(struct bench_run *run, const hawser_bench_sample *sample)
{
    const struct bench_options *options = run->options;
    uint64_t pause = run->tty ? 0 : LIVE_NS;
    char line[256];
    struct winsize window = { 0 };
    int columns = 80, length;

    if (options->quiet || options->progress == CLI_PROGRESS_OFF ||
        (!run->tty && options->progress != CLI_PROGRESS_ON) ||
        sample->elapsed_ns < run->shown_ns + pause || sample->elapsed_ns == run->shown_ns)
        return;
    length = live_point(run, line, sizeof(line));
    length += snprintf(line + length, sizeof(line) - (size_t)length, "  %.1f s  %.2f GB/s",
                       (double)sample->elapsed_ns / 1e9,
                       (double)(sample->bytes - run->shown_bytes) /
                           (double)(sample->elapsed_ns - run->shown_ns));
    run->shown_ns = sample->elapsed_ns;
    run->shown_bytes = sample->bytes;
    if (!run->tty) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1)
        columns = window.ws_col;
    if (length >= columns && columns < (int)sizeof(line))
        line[columns - 1] = '\0';
    fprintf(stderr, "\r%s\033[K", line);
    run->live = true;
}

/* ---- tables ---- */

/* As wide as the widest cell. */
static void table_widths(const struct bench_run *run, enum bench_kind kind,
                         size_t widths[COLUMNS_MAX])
{
    const struct bench_column *column;

    for (size_t i = 0; (column = bench_column(i)) != NULL && i < COLUMNS_MAX; i++) {
        char cell[CELL_SIZE];

        widths[i] = strlen(column->name);
        for (size_t k = 0; k < run->count; k++) {
            if (run->points[k].kind != kind || run->points[k].code < 0)
                continue;
            column->cell(&run->points[k], cell, sizeof(cell));
            widths[i] = strlen(cell) > widths[i] ? strlen(cell) : widths[i];
        }
    }
}

/* @point NULL: the names. */
static void table_row(const struct bench_point *point, enum bench_kind kind,
                      const size_t widths[COLUMNS_MAX], FILE *out)
{
    const struct bench_column *column;

    for (size_t i = 0; (column = bench_column(i)) != NULL && i < COLUMNS_MAX; i++) {
        char cell[CELL_SIZE];

        if ((column->kinds & kind) == 0)
            continue;
        if (point == NULL)
            (void)snprintf(cell, sizeof(cell), "%s", column->name);
        else
            column->cell(point, cell, sizeof(cell));
        if (column->left && i > 0) /* the last one: no blanks at the end */
            fprintf(out, "  %s", cell);
        else
            fprintf(out, "%s%*s", i == 0 ? "" : "  ",
                    column->left ? -(int)widths[i] : (int)widths[i], cell);
    }
    fputc('\n', out);
}

static void table_kind(const struct bench_run *run, enum bench_kind kind, FILE *out)
{
    const struct bench_options *options = run->options;
    const struct bench_point *fastest = NULL;
    size_t widths[COLUMNS_MAX], rows = 0;

    for (size_t i = 0; i < run->count; i++) {
        const struct bench_point *point = &run->points[i];

        if (point->kind != kind || point->code != 0)
            continue;
        rows++;
        if (fastest == NULL || bench_rate(&point->result) > bench_rate(&fastest->result))
            fastest = point;
    }
    if (rows == 0)
        return;
    table_widths(run, kind, widths);
    table_row(NULL, kind, widths, out);
    for (size_t i = 0; i < run->count; i++)
        if (run->points[i].kind == kind && run->points[i].code == 0)
            table_row(&run->points[i], kind, widths, out);
    if (kind == BENCH_NET)
        fprintf(out, "times are of a chunk, from its send to its acknowledgement%s%s\n",
                options->no_ack ? ", which was not measured (--no-ack)" : "",
                options->no_verify ? "; nothing was verified (--no-verify)" : "");
    if (kind == BENCH_PATH)
        fputs("times are of a chunk here, from its read to the end of its send\n", out);
    if (fastest != NULL && bench_sides_any(fastest))
        bench_sides_text(fastest, out);
}

void bench_table(const struct bench_run *run, FILE *out)
{
    for (unsigned kind = 1; kind < BENCH_KINDS_END; kind <<= 1)
        table_kind(run, (enum bench_kind)kind, out);
    fputs("GB are 10^9 bytes; s/GB: CPU seconds for each, kernel included\n", out);
}

/* ---- CSV (RFC 4180): only numbers and words of ours, so nothing needs quotes ---- */

void bench_csv(const struct bench_run *run, FILE *out)
{
    fputs("kind,what,shards,streams,depth,chunk,bytes,operations,elapsed_ns,cpu_ns,peer_cpu_ns,"
          "sync_ns,latency_count,latency_least_ns,latency_mean_ns,latency_p50_ns,latency_p90_ns,"
          "latency_p99_ns,latency_p999_ns,latency_greatest_ns,verified,congestion,code",
          out);
    bench_sides_csv_head(out);
    fputs("\r\n", out);
    for (size_t i = 0; i < run->count; i++) {
        const struct bench_point *point = &run->points[i];
        const hawser_bench_result *result = &point->result;
        const hawser_latency *latency = &result->latency;
        const uint64_t fields[] = {
            result->shards,      result->streams,      result->depth,      result->chunk,
            result->bytes,       result->operations,   result->elapsed_ns, result->cpu_ns,
            result->peer_cpu_ns, result->sync_ns,      latency->count,     latency->least_ns,
            latency->mean_ns,    latency->p50_ns,      latency->p90_ns,    latency->p99_ns,
            latency->p999_ns,    latency->greatest_ns, result->verified,
        };

        fprintf(out, "%s,%s", bench_kind_name(point->kind), point->what);
        for (size_t k = 0; k < sizeof(fields) / sizeof(fields[0]); k++)
            fprintf(out, ",%llu", (unsigned long long)fields[k]);
        fprintf(out, ",%s,%s", result->congestion,
                point->code == 0 ? "0" : hawser_error_name(point->code));
        bench_sides_csv(point, out);
        fputs("\r\n", out);
    }
}
