/* Rolling through what is not known. */
#include "transfer/delta/scan.h"

uint32_t hsr_delta_scan(const struct hsr_delta_index *index, const uint8_t *window, uint32_t steps,
                        uint64_t *state, bool *ret_found)
{
    uint32_t block_size = index->plan.block_size;
    uint64_t rolled = *state;

    for (uint32_t i = 0; i < steps; i++) {
        uint32_t weak, bit;

        rolled = hsr_weak_roll(&index->weak, rolled, window[i], window[i + block_size]);
        weak = hsr_weak_sum(rolled);
        bit = weak >> index->filter_shift;
        if ((index->filter[bit / 64] >> bit % 64 & 1) != 0 &&
            (weak == 0 || hsr_delta_index_has(index, weak))) {
            *state = rolled;
            *ret_found = true;
            return i + 1;
        }
    }
    *state = rolled;
    *ret_found = false;
    return steps;
}
