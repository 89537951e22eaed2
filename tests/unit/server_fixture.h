/* A server engine without threads, turned by hand, and raw sockets on loopback that say what no
 * client of ours would. */
#ifndef HSR_SERVER_FIXTURE_H
#define HSR_SERVER_FIXTURE_H

#include "tests/unit/hsr_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/unit/front_backend.h"
#include "transfer/engine/conn.h"
#include "transfer/engine/engine.h"
#include "transfer/proto/entry.h"

#define REPLY_MAX (4 * (HSR_CONTROL_PAYLOAD_MAX + HSR_FRAME_HEADER_SIZE))
/* What must come comes: only a server that is stuck takes so long, however busy the machine. */
#define COMES_NS (10 * HSR_NS_PER_S)
/* What must not come would be here by then. */
#define SILENCE_NS (100 * HSR_NS_PER_MS)
/* Nobody is to meet the deadline of a handshake who is not tested for that. */
#define HANDSHAKE_NS (10 * HSR_NS_PER_S)
#define HANDSHAKE_SHORT_NS (200 * HSR_NS_PER_MS)

struct fixture {
    struct hsr_engine *engine;
    unsigned shards;
    int listen_fd;
    struct sockaddr_in address;
    int root_fd; /* of a folder that is empty at first */
    bool bench;
    bool writable; /* the export may be written to */
    unsigned events[HSR_EVENT_COUNT];
    unsigned refused_expected; /* REFUSED that raw_expect_reject has waited for */
    int refused_code;
    char refused_text[128];
};

/* One client: a socket, and what came from the server so far. */
struct raw {
    int fd;
    uint32_t seq;
    bool ended; /* the server closed */
    size_t size, offset;
    uint8_t *bytes; /* REPLY_MAX */
};

static inline uint64_t now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * HSR_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static inline void fixture_event(void *context, const struct hsr_event *event)
{
    struct fixture *fx = context;

    fx->events[event->kind]++;
    if (event->kind == HSR_EVENT_REFUSED) {
        fx->refused_code = event->code;
        (void)snprintf(fx->refused_text, sizeof(fx->refused_text), "%s", event->text);
        CHECK(strncmp(event->peer, "127.0.0.1:", 10) == 0);
    }
}

static inline int fixture_authorize(void *context, const struct sockaddr *peer,
                                    struct hsr_span export_name, bool write, int *ret_root_fd)
{
    struct fixture *fx = context;

    CHECK_EQ(peer->sa_family, AF_INET);
    if (export_name.size != 4 || memcmp(export_name.ptr, "data", 4) != 0)
        return HSR_E_EXPORT;
    if (write && !fx->writable)
        return HSR_E_READONLY;
    *ret_root_fd = fx->root_fd;
    return 0;
}

static inline int fixture_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static char fixture_root[64]; /* that is there, or "" */

/* A test that is skipped or aborts leaves nothing behind either. */
static inline void fixture_sweep(void)
{
    if (fixture_root[0] != '\0')
        (void)nftw(fixture_root, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
    fixture_root[0] = '\0';
}

static inline void fixture_aborts(const char *text)
{
    (void)text; /* it was printed */
    fixture_sweep();
}

/* A folder of its own for each server, by the name of the test. */
static inline int fixture_root_open(void)
{
    static bool armed;

    if (!armed) {
        hsr_assert_hook_set(fixture_aborts);
        CHECK_EQ(atexit(fixture_sweep), 0);
    }
    armed = true;
    (void)snprintf(fixture_root, sizeof(fixture_root), "/tmp/%.40s.XXXXXX",
                   program_invocation_short_name);
    CHECK(mkdtemp(fixture_root) != NULL);
    return open(fixture_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A server: its shards, and what differs from the usual. */
struct fixture_shape {
    unsigned shards;
    unsigned per_peer; /* connections; 0: any number */
    bool bench; /* allowed */
    uint64_t handshake_ns; /* 0: HANDSHAKE_NS */
};

static inline void fixture_start_as(struct fixture *fx, struct fixture_shape shape)
{
    struct hsr_plan_request request = { .shards = shape.shards,
                                        .server = true,
                                        .sessions = 2,
                                        .streams = 4,
                                        .depth = 2,
                                        .chunk = 65536 };
    struct hsr_engine_config config = { .server = true,
                                        .handshake_ns = HANDSHAKE_NS,
                                        .connections_per_peer = shape.per_peer,
                                        .authorize = fixture_authorize,
                                        .bench = shape.bench,
                                        .event = fixture_event,
                                        .context = fx,
                                        .no_threads = true };
    socklen_t size = sizeof(fx->address);
    char why[512];
    int rc;

    if (shape.handshake_ns > 0)
        config.handshake_ns = shape.handshake_ns;
    memset(fx, 0, sizeof(*fx));
    fx->shards = shape.shards;
    fx->bench = shape.bench;
    fx->root_fd = fixture_root_open();
    CHECK_EQ(hsr_place_make(shape.shards, "synthetic:core:4 pu:1", NULL, &config.placement), 0);
    CHECK_EQ(hsr_plan_make(&request, &config.placement, &config.plan, why, sizeof(why)), 0);
    fx->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    fx->address =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    CHECK_EQ(bind(fx->listen_fd, (struct sockaddr *)&fx->address, size), 0);
    CHECK_EQ(listen(fx->listen_fd, 64), 0);
    CHECK_EQ(getsockname(fx->listen_fd, (struct sockaddr *)&fx->address, &size), 0);
    CHECK_EQ(fcntl(fx->listen_fd, F_SETFL, 0), 0);
    rc = hsr_engine_create(&config, &fx->engine, why, sizeof(why));
    if (rc == HSR_E_NO_IO_URING || rc == HSR_E_MEMLOCK)
        SKIP(why);
    CHECK_EQ(rc, 0);
    CHECK_EQ(hsr_engine_listen(fx->engine, fx->listen_fd, 0), 0);
}

static inline void fixture_start(struct fixture *fx, unsigned shards)
{
    fixture_start_as(fx, (struct fixture_shape){ .shards = shards });
}

static inline void fixture_turn(struct fixture *fx)
{
    struct timespec pause = { .tv_nsec = 100 * 1000 };
    bool happened = false;

    for (unsigned i = 0; i < fx->shards; i++)
        happened |= hsr_loop_turn(hsr_engine_loop(fx->engine, i), /* may_sleep= */ false);
    if (!happened)
        (void)nanosleep(&pause, NULL);
}

static inline void fixture_turn_for(struct fixture *fx, uint64_t ns)
{
    uint64_t end = now_ns() + ns;

    while (now_ns() < end)
        fixture_turn(fx);
}

static inline unsigned fixture_conns(struct fixture *fx)
{
    unsigned count = 0;

    for (unsigned i = 0; i < fx->shards; i++)
        count += fx->engine->shards[i].conn_count;
    return count;
}

/* Turn until so many connections are left. */
static inline void fixture_wait_conns(struct fixture *fx, unsigned count)
{
    uint64_t end = now_ns() + COMES_NS;

    while (fixture_conns(fx) != count && now_ns() < end)
        fixture_turn(fx);
    CHECK_EQ(fixture_conns(fx), count);
}

/* Turn until @kind has been told @count times, and no more often. */
static inline void fixture_wait_events(struct fixture *fx, enum hsr_event_kind kind, unsigned count)
{
    uint64_t end = now_ns() + COMES_NS;

    while (fx->events[kind] < count && now_ns() < end)
        fixture_turn(fx);
    CHECK_EQ(fx->events[kind], count);
}

static inline void fixture_stop(struct fixture *fx)
{
    fixture_turn_for(fx, 20 * HSR_NS_PER_MS);
    hsr_engine_destroy(fx->engine);
    (void)close(fx->listen_fd);
    (void)close(fx->root_fd);
    CHECK_EQ(nftw(fixture_root, fixture_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
    fixture_root[0] = '\0';
}

/* ---- raw clients ---- */

static inline void raw_connect(struct fixture *fx, struct raw *raw)
{
    memset(raw, 0, sizeof(*raw));
    raw->bytes = malloc(REPLY_MAX);
    raw->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(raw->fd, (struct sockaddr *)&fx->address, sizeof(fx->address)), 0);
    CHECK_EQ(fcntl(raw->fd, F_SETFL, O_NONBLOCK), 0);
}

static inline void raw_close(struct raw *raw)
{
    (void)close(raw->fd);
    free(raw->bytes);
}

static inline void raw_send(struct raw *raw, const void *bytes, size_t size)
{
    CHECK_EQ(send(raw->fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* Build @frame, whose size, seq and check are filled in. Returns how many bytes of @out it has. */
static inline size_t frame_make_as(struct raw *raw, struct hsr_frame frame, const void *payload,
                                   size_t size, uint8_t *out)
{
    frame.size = (uint32_t)size;
    frame.seq = raw->seq++;
    frame.check.low = hsr_hash64(payload, size);
    hsr_frame_encode(&frame, out);
    if (size > 0)
        memcpy(out + HSR_FRAME_HEADER_SIZE, payload, size);
    return HSR_FRAME_HEADER_SIZE + size;
}

/* The same of a frame that is no more than its kind; the caller may then spoil it. */
static inline size_t frame_make(struct raw *raw, uint16_t kind, const void *payload, size_t size,
                                uint8_t *out)
{
    return frame_make_as(raw, (struct hsr_frame){ .kind = kind }, payload, size, out);
}

static inline void raw_frame_as(struct raw *raw, struct hsr_frame frame, const void *payload,
                                size_t size)
{
    static uint8_t out[HSR_FRAME_HEADER_SIZE + HSR_CONTROL_PAYLOAD_MAX];

    CHECK(size <= HSR_CONTROL_PAYLOAD_MAX);
    raw_send(raw, out, frame_make_as(raw, frame, payload, size, out));
}

static inline void raw_frame(struct raw *raw, uint16_t kind, const void *payload, size_t size)
{
    raw_frame_as(raw, (struct hsr_frame){ .kind = kind }, payload, size);
}

static const struct hsr_hello hello_good = { .magic = HSR_PROTO_MAGIC,
                                             .version_min = 1,
                                             .version_max = 1,
                                             .features = HSR_FEATURE_XXH3,
                                             .agent = { (const uint8_t *)"test/1", 6 } };

static inline size_t hello_make(const struct hsr_hello *hello, uint8_t out[128])
{
    int size = hsr_hello_encode(&hello_good, out, 128);
    struct hsr_writer writer = hsr_writer_init(out, 128);

    CHECK(size > 0); /* then the fields that an encoder would refuse */
    hsr_put_u32(&writer, hello->magic);
    hsr_put_u16(&writer, hello->version_min);
    hsr_put_u16(&writer, hello->version_max);
    hsr_put_u64(&writer, hello->features);
    return (size_t)size;
}

static inline void raw_hello(struct raw *raw)
{
    uint8_t payload[128];

    raw_frame(raw, HSR_FRAME_HELLO, payload, hello_make(&hello_good, payload));
}

/* Wait for the next frame but BEAT and REST; false: the server closed, or @wait_ns passed. */
static inline bool raw_wait_for(struct fixture *fx, struct raw *raw, uint64_t wait_ns,
                                struct hsr_frame *ret_frame, struct hsr_span *ret_payload)
{
    uint64_t end = now_ns() + wait_ns;

    for (;;) {
        size_t have = raw->size - raw->offset;
        ssize_t got;

        if (have >= HSR_FRAME_HEADER_SIZE) {
            CHECK_EQ(hsr_frame_decode(raw->bytes + raw->offset, ret_frame), 0);
            if (have >= HSR_FRAME_HEADER_SIZE + (size_t)ret_frame->size) {
                *ret_payload = (struct hsr_span){ raw->bytes + raw->offset + HSR_FRAME_HEADER_SIZE,
                                                  ret_frame->size };
                raw->offset += HSR_FRAME_HEADER_SIZE + (size_t)ret_frame->size;
                if (ret_frame->kind == HSR_FRAME_BEAT || ret_frame->kind == HSR_FRAME_REST)
                    continue; /* on a slow machine */
                return true;
            }
        }
        if (raw->ended || now_ns() > end)
            return false;
        fixture_turn(fx);
        got = recv(raw->fd, raw->bytes + raw->size, REPLY_MAX - raw->size, 0);
        if (got > 0)
            raw->size += (size_t)got;
        else if (got == 0 || errno != EAGAIN)
            raw->ended = true;
    }
}

/* The same for one that must come. */
static inline bool raw_wait(struct fixture *fx, struct raw *raw, struct hsr_frame *ret_frame,
                            struct hsr_span *ret_payload)
{
    return raw_wait_for(fx, raw, COMES_NS, ret_frame, ret_payload);
}

/* The server closes, and says nothing before. */
static inline void raw_expect_end(struct fixture *fx, struct raw *raw)
{
    struct hsr_span payload;
    struct hsr_frame frame;

    CHECK(!raw_wait(fx, raw, &frame, &payload));
    CHECK(raw->ended);
}

static inline void raw_expect(struct fixture *fx, struct raw *raw, uint16_t kind,
                              struct hsr_span *ret_payload)
{
    struct hsr_frame frame = { 0 };

    *ret_payload = (struct hsr_span){ 0 };
    CHECK(raw_wait(fx, raw, &frame, ret_payload));
    CHECK_EQ(frame.kind, kind);
}

/* The session ends with @code, whatever came before that. */
static inline void raw_expect_cancel(struct fixture *fx, struct raw *raw, int code)
{
    struct hsr_reject reject = { 0 };
    struct hsr_span payload = { 0 };
    struct hsr_frame frame = { 0 };

    while (raw_wait(fx, raw, &frame, &payload) && frame.kind != HSR_FRAME_CANCEL)
        continue;
    CHECK_EQ(frame.kind, HSR_FRAME_CANCEL);
    CHECK_EQ(hsr_reject_decode(payload, &reject), 0);
    CHECK_EQ(reject.code, code);
}

static inline void raw_greet(struct fixture *fx, struct raw *raw)
{
    struct hsr_span payload;
    struct hsr_hello_ack ack;

    raw_hello(raw);
    raw_expect(fx, raw, HSR_FRAME_HELLO_ACK, &payload);
    CHECK_EQ(hsr_hello_ack_decode(payload, &ack), 0);
    CHECK_EQ(ack.version, 1);
    CHECK_EQ(ack.features, HSR_FEATURE_XXH3);
    CHECK_EQ(ack.streams_max, 4);
    CHECK_EQ(ack.depth_max, 2);
    CHECK_EQ(ack.chunk_max, 65536);
}

/* What the simplest session asks for, if we are the @role. */
static inline struct hsr_open open_of(uint8_t role)
{
    return (struct hsr_open){ .role = role,
                              .digest = HSR_DIGEST_XXH3,
                              .durability = HSR_DURABILITY_WRITTEN,
                              .streams = 1,
                              .depth = 2,
                              .chunk = 65536,
                              .delete_max = UINT64_MAX,
                              .paths = role == HSR_ROLE_TARGET ? 1 : 0,
                              .export_name = { (const uint8_t *)"data", 4 } };
}

/* By hand, a session with one data connection. @features is what HELLO offers; @ret_token names the
 * session. */
static inline void raw_session(struct fixture *fx, struct raw *control, struct raw *stream,
                               uint64_t features, const struct hsr_open *open,
                               uint8_t ret_token[HSR_TOKEN_SIZE])
{
    struct hsr_hello hello = hello_good;
    struct hsr_join join = { .stream = 0 };
    struct hsr_open_ack ack = { 0 };
    struct hsr_span payload;
    uint8_t out[512];
    int size;

    hello.features = features;
    raw_connect(fx, control);
    raw_frame(control, HSR_FRAME_HELLO, out, hello_make(&hello, out));
    raw_expect(fx, control, HSR_FRAME_HELLO_ACK, &payload);
    size = hsr_open_encode(open, out, sizeof(out));
    CHECK(size > 0);
    raw_frame(control, HSR_FRAME_OPEN, out, (size_t)size);
    raw_expect(fx, control, HSR_FRAME_OPEN_ACK, &payload);
    CHECK_EQ(hsr_open_ack_decode(payload, &ack), 0);
    memcpy(ret_token, ack.token, HSR_TOKEN_SIZE);
    memcpy(join.token, ack.token, sizeof(join.token));
    raw_connect(fx, stream);
    raw_frame(stream, HSR_FRAME_HELLO, out, hello_make(&hello, out));
    raw_expect(fx, stream, HSR_FRAME_HELLO_ACK, &payload);
    CHECK_EQ(hsr_join_encode(&join, out, sizeof(out)), 20);
    raw_frame(stream, HSR_FRAME_JOIN, out, 20);
    raw_expect(fx, stream, HSR_FRAME_JOIN_ACK, &payload);
}

/* What we want of the export: @path and what is below. */
static inline void raw_paths(struct raw *raw, const char *path)
{
    struct hsr_span span = { (const uint8_t *)path, strlen(path) };
    struct hsr_list_writer list;
    uint8_t out[512];
    int size;

    hsr_list_start(&list, out, sizeof(out));
    CHECK_EQ(hsr_paths_put(&list, span), 0);
    size = hsr_list_finish(&list);
    CHECK(size > 0);
    raw_frame(raw, HSR_FRAME_PATHS, out, (size_t)size);
}

/* The next page of the listing; @ret_index: of the last file in it. */
static inline void raw_page(struct fixture *fx, struct raw *raw, uint32_t *ret_page,
                            uint32_t *ret_index)
{
    struct hsr_frame frame = { 0 };
    struct hsr_span payload = { 0 };
    struct hsr_reader reader;
    bool found = false;

    CHECK(raw_wait(fx, raw, &frame, &payload));
    CHECK_EQ(frame.kind, HSR_FRAME_ENTRIES);
    *ret_page = frame.page;
    reader = hsr_reader_init(payload.ptr, payload.size);
    for (uint32_t i = 0; hsr_reader_left(&reader) > 0; i++) {
        struct hsr_entry entry;
        int rc = hsr_entry_decode(&reader, &entry);

        CHECK_EQ(rc, 0);
        if (rc < 0)
            break;
        if (entry.type == HSR_ENTRY_FILE) {
            *ret_index = i;
            found = true;
        }
    }
    CHECK(found);
}

/* The server says REJECT with @code, closes, and reports it once. */
static inline void raw_expect_reject(struct fixture *fx, struct raw *raw, int code)
{
    unsigned before = fx->events[HSR_EVENT_REFUSED];
    uint64_t end = now_ns() + COMES_NS;
    struct hsr_span payload;
    struct hsr_reject reject = { 0 };

    raw_expect(fx, raw, HSR_FRAME_REJECT, &payload);
    CHECK_EQ(hsr_reject_decode(payload, &reject), 0);
    CHECK_EQ(reject.code, code);
    raw_expect_end(fx, raw);
    fx->refused_expected++;
    while (fx->events[HSR_EVENT_REFUSED] < fx->refused_expected && now_ns() < end)
        fixture_turn(fx);
    fixture_turn_for(fx, 5 * HSR_NS_PER_MS);
    CHECK(fx->events[HSR_EVENT_REFUSED] >= fx->refused_expected);
    CHECK(fx->events[HSR_EVENT_REFUSED] <= before + 1);
    CHECK_EQ(fx->refused_code, code);
}

static inline void join_send_token(struct raw *raw, uint8_t fill, uint8_t home, uint32_t stream,
                                   bool trailing)
{
    struct hsr_join join = { .stream = stream };
    uint8_t payload[64], out[256];
    int size;

    memset(join.token, fill, sizeof(join.token));
    join.token[HSR_TOKEN_SIZE - 1] = home;
    size = hsr_join_encode(&join, payload, sizeof(payload));
    CHECK_EQ(size, 20);
    (void)frame_make(raw, HSR_FRAME_JOIN, payload, 20, out);
    out[HSR_FRAME_HEADER_SIZE + 20] = 0;
    raw_send(raw, out, HSR_FRAME_HEADER_SIZE + 20 + (trailing ? 1 : 0));
}

static inline void list_send(struct raw *raw, const char *export_name, const char *path,
                             bool self_only)
{
    struct hsr_list_request request = {
        .self_only = self_only,
        .export_name = { (const uint8_t *)export_name, strlen(export_name) },
        .path = { (const uint8_t *)path, strlen(path) },
    };
    uint8_t payload[512];
    int size = hsr_list_request_encode(&request, payload, sizeof(payload));

    CHECK(size > 0);
    raw_frame(raw, HSR_FRAME_LIST, payload, (size_t)size);
}

/* ---- time ---- */

static bool fixture_hurries;
static uint64_t fixture_ahead_ns;
static struct front fixture_fronts[HSR_SHARDS_MAX];

static inline uint64_t fixture_now(struct hsr_backend *inner)
{
    if (fixture_hurries)
        fixture_ahead_ns += 300 * HSR_NS_PER_US;
    return inner->ops->now(inner) + fixture_ahead_ns;
}

/* Some turns in which time flies: whoever looks whether his slice is over finds that it is. */
static inline void fixture_hurry(struct fixture *fx)
{
    for (unsigned i = 0; i < fx->shards; i++) {
        struct hsr_loop *loop = hsr_engine_loop(fx->engine, i);

        if (loop->backend->ops != &front_ops)
            front_put(&fixture_fronts[i], loop, fixture_now);
    }
    fixture_hurries = true;
    for (unsigned i = 0; i < 5; i++)
        fixture_turn(fx);
    fixture_hurries = false;
}

#endif
