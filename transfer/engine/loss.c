/* See loss.h. */
#include "transfer/engine/loss.h"

#include <string.h>

#include "base/base.h"
#include "transfer/engine/session.h"
#include "transfer/engine/source.h"
#include "transfer/engine/stream.h"
#include "transfer/engine/target.h"

/* In a row of which nothing came; then the session goes on with the others. 20 s of pauses. */
#define LOSS_TRIES 8u
#define LOSS_PAUSE_NS (100 * HSR_NS_PER_MS) /* before the first; doubled for each next */
#define LOSS_PAUSE_MAX_NS (5 * HSR_NS_PER_S)
#define LOSS_LASTED_NS (10 * HSR_NS_PER_S) /* a connection that did so is not the trouble */
#define LOSS_TAKEN_TOLD 64u /* ends: of the 1024 that a source remembers */

static void loss_settle(struct hsr_session *session, uint32_t index);
static void loss_plan(struct hsr_session *session, uint32_t index);
static void loss_join(struct hsr_session *session, uint32_t index);
static bool loss_put(struct hsr_session *session, uint16_t kind, uint32_t index, uint64_t ends);

bool hsr_loss_may(const struct hsr_session *session, int rc)
{
    enum hsr_class class = hsr_err_class(rc);

    return session->state == HSR_SESSION_MOVING && session->bench == NULL &&
           (class == HSR_CLASS_NET || class == HSR_CLASS_BUSY) && hsr_err_retry(rc);
}

void hsr_loss_gone(struct hsr_session *session, const struct hsr_stream *stream, int rc)
{
    struct hsr_losses *losses = &session->losses;
    uint32_t index = stream->index;
    uint64_t bit = 1ull << index;

    hsr_assert((losses->gone & bit) == 0);
    losses->gone |= bit;
    losses->rc = rc;
    memcpy(losses->why, stream->why, sizeof(losses->why));
    losses->count++;
    if (session->role == HSR_ROLE_TARGET)
        losses->ends[index] = stream->ends;
    losses->taken[index] = losses->taken_told[index] = 0;
    hsr_session_wake(session);
}

void hsr_loss_joined(struct hsr_session *session, const struct hsr_stream *stream)
{
    session->losses.joined_ns[stream->index] = hsr_loop_clock(&session->home->loop);
}

int hsr_loss_frame(struct hsr_session *session, const struct hsr_frame *frame)
{
    struct hsr_losses *losses = &session->losses;
    uint32_t index = frame->page;
    uint64_t bit;

    hsr_require(session->bench == NULL && index < session->streams_count, HSR_E_PROTOCOL);
    bit = 1ull << index;
    if (frame->kind == HSR_FRAME_TAKEN) {
        hsr_require(session->source != NULL, HSR_E_PROTOCOL);
        return (losses->gone | losses->heard) & bit
                   ? 0 /* LOST says it better */
                   : hsr_source_taken(session, index, frame->offset);
    }
    hsr_require(session->source != NULL || frame->offset == 0, HSR_E_PROTOCOL);
    if (session->streams[index] != NULL)
        atomic_store(&session->streams[index]->unheard, true);
    if (session->hold.stopping)
        return 0; /* it crossed STOP: a target reads on, a source's leaving is over */
    if (losses->gone & losses->told & losses->heard & bit)
        loss_settle(session, index); /* as the peer did, which has lost the next one, too */
    hsr_require((losses->heard & bit) == 0, HSR_E_PROTOCOL);
    losses->heard |= bit;
    if (session->source != NULL)
        losses->ends[index] = frame->offset;
    if (session->streams[index] != NULL)
        hsr_stream_close(session->streams[index]); /* hsr_loss_gone() comes */
    else if ((losses->gone & bit) == 0) /* it never got here: it is gone as it is */
        losses->gone |= bit;
    hsr_session_wake(session);
    return 0;
}

void hsr_loss_tick(struct hsr_session *session)
{
    struct hsr_losses *losses = &session->losses;
    uint64_t now = hsr_loop_clock(&session->home->loop);

    if (session->state != HSR_SESSION_MOVING || session->hold.stopping ||
        (losses->gone | losses->heard | losses->again) == 0)
        return;
    for (uint32_t i = 0; i < session->streams_count; i++) {
        uint64_t bit = 1ull << i;

        if ((losses->gone & bit) && !(losses->told & bit) &&
            loss_put(session, HSR_FRAME_LOST, i, session->source != NULL ? 0 : losses->ends[i]))
            losses->told |= bit;
        if (losses->gone & losses->told & losses->heard & bit)
            loss_settle(session, i);
        if ((losses->again & bit) && losses->due_ns[i] <= now && hsr_loss_settled(session, i) &&
            session->state == HSR_SESSION_MOVING)
            loss_join(session, i);
    }
}

bool hsr_loss_open(const struct hsr_session *session)
{
    return (session->losses.gone | session->losses.heard) != 0;
}

bool hsr_loss_settled(const struct hsr_session *session, uint32_t index)
{
    return ((session->losses.gone | session->losses.heard) >> index & 1) == 0;
}

void hsr_loss_taken(struct hsr_session *session, uint32_t index)
{
    struct hsr_losses *losses = &session->losses;

    losses->taken[index]++;
    if (losses->taken[index] - losses->taken_told[index] >= LOSS_TAKEN_TOLD &&
        loss_put(session, HSR_FRAME_TAKEN, index, losses->taken[index]))
        losses->taken_told[index] = losses->taken[index];
}

static bool loss_put(struct hsr_session *session, uint16_t kind, uint32_t index, uint64_t ends)
{
    if (session->control == NULL || hsr_conn_begin(session->control, 0) == NULL)
        return false;
    hsr_conn_commit(session->control,
                    (struct hsr_frame){ .kind = kind, .page = index, .offset = ends }, 0);
    return true;
}

/* Both sides know what arrived. */
static void loss_settle(struct hsr_session *session, uint32_t index)
{
    struct hsr_losses *losses = &session->losses;
    uint64_t bit = 1ull << index;
    int rc = 0;

    hsr_assert(session->streams[index] == NULL);
    losses->gone &= ~bit;
    losses->told &= ~bit;
    losses->heard &= ~bit;
    if (session->source != NULL)
        rc = hsr_source_lost(session, index, losses->ends[index]);
    hsr_target_loses(
        session); /* those of now wait, if any do: what is sent again comes from now on */
    session->progress.streams_lost++; /* not before: at a session's end nothing is lost */
    if (losses->ends[index] > 0)
        losses->tries[index] = 0; /* it was of use */
    losses->ends[index] = 0;
    if (rc < 0)
        hsr_session_end(session, rc, "what a lost data connection had cannot be sent again");
    else if (session->client)
        loss_plan(session, index);
}

/* When is it joined again? Or is that over? */
static void loss_plan(struct hsr_session *session, uint32_t index)
{
    struct hsr_losses *losses = &session->losses;
    struct hsr_loop *loop = &session->home->loop;
    uint64_t now = hsr_loop_clock(loop), pause = LOSS_PAUSE_NS, draw = 0;
    bool others = losses->again != 0;

    for (uint32_t i = 0; i < session->streams_count; i++)
        others |= session->streams[i] != NULL;
    if (losses->joined_ns[index] != 0 && now - losses->joined_ns[index] >= LOSS_LASTED_NS)
        losses->tries[index] = 0;
    losses->joined_ns[index] = 0;
    if (losses->tries[index] >= LOSS_TRIES) {
        if (!others)
            hsr_session_end(session, losses->rc,
                            losses->why[0] != '\0' ? losses->why : "the data connections are lost");
        return;
    }
    for (uint8_t i = 0; i < losses->tries[index] && pause < LOSS_PAUSE_MAX_NS; i++)
        pause *= 2;
    losses->tries[index]++;
    loop->backend->ops->random(loop->backend, &draw, sizeof(draw));
    losses->due_ns[index] = now + draw % pause;
    losses->again |= 1ull << index;
}

static void loss_join(struct hsr_session *session, uint32_t index)
{
    struct hsr_shard *shard;
    struct hsr_stream *stream;
    int rc = hsr_session_admit(session, index, -1, &shard, &stream);

    session->losses.again &= ~(1ull << index);
    if (rc < 0) {
        hsr_session_end(session, rc, "no memory for a data connection");
        return;
    }
    stream->again = true;
    hsr_stream_connect(stream);
}
