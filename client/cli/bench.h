/* hawser bench: what its files share. A sweep is a list of points; each is measured once, and
 * becomes a row of the table, an object in JSON, a line in CSV. */
#ifndef HAWSER_CLI_BENCH_H
#define HAWSER_CLI_BENCH_H

#include <stdio.h>

#include "client/cli/cli.h"
#include "hawser/bench.h"

#define BENCH_LIST_MAX 32u /* values of one option in a sweep */
#define BENCH_POINTS_MAX 4096u

enum bench_kind { /* bits: an option belongs to several */
                  BENCH_NET = 1,
                  BENCH_DISK = 2,
                  BENCH_HASH = 4,
                  BENCH_PATH = 8,
                  BENCH_KINDS_END = 16
};

enum bench_pattern { /* bits */
                     BENCH_READ = 1,
                     BENCH_WRITE = 2,
                     BENCH_RANDOM_READ = 4,
                     BENCH_RANDOM_WRITE = 8
};

enum bench_io { BENCH_DIRECT = 1, BENCH_BUFFERED = 2 }; /* bits */

struct bench_list {
    uint64_t values[BENCH_LIST_MAX];
    size_t count; /* 0: not given */
};

enum bench_form { BENCH_TEXT, BENCH_JSON, BENCH_JSON_LINES, BENCH_CSV };

struct bench_options {
    unsigned kinds; /* of enum bench_kind */
    const char *server; /* HOST[:PORT] or URL */
    const char *path; /* directory on the disk to be measured */
    unsigned patterns, ios; /* of enum bench_pattern, bench_io; 0: all */
    uint64_t time_ns, bytes;
    struct bench_list shards, streams, depth, chunk;
    uint64_t memory, timeout_ns;
    const char *congestion;
    enum hawser_zero_copy zero_copy;
    const char *source, *url; /* PATH */
    bool download, no_verify, no_ack, discard;
    enum bench_form form;
    enum cli_progress progress;
    bool quiet;
    const char *report; /* file for the page, or NULL */
};

struct bench_point {
    enum bench_kind kind;
    char what[32]; /* "upload", "read direct", "xxh3-128 avx2" */
    enum bench_pattern pattern; /* DISK */
    enum bench_io io;
    uint32_t hash; /* HASH: which */
    uint32_t shards, streams, depth, chunk; /* asked for; 0: the default */
    int code; /* why there is no result */
    hawser_bench_result result;
    hawser_bench_sample *samples; /* rising; owned */
    size_t sample_count, sample_room;
};

struct bench_run {
    const struct bench_options *options;
    struct bench_point *points;
    size_t count;
    size_t at; /* the one that runs */
    bool tty, live; /* of the live line: stderr */
    uint64_t shown_ns, shown_bytes;
    char engine[1024]; /* words about what ran */
};

/* ---- bench_options.c ---- */

/** Parse what follows "hawser bench". @return -1: go on; else exit with this code. */
int bench_options_parse(int argc, char **argv, struct bench_options *ret_options);

/** "1,2,4": rising or not, each within [min, max], at least one; @size: "64K,1M". */
bool bench_list_parse(const char *text, bool size, uint64_t min, uint64_t max,
                      struct bench_list *ret_list);

/** "1.5": seconds, to the millisecond, more than 0. */
bool bench_time_parse(const char *text, uint64_t max_ns, uint64_t *ret_ns);

/* ---- bench_text.c ---- */

void bench_live(struct bench_run *run, const hawser_bench_sample *sample);
void bench_live_clear(struct bench_run *run);
void bench_table(const struct bench_run *run, FILE *out);
void bench_csv(const struct bench_run *run, FILE *out);

/* ---- bench_columns.c ---- */

struct bench_column {
    const char *name;
    const char *help; /* "": as the one before */
    unsigned kinds; /* of enum bench_kind */
    bool left; /* words, not numbers */
    void (*cell)(const struct bench_point *point, char *buf, size_t size);
};

/** NULL: there are no more. */
const struct bench_column *bench_column(size_t index);

/** "12.3 us"; returns @buf. */
const char *bench_time_print(uint64_t ns, char *buf, size_t size);

/** "4K", "1M", "100"; returns @buf. */
const char *bench_size_print(uint64_t bytes, char *buf, size_t size);

const char *bench_kind_name(enum bench_kind kind);

/* ---- bench_json.c: a document, or a line for each thing that happens ---- */

void bench_json_sample(const struct bench_run *run, const hawser_bench_sample *sample);
void bench_json_point(const struct bench_point *point); /* JSON lines */
void bench_json_document(const struct bench_run *run, int exit_code);

/* ---- bench_report.c ---- */

/** Write the page. @return 0 or errno */
int bench_report(const struct bench_run *run, const char *path);

/* ---- figures of a result, in the units that are printed ---- */

/** GB a second. */
double bench_rate(const hawser_bench_result *result);
/** CPU seconds for a GB; negative: not known. */
double bench_cost(const hawser_bench_result *result, uint64_t cpu_ns);

#endif
