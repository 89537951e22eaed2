/* The machine's clocks and random bytes: what backends on a real kernel share. See backend.h. */
#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "base/assert.h"
#include "base/util.h"
#include "ring/backend.h"

static uint64_t system_clock(clockid_t clock)
{
    struct timespec ts;

    hsr_assert(clock_gettime(clock, &ts) == 0);
    return (uint64_t)ts.tv_sec * HSR_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t hsr_system_now(struct hsr_backend *backend)
{
    (void)backend;
    return system_clock(CLOCK_MONOTONIC);
}

uint64_t hsr_system_wall(struct hsr_backend *backend)
{
    (void)backend;
    return system_clock(CLOCK_REALTIME);
}

uint64_t hsr_system_cpu(struct hsr_backend *backend)
{
    (void)backend;
    return system_clock(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t hsr_system_ran(struct hsr_backend *backend)
{
    (void)backend;
    return system_clock(CLOCK_THREAD_CPUTIME_ID);
}

void hsr_system_random(struct hsr_backend *backend, void *out, size_t size)
{
    uint8_t *bytes = out;

    (void)backend;
    while (size > 0) {
        ssize_t got = getrandom(bytes, size, 0);

        hsr_assert(got > 0 || errno == EINTR);
        if (got > 0) {
            bytes += got;
            size -= (size_t)got;
        }
    }
}
