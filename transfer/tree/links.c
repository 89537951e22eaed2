/* The source's table of hard links. */
#include "transfer/tree/links.h"

#include <stdlib.h>

#define LINKS_SIZE_MIN 64u

void hsr_links_init(struct hsr_links *links, size_t bytes_max)
{
    *links = (struct hsr_links){ .id_next = 1, .bytes_max = bytes_max };
}

void hsr_links_fini(struct hsr_links *links)
{
    for (uint32_t i = 0; i < links->size; i++)
        free(links->slots[i].path);
    free(links->slots);
    free(links->spent);
    *links = (struct hsr_links){ 0 };
}

static uint32_t links_home(uint32_t size, uint64_t dev, uint64_t ino)
{
    struct hsr_prng mix = hsr_prng_init(ino ^ (dev * 0xd6e8feb86659fd93ull));

    return (uint32_t)hsr_prng_next(&mix) & (size - 1);
}

/* The slot that holds the file, or the free one where it belongs. */
static struct hsr_link *links_slot(struct hsr_link *slots, uint32_t size, uint64_t dev,
                                   uint64_t ino)
{
    uint32_t i = links_home(size, dev, ino);

    while (slots[i].path != NULL && (slots[i].ino != ino || slots[i].dev != dev))
        i = (i + 1) & (size - 1);
    return &slots[i];
}

/* Room for one more at half load. */
static bool links_grow(struct hsr_links *links)
{
    uint32_t size = links->size == 0 ? LINKS_SIZE_MIN : links->size * 2;
    size_t more = (size - links->size) * sizeof(struct hsr_link);
    struct hsr_link *slots;

    if (links->size > 0 && (links->count + 1) * 2 <= links->size)
        return true;
    if (size > UINT32_MAX / 4 || more > links->bytes_max - links->bytes)
        return false;
    slots = calloc(size, sizeof(*slots));
    if (slots == NULL)
        return false;
    for (uint32_t i = 0; i < links->size; i++) {
        const struct hsr_link *link = &links->slots[i];

        if (link->path != NULL)
            *links_slot(slots, size, link->dev, link->ino) = *link;
    }
    free(links->slots);
    links->slots = slots;
    links->size = size;
    links->bytes += more;
    return true;
}

/* Close the gap at @hole, so that a search may stop at the first free slot. */
static void links_remove(struct hsr_links *links, uint32_t hole)
{
    uint32_t mask = links->size - 1;

    for (uint32_t i = (hole + 1) & mask; links->slots[i].path != NULL; i = (i + 1) & mask) {
        uint32_t home = links_home(links->size, links->slots[i].dev, links->slots[i].ino);

        if (((i - home) & mask) >= ((i - hole) & mask)) {
            links->slots[hole] = links->slots[i];
            hole = i;
        }
    }
    links->slots[hole] = (struct hsr_link){ 0 };
    links->count--;
}

static void links_spent_free(struct hsr_links *links)
{
    if (links->spent != NULL)
        links->bytes -= links->spent_size;
    free(links->spent);
    links->spent = NULL;
    links->spent_size = 0;
}

enum hsr_link_kind hsr_links_see(struct hsr_links *links, uint64_t dev, uint64_t ino,
                                 uint32_t nlink, struct hsr_span path, uint32_t *ret_id,
                                 struct hsr_span *ret_path)
{
    struct hsr_link *link;

    hsr_assert(nlink > 1 && path.size > 0 && path.size <= UINT32_MAX);
    links_spent_free(links);
    link = links->size > 0 ? links_slot(links->slots, links->size, dev, ino) : NULL;
    if (link != NULL && link->path != NULL) {
        *ret_id = link->id;
        *ret_path = (struct hsr_span){ (const uint8_t *)link->path, link->path_size };
        if (--link->left == 0) {
            links->spent = link->path;
            links->spent_size = link->path_size;
            links_remove(links, (uint32_t)(link - links->slots));
        }
        return HSR_LINK_NEXT;
    }

    if (links->id_next == UINT32_MAX || !links_grow(links) ||
        path.size > links->bytes_max - links->bytes)
        return HSR_LINK_COPY;
    link = links_slot(links->slots, links->size, dev, ino);
    link->path = malloc(path.size);
    if (link->path == NULL)
        return HSR_LINK_COPY;
    memcpy(link->path, path.ptr, path.size);
    link->path_size = (uint32_t)path.size;
    link->dev = dev;
    link->ino = ino;
    link->id = links->id_next++;
    link->left = nlink - 1;
    links->count++;
    links->bytes += path.size;
    hsr_assert(links->bytes <= links->bytes_max);
    *ret_id = link->id;
    return HSR_LINK_FIRST;
}
