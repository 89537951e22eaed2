/* Metadata of the target: what an entry asks for against what an open file has. Private to
 * transfer/tree. */
#ifndef HSR_TREE_META_H
#define HSR_TREE_META_H

#include "transfer/tree/target.h"

/* What a file has now. */
struct hsr_meta_now {
    uint32_t mode; /* with S_IFMT */
    uint32_t uid;
    uint32_t gid;
    int64_t mtime_s;
    uint32_t mtime_ns;
    bool mtime_stale; /* written since, or not asked for: set it in any case */
    bool xattrs_none; /* just made, nothing inherited: there is nothing to list */
};

/** S_IFMT bits of an entry type (DIR_END: S_IFDIR); 0 for a socket or an unknown one. */
uint32_t hsr_meta_kind(uint8_t entry_type);

/** Permission bits that @entry gets when its owner is @uid and its group @gid: a set-id bit is for
 * the owner it was given by and for nobody else. */
uint32_t hsr_meta_mode(const struct hsr_entry *entry, uint32_t uid, uint32_t gid);

void hsr_meta_now_statx(struct hsr_meta_now *ret_now, const struct statx *statx);

/** Which of owner, mode and time differ from the entry's, as far as the options keep them:
 * HSR_DIFFERS_x. */
uint16_t hsr_meta_differs(const struct hsr_tree *tree, const struct hsr_entry *entry,
                          const struct hsr_meta_now *now);

/** Do the attributes of @name in @fd (or of @fd itself: "") differ? 1, 0 or -errno. */
int hsr_meta_xattrs_differ(struct hsr_tree *tree, int fd, const char *name,
                           const struct hsr_entry *entry);

/** Make the file behind @fd what @entry says: owner, attributes, mode, time, in this order (why: in
 * meta.c). @path_fd: it may be an O_PATH descriptor. What a file system or a plain user cannot keep
 * goes to tree->warning. @return 1: something was changed, 0: nothing differed, -errno */
int hsr_meta_apply(struct hsr_tree *tree, int fd, bool path_fd, const struct hsr_entry *entry,
                   const struct hsr_meta_now *now);

/** Remember the first thing that could not be kept. @op is static. */
void hsr_meta_warn(struct hsr_tree *tree, int code, const char *op);

#endif
