#!/usr/bin/env python3
"""Targets that fail: full, over quota, without inodes, read-only or dead in the middle.  The error names
the file and the cause; names hold whole versions; once mended, the same command ends."""

import array
import fcntl
import os
import shutil
import subprocess
import time

import fault
import hawser_test
import tree
from hawser_test import Skip

EXT4, XFS, BTRFS = ("mkfs.ext4", "-q"), ("mkfs.xfs", "-q"), ("mkfs.btrfs", "-q")
SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2  # FS_IOC_SHUTDOWN, and without writing its log
MIB = tree.MIB
NOBODY = 65534


class Target:
    """A folder in a small file system, an older version in it, and a newer one to be brought there."""

    def __init__(self, t, mkfs, size, options="loop", makers=(fault.small_pair, fault.large_pair)):
        self.t = t
        self.where = fault.image(t, mkfs, size, options)
        self.rng = fault.seeded(t, t.name)
        self.old, self.new = fault.pair(t, self.rng, *makers)
        self.versions = [fault.snapshot(x) for x in (self.old, self.new)]
        self.dst = os.path.join(self.where, "target")
        subprocess.run(["cp", "-a", self.old, self.dst], check=True)

    def run(self, *args, rc, direction="push", **kw):
        """One push to a server there, or pull by a client there."""
        if direction == "push":
            server = self.t.server({"x": self.dst}, **kw)
            r = self.t.run("push", "--delete", *args, self.new + "/", server.url(), rc=rc)
        else:
            server = self.t.server({"x": self.new})
            r = self.t.run("pull", "--delete", *args, server.url() + b"/", self.dst, rc=rc)
        self.t.alive(server)
        server.stop()
        return r

    def whole(self):
        return fault.whole(self.dst, *self.versions)

    def finish(self, direction="push", **kw):
        self.run(rc=0, direction=direction, **kw)
        fault.replica(self.new, self.dst)
        self.t.no_stage_files(self.dst)


def fill(folder, leave):
    """Take all room of a file system but @leave bytes; returns the file that holds it."""
    path = os.path.join(folder, "ballast")
    info = os.statvfs(folder)
    with open(path, "wb") as f:
        os.posix_fallocate(f.fileno(), 0, info.f_bavail * info.f_frsize - leave)
        os.fsync(f.fileno())
    return path


def full(t, mkfs, size, direction):
    target = Target(t, mkfs, size)
    ballast = fill(target.where, 9 * MIB)  # for some of it
    r = target.run(rc=5, direction=direction)
    t.says(r, "no space left", "/", ("room", "free"))
    target.whole()
    os.unlink(ballast)
    target.finish(direction)


def test_full_ext4_push(t):
    full(t, EXT4, 96 * MIB, "push")


def test_full_ext4_pull(t):
    full(t, EXT4, 96 * MIB, "pull")


def test_full_xfs_push(t):
    full(t, XFS, 320 * MIB, "push")


def test_no_inodes(t):
    target = Target(t, (*EXT4, "-N", "1500"), 96 * MIB, makers=[fault.small_pair])
    folder = os.path.join(target.where, "ballast")
    os.mkdir(folder)
    for i in range(os.statvfs(folder).f_favail - 20):
        os.close(os.open("%s/%d" % (folder, i), os.O_CREAT | os.O_WRONLY))
    r = target.run(rc=5)
    t.says(r, "no space left")
    target.whole()
    shutil.rmtree(folder)
    target.finish()


def quota(t, target, limit, become=None):
    """The limit is reached; it is raised, and the command ends. @limit is called with MiB, 0: none."""
    limit(28)
    r = target.run(rc=5, preexec=become)
    t.says(r, "quota exceeded")
    target.whole()
    limit(0)
    target.run(rc=0, preexec=become)
    t.check(fault.snapshot(target.dst) == target.versions[1], "not the new version")
    t.no_stage_files(target.dst)


def test_quota_of_user(t):
    """A server without root's rights; xfs needs a kernel with CONFIG_XFS_QUOTA."""
    target = Target(t, XFS, 320 * MIB, "loop,uquota", makers=[fault.large_pair])
    subprocess.run(["chown", "-R", "%d:%d" % (NOBODY, NOBODY), target.dst, target.old, target.new],
                   check=True)
    target.versions = [fault.snapshot(x) for x in (target.old, target.new)]

    def become():
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    def limit(mib):
        fault.command("xfs_quota", "-x", "-c", "limit -u bhard=%dm #%d" % (mib, NOBODY), target.where)

    quota(t, target, limit, become)


def test_quota_of_volume(t):
    """btrfs holds root to it, too."""
    target = Target(t, BTRFS, 512 * MIB, makers=[fault.large_pair])
    fault.command("btrfs", "quota", "enable", target.where)
    fault.command("btrfs", "quota", "rescan", "-w", target.where)

    def limit(mib):
        fault.command("sync", "-f", target.where)
        fault.command("btrfs", "qgroup", "limit", "%dM" % mib if mib else "none", target.where)

    quota(t, target, limit)


def shutdown(folder):
    """The file system fails from now on, and what is not on the disk is lost, as by a cut of its power."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, SHUTDOWN, array.array("I", [NOLOGFLUSH]))
    except OSError as error:
        raise Skip("FS_IOC_SHUTDOWN: %s" % error) from error
    finally:
        os.close(fd)


def abort(folder):
    """What ext4 does to itself at a fault of the disk: read-only at once."""
    fault.command("mount", "-o", "remount,abort", folder)


def failing(t, mkfs, size, direction, break_it, words):
    """The file system breaks at a random moment of a transfer; the next mount shows what was kept."""
    target = Target(t, mkfs, size, makers=(fault.small_pair, fault.delta_pair))
    subprocess.run(["sync", "-f", target.where], check=True)
    server = t.server({"x": target.dst if direction == "push" else target.new})
    args = ["--json", "--delta=off", "--bwlimit=24M", "--delete"]
    places = [target.new + "/", server.url()] if direction == "push" else [server.url() + b"/", target.dst]
    p = t.start(direction, *args, *places)
    blocks = os.statvfs(target.where).f_bfree
    t.until(lambda: os.statvfs(target.where).f_bfree != blocks or p.poll() is not None, 20, "bytes")
    time.sleep(target.rng.random() * 0.6)
    early = p.poll() is None
    break_it(target.where)
    r = p.wait(60)
    t.check(early, "ended before the fault:", r)
    t.check(r.rc in (1, 5), "a file system that fails cannot be a success:", r)
    t.says(r, words, "kernel's log", target.dst if direction == "pull" else "/")
    t.alive(server)
    server.stop()
    fault.image_again(t, target.where)
    target.whole()
    target.finish(direction)


def test_shutdown_ext4_push(t):
    failing(t, EXT4, 96 * MIB, "push", shutdown, ("input/output error", "read-only"))


def test_shutdown_ext4_pull(t):
    failing(t, EXT4, 96 * MIB, "pull", shutdown, ("input/output error", "read-only"))


def test_shutdown_xfs_push(t):
    failing(t, XFS, 320 * MIB, "push", shutdown, ("input/output error", "read-only"))


def test_read_only_in_the_middle(t):
    failing(t, EXT4, 96 * MIB, "push", abort, ("read-only", "input/output error"))


if __name__ == "__main__":
    hawser_test.main(globals())
