/* Goal: a link sends all or says why not, and a close waits for what is in flight, calls back once
 * and closes the socket once.
 * Method: a backend that keeps what is submitted and completes it with the result a test says; and
 * one run over real sockets. */
#include "hsr_test.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/base.h"
#include "transfer/net/link.h"

#define HELD_MAX 4u
#define FD 42

/* ---- a backend that waits for orders ---- */

struct script {
    struct hsr_backend backend;
    struct hsr_op *held[HELD_MAX]; /* submitted, not completed */
    unsigned held_count;
    struct hsr_op *due; /* completes in the next reap */
    int64_t due_res;
    unsigned cancels, shutdowns, closes, options;
    int64_t socket_res;
};

static struct script script;

static void script_submit(struct hsr_backend *backend, struct hsr_list *ops)
{
    struct hsr_list *node;

    (void)backend;
    while ((node = hsr_list_pop_head(ops)) != NULL) {
        CHECK(script.held_count < HELD_MAX);
        script.held[script.held_count++] = hsr_container_of(node, struct hsr_op, node);
    }
}

static void script_wait(struct hsr_backend *backend, uint64_t deadline_ns)
{
    (void)backend;
    (void)deadline_ns;
}

static unsigned script_reap(struct hsr_backend *backend, unsigned max)
{
    struct hsr_op *op = script.due;

    (void)backend;
    (void)max;
    script.due = NULL;
    if (op == NULL)
        return 0;
    op->done(op, script.due_res, 0);
    return 1;
}

static uint64_t script_now(struct hsr_backend *backend)
{
    (void)backend;
    return 1;
}

static int64_t script_call(struct hsr_backend *backend, struct hsr_op *op)
{
    (void)backend;
    script.shutdowns += op->kind == HSR_OP_SHUTDOWN;
    script.closes += op->kind == HSR_OP_CLOSE;
    script.options += op->kind == HSR_OP_SOCKOPT;
    if (op->kind == HSR_OP_CLOSE)
        CHECK_EQ(op->fd, FD);
    return op->kind == HSR_OP_SOCKET ? script.socket_res : -ENOTCONN; /* must not matter */
}

static void script_cancel(struct hsr_backend *backend, struct hsr_op *op)
{
    (void)backend;
    CHECK(op->armed);
    script.cancels++;
}

static bool script_pending(struct hsr_backend *backend)
{
    (void)backend;
    return script.due != NULL;
}

static void script_fini(struct hsr_backend *backend)
{
    (void)backend;
}

static const struct hsr_backend_ops script_ops = {
    .name = "script",
    .submit = script_submit,
    .wait = script_wait,
    .reap = script_reap,
    .now = script_now,
    .call = script_call,
    .cancel = script_cancel,
    .pending = script_pending,
    .fini = script_fini,
};

/* ---- a link on it ---- */

static struct hsr_loop loop;
static struct hsr_link link_;
static unsigned connects, sents, receipts, closings;
static int connect_rc, sent_rc;
static int64_t received_res;
static uint8_t bytes[1000];

static void connected(struct hsr_link *link, int rc)
{
    CHECK(link == &link_);
    connects++;
    connect_rc = rc;
}

static void sent(struct hsr_link *link, int rc)
{
    CHECK(link == &link_);
    CHECK(!hsr_link_sending(link));
    sents++;
    sent_rc = rc;
}

static void received(struct hsr_link *link, int64_t res)
{
    CHECK(!hsr_link_receiving(link));
    receipts++;
    received_res = res;
}

static void closed(struct hsr_link *link)
{
    CHECK(!hsr_link_sending(link) && !hsr_link_receiving(link));
    CHECK_EQ(link->fd, -1);
    closings++;
}

static void handlers_set(void)
{
    link_.connected = connected;
    link_.sent = sent;
    link_.received = received;
    link_.closed = closed;
    connects = sents = receipts = closings = 0;
}

static void fixture_init(int fd)
{
    memset(&script, 0, sizeof(script));
    script.backend.ops = &script_ops;
    script.socket_res = FD;
    CHECK_EQ(hsr_loop_init(&loop, &script.backend, 0), 0);
    hsr_link_init(&link_, &loop, fd);
    handlers_set();
}

static void fixture_fini(void)
{
    CHECK_EQ(script.held_count, 0);
    CHECK_EQ(closings, 1);
    CHECK_EQ(script.closes, 1);
    hsr_loop_fini(&loop); /* asserts that nothing is armed */
}

/* The held operation of this kind; a turn hands over what was submitted since. */
static struct hsr_op *held(enum hsr_op_kind kind)
{
    (void)hsr_loop_turn(&loop, false);
    for (unsigned i = 0; i < script.held_count; i++)
        if (script.held[i]->kind == kind)
            return script.held[i];
    return NULL;
}

static void complete(enum hsr_op_kind kind, int64_t res)
{
    struct hsr_op *op = held(kind);
    unsigned at = 0;

    CHECK(op != NULL);
    if (op == NULL)
        return;
    while (script.held[at] != op)
        at++;
    script.held[at] = script.held[--script.held_count];
    script.due = op;
    script.due_res = res;
    (void)hsr_loop_turn(&loop, false);
    CHECK(script.due == NULL);
}

static void test_link_short_sends_are_continued(void)
{
    struct hsr_op *op;

    fixture_init(FD);
    CHECK_EQ(script.options, 1); /* TCP_NODELAY */
    hsr_link_send(&link_, bytes, 1000);
    op = held(HSR_OP_SEND);
    CHECK(op != NULL && op->buf == bytes && op->size == 1000 && op->fd == FD);
    complete(HSR_OP_SEND, 1);
    op = held(HSR_OP_SEND);
    CHECK(op != NULL && op->buf == bytes + 1 && op->size == 999);
    CHECK_EQ(sents, 0);
    complete(HSR_OP_SEND, -EINTR);
    complete(HSR_OP_SEND, -EAGAIN);
    op = held(HSR_OP_SEND);
    CHECK(op != NULL && op->buf == bytes + 1 && op->size == 999);
    complete(HSR_OP_SEND, 998);
    CHECK(hsr_link_sending(&link_));
    CHECK_EQ(sents, 0);
    complete(HSR_OP_SEND, 1);
    CHECK(!hsr_link_sending(&link_));
    CHECK_EQ(sents, 1);
    CHECK_EQ(sent_rc, 0);
    CHECK_EQ(link_.sent_bytes, 1000);
    hsr_link_close(&link_);
    fixture_fini();
}

static void test_link_send_fails_once(void)
{
    static const int64_t results[] = { -ECONNRESET, -EPIPE, 0 };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(results); i++) {
        fixture_init(FD);
        hsr_link_send(&link_, bytes, 10);
        complete(HSR_OP_SEND, 4);
        complete(HSR_OP_SEND, results[i]);
        CHECK_EQ(sents, 1);
        CHECK_EQ(sent_rc, results[i] == 0 ? -EPIPE : results[i]);
        CHECK_EQ(link_.sent_bytes, 4);
        CHECK(held(HSR_OP_SEND) == NULL); /* no further try */
        hsr_link_close(&link_);
        fixture_fini();
    }
}

static void test_link_receive_hands_over_what_came(void)
{
    struct iovec iov[2] = { { bytes, 100 }, { bytes + 100, 64 } };
    struct hsr_op *op;

    fixture_init(FD);
    hsr_link_receive(&link_, iov, 1);
    op = held(HSR_OP_RECV);
    CHECK(op != NULL && op->buf == bytes && op->size == 100);
    complete(HSR_OP_RECV, -EINTR);
    CHECK_EQ(receipts, 0);
    complete(HSR_OP_RECV, 7); /* less than asked is news too */
    CHECK_EQ(receipts, 1);
    CHECK_EQ(received_res, 7);
    hsr_link_receive(&link_, iov, 2);
    op = held(HSR_OP_RECVMSG);
    CHECK(op != NULL && op->iov == iov && op->iov_count == 2);
    complete(HSR_OP_RECVMSG, 164);
    CHECK_EQ(link_.received_bytes, 171);
    hsr_link_receive(&link_, iov, 1);
    complete(HSR_OP_RECV, 0);
    CHECK_EQ(receipts, 3);
    CHECK_EQ(received_res, 0);
    hsr_link_receive(&link_, iov, 1);
    complete(HSR_OP_RECV, -ECONNRESET);
    CHECK_EQ(received_res, -ECONNRESET);
    CHECK_EQ(link_.received_bytes, 171);
    hsr_link_close(&link_);
    fixture_fini();
}

/* Both directions are busy: closed only after the second completion, whichever comes last, and
 * neither `sent` nor `received` is called any more. */
static void close_busy(bool send_first)
{
    struct iovec iov = { bytes + 500, 100 };

    fixture_init(FD);
    hsr_link_send(&link_, bytes, 500);
    hsr_link_receive(&link_, &iov, 1);
    hsr_link_close(&link_);
    hsr_link_close(&link_); /* harmless */
    CHECK_EQ(script.shutdowns, 1);
    CHECK_EQ(script.cancels, 2);
    CHECK_EQ(closings, 0);
    CHECK_EQ(script.closes, 0);
    if (send_first)
        complete(HSR_OP_SEND, 250); /* it was too late to cancel; the rest is not sent */
    else
        complete(HSR_OP_RECV, 100);
    CHECK_EQ(closings, 0);
    CHECK_EQ(script.closes, 0);
    if (send_first)
        complete(HSR_OP_RECV, -ECANCELED);
    else
        complete(HSR_OP_SEND, -ECANCELED);
    CHECK_EQ(closings, 1);
    CHECK_EQ(sents + receipts, 0);
    hsr_link_close(&link_);
    fixture_fini();
}

static void test_link_close_waits_for_what_is_in_flight(void)
{
    close_busy(true);
    close_busy(false);
}

static void test_link_closed_before_it_was_handed_over(void)
{
    fixture_init(FD);
    hsr_link_send(&link_, bytes, 10);
    hsr_link_close(&link_); /* in the same turn */
    CHECK_EQ(script.cancels, 1);
    CHECK_EQ(closings, 0);
    complete(HSR_OP_SEND, -ECANCELED);
    CHECK_EQ(sents, 0);
    fixture_fini();
}

static void test_link_connects_or_says_why_not(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };

    fixture_init(-1);
    script.socket_res = -EMFILE;
    CHECK_EQ(hsr_link_connect(&link_, (struct sockaddr *)&address, sizeof(address)), -EMFILE);
    CHECK(!hsr_link_sending(&link_));
    script.socket_res = FD;
    CHECK_EQ(hsr_link_connect(&link_, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK(hsr_link_sending(&link_));
    complete(HSR_OP_CONNECT, -ECONNREFUSED);
    CHECK_EQ(connects, 1);
    CHECK_EQ(connect_rc, -ECONNREFUSED);
    hsr_link_close(&link_);
    fixture_fini();

    fixture_init(-1);
    CHECK_EQ(hsr_link_connect(&link_, (struct sockaddr *)&address, sizeof(address)), 0);
    hsr_link_close(&link_);
    complete(HSR_OP_CONNECT, 0); /* connected all the same: nobody hears of it */
    CHECK_EQ(connects, 0);
    fixture_fini();
}

static void test_link_that_never_had_a_socket_closes(void)
{
    fixture_init(-1);
    hsr_link_close(&link_);
    CHECK_EQ(closings, 1);
    CHECK_EQ(script.closes + script.shutdowns, 0);
    hsr_loop_fini(&loop);
}

/* ---- real sockets: a receiver that takes its time, so that the kernel sends in pieces ---- */

static void test_link_sends_all_through_a_narrow_socket(void)
{
    struct hsr_uring_options options = { .iowq_cpu = -1 };
    static uint8_t out[300000], in[4096];
    struct hsr_backend *backend;
    char why[256];
    size_t total = 0, wrong = 0;
    int fds[2], narrow = 4096;

    if (hsr_uring_create(&options, &backend, why, sizeof(why)) != 0)
        SKIP(why);
    CHECK_EQ(hsr_loop_init(&loop, backend, 0), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_EQ(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &narrow, sizeof(narrow)), 0);
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 31 + i / 251);
    hsr_link_init(&link_, &loop, fds[0]); /* no TCP here: the option is refused, and that is fine */
    handlers_set();
    hsr_link_send(&link_, out, sizeof(out));
    while (total < sizeof(out)) {
        ssize_t got;

        (void)hsr_loop_turn(&loop, false);
        got = recv(fds[1], in, sizeof(in), MSG_DONTWAIT);
        for (ssize_t i = 0; i < got; i++)
            wrong += in[i] != out[total + (size_t)i];
        total += got > 0 ? (size_t)got : 0;
        if (total < sizeof(out) / 2)
            CHECK_EQ(sents, 0);
    }
    for (unsigned i = 0; i < 1000000 && sents == 0; i++)
        (void)hsr_loop_turn(&loop, false);
    CHECK_EQ(sents, 1);
    CHECK_EQ(sent_rc, 0);
    CHECK_EQ(wrong, 0);
    hsr_link_send(&link_, out, sizeof(out)); /* nobody reads this one */
    (void)hsr_loop_turn(&loop, false);
    hsr_link_close(&link_);
    for (unsigned i = 0; i < 1000000 && closings == 0; i++)
        (void)hsr_loop_turn(&loop, false);
    CHECK_EQ(closings, 1);
    CHECK_EQ(sents, 1);
    hsr_loop_fini(&loop);
    (void)close(fds[1]);
}

int main(void)
{
    RUN(test_link_short_sends_are_continued);
    RUN(test_link_send_fails_once);
    RUN(test_link_receive_hands_over_what_came);
    RUN(test_link_close_waits_for_what_is_in_flight);
    RUN(test_link_closed_before_it_was_handed_over);
    RUN(test_link_connects_or_says_why_not);
    RUN(test_link_that_never_had_a_socket_closes);
    RUN(test_link_sends_all_through_a_narrow_socket);
    TEST_END();
}
