/* TCP settings, and each NIC: its packets, its queues, and who serves its interrupts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/doctor.h"

#define WINDOW_GOOD (16 * HSR_MIB) /* 10 Gb/s over 13 ms */
#define BIG_TCP_SIZE 185000u /* what the measurement had */
#define GSO_USUAL 65536u
#define MTU_JUMBO 9000
#define MTU_FAST_MBITS 25000 /* from here on small packets keep a core busy */

/* Is @word one of the words of @list? */
static bool word_in(const char *list, const char *word)
{
    size_t size = strlen(word);

    for (const char *at = strstr(list, word); at != NULL; at = strstr(at + 1, word))
        if ((at == list || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0'))
            return true;
    return false;
}

static void net_congestion(struct doctor *doctor)
{
    static const char ipv4[] = "/proc/sys/net/ipv4/";
    const char *root = doctor->machine->root;
    struct doctor_case one = hsr_doctor_begin("network", "congestion", "");
    char now[64], available[256], allowed[256];

    if (hsr_sysfs_text(root, now, sizeof(now), "%stcp_congestion_control", ipv4) < 0 ||
        hsr_sysfs_text(root, available, sizeof(available), "%stcp_available_congestion_control",
                       ipv4) < 0 ||
        hsr_sysfs_text(root, allowed, sizeof(allowed), "%stcp_allowed_congestion_control", ipv4) <
            0)
        return;
    hsr_doctor_what(&one, "default %s; available: %s", now, available);
    if (!word_in(available, "cubic")) {
        hsr_doctor_what(&one, "cubic, best below a millisecond of round trip, is not there");
        hsr_doctor_change(&one, HAWSER_FINDING_ADVICE, "modprobe tcp_cubic");
    } else if (strcmp(now, "cubic") != 0 && !word_in(allowed, "cubic")) {
        hsr_doctor_what(&one, "only root may choose cubic, best below a millisecond of round trip");
        hsr_doctor_change(&one, HAWSER_FINDING_ADVICE,
                          "sysctl -w net.ipv4.tcp_allowed_congestion_control='%s cubic'", allowed);
    } else {
        hsr_doctor_what(&one, "Hawser takes cubic below a millisecond of round trip");
    }
    if (one.level != HAWSER_FINDING_OK)
        hsr_doctor_gain(&one,
                        "short paths without loss: cubic 7.0 GB/s where bbr had 3.2, at half the "
                        "CPU" DOCTOR_MEASURED);
    if (!word_in(available, "bbr"))
        hsr_doctor_what(&one,
                        "for long paths that lose packets there is bbr: modprobe tcp_bbr, then "
                        "--congestion=bbr");
    hsr_doctor_end(doctor, &one);
}

/* The third number of tcp_rmem and tcp_wmem: what a window may grow to. */
static uint64_t window_max(const struct doctor *doctor, const char *name)
{
    char text[128];
    unsigned long long max;

    if (hsr_sysfs_text(doctor->machine->root, text, sizeof(text), "/proc/sys/net/ipv4/%s", name) <
            0 ||
        sscanf(text, "%*u %*u %llu", &max) != 1)
        return 0;
    return max;
}

static void net_windows(struct doctor *doctor)
{
    struct doctor_case one = hsr_doctor_begin("network", "windows", "");
    uint64_t sending = window_max(doctor, "tcp_wmem"), receiving = window_max(doctor, "tcp_rmem");
    uint64_t least = HSR_MIN(sending, receiving);

    if (least == 0)
        return;
    hsr_doctor_what(
        &one,
        "up to %.1f MiB to send and %.1f MiB to receive: a stream moves at most %.2f GB/s "
        "over 10 ms, and %.2f over 1 ms",
        (double)sending / (double)HSR_MIB, (double)receiving / (double)HSR_MIB,
        (double)least / 1e9 * 100, (double)least / 1e9 * 1000);
    if (sending < WINDOW_GOOD)
        hsr_doctor_change(&one, HAWSER_FINDING_ADVICE,
                          "sysctl -w net.ipv4.tcp_wmem='4096 65536 67108864'");
    if (receiving < WINDOW_GOOD)
        hsr_doctor_change(&one, HAWSER_FINDING_ADVICE,
                          "sysctl -w net.ipv4.tcp_rmem='4096 131072 67108864'");
    if (one.level != HAWSER_FINDING_OK)
        hsr_doctor_gain(&one,
                        "long paths only: 64 MiB are 6.7 GB/s over 10 ms; on loopback 0.5 to 16 "
                        "MiB made no difference" DOCTOR_MEASURED);
    hsr_doctor_end(doctor, &one);
}

/* ---- one NIC ---- */

struct nic {
    const char *name;
    int64_t speed; /* Mb/s; 0: not known */
    int64_t mtu;
    char driver[64];
    struct doctor_nic asked;
    struct hsr_irqs irqs;
};

static void nic_packets(struct doctor *doctor, const struct nic *nic)
{
    struct doctor_case one = hsr_doctor_begin("network", "packets", nic->name);

    if (nic->mtu <= 0)
        return;
    hsr_doctor_what(&one, "MTU %lld", (long long)nic->mtu);
    if (nic->speed >= MTU_FAST_MBITS && nic->mtu < MTU_JUMBO) {
        hsr_doctor_change(
            &one, HAWSER_FINDING_ADVICE,
            "ip link set dev %s mtu 9000   # and on every switch and peer of this network",
            nic->name);
        hsr_doctor_gain(&one,
                        "MTU 9000 instead of 1500: 8.7 instead of 7.2 GB/s, and 4.2 instead of "
                        "1.1 where the NIC does not segment" DOCTOR_MEASURED);
    }
    if (nic->asked.gso_ipv4_max > GSO_USUAL) {
        hsr_doctor_what(&one, "BIG TCP up to %u bytes", nic->asked.gso_ipv4_max);
    } else if (nic->asked.gso_ipv4_max > 0 && nic->asked.tso_max > GSO_USUAL) {
        hsr_doctor_what(&one, "BIG TCP is possible and off");
        if (nic->speed >= DOCTOR_FAST_MBITS) {
            unsigned size = HSR_MIN(nic->asked.tso_max, BIG_TCP_SIZE);

            hsr_doctor_change(
                &one, HAWSER_FINDING_ADVICE,
                "ip link set dev %s gso_ipv4_max_size %u gro_ipv4_max_size %u   # iproute2 "
                "6.3",
                nic->name, size, size);
            hsr_doctor_gain(&one, "BIG TCP: 12.2 instead of 8.7 GB/s at MTU 9000" DOCTOR_MEASURED);
        }
    }
    hsr_doctor_end(doctor, &one);
}

struct queue_list {
    const struct doctor_machine *machine;
    const char *nic;
    unsigned receiving, sending, steered;
};

static void queue_found(void *context, const char *name)
{
    struct queue_list *list = context;
    char text[256];

    if (strncmp(name, "tx-", 3) == 0)
        list->sending++;
    if (strncmp(name, "rx-", 3) != 0)
        return;
    list->receiving++;
    if (hsr_sysfs_text(list->machine->root, text, sizeof(text),
                       "/sys/class/net/%s/queues/%s/rps_cpus", list->nic, name) == 0 &&
        text[strspn(text, "0,")] != '\0') /* a mask of CPUs, in groups of 32 */
        list->steered++;
}

/* The stack hands packets to other CPUs than the interrupt's: worth it only where the NIC has fewer
 * queues than there are CPUs to use. */
static void queues_steered(struct doctor_case *one, const struct queue_list *list)
{
    hsr_doctor_what(one, "receive packet steering is on for %u of %u", list->steered,
                    list->receiving);
    hsr_doctor_change(one, HAWSER_FINDING_ADVICE,
                      "for i in /sys/class/net/%s/queues/rx-*/rps_cpus; do echo 0 > $i; done",
                      list->nic);
    hsr_doctor_gain(one,
                    "loopback 7 instead of 6 GB/s, at three quarters of the CPU" DOCTOR_MEASURED);
}

static void nic_queues(struct doctor *doctor, const struct nic *nic)
{
    const struct doctor_nic *asked = &nic->asked;
    struct doctor_case one = hsr_doctor_begin("network", "queues", nic->name);
    uint32_t wanted = HSR_MIN(asked->queues_max, doctor->machine->cpus);
    struct queue_list list = { .machine = doctor->machine, .nic = nic->name };

    /* No such directory: a kernel without it counts none. */
    (void)hsr_sysfs_each(doctor->machine->root, queue_found, &list, "/sys/class/net/%s/queues",
                         nic->name);
    if (asked->queues > 0)
        hsr_doctor_what(&one, "%u of at most %u queue%s", asked->queues, asked->queues_max,
                        asked->queues_max == 1 ? "" : "s");
    else if (list.receiving + list.sending > 0)
        hsr_doctor_what(&one, "%u queue%s to receive, %u to send", list.receiving,
                        list.receiving == 1 ? "" : "s", list.sending);
    if (list.steered > 0 && list.receiving >= doctor->machine->cpus)
        queues_steered(&one, &list);
    if (asked->rx_ring > 0)
        hsr_doctor_what(&one, "rings of %u to receive and %u to send, at most %u and %u",
                        asked->rx_ring, asked->tx_ring, asked->rx_ring_max, asked->tx_ring_max);
    if (nic->speed >= DOCTOR_FAST_MBITS && asked->queues > 0 && asked->queues < wanted) {
        hsr_doctor_change(&one, HAWSER_FINDING_ADVICE, "ethtool -L %s combined %u", nic->name,
                          wanted);
        hsr_doctor_gain(&one,
                        "a queue is an interrupt on one core: with more, more cores receive (not "
                        "measured)");
    }
    if (nic->speed >= DOCTOR_FAST_MBITS && asked->rx_ring > 0 && asked->rx_ring < 1024 &&
        asked->rx_ring < asked->rx_ring_max) {
        hsr_doctor_change(&one, HAWSER_FINDING_ADVICE, "ethtool -G %s rx %u", nic->name,
                          HSR_MIN(asked->rx_ring_max, 4096u));
        hsr_doctor_gain(&one, "a burst that finds the ring full is lost (not measured)");
    }
    hsr_doctor_end(doctor, &one);
}

/* "8 9 10" from "8-15" or the first CPUs, at most @count: words for a shell. */
static void cpus_print(const char *list, unsigned count, char *buf, size_t size)
{
    unsigned printed = 0;
    size_t at = 0;

    buf[0] = '\0';
    if (*list == '\0')
        list = "0-1023";
    while (printed < count && at < size) {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;

        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (; first <= last && printed < count && at < size; first++, printed++)
            at += (size_t)snprintf(buf + at, size - at, at > 0 ? " %lu" : "%lu", first);
        if (*end != ',')
            return;
        list = end + 1;
    }
}

static void nic_interrupts(struct doctor *doctor, const struct nic *nic)
{
    const struct hsr_irqs *irqs = &nic->irqs;
    struct doctor_case one = hsr_doctor_begin("network", "interrupts", nic->name);
    unsigned spread = HSR_MIN(irqs->count, doctor->machine->cpus);
    char cpus[192];

    if (irqs->node >= 0)
        hsr_doctor_what(&one, "on NUMA node %d%s%s", irqs->node,
                        *irqs->local != '\0' ? ", cpus " : "", irqs->local);
    if (irqs->count > 0)
        hsr_doctor_what(&one, "%u interrupt%s, served by %u CPU%s", irqs->count,
                        irqs->count == 1 ? "" : "s", irqs->cpus, irqs->cpus == 1 ? "" : "s");
    if (irqs->away > 0)
        hsr_doctor_what(&one, "%u of them by none of that node", irqs->away);
    /* Counted by name they are an old driver's, whose vectors cannot be listed. */
    if (*irqs->vectors != '\0' &&
        (irqs->away > 0 || (irqs->cpus == 1 && spread > 2 && nic->speed >= DOCTOR_FAST_MBITS))) {
        cpus_print(irqs->local, HSR_MIN(spread, 32u), cpus, sizeof(cpus));
        hsr_doctor_change(&one, HAWSER_FINDING_ADVICE, "systemctl stop irqbalance");
        /* One CPU each, in turn: a list would leave all of them on its first CPU. */
        hsr_doctor_change(&one, HAWSER_FINDING_ADVICE,
                          "set -- %s; for i in %s/*; do echo $1 > "
                          "/proc/irq/${i##*/}/smp_affinity_list; set -- \"$@\" $1; shift; done",
                          cpus, irqs->vectors);
        hsr_doctor_gain(&one,
                        "a packet that arrives on the other socket crosses it twice, and one core "
                        "for all queues is a limit (not measured)");
    }
    hsr_doctor_end(doctor, &one);
}

static void nic_link(struct doctor *doctor, const struct nic *nic)
{
    struct doctor_case one = hsr_doctor_begin("network", "link", nic->name);

    hsr_doctor_what(&one, "%s", *nic->driver != '\0' ? nic->driver : "unknown driver");
    if (nic->speed >= 1000)
        hsr_doctor_what(&one, "%lld Gb/s", (long long)nic->speed / 1000);
    else if (nic->speed > 0)
        hsr_doctor_what(&one, "%lld Mb/s", (long long)nic->speed);
    else
        hsr_doctor_what(&one, "rate unknown");
    hsr_doctor_end(doctor, &one);
}

struct nic_list {
    struct doctor *doctor;
    unsigned count;
};

/* Hardware that is up; what stands on it (bonds, bridges, VLANs) has no settings of its own. */
static void nic_found(void *context, const char *name)
{
    struct nic_list *list = context;
    const struct doctor_machine *machine = list->doctor->machine;
    struct nic nic = { .name = name };
    char state[32];

    if (strlen(name) >= HSR_DEVICE_NAME_SIZE || !hsr_doctor_is_word(name) ||
        !hsr_sysfs_there(machine->root, "/sys/class/net/%s/device", name) ||
        hsr_sysfs_text(machine->root, state, sizeof(state), "/sys/class/net/%s/operstate", name) <
            0 ||
        (strcmp(state, "up") != 0 && strcmp(state, "unknown") != 0))
        return;
    list->count++;
    if (!hsr_sysfs_number(machine->root, &nic.speed, "/sys/class/net/%s/speed", name) ||
        nic.speed < 0)
        nic.speed = 0; /* virtual ones say -1, or nothing */
    if (!hsr_sysfs_number(machine->root, &nic.mtu, "/sys/class/net/%s/mtu", name))
        nic.mtu = 0;
    (void)hsr_sysfs_base(machine->root, nic.driver, sizeof(nic.driver),
                         "/sys/class/net/%s/device/driver", name); /* else it is "" */
    machine->nic_read(name, &nic.asked);
    hsr_irqs_read(machine->root, HSR_DEVICE_NET, name, &nic.irqs);
    nic_link(list->doctor, &nic);
    nic_packets(list->doctor, &nic);
    nic_queues(list->doctor, &nic);
    nic_interrupts(list->doctor, &nic);
}

void hsr_doctor_network(struct doctor *doctor)
{
    struct nic_list list = { .doctor = doctor };
    struct doctor_case none = hsr_doctor_begin("network", "link", "");

    net_congestion(doctor);
    net_windows(doctor);
    if (hsr_sysfs_each(doctor->machine->root, nic_found, &list, "/sys/class/net") == 0 &&
        list.count == 0) {
        hsr_doctor_what(&none, "no NIC is to be seen here: in a container, ask on the host");
        hsr_doctor_end(doctor, &none);
    }
}
