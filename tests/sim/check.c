/* What must hold after every run, however it went. */
#include <string.h>
#include <sys/stat.h>

#include "tests/sim/fs.h"
#include "tests/sim/scenario.h"

struct check {
    const struct sim_scenario *scenario;
    struct sim_world *world;
    struct sim_host *source, *target;
    const struct sim_outcome *outcome;
};

static struct sim_inode *find_below(struct sim_host *host, const char *root, const char *path)
{
    char whole[8192];

    snprintf(whole, sizeof(whole), "%s/%s", root, path);
    return sim_find(host, whole);
}

/* A name at the target holds the whole old or the whole new content, never a part. */
static void check_name(void *context, const char *path, struct sim_inode *dir,
                       struct sim_name *entry)
{
    struct check *check = context;
    struct hsr_span name = { .ptr = (const uint8_t *)entry->name, .size = entry->size };
    struct sim_inode *now = find_below(check->source, SIM_DATA, path);
    struct sim_inode *old = find_below(check->target, SIM_OLD, path);

    (void)dir;
    if (check->world->stage_name_is(name)) {
        if (!check->outcome->unlink_failed && !check->outcome->kept)
            sim_violation(check->world, "stage \"%s\" is left", path);
        return;
    }
    if (now == NULL && old == NULL) {
        sim_violation(check->world, "\"%s\" came from nowhere", path);
        return;
    }
    if (!S_ISREG(entry->inode->live.attrs.mode))
        return;
    if (now != NULL && S_ISREG(now->live.attrs.mode) && sim_same_bytes(now, entry->inode))
        return;
    if (old != NULL && S_ISREG(old->live.attrs.mode) && sim_same_bytes(old, entry->inode))
        return;
    if (sim_version_any(check->world, entry->inode))
        return;
    if (check->scenario->inplace && check->outcome->failed &&
        (old != NULL || check->outcome->again))
        return; /* written where it lies, and not to its end */
    sim_violation(check->world, "\"%s\" holds neither the old nor the new content", path);
}

/* What was there before is still there, unless it was to be deleted or changes its kind. */
static void check_old(void *context, const char *path, struct sim_inode *dir,
                      struct sim_name *entry)
{
    struct check *check = context;
    struct sim_inode *now = find_below(check->source, SIM_DATA, path);
    bool was_dir = S_ISDIR(entry->inode->live.attrs.mode);

    (void)dir;
    if (find_below(check->target, SIM_DATA, path) != NULL)
        return;
    if (now == NULL && check->scenario->delete)
        return;
    if (now != NULL && S_ISDIR(now->live.attrs.mode) != was_dir)
        return; /* no call replaces a directory with something else in one step */
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        char parent[1024];

        snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
        now = find_below(check->source, SIM_DATA, parent);
        if (now == NULL ? check->scenario->delete : !S_ISDIR(now->live.attrs.mode))
            return; /* it went with a parent that had to go */
    }
    sim_violation(check->world, "\"%s\" was there before and is gone", path);
}

void sim_scenario_check_equal(const struct sim_scenario *scenario, struct sim_world *world,
                              unsigned source, unsigned target, const char *when)
{
    FILE *out = world->violation_count == 0 ? stderr : NULL;
    unsigned count;

    if (scenario->dry)
        return;
    count = sim_tree_diff(&world->hosts[source], SIM_DATA, &world->hosts[target], SIM_DATA,
                          /* extras= */ !scenario->delete, out);
    if (count > 0)
        sim_violation(world, "%s: success was reported and %u things differ", when, count);
}

void sim_scenario_check_names(const struct sim_scenario *scenario, struct sim_world *world,
                              unsigned source, unsigned target, bool again)
{
    struct sim_outcome outcome = { .failed = true, .unlink_failed = true, .again = again };
    struct check check = { .scenario = scenario,
                           .world = world,
                           .source = &world->hosts[source],
                           .target = &world->hosts[target],
                           .outcome = &outcome };

    sim_tree_visit(check.target, SIM_DATA, check_name, &check);
    sim_tree_visit(check.target, SIM_OLD, check_old, &check);
}

void sim_scenario_before(struct sim_world *world, unsigned source, unsigned target,
                         struct sim_outcome *outcome)
{
    outcome->source_hash = sim_host_hash(&world->hosts[source], NULL);
    outcome->target_hash = sim_host_hash(&world->hosts[target], SIM_DATA);
}

void sim_scenario_check(const struct sim_scenario *scenario, struct sim_world *world,
                        unsigned source, unsigned target, const struct sim_outcome *outcome)
{
    struct check check = { .scenario = scenario,
                           .world = world,
                           .source = &world->hosts[source],
                           .target = &world->hosts[target],
                           .outcome = outcome };

    if (sim_host_hash(check.source, NULL) != outcome->source_hash)
        sim_violation(world, "the source's host changed");
    if (sim_host_hash(check.target, SIM_DATA) != outcome->target_hash)
        sim_violation(world, "something outside of the target changed");
    for (unsigned i = 0; i < SIM_HOSTS; i++) {
        if (sim_fd_count(&world->hosts[i], true) > 0)
            sim_violation(world, "host %u has open descriptors", i);
    }
    if (scenario->dry) {
        if (sim_tree_diff(check.target, SIM_OLD, check.target, SIM_DATA, false, stderr) > 0)
            sim_violation(world, "a dry run changed the target");
        return;
    }
    sim_tree_visit(check.target, SIM_DATA, check_name, &check);
    sim_tree_visit(check.target, SIM_OLD, check_old, &check);
    if (outcome->failed)
        return;
    sim_scenario_check_equal(scenario, world, source, target, "after the run");
    if (!outcome->durable || world->violation_count > 0)
        return;
    sim_fs_crash(check.target, /* torn= */ true);
    sim_scenario_check_equal(scenario, world, source, target, "after a power cut");
}
