/* What sysfs does not tell of a NIC: rings and queues (ethtool's ioctl(2)), and how large a packet
 * may be within the stack (rtnetlink(7)). Reading needs no rights. */
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/doctor.h"

#ifndef IFLA_GSO_IPV4_MAX_SIZE /* 6.3, and 63 in every kernel that has it */
#define IFLA_GSO_IPV4_MAX_SIZE 63u
#endif
#define ANSWER_SIZE 16384u /* a link's attributes, its virtual functions left out */

_Static_assert(IFLA_TSO_MAX_SIZE == 59, "attributes keep their numbers");

static bool ethtool(int fd, const char *name, void *command)
{
    struct ifreq request = { .ifr_data = command };

    memcpy(request.ifr_name, name, strlen(name) + 1);
    return ioctl(fd, SIOCETHTOOL, &request) == 0;
}

static void rings_read(int fd, const char *name, struct doctor_nic *ret)
{
    struct ethtool_ringparam rings = { .cmd = ETHTOOL_GRINGPARAM };
    struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };

    if (ethtool(fd, name, &rings)) {
        ret->rx_ring = rings.rx_pending;
        ret->rx_ring_max = rings.rx_max_pending;
        ret->tx_ring = rings.tx_pending;
        ret->tx_ring_max = rings.tx_max_pending;
    }
    if (ethtool(fd, name, &channels)) {
        ret->queues = channels.combined_count + HSR_MIN(channels.rx_count, channels.tx_count);
        ret->queues_max = HSR_MAX(channels.max_combined, HSR_MIN(channels.max_rx, channels.max_tx));
    }
}

static void attributes_read(const struct nlmsghdr *message, struct doctor_nic *ret)
{
    const struct ifinfomsg *info = NLMSG_DATA(message);
    size_t left = message->nlmsg_len - NLMSG_LENGTH(sizeof(*info));
    const struct rtattr *at = IFLA_RTA(info);

    for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
        uint32_t *value = at->rta_type == IFLA_GSO_MAX_SIZE        ? &ret->gso_max
                          : at->rta_type == IFLA_TSO_MAX_SIZE      ? &ret->tso_max
                          : at->rta_type == IFLA_GSO_IPV4_MAX_SIZE ? &ret->gso_ipv4_max
                                                                   : NULL;

        if (value != NULL && RTA_PAYLOAD(at) == sizeof(*value))
            memcpy(value, RTA_DATA(at), sizeof(*value));
    }
}

static void link_read(const char *name, struct doctor_nic *ret)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg info;
    } request = {
        .header = { .nlmsg_len = sizeof(request),
                    .nlmsg_type = RTM_GETLINK,
                    .nlmsg_flags = NLM_F_REQUEST },
        .info = { .ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex(name) },
    };
    union {
        struct nlmsghdr header;
        char bytes[ANSWER_SIZE];
    } answer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    ssize_t size;

    if (fd < 0)
        return;
    if (request.info.ifi_index > 0 &&
        send(fd, &request, sizeof(request), 0) == (ssize_t)sizeof(request)) {
        /* The kernel answers before send(2) returns. */
        size = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);
        if (size > 0 && NLMSG_OK(&answer.header, (size_t)size) &&
            answer.header.nlmsg_type == RTM_NEWLINK)
            attributes_read(&answer.header, ret);
    }
    (void)close(fd); /* only asked */
}

void hsr_doctor_nic_read(const char *name, struct doctor_nic *ret)
{
    int fd;

    if (strlen(name) >= IFNAMSIZ)
        return;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        rings_read(fd, name, ret);
        (void)close(fd); /* only asked */
    }
    link_read(name, ret);
}
