/* POSIX ACLs of simulated files, as far as programs see them through xattrs: acl(5), and
 * posix_acl.c of the kernel. An ACL that says no more than the mode is none. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/sim/fs.h"
#include "tests/sim/tree.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define ACL_VERSION 2u
#define HEADER_SIZE 4u
#define ENTRY_SIZE 8u
#define ENTRIES_MAX 32u

enum tag { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };

struct acl {
    uint32_t count;
    struct {
        uint16_t tag, perm;
        uint32_t id;
    } entries[ENTRIES_MAX];
};

_Static_assert(sizeof(((struct acl *)0)->entries[0]) == ENTRY_SIZE, "as the kernel writes it here");

static bool acl_read(const void *value, uint64_t size, struct acl *ret_acl)
{
    uint32_t version;

    ret_acl->count = (uint32_t)((size - HEADER_SIZE) / ENTRY_SIZE);
    if (size < HEADER_SIZE || (size - HEADER_SIZE) % ENTRY_SIZE != 0 ||
        ret_acl->count > ENTRIES_MAX)
        return false;
    memcpy(&version, value, sizeof(version));
    memcpy(ret_acl->entries, (const uint8_t *)value + HEADER_SIZE, size - HEADER_SIZE);
    return version == ACL_VERSION;
}

static bool acl_of(struct sim_inode *inode, const char *name, struct acl *ret_acl)
{
    const struct sim_xattr *xattr = sim_xattr_find(inode, name);

    return xattr != NULL && acl_read(xattr->value, xattr->size, ret_acl);
}

static void acl_put(struct sim_inode *inode, const char *name, const struct acl *acl)
{
    uint8_t value[HEADER_SIZE + ENTRIES_MAX * ENTRY_SIZE];
    uint32_t version = ACL_VERSION;

    memcpy(value, &version, sizeof(version));
    memcpy(value + HEADER_SIZE, acl->entries, acl->count * ENTRY_SIZE);
    hsr_assert(sim_xattr_set(inode, name, value, HEADER_SIZE + acl->count * ENTRY_SIZE) == 0);
}

/* The entry that the group's bits of a mode are: the mask, or else the group. */
static uint32_t acl_group(const struct acl *acl)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < acl->count; i++) {
        if (acl->entries[i].tag == MASK)
            return i;
        if (acl->entries[i].tag == GROUP_OBJ)
            at = i;
    }
    return at;
}

/* Does it say more than a mode? */
static bool acl_extends(const struct acl *acl)
{
    for (uint32_t i = 0; i < acl->count; i++)
        if (acl->entries[i].tag == USER || acl->entries[i].tag == GROUP ||
            acl->entries[i].tag == MASK)
            return true;
    return false;
}

/* Let the entries that stand for the bits of a mode be those of @mode, or (@narrow) only as far as
 * they allow it. Returns the mode that they say then. */
static uint32_t acl_mode(struct acl *acl, uint32_t mode, bool narrow)
{
    uint32_t group = acl_group(acl), result = mode & ~0777u;

    for (uint32_t i = 0; i < acl->count; i++) {
        uint32_t shift;

        if (acl->entries[i].tag == USER_OBJ)
            shift = 6;
        else if (acl->entries[i].tag == OTHER)
            shift = 0;
        else if (i == group)
            shift = 3;
        else
            continue;
        acl->entries[i].perm =
            (uint16_t)((narrow ? acl->entries[i].perm : 7u) & (mode >> shift & 7u));
        result |= (uint32_t)acl->entries[i].perm << shift;
    }
    return result;
}

void sim_acl_inherit(struct sim_inode *inode, struct sim_inode *parent)
{
    struct sim_attrs *attrs = &inode->live.attrs;
    struct acl acl;

    if (parent == NULL || S_ISLNK(attrs->mode) || !acl_of(parent, ACL_DEFAULT, &acl))
        return;
    if (S_ISDIR(attrs->mode))
        acl_put(inode, ACL_DEFAULT, &acl);
    attrs->mode = acl_mode(&acl, attrs->mode, /* narrow= */ true);
    if (acl_extends(&acl))
        acl_put(inode, ACL_ACCESS, &acl);
}

void sim_acl_chmod(struct sim_inode *inode)
{
    struct acl acl;

    if (!acl_of(inode, ACL_ACCESS, &acl))
        return;
    (void)acl_mode(&acl, inode->live.attrs.mode, /* narrow= */ false); /* it is that already */
    acl_put(inode, ACL_ACCESS, &acl);
}

bool sim_acl_name(const char *name)
{
    return strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0;
}

int sim_acl_set(struct sim_inode *inode, const char *name, const void *value, uint64_t size)
{
    struct sim_attrs *attrs = &inode->live.attrs;
    struct acl acl;

    if (S_ISLNK(attrs->mode))
        return -EOPNOTSUPP;
    if (!acl_read(value, size, &acl))
        return -EINVAL;
    if (strcmp(name, ACL_DEFAULT) == 0)
        return S_ISDIR(attrs->mode) ? sim_xattr_set(inode, name, value, size) : -EACCES;
    attrs->mode = acl_mode(&acl, attrs->mode | 0777u, /* narrow= */ true);
    if (acl_extends(&acl))
        return sim_xattr_set(inode, name, value, size);
    (void)sim_xattr_remove(inode, name); /* it need not have one */
    sim_inode_changed(inode, false);
    return 0;
}

void sim_acl_give(struct sim_inode *inode, bool inherited, uint32_t uid)
{
    struct acl acl = { .count = 5,
                       .entries = { { USER_OBJ, 7, UINT32_MAX },
                                    { USER, 5, uid },
                                    { GROUP_OBJ, 5, UINT32_MAX },
                                    { MASK, 7, UINT32_MAX },
                                    { OTHER, 1, UINT32_MAX } } };

    if (!inherited)
        (void)acl_mode(&acl, inode->live.attrs.mode, /* narrow= */ false); /* it is that already */
    acl_put(inode, inherited ? ACL_DEFAULT : ACL_ACCESS, &acl);
}
