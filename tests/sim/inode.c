/* Inodes of the simulated file system: names, attributes, and the two states of each. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/fs.h"

/* Time stamps are as coarse as the kernel's (CONFIG_HZ 250). */
#define TICK_NS (4 * HSR_NS_PER_MS)

#define SECTOR 512u /* what a disk writes whole */

#define COOKIE_FIRST 3u /* 1 and 2 are "." and ".." */

struct timespec sim_time(const struct sim_host *host)
{
    uint64_t wall_ns = sim_wall_ns(host) / TICK_NS * TICK_NS;

    return (struct timespec){ .tv_sec = (time_t)(wall_ns / HSR_NS_PER_S),
                              .tv_nsec = (long)(wall_ns % HSR_NS_PER_S) };
}

struct sim_inode *sim_inode_create(struct sim_host *host, uint32_t mode, struct sim_inode *parent)
{
    struct sim_inode *inode = calloc(1, sizeof(*inode));
    struct sim_attrs *attrs;

    hsr_assert(inode != NULL);
    inode->host = host;
    inode->ino = host->ino_next++;
    inode->next = host->inodes;
    host->inodes = inode;
    inode->dirty = true;
    attrs = &inode->live.attrs;
    attrs->mode = mode;
    attrs->uid = host->uid;
    attrs->gid = host->gid;
    if (parent != NULL && (parent->live.attrs.mode & S_ISGID)) {
        attrs->gid = parent->live.attrs.gid;
        if (S_ISDIR(mode))
            attrs->mode |= S_ISGID;
    }
    attrs->atime = attrs->mtime = attrs->ctime = sim_time(host);
    sim_acl_inherit(inode, parent);
    return inode;
}

void sim_inode_changed(struct sim_inode *inode, bool content)
{
    inode->live.attrs.ctime = sim_time(inode->host);
    if (content)
        inode->live.attrs.mtime = inode->live.attrs.ctime;
    inode->dirty = true;
}

/* ---- names ---- */

struct sim_name *sim_name_find(struct sim_inode *dir, const char *name, size_t size)
{
    struct sim_names *names = &dir->live.names;

    for (uint32_t i = 0; i < names->count; i++) {
        if (names->list[i].size == size && memcmp(names->list[i].name, name, size) == 0)
            return &names->list[i];
    }
    return NULL;
}

/* Names come out in the order of a hash, as on ext4; it differs from seed to seed. */
static uint64_t name_cookie(const struct sim_inode *dir, const char *name, size_t size)
{
    uint64_t hash = dir->host->world->seed ^ 0xcbf29ce484222325ull;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3ull;
    return (hash >> 4) + COOKIE_FIRST;
}

static bool name_counts(const struct sim_inode *dir, const char *name, size_t size)
{
    bool (*is)(struct hsr_span) = dir->host->world->stage_name_is;

    return is == NULL || !is((struct hsr_span){ .ptr = (const void *)name, .size = size });
}

/* Note it for a power cut before the next sync. */
static void name_change(struct sim_inode *dir, const char *name, size_t size,
                        struct sim_inode *inode, bool add)
{
    struct sim_name_change *change;

    if (dir->change_count == dir->change_room) {
        dir->change_room = dir->change_room == 0 ? 8 : dir->change_room * 2;
        dir->changes = realloc(dir->changes, dir->change_room * sizeof(*dir->changes));
        hsr_assert(dir->changes != NULL);
    }
    change = &dir->changes[dir->change_count++];
    *change = (struct sim_name_change){
        .group = dir->host->world->op_count, .name = strndup(name, size), .inode = inode, .add = add
    };
    hsr_assert(change->name != NULL);
}

static void changes_forget(struct sim_inode *dir)
{
    for (uint32_t i = 0; i < dir->change_count; i++)
        free(dir->changes[i].name);
    dir->change_count = 0;
}

void sim_name_check(const struct sim_inode *dir, const char *name, size_t size,
                    const struct sim_inode *inode)
{
    if (!dir->host->names_need_sync || !S_ISREG(inode->live.attrs.mode) ||
        inode->live.data.size == 0 || !name_counts(dir, name, size))
        return;
    if (!inode->durable_known || !sim_data_same(&inode->live.data, &inode->durable.data))
        sim_violation(dir->host->world, "\"%.*s\" gets its name before its data is synced",
                      (int)size, name);
}

/* Into the list, and nothing else. */
static void name_put(struct sim_inode *dir, const char *name, size_t size, struct sim_inode *inode)
{
    struct sim_names *names = &dir->live.names;
    uint64_t cookie = name_cookie(dir, name, size);
    uint32_t at = 0;

    hsr_assert(S_ISDIR(dir->live.attrs.mode));
    hsr_assert(size > 0 && size < 256);
    if (names->count == names->room) {
        names->room = names->room == 0 ? 8 : names->room * 2;
        names->list = realloc(names->list, names->room * sizeof(*names->list));
        hsr_assert(names->list != NULL);
    }
    while (at < names->count && names->list[at].cookie <= cookie) {
        if (names->list[at].cookie == cookie)
            cookie++;
        at++;
    }
    memmove(&names->list[at + 1], &names->list[at], (names->count - at) * sizeof(*names->list));
    names->list[at] = (struct sim_name){ .size = (uint32_t)size, .cookie = cookie, .inode = inode };
    names->list[at].name = calloc(1, size + 1);
    hsr_assert(names->list[at].name != NULL);
    memcpy(names->list[at].name, name, size);
    names->count++;
}

void sim_name_add(struct sim_inode *dir, const char *name, size_t size, struct sim_inode *inode)
{
    name_put(dir, name, size, inode);
    inode->nlink++;
    inode->linkable = false;
    if (name_counts(dir, name, size))
        inode->named++;
    if (S_ISDIR(inode->live.attrs.mode))
        inode->parent = dir;
    name_change(dir, name, size, inode, true);
    sim_inode_changed(dir, true);
    sim_inode_changed(inode, false);
}

/* Out of the list, and nothing else. */
static void name_drop(struct sim_inode *dir, struct sim_name *entry)
{
    struct sim_names *names = &dir->live.names;
    uint32_t at = (uint32_t)(entry - names->list);

    hsr_assert(entry != NULL && at < names->count);
    free(entry->name);
    memmove(&names->list[at], &names->list[at + 1], (names->count - at - 1) * sizeof(*names->list));
    names->count--;
}

void sim_name_remove(struct sim_inode *dir, struct sim_name *entry)
{
    struct sim_inode *inode = entry->inode;

    if (name_counts(dir, entry->name, entry->size))
        inode->named--;
    inode->nlink--;
    name_change(dir, entry->name, entry->size, inode, false);
    name_drop(dir, entry);
    sim_inode_changed(dir, true);
    sim_inode_changed(inode, false);
}

/* ---- extended attributes ---- */

struct sim_xattr *sim_xattr_find(struct sim_inode *inode, const char *name)
{
    struct sim_attrs *attrs = &inode->live.attrs;

    for (uint32_t i = 0; i < attrs->xattr_count; i++) {
        if (strcmp(attrs->xattrs[i].name, name) == 0)
            return &attrs->xattrs[i];
    }
    return NULL;
}

int sim_xattr_set(struct sim_inode *inode, const char *name, const void *value, uint64_t size)
{
    struct sim_attrs *attrs = &inode->live.attrs;
    struct sim_xattr *xattr = sim_xattr_find(inode, name);

    if (size > 65536)
        return -E2BIG;
    if (xattr == NULL) {
        attrs->xattrs = realloc(attrs->xattrs, (attrs->xattr_count + 1u) * sizeof(*attrs->xattrs));
        hsr_assert(attrs->xattrs != NULL);
        xattr = &attrs->xattrs[attrs->xattr_count++];
        *xattr = (struct sim_xattr){ .name = strdup(name) };
        hsr_assert(xattr->name != NULL);
    }
    free(xattr->value);
    xattr->value = malloc((size_t)size + 1);
    hsr_assert(xattr->value != NULL);
    if (size > 0)
        memcpy(xattr->value, value, (size_t)size);
    xattr->size = (uint32_t)size;
    sim_inode_changed(inode, false);
    return 0;
}

int sim_xattr_remove(struct sim_inode *inode, const char *name)
{
    struct sim_attrs *attrs = &inode->live.attrs;
    struct sim_xattr *xattr = sim_xattr_find(inode, name);

    if (xattr == NULL)
        return -ENODATA;
    free(xattr->name);
    free(xattr->value);
    *xattr = attrs->xattrs[--attrs->xattr_count];
    sim_inode_changed(inode, false);
    return 0;
}

/* ---- states ---- */

static void attrs_free(struct sim_attrs *attrs)
{
    for (uint32_t i = 0; i < attrs->xattr_count; i++) {
        free(attrs->xattrs[i].name);
        free(attrs->xattrs[i].value);
    }
    free(attrs->xattrs);
    attrs->xattrs = NULL;
    attrs->xattr_count = 0;
}

static void attrs_copy(struct sim_attrs *to, const struct sim_attrs *from)
{
    *to = *from;
    to->xattrs = calloc(from->xattr_count + 1u, sizeof(*to->xattrs));
    hsr_assert(to->xattrs != NULL);
    for (uint32_t i = 0; i < from->xattr_count; i++) {
        const struct sim_xattr *xattr = &from->xattrs[i];

        to->xattrs[i] = (struct sim_xattr){ .name = strdup(xattr->name),
                                            .value = malloc(xattr->size + 1u),
                                            .size = xattr->size };
        hsr_assert(to->xattrs[i].name != NULL && to->xattrs[i].value != NULL);
        memcpy(to->xattrs[i].value, xattr->value, xattr->size);
    }
}

static void names_free(struct sim_names *names)
{
    for (uint32_t i = 0; i < names->count; i++)
        free(names->list[i].name);
    free(names->list);
    *names = (struct sim_names){ 0 };
}

static void names_copy(struct sim_names *to, const struct sim_names *from)
{
    *to = (struct sim_names){ .count = from->count, .room = from->count };
    if (from->count == 0)
        return;
    to->list = malloc(from->count * sizeof(*to->list));
    hsr_assert(to->list != NULL);
    for (uint32_t i = 0; i < from->count; i++) {
        to->list[i] = from->list[i];
        to->list[i].name = calloc(1, from->list[i].size + 1u);
        hsr_assert(to->list[i].name != NULL);
        memcpy(to->list[i].name, from->list[i].name, from->list[i].size);
    }
}

static void state_free(struct sim_state *state)
{
    sim_data_free(&state->data);
    attrs_free(&state->attrs);
    names_free(&state->names);
}

static void state_copy(struct sim_state *to, const struct sim_state *from)
{
    state_free(to);
    sim_data_copy(&to->data, &from->data);
    attrs_copy(&to->attrs, &from->attrs);
    names_copy(&to->names, &from->names);
}

/* What an inode has of its mode before it was ever written as a whole: its type. A symlink is made
 * in one piece, and its mode never changes. */
static uint32_t mode_at_first(const struct sim_inode *inode)
{
    uint32_t mode = inode->live.attrs.mode;

    return S_ISLNK(mode) ? mode : mode & S_IFMT;
}

/* fdatasync(2) keeps what is needed to read the data back; of a file that was never synced that is
 * its type only. */
void sim_inode_sync(struct sim_inode *inode, bool data_only)
{
    if (!inode->dirty)
        return;
    if (data_only && !S_ISDIR(inode->live.attrs.mode)) {
        sim_data_free(&inode->durable.data);
        sim_data_copy(&inode->durable.data, &inode->live.data);
        if (!inode->durable_known)
            inode->durable.attrs.mode = mode_at_first(inode);
    } else {
        state_copy(&inode->durable, &inode->live);
        inode->dirty = false;
        changes_forget(inode);
    }
    inode->durable_known = true;
}

void sim_fs_init(struct sim_host *host)
{
    host->ino_next = 2;
    host->uid = geteuid(); /* transfer/tree asks the real kernel who it is */
    host->gid = getegid();
    host->root = sim_inode_create(host, S_IFDIR | 0755, NULL);
    host->root->parent = host->root;
    host->root->nlink = 1;
    sim_fs_sync(host);
}

void sim_fs_fini(struct sim_host *host)
{
    while (host->inodes != NULL) {
        struct sim_inode *inode = host->inodes;

        host->inodes = inode->next;
        state_free(&inode->live);
        state_free(&inode->durable);
        changes_forget(inode);
        free(inode->changes);
        free(inode->link);
        free(inode);
    }
}

void sim_fs_sync(struct sim_host *host)
{
    for (struct sim_inode *inode = host->inodes; inode != NULL; inode = inode->next)
        sim_inode_sync(inode, false);
}

/* ---- a power cut ---- */

/* The bytes of page @index of @data, or zeros. */
static void page_get(const struct sim_data *data, uint64_t index, uint8_t out[SIM_PAGE])
{
    struct sim_data whole = *data;

    whole.size = UINT64_MAX; /* what lies beyond the end too */
    hsr_assert(sim_data_read(&whole, out, SIM_PAGE, index * SIM_PAGE) == SIM_PAGE);
}

/* One page of which the old and the new are known: either, or neither, or sectors of both. */
static void page_tear(struct sim_inode *inode, uint64_t index)
{
    struct sim_world *world = inode->host->world;
    uint64_t pick = sim_between(world, 0, 4);
    uint8_t now[SIM_PAGE], old[SIM_PAGE];

    if (pick < 2)
        return; /* as it is in `durable` */
    page_get(&inode->live.data, index, now);
    page_get(&inode->durable.data, index, old);
    for (unsigned at = 0; at < SIM_PAGE && pick == 4; at += SECTOR) {
        if (sim_between(world, 0, 1) == 0)
            memcpy(now + at, old + at, SECTOR);
    }
    sim_data_place(&inode->durable.data, index, now);
}

/* Contents after a power cut, into `durable`: a size, and of each page something. */
static void data_tear(struct sim_inode *inode)
{
    struct sim_world *world = inode->host->world;
    struct sim_data *old = &inode->durable.data;
    uint64_t sizes[3] = { old->size, inode->live.data.size, 0 };

    sizes[2] = sim_between(world, HSR_MIN(sizes[0], sizes[1]), HSR_MAX(sizes[0], sizes[1]));
    for (uint32_t i = 0; i < inode->live.data.count; i++)
        page_tear(inode, inode->live.data.extents[i].index);
    old->size = sizes[sim_between(world, 0, 2)];
    sim_data_trim(old);
}

/* Metadata of an inode is one record: the old or the new. */
static void attrs_tear(struct sim_inode *inode)
{
    if (sim_between(inode->host->world, 0, 1) == 0)
        return;
    attrs_free(&inode->durable.attrs);
    attrs_copy(&inode->durable.attrs, &inode->live.attrs);
}

/* The first changes of a directory have come to the disk, those of one operation together. */
static void names_tear(struct sim_inode *dir)
{
    static const unsigned parts[] = { 0, 1, 2, 2, 2, 4, 4 }; /* of 4; 2: anything in between */
    struct sim_world *world = dir->host->world;
    unsigned part = parts[sim_between(world, 0, HSR_ARRAY_COUNT(parts) - 1)];
    uint32_t count = dir->change_count;

    if (part == 2)
        count = (uint32_t)sim_between(world, 0, count);
    else
        count = (uint32_t)((uint64_t)count * part / 4);
    while (count > 0 && count < dir->change_count &&
           dir->changes[count].group == dir->changes[count - 1].group)
        count++;
    names_free(&dir->live.names);
    names_copy(&dir->live.names, &dir->durable.names);
    for (uint32_t i = 0; i < count; i++) {
        const struct sim_name_change *change = &dir->changes[i];
        size_t size = strlen(change->name);

        if (change->add)
            name_put(dir, change->name, size, change->inode);
        else
            name_drop(dir, sim_name_find(dir, change->name, size));
    }
    names_free(&dir->durable.names);
    names_copy(&dir->durable.names, &dir->live.names);
}

static void inode_crash(struct sim_inode *inode, bool torn)
{
    if (!inode->durable_known) /* a name may be there already: then of an empty inode */
        inode->durable.attrs.mode = mode_at_first(inode);
    if (torn && inode->dirty) {
        attrs_tear(inode);
        if (S_ISDIR(inode->live.attrs.mode))
            names_tear(inode);
        else
            data_tear(inode);
    }
    if (inode->link != NULL) /* a symlink and its text are one thing */
        inode->durable.data.size = strlen(inode->link);
    inode->host->pages -= inode->live.data.count;
    state_copy(&inode->live, &inode->durable);
    inode->host->pages += inode->live.data.count;
    changes_forget(inode);
    inode->dirty = false;
    inode->durable_known = true;
    inode->linkable = false;
    inode->nlink = inode == inode->host->root ? 1 : 0;
    inode->named = inode->nlink;
    inode->flocks = 0;
}

void sim_fs_crash(struct sim_host *host, bool torn)
{
    hsr_assert(sim_fd_count(host, true) == 0);
    for (struct sim_inode *inode = host->inodes; inode != NULL; inode = inode->next)
        inode_crash(inode, torn);
    for (struct sim_inode *dir = host->inodes; dir != NULL; dir = dir->next) {
        for (uint32_t i = 0; i < dir->live.names.count; i++) {
            const struct sim_name *entry = &dir->live.names.list[i];

            entry->inode->nlink++;
            if (name_counts(dir, entry->name, entry->size))
                entry->inode->named++;
            if (S_ISDIR(entry->inode->live.attrs.mode))
                entry->inode->parent = dir;
        }
    }
}
