/* See control.h. Nothing here follows a link that somebody else could have made: the directory is
 * checked when it is open, and names are looked up in it alone. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/cli/control.h"

#define JOBS_SAME_MAX 8u /* processes with one number: of containers that share the directory */
#define BACKLOG 64
#define PATH_SIZE 4096 /* of a place; a longer XDG_RUNTIME_DIR is as good as none */
#define WAIT_S 2 /* for a job to answer */

enum place {
    PLACE_RUNTIME, /* of this environment */
    PLACE_LOGIN, /* as logind names it */
    PLACE_TEMP, /* of jobs that have neither */
    PLACE_COUNT
};

_Static_assert((unsigned)PLACE_COUNT == CONTROL_PLACES_MAX, "each has a descriptor");

/* Where it would be. False: there is no such place in this environment. */
static bool place_path(enum place place, char path[PATH_SIZE])
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct stat st;
    int size = -1;

    switch (place) {
    case PLACE_RUNTIME: /* after su(1) it may be another user's: not for us */
        if (runtime != NULL && runtime[0] == '/' && access(runtime, X_OK) == 0 &&
            fstatat(AT_FDCWD, runtime, &st, 0) == 0 && st.st_uid == geteuid())
            size = snprintf(path, PATH_SIZE, "%s/hawser", runtime);
        break;
    case PLACE_LOGIN:
        size = snprintf(path, PATH_SIZE, "/run/user/%u/hawser", (unsigned)geteuid());
        break;
    case PLACE_TEMP:
    case PLACE_COUNT:
        size = snprintf(path, PATH_SIZE, "/tmp/hawser-%u", (unsigned)geteuid());
        break;
    }
    return size >= 0 && size < PATH_SIZE;
}

static int place_open(const char *path, bool create, char *why)
{
    struct stat st;
    int fd;

    if (create)
        (void)mkdir(path, 0700); /* there already, or not: open(2) tells */
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        int rc = -errno;

        (void)snprintf(why, CONTROL_WHY_SIZE, "%.*s: %s", 256, path, strerror(-rc));
        return rc;
    }
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) == 0)
        return fd;
    (void)close(fd); /* nothing was done with it */
    (void)snprintf(why, CONTROL_WHY_SIZE, "%.*s: must belong to you, and nobody else may enter it",
                   256, path);
    return -EPERM;
}

int cli_control_place(bool create, char *why)
{
    char path[PATH_SIZE];

    if (!place_path(PLACE_RUNTIME, path))
        (void)place_path(PLACE_TEMP, path); /* there is always one */
    return place_open(path, create, why);
}

/* Is @fd a directory that is open already? */
static bool place_known(const struct cli_places *places, int fd)
{
    struct stat st, other;

    for (unsigned i = 0; i < places->count; i++)
        if (fstat(fd, &st) == 0 && fstat(places->fds[i], &other) == 0 &&
            st.st_dev == other.st_dev && st.st_ino == other.st_ino)
            return true;
    return false;
}

/* A place of another environment that is refused holds nothing of ours: its jobs were refused it,
 * too. So only that of this one is told. */
void cli_control_places(struct cli_places *ret_places)
{
    char path[PATH_SIZE], why[CONTROL_WHY_SIZE];
    enum place own = place_path(PLACE_RUNTIME, path) ? PLACE_RUNTIME : PLACE_TEMP;

    *ret_places = (struct cli_places){ 0 };
    for (enum place place = 0; place < PLACE_COUNT; place++) {
        int fd = place_path(place, path) ? place_open(path, false, why) : -ENOENT;

        if (fd >= 0 && !place_known(ret_places, fd)) {
            ret_places->fds[ret_places->count++] = fd;
        } else if (fd >= 0) {
            (void)close(fd); /* the same one */
        } else if (place == own && fd != -ENOENT) {
            ret_places->rc = fd;
            memcpy(ret_places->why, why, sizeof(why));
        }
    }
}

void cli_control_places_close(struct cli_places *places)
{
    while (places->count > 0)
        (void)close(places->fds[--places->count]); /* they were only read */
}

bool cli_control_is_job(const char *name)
{
    size_t digits = strspn(name, "0123456789");

    if (digits == 0 || strlen(name) >= CONTROL_JOB_SIZE)
        return false;
    if (name[digits] == '\0')
        return true;
    return name[digits] == '-' && isdigit((unsigned char)name[digits + 1]) &&
           name[digits + 2] == '\0';
}

/* An address is short; a directory need not be. */
static void address_make(int place_fd, const char *name, struct sockaddr_un *ret_address)
{
    *ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    (void)snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/proc/self/fd/%d/%s",
                   place_fd, name); /* fits: names have CONTROL_JOB_SIZE bytes at most */
}

/* It listens before it can be found: what is found and does not listen is left over. */
int cli_control_listen(int place_fd, char ret_job[CONTROL_JOB_SIZE])
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;
    char temp[CONTROL_JOB_SIZE];
    int rc = -EEXIST;

    if (fd < 0)
        return -errno;
    (void)snprintf(temp, sizeof(temp), ".%d", (int)getpid());
    address_make(place_fd, temp, &address);
    (void)unlinkat(place_fd, temp, 0); /* of a process that had our number and was killed here */
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0) {
        rc = -errno;
        (void)unlinkat(place_fd, temp, 0);
        (void)close(fd);
        return rc;
    }
    for (unsigned i = 0; i < JOBS_SAME_MAX && rc == -EEXIST; i++) {
        int other;

        (void)snprintf(ret_job, CONTROL_JOB_SIZE, i == 0 ? "%d" : "%d-%u", (int)getpid(), i);
        other = cli_control_connect(place_fd, ret_job); /* removes what is left over */
        if (other >= 0)
            (void)close(other); /* it only wanted to know */
        rc = renameat2(place_fd, temp, place_fd, ret_job, RENAME_NOREPLACE) == 0 ? 0 : -errno;
    }
    if (rc == 0)
        return fd;
    (void)unlinkat(place_fd, temp, 0);
    (void)close(fd);
    return rc;
}

void cli_control_forget(int place_fd, const char *job)
{
    (void)unlinkat(place_fd, job, 0); /* gone already is as good */
}

int cli_control_connect(int place_fd, const char *job)
{
    const struct timeval wait = { .tv_sec = WAIT_S };
    struct sockaddr_un address;
    struct stat st;
    int fd, rc;

    if (!cli_control_is_job(job) || fstatat(place_fd, job, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISSOCK(st.st_mode))
        return -ENOENT;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* Cannot fail: these are sockets. */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)); /* of connect(2), too */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    address_make(place_fd, job, &address);
    rc = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    if (rc == 0 && !cli_control_ours(fd, false))
        rc = -EPERM;
    if (rc == 0)
        return fd;
    (void)close(fd); /* nothing was said */
    if (rc != -ECONNREFUSED)
        return rc;
    cli_control_forget(place_fd, job); /* its process was killed */
    return -ENOENT;
}

bool cli_control_ours(int fd, bool root)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || (root && peer.uid == 0));
}
