/* Small seeded generator (splitmix64, Steele et al. 2014) for tests, jitter and simulation. Not for
 * secrets: those come from getrandom(2). */
#ifndef HSR_BASE_PRNG_H
#define HSR_BASE_PRNG_H

#include <stdint.h>

struct hsr_prng {
    uint64_t state;
};

static inline struct hsr_prng hsr_prng_init(uint64_t seed)
{
    return (struct hsr_prng){ .state = seed };
}

static inline uint64_t hsr_prng_next(struct hsr_prng *prng)
{
    uint64_t z = (prng->state += 0x9e3779b97f4a7c15ull);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/** Uniform in [0, bound); @bound > 0. The bias is below bound / 2^64. */
static inline uint64_t hsr_prng_below(struct hsr_prng *prng, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)hsr_prng_next(prng) * bound) >> 64);
}

#endif
