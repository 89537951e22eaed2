#!/usr/bin/env python3
"""Crowds of strangers: ten thousand connections, and a thousand that dribble a byte a second.  An honest
client works at no less than half its speed meanwhile, and nothing of the crowd stays in the server."""

import json
import os
import statistics
import subprocess
import sys
import threading
import time

import fault
import hawser_test
import proxy
import tree
from hawser_test import Failure

MIB = tree.MIB
PAIRS = 5
BURST = 2100  # connections of one pair: more than 10,000 in all
DRIBBLERS = 1000
CROWD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "crowd.py")


class Stage:
    """A server, an honest client's job, and what both are when nobody else is there."""

    def __init__(self, t, plan, *args):
        """@plan: the server's --memory in MiB"""
        self.t = t
        self.plan = plan
        t.env.pop("MALLOC_PERTURB_", None)  # meson's: fills what is given out, and so makes it memory that is used
        self.src, self.dst = t.dir("src"), t.dir("dst")
        b = tree.Builder(self.src, seed=t.options.seed)
        for i in range(4):
            b.random_file("large%d" % i, (8 if t.options.sanitized else 128) * MIB)
        for i in range(300):
            b.random_file("s%d" % i, 40 * i)
        self.server = t.server({"x": self.dst}, args=["--memory=%dM" % plan, *args])
        self.hello = self.hear()
        self.push()  # so that all is warm
        self.descriptors = self.open_files()

    def hear(self):
        """What a client says first."""
        heard = []

        def hook(way, _index, _offset, data):
            if way == proxy.UP:
                heard.append(data)
            return data

        p = self.t.proxy(self.server.port, hook=hook)
        self.t.run("ls", self.server.url(port=p.port), rc=0)
        p.close()
        return heard[0].hex()

    def open_files(self):
        return len(os.listdir("/proc/%d/fd" % self.server.pid))

    def push(self):
        """Seconds of one whole run of the client."""
        tree.remove(self.dst + "/in")
        start = time.monotonic()
        self.t.run("push", "--durability=received", self.src + "/", self.server.url(path="in"), rc=0, timeout=100)
        return time.monotonic() - start

    def crowd(self, *args):
        return subprocess.Popen([sys.executable, CROWD, args[0], str(self.server.port), self.hello,
                                 *map(str, args[1:])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def compare(self, pairs):
        """@pairs: seconds (alone, in the crowd), measured in turn."""
        ratios = sorted(alone / crowded for alone, crowded in pairs)
        print("# %s: speed in the crowd, of that alone: median %.2f, from %.2f to %.2f; alone %.2f s" % (
            self.t.name, statistics.median(ratios), ratios[0], ratios[-1],
            statistics.median(alone for alone, _ in pairs)), flush=True)
        self.t.check(statistics.median(ratios) >= 0.5, "less than half its speed:", pairs)

    def end(self):
        """Nothing of the crowd is left."""
        t = self.t
        t.alive(self.server)
        fault.replica(self.src, self.dst + "/in")
        t.until(lambda: self.open_files() <= self.descriptors + 2, 30, "end of the descriptors: %d, were %d"
                % (self.open_files(), self.descriptors))
        if not t.options.sanitized:
            size = hawser_test.memory_peak(self.server.pid)
            t.check(size < (self.plan + 48) * MIB, "the server uses %d MiB of %d" % (size >> 20, self.plan))
        r = self.server.stop()
        t.check(r.rc == 0, r)
        lines = [line for line in r.err.splitlines() if b"connection refused" in line]
        t.check(lines and len(lines) <= 21 * (r.seconds + 1), "%d lines of strangers in %d s" % (len(lines), r.seconds))


def test_ten_thousand_connections(t):
    """They come and go in bursts, of every kind, while the client works; and it alone between them."""
    stage = Stage(t, 512)
    crowd, pairs, taken = stage.crowd("burst"), [], 0
    try:
        for _ in range(PAIRS):
            alone, crowded, answers = stage.push(), [], []
            crowd.stdin.write("%d\n" % BURST)
            crowd.stdin.flush()
            reader = threading.Thread(target=lambda into=answers: into.append(json.loads(crowd.stdout.readline())))
            reader.start()
            while reader.is_alive():
                seconds = stage.push()
                if reader.is_alive() or not crowded:  # the first may have outlived its burst
                    crowded.append(seconds)
            t.check(answers, "the crowd died")
            taken += answers[0]["taken"]
            pairs.append((alone, statistics.median(crowded)))
    finally:
        crowd.kill()
        crowd.communicate()
    t.check(taken >= 10000, "only %d connections were taken" % taken)
    stage.compare(pairs)
    stage.end()


def dribbling(t, least, plan, *args):
    """@least: so many of them are there at any time, as they see it."""
    stage = Stage(t, plan, *args)
    pairs = []
    for _ in range(PAIRS):
        alone = stage.push()
        crowd = stage.crowd("dribble", DRIBBLERS)
        try:
            while json.loads(crowd.stdout.readline())["came"] < DRIBBLERS:
                pass  # all have been there
            pairs.append((alone, stage.push()))
            last = json.loads(crowd.stdout.readline())
        finally:
            crowd.kill()
            crowd.communicate()
        if last["live"] < least:
            raise Failure("the crowd is gone: %s" % last)
    stage.compare(pairs)
    stage.end()


def test_a_byte_a_second(t):
    """More than there are places: whoever came first goes first, and comes back."""
    dribbling(t, 20, 512, "--handshake-timeout=600")


def test_a_byte_a_second_with_places(t):
    """All of them have a place, for as long as they like; one shard may get more than it has."""
    dribbling(t, DRIBBLERS * 9 // 10, 8 << 10, "--handshake-timeout=600", "--shards=2",
              "--max-sessions=230", "--max-connections-per-peer=4000", "--chunk=64K", "--depth=2", "--streams=4")


if __name__ == "__main__":
    hawser_test.main(globals())
