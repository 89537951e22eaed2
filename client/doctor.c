/* hawser_doctor(): this machine, and what its findings go through. */
#include "client/doctor.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "numa/numa.h"
#include "ring/backend.h"

static int device_of(const char *path, dev_t *ret);
static bool may_lock(void);
static uint64_t limit_of(int which, bool hard);
static int ring_try(char *why, size_t why_size);

int hawser_doctor(const char *const *paths, size_t path_count, hawser_finding_fn *finding,
                  void *context)
{
    struct doctor_machine machine = {
        .root = "",
        .memlock = limit_of(RLIMIT_MEMLOCK, false),
        .may_lock = may_lock(),
        .files = limit_of(RLIMIT_NOFILE, true),
        .nic_read = hsr_doctor_nic_read,
        .device_of = device_of,
    };
    struct hsr_uring_features features;
    struct hsr_placement placement;
    struct utsname name;
    char why[512] = "";

    hsr_require(finding != NULL && (paths != NULL || path_count == 0), HAWSER_E_USAGE);
    for (size_t i = 0; i < path_count; i++)
        hsr_require(paths[i] != NULL, HAWSER_E_USAGE);
    machine.release = uname(&name) == 0 ? name.release : "";
    machine.uring_rc = ring_try(why, sizeof(why));
    machine.uring_why = why;
    hsr_uring_probe(&features);
    machine.uring_used = features.used;
    machine.uring_missing = features.missing;
    if (hsr_place_make(0, NULL, NULL, &placement) == 0)
        machine.cpus = placement.cpus;
    return hsr_doctor_run(&machine, paths, path_count, finding, context);
}

int hsr_doctor_run(const struct doctor_machine *machine, const char *const *paths,
                   size_t path_count, hawser_finding_fn *finding, void *context)
{
    struct doctor doctor = { .machine = machine, .finding = finding, .context = context };

    hsr_doctor_kernel(&doctor);
    hsr_doctor_limits(&doctor);
    hsr_doctor_memory(&doctor);
    hsr_doctor_cpu(&doctor);
    hsr_doctor_network(&doctor);
    hsr_doctor_disks(&doctor, paths, path_count);
    if (doctor.rc < 0)
        return doctor.rc;
    return doctor.incomplete ? HAWSER_E_PARTIAL : 0;
}

/* ---- this machine ---- */

static int device_of(const char *path, dev_t *ret)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return -errno;
    *ret = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
    return 0;
}

static bool may_lock(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

    return syscall(SYS_capget, &header, data) == 0 &&
           (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

static uint64_t limit_of(int which, bool hard)
{
    struct rlimit limit;
    rlim_t value;

    if (getrlimit((__rlimit_resource_t)which, &limit) < 0)
        return DOCTOR_UNLIMITED;
    value = hard ? limit.rlim_max : limit.rlim_cur;
    return value == RLIM_INFINITY ? DOCTOR_UNLIMITED : value;
}

/* A ring as a shard makes it, and away with it: what forbids it may be a sysctl, a filter of
 * system calls, or a limit, and nothing tells but trying. */
static int ring_try(char *why, size_t why_size)
{
    struct hsr_uring_options options = { .iowq_cpu = -1 };
    struct hsr_backend *backend = NULL;
    int rc = hsr_uring_create(&options, &backend, why, why_size);

    if (rc == 0)
        backend->ops->fini(backend);
    return rc;
}

/* ---- findings ---- */

struct doctor_case hsr_doctor_begin(const char *area, const char *name, const char *subject)
{
    struct doctor_case one = { .level = HAWSER_FINDING_OK, .area = area, .name = name };

    (void)snprintf(one.subject, sizeof(one.subject), "%s", subject); /* cut: the start says it */
    return one;
}

static void words_add(char *text, size_t size, const char *between, const char *fmt, va_list args)
{
    size_t at = strlen(text);

    if (at > 0)
        at += (size_t)snprintf(text + at, size - at, "%s", between);
    if (at < size)
        (void)vsnprintf(text + at, size - at, fmt, args);
}

void hsr_doctor_what(struct doctor_case *one, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    words_add(one->what, sizeof(one->what), "; ", fmt, args);
    va_end(args);
}

void hsr_doctor_change(struct doctor_case *one, enum hawser_finding_level level, const char *fmt,
                       ...)
{
    va_list args;

    one->level = HSR_MAX(one->level, level);
    va_start(args, fmt);
    words_add(one->change, sizeof(one->change), "\n", fmt, args);
    va_end(args);
}

void hsr_doctor_gain(struct doctor_case *one, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    words_add(one->gain, sizeof(one->gain), "; ", fmt, args);
    va_end(args);
}

bool hsr_doctor_is_word(const char *text)
{
    return *text != '\0' && *text != '-' &&
           text[strspn(text,
                       "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._:@-")] ==
               '\0';
}

void hsr_doctor_end(struct doctor *doctor, const struct doctor_case *one)
{
    struct hawser_finding finding = { .level = one->level,
                                      .area = one->area,
                                      .name = one->name,
                                      .subject = one->subject,
                                      .what = one->what,
                                      .change = one->change,
                                      .gain = one->gain };

    if (one->what[0] != '\0')
        doctor->finding(doctor->context, &finding);
}
