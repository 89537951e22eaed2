/* Meters and lanes; see meter.h. */
#include "transfer/engine/meter.h"

#include <string.h>

#include "base/base.h"

static const enum hsr_figure flight_time[HSR_FLIGHT_COUNT] = {
    [HSR_FLIGHT_DISK] = HSR_FIGURE_DISK_TIME,
    [HSR_FLIGHT_WIRE] = HSR_FIGURE_WIRE_TIME,
};
static const enum hsr_figure flight_bytes[HSR_FLIGHT_COUNT] = {
    [HSR_FLIGHT_DISK] = HSR_FIGURE_DISK_BYTES,
    [HSR_FLIGHT_WIRE] = HSR_FIGURE_WIRE_BYTES,
};

static uint64_t lane_load(const atomic_ullong *from);
static void lane_store(atomic_ullong *to, uint64_t value);

void hsr_meter_init(struct hsr_meter *meter, struct hsr_loop *loop)
{
    memset(meter, 0, sizeof(*meter));
    meter->loop = loop;
    meter->cause = HSR_FIGURE_COUNT;
    meter->life = HSR_FIGURE_COUNT;
}

void hsr_meter_start(struct hsr_meter *meter, enum hsr_figure life)
{
    meter->life = life;
    meter->asleep_ns = hsr_meter_asleep(meter->loop);
    meter->life_ns = meter->loop->now_ns;
}

void hsr_meter_begin(struct hsr_meter *meter, enum hsr_flight flight)
{
    if (meter->flying[flight]++ == 0)
        meter->flying_ns[flight] = meter->loop->now_ns;
}

void hsr_meter_end(struct hsr_meter *meter, enum hsr_flight flight, uint64_t bytes)
{
    uint64_t now_ns = meter->loop->now_ns;

    hsr_assert(meter->flying[flight] > 0);
    meter->flying[flight]--;
    if (meter->flying[flight] == 0)
        hsr_meter_add(meter, flight_time[flight], now_ns - meter->flying_ns[flight]);
    hsr_meter_add(meter, flight_bytes[flight], bytes);
}

void hsr_meter_disk_begin(struct hsr_meter *meter, const struct hsr_op *op)
{
    if (!op->call)
        hsr_meter_begin(meter, HSR_FLIGHT_DISK);
}

void hsr_meter_disk_end(struct hsr_meter *meter, const struct hsr_op *op, int64_t res)
{
    if (op->call)
        hsr_meter_disk_call(meter, op->call_ns, res);
    else
        hsr_meter_end(meter, HSR_FLIGHT_DISK, res > 0 ? (uint64_t)res : 0);
}

void hsr_meter_disk_call(struct hsr_meter *meter, uint64_t ns, int64_t res)
{
    hsr_meter_add(meter, HSR_FIGURE_DISK_TIME, ns);
    hsr_meter_add(meter, HSR_FIGURE_DISK_CALLS, ns);
    hsr_meter_add(meter, HSR_FIGURE_DISK_BYTES, res > 0 ? (uint64_t)res : 0);
}

void hsr_meter_look(struct hsr_meter *meter)
{
    uint64_t now_ns = meter->loop->now_ns;

    hsr_meter_wait(meter, meter->cause);
    for (unsigned i = 0; i < HSR_FLIGHT_COUNT; i++) {
        if (meter->flying[i] > 0)
            hsr_meter_add(meter, flight_time[i], now_ns - meter->flying_ns[i]);
        meter->flying_ns[i] = now_ns;
    }
    if (meter->life != HSR_FIGURE_COUNT)
        hsr_meter_add(meter, meter->life, now_ns - meter->life_ns);
    meter->life_ns = now_ns;
}

void hsr_meter_read(const struct hsr_meter *meter, struct hsr_stages *into)
{
    for (unsigned i = 0; i < HSR_FIGURE_COUNT; i++)
        into->figure[i] += lane_load(&meter->figure[i]);
}

/* They are read one by one while they may change: a reader sees figures that are at most one
 * publication apart, a tenth of a second. */
void hsr_lane_look(struct hsr_lane *lane, struct hsr_loop *loop)
{
    struct hsr_usage usage = { 0 };
    const struct hsr_histogram *turn_ns = &loop->stats.turn_ns;
    /* Polling instead of sleeping is no work that anything waits for, nor is work ahead. */
    uint64_t spare_ns = loop->stats.spin_ns + hsr_job_count(&loop->jobs.account.ns[HSR_JOB_AHEAD]);

    (void)hsr_loop_usage(loop, &usage); /* not known: zeros say so */
    lane_store(&lane->lane_ns, hsr_loop_clock(loop));
    lane_store(&lane->asleep_ns, hsr_meter_asleep(loop));
    lane_store(&lane->cpu_ns, usage.cpu_ns > spare_ns ? usage.cpu_ns - spare_ns : 0);
    lane_store(&lane->delay_ns, usage.delay_ns);
    lane_store(&lane->help_ns, usage.help_ns);
    lane_store(&lane->help_delay_ns, usage.help_delay_ns);
    lane_store(&lane->turns, turn_ns->count);
    lane_store(&lane->turns_long, loop->stats.turns_long);
    lane_store(&lane->turn_p50_ns, hsr_histogram_quantile(turn_ns, 500000));
    lane_store(&lane->turn_p999_ns, hsr_histogram_quantile(turn_ns, 999000));
    lane_store(&lane->turn_max_ns, turn_ns->greatest);
    lane_store(&lane->step_p999_ns, hsr_histogram_quantile(&loop->jobs.step_ns, 999000));
    lane_store(&lane->preempted, hsr_job_count(&loop->jobs.account.preempted));
}

void hsr_lane_read(const struct hsr_lane *lane, struct hsr_stages *into)
{
    into->figure[HSR_FIGURE_LANES] += lane_load(&lane->lane_ns);
    into->figure[HSR_FIGURE_ASLEEP] += lane_load(&lane->asleep_ns);
    into->figure[HSR_FIGURE_CPU] += lane_load(&lane->cpu_ns);
    into->figure[HSR_FIGURE_DELAY] += lane_load(&lane->delay_ns);
    into->figure[HSR_FIGURE_HELP] += lane_load(&lane->help_ns);
    into->figure[HSR_FIGURE_HELP_DELAY] += lane_load(&lane->help_delay_ns);
}

void hsr_lane_ahead(const struct hsr_lane *lane, struct hsr_ahead *into)
{
    into->turns += lane_load(&lane->turns);
    into->turns_long += lane_load(&lane->turns_long);
    into->turn_p50_ns = HSR_MAX(into->turn_p50_ns, lane_load(&lane->turn_p50_ns));
    into->turn_p999_ns = HSR_MAX(into->turn_p999_ns, lane_load(&lane->turn_p999_ns));
    into->turn_max_ns = HSR_MAX(into->turn_max_ns, lane_load(&lane->turn_max_ns));
    into->step_p999_ns = HSR_MAX(into->step_p999_ns, lane_load(&lane->step_p999_ns));
    into->preempted += lane_load(&lane->preempted);
}

static uint64_t lane_load(const atomic_ullong *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static void lane_store(atomic_ullong *to, uint64_t value)
{
    atomic_store_explicit(to, value, memory_order_relaxed);
}
