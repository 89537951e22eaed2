/* Goal: what a job tells of its attempts is what happened. Method: a real client, and a port at
 * which nobody listens. */
#include "hawser/hawser.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/unit/hsr_test.h"

#define RETRIES 1000u
#define PAUSE_NS (500 * HSR_NS_PER_MS) /* a drawn pause that is told from none */
#define SLACK_NS (10 * HSR_NS_PER_MS) /* the clock is looked at before and after */

struct seen {
    hawser_client *client;
    uint64_t pause_ns; /* the one that was cancelled */
};

static uint64_t clock_ns(void)
{
    struct timespec ts;

    CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
    return (uint64_t)ts.tv_sec * HSR_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* A port of ours that refuses: bound, without a listener. */
static int port_take(uint16_t *ret_port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0);
    CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void cancel_long_pause(void *context, const hawser_event *event)
{
    struct seen *seen = context;

    if (event->kind != HAWSER_EVENT_RETRY || event->pause_ns < PAUSE_NS)
        return;
    seen->pause_ns = event->pause_ns;
    hawser_cancel(seen->client);
}

/* Goal: a pause that is cancelled counts as long as it was, not as it was meant. */
static void test_run_cancelled_pause(void)
{
    hawser_client_opts client_opts = HAWSER_INIT(client_opts);
    hawser_transfer_opts opts = HAWSER_INIT(opts);
    const char *sources[] = { "/etc/hostname" };
    struct seen seen = { 0 };
    hawser_stats stats;
    char url[64], why[256];
    uint16_t port;
    int fd = port_take(&port);
    uint64_t begun;

    (void)snprintf(url, sizeof(url), "hawser://127.0.0.1:%u/x", port);
    client_opts.shards = 1;
    client_opts.retries = RETRIES;
    client_opts.retry_connect = true;
    CHECK_EQ(hawser_client_open(&client_opts, &seen.client, why, sizeof(why)), 0);
    opts.event = cancel_long_pause;
    opts.context = &seen;
    begun = clock_ns();
    CHECK_EQ(hawser_push(seen.client, sources, 1, url, &opts, &stats), HAWSER_E_CANCELED);
    CHECK(seen.pause_ns >= PAUSE_NS); /* it was reached: the fault of this test */
    CHECK(stats.elapsed_ns <= clock_ns() - begun + SLACK_NS);
    CHECK(stats.retries > 0);
    hawser_client_close(seen.client);
    CHECK_EQ(close(fd), 0);
}

int main(void)
{
    RUN(test_run_cancelled_pause);
    TEST_END();
}
