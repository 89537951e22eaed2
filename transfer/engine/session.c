/* Sessions; see session.h. Opening lives in opening.c. */
#include "transfer/engine/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/bench.h"
#include "transfer/engine/opening.h"
#include "transfer/engine/reader.h"
#include "transfer/engine/source.h"
#include "transfer/engine/stream.h"
#include "transfer/engine/sums.h"
#include "transfer/engine/takeover.h"
#include "transfer/engine/target.h"

_Static_assert(HSR_CONGESTION_SIZE == HSR_CONGESTION_MAX + 1, "a name from the wire fits");

#define SESSION_TICK_NS (100 * HSR_NS_PER_MS)
#define SESSION_JOIN_NS (10 * HSR_NS_PER_S) /* from OPEN to the last JOIN, at a server */

static void session_run(struct hsr_task *task);
static void session_step(struct hsr_session *session);
static void session_tick(struct hsr_timer *timer);
static void session_name_stall(struct hsr_session *session);
static void session_join_deadline(struct hsr_session *session);
static void session_close(struct hsr_session *session);
static void session_free(struct hsr_session *session);
static void session_congestion(struct hsr_session *session, const struct hsr_stream *stream);
static void session_say_closed(struct hsr_session *session);
static int session_control_frame(struct hsr_conn *conn, const struct hsr_frame *frame,
                                 struct hsr_span payload);
static void session_control_writable(struct hsr_conn *conn);
static void session_control_closed(struct hsr_conn *conn);
static int session_done(struct hsr_session *session, struct hsr_span payload);
static int session_heard_note(struct hsr_session *session, struct hsr_span payload);

struct hsr_session *hsr_session_create(struct hsr_shard *home, bool client)
{
    struct hsr_engine *engine = home->engine;
    struct hsr_session *session = calloc(1, sizeof(*session));

    if (session == NULL)
        return NULL;
    session->home = home;
    session->engine = engine;
    session->client = client;
    session->root_fd = -1;
    session->id = atomic_fetch_add(&engine->session_next, 1) + 1;
    session->started_ns = hsr_loop_clock(&home->loop);
    hsr_list_init(&session->node);
    hsr_task_init(&session->task, "session", session_run);
    session->tick.fired = session_tick;
    hsr_list_push_tail(&home->sessions, &session->node);
    atomic_fetch_add(&engine->sessions, 1);
    hsr_loop_timer_set(&home->loop, &session->tick, session->started_ns + SESSION_TICK_NS);
    hsr_limit_init(session);
    return session;
}

void hsr_session_control(struct hsr_session *session, struct hsr_conn *conn)
{
    session->control = conn;
    conn->session = session;
    conn->on_frame = session_control_frame;
    conn->on_writable = session_control_writable;
    conn->on_closed = session_control_closed;
    memcpy(session->peer, conn->peer, sizeof(session->peer));
}

int hsr_session_start(struct hsr_session *session)
{
    int rc = session->bench != NULL             ? 0 /* the handshake made it */
             : session->role == HSR_ROLE_SOURCE ? hsr_source_create(session)
                                                : hsr_target_create(session);
    struct hsr_event event = { .kind = HSR_EVENT_OPENED,
                               .session = session->id,
                               .peer = session->peer,
                               .export_name = session->export_name,
                               .path = session->path != NULL ? session->path : "",
                               .role = session->role,
                               .bench = session->bench != NULL };

    if (rc == 0)
        rc = hsr_measure_begin(session);
    if (rc < 0)
        return rc;
    session->state = HSR_SESSION_MOVING;
    hsr_engine_event(session->engine, &event);
    if (session->client)
        hsr_hold_set(session, atomic_load(&session->engine->hold));
    hsr_session_wake(session);
    return 0;
}

struct hsr_session *hsr_session_find(struct hsr_shard *shard, const uint8_t token[HSR_TOKEN_SIZE])
{
    for (struct hsr_list *node = shard->sessions.next; node != &shard->sessions;
         node = node->next) {
        struct hsr_session *session = hsr_container_of(node, struct hsr_session, node);

        if (!session->client && memcmp(session->token, token, HSR_TOKEN_SIZE) == 0)
            return session;
    }
    return NULL;
}

/* Where one more stream will live. What a core has just received from the network lies in its
 * cache, so its own shard gets the stream, unless that shard has its share of the session already.
 */
static struct hsr_shard *session_place(struct hsr_session *session, int cpu)
{
    struct hsr_engine *engine = session->engine;
    const struct hsr_placement *placement = &engine->config.placement;
    uint32_t share = (session->streams_count + engine->shard_count - 1) / engine->shard_count;
    uint32_t loads[HSR_SHARDS_MAX] = { 0 };
    unsigned near = engine->shard_count; /* none */

    for (unsigned i = 0; i < engine->shard_count && cpu >= 0 && engine->config.pin; i++)
        if (placement->shards[i].cpu == (unsigned)cpu)
            near = i;
    for (uint32_t i = 0; i < HSR_STREAMS_MAX; i++)
        if (session->streams[i] != NULL)
            loads[session->streams[i]->shard->index]++;
    return &engine->shards[hsr_place_fewest(placement, session->home->index, near, loads, share)];
}

int hsr_session_admit(struct hsr_session *session, uint32_t index, int cpu,
                      struct hsr_shard **ret_shard, struct hsr_stream **ret_stream)
{
    struct hsr_shard *shard;

    hsr_require(session->state == HSR_SESSION_MOVING && session->rc == 0 && !session->hold.stopping,
                HSR_E_CLOSED);
    hsr_require(index < session->streams_count, HSR_E_PROTOCOL);
    hsr_require(session->streams[index] == NULL, HSR_E_PROTOCOL);
    hsr_require(hsr_loss_settled(session, index), HSR_E_BUSY);
    shard = session_place(session, cpu);
    session->streams[index] = hsr_stream_create(session, index, shard);
    if (session->streams[index] == NULL)
        return -ENOMEM;
    session->streams_open++;
    *ret_shard = shard;
    *ret_stream = session->streams[index];
    return 0;
}

void hsr_session_end(struct hsr_session *session, int rc, const char *why)
{
    if (session->rc == 0 && rc < 0) {
        session->rc = rc;
        (void)strncpy(session->why, why != NULL ? why : "", sizeof(session->why) - 1);
        hsr_hold_tell_left(session);
        if (session->control != NULL)
            hsr_conn_fail(session->control, rc, session->why);
    } else if (session->control != NULL) {
        hsr_conn_finish(session->control);
    }
    session->state = HSR_SESSION_CLOSING;
    atomic_store(&session->ended, true);
    hsr_session_wake(session);
}

void hsr_session_wake(struct hsr_session *session)
{
    hsr_loop_wake(&session->home->loop, &session->task);
}

void hsr_session_note(struct hsr_session *session, enum hsr_note_event event, int code,
                      const char *op, const char *path, uint64_t size)
{
    struct hsr_event out = { .kind = HSR_EVENT_NOTE,
                             .session = session->id,
                             .peer = session->peer,
                             .export_name = session->export_name,
                             .role = session->role,
                             .note = event,
                             .code = code,
                             .path = path,
                             .text = op,
                             .size = size };
    struct hsr_note note = { .event = (uint8_t)event,
                             .code = code,
                             .size = size,
                             .path = { (const uint8_t *)path, strlen(path) },
                             .text = { (const uint8_t *)op, strlen(op) } };
    uint8_t *at;

    if (event == HSR_NOTE_FAILED)
        session->failed++;
    hsr_engine_event(session->engine, &out);
    if (session->client || session->control == NULL)
        return;
    at = hsr_conn_begin(session->control, HSR_PATH_WIRE_MAX + 2048);
    if (at == NULL)
        return; /* the client does not read: DONE and WALK_END tell how many failed */
    if (note.path.size > HSR_PATH_WIRE_MAX)
        note.path.size = HSR_PATH_WIRE_MAX;
    int encoded = hsr_note_encode(&note, at, HSR_PATH_WIRE_MAX + 2048);

    if (encoded > 0)
        hsr_conn_commit(session->control, (struct hsr_frame){ .kind = HSR_FRAME_NOTE },
                        (size_t)encoded);
}

void hsr_session_stream_ready(struct hsr_session *session, struct hsr_stream *stream)
{
    hsr_assert(session->streams[stream->index] == stream);
    session->streams_joined++;
    stream->ready = true;
    hsr_loss_joined(session, stream);
    session_congestion(session, stream);
    hsr_limit_lane(session, stream->shard);
    hsr_measure_lane(session, stream->shard);
    hsr_session_wake(session);
}

/* What the sender of the data uses; a client that asked for another one is told. */
static void session_congestion(struct hsr_session *session, const struct hsr_stream *stream)
{
    const char *wish = session->congestion;
    const char *used =
        session->role == HSR_ROLE_SOURCE ? stream->congestion : stream->congestion_peer;
    char text[HSR_TEXT_MAX];

    if (session->progress.congestion[0] != '\0' || used[0] == '\0')
        return;
    memcpy(session->progress.congestion, used, HSR_CONGESTION_SIZE);
    if (!session->client || wish[0] == '\0' || strcmp(wish, used) == 0 ||
        strcmp(wish, HSR_CONGESTION_AUTO) == 0 || strcmp(wish, HSR_CONGESTION_SYSTEM) == 0)
        return;
    (void)snprintf(text, sizeof(text), "the sender has no congestion control '%s', it uses '%s'",
                   wish, used);
    hsr_session_note(session, HSR_NOTE_WARNING, -ENOENT, text, "", 0);
}

void hsr_session_stream_gone(struct hsr_session *session, struct hsr_stream *stream, int rc)
{
    hsr_assert(session->streams_open > 0);
    stream->gone_heard = true;
    if (stream->works_lent > 0)
        return; /* a grant crossed this message: the last of them comes back here */
    if (rc == 0)
        rc = HSR_E_CLOSED;
    session_name_stall(session);
    session->streams_open--;
    session->streams[stream->index] = NULL;
    hsr_limit_gone(session, stream);
    hsr_measure_gone(session, stream);
    if (hsr_loss_may(session, rc) && !session->hold.stopping)
        hsr_loss_gone(session, stream, rc);
    else if (session->state != HSR_SESSION_CLOSING && !hsr_bench_ended(session) &&
             !hsr_loss_may(session, rc))
        hsr_session_end(session, rc,
                        stream->why[0] != '\0' ? stream->why : "a data connection ended");
    if (session->source != NULL)
        hsr_source_stream_gone(session, stream);
    if (session->target != NULL)
        hsr_target_stream_gone(session, stream);
    hsr_stream_free(stream);
    hsr_session_wake(session);
}

uint64_t hsr_session_pace(struct hsr_session *session, uint64_t now_ns, uint64_t size)
{
    uint64_t cost, due, next;

    if (session->bwlimit == 0)
        return now_ns;
    cost = (uint64_t)((unsigned __int128)size * HSR_NS_PER_S / session->bwlimit);
    due = atomic_load_explicit(&session->send_due_ns, memory_order_relaxed);
    do { /* time not used is lost, but for a tenth of a second: no long burst after a pause */
        uint64_t floor = now_ns > HSR_NS_PER_S / 10 ? now_ns - HSR_NS_PER_S / 10 : 0;

        next = HSR_MAX(due, floor) + cost;
    } while (!atomic_compare_exchange_weak_explicit(&session->send_due_ns, &due, next,
                                                    memory_order_relaxed, memory_order_relaxed));
    return next - cost;
}

struct hsr_fileio_wish hsr_session_fileio(const struct hsr_session *session)
{
    return (struct hsr_fileio_wish){ .io = session->io,
                                     .chunk = session->chunk,
                                     .call = session->call_io };
}

void hsr_session_moved(struct hsr_session *session, const struct hsr_op *op, int64_t res)
{
    if (res > 0)
        atomic_fetch_add_explicit(&session->counts.disk[hsr_fileio_way(op)],
                                  (unsigned long long)res, memory_order_relaxed);
}

const struct hsr_progress *hsr_session_progress(struct hsr_session *session)
{
    struct hsr_progress *progress = &session->progress;
    struct hsr_session_counts *counts = &session->counts;

    progress->bytes_done = atomic_load_explicit(&counts->bytes, memory_order_relaxed);
    progress->wire_sent = atomic_load_explicit(&counts->sent, memory_order_relaxed);
    progress->wire_received = atomic_load_explicit(&counts->received, memory_order_relaxed);
    if (session->control != NULL) {
        progress->wire_sent += session->control->link.sent_bytes;
        progress->wire_received += session->control->link.received_bytes;
    }
    progress->zc_sent = atomic_load_explicit(&counts->zc_sent, memory_order_relaxed);
    progress->zc_copied = atomic_load_explicit(&counts->zc_copied, memory_order_relaxed);
    progress->zc_downgrades = atomic_load_explicit(&counts->zc_downgrades, memory_order_relaxed);
    for (unsigned i = 0; i < HSR_FILEIO_WAY_COUNT; i++)
        progress->disk[i] = atomic_load_explicit(&counts->disk[i], memory_order_relaxed);
    progress->verdict = session->limit.verdict;
    if (session->target != NULL) {
        hsr_target_ahead_figures(session->target, &progress->ahead);
        hsr_target_levels(session->target, &progress->levels);
    }
    progress->elapsed_ns = hsr_loop_clock(&session->home->loop) - session->started_ns;
    return progress;
}

static void session_run(struct hsr_task *task)
{
    struct hsr_session *session = hsr_container_of(task, struct hsr_session, task);

    if (session->ticked) {
        session->ticked = false;
        hsr_loop_timer_set(&session->home->loop, &session->tick,
                           session->home->loop.now_ns + SESSION_TICK_NS);
        hsr_limit_tick(session);
        if (session->client && session->state == HSR_SESSION_MOVING) {
            struct hsr_event event = { .kind = HSR_EVENT_PROGRESS,
                                       .session = session->id,
                                       .role = session->role,
                                       .progress = hsr_session_progress(session) };

            session_name_stall(session);
            hsr_engine_event(session->engine, &event);
        }
        session_join_deadline(session);
        hsr_loss_tick(session);
    }
    if (session->state == HSR_SESSION_MOVING)
        session_step(session);
    hsr_hold_step(session);
    if (session->state == HSR_SESSION_CLOSING)
        session_close(session);
}

static void session_name_stall(struct hsr_session *session)
{
    if (session->client && session->state == HSR_SESSION_MOVING && session->control != NULL &&
        session->bench == NULL)
        hsr_stall_tick(session);
}

static void session_step(struct hsr_session *session)
{
    struct hsr_meter *meter = &session->limit.meter;
    uint64_t start_ns = hsr_loop_clock(&session->home->loop);
    bool source = session->source != NULL;

    if (session->bench != NULL || session->sums != NULL) {
        if (session->bench != NULL)
            hsr_bench_step(session);
        else
            hsr_sums_step(session);
        return;
    }
    hsr_meter_wait(meter, HSR_FIGURE_COUNT);
    if (source)
        hsr_source_step(session);
    else
        hsr_target_step(session);
    hsr_meter_wait(meter, source ? hsr_source_waits(session) : hsr_target_waits(session));
    hsr_meter_add(meter, HSR_FIGURE_HOME_WORK, hsr_loop_clock(&session->home->loop) - start_ns);
}

static void session_tick(struct hsr_timer *timer)
{
    struct hsr_session *session = hsr_container_of(timer, struct hsr_session, tick);

    session->ticked = true;
    hsr_session_wake(session);
}

static void session_join_deadline(struct hsr_session *session)
{
    uint64_t join_ns = session->engine->config.handshake_ns;

    if (join_ns == 0)
        join_ns = SESSION_JOIN_NS;
    if (!session->client && session->state == HSR_SESSION_MOVING && !session->hold.stopping &&
        session->streams_joined < session->streams_count &&
        session->home->loop.now_ns - session->started_ns >= join_ns)
        hsr_session_end(session, HSR_E_TIMEOUT, "a data connection is missing");
}

/* Everything that was lent comes back first: streams, then the control connection. */
static void session_close(struct hsr_session *session)
{
    bool home;

    for (uint32_t i = 0; i < HSR_STREAMS_MAX; i++)
        if (session->streams[i] != NULL)
            hsr_stream_close(session->streams[i]);
    if (session->target != NULL)
        hsr_target_closing(session);
    home = hsr_crew_close(&session->crew);
    home &= hsr_readers_close(session);
    if (!home || session->streams_open > 0)
        return;
    if (session->target != NULL && !hsr_target_idle(session))
        return; /* its last system call wakes us */
    session_say_closed(session);
    if (session->control != NULL) {
        if (session->rc == 0 && !session->control->close_flushed)
            hsr_conn_finish(session->control);
        return; /* session_control_closed() comes back here */
    }
    session_free(session);
}

static void session_free(struct hsr_session *session)
{
    struct hsr_engine *engine = session->engine;

    hsr_bench_destroy(session);
    hsr_measure_destroy(session);
    hsr_readers_destroy(session);
    hsr_sums_destroy(session);
    if (session->source != NULL)
        hsr_source_destroy(session);
    if (session->target != NULL)
        hsr_target_destroy(session);
    hsr_crew_free(&session->crew);
    hsr_loop_timer_clear(&session->home->loop, &session->tick);
    hsr_loop_forget(&session->home->loop, &session->task);
    hsr_list_remove(&session->node);
    hsr_takeover_look(session->home);
    if (session->root_owned && session->root_fd >= 0) {
        struct hsr_op op = { .kind = HSR_OP_CLOSE, .fd = session->root_fd };

        (void)hsr_loop_call(&session->home->loop, &op);
    }
    hsr_filter_destroy(session->filter);
    free(session->path);
    atomic_fetch_sub(&engine->sessions, 1);
    free(session);
}

static void session_say_closed(struct hsr_session *session)
{
    struct hsr_event event = { .kind = HSR_EVENT_CLOSED,
                               .session = session->id,
                               .peer = session->peer,
                               .export_name = session->export_name,
                               .path = session->path != NULL ? session->path : "",
                               .role = session->role,
                               .code = session->rc,
                               .text = session->why,
                               .durability = session->done_durability,
                               .totals = &session->totals,
                               .bench = session->bench != NULL,
                               .report = session->rc == 0 ? hsr_bench_report(session) : NULL };

    if (session->closed_said)
        return;
    session->closed_said = true;
    if (event.code == 0 && (session->failed > 0 || session->totals.failed > 0))
        event.code = HSR_E_PARTIAL;
    hsr_limit_close(session);
    if (session->client && session->target != NULL)
        hsr_target_left(session, &session->progress.left_files, &session->progress.left_bytes);
    event.measures = hsr_measure_end(session);
    event.progress = hsr_session_progress(session);
    hsr_engine_event(session->engine, &event);
}

static int session_control_frame(struct hsr_conn *conn, const struct hsr_frame *frame,
                                 struct hsr_span payload)
{
    struct hsr_session *session = conn->session;
    struct hsr_reject reject;
    int rc;

    switch (frame->kind) {
    case HSR_FRAME_NOTE:
        return session_heard_note(session, payload);
    case HSR_FRAME_STAGES:
        return hsr_limit_heard(session, payload);
    case HSR_FRAME_MEASURED:
        return hsr_measure_heard(session, payload);
    case HSR_FRAME_AHEAD:
        hsr_require(session->source != NULL && session->client &&
                        (session->features & HSR_FEATURE_AHEAD),
                    HSR_E_PROTOCOL);
        return hsr_ahead_decode(payload, &session->progress.ahead);
    case HSR_FRAME_HOLD:
    case HSR_FRAME_GO:
    case HSR_FRAME_STOP:
    case HSR_FRAME_LEFT:
        return hsr_hold_frame(session, frame, payload);
    case HSR_FRAME_CANCEL:
    case HSR_FRAME_REJECT:
        rc = hsr_reject_decode(payload, &reject);
        if (rc < 0)
            return rc;
        if (session->rc == 0) {
            session->rc = reject.code;
            memcpy(session->why, reject.text.ptr,
                   HSR_MIN(reject.text.size, sizeof(session->why) - 1));
        }
        hsr_session_end(session, 0, NULL);
        return 0;
    case HSR_FRAME_DONE:
        return session->source != NULL && session->state == HSR_SESSION_MOVING
                   ? session_done(session, payload)
                   : HSR_E_PROTOCOL;
    default:
        break;
    }
    if (session->state == HSR_SESSION_CLOSING)
        return 0; /* what was under way when the session ended */
    if (session->state == HSR_SESSION_OPENING)
        return hsr_opening_frame(session, frame, payload);
    if (frame->kind == HSR_FRAME_LOST || frame->kind == HSR_FRAME_TAKEN)
        return hsr_loss_frame(session, frame);
    if (session->bench != NULL)
        return hsr_bench_frame(session, frame, payload);
    return session->role == HSR_ROLE_SOURCE ? hsr_source_frame(session, frame, payload)
                                            : hsr_target_frame(session, frame, payload);
}

static void session_control_writable(struct hsr_conn *conn)
{
    hsr_session_wake(conn->session);
}

static void session_control_closed(struct hsr_conn *conn)
{
    struct hsr_session *session = conn->session;

    session_name_stall(session);
    session->counts.sent += conn->link.sent_bytes;
    session->counts.received += conn->link.received_bytes;
    session->control = NULL;
    if (session->state != HSR_SESSION_CLOSING && !hsr_bench_heard(session)) {
        int rc = conn->rc < 0 ? conn->rc : HSR_E_CLOSED;

        hsr_session_end(session, rc,
                        conn->why[0] != '\0' ? conn->why : "the control connection ended");
    }
    hsr_session_wake(session);
}

/* The target says that all is settled. */
static int session_done(struct hsr_session *session, struct hsr_span payload)
{
    struct hsr_done done;
    int rc = hsr_done_decode(payload, &done);

    if (rc < 0)
        return rc;
    session->totals = done.totals;
    session->done_durability = done.durability;
    if (done.durability > 0) /* what was not told on the way */
        session->progress.levels.received = session->progress.levels.written = done.totals.files;
    if (done.code < 0 && done.code != HSR_E_PARTIAL) {
        session->rc = done.code;
        (void)strncpy(session->why, hsr_err_text(done.code), sizeof(session->why) - 1);
    } else if (!(session->options & HSR_OPT_DRY_RUN) &&
               done.durability < HSR_MIN(session->durability, done.limit)) {
        session->rc = HSR_E_PROTOCOL;
        (void)strncpy(session->why, "the target promises less than was asked",
                      sizeof(session->why) - 1);
    }
    hsr_session_end(session, 0, NULL);
    return 0;
}

static int session_heard_note(struct hsr_session *session, struct hsr_span payload)
{
    struct hsr_note note;
    char path[HSR_PATH_WIRE_MAX + 1];
    char text[HSR_TEXT_MAX + 1];
    struct hsr_event event = { .kind = HSR_EVENT_NOTE,
                               .session = session->id,
                               .peer = session->peer,
                               .role = session->role,
                               .path = path,
                               .text = text };
    int rc = hsr_note_decode(payload, &note);

    if (rc < 0)
        return rc;
    if (!session->client)
        return 0; /* a client's remarks are for itself */
    memcpy(path, note.path.ptr, note.path.size);
    path[note.path.size] = '\0';
    memcpy(text, note.text.ptr, note.text.size);
    text[note.text.size] = '\0';
    event.note = (enum hsr_note_event)note.event;
    event.code = note.code;
    event.size = note.size;
    if (note.event == HSR_NOTE_FAILED)
        session->failed++;
    hsr_engine_event(session->engine, &event);
    return 0;
}
