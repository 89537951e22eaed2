/* Benchmarks: the caller's words turned into job specs, and what was measured into results. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/bench_team.h"
#include "transfer/net/zerocopy.h"

#define BENCH_DEFAULT_NS (5 * HSR_NS_PER_S)
#define BENCH_DEFAULT_DEPTH 4u /* chunks of 1 MiB stay in the cache: docs/ARCHITECTURE.md 11 */

void hsr_client_sample(struct hawser_client *client, uint64_t elapsed_ns, uint64_t bytes)
{
    struct hawser_bench_sample sample = {
        .elapsed_ns = elapsed_ns,
        .bytes = bytes,
        .cpu_ns = hsr_bench_cpu() - client->sample_cpu_ns,
    };

    client->sample(client->context, &sample);
}

hawser_latency hsr_bench_latency(const struct hsr_latency *from)
{
    return (hawser_latency){
        .count = from->count,
        .least_ns = from->least,
        .mean_ns = from->mean,
        .p50_ns = from->p50,
        .p90_ns = from->p90,
        .p99_ns = from->p99,
        .p999_ns = from->p999,
        .greatest_ns = from->greatest,
    };
}

_Static_assert((int)HAWSER_TIME_COUNT == (int)HSR_TIME_COUNT &&
                   (int)HAWSER_TIME_SENDING == (int)HSR_TIME_SENDING &&
                   (int)HAWSER_TIME_RECEIVE == (int)HSR_TIME_RECEIVE &&
                   HAWSER_CORES_MAX == HSR_CORES_MAX,
               "the same numbers");

const char *hawser_time_name(enum hawser_time time)
{
    static const char *const names[HAWSER_TIME_COUNT] = {
        "idle",    "reading", "matching", "ready", "sending", "lingering", "receiving",
        "waiting", "making",  "writing",  "chunk", "read",    "write",     "receive",
    };

    return (unsigned)time < HAWSER_TIME_COUNT ? names[time] : "";
}

static void bench_side(const struct hsr_measured *from, hawser_bench_side *to)
{
    to->cpu_ns = from->cpu_ns;
    to->zc_sent_bytes = from->zc_sent;
    to->zc_copied_bytes = from->zc_copied;
    to->zc_downgrades = from->zc_downgrades;
    for (unsigned i = 0; i < HSR_TIME_COUNT; i++)
        to->times[i] = hsr_bench_latency(&from->times[i]);
    to->core_count = from->core_count;
    for (uint32_t i = 0; i < from->core_count; i++) {
        const struct hsr_core_use *use = &from->cores[i];

        to->cores[i] = (hawser_core_use){
            .core = use->core <= INT32_MAX ? (int32_t)use->core : -1,
            .elapsed_ns = use->elapsed,
            .cpu_ns = use->cpu,
            .help_ns = use->help,
            .hash_ns = use->hash,
            .files_ns = use->files,
            .disk_ns = use->disk,
        };
    }
}

static void bench_sides(const struct hawser_client *client, hawser_bench_result *result)
{
    bench_side(&client->measures.ours, &result->here);
    bench_side(&client->measures.theirs, &result->there);
}

/* "HOST", "HOST:PORT" or a whole URL: where the server is. */
static int bench_server(struct hawser_client *client, const char *text, hawser_url *ret_url)
{
    const char *rest = strncmp(text, "hawser://", 9) == 0 ? text + 9 : text;
    char why[256], *whole = NULL;
    int rc;

    if (rest == text && strchr(text, '/') != NULL)
        return hsr_client_fail(client, HSR_E_USAGE, text, "neither a host nor a URL");
    rc = asprintf(&whole, "hawser://%s%s", rest, strchr(rest, '/') != NULL ? "" : "/-");
    if (rc < 0)
        return -ENOMEM;
    rc = hawser_url_parse(whole, ret_url, why, sizeof(why));
    free(whole);
    if (rc < 0)
        return hsr_client_fail(client, HSR_E_USAGE, text, "%s", why);
    ret_url->export_name[0] = '\0';
    ret_url->path[0] = '\0';
    return 0;
}

static int bench_net_spec(struct hawser_client *client, const struct hawser_bench_net_opts *opts,
                          struct hsr_job_spec *ret_spec)
{
    const struct hsr_plan *plan = &client->plan;
    struct hsr_bench_ask ask = {
        .role = opts->download ? HSR_ROLE_TARGET : HSR_ROLE_SOURCE,
        .flags = (uint8_t)((opts->no_verify ? HSR_BENCH_NO_VERIFY : 0) |
                           (opts->no_ack ? HSR_BENCH_NO_ACK : 0)),
        .streams = opts->streams > 0 ? opts->streams : plan->streams,
        .depth = opts->depth > 0 ? opts->depth : BENCH_DEFAULT_DEPTH,
        .chunk = opts->chunk > 0 ? opts->chunk : plan->chunk,
        .time_ns = opts->time_ns,
        .bytes = opts->bytes,
    };
    const char *wrong = NULL;

    if (ask.time_ns == 0 && ask.bytes == 0)
        ask.time_ns = BENCH_DEFAULT_NS;
    if (ask.streams > plan->streams)
        wrong = "streams: more than the client was opened for";
    else if (ask.depth > HSR_DEPTH_MAX)
        wrong = "depth: 1 to 256 chunks";
    else if (ask.chunk % HSR_CHUNK_SIZE_MIN != 0 || ask.chunk > plan->chunk)
        wrong = "chunk: a multiple of 4 KiB, at most what the client was opened for";
    else if ((unsigned)opts->zero_copy >= HSR_ZC_MODE_COUNT)
        wrong = "zero_copy: off, auto or on";
    else if (ask.time_ns > HSR_BENCH_TIME_MAX_NS)
        wrong = "time: at most 10 minutes";
    else if (ask.bytes > HSR_BENCH_BYTES_MAX)
        wrong = "size: at most 1 PiB";
    if (wrong != NULL)
        return hsr_client_fail(client, HSR_E_USAGE, NULL, "%s", wrong);
    *ret_spec = (struct hsr_job_spec){ .role = ask.role,
                                       .benching = true,
                                       .bench = ask,
                                       .zero_copy = (uint8_t)opts->zero_copy,
                                       .target_fd = -1 };
    return 0;
}

/* A push of one source; what it reports is what the stream of samples says. */
static void bench_path_event(void *context, const hawser_event *event)
{
    struct hawser_client *client = context;

    if (event->kind == HAWSER_EVENT_PROGRESS && client->path_sample != NULL) {
        hawser_bench_sample sample = { .elapsed_ns = event->progress->elapsed_ns,
                                       .bytes = event->progress->bytes_done,
                                       .cpu_ns = hsr_bench_cpu() - client->sample_cpu_ns };

        client->path_sample(client->path_context, &sample);
    }
}

int hawser_bench_path(hawser_client *client, const char *source, const char *url,
                      const hawser_bench_path_opts *opts, hawser_bench_result *ret_result)
{
    struct hawser_bench_path_opts ours;
    hawser_transfer_opts transfer = HAWSER_INIT(transfer);
    hawser_stats stats;
    int rc;

    hsr_require(client != NULL, HSR_E_USAGE);
    rc = hsr_client_opts_copy(&ours, sizeof(ours), opts);
    if (rc < 0)
        return hsr_client_fail(client, rc, NULL, "options of a newer version");
    if (source == NULL || url == NULL || ret_result == NULL)
        return hsr_client_fail(client, HSR_E_USAGE, NULL,
                               "a source, a URL and room for the result");
    transfer.event = bench_path_event;
    transfer.context = client;
    transfer.discard = ours.discard;
    transfer.zero_copy = ours.zero_copy;
    client->path_sample = ours.sample;
    client->path_context = ours.context;
    client->sample_cpu_ns = hsr_bench_cpu();
    client->measures = (struct hsr_measures){ 0 };
    client->measure = true;
    rc = hawser_push(client, &source, 1, url, &transfer, &stats);
    client->measure = false;
    if (rc == 0)
        *ret_result = (hawser_bench_result){
            .bytes = stats.bytes,
            .operations = stats.files,
            .files = stats.files,
            .elapsed_ns = stats.elapsed_ns,
            .cpu_ns = hsr_bench_cpu() - client->sample_cpu_ns,
            .peer_cpu_ns = client->measures.theirs.cpu_ns,
            .latency = hsr_bench_latency(&client->measures.ours.times[HSR_TIME_CHUNK]),
            .shards = client->plan.shards,
            .streams = client->plan.streams,
            .depth = client->plan.depth,
            .chunk = client->plan.chunk,
            .verified = true,
            .pinned = client->pinned,
        };
    if (rc == 0)
        bench_sides(client, ret_result);
    if (rc == 0)
        memcpy(ret_result->congestion, stats.congestion, sizeof(ret_result->congestion));
    return rc;
}

int hawser_bench_net(hawser_client *client, const char *server, const hawser_bench_net_opts *opts,
                     hawser_bench_result *ret_result)
{
    struct hawser_bench_net_opts ours;
    struct hsr_job_spec spec;
    hawser_url *url;
    int rc;

    hsr_require(client != NULL, HSR_E_USAGE);
    rc = hsr_client_opts_copy(&ours, sizeof(ours), opts);
    hsr_client_begin(client, NULL, NULL, ours.context);
    if (rc < 0)
        return hsr_client_fail(client, rc, NULL, "options of a newer version");
    if (server == NULL || ret_result == NULL)
        return hsr_client_fail(client, HSR_E_USAGE, NULL, "a server and room for the result");
    client->sample = ours.sample;
    client->sample_cpu_ns = hsr_bench_cpu();
    client->report = (struct hsr_bench_report){ 0 };
    client->measures = (struct hsr_measures){ 0 };
    url = malloc(sizeof(*url));
    if (url == NULL)
        return -ENOMEM;
    rc = bench_server(client, server, url);
    if (rc == 0)
        rc = bench_net_spec(client, &ours, &spec);
    if (rc == 0)
        rc = hsr_client_run(client, url, "", &spec);
    if (rc == 0) {
        const struct hsr_bench_report *report = &client->report;
        bool up = spec.role == HSR_ROLE_SOURCE;

        *ret_result = (hawser_bench_result){
            .bytes = report->ours.bytes,
            .operations = report->ours.chunks,
            .elapsed_ns = report->ours.elapsed_ns,
            .cpu_ns = report->ours.cpu_ns,
            .peer_cpu_ns = report->theirs.cpu_ns,
            .latency = hsr_bench_latency(up ? &report->ours.latency : &report->theirs.latency),
            .shards = client->plan.shards,
            .streams = report->ask.streams,
            .depth = ours.no_ack ? 0 : report->ask.depth,
            .chunk = report->ask.chunk,
            .verified = !ours.no_verify,
            .pinned = client->pinned,
        };
    }
    if (rc == 0)
        bench_sides(client, ret_result);
    if (rc == 0)
        memcpy(ret_result->congestion, client->progress.congestion, sizeof(ret_result->congestion));
    free(url);
    return rc;
}
