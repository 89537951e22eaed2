/* What both sides of a benchmark over the network saw: how long chunks were in each state and
 * operations took, zero-copy sends, who used which core. */
#ifndef HAWSER_CLI_BENCH_SIDES_H
#define HAWSER_CLI_BENCH_SIDES_H

#include "client/cli/bench.h"

#define BENCH_QUANTILES 5u /* p50, p90, p99, p99.9, max */

/** Is there something to show? */
bool bench_sides_any(const struct bench_point *point);

/** For a terminal: below the table. */
void bench_sides_text(const struct bench_point *point, FILE *out);

/** CSV: further columns, each with a comma before it. */
void bench_sides_csv_head(FILE *out);
void bench_sides_csv(const struct bench_point *point, FILE *out);

/** The report: figures for its grid; a table. */
void bench_sides_plots(const struct bench_point *point, FILE *out);
void bench_sides_table(const struct bench_point *point, FILE *out);

#endif
