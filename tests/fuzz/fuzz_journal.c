/* Journals that somebody else wrote: whatever is in them, the table stays in order and in bounds,
 * and what it holds, written down again, is read as the same.
 *
 * The first byte: even: a whole journal as it is; odd: records without their numbers and checks,
 * which are put in. */
#include <string.h>

#include "base/base.h"
#include "tests/fuzz/fuzz.h"
#include "transfer/tree/journal_format.h"

#define RECORDS 64u
#define BODY (HSR_JOURNAL_RECORD_SIZE - 16u) /* without the number and the check */
#define CHECKED (HSR_JOURNAL_RECORD_SIZE - 8u)

static uint8_t image[HSR_JOURNAL_RECORD_SIZE * (RECORDS + 1 + HSR_JOURNAL_FILES_MAX)];
static struct hsr_journal_table table, again;

static void check(const struct hsr_journal_table *found)
{
    uint32_t files = 0, room = 0;

    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++) {
        const struct hsr_journal_file *file = &found->files[i];
        struct hsr_kept_range kept[HSR_KEPT_RANGES_MAX];
        uint32_t count;

        if (!file->used)
            continue;
        files++;
        room += file->range_room;
        FUZZ_CHECK(hsr_journal_file_valid(file));
        FUZZ_CHECK(hsr_journal_file_bytes(file) <= file->size);
        count = hsr_journal_file_kept(file, kept);
        FUZZ_CHECK(hsr_kept_check(kept, count,
                                  (uint32_t)hsr_digest_size((enum hsr_digest_kind)file->digest)) ==
                   0);
        for (uint32_t k = 0; k < file->range_count; k++)
            FUZZ_CHECK(file->ranges[k].level != HSR_RANGE_SYNCING);
    }
    FUZZ_CHECK(files == found->file_count && room == found->range_room);
    FUZZ_CHECK(room <= HSR_JOURNAL_RANGES_MAX);
}

/* As a journal is written anew. */
static void round_trip(const struct hsr_journal_header *header)
{
    struct hsr_journal_header found;
    uint32_t seq = 0, records;

    hsr_journal_header_encode(header, image);
    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++)
        for (uint32_t k = 0; table.files[i].used && k <= table.files[i].range_count; k++) {
            struct hsr_journal_record record = { .kind = HSR_JOURNAL_FILE, .slot = i };

            if (k == 0)
                record.file = table.files[i];
            else
                record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_RANGE,
                                                      .slot = i,
                                                      .range = table.files[i].ranges[k - 1] };
            ++seq;
            hsr_journal_record_encode(header, seq, &record, image + seq * HSR_JOURNAL_RECORD_SIZE);
        }
    hsr_journal_table_init(&again);
    FUZZ_CHECK(
        hsr_journal_recover((struct hsr_span){ image, (seq + 1) * (size_t)HSR_JOURNAL_RECORD_SIZE },
                            &found, &again, &records) == 0);
    FUZZ_CHECK(records == seq && again.file_count == table.file_count);
    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++)
        FUZZ_CHECK(again.files[i].range_count == table.files[i].range_count);
    hsr_journal_table_fini(&again);
}

/* Records with numbers and checks, so that more than the first check is tried. */
static size_t put_together(const uint8_t *bytes, size_t size)
{
    struct hsr_journal_header header = { .mount = 1 };
    size_t count = HSR_MIN(size / BODY, (size_t)RECORDS);

    hsr_journal_header_encode(&header, image);
    for (size_t i = 0; i < count; i++) {
        uint8_t *record = image + (i + 1) * HSR_JOURNAL_RECORD_SIZE;
        uint8_t covered[HSR_JOURNAL_ID_SIZE + CHECKED] = { 0 };
        uint64_t seq = i + 1, sum;

        memcpy(record, bytes + i * BODY, 8);
        memcpy(record + 8, &seq, sizeof(seq));
        memcpy(record + 16, bytes + i * BODY + 8, BODY - 8);
        memcpy(covered + HSR_JOURNAL_ID_SIZE, record, CHECKED);
        sum = hsr_hash64(covered, sizeof(covered));
        memcpy(record + CHECKED, &sum, sizeof(sum));
    }
    return (count + 1) * HSR_JOURNAL_RECORD_SIZE;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct hsr_journal_header header;
    struct hsr_span journal;
    uint32_t records;

    if (size < 1)
        return 0;
    journal = (struct hsr_span){ bytes + 1, size - 1 };
    if (bytes[0] & 1)
        journal = (struct hsr_span){ image, put_together(bytes + 1, size - 1) };
    hsr_journal_table_init(&table);
    if (hsr_journal_recover(journal, &header, &table, &records) == 0) {
        FUZZ_CHECK((records + 1) * (size_t)HSR_JOURNAL_RECORD_SIZE <= journal.size);
        check(&table);
        if (records <= RECORDS)
            round_trip(&header);
    } else {
        FUZZ_CHECK(table.file_count == 0);
    }
    hsr_journal_table_fini(&table);
    return 0;
}
