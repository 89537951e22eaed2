/* One JSON object a line on stdout. JSON is UTF-8, names are bytes: what is not valid is shown with
 * U+FFFD in "path", and "path_base64" holds the bytes themselves. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/cli/cli.h"
#include "client/cli/control.h"

#define JSON_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* Bytes of the valid sequence at @s, or 0 (Unicode 15, table 3-7). */
static size_t utf8_size(const unsigned char *s, size_t size)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t count;

    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    count = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    if (count > size || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < count; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return count;
}

char *cli_utf8(const char *bytes, size_t size, bool *ret_exact)
{
    const unsigned char *s = (const unsigned char *)bytes;
    char *text = malloc(size * 3 + 1);
    size_t at = 0;

    *ret_exact = true;
    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < size;) {
        size_t count = utf8_size(s + i, size - i);

        if (count == 0) {
            *ret_exact = false;
            memcpy(text + at, "\xef\xbf\xbd", 3);
            at += 3;
            i++;
        } else {
            memcpy(text + at, s + i, count);
            at += count;
            i += count;
        }
    }
    text[at] = '\0';
    return text;
}

char *cli_base64(const void *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *s = bytes;
    char *text = malloc((size + 2) / 3 * 4 + 1);
    size_t at = 0;

    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        unsigned value = (unsigned)s[i] << 16 | (left > 1 ? (unsigned)s[i + 1] << 8 : 0) |
                         (left > 2 ? (unsigned)s[i + 2] : 0);

        text[at++] = digits[value >> 18];
        text[at++] = digits[value >> 12 & 63];
        text[at++] = left > 1 ? digits[value >> 6 & 63] : '=';
        text[at++] = left > 2 ? digits[value & 63] : '=';
    }
    text[at] = '\0';
    return text;
}

/* ---- building ---- */

static void put(struct json_object *object, const char *key, struct json_object *value)
{
    if (json_object_object_add(object, key, value) < 0)
        json_object_put(value); /* no memory: the line goes without this key */
}

static void put_text(struct json_object *object, const char *key, const char *text)
{
    put(object, key, json_object_new_string(text));
}

static void put_count(struct json_object *object, const char *key, uint64_t count)
{
    put(object, key, json_object_new_uint64(count));
}

static struct json_object *raw_string(const char *bytes, bool *ret_exact)
{
    char *text = cli_utf8(bytes, strlen(bytes), ret_exact);
    struct json_object *value = json_object_new_string(text != NULL ? text : "");

    free(text);
    return value;
}

static void put_raw(struct json_object *object, const char *key, const char *bytes)
{
    bool exact;

    put(object, key, raw_string(bytes, &exact));
    if (!exact) {
        char name[64];
        char *text = cli_base64(bytes, strlen(bytes));

        (void)snprintf(name, sizeof(name), "%s_base64", key); /* keys are short */
        put_text(object, name, text != NULL ? text : "");
        free(text);
    }
}

static void put_code(struct json_object *object, int code)
{
    put_text(object, "code", hawser_error_name(code));
    put(object, "number", json_object_new_int(code));
    put_text(object, "why", hawser_strerror(code));
}

static struct json_object *line_new(const char *type)
{
    struct json_object *object = json_object_new_object();

    put_text(object, "type", type);
    return object;
}

static void line_end(struct json_object *object)
{
    const char *text = json_object_to_json_string_ext(object, JSON_FLAGS);

    if (text != NULL) {
        fputs(text, stdout);
        fputc('\n', stdout);
        fflush(stdout); /* whoever reads events wants them now */
    }
    json_object_put(object);
}

/* ---- the lines ---- */

void cli_json_start(const struct cli_options *options, const hawser_client *client)
{
    struct json_object *object = line_new("start");
    struct json_object *words = json_object_new_array();
    char info[1024];

    hawser_engine_info(client, info, sizeof(info));
    put_text(object, "version", hawser_version());
    put_text(object, "command",
             options->command == CLI_VERIFY ? "verify"
             : options->command == CLI_PUSH ? "push"
                                            : "pull");
    for (size_t i = 0; i < options->arg_count; i++) {
        bool exact;

        if (json_object_array_add(words, raw_string(options->args[i], &exact)) < 0)
            break; /* no memory */
    }
    put(object, "arguments", words);
    put(object, "dry_run", json_object_new_boolean(options->transfer.dry_run));
    if (options->transfer.discard)
        put(object, "discard", json_object_new_boolean(true));
    put_text(object, "engine", info);
    if (*cli_control_job() != '\0')
        put_text(object, "job", cli_control_job());
    line_end(object);
}

void cli_json_job(const struct cli_job *job)
{
    struct json_object *object = line_new("job");

    put_text(object, "job", job->name);
    put_text(object, "state", job->state);
    put_count(object, "bytes_done", job->bytes_done);
    put_count(object, "bytes_seen", job->bytes_seen);
    put_count(object, "files_done", job->files_done);
    put_count(object, "files_seen", job->files_seen);
    put(object, "walk_done", json_object_new_boolean(job->walk_done));
    put_count(object, "elapsed_ns", job->elapsed_ns);
    put_raw(object, "command", job->command);
    line_end(object);
}

/* "limit": the name or null, "stages": {"target disk": {...}, ...}, those that did something. */
static void put_stages(struct json_object *object, enum hawser_stage limit,
                       const hawser_stage_time *stages)
{
    struct json_object *all = json_object_new_object();

    for (unsigned i = 1; i < HAWSER_STAGE_COUNT; i++) {
        const hawser_stage_time *stage = &stages[i];
        struct json_object *one;

        if (stage->busy_ns == 0 && stage->wait_ns == 0)
            continue;
        one = json_object_new_object();
        put_count(one, "ceiling_bytes_per_second", stage->ceiling);
        put_count(one, "bytes", stage->bytes);
        put_count(one, "busy_ns", stage->busy_ns);
        put_count(one, "wait_ns", stage->wait_ns);
        put(all, hawser_stage_name((enum hawser_stage)i), one);
    }
    if (limit == HAWSER_STAGE_NONE)
        put(object, "limit", NULL);
    else
        put_text(object, "limit", hawser_stage_name(limit));
    put(object, "stages", all);
}

void cli_json_progress(const hawser_progress *progress)
{
    struct json_object *object = line_new("progress");

    put_count(object, "bytes_done", progress->bytes_done);
    put_count(object, "bytes_seen", progress->bytes_seen);
    put_count(object, "files_done", progress->files_done);
    put_count(object, "files_seen", progress->files_seen);
    put_count(object, "entries_done", progress->entries_done);
    put_count(object, "entries_seen", progress->entries_seen);
    put(object, "walk_done", json_object_new_boolean(progress->walk_done));
    put(object, "paused", json_object_new_boolean(progress->paused));
    put_count(object, "wire_sent", progress->wire_sent);
    put_count(object, "wire_received", progress->wire_received);
    put_count(object, "elapsed_ns", progress->elapsed_ns);
    put_count(object, "stalled_ns", progress->stalled_ns);
    if (progress->stalled_ns > 0)
        put_text(object, "stall", progress->stall);
    put_stages(object, progress->limit, progress->stages);
    line_end(object);
}

void cli_json_difference(const hawser_event *event)
{
    struct json_object *object = line_new("difference");
    struct json_object *differs = json_object_new_array();

    put_text(object, "event", cli_difference_name(event->note));
    put_raw(object, "path", event->path);
    for (const char *at = event->text; *at != '\0';) {
        size_t size = strcspn(at, ",");

        json_object_array_add(differs, json_object_new_string_len(at, (int)size));
        at += size;
        at += strspn(at, ", ");
    }
    put(object, "differs", differs);
    line_end(object);
}

void cli_json_digest(const char *path, uint64_t bytes, const char *kind, const char *hex)
{
    struct json_object *object = line_new("digest");

    put_raw(object, "path", path);
    put_count(object, "bytes", bytes);
    put_text(object, kind, hex);
    line_end(object);
}

void cli_json_note(const hawser_event *event)
{
    bool failed = event->note == HAWSER_NOTE_FAILED;
    struct json_object *object = line_new(failed ? "error" : "file");

    if (!failed)
        put_text(object, "event", cli_note_name(event->note));
    put_raw(object, "path", event->path);
    put_count(object, "bytes", event->bytes);
    if (event->code != 0)
        put_code(object, event->code);
    if (*event->text != '\0')
        put_raw(object, "text", event->text);
    line_end(object);
}

void cli_json_retry(const hawser_event *event)
{
    struct json_object *object = line_new("retry");

    put_count(object, "retry", event->retry);
    put_count(object, "retries_left", event->retries_left);
    put_count(object, "pause_ns", event->pause_ns);
    put_code(object, event->code);
    put_raw(object, "text", event->text);
    line_end(object);
}

void cli_json_stall(const hawser_event *event)
{
    struct json_object *object = line_new("stall");

    put(object, "over", json_object_new_boolean(*event->text == '\0'));
    put_count(object, "stalled_ns", event->stalled_ns);
    put_text(object, "text", event->text);
    line_end(object);
}

void cli_json_state(enum hawser_state state)
{
    static const char *const words[] = {
        [HAWSER_STATE_RUNNING] = "running",
        [HAWSER_STATE_PAUSED] = "paused",
        [HAWSER_STATE_STOPPING] = "stopping",
    };
    struct json_object *object = line_new("state");

    put_text(object, "state", words[state]);
    line_end(object);
}

void cli_json_error(const char *path, int code, const char *message)
{
    struct json_object *object = line_new("error");

    if (path != NULL)
        put_raw(object, "path", path);
    put_code(object, code);
    put_raw(object, "text", message);
    line_end(object);
}

/* Times in nanoseconds, sizes in bytes. */
static void put_ahead(struct json_object *object, const hawser_ahead_stats *ahead)
{
    struct json_object *inner = json_object_new_object();

    put_text(inner, "state", cli_ahead_word(ahead->state));
    put_count(inner, "gap_ns", ahead->gap_ns);
    put_count(inner, "used_ns", ahead->used_ns);
    put_count(inner, "ahead_bytes", ahead->ahead_bytes);
    put_count(inner, "demand_bytes", ahead->demand_bytes);
    put_count(inner, "hits", ahead->hits);
    put_count(inner, "late", ahead->late);
    put_count(inner, "stale", ahead->stale);
    put_count(inner, "wasted_bytes", ahead->wasted_bytes);
    put_count(inner, "preempted", ahead->preempted);
    put_count(inner, "turns", ahead->turns);
    put_count(inner, "turns_long", ahead->turns_long);
    put_count(inner, "turn_p50_ns", ahead->turn_p50_ns);
    put_count(inner, "turn_p999_ns", ahead->turn_p999_ns);
    put_count(inner, "turn_max_ns", ahead->turn_max_ns);
    put_count(inner, "step_p999_ns", ahead->step_p999_ns);
    put(object, "ahead", inner);
}

void cli_json_summary(const struct cli_options *options, const hawser_stats *stats, int code,
                      int exit_code)
{
    struct json_object *object = line_new("summary");
    double seconds = (double)stats->elapsed_ns / 1e9;

    put_count(object, "files", stats->files);
    put_count(object, "bytes", stats->bytes);
    put_count(object, "created", stats->created);
    put_count(object, "touched", stats->touched);
    put_count(object, "unchanged", stats->unchanged);
    put_count(object, "deleted", stats->deleted);
    put_count(object, "failed", stats->failed);
    put_count(object, "retries", stats->retries);
    put_count(object, "streams_lost", stats->streams_lost);
    put_count(object, "entries_seen", stats->entries_seen);
    put_count(object, "files_seen", stats->files_seen);
    put_count(object, "bytes_seen", stats->bytes_seen);
    put_count(object, "wire_sent", stats->wire_sent);
    put_count(object, "wire_received", stats->wire_received);
    put_count(object, "disk_direct", stats->disk_direct);
    put_count(object, "disk_uncached", stats->disk_uncached);
    put_count(object, "disk_buffered", stats->disk_buffered);
    put_count(object, "zc_sent_bytes", stats->zc_sent_bytes);
    put_count(object, "zc_copied_bytes", stats->zc_copied_bytes);
    put_count(object, "zc_downgrades", stats->zc_downgrades);
    put(object, "delta", json_object_new_boolean(stats->delta));
    put_text(object, "delta_why", stats->delta_why);
    put_count(object, "delta_files", stats->delta_files);
    put_count(object, "delta_fallbacks", stats->delta_fallbacks);
    put_count(object, "literal_bytes", stats->literal_bytes);
    put_count(object, "copied_bytes", stats->copied_bytes);
    put_count(object, "signature_bytes", stats->signature_bytes);
    put_count(object, "resumed_files", stats->resumed_files);
    put_count(object, "resumed_bytes", stats->resumed_bytes);
    put_count(object, "kept_files", stats->kept_files);
    put_count(object, "kept_bytes", stats->kept_bytes);
    put(object, "seconds", json_object_new_double(seconds));
    put(object, "bytes_per_second",
        json_object_new_double(seconds > 0 ? (double)stats->bytes / seconds : 0));
    put_ahead(object, &stats->ahead);
    put_stages(object, stats->limit, stats->stages);
    if (options->command == CLI_VERIFY)
        put_count(object, "differences", stats->differences);
    put_text(object, "digest", cli_digest_name(options->transfer.digest));
    put_text(object, "durability", cli_durability_name(stats->durability));
    put_count(object, "files_received", stats->files_received);
    put_count(object, "files_written", stats->files_written);
    put_count(object, "files_durable", stats->files_durable);
    if (stats->congestion[0] != '\0')
        put_text(object, "congestion", stats->congestion);
    if (options->command == CLI_VERIFY)
        put_count(object, "differences", stats->differences);
    put(object, "dry_run", json_object_new_boolean(options->transfer.dry_run));
    if (options->transfer.discard)
        put(object, "discard", json_object_new_boolean(true));
    put(object, "exit", json_object_new_int(exit_code));
    if (code != 0)
        put_code(object, code);
    line_end(object);
}

void cli_json_entry(const hawser_entry *entry)
{
    struct json_object *object = line_new("entry");
    struct json_object *xattrs = json_object_new_object();
    char mode[16];

    (void)snprintf(mode, sizeof(mode), "%06o", entry->mode); /* as st_mode in octal: 6 digits */
    put_raw(object, "name", entry->name);
    put_text(object, "mode", mode);
    put_count(object, "uid", entry->uid);
    put_count(object, "gid", entry->gid);
    put_count(object, "bytes", entry->bytes);
    put(object, "mtime_s", json_object_new_int64(entry->mtime_s));
    put_count(object, "mtime_ns", entry->mtime_ns);
    if (S_ISLNK(entry->mode))
        put_raw(object, "target", entry->link_target);
    if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode)) {
        put_count(object, "rdev_major", entry->rdev_major);
        put_count(object, "rdev_minor", entry->rdev_minor);
    }
    put(object, "sparse", json_object_new_boolean(entry->sparse));
    for (size_t i = 0; i < entry->xattr_count; i++) {
        char *value = cli_base64(entry->xattrs[i].value, entry->xattrs[i].value_size);
        bool exact;
        char *name = cli_utf8(entry->xattrs[i].name, strlen(entry->xattrs[i].name), &exact);

        if (name != NULL && value != NULL)
            put_text(xattrs, name, value);
        free(name);
        free(value);
    }
    put(object, "xattrs_base64", xattrs);
    line_end(object);
}

/* ---- one document ---- */

static struct json_object *findings; /* until the document is printed */

void cli_json_finding(const hawser_finding *finding)
{
    struct json_object *object = json_object_new_object();

    if (findings == NULL)
        findings = json_object_new_array();
    put_text(object, "level", cli_level_name(finding->level));
    put_text(object, "area", finding->area);
    put_text(object, "name", finding->name);
    put_raw(object, "subject", finding->subject);
    put_raw(object, "what", finding->what);
    put_text(object, "change", finding->change);
    put_text(object, "gain", finding->gain);
    if (json_object_array_add(findings, object) < 0)
        json_object_put(object); /* no memory: the document goes without it */
}

void cli_json_doctor(int code, int exit_code)
{
    struct json_object *object = line_new("doctor");

    put_text(object, "version", hawser_version());
    put(object, "usable", json_object_new_boolean(code == 0 || code == HAWSER_E_PARTIAL));
    put(object, "findings", findings != NULL ? findings : json_object_new_array());
    findings = NULL; /* the document has it */
    put(object, "exit", json_object_new_int(exit_code));
    if (code != 0)
        put_code(object, code);
    line_end(object);
}
