/* Kernel, limits, memory and processors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/doctor.h"
#include "numa/numa.h"
#include "ring/buf.h"

#define KERNEL_MAJOR 6u /* what io_uring needs to have: see the README */
#define KERNEL_MINOR 1u
#define FILES_GOOD 8192u /* a target stages 1,024 files, a server has hundreds of connections */
#define FILES_LEAST 256u /* below that a small tree fails */

/* ---- kernel ---- */

static void kernel_version(struct doctor *doctor)
{
    struct doctor_case one = hsr_doctor_begin("kernel", "version", "");
    unsigned major, minor;

    if (sscanf(doctor->machine->release, "%u.%u", &major, &minor) != 2)
        return;
    hsr_doctor_what(&one, "Linux %s", doctor->machine->release);
    if (major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR)) {
        hsr_doctor_change(&one, HAWSER_FINDING_PROBLEM, "# install Linux %u.%u or newer",
                          KERNEL_MAJOR, KERNEL_MINOR);
        hsr_doctor_gain(&one, "Hawser is made and tested for %u.%u and newer", KERNEL_MAJOR,
                        KERNEL_MINOR);
    }
    hsr_doctor_end(doctor, &one);
}

/* Of "name (why) name (why)" only what a newer kernel would have. */
static void uring_missing(struct doctor_case *one, const char *words)
{
    char text[512] = "";
    size_t at = 0;

    while (*words != '\0' && at < sizeof(text)) {
        size_t size = strcspn(words, ")") + 1;
        const char *why = memmem(words, strnlen(words, size), "(needs ", 7);

        if (why != NULL)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%.*s", at > 0 ? " " : "",
                                   (int)size, words);
        words += strnlen(words, size);
        words += strspn(words, " ");
    }
    if (at > 0)
        hsr_doctor_what(one, "without: %s", text);
}

static void kernel_uring(struct doctor *doctor)
{
    const struct doctor_machine *machine = doctor->machine;
    struct doctor_case one = hsr_doctor_begin("kernel", "io_uring", "");
    int64_t disabled = 0;

    if (machine->uring_rc == 0) {
        hsr_doctor_what(&one, "allowed; in use: %s", machine->uring_used);
        uring_missing(&one, machine->uring_missing);
        hsr_doctor_end(doctor, &one);
        return;
    }
    doctor->rc = machine->uring_rc;
    hsr_doctor_what(&one, "no ring can be made: %s",
                    machine->uring_why[0] != '\0' ? machine->uring_why
                                                  : hawser_strerror(machine->uring_rc));
    if (machine->uring_rc == HSR_E_MEMLOCK)
        hsr_doctor_change(&one, HAWSER_FINDING_PROBLEM, "ulimit -l unlimited");
    else if (hsr_sysfs_number(machine->root, &disabled, "/proc/sys/kernel/io_uring_disabled") &&
             disabled != 0)
        hsr_doctor_change(&one, HAWSER_FINDING_PROBLEM, "sysctl -w kernel.io_uring_disabled=0");
    else
        hsr_doctor_change(&one, HAWSER_FINDING_PROBLEM,
                          "docker run --security-opt seccomp=unconfined ...   # or a profile that "
                          "allows io_uring_setup, io_uring_enter and io_uring_register");
    hsr_doctor_gain(&one, "nothing of Hawser runs here without io_uring");
    hsr_doctor_end(doctor, &one);
}

void hsr_doctor_kernel(struct doctor *doctor)
{
    kernel_version(doctor);
    kernel_uring(doctor);
}

/* ---- limits ---- */

static void limits_memlock(struct doctor *doctor)
{
    const struct doctor_machine *machine = doctor->machine;
    struct doctor_case one = hsr_doctor_begin("limits", "memlock", "");
    uint64_t need = (uint64_t)HSR_MAX(machine->cpus, 1u) * HSR_BUF_REGISTERED_MAX;

    if (machine->may_lock || machine->memlock == DOCTOR_UNLIMITED)
        hsr_doctor_what(&one, "memory can be locked without limit: buffers are registered");
    else if (machine->memlock >= need)
        hsr_doctor_what(&one, "%llu MiB can be locked: buffers are registered",
                        (unsigned long long)(machine->memlock / HSR_MIB));
    else
        hsr_doctor_what(
            &one,
            "%llu KiB can be locked, registering buffers takes up to %llu MiB: they work "
            "unregistered, and from chunks of 128 KiB on no difference was "
            "found" DOCTOR_MEASURED,
            (unsigned long long)(machine->memlock / HSR_KIB), (unsigned long long)(need / HSR_MIB));
    hsr_doctor_end(doctor, &one);
}

static void limits_files(struct doctor *doctor)
{
    struct doctor_case one = hsr_doctor_begin("limits", "files", "");
    uint64_t files = doctor->machine->files;

    if (files == DOCTOR_UNLIMITED)
        hsr_doctor_what(&one, "descriptors without limit");
    else
        hsr_doctor_what(&one, "%llu descriptors at most", (unsigned long long)files);
    if (files < FILES_GOOD) {
        hsr_doctor_change(&one,
                          files < FILES_LEAST ? HAWSER_FINDING_PROBLEM : HAWSER_FINDING_ADVICE,
                          "ulimit -Hn 65536   # or LimitNOFILE=65536 in the systemd unit, as "
                          "hawserd.service has");
        hsr_doctor_gain(&one, "a target holds up to 1,024 staged files, a server hundreds of "
                              "connections: without descriptors files fail or wait");
    }
    hsr_doctor_end(doctor, &one);
}

void hsr_doctor_limits(struct doctor *doctor)
{
    limits_memlock(doctor);
    limits_files(doctor);
}

/* ---- memory ---- */

static void memory_transparent(struct doctor *doctor)
{
    struct doctor_case one = hsr_doctor_begin("memory", "huge pages", "");
    char text[128];

    if (hsr_sysfs_text(doctor->machine->root, text, sizeof(text),
                       "/sys/kernel/mm/transparent_hugepage/enabled") < 0)
        return;
    if (strstr(text, "[always]") != NULL || strstr(text, "[madvise]") != NULL) {
        hsr_doctor_what(&one, "transparent huge pages are on (%s): buffers get them",
                        strstr(text, "[always]") != NULL ? "always" : "madvise");
    } else if (strstr(text, "[never]") != NULL) {
        hsr_doctor_what(&one, "transparent huge pages are off");
        hsr_doctor_change(&one, HAWSER_FINDING_ADVICE,
                          "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
        hsr_doctor_gain(&one,
                        "direct reads of 1 MiB 3.9 instead of 1.2 GB/s, writes 8.5 instead of "
                        "3.6" DOCTOR_MEASURED);
    }
    hsr_doctor_end(doctor, &one);
}

static void memory_pool(struct doctor *doctor)
{
    static const char pool[] = "/sys/kernel/mm/hugepages/hugepages-2048kB";
    struct doctor_case one = hsr_doctor_begin("memory", "huge page pool", "");
    int64_t total, unused;

    if (!hsr_sysfs_number(doctor->machine->root, &total, "%s/nr_hugepages", pool) ||
        !hsr_sysfs_number(doctor->machine->root, &unused, "%s/free_hugepages", pool))
        return;
    if (total <= 0)
        hsr_doctor_what(&one, "empty; transparent huge pages do as well");
    else
        hsr_doctor_what(&one,
                        "%lld of %lld pages of 2 MiB are free: buffers come from here as long as "
                        "there are enough",
                        (long long)unused, (long long)total);
    hsr_doctor_end(doctor, &one);
}

struct node_list {
    struct doctor *doctor;
    struct doctor_case *one;
    unsigned count;
};

static void node_found(void *context, const char *name)
{
    struct node_list *list = context;
    char cpus[128], memory[128];
    unsigned long long total = 0;
    const char *at;
    unsigned node;
    char rest;

    if (sscanf(name, "node%u%c", &node, &rest) != 1 ||
        hsr_sysfs_text(list->doctor->machine->root, cpus, sizeof(cpus),
                       "/sys/devices/system/node/%.32s/cpulist", name) < 0)
        return;
    list->count++;
    if (hsr_sysfs_text(list->doctor->machine->root, memory, sizeof(memory),
                       "/sys/devices/system/node/%.32s/meminfo", name) == 0) {
        at = strstr(memory, "MemTotal:");
        if (at != NULL)
            total = strtoull(at + strlen("MemTotal:"), NULL, 10);
    }
    hsr_doctor_what(list->one, "node %u: %s%s, %.1f GiB", node, *cpus != '\0' ? "cpus " : "no cpu",
                    cpus, (double)total / (double)HSR_MIB); /* it counts KiB */
    if (total == 0 && *cpus != '\0')
        hsr_doctor_what(list->one, "that node has no memory: its shards use another's");
}

static void memory_nodes(struct doctor *doctor)
{
    struct doctor_case one = hsr_doctor_begin("memory", "nodes", "");
    struct node_list list = { .doctor = doctor, .one = &one };
    int64_t balancing = 0;

    if (hsr_sysfs_each(doctor->machine->root, node_found, &list, "/sys/devices/system/node") < 0)
        return; /* a kernel without NUMA */
    if (list.count > 1 &&
        hsr_sysfs_number(doctor->machine->root, &balancing, "/proc/sys/kernel/numa_balancing") &&
        balancing > 0) {
        hsr_doctor_what(&one, "the kernel moves pages after those who use them");
        hsr_doctor_change(&one, HAWSER_FINDING_ADVICE, "sysctl -w kernel.numa_balancing=0");
        hsr_doctor_gain(&one, "shards are pinned and their buffers are on their node already: the "
                              "faults that look for better places find none (not measured)");
    }
    hsr_doctor_end(doctor, &one);
}

void hsr_doctor_memory(struct doctor *doctor)
{
    memory_transparent(doctor);
    memory_pool(doctor);
    memory_nodes(doctor);
}

/* ---- processors ---- */

static void cpu_count(struct doctor *doctor)
{
    struct doctor_case one = hsr_doctor_begin("cpu", "quota", "");
    unsigned quota = hsr_cgroup_cpus(doctor->machine->root), cpus = doctor->machine->cpus;

    if (cpus == 0)
        return;
    if (quota == 0 || quota >= cpus) {
        hsr_doctor_what(&one, "%u CPU%s, no quota of a cgroup below that", cpus,
                        cpus == 1 ? "" : "s");
    } else {
        hsr_doctor_what(&one,
                        "%u CPUs, and the cgroup's quota is the time of %u: so many shards start",
                        cpus, quota);
        hsr_doctor_change(&one, HAWSER_FINDING_ADVICE,
                          "systemctl set-property UNIT CPUQuota=   # or docker update --cpus=%u",
                          cpus);
        hsr_doctor_gain(&one,
                        "what is bound by CPU grows with the shards: memory to memory 12.3 GB/s "
                        "on two cores, 6.6 on one" DOCTOR_MEASURED);
    }
    hsr_doctor_end(doctor, &one);
}

struct governors {
    const struct doctor_machine *machine;
    unsigned count, slow;
    char name[32]; /* of a slow one */
};

static void governor_found(void *context, const char *name)
{
    struct governors *governors = context;
    char text[32];
    unsigned cpu;
    char rest;

    if (sscanf(name, "cpu%u%c", &cpu, &rest) != 1 ||
        hsr_sysfs_text(governors->machine->root, text, sizeof(text),
                       "/sys/devices/system/cpu/%.32s/cpufreq/scaling_governor", name) < 0 ||
        *text == '\0')
        return;
    governors->count++;
    if (strcmp(text, "performance") == 0)
        return;
    governors->slow++;
    memcpy(governors->name, text, sizeof(governors->name));
}

static void cpu_governor(struct doctor *doctor)
{
    struct doctor_case one = hsr_doctor_begin("cpu", "governor", "");
    struct governors governors = { .machine = doctor->machine };

    if (hsr_sysfs_each(doctor->machine->root, governor_found, &governors,
                       "/sys/devices/system/cpu") < 0)
        return;
    if (governors.count == 0) {
        hsr_doctor_what(&one, "not to be seen here: the host's, or the firmware's business");
    } else if (governors.slow == 0) {
        hsr_doctor_what(&one, "performance");
    } else {
        hsr_doctor_what(&one, "%s on %u of %u CPUs", governors.name, governors.slow,
                        governors.count);
        hsr_doctor_change(&one, HAWSER_FINDING_ADVICE, "cpupower frequency-set -g performance");
        hsr_doctor_gain(&one, "a core that has slept is back at its rate at once (not measured)");
    }
    hsr_doctor_end(doctor, &one);
}

/* Those that every system call or every switch between programs pays for. */
static void cpu_mitigations(struct doctor *doctor)
{
    static const struct {
        const char *file, *word, *text;
    } costs[] = {
        { "meltdown", "PTI", "page tables are switched at each system call (meltdown)" },
        { "spectre_v2", "Mitigation: IBRS", "IBRS at each system call (spectre_v2)" },
        { "retbleed", "Mitigation: IBRS", "IBRS at each system call (retbleed)" },
        { "retbleed", "untrained return thunk", "untrained returns (retbleed)" },
        { "mds", "Clear CPU buffers", "buffers are cleared at each system call (mds)" },
        { "spec_rstack_overflow", "Mitigation: IBPB", "barriers at each system call (srso)" },
    };
    struct doctor_case one = hsr_doctor_begin("cpu", "mitigations", "");
    unsigned known = 0;

    for (size_t i = 0; i < HSR_ARRAY_COUNT(costs); i++) {
        char text[256];

        if (hsr_sysfs_text(doctor->machine->root, text, sizeof(text),
                           "/sys/devices/system/cpu/vulnerabilities/%s", costs[i].file) < 0)
            continue;
        known++;
        if (strstr(text, costs[i].word) != NULL && strstr(text, "on VMEXIT only") == NULL)
            hsr_doctor_what(&one, "%s", costs[i].text);
    }
    if (known == 0)
        return;
    if (one.what[0] == '\0') {
        hsr_doctor_what(&one, "none that system calls pay much for");
    } else {
        hsr_doctor_change(&one, HAWSER_FINDING_ADVICE,
                          "# on the kernel's command line, only where all code is trusted: "
                          "mitigations=off");
        hsr_doctor_gain(&one, "small files are mostly system calls; large ones hardly differ (not "
                              "measured: this was built on a processor that needs none of these)");
    }
    hsr_doctor_end(doctor, &one);
}

static void cpu_clock(struct doctor *doctor)
{
    struct doctor_case one = hsr_doctor_begin("cpu", "clock", "");
    char text[64];

    if (hsr_sysfs_text(doctor->machine->root, text, sizeof(text),
                       "/sys/devices/system/clocksource/clocksource0/current_clocksource") < 0 ||
        *text == '\0')
        return;
    hsr_doctor_what(&one, "%s", text);
    if (strcmp(text, "hpet") == 0 || strcmp(text, "acpi_pm") == 0 || strcmp(text, "jiffies") == 0) {
        hsr_doctor_what(&one, "reading it is a system call, and a slow one");
        hsr_doctor_change(
            &one, HAWSER_FINDING_ADVICE,
            "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource");
        hsr_doctor_gain(&one, "every turn of a loop asks for the time (not measured)");
    }
    hsr_doctor_end(doctor, &one);
}

void hsr_doctor_cpu(struct doctor *doctor)
{
    cpu_count(doctor);
    cpu_governor(doctor);
    cpu_mitigations(doctor);
    cpu_clock(doctor);
}
