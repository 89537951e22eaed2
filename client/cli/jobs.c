/* hawser jobs, pause, resume, cancel: talks to the jobs of this user (control.h). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/cli/control.h"

#define JOBS_MAX 1024u /* that are looked at */

struct verb {
    const char *name;
    const char *done; /* what the job does from then on */
    const char *help;
};

static const struct verb verbs[] = {
    { "jobs", NULL, "List the transfers of yours that run on this machine" },
    { "pause", "paused", "Hold a transfer up: nothing new is read or sent until `hawser resume`" },
    { "resume", "going on", "Let a paused transfer go on" },
    { "cancel", "stopping", "End a transfer as Ctrl-C does: what is on its way arrives first" },
};

struct names {
    char (*names)[CONTROL_JOB_SIZE];
    size_t count;
};

static const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

bool cli_jobs_verb(const char *name)
{
    return verb_find(name) != NULL;
}

static void help_print(const struct verb *verb)
{
    bool list = verb->done == NULL;

    printf("usage: hawser %s [OPTIONS]%s\n\n%s.\n\n", verb->name, list ? "" : " [JOB]", verb->help);
    if (!list)
        printf("JOB is a number that `hawser jobs` prints; it may be left out when one runs.\n\n");
    printf("options:\n");
    if (list)
        printf("      --json                 one JSON object a line\n");
    printf("      --help                 print this\n");
    printf("\nexit: 0 done; 1 no such job, or it did not answer; 2 usage\n");
}

/* ---- one job ---- */

/* Ask @line; the answer goes to @buf, with a NUL. 0 or -errno; -EPROTO: it refused. */
static int job_ask(int place_fd, const char *job, const char *line, char *buf, size_t size)
{
    int fd = cli_control_connect(place_fd, job);
    char text[CONTROL_LINE_MAX];
    size_t have = 0;
    ssize_t got = 1;
    int rc = 0;

    if (fd < 0)
        return fd;
    (void)snprintf(text, sizeof(text), "%s\n", line); /* ours are short */
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        rc = -errno;
    while (rc == 0 && got > 0 && have + 1 < size) {
        got = recv(fd, buf + have, size - 1 - have, 0);
        if (got < 0)
            rc = errno == EAGAIN ? -ETIMEDOUT : -errno;
        else
            have += (size_t)got;
    }
    (void)close(fd);
    buf[have] = '\0';
    if (rc == 0 && strncmp(buf, "ok\n", 3) != 0)
        rc = -EPROTO;
    return rc;
}

static bool field_read(struct cli_job *job, const char *name, const char *value)
{
    const struct {
        const char *name;
        uint64_t *value;
    } numbers[] = { { "bytes_done", &job->bytes_done },
                    { "bytes_seen", &job->bytes_seen },
                    { "files_done", &job->files_done },
                    { "files_seen", &job->files_seen },
                    { "elapsed_ns", &job->elapsed_ns } };
    uint64_t flag = 0;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (strcmp(name, numbers[i].name) == 0)
            return cli_number_parse(value, 0, UINT64_MAX, numbers[i].value);
    if (strcmp(name, "walk_done") == 0) {
        if (!cli_number_parse(value, 0, 1, &flag))
            return false;
        job->walk_done = flag != 0;
    } else if (strcmp(name, "state") == 0) {
        hawser_escape(value, strlen(value), job->state, sizeof(job->state));
    } else if (strcmp(name, "command") == 0) {
        (void)snprintf(job->command, sizeof(job->command), "%s", value); /* it was escaped there */
    }
    return true; /* of a newer program */
}

bool cli_job_read(char *answer, struct cli_job *ret_job)
{
    char *save = NULL;
    char *line = strtok_r(answer, "\n", &save);

    if (line == NULL || strcmp(line, "ok") != 0)
        return false;
    for (line = strtok_r(NULL, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char *space = strchr(line, ' ');

        if (space == NULL)
            return false;
        *space = '\0';
        if (!field_read(ret_job, line, space + 1))
            return false;
    }
    return ret_job->state[0] != '\0';
}

static int job_look(int place_fd, const char *name, struct cli_job *ret_job)
{
    char answer[CONTROL_ANSWER_SIZE];
    int rc = job_ask(place_fd, name, "status", answer, sizeof(answer));

    if (rc < 0)
        return rc;
    *ret_job = (struct cli_job){ 0 };
    (void)snprintf(ret_job->name, sizeof(ret_job->name), "%s", name);
    return cli_job_read(answer, ret_job) ? 0 : -EPROTO;
}

/* ---- all of them ---- */

static int name_compare(const void *a, const void *b)
{
    long x = strtol(a, NULL, 10), y = strtol(b, NULL, 10);

    return x != y ? (x < y ? -1 : 1) : strcmp(a, b);
}

/* Names in the directory that could be jobs'; -errno. */
static int names_read(int place_fd, struct names *ret_names)
{
    int fd = fcntl(place_fd, F_DUPFD_CLOEXEC, 0);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    *ret_names = (struct names){ 0 };
    if (dir == NULL) {
        int rc = -errno;

        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    ret_names->names = calloc(JOBS_MAX, sizeof(ret_names->names[0]));
    while (ret_names->names != NULL && ret_names->count < JOBS_MAX &&
           (entry = readdir(dir)) != NULL)
        if (cli_control_is_job(entry->d_name))
            memcpy(ret_names->names[ret_names->count++], entry->d_name,
                   strlen(entry->d_name) + 1); /* it fits: it is a job's */
    (void)closedir(dir);
    if (ret_names->names == NULL)
        return -ENOMEM;
    qsort(ret_names->names, ret_names->count, sizeof(ret_names->names[0]), name_compare);
    return 0;
}

static void job_print(const struct cli_job *job)
{
    char done[32], seen[32], progress[80];

    (void)snprintf(progress, sizeof(progress), "%s of %s%s",
                   cli_bytes_print((double)job->bytes_done, done, sizeof(done)),
                   cli_bytes_print((double)job->bytes_seen, seen, sizeof(seen)),
                   job->walk_done ? "" : "+");
    printf("%-8s %-9s %-24s hawser %s\n", job->name, job->state, progress, job->command);
}

static int jobs_list(int place_fd, bool json)
{
    struct names names;
    int rc = names_read(place_fd, &names);
    size_t shown = 0;
    bool failed = rc < 0;

    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        struct cli_job job;
        int one = job_look(place_fd, names.names[i], &job);

        if (one == -ENOENT)
            continue; /* it has just ended, or was killed */
        if (one < 0) {
            fprintf(stderr, "hawser: job %s does not answer: %s\n", names.names[i], strerror(-one));
            failed = true;
            continue;
        }
        if (json)
            cli_json_job(&job);
        else if (shown == 0)
            printf("%-8s %-9s %-24s %s\n", "JOB", "STATE", "DONE", "COMMAND");
        if (!json)
            job_print(&job);
        shown++;
    }
    free(names.names);
    if (rc < 0)
        fprintf(stderr, "hawser: cannot list jobs: %s\n", strerror(-rc));
    return failed ? CLI_EXIT_PARTIAL : CLI_EXIT_OK;
}

/* The only job that runs, when none is named. False: there is none, or more; that was said. */
static bool job_only(int place_fd, const struct verb *verb, char ret_name[CONTROL_JOB_SIZE])
{
    struct names names;
    struct cli_job job;
    size_t count = 0;

    if (names_read(place_fd, &names) < 0)
        names.count = 0;
    for (size_t i = 0; i < names.count; i++)
        if (job_look(place_fd, names.names[i], &job) == 0 && count++ == 0)
            memcpy(ret_name, job.name, CONTROL_JOB_SIZE);
    free(names.names);
    if (count == 0)
        fprintf(stderr, "hawser: no transfer of yours runs here\n");
    else if (count > 1)
        fprintf(stderr, "hawser: %zu transfers run: say which to %s (see hawser jobs)\n", count,
                verb->name);
    return count == 1;
}

static int job_tell(int place_fd, const struct verb *verb, const char *name)
{
    char answer[CONTROL_ANSWER_SIZE], only[CONTROL_JOB_SIZE];
    int rc;

    if (name == NULL) {
        if (!job_only(place_fd, verb, only))
            return CLI_EXIT_PARTIAL;
        name = only;
    }
    rc = job_ask(place_fd, name, verb->name, answer, sizeof(answer));
    if (rc == -ENOENT)
        fprintf(stderr, "hawser: there is no job %s (see hawser jobs)\n", name);
    else if (rc < 0)
        fprintf(stderr, "hawser: job %s does not answer: %s\n", name, strerror(-rc));
    else
        printf("job %s: %s\n", name, verb->done);
    return rc < 0 ? CLI_EXIT_PARTIAL : CLI_EXIT_OK;
}

int cli_jobs(int argc, char **argv)
{
    static const struct option longs[] = { { "json", no_argument, NULL, 'j' },
                                           { "help", no_argument, NULL, 'h' },
                                           { NULL, 0, NULL, 0 } };
    const struct verb *verb = verb_find(argv[0]);
    char why[CONTROL_WHY_SIZE];
    bool list = verb->done == NULL, json = false;
    int place_fd, option, code;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (option == 'h') {
            help_print(verb);
            return CLI_EXIT_OK;
        }
        if (option != 'j' || !list)
            return cli_usage("%s: there is no option %s", verb->name, argv[optind - 1]);
        json = true;
    }
    if (argc - optind > (list ? 0 : 1))
        return cli_usage("%s takes %s", verb->name, list ? "no arguments" : "one job");
    if (optind < argc && !cli_control_is_job(argv[optind]))
        return cli_usage("%s: \"%s\" is no job: a number that hawser jobs prints", verb->name,
                         argv[optind]);
    place_fd = cli_control_place(false, why);
    if (place_fd == -ENOENT && list)
        return CLI_EXIT_OK; /* nothing ever ran here */
    if (place_fd == -ENOENT) {
        fprintf(stderr, "hawser: no transfer of yours runs here\n");
        return CLI_EXIT_PARTIAL;
    }
    if (place_fd < 0) {
        fprintf(stderr, "hawser: %s\n", why);
        return CLI_EXIT_PARTIAL;
    }
    code = list ? jobs_list(place_fd, json)
                : job_tell(place_fd, verb, optind < argc ? argv[optind] : NULL);
    (void)close(place_fd);
    return code;
}
