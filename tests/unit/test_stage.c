/* Staged files: nothing shows before commit, nothing stays after abort, whatever has the name is
 * replaced whole, and planted symlinks lead nowhere. */
#include <sys/file.h>

#include "tree_fixture.h"

static int put(struct fixture *fx, const struct hsr_dir *dir, const char *name, const char *text,
               bool replace)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, name);

    entry.size = strlen(text);
    return hsr_tree_put(&fx->tree, dir, &entry, text, strlen(text), replace);
}

static void stage_write(const struct hsr_stage *stage, const char *text)
{
    CHECK_EQ(write(stage->fd, text, strlen(text)), strlen(text));
}

/* Goal: until commit there is no final name, and after abort no name at all.
 * Method: unnamed and named stages, for a new and for an existing name; list the directory. */
static void test_stage_abort_leaves_nothing(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "file");
    struct hsr_stage stage;
    struct fixture fx;

    fixture_init(&fx, 0);
    entry.size = 5;
    for (unsigned i = 0; i < 4; i++) {
        bool named = i & 1, replace = i & 2;

        fx.tree.no_tmpfile = named;
        if (replace)
            write_at(fx.root_fd, "file", "old");
        CHECK_EQ(hsr_stage_open(&fx.tree, &fx.root, &entry, replace, &stage), 0);
        CHECK(stage.unnamed == !named);
        CHECK(hsr_stage_name_is(span_of(stage.temp)) == named);
        stage_write(&stage, "new");
        CHECK(replace ? holds(fx.root_fd, "file", "old") : !exists(fx.root_fd, "file"));
        CHECK_EQ(count_names(fx.root_fd, "."), (named ? 1 : 0) + (replace ? 1 : 0));
        hsr_stage_abort(&fx.tree, &stage);
        hsr_stage_abort(&fx.tree, &stage); /* harmless */
        CHECK_EQ(count_names(fx.root_fd, "."), replace ? 1 : 0);
    }
    CHECK(holds(fx.root_fd, "file", "old"));
    fixture_fini(&fx);
}

/* Goal: commit gives the content and every attribute at once, in all four ways.
 * Method: stat and getxattr afterwards. Owners only as root. */
static void test_stage_commit_sets_everything(void)
{
    struct hsr_stage stage;
    struct fixture fx;
    uint8_t buf[1024];

    fixture_init(&fx, 0);
    for (unsigned i = 0; i < 4; i++) {
        struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "file");
        bool replace = i & 2;
        struct stat st;
        char value[16];

        fx.tree.no_tmpfile = i & 1;
        entry.size = 3;
        entry.mode = 06751;
        if (geteuid() == 0)
            entry.uid = entry.gid = 12345;
        entry_xattrs(&entry, buf, sizeof(buf), "user.a", "one", "user.b", "", NULL);
        (void)unlinkat(fx.root_fd, "file", 0);
        if (replace)
            write_at(fx.root_fd, "file", "something old and longer");
        CHECK_EQ(hsr_stage_open(&fx.tree, &fx.root, &entry, replace, &stage), 0);
        stage_write(&stage, "new");
        CHECK_EQ(hsr_stage_commit(&fx.tree, &stage, &entry, /* sync= */ i == 3), 0);
        CHECK_EQ(stage.fd, -1);
        hsr_stage_abort(&fx.tree, &stage); /* harmless after commit */
        CHECK(holds(fx.root_fd, "file", "new"));
        CHECK_EQ(count_names(fx.root_fd, "."), 1);
        st = stat_at(fx.root_fd, "file");
        CHECK_EQ(st.st_mode, S_IFREG | 06751);
        CHECK_EQ(st.st_uid, entry.uid);
        CHECK_EQ(st.st_gid, entry.gid);
        CHECK_EQ(st.st_mtim.tv_sec, FIXTURE_TIME);
        CHECK_EQ(st.st_mtim.tv_nsec, 123456789);
        CHECK_EQ(st.st_nlink, 1);
        int fd = openat(fx.root_fd, "file", O_RDONLY);
        CHECK_EQ(fgetxattr(fd, "user.a", value, sizeof(value)), 3);
        CHECK_EQ(fgetxattr(fd, "user.b", value, sizeof(value)), 0);
        close(fd);
        CHECK_EQ(fx.tree.warning.code, 0);
    }
    fixture_fini(&fx);
}

/* Goal: a name that appears between open and commit is replaced; the new one is whole. */
static void test_stage_commit_finds_name_taken(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "file");
    struct hsr_stage stage;
    struct fixture fx;

    fixture_init(&fx, 0);
    entry.size = 3;
    CHECK_EQ(hsr_stage_open(&fx.tree, &fx.root, &entry, false, &stage), 0);
    stage_write(&stage, "new");
    write_at(fx.root_fd, "file", "somebody else's");
    CHECK_EQ(hsr_stage_commit(&fx.tree, &stage, &entry, false), 0);
    CHECK(holds(fx.root_fd, "file", "new"));
    CHECK_EQ(count_names(fx.root_fd, "."), 1);
    fixture_fini(&fx);
}

/* Goal: an empty directory in the way goes, a full one stays and is named; nothing else is left. */
static void test_stage_commit_over_directory(void)
{
    struct fixture fx;

    fixture_init(&fx, 0);
    for (unsigned named = 0; named < 2; named++) {
        fx.tree.no_tmpfile = named;
        CHECK_EQ(mkdirat(fx.root_fd, "file", 0755), 0);
        CHECK_EQ(put(&fx, &fx.root, "file", "x", true), 0);
        CHECK(holds(fx.root_fd, "file", "x"));
        CHECK_EQ(mkdirat(fx.root_fd, "full", 0755), 0);
        write_at(fx.root_fd, "full/inside", "kept");
        CHECK_EQ(put(&fx, &fx.root, "full", "x", true), -ENOTEMPTY);
        CHECK_EQ(put(&fx, &fx.root, "full", "x", false), -ENOTEMPTY);
        CHECK(holds(fx.root_fd, "full/inside", "kept"));
        CHECK_EQ(count_names(fx.root_fd, "."), 2);
        (void)unlinkat(fx.root_fd, "file", 0);
        (void)unlinkat(fx.root_fd, "full/inside", 0);
        (void)unlinkat(fx.root_fd, "full", AT_REMOVEDIR);
    }
    fixture_fini(&fx);
}

/* Goal: symlinks at the final name, the hidden name and a directory on the way never lead out.
 * Method: a canary beside the root; all three planted. */
static void test_stage_symlinks_lead_nowhere(void)
{
    struct hsr_dir dir;
    struct fixture fx;
    char next[64];

    fixture_init(&fx, 0);
    dir = dir_of(&fx.root, 7, "way");
    write_at(fx.base_fd, "canary", "alive");
    CHECK_EQ(mkdirat(fx.base_fd, "outside", 0777), 0);
    CHECK_EQ(symlinkat("../outside", fx.root_fd, "way"), 0);
    for (unsigned named = 0; named < 2; named++) {
        fx.tree.no_tmpfile = named;
        CHECK_EQ(symlinkat("../canary", fx.root_fd, "file"), 0);
        /* The next hidden names: nobody could guess them, but if. */
        for (unsigned i = 0; i < 2; i++) {
            snprintf(next, sizeof(next), ".hawser.%016llx%08x.stage",
                     (unsigned long long)fx.tree.nonce, fx.tree.stage_count + i);
            CHECK(hsr_stage_name_is(span_of(next)));
            CHECK_EQ(symlinkat("../canary", fx.root_fd, next), 0);
        }
        CHECK_EQ(put(&fx, &fx.root, "file", "new", true), 0);
        CHECK(S_ISREG(stat_at(fx.root_fd, "file").st_mode));
        CHECK(holds(fx.root_fd, "file", "new"));
        CHECK(holds(fx.base_fd, "canary", "alive"));
        int rc = put(&fx, &dir, "file", "new", false);
        CHECK(rc == -ELOOP || rc == -ENOTDIR || rc == -EXDEV);
        CHECK_EQ(count_names(fx.base_fd, "outside"), 0);
        (void)unlinkat(fx.root_fd, "file", 0);
    }
    CHECK_EQ(stat_at(fx.base_fd, "canary").st_mode & 07777, 0644);
    fixture_fini(&fx);
}

/* Goal: names that a peer may not give are refused before anything is made. */
static void test_stage_bad_names(void)
{
    static const char *const names[] = { ".",   "..",   "",
                                         "a/b", "../x", ".hawser.0123456789abcdef01234567.stage" };
    struct fixture fx;

    fixture_init(&fx, 0);
    for (size_t i = 0; i < HSR_ARRAY_COUNT(names); i++)
        CHECK_EQ(put(&fx, &fx.root, names[i], "x", i % 2), HSR_E_NAME);
    CHECK_EQ(count_names(fx.root_fd, "."), 0);
    CHECK(!hsr_stage_name_is(span_of(".hawser.0123456789abcdef0123456.stage")));
    CHECK(!hsr_stage_name_is(span_of(".hawser.0123456789ABCDEF01234567.stage")));
    CHECK(!hsr_stage_name_is(span_of(".hawser.0123456789abcdef01234567.stagf")));
    CHECK(!hsr_stage_name_is(span_of("xhawser.0123456789abcdef01234567.stage")));
    CHECK(!hsr_stage_name_is(span_of("")));
    fixture_fini(&fx);
}

/* Goal: large files are preallocated on a disk, sparse ones only get their length. */
static void test_stage_allocates(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "file");
    struct hsr_stage stage;
    struct fixture fx;
    struct stat st;

    fixture_init(&fx, 0);
    entry.size = 8 * HSR_MIB;
    CHECK_EQ(hsr_stage_open(&fx.tree, &fx.root, &entry, false, &stage), 0);
    CHECK_EQ(fstat(stage.fd, &st), 0);
    CHECK(fx.tree.tmpfs_known);
    if (stage.allocated > 0)
        CHECK(st.st_blocks * 512 >= (long)(8 * HSR_MIB));
    hsr_stage_abort(&fx.tree, &stage);

    entry.flags = HSR_ENTRY_SPARSE;
    CHECK_EQ(hsr_stage_open(&fx.tree, &fx.root, &entry, false, &stage), 0);
    CHECK_EQ(fstat(stage.fd, &st), 0);
    CHECK_EQ(st.st_size, 8 * HSR_MIB);
    CHECK_EQ(st.st_blocks, 0);
    CHECK_EQ(stage.allocated, 0);
    hsr_stage_abort(&fx.tree, &stage);
    entry.size = UINT64_MAX;
    CHECK_EQ(hsr_stage_open(&fx.tree, &fx.root, &entry, false, &stage), -EFBIG);
    fixture_fini(&fx);
}

/* Goal: only a regular file of the size that was seen is opened to be read. */
static void test_target_read_open_refuses_others(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "file");
    struct hsr_dircache *cache;
    struct fixture fx;
    char byte;
    int fd;

    fixture_init(&fx, 0);
    cache = &fx.tree.cache;
    entry.size = 4;
    CHECK_EQ(hsr_tree_put(&fx.tree, &fx.root, &entry, "rope", 4, false), 0);
    fd = hsr_target_read_open(cache, &fx.root, "file", 4);
    CHECK(fd >= 0 && read(fd, &byte, 1) == 1 && byte == 'r');
    close(fd);
    CHECK_EQ(hsr_target_read_open(cache, &fx.root, "file", 5), HSR_E_CHANGED);
    write_at(fx.base_fd, "canary", "alive");
    CHECK_EQ(symlinkat("../canary", fx.root_fd, "link"), 0);
    CHECK_EQ(hsr_target_read_open(cache, &fx.root, "link", 5), -ELOOP);
    CHECK_EQ(hsr_target_read_open(cache, &fx.root, "none", 0), -ENOENT);
    CHECK_EQ(mkfifoat(fx.root_fd, "fifo", 0600), 0);
    CHECK_EQ(hsr_target_read_open(cache, &fx.root, "fifo", 0), HSR_E_KIND);
    fixture_fini(&fx);
}

/* Goal: a full file system is an error of that file and leaves nothing.
 * Method: a small tmpfs; needs root. */
static void test_stage_no_space(void)
{
    static uint8_t bytes[2 * 1024 * 1024];
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "file");
    char mount_path[80];
    struct fixture fx;
    int root_fd;

    if (geteuid() != 0)
        return;
    fixture_init(&fx, 0);
    snprintf(mount_path, sizeof(mount_path), "%s/small", fx.path);
    CHECK_EQ(mkdir(mount_path, 0755), 0);
    if (mount("none", mount_path, "tmpfs", 0, "size=1m") < 0) {
        fprintf(stderr, "no mount allowed: ENOSPC not tested\n");
        fixture_fini(&fx);
        return;
    }
    root_fd = open(mount_path, O_RDONLY | O_DIRECTORY);
    hsr_tree_fini(&fx.tree);
    hsr_tree_init(&fx.tree, &fx.loop, root_fd, 0);
    entry.size = sizeof(bytes);
    memset(bytes, 'x', sizeof(bytes));
    for (unsigned named = 0; named < 2; named++) {
        fx.tree.no_tmpfile = named;
        CHECK_EQ(hsr_tree_put(&fx.tree, &fx.root, &entry, bytes, sizeof(bytes), false), -ENOSPC);
        CHECK_EQ(count_names(root_fd, "."), 0);
    }
    entry.size = 3;
    CHECK_EQ(hsr_tree_put(&fx.tree, &fx.root, &entry, "yes", 3, false), 0);
    hsr_tree_fini(&fx.tree);
    close(root_fd);
    CHECK_EQ(umount(mount_path), 0);
    hsr_tree_init(&fx.tree, &fx.loop, fx.root_fd, 0);
    fixture_fini(&fx);
}

/* Goal: a stage that has its metadata and not its name, of a session that died between, is gone on
 * with, whatever its mode and owner; nobody else may look into it meanwhile; and what is not that
 * file is refused. */
static void test_stage_sealed_opens_again(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "file");
    uint8_t id[HSR_STAGE_ID_SIZE];
    struct hsr_stage stage;
    struct fixture fx;
    struct stat st;

    fixture_init(&fx, 0);
    entry.size = 5;
    for (unsigned i = 0; i < 3; i++) {
        entry.mode = i == 0 ? 0444 : i == 1 ? 04755 : 0;
        entry.uid = entry.gid = getuid() == 0 && i > 0 ? 1000 : getuid();
        CHECK_EQ(hsr_stage_open_hidden(&fx.tree, &fx.root, &entry, false, &stage), 0);
        stage_write(&stage, "hello");
        CHECK_EQ(hsr_stage_seal(&fx.tree, &stage, &entry), 0);
        CHECK_EQ(fstat(stage.fd, &st), 0);
        CHECK_EQ(st.st_uid, entry.uid);
        hsr_stage_id(&stage, id);
        hsr_stage_leave(&fx.tree, &stage);
        CHECK_EQ(
            hsr_stage_open_again(&fx.tree, &fx.root, &entry, false, id, st.st_ino + 1, 0, &stage),
            HSR_E_CHANGED);
        CHECK_EQ(hsr_stage_open_again(&fx.tree, &fx.root, &entry, false, id, st.st_ino, 0, &stage),
                 0);
        CHECK_EQ(fstat(stage.fd, &st), 0);
        CHECK(st.st_uid == getuid() && (st.st_mode & 07777) == 0600);
        CHECK_EQ(hsr_stage_seal(&fx.tree, &stage, &entry), 0);
        CHECK_EQ(hsr_stage_publish(&fx.tree, &stage, &entry), 0);
        st = stat_at(fx.root_fd, "file");
        CHECK(st.st_uid == entry.uid && (st.st_mode & 07777) == entry.mode);
        CHECK_EQ(unlinkat(fx.root_fd, "file", 0), 0);
    }
    if (getuid() == 0) { /* a third one's */
        CHECK_EQ(hsr_stage_open_hidden(&fx.tree, &fx.root, &entry, false, &stage), 0);
        CHECK_EQ(fstat(stage.fd, &st), 0);
        CHECK_EQ(fchown(stage.fd, 1001, 1001), 0);
        hsr_stage_id(&stage, id);
        hsr_stage_leave(&fx.tree, &stage);
        CHECK_EQ(hsr_stage_open_again(&fx.tree, &fx.root, &entry, false, id, st.st_ino, 0, &stage),
                 HSR_E_CHANGED);
    }
    fixture_fini(&fx);
}

/* Goal: what has a stage's name and is not that file is neither gone on with nor changed.
 * Method: a stage is left, something else takes its name, and the same is asked for again. */
static void test_stage_impostors(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "file");
    uint8_t id[HSR_STAGE_ID_SIZE];
    char name[HSR_NAME_MAX + 1];
    struct hsr_stage stage;
    struct fixture fx;
    struct stat st;

    fixture_init(&fx, 0);
    entry.size = 5;
    write_at(fx.base_fd, "theirs", "their");
    for (unsigned i = 0; i < 6; i++) {
        int rc = i == 1 ? -ELOOP : i == 2 ? -EISDIR : HSR_E_CHANGED;

        CHECK_EQ(hsr_stage_open_hidden(&fx.tree, &fx.root, &entry, false, &stage), 0);
        stage_write(&stage, "hello");
        CHECK_EQ(fstat(stage.fd, &st), 0);
        hsr_stage_id(&stage, id);
        snprintf(name, sizeof(name), "%s", stage.temp);
        hsr_stage_leave(&fx.tree, &stage);
        if (i < 4)
            CHECK_EQ(renameat(fx.root_fd, name, fx.root_fd, "away"), 0);
        if (i == 0)
            CHECK_EQ(mkfifoat(fx.root_fd, name, 0600), 0);
        else if (i == 1)
            CHECK_EQ(symlinkat("../theirs", fx.root_fd, name), 0);
        else if (i == 2)
            CHECK_EQ(mkdirat(fx.root_fd, name, 0700), 0);
        else if (i == 3)
            CHECK_EQ(linkat(fx.base_fd, "theirs", fx.root_fd, name, 0), 0);
        else if (i == 4)
            CHECK_EQ(linkat(fx.root_fd, name, fx.root_fd, "away", 0), 0);
        else
            entry.size = 4; /* it has become longer than the file is to be */
        CHECK_EQ(hsr_stage_open_again(&fx.tree, &fx.root, &entry, false, id, st.st_ino, 5, &stage),
                 rc);
        CHECK(exists(fx.root_fd, name));
        CHECK_EQ(unlinkat(fx.root_fd, name, i == 2 ? AT_REMOVEDIR : 0), 0);
        (void)unlinkat(fx.root_fd, "away", 0);
    }
    CHECK(holds(fx.base_fd, "theirs", "their"));
    fixture_fini(&fx);
}

int main(void)
{
    RUN(test_stage_abort_leaves_nothing);
    RUN(test_stage_commit_sets_everything);
    RUN(test_stage_commit_finds_name_taken);
    RUN(test_stage_commit_over_directory);
    RUN(test_stage_symlinks_lead_nowhere);
    RUN(test_stage_bad_names);
    RUN(test_stage_allocates);
    RUN(test_target_read_open_refuses_others);
    RUN(test_stage_no_space);
    RUN(test_stage_sealed_opens_again);
    RUN(test_stage_impostors);
    TEST_END();
}
