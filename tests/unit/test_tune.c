/* Congestion control of a link: names that exist and do not, and what `auto` takes on a short path.
 * The sockets are real ones over loopback; only the clock and the ring are left out. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ring/backend.h"
#include "tests/unit/hsr_test.h"
#include "transfer/net/tune.h"

static bool blind; /* getsockopt(2) says nothing */

static int64_t plain_call(struct hsr_backend *backend, struct hsr_op *op)
{
    int64_t res;

    (void)backend;
    if (blind && op->kind == HSR_OP_SOCKOPT_GET)
        return -ENOPROTOOPT;
    res = hsr_syscall_run(op);
    return res;
}

static uint64_t plain_now(struct hsr_backend *backend)
{
    (void)backend;
    return 1;
}

static void plain_fini(struct hsr_backend *backend)
{
    (void)backend;
}

static const struct hsr_backend_ops plain_ops = {
    .name = "plain", .call = plain_call, .now = plain_now, .fini = plain_fini
};

struct pair {
    struct hsr_backend backend;
    struct hsr_loop loop;
    struct hsr_link link; /* the accepted end */
    int client;
};

static void pair_open(struct pair *pair)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char byte = 1;
    int fd;

    blind = false;
    CHECK(listener >= 0);
    CHECK(bind(listener, (struct sockaddr *)&address, size) == 0);
    CHECK(listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    pair->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(pair->client, (struct sockaddr *)&address, size) == 0);
    fd = accept(listener, NULL, NULL);
    CHECK(fd >= 0);
    CHECK(close(listener) == 0);
    CHECK(write(pair->client, &byte, 1) == 1);
    CHECK(read(fd, &byte, 1) == 1);
    pair->backend = (struct hsr_backend){ .ops = &plain_ops };
    CHECK_EQ(hsr_loop_init(&pair->loop, &pair->backend, 0), 0);
    hsr_link_init(&pair->link, &pair->loop, fd);
}

static void pair_close(struct pair *pair)
{
    CHECK(close(pair->link.fd) == 0);
    CHECK(close(pair->client) == 0);
    hsr_loop_fini(&pair->loop);
}

static void host_default(char name[HSR_CONGESTION_SIZE])
{
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_congestion_control", "re");

    CHECK(file != NULL);
    CHECK(fscanf(file, "%15s", name) == 1);
    CHECK(fclose(file) == 0);
}

static void test_check_knows_what_the_kernel_has(void)
{
    char host[HSR_CONGESTION_SIZE];

    host_default(host);
    CHECK_EQ(hsr_congestion_check(""), 0);
    CHECK_EQ(hsr_congestion_check("auto"), 0);
    CHECK_EQ(hsr_congestion_check("system"), 0);
    CHECK_EQ(hsr_congestion_check("reno"), 0); /* every kernel has it, every user may */
    CHECK_EQ(hsr_congestion_check(host), 0);
    CHECK_EQ(hsr_congestion_check("no_such_control"), -ENOENT);
}

static void test_tune_takes_a_name(void)
{
    struct pair pair;
    char used[HSR_CONGESTION_SIZE];

    pair_open(&pair);
    hsr_link_tune(&pair.link, "reno", used);
    CHECK(strcmp(used, "reno") == 0);
    hsr_link_tune(&pair.link, "no_such_control", used); /* refused: as it was, and said */
    CHECK(strcmp(used, "reno") == 0);
    hsr_link_tune(&pair.link, "system", used); /* touches nothing */
    CHECK(strcmp(used, "reno") == 0);
    pair_close(&pair);
}

static void test_tune_auto_takes_cubic_on_a_short_path(void)
{
    struct pair pair;
    char used[HSR_CONGESTION_SIZE], host[HSR_CONGESTION_SIZE];

    host_default(host);
    pair_open(&pair);
    hsr_link_tune(&pair.link, "system", used);
    CHECK(strcmp(used, host) == 0);
    hsr_link_tune(&pair.link, "auto", used);
    if (hsr_congestion_check("cubic") == 0)
        CHECK(strcmp(used, "cubic") == 0);
    else
        CHECK(strcmp(used, host) == 0);
    pair_close(&pair);
}

/* Goal: without a measured round trip nothing is changed, and nothing is claimed. */
static void test_tune_auto_does_not_guess(void)
{
    struct pair pair;
    char used[HSR_CONGESTION_SIZE], host[HSR_CONGESTION_SIZE];

    host_default(host);
    pair_open(&pair);
    blind = true;
    hsr_link_tune(&pair.link, "", used);
    CHECK(used[0] == '\0');
    CHECK_EQ(hsr_link_cpu(&pair.link), -1);
    blind = false;
    hsr_link_tune(&pair.link, "system", used);
    CHECK(strcmp(used, host) == 0);
    pair_close(&pair);
}

static void test_cpu_is_one_of_this_machine(void)
{
    struct pair pair;
    int cpu;

    pair_open(&pair);
    cpu = hsr_link_cpu(&pair.link);
    CHECK(cpu >= 0 && cpu < (int)sysconf(_SC_NPROCESSORS_CONF));
    pair_close(&pair);
}

int main(void)
{
    RUN(test_check_knows_what_the_kernel_has);
    RUN(test_tune_takes_a_name);
    RUN(test_tune_auto_takes_cubic_on_a_short_path);
    RUN(test_tune_auto_does_not_guess);
    RUN(test_cpu_is_one_of_this_machine);
    TEST_END();
}
