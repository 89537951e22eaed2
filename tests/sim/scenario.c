/* See scenario.h. */
#include "tests/sim/scenario.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/sim/fs.h"
#include "transfer/tree/target.h"

#define OLD_TIME 1500000000 /* of what was at the target before */
#define NEW_TIME 1600000000
#define BIG_SIZE (1536 * HSR_KIB + 777) /* many chunks of 64 KiB, several ranges, and a tail */
#define SMALL_COUNT 40u
#define SMALL_SIZE_MAX 3000u
#define MANY_COUNT 300u
#define MANY_SIZE (68 * HSR_KIB) /* too large for a pack */
#define AHEAD_COUNT 72u /* more than a source has in transit, twice */

/* ---- naming and making ---- */

struct place {
    struct sim_host *host;
    const char *root;
    int64_t time;
    char path[1024];
};

static const char *at(struct place *place, const char *fmt, ...) HSR_PRINTF(2, 3);

static const char *at(struct place *place, const char *fmt, ...)
{
    va_list args;
    int size = snprintf(place->path, sizeof(place->path), "%s/", place->root);

    va_start(args, fmt);
    (void)vsnprintf(place->path + size, sizeof(place->path) - (size_t)size, fmt, args); /* fits */
    va_end(args);
    return place->path;
}

static void owner(struct place *place, const char *path, uint32_t id)
{
    if (geteuid() == 0) /* a plain user keeps no owners */
        sim_owner(place->host, path, id, id + 1);
}

static void file(struct place *place, const char *name, uint32_t mode, uint64_t seed, uint64_t size,
                 bool holes)
{
    const char *path = at(place, "%s", name);

    sim_file(place->host, path, mode, seed, size, holes);
    sim_mtime(place->host, path, place->time, 123456789 + (uint32_t)(seed % 1000));
}

static void stamp_dir(struct place *place, const char *name)
{
    sim_mtime(place->host, name[0] == '\0' ? place->root : at(place, "%s", name), place->time, 42);
}

/* ---- one large file ---- */

static void large_source(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = NEW_TIME };

    file(&place, "big", 0640, seed + 1, BIG_SIZE, false);
    sim_xattr(host, at(&place, "big"), "user.kind", "large");
    owner(&place, at(&place, "big"), 1000);
    file(&place, "sparse", 0600, seed + 2, 600 * HSR_KIB + 5, true);
    stamp_dir(&place, "");
}

static void large_old(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = OLD_TIME };

    file(&place, "big", 0600, seed + 77, 300 * HSR_KIB, false);
    stamp_dir(&place, "");
}

/* ---- edited versions of large files, for deltas ---- */

/* The file @name: what @seed makes of @size bytes, with @extra bytes more at @offset. */
static void edited(struct place *place, const char *name, uint64_t seed, uint64_t size,
                   uint64_t offset, uint32_t extra)
{
    uint8_t *bytes = malloc(size + extra);
    struct sim_inode *inode;

    hsr_assert(bytes != NULL && offset <= size);
    sim_file(place->host, at(place, "%s", name), 0640, seed, size, false);
    inode = sim_find(place->host, at(place, "%s", name));
    hsr_assert(sim_data_read(&inode->live.data, bytes, offset, 0) == (int64_t)offset);
    memset(bytes + offset, (int)(seed + 13) & 0xff, extra);
    hsr_assert(sim_data_read(&inode->live.data, bytes + offset + extra, size - offset, offset) ==
               (int64_t)(size - offset));
    hsr_assert(sim_data_write(inode, bytes, size + extra, 0) == (int64_t)(size + extra));
    sim_mtime(place->host, at(place, "%s", name), place->time, 77);
    free(bytes);
}

static void delta_source(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = NEW_TIME };

    edited(&place, "append", seed + 1, 500 * HSR_KIB, 500 * HSR_KIB, 3000);
    edited(&place, "insert", seed + 2, 700 * HSR_KIB, 5000, 100);
    edited(&place, "moved", seed + 6, 300 * HSR_KIB, 70000, 60000);
    file(&place, "cut", 0640, seed + 3, 200 * HSR_KIB + 1, false);
    file(&place, "other", 0640, seed + 4, 150 * HSR_KIB, false);
    file(&place, "sparse", 0600, seed + 5, 400 * HSR_KIB, true);
    file(&place, "reserved", 0640, seed + 12, 400 * HSR_KIB, true);
    sim_find(host, at(&place, "reserved"))->live.data.reserved =
        400 * HSR_KIB; /* not sparse, then */
    edited(&place, "little", seed + 7, 9000, 100, 33);
    edited(&place, "longer", seed + 8, 40 * HSR_KIB, 40 * HSR_KIB, 700);
    file(&place, "shorter", 0640, seed + 9, 5000, false);
    file(&place, "alike", 0640, seed + 10, 30 * HSR_KIB, false);
    file(&place, "unlike", 0640, seed + 11, 3000, false);
    stamp_dir(&place, "");
}

static void delta_old(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = OLD_TIME };

    file(&place, "append", 0640, seed + 1, 500 * HSR_KIB, false);
    file(&place, "insert", 0640, seed + 2, 700 * HSR_KIB, false);
    file(&place, "moved", 0640, seed + 6, 300 * HSR_KIB, false);
    file(&place, "cut", 0640, seed + 3, 300 * HSR_KIB, false);
    file(&place, "other", 0640, seed + 44, 150 * HSR_KIB, false);
    file(&place, "sparse", 0600, seed + 5, 390 * HSR_KIB, false);
    file(&place, "reserved", 0640, seed + 12, 390 * HSR_KIB, false);
    file(&place, "little", 0640, seed + 7, 9000, false);
    file(&place, "longer", 0640, seed + 8, 40 * HSR_KIB, false);
    file(&place, "shorter", 0640, seed + 9, 70000, false);
    file(&place, "alike", 0640, seed + 10, 30 * HSR_KIB, false);
    file(&place, "unlike", 0640, seed + 45, 3001, false);
    stamp_dir(&place, "");
}

/* ---- more old versions than a source has files in transit ---- */

static void ahead_source(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = NEW_TIME };
    char name[32];

    for (unsigned i = 0; i < AHEAD_COUNT; i++) {
        snprintf(name, sizeof(name), "%03u", i);
        edited(&place, name, seed + i, MANY_SIZE + i, i * 900u, i % 3 * 50);
    }
    stamp_dir(&place, "");
}

static void ahead_old(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = OLD_TIME };
    char name[32];

    for (unsigned i = 0; i < AHEAD_COUNT; i++) {
        snprintf(name, sizeof(name), "%03u", i);
        file(&place, name, 0640, seed + i, MANY_SIZE, false);
    }
    stamp_dir(&place, "");
}

/* ---- files large enough for huge pages ---- */

static void memory_source(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = NEW_TIME };

    file(&place, "big", 0640, seed + 1, 4 * HSR_MIB + 17, false);
    file(&place, "second", 0640, seed + 2, 6 * HSR_MIB, false);
    file(&place, "sparse", 0600, seed + 3, 5 * HSR_MIB, true);
    stamp_dir(&place, "");
}

/* ---- files that are worth being resumed ---- */

static void resume_source(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = NEW_TIME };

    file(&place, "first", 0640, seed + 1, 9 * HSR_MIB + 17, false);
    owner(&place, at(&place, "first"), 1000); /* no longer ours before it has its name */
    file(&place, "second", 0440, seed + 2, 12 * HSR_MIB, false);
    file(&place, "little", 0600, seed + 3, 3000, false);
    stamp_dir(&place, "");
}

/* Of what is resumed there are old versions, which have some of the rest. */
static void rest_old(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = OLD_TIME };

    file(&place, "first", 0640, seed + 1, 5 * HSR_MIB, false);
    file(&place, "second", 0640, seed + 2, 7 * HSR_MIB, false);
    stamp_dir(&place, "");
}

/* ---- what only digests tell apart ---- */

static void differ_source(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = NEW_TIME };

    edited(&place, "early", seed + 1, 300 * HSR_KIB, 100, 50);
    edited(&place, "late", seed + 2, 400 * HSR_KIB, 390 * HSR_KIB, 60);
    edited(&place, "small", seed + 3, 7000, 100, 50);
    file(&place, "other", 0640, seed + 4, 200 * HSR_KIB, false);
    file(&place, "same", 0640, seed + 5, 200 * HSR_KIB, false);
    file(&place, "sparse", 0640, seed + 6, 500 * HSR_KIB, true);
    stamp_dir(&place, "");
}

static void differ_old(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = NEW_TIME };

    edited(&place, "early", seed + 1, 300 * HSR_KIB, 7000, 50);
    edited(&place, "late", seed + 2, 400 * HSR_KIB, 100 * HSR_KIB, 60);
    edited(&place, "small", seed + 3, 7000, 3000, 50);
    file(&place, "other", 0640, seed + 44, 200 * HSR_KIB, false);
    file(&place, "same", 0640, seed + 5, 200 * HSR_KIB, false);
    file(&place, "sparse", 0640, seed + 6, 500 * HSR_KIB, false);
    stamp_dir(&place, "");
}

/* ---- a pack of small files ---- */

static void pack_source(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = NEW_TIME };
    char name[32];

    sim_mkdir(host, at(&place, "sub"), 0755);
    for (unsigned i = 0; i < SMALL_COUNT; i++) {
        snprintf(name, sizeof(name), "%sfile%02u", i % 2 ? "sub/" : "", i);
        file(&place, name, i % 5 == 0 ? 0755 : 0644, seed + i, i * 7919u % SMALL_SIZE_MAX, false);
    }
    owner(&place, at(&place, "file04"), 1000);
    stamp_dir(&place, "sub");
    stamp_dir(&place, "");
}

static void pack_old(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = OLD_TIME };

    for (unsigned i = 0; i < 6; i += 2) {
        char name[32];

        snprintf(name, sizeof(name), "file%02u", i);
        file(&place, name, 0644, seed + 1000 + i, 500 + i, false);
    }
    stamp_dir(&place, "");
}

/* ---- a tree of all kinds, with --delete ---- */

static void tree_source(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = NEW_TIME };

    sim_mkdir(host, at(&place, "a"), 0755);
    sim_mkdir(host, at(&place, "a/deep"), 02775);
    sim_mkdir(host, at(&place, "empty"), 0500);
    file(&place, "a/one", 04755, seed + 1, 5000, false);
    file(&place, "a/deep/two", 0444, seed + 2, 9001, false);
    file(&place, "a/nothing", 0600, 0, 0, false);
    file(&place, "middle", 0644, seed + 3, 150 * HSR_KIB + 3, false);
    sim_xattr(host, at(&place, "a/one"), "user.note", "set-id and attributes");
    sim_xattr(host, at(&place, "a"), "user.dir", "of a directory");
    sim_symlink(host, at(&place, "dangling"), "no/such/place");
    sim_symlink(host, at(&place, "outward"), "../beside/canary");
    sim_mtime(host, at(&place, "dangling"), NEW_TIME, 5);
    sim_mtime(host, at(&place, "outward"), NEW_TIME, 6);
    file(&place, "link1", 0644, seed + 4, 1234, false);
    char first[64];
    snprintf(first, sizeof(first), "%s/link1", root);
    sim_link(host, at(&place, "a/link2"), first);
    sim_link(host, at(&place, "a/deep/link3"), first);
    sim_special(host, at(&place, "fifo"), S_IFIFO | 0640, 0);
    sim_mtime(host, at(&place, "fifo"), NEW_TIME, 7);
    if (geteuid() == 0) {
        sim_special(host, at(&place, "device"), S_IFCHR | 0600, makedev(1, 3));
        sim_mtime(host, at(&place, "device"), NEW_TIME, 8);
    }
    file(&place, "was_dir", 0644, seed + 5, 700, false);
    sim_mkdir(host, at(&place, "was_file"), 0755);
    file(&place, "was_file/inside", 0644, seed + 6, 10, false);
    file(&place, "was_link", 0644, seed + 7, 20, false);
    file(&place, "touched", 0600, seed + 8, 300, false);
    file(&place, "same", 0644, seed + 9, 400, false);
    file(&place, "nearly", 0644, seed + 10, 410, false);
    sim_acl_give(sim_find(host, at(&place, "same")), /* inherited= */ false, 1000);
    sim_acl_give(sim_find(host, at(&place, "was_file")), /* inherited= */ true, 1001);
    owner(&place, at(&place, "a/one"), 1000);
    owner(&place, at(&place, "a/deep"), 1001);
    for (unsigned i = 0; i < 6; i++)
        stamp_dir(&place, ((const char *[]){ "a/deep", "a", "empty", "was_file", "", "" })[i]);
}

static void tree_old(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = OLD_TIME };

    sim_mkdir(host, at(&place, "a"), 0700);
    file(&place, "a/one", 0644, seed + 21, 4000, false);
    sim_xattr(host, at(&place, "a/one"), "user.gone", "must go");
    sim_mkdir(host, at(&place, "a/link2"), 0755); /* a further name of a file at the source */
    file(&place, "a/link2/inside", 0644, seed + 27, 30, false);
    sim_mkdir(host, at(&place, "was_dir"), 0755);
    sim_mkdir(host, at(&place, "was_dir/x"), 0755);
    file(&place, "was_dir/x/f", 0644, seed + 22, 50, false);
    file(&place, "was_file", 0644, seed + 23, 60, false);
    sim_symlink(host, at(&place, "was_link"), "../beside/canary");
    sim_mkdir(host, at(&place, "extra"), 0755);
    file(&place, "extra/f1", 0644, seed + 24, 70, false);
    sim_symlink(host, at(&place, "extra/out"), "/beside");
    file(&place, "extra2", 0644, seed + 25, 80, false);
    file(&place, "link1", 0644, seed + 26, 90, false);
    char first[64];
    snprintf(first, sizeof(first), "%s/link1", root);
    sim_link(host, at(&place, "extra3"), first);
    sim_symlink(host, at(&place, "dangling"), "another/place");
    place.time = NEW_TIME;
    file(&place, "touched", 0644, seed + 8, 300, false);
    file(&place, "same", 0644, seed + 9, 400, false);
    file(&place, "nearly", 0644, seed + 10, 410, false);
    sim_mtime(host, at(&place, "nearly"), NEW_TIME, 1); /* the same second */
    sim_acl_give(sim_find(host, at(&place, "same")), /* inherited= */ false, 1000);
    sim_acl_give(sim_find(host, at(&place, "a")), /* inherited= */ true, 1002);
    sim_acl_give(sim_find(host, root), /* inherited= */ true, 1003);
}

/* ---- more large files than a target stages at once ---- */

static void many_source(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = NEW_TIME };
    char name[32];

    for (unsigned i = 0; i < MANY_COUNT; i++) {
        snprintf(name, sizeof(name), "%03u", i);
        if (i % 8 == 0) { /* nothing but a hole */
            sim_file(host, at(&place, "%s", name), 0600, seed, 0, false);
            hsr_assert(sim_data_resize(sim_find(host, at(&place, "%s", name)), MANY_SIZE) == 0);
            sim_mtime(host, at(&place, "%s", name), NEW_TIME, i);
        } else {
            file(&place, name, 0600, seed + i, MANY_SIZE + i, false);
        }
    }
    stamp_dir(&place, "");
}

static void many_old(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = OLD_TIME };

    file(&place, "001", 0600, seed + 500, 10, false);
    stamp_dir(&place, "");
}

/* ---- names that are one file at the target and several at the source ---- */

#define SHARED_SIZE (150 * HSR_KIB)

static void shared_source(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = NEW_TIME };

    edited(&place, "b", seed + 1, SHARED_SIZE, 100, 30);
    edited(&place, "c", seed + 1, SHARED_SIZE, 70000, 3000);
    file(&place, "d", 0640, seed + 1, SHARED_SIZE, false);
    place.time = OLD_TIME;
    file(&place, "a", 0640, seed + 1, SHARED_SIZE, false); /* as it is at the target */
    file(&place, "mode1", 0600, seed + 3, 5000, false);
    file(&place, "mode2", 0640, seed + 3, 5000, false);
    file(&place, "mode3", 0604, seed + 3, 5000, false);
    file(&place, "nothing1", 0600, seed + 4, 0, false);
    file(&place, "nothing2", 0640, seed + 4, 0, false);
    stamp_dir(&place, "");
}

/* @names are one file. */
static void shared_names(struct place *place, const char *const *names, uint64_t seed,
                         uint64_t size)
{
    char first[64];

    file(place, names[0], 0640, seed, size, false);
    snprintf(first, sizeof(first), "%s/%s", place->root, names[0]);
    for (unsigned i = 1; names[i] != NULL; i++)
        sim_link(place->host, at(place, "%s", names[i]), first);
}

static void shared_old(struct sim_host *host, const char *root, uint64_t seed)
{
    struct place place = { .host = host, .root = root, .time = OLD_TIME };

    shared_names(&place, (const char *const[]){ "a", "b", "c", "d", NULL }, seed + 1, SHARED_SIZE);
    shared_names(&place, (const char *const[]){ "mode1", "mode2", "mode3", NULL }, seed + 3, 5000);
    shared_names(&place, (const char *const[]){ "nothing1", "nothing2", NULL }, seed + 4, 0);
    stamp_dir(&place, "");
}

const struct sim_scenario sim_scenarios[SIM_SCENARIO_COUNT] = {
    { .name = "large", .streams = 2, .shards = 2, .source = large_source, .old = large_old },
    { .name = "pack", .streams = 1, .shards = 1, .source = pack_source, .old = pack_old },
    { .name = "tree",
      .streams = 2,
      .shards = 3,
      .delete = true,
      .source = tree_source,
      .old = tree_old },
    { .name = "checksum",
      .streams = 1,
      .shards = 2,
      .checksum = true,
      .delete = true,
      .source = tree_source,
      .old = tree_old },
    { .name = "many",
      .slow_sync = true,
      .streams = 4,
      .shards = 2,
      .source = many_source,
      .old = many_old },
    { .name = "memory",
      .tmpfs = true,
      .streams = 2,
      .shards = 2,
      .source = memory_source,
      .old = large_old },
    { .name = "blake3",
      .streams = 2,
      .shards = 2,
      .blake3 = true,
      .checksum = true,
      .source = large_source,
      .old = large_old },
    { .name = "delta",
      .streams = 2,
      .shards = 2,
      .delta = true,
      .source = delta_source,
      .old = delta_old },
    { .name = "inplace",
      .streams = 2,
      .shards = 2,
      .delta = true,
      .inplace = true,
      .source = delta_source,
      .old = delta_old },
    { .name = "shared",
      .streams = 2,
      .shards = 2,
      .delta = true,
      .inplace = true,
      .source = shared_source,
      .old = shared_old },
    { .name = "resume",
      .resume = true,
      .streams = 2,
      .shards = 2,
      .source = resume_source,
      .old = pack_old },
    { .name = "reread",
      .resume = true,
      .reread = true,
      .blake3 = true,
      .streams = 2,
      .shards = 2,
      .source = resume_source,
      .old = pack_old },
    { .name = "rest",
      .resume = true,
      .streams = 2,
      .shards = 2,
      .delta = true,
      .source = resume_source,
      .old = rest_old },
    { .name = "differ",
      .streams = 2,
      .shards = 2,
      .checksum = true,
      .delta = true,
      .source = differ_source,
      .old = differ_old },
    { .name = "compare",
      .streams = 2,
      .shards = 2,
      .dry = true,
      .checksum = true,
      .delete = true,
      .source = tree_source,
      .old = tree_old },
    { .name = "ahead",
      .streams = 2,
      .shards = 2,
      .delta = true,
      .ahead = true,
      .source = ahead_source,
      .old = ahead_old },
    { .name = "verify",
      .streams = 1,
      .shards = 2,
      .dry = true,
      .verify = true,
      .checksum = true,
      .delete = true,
      .source = tree_source,
      .old = tree_old },
    { .name = "digests",
      .streams = 1,
      .shards = 2,
      .dry = true,
      .digests = true,
      .blake3 = true,
      .source = tree_source,
      .old = pack_old },
    { .name = "bench",
      .bench_bytes = 9 * 64 * HSR_KIB + 4097,
      .streams = 3,
      .shards = 2,
      .source = pack_source,
      .old = pack_source },
};

bool sim_scenario_keeps(const struct sim_scenario *scenario)
{
    return scenario->resume ||
           (scenario->forest != NULL && scenario->forest->kind == SIM_FOREST_RESUME);
}

void sim_scenario_build(const struct sim_scenario *scenario, struct sim_world *world,
                        unsigned source, unsigned target, uint64_t seed)
{
    world->stage_name_is = hsr_stage_name_is;
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        sim_mkdir(&world->hosts[i], SIM_BESIDE, 0755);
        sim_file(&world->hosts[i], SIM_BESIDE "/canary", 0644, 99, 5000, false);
        sim_mkdir(&world->hosts[i], SIM_DATA, 0755);
    }
    sim_mkdir(&world->hosts[target], SIM_OLD, 0755);
    if (scenario->forest != NULL) {
        sim_forest_grow(scenario->forest, &world->hosts[source], &world->hosts[target], seed);
    } else {
        scenario->source(&world->hosts[source], SIM_DATA, seed);
        scenario->old(&world->hosts[target], SIM_DATA, seed);
        scenario->old(&world->hosts[target], SIM_OLD, seed);
    }
    for (unsigned i = 0; i < SIM_HOSTS; i++)
        sim_fs_sync(&world->hosts[i]);
    world->hosts[target].no_named_writes = !scenario->inplace;
    world->slow_sync = scenario->slow_sync;
    world->tmpfs = scenario->tmpfs;
    world->hosts[target].no_tmpfile = scenario->named;
}
