/* The source's table of hard links: which file was seen under which name first. Bounded: a file is
 * forgotten when all its names were seen, and beyond the budget links become copies. Pure but for
 * malloc, within that budget. */
#ifndef HSR_TREE_LINKS_H
#define HSR_TREE_LINKS_H

#include "base/base.h"

enum hsr_link_kind {
    HSR_LINK_FIRST = 1, /* remembered under *ret_id */
    HSR_LINK_NEXT, /* *ret_id was seen before, as *ret_path */
    HSR_LINK_COPY /* no room: treat it as a file of its own */
};

struct hsr_link {
    uint64_t dev;
    uint64_t ino;
    uint32_t id;
    uint32_t left; /* names that were not seen yet */
    uint32_t path_size; /* bytes */
    char *path; /* NULL: a free slot */
};

struct hsr_links {
    struct hsr_link *slots; /* open addressing; NULL until the first link */
    uint32_t size; /* slots, a power of two */
    uint32_t count;
    uint32_t id_next;
    size_t bytes; /* held now */
    size_t bytes_max;
    char *spent; /* path of a forgotten file: valid until the next call */
    uint32_t spent_size;
};

void hsr_links_init(struct hsr_links *links, size_t bytes_max);
void hsr_links_fini(struct hsr_links *links);

/** A name of a file with @nlink names was met.
 * @param path      of this name; copied when it is the first
 * @param ret_id    for FIRST and NEXT
 * @param ret_path  for NEXT: path of the first name; borrowed until the next call */
enum hsr_link_kind hsr_links_see(struct hsr_links *links, uint64_t dev, uint64_t ino,
                                 uint32_t nlink, struct hsr_span path, uint32_t *ret_id,
                                 struct hsr_span *ret_path);

#endif
