/* What stands behind a path or an address; see device.h. sysfs describes every layer: a partition
 * lies in its disk's directory, RAID and device mapper list their members in slaves/, bonds and
 * VLANs have a link lower_NAME for each interface they stand on. */
#include "numa/device.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/assert.h"
#include "numa/mount.h"
#include "numa/sysfs.h"

struct finding {
    const char *root;
    enum hsr_device_kind kind;
    unsigned depth;
    struct hsr_device *items;
    unsigned count, max;
};

static void device_follow(struct finding *finding, const char *name);

static const char *class_of(enum hsr_device_kind kind)
{
    return kind == HSR_DEVICE_NET ? "net" : "block";
}

static void device_add(struct finding *finding, const char *name)
{
    struct hsr_device device = { .kind = finding->kind };

    if (strlen(name) >= sizeof(device.name))
        return;
    for (unsigned i = 0; i < finding->count; i++)
        if (strcmp(finding->items[i].name, name) == 0)
            return; /* two partitions of one disk */
    if (finding->count == finding->max)
        return;
    memcpy(device.name, name, strlen(name) + 1);
    finding->items[finding->count++] = device;
}

static void member_found(void *context, const char *name)
{
    static const char lower[] = "lower_";
    struct finding *finding = context;

    if (finding->kind == HSR_DEVICE_BLOCK)
        device_follow(finding, name);
    else if (strncmp(name, lower, sizeof(lower) - 1) == 0)
        device_follow(finding, name + sizeof(lower) - 1);
}

/* What @name stands on, or itself if that is hardware. */
static void device_follow(struct finding *finding, const char *name)
{
    const char *class = class_of(finding->kind);
    char real[HSR_SYSFS_PATH_SIZE], *slash;

    if (finding->depth == HSR_DEVICE_DEPTH_MAX || strchr(name, '/') != NULL ||
        hsr_sysfs_real(finding->root, real, "/sys/class/%s/%s", class, name) < 0)
        return;
    if (finding->kind == HSR_DEVICE_BLOCK && hsr_sysfs_there(finding->root, "%s/partition", real)) {
        slash = strrchr(real, '/'); /* a partition's directory lies in its disk's */
        *slash = '\0';
        slash = strrchr(real, '/');
        name = slash != NULL ? slash + 1 : real;
    }
    if (hsr_sysfs_there(finding->root, "/sys/class/%s/%s/device", class, name)) {
        device_add(finding, name);
        return;
    }
    finding->depth++;
    /* Nothing there: a device of its own kind, such as a loop device, that no hardware is behind */
    (void)hsr_sysfs_each(finding->root, member_found, finding, "/sys/class/%s/%s%s", class, name,
                         finding->kind == HSR_DEVICE_BLOCK ? "/slaves" : "");
    finding->depth--;
}

unsigned hsr_device_of_dev(const char *root, dev_t dev, struct hsr_device *ret, unsigned max)
{
    struct finding finding = { .root = root, .kind = HSR_DEVICE_BLOCK, .items = ret, .max = max };
    char name[HSR_DEVICE_NAME_SIZE];
    struct hsr_mount mount;
    int rc =
        hsr_sysfs_base(root, name, sizeof(name), "/sys/dev/block/%u:%u", major(dev), minor(dev));

    /* A file system that may lie on several disks, such as btrfs, has a number of its own: its
     * mount names one of them. */
    if (rc < 0 && hsr_mount_find(root, dev, &mount) && strncmp(mount.source, "/dev/", 5) == 0)
        rc = hsr_sysfs_base(root, name, sizeof(name), "%s", mount.source);
    if (rc == 0)
        device_follow(&finding, name);
    hsr_assert(finding.count <= max && finding.depth == 0);
    return finding.count;
}

unsigned hsr_device_of_interface(const char *root, const char *name, struct hsr_device *ret,
                                 unsigned max)
{
    struct finding finding = { .root = root, .kind = HSR_DEVICE_NET, .items = ret, .max = max };

    device_follow(&finding, name);
    hsr_assert(finding.count <= max && finding.depth == 0);
    return finding.count;
}

uint64_t hsr_device_rate(const char *root, const char *name)
{
    int64_t megabits;

    if (!hsr_sysfs_number(root, &megabits, "/sys/class/net/%s/speed", name) || megabits <= 0 ||
        megabits > UINT32_MAX)
        return 0; /* -1: unknown; a virtual device has no such file, or cannot read it */
    return (uint64_t)megabits * 1000 * 1000 / 8;
}

static bool address_same(const struct sockaddr *a, const struct sockaddr *b)
{
    if (a == NULL || a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_INET)
        return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
    return a->sa_family == AF_INET6 &&
           memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr,
                  sizeof(struct in6_addr)) == 0;
}

unsigned hsr_device_of_address(const struct sockaddr *address, struct hsr_device *ret, unsigned max)
{
    struct ifaddrs *all = NULL;
    unsigned count = 0;

    if (getifaddrs(&all) < 0)
        return 0;
    for (const struct ifaddrs *one = all; one != NULL && count == 0; one = one->ifa_next)
        if (address_same(one->ifa_addr, address))
            count = hsr_device_of_interface("", one->ifa_name, ret, max);
    freeifaddrs(all);
    return count;
}
