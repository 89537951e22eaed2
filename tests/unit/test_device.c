/* What stands behind a path or an address, and who serves its interrupts, on trees of small files
 * as /proc and /sys show them. */
#include <arpa/inet.h>
#include <sys/sysmacros.h>

#include "numa/device.h"
#include "numa/mount.h"
#include "numa/sysfs.h"
#include "tests/unit/root_fixture.h"

#define NVME "/sys/devices/pci0000:30/0000:30:00.0"

/* A disk nvme<digit>n1 with one partition, number 259:<10 * digit + 1>. */
static void disk_make(char digit)
{
    char path[256], target[256], name[16];

    snprintf(name, sizeof(name), "nvme%cn1", digit);
    snprintf(path, sizeof(path), NVME "/nvme/nvme%c/%s/%sp1/partition", digit, name, name);
    root_write(path, "1\n");
    snprintf(path, sizeof(path), NVME "/nvme/nvme%c/%s/device", digit, name);
    root_link(path, "..");
    snprintf(path, sizeof(path), "/sys/class/block/%s", name);
    snprintf(target, sizeof(target), "../../devices/pci0000:30/0000:30:00.0/nvme/nvme%c/%s", digit,
             name);
    root_link(path, target);
    snprintf(path, sizeof(path), "/sys/class/block/%sp1", name);
    snprintf(target, sizeof(target), "../../devices/pci0000:30/0000:30:00.0/nvme/nvme%c/%s/%sp1",
             digit, name, name);
    root_link(path, target);
    snprintf(path, sizeof(path), "/sys/dev/block/259:%c1", digit);
    snprintf(target, sizeof(target), "../../class/block/%sp1", name);
    root_link(path, target);
}

static void test_device_partition_is_its_disk(void)
{
    struct hsr_device found[4];

    root_make();
    disk_make('1');
    CHECK_EQ(hsr_device_of_dev(root, makedev(259, 11), found, 4), 1);
    CHECK(strcmp(found[0].name, "nvme1n1") == 0);
    CHECK_EQ(found[0].kind, HSR_DEVICE_BLOCK);
    CHECK_EQ(hsr_device_of_dev(root, makedev(259, 12), found, 4), 0);
    CHECK_EQ(hsr_device_of_dev(root, makedev(259, 11), found, 0), 0);
    root_remove();
    CHECK_EQ(hsr_device_of_dev(root, makedev(259, 11), found, 4), 0); /* nothing at all */
}

/* Goal: a logical volume on a RAID of partitions is all its disks, each once; members that make a
 * circle, or lead nowhere, end. */
static void test_device_stack_is_its_disks(void)
{
    struct hsr_device found[4];

    root_make();
    disk_make('1');
    disk_make('2');
    root_link("/sys/dev/block/253:0", "../../devices/virtual/block/dm-0");
    root_link("/sys/class/block/dm-0", "../../devices/virtual/block/dm-0");
    root_link("/sys/class/block/md0", "../../devices/virtual/block/md0");
    root_write("/sys/devices/virtual/block/dm-0/dev", "253:0\n");
    root_write("/sys/devices/virtual/block/dm-0/slaves/md0", "");
    root_write("/sys/devices/virtual/block/md0/slaves/nvme1n1p1", "");
    root_write("/sys/devices/virtual/block/md0/slaves/nvme2n1p1", "");
    root_write("/sys/devices/virtual/block/md0/slaves/nvme2n1", "");
    root_write("/sys/devices/virtual/block/md0/slaves/sdz", "");
    root_write("/sys/devices/virtual/block/md0/slaves/md0", "");
    CHECK_EQ(hsr_device_of_dev(root, makedev(253, 0), found, 4), 2);
    CHECK(strcmp(found[0].name, "nvme1n1") == 0);
    CHECK(strcmp(found[1].name, "nvme2n1") == 0);
    CHECK_EQ(hsr_device_of_dev(root, makedev(253, 0), found, 1), 1);
    root_remove();
}

/* Goal: a file system with a number of its own is found by what it is mounted from. */
static void test_device_of_a_mount(void)
{
    struct hsr_device found[4];
    struct hsr_mount mount;

    root_make();
    disk_make('1');
    root_write("/dev/nvme1n1p1", "");
    root_write("/proc/self/mountinfo",
               "garbage\n\n29 1 0:26 / /old rw - btrfs /dev/sdz rw\n"
               "30 1 0:26 / /data rw,noatime shared:5 - btrfs /dev/nvme1n1p1 rw,space_cache=v2\n"
               "31 1 0:27 / /dev/shm rw - tmpfs tmpfs rw,size=1024k,huge=always\n"
               "32 1 0:28 / /short rw -\n33 1 0:x / /n rw - a b c\n34 1 0:29 / /one rw - only\n");
    CHECK_EQ(hsr_device_of_dev(root, makedev(0, 26), found, 4), 1);
    CHECK(strcmp(found[0].name, "nvme1n1") == 0);
    CHECK_EQ(hsr_device_of_dev(root, makedev(0, 27), found, 4), 0);
    CHECK(hsr_mount_find(root, makedev(0, 27), &mount));
    CHECK(strcmp(mount.type, "tmpfs") == 0);
    CHECK(strcmp(mount.point, "/dev/shm") == 0);
    CHECK(strcmp(mount.options, "rw,size=1024k,huge=always") == 0);
    CHECK(!hsr_mount_find(root, makedev(0, 28), &mount));
    CHECK(!hsr_mount_find(root, makedev(0, 29), &mount));
    CHECK(!hsr_mount_find(root, makedev(9, 9), &mount));
    root_remove();
    CHECK(!hsr_mount_find(root, makedev(0, 27), &mount));
}

static void nic_make(void)
{
    root_write("/sys/devices/pci0000:10/0000:11:00.0/numa_node", "1\n");
    root_write("/sys/devices/pci0000:10/0000:11:00.0/irq", "30\n");
    root_write("/sys/devices/pci0000:10/0000:11:00.0/net/eth0/mtu", "9000\n");
    root_link("/sys/devices/pci0000:10/0000:11:00.0/net/eth0/device", "../..");
    root_link("/sys/class/net/eth0", "../../devices/pci0000:10/0000:11:00.0/net/eth0");
    root_write("/sys/devices/system/node/node1/cpulist", "8-15\n");
}

static void test_device_of_interfaces(void)
{
    struct hsr_device found[4];
    struct sockaddr_in loopback = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in wildcard = { .sin_family = AF_INET };

    root_make();
    nic_make();
    root_write("/sys/class/net/lo/mtu", "65536\n");
    root_write("/sys/class/net/bond0/mtu", "9000\n");
    root_write("/sys/class/net/bond0/lower_eth0", "");
    root_write("/sys/class/net/bond0.7/lower_bond0", "");
    root_write("/sys/class/net/bond0.7/upper_bond0", "");
    CHECK_EQ(hsr_device_of_interface(root, "bond0.7", found, 4), 1);
    CHECK(strcmp(found[0].name, "eth0") == 0);
    CHECK_EQ(found[0].kind, HSR_DEVICE_NET);
    CHECK_EQ(hsr_device_of_interface(root, "lo", found, 4), 0);
    CHECK_EQ(hsr_device_of_interface(root, "eth1", found, 4), 0);
    CHECK_EQ(hsr_device_of_interface(root, "../net/eth0", found, 4), 0);
    CHECK_EQ(hsr_device_rate(root, "eth0"), 0); /* it does not say */
    root_write("/sys/class/net/eth0/speed", "25000\n");
    CHECK_EQ(hsr_device_rate(root, "eth0"), 3125000000);
    root_write("/sys/class/net/eth0/speed", "-1\n");
    CHECK_EQ(hsr_device_rate(root, "eth0"), 0);
    CHECK_EQ(hsr_device_rate(root, "eth1"), 0);
    root_remove();
    /* This machine: no hardware is behind these two. */
    CHECK_EQ(hsr_device_of_address((struct sockaddr *)&loopback, found, 4), 0);
    CHECK_EQ(hsr_device_of_address((struct sockaddr *)&wildcard, found, 4), 0);
}

/* Goal: vectors in use are counted, with the CPUs that serve them, and those that no near CPU
 * serves; nonsense in a file is a vector that is not there. */
static void test_irqs_by_vector(void)
{
    struct hsr_irqs irqs;

    root_make();
    nic_make();
    for (int i = 40; i < 46; i++) {
        char path[128];

        snprintf(path, sizeof(path), "/sys/devices/pci0000:10/0000:11:00.0/msi_irqs/%d", i);
        root_write(path, "msix\n");
    }
    root_write("/sys/devices/pci0000:10/0000:11:00.0/msi_irqs/strange", "");
    root_write("/proc/interrupts", "      CPU0  CPU1\n 40:  1  2  PCI-MSIX eth0-0\n"
                                   " 41: 1 2 PCI-MSIX eth0-1\n 42: 1 2 PCI-MSIX eth0-2\n"
                                   " 43: 1 2 PCI-MSIX eth0-3\n 44: 1 2 PCI-MSIX eth0-4\n");
    root_write("/proc/irq/40/effective_affinity_list", "8\n");
    root_write("/proc/irq/40/smp_affinity_list", "0-15\n");
    root_write("/proc/irq/41/smp_affinity_list", "8-9\n"); /* an old kernel */
    root_write("/proc/irq/42/effective_affinity_list", "0\n");
    root_write("/proc/irq/43/effective_affinity_list", "x,y\n");
    root_write("/proc/irq/44/effective_affinity_list", "\n");
    root_write("/proc/irq/45/effective_affinity_list", "3\n"); /* has no handler */
    hsr_irqs_read(root, HSR_DEVICE_NET, "eth0", &irqs);
    CHECK_EQ(irqs.count, 3);
    CHECK_EQ(irqs.cpus, 3); /* 0, 8, 9 */
    CHECK_EQ(irqs.away, 1);
    CHECK_EQ(irqs.node, 1);
    CHECK(strcmp(irqs.local, "8-15") == 0);
    CHECK(strcmp(irqs.vectors, "/sys/devices/pci0000:10/0000:11:00.0/msi_irqs") == 0);
    root_write("/sys/devices/pci0000:10/0000:11:00.0/numa_node", "-1\n");
    hsr_irqs_read(root, HSR_DEVICE_NET, "eth0", &irqs);
    CHECK_EQ(irqs.node, -1);
    CHECK_EQ(irqs.away, 0);
    CHECK_EQ(irqs.count, 3);
    root_write("/sys/devices/pci0000:10/0000:11:00.0/numa_node", "99999999999999999999\n");
    hsr_irqs_read(root, HSR_DEVICE_NET, "eth0", &irqs);
    CHECK_EQ(irqs.node, -1);
    root_remove();
    hsr_irqs_read(root, HSR_DEVICE_NET, "eth0", &irqs);
    CHECK_EQ(irqs.count, 0);
}

/* Goal: a NIC without vectors is counted by name, and its bridge's vectors are not its own. */
static void test_irqs_by_name(void)
{
    struct hsr_irqs irqs;

    root_make();
    nic_make();
    root_write("/sys/devices/pci0000:10/irq", "1\n");
    root_write("/sys/devices/pci0000:10/msi_irqs/6", "msi\n");
    root_write("/proc/interrupts", " 5: 1 IO-APIC eth0\n 6: 1 IO-APIC eth01\n 7: 1 IO-APIC xeth0\n"
                                   "LOC: 1 eth0\n 8: 1 GIC eth0-rx\n");
    for (int i = 5; i < 9; i++) {
        char path[128];

        snprintf(path, sizeof(path), "/proc/irq/%d/smp_affinity_list", i);
        root_write(path, "9\n");
    }
    hsr_irqs_read(root, HSR_DEVICE_NET, "eth0", &irqs);
    CHECK_EQ(irqs.count, 2);
    CHECK_EQ(irqs.cpus, 1);
    CHECK_EQ(irqs.vectors[0], '\0');
    root_remove();
}

static void test_sysfs_refuses_what_is_wrong(void)
{
    char text[8], real[HSR_SYSFS_PATH_SIZE];
    int64_t number = 77;

    root_make();
    root_write("/sys/a", "  12 \n\n");
    root_write("/sys/b", "12x\n");
    root_write("/sys/c", "");
    root_write("/sys/long", "123456789\n");
    CHECK(hsr_sysfs_number(root, &number, "/sys/%s", "a"));
    CHECK_EQ(number, 12);
    CHECK(!hsr_sysfs_number(root, &number, "/sys/b"));
    CHECK(!hsr_sysfs_number(root, &number, "/sys/c"));
    CHECK(!hsr_sysfs_number(root, &number, "/sys/d"));
    CHECK_EQ(number, 12);
    CHECK_EQ(hsr_sysfs_text(root, text, sizeof(text), "/sys/long"), 0);
    CHECK(strcmp(text, "1234567") == 0);
    CHECK(hsr_sysfs_text(root, text, sizeof(text), "/sys") < 0); /* a directory */
    CHECK_EQ(text[0], '\0');
    root_link("/sys/out", "../../../../../../../../etc");
    CHECK(hsr_sysfs_real(root, real, "/sys/out") < 0); /* does not lie in the root */
    CHECK(hsr_sysfs_above(root, real, "nothing", "/sys/a") < 0);
    CHECK_EQ(real[0], '\0');
    root_remove();
}

int main(void)
{
    RUN(test_device_partition_is_its_disk);
    RUN(test_device_stack_is_its_disks);
    RUN(test_device_of_a_mount);
    RUN(test_device_of_interfaces);
    RUN(test_irqs_by_vector);
    RUN(test_irqs_by_name);
    RUN(test_sysfs_refuses_what_is_wrong);
    TEST_END();
}
