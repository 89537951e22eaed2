/* What limits a transfer: from where the time of both sides went to the stage that the others
 * waited for. Pure arithmetic on figures (transfer/engine/meter.h collects them): no clock, no
 * state.
 *
 *   source files, disk, hash, CPU, memory | --bwlimit | network | target CPU, memory, hash, disk,
 *   files, sync
 *
 * A side's time is its own where its threads work (or would, had they a core) and where it waits
 * for its disk, its syncs or its memory; the rest it waits for the peer. What both sides wait for
 * at the same time is the network's. docs/ARCHITECTURE.md, "What limits it". */
#ifndef HSR_ENGINE_VERDICT_H
#define HSR_ENGINE_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "transfer/proto/message.h"

/* The same numbers as enum hawser_stage of the library. */
enum hsr_step {
    HSR_STEP_NONE, /* nothing to say yet */
    HSR_STEP_SOURCE_FILES, /* walk, small files, metadata */
    HSR_STEP_SOURCE_DISK,
    HSR_STEP_SOURCE_HASH,
    HSR_STEP_SOURCE_CPU,
    HSR_STEP_SOURCE_MEMORY, /* buffers */
    HSR_STEP_BWLIMIT,
    HSR_STEP_NETWORK,
    HSR_STEP_TARGET_CPU,
    HSR_STEP_TARGET_MEMORY,
    HSR_STEP_TARGET_HASH,
    HSR_STEP_TARGET_DISK,
    HSR_STEP_TARGET_FILES, /* decisions, small files, metadata, names */
    HSR_STEP_TARGET_SYNC,
    HSR_STEP_OTHER, /* the network or the other side, which does not tell */
    HSR_STEP_COUNT
};

struct hsr_step_time {
    uint64_t busy_ns; /* it worked, or work was under way in it; summed over threads or streams */
    uint64_t wait_ns; /* of the elapsed time: the others waited for it */
    uint64_t bytes; /* that went through it; 0 where that means nothing */
    uint64_t ceiling; /* bytes per second it could do alone; 0: not known from this */
};

struct hsr_verdict {
    enum hsr_step limit; /* the stage that was waited for most */
    struct hsr_step_time steps[HSR_STEP_COUNT];
};

/** Words for people: "target disk". */
const char *hsr_step_name(enum hsr_step step);

/** @later - @earlier, figure by figure; what went backwards counts as nothing. */
struct hsr_stages hsr_stages_between(const struct hsr_stages *earlier,
                                     const struct hsr_stages *later);

/** Judge one stretch of time.
 * @param source, target  what both sides did in it; NULL: not known
 * @param bwlimit         bytes per second; 0: none */
void hsr_verdict_make(const struct hsr_stages *source, const struct hsr_stages *target,
                      uint64_t bwlimit, struct hsr_verdict *ret_verdict);

#endif
