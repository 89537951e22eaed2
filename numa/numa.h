/* From the machine's topology to a placement: how many shards, on which cores, with memory on which
 * node. hwloc decides; cgroup and affinity are respected. */
#ifndef HSR_NUMA_NUMA_H
#define HSR_NUMA_NUMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HSR_SHARDS_MAX 256u /* cores of the largest machines we know, one shard each */

struct hsr_place {
    unsigned cpu; /* OS index of the processing unit to pin to */
    unsigned core; /* logical index of the core */
    int node; /* OS index of the NUMA node, or -1 when unknown */
};

struct hsr_placement {
    unsigned count; /* shards */
    unsigned cores; /* cores this process may use */
    unsigned cpus; /* processing units this process may use */
    unsigned nodes; /* NUMA nodes with at least one of those cores */
    bool this_system; /* false: synthetic or from XML; nobody can be pinned */
    struct hsr_place shards[HSR_SHARDS_MAX];
};

/** Decide where shards run: one per core by default, first PU of each core, nodes in turn so that
 * fewer shards than cores still spread over the memory controllers.
 * @param shards     0: one per usable core; more than there are PUs: they share (said by count)
 * @param topology   NULL: this machine; "synthetic:DESCRIPTION" or "xml:FILE" for plans and tests
 * @param cpuset     NULL, or a list such as "0-3,8" that narrows what may be used (tests)
 * @return 0; HSR_E_USAGE for a description hwloc does not accept or an empty cpuset; -errno */
int hsr_place_make(unsigned shards, const char *topology, const char *cpuset,
                   struct hsr_placement *ret_placement);

/** As hsr_place_make(), with the CPU limit given instead of read from this process's cgroup.
 * @param cpus_max   0: none; else the default number of shards is not over it. An explicit @shards
 *                   is obeyed: the user may know better. */
int hsr_place_make_limited(unsigned shards, const char *topology, const char *cpuset,
                           unsigned cpus_max, struct hsr_placement *ret_placement);

/** CPUs the cgroup quota of this process allows, rounded up (cpu.max, or cpu.cfs_quota_us of
 * version 1; the smallest of its group and the groups above); 0 when there is no quota.
 * @param root   what goes in front of /proc/self/cgroup and /sys/fs/cgroup; "" except in tests */
unsigned hsr_cgroup_cpus(const char *root);

/** Pin the calling thread and prefer its node's memory. 0 or -errno (a refusal is not fatal: the
 * caller says so once). */
int hsr_place_pin(const struct hsr_place *place);

struct hsr_mem {
    void *ptr;
    size_t size; /* bytes */
    bool huge; /* MADV_HUGEPAGE was accepted */
    int node; /* bound to this node, or -1 */
};

/** Map zeroed memory, 2 MiB aligned, advised to huge pages, bound to @node (-1: no). Pages are
 * touched on first use, not here. 0 or -errno. */
int hsr_mem_map(struct hsr_mem *mem, int node, size_t size);
void hsr_mem_unmap(struct hsr_mem *mem);

#endif
