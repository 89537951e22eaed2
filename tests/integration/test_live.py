#!/usr/bin/env python3
"""A source that lives: files appended, replaced, created and deleted while a push runs.

Each push ends with 0 or 1, the server goes on, no part is visible; when the source is calm, one
more run makes a replica."""

import os
import random
import shutil
import threading
import time

import hawser_test
import tree


class Life(threading.Thread):
    def __init__(self, root, seed):
        super().__init__()
        self.root, self.rng, self.stop = root, random.Random(seed), threading.Event()
        self.changes = 0

    def run(self):
        while not self.stop.is_set():
            try:
                self.change()
                self.changes += 1
            except OSError:
                pass
            time.sleep(0.0005)

    def change(self):
        rng = self.rng
        path = "%s/d%d/f%d" % (self.root, rng.randrange(8), rng.randrange(60))
        kind = rng.randrange(8)
        if kind <= 1:
            with open(path, "ab") as f:
                f.write(rng.randbytes(rng.randrange(1, 20000)))
        elif kind == 2:
            with open(path + ".new", "wb") as f:
                f.write(rng.randbytes(rng.randrange(1, 300000)))
            os.rename(path + ".new", path)
        elif kind == 3:
            os.unlink(path)
        elif kind == 4:
            with open(path, "wb") as f:
                f.write(rng.randbytes(rng.randrange(1, 100000)))
        elif kind == 5:
            os.truncate(path, rng.randrange(1000))
        elif kind == 6:
            folder = os.path.dirname(path) + "/dir%d" % rng.randrange(3)
            if os.path.isdir(folder):
                shutil.rmtree(folder)
            else:
                os.mkdir(folder)
                tree.Builder(folder).random_file("in", 1000)
        else:
            os.unlink(path)
            os.symlink("f0", path)


def living(t, direction, runs=8):
    src, dst = t.dir("src"), t.dir("dst")
    b = tree.Builder(src)
    for d in range(8):
        b.directory("d%d" % d)
        for i in range(60):
            b.random_file("d%d/f%d" % (d, i), i * 4000)
    server = t.server({"x": dst if direction == "push" else src})
    life = Life(src, 3)
    life.start()
    try:
        for i in range(runs):
            extra = ["--delete"] if i % 2 else []
            if direction == "push":
                r = t.run("push", *extra, src + "/", server.url(), rc=(0, 1), timeout=120)
            else:
                r = t.run("pull", *extra, server.url() + b"/", dst, rc=(0, 1), timeout=120)
            t.check(r.rc == 0 or r.err, "exit 1 without a message:", r)
            t.no_stage_files(dst)
    finally:
        life.stop.set()
        life.join()
    t.check(life.changes > 100, "only %d changes" % life.changes)
    t.alive(server)
    if direction == "push":
        t.run("push", "--delete", src + "/", server.url(), rc=0)
    else:
        t.run("pull", "--delete", server.url() + b"/", dst, rc=0)
    t.same(src, dst, full=True)


def test_live_push(t):
    living(t, "push")


def test_live_pull(t):
    living(t, "pull")


def test_log_file_appended(t):
    """Append-only files: what lands is a prefix of what was there at the end, when it lands."""
    src, dst = t.dir("src"), t.dir("dst")
    server = t.server({"x": dst})
    stop = threading.Event()

    def append():
        with open(src + "/log", "ab", buffering=0) as f:
            n = 0
            while not stop.is_set():
                f.write(b"line %09d\n" % n)
                n += 1
                time.sleep(0.001)

    thread = threading.Thread(target=append)
    thread.start()
    try:
        time.sleep(0.2)
        for _ in range(6):
            t.run("push", src + "/", server.url(), rc=(0, 1))
    finally:
        stop.set()
        thread.join()
    if os.path.exists(dst + "/log"):
        whole = open(src + "/log", "rb").read()
        t.check(whole.startswith(open(dst + "/log", "rb").read()), "no prefix of the log")
    t.run("push", src + "/", server.url(), rc=0)
    t.same(src, dst)


if __name__ == "__main__":
    hawser_test.main(globals())
