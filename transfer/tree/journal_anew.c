/* See journal_anew.h.
 *
 *   snapshot -> written -> [synced] -> renamed: it is the journal
 *
 * Its lock is held before it can be found. */
#include "transfer/tree/journal_anew.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "base/base.h"
#include "transfer/tree/at.h"
#include "transfer/tree/stage.h"

_Static_assert(HSR_JOURNAL_TEMP_SIZE >= HSR_STAGE_TEMP_SIZE, "a hidden name fits");

static int anew_begin(struct hsr_journal *journal);
static int anew_open(struct hsr_journal *journal);
static void anew_snapshot(struct hsr_journal *journal);
static int anew_name(struct hsr_journal *journal);

int hsr_journal_anew_step(struct hsr_journal *journal,
                          void (*done)(struct hsr_op *op, int64_t res, unsigned flags))
{
    struct hsr_journal_anew *anew = &journal->anew;
    int rc = anew->on ? anew->rc : anew_begin(journal);

    if (rc == 0 && anew->done < anew->size) {
        journal->op = (struct hsr_op){ .kind = HSR_OP_WRITE,
                                       .done = done,
                                       .fd = anew->fd,
                                       .buf = anew->image + anew->done,
                                       .size = anew->size - anew->done,
                                       .offset = anew->done,
                                       .call = journal->header.mount == UINT64_MAX,
                                       .buf_index = -1 };
        hsr_loop_submit(journal->tree->loop, &journal->op);
    } else if (rc == 0 && anew->sync) {
        journal->op = (struct hsr_op){
            .kind = HSR_OP_FSYNC, .done = done, .fd = anew->fd, .data_only = true, .buf_index = -1
        };
        hsr_loop_submit(journal->tree->loop, &journal->op);
    } else if (rc == 0) {
        rc = anew_name(journal);
    }
    if (rc < 0)
        hsr_journal_anew_drop(journal);
    return rc;
}

void hsr_journal_anew_heard(struct hsr_journal *journal, const struct hsr_op *op, int64_t res)
{
    struct hsr_journal_anew *anew = &journal->anew;

    if (res < 0)
        anew->rc = (int)res;
    else if (op->kind == HSR_OP_FSYNC)
        anew->sync = false;
    else if (res == 0)
        anew->rc = -EIO;
    else
        anew->done += (size_t)res;
}

void hsr_journal_anew_drop(struct hsr_journal *journal)
{
    struct hsr_journal_anew *anew = &journal->anew;
    struct hsr_tree *tree = journal->tree;

    if (!anew->on)
        return;
    /* If it stays, the next prune removes it. */
    (void)hsr_at_unlink(tree->loop, tree->cache.root_fd, anew->temp, false);
    (void)hsr_at_close(tree->loop, anew->fd); /* nobody needs it */
    free(anew->image);
    *anew = (struct hsr_journal_anew){ .fd = -1 };
}

static int anew_begin(struct hsr_journal *journal)
{
    struct hsr_journal_anew *anew = &journal->anew;
    const struct hsr_journal_table *table = &journal->table;
    size_t records = table->file_count;
    int rc;

    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++)
        records += table->files[i].range_count; /* 0 of what is not used */
    if (journal->buffers == NULL)
        journal->buffers = malloc(2 * HSR_JOURNAL_BUFFER_SIZE);
    hsr_require(journal->buffers != NULL, -ENOMEM);
    anew->size = (records + 1) * HSR_JOURNAL_RECORD_SIZE;
    anew->image = malloc(anew->size);
    hsr_require(anew->image != NULL, -ENOMEM);
    rc = anew_open(journal);
    if (rc < 0) {
        free(anew->image);
        *anew = (struct hsr_journal_anew){ .fd = -1 };
        return rc;
    }
    anew->on = true;
    anew->sync = records > table->file_count; /* what it replaces was synced */
    anew_snapshot(journal);
    return 0;
}

static int anew_open(struct hsr_journal *journal)
{
    struct hsr_journal_anew *anew = &journal->anew;
    struct hsr_tree *tree = journal->tree;
    int root_fd = tree->cache.root_fd, rc;

    hsr_stage_name(tree, anew->temp);
    anew->fd = hsr_at_open(tree->loop, root_fd, anew->temp, O_CREAT | O_EXCL | O_RDWR, 0600);
    hsr_require(anew->fd >= 0, anew->fd);
    rc = hsr_at_flock(tree->loop, anew->fd, LOCK_EX | LOCK_NB);
    if (rc < 0) {
        (void)hsr_at_unlink(tree->loop, root_fd, anew->temp, false); /* `rc` is the news */
        (void)hsr_at_close(tree->loop, anew->fd);
    }
    return rc;
}

/* Header and table. The buffers hold nothing that the table has not. */
static void anew_snapshot(struct hsr_journal *journal)
{
    const struct hsr_journal_table *table = &journal->table;
    uint8_t *at = journal->anew.image;

    journal->rewrite = false;
    journal->filling = 0;
    journal->filled = journal->writing = journal->written = 0;
    journal->seq = 0;
    hsr_journal_header_encode(&journal->header, at);
    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++) {
        const struct hsr_journal_file *file = &table->files[i];

        for (uint32_t k = 0; file->used && k <= file->range_count; k++) {
            struct hsr_journal_record record = { .kind = HSR_JOURNAL_FILE, .slot = i };

            if (k == 0) {
                record.file = *file;
            } else {
                record.kind = HSR_JOURNAL_RANGE;
                record.range = file->ranges[k - 1];
            }
            at += HSR_JOURNAL_RECORD_SIZE;
            hsr_journal_record_encode(&journal->header, ++journal->seq, &record, at);
        }
    }
    at += HSR_JOURNAL_RECORD_SIZE;
    hsr_assert(at == journal->anew.image + journal->anew.size);
}

static int anew_name(struct hsr_journal *journal)
{
    struct hsr_journal_anew *anew = &journal->anew;
    struct hsr_tree *tree = journal->tree;
    int root_fd = tree->cache.root_fd;
    int rc = hsr_at_rename(tree->loop, root_fd, anew->temp, root_fd, HSR_JOURNAL_NAME);

    if (rc < 0)
        return rc;
    (void)hsr_at_close(tree->loop, journal->fd); /* replaced */
    journal->fd = anew->fd;
    journal->offset = anew->size;
    journal->ours = true;
    journal->name_sync = true;
    free(anew->image);
    *anew = (struct hsr_journal_anew){ .fd = -1 };
    return 0;
}
