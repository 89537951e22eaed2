/* The rows of bench/micro: each is a loop over one small thing of the house, in C. Two programs run
 * them: bench.cc measures time with Google Benchmark, count.c is what callgrind counts. */
#ifndef HSR_BENCH_MICRO_H
#define HSR_BENCH_MICRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hsr_micro_row {
    const char *name; /* what/how/size */
    /** Prepare; NULL, or why this machine cannot run the row (static text). */
    const char *(*open)(const struct hsr_micro_row *row, void **ret_state);
    void (*run)(void *state, uint64_t times);
    void (*close)(void *state);
    const void *what; /* what open() needs to know besides the size; its own affair */
    size_t size; /* bytes, items, or how deep a batch is */
    uint32_t operations; /* in one run; 0 means 1 */
    uint64_t bytes; /* worked through in one run; 0: the row has no rate in bytes */
    bool counted; /* has a line in instructions.json: no threads, no kernel, no AVX-512 */
};

/** The row with this index, from 0 on; NULL after the last. */
const struct hsr_micro_row *hsr_micro_row(size_t index);

#ifdef __cplusplus
}
#endif

#endif
