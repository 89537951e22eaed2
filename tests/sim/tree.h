/* Trees on simulated file systems, for tests: made, found, compared and fingerprinted without
 * counting as operations, so faults do not touch them. Paths are absolute on their host. */
#ifndef HSR_SIM_TREE_H
#define HSR_SIM_TREE_H

#include "tests/sim/world.h"

/** Make a directory; its parents must exist. Modes are exact: no umask. Failure aborts. */
void sim_mkdir(struct sim_host *host, const char *path, uint32_t mode);

/** Make a regular file of @size pseudo-random bytes; with @holes every fourth run of 16 pages is
 * one. */
void sim_file(struct sim_host *host, const char *path, uint32_t mode, uint64_t content_seed,
              uint64_t size, bool holes);
void sim_symlink(struct sim_host *host, const char *path, const char *text);
void sim_link(struct sim_host *host, const char *path, const char *first);
/** FIFO, socket or device, by @mode. */
void sim_special(struct sim_host *host, const char *path, uint32_t mode, uint64_t rdev);
void sim_owner(struct sim_host *host, const char *path, uint32_t uid, uint32_t gid);
void sim_mtime(struct sim_host *host, const char *path, int64_t s, uint32_t ns);
void sim_xattr(struct sim_host *host, const char *path, const char *name, const char *value);

/** Give it an ACL with one more user: its own, or (@inherited, a directory) what is made in it
 * gets. */
void sim_acl_give(struct sim_inode *inode, bool inherited, uint32_t uid);

/** Find; NULL: not there. The last component is not followed. */
struct sim_inode *sim_find(struct sim_host *host, const char *path);

/** Open as a program on @host would, for roots and working directories. */
int sim_open(struct sim_host *host, const char *path, uint32_t flags);

/** All a replica keeps, compared from @a down: names, kinds, contents, modes, owners, times,
 * xattrs, symlinks, devices, hard links. The first differences go to @out (may be NULL).
 * @param extras  names that only @b has are no difference
 * @return how many there are */
unsigned sim_tree_diff(struct sim_host *host_a, const char *a, struct sim_host *host_b,
                       const char *b, bool extras, FILE *out);

/** Do two regular files hold the same bytes? */
bool sim_same_bytes(const struct sim_inode *a, const struct sim_inode *b);

/** Somebody else changes a random regular file below @root of @host: bytes in place, appended or
 * cut off, or a new file under the name. What it held is kept in world->versions. False: there is
 * none. */
bool sim_touch(struct sim_host *host, const char *root);

/** Does @inode hold what a file held before it was touched? Of which file is not asked: it may have
 * several names. */
bool sim_version_any(const struct sim_world *world, const struct sim_inode *inode);

/** Fingerprint of everything on @host except what is below @except (may be NULL). */
uint64_t sim_host_hash(struct sim_host *host, const char *except);

/** Call @visit for everything below @path, parents first, with the path relative to it. */
typedef void sim_visit(void *context, const char *path, struct sim_inode *dir,
                       struct sim_name *entry);
void sim_tree_visit(struct sim_host *host, const char *path, sim_visit *visit, void *context);

#endif
