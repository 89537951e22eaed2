/* The session of a run: what the client asks for, and what both sides tell of it. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hash/digest.h"
#include "tests/sim/fs.h"
#include "tests/sim/run.h"
#include "transfer/net/zerocopy.h"
#include "transfer/tree/fileio.h"

/* Mostly direct, where the file system of that host can: there is more to go wrong. */
uint8_t sim_session_io(const struct run *run, unsigned host)
{
    static const uint8_t io[] = { HSR_IO_DIRECT, HSR_IO_AUTO, HSR_IO_BUFFERED, HSR_IO_DIRECT };

    return io[(run->job->seed + host) % HSR_ARRAY_COUNT(io)];
}

/* Two of three; AUTO finds no device here. */
uint8_t sim_session_zero_copy(const struct run *run, unsigned host)
{
    static const uint8_t modes[] = { HSR_ZC_ON, HSR_ZC_ON, HSR_ZC_AUTO };

    return modes[(run->job->seed + host) % HSR_ARRAY_COUNT(modes)];
}

/* ---- what is told ---- */

static void event_trace(const struct run *run, const struct side *side,
                        const struct hsr_event *event)
{
    static const char *const names[HSR_EVENT_COUNT] = { "accepted", "refused", "opened", "progress",
                                                        "note",     "closed",  "entry",  "digest" };

    if (run->world->trace == NULL || event->kind == HSR_EVENT_PROGRESS)
        return;
    fprintf(run->world->trace, "%12.6f %s   EVENT  %s: %s \"%s\" %s\n",
            (double)run->world->now_ns / 1e9, side->host == SIM_SERVER ? "server" : "client",
            names[event->kind] != NULL ? names[event->kind] : "?",
            event->code != 0 ? hsr_err_name(event->code) : "",
            event->path != NULL ? event->path : "", event->text != NULL ? event->text : "");
}

/* A benchmark that says it went well has moved all, and both sides saw the same. */
static void event_bench(struct run *run, const struct hsr_event *event)
{
    const struct hsr_bench_report *report = event->report;
    uint64_t bytes = run->job->scenario->bench_bytes;

    if (event->code == 0 &&
        (report == NULL || report->ours.bytes != bytes || report->theirs.bytes != bytes))
        sim_violation(run->world, "a benchmark of %llu bytes has other figures",
                      (unsigned long long)bytes);
}

/* A dry run between the trees of a scenario, which differ, says so. */
static void event_dry(struct run *run, const struct hsr_event *event)
{
    const struct hsr_totals *totals = event->totals;

    if (event->code == 0 && run->job->scenario->forest == NULL &&
        (totals->files == 0 || totals->created == 0 || totals->deleted == 0))
        sim_violation(run->world, "a dry run found %llu files, %llu others, %llu to delete",
                      (unsigned long long)totals->files, (unsigned long long)totals->created,
                      (unsigned long long)totals->deleted);
}

static void file_count(void *context, const char *path, struct sim_inode *dir,
                       struct sim_name *entry)
{
    uint64_t *count = context;

    (void)path;
    (void)dir;
    *count += S_ISREG(entry->inode->live.attrs.mode);
}

static void file_bytes(void *context, const char *path, struct sim_inode *dir,
                       struct sim_name *entry)
{
    uint64_t *bytes = context;

    (void)path;
    (void)dir;
    *bytes += entry->inode->live.data.size;
}

/* Names and digests: all of them, each once. */
static void event_told(struct run *run, const struct hsr_event *event)
{
    struct sim_host *host = &run->world->hosts[run->source];
    uint64_t files = 0;

    if (event->code != 0 || run->report->failures > 0)
        return;
    sim_tree_visit(host, SIM_DATA, file_count, &files);
    if (run->job->scenario->list && run->entries != sim_find(host, SIM_DATA)->live.names.count)
        sim_violation(run->world, "%llu names were listed", (unsigned long long)run->entries);
    if (run->job->scenario->digests && run->digests != files)
        sim_violation(run->world, "%llu digests of %llu files", (unsigned long long)run->digests,
                      (unsigned long long)files);
}

/* A digest is that of the content, whoever was asked for it. */
static void event_digest(struct run *run, const struct hsr_event *event)
{
    const struct sim_scenario *scenario = run->job->scenario;
    enum hsr_digest_kind kind = scenario->blake3 ? HSR_DIGEST_BLAKE3 : HSR_DIGEST_XXH3;
    uint8_t digest[HSR_DIGEST_SIZE_MAX];
    struct sim_inode *inode;
    char path[1024];
    uint8_t *bytes;

    run->digests++;
    (void)snprintf(path, sizeof(path), SIM_DATA "/%s", event->path);
    inode = sim_find(&run->world->hosts[run->source], path);
    if (run->outcome.touched)
        return; /* it may have been another one then */
    if (inode == NULL || inode->live.data.size != event->size) {
        sim_violation(run->world, "a digest of \"%s\", which is not there", event->path);
        return;
    }
    bytes = malloc(event->size + 1);
    hsr_assert(bytes != NULL);
    (void)sim_data_read(&inode->live.data, bytes, event->size, 0);
    hsr_digest_bytes(kind, bytes, event->size, HSR_DIGEST_LEAF_SIZE, digest);
    if (memcmp(digest, event->digest, hsr_digest_size(kind)) != 0)
        sim_violation(run->world, "a wrong digest of \"%s\"", event->path);
    free(bytes);
}

/* What an earlier session has left at the target does not travel again. */
static void event_progress(struct run *run, const struct hsr_event *event)
{
    const struct hsr_progress *progress = event->progress;
    uint64_t wire = progress->wire_sent + progress->wire_received, size = 0;

    run->report->ahead_hits = progress->ahead.hits;
    run->report->resumed += progress->resumed_bytes;
    if (run->unread && progress->resumed_bytes > 0)
        sim_violation(run->world, "%llu bytes were taken for good without having been read again",
                      (unsigned long long)progress->resumed_bytes);
    if (event->code == HSR_E_CANCELED)
        run->report->left = progress->left_bytes;
    if (run->spared && progress->resumed_bytes < run->report->left && !run->job->scenario->delta &&
        run->report->rots == 0 && !run->unread)
        sim_violation(run->world, "%llu bytes were said to be kept, and %llu were",
                      (unsigned long long)run->report->left,
                      (unsigned long long)progress->resumed_bytes);
    sim_tree_visit(&run->world->hosts[run->source], SIM_DATA, file_bytes, &size);
    if (run->spared && progress->resumed_bytes > 0 && run->job->scenario->resume &&
        wire + progress->resumed_bytes > size + size / 16)
        sim_violation(run->world, "%llu of %llu bytes were there, and %llu travelled",
                      (unsigned long long)progress->resumed_bytes, (unsigned long long)size,
                      (unsigned long long)wire);
}

static void event_closed(struct run *run, const struct hsr_event *event)
{
    const struct sim_scenario *scenario = run->job->scenario;

    if (run->closed)
        sim_violation(run->world, "the session closed twice");
    run->closed = true;
    run->report->code = event->code;
    run->durability = event->durability;
    if (event->progress != NULL)
        event_progress(run, event);
    if (scenario->dry || scenario->bench_bytes > 0)
        run->durability = HSR_DURABILITY_DURABLE; /* nothing was to be kept */
    if (scenario->bench_bytes > 0)
        event_bench(run, event);
    else if (scenario->list || scenario->digests)
        event_told(run, event);
    else if (scenario->dry)
        event_dry(run, event);
    if (event->totals != NULL && event->totals->failed > 0 && event->code == 0)
        sim_violation(run->world, "%llu paths failed and the session says success",
                      (unsigned long long)event->totals->failed);
}

/* A plan with no more memory than it needs has none to read again what was kept (--verify-resume):
 * the user is told, and all of it travels anew. */
static bool session_unread(const struct run *run, const struct hsr_event *event)
{
    const struct sim_scenario *scenario = run->job->scenario;

    return scenario->reread && scenario->tight && event->note == HSR_NOTE_WARNING &&
           event->code == HSR_E_MEMORY_BOUND;
}

void sim_session_event(void *context, const struct hsr_event *event)
{
    struct side *side = context;
    struct run *run = side->run;

    if (run->world->hosts[side->host].dead)
        return; /* nobody hears it */
    event_trace(run, side, event);
    if (side->host != SIM_CLIENT)
        return;
    if (event->kind == HSR_EVENT_NOTE) {
        run->report->failures += event->note == HSR_NOTE_FAILED;
        run->unread |= session_unread(run, event);
        run->report->warnings += event->note == HSR_NOTE_WARNING && !session_unread(run, event);
    }
    run->entries += event->kind == HSR_EVENT_ENTRY;
    if (event->kind == HSR_EVENT_DIGEST)
        event_digest(run, event);
    if (event->kind == HSR_EVENT_CLOSED)
        event_closed(run, event);
}

/* ---- what is asked for ---- */

static uint32_t session_options(const struct sim_scenario *scenario)
{
    if (scenario->digests)
        return HSR_OPT_DRY_RUN | HSR_OPT_NO_HARD_LINKS | HSR_OPT_NO_XATTRS;
    if (scenario->verify)
        return HSR_OPT_VERIFY | HSR_OPT_DRY_RUN | HSR_OPT_CHECKSUM | HSR_OPT_NAMES | HSR_OPT_DELETE;
    return (scenario->delete ? HSR_OPT_DELETE : 0) | (scenario->checksum ? HSR_OPT_CHECKSUM : 0) |
           (scenario->dry ? HSR_OPT_DRY_RUN : 0) | (scenario->inplace ? HSR_OPT_INPLACE : 0) |
           (scenario->reread ? HSR_OPT_VERIFY_RESUME : 0) |
           (scenario->ahead ? HSR_OPT_AHEAD_ON : 0);
}

/* Only names, or no trees at all. */
static void session_other(const struct sim_scenario *scenario, struct hsr_job_spec *spec)
{
    if (scenario->list) {
        spec->list = true;
        spec->target_fd = -1;
        spec->paths = NULL;
        spec->path_count = 0;
        spec->options = 0;
    }
    if (scenario->bench_bytes > 0) {
        spec->benching = true;
        spec->options = 0;
        spec->bench = (struct hsr_bench_ask){ .role = spec->role,
                                              .streams = scenario->streams,
                                              .depth = SIM_DEPTH,
                                              .chunk = SIM_CHUNK,
                                              .time_ns = SIM_LIMIT_NS,
                                              .bytes = scenario->bench_bytes };
    }
}

bool sim_session_ask(struct run *run)
{
    const struct sim_scenario *scenario = run->job->scenario;
    bool pull = run->job->pull;
    struct hsr_job_spec spec = { .address_size = sizeof(run->address),
                                 .role = pull ? HSR_ROLE_TARGET : HSR_ROLE_SOURCE,
                                 .export_name = "data",
                                 .path = "",
                                 .digest = scenario->blake3 ? HSR_DIGEST_BLAKE3 : HSR_DIGEST_XXH3,
                                 .durability = HSR_DURABILITY_DURABLE,
                                 .io = sim_session_io(run, SIM_CLIENT),
                                 .zero_copy = sim_session_zero_copy(run, SIM_CLIENT),
                                 .streams = scenario->streams,
                                 .depth = SIM_DEPTH,
                                 .chunk = SIM_CHUNK,
                                 .delete_max = UINT64_MAX,
                                 .tops = &run->top,
                                 .top_count = pull ? 0 : 1,
                                 .paths = &run->all,
                                 .path_count = pull ? 1 : 0,
                                 .target_fd = pull ? run->client_fd : -1,
                                 .summing = scenario->digests,
                                 .options = session_options(scenario),
                                 .delta = scenario->delta ? HSR_DELTA_ON : HSR_DELTA_OFF };
    int rc;

    spec.job[0] = 1; /* the same in every attempt */
    spec.attempt = ++run->attempts;
    memcpy(&spec.address, &run->address, sizeof(run->address));
    if (scenario->digests)
        spec.target_fd = run->nothing_fd;
    if (scenario->digests && !pull)
        spec.address_size = 0; /* of our own, without a connection */
    if (scenario->verify && pull)
        spec.options &= ~(uint32_t)(HSR_OPT_VERIFY | HSR_OPT_NAMES);
    session_other(scenario, &spec);
    run->top = (struct hsr_walk_top){ .base_fd = run->client_fd, .contents = true };
    run->all = (struct hsr_span){ .ptr = (const uint8_t *)"" };
    run->closed = false;
    run->entries = run->digests = 0;
    run->unread = false;
    run->report->code = 0;
    run->report->failures = run->report->warnings = 0;
    rc = hsr_engine_run(run->sides[SIM_CLIENT].engine, &spec);
    if (rc < 0) { /* refused before it began */
        run->closed = true;
        run->report->code = rc;
    }
    return rc == 0;
}
