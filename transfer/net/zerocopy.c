/* See zerocopy.h. */
#include "transfer/net/zerocopy.h"

#include <sys/socket.h>

#include "base/base.h"

static bool zc_device(struct hsr_link *link);

void hsr_link_zc_start(struct hsr_link *link, enum hsr_zc_mode mode)
{
    link->zc.on = link->loop->backend->send_zc &&
                  (mode == HSR_ZC_ON || (mode == HSR_ZC_AUTO && zc_device(link)));
}

bool hsr_link_zc_wanted(const struct hsr_link *link, size_t size)
{
    return link->zc.on && size >= HSR_ZC_SIZE_MIN;
}

void hsr_link_zc_judge(struct hsr_link *link, uint64_t size, bool copied)
{
    struct hsr_link_zc *zc = &link->zc;

    if (copied)
        zc->copied_bytes += size;
    zc->judged++;
    zc->judged_copied += copied;
    if (hsr_zc_pointless(zc->judged, zc->judged_copied))
        hsr_link_zc_stop(link);
    if (zc->judged == HSR_ZC_WINDOW) {
        zc->judged = 0;
        zc->judged_copied = 0;
    }
}

void hsr_link_zc_stop(struct hsr_link *link)
{
    link->zc.downgrades += link->zc.on;
    link->zc.on = false;
}

bool hsr_zc_pointless(uint32_t judged, uint32_t copied)
{
    hsr_assert(copied <= judged && judged <= HSR_ZC_WINDOW);
    return copied > HSR_ZC_WINDOW / 2;
}

/* Do the peer's packets come through a device whose driver polls (NAPI)? They do from every real
 * one; they do not from this host itself, whatever the address, nor from a container behind veth. A
 * kernel that does not tell (no CONFIG_NET_RX_BUSY_POLL) leaves us with copies. */
static bool zc_device(struct hsr_link *link)
{
    unsigned id = 0;
    struct hsr_op op = { .kind = HSR_OP_SOCKOPT_GET,
                         .fd = link->fd,
                         .mask = SOL_SOCKET,
                         .mode = SO_INCOMING_NAPI_ID,
                         .buf = &id,
                         .size = sizeof(id) };

    return hsr_loop_call(link->loop, &op) == sizeof(id) && id != 0;
}
