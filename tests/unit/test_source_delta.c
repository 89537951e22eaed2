/* A source and deltas: a server sends one file to a raw target, which says what it has, puts the
 * patches together by itself, and breaks every rule once. */
#include "tests/unit/server_fixture.h"

#include "transfer/delta/patch.h"
#include "transfer/delta/sign.h"
#include "transfer/engine/delta.h"
#include "transfer/engine/shard.h"
#include "transfer/proto/delta.h"

#define CHUNK 65536u
#define SIZE_MAX_BYTES (10u << 20)
#define BLOCK_LOG 10u
#define STRONG 8u
#define DIGEST_SIZE 16u /* xxh3 */

/* One session: what the target has, what the source has, and what came. */
struct pull {
    struct fixture fx;
    struct raw control, stream;
    uint8_t *old, *new, *made;
    uint32_t old_size, new_size;
    uint32_t page, index;
    uint8_t token[HSR_TOKEN_SIZE];
    uint32_t patches, datas;
    uint64_t literal, covered; /* bytes of content */
    uint32_t wire; /* bytes of payloads */
    struct hsr_file_end end;
};

static void want(struct pull *pull, uint8_t action)
{
    struct hsr_want_item item = { .index = (uint16_t)pull->index, .action = action };
    struct hsr_list_writer list;
    uint8_t out[64];

    hsr_list_start(&list, out, sizeof(out));
    CHECK_EQ(hsr_want_put(&list, DIGEST_SIZE, &item), 0);
    raw_frame_as(&pull->control, (struct hsr_frame){ .kind = HSR_FRAME_WANT, .page = pull->page },
                 out, (size_t)hsr_list_finish(&list));
}

/* Blocks [first, first + count) of the old version; @base_size and @log as they are claimed. */
static void sig_send_as(struct pull *pull, uint32_t first, uint32_t count, uint64_t base_size,
                        uint8_t log)
{
    struct hsr_delta_plan plan = { base_size, 1u << log, STRONG };
    static uint8_t sums[HSR_CONTROL_PAYLOAD_MAX], out[HSR_CONTROL_PAYLOAD_MAX];
    struct hsr_sig sig = { .base_size = base_size,
                           .block_log = log,
                           .strong_size = STRONG,
                           .count = count,
                           .sums = { sums, (size_t)count * (4 + STRONG) } };
    uint8_t secret[HSR_SIG_KEY_SIZE];
    struct hsr_delta_key key;
    uint64_t start = (uint64_t)first << log;
    int size;

    hsr_delta_key(pull->token, secret);
    hsr_delta_key_init(&key, secret);
    if (base_size == pull->old_size)
        CHECK_EQ(hsr_delta_sign(&plan, &key, pull->old + start,
                                HSR_MIN((uint64_t)count << log, base_size - start), start, sums),
                 count);
    size = hsr_sig_encode(&sig, first, out, sizeof(out));
    CHECK(size > 0);
    raw_frame_as(
        &pull->control,
        (struct hsr_frame){
            .kind = HSR_FRAME_SIG, .page = pull->page, .index = pull->index, .offset = first },
        out, (size_t)size);
}

static void sig_send(struct pull *pull, uint32_t first, uint32_t count)
{
    sig_send_as(pull, first, count, pull->old_size, BLOCK_LOG);
}

static uint32_t blocks(const struct pull *pull)
{
    return (uint32_t)hsr_sig_blocks(pull->old_size, BLOCK_LOG);
}

/* Before the session: @new_size bytes at the source; hole at the start of @hole bytes. */
static void pull_init(struct pull *pull, uint32_t old_size, uint32_t new_size)
{
    memset(pull, 0, sizeof(*pull));
    pull->old = calloc(1, SIZE_MAX_BYTES);
    pull->new = calloc(1, SIZE_MAX_BYTES);
    pull->made = calloc(1, SIZE_MAX_BYTES);
    pull->old_size = old_size;
    pull->new_size = new_size;
    for (uint32_t i = 0; i < old_size; i++)
        pull->old[i] = (uint8_t)(((uint64_t)i + 77) * (i + 3) * 0x9e3779b97f4a7c15ull >> 40);
    memcpy(pull->new, pull->old, HSR_MIN(old_size, new_size));
    fixture_start(&pull->fx, 1);
}

/* Write the file, from @hole on, and open the session up to the page that has it. */
static void pull_open(struct pull *pull, uint32_t options, uint32_t hole)
{
    struct hsr_open open = open_of(HSR_ROLE_TARGET);
    int fd = openat(pull->fx.root_fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    open.options = options;
    CHECK_EQ(ftruncate(fd, pull->new_size), 0);
    CHECK_EQ(pwrite(fd, pull->new + hole, pull->new_size - hole, hole), pull->new_size - hole);
    CHECK_EQ(close(fd), 0);
    raw_session(&pull->fx, &pull->control, &pull->stream, HSR_FEATURES_OURS, &open, pull->token);
    raw_paths(&pull->control, "");
    raw_page(&pull->fx, &pull->control, &pull->page, &pull->index);
}

static void pull_close(struct pull *pull)
{
    raw_close(&pull->stream);
    raw_close(&pull->control);
    fixture_stop(&pull->fx); /* asserts that every buffer is home */
    free(pull->old);
    free(pull->new);
    free(pull->made);
}

static void patch_apply(struct pull *pull, const struct hsr_frame *frame, struct hsr_span payload,
                        uint64_t copy_min)
{
    struct hsr_patch_bounds bounds = { .offset = frame->offset,
                                       .base_size = pull->old_size,
                                       .copy_min = copy_min,
                                       .size = frame->region };
    uint8_t *at = pull->made + frame->offset;
    struct hsr_patch_item item;
    struct hsr_patch patch;
    struct hsr_span inner = { 0 };
    const uint8_t *literal;

    CHECK_EQ(hsr_patch_frame_open(payload, &inner), 0);
    CHECK_EQ(hsr_patch_open(&patch, inner, &bounds), 0);
    while (hsr_patch_next(&patch, &item, &literal)) {
        if (item.kind == HSR_PATCH_COPY)
            memcpy(at, pull->old + item.base_offset, item.size);
        else if (item.kind == HSR_PATCH_LITERAL)
            memcpy(at, literal, item.size);
        else
            memset(at, 0, item.size);
        if (item.kind == HSR_PATCH_LITERAL)
            pull->literal += item.size;
        at += item.size;
    }
    CHECK_EQ(at - (pull->made + frame->offset), frame->region);
}

/* Everything of the file, up to its FILE_END: each frame's check is that of what it makes. */
static void file_take(struct pull *pull, bool inplace)
{
    uint8_t digest[DIGEST_SIZE];
    struct hsr_span payload = { 0 };
    struct hsr_frame frame = { 0 };

    pull->patches = pull->datas = pull->wire = 0;
    pull->literal = pull->covered = 0;
    memset(pull->made, 0, SIZE_MAX_BYTES);
    do { /* only FILE_END is awaited on the control connection */
        CHECK(raw_wait(&pull->fx, &pull->control, &frame, &payload));
    } while (frame.kind != HSR_FRAME_FILE_END && frame.kind != 0);
    CHECK_EQ(hsr_file_end_decode(payload, DIGEST_SIZE, &pull->end), 0);
    while (pull->covered < pull->end.bytes) {
        uint64_t window = HSR_INPLACE_WINDOW;
        struct hsr_digest_run run;

        frame.kind = 0;
        if (!raw_wait(&pull->fx, &pull->stream, &frame, &payload))
            break;
        if (frame.kind == HSR_FRAME_PATCH) {
            pull->patches++;
            patch_apply(pull, &frame, payload,
                        inplace && frame.offset > window ? frame.offset - window : 0);
        } else {
            CHECK_EQ(frame.kind, HSR_FRAME_DATA);
            pull->datas++;
            pull->literal += frame.size;
            memcpy(pull->made + frame.offset, payload.ptr, frame.size);
        }
        hsr_digest_run_init(&run, HSR_DIGEST_XXH3, CHUNK, frame.offset);
        CHECK(hsr_digest_same(
            hsr_digest_run_add(&run, pull->made + frame.offset, hsr_frame_content(&frame)),
            frame.check));
        pull->covered += hsr_frame_content(&frame);
        pull->wire += frame.size;
    }
    CHECK_EQ(pull->covered, pull->end.bytes);
    CHECK_EQ(pull->end.size, pull->new_size);
    hsr_digest_bytes(HSR_DIGEST_XXH3, pull->new, pull->new_size, CHUNK, digest);
    CHECK(memcmp(digest, pull->end.digest, sizeof(digest)) == 0);
    CHECK(memcmp(pull->made, pull->new, pull->new_size) == 0);
}

/* Goal: 100 bytes inserted near the start and some blocks changed: what moved is copied, also where
 * blocks cross the chunks' ends. */
static void test_source_delta_sends_what_differs(void)
{
    struct pull pull;

    pull_init(&pull, 400000, 400100);
    memcpy(pull.new + 5100, pull.old + 5000, 395000);
    memset(pull.new + 5000, 0x5a, 100);
    for (uint32_t i = 1; i < 4; i++)
        memset(pull.new + i * 90000, (int)i, 50);
    pull_open(&pull, HSR_OPT_DELTA, 0);
    want(&pull, HSR_WANT_DELTA);
    sig_send(&pull, 0, 100);
    sig_send(&pull, 100, blocks(&pull) - 100);
    file_take(&pull, false);
    CHECK_EQ(pull.end.code, 0);
    CHECK_EQ(pull.patches, 7);
    CHECK_EQ(pull.datas, 0);
    CHECK(pull.literal < 100 + 5 * 2048);
    CHECK(pull.wire < pull.literal + 7 * 64);
    pull_close(&pull);
}

/* Goal: a version that has nothing in common costs nothing on the wire but its signature. */
static void test_source_delta_sends_data_where_nothing_is_saved(void)
{
    struct pull pull;

    pull_init(&pull, 200000, 300000);
    for (uint32_t i = 0; i < pull.new_size; i++)
        pull.new[i] = (uint8_t)(i * i * 0x9e3779b1u >> 13) ^ 0x55;
    pull_open(&pull, HSR_OPT_DELTA, 0);
    want(&pull, HSR_WANT_DELTA);
    sig_send(&pull, 0, blocks(&pull));
    file_take(&pull, false);
    CHECK_EQ(pull.patches, 0);
    CHECK_EQ(pull.datas, 5);
    CHECK_EQ(pull.literal, 300000);
    pull_close(&pull);
}

/* Goal: after it was sent a file may be wanted once more, and comes whole; not a third time. */
static void test_source_delta_again_after_its_end(void)
{
    struct pull pull;

    pull_init(&pull, 300000, 300000);
    pull_open(&pull, HSR_OPT_DELTA, 0);
    want(&pull, HSR_WANT_DELTA);
    sig_send(&pull, 0, blocks(&pull));
    file_take(&pull, false);
    CHECK_EQ(pull.literal, 0);
    want(&pull, HSR_WANT_WHOLE);
    file_take(&pull, false);
    CHECK_EQ(pull.patches, 0);
    CHECK_EQ(pull.literal, 300000);
    want(&pull, HSR_WANT_WHOLE);
    raw_expect_cancel(&pull.fx, &pull.control, HSR_E_PROTOCOL);
    pull_close(&pull);
}

/* Goal: the wish is taken back in the middle of the signature; what it held is free again. */
static void test_source_delta_again_instead_of_its_signature(void)
{
    struct pull pull;

    for (uint32_t sent = 0; sent <= 100; sent += 100) {
        pull_init(&pull, 300000, 300000);
        pull_open(&pull, HSR_OPT_DELTA, 0);
        want(&pull, HSR_WANT_DELTA);
        if (sent > 0)
            sig_send(&pull, 0, sent);
        want(&pull, HSR_WANT_WHOLE);
        file_take(&pull, false);
        CHECK_EQ(pull.patches, 0);
        CHECK_EQ(pull.literal, 300000);
        CHECK_EQ(atomic_load(&pull.fx.engine->delta_used), 0);
        sig_send(&pull, 0, 1); /* nobody asked for it any more */
        raw_expect_cancel(&pull.fx, &pull.control, HSR_E_PROTOCOL);
        pull_close(&pull);
    }
}

/* Goal: what is read after a change is told as such, and its memory is free. */
static void test_source_delta_of_a_file_that_changed(void)
{
    struct hsr_span payload = { 0 };
    struct hsr_frame frame = { 0 };
    struct pull pull;
    int fd;

    pull_init(&pull, 300000, 300000);
    pull_open(&pull, HSR_OPT_DELTA, 0);
    want(&pull, HSR_WANT_DELTA);
    fd = openat(pull.fx.root_fd, "f", O_WRONLY | O_CLOEXEC);
    CHECK_EQ(pwrite(fd, "changed", 7, 1000), 7);
    CHECK_EQ(close(fd), 0);
    sig_send(&pull, 0, blocks(&pull));
    do {
        CHECK(raw_wait(&pull.fx, &pull.control, &frame, &payload));
    } while (frame.kind != HSR_FRAME_FILE_END && frame.kind != 0);
    CHECK_EQ(hsr_file_end_decode(payload, DIGEST_SIZE, &pull.end), 0);
    CHECK_EQ(pull.end.code, HSR_E_CHANGED);
    want(&pull, HSR_WANT_WHOLE); /* it failed: no second time */
    raw_expect_cancel(&pull.fx, &pull.control, HSR_E_PROTOCOL);
    pull_close(&pull);
}

/* Goal: without memory in the plan's pool the file is sent whole, and its signature is read all the
 * same. */
static void test_source_delta_without_memory(void)
{
    struct pull pull;
    uint64_t room;

    pull_init(&pull, 300000, 300000);
    room = pull.fx.engine->config.plan.delta_bytes;
    CHECK(hsr_delta_room_take(pull.fx.engine, room));
    pull_open(&pull, HSR_OPT_DELTA, 0);
    want(&pull, HSR_WANT_DELTA);
    sig_send(&pull, 0, 200);
    sig_send(&pull, 200, blocks(&pull) - 200);
    file_take(&pull, false);
    CHECK_EQ(pull.patches, 0);
    CHECK_EQ(pull.literal, 300000);
    hsr_delta_room_give(pull.fx.engine, room);
    pull_close(&pull);
}

/* Goal: in place nothing is copied from where the target has written long ago. The new content has
 * 8.5 MiB of hole, then what was at the old one's start. */
static void test_source_delta_in_place_keeps_to_the_window(void)
{
    uint32_t hole = 17u << 19;

    for (int inplace = 0; inplace < 2; inplace++) {
        struct pull pull;

        pull_init(&pull, 9u << 20, hole + 300000);
        memset(pull.new, 0, hole);
        memcpy(pull.new + hole, pull.old, 300000);
        pull_open(&pull, HSR_OPT_DELTA | (inplace ? HSR_OPT_INPLACE : 0), hole);
        want(&pull, HSR_WANT_DELTA);
        sig_send(&pull, 0, blocks(&pull));
        file_take(&pull, inplace);
        if (inplace) /* 0.5 MiB - 300000 bytes before the window begins */
            CHECK_EQ(pull.literal, 300000);
        else
            CHECK(pull.literal < 1024);
        pull_close(&pull);
    }
}

/* ---- small files: sums with the wish, patches in packs ---- */

static void want_patch(struct pull *pull, uint32_t base_size, uint8_t log)
{
    struct hsr_delta_plan plan = { base_size, 1u << log, HSR_SMALL_STRONG_SIZE };
    static uint8_t sums[8192], out[16384];
    struct hsr_want_item item = { .index = (uint16_t)pull->index,
                                  .action = HSR_WANT_PATCH,
                                  .block_log = log,
                                  .base_size = base_size,
                                  .sums = { sums, hsr_delta_signature_size(&plan) } };
    uint8_t secret[HSR_SIG_KEY_SIZE];
    struct hsr_list_writer list;
    struct hsr_delta_key key;

    hsr_delta_key(pull->token, secret);
    hsr_delta_key_init(&key, secret);
    hsr_delta_sign(&plan, &key, pull->old, base_size, 0, sums);
    hsr_list_start(&list, out, sizeof(out));
    CHECK_EQ(hsr_want_put(&list, DIGEST_SIZE, &item), 0);
    raw_frame_as(&pull->control, (struct hsr_frame){ .kind = HSR_FRAME_WANT, .page = pull->page },
                 out, (size_t)hsr_list_finish(&list));
}

/* A pack of the one file: what it makes is the new version. Says whether it was a patch. */
static bool pack_take(struct pull *pull)
{
    size_t table = hsr_pack_table_size(1, DIGEST_SIZE);
    struct hsr_pack_member member;
    struct hsr_span payload = { 0 };
    struct hsr_frame frame = { 0 };
    struct hsr_patch_bounds bounds = { .base_size = pull->old_size, .size = pull->new_size };
    uint8_t digest[DIGEST_SIZE];
    struct hsr_patch_item item;
    struct hsr_patch patch;
    const uint8_t *literal;
    uint8_t *at = pull->made;
    uint32_t count = 0;

    CHECK(raw_wait(&pull->fx, &pull->stream, &frame, &payload));
    CHECK_EQ(frame.kind, HSR_FRAME_PACK);
    CHECK_EQ(hsr_pack_decode(payload, DIGEST_SIZE, &member, &count), 0);
    CHECK_EQ(count, 1);
    CHECK_EQ(member.code, 0);
    hsr_digest_bytes(HSR_DIGEST_XXH3, pull->new, pull->new_size, CHUNK, digest);
    CHECK(memcmp(digest, member.digest, sizeof(digest)) == 0);
    pull->wire = member.size;
    if (!member.patch) {
        CHECK_EQ(member.size, pull->new_size);
        CHECK(memcmp(payload.ptr + table, pull->new, pull->new_size) == 0);
        return false;
    }
    CHECK_EQ(hsr_patch_open(&patch, (struct hsr_span){ payload.ptr + table, member.size }, &bounds),
             0);
    for (; hsr_patch_next(&patch, &item, &literal); at += item.size)
        if (item.kind == HSR_PATCH_COPY)
            memcpy(at, pull->old + item.base_offset, item.size);
        else if (item.kind == HSR_PATCH_LITERAL)
            memcpy(at, literal, item.size);
        else
            memset(at, 0, item.size);
    CHECK(memcmp(pull->made, pull->new, pull->new_size) == 0);
    return true;
}

/* Goal: what is in the old version is not sent, at all block sizes; files with nothing in common
 * come whole; what the sums took is given back. */
static void test_source_small_patch(void)
{
    for (uint8_t log = HSR_SMALL_BLOCK_LOG_MIN; log <= HSR_SMALL_BLOCK_LOG_MAX; log++) {
        for (uint32_t way = 0; way < 3; way++) {
            struct pull pull;

            pull_init(&pull, 30000, way == 0 ? 30000 : 30100);
            if (way == 1) {
                memcpy(pull.new + 5100, pull.old + 5000, 25000);
                memset(pull.new + 5000, 0x5a, 100);
            }
            for (uint32_t i = 0; way == 2 && i < pull.new_size; i++)
                pull.new[i] = (uint8_t)(i * i * 0x9e3779b1u >> 13) ^ 0x55;
            pull_open(&pull, HSR_OPT_DELTA, 0);
            want_patch(&pull, 30000, log);
            CHECK_EQ(pack_take(&pull), way < 2);
            CHECK(pull.wire <= (way == 0 ? 8u : way == 1 ? 120u + (2u << log) : 30100u));
            pull_close(&pull);
        }
    }
}

/* Goal: whole after all, before and after the pack was heard of; not a third time. */
static void test_source_small_again(void)
{
    struct pull pull;

    pull_init(&pull, 30000, 30000);
    pull_open(&pull, HSR_OPT_DELTA, 0);
    want_patch(&pull, 30000, 9);
    CHECK(pack_take(&pull));
    want(&pull, HSR_WANT_WHOLE);
    CHECK(!pack_take(&pull));
    want(&pull, HSR_WANT_WHOLE);
    raw_expect_cancel(&pull.fx, &pull.control, HSR_E_PROTOCOL);
    pull_close(&pull);
}

/* Goal: as above, with both wishes in one go: the second comes before the first was answered. */
static void test_source_small_again_at_once(void)
{
    struct pull pull;
    bool patch;

    pull_init(&pull, 30000, 30000);
    pull_open(&pull, HSR_OPT_DELTA, 0);
    want_patch(&pull, 30000, 9);
    want(&pull, HSR_WANT_WHOLE);
    patch = pack_take(&pull);
    CHECK(patch);
    CHECK(!pack_take(&pull));
    pull_close(&pull);
}

/* Goal: without memory for the sums the file is sent whole. */
static void test_source_small_without_memory(void)
{
    struct pull pull;
    uint64_t room;

    pull_init(&pull, 30000, 30000);
    room = pull.fx.engine->config.plan.delta_bytes;
    CHECK(hsr_delta_room_take(pull.fx.engine, room));
    pull_open(&pull, HSR_OPT_DELTA, 0);
    want_patch(&pull, 30000, 9);
    CHECK(!pack_take(&pull));
    hsr_delta_room_give(pull.fx.engine, room);
    pull_close(&pull);
}

/* Goal: sums for a file that is large, in a session without deltas, or twice, and a signature for a
 * small file, end the session. */
static void test_source_small_rules(void)
{
    for (uint32_t rule = 0; rule < 4; rule++) {
        struct pull pull;

        pull_init(&pull, 30000, rule == 0 ? 65537 : 30000);
        pull_open(&pull, rule == 1 ? 0 : HSR_OPT_DELTA, 0);
        want_patch(&pull, 30000, 9);
        if (rule == 2)
            want_patch(&pull, 30000, 9);
        if (rule == 3)
            sig_send(&pull, 0, 1);
        raw_expect_cancel(&pull.fx, &pull.control, HSR_E_PROTOCOL);
        pull_close(&pull);
    }
}

/* Goal: each rule of signatures, broken once, ends the session. */
static void test_source_delta_rules(void)
{
    static const int codes[] = { HSR_E_PROTOCOL, HSR_E_PROTOCOL, HSR_E_PROTOCOL, HSR_E_PROTOCOL,
                                 HSR_E_PROTOCOL, HSR_E_PROTOCOL, HSR_E_PROTOCOL };

    for (unsigned rule = 0; rule < HSR_ARRAY_COUNT(codes); rule++) {
        struct pull pull;

        pull_init(&pull, 300000, rule == 0 ? 65536 : 300000);
        pull_open(&pull, rule == 1 ? 0 : HSR_OPT_DELTA, 0);
        if (rule == 2) /* not wanted */
            sig_send(&pull, 0, 1);
        else if (rule == 3) /* wanted whole */
            want(&pull, HSR_WANT_WHOLE);
        else /* too small; without the option */
            want(&pull, HSR_WANT_DELTA);
        if (rule == 3)
            sig_send(&pull, 0, 1);
        if (rule == 4) { /* a gap */
            sig_send(&pull, 0, 10);
            sig_send(&pull, 11, 1);
        }
        if (rule == 5) { /* another version */
            sig_send(&pull, 0, 10);
            sig_send_as(&pull, 10, 1, 300001, BLOCK_LOG);
        }
        if (rule == 6) { /* DELTA twice */
            want(&pull, HSR_WANT_DELTA);
        }
        raw_expect_cancel(&pull.fx, &pull.control, codes[rule]);
        pull_close(&pull);
    }
}

/* ---- a data connection is lost, and the target says what no target of ours does ---- */

/* Nothing that left on it arrived, says the target. */
static void lose(struct pull *pull)
{
    raw_frame(&pull->control, HSR_FRAME_LOST, "", 0);
}

/* The server has said so too, and looked at what that means: ten times a second. */
static void settle(struct pull *pull)
{
    struct hsr_span payload = { 0 };
    struct hsr_frame frame = { 0 };

    do {
        CHECK(raw_wait(&pull->fx, &pull->control, &frame, &payload));
    } while (frame.kind != HSR_FRAME_LOST && frame.kind != 0 && !pull->control.ended);
    fixture_turn_for(&pull->fx, 150 * HSR_NS_PER_MS);
}

static void join(struct pull *pull)
{
    struct hsr_join join = { .stream = 0 };
    struct hsr_span payload;
    uint8_t out[64];

    memcpy(join.token, pull->token, sizeof(join.token));
    raw_close(&pull->stream);
    raw_connect(&pull->fx, &pull->stream);
    raw_hello(&pull->stream);
    raw_expect(&pull->fx, &pull->stream, HSR_FRAME_HELLO_ACK, &payload);
    CHECK_EQ(hsr_join_encode(&join, out, sizeof(out)), 20);
    raw_frame(&pull->stream, HSR_FRAME_JOIN, out, 20);
    raw_expect(&pull->fx, &pull->stream, HSR_FRAME_JOIN_ACK, &payload);
}

/* Goal: a file of which something is sent again may be wanted whole before its source knows that
 * all of that has left: it is sent whole behind it, once. */
static void test_source_delta_lost_and_wanted_whole(void)
{
    for (uint32_t small = 0; small < 2; small++) {
        struct pull pull;
        struct hsr_frame frame = { 0 };
        struct hsr_span payload = { 0 };
        uint32_t size = small ? 30000 : 300000;

        pull_init(&pull, size, size);
        pull_open(&pull, HSR_OPT_DELTA, 0);
        if (small) {
            want_patch(&pull, size, 9);
            CHECK(pack_take(&pull));
        } else {
            want(&pull, HSR_WANT_DELTA);
            sig_send(&pull, 0, blocks(&pull));
            file_take(&pull, false);
        }
        lose(&pull);
        settle(&pull);
        CHECK_EQ(pull.fx.events[HSR_EVENT_CLOSED], 0); /* so far it is what happens to anyone */
        want(&pull, HSR_WANT_WHOLE);
        join(&pull);
        if (small) {
            CHECK(!pack_take(&pull));
            CHECK(!pack_take(&pull));
        } else {
            for (uint32_t had = 0; had < size;) { /* what was lost; then the file */
                CHECK(raw_wait(&pull.fx, &pull.stream, &frame, &payload));
                CHECK_EQ(frame.kind, HSR_FRAME_DATA);
                CHECK(frame.size > 0);
                had += frame.size;
            }
            file_take(&pull, false);
            CHECK_EQ(pull.patches, 0);
            CHECK_EQ(pull.literal, size);
        }
        CHECK_EQ(pull.fx.events[HSR_EVENT_CLOSED], 0);
        want(&pull, HSR_WANT_WHOLE);
        raw_expect_cancel(&pull.fx, &pull.control, HSR_E_PROTOCOL);
        pull_close(&pull);
    }
}

/* Goal: what is wanted whole had arrived: nothing of the first try can be lost any more, whether
 * the second one is waiting, under way, or over. */
static void test_source_delta_wanted_whole_and_lost(void)
{
    for (uint32_t way = 0; way < 3; way++) {
        struct pull pull;

        pull_init(&pull, 300000, 300000);
        pull_open(&pull, HSR_OPT_DELTA, 0);
        want(&pull, HSR_WANT_DELTA);
        sig_send(&pull, 0, blocks(&pull));
        file_take(&pull, false);
        want(&pull, HSR_WANT_WHOLE);
        if (way == 1)
            fixture_turn_for(&pull.fx, HSR_NS_PER_MS);
        if (way == 2)
            file_take(&pull, false);
        lose(&pull);
        raw_expect_cancel(&pull.fx, &pull.control, HSR_E_PROTOCOL);
        pull_close(&pull);
    }
}

int main(void)
{
    RUN(test_source_delta_sends_what_differs);
    RUN(test_source_delta_sends_data_where_nothing_is_saved);
    RUN(test_source_delta_again_after_its_end);
    RUN(test_source_delta_again_instead_of_its_signature);
    RUN(test_source_delta_of_a_file_that_changed);
    RUN(test_source_delta_without_memory);
    RUN(test_source_delta_in_place_keeps_to_the_window);
    RUN(test_source_delta_rules);
    RUN(test_source_small_patch);
    RUN(test_source_small_again);
    RUN(test_source_small_again_at_once);
    RUN(test_source_small_without_memory);
    RUN(test_source_small_rules);
    RUN(test_source_delta_lost_and_wanted_whole);
    RUN(test_source_delta_wanted_whole_and_lost);
    TEST_END();
}
