/* header: magic u64, version u32, record size u32, id, boot, mount u64, zeros, check
 * record: kind u8, level u8, digest u8, u8 0, slot u32, seq u64, then
 *   FILE   path, version, size u64, inode u64, leaf u32, stage (12 bytes)
 *   RANGE  offset u64, size u64, value (32 bytes)
 *   LOST   offset u64, size u64
 *   SYNC, GONE: nothing
 * then zeros, and the check: XXH3-64 of all before it; of a record, of the id and all before it. */
#include "transfer/tree/journal_format.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"

#define MAGIC UINT64_C(0x6c6e724a72737748) /* "HwsrJrnl" */
#define CHECKED (HSR_JOURNAL_RECORD_SIZE - 8u) /* bytes that a check covers */

static uint64_t record_check(const uint8_t id[HSR_JOURNAL_ID_SIZE], const uint8_t *record);
static bool zeros_end(struct hsr_reader *r);
static int record_decode(const uint8_t *bytes, struct hsr_journal_record *ret_record);
static void put_sum(struct hsr_writer *w, struct hsr_digest_sum sum);
static struct hsr_digest_sum get_sum(struct hsr_reader *r);

void hsr_journal_header_encode(const struct hsr_journal_header *header,
                               uint8_t out[HSR_JOURNAL_RECORD_SIZE])
{
    struct hsr_writer w = hsr_writer_init(out, HSR_JOURNAL_RECORD_SIZE);

    memset(out, 0, HSR_JOURNAL_RECORD_SIZE);
    hsr_put_u64(&w, MAGIC);
    hsr_put_u32(&w, HSR_JOURNAL_VERSION);
    hsr_put_u32(&w, HSR_JOURNAL_RECORD_SIZE);
    hsr_put_bytes(&w, header->id, sizeof(header->id));
    hsr_put_bytes(&w, header->boot, sizeof(header->boot));
    hsr_put_u64(&w, header->mount);
    w.offset = CHECKED;
    hsr_put_u64(&w, hsr_hash64(out, CHECKED));
    hsr_assert(!w.failed && w.offset == HSR_JOURNAL_RECORD_SIZE);
}

int hsr_journal_header_decode(struct hsr_span image, struct hsr_journal_header *ret_header)
{
    struct hsr_reader r = hsr_reader_init(image.ptr, HSR_MIN(image.size, (size_t)CHECKED));
    struct hsr_reader end = hsr_reader_init(image.ptr, image.size);
    struct hsr_journal_header header;
    uint32_t version, size;

    hsr_require(image.size >= HSR_JOURNAL_RECORD_SIZE &&
                    !hsr_is_zero(image.ptr, HSR_JOURNAL_RECORD_SIZE),
                HSR_E_TRUNCATED);
    hsr_require(hsr_get_u64(&r) == MAGIC, HSR_E_PROTOCOL);
    version = hsr_get_u32(&r);
    size = hsr_get_u32(&r);
    hsr_require(version == HSR_JOURNAL_VERSION && size == HSR_JOURNAL_RECORD_SIZE, HSR_E_VERSION);
    end.offset = CHECKED;
    hsr_require(hsr_get_u64(&end) == hsr_hash64(image.ptr, CHECKED), HSR_E_CHECK);
    hsr_get_bytes(&r, header.id, sizeof(header.id));
    hsr_get_bytes(&r, header.boot, sizeof(header.boot));
    header.mount = hsr_get_u64(&r);
    hsr_require(zeros_end(&r), HSR_E_PROTOCOL);
    *ret_header = header;
    return 0;
}

void hsr_journal_record_encode(const struct hsr_journal_header *header, uint64_t seq,
                               const struct hsr_journal_record *record,
                               uint8_t out[HSR_JOURNAL_RECORD_SIZE])
{
    struct hsr_writer w = hsr_writer_init(out, HSR_JOURNAL_RECORD_SIZE);
    const struct hsr_journal_file *file = &record->file;
    const struct hsr_kept_range *at = &record->range.at;
    bool range = record->kind == HSR_JOURNAL_RANGE;

    hsr_assert(record->slot < HSR_JOURNAL_FILES_MAX && seq > 0);
    memset(out, 0, HSR_JOURNAL_RECORD_SIZE);
    hsr_put_u8(&w, record->kind);
    hsr_put_u8(&w, range                              ? record->range.level
                   : record->kind == HSR_JOURNAL_SYNC ? record->level
                                                      : 0);
    hsr_put_u8(&w, record->kind == HSR_JOURNAL_FILE ? file->digest : 0);
    hsr_put_u8(&w, 0);
    hsr_put_u32(&w, record->slot);
    hsr_put_u64(&w, seq);
    if (record->kind == HSR_JOURNAL_FILE) {
        put_sum(&w, file->path);
        put_sum(&w, file->version);
        hsr_put_u64(&w, file->size);
        hsr_put_u64(&w, file->ino);
        hsr_put_u32(&w, file->leaf);
        hsr_put_bytes(&w, file->stage, sizeof(file->stage));
    } else if (range) {
        hsr_put_u64(&w, at->offset);
        hsr_put_u64(&w, at->size);
        hsr_put_bytes(&w, at->value, sizeof(at->value));
    } else if (record->kind == HSR_JOURNAL_LOST) {
        hsr_put_u64(&w, at->offset);
        hsr_put_u64(&w, at->size);
    }
    hsr_assert(!w.failed && w.offset <= CHECKED);
    w.offset = CHECKED;
    hsr_put_u64(&w, record_check(header->id, out));
}

int hsr_journal_record_apply(struct hsr_journal_table *table,
                             const struct hsr_journal_record *record)
{
    uint32_t slot = record->slot;

    if (record->kind == HSR_JOURNAL_FILE)
        return hsr_journal_table_add(table, slot, &record->file);
    if (record->kind == HSR_JOURNAL_RANGE)
        return hsr_journal_table_put(table, slot, &record->range);
    hsr_require(slot < HSR_JOURNAL_FILES_MAX && table->files[slot].used, HSR_E_PROTOCOL);
    if (record->kind == HSR_JOURNAL_GONE) {
        hsr_journal_table_drop(table, slot);
        return 0;
    }
    if (record->kind == HSR_JOURNAL_LOST) {
        const struct hsr_kept_range *at = &record->range.at;

        hsr_require(at->size > 0 && at->size <= INT64_MAX && at->offset <= INT64_MAX - at->size,
                    HSR_E_PROTOCOL);
        hsr_journal_table_forget(table, slot, at->offset, at->size);
        return 0;
    }
    hsr_require(record->kind == HSR_JOURNAL_SYNC, HSR_E_PROTOCOL);
    if (record->level == HSR_RANGE_SYNCING)
        (void)hsr_journal_table_level(table, slot, HSR_RANGE_WRITTEN, HSR_RANGE_SYNCING);
    else if (record->level == HSR_RANGE_DURABLE || record->level == HSR_RANGE_WRITTEN)
        (void)hsr_journal_table_level(table, slot, HSR_RANGE_SYNCING,
                                      (enum hsr_range_level)record->level);
    else
        return HSR_E_PROTOCOL;
    return 0;
}

int hsr_journal_recover(struct hsr_span image, struct hsr_journal_header *ret_header,
                        struct hsr_journal_table *table, uint32_t *ret_records)
{
    struct hsr_journal_header header;
    int rc = hsr_journal_header_decode(image, &header);
    uint32_t count = 0;

    hsr_assert(table->file_count == 0);
    while (rc == 0 && (count + 2) * (size_t)HSR_JOURNAL_RECORD_SIZE <= image.size) {
        const uint8_t *record = image.ptr + (count + 1) * (size_t)HSR_JOURNAL_RECORD_SIZE;
        struct hsr_reader r = hsr_reader_init(record, HSR_JOURNAL_RECORD_SIZE);
        struct hsr_journal_record read;
        uint64_t seq;

        r.offset = 8;
        seq = hsr_get_u64(&r);
        r.offset = CHECKED;
        if (seq != count + 1u || hsr_get_u64(&r) != record_check(header.id, record))
            break;
        rc = record_decode(record, &read);
        if (rc == 0)
            rc = hsr_journal_record_apply(table, &read);
        if (rc == -ENOBUFS)
            rc = 0; /* a range that is sent again */
        count++;
    }
    if (rc < 0) {
        hsr_journal_table_fini(table);
        return rc;
    }
    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++) /* whether they ended nobody knows */
        if (table->files[i].used)
            (void)hsr_journal_table_level(table, i, HSR_RANGE_SYNCING, HSR_RANGE_WRITTEN);
    *ret_header = header;
    *ret_records = count;
    return 0;
}

static int record_decode(const uint8_t *bytes, struct hsr_journal_record *ret_record)
{
    struct hsr_reader r = hsr_reader_init(bytes, CHECKED);
    struct hsr_journal_record record = { .kind = hsr_get_u8(&r) };
    struct hsr_kept_range *at = &record.range.at;
    bool range = record.kind == HSR_JOURNAL_RANGE;

    hsr_require(record.kind >= HSR_JOURNAL_FILE && record.kind < HSR_JOURNAL_KIND_COUNT,
                HSR_E_PROTOCOL);
    record.level = record.range.level = hsr_get_u8(&r);
    record.file.digest = hsr_get_u8(&r);
    hsr_require(hsr_get_u8(&r) == 0, HSR_E_PROTOCOL);
    record.slot = hsr_get_u32(&r);
    (void)hsr_get_u64(&r); /* its number was compared */
    hsr_require((record.level == 0) == (!range && record.kind != HSR_JOURNAL_SYNC), HSR_E_PROTOCOL);
    hsr_require((record.file.digest == 0) == (record.kind != HSR_JOURNAL_FILE), HSR_E_PROTOCOL);
    if (record.kind == HSR_JOURNAL_FILE) {
        record.file.path = get_sum(&r);
        record.file.version = get_sum(&r);
        record.file.size = hsr_get_u64(&r);
        record.file.ino = hsr_get_u64(&r);
        record.file.leaf = hsr_get_u32(&r);
        hsr_get_bytes(&r, record.file.stage, sizeof(record.file.stage));
    } else if (range) {
        at->offset = hsr_get_u64(&r);
        at->size = hsr_get_u64(&r);
        hsr_get_bytes(&r, at->value, sizeof(at->value));
    } else if (record.kind == HSR_JOURNAL_LOST) {
        at->offset = hsr_get_u64(&r);
        at->size = hsr_get_u64(&r);
    }
    hsr_require(zeros_end(&r), HSR_E_PROTOCOL);
    *ret_record = record;
    return 0;
}

/* A record of another journal, or one that was somewhere else in this one, does not pass. */
static uint64_t record_check(const uint8_t id[HSR_JOURNAL_ID_SIZE], const uint8_t *record)
{
    uint8_t bytes[HSR_JOURNAL_ID_SIZE + CHECKED];

    memcpy(bytes, id, HSR_JOURNAL_ID_SIZE);
    memcpy(bytes + HSR_JOURNAL_ID_SIZE, record, CHECKED);
    return hsr_hash64(bytes, sizeof(bytes));
}

static bool zeros_end(struct hsr_reader *r)
{
    return !r->failed && hsr_is_zero(r->ptr + r->offset, hsr_reader_left(r));
}

static void put_sum(struct hsr_writer *w, struct hsr_digest_sum sum)
{
    hsr_put_u64(w, sum.low);
    hsr_put_u64(w, sum.high);
}

static struct hsr_digest_sum get_sum(struct hsr_reader *r)
{
    struct hsr_digest_sum sum;

    sum.low = hsr_get_u64(r);
    sum.high = hsr_get_u64(r);
    return sum;
}
