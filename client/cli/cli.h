/* The command hawser: what its files share. Only the public header of libhawser is used. */
#ifndef HAWSER_CLI_CLI_H
#define HAWSER_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hawser/hawser.h"

#define CLI_PRINTF(fmt_index, args_index) __attribute__((format(printf, fmt_index, args_index)))

enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_PARTIAL = 1, /* some files failed, or a path of the command line did */
    CLI_EXIT_USAGE = 2,
    CLI_EXIT_REFUSED = 3, /* could not connect, or was refused */
    CLI_EXIT_PEER = 4, /* protocol broken, or data did not match */
    CLI_EXIT_RESOURCE = 5, /* disk full, memory, io_uring */
    CLI_EXIT_INTERRUPTED = 130
};

enum cli_command {
    CLI_PUSH = 1,
    CLI_PULL = 2,
    CLI_LS = 4,
    CLI_STAT = 8,
    CLI_DOCTOR = 16,
    CLI_VERIFY = 32,
    CLI_DIGEST = 64
}; /* bits: an option belongs to several */

enum cli_progress { CLI_PROGRESS_AUTO, CLI_PROGRESS_ON, CLI_PROGRESS_OFF };

/* Strings that stay until the process ends. */
struct cli_strings {
    char **items;
    size_t count;
    size_t room;
};

struct cli_options {
    enum cli_command command;
    hawser_client_opts client;
    hawser_transfer_opts transfer;
    hawser_rule *rules;
    size_t rule_count;
    size_t rule_room;
    struct cli_strings texts; /* what the rules point to */
    struct cli_strings files; /* --files-from */
    const char *files_from;
    const char *trace; /* --trace; NULL: none */
    const char *failures; /* --failures; NULL: none */
    bool from0;
    int verbose;
    bool quiet;
    bool json;
    enum cli_progress progress;
    const char **args; /* SRC... URL, URL... DEST, URL, or PATH... */
    size_t arg_count;
};

/* ---- options.c ---- */

/** Parse the command line. @return -1: go on; else exit with this code (everything was printed). */
int cli_options_parse(int argc, char **argv, struct cli_options *ret_options);

/** Print a mistake of the user and how to get help; returns CLI_EXIT_USAGE. */
int cli_usage(const char *fmt, ...) CLI_PRINTF(1, 2);

/* ---- number.c: pure ---- */

/** "64K", "1M", "1.5GiB", "2MB": K, M, G, T and KiB... are powers of 1024, KB... of 1000.
 * @param unit  bytes that a number without suffix counts (1; 1024 for --bwlimit, as in rsync) */
bool cli_size_parse(const char *text, uint64_t unit, uint64_t *ret_bytes);

/** A decimal number within [min, max], nothing else. */
bool cli_number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *ret_number);

/** Which of @words (ended by NULL) is @text? */
bool cli_word_parse(const char *text, const char *const *words, unsigned *ret_index);
extern const char *const cli_zero_copy_words[]; /* by enum hawser_zero_copy */

/** "1.23 GB" (decimal); returns @buf. */
const char *cli_bytes_print(double bytes, char *buf, size_t size);

/** "1,234,567"; returns @buf. */
const char *cli_count_print(uint64_t count, char *buf, size_t size);

/* ---- lists.c: rules and lists of files ---- */

bool cli_strings_add(struct cli_strings *strings, const char *text, size_t size);

/** Append a rule as --exclude or --include give it; "!" forgets all rules before it. */
bool cli_rule_add(struct cli_options *options, const char *text, size_t size, bool include);

/** Read a file ("-": standard input) of lines, or NUL-ended items with @nul, and hand each that is
 * no comment to @line. @return 0 or errno */
int cli_lines_read(const char *path, bool nul, bool comments,
                   bool (*line)(void *context, const char *text, size_t size), void *context);

/* ---- output.c: words for people ---- */

struct cli_output {
    const struct cli_options *options;
    bool live; /* a progress line is on the terminal now */
    bool tty; /* of the progress line: stderr */
    uint64_t shown_ns; /* elapsed_ns of the last progress shown */
    hawser_progress last;
    uint64_t failed; /* notes so far */
    bool full; /* something failed because the target is full */
    int full_code;
    bool damaged; /* something failed because data did not match */
    bool unlisted; /* the file of --failures could not be written */
};

void cli_output_init(struct cli_output *output, const struct cli_options *options);
void cli_output_event(void *context, const hawser_event *event);
void cli_output_summary(struct cli_output *output, const hawser_stats *stats, int code);

/** "hawser: MESSAGE: why (what to do)" on stderr, and as JSON if that is asked for. */
void cli_error(struct cli_output *output, int code, const char *message);

/** The same without JSON and progress.
 * @param options  of a transfer; NULL: it is none */
void cli_error_print(const struct cli_options *options, int code, const char *message);

/** What a person can do about @code, or NULL.
 * @param options  of a transfer, on which it depends what a further run would send again; NULL: it
 *                 is none */
const char *cli_hint(const struct cli_options *options, int code);

/** Exit code for what a call of the library returned. */
int cli_exit_code(const struct cli_output *output, int code);

const char *cli_note_name(enum hawser_note note);

/** The same in words of verify: "missing", "extra", "differs", "metadata". */
const char *cli_difference_name(enum hawser_note note);
const char *cli_durability_name(enum hawser_durability durability);
const char *cli_digest_name(enum hawser_digest digest);

/* ---- failures.c: what failed, in a form that --files-from reads ---- */

/** Empty or make the file of --failures, if it is asked for. 0 or -errno. */
int cli_failures_open(const struct cli_options *options);

/** Remember a path that failed. */
void cli_failures_add(const char *path);

/** An attempt begins anew: what failed in the last one may not fail now. */
void cli_failures_forget(void);

/** Write them. 0 or -errno; prints what cannot be written as a line. */
int cli_failures_close(void);

/* ---- json.c: one object a line on stdout ---- */

void cli_json_start(const struct cli_options *options, const hawser_client *client);
void cli_json_progress(const hawser_progress *progress);
void cli_json_note(const hawser_event *event);
void cli_json_retry(const hawser_event *event);
void cli_json_stall(const hawser_event *event);
void cli_json_state(enum hawser_state state);
void cli_json_difference(const hawser_event *event);
void cli_json_digest(const char *path, uint64_t bytes, const char *kind, const char *hex);
void cli_json_error(const char *path, int code, const char *message);
void cli_json_summary(const struct cli_options *options, const hawser_stats *stats, int code,
                      int exit_code);
void cli_json_entry(const hawser_entry *entry);

/** Keep a finding for the document that cli_json_doctor() prints. */
void cli_json_finding(const hawser_finding *finding);
void cli_json_doctor(int code, int exit_code);

/** Valid UTF-8 for raw bytes: what is not becomes U+FFFD. malloc'ed; NULL: no memory.
 * *ret_exact: nothing had to be replaced. */
char *cli_utf8(const char *bytes, size_t size, bool *ret_exact);

/** Base64 (RFC 4648) of @size bytes; malloc'ed. */
char *cli_base64(const void *bytes, size_t size);

/* ---- signals.c ---- */

/** SIGINT and SIGTERM cancel what runs; a second one ends the process with 130. */
void cli_signals(void);

/** What runs now, for the signals; NULL before it is closed. */
void cli_running(hawser_client *client);

/* ---- bench.c ---- */

/** hawser bench: all of it. @return the exit code */
int cli_bench(int argc, char **argv);

/* ---- doctor.c ---- */

/** hawser doctor; returns the exit code. */
int cli_doctor(const struct cli_options *options, struct cli_output *output);

const char *cli_level_name(enum hawser_finding_level level);

/* ---- digest.c ---- */

/** hawser digest; returns the exit code. */
int cli_digest(struct cli_options *options, struct cli_output *output, hawser_client *client);

/* ---- listing.c ---- */

/** hawser ls and hawser stat: print one entry (hawser_entry_fn). */
void cli_listing_entry(void *context, const hawser_entry *entry);

/** Print what ls kept for sorting. */
void cli_listing_end(void);

/** Signatures before their turn: the state as one word, and two lines on stdout. */
const char *cli_ahead_word(enum hawser_ahead_state state);
void cli_ahead_print(const hawser_ahead_stats *ahead);

#endif
