/* The tables of rows, one for each layer, and what they share. */
#ifndef HSR_BENCH_MICRO_ROWS_H
#define HSR_BENCH_MICRO_ROWS_H

#include "bench/micro/micro.h"

struct hsr_micro_table {
    const struct hsr_micro_row *rows;
    size_t count;
};

extern const struct hsr_micro_table hsr_micro_hash;
extern const struct hsr_micro_table hsr_micro_blake3;
extern const struct hsr_micro_table hsr_micro_delta;
extern const struct hsr_micro_table hsr_micro_proto;
extern const struct hsr_micro_table hsr_micro_filter;
extern const struct hsr_micro_table hsr_micro_ring;
extern const struct hsr_micro_table hsr_micro_message;

/** Make the compiler compute @value although nobody looks at it. */
static inline void hsr_micro_keep(uint64_t value)
{
    __asm__ volatile("" : : "r"(value));
}

/** Make it store what @ptr points to, and forget that it knows it. */
static inline void hsr_micro_clobber(const void *ptr)
{
    __asm__ volatile("" : : "r"(ptr) : "memory");
}

/** Zeroed memory in whole cache lines; a row cannot go on without, so it ends the process. */
void *hsr_micro_alloc(size_t size);

#endif
