#!/usr/bin/env python3
"""Every option of the command line, one test each; filters are judged by rsync itself."""

import json
import os
import signal
import stat
import subprocess
import time

import hawser_test
import judge
import tree
import way
from hawser_test import Failure, Skip


def small_tree(t, name="src"):
    src = t.path(name)
    tree.build(src, (tree.add_small, tree.add_links))
    return src


def listing(root):
    found = set()
    for folder, folders, files in os.walk(os.fsencode(root)):
        for n in folders + files:
            found.add(os.path.relpath(os.path.join(folder, n), os.fsencode(root)))
    return found


def test_dry_run(t):
    src, dst = small_tree(t), t.dir("dst")
    server = t.server({"x": dst})
    for option in ("-n", "--dry-run"):
        r = t.run("push", option, "-v", src + "/", server.url(), rc=0)
        t.check(listing(dst) == set(), "a dry run wrote:", r)
        t.says(r, "f1")
    r = t.run("pull", "-n", server.url() + b"/", t.path("back"), rc=0)
    t.check(not os.path.exists(t.path("back")) or not listing(t.path("back")), "a dry run wrote:", r)


def test_congestion(t):
    src = small_tree(t)
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as file:
        host = file.read().strip()
    server = t.server({"x": t.dir("dst")})
    for name, used in (("reno", "reno"), ("system", host)):
        for command in ((src + "/", server.url(path=name)),
                        (server.url(path=name), t.path("back-" + name))):
            r = t.run("push" if command[0] == src + "/" else "pull", "--json",
                      "--congestion=" + name, *command, rc=0)
            summary = r.summary()
            t.check(summary["congestion"] == used, "not %s:" % used, r)
    r = t.run("push", "--congestion=no_such_one", src + "/", server.url(), rc=2)
    t.says(r, "no_such_one", "tcp_available_congestion_control")
    r = t.run("push", "--congestion=Reno!", src + "/", server.url(), rc=2)
    t.says(r, "--congestion=Reno!")
    r = t.run("pull", "--congestion=no_such_one", server.url(path="reno"), t.path("there"), rc=0)
    t.says(r, "warning", "no_such_one", "it uses")


def test_verbose_and_quiet(t):
    src, dst = small_tree(t), t.dir("dst")
    server = t.server({"x": dst})
    r = t.run("push", "-q", src + "/", server.url(path="a"), rc=0)
    t.check(r.out == b"" and r.err == b"", "-q prints:", r)
    r = t.run("push", "-v", src + "/", server.url(path="b"), rc=0)
    t.says(r, "small/d0/f1")
    r = t.run("push", src + "/", server.url(path="c"), rc=0)
    t.says(r, "files", ("GB/s", "MB/s", "kB/s", "B/s"), "xxh3", ("durable", "written"))


def test_checksum(t):
    src, dst = t.dir("src"), t.dir("dst")
    b = tree.Builder(src)
    b.file("f", b"A" * 5000, mtime_ns=10**18)
    b.random_file("same", 70000, mtime_ns=10**18)
    server = t.server({"x": dst})
    t.run("push", src + "/", server.url(), rc=0)
    tree.Builder(dst).file("f", b"B" * 5000, mtime_ns=10**18)
    inode = os.stat(dst + "/same").st_ino
    t.run("push", src + "/", server.url(), rc=0)
    t.check(open(dst + "/f", "rb").read(1) == b"B", "size and time are equal: nothing to do")
    for option in ("-c",):
        t.run("push", option, src + "/", server.url(), rc=0)
        t.same(src, dst)
        t.check(os.stat(dst + "/same").st_ino == inode, "an equal file was replaced")


def test_checksum_touches_what_has_another_time(t):
    """Equal content, other metadata: as with rsync -c only the metadata is set."""
    src, dst = t.dir("src"), t.dir("dst")
    tree.Builder(src).random_file("large", 9 << 20, mtime_ns=10**18)
    tree.Builder(src).random_file("small", 3000, mtime_ns=10**18)
    server = t.server({"x": dst})
    t.run("push", src + "/", server.url(), rc=0)
    inodes = [os.stat(dst + name).st_ino for name in ("/large", "/small")]
    for name in ("/large", "/small"):
        os.utime(dst + name, ns=(5 * 10**17, 5 * 10**17))
    r = t.run("push", "-c", "--json", src + "/", server.url(), rc=0)
    summary = r.summary()
    t.check((summary["files"], summary["touched"]) == (0, 2), "not only touched:", r)
    t.same(src, dst)
    t.check(inodes == [os.stat(dst + name).st_ino for name in ("/large", "/small")], "replaced")
    r = t.run("push", "-c", "--json", src + "/", server.url(), rc=0)
    summary = r.summary()
    t.check((summary["files"], summary["touched"]) == (0, 0), "touched again:", r)


def test_blake3_moves_what_b3sum_agrees_with(t):
    """Large, small, empty and sparse files; -c then finds nothing, and -c -n neither."""
    src, dst = t.dir("src"), t.dir("dst")
    b = tree.Builder(src)
    for size in (0, 1, 1023, 1024, 1025, 65535, 65536, 65537, 70000, 1 << 20, (9 << 20) + 3, 150 << 20):
        b.random_file("f%d" % size, size, mtime_ns=10**18)
    b.sparse("sparse", 40 << 20, [(0, 10), (17 << 20, 70000), ((40 << 20) - 1, 1)])
    b.sparse("holes", 160 * (1 << 18), [(i << 18, 5000) for i in range(0, 160, 2)])
    b.sparse("hollow", 20 << 20, [])
    server = t.server({"x": dst})
    r = t.run("push", "--digest=blake3", "--json", src + "/", server.url(), rc=0)
    summary = r.summary()
    t.check(summary["digest"] == "blake3", "another digest:", r)
    t.same(src, dst)
    r = t.run("pull", "--digest=blake3", server.url() + b"/", t.path("back"), rc=0)
    t.says(r, "digest blake3")
    t.same(src, t.path("back"))
    for options in (["-c"], ["-c", "-n"]):
        r = t.run("push", "--digest=blake3", "--json", *options, src + "/", server.url(), rc=0)
        summary = r.summary()
        t.check((summary["files"], summary["touched"]) == (0, 0), "something to do:", r)


def test_checksum_dry_run(t):
    """-n -c says what -c would do, and does nothing."""
    src, dst = t.dir("src"), t.dir("dst")
    for name, size in (("large", 9 << 20), ("huge", 80 << 20), ("small", 3000), ("same", 4 << 20)):
        tree.Builder(src).random_file(name, size, mtime_ns=10**18)
    server = t.server({"x": dst})
    t.run("push", src + "/", server.url(), rc=0)
    for name, at in (("large", 5 << 20), ("huge", (80 << 20) - 1), ("small", 0)):
        with open(dst + "/" + name, "r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1]))
        os.utime(dst + "/" + name, ns=(10**18, 10**18))
    os.utime(dst + "/same", ns=(5 * 10**17, 5 * 10**17))
    before = {n: (os.stat(dst + "/" + n).st_ino, os.stat(dst + "/" + n).st_ctime_ns)
              for n in os.listdir(dst)}
    for command, to in (("push", (src + "/", server.url())), ("pull", (server.url() + b"/", src))):
        r = t.run(command, "-n", "-c", "--json", *to, rc=0)
        names = sorted((x["event"], x["path"]) for x in r.rows("file") if x["path"])
        t.check(names == [("touched", "same"), ("updated", "huge"), ("updated", "large"),
                          ("updated", "small")], "named %r:" % names, r)
    after = {n: (os.stat(dst + "/" + n).st_ino, os.stat(dst + "/" + n).st_ctime_ns)
             for n in os.listdir(dst)}
    t.check(before == after, "a dry run changed something")


def test_delete(t):
    src, dst = small_tree(t), t.dir("dst")
    server = t.server({"x": dst})
    b = tree.Builder(dst)
    b.directory("extra/deep/er")
    b.file("extra/deep/er/f", b"x")
    b.file("stray", b"x")
    b.symlink("stray-link", "/etc")
    t.run("push", src + "/", server.url(), rc=0)
    t.check(os.path.exists(dst + "/extra/deep/er/f"), "deleted without --delete")
    t.run("push", "--delete", "-n", src + "/", server.url(), rc=0)
    t.check(os.path.exists(dst + "/stray"), "a dry run deleted")
    t.run("push", "--delete", src + "/", server.url(), rc=0)
    t.same(src, dst, full=True)
    back = t.dir("back")
    tree.Builder(back).file("stray", b"x")
    t.run("pull", "--delete", server.url() + b"/", back, rc=0)
    t.same(src, back, full=True)


def test_delete_keeps_siblings(t):
    """Only what is below a pushed directory is extraneous; nothing beside it."""
    src, dst = small_tree(t), t.dir("dst")
    tree.Builder(dst).file("other", b"keep")
    server = t.server({"x": dst})
    t.run("push", "--delete", src, server.url(), rc=0)
    t.check(os.path.exists(dst + "/other"), "--delete went beside the pushed directory")
    t.same(src, dst + "/src")


def test_delete_excluded_are_kept(t):
    src, dst = small_tree(t), t.dir("dst")
    server = t.server({"x": dst})
    tree.Builder(dst).file("keep.bak", b"x")
    tree.Builder(dst).file("go", b"x")
    t.run("push", "--delete", "--exclude=*.bak", src + "/", server.url(), rc=0)
    t.check(os.path.exists(dst + "/keep.bak"), "an excluded entry was deleted")
    t.check(not os.path.exists(dst + "/go"), "an extraneous entry stayed")


def test_delete_not_after_a_failure(t):
    if not tree.is_root():
        raise Skip("needs a second user")
    src, dst = t.dir("src"), t.dir("dst")
    b = tree.Builder(src)
    b.directory("d")
    b.file("d/ok", b"x")
    b.file("d/closed", b"x", mode=0o000)
    os.chmod(dst, 0o777)
    tree.Builder(dst).directory("d", mode=0o777)
    tree.Builder(dst).file("d/stray", b"x")
    server = t.server({"x": dst})
    t.run("push", "--delete", src + "/", server.url(), user=65534, rc=1)
    t.check(os.path.exists(dst + "/d/stray"), "--delete although something failed below")


def test_max_delete(t):
    src, dst = small_tree(t), t.dir("dst")
    server = t.server({"x": dst})
    for i in range(20):
        tree.Builder(dst).file("stray%d" % i, b"x")
    r = t.run("push", "--delete", "--max-delete=5", src + "/", server.url(), rc=(0, 1))
    left = len([n for n in os.listdir(dst) if n.startswith("stray")])
    t.check(left >= 15, "%d of 20 left, 5 may go:" % left, r)
    t.says(r, ("max-delete", "deletions"))
    t.run("push", "--delete", "--max-delete=100", src + "/", server.url(), rc=0)
    t.same(src, dst)


def filter_tree(root):
    b = tree.Builder(root)
    for d in ("a", "a/b", "a/b/c", "foo", "foo/bar", "x", "x/foo", "x/foo/bar", "tmp", "x/tmp", "e"):
        b.directory(d)
    for f in ("one.c", "two.o", "a/one.c", "a/two.o", "a/b/one.o", "a/b/c/deep.o", "a/b/c/deep.c",
              "foo/f", "foo/bar/g", "x/foo/f", "x/foo/bar/g", "tmp/t", "x/tmp/t", "tmpfile", "a/tmp",
              "a1", "a2", "b1", "ab", "a[1]", "star*", "q?", "back\\slash", ".hidden", "a/.hidden",
              "-dash", " space", "#hash", ";semi", "foo.bar.baz", "FOO"):
        b.file(f, f.encode())
    b.symlink("link-to-foo", "foo")
    return root


RULES = [
    ["--exclude=*.o"], ["--exclude=/two.o"], ["--exclude=/*.o"], ["--exclude=foo"],
    ["--exclude=foo/"], ["--exclude=/foo"], ["--exclude=/foo/"], ["--exclude=x/foo"],
    ["--exclude=/x/foo/bar"], ["--exclude=foo/bar"], ["--exclude=**/bar"], ["--exclude=a/**"],
    ["--exclude=/a/**"], ["--exclude=**.o"], ["--exclude=a/*/c"], ["--exclude=a/**/deep.c"],
    ["--exclude=/a/*.o"], ["--exclude=/a/**.o"], ["--exclude=a?"], ["--exclude=a[12]"],
    ["--exclude=a[!1]"], ["--exclude=a[^1]"], ["--exclude=[a-b]1"], ["--exclude=[[:lower:]]1"],
    ["--exclude=a\\[1\\]"], ["--exclude=star\\*"], ["--exclude=q\\?"], ["--exclude=back\\\\slash"],
    ["--exclude=.*"], ["--exclude=/.*"], ["--exclude=tmp/"], ["--exclude=tmp"], ["--exclude=*"],
    ["--exclude=*/"], ["--exclude=/*/"], ["--exclude=-dash"], ["--exclude= space"],
    ["--exclude=**"], ["--exclude=foo.*"], ["--exclude=f*o"], ["--exclude=FOO"], ["--exclude=link*"],
    ["--exclude=link-to-foo/"], ["--exclude=a/***"], ["--exclude=/foo/***"],
    ["--include=*.c", "--exclude=*"], ["--include=*/", "--include=*.c", "--exclude=*"],
    ["--include=/a/", "--include=/a/one.c", "--exclude=*"],
    ["--include=/foo/***", "--exclude=*"], ["--exclude=one.c", "--include=a/one.c"],
    ["--include=a/one.c", "--exclude=one.c"], ["--include=*.o", "--exclude=a/"],
    ["--exclude=*.o", "--exclude=*.c", "--exclude=foo/"],
    ["--include=tmp/", "--exclude=tmp*"], ["--exclude=x/**/bar", "--exclude=/a1"],
    ["--exclude=/a/b/"], ["--exclude=b/c"], ["--exclude=c/"], ["--exclude=/e/"],
    ["--include=/x/", "--include=/x/**", "--exclude=/*"],
    ["--exclude=- *.o"], ["--exclude=+ *.o", "--exclude=*"],
]

RULE_FILES = [
    b"*.o\n", b"# comment\n*.o\n\n; also a comment\n/foo/\n", b"+ *.c\n+ */\n- *\n",
    b"*.o\r\n", b"- foo/\n+ tmp\n", b"/a/**\n.hidden", b"  \n*.c\n", b"#hash\n", b"!\n*.o\n",
]


def against_rsync(t, server, src, dst, label, rsync_args, hawser_args, failures):
    want, got = t.path("want"), os.path.join(dst, "got")
    r = subprocess.run(["rsync", "-a", *rsync_args, src + "/", want + "/"], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, check=False)
    if r.returncode == 0:
        h = t.run("push", *hawser_args, src + "/", server.url(path="got"))
        os.makedirs(got, exist_ok=True)
        expected, found = listing(want), listing(got)
        if h.rc != 0 or expected != found:
            failures.append("%s: exit %d, only rsync %s, only hawser %s %s" % (
                label, h.rc, sorted(expected - found)[:6], sorted(found - expected)[:6],
                h.err[:300] if h.rc else ""))
    tree.remove(want)
    tree.remove(got)


def test_filters_as_rsync(t):
    if not judge.have("rsync"):
        raise Skip("rsync is the judge")
    src, dst = filter_tree(t.path("src")), t.dir("dst")
    server = t.server({"x": dst})
    failures = []
    for rules in RULES[::3]:  # filter_table has their forms, and many more: here they travel
        against_rsync(t, server, src, dst, " ".join(rules), rules, rules, failures)
    for text in RULE_FILES:
        path = t.path("rules")
        with open(path, "wb") as f:
            f.write(text)
        for option in ("--exclude-from=" + path,):
            against_rsync(t, server, src, dst, "exclude-from %r" % text, [option], [option], failures)
    if failures:
        raise Failure("%d of %d differ from rsync:\n%s" % (
            len(failures), len(RULES[::3]) + len(RULE_FILES), "\n".join(failures)))


def test_filters_on_pull(t):
    if not judge.have("rsync"):
        raise Skip("rsync is the judge")
    src = filter_tree(t.path("src"))
    server = t.server({"x": (src, "ro")})
    failures = []
    for rules in RULES[::6]:
        want, got = t.path("want"), t.path("got")
        subprocess.run(["rsync", "-a", *rules, src + "/", want + "/"], check=True)
        t.run("pull", *rules, server.url() + b"/", got, rc=0)
        if listing(want) != listing(got):
            failures.append("%s: %s" % (rules, sorted(listing(want) ^ listing(got))[:6]))
        tree.remove(want)
        tree.remove(got)
    if failures:
        raise Failure("\n".join(failures))


def test_files_from(t):
    if not judge.have("rsync"):
        raise Skip("rsync is the judge")
    src, dst = filter_tree(t.path("src")), t.dir("dst")
    server = t.server({"x": dst})
    failures = []
    for text in (b"one.c\na/one.c\n", b"a/b/c/deep.o\n", b"foo/\n# not a comment? \n",
                 b"/a/two.o\n./x/foo/f\n", b"a/b/\nlink-to-foo\n"):
        path = t.path("list")
        with open(path, "wb") as f:
            f.write(text)
        option = ["--files-from=" + path]
        against_rsync(t, server, src, dst, "files-from %r" % text, option, option, failures)
    with open(t.path("list"), "w") as f:
        f.write("one.c\nno-such-file\n")
    r = t.run("push", "--files-from=" + t.path("list"), src + "/", server.url(path="got"), rc=1)
    t.says(r, "no-such-file")
    t.check(os.path.exists(dst + "/got/one.c"), "the others move:", r)
    if failures:
        raise Failure("\n".join(failures))


def test_size_only(t):
    src, dst = t.dir("src"), t.dir("dst")
    tree.Builder(src).file("f", b"AAAA", mtime_ns=10**18)
    tree.Builder(dst).file("f", b"BBBB", mtime_ns=2 * 10**18)
    server = t.server({"x": dst})
    t.run("push", "--size-only", src + "/", server.url(), rc=0)
    t.check(open(dst + "/f", "rb").read() == b"BBBB", "equal size was moved")
    tree.Builder(src).file("f", b"AAAAA", mtime_ns=10**18)
    t.run("push", "--size-only", src + "/", server.url(), rc=0)
    t.check(open(dst + "/f", "rb").read() == b"AAAAA", "another size was not moved")


def test_quick_check_is_exact(t):
    """One nanosecond of difference is a difference."""
    src, dst = t.dir("src"), t.dir("dst")
    tree.Builder(src).file("f", b"AAAA", mtime_ns=10**18 + 1)
    tree.Builder(dst).file("f", b"BBBB", mtime_ns=10**18)
    server = t.server({"x": dst})
    t.run("push", src + "/", server.url(), rc=0)
    t.same(src, dst, times=True)


def test_ignore_existing(t):
    src, dst = t.dir("src"), t.dir("dst")
    tree.Builder(src).file("f", b"new")
    tree.Builder(src).file("g", b"new")
    tree.Builder(dst).file("f", b"old one")
    server = t.server({"x": dst})
    t.run("push", "--ignore-existing", src + "/", server.url(), rc=0)
    t.check(open(dst + "/f", "rb").read() == b"old one", "an existing file was replaced")
    t.check(open(dst + "/g", "rb").read() == b"new", "a new file did not move")


def test_bwlimit(t):
    """30 MiB at 10 MiB/s take 3 s, but for a burst; how exactly, test_fault_slow tells.  Units are rsync's: K and M
    are powers of 1024."""
    src, dst = t.dir("src"), t.dir("dst")
    tree.Builder(src).random_file("f", 30 * tree.MIB)
    server = t.server({"x": dst})
    start = time.monotonic()
    push = t.start("push", "--bwlimit=10M", src + "/", server.url(path="m"))
    pull_server = t.server({"x": src})
    pull = t.start("pull", "--bwlimit=10240", pull_server.url() + b"/", t.path("back"))
    for name, p in (("push", push), ("pull", pull)):
        r = p.wait(60)
        t.check(r.rc == 0, r)
        seconds = time.monotonic() - start
        t.check(seconds >= 2.6, "%s: %.2f s instead of 3:" % (name, seconds), r)
    t.same(src, dst + "/m")
    t.same(src, t.path("back"))


def test_durability_levels(t):
    src, dst = small_tree(t), t.disk_folder()
    server = t.server({"x": dst})
    for level in ("received", "written", "durable"):
        r = t.run("push", "--durability=" + level, src + "/", server.url(path=level), rc=0)
        # every file has its name by then: what was asked for is the least
        t.says(r, "written" if level == "received" else level)
        t.same(src, os.path.join(dst, level))
    r = t.run("push", "--durability=maybe", src + "/", server.url(), rc=2)
    t.says(r, "durability")


def test_json(t):
    """Each line is one valid JSON object in valid UTF-8, whatever the names hold."""
    src, dst = t.path("src"), t.dir("dst")
    tree.build(src, (tree.add_names, tree.add_small, tree.add_sockets))
    server = t.server({"x": dst})
    kinds = set()
    for args in (["push", "--json", src + "/", server.url()],
                 ["push", "--json", "-v", src + "/", server.url(path="v")],
                 ["pull", "--json", "-v", server.url() + b"/", t.path("back")]):
        r = t.run(*args, rc=(0, 1))
        lines = r.out.split(b"\n")
        t.check(lines[-1] == b"" and len(lines) >= 3, "too little JSON:", r)
        for line in lines[:-1]:
            try:
                value = json.loads(line.decode("utf-8"))
            except ValueError as error:
                raise Failure("no JSON (%s): %r" % (error, line[:300])) from error
            t.check(isinstance(value, dict), "no object: %r" % line[:200])
            kinds.add(value.get("type") or value.get("event") or value.get("kind"))
        t.check(b"summary" in lines[-2], "the last line is no summary: %r" % lines[-2][:300])
    for kind in ("start", "file", "summary"):
        t.check(kind in kinds, "no %r among %s" % (kind, kinds))


def test_no_terminal_escapes(t):
    """Names with control bytes never reach a terminal as they are."""
    src, dst = t.path("src"), t.dir("dst")
    tree.build(src, (tree.add_names,))
    server = t.server({"x": dst})
    r = t.run("push", "-v", src + "/", server.url(), rc=0)
    for byte in (0x1b, 0x07, 0x9b, 0x0d):
        for line in (r.out + r.err).split(b"\n"):
            raw = bytes([byte]) in line
            if raw and byte == 0x9b:  # legal inside a UTF-8 sequence
                try:
                    line.decode("utf-8")
                    raw = False
                except UnicodeDecodeError:
                    pass
            t.check(not raw, "byte %#x printed raw: %r" % (byte, line[:200]))


def test_no_owner_no_times_no_xattrs(t):
    src, dst = t.path("src"), t.dir("dst")
    tree.build(src, (tree.add_owners, tree.add_times, tree.add_xattrs, tree.add_acls))
    server = t.server({"x": dst})
    t.run("push", "--no-owner", src + "/", server.url(path="owner"), rc=0)
    # set-id bits are for the owner they were given with: without it they go
    setuid = dst + "/owner/owners/setuid"
    if tree.is_root():
        mode = stat.S_IMODE(os.stat(setuid).st_mode)
        t.check(not mode & stat.S_ISUID, "set-uid for another owner: %o" % mode)
        os.chmod(setuid, stat.S_IMODE(os.stat(src + "/owners/setuid").st_mode))
    t.same(src, dst + "/owner", owners=False)
    if tree.is_root():
        t.check(os.stat(dst + "/owner/owners/1-1").st_uid == 0, "--no-owner set an owner")
    t.run("push", "--no-times", src + "/", server.url(path="times"), rc=0)
    t.same(src, dst + "/times", times=False)
    now = time.time()
    t.check(abs(os.stat(dst + "/times/times/epoch").st_mtime - now) < 600, "--no-times set a time")
    t.run("push", "--no-xattrs", src + "/", server.url(path="xattrs"), rc=0)
    found = [n for n in os.listxattr(dst + "/xattrs/xattrs/some") if n.startswith("user.")]
    t.check(not found, "--no-xattrs set %s" % found)
    t.same(src, dst + "/xattrs", xattrs=False)


def test_no_hard_links(t):
    src, dst = t.path("src"), t.dir("dst")
    tree.build(src, (tree.add_links,))
    server = t.server({"x": dst})
    t.run("push", "--no-hard-links", src + "/", server.url(), rc=0)
    t.same(src, dst, links=False)
    t.check(os.stat(dst + "/links/a/hard1").st_nlink == 1, "hard link made")


def test_copy_links(t):
    src, dst = t.dir("src"), t.dir("dst")
    b = tree.Builder(src)
    b.random_file("file", 5000)
    b.directory("dir")
    b.random_file("dir/in", 100)
    b.symlink("to-file", "file")
    b.symlink("to-dir", "dir")
    server = t.server({"x": dst})
    t.run("push", "--copy-links", src + "/", server.url(), rc=0)
    t.check(not os.path.islink(dst + "/to-file"), "still a symlink")
    t.check(open(dst + "/to-file", "rb").read() == open(src + "/file", "rb").read(), "content")
    t.check(os.path.isfile(dst + "/to-dir/in") and not os.path.islink(dst + "/to-dir"), "directory")
    b.symlink("dangling", "nowhere")
    r = t.run("push", "--copy-links", src + "/", server.url(path="d"), rc=1)
    t.says(r, "dangling")


def test_source_forms(t):
    """SRC/ copies the contents, SRC the directory itself; several; a file; a new name."""
    src, dst = small_tree(t), t.dir("dst")
    other = t.dir("other")
    tree.Builder(other).random_file("one", 5000)
    server = t.server({"x": dst})
    t.run("push", src, server.url(), rc=0)
    t.same(src, dst + "/src")
    t.run("push", src + "/", server.url(path="contents"), rc=0)
    t.same(src, dst + "/contents")
    t.run("push", src, other, other + "/one", server.url(path="both/"), rc=0)
    t.same(src, dst + "/both/src")
    t.same(other, dst + "/both/other")
    t.check(os.path.isfile(dst + "/both/one"), "a file among several sources")
    t.run("push", other + "/one", server.url(path="new-name"), rc=0)
    t.check(open(dst + "/new-name", "rb").read() == open(other + "/one", "rb").read(), "new name")
    t.run("push", other + "/one", server.url(path="both/"), rc=0)
    t.check(os.path.isfile(dst + "/both/one"), "a file into a directory")
    back = t.dir("back")
    t.run("pull", server.url(path="src"), server.url(path="new-name"), back, rc=0)
    t.same(src, back + "/src")
    t.check(os.path.isfile(back + "/new-name"), "pulled file")
    t.run("pull", server.url(path="new-name"), back + "/renamed", rc=0)
    t.check(open(back + "/renamed", "rb").read() == open(other + "/one", "rb").read(), "renamed")
    t.run("pull", server.url(path="src/"), back + "/flat", rc=0)
    t.same(src, back + "/flat")
    t.run("push", ".", server.url(path="dot"), cwd=src, rc=0)
    t.check(os.path.isdir(dst + "/dot"), "'.' as a source")


def test_ls_and_stat(t):
    src = small_tree(t)
    tree.build(src, (tree.add_names,))
    server = t.server({"x": (src, "ro")})
    r = t.run("ls", server.url(), rc=0)
    t.says(r, "small", "links", "names", "empty")
    r = t.run("ls", server.url(path="links"), rc=0)
    t.says(r, "hard3", "dangling")
    r = t.run("ls", server.url(path="names"), rc=0)
    t.check(b"\x1b[31m" not in r.out, "raw escape in a listing:", r)
    r = t.run("ls", "--json", server.url(path="names"), rc=0)
    for line in r.out.splitlines():
        json.loads(line.decode("utf-8"))
    r = t.run("stat", server.url(path="links/a/hard1"), rc=0)
    t.says(r, "70000")
    r = t.run("stat", server.url(path="no-such"), rc=(1, 3))
    t.says(r, "no-such")
    r = t.run("ls", server.url(path="no/such"), rc=(1, 3))
    t.says(r, "no/such")


def test_zero_copy(t):
    """On loopback everything is copied: the counters say so, and every connection stops trying."""
    src, window = t.dir("src"), 64
    tree.Builder(src).random_file("big", 48 * tree.MIB)
    tree.Builder(src).random_file("small", 1000)
    server = t.server({"x": t.dir("dst")})
    options = ["--streams=2", "--chunk=64K", "--depth=64"]  # half of the chunks may linger
    push = t.run("push", "--json", "--zero-copy=on", *options, src + "/", server.url(), rc=0).summary()
    t.same(src, t.path("dst"))
    if push["zc_sent_bytes"] == 0:
        t.check(b"send_zc (needs" in t.run("push", "-v", src + "/", server.url(), rc=0).err,
                "zero-copy sends work here and none was made", push)
        return
    t.check(push["zc_copied_bytes"] == push["zc_sent_bytes"], "not copied on loopback?", push)
    t.check(push["zc_downgrades"] == 2, "both connections must have stopped", push)
    t.check(push["zc_sent_bytes"] < push["bytes"], "the rest goes with copies", push)
    t.check(push["zc_sent_bytes"] >= 2 * (window // 2 + 1) * 65536, "stopped too soon", push)
    for mode in ("auto", "off"):
        again = t.run("push", "--json", "--zero-copy=" + mode, src + "/", server.url(path=mode), rc=0).summary()
        t.check(again["zc_sent_bytes"] == 0 and again["zc_downgrades"] == 0, mode, again)
    server = t.server({"x": src}, ["--zero-copy=on"])
    pull = t.run("pull", "--json", *options, server.url() + b"/", t.path("back"), rc=0).summary()
    t.same(src, t.path("back"))  # the server sends; what it counts is its own
    t.check(pull["zc_sent_bytes"] == 0, "counted what it did not send", pull)


def test_zero_copy_peer_gone(t):
    """Killed or frozen, with data that it never acknowledged: the client ends all the same."""
    src = t.dir("src")
    tree.Builder(src).random_file("big", 64 * tree.MIB)
    runs = []
    for how, seconds in ((signal.SIGKILL, 10), (signal.SIGSTOP, 20)):
        server = t.server({"x": t.dir("dst%d" % how)})
        p = t.start("push", "--json", "--progress", "--zero-copy=on", "--timeout=3", "--bwlimit=16M", src + "/",
                    server.url())
        runs.append((p, server, how, seconds))
    for p, server, how, seconds in runs:
        t.until(lambda p=p: way.moved(p) > 8 * tree.MIB or p.poll() is not None, what="progress")
        t.check(p.poll() is None, "ended too soon:", p.result())
        server.kill(how)
    for p, server, how, seconds in runs:
        r = p.wait(seconds)
        t.check(r.rc in (1, 3, 4), "the client must say that its server is gone:", r)
        server.kill(signal.SIGKILL)
        server.wait(20)


def test_usage_errors(t):
    for args in ([], ["push"], ["push", "a"], ["frobnicate"], ["push", "--no-such-option", "a", "b"],
                 ["push", "a", "b"], ["push", "a", "http://h/x"], ["push", "a", "hawser://h"],
                 ["push", "--depth=0", "a", "hawser://h/x"], ["push", "--chunk=1", "a", "hawser://h/x"],
                 ["push", "--streams=-1", "a", "hawser://h/x"], ["pull", "a", "b"],
                 ["push", "--digest=md5", "a", "hawser://h/x"],
                 ["pull", "--digest=BLAKE3", "hawser://h/x", "a"],
                 ["push", "--io=fast", "a", "hawser://h/x"],
                 ["push", "--zero-copy=yes", "a", "hawser://h/x"],
                 ["push", "--bwlimit=fast", "a", "hawser://h/x"],
                 ["push", "--delta=yes", "a", "hawser://h/x"], ["push", "--delta", "a", "hawser://h/x"],
                 ["push", "--delta-block=1000", "a", "hawser://h/x"],
                 ["push", "--delta-block=256", "a", "hawser://h/x"],
                 ["push", "--delta-block=2M", "a", "hawser://h/x"],
                 ["push", "a", "hawser://h:99999/x"], ["push", "--max-delete=x", "a", "hawser://h/x"]):
        r = t.run(*args, rc=2)
        t.check(r.err, "no message:", r)
    t.says(t.run("--help", rc=0), "push", "pull")
    t.says(t.run("push", "--help", rc=0), "--delete", "--bwlimit")
    t.says(t.run("--version", rc=0), "hawser")


def test_memory_and_digest_options(t):
    src, dst = small_tree(t), t.dir("dst")
    server = t.server({"x": dst}, args=["--memory", "64M"])
    t.run("push", "--memory=32M", "--digest=xxh3", "--no-progress", src + "/", server.url(), rc=0)
    t.same(src, dst)
    r = t.run("push", "--memory=1K", src + "/", server.url(path="tiny"), rc=(2, 5))
    t.says(r, "memory")


if __name__ == "__main__":
    hawser_test.main(globals())
