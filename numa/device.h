/* NICs and disks: which of them stand behind a path or an address, and how their interrupts are
 * spread. Names are those of the operating system ("eth0", "nvme0n1"), as hwloc has them too. */
#ifndef HSR_NUMA_DEVICE_H
#define HSR_NUMA_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define HSR_DEVICE_NAME_SIZE 32u /* longer than IFNAMSIZ and DISK_NAME_LEN of Linux */
#define HSR_DEVICE_DEPTH_MAX 8u /* a partition on LVM on RAID is 3 */

enum hsr_device_kind { HSR_DEVICE_NET, HSR_DEVICE_BLOCK, HSR_DEVICE_KIND_COUNT };

struct hsr_device {
    char name[HSR_DEVICE_NAME_SIZE];
    enum hsr_device_kind kind;
    uint64_t nodes; /* bit n: attached to node n, 0 to 63; 0: as near to all, or unknown */
};

/** The disks that hold a file system: partitions are followed to their disk, device mapper and RAID
 * to their members.
 * @param root  what goes in front of /sys, /proc and /dev; "" except in tests
 * @param dev   st_dev of stat(2)
 * @return how many were written to @ret, at most @max; 0: no device (tmpfs, network, overlay) */
unsigned hsr_device_of_dev(const char *root, dev_t dev, struct hsr_device *ret, unsigned max);

/** The NICs behind an interface: bonds and VLANs are followed to what they stand on.
 * @return how many; 0: there is no such interface, or it is virtual (loopback, veth) */
unsigned hsr_device_of_interface(const char *root, const char *name, struct hsr_device *ret,
                                 unsigned max);

/** What a NIC does on its link now, in bytes per second; 0: it does not say, or there is no link.
 */
uint64_t hsr_device_rate(const char *root, const char *name);

/** The NICs behind a local address, as hsr_device_of_interface(). 0 for a wildcard too. */
unsigned hsr_device_of_address(const struct sockaddr *address, struct hsr_device *ret,
                               unsigned max);

/** How the interrupts of a device are spread over CPUs. */
struct hsr_irqs {
    unsigned count; /* in use, as /proc/interrupts shows them */
    unsigned cpus; /* different CPUs that serve them */
    unsigned away; /* served by no CPU of the device's node */
    int node; /* of the device, or -1 */
    char local[256]; /* CPUs of that node as a list, or "" */
    char vectors[256]; /* directory that lists their numbers; "": they were found by name */
};

/** Read them; what cannot be read counts as not there. */
void hsr_irqs_read(const char *root, enum hsr_device_kind kind, const char *name,
                   struct hsr_irqs *ret);

#endif
