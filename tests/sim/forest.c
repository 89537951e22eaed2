/* See forest.h. Everything about an entry comes from the seed and its number. */
#include "tests/sim/forest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/fs.h"
#include "tests/sim/scenario.h"

#define OLD_TIME 1500000000
#define NEW_TIME 1600000000
#define DIRS_MAX 64u
#define PATH_ROOM 512u
#define EDITS_MAX 4u
#define RESUME_FILES_MAX 4u
#define RESUME_SIZE (8 * HSR_MIB) /* at least: a target keeps what it has of them */

/* What the target has of an entry. */
enum before { NOTHING, SAME, TOUCHED, OTHER, EDITED, OTHER_KIND, ONLY_THERE, BEFORE_COUNT };

struct grower {
    const struct sim_forest *forest;
    struct sim_host *source, *target;
    uint64_t seed;
    char dirs[DIRS_MAX][PATH_ROOM]; /* relative, "" or ending in '/' */
    char first_link[PATH_ROOM]; /* the file that further links join, or "" */
};

struct entry {
    char path[PATH_ROOM]; /* relative */
    struct hsr_prng prng;
    uint64_t number, content, size;
    bool holes;
    enum before before;
};

/* Where one version of the tree lies. */
struct place {
    struct sim_host *host;
    const char *root;
    bool old, acls;
    char path[PATH_ROOM * 2];
};

static const char *at(struct place *place, const char *path)
{
    int used = snprintf(place->path, sizeof(place->path), "%s/%s", place->root, path);

    hsr_assert(used > 0 && (size_t)used < sizeof(place->path));
    return place->path;
}

static struct hsr_prng prng_of(uint64_t seed, uint64_t what, uint64_t number)
{
    return hsr_prng_init(seed * 0x9e3779b97f4a7c15ull + what * 1000003 + number);
}

static uint64_t size_pick(const struct sim_forest *forest, struct hsr_prng *prng)
{
    static const uint8_t large_share[SIM_FOREST_KIND_COUNT] = {
        10, 2, 70, 90, 5, 70
    }; /* percent */
    uint64_t pick = hsr_prng_below(prng, 100);
    uint64_t top = HSR_MAX(forest->size_kib, 1u) * HSR_KIB;

    if (pick < large_share[forest->kind] && forest->kind == SIM_FOREST_RESUME)
        return RESUME_SIZE + hsr_prng_below(prng, 8 * top + 1);
    if (pick < large_share[forest->kind])
        return hsr_prng_below(prng, top + 1);
    if (pick >= 97) /* around where packs end, and chunks */
        return HSR_MIN(top, 64 * HSR_KIB - 2 + hsr_prng_below(prng, 5));
    if (pick >= 92)
        return 0;
    return hsr_prng_below(prng, HSR_MIN(top, 6000u) + 1);
}

static enum before before_pick(const struct sim_forest *forest, struct hsr_prng *prng)
{
    uint64_t pick = hsr_prng_below(prng, 100);

    if (forest->kind == SIM_FOREST_EDITED && pick < 80)
        return EDITED;
    if (pick < 45)
        return NOTHING;
    if (pick < 55)
        return SAME;
    if (pick < 62)
        return TOUCHED;
    if (pick < 75)
        return OTHER;
    if (pick < 85)
        return EDITED;
    return pick < 92 ? ONLY_THERE : OTHER_KIND;
}

static void stamp(struct place *place, const char *path, uint32_t number, bool old)
{
    sim_mtime(place->host, at(place, path), old ? OLD_TIME : NEW_TIME, number * 1001);
}

/* Small changes in place, and now and then some bytes more or fewer. */
static void edit(struct place *place, const struct entry *entry)
{
    struct hsr_prng prng = prng_of(entry->content, 77, 1);
    struct sim_inode *inode = sim_find(place->host, at(place, entry->path));
    unsigned count = 1 + (unsigned)hsr_prng_below(&prng, EDITS_MAX);
    uint64_t bytes[64];

    for (unsigned i = 0; i < count && entry->size > sizeof(bytes); i++) {
        uint64_t offset = hsr_prng_below(&prng, entry->size - sizeof(bytes));

        for (unsigned k = 0; k < HSR_ARRAY_COUNT(bytes); k++)
            bytes[k] = hsr_prng_next(&prng);
        hsr_assert(sim_data_write(inode, bytes, 1 + hsr_prng_below(&prng, sizeof(bytes)), offset) >
                   0);
    }
    if (hsr_prng_below(&prng, 3) == 0)
        hsr_assert(sim_data_resize(inode, entry->size + hsr_prng_below(&prng, 9000)) == 0);
    else if (hsr_prng_below(&prng, 3) == 0)
        hsr_assert(sim_data_resize(inode, entry->size / 2) == 0);
}

static void file_make(struct place *place, struct entry *entry)
{
    bool other = place->old && (entry->before == OTHER || entry->before == ONLY_THERE);
    bool old_time = place->old && (other || entry->before == EDITED || entry->before == TOUCHED);
    uint32_t mode = 0600 | (uint32_t)(entry->number * 7 % 64);

    sim_file(place->host, at(place, entry->path), mode ^ (old_time ? 0100 : 0),
             entry->content + (other ? 1 : 0),
             other ? HSR_MIN(entry->size, 5000u) + entry->number % 3 : entry->size, entry->holes);
    if (place->old && entry->before == EDITED)
        edit(place, entry);
    if (entry->number % 9 == 0)
        sim_xattr(place->host, at(place, entry->path), "user.note", old_time ? "old" : "new");
    if (place->acls && entry->number % 7 == 3)
        sim_acl_give(sim_find(place->host, at(place, entry->path)), false, old_time ? 1000 : 1001);
    stamp(place, entry->path, (uint32_t)entry->number, old_time);
}

/* Something that is no regular file. */
static void odd_make(struct place *place, struct entry *entry, uint64_t pick)
{
    if (pick % 3 == 0)
        sim_special(place->host, at(place, entry->path), S_IFIFO | 0640, 0);
    else
        sim_symlink(place->host, at(place, entry->path),
                    place->old && entry->before != SAME ? "somewhere" : "../beside/canary");
    stamp(place, entry->path, (uint32_t)entry->number, place->old && entry->before == TOUCHED);
}

/* At the target something of another kind has the name. */
static void other_kind_make(struct place *place, struct entry *entry, bool odd, bool delete)
{
    char inside[PATH_ROOM + 8];

    if (delete &&entry->number % 2 == 0) {
        sim_mkdir(place->host, at(place, entry->path), 0755);
        snprintf(inside, sizeof(inside), "%s/in", entry->path);
        sim_file(place->host, at(place, inside), 0600, entry->content, 100, false);
    } else if (odd) {
        sim_file(place->host, at(place, entry->path), 0600, entry->content, 300, false);
    } else {
        sim_symlink(place->host, at(place, entry->path), "/beside");
    }
}

static void version_make(struct grower *grower, struct place *place, struct entry *entry)
{
    struct hsr_prng prng = entry->prng;
    bool links = grower->forest->kind == SIM_FOREST_LINKS;
    uint64_t pick = hsr_prng_below(&prng, links ? 3 : 12);
    char first[PATH_ROOM * 2];

    if (place->old ? entry->before == NOTHING : entry->before == ONLY_THERE)
        return;
    if (place->old && entry->before == OTHER_KIND) {
        other_kind_make(place, entry, pick == 0, grower->forest->delete);
        return;
    }
    if (pick == 0) {
        odd_make(place, entry, hsr_prng_next(&prng));
        return;
    }
    if (pick == 1 && grower->first_link[0] != '\0' && !place->old) {
        snprintf(first, sizeof(first), "%s/%s", place->root, grower->first_link);
        sim_link(place->host, at(place, entry->path), first);
        return;
    }
    file_make(place, entry);
    if (pick == 2 && !place->old)
        snprintf(grower->first_link, sizeof(grower->first_link), "%s", entry->path);
}

static void entry_pick(struct grower *grower, uint64_t number, struct entry *entry)
{
    static const char *const odd_names[] = {
        "f", "f", "f", "f", "new\nline", "\xff\xfe", "sp ace"
    };
    const struct sim_forest *forest = grower->forest;
    uint32_t dirs = HSR_MIN(forest->dirs, DIRS_MAX - 1) + 1;

    *entry = (struct entry){ .prng = prng_of(grower->seed, 1, number), .number = number };
    entry->content = hsr_prng_next(&entry->prng) | 1;
    entry->size = size_pick(forest, &entry->prng);
    entry->holes = hsr_prng_below(&entry->prng, forest->kind == SIM_FOREST_LARGE ? 4 : 12) == 0;
    entry->before = before_pick(forest, &entry->prng);
    snprintf(entry->path, sizeof(entry->path), "%s%s%llu",
             grower->dirs[hsr_prng_below(&entry->prng, DIRS_MAX) % dirs],
             odd_names[hsr_prng_below(&entry->prng, HSR_ARRAY_COUNT(odd_names))],
             (unsigned long long)number);
}

/* Directory 0 is the root. Some are at both sides, some are new, none is only at the target: what
 * is there alone are files. */
static void dirs_make(struct grower *grower, struct place *place)
{
    uint32_t count = HSR_MIN(grower->forest->dirs, DIRS_MAX - 1);

    for (uint32_t i = 1; i <= count; i++) {
        struct hsr_prng prng = prng_of(grower->seed, 2, i);

        snprintf(grower->dirs[i], PATH_ROOM, "%.200sd%u/", grower->dirs[hsr_prng_below(&prng, i)],
                 i);
        sim_mkdir(place->host, at(place, grower->dirs[i]), place->old ? 0700 : 0755);
    }
}

static void dirs_stamp(struct grower *grower, struct place *place)
{
    uint32_t count = HSR_MIN(grower->forest->dirs, DIRS_MAX - 1);

    for (uint32_t i = 0; i <= count && grower->forest->acls; i++) {
        struct sim_inode *dir = sim_find(place->host, at(place, grower->dirs[i]));

        if (place->old ? i == 0 : i % 3 == 1)
            sim_acl_give(dir, /* inherited= */ true, 1000 + i);
    }
    for (uint32_t i = 0; i <= count; i++)
        stamp(place, grower->dirs[i], i, place->old && grower->seed % 2 == 0);
}

void sim_forest_random(uint64_t seed, struct sim_forest *ret_forest)
{
    struct hsr_prng prng = prng_of(seed, 3, 0);

    *ret_forest = (struct sim_forest){ .kind = (uint32_t)hsr_prng_below(&prng, 5),
                                       .files = 1 + (uint32_t)hsr_prng_below(&prng, 20),
                                       .dirs = (uint32_t)hsr_prng_below(&prng, 6),
                                       .size_kib = 1 + (uint32_t)hsr_prng_below(&prng, 400),
                                       .delete = hsr_prng_below(&prng, 2) == 0 };
}

void sim_forest_grow(const struct sim_forest *forest, struct sim_host *source,
                     struct sim_host *target, uint64_t seed)
{
    struct place places[3] = { { .host = source, .root = SIM_DATA },
                               { .host = target, .root = SIM_DATA, .old = true },
                               { .host = target, .root = SIM_OLD, .old = true } };
    struct grower *grower = calloc(1, sizeof(*grower));
    uint32_t files = forest->kind == SIM_FOREST_RESUME ? HSR_MIN(forest->files, RESUME_FILES_MAX)
                                                       : forest->files;

    hsr_assert(grower != NULL && forest->kind < SIM_FOREST_KIND_COUNT);
    grower->forest = forest;
    grower->source = source;
    grower->target = target;
    grower->seed = seed;
    for (unsigned p = 0; p < HSR_ARRAY_COUNT(places); p++) {
        places[p].acls = forest->acls;
        dirs_make(grower, &places[p]);
        for (uint64_t i = 0; i < files; i++) {
            struct entry entry;

            entry_pick(grower, i, &entry);
            version_make(grower, &places[p], &entry);
        }
        dirs_stamp(grower, &places[p]);
    }
    free(grower);
}
