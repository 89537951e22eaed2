/* The interrupts of a device and the CPUs that serve them. Which there are: msi_irqs of what it is
 * on the bus, as far as /proc/interrupts shows them in use; without the former, the
 * lines of the latter that name the device. */
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "numa/device.h"
#include "numa/sysfs.h"

#define INTERRUPTS_SIZE (4 * HSR_MIB) /* 256 CPUs are 3 KiB a line; 1,000 lines */
#define IRQ_MAX 1000000l /* NR_IRQS of the largest configuration is below that */

struct reading {
    const char *root;
    const char *interrupts; /* /proc/interrupts */
    struct hsr_irqs *irqs;
    hwloc_bitmap_t local; /* CPUs of the device's node; empty: unknown */
    hwloc_bitmap_t served; /* CPUs that serve any of them */
    hwloc_bitmap_t one;
};

static bool list_read(const char *root, hwloc_bitmap_t set, const char *path, long irq)
{
    char text[1024];

    if (hsr_sysfs_text(root, text, sizeof(text), "/proc/irq/%ld/%s", irq, path) < 0)
        return false;
    return text[strspn(text, "0123456789,-")] == '\0' && text[0] != '\0' &&
           hwloc_bitmap_list_sscanf(set, text) == 0 && !hwloc_bitmap_iszero(set);
}

static void irq_add(struct reading *reading, long irq)
{
    /* Where it goes now; older kernels only tell where it may go. */
    if (!list_read(reading->root, reading->one, "effective_affinity_list", irq) &&
        !list_read(reading->root, reading->one, "smp_affinity_list", irq))
        return;
    reading->irqs->count++;
    hwloc_bitmap_or(reading->served, reading->served, reading->one);
    if (!hwloc_bitmap_iszero(reading->local) &&
        !hwloc_bitmap_intersects(reading->local, reading->one))
        reading->irqs->away++;
}

/* The line of @irq in /proc/interrupts: " 38:   0  895  PCI-MSIX-...  virtio2-input.0". */
static bool irq_in_use(const char *interrupts, long irq)
{
    for (const char *line = interrupts; *line != '\0';) {
        const char *end = strchrnul(line, '\n');
        char *colon;

        if (strtol(line, &colon, 10) == irq && *colon == ':')
            return true;
        line = *end != '\0' ? end + 1 : end;
    }
    return false;
}

static void irq_found(void *context, const char *name)
{
    struct reading *reading = context;
    char *end;
    long irq = strtol(name, &end, 10);

    if (*end == '\0' && end != name && irq >= 0 && irq < IRQ_MAX &&
        (reading->interrupts[0] == '\0' || irq_in_use(reading->interrupts, irq)))
        irq_add(reading, irq);
}

/* Lines that name the device, as drivers without MSI and old ones do. */
static void irqs_by_name(struct reading *reading, const char *name)
{
    size_t size = strlen(name);

    for (const char *line = reading->interrupts; *line != '\0';) {
        const char *end = strchrnul(line, '\n');
        const char *at = memmem(line, (size_t)(end - line), name, size);
        char *colon;
        long irq = strtol(line, &colon, 10);

        /* eth1 is not eth10 */
        if (at != NULL && (at == line || at[-1] == ' ' || at[-1] == '-' || at[-1] == '@') &&
            strchr("-\n, ", at[size]) != NULL && *colon == ':' && irq >= 0 && irq < IRQ_MAX)
            irq_add(reading, irq);
        line = *end != '\0' ? end + 1 : end;
    }
}

static void node_read(struct reading *reading, const char *device)
{
    struct hsr_irqs *irqs = reading->irqs;
    char path[HSR_SYSFS_PATH_SIZE];
    int64_t node;

    irqs->node = -1;
    if (hsr_sysfs_above(reading->root, path, "numa_node", "%s", device) < 0 ||
        !hsr_sysfs_number(reading->root, &node, "%s/numa_node", path) || node < 0 ||
        node > INT32_MAX)
        return;
    irqs->node = (int)node;
    if (hsr_sysfs_text(reading->root, irqs->local, sizeof(irqs->local),
                       "/sys/devices/system/node/node%d/cpulist", irqs->node) < 0 ||
        irqs->local[strspn(irqs->local, "0123456789,-")] != '\0' ||
        hwloc_bitmap_list_sscanf(reading->local, irqs->local) < 0) {
        hwloc_bitmap_zero(reading->local);
        irqs->local[0] = '\0';
    }
}

void hsr_irqs_read(const char *root, enum hsr_device_kind kind, const char *name,
                   struct hsr_irqs *ret)
{
    struct reading reading = { .root = root, .irqs = ret };
    char device[HSR_SYSFS_PATH_SIZE], path[HSR_SYSFS_PATH_SIZE];
    char *interrupts = malloc(INTERRUPTS_SIZE);

    *ret = (struct hsr_irqs){ .node = -1 };
    reading.local = hwloc_bitmap_alloc();
    reading.served = hwloc_bitmap_alloc();
    reading.one = hwloc_bitmap_alloc();
    if (interrupts == NULL || reading.local == NULL || reading.served == NULL ||
        reading.one == NULL)
        goto out; /* no memory: nothing was read */
    reading.interrupts = interrupts;
    (void)hsr_sysfs_text(root, interrupts, INTERRUPTS_SIZE, "/proc/interrupts"); /* else empty */
    (void)snprintf(device, sizeof(device), "/sys/class/%s/%.64s",
                   kind == HSR_DEVICE_NET ? "net" : "block", name);
    node_read(&reading, device);
    /* Not further up than the device on the bus: a bridge has interrupts of its own. */
    if (hsr_sysfs_above(root, path, "irq", "%s", device) == 0 &&
        hsr_sysfs_there(root, "%s/msi_irqs", path) && strlen(path) < sizeof(ret->vectors) - 10) {
        (void)snprintf(ret->vectors, sizeof(ret->vectors), "%.240s/msi_irqs", path);
        (void)hsr_sysfs_each(root, irq_found, &reading, "%s", ret->vectors); /* else none */
    } else {
        irqs_by_name(&reading, name);
    }
    ret->cpus = (unsigned)HSR_MAX(hwloc_bitmap_weight(reading.served), 0); /* -1: infinite */
out:
    hwloc_bitmap_free(reading.one);
    hwloc_bitmap_free(reading.served);
    hwloc_bitmap_free(reading.local);
    free(interrupts);
}
