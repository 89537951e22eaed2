/* Meters: where the time of a stream or of a session's home goes, one cause at a time.
 *
 * Waiting is measured on the clock of the loop's sleep: while the loop does something, nothing on
 * its thread waits for anything but its turn. That clock is a counter which the loop keeps anyway,
 * so that saying why a machine waits costs two loads and a store, and no look at a clock.
 *
 * A meter is written by its loop's thread alone; its figures may be read by any. */
#ifndef HSR_ENGINE_METER_H
#define HSR_ENGINE_METER_H

#include <stdatomic.h>

#include "ring/ring.h"
#include "transfer/proto/message.h"

enum hsr_flight { HSR_FLIGHT_DISK, HSR_FLIGHT_WIRE, HSR_FLIGHT_COUNT };

struct hsr_meter {
    struct hsr_loop *loop;
    atomic_ullong figure[HSR_FIGURE_COUNT];
    enum hsr_figure cause; /* what it waits for; HSR_FIGURE_COUNT: nothing */
    enum hsr_figure life; /* counts its own time */
    uint64_t asleep_ns; /* the loop's sleep when it was last looked at */
    uint64_t life_ns; /* and the time */
    uint32_t flying[HSR_FLIGHT_COUNT]; /* operations under way */
    uint64_t flying_ns[HSR_FLIGHT_COUNT]; /* since when, as far as it is not counted */
};

/** All zero, for @loop's thread to write. Any thread. */
void hsr_meter_init(struct hsr_meter *meter, struct hsr_loop *loop);

/** From now on. The loop's thread, as everything below.
 * @param life  the figure that counts how long it exists */
void hsr_meter_start(struct hsr_meter *meter, enum hsr_figure life);

static inline void hsr_meter_add(struct hsr_meter *meter, enum hsr_figure figure, uint64_t more)
{
    atomic_ullong *to = &meter->figure[figure];

    /* One writer: no read-modify-write is needed. */
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

/** How long nothing was runnable on @loop: nothing waits for work ahead. */
static inline uint64_t hsr_meter_asleep(const struct hsr_loop *loop)
{
    return hsr_loop_gap_ns(loop);
}

/** The machine goes on: the sleep since the last look was for its cause. Then it waits for
 * @cause (HSR_FIGURE_COUNT: it runs). */
static inline void hsr_meter_wait(struct hsr_meter *meter, enum hsr_figure cause)
{
    uint64_t asleep_ns = hsr_meter_asleep(meter->loop);

    if (asleep_ns != meter->asleep_ns && meter->cause != HSR_FIGURE_COUNT)
        hsr_meter_add(meter, meter->cause, asleep_ns - meter->asleep_ns);
    meter->asleep_ns = asleep_ns;
    meter->cause = cause;
}

/** An operation begins or ends; the time with at least one under way goes to @flight's figure. */
void hsr_meter_begin(struct hsr_meter *meter, enum hsr_flight flight);
void hsr_meter_end(struct hsr_meter *meter, enum hsr_flight flight, uint64_t bytes);

/** The same for a read or write that goes through the loop: a plain call knows its own time.
 * @param res  the operation's result */
void hsr_meter_disk_begin(struct hsr_meter *meter, const struct hsr_op *op);
void hsr_meter_disk_end(struct hsr_meter *meter, const struct hsr_op *op, int64_t res);

/** A plain read or write of @ns nanoseconds that did not go through the loop's queue. */
void hsr_meter_disk_call(struct hsr_meter *meter, uint64_t ns, int64_t res);

/** Count what is not counted yet: a wait, a flight, the life. */
void hsr_meter_look(struct hsr_meter *meter);

/** Add its figures to @into. Any thread. */
void hsr_meter_read(const struct hsr_meter *meter, struct hsr_stages *into);

/* ---- a shard's thread: one lane ---- */

/* What the thread published last; any thread may read it. */
struct hsr_lane {
    atomic_ullong lane_ns; /* time since some start */
    atomic_ullong asleep_ns;
    atomic_ullong cpu_ns, delay_ns;
    atomic_ullong help_ns, help_delay_ns;
    /* of the thread since it began, for the figures of work ahead */
    atomic_ullong turns, turns_long, turn_p50_ns, turn_p999_ns, turn_max_ns, step_p999_ns;
    atomic_ullong preempted;
};

/** Publish. The loop's thread; some microseconds. */
void hsr_lane_look(struct hsr_lane *lane, struct hsr_loop *loop);

/** Add its figures to @into. Any thread. */
void hsr_lane_read(const struct hsr_lane *lane, struct hsr_stages *into);

/** Add, or let the worst thread speak for all. Any thread. */
void hsr_lane_ahead(const struct hsr_lane *lane, struct hsr_ahead *into);

#endif
