/* One byte stream between two machines. Plain TCP now; the only place that will know about TLS. At
 * most one send and one receive are in flight; both may be at once, so two peers that write do not
 * deadlock. A link belongs to one loop at a time; between operations it may move to another. */
#ifndef HSR_NET_LINK_H
#define HSR_NET_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "ring/ring.h"

struct hsr_link;

/** One zero-copy send; it lives with the memory that it sends. The kernel holds that memory from
 * hsr_link_send_zc() until op.armed is false, which is when the peer has acknowledged it. */
struct hsr_link_loan {
    struct hsr_op op;
    struct hsr_link *link;
    uint64_t size; /* bytes that the kernel accepted without copying them at once */
    /* The memory is free; after link->sent, but before it when the send went on with a copy. */
    void (*returned)(struct hsr_link_loan *loan);
};

/* Zero-copy sends of one link, and honest accounts: zerocopy.h. */
struct hsr_link_zc {
    bool on; /* sends may be zero-copy */
    struct hsr_link_loan *flying; /* not accepted yet */
    uint32_t owed; /* notices that are still to come */
    uint32_t judged, judged_copied; /* notices of the window of now */
    uint64_t sent_bytes; /* accepted by zero-copy sends */
    uint64_t copied_bytes; /* of these, copied by the kernel all the same */
    uint32_t downgrades; /* 1: it was on, and was switched off */
};

struct hsr_link {
    struct hsr_loop *loop;
    int fd; /* -1: closed */
    bool closing;
    struct hsr_op send_op; /* also connect */
    struct hsr_op recv_op;
    uint8_t *send_ptr; /* what is left of the send in flight */
    size_t send_left;
    uint64_t sent_bytes, received_bytes;
    struct hsr_link_zc zc;
    /* Handlers, set by the owner before use; they run in the completion phase: record and wake. */
    void (*connected)(struct hsr_link *link, int rc);
    void (*sent)(struct hsr_link *link, int rc); /* all of it, or an error */
    /* bytes; 0: the peer closed; -errno */
    void (*received)(struct hsr_link *link, int64_t received);
    void (*closed)(struct hsr_link *link); /* nothing is armed any more and the socket is closed */
};

/** @param fd  a connected socket (owned from here on), or -1 before hsr_link_connect() */
void hsr_link_init(struct hsr_link *link, struct hsr_loop *loop, int fd);

/** Create a socket and connect. 0: link->connected will be called; or -errno.
 * @param address  borrowed until then */
int hsr_link_connect(struct hsr_link *link, struct sockaddr *address, socklen_t address_size);

/** Send all of @size bytes; the memory is borrowed until link->sent. */
void hsr_link_send(struct hsr_link *link, const void *ptr, size_t size);

/** The same without a copy, as far as the kernel can; link->zc.on must be true. What the kernel
 * refuses to send so, or leaves over, goes with a copy. @loan (with `returned` set) is link's until
 * its memory is free; link->sent does not wait for that.
 * @param buf_index  registered buffer, or -1 */
void hsr_link_send_zc(struct hsr_link *link, struct hsr_link_loan *loan, const void *ptr,
                      size_t size, int16_t buf_index);

/** Receive what there is, into @iov (borrowed until link->received; at most 4 parts). */
void hsr_link_receive(struct hsr_link *link, const struct iovec *iov, unsigned iov_count);

/** Bytes that it was given to send: sent, or being sent. */
static inline uint64_t hsr_link_given(const struct hsr_link *link)
{
    return link->sent_bytes + link->send_left;
}

bool hsr_link_sending(const struct hsr_link *link);
bool hsr_link_receiving(const struct hsr_link *link);

/** Hand an idle link to another loop; its next operation runs there. */
void hsr_link_move(struct hsr_link *link, struct hsr_loop *loop);

/** Say that nothing more is sent; nothing may be under way. What the peer says still comes. */
void hsr_link_end(struct hsr_link *link);

/** Shut down both ways, end what is in flight, close; then link->closed, perhaps at once. With
 * loans that are still out the connection is reset, so that the kernel gives them back even if the
 * peer is dead; link->closed comes after all of them. */
void hsr_link_close(struct hsr_link *link);

#endif
