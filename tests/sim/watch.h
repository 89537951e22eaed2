/* A real ring that counts the operations of its process, and lets one of them be the last, or fail:
 * what the simulated world does, on a real kernel. */
#ifndef HSR_SIM_WATCH_H
#define HSR_SIM_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ring/backend.h"

/* Shared by all rings of a process, and with whoever waits for it to end. */
struct sim_watch {
    uint64_t kill_nth; /* SIGKILL instead of this operation, from 1; 0: never */
    uint64_t fault_nth; /* from this one on the first that can fail does; 0: none */
    uint64_t pick; /* which of its errors */
    bool target; /* this process writes: see sim_watch_error() */
    _Atomic uint64_t ops;
    _Atomic uint32_t fired;
    _Atomic uint32_t fired_kind, fired_error;
};

/** A ring of `ring/uring.c` below @watch, which outlives it; on the loop's thread. As
 * hsr_uring_create(). */
int sim_watch_create(struct sim_watch *watch, struct hsr_backend **ret_backend, char *why,
                     size_t why_size);

#endif
