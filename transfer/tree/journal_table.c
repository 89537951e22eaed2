/* See journal_table.h. */
#include "transfer/tree/journal_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define RANGES_FIRST 8u /* room that a file begins with */

static int ranges_reserve(struct hsr_journal_table *table, struct hsr_journal_file *file);
static void ranges_merge(struct hsr_journal_file *file);
static bool ranges_join(const struct hsr_journal_file *file, const struct hsr_journal_range *left,
                        const struct hsr_journal_range *right);
static void range_remove(struct hsr_journal_file *file, uint32_t at, uint32_t count);

void hsr_journal_table_init(struct hsr_journal_table *table)
{
    memset(table, 0, sizeof(*table));
}

void hsr_journal_table_fini(struct hsr_journal_table *table)
{
    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++)
        if (table->files[i].used)
            hsr_journal_table_drop(table, i);
    hsr_assert(table->file_count == 0 && table->range_room == 0);
}

bool hsr_journal_file_valid(const struct hsr_journal_file *file)
{
    return hsr_digest_known(file->digest) && file->size > HSR_KEPT_UNIT &&
           file->size <= INT64_MAX && file->leaf > 0 && file->leaf <= HSR_DIGEST_LEAF_SIZE &&
           HSR_KEPT_UNIT % file->leaf == 0;
}

int hsr_journal_table_add(struct hsr_journal_table *table, uint32_t slot,
                          const struct hsr_journal_file *file)
{
    hsr_require(slot < HSR_JOURNAL_FILES_MAX && !table->files[slot].used, HSR_E_PROTOCOL);
    hsr_require(hsr_journal_file_valid(file), HSR_E_PROTOCOL);
    table->files[slot] = *file;
    table->files[slot].used = true;
    table->files[slot].range_count = table->files[slot].range_room = 0;
    table->files[slot].ranges = NULL;
    table->file_count++;
    return 0;
}

int hsr_journal_table_free(struct hsr_journal_table *table)
{
    int other = -1;

    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++) {
        if (!table->files[i].used)
            return (int)i;
        if (!table->files[i].claimed)
            other = (int)i;
    }
    if (other >= 0)
        hsr_journal_table_drop(table, (uint32_t)other);
    return other;
}

int hsr_journal_table_find(const struct hsr_journal_table *table, struct hsr_digest_sum path)
{
    for (uint32_t i = 0; table->file_count > 0 && i < HSR_JOURNAL_FILES_MAX; i++)
        if (table->files[i].used && hsr_digest_same(table->files[i].path, path))
            return (int)i;
    return -1;
}

static uint64_t range_end(const struct hsr_journal_range *range)
{
    return range->at.offset + range->at.size;
}

int hsr_journal_table_put(struct hsr_journal_table *table, uint32_t slot,
                          const struct hsr_journal_range *range)
{
    uint32_t digest_size, first = 0, last;
    struct hsr_journal_file *file;
    int rc;

    hsr_require(slot < HSR_JOURNAL_FILES_MAX && table->files[slot].used, HSR_E_PROTOCOL);
    file = &table->files[slot];
    digest_size = (uint32_t)hsr_digest_size((enum hsr_digest_kind)file->digest);
    hsr_require(range->level >= HSR_RANGE_WRITTEN && range->level < HSR_RANGE_LEVEL_COUNT,
                HSR_E_PROTOCOL);
    hsr_require(hsr_kept_check(&range->at, 1, digest_size) == 0, HSR_E_PROTOCOL);
    hsr_require(range_end(range) <= file->size, HSR_E_PROTOCOL);
    /* of a blake3 tree nobody can tell the root's value beside others */
    hsr_require(file->digest != HSR_DIGEST_BLAKE3 || range->at.size < file->size, HSR_E_PROTOCOL);
    while (first < file->range_count && range_end(&file->ranges[first]) <= range->at.offset)
        first++;
    last = first;
    while (last < file->range_count && file->ranges[last].at.offset < range_end(range)) {
        hsr_require(file->ranges[last].at.offset >= range->at.offset &&
                        range_end(&file->ranges[last]) <= range_end(range),
                    HSR_E_PROTOCOL);
        last++;
    }
    rc = ranges_reserve(table, file);
    if (rc < 0)
        return rc;
    range_remove(file, first, last - first);
    memmove(&file->ranges[first + 1], &file->ranges[first],
            (file->range_count - first) * sizeof(*file->ranges));
    file->ranges[first] = *range;
    file->range_count++;
    ranges_merge(file);
    return 0;
}

uint32_t hsr_journal_table_level(struct hsr_journal_table *table, uint32_t slot,
                                 enum hsr_range_level from, enum hsr_range_level to)
{
    struct hsr_journal_file *file = &table->files[slot];
    uint32_t count = 0;

    hsr_assert(slot < HSR_JOURNAL_FILES_MAX && file->used);
    for (uint32_t i = 0; i < file->range_count; i++)
        if (file->ranges[i].level == from) {
            file->ranges[i].level = (uint8_t)to;
            count++;
        }
    if (count > 0)
        ranges_merge(file);
    return count;
}

void hsr_journal_table_cut(struct hsr_journal_table *table, enum hsr_range_level level)
{
    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++) {
        struct hsr_journal_file *file = &table->files[i];

        for (uint32_t k = file->used ? file->range_count : 0; k > 0; k--)
            if (file->ranges[k - 1].level < level)
                range_remove(file, k - 1, 1);
    }
}

void hsr_journal_table_drop(struct hsr_journal_table *table, uint32_t slot)
{
    struct hsr_journal_file *file = &table->files[slot];

    hsr_assert(slot < HSR_JOURNAL_FILES_MAX && file->used && table->file_count > 0);
    table->range_room -= file->range_room;
    table->file_count--;
    free(file->ranges);
    memset(file, 0, sizeof(*file));
}

uint64_t hsr_journal_file_bytes(const struct hsr_journal_file *file)
{
    uint64_t bytes = 0; /* ranges do not overlap: at most INT64_MAX */

    for (uint32_t i = 0; i < file->range_count; i++)
        bytes += file->ranges[i].at.size;
    return bytes;
}

uint32_t hsr_journal_file_kept(const struct hsr_journal_file *file, struct hsr_kept_range *ranges)
{
    uint32_t count = HSR_MIN(file->range_count, HSR_KEPT_RANGES_MAX);

    for (uint32_t i = 0; i < count; i++)
        ranges[i] = file->ranges[i].at;
    return count;
}

/* Room for one more. */
static int ranges_reserve(struct hsr_journal_table *table, struct hsr_journal_file *file)
{
    uint32_t room = file->range_room > 0 ? 2 * file->range_room : RANGES_FIRST;
    struct hsr_journal_range *ranges;

    if (file->range_count < file->range_room)
        return 0;
    hsr_require(room - file->range_room <= HSR_JOURNAL_RANGES_MAX - table->range_room, -ENOBUFS);
    ranges = reallocarray(file->ranges, room, sizeof(*ranges));
    hsr_require(ranges != NULL, -ENOMEM);
    table->range_room += room - file->range_room;
    file->ranges = ranges;
    file->range_room = room;
    return 0;
}

/* Until no two neighbours are one. */
static void ranges_merge(struct hsr_journal_file *file)
{
    uint32_t i = 0;

    while (i + 1 < file->range_count) {
        struct hsr_journal_range *left = &file->ranges[i], *right = left + 1;

        if (!ranges_join(file, left, right)) {
            i++;
            continue;
        }
        hsr_digest_piece_join((enum hsr_digest_kind)file->digest, left->at.value, right->at.value,
                              left->at.value);
        left->at.size += right->at.size;
        range_remove(file, i + 1, 1);
        i = i > 0 ? i - 1 : 0; /* it may be the sibling of what is before it now */
    }
}

static bool ranges_join(const struct hsr_journal_file *file, const struct hsr_journal_range *left,
                        const struct hsr_journal_range *right)
{
    if (left->level != right->level || range_end(left) != right->at.offset)
        return false;
    return file->digest == HSR_DIGEST_XXH3 ||
           (left->at.size == right->at.size && left->at.offset % (2 * left->at.size) == 0 &&
            2 * left->at.size < file->size);
}

static void range_remove(struct hsr_journal_file *file, uint32_t at, uint32_t count)
{
    hsr_assert(at + count <= file->range_count);
    memmove(&file->ranges[at], &file->ranges[at + count],
            (file->range_count - at - count) * sizeof(*file->ranges));
    file->range_count -= count;
}
