/* A target machine by itself, over a loop of the null backend: what it makes of single events. */
#include "hsr_test.h"

#include "transfer/engine/session.h"
#include "transfer/engine/target_impl.h"
#include "transfer/tree/journal_anew.h"

static struct hsr_engine engine;
static struct hsr_shard shard;
static struct hsr_session session;
static struct hsr_target *target;
static struct hsr_volume volume;
static unsigned woken;

static void session_woken(struct hsr_task *task)
{
    (void)task;
    woken++;
}

/* A client's target, with a page of one file. */
static void fixture_init(void)
{
    struct hsr_entry entry = { .type = HSR_ENTRY_FILE,
                               .name = { (const uint8_t *)"f", 1 },
                               .size = 1 };
    static uint8_t payload[256];
    struct hsr_writer writer = hsr_writer_init(payload, sizeof(payload));
    struct hsr_backend *backend;
    struct target_page *page;

    memset(&engine, 0, sizeof(engine));
    memset(&shard, 0, sizeof(shard));
    memset(&session, 0, sizeof(session));
    woken = 0;
    CHECK_EQ(hsr_null_create(&backend), 0);
    CHECK_EQ(hsr_loop_init(&shard.loop, backend, 0), 0);
    shard.engine = &engine;
    session.engine = &engine;
    session.home = &shard;
    session.client = true;
    session.role = HSR_ROLE_TARGET;
    session.state = HSR_SESSION_MOVING;
    hsr_task_init(&session.task, "session", session_woken);
    target = calloc(1, sizeof(*target));
    session.target = target;
    target->session = &session;
    hsr_list_init(&target->files);
    target->pages = calloc(HSR_PAGES_MAX, sizeof(*target->pages));
    target->root.dir.volume = &volume;
    target->root.pending = 2;
    page = &target->pages[0];
    CHECK_EQ(hsr_entry_encode(&writer, &entry), 0);
    page->used = true;
    page->count = 1;
    page->pending = 1;
    page->payload = payload;
    page->entries[0] =
        (struct target_entry){ .size = (uint32_t)writer.offset, .dir = &target->root };
}

static void fixture_fini(void)
{
    hsr_loop_forget(&shard.loop, &session.task);
    hsr_loop_fini(&shard.loop);
    free(target->pages);
    free(target);
}

/* Goal: what failed at the source counts also if no NOTE told of it: there was no room for one. */
static void test_target_counts_what_walk_end_says(void)
{
    struct hsr_walk_end end = { .entries = 9, .failed = 3 };
    struct hsr_frame frame = { .kind = HSR_FRAME_WALK_END };
    uint8_t out[64];

    for (unsigned client = 0; client < 2; client++) {
        int size = hsr_walk_end_encode(&end, out, sizeof(out));

        CHECK(size > 0);
        fixture_init();
        session.client = client;
        session.failed = client; /* one was told */
        CHECK_EQ(hsr_target_frame(&session, &frame, (struct hsr_span){ out, (size_t)size }), 0);
        CHECK(target->walk_ended);
        CHECK_EQ(session.failed, client ? 3 : 0); /* a server's client knows them itself */
        fixture_fini();
    }
}

/* Goal: what fails at the source counts from WALK_END on, as nothing is listed once more then;
 * before it, and while we have asked for some, it may still arrive. */
static void test_target_counts_what_fails_after_the_walk(void)
{
    for (unsigned way = 0; way < 3; way++) {
        fixture_init();
        target->walk_ended = way > 0;
        target->acks_mend = way > 1;
        hsr_target_settle(target, &target->pages[0], 0, HSR_E_CHANGED, NULL);
        CHECK_EQ(session.failed, way == 1);
        CHECK_EQ(session.totals.failed, 0); /* the source is the one to tell */
        fixture_fini();
    }
}

/* Goal: a journal that gets its name without an operation, and has more to write, is not left so
 * until something else happens. */
static void test_target_journal_goes_on(void)
{
    struct hsr_journal *journal = calloc(1, sizeof(*journal));

    fixture_init();
    session.state = HSR_SESSION_CLOSING;
    hsr_tree_init(&target->tree, &shard.loop, 5, 0);
    journal->tree = &target->tree;
    journal->fd = -1;
    journal->anew = (struct hsr_journal_anew){ .on = true, .fd = 6 };
    journal->buffers = calloc(2, HSR_JOURNAL_BUFFER_SIZE);
    journal->filled = HSR_JOURNAL_RECORD_SIZE;
    target->resume.journal = journal;
    hsr_target_journal_step(target);
    CHECK(journal->ours && !journal->anew.on && hsr_journal_idle(journal));
    CHECK(!hsr_journal_settled(journal));
    CHECK_EQ(woken, 0);
    (void)hsr_loop_turn(&shard.loop, false);
    CHECK_EQ(woken, 1);
    free(journal->buffers);
    free(journal);
    target->resume.journal = NULL;
    hsr_tree_fini(&target->tree);
    fixture_fini();
}

int main(void)
{
    RUN(test_target_counts_what_walk_end_says);
    RUN(test_target_counts_what_fails_after_the_walk);
    RUN(test_target_journal_goes_on);
    TEST_END();
}
