/* Inside of the simulated file system: shared by its files. */
#ifndef HSR_SIM_FS_H
#define HSR_SIM_FS_H

#include "tests/sim/world.h"

/* data.c: contents */
int64_t sim_data_read(const struct sim_data *data, void *buf, uint64_t size, uint64_t offset);
int64_t sim_data_write(struct sim_inode *inode, const void *buf, uint64_t size, uint64_t offset);
int sim_data_resize(struct sim_inode *inode, uint64_t size);
int sim_data_fallocate(struct sim_inode *inode, uint32_t mode, uint64_t offset, uint64_t size);
int64_t sim_data_seek(const struct sim_data *data, uint64_t offset, bool hole);
/** The blocks of @from instead of what @inode holds; both in one host. */
void sim_data_clone(struct sim_inode *inode, const struct sim_data *from);
/** Make @bytes page @index of @data: neither size nor the host's account of pages changes. */
void sim_data_place(struct sim_data *data, uint64_t index, const uint8_t bytes[SIM_PAGE]);
/** Drop what lies beyond the size: zeros are read there should it grow. */
void sim_data_trim(struct sim_data *data);
void sim_data_copy(struct sim_data *to, const struct sim_data *from);
/** The same pages: nothing was written since one was copied from the other. */
bool sim_data_same(const struct sim_data *data, const struct sim_data *other);
void sim_data_free(struct sim_data *data);
uint64_t sim_data_blocks(const struct sim_data *data);

/* inode.c: inodes, names, attributes, both states */
struct sim_inode *sim_inode_create(struct sim_host *host, uint32_t mode, struct sim_inode *parent);
void sim_inode_changed(struct sim_inode *inode, bool content);
void sim_inode_sync(struct sim_inode *inode, bool data_only);
struct timespec sim_time(const struct sim_host *host);
struct sim_name *sim_name_find(struct sim_inode *dir, const char *name, size_t size);
void sim_name_add(struct sim_inode *dir, const char *name, size_t size, struct sim_inode *inode);
void sim_name_remove(struct sim_inode *dir, struct sim_name *entry);
/** A name that one of ours gives. The journal of a real file system may keep it and lose the data
 * behind it: nothing orders them but a sync between, so that is a violation. */
void sim_name_check(const struct sim_inode *dir, const char *name, size_t size,
                    const struct sim_inode *inode);
struct sim_xattr *sim_xattr_find(struct sim_inode *inode, const char *name);
int sim_xattr_set(struct sim_inode *inode, const char *name, const void *value, uint64_t size);
int sim_xattr_remove(struct sim_inode *inode, const char *name);

/* acl.c: access control lists */
/** What a new inode has from the default ACL of its parent (may be NULL). */
void sim_acl_inherit(struct sim_inode *inode, struct sim_inode *parent);
/** Its mode was set: so was its ACL. */
void sim_acl_chmod(struct sim_inode *inode);
bool sim_acl_name(const char *name);
int sim_acl_set(struct sim_inode *inode, const char *name, const void *value, uint64_t size);

/* path.c: from names to inodes */
struct sim_lookup {
    struct sim_inode *parent; /* where the last component is or would be */
    struct sim_inode *inode; /* NULL: not there */
    char last[256];
    size_t last_size; /* 0: the path was "", "/" or ended in "..": no name to work with */
    bool slash; /* a '/' stands at the end */
};
/** @param resolve  RESOLVE_x of openat2(2); @follow: the last component too */
int sim_lookup(struct sim_host *host, int fd, const char *path, uint64_t resolve, bool follow,
               struct sim_lookup *ret_lookup);
/** As above, and it must be there. "" is the descriptor itself when @empty allows it. */
int sim_lookup_inode(struct sim_host *host, int fd, const char *path, bool empty, bool follow,
                     struct sim_inode **ret_inode);
/** As above for a name that is to be made or removed. */
int sim_lookup_name(struct sim_host *host, int fd, const char *path, struct sim_lookup *ret_lookup);

/* fs_name.c, fs_meta.c: the operations */
int64_t sim_fs_open(struct sim_host *host, const struct hsr_op *op);
int64_t sim_fs_name(struct sim_host *host, struct hsr_op *op);
int64_t sim_fs_meta(struct sim_host *host, struct hsr_op *op);

#endif
