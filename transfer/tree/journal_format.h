/* A journal's bytes: a header and records, all of one size, each with a check. Pure.
 * docs/ARCHITECTURE.md has the layout. */
#ifndef HSR_TREE_JOURNAL_FORMAT_H
#define HSR_TREE_JOURNAL_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "transfer/tree/journal_table.h"

#define HSR_JOURNAL_VERSION 2u
#define HSR_JOURNAL_RECORD_SIZE 96u /* bytes; of the header too */
#define HSR_JOURNAL_ID_SIZE 16u
/* Largest journal that is read or written: what lives in a table fits four times. */
#define HSR_JOURNAL_SIZE_MAX (4 * HSR_MIB)
#define HSR_JOURNAL_RECORDS_MAX (HSR_JOURNAL_SIZE_MAX / HSR_JOURNAL_RECORD_SIZE - 1)

struct hsr_journal_header {
    uint8_t id[HSR_JOURNAL_ID_SIZE]; /* random; key of its paths and checks */
    uint8_t boot[HSR_JOURNAL_ID_SIZE]; /* of the machine, when what is `written` was */
    uint64_t mount; /* of the file system at that time; 0: not known */
};

enum hsr_journal_kind {
    HSR_JOURNAL_FILE = 1, /* a file was staged */
    HSR_JOURNAL_RANGE, /* a range of it is there */
    HSR_JOURNAL_SYNC, /* a sync of the file began, ended well, or failed: hsr_journal_sync() */
    HSR_JOURNAL_GONE, /* it has its name, or was thrown away */
    HSR_JOURNAL_LOST, /* what was in a range of it is something else by now */
    HSR_JOURNAL_KIND_COUNT
};

void hsr_journal_header_encode(const struct hsr_journal_header *header,
                               uint8_t out[HSR_JOURNAL_RECORD_SIZE]);

/** 0, HSR_E_TRUNCATED (or zeros), HSR_E_PROTOCOL: no journal, HSR_E_VERSION: of another version,
 * HSR_E_CHECK
 */
int hsr_journal_header_decode(struct hsr_span image, struct hsr_journal_header *ret_header);

/* What a record says. A journal is the list of all that happened to its table: reading it does the
 * same again. */
struct hsr_journal_record {
    uint8_t kind; /* enum hsr_journal_kind */
    uint8_t level; /* SYNC: SYNCING it began, DURABLE it ended well, WRITTEN it failed */
    uint32_t slot;
    struct hsr_journal_file file; /* FILE */
    struct hsr_journal_range range; /* RANGE; LOST: only its place */
};

/** Record number @seq, from 1. */
void hsr_journal_record_encode(const struct hsr_journal_header *header, uint64_t seq,
                               const struct hsr_journal_record *record,
                               uint8_t out[HSR_JOURNAL_RECORD_SIZE]);

/** Do to @table what the record says. 0; HSR_E_PROTOCOL: it cannot be; RANGE: also -ENOBUFS,
 * -ENOMEM: then nothing changed. */
int hsr_journal_record_apply(struct hsr_journal_table *table,
                             const struct hsr_journal_record *record);

/** Read a whole journal into an empty @table, up to the first record that is torn: the rest was not
 * written.
 * @param ret_records  how many were good
 * @return 0, what hsr_journal_header_decode() says, or HSR_E_PROTOCOL: a record with a good check
 *   says what cannot be; @table is empty then */
int hsr_journal_recover(struct hsr_span image, struct hsr_journal_header *ret_header,
                        struct hsr_journal_table *table, uint32_t *ret_records);

#endif
