#!/usr/bin/env python3
"""Nothing outside the export is read or written: symlinks planted or flipped, odd paths."""

import ctypes
import os
import stat
import sys
import threading
import time

import hawser_test
import tree

RENAME_EXCHANGE = 2
SECRET = b"the-secret-outside-of-the-export"
_libc = ctypes.CDLL(None, use_errno=True)


def exchange(a, b):
    return _libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), RENAME_EXCHANGE)


class Canary:
    """A folder outside of every root; any change of it is a failure."""

    def __init__(self, t):
        self.t = t
        self.path = t.dir("canary")
        b = tree.Builder(self.path)
        b.file("f", SECRET, mode=0o640, mtime_ns=10**18)
        b.file("s0", SECRET, mtime_ns=10**18)
        b.directory("sub", mode=0o751, mtime_ns=10**18)
        b.file("sub/f", SECRET, mtime_ns=10**18)
        b.finish()
        os.utime(self.path, ns=(10**18, 10**18))
        self.before = self.state()

    def state(self):
        found = {}
        for folder, _, files in os.walk(self.path):
            for name in [""] + files:
                path = os.path.join(folder, name)
                s = os.lstat(path)
                text = open(path, "rb").read() if stat.S_ISREG(s.st_mode) else b""
                found[path] = (s.st_mode, s.st_uid, s.st_gid, s.st_mtime_ns, s.st_ctime_ns,
                               s.st_ino, s.st_nlink, text, tuple(os.listxattr(path)))
        return found

    def check(self, *what):
        after = self.state()
        changed = [p for p in set(self.before) | set(after) if self.before.get(p) != after.get(p)]
        self.t.check(not changed, "OUTSIDE CHANGED: %s" % changed, *what)

    def unread(self, root, result=None):
        """The secret is nowhere below @root, nor in what the client printed."""
        if os.path.islink(root):
            return  # a link was copied as a link: what it points to was never read
        sys.setrecursionlimit(10000)  # os.walk() in a path as long as PATH_MAX
        for folder, _, files in os.walk(root):
            for name in files:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "rb") as f:
                        self.t.check(SECRET not in f.read(), "OUTSIDE READ: it is in %s" % path)
        if result:
            self.t.check(SECRET not in result.out + result.err, "OUTSIDE READ:", result)


def source(t, name="src", count=60):
    src = t.dir(name)
    b = tree.Builder(src)
    for d in ("sub", "sub/sub", "dir"):
        b.directory(d, mode=0o700, mtime_ns=5 * 10**17)
    b.file("f", b"new content", mode=0o600)
    for i in range(count):
        b.random_file("sub/s%d" % i, 3000)
        b.random_file("dir/s%d" % i, 3000)
    b.file("sub/f", b"new content")
    b.file("sub/sub/f", b"new content")
    b.random_file("sub/large", 3 * tree.MIB)
    os.setxattr(src + "/sub", "user.x", b"y")
    b.finish()
    return src


def test_symlinks_planted_in_target(t):
    """Directory and file names of the source are symlinks to the canary in the target."""
    for direction in ("push", "pull"):
        for extra in ([], ["--delete"], ["-c"], ["--ignore-existing"], ["--size-only"]):
            canary = Canary(t)
            src, dst = source(t), t.dir("dst")
            for name in ("sub", "dir", "f"):
                os.symlink(canary.path if name != "f" else canary.path + "/f", dst + "/" + name)
            server = t.server({"x": dst if direction == "push" else src})
            args = ["push", *extra, src + "/", server.url()]
            if direction == "pull":
                args = ["pull", *extra, server.url() + b"/", dst]
            r = t.run(*args)
            canary.check(r)
            if r.rc == 0 and "--ignore-existing" not in extra:
                t.same(src, dst)
            server.stop()
            for path in (src, dst, canary.path):
                tree.remove(path)


def test_symlink_in_url_path(t):
    """A symlink component of the URL leads nowhere outside, for any command."""
    canary = Canary(t)
    src, root = source(t), t.dir("root")
    os.symlink(canary.path, root + "/out")
    os.symlink("../canary", root + "/up")
    os.symlink("/", root + "/slash")
    os.symlink("/proc/self/root", root + "/magic")
    server = t.server({"x": root})
    inside = os.path.relpath(canary.path, "/")
    for path in ("out", "out/", "out/sub", "out/f", "up/", "up/sub/f", "slash/" + inside,
                 "slash/etc/passwd", "magic/" + inside):
        for args in (["pull", server.url(path=path), t.path("back")], ["ls", server.url(path=path)],
                     ["stat", server.url(path=path)], ["push", src + "/", server.url(path=path)],
                     ["push", "--delete", src + "/", server.url(path=path + "/x")],
                     ["push", src + "/f", server.url(path=path)]):
            r = t.run(*args)
            canary.check(path, r)
            canary.unread(t.path("back"), r)
            t.check(b"root:x:0" not in r.out, "passwd was read:", r)
        for name in ("out", "up", "slash", "magic"):  # a push may replace the link itself
            if not os.path.islink(root + "/" + name):
                tree.remove(root + "/" + name)
                os.symlink(canary.path, root + "/" + name)
        tree.remove(t.path("back"))
    t.alive(server)


def test_odd_url_paths(t):
    canary = Canary(t)
    src, root = source(t), t.dir("root")
    tree.Builder(root).file("inside", b"i")
    tree.Builder(root).directory("d")
    server = t.server({"x": root})
    for path in ("..", "../canary", "d/../../canary", "d/../..", "/../canary", "//canary",
                 "/" + canary.path, canary.path, "./../canary", "%2e%2e/canary", "..%2fcanary",
                 "d/%2e%2e/%2e%2e/canary", "..\\canary", "d/./.././../canary", "a" * 300,
                 "a/" * 3000, "a" * 5000, "\n", " ", "\xff", "d/..", ".", "./", "...", "~", "$HOME",
                 "inside/../../canary", "inside/x", "?x", "#x", "d//x", "*"):
        for args in (["pull", server.url(path=path), t.path("back")], ["ls", server.url(path=path)],
                     ["push", src + "/", server.url(path=path)],
                     ["push", "--delete", src + "/f", server.url(path=path)]):
            r = t.run(*args)
            canary.check(path[:80], r)
            canary.unread(t.path("back"), r)
        for name in os.listdir(t.folder):
            t.check(name in ("src", "root", "canary", "back"), "made beside the export: %r" % name)
        tree.remove(t.path("back"))
    t.alive(server)


def test_dotdot_is_refused(t):
    canary = Canary(t)
    server = t.server({"x": t.dir("root")})
    r = t.run("push", source(t) + "/", server.url(path="../canary"))
    t.check(r.rc != 0, "a push above the export must fail:", r)
    canary.check()


def flipping(t, direction, seconds=6):
    """While transfers run, a directory of the target alternates with a symlink to the canary."""
    canary = Canary(t)
    src, dst = source(t), t.dir("dst")
    server = t.server({"x": dst if direction == "push" else src})
    stop = threading.Event()
    flips = [0]

    def flip():
        os.symlink(canary.path, dst + "/flip-link")
        while not stop.is_set():
            if exchange(dst + "/sub", dst + "/flip-link") == 0:
                flips[0] += 1
            if exchange(dst + "/dir", dst + "/flip-link") == 0:
                flips[0] += 1

    os.mkdir(dst + "/sub")
    os.mkdir(dst + "/dir")
    thread = threading.Thread(target=flip)
    thread.start()
    runs = 0
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            args = ["--delete", "--exclude=/flip-link"] if runs % 2 else []
            if direction == "push":
                r = t.run("push", *args, src + "/", server.url())
            else:
                r = t.run("pull", *args, server.url() + b"/", dst)
            canary.check(r)
            t.check(r.rc in (0, 1, 4), "exit 0 or 1:", r)
            runs += 1
            os.utime(src + "/f")
            for i in range(20):
                os.utime(src + "/sub/s%d" % i)
    finally:
        stop.set()
        thread.join()
    t.check(runs >= 3 and flips[0] > 100, "%d runs, %d flips: nothing was tested" % (runs, flips[0]))
    canary.check()
    t.alive(server)


def test_flipped_target_push(t):
    flipping(t, "push")


def test_flipped_target_pull(t):
    flipping(t, "pull")


def flipped_source(t, direction):
    """A directory of the source alternates with a symlink to a secret: it never arrives."""
    canary = Canary(t)
    src, dst = source(t), t.dir("dst")
    server = t.server({"x": dst if direction == "push" else src})
    stop, flips = threading.Event(), [0]

    def flip():
        os.symlink(canary.path, src + "/flip-link")
        while not stop.is_set():
            flips[0] += exchange(src + "/sub", src + "/flip-link") == 0

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        for i in range(12):
            target = dst + "/t%d" % i
            if direction == "push":
                r = t.run("push", src + "/", server.url(path="t%d" % i))
            else:
                r = t.run("pull", server.url() + b"/", target)
            canary.unread(target, r)
            canary.check(r)
    finally:
        stop.set()
        thread.join()
    t.check(flips[0] > 100, "%d flips: nothing was tested" % flips[0])
    t.alive(server)


def test_flipped_source_push(t):
    flipped_source(t, "push")


def test_flipped_source_pull(t):
    flipped_source(t, "pull")


def test_export_root_replaced(t):
    """The export is moved away and a symlink takes its name: the held root stays the root."""
    canary = Canary(t)
    src, root = source(t), t.dir("root")
    server = t.server({"x": root})
    t.run("push", src + "/", server.url(), rc=0)
    os.rename(root, t.path("moved"))
    os.symlink(canary.path, root)
    tree.Builder(src).file("f", b"newer content", mode=0o600)
    r = t.run("push", "--delete", src + "/", server.url(), rc=0)
    canary.check(r)
    t.same(src, t.path("moved"))
    r = t.run("pull", server.url() + b"/", t.path("back"), rc=0)
    canary.check(r)
    canary.unread(t.path("back"), r)
    t.same(src, t.path("back"))
    t.alive(server)


def test_parent_swapped_during_push(t):
    """The destination directory itself is swapped for a symlink in the middle of a push."""
    canary = Canary(t)
    src, root = t.dir("src"), t.dir("root")
    b = tree.Builder(src)
    for i in range(40):
        b.random_file("s%d" % i, tree.MIB)
    server = t.server({"x": root})
    p = t.start("push", "--bwlimit=20M", src + "/", server.url(path="a/b"))
    t.until(lambda: os.path.isdir(root + "/a/b"), what="destination")
    time.sleep(0.3)
    os.rename(root + "/a/b", root + "/a/moved")
    os.symlink(canary.path, root + "/a/b")
    r = p.wait()
    canary.check(r)
    t.check(r.rc in (0, 1, 4), r)
    t.alive(server)


if __name__ == "__main__":
    hawser_test.main(globals())
