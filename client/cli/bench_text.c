/* hawser bench for people: the live line, the table at the end; and CSV for spreadsheets. */
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/cli/bench.h"

#define LIVE_NS 1000000000ull /* between lines where there is no terminal */
#define NAME_WIDTH 14

double bench_rate(const hawser_bench_result *result)
{
    return result->elapsed_ns > 0 ? (double)result->bytes / (double)result->elapsed_ns : 0;
}

double bench_cost(const hawser_bench_result *result, uint64_t cpu_ns)
{
    return cpu_ns > 0 && result->bytes > 0 ? (double)cpu_ns / (double)result->bytes : -1;
}

const char *bench_size_print(uint64_t bytes, char *buf, size_t size)
{
    static const char letters[] = "KMGT";
    int at = -1;

    while (at < 3 && bytes >= 1024 && bytes % 1024 == 0) {
        bytes /= 1024;
        at++;
    }
    (void)snprintf(buf, size, at < 0 ? "%llu" : "%llu%c", (unsigned long long)bytes,
                   at < 0 ? ' ' : letters[at]); /* at most 21 bytes */
    return buf;
}

/* ---- the live line ---- */

void bench_live_clear(struct bench_run *run)
{
    if (run->live)
        fputs("\r\033[K", stderr);
    run->live = false;
}

void bench_live(struct bench_run *run, const hawser_bench_sample *sample)
{
    const struct bench_options *options = run->options;
    const struct bench_point *point = &run->points[run->at];
    uint64_t pause = run->tty ? 0 : LIVE_NS;
    char line[160], chunk[24];
    struct winsize window = { 0 };
    int columns = 80, length;

    if (options->quiet || options->progress == CLI_PROGRESS_OFF ||
        (!run->tty && options->progress != CLI_PROGRESS_ON) ||
        sample->elapsed_ns < run->shown_ns + pause || sample->elapsed_ns == run->shown_ns)
        return;
    length = snprintf(line, sizeof(line), "%s %s  %zu of %zu  %s%s  %.1f s  %.2f GB/s",
                      bench_kind_name(point->kind), point->what, run->at + 1, run->count,
                      point->chunk > 0 ? "chunk " : "",
                      point->chunk > 0 ? bench_size_print(point->chunk, chunk, sizeof(chunk)) : "",
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

/* ---- the table ---- */

/* Three digits that count, in the unit that needs no more than four before the point. */
static const char *time_print(uint64_t ns, char *buf, size_t size)
{
    static const char *const units[] = { "ns", "us", "ms", "s" };
    double value = (double)ns;
    unsigned unit = 0;

    while (value >= 999.5 && unit < 3) {
        value /= 1000.0;
        unit++;
    }
    (void)snprintf(buf, size, "%.*f %s",
                   unit == 0       ? 0
                   : value < 9.995 ? 2
                   : value < 99.95 ? 1
                                   : 0,
                   value, units[unit]); /* at most 24 bytes */
    return buf;
}

static void cell_cost(FILE *out, const hawser_bench_result *result, uint64_t cpu_ns)
{
    double cost = bench_cost(result, cpu_ns);

    if (cost < 0)
        fprintf(out, " %8s", "-");
    else
        fprintf(out, " %8.3f", cost);
}

static void cell_count(FILE *out, uint32_t count)
{
    if (count == 0)
        fprintf(out, " %6s", "-");
    else
        fprintf(out, " %6u", count);
}

static void table_row(const struct bench_point *point, FILE *out)
{
    const hawser_bench_result *result = &point->result;
    const uint64_t times[] = { result->latency.p50_ns, result->latency.p90_ns,
                               result->latency.p99_ns, result->latency.p999_ns,
                               result->latency.greatest_ns };
    char text[32];

    fprintf(out, "%-*s", NAME_WIDTH, point->what);
    cell_count(out, result->shards);
    cell_count(out, result->streams);
    cell_count(out, result->depth);
    fprintf(out, " %6s %8.3f", bench_size_print(result->chunk, text, sizeof(text)),
            bench_rate(result));
    cell_cost(out, result, result->cpu_ns);
    cell_cost(out, result, result->peer_cpu_ns);
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        fprintf(out, " %8s",
                result->latency.count == 0 ? "-" : time_print(times[i], text, sizeof(text)));
    fprintf(out, "  %s\n", *result->congestion != '\0' ? result->congestion : "-");
}

void bench_table(const struct bench_run *run, FILE *out)
{
    const struct bench_options *options = run->options;

    fprintf(out, "%-*s %6s %6s %6s %6s %8s %8s %8s %8s %8s %8s %8s %8s  %s\n", NAME_WIDTH, "",
            "shards", "stream", "depth", "chunk", "GB/s", "s/GB", "there", "p50", "p90", "p99",
            "p99.9", "max", "congestion");
    for (size_t i = 0; i < run->count; i++)
        if (run->points[i].code == 0)
            table_row(&run->points[i], out);
    fprintf(out,
            "s/GB: CPU seconds for a GB (10^9 bytes), here and there; times are of a chunk, %s\n",
            options->no_ack ? "which was not measured (--no-ack)"
                            : "from its send to its acknowledgement");
    if (options->no_verify)
        fprintf(out, "nothing was verified (--no-verify)\n");
}

/* ---- CSV (RFC 4180): only numbers and words of ours, so nothing needs quotes ---- */

void bench_csv(const struct bench_run *run, FILE *out)
{
    fputs("kind,what,shards,streams,depth,chunk,bytes,operations,elapsed_ns,cpu_ns,peer_cpu_ns,"
          "latency_count,latency_least_ns,latency_mean_ns,latency_p50_ns,latency_p90_ns,"
          "latency_p99_ns,latency_p999_ns,latency_greatest_ns,verified,congestion,code\r\n",
          out);
    for (size_t i = 0; i < run->count; i++) {
        const struct bench_point *point = &run->points[i];
        const hawser_bench_result *result = &point->result;
        const hawser_latency *latency = &result->latency;
        const uint64_t fields[] = {
            result->shards,       result->streams,    result->depth,      result->chunk,
            result->bytes,        result->operations, result->elapsed_ns, result->cpu_ns,
            result->peer_cpu_ns,  latency->count,     latency->least_ns,  latency->mean_ns,
            latency->p50_ns,      latency->p90_ns,    latency->p99_ns,    latency->p999_ns,
            latency->greatest_ns, result->verified,
        };

        fprintf(out, "%s,%s", bench_kind_name(point->kind), point->what);
        for (size_t k = 0; k < sizeof(fields) / sizeof(fields[0]); k++)
            fprintf(out, ",%llu", (unsigned long long)fields[k]);
        fprintf(out, ",%s,%s\r\n", result->congestion,
                point->code == 0 ? "0" : hawser_error_name(point->code));
    }
}
