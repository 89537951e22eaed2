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

/* What may be a job, by its name: a socket in one of the places. */
struct name {
    int place_fd; /* borrowed */
    char job[CONTROL_JOB_SIZE];
};

struct names {
    struct name *items;
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
    const struct name *x = a, *y = b;
    long m = strtol(x->job, NULL, 10), n = strtol(y->job, NULL, 10);

    return m != n ? (m < n ? -1 : 1) : strcmp(x->job, y->job);
}

/* Add the names in one directory that could be jobs'; 0 or -errno. */
static int place_read(int place_fd, struct names *names)
{
    int fd = fcntl(place_fd, F_DUPFD_CLOEXEC, 0);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (dir == NULL) {
        int rc = -errno;

        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    rewinddir(dir); /* the copy shares its offset with @place_fd */
    while (names->count < JOBS_MAX && (entry = readdir(dir)) != NULL) {
        struct name *name = &names->items[names->count];

        if (!cli_control_is_job(entry->d_name))
            continue;
        name->place_fd = place_fd;
        memcpy(name->job, entry->d_name, strlen(entry->d_name) + 1); /* it fits: it is a job's */
        names->count++;
    }
    (void)closedir(dir);
    return 0;
}

/* Those of all places, in order; 0 or -errno. */
static int names_read(const struct cli_places *places, struct names *ret_names)
{
    int rc = 0;

    *ret_names = (struct names){ .items = calloc(JOBS_MAX, sizeof(ret_names->items[0])) };
    if (ret_names->items == NULL)
        return -ENOMEM;
    for (unsigned i = 0; rc == 0 && i < places->count; i++)
        rc = place_read(places->fds[i], ret_names);
    qsort(ret_names->items, ret_names->count, sizeof(ret_names->items[0]), name_compare);
    return rc;
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

static int jobs_list(const struct cli_places *places, bool json)
{
    struct names names;
    int rc = names_read(places, &names);
    size_t shown = 0;
    bool failed = rc < 0;

    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        const struct name *name = &names.items[i];
        struct cli_job job;
        int one = job_look(name->place_fd, name->job, &job);

        if (one == -ENOENT)
            continue; /* it has just ended, or was killed */
        if (one < 0) {
            fprintf(stderr, "hawser: job %s does not answer: %s\n", name->job, strerror(-one));
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
    free(names.items);
    if (rc < 0)
        fprintf(stderr, "hawser: cannot list jobs: %s\n", strerror(-rc));
    return failed ? CLI_EXIT_PARTIAL : CLI_EXIT_OK;
}

/* The only job that runs, when none is named. False: there is none, or more; that was said. */
static bool job_only(const struct cli_places *places, const struct verb *verb,
                     struct name *ret_name)
{
    struct names names;
    struct cli_job job;
    size_t count = 0;
    int rc = names_read(places, &names);

    for (size_t i = 0; rc == 0 && i < names.count; i++)
        if (job_look(names.items[i].place_fd, names.items[i].job, &job) == 0 && count++ == 0)
            *ret_name = names.items[i];
    free(names.items);
    if (rc < 0)
        fprintf(stderr, "hawser: cannot list jobs: %s\n", strerror(-rc));
    else if (count == 0)
        fprintf(stderr, "hawser: no transfer of yours runs here\n");
    else if (count > 1)
        fprintf(stderr, "hawser: %zu transfers run: say which to %s (see hawser jobs)\n", count,
                verb->name);
    return count == 1;
}

/* The job called @job, in whatever place. False: there is none, or (jobs of containers that share a
 * place of ours) more than one; that was said. */
static bool job_named(const struct cli_places *places, const char *job, struct name *ret_name)
{
    struct cli_job seen;
    unsigned count = 0;

    for (unsigned i = 0; i < places->count; i++)
        if (job_look(places->fds[i], job, &seen) != -ENOENT && count++ == 0) {
            ret_name->place_fd = places->fds[i];
            (void)snprintf(ret_name->job, sizeof(ret_name->job), "%s", job); /* it fits */
        }
    if (count == 0)
        fprintf(stderr, "hawser: there is no job %s (see hawser jobs)\n", job);
    else if (count > 1)
        fprintf(stderr, "hawser: %u jobs are called %s: neither was told anything\n", count, job);
    return count == 1;
}

static int job_tell(const struct cli_places *places, const struct verb *verb, const char *job)
{
    char answer[CONTROL_ANSWER_SIZE];
    struct name name;
    int rc;

    if (!(job == NULL ? job_only(places, verb, &name) : job_named(places, job, &name)))
        return CLI_EXIT_PARTIAL;
    rc = job_ask(name.place_fd, name.job, verb->name, answer, sizeof(answer));
    if (rc == -ENOENT)
        fprintf(stderr, "hawser: there is no job %s (see hawser jobs)\n", name.job);
    else if (rc < 0)
        fprintf(stderr, "hawser: job %s does not answer: %s\n", name.job, strerror(-rc));
    else
        printf("job %s: %s\n", name.job, verb->done);
    return rc < 0 ? CLI_EXIT_PARTIAL : CLI_EXIT_OK;
}

int cli_jobs(int argc, char **argv)
{
    static const struct option longs[] = { { "json", no_argument, NULL, 'j' },
                                           { "help", no_argument, NULL, 'h' },
                                           { NULL, 0, NULL, 0 } };
    const struct verb *verb = verb_find(argv[0]);
    struct cli_places places;
    bool list = verb->done == NULL, json = false;
    int option, code;

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
    cli_control_places(&places);
    if (places.rc < 0)
        fprintf(stderr, "hawser: %s\n", places.why);
    code = list ? jobs_list(&places, json)
                : job_tell(&places, verb, optind < argc ? argv[optind] : NULL);
    cli_control_places_close(&places);
    return places.rc < 0 && list ? CLI_EXIT_PARTIAL : code;
}
