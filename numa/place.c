/* Topology to placement. hwloc knows the machine, the cgroup's cpuset and the affinity; this file
 * decides the order in which cores are used. */
#include <errno.h>
#include <hwloc.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/util.h"
#include "numa/numa.h"
#include "numa/policy.h"

/* One processing unit that may be used, with what decides its turn. */
struct slot {
    struct hsr_place place;
    unsigned sibling; /* which PU of its core: 0 is the first that may be used */
    unsigned core_of_node; /* which core of its node, likewise */
    unsigned node_turn; /* which node, likewise */
};

/* First PUs of all cores come before second ones; within that the nodes take turns. */
static int slot_compare(const void *left, const void *right)
{
    const struct slot *a = left, *b = right;

    if (a->sibling != b->sibling)
        return a->sibling < b->sibling ? -1 : 1;
    if (a->core_of_node != b->core_of_node)
        return a->core_of_node < b->core_of_node ? -1 : 1;
    if (a->node_turn != b->node_turn)
        return a->node_turn < b->node_turn ? -1 : 1;
    return 0;
}

/* Load what the caller described; the caller destroys it. */
static int topology_load(const char *description, hwloc_topology_t *ret_topology)
{
    static const char synthetic[] = "synthetic:";
    static const char xml[] = "xml:";
    hwloc_topology_t topology;
    int rc = 0;

    if (hwloc_topology_init(&topology) < 0)
        return -ENOMEM;
    if (description == NULL)
        rc = 0;
    else if (strncmp(description, synthetic, sizeof(synthetic) - 1) == 0)
        rc = hwloc_topology_set_synthetic(topology, description + sizeof(synthetic) - 1);
    else if (strncmp(description, xml, sizeof(xml) - 1) == 0)
        rc = hwloc_topology_set_xml(topology, description + sizeof(xml) - 1);
    else
        rc = -1;
    if (rc == 0) /* caches decide nothing here, and reading them takes most of the load time */
        rc = hwloc_topology_set_cache_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    if (rc == 0)
        rc = hwloc_topology_load(topology);
    if (rc < 0) {
        hwloc_topology_destroy(topology);
        return description != NULL ? HSR_E_USAGE : -EIO;
    }
    *ret_topology = topology;
    return 0;
}

/* What may be used: the cgroup's cpuset (hwloc reads it), the affinity, the caller's list. */
static int usable_make(hwloc_topology_t topology, const char *cpuset, hwloc_bitmap_t usable)
{
    hwloc_bitmap_t other = hwloc_bitmap_alloc();
    int rc = 0;

    if (other == NULL || hwloc_bitmap_copy(usable, hwloc_topology_get_allowed_cpuset(topology)) < 0)
        rc = -ENOMEM;
    if (rc == 0 && hwloc_topology_is_thissystem(topology) &&
        hwloc_get_cpubind(topology, other, HWLOC_CPUBIND_THREAD) == 0)
        hwloc_bitmap_and(usable, usable, other);
    if (rc == 0 && cpuset != NULL) {
        if (cpuset[strspn(cpuset, "0123456789,-")] != '\0' ||
            hwloc_bitmap_list_sscanf(other, cpuset) < 0)
            rc = HSR_E_USAGE;
        else
            hwloc_bitmap_and(usable, usable, other);
    }
    if (rc == 0 && hwloc_bitmap_iszero(usable))
        rc = HSR_E_USAGE;
    hwloc_bitmap_free(other);
    return rc;
}

static int node_of(hwloc_topology_t topology, unsigned cpu)
{
    hwloc_obj_t node = NULL;

    while ((node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)) != NULL)
        if (hwloc_bitmap_isset(node->cpuset, cpu) && node->os_index <= HSR_NODE_INDEX_MAX)
            return (int)node->os_index;
    return -1;
}

/* Fill in the three ranks of the newest slot by looking at those before it. */
static void slot_rank(struct slot *slots, unsigned index, struct hsr_placement *placement)
{
    struct slot *slot = &slots[index];
    bool node_seen = false;

    slot->node_turn = placement->nodes;
    for (unsigned i = 0; i < index; i++) {
        if (slots[i].place.core == slot->place.core) {
            slot->sibling++;
            slot->core_of_node = slots[i].core_of_node;
        }
        if (slots[i].place.node == slot->place.node) {
            node_seen = true;
            slot->node_turn = slots[i].node_turn;
        }
    }
    if (!node_seen)
        placement->nodes++;
    if (slot->sibling > 0)
        return;
    placement->cores++;
    for (unsigned i = 0; i < index; i++)
        if (slots[i].place.node == slot->place.node && slots[i].sibling == 0)
            slot->core_of_node++;
}

/* Every usable PU as a slot, in hwloc's logical order; returns how many. */
static unsigned slots_fill(hwloc_topology_t topology, hwloc_const_bitmap_t usable,
                           struct slot *slots, struct hsr_placement *placement)
{
    hwloc_obj_t pu = NULL;
    unsigned count = 0;

    while ((pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu)) != NULL) {
        hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);

        if (!hwloc_bitmap_isset(usable, pu->os_index))
            continue;
        if (core == NULL) /* some virtual machines show no cores */
            core = pu;
        slots[count] = (struct slot){ .place = { .cpu = pu->os_index,
                                                 .core = core->logical_index,
                                                 .node = node_of(topology, pu->os_index) } };
        slot_rank(slots, count, placement);
        count++;
    }
    return count;
}

/* Order the usable PUs and deal shards to them. */
static int shards_place(hwloc_topology_t topology, hwloc_const_bitmap_t usable, unsigned shards,
                        unsigned cpus_max, struct hsr_placement *placement)
{
    int pu_count = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
    struct slot *slots;

    if (pu_count <= 0)
        return -EIO;
    slots = calloc((size_t)pu_count, sizeof(*slots));
    if (slots == NULL)
        return -ENOMEM;
    placement->cpus = slots_fill(topology, usable, slots, placement);
    if (placement->cpus == 0) { /* the list names only PUs that do not exist */
        free(slots);
        return HSR_E_USAGE;
    }
    qsort(slots, placement->cpus, sizeof(*slots), slot_compare);

    if (shards == 0) {
        shards = HSR_MIN(placement->cores, HSR_SHARDS_MAX);
        if (cpus_max > 0)
            shards = HSR_MIN(shards, cpus_max);
    }
    placement->count = shards;
    for (unsigned i = 0; i < shards; i++)
        placement->shards[i] = slots[i % placement->cpus].place;
    free(slots);

    hsr_assert(placement->count >= 1 && placement->count <= HSR_SHARDS_MAX);
    hsr_assert(placement->cores >= 1 && placement->cores <= placement->cpus);
    return 0;
}

int hsr_place_make_limited(unsigned shards, const char *topology_text, const char *cpuset,
                           unsigned cpus_max, struct hsr_placement *ret_placement)
{
    struct hsr_placement placement = { 0 };
    hwloc_topology_t topology;
    hwloc_bitmap_t usable;
    int rc;

    hsr_require(shards <= HSR_SHARDS_MAX, HSR_E_USAGE);
    rc = topology_load(topology_text, &topology);
    if (rc < 0)
        return rc;
    placement.this_system = hwloc_topology_is_thissystem(topology) != 0;
    usable = hwloc_bitmap_alloc();
    rc = usable == NULL ? -ENOMEM : usable_make(topology, cpuset, usable);
    if (rc == 0)
        rc = shards_place(topology, usable, shards, cpus_max, &placement);
    hwloc_bitmap_free(usable);
    hwloc_topology_destroy(topology);
    if (rc == 0)
        *ret_placement = placement;
    return rc;
}

int hsr_place_make(unsigned shards, const char *topology, const char *cpuset,
                   struct hsr_placement *ret_placement)
{
    unsigned cpus_max = topology == NULL ? hsr_cgroup_cpus("") : 0;

    return hsr_place_make_limited(shards, topology, cpuset, cpus_max, ret_placement);
}

int hsr_place_pin(const struct hsr_place *place)
{
    size_t set_size = CPU_ALLOC_SIZE(place->cpu + 1);
    cpu_set_t *set = CPU_ALLOC(place->cpu + 1);
    int rc = 0;

    if (set == NULL)
        return -ENOMEM;
    CPU_ZERO_S(set_size, set);
    CPU_SET_S(place->cpu, set_size, set);
    if (sched_setaffinity(0, set_size, set) < 0) /* 0: this thread, see sched_setaffinity(2) */
        rc = -errno;
    CPU_FREE(set);
    if (rc == 0 && place->node >= 0) {
        struct hsr_nodemask mask = hsr_nodemask_make(place->node);
        if (syscall(SYS_set_mempolicy, MPOL_PREFERRED, mask.words, HSR_NODEMASK_BITS) < 0 &&
            errno != ENOSYS) /* a kernel without NUMA has one node and needs no policy */
            rc = -errno;
    }
    return rc;
}
