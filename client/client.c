/* A client: an engine made from the caller's options, its sessions run one at a time, its events
 * turned into the caller's. */
#include "client/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/attempts.h"
#include "ring/backend.h"
#include "ring/boot.h"

#define CLIENT_NAMES_SIZE                                                                          \
    (HSR_NAME_MAX + 1 + HSR_LINK_TARGET_MAX + 1 + HSR_XATTR_TOTAL_MAX + HSR_XATTR_COUNT_MAX)

static void client_event(void *context, const struct hsr_event *event);
static int client_check(const struct hawser_client_opts *opts, char *why, size_t why_size);
static int client_engine(struct hawser_client *client, const struct hawser_client_opts *opts,
                         char *why, size_t why_size);

int hsr_client_opts_copy(void *ret_opts, size_t ours, const void *theirs)
{
    size_t size;

    memset(ret_opts, 0, ours);
    if (theirs == NULL)
        return 0;
    memcpy(&size, theirs, sizeof(size));
    hsr_require(size >= sizeof(size), HSR_E_USAGE);
    memcpy(ret_opts, theirs, HSR_MIN(size, ours));
    /* A newer caller may hand us fields we do not know, as long as it leaves them zero. */
    for (size_t i = ours; i < size; i++)
        hsr_require(((const uint8_t *)theirs)[i] == 0, HSR_E_USAGE);
    return 0;
}

int hawser_client_open(const hawser_client_opts *opts, hawser_client **ret_client, char *why,
                       size_t why_size)
{
    struct hawser_client_opts ours;
    struct hawser_client *client;
    pthread_condattr_t monotonic;
    char words[512] = "";
    int rc;

    if (why == NULL || why_size == 0) {
        why = words;
        why_size = sizeof(words);
    }
    why[0] = '\0';
    hsr_require(ret_client != NULL, HSR_E_USAGE);
    rc = hsr_client_opts_copy(&ours, sizeof(ours), opts);
    if (rc == 0)
        rc = client_check(&ours, why, why_size);
    if (rc < 0)
        return rc;
    client = calloc(1, sizeof(*client));
    if (client == NULL)
        return -ENOMEM;
    client->connect_ns = ours.connect_timeout_ns;
    client->retries = ours.retries > 0 ? ours.retries : ATTEMPTS_RETRIES;
    if (ours.no_retries)
        client->retries = 0;
    client->retry_connect = ours.retry_connect;
    if (ours.congestion != NULL)
        memcpy(client->congestion, ours.congestion, strlen(ours.congestion)); /* it was checked */
    client->pinned = !ours.no_pin;
    client->names = malloc(CLIENT_NAMES_SIZE);
    /* These cannot fail: nothing is allocated for default mutexes and conditions on Linux. */
    (void)pthread_mutex_init(&client->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&client->closed_cond, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    rc = client->names != NULL ? client_engine(client, &ours, why, why_size) : -ENOMEM;
    if (rc < 0) {
        hawser_client_close(client);
        return rc;
    }
    *ret_client = client;
    return 0;
}

static int client_check(const struct hawser_client_opts *opts, char *why, size_t why_size)
{
    const char *wrong = NULL;

    if (opts->shards > HSR_SHARDS_MAX)
        wrong = "shards: 1 to 256";
    else if (opts->streams > HSR_STREAMS_MAX)
        wrong = "streams: 1 to 64";
    else if (opts->depth > HSR_DEPTH_MAX)
        wrong = "depth: 1 to 256 chunks";
    else if (opts->chunk > HSR_CHUNK_SIZE_MAX || opts->chunk % HSR_DIGEST_LEAF_SIZE != 0)
        wrong = "chunk: 64 KiB to 4 MiB, a multiple of 64 KiB";
    else if (opts->congestion != NULL &&
             hsr_congestion_name_check((struct hsr_span){ (const uint8_t *)opts->congestion,
                                                          strlen(opts->congestion) }) < 0)
        wrong = "congestion: auto, system, or a name such as cubic or bbr";
    if (wrong == NULL)
        return 0;
    (void)snprintf(why, why_size, "%s", wrong); /* cut when it does not fit */
    return HSR_E_USAGE;
}

/* Where the shards run. Looking for what is near takes longer than all the rest of the start: it is
 * done only if that can decide something. */
static int client_place(struct hawser_client *client, const struct hawser_client_opts *opts)
{
    struct hsr_device near[CLIENT_NEAR_MAX];
    struct hsr_place_request request = {
        .shards = opts->shards,
        .cpus_max = hsr_cgroup_cpus(""),
        .near = near,
    };

    if (opts->near_path != NULL && (request.shards > 0 || request.cpus_max > 0))
        request.near_count = hsr_paths_disks(opts->near_path, near, CLIENT_NEAR_MAX);
    return hsr_place_decide(&request, &client->placement);
}

static int client_engine(struct hawser_client *client, const struct hawser_client_opts *opts,
                         char *why, size_t why_size)
{
    struct hsr_plan_request request = {
        .measured = true, /* it may run benchmarks */
        .shards = opts->shards,
        .memory = opts->memory,
        .chunk = opts->chunk,
        .depth = opts->depth,
        .streams = opts->streams,
        .sessions = 1,
    };
    struct hsr_engine_config config = {
        .pin = !opts->no_pin,
        .handshake_ns = opts->connect_timeout_ns,
        .idle_ns = opts->idle_timeout_ns,
        .trace_fd = opts->trace_fd,
        .event = client_event,
        .context = client,
    };
    sigset_t all, before;
    int rc = client_place(client, opts);

    hsr_boot_id(config.boot);
    /* A smaller plan locks less memory: before giving up, try with half the shards, and so on. */
    for (unsigned shards = client->placement.count; rc == 0; shards /= 2) {
        client->placement.count = shards; /* the order stays: the first ones are still the best */
        request.shards = shards;
        rc = hsr_plan_make(&request, &client->placement, &client->plan, why, why_size);
        if (rc < 0)
            break;
        config.plan = client->plan;
        config.placement = client->placement;
        /* New threads inherit the mask: the caller's signals stay with the caller's threads. */
        sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = hsr_engine_create(&config, &client->engine, why, why_size);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (rc != HSR_E_MEMLOCK || shards <= 1)
            break;
        rc = 0;
    }
    return rc;
}

void hawser_client_close(hawser_client *client)
{
    if (client == NULL)
        return;
    hsr_engine_destroy(client->engine);
    (void)pthread_cond_destroy(&client->closed_cond); /* no thread is left to wait */
    (void)pthread_mutex_destroy(&client->lock);
    free(client->names);
    free(client);
}

void hawser_cancel(hawser_client *client)
{
    bool again;

    if (client == NULL)
        return;
    again = client->canceled != 0;
    client->canceled = 1;
    if (client->engine == NULL)
        return;
    if (again)
        hsr_engine_cancel_async(client->engine);
    else
        hsr_engine_control(client->engine, HSR_CONTROL_STOP);
}

void hawser_pause(hawser_client *client)
{
    if (client == NULL)
        return;
    client->paused = 1;
    if (client->engine != NULL)
        hsr_engine_control(client->engine, HSR_CONTROL_HOLD);
}

void hawser_resume(hawser_client *client)
{
    if (client == NULL)
        return;
    client->paused = 0;
    if (client->engine != NULL)
        hsr_engine_control(client->engine, HSR_CONTROL_GO);
}

void hawser_engine_info(const hawser_client *client, char *buf, size_t size)
{
    struct hsr_uring_features features;
    int at = 0;

    if (buf == NULL || size == 0)
        return;
    buf[0] = '\0';
    hsr_uring_probe(&features);
    if (client != NULL)
        at = snprintf(buf, size,
                      "%u shard%s, %u streams of %u chunks of %u KiB, plan %.1f MiB of %.1f MiB, "
                      "pages: %s; ",
                      client->plan.shards, client->plan.shards == 1 ? "" : "s",
                      client->plan.streams, client->plan.depth, client->plan.chunk / 1024,
                      (double)client->plan.total / (double)HSR_MIB,
                      (double)client->plan.memory / (double)HSR_MIB,
                      hsr_pages_name(hsr_engine_pages(client->engine)));
    if (at < 0 || (size_t)at >= size)
        return;
    (void)snprintf(buf + at, size - (size_t)at, "io_uring uses: %s; without: %s", /* cut if long */
                   features.used[0] != '\0' ? features.used : "nothing",
                   features.missing[0] != '\0' ? features.missing : "nothing");
}

/* ---- events: on shard threads ---- */

static void event_progress(struct hawser_client *client, const struct hsr_event *event)
{
    const struct hsr_progress *from = event->progress;
    struct hawser_progress progress = {
        .entries_seen = from->entries_seen,
        .files_seen = from->files_seen,
        .bytes_seen = from->bytes_seen,
        .files_done = from->files_done,
        .entries_done = from->entries_done,
        .bytes_done = from->bytes_done,
        .wire_sent = from->wire_sent,
        .wire_received = from->wire_received,
        .elapsed_ns = from->elapsed_ns,
        .walk_done = from->walk_done,
        .stalled_ns = from->stall_ns,
        .stall = from->stall,
        .paused = from->held,
    };
    struct hawser_event ours = {
        .kind = HAWSER_EVENT_PROGRESS, .path = "", .text = "", .progress = &progress
    };

    progress.limit = hsr_client_stages(&from->verdict, progress.stages);
    if (client->event != NULL)
        client->event(client->context, &ours);
    if (client->sample != NULL)
        hsr_client_sample(client, from->elapsed_ns, from->bytes_done);
}

static void event_words(struct hawser_client *client, const struct hsr_event *event)
{
    struct hawser_event ours = {
        .kind = event->kind == HSR_EVENT_OPENED ? HAWSER_EVENT_OPENED : HAWSER_EVENT_NOTE,
        .note = (enum hawser_note)event->note,
        .code = event->code,
        .peer = event->peer != NULL ? event->peer : "",
        .export_name = event->export_name != NULL ? event->export_name : "",
        .path = event->path != NULL ? event->path : "",
        .text = event->text != NULL ? event->text : "",
        .bytes = event->size,
    };

    if (client->event != NULL)
        client->event(client->context, &ours);
}

static void event_stall(struct hawser_client *client, const struct hsr_event *event)
{
    struct hawser_event ours = {
        .kind = HAWSER_EVENT_STALL, .path = "", .text = event->text, .stalled_ns = event->size
    };

    if (client->event != NULL)
        client->event(client->context, &ours);
}

_Static_assert((int)HAWSER_STATE_PAUSED == (int)HSR_HOLD_HELD, "the same states");
_Static_assert((int)HAWSER_STATE_STOPPING == (int)HSR_HOLD_STOPPING, "the same states");

static void event_state(struct hawser_client *client, const struct hsr_event *event)
{
    struct hawser_event ours = {
        .kind = HAWSER_EVENT_STATE, .path = "", .text = "", .state = (enum hawser_state)event->hold
    };

    if (client->event != NULL)
        client->event(client->context, &ours);
}

static uint32_t entry_mode(const struct hsr_entry *entry)
{
    static const uint32_t types[HSR_ENTRY_TYPE_COUNT] = {
        [HSR_ENTRY_FILE] = S_IFREG,    [HSR_ENTRY_DIR] = S_IFDIR,     [HSR_ENTRY_SYMLINK] = S_IFLNK,
        [HSR_ENTRY_FIFO] = S_IFIFO,    [HSR_ENTRY_CHAR] = S_IFCHR,    [HSR_ENTRY_BLOCK] = S_IFBLK,
        [HSR_ENTRY_SOCKET] = S_IFSOCK, [HSR_ENTRY_DIR_END] = S_IFDIR,
    };

    return types[entry->type] | entry->mode;
}

/* Copy with a NUL behind it into the room for names, and move on. The decoder's limits keep the sum
 * within that room. */
static const char *entry_text(char **at, struct hsr_span span)
{
    char *text = *at;

    if (span.size > 0)
        memcpy(text, span.ptr, span.size);
    text[span.size] = '\0';
    *at += span.size + 1;
    return text;
}

static void event_entry(struct hawser_client *client, const struct hsr_entry *from)
{
    struct hsr_reader reader = hsr_reader_init(from->xattrs.ptr, from->xattrs.size);
    struct hawser_entry entry = {
        .mode = entry_mode(from),
        .uid = from->uid,
        .gid = from->gid,
        .bytes = from->size,
        .mtime_s = from->mtime_s,
        .mtime_ns = from->mtime_ns,
        .rdev_major = from->rdev_major,
        .rdev_minor = from->rdev_minor,
        .xattrs = client->xattrs,
        .sparse = (from->flags & HSR_ENTRY_SPARSE) != 0,
    };
    struct hsr_xattr xattr;
    char *at = client->names;

    if (client->probing) {
        client->list_found = true;
        client->list_mode = entry.mode;
        return;
    }
    hsr_assert(from->name.size <= HSR_NAME_MAX && from->target.size <= HSR_LINK_TARGET_MAX);
    entry.name = entry_text(&at, from->name);
    entry.link_target = entry_text(&at, from->target);
    while (entry.xattr_count < HSR_XATTR_COUNT_MAX && hsr_xattr_next(&reader, &xattr) == 1) {
        struct hawser_xattr *ours = &client->xattrs[entry.xattr_count++];

        hsr_assert((size_t)(at - client->names) + xattr.name.size < CLIENT_NAMES_SIZE);
        ours->name = entry_text(&at, xattr.name);
        ours->value = xattr.value.ptr;
        ours->value_size = xattr.value.size;
    }
    client->entry(client->context, &entry);
}

static void event_closed(struct hawser_client *client, const struct hsr_event *event)
{
    client->code = event->code;
    (void)snprintf(client->text, sizeof(client->text), "%s", /* cut: the start says it */
                   event->text != NULL ? event->text : "");
    if (event->progress != NULL)
        client->progress = *event->progress;
    if (event->totals != NULL)
        client->totals = *event->totals;
    client->durability = event->durability;
    if (event->report != NULL)
        client->report = *event->report;
    if (event->measures != NULL)
        client->measures = *event->measures;
    client->closed = true;
    (void)pthread_cond_signal(&client->closed_cond); /* cannot fail on an initialised one */
}

static void client_event(void *context, const struct hsr_event *event)
{
    struct hawser_client *client = context;

    (void)pthread_mutex_lock(&client->lock); /* default kind: cannot fail */
    switch (event->kind) {
    case HSR_EVENT_OPENED:
        client->opened = true;
        event_words(client, event);
        break;
    case HSR_EVENT_PROGRESS:
        event_progress(client, event);
        break;
    case HSR_EVENT_STALL:
        event_stall(client, event);
        break;
    case HSR_EVENT_HOLD:
        event_state(client, event);
        break;
    case HSR_EVENT_NOTE:
        if (event->note == HSR_NOTE_FAILED)
            client->failed++;
        client->told |= event->note >= HSR_NOTE_CREATED;
        event_words(client, event);
        break;
    case HSR_EVENT_ENTRY:
        client->told = !client->probing;
        if (event->entry->type != HSR_ENTRY_DIR_END)
            event_entry(client, event->entry);
        break;
    case HSR_EVENT_DIGEST:
        client->told = true;
        if (client->digest != NULL)
            client->digest(client->digest_context,
                           &(struct hawser_digest_value){ .path = event->path,
                                                          .bytes = event->size,
                                                          .digest = event->digest,
                                                          .digest_size = client->digest_size });
        break;
    case HSR_EVENT_CLOSED:
        event_closed(client, event);
        break;
    default: /* the server's events */
        break;
    }
    (void)pthread_mutex_unlock(&client->lock);
}

/* ---- sessions ---- */

void hsr_client_begin(struct hawser_client *client, hawser_event_fn *event, hawser_entry_fn *entry,
                      void *context)
{
    client->message[0] = '\0';
    client->carried = (hawser_stats){ 0 };
    client->event = event;
    client->sample = NULL;
    client->entry = entry;
    client->context = context;
}

void hsr_client_note_failed(struct hawser_client *client, const char *path, int code,
                            const char *text)
{
    struct hawser_event event = { .kind = HAWSER_EVENT_NOTE,
                                  .note = HAWSER_NOTE_FAILED,
                                  .code = code,
                                  .path = path,
                                  .text = text };

    if (client->event != NULL)
        client->event(client->context, &event);
}
