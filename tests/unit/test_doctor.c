/* What hawser_doctor() says of machines that the tests make up: trees of small files as /proc and
 * /sys show them, and what the kernel would answer. */
#include <errno.h>
#include <sys/sysmacros.h>

#include "client/doctor.h"
#include "tests/unit/root_fixture.h"

#define FINDINGS_MAX 64u

static struct {
    enum hawser_finding_level level;
    char area[16], name[32], subject[256], what[1024], change[512], gain[512];
} found[FINDINGS_MAX];
static unsigned found_count;

static void finding_keep(void *context, const hawser_finding *finding)
{
    CHECK(context == &found_count);
    CHECK(found_count < FINDINGS_MAX);
    CHECK(finding->what[0] != '\0');
    /* Whoever is to change something is told how and what for. */
    if (finding->level == HAWSER_FINDING_ADVICE)
        CHECK(finding->change[0] != '\0' && finding->gain[0] != '\0');
    if (finding->level == HAWSER_FINDING_OK)
        CHECK(finding->change[0] == '\0' && finding->gain[0] == '\0');
    if (found_count == FINDINGS_MAX)
        return;
    found[found_count].level = finding->level;
    snprintf(found[found_count].area, 16, "%s", finding->area);
    snprintf(found[found_count].name, 32, "%s", finding->name);
    snprintf(found[found_count].subject, 256, "%s", finding->subject);
    snprintf(found[found_count].what, 1024, "%s", finding->what);
    snprintf(found[found_count].change, 512, "%s", finding->change);
    snprintf(found[found_count].gain, 512, "%s", finding->gain);
    found_count++;
}

static int finding_index(const char *name, const char *subject)
{
    for (unsigned i = 0; i < found_count; i++)
        if (strcmp(found[i].name, name) == 0 && strcmp(found[i].subject, subject) == 0)
            return (int)i;
    return -1;
}

/* A finding there must be, with @what and @change somewhere in it. */
static void expect(const char *name, const char *subject, enum hawser_finding_level level,
                   const char *what, const char *change)
{
    int i = finding_index(name, subject);

    if (i < 0 || found[i].level != level || strstr(found[i].what, what) == NULL ||
        strstr(found[i].change, change) == NULL) {
        fprintf(stderr, "%s %s: wanted level %d \"%s\" \"%s\"\n", name, subject, (int)level, what,
                change);
        if (i >= 0)
            fprintf(stderr, "  is level %d \"%s\" \"%s\"\n", (int)found[i].level, found[i].what,
                    found[i].change);
        hsr_test_failures++;
    }
}

static unsigned at_level(enum hawser_finding_level level)
{
    unsigned count = 0;

    for (unsigned i = 0; i < found_count; i++)
        count += found[i].level == level;
    return count;
}

static void nic_good(const char *name, struct doctor_nic *ret)
{
    CHECK(strcmp(name, "eth0") == 0);
    *ret = (struct doctor_nic){ .rx_ring = 1024,
                                .rx_ring_max = 8192,
                                .tx_ring = 1024,
                                .tx_ring_max = 8192,
                                .queues = 16,
                                .queues_max = 63,
                                .gso_max = 65536,
                                .gso_ipv4_max = 185000,
                                .tso_max = 524280 };
}

static void nic_bad(const char *name, struct doctor_nic *ret)
{
    nic_good(name, ret);
    ret->rx_ring = 512;
    ret->queues = 4;
    ret->gso_ipv4_max = 65536;
}

static void nic_silent(const char *name, struct doctor_nic *ret)
{
    (void)name;
    (void)ret;
}

/* "/data" is on the first disk, "/mem" in memory, "/lost" on nothing known; others do not exist. */
static int device_of(const char *path, dev_t *ret)
{
    if (strcmp(path, "/data") == 0)
        *ret = makedev(259, 1);
    else if (strcmp(path, "/mem") == 0)
        *ret = makedev(0, 27);
    else if (strcmp(path, "/lost") == 0)
        *ret = makedev(0, 99);
    else
        return -ENOENT;
    return 0;
}

static struct doctor_machine machine_good(void)
{
    return (struct doctor_machine){ .root = root,
                                    .release = "6.12.9-test",
                                    .uring_why = "",
                                    .uring_used = "single_issuer defer_taskrun",
                                    .uring_missing = "bundle (not used) no_iowait (needs Linux "
                                                     "6.15)",
                                    .memlock = DOCTOR_UNLIMITED,
                                    .files = 1048576,
                                    .cpus = 16,
                                    .nic_read = nic_good,
                                    .device_of = device_of };
}

static int examine(const struct doctor_machine *machine, const char *path)
{
    found_count = 0;
    return hsr_doctor_run(machine, &path, path != NULL, finding_keep, &found_count);
}

struct file {
    const char *path, *text;
};

#define NIC "/sys/devices/pci0000:10/0000:11:00.0"
#define DISK "/sys/devices/pci0000:30/0000:30:00.0/nvme/nvme0"

/* A server with 100GbE and NVMe on which somebody has done the work. */
static const struct file good_files[] = {
    { "/proc/sys/kernel/io_uring_disabled", "0\n" },
    { "/proc/sys/kernel/numa_balancing", "0\n" },
    { "/proc/sys/net/ipv4/tcp_congestion_control", "cubic\n" },
    { "/proc/sys/net/ipv4/tcp_available_congestion_control", "reno cubic bbr\n" },
    { "/proc/sys/net/ipv4/tcp_allowed_congestion_control", "reno cubic\n" },
    { "/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t67108864\n" },
    { "/proc/sys/net/ipv4/tcp_wmem", "4096\t65536\t67108864\n" },
    { "/proc/self/mountinfo", "29 1 259:1 / /data rw - xfs /dev/nvme0n1p1 rw\n"
                              "31 1 0:27 / /mem rw - tmpfs tmpfs rw,huge=always,size=1g\n" },
    { "/proc/interrupts", "  40: 1 PCI-MSIX eth0-0\n  41: 1 PCI-MSIX eth0-1\n  42: 1 eth0-2\n" },
    { "/proc/irq/40/effective_affinity_list", "8\n" },
    { "/proc/irq/41/effective_affinity_list", "9\n" },
    { "/proc/irq/42/effective_affinity_list", "10\n" },
    { "/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n" },
    { "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n" },
    { "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "500\n" },
    { "/sys/devices/system/node/node0/cpulist", "0-7\n" },
    { "/sys/devices/system/node/node0/meminfo", "Node 0 MemTotal:   268435456 kB\n" },
    { "/sys/devices/system/node/node1/cpulist", "8-15\n" },
    { "/sys/devices/system/node/node1/meminfo", "Node 1 MemTotal:   268435456 kB\n" },
    { "/sys/devices/system/node/online", "0-1\n" },
    { "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n" },
    { "/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n" },
    { "/sys/devices/system/cpu/vulnerabilities/meltdown", "Not affected\n" },
    { "/sys/devices/system/cpu/vulnerabilities/spectre_v2",
      "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional\n" },
    { "/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n" },
    { NIC "/numa_node", "1\n" },
    { NIC "/irq", "39\n" },
    { NIC "/msi_irqs/40", "msix\n" },
    { NIC "/msi_irqs/41", "msix\n" },
    { NIC "/msi_irqs/42", "msix\n" },
    { NIC "/net/eth0/mtu", "9000\n" },
    { NIC "/net/eth0/speed", "100000\n" },
    { NIC "/net/eth0/operstate", "up\n" },
    { "/sys/class/net/lo/mtu", "65536\n" },
    { DISK "/nvme0n1/size", "3750748848\n" },
    { DISK "/nvme0n1/queue/rotational", "0\n" },
    { DISK "/nvme0n1/queue/scheduler", "[none] mq-deadline\n" },
    { DISK "/nvme0n1/queue/nr_requests", "1023\n" },
    { DISK "/nvme0n1/nvme0n1p1/partition", "1\n" },
    { "/sys/devices/pci0000:30/0000:30:00.0/numa_node", "0\n" },
    { "/sys/module/nvme/parameters/poll_queues", "4\n" },
};

static void files_make(const struct file *files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        root_write(files[i].path, files[i].text);
}

static void machine_make(void)
{
    root_make();
    files_make(good_files, sizeof(good_files) / sizeof(good_files[0]));
    root_link(NIC "/net/eth0/device", "../..");
    root_link(NIC "/driver", "../../../bus/pci/drivers/mlx5_core");
    root_write("/sys/bus/pci/drivers/mlx5_core/bind", "");
    root_link("/sys/class/net/eth0", "../../devices/pci0000:10/0000:11:00.0/net/eth0");
    root_link(DISK "/nvme0n1/device", "..");
    root_link("/sys/class/block/nvme0n1",
              "../../devices/pci0000:30/0000:30:00.0/nvme/nvme0/nvme0n1");
    root_link("/sys/class/block/nvme0n1p1",
              "../../devices/pci0000:30/0000:30:00.0/nvme/nvme0/nvme0n1/nvme0n1p1");
    root_link("/sys/dev/block/259:1", "../../class/block/nvme0n1p1");
}

static void test_doctor_good_machine_needs_nothing(void)
{
    struct doctor_machine machine = machine_good();

    machine_make();
    CHECK_EQ(examine(&machine, NULL), 0);
    CHECK_EQ(at_level(HAWSER_FINDING_ADVICE), 0);
    CHECK_EQ(at_level(HAWSER_FINDING_PROBLEM), 0);
    expect("version", "", HAWSER_FINDING_OK, "Linux 6.12.9-test", "");
    expect("io_uring", "", HAWSER_FINDING_OK, "without: no_iowait (needs Linux 6.15)", "");
    CHECK(strstr(found[finding_index("io_uring", "")].what, "bundle") == NULL);
    expect("memlock", "", HAWSER_FINDING_OK, "without limit", "");
    expect("huge pages", "", HAWSER_FINDING_OK, "madvise", "");
    expect("huge page pool", "", HAWSER_FINDING_OK, "500 of 512", "");
    expect("nodes", "", HAWSER_FINDING_OK, "node 1: cpus 8-15, 256.0 GiB", "");
    expect("quota", "", HAWSER_FINDING_OK, "16 CPUs", "");
    expect("governor", "", HAWSER_FINDING_OK, "performance", "");
    expect("mitigations", "", HAWSER_FINDING_OK, "none", "");
    expect("congestion", "", HAWSER_FINDING_OK, "takes cubic", "");
    expect("windows", "", HAWSER_FINDING_OK, "6.71 GB/s over 10 ms", "");
    expect("link", "eth0", HAWSER_FINDING_OK, "mlx5_core; 100 Gb/s", "");
    expect("packets", "eth0", HAWSER_FINDING_OK, "BIG TCP up to 185000", "");
    expect("queues", "eth0", HAWSER_FINDING_OK, "16 of at most 63", "");
    expect("interrupts", "eth0", HAWSER_FINDING_OK, "3 interrupts, served by 3 CPUs", "");
    expect("queue", "nvme0n1", HAWSER_FINDING_OK, "1920 GB; solid state; scheduler none", "");
    CHECK_EQ(finding_index("link", "lo"), -1);
    root_remove();
}

/* Goal: everything that can be wrong at once is named, each with the command that changes it. */
static void test_doctor_bad_machine_is_told_all(void)
{
    static const struct file bad[] = {
        { "/proc/sys/kernel/numa_balancing", "1\n" },
        { "/proc/sys/net/ipv4/tcp_congestion_control", "bbr\n" },
        { "/proc/sys/net/ipv4/tcp_available_congestion_control", "reno bbr\n" },
        { "/proc/sys/net/ipv4/tcp_rmem", "4096 131072 6291456\n" },
        { "/proc/sys/net/ipv4/tcp_wmem", "4096 16384 4194304\n" },
        { "/proc/self/cgroup", "0::/box\n" },
        { "/sys/fs/cgroup/box/cpu.max", "250000 100000\n" },
        { "/proc/irq/41/effective_affinity_list", "1\n" },
        { "/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n" },
        { "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n" },
        { "/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n" },
        { "/sys/devices/system/cpu/vulnerabilities/meltdown", "Mitigation: PTI\n" },
        { "/sys/devices/system/cpu/vulnerabilities/spectre_v2", "Mitigation: IBRS; STIBP\n" },
        { "/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n" },
        { NIC "/net/eth0/mtu", "1500\n" },
        { DISK "/nvme0n1/queue/scheduler", "none [mq-deadline]\n" },
    };
    struct doctor_machine machine = machine_good();

    machine_make();
    files_make(bad, sizeof(bad) / sizeof(bad[0]));
    machine.nic_read = nic_bad;
    machine.memlock = 8 * HSR_MIB;
    machine.files = 1024;
    CHECK_EQ(examine(&machine, NULL), 0); /* slow, but it runs */
    CHECK_EQ(at_level(HAWSER_FINDING_PROBLEM), 0);
    expect("memlock", "", HAWSER_FINDING_OK, "8192 KiB can be locked", "");
    expect("files", "", HAWSER_FINDING_ADVICE, "1024", "LimitNOFILE=65536");
    expect("huge pages", "", HAWSER_FINDING_ADVICE, "off", "echo madvise >");
    expect("nodes", "", HAWSER_FINDING_ADVICE, "moves pages", "kernel.numa_balancing=0");
    expect("quota", "", HAWSER_FINDING_ADVICE, "time of 3", "CPUQuota=");
    expect("governor", "", HAWSER_FINDING_ADVICE, "powersave on 1 of 2", "performance");
    expect("mitigations", "", HAWSER_FINDING_ADVICE, "meltdown); IBRS", "mitigations=off");
    expect("clock", "", HAWSER_FINDING_ADVICE, "hpet", "echo tsc");
    expect("congestion", "", HAWSER_FINDING_ADVICE, "default bbr", "modprobe tcp_cubic");
    expect("windows", "", HAWSER_FINDING_ADVICE, "0.42 GB/s over 10 ms", "net.ipv4.tcp_rmem=");
    expect("windows", "", HAWSER_FINDING_ADVICE, "4.0 MiB to send", "net.ipv4.tcp_wmem=");
    expect("packets", "eth0", HAWSER_FINDING_ADVICE, "MTU 1500", "mtu 9000");
    expect("packets", "eth0", HAWSER_FINDING_ADVICE, "is possible and off",
           "gso_ipv4_max_size 185000");
    expect("queues", "eth0", HAWSER_FINDING_ADVICE, "4 of at most 63", "combined 16");
    expect("queues", "eth0", HAWSER_FINDING_ADVICE, "512 to receive", "ethtool -G eth0 rx 4096");
    expect("interrupts", "eth0", HAWSER_FINDING_ADVICE, "1 of them by none of that node",
           "set -- 8 9 10; for i in " NIC "/msi_irqs/*;");
    expect("queue", "nvme0n1", HAWSER_FINDING_ADVICE, "scheduler mq-deadline",
           "echo none > /sys/block/nvme0n1/queue/scheduler");
    /* cubic is there, but not for everybody */
    root_write("/proc/sys/net/ipv4/tcp_available_congestion_control", "reno cubic bbr\n");
    root_write("/proc/sys/net/ipv4/tcp_allowed_congestion_control", "reno bbr\n");
    machine.files = 64;
    CHECK_EQ(examine(&machine, NULL), 0);
    expect("congestion", "", HAWSER_FINDING_ADVICE, "only root",
           "tcp_allowed_congestion_control='reno bbr cubic'");
    expect("files", "", HAWSER_FINDING_PROBLEM, "64", "LimitNOFILE");
    root_remove();
}

/* Goal: packets that are handed on although the NIC has a queue a core; with fewer queues that is
 * somebody's choice. */
static void test_doctor_steered_queues(void)
{
    struct doctor_machine machine = machine_good();

    machine_make();
    root_write(NIC "/net/eth0/queues/rx-0/rps_cpus", "00000000,00000000\n");
    root_write(NIC "/net/eth0/queues/rx-1/rps_cpus", "00000000,000000f0\n");
    root_write(NIC "/net/eth0/queues/tx-0/xps_cpus", "f\n");
    machine.cpus = 2;
    CHECK_EQ(examine(&machine, NULL), 0);
    expect("queues", "eth0", HAWSER_FINDING_ADVICE, "steering is on for 1 of 2",
           "/sys/class/net/eth0/queues/rx-*/rps_cpus; do echo 0");
    machine.cpus = 3;
    machine.nic_read = nic_silent;
    CHECK_EQ(examine(&machine, NULL), 0);
    expect("queues", "eth0", HAWSER_FINDING_OK, "2 queues to receive, 1 to send", "");
    root_remove();
}

/* Goal: all queues on one CPU is worth a word on a fast NIC, and none on a slow one. */
static void test_doctor_all_interrupts_on_one_cpu(void)
{
    struct doctor_machine machine = machine_good();

    machine_make();
    root_write("/proc/irq/40/effective_affinity_list", "8\n");
    root_write("/proc/irq/41/effective_affinity_list", "8\n");
    root_write("/proc/irq/42/effective_affinity_list", "8\n");
    CHECK_EQ(examine(&machine, NULL), 0);
    expect("interrupts", "eth0", HAWSER_FINDING_ADVICE, "served by 1 CPU", "smp_affinity_list");
    root_write(NIC "/net/eth0/speed", "1000\n");
    root_write(NIC "/net/eth0/mtu", "1500\n");
    machine.nic_read = nic_bad;
    CHECK_EQ(examine(&machine, NULL), 0);
    CHECK_EQ(at_level(HAWSER_FINDING_ADVICE), 0);
    root_write(NIC "/net/eth0/operstate", "down\n");
    CHECK_EQ(examine(&machine, NULL), 0);
    CHECK_EQ(finding_index("link", "eth0"), -1);
    expect("link", "", HAWSER_FINDING_OK, "no NIC", "");
    root_remove();
}

/* Goal: a container without io_uring: the only problem, the right remedy, and an error for who
 * asks by program. */
static void test_doctor_forbidden_ring_is_a_problem(void)
{
    struct doctor_machine machine = machine_good();

    root_make();
    machine.uring_rc = HSR_E_NO_IO_URING;
    machine.uring_why = "io_uring is forbidden";
    machine.nic_read = nic_silent;
    CHECK_EQ(examine(&machine, "/nowhere"), HAWSER_E_NO_IO_URING); /* more than a lost path */
    expect("io_uring", "", HAWSER_FINDING_PROBLEM, "is forbidden", "seccomp");
    expect("path", "/nowhere", HAWSER_FINDING_PROBLEM, "No such file", "");
    root_write("/proc/sys/kernel/io_uring_disabled", "2\n");
    machine.uring_why = "";
    CHECK_EQ(examine(&machine, NULL), HAWSER_E_NO_IO_URING);
    expect("io_uring", "", HAWSER_FINDING_PROBLEM, "io_uring is not available",
           "sysctl -w kernel.io_uring_disabled=0");
    machine.uring_rc = HSR_E_MEMLOCK;
    CHECK_EQ(examine(&machine, NULL), HAWSER_E_MEMLOCK);
    expect("io_uring", "", HAWSER_FINDING_PROBLEM, "limit is too small", "ulimit -l");
    machine = machine_good();
    machine.release = "5.15.0";
    machine.nic_read = nic_silent;
    CHECK_EQ(examine(&machine, NULL), 0);
    expect("version", "", HAWSER_FINDING_PROBLEM, "5.15.0", "6.1 or newer");
    machine.release = "6.0.19";
    CHECK_EQ(examine(&machine, NULL), 0);
    expect("version", "", HAWSER_FINDING_PROBLEM, "6.0.19", "6.1 or newer");
    root_remove();
}

static void test_doctor_paths(void)
{
    struct doctor_machine machine = machine_good();

    machine_make();
    CHECK_EQ(examine(&machine, "/data"), 0);
    expect("file system", "/data", HAWSER_FINDING_OK, "xfs", "");
    expect("queue", "nvme0n1", HAWSER_FINDING_OK, "holds /data", "");
    CHECK_EQ(examine(&machine, "/mem"), 0);
    expect("file system", "/mem", HAWSER_FINDING_OK, "tmpfs", "");
    CHECK_EQ(finding_index("queue", "nvme0n1"), -1); /* nobody asked for it */
    root_write("/proc/self/mountinfo",
               "31 1 0:27 / /mem rw - tmpfs tmpfs rw,huge=alwaysnot,size=1g\n");
    CHECK_EQ(examine(&machine, "/mem"), 0);
    expect("file system", "/mem", HAWSER_FINDING_ADVICE, "tmpfs", "remount,huge=always /mem");
    root_write("/proc/self/mountinfo", "31 1 0:27 / /m`id` rw - tmpfs tmpfs rw,size=1g\n");
    CHECK_EQ(examine(&machine, "/mem"), 0);
    expect("file system", "/mem", HAWSER_FINDING_ADVICE, "tmpfs", "remount,huge=always MOUNTPOINT");
    root_link("/sys/class/net/$(id)", "../../devices/pci0000:10/0000:11:00.0/net/eth0");
    CHECK_EQ(examine(&machine, "/lost"), 0); /* nic_good() checks the name */
    CHECK_EQ(finding_index("file system", "/lost"), -1);
    CHECK_EQ(examine(&machine, "/nowhere"), HAWSER_E_PARTIAL);
    expect("path", "/nowhere", HAWSER_FINDING_PROBLEM, "No such file", "");
    root_remove();
}

/* Goal: nothing is where it should be: few findings, none of them wrong. */
static void test_doctor_missing_files_are_no_findings(void)
{
    struct doctor_machine machine = machine_good();

    root_make();
    machine.release = "";
    machine.cpus = 0;
    machine.nic_read = nic_silent;
    CHECK_EQ(examine(&machine, NULL), 0);
    CHECK_EQ(found_count, 3); /* what no file tells: io_uring and the two limits */
    CHECK_EQ(at_level(HAWSER_FINDING_OK), 3);
    root_remove();
}

/* Goal: every file of the good machine, one after the other, holds nonsense: no crash, and no
 * command with nonsense in it. */
static void test_doctor_garbage_is_no_finding(void)
{
    static const char *const garbage[] = {
        "",  "\n",        "-1\n",         "99999999999999999999999\n", "%s%n%s%n\n",
        "[", "]][[ [x\n", "\xff\xfe\x01", "- - - - - - -\n1:\n:::\n",  "0-99999999999,,,-4\n",
    };
    struct doctor_machine machine = machine_good();
    unsigned most = 0;

    machine_make();
    for (size_t i = 0; i < sizeof(good_files) / sizeof(good_files[0]); i++) {
        for (size_t j = 0; j < sizeof(garbage) / sizeof(garbage[0]); j++) {
            root_write(good_files[i].path, garbage[j]);
            CHECK_EQ(examine(&machine, j % 2 == 0 ? NULL : "/data"), 0);
            CHECK_EQ(at_level(HAWSER_FINDING_PROBLEM), 0);
            for (unsigned k = 0; k < found_count; k++)
                CHECK(strpbrk(found[k].change, "%\xff\xfe\x01") == NULL);
            most = HSR_MAX(most, found_count);
        }
        root_write(good_files[i].path, good_files[i].text);
    }
    CHECK(most > 15);
    root_remove();
}

static void test_doctor_usage(void)
{
    const char *const paths[] = { NULL };

    CHECK_EQ(hawser_doctor(NULL, 0, NULL, NULL), HAWSER_E_USAGE);
    CHECK_EQ(hawser_doctor(NULL, 1, finding_keep, &found_count), HAWSER_E_USAGE);
    CHECK_EQ(hawser_doctor(paths, 1, finding_keep, &found_count), HAWSER_E_USAGE);
}

/* Goal: this machine gives findings of its own, whatever they are. */
static void test_doctor_this_machine(void)
{
    const char *const paths[] = { "/" };
    int rc;

    found_count = 0;
    rc = hawser_doctor(paths, 1, finding_keep, &found_count);
    CHECK(rc == 0 || rc == HAWSER_E_NO_IO_URING || rc == HAWSER_E_MEMLOCK);
    CHECK(finding_index("version", "") >= 0);
    CHECK(finding_index("io_uring", "") >= 0);
    CHECK_EQ(found[finding_index("io_uring", "")].level,
             rc == 0 ? HAWSER_FINDING_OK : HAWSER_FINDING_PROBLEM);
    CHECK(finding_index("files", "") >= 0);
}

int main(void)
{
    RUN(test_doctor_good_machine_needs_nothing);
    RUN(test_doctor_bad_machine_is_told_all);
    RUN(test_doctor_steered_queues);
    RUN(test_doctor_all_interrupts_on_one_cpu);
    RUN(test_doctor_forbidden_ring_is_a_problem);
    RUN(test_doctor_paths);
    RUN(test_doctor_missing_files_are_no_findings);
    RUN(test_doctor_garbage_is_no_finding);
    RUN(test_doctor_usage);
    RUN(test_doctor_this_machine);
    TEST_END();
}
