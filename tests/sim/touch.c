/* Somebody else changes files of the source while they are read. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/sim/fs.h"
#include "tests/sim/tree.h"

#define EDIT_SIZE 100u
#define GROWTH_MAX 20000u

struct touch {
    struct sim_world *world;
    unsigned count;
    struct sim_inode *dir;
    char name[256]; /* an entry may move in memory */
    char *path;
};

static void touch_pick(void *context, const char *path, struct sim_inode *dir,
                       struct sim_name *entry)
{
    struct touch *touch = context;

    if (!S_ISREG(entry->inode->live.attrs.mode) || entry->inode->live.data.size == 0 ||
        sim_between(touch->world, 0, touch->count++) != 0)
        return;
    touch->dir = dir;
    (void)snprintf(touch->name, sizeof(touch->name), "%s", entry->name); /* fits */
    free(touch->path);
    touch->path = strdup(path);
    hsr_assert(touch->path != NULL);
}

static void version_keep(struct sim_world *world, struct sim_inode *inode)
{
    struct sim_version *version = calloc(1, sizeof(*version));

    hsr_assert(version != NULL);
    version->inode = sim_inode_create(inode->host, inode->live.attrs.mode, NULL);
    sim_data_copy(&version->inode->live.data, &inode->live.data);
    sim_inode_sync(version->inode, false); /* no power cut takes it */
    version->next = world->versions;
    world->versions = version;
}

/* No two changes have one time: a kernel's clock is finer for files that were looked at (6.13). */
static void time_now(struct sim_inode *inode)
{
    uint64_t wall_ns = SIM_WALL_NS + ++inode->host->world->now_ns;
    struct timespec now = { .tv_sec = (time_t)(wall_ns / HSR_NS_PER_S),
                            .tv_nsec = (long)(wall_ns % HSR_NS_PER_S) };

    inode->live.attrs.mtime = inode->live.attrs.ctime = now;
    inode->dirty = true;
}

static struct sim_inode *replace(struct touch *touch, struct sim_inode *old)
{
    struct sim_inode *inode = sim_inode_create(old->host, old->live.attrs.mode, NULL);
    struct timespec mtime = touch->dir->live.attrs.mtime;
    size_t size = strlen(touch->name);

    sim_data_copy(&inode->live.data, &old->live.data);
    inode->live.attrs.uid = old->live.attrs.uid;
    inode->live.attrs.gid = old->live.attrs.gid;
    sim_name_remove(touch->dir, sim_name_find(touch->dir, touch->name, size));
    sim_name_add(touch->dir, touch->name, size, inode);
    sim_inode_sync(old, false); /* it may have further names */
    touch->dir->live.attrs.mtime = mtime; /* or a directory that was walked is another one */
    return inode;
}

bool sim_touch(struct sim_host *host, const char *root)
{
    struct touch touch = { .world = host->world };
    struct sim_inode *inode;
    uint8_t bytes[EDIT_SIZE];
    uint64_t size;

    sim_tree_visit(host, root, touch_pick, &touch);
    if (touch.dir == NULL)
        return false;
    inode = sim_name_find(touch.dir, touch.name, strlen(touch.name))->inode;
    size = inode->live.data.size;
    version_keep(host->world, inode);
    memset(bytes, (int)sim_between(host->world, 1, 255), sizeof(bytes));
    switch (sim_between(host->world, 0, 3)) {
    case 0:
        hsr_assert(
            sim_data_write(inode, bytes, HSR_MIN(sizeof(bytes), size),
                           sim_between(host->world, 0, size - HSR_MIN(sizeof(bytes), size))) > 0);
        break;
    case 1:
        hsr_assert(sim_data_resize(inode, size + sim_between(host->world, 1, GROWTH_MAX)) == 0);
        break;
    case 2:
        hsr_assert(sim_data_resize(inode, size / 2) == 0);
        break;
    default:
        inode = replace(&touch, inode);
        hsr_assert(sim_data_write(inode, bytes, sizeof(bytes), size / 2) > 0);
        break;
    }
    time_now(inode);
    sim_inode_sync(inode, false);
    sim_inode_sync(touch.dir, false);
    if (host->world->trace != NULL)
        fprintf(host->world->trace, "%12.6f somebody changes \"%s\"\n",
                (double)host->world->now_ns / 1e9, touch.path);
    free(touch.path);
    return true;
}

bool sim_version_any(const struct sim_world *world, const struct sim_inode *inode)
{
    for (const struct sim_version *v = world->versions; v != NULL; v = v->next) {
        if (sim_same_bytes(v->inode, inode))
            return true;
    }
    return false;
}
