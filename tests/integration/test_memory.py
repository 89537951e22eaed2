#!/usr/bin/env python3
"""Memory stays inside the plan: 100,000 files need no more than 2,000 do."""

import os

import hawser_test
import tree

MANY, FEW = 100_000, 2_000
SLACK = 48 * tree.MIB
CEILING = 640 * tree.MIB


def make(root, count):
    data = os.urandom(100)
    for d in range(count // 500):
        folder = "%s/directory-%04d" % (root, d)
        os.makedirs(folder)
        for i in range(500):
            fd = os.open("%s/file-%06d" % (folder, i), os.O_WRONLY | os.O_CREAT, 0o644)
            os.write(fd, data)
            os.close(fd)


def peak(t, src, label, *extra):
    dst, back = t.dir("dst-" + label), t.path("back-" + label)
    server = t.server({"x": dst})
    push = t.run("push", *extra, src + "/", server.url(), rc=0, timeout=300)
    again = t.run("push", *extra, src + "/", server.url(), rc=0, timeout=300)
    server_memory = hawser_test.memory_peak(server.pid)
    server.stop()
    server = t.server({"x": dst})
    pull = t.run("pull", *extra, server.url() + b"/", back, rc=0, timeout=300)
    memory = {"push": push.memory, "second push": again.memory,
              "pull": pull.memory, "server of push": server_memory,
              "server of pull": hawser_test.memory_peak(server.pid)}
    server.stop()
    t.same(src, back)
    tree.remove(dst)
    tree.remove(back)
    return memory


def test_many_files(t):
    if t.options.sanitized:
        raise hawser_test.Skip("the memory of a sanitizer build is not ours")
    few, many = t.path("few"), t.path("many")
    make(few, FEW)
    make(many, MANY)
    for extra in ([], ["--delete"]):
        small, large = peak(t, few, "few", *extra), peak(t, many, "many", *extra)
        for who, size in large.items():
            print("# %s %s: %d MiB at %d files, %d MiB at %d" % (
                who, extra, small[who] >> 20, FEW, size >> 20, MANY), flush=True)
        for who, size in large.items():
            t.check(size <= small[who] + SLACK, "%s: %d MiB became %d MiB" % (
                who, small[who] >> 20, size >> 20))
            t.check(size <= CEILING, "%s: %d MiB" % (who, size >> 20))


def test_memory_option(t):
    """--memory is a ceiling for both sides."""
    if t.options.sanitized:
        raise hawser_test.Skip("the memory of a sanitizer build is not ours")
    src = t.dir("src")
    tree.Builder(src).random_file("big", 128 * tree.MIB)
    dst = t.dir("dst")
    server = t.server({"x": dst}, args=["--memory", "48M"])
    r = t.run("push", "--memory=48M", "--depth=64", "--streams=8", "--chunk=4M", src + "/",
              server.url(), rc=(0, 2, 5))
    if r.rc in (2, 5):
        t.says(r, "memory")  # refused, with the remedy; a smaller wish fits
        r = t.run("push", "--memory=48M", src + "/", server.url(), rc=0)
    for who, size in (("client", r.memory), ("server", hawser_test.memory_peak(server.pid))):
        # The program text and libraries come on top of the plan.
        t.check(size < (48 + 24) * tree.MIB, "%s uses %d MiB of 48" % (who, size >> 20))
    t.same(src, dst)


if __name__ == "__main__":
    hawser_test.main(globals())
