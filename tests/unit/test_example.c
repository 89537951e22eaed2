/* The example session of docs/PROTOCOL.md: its bytes come from the encoders, every frame goes back
 * through the decoders, and when the document's path is given (as meson does) its text must hold
 * exactly these lines. Without it they are printed, to be pasted. */
#include <stdarg.h>

#include "base/err.h"
#include "hash/digest.h"
#include "tests/unit/hsr_test.h"
#include "transfer/proto/entry.h"
#include "transfer/proto/message.h"

static char text[1 << 16];
static size_t text_size;
static uint8_t payload[4096];

static const char content[] = "hello, rope\n";

static void say(const char *format, ...) HSR_PRINTF(1, 2);

static void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_size += (size_t)vsnprintf(text + text_size, sizeof(text) - text_size, format, args);
    va_end(args);
    if (text_size >= sizeof(text))
        abort();
}

static void say_hex(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (i % 16 == 0)
            say("%s%04zx ", i == 0 ? "" : "\n", i);
        say(" %02x", bytes[i]);
    }
    say("\n");
}

static struct hsr_span span(const char *words)
{
    return (struct hsr_span){ (const uint8_t *)words, strlen(words) };
}

/* Print one frame and read it back. */
static void say_frame(const char *who, struct hsr_frame frame, int size)
{
    uint8_t header[HSR_FRAME_HEADER_SIZE];
    struct hsr_frame back;

    CHECK(size >= 0);
    frame.size = (uint32_t)size;
    if (frame.kind == HSR_FRAME_PACK)
        frame.check.low = hsr_hash64(payload, hsr_pack_table_size(1, 16));
    else
        frame.check.low = hsr_hash64(payload, frame.size);
    hsr_frame_encode(&frame, header);
    CHECK_EQ(hsr_frame_decode(header, &back), 0);
    CHECK(back.kind == frame.kind && back.seq == frame.seq && back.size == frame.size);

    say("%s: %s, seq %u, %d bytes of payload\n", who, hsr_frame_name(frame.kind), frame.seq, size);
    say_hex(header, sizeof(header));
    if (size > 0) {
        say("payload\n");
        say_hex(payload, (size_t)size);
    }
    say("\n");
}

static void example_handshake(void)
{
    struct hsr_hello hello = { .magic = HSR_PROTO_MAGIC,
                               .version_min = 1,
                               .version_max = 1,
                               .features = HSR_FEATURE_XXH3 | HSR_FEATURE_BENCH,
                               .silence_ms = 30000,
                               .agent = span("example/1") };
    struct hsr_hello_ack hello_ack = { .version = 1,
                                       .features = HSR_FEATURE_XXH3 | HSR_FEATURE_BENCH,
                                       .streams_max = 64,
                                       .depth_max = 256,
                                       .chunk_max = HSR_CHUNK_SIZE_MAX,
                                       .silence_ms = 30000,
                                       .agent = span("hawser/0.1.0") };
    struct hsr_open open = { .role = HSR_ROLE_SOURCE,
                             .digest = HSR_DIGEST_XXH3,
                             .durability = HSR_DURABILITY_DURABLE,
                             .options = HSR_OPT_NO_XATTRS,
                             .streams = 1,
                             .depth = 4,
                             .chunk = 1 << 20,
                             .delete_max = UINT64_MAX,
                             .export_name = span("data"),
                             .path = span("in") };
    struct hsr_open_ack open_ack = {
        .streams = 1, .depth = 4, .chunk = 1 << 20, .files_max = 16, .top_name = span("")
    };
    struct hsr_join join = { .stream = 0 };
    struct hsr_join_ack join_ack = { .congestion = span("cubic") };

    for (uint8_t i = 0; i < HSR_TOKEN_SIZE; i++)
        open_ack.token[i] = join.token[i] = (uint8_t)(0xa0 + i);
    say("-- control connection --\n\n");
    say_frame("client", (struct hsr_frame){ .kind = HSR_FRAME_HELLO },
              hsr_hello_encode(&hello, payload, sizeof(payload)));
    say_frame("server", (struct hsr_frame){ .kind = HSR_FRAME_HELLO_ACK },
              hsr_hello_ack_encode(&hello_ack, payload, sizeof(payload)));
    say_frame("client", (struct hsr_frame){ .kind = HSR_FRAME_OPEN, .seq = 1 },
              hsr_open_encode(&open, payload, sizeof(payload)));
    say_frame("server", (struct hsr_frame){ .kind = HSR_FRAME_OPEN_ACK, .seq = 1 },
              hsr_open_ack_encode(&open_ack, payload, sizeof(payload)));
    say("-- data connection, after the same HELLO and HELLO_ACK --\n\n");
    say_frame("client", (struct hsr_frame){ .kind = HSR_FRAME_JOIN, .seq = 1 },
              hsr_join_encode(&join, payload, sizeof(payload)));
    say_frame("server", (struct hsr_frame){ .kind = HSR_FRAME_JOIN_ACK, .seq = 1 },
              hsr_join_ack_encode(&join_ack, payload, sizeof(payload)));
}

static void example_page(void)
{
    struct hsr_entry entry = { .type = HSR_ENTRY_FILE,
                               .name = span("greeting"),
                               .mode = 0644,
                               .uid = 1000,
                               .gid = 1000,
                               .mtime_s = 1700000000,
                               .mtime_ns = 123456789,
                               .size = sizeof(content) - 1 };
    struct hsr_writer w = hsr_writer_init(payload, sizeof(payload));
    struct hsr_want_item want = { .index = 0, .action = HSR_WANT_WHOLE };
    struct hsr_list_writer list;

    say("-- control connection --\n\n");
    CHECK_EQ(hsr_entry_encode(&w, &entry), 0);
    say_frame("client", (struct hsr_frame){ .kind = HSR_FRAME_ENTRIES, .seq = 2 }, (int)w.offset);
    hsr_list_start(&list, payload, sizeof(payload));
    CHECK_EQ(hsr_want_put(&list, 16, &want), 0);
    say_frame("server", (struct hsr_frame){ .kind = HSR_FRAME_WANT, .seq = 2 },
              hsr_list_finish(&list));
}

static void example_pack(void)
{
    struct hsr_pack_member member = { .page = 0, .index = 0, .size = sizeof(content) - 1 };
    struct hsr_pack_member back[HSR_PACK_MEMBERS_MAX];
    size_t table_size = hsr_pack_table_size(1, 16);
    size_t size = table_size + member.size;
    uint32_t count = 0;

    say("-- data connection --\n\n");
    hsr_digest_bytes(HSR_DIGEST_XXH3, content, member.size, HSR_DIGEST_LEAF_SIZE, member.digest);
    hsr_pack_encode(&member, 1, 16, payload);
    memcpy(payload + table_size, content, member.size);
    CHECK_EQ(hsr_pack_decode((struct hsr_span){ payload, size }, 16, back, &count), 0);
    CHECK(count == 1 && back[0].size == member.size);
    say_frame("client", (struct hsr_frame){ .kind = HSR_FRAME_PACK, .seq = 2 }, (int)size);
}

static void example_end(void)
{
    struct hsr_walk_end walk_end = { .entries = 1, .files = 1, .bytes = sizeof(content) - 1 };
    struct hsr_levels levels = { .pages = 1, .received = 1, .written = 1, .durable = 1 };
    struct hsr_done done = { .durability = HSR_DURABILITY_DURABLE,
                             .limit = HSR_DURABILITY_DURABLE,
                             .totals = { .files = 1, .bytes = sizeof(content) - 1 } };
    struct hsr_list_writer list;

    say("-- control connection --\n\n");
    say_frame("client", (struct hsr_frame){ .kind = HSR_FRAME_WALK_END, .seq = 3 },
              hsr_walk_end_encode(&walk_end, payload, sizeof(payload)));
    hsr_ack_start(&list, payload, sizeof(payload), HSR_DURABILITY_WRITTEN);
    say_frame("server", (struct hsr_frame){ .kind = HSR_FRAME_PAGE_ACK, .seq = 3 },
              hsr_ack_finish(&list));
    say_frame("server", (struct hsr_frame){ .kind = HSR_FRAME_LEVELS, .seq = 4 },
              hsr_levels_encode(&levels, payload, sizeof(payload)));
    say_frame("server", (struct hsr_frame){ .kind = HSR_FRAME_DONE, .seq = 5 },
              hsr_done_encode(&done, payload, sizeof(payload)));
}

int main(int argc, char **argv)
{
    static char document[1 << 20];
    FILE *file;
    size_t size;

    RUN(example_handshake);
    RUN(example_page);
    RUN(example_pack);
    RUN(example_end);
    if (argc < 2) {
        fputs(text, stdout);
        TEST_END();
    }
    file = fopen(argv[1], "r");
    CHECK(file != NULL);
    if (file == NULL)
        TEST_END();
    size = fread(document, 1, sizeof(document) - 1, file);
    document[size] = '\0';
    fclose(file);
    CHECK(size > 0 && strstr(document, text) != NULL);
    TEST_END();
}
