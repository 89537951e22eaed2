/* See pulse.h. */
#include "transfer/engine/pulse.h"

#include <string.h>

#include "base/base.h"

#define PULSE_BEATS 4u /* in the shortest silence that one of the two bears */
#define PULSE_BEAT_MIN_NS (100 * HSR_NS_PER_MS) /* whatever the peer wishes */
#define PULSE_QUIET_NS (3 * HSR_NS_PER_S) /* is named: a few beats are missing */
#define PULSE_NAMED 2u /* or this part of the bound: a look that is late must not go over it */

void hsr_pulse_start(struct hsr_pulse *pulse, uint64_t now_ns, uint64_t bound_ns, uint32_t peer_ms)
{
    uint64_t least = bound_ns;

    hsr_assert(bound_ns > 0);
    if (peer_ms > 0)
        least = HSR_MIN(least, peer_ms * (uint64_t)HSR_NS_PER_MS);
    memset(pulse, 0, sizeof(*pulse));
    pulse->bound_ns = bound_ns;
    pulse->beat_ns = HSR_MIN(HSR_PULSE_BEAT_NS, HSR_MAX(least / PULSE_BEATS, PULSE_BEAT_MIN_NS));
    pulse->looked_ns = pulse->heard_ns = pulse->told_ns = now_ns;
}

int hsr_pulse_told(struct hsr_pulse *pulse, uint64_t now_ns, bool rests, uint64_t told,
                   uint64_t given)
{
    hsr_require(told >= pulse->told && told <= given, HSR_E_PROTOCOL);
    if (told > pulse->told || told == given || rests)
        pulse->told_ns = now_ns;
    pulse->told = told;
    pulse->untold_ns = now_ns - HSR_MIN(pulse->told_ns, now_ns);
    return 0;
}

int hsr_pulse_look(struct hsr_pulse *pulse, uint64_t now_ns, const struct hsr_pulse_view *view)
{
    uint64_t slept_ns = now_ns - HSR_MIN(pulse->looked_ns, now_ns);

    hsr_assert(pulse->beat_ns > 0);
    hsr_assert(view->received >= pulse->heard);
    if (slept_ns > 2 * pulse->beat_ns) { /* the peer's bytes of that time are still to be read */
        slept_ns -= pulse->beat_ns;
        pulse->heard_ns += slept_ns;
        pulse->told_ns = HSR_MIN(pulse->told_ns + slept_ns, now_ns);
    }
    pulse->looked_ns = now_ns;
    if (view->received > pulse->heard || !view->reading)
        pulse->heard_ns = now_ns;
    pulse->heard = view->received;
    if (now_ns - pulse->heard_ns > pulse->bound_ns || pulse->untold_ns > pulse->bound_ns)
        return HSR_E_TIMEOUT;
    return 0;
}

uint64_t hsr_pulse_quiet(const struct hsr_pulse *pulse, bool *ret_there)
{
    uint64_t quiet_ns = pulse->looked_ns - pulse->heard_ns;
    /* A bound may be shorter than what is worth a word otherwise. */
    uint64_t least = HSR_MIN(PULSE_QUIET_NS, pulse->bound_ns / PULSE_NAMED);

    *ret_there = pulse->untold_ns > quiet_ns;
    quiet_ns = HSR_MAX(quiet_ns, pulse->untold_ns);
    return quiet_ns >= least ? quiet_ns : 0;
}
