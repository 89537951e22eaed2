/* What is there already, against what an entry says: one statx(2) for most, and one listxattr(2)
 * where attributes are kept. */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "transfer/tree/at.h"
#include "transfer/tree/meta.h"

static int compare_metadata(struct hsr_tree *tree, int dir_fd, const char *name,
                            const struct hsr_entry *entry, const struct statx *stx);
static int compare_content(struct hsr_tree *tree, int dir_fd, const char *name,
                           const struct hsr_entry *entry, const struct statx *stx);
static int compare_link(struct hsr_tree *tree, int dir_fd, const char *name,
                        const struct hsr_entry *entry, const struct statx *stx);

int hsr_tree_compare(struct hsr_tree *tree, const struct hsr_dir *dir,
                     const struct hsr_entry *entry, struct hsr_existing *ret_existing)
{
    uint32_t kind = hsr_meta_kind(entry->type);
    char name[HSR_NAME_MAX + 1];
    struct statx stx;
    int dir_fd, rc, content;

    hsr_require(kind != 0, HSR_E_KIND);
    rc = hsr_at_name(entry->name, name);
    if (rc < 0)
        return rc;
    dir_fd = hsr_dircache_get(&tree->cache, dir);
    if (dir_fd < 0)
        return dir_fd;
    rc = hsr_at_statx(tree->loop, dir_fd, name, &stx);
    if (rc == -ENOENT) {
        *ret_existing = (struct hsr_existing){ 0 };
        return HSR_COMPARE_ABSENT;
    }
    if (rc < 0)
        return rc;
    *ret_existing = (struct hsr_existing){ .size = stx.stx_size,
                                           .dev = makedev(stx.stx_dev_major, stx.stx_dev_minor),
                                           .ino = stx.stx_ino,
                                           .mode = stx.stx_mode,
                                           .links = stx.stx_nlink };
    if ((stx.stx_mode & S_IFMT) != kind) {
        ret_existing->differs = HSR_DIFFERS_KIND;
        return HSR_COMPARE_OTHER_KIND;
    }
    if (kind == S_IFDIR)
        return HSR_COMPARE_SAME; /* its metadata is compared when it is finished */

    content = compare_content(tree, dir_fd, name, entry, &stx);
    if (content < 0)
        return content;
    if (content == HSR_COMPARE_CONTENT && !(tree->options & (HSR_OPT_CHECKSUM | HSR_OPT_DRY_RUN)))
        return content;
    rc = compare_metadata(tree, dir_fd, name, entry, &stx);
    if (rc < 0)
        return rc;
    ret_existing->differs = (uint16_t)rc;
    if (content == HSR_COMPARE_SAME)
        return rc == 0 ? HSR_COMPARE_SAME : HSR_COMPARE_METADATA;
    if (entry->type != HSR_ENTRY_FILE)
        ret_existing->differs |= HSR_DIFFERS_CONTENT;
    else if (stx.stx_size != entry->size)
        ret_existing->differs |= HSR_DIFFERS_SIZE;
    return HSR_COMPARE_CONTENT;
}

/* HSR_DIFFERS_x, or -errno. One difference is enough where nobody asks which there are. */
static int compare_metadata(struct hsr_tree *tree, int dir_fd, const char *name,
                            const struct hsr_entry *entry, const struct statx *stx)
{
    struct hsr_meta_now now;
    int differs, rc;

    hsr_meta_now_statx(&now, stx);
    differs = hsr_meta_differs(tree, entry, &now);
    if ((differs != 0 && !(tree->options & HSR_OPT_DRY_RUN)) || (tree->options & HSR_OPT_NO_XATTRS))
        return differs;
    rc = hsr_meta_xattrs_differ(tree, dir_fd, name, entry);
    if (rc == -EACCES || rc == -EPERM)
        rc = 1; /* not readable as it is; setting its mode comes first */
    if (rc < 0)
        return rc;
    return differs | (rc > 0 ? (int)HSR_DIFFERS_XATTRS : 0);
}

/* SAME or CONTENT by the session's quick check, or -errno. */
static int compare_content(struct hsr_tree *tree, int dir_fd, const char *name,
                           const struct hsr_entry *entry, const struct statx *stx)
{
    bool same;

    switch (entry->type) {
    case HSR_ENTRY_FILE:
        if (stx->stx_size != entry->size)
            return HSR_COMPARE_CONTENT;
        if (entry->size == 0 || (tree->options & HSR_OPT_SIZE_ONLY))
            return HSR_COMPARE_SAME;
        /* The caller compares digests. With NO_TIMES nothing keeps the times equal and such files
         * are sent again, as rsync does. */
        same = !(tree->options & HSR_OPT_CHECKSUM) && stx->stx_mtime.tv_sec == entry->mtime_s &&
               stx->stx_mtime.tv_nsec == entry->mtime_ns;
        return same ? HSR_COMPARE_SAME : HSR_COMPARE_CONTENT;
    case HSR_ENTRY_SYMLINK:
        return compare_link(tree, dir_fd, name, entry, stx);
    case HSR_ENTRY_CHAR:
    case HSR_ENTRY_BLOCK:
        same = stx->stx_rdev_major == entry->rdev_major && stx->stx_rdev_minor == entry->rdev_minor;
        return same ? HSR_COMPARE_SAME : HSR_COMPARE_CONTENT;
    default:
        hsr_assert(entry->type == HSR_ENTRY_FIFO);
        return HSR_COMPARE_SAME;
    }
}

static int compare_link(struct hsr_tree *tree, int dir_fd, const char *name,
                        const struct hsr_entry *entry, const struct statx *stx)
{
    char target[HSR_LINK_TARGET_MAX + 1];
    struct hsr_op op = { .kind = HSR_OP_READLINK,
                         .fd = dir_fd,
                         .path = name,
                         .buf = target,
                         .size = sizeof(target),
                         .buf_index = -1 };
    int64_t res;

    if (stx->stx_size != 0 && stx->stx_size != entry->target.size)
        return HSR_COMPARE_CONTENT; /* 0: some file systems do not say */
    res = hsr_loop_call(tree->loop, &op);
    if (res < 0)
        return (int)res;
    if ((uint64_t)res != entry->target.size || memcmp(target, entry->target.ptr, (size_t)res) != 0)
        return HSR_COMPARE_CONTENT;
    return HSR_COMPARE_SAME;
}

int hsr_tree_dir_compare(struct hsr_tree *tree, const struct hsr_dir *dir,
                         const struct hsr_entry *entry)
{
    struct statx stx;
    int fd, rc;

    hsr_require(entry->type == HSR_ENTRY_DIR_END, HSR_E_KIND);
    if (entry->flags & HSR_ENTRY_IMPLIED)
        return 0;
    fd = hsr_dircache_get(&tree->cache, dir);
    if (fd < 0)
        return fd;
    rc = hsr_at_statx(tree->loop, fd, "", &stx);
    return rc < 0 ? rc : compare_metadata(tree, fd, "", entry, &stx);
}

void hsr_differs_text(unsigned differs, char buf[HSR_DIFFERS_TEXT_SIZE])
{
    static const char *const words[] = { "content", "type",  "size",   "mode",
                                         "owner",   "mtime", "xattrs", "link" };
    size_t size = 0;

    buf[0] = '\0';
    for (unsigned i = 0; i < HSR_ARRAY_COUNT(words); i++) {
        if ((differs & (1u << i)) == 0)
            continue;
        if (size > 0) {
            memcpy(buf + size, ", ", 2);
            size += 2;
        }
        hsr_assert(size + strlen(words[i]) + 3 < HSR_DIFFERS_TEXT_SIZE);
        memcpy(buf + size, words[i], strlen(words[i]) + 1);
        size += strlen(words[i]);
    }
}
