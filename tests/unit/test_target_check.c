/* --checksum: a raw source that says that a file is the same, or is not, after it was sent. */
#include "tests/unit/server_fixture.h"

#include "transfer/engine/shard.h"
#include "transfer/engine/target_impl.h"

#define CHUNK 65536u
#define SIZE 70000u
#define FILES TARGET_FILES_MAX /* beside the first one */
#define LOOKS 1000u /* of 10 ms: on a busy machine */
#define DIGEST_SIZE 16u /* xxh3 */

struct push {
    struct fixture fx;
    struct raw control, stream;
    uint8_t token[HSR_TOKEN_SIZE];
};

/* One file that is there, of the same size, and many that are not; the first one's digest is to be
 * compared. */
static void push_open(struct push *push)
{
    struct hsr_open open = open_of(HSR_ROLE_SOURCE);
    static uint8_t out[HSR_CONTROL_PAYLOAD_MAX];
    struct hsr_writer writer = hsr_writer_init(out, sizeof(out));
    struct hsr_span payload = { 0 };
    struct hsr_want_item item = { 0 };
    struct hsr_list_reader list;
    int fd;

    memset(push, 0, sizeof(*push));
    open.options = HSR_OPT_CHECKSUM;
    fixture_start(&push->fx, 1);
    push->fx.writable = true;
    fd = openat(push->fx.root_fd, "f000", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK_EQ(ftruncate(fd, SIZE), 0);
    CHECK_EQ(close(fd), 0);
    raw_session(&push->fx, &push->control, &push->stream, hello_good.features, &open, push->token);
    for (uint32_t i = 0; i <= FILES; i++) {
        char name[16];
        struct hsr_entry entry = { .type = HSR_ENTRY_FILE,
                                   .mode = 0600,
                                   .uid = getuid(),
                                   .gid = getgid(),
                                   .mtime_s = 1000,
                                   .size = SIZE };

        (void)snprintf(name, sizeof(name), "f%03u", i);
        entry.name = (struct hsr_span){ (const uint8_t *)name, strlen(name) };
        CHECK_EQ(hsr_entry_encode(&writer, &entry), 0);
    }
    raw_frame(&push->control, HSR_FRAME_ENTRIES, out, writer.offset);
    raw_expect(&push->fx, &push->control, HSR_FRAME_WANT, &payload);
    CHECK_EQ(hsr_list_begin(&list, payload, FILES + 1), 0);
    CHECK_EQ(list.left, FILES + 1);
    while (hsr_want_next(&list, DIGEST_SIZE, &item) == 1)
        CHECK_EQ(item.action, item.index == 0 ? HSR_WANT_UNLESS : HSR_WANT_WHOLE);
}

static void push_close(struct push *push)
{
    raw_close(&push->stream);
    raw_close(&push->control);
    fixture_stop(&push->fx);
}

/* The first part of a file: the target opens a stage for it. */
static void range_send(struct push *push, uint32_t index)
{
    static uint8_t out[HSR_FRAME_HEADER_SIZE + CHUNK];
    struct hsr_frame frame = { .kind = HSR_FRAME_DATA,
                               .size = CHUNK,
                               .index = index,
                               .flags = HSR_FRAME_RANGE_END,
                               .seq = push->stream.seq++ };
    struct hsr_digest_run run;

    hsr_digest_run_init(&run, HSR_DIGEST_XXH3, CHUNK, 0);
    frame.check = hsr_digest_run_add(&run, out + HSR_FRAME_HEADER_SIZE, CHUNK);
    hsr_frame_encode(&frame, out);
    raw_send(&push->stream, out, sizeof(out));
    memset(out, 0, sizeof(out));
    for (unsigned i = 0; i < 4; i++)
        fixture_turn(&push->fx);
}

static const struct hsr_target *target_of(const struct push *push)
{
    struct hsr_list *node = push->fx.engine->shards[0].sessions.next;

    return hsr_container_of(node, struct hsr_session, node)->target;
}

/* Goal: a file that is all holes, and waits for its place behind others, has been sent: it is not
 * the same any more, nor does it differ and is wanted once more. */
static void test_check_of_a_file_that_was_sent(void)
{
    static const uint16_t kinds[] = { HSR_FRAME_DIFFERS, HSR_FRAME_SAME };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(kinds); i++) {
        struct hsr_file_end end = { .size = SIZE };
        struct push push;
        uint8_t out[64];
        int size;

        push_open(&push);
        for (uint32_t k = 1; k <= FILES; k++)
            range_send(&push, k);
        for (unsigned k = 0; k < LOOKS && target_of(&push)->file_count < FILES; k++)
            fixture_turn_for(&push.fx, 10 * HSR_NS_PER_MS);
        CHECK_EQ(target_of(&push)->file_count, FILES);
        size = hsr_file_end_encode(&end, DIGEST_SIZE, out, sizeof(out));
        CHECK(size > 0);
        raw_frame(&push.control, HSR_FRAME_FILE_END, out, (size_t)size);
        for (unsigned k = 0; k < LOOKS && !target_of(&push)->holes_waiting; k++)
            fixture_turn_for(&push.fx, 10 * HSR_NS_PER_MS);
        CHECK(target_of(&push)->holes_waiting);
        raw_frame(&push.control, kinds[i], "", 0);
        raw_expect_cancel(&push.fx, &push.control, HSR_E_PROTOCOL);
        push_close(&push);
    }
}

int main(void)
{
    RUN(test_check_of_a_file_that_was_sent);
    TEST_END();
}
