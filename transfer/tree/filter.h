/* Filter rules with rsync's meaning for the common forms: "+ PATTERN", "- PATTERN"; first match
 * wins; a pattern with a '/' that is not at its end is anchored (to the transfer root when it
 * starts with '/', else to the end of the path); trailing '/' matches directories only; `*` stops
 * at '/', `**` does not, `?`, `[set]` with ranges, classes and '!' or '^', backslash escapes; a
 * trailing "/" and three stars matches the directory and all in it. Pure. */
#ifndef HSR_TREE_FILTER_H
#define HSR_TREE_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "transfer/proto/frame.h"

struct hsr_filter; /* immutable once built; shared by shards */

/** A text rule as the user gives it: --exclude P is "- P", --include P is "+ P". A pattern that
 * starts with "+ " or "- " itself keeps that meaning, as in rsync. Appends to the encoded form.
 * @return 0, HSR_E_FILTER, HSR_E_LIMIT */
int hsr_rule_encode(struct hsr_writer *writer, const char *text, size_t text_size, bool include);

/** Build from the encoded form (from OPEN or from hsr_rule_encode). Copies. Allocates: set-up only.
 * @return 0, HSR_E_FILTER, HSR_E_LIMIT, HSR_E_TRUNCATED, -ENOMEM */
int hsr_filter_create(struct hsr_span rules, struct hsr_filter **ret_filter);
void hsr_filter_destroy(struct hsr_filter *filter);

/** Is @path (relative to the transfer root, no leading '/') excluded? NULL filter: nothing is.
 * Parents are assumed to have been checked. Linear in rules x path; bounded backtracking. */
bool hsr_filter_excluded(const struct hsr_filter *filter, const char *path, size_t path_size,
                         bool is_dir);

#endif
