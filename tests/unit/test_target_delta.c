/* A target and deltas: a raw source sends one file to a server that has an old version of it; what
 * the server says of that is used rightly, and every rule is broken once. */
#include "tests/unit/server_fixture.h"

#include "transfer/delta/patch.h"
#include "transfer/delta/sign.h"
#include "transfer/engine/delta.h"
#include "transfer/engine/shard.h"
#include "transfer/proto/delta.h"

#define CHUNK 65536u
#define SMALL 20000u
#define LARGE 200000u
#define DIGEST_SIZE 16u /* xxh3 */
#define BYTES_MAX (LARGE + 1000u)

/* One session, whose page 0 has one file. */
struct push {
    struct fixture fx;
    struct raw control, stream;
    uint8_t token[HSR_TOKEN_SIZE];
    uint8_t old[BYTES_MAX], new[BYTES_MAX];
    uint32_t old_size, new_size;
    struct hsr_want_item want; /* the last one */
    uint8_t sums[8192]; /* of it */
};

static void bytes_make(uint8_t *bytes, uint32_t size, uint64_t seed)
{
    struct hsr_prng prng = hsr_prng_init(seed);

    for (uint32_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(hsr_prng_next(&prng) >> 32);
}

/* What has the name at the target now. */
static void old_write(struct push *push, const void *bytes, uint32_t size)
{
    int fd = openat(push->fx.root_fd, "f", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CHECK_EQ(write(fd, bytes, size), size);
    CHECK_EQ(close(fd), 0);
}

static bool new_is_there(struct push *push)
{
    static uint8_t found[BYTES_MAX];
    int fd = openat(push->fx.root_fd, "f", O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, found, sizeof(found));

    CHECK_EQ(close(fd), 0);
    return size == push->new_size && memcmp(found, push->new, (size_t)size) == 0;
}

/* The session up to the WANT for its one file. */
static void push_open(struct push *push, uint32_t old_size, uint32_t new_size, uint32_t options)
{
    struct hsr_open open = open_of(HSR_ROLE_SOURCE);
    struct hsr_entry entry = { .type = HSR_ENTRY_FILE,
                               .name = { (const uint8_t *)"f", 1 },
                               .mode = 0600,
                               .uid = getuid(),
                               .gid = getgid(),
                               .mtime_s = 1000,
                               .size = new_size };
    struct hsr_writer writer;
    uint8_t out[512];

    open.options = options;
    memset(push, 0, sizeof(*push));
    push->old_size = old_size;
    push->new_size = new_size;
    bytes_make(push->old, old_size, 5);
    memcpy(push->new, push->old, HSR_MIN(old_size, new_size));
    fixture_start(&push->fx, 1);
    push->fx.writable = true;
    if (old_size > 0)
        old_write(push, push->old, old_size);
    raw_session(&push->fx, &push->control, &push->stream, hello_good.features | HSR_FEATURE_DELTA,
                &open, push->token);
    writer = hsr_writer_init(out, sizeof(out));
    CHECK_EQ(hsr_entry_encode(&writer, &entry), 0);
    raw_frame(&push->control, HSR_FRAME_ENTRIES, out, writer.offset);
}

static void push_close(struct push *push)
{
    raw_close(&push->stream);
    raw_close(&push->control);
    fixture_stop(&push->fx); /* asserts that every buffer is home */
}

/* The server asks for the file, by this action. */
static void want_take(struct push *push, uint8_t action)
{
    struct hsr_span payload = { 0 };
    struct hsr_list_reader list;

    raw_expect(&push->fx, &push->control, HSR_FRAME_WANT, &payload);
    CHECK_EQ(hsr_list_begin(&list, payload, 1), 0);
    CHECK_EQ(hsr_want_next(&list, DIGEST_SIZE, &push->want), 1);
    CHECK_EQ(push->want.action, action);
    if (push->want.sums.size > 0)
        memcpy(push->sums, push->want.sums.ptr, push->want.sums.size);
}

/* A pack of one member: @bytes, or a patch. */
static void pack_send(struct push *push, const void *bytes, uint32_t size, bool patch)
{
    static uint8_t out[HSR_FRAME_HEADER_SIZE + 1024 + CHUNK];
    uint8_t *table = out + HSR_FRAME_HEADER_SIZE;
    size_t table_size = hsr_pack_table_size(1, DIGEST_SIZE);
    struct hsr_pack_member member = { .patch = patch, .size = size };
    struct hsr_frame frame = { .kind = HSR_FRAME_PACK,
                               .size = (uint32_t)table_size + size,
                               .seq = push->stream.seq++ };

    hsr_digest_bytes(HSR_DIGEST_XXH3, push->new, push->new_size, CHUNK, member.digest);
    hsr_pack_encode(&member, 1, DIGEST_SIZE, table);
    memcpy(table + table_size, bytes, size);
    frame.check.low = hsr_hash64(table, table_size);
    hsr_frame_encode(&frame, out);
    raw_send(&push->stream, out, HSR_FRAME_HEADER_SIZE + table_size + size);
}

/* The new version by one copy of @size bytes from @from, and literal bytes behind it. */
static uint32_t patch_make(const struct push *push, uint64_t from, uint32_t size, uint8_t *out)
{
    struct hsr_patch_item items[2] = {
        { .base_offset = from, .size = size, .kind = HSR_PATCH_COPY },
        { .size = push->new_size - size, .kind = HSR_PATCH_LITERAL },
    };
    uint32_t count = size < push->new_size ? 2 : 1;
    size_t table = hsr_patch_table_encode(items, count, 0, out);

    memcpy(out + table, push->new + size, push->new_size - size);
    return (uint32_t)table + (push->new_size - size);
}

static void expect_acked(struct push *push)
{
    struct hsr_span payload = { 0 };

    raw_expect(&push->fx, &push->control, HSR_FRAME_PAGE_ACK, &payload);
    CHECK_EQ(payload.size, 5); /* nothing failed */
    CHECK(new_is_there(push));
}

/* The session ends; before that the target may tell of the file that failed. */
static void expect_cancel(struct push *push, int code)
{
    raw_expect_cancel(&push->fx, &push->control, code);
    CHECK(!new_is_there(push));
}

/* Goal: a small file's sums are those of its old version under the session's key, and a patch made
 * of it becomes the new one. */
static void test_target_small_patch(void)
{
    struct hsr_delta_plan plan = { SMALL, 0, HSR_SMALL_STRONG_SIZE };
    uint8_t secret[HSR_SIG_KEY_SIZE], patch[1024];
    static uint8_t sums[8192];
    struct hsr_delta_key key;
    static struct push push;

    push_open(&push, SMALL, SMALL + 50, HSR_OPT_DELTA);
    want_take(&push, HSR_WANT_PATCH);
    CHECK_EQ(push.want.base_size, SMALL);
    plan.block_size = 1u << push.want.block_log;
    hsr_delta_key(push.token, secret);
    hsr_delta_key_init(&key, secret);
    hsr_delta_sign(&plan, &key, push.old, SMALL, 0, sums);
    CHECK_EQ(push.want.sums.size, hsr_delta_signature_size(&plan));
    CHECK(memcmp(sums, push.sums, push.want.sums.size) == 0);
    pack_send(&push, patch, patch_make(&push, 0, SMALL, patch), true);
    expect_acked(&push);
    push_close(&push);
}

/* Goal: an old version that is another one when the patch comes, of the same size or not, or none
 * at all, is not believed: the file is wanted whole, once. */
static void test_target_small_base_changes(void)
{
    static uint8_t other[SMALL];

    for (uint32_t way = 0; way < 3; way++) {
        static struct push push;
        uint8_t patch[1024];

        push_open(&push, SMALL, SMALL + 50, HSR_OPT_DELTA);
        want_take(&push, HSR_WANT_PATCH);
        if (way == 2)
            CHECK_EQ(unlinkat(push.fx.root_fd, "f", 0), 0);
        else
            old_write(&push, other, SMALL - way);
        pack_send(&push, patch, patch_make(&push, 0, SMALL, patch), true);
        want_take(&push, HSR_WANT_WHOLE);
        if (way == 0) { /* no patch is asked for any more */
            pack_send(&push, patch, patch_make(&push, 0, SMALL, patch), true);
            expect_cancel(&push, HSR_E_PROTOCOL);
        } else {
            pack_send(&push, push.new, push.new_size, false);
            expect_acked(&push);
        }
        push_close(&push);
    }
}

/* Goal: patches that are none, reach beyond the old version, are too short or too long, or that
 * nobody asked for, end the session, and leave what was there. */
static void test_target_small_rules(void)
{
    static const int codes[] = { HSR_E_LIMIT,    HSR_E_LIMIT,    HSR_E_PROTOCOL, HSR_E_LIMIT,
                                 HSR_E_PROTOCOL, HSR_E_PROTOCOL, HSR_E_PROTOCOL };

    for (uint32_t rule = 0; rule < HSR_ARRAY_COUNT(codes); rule++) {
        static struct push push;
        uint8_t patch[1024] = { 0 };
        uint32_t size;

        push_open(&push, SMALL, SMALL + (rule == 6 ? 0 : 50), rule == 5 ? 0 : HSR_OPT_DELTA);
        want_take(&push, rule == 5 ? HSR_WANT_WHOLE : HSR_WANT_PATCH);
        if (rule == 0) { /* beyond the end */
            size = patch_make(&push, 1, SMALL, patch);
        } else if (rule == 1) { /* a count of nothing */
            size = 100;
        } else if (rule == 2) { /* a byte too many */
            size = patch_make(&push, 0, SMALL, patch) + 1;
        } else if (rule == 3) { /* makes more than the file has */
            push.new_size++;
            size = patch_make(&push, 0, SMALL, patch);
        } else if (rule == 4) { /* makes less */
            push.new_size--;
            size = patch_make(&push, 0, SMALL, patch);
        } else { /* 5: not asked for */
            size = patch_make(&push, 0, SMALL, patch);
        }
        if (rule == 6) /* the same member twice */
            pack_send(&push, patch, size, true);
        pack_send(&push, patch, size, true);
        if (rule < 6)
            expect_cancel(&push, codes[rule]);
        else /* the old version is the new one */
            raw_expect_cancel(&push.fx, &push.control, codes[rule]);
        push_close(&push);
    }
}

/* Goal: a member that is no patch does as well: that is the source's choice. */
static void test_target_small_whole_all_the_same(void)
{
    static struct push push;

    push_open(&push, SMALL, SMALL + 50, HSR_OPT_DELTA);
    want_take(&push, HSR_WANT_PATCH);
    pack_send(&push, push.new, push.new_size, false);
    expect_acked(&push);
    push_close(&push);
}

/* A PATCH frame of the first region, that claims to make @size bytes of the new version. */
static void region_send(struct push *push, uint64_t from, uint32_t size, bool spoilt)
{
    static uint8_t out[HSR_FRAME_HEADER_SIZE + CHUNK];
    uint8_t *payload = out + HSR_FRAME_HEADER_SIZE;
    struct hsr_patch_item item = { .base_offset = from, .size = size, .kind = HSR_PATCH_COPY };
    size_t table = hsr_patch_table_encode(&item, 1, 0, payload + HSR_PATCH_HEAD_SIZE);
    struct hsr_frame frame = { .kind = HSR_FRAME_PATCH,
                               .size = (uint32_t)(HSR_PATCH_HEAD_SIZE + table),
                               .seq = push->stream.seq++,
                               .region = size,
                               .flags = HSR_FRAME_RANGE_END };
    struct hsr_digest_run run;

    hsr_patch_frame_seal(payload, frame.size);
    hsr_digest_run_init(&run, HSR_DIGEST_XXH3, CHUNK, 0);
    frame.check = hsr_digest_run_add(&run, push->new, size);
    frame.check.low ^= spoilt;
    hsr_frame_encode(&frame, out);
    raw_send(&push->stream, out, HSR_FRAME_HEADER_SIZE + frame.size);
}

/* All signatures of a large file. */
static void signature_take(struct push *push)
{
    uint64_t blocks = 0, taken = 0;

    while (taken == 0 || taken < blocks) {
        struct hsr_span payload = { 0 };
        struct hsr_sig sig = { 0 };

        raw_expect(&push->fx, &push->control, HSR_FRAME_SIG, &payload);
        CHECK_EQ(hsr_sig_decode(payload, taken, &sig), 0);
        CHECK_EQ(sig.base_size, push->old_size);
        blocks = hsr_sig_blocks(sig.base_size, sig.block_log);
        taken += sig.count;
        if (sig.count == 0)
            break;
    }
}

static void file_end_send(struct push *push, uint64_t bytes)
{
    struct hsr_file_end end = { .size = push->new_size, .bytes = bytes };
    uint8_t out[64];
    int size;

    hsr_digest_bytes(HSR_DIGEST_XXH3, push->new, push->new_size, CHUNK, end.digest);
    size = hsr_file_end_encode(&end, DIGEST_SIZE, out, sizeof(out));
    CHECK(size > 0);
    raw_frame(&push->control, HSR_FRAME_FILE_END, out, (size_t)size);
}

/* Goal: a region whose check is not that of what comes out is no error of the protocol, the file is
 * wanted whole; a copy from beyond the old version is one, and so is a patch that nobody asked for.
 */
static void test_target_large_rules(void)
{
    for (uint32_t rule = 0; rule < 5; rule++) {
        static struct push push;

        push_open(&push, rule == 3 ? 0 : LARGE, LARGE,
                  HSR_OPT_DELTA | (rule == 4 ? HSR_OPT_INPLACE : 0));
        want_take(&push, rule == 3 ? HSR_WANT_WHOLE : HSR_WANT_DELTA);
        if (rule != 3)
            signature_take(&push);
        if (rule == 0) {
            region_send(&push, 0, CHUNK, true);
            file_end_send(&push, CHUNK);
            want_take(&push, HSR_WANT_WHOLE);
        } else if (rule == 1) { /* a part is missing: what a patch did not make is not zeros */
            region_send(&push, 0, CHUNK, false);
            file_end_send(&push, CHUNK);
            want_take(&push, HSR_WANT_WHOLE);
        } else if (rule == 4) { /* nor where it is: in place there is the old version */
            memset(push.new + CHUNK, 0, LARGE - CHUNK);
            region_send(&push, 0, CHUNK, false);
            file_end_send(&push, CHUNK);
            want_take(&push, HSR_WANT_WHOLE);
        } else {
            region_send(&push, LARGE - 100, CHUNK, false);
            raw_expect_cancel(&push.fx, &push.control, rule == 2 ? HSR_E_LIMIT : HSR_E_PROTOCOL);
        }
        push_close(&push);
    }
}

/* Goal: parts that are all right do not make a file whose digest is another one: it gets no name,
 * and the source hears of it. */
static void test_target_large_digest(void)
{
    static uint8_t out[HSR_FRAME_HEADER_SIZE + CHUNK];

    for (uint32_t spoilt = 0; spoilt < 2; spoilt++) {
        static struct push push;
        struct hsr_frame told = { 0 };
        struct hsr_span payload;

        push_open(&push, 0, LARGE, 0);
        bytes_make(push.new, LARGE, 6);
        want_take(&push, HSR_WANT_WHOLE);
        for (uint32_t at = 0; at < LARGE; at += CHUNK) {
            struct hsr_frame frame = { .kind = HSR_FRAME_DATA,
                                       .size = HSR_MIN(CHUNK, LARGE - at),
                                       .seq = push.stream.seq++,
                                       .offset = at };
            struct hsr_digest_run run;

            frame.flags = at + frame.size == LARGE ? HSR_FRAME_RANGE_END : 0;
            hsr_digest_run_init(&run, HSR_DIGEST_XXH3, CHUNK, at);
            frame.check = hsr_digest_run_add(&run, push.new + at, frame.size);
            hsr_frame_encode(&frame, out);
            memcpy(out + HSR_FRAME_HEADER_SIZE, push.new + at, frame.size);
            raw_send(&push.stream, out, HSR_FRAME_HEADER_SIZE + frame.size);
        }
        push.new[0] ^= (uint8_t)spoilt; /* for the digest */
        file_end_send(&push, LARGE);
        push.new[0] ^= (uint8_t)spoilt;
        if (!spoilt) {
            expect_acked(&push);
        } else {
            while (raw_wait(&push.fx, &push.control, &told, &payload) &&
                   told.kind == HSR_FRAME_NOTE)
                continue;
            CHECK_EQ(told.kind, HSR_FRAME_PAGE_ACK);
            CHECK(told.size > 5); /* it failed */
            CHECK_EQ(faccessat(push.fx.root_fd, "f", F_OK, 0), -1);
        }
        push_close(&push);
    }
}

int main(void)
{
    RUN(test_target_small_patch);
    RUN(test_target_small_base_changes);
    RUN(test_target_small_rules);
    RUN(test_target_small_whole_all_the_same);
    RUN(test_target_large_rules);
    RUN(test_target_large_digest);
    TEST_END();
}
