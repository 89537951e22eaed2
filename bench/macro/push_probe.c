/* How long one small push takes, one after the other, by a program that links the library:
 *
 *   push_probe FILE URL COUNT PAUSE
 *
 * Pushes FILE as URL0, URL1, ..., PAUSE microseconds after each, and prints the milliseconds that
 * each took. Each is a session of its own, connections and all; the client, its thread and its
 * memory are made once, so that what is measured is the other side. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "hawser/hawser.h"

#define NS_PER_US 1000
#define NS_PER_MS 1e6
#define NS_PER_S 1000000000ull

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
    const hawser_client_opts opts = {
        .size = sizeof(opts), .memory = 24u << 20, .shards = 1, .streams = 1, .no_pin = true
    };
    hawser_client *client;
    char why[512] = "", url[4096];
    struct timespec pause = { 0 };
    unsigned long count;
    int rc;

    if (argc != 5) {
        fprintf(stderr, "usage: push_probe FILE URL COUNT PAUSE\n");
        return 2;
    }
    count = strtoul(argv[3], NULL, 10);
    if (hawser_client_open(&opts, &client, why, sizeof(why)) < 0) {
        fprintf(stderr, "push_probe: %s\n", why);
        return 1;
    }
    pause.tv_nsec = strtol(argv[4], NULL, 10) * NS_PER_US;
    for (unsigned long i = 0; i < count; i++) {
        const char *source = argv[1];
        uint64_t begin_ns;

        snprintf(url, sizeof(url), "%s%lu", argv[2], i);
        begin_ns = now_ns();
        rc = hawser_push(client, &source, 1, url, NULL, NULL);
        if (rc != 0) {
            fprintf(stderr, "push_probe: %s: %s: %s\n", url, hawser_strerror(rc),
                    hawser_client_message(client));
            hawser_client_close(client);
            return 1;
        }
        printf("%.3f\n", (double)(now_ns() - begin_ns) / NS_PER_MS);
        nanosleep(&pause, NULL);
    }
    hawser_client_close(client);
    return 0;
}
