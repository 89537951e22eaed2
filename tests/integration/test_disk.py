#!/usr/bin/env python3
"""The disk: every way (direct, uncached, buffered) on several file systems, with odd sizes and small and
large chunks, when the disk is full, and what is left in the page cache afterwards."""

import ctypes
import os
import shutil
import subprocess
import time

import hawser_test
import tree
from hawser_test import Skip

SIZES = (65536, 65537, 69632 - 1, 69632, 131072 + 513, 262144 + 4097, 1048576 - 1, 1048576 * 3 + 12345)
SYS_CACHESTAT = 451
LIBC = ctypes.CDLL(None, use_errno=True)


def cached(path):
    """Bytes of a file in the page cache, or Skip where the kernel cannot say (before 6.5)."""
    span, answer = (ctypes.c_uint64 * 2)(0, 0), (ctypes.c_uint64 * 5)()
    fd = os.open(path, os.O_RDONLY)
    try:
        if LIBC.syscall(SYS_CACHESTAT, fd, span, answer, 0) != 0:
            raise Skip("no cachestat: %s" % os.strerror(ctypes.get_errno()))
    finally:
        os.close(fd)
    return answer[0] * os.sysconf("SC_PAGE_SIZE")


def uncache(folder):
    for root, _, files in os.walk(folder):
        for name in files:
            fd = os.open(os.path.join(root, name), os.O_RDONLY)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def build(folder):
    b = tree.Builder(folder)
    for size in SIZES:
        b.random_file("f%d" % size, size)
    b.sparse("sparse", 8 * tree.MIB + 777, [(0, 5000), (3 * tree.MIB, 70000), (8 * tree.MIB, 777)])
    b.sparse("hole", 2 * tree.MIB + 1, [])
    return folder


def mount(t, mkfs, size, options=("loop",)):
    """A file system of its own in a file; t unmounts it, whatever happens."""
    if not tree.is_root():
        raise Skip("mounting needs root")
    if not shutil.which(mkfs[0]):
        raise Skip("%s is not installed" % mkfs[0])
    image, path = os.path.join(t.disk_folder(), "image"), t.dir("mount")
    with open(image, "wb") as f:
        f.truncate(size)
    for args in ((*mkfs, image), ("mount", "-o", ",".join(options), image, path)):
        r = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if r.returncode:
            raise Skip("%s: %s" % (args[0], r.stdout.decode("utf-8", "replace").strip()))
    t.mounts.append(path)
    return path


def round_trip(t, where):
    """Push into `where` and pull from it, each way on both sides."""
    src = build(t.dir("src"))
    for io in ("auto", "direct", "buffered"):
        for chunk in ("64K", "256K", "4M"):
            name = "%s-%s" % (io, chunk)
            server = t.server({"x": where}, args=("--io=" + io, "--chunk=4M"))
            t.run("push", "--io=" + io, "--chunk=" + chunk, src + "/", server.url(path=name), rc=0)
            t.same(src, os.path.join(where, name))
            uncache(os.path.join(where, name))
            back = os.path.join(where, name + "-back")
            t.run("pull", "--io=" + io, "--chunk=" + chunk, server.url(path=name) + b"/", back, rc=0)
            t.same(src, back)
            server.stop()
            t.no_stage_files(where)
            shutil.rmtree(os.path.join(where, name))
            shutil.rmtree(back)


def test_ways_here(t):
    round_trip(t, t.disk_folder())


def test_ways_on_tmpfs(t):
    round_trip(t, t.tmpfs("mem", 256 * tree.MIB))


def test_ways_on_ext4_of_small_blocks(t):
    round_trip(t, mount(t, ("mkfs.ext4", "-q", "-b", "1024"), 192 * tree.MIB))


def test_ways_on_xfs(t):
    round_trip(t, mount(t, ("mkfs.xfs", "-q"), 512 * tree.MIB))


def test_ways_on_overlay(t):
    if not tree.is_root():
        raise Skip("mounting needs root")
    base, where = t.disk_folder(), t.dir("overlay")
    for name in ("low", "up", "work"):
        os.mkdir(os.path.join(base, name))
    options = "lowerdir=%s/low,upperdir=%s/up,workdir=%s/work" % (base, base, base)
    r = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, where],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if r.returncode:
        raise Skip("no overlay: %s" % r.stdout.decode("utf-8", "replace").strip())
    t.mounts.append(where)
    round_trip(t, where)


def test_full_disk(t):
    """The file that does not fit is named, nothing of it stays, what was there is whole."""
    src = t.dir("src")
    tree.Builder(src).random_file("big", 48 * tree.MIB + 333)
    where = mount(t, ("mkfs.ext4", "-q"), 32 * tree.MIB)
    with open(os.path.join(where, "big"), "wb") as f:
        f.write(b"old")
    for io in ("direct", "buffered"):
        server = t.server({"x": where}, args=("--io=" + io,))
        r = t.run("push", src + "/", server.url(), rc=5)
        t.says(r, "big", "space")
        server.stop()
        t.check(open(os.path.join(where, "big"), "rb").read() == b"old", "the old file is gone")
        t.no_stage_files(where)


def test_sources_that_change(t):
    """A file that is cut or grows while it is read directly is sent again, or named: what has the name
    at the target is the file before or after the change, never a mixture."""
    for change in (lambda f: f.truncate(10 * tree.MIB + 5),
                   lambda f: (f.seek(0, 2), f.write(b"x" * 9999))):
        src, dst = t.disk_folder(), t.disk_folder()
        tree.Builder(src).random_file("f", 24 * tree.MIB + 100)
        path, copy = os.path.join(src, "f"), os.path.join(dst, "f")
        before = open(path, "rb").read()
        uncache(src)
        server = t.server({"x": dst}, args=("--io=direct",))
        p = t.start("push", "--io=direct", "--bwlimit=16M", src + "/", server.url())
        time.sleep(0.6)  # of 1.5 s; too early or too late is one of the two allowed ends
        with open(path, "r+b") as f:
            change(f)
        r = p.wait(120)
        after = open(path, "rb").read()
        t.check(r.rc in (0, 1), r)
        t.check(r.rc == 1 or os.path.exists(copy), "success without a file:", r)
        if os.path.exists(copy):
            t.check(open(copy, "rb").read() in (before, after), "neither the old nor the new file:", r)
        server.stop()
        t.no_stage_files(dst)


class Cache:
    """Two files of one size in the page cache, of which one moves: the other, the witness, tells what the
    kernel takes back by itself meanwhile."""

    SIZE = 96 * tree.MIB
    NEARLY = 8 * tree.MIB  # more than that is no rounding

    def __init__(self, t):
        self.t = t
        self.src, self.dst, aside = t.disk_folder(), t.disk_folder(), t.disk_folder()
        tree.Builder(self.src).random_file("big", self.SIZE)
        tree.Builder(aside).random_file("witness", self.SIZE)
        self.big, self.copy, self.witness = self.src + "/big", self.dst + "/big", aside + "/witness"
        self.server = t.server({"x": self.dst})
        uncache(aside)

    def push(self, *args):
        if os.path.exists(self.copy):
            os.unlink(self.copy)
        return self.t.run("push", "--json", *args, self.src + "/", self.server.url(), rc=0).summary()

    @staticmethod
    def read(*paths):
        for path in paths:
            with open(path, "rb") as f:
                while f.read(tree.MIB):
                    pass

    def moved(self, *args, cold=False, want):
        """The best of three pushes: @want(its summary, how much of the witness and of the file itself went from
        the cache, how much of the file was there)."""
        for _ in range(3):
            uncache(self.src)
            self.read(self.witness, *([] if cold else [self.big]))
            before = cached(self.big), cached(self.witness)
            row = self.push(*args)
            after = cached(self.big), cached(self.witness)
            seen = {"big": (before[0], after[0]), "witness": (before[1], after[1]),
                    **{way: row["disk_" + way] for way in ("direct", "uncached", "buffered")}}
            there = before[1] > 10 * self.NEARLY  # else the witness has nothing to lose
            if there and want(row, before[1] - after[1], before[0] - after[0], before[0]):
                return
        self.t.check(False, "cached before and after:", seen)


def test_cache_is_left_alone(t):
    """A witness stays cached; of what moved nothing does, unless it was there before."""
    cache = Cache(t)
    uncache(cache.src)
    row = cache.push()
    if row["disk_direct"] == 0 and row["disk_uncached"] == 0:
        raise Skip("this file system can neither be read directly nor uncached")
    t.check(row["disk_direct"] + row["disk_uncached"] == cache.SIZE, row)
    t.check(cached(cache.big) <= tree.MIB, "cached at the source:", cached(cache.big))
    t.check(cached(cache.copy) <= tree.MIB, "cached at the target:", cached(cache.copy))
    cache.moved(cold=True, want=lambda row, witness, big, had:
                had == 0 and -big <= tree.MIB and witness <= cache.NEARLY)
    # What is cached is read from there, and stays as long as the witness does.
    cache.moved(want=lambda row, witness, big, had:
                had > 10 * cache.NEARLY and big <= witness + cache.NEARLY
                and row["disk_direct"] <= cache.SIZE - had + witness + cache.NEARLY)
    cache.moved("--io=buffered", cold=True, want=lambda row, witness, big, had:
                row["disk_buffered"] == cache.SIZE and -big >= cache.SIZE - witness - cache.NEARLY)


def test_wishes(t):
    r = t.run("push", "--io=fast", t.dir("src"), "hawser://127.0.0.1:1/x", rc=2)
    t.says(r, "--io", "buffered")
    r = t.start("push", "--io", t.dir("src"), "hawser://127.0.0.1:1/x").wait(20)
    t.check(r.rc == 2, r)


if __name__ == "__main__":
    hawser_test.main(globals())
