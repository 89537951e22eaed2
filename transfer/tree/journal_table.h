/* What a journal knows, in memory: staged files and which ranges of each are there. Pure. */
#ifndef HSR_TREE_JOURNAL_TABLE_H
#define HSR_TREE_JOURNAL_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "hash/digest.h"
#include "transfer/proto/kept.h"

/* Files at once: four times what one session can have staged, for those of earlier ones. */
#define HSR_JOURNAL_FILES_MAX 512u
/* Ranges of all of them. Neighbours stay apart, each with its own value, as long as there is room:
 * that of 32 GiB in units. Then they become one where they can, so a file has about as many as it
 * has writers. */
#define HSR_JOURNAL_RANGES_MAX 8192u
#define HSR_STAGE_ID_SIZE 12u /* of a hidden name: the part that differs */

/* How far a range has come. */
enum hsr_range_level {
    HSR_RANGE_WRITTEN = 1, /* holds until the machine goes down */
    HSR_RANGE_SYNCING, /* the same; a sync that covers it is under way */
    HSR_RANGE_DURABLE, /* holds after that, too */
    HSR_RANGE_LEVEL_COUNT
};

struct hsr_journal_range {
    struct hsr_kept_range at;
    uint8_t level; /* enum hsr_range_level */
};

struct hsr_journal_file {
    bool used;
    bool claimed; /* this session has to do with it: it is being made, or goes on */
    uint8_t digest; /* enum hsr_digest_kind */
    uint32_t leaf; /* bytes */
    struct hsr_digest_sum path; /* keyed hash of the path below the root */
    struct hsr_digest_sum version; /* of the source's file */
    uint64_t size; /* bytes, of the whole file */
    uint64_t ino; /* of the stage */
    uint8_t stage[HSR_STAGE_ID_SIZE];
    uint32_t range_count, range_room;
    struct hsr_journal_range *ranges; /* in order, none overlaps; owned */
};

struct hsr_journal_table {
    uint32_t file_count;
    uint32_t range_room; /* of all files together */
    struct hsr_journal_file files[HSR_JOURNAL_FILES_MAX];
};

void hsr_journal_table_init(struct hsr_journal_table *table);
void hsr_journal_table_fini(struct hsr_journal_table *table);

/** Could @file be one that we put there? */
bool hsr_journal_file_valid(const struct hsr_journal_file *file);

/** Put a file without ranges at @slot, which must be free: HSR_E_PROTOCOL (so must be that the file
 * is valid). */
int hsr_journal_table_add(struct hsr_journal_table *table, uint32_t slot,
                          const struct hsr_journal_file *file);

/** A free slot, or that of a file that this session has nothing to do with: it has to go first. -1:
 * there is none. */
int hsr_journal_table_free(const struct hsr_journal_table *table);

/** The slot of a file, or -1. */
int hsr_journal_table_find(const struct hsr_journal_table *table, struct hsr_digest_sum path);

/** One more range. What lies within it is replaced; one that lies within another changes nothing.
 * @return 0, -ENOBUFS: no room (nothing changed), -ENOMEM, HSR_E_PROTOCOL: it is none of this file,
 *   or cuts another one */
int hsr_journal_table_put(struct hsr_journal_table *table, uint32_t slot,
                          const struct hsr_journal_range *range);

/** Ranges of level @from are @to from now on. @return how many */
uint32_t hsr_journal_table_level(struct hsr_journal_table *table, uint32_t slot,
                                 enum hsr_range_level from, enum hsr_range_level to);

/** Forget every range that has something of [@offset, @offset + @size). */
void hsr_journal_table_forget(struct hsr_journal_table *table, uint32_t slot, uint64_t offset,
                              uint64_t size);

/** Forget what is only written, or what is not durable (@level: the least that stays). */
void hsr_journal_table_cut(struct hsr_journal_table *table, enum hsr_range_level level);

void hsr_journal_table_drop(struct hsr_journal_table *table, uint32_t slot);

/** Bytes of its ranges. */
uint64_t hsr_journal_file_bytes(const struct hsr_journal_file *file);

/** Its ranges as they are told to a source: neighbours are one. @return how many, at most
 * HSR_KEPT_RANGES_MAX */
uint32_t hsr_journal_file_kept(const struct hsr_journal_file *file, struct hsr_kept_range *ranges);

#endif
