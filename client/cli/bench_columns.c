/* What a row of the table says: one list of columns, for people on a terminal and in the report. */
#include <string.h>

#include "client/cli/bench.h"

#define NET BENCH_NET
#define DISK BENCH_DISK
#define HASH BENCH_HASH
#define PATH BENCH_PATH
#define ALL (NET | DISK | HASH | PATH)

#define NONE "-" /* what was not measured, or is not known */

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
    static const char *const letters[] = { "", "K", "M", "G", "T" };
    unsigned at = 0;

    while (at < 4 && bytes >= 1024 && bytes % 1024 == 0) {
        bytes /= 1024;
        at++;
    }
    (void)snprintf(buf, size, "%llu%s", (unsigned long long)bytes, letters[at]); /* 21 bytes */
    return buf;
}

/* Three digits that count, in the unit that needs no more than three before the point. */
const char *bench_time_print(uint64_t ns, char *buf, size_t size)
{
    static const char *const units[] = { "ns", "us", "ms", "s" };
    double value = (double)ns;
    unsigned unit = 0;
    int digits;

    while (value >= 999.5 && unit < 3) {
        value /= 1000.0;
        unit++;
    }
    digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    (void)snprintf(buf, size, "%.*f %s", digits, value, units[unit]); /* at most 24 bytes */
    return buf;
}

/* ---- cells ---- */

static void cell_what(const struct bench_point *point, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s", point->what);
}

static void cell_number(uint64_t number, char *buf, size_t size)
{
    if (number == 0)
        (void)snprintf(buf, size, NONE);
    else
        (void)snprintf(buf, size, "%llu", (unsigned long long)number);
}

static void cell_shards(const struct bench_point *point, char *buf, size_t size)
{
    cell_number(point->result.shards, buf, size);
}

static void cell_streams(const struct bench_point *point, char *buf, size_t size)
{
    cell_number(point->result.streams, buf, size);
}

static void cell_depth(const struct bench_point *point, char *buf, size_t size)
{
    cell_number(point->result.depth, buf, size);
}

static void cell_chunk(const struct bench_point *point, char *buf, size_t size)
{
    (void)bench_size_print(point->result.chunk, buf, size);
}

static void cell_rate(const struct bench_point *point, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%.3f", bench_rate(&point->result));
}

static void cell_operations(const struct bench_point *point, char *buf, size_t size)
{
    const hawser_bench_result *result = &point->result;
    double seconds = (double)result->elapsed_ns / 1e9;

    (void)cli_count_print(seconds > 0 ? (uint64_t)((double)result->operations / seconds + 0.5) : 0,
                          buf, size);
}

static void cell_files(const struct bench_point *point, char *buf, size_t size)
{
    const hawser_bench_result *result = &point->result;
    double seconds = (double)result->elapsed_ns / 1e9;

    (void)cli_count_print(seconds > 0 ? (uint64_t)((double)result->files / seconds + 0.5) : 0, buf,
                          size);
}

static void cell_cost_of(const hawser_bench_result *result, uint64_t cpu_ns, char *buf, size_t size)
{
    double cost = bench_cost(result, cpu_ns);

    if (cost < 0)
        (void)snprintf(buf, size, NONE);
    else
        (void)snprintf(buf, size, "%.3f", cost);
}

static void cell_cost(const struct bench_point *point, char *buf, size_t size)
{
    cell_cost_of(&point->result, point->result.cpu_ns, buf, size);
}

static void cell_cost_there(const struct bench_point *point, char *buf, size_t size)
{
    cell_cost_of(&point->result, point->result.peer_cpu_ns, buf, size);
}

static void cell_time(const hawser_latency *latency, uint64_t ns, char *buf, size_t size)
{
    if (latency->count == 0)
        (void)snprintf(buf, size, NONE);
    else
        (void)bench_time_print(ns, buf, size);
}

static void cell_p50(const struct bench_point *point, char *buf, size_t size)
{
    cell_time(&point->result.latency, point->result.latency.p50_ns, buf, size);
}

static void cell_p90(const struct bench_point *point, char *buf, size_t size)
{
    cell_time(&point->result.latency, point->result.latency.p90_ns, buf, size);
}

static void cell_p99(const struct bench_point *point, char *buf, size_t size)
{
    cell_time(&point->result.latency, point->result.latency.p99_ns, buf, size);
}

static void cell_p999(const struct bench_point *point, char *buf, size_t size)
{
    cell_time(&point->result.latency, point->result.latency.p999_ns, buf, size);
}

static void cell_greatest(const struct bench_point *point, char *buf, size_t size)
{
    cell_time(&point->result.latency, point->result.latency.greatest_ns, buf, size);
}

static void cell_sync(const struct bench_point *point, char *buf, size_t size)
{
    if (point->result.sync_ns == 0)
        (void)snprintf(buf, size, NONE);
    else
        (void)bench_time_print(point->result.sync_ns, buf, size);
}

static void cell_congestion(const struct bench_point *point, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s",
                   *point->result.congestion != '\0' ? point->result.congestion : NONE);
}

/* ---- columns ---- */

static const struct bench_column columns[] = {
    { "", "", ALL, true, cell_what },
    { "shards", "threads here", ALL, false, cell_shards },
    { "streams", "connections", NET | PATH, false, cell_streams },
    { "depth", "at once on each stream, or shard", NET | DISK | PATH, false, cell_depth },
    { "chunk", "bytes", NET | PATH, false, cell_chunk },
    { "block", "bytes", DISK | HASH, false, cell_chunk },
    { "GB/s", "10^9 bytes a second", ALL, false, cell_rate },
    { "ops/s", "operations a second", DISK, false, cell_operations },
    { "files/s", "", PATH, false, cell_files },
    { "s/GB", "CPU seconds for a GB here", ALL, false, cell_cost },
    { "there", "and at the server", NET | PATH, false, cell_cost_there },
    { "p50", "half of the operations took at most so long", ALL, false, cell_p50 },
    { "p90", "", ALL, false, cell_p90 },
    { "p99", "", ALL, false, cell_p99 },
    { "p99.9", "", ALL, false, cell_p999 },
    { "max", "", ALL, false, cell_greatest },
    { "sync", "fdatasync after the writes", DISK, false, cell_sync },
    { "congestion", "of the side that sent", NET | PATH, true, cell_congestion },
};

const struct bench_column *bench_column(size_t index)
{
    return index < sizeof(columns) / sizeof(columns[0]) ? &columns[index] : NULL;
}
