#!/usr/bin/env python3
"""What a power cut leaves: file systems in images are shut down (FS_IOC_SHUTDOWN without a last flush: what has not
reached the device is lost), mounted again, and looked at. After success all is there, on every file system below the
target; in the middle of a run each name holds the whole old or the whole new content."""

import fcntl
import os
import random
import shutil
import subprocess
import threading
import time

import hawser_test
import tree
from hawser_test import Skip

FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
ROUNDS = 6
COUNT = 1500


class Disk:
    """A file system in an image."""

    def __init__(self, t, name, where, kind="ext4", size=256 * tree.MIB):
        if not tree.is_root():
            raise Skip("mounting needs root")
        if not shutil.which("mkfs." + kind):
            raise Skip("mkfs.%s is not installed" % kind)
        self.t, self.where = t, where
        self.image = os.path.join(t.disk_folder(), name)
        with open(self.image, "wb") as file:
            file.truncate(size if kind != "xfs" else max(size, 320 * tree.MIB))
        self.command(["mkfs." + kind, "-q", self.image])
        self.mount()
        t.mounts.insert(0, where)  # the last one mounted is the first to go
        shutil.rmtree(os.path.join(where, "lost+found"), ignore_errors=True)

    def command(self, args):
        r = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if r.returncode:
            raise Skip("%s: %s" % (" ".join(args), r.stdout.decode()))

    def mount(self):
        self.command(["mount", "-o", "loop", self.image, self.where])

    def cut(self):
        """The power goes, for this file system."""
        fd = os.open(self.where, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FS_IOC_SHUTDOWN, NO_LOG_FLUSH.to_bytes(4, "little"))
        finally:
            os.close(fd)

    def unmount(self):
        def gone():
            return subprocess.run(["umount", self.where], stderr=subprocess.DEVNULL, check=False).returncode == 0
        self.t.until(gone, what="unmount")  # "busy" for a moment after whoever used it


def test_all_is_there_after_success(t):
    """Also on a file system that is mounted below the target."""
    for kind in ("ext4", "xfs"):
        where = t.dir("root-" + kind)
        root = Disk(t, "root." + kind, where, kind)
        os.mkdir(os.path.join(where, "d"))
        os.mkdir(os.path.join(where, "d", "below"))
        below = Disk(t, "below." + kind, os.path.join(where, "d", "below"), kind)
        src = t.dir("src-" + kind)
        b = tree.Builder(src)
        for folder in ("a", "d", "d/below", "d/below/deep"):
            b.directory(folder)
            for i in range(40):
                b.random_file("%s/f%d" % (folder, i), 100 + 37 * i)
            b.random_file(folder + "/large", 3 * tree.MIB + 11)
            b.symlink(folder + "/link", "f1")
        server = t.server({"x": where})
        r = t.run("push", "--json", src + "/", server.url(), rc=0)
        summary = r.summary()
        t.check(summary["durability"] == "durable" and summary["files_durable"] == summary["files"] == 164, summary)
        root.cut()
        below.cut()
        server.stop()
        below.unmount()
        root.unmount()
        root.mount()
        below.mount()
        t.same(src, where)


def flushes(where):
    """Of the cache of the device below, so far."""
    number = os.stat(where).st_dev
    with open("/sys/dev/block/%d:%d/stat" % (os.major(number), os.minor(number)), encoding="ascii") as file:
        fields = file.read().split()
    if len(fields) < 17:
        raise Skip("the kernel does not count flushes")
    return int(fields[15])


def test_large_files_share_syncs(t):
    """300 files of 100 KiB cost far fewer flushes than files; they are as durable as one by one."""
    where, src = t.dir("root"), t.dir("src")
    disk = Disk(t, "root", where)
    b = tree.Builder(src)
    for i in range(300):
        b.random_file("f%d" % i, 100 * tree.KIB + i)
    server = t.server({"x": where})
    os.sync()
    before = flushes(where)
    r = t.run("push", "--json", src + "/", server.url(), rc=0)
    after = flushes(where)
    summary = r.summary()
    t.check(summary["files_durable"] == 300, summary)
    t.check(0 < after - before < 150, "%d flushes" % (after - before))
    disk.cut()
    server.stop()
    disk.unmount()
    disk.mount()
    t.same(src, where)


def neighbour(folder, stop):
    """Somebody else's fsyncs: each makes the journal keep the names that were given meanwhile."""
    fd = os.open(os.path.join(folder, "neighbour"), os.O_WRONLY | os.O_CREAT)
    try:
        while not stop.is_set():
            os.pwrite(fd, os.urandom(16), 0)
            os.fsync(fd)
    except OSError:
        pass  # the power is gone
    finally:
        os.close(fd)


def contents(number, version):
    return random.Random("%d.%d" % (number, version)).randbytes(500 + number * 7 % 9000)


def test_no_part_under_a_name(t):
    """Half of the files replace an older version."""
    where, src = t.dir("root"), t.dir("src")
    disk = Disk(t, "root", where)
    named = 0
    for i in range(COUNT):
        with open(os.path.join(src, "f%d" % i), "wb") as file:
            file.write(contents(i, 1))
    for number in range(ROUNDS):
        dst = os.path.join(where, "to%d" % number)
        os.mkdir(dst)
        for i in range(0, COUNT, 2):
            with open(os.path.join(dst, "f%d" % i), "wb") as file:
                file.write(contents(i, 0))
        os.sync()
        server = t.server({"x": where})
        stop = threading.Event()
        thread = threading.Thread(target=neighbour, args=(where, stop))
        thread.start()
        p = t.start("push", src + "/", server.url(path="to%d" % number))
        # From the first names on, so that slow machines have some too.
        t.until(lambda d=dst: len(os.listdir(d)) > COUNT // 2 or p.poll() is not None, what="name")
        time.sleep(0.02 * number)
        disk.cut()
        stop.set()
        thread.join()
        p.wait(60)
        server.stop()
        disk.unmount()
        disk.mount()
        for name in [n for n in os.listdir(dst) if not n.startswith(".hawser.")]:  # stages are pruned by the next run
            with open(os.path.join(dst, name), "rb") as file:
                found = file.read()
            i = int(name[1:])
            t.check(found in (contents(i, 0), contents(i, 1)), "round %d: %s has %d bytes of neither" % (
                number, name, len(found)))
            named += found == contents(i, 1)
        t.check(all(os.path.exists(os.path.join(dst, "f%d" % i)) for i in range(0, COUNT, 2)), "an old one is gone")
    t.check(named > 0, "no file ever got its name: the cuts came too early to show anything")
    server = t.server({"x": where})
    t.run("push", src + "/", server.url(path="to0"), rc=0)  # and the same command makes it good
    t.same(src, os.path.join(where, "to0"))


if __name__ == "__main__":
    hawser_test.main(globals())
