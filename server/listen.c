/* Listening sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/server.h"

#define LISTEN_BACKLOG                                                                             \
    1024 /* a burst of clients with 64 streams each; the kernel cuts it to somaxconn */

/* A server that was killed may hold its port for a moment: the kernel ends what its rings had
 * armed, an accept too, after the process is gone. */
#define LISTEN_TRIES 50
#define LISTEN_PAUSE_US 20000 /* a second in all */

char *address_print(const struct sockaddr *address)
{
    char host[INET6_ADDRSTRLEN] = "", *text;
    bool v6 = address->sa_family == AF_INET6;
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;

    if (inet_ntop(address->sa_family,
                  v6 ? (const void *)&in6->sin6_addr : (const void *)&in->sin_addr, host,
                  sizeof(host)) == NULL)
        return NULL;
    if (asprintf(&text, "%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "",
                 ntohs(v6 ? in6->sin6_port : in->sin_port)) < 0)
        return NULL;
    return text;
}

static int listener_bind(int fd, const struct config_listener *listener)
{
    const struct sockaddr *address = (const struct sockaddr *)&listener->address;

    for (unsigned i = 1; bind(fd, address, listener->address_size) < 0; i++) {
        if (errno != EADDRINUSE || i == LISTEN_TRIES)
            return -1;
        (void)usleep(LISTEN_PAUSE_US); /* shorter after a signal: tried the sooner */
    }
    return 0;
}

int listener_open(const struct config_listener *listener, char **ret_text,
                  char why[CONFIG_WHY_SIZE])
{
    const struct sockaddr *address = (const struct sockaddr *)&listener->address;
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    const char *what = "socket";
    int fd, on = 1, rc;

    fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        goto fail;
    what = "setsockopt";
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        goto fail;
    if (address->sa_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        goto fail;
    what = "cannot listen here";
    if (listener_bind(fd, listener) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
        goto fail;
    if (getsockname(fd, (struct sockaddr *)&bound, &size) < 0)
        goto fail;
    *ret_text = address_print((const struct sockaddr *)&bound);
    if (*ret_text != NULL)
        return fd;
    errno = ENOMEM;

fail:
    rc = -errno;
    (void)snprintf(why, CONFIG_WHY_SIZE, "%s: %s: %s", listener->text, what, hsr_err_text(rc));
    if (fd >= 0)
        (void)close(fd); /* nothing was sent on it */
    return rc;
}
