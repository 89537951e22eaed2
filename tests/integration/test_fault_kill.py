#!/usr/bin/env python3
"""kill -9 of either side, or of both, at random points: no name holds a part, what was reported as
arrived is there, and the same command ends it.  By hand: --points 500 --seed N."""

import signal
import time

import fault
import hawser_test


KINDS = 6  # tests below, among which the points are divided


class Case:
    """A target that goes from one version to the other and back, and is interrupted on each way."""

    def __init__(self, t, direction, makers, args):
        self.t, self.direction, self.args = t, direction, args
        self.rng = fault.seeded(t, t.name)
        self.sides = fault.pair(t, self.rng, *makers)
        self.versions = [fault.snapshot(side) for side in self.sides]
        self.dst = t.dir("dst")
        self.kills = self.cut = self.kept = 0

    def begin(self, to):
        """A new server and a command that brings the version @to to the target."""
        src = self.sides[to]
        self.server = self.t.server({"x": self.dst if self.direction == "push" else src})
        args = ["--json", "--delete", *self.args]
        if self.direction == "push":
            return self.t.start("push", *args, src + "/", self.server.url())
        return self.t.start("pull", *args, self.server.url() + b"/", self.dst)

    def end(self, p):
        for process in (p, self.server):
            process.kill(signal.SIGKILL)
            process.wait(20)
            self.t.processes.remove(process)

    def finish(self, to):
        """To the end, without faults; returns the seconds that it took."""
        p = self.begin(to)
        start = time.monotonic()
        r = p.wait(60)
        seconds = time.monotonic() - start
        self.t.check(r.rc == 0, "the same command again:", r)
        self.t.alive(self.server)
        self.end(p)
        self.t.check(fault.snapshot(self.dst) == self.versions[to], "not the new version")
        fault.replica(self.sides[to], self.dst)
        self.t.no_stage_files(self.dst)
        return seconds

    def kill(self, to, seconds):
        """One point: kill, look."""
        p = self.begin(to)
        victim = self.rng.choice(("client", "server", "both"))
        time.sleep(seconds * self.rng.random())
        self.cut += p.poll() is None
        self.kills += 1
        if victim != "server":
            p.kill(signal.SIGKILL)
        if victim != "client":
            self.server.kill(signal.SIGKILL)
        r = p.wait(60)
        allowed = {"client": (0, -9), "server": (0, 3, 4), "both": (0, -9, 3, 4)}[victim]
        self.t.check(r.rc in allowed, "%s killed:" % victim, r)
        if victim == "client":
            self.t.alive(self.server)
        self.end(p)  # a server that lives would still be at work
        now = fault.whole(self.dst, *self.versions)
        arrived = fault.acknowledged(r.out)
        self.kept += len(arrived)
        for name in arrived:
            self.t.check(now.get(name) == self.versions[to][name], "reported, and not there:", name, r)


def killing(t, direction, makers, args=()):
    case = Case(t, direction, makers, args)
    to, points = 0, max(t.options.points // KINDS, 3)
    case.finish(1)
    seconds = case.finish(0)
    while case.kills < points or (case.cut == 0 and case.kills < 20 * points):
        to = 1 - to
        for _ in range(case.rng.choice((1, 1, 2, 3))):  # more than one on the same way
            case.kill(to, seconds if case.cut > 0 else seconds / 2)  # sooner, until one is soon enough
        seconds = max(case.finish(to), 0.05)
    print("# %s: %d kills, %d in the middle, %d reported names kept" % (
        t.name, case.kills, case.cut, case.kept), flush=True)
    t.check(case.cut > 0, "every kill came too late: nothing was tested")


def test_packs_push(t):
    killing(t, "push", [fault.small_pair])


def test_packs_pull(t):
    killing(t, "pull", [fault.small_pair])


def test_files_push(t):
    killing(t, "push", [fault.large_pair], ["--delta=off", "--bwlimit=100M"])


def test_files_pull(t):
    killing(t, "pull", [fault.large_pair], ["--delta=off", "--bwlimit=100M"])


def test_delta_push(t):
    killing(t, "push", [fault.delta_pair, fault.small_pair], ["--delta=on"])


def test_delta_pull(t):
    killing(t, "pull", [fault.delta_pair, fault.small_pair], ["--delta=on"])


if __name__ == "__main__":
    hawser_test.main(globals())
