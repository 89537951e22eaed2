#!/usr/bin/env python3
"""A real tree that every machine has, both ways; the second run moves nothing and says so."""

import os
import shutil
import subprocess

import hawser_test
from hawser_test import Skip

LIMIT = 600 << 20


def size_of(path):
    r = subprocess.run(["du", "-sb", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                       check=False)
    return int(r.stdout.split()[0]) if r.stdout else 0


def choose():
    """The largest of these that is small enough for a test."""
    places = ["/usr/share/doc", "/usr/include", "/usr/lib/python3", "/usr/bin", "/etc"]
    sizes = [(size_of(p), p) for p in places if os.path.isdir(p)]
    fitting = [x for x in sizes if 0 < x[0] <= LIMIT]
    if not fitting:
        raise Skip("no real tree below %d MiB" % (LIMIT >> 20))
    return [p for _, p in sorted(fitting)[-2:]]


def test_real_tree_both_ways(t):
    for place in choose():
        # A copy: the original may change while we look (logs, caches), and atime is not ours.
        src, dst, back = t.path("src"), t.dir("dst"), t.path("back")
        subprocess.run(["cp", "-a", place, src], check=True)
        if shutil.disk_usage(t.folder).free < 3 * size_of(src):
            raise Skip("not enough room below %s" % t.folder)
        server = t.server({"x": dst})
        for args, root in ((["push", src + "/", server.url()], dst),
                           (["pull", server.url() + b"/", back], back)):
            t.run(*args, rc=0, timeout=300)
            t.same(src, root, full=True)
            second = t.run(*args, rc=0, timeout=300)
            t.says(second, ("0 files", "nothing", "up to date", "files 0"))
            t.same(src, root)
        server.stop()
        for path in (src, dst, back):
            hawser_test.tree.remove(path)


def test_usr_bin_checksum_run(t):
    """-c reads everything, moves nothing, and finds a change that size and time hide."""
    src, dst = t.path("src"), t.dir("dst")
    subprocess.run(["cp", "-a", "/usr/include", src], check=True)
    server = t.server({"x": dst})
    t.run("push", src + "/", server.url(), rc=0, timeout=300)
    victim = next(os.path.join(d, f) for d, _, fs in os.walk(dst) for f in fs
                  if os.path.isfile(os.path.join(d, f)) and not os.path.islink(os.path.join(d, f))
                  and os.path.getsize(os.path.join(d, f)) > 1000)
    info = os.stat(victim)
    with open(victim, "r+b") as f:
        f.seek(500)
        byte = f.read(1)
        f.seek(500)
        f.write(bytes([byte[0] ^ 1]))
    os.utime(victim, ns=(info.st_atime_ns, info.st_mtime_ns))
    t.run("push", src + "/", server.url(), rc=0)
    t.check(hawser_test.tree.compare(src, dst), "the quick check cannot have seen this change")
    t.run("push", "-c", src + "/", server.url(), rc=0, timeout=300)
    t.same(src, dst)


if __name__ == "__main__":
    hawser_test.main(globals())
