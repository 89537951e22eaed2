/* See basis.h. */
#include "transfer/tree/basis.h"

#include <errno.h>

#include "transfer/tree/at.h"
#include "transfer/tree/meta.h"
#include "transfer/tree/walk_impl.h"

static int basis_resize(struct hsr_loop *loop, int fd, uint64_t size)
{
    struct hsr_op op = { .kind = HSR_OP_FTRUNCATE, .fd = fd, .offset = size, .buf_index = -1 };

    return (int)hsr_loop_call(loop, &op);
}

static int basis_open(struct hsr_tree *tree, const struct hsr_dir *dir, struct hsr_span name,
                      uint32_t flags, struct hsr_basis *ret_basis)
{
    int dir_fd = hsr_dircache_get(&tree->cache, dir);
    char text[HSR_NAME_MAX + 1];
    struct statx stx;
    int fd, rc;

    if (dir_fd < 0)
        return dir_fd;
    rc = hsr_at_name(name, text);
    if (rc < 0)
        return rc;
    fd = hsr_at_open(tree->loop, dir_fd, text, flags, 0);
    if (fd < 0)
        return fd;
    rc = hsr_at_statx(tree->loop, fd, "", &stx);
    if (rc == 0 && !S_ISREG(stx.stx_mode))
        rc = HSR_E_KIND;
    if (rc < 0) {
        (void)hsr_at_close(tree->loop, fd); /* nothing was written */
        return rc;
    }
    *ret_basis = (struct hsr_basis){ .fd = fd,
                                     .links = stx.stx_nlink,
                                     .identity = { .dev = hsr_walk_dev(&stx),
                                                   .ino = stx.stx_ino,
                                                   .size = stx.stx_size,
                                                   .mtime_s = stx.stx_mtime.tv_sec,
                                                   .mtime_ns = stx.stx_mtime.tv_nsec,
                                                   .ctime_s = stx.stx_ctime.tv_sec,
                                                   .ctime_ns = stx.stx_ctime.tv_nsec } };
    return 0;
}

int hsr_basis_open(struct hsr_tree *tree, const struct hsr_dir *dir, struct hsr_span name,
                   bool write, struct hsr_basis *ret_basis)
{
    /* O_NONBLOCK: a FIFO that has the name by now must not hold us up. */
    uint32_t flags = (write ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOCTTY;

    return basis_open(tree, dir, name, flags, ret_basis);
}

int hsr_basis_hold(struct hsr_tree *tree, const struct hsr_dir *dir, struct hsr_span name,
                   struct hsr_basis *ret_basis)
{
    return basis_open(tree, dir, name, O_PATH, ret_basis);
}

int hsr_basis_check(struct hsr_loop *loop, const struct hsr_basis *basis)
{
    return hsr_source_check(loop, basis->fd, &basis->identity);
}

void hsr_basis_close(struct hsr_loop *loop, struct hsr_basis *basis)
{
    (void)hsr_at_close(loop, basis->fd); /* only read, or synced by its owner */
    basis->fd = -1;
}

int hsr_basis_clone(struct hsr_tree *tree, const struct hsr_basis *basis, int fd, uint64_t size)
{
    struct hsr_op op = { .kind = HSR_OP_CLONE, .fd = fd, .fd2 = basis->fd, .buf_index = -1 };
    int rc;

    if (tree->no_clone)
        return -EOPNOTSUPP;
    rc = (int)hsr_loop_call(tree->loop, &op);
    /* ioctl_ficlone(2): EOPNOTSUPP (or ENOTTY) where the file system has none; EXDEV where the two
     * are on different ones; EINVAL where these two differ in a way that matters. */
    if (rc == -EOPNOTSUPP || rc == -ENOTTY)
        tree->no_clone = true;
    if (rc == -EXDEV || rc == -EINVAL || tree->no_clone)
        return -EOPNOTSUPP;
    return rc < 0 ? rc : basis_resize(tree->loop, fd, size);
}

int hsr_basis_cut(struct hsr_loop *loop, const struct hsr_basis *basis, uint64_t size, bool clear)
{
    int rc = clear ? basis_resize(loop, basis->fd, 0) : 0;

    return rc < 0 ? rc : basis_resize(loop, basis->fd, size);
}

int hsr_basis_finish(struct hsr_tree *tree, const struct hsr_basis *basis,
                     const struct hsr_entry *entry)
{
    struct hsr_meta_now now = { 0 };
    struct statx stx;
    int rc = hsr_at_statx(tree->loop, basis->fd, "", &stx);

    if (rc < 0)
        return rc;
    hsr_meta_now_statx(&now, &stx);
    now.mtime_stale = true;
    rc = hsr_meta_apply(tree, basis->fd, /* path_fd= */ false, entry, &now);
    return rc < 0 ? rc : 0;
}
