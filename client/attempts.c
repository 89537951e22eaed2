/* See attempts.h. */
#include "client/attempts.h"

#include <errno.h>

#include "base/base.h"

/* Did somebody answer, be it with a refusal of his own? */
static bool attempt_reached(const struct hsr_attempt_end *end)
{
    return end->opened || end->rc == HSR_E_BUSY || end->rc == HSR_E_SHUTDOWN ||
           end->rc == HSR_E_CLOSED || end->rc == -ECONNRESET || end->rc == -EPIPE;
}

/* What time may mend. A name that cannot be resolved comes back with its name server. */
static bool attempt_may_help(int rc)
{
    enum hsr_class class = hsr_err_class(rc);

    if (rc == HSR_E_RESOLVE)
        return true;
    return (class == HSR_CLASS_NET || rc == HSR_E_BUSY || rc == HSR_E_SHUTDOWN) &&
           hsr_err_retry(rc);
}

bool hsr_attempts_again(struct hsr_attempts *attempts, const struct hsr_attempt_end *end,
                        uint64_t *ret_pause_ns)
{
    uint64_t most = ATTEMPTS_PAUSE_NS;

    hsr_assert(end->rc < 0);
    hsr_assert(attempts->spent <= attempts->made);
    attempts->reached |= attempt_reached(end);
    if (end->settled > attempts->best || end->kept > attempts->best_kept)
        attempts->spent = 0; /* each is bounded by the tree: that cannot go on for ever */
    attempts->best = HSR_MAX(attempts->best, end->settled);
    attempts->best_kept = HSR_MAX(attempts->best_kept, end->kept);
    if (!attempt_may_help(end->rc) || !(attempts->reached || attempts->connect) ||
        attempts->spent >= attempts->retries)
        return false;
    for (uint32_t i = 0; i < attempts->spent && most < ATTEMPTS_PAUSE_MAX_NS; i++)
        most *= 2;
    most = HSR_MIN(most, (uint64_t)ATTEMPTS_PAUSE_MAX_NS);
    attempts->spent++;
    attempts->made++;
    *ret_pause_ns = hsr_prng_below(&attempts->prng, most + 1);
    return true;
}
