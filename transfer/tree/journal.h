/* A target's journal: a file in its root that says what it has staged of large files, so that a
 * later session can go on. Made when the first of them is staged, gone when nothing is left to go
 * on with. Whoever uses it holds its lock; a second session on the same root does without.
 *
 * What it says is applied to a table in memory at once and written a little later, without waiting:
 * hsr_journal_step(). A crash in between costs what was not written.
 *
 * When it is begun, and when it is full, it is written anew (journal_anew.c): all of the table,
 * under a hidden name, synced if what it replaces was, and renamed. What comes meanwhile follows.
 */
#ifndef HSR_TREE_JOURNAL_H
#define HSR_TREE_JOURNAL_H

#include "ring/ring.h"
#include "transfer/tree/journal_format.h"
#include "transfer/tree/target.h"

#define HSR_JOURNAL_TEMP_SIZE 48u /* of a hidden name */

/* A journal on its way to its name. */
struct hsr_journal_anew {
    bool on;
    bool sync; /* it is to be synced first */
    int fd; /* locked */
    int rc; /* of the operation that ended */
    char temp[HSR_JOURNAL_TEMP_SIZE];
    uint8_t *image; /* owned */
    size_t size, done; /* bytes of it, and how many are written */
};

struct hsr_journal {
    struct hsr_tree *tree; /* borrowed */
    struct hsr_journal_header header; /* of what this session writes */
    struct hsr_journal_table table;
    bool off; /* it cannot be used: `why` */
    int why; /* off: why; else why what was found was not used; 0 */
    int fd; /* locked; -1: there is none */
    bool read; /* what was found is a journal's place: a file of ours, read to its end */
    bool ours; /* this session has begun it */
    bool rewrite; /* to be written anew, as the table is */
    struct hsr_journal_anew anew;
    bool want_sync; /* what is written should be synced */
    bool name_sync; /* and so should its name */
    uint64_t seq; /* records in the file and in the buffers */
    uint64_t offset; /* where the next one goes, bytes */
    uint8_t *buffers; /* two: one is written while the other is filled */
    unsigned filling;
    size_t filled; /* bytes of the buffer being filled */
    size_t writing, written; /* bytes of the other one */
    struct hsr_op op; /* a write, or a sync */
    void (*woken)(void *context); /* an operation ended */
    void *context;
};

/** Bytes of memory at most, for the plan. */
size_t hsr_journal_bytes(void);

/** Find and read what there is. Plain calls; nothing is written. What a journal says holds only if
 * the machine runs since then and the file system is still mounted, and else as far as it was
 * synced.
 * @param boot  HSR_JOURNAL_ID_SIZE bytes that name this run of the machine; zeros: not known
 * @return 0, or -ENOMEM. `off` and `why` say the rest. */
int hsr_journal_open(struct hsr_journal *journal, struct hsr_tree *tree, const uint8_t *boot);

/** Key of a path below the root. */
struct hsr_digest_sum hsr_journal_path(const struct hsr_journal *journal, struct hsr_span path);

/** Do and remember. As hsr_journal_record_apply(). */
int hsr_journal_do(struct hsr_journal *journal, const struct hsr_journal_record *record);

/** A free slot. Where there is none, a file that this session has nothing to do with is gone for
 * it. -1: all are of this session. */
int hsr_journal_slot(struct hsr_journal *journal);

/** Write what is not written; sync what should be. Submits; when the file is begun or written anew
 * also plain calls that open, lock and rename. */
void hsr_journal_step(struct hsr_journal *journal);

/** Is no operation under way? */
bool hsr_journal_idle(const struct hsr_journal *journal);

/** The same, and all that it knows is written? Else hsr_journal_step() goes on. */
bool hsr_journal_settled(const struct hsr_journal *journal);

/** It is idle. Write the rest with plain calls, unless it is to be written anew: then what was
 * written stays. With @done, or when it knows of nothing, remove it; but never what could not be
 * read or is another owner's, and what is damaged only with @done. Frees everything. Harmless on
 * zeroed memory. */
void hsr_journal_close(struct hsr_journal *journal, bool done);

#endif
