/* The pulse of one connection: is its peer alive, and does each of the two ways carry bytes?
 *
 * Both sides send a BEAT now and then, whatever else they send, with the bytes that they have
 * received; REST instead, while they read nothing on purpose (that is how a stream says "slower").
 * So each side sees for itself, whoever sends the data:
 *
 *   nothing comes, though we read             -> the way here is dead, or the peer
 *   beats come, and say that nothing arrives  -> the way there is dead
 *
 * A peer that is slow counts as alive, as long as a byte arrives within the bound. What no packet
 * shows is seen too: a peer that is stopped, whose kernel acknowledges all the same.
 *
 * Pure: no clock, no connection. */
#ifndef HSR_ENGINE_PULSE_H
#define HSR_ENGINE_PULSE_H

#include <stdbool.h>
#include <stdint.h>

/* At most between two beats, so that a stall can be named before it is borne no longer. */
#define HSR_PULSE_BEAT_NS ((uint64_t)1000000000)

struct hsr_pulse {
    uint64_t bound_ns; /* silence that is borne */
    uint64_t beat_ns; /* from one look to the next, and one beat; 0: nothing is looked at */
    uint64_t looked_ns;
    uint64_t heard; /* bytes that had come at the last look */
    uint64_t heard_ns; /* since then nothing came, though we read */
    uint64_t told; /* bytes of ours that have arrived, by the peer's word */
    uint64_t told_ns; /* since then no more, though some are on their way and the peer reads */
    uint64_t untold_ns; /* how long that was, when the last beat came; 0: they arrive */
};

/** What a look sees of the connection. */
struct hsr_pulse_view {
    uint64_t received; /* bytes, since it began */
    bool reading; /* a receive is armed, and what comes is looked at */
};

/** From now on.
 * @param bound_ns  silence that we bear
 * @param peer_ms   that the peer does, in milliseconds; 0: it did not say */
void hsr_pulse_start(struct hsr_pulse *pulse, uint64_t now_ns, uint64_t bound_ns, uint32_t peer_ms);

/** BEAT or REST (@rests) came: the peer has received @told bytes of the @given that were given to
 * the connection. 0; HSR_E_PROTOCOL: it cannot have. */
int hsr_pulse_told(struct hsr_pulse *pulse, uint64_t now_ns, bool rests, uint64_t told,
                   uint64_t given);

/** Look, every `beat_ns`. Who looks late has slept himself, and does not count that time.
 * 0; HSR_E_TIMEOUT: the bound is over. */
int hsr_pulse_look(struct hsr_pulse *pulse, uint64_t now_ns, const struct hsr_pulse_view *view);

/** How long no byte has come, or arrived, as of the last look; 0: less than is worth a word.
 * @param ret_there  it is what we send that does not arrive */
uint64_t hsr_pulse_quiet(const struct hsr_pulse *pulse, bool *ret_there);

#endif
