/* Small files of /proc and /sys. What is not there, too long or no number is an error to the
 * caller, never a crash: kernels differ, and containers hide things. @root goes in front of every
 * path: "" except in tests. */
#ifndef HSR_NUMA_SYSFS_H
#define HSR_NUMA_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

#define HSR_SYSFS_PATH_SIZE 4096u /* PATH_MAX of Linux */

/** Read a file's first @size - 1 bytes, without what is blank at its end.
 * @return 0 or -errno; then @buf is "" */
int hsr_sysfs_text(const char *root, char *buf, size_t size, const char *fmt, ...) HSR_PRINTF(4, 5);

/** A file that holds one decimal number; false for anything else. *ret is written on success only.
 */
bool hsr_sysfs_number(const char *root, int64_t *ret, const char *fmt, ...) HSR_PRINTF(3, 4);

/** Call @each with the names in a directory, in the order of people (eth2 before eth10).
 * @return 0 or -errno */
int hsr_sysfs_each(const char *root, void (*each)(void *context, const char *name), void *context,
                   const char *fmt, ...) HSR_PRINTF(4, 5);

/** Where a name really is, without @root: symlinks followed. 0 or -errno; then @buf is "". */
int hsr_sysfs_real(const char *root, char buf[HSR_SYSFS_PATH_SIZE], const char *fmt, ...)
    HSR_PRINTF(3, 4);

/** The last part of where a symlink leads: a driver's name. 0 or -errno; then @buf is "". */
int hsr_sysfs_base(const char *root, char *buf, size_t size, const char *fmt, ...) HSR_PRINTF(4, 5);

bool hsr_sysfs_there(const char *root, const char *fmt, ...) HSR_PRINTF(2, 3);

/** From where a name really is upwards, the first directory that holds @entry: what a device does
 * not tell, the bus it is on often does. 0 or -ENOENT; then @buf is "". */
int hsr_sysfs_above(const char *root, char buf[HSR_SYSFS_PATH_SIZE], const char *entry,
                    const char *fmt, ...) HSR_PRINTF(4, 5);

#endif
