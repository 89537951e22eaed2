/* What limits a session; see limit.h. */
#include "transfer/engine/limit.h"

#include "base/base.h"
#include "transfer/engine/reader.h"
#include "transfer/engine/session.h"
#include "transfer/engine/stream.h"

#define WATCH_NS (100 * HSR_NS_PER_MS) /* between publications of a shard */
#define STRETCH_NS (250 * HSR_NS_PER_MS) /* what a verdict is about: four in a second */

static void limit_watched(struct hsr_timer *timer);
static struct hsr_stages limit_ours(struct hsr_session *session);
static void limit_judge(struct hsr_session *session, const struct hsr_stages *ours,
                        const struct hsr_stages *peer);

void hsr_limit_init(struct hsr_session *session)
{
    struct hsr_limit *limit = &session->limit;
    struct hsr_shard *home = session->home;

    hsr_meter_init(&limit->meter, &home->loop);
    hsr_meter_start(&limit->meter, HSR_FIGURE_ELAPSED);
    hsr_limit_watch(home);
    hsr_lane_look(&home->lane, &home->loop); /* it may have been watched before */
    hsr_lane_read(&home->lane, &limit->lanes_base);
    limit->lanes[home->index] = true;
    limit->told_ns = limit->judged_ns = home->loop.now_ns;
}

void hsr_limit_lane(struct hsr_session *session, const struct hsr_shard *shard)
{
    bool *lane = &session->limit.lanes[shard->index];

    if (!*lane)
        hsr_lane_read(&shard->lane, &session->limit.lanes_base);
    *lane = true;
}

void hsr_limit_gone(struct hsr_session *session, const struct hsr_stream *stream)
{
    hsr_meter_read(&stream->meter, &session->limit.gone);
}

void hsr_limit_tick(struct hsr_session *session)
{
    struct hsr_limit *limit = &session->limit;
    uint64_t now_ns = session->home->loop.now_ns;
    struct hsr_stages ours;

    if (session->state != HSR_SESSION_MOVING)
        return;
    if (!session->client) {
        if (now_ns - limit->told_ns >= STRETCH_NS)
            hsr_limit_tell(session);
        return;
    }
    if (limit->agreed || now_ns - limit->judged_ns < STRETCH_NS)
        return;
    ours = limit_ours(session);
    limit_judge(session, &ours, NULL);
}

void hsr_limit_tell(struct hsr_session *session)
{
    struct hsr_limit *limit = &session->limit;
    struct hsr_stages ours;
    uint8_t *out;
    int size;

    if (session->client || !limit->agreed || session->control == NULL)
        return;
    out = hsr_conn_begin(session->control, sizeof(ours));
    if (out == NULL)
        return; /* the next one says it all */
    ours = limit_ours(session);
    size = hsr_stages_encode(&ours, out, sizeof(ours));
    hsr_assert(size > 0);
    hsr_conn_commit(session->control, (struct hsr_frame){ .kind = HSR_FRAME_STAGES }, (size_t)size);
    limit->told_ns = session->home->loop.now_ns;
}

int hsr_limit_heard(struct hsr_session *session, struct hsr_span payload)
{
    struct hsr_limit *limit = &session->limit;
    struct hsr_stages ours, peer;
    int rc;

    hsr_require(session->client && limit->agreed, HSR_E_PROTOCOL);
    hsr_require(session->state != HSR_SESSION_OPENING, HSR_E_PROTOCOL);
    rc = hsr_stages_decode(payload, &peer);
    if (rc < 0)
        return rc;
    ours = limit_ours(session);
    limit_judge(session, &ours, &peer);
    limit->peer = peer;
    limit->heard = true;
    return 0;
}

void hsr_limit_close(struct hsr_session *session)
{
    struct hsr_limit *limit = &session->limit;
    bool source = session->role == HSR_ROLE_SOURCE;
    struct hsr_stages ours = limit_ours(session);
    const struct hsr_stages *peer = limit->heard ? &limit->peer : NULL;

    hsr_verdict_make(source ? &ours : peer, source ? peer : &ours, session->bwlimit,
                     &limit->verdict);
}

void hsr_limit_watch(struct hsr_shard *shard)
{
    if (shard->watch.heap_index != 0)
        return;
    hsr_lane_look(&shard->lane, &shard->loop);
    shard->watch.fired = limit_watched;
    hsr_loop_timer_set(&shard->loop, &shard->watch, shard->loop.now_ns + WATCH_NS);
}

static void limit_watched(struct hsr_timer *timer)
{
    struct hsr_shard *shard = hsr_container_of(timer, struct hsr_shard, watch);
    bool used = false;

    for (struct hsr_list *node = shard->conns.next; node != &shard->conns; node = node->next) {
        struct hsr_conn *conn = hsr_container_of(node, struct hsr_conn, node);

        if (conn->stream == NULL || !conn->stream->joined)
            continue;
        hsr_meter_look(&conn->stream->meter);
        used = true;
    }
    hsr_lane_look(&shard->lane, &shard->loop);
    if (used || !hsr_list_empty(&shard->sessions))
        hsr_limit_watch(shard);
}

/* All of this side's figures as they are now; those of other shards up to a tenth of a second old.
 */
static struct hsr_stages limit_ours(struct hsr_session *session)
{
    struct hsr_limit *limit = &session->limit;
    struct hsr_engine *engine = session->engine;
    struct hsr_stages ours = limit->gone, lanes = { 0 };

    hsr_meter_look(&limit->meter);
    hsr_meter_read(&limit->meter, &ours);
    for (uint32_t i = 0; i < HSR_STREAMS_MAX; i++)
        if (session->streams[i] != NULL)
            hsr_meter_read(&session->streams[i]->meter, &ours);
    for (uint32_t i = 0; i < session->crew.hand_count; i++)
        ours.figure[HSR_FIGURE_HOME_WORK] +=
            atomic_load_explicit(&session->crew.hands[i].worked_ns, memory_order_relaxed);
    hsr_readers_figures(session, &ours);
    hsr_lane_look(&session->home->lane, &session->home->loop);
    for (unsigned i = 0; i < engine->shard_count; i++)
        if (limit->lanes[i])
            hsr_lane_read(&engine->shards[i].lane, &lanes);
    lanes = hsr_stages_between(&limit->lanes_base, &lanes);
    for (unsigned i = 0; i < HSR_FIGURE_COUNT; i++)
        ours.figure[i] = HSR_MIN(ours.figure[i] + lanes.figure[i], HSR_FIGURE_MAX);
    return ours;
}

void hsr_limit_ahead(struct hsr_session *session, struct hsr_ahead *into)
{
    struct hsr_engine *engine = session->engine;

    into->gap_ns = limit_ours(session).figure[HSR_FIGURE_ASLEEP];
    for (unsigned i = 0; i < engine->shard_count; i++)
        if (session->limit.lanes[i])
            hsr_lane_ahead(&engine->shards[i].lane, into);
    /* What another shard tells of its sleep may be a tenth of a second old. */
    into->gap_ns = HSR_MAX(into->gap_ns, into->used_ns);
}

/* A verdict about the time since the last one. */
static void limit_judge(struct hsr_session *session, const struct hsr_stages *ours,
                        const struct hsr_stages *peer)
{
    struct hsr_limit *limit = &session->limit;
    struct hsr_stages here = hsr_stages_between(&limit->ours, ours), there;

    if (peer != NULL)
        there = hsr_stages_between(&limit->peer, peer);
    hsr_verdict_make(session->role == HSR_ROLE_SOURCE ? &here
                     : peer != NULL                   ? &there
                                                      : NULL,
                     session->role == HSR_ROLE_TARGET ? &here
                     : peer != NULL                   ? &there
                                                      : NULL,
                     session->bwlimit, &limit->verdict);
    limit->ours = *ours;
    limit->judged_ns = session->home->loop.now_ns;
}
