/* A long wire on one machine: two network namespaces with a TUN device each, and between them this
 * program, which holds every packet back for a while. Whole super-packets cross it in one read and
 * one write, so it carries gigabytes a second. Namespaces and devices end with their processes.
 *
 *   delay_line [--delay-us N] [--loss-ppm N] [--rate BYTES] THERE HERE
 *
 * THERE and HERE are shell commands, run in the two namespaces: THERE has the address 10.97.0.2,
 * HERE 10.97.0.1. When HERE ends, THERE is told to (SIGTERM), and HERE's exit code is this one's.
 * 77: namespaces or TUN devices are not allowed here. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_SKIP 77
#define PACKET_MAX 65560u /* a super-packet and the header that tells of its segments */
#define VNET_HEADER 10
#define QUEUE_BYTES_MAX (256u << 20) /* on the wire in one direction; more is dropped */
#define QUEUE_LENGTH 10000 /* packets that a device holds for us */

struct packet {
    struct packet *next;
    uint64_t due_ns;
    size_t size;
    char bytes[];
};

struct wire { /* one direction */
    int in, out;
    struct packet *head, **tail;
    size_t bytes;
    uint64_t free_ns; /* --rate: when the wire is free again */
};

struct side {
    pid_t pid;
    int tun;
    int go; /* closing it starts the command */
};

static uint64_t delay_ns = 5000000, rate;
static uint32_t loss_ppm;

static void skip(const char *what)
{
    fprintf(stderr, "delay_line: %s: %s\n", what, strerror(errno));
    exit(EXIT_SKIP);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- namespaces ---- */

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        skip(path);
    (void)close(fd);
}

/* Somebody who is not root is root of a user namespace. */
static void become_root(void)
{
    char text[64];
    unsigned uid = getuid(), gid = getgid();

    if (uid == 0)
        return;
    if (unshare(CLONE_NEWUSER) < 0)
        skip("user namespace");
    write_file("/proc/self/setgroups", "deny");
    (void)snprintf(text, sizeof(text), "0 %u 1", uid);
    write_file("/proc/self/uid_map", text);
    (void)snprintf(text, sizeof(text), "0 %u 1", gid);
    write_file("/proc/self/gid_map", text);
}

static void interface_up(int sock, const char *name)
{
    struct ifreq ifr = { .ifr_flags = IFF_UP | IFF_RUNNING };

    (void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
    if (ioctl(sock, SIOCSIFFLAGS, &ifr) < 0)
        skip(name);
}

static void interface_address(int sock, unsigned long request, const char *text)
{
    struct ifreq ifr = { .ifr_name = "wire" };
    struct sockaddr_in address = { .sin_family = AF_INET };

    (void)inet_pton(AF_INET, text, &address.sin_addr);
    memcpy(&ifr.ifr_addr, &address, sizeof(address));
    if (ioctl(sock, request, &ifr) < 0)
        skip(text);
}

static int tun_open(const char *address)
{
    struct ifreq ifr = { .ifr_name = "wire", .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
    int size = VNET_HEADER, sock;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0 ||
        ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0 ||
        ioctl(fd, TUNSETVNETHDRSZ, &size) < 0)
        skip("TUN device");
    sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        skip("socket");
    interface_address(sock, SIOCSIFADDR, address);
    interface_address(sock, SIOCSIFNETMASK, "255.255.255.0");
    ifr = (struct ifreq){ .ifr_name = "wire", .ifr_qlen = QUEUE_LENGTH };
    (void)ioctl(sock, SIOCSIFTXQLEN, &ifr); /* else it drops when there is much */
    interface_up(sock, "wire");
    interface_up(sock, "lo");
    (void)close(sock);
    return fd;
}

static void fd_send(int sock, int fd)
{
    char byte = 0;
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { .room = { 0 } };
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.room,
                          .msg_controllen = sizeof(control.room) };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
    if (sendmsg(sock, &msg, 0) != 1)
        skip("sendmsg");
}

/* -1: the other one could not do it, and has said why. */
static int fd_receive(int sock)
{
    char byte;
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.room,
                          .msg_controllen = sizeof(control.room) };
    int fd = -1;

    if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&msg) != NULL)
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
    return fd;
}

/* A process in a network namespace of its own; it waits until `go` is closed, then is @command. */
static struct side side_start(const char *address, const char *command)
{
    struct side side;
    int pair[2];
    char byte;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        skip("socketpair");
    side.pid = fork();
    if (side.pid < 0)
        skip("fork");
    if (side.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing of it outlives us */
        (void)close(pair[0]);
        if (unshare(CLONE_NEWNET) < 0)
            skip("network namespace");
        fd_send(pair[1], tun_open(address));
        while (read(pair[1], &byte, 1) > 0)
            continue;
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        skip("sh");
    }
    (void)close(pair[1]);
    side.tun = fd_receive(pair[0]);
    side.go = pair[0];
    if (side.tun < 0) {
        (void)waitpid(side.pid, NULL, 0);
        exit(EXIT_SKIP);
    }
    return side;
}

/* ---- the wire ---- */

static bool lost(void)
{
    return loss_ppm > 0 && (uint32_t)(random() % 1000000) < loss_ppm;
}

/* Take what there is. */
static void wire_take(struct wire *wire)
{
    for (unsigned i = 0; i < 64; i++) {
        struct packet *packet = malloc(sizeof(*packet) + PACKET_MAX);
        ssize_t size = packet != NULL ? read(wire->in, packet->bytes, PACKET_MAX) : -1;
        uint64_t now = now_ns();

        if (size <= 0 || wire->bytes > QUEUE_BYTES_MAX || lost()) {
            free(packet);
            if (size <= 0)
                return;
            continue;
        }
        if (rate > 0) {
            wire->free_ns =
                (wire->free_ns > now ? wire->free_ns : now) + (uint64_t)size * 1000000000u / rate;
            now = wire->free_ns;
        }
        packet->due_ns = now + delay_ns;
        packet->size = (size_t)size;
        packet->next = NULL;
        *wire->tail = packet;
        wire->tail = &packet->next;
        wire->bytes += packet->size;
    }
}

/* Give what is due. A device that has no room drops, as networks do. */
static void wire_give(struct wire *wire)
{
    while (wire->head != NULL && wire->head->due_ns <= now_ns()) {
        struct packet *packet = wire->head;

        if (write(wire->out, packet->bytes, packet->size) < 0 && errno == EIO)
            return; /* the device is not up any more */
        wire->head = packet->next;
        if (wire->head == NULL)
            wire->tail = &wire->head;
        wire->bytes -= packet->size;
        free(packet);
    }
}

/* Until @pid ends; its exit code. */
static int wires_run(struct wire wires[2], pid_t pid)
{
    int status;

    for (;;) {
        struct pollfd fds[2] = { { wires[0].in, POLLIN, 0 }, { wires[1].in, POLLIN, 0 } };
        uint64_t now = now_ns(), next = now + 20000000; /* HERE is looked at so often */
        struct timespec pause;

        for (int i = 0; i < 2; i++)
            if (wires[i].head != NULL && wires[i].head->due_ns < next)
                next = wires[i].head->due_ns > now ? wires[i].head->due_ns : now;
        pause = (struct timespec){ .tv_nsec = (long)(next - now) };
        (void)ppoll(fds, 2, &pause, NULL);
        for (int i = 0; i < 2; i++) {
            wire_take(&wires[i]);
            wire_give(&wires[i]);
        }
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

static uint64_t number(const char *text, uint64_t max)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || value > max) {
        fprintf(stderr, "delay_line: %s is no number up to %llu\n", text, (unsigned long long)max);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = { { "delay-us", required_argument, NULL, 'd' },
                                           { "loss-ppm", required_argument, NULL, 'l' },
                                           { "rate", required_argument, NULL, 'r' },
                                           { 0 } };
    struct side there, here;
    struct wire wires[2] = { 0 };
    int id, code;

    while ((id = getopt_long(argc, argv, "+", longs, NULL)) != -1) {
        if (id == 'd')
            delay_ns = 1000 * number(optarg, 10000000);
        else if (id == 'l')
            loss_ppm = (uint32_t)number(optarg, 1000000);
        else if (id == 'r')
            rate = number(optarg, UINT64_C(1) << 40);
        else
            return 2;
    }
    if (argc - optind != 2) {
        fprintf(stderr,
                "usage: delay_line [--delay-us N] [--loss-ppm N] [--rate BYTES] THERE HERE\n");
        return 2;
    }
    become_root();
    there = side_start("10.97.0.2", argv[optind]);
    here = side_start("10.97.0.1", argv[optind + 1]);
    wires[0] = (struct wire){ .in = there.tun, .out = here.tun };
    wires[1] = (struct wire){ .in = here.tun, .out = there.tun };
    wires[0].tail = &wires[0].head;
    wires[1].tail = &wires[1].head;
    (void)prctl(PR_SET_TIMERSLACK, 1); /* else 50 us are added to every delay */
    (void)close(there.go);
    (void)close(here.go);
    code = wires_run(wires, here.pid);
    (void)kill(there.pid, SIGTERM);
    (void)waitpid(there.pid, NULL, 0);
    return code;
}
