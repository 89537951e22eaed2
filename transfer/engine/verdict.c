/* From figures to the stage that was waited for; see verdict.h. */
#include "transfer/engine/verdict.h"

#include <string.h>

#include "base/base.h"

#define BUSY_SHARE_MIN 0.01 /* less than this tells nothing about a ceiling */
#define STARVED_SHARE (1.0 / 3) /* of what its threads wanted of the CPU a side did not get */

/* Shares of one side's time; they add up to at most 1. */
struct side {
    bool known;
    double lanes, streams; /* how many worked at the same time */
    double elapsed; /* ns */
    /* what it did or waited for itself */
    double files, disk, hash, cpu, memory, pace, sync;
    double peer; /* it waited for the peer */
    double home_peer; /* the part of it in which its home did, and its streams had nothing to do */
    double help_delay; /* its helpers lacked a core: what waits for them then waits for the CPU */
};

static struct side side_read(const struct hsr_stages *stages, bool source);
static void side_work(struct side *side, const struct hsr_stages *stages, double *ret_slept);
static void side_waits(struct side *side, const struct hsr_stages *stages, double slept,
                       bool source);
static double side_help(struct side *side, double wait);
static void side_sync(struct side *target, const struct hsr_stages *stages,
                      const struct side *source);
static double side_own(const struct side *side);
static void judge_side(struct hsr_verdict *verdict, const struct side *side,
                       const struct hsr_stages *stages, bool source);
static void judge_network(struct hsr_verdict *verdict, const struct side *source,
                          const struct side *target, const struct hsr_stages *sent,
                          const struct hsr_stages *received);
static void judge_step(struct hsr_verdict *verdict, enum hsr_step step, double share,
                       double elapsed);
static uint64_t ceiling(uint64_t bytes, uint64_t busy_ns, double parallel, double elapsed);
static double share_of(uint64_t part, uint64_t whole);

const char *hsr_step_name(enum hsr_step step)
{
    static const char *const names[HSR_STEP_COUNT] = {
        [HSR_STEP_NONE] = "",
        [HSR_STEP_SOURCE_FILES] = "source files",
        [HSR_STEP_SOURCE_DISK] = "source disk",
        [HSR_STEP_SOURCE_HASH] = "source hash",
        [HSR_STEP_SOURCE_CPU] = "source CPU",
        [HSR_STEP_SOURCE_MEMORY] = "source memory",
        [HSR_STEP_BWLIMIT] = "the --bwlimit you set",
        [HSR_STEP_NETWORK] = "network",
        [HSR_STEP_TARGET_CPU] = "target CPU",
        [HSR_STEP_TARGET_MEMORY] = "target memory",
        [HSR_STEP_TARGET_HASH] = "target hash",
        [HSR_STEP_TARGET_DISK] = "target disk",
        [HSR_STEP_TARGET_FILES] = "target files",
        [HSR_STEP_TARGET_SYNC] = "target sync",
        [HSR_STEP_OTHER] = "network or other side",
    };

    return (unsigned)step < HSR_STEP_COUNT ? names[step] : "";
}

struct hsr_stages hsr_stages_between(const struct hsr_stages *earlier,
                                     const struct hsr_stages *later)
{
    struct hsr_stages between;

    for (unsigned i = 0; i < HSR_FIGURE_COUNT; i++)
        between.figure[i] =
            later->figure[i] > earlier->figure[i] ? later->figure[i] - earlier->figure[i] : 0;
    return between;
}

void hsr_verdict_make(const struct hsr_stages *source, const struct hsr_stages *target,
                      uint64_t bwlimit, struct hsr_verdict *ret_verdict)
{
    struct hsr_verdict *verdict = ret_verdict;
    struct side from = side_read(source, true), to = side_read(target, false);

    memset(verdict, 0, sizeof(*verdict));
    if (to.known)
        side_sync(&to, target, &from);
    if (from.known)
        judge_side(verdict, &from, source, true);
    if (to.known)
        judge_side(verdict, &to, target, false);
    verdict->steps[HSR_STEP_BWLIMIT].ceiling = bwlimit;
    if (from.known && to.known)
        judge_network(verdict, &from, &to, source, target);
    else if (from.known || to.known)
        judge_step(verdict, HSR_STEP_OTHER, from.known ? from.peer : to.peer,
                   from.known ? from.elapsed : to.elapsed);
    for (unsigned i = 1; i < HSR_STEP_COUNT; i++)
        if (verdict->steps[i].wait_ns > verdict->steps[verdict->limit].wait_ns)
            verdict->limit = (enum hsr_step)i;
}

static struct side side_read(const struct hsr_stages *stages, bool source)
{
    struct side side = { 0 };
    double slept;

    if (stages == NULL || stages->figure[HSR_FIGURE_ELAPSED] == 0 ||
        stages->figure[HSR_FIGURE_LANES] == 0)
        return side;
    side.known = true;
    side.elapsed = (double)stages->figure[HSR_FIGURE_ELAPSED];
    side.lanes = (double)stages->figure[HSR_FIGURE_LANES] / side.elapsed;
    side.streams = (double)stages->figure[HSR_FIGURE_STREAMS] / side.elapsed;
    side_work(&side, stages, &slept);
    side_waits(&side, stages, slept, source);
    return side;
}

/* The time in which the threads of a side did something, or wanted to. What the loop measured as
 * work holds three things: running on a core, waiting for one, and being stuck in a system call,
 * which is the disk's. What it measured as sleep may hold some running too: the kernel copies for
 * sockets in there. */
static void side_work(struct side *side, const struct hsr_stages *stages, double *ret_slept)
{
    const uint64_t *figure = stages->figure;
    uint64_t lanes = figure[HSR_FIGURE_LANES];
    double active = 1 - share_of(figure[HSR_FIGURE_ASLEEP], lanes);
    double delay = share_of(figure[HSR_FIGURE_DELAY], lanes);
    double wanted = HSR_MIN(share_of(figure[HSR_FIGURE_CPU], lanes) + delay, 1);
    double stuck, calls, scale;

    if (figure[HSR_FIGURE_CPU] + figure[HSR_FIGURE_DELAY] == 0)
        wanted = active;
    stuck = HSR_MAX(active - wanted, 0);
    *ret_slept = HSR_MAX(1 - wanted - stuck, 0);
    side->disk = stuck;
    side->help_delay = share_of(figure[HSR_FIGURE_HELP_DELAY], lanes);
    if (delay > wanted * STARVED_SHARE) { /* whatever it computes, it lacks a core */
        side->cpu = wanted;
        return;
    }
    scale = active > wanted ? wanted / active : 1;
    calls = share_of(figure[HSR_FIGURE_DISK_CALLS], lanes) * scale;
    side->hash = share_of(figure[HSR_FIGURE_HASH_TIME], lanes) * scale;
    side->files =
        share_of(figure[HSR_FIGURE_HOME_WORK] + figure[HSR_FIGURE_PACK_TIME], lanes) * scale;
    side->disk += calls;
    side->cpu = HSR_MAX(wanted - calls - side->hash - side->files, 0);
    if (calls <= wanted / 2 && side->hash <= wanted / 2 && side->files <= wanted / 2) {
        /* no part of the work stands out: together they are what the core does */
        side->cpu = wanted;
        side->disk = stuck;
        side->hash = 0;
        side->files = 0;
    }
}

/* Share out the time in which the threads slept by what the streams waited for. */
static void side_waits(struct side *side, const struct hsr_stages *stages, double slept,
                       bool source)
{
    const uint64_t *figure = stages->figure;
    uint64_t home = figure[HSR_FIGURE_HOME_PEER] + figure[HSR_FIGURE_HOME_WORK];
    double waits = 0, home_share, home_peer;

    for (unsigned i = HSR_FIGURE_WAIT_PEER; i <= HSR_FIGURE_WAIT_MEMORY; i++)
        waits += (double)figure[i];
    if (waits <= 0) { /* no stream yet, or none any more: only the home is left */
        side->peer = slept;
        side->home_peer = slept;
        return;
    }
    slept /= waits;
    side->disk += side_help(side, slept * (double)figure[HSR_FIGURE_WAIT_DISK]);
    side->memory = slept * (double)figure[HSR_FIGURE_WAIT_MEMORY];
    side->pace = slept * (double)figure[HSR_FIGURE_WAIT_PACE];
    side->peer = slept * (double)figure[HSR_FIGURE_WAIT_PEER];
    home_share = slept * (double)figure[HSR_FIGURE_WAIT_HOME];
    /* A target's stream waits for its home only to decide; a source's home may wait itself. */
    home_peer = !source ? 0 : home == 0 ? 1 : share_of(figure[HSR_FIGURE_HOME_PEER], home);
    side->files += home_share * (1 - home_peer);
    side->home_peer = home_share * home_peer;
    side->peer += side->home_peer;
}

/* Long calls, such as making huge pages or a syncfs, run on helpers. While one of them lacks a
 * core, what waits for the call waits for the CPU. Returns what is left of @wait. */
static double side_help(struct side *side, double wait)
{
    double lacked = HSR_MIN(wait, side->help_delay);

    side->help_delay -= lacked;
    side->cpu += lacked;
    return wait - lacked;
}

/* A sync is waited for only while the source has nothing more to send. */
static void side_sync(struct side *target, const struct hsr_stages *stages,
                      const struct side *source)
{
    double sync =
        share_of(stages->figure[HSR_FIGURE_HOME_SYNC], stages->figure[HSR_FIGURE_ELAPSED]);

    if (source->known)
        sync = HSR_MIN(sync, source->home_peer);
    sync = HSR_MIN(sync, target->peer);
    target->peer -= sync;
    target->sync = side_help(target, sync);
}

static double side_own(const struct side *side)
{
    return side->files + side->disk + side->hash + side->cpu + side->memory + side->pace +
           side->sync;
}

static void judge_side(struct hsr_verdict *verdict, const struct side *side,
                       const struct hsr_stages *stages, bool source)
{
    const uint64_t *figure = stages->figure;
    struct hsr_step_time *files =
        &verdict->steps[source ? HSR_STEP_SOURCE_FILES : HSR_STEP_TARGET_FILES];
    struct hsr_step_time *disk =
        &verdict->steps[source ? HSR_STEP_SOURCE_DISK : HSR_STEP_TARGET_DISK];
    struct hsr_step_time *hash =
        &verdict->steps[source ? HSR_STEP_SOURCE_HASH : HSR_STEP_TARGET_HASH];
    struct hsr_step_time *cpu = &verdict->steps[source ? HSR_STEP_SOURCE_CPU : HSR_STEP_TARGET_CPU];
    bool calls = figure[HSR_FIGURE_DISK_CALLS] > figure[HSR_FIGURE_DISK_TIME] / 2;

    judge_step(verdict, (enum hsr_step)(files - verdict->steps), side->files, side->elapsed);
    judge_step(verdict, (enum hsr_step)(disk - verdict->steps), side->disk, side->elapsed);
    judge_step(verdict, (enum hsr_step)(hash - verdict->steps), side->hash, side->elapsed);
    judge_step(verdict, (enum hsr_step)(cpu - verdict->steps), side->cpu, side->elapsed);
    judge_step(verdict, source ? HSR_STEP_SOURCE_MEMORY : HSR_STEP_TARGET_MEMORY, side->memory,
               side->elapsed);
    if (source)
        judge_step(verdict, HSR_STEP_BWLIMIT, side->pace, side->elapsed);
    else
        judge_step(verdict, HSR_STEP_TARGET_SYNC, side->sync, side->elapsed);
    files->busy_ns = figure[HSR_FIGURE_HOME_WORK] + figure[HSR_FIGURE_PACK_TIME];
    files->bytes = figure[HSR_FIGURE_PACK_BYTES];
    files->ceiling = ceiling(files->bytes, files->busy_ns, side->lanes, side->elapsed);
    disk->busy_ns = figure[HSR_FIGURE_DISK_TIME];
    disk->bytes = figure[HSR_FIGURE_DISK_BYTES];
    disk->ceiling =
        ceiling(disk->bytes, disk->busy_ns, calls ? side->lanes : side->streams, side->elapsed);
    hash->busy_ns = figure[HSR_FIGURE_HASH_TIME];
    hash->bytes = figure[HSR_FIGURE_HASH_BYTES];
    hash->ceiling = ceiling(hash->bytes, hash->busy_ns, side->lanes, side->elapsed);
    cpu->busy_ns = figure[HSR_FIGURE_CPU] + figure[HSR_FIGURE_HELP];
    /* of content, where it is known: a patch is smaller than what it makes */
    cpu->bytes = HSR_MAX(figure[HSR_FIGURE_WIRE_BYTES],
                         figure[HSR_FIGURE_HASH_BYTES] + figure[HSR_FIGURE_PACK_BYTES]);
    cpu->ceiling = ceiling(cpu->bytes, cpu->busy_ns, side->lanes, side->elapsed);
}

/* What both sides wait for. How fast it could be is known only from the time in which the target
 * was ready: a send that a slow target holds up says nothing about the network. */
static void judge_network(struct hsr_verdict *verdict, const struct side *source,
                          const struct side *target, const struct hsr_stages *sent,
                          const struct hsr_stages *received)
{
    double share = HSR_MAX(1 - side_own(source) - side_own(target), 0);
    struct hsr_step_time *network = &verdict->steps[HSR_STEP_NETWORK];
    double sending = share_of(sent->figure[HSR_FIGURE_WIRE_TIME], sent->figure[HSR_FIGURE_STREAMS]);
    double busy = HSR_MAX(HSR_MAX(share, sending - side_own(target)), 0);

    judge_step(verdict, HSR_STEP_NETWORK, share, source->elapsed);
    network->busy_ns = (uint64_t)(busy * source->elapsed);
    network->bytes =
        HSR_MIN(sent->figure[HSR_FIGURE_WIRE_BYTES], received->figure[HSR_FIGURE_WIRE_BYTES]);
    network->ceiling = ceiling(network->bytes, network->busy_ns, 1, source->elapsed);
}

static void judge_step(struct hsr_verdict *verdict, enum hsr_step step, double share,
                       double elapsed)
{
    hsr_assert(share >= 0);
    verdict->steps[step].wait_ns = (uint64_t)(HSR_MIN(share, 1) * elapsed);
}

static uint64_t ceiling(uint64_t bytes, uint64_t busy_ns, double parallel, double elapsed)
{
    double busy;

    if (parallel <= 0)
        return 0;
    busy = (double)busy_ns / parallel;
    if (bytes == 0 || busy < BUSY_SHARE_MIN * elapsed)
        return 0;
    /* A peer may send anything: what no machine does is cut before it overflows. */
    return (uint64_t)HSR_MIN((double)bytes / busy * (double)HSR_NS_PER_S, (double)HSR_FIGURE_MAX);
}

static double share_of(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : HSR_MIN((double)part / (double)whole, 1);
}
