/* See volume.h. */
#include "transfer/tree/volume.h"

#include <linux/magic.h>
#include <sys/statfs.h>

#include "transfer/tree/at.h"

static bool volume_in_memory(struct hsr_loop *loop, int fd)
{
    struct statfs fs;
    struct hsr_op op = { .kind = HSR_OP_STATFS, .fd = fd, .statfs = &fs, .buf_index = -1 };

    return hsr_loop_call(loop, &op) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

void hsr_volumes_init(struct hsr_volumes *volumes, struct hsr_loop *loop, int root_fd)
{
    struct hsr_volume *root = &volumes->list[0];
    struct statx stx;

    *volumes = (struct hsr_volumes){ .loop = loop, .count = 1 };
    volumes->list[HSR_VOLUMES_MAX].fd = -1;
    root->fd = root_fd;
    root->memory = volume_in_memory(loop, root_fd);
    if (hsr_at_statx(loop, root_fd, "", &stx) == 0)
        root->dev = hsr_volume_dev(stx.stx_dev_major, stx.stx_dev_minor);
    /* else no directory's is the same, and each is one more file system: only more syncs */
}

void hsr_volumes_fini(struct hsr_volumes *volumes)
{
    for (uint32_t i = 1; i < volumes->count; i++)
        (void)hsr_at_close(volumes->loop, volumes->list[i].fd); /* a directory: nothing to lose */
    volumes->count = 0;
}

struct hsr_volume *hsr_volumes_get(struct hsr_volumes *volumes, uint64_t dev, int dir_fd)
{
    struct hsr_volume *volume;

    for (uint32_t i = 0; i < volumes->count; i++)
        if (volumes->list[i].dev == dev)
            return &volumes->list[i];
    if (volumes->count == HSR_VOLUMES_MAX) {
        volumes->over = true;
        return &volumes->list[HSR_VOLUMES_MAX];
    }
    volume = &volumes->list[volumes->count++];
    *volume = (struct hsr_volume){ .dev = dev };
    /* syncfs(2) wants a descriptor that is not O_PATH, as this one may be */
    volume->fd = hsr_at_open(volumes->loop, dir_fd, ".", O_RDONLY | O_DIRECTORY, 0);
    if (volume->fd < 0)
        volume->fd = -1;
    volume->memory = volume_in_memory(volumes->loop, dir_fd);
    return volume;
}

bool hsr_volumes_lasting(const struct hsr_volumes *volumes)
{
    for (uint32_t i = 0; i < volumes->count; i++)
        if (volumes->list[i].memory)
            return false;
    return hsr_volumes_syncable(volumes);
}

bool hsr_volumes_syncable(const struct hsr_volumes *volumes)
{
    for (uint32_t i = 0; i < volumes->count; i++)
        if (volumes->list[i].fd < 0 && !volumes->list[i].memory)
            return false;
    return !volumes->over;
}

uint64_t hsr_volume_dev(uint32_t major, uint32_t minor)
{
    return (uint64_t)major << 32 | minor;
}
