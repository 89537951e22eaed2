/* Where every byte of the budget goes, decided once at start. What is enforced later is what is
 * counted here: buffers by the pool, connections by the acceptor, sessions by OPEN, pages by the
 * protocol, links by their table. */
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring/buf.h"
#include "transfer/engine/crew.h"
#include "transfer/engine/reader.h"
#include "transfer/engine/source.h"
#include "transfer/engine/stream.h"
#include "transfer/engine/tally.h"
#include "transfer/engine/target.h"

/* Measured with a 3 GiB file in huge pages, loopback, two shards a side, GB/s (CPU s/GB), best of
 * 7: 256 KiB x 4 4.7 (0.40), 512 KiB x 4 6.2 (0.29), 1 MiB x 2 7.0 (0.26), 1 MiB x 4 7.1 (0.28),
 * 1 MiB x 8 4.7 (0.33), 2 MiB x 4 5.0 (0.28): what a shard has in flight should fit its cache, and
 * a disk wants four requests of 1 MiB. */
#define CLIENT_CHUNK (1024u * 1024)
#define CLIENT_DEPTH 4u
#define CLIENT_SPARE 2u /* buffers per shard beside the streams': nobody waits at a hand-over */
#define CLIENT_MEMORY (128 * HSR_MIB)
#define CLIENT_SHARD_MEMORY (8 * HSR_MIB) /* large machines get at least this for each shard */
#define SERVER_CHUNK (1024u * 1024)
#define SERVER_DEPTH 16u
#define SERVER_STREAMS 16u
#define SERVER_SESSIONS 64u
#define SERVER_MEMORY HSR_GIB
#define SERVER_SHARD_MEMORY (64 * HSR_MIB)

#define SESSION_CONNECTIONS 5u /* a session's usual share: its control connection, four streams */
#define CONNECTIONS_SPARE 4u /* per shard, in handshake or listing */
/* Two timers each, out of HSR_TIMERS_MAX of a loop; the rest is for sessions and listeners. */
#define CONNECTIONS_MAX 1536u
#define BUFFERS_MAX 16384u /* what a pool can hold and register */

#define PAGE_BYTES                                                                                 \
    (HSR_CONTROL_PAYLOAD_MAX + 56 * HSR_KIB) /* a page, its entries' records and ends */
#define WALK_BYTES (HSR_MIB + 256 * HSR_KIB) /* directories being read, extended attributes */
#define RULES_BYTES (2 * (size_t)HSR_RULES_SIZE_MAX) /* filter rules, as sent and compiled */
#define LISTING_BYTES (512 * HSR_KIB) /* a walk of one level, and a path */
#define FILE_BYTES                                                                                 \
    (HSR_KIB + HSR_TALLY_NODES * sizeof(struct hsr_digest_node)) /* a large one at a source */
#define WORKS_MAX 4u /* lent to one stream at a time, with their members */
#define RING_BYTES                                                                                 \
    (160 * HSR_KIB) /* 256 entries and four times that of completions, rounded up                  \
                     */
#define LINKS_MIN HSR_MIB
#define LINKS_MAX (32 * HSR_MIB)
#define DELTA_MIN HSR_MIB
#define STAGED_MIN 32u /* as few as that still make a group */
#define STAGED_MAX 65536u /* eight sessions with all they can use */

_Static_assert(2 * CONNECTIONS_MAX + HSR_SESSIONS_MAX <= HSR_TIMERS_MAX, "every timer has a place");

struct plan_words {
    char *text;
    size_t size;
};

static int plan_shape(const struct hsr_plan_request *request, const struct hsr_placement *placement,
                      struct hsr_plan *plan, struct plan_words *why);
static void plan_consumers(const struct hsr_plan_request *request, struct hsr_plan *plan);
static int plan_fit_client(const struct hsr_plan_request *request, struct hsr_plan *plan);
static int plan_fit_server(const struct hsr_plan_request *request, struct hsr_plan *plan);
static bool plan_shrink(const struct hsr_plan_request *request, struct hsr_plan *plan);
static bool plan_fits(struct hsr_plan *plan);
static void plan_refuse(const struct hsr_plan *plan, bool server, struct plan_words *why);
static uint64_t plan_sum(const struct hsr_plan *plan);
static void plan_buffers_set(struct hsr_plan *plan, uint32_t buffers);
static void plan_sessions_set(struct hsr_plan *plan, uint32_t sessions);
static uint32_t plan_shard_streams(const struct hsr_plan *plan);
static bool plan_may_lock(uint64_t bytes);
static uint32_t plan_staged(void);
static void plan_say(struct plan_words *words, const char *format, ...) HSR_PRINTF(2, 3);

int hsr_plan_make(const struct hsr_plan_request *request, const struct hsr_placement *placement,
                  struct hsr_plan *ret_plan, char *why, size_t why_size)
{
    struct plan_words words = { why, why_size };
    struct hsr_plan plan;
    int rc;

    if (why_size > 0)
        why[0] = '\0';
    rc = plan_shape(request, placement, &plan, &words);
    if (rc < 0)
        return rc;
    do {
        rc = request->server ? plan_fit_server(request, &plan) : plan_fit_client(request, &plan);
    } while (rc < 0 && plan_shrink(request, &plan));
    if (rc < 0)
        plan_refuse(&plan, request->server, &words);
    if (rc < 0)
        return rc;
    plan.total = plan_sum(&plan);
    plan.register_buffers =
        plan_may_lock(plan.shards * HSR_MIN(plan.buffer_bytes, HSR_BUF_REGISTERED_MAX));
    plan.staged = plan_staged();
    hsr_assert(plan.total <= plan.memory);
    hsr_assert(plan.buffers >= 1 && plan.buffers <= BUFFERS_MAX);
    *ret_plan = plan;
    return 0;
}

/* What is asked for, with defaults in the gaps. */
static int plan_shape(const struct hsr_plan_request *request, const struct hsr_placement *placement,
                      struct hsr_plan *plan, struct plan_words *why)
{
    bool server = request->server;
    unsigned shards = request->shards > 0 ? request->shards : placement->count;
    uint64_t usual = server ? HSR_MAX(SERVER_MEMORY, shards * SERVER_SHARD_MEMORY)
                            : HSR_MAX(CLIENT_MEMORY, shards * CLIENT_SHARD_MEMORY);

    *plan = (struct hsr_plan){ .shards = shards };
    if (shards < 1 || shards > HSR_SHARDS_MAX) {
        plan_say(why, "%u shards: there can be 1 to %u", shards, HSR_SHARDS_MAX);
        return HSR_E_PLAN;
    }
    plan->memory = request->memory > 0 ? request->memory : usual;
    plan->chunk = request->chunk > 0 ? request->chunk : server ? SERVER_CHUNK : CLIENT_CHUNK;
    plan->depth = request->depth > 0 ? request->depth : server ? SERVER_DEPTH : CLIENT_DEPTH;
    plan->streams = request->streams > 0 ? request->streams
                    : server             ? SERVER_STREAMS
                                         : HSR_MIN(HSR_MAX(shards, 2u), HSR_STREAMS_MAX);
    if (plan->chunk < HSR_CHUNK_SIZE_MIN || plan->chunk > HSR_CHUNK_SIZE_MAX ||
        plan->chunk % HSR_CHUNK_SIZE_MIN != 0) {
        plan_say(why, "--chunk %u: it must be a multiple of %u from %u to %u", plan->chunk,
                 HSR_CHUNK_SIZE_MIN, HSR_CHUNK_SIZE_MIN, HSR_CHUNK_SIZE_MAX);
        return HSR_E_PLAN;
    }
    if (plan->depth > HSR_DEPTH_MAX || plan->streams > HSR_STREAMS_MAX) {
        plan_say(why, "--depth %u, --streams %u: there can be at most %u and %u", plan->depth,
                 plan->streams, HSR_DEPTH_MAX, HSR_STREAMS_MAX);
        return HSR_E_PLAN;
    }
    if (request->sessions > HSR_SESSIONS_MAX) {
        plan_say(why, "%u sessions: there can be at most %u", request->sessions, HSR_SESSIONS_MAX);
        return HSR_E_PLAN;
    }
    if ((uint64_t)plan_shard_streams(plan) * plan->depth + CLIENT_SPARE > BUFFERS_MAX) {
        plan_say(why,
                 "%u streams x %u chunks on one shard: a shard has at most %u buffers; lower "
                 "--depth or --streams",
                 plan_shard_streams(plan), plan->depth, BUFFERS_MAX);
        return HSR_E_PLAN;
    }
    return 0;
}

/* One line per consumer: what one of each costs. */
static void plan_consumers(const struct hsr_plan_request *request, struct hsr_plan *plan)
{
    /* a stream: its chunks, the members of a pack each may hold, what it lends and was lent */
    uint64_t stream = sizeof(struct hsr_stream) + sizeof(struct hsr_dircache) +
                      plan->depth * (sizeof(struct hsr_chunk) + HSR_CHUNK_TABLE_SIZE) +
                      (plan->depth + 2) * sizeof(struct hsr_intake) +
                      WORKS_MAX * (sizeof(struct hsr_work) +
                                   HSR_PACK_MEMBERS_MAX * (sizeof(struct hsr_source_member) +
                                                           sizeof(struct hsr_pack_member))) +
                      hsr_source_lane_bytes();

    if (request->measured)
        stream += hsr_measure_stream_bytes();
    /* a connection: one buffer in, two out; and it is a stream's, or lists, or controls a session
     */
    plan->connection_bytes = sizeof(struct hsr_conn) + 3 * (uint64_t)HSR_CONN_BUFFER_SIZE +
                             HSR_MAX(stream, LISTING_BYTES);
    /* a session: pages in flight, the walk, filter rules, large files in transit and their ends,
     * a target's old versions, what is kept for a later session, files that wait for a sync, and a
     * hand and a reader on each shard */
    plan->session_bytes =
        sizeof(struct hsr_session) + HSR_PAGES_MAX * PAGE_BYTES + WALK_BYTES + RULES_BYTES +
        HSR_MAX(HSR_FILES_MAX * (size_t)FILE_BYTES, hsr_target_files_bytes()) + HSR_TALLY_BUDGET +
        HSR_FILES_DIRECT_MAX * HSR_FILEIO_ALIGN_MAX + HSR_PATH_WIRE_MAX +
        hsr_crew_size(plan->shards) *
            (sizeof(struct hsr_hand) + HSR_MAX(hsr_source_hand_bytes(), hsr_target_hand_bytes()) +
             hsr_reader_hand_bytes()) +
        hsr_readers_bytes() + hsr_source_deltas_bytes() + hsr_target_bases_bytes() +
        hsr_target_journal_bytes() + hsr_target_groups_bytes();
    /* hard links seen, and names to keep when deleting: a share of the whole, per session */
    plan->links_bytes = plan->memory / (request->server ? 128 : 4);
    plan->links_bytes = HSR_MIN(HSR_MAX(plan->links_bytes, LINKS_MIN), LINKS_MAX);
    /* signatures of old versions: what does not fit is sent whole */
    plan->delta_bytes = HSR_MAX(plan->memory / 8, DELTA_MIN);
    /* a shard's loop: its ring and the heap of timers */
    plan->loop_bytes =
        RING_BYTES + (HSR_TIMERS_MAX + 1) * sizeof(void *) + sizeof(struct hsr_shard);
}

static int plan_fit_client(const struct hsr_plan_request *request, struct hsr_plan *plan)
{
    plan_consumers(request, plan);
    plan_sessions_set(plan, 1);
    plan->connections = plan_shard_streams(plan) + 1; /* it opens them where they belong */
    plan_buffers_set(plan, plan_shard_streams(plan) * plan->depth + CLIENT_SPARE);
    return plan_fits(plan) ? 0 : HSR_E_PLAN;
}

/* Sessions are reserved in the sum although their memory is touched on use only: so many fit beside
 * the smallest pool; what is left over then goes to the pool. */
static int plan_fit_server(const struct hsr_plan_request *request, struct hsr_plan *plan)
{
    uint32_t sessions = request->sessions > 0 ? request->sessions : SERVER_SESSIONS;
    uint32_t buffers = plan_shard_streams(plan) * plan->depth;
    uint64_t most, spare;

    plan_consumers(request, plan);
    plan_buffers_set(plan, buffers);
    plan_sessions_set(plan, sessions);
    while (request->sessions == 0 && plan->sessions > 1 && plan_sum(plan) > plan->memory)
        plan_sessions_set(plan, plan->sessions - 1);
    if (!plan_fits(plan))
        return HSR_E_PLAN;
    /* more than all streams of all sessions can fill would be of no use */
    most = HSR_MIN((uint64_t)buffers * plan->sessions, BUFFERS_MAX);
    spare = (plan->memory - plan_sum(plan)) / plan->shards / hsr_buf_stride(plan->chunk);
    plan_buffers_set(plan, (uint32_t)HSR_MIN(most, buffers + spare));
    return 0;
}

/* A small budget: defaults give way, what was asked for does not. Down to the measured sweet spot
 * first, then to two chunks per stream. False: nothing is left to give. */
static bool plan_shrink(const struct hsr_plan_request *request, struct hsr_plan *plan)
{
    const struct {
        bool asked;
        uint32_t *value;
        uint32_t least;
    } steps[] = {
        { request->chunk > 0, &plan->chunk, CLIENT_CHUNK },
        { request->depth > 0, &plan->depth, CLIENT_DEPTH },
        { request->streams > 0, &plan->streams, 4 },
        { request->depth > 0, &plan->depth, 2 },
        { request->chunk > 0, &plan->chunk, HSR_DIGEST_LEAF_SIZE },
        { request->streams > 0, &plan->streams, 1 },
    };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(steps); i++) {
        if (steps[i].asked || *steps[i].value <= steps[i].least)
            continue;
        *steps[i].value = HSR_MAX(*steps[i].value / 2, steps[i].least);
        return true;
    }
    return false;
}

/* Does it? Deltas give way first, then hard links: without room for them links become copies. */
static bool plan_fits(struct hsr_plan *plan)
{
    uint64_t share = plan->links_bytes, delta = plan->delta_bytes, over;

    if (plan_sum(plan) <= plan->memory)
        return true;
    plan->delta_bytes = DELTA_MIN;
    if (plan_sum(plan) <= plan->memory) {
        over = plan->memory - plan_sum(plan);
        plan->delta_bytes = HSR_MIN(DELTA_MIN + over, delta);
        return true;
    }
    plan->links_bytes = LINKS_MIN;
    if (plan_sum(plan) > plan->memory)
        return false;
    plan->links_bytes += (plan->memory - plan_sum(plan)) / plan->sessions;
    plan->links_bytes = HSR_MIN(plan->links_bytes, share);
    return true;
}

/* Words for somebody who has to choose: what needs how much, and what would help. */
static void plan_refuse(const struct hsr_plan *plan, bool server, struct plan_words *why)
{
    uint64_t need = plan_sum(plan);

    plan_say(
        why,
        "%llu MiB are needed and the budget is %llu MiB: %u shards x %u buffers of %u KiB are "
        "%llu MiB, %u connections %llu MiB, %u sessions %llu MiB; use --memory %lluM, or lower "
        "--depth, --chunk or --streams%s",
        (unsigned long long)(need / HSR_MIB + 1), (unsigned long long)(plan->memory / HSR_MIB),
        plan->shards, plan->buffers, plan->chunk / 1024,
        (unsigned long long)(plan->shards * plan->buffer_bytes / HSR_MIB),
        plan->shards * plan->connections,
        (unsigned long long)((uint64_t)plan->shards * plan->connections * plan->connection_bytes /
                             HSR_MIB),
        plan->sessions,
        (unsigned long long)(plan->sessions * (plan->session_bytes + plan->links_bytes) / HSR_MIB),
        (unsigned long long)(need / HSR_MIB + 1), server ? ", or the number of sessions" : "");
}

static uint64_t plan_sum(const struct hsr_plan *plan)
{
    uint64_t shard =
        plan->loop_bytes + plan->buffer_bytes + plan->connections * plan->connection_bytes;

    return plan->shards * shard + plan->sessions * (plan->session_bytes + plan->links_bytes) +
           plan->delta_bytes;
}

static void plan_buffers_set(struct hsr_plan *plan, uint32_t buffers)
{
    plan->buffers = buffers;
    plan->buffer_bytes = buffers * (uint64_t)hsr_buf_stride(plan->chunk);
}

static void plan_sessions_set(struct hsr_plan *plan, uint32_t sessions)
{
    uint32_t usual = (sessions * SESSION_CONNECTIONS + plan->shards - 1) / plan->shards;
    uint32_t least = plan->streams + 1; /* of one session may all be accepted by one shard */

    plan->sessions = sessions;
    plan->connections = HSR_MIN(HSR_MAX(usual, least) + CONNECTIONS_SPARE, CONNECTIONS_MAX);
}

/* Streams of one session are dealt to the shards in turn. */
static uint32_t plan_shard_streams(const struct hsr_plan *plan)
{
    return (plan->streams + plan->shards - 1) / plan->shards;
}

/* A hint only: the pool works without registration when the kernel says no all the same. */
static bool plan_may_lock(uint64_t bytes)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
    struct rlimit limit = { 0, 0 };

    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= bytes)
        return true;
    if (syscall(SYS_capget, &header, data) < 0)
        return false;
    return data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK);
}

/* Half of the descriptors: the other half is for connections, directories and large files. */
static uint32_t plan_staged(void)
{
    struct rlimit limit = { 0, 0 };

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return STAGED_MIN;
    return (uint32_t)HSR_MIN(HSR_MAX(limit.rlim_cur / 2, STAGED_MIN), STAGED_MAX);
}

static void plan_say(struct plan_words *words, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(words->text, words->size, format, args); /* cut words are still words */
    va_end(args);
}

/* ---- for people ---- */

struct plan_lines {
    void (*line)(void *context, const char *text);
    void *context;
};

static void plan_line(const struct plan_lines *lines, const char *format, ...) HSR_PRINTF(2, 3);

static void plan_line(const struct plan_lines *lines, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* no line is that long */
    va_end(args);
    lines->line(lines->context, text);
}

/* "0-3 8": the shards on the nodes of @device. */
static void plan_shards_near(const struct hsr_device *device, unsigned shards,
                             const struct hsr_placement *placement, char *text, size_t size)
{
    size_t at = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < shards && at < size; i++) {
        unsigned last = i;

        while (last < shards && hsr_device_is_near(device, placement->shards[last].node))
            last++;
        if (last == i)
            continue;
        at += (size_t)snprintf(text + at, size - at, last - i > 1 ? " %u-%u" : " %u", i, last - 1);
        i = last; /* that one is not near */
    }
}

/* Which device is where, and who is near it. One node is near everything: nothing to say. */
static void plan_devices_print(const struct plan_lines *lines, unsigned shards,
                               const struct hsr_placement *placement)
{
    char text[128], nodes[128] = "";
    size_t at = 0;

    for (unsigned i = 0; i < placement->device_count; i++) {
        const struct hsr_device *device = &placement->devices[i];
        int node = __builtin_ffsll((long long)device->nodes) - 1;
        const char *kind = device->kind == HSR_DEVICE_NET ? "nic" : "disk";

        plan_shards_near(device, shards, placement, text, sizeof(text));
        if (node < 0)
            plan_line(lines, "%s %s: near all nodes", kind, device->name);
        else
            plan_line(lines, "%s %s: node %d, near shards%s", kind, device->name, node,
                      text[0] != '\0' ? text : " none");
    }
    for (int node = 0; node < 64 && at < sizeof(nodes); node++)
        if ((placement->near_nodes >> node & 1) != 0)
            at += (size_t)snprintf(nodes + at, sizeof(nodes) - at, " %d", node);
    if (placement->near_nodes != 0)
        plan_line(lines, "first choice: node%s, for what is served", nodes);
}

void hsr_plan_print(const struct hsr_plan *plan, const struct hsr_placement *placement,
                    void (*line)(void *context, const char *text), void *context)
{
    struct plan_lines lines = { line, context };
    uint64_t connections = (uint64_t)plan->shards * plan->connections;

    plan_line(&lines, "buffers      %12llu = %u shards x %u buffers x (%u payload + %u head)%s",
              (unsigned long long)(plan->shards * plan->buffer_bytes), plan->shards, plan->buffers,
              plan->chunk, HSR_BUF_HEAD,
              plan->register_buffers ? ", the first 8 MiB registered" : "");
    plan_line(&lines, "connections  %12llu = %u shards x %u connections x %llu",
              (unsigned long long)(connections * plan->connection_bytes), plan->shards,
              plan->connections, (unsigned long long)plan->connection_bytes);
    plan_line(&lines, "sessions     %12llu = %u sessions x %llu",
              (unsigned long long)(plan->sessions * plan->session_bytes), plan->sessions,
              (unsigned long long)plan->session_bytes);
    plan_line(&lines, "links        %12llu = %u sessions x %llu",
              (unsigned long long)(plan->sessions * plan->links_bytes), plan->sessions,
              (unsigned long long)plan->links_bytes);
    plan_line(&lines, "deltas       %12llu = 1 pool x %llu", (unsigned long long)plan->delta_bytes,
              (unsigned long long)plan->delta_bytes);
    plan_line(&lines, "loops        %12llu = %u shards x %llu",
              (unsigned long long)(plan->shards * plan->loop_bytes), plan->shards,
              (unsigned long long)plan->loop_bytes);
    plan_line(&lines, "total        %12llu of %llu", (unsigned long long)plan->total,
              (unsigned long long)plan->memory);
    plan_line(&lines, "one session: at most %u streams x %u chunks of %u bytes", plan->streams,
              plan->depth, plan->chunk);
    for (unsigned i = 0; i < plan->shards; i++) {
        const struct hsr_place *place = &placement->shards[i % HSR_MAX(placement->count, 1u)];

        plan_line(&lines, "shard %u: cpu %u, core %u, node %d", i, place->cpu, place->core,
                  place->node);
    }
    plan_devices_print(&lines, plan->shards, placement);
}
