/* The file systems that a target's tree lies on: its root's, and those mounted below it. A sync is
 * of one file system, so each that was touched needs one of its own. For one thread: the session's
 * home; others read what their directories point to. */
#ifndef HSR_TREE_VOLUME_H
#define HSR_TREE_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "transfer/tree/dir.h"

/* Each holds a descriptor. A tree with more below it is not promised to be durable. */
#define HSR_VOLUMES_MAX 64u

struct hsr_volume {
    uint64_t dev; /* st_dev of its directories */
    int fd; /* of one of them, for syncfs(2); the root's is borrowed; -1: it cannot be synced */
    bool memory; /* a tmpfs: its bytes are nowhere else, and syncs mean nothing */
    bool dirty; /* something was done in it since the last sync that covers it began */
    bool due; /* of the sync under way: it is still to be synced */
};

struct hsr_volumes {
    struct hsr_loop *loop;
    uint32_t count;
    bool over; /* there were more: `list[HSR_VOLUMES_MAX]` stands for all of them */
    struct hsr_volume list[HSR_VOLUMES_MAX + 1]; /* [0]: the root's */
};

/** @param root_fd  the target's root; borrowed, outlives this */
void hsr_volumes_init(struct hsr_volumes *volumes, struct hsr_loop *loop, int root_fd);
void hsr_volumes_fini(struct hsr_volumes *volumes);

/** The file system of directory @dir_fd, whose st_dev is @dev. Stays as long as @volumes. */
struct hsr_volume *hsr_volumes_get(struct hsr_volumes *volumes, uint64_t dev, int dir_fd);

/** Can all that is used be made durable? Not what is in memory; not what cannot be synced. */
bool hsr_volumes_lasting(const struct hsr_volumes *volumes);

/** Is nothing missing for that but disks? */
bool hsr_volumes_syncable(const struct hsr_volumes *volumes);

/** st_dev as one number. */
uint64_t hsr_volume_dev(uint32_t major, uint32_t minor);

#endif
