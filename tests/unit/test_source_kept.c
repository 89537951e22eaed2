/* What a source is told to be kept of its files (KEPT), by a raw target. */
#include "tests/unit/server_fixture.h"

#include "transfer/engine/session.h"
#include "transfer/engine/shard.h"
#include "transfer/proto/kept.h"

#define FILES (HSR_FILES_MAX + 8) /* more than may be told of at once */
#define SIZE (2 * HSR_KEPT_UNIT + 1)
#define DIGEST_SIZE 16u /* xxh3 */

struct pull {
    struct fixture fx;
    struct raw control, stream;
    uint8_t token[HSR_TOKEN_SIZE];
    uint32_t page;
    uint16_t files[FILES]; /* their indexes in the page */
    uint32_t count;
};

static void file_name(char name[16], uint32_t i)
{
    (void)snprintf(name, 16, "f%03u", i);
}

static void files_make(struct pull *pull)
{
    for (uint32_t i = 0; i < FILES; i++) {
        char name[16];
        int fd;

        file_name(name, i);
        fd = openat(pull->fx.root_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK_EQ(ftruncate(fd, SIZE), 0);
        CHECK_EQ(close(fd), 0);
    }
}

static void page_read(struct pull *pull)
{
    struct hsr_frame frame = { 0 };
    struct hsr_span payload = { 0 };
    struct hsr_reader reader;

    CHECK(raw_wait(&pull->fx, &pull->control, &frame, &payload));
    CHECK_EQ(frame.kind, HSR_FRAME_ENTRIES);
    pull->page = frame.page;
    reader = hsr_reader_init(payload.ptr, payload.size);
    for (uint16_t i = 0; hsr_reader_left(&reader) > 0; i++) {
        struct hsr_entry entry;

        CHECK_EQ(hsr_entry_decode(&reader, &entry), 0);
        if (entry.type == HSR_ENTRY_FILE && pull->count < FILES)
            pull->files[pull->count++] = i;
    }
    CHECK_EQ(pull->count, FILES);
}

/* Up to a WANT for all of them, by RESUME. */
static void pull_open(struct pull *pull)
{
    struct hsr_open open = open_of(HSR_ROLE_TARGET);
    struct hsr_list_writer list;
    uint8_t out[1024];

    memset(pull, 0, sizeof(*pull));
    fixture_start(&pull->fx, 1);
    files_make(pull);
    raw_session(&pull->fx, &pull->control, &pull->stream, HSR_FEATURES_OURS, &open, pull->token);
    raw_paths(&pull->control, "");
    page_read(pull);
    hsr_list_start(&list, out, sizeof(out));
    for (uint32_t i = 0; i < FILES; i++) {
        struct hsr_want_item item = { .index = pull->files[i], .action = HSR_WANT_RESUME };

        CHECK_EQ(hsr_want_put(&list, DIGEST_SIZE, &item), 0);
    }
    raw_frame_as(&pull->control, (struct hsr_frame){ .kind = HSR_FRAME_WANT, .page = pull->page },
                 out, (size_t)hsr_list_finish(&list));
}

static void pull_close(struct pull *pull)
{
    raw_close(&pull->stream);
    raw_close(&pull->control);
    fixture_stop(&pull->fx);
}

/* The next FILE_END; its code. */
static int file_end_take(struct pull *pull)
{
    struct hsr_frame frame = { 0 };
    struct hsr_span payload = { 0 };
    struct hsr_file_end end = { .code = 1 };

    do { /* NOTE, STAGES */
        if (!raw_wait(&pull->fx, &pull->control, &frame, &payload))
            break;
    } while (frame.kind != HSR_FRAME_FILE_END && frame.kind != HSR_FRAME_CANCEL);
    CHECK_EQ(frame.kind, HSR_FRAME_FILE_END);
    if (frame.kind == HSR_FRAME_FILE_END)
        CHECK_EQ(hsr_file_end_decode(payload, DIGEST_SIZE, &end), 0);
    return end.code;
}

/* Goal: what is kept of a file that vanished is forgotten with it: it neither counts for ever among
 * what may be told at once, nor is taken for what is kept of another file.
 * Method: more of them than may be told of at once, one after the other. */
static void test_kept_of_files_that_vanished(void)
{
    struct hsr_kept_range range = { .size = HSR_KEPT_UNIT, .value = { 1 } };
    struct pull pull;
    uint8_t out[64];
    int size = hsr_kept_encode(&range, 1, DIGEST_SIZE, out, sizeof(out));

    CHECK(size > 0);
    pull_open(&pull);
    for (uint32_t i = 0; i < FILES; i++) {
        char name[16];

        file_name(name, i);
        CHECK_EQ(unlinkat(pull.fx.root_fd, name, 0), 0);
    }
    for (uint32_t i = 0; i < FILES; i++) {
        raw_frame_as(
            &pull.control,
            (struct hsr_frame){ .kind = HSR_FRAME_KEPT, .page = pull.page, .index = pull.files[i] },
            out, (size_t)size);
        CHECK_EQ(file_end_take(&pull), HSR_E_VANISHED);
    }
    pull_close(&pull);
}

int main(void)
{
    RUN(test_kept_of_files_that_vanished);
    TEST_END();
}
