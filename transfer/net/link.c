/* TCP byte streams; see link.h. */
#include "transfer/net/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/base.h"
#include "transfer/net/zerocopy.h"

static void link_nodelay(struct hsr_link *link);
static void link_option(struct hsr_link *link, int level, int option, const void *value,
                        size_t size);
static void link_abort(struct hsr_link *link);
static void link_send_rest(struct hsr_link *link);
static void link_sent(struct hsr_op *op, int64_t res, unsigned flags);
static void link_sent_some(struct hsr_link *link, int64_t res);
static void link_zc_done(struct hsr_op *op, int64_t res, unsigned flags);
static void link_zc_noticed(struct hsr_link_loan *loan, int64_t notice);
static void link_received(struct hsr_op *op, int64_t res, unsigned flags);
static void link_connected(struct hsr_op *op, int64_t res, unsigned flags);
static void link_close_if_idle(struct hsr_link *link);

void hsr_link_init(struct hsr_link *link, struct hsr_loop *loop, int fd)
{
    memset(link, 0, sizeof(*link));
    link->loop = loop;
    link->fd = fd;
    if (fd >= 0)
        link_nodelay(link);
}

int hsr_link_connect(struct hsr_link *link, struct sockaddr *address, socklen_t address_size)
{
    struct hsr_op op = { .kind = HSR_OP_SOCKET, .mode = address->sa_family };
    int64_t fd = hsr_loop_call(link->loop, &op);

    hsr_assert(link->fd == -1);
    if (fd < 0)
        return (int)fd;
    link->fd = (int)fd;
    link_nodelay(link);
    link->send_op = (struct hsr_op){ .kind = HSR_OP_CONNECT,
                                     .done = link_connected,
                                     .fd = link->fd,
                                     .addr = address,
                                     .addr_size = address_size,
                                     .buf_index = -1 };
    hsr_loop_submit(link->loop, &link->send_op);
    return 0;
}

void hsr_link_send(struct hsr_link *link, const void *ptr, size_t size)
{
    hsr_assert(!hsr_link_sending(link));
    hsr_assert(size > 0);
    link->send_ptr = (uint8_t *)(uintptr_t)ptr;
    link->send_left = size;
    link_send_rest(link);
}

void hsr_link_send_zc(struct hsr_link *link, struct hsr_link_loan *loan, const void *ptr,
                      size_t size, int16_t buf_index)
{
    hsr_assert(!hsr_link_sending(link));
    hsr_assert(!loan->op.armed);
    hsr_assert(link->zc.on && size > 0);
    link->send_ptr = (uint8_t *)(uintptr_t)ptr;
    link->send_left = size;
    link->zc.flying = loan;
    loan->link = link;
    loan->size = 0;
    loan->op = (struct hsr_op){ .kind = HSR_OP_SEND_ZC,
                                .done = link_zc_done,
                                .fd = link->fd,
                                .buf = link->send_ptr,
                                .size = size,
                                .msg_flags = MSG_WAITALL,
                                .buf_index = buf_index };
    hsr_loop_submit(link->loop, &loan->op);
}

void hsr_link_receive(struct hsr_link *link, const struct iovec *iov, unsigned iov_count)
{
    hsr_assert(!hsr_link_receiving(link));
    hsr_assert(!link->closing);
    link->recv_op = (struct hsr_op){ .kind = iov_count == 1 ? HSR_OP_RECV : HSR_OP_RECVMSG,
                                     .done = link_received,
                                     .fd = link->fd,
                                     .buf = iov[0].iov_base,
                                     .size = iov[0].iov_len,
                                     .iov = iov,
                                     .iov_count = iov_count,
                                     .buf_index = -1 };
    hsr_loop_submit(link->loop, &link->recv_op);
}

bool hsr_link_sending(const struct hsr_link *link)
{
    return link->send_op.armed || link->zc.flying != NULL;
}

bool hsr_link_receiving(const struct hsr_link *link)
{
    return link->recv_op.armed;
}

void hsr_link_move(struct hsr_link *link, struct hsr_loop *loop)
{
    hsr_assert(!hsr_link_sending(link));
    hsr_assert(!hsr_link_receiving(link));
    hsr_assert(link->zc.owed == 0);
    link->loop = loop;
}

void hsr_link_end(struct hsr_link *link)
{
    struct hsr_op op = { .kind = HSR_OP_SHUTDOWN, .fd = link->fd, .msg_flags = SHUT_WR };

    hsr_assert(!hsr_link_sending(link));
    (void)hsr_loop_call(link->loop, &op); /* a socket that is gone already is fine */
}

void hsr_link_close(struct hsr_link *link)
{
    if (link->closing)
        return;
    link->closing = true;
    if (link->fd >= 0) {
        struct hsr_op op = { .kind = HSR_OP_SHUTDOWN, .fd = link->fd, .msg_flags = SHUT_RDWR };

        (void)hsr_loop_call(link->loop, &op); /* a socket that is gone already is fine */
    }
    if (link->send_op.armed)
        hsr_loop_cancel(link->loop, &link->send_op);
    if (link->zc.flying != NULL)
        hsr_loop_cancel(link->loop, &link->zc.flying->op);
    if (link->recv_op.armed)
        hsr_loop_cancel(link->loop, &link->recv_op);
    link_close_if_idle(link);
}

static void link_nodelay(struct hsr_link *link)
{
    static const int on = 1;

    link_option(link, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* Options only tune: a kernel that refuses one still moves the bytes. */
static void link_option(struct hsr_link *link, int level, int option, const void *value,
                        size_t size)
{
    struct hsr_op op = { .kind = HSR_OP_SOCKOPT,
                         .fd = link->fd,
                         .mask = (uint32_t)level,
                         .mode = (uint32_t)option,
                         .buf = (void *)(uintptr_t)value, /* it is only read */
                         .size = size };

    (void)hsr_loop_call(link->loop, &op);
}

/* Nobody waits for what was sent: the session failed, or the peer has said that it has all of it.
 * The close that follows throws away what is queued, and with that the loans come back. */
static void link_abort(struct hsr_link *link)
{
    static const struct linger now = { .l_onoff = 1, .l_linger = 0 };

    link_option(link, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void link_send_rest(struct hsr_link *link)
{
    link->send_op = (struct hsr_op){ .kind = HSR_OP_SEND,
                                     .done = link_sent,
                                     .fd = link->fd,
                                     .buf = link->send_ptr,
                                     .size = link->send_left,
                                     .msg_flags = MSG_WAITALL,
                                     .buf_index = -1 };
    hsr_loop_submit(link->loop, &link->send_op);
}

static void link_sent(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_link *link = hsr_container_of(op, struct hsr_link, send_op);

    if (flags & HSR_CQE_MORE)
        return;
    link_sent_some(link, res);
}

/* What one operation of a send moved. */
static void link_sent_some(struct hsr_link *link, int64_t res)
{
    if (res > 0) {
        hsr_assert((uint64_t)res <= link->send_left);
        link->sent_bytes += (uint64_t)res;
        link->send_ptr += res;
        link->send_left -= (size_t)res;
    }
    if (link->closing) {
        link_close_if_idle(link);
    } else if (res == -EINTR || res == -EAGAIN || (res > 0 && link->send_left > 0)) {
        link_send_rest(link);
    } else {
        link->sent(link, res > 0 ? 0 : res == 0 ? -EPIPE : (int)res);
    }
}

static void link_zc_done(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_link_loan *loan = hsr_container_of(op, struct hsr_link_loan, op);
    struct hsr_link *link = loan->link;

    if (flags & HSR_CQE_NOTIF) {
        link_zc_noticed(loan, res);
        return;
    }
    hsr_assert(link->zc.flying == loan);
    link->zc.flying = NULL;
    link->zc.owed += (flags & HSR_CQE_MORE) != 0;
    if (res > 0) {
        loan->size = (uint64_t)res;
        link->zc.sent_bytes += loan->size;
    }
    /* No memory may be locked, or the way out cannot: the connection is as good as before. */
    if (res == -ENOMEM || res == -ENOBUFS || res == -EOPNOTSUPP) {
        hsr_link_zc_stop(link);
        res = -EAGAIN;
    }
    link_sent_some(link, res);
}

static void link_zc_noticed(struct hsr_link_loan *loan, int64_t notice)
{
    struct hsr_link *link = loan->link;

    hsr_assert(link->zc.owed > 0);
    link->zc.owed--;
    if (loan->size > 0)
        hsr_link_zc_judge(link, loan->size, notice == HSR_NOTICE_COPIED);
    loan->returned(loan);
    if (link->closing)
        link_close_if_idle(link);
}

static void link_received(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_link *link = hsr_container_of(op, struct hsr_link, recv_op);

    if (flags & HSR_CQE_MORE)
        return;
    if (res > 0)
        link->received_bytes += (uint64_t)res;
    if (link->closing)
        link_close_if_idle(link);
    else if (res == -EINTR || res == -EAGAIN)
        hsr_loop_submit(link->loop, op);
    else
        link->received(link, res);
}

static void link_connected(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_link *link = hsr_container_of(op, struct hsr_link, send_op);

    if (flags & HSR_CQE_MORE)
        return;
    if (link->closing)
        link_close_if_idle(link);
    else
        link->connected(link, (int)res);
}

static void link_close_if_idle(struct hsr_link *link)
{
    if (hsr_link_sending(link) || link->recv_op.armed)
        return;
    if (link->fd >= 0) {
        struct hsr_op op = { .kind = HSR_OP_CLOSE, .fd = link->fd };

        if (link->zc.owed > 0)
            link_abort(link);
        (void)hsr_loop_call(link->loop, &op); /* nothing can be done about a failed close */
        link->fd = -1;
    }
    if (link->zc.owed == 0)
        link->closed(link);
}
