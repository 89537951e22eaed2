/* Rolling through what is not known, a run of positions at a time: a loop without branches that the
 * data decides collects the few positions that pass the filter, and only those are searched. Two
 * states hang on one multiplication of the one before: a core multiplies in 3 to 4 cycles, but
 * begins one in each. */
#include "transfer/delta/scan.h"

#include "base/base.h"
#include "transfer/delta/weak.h"

#define RUN 512u /* positions; what passes of them stays in the first cache */
#define UNROLL 2u

struct scan_hits {
    uint32_t count;
    uint32_t sums[RUN];
    uint16_t positions[RUN]; /* of the byte that was rolled out */
};

static inline bool filter_has(const struct hsr_delta_index *index, uint32_t bit)
{
    return (index->filter[bit / 64] >> bit % 64 & 1) != 0;
}

/* Written in any case, kept if the filter's first bit is set. */
static inline uint32_t hit_put(const struct hsr_delta_index *index, struct scan_hits *hits,
                               uint32_t count, uint64_t state, uint32_t position)
{
    uint32_t sum = hsr_weak_sum(state);

    hits->sums[count] = sum;
    hits->positions[count] = (uint16_t)position;
    return count + filter_has(index, sum >> index->filter_shift);
}

/* Roll @count bytes on from @state; returns the state there. */
static uint64_t scan_run(const struct hsr_delta_index *index, const uint8_t *out, uint32_t count,
                         uint64_t state, struct scan_hits *hits)
{
    const uint8_t *in = out + index->plan.block_size;
    const uint64_t power = index->power, m = HSR_WEAK_MULTIPLIER;
    uint32_t i = 0, hit_count = 0;

    for (; i + UNROLL <= count; i += UNROLL) {
        uint64_t first = in[i] - power * out[i];
        uint64_t second = in[i + 1] - power * out[i + 1];
        uint64_t between = (state + first) * m;

        state = state * (m * m) + (first * m + second) * m;
        hit_count = hit_put(index, hits, hit_count, between, i);
        hit_count = hit_put(index, hits, hit_count, state, i + 1);
    }
    for (; i < count; i++) {
        state = hsr_weak_roll(power, state, out[i], in[i]);
        hit_count = hit_put(index, hits, hit_count, state, i);
    }
    hits->count = hit_count;
    return state;
}

/* Of the hits the first that the index has; hits->count if it has none. */
static uint32_t scan_known(const struct hsr_delta_index *index, const struct scan_hits *hits)
{
    for (uint32_t i = 0; i < hits->count; i++) {
        uint32_t sum = hits->sums[i];

        if (filter_has(index, sum & index->filter_mask) &&
            (sum == 0 || hsr_delta_index_has(index, sum)))
            return i;
    }
    return hits->count;
}

uint32_t hsr_delta_scan(const struct hsr_delta_index *index, const uint8_t *window, uint32_t steps,
                        uint64_t *state, bool *ret_found)
{
    struct scan_hits hits;
    uint32_t count;

    for (uint32_t done = 0; done < steps; done += count) {
        uint64_t next;
        uint32_t known;

        count = HSR_MIN(RUN, steps - done);
        next = scan_run(index, window + done, count, *state, &hits);
        known = scan_known(index, &hits);
        if (known < hits.count) {
            uint32_t rolled = hits.positions[known] + 1u;

            *state = hsr_weak_block(window + done + rolled, index->plan.block_size);
            *ret_found = true;
            return done + rolled;
        }
        *state = next;
    }
    *ret_found = false;
    return steps;
}
