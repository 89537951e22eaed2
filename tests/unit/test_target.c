/* Entries without data, comparing and metadata, on a real file system. */
#include <grp.h>
#include <signal.h>

#include "tree_fixture.h"

/* version 2; user rwx, a user 4242 r--, group r-x, mask r-x, other --- */
static const uint8_t acl_named[] = { 2,   0,   0,   0,    1,   0,    7,    0,   255, 255, 255,
                                     255, 2,   0,   4,    0,   0x92, 0x10, 0,   0,   4,   0,
                                     5,   0,   255, 255,  255, 255,  0x10, 0,   5,   0,   255,
                                     255, 255, 255, 0x20, 0,   0,    0,    255, 255, 255, 255 };

static const uint8_t kinds[] = { HSR_ENTRY_FILE, HSR_ENTRY_DIR,  HSR_ENTRY_SYMLINK,
                                 HSR_ENTRY_FIFO, HSR_ENTRY_CHAR, HSR_ENTRY_BLOCK };

static int compare(struct fixture *fx, const struct hsr_entry *entry)
{
    struct hsr_existing existing;

    return hsr_tree_compare(&fx->tree, &fx->root, entry, &existing);
}

/* Make @entry as an engine would. */
static int make(struct fixture *fx, const struct hsr_entry *entry)
{
    struct hsr_entry end = *entry;
    struct hsr_dir dir;
    bool flag;
    uint64_t dev = 0;
    int rc;

    if (entry->type != HSR_ENTRY_DIR)
        return hsr_tree_make(&fx->tree, &fx->root, entry,
                             (enum hsr_compare)HSR_MAX(compare(fx, entry), 0));
    rc = hsr_tree_mkdir(&fx->tree, &fx->root, entry, &flag, &dev);
    if (rc < 0)
        return rc;
    end.type = HSR_ENTRY_DIR_END;
    dir = dir_of(&fx->root, 77, "name");
    rc = hsr_tree_dir_finish(&fx->tree, &dir, &end, &flag);
    hsr_dircache_drop(&fx->tree.cache, 77);
    return rc;
}

static void check_stat(struct fixture *fx, const struct hsr_entry *entry, mode_t kind)
{
    struct stat st = stat_at(fx->root_fd, "name");

    CHECK_EQ(st.st_mode & S_IFMT, kind);
    if (kind != S_IFLNK)
        CHECK_EQ(st.st_mode & 07777, entry->mode);
    CHECK_EQ(st.st_uid, entry->uid);
    CHECK_EQ(st.st_gid, entry->gid);
    CHECK_EQ(st.st_mtim.tv_sec, entry->mtime_s);
    CHECK_EQ(st.st_mtim.tv_nsec, entry->mtime_ns);
    if (kind == S_IFCHR || kind == S_IFBLK)
        CHECK_EQ(st.st_rdev, makedev(1, 3));
}

static mode_t kind_of(uint8_t type)
{
    static const mode_t modes[] = {
        [HSR_ENTRY_FILE] = S_IFREG, [HSR_ENTRY_DIR] = S_IFDIR,  [HSR_ENTRY_SYMLINK] = S_IFLNK,
        [HSR_ENTRY_FIFO] = S_IFIFO, [HSR_ENTRY_CHAR] = S_IFCHR, [HSR_ENTRY_BLOCK] = S_IFBLK
    };

    return modes[type];
}

/* Goal: every kind replaces every kind, itself included, with all its metadata; then it compares
 * as the same, and nothing hidden is left. As root with owners and trusted attributes. */
static void test_target_every_kind_over_every_kind(void)
{
    struct fixture fx;
    uint8_t buf[256];

    fixture_init(&fx, 0);
    if (!fx.tree.root) {
        fixture_fini(&fx);
        return;
    }
    for (size_t i = 0; i < HSR_ARRAY_COUNT(kinds) * HSR_ARRAY_COUNT(kinds); i++) {
        uint8_t from = kinds[i / HSR_ARRAY_COUNT(kinds)], to = kinds[i % HSR_ARRAY_COUNT(kinds)];
        struct hsr_entry old = entry_of(from, "name"), entry = entry_of(to, "name");
        struct stat before;

        CHECK_EQ(compare(&fx, &old), HSR_COMPARE_ABSENT);
        CHECK_EQ(make(&fx, &old), 0);
        before = stat_at(fx.root_fd, "name");
        entry.uid = 4001;
        entry.gid = 4002;
        entry.mode = 01751;
        entry.mtime_s++;
        entry.target = span_of("elsewhere");
        entry_xattrs(&entry, buf, sizeof(buf), "trusted.t", "1", NULL);
        if (from != to)
            CHECK_EQ(compare(&fx, &entry), HSR_COMPARE_OTHER_KIND);
        CHECK_EQ(make(&fx, &entry), 0);
        check_stat(&fx, &entry, kind_of(to));
        CHECK_EQ(compare(&fx, &entry), HSR_COMPARE_SAME);
        CHECK_EQ(fx.tree.warning.code, 0);
        CHECK_EQ(count_names(fx.root_fd, "."), 1);
        if (to != HSR_ENTRY_DIR)
            CHECK(stat_at(fx.root_fd, "name").st_ino != before.st_ino);
        CHECK_EQ(unlinkat(fx.root_fd, "name", to == HSR_ENTRY_DIR ? AT_REMOVEDIR : 0), 0);
    }
    CHECK(!fx.tree.owner_refused);
    fixture_fini(&fx);
}

/* Goal: each difference is found for what it is, and each option hides what it should. */
static void test_compare_finds_each_difference(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "name"), other;
    struct hsr_existing existing;
    struct fixture fx;
    uint8_t buf[256];

    fixture_init(&fx, 0);
    entry.size = 3;
    entry_xattrs(&entry, buf, sizeof(buf), "user.a", "one", "user.b", "two", NULL);
    CHECK_EQ(hsr_tree_put(&fx.tree, &fx.root, &entry, "abc", 3, false), 0);
    CHECK_EQ(compare(&fx, &entry), HSR_COMPARE_SAME);

    other = entry;
    other.size = 4;
    CHECK_EQ(hsr_tree_compare(&fx.tree, &fx.root, &other, &existing), HSR_COMPARE_CONTENT);
    CHECK_EQ(existing.size, 3);
    CHECK_EQ(existing.ino, stat_at(fx.root_fd, "name").st_ino);
    CHECK_EQ(existing.dev, stat_at(fx.root_fd, "name").st_dev);
    other = entry;
    other.mtime_ns++;
    CHECK_EQ(compare(&fx, &other), HSR_COMPARE_CONTENT);
    fixture_again(&fx, HSR_OPT_SIZE_ONLY);
    CHECK_EQ(compare(&fx, &other), HSR_COMPARE_METADATA);
    fixture_again(&fx, HSR_OPT_SIZE_ONLY | HSR_OPT_NO_TIMES);
    CHECK_EQ(compare(&fx, &other), HSR_COMPARE_SAME);
    fixture_again(&fx, HSR_OPT_NO_TIMES);
    CHECK_EQ(compare(&fx, &other), HSR_COMPARE_CONTENT);
    fixture_again(&fx, HSR_OPT_CHECKSUM);
    CHECK_EQ(hsr_tree_compare(&fx.tree, &fx.root, &entry, &existing), HSR_COMPARE_CONTENT);
    CHECK_EQ(existing.size, entry.size);

    fixture_again(&fx, 0);
    other = entry;
    other.mode ^= 1;
    CHECK_EQ(compare(&fx, &other), HSR_COMPARE_METADATA);
    other = entry;
    other.uid++;
    CHECK_EQ(compare(&fx, &other), fx.tree.root ? HSR_COMPARE_METADATA : HSR_COMPARE_SAME);
    other = entry;
    entry_xattrs(&other, buf, sizeof(buf), "user.a", "one", NULL);
    CHECK_EQ(compare(&fx, &other), HSR_COMPARE_METADATA); /* one too many at the target */
    entry_xattrs(&other, buf, sizeof(buf), "user.a", "one", "user.b", "twi", NULL);
    CHECK_EQ(compare(&fx, &other), HSR_COMPARE_METADATA);
    entry_xattrs(&other, buf, sizeof(buf), "user.a", "one", "user.b", "two", "user.c", "", NULL);
    CHECK_EQ(compare(&fx, &other), HSR_COMPARE_METADATA);
    fixture_again(&fx, HSR_OPT_NO_XATTRS | HSR_OPT_NO_OWNER);
    other.uid++;
    CHECK_EQ(compare(&fx, &other), HSR_COMPARE_SAME);
    other.type = HSR_ENTRY_SOCKET;
    CHECK_EQ(compare(&fx, &other), HSR_E_KIND);
    fixture_fini(&fx);
}

/* Goal: attributes that do not fit the first, small buffer are read whole: a value of 2000 bytes
 * that differs in its last one, and more names than 512 bytes hold with one too many at the end. */
static void test_compare_long_attributes(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "name"), other;
    static char value[2001], names[8][120];
    static uint8_t buf[8192];
    struct fixture fx;

    memset(value, 'v', sizeof(value) - 1);
    for (unsigned i = 0; i < HSR_ARRAY_COUNT(names); i++)
        snprintf(names[i], sizeof(names[i]), "user.%0100u", i);
    fixture_init(&fx, 0);
    entry_xattrs(&entry, buf, sizeof(buf), names[0], value, names[1], "", names[2], "", names[3],
                 "", names[4], "", names[5], "", names[6], "", NULL);
    CHECK_EQ(hsr_tree_put(&fx.tree, &fx.root, &entry, "", 0, false), 0);
    CHECK_EQ(compare(&fx, &entry), HSR_COMPARE_SAME);
    value[1999] = 'w';
    other = entry;
    entry_xattrs(&other, buf, sizeof(buf), names[0], value, names[1], "", names[2], "", names[3],
                 "", names[4], "", names[5], "", names[6], "", NULL);
    CHECK_EQ(compare(&fx, &other), HSR_COMPARE_METADATA);
    CHECK_EQ(hsr_tree_touch(&fx.tree, &fx.root, &other), 0);
    CHECK_EQ(compare(&fx, &other), HSR_COMPARE_SAME);
    entry_xattrs(&other, buf, sizeof(buf), names[0], value, names[1], "", names[2], "", names[3],
                 "", names[4], "", names[5], "", NULL);
    CHECK_EQ(compare(&fx, &other), HSR_COMPARE_METADATA);
    CHECK_EQ(hsr_tree_touch(&fx.tree, &fx.root, &other), 0);
    CHECK_EQ(compare(&fx, &other), HSR_COMPARE_SAME);
    fixture_fini(&fx);
}

static void test_compare_links_and_devices(void)
{
    struct hsr_entry link = entry_of(HSR_ENTRY_SYMLINK, "name");
    struct hsr_entry device = entry_of(HSR_ENTRY_CHAR, "device");
    struct fixture fx;

    fixture_init(&fx, 0);
    CHECK_EQ(hsr_tree_make(&fx.tree, &fx.root, &link, HSR_COMPARE_ABSENT), 0);
    CHECK_EQ(compare(&fx, &link), HSR_COMPARE_SAME);
    link.target = span_of("nowherf");
    CHECK_EQ(compare(&fx, &link), HSR_COMPARE_CONTENT);
    link.target = span_of("now");
    CHECK_EQ(compare(&fx, &link), HSR_COMPARE_CONTENT);
    link.target = span_of("nowhere");
    link.mtime_s++;
    CHECK_EQ(compare(&fx, &link), HSR_COMPARE_METADATA);
    CHECK_EQ(hsr_tree_touch(&fx.tree, &fx.root, &link), 0);
    CHECK_EQ(compare(&fx, &link), HSR_COMPARE_SAME);
    link.target = (struct hsr_span){ (const uint8_t *)"a\0b", 3 };
    CHECK_EQ(hsr_tree_make(&fx.tree, &fx.root, &link, HSR_COMPARE_CONTENT), HSR_E_PROTOCOL);
    if (fx.tree.root) {
        CHECK_EQ(hsr_tree_make(&fx.tree, &fx.root, &device, HSR_COMPARE_ABSENT), 0);
        CHECK_EQ(compare(&fx, &device), HSR_COMPARE_SAME);
        device.rdev_minor++;
        CHECK_EQ(compare(&fx, &device), HSR_COMPARE_CONTENT);
    }
    fixture_fini(&fx);
}

/* Goal: touch makes metadata what the entry says, removes what it does not have, and leaves the
 * content, the inode and foreign namespaces. */
static void test_touch_sets_what_differs(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "name");
    struct fixture fx;
    uint8_t buf[256];
    struct stat st;
    char value[8];
    int fd;

    fixture_init(&fx, 0);
    write_at(fx.root_fd, "name", "abc");
    st = stat_at(fx.root_fd, "name");
    fd = openat(fx.root_fd, "name", O_RDWR);
    CHECK_EQ(fsetxattr(fd, "user.extra", "x", 1, 0), 0);
    CHECK_EQ(fsetxattr(fd, "user.a", "old", 3, 0), 0);
    entry.size = 3;
    entry.mode = 04555;
    entry_xattrs(&entry, buf, sizeof(buf), "user.a", "new", NULL);
    CHECK_EQ(hsr_tree_touch(&fx.tree, &fx.root, &entry), 0);
    check_stat(&fx, &entry, S_IFREG);
    CHECK_EQ(stat_at(fx.root_fd, "name").st_ino, st.st_ino);
    CHECK(holds(fx.root_fd, "name", "abc"));
    CHECK(fgetxattr(fd, "user.extra", value, sizeof(value)) < 0);
    CHECK_EQ(fgetxattr(fd, "user.a", value, sizeof(value)), 3);
    CHECK(memcmp(value, "new", 3) == 0);
    CHECK_EQ(compare(&fx, &entry), HSR_COMPARE_SAME);
    close(fd);
    entry.type = HSR_ENTRY_FIFO; /* it is a file: touching it as something else is refused */
    CHECK_EQ(hsr_tree_touch(&fx.tree, &fx.root, &entry), HSR_E_CHANGED);
    entry.name = span_of("none");
    CHECK_EQ(hsr_tree_touch(&fx.tree, &fx.root, &entry), -ENOENT);
    fixture_fini(&fx);
}

/* Goal: nothing is followed: a symlink at a directory's place is replaced, one at a file's place is
 * touched as a symlink or refused, and what it points to keeps everything. */
static void test_target_symlinks_lead_nowhere(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "name");
    struct hsr_entry link = entry_of(HSR_ENTRY_FILE, "second");
    struct hsr_dir way;
    struct fixture fx;
    struct stat before, after;
    bool flag = false;
    uint64_t dev = 0;
    int rc;

    fixture_init(&fx, 0);
    write_at(fx.base_fd, "canary", "alive");
    CHECK_EQ(mkdirat(fx.base_fd, "outside", 0755), 0);
    write_at(fx.base_fd, "outside/canary", "alive");
    before = stat_at(fx.base_fd, "canary");
    CHECK_EQ(symlinkat("../canary", fx.root_fd, "name"), 0);
    CHECK_EQ(compare(&fx, &entry), HSR_COMPARE_OTHER_KIND);
    CHECK_EQ(hsr_tree_touch(&fx.tree, &fx.root, &entry), HSR_E_CHANGED);

    CHECK_EQ(symlinkat("../outside", fx.root_fd, "way"), 0);
    way = dir_of(&fx.root, 9, "way");
    entry.name = span_of("canary");
    rc = hsr_tree_touch(&fx.tree, &way, &entry);
    CHECK(rc == -ELOOP || rc == -ENOTDIR);
    rc = compare(&fx, &entry);
    CHECK_EQ(rc, HSR_COMPARE_ABSENT);
    link.flags = HSR_ENTRY_LINK_NEXT;
    link.link_path = span_of("way/canary");
    rc = hsr_tree_link(&fx.tree, &fx.root, &link, &flag);
    CHECK(rc == -ELOOP || rc == -ENOTDIR);
    link.link_path = span_of("name"); /* a symlink where the first name should be */
    CHECK_EQ(hsr_tree_link(&fx.tree, &fx.root, &link, &flag), HSR_E_KIND);
    CHECK(!exists(fx.root_fd, "second"));
    link.link_path = span_of("../canary");
    CHECK_EQ(hsr_tree_link(&fx.tree, &fx.root, &link, &flag), HSR_E_NAME);

    entry = entry_of(HSR_ENTRY_DIR, "way");
    CHECK_EQ(hsr_tree_mkdir(&fx.tree, &fx.root, &entry, &flag, &dev), 0);
    CHECK(flag);
    CHECK(S_ISDIR(stat_at(fx.root_fd, "way").st_mode));
    CHECK(holds(fx.base_fd, "outside/canary", "alive"));
    after = stat_at(fx.base_fd, "canary");
    CHECK_EQ(after.st_mode, before.st_mode);
    CHECK_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    CHECK_EQ(after.st_nlink, 1);
    fixture_fini(&fx);
}

/* Goal: further names: new, already there, over another file, over an empty directory, deep. */
static void test_link(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "second");
    struct fixture fx;
    bool same = true;

    fixture_init(&fx, 0);
    CHECK_EQ(mkdirat(fx.root_fd, "d", 0755), 0);
    write_at(fx.root_fd, "d/first", "linked");
    entry.flags = HSR_ENTRY_LINK_NEXT;
    entry.link_path = span_of("d/first");
    CHECK_EQ(hsr_tree_link(&fx.tree, &fx.root, &entry, &same), 0);
    CHECK(!same);
    CHECK_EQ(stat_at(fx.root_fd, "second").st_ino, stat_at(fx.root_fd, "d/first").st_ino);
    CHECK_EQ(hsr_tree_link(&fx.tree, &fx.root, &entry, &same), 0);
    CHECK(same);
    write_at(fx.root_fd, "third", "in the way");
    CHECK_EQ(mkdirat(fx.root_fd, "fourth", 0755), 0);
    entry.name = span_of("third");
    CHECK_EQ(hsr_tree_link(&fx.tree, &fx.root, &entry, &same), 0);
    CHECK(!same);
    entry.name = span_of("fourth");
    CHECK_EQ(hsr_tree_link(&fx.tree, &fx.root, &entry, &same), 0);
    CHECK_EQ(stat_at(fx.root_fd, "d/first").st_nlink, 4);
    CHECK(holds(fx.root_fd, "fourth", "linked"));
    CHECK_EQ(count_names(fx.root_fd, "."), 4);
    entry.link_path = span_of("none");
    CHECK_EQ(hsr_tree_link(&fx.tree, &fx.root, &entry, &same), -ENOENT);
    entry.link_path = span_of("d");
    CHECK_EQ(hsr_tree_link(&fx.tree, &fx.root, &entry, &same), HSR_E_KIND);
    entry.link_path = span_of("");
    CHECK_EQ(hsr_tree_link(&fx.tree, &fx.root, &entry, &same), HSR_E_NAME);
    fixture_fini(&fx);
}

/* Goal: a directory can be filled until it is finished, and then is what its entry says; finishing
 * it again changes nothing. */
static void test_mkdir_and_finish(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_DIR, "name");
    struct hsr_dir dir;
    struct fixture fx;
    bool flag = false;
    uint64_t dev = 0;

    fixture_init(&fx, 0);
    dir = dir_of(&fx.root, 5, "name");
    entry.mode = 02555;
    CHECK_EQ(hsr_tree_mkdir(&fx.tree, &fx.root, &entry, &flag, &dev), 0);
    CHECK(flag);
    CHECK_EQ(stat_at(fx.root_fd, "name").st_mode & 0777, 0755);
    CHECK_EQ(hsr_tree_mkdir(&fx.tree, &fx.root, &entry, &flag, &dev), 0);
    CHECK(!flag);
    entry.type = HSR_ENTRY_DIR_END;
    CHECK_EQ(hsr_tree_dir_finish(&fx.tree, &dir, &entry, &flag), 0);
    CHECK(flag);
    check_stat(&fx, &entry, S_IFDIR);
    CHECK_EQ(hsr_tree_dir_finish(&fx.tree, &dir, &entry, &flag), 0);
    CHECK(!flag);

    entry = entry_of(HSR_ENTRY_DIR, ""); /* the root itself */
    entry.mode = 0750;
    CHECK_EQ(hsr_tree_mkdir(&fx.tree, &fx.root, &entry, &flag, &dev), 0);
    CHECK(!flag);
    CHECK_EQ(hsr_tree_mkdir(&fx.tree, &dir, &entry, &flag, &dev), HSR_E_NAME);
    entry.type = HSR_ENTRY_DIR_END;
    CHECK_EQ(hsr_tree_dir_finish(&fx.tree, &fx.root, &entry, &flag), 0);
    CHECK_EQ(stat_at(fx.root_fd, ".").st_mode & 07777, 0750);
    fixture_fini(&fx);
}

/* Goal: what a default ACL or a set-gid directory gives to new files is not what the source had,
 * so it goes; an ACL that the entry has is kept. */
static void test_inherited_acl_and_group(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "name");
    struct hsr_writer writer;
    struct fixture fx;
    uint8_t buf[256];
    char value[256];
    int fd;

    fixture_init(&fx, 0);
    if (fsetxattr(fx.root_fd, "system.posix_acl_default", acl_named, sizeof(acl_named), 0) < 0) {
        fprintf(stderr, "no ACLs here: not tested\n");
        fixture_fini(&fx);
        return;
    }
    if (fx.tree.root)
        CHECK_EQ(fchown(fx.root_fd, 0, 4711), 0);
    CHECK_EQ(fchmod(fx.root_fd, 02777), 0);
    entry.size = 3;
    entry.mode = 0666;
    for (unsigned named = 0; named < 2; named++) {
        fx.tree.no_tmpfile = named;
        CHECK_EQ(hsr_tree_put(&fx.tree, &fx.root, &entry, "abc", 3, named), 0);
        check_stat(&fx, &entry, S_IFREG);
        fd = openat(fx.root_fd, "name", O_RDONLY);
        CHECK(fgetxattr(fd, "system.posix_acl_access", value, sizeof(value)) < 0);
        close(fd);
        CHECK_EQ(compare(&fx, &entry), HSR_COMPARE_SAME);
    }
    entry.type = HSR_ENTRY_FIFO;
    CHECK_EQ(make(&fx, &entry), 0);
    check_stat(&fx, &entry, S_IFIFO);
    CHECK_EQ(compare(&fx, &entry), HSR_COMPARE_SAME);

    entry.type = HSR_ENTRY_FILE;
    entry.mode = 0750;
    writer = hsr_writer_init(buf, sizeof(buf));
    CHECK_EQ(hsr_xattr_put(&writer, (struct hsr_xattr){ span_of("system.posix_acl_access"),
                                                        { acl_named, sizeof(acl_named) } }),
             0);
    entry.xattrs = (struct hsr_span){ buf, writer.offset };
    entry.xattr_count = 1;
    CHECK_EQ(hsr_tree_put(&fx.tree, &fx.root, &entry, "abc", 3, true), 0);
    check_stat(&fx, &entry, S_IFREG);
    CHECK_EQ(compare(&fx, &entry), HSR_COMPARE_SAME);
    entry.xattr_count = 0;
    entry.xattrs.size = 0;
    entry.mode = 0660;
    CHECK_EQ(hsr_tree_touch(&fx.tree, &fx.root, &entry), 0); /* the ACL goes, the mode is right */
    check_stat(&fx, &entry, S_IFREG);
    CHECK_EQ(compare(&fx, &entry), HSR_COMPARE_SAME);
    CHECK_EQ(fx.tree.warning.code, 0);
    fixture_fini(&fx);
}

/* Goal: file capabilities survive the chown that comes before them. */
static void test_capability_after_chown(void)
{
    static const uint8_t cap[20] = { 1, 0, 0, 2, 0, 4 }; /* revision 2, effective; net_bind */
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "name");
    struct hsr_writer writer;
    struct fixture fx;
    uint8_t buf[256];
    char value[64];

    fixture_init(&fx, 0);
    if (fx.tree.root) {
        entry.uid = 4001;
        entry.mode = 0755;
        writer = hsr_writer_init(buf, sizeof(buf));
        CHECK_EQ(hsr_xattr_put(&writer, (struct hsr_xattr){ span_of("security.capability"),
                                                            { cap, sizeof(cap) } }),
                 0);
        entry.xattrs = (struct hsr_span){ buf, writer.offset };
        entry.xattr_count = 1;
        CHECK_EQ(make(&fx, &entry), 0);
        int fd = openat(fx.root_fd, "name", O_RDONLY);
        CHECK_EQ(fgetxattr(fd, "security.capability", value, sizeof(value)), sizeof(cap));
        close(fd);
        entry.uid = 4002; /* touched: chown takes it away, it comes back */
        CHECK_EQ(compare(&fx, &entry), HSR_COMPARE_METADATA);
        CHECK_EQ(hsr_tree_touch(&fx.tree, &fx.root, &entry), 0);
        CHECK_EQ(compare(&fx, &entry), HSR_COMPARE_SAME);
    }
    fixture_fini(&fx);
}

/* The part of the next test that runs as a plain user. */
static int plain_user(struct fixture *fx)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FILE, "name");
    struct hsr_entry dir_entry = entry_of(HSR_ENTRY_DIR, "closed");
    struct hsr_dir closed;
    uint8_t buf[256];
    struct stat st;
    bool flag;
    uint64_t dev = 0;

    CHECK(!fx->tree.root);
    entry.uid = 0;
    entry.gid = 0;
    entry.size = 3;
    entry.mode = 06444;
    entry_xattrs(&entry, buf, sizeof(buf), "user.a", "one", "trusted.t", "x", NULL);
    CHECK_EQ(hsr_tree_put(&fx->tree, &fx->root, &entry, "abc", 3, false), 0);
    CHECK(fx->tree.owner_refused);
    CHECK_EQ(fx->tree.warning.code, -EPERM); /* the set-id bits */
    st = stat_at(fx->root_fd, "name");
    CHECK_EQ(st.st_mode & 07777, 0444); /* set-id for root is not for us */
    CHECK_EQ(st.st_uid, 65534);
    CHECK_EQ(compare(fx, &entry), HSR_COMPARE_SAME); /* nothing more can be done */
    fx->tree.warning.code = 0;
    entry.mode = 0400;
    entry_xattrs(&entry, buf, sizeof(buf), "user.a", "two", NULL);
    CHECK_EQ(hsr_tree_touch(&fx->tree, &fx->root, &entry),
             0); /* read-only, its attribute changes */
    CHECK_EQ(stat_at(fx->root_fd, "name").st_mode & 07777, 0400);
    CHECK_EQ(compare(fx, &entry), HSR_COMPARE_SAME);
    CHECK_EQ(fx->tree.warning.code, 0);
    entry.uid = 65534; /* our own set-id bits stay */
    entry.gid = 65534;
    entry.mode = 06755;
    CHECK_EQ(hsr_tree_touch(&fx->tree, &fx->root, &entry), 0);
    CHECK_EQ(stat_at(fx->root_fd, "name").st_mode & 07777, 06755);
    entry = entry_of(HSR_ENTRY_BLOCK, "device");
    CHECK_EQ(hsr_tree_make(&fx->tree, &fx->root, &entry, HSR_COMPARE_ABSENT), -EPERM);

    CHECK_EQ(mkdirat(fx->root_fd, "closed", 0555), 0);
    dir_entry.mode = 0555;
    CHECK_EQ(hsr_tree_mkdir(&fx->tree, &fx->root, &dir_entry, &flag, &dev), 0);
    CHECK_EQ(stat_at(fx->root_fd, "closed").st_mode & 0777, 0755);

    /* What its owner may not read is held by O_PATH: metadata works through that too. */
    dir_entry.type = HSR_ENTRY_DIR_END;
    dir_entry.mode = 0300;
    closed = dir_of(&fx->root, 8, "closed");
    CHECK_EQ(hsr_tree_dir_finish(&fx->tree, &closed, &dir_entry, &flag), 0);
    hsr_dircache_drop(&fx->tree.cache, 8);
    dir_entry.mode = 0310;
    dir_entry.mtime_s++;
    CHECK_EQ(hsr_tree_dir_finish(&fx->tree, &closed, &dir_entry, &flag), 0);
    CHECK(flag);
    st = stat_at(fx->root_fd, "closed");
    CHECK_EQ(st.st_mode & 07777, 0310);
    CHECK_EQ(st.st_mtim.tv_sec, FIXTURE_TIME + 1);
    CHECK_EQ(hsr_tree_dir_finish(&fx->tree, &closed, &dir_entry, &flag), 0);
    CHECK(!flag);
    CHECK_EQ(fx->tree.warning.code, 0);
    return hsr_test_failures;
}

/* Goal: a plain user keeps what can be kept, says what cannot, and never makes a set-id file for
 * somebody else. Method: a child that becomes nobody. */
static void test_plain_user(void)
{
    struct fixture fx;
    int status = -1;
    pid_t child;

    fixture_init(&fx, 0);
    if (!fx.tree.root) {
        fixture_fini(&fx);
        return;
    }
    child = fork();
    if (child == 0) {
        if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
            _exit(99);
        fixture_loop(&fx, 0);
        _exit(plain_user(&fx) == 0 ? 0 : 1);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    fixture_fini(&fx);
}

/* Goal: an attribute that a file system refuses costs a warning, not the file. */
static void test_unkept_attribute_is_a_warning(void)
{
    struct hsr_entry entry = entry_of(HSR_ENTRY_FIFO, "name");
    struct fixture fx;
    uint8_t buf[256];

    fixture_init(&fx, 0);
    entry_xattrs(&entry, buf, sizeof(buf), "user.a", "one", NULL); /* files and directories only */
    CHECK_EQ(make(&fx, &entry), 0);
    check_stat(&fx, &entry, S_IFIFO);
    CHECK_EQ(fx.tree.warning.code, -EPERM);
    CHECK(strcmp(fx.tree.warning.op, "setxattr") == 0);
    fx.tree.warning.code = 0;
    entry.xattrs.size--; /* a peer's malformed list is the peer's fault */
    CHECK(hsr_tree_touch(&fx.tree, &fx.root, &entry) < 0);
    fixture_fini(&fx);
}

static void race_ignore(void *context, const char *path, int code)
{
    (void)context, (void)path, (void)code;
}

/* One of each thing a target does, in the directory that is being swapped. Returns how many of
 * them found the real directory. */
static unsigned race_round(struct fixture *fx, const struct hsr_dir *way)
{
    struct hsr_entry file = entry_of(HSR_ENTRY_FILE, "canary");
    struct hsr_entry fifo = entry_of(HSR_ENTRY_FIFO, "fifo");
    struct hsr_entry below = entry_of(HSR_ENTRY_DIR, "below");
    struct hsr_nameset keep = { 0 };
    struct hsr_prune *prune;
    uint64_t left = 100;
    unsigned done = 0;
    bool flag;
    uint64_t dev = 0;

    file.size = 3;
    done += hsr_tree_put(&fx->tree, way, &file, "new", 3, true) == 0;
    hsr_dircache_drop(&fx->tree.cache, way->id);
    file.mode = 0777;
    done += hsr_tree_touch(&fx->tree, way, &file) == 0;
    hsr_dircache_drop(&fx->tree.cache, way->id);
    done += hsr_tree_make(&fx->tree, way, &fifo, HSR_COMPARE_ABSENT) == 0;
    hsr_dircache_drop(&fx->tree.cache, way->id);
    done += hsr_tree_mkdir(&fx->tree, way, &below, &flag, &dev) == 0;
    hsr_dircache_drop(&fx->tree.cache, way->id);
    if (hsr_prune_create(&fx->tree, way, &keep, 1, NULL, &left, race_ignore, NULL, &prune) == 0) {
        done++;
        while (hsr_prune_step(prune) == 1)
            ;
        hsr_prune_destroy(prune);
    }
    hsr_dircache_drop(&fx->tree.cache, way->id);
    return done;
}

/* Goal: a directory that is swapped for a symlink to the outside at any moment never leads there.
 * Method: a child swaps the two as fast as it can; what is outside must not change. */
static void test_swapped_directory_never_leads_out(void)
{
    unsigned done = 0, rounds = 0;
    struct hsr_dir way;
    struct fixture fx;
    struct stat before, after;
    int status;
    pid_t child;

    fixture_init(&fx, 0);
    way = dir_of(&fx.root, 9, "way");
    CHECK_EQ(mkdirat(fx.base_fd, "outside", 0755), 0);
    write_at(fx.base_fd, "outside/canary", "alive");
    CHECK_EQ(mkdirat(fx.root_fd, "way", 0755), 0);
    CHECK_EQ(symlinkat("../outside", fx.root_fd, "evil"), 0);
    before = stat_at(fx.base_fd, "outside/canary");
    child = fork();
    if (child == 0) {
        for (;;)
            (void)renameat2(fx.root_fd, "way", fx.root_fd, "evil", RENAME_EXCHANGE);
    }
    /* On a busy machine the child may not run for a while. */
    while (rounds < 3000 || (rounds < 300000 && (done == 0 || done == 5 * rounds))) {
        done += race_round(&fx, &way);
        rounds++;
    }
    CHECK_EQ(kill(child, SIGKILL), 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(done > 0 && done < 5 * rounds); /* else nothing was raced */
    after = stat_at(fx.base_fd, "outside/canary");
    CHECK(holds(fx.base_fd, "outside/canary", "alive"));
    CHECK_EQ(count_names(fx.base_fd, "outside"), 1);
    CHECK_EQ(after.st_mode, before.st_mode);
    CHECK_EQ(after.st_uid, before.st_uid);
    CHECK_EQ(after.st_ctim.tv_sec, before.st_ctim.tv_sec);
    CHECK_EQ(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
    fixture_fini(&fx);
}

int main(void)
{
    RUN(test_swapped_directory_never_leads_out);
    RUN(test_target_every_kind_over_every_kind);
    RUN(test_compare_finds_each_difference);
    RUN(test_compare_long_attributes);
    RUN(test_compare_links_and_devices);
    RUN(test_touch_sets_what_differs);
    RUN(test_target_symlinks_lead_nowhere);
    RUN(test_link);
    RUN(test_mkdir_and_finish);
    RUN(test_inherited_acl_and_group);
    RUN(test_capability_after_chown);
    RUN(test_plain_user);
    RUN(test_unkept_attribute_is_a_warning);
    TEST_END();
}
