#!/usr/bin/env python3
"""Networks that cut, stall one way, reset, deliver a byte at a time, or corrupt: names hold whole
versions, the error says what happened, and the job ends, by itself where it may try again."""

import json
import subprocess
import threading
import time

import fault
import hawser_test
import proxy

hawser_test.T.retries = None
WAY = {"push": proxy.UP, "pull": proxy.DOWN}


class Job:
    """A target that gets a newer version through a proxy."""

    def __init__(self, t, direction, makers=(fault.small_pair, fault.large_pair), hook=None, **kw):
        self.t, self.direction = t, direction
        self.rng = fault.seeded(t, t.name)
        self.old, self.new = fault.pair(t, self.rng, *makers)
        self.versions = [fault.snapshot(x) for x in (self.old, self.new)]
        self.dst = t.path("dst")
        subprocess.run(["cp", "-a", self.old, self.dst], check=True)
        self.server = t.server({"x": self.dst if direction == "push" else self.new}, args=["--idle-timeout=3"])
        self.proxy = t.proxy(self.server.port, hook=hook, **kw)

    def start(self, *args, port=None):
        url = self.server.url(port=port or self.proxy.port)
        places = ([self.new + "/", url] if self.direction == "push" else [url + b"/", self.dst])
        return self.t.start(self.direction, "--json", "--delete", *args, *places)

    def whole(self):
        fault.whole(self.dst, *self.versions)

    def ended(self, r):
        self.t.check(r.rc == 0, r)
        self.t.alive(self.server)
        fault.replica(self.new, self.dst)
        self.t.until(lambda: not hawser_test.stage_files(self.dst), 20, "end of the stage files")


def retries(r):
    return sum(json.loads(line)["type"] == "retry" for line in r.out.splitlines())


def cut(t, direction):
    """Every connection is cut after some MiB, which is more than a file: each attempt comes further."""
    ends = {}

    def hook(way, index, offset, data):
        end = ends.setdefault(index, job.rng.randrange(1 << 20, 4 << 20))
        return None if way == WAY[direction] and offset + len(data) > end else data

    def makers(rng, a, b):
        fault.large_pair(rng, a, b, sizes=(70000,) * 10 + (700000,) * 12)

    job = Job(t, direction, [makers, fault.small_pair], hook)
    r = job.start("--streams=2", "--retries=20").wait(120)
    t.check(job.proxy.count > 4, "nothing was cut:", r)
    job.ended(r)
    print("# %s: %d retries, %d connections" % (t.name, retries(r), job.proxy.count), flush=True)


def test_cut_push(t):
    cut(t, "push")


def test_cut_pull(t):
    cut(t, "pull")


def stall(t, direction, way):
    """Bytes stay where they are, one way only, from some moment on; then the network is well again."""
    stalled = threading.Event()

    def hook(which, index, _offset, data):
        if which == way and not stalled.is_set() and job.proxy.total[WAY[direction]] > job.at:
            stalled.set()
            job.before = job.proxy.count
        while which == way and stalled.is_set() and index < job.before and not job.proxy.closing:
            time.sleep(0.05)
        return data

    job = Job(t, direction, hook=hook)
    job.at = job.rng.randrange(1 << 20, 20 << 20)
    r = job.start("--timeout=2", "--retries=5").wait(60)
    t.check(stalled.is_set() and job.proxy.count > job.before, "nothing was stalled:", r)
    t.says(r, ("did not answer in time", "stall", "no byte", "closed the connection"))
    t.check(r.seconds < 25, "noticed late:", r)
    job.ended(r)


def test_stall_up_push(t):
    stall(t, "push", proxy.UP)


def test_stall_down_push(t):
    stall(t, "push", proxy.DOWN)


def test_stall_down_pull(t):
    stall(t, "pull", proxy.DOWN)


def test_reset(t):
    """RST on all connections, again and again."""
    job = Job(t, "push")
    p = job.start("--retries=20", "--bwlimit=24M")
    for _ in range(3):
        before = job.proxy.total[proxy.UP]
        t.until(lambda before=before: job.proxy.total[proxy.UP] > before + (2 << 20)
                or p.poll() is not None, 30, "bytes")
        job.proxy.reset()
    r = p.wait(60)
    t.check(job.proxy.count >= 6, "not reset:", r)
    job.ended(r)


def few(rng, a, b):
    fault.small_pair(rng, a, b, count=20)
    fault.delta_pair(rng, a, b, sizes=(90000,))


def test_a_byte_at_a_time_push(t):
    job = Job(t, "push", makers=[few], piece=1)
    job.ended(job.start().wait(60))


def test_a_byte_at_a_time_pull(t):
    job = Job(t, "pull", makers=[few], piece=1)
    job.ended(job.start().wait(60))


def corrupt(t, direction):
    """One bit of some bytes is not what was sent: an error, or a retry, and never a wrong name."""
    changed = []

    def hook(which, _index, _offset, data):
        if which == WAY[direction] and not changed and job.proxy.total[which] > job.at:
            at = job.rng.randrange(len(data))
            changed.append(at)
            return data[:at] + bytes([data[at] ^ 1 << job.rng.randrange(8)]) + data[at + 1:]
        return data

    job = Job(t, direction, hook=hook)
    for _ in range(4):
        job.at = job.proxy.total[WAY[direction]] + job.rng.randrange(300, 16 << 20)
        changed.clear()
        r = job.start().wait(60)
        t.check(changed or r.rc == 0, "ended without a fault:", r)
        t.check(r.rc in (0, 1, 3, 4), r)
        job.whole()
        t.alive(job.server)
        if r.rc == 0:
            fault.replica(job.new, job.dst)
        subprocess.run(["rsync", "-a", "--delete", job.old + "/", job.dst + "/"], check=False)
    job.ended(job.start(port=job.server.port).wait(60))


def test_corrupt_push(t):
    corrupt(t, "push")


def test_corrupt_pull(t):
    corrupt(t, "pull")


if __name__ == "__main__":
    hawser_test.main(globals())
