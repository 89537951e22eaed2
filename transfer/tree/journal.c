/* See journal.h. The file is only ever appended to, or replaced as a whole by rename(2):
 * journal_anew.c. */
#include "transfer/tree/journal.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>

#include "base/base.h"
#include "ring/uapi.h"
#include "transfer/tree/at.h"
#include "transfer/tree/journal_anew.h"

#define OPEN_TRIES 4u /* somebody may replace it between open and lock */

static int journal_find(struct hsr_journal *journal);
static int journal_read(struct hsr_journal *journal);
static void journal_recovered(struct hsr_journal *journal, const struct hsr_journal_header *found);
static uint64_t journal_mount(struct hsr_tree *tree);
static bool journal_append(struct hsr_journal *journal, const struct hsr_journal_record *record);
static int journal_write(struct hsr_journal *journal, int fd, const uint8_t *bytes, size_t size,
                         uint64_t offset);
static void journal_submit(struct hsr_journal *journal);
static void journal_done(struct hsr_op *op, int64_t res, unsigned flags);
static void journal_stop(struct hsr_journal *journal, int why);
static bool journal_over(const struct hsr_journal *journal, bool done);

size_t hsr_journal_bytes(void)
{
    return sizeof(struct hsr_journal) + 2 * HSR_JOURNAL_BUFFER_SIZE + HSR_JOURNAL_IMAGE_MAX +
           HSR_JOURNAL_RANGES_MAX * sizeof(struct hsr_journal_range);
}

int hsr_journal_open(struct hsr_journal *journal, struct hsr_tree *tree, const uint8_t *boot)
{
    struct hsr_backend *backend = tree->loop->backend;
    int rc = -EAGAIN;

    memset(journal, 0, sizeof(*journal));
    journal->tree = tree;
    journal->fd = -1;
    hsr_journal_table_init(&journal->table);
    backend->ops->random(backend, journal->header.id, sizeof(journal->header.id));
    memcpy(journal->header.boot, boot, sizeof(journal->header.boot));
    journal->header.mount = journal_mount(tree);
    for (unsigned try = 0; try < OPEN_TRIES && rc == -EAGAIN; try++)
        rc = journal_find(journal);
    if (rc == -ENOMEM)
        return rc;
    /* Two sessions must not have one: without the lock there is none. */
    journal->off = rc == -EWOULDBLOCK || rc == -EOPNOTSUPP || rc == -ENOLCK || rc == -EAGAIN;
    journal->why = rc == -ENOENT ? 0 : rc;
    if (journal->why == -EWOULDBLOCK)
        journal->why = -EBUSY;
    return 0;
}

/* Open, lock and read it. 0; -ENOENT: there is none; -EAGAIN: another one has its name by now. */
static int journal_find(struct hsr_journal *journal)
{
    struct hsr_tree *tree = journal->tree;
    struct statx stx;
    int fd, rc;

    fd = hsr_at_open(tree->loop, tree->cache.root_fd, HSR_JOURNAL_NAME,
                     O_RDWR | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return fd;
    rc = hsr_at_flock(tree->loop, fd, LOCK_EX | LOCK_NB);
    if (rc == 0)
        rc = hsr_at_statx(tree->loop, fd, "", &stx);
    if (rc == 0 && stx.stx_nlink == 0)
        rc = -EAGAIN;
    if (rc < 0) {
        (void)hsr_at_close(tree->loop, fd); /* nothing was written */
        return rc;
    }
    journal->fd = fd; /* locked, whatever is in it */
    hsr_require(S_ISREG(stx.stx_mode) && stx.stx_nlink == 1 && stx.stx_uid == tree->uid,
                HSR_E_DENIED);
    hsr_require(stx.stx_size <= HSR_JOURNAL_SIZE_MAX, HSR_E_LIMIT);
    return journal_read(journal);
}

static int journal_read(struct hsr_journal *journal)
{
    uint8_t *image = malloc(HSR_JOURNAL_SIZE_MAX);
    struct hsr_journal_header found;
    size_t size = 0;
    uint32_t records;
    int64_t res = 1;
    int rc;

    if (image == NULL)
        return -ENOMEM;
    while (res > 0 && size < HSR_JOURNAL_SIZE_MAX) {
        struct hsr_op op = { .kind = HSR_OP_READ,
                             .fd = journal->fd,
                             .buf = image + size,
                             .size = HSR_JOURNAL_SIZE_MAX - size,
                             .offset = size,
                             .buf_index = -1 };

        res = hsr_loop_call(journal->tree->loop, &op);
        size += res > 0 ? (size_t)res : 0;
    }
    rc = res < 0 ? (int)res
                 : hsr_journal_recover((struct hsr_span){ image, size }, &found, &journal->table,
                                       &records);
    free(image);
    journal->read = res >= 0;
    if (rc == HSR_E_TRUNCATED)
        return -ENOENT; /* a power cut before it was ever synced: nothing was to be kept by then */
    if (rc == 0)
        journal_recovered(journal, &found);
    return rc;
}

/* What of it still holds? Its paths are known by its id, so that stays. */
static void journal_recovered(struct hsr_journal *journal, const struct hsr_journal_header *found)
{
    struct hsr_journal_header *header = &journal->header;
    bool same = !hsr_is_zero(header->boot, sizeof(header->boot)) &&
                memcmp(header->boot, found->boot, sizeof(header->boot)) == 0 &&
                header->mount != 0 && header->mount == found->mount;

    memcpy(header->id, found->id, sizeof(header->id));
    if (!same)
        hsr_journal_table_cut(&journal->table, HSR_RANGE_DURABLE);
    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++)
        if (journal->table.files[i].used && journal->table.files[i].range_count == 0)
            hsr_journal_table_drop(&journal->table, i);
}

/* Which mount of the file system is this? What was only written is lost when that ends, also if the
 * machine goes on (a device that was pulled out, a forced shutdown). 0: cannot be told. */
static uint64_t journal_mount(struct hsr_tree *tree)
{
    struct statfs fs = { 0 };
    struct statx stx = { 0 };
    struct hsr_op op = {
        .kind = HSR_OP_STATFS, .fd = tree->cache.root_fd, .statfs = &fs, .buf_index = -1
    };

    if (hsr_loop_call(tree->loop, &op) == 0 && fs.f_type == TMPFS_MAGIC)
        return UINT64_MAX; /* its files end with it */
    op = (struct hsr_op){ .kind = HSR_OP_STATX,
                          .fd = tree->cache.root_fd,
                          .path = "",
                          .at_flags = AT_EMPTY_PATH,
                          .mask = HSR_STATX_MNT_ID_UNIQUE,
                          .statx = &stx,
                          .buf_index = -1 };
    if (hsr_loop_call(tree->loop, &op) < 0 || !(stx.stx_mask & HSR_STATX_MNT_ID_UNIQUE))
        return 0;
    return stx.stx_mnt_id;
}

struct hsr_digest_sum hsr_journal_path(const struct hsr_journal *journal, struct hsr_span path)
{
    uint8_t bytes[2 * HSR_JOURNAL_ID_SIZE];
    struct hsr_writer w = hsr_writer_init(bytes, sizeof(bytes));
    struct hsr_digest_sum sum = hsr_hash128(path.ptr, path.size);

    hsr_put_bytes(&w, journal->header.id, sizeof(journal->header.id));
    hsr_put_u64(&w, sum.low);
    hsr_put_u64(&w, sum.high);
    return hsr_hash128(bytes, sizeof(bytes));
}

int hsr_journal_do(struct hsr_journal *journal, const struct hsr_journal_record *record)
{
    int rc = hsr_journal_record_apply(&journal->table, record);

    if (rc == 0 && !journal->off &&
        !((journal->ours || journal->anew.on) && journal_append(journal, record)))
        journal->rewrite = true;
    return rc;
}

int hsr_journal_slot(struct hsr_journal *journal)
{
    int slot = hsr_journal_table_free(&journal->table);
    struct hsr_journal_record gone = { .kind = HSR_JOURNAL_GONE, .slot = (uint32_t)slot };

    if (slot >= 0 && journal->table.files[slot].used)
        (void)hsr_journal_do(journal, &gone); /* it is there: nothing can fail */
    return slot;
}

static bool journal_append(struct hsr_journal *journal, const struct hsr_journal_record *record)
{
    if (journal->rewrite || journal->filled + HSR_JOURNAL_RECORD_SIZE > HSR_JOURNAL_BUFFER_SIZE ||
        journal->seq >= HSR_JOURNAL_RECORDS_MAX)
        return false;
    hsr_journal_record_encode(&journal->header, ++journal->seq, record,
                              journal->buffers + journal->filling * HSR_JOURNAL_BUFFER_SIZE +
                                  journal->filled);
    journal->filled += HSR_JOURNAL_RECORD_SIZE;
    return true;
}

void hsr_journal_step(struct hsr_journal *journal)
{
    if (journal->off || journal->op.armed)
        return;
    if (journal->rewrite && !journal->ours && journal->table.file_count == 0)
        journal->rewrite = false; /* all of it is over by now */
    if (journal->anew.on || journal->rewrite) {
        int rc = hsr_journal_anew_step(journal, journal_done);

        if (rc < 0)
            journal_stop(journal, rc);
    } else if (journal->writing > journal->written) {
        journal_submit(journal);
    } else if (journal->filled > 0) {
        journal->writing = journal->filled;
        journal->written = journal->filled = 0;
        journal->filling ^= 1;
        journal_submit(journal);
    } else if (journal->fd >= 0 && (journal->want_sync || journal->name_sync)) {
        bool name = !journal->want_sync; /* the file first */

        journal->op = (struct hsr_op){ .kind = HSR_OP_FSYNC,
                                       .done = journal_done,
                                       .fd = name ? journal->tree->cache.root_fd : journal->fd,
                                       .data_only = !name,
                                       .buf_index = -1 };
        if (name)
            journal->name_sync = false;
        journal->want_sync = false;
        hsr_loop_submit(journal->tree->loop, &journal->op);
    }
}

static void journal_submit(struct hsr_journal *journal)
{
    uint8_t *bytes = journal->buffers + (journal->filling ^ 1) * HSR_JOURNAL_BUFFER_SIZE;

    journal->op = (struct hsr_op){ .kind = HSR_OP_WRITE,
                                   .done = journal_done,
                                   .fd = journal->fd,
                                   .buf = bytes + journal->written,
                                   .size = journal->writing - journal->written,
                                   .offset = journal->offset,
                                   .call = journal->header.mount == UINT64_MAX,
                                   .buf_index = -1 };
    hsr_loop_submit(journal->tree->loop, &journal->op);
}

static void journal_done(struct hsr_op *op, int64_t res, unsigned flags)
{
    struct hsr_journal *journal = hsr_container_of(op, struct hsr_journal, op);

    if (flags & HSR_CQE_MORE)
        return;
    if (journal->anew.on) {
        hsr_journal_anew_heard(journal, op, res);
    } else if (op->kind == HSR_OP_WRITE && res > 0) {
        journal->written += (size_t)res;
        journal->offset += (size_t)res;
    } else if (res < 0 || op->kind == HSR_OP_WRITE) {
        journal_stop(journal, res < 0 ? (int)res : -EIO);
    }
    journal->woken(journal->context);
}

bool hsr_journal_idle(const struct hsr_journal *journal)
{
    return !journal->op.armed;
}

bool hsr_journal_settled(const struct hsr_journal *journal)
{
    bool begun = journal->ours || journal->table.file_count > 0;

    return !journal->op.armed &&
           (journal->off || (!journal->anew.on && !(journal->rewrite && begun) &&
                             journal->filled == 0 && journal->writing == journal->written));
}

void hsr_journal_close(struct hsr_journal *journal, bool done)
{
    struct hsr_tree *tree = journal->tree;
    bool append = journal->ours && !journal->anew.on; /* else it follows what has no name */

    if (tree == NULL)
        return;
    hsr_assert(!journal->op.armed);
    hsr_journal_anew_drop(journal);
    if (journal_over(journal, done)) {
        /* If it stays it tells of stages that are not there: harmless. */
        (void)hsr_at_unlink(tree->loop, tree->cache.root_fd, HSR_JOURNAL_NAME, false);
    } else if (!journal->off && append) {
        uint8_t *other = journal->buffers + (journal->filling ^ 1) * HSR_JOURNAL_BUFFER_SIZE;
        size_t rest = journal->writing - journal->written;
        int rc =
            journal_write(journal, journal->fd, other + journal->written, rest, journal->offset);

        if (rc == 0) /* the same; records behind a gap are not read */
            (void)journal_write(journal, journal->fd,
                                journal->buffers + journal->filling * HSR_JOURNAL_BUFFER_SIZE,
                                journal->filled, journal->offset + rest);
    }
    (void)hsr_at_close(tree->loop, journal->fd); /* ends the lock */
    hsr_journal_table_fini(&journal->table);
    free(journal->buffers);
    memset(journal, 0, sizeof(*journal));
    journal->fd = -1;
}

/* Is the file of no use to anybody, and ours to remove? */
static bool journal_over(const struct hsr_journal *journal, bool done)
{
    bool damaged = !journal->ours && journal->why != 0;

    return journal->fd >= 0 && (journal->ours || journal->read) &&
           (done || (journal->table.file_count == 0 && !damaged));
}

/* No more of it in this session; what is in the file stays. */
static void journal_stop(struct hsr_journal *journal, int why)
{
    journal->off = true;
    if (journal->why == 0)
        journal->why = why;
}

static int journal_write(struct hsr_journal *journal, int fd, const uint8_t *bytes, size_t size,
                         uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        struct hsr_op op = { .kind = HSR_OP_WRITE,
                             .fd = fd,
                             .buf = (uint8_t *)(uintptr_t)bytes + done, /* only read */
                             .size = size - done,
                             .offset = offset + done,
                             .buf_index = -1 };
        int64_t res = hsr_loop_call(journal->tree->loop, &op);

        hsr_require(res != 0, -EIO);
        hsr_require(res > 0, (int)res);
        done += (size_t)res;
    }
    return 0;
}
