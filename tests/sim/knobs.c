/* See knobs.h. */
#include "tests/sim/knobs.h"

#include <stdlib.h>
#include <string.h>

#define PIPE_LEAST 512u /* bytes: less, and a run takes too many turns */
#define PIPE_LARGE (16 * HSR_KIB) /* the same of large files */
#define RESUME_EVERY 4u /* large files take long: so many times fewer than of the other kinds */
#define RESUME_OPS 1500u /* of a host, in a run of them */
#define RESUME_SLOW 8000u
#define GOES_ON_EVERY 12u /* one transfer in so many is that of random_goes_on() */
#define GOES_ON_LEAST 250u /* operations of a host: before that nothing is worth being kept */
#define GOES_ON_OPS 600u /* so many more; of most runs that is before the end */
#define OPS_OCTAVES 12u /* a crash comes within the first 4096 operations of a host, or never */

const struct sim_knob sim_knob_table[SIM_KNOB_COUNT] = {
#define SIM_KNOB_ROW(knob, lowest, words) { .name = #knob, .text = words, .least = lowest },
    SIM_KNOBS(SIM_KNOB_ROW)
#undef SIM_KNOB_ROW
};

static uint32_t below(struct hsr_prng *prng, uint32_t bound)
{
    return (uint32_t)hsr_prng_below(prng, bound);
}

/* True in one of @of cases. */
static uint32_t once(struct hsr_prng *prng, uint32_t of)
{
    return hsr_prng_below(prng, of) == 0;
}

/* Of any order of magnitude below 2^@octaves. */
static uint32_t scaled(struct hsr_prng *prng, unsigned octaves)
{
    return below(prng, 1u << (1 + below(prng, octaves)));
}

static void random_trees(struct hsr_prng *prng, struct sim_knobs *knobs)
{
    static const uint32_t kinds[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5 };

    knobs->pull = below(prng, 2);
    knobs->kind = kinds[below(prng, HSR_ARRAY_COUNT(kinds))];
    if (knobs->kind == 2)
        knobs->pull = 0;
    if (knobs->kind == 3 || knobs->kind == 4)
        knobs->pull = 1;
    knobs->tree = below(prng, SIM_FOREST_RESUME * RESUME_EVERY + 1) / RESUME_EVERY;
    knobs->files = 1 + below(prng, once(prng, 8) ? 120 : 24);
    knobs->dirs = once(prng, 3) ? 0 : below(prng, 10);
    knobs->size = 1 + scaled(prng, 10);
    if (knobs->tree >= SIM_FOREST_LARGE && knobs->files > 40)
        knobs->size = HSR_MIN(knobs->size, 200u);
}

static void random_options(struct hsr_prng *prng, struct sim_knobs *knobs)
{
    knobs->streams = 1 + below(prng, once(prng, 4) ? 8 : 4);
    knobs->shards = 1 + below(prng, 4);
    knobs->client_shards = 1 + below(prng, 4);
    knobs->delete = below(prng, 2);
    knobs->checksum = once(prng, 4);
    knobs->blake3 = once(prng, 3);
    knobs->delta = once(prng, knobs->tree == SIM_FOREST_EDITED ? 1 : 3);
    knobs->inplace = once(prng, 8);
    knobs->tmpfs = once(prng, 8);
    knobs->slow_sync = once(prng, 16);
    knobs->named = once(prng, 6);
}

static void random_crash(struct hsr_prng *prng, uint32_t *host, uint32_t *op, uint32_t *power)
{
    *host = once(prng, 3) ? 0 : 1 + below(prng, 2);
    *op = 1 + scaled(prng, OPS_OCTAVES);
    *power = below(prng, 2);
}

/* Which troubles there are is decided first: a run with all of them at once never comes far. */
static void random_troubles(struct hsr_prng *prng, struct sim_knobs *knobs)
{
    uint32_t rate = 1 + scaled(prng, 16);

    knobs->attempts = 1;
    knobs->disk_slow = knobs->net_slow = 1;
    knobs->crash1_op = knobs->crash2_op = knobs->crash3_op = 1;
    if (once(prng, 3))
        knobs->faults = rate;
    if (once(prng, 2)) {
        knobs->attempts = 1 + below(prng, SIM_CRASHES_MAX);
        random_crash(prng, &knobs->crash1, &knobs->crash1_op, &knobs->crash1_power);
        if (knobs->attempts > 1)
            random_crash(prng, &knobs->crash2, &knobs->crash2_op, &knobs->crash2_power);
        if (knobs->attempts > 2)
            random_crash(prng, &knobs->crash3, &knobs->crash3_op, &knobs->crash3_power);
        knobs->eager = below(prng, 2);
    }
    knobs->resets = once(prng, 4) ? 1 + below(prng, 3) : 0;
    knobs->stalls = once(prng, 8) ? 1 + below(prng, 3) : 0;
    knobs->touches = once(prng, 8) ? 1 + below(prng, 4) : 0;
    knobs->wire = once(prng, 16) ? 1 + scaled(prng, 16) : 0;
    knobs->base = once(prng, 16) ? 1 + scaled(prng, 18) : 0;
    if (once(prng, 8))
        knobs->disk_slow = 1 + scaled(prng, 6);
    if (once(prng, 8))
        knobs->net_slow = 1 + scaled(prng, 6);
    knobs->room = once(prng, 16) ? 1 + scaled(prng, 8) : 0;
    knobs->pipe = once(prng, 8) ? PIPE_LEAST + scaled(prng, 14) : 0;
    if (knobs->pipe > 0 && knobs->tree == SIM_FOREST_RESUME)
        knobs->pipe += PIPE_LARGE;
    knobs->stops = once(prng, 8) ? 1 + below(prng, 2) : 0;
    knobs->holds = once(prng, 16) ? 1 + below(prng, 2) : 0;
}

/* Large files, a client (or a server) that dies in the middle, and little else that goes wrong: the
 * same command goes on with what is there. */
static void random_goes_on(struct hsr_prng *prng, struct sim_knobs *knobs)
{
    knobs->tree = SIM_FOREST_RESUME;
    knobs->files = 2 + below(prng, 3);
    knobs->attempts = 2 + below(prng, 2);
    knobs->crash1 = once(prng, 4) ? 1 : 2;
    knobs->crash1_op = GOES_ON_LEAST + below(prng, GOES_ON_OPS);
    knobs->crash1_power = once(prng, 4);
    knobs->crash2 = once(prng, 2) ? 2 : 0;
    knobs->crash2_op = GOES_ON_LEAST + below(prng, GOES_ON_OPS);
    knobs->crash2_power = once(prng, 4);
    knobs->crash3 = 0;
    knobs->faults = knobs->resets = knobs->stalls = knobs->stops = knobs->holds = 0;
    knobs->wire = knobs->base = knobs->room = knobs->pipe = 0;
    knobs->touches = once(prng, 8);
    knobs->rots = once(prng, 4) ? 1 + below(prng, 4) : 0;
    knobs->reread = below(prng, 2);
    knobs->tight = once(prng, 3);
    knobs->net_slow = knobs->crash1_power || knobs->crash2_power ? RESUME_SLOW : 1;
}

/* Numbers of their own: the others are what they were before there were these. */
static void random_later(uint64_t seed, struct sim_knobs *knobs)
{
    struct hsr_prng prng = hsr_prng_init(seed ^ 0x6c61746572ull);

    knobs->acls = once(&prng, 8);
    knobs->clocks = once(&prng, 8) ? 1 + below(&prng, 4) : 0;
    knobs->rots = once(&prng, 4) ? 1 + below(&prng, 3) : 0;
    knobs->ring = once(&prng, 8) ? 1 + below(&prng, 8) : 0;
    knobs->reap = once(&prng, 8) ? 1 + below(&prng, 4) : 0;
    knobs->tight = once(&prng, 8);
    if (knobs->kind == 0 && once(&prng, GOES_ON_EVERY)) {
        random_goes_on(&prng, knobs);
        return;
    }
    if (knobs->tree != SIM_FOREST_RESUME || knobs->kind != 0 || knobs->crash1 != 0)
        return;
    /* of large files something is there when the first attempt ends */
    knobs->attempts = HSR_MAX(knobs->attempts, 2u);
    knobs->crash1 = 1 + below(&prng, 2);
    knobs->crash1_op = 100 + below(&prng, RESUME_OPS);
    knobs->crash1_power = once(&prng, 3);
    knobs->touches = once(&prng, 3) ? 1 + below(&prng, 2) : knobs->touches;
    knobs->rots = once(&prng, 3) ? 1 + below(&prng, 8) : 0;
    knobs->reread = once(&prng, 2);
    if (knobs->crash1_power) /* then it is synced on the way */
        knobs->net_slow = RESUME_SLOW;
}

void sim_knobs_random(uint64_t seed, struct sim_knobs *ret_knobs)
{
    struct hsr_prng prng = hsr_prng_init(seed ^ 0x6b6e6f6273ull);

    *ret_knobs = (struct sim_knobs){ 0 };
    random_trees(&prng, ret_knobs);
    random_options(&prng, ret_knobs);
    random_troubles(&prng, ret_knobs);
    random_later(seed, ret_knobs);
}

bool sim_knobs_set(struct sim_knobs *knobs, const char *word)
{
    const char *equals = strchr(word, '=');

    for (unsigned i = 0; i < SIM_KNOB_COUNT && equals != NULL; i++) {
        const char *name = sim_knob_table[i].name;

        if (strlen(name) == (size_t)(equals - word) && strncmp(name, word, strlen(name)) == 0) {
            *sim_knob_at(knobs, i) = (uint32_t)strtoul(equals + 1, NULL, 0);
            return true;
        }
    }
    return false;
}

const char *sim_knobs_words(uint64_t seed, const struct sim_knobs *knobs, char *buf, size_t size)
{
    struct sim_knobs set = *knobs, seeded;
    int used = snprintf(buf, size, "%llu", (unsigned long long)seed);

    sim_knobs_random(seed, &seeded);
    for (unsigned i = 0; i < SIM_KNOB_COUNT && used > 0 && (size_t)used < size; i++) {
        if (*sim_knob_at(&set, i) != *sim_knob_at(&seeded, i))
            used += snprintf(buf + used, size - (size_t)used, " %s=%u", sim_knob_table[i].name,
                             *sim_knob_at(&set, i));
    }
    return buf;
}

static void crash_set(struct sim_troubles *troubles, unsigned index, uint32_t host, uint32_t op,
                      uint32_t power)
{
    if (host == 0)
        return;
    troubles->crashes[index].host = host == 1 ? SIM_SERVER : SIM_CLIENT;
    troubles->crashes[index].when =
        (struct sim_crash){ .nth = HSR_MAX(op, 1u), .power = power != 0 };
}

static struct sim_troubles knobs_troubles(const struct sim_knobs *knobs)
{
    struct sim_troubles troubles = { .attempts = knobs->attempts,
                                     .eager = knobs->eager != 0,
                                     .resets = knobs->resets,
                                     .stalls = knobs->stalls,
                                     .touches = knobs->touches,
                                     .clocks = knobs->clocks,
                                     .rots = knobs->rots,
                                     .ring_room = knobs->ring,
                                     .reap_max = knobs->reap,
                                     .stops = knobs->stops,
                                     .holds = knobs->holds,
                                     .disk_slow = knobs->disk_slow,
                                     .net_slow = knobs->net_slow,
                                     .wire_ppm = knobs->wire,
                                     .base_ppm = knobs->base,
                                     .room_pages = knobs->room,
                                     .pipe_bytes = knobs->pipe };

    if (knobs->pipe > 0)
        troubles.pipe_bytes = HSR_MAX(
            knobs->pipe, knobs->tree == SIM_FOREST_RESUME ? (uint32_t)PIPE_LARGE : PIPE_LEAST);
    crash_set(&troubles, 0, knobs->crash1, knobs->crash1_op, knobs->crash1_power);
    crash_set(&troubles, 1, knobs->crash2, knobs->crash2_op, knobs->crash2_power);
    crash_set(&troubles, 2, knobs->crash3, knobs->crash3_op, knobs->crash3_power);
    return troubles;
}

void sim_knobs_job(uint64_t seed, const struct sim_knobs *knobs, struct sim_job *ret_job,
                   struct sim_scenario *ret_scenario, struct sim_forest *ret_forest)
{
    *ret_forest = (struct sim_forest){ .kind = knobs->tree % SIM_FOREST_KIND_COUNT,
                                       .files = knobs->files,
                                       .dirs = knobs->dirs,
                                       .size_kib = knobs->size,
                                       .acls = knobs->acls != 0,
                                       .delete = knobs->delete != 0 };
    *ret_scenario =
        (struct sim_scenario){ .name = "swarm",
                               .forest = ret_forest,
                               .delete = knobs->delete != 0,
                               .checksum = knobs->checksum != 0,
                               .dry = knobs->kind >= 1,
                               .verify = knobs->kind == 2,
                               .list = knobs->kind == 3,
                               .digests = knobs->kind == 4,
                               .bench_bytes = knobs->kind == 5 ? knobs->size * HSR_KIB + 77 : 0,
                               .blake3 = knobs->blake3 != 0,
                               .delta = knobs->delta != 0,
                               .inplace = knobs->inplace != 0 && knobs->kind == 0,
                               .tmpfs = knobs->tmpfs != 0,
                               .slow_sync = knobs->slow_sync != 0,
                               .named = knobs->named != 0,
                               .tight = knobs->tight != 0,
                               .reread = knobs->reread != 0,
                               .streams = HSR_MAX(knobs->streams, 1u),
                               .shards = HSR_MAX(knobs->shards, 1u),
                               .client_shards = HSR_MAX(knobs->client_shards, 1u) };
    *ret_job = (struct sim_job){ .scenario = ret_scenario,
                                 .seed = seed,
                                 .pull = knobs->pull != 0,
                                 .again = true,
                                 .swarm_ppm = knobs->faults,
                                 .troubles = knobs_troubles(knobs) };
}
