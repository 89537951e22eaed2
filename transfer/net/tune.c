/* Socket options of data connections; see tune.h. */
#include "transfer/net/tune.h"

#include <errno.h>
#include <linux/tcp.h> /* not netinet/tcp.h: its tcp_info ends before tcpi_min_rtt */
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

/* Up to here AUTO takes CUBIC: machines in one building. There loss is rare and short, and what
 * BBR's timers cost is not: over loopback and veth CUBIC moves 1.6 to 2.2 times as much at half the
 * CPU per byte. With one packet in a thousand lost at 10 ms BBR moves 19 times as much. */
#define SHORT_PATH_US 1000u

static bool tune_rtt(struct hsr_link *link, uint32_t *ret_rtt_us);
static int64_t tune_call(struct hsr_link *link, uint8_t kind, int level, int option, void *value,
                         size_t size);

int hsr_congestion_check(const char *name)
{
    int fd, rc = 0;

    if (name[0] == '\0' || strcmp(name, HSR_CONGESTION_AUTO) == 0 ||
        strcmp(name, HSR_CONGESTION_SYSTEM) == 0)
        return 0;
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) < 0)
        rc = -errno;
    (void)close(fd); /* nothing was sent on it */
    return rc;
}

void hsr_link_tune(struct hsr_link *link, const char *wish, char ret_in_use[HSR_CONGESTION_SIZE])
{
    char name[HSR_CONGESTION_SIZE] = "";

    if (wish[0] == '\0' || strcmp(wish, HSR_CONGESTION_AUTO) == 0) {
        uint32_t rtt_us;

        if (tune_rtt(link, &rtt_us) && rtt_us <= SHORT_PATH_US)
            memcpy(name, "cubic", sizeof("cubic"));
    } else if (strcmp(wish, HSR_CONGESTION_SYSTEM) != 0) {
        (void)strncpy(name, wish, sizeof(name) - 1);
    }
    if (name[0] != '\0') /* refused: the connection works as it is, and ret_in_use tells */
        (void)tune_call(link, HSR_OP_SOCKOPT, IPPROTO_TCP, TCP_CONGESTION, name, strlen(name));
    memset(ret_in_use, 0, HSR_CONGESTION_SIZE);
    if (tune_call(link, HSR_OP_SOCKOPT_GET, IPPROTO_TCP, TCP_CONGESTION, ret_in_use,
                  HSR_CONGESTION_SIZE) < 0)
        ret_in_use[0] = '\0';
    ret_in_use[HSR_CONGESTION_SIZE - 1] = '\0';
}

static bool tune_rtt(struct hsr_link *link, uint32_t *ret_rtt_us)
{
    struct tcp_info info = { 0 };
    int64_t size = tune_call(link, HSR_OP_SOCKOPT_GET, IPPROTO_TCP, TCP_INFO, &info, sizeof(info));

    if (size < (int64_t)offsetof(struct tcp_info, tcpi_min_rtt) + (int64_t)sizeof(uint32_t))
        return false;
    *ret_rtt_us = info.tcpi_min_rtt;
    return true;
}

uint32_t hsr_link_rtt_us(struct hsr_link *link)
{
    uint32_t rtt_us;

    if (!tune_rtt(link, &rtt_us) || rtt_us == UINT32_MAX)
        return 0;
    return rtt_us;
}

int hsr_link_cpu(struct hsr_link *link)
{
    int cpu = -1;

    if (tune_call(link, HSR_OP_SOCKOPT_GET, SOL_SOCKET, SO_INCOMING_CPU, &cpu, sizeof(cpu)) !=
        sizeof(cpu))
        return -1;
    return cpu;
}

static int64_t tune_call(struct hsr_link *link, uint8_t kind, int level, int option, void *value,
                         size_t size)
{
    struct hsr_op op = { .kind = kind,
                         .fd = link->fd,
                         .mask = (uint32_t)level,
                         .mode = (uint32_t)option,
                         .buf = value,
                         .size = size };

    return hsr_loop_call(link->loop, &op);
}
