/* See takeover.h. */
#include "transfer/engine/takeover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "transfer/engine/session.h"

struct hsr_takeover {
    struct hsr_msg msg;
    struct hsr_list node; /* shard->takeovers */
    struct hsr_engine *engine;
    struct hsr_shard *origin; /* of the connection */
    struct hsr_conn *conn; /* NULL: it is closed; origin's thread alone looks */
    unsigned at; /* the shard that it visits */
    uint8_t job[HSR_JOB_SIZE];
    uint32_t attempt;
    bool late; /* a session of a later attempt is there */
};

static void takeover_next(struct hsr_takeover *takeover);
static void takeover_visit(struct hsr_msg *msg);
static void takeover_back(struct hsr_msg *msg);
static bool takeover_waits(struct hsr_takeover *takeover, struct hsr_shard *shard);

int hsr_takeover_begin(struct hsr_conn *conn, const struct hsr_open *open)
{
    static const uint8_t none[HSR_JOB_SIZE];
    struct hsr_engine *engine = conn->shard->engine;
    struct hsr_takeover *takeover;

    if (conn->takeover != NULL)
        return 1; /* the same frame once more */
    if (memcmp(open->job, none, HSR_JOB_SIZE) == 0 || atomic_load(&engine->sessions) == 0)
        return 0;
    takeover = calloc(1, sizeof(*takeover));
    if (takeover == NULL)
        return -ENOMEM;
    takeover->engine = engine;
    takeover->origin = conn->shard;
    takeover->conn = conn;
    memcpy(takeover->job, open->job, HSR_JOB_SIZE);
    takeover->attempt = open->attempt;
    hsr_list_init(&takeover->node);
    conn->takeover = takeover;
    atomic_fetch_add(&engine->joining, 1); /* the engine does not end meanwhile */
    takeover_next(takeover);
    return 1;
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
    if (conn->takeover != NULL)
        conn->takeover->conn = NULL;
    conn->takeover = NULL;
}

static void takeover_next(struct hsr_takeover *takeover)
{
    struct hsr_engine *engine = takeover->engine;
    bool over = takeover->at == engine->shard_count;
    struct hsr_shard *to = over ? takeover->origin : &engine->shards[takeover->at];

    takeover->msg.deliver = over ? takeover_back : takeover_visit;
    hsr_loop_send(&to->loop, &takeover->msg);
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
            takeover->late = true; /* it was under way for long: that one goes on */
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
    struct hsr_conn *conn = takeover->conn;

    if (conn != NULL) {
        conn->takeover = NULL;
        conn->took_over = true;
        conn->late = takeover->late;
        hsr_conn_resume(conn);
    }
    atomic_store(&takeover->origin->quiet, false); /* before `joining` goes down: engine_quiet() */
    atomic_fetch_sub(&takeover->engine->joining, 1);
    free(takeover);
}
