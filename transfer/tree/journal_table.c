/* See journal_table.h. */
#include "transfer/tree/journal_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define RANGES_FIRST 8u /* room that a file begins with */

static int ranges_place(const struct hsr_journal_file *file, const struct hsr_journal_range *range,
                        uint32_t *first, uint32_t *last);
static int ranges_reserve(struct hsr_journal_table *table, struct hsr_journal_file *file);
static void table_tighten(struct hsr_journal_table *table);
static void ranges_merge(struct hsr_journal_file *file);
static bool ranges_join(const struct hsr_journal_file *file, struct hsr_kept_range *left,
                        const struct hsr_kept_range *right);

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

int hsr_journal_table_free(const struct hsr_journal_table *table)
{
    int other = -1;

    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++) {
        if (!table->files[i].used)
            return (int)i;
        if (!table->files[i].claimed)
            other = (int)i;
    }
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
    uint32_t digest_size, first, last;
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
    rc = ranges_place(file, range, &first, &last);
    if (rc == 0 && ranges_reserve(table, file) == -ENOBUFS) {
        table_tighten(table);
        rc = ranges_place(file, range, &first, &last);
    }
    if (rc != 0)
        return HSR_MIN(rc, 0);
    rc = ranges_reserve(table, file);
    if (rc < 0)
        return rc;
    memmove(&file->ranges[first + 1], &file->ranges[last],
            (file->range_count - last) * sizeof(*file->ranges));
    file->ranges[first] = *range;
    file->range_count -= last - first;
    file->range_count++;
    return 0;
}

/* [*first, *last) is what @range takes the place of. 1: it lies within one that is there. */
static int ranges_place(const struct hsr_journal_file *file, const struct hsr_journal_range *range,
                        uint32_t *first, uint32_t *last)
{
    uint32_t low = 0, high = file->range_count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (range_end(&file->ranges[middle]) <= range->at.offset)
            low = middle + 1;
        else
            high = middle;
    }
    *first = *last = low;
    while (*last < file->range_count && file->ranges[*last].at.offset < range_end(range)) {
        const struct hsr_journal_range *other = &file->ranges[*last];
        bool left = other->at.offset >= range->at.offset;
        bool right = range_end(other) <= range_end(range);

        if (!left || !right) {
            bool within =
                other->at.offset <= range->at.offset && range_end(other) >= range_end(range);

            hsr_require(within, HSR_E_PROTOCOL);
            return 1;
        }
        ++*last;
    }
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
    return count;
}

void hsr_journal_table_forget(struct hsr_journal_table *table, uint32_t slot, uint64_t offset,
                              uint64_t size)
{
    struct hsr_journal_file *file = &table->files[slot];
    uint32_t kept = 0;

    hsr_assert(slot < HSR_JOURNAL_FILES_MAX && file->used);
    for (uint32_t i = 0; i < file->range_count; i++)
        if (range_end(&file->ranges[i]) <= offset || file->ranges[i].at.offset >= offset + size)
            file->ranges[kept++] = file->ranges[i];
    file->range_count = kept;
}

void hsr_journal_table_cut(struct hsr_journal_table *table, enum hsr_range_level level)
{
    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++) {
        struct hsr_journal_file *file = &table->files[i];
        uint32_t kept = 0;

        for (uint32_t k = 0; file->used && k < file->range_count; k++)
            if (file->ranges[k].level >= level)
                file->ranges[kept++] = file->ranges[k];
        file->range_count = kept;
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
    uint32_t count = 0;

    for (uint32_t i = 0; i < file->range_count && count < HSR_KEPT_RANGES_MAX; i++) {
        ranges[count++] = file->ranges[i].at;
        while (count > 1 && ranges_join(file, &ranges[count - 2], &ranges[count - 1]))
            count--;
    }
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

/* There is no room: neighbours of one level become one, and what that frees is free for all. */
static void table_tighten(struct hsr_journal_table *table)
{
    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++) {
        struct hsr_journal_file *file = &table->files[i];
        struct hsr_journal_range *ranges;
        uint32_t room = RANGES_FIRST;

        if (!file->used || file->range_room <= RANGES_FIRST)
            continue;
        ranges_merge(file);
        while (room < file->range_count)
            room *= 2;
        ranges = room < file->range_room ? reallocarray(file->ranges, room, sizeof(*ranges)) : NULL;
        if (ranges == NULL)
            continue; /* it keeps what it has */
        table->range_room -= file->range_room - room;
        file->ranges = ranges;
        file->range_room = room;
    }
}

static void ranges_merge(struct hsr_journal_file *file)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < file->range_count; i++) {
        file->ranges[count++] = file->ranges[i];
        while (count > 1 && file->ranges[count - 2].level == file->ranges[count - 1].level &&
               ranges_join(file, &file->ranges[count - 2].at, &file->ranges[count - 1].at))
            count--; /* it may be the sibling of what is before it now */
    }
    file->range_count = count;
}

/* Make @left both, if they can be one. */
static bool ranges_join(const struct hsr_journal_file *file, struct hsr_kept_range *left,
                        const struct hsr_kept_range *right)
{
    if (left->offset + left->size != right->offset)
        return false;
    if (file->digest != HSR_DIGEST_XXH3 &&
        (left->size != right->size || left->offset % (2 * left->size) != 0 ||
         2 * left->size >= file->size))
        return false;
    hsr_digest_piece_join((enum hsr_digest_kind)file->digest, left->value, right->value,
                          left->value);
    left->size += right->size;
    return true;
}
