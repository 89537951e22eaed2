/* How many CPUs the cgroup quota allows. A container with two CPUs' worth of quota on a machine
 * with 64 cores sees all 64: that many shards would be throttled together. */
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "numa/numa.h"

#define CGROUP_PATH_SIZE 4096u
#define CGROUP_LINE_SIZE 4608u /* "N:controllers:" and a path */
#define CGROUP_LINES_MAX 64u /* version 1 has about 12 controllers */

/* Read one short line; false when the file is not there. */
static bool line_read(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    bool ok;

    if (file == NULL)
        return false;
    ok = fgets(line, (int)size, file) != NULL;
    fclose(file);
    return ok;
}

static unsigned quota_cpus(long long quota_us, long long period_us)
{
    long long cpus;

    if (quota_us <= 0 || period_us <= 0) /* -1: no limit */
        return 0;
    cpus = quota_us / period_us + (quota_us % period_us != 0);
    return cpus > INT_MAX ? 0 : (unsigned)cpus;
}

/* The quota of one directory, in either version's files; 0 for none. */
static unsigned group_cpus(const char *directory)
{
    char path[CGROUP_PATH_SIZE + 32];
    char line[128];
    long long quota_us, period_us;

    snprintf(path, sizeof(path), "%s/cpu.max", directory);
    if (line_read(path, line, sizeof(line))) { /* "max 100000" or "150000 100000" */
        if (sscanf(line, "%lld %lld", &quota_us, &period_us) != 2)
            return 0;
        return quota_cpus(quota_us, period_us);
    }
    snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", directory);
    if (!line_read(path, line, sizeof(line)) || sscanf(line, "%lld", &quota_us) != 1)
        return 0;
    snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", directory);
    if (!line_read(path, line, sizeof(line)) || sscanf(line, "%lld", &period_us) != 1)
        return 0;
    return quota_cpus(quota_us, period_us);
}

/* The smallest quota of @group below @mount and of every group above it. Directories that are not
 * there are skipped: a container may see only the lower end of its path, mounted as the root. */
static unsigned path_cpus(const char *mount, const char *group)
{
    char path[CGROUP_PATH_SIZE];
    size_t mount_size = strlen(mount);
    unsigned least = 0;
    int size = snprintf(path, sizeof(path), "%s%s", mount, group);

    if (size < 0 || (size_t)size >= sizeof(path))
        return 0;
    for (;;) {
        unsigned cpus = group_cpus(path);
        char *slash;

        if (cpus > 0 && (least == 0 || cpus < least))
            least = cpus;
        slash = strrchr(path, '/');
        if (slash == NULL || (size_t)(slash - path) < mount_size)
            return least;
        *slash = '\0';
    }
}

static bool controllers_have_cpu(const char *controllers)
{
    size_t size;

    for (const char *at = controllers;; at += size + 1) {
        size = strcspn(at, ",");
        if (size == 3 && memcmp(at, "cpu", 3) == 0)
            return true;
        if (at[size] == '\0')
            return false;
    }
}

/* One line "N:controllers:/group". */
static unsigned entry_cpus(const char *root, char *line)
{
    char mount[CGROUP_PATH_SIZE];
    char *controllers = strchr(line, ':');
    char *group;
    unsigned cpus;

    line[strcspn(line, "\n")] = '\0';
    if (controllers == NULL)
        return 0;
    group = strchr(++controllers, ':');
    if (group == NULL)
        return 0;
    *group++ = '\0';

    if (controllers[0] == '\0') { /* version 2: alone, or beside version 1 under "unified" */
        snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
        cpus = path_cpus(mount, group);
        if (cpus > 0)
            return cpus;
        snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/unified", root);
        return path_cpus(mount, group);
    }
    if (!controllers_have_cpu(controllers))
        return 0;
    snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/cpu", root);
    cpus = path_cpus(mount, group);
    if (cpus > 0)
        return cpus;
    snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/%s", root, controllers);
    return path_cpus(mount, group);
}

unsigned hsr_cgroup_cpus(const char *root)
{
    char path[CGROUP_PATH_SIZE];
    char line[CGROUP_LINE_SIZE];
    unsigned least = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    for (unsigned i = 0; i < CGROUP_LINES_MAX && fgets(line, sizeof(line), file) != NULL; i++) {
        unsigned cpus = entry_cpus(root, line);
        if (cpus > 0 && (least == 0 || cpus < least))
            least = cpus;
    }
    fclose(file);
    return least;
}
