#!/usr/bin/env python3
"""Networks that cut, reset, deliver a byte at a time, or corrupt: names hold whole
versions, the error says what happened, and the job ends, by itself where it may try again."""

import subprocess

import fault
import hawser_test
import proxy

hawser_test.T.retries = None


def cut(t, direction):
    """Every connection is cut after some MiB, which is more than a file: each attempt comes further."""
    ends = {}

    def hook(way, index, offset, data):
        end = ends.setdefault(index, job.rng.randrange(1 << 20, 4 << 20))
        return None if way == fault.WAY[direction] and offset + len(data) > end else data

    def makers(rng, a, b):
        fault.large_pair(rng, a, b, sizes=(70000,) * 10 + (700000,) * 12)

    job = fault.Job(t, direction, [makers, fault.small_pair], hook)
    r = job.start("--streams=2", "--retries=20").wait(120)
    t.check(job.proxy.count > 4, "nothing was cut:", r)
    job.ended(r)
    print("# %s: %d retries, %d connections" % (t.name, len(r.rows("retry")), job.proxy.count), flush=True)


def test_cut_push(t):
    cut(t, "push")


def test_cut_pull(t):
    cut(t, "pull")


def test_reset(t):
    """RST on all connections, again and again."""
    job = fault.Job(t, "push")
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
    job = fault.Job(t, "push", makers=[few], piece=1)
    job.ended(job.start().wait(60))


def test_a_byte_at_a_time_pull(t):
    job = fault.Job(t, "pull", makers=[few], piece=1)
    job.ended(job.start().wait(60))


def corrupt(t, direction):
    """One bit of some bytes is not what was sent: an error, or a retry, and never a wrong name."""
    changed = []

    def hook(which, _index, _offset, data):
        if which == fault.WAY[direction] and not changed and job.proxy.total[which] > job.at:
            at = job.rng.randrange(len(data))
            changed.append(at)
            return data[:at] + bytes([data[at] ^ 1 << job.rng.randrange(8)]) + data[at + 1:]
        return data

    job, rounds = fault.Job(t, direction, hook=hook), 0
    for _ in range(4):
        job.at = job.proxy.total[fault.WAY[direction]] + job.rng.randrange(300, 16 << 20)
        changed.clear()
        r = job.start().wait(60)
        t.check(changed or r.rc == 0, "ended without a fault:", r)
        rounds += len(changed)
        t.check(r.rc in (0, 1, 3, 4), r)
        job.whole()
        t.alive(job.server)
        if r.rc == 0:
            fault.replica(job.new, job.dst)
        subprocess.run(["rsync", "-a", "--delete", job.old + "/", job.dst + "/"], check=False)
    t.check(rounds > 0, "nothing was changed in any round")
    job.ended(job.start(port=job.server.port).wait(60))


def test_corrupt_push(t):
    corrupt(t, "push")


def test_corrupt_pull(t):
    corrupt(t, "pull")


if __name__ == "__main__":
    hawser_test.main(globals())
