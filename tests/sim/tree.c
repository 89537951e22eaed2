/* See tree.h. */
#include "tests/sim/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/sim/fs.h"

#define PATH_ROOM 8192u
#define DIFFS_SHOWN 12u
#define RUN_PAGES 16u

static void must(struct sim_host *host, struct hsr_op *op)
{
    int64_t res;

    op->buf_index = -1;
    res = sim_fs_run(host, op, 0);
    if (res < 0) {
        fprintf(stderr, "%s \"%s\": %s\n", hsr_op_name(op->kind), op->path, hsr_err_name((int)res));
        abort();
    }
}

static void mode_set(struct sim_host *host, const char *path, uint32_t mode)
{
    struct hsr_op op = { .kind = HSR_OP_CHMOD, .fd = AT_FDCWD, .path = path, .mode = mode };

    must(host, &op);
}

void sim_mkdir(struct sim_host *host, const char *path, uint32_t mode)
{
    struct hsr_op op = { .kind = HSR_OP_MKDIR, .fd = AT_FDCWD, .path = path, .mode = 0700 };

    must(host, &op);
    mode_set(host, path, mode);
}

void sim_file(struct sim_host *host, const char *path, uint32_t mode, uint64_t content_seed,
              uint64_t size, bool holes)
{
    struct hsr_prng prng = hsr_prng_init(content_seed);
    struct hsr_op op = {
        .kind = HSR_OP_MKNOD, .fd = AT_FDCWD, .path = path, .mode = S_IFREG | 0600
    };
    struct sim_inode *inode;
    uint64_t page[SIM_PAGE / 8];

    must(host, &op);
    inode = sim_find(host, path);
    hsr_assert(inode != NULL);
    for (uint64_t at = 0; at < size; at += SIM_PAGE) {
        if (holes && at / SIM_PAGE / RUN_PAGES % 4 == 3)
            continue;
        for (unsigned i = 0; i < SIM_PAGE / 8; i++)
            page[i] = hsr_prng_next(&prng);
        hsr_assert(sim_data_write(inode, page, HSR_MIN(SIM_PAGE, size - at), at) > 0);
    }
    hsr_assert(sim_data_resize(inode, size) == 0);
    mode_set(host, path, mode);
}

void sim_symlink(struct sim_host *host, const char *path, const char *text)
{
    struct hsr_op op = { .kind = HSR_OP_SYMLINK, .fd = AT_FDCWD, .path = path, .path2 = text };

    must(host, &op);
}

void sim_link(struct sim_host *host, const char *path, const char *first)
{
    struct hsr_op op = {
        .kind = HSR_OP_LINK, .fd = AT_FDCWD, .path = first, .fd2 = AT_FDCWD, .path2 = path
    };

    must(host, &op);
}

void sim_special(struct sim_host *host, const char *path, uint32_t mode, uint64_t rdev)
{
    struct hsr_op op = {
        .kind = HSR_OP_MKNOD, .fd = AT_FDCWD, .path = path, .mode = mode, .rdev = rdev
    };

    must(host, &op);
    mode_set(host, path, mode & 07777);
}

void sim_owner(struct sim_host *host, const char *path, uint32_t uid, uint32_t gid)
{
    struct sim_inode *inode = sim_find(host, path);

    hsr_assert(inode != NULL);
    inode->live.attrs.uid = uid; /* and not by chown(2), which would clear set-id bits */
    inode->live.attrs.gid = gid;
    inode->dirty = true;
}

void sim_mtime(struct sim_host *host, const char *path, int64_t s, uint32_t ns)
{
    struct sim_inode *inode = sim_find(host, path);

    hsr_assert(inode != NULL);
    inode->live.attrs.mtime = (struct timespec){ .tv_sec = s, .tv_nsec = ns };
    inode->dirty = true;
}

void sim_xattr(struct sim_host *host, const char *path, const char *name, const char *value)
{
    struct sim_inode *inode = sim_find(host, path);

    hsr_assert(inode != NULL);
    hsr_assert(sim_xattr_set(inode, name, value, strlen(value)) == 0);
}

struct sim_inode *sim_find(struct sim_host *host, const char *path)
{
    struct sim_lookup lookup;

    return sim_lookup(host, AT_FDCWD, path, 0, false, &lookup) == 0 ? lookup.inode : NULL;
}

int sim_open(struct sim_host *host, const char *path, uint32_t flags)
{
    struct hsr_op op = {
        .kind = HSR_OP_OPENAT2, .fd = AT_FDCWD, .path = path, .open_flags = flags, .buf_index = -1
    };

    return (int)sim_fs_run(host, &op, 0);
}

/* ---- comparing ---- */

struct diff {
    FILE *out;
    bool extras;
    unsigned count;
    uint64_t *links; /* pairs of inode numbers: which file of b is which of a */
    unsigned link_count, link_room;
    char path[PATH_ROOM];
};

static void diff_say(struct diff *diff, const char *what)
{
    if (diff->count++ < DIFFS_SHOWN && diff->out != NULL)
        fprintf(diff->out, "differs: \"%s\": %s\n", diff->path, what);
}

bool sim_same_bytes(const struct sim_inode *a, const struct sim_inode *b)
{
    const struct sim_data *x = &a->live.data, *y = &b->live.data;
    uint8_t left[SIM_PAGE], right[SIM_PAGE];
    uint32_t i = 0, j = 0;

    if (x->size != y->size)
        return false;
    while (i < x->count || j < y->count) { /* only pages that one of them has */
        uint64_t index = UINT64_MAX;

        if (i < x->count)
            index = x->extents[i].index;
        if (j < y->count)
            index = HSR_MIN(index, y->extents[j].index);
        if (index * SIM_PAGE < x->size) {
            int64_t size = sim_data_read(x, left, SIM_PAGE, index * SIM_PAGE);

            if (sim_data_read(y, right, SIM_PAGE, index * SIM_PAGE) != size ||
                memcmp(left, right, (size_t)size) != 0)
                return false;
        }
        i += i < x->count && x->extents[i].index == index;
        j += j < y->count && y->extents[j].index == index;
    }
    return true;
}

static void diff_xattrs(struct diff *diff, struct sim_inode *a, struct sim_inode *b)
{
    if (a->live.attrs.xattr_count != b->live.attrs.xattr_count)
        diff_say(diff, "number of xattrs");
    for (uint32_t i = 0; i < a->live.attrs.xattr_count; i++) {
        const struct sim_xattr *x = &a->live.attrs.xattrs[i];
        const struct sim_xattr *y = sim_xattr_find(b, x->name);

        if (y == NULL || y->size != x->size || memcmp(x->value, y->value, x->size) != 0)
            diff_say(diff, x->name);
    }
}

/* Two names are one file in b if and only if they are in a. */
static void diff_links(struct diff *diff, const struct sim_inode *a, const struct sim_inode *b)
{
    for (unsigned i = 0; i < diff->link_count; i++) {
        bool same_a = diff->links[2 * i] == a->ino, same_b = diff->links[2 * i + 1] == b->ino;

        if (same_a != same_b)
            diff_say(diff, "hard links");
        if (same_a || same_b)
            return;
    }
    if (diff->link_count == diff->link_room) {
        diff->link_room = diff->link_room == 0 ? 64 : diff->link_room * 2;
        diff->links = realloc(diff->links, diff->link_room * 2 * sizeof(uint64_t));
        hsr_assert(diff->links != NULL);
    }
    diff->links[2 * diff->link_count] = a->ino;
    diff->links[2 * diff->link_count + 1] = b->ino;
    diff->link_count++;
}

static void diff_inode(struct diff *diff, struct sim_inode *a, struct sim_inode *b);

static void diff_dir(struct diff *diff, struct sim_inode *a, struct sim_inode *b)
{
    size_t size = strlen(diff->path);

    for (uint32_t i = 0; i < a->live.names.count; i++) {
        const struct sim_name *entry = &a->live.names.list[i];
        struct sim_name *other = sim_name_find(b, entry->name, entry->size);

        (void)snprintf(diff->path + size, sizeof(diff->path) - size, "/%s", entry->name);
        if (other == NULL)
            diff_say(diff, "missing");
        else
            diff_inode(diff, entry->inode, other->inode);
        diff->path[size] = '\0';
    }
    for (uint32_t i = 0; i < b->live.names.count && !diff->extras; i++) {
        const struct sim_name *entry = &b->live.names.list[i];

        (void)snprintf(diff->path + size, sizeof(diff->path) - size, "/%s", entry->name);
        if (sim_name_find(a, entry->name, entry->size) == NULL)
            diff_say(diff, "should not be there");
        diff->path[size] = '\0';
    }
}

static void diff_inode(struct diff *diff, struct sim_inode *a, struct sim_inode *b)
{
    const struct sim_attrs *x = &a->live.attrs, *y = &b->live.attrs;

    if ((x->mode & S_IFMT) != (y->mode & S_IFMT)) {
        diff_say(diff, "kind");
        return;
    }
    if (x->mode != y->mode)
        diff_say(diff, "mode");
    if (x->uid != y->uid || x->gid != y->gid)
        diff_say(diff, "owner");
    if (x->mtime.tv_sec != y->mtime.tv_sec || x->mtime.tv_nsec != y->mtime.tv_nsec)
        diff_say(diff, "mtime");
    if (a->rdev != b->rdev)
        diff_say(diff, "device number");
    if (S_ISLNK(x->mode) && strcmp(a->link, b->link) != 0)
        diff_say(diff, "symlink");
    if (S_ISREG(x->mode) && !sim_same_bytes(a, b))
        diff_say(diff, "content");
    diff_xattrs(diff, a, b);
    if (S_ISDIR(x->mode))
        diff_dir(diff, a, b);
    else if (a->nlink > 1 || b->nlink > 1)
        diff_links(diff, a, b);
}

unsigned sim_tree_diff(struct sim_host *host_a, const char *a, struct sim_host *host_b,
                       const char *b, bool extras, FILE *out)
{
    struct diff *diff = calloc(1, sizeof(*diff));
    struct sim_inode *left = sim_find(host_a, a), *right = sim_find(host_b, b);
    unsigned count;

    hsr_assert(diff != NULL);
    diff->out = out;
    diff->extras = extras;
    if (left == NULL || right == NULL)
        diff_say(diff, "one side is missing");
    else
        diff_inode(diff, left, right);
    count = diff->count;
    free(diff->links);
    free(diff);
    return count;
}

/* ---- fingerprints ---- */

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *in = bytes;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ in[i]) * 0x100000001b3ull;
    return hash;
}

static uint64_t hash_inode(const struct sim_inode *inode, const struct sim_inode *except,
                           uint64_t hash)
{
    const struct sim_state *state = &inode->live;

    if (inode == except)
        return hash;
    hash = mix(hash, &state->attrs.mode, sizeof(state->attrs.mode));
    hash = mix(hash, &state->attrs.uid, sizeof(state->attrs.uid));
    hash = mix(hash, &state->attrs.gid, sizeof(state->attrs.gid));
    hash = mix(hash, &state->attrs.mtime, sizeof(state->attrs.mtime));
    hash = mix(hash, &state->attrs.ctime, sizeof(state->attrs.ctime));
    hash = mix(hash, &state->data.size, sizeof(state->data.size));
    for (uint32_t i = 0; i < state->data.count; i++)
        hash = mix(hash, state->data.extents[i].page->bytes, 64); /* enough to see a change */
    for (uint32_t i = 0; i < state->names.count; i++) {
        hash = mix(hash, state->names.list[i].name, state->names.list[i].size);
        hash = hash_inode(state->names.list[i].inode, except, hash);
    }
    return hash;
}

uint64_t sim_host_hash(struct sim_host *host, const char *except)
{
    return hash_inode(host->root, except != NULL ? sim_find(host, except) : NULL, 1);
}

/* ---- visiting ---- */

static void visit_dir(struct sim_inode *dir, char *path, size_t size, sim_visit *visit,
                      void *context)
{
    for (uint32_t i = 0; i < dir->live.names.count; i++) {
        struct sim_name *entry = &dir->live.names.list[i];
        int added =
            snprintf(path + size, PATH_ROOM - size, "%s%s", size > 0 ? "/" : "", entry->name);

        hsr_assert(added > 0 && size + (size_t)added < PATH_ROOM);
        visit(context, path, dir, entry);
        if (S_ISDIR(entry->inode->live.attrs.mode))
            visit_dir(entry->inode, path, size + (size_t)added, visit, context);
        path[size] = '\0';
    }
}

void sim_tree_visit(struct sim_host *host, const char *path, sim_visit *visit, void *context)
{
    struct sim_inode *dir = sim_find(host, path);
    char *room = calloc(1, PATH_ROOM);

    hsr_assert(room != NULL);
    if (dir != NULL && S_ISDIR(dir->live.attrs.mode))
        visit_dir(dir, room, 0, visit, context);
    free(room);
}
