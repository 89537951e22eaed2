/* The old version of a file that a delta copies from: opened once, confined, and held, so that who
 * replaces its name changes nothing for us. */
#ifndef HSR_TREE_BASIS_H
#define HSR_TREE_BASIS_H

#include "transfer/tree/target.h"
#include "transfer/tree/walk.h"

struct hsr_basis {
    int fd; /* open for reading, with @write for writing too; -1: none */
    struct hsr_source_identity identity; /* when it was opened */
    uint32_t links; /* names it has */
};

/** Open the regular file @name in @dir. @write: it is to be changed in place.
 * @return 0, HSR_E_KIND when it is no regular file, -errno */
int hsr_basis_open(struct hsr_tree *tree, const struct hsr_dir *dir, struct hsr_span name,
                   bool write, struct hsr_basis *ret_basis);

/** Hold the regular file @name in @dir, so that it is not freed when its name goes. Its content
 * cannot be read. Results as above. */
int hsr_basis_hold(struct hsr_tree *tree, const struct hsr_dir *dir, struct hsr_span name,
                   struct hsr_basis *ret_basis);

/** Is it still what was opened? 0, HSR_E_CHANGED, -errno. Not for one that we write to. */
int hsr_basis_check(struct hsr_loop *loop, const struct hsr_basis *basis);

/** Close it; harmless when it is closed. */
void hsr_basis_close(struct hsr_loop *loop, struct hsr_basis *basis);

/** Give the open, empty file @fd the blocks of the basis without copying them (a reflink), cut to
 * @size bytes.
 * @return 0; -EOPNOTSUPP when this file system, or these two files, cannot (tree->no_clone
 * remembers the file system); -errno */
int hsr_basis_clone(struct hsr_tree *tree, const struct hsr_basis *basis, int fd, uint64_t size);

/** Before a basis that was opened for writing is written: make it @size bytes long if it is longer;
 * @clear: all of its content goes first (holes will be holes). 0 or -errno. */
int hsr_basis_cut(struct hsr_loop *loop, const struct hsr_basis *basis, uint64_t size, bool clear);

/** A basis that was written in place is complete: the metadata that @entry asks for. 0 or -errno.
 */
int hsr_basis_finish(struct hsr_tree *tree, const struct hsr_basis *basis,
                     const struct hsr_entry *entry);

#endif
