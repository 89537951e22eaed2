/* Hidden names and the last step of replacing. Private to transfer/tree. */
#ifndef HSR_TREE_STAGE_H
#define HSR_TREE_STAGE_H

#include "transfer/tree/target.h"

#define HSR_STAGE_TEMP_SIZE 48u

/* Somebody else may take a fresh hidden name, or prune what has it before it is locked, or
 * something may appear under the final name meanwhile. Each is rare; this often in a row is not
 * chance any more. */
#define HSR_STAGE_TRIES 8

/** The next hidden name of this tree: random to others, never used twice. */
void hsr_stage_name(struct hsr_tree *tree, char ret_temp[HSR_STAGE_TEMP_SIZE]);

/** Rename @temp over @name in one step; an empty directory in the way is removed first. @temp is
 * left where it is on error. @return 0, -ENOTEMPTY (a directory with something in it), -errno */
int hsr_stage_rename(struct hsr_tree *tree, int dir_fd, const char *temp, const char *name);

#endif
