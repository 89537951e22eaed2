/* System calls of the target by name or descriptor, each one operation through the loop's door.
 * Everything opened is opened beneath a held directory and never through a symlink. */
#ifndef HSR_TREE_AT_H
#define HSR_TREE_AT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "ring/ring.h"
#include "transfer/proto/entry.h"

/** Open @path beneath directory @fd, O_NOFOLLOW | O_CLOEXEC added. @return descriptor or -errno */
int hsr_at_open(struct hsr_loop *loop, int fd, const char *path, uint32_t flags, uint32_t mode);

/** Close; @fd may be -1. @return 0 or -errno (only a network file system has something to say) */
int hsr_at_close(struct hsr_loop *loop, int fd);

/** Basic fields of @path in @fd, or of @fd itself when @path is "". Never follows. */
int hsr_at_statx(struct hsr_loop *loop, int fd, const char *path, struct statx *ret_statx);

int hsr_at_unlink(struct hsr_loop *loop, int fd, const char *path, bool is_dir);

/** Rename within or between directories; what has the new name is replaced. */
int hsr_at_rename(struct hsr_loop *loop, int fd, const char *path, int fd2, const char *path2);

/** Link @path in @fd, or @fd itself when @path is "", to @path2 in @fd2. */
int hsr_at_link(struct hsr_loop *loop, int fd, const char *path, int fd2, const char *path2);

int hsr_at_flock(struct hsr_loop *loop, int fd, unsigned how);

/** Permission bits by descriptor; @path_fd: it may be an O_PATH one. */
int hsr_at_chmod(struct hsr_loop *loop, int fd, bool path_fd, uint32_t mode);

/** NUL-ended copy of one component that a peer named. @return 0, or HSR_E_NAME when it is no name
 * or looks like one of our stages */
int hsr_at_name(struct hsr_span span, char ret_name[HSR_NAME_MAX + 1]);

#endif
