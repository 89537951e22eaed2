/* The first signal ends what runs in good order, which takes some moments; a second one, the
 * process. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "client/cli/cli.h"

static hawser_client *volatile running;
static volatile sig_atomic_t interrupts;

static void interrupted(int signal_number)
{
    int saved = errno;

    (void)signal_number;
    if (interrupts++ > 0)
        _exit(CLI_EXIT_INTERRUPTED);
    hawser_cancel(running);
    errno = saved;
}

void cli_signals(void)
{
    struct sigaction action = { .sa_handler = interrupted };

    /* These cannot fail for valid signals. */
    (void)sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN; /* a closed pipe is an error of the write, not the end */
    (void)sigaction(SIGPIPE, &action, NULL);
}

void cli_running(hawser_client *client)
{
    running = client;
    if (client != NULL && interrupts > 0)
        hawser_cancel(client);
}
