/* What callgrind counts: each row `times` and then 2 x `times` times, so that bench/micro/regress
 * gets one operation's instructions from the difference. callgrind collects inside of
 * hsr_micro_counting() only and dumps its counters whenever that returns; the lines printed here,
 * in the same order, say what each dump was. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro/micro.h"
#include "hash/digest.h"

#define TIMES 64u /* over it a row's own rare events (a heap grows, a page ends) are averaged */

#ifdef HSR_STRICT
#define STRICT ", strict"
#else
#define STRICT ""
#endif

void hsr_micro_counting(const struct hsr_micro_row *row, void *state, uint64_t times);

/* Never inlined and with a name, because callgrind is told the name. */
__attribute__((noinline)) void hsr_micro_counting(const struct hsr_micro_row *row, void *state,
                                                  uint64_t times)
{
    row->run(state, times);
    __asm__ volatile("" ::: "memory"); /* no tail call: this must still be the function */
}

static bool row_count(const struct hsr_micro_row *row)
{
    for (unsigned round = 1; round <= 2; round++) {
        void *state = NULL;
        const char *why = row->open(row, &state);

        if (why != NULL) {
            fprintf(stderr, "micro_count: %s: %s\n", row->name, why);
            return false;
        }
        hsr_micro_counting(row, state, (uint64_t)round * TIMES);
        row->close(state);
    }
    printf("row %s %u\n", row->name, TIMES * (row->operations > 0 ? row->operations : 1));
    return true;
}

/* Does the row's name begin as one of the arguments? Without any, all are meant. */
static bool row_wanted(const struct hsr_micro_row *row, int argc, char **argv)
{
    for (int arg = 1; arg < argc; arg++)
        if (strncmp(row->name, argv[arg], strlen(argv[arg])) == 0)
            return true;
    return argc == 1;
}

int main(int argc, char **argv)
{
    bool list = argc == 2 && strcmp(argv[1], "--list") == 0;
    const struct hsr_micro_row *row;

    if (!list)
        printf("build %s%s\nsimd %s\n", MICRO_BUILD, STRICT, hsr_hash_simd());
    for (size_t i = 0; (row = hsr_micro_row(i)) != NULL; i++) {
        if (list)
            printf("%s %s\n", row->counted ? "counted" : "timed", row->name);
        else if (row->counted && row_wanted(row, argc, argv) && !row_count(row))
            return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
