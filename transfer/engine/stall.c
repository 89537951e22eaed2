/* See stall.h. */
#include "transfer/engine/stall.h"

#include <stdio.h>

#include "base/base.h"
#include "transfer/engine/session.h"
#include "transfer/engine/stream.h"

#define STALL_NS (5 * HSR_NS_PER_S) /* without progress, while all connections live */

static uint64_t stall_connection(const struct hsr_session *session, uint64_t now, char *text);
static uint64_t stall_progress(struct hsr_session *session, uint64_t now, char *text);
static void stall_tell(struct hsr_session *session, uint64_t stall_ns, const char *text);

void hsr_stall_tick(struct hsr_session *session)
{
    struct hsr_progress *progress = &session->progress;
    struct hsr_stall *stall = &session->stall;
    uint64_t now = hsr_loop_clock(&session->home->loop);
    uint64_t stall_ns = stall_progress(session, now, progress->stall);
    uint64_t quiet_ns = stall_connection(session, now, progress->stall);

    stall_ns = quiet_ns > 0 ? quiet_ns : stall_ns;
    progress->stall_ns = stall_ns;
    if (stall_ns == 0)
        progress->stall[0] = '\0';
    if (stall_ns > 0 && stall->since_ns == 0) {
        stall->since_ns = now - HSR_MIN(stall_ns, now - 1);
        stall_tell(session, stall_ns, progress->stall);
    } else if (stall_ns == 0 && stall->since_ns > 0) {
        stall_tell(session, now - stall->since_ns, "");
        stall->since_ns = 0;
    }
}

/* The connection that is quiet for longest: for how long, with words in @text; or 0. */
static uint64_t stall_connection(const struct hsr_session *session, uint64_t now, char *text)
{
    uint64_t longest = 0;
    bool there;

    if (session->control != NULL) { /* its pulse may have ended it just now */
        longest = hsr_pulse_quiet(&session->control->pulse, &there);
        if (longest > 0)
            hsr_conn_quiet_words(session->peer, UINT32_MAX, longest, there, text, HSR_STALL_SIZE);
    }
    for (uint32_t i = 0; i < session->streams_count; i++) {
        struct hsr_stream *stream = session->streams[i];
        uint64_t since = 0;

        if (stream != NULL)
            since = atomic_load_explicit(&stream->quiet_ns, memory_order_relaxed);
        if (since == 0 || since + longest >= now)
            continue;
        longest = now - since;
        hsr_conn_quiet_words(session->peer, i, longest,
                             atomic_load_explicit(&stream->quiet_there, memory_order_relaxed), text,
                             HSR_STALL_SIZE);
    }
    return longest;
}

/* Nothing has moved for a while, on no connection in particular. What --bwlimit or its user holds
 * back is not stalled. */
static uint64_t stall_progress(struct hsr_session *session, uint64_t now, char *text)
{
    const struct hsr_progress *progress = hsr_session_progress(session);
    struct hsr_stall *stall = &session->stall;
    uint64_t moved = progress->bytes_done + progress->entries_done + progress->entries_seen +
                     progress->entries_kept;
    enum hsr_step step = progress->verdict.limit;
    const char *what = step == HSR_STEP_NONE ? session->peer : hsr_step_name(step);
    uint64_t still_ns;

    if (moved != stall->moved || stall->moved_ns == 0 || step == HSR_STEP_BWLIMIT ||
        progress->held || session->hold.stopping) {
        stall->moved = moved;
        stall->moved_ns = now;
    }
    still_ns = now - stall->moved_ns;
    if (still_ns < STALL_NS)
        return 0;
    (void)snprintf(text, HSR_STALL_SIZE, "no byte for %.1f s, waiting for %s",
                   (double)still_ns / 1e9, what); /* cut: the start says it */
    return still_ns;
}

static void stall_tell(struct hsr_session *session, uint64_t stall_ns, const char *text)
{
    struct hsr_event event = { .kind = HSR_EVENT_STALL,
                               .session = session->id,
                               .peer = session->peer,
                               .role = session->role,
                               .size = stall_ns,
                               .text = text };

    hsr_engine_event(session->engine, &event);
}
