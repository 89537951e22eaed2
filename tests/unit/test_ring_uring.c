/* Goal: the real ring: sockets, cancelling, a full queue, registered buffers, the doorbell, errors.
 * Method: socket pairs and a memory file, through a loop. */
#include "hsr_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "ring/buf.h"
#include "ring/ring.h"

#define ENTRIES 8u
#define MANY 1000u /* far over the queue and its completions (8 and 32) */

static struct hsr_loop loop;

struct got {
    struct hsr_op op;
    unsigned count;
    int64_t res;
};

static void got_done(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct got *got = hsr_container_of(op, struct got, op);

    CHECK_EQ(flags, 0);
    got->count++;
    got->res = res;
}

static struct got got_op(enum hsr_op_kind kind, int fd)
{
    return (
        struct got){ .op = { .kind = (uint8_t)kind, .fd = fd, .done = got_done, .buf_index = -1 } };
}

static void fixture_init(uint32_t entries)
{
    struct hsr_uring_options options = { .entries = entries, .iowq_cpu = 0, .iowq_max = 1 };
    struct hsr_backend *backend;
    char why[256];

    if (hsr_uring_create(&options, &backend, why, sizeof(why)) != 0)
        SKIP(why);
    CHECK_EQ(why[0], '\0');
    CHECK_EQ(hsr_loop_init(&loop, backend, 0), 0);
}

/* Turns until @got completed. */
static int64_t finish(struct got *got)
{
    while (got->count == 0)
        (void)hsr_loop_turn(&loop, false);
    CHECK_EQ(got->count, 1);
    return got->res;
}

static int64_t submit(struct got *got)
{
    hsr_loop_submit(&loop, &got->op);
    while (got->count == 0)
        (void)hsr_loop_turn(&loop, false);
    return got->res;
}

static void test_sockets(void)
{
    char head[3] = { 0 }, tail[8] = { 0 };
    struct iovec iov[2] = { { head, 2 }, { tail, sizeof(tail) } };
    struct got send, recv, msg, poll_op;
    int fds[2];

    fixture_init(ENTRIES);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    poll_op = got_op(HSR_OP_POLL, fds[1]);
    poll_op.op.msg_flags = POLLIN;
    hsr_loop_submit(&loop, &poll_op.op);
    recv = got_op(HSR_OP_RECV, fds[1]);
    recv.op.buf = tail;
    recv.op.size = 3;
    recv.op.msg_flags = MSG_WAITALL;
    (void)hsr_loop_turn(&loop, false);
    (void)hsr_loop_turn(&loop, false);
    CHECK_EQ(poll_op.count, 0);
    send = got_op(HSR_OP_SEND, fds[0]);
    send.op.buf = (char[]){ "abcdefgh" };
    send.op.size = 8;
    CHECK_EQ(submit(&send), 8);
    CHECK(finish(&poll_op) & POLLIN);
    CHECK_EQ(submit(&recv), 3);
    CHECK(memcmp(tail, "abc", 3) == 0);
    msg = got_op(HSR_OP_RECVMSG, fds[1]);
    msg.op.iov = iov;
    msg.op.iov_count = 2;
    CHECK_EQ(submit(&msg), 5);
    CHECK(memcmp(head, "de", 2) == 0 && memcmp(tail, "fgh", 3) == 0);
    (void)close(fds[1]);
    send.count = 0;
    CHECK_EQ(submit(&send), -EPIPE); /* and no SIGPIPE */
    (void)close(fds[0]);
    hsr_loop_fini(&loop);
}

struct zc_got {
    struct hsr_op op;
    unsigned results, notices;
    int64_t res, notice;
};

static void zc_done(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct zc_got *got = hsr_container_of(op, struct zc_got, op);

    if (flags & HSR_CQE_NOTIF) {
        CHECK_EQ(got->results, 1); /* never before its result */
        got->notices++;
        got->notice = res;
    } else {
        CHECK_EQ(flags, HSR_CQE_MORE);
        got->results++;
        got->res = res;
    }
}

/* True when the kernel refused to lock the memory of a send: all processes of a plain user share
 * RLIMIT_MEMLOCK, so whether there is enough left is not for this test to say. */
static bool zc_unlocked(const struct zc_got *got)
{
    return got->res == -ENOMEM && geteuid() != 0;
}

static void loopback_pair(int fds[2])
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof(addr);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK_EQ(bind(listener, (struct sockaddr *)&addr, size), 0);
    CHECK_EQ(listen(listener, 1), 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&addr, &size), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(fds[0], (struct sockaddr *)&addr, size), 0);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fds[1] >= 0);
    (void)close(listener);
}

static void zc_fixture(int fds[2])
{
    fixture_init(ENTRIES);
    if (!loop.backend->send_zc) {
        hsr_loop_fini(&loop);
        SKIP("the kernel does not report what zero-copy sends copy (Linux 6.2 does)");
    }
    loopback_pair(fds);
}

/* More zero-copy sends at once than the ring has completions: none is lost, each result comes
 * before its notice, and on loopback every notice says that it was copied. */
static void test_zero_copy_sends(void)
{
    static struct zc_got gots[MANY];
    static uint8_t out[100], in[MANY * 100];
    unsigned notices = 0, unlocked = 0;
    int fds[2];

    zc_fixture(fds);
    memset(out, 'z', sizeof(out));
    for (unsigned i = 0; i < MANY; i++) {
        gots[i].op = (struct hsr_op){ .kind = HSR_OP_SEND_ZC,
                                      .fd = fds[0],
                                      .done = zc_done,
                                      .buf = out,
                                      .size = sizeof(out),
                                      .buf_index = -1,
                                      .msg_flags = MSG_WAITALL };
        hsr_loop_submit(&loop, &gots[i].op);
    }
    for (size_t have = 0; notices < MANY;) {
        ssize_t got = recv(fds[1], in, sizeof(in) - have, MSG_DONTWAIT);

        have += got > 0 ? (size_t)got : 0;
        (void)hsr_loop_turn(&loop, false);
        notices = 0;
        for (unsigned i = 0; i < MANY; i++)
            notices += gots[i].notices;
    }
    for (unsigned i = 0; i < MANY; i++) {
        CHECK_EQ(gots[i].results, 1);
        CHECK_EQ(gots[i].notices, 1);
        if (zc_unlocked(&gots[i])) {
            unlocked++;
            continue;
        }
        CHECK_EQ(gots[i].res, sizeof(out));
        CHECK_EQ(gots[i].notice, HSR_NOTICE_COPIED);
    }
    if (unlocked > 0)
        fprintf(stderr, "%u of %u sends: no memory left to lock\n", unlocked, MANY);
    (void)close(fds[0]);
    (void)close(fds[1]);
    hsr_loop_fini(&loop);
}

/* A zero-copy send to a peer that does not read: a reset gives the memory back. Its size is far
 * over both socket buffers, and far below the 8 MiB that a plain user may lock. */
static void test_zero_copy_send_is_stuck(void)
{
    static uint8_t big[1 << 20];
    struct linger now = { .l_onoff = 1 };
    struct zc_got stuck = { .op = { .kind = HSR_OP_SEND_ZC, .done = zc_done, .buf_index = -1 } };
    int fds[2], narrow = 65536;

    zc_fixture(fds);
    CHECK_EQ(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &narrow, sizeof(narrow)), 0);
    CHECK_EQ(setsockopt(fds[1], SOL_SOCKET, SO_RCVBUF, &narrow, sizeof(narrow)), 0);
    stuck.op.fd = fds[0];
    stuck.op.buf = big;
    stuck.op.size = sizeof(big);
    hsr_loop_submit(&loop, &stuck.op);
    while (stuck.results == 0)
        (void)hsr_loop_turn(&loop, false);
    if (zc_unlocked(&stuck)) {
        fprintf(stderr, "no memory left to lock: only the notice of a refused send is tried\n");
    } else {
        CHECK_EQ(stuck.notices, 0); /* not all of it can have been acknowledged */
        CHECK(stuck.res > 0 && stuck.res < (int64_t)sizeof(big));
    }
    CHECK_EQ(setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    (void)close(fds[0]);
    while (stuck.notices == 0)
        (void)hsr_loop_turn(&loop, false);
    (void)close(fds[1]);
    hsr_loop_fini(&loop);
}

static void test_accept_and_connect(void)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    struct sockaddr_in peer = { 0 };
    socklen_t size = sizeof(addr), peer_size = sizeof(peer);
    struct got accept_op, connect_op;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    fixture_init(ENTRIES);
    CHECK_EQ(bind(listener, (struct sockaddr *)&addr, size), 0);
    CHECK_EQ(listen(listener, 5), 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&addr, &size), 0);
    accept_op = got_op(HSR_OP_ACCEPT, listener);
    accept_op.op.addr = (struct sockaddr *)&peer;
    accept_op.op.addr_size_out = &peer_size;
    hsr_loop_submit(&loop, &accept_op.op);
    connect_op = got_op(HSR_OP_CONNECT, client);
    connect_op.op.addr = (struct sockaddr *)&addr;
    connect_op.op.addr_size = size;
    CHECK_EQ(submit(&connect_op), 0);
    CHECK(finish(&accept_op) > 0);
    CHECK(fcntl((int)accept_op.res, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(peer.sin_family, AF_INET);
    (void)close((int)accept_op.res);
    (void)close(client);
    (void)close(listener);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connect_op.op.fd = client;
    connect_op.count = 0;
    CHECK_EQ(submit(&connect_op), -ECONNREFUSED);
    (void)close(client);
    hsr_loop_fini(&loop);
}

static void test_cancel(void)
{
    struct got recvs[3];
    char byte[3];
    int fds[2];

    fixture_init(ENTRIES);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    for (unsigned i = 0; i < 3; i++) {
        recvs[i] = got_op(HSR_OP_RECV, fds[1]);
        recvs[i].op.buf = &byte[i];
        recvs[i].op.size = 1;
    }
    hsr_loop_submit(&loop, &recvs[0].op);
    hsr_loop_submit(&loop, &recvs[1].op);
    (void)hsr_loop_turn(&loop, false);
    (void)hsr_loop_turn(&loop, false);
    hsr_loop_cancel(&loop, &recvs[0].op);
    CHECK_EQ(recvs[0].count, 0); /* its completion comes, but not from inside */
    CHECK_EQ(finish(&recvs[0]), -ECANCELED);
    hsr_loop_submit(&loop, &recvs[2].op); /* cancelled in the same turn: before the kernel saw it */
    hsr_loop_cancel(&loop, &recvs[2].op);
    CHECK_EQ(finish(&recvs[2]), -ECANCELED);
    CHECK_EQ(write(fds[0], "x", 1), 1);
    CHECK_EQ(finish(&recvs[1]), 1);
    CHECK_EQ(byte[1], 'x');
    hsr_loop_cancel(&loop, &recvs[1].op); /* harmless */
    (void)close(fds[0]);
    (void)close(fds[1]);
    hsr_loop_fini(&loop);
}

static void test_more_than_the_queue_holds(void)
{
    static struct got ops[MANY];
    int fds[2];
    unsigned done = 0;

    fixture_init(ENTRIES);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    for (unsigned i = 0; i < MANY; i++) { /* every third waits in the kernel, for ever */
        ops[i] = got_op(i % 3 == 0 ? HSR_OP_POLL : HSR_OP_NOP, i % 3 == 0 ? fds[1] : -1);
        ops[i].op.msg_flags = POLLIN;
        hsr_loop_submit(&loop, &ops[i].op);
    }
    for (unsigned i = 0; i < 2000 && loop.armed > (MANY + 2) / 3; i++)
        (void)hsr_loop_turn(&loop, false);
    CHECK_EQ(loop.armed, (MANY + 2) / 3);
    for (unsigned i = 0; i < MANY; i += 6)
        hsr_loop_cancel(&loop, &ops[i].op);
    CHECK_EQ(write(fds[0], "x", 1), 1); /* the rest fire together: the CQ overflows */
    while (loop.armed > 0)
        (void)hsr_loop_turn(&loop, false);
    for (unsigned i = 0; i < MANY; i++) {
        done += ops[i].count;
        if (i % 3 == 0)
            CHECK(ops[i].res == -ECANCELED || (ops[i].res & POLLIN));
        else
            CHECK_EQ(ops[i].res, 0);
    }
    CHECK_EQ(done, MANY);
    (void)close(fds[0]);
    (void)close(fds[1]);
    hsr_loop_fini(&loop);
}

/* Is the page in memory? */
static bool resident(const void *at)
{
    unsigned char byte = 0;

    CHECK_EQ(mincore((void *)((uintptr_t)at & ~(uintptr_t)4095), 4096, &byte), 0);
    return byte & 1;
}

/* Linux 5.19 and later register a buffer when it is used; before, all at once. */
static bool registers_singly(void)
{
    struct io_uring ring;
    bool singly;
    int rc;

    rc = io_uring_queue_init(1, &ring, 0);
    if (rc == -ENOMEM && geteuid() != 0)
        return false; /* no memory left to lock */
    CHECK_EQ(rc, 0);
    singly = io_uring_register_buffers_sparse(&ring, 1) == 0;
    io_uring_queue_exit(&ring);
    return singly;
}

/* Goal: a registered buffer is used as one, and costs nothing before. */
static void test_registered_buffers(void)
{
    size_t size = 3 * hsr_buf_stride(65536);
    struct hsr_bufpool pool;
    struct hsr_buf *from, *to;
    struct got op;
    int64_t res;
    int fd = memfd_create("ring", MFD_CLOEXEC);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    fixture_init(ENTRIES);
    CHECK_EQ(hsr_bufpool_init(&pool, &loop, memory, size, 65536, true), 0);
    if (!pool.registered)
        fprintf(stderr, "not registered: the lock limit is small\n");
    from = hsr_buf_take(&pool, NULL);
    to = hsr_buf_take(&pool, NULL);
    if (registers_singly())
        CHECK(!resident(from->payload + 40000) && !resident(to->payload));
    memset(from->payload, 'q', 65536);
    op = got_op(HSR_OP_WRITE, fd);
    op.op.buf = from->payload + 1;
    op.op.size = 60000;
    op.op.buf_index = from->index;
    hsr_buf_lend(from);
    CHECK_EQ(submit(&op), 60000);
    hsr_buf_return(from);
    op = got_op(HSR_OP_READ, fd);
    op.op.buf = to->payload;
    op.op.size = 65536;
    op.op.buf_index = to->index;
    hsr_buf_lend(to);
    CHECK_EQ(submit(&op), 60000);
    hsr_buf_return(to);
    CHECK(memcmp(to->payload, from->payload, 60000) == 0);
    if (registers_singly())
        CHECK(!resident((uint8_t *)memory + size - 1)); /* nobody used the third */
    if (pool.registered) { /* the index is really used: this address is not in that buffer */
        op.count = 0;
        op.op.buf_index = from->index;
        res = submit(&op);
        if (res == 60000 && geteuid() != 0)
            fprintf(stderr, "not registered at its first use: no memory left to lock\n");
        else
            CHECK_EQ(res, -EFAULT);
    }
    hsr_buf_give(&pool, from);
    hsr_buf_give(&pool, to);
    hsr_bufpool_fini(&pool);
    hsr_loop_fini(&loop);
    (void)munmap(memory, size);
    (void)close(fd);
}

static void *wake_main(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 3; i++) {
        (void)usleep(2000);
        loop.backend->ops->wake(loop.backend);
    }
    return NULL;
}

static void test_wait_wakes_and_times_out(void)
{
    struct hsr_backend *backend;
    uint64_t start_ns;
    pthread_t thread;

    fixture_init(ENTRIES);
    backend = loop.backend;
    start_ns = hsr_loop_clock(&loop);
    backend->ops->wait(backend, start_ns + 2 * HSR_NS_PER_MS);
    CHECK(hsr_loop_clock(&loop) >= start_ns + 2 * HSR_NS_PER_MS);
    backend->ops->wait(backend, 0);
    CHECK(!backend->ops->pending(backend));
    CHECK_EQ(pthread_create(&thread, NULL, wake_main, NULL), 0);
    for (unsigned i = 0; i < 3; i++) { /* the doorbell is armed again each time */
        /* two rings may melt into one on a busy machine: so not for ever */
        backend->ops->wait(backend, hsr_loop_clock(&loop) + HSR_NS_PER_S);
        CHECK_EQ(backend->ops->reap(backend, 10), 0); /* it is not anybody's operation */
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(backend->ops->wall(backend) > 1600000000ull * HSR_NS_PER_S);
    hsr_loop_fini(&loop);
}

static bool sync_done;

static void sync_came(struct hsr_op *op, int64_t res, unsigned flags)
{
    CHECK_EQ(res, 0);
    CHECK_EQ(flags, 0);
    CHECK(!op->armed);
    sync_done = true;
    hsr_loop_stop(&loop); /* else the turn that brought it goes to sleep, with nothing to wake it */
}

/* Goal: a call that may sleep for seconds does not hold the loop. Method: syncfs comes back through
 * the loop, and not within the turn that submitted it. */
static void test_syncfs_does_not_block(void)
{
    struct hsr_op op = { .kind = HSR_OP_SYNCFS, .done = sync_came, .buf_index = -1 };

    fixture_init(ENTRIES);
    op.fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(op.fd >= 0);
    sync_done = false;
    hsr_loop_submit(&loop, &op);
    CHECK(op.armed);
    hsr_loop_run(&loop);
    CHECK(sync_done);
    close(op.fd);
    hsr_loop_fini(&loop);
}

/* Goal: the pages of a file that nobody else has are not freed on the loop's thread. Method: the
 * threads beside the ring have worked when a memory file's close came back. */
static void test_close_frees_elsewhere(void)
{
    static uint8_t bytes[1 << 20];
    struct hsr_usage before, after;
    struct got got;
    int fd;

    fixture_init(ENTRIES);
    fd = memfd_create("large", MFD_CLOEXEC);
    for (unsigned i = 0; i < 8; i++)
        CHECK_EQ(write(fd, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
    got = got_op(HSR_OP_CLOSE, fd);
    CHECK(loop.backend->ops->usage(loop.backend, &before));
    hsr_loop_submit(&loop, &got.op);
    CHECK_EQ(finish(&got), 0);
    for (unsigned ms = 0; ms < 5000; ms++) { /* the kernel counts when the thread sleeps again */
        CHECK(loop.backend->ops->usage(loop.backend, &after));
        if (after.help_ns > before.help_ns)
            break;
        usleep(1000);
    }
    CHECK(after.help_ns > before.help_ns);
    CHECK_EQ(fcntl(fd, F_GETFD), -1);
    CHECK_EQ(errno, EBADF);
    hsr_loop_fini(&loop);
}

static void test_random_differs(void)
{
    uint8_t a[64] = { 0 }, b[64] = { 0 };

    fixture_init(ENTRIES);
    loop.backend->ops->random(loop.backend, a, sizeof(a));
    loop.backend->ops->random(loop.backend, b, sizeof(b));
    CHECK(memcmp(a, b, sizeof(a)) != 0);
    hsr_loop_fini(&loop);
}

static void test_probe(void)
{
    struct hsr_uring_features features;

    hsr_uring_probe(&features);
    CHECK(features.defer_taskrun && features.single_issuer && features.submit_all);
    CHECK(strstr(features.used, "defer_taskrun") != NULL);
    CHECK(strlen(features.used) < sizeof(features.used) - 1); /* nothing was cut */
    CHECK(strlen(features.missing) < sizeof(features.missing) - 1);
    CHECK(features.fchmodat2 == (strstr(features.used, "fchmodat2") != NULL));
}

int main(void)
{
    RUN(test_sockets);
    RUN(test_accept_and_connect);
    RUN(test_zero_copy_sends);
    RUN(test_zero_copy_send_is_stuck);
    RUN(test_cancel);
    RUN(test_more_than_the_queue_holds);
    RUN(test_registered_buffers);
    RUN(test_wait_wakes_and_times_out);
    RUN(test_syncfs_does_not_block);
    RUN(test_close_frees_elsewhere);
    RUN(test_random_differs);
    RUN(test_probe);
    TEST_END();
}
