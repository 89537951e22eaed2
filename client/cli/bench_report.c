/* --report: one page that needs nothing else: tables, and plots drawn into it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/cli/bench.h"
#include "client/cli/bench_plot.h"
#include "client/cli/bench_sides.h"

#define BARS_MAX 40u
#define XS_MAX 32u
#define TIME_SAMPLES 4u /* fewer are no course of time */

/* Light, dark, paper. Colours can be told apart by those who see few, and from both grounds. */
static const char style[] =
    ":root{--ground:#fcfcfb;--text:#1c1c1a;--soft:#6b6a66;--grid:#e6e5e1;--axis:#b9b8b3;"
    "--s1:#1f6fc4;--s2:#d9541e;--s3:#12876a;--s4:#b64a8f;--s5:#b07d00;--s6:#4aa3d8;--s7:#6d4fb3;"
    "--s8:#77766f}\n"
    "@media(prefers-color-scheme:dark){:root{--ground:#191917;--text:#efeeea;--soft:#a09f98;"
    "--grid:#31312e;--axis:#5c5b56;--s1:#5aa2ea;--s2:#f5874f;--s3:#3fc29b;--s4:#e58cc2;"
    "--s5:#e0b040;--s6:#90d0f2;--s7:#aa92e6;--s8:#b3b2aa}}\n"
    "@media print{:root{--ground:#fff;--text:#000;--soft:#444;--grid:#ddd;--axis:#888;"
    "--s1:#1f6fc4;--s2:#d9541e;--s3:#12876a;--s4:#b64a8f;--s5:#b07d00;--s6:#4aa3d8;--s7:#6d4fb3;"
    "--s8:#77766f}body{max-width:none;margin:0}figure,tr,.best{break-inside:avoid}"
    "h2,h3{break-after:avoid}.plots{grid-template-columns:1fr 1fr!important}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:2.5rem auto;max-width:76rem;padding:0 1.5rem;background:var(--ground);"
    "color:var(--text);font:15px/1.5 system-ui,sans-serif;-webkit-print-color-adjust:exact;"
    "print-color-adjust:exact}\n"
    "h1{font-size:1.7rem;margin:0}h2{font-size:1.25rem;margin:2.6rem 0 "
    ".4rem}h3{font-size:1rem;margin:1.6rem 0 .3rem}\n"
    "p{margin:.3rem 0;color:var(--soft);max-width:60rem}\n"
    ".best{display:flex;flex-wrap:wrap;gap:.4rem 2.6rem;margin:1rem 0 1.4rem}\n"
    ".best div{min-width:6rem}.best b{display:block;font-size:1.6rem;font-weight:600;"
    "line-height:1.2}.best span{color:var(--soft);font-size:.85rem}\n"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(30rem,100%),1fr));"
    "gap:1.6rem 2.4rem;align-items:start}\n"
    "figure{margin:0}figcaption{font-weight:600;margin-bottom:.3rem}\n"
    "svg{width:100%;height:auto;display:block;font:13px system-ui,sans-serif}\n"
    ".grid{stroke:var(--grid)}.axis{stroke:var(--axis)}\n"
    ".tick,.label{fill:var(--soft)}.value{fill:var(--text)}\n"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round}\n"
    ".dot{stroke:var(--ground);stroke-width:1}\n"
    ".line.s1{stroke:var(--s1)}.line.s2{stroke:var(--s2)}.line.s3{stroke:var(--s3)}"
    ".line.s4{stroke:var(--s4)}.line.s5{stroke:var(--s5)}.line.s6{stroke:var(--s6)}"
    ".line.s7{stroke:var(--s7)}.line.s8{stroke:var(--s8)}\n"
    ".dot.s1,.bar.s1{fill:var(--s1)}.dot.s2,.bar.s2{fill:var(--s2)}.dot.s3,.bar.s3{fill:var(--s3)}"
    ".dot.s4,.bar.s4{fill:var(--s4)}.dot.s5,.bar.s5{fill:var(--s5)}.dot.s6{fill:var(--s6)}.dot.s7{"
    "fill:var(--s7)}"
    ".dot.s8{fill:var(--s8)}\n"
    ".legend{list-style:none;display:flex;flex-wrap:wrap;gap:.1rem 1.2rem;margin:.3rem 0 0;"
    "padding:0;font-size:.85rem;color:var(--soft)}\n"
    ".swatch{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em;"
    "vertical-align:-.05em}\n"
    ".swatch.s1{background:var(--s1)}.swatch.s2{background:var(--s2)}"
    ".swatch.s3{background:var(--s3)}.swatch.s4{background:var(--s4)}"
    ".swatch.s5{background:var(--s5)}.swatch.s6{background:var(--s6)}"
    ".swatch.s7{background:var(--s7)}.swatch.s8{background:var(--s8)}\n"
    ".wide{overflow-x:auto;margin-top:1.6rem}\n"
    "table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.25rem .6rem;text-align:right;white-space:nowrap;"
    "border-bottom:1px solid var(--grid)}th{font-weight:600;color:var(--soft)}\n"
    "th.words,td.words{text-align:left}tr.top td{font-weight:600}\n"
    "@media print{th,td{padding:.12rem .3rem}table{font-size:7pt}.wide{overflow:visible}"
    ".legend{font-size:.7rem}}\n";

/* The points of one kind that were measured, and which of their parameters differ. */
struct section {
    enum bench_kind kind;
    const struct bench_point **points;
    size_t count;
    bool many_what, many_shards, many_streams, many_chunk, many_depth;
};

static void section_make(const struct bench_run *run, enum bench_kind kind, struct section *section)
{
    section->kind = kind;
    section->count = 0;
    for (size_t i = 0; i < run->count; i++) {
        const struct bench_point *point = &run->points[i], *first;

        if (point->kind != kind || point->code < 0)
            continue;
        section->points[section->count++] = point;
        first = section->points[0];
        section->many_what |= strcmp(point->what, first->what) != 0;
        section->many_shards |= point->result.shards != first->result.shards;
        section->many_streams |= point->result.streams != first->result.streams;
        section->many_chunk |= point->result.chunk != first->result.chunk;
        section->many_depth |= point->result.depth != first->result.depth;
    }
}

static size_t name_add(char *name, size_t at, const char *what, uint64_t value, bool bytes)
{
    char number[24];

    if (bytes)
        (void)bench_size_print(value, number, sizeof(number));
    else
        (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)value);
    at += (size_t)snprintf(name + at, PLOT_LABEL_SIZE - at, "%s%s %s", at > 0 ? ", " : "", what,
                           number);
    return at; /* four short words and numbers fit */
}

enum parameter { P_NONE, P_SHARDS, P_STREAMS, P_DEPTH, P_CHUNK };

/* What tells @point from the others; without parameter @but. */
static void point_name(const struct section *section, const struct bench_point *point,
                       enum parameter but, char name[PLOT_LABEL_SIZE])
{
    const hawser_bench_result *result = &point->result;
    size_t at = 0;

    name[0] = '\0';
    if (section->many_what || section->count == 1)
        at = (size_t)snprintf(name, PLOT_LABEL_SIZE, "%s", point->what);
    if (section->many_shards && but != P_SHARDS)
        at = name_add(name, at, "shards", result->shards, false);
    if (section->many_streams && but != P_STREAMS)
        at = name_add(name, at, "streams", result->streams, false);
    if (section->many_depth && but != P_DEPTH)
        at = name_add(name, at, "depth", result->depth, false);
    if (section->many_chunk && but != P_CHUNK)
        at = name_add(name, at, section->kind & (BENCH_NET | BENCH_PATH) ? "chunk" : "block",
                      result->chunk, true);
    if (at == 0)
        (void)snprintf(name, PLOT_LABEL_SIZE, "%s", point->what);
}

static int faster(const void *a, const void *b)
{
    const struct bench_point *const *left = a, *const *right = b;
    double difference = bench_rate(&(*right)->result) - bench_rate(&(*left)->result);

    return difference > 0 ? 1 : difference < 0 ? -1 : 0;
}

/* ---- plots ---- */

static void report_bars(FILE *out, const struct section *section)
{
    static const char *const parts[] = { "here", "there" };
    struct plot_bar rates[BARS_MAX] = { 0 }, costs[BARS_MAX] = { 0 };
    size_t count = section->count < BARS_MAX ? section->count : BARS_MAX;
    bool there = false;

    for (size_t i = 0; i < count; i++) {
        const hawser_bench_result *result = &section->points[i]->result;
        double here = bench_cost(result, result->cpu_ns);
        double peer = bench_cost(result, result->peer_cpu_ns);

        point_name(section, section->points[i], P_NONE, rates[i].name);
        rates[i].values[0] = bench_rate(result);
        rates[i].values[1] = 0;
        memcpy(costs[i].name, rates[i].name, sizeof(costs[i].name));
        costs[i].values[0] = here > 0 ? here : 0;
        costs[i].values[1] = peer > 0 ? peer : 0;
        there = there || peer > 0;
    }
    plot_bars(out, "Throughput", "GB/s", NULL, 1, rates, count);
    plot_bars(out, "Processor time", "seconds for a GB", there ? parts : NULL, 2, costs, count);
}

/* Throughput between samples, of the fastest. */
static void report_time(FILE *out, const struct section *section)
{
    struct plot_series series[PLOT_SERIES_MAX] = { 0 };
    struct plot plot = {
        .title = "Throughput over time", .x_label = "seconds", .y_label = "GB/s", .series = series
    };
    double *numbers[PLOT_SERIES_MAX] = { 0 };

    for (size_t i = 0; i < section->count && plot.series_count < PLOT_SERIES_MAX; i++) {
        const struct bench_point *point = section->points[i];
        double *xs;

        if (point->sample_count < TIME_SAMPLES)
            continue;
        xs = calloc(2 * point->sample_count, sizeof(*xs));
        if (xs == NULL)
            break; /* without the others */
        for (size_t k = 1; k < point->sample_count; k++) {
            const hawser_bench_sample *now = &point->samples[k], *before = now - 1;
            uint64_t ns = now->elapsed_ns - before->elapsed_ns;

            xs[k - 1] = (double)now->elapsed_ns / 1e9;
            xs[point->sample_count + k - 1] =
                ns > 0 ? (double)(now->bytes - before->bytes) / (double)ns : 0;
        }
        numbers[plot.series_count] = xs;
        point_name(section, point, P_NONE, series[plot.series_count].name);
        series[plot.series_count].x = xs;
        series[plot.series_count].y = xs + point->sample_count;
        series[plot.series_count].count = point->sample_count - 1;
        plot.series_count++;
    }
    plot_lines(out, &plot);
    for (size_t i = 0; i < PLOT_SERIES_MAX; i++)
        free(numbers[i]);
}

static void report_latency(FILE *out, const struct section *section)
{
    static const char *const names[] = { "p50", "p90", "p99", "p99.9", "max" };
    static const double xs[] = { 0, 1, 2, 3, 4 };
    double ys[PLOT_SERIES_MAX][5];
    struct plot_series series[PLOT_SERIES_MAX] = { 0 };
    struct plot plot = { .title = "Latency of one operation",
                         .x_label = "so many took at most that long",
                         .y_label = "",
                         .x_names = names,
                         .x_name_count = 5,
                         .y_time = true,
                         .series = series };

    for (size_t i = 0; i < section->count && plot.series_count < PLOT_SERIES_MAX; i++) {
        const hawser_latency *latency = &section->points[i]->result.latency;
        struct plot_series *one = &series[plot.series_count];
        double *y = ys[plot.series_count];

        if (latency->count == 0)
            continue;
        y[0] = (double)latency->p50_ns;
        y[1] = (double)latency->p90_ns;
        y[2] = (double)latency->p99_ns;
        y[3] = (double)latency->p999_ns;
        y[4] = (double)latency->greatest_ns;
        point_name(section, section->points[i], P_NONE, one->name);
        one->x = xs;
        one->y = y;
        one->count = 5;
        plot.series_count++;
    }
    plot_lines(out, &plot);
}

static uint32_t parameter_of(const struct bench_point *point, enum parameter parameter)
{
    switch (parameter) {
    case P_SHARDS:
        return point->result.shards;
    case P_STREAMS:
        return point->result.streams;
    case P_DEPTH:
        return point->result.depth;
    default:
        return point->result.chunk;
    }
}

/* The values that @parameter takes, rising; how many. */
static size_t scaling_values(const struct section *section, enum parameter parameter,
                             uint32_t values[XS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < section->count; i++) {
        uint32_t value = parameter_of(section->points[i], parameter);
        size_t at = 0;

        while (at < count && values[at] < value)
            at++;
        if ((at < count && values[at] == value) || count == XS_MAX)
            continue;
        memmove(&values[at + 1], &values[at], (count - at) * sizeof(values[0]));
        values[at] = value;
        count++;
    }
    return count;
}

/* How throughput depends on one parameter; a line for each combination of the others, of those with
 * the fastest points. */
static void report_scaling(FILE *out, const struct section *section, enum parameter parameter,
                           const char *title, const char *label)
{
    char texts[XS_MAX][16];
    const char *names[XS_MAX];
    uint32_t values[XS_MAX];
    double xs[PLOT_SERIES_MAX][XS_MAX], ys[PLOT_SERIES_MAX][XS_MAX];
    struct plot_series series[PLOT_SERIES_MAX] = { 0 };
    struct plot plot = { .title = title,
                         .x_label = label,
                         .y_label = "GB/s",
                         .x_names = names,
                         .x_name_count = scaling_values(section, parameter, values),
                         .series = series };

    for (size_t i = 0; i < plot.x_name_count; i++) {
        (void)bench_size_print(values[i], texts[i], sizeof(texts[i]));
        names[i] = texts[i];
    }
    for (size_t v = 0; v < plot.x_name_count; v++) {
        for (size_t i = 0; i < section->count; i++) {
            const struct bench_point *point = section->points[i];
            char name[PLOT_LABEL_SIZE];
            size_t s = 0;

            if (parameter_of(point, parameter) != values[v])
                continue;
            point_name(section, point, parameter, name);
            while (s < plot.series_count && strcmp(series[s].name, name) != 0)
                s++;
            if (s == PLOT_SERIES_MAX)
                continue;
            if (s == plot.series_count) {
                memcpy(series[s].name, name, sizeof(name));
                series[s].x = xs[s];
                series[s].y = ys[s];
                plot.series_count++;
            }
            xs[s][series[s].count] = (double)v;
            ys[s][series[s].count++] = bench_rate(&point->result);
        }
    }
    plot_lines(out, &plot);
}

/* ---- the page ---- */

static void report_best(FILE *out, const struct section *section)
{
    const struct bench_point *best = section->points[0];
    const hawser_latency *latency = &best->result.latency;
    char name[PLOT_LABEL_SIZE], text[32];
    double cost = bench_cost(&best->result, best->result.cpu_ns + best->result.peer_cpu_ns);

    point_name(section, best, P_NONE, name);
    fprintf(out, "<div class=\"best\"><div><b>%.2f GB/s</b><span>the fastest: ",
            bench_rate(&best->result));
    plot_text(out, name);
    fputs("</span></div>", out);
    if (cost > 0)
        fprintf(out, "<div><b>%.3f s/GB</b><span>processor time%s</span></div>", cost,
                best->result.peer_cpu_ns > 0 ? ", both sides" : "");
    if (latency->count > 0) {
        fprintf(out, "<div><b>%s</b><span>half of the operations took at most that</span></div>",
                bench_time_print(latency->p50_ns, text, sizeof(text)));
        fprintf(out, "<div><b>%s</b><span>99 %% of them took at most that</span></div>",
                bench_time_print(latency->p99_ns, text, sizeof(text)));
    }
    fputs("</div>\n", out);
}

static void report_table(FILE *out, const struct bench_run *run, const struct section *section)
{
    const struct bench_column *column;

    fputs("<div class=\"wide\"><table><thead><tr>", out);
    for (size_t c = 0; (column = bench_column(c)) != NULL; c++)
        if (column->kinds & section->kind)
            fprintf(out, "<th%s>%s</th>", column->left ? " class=\"words\"" : "", column->name);
    fputs("</tr></thead><tbody>\n", out);
    for (size_t i = 0; i < run->count; i++) {
        const struct bench_point *point = &run->points[i];

        if (point->kind != section->kind || point->code < 0)
            continue;
        fputs(point == section->points[0] && section->count > 1 ? "<tr class=\"top\">" : "<tr>",
              out);
        for (size_t c = 0; (column = bench_column(c)) != NULL; c++) {
            char cell[64];

            if ((column->kinds & section->kind) == 0)
                continue;
            column->cell(point, cell, sizeof(cell));
            fprintf(out, "<td%s>", column->left ? " class=\"words\"" : "");
            plot_text(out, cell);
            fputs("</td>", out);
        }
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

static void report_section(FILE *out, const struct bench_run *run, struct section *section)
{
    static const char *const titles[] = { "Network", "Disk", "Hashes", "Path, from disk to disk" };
    size_t title = section->kind == BENCH_NET    ? 0
                   : section->kind == BENCH_DISK ? 1
                   : section->kind == BENCH_HASH ? 2
                                                 : 3;

    fprintf(out, "<h2>%s</h2>\n", titles[title]);
    if (section->kind == BENCH_NET)
        fprintf(out,
                "<p>From memory to memory. The latency is that of a chunk, from its send to its "
                "acknowledgement%s%s.</p>\n",
                run->options->no_ack ? ", which was not measured (--no-ack)" : "",
                run->options->no_verify ? "; nothing was verified (--no-verify)" : "");
    else if (section->kind == BENCH_DISK)
        fputs(
            "<p>Files of our own, new when written, and not in memory before they are read.</p>\n",
            out);
    qsort(section->points, section->count, sizeof(section->points[0]), faster);
    report_best(out, section);
    fputs("<div class=\"plots\">\n", out);
    report_bars(out, section);
    if (section->many_depth)
        report_scaling(out, section, P_DEPTH, "Scaling by depth", "depth");
    if (section->many_shards)
        report_scaling(out, section, P_SHARDS, "Scaling by shards", "shards here");
    if (section->many_streams)
        report_scaling(out, section, P_STREAMS, "Scaling by streams", "streams");
    if (section->many_chunk)
        report_scaling(out, section, P_CHUNK, "Scaling by size", "bytes of one operation");
    report_latency(out, section);
    report_time(out, section);
    if (bench_sides_any(section->points[0]))
        bench_sides_plots(section->points[0], out);
    fputs("</div>\n", out);
    if (section->count > PLOT_SERIES_MAX)
        fprintf(out, "<p>Lines are those of the %u fastest of %zu; the table has all.</p>\n",
                PLOT_SERIES_MAX, section->count);
    report_table(out, run, section);
    if (bench_sides_any(section->points[0]))
        bench_sides_table(section->points[0], out);
}

static void report_head(FILE *out, const struct bench_run *run)
{
    const struct bench_options *options = run->options;
    const char *const names[] = { options->server, options->path, options->source, options->url };
    static const char *const words[] = { ", server ", ", disk of ", ", from ", " to " };
    char date[64] = "";
    time_t now = time(NULL);
    struct tm tm;

    if (gmtime_r(&now, &tm) != NULL)
        (void)strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", &tm); /* fits */
    fprintf(out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
            "<meta name=\"color-scheme\" content=\"light dark\">\n"
            "<title>hawser bench, %s</title>\n<style>\n%s</style></head><body>\n"
            "<h1>hawser bench</h1>\n<p>%s, hawser %s",
            date, style, date, hawser_version());
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        bool exact;
        char *text = names[i] != NULL ? cli_utf8(names[i], strlen(names[i]), &exact) : NULL;

        if (text == NULL)
            continue;
        fputs(words[i], out);
        plot_text(out, text);
        free(text);
    }
    fputs("</p>\n", out);
    if (run->engine[0] != '\0') {
        fputs("<p>", out);
        plot_text(out, run->engine);
        fputs("</p>\n", out);
    }
}

int bench_report(const struct bench_run *run, const char *path)
{
    struct section section = { 0 };
    FILE *out = fopen(path, "we");
    int error = 0;

    if (out == NULL)
        return errno;
    section.points = calloc(run->count + 1, sizeof(section.points[0]));
    if (section.points != NULL) {
        report_head(out, run);
        for (unsigned kind = 1; kind < BENCH_KINDS_END; kind <<= 1) {
            section = (struct section){ .points = section.points };
            section_make(run, (enum bench_kind)kind, &section);
            if (section.count > 0)
                report_section(out, run, &section);
        }
        fputs("<p>GB are 10^9 bytes. Processor time is that of the whole process, kernel "
              "included.</p>\n</body></html>\n",
              out);
    } else {
        error = ENOMEM;
    }
    free(section.points);
    if ((ferror(out) != 0 || fflush(out) != 0) && error == 0)
        error = errno != 0 ? errno : EIO;
    if (fclose(out) != 0 && error == 0)
        error = errno;
    return error;
}
