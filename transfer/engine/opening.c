/* How a session begins; see opening.h. */
#include "transfer/engine/opening.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/bench.h"
#include "transfer/engine/delta.h"
#include "transfer/engine/source.h"
#include "transfer/engine/stream.h"
#include "transfer/engine/sums.h"
#include "transfer/engine/tally.h"
#include "transfer/engine/target.h"

static int opening_root(struct hsr_session *session, struct hsr_span path);
static int opening_single(struct hsr_session *session, struct hsr_span path);
static int opening_ack(struct hsr_session *session, struct hsr_conn *conn);
static int opening_greeted(struct hsr_session *session, struct hsr_span payload);
static int opening_opened(struct hsr_session *session, struct hsr_span payload);
static int opening_start(struct hsr_session *session);
static void opening_delta(struct hsr_session *session, uint64_t features);
static int opening_send_open(struct hsr_session *session);
static int opening_send_list(struct hsr_session *session);
static int opening_listed(struct hsr_session *session, struct hsr_span payload);

/* Frames hold whole leaves, so a small chunk means small leaves. */
static void opening_digest(struct hsr_session *session, uint8_t kind)
{
    session->digest = kind;
    session->digest_size = (uint32_t)hsr_digest_size((enum hsr_digest_kind)kind);
    session->leaf = hsr_digest_leaf((enum hsr_digest_kind)kind, session->chunk);
    session->tally_budget = HSR_TALLY_BUDGET;
}

/* Is all that is asked for in force? */
static bool opening_agreed(const struct hsr_open *open, uint64_t features)
{
    uint64_t needed = 0;

    if (open->options & HSR_OPT_VERIFY)
        needed |= HSR_FEATURE_COMPARE;
    if (open->options & (HSR_OPT_DELTA | HSR_OPT_INPLACE))
        needed |= HSR_FEATURE_DELTA;
    if (open->digest == HSR_DIGEST_BLAKE3)
        needed |= HSR_FEATURE_BLAKE3;
    if (open->options & HSR_OPT_MEASURE)
        needed |= HSR_FEATURE_BENCH;
    if (open->options & (HSR_OPT_AHEAD_ON | HSR_OPT_AHEAD_OFF))
        needed |= HSR_FEATURE_AHEAD;
    return (features & needed) == needed;
}

int hsr_session_open(struct hsr_conn *conn, const struct hsr_open *open)
{
    struct hsr_shard *shard = conn->shard;
    const struct hsr_engine_config *config = &shard->engine->config;
    struct hsr_session *session;
    int rc;

    hsr_require(opening_agreed(open, conn->features), HSR_E_PROTOCOL);
    hsr_require(!atomic_load(&shard->engine->draining), HSR_E_SHUTDOWN);
    hsr_require(atomic_load(&shard->engine->sessions) < config->plan.sessions, HSR_E_BUSY);
    hsr_require(!(open->options & HSR_OPT_DISCARD) || config->bench, HSR_E_DENIED);
    session = hsr_session_create(shard, false);
    if (session == NULL)
        return -ENOMEM;
    session->role = open->role == HSR_ROLE_SOURCE ? HSR_ROLE_TARGET : HSR_ROLE_SOURCE;
    memcpy(session->job, open->job, HSR_JOB_SIZE);
    session->attempt = open->attempt;
    session->options = open->options;
    session->block_log = open->block_log;
    session->progress.delta.on = (open->options & HSR_OPT_DELTA) != 0;
    session->durability = open->durability;
    session->io = config->io;
    session->zero_copy = config->zero_copy;
    session->bwlimit = open->bwlimit;
    if (open->congestion.size > 0)
        memcpy(session->congestion, open->congestion.ptr, open->congestion.size);
    else
        memcpy(session->congestion, config->congestion, sizeof(session->congestion));
    session->features = conn->features;
    session->limit.agreed = (conn->features & HSR_FEATURE_STAGES) != 0;
    session->delete_max = open->delete_max;
    session->streams_count = HSR_MIN(open->streams, config->plan.streams);
    session->depth = HSR_MIN(open->depth, config->plan.depth);
    session->chunk = HSR_MIN(open->chunk, config->plan.chunk) & ~(HSR_CHUNK_SIZE_MIN - 1);
    if (session->chunk > HSR_DIGEST_LEAF_SIZE)
        session->chunk &= ~(HSR_DIGEST_LEAF_SIZE - 1);
    opening_digest(session, open->digest);
    session->chunk -= session->chunk % session->leaf;
    session->files_max = HSR_FILES_MAX;
    session->spec.path_count = open->paths;
    memcpy(session->peer, conn->peer, sizeof(session->peer));
    memcpy(session->export_name, open->export_name.ptr, open->export_name.size);
    session->path = strndup((const char *)open->path.ptr, open->path.size);
    shard->loop.backend->ops->random(shard->loop.backend, session->token, HSR_TOKEN_SIZE);
    session->token[HSR_TOKEN_SIZE - 1] = (uint8_t)shard->index;

    rc = session->path == NULL ? -ENOMEM : 0;
    if (rc == 0 && open->rules.size > 0)
        rc = hsr_filter_create(open->rules, &session->filter);
    if (rc == 0)
        rc = config->authorize(
            config->context, (const struct sockaddr *)&conn->address, open->export_name,
            session->role == HSR_ROLE_TARGET && !(session->options & HSR_OPT_VERIFY),
            &session->root_fd);
    if (rc == 0)
        rc = opening_root(session, open->path);
    if (rc == 0)
        rc = opening_ack(session, conn);
    if (rc < 0) {
        hsr_session_abandon(session);
        return rc;
    }
    hsr_session_control(session, conn);
    conn->state = HSR_CONN_SESSION;
    hsr_conn_timer_start(conn);
    rc = hsr_session_start(session);
    if (rc < 0)
        hsr_session_end(session, rc, "cannot start the session");
    return 0;
}

/* Replace the export's descriptor by that of the path below it. */
static int opening_root(struct hsr_session *session, struct hsr_span path)
{
    bool create = session->role == HSR_ROLE_TARGET && !(session->options & HSR_OPT_DRY_RUN);
    int fd;

    if (session->role == HSR_ROLE_TARGET && (session->options & HSR_OPT_SINGLE_FILE))
        return opening_single(session, path);
    if (path.size == 0)
        return 0;
    fd = hsr_root_open_below(&session->home->loop, session->root_fd, path, create);
    if (fd == -ENOENT && session->role == HSR_ROLE_TARGET && (session->options & HSR_OPT_DRY_RUN)) {
        session->phantom_root = true; /* everything in it would be new */
        return 0;
    }
    if (fd < 0)
        return fd;
    session->root_fd = fd;
    session->root_owned = true;
    return 0;
}

/* One file: the path may be the directory to put it in, or its new name. */
static int opening_single(struct hsr_session *session, struct hsr_span path)
{
    struct hsr_loop *loop = &session->home->loop;
    size_t cut = path.size;
    int fd = path.size == 0 ? -ENOTDIR : hsr_root_open_below(loop, session->root_fd, path, false);

    if (path.size == 0)
        return 0;
    if (fd >= 0) {
        session->root_fd = fd;
        session->root_owned = true;
        return 0;
    }
    if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP)
        return fd;
    while (cut > 0 && path.ptr[cut - 1] != '/')
        cut--;
    hsr_require(path.size - cut <= HSR_NAME_MAX, HSR_E_NAME);
    session->single_name = true;
    memcpy(session->top_name, path.ptr + cut, path.size - cut);
    if (cut <= 1)
        return 0;
    fd = hsr_root_open_below(loop, session->root_fd, (struct hsr_span){ path.ptr, cut - 1 },
                             !(session->options & HSR_OPT_DRY_RUN));
    if (fd < 0)
        return fd;
    session->root_fd = fd;
    session->root_owned = true;
    return 0;
}

static int opening_ack(struct hsr_session *session, struct hsr_conn *conn)
{
    struct hsr_open_ack ack = { .streams = session->streams_count,
                                .depth = session->depth,
                                .chunk = session->chunk,
                                .files_max = session->files_max,
                                .rename_top = session->single_name,
                                .top_name = { (const uint8_t *)session->top_name,
                                              strlen(session->top_name) } };
    uint8_t *out = hsr_conn_begin(conn, 512);
    int size;

    if (out == NULL)
        return HSR_E_INTERNAL;
    memcpy(ack.token, session->token, HSR_TOKEN_SIZE);
    size = hsr_open_ack_encode(&ack, out, 512);
    if (size < 0)
        return size;
    hsr_conn_commit(conn, (struct hsr_frame){ .kind = HSR_FRAME_OPEN_ACK }, (size_t)size);
    return 0;
}

void hsr_session_abandon(struct hsr_session *session)
{
    session->closed_said = true;
    session->state = HSR_SESSION_CLOSING;
    hsr_session_wake(session);
}

/* ---- client ---- */

/* No peer: it begins at once. */
static int opening_sums(struct hsr_session *session)
{
    int rc;

    opening_digest(session, session->spec.digest);
    rc = hsr_sums_create(session);
    session->state = HSR_SESSION_MOVING;
    if (rc < 0)
        hsr_session_end(session, rc, "no memory for digests");
    hsr_session_wake(session);
    return 0;
}

int hsr_session_run(struct hsr_shard *shard, const struct hsr_job_spec *spec)
{
    const struct hsr_plan *plan = &shard->engine->config.plan;
    struct hsr_session *session = hsr_session_create(shard, true);
    struct hsr_conn *conn;
    int rc = 0;

    if (session == NULL)
        return -ENOMEM;
    session->spec = *spec;
    memcpy(session->job, spec->job, HSR_JOB_SIZE);
    session->attempt = spec->attempt;
    session->role = spec->role;
    session->options = spec->options & ~HSR_OPT_DELTA;
    session->block_log = spec->block_log;
    session->durability = spec->durability;
    session->io = spec->io;
    session->zero_copy = spec->zero_copy;
    session->bwlimit = spec->bwlimit;
    memcpy(session->congestion, spec->congestion, sizeof(session->congestion));
    session->delete_max = spec->delete_max;
    session->streams_count = spec->streams ? spec->streams : plan->streams;
    session->depth = spec->depth ? spec->depth : plan->depth;
    session->chunk = spec->chunk ? spec->chunk : plan->chunk;
    session->root_fd = spec->role == HSR_ROLE_TARGET ? spec->target_fd : -1;
    session->path = strdup(spec->path != NULL ? spec->path : "");
    if (spec->export_name != NULL)
        (void)strncpy(session->export_name, spec->export_name, HSR_NAME_MAX);
    if (spec->benching) {
        session->streams_count = spec->bench.streams;
        session->chunk = HSR_MIN(spec->bench.chunk, plan->chunk);
    }
    if (spec->top_name != NULL) {
        session->single_name = true;
        (void)strncpy(session->top_name, spec->top_name, HSR_NAME_MAX);
    }
    if (session->path == NULL)
        rc = -ENOMEM;
    if (rc == 0 && spec->rules.size > 0)
        rc = hsr_filter_create(spec->rules, &session->filter);
    if (rc == 0 && spec->summing && spec->role == HSR_ROLE_SOURCE)
        return opening_sums(session);
    conn = rc < 0 ? NULL
                  : hsr_conn_connect(shard, (const struct sockaddr *)&spec->address,
                                     spec->address_size,
                                     spec->connect_ns ? spec->connect_ns : 10 * HSR_NS_PER_S);
    if (conn == NULL) {
        hsr_session_abandon(session);
        return rc < 0 ? rc : -ENOMEM;
    }
    hsr_session_control(session, conn);
    return 0;
}

int hsr_opening_frame(struct hsr_session *session, const struct hsr_frame *frame,
                      struct hsr_span payload)
{
    struct hsr_conn *conn = session->control;

    if (conn->state == HSR_CONN_GREETING && frame->kind == HSR_FRAME_HELLO_ACK)
        return opening_greeted(session, payload);
    hsr_require(conn->state == HSR_CONN_WAITING || conn->state == HSR_CONN_LISTING, HSR_E_PROTOCOL);
    if (session->spec.benching && frame->kind == HSR_FRAME_BENCH_ACK) {
        int rc = hsr_bench_opened(session, payload);

        return rc < 0 ? rc : opening_start(session);
    }
    if (!session->spec.list && !session->spec.benching && frame->kind == HSR_FRAME_OPEN_ACK)
        return opening_opened(session, payload);
    if (session->spec.list && frame->kind == HSR_FRAME_ENTRIES)
        return opening_listed(session, payload);
    if (session->spec.list && frame->kind == HSR_FRAME_LIST_END) {
        hsr_session_end(session, 0, NULL);
        return 0;
    }
    return HSR_E_PROTOCOL;
}

static int opening_greeted(struct hsr_session *session, struct hsr_span payload)
{
    struct hsr_hello_ack ack;
    int rc = hsr_hello_ack_decode(payload, &ack);

    if (rc < 0)
        return rc;
    hsr_require(ack.version == HSR_PROTO_VERSION, HSR_E_VERSION);
    hsr_require((ack.features & ~HSR_FEATURES_OURS) == 0, HSR_E_PROTOCOL);
    session->features = ack.features;
    session->control->silence_ms = ack.silence_ms;
    session->limit.agreed = (ack.features & HSR_FEATURE_STAGES) != 0;
    session->streams_count = HSR_MIN(session->streams_count, ack.streams_max);
    session->depth = HSR_MIN(session->depth, ack.depth_max);
    session->chunk = HSR_MIN(session->chunk, ack.chunk_max);
    session->control->state = session->spec.list ? HSR_CONN_LISTING : HSR_CONN_WAITING;
    hsr_conn_timer_start(session->control);
    if (session->spec.benching)
        return hsr_bench_ask_send(session, ack.features);
    if (session->spec.list)
        return opening_send_list(session);
    hsr_require(!(session->options & HSR_OPT_INPLACE) || (ack.features & HSR_FEATURE_DELTA),
                HSR_E_DENIED);
    if (!(ack.features & HSR_FEATURE_BENCH))
        session->options &= ~HSR_OPT_MEASURE; /* half of it then: ours */
    opening_delta(session, ack.features);
    return opening_send_open(session);
}

/* Deltas, or not? Once for the session, from what is known when it begins. */
static void opening_delta(struct hsr_session *session, uint64_t features)
{
    const struct hsr_job_spec *spec = &session->spec;
    struct hsr_delta_figures *delta = &session->progress.delta;
    struct hsr_delta_path path = { .bwlimit = spec->bwlimit, .nic_rate = spec->nic_rate };
    const char *why = NULL;

    if (spec->delta == HSR_DELTA_AUTO) {
        path.rtt_us = hsr_link_rtt_us(&session->control->link);
        delta->on = hsr_delta_pays(&path, delta->why);
    } else {
        delta->on = spec->delta == HSR_DELTA_ON;
        why = "asked for";
    }
    if (!(features & HSR_FEATURE_DELTA) && delta->on)
        why = "an older server";
    if (session->options & HSR_OPT_DRY_RUN)
        why = "nothing is kept";
    if (why != NULL)
        (void)snprintf(delta->why, sizeof(delta->why), "%s", why); /* they are short */
    if (!(features & HSR_FEATURE_DELTA) || (session->options & HSR_OPT_DRY_RUN))
        delta->on = false;
    if (delta->on)
        session->options |= HSR_OPT_DELTA;
    else
        session->block_log = 0;
}

static int opening_send_open(struct hsr_session *session)
{
    const struct hsr_job_spec *spec = &session->spec;
    bool blake3 = (session->features & HSR_FEATURE_BLAKE3) != 0;
    bool compare = (session->features & HSR_FEATURE_COMPARE) != 0;
    bool compares = (spec->options & HSR_OPT_VERIFY) != 0 || spec->summing;
    struct hsr_open open = {
        .role = spec->role,
        .digest = spec->digest,
        .durability = spec->durability,
        .block_log = session->block_log,
        .options = session->options,
        .streams = session->streams_count,
        .depth = session->depth,
        .chunk = session->chunk,
        .bwlimit = spec->bwlimit,
        .delete_max = spec->delete_max,
        .paths = spec->role == HSR_ROLE_TARGET ? spec->path_count : 0,
        .export_name = { (const uint8_t *)session->export_name, strlen(session->export_name) },
        .path = { (const uint8_t *)session->path, strlen(session->path) },
        .rules = spec->rules,
        .congestion = { (const uint8_t *)session->congestion, strlen(session->congestion) },
        .attempt = session->attempt
    };
    uint8_t *out = hsr_conn_begin(session->control, HSR_CONTROL_PAYLOAD_MAX);
    int size;

    memcpy(open.job, session->job, HSR_JOB_SIZE);

    hsr_require(spec->digest != HSR_DIGEST_BLAKE3 || blake3, HSR_E_VERSION);
    hsr_require(!compares || compare, HSR_E_VERSION);
    if (!(session->features & HSR_FEATURE_AHEAD)) /* an older server: it works ahead of nothing */
        open.options &= ~(HSR_OPT_AHEAD_ON | HSR_OPT_AHEAD_OFF);
    hsr_assert(out != NULL); /* only HELLO was queued before */
    size = hsr_open_encode(&open, out, HSR_CONTROL_PAYLOAD_MAX);
    if (size < 0)
        return size;
    hsr_conn_commit(session->control, (struct hsr_frame){ .kind = HSR_FRAME_OPEN }, (size_t)size);
    return 0;
}

static int opening_send_list(struct hsr_session *session)
{
    struct hsr_list_request list = {
        .self_only = session->spec.list_self,
        .export_name = { (const uint8_t *)session->export_name, strlen(session->export_name) },
        .path = { (const uint8_t *)session->path, strlen(session->path) }
    };
    size_t room = HSR_PATH_WIRE_MAX + 1024;
    uint8_t *out = hsr_conn_begin(session->control, room);
    int size;

    hsr_assert(out != NULL);
    size = hsr_list_request_encode(&list, out, room);
    if (size < 0)
        return size;
    hsr_conn_commit(session->control, (struct hsr_frame){ .kind = HSR_FRAME_LIST }, (size_t)size);
    return 0;
}

static int opening_opened(struct hsr_session *session, struct hsr_span payload)
{
    struct hsr_open_ack ack;
    int rc = hsr_open_ack_decode(payload, &ack);

    if (rc < 0)
        return rc;
    hsr_require(ack.streams <= session->streams_count && ack.depth <= session->depth &&
                    ack.chunk <= session->chunk,
                HSR_E_PROTOCOL);
    memcpy(session->token, ack.token, HSR_TOKEN_SIZE);
    session->streams_count = ack.streams;
    session->depth = ack.depth;
    session->chunk = ack.chunk;
    opening_digest(session, session->spec.digest);
    hsr_require(ack.chunk % session->leaf == 0 && session->leaf % HSR_CHUNK_SIZE_MIN == 0,
                HSR_E_PROTOCOL);
    session->files_max = HSR_MIN(ack.files_max, HSR_FILES_MAX);
    if (session->role == HSR_ROLE_SOURCE && ack.rename_top) {
        session->single_name = true;
        memcpy(session->top_name, ack.top_name.ptr, ack.top_name.size);
        session->top_name[ack.top_name.size] = '\0';
    }
    return opening_start(session);
}

/* Everything is agreed: the machine, and the data connections. */
static int opening_start(struct hsr_session *session)
{
    int rc;

    session->control->state = HSR_CONN_SESSION;
    hsr_conn_timer_start(session->control);
    rc = hsr_session_start(session);
    for (uint32_t i = 0; rc == 0 && i < session->streams_count; i++) {
        struct hsr_shard *shard;
        struct hsr_stream *stream;

        rc = hsr_session_admit(session, i, -1, &shard, &stream);
        if (rc == 0)
            hsr_stream_connect(stream);
    }
    return rc;
}

static int opening_listed(struct hsr_session *session, struct hsr_span payload)
{
    struct hsr_reader reader = hsr_reader_init(payload.ptr, payload.size);

    while (hsr_reader_left(&reader) > 0) {
        struct hsr_entry entry;
        struct hsr_event event = { .kind = HSR_EVENT_ENTRY,
                                   .session = session->id,
                                   .entry = &entry };
        int rc = hsr_entry_decode(&reader, &entry);

        if (rc < 0)
            return rc;
        hsr_engine_event(session->engine, &event);
    }
    return 0;
}
