/* See flat.h. */
#include "numa/flat.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "numa/policy.h"
#include "numa/sysfs.h"

#define AFFINITY_MAX 8192u /* NR_CPUS of the largest kernels */

static bool hwloc_is_told(void)
{
    static const char prefix[] = "HWLOC_";

    for (char **name = environ; name != NULL && *name != NULL; name++)
        if (strncmp(*name, prefix, sizeof(prefix) - 1) == 0)
            return true;
    return false;
}

bool hsr_flat_machine(const char *root, int *ret_node)
{
    int64_t node;

    if (hwloc_is_told() || !hsr_sysfs_number(root, &node, "/sys/devices/system/node/online"))
        return false; /* "0-1" is no number */
    if (node < 0 || node > (int64_t)HSR_NODE_INDEX_MAX)
        return false;
    *ret_node = (int)node;
    return true;
}

int hsr_flat_affinity(hwloc_bitmap_t set)
{
    size_t size = CPU_ALLOC_SIZE(AFFINITY_MAX);
    cpu_set_t *cpus = CPU_ALLOC(AFFINITY_MAX);
    int rc = 0;

    if (cpus == NULL)
        return -ENOMEM;
    CPU_ZERO_S(size, cpus);
    hwloc_bitmap_zero(set);
    if (sched_getaffinity(0, size, cpus) < 0) /* 0: this thread, see sched_getaffinity(2) */
        rc = -errno;
    for (unsigned cpu = 0; rc == 0 && cpu < AFFINITY_MAX; cpu++)
        if (CPU_ISSET_S(cpu, size, cpus))
            rc = hwloc_bitmap_set(set, cpu) < 0 ? -ENOMEM : 0;
    CPU_FREE(cpus);
    return rc;
}

unsigned hsr_flat_core(const char *root, unsigned cpu)
{
    static const char *const names[] = { "core_cpus_list", "thread_siblings_list" };
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    unsigned core = cpu;
    char text[256];

    for (unsigned i = 0; set != NULL && i < HSR_ARRAY_COUNT(names); i++) {
        if (hsr_sysfs_text(root, text, sizeof(text), "/sys/devices/system/cpu/cpu%u/topology/%s",
                           cpu, names[i]) < 0 ||
            hwloc_bitmap_list_sscanf(set, text) < 0 || !hwloc_bitmap_isset(set, cpu))
            continue;
        core = (unsigned)hwloc_bitmap_first(set);
        break;
    }
    hwloc_bitmap_free(set);
    return core;
}
