#!/usr/bin/env python3
"""A name holds the whole old content or the whole new content, never a part, never nothing."""

import os
import threading

import hawser_test
import tree

def poll(root, versions, stop, problems, reads):
    """Read one name after the other, all the time."""
    while not stop.is_set():
        for name, allowed in versions.items():
            try:
                with open(root + "/" + name, "rb") as f:
                    data = f.read()
            except FileNotFoundError:
                problems.append("%s was missing" % name)
                return
            reads[0] += 1
            if data not in allowed:
                problems.append("%s: %d bytes that are no version, starting %r" % (name, len(data), data[:16]))
                return


def replacing(t, direction, sizes, rounds, args=()):
    src, dst = t.dir("src"), t.dir("dst")
    server = t.server({"x": dst if direction == "push" else src})
    command = (["push", *args, src + "/", server.url()] if direction == "push"
               else ["pull", *args, server.url() + b"/", dst])
    versions = {n: [tree.content("%s/%d" % (n, v), s + v * 77) for v in range(4)]
                for n, s in sizes.items()}

    def write(version):
        for name in sizes:
            tree.Builder(src).file(name, versions[name][version % 4], mtime_ns=10**18 + version)

    write(0)
    t.run(*command, rc=0)
    stop, problems, reads = threading.Event(), [], [0]
    reader = threading.Thread(target=poll, args=(dst, versions, stop, problems, reads))
    reader.start()
    try:
        for version in range(1, rounds + 1):
            write(version)
            t.run(*command, rc=0)
            if problems:
                break
    finally:
        stop.set()
        reader.join()
    t.check(not problems, *problems)
    t.check(reads[0] > rounds, "only %d reads: nothing was tested" % reads[0])
    t.same(src, dst)
    t.no_stage_files(dst)


def test_small_files_push(t):
    sizes = {"s%d" % i: size for i, size in enumerate((3000, 0, 50000, 1, 65536) * 3)}
    replacing(t, "push", sizes, 40, ["--durability=written"])


def test_large_file_push(t):
    replacing(t, "push", {"large": 3 * tree.MIB, "pack": 100}, 50, ["--durability=written"])


def test_mixed_pull(t):
    replacing(t, "pull", {"large": 2 * tree.MIB, "small": 4000}, 50)


def test_symlink_and_file_alternate(t):
    """A symlink replaced by a file and back: the name always resolves."""
    src, dst = t.dir("src"), t.dir("dst")
    server = t.server({"x": dst})
    tree.Builder(src).file("real", b"R" * 1000)
    stop, missing = threading.Event(), []

    def look():
        while not stop.is_set():
            if not os.path.lexists(dst + "/name"):
                missing.append(1)
                return

    os.symlink("real", src + "/name")
    t.run("push", src + "/", server.url(), rc=0)
    thread = threading.Thread(target=look)
    thread.start()
    try:
        for i in range(40):
            os.unlink(src + "/name")
            if i % 2:
                os.symlink("real", src + "/name")
            else:
                tree.Builder(src).random_file("name", 5000 + i)
            t.run("push", src + "/", server.url(), rc=0)
            t.same(src, dst)
    finally:
        stop.set()
        thread.join()
    t.check(not missing, "the name was missing for a moment")


if __name__ == "__main__":
    hawser_test.main(globals())
