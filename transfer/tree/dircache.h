/* Inside of the directory cache, for its two resolvers (dir.c, source.c). Private to
 * transfer/tree. */
#ifndef HSR_TREE_DIRCACHE_H
#define HSR_TREE_DIRCACHE_H

#include "transfer/tree/dir.h"

/** The slot that holds @key, now the youngest, or NULL. */
struct hsr_dircache_slot *hsr_dircache_find(struct hsr_dircache *cache, uint64_t key);

/** Keep @fd (owned from here on) as @key, which is not there; the oldest slot makes room. */
void hsr_dircache_put(struct hsr_dircache *cache, uint64_t key, int fd, bool path_fd);

#endif
