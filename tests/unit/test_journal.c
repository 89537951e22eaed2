/* The journal: what it says comes back, whatever is torn, cut or flipped; what cannot be is refused
 * as a whole; and on a real directory it is found, locked and replaced as it should be. */
#include <sys/file.h>

#include "transfer/tree/journal.h"
#include "tree_fixture.h"

#define UNIT HSR_KEPT_UNIT
#define RECORDS_MAX 64u

static struct hsr_journal_table table, other;
static uint8_t image[(RECORDS_MAX + 1) * HSR_JOURNAL_RECORD_SIZE];
static uint8_t copy[sizeof(image)];

static const struct hsr_journal_header header = { .id = "sixteen bytes id", .mount = 7 };

static struct hsr_journal_file file_of(uint64_t path, uint64_t units, enum hsr_digest_kind digest)
{
    return (struct hsr_journal_file){ .digest = (uint8_t)digest,
                                      .leaf = 65536,
                                      .path = { path, 1 },
                                      .version = { path, 2 },
                                      .size = units * UNIT,
                                      .ino = path + 100,
                                      .stage = { 1, 2, 3, (uint8_t)path } };
}

static struct hsr_journal_record range_of(uint32_t slot, uint64_t unit, uint64_t units,
                                          unsigned level)
{
    struct hsr_journal_record record = {
        .kind = HSR_JOURNAL_RANGE,
        .slot = slot,
        .range = { .at = { .offset = unit * UNIT, .size = units * UNIT }, .level = (uint8_t)level }
    };

    memset(record.range.at.value, (int)unit + 1, 16);
    return record;
}

/* Do it to `table`, and append it to the image as record @seq. */
static int add(uint64_t seq, const struct hsr_journal_record *record)
{
    hsr_journal_record_encode(&header, seq, record, image + seq * HSR_JOURNAL_RECORD_SIZE);
    return hsr_journal_record_apply(&table, record);
}

/* A story with every kind of record. @return its records */
static uint32_t story(void)
{
    struct hsr_journal_record record;
    uint32_t seq = 0;

    hsr_journal_table_init(&table);
    hsr_journal_header_encode(&header, image);
    for (uint32_t i = 0; i < 3; i++) {
        record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_FILE, .slot = i };
        record.file = file_of(i, 9, i == 2 ? HSR_DIGEST_BLAKE3 : HSR_DIGEST_XXH3);
        CHECK_EQ(add(++seq, &record), 0);
    }
    for (uint64_t unit = 0; unit < 4; unit++)
        for (uint32_t slot = 0; slot < 3; slot++) {
            record = range_of(slot, unit, 1, HSR_RANGE_WRITTEN);
            CHECK_EQ(add(++seq, &record), 0);
        }
    for (uint32_t i = 0; i < 2; i++) { /* two are synced; what comes meanwhile is not covered */
        record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_SYNC,
                                              .level = HSR_RANGE_SYNCING,
                                              .slot = i };
        CHECK_EQ(add(++seq, &record), 0);
        record = range_of(i, 4, 1, HSR_RANGE_WRITTEN);
        CHECK_EQ(add(++seq, &record), 0);
    }
    record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_SYNC, .level = HSR_RANGE_DURABLE };
    CHECK_EQ(add(++seq, &record), 0);
    record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_SYNC,
                                          .level = HSR_RANGE_WRITTEN,
                                          .slot = 1 };
    CHECK_EQ(add(++seq, &record), 0); /* it failed */
    record = range_of(1, 2, 1, 0);
    record.kind = HSR_JOURNAL_LOST;
    CHECK_EQ(add(++seq, &record), 0);
    record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_GONE, .slot = 1 };
    CHECK_EQ(add(++seq, &record), 0);
    record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_FILE, .slot = 1 };
    record.file = file_of(77, 5, HSR_DIGEST_XXH3);
    CHECK_EQ(add(++seq, &record), 0);
    return seq;
}

static int recover(const uint8_t *bytes, size_t size, uint32_t *ret_records)
{
    struct hsr_journal_header found;

    hsr_journal_table_init(&other);
    return hsr_journal_recover((struct hsr_span){ bytes, size }, &found, &other, ret_records);
}

static bool same_files(const struct hsr_journal_table *a, const struct hsr_journal_table *b)
{
    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++) {
        const struct hsr_journal_file *x = &a->files[i], *y = &b->files[i];

        if (x->used != y->used || x->range_count != y->range_count || x->size != y->size ||
            !hsr_digest_same(x->path, y->path) || !hsr_digest_same(x->version, y->version) ||
            x->ino != y->ino || memcmp(x->stage, y->stage, sizeof(x->stage)) != 0)
            return false;
        for (uint32_t k = 0; k < x->range_count; k++)
            if (memcmp(&x->ranges[k].at, &y->ranges[k].at, sizeof(x->ranges[k].at)) != 0 ||
                x->ranges[k].level != y->ranges[k].level)
                return false;
    }
    return a->file_count == b->file_count;
}

static void test_journal_comes_back(void)
{
    struct hsr_kept_range kept[HSR_KEPT_RANGES_MAX];
    uint32_t count = story(), records;

    CHECK_EQ(recover(image, (count + 1) * (size_t)HSR_JOURNAL_RECORD_SIZE, &records), 0);
    CHECK_EQ(records, count);
    CHECK(same_files(&table, &other));
    /* four ranges are durable, what came during the sync is not; xxh3: told as one */
    CHECK_EQ(other.files[0].range_count, 5);
    CHECK_EQ(other.files[0].ranges[3].level, HSR_RANGE_DURABLE);
    CHECK_EQ(other.files[0].ranges[4].level, HSR_RANGE_WRITTEN);
    CHECK_EQ(hsr_journal_file_kept(&other.files[0], kept), 1);
    CHECK_EQ(kept[0].size, 5 * UNIT);
    CHECK_EQ(kept[0].value[0], 1 + 2 + 3 + 4 + 5); /* sums */
    CHECK_EQ(hsr_journal_file_kept(&other.files[2], kept), 1); /* blake3: siblings, and of these */
    CHECK_EQ(kept[0].size, 4 * UNIT);
    CHECK_EQ(hsr_journal_file_bytes(&other.files[2]), 4 * UNIT);
    CHECK(other.files[1].used && other.files[1].range_count == 0);
    CHECK_EQ(hsr_journal_table_find(&other, (struct hsr_digest_sum){ 77, 1 }), 1);
    CHECK_EQ(hsr_journal_table_find(&other, (struct hsr_digest_sum){ 1, 1 }), -1);
    hsr_journal_table_cut(&other, HSR_RANGE_DURABLE);
    CHECK_EQ(hsr_journal_file_bytes(&other.files[0]), 4 * UNIT);
    CHECK_EQ(other.files[2].range_count, 0);
    hsr_journal_table_fini(&other);
    hsr_journal_table_fini(&table);
}

/* Goal: a sync whose end is not in the journal may have covered nothing: what it was to cover is
 * written, and no more. */
static void test_journal_sync_without_end(void)
{
    struct hsr_journal_record record = { .kind = HSR_JOURNAL_FILE };
    uint32_t seq = 0, records;

    hsr_journal_table_init(&table);
    hsr_journal_header_encode(&header, image);
    record.file = file_of(0, 9, HSR_DIGEST_XXH3);
    CHECK_EQ(add(++seq, &record), 0);
    record = range_of(0, 0, 1, HSR_RANGE_WRITTEN);
    CHECK_EQ(add(++seq, &record), 0);
    record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_SYNC, .level = HSR_RANGE_SYNCING };
    CHECK_EQ(add(++seq, &record), 0);
    CHECK_EQ(table.files[0].ranges[0].level, HSR_RANGE_SYNCING);
    CHECK_EQ(recover(image, (seq + 1) * (size_t)HSR_JOURNAL_RECORD_SIZE, &records), 0);
    CHECK_EQ(records, seq);
    CHECK_EQ(other.files[0].range_count, 1);
    CHECK_EQ(other.files[0].ranges[0].level, HSR_RANGE_WRITTEN);
    hsr_journal_table_cut(&other, HSR_RANGE_DURABLE);
    CHECK_EQ(other.files[0].range_count, 0);
    hsr_journal_table_fini(&other);
    hsr_journal_table_fini(&table);
}

/* Goal: a journal that ends anywhere is read up to its last whole record, and one with any bit
 * flipped never says more than up to there. Method: all of them. */
static void test_journal_truncated_and_flipped(void)
{
    uint32_t count = story(), records;
    size_t size = (count + 1) * (size_t)HSR_JOURNAL_RECORD_SIZE;

    for (size_t cut = 0; cut < size; cut++) {
        int rc = recover(image, cut, &records);

        CHECK_EQ(rc, cut < HSR_JOURNAL_RECORD_SIZE ? HSR_E_TRUNCATED : 0);
        if (rc == 0)
            CHECK_EQ(records, cut / HSR_JOURNAL_RECORD_SIZE - 1);
        hsr_journal_table_fini(&other);
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
        int rc;

        memcpy(copy, image, size);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        rc = recover(copy, size, &records);
        if (bit / 8 < HSR_JOURNAL_RECORD_SIZE)
            CHECK(rc == HSR_E_PROTOCOL || rc == HSR_E_VERSION || rc == HSR_E_CHECK);
        else
            CHECK(rc == 0 && records == bit / 8 / HSR_JOURNAL_RECORD_SIZE - 1);
        hsr_journal_table_fini(&other);
    }
    hsr_journal_table_fini(&table);
}

static int refused(const struct hsr_journal_record *record)
{
    uint32_t records;
    int rc;

    hsr_journal_record_encode(&header, 2, record, image + 2 * (size_t)HSR_JOURNAL_RECORD_SIZE);
    rc = recover(image, 3 * (size_t)HSR_JOURNAL_RECORD_SIZE, &records);
    CHECK_EQ(other.file_count, rc == 0 ? 1 : 0);
    hsr_journal_table_fini(&other);
    return rc;
}

/* Goal: records whose checks are good and that say what cannot be refuse the whole.
 * Method: behind the record of one file, each of them. */
static void test_journal_poisoned(void)
{
    struct hsr_journal_record record = { .kind = HSR_JOURNAL_FILE };

    hsr_journal_table_init(&table);
    hsr_journal_header_encode(&header, image);
    record.file = file_of(1, 8, HSR_DIGEST_XXH3);
    CHECK_EQ(add(1, &record), 0);
    CHECK_EQ(refused(&record), HSR_E_PROTOCOL); /* the slot is taken */
    record = range_of(0, 0, 1, HSR_RANGE_WRITTEN);
    CHECK_EQ(refused(&record), 0);
    record.slot = 1;
    CHECK_EQ(refused(&record), HSR_E_PROTOCOL); /* of no file */
    record = range_of(0, 8, 1, HSR_RANGE_WRITTEN);
    CHECK_EQ(refused(&record), HSR_E_PROTOCOL); /* behind its end */
    record = range_of(0, 0, 1, HSR_RANGE_WRITTEN);
    record.range.at.offset = 1;
    CHECK_EQ(refused(&record), HSR_E_PROTOCOL);
    record.range.at.offset = UINT64_MAX - UNIT + 1;
    CHECK_EQ(refused(&record), HSR_E_PROTOCOL);
    record = range_of(0, 0, 0, HSR_RANGE_WRITTEN);
    CHECK_EQ(refused(&record), HSR_E_PROTOCOL);
    record = range_of(0, 0, 1, HSR_RANGE_LEVEL_COUNT);
    CHECK_EQ(refused(&record), HSR_E_PROTOCOL);
    record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_KIND_COUNT };
    CHECK_EQ(refused(&record), HSR_E_PROTOCOL);
    record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_SYNC, .level = 9 };
    CHECK_EQ(refused(&record), HSR_E_PROTOCOL);
    record = range_of(0, 0, 1, 0);
    record.kind = HSR_JOURNAL_LOST;
    CHECK_EQ(refused(&record), 0);
    record.range.at.size = 0;
    CHECK_EQ(refused(&record), HSR_E_PROTOCOL);
    record.range.at.size = UINT64_MAX;
    CHECK_EQ(refused(&record), HSR_E_PROTOCOL);
    record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_GONE, .slot = 3 };
    CHECK_EQ(refused(&record), HSR_E_PROTOCOL);
    record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_FILE, .slot = 1 };
    record.file = file_of(1, 8, HSR_DIGEST_XXH3);
    record.file.leaf = 5000;
    CHECK_EQ(refused(&record), HSR_E_PROTOCOL);
    record.file.leaf = 65536;
    record.file.size = UINT64_MAX;
    CHECK_EQ(refused(&record), HSR_E_PROTOCOL);
    hsr_journal_table_fini(&table);
}

/* Goal: a range replaces what lies in it, none may cut another, and the table is bounded. */
static void test_journal_table(void)
{
    struct hsr_journal_record record = { .kind = HSR_JOURNAL_FILE };
    uint64_t unit = 0;
    int rc;

    hsr_journal_table_init(&table);
    record.file = file_of(1, 1u << 20, HSR_DIGEST_XXH3);
    CHECK_EQ(hsr_journal_record_apply(&table, &record), 0);
    record = range_of(0, 2, 2, HSR_RANGE_DURABLE);
    CHECK_EQ(hsr_journal_record_apply(&table, &record), 0);
    record = range_of(0, 3, 2, HSR_RANGE_WRITTEN);
    CHECK_EQ(hsr_journal_record_apply(&table, &record), HSR_E_PROTOCOL);
    record = range_of(0, 1, 4, HSR_RANGE_WRITTEN);
    CHECK_EQ(hsr_journal_record_apply(&table, &record), 0);
    CHECK_EQ(table.files[0].range_count, 1);
    CHECK_EQ(hsr_journal_file_bytes(&table.files[0]), 4 * UNIT);
    do { /* every other unit: none has a neighbour */
        record = range_of(0, 10 + 2 * unit++, 1, HSR_RANGE_WRITTEN);
        rc = hsr_journal_record_apply(&table, &record);
    } while (rc == 0 && unit < 2 * HSR_JOURNAL_RANGES_MAX);
    CHECK_EQ(rc, -ENOBUFS);
    CHECK(table.range_room <= HSR_JOURNAL_RANGES_MAX && unit > HSR_JOURNAL_RANGES_MAX / 4);
    for (uint32_t i = 1; i < HSR_JOURNAL_FILES_MAX; i++) {
        record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_FILE, .slot = i };
        record.file = file_of(i + 1, 9, HSR_DIGEST_XXH3);
        record.file.claimed = i != 9;
        CHECK_EQ(hsr_journal_record_apply(&table, &record), 0);
    }
    table.files[0].claimed = true;
    CHECK_EQ(hsr_journal_table_free(&table), 9); /* nobody has to do with it */
    record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_GONE, .slot = 9 };
    CHECK_EQ(hsr_journal_record_apply(&table, &record), 0);
    CHECK_EQ(hsr_journal_table_free(&table), 9);
    record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_FILE, .slot = 9 };
    record.file = file_of(9, 9, HSR_DIGEST_XXH3);
    record.file.claimed = true;
    CHECK_EQ(hsr_journal_record_apply(&table, &record), 0);
    CHECK_EQ(hsr_journal_table_free(&table), -1);
    hsr_journal_table_fini(&table);
}

/* Goal: neighbours keep their own values as long as there is room, and then become one; no unit is
 * forgotten for that, and each is forgotten alone when it is lost. */
static void test_journal_units_stay_apart(void)
{
    struct hsr_kept_range kept[HSR_KEPT_RANGES_MAX];
    struct hsr_journal_record record = { .kind = HSR_JOURNAL_FILE };
    uint32_t apart = 0;

    hsr_journal_table_init(&table);
    record.file = file_of(1, 1u << 20, HSR_DIGEST_XXH3);
    CHECK_EQ(hsr_journal_record_apply(&table, &record), 0);
    for (uint64_t unit = 0; unit < 3 * HSR_JOURNAL_RANGES_MAX; unit++) {
        record = range_of(0, unit, 1, HSR_RANGE_WRITTEN);
        CHECK_EQ(hsr_journal_record_apply(&table, &record), 0);
        CHECK_EQ(hsr_journal_file_bytes(&table.files[0]), (unit + 1) * UNIT);
        apart = HSR_MAX(apart, table.files[0].range_count);
        CHECK(table.range_room <= HSR_JOURNAL_RANGES_MAX);
    }
    CHECK_EQ(apart, HSR_JOURNAL_RANGES_MAX);
    CHECK_EQ(hsr_journal_file_kept(&table.files[0], kept), 1);
    CHECK_EQ(kept[0].size, 3 * HSR_JOURNAL_RANGES_MAX * UNIT);
    record = range_of(0, 17, 1, HSR_RANGE_WRITTEN); /* within what is one by now */
    CHECK_EQ(hsr_journal_record_apply(&table, &record), 0);
    CHECK_EQ(hsr_journal_file_bytes(&table.files[0]), 3 * HSR_JOURNAL_RANGES_MAX * UNIT);
    record = range_of(0, 3 * HSR_JOURNAL_RANGES_MAX - 2, 1, 0);
    record.kind = HSR_JOURNAL_LOST;
    CHECK_EQ(hsr_journal_record_apply(&table, &record), 0);
    CHECK_EQ(hsr_journal_file_bytes(&table.files[0]), (3 * HSR_JOURNAL_RANGES_MAX - 1) * UNIT);
    CHECK_EQ(hsr_journal_file_kept(&table.files[0], kept), 2);
    hsr_journal_table_fini(&table);
}

/* ---- on a real directory ---- */

static const uint8_t boot[HSR_JOURNAL_ID_SIZE] = "this run of it.", next[HSR_JOURNAL_ID_SIZE];
static unsigned woken;

static void wake(void *context)
{
    (void)context;
    woken++;
}

static void journal_open(struct hsr_journal *journal, struct fixture *fx, const uint8_t *id)
{
    CHECK_EQ(hsr_journal_open(journal, &fx->tree, id), 0);
    journal->woken = wake;
}

static void settle(struct hsr_journal *journal, struct fixture *fx)
{
    for (unsigned i = 0; i < 20; i++) {
        hsr_journal_step(journal);
        while (!hsr_journal_idle(journal))
            (void)hsr_loop_turn(&fx->loop, false);
    }
}

/* A file with two ranges, the first of which is durable. */
static void fill(struct hsr_journal *journal)
{
    struct hsr_journal_record record = { .kind = HSR_JOURNAL_FILE };

    record.file = file_of(1, 9, HSR_DIGEST_XXH3);
    record.file.path = hsr_journal_path(journal, span_of("a/b"));
    CHECK_EQ(hsr_journal_do(journal, &record), 0);
    record = range_of(0, 0, 1, HSR_RANGE_WRITTEN);
    CHECK_EQ(hsr_journal_do(journal, &record), 0);
    record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_SYNC, .level = HSR_RANGE_SYNCING };
    CHECK_EQ(hsr_journal_do(journal, &record), 0);
    record.level = HSR_RANGE_DURABLE;
    CHECK_EQ(hsr_journal_do(journal, &record), 0);
    record = range_of(0, 4, 1, HSR_RANGE_WRITTEN);
    CHECK_EQ(hsr_journal_do(journal, &record), 0);
}

/* Goal: what one session leaves the next one finds, all of it in the same run of the machine, else
 * what is durable; while one has it others do without; at the end it is gone. */
static void test_journal_from_session_to_session(void)
{
    struct hsr_journal *one = malloc(sizeof(*one)), *two = malloc(sizeof(*two));
    struct fixture fx;
    int slot;

    fixture_init(&fx, 0);
    journal_open(one, &fx, boot);
    CHECK(!one->off && one->why == 0 && !exists(fx.root_fd, HSR_JOURNAL_NAME));
    fill(one);
    settle(one, &fx);
    CHECK(exists(fx.root_fd, HSR_JOURNAL_NAME) && woken > 0);
    journal_open(two, &fx, boot);
    CHECK(two->off && two->why == -EBUSY);
    hsr_journal_close(two, true);
    CHECK(exists(fx.root_fd, HSR_JOURNAL_NAME)); /* it is not ours to remove */
    hsr_journal_close(one, false);
    journal_open(two, &fx, boot);
    slot = hsr_journal_table_find(&two->table, hsr_journal_path(two, span_of("a/b")));
    CHECK_EQ(slot, 0);
    CHECK_EQ(hsr_journal_file_bytes(&two->table.files[0]),
             two->header.mount != 0 ? 2 * UNIT : UNIT);
    hsr_journal_close(two, false);
    journal_open(one, &fx, next); /* another run of the machine; its id is not even known */
    CHECK_EQ(hsr_journal_file_bytes(&one->table.files[0]), UNIT);
    CHECK_EQ(one->table.files[0].ranges[0].level, HSR_RANGE_DURABLE);
    hsr_journal_close(one, true);
    CHECK_EQ(count_names(fx.root_fd, "."), 0);
    free(one);
    free(two);
    fixture_fini(&fx);
}

static int truncate_at(int dir_fd, const char *name, off_t size)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
    int rc = ftruncate(fd, size);

    CHECK_EQ(close(fd), 0);
    return rc;
}

/* What somebody may put where a journal is looked for. */
static void hostile_huge(struct fixture *fx)
{
    write_at(fx->root_fd, HSR_JOURNAL_NAME, "");
    CHECK_EQ(truncate_at(fx->root_fd, HSR_JOURNAL_NAME, (off_t)1 << 40), 0);
}

static void hostile_linked(struct fixture *fx)
{
    write_at(fx->base_fd, "theirs", "theirs");
    CHECK_EQ(linkat(fx->base_fd, "theirs", fx->root_fd, HSR_JOURNAL_NAME, 0), 0);
}

static void hostile_dir(struct fixture *fx)
{
    CHECK_EQ(mkdirat(fx->root_fd, HSR_JOURNAL_NAME, 0700), 0);
}

static void hostile_owner(struct fixture *fx)
{
    write_at(fx->root_fd, HSR_JOURNAL_NAME, "");
    CHECK_EQ(fchownat(fx->root_fd, HSR_JOURNAL_NAME, 1000, 1000, 0), 0);
}

/* It is refused; what it is or leads to is not written to; a good one takes its name, where
 * rename(2) can. */
static void refuses(struct hsr_journal *journal, struct fixture *fx,
                    void (*make)(struct fixture *fx), int why)
{
    make(fx);
    journal_open(journal, fx, boot);
    CHECK_EQ(journal->why, why);
    CHECK_EQ(journal->table.file_count, 0);
    fill(journal);
    settle(journal, fx);
    CHECK_EQ(journal->off, why == -EISDIR);
    CHECK_EQ(S_ISREG(stat_at(fx->root_fd, HSR_JOURNAL_NAME).st_mode), why != -EISDIR);
    hsr_journal_close(journal, true);
    if (exists(fx->base_fd, "theirs"))
        CHECK(holds(fx->base_fd, "theirs", "theirs"));
    (void)unlinkat(fx->base_fd, "theirs", 0);
    (void)unlinkat(fx->root_fd, HSR_JOURNAL_NAME, AT_REMOVEDIR);
    CHECK_EQ(count_names(fx->root_fd, "."), 0);
}

static void hostile_fifo(struct fixture *fx)
{
    CHECK_EQ(mkfifoat(fx->root_fd, HSR_JOURNAL_NAME, 0600), 0);
}

/* What could not be read is not removed, whether or not there is anything to go on with. */
static void stays(struct hsr_journal *journal, struct fixture *fx, void (*make)(struct fixture *fx))
{
    for (unsigned done = 0; done < 2; done++) {
        make(fx);
        journal_open(journal, fx, boot);
        CHECK(journal->why < 0 && journal->fd >= 0);
        settle(journal, fx);
        hsr_journal_close(journal, done);
        CHECK_EQ(unlinkat(fx->root_fd, HSR_JOURNAL_NAME, 0), 0);
        (void)unlinkat(fx->base_fd, "theirs", 0);
    }
}

/* A damaged one may be looked into, until all of the root was listed and nothing is staged. */
static void test_journal_that_cannot_be_used_stays(void)
{
    struct hsr_journal *journal = malloc(sizeof(*journal));
    char text[HSR_JOURNAL_RECORD_SIZE + 1];
    struct fixture fx;

    fixture_init(&fx, 0);
    stays(journal, &fx, hostile_huge);
    stays(journal, &fx, hostile_linked);
    stays(journal, &fx, hostile_fifo);
    if (getuid() == 0)
        stays(journal, &fx, hostile_owner);
    memset(text, 'n', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    write_at(fx.root_fd, HSR_JOURNAL_NAME, text);
    journal_open(journal, &fx, boot);
    CHECK_EQ(journal->why, HSR_E_PROTOCOL);
    hsr_journal_close(journal, false);
    CHECK(holds(fx.root_fd, HSR_JOURNAL_NAME, text));
    journal_open(journal, &fx, boot);
    hsr_journal_close(journal, true);
    CHECK_EQ(count_names(fx.root_fd, "."), 0);
    free(journal);
    fixture_fini(&fx);
}

static void test_journal_refused(void)
{
    struct hsr_journal *journal = malloc(sizeof(*journal));
    char text[HSR_JOURNAL_RECORD_SIZE + 1];
    struct fixture fx;

    fixture_init(&fx, 0);
    write_at(fx.root_fd, HSR_JOURNAL_NAME, ""); /* what a power cut left of it */
    journal_open(journal, &fx, boot);
    CHECK(!journal->off && journal->why == 0 && journal->table.file_count == 0);
    hsr_journal_close(journal, false);
    memset(text, 'n', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    write_at(fx.root_fd, HSR_JOURNAL_NAME, text);
    journal_open(journal, &fx, boot);
    CHECK(!journal->off && journal->why == HSR_E_PROTOCOL);
    fill(journal);
    settle(journal, &fx);
    hsr_journal_close(journal, false);
    CHECK_EQ(count_names(fx.root_fd, "."), 1);
    journal_open(journal, &fx, boot);
    CHECK(journal->why == 0 && journal->table.file_count == 1); /* it was replaced */
    hsr_journal_close(journal, true);
    CHECK_EQ(symlinkat("../beside", fx.root_fd, HSR_JOURNAL_NAME), 0);
    journal_open(journal, &fx, boot);
    CHECK(journal->why == -ELOOP);
    fill(journal);
    settle(journal, &fx);
    hsr_journal_close(journal, true);
    CHECK_EQ(count_names(fx.root_fd, "."), 0); /* and nothing was made where it led */
    CHECK_EQ(count_names(fx.base_fd, "."), 1);
    refuses(journal, &fx, hostile_fifo, HSR_E_DENIED);
    refuses(journal, &fx, hostile_huge, HSR_E_LIMIT);
    refuses(journal, &fx, hostile_linked, HSR_E_DENIED);
    refuses(journal, &fx, hostile_dir, -EISDIR);
    if (getuid() == 0)
        refuses(journal, &fx, hostile_owner, HSR_E_DENIED);
    free(journal);
    fixture_fini(&fx);
}

/* Goal: where all slots are taken a file of an earlier session goes for one of this, and the
 * journal stays one that can be read. */
static void test_journal_full_of_others(void)
{
    struct hsr_journal *journal = malloc(sizeof(*journal));
    struct hsr_journal_record record = { .kind = HSR_JOURNAL_FILE };
    struct hsr_digest_sum path;
    struct fixture fx;
    int slot = 0;

    fixture_init(&fx, 0);
    journal_open(journal, &fx, boot);
    for (uint32_t i = 0; i < HSR_JOURNAL_FILES_MAX; i++) {
        record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_FILE, .slot = i };
        record.file = file_of(i + 1, 9, HSR_DIGEST_XXH3);
        CHECK_EQ(hsr_journal_do(journal, &record), 0);
        record = range_of(i, 0, 1, HSR_RANGE_DURABLE);
        CHECK_EQ(hsr_journal_do(journal, &record), 0);
    }
    settle(journal, &fx);
    hsr_journal_close(journal, false);
    journal_open(journal, &fx, boot);
    CHECK_EQ(journal->table.file_count, HSR_JOURNAL_FILES_MAX);
    record = range_of(0, 1, 1, HSR_RANGE_DURABLE);
    CHECK_EQ(hsr_journal_do(journal, &record), 0);
    settle(journal, &fx); /* written anew: from here on it is appended to */
    path = hsr_journal_path(journal, span_of("another"));
    slot = hsr_journal_slot(journal);
    CHECK(slot >= 0);
    record = (struct hsr_journal_record){ .kind = HSR_JOURNAL_FILE, .slot = (uint32_t)slot };
    record.file = file_of(1, 9, HSR_DIGEST_XXH3);
    record.file.path = path;
    CHECK_EQ(hsr_journal_do(journal, &record), 0);
    record = range_of((uint32_t)slot, 0, 1, HSR_RANGE_DURABLE);
    CHECK_EQ(hsr_journal_do(journal, &record), 0);
    settle(journal, &fx);
    hsr_journal_close(journal, false);
    journal_open(journal, &fx, boot);
    CHECK_EQ(journal->why, 0);
    CHECK_EQ(journal->table.file_count, HSR_JOURNAL_FILES_MAX);
    CHECK_EQ(hsr_journal_table_find(&journal->table, path), slot);
    hsr_journal_close(journal, true);
    free(journal);
    fixture_fini(&fx);
}

/* Goal: a journal that is full is written anew with what still counts. */
static void test_journal_is_bounded(void)
{
    struct hsr_journal *journal = malloc(sizeof(*journal));
    struct hsr_journal_record record;
    struct fixture fx;
    struct stat st;

    fixture_init(&fx, 0);
    journal_open(journal, &fx, boot);
    fill(journal);
    for (unsigned i = 0; i < HSR_JOURNAL_RECORDS_MAX + 1000; i++) {
        record = range_of(0, 4, 1, HSR_RANGE_WRITTEN);
        CHECK_EQ(hsr_journal_do(journal, &record), 0);
        if (i % 500 == 0)
            settle(journal, &fx);
    }
    settle(journal, &fx);
    CHECK(!journal->off && fstatat(fx.root_fd, HSR_JOURNAL_NAME, &st, 0) == 0);
    CHECK(st.st_size < (off_t)HSR_JOURNAL_SIZE_MAX / 2);
    hsr_journal_close(journal, false);
    journal_open(journal, &fx, boot);
    CHECK(journal->why == 0 && journal->table.file_count == 1);
    hsr_journal_close(journal, true);
    free(journal);
    fixture_fini(&fx);
}

int main(void)
{
    RUN(test_journal_comes_back);
    RUN(test_journal_sync_without_end);
    RUN(test_journal_truncated_and_flipped);
    RUN(test_journal_poisoned);
    RUN(test_journal_table);
    RUN(test_journal_units_stay_apart);
    RUN(test_journal_from_session_to_session);
    RUN(test_journal_that_cannot_be_used_stays);
    RUN(test_journal_refused);
    RUN(test_journal_full_of_others);
    RUN(test_journal_is_bounded);
    TEST_END();
}
