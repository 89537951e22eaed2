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
#include "transfer/net/zerocopy.h"

#define HELD_MAX 4u
#define FD 42

/* ---- a backend that waits for orders ---- */

struct script {
    struct hsr_backend backend;
    struct hsr_op *held[HELD_MAX]; /* submitted, not completed */
    unsigned held_count;
    struct hsr_op *due; /* completes in the next reap */
    int64_t due_res;
    unsigned due_flags;
    unsigned cancels, shutdowns, closes, options;
    unsigned aborts, aborts_before_close;
    unsigned napi_id; /* of the last packet; 0: not from a device */
    int64_t socket_res;
};

static struct script script;

static void script_submit(struct hsr_backend *backend, struct hsr_list *ops,
                          uint64_t calls_until_ns)
{
    struct hsr_list *node;

    (void)backend;
    (void)calls_until_ns;
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
    op->done(op, script.due_res, script.due_flags);
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
    if (op->kind == HSR_OP_CLOSE) {
        CHECK_EQ(op->fd, FD);
        script.aborts_before_close = script.aborts;
    }
    if (op->kind == HSR_OP_SOCKOPT && op->mode == SO_LINGER) {
        const struct linger *linger = op->buf;

        CHECK(op->mask == SOL_SOCKET && linger->l_onoff == 1 && linger->l_linger == 0);
        script.aborts++;
    }
    if (op->kind == HSR_OP_SOCKOPT_GET && op->mode == SO_INCOMING_NAPI_ID) {
        memcpy(op->buf, &script.napi_id, sizeof(script.napi_id));
        return sizeof(script.napi_id);
    }
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

/* The first completion of the zero-copy send that is flying; its notice comes by noticed(). */
static void accepted(int64_t res)
{
    (void)hsr_loop_turn(&loop, false);
    CHECK(link_.zc.flying != NULL);
    script.due = &link_.zc.flying->op;
    script.due_res = res;
    script.due_flags = HSR_CQE_MORE;
    (void)hsr_loop_turn(&loop, false);
    script.due_flags = 0;
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

/* ---- zero copy ---- */

static struct hsr_link_loan loans[HELD_MAX];
static unsigned returns;

static void returned(struct hsr_link_loan *loan)
{
    CHECK(!loan->op.armed);
    returns++;
}

static void noticed(struct hsr_link_loan *loan, int64_t notice)
{
    unsigned at = 0;

    (void)hsr_loop_turn(&loop, false);
    while (at < script.held_count && script.held[at] != &loan->op)
        at++;
    CHECK(at < script.held_count);
    script.held[at] = script.held[--script.held_count];
    script.due = &loan->op;
    script.due_res = notice;
    script.due_flags = HSR_CQE_NOTIF;
    (void)hsr_loop_turn(&loop, false);
    script.due_flags = 0;
}

static void zc_fixture(enum hsr_zc_mode mode)
{
    fixture_init(FD);
    script.backend.send_zc = true;
    memset(loans, 0, sizeof(loans));
    for (unsigned i = 0; i < HELD_MAX; i++)
        loans[i].returned = returned;
    returns = 0;
    hsr_link_zc_start(&link_, mode);
}

static void test_link_zc_next_send_does_not_wait_for_the_notice(void)
{
    struct hsr_op *op;

    zc_fixture(HSR_ZC_ON);
    hsr_link_send_zc(&link_, &loans[0], bytes, 1000, 3);
    CHECK(hsr_link_sending(&link_));
    op = held(HSR_OP_SEND_ZC);
    CHECK(op == &loans[0].op && op->buf == bytes && op->size == 1000 && op->fd == FD);
    CHECK_EQ(op->buf_index, 3);
    CHECK(op->msg_flags & MSG_WAITALL);
    accepted(1000);
    CHECK_EQ(sents, 1);
    CHECK(!hsr_link_sending(&link_));
    CHECK(loans[0].op.armed);
    hsr_link_send_zc(&link_, &loans[1], bytes, 500, -1);
    (void)hsr_loop_turn(&loop, false);
    noticed(&loans[0], HSR_NOTICE_SENT); /* while the second is being sent */
    CHECK_EQ(returns, 1);
    CHECK_EQ(sents, 1);
    accepted(500);
    CHECK_EQ(sents, 2);
    noticed(&loans[1], HSR_NOTICE_COPIED);
    CHECK_EQ(returns, 2);
    CHECK_EQ(link_.sent_bytes, 1500);
    CHECK_EQ(link_.zc.sent_bytes, 1500);
    CHECK_EQ(link_.zc.copied_bytes, 500);
    CHECK_EQ(link_.zc.downgrades, 0);
    hsr_link_close(&link_);
    CHECK_EQ(script.aborts, 0); /* nothing was out */
    fixture_fini();
}

static void test_link_zc_goes_on_with_a_copy(void)
{
    static const int64_t refusals[] = { -ENOMEM, -ENOBUFS, -EOPNOTSUPP };
    struct hsr_op *op;

    zc_fixture(HSR_ZC_ON); /* short: the rest is copied, before or after the notice */
    hsr_link_send_zc(&link_, &loans[0], bytes, 1000, -1);
    accepted(400);
    CHECK_EQ(sents, 0);
    op = held(HSR_OP_SEND);
    CHECK(op != NULL && op->buf == bytes + 400 && op->size == 600);
    noticed(&loans[0], HSR_NOTICE_SENT);
    CHECK_EQ(sents, 0);
    complete(HSR_OP_SEND, 600);
    CHECK_EQ(sents, 1);
    CHECK_EQ(sent_rc, 0);
    CHECK_EQ(link_.zc.sent_bytes, 400);
    CHECK(link_.zc.on);
    hsr_link_close(&link_);
    fixture_fini();
    for (size_t i = 0; i < HSR_ARRAY_COUNT(refusals) * 2; i++) {
        bool notice = i % 2; /* a refused send may be followed by one or not */

        zc_fixture(HSR_ZC_ON);
        hsr_link_send_zc(&link_, &loans[0], bytes, 1000, -1);
        if (notice)
            accepted(refusals[i / 2]);
        else
            complete(HSR_OP_SEND_ZC, refusals[i / 2]);
        CHECK_EQ(sents, 0);
        CHECK(!link_.zc.on);
        CHECK_EQ(link_.zc.downgrades, 1);
        complete(HSR_OP_SEND, 1000);
        CHECK_EQ(sents, 1);
        CHECK_EQ(sent_rc, 0);
        if (notice)
            noticed(&loans[0], HSR_NOTICE_COPIED);
        CHECK_EQ(link_.zc.sent_bytes + link_.zc.copied_bytes, 0); /* nothing went so */
        hsr_link_close(&link_);
        fixture_fini();
    }
}

static void test_link_zc_send_fails_once(void)
{
    zc_fixture(HSR_ZC_ON);
    hsr_link_send_zc(&link_, &loans[0], bytes, 1000, -1);
    accepted(-ECONNRESET);
    CHECK_EQ(sents, 1);
    CHECK_EQ(sent_rc, -ECONNRESET);
    CHECK(held(HSR_OP_SEND) == NULL);
    CHECK_EQ(returns, 0);
    noticed(&loans[0], HSR_NOTICE_SENT);
    CHECK_EQ(returns, 1);
    hsr_link_close(&link_);
    fixture_fini();
}

/* The socket is closed with a reset, which is what makes the kernel let go of memory that a dead
 * peer will never acknowledge; and `closed` waits until it has. */
static void test_link_zc_close_resets_and_waits_for_loans(void)
{
    zc_fixture(HSR_ZC_ON);
    hsr_link_send_zc(&link_, &loans[0], bytes, 1000, -1);
    accepted(1000);
    hsr_link_send_zc(&link_, &loans[1], bytes, 1000, -1);
    hsr_link_close(&link_);
    CHECK_EQ(script.cancels, 1); /* of what is not accepted yet */
    CHECK_EQ(script.closes, 0);
    accepted(300); /* too late; the rest is not sent */
    CHECK_EQ(script.closes, 1);
    CHECK_EQ(script.aborts_before_close, 1);
    CHECK_EQ(closings, 0);
    CHECK(held(HSR_OP_SEND) == NULL);
    noticed(&loans[1], HSR_NOTICE_SENT);
    CHECK_EQ(closings, 0);
    CHECK_EQ(sents, 1);
    noticed(&loans[0], HSR_NOTICE_SENT);
    CHECK_EQ(closings, 1);
    CHECK_EQ(returns, 2);
    fixture_fini();
}

static void test_link_zc_downgrades_when_mostly_copied(void)
{
    unsigned sends = 0;

    zc_fixture(HSR_ZC_ON);
    while (link_.zc.on && sends < 1000) { /* two of three are copied */
        hsr_link_send_zc(&link_, &loans[0], bytes, 1000, -1);
        accepted(1000);
        noticed(&loans[0], sends % 3 == 0 ? HSR_NOTICE_SENT : HSR_NOTICE_COPIED);
        sends++;
    }
    CHECK_EQ(sends, 50); /* the 33rd copy of at most 64 sends */
    CHECK_EQ(link_.zc.downgrades, 1);
    CHECK_EQ(link_.zc.copied_bytes, 33 * 1000);
    CHECK(!hsr_link_zc_wanted(&link_, HSR_ZC_SIZE_MIN));
    hsr_link_close(&link_);
    fixture_fini();

    zc_fixture(HSR_ZC_ON);
    for (sends = 0; sends < 640; sends++) { /* half is not more than half, however long it lasts */
        hsr_link_send_zc(&link_, &loans[0], bytes, 1000, -1);
        accepted(1000);
        noticed(&loans[0], sends % 2 == 0 ? HSR_NOTICE_SENT : HSR_NOTICE_COPIED);
    }
    CHECK(link_.zc.on);
    CHECK_EQ(link_.zc.copied_bytes, 320 * 1000);
    hsr_link_close(&link_);
    fixture_fini();
}

static void test_link_zc_rule(void)
{
    static const struct {
        uint32_t judged, copied;
        bool pointless;
    } rows[] = { { 0, 0, false },   { 1, 1, false },  { 32, 32, false }, { 33, 33, true },
                 { 64, 32, false }, { 64, 33, true }, { 50, 33, true },  { 64, 64, true },
                 { 64, 0, false },  { 63, 32, false } };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(rows); i++)
        CHECK_EQ(hsr_zc_pointless(rows[i].judged, rows[i].copied), rows[i].pointless);
}

static void test_link_zc_starts_where_it_may(void)
{
    static const struct {
        enum hsr_zc_mode mode;
        unsigned napi_id;
        bool reports, on;
    } rows[] = {
        { HSR_ZC_OFF, 8193, true, false }, { HSR_ZC_AUTO, 8193, true, true },
        { HSR_ZC_AUTO, 0, true, false },   { HSR_ZC_AUTO, 8193, false, false },
        { HSR_ZC_ON, 0, true, true },      { HSR_ZC_ON, 8193, false, false },
    };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(rows); i++) {
        fixture_init(FD);
        script.backend.send_zc = rows[i].reports;
        script.napi_id = rows[i].napi_id;
        hsr_link_zc_start(&link_, rows[i].mode);
        CHECK_EQ(link_.zc.on, rows[i].on);
        CHECK_EQ(hsr_link_zc_wanted(&link_, HSR_ZC_SIZE_MIN), rows[i].on);
        CHECK(!hsr_link_zc_wanted(&link_, HSR_ZC_SIZE_MIN - 1));
        hsr_link_close(&link_);
        fixture_fini();
    }
}

/* ---- copies ---- */

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
    RUN(test_link_zc_next_send_does_not_wait_for_the_notice);
    RUN(test_link_zc_goes_on_with_a_copy);
    RUN(test_link_zc_send_fails_once);
    RUN(test_link_zc_close_resets_and_waits_for_loans);
    RUN(test_link_zc_downgrades_when_mostly_copied);
    RUN(test_link_zc_rule);
    RUN(test_link_zc_starts_where_it_may);
    TEST_END();
}
