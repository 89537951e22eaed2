/* hawser: push, pull, verify, digest, ls, stat, jobs, pause, resume, cancel, doctor, bench.
 * Everything it does goes through libhawser's public API. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "client/cli/cli.h"
#include "client/cli/control.h"

/* Many files are open at once; the soft limit is for programs that use select(2). */
static void descriptors_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* refused: the old one stays */
    }
}

/* Before the summary, which is the last line and has the exit code. */
static void failures_write(const struct cli_options *options, struct cli_output *output)
{
    int rc = cli_failures_close();

    output->unlisted = rc < 0;
    if (rc < 0)
        cli_error(output, rc, options->failures);
}

static int transfer(struct cli_options *options, struct cli_output *output, hawser_client *client)
{
    size_t last = options->arg_count - 1;
    hawser_stats stats;
    int rc;

    options->transfer.event = cli_output_event;
    options->transfer.context = output;
    if (options->json)
        cli_json_start(options, client);
    if (options->command == CLI_PUSH)
        rc = hawser_push(client, options->args, last, options->args[last], &options->transfer,
                         &stats);
    else if (options->command == CLI_VERIFY)
        rc = hawser_verify(client, options->args, last, options->args[last], &options->transfer,
                           &stats);
    else
        rc = hawser_pull(client, options->args, last, options->args[last], &options->transfer,
                         &stats);
    if (rc < 0 && rc != HAWSER_E_PARTIAL)
        cli_error(output, rc, hawser_client_message(client));
    if (rc == HAWSER_E_PARTIAL && output->full)
        cli_error(output, output->full_code, "");
    else if (rc == HAWSER_E_PARTIAL && output->failed == 0) /* never silent */
        cli_error(output, rc, "");
    failures_write(options, output);
    /* A usage error or a refused connection did nothing that could be summed up. */
    if (options->json || rc == 0 || rc == HAWSER_E_PARTIAL || stats.entries_seen > 0)
        cli_output_summary(output, &stats, rc);
    if (rc == 0 && stats.differences > 0)
        return CLI_EXIT_PARTIAL;
    return cli_exit_code(output, rc);
}

static int look(struct cli_options *options, struct cli_output *output, hawser_client *client)
{
    const char *url = options->args[0];
    int rc;

    if (options->command == CLI_LS)
        rc = hawser_list(client, url, cli_listing_entry, options);
    else
        rc = hawser_stat(client, url, cli_listing_entry, options);
    cli_listing_end();
    if (rc < 0) {
        const char *message = hawser_client_message(client);

        /* A server that only says why leaves it to us to say what it was about. */
        cli_error(output, rc, *message != '\0' ? message : url);
    }
    return cli_exit_code(output, rc);
}

/* Output that could not be written is a failure too: whoever reads it lacks something. */
static int output_end(int code)
{
    bool failed = fflush(stdout) != 0 || ferror(stdout);

    if (!failed || code != CLI_EXIT_OK)
        return code;
    if (errno != EPIPE)
        fprintf(stderr, "hawser: cannot write the output: %s\n", strerror(errno));
    return CLI_EXIT_PARTIAL;
}

/* The file of --trace stays open until the program ends: the library writes it when it closes. */
static int trace_open(struct cli_options *options, char *words, size_t size)
{
    FILE *file;

    if (options->trace == NULL)
        return 0;
    file = fopen(options->trace, "we");
    if (file == NULL) {
        int rc = -errno;

        (void)snprintf(words, size, "trace file %s", options->trace); /* cut if long */
        return rc;
    }
    options->client.trace_fd = fileno(file);
    return 0;
}

/* Other processes may look at it, and hold it up. It runs as well without. */
static void control_start(const struct cli_options *options, hawser_client *client, int argc,
                          char **argv)
{
    char why[CONTROL_WHY_SIZE];
    int rc;

    if (!(options->command & (CLI_PUSH | CLI_PULL | CLI_VERIFY)))
        return;
    rc = cli_control_start(client, argc, argv, why);
    if (rc < 0 && !options->quiet && (rc == -EPERM || options->verbose > 0))
        fprintf(stderr, "hawser: no control from outside: %s\n", why);
    else if (rc == 0 && options->verbose > 0 && !options->quiet)
        fprintf(stderr, "hawser: job %s (see hawser jobs)\n", cli_control_job());
}

int main(int argc, char **argv)
{
    static struct cli_options options;
    static struct cli_output output;
    hawser_client *client = NULL;
    char words[1024];
    int code, rc;

    if (argc > 1 && strcmp(argv[1], "bench") == 0) {
        cli_signals();
        return output_end(cli_bench(argc - 1, argv + 1));
    }
    if (argc > 1 && cli_jobs_verb(argv[1]))
        return output_end(cli_jobs(argc - 1, argv + 1));
    code = cli_options_parse(argc, argv, &options);
    if (code != -1)
        return output_end(code);
    cli_output_init(&output, &options);
    cli_signals();
    if (options.command == CLI_DOCTOR) /* looks at limits as they were given, needs no client */
        return output_end(cli_doctor(&options, &output));
    descriptors_raise();
    if (options.command & (CLI_PUSH | CLI_PULL | CLI_VERIFY | CLI_DIGEST))
        options.client.near_path =
            options.args[options.command == CLI_PULL ? options.arg_count - 1 : 0];
    rc = trace_open(&options, words, sizeof(words));
    if (rc == 0) {
        rc = cli_failures_open(&options);
        (void)snprintf(words, sizeof(words), "failures file %s", /* cut if long */
                       options.failures != NULL ? options.failures : "");
    }
    if (rc == 0)
        rc = hawser_client_open(&options.client, &client, words, sizeof(words));
    if (rc < 0) {
        cli_error(&output, rc, words);
        return output_end(cli_exit_code(&output, rc));
    }
    cli_running(client);
    control_start(&options, client, argc, argv);
    if (options.verbose > 0 && !options.quiet) {
        hawser_engine_info(client, words, sizeof(words));
        fprintf(stderr, "hawser %s: %s\n", hawser_version(), words);
    }
    if (options.command & (CLI_PUSH | CLI_PULL | CLI_VERIFY))
        code = transfer(&options, &output, client);
    else if (options.command == CLI_DIGEST)
        code = cli_digest(&options, &output, client);
    else
        code = look(&options, &output, client);
    cli_control_stop();
    cli_running(NULL); /* a late signal must not touch what is freed */
    hawser_client_close(client);
    return output_end(code);
}
