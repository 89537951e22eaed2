/* What the running kernel gives. Everything is asked of the kernel itself where it can be; the
 * start-up line prints the two lists. */
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "ring/backend.h"
#include "ring/uapi.h"

#define PROBE_ENTRIES 4u

static void probe_ring(struct hsr_uring_features *features);
static bool probe_setup(unsigned flags);
static bool probe_syscall(long number);
static bool probe_version(unsigned major, unsigned minor);
static void probe_words(struct hsr_uring_features *features);

void hsr_uring_probe(struct hsr_uring_features *features)
{
    memset(features, 0, sizeof(*features));
    probe_ring(features);
    features->single_issuer = probe_setup(IORING_SETUP_SINGLE_ISSUER);
    features->defer_taskrun = probe_setup(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                          IORING_SETUP_TASKRUN_FLAG);
    features->submit_all = probe_setup(IORING_SETUP_SUBMIT_ALL);
    features->no_sqarray = probe_setup(IORING_SETUP_NO_SQARRAY);
    features->xattrat = probe_syscall(SYS_listxattrat);
    features->fchmodat2 = probe_syscall(SYS_fchmodat2);
    features->cachestat = probe_syscall(SYS_cachestat);
    /* A flag of preadv2(2) that each file system may refuse: only the version says more. */
    features->dontcache = probe_version(6, 14);
    probe_words(features);
}

static void probe_ring(struct hsr_uring_features *features)
{
    struct io_uring_params params = { 0 };
    struct io_uring_probe *probe;
    struct io_uring ring;

    if (io_uring_queue_init_params(PROBE_ENTRIES, &ring, &params) < 0)
        return;
    features->bundle = params.features & IORING_FEAT_RECVSEND_BUNDLE;
    features->min_wait = params.features & IORING_FEAT_MIN_TIMEOUT;
    features->no_iowait = params.features & IORING_FEAT_NO_IOWAIT;
    probe = io_uring_get_probe_ring(&ring);
    if (probe != NULL) {
        /* both came with 6.0 */
        features->recv_multishot = io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);
        features->msg_ring = io_uring_opcode_supported(probe, IORING_OP_MSG_RING);
        io_uring_free_probe(probe);
    }
    features->send_zc = hsr_uring_probe_zc(&ring);
    io_uring_queue_exit(&ring);
}

/* Flags are looked at before the descriptor: a kernel that knows them says EBADF. */
bool hsr_uring_probe_zc(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    struct io_uring_cqe *cqe;
    bool known, more;

    if (sqe == NULL)
        return false;
    io_uring_prep_rw(IORING_OP_SEND_ZC, sqe, -1, NULL, 0, 0);
    sqe->ioprio = IORING_SEND_ZC_REPORT_USAGE;
    if (io_uring_submit_and_wait(ring, 1) < 0 || io_uring_wait_cqe(ring, &cqe) < 0)
        return false;
    known = cqe->res == -EBADF;
    more = cqe->flags & IORING_CQE_F_MORE;
    io_uring_cqe_seen(ring, cqe);
    if (more && io_uring_wait_cqe(ring, &cqe) == 0)
        io_uring_cqe_seen(ring, cqe);
    return known;
}

static bool probe_setup(unsigned flags)
{
    struct io_uring_params params = { .flags = flags };
    long fd = syscall(SYS_io_uring_setup, PROBE_ENTRIES, &params);

    if (fd < 0)
        return false;
    (void)close((int)fd); /* nothing was done with it */
    return true;
}

/* Arguments are bad on purpose: a call that exists says so with EBADF, EFAULT or EINVAL. */
static bool probe_syscall(long number)
{
    long rc = syscall(number, -1, NULL, 0, NULL, 0);

    return rc >= 0 || (errno != ENOSYS && errno != EPERM);
}

static bool probe_version(unsigned major, unsigned minor)
{
    unsigned have_major = 0, have_minor = 0;
    struct utsname name;

    if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &have_major, &have_minor) != 2)
        return false;
    return have_major > major || (have_major == major && have_minor >= minor);
}

static void probe_word(char *text, size_t size, const char *name, const char *reason)
{
    size_t used = strlen(text);

    /* Cut when full; the sizes of the fields are those of all words together. */
    (void)snprintf(text + used, size - used, "%s%s%s%s%s", used > 0 ? " " : "", name,
                   reason != NULL ? " (" : "", reason != NULL ? reason : "",
                   reason != NULL ? ")" : "");
}

static void probe_words(struct hsr_uring_features *features)
{
    const struct {
        const char *name;
        bool have;
        bool use; /* does the ring code use it when it is there? */
        const char *since; /* Linux */
    } words[] = {
        { "single_issuer", features->single_issuer, true, "6.0" },
        { "defer_taskrun", features->defer_taskrun, true, "6.1" },
        { "submit_all", features->submit_all, true, "5.18" },
        { "no_iowait", features->no_iowait, true, "6.15" },
        { "xattrat", features->xattrat, true, "6.13" },
        { "fchmodat2", features->fchmodat2, true, "6.6" },
        { "no_sqarray", features->no_sqarray, false, "6.6" },
        { "send_zc", features->send_zc, true, "6.2" },
        { "recv_multishot", features->recv_multishot, false, "6.0" },
        { "msg_ring", features->msg_ring, false, "5.18" },
        { "bundle", features->bundle, false, "6.10" },
        { "min_wait", features->min_wait, false, "6.12" },
        { "cachestat", features->cachestat, true, "6.5" },
        { "dontcache", features->dontcache, true, "6.14" },
    };

    for (size_t i = 0; i < HSR_ARRAY_COUNT(words); i++) {
        char reason[32];

        if (words[i].have && words[i].use) {
            probe_word(features->used, sizeof(features->used), words[i].name, NULL);
            continue;
        }
        if (words[i].have)
            (void)snprintf(reason, sizeof(reason), "not used");
        else
            (void)snprintf(reason, sizeof(reason), "needs Linux %s", words[i].since);
        probe_word(features->missing, sizeof(features->missing), words[i].name, reason);
    }
}
