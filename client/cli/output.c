/* What a person reads: names, one live line of progress, errors, the last line. Events come on the
 * library's threads, one at a time, while main() waits; so this needs no lock of its own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/cli/control.h"

#define LINE_COLUMNS 80 /* of a terminal that does not tell its width */
#define LINE_NS 1000000000ull /* between lines of progress where there is no terminal */
#define TTY_NS 100000000ull /* between updates on a terminal */
#define SAFE_SIZE (4 * HAWSER_PATH_MAX + 1)

static char safe_path[SAFE_SIZE]; /* events come one at a time, errors of main() after them */

static const char *safe(const char *text)
{
    hawser_escape(text, strlen(text), safe_path, sizeof(safe_path));
    return safe_path;
}

const char *cli_note_name(enum hawser_note note)
{
    switch (note) {
    case HAWSER_NOTE_FAILED:
        return "failed";
    case HAWSER_NOTE_SKIPPED:
        return "skipped";
    case HAWSER_NOTE_WARNING:
        return "warning";
    case HAWSER_NOTE_CREATED:
        return "created";
    case HAWSER_NOTE_UPDATED:
        return "updated";
    case HAWSER_NOTE_TOUCHED:
        return "touched";
    case HAWSER_NOTE_DELETED:
        return "deleted";
    }
    return "note"; /* of a newer library */
}

const char *cli_difference_name(enum hawser_note note)
{
    switch (note) {
    case HAWSER_NOTE_CREATED:
        return "missing";
    case HAWSER_NOTE_DELETED:
        return "extra";
    case HAWSER_NOTE_TOUCHED:
        return "metadata";
    default:
        return "differs";
    }
}

const char *cli_durability_name(enum hawser_durability durability)
{
    switch (durability) {
    case HAWSER_DURABILITY_RECEIVED:
        return "received";
    case HAWSER_DURABILITY_WRITTEN:
        return "written";
    case HAWSER_DURABILITY_DURABLE:
        return "durable";
    case HAWSER_DURABILITY_DEFAULT:
        break;
    }
    return "none";
}

const char *cli_digest_name(enum hawser_digest digest)
{
    return digest == HAWSER_DIGEST_BLAKE3 ? "blake3" : "xxh3";
}

/* Does what a run of @options leaves serve the next one? */
enum again {
    AGAIN_ALL, /* it begins anew, or there is nothing to go on with */
    AGAIN_PARTS, /* complete files are not sent twice; what there is of others may be */
    AGAIN_NONE /* nothing is sent twice, but for what was on its way */
};

static enum again again_of(const struct cli_options *options)
{
    const hawser_transfer_opts *transfer;

    if (options == NULL || !(options->command & (CLI_PUSH | CLI_PULL)))
        return AGAIN_ALL;
    transfer = &options->transfer;
    if (transfer->dry_run || transfer->discard)
        return AGAIN_ALL;
    /* Without times a complete file is known by its digest or size, or not at all. */
    if (transfer->no_times &&
        !(transfer->checksum || transfer->size_only || transfer->ignore_existing))
        return AGAIN_ALL;
    return transfer->no_journal || transfer->inplace ? AGAIN_PARTS : AGAIN_NONE;
}

const char *cli_hint(const struct cli_options *options, int code)
{
    static const char *const canceled[] = {
        [AGAIN_ALL] = NULL,
        [AGAIN_PARTS] = "run the same command again to go on: complete files are not sent twice",
        [AGAIN_NONE] = "run the same command again to go on: what arrived is not sent twice",
    };
    static const char *const lost[] = {
        [AGAIN_ALL] = "run it again",
        [AGAIN_PARTS] = "run it again: complete files are not sent twice",
        [AGAIN_NONE] = "run it again: what arrived is not sent twice",
    };

    switch (code) {
    case -ECONNREFUSED:
        return "is hawserd running there, and on this port?";
    case HAWSER_E_EXPORT:
        return "hawserd --export NAME=PATH defines exports";
    case HAWSER_E_DENIED:
        return "hawserd --bench allows benchmarks, and --discard";
    case HAWSER_E_READONLY:
        return "only an export with :rw can be written";
    case -ENOSPC:
    case -EDQUOT:
        return "the target is full: what was committed stays; make room and run it again";
    case -EIO:
    case -EROFS:
        return "a disk fails or may not be written: see the kernel's log there (dmesg); run it "
               "again when mended";
    case HAWSER_E_CHANGED:
    case HAWSER_E_VANISHED:
        return "run it again when nobody writes there";
    case HAWSER_E_MEMLOCK:
        return "raise the limit (ulimit -l) or lower --memory";
    case HAWSER_E_MEMORY_BOUND:
        return "raise --memory";
    case HAWSER_E_CANCELED:
        return canceled[again_of(options)];
    case HAWSER_E_DELETE_LIMIT:
        return "raise --max-delete if they may all go";
    case HAWSER_E_BUSY:
    case HAWSER_E_SHUTDOWN:
    case HAWSER_E_CLOSED:
    case HAWSER_E_TIMEOUT:
        return lost[again_of(options)];
    default:
        return NULL;
    }
}

int cli_exit_code(const struct cli_output *output, int code)
{
    if (code == 0 || code == HAWSER_E_PARTIAL) {
        if (output->full)
            return CLI_EXIT_RESOURCE;
        if (output->damaged)
            return CLI_EXIT_PEER;
        return code == 0 && !output->unlisted ? CLI_EXIT_OK : CLI_EXIT_PARTIAL;
    }
    if (code == -ENOSPC || code == -EDQUOT || code == -ENOMEM || code == -EMFILE || code == -ENFILE)
        return CLI_EXIT_RESOURCE;
    /* A path that may not be used, here or there, is no refused connection. */
    if (code == HAWSER_E_DELETE_LIMIT || code == -EACCES || code == -EPERM)
        return CLI_EXIT_PARTIAL;
    switch (hawser_error_class(code)) {
    case HAWSER_CLASS_USAGE:
        return CLI_EXIT_USAGE;
    case HAWSER_CLASS_NET:
    case HAWSER_CLASS_AUTH:
    case HAWSER_CLASS_BUSY:
        return CLI_EXIT_REFUSED;
    case HAWSER_CLASS_PEER:
    case HAWSER_CLASS_INTEGRITY:
    case HAWSER_CLASS_INTERNAL:
        return CLI_EXIT_PEER;
    case HAWSER_CLASS_RESOURCE:
        return CLI_EXIT_RESOURCE;
    case HAWSER_CLASS_CANCELED:
        return CLI_EXIT_INTERRUPTED;
    case HAWSER_CLASS_IO:
    case HAWSER_CLASS_PATH:
        break;
    }
    return CLI_EXIT_PARTIAL;
}

void cli_output_init(struct cli_output *output, const struct cli_options *options)
{
    *output = (struct cli_output){ .options = options, .tty = isatty(STDERR_FILENO) == 1 };
}

/* ---- the live line ---- */

static void live_clear(struct cli_output *output)
{
    if (output->live)
        fputs("\r\033[K", stderr);
    output->live = false;
}

static void eta_print(const hawser_progress *now, double rate, char *buf, size_t size)
{
    uint64_t left;

    buf[0] = '\0';
    if (!now->walk_done || rate <= 0 || now->bytes_done > now->bytes_seen)
        return;
    left = (uint64_t)((double)(now->bytes_seen - now->bytes_done) / rate);
    (void)snprintf(buf, size, "  ETA %llu:%02llu:%02llu", (unsigned long long)(left / 3600),
                   (unsigned long long)(left / 60 % 60), (unsigned long long)(left % 60));
}

/* "  81.2 MB/s  ETA 0:00:12  limited by target disk", and why there is none. */
static void speed_print(const struct cli_output *output, const hawser_progress *now, char *buf,
                        size_t size)
{
    double seconds = (double)(now->elapsed_ns - output->last.elapsed_ns) / 1e9;
    double moved = (double)(now->bytes_done - output->last.bytes_done);
    double average =
        now->elapsed_ns > 0 ? (double)now->bytes_done / ((double)now->elapsed_ns / 1e9) : 0;
    const char *limit = hawser_stage_name(now->limit);
    bool stalled = now->stalled_ns > 0;
    char rate[32], eta[48];

    eta_print(now, average, eta, sizeof(eta));
    cli_bytes_print(seconds > 0 && moved >= 0 ? moved / seconds : 0, rate, sizeof(rate));
    (void)snprintf(buf, size, "  %s/s%s%s%s", rate, eta,
                   stalled       ? "  "
                   : *limit != 0 ? "  limited by "
                                 : "",
                   stalled ? now->stall : limit);
}

static void progress_line(struct cli_output *output, const hawser_progress *now)
{
    char done[32], seen[32], files[32], speed[384] = "", line[512];
    struct winsize window = { 0 };
    int columns = LINE_COLUMNS, length;

    if (!now->paused)
        speed_print(output, now, speed, sizeof(speed));
    length = snprintf(line, sizeof(line), "%s%s of %s%s  %s files%s", now->paused ? "paused  " : "",
                      cli_bytes_print((double)now->bytes_done, done, sizeof(done)),
                      cli_bytes_print((double)now->bytes_seen, seen, sizeof(seen)),
                      now->walk_done ? "" : "+",
                      cli_count_print(now->files_done, files, sizeof(files)), speed);
    if (!output->tty) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1)
        columns = window.ws_col;
    if (length >= columns)
        line[columns - 1] = '\0';
    fprintf(stderr, "\r%s\033[K", line);
    output->live = true;
}

static void progress_show(struct cli_output *output, const hawser_progress *now)
{
    const struct cli_options *options = output->options;
    uint64_t pause = output->tty || options->json ? TTY_NS : LINE_NS;

    if (options->quiet || options->progress == CLI_PROGRESS_OFF)
        return;
    if (!options->json && !output->tty && options->progress != CLI_PROGRESS_ON)
        return;
    if (now->elapsed_ns < output->last.elapsed_ns) /* the next URL of a pull */
        output->last = (hawser_progress){ 0 };
    if (output->last.elapsed_ns > 0 && now->elapsed_ns - output->last.elapsed_ns < pause)
        return;
    if (options->json)
        cli_json_progress(now);
    else
        progress_line(output, now);
    output->last = *now;
}

/* ---- names ---- */

/* "hawser: PATH: what: why (what to do)" */
static void note_words(const struct cli_options *options, const hawser_event *event,
                       const char *kind)
{
    const char *why = event->code != 0 ? hawser_strerror(event->code) : "";
    const char *hint = cli_hint(options, event->code);
    char text[2048];

    hawser_escape(event->text, strlen(event->text), text, sizeof(text));
    fprintf(stderr, "hawser: %s%s", *event->path != '\0' ? safe(event->path) : ".", kind);
    if (*text != '\0' && strcmp(event->text, why) != 0)
        fprintf(stderr, ": %s", text);
    if (*why != '\0')
        fprintf(stderr, ": %s", why);
    if (hint != NULL)
        fprintf(stderr, " (%s)", hint);
    fputc('\n', stderr);
}

/* "missing PATH", "differs PATH: content, mtime" */
static void difference_show(struct cli_output *output, const hawser_event *event)
{
    char text[256];

    if (output->options->json) {
        cli_json_difference(event);
        return;
    }
    live_clear(output);
    if (output->options->quiet)
        return;
    hawser_escape(event->text, strnlen(event->text, sizeof(text) / 4 - 1), text, sizeof(text));
    printf("%s %s%s%s\n", cli_difference_name(event->note),
           *event->path != '\0' ? safe(event->path) : ".", *text != '\0' ? ": " : "", text);
}

static void note_show(struct cli_output *output, const hawser_event *event)
{
    const struct cli_options *options = output->options;
    bool failed = event->note == HAWSER_NOTE_FAILED;

    if (failed) {
        output->failed++;
        cli_failures_add(event->path);
        if (event->code == -ENOSPC || event->code == -EDQUOT) {
            output->full = true;
            output->full_code = event->code;
        }
        if (hawser_error_class(event->code) == HAWSER_CLASS_INTEGRITY)
            output->damaged = true;
    }
    if (options->command == CLI_VERIFY && event->note >= HAWSER_NOTE_CREATED) {
        difference_show(output, event);
        return;
    }
    if (options->json)
        cli_json_note(event);
    live_clear(output);
    if (failed)
        note_words(options, event, "");
    else if (event->note == HAWSER_NOTE_SKIPPED || event->note == HAWSER_NOTE_WARNING) {
        if (!options->quiet)
            note_words(options, event,
                       event->note == HAWSER_NOTE_SKIPPED ? ": skipped" : ": warning");
    } else if (options->verbose > 0 && !options->json && !options->quiet) {
        printf("%s %s\n", cli_note_name(event->note), *event->path ? safe(event->path) : ".");
    }
}

/* "hawser: why: trying again in 1.3 s (retry 2, 3 more without progress)" */
static void retry_show(struct cli_output *output, const hawser_event *event)
{
    const char *why = hawser_strerror(event->code);
    char text[1024];

    /* The next attempt meets the same files again. */
    output->failed = 0;
    cli_failures_forget();
    output->full = output->damaged = false;
    output->last = (hawser_progress){ 0 };
    live_clear(output);
    if (output->options->json)
        cli_json_retry(event);
    if (output->options->quiet)
        return;
    hawser_escape(event->text, strnlen(event->text, sizeof(text) / 4 - 1), text, sizeof(text));
    fprintf(stderr, "hawser: %s%s%s: trying again in %.1f s (retry %u, %u more without progress)\n",
            why, *text != '\0' && strcmp(event->text, why) != 0 ? ": " : "",
            strcmp(event->text, why) != 0 ? text : "", (double)event->pause_ns / 1e9, event->retry,
            event->retries_left);
}

/* "hawser: no byte comes for 3.0 s, waiting for HOST:PORT (stream 3)". On a terminal the live line
 * says it, ten times a second. */
static void stall_show(struct cli_output *output, const hawser_event *event)
{
    const struct cli_options *options = output->options;
    double seconds = (double)event->stalled_ns / 1e9;

    if (options->json)
        cli_json_stall(event);
    if (options->quiet || output->live)
        return;
    if (*event->text != '\0')
        fprintf(stderr, "hawser: %s\n", event->text);
    else
        fprintf(stderr, "hawser: the stall of %.1f s is over\n", seconds);
}

static void state_show(struct cli_output *output, const hawser_event *event)
{
    static const char *const words[] = {
        [HAWSER_STATE_RUNNING] = "going on",
        [HAWSER_STATE_PAUSED] = "paused",
        [HAWSER_STATE_STOPPING] = ("stopping, when what is on its way has arrived (interrupt it "
                                   "again to end at once)"),
    };

    live_clear(output);
    output->last.elapsed_ns = 0; /* the next line of progress comes at once */
    if (output->options->json)
        cli_json_state(event->state);
    if (!output->options->quiet)
        fprintf(stderr, "hawser: %s\n", words[event->state]);
}

void cli_output_event(void *context, const hawser_event *event)
{
    struct cli_output *output = context;
    char export_name[4 * HAWSER_NAME_MAX + 1];

    cli_control_event(event);
    switch (event->kind) {
    case HAWSER_EVENT_OPENED:
        if (output->options->verbose > 0 && !output->options->quiet) {
            hawser_escape(event->export_name, strlen(event->export_name), export_name,
                          sizeof(export_name));
            fprintf(stderr, "hawser: connected to %s, export %s\n", event->peer, export_name);
        }
        break;
    case HAWSER_EVENT_PROGRESS:
        progress_show(output, event->progress);
        break;
    case HAWSER_EVENT_NOTE:
        note_show(output, event);
        break;
    case HAWSER_EVENT_RETRY:
        retry_show(output, event);
        break;
    case HAWSER_EVENT_STALL:
        stall_show(output, event);
        break;
    case HAWSER_EVENT_STATE:
        state_show(output, event);
        break;
    }
}

/* ---- the end ---- */

static void summary_count(const char *what, uint64_t count)
{
    char text[32];

    if (count > 0)
        printf(", %s %s", cli_count_print(count, text, sizeof(text)), what);
}

/* What verify has to say. */
static void verify_summary(const struct cli_options *options, const hawser_stats *stats, int code)
{
    char differences[32], names[32], bytes[32], failed[32];
    double seconds = (double)stats->elapsed_ns / 1e9;

    if (code != 0)
        printf(code == HAWSER_E_PARTIAL ? "not complete: " : "ended early: ");
    printf("%s difference%s, %s names here, %s in files, %.2f s, digest %s, %s failed\n",
           cli_count_print(stats->differences, differences, sizeof(differences)),
           stats->differences == 1 ? "" : "s",
           cli_count_print(stats->entries_seen, names, sizeof(names)),
           cli_bytes_print((double)stats->bytes_seen, bytes, sizeof(bytes)), seconds,
           cli_digest_name(options->transfer.digest),
           cli_count_print(stats->failed, failed, sizeof(failed)));
}

/* What an end before its time leaves, or how files of one run differ; after success it is all said
 * by one word. */
static void summary_levels(const struct cli_options *options, const hawser_stats *stats, int code)
{
    char received[32], written[32], durable[32];

    if (code == 0 || stats->files_received == 0 || options->transfer.dry_run)
        return;
    printf(
        "of files that moved: %s durable, %s more have their names, %s more had arrived\n",
        cli_count_print(stats->files_durable, durable, sizeof(durable)),
        cli_count_print(stats->files_written - stats->files_durable, written, sizeof(written)),
        cli_count_print(stats->files_received - stats->files_written, received, sizeof(received)));
}

/* What an end before its time leaves for the next run. */
static void summary_left(const struct cli_options *options, const hawser_stats *stats, int code)
{
    uint64_t done = stats->files + stats->created + stats->touched + stats->unchanged;
    char left[32], seen[32], files[32], bytes[32];

    if (code == 0 || code == HAWSER_E_PARTIAL || options->transfer.dry_run)
        return;
    if (stats->entries_seen > done)
        printf("left: %s of the %s entries found so far\n",
               cli_count_print(stats->entries_seen - done, left, sizeof(left)),
               cli_count_print(stats->entries_seen, seen, sizeof(seen)));
    if (stats->kept_files > 0)
        printf("kept for the next run of the same command: %s of %s file%s that %s not complete\n",
               cli_bytes_print((double)stats->kept_bytes, bytes, sizeof(bytes)),
               cli_count_print(stats->kept_files, files, sizeof(files)),
               stats->kept_files == 1 ? "" : "s", stats->kept_files == 1 ? "is" : "are");
}

/* What an earlier run had left. */
static void summary_resumed(const hawser_stats *stats)
{
    char files[32], bytes[32];

    if (stats->resumed_files > 0)
        printf("resumed: %s file%s, %s kept of an earlier run\n",
               cli_count_print(stats->resumed_files, files, sizeof(files)),
               stats->resumed_files == 1 ? "" : "s",
               cli_bytes_print((double)stats->resumed_bytes, bytes, sizeof(bytes)));
}

static bool nothing_done(const hawser_stats *stats)
{
    return stats->files == 0 && stats->created == 0 && stats->touched == 0 && stats->deleted == 0;
}

/* How close it came: what each stage could have done alone, and how long the others waited for it.
 */
static void summary_stages(const hawser_stats *stats)
{
    double elapsed = (double)stats->elapsed_ns;
    char rate[32], line[64];

    if (stats->limit == HAWSER_STAGE_NONE || elapsed <= 0)
        return;
    printf("%-22s %14s  %s\n", "stage", "ceiling", "waited for");
    for (unsigned i = 1; i < HAWSER_STAGE_COUNT; i++) {
        const hawser_stage_time *stage = &stats->stages[i];
        double share = (double)stage->wait_ns / elapsed;

        if (stage->ceiling == 0 && share < 0.005)
            continue;
        cli_bytes_print((double)stage->ceiling, rate, sizeof(rate));
        (void)snprintf(line, sizeof(line), "%s/s", rate);
        printf("%-22s %14s %10.0f %%%s\n", hawser_stage_name((enum hawser_stage)i),
               stage->ceiling > 0 ? line : "-", 100 * (share < 1 ? share : 1),
               i == stats->limit ? "  <- limit" : "");
    }
}

/* What deltas saved, or why there were none. */
static void summary_delta(const struct cli_options *options, const hawser_stats *stats)
{
    char sent[32], copied[32], sums[32], files[32];

    if (options->verbose == 0 || stats->delta_why[0] == '\0')
        return;
    if (stats->delta_files + stats->delta_fallbacks == 0) {
        printf("deltas: %s (%s)\n", stats->delta ? "none" : "off", stats->delta_why);
        return;
    }
    printf("deltas: %s file%s, %s sent, %s were there, block sums %s",
           cli_count_print(stats->delta_files, files, sizeof(files)),
           stats->delta_files == 1 ? "" : "s",
           cli_bytes_print((double)stats->literal_bytes, sent, sizeof(sent)),
           cli_bytes_print((double)stats->copied_bytes, copied, sizeof(copied)),
           cli_bytes_print((double)stats->signature_bytes, sums, sizeof(sums)));
    summary_count("sent whole after all", stats->delta_fallbacks);
    printf(" (%s)\n", stats->delta_why);
}

void cli_output_summary(struct cli_output *output, const hawser_stats *stats, int code)
{
    const struct cli_options *options = output->options;
    bool differs = code == 0 && stats->differences > 0;
    double seconds = (double)stats->elapsed_ns / 1e9;
    char files[32], bytes[32], wire[32], rate[32], failed[32], seen[32];
    const char *level = options->transfer.dry_run || options->transfer.discard ? "nothing written"
                        : stats->durability == HAWSER_DURABILITY_DEFAULT /* see summary_levels() */
                            ? ""
                            : cli_durability_name(stats->durability);

    live_clear(output);
    fflush(stderr);
    if (options->json) {
        cli_json_summary(options, stats, code,
                         differs ? CLI_EXIT_PARTIAL : cli_exit_code(output, code));
        return;
    }
    if (options->quiet)
        return;
    if (options->verbose > 0)
        summary_stages(stats);
    if (options->command == CLI_VERIFY) {
        verify_summary(options, stats, code);
        return;
    }
    if (options->transfer.discard)
        printf("discarded, nothing was kept: ");
    else if (options->transfer.dry_run)
        printf("dry run, nothing was changed: ");
    else if (code == 0 && nothing_done(stats))
        printf("nothing to do, all is up to date (%s entries): ",
               cli_count_print(stats->unchanged, seen, sizeof(seen)));
    else if (code != 0)
        printf(code == HAWSER_E_PARTIAL ? "not complete: " : "ended early: ");
    printf("%s file%s, %s", cli_count_print(stats->files, files, sizeof(files)),
           stats->files == 1 ? "" : "s",
           cli_bytes_print((double)stats->bytes, bytes, sizeof(bytes)));
    summary_count("other names made", stats->created);
    summary_count("metadata only", stats->touched);
    summary_count("deleted", stats->deleted);
    printf(", wire %s, %.2f s, %s/s, digest %s%s%s, %s failed\n",
           cli_bytes_print((double)(stats->wire_sent + stats->wire_received), wire, sizeof(wire)),
           seconds,
           cli_bytes_print(seconds > 0 ? (double)stats->bytes / seconds : 0, rate, sizeof(rate)),
           cli_digest_name(options->transfer.digest), *level != '\0' ? ", " : "", level,
           cli_count_print(stats->failed, failed, sizeof(failed)));
    summary_levels(options, stats, code);
    summary_left(options, stats, code);
    if (options->verbose > 0 &&
        stats->disk_direct + stats->disk_uncached + stats->disk_buffered > 0)
        printf("large files here: %s direct, %s uncached, %s buffered\n",
               cli_bytes_print((double)stats->disk_direct, bytes, sizeof(bytes)),
               cli_bytes_print((double)stats->disk_uncached, wire, sizeof(wire)),
               cli_bytes_print((double)stats->disk_buffered, rate, sizeof(rate)));
    summary_delta(options, stats);
    if (stats->retries + stats->streams_lost > 0)
        printf("retries: %s, data connections lost: %s\n",
               cli_count_print(stats->retries, files, sizeof(files)),
               cli_count_print(stats->streams_lost, seen, sizeof(seen)));
    summary_resumed(stats);
    if (options->verbose > 0)
        cli_ahead_print(&stats->ahead);
    if (options->verbose > 0 && stats->zc_sent_bytes > 0)
        printf("zero-copy sends: %s, of which %s copied all the same, %s downgraded\n",
               cli_bytes_print((double)stats->zc_sent_bytes, bytes, sizeof(bytes)),
               cli_bytes_print((double)stats->zc_copied_bytes, wire, sizeof(wire)),
               cli_count_print(stats->zc_downgrades, files, sizeof(files)));
}

void cli_error(struct cli_output *output, int code, const char *message)
{
    live_clear(output);
    if (output->options->json)
        cli_json_error(NULL, code, *message != '\0' ? message : hawser_strerror(code));
    cli_error_print(output->options, code, message);
}

void cli_error_print(const struct cli_options *options, int code, const char *message)
{
    const char *why = hawser_strerror(code);
    const char *hint = cli_hint(options, code);
    char text[4096];

    hawser_escape(message, strlen(message), text, sizeof(text));
    if (*message == '\0')
        fprintf(stderr, "hawser: %s", why);
    else if (strstr(message, why) != NULL)
        fprintf(stderr, "hawser: %s", text);
    else
        fprintf(stderr, "hawser: %s: %s", text, why);
    if (hint != NULL)
        fprintf(stderr, " (%s)", hint);
    fputc('\n', stderr);
}
