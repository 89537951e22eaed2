/* Payloads of fixed layout, lists and packs: round trips, every truncation, limits from below and
 * above, fields that must be zero, sizes that do not add up. */
#include "transfer/proto/message.h"

#include "base/err.h"
#include "tests/unit/hsr_test.h"

static uint8_t out[2 * HSR_CONTROL_PAYLOAD_MAX];
static uint8_t big[HSR_RULES_SIZE_MAX + 1];

static struct hsr_span span(const char *words)
{
    return (struct hsr_span){ (const uint8_t *)words, strlen(words) };
}

/* "aaaa..." of @size bytes; with @part a '/' after every @part bytes. */
static struct hsr_span filler(size_t size, size_t part)
{
    static uint8_t buffer[HSR_PATH_WIRE_MAX + 2];

    for (size_t i = 0; i < size; i++)
        buffer[i] = part != 0 && i % (part + 1) == part ? '/' : 'a';
    return (struct hsr_span){ buffer, size };
}

/* The payload in @out of @size bytes: it decodes; no shorter one does, nor one with a byte more;
 * what does not fit is not encoded. @name is both the function's and the structure's. */
#define CHECK_PAYLOAD(name, value)                                                                 \
    do {                                                                                           \
        static uint8_t payload_copy[sizeof(out)];                                                  \
        struct hsr_##name payload_back;                                                            \
        int payload_size = hsr_##name##_encode(value, out, sizeof(out));                           \
        CHECK(payload_size > 0);                                                                   \
        if (payload_size <= 0)                                                                     \
            break;                                                                                 \
        memcpy(payload_copy, out, (size_t)payload_size);                                           \
        payload_copy[payload_size] = 0;                                                            \
        CHECK_EQ(hsr_##name##_decode((struct hsr_span){ payload_copy, (size_t)payload_size },      \
                                     &payload_back),                                               \
                 0);                                                                               \
        memset(out, 0xee, (size_t)payload_size + 1);                                               \
        CHECK_EQ(hsr_##name##_encode(&payload_back, out, (size_t)payload_size), payload_size);     \
        CHECK(memcmp(out, payload_copy, (size_t)payload_size) == 0);                               \
        CHECK_EQ(out[payload_size], 0xee);                                                         \
        CHECK_EQ(hsr_##name##_decode((struct hsr_span){ payload_copy, (size_t)payload_size + 1 },  \
                                     &payload_back),                                               \
                 HSR_E_PROTOCOL);                                                                  \
        int payload_step = payload_size > 4096 ? 997 : 1;                                          \
        for (int cut = 0; cut < payload_size; cut += payload_step) {                               \
            CHECK_EQ(hsr_##name##_decode((struct hsr_span){ payload_copy, (size_t)cut },           \
                                         &payload_back),                                           \
                     HSR_E_TRUNCATED);                                                             \
            CHECK_EQ(hsr_##name##_encode(value, out, (size_t)cut), HSR_E_LIMIT);                   \
        }                                                                                          \
    } while (0)

/* Messages with a digest, by its size: file_end16 is hsr_file_end with 16 bytes. */
#define WITH_DIGEST(name, bytes)                                                                   \
    static int hsr_##name##bytes##_encode(const struct hsr_##name *message, void *to, size_t size) \
    {                                                                                              \
        return hsr_##name##_encode(message, bytes, to, size);                                      \
    }                                                                                              \
    static int hsr_##name##bytes##_decode(struct hsr_span payload, struct hsr_##name *ret_message) \
    {                                                                                              \
        return hsr_##name##_decode(payload, bytes, ret_message);                                   \
    }

WITH_DIGEST(file_end, 16)
WITH_DIGEST(file_end, 32)
WITH_DIGEST(digest_answer, 16)
WITH_DIGEST(digest_answer, 32)
#define hsr_file_end16 hsr_file_end
#define hsr_file_end32 hsr_file_end
#define hsr_digest_answer16 hsr_digest_answer
#define hsr_digest_answer32 hsr_digest_answer

/* The encoder's @value, one byte changed to @byte: the decoder answers @code. */
#define CHECK_POKED(name, value, at, byte, code)                                                   \
    do {                                                                                           \
        struct hsr_##name poked_back;                                                              \
        int poked_size = hsr_##name##_encode(value, out, sizeof(out));                             \
        CHECK(poked_size > (int)(at));                                                             \
        out[at] = (uint8_t)(byte);                                                                 \
        CHECK_EQ(hsr_##name##_decode((struct hsr_span){ out, (size_t)poked_size }, &poked_back),   \
                 code);                                                                            \
    } while (0)

/* Encoder and decoder agree on what @field = @bad is: the encoder refuses with @code. */
#define CHECK_REFUSED(name, good, field, bad, code)                                                \
    do {                                                                                           \
        struct hsr_##name refused = good;                                                          \
        refused.field = bad;                                                                       \
        CHECK_EQ(hsr_##name##_encode(&refused, out, sizeof(out)), code);                           \
    } while (0)

static void test_message_hello(void)
{
    struct hsr_hello hello = { HSR_PROTO_MAGIC, 1, 3, UINT64_MAX, 30000, span("agent/1") };

    CHECK_PAYLOAD(hello, &hello);
    CHECK_POKED(hello, &hello, 0, 0, HSR_E_PROTOCOL); /* magic */
    CHECK_POKED(hello, &hello, 4, 0, HSR_E_PROTOCOL); /* version 0 */
    CHECK_POKED(hello, &hello, 4, 4, HSR_E_PROTOCOL); /* min over max */
    CHECK_POKED(hello, &hello, 20, 200, HSR_E_TRUNCATED);
    CHECK_POKED(hello, &hello, 20, 2, HSR_E_PROTOCOL); /* bytes trail */
    hello.agent = filler(HSR_AGENT_MAX, 0);
    CHECK_PAYLOAD(hello, &hello);
    CHECK_EQ(hsr_hello_encode(&hello, out, sizeof(out)), 86);
    CHECK_REFUSED(hello, hello, agent, filler(HSR_AGENT_MAX + 1, 0), HSR_E_LIMIT);
}

static void test_message_hello_ack(void)
{
    struct hsr_hello_ack ack = { 1, 1, 64, 256, 4u << 20, 1000, span("x") };

    CHECK_PAYLOAD(hello_ack, &ack);
    CHECK_POKED(hello_ack, &ack, 0, 0, HSR_E_PROTOCOL);
    CHECK_POKED(hello_ack, &ack, 10, 65, HSR_E_LIMIT);
    CHECK_POKED(hello_ack, &ack, 10, 0, HSR_E_LIMIT);
    CHECK_POKED(hello_ack, &ack, 15, 2, HSR_E_LIMIT); /* depth 512 */
    CHECK_POKED(hello_ack, &ack, 18, 1, HSR_E_LIMIT); /* chunk 4 MiB + 1 */
    ack.agent = filler(HSR_AGENT_MAX, 0);
    CHECK_EQ(hsr_hello_ack_encode(&ack, out, sizeof(out)), 92);
}

static struct hsr_open open_good(void)
{
    return (struct hsr_open){ .role = HSR_ROLE_TARGET,
                              .digest = HSR_DIGEST_XXH3,
                              .durability = HSR_DURABILITY_WRITTEN,
                              .block_log = 12,
                              .options = HSR_OPTS_ALL &
                                         ~(HSR_OPT_DISCARD | HSR_OPT_VERIFY | HSR_OPT_AHEAD_ON |
                                           HSR_OPT_MEASURE | HSR_OPT_VERIFY_RESUME),
                              .streams = 8,
                              .depth = 4,
                              .chunk = 65536,
                              .bwlimit = 1,
                              .delete_max = UINT64_MAX,
                              .paths = 3,
                              .export_name = span("data"),
                              .path = span("a/b"),
                              .rules = span("rules"),
                              .congestion = span("bbr"),
                              .job = { 1, 2, 3 },
                              .attempt = 4 };
}

static void test_message_open(void)
{
    struct hsr_open open = open_good();

    CHECK_PAYLOAD(open, &open);
    CHECK_POKED(open, &open, 0, 0, HSR_E_PROTOCOL);
    CHECK_POKED(open, &open, 0, 3, HSR_E_PROTOCOL);
    CHECK_POKED(open, &open, 0, HSR_ROLE_SOURCE, HSR_E_PROTOCOL); /* but paths is 3 */
    CHECK_POKED(open, &open, 1, 0, HSR_E_PROTOCOL);
    CHECK_POKED(open, &open, 1, 3, HSR_E_PROTOCOL);
    CHECK_POKED(open, &open, 2, 0, HSR_E_PROTOCOL);
    CHECK_POKED(open, &open, 2, 4, HSR_E_PROTOCOL);
    CHECK_POKED(open, &open, 3, 8, HSR_E_LIMIT); /* blocks of 256 bytes */
    CHECK_POKED(open, &open, 3, 21, HSR_E_LIMIT);
    CHECK_POKED(open, &open, 3, 0, 0);
    CHECK_POKED(open, &open, 5, 0x80, HSR_E_PROTOCOL); /* a size of blocks, and no DELTA */
    for (unsigned bit = 13; bit < 32; bit++) {
        if (bit == 14 || bit == 15 || bit == 17 || bit == 18 || bit == 20 || bit == 21)
            continue;
        open = open_good();
        CHECK_REFUSED(open, open_good(), options, 1u << bit, HSR_E_PROTOCOL);
        open.options = 0;
        open.block_log = 0;
        CHECK_POKED(open, &open, 4 + bit / 8, 1u << bit % 8, HSR_E_PROTOCOL);
    }
    open = open_good(); /* nothing is kept, and it is read again? */
    CHECK_REFUSED(open, open, options, open.options | HSR_OPT_VERIFY_RESUME, HSR_E_PROTOCOL);
    open = open_good(); /* ahead: not on and off */
    open.options |= HSR_OPT_AHEAD_ON;
    CHECK_EQ(hsr_open_encode(&open, out, sizeof(out)), HSR_E_PROTOCOL);
    open.options &= ~HSR_OPT_AHEAD_OFF;
    CHECK_PAYLOAD(open, &open);
    open = open_good(); /* DISCARD: a dry run, and a push */
    open.options = HSR_OPT_DISCARD | HSR_OPT_DRY_RUN;
    open.block_log = 0;
    CHECK_EQ(hsr_open_encode(&open, out, sizeof(out)), HSR_E_PROTOCOL);
    open.role = HSR_ROLE_SOURCE;
    open.paths = 0;
    CHECK(hsr_open_encode(&open, out, sizeof(out)) > 0);
    open.options = HSR_OPT_VERIFY | HSR_OPT_DRY_RUN | HSR_OPT_CHECKSUM; /* the same, comparing */
    CHECK_PAYLOAD(open, &open);
    CHECK_REFUSED(open, open, options, HSR_OPT_VERIFY | HSR_OPT_DRY_RUN, HSR_E_PROTOCOL);
    CHECK_REFUSED(open, open, options, HSR_OPT_VERIFY | HSR_OPT_CHECKSUM, HSR_E_PROTOCOL);
    CHECK_REFUSED(open, open, options, open.options | HSR_OPT_DISCARD, HSR_E_PROTOCOL);
    CHECK_REFUSED(open, open, role, HSR_ROLE_TARGET, HSR_E_PROTOCOL);
    open.options = HSR_OPT_MEASURE; /* a push, too */
    CHECK_PAYLOAD(open, &open);
    open.options = HSR_OPT_DISCARD;
    CHECK_EQ(hsr_open_encode(&open, out, sizeof(out)), HSR_E_PROTOCOL);
    open = open_good();
    CHECK_REFUSED(open, open_good(), streams, 0, HSR_E_LIMIT);
    CHECK_REFUSED(open, open_good(), streams, HSR_STREAMS_MAX + 1, HSR_E_LIMIT);
    CHECK_REFUSED(open, open_good(), depth, 0, HSR_E_LIMIT);
    CHECK_REFUSED(open, open_good(), depth, HSR_DEPTH_MAX + 1, HSR_E_LIMIT);
    CHECK_REFUSED(open, open_good(), chunk, HSR_CHUNK_SIZE_MIN - 1, HSR_E_LIMIT);
    CHECK_REFUSED(open, open_good(), chunk, HSR_CHUNK_SIZE_MAX + 1, HSR_E_LIMIT);
    CHECK_REFUSED(open, open_good(), export_name, span(""), HSR_E_NAME);
    CHECK_REFUSED(open, open_good(), export_name, span(".."), HSR_E_NAME);
    CHECK_REFUSED(open, open_good(), export_name, span("a/b"), HSR_E_NAME);
    CHECK_REFUSED(open, open_good(), export_name, filler(256, 0), HSR_E_LIMIT);
    CHECK_REFUSED(open, open_good(), path, span("/a"), HSR_E_NAME);
    CHECK_REFUSED(open, open_good(), path, span("a/../b"), HSR_E_NAME);
    CHECK_REFUSED(open, open_good(), path, filler(HSR_PATH_WIRE_MAX + 1, 200), HSR_E_LIMIT);
    CHECK_REFUSED(open, open_good(), congestion, span("a_name-of-16-byt"), HSR_E_LIMIT);
    CHECK_REFUSED(open, open_good(), congestion, span("Cubic"), HSR_E_NAME);
    CHECK_REFUSED(open, open_good(), congestion, span("a b"), HSR_E_NAME);
    CHECK_POKED(open, &open, 42, '/', HSR_E_NAME); /* in the export's name */
    CHECK_POKED(open, &open, 48, 0, HSR_E_NAME); /* NUL in the path */
    CHECK_POKED(open, &open, 54, 0xff, HSR_E_TRUNCATED); /* rules of 16 MiB */
}

static void test_message_open_at_its_limits(void)
{
    struct hsr_open open = open_good();
    static uint8_t path[HSR_PATH_WIRE_MAX];
    char name[HSR_NAME_MAX];

    memset(name, 'n', sizeof(name));
    memcpy(path, filler(sizeof(path), 200).ptr, sizeof(path));
    open.streams = HSR_STREAMS_MAX;
    open.depth = HSR_DEPTH_MAX;
    open.chunk = HSR_CHUNK_SIZE_MAX;
    open.export_name = (struct hsr_span){ (uint8_t *)name, sizeof(name) };
    open.path = (struct hsr_span){ path, sizeof(path) };
    open.rules = (struct hsr_span){ big, HSR_RULES_SIZE_MAX };
    open.congestion = span("a_name-of_15-by");
    CHECK_PAYLOAD(open, &open);
    CHECK_EQ(hsr_open_encode(&open, out, sizeof(out)), 164180);
    open.rules.size++;
    CHECK_EQ(hsr_open_encode(&open, out, sizeof(out)), HSR_E_LIMIT);
    open.rules.size -= 2;
    CHECK(hsr_open_encode(&open, out, sizeof(out)) > 0);
}

static void test_message_open_ack_and_join(void)
{
    struct hsr_open_ack ack = { .streams = 64,
                                .depth = 1,
                                .chunk = 4096,
                                .files_max = 7,
                                .rename_top = 1,
                                .top_name = span("top") };
    struct hsr_join join = { .stream = HSR_STREAMS_MAX - 1 };

    memset(ack.token, 0xab, sizeof(ack.token));
    CHECK_PAYLOAD(open_ack, &ack);
    CHECK_POKED(open_ack, &ack, 32, 2, HSR_E_PROTOCOL);
    CHECK_POKED(open_ack, &ack, 32, 0, HSR_E_PROTOCOL); /* a name that is not used */
    CHECK_POKED(open_ack, &ack, 16, 65, HSR_E_LIMIT);
    CHECK_REFUSED(open_ack, ack, top_name, span(""), HSR_E_NAME);
    CHECK_REFUSED(open_ack, ack, top_name, span("a/b"), HSR_E_NAME);
    CHECK_REFUSED(open_ack, ack, rename_top, 0, HSR_E_PROTOCOL);
    ack.rename_top = 0;
    ack.top_name = span("");
    CHECK_PAYLOAD(open_ack, &ack);
    CHECK_PAYLOAD(join, &join);
    CHECK_POKED(join, &join, 16, HSR_STREAMS_MAX, HSR_E_LIMIT);
    CHECK_REFUSED(join, join, stream, HSR_STREAMS_MAX, HSR_E_LIMIT);
}

static void test_message_digest_answer(void)
{
    struct hsr_digest_answer answer = { .code = 0 };

    memset(answer.digest, 0xd1, sizeof(answer.digest));
    CHECK_PAYLOAD(digest_answer32, &answer);
    CHECK_POKED(digest_answer32, &answer, 0, 0xff, HSR_E_PROTOCOL); /* 255: no code */
    memset(answer.digest + 16, 0, 16);
    CHECK_PAYLOAD(digest_answer16, &answer);
    CHECK_REFUSED(digest_answer16, answer, code, 1, HSR_E_PROTOCOL);
    answer = (struct hsr_digest_answer){ .code = -2 };
    CHECK_PAYLOAD(digest_answer32, &answer);
    CHECK_POKED(digest_answer32, &answer, 35, 1, HSR_E_PROTOCOL); /* a digest of nothing */
}

static void test_message_join_ack(void)
{
    struct hsr_join_ack ack = { .congestion = span("cubic") };

    CHECK_PAYLOAD(join_ack, &ack);
    CHECK_POKED(join_ack, &ack, 3, '/', HSR_E_NAME);
    CHECK_POKED(join_ack, &ack, 0, 6, HSR_E_TRUNCATED);
    CHECK_REFUSED(join_ack, ack, congestion, span("a.b"), HSR_E_NAME);
    ack.congestion = span(""); /* not known */
    CHECK_PAYLOAD(join_ack, &ack);
}

static void test_message_reject_codes(void)
{
    static const int32_t good[] = { -1, -2, -4095, -5001, -5028, -5999 };
    static const int32_t bad[] = { 0, 1, -4096, -5000, -6000, INT32_MIN, INT32_MAX };
    struct hsr_reject reject = { .text = span("why") };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(good); i++) {
        reject.code = good[i];
        CHECK_PAYLOAD(reject, &reject);
    }
    for (size_t i = 0; i < HSR_ARRAY_COUNT(bad); i++) {
        struct hsr_reject back;
        uint8_t bytes[6] = { 0 };

        CHECK_REFUSED(reject, reject, code, bad[i], HSR_E_PROTOCOL);
        memcpy(bytes, &bad[i], sizeof(bad[i]));
        CHECK_EQ(hsr_reject_decode((struct hsr_span){ bytes, 6 }, &back), HSR_E_PROTOCOL);
    }
    reject.text = filler(HSR_TEXT_MAX, 0);
    CHECK_PAYLOAD(reject, &reject);
    CHECK_REFUSED(reject, reject, text, filler(HSR_TEXT_MAX + 1, 0), HSR_E_LIMIT);
}

static void test_message_note(void)
{
    struct hsr_note note = { HSR_NOTE_FAILED, -13, 5, span("a/b"), span("open") };

    CHECK_PAYLOAD(note, &note);
    CHECK_POKED(note, &note, 0, 0, HSR_E_PROTOCOL);
    CHECK_POKED(note, &note, 0, HSR_NOTE_EVENT_COUNT, HSR_E_PROTOCOL);
    CHECK_REFUSED(note, note, code, 0, HSR_E_PROTOCOL);
    CHECK_REFUSED(note, note, path, span("../x"), HSR_E_NAME);
    CHECK_REFUSED(note, note, text, filler(HSR_TEXT_MAX + 1, 0), HSR_E_LIMIT);
    CHECK_POKED(note, &note, 0, HSR_NOTE_CREATED, HSR_E_PROTOCOL); /* a success with a code */
    CHECK_POKED(note, &note, 15, '/', HSR_E_NAME);
    note.event = HSR_NOTE_UPDATED;
    CHECK(hsr_note_encode(&note, out, sizeof(out)) > 0);
    CHECK(out[1] == 0 && out[4] == 0); /* the code does not apply: written as zero */
    note.code = 0;
    CHECK_PAYLOAD(note, &note);
    note.event = HSR_NOTE_SKIPPED;
    CHECK_PAYLOAD(note, &note);
}

static void test_message_stages(void)
{
    struct hsr_stages stages;

    for (uint64_t i = 0; i < HSR_FIGURE_COUNT; i++)
        stages.figure[i] = i % 3 == 0 ? HSR_FIGURE_MAX - i : i;
    CHECK_PAYLOAD(stages, &stages);
    CHECK_EQ(hsr_stages_encode(&stages, out, sizeof(out)), 208);
    for (unsigned i = 0; i < HSR_FIGURE_COUNT; i++) { /* its top byte: over the limit */
        CHECK_POKED(stages, &stages, i * 8 + 7, 0x05, HSR_E_LIMIT);
        CHECK_REFUSED(stages, stages, figure[i], HSR_FIGURE_MAX + 1, HSR_E_LIMIT);
    }
}

static void test_message_ahead(void)
{
    struct hsr_ahead ahead = {
        .state = HSR_AHEAD_QUICK, .gap_ns = HSR_FIGURE_MAX, .hits = 7, .step_p999_ns = 9
    };

    CHECK_PAYLOAD(ahead, &ahead);
    CHECK_EQ(hsr_ahead_encode(&ahead, out, sizeof(out)), HSR_AHEAD_SIZE);
    CHECK_EQ(out[0], HSR_AHEAD_QUICK);
    CHECK_EQ(out[5 * 8], 7); /* hits */
    CHECK_EQ(out[15 * 8], 9);
    CHECK_POKED(ahead, &ahead, 0, HSR_AHEAD_STATE_COUNT, HSR_E_PROTOCOL);
    CHECK_REFUSED(ahead, ahead, state, HSR_AHEAD_STATE_COUNT, HSR_E_PROTOCOL);
    for (unsigned i = 1; i < HSR_AHEAD_SIZE / 8; i++) /* its top byte: over the limit */
        CHECK_POKED(ahead, &ahead, i * 8 + 7, 0x05, HSR_E_LIMIT);
    CHECK_REFUSED(ahead, ahead, stale, HSR_FIGURE_MAX + 1, HSR_E_LIMIT);
}

static void test_message_levels(void)
{
    struct hsr_levels levels = { 7, 30, 20, 10 };

    CHECK_PAYLOAD(levels, &levels);
    CHECK_EQ(hsr_levels_encode(&levels, out, sizeof(out)), HSR_LEVELS_SIZE);
    CHECK_POKED(levels, &levels, 4, 19, HSR_E_PROTOCOL); /* each is at least the next */
    CHECK_POKED(levels, &levels, 20, 21, HSR_E_PROTOCOL);
    CHECK_REFUSED(levels, levels, durable, 21, HSR_E_PROTOCOL);
}

/* Goal: what is kept, with totals; bytes and files of it come together or not at all. */
static void test_message_left(void)
{
    struct hsr_left left = { 2, 8 << 20, { 1, 2, 3, 4, 5, 6, 7 } };
    struct hsr_left none = { 0 };

    CHECK_PAYLOAD(left, &left);
    CHECK_PAYLOAD(left, &none);
    CHECK_EQ(hsr_left_encode(&left, out, sizeof(out)), HSR_LEFT_SIZE);
    CHECK_POKED(left, &left, 0, 0, HSR_E_PROTOCOL); /* bytes of no file */
    CHECK_POKED(left, &none, 0, 1, HSR_E_PROTOCOL); /* a file of which nothing is kept */
    CHECK_REFUSED(left, left, files, 0, HSR_E_PROTOCOL);
}

static void test_message_ack_level(void)
{
    struct hsr_ack_item item = { .index = 1, .mend = true, .code = -5 };
    struct hsr_list_writer writer;
    struct hsr_list_reader reader;
    uint8_t level = 9;
    int size;

    hsr_ack_start(&writer, out, sizeof(out), HSR_DURABILITY_WRITTEN);
    CHECK_EQ(hsr_ack_put(&writer, &item), 0);
    size = hsr_ack_finish(&writer);
    CHECK_EQ(size, 1 + 4 + 7);
    CHECK_EQ(hsr_ack_begin(&reader, (struct hsr_span){ out, (size_t)size }, 2, &level), 0);
    CHECK_EQ(level, HSR_DURABILITY_WRITTEN);
    item.mend = false;
    CHECK_EQ(hsr_ack_next(&reader, &item), 1);
    CHECK(item.mend);
    CHECK_EQ(hsr_ack_next(&reader, &item), 0);
    CHECK_EQ(hsr_ack_begin(&reader, (struct hsr_span){ out, 0 }, 2, &level), HSR_E_TRUNCATED);
    CHECK_EQ(hsr_ack_begin(&reader, (struct hsr_span){ out, 4 }, 2, &level), HSR_E_TRUNCATED);
    out[0] = 4;
    CHECK_EQ(hsr_ack_begin(&reader, (struct hsr_span){ out, (size_t)size }, 2, &level),
             HSR_E_PROTOCOL);
}

static void test_message_results(void)
{
    struct hsr_done done = { 3, 3, HSR_E_PARTIAL, { 1, 2, 3, 4, 5, 6, 7 } };
    struct hsr_walk_end walk_end = { 1, UINT64_MAX, 3, 4, 5 };
    struct hsr_file_end end = { 0, INT64_MAX, 5, { 6, 7 } }; /* 30 more bytes are zero */

    CHECK_PAYLOAD(done, &done);
    CHECK_EQ(hsr_done_encode(&done, out, sizeof(out)), 62);
    CHECK_POKED(done, &done, 0, 4, HSR_E_PROTOCOL);
    CHECK_POKED(done, &done, 1, 4, HSR_E_PROTOCOL);
    CHECK_POKED(done, &done, 1, 2, HSR_E_PROTOCOL); /* more than its disks can keep */
    CHECK_POKED(done, &done, 1, 0, HSR_E_PROTOCOL);
    CHECK_REFUSED(done, done, code, 1, HSR_E_PROTOCOL);
    CHECK_PAYLOAD(walk_end, &walk_end);
    CHECK_PAYLOAD(file_end16, &end);
    CHECK_POKED(file_end16, &end, 4, 1, HSR_E_PROTOCOL);
    CHECK_POKED(file_end16, &end, 15, 0x80, HSR_E_LIMIT);
    CHECK_POKED(file_end16, &end, 23, 0x80, HSR_E_LIMIT);
    CHECK_REFUSED(file_end16, end, size, (uint64_t)INT64_MAX + 1, HSR_E_LIMIT);
    end.digest[31] = 1;
    CHECK_PAYLOAD(file_end32, &end);
    CHECK_EQ(hsr_file_end_encode(&end, 32, out, sizeof(out)), 56);
    end.code = HSR_E_CHANGED;
    CHECK_EQ(hsr_file_end_encode(&end, 16, out, sizeof(out)), 40);
    for (size_t i = 4; i < 40; i++) /* a failed file says only what it cost */
        CHECK_EQ(out[i], i == 16 ? 5 : 0);
    CHECK_POKED(file_end16, &end, 8, 1, HSR_E_PROTOCOL);
    CHECK_POKED(file_end16, &end, 24, 1, HSR_E_PROTOCOL);
    CHECK_POKED(file_end16, &end, 32, 1, HSR_E_PROTOCOL);
    CHECK_POKED(file_end32, &end, 55, 1, HSR_E_PROTOCOL);
}

static void test_message_list_request(void)
{
    struct hsr_list_request list = { 1, span("data"), span("a") };

    CHECK_PAYLOAD(list_request, &list);
    for (unsigned bit = 1; bit < 8; bit++)
        CHECK_POKED(list_request, &list, 0, 1u << bit, HSR_E_PROTOCOL);
    CHECK_REFUSED(list_request, list, self_only, 2, HSR_E_PROTOCOL);
    CHECK_REFUSED(list_request, list, export_name, span(""), HSR_E_NAME);
    CHECK_REFUSED(list_request, list, path, span("a//b"), HSR_E_NAME);
}

/* ---- lists ---- */

static uint32_t digest_size = 16; /* on the wire */

/* Read a whole list; the number of items, or the first error. */
static int read_items(const uint8_t *bytes, size_t size, bool want)
{
    struct hsr_list_reader list;
    struct hsr_want_item want_item;
    struct hsr_ack_item ack_item;
    int count = 0;
    int rc = hsr_list_begin(&list, (struct hsr_span){ bytes, size }, HSR_PAGE_ENTRIES_MAX);

    if (rc < 0)
        return rc;
    while ((rc = want ? hsr_want_next(&list, digest_size, &want_item)
                      : hsr_ack_next(&list, &ack_item)) == 1)
        count++;
    return rc < 0 ? rc : count;
}

static int count_paths(const uint8_t *bytes, size_t size, uint32_t max)
{
    struct hsr_list_reader list;
    struct hsr_span path;
    int count = 0;
    int rc = hsr_list_begin(&list, (struct hsr_span){ bytes, size }, max);

    if (rc < 0)
        return rc;
    while ((rc = hsr_paths_next(&list, &path)) == 1)
        count++;
    return rc < 0 ? rc : count;
}

static void test_list_paths(void)
{
    struct hsr_list_writer list;
    int size;

    hsr_list_start(&list, out, sizeof(out));
    CHECK_EQ(hsr_paths_put(&list, span("")), 0);
    CHECK_EQ(hsr_paths_put(&list, span("a/b")), 0);
    CHECK_EQ(hsr_paths_put(&list, span("a//b")), HSR_E_NAME);
    CHECK_EQ(hsr_paths_put(&list, filler(HSR_PATH_WIRE_MAX + 1, 9)), HSR_E_LIMIT);
    CHECK_EQ(hsr_paths_put(&list, filler(HSR_PATH_WIRE_MAX, 7)), HSR_E_NAME); /* ends in '/' */
    CHECK_EQ(hsr_paths_put(&list, filler(HSR_PATH_WIRE_MAX - 1, 9)), 0);
    size = hsr_list_finish(&list);
    CHECK_EQ(size, 4 + 2 + 5 + 2 + (int)HSR_PATH_WIRE_MAX - 1);
    CHECK_EQ(count_paths(out, (size_t)size, 3), 3);
    CHECK_EQ(count_paths(out, (size_t)size, 4), 3);
    CHECK_EQ(count_paths(out, (size_t)size, 2), HSR_E_LIMIT);
    CHECK_EQ(count_paths(out, (size_t)size + 1, 3), HSR_E_PROTOCOL);
    for (int cut = 0; cut < size; cut += cut < 20 ? 1 : 501)
        CHECK_EQ(count_paths(out, (size_t)cut, 3), HSR_E_TRUNCATED);
    memset(out, 0xff, 4); /* more items than any payload holds */
    CHECK_EQ(count_paths(out, (size_t)size, UINT32_MAX), HSR_E_TRUNCATED);
}

static void test_list_writer_keeps_what_fits(void)
{
    for (size_t room = 0; room < 13; room++) {
        struct hsr_list_writer list;
        struct hsr_ack_item item = { .index = 1, .code = -5 };
        int put;

        memset(out, 0xee, 16);
        hsr_list_start(&list, out, room);
        put = hsr_ack_put(&list, &item);
        CHECK_EQ(put, room >= 11 ? 0 : HSR_E_LIMIT);
        item.index = 2;
        CHECK_EQ(hsr_ack_put(&list, &item), HSR_E_LIMIT);
        CHECK_EQ(hsr_list_finish(&list), room < 4 ? HSR_E_LIMIT : room < 11 ? 4 : 11);
        CHECK_EQ(out[room], 0xee);
        if (room >= 4)
            CHECK_EQ(read_items(out, room >= 11 ? 11 : 4, false), room >= 11 ? 1 : 0);
    }
}

static void test_list_want_limits(void)
{
    struct hsr_list_writer list;
    struct hsr_want_item item = { 0 };
    int size;

    hsr_list_start(&list, out, sizeof(out));
    for (uint16_t i = 0; i < HSR_PAGE_ENTRIES_MAX; i++) {
        item.index = (uint16_t)(HSR_PAGE_ENTRIES_MAX - 1 - i); /* any order */
        item.action = HSR_WANT_UNLESS;
        memset(item.digest, i & 0xff, sizeof(item.digest));
        CHECK_EQ(hsr_want_put(&list, digest_size, &item), 0);
    }
    CHECK_EQ(hsr_want_put(&list, digest_size, &item), HSR_E_LIMIT);
    size = hsr_list_finish(&list);
    CHECK_EQ(size, digest_size == 16 ? 9732 : 17924);
    CHECK_EQ(read_items(out, (size_t)size, true), HSR_PAGE_ENTRIES_MAX);
    for (int cut = 0; cut < size; cut++)
        CHECK_EQ(read_items(out, (size_t)cut, true), HSR_E_TRUNCATED);
    out[0] = 1; /* count 513 */
    CHECK_EQ(read_items(out, (size_t)size, true), HSR_E_LIMIT);
    out[0] = 0xff;
    out[1] = 1; /* count 511 */
    CHECK_EQ(read_items(out, (size_t)size, true), HSR_E_PROTOCOL);
    item.index = HSR_PAGE_ENTRIES_MAX;
    hsr_list_start(&list, out, sizeof(out));
    CHECK_EQ(hsr_want_put(&list, digest_size, &item), HSR_E_LIMIT);
    item.index = 0;
    item.action = HSR_WANT_ACTION_COUNT;
    CHECK_EQ(hsr_want_put(&list, digest_size, &item), HSR_E_PROTOCOL);
}

static void test_list_items_that_no_writer_writes(void)
{
    static const uint8_t twice[] = { 2, 0, 0, 0, 7, 0, 1, 7, 0, 1 };
    static const uint8_t action_zero[] = { 1, 0, 0, 0, 7, 0, 0 };
    static const uint8_t action_eight[] = { 1, 0, 0, 0, 7, 0, 8 };
    static const uint8_t digest[] = { 1, 0, 0, 0, 7, 0, 4 };
    static const uint8_t index_512[] = { 1, 0, 0, 0, 0, 2, 1 };
    static const uint8_t ack_good[] = { 1, 0, 0, 0, 7, 0, 1, 0xff, 0xff, 0xff, 0xff };
    static const uint8_t ack_two[] = { 1, 0, 0, 0, 7, 0, 2, 0xff, 0xff, 0xff, 0xff };
    static const uint8_t ack_zero[] = { 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0 };
    static const uint8_t ack_min[] = { 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0x80 };
    static const uint8_t ack_512[] = { 1, 0, 0, 0, 0, 2, 0, 0xff, 0xff, 0xff, 0xff };

    CHECK_EQ(read_items(twice, sizeof(twice), true), HSR_E_PROTOCOL);
    CHECK_EQ(read_items(action_zero, sizeof(action_zero), true), HSR_E_PROTOCOL);
    CHECK_EQ(read_items(action_eight, sizeof(action_eight), true), HSR_E_PROTOCOL);
    CHECK_EQ(read_items(digest, sizeof(digest), true), 1);
    CHECK_EQ(read_items(index_512, sizeof(index_512), true), HSR_E_LIMIT);
    CHECK_EQ(read_items(ack_good, sizeof(ack_good), false), 1);
    CHECK_EQ(read_items(ack_two, sizeof(ack_two), false), HSR_E_PROTOCOL);
    CHECK_EQ(read_items(ack_zero, sizeof(ack_zero), false), HSR_E_PROTOCOL);
    CHECK_EQ(read_items(ack_min, sizeof(ack_min), false), HSR_E_PROTOCOL);
    CHECK_EQ(read_items(ack_512, sizeof(ack_512), false), HSR_E_LIMIT);
}

/* Goal: sums of an old version are as many as it has blocks, and its sizes keep their limits. */
static void test_list_want_with_sums(void)
{
    static const struct {
        uint32_t base_size;
        uint8_t block_log;
        uint32_t sums;
        int code;
    } cases[] = {
        { 1, 7, 6, 0 },
        { 128, 7, 6, 0 },
        { 129, 7, 12, 0 },
        { 131072, 7, 6144, 0 },
        { 131072, 12, 192, 0 },
        { 10000, 12, 18, 0 },
        { 0, 7, 0, HSR_E_PROTOCOL },
        { 131073, 7, 6150, HSR_E_LIMIT },
        { UINT32_MAX, 12, 192, HSR_E_LIMIT },
        { 10000, 6, 942, HSR_E_LIMIT },
        { 10000, 13, 12, HSR_E_LIMIT },
    };
    static uint8_t sums[8192];
    struct hsr_list_writer list;

    for (size_t i = 0; i < HSR_ARRAY_COUNT(cases); i++) {
        struct hsr_want_item item = { .index = 7,
                                      .action = HSR_WANT_PATCH,
                                      .block_log = cases[i].block_log,
                                      .base_size = cases[i].base_size,
                                      .sums = { sums, cases[i].sums } };
        size_t size = 12 + (size_t)cases[i].sums;
        struct hsr_writer raw = hsr_writer_init(out, sizeof(out));

        hsr_put_u32(&raw, 1);
        hsr_put_u16(&raw, 7);
        hsr_put_u8(&raw, HSR_WANT_PATCH);
        hsr_put_u32(&raw, cases[i].base_size);
        hsr_put_u8(&raw, cases[i].block_log);
        hsr_put_bytes(&raw, sums, cases[i].sums);
        CHECK_EQ(read_items(out, size, true), cases[i].code == 0 ? 1 : cases[i].code);
        if (cases[i].code == 0) {
            CHECK_EQ(read_items(out, size + 1, true), HSR_E_PROTOCOL);
            CHECK_EQ(read_items(out, size - 1, true), HSR_E_TRUNCATED);
        }
        hsr_list_start(&list, out, sizeof(out));
        CHECK_EQ(hsr_want_put(&list, digest_size, &item), cases[i].code);
        item.sums.size++;
        CHECK_EQ(hsr_want_put(&list, digest_size, &item),
                 cases[i].code == 0 ? HSR_E_PROTOCOL : cases[i].code);
    }
}

/* ---- packs ---- */

static struct hsr_pack_member members[HSR_PACK_MEMBERS_MAX + 1];

static int pack_read(const uint8_t *bytes, size_t size)
{
    uint32_t count = 0;
    int rc = hsr_pack_decode((struct hsr_span){ bytes, size }, digest_size, members, &count);

    return rc < 0 ? rc : (int)count;
}

static size_t pack_fill(uint32_t count, uint32_t size)
{
    memset(members, 0, sizeof(members));
    for (uint32_t i = 0; i < count; i++) {
        members[i] = (struct hsr_pack_member){ .page = i, .index = (uint16_t)i, .size = size };
        memset(members[i].digest, 0x5a, sizeof(members[i].digest));
    }
    memset(out, 0xcc, sizeof(out));
    hsr_pack_encode(members, count, digest_size, out);
    return hsr_pack_table_size(count, digest_size) + (size_t)count * size;
}

static void test_pack_counts(void)
{
    uint8_t empty[8] = { 0 };
    size_t size;

    CHECK_EQ(pack_read(empty, sizeof(empty)), HSR_E_PROTOCOL);
    CHECK_EQ(pack_read(out, pack_fill(1, 0)), 1);
    CHECK_EQ(pack_read(out, pack_fill(HSR_PACK_MEMBERS_MAX - 1, 3)), HSR_PACK_MEMBERS_MAX - 1);
    size = pack_fill(HSR_PACK_MEMBERS_MAX, 3);
    CHECK_EQ(pack_read(out, size), HSR_PACK_MEMBERS_MAX);
    CHECK(members[511].page == 511 && members[511].index == 511 && members[511].size == 3);
    out[0] = 1; /* 513 */
    CHECK_EQ(pack_read(out, size), HSR_E_LIMIT);
    memset(out, 0xff, 4);
    CHECK_EQ(pack_read(out, size), HSR_E_LIMIT);
}

static void test_pack_sizes_add_up(void)
{
    size_t size = pack_fill(2, 100);

    for (size_t cut = 0; cut < size; cut++)
        CHECK_EQ(pack_read(out, cut), HSR_E_TRUNCATED);
    CHECK_EQ(pack_read(out, size), 2);
    CHECK_EQ(pack_read(out, size + 1), HSR_E_PROTOCOL);
    out[8 + 12] = 99;
    CHECK_EQ(pack_read(out, size), HSR_E_PROTOCOL);
    out[8 + 12] = 101;
    CHECK_EQ(pack_read(out, size), HSR_E_TRUNCATED);
    /* two sizes whose sum is 200 modulo 2^32 */
    memcpy(out + 8 + 12, (uint8_t[]){ 0x64, 0, 0, 0x80 }, 4);
    memcpy(out + 24 + digest_size + 12, (uint8_t[]){ 0x64, 0, 0, 0x80 }, 4);
    CHECK_EQ(pack_read(out, size), HSR_E_LIMIT);
    /* at the limit each */
    memcpy(out + 8 + 12, (uint8_t[]){ 0, 0, 0x40, 0 }, 4);
    memcpy(out + 24 + digest_size + 12, (uint8_t[]){ 0, 0, 0x40, 0 }, 4);
    CHECK_EQ(pack_read(out, size), HSR_E_TRUNCATED);
}

static void test_pack_members_that_failed(void)
{
    size_t size = pack_fill(2, 10);

    members[0].code = -2;
    members[0].size = 0;
    hsr_pack_encode(members, 2, digest_size, out);
    size -= 10;
    CHECK_EQ(pack_read(out, size), 2);
    CHECK_EQ(members[0].code, -2);
    out[8 + 16] = 1; /* a digest of nothing */
    CHECK_EQ(pack_read(out, size), HSR_E_PROTOCOL);
    out[8 + 16] = 0;
    out[8 + 12] = 1; /* a size */
    CHECK_EQ(pack_read(out, size + 1), HSR_E_PROTOCOL);
    out[8 + 12] = 0;
    memcpy(out + 8 + 8, (uint8_t[]){ 1, 0, 0, 0 }, 4); /* code 1 */
    CHECK_EQ(pack_read(out, size), HSR_E_PROTOCOL);
}

static void test_pack_zero_fields(void)
{
    size_t size = pack_fill(1, 5);

    out[4] = 1;
    CHECK_EQ(pack_read(out, size), HSR_E_PROTOCOL);
    out[4] = 0;
    out[8 + 6] = 1; /* a patch */
    CHECK_EQ(pack_read(out, size), 1);
    CHECK(members[0].patch);
    out[8 + 6] = 2;
    CHECK_EQ(pack_read(out, size), HSR_E_PROTOCOL);
    out[8 + 6] = 1;
    out[8 + 12] = 0; /* of no bytes */
    CHECK_EQ(pack_read(out, size - 5), HSR_E_PROTOCOL);
    out[8 + 6] = 0;
    out[8 + 12] = 5;
    out[8 + 5] = 2; /* index 512 */
    CHECK_EQ(pack_read(out, size), HSR_E_LIMIT);
    out[8 + 5] = 0;
    CHECK_EQ(pack_read(out, size), 1);
}

int main(void)
{
    RUN(test_message_hello);
    RUN(test_message_hello_ack);
    RUN(test_message_open);
    RUN(test_message_open_at_its_limits);
    RUN(test_message_open_ack_and_join);
    RUN(test_message_digest_answer);
    RUN(test_message_join_ack);
    RUN(test_message_reject_codes);
    RUN(test_message_note);
    RUN(test_message_levels);
    RUN(test_message_left);
    RUN(test_message_ack_level);
    RUN(test_message_results);
    RUN(test_message_stages);
    RUN(test_message_ahead);
    RUN(test_message_list_request);
    RUN(test_list_paths);
    RUN(test_list_writer_keeps_what_fits);
    RUN(test_list_want_limits);
    RUN(test_list_want_with_sums);
    digest_size = 32;
    RUN(test_list_want_limits);
    RUN(test_list_items_that_no_writer_writes);
    RUN(test_pack_counts);
    RUN(test_pack_sizes_add_up);
    RUN(test_pack_members_that_failed);
    RUN(test_pack_zero_fields);
    digest_size = 16;
    RUN(test_pack_counts);
    RUN(test_pack_sizes_add_up);
    RUN(test_pack_members_that_failed);
    RUN(test_pack_zero_fields);
    TEST_END();
}
