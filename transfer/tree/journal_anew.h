/* A journal is written anew, a step at a time. Private to journal*.c. */
#ifndef HSR_TREE_JOURNAL_ANEW_H
#define HSR_TREE_JOURNAL_ANEW_H

#include "transfer/tree/journal.h"

#define HSR_JOURNAL_BUFFER_SIZE ((size_t)64 * HSR_KIB) /* 680 records: 2.6 GiB of data */
/* All that a table can hold, and the header. */
#define HSR_JOURNAL_IMAGE_MAX                                                                      \
    ((1 + HSR_JOURNAL_FILES_MAX + HSR_JOURNAL_RANGES_MAX) * (size_t)HSR_JOURNAL_RECORD_SIZE)

/** Begin, or go on; nothing of the journal is under way. Takes a snapshot of the table (at most
 * half a millisecond); records after that go into the buffers. @done is called for an operation
 * that was submitted. 0: one was, or it has its name; negative: it cannot be, and is dropped. */
int hsr_journal_anew_step(struct hsr_journal *journal,
                          void (*done)(struct hsr_op *op, int64_t res, unsigned flags));

/** The operation of a step has ended. */
void hsr_journal_anew_heard(struct hsr_journal *journal, const struct hsr_op *op, int64_t res);

/** Away with it. Harmless without. */
void hsr_journal_anew_drop(struct hsr_journal *journal);

#endif
