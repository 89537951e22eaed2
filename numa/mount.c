/* /proc/self/mountinfo; see mount.h and proc_pid_mountinfo(5). */
#include "numa/mount.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "numa/sysfs.h"

#define MOUNTS_SIZE HSR_MIB /* about 5,000 mounts */

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue" */
static bool line_parse(const char *line, dev_t dev, struct hsr_mount *mount)
{
    const char *tail = strstr(line, " - ");
    unsigned major_number, minor_number;
    struct hsr_mount found = { .options = "" };

    if (tail == NULL || sscanf(line, "%*u %*u %u:%u", &major_number, &minor_number) != 2 ||
        makedev(major_number, minor_number) != dev ||
        sscanf(tail + 3, "%31s %255s %511s", found.type, found.source, found.options) < 2)
        return false;
    if (sscanf(line, "%*u %*u %*s %*s %511s", found.point) != 1 ||
        strlen(found.point) == sizeof(found.point) - 1)
        found.point[0] = '\0';
    *mount = found;
    return true;
}

bool hsr_mount_find(const char *root, dev_t dev, struct hsr_mount *ret_mount)
{
    char *text = malloc(MOUNTS_SIZE), *rest = NULL;
    bool found = false;

    if (text != NULL && hsr_sysfs_text(root, text, MOUNTS_SIZE, "/proc/self/mountinfo") == 0)
        for (char *line = strtok_r(text, "\n", &rest); line != NULL;
             line = strtok_r(NULL, "\n", &rest))
            found |= line_parse(line, dev, ret_mount);
    free(text);
    return found;
}
