/* See takeover.h. */
#include "transfer/engine/takeover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/session.h"

struct hsr_takeover {
    struct hsr_msg msg;
    struct hsr_list entered; /* shard 0's openings */
    struct hsr_list node; /* shard->takeovers */
    struct hsr_engine *engine;
    struct hsr_shard *origin; /* of the connection */
    struct hsr_conn *conn; /* NULL: it is closed; origin's thread alone looks */
    bool back; /* at the connection */
    unsigned at; /* the shard that it visits */
    uint8_t job[HSR_JOB_SIZE];
    uint32_t attempt;
    atomic_bool late; /* a later attempt is there */
};

static void takeover_send(struct hsr_takeover *takeover, struct hsr_shard *to,
                          void (*deliver)(struct hsr_msg *msg));
static void takeover_enter(struct hsr_msg *msg);
static void takeover_next(struct hsr_takeover *takeover);
static void takeover_visit(struct hsr_msg *msg);
static bool takeover_waits(struct hsr_takeover *takeover, struct hsr_shard *shard);
static void takeover_back(struct hsr_msg *msg);
static void takeover_leave(struct hsr_takeover *takeover);
static void takeover_strike(struct hsr_msg *msg);

int hsr_takeover_begin(struct hsr_conn *conn, const struct hsr_open *open)
{
    static const uint8_t none[HSR_JOB_SIZE];
    struct hsr_engine *engine = conn->shard->engine;
    struct hsr_takeover *takeover = conn->takeover;
    unsigned others;

    if (takeover != NULL && !takeover->back)
        return 1; /* the same frame once more */
    if (takeover != NULL)
        return atomic_load(&takeover->late) ? HSR_E_CLOSED : 0;
    others = atomic_fetch_add(&engine->opening, 1);
    if (memcmp(open->job, none, HSR_JOB_SIZE) == 0 ||
        (others == 0 && atomic_load(&engine->sessions) == 0))
        return 0; /* who comes from now on takes the long way, and finds our session */
    takeover = calloc(1, sizeof(*takeover));
    if (takeover == NULL)
        return -ENOMEM;
    takeover->engine = engine;
    takeover->origin = conn->shard;
    takeover->conn = conn;
    memcpy(takeover->job, open->job, HSR_JOB_SIZE);
    takeover->attempt = open->attempt;
    hsr_list_init(&takeover->entered);
    hsr_list_init(&takeover->node);
    conn->takeover = takeover;
    atomic_fetch_add(&engine->joining, 1); /* the engine does not end meanwhile */
    takeover_send(takeover, &engine->shards[0], takeover_enter);
    return 1;
}

void hsr_takeover_end(struct hsr_conn *conn)
{
    if (conn->takeover == NULL)
        atomic_fetch_sub(&conn->shard->engine->opening, 1);
    else
        takeover_leave(conn->takeover);
    conn->takeover = NULL;
}

void hsr_takeover_look(struct hsr_shard *shard)
{
    for (struct hsr_list *node = shard->takeovers.next, *next; node != &shard->takeovers;
         node = next) {
        struct hsr_takeover *takeover = hsr_container_of(node, struct hsr_takeover, node);

        next = node->next;
        if (takeover_waits(takeover, shard))
            continue;
        hsr_list_remove(&takeover->node);
        takeover->at++;
        takeover_next(takeover);
    }
}

void hsr_takeover_forget(struct hsr_conn *conn)
{
    struct hsr_takeover *takeover = conn->takeover;

    if (takeover == NULL)
        return;
    conn->takeover = NULL;
    takeover->conn = NULL;
    if (takeover->back)
        takeover_leave(takeover);
}

static void takeover_send(struct hsr_takeover *takeover, struct hsr_shard *to,
                          void (*deliver)(struct hsr_msg *msg))
{
    takeover->msg.deliver = deliver;
    hsr_loop_send(&to->loop, &takeover->msg);
}

/* On shard 0. Of one job the latest attempt counts, and of two equal ones the younger. */
static void takeover_enter(struct hsr_msg *msg)
{
    struct hsr_takeover *takeover = hsr_container_of(msg, struct hsr_takeover, msg);
    struct hsr_list *openings = &takeover->engine->shards[0].openings;

    for (struct hsr_list *node = openings->next; node != openings; node = node->next) {
        struct hsr_takeover *other = hsr_container_of(node, struct hsr_takeover, entered);

        if (memcmp(other->job, takeover->job, HSR_JOB_SIZE) != 0)
            continue;
        atomic_store(other->attempt > takeover->attempt ? &takeover->late : &other->late, true);
    }
    hsr_list_push_tail(openings, &takeover->entered);
    takeover_next(takeover);
}

static void takeover_next(struct hsr_takeover *takeover)
{
    struct hsr_engine *engine = takeover->engine;

    if (takeover->at == engine->shard_count || atomic_load(&takeover->late))
        takeover_send(takeover, takeover->origin, takeover_back);
    else
        takeover_send(takeover, &engine->shards[takeover->at], takeover_visit);
}

static void takeover_visit(struct hsr_msg *msg)
{
    struct hsr_takeover *takeover = hsr_container_of(msg, struct hsr_takeover, msg);
    struct hsr_shard *shard = &takeover->engine->shards[takeover->at];

    if (takeover_waits(takeover, shard)) {
        hsr_list_push_tail(&shard->takeovers, &takeover->node);
        return; /* hsr_takeover_look() goes on */
    }
    takeover->at++;
    takeover_next(takeover);
}

/* Is a session of an older attempt at the job here? It ends, if it does not yet. */
static bool takeover_waits(struct hsr_takeover *takeover, struct hsr_shard *shard)
{
    bool found = false;

    for (struct hsr_list *node = shard->sessions.next; node != &shard->sessions;
         node = node->next) {
        struct hsr_session *session = hsr_container_of(node, struct hsr_session, node);

        if (memcmp(session->job, takeover->job, HSR_JOB_SIZE) != 0)
            continue;
        if (session->attempt > takeover->attempt) {
            atomic_store(&takeover->late, true); /* it was under way for long: that one goes on */
            continue;
        }
        /* Both only wake a task: the list stays. */
        if (session->state != HSR_SESSION_CLOSING)
            hsr_session_end(session, HSR_E_CLOSED, "its client came back with a new session");
        else if (session->control != NULL) /* who was to hear its last words is here again */
            hsr_conn_close(session->control);
        found = true;
    }
    return found;
}

static void takeover_back(struct hsr_msg *msg)
{
    struct hsr_takeover *takeover = hsr_container_of(msg, struct hsr_takeover, msg);

    takeover->back = true;
    if (takeover->conn != NULL)
        hsr_conn_resume(takeover->conn);
    else
        takeover_leave(takeover);
}

static void takeover_leave(struct hsr_takeover *takeover)
{
    takeover_send(takeover, &takeover->engine->shards[0], takeover_strike);
}

/* On shard 0. */
static void takeover_strike(struct hsr_msg *msg)
{
    struct hsr_takeover *takeover = hsr_container_of(msg, struct hsr_takeover, msg);
    struct hsr_engine *engine = takeover->engine;

    hsr_list_remove(&takeover->entered);
    atomic_fetch_sub(&engine->opening, 1);
    atomic_store(&engine->shards[0].quiet, false); /* before `joining`: engine_quiet() */
    atomic_fetch_sub(&engine->joining, 1);
    free(takeover);
}
