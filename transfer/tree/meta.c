/* Metadata. The order is owner, attributes, mode, time:
 *
 *   owner first       chown(2) clears set-id bits and security.capability
 *   attributes next   a plain user may write user.* only while the mode lets the owner write, and
 *                     setting or removing an ACL moves the group bits of the mode
 *   mode after them   chmod(2) changes no attribute but the mask of an ACL, which equals the group
 *                     bits of the entry's mode
 *   time last         everything above may touch it on some file system
 *
 * Only what differs from what the file has is set. Nobody sees the steps of a stage: it has no name
 * yet. */
#include <errno.h>
#include <linux/limits.h>
#include <linux/xattr.h>
#include <string.h>

#include "transfer/tree/at.h"
#include "transfer/tree/meta.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define XATTR_FIRST_SIZE 512u /* bytes: most files have no attribute, or a short one */

_Static_assert(HSR_TREE_XATTR_SIZE >= XATTR_LIST_MAX && HSR_TREE_XATTR_SIZE >= XATTR_SIZE_MAX,
               "the kernel's limits fit the scratch memory");
_Static_assert(HSR_XATTR_NAME_MAX == XATTR_NAME_MAX, "names of the wire are names of the kernel");

/* Where attributes are: the descriptor, or a name in it. */
struct place {
    int fd;
    bool path_fd;
    const char *path;
};

static int meta_owner(struct hsr_tree *tree, int fd, const struct hsr_entry *entry,
                      struct hsr_meta_now *now);
static int meta_xattrs(struct hsr_tree *tree, struct place place, const struct hsr_entry *entry,
                       bool none, bool *ret_acl);
static int meta_mode(struct hsr_tree *tree, int fd, bool path_fd, const struct hsr_entry *entry,
                     const struct hsr_meta_now *now, bool acl);
static int meta_time(struct hsr_tree *tree, int fd, const struct hsr_entry *entry,
                     const struct hsr_meta_now *now);
static bool xattr_kept(const struct hsr_tree *tree, const char *name);
static int64_t xattr_list(struct hsr_tree *tree, struct place place);
static int xattr_same(struct hsr_tree *tree, struct place place, const char *name,
                      struct hsr_span value);
static int64_t xattr_call(struct hsr_tree *tree, struct place place, struct hsr_op *op);

uint32_t hsr_meta_kind(uint8_t entry_type)
{
    switch (entry_type) {
    case HSR_ENTRY_FILE:
        return S_IFREG;
    case HSR_ENTRY_DIR:
    case HSR_ENTRY_DIR_END:
        return S_IFDIR;
    case HSR_ENTRY_SYMLINK:
        return S_IFLNK;
    case HSR_ENTRY_FIFO:
        return S_IFIFO;
    case HSR_ENTRY_CHAR:
        return S_IFCHR;
    case HSR_ENTRY_BLOCK:
        return S_IFBLK;
    default:
        return 0;
    }
}

uint32_t hsr_meta_mode(const struct hsr_entry *entry, uint32_t uid, uint32_t gid)
{
    uint32_t mode = entry->mode & 07777u;

    if (hsr_meta_kind(entry->type) == S_IFDIR)
        return mode; /* there it gives nobody anything: it says who inherits */
    if (uid != entry->uid)
        mode &= ~(uint32_t)S_ISUID;
    if (gid != entry->gid)
        mode &= ~(uint32_t)S_ISGID;
    return mode;
}

void hsr_meta_now_statx(struct hsr_meta_now *ret_now, const struct statx *statx)
{
    *ret_now = (struct hsr_meta_now){ .mode = statx->stx_mode,
                                      .uid = statx->stx_uid,
                                      .gid = statx->stx_gid,
                                      .mtime_s = statx->stx_mtime.tv_sec,
                                      .mtime_ns = statx->stx_mtime.tv_nsec };
}

void hsr_meta_warn(struct hsr_tree *tree, int code, const char *op)
{
    hsr_assert(code < 0);
    if (tree->warning.code == 0) {
        tree->warning.code = code;
        tree->warning.op = op;
    }
}

static bool mtime_differs(const struct hsr_tree *tree, const struct hsr_entry *entry,
                          const struct hsr_meta_now *now)
{
    if (tree->options & HSR_OPT_NO_TIMES)
        return false;
    return now->mtime_stale || now->mtime_s != entry->mtime_s || now->mtime_ns != entry->mtime_ns;
}

uint16_t hsr_meta_differs(const struct hsr_tree *tree, const struct hsr_entry *entry,
                          const struct hsr_meta_now *now)
{
    unsigned differs = 0;

    /* To compare it does not matter who could set it. */
    if ((tree->root || (tree->options & HSR_OPT_VERIFY)) && !(tree->options & HSR_OPT_NO_OWNER) &&
        (now->uid != entry->uid || now->gid != entry->gid))
        differs |= HSR_DIFFERS_OWNER;
    if (entry->type != HSR_ENTRY_SYMLINK &&
        (now->mode & 07777u) != hsr_meta_mode(entry, now->uid, now->gid))
        differs |= HSR_DIFFERS_MODE;
    if (mtime_differs(tree, entry, now))
        differs |= HSR_DIFFERS_TIME;
    return (uint16_t)differs;
}

int hsr_meta_apply(struct hsr_tree *tree, int fd, bool path_fd, const struct hsr_entry *entry,
                   const struct hsr_meta_now *now)
{
    struct place place = { .fd = fd, .path_fd = path_fd, .path = "" };
    struct hsr_meta_now have = *now;
    bool changed = false;
    bool acl = false;
    int rc;

    hsr_assert(fd >= 0);
    hsr_assert((now->mode & S_IFMT) == hsr_meta_kind(entry->type));

    rc = meta_owner(tree, fd, entry, &have);
    if (rc < 0)
        return rc;
    changed |= rc > 0;

    if (!(tree->options & HSR_OPT_NO_XATTRS) && (entry->xattr_count > 0 || !now->xattrs_none)) {
        bool locked = !tree->root && S_ISREG(have.mode) && (have.mode & S_IWUSR) == 0;

        /* Only for what is touched in place: a stage is made writable from the start. */
        if (locked && hsr_meta_xattrs_differ(tree, fd, "", entry) == 1 &&
            hsr_at_chmod(tree->loop, fd, path_fd, have.mode | S_IWUSR) == 0)
            have.mode |= S_IWUSR;
        rc = meta_xattrs(tree, place, entry, now->xattrs_none, &acl);
        if (rc < 0)
            return rc;
        changed |= rc > 0;
    }

    rc = meta_mode(tree, fd, path_fd, entry, &have, acl);
    if (rc < 0)
        return rc;
    changed |= rc > 0;

    rc = meta_time(tree, fd, entry, &have);
    if (rc < 0)
        return rc;
    return (changed || rc > 0) ? 1 : 0;
}

static int meta_chown(struct hsr_tree *tree, int fd, uint32_t uid, uint32_t gid)
{
    struct hsr_op op = {
        .kind = HSR_OP_CHOWN, .fd = fd, .path = "", .uid = uid, .gid = gid, .buf_index = -1
    };

    return (int)hsr_loop_call(tree->loop, &op);
}

/* Afterwards @now says who owns it and which bits are left. */
static int meta_owner(struct hsr_tree *tree, int fd, const struct hsr_entry *entry,
                      struct hsr_meta_now *now)
{
    uint32_t uid = UINT32_MAX, gid = UINT32_MAX; /* leave */
    int rc;

    if (tree->options & HSR_OPT_NO_OWNER)
        return 0;
    if (now->uid != entry->uid) {
        if (tree->root)
            uid = entry->uid;
        else
            tree->owner_refused = true; /* not even tried: only root gives files away */
    }
    if (now->gid != entry->gid)
        gid = entry->gid; /* may be one of a plain user's groups */
    if (uid == UINT32_MAX && gid == UINT32_MAX)
        return 0;

    rc = meta_chown(tree, fd, uid, gid);
    if (rc == -EPERM || rc == -EINVAL) { /* EINVAL: an id this user namespace does not know */
        tree->owner_refused = true;
        if (tree->root)
            hsr_meta_warn(tree, rc, "chown");
        return 0;
    }
    if (rc < 0)
        return rc;
    if (uid != UINT32_MAX)
        now->uid = uid;
    if (gid != UINT32_MAX)
        now->gid = gid;
    /* chown(2): cleared for everything but directories, even for root where the file can be
     * executed. Assume the worst: a chmod too many is cheap, one too few is wrong. */
    if (!S_ISDIR(now->mode))
        now->mode &= ~(uint32_t)(S_ISUID | S_ISGID);
    return 1;
}

static int meta_mode(struct hsr_tree *tree, int fd, bool path_fd, const struct hsr_entry *entry,
                     const struct hsr_meta_now *now, bool acl)
{
    uint32_t mode = hsr_meta_mode(entry, now->uid, now->gid);
    int rc;

    if (S_ISLNK(now->mode))
        return 0; /* its mode means nothing and cannot be changed */
    if (mode != (entry->mode & 07777u)) {
        tree->owner_refused = true;
        hsr_meta_warn(tree, -EPERM, "set-id");
    }
    if ((now->mode & 07777u) == mode && !acl)
        return 0;
    rc = hsr_at_chmod(tree->loop, fd, path_fd, mode);
    return rc < 0 ? rc : 1;
}

static int meta_time(struct hsr_tree *tree, int fd, const struct hsr_entry *entry,
                     const struct hsr_meta_now *now)
{
    struct hsr_op op = { .kind = HSR_OP_UTIMENS,
                         .fd = fd,
                         .path = "",
                         .times = { { .tv_nsec = UTIME_OMIT },
                                    { .tv_sec = entry->mtime_s, .tv_nsec = entry->mtime_ns } },
                         .buf_index = -1 };
    int rc;

    if (!mtime_differs(tree, entry, now))
        return 0;
    hsr_assert(entry->mtime_ns < HSR_NS_PER_S);
    rc = (int)hsr_loop_call(tree->loop, &op);
    return rc < 0 ? rc : 1;
}

/* ---- extended attributes ---- */

/* Namespaces that mean something at another machine. Labels and measurements of the security
 * modules belong to the system that made them. */
static bool xattr_kept(const struct hsr_tree *tree, const char *name)
{
    if (strncmp(name, XATTR_USER_PREFIX, XATTR_USER_PREFIX_LEN) == 0)
        return true;
    if (strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0)
        return true;
    if (!tree->root)
        return false;
    if (strncmp(name, XATTR_TRUSTED_PREFIX, XATTR_TRUSTED_PREFIX_LEN) == 0)
        return true;
    return strncmp(name, XATTR_SECURITY_PREFIX, XATTR_SECURITY_PREFIX_LEN) == 0 &&
           strcmp(name, XATTR_NAME_SELINUX) != 0 && strcmp(name, XATTR_NAME_IMA) != 0 &&
           strcmp(name, XATTR_NAME_EVM) != 0;
}

/* The next attribute of @reader that is kept here, its name NUL-ended: 1, 0 at the end, or the
 * decoder's error. */
static int xattr_next_kept(const struct hsr_tree *tree, struct hsr_reader *reader,
                           struct hsr_xattr *ret_xattr, char name[HSR_XATTR_NAME_MAX + 1])
{
    int rc;

    while ((rc = hsr_xattr_next(reader, ret_xattr)) == 1) {
        hsr_require(ret_xattr->name.size > 0 && ret_xattr->name.size <= HSR_XATTR_NAME_MAX,
                    HSR_E_PROTOCOL);
        hsr_require(ret_xattr->value.size <= HSR_XATTR_VALUE_MAX, HSR_E_LIMIT);
        hsr_require(memchr(ret_xattr->name.ptr, '\0', ret_xattr->name.size) == NULL,
                    HSR_E_PROTOCOL);
        memcpy(name, ret_xattr->name.ptr, ret_xattr->name.size);
        name[ret_xattr->name.size] = '\0';
        if (xattr_kept(tree, name))
            return 1;
    }
    return rc;
}

int hsr_meta_xattrs_differ(struct hsr_tree *tree, int fd, const char *name,
                           const struct hsr_entry *entry)
{
    struct place place = { .fd = fd, .path_fd = name[0] == '\0', .path = name };
    struct hsr_reader reader = hsr_reader_init(entry->xattrs.ptr, entry->xattrs.size);
    char xattr_name[HSR_XATTR_NAME_MAX + 1];
    struct hsr_xattr xattr;
    uint32_t wanted = 0, found = 0;
    int64_t size;
    int rc;

    size = xattr_list(tree, place);
    if (size < 0)
        return (int)size;
    for (int64_t offset = 0; offset < size;) {
        const char *at = tree->xattr_names + offset;

        found += xattr_kept(tree, at);
        offset += (int64_t)strnlen(at, (size_t)(size - offset)) + 1;
    }
    while ((rc = xattr_next_kept(tree, &reader, &xattr, xattr_name)) == 1) {
        wanted++;
        if (wanted > found)
            return 1;
        rc = xattr_same(tree, place, xattr_name, xattr.value);
        if (rc <= 0)
            return rc < 0 ? rc : 1;
    }
    return rc < 0 ? rc : wanted != found;
}

static bool xattr_wanted(const struct hsr_tree *tree, const struct hsr_entry *entry,
                         const char *name)
{
    struct hsr_reader reader = hsr_reader_init(entry->xattrs.ptr, entry->xattrs.size);
    char wanted[HSR_XATTR_NAME_MAX + 1];
    struct hsr_xattr xattr;

    while (xattr_next_kept(tree, &reader, &xattr, wanted) == 1) {
        if (strcmp(wanted, name) == 0)
            return true;
    }
    return false;
}

static bool xattr_is_acl(const char *name)
{
    return strcmp(name, ACL_ACCESS) == 0;
}

/* Remove what is listed and not wanted. 1: something went. */
static int xattrs_remove(struct hsr_tree *tree, struct place place, const struct hsr_entry *entry,
                         bool *acl)
{
    int64_t size = xattr_list(tree, place);
    bool changed = false;

    if (size < 0) {
        hsr_meta_warn(tree, (int)size, "listxattr");
        return 0;
    }
    for (int64_t offset = 0; offset < size;) {
        const char *name = tree->xattr_names + offset;
        struct hsr_op op = { .kind = HSR_OP_REMOVEXATTR, .xattr = name, .buf_index = -1 };

        offset += (int64_t)strnlen(name, (size_t)(size - offset)) + 1;
        if (!xattr_kept(tree, name) || xattr_wanted(tree, entry, name))
            continue;
        int64_t res = xattr_call(tree, place, &op);
        if (res < 0 && res != -ENODATA) {
            hsr_meta_warn(tree, (int)res, "removexattr");
            continue;
        }
        changed = true;
        *acl |= xattr_is_acl(name);
    }
    return changed ? 1 : 0;
}

/* An attribute that cannot be kept never costs the content: it is a warning. */
static int meta_xattrs(struct hsr_tree *tree, struct place place, const struct hsr_entry *entry,
                       bool none, bool *ret_acl)
{
    struct hsr_reader reader = hsr_reader_init(entry->xattrs.ptr, entry->xattrs.size);
    char name[HSR_XATTR_NAME_MAX + 1];
    struct hsr_xattr xattr;
    bool changed = false;
    int rc;

    if (!none)
        changed = xattrs_remove(tree, place, entry, ret_acl) > 0;
    while ((rc = xattr_next_kept(tree, &reader, &xattr, name)) == 1) {
        struct hsr_op op = { .kind = HSR_OP_SETXATTR, .xattr = name, .buf_index = -1 };

        if (!none && xattr_same(tree, place, name, xattr.value) == 1)
            continue;
        op.buf = (void *)(uintptr_t)xattr.value.ptr; /* the kernel only reads it */
        op.size = xattr.value.size;
        int64_t res = xattr_call(tree, place, &op);
        if (res < 0) {
            hsr_meta_warn(tree, (int)res, "setxattr");
            continue;
        }
        changed = true;
        *ret_acl |= xattr_is_acl(name);
    }
    return rc < 0 ? rc : (changed ? 1 : 0);
}

/* Ask with a small size first: the kernel allocates a buffer of the size that is given, and 64 KiB
 * for each file were a sixth of the CPU of a run that changes nothing. */
static int64_t xattr_read(struct hsr_tree *tree, struct place place, struct hsr_op *op)
{
    int64_t res;

    op->size = XATTR_FIRST_SIZE;
    res = xattr_call(tree, place, op);
    if (res == -ERANGE) {
        op->size = HSR_TREE_XATTR_SIZE;
        res = xattr_call(tree, place, op);
    }
    hsr_assert(res <= (int64_t)op->size);
    return res;
}

/* Names into tree->xattr_names: bytes, 0 where there are none or can be none. */
static int64_t xattr_list(struct hsr_tree *tree, struct place place)
{
    struct hsr_op op = { .kind = HSR_OP_LISTXATTR, .buf = tree->xattr_names, .buf_index = -1 };
    int64_t res = xattr_read(tree, place, &op);

    return res == -EOPNOTSUPP ? 0 : res;
}

static int xattr_same(struct hsr_tree *tree, struct place place, const char *name,
                      struct hsr_span value)
{
    struct hsr_op op = {
        .kind = HSR_OP_GETXATTR, .xattr = name, .buf = tree->xattr_value, .buf_index = -1
    };
    int64_t res = xattr_read(tree, place, &op);

    if (res == -ENODATA || res == -EOPNOTSUPP)
        return 0;
    if (res < 0)
        return (int)res;
    if ((uint64_t)res != value.size)
        return 0;
    return res == 0 || memcmp(tree->xattr_value, value.ptr, value.size) == 0;
}

/* A directory from the cache may be an O_PATH descriptor, where only the second way works. */
static int64_t xattr_call(struct hsr_tree *tree, struct place place, struct hsr_op *op)
{
    int64_t res;

    op->fd = place.fd;
    op->path = place.path;
    op->path_fd = place.path_fd;
    res = hsr_loop_call(tree->loop, op);
    if (res == -EBADF && !op->path_fd && place.path[0] == '\0') {
        op->path_fd = true;
        res = hsr_loop_call(tree->loop, op);
    }
    return res;
}
