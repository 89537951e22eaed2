/* See hold.h. */
#include "transfer/engine/hold.h"

#include "base/base.h"
#include "transfer/engine/session.h"
#include "transfer/engine/source.h"
#include "transfer/engine/stream.h"
#include "transfer/engine/target.h"

/* For what is on its way, its sync and its journal; whoever will not wait says so again. */
#define STOP_NS (10 * HSR_NS_PER_S)

static bool hold_tells(const struct hsr_session *session);
static void hold_say(struct hsr_session *session, enum hsr_hold_state state);
static void hold_source(struct hsr_session *session, bool hold);
static void stop_begin(struct hsr_session *session);
static void stop_source(struct hsr_session *session);
static void stop_target(struct hsr_session *session);
static int left_heard(struct hsr_session *session, struct hsr_span payload);

void hsr_hold_set(struct hsr_session *session, bool hold)
{
    struct hsr_hold *state = &session->hold;

    hsr_assert(session->client);
    if (session->state != HSR_SESSION_MOVING || state->stopping || state->wished == hold ||
        (session->source == NULL && session->target == NULL))
        return;
    if (session->source == NULL && !hold_tells(session)) {
        hsr_session_note(session, HSR_NOTE_WARNING, 0, "an older server cannot be paused", "", 0);
        return;
    }
    state->wished = hold;
    session->progress.held = hold;
    if (session->source != NULL)
        hold_source(session, hold);
    hold_say(session, hold ? HSR_HOLD_HELD : HSR_HOLD_GOING);
    hsr_session_wake(session); /* a target tells its source */
}

void hsr_hold_stop(struct hsr_session *session)
{
    struct hsr_hold *hold = &session->hold;
    uint64_t idle_ns = session->engine->config.idle_ns;
    uint64_t most = idle_ns > 0 ? HSR_MIN(STOP_NS, idle_ns) : STOP_NS;

    hsr_assert(session->client);
    if (session->state == HSR_SESSION_CLOSING || hold->stopping)
        return;
    if (session->state != HSR_SESSION_MOVING || !hold_tells(session) ||
        (session->source == NULL && session->target == NULL) ||
        (session->options & HSR_OPT_DRY_RUN)) {
        hsr_session_end(session, HSR_E_CANCELED, "interrupted");
        return;
    }
    hold->stop_ns = hsr_loop_clock(&session->home->loop) + most;
    hold_say(session, HSR_HOLD_STOPPING);
    stop_begin(session);
}

/* Does the server know of all this? */
static bool hold_tells(const struct hsr_session *session)
{
    return (session->features & HSR_FEATURE_HOLD) != 0;
}

static void hold_say(struct hsr_session *session, enum hsr_hold_state state)
{
    struct hsr_event event = {
        .kind = HSR_EVENT_HOLD, .session = session->id, .role = session->role, .hold = state
    };

    hsr_engine_event(session->engine, &event);
}

/* Streams that are held look from time to time. */
static void hold_source(struct hsr_session *session, bool hold)
{
    atomic_store_explicit(&session->hold.held, hold, memory_order_relaxed);
    hsr_session_wake(session);
}

int hsr_hold_frame(struct hsr_session *session, const struct hsr_frame *frame,
                   struct hsr_span payload)
{
    bool asked = session->source != NULL && !session->client;

    hsr_require(hold_tells(session), HSR_E_PROTOCOL);
    if (frame->kind == HSR_FRAME_LEFT)
        return left_heard(session, payload);
    hsr_require(session->source != NULL || session->target != NULL, HSR_E_PROTOCOL);
    if (frame->kind == HSR_FRAME_STOP) {
        /* A source stops when it is asked to, a target when nothing more comes. */
        hsr_require(!session->hold.stop_heard && (asked || session->target != NULL),
                    HSR_E_PROTOCOL);
        session->hold.stop_heard = true;
        stop_begin(session);
        return 0;
    }
    hsr_require(asked, HSR_E_PROTOCOL);
    if (!session->hold.stopping)
        hold_source(session, frame->kind == HSR_FRAME_HOLD);
    return 0;
}

static void stop_begin(struct hsr_session *session)
{
    session->hold.stopping = true;
    if (session->source != NULL)
        hold_source(session, true);
    hsr_session_wake(session);
}

void hsr_hold_step(struct hsr_session *session)
{
    struct hsr_hold *hold = &session->hold;

    if (session->state != HSR_SESSION_MOVING || session->control == NULL)
        return;
    if (session->client && session->target != NULL && hold->wished != hold->told &&
        hsr_conn_put(session->control, hold->wished ? HSR_FRAME_HOLD : HSR_FRAME_GO))
        hold->told = hold->wished;
    if (!hold->stopping)
        return;
    if (session->client && hsr_loop_clock(&session->home->loop) >= hold->stop_ns)
        hsr_session_end(session, HSR_E_CANCELED, "interrupted");
    else if (session->source != NULL)
        stop_source(session);
    else if (session->target != NULL)
        stop_target(session);
}

/* What is being sent leaves; then nothing more comes, and that is said. */
static void stop_source(struct hsr_session *session)
{
    struct hsr_hold *hold = &session->hold;

    for (uint32_t i = 0; i < session->streams_count; i++)
        if (session->streams[i] != NULL)
            hsr_stream_close(session->streams[i]);
    if (session->streams_open == 0 && !hold->stop_told && hsr_source_ends_told(session->source))
        hold->stop_told = hsr_conn_put(session->control, HSR_FRAME_STOP);
}

/* A client asks its source first. Its streams end when they have brought everything. */
static void stop_target(struct hsr_session *session)
{
    struct hsr_hold *hold = &session->hold;

    if (session->client && !hold->stop_told)
        hold->stop_told = hsr_conn_put(session->control, HSR_FRAME_STOP);
    if (hold->stop_heard && session->streams_open == 0 && hsr_target_stopped(session))
        hsr_session_end(session, HSR_E_CANCELED, "interrupted");
}

/* ---- what is kept ---- */

void hsr_hold_tell_left(struct hsr_session *session)
{
    struct hsr_left left = { .totals = session->totals };
    uint8_t *out;
    int size;

    if (session->client || session->target == NULL || session->control == NULL ||
        session->state != HSR_SESSION_MOVING || !hold_tells(session))
        return;
    out = hsr_conn_begin(session->control, HSR_LEFT_SIZE);
    if (out == NULL)
        return;
    hsr_target_left(session, &left.files, &left.bytes);
    size = hsr_left_encode(&left, out, HSR_LEFT_SIZE);
    hsr_assert(size > 0);
    hsr_conn_commit(session->control, (struct hsr_frame){ .kind = HSR_FRAME_LEFT }, (size_t)size);
}

static int left_heard(struct hsr_session *session, struct hsr_span payload)
{
    struct hsr_levels *levels = &session->progress.levels;
    struct hsr_left left;
    int rc = hsr_left_decode(payload, &left);

    hsr_require(rc == 0, rc);
    hsr_require(session->client && session->source != NULL, HSR_E_PROTOCOL);
    session->totals = left.totals;
    levels->written =
        HSR_MAX(levels->written, left.totals.files); /* what was not told on the way */
    levels->received = HSR_MAX(levels->received, levels->written);
    session->progress.left_files = left.files;
    session->progress.left_bytes = left.bytes;
    return 0;
}
