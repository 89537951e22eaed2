/* hawser bench: the points of a sweep, one after the other. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/bench.h"

#define CHUNK_CLIENT_MIN (64u * 1024) /* a client's chunks are whole leaves */
#define CHUNK_DEFAULT (1u << 20) /* docs/ARCHITECTURE.md 11 has the figures */
#define VARIANTS_MAX 32u /* hashes: some ten; of a disk there are eight */
#define SAMPLES_MAX 8192u /* ten minutes are 6,000 */

static bool points_make(struct bench_run *run);
static int points_run(struct bench_run *run);
static int client_for(const struct bench_options *options, const struct bench_point *point,
                      hawser_client **ret_client);
static int point_run(struct bench_run *run, struct bench_point *point, hawser_client *client);
static void point_sample(void *context, const hawser_bench_sample *sample);
static bool run_any(const struct bench_run *run);
static int report_write(const struct bench_run *run, int code);
static void run_print(const struct bench_run *run, int exit_code);

int cli_bench(int argc, char **argv)
{
    static struct bench_options options;
    struct bench_run run = { .options = &options, .tty = isatty(STDERR_FILENO) == 1 };
    int code = bench_options_parse(argc, argv, &options);

    if (code != -1)
        return code;
    if (!points_make(&run)) {
        free(run.points);
        return cli_usage("out of memory");
    }
    code = points_run(&run);
    run_print(&run, code);
    if (options.report != NULL && run_any(&run))
        code = report_write(&run, code);
    for (size_t i = 0; i < run.count; i++)
        free(run.points[i].samples);
    free(run.points);
    return code;
}

/* What one kind measures for each combination of the lists. */
struct variant {
    char what[32];
    enum bench_pattern pattern;
    enum bench_io io;
    uint32_t hash;
};

static size_t variants_disk(const struct bench_options *options, struct variant *variants)
{
    static const char *const patterns[] = { "read", "write", "randread", "randwrite" };
    static const char *const ios[] = { "direct", "buffered" };
    size_t count = 0;

    for (unsigned p = 0; p < 4; p++) {
        for (unsigned i = 0; i < 2; i++) {
            struct variant *variant = &variants[count];

            if ((options->patterns != 0 && (options->patterns & 1u << p) == 0) ||
                (options->ios != 0 && (options->ios & 1u << i) == 0))
                continue;
            variant->pattern = (enum bench_pattern)(1u << p);
            variant->io = (enum bench_io)(1u << i);
            (void)snprintf(variant->what, sizeof(variant->what), "%s %s", patterns[p], ios[i]);
            count++;
        }
    }
    return count;
}

static size_t variants_of(const struct bench_options *options, enum bench_kind kind,
                          struct variant *variants)
{
    size_t count = 0;

    switch (kind) {
    case BENCH_DISK:
        return variants_disk(options, variants);
    case BENCH_HASH:
        while (count < VARIANTS_MAX &&
               hawser_bench_hash_name((uint32_t)count, variants[count].what,
                                      sizeof(variants[count].what)) != NULL) {
            variants[count].hash = (uint32_t)count;
            count++;
        }
        return count;
    case BENCH_PATH:
        (void)snprintf(variants[0].what, sizeof(variants[0].what), "%s",
                       options->discard ? "push discarded" : "push");
        return 1;
    default:
        (void)snprintf(variants[0].what, sizeof(variants[0].what), "%s",
                       options->download ? "download" : "upload");
        return 1;
    }
}

static void points_kind(struct bench_run *run, enum bench_kind kind)
{
    const struct bench_options *options = run->options;
    struct variant variants[VARIANTS_MAX] = { 0 };
    size_t counts[] = { options->shards.count, variants_of(options, kind, variants),
                        kind & (BENCH_NET | BENCH_PATH) ? options->streams.count : 1,
                        options->chunk.count, kind == BENCH_HASH ? 1 : options->depth.count };
    size_t total = counts[0] * counts[1] * counts[2] * counts[3] * counts[4];

    for (size_t i = 0; i < total; i++) {
        size_t depth = i % counts[4], chunk = i / counts[4] % counts[3];
        size_t streams = i / counts[4] / counts[3] % counts[2];
        size_t variant = i / counts[4] / counts[3] / counts[2] % counts[1];
        size_t shards = i / counts[4] / counts[3] / counts[2] / counts[1];
        struct bench_point *point = &run->points[run->count++];

        *point = (struct bench_point){
            .kind = kind,
            .pattern = variants[variant].pattern,
            .io = variants[variant].io,
            .hash = variants[variant].hash,
            .shards = (uint32_t)options->shards.values[shards],
            .streams = (uint32_t)options->streams.values[streams],
            .chunk = (uint32_t)options->chunk.values[chunk],
            .depth = (uint32_t)options->depth.values[depth],
        };
        memcpy(point->what, variants[variant].what, sizeof(point->what));
        if (point->chunk == 0 && kind != BENCH_PATH) /* a push has its own */
            point->chunk = CHUNK_DEFAULT;
    }
}

/* Every combination; shards outermost, because each needs a client of its own. */
static bool points_make(struct bench_run *run)
{
    const struct bench_options *options = run->options;
    size_t most = options->shards.count * options->streams.count * options->chunk.count *
                  options->depth.count * VARIANTS_MAX;

    run->points = calloc(most, sizeof(run->points[0]));
    if (run->points == NULL)
        return false;
    for (unsigned kind = 1; kind < BENCH_KINDS_END; kind <<= 1)
        if (options->kinds & kind)
            points_kind(run, (enum bench_kind)kind);
    return true;
}

static int points_run(struct bench_run *run)
{
    const struct bench_options *options = run->options;
    struct cli_output output = { 0 };
    hawser_client *client = NULL;
    int code = CLI_EXIT_OK, rc = 0;

    for (run->at = 0; run->at < run->count && rc == 0; run->at++) {
        struct bench_point *point = &run->points[run->at];

        if (client == NULL || point->shards != point[-1].shards || point->kind == BENCH_PATH) {
            cli_running(NULL);
            hawser_client_close(client);
            client = NULL;
            rc = client_for(options, point, &client);
            if (rc == 0 && run->engine[0] == '\0')
                hawser_engine_info(client, run->engine, sizeof(run->engine));
        }
        if (rc == 0)
            rc = point_run(run, point, client);
        point->code = rc;
        bench_live_clear(run);
        if (options->form == BENCH_JSON_LINES)
            bench_json_point(point);
        if (rc < 0) {
            code = cli_exit_code(&output, rc);
            if (client != NULL) /* else it was told why there is none */
                cli_error_print(NULL, rc, hawser_client_message(client));
        }
    }
    run->count = run->at;
    cli_running(NULL); /* a late signal must not touch what is freed */
    hawser_client_close(client);
    return code;
}

static uint64_t list_most(const struct bench_list *list)
{
    uint64_t most = 0;

    for (size_t i = 0; i < list->count; i++)
        most = list->values[i] > most ? list->values[i] : most;
    return most;
}

/* One client for all points with as many shards, as large as the largest of them; but each push has
 * its own. */
static int client_for(const struct bench_options *options, const struct bench_point *point,
                      hawser_client **ret_client)
{
    uint64_t most = list_most(&options->chunk);
    uint64_t chunk;
    hawser_client_opts opts = HAWSER_INIT(opts);
    char why[1024];
    int rc;

    most = most > 0 ? most : CHUNK_DEFAULT;
    chunk = (most + CHUNK_CLIENT_MIN - 1) / CHUNK_CLIENT_MIN;
    opts.memory = options->memory;
    opts.congestion = options->congestion;
    opts.shards = point->shards;
    opts.streams = (uint32_t)list_most(&options->streams);
    opts.chunk = (uint32_t)chunk * CHUNK_CLIENT_MIN;
    if (point->kind == BENCH_PATH) { /* its own shape: what is in force is the client's */
        opts.streams = point->streams;
        opts.depth = point->depth;
        opts.chunk = point->chunk;
    }
    opts.connect_timeout_ns = options->timeout_ns;
    opts.idle_timeout_ns = options->timeout_ns;
    rc = hawser_client_open(&opts, ret_client, why, sizeof(why));
    if (rc < 0)
        cli_error_print(NULL, rc, why);
    else
        cli_running(*ret_client);
    return rc;
}

static int point_net(struct bench_run *run, struct bench_point *point, hawser_client *client)
{
    const struct bench_options *options = run->options;
    hawser_bench_net_opts opts = HAWSER_INIT(opts);

    opts.sample = point_sample;
    opts.context = run;
    opts.time_ns = options->time_ns;
    opts.bytes = options->bytes;
    opts.streams = point->streams;
    opts.depth = point->depth;
    opts.chunk = point->chunk;
    opts.download = options->download;
    opts.no_verify = options->no_verify;
    opts.no_ack = options->no_ack;
    opts.zero_copy = options->zero_copy;
    return hawser_bench_net(client, options->server, &opts, &point->result);
}

static int point_disk(struct bench_run *run, struct bench_point *point, hawser_client *client)
{
    const struct bench_options *options = run->options;
    hawser_bench_disk_opts opts = HAWSER_INIT(opts);

    opts.sample = point_sample;
    opts.context = run;
    opts.time_ns = options->time_ns;
    opts.bytes = options->bytes;
    opts.shards = point->shards;
    opts.depth = point->depth;
    opts.block = point->chunk;
    opts.write = point->pattern == BENCH_WRITE || point->pattern == BENCH_RANDOM_WRITE;
    opts.random = point->pattern == BENCH_RANDOM_READ || point->pattern == BENCH_RANDOM_WRITE;
    opts.direct = point->io == BENCH_DIRECT;
    return hawser_bench_disk(client, options->path, &opts, &point->result);
}

static int point_hash(struct bench_run *run, struct bench_point *point, hawser_client *client)
{
    const struct bench_options *options = run->options;
    hawser_bench_hash_opts opts = HAWSER_INIT(opts);

    opts.sample = point_sample;
    opts.context = run;
    opts.time_ns = options->time_ns;
    opts.bytes = options->bytes;
    opts.shards = point->shards;
    opts.block = point->chunk;
    opts.kind = point->hash;
    return hawser_bench_hash(client, &opts, &point->result);
}

static int point_path(struct bench_run *run, struct bench_point *point, hawser_client *client)
{
    const struct bench_options *options = run->options;
    hawser_bench_path_opts opts = HAWSER_INIT(opts);

    opts.sample = point_sample;
    opts.context = run;
    opts.discard = options->discard;
    opts.zero_copy = options->zero_copy;
    return hawser_bench_path(client, options->source, options->url, &opts, &point->result);
}

static int point_run(struct bench_run *run, struct bench_point *point, hawser_client *client)
{
    run->shown_ns = 0;
    run->shown_bytes = 0;
    switch (point->kind) {
    case BENCH_DISK:
        return point_disk(run, point, client);
    case BENCH_HASH:
        return point_hash(run, point, client);
    case BENCH_PATH:
        return point_path(run, point, client);
    default:
        return point_net(run, point, client);
    }
}

/* On the client's threads, one at a time, while point_run() waits. */
static void point_sample(void *context, const hawser_bench_sample *sample)
{
    struct bench_run *run = context;
    struct bench_point *point = &run->points[run->at];

    if (point->sample_count == point->sample_room && point->sample_room < SAMPLES_MAX) {
        size_t room = point->sample_room > 0 ? 2 * point->sample_room : 64;
        hawser_bench_sample *more = reallocarray(point->samples, room, sizeof(*more));

        if (more != NULL) { /* else the series ends here */
            point->samples = more;
            point->sample_room = room;
        }
    }
    if (point->sample_count < point->sample_room)
        point->samples[point->sample_count++] = *sample;
    if (run->options->form == BENCH_JSON_LINES)
        bench_json_sample(run, sample);
    bench_live(run, sample);
}

/* Is there anything to show? */
static bool run_any(const struct bench_run *run)
{
    for (size_t i = 0; i < run->count; i++)
        if (run->points[i].code == 0)
            return true;
    return false;
}

static int report_write(const struct bench_run *run, int code)
{
    int error = bench_report(run, run->options->report);

    if (error == 0)
        return code;
    cli_error_print(NULL, -error, run->options->report);
    return code == CLI_EXIT_OK ? CLI_EXIT_PARTIAL : code;
}

static void run_print(const struct bench_run *run, int exit_code)
{
    switch (run->options->form) {
    case BENCH_TEXT:
        if (run_any(run))
            bench_table(run, stdout);
        break;
    case BENCH_CSV:
        bench_csv(run, stdout);
        break;
    case BENCH_JSON:
        bench_json_document(run, exit_code);
        break;
    case BENCH_JSON_LINES: /* every point was told when it ended */
        break;
    }
}
