#!/usr/bin/env python3
"""A disk that is much slower than the network, and a network that is much slower than the disk.  Memory stays
in the plan of both sides, and no chunk waits longer than those that may be before it take.  And who asks for
less than either, gets that."""

import json
import os

import fault
import hawser_test
import tree
from hawser_test import Skip

MIB = tree.MIB
RATE = 16 * MIB  # bytes a second, of what is slow
SIZE = 64 * MIB  # of the file that moves
STREAMS, DEPTH, CHUNK = 2, 4, 256 << 10
MEMORY = 64 * MIB  # --memory of each side; its code, stacks and libraries come on top
BESIDE = 24 * MIB


class Throttle:
    """A disk's speed, for all that is done from the root of the cgroups: the kernel's own writing back too."""

    BASE = "/sys/fs/cgroup/blkio/blkio.throttle."

    def __init__(self, folder, way):
        number = os.stat(folder).st_dev
        self.device = "%d:%d" % (os.major(number), os.minor(number))
        self.path = self.BASE + way + "_bps_device"
        with open("/proc/self/cgroup", encoding="ascii") as f:
            root = any(line.strip().endswith(":blkio:/") for line in f)
        if not root or not os.path.exists(self.path):
            raise Skip("no cgroup of version 1 that slows a disk down")

    def set(self, rate):
        with open(self.path, "w", encoding="ascii") as f:
            f.write("%s %d" % (self.device, rate))

    def __enter__(self):
        self.set(RATE)

    def __exit__(self, *_):
        self.set(0)  # no limit


def source(t, folder):
    os.makedirs(folder, exist_ok=True)
    tree.Builder(folder, seed=t.options.seed).random_file("big", SIZE)
    fault.command("sync", "-f", folder)
    return folder


def in_the_plan(t, client, server):
    if t.options.sanitized:
        return  # the memory of such builds is not ours
    for who, size in (("client", client), ("server", hawser_test.memory_peak(server.pid))):
        t.check(0 < size < MEMORY + BESIDE, "%s uses %d MiB of %d" % (who, size >> 20, MEMORY >> 20))


def was_slow(t, seconds):
    t.check(seconds > 0.7 * SIZE / RATE, "%.1f s: nothing was slow" % seconds)


def measured(t, server, url, src):
    """A push of which both sides say how long each chunk was on its way."""
    p = t.start("bench", "path", "--json", "--memory=64M", "--streams=%d" % STREAMS, "--depth=%d" % DEPTH,
                "--chunk=256K", src + "/", url)
    r = p.wait(120)
    t.check(r.rc == 0, r)
    point = json.loads(r.out)["points"][0]
    was_slow(t, point["elapsed_ns"] / 1e9)
    in_the_plan(t, r.memory, server)
    ours = STREAMS * DEPTH * CHUNK  # what a side may hold
    for side in ("here", "there"):
        chunk = point[side]["times"]["chunk"]
        p99 = chunk["p99_ns"] / 1e9
        print("# %s: %s: p99 %.3f s of %d chunks; a side's chunks take %.3f s" % (
            t.name, side, p99, chunk["count"], ours / RATE), flush=True)
        t.check(chunk["count"] >= SIZE // CHUNK, "not every chunk was timed:", chunk)
        t.check(p99 < 4 * ours / RATE, "a chunk waits for more than four times what is before it:", chunk)


def slow_disk(t, way):
    where = fault.image(t, ("mkfs.ext4", "-q"), 256 * MIB)
    folder = source(t, where + "/src") if way == "read" else where
    return where, folder


def test_slow_disk_of_target(t):
    """Network and source are fast: what cannot be written stays with the source."""
    src, (where, dst) = source(t, t.dir("src")), slow_disk(t, "write")
    server = t.server({"x": dst}, args=["--memory=64M", "--bench"])
    with Throttle(where, "write"):
        measured(t, server, server.url(path="in"), src)
    t.same(src, dst + "/in")


def test_slow_disk_of_source(t):
    where, src = slow_disk(t, "read")
    dst = t.dir("dst")
    server = t.server({"x": dst}, args=["--memory=64M", "--bench"])
    fault.image_again(t, where)
    with Throttle(where, "read"):
        measured(t, server, server.url(), src)
    t.same(src, dst)


def test_slow_network(t):
    """The disks are fast: what cannot be sent is not read."""
    src, dst = source(t, t.dir("src")), t.dir("dst")
    server = t.server({"x": dst}, args=["--memory=64M", "--bench"])
    port = t.proxy(server.port, rate=RATE // STREAMS).port
    measured(t, server, server.url(port=port), src)
    t.same(src, dst)


def pull(t, server, url, dst):
    r = t.run("pull", "--memory=64M", "--streams=%d" % STREAMS, url + b"/", dst, rc=0)
    was_slow(t, r.seconds)
    in_the_plan(t, r.memory, server)


def test_slow_disk_of_pull(t):
    src, (where, dst) = source(t, t.dir("src")), slow_disk(t, "write")
    server = t.server({"x": src}, args=["--memory=64M"])
    with Throttle(where, "write"):
        pull(t, server, server.url(), dst + "/in")
    t.same(src, dst + "/in")


def test_slow_network_of_pull(t):
    src, dst = source(t, t.dir("src")), t.dir("dst")
    server = t.server({"x": src}, args=["--memory=64M"])
    pull(t, server, server.url(port=t.proxy(server.port, rate=RATE // STREAMS).port), dst)
    t.same(src, dst)


def test_pace(t):
    """--bwlimit is held within 5 % over 10 s, by both sides."""
    if t.options.sanitized:
        raise Skip("a sanitizer build is not timed")
    src, dst = t.dir("src"), t.dir("dst")
    tree.Builder(src).random_file("f", 100 * MIB)
    running = [t.start("push", "--bwlimit=10M", src + "/", t.server({"x": dst}).url(path="m")),
               t.start("pull", "--bwlimit=10240", t.server({"x": src}).url() + b"/", t.path("back"))]
    for p in running:
        r = p.wait(60)
        t.check(r.rc == 0, r)
        # Start-up and the final sync are inside: a little more room above than below.
        t.check(9.5 <= r.seconds <= 10.5 + 0.7, "%.2f s instead of 10:" % r.seconds, r)
    t.same(src, dst + "/m")
    t.same(src, t.path("back"))


if __name__ == "__main__":
    hawser_test.main(globals())
