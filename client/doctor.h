/* What the files of hawser_doctor() share: where they read, and how they say what they found. Each
 * aspect is one function that reads a few small files and makes findings of them; nothing here
 * changes the machine. Files that are missing or hold nonsense leave out what they would have told.
 */
#ifndef HSR_CLIENT_DOCTOR_H
#define HSR_CLIENT_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/base.h"
#include "hawser/hawser.h"
#include "numa/device.h"
#include "numa/sysfs.h"

#define DOCTOR_UNLIMITED UINT64_MAX
#define DOCTOR_MEASURED " (measured on 2 cores, kernel 6.18)"
#define DOCTOR_FAST_MBITS 10000 /* from this rate on a NIC's settings are worth a word */

/** What the kernel tells about a NIC only when it is asked by call. Zero: it did not say. */
struct doctor_nic {
    uint32_t rx_ring, rx_ring_max, tx_ring, tx_ring_max; /* descriptors */
    uint32_t queues, queues_max; /* pairs of a send and a receive queue, or the fewer of both */
    uint32_t gso_max, gso_ipv4_max, tso_max; /* bytes of one packet within the stack, and of what
                                                the device takes */
};

/** A machine: the real one, or one that a test makes up. */
struct doctor_machine {
    const char *root; /* in front of /proc, /sys and /dev; "" */
    const char *release; /* of the kernel: "6.1.0-18-amd64" */
    int uring_rc; /* what came of making a ring */
    const char *uring_why; /* words for that */
    const char *uring_used; /* features */
    const char *uring_missing;
    uint64_t memlock; /* bytes a user may lock */
    bool may_lock; /* CAP_IPC_LOCK: without limit */
    uint64_t files; /* descriptors, the hard limit */
    unsigned cpus; /* processing units this process may use */
    void (*nic_read)(const char *name, struct doctor_nic *ret); /* ret is zeroed */
    int (*device_of)(const char *path, dev_t *ret); /* 0 or -errno */
};

struct doctor {
    const struct doctor_machine *machine;
    hawser_finding_fn *finding;
    void *context;
    int rc; /* why Hawser does not run here; 0 */
    bool incomplete; /* a path could not be looked at */
};

/** One finding while it is put together. What does not fit is cut. */
struct doctor_case {
    enum hawser_finding_level level;
    const char *area, *name;
    char subject[1024], what[1024], change[512], gain[512];
};

/** Start a finding, level OK, nothing said yet. @subject may be "". */
struct doctor_case hsr_doctor_begin(const char *area, const char *name, const char *subject);

/** Append words; sentences are parted by "; ". */
void hsr_doctor_what(struct doctor_case *one, const char *fmt, ...) HSR_PRINTF(2, 3);

/** Advise: raise the level to @level, append a command (one a line). */
void hsr_doctor_change(struct doctor_case *one, enum hawser_finding_level level, const char *fmt,
                       ...) HSR_PRINTF(3, 4);

/** Append what the change is expected to give. */
void hsr_doctor_gain(struct doctor_case *one, const char *fmt, ...) HSR_PRINTF(2, 3);

/** May @text stand in a command that somebody pastes into a shell of root's? Names of interfaces
 * and mount points may hold anything. */
bool hsr_doctor_is_word(const char *text);

/** Hand it over, unless nothing was said. */
void hsr_doctor_end(struct doctor *doctor, const struct doctor_case *one);

/** Everything, for @machine. 0, HAWSER_E_NO_IO_URING, HAWSER_E_MEMLOCK, HAWSER_E_PARTIAL. */
int hsr_doctor_run(const struct doctor_machine *machine, const char *const *paths,
                   size_t path_count, hawser_finding_fn *finding, void *context);

/** The parts, in the order of the report. */
void hsr_doctor_kernel(struct doctor *doctor);
void hsr_doctor_limits(struct doctor *doctor);
void hsr_doctor_memory(struct doctor *doctor);
void hsr_doctor_cpu(struct doctor *doctor);
void hsr_doctor_network(struct doctor *doctor);
void hsr_doctor_disks(struct doctor *doctor, const char *const *paths, size_t path_count);

/** ioctl(2) and rtnetlink(7): what sysfs does not have. */
void hsr_doctor_nic_read(const char *name, struct doctor_nic *ret);

#endif
