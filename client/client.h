/* What the files of libhawser share. One client is one engine; a call of the public API is one or
 * more of the engine's sessions, one after the other. */
#ifndef HSR_CLIENT_CLIENT_H
#define HSR_CLIENT_CLIENT_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "hawser/bench.h"
#include "hawser/hawser.h"
#include "transfer/engine/engine.h"
#include "transfer/engine/measure.h"

#define CLIENT_NEAR_MAX 32u /* disks, or NICs, of one path */
#define CLIENT_MESSAGE_SIZE 2048u /* a path's end, an address and some words */

struct hawser_client {
    struct hsr_engine *engine;
    struct hsr_plan plan;
    struct hsr_placement placement;
    uint64_t connect_ns;
    uint32_t retries; /* in a row without progress */
    bool retry_connect; /* also when the server was never reached */
    bool pinned; /* threads were asked to stay on their cores */
    volatile sig_atomic_t canceled; /* sticky; set from signal handlers */
    volatile sig_atomic_t paused; /* the same, not sticky */
    char message[CLIENT_MESSAGE_SIZE]; /* of the last failure */

    /* One running session. `lock` also keeps callbacks one at a time. */
    pthread_mutex_t lock;
    pthread_cond_t closed_cond; /* monotonic */
    bool closed;
    bool opened; /* the server answered: another address is not tried after that */
    bool told; /* the caller has heard of a path, in this or an earlier attempt */
    hawser_stats carried; /* what earlier attempts of the job at hand did */
    char congestion[HSR_CONGESTION_SIZE];
    int code; /* why it closed */
    char text[HSR_TEXT_MAX + 1]; /* of CLOSED */
    struct hsr_progress progress;
    struct hsr_totals totals;
    uint8_t durability;
    uint64_t failed; /* paths the caller was told of: the target does not count the source's */

    struct hsr_bench_report report; /* of a benchmark that ended well */
    struct hsr_measures measures; /* of a measured session */
    bool measure; /* the push that begins is to be measured: hawser_bench_path() */

    /* The call that runs. */
    hawser_bench_fn *sample; /* NULL: not a benchmark, or nobody listens */
    uint64_t sample_cpu_ns; /* when it began */
    hawser_bench_fn *path_sample; /* of hawser_bench_path(), which is a push */
    void *path_context;
    hawser_event_fn *event;
    hawser_entry_fn *entry;
    hawser_digest_fn *digest;
    void *digest_context;
    size_t digest_size;
    void *context;
    bool list_found; /* of hsr_client_probe */
    uint32_t list_mode;
    bool probing; /* entries are for hsr_client_probe, not for the caller */
    struct hawser_xattr xattrs[HSR_XATTR_COUNT_MAX];
    char *names; /* room for an entry's name, link target and attribute names, NUL-ended */
};

/** Record words about a failure, and return @code. @path may be NULL; it is escaped. */
int hsr_client_fail(struct hawser_client *client, int code, const char *path, const char *fmt, ...)
    HSR_PRINTF(4, 5);

/** Forget the last failure, take the callbacks of a new call. */
void hsr_client_begin(struct hawser_client *client, hawser_event_fn *event, hawser_entry_fn *entry,
                      void *context);

/** Tell the caller about a path that failed before a session could. */
void hsr_client_note_failed(struct hawser_client *client, const char *path, int code,
                            const char *text);

/** One session without a peer. */
int hsr_client_run_here(struct hawser_client *client, struct hsr_job_spec *spec);

/** Resolve @url's host, run @spec against its addresses in turn until one answers, wait for the
 * end; and again, as far as retries are allowed (run.c). @spec's export, path, address and job are
 * filled here. @return 0 or why the last session ended. */
int hsr_client_run(struct hawser_client *client, const hawser_url *url, const char *path,
                   struct hsr_job_spec *spec);

/** Tell the caller of a benchmark how far it has come. */
void hsr_client_sample(struct hawser_client *client, uint64_t elapsed_ns, uint64_t bytes);

/** Add what the last job did to @stats: its last session, and the attempts before it. */
void hsr_client_stats_add(struct hawser_client *client, hawser_stats *stats);

/** Keep what the last session did: another attempt follows. */
void hsr_client_stats_carry(struct hawser_client *client);

/** How far the last session came: entries that need nothing more. */
uint64_t hsr_client_settled(const struct hawser_client *client);

/** The engine's verdict in public words; returns what limits. */
enum hawser_stage hsr_client_stages(const struct hsr_verdict *verdict,
                                    hawser_stage_time ret_stages[HAWSER_STAGE_COUNT]);

/** Add a whole session's verdict to @stats. */
void hsr_client_stages_add(const struct hsr_verdict *verdict, hawser_stats *stats);

/** What is @url? *ret_mode: type and permissions, 0 when it does not exist. */
int hsr_client_probe(struct hawser_client *client, const hawser_url *url, uint32_t *ret_mode);

/** Options of a transfer, checked, as the engine wants them. @rules is malloc'ed on success and may
 * be NULL; free it after the run. */
int hsr_client_spec(struct hawser_client *client, const hawser_transfer_opts *opts, uint8_t role,
                    struct hsr_job_spec *ret_spec, uint8_t **ret_rules);

/** A copy of the caller's structure, whatever its age: what is missing is zero. HAWSER_E_USAGE if
 * it is newer than this library and uses what we do not know. */
int hsr_client_opts_copy(void *ret_opts, size_t ours, const void *theirs);

/* ---- paths.c: the operator's own paths ---- */

/** Places to start a push from, and everything they borrow. */
struct hsr_paths_tops {
    struct hsr_walk_top *tops;
    size_t count;
    size_t room;
    int *fds;
    size_t fd_count;
    size_t fd_room;
    char **texts; /* normalised paths of a list */
    size_t text_count;
    size_t text_room;
};

/** Add one source of the command line. @source is borrowed like the rest. *ret_is_dir: whether it
 * adds a directory; with @follow a symlink is what it points to. 0 or -errno (nothing was added).
 */
int hsr_paths_add_source(struct hsr_paths_tops *tops, const char *source, bool follow,
                         bool *ret_is_dir);

/** Add the listed @files below @source, in the order of the tree, each once. @failed is called for
 * each that cannot be used. */
int hsr_paths_add_list(struct hsr_paths_tops *tops, const char *source, const char *const *files,
                       size_t file_count,
                       void (*failed)(void *context, const char *path, int code, const char *text),
                       void *context);

void hsr_paths_fini(struct hsr_paths_tops *tops);

/** Bring a listed path into the form the walk wants: no outer or doubled '/', no "." parts. Changes
 * @path; *ret_contents: it ended in '/'. HSR_E_ESCAPE for "..". "" is allowed: everything. */
int hsr_paths_normalise(char *path, bool *ret_contents);

/** Sort normalised paths in the order of the tree and drop what comes twice; returns how many. */
size_t hsr_paths_sort(char **paths, size_t count);

enum hsr_paths_target_kind { PATHS_MISSING, PATHS_DIR, PATHS_OTHER };

/** A root for what keeps nothing: no directory, so that nothing can be below it. Descriptor or
 * -errno. */
int hsr_paths_open_nothing(void);

/** The disks that hold @path, or the deepest part of it that exists; returns how many. */
unsigned hsr_paths_disks(const char *path, struct hsr_device *ret, unsigned max);

/** What is there? enum hsr_paths_target_kind or -errno. */
int hsr_paths_target_kind(const char *path);

/** Open directory @path; with @create it is made, parents included. With @dry_run a missing one is
 * stood in for by an empty directory that no name leads to. Descriptor or -errno. */
int hsr_paths_open_target(const char *path, bool create, bool dry_run);

/** A new file in directory @dir_fd, for reading and writing, that no name leads to: unnamed, or
 * under a hidden name that is taken away at once. Descriptor or -errno. */
int hsr_paths_open_scratch(int dir_fd);

/** Open the directory that is to hold a file called @path, and give the name in it. */
int hsr_paths_open_parent(const char *path, bool dry_run, char ret_name[HSR_NAME_MAX + 1]);

#endif
