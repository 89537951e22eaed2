#!/usr/bin/env python3
"""Push and pull of trees with every kind of entry: the copy is a replica, whatever the options."""

import os

import hawser_test
import tree
from hawser_test import Failure

MATRIX = [(shards, streams, depth, chunk) for shards in (1, 2) for streams in (1, 8)
          for depth in (1, 16) for chunk in ("64K", "1M")]


def both_ways(t, src, work, full, server_args=(), client_args=(), **kw):
    pushed, pulled = os.path.join(work, "pushed"), os.path.join(work, "pulled")
    os.mkdir(pushed)
    server = t.server({"x": pushed}, args=server_args)
    t.run("push", *client_args, src + "/", server.url(), rc=0)
    t.same(src, pushed, full=full, **kw)
    t.no_stage_files(pushed)
    t.run("pull", *client_args, server.url() + b"/", pulled, rc=0)
    t.same(src, pulled, full=full, **kw)
    t.no_stage_files(pulled)
    server.stop()
    return pushed, pulled


def full_tree(t, work):
    src = os.path.join(work, "src")
    missing = tree.build(src, tree.ALL)
    if missing:
        print("# this file system or user has no: %s" % "; ".join(missing))
    both_ways(t, src, work, full=True)


def test_full_tree_tmpfs(t):
    full_tree(t, t.folder)


def test_full_tree_disk(t):
    full_tree(t, t.disk_folder())


def test_each_kind(t):
    """One part at a time, so that a failure names the kind."""
    failures = []
    for part in tree.ALL:
        name = part.__name__
        work = t.dir(name)
        src = os.path.join(work, "src")
        tree.build(src, (part,))
        try:
            both_ways(t, src, work, full=name != "add_deep")
        except Failure as error:
            failures.append("%s: %.1500s" % (name, error))
    if failures:
        raise Failure("\n".join(failures))


def test_matrix(t):
    src = t.path("src")
    tree.build(src, tree.REDUCED)
    failures = []
    for shards, streams, depth, chunk in MATRIX:
        label = "shards %d streams %d depth %d chunk %s" % (shards, streams, depth, chunk)
        work = t.dir("m")
        args = ["--shards=%d" % shards, "--streams=%d" % streams, "--depth=%d" % depth,
                "--chunk=" + chunk, "--memory=256M"]
        try:
            both_ways(t, src, work, False, ["--shards", str(shards)], args)
        except Failure as error:
            failures.append("%s: %.1000s" % (label, error))
        tree.remove(work)
    if failures:
        raise Failure("\n".join(failures))


def test_tiny_trees_over_many_streams(t):
    """A run that is over before its last stream has joined ends in peace, on both sides."""
    src, dst = t.dir("src"), t.dir("dst")
    tree.Builder(src).random_file("a", 100)
    server = t.server({"x": dst, "s": src})
    for i in range(10):
        t.run("push", "--streams=8", src + "/", server.url(path="p%d" % i), rc=0)
        t.run("pull", "--streams=8", server.url("s") + b"/", t.path("back%d" % i), rc=0)
    t.check(b"refused" not in server.read("err"), "refused:", server.read("err"))


def test_large_file_over_streams(t):
    src, dst = t.dir("src"), t.dir("dst")
    b = tree.Builder(src)
    b.random_file("big", 200 * tree.MIB + 12345)
    b.random_file("other", 33 * tree.MIB)
    server = t.server({"x": dst}, args=["--shards", "2"])
    for streams in (1, 2, 8):
        t.run("push", "--streams=%d" % streams, src + "/", server.url(path="s%d" % streams), rc=0)
        t.same(src, os.path.join(dst, "s%d" % streams))


def test_terabyte_of_hole(t):
    """1 TiB with three written megabytes moves fast and stays small, both ways."""
    src, dst, back = t.dir("src"), t.dir("dst"), t.path("back")
    b = tree.Builder(src)
    tree.add_terabyte(b)
    server = t.server({"x": dst})
    for args, root in ((["push", src + "/", server.url()], dst),
                       (["pull", server.url() + b"/", back], back)):
        r = t.run(*args, rc=0, timeout=60)
        t.same(src, root)
        used = os.stat(os.path.join(root, "terabyte")).st_blocks * 512
        t.check(used <= 4 * tree.MIB, "a sparse file of 3 MiB became %d bytes" % used)
        t.check(r.seconds < 10, "about a second expected:", r)


def test_second_run_moves_nothing(t):
    src, dst, back = t.path("src"), t.dir("dst"), t.path("back")
    tree.build(src, tree.ALL)
    server = t.server({"x": dst})
    for args in (["push", src + "/", server.url()], ["pull", server.url() + b"/", back]):
        t.run(*args, rc=0)
        root = dst if args[0] == "push" else back
        before = {e.name: e.stat(follow_symlinks=False).st_ino for e in os.scandir(root + "/sizes")}
        r = t.run(*args, rc=0)
        after = {e.name: e.stat(follow_symlinks=False).st_ino for e in os.scandir(root + "/sizes")}
        t.check(before == after, "files were replaced in the second run:", r)
        t.says(r, ("0 files", "nothing", "up to date", "files 0", "0 B"))
        t.same(src, root, full=True)


def test_changes_are_followed(t):
    """Type, mode, time, xattr, link and content changes of a second run."""
    src, dst = t.path("src"), t.dir("dst")
    tree.build(src, tree.ALL)
    server = t.server({"x": dst})
    t.run("push", src + "/", server.url(), rc=0)
    os.chmod(src + "/sizes/00004096", 0o4750)
    os.utime(src + "/sizes/00004097", ns=(5, 7))
    os.unlink(src + "/sizes/00000001")
    os.mkdir(src + "/sizes/00000001")  # a file becomes a directory
    tree.remove(src + "/empty/nested")
    os.symlink("x", src + "/empty/nested")  # a directory becomes a symlink
    os.unlink(src + "/links/relative")
    tree.Builder(src).random_file("links/relative", 3000)  # a symlink becomes a file
    os.unlink(src + "/links/hard3")
    os.link(src + "/links/z/small1", src + "/links/hard3")  # a link to another file
    os.setxattr(src + "/small", "user.new", b"v")
    tree.Builder(src, seed=9).random_file("small/d0/f3", 777)
    t.run("push", "--delete", src + "/", server.url(), rc=0)
    t.same(src, dst, full=True)
    t.no_stage_files(dst)


def test_sockets_are_named(t):
    src, dst = t.path("src"), t.dir("dst")
    tree.build(src, (tree.add_sockets,))
    server = t.server({"x": dst})
    r = t.run("push", src + "/", server.url(), rc=(0, 1))
    t.says(r, "a-socket")
    t.check(os.path.exists(dst + "/sockets/neighbour"), "the neighbour did not move:", r)


def test_plain_user(t):
    """Without root: what is readable moves, owners are the user's, said at most once."""
    if not tree.is_root():
        raise hawser_test.Skip("tests as root; as a plain user every other test shows this")
    src, back = t.path("src"), t.dir("back")
    tree.build(src, (tree.add_sizes, tree.add_small, tree.add_links, tree.add_times, tree.add_sparse))
    os.chmod(back, 0o777)
    server = t.server({"x": src})
    r = t.run("pull", server.url() + b"/", back + "/in", user=65534, rc=0)
    t.same(src, back + "/in", owners=False)
    t.check(r.err.lower().count(b"owner") <= 2, "owner said more than once:", r)


if __name__ == "__main__":
    hawser_test.main(globals())
