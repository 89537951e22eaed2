/* The engine: starting, limits, draining, stopping. */
#include "tests/unit/server_fixture.h"

#include <pthread.h>

/* A connection that has got what it came for: it lists, and may go on with that. */
static void lister_connect(struct fixture *fx, struct raw *raw)
{
    struct hsr_frame frame = { 0 };
    struct hsr_span payload;

    raw_connect(fx, raw);
    raw_greet(fx, raw);
    list_send(raw, "data", "", true);
    while (raw_wait(fx, raw, &frame, &payload) && frame.kind != HSR_FRAME_LIST_END)
        CHECK_EQ(frame.kind, HSR_FRAME_ENTRIES);
    CHECK_EQ(frame.kind, HSR_FRAME_LIST_END);
}

/* Goal: so many connections of one address, and a place is free again when one ends. */
static void test_engine_peer_limit(void)
{
    struct raw raws[4], late;
    struct fixture fx;

    fixture_start_as(&fx, (struct fixture_shape){ .shards = 1, .per_peer = 4 });
    for (unsigned i = 0; i < 4; i++)
        lister_connect(&fx, &raws[i]);
    raw_connect(&fx, &late);
    raw_expect_end(&fx, &late);
    CHECK_EQ(fx.refused_code, HSR_E_BUSY);
    CHECK_EQ(fx.events[HSR_EVENT_ACCEPTED], 4);
    CHECK_EQ(fx.events[HSR_EVENT_REFUSED], 1);
    raw_close(&late);
    raw_close(&raws[2]);
    fixture_wait_conns(&fx, 3);
    raw_connect(&fx, &late);
    raw_greet(&fx, &late);
    raw_close(&late);
    for (unsigned i = 0; i < 4; i++)
        if (i != 2)
            raw_close(&raws[i]);
    fixture_stop(&fx);
}

/* Goal: strangers that take every place, whether they are silent, have sent a part of a frame, or
 * have greeted and ask for nothing, make room for one who asks: the oldest first, and never who
 * has got in. */
static void test_engine_idle_makes_room(void)
{
    enum { PLACES = 12, STRANGERS = 3 * PLACES };
    struct raw raws[STRANGERS], honest[2];
    struct hsr_frame frame;
    struct hsr_span payload;
    struct fixture fx;

    fixture_start_as(&fx, (struct fixture_shape){ .shards = 1, .per_peer = PLACES });
    lister_connect(&fx, &honest[0]);
    for (unsigned i = 0; i < STRANGERS; i++) {
        raw_connect(&fx, &raws[i]);
        if (i % 3 == 0)
            raw_send(&raws[i], "HAWS", 4);
        else if (i % 3 == 1)
            raw_greet(&fx, &raws[i]);
        fixture_turn_for(&fx, HSR_NS_PER_MS);
        CHECK(fixture_conns(&fx) <= PLACES);
    }
    lister_connect(&fx, &honest[1]);
    list_send(&honest[0], "data", "", true); /* and it is still served */
    CHECK(raw_wait(&fx, &honest[0], &frame, &payload));
    CHECK_EQ(fx.refused_code, HSR_E_BUSY);
    CHECK(fx.events[HSR_EVENT_REFUSED] >= STRANGERS - PLACES);
    CHECK(!raw_wait(&fx, &raws[0], &frame, &payload) || frame.kind == HSR_FRAME_REJECT);
    for (unsigned i = 0; i < STRANGERS; i++)
        raw_close(&raws[i]);
    raw_close(&honest[0]);
    raw_close(&honest[1]);
    fixture_stop(&fx);
}

/* Goal: while draining nobody may begin, and who comes is told why. */
static void test_engine_drains(void)
{
    struct fixture fx;
    struct raw early, late;

    fixture_start(&fx, 2);
    raw_connect(&fx, &early);
    raw_greet(&fx, &early);
    hsr_engine_drain(fx.engine);
    list_send(&early, "data", "", false);
    raw_expect_reject(&fx, &early, HSR_E_SHUTDOWN);
    raw_connect(&fx, &late);
    raw_greet(&fx, &late);
    list_send(&late, "data", "", false);
    raw_expect_reject(&fx, &late, HSR_E_SHUTDOWN);
    CHECK_EQ(fx.events[HSR_EVENT_ACCEPTED], 2);
    raw_close(&early);
    raw_close(&late);
    CHECK_EQ(hsr_engine_sessions(fx.engine), 0);
    fixture_stop(&fx);
}

/* Goal: destroy with connections in every state of the handshake frees all of them, soon. */
static void test_engine_destroy_with_connections(void)
{
    struct raw silent, half, greeted, joining;
    struct fixture fx;
    uint64_t start;

    fixture_start(&fx, 2);
    raw_connect(&fx, &silent);
    raw_connect(&fx, &half);
    raw_send(&half, "half a header", 13);
    raw_connect(&fx, &greeted);
    raw_greet(&fx, &greeted);
    raw_connect(&fx, &joining);
    raw_greet(&fx, &joining);
    join_send_token(&joining, 9, 1, 0, false);
    start = now_ns();
    fixture_stop(&fx);
    CHECK(now_ns() - start < HANDSHAKE_NS / 2); /* it waits for nobody's handshake */
    raw_close(&silent);
    raw_close(&half);
    raw_close(&greeted);
    raw_close(&joining);
}

/* Goal: with threads an engine starts, answers, refuses and stops. */
static void test_engine_threads(void)
{
    struct hsr_plan_request request = {
        .shards = 2, .server = true, .sessions = 1, .streams = 2, .depth = 2, .chunk = 65536
    };
    struct hsr_engine_config config = { .server = true, .handshake_ns = 200 * HSR_NS_PER_MS };
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = sizeof(address);
    struct hsr_engine *engine = NULL;
    char why[512];

    CHECK_EQ(hsr_place_make(2, NULL, NULL, &config.placement), 0);
    CHECK_EQ(hsr_plan_make(&request, &config.placement, &config.plan, why, sizeof(why)), 0);
    CHECK_EQ(bind(fd, (struct sockaddr *)&address, size), 0);
    CHECK_EQ(listen(fd, 64), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    CHECK_EQ(hsr_engine_create(&config, &engine, why, sizeof(why)), 0);
    CHECK_EQ(hsr_engine_listen(engine, fd, 0), 0);
    CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    CHECK_EQ(hsr_engine_listen(engine, -1, 0), -EBADF);
    for (unsigned i = 0; i < 10; i++) {
        struct raw raw = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        struct timeval limit = { .tv_sec = 10 };
        uint8_t bytes[256];
        ssize_t got = 0, more;

        CHECK_EQ(connect(raw.fd, (struct sockaddr *)&address, size), 0);
        CHECK_EQ(setsockopt(raw.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
        raw_hello(&raw);
        do { /* HELLO_ACK, and at the deadline REJECT */
            more = recv(raw.fd, bytes, sizeof(bytes), i % 2 == 0 ? 0 : MSG_DONTWAIT);
            got += more > 0 ? more : 0;
        } while (more > 0 || (more < 0 && errno == EINTR)); /* old rings leave work behind */
        if (i % 2 == 0)
            CHECK(more == 0 && got > (ssize_t)(2 * HSR_FRAME_HEADER_SIZE));
        (void)close(raw.fd);
    }
    hsr_engine_drain(engine);
    hsr_engine_destroy(engine);
    (void)close(fd);
}

static int backend_refused(void *context, unsigned shard, struct hsr_backend **ret_backend)
{
    struct hsr_uring_options options = { .iowq_cpu = -1 };
    char why[256];

    (void)context;
    return shard == 1 ? HSR_E_MEMLOCK : hsr_uring_create(&options, ret_backend, why, sizeof(why));
}

/* Goal: an engine that cannot start says why, and leaves nothing behind. */
static void test_engine_start_fails(void)
{
    struct hsr_plan_request request = {
        .shards = 3, .server = true, .sessions = 1, .streams = 2, .depth = 2, .chunk = 65536
    };

    for (int threads = 0; threads < 2; threads++) {
        for (int server = 0; server < 2; server++) {
            struct hsr_engine_config config = { .server = server,
                                                .no_threads = !threads,
                                                .backend_create = backend_refused };
            struct hsr_engine *engine = NULL;
            char why[512] = "";

            request.server = server;
            CHECK_EQ(hsr_place_make(3, "synthetic:core:4 pu:1", NULL, &config.placement), 0);
            CHECK_EQ(hsr_plan_make(&request, &config.placement, &config.plan, why, sizeof(why)), 0);
            CHECK_EQ(hsr_engine_create(&config, &engine, why, sizeof(why)), HSR_E_MEMLOCK);
            CHECK(engine == NULL);
            CHECK(strstr(why, "shard 1") != NULL);
        }
    }
}

/* ---- a client ---- */

struct client {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    unsigned closed;
    int code;
};

static void client_event(void *context, const struct hsr_event *event)
{
    struct client *client = context;

    if (event->kind != HSR_EVENT_CLOSED)
        return;
    CHECK(event->progress != NULL);
    CHECK(event->totals != NULL);
    (void)pthread_mutex_lock(&client->lock);
    client->closed++;
    client->code = event->code;
    (void)pthread_cond_signal(&client->cond);
    (void)pthread_mutex_unlock(&client->lock);
}

static struct hsr_engine *client_start(struct client *client)
{
    struct hsr_plan_request request = { .shards = 2 };
    struct hsr_engine_config config = { .event = client_event, .context = client };
    struct hsr_engine *engine = NULL;
    char why[512];

    *client =
        (struct client){ .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
    CHECK_EQ(hsr_place_make(2, NULL, NULL, &config.placement), 0);
    CHECK_EQ(hsr_plan_make(&request, &config.placement, &config.plan, why, sizeof(why)), 0);
    CHECK_EQ(hsr_engine_create(&config, &engine, why, sizeof(why)), 0);
    return engine;
}

/* Code of the @count-th CLOSED event; 0 when none came in five seconds. */
static int client_wait(struct client *client, unsigned count)
{
    struct timespec until;
    int rc = 0;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    (void)pthread_mutex_lock(&client->lock);
    while (client->closed < count && rc == 0)
        rc = pthread_cond_timedwait(&client->cond, &client->lock, &until);
    CHECK_EQ(client->closed, count);
    rc = client->closed == count ? client->code : 0;
    (void)pthread_mutex_unlock(&client->lock);
    return rc;
}

/* A place that nobody listens at, or (@listening) one that never says a word. */
static int silent_place(struct hsr_job_spec *spec, bool listening)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK_EQ(bind(fd, (struct sockaddr *)&address, size), 0);
    if (listening)
        CHECK_EQ(listen(fd, 8), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *spec = (struct hsr_job_spec){ .address_size = sizeof(address),
                                   .role = HSR_ROLE_SOURCE,
                                   .list = true,
                                   .export_name = "data",
                                   .path = "" };
    memcpy(&spec->address, &address, sizeof(address));
    return fd;
}

static void test_engine_client_is_refused(void)
{
    struct hsr_job_spec spec;
    struct client client;
    struct hsr_engine *engine = client_start(&client);
    int fd = silent_place(&spec, false);

    for (unsigned i = 1; i <= 3; i++) { /* one engine, one job after the other */
        CHECK_EQ(hsr_engine_run(engine, &spec), 0);
        CHECK_EQ(client_wait(&client, i), -ECONNREFUSED);
    }
    hsr_engine_destroy(engine);
    (void)close(fd);
}

/* Goal: a job that waits for a silent server ends soon when asked: from a thread, from a signal
 * handler, and before it has begun. */
static void test_engine_client_is_canceled(void)
{
    struct timespec pause = { .tv_nsec = 30 * 1000 * 1000 };
    struct hsr_job_spec spec;
    struct client client;
    struct hsr_engine *engine = client_start(&client);
    int fd = silent_place(&spec, true);

    CHECK_EQ(hsr_engine_run(engine, &spec), 0);
    (void)nanosleep(&pause, NULL);
    CHECK_EQ(hsr_engine_sessions(engine), 1);
    hsr_engine_cancel(engine);
    CHECK_EQ(client_wait(&client, 1), HSR_E_CANCELED);

    CHECK_EQ(hsr_engine_run(engine, &spec), 0);
    (void)nanosleep(&pause, NULL);
    hsr_engine_cancel_async(engine);
    CHECK_EQ(client_wait(&client, 2), HSR_E_CANCELED);

    while (hsr_engine_sessions(engine) > 0) /* what said CLOSED may not be gone yet */
        (void)nanosleep(&pause, NULL);
    hsr_engine_cancel_async(engine);
    (void)nanosleep(&pause, NULL);
    CHECK_EQ(client.closed, 2);
    CHECK_EQ(hsr_engine_run(engine, &spec), 0);
    CHECK_EQ(client_wait(&client, 3), HSR_E_CANCELED);

    CHECK_EQ(hsr_engine_run(engine, &spec), 0); /* and the next one runs again */
    (void)nanosleep(&pause, NULL);
    CHECK_EQ(hsr_engine_sessions(engine), 1);
    hsr_engine_destroy(engine); /* ends it too */
    CHECK_EQ(client_wait(&client, 4), HSR_E_CANCELED);
    (void)close(fd);
}

int main(void)
{
    RUN(test_engine_peer_limit);
    RUN(test_engine_idle_makes_room);
    RUN(test_engine_drains);
    RUN(test_engine_destroy_with_connections);
    RUN(test_engine_threads);
    RUN(test_engine_start_fails);
    RUN(test_engine_client_is_refused);
    RUN(test_engine_client_is_canceled);
    TEST_END();
}
