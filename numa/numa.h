/* From the machine's topology to a placement: how many shards, on which cores, with memory on which
 * node, near which NICs and disks. hwloc tells, or on a machine with one node sysfs (flat.h);
 * cgroup and affinity are respected. */
#ifndef HSR_NUMA_NUMA_H
#define HSR_NUMA_NUMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "numa/device.h"

#define HSR_SHARDS_MAX 256u /* cores of the largest machines we know, one shard each */

#define HSR_DEVICES_MAX 128u /* NICs and disks of one machine; a plan leaves out what is beyond */

struct hsr_place {
    unsigned cpu; /* OS index of the processing unit to pin to */
    unsigned core; /* the same for all PUs of one core, and for no others */
    int node; /* OS index of the NUMA node, or -1 when unknown */
};

struct hsr_placement {
    unsigned count; /* shards */
    unsigned cores; /* cores this process may use */
    unsigned cpus; /* processing units this process may use */
    unsigned nodes; /* NUMA nodes with at least one of those cores */
    bool this_system; /* false: synthetic or from XML; nobody can be pinned */
    struct hsr_place shards[HSR_SHARDS_MAX];
    uint64_t near_nodes; /* bit n: shards go to node n first; 0: to all nodes in turn */
    unsigned device_count;
    struct hsr_device devices[HSR_DEVICES_MAX]; /* NICs, then disks; only if they were asked for */
};

/** What to place. Zero is the default of every field. */
struct hsr_place_request {
    unsigned shards; /* 0: one per usable core; more than there are PUs: they share */
    const char *topology; /* NULL: this machine; "synthetic:DESCRIPTION" or "xml:FILE" */
    const char *cpuset; /* NULL, or a list such as "0-3,8" that narrows what may be used */
    unsigned cpus_max; /* the default number of shards is not over it; 0: no limit. An explicit
                          number is obeyed: the user may know better */
    const struct hsr_device *near; /* what they serve: kind and name count. Nodes that have it
                                      come first; what hwloc does not know does not count */
    unsigned near_count;
    bool devices; /* fill in the placement's devices, needed or not: costs some milliseconds */
};

/** Decide where shards run: first PU of each core first, nodes that have what is to be near before
 * others, and nodes in turn, so that fewer shards than cores still spread over the memory
 * controllers.
 * @return 0; HSR_E_USAGE for a description hwloc does not accept or an empty cpuset; -errno */
int hsr_place_decide(const struct hsr_place_request *request, struct hsr_placement *ret_placement);

/** The same for a number of shards on this machine (@topology and @cpuset as above), within the CPU
 * quota of this process's cgroup. */
int hsr_place_make(unsigned shards, const char *topology, const char *cpuset,
                   struct hsr_placement *ret_placement);

/** Is @device attached to @node? False where nobody knows. */
bool hsr_device_is_near(const struct hsr_device *device, int node);

/** The nodes that have any of @devices, by kind and name, as the placement's devices tell. */
uint64_t hsr_place_nodes(const struct hsr_placement *placement, const struct hsr_device *devices,
                         unsigned count);

/** The shard for number @index of what a shard @home deals out: those of its own node in turn, then
 * the others, then again. */
unsigned hsr_place_nearest(const struct hsr_placement *placement, unsigned home, unsigned index);

/** Where a shard @home puts one thing more, when shard i has @loads[i] of them: to shard @wish (the
 * count of shards: to none in particular) unless it has @share already, else to the one that has
 * the fewest, in the order of hsr_place_nearest(). */
unsigned hsr_place_fewest(const struct hsr_placement *placement, unsigned home, unsigned wish,
                          const uint32_t *loads, uint32_t share);

/** CPUs the cgroup quota of this process allows, rounded up (cpu.max, or cpu.cfs_quota_us of
 * version 1; the smallest of its group and the groups above); 0 when there is no quota.
 * @param root   what goes in front of /proc/self/cgroup and /sys/fs/cgroup; "" except in tests */
unsigned hsr_cgroup_cpus(const char *root);

/** Pin the calling thread and prefer its node's memory. 0 or -errno (a refusal is not fatal: the
 * caller says so once). */
int hsr_place_pin(const struct hsr_place *place);

/** Let the calling thread, and those that it starts from now on, run on the cores of all shards on
 * the node of shard @index, and prefer that node's memory. 0 or -errno, as above. */
int hsr_place_pin_near(const struct hsr_placement *placement, unsigned index);

enum hsr_pages { HSR_PAGES_SMALL, HSR_PAGES_TRANSPARENT, HSR_PAGES_POOL, HSR_PAGES_COUNT };

struct hsr_mem {
    void *ptr;
    size_t size; /* bytes */
    enum hsr_pages pages; /* what it is made of; TRANSPARENT: as far as the kernel finds them */
    int node; /* bound to this node, or -1 */
};

/** Map zeroed memory, 2 MiB aligned, on @node (-1: any): of the pool of huge pages if it has enough
 * free ones (these are touched at once), else advised to transparent ones, touched on first use.
 * 0 or -errno. */
int hsr_mem_map(struct hsr_mem *mem, int node, size_t size);

/** "huge, of the pool". */
const char *hsr_pages_name(enum hsr_pages pages);

void hsr_mem_unmap(struct hsr_mem *mem);

#endif
