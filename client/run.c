/* Running a job: sessions, one after the other, until one ends well or no further one is allowed.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "client/attempts.h"
#include "client/client.h"

#define RUN_PAUSE_STEP_NS (10 * HSR_NS_PER_MS) /* how soon a cancelled pause ends */
#define RUN_END_NS (10 * HSR_NS_PER_S) /* for an engine to let go of what a session held */

/* What the NICs on the way to @spec's address do together, as far as they tell; 0: not known. */
static uint64_t path_rate(const struct hsr_job_spec *spec)
{
    struct hsr_device devices[CLIENT_NEAR_MAX];
    struct sockaddr_storage own = { 0 };
    socklen_t size = sizeof(own);
    uint64_t sum = 0, rate;
    unsigned count = 0;
    int fd = socket(spec->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    /* Connecting a datagram socket sends nothing: it looks up the way, and our address on it. */
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&spec->address, spec->address_size) == 0 &&
        getsockname(fd, (struct sockaddr *)&own, &size) == 0)
        count = hsr_device_of_address((const struct sockaddr *)&own, devices, CLIENT_NEAR_MAX);
    if (fd >= 0)
        (void)close(fd); /* nothing was sent on it */
    for (unsigned i = 0; i < count; i++) {
        rate = hsr_device_rate("", devices[i].name);
        if (rate == 0)
            return 0;
        sum += rate;
    }
    return sum;
}

/* One session with one address; returns why it ended. */
static int session_run(struct hawser_client *client, struct hsr_job_spec *spec)
{
    int rc;

    hsr_require(!client->canceled, HSR_E_CANCELED);
    client->closed = client->opened = false;
    client->code = 0;
    client->text[0] = '\0';
    client->progress = (struct hsr_progress){ 0 };
    client->totals = (struct hsr_totals){ 0 };
    client->durability = 0;
    client->failed = 0;
    rc = hsr_engine_run(client->engine, spec);
    if (rc < 0)
        return rc;
    if (client->canceled) /* a signal between the test above and the start found no session */
        hsr_engine_control(client->engine, HSR_CONTROL_STOP);
    (void)pthread_mutex_lock(&client->lock);
    while (!client->closed)
        (void)pthread_cond_wait(&client->closed_cond, &client->lock);
    (void)pthread_mutex_unlock(&client->lock);
    return client->code;
}

/* Would another address of the same host help? */
static bool try_next(const struct hawser_client *client, int rc)
{
    return !client->opened && !client->canceled &&
           (rc == -ECONNREFUSED || rc == -ENETUNREACH || rc == -EHOSTUNREACH || rc == -ETIMEDOUT ||
            rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT);
}

static int resolve(struct hawser_client *client, const hawser_url *url, struct addrinfo **ret_info)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    char port[8];
    int rc;

    (void)snprintf(port, sizeof(port), "%u", url->port); /* five digits at most */
    hints.ai_flags = AI_NUMERICSERV;
    rc = getaddrinfo(url->host, port, &hints, ret_info);
    if (rc == 0)
        return 0;
    if (rc == EAI_MEMORY)
        return -ENOMEM;
    return hsr_client_fail(client, HSR_E_RESOLVE, url->host, "%s (%s)", hsr_err_text(HSR_E_RESOLVE),
                           rc == EAI_SYSTEM ? hsr_err_text(-errno) : gai_strerror(rc));
}

/* "HOST:PORT/EXPORT/PATH: why": nothing was opened, so it may be any of them. */
static void fail_there(struct hawser_client *client, int code, const hawser_url *url,
                       const char *text)
{
    char *where;

    if (asprintf(&where, "%s:%u%s%s%s%s", url->host, url->port,
                 url->export_name[0] != '\0' ? "/" : "", url->export_name,
                 url->path[0] != '\0' ? "/" : "", url->path) < 0)
        return; /* no memory for words */
    hsr_client_fail(client, code, where, "%s", *text != '\0' ? text : hsr_err_text(code));
    free(where);
}

int hsr_client_run_here(struct hawser_client *client, struct hsr_job_spec *spec)
{
    return session_run(client, spec);
}

/* One attempt: the addresses of the host in turn until one answers. */
static int attempt_run(struct hawser_client *client, const hawser_url *url,
                       struct hsr_job_spec *spec)
{
    struct addrinfo *info = NULL;
    int rc;

    client->text[0] = '\0';
    client->opened = false;
    rc = resolve(client, url, &info);
    if (rc < 0)
        return rc;
    rc = HSR_E_RESOLVE;
    for (struct addrinfo *at = info; at != NULL; at = at->ai_next) {
        memcpy(&spec->address, at->ai_addr, at->ai_addrlen);
        spec->address_size = at->ai_addrlen;
        spec->nic_rate = spec->delta == HSR_DELTA_AUTO && !spec->list ? path_rate(spec) : 0;
        rc = session_run(client, spec);
        if (!try_next(client, rc))
            break;
    }
    freeaddrinfo(info);
    return rc;
}

/* What was told cannot be taken back: what only tells is not repeated in the middle. */
static bool attempt_repeats(const struct hawser_client *client, const struct hsr_job_spec *spec)
{
    bool tells = spec->list || spec->summing || (spec->options & HSR_OPT_DRY_RUN);

    return !spec->benching && !client->canceled && !(tells && client->told);
}

static struct hsr_attempts attempts_begin(const struct hawser_client *client,
                                          struct hsr_job_spec *spec)
{
    struct hsr_attempts attempts = { .retries = client->retries, .connect = client->retry_connect };
    uint64_t seed = 0;

    /* Small requests from the kernel's generator are never short. Where it is missing altogether a
     * job without a name is one that the server cannot tell from others, and jitter is fixed. */
    if (getrandom(spec->job, sizeof(spec->job), 0) != (ssize_t)sizeof(spec->job))
        memset(spec->job, 0, sizeof(spec->job));
    (void)getrandom(&seed, sizeof(seed), 0);
    attempts.prng = hsr_prng_init(seed);
    return attempts;
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
    return (uint64_t)ts.tv_sec * HSR_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Wait before the next attempt, until the engine has let go of what the last one held, and as long
 * as the caller has paused it. @return how long that took: less if it was cancelled */
static uint64_t attempt_pause(const struct hawser_client *client, uint64_t pause_ns)
{
    const struct timespec step = { .tv_nsec = (long)RUN_PAUSE_STEP_NS };
    uint64_t begun = now_ns(), waited = 0;

    for (; !client->canceled; waited = now_ns() - begun) {
        bool ended = hsr_engine_sessions(client->engine) == 0 || waited >= RUN_END_NS;

        if (waited >= pause_ns && ended && !client->paused)
            break;
        (void)nanosleep(&step, NULL); /* waking early means asking early */
    }
    return waited;
}

static void attempt_tell(struct hawser_client *client, int rc, const struct hsr_attempts *attempts,
                         uint64_t pause_ns)
{
    struct hawser_event event = {
        .kind = HAWSER_EVENT_RETRY,
        .code = rc,
        .path = "",
        .text = client->text,
        .retry = attempts->made,
        .retries_left = attempts->retries - attempts->spent,
        .pause_ns = pause_ns,
    };

    if (client->event != NULL)
        client->event(client->context, &event);
}

int hsr_client_run(struct hawser_client *client, const hawser_url *url, const char *path,
                   struct hsr_job_spec *spec)
{
    struct hsr_attempts attempts = attempts_begin(client, spec);
    uint64_t pause_ns;
    int rc;

    spec->export_name = url->export_name;
    spec->path = path;
    spec->connect_ns = client->connect_ns;
    memcpy(spec->congestion, client->congestion, sizeof(spec->congestion));
    client->told = false;
    for (;;) {
        struct hsr_attempt_end end;

        spec->attempt++;
        rc = attempt_run(client, url, spec);
        end = (struct hsr_attempt_end){ .rc = rc,
                                        .opened = client->opened,
                                        .settled = hsr_client_settled(client),
                                        .kept = client->progress.resumed_bytes };
        if (rc == 0 || rc == HSR_E_PARTIAL || !attempt_repeats(client, spec) ||
            !hsr_attempts_again(&attempts, &end, &pause_ns))
            break;
        hsr_client_stats_carry(client);
        attempt_tell(client, rc, &attempts, pause_ns);
        client->carried.elapsed_ns += attempt_pause(client, pause_ns);
        client->message[0] = '\0';
    }
    if (rc < 0 && client->canceled && hsr_err_class(rc) == HSR_CLASS_NET)
        rc = HSR_E_CANCELED; /* it would have been tried again */
    if (rc < 0 && rc != HSR_E_PARTIAL && rc != HSR_E_RESOLVE) {
        bool plain = client->text[0] == '\0' || strcmp(client->text, hsr_err_text(rc)) == 0;

        if (client->opened)
            hsr_client_fail(client, rc, NULL, "%s", plain ? "" : client->text);
        else
            fail_there(client, rc, url, plain ? "" : client->text);
    }
    return rc;
}
