/* When a job is tried again, and after how long. Pure: no clock, no network. */
#ifndef HSR_CLIENT_ATTEMPTS_H
#define HSR_CLIENT_ATTEMPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"

#define ATTEMPTS_RETRIES 5u /* by default, in a row without progress: 16 s of pauses on average */
#define ATTEMPTS_PAUSE_NS                                                                          \
    (1000000000ull) /* at most before the first retry; doubled for each next */
#define ATTEMPTS_PAUSE_MAX_NS (30 * ATTEMPTS_PAUSE_NS) /* as long as a server drains */

struct hsr_attempts {
    uint32_t retries; /* allowed in a row without progress */
    bool connect; /* also when the server was never reached */
    bool reached; /* it was, in one of the attempts */
    uint32_t made; /* retries so far */
    uint32_t spent; /* of them, since the last progress */
    uint64_t best; /* the furthest that an attempt came, in entries */
    uint64_t best_kept; /* and in bytes that it found of earlier ones */
    struct hsr_prng prng; /* for the pauses */
};

/** How an attempt ended. */
struct hsr_attempt_end {
    int rc; /* why */
    bool opened; /* the server accepted the session */
    uint64_t settled; /* entries that need nothing more: a later attempt that has more of them went
                         further */
    uint64_t kept; /* bytes of files begun by earlier attempts that it found: the one before went as
                      far, in a file that is not settled yet */
};

/** Is it to be tried again? Counts it if so. Full jitter: the pause is drawn from the whole of
 * [0, most], and `most` doubles, so that many clients of one server do not come back at once.
 * @param ret_pause_ns  how long to wait before */
bool hsr_attempts_again(struct hsr_attempts *attempts, const struct hsr_attempt_end *end,
                        uint64_t *ret_pause_ns);

#endif
