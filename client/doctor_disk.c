/* The disks behind paths, or all of them: queue, locality; and what a file system in memory is
 * mounted with. */
#include <stdio.h>
#include <string.h>

#include "client/doctor.h"
#include "numa/mount.h"

#define DISKS_MAX 64u /* of one path: a RAID of NVMe has 24 */

static bool fast_disk(const char *name)
{
    return strncmp(name, "nvme", 4) == 0;
}

static void disk_scheduler(const struct doctor *doctor, struct doctor_case *one, const char *name,
                           bool rotational)
{
    char text[128], now[32] = "";
    const char *open = NULL;

    if (hsr_sysfs_text(doctor->machine->root, text, sizeof(text),
                       "/sys/class/block/%s/queue/scheduler", name) == 0)
        open = strchr(text, '[');
    if (open == NULL || sscanf(open, "[%31[^]]]", now) != 1)
        return;
    hsr_doctor_what(one, "scheduler %s", now);
    if (!rotational && fast_disk(name) && strcmp(now, "none") != 0) {
        hsr_doctor_change(one, HAWSER_FINDING_ADVICE, "echo none > /sys/block/%s/queue/scheduler",
                          name);
        hsr_doctor_gain(one,
                        "an NVMe device orders its own queues; a scheduler costs a lock and CPU "
                        "for each request (not measured on NVMe)");
    }
}

static void disk_poll(const struct doctor *doctor, struct doctor_case *one, const char *name)
{
    int64_t queues;

    if (fast_disk(name) &&
        hsr_sysfs_number(doctor->machine->root, &queues, "/sys/module/nvme/parameters/poll_queues"))
        hsr_doctor_what(one, "%lld poll queues (Hawser does not poll disks)", (long long)queues);
}

/* One disk, and which path led to it, or NULL. */
static void disk_say(struct doctor *doctor, const char *name, const char *path)
{
    const char *root = doctor->machine->root;
    struct doctor_case one = hsr_doctor_begin("disk", "queue", name);
    int64_t rotational = 0, blocks = 0, requests = 0;
    struct hsr_irqs irqs;

    if (path != NULL)
        hsr_doctor_what(&one, "holds %.512s", path);
    if (hsr_sysfs_number(root, &blocks, "/sys/class/block/%s/size", name) && blocks > 0)
        hsr_doctor_what(&one, "%.0f GB", (double)blocks * 512 / 1e9); /* always in 512 bytes */
    if (hsr_sysfs_number(root, &rotational, "/sys/class/block/%s/queue/rotational", name))
        hsr_doctor_what(&one, "%s", rotational != 0 ? "rotating" : "solid state");
    disk_scheduler(doctor, &one, name, rotational != 0);
    if (hsr_sysfs_number(root, &requests, "/sys/class/block/%s/queue/nr_requests", name))
        hsr_doctor_what(&one, "%lld requests in the queue", (long long)requests);
    disk_poll(doctor, &one, name);
    hsr_irqs_read(root, HSR_DEVICE_BLOCK, name, &irqs);
    if (irqs.count > 0)
        hsr_doctor_what(&one, "%u interrupt%s on %u CPU%s", irqs.count, irqs.count == 1 ? "" : "s",
                        irqs.cpus, irqs.cpus == 1 ? "" : "s");
    if (irqs.node >= 0)
        hsr_doctor_what(&one, "on NUMA node %d", irqs.node);
    hsr_doctor_end(doctor, &one);
}

/* ---- paths ---- */

static bool option_in(const char *options, const char *option)
{
    size_t size = strlen(option);

    for (const char *at = strstr(options, option); at != NULL; at = strstr(at + 1, option))
        if ((at == options || at[-1] == ',') && (at[size] == ',' || at[size] == '\0'))
            return true;
    return false;
}

static void path_mount(struct doctor *doctor, const char *path, dev_t dev, unsigned disks)
{
    struct doctor_case one = hsr_doctor_begin("disk", "file system", path);
    struct hsr_mount mount;

    if (!hsr_mount_find(doctor->machine->root, dev, &mount))
        return;
    hsr_doctor_what(&one, "%s", mount.type);
    if (strcmp(mount.type, "tmpfs") == 0) {
        hsr_doctor_what(&one, "in memory: no power cut leaves anything of it");
        if (!option_in(mount.options, "huge=always") && !option_in(mount.options, "huge=force")) {
            hsr_doctor_change(&one, HAWSER_FINDING_ADVICE, "mount -o remount,huge=always %.256s",
                              hsr_doctor_is_word(mount.point) ? mount.point : "MOUNTPOINT");
            hsr_doctor_gain(&one, "new large files at 6.1 GB/s, instead of 1.8 where Hawser "
                                  "cannot make huge pages itself, for more memory a "
                                  "file" DOCTOR_MEASURED);
        }
    } else if (disks == 0) {
        hsr_doctor_what(&one, "no disk is to be seen behind it");
    }
    hsr_doctor_end(doctor, &one);
}

static void path_say(struct doctor *doctor, const char *path)
{
    const struct doctor_machine *machine = doctor->machine;
    struct hsr_device disks[DISKS_MAX];
    unsigned count;
    dev_t dev;
    int rc = machine->device_of(path, &dev);

    if (rc < 0) {
        struct doctor_case one = hsr_doctor_begin("disk", "path", path);

        hsr_doctor_what(&one, "%s", hawser_strerror(rc));
        one.level = HAWSER_FINDING_PROBLEM;
        doctor->incomplete = true;
        hsr_doctor_end(doctor, &one);
        return;
    }
    count = hsr_device_of_dev(machine->root, dev, disks, DISKS_MAX);
    path_mount(doctor, path, dev, count);
    for (unsigned i = 0; i < count; i++)
        disk_say(doctor, disks[i].name, path);
}

/* A disk that is hardware, and not a partition. */
static void disk_found(void *context, const char *name)
{
    struct doctor *doctor = context;
    int64_t blocks;

    if (strlen(name) < HSR_DEVICE_NAME_SIZE && hsr_doctor_is_word(name) &&
        hsr_sysfs_there(doctor->machine->root, "/sys/class/block/%s/device", name) &&
        hsr_sysfs_number(doctor->machine->root, &blocks, "/sys/class/block/%s/size", name) &&
        blocks > 0) /* an empty drive has none */
        disk_say(doctor, name, NULL);
}

void hsr_doctor_disks(struct doctor *doctor, const char *const *paths, size_t path_count)
{
    for (size_t i = 0; i < path_count; i++)
        path_say(doctor, paths[i]);
    if (path_count == 0) /* none to be seen is no finding: who asks for a path learns more */
        (void)hsr_sysfs_each(doctor->machine->root, disk_found, doctor, "/sys/class/block");
}
