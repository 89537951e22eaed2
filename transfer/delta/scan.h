/* The inner loop of the matcher: roll until the index knows the window. */
#ifndef HSR_DELTA_SCAN_H
#define HSR_DELTA_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "transfer/delta/index.h"

/** Roll from the window at @window, whose state is *@state, up to @steps bytes on. @window has
 * block_size + @steps bytes. Stops at the first window, not the one at @window, whose weak sum is
 * in the index or 0, and sets *@ret_found. Returns how many bytes it has rolled; *@state is of the
 * window there. */
uint32_t hsr_delta_scan(const struct hsr_delta_index *index, const uint8_t *window, uint32_t steps,
                        uint64_t *state, bool *ret_found);

#endif
