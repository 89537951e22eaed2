/* Signatures before their turn: what they came to, for people and for programs. */
#include <stdio.h>

#include "client/cli/cli.h"

static const struct {
    const char *word; /* JSON */
    const char *text;
} states[] = {
    [HAWSER_AHEAD_NONE] = { "none", "no deltas" },
    [HAWSER_AHEAD_WAS_OFF] = { "off", "off" },
    [HAWSER_AHEAD_WAS_ON] = { "on", "on" },
    [HAWSER_AHEAD_STALE] = { "stale", "turned itself off: old versions change meanwhile" },
    [HAWSER_AHEAD_WASTED] = { "wasted", "turned itself off: most of it is not used" },
    [HAWSER_AHEAD_NO_GAPS] = { "no gaps", "turned itself off: no gaps" },
    [HAWSER_AHEAD_QUICK] = { "quick", "turned itself off: signatures take no time" },
    [HAWSER_AHEAD_NO_MEMORY] = { "no memory", "off: other sessions have the memory" },
};

const char *cli_ahead_word(enum hawser_ahead_state state)
{
    return states[state].word;
}

void cli_ahead_print(const hawser_ahead_stats *ahead)
{
    char gaps[32], demand[32], wasted[32];

    if (ahead->state == HAWSER_AHEAD_NONE)
        return;
    printf("signatures ahead: %s; %s in gaps, %s waited for, %s not used; %llu ready, %llu late, "
           "%llu stale\n",
           states[ahead->state].text,
           cli_bytes_print((double)ahead->ahead_bytes, gaps, sizeof(gaps)),
           cli_bytes_print((double)ahead->demand_bytes, demand, sizeof(demand)),
           cli_bytes_print((double)ahead->wasted_bytes, wasted, sizeof(wasted)),
           (unsigned long long)ahead->hits, (unsigned long long)ahead->late,
           (unsigned long long)ahead->stale);
    printf("target's gaps: %.1f ms found, %.1f used, %llu preempted; turns: %llu, median %.0f us, "
           "p99.9 %.0f us, longest %.0f us, %llu over 1 ms; steps: p99.9 %.0f us\n",
           (double)ahead->gap_ns / 1e6, (double)ahead->used_ns / 1e6,
           (unsigned long long)ahead->preempted, (unsigned long long)ahead->turns,
           (double)ahead->turn_p50_ns / 1e3, (double)ahead->turn_p999_ns / 1e3,
           (double)ahead->turn_max_ns / 1e3, (unsigned long long)ahead->turns_long,
           (double)ahead->step_p999_ns / 1e3);
}
