/* Topology to placement. hwloc, or flat.h, knows the machine, the cgroup's cpuset and the affinity;
 * this file decides the order in which cores are used. */
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
#include "numa/flat.h"
#include "numa/numa.h"
#include "numa/policy.h"

/* One processing unit that may be used, with what decides its turn. */
struct slot {
    struct hsr_place place;
    unsigned sibling; /* which PU of its core: 0 is the first that may be used */
    bool far; /* its node has nothing of what is to be near */
    unsigned core_of_node; /* which core of its node, likewise */
    unsigned node_turn; /* which node, likewise */
};

/* First PUs of all cores come before second ones; within that near nodes before far ones, and the
 * nodes take turns. */
static int slot_compare(const void *left, const void *right)
{
    const struct slot *a = left, *b = right;

    if (a->sibling != b->sibling)
        return a->sibling < b->sibling ? -1 : 1;
    if (a->far != b->far)
        return a->far ? 1 : -1;
    if (a->core_of_node != b->core_of_node)
        return a->core_of_node < b->core_of_node ? -1 : 1;
    if (a->node_turn != b->node_turn)
        return a->node_turn < b->node_turn ? -1 : 1;
    return 0;
}

/* Load what the caller described; the caller destroys it. */
static int topology_load(const char *description, bool devices, hwloc_topology_t *ret_topology)
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
    if (rc == 0 && devices)
        rc = hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    /* sysfs tells all that is wanted; the plugin beside it, libpciaccess, leaks what it finds.
     * Where the plugin is not installed this fails, which is as good. */
    (void)hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "pci");
    if (rc == 0)
        rc = hwloc_topology_load(topology);
    if (rc < 0) {
        hwloc_topology_destroy(topology);
        return description != NULL ? HSR_E_USAGE : -EIO;
    }
    *ret_topology = topology;
    return 0;
}

/* Leave of what may be used what the caller's list has too. */
static int usable_narrow(const char *cpuset, hwloc_bitmap_t usable)
{
    hwloc_bitmap_t other = hwloc_bitmap_alloc();
    int rc = other == NULL ? -ENOMEM : 0;

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

/* What may be used: the cgroup's cpuset (hwloc reads it), the affinity, the caller's list. */
static int usable_make(hwloc_topology_t topology, const char *cpuset, hwloc_bitmap_t usable)
{
    hwloc_bitmap_t bound = hwloc_bitmap_alloc();
    int rc = 0;

    if (bound == NULL || hwloc_bitmap_copy(usable, hwloc_topology_get_allowed_cpuset(topology)) < 0)
        rc = -ENOMEM;
    if (rc == 0 && hwloc_topology_is_thissystem(topology) &&
        hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_THREAD) == 0)
        hwloc_bitmap_and(usable, usable, bound);
    hwloc_bitmap_free(bound);
    return rc < 0 ? rc : usable_narrow(cpuset, usable);
}

/* ---- devices ---- */

static uint64_t node_bit(int node)
{
    return node >= 0 && node < 64 ? UINT64_C(1) << node : 0;
}

bool hsr_device_is_near(const struct hsr_device *device, int node)
{
    return (device->nodes & node_bit(node)) != 0;
}

/* Nodes that a device is attached to; 0 when that is all of them, which tells nothing. */
static uint64_t device_nodes(hwloc_topology_t topology, hwloc_obj_t device)
{
    hwloc_obj_t holder = hwloc_get_non_io_ancestor_obj(topology, device);
    uint64_t nodes = 0;

    if (holder == NULL || holder->nodeset == NULL ||
        hwloc_bitmap_isequal(holder->nodeset, hwloc_topology_get_topology_nodeset(topology)))
        return 0;
    for (int node = hwloc_bitmap_first(holder->nodeset); node >= 0;
         node = hwloc_bitmap_next(holder->nodeset, node))
        nodes |= node_bit(node);
    return nodes;
}

static void devices_fill(hwloc_topology_t topology, enum hsr_device_kind kind,
                         struct hsr_placement *placement)
{
    hwloc_obj_osdev_type_t type =
        kind == HSR_DEVICE_NET ? HWLOC_OBJ_OSDEV_NETWORK : HWLOC_OBJ_OSDEV_BLOCK;
    hwloc_obj_t device = NULL;

    while ((device = hwloc_get_next_osdev(topology, device)) != NULL) {
        struct hsr_device *item = &placement->devices[placement->device_count];

        if (device->attr->osdev.type != type || device->name == NULL ||
            strlen(device->name) >= sizeof(item->name))
            continue;
        if (placement->device_count == HSR_DEVICES_MAX)
            return;
        *item = (struct hsr_device){ .kind = kind, .nodes = device_nodes(topology, device) };
        memcpy(item->name, device->name, strlen(device->name) + 1);
        placement->device_count++;
    }
}

uint64_t hsr_place_nodes(const struct hsr_placement *placement, const struct hsr_device *devices,
                         unsigned count)
{
    uint64_t nodes = 0;

    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < placement->device_count; j++)
            if (placement->devices[j].kind == devices[i].kind &&
                strcmp(placement->devices[j].name, devices[i].name) == 0)
                nodes |= placement->devices[j].nodes;
    return nodes;
}

/* ---- places ---- */

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
        slots[count].far = placement->near_nodes != 0 &&
                           (node_bit(slots[count].place.node) & placement->near_nodes) == 0;
        slot_rank(slots, count, placement);
        count++;
    }
    return count;
}

/* Order the usable PUs, of which there are @count, and deal shards to them. */
static int shards_deal(struct slot *slots, unsigned count, const struct hsr_place_request *request,
                       struct hsr_placement *placement)
{
    unsigned shards = request->shards;

    placement->cpus = count;
    if (count == 0) /* the list names only PUs that do not exist */
        return HSR_E_USAGE;
    qsort(slots, count, sizeof(*slots), slot_compare);
    if (shards == 0) {
        shards = HSR_MIN(placement->cores, HSR_SHARDS_MAX);
        if (request->cpus_max > 0)
            shards = HSR_MIN(shards, request->cpus_max);
    }
    placement->count = shards;
    for (unsigned i = 0; i < shards; i++)
        placement->shards[i] = slots[i % count].place;
    hsr_assert(placement->count >= 1 && placement->count <= HSR_SHARDS_MAX);
    hsr_assert(placement->cores >= 1 && placement->cores <= placement->cpus);
    return 0;
}

static int shards_place(hwloc_topology_t topology, hwloc_const_bitmap_t usable,
                        const struct hsr_place_request *request, struct hsr_placement *placement)
{
    int pu_count = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
    struct slot *slots;
    int rc;

    if (pu_count <= 0)
        return -EIO;
    slots = calloc((size_t)pu_count, sizeof(*slots));
    if (slots == NULL)
        return -ENOMEM;
    rc = shards_deal(slots, slots_fill(topology, usable, slots, placement), request, placement);
    free(slots);
    return rc;
}

/* Without hwloc: no devices, and of all PUs only the usable ones are looked at. */
static int place_flat(int node, const struct hsr_place_request *request,
                      struct hsr_placement *placement)
{
    hwloc_bitmap_t usable = hwloc_bitmap_alloc();
    struct slot *slots = NULL;
    unsigned count = 0;
    int rc = usable == NULL ? -ENOMEM : hsr_flat_affinity(usable);

    if (rc == 0)
        rc = usable_narrow(request->cpuset, usable);
    if (rc == 0) {
        slots = calloc((size_t)hwloc_bitmap_weight(usable), sizeof(*slots));
        rc = slots == NULL ? -ENOMEM : 0;
    }
    placement->this_system = true;
    if (rc == 0) {
        for (int cpu = hwloc_bitmap_first(usable); cpu >= 0; cpu = hwloc_bitmap_next(usable, cpu)) {
            slots[count].place = (struct hsr_place){ .cpu = (unsigned)cpu,
                                                     .core = hsr_flat_core("", (unsigned)cpu),
                                                     .node = node };
            slot_rank(slots, count++, placement);
        }
        rc = shards_deal(slots, count, request, placement);
    }
    free(slots);
    hwloc_bitmap_free(usable);
    return rc;
}

/* On one topology, which has devices or not. */
static int place_on(hwloc_topology_t topology, const struct hsr_place_request *request,
                    struct hsr_placement *placement)
{
    hwloc_bitmap_t usable = hwloc_bitmap_alloc();
    int rc = usable == NULL ? -ENOMEM : usable_make(topology, request->cpuset, usable);

    placement->this_system = hwloc_topology_is_thissystem(topology) != 0;
    devices_fill(topology, HSR_DEVICE_NET, placement);
    devices_fill(topology, HSR_DEVICE_BLOCK, placement);
    placement->near_nodes = hsr_place_nodes(placement, request->near, request->near_count);
    if (rc == 0)
        rc = shards_place(topology, usable, request, placement);
    hwloc_bitmap_free(usable);
    return rc;
}

int hsr_place_decide(const struct hsr_place_request *request, struct hsr_placement *ret_placement)
{
    bool devices = request->devices;
    int rc, node;

    hsr_require(request->shards <= HSR_SHARDS_MAX, HSR_E_USAGE);
    if (request->topology == NULL && !devices && hsr_flat_machine("", &node)) {
        struct hsr_placement placement = { 0 };

        rc = place_flat(node, request, &placement);
        if (rc == 0)
            *ret_placement = placement;
        return rc;
    }
    /* Reading the devices takes four times as long as the rest, 8 ms more on two cores: they are
     * looked at only if they may decide something. */
    for (;;) {
        struct hsr_placement placement = { 0 };
        hwloc_topology_t topology;

        rc = topology_load(request->topology, devices, &topology);
        if (rc < 0)
            return rc;
        rc = place_on(topology, request, &placement);
        hwloc_topology_destroy(topology);
        if (rc < 0)
            return rc;
        if (devices || request->near_count == 0 || placement.nodes < 2) {
            *ret_placement = placement;
            return 0;
        }
        devices = true;
    }
}

int hsr_place_make(unsigned shards, const char *topology, const char *cpuset,
                   struct hsr_placement *ret_placement)
{
    struct hsr_place_request request = {
        .shards = shards,
        .topology = topology,
        .cpuset = cpuset,
        .cpus_max = topology == NULL ? hsr_cgroup_cpus("") : 0,
    };

    return hsr_place_decide(&request, ret_placement);
}

unsigned hsr_place_nearest(const struct hsr_placement *placement, unsigned home, unsigned index)
{
    const struct hsr_place *places = placement->shards;
    unsigned count = placement->count, left = index % count;

    hsr_assert(home < count);
    for (unsigned far = 0; far < 2; far++)
        for (unsigned i = 0; i < count; i++) {
            unsigned shard = (home + i) % count;

            if ((places[shard].node != places[home].node) != (far != 0))
                continue;
            if (left-- == 0)
                return shard;
        }
    hsr_unreachable("a shard is on its own node or on another");
}

unsigned hsr_place_fewest(const struct hsr_placement *placement, unsigned home, unsigned wish,
                          const uint32_t *loads, uint32_t share)
{
    unsigned best = home;

    if (wish < placement->count && loads[wish] < share)
        return wish;
    for (unsigned i = 0; i < placement->count; i++) {
        unsigned shard = hsr_place_nearest(placement, home, i);

        if (loads[shard] < loads[best])
            best = shard;
    }
    return best;
}

/* On those of @places that are on @node. */
static int place_run_on(const struct hsr_place *places, unsigned count, int node)
{
    unsigned cpus = 0;
    size_t set_size;
    cpu_set_t *set;
    int rc = 0;

    for (unsigned i = 0; i < count; i++)
        cpus = HSR_MAX(cpus, places[i].cpu + 1);
    set_size = CPU_ALLOC_SIZE(cpus);
    set = CPU_ALLOC(cpus);
    if (set == NULL)
        return -ENOMEM;
    CPU_ZERO_S(set_size, set);
    for (unsigned i = 0; i < count; i++)
        if (places[i].node == node)
            CPU_SET_S(places[i].cpu, set_size, set);
    if (sched_setaffinity(0, set_size, set) < 0) /* 0: this thread, see sched_setaffinity(2) */
        rc = -errno;
    CPU_FREE(set);
    if (rc == 0 && node >= 0) {
        struct hsr_nodemask mask = hsr_nodemask_make(node);

        if (syscall(SYS_set_mempolicy, MPOL_PREFERRED, mask.words, HSR_NODEMASK_BITS) < 0 &&
            errno != ENOSYS) /* a kernel without NUMA has one node and needs no policy */
            rc = -errno;
    }
    return rc;
}

int hsr_place_pin(const struct hsr_place *place)
{
    return place_run_on(place, 1, place->node);
}

int hsr_place_pin_near(const struct hsr_placement *placement, unsigned index)
{
    return place_run_on(placement->shards, placement->count, placement->shards[index].node);
}
