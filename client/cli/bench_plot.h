/* Plots for the report: SVG inside a page, drawn by us, coloured by the page's style (classes s1 to
 * s8), so that they follow light, dark and paper. No script. */
#ifndef HAWSER_CLI_BENCH_PLOT_H
#define HAWSER_CLI_BENCH_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define PLOT_SERIES_MAX 8u /* colours that can be told apart */
#define PLOT_LABEL_SIZE 96u
#define PLOT_PARTS_MAX 5u

struct plot_series {
    char name[PLOT_LABEL_SIZE];
    const double *x; /* rising */
    const double *y; /* >= 0 */
    size_t count;
};

struct plot {
    const char *title;
    const char *x_label, *y_label;
    const char *const *x_names; /* x counts these from 0; NULL: x is a number */
    size_t x_name_count;
    bool y_time; /* nanoseconds, on a logarithmic axis; else linear from 0 */
    const struct plot_series *series;
    size_t series_count; /* at most PLOT_SERIES_MAX */
};

struct plot_bar {
    char name[PLOT_LABEL_SIZE];
    double values[PLOT_PARTS_MAX]; /* one after the other */
};

/** Lines through points, with a legend below when there are several. */
void plot_lines(FILE *out, const struct plot *plot);

/** Bars from left to right, one below the other, each with its number.
 * @param parts  names of @part_count values; NULL: there is one */
void plot_bars(FILE *out, const char *title, const char *unit, const char *const *parts,
               size_t part_count, const struct plot_bar *bars, size_t count);

/** Text with what is special in HTML escaped. */
void plot_text(FILE *out, const char *text);

#endif
