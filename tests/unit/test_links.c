/* The table of hard links. */
#include "transfer/tree/links.h"

#include "tests/unit/hsr_test.h"

static enum hsr_link_kind see(struct hsr_links *links, uint64_t ino, uint32_t nlink,
                              const char *path, uint32_t *id, char first[64])
{
    struct hsr_span name = { (const uint8_t *)path, strlen(path) };
    struct hsr_span found = { NULL, 0 };
    enum hsr_link_kind kind = hsr_links_see(links, 7, ino, nlink, name, id, &found);

    first[0] = '\0';
    if (kind == HSR_LINK_NEXT)
        snprintf(first, 64, "%.*s", (int)found.size, (const char *)found.ptr);
    return kind;
}

/* Goal: later names get the id and path of the first; a file is forgotten after its last name. */
static void test_links_names_share_an_id(void)
{
    struct hsr_links links;
    char first[64];
    uint32_t a = 0, b = 0, id = 0;

    hsr_links_init(&links, 65536);
    CHECK_EQ(see(&links, 10, 3, "d/a", &a, first), HSR_LINK_FIRST);
    CHECK_EQ(see(&links, 11, 2, "d/b", &b, first), HSR_LINK_FIRST);
    CHECK(a != b);
    CHECK_EQ(see(&links, 10, 3, "d/c", &id, first), HSR_LINK_NEXT);
    CHECK(id == a && strcmp(first, "d/a") == 0);
    CHECK_EQ(links.count, 2);
    CHECK_EQ(see(&links, 10, 3, "e", &id, first), HSR_LINK_NEXT);
    CHECK(id == a && strcmp(first, "d/a") == 0);
    CHECK_EQ(links.count, 1);
    CHECK_EQ(see(&links, 10, 3, "again", &id, first), HSR_LINK_FIRST);
    CHECK(id != a && id != b);
    hsr_links_fini(&links);
    hsr_links_fini(&links); /* harmless */
}

/* Goal: the same inode number on another device is another file. */
static void test_links_device_counts(void)
{
    struct hsr_span name = { (const uint8_t *)"x", 1 }, path;
    struct hsr_links links;
    uint32_t id;

    hsr_links_init(&links, 65536);
    CHECK_EQ(hsr_links_see(&links, 1, 5, 2, name, &id, &path), HSR_LINK_FIRST);
    CHECK_EQ(hsr_links_see(&links, 2, 5, 2, name, &id, &path), HSR_LINK_FIRST);
    CHECK_EQ(hsr_links_see(&links, 1, 5, 2, name, &id, &path), HSR_LINK_NEXT);
    hsr_links_fini(&links);
}

/* Goal: beyond the budget links are copies, never more memory; what was forgotten makes room. */
static void test_links_budget_holds(void)
{
    const size_t budget = 64 * sizeof(struct hsr_link) + 100;
    struct hsr_links links;
    unsigned copies = 0;
    char first[64];
    uint32_t id;

    hsr_links_init(&links, budget);
    for (unsigned i = 0; i < 100; i++) {
        copies += see(&links, i + 1, 2, "0123456789", &id, first) == HSR_LINK_COPY;
        CHECK(links.bytes <= budget);
    }
    CHECK_EQ(copies, 90);
    CHECK_EQ(see(&links, 1, 2, "second", &id, first), HSR_LINK_NEXT);
    CHECK_EQ(see(&links, 500, 2, "0123456789", &id, first), HSR_LINK_FIRST);
    hsr_links_fini(&links);

    hsr_links_init(&links, 0);
    CHECK_EQ(see(&links, 1, 2, "a", &id, first), HSR_LINK_COPY);
    CHECK_EQ(links.bytes, 0);
    hsr_links_fini(&links);
}

/* Goal: removal keeps every other file findable. Method: many files, names in random order. */
static void test_links_many_files_found_again(void)
{
    enum { FILES = 3000, NAMES = 3 };
    static uint32_t ids[FILES];
    static unsigned seen[FILES];
    struct hsr_prng prng = hsr_prng_init(1);
    struct hsr_links links;
    unsigned left = FILES * NAMES;

    hsr_links_init(&links, 64 * HSR_MIB);
    while (left > 0) {
        uint64_t file = hsr_prng_below(&prng, FILES);
        char path[64], first[64];
        uint32_t id = 0;
        enum hsr_link_kind kind;

        if (seen[file] == NAMES)
            continue;
        snprintf(path, sizeof(path), "file-%u", (unsigned)file);
        kind = see(&links, file * 4096, NAMES, path, &id, first);
        CHECK(kind == (seen[file] == 0 ? HSR_LINK_FIRST : HSR_LINK_NEXT));
        if (kind == HSR_LINK_FIRST)
            ids[file] = id;
        CHECK(ids[file] == id && (kind != HSR_LINK_NEXT || strcmp(first, path) == 0));
        seen[file]++;
        left--;
    }
    CHECK_EQ(links.count, 0);
    hsr_links_fini(&links);
}

int main(void)
{
    RUN(test_links_names_share_an_id);
    RUN(test_links_device_counts);
    RUN(test_links_budget_holds);
    RUN(test_links_many_files_found_again);
    TEST_END();
}
