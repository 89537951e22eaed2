/* Goal: a running job answers its user and nobody else, whatever comes on its socket; and what is
 * not a place of his own alone is refused. Method: the real socket of a job without a client, in a
 * directory of the test. */
#include "client/cli/control.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/hsr_test.h"

#define GUESTS 100u

static char runtime[64];
static char why[CONTROL_WHY_SIZE];

static void in_runtime(const char *name, char path[256])
{
    (void)snprintf(path, 256, "%s/%s", runtime, name);
}

static void fixture_init(void)
{
    (void)snprintf(runtime, sizeof(runtime), "/tmp/test_control.XXXXXX");
    CHECK(mkdtemp(runtime) != NULL);
    CHECK_EQ(setenv("XDG_RUNTIME_DIR", runtime, 1), 0);
}

static void fixture_fini(void)
{
    char path[256];

    in_runtime("hawser", path);
    CHECK_EQ(rmdir(path), 0); /* nothing is left in it */
    CHECK_EQ(rmdir(runtime), 0);
}

static int job_start(void)
{
    static char *argv[] = { (char *)"hawser", (char *)"push", (char *)"a\nb\033", (char *)"c",
                            NULL };

    return cli_control_start(NULL, 4, argv, why);
}

static int job_connect(void)
{
    int place = cli_control_place(false, why), fd;

    CHECK(place >= 0);
    fd = cli_control_connect(place, cli_control_job());
    CHECK_EQ(close(place), 0);
    return fd;
}

/* Say @size bytes of @text, read all that comes; returns its size. */
static size_t job_say(const char *text, size_t size, char answer[CONTROL_ANSWER_SIZE])
{
    int fd = job_connect();
    size_t have = 0;
    ssize_t got = 1;

    CHECK(fd >= 0);
    CHECK_EQ(send(fd, text, size, MSG_NOSIGNAL), size);
    while (got > 0 && have < CONTROL_ANSWER_SIZE - 1) {
        got = recv(fd, answer + have, CONTROL_ANSWER_SIZE - 1 - have, 0);
        have += got > 0 ? (size_t)got : 0;
    }
    answer[have] = '\0';
    CHECK_EQ(close(fd), 0);
    return have;
}

static void expect_state(const char *state)
{
    struct cli_job job = { 0 };
    char answer[CONTROL_ANSWER_SIZE];

    CHECK(job_say("status\n", 7, answer) > 0);
    CHECK(cli_job_read(answer, &job));
    CHECK(strcmp(job.state, state) == 0);
}

/* Goal: only a directory of ours that nobody else may enter will do, and no link to one. */
static void test_place_is_ours_alone(void)
{
    char path[256], other[256];
    int fd;

    fixture_init();
    in_runtime("hawser", path);
    in_runtime("other", other);
    CHECK_EQ(cli_control_place(false, why), -ENOENT);
    fd = cli_control_place(true, why);
    CHECK(fd >= 0);
    CHECK_EQ(close(fd), 0);
    for (int bit = 0; bit < 6; bit++) { /* of the group, and of others */
        CHECK_EQ(chmod(path, (mode_t)(0700 | 1 << bit)), 0);
        CHECK_EQ(cli_control_place(true, why), -EPERM);
        CHECK(strstr(why, path) != NULL);
    }
    CHECK_EQ(chmod(path, 0700), 0);
    if (geteuid() == 0) {
        CHECK_EQ(chown(path, 65534, 65534), 0);
        CHECK_EQ(cli_control_place(true, why), -EPERM);
        CHECK_EQ(chown(path, 0, 0), 0);
    }
    CHECK_EQ(rename(path, other), 0);
    CHECK_EQ(symlink(other, path), 0);
    CHECK(cli_control_place(true, why) < 0);
    CHECK_EQ(unlink(path), 0);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(cli_control_place(true, why), -ENOTDIR);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(rename(other, path), 0);
    fixture_fini();
}

/* Goal: names that are paths, options or anything but a job's are none. */
static void test_names(void)
{
    static const char *const bad[] = { "",
                                       ".",
                                       "..",
                                       "/",
                                       "../1",
                                       "1/../2",
                                       "/tmp/1",
                                       ".1",
                                       "-1",
                                       "1-",
                                       "1-x",
                                       "1-12",
                                       "1 ",
                                       " 1",
                                       "1a",
                                       "a",
                                       "+1",
                                       "1.sock",
                                       "123456789012345678901234" };

    CHECK(cli_control_is_job("1"));
    CHECK(cli_control_is_job("4194304"));
    CHECK(cli_control_is_job("4194304-3"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(!cli_control_is_job(bad[i]));
        CHECK_EQ(cli_control_connect(AT_FDCWD, bad[i]), -ENOENT);
    }
}

/* Goal: it says what it does, and does what it is told; words of the command line stay on it. */
static void test_job_answers(void)
{
    const hawser_progress progress = { .bytes_done = 7, .bytes_seen = 9, .walk_done = true };
    struct cli_job job = { 0 };
    char answer[CONTROL_ANSWER_SIZE];

    fixture_init();
    CHECK_EQ(job_start(), 0);
    CHECK(cli_control_is_job(cli_control_job()));
    CHECK(job_say("status\n", 7, answer) > 0);
    CHECK(cli_job_read(answer, &job));
    CHECK(strcmp(job.state, "starting") == 0);
    CHECK(strcmp(job.command, "push a\\x0ab\\x1b c") == 0);
    cli_control_event(&(hawser_event){ .kind = HAWSER_EVENT_OPENED });
    cli_control_event(&(hawser_event){ .kind = HAWSER_EVENT_PROGRESS, .progress = &progress });
    expect_state("running");
    cli_control_event(&(hawser_event){ .kind = HAWSER_EVENT_RETRY });
    expect_state("waiting");
    CHECK(job_say("pause\n", 6, answer) > 0);
    CHECK(strcmp(answer, "ok\n") == 0);
    expect_state("paused");
    cli_control_event(&(hawser_event){ .kind = HAWSER_EVENT_OPENED });
    CHECK(job_say("resume\n", 7, answer) > 0);
    CHECK(job_say("status\n", 7, answer) > 0);
    CHECK(cli_job_read(answer, &job));
    CHECK(strcmp(job.state, "running") == 0);
    CHECK(job.bytes_done == 7 && job.bytes_seen == 9 && job.walk_done);
    CHECK(job_say("cancel\n", 7, answer) > 0);
    expect_state("stopping");
    cli_control_stop();
    fixture_fini();
}

/* Goal: garbage, lines without an end and guests who say nothing change nothing, and keep nobody
 * waiting, not even a hundred of them at once. */
static void test_job_bears_guests(void)
{
    static const struct {
        const char *text;
        size_t size;
    } garbage[] = { { "\n", 1 },         { "status", 6 },          { "STATUS\n", 7 },
                    { "status\0\n", 8 }, { "cancel me\n", 10 },    { "\0\0\0\n", 4 },
                    { "pause\r\n", 7 },  { "statusstatus\n", 13 }, { "../../etc/passwd\n", 17 } };
    char answer[CONTROL_ANSWER_SIZE], large[4096];
    struct timespec begin, end;
    int fds[GUESTS];
    long took_ms;

    fixture_init();
    CHECK_EQ(job_start(), 0);
    cli_control_event(&(hawser_event){ .kind = HAWSER_EVENT_OPENED });
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        size_t got = job_say(garbage[i].text, garbage[i].size, answer);

        CHECK(got == 0 || strncmp(answer, "error ", 6) == 0 || i == 3); /* a NUL ends a word */
    }
    memset(large, 'x', sizeof(large));
    CHECK(job_say(large, sizeof(large), answer) == 0 || strncmp(answer, "error ", 6) == 0);
    expect_state("running");
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    for (unsigned i = 0; i < GUESTS; i++) { /* more than are heard at once, half of them silent */
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/hawser/%s", runtime,
                       cli_control_job());
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(fds[i], (struct sockaddr *)&address, sizeof(address)) == 0 && i % 2 == 0)
            (void)send(fds[i], "status\n", 7, MSG_NOSIGNAL);
    }
    expect_state("running"); /* at once: it does not wait for those who are silent */
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    took_ms = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
    CHECK(took_ms < 2500); /* the patience with one is a second: with all, it would be three */
    for (unsigned i = 0; i < GUESTS; i++)
        CHECK_EQ(close(fds[i]), 0);
    cli_control_stop();
    fixture_fini();
}

/* Goal: what a job that was killed left is removed, and what another one listens at is not. */
static void test_leftovers(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char job[CONTROL_JOB_SIZE], other[CONTROL_JOB_SIZE], path[256];
    int place, left, fd, second;

    fixture_init();
    place = cli_control_place(true, why);
    left = cli_control_listen(place, job);
    CHECK(left >= 0);
    CHECK_EQ(close(left), 0); /* its name stays */
    fd = cli_control_listen(place, other);
    CHECK(fd >= 0);
    CHECK(strcmp(job, other) == 0); /* the name was free again */
    second = cli_control_listen(place, other);
    CHECK(second >= 0 && strcmp(job, other) != 0); /* and now it is not */
    CHECK_EQ(close(second), 0);
    CHECK_EQ(cli_control_connect(place, other), -ENOENT);
    in_runtime("hawser", path);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%.60s/%s", path, other);
    CHECK_EQ(access(address.sun_path, F_OK), -1);
    CHECK_EQ(symlink(job, address.sun_path), 0); /* a link to one that listens is no job */
    CHECK_EQ(cli_control_connect(place, other), -ENOENT);
    CHECK_EQ(unlink(address.sun_path), 0);
    cli_control_forget(place, job);
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(close(place), 0);
    fixture_fini();
}

/* Goal: an answer that is none is not believed. */
static void test_answers(void)
{
    static const char *const bad[] = { "",
                                       "ok",
                                       "no\nstate running\n",
                                       "ok\nstate\n",
                                       "ok\nbytes_done 1\n",
                                       "ok\nstate running\nbytes_done -1\n",
                                       "ok\nstate running\nbytes_done 99999999999999999999\n",
                                       "ok\nstate running\nwalk_done 2\n",
                                       "error ok\nstate running\n" };
    struct cli_job job = { 0 };
    char text[256];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        job = (struct cli_job){ 0 };
        (void)snprintf(text, sizeof(text), "%s", bad[i]);
        CHECK(!cli_job_read(text, &job));
    }
    job = (struct cli_job){ 0 };
    (void)snprintf(text, sizeof(text), "ok\nstate running\nlater 5\ncommand push a b\n");
    CHECK(cli_job_read(text, &job));
    CHECK(strcmp(job.command, "push a b") == 0);
}

int main(void)
{
    RUN(test_place_is_ours_alone);
    RUN(test_names);
    RUN(test_job_answers);
    RUN(test_job_bears_guests);
    RUN(test_leftovers);
    RUN(test_answers);
    TEST_END();
}
