/* Contents of simulated files: sorted pages, holes where none is. Pages are shared between the seen
 * and the durable state until one of them is written. */
#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/fs.h"

static uint64_t pages_of(uint64_t bytes)
{
    return bytes / SIM_PAGE + (bytes % SIM_PAGE != 0);
}

/* First extent at or after page @index. */
static uint32_t extent_find(const struct sim_data *data, uint64_t index)
{
    uint32_t low = 0, high = data->count;

    if (high > 0 && data->extents[high - 1].index < index)
        return high; /* files are mostly written in order */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (data->extents[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void page_release(struct sim_page *page)
{
    hsr_assert(page->refs > 0);
    if (--page->refs == 0)
        free(page);
}

static void extent_insert(struct sim_data *data, uint32_t at, struct sim_extent extent)
{
    if (data->count == data->room) {
        data->room = data->room == 0 ? 16 : data->room * 2;
        data->extents = realloc(data->extents, data->room * sizeof(*data->extents));
        hsr_assert(data->extents != NULL);
    }
    memmove(&data->extents[at + 1], &data->extents[at],
            (data->count - at) * sizeof(*data->extents));
    data->extents[at] = extent;
    data->count++;
}

/* The page @index for writing: made, or copied when it is shared. NULL: the disk is full. */
static struct sim_page *page_own(struct sim_inode *inode, uint64_t index)
{
    struct sim_data *data = &inode->live.data;
    uint32_t at = extent_find(data, index);
    struct sim_page *page, *copy;

    if (at < data->count && data->extents[at].index == index) {
        page = data->extents[at].page;
        if (page->refs == 1)
            return page;
        copy = malloc(sizeof(*copy));
        hsr_assert(copy != NULL);
        *copy = *page;
        copy->refs = 1;
        page->refs--;
        data->extents[at].page = copy;
        return copy;
    }
    if (inode->host->pages_max != 0 && inode->host->pages >= inode->host->pages_max)
        return NULL;
    page = calloc(1, sizeof(*page));
    hsr_assert(page != NULL);
    page->refs = 1;
    extent_insert(data, at, (struct sim_extent){ .index = index, .page = page });
    inode->host->pages++;
    return page;
}

/* Drop whole pages [first, end). */
static void pages_drop(struct sim_inode *inode, uint64_t first, uint64_t end)
{
    struct sim_data *data = &inode->live.data;
    uint32_t from = extent_find(data, first), to = extent_find(data, end);

    for (uint32_t i = from; i < to; i++)
        page_release(data->extents[i].page);
    if (to > from) {
        memmove(&data->extents[from], &data->extents[to],
                (data->count - to) * sizeof(*data->extents));
        data->count -= to - from;
        inode->host->pages -= to - from;
    }
}

/* Zero [start, end) where pages exist; the range lies in one page. */
static void page_zero(struct sim_inode *inode, uint64_t start, uint64_t end)
{
    struct sim_data *data = &inode->live.data;
    uint64_t index = start / SIM_PAGE;
    uint32_t at = extent_find(data, index);

    if (start >= end || at == data->count || data->extents[at].index != index)
        return;
    memset(page_own(inode, index)->bytes + start % SIM_PAGE, 0, (size_t)(end - start));
}

int64_t sim_data_read(const struct sim_data *data, void *buf, uint64_t size, uint64_t offset)
{
    uint8_t *out = buf;
    uint64_t done = 0;

    if (offset >= data->size)
        return 0;
    size = HSR_MIN(size, data->size - offset);
    while (done < size) {
        uint64_t at = offset + done;
        uint64_t part = HSR_MIN(size - done, SIM_PAGE - at % SIM_PAGE);
        uint32_t i = extent_find(data, at / SIM_PAGE);

        if (i < data->count && data->extents[i].index == at / SIM_PAGE)
            memcpy(out + done, data->extents[i].page->bytes + at % SIM_PAGE, (size_t)part);
        else
            memset(out + done, 0, (size_t)part);
        done += part;
    }
    return (int64_t)done;
}

/* A write of content: journals have checks of their own, and losing one loses nothing. */
static bool writes_content(const struct sim_data *data, uint64_t size)
{
    char magic[8] = "";

    (void)sim_data_read(data, magic, sizeof(magic), 0); /* of a new file: what was just written */
    return size >= 64 && memcmp(magic, "HwsrJrnl", sizeof(magic)) != 0;
}

int64_t sim_data_write(struct sim_inode *inode, const void *buf, uint64_t size, uint64_t offset)
{
    struct sim_world *world = inode->host->world;
    struct sim_data *data = &inode->live.data;
    const uint8_t *in = buf;
    uint64_t done = 0;

    if (size == 0)
        return 0;
    while (done < size) {
        uint64_t at = offset + done;
        uint64_t part = HSR_MIN(size - done, SIM_PAGE - at % SIM_PAGE);
        struct sim_page *page = page_own(inode, at / SIM_PAGE);

        if (page == NULL)
            break;
        memcpy(page->bytes + at % SIM_PAGE, in + done, (size_t)part);
        done += part;
        data->size = HSR_MAX(data->size, offset + done);
        if (world->bug == SIM_BUG_CORRUPT && world->bug_fired == 0 && writes_content(data, size)) {
            page->bytes[at % SIM_PAGE] ^= 1;
            world->bug_fired++;
        }
    }
    return done > 0 ? (int64_t)done : -ENOSPC;
}

int sim_data_resize(struct sim_inode *inode, uint64_t size)
{
    struct sim_data *data = &inode->live.data;

    if (size < data->size) {
        pages_drop(inode, pages_of(size), UINT64_MAX);
        if (size % SIM_PAGE != 0)
            page_zero(inode, size, (size / SIM_PAGE + 1) * SIM_PAGE);
    }
    data->size = size;
    data->reserved = HSR_MIN(data->reserved, size); /* truncate(2) frees what lies beyond */
    return 0;
}

static void data_punch(struct sim_inode *inode, uint64_t offset, uint64_t end)
{
    uint64_t first = pages_of(offset), last = end / SIM_PAGE;

    if (first > last) { /* inside of one page */
        page_zero(inode, offset, end);
        return;
    }
    page_zero(inode, offset, first * SIM_PAGE);
    pages_drop(inode, first, last);
    page_zero(inode, last * SIM_PAGE, end);
}

int sim_data_fallocate(struct sim_inode *inode, uint32_t mode, uint64_t offset, uint64_t size)
{
    struct sim_data *data = &inode->live.data;
    uint64_t end = offset + size;
    uint64_t left;

    if (size == 0)
        return -EINVAL;
    switch (mode) {
    case 0:
    case FALLOC_FL_KEEP_SIZE:
        left = inode->host->pages_max - HSR_MIN(inode->host->pages, inode->host->pages_max);
        if (inode->host->pages_max != 0 && pages_of(end) > data->count + left)
            return -ENOSPC;
        data->reserved = HSR_MAX(data->reserved, end);
        if (mode == 0)
            data->size = HSR_MAX(data->size, end);
        return 0;
    case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
        data_punch(inode, offset, HSR_MIN(end, pages_of(data->size) * SIM_PAGE));
        return 0;
    default:
        sim_violation(inode->host->world, "fallocate mode %#x is not simulated", mode);
        return -EOPNOTSUPP;
    }
}

int64_t sim_data_seek(const struct sim_data *data, uint64_t offset, bool hole)
{
    uint64_t index = offset / SIM_PAGE;
    uint32_t at = extent_find(data, index);

    if (offset >= data->size)
        return -ENXIO;
    if (!hole) {
        if (at == data->count || data->extents[at].index * SIM_PAGE >= data->size)
            return -ENXIO;
        return (int64_t)HSR_MAX(offset, data->extents[at].index * SIM_PAGE);
    }
    while (at < data->count && data->extents[at].index == index) {
        at++;
        index++;
    }
    return (int64_t)HSR_MIN(HSR_MAX(offset, index * SIM_PAGE), data->size);
}

void sim_data_clone(struct sim_inode *inode, const struct sim_data *from)
{
    struct sim_data *data = &inode->live.data;

    if (data == from)
        return;
    inode->host->pages -= data->count;
    sim_data_free(data);
    sim_data_copy(data, from);
    data->reserved = 0;
    inode->host->pages += data->count;
}

void sim_data_place(struct sim_data *data, uint64_t index, const uint8_t bytes[SIM_PAGE])
{
    uint32_t at = extent_find(data, index);
    struct sim_page *page = malloc(sizeof(*page));

    hsr_assert(page != NULL);
    page->refs = 1;
    memcpy(page->bytes, bytes, SIM_PAGE);
    if (at < data->count && data->extents[at].index == index) {
        page_release(data->extents[at].page);
        data->extents[at].page = page;
        return;
    }
    extent_insert(data, at, (struct sim_extent){ .index = index, .page = page });
}

void sim_data_trim(struct sim_data *data)
{
    uint8_t bytes[SIM_PAGE];
    uint32_t at;

    while (data->count > 0 && data->extents[data->count - 1].index >= pages_of(data->size))
        page_release(data->extents[--data->count].page);
    if (data->size % SIM_PAGE == 0)
        return;
    at = extent_find(data, data->size / SIM_PAGE);
    if (at == data->count)
        return;
    memcpy(bytes, data->extents[at].page->bytes, SIM_PAGE);
    memset(bytes + data->size % SIM_PAGE, 0, SIM_PAGE - data->size % SIM_PAGE);
    sim_data_place(data, data->size / SIM_PAGE, bytes);
}

void sim_data_copy(struct sim_data *to, const struct sim_data *from)
{
    *to = *from;
    to->room = from->count;
    to->extents = NULL;
    if (from->count > 0) {
        to->extents = malloc(from->count * sizeof(*to->extents));
        hsr_assert(to->extents != NULL);
        memcpy(to->extents, from->extents, from->count * sizeof(*to->extents));
    }
    for (uint32_t i = 0; i < to->count; i++)
        to->extents[i].page->refs++;
}

bool sim_data_same(const struct sim_data *data, const struct sim_data *other)
{
    if (data->size != other->size || data->count != other->count)
        return false;
    for (uint32_t i = 0; i < data->count; i++)
        if (data->extents[i].index != other->extents[i].index ||
            data->extents[i].page != other->extents[i].page)
            return false;
    return true;
}

void sim_data_free(struct sim_data *data)
{
    for (uint32_t i = 0; i < data->count; i++)
        page_release(data->extents[i].page);
    free(data->extents);
    *data = (struct sim_data){ 0 };
}

/* In units of 512 bytes, as st_blocks. */
uint64_t sim_data_blocks(const struct sim_data *data)
{
    uint64_t reserved = pages_of(data->reserved);
    uint64_t beyond = data->count - extent_find(data, reserved);

    return (reserved + beyond) * (SIM_PAGE / 512);
}
