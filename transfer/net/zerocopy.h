/* Zero-copy sends, and when to stop. The kernel sends from our memory and says later, once the peer
 * has acknowledged it, whether it really did: some ways out (loopback, veth, a device without
 * scatter-gather) copy all the same, only later and dearer than a plain send. So each connection
 * counts, and one that pays for nothing stops. */
#ifndef HSR_NET_ZEROCOPY_H
#define HSR_NET_ZEROCOPY_H

#include "transfer/net/link.h"

#define HSR_ZC_SIZE_MIN (64u * 1024) /* bytes; below, a notice costs more than a copy */
#define HSR_ZC_WINDOW 64u /* sends over which the share of copies is looked at */

enum hsr_zc_mode {
    HSR_ZC_OFF,
    HSR_ZC_AUTO, /* where packets come through a network device's driver */
    HSR_ZC_ON, /* everywhere, with the same rule for stopping */
    HSR_ZC_MODE_COUNT
};

/** Decide for a connected @link that has received something. */
void hsr_link_zc_start(struct hsr_link *link, enum hsr_zc_mode mode);

/** Should @size bytes go without a copy? */
bool hsr_link_zc_wanted(const struct hsr_link *link, size_t size);

/** A notice about @size bytes has come. */
void hsr_link_zc_judge(struct hsr_link *link, uint64_t size, bool copied);

/** Sends of @link are copies from now on. */
void hsr_link_zc_stop(struct hsr_link *link);

/** The rule: of the window's @judged notices, @copied said "copied". Has the share passed half of
 * HSR_ZC_WINDOW sends? As soon as that is sure, the rest need not be seen. */
bool hsr_zc_pointless(uint32_t judged, uint32_t copied);

#endif
