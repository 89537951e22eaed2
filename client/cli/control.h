/* Controlling a running job from another process of its user: every push, pull and verify has a
 * socket in a directory that only this user may enter.
 *
 *   asked:     one line: "status", "pause", "resume" or "cancel"
 *   answered:  "ok", and for status lines "NAME VALUE"; or "error WORDS"; then the end */
#ifndef HAWSER_CLI_CONTROL_H
#define HAWSER_CLI_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "client/cli/cli.h"

#define CONTROL_JOB_SIZE 24u /* of a job's name: its process's number, and -N if that is taken */
#define CONTROL_LINE_MAX 32u /* bytes of a question */
#define CONTROL_COMMAND_SIZE 2048u /* of the command line that is told; the rest is cut */
#define CONTROL_ANSWER_SIZE (CONTROL_COMMAND_SIZE + 1024u)
#define CONTROL_WHY_SIZE 512u

/* ---- control_place.c: where the sockets are ---- */

/** The directory of a job that starts here: $XDG_RUNTIME_DIR/hawser, or without such a directory of
 * ours /tmp/hawser-UID. It must be a directory, no link, of ours, that nobody else may enter: else
 * it is refused.
 * @param create  make it if it is missing
 * @param why     words about a failure, for CONTROL_WHY_SIZE bytes
 * @return a descriptor, or -errno; -ENOENT: there is none */
int cli_control_place(bool create, char *why);

#define CONTROL_PLACES_MAX 3u

/** Every directory in which a job of ours may listen, wherever it was started. */
struct cli_places {
    int fds[CONTROL_PLACES_MAX]; /* each checked like cli_control_place()'s, none twice */
    unsigned count;
    int rc; /* why that of cli_control_place() is not among them; 0 also if there is none */
    char why[CONTROL_WHY_SIZE]; /* words about `rc` */
};

/** Open what there is of $XDG_RUNTIME_DIR/hawser, /run/user/UID/hawser (a login's, seen from cron)
 * and /tmp/hawser-UID (cron's, seen from a login). */
void cli_control_places(struct cli_places *ret_places);
void cli_control_places_close(struct cli_places *places);

/** Could @name be a job's? Nothing else is ever looked up: digits, and perhaps -N. */
bool cli_control_is_job(const char *name);

/** A listening socket with a name that no job has.
 * @return a descriptor, or -errno */
int cli_control_listen(int place_fd, char ret_job[CONTROL_JOB_SIZE]);

/** Its name goes. */
void cli_control_forget(int place_fd, const char *job);

/** Connect to @job, which cli_control_is_job(). What nobody listens at any more is removed.
 * @return a descriptor; -ENOENT: no such job; -EPERM: that is not ours; -errno */
int cli_control_connect(int place_fd, const char *job);

/** Is the process at the other end ours, or (@root) root's? */
bool cli_control_ours(int fd, bool root);

/* ---- control.c: a running job answers ---- */

/** Listen from now on, on a thread of its own.
 * @param argv  the command line, borrowed for the call
 * @param why   as above
 * @return 0, or -errno: the job runs without */
int cli_control_start(hawser_client *client, int argc, char **argv, char *why);

/** What the job is called; "" before it listens. */
const char *cli_control_job(void);

/** Something happened in the job. Its threads. */
void cli_control_event(const hawser_event *event);

/** No more of it: before the client is closed. Harmless if it never listened. */
void cli_control_stop(void);

/* ---- jobs.c ---- */

struct cli_job {
    char name[CONTROL_JOB_SIZE];
    char state[16];
    uint64_t bytes_done, bytes_seen;
    uint64_t files_done, files_seen;
    uint64_t elapsed_ns;
    bool walk_done;
    char command[CONTROL_COMMAND_SIZE];
};

/** Read the answer to "status"; false: it is none. Changes @answer. */
bool cli_job_read(char *answer, struct cli_job *ret_job);

/** One line of `hawser jobs --json` (json.c). */
void cli_json_job(const struct cli_job *job);

/** Is @name "jobs", "pause", "resume" or "cancel"? */
bool cli_jobs_verb(const char *name);

/** hawser jobs, pause, resume, cancel: all of it. @return the exit code */
int cli_jobs(int argc, char **argv);

#endif
