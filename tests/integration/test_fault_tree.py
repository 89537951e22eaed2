#!/usr/bin/env python3
"""Trees that others change meanwhile: sources replaced or removed while they are read, targets that
somebody works in, two clients that write the same tree.  What is done wrong is named, what has a name
is whole, and when it is calm the same command makes a replica."""

import os
import shutil
import subprocess
import threading
import time

import fault
import hawser_test
import tree
import way
from hawser_test import Skip

MIB = tree.MIB
TOGETHER = 2


def source_while_read(t, direction, change, names=("l3",)):
    """@change happens to @names in the middle of a transfer of large files; five times at most, until it is not
    too late."""
    rng = fault.seeded(t, t.name)
    for _ in range(5):
        if source_changed(t, rng, direction, change, names):
            return
        t.clean("a", "b", "dst")
    t.check(False, "the change always came too late")


def source_changed(t, rng, direction, change, names):
    """@return whether it was read meanwhile"""
    old, new = fault.pair(t, rng, fault.large_pair)
    dst = t.path("dst")
    subprocess.run(["cp", "-a", old, dst], check=True)
    versions = [fault.snapshot(x) for x in (old, new)]
    server = t.server({"x": dst if direction == "push" else new})
    places = [new + "/", server.url()] if direction == "push" else [server.url() + b"/", dst]
    p = t.start(direction, "--bwlimit=20M", "--delta=off", *places)
    time.sleep(0.15 + rng.random() * 0.8)
    change(new)
    in_time = p.poll() is None
    r = p.wait(60)
    t.check(r.rc in (0, 1), r)
    late = fault.snapshot(new)
    now = fault.whole(dst, *versions, late)
    if r.rc == 1:
        t.says(r, *names)
    else:  # an end without an error: each name is a version that the source had
        for name in late:
            t.check(now.get(name) in (versions[1].get(name), late[name]), "success without", name, r)
    t.no_stage_files(dst)
    t.alive(server)
    t.run(direction, "--delete", *places, rc=0)
    fault.replica(new, dst)
    server.stop()
    return in_time


def replace(root):
    tree.Builder(root, seed=9).random_file("new", 17 * MIB, mtime_ns=10**18 + 5)
    os.rename(root + "/new", root + "/l3")


def grow(root):
    with open(root + "/l3", "ab") as f:
        f.write(b"more" * 30000)


def shrink(root):
    os.truncate(root + "/l3", 5 * MIB + 1)


def other_type(root):
    os.unlink(root + "/l3")
    os.mkdir(root + "/l3")
    tree.Builder(root + "/l3").file("in", b"x" * 100)


def test_replaced_push(t):
    source_while_read(t, "push", replace)


def test_replaced_pull(t):
    source_while_read(t, "pull", replace)


def test_removed_push(t):
    source_while_read(t, "push", lambda root: os.unlink(root + "/l3"))


def test_removed_pull(t):
    source_while_read(t, "pull", lambda root: os.unlink(root + "/l3"))


def test_grows_push(t):
    source_while_read(t, "push", grow)


def test_shrinks_pull(t):
    source_while_read(t, "pull", shrink)


def test_becomes_directory(t):
    source_while_read(t, "push", other_type)


class Somebody(threading.Thread):
    """Works in the target all the time: removes, replaces, makes names of other types."""

    def __init__(self, root, rng):
        super().__init__()
        self.root, self.rng, self.stop, self.changes = root, rng, threading.Event(), 0

    def run(self):
        while not self.stop.is_set():
            try:
                self.change("%s/d%d" % (self.root, self.rng.randrange(7)))
                self.changes += 1
            except OSError:
                pass
            time.sleep(0.001)

    def change(self, folder):
        kind = self.rng.randrange(6)
        if kind == 0:
            os.rename(folder, folder + ".away")
            os.rename(folder + ".away", folder)
        elif kind == 1 and self.rng.randrange(20) == 0:
            shutil.rmtree(folder)
        elif kind == 1 and self.rng.randrange(20) == 0:
            os.rename(folder, folder + ".moved")
            os.symlink("..", folder)
        else:
            names = [n for n in os.listdir(folder) if not n.startswith(".hawser.")]
            path = "%s/%s" % (folder, self.rng.choice(names or ["s"]))
            if kind == 2:
                os.unlink(path)
                os.mkdir(path)
            elif kind == 3:
                os.unlink(path)
                os.symlink("/etc/passwd", path)
            elif kind == 4:
                os.unlink(path)
            else:
                with open(path, "wb") as f:
                    f.write(b"of somebody else")


def changed_target(t, direction):
    rng = fault.seeded(t, t.name)
    outside = t.dir("outside")
    tree.Builder(outside).file("witness", b"untouched")
    old, new = fault.pair(t, rng, fault.small_pair)
    dst = t.path("dst")
    subprocess.run(["cp", "-a", old, dst], check=True)
    server = t.server({"x": dst if direction == "push" else new})
    places = [new + "/", server.url()] if direction == "push" else [server.url() + b"/", dst]
    somebody = Somebody(dst, rng)
    somebody.start()
    before = sorted(os.listdir(t.folder))
    try:
        for i in range(6):
            r = t.run(direction, *(["--delete"] if i % 2 else []), *places, rc=(0, 1), timeout=60)
            t.check(r.rc == 0 or r.err, "exit 1 without a message:", r)
    finally:
        somebody.stop.set()
        somebody.join()
    t.check(somebody.changes > 50, "only %d changes" % somebody.changes)
    t.check(sorted(os.listdir(t.folder)) == before and os.listdir(outside) == ["witness"],
            "something outside changed")
    t.alive(server)
    t.run(direction, "--delete", *places, rc=0)
    fault.replica(new, dst)
    t.no_stage_files(dst)


def test_target_changed_push(t):
    changed_target(t, "push")


def test_target_changed_pull(t):
    changed_target(t, "pull")


def busy(t, direction, passes):
    """Two names of the target are mount points, which no rename replaces; if that @passes, then when more has moved
    than both hold, early in a run of two and a half seconds."""
    if not tree.is_root():
        raise Skip("mounting needs root")
    names = ("a-small", "b-large")
    src, dst = t.dir("src"), t.dir("dst")
    for folder in (src, dst):
        b = tree.Builder(folder)
        b.random_file("a-small", 3000)
        b.random_file("b-large", 300000)
        b.random_file("c", 10 << 20)
    for name in names:
        fault.command("mount", "--bind", os.path.join(dst, name), os.path.join(dst, name))
        t.mounts.append(os.path.join(dst, name))

    def free():
        for _ in names:
            fault.command("umount", t.mounts.pop())

    server = t.server({"x": dst if direction == "push" else src})
    places = [src + "/", server.url()] if direction == "push" else [server.url() + b"/", dst]
    p = t.start(direction, "--json", "--durability=written", "--delta=off", "--bwlimit=4M", *places)
    if passes:
        t.until(lambda: way.moved(p) > 2 * MIB or p.poll() is not None, what="progress")
        t.check(p.poll() is None, "it was too fast")
        free()
    r = p.wait(60)
    failed = sorted(o["path"] for o in r.rows("error") if "path" in o)
    if passes:
        t.check(r.rc == 0 and not failed, r)
        # that the fault fired: they were listed again
        t.check(r.summary()["entries_seen"] > 3, r)
    else:
        t.check(r.rc == 1 and failed == sorted(names), r)
        t.says(r, "busy")
        t.check(r.summary()["failed"] == 2, r)
        free()
        t.run(direction, *places, rc=0)
    fault.replica(src, dst)


def test_busy_target_passes_push(t):
    busy(t, "push", True)


def test_busy_target_passes_pull(t):
    busy(t, "pull", True)


def test_busy_target_stays_push(t):
    busy(t, "push", False)


def test_busy_target_stays_pull(t):
    busy(t, "pull", False)


def test_two_clients_write_one_tree(t):
    """Two different trees to one place at once, with deletions: whole versions; then one of them alone."""
    rng = fault.seeded(t, t.name)
    a, b = fault.pair(t, rng, fault.small_pair, fault.large_pair)
    dst = t.dir("dst")
    versions = [fault.snapshot(x) for x in (a, b)]
    server = t.server({"x": dst})
    for i in range(4):
        extra = ["--delete"] if i % 2 else []
        running = [t.start("push", *extra, x + "/", server.url()) for x in (a, b)]
        if i == 2:  # one of them is killed: the other one must not suffer
            time.sleep(rng.random() * 0.2)
            running[0].kill()
            running.pop(0)
        for p in running:
            r = p.wait(60)
            t.check(r.rc in (0, 1), r)
        fault.whole(dst, *versions)
    for x in (a, b):
        t.run("push", "--delete", x + "/", server.url(), rc=0)
        fault.replica(x, dst)
    t.no_stage_files(dst)


if __name__ == "__main__":
    hawser_test.main(globals())
