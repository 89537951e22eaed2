/* Parts of a walk done by branches, put into one order as walk.h asks for, on real trees. */
#include "transfer/tree/walk.h"

#include "tests/unit/tree_test.h"

#define NAMES 4000u /* in one directory: some five buffers of names */
#define BRANCHES 2u

struct seen {
    unsigned files, dirs, ends, offers, failed, incomplete;
    bool began[8192], ended[8192]; /* by directory id */
    struct hsr_list jobs;
};

/* What the target insists on, and then what is to be done now. */
static void take(struct seen *seen, const struct hsr_walk_item *item)
{
    const struct hsr_entry *entry = &item->entry;
    struct hsr_walk_job *job;

    if (item->kind == HSR_WALK_ENTRY && item->code != 0) {
        seen->failed++;
    } else if (item->kind == HSR_WALK_ENTRY) {
        CHECK(seen->began[entry->parent] && !seen->ended[entry->parent]);
        seen->files += entry->type == HSR_ENTRY_FILE;
        if (entry->type == HSR_ENTRY_DIR) {
            CHECK(!seen->began[entry->dir] || entry->dir == HSR_DIR_ROOT);
            seen->began[entry->dir] = true;
            seen->dirs++;
        } else if (entry->type == HSR_ENTRY_DIR_END) {
            CHECK(seen->began[entry->dir]);
            seen->ended[entry->dir] = true;
            seen->ends++;
            seen->incomplete += (entry->flags & HSR_ENTRY_INCOMPLETE) != 0;
        }
    }
    seen->offers += item->kind == HSR_WALK_OFFER;
    job = hsr_walk_ordered(item);
    if (job != NULL)
        hsr_list_push_tail(&seen->jobs, hsr_walk_job_node(job));
}

/* Walk @fx with a trunk and branches in turn, some items each, all of them generous. */
static void walk_shared(struct tree_fixture *fx, uint32_t offers, struct seen *seen)
{
    struct hsr_walk_top top = { .base_fd = fx->fd, .contents = true };
    struct hsr_walk_options options = { .xattrs = true, .links_later = true };
    struct hsr_walk *walks[1 + BRANCHES];
    bool busy[1 + BRANCHES] = { true };
    unsigned fds = tree_fds_open();
    bool more = true;

    *seen = (struct seen){ .began[HSR_DIR_ROOT] = true };
    hsr_list_init(&seen->jobs);
    CHECK_EQ(hsr_walk_create(&fx->loop, &top, 1, &options, &walks[0]), 0);
    for (unsigned i = 1; i <= BRANCHES; i++)
        CHECK_EQ(hsr_walk_branch(&fx->loop, &options, &walks[i]), 0);
    while (more) {
        more = false;
        for (unsigned i = 0; i <= BRANCHES; i++) {
            struct hsr_walk_item item;

            if (!busy[i] && i > 0 && !hsr_list_empty(&seen->jobs)) {
                struct hsr_list *node = hsr_list_pop_head(&seen->jobs);

                CHECK_EQ(hsr_walk_begin(walks[i], walks[0], hsr_walk_job_of(node)), 0);
                busy[i] = true;
            }
            for (unsigned n = 0; n < 7 * (i + 1) && busy[i]; n++) {
                int rc;

                hsr_walk_offers(walks[i], offers);
                rc = hsr_walk_next(walks[i], &item);
                CHECK(rc >= 0);
                busy[i] = rc > 0;
                if (rc > 0)
                    take(seen, &item);
            }
            more = more || busy[i] || !hsr_list_empty(&seen->jobs);
        }
    }
    for (unsigned i = BRANCHES + 1; i-- > 0;)
        hsr_walk_destroy(walks[i]); /* the last one asserts that no record is left */
    CHECK_EQ(tree_fds_open(), fds);
}

static void fill(struct tree_fixture *fx)
{
    char name[64];

    CHECK_EQ(mkdirat(fx->fd, "wide", 0755), 0);
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "wide/%05u-a-name-that-takes-some-room", i);
        tree_file(fx->fd, name, "");
    }
    for (unsigned i = 0; i < 300; i++) { /* directories, everywhere in it */
        snprintf(name, sizeof(name), "wide/%05u-dir", i * 13);
        CHECK_EQ(mkdirat(fx->fd, name, 0755), 0);
        snprintf(name, sizeof(name), "wide/%05u-dir/in", i * 13);
        tree_file(fx->fd, name, "");
    }
    CHECK_EQ(mkdirat(fx->fd, "deep", 0755), 0);
    for (unsigned i = 1; i <= 20; i++) { /* deeper than a branch keeps open */
        snprintf(name, 4 + 2 * i + 1, "deep/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d");
        CHECK_EQ(mkdirat(fx->fd, name, 0755), 0);
    }
}

/* Goal: however much is given away, every entry comes once, a DIR before and a DIR_END after what
 * is in the directory, and nothing is kept. Method: the same tree with none, few and all parts
 * given away; the target's rules are checked at each item. */
static void test_branch_brings_every_entry_once_in_order(void)
{
    static const uint32_t offers[] = { 0, 1, 3, 100 };
    static struct seen seen;
    struct tree_fixture fx;

    tree_fixture_init(&fx);
    fill(&fx);
    for (size_t i = 0; i < HSR_ARRAY_COUNT(offers); i++) {
        walk_shared(&fx, offers[i], &seen);
        CHECK_EQ(seen.files, NAMES + 300);
        CHECK_EQ(seen.dirs, 1 + 1 + 300 + 1 + 20);
        CHECK_EQ(seen.ends, seen.dirs);
        CHECK_EQ(seen.failed, 0);
        CHECK_EQ(seen.incomplete, 0);
        CHECK_EQ(seen.offers > 300, offers[i] > 0); /* slices, and what is in them */
    }
    tree_fixture_fini(&fx);
}

/* Goal: a directory that is another one when its part is begun fails, its parent's end says nothing
 * about that, and its own end says that its listing has gaps. */
static void test_branch_finds_another_directory(void)
{
    struct hsr_walk_options options = { .links_later = true };
    struct hsr_walk *trunk, *branch;
    struct hsr_walk_item item;
    static struct seen seen;
    struct tree_fixture fx;

    tree_fixture_init(&fx);
    CHECK_EQ(mkdirat(fx.fd, "a", 0755), 0);
    tree_file(fx.fd, "a/file", "");
    struct hsr_walk_top top = { .base_fd = fx.fd, .contents = true };

    seen = (struct seen){ .began[HSR_DIR_ROOT] = true };
    hsr_list_init(&seen.jobs);
    CHECK_EQ(hsr_walk_create(&fx.loop, &top, 1, &options, &trunk), 0);
    CHECK_EQ(hsr_walk_branch(&fx.loop, &options, &branch), 0);
    hsr_walk_offers(trunk, 1);
    while (hsr_walk_next(trunk, &item) == 1)
        take(&seen, &item);
    CHECK_EQ(seen.offers, 1);
    CHECK_EQ(seen.ends, 0);
    CHECK_EQ(renameat(fx.fd, "a", fx.fd, "b"), 0);
    while (!hsr_list_empty(&seen.jobs)) {
        struct hsr_list *node = hsr_list_pop_head(&seen.jobs);

        CHECK_EQ(hsr_walk_begin(branch, trunk, hsr_walk_job_of(node)), 0);
        while (hsr_walk_next(branch, &item) == 1)
            take(&seen, &item);
    }
    CHECK_EQ(seen.files, 0);
    CHECK_EQ(seen.ends, 2);
    CHECK_EQ(seen.failed, 1);
    CHECK_EQ(seen.incomplete, 1);
    hsr_walk_destroy(branch);
    hsr_walk_destroy(trunk);
    tree_fixture_fini(&fx);
}

/* Goal: a walk that ends between the DIR of a directory and its offer, as when its session fails
 * there, forgets the offer. The walk itself asserts that nothing is held. */
static void test_branch_ends_before_its_offer(void)
{
    const struct hsr_walk_options options = { .links_later = true };
    struct hsr_walk *trunk;
    struct hsr_walk_item item;
    struct tree_fixture fx;
    bool met = false;

    tree_fixture_init(&fx);
    CHECK_EQ(mkdirat(fx.fd, "a", 0755), 0);
    struct hsr_walk_top top = { .base_fd = fx.fd, .contents = true };

    CHECK_EQ(hsr_walk_create(&fx.loop, &top, 1, &options, &trunk), 0);
    hsr_walk_offers(trunk, 1);
    while (!met && hsr_walk_next(trunk, &item) == 1)
        met = item.kind == HSR_WALK_ENTRY && item.entry.type == HSR_ENTRY_DIR &&
              item.self != NULL && item.entry.name.size == 1;
    CHECK(met);
    hsr_walk_destroy(trunk);
    tree_fixture_fini(&fx);
}

int main(void)
{
    RUN(test_branch_brings_every_entry_once_in_order);
    RUN(test_branch_finds_another_directory);
    RUN(test_branch_ends_before_its_offer);
    TEST_END();
}
