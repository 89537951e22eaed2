/* What is mounted: the file system behind a device number, from /proc/self/mountinfo. */
#ifndef HSR_NUMA_MOUNT_H
#define HSR_NUMA_MOUNT_H

#include <stdbool.h>
#include <sys/types.h>

struct hsr_mount {
    char point[512]; /* where, with blanks as \040; "" when longer */
    char type[32]; /* "ext4" */
    char source[256]; /* "/dev/nvme0n1p1", "tmpfs" */
    char options[512]; /* of the file system: "rw,size=1024k,huge=always"; cut when longer */
};

/** Find the newest mount of device @dev. @root goes in front of /proc. False: there is none. */
bool hsr_mount_find(const char *root, dev_t dev, struct hsr_mount *ret_mount);

#endif
