/* Push, pull, list and stat: the caller's words turned into job specs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/client.h"
#include "transfer/net/zerocopy.h"
#include "transfer/proto/delta.h"
#include "transfer/tree/fileio.h"

/* The power of two that a block's size is, or 0. */
static uint8_t spec_block_log(uint32_t block)
{
    for (uint8_t log = HSR_SIG_BLOCK_LOG_MIN; log <= HSR_SIG_BLOCK_LOG_MAX; log++)
        if (block == 1u << log)
            return log;
    return 0;
}

/* Words and numbers that have no meaning here. */
static int spec_check(struct hawser_client *client, const hawser_transfer_opts *opts, uint8_t role)
{
    if (opts->digest != HAWSER_DIGEST_DEFAULT && !hsr_digest_known(opts->digest))
        return hsr_client_fail(client, HSR_E_USAGE, NULL, "digest: xxh3 or blake3");
    if (opts->durability > HAWSER_DURABILITY_DURABLE)
        return hsr_client_fail(client, HSR_E_USAGE, NULL,
                               "durability: received, written or durable");
    if (role == HSR_ROLE_SOURCE && hsr_congestion_check(client->congestion) == -ENOENT)
        return hsr_client_fail(client, HSR_E_USAGE, NULL,
                               "congestion control '%s': not in this kernel (see "
                               "/proc/sys/net/ipv4/tcp_available_congestion_control)",
                               client->congestion);
    if (role == HSR_ROLE_SOURCE && hsr_congestion_check(client->congestion) == -EPERM)
        return hsr_client_fail(client, HSR_E_USAGE, NULL,
                               "congestion control '%s': not allowed for this user (see "
                               "/proc/sys/net/ipv4/tcp_allowed_congestion_control)",
                               client->congestion);
    if ((unsigned)opts->io >= HSR_IO_COUNT)
        return hsr_client_fail(client, HSR_E_USAGE, NULL, "io: auto, direct or buffered");
    if ((unsigned)opts->zero_copy >= HSR_ZC_MODE_COUNT)
        return hsr_client_fail(client, HSR_E_USAGE, NULL, "zero_copy: off, auto or on");
    if ((unsigned)opts->delta >= HSR_DELTA_MODE_COUNT)
        return hsr_client_fail(client, HSR_E_USAGE, NULL, "delta: auto, on or off");
    if (opts->delta_block != 0 && spec_block_log(opts->delta_block) == 0)
        return hsr_client_fail(client, HSR_E_USAGE, NULL,
                               "delta_block: a power of two from 512 to 1 MiB");
    if ((unsigned)opts->ahead > HAWSER_AHEAD_OFF)
        return hsr_client_fail(client, HSR_E_USAGE, NULL, "ahead: auto, on or off");
    if (opts->verify_resume && opts->no_journal)
        return hsr_client_fail(client, HSR_E_USAGE, NULL,
                               "verify_resume and no_journal contradict each other");
    return 0;
}

int hsr_client_spec(struct hawser_client *client, const hawser_transfer_opts *opts, uint8_t role,
                    struct hsr_job_spec *ret_spec, uint8_t **ret_rules)
{
    const struct {
        bool on;
        uint32_t bit;
    } bits[] = {
        { opts->dry_run || opts->discard, HSR_OPT_DRY_RUN },
        { opts->discard, HSR_OPT_DISCARD },
        { client->measure, HSR_OPT_MEASURE },
        { opts->checksum, HSR_OPT_CHECKSUM },
        { opts->delete_extraneous, HSR_OPT_DELETE },
        { opts->size_only, HSR_OPT_SIZE_ONLY },
        { opts->ignore_existing, HSR_OPT_IGNORE_EXISTING },
        { opts->no_owner, HSR_OPT_NO_OWNER },
        { opts->no_times, HSR_OPT_NO_TIMES },
        { opts->no_xattrs, HSR_OPT_NO_XATTRS },
        { opts->no_hard_links, HSR_OPT_NO_HARD_LINKS },
        { opts->copy_links, HSR_OPT_COPY_LINKS },
        { opts->names, HSR_OPT_NAMES },
        { opts->inplace, HSR_OPT_INPLACE },
        { opts->no_journal, HSR_OPT_NO_JOURNAL },
        { opts->verify_resume, HSR_OPT_VERIFY_RESUME },
        { opts->files != NULL, HSR_OPT_LIST },
        { opts->ahead == HAWSER_AHEAD_ON, HSR_OPT_AHEAD_ON },
        { opts->ahead == HAWSER_AHEAD_OFF, HSR_OPT_AHEAD_OFF },
    };
    struct hsr_job_spec spec = {
        .role = role,
        .digest = opts->digest != 0 ? (uint8_t)opts->digest : HSR_DIGEST_XXH3,
        .durability = opts->durability != 0 ? (uint8_t)opts->durability : HSR_DURABILITY_DURABLE,
        .io = (uint8_t)opts->io,
        .zero_copy = (uint8_t)opts->zero_copy,
        .delta = (uint8_t)opts->delta,
        .block_log = spec_block_log(opts->delta_block),
        .bwlimit = opts->bwlimit,
        .delete_max = opts->delete_limited ? opts->delete_max : UINT64_MAX,
        .target_fd = -1,
    };
    struct hsr_writer writer;
    uint8_t *rules = NULL;

    if (spec_check(client, opts, role) < 0)
        return HSR_E_USAGE;
    for (size_t i = 0; i < HSR_ARRAY_COUNT(bits); i++)
        spec.options |= bits[i].on ? bits[i].bit : 0;
    if (opts->rule_count > 0) {
        rules = malloc(HSR_RULES_SIZE_MAX);
        if (rules == NULL)
            return -ENOMEM;
        writer = hsr_writer_init(rules, HSR_RULES_SIZE_MAX);
        for (size_t i = 0; i < opts->rule_count; i++) {
            const hawser_rule *rule = &opts->rules[i];
            int rc = hsr_rule_encode(&writer, rule->pattern, strlen(rule->pattern), rule->include);

            if (rc == 0 && i >= HSR_RULES_MAX)
                rc = HSR_E_LIMIT;
            if (rc < 0) {
                free(rules);
                return hsr_client_fail(client, HSR_E_FILTER, rule->pattern,
                                       rc == HSR_E_LIMIT ? "too many or too long filter rules"
                                                         : "not a valid filter rule");
            }
        }
        spec.rules = (struct hsr_span){ rules, writer.offset };
    }
    *ret_spec = spec;
    *ret_rules = rules;
    return 0;
}

/* ---- one call: everything it holds ---- */

struct call {
    struct hawser_client *client;
    struct hawser_transfer_opts opts;
    struct hsr_job_spec spec;
    uint8_t *rules;
    struct hsr_paths_tops tops;
    hawser_url *urls;
    hawser_stats stats;
    uint64_t failed; /* before a session: sources that cannot be opened */
};

static void call_note_failed(void *context, const char *path, int code, const char *text)
{
    struct call *call = context;

    call->failed++;
    hsr_client_note_failed(call->client, path, code, text);
}

static int call_begin(struct call *call, struct hawser_client *client, uint8_t role,
                      const char *const *urls, size_t url_count, const hawser_transfer_opts *opts)
{
    char why[256];
    int rc;

    *call = (struct call){ .client = client };
    rc = hsr_client_opts_copy(&call->opts, sizeof(call->opts), opts);
    hsr_client_begin(client, call->opts.event, NULL, call->opts.context);
    if (rc < 0)
        return hsr_client_fail(client, rc, NULL, "options of a newer version");
    call->urls = calloc(url_count + 1, sizeof(call->urls[0]));
    if (call->urls == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < url_count; i++) {
        if (urls[i] == NULL)
            return hsr_client_fail(client, HSR_E_USAGE, NULL, "a URL is NULL");
        if (hawser_url_parse(urls[i], &call->urls[i], why, sizeof(why)) < 0)
            return hsr_client_fail(client, HSR_E_USAGE, urls[i], "%s", why);
    }
    return hsr_client_spec(client, &call->opts, role, &call->spec, &call->rules);
}

static int call_end(struct call *call, int rc, hawser_stats *ret_stats)
{
    call->stats.failed += call->failed;
    if (rc == 0 && call->stats.failed > 0)
        rc = HSR_E_PARTIAL;
    hsr_paths_fini(&call->tops);
    free(call->rules);
    free(call->urls);
    if (ret_stats != NULL)
        *ret_stats = call->stats;
    return rc;
}

/* ---- push ---- */

/* Collect the places to start from. A single source that cannot be opened ends the call; among
 * several it is one failure of many. */
static int push_tops(struct call *call, const char *const *sources, size_t count)
{
    bool is_dir = false;

    if (call->opts.files != NULL) {
        int rc;

        if (count != 1)
            return hsr_client_fail(call->client, HSR_E_USAGE, NULL,
                                   "a list of files needs exactly one source directory");
        rc = hsr_paths_add_list(&call->tops, sources[0], call->opts.files, call->opts.file_count,
                                call_note_failed, call);
        return rc < 0 ? hsr_client_fail(call->client, rc, sources[0], "open") : 0;
    }
    for (size_t i = 0; i < count; i++) {
        int rc = hsr_paths_add_source(&call->tops, sources[i], call->opts.copy_links, &is_dir);

        if (rc == -ENOMEM)
            return rc;
        if (rc < 0)
            call_note_failed(call, sources[i], rc, "open");
    }
    if (call->tops.count == 1 && count == 1 && !is_dir && !call->urls[0].contents)
        call->spec.options |= HSR_OPT_SINGLE_FILE;
    return 0;
}

static int push_run(struct call *call, const char *const *sources, size_t count)
{
    int rc;

    for (size_t i = 0; i < count; i++)
        if (sources[i] == NULL)
            return hsr_client_fail(call->client, HSR_E_USAGE, NULL, "a source is NULL");
    rc = push_tops(call, sources, count);
    if (rc < 0)
        return rc;
    if (call->tops.count == 0)
        return 0; /* nothing can be sent; call_end() knows whether that is a failure */
    hsr_require(call->tops.count <= UINT32_MAX, HSR_E_LIMIT);
    call->spec.tops = call->tops.tops;
    call->spec.top_count = (unsigned)call->tops.count;
    rc = hsr_client_run(call->client, &call->urls[0], call->urls[0].path, &call->spec);
    hsr_client_stats_add(call->client, &call->stats);
    return rc;
}

/* To verify is a dry run of a push by digest that names what differs. */
static void verify_options(struct call *call)
{
    call->spec.options &= ~(HSR_OPT_DISCARD | HSR_OPT_SIZE_ONLY | HSR_OPT_IGNORE_EXISTING |
                            HSR_OPT_DELTA | HSR_OPT_INPLACE);
    call->spec.options |= HSR_OPT_VERIFY | HSR_OPT_DRY_RUN | HSR_OPT_CHECKSUM | HSR_OPT_NAMES;
    if (call->opts.files == NULL) /* of a list nothing is too much */
        call->spec.options |= HSR_OPT_DELETE;
    call->spec.delete_max = UINT64_MAX;
    call->spec.block_log = 0;
}

static int push_or_verify(bool verify, hawser_client *client, const char *const *sources,
                          size_t source_count, const char *url, const hawser_transfer_opts *opts,
                          hawser_stats *ret_stats)
{
    struct call call;
    int rc;

    if (ret_stats != NULL)
        *ret_stats = (hawser_stats){ 0 };
    hsr_require(client != NULL, HSR_E_USAGE);
    if (sources == NULL || source_count == 0 || url == NULL)
        return hsr_client_fail(client, HSR_E_USAGE, NULL,
                               verify ? "verify needs a source and a URL"
                                      : "push needs a source and a URL");
    rc = call_begin(&call, client, HSR_ROLE_SOURCE, &url, 1, opts);
    if (verify)
        verify_options(&call);
    if (rc == 0)
        rc = push_run(&call, sources, source_count);
    if (verify)
        call.stats.differences =
            call.stats.files + call.stats.created + call.stats.touched + call.stats.deleted;
    return call_end(&call, rc, ret_stats);
}

int hawser_push(hawser_client *client, const char *const *sources, size_t source_count,
                const char *url, const hawser_transfer_opts *opts, hawser_stats *ret_stats)
{
    return push_or_verify(false, client, sources, source_count, url, opts, ret_stats);
}

int hawser_verify(hawser_client *client, const char *const *sources, size_t source_count,
                  const char *url, const hawser_transfer_opts *opts, hawser_stats *ret_stats)
{
    return push_or_verify(true, client, sources, source_count, url, opts, ret_stats);
}

/* ---- pull ---- */

int hsr_client_probe(struct hawser_client *client, const hawser_url *url, uint32_t *ret_mode)
{
    struct hsr_job_spec spec = { .list = true,
                                 .list_self = true,
                                 .target_fd = -1,
                                 .role = HSR_ROLE_TARGET,
                                 .digest = HSR_DIGEST_XXH3,
                                 .durability = HSR_DURABILITY_DURABLE };
    int rc;

    client->probing = true;
    client->list_found = false;
    rc = hsr_client_run(client, url, url->path, &spec);
    client->probing = false;
    *ret_mode = client->list_found ? client->list_mode : 0;
    return rc;
}

/* Where to? A directory that is there takes everything. A name that is not, or is no directory,
 * becomes the single file's; otherwise it becomes a directory. */
static int pull_target(struct call *call, const char *target, size_t url_count,
                       char top_name[HSR_NAME_MAX + 1])
{
    const hawser_url *url = &call->urls[0];
    int kind = hsr_paths_target_kind(target);
    size_t size = strlen(target);
    bool slash = size > 0 && target[size - 1] == '/';
    int fd, rc;

    top_name[0] = '\0';
    if (kind < 0)
        return hsr_client_fail(call->client, kind, target, "%s", hsr_err_text(kind));
    if (kind != PATHS_DIR && url_count == 1 && !url->contents && !slash &&
        call->opts.files == NULL) {
        uint32_t mode = 0;

        rc = hsr_client_probe(call->client, url, &mode);
        if (rc < 0)
            return rc;
        if (mode != 0 && !S_ISDIR(mode)) {
            fd = hsr_paths_open_parent(target, call->opts.dry_run, top_name);
            if (fd >= 0)
                call->spec.options |= HSR_OPT_SINGLE_FILE;
            return fd >= 0 ? fd : hsr_client_fail(call->client, fd, target, "%s", hsr_err_text(fd));
        }
    }
    fd = kind == PATHS_OTHER ? -ENOTDIR : hsr_paths_open_target(target, true, call->opts.dry_run);
    return fd >= 0 ? fd : hsr_client_fail(call->client, fd, target, "%s", hsr_err_text(fd));
}

/* A list of paths for the server, normalised and sorted in @call->tops.texts. */
static int pull_list(struct call *call, struct hsr_span **ret_paths, size_t *ret_count)
{
    struct hsr_paths_tops *tops = &call->tops;
    struct hsr_span *paths = calloc(call->opts.file_count + 1, sizeof(*paths));

    tops->texts = calloc(call->opts.file_count + 1, sizeof(tops->texts[0]));
    if (paths == NULL || tops->texts == NULL) {
        free(paths);
        return -ENOMEM;
    }
    for (size_t i = 0; i < call->opts.file_count; i++) {
        char *path = strdup(call->opts.files[i]);
        bool contents;
        int rc = path != NULL ? hsr_paths_normalise(path, &contents) : -ENOMEM;

        if (rc == 0 && *path != '\0') {
            tops->texts[tops->text_count++] = path;
            continue;
        }
        free(path);
        if (rc < 0)
            call_note_failed(call, call->opts.files[i], rc, "listed");
    }
    tops->text_count = hsr_paths_sort(tops->texts, tops->text_count);
    for (size_t i = 0; i < tops->text_count; i++)
        paths[i] = (struct hsr_span){ (const uint8_t *)tops->texts[i], strlen(tops->texts[i]) };
    *ret_paths = paths;
    *ret_count = tops->text_count;
    return 0;
}

/* One URL is one session: "a/b" is fetched as `b` of directory "a", "a/b/" as all of "a/b". */
static int pull_one(struct call *call, hawser_url *url)
{
    struct hsr_span path = { (const uint8_t *)"", 0 };
    struct hsr_span *list = NULL;
    const char *base = url->path;
    size_t list_count = 1;
    int rc = 0;

    if (call->opts.files != NULL) {
        rc = pull_list(call, &list, &list_count);
    } else if (!url->contents) {
        char *slash = strrchr(url->path, '/');
        const char *name = slash != NULL ? slash + 1 : url->path;

        path = (struct hsr_span){ (const uint8_t *)name, strlen(name) };
        if (slash != NULL)
            *slash = '\0';
        else
            base = "";
    }
    if (rc == 0 && list_count > UINT32_MAX)
        rc = HSR_E_LIMIT;
    if (rc == 0 && list_count > 0) {
        call->spec.paths = list != NULL ? list : &path;
        call->spec.path_count = (uint32_t)list_count;
        rc = hsr_client_run(call->client, url, base, &call->spec);
        hsr_client_stats_add(call->client, &call->stats);
    }
    free(list);
    return rc;
}

static int pull_run(struct call *call, size_t url_count, const char *target)
{
    char top_name[HSR_NAME_MAX + 1];
    bool partial = false;
    int rc = 0;

    if (call->opts.files != NULL && url_count != 1)
        return hsr_client_fail(call->client, HSR_E_USAGE, NULL,
                               "a list of files needs exactly one URL");
    call->spec.target_fd = pull_target(call, target, url_count, top_name);
    if (call->spec.target_fd < 0)
        return call->spec.target_fd;
    call->spec.top_name = top_name[0] != '\0' ? top_name : NULL;
    for (size_t i = 0; i < url_count && rc == 0; i++) {
        rc = pull_one(call, &call->urls[i]);
        if (rc == HSR_E_PARTIAL) {
            partial = true;
            rc = 0;
        }
    }
    (void)close(call->spec.target_fd); /* a directory: nothing can be lost */
    return rc == 0 && partial ? HSR_E_PARTIAL : rc;
}

int hawser_pull(hawser_client *client, const char *const *urls, size_t url_count,
                const char *target, const hawser_transfer_opts *opts, hawser_stats *ret_stats)
{
    struct call call;
    int rc;

    if (ret_stats != NULL)
        *ret_stats = (hawser_stats){ 0 };
    hsr_require(client != NULL, HSR_E_USAGE);
    if (urls == NULL || url_count == 0 || target == NULL || *target == '\0')
        return hsr_client_fail(client, HSR_E_USAGE, NULL, "pull needs a URL and a destination");
    rc = call_begin(&call, client, HSR_ROLE_TARGET, urls, url_count, opts);
    if (rc == 0 && call.opts.discard)
        rc = hsr_client_fail(client, HSR_E_USAGE, NULL, "only a push can be discarded");
    if (rc == 0)
        rc = pull_run(&call, url_count, target);
    return call_end(&call, rc, ret_stats);
}

/* ---- digests ---- */

static int digest_here(struct call *call, const char *place)
{
    bool is_dir;
    int rc = hsr_paths_add_source(&call->tops, place, call->opts.copy_links, &is_dir);

    if (rc < 0)
        return hsr_client_fail(call->client, rc, place, "open");
    call->spec.tops = call->tops.tops;
    call->spec.top_count = (unsigned)call->tops.count;
    return hsr_client_run_here(call->client, &call->spec);
}

/* A pull that keeps nothing. Its root is no directory: whatever the server says, nothing can be
 * below it. */
static int digest_there(struct call *call)
{
    int rc;

    call->spec.target_fd = hsr_paths_open_nothing();
    if (call->spec.target_fd < 0)
        return call->spec.target_fd;
    rc = pull_one(call, &call->urls[0]);
    (void)close(call->spec.target_fd); /* O_PATH */
    return rc;
}

int hawser_digest_tree(hawser_client *client, const char *place, const hawser_transfer_opts *opts,
                       hawser_digest_fn *digest, void *context)
{
    bool here = place != NULL && strncmp(place, "hawser://", 9) != 0;
    struct call call;
    int rc;

    hsr_require(client != NULL, HSR_E_USAGE);
    if (place == NULL || *place == '\0' || digest == NULL)
        return hsr_client_fail(client, HSR_E_USAGE, NULL, "a place and a function are needed");
    rc = call_begin(&call, client, here ? HSR_ROLE_SOURCE : HSR_ROLE_TARGET, &place, here ? 0 : 1,
                    opts);
    call.spec.summing = true;
    call.spec.options &= HSR_OPT_COPY_LINKS;
    call.spec.options |= HSR_OPT_DRY_RUN | HSR_OPT_NO_HARD_LINKS | HSR_OPT_NO_XATTRS;
    call.opts.files = NULL;
    client->digest = digest;
    client->digest_context = context;
    client->digest_size = hsr_digest_size((enum hsr_digest_kind)call.spec.digest);
    if (rc == 0)
        rc = here ? digest_here(&call, place) : digest_there(&call);
    client->digest = NULL;
    if (here)
        hsr_client_stats_add(client, &call.stats);
    return call_end(&call, rc, NULL);
}

/* ---- looking ---- */

static int client_list(hawser_client *client, const char *url, bool self, hawser_entry_fn *entry,
                       void *context)
{
    struct hsr_job_spec spec = { .list = true,
                                 .list_self = self,
                                 .target_fd = -1,
                                 .role = HSR_ROLE_TARGET,
                                 .digest = HSR_DIGEST_XXH3,
                                 .durability = HSR_DURABILITY_DURABLE };
    hawser_url *parsed;
    char why[256];
    int rc;

    hsr_require(client != NULL, HSR_E_USAGE);
    hsr_client_begin(client, NULL, entry, context);
    if (url == NULL || entry == NULL)
        return hsr_client_fail(client, HSR_E_USAGE, NULL, "a URL and a function are needed");
    parsed = malloc(sizeof(*parsed));
    if (parsed == NULL)
        return -ENOMEM;
    rc = hawser_url_parse(url, parsed, why, sizeof(why));
    if (rc < 0)
        hsr_client_fail(client, rc, url, "%s", why);
    else
        rc = hsr_client_run(client, parsed, parsed->path, &spec);
    if (rc == -ENOTDIR && !self) { /* no directory: then itself */
        spec.list_self = true;
        client->message[0] = '\0';
        rc = hsr_client_run(client, parsed, parsed->path, &spec);
    }
    free(parsed);
    return rc;
}

int hawser_list(hawser_client *client, const char *url, hawser_entry_fn *entry, void *context)
{
    return client_list(client, url, false, entry, context);
}

int hawser_stat(hawser_client *client, const char *url, hawser_entry_fn *entry, void *context)
{
    return client_list(client, url, true, entry, context);
}
