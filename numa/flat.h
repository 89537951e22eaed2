/* A machine with one NUMA node, which most are: what placement wants of it stands in a few small
 * files. hwloc would read some hundred, load all of its plugins with X11 and OpenCL behind them,
 * and visit every core: 4 of the 12 ms of CPU that a small push took, and more on the clock. */
#ifndef HSR_NUMA_FLAT_H
#define HSR_NUMA_FLAT_H

#include <hwloc.h>
#include <stdbool.h>

#include "numa/numa.h"

/** Can this file answer for this machine? Not with several nodes, not where the kernel does not say
 * how many there are, and not if the environment tells hwloc something (HWLOC_...).
 * @param root      what goes in front of /sys; "" except in tests
 * @param ret_node  OS index of the only node */
bool hsr_flat_machine(const char *root, int *ret_node);

/** The PUs of this thread's affinity, which is within the cgroup's cpuset. 0 or -errno. */
int hsr_flat_affinity(hwloc_bitmap_t set);

/** The core of a PU, by the least PU on it; @cpu itself where the kernel shows no cores. */
unsigned hsr_flat_core(const char *root, unsigned cpu);

#endif
