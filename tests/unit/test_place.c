/* Placement on machines we do not have (synthetic topologies), on this one, and memory for shards.
 */
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <unistd.h>

#include "base/err.h"
#include "base/util.h"
#include "numa/flat.h"
#include "numa/numa.h"
#include "numa/sysfs.h"
#include "tests/unit/hsr_test.h"
#include "tests/unit/root_fixture.h"

#define TWO_SOCKETS "synthetic:pack:2 [numa] core:4 pu:1"
#define TWO_SOCKETS_SMT "synthetic:pack:2 [numa] core:4 pu:2"

static void test_place_default_is_one_shard_per_core(void)
{
    struct hsr_placement p;

    CHECK_EQ(hsr_place_make(0, TWO_SOCKETS, NULL, &p), 0);
    CHECK_EQ(p.count, 8);
    CHECK_EQ(p.cores, 8);
    CHECK_EQ(p.cpus, 8);
    CHECK_EQ(p.nodes, 2);
    CHECK(!p.this_system);
    for (unsigned i = 0; i < p.count; i++)
        for (unsigned j = 0; j < i; j++)
            CHECK(p.shards[i].cpu != p.shards[j].cpu);
}

/* Goal: two shards on two sockets use both memory controllers. */
static void test_place_nodes_take_turns(void)
{
    struct hsr_placement p;

    CHECK_EQ(hsr_place_make(4, TWO_SOCKETS, NULL, &p), 0);
    CHECK_EQ(p.count, 4);
    for (unsigned i = 0; i < p.count; i++) {
        CHECK_EQ(p.shards[i].node, i % 2);
        CHECK_EQ(p.shards[i].cpu / 4, i % 2); /* the core is on that node */
    }
}

static void test_place_smt_uses_first_siblings_first(void)
{
    struct hsr_placement p;

    CHECK_EQ(hsr_place_make(0, TWO_SOCKETS_SMT, NULL, &p), 0);
    CHECK_EQ(p.count, 8);
    CHECK_EQ(p.cores, 8);
    CHECK_EQ(p.cpus, 16);
    for (unsigned i = 0; i < p.count; i++)
        CHECK_EQ(p.shards[i].cpu % 2, 0);

    CHECK_EQ(hsr_place_make(16, TWO_SOCKETS_SMT, NULL, &p), 0);
    CHECK_EQ(p.count, 16);
    for (unsigned i = 0; i < p.count; i++)
        CHECK_EQ(p.shards[i].cpu % 2, i / 8);
}

static void test_place_cpuset_excludes_cores(void)
{
    struct hsr_placement p;

    /* One sibling of core 0, both of core 1, all of the second socket's first core. */
    CHECK_EQ(hsr_place_make(0, TWO_SOCKETS_SMT, "1-3,8-9", &p), 0);
    CHECK_EQ(p.cpus, 5);
    CHECK_EQ(p.cores, 3);
    CHECK_EQ(p.nodes, 2);
    CHECK_EQ(p.count, 3);
    CHECK_EQ(p.shards[0].cpu, 1);
    CHECK_EQ(p.shards[1].cpu, 8);
    CHECK_EQ(p.shards[2].cpu, 2);

    CHECK_EQ(hsr_place_make(0, TWO_SOCKETS, "4-7", &p), 0);
    CHECK_EQ(p.nodes, 1);
    CHECK_EQ(p.shards[0].node, 1);
}

static void test_place_more_shards_than_cpus_share(void)
{
    struct hsr_placement p;

    CHECK_EQ(hsr_place_make(5, "synthetic:core:2 pu:1", NULL, &p), 0);
    CHECK_EQ(p.count, 5);
    CHECK_EQ(p.cpus, 2);
    for (unsigned i = 0; i < p.count; i++)
        CHECK_EQ(p.shards[i].cpu, i % 2);
}

static void test_place_one_core(void)
{
    struct hsr_placement p;

    CHECK_EQ(hsr_place_make(0, "synthetic:pu:1", NULL, &p), 0);
    CHECK_EQ(p.count, 1);
    CHECK_EQ(p.cores, 1);
    CHECK_EQ(p.nodes, 1);
}

static void test_place_large_machine_stops_at_limit(void)
{
    struct hsr_placement p;

    CHECK_EQ(hsr_place_make(0, "synthetic:pack:4 [numa] core:128 pu:2", NULL, &p), 0);
    CHECK_EQ(p.cores, 512);
    CHECK_EQ(p.count, HSR_SHARDS_MAX);
    CHECK_EQ(p.nodes, 4);
}

static void test_place_quota_limits_default_only(void)
{
    struct hsr_place_request request = { .topology = TWO_SOCKETS };
    struct hsr_placement p;

    request.cpus_max = 3;
    CHECK_EQ(hsr_place_decide(&request, &p), 0);
    CHECK_EQ(p.count, 3);
    request.cpus_max = 100;
    CHECK_EQ(hsr_place_decide(&request, &p), 0);
    CHECK_EQ(p.count, 8);
    request.shards = 6;
    request.cpus_max = 3;
    CHECK_EQ(hsr_place_decide(&request, &p), 0);
    CHECK_EQ(p.count, 6);
}

static void test_place_refuses_what_is_wrong(void)
{
    struct hsr_placement p = { .count = 77 };

    CHECK_EQ(hsr_place_make(0, "synthetic:nonsense", NULL, &p), HSR_E_USAGE);
    CHECK_EQ(hsr_place_make(0, "synthetic:", NULL, &p), HSR_E_USAGE);
    CHECK_EQ(hsr_place_make(0, "other:core:2", NULL, &p), HSR_E_USAGE);
    CHECK_EQ(hsr_place_make(0, "xml:/nonexistent/topology.xml", NULL, &p), HSR_E_USAGE);
    CHECK_EQ(hsr_place_make(0, TWO_SOCKETS, "64-70", &p), HSR_E_USAGE);
    CHECK_EQ(hsr_place_make(0, TWO_SOCKETS, "", &p), HSR_E_USAGE);
    CHECK_EQ(hsr_place_make(0, TWO_SOCKETS, "one", &p), HSR_E_USAGE);
    CHECK_EQ(hsr_place_make(HSR_SHARDS_MAX + 1, TWO_SOCKETS, NULL, &p), HSR_E_USAGE);
    CHECK_EQ(p.count, 77); /* written on success only */
}

/* ---- the machine of tests/unit/machines/two_sockets.xml ---- */

static const char *two_sockets; /* "xml:FILE" */

static const struct hsr_device *device_find(const struct hsr_placement *p, const char *name)
{
    for (unsigned i = 0; i < p->device_count; i++)
        if (strcmp(p->devices[i].name, name) == 0)
            return &p->devices[i];
    fprintf(stderr, "no %s\n", name);
    exit(1);
}

static void test_place_devices_know_their_node(void)
{
    struct hsr_place_request request = { .topology = two_sockets, .devices = true };
    struct hsr_placement p;

    CHECK_EQ(hsr_place_decide(&request, &p), 0);
    CHECK_EQ(p.count, 16);
    CHECK_EQ(p.nodes, 2);
    CHECK_EQ(p.near_nodes, 0);
    CHECK_EQ(p.device_count, 10);
    for (unsigned i = 0; i < p.device_count; i++) {
        const char *name = p.devices[i].name;
        bool nic = strncmp(name, "eth", 3) == 0;
        int node = nic ? name[3] == '1' : name[4] >= '4'; /* eth1; nvme4n1 and above */

        CHECK_EQ(p.devices[i].kind, nic ? HSR_DEVICE_NET : HSR_DEVICE_BLOCK);
        CHECK(hsr_device_is_near(&p.devices[i], node));
        CHECK(!hsr_device_is_near(&p.devices[i], !node));
        CHECK(!hsr_device_is_near(&p.devices[i], -1));
        CHECK(!hsr_device_is_near(&p.devices[i], 64));
    }
    CHECK_EQ(device_find(&p, "eth0")->nodes, 1);
    request.devices = false;
    CHECK_EQ(hsr_place_decide(&request, &p), 0);
    CHECK_EQ(p.device_count, 0); /* nobody asked */
}

/* Goal: fewer shards than cores go to the node of what they serve, and past its cores to the other
 * one; with devices on both nodes, or none that is known, nodes take turns. */
static void test_place_few_shards_go_near(void)
{
    static const struct hsr_device near[] = {
        { .name = "eth1", .kind = HSR_DEVICE_NET },
        { .name = "nvme5n1", .kind = HSR_DEVICE_BLOCK },
        { .name = "nvme0n1", .kind = HSR_DEVICE_BLOCK },
    };
    static const struct hsr_device strange[] = {
        { .name = "eth7", .kind = HSR_DEVICE_NET }, /* is not there */
        { .name = "eth1", .kind = HSR_DEVICE_BLOCK }, /* is no disk */
    };
    struct hsr_place_request request = {
        .topology = two_sockets, .shards = 4, .near = near, .near_count = 2
    };
    struct hsr_placement p;

    CHECK_EQ(hsr_place_decide(&request, &p), 0);
    CHECK_EQ(p.near_nodes, 2);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(p.shards[i].node, 1);
        CHECK_EQ(p.shards[i].cpu, 16 + 2 * i);
    }
    request.shards = 10;
    CHECK_EQ(hsr_place_decide(&request, &p), 0);
    for (unsigned i = 0; i < 10; i++)
        CHECK_EQ(p.shards[i].node, i < 8);
    request.shards = 0;
    request.cpus_max = 6; /* a quota makes them fewer as well */
    CHECK_EQ(hsr_place_decide(&request, &p), 0);
    CHECK_EQ(p.count, 6);
    CHECK_EQ(p.shards[5].node, 1);
    request = (struct hsr_place_request){
        .topology = two_sockets, .shards = 4, .near = near, .near_count = 3
    };
    CHECK_EQ(hsr_place_decide(&request, &p), 0);
    CHECK_EQ(p.near_nodes, 3);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(p.shards[i].node, i % 2);
    request.near = strange;
    request.near_count = 2;
    CHECK_EQ(hsr_place_decide(&request, &p), 0);
    CHECK_EQ(p.near_nodes, 0);
    CHECK_EQ(p.shards[1].node, 1);
    request.cpuset = "0-3"; /* one node is left: nothing is near or far */
    CHECK_EQ(hsr_place_decide(&request, &p), 0);
    CHECK_EQ(p.nodes, 1);
    CHECK_EQ(p.device_count, 0);
}

/* Goal: what a shard deals out stays on its node as long as there are shards, and then reaches
 * every other one, each once. */
static void test_place_nearest_deals_own_node_first(void)
{
    struct hsr_placement p;

    CHECK_EQ(hsr_place_make(0, two_sockets, NULL, &p), 0);
    for (unsigned home = 0; home < p.count; home++) {
        bool seen[16] = { false };

        CHECK_EQ(hsr_place_nearest(&p, home, 0), home);
        for (unsigned i = 0; i < p.count; i++) {
            unsigned shard = hsr_place_nearest(&p, home, i);

            CHECK(!seen[shard]);
            seen[shard] = true;
            CHECK_EQ(p.shards[shard].node == p.shards[home].node, i < 8);
            CHECK_EQ(hsr_place_nearest(&p, home, i + p.count), shard);
        }
    }
    /* One node: in turn, from home on. */
    CHECK_EQ(hsr_place_make(0, "synthetic:core:3 pu:1", NULL, &p), 0);
    for (unsigned i = 0; i < 6; i++)
        CHECK_EQ(hsr_place_nearest(&p, 1, i), (1 + i) % 3);
}

/* Goal: whatever core their packets come to, the streams of a session are spread over the shards;
 * without a wish as hsr_place_nearest() would. */
static void test_place_fewest_spreads(void)
{
    struct hsr_placement p;

    CHECK_EQ(hsr_place_make(0, "synthetic:core:2 pu:1", NULL, &p), 0);
    for (unsigned home = 0; home < 2; home++)
        for (unsigned wish = 0; wish < 2; wish++) {
            uint32_t loads[2] = { 0 };

            CHECK_EQ(hsr_place_fewest(&p, home, wish, loads, 1), wish);
            loads[wish]++;
            CHECK_EQ(hsr_place_fewest(&p, home, wish, loads, 1), 1 - wish); /* it has its share */
        }
    CHECK_EQ(hsr_place_make(0, two_sockets, NULL, &p), 0);
    for (unsigned home = 0; home < p.count; home++) {
        uint32_t loads[16] = { 0 };

        for (unsigned i = 0; i < 2 * p.count; i++) {
            unsigned shard = hsr_place_fewest(&p, home, p.count, loads, 2);

            CHECK_EQ(shard, hsr_place_nearest(&p, home, i));
            loads[shard]++;
        }
    }
}

static void test_place_nodes_of_devices(void)
{
    static const struct hsr_device both[] = { { .name = "eth0", .kind = HSR_DEVICE_NET },
                                              { .name = "nvme7n1", .kind = HSR_DEVICE_BLOCK } };
    struct hsr_place_request request = { .topology = two_sockets, .devices = true };
    struct hsr_placement p;

    CHECK_EQ(hsr_place_decide(&request, &p), 0);
    CHECK_EQ(hsr_place_nodes(&p, both, 0), 0);
    CHECK_EQ(hsr_place_nodes(&p, both, 1), 1);
    CHECK_EQ(hsr_place_nodes(&p, both, 2), 3);
}

/* Goal: the real machine gives places one can pin to, and affinity narrows them. */
static void test_place_this_machine(void)
{
    struct hsr_placement p;
    cpu_set_t before, set;

    CHECK_EQ(hsr_place_make(0, NULL, NULL, &p), 0);
    CHECK(p.this_system);
    CHECK(p.count >= 1 && p.count <= p.cores);
    CHECK_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
    CHECK(CPU_ISSET(p.shards[0].cpu, &before));

    int rc = hsr_place_pin(&p.shards[0]);
    CHECK(rc == 0 || rc == -EPERM); /* containers may refuse the memory policy */
    CHECK_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
    CHECK_EQ(CPU_COUNT(&set), 1);
    CHECK(CPU_ISSET(p.shards[0].cpu, &set));
    rc = hsr_place_pin_near(&p, 0); /* from one core back to those of all shards of the node */
    CHECK(rc == 0 || rc == -EPERM);
    CHECK_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
    for (unsigned i = 0; i < p.count; i++)
        CHECK_EQ(CPU_ISSET(p.shards[i].cpu, &set) != 0, p.shards[i].node == p.shards[0].node);
    CHECK(CPU_COUNT(&set) <= (int)p.count);
    rc = hsr_place_pin(&p.shards[0]);
    CHECK(rc == 0 || rc == -EPERM);
    CHECK_EQ(hsr_place_make(0, NULL, NULL, &p), 0);
    CHECK_EQ(p.cpus, 1);
    CHECK_EQ(sched_setaffinity(0, sizeof(before), &before), 0);

    CHECK(hsr_place_pin(&(struct hsr_place){ .cpu = 100000, .node = -1 }) < 0);
}

/* hwloc, which is asked when the environment tells it something, says the same. */
static void test_place_without_hwloc_is_the_same(void)
{
    struct hsr_placement flat, p;
    int node;

    if (!hsr_flat_machine("", &node))
        return; /* several nodes: only hwloc is asked */
    CHECK_EQ(hsr_place_make(0, NULL, NULL, &flat), 0);
    CHECK_EQ(setenv("HWLOC_HIDE_ERRORS", "1", 0), 0);
    CHECK(!hsr_flat_machine("", &node));
    CHECK_EQ(hsr_place_make(0, NULL, NULL, &p), 0);
    CHECK_EQ(unsetenv("HWLOC_HIDE_ERRORS"), 0);
    CHECK_EQ(flat.count, p.count);
    CHECK_EQ(flat.cores, p.cores);
    CHECK_EQ(flat.cpus, p.cpus);
    CHECK_EQ(flat.nodes, p.nodes);
    CHECK_EQ(flat.this_system, p.this_system);
    for (unsigned i = 0; i < p.count; i++)
        CHECK_EQ(flat.shards[i].node, p.shards[i].node);
    CHECK_EQ(hsr_place_make(0, NULL, "100000", &p), HSR_E_USAGE);
    CHECK_EQ(hsr_place_make(0, NULL, "one", &p), HSR_E_USAGE);
    CHECK_EQ(hsr_place_make(flat.cpus + 1, NULL, NULL, &p), 0); /* more shards than PUs share */
    CHECK_EQ(p.shards[flat.cpus].cpu, p.shards[0].cpu);
}

static void test_flat_reads_the_machine(void)
{
    int node = -1;

    root_make();
    CHECK(!hsr_flat_machine(root, &node)); /* the kernel does not say */
    root_write("/sys/devices/system/node/online", "0-1\n");
    CHECK(!hsr_flat_machine(root, &node));
    root_write("/sys/devices/system/node/online", "0,3\n");
    CHECK(!hsr_flat_machine(root, &node));
    root_write("/sys/devices/system/node/online", "2\n");
    CHECK(hsr_flat_machine(root, &node));
    CHECK_EQ(node, 2);
    CHECK_EQ(hsr_flat_core(root, 5), 5); /* no cores shown */
    root_write("/sys/devices/system/cpu/cpu5/topology/thread_siblings_list", "1,5\n");
    CHECK_EQ(hsr_flat_core(root, 5), 1);
    root_write("/sys/devices/system/cpu/cpu5/topology/core_cpus_list", "4-5\n"); /* the newer one */
    CHECK_EQ(hsr_flat_core(root, 5), 4);
    root_write("/sys/devices/system/cpu/cpu5/topology/core_cpus_list", "6-7\n"); /* not its core */
    CHECK_EQ(hsr_flat_core(root, 5), 1);
    root_remove();
}

static void test_mem_is_zeroed_aligned_and_returned(void)
{
    struct hsr_mem mem;
    const size_t size = 3 * HSR_MIB + 4096;

    CHECK_EQ(hsr_mem_map(&mem, 0, size), 0);
    CHECK_EQ((uintptr_t)mem.ptr % (2 * HSR_MIB), 0);
    CHECK_EQ(mem.size, size);
    CHECK(mem.node == 0 || mem.node == -1);
    for (size_t i = 0; i < size; i += 512)
        CHECK(((unsigned char *)mem.ptr)[i] == 0);
    memset(mem.ptr, 0xa5, size);
    hsr_mem_unmap(&mem);
    CHECK(mem.ptr == NULL);
    hsr_mem_unmap(&mem); /* harmless */

    CHECK_EQ(hsr_mem_map(&mem, -1, 1), 0);
    CHECK_EQ(mem.node, -1);
    hsr_mem_unmap(&mem);
    CHECK_EQ(hsr_mem_map(&mem, -1, 0), -EINVAL);
    CHECK_EQ(hsr_mem_map(&mem, -1, SIZE_MAX), -EINVAL);
    CHECK_EQ(hsr_mem_map(&mem, 900, 4096), 0); /* no such node: memory all the same */
    CHECK_EQ(mem.node, -1);
    hsr_mem_unmap(&mem);
}

/* Goal: pages of the pool are taken if there are enough, and given back; else the kernel's own. */
static void test_mem_takes_the_pool_if_it_is_large_enough(void)
{
    static const char unused[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    int64_t before = 0, during = 0, after = 0;
    struct hsr_mem mem;

    (void)hsr_sysfs_number("", &before, "%s", unused); /* no such file: an empty pool */
    CHECK_EQ(hsr_mem_map(&mem, -1, 3 * HSR_MIB), 0);
    if (before >= 2) {
        CHECK_EQ(mem.pages, HSR_PAGES_POOL);
        CHECK(hsr_sysfs_number("", &during, "%s", unused));
        CHECK_EQ(during, before - 2);
        memset(mem.ptr, 1, mem.size);
    } else {
        CHECK(mem.pages < HSR_PAGES_POOL);
    }
    hsr_mem_unmap(&mem);
    CHECK_EQ(hsr_mem_map(&mem, -1, (size_t)(before + 1) * 2 * HSR_MIB), 0);
    CHECK(mem.pages < HSR_PAGES_POOL);
    hsr_mem_unmap(&mem);
    (void)hsr_sysfs_number("", &after, "%s", unused);
    CHECK_EQ(after, before);
    for (int pages = 0; pages < HSR_PAGES_COUNT; pages++)
        CHECK(hsr_pages_name((enum hsr_pages)pages)[0] != '\0');
}

/* ---- the quota, from a false /proc and /sys ---- */

static void test_cgroup_v2_takes_the_smallest_of_the_chain(void)
{
    root_make();
    CHECK_EQ(hsr_cgroup_cpus(root), 0); /* nothing there: no limit */
    root_write("/proc/self/cgroup", "0::/slice/unit\n");
    CHECK_EQ(hsr_cgroup_cpus(root), 0);
    root_write("/sys/fs/cgroup/slice/unit/cpu.max", "max 100000\n");
    CHECK_EQ(hsr_cgroup_cpus(root), 0);
    root_write("/sys/fs/cgroup/slice/cpu.max", "250000 100000\n");
    CHECK_EQ(hsr_cgroup_cpus(root), 3); /* 2.5, rounded up */
    root_write("/sys/fs/cgroup/slice/unit/cpu.max", "50000 100000\n");
    CHECK_EQ(hsr_cgroup_cpus(root), 1);
    root_write("/sys/fs/cgroup/slice/unit/cpu.max", "garbage\n");
    CHECK_EQ(hsr_cgroup_cpus(root), 3);
    root_remove();
}

static void test_cgroup_v1_quota(void)
{
    root_make();
    root_write("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,cpuacct:/box\n1:cpuset:/other\n");
    root_write("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "-1\n");
    root_write("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
    CHECK_EQ(hsr_cgroup_cpus(root), 0);
    root_write("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "400000\n");
    CHECK_EQ(hsr_cgroup_cpus(root), 4);
    /* In a container the path is not there, and the mount itself is the group. */
    root_write("/proc/self/cgroup", "4:cpu,cpuacct:/docker/0123\n");
    root_write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
    root_write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    CHECK_EQ(hsr_cgroup_cpus(root), 2);
    root_remove();
}

int main(int argc, char **argv)
{
    static char text[1024];

    if (argc != 2) {
        fprintf(stderr, "usage: test_place MACHINES_DIRECTORY\n");
        return 2;
    }
    (void)snprintf(text, sizeof(text), "xml:%s/two_sockets.xml", argv[1]);
    two_sockets = text;
    RUN(test_place_devices_know_their_node);
    RUN(test_place_few_shards_go_near);
    RUN(test_place_nearest_deals_own_node_first);
    RUN(test_place_fewest_spreads);
    RUN(test_place_nodes_of_devices);
    RUN(test_place_default_is_one_shard_per_core);
    RUN(test_place_nodes_take_turns);
    RUN(test_place_smt_uses_first_siblings_first);
    RUN(test_place_cpuset_excludes_cores);
    RUN(test_place_more_shards_than_cpus_share);
    RUN(test_place_one_core);
    RUN(test_place_large_machine_stops_at_limit);
    RUN(test_place_quota_limits_default_only);
    RUN(test_place_refuses_what_is_wrong);
    RUN(test_place_this_machine);
    RUN(test_place_without_hwloc_is_the_same);
    RUN(test_flat_reads_the_machine);
    RUN(test_mem_is_zeroed_aligned_and_returned);
    RUN(test_mem_takes_the_pool_if_it_is_large_enough);
    RUN(test_cgroup_v2_takes_the_smallest_of_the_chain);
    RUN(test_cgroup_v1_quota);
    TEST_END();
}
