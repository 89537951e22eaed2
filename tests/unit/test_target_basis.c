/* Old versions whose signatures a target makes: what they take of the memory for deltas, which all
 * sessions share. */
#include "tests/unit/server_fixture.h"

#include "transfer/engine/session.h"
#include "transfer/engine/shard.h"
#include "transfer/engine/window.h"

#define BLOCK_LOG 9u
#define FILES 5u
#define SIZE (300 * HSR_MIB) /* blocks of two are more than a source has room for */

_Static_assert(2 * (SIZE >> BLOCK_LOG) > HSR_SIG_BLOCKS_MAX, "two do not fit");

struct push {
    struct fixture fx;
    struct raw control, stream;
    uint8_t token[HSR_TOKEN_SIZE];
};

/* Files that are there and differ, all in one page. */
static void files_list(struct push *push)
{
    struct hsr_writer writer;
    uint8_t out[1024];

    writer = hsr_writer_init(out, sizeof(out));
    for (uint32_t i = 0; i < FILES; i++) {
        char name[2] = { (char)('a' + i), '\0' };
        struct hsr_entry entry = { .type = HSR_ENTRY_FILE,
                                   .name = { (const uint8_t *)name, 1 },
                                   .mode = 0600,
                                   .uid = getuid(),
                                   .gid = getgid(),
                                   .mtime_s = 1000,
                                   .size = SIZE };
        int fd = openat(push->fx.root_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        CHECK_EQ(ftruncate(fd, SIZE), 0);
        CHECK_EQ(close(fd), 0);
        CHECK_EQ(hsr_entry_encode(&writer, &entry), 0);
    }
    raw_frame(&push->control, HSR_FRAME_ENTRIES, out, writer.offset);
}

/* Goal: in place a file that has to wait until the source has room for its sums takes no memory for
 * its window while it waits, however often it is looked at; when the session is over all memory is
 * back. Method: two files are too many, and nobody reads what the target says. */
static void test_basis_that_waits_takes_nothing(void)
{
    struct hsr_open open = open_of(HSR_ROLE_SOURCE);
    struct push push = { 0 };
    uint64_t before;

    open.options = HSR_OPT_DELTA | HSR_OPT_INPLACE;
    open.block_log = BLOCK_LOG;
    fixture_start(&push.fx, 1);
    push.fx.writable = true;
    raw_session(&push.fx, &push.control, &push.stream, hello_good.features | HSR_FEATURE_DELTA,
                &open, push.token);
    before = atomic_load(&push.fx.engine->delta_used);
    CHECK(before > 0);
    files_list(&push);
    fixture_turn_for(&push.fx, 50 * HSR_NS_PER_MS);
    CHECK_EQ(atomic_load(&push.fx.engine->delta_used), before + hsr_window_bytes(SIZE));
    fixture_turn_for(&push.fx, 250 * HSR_NS_PER_MS);
    CHECK_EQ(atomic_load(&push.fx.engine->delta_used), before + hsr_window_bytes(SIZE));
    raw_close(&push.stream);
    raw_close(&push.control);
    for (unsigned i = 0; i < 100 && hsr_engine_sessions(push.fx.engine) > 0; i++)
        fixture_turn_for(&push.fx, 20 * HSR_NS_PER_MS);
    CHECK_EQ(hsr_engine_sessions(push.fx.engine), 0);
    CHECK_EQ(atomic_load(&push.fx.engine->delta_used), 0);
    fixture_stop(&push.fx);
}

int main(void)
{
    RUN(test_basis_that_waits_takes_nothing);
    TEST_END();
}
