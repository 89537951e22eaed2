/* What both sides of a benchmark over the network saw: for people, for spreadsheets, and plotted.
 */
#include "client/cli/bench_sides.h"

#include <string.h>

#include "client/cli/bench_plot.h"

#define SIDES 2u
#define CELL_SIZE 32u
#define CORE_PARTS 5u

static const char *const side_names[SIDES] = { "here", "there" };

static const hawser_bench_side *side_of(const struct bench_point *point, size_t side)
{
    return side == 0 ? &point->result.here : &point->result.there;
}

/* A time's figures, in the order of the words below. */
static void time_figures(const hawser_latency *latency, uint64_t figures[BENCH_QUANTILES])
{
    figures[0] = latency->p50_ns;
    figures[1] = latency->p90_ns;
    figures[2] = latency->p99_ns;
    figures[3] = latency->p999_ns;
    figures[4] = latency->greatest_ns;
}

static const char *const quantile_names[BENCH_QUANTILES] = { "p50", "p90", "p99", "p99.9", "max" };

static const char *zero_copy_print(const hawser_bench_side *side, char *buf, size_t size)
{
    double sent = (double)side->zc_sent_bytes, copied = (double)side->zc_copied_bytes;

    (void)snprintf(buf, size,
                   "%.3f GB sent without a copy, %.0f %% of that copied all the same; %llu "
                   "connection%s stopped it",
                   sent / 1e9, sent > 0 ? 100 * copied / sent : 0,
                   (unsigned long long)side->zc_downgrades, side->zc_downgrades == 1 ? "" : "s");
    return buf;
}

bool bench_sides_any(const struct bench_point *point)
{
    for (size_t side = 0; side < SIDES; side++)
        for (size_t i = 0; i < HAWSER_TIME_COUNT; i++)
            if (side_of(point, side)->times[i].count > 0)
                return true;
    return false;
}

/* ---- for people ---- */

static void text_time(FILE *out, const char *side, const char *name, const hawser_latency *latency)
{
    uint64_t figures[BENCH_QUANTILES];
    char cell[CELL_SIZE];

    time_figures(latency, figures);
    fprintf(out, "  %-5s  %-9s  %9llu", side, name, (unsigned long long)latency->count);
    for (size_t i = 0; i < BENCH_QUANTILES; i++)
        fprintf(out, "  %8s", bench_time_print(figures[i], cell, sizeof(cell)));
    fputc('\n', out);
}

static void text_cores(FILE *out, const char *name, const hawser_bench_side *side)
{
    for (uint32_t i = 0; i < side->core_count; i++) {
        const hawser_core_use *use = &side->cores[i];
        double all = use->elapsed_ns > 0 ? (double)use->elapsed_ns / 100 : 1;
        uint64_t named = use->hash_ns + use->files_ns + use->disk_ns;
        char core[CELL_SIZE] = "no core";

        if (use->core >= 0)
            (void)snprintf(core, sizeof(core), "core %d", use->core);
        fprintf(out,
                "  %-5s  %-8s  busy %3.0f %%: digests %.0f, files %.0f, disk %.0f, network and "
                "other %.0f; helpers beside it %.0f %%\n",
                name, core, (double)use->cpu_ns / all, (double)use->hash_ns / all,
                (double)use->files_ns / all, (double)use->disk_ns / all,
                (double)(use->cpu_ns - named) / all, (double)use->help_ns / all);
    }
}

void bench_sides_text(const struct bench_point *point, FILE *out)
{
    char text[128];

    fprintf(out, "\n  %s: a chunk's time in each state, and single operations\n  %-5s  %-9s  %9s",
            point->what, "", "", "count");
    for (size_t i = 0; i < BENCH_QUANTILES; i++)
        fprintf(out, "  %8s", quantile_names[i]);
    fputc('\n', out);
    for (size_t side = 0; side < SIDES; side++)
        for (size_t i = 0; i < HAWSER_TIME_COUNT; i++)
            if (side_of(point, side)->times[i].count > 0)
                text_time(out, side_names[side], hawser_time_name((enum hawser_time)i),
                          &side_of(point, side)->times[i]);
    for (size_t side = 0; side < SIDES; side++)
        if (side_of(point, side)->zc_sent_bytes > 0)
            fprintf(out, "  %-5s  %s\n", side_names[side],
                    zero_copy_print(side_of(point, side), text, sizeof(text)));
    for (size_t side = 0; side < SIDES; side++)
        text_cores(out, side_names[side], side_of(point, side));
    fputc('\n', out);
}

/* ---- CSV ---- */

void bench_sides_csv_head(FILE *out)
{
    for (size_t side = 0; side < SIDES; side++) {
        fprintf(out, ",%s_zc_sent_bytes,%s_zc_copied_bytes,%s_zc_downgrades", side_names[side],
                side_names[side], side_names[side]);
        for (size_t i = 0; i < HAWSER_TIME_COUNT; i++) {
            const char *name = hawser_time_name((enum hawser_time)i);

            fprintf(out, ",%s_%s_count,%s_%s_mean_ns", side_names[side], name, side_names[side],
                    name);
            for (size_t k = 0; k < BENCH_QUANTILES; k++)
                fprintf(out, ",%s_%s_%s_ns", side_names[side], name,
                        k == 3 ? "p999" : quantile_names[k]);
        }
    }
}

void bench_sides_csv(const struct bench_point *point, FILE *out)
{
    for (size_t s = 0; s < SIDES; s++) {
        const hawser_bench_side *side = side_of(point, s);

        fprintf(out, ",%llu,%llu,%llu", (unsigned long long)side->zc_sent_bytes,
                (unsigned long long)side->zc_copied_bytes, (unsigned long long)side->zc_downgrades);
        for (size_t i = 0; i < HAWSER_TIME_COUNT; i++) {
            uint64_t figures[BENCH_QUANTILES];

            time_figures(&side->times[i], figures);
            fprintf(out, ",%llu,%llu", (unsigned long long)side->times[i].count,
                    (unsigned long long)side->times[i].mean_ns);
            for (size_t k = 0; k < BENCH_QUANTILES; k++)
                fprintf(out, ",%llu", (unsigned long long)figures[k]);
        }
    }
}

/* ---- the report ---- */

/* Lines for a side: those times that were counted. */
static void plot_side(FILE *out, const hawser_bench_side *side, const char *title)
{
    static const double xs[BENCH_QUANTILES] = { 0, 1, 2, 3, 4 };
    double ys[PLOT_SERIES_MAX][BENCH_QUANTILES];
    struct plot_series series[PLOT_SERIES_MAX] = { 0 };
    struct plot plot = { .title = title,
                         .x_label = "so many took at most that long",
                         .y_label = "",
                         .x_names = quantile_names,
                         .x_name_count = BENCH_QUANTILES,
                         .y_time = true,
                         .series = series };

    for (size_t i = 0; i < HAWSER_TIME_COUNT && plot.series_count < PLOT_SERIES_MAX; i++) {
        struct plot_series *one = &series[plot.series_count];
        uint64_t figures[BENCH_QUANTILES];

        if (side->times[i].count == 0)
            continue;
        time_figures(&side->times[i], figures);
        for (size_t k = 0; k < BENCH_QUANTILES; k++)
            ys[plot.series_count][k] = (double)figures[k];
        (void)snprintf(one->name, sizeof(one->name), "%s", hawser_time_name((enum hawser_time)i));
        one->x = xs;
        one->y = ys[plot.series_count];
        one->count = BENCH_QUANTILES;
        plot.series_count++;
    }
    plot_lines(out, &plot);
}

static void plot_cores(FILE *out, const struct bench_point *point)
{
    static const char *const parts[CORE_PARTS] = { "digests", "files", "disk", "network and other",
                                                   "helpers beside it" };
    struct plot_bar bars[SIDES * HAWSER_CORES_MAX] = { 0 };
    size_t count = 0;

    for (size_t s = 0; s < SIDES; s++) {
        const hawser_bench_side *side = side_of(point, s);

        for (uint32_t i = 0; i < side->core_count; i++) {
            const hawser_core_use *use = &side->cores[i];
            double all = use->elapsed_ns > 0 ? (double)use->elapsed_ns / 100 : 1;
            struct plot_bar *bar = &bars[count++];

            if (use->core >= 0)
                (void)snprintf(bar->name, sizeof(bar->name), "%s, core %d", side_names[s],
                               use->core);
            else
                (void)snprintf(bar->name, sizeof(bar->name), "%s, thread %u", side_names[s], i);
            bar->values[0] = (double)use->hash_ns / all;
            bar->values[1] = (double)use->files_ns / all;
            bar->values[2] = (double)use->disk_ns / all;
            bar->values[3] =
                (double)(use->cpu_ns - use->hash_ns - use->files_ns - use->disk_ns) / all;
            bar->values[4] = (double)use->help_ns / all;
        }
    }
    plot_bars(out, "Use of each core by stage", "% of the time", parts, CORE_PARTS, bars, count);
}

void bench_sides_plots(const struct bench_point *point, FILE *out)
{
    plot_cores(out, point);
    plot_side(out, &point->result.here, "Where chunks are, here");
    plot_side(out, &point->result.there, "Where chunks are, there");
}

void bench_sides_table(const struct bench_point *point, FILE *out)
{
    char text[128];

    fprintf(out,
            "<h3>%s: a chunk's time in each state, and single operations</h3>\n"
            "<div class=\"wide\"><table><thead><tr><th class=\"words\"></th>"
            "<th class=\"words\"></th><th>count</th>",
            point->what);
    for (size_t i = 0; i < BENCH_QUANTILES; i++)
        fprintf(out, "<th>%s</th>", quantile_names[i]);
    fputs("</tr></thead><tbody>\n", out);
    for (size_t s = 0; s < SIDES; s++) {
        for (size_t i = 0; i < HAWSER_TIME_COUNT; i++) {
            const hawser_latency *latency = &side_of(point, s)->times[i];
            uint64_t figures[BENCH_QUANTILES];

            if (latency->count == 0)
                continue;
            time_figures(latency, figures);
            fprintf(out, "<tr><td class=\"words\">%s</td><td class=\"words\">%s</td><td>%llu</td>",
                    side_names[s], hawser_time_name((enum hawser_time)i),
                    (unsigned long long)latency->count);
            for (size_t k = 0; k < BENCH_QUANTILES; k++)
                fprintf(out, "<td>%s</td>", bench_time_print(figures[k], text, sizeof(text)));
            fputs("</tr>\n", out);
        }
    }
    fputs("</tbody></table></div>\n", out);
    for (size_t s = 0; s < SIDES; s++)
        if (side_of(point, s)->zc_sent_bytes > 0)
            fprintf(out, "<p>%s: %s.</p>\n", side_names[s],
                    zero_copy_print(side_of(point, s), text, sizeof(text)));
}
