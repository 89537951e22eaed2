/* hawser bench for programs. What was not measured is not there. */
#include <json-c/json.h>
#include <sys/utsname.h>

#include "client/cli/bench.h"

#define JSON_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
#define JSON_DOCUMENT_FLAGS (JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE)

static void put(struct json_object *object, const char *key, struct json_object *value)
{
    if (json_object_object_add(object, key, value) < 0)
        json_object_put(value); /* no memory: it goes without this key */
}

static void put_text(struct json_object *object, const char *key, const char *text)
{
    put(object, key, json_object_new_string(text));
}

static void put_count(struct json_object *object, const char *key, uint64_t count)
{
    put(object, key, json_object_new_uint64(count));
}

static void put_known(struct json_object *object, const char *key, uint64_t count)
{
    if (count > 0)
        put_count(object, key, count);
}

static void line_print(struct json_object *object)
{
    puts(json_object_to_json_string_ext(object, JSON_FLAGS));
    (void)fflush(stdout); /* a failure is seen at the end, by ferror() */
    json_object_put(object);
}

static struct json_object *sample_make(const hawser_bench_sample *sample)
{
    struct json_object *object = json_object_new_object();

    put_count(object, "elapsed_ns", sample->elapsed_ns);
    put_count(object, "bytes", sample->bytes);
    put_known(object, "cpu_ns", sample->cpu_ns);
    return object;
}

static struct json_object *latency_make(const hawser_latency *latency)
{
    struct json_object *object = json_object_new_object();

    put_count(object, "count", latency->count);
    put_count(object, "least_ns", latency->least_ns);
    put_count(object, "mean_ns", latency->mean_ns);
    put_count(object, "p50_ns", latency->p50_ns);
    put_count(object, "p90_ns", latency->p90_ns);
    put_count(object, "p99_ns", latency->p99_ns);
    put_count(object, "p999_ns", latency->p999_ns);
    put_count(object, "greatest_ns", latency->greatest_ns);
    return object;
}

static struct json_object *core_make(const hawser_core_use *use)
{
    struct json_object *object = json_object_new_object();

    if (use->core >= 0)
        put(object, "core", json_object_new_int(use->core));
    put_count(object, "elapsed_ns", use->elapsed_ns);
    put_count(object, "cpu_ns", use->cpu_ns);
    put_count(object, "helpers_ns", use->help_ns);
    put_count(object, "digests_ns", use->hash_ns);
    put_count(object, "files_ns", use->files_ns);
    put_count(object, "disk_ns", use->disk_ns);
    return object;
}

static struct json_object *side_make(const hawser_bench_side *side)
{
    struct json_object *object = json_object_new_object();
    struct json_object *times = json_object_new_object(), *cores = json_object_new_array();

    put_known(object, "cpu_ns", side->cpu_ns);
    put_count(object, "zc_sent_bytes", side->zc_sent_bytes);
    put_count(object, "zc_copied_bytes", side->zc_copied_bytes);
    put_count(object, "zc_downgrades", side->zc_downgrades);
    for (size_t i = 0; i < HAWSER_TIME_COUNT; i++)
        if (side->times[i].count > 0)
            put(times, hawser_time_name((enum hawser_time)i), latency_make(&side->times[i]));
    put(object, "times", times);
    for (uint32_t i = 0; i < side->core_count; i++)
        if (json_object_array_add(cores, core_make(&side->cores[i])) < 0)
            break; /* no memory */
    put(object, "cores", cores);
    return object;
}

static void result_put(struct json_object *object, const struct bench_point *point)
{
    const hawser_bench_result *result = &point->result;

    put_count(object, "bytes", result->bytes);
    put_count(object, "operations", result->operations);
    put_known(object, "files", result->files);
    put_count(object, "elapsed_ns", result->elapsed_ns);
    put(object, "gb_per_s", json_object_new_double(bench_rate(result)));
    put_known(object, "cpu_ns", result->cpu_ns);
    put_known(object, "peer_cpu_ns", result->peer_cpu_ns);
    if (bench_cost(result, result->cpu_ns) >= 0)
        put(object, "cpu_s_per_gb", json_object_new_double(bench_cost(result, result->cpu_ns)));
    if (bench_cost(result, result->peer_cpu_ns) >= 0)
        put(object, "peer_cpu_s_per_gb",
            json_object_new_double(bench_cost(result, result->peer_cpu_ns)));
    put_known(object, "sync_ns", result->sync_ns);
    put_known(object, "shards", result->shards);
    put_known(object, "streams", result->streams);
    put_known(object, "depth", result->depth);
    put_known(object, "chunk", result->chunk);
    if (result->congestion[0] != '\0')
        put_text(object, "congestion", result->congestion);
    put(object, "verified", json_object_new_boolean(result->verified));
    put(object, "pinned", json_object_new_boolean(result->pinned));
    if (result->latency.count > 0)
        put(object, "latency", latency_make(&result->latency));
    if (point->kind & (BENCH_NET | BENCH_PATH)) {
        put(object, "here", side_make(&result->here));
        put(object, "there", side_make(&result->there));
    }
}

static struct json_object *point_make(const struct bench_point *point, bool samples)
{
    struct json_object *object = json_object_new_object();
    struct json_object *series;

    put_text(object, "kind", bench_kind_name(point->kind));
    put_text(object, "what", point->what);
    if (point->code < 0) {
        put_text(object, "error", hawser_error_name(point->code));
        put_text(object, "message", hawser_strerror(point->code));
        return object;
    }
    result_put(object, point);
    if (!samples)
        return object;
    series = json_object_new_array();
    for (size_t i = 0; i < point->sample_count; i++)
        if (json_object_array_add(series, sample_make(&point->samples[i])) < 0)
            break; /* no memory: the series ends here */
    put(object, "samples", series);
    return object;
}

void bench_json_sample(const struct bench_run *run, const hawser_bench_sample *sample)
{
    struct json_object *object = json_object_new_object();

    put_text(object, "type", "sample");
    put_count(object, "point", run->at);
    put(object, "sample", sample_make(sample));
    line_print(object);
}

void bench_json_point(const struct bench_point *point)
{
    struct json_object *object = json_object_new_object();

    put_text(object, "type", "point");
    put(object, "result", point_make(point, /* samples= */ false));
    line_print(object);
}

void bench_json_document(const struct bench_run *run, int exit_code)
{
    struct json_object *object = json_object_new_object();
    struct json_object *points = json_object_new_array();
    struct utsname system;

    put_text(object, "version", hawser_version());
    if (uname(&system) == 0) {
        put_text(object, "kernel", system.release);
        put_text(object, "machine", system.machine);
    }
    put_text(object, "engine", run->engine);
    put(object, "exit", json_object_new_int(exit_code));
    for (size_t i = 0; i < run->count; i++)
        if (json_object_array_add(points, point_make(&run->points[i], /* samples= */ true)) < 0)
            break; /* no memory */
    put(object, "points", points);
    puts(json_object_to_json_string_ext(object, JSON_DOCUMENT_FLAGS));
    json_object_put(object);
}
