/* Goal: a data connection is not joined again before both sides know what arrived on the one before
 * it, however long telling takes. Method: a session without connections over a loop of the null
 * backend: nothing can be told, as when the control connection has no room. */
#include "hsr_test.h"

#include "transfer/engine/session.h"
#include "transfer/engine/stream.h"

static struct hsr_engine engine;
static struct hsr_shard shard;
static struct hsr_session session;

static void session_woken(struct hsr_task *task)
{
    (void)task;
}

static void fixture_init(void)
{
    struct hsr_backend *backend;

    memset(&engine, 0, sizeof(engine));
    memset(&shard, 0, sizeof(shard));
    memset(&session, 0, sizeof(session));
    CHECK_EQ(hsr_null_create(&backend), 0);
    CHECK_EQ(hsr_loop_init(&shard.loop, backend, 0), 0);
    shard.engine = &engine;
    engine.shards = &shard;
    engine.shard_count = 1;
    session.engine = &engine;
    session.home = &shard;
    session.client = true;
    session.role = HSR_ROLE_TARGET;
    session.state = HSR_SESSION_MOVING;
    session.streams_count = 2;
    hsr_task_init(&session.task, "session", session_woken);
}

static void fixture_fini(void)
{
    hsr_loop_forget(&shard.loop, &session.task);
    hsr_loop_fini(&shard.loop);
}

/* The server lost what we had already given up: it says so while the next one is due. */
static void test_lost_while_due_waits_to_be_settled(void)
{
    struct hsr_frame lost = { .kind = HSR_FRAME_LOST, .page = 1 };

    fixture_init();
    session.losses.again = 1u << 1;
    session.losses.due_ns[1] = 0;
    CHECK_EQ(hsr_loss_frame(&session, &lost), 0);
    CHECK(!hsr_loss_settled(&session, 1));
    hsr_loss_tick(&session);
    CHECK_EQ(session.rc, 0);
    CHECK_EQ(session.state, HSR_SESSION_MOVING);
    CHECK(session.streams[1] == NULL);
    CHECK_EQ(session.losses.again, 1u << 1); /* later */
    CHECK_EQ(hsr_loss_frame(&session, &lost), HSR_E_PROTOCOL); /* once for each */
    fixture_fini();
}

/* Both have said that it is lost, and the peer has already lost the next one: it did not wait for
 * us to look. */
static void test_lost_again_before_a_look(void)
{
    struct hsr_frame lost = { .kind = HSR_FRAME_LOST, .page = 1 };

    fixture_init();
    session.client = false;
    session.losses.gone = session.losses.told = 1u << 1;
    CHECK_EQ(hsr_loss_frame(&session, &lost), 0);
    CHECK_EQ(session.progress.streams_lost, 0);
    CHECK_EQ(hsr_loss_frame(&session, &lost), 0);
    CHECK_EQ(session.progress.streams_lost, 1);
    CHECK_EQ(session.losses.gone, 1u << 1); /* the next one, of which we never heard */
    CHECK_EQ(session.losses.told, 0);
    CHECK_EQ(hsr_loss_frame(&session, &lost), HSR_E_PROTOCOL);
    fixture_fini();
}

/* A stream that has said GONE is freed when the last work that crossed it is home. Nothing may be
 * sent to it any more: the cell of the message lies in it. */
static void test_close_after_gone_sends_nothing(void)
{
    static struct hsr_stream stream;

    fixture_init();
    stream = (struct hsr_stream){ .session = &session, .shard = &shard, .gone_heard = true };
    hsr_stream_close(&stream);
    CHECK(stream.close_msg.deliver == NULL);
    CHECK(!hsr_loop_pressed(&shard.loop));
    fixture_fini();
}

int main(void)
{
    RUN(test_lost_while_due_waits_to_be_settled);
    RUN(test_lost_again_before_a_look);
    RUN(test_close_after_gone_sends_nothing);
    TEST_END();
}
