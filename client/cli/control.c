/* A running job answers on its socket; see control.h. One thread, which waits in poll(2); who says
 * nothing, or no end of line, is left after a second, or when somebody else wants his place. */
#include "client/cli/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GUESTS_MAX 16u /* at once: what they say is there when they are let in, or soon */
#define GUEST_MS 1000 /* to say something */
#define DEAF_MS 100 /* before another accept, when one fails for want of descriptors */

struct guest {
    int fd; /* -1: free */
    int64_t until_ms;
    size_t size;
    char line[CONTROL_LINE_MAX];
};

static struct {
    bool running;
    pthread_t thread;
    int place_fd, listen_fd, end_fd;
    int64_t deaf_ms; /* no accept before */
    char job[CONTROL_JOB_SIZE];
    char command[CONTROL_COMMAND_SIZE];
    hawser_client *client;
    struct guest guests[GUESTS_MAX];
    /* what others tell */
    pthread_mutex_t lock;
    hawser_progress progress;
    bool opened, waits, paused, stopping;
} control = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *control_run(void *context);

static int64_t now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Words with spaces between them, on one line whatever they hold. */
static void command_print(int argc, char **argv)
{
    size_t at = 0;

    for (int i = 1; i < argc && at + 8 < sizeof(control.command); i++) {
        if (i > 1)
            control.command[at++] = ' ';
        at += hawser_escape(argv[i], strlen(argv[i]), control.command + at,
                            sizeof(control.command) - at);
    }
}

int cli_control_start(hawser_client *client, int argc, char **argv, char *why)
{
    sigset_t all, before;
    int rc;

    control.place_fd = cli_control_place(true, why);
    if (control.place_fd < 0)
        return control.place_fd;
    control.listen_fd = cli_control_listen(control.place_fd, control.job);
    rc = control.listen_fd;
    control.end_fd = rc < 0 ? -1 : eventfd(0, EFD_CLOEXEC);
    if (rc >= 0 && control.end_fd < 0)
        rc = -errno;
    for (unsigned i = 0; i < GUESTS_MAX; i++)
        control.guests[i].fd = -1;
    control.client = client;
    control.progress = (hawser_progress){ 0 };
    control.opened = control.waits = control.paused = control.stopping = false;
    command_print(argc, argv);
    if (rc >= 0) {
        /* Signals are for the first thread. */
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = -pthread_create(&control.thread, NULL, control_run, NULL);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    control.running = rc == 0;
    if (rc == 0)
        return 0;
    (void)snprintf(why, CONTROL_WHY_SIZE, "%s", strerror(-rc));
    if (control.listen_fd >= 0)
        cli_control_forget(control.place_fd, control.job);
    control.job[0] = '\0';
    (void)close(control.listen_fd); /* -1, or nobody has come */
    (void)close(control.end_fd);
    (void)close(control.place_fd);
    return rc;
}

const char *cli_control_job(void)
{
    return control.job;
}

void cli_control_event(const hawser_event *event)
{
    (void)pthread_mutex_lock(&control.lock); /* default kind: cannot fail */
    switch (event->kind) {
    case HAWSER_EVENT_OPENED:
        control.opened = true;
        control.waits = false;
        break;
    case HAWSER_EVENT_PROGRESS:
        control.progress = *event->progress;
        break;
    case HAWSER_EVENT_RETRY:
        control.waits = true;
        break;
    case HAWSER_EVENT_STATE:
        control.stopping |= event->state == HAWSER_STATE_STOPPING;
        break;
    default:
        break;
    }
    (void)pthread_mutex_unlock(&control.lock);
}

void cli_control_stop(void)
{
    const uint64_t one = 1;

    if (!control.running)
        return;
    cli_control_forget(control.place_fd, control.job);
    if (write(control.end_fd, &one, sizeof(one)) == sizeof(one)) /* of an eventfd: always */
        (void)pthread_join(control.thread, NULL);
    control.running = false;
    (void)close(control.listen_fd);
    (void)close(control.end_fd);
    (void)close(control.place_fd);
}

/* ---- answers ---- */

static const char *state_word(void)
{
    if (control.stopping)
        return "stopping";
    if (control.paused)
        return "paused";
    return control.waits ? "waiting" : control.opened ? "running" : "starting";
}

static int status_print(char *buf, size_t size)
{
    const hawser_progress *progress = &control.progress;
    int length;

    (void)pthread_mutex_lock(&control.lock);
    length =
        snprintf(buf, size,
                 "ok\nstate %s\nbytes_done %llu\nbytes_seen %llu\nfiles_done %llu\n"
                 "files_seen %llu\nwalk_done %d\nelapsed_ns %llu\ncommand %s\n",
                 state_word(), (unsigned long long)progress->bytes_done,
                 (unsigned long long)progress->bytes_seen, (unsigned long long)progress->files_done,
                 (unsigned long long)progress->files_seen, progress->walk_done,
                 (unsigned long long)progress->elapsed_ns, control.command);
    (void)pthread_mutex_unlock(&control.lock);
    return length;
}

/* Do what @line says; an answer in @buf. */
static int line_do(const char *line, char *buf, size_t size)
{
    bool pause = strcmp(line, "pause") == 0, resume = strcmp(line, "resume") == 0;

    if (strcmp(line, "status") == 0)
        return status_print(buf, size);
    if (strcmp(line, "cancel") == 0) {
        hawser_cancel(control.client);
        (void)pthread_mutex_lock(&control.lock);
        control.stopping = true;
        (void)pthread_mutex_unlock(&control.lock);
    } else if (pause || resume) {
        if (pause)
            hawser_pause(control.client);
        else
            hawser_resume(control.client);
        (void)pthread_mutex_lock(&control.lock);
        control.paused = pause;
        (void)pthread_mutex_unlock(&control.lock);
    } else {
        return snprintf(buf, size, "error not a command\n");
    }
    return snprintf(buf, size, "ok\n");
}

/* ---- guests ---- */

static void guest_leave(struct guest *guest)
{
    (void)close(guest->fd); /* what it was told is in the kernel */
    guest->fd = -1;
}

static void guest_answer(struct guest *guest, const char *line)
{
    char answer[CONTROL_ANSWER_SIZE];
    int size = line_do(line, answer, sizeof(answer));

    /* A new socket takes more than that at once; who does not read is not waited for. */
    if (size > 0 && (size_t)size < sizeof(answer))
        (void)send(guest->fd, answer, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
    guest_leave(guest);
}

static void guest_read(struct guest *guest)
{
    ssize_t got =
        recv(guest->fd, guest->line + guest->size, sizeof(guest->line) - guest->size, MSG_DONTWAIT);
    char *end;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        guest_leave(guest);
        return;
    }
    guest->size += (size_t)got;
    end = memchr(guest->line, '\n', guest->size);
    if (end != NULL) {
        *end = '\0';
        guest_answer(guest, guest->line);
    } else if (guest->size == sizeof(guest->line)) {
        guest_answer(guest, "");
    }
}

static void guest_take(struct guest *guest)
{
    int fd = accept4(control.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            control.deaf_ms = now_ms() + DEAF_MS;
        return;
    }
    if (!cli_control_ours(fd, true)) {
        (void)close(fd);
        return;
    }
    if (guest->fd >= 0)
        guest_leave(guest); /* the oldest of those who have said nothing */
    *guest = (struct guest){ .fd = fd, .until_ms = now_ms() + GUEST_MS };
}

/* What to wait for, and for how long (ms; -1: for ever). Returns the place for another guest: a
 * free one, or that of the oldest; NULL: none is let in now. */
static struct guest *polls_fill(struct pollfd *polls, int *ret_wait_ms)
{
    int64_t now = now_ms(), wait = INT32_MAX;
    struct guest *place = NULL;

    polls[0] = (struct pollfd){ .fd = control.end_fd, .events = POLLIN };
    for (unsigned i = 0; i < GUESTS_MAX; i++) {
        struct guest *guest = &control.guests[i];

        if (guest->fd >= 0 && guest->until_ms <= now)
            guest_leave(guest);
        polls[2 + i] = (struct pollfd){ .fd = guest->fd, .events = POLLIN };
        if (guest->fd >= 0 && guest->until_ms - now < wait)
            wait = guest->until_ms - now;
        if (place == NULL ||
            (place->fd >= 0 && (guest->fd < 0 || guest->until_ms < place->until_ms)))
            place = guest;
    }
    if (control.deaf_ms > now) {
        place = NULL;
        wait = control.deaf_ms - now < wait ? control.deaf_ms - now : wait;
    }
    polls[1] = (struct pollfd){ .fd = place != NULL ? control.listen_fd : -1, .events = POLLIN };
    *ret_wait_ms = wait == INT32_MAX ? -1 : (int)wait;
    return place;
}

static void *control_run(void *context)
{
    struct pollfd polls[2 + GUESTS_MAX];

    for (;;) {
        int wait_ms;
        struct guest *place = polls_fill(polls, &wait_ms);

        if (poll(polls, 2 + GUESTS_MAX, wait_ms) < 0)
            continue; /* EINTR, ENOMEM: once more */
        if (polls[0].revents != 0)
            break;
        for (unsigned i = 0; i < GUESTS_MAX; i++)
            if (control.guests[i].fd >= 0 && polls[2 + i].revents != 0)
                guest_read(&control.guests[i]);
        if (place != NULL && polls[1].revents != 0)
            guest_take(place);
    }
    for (unsigned i = 0; i < GUESTS_MAX; i++)
        if (control.guests[i].fd >= 0)
            guest_leave(&control.guests[i]);
    return context;
}
