#!/usr/bin/env python3
"""A transfer that its user interrupts, pauses, lets go on: by signals, and by the commands for it."""

import json
import signal
import time

import hawser_test
import tree

MIB = tree.MIB
SIZE, COUNT = 48 * MIB + 12345, 3
SMALL = 200
RATE = 40 * MIB
UNIT = 4 * MIB  # of a large file: what is cut is sent again
STREAMS = 2


def rows(process, kind):
    lines = [line for line in process.read("out").splitlines() if line.endswith(b"}")]
    return [row for row in map(json.loads, lines) if row["type"] == kind]


def moved(process):
    """Bytes by the newest line of progress."""
    progress = rows(process, "progress")
    return progress[-1]["bytes_done"] if progress else 0


class Way:
    """A push or a pull of the same tree, again and again."""

    def __init__(self, t, way, large=COUNT):
        self.t, self.way = t, way
        self.src, self.dst = t.dir("src"), t.dir("dst")
        b = tree.Builder(self.src)
        for i in range(large):
            b.random_file("f%d" % i, SIZE)
        for i in range(SMALL):
            b.random_file("s%d" % i, 20000)
        self.bytes = large * SIZE + SMALL * 20000
        self.server = t.server({"x": self.dst if way == "push" else self.src})

    def args(self, *more):
        ends = ([self.src + "/", self.server.url()] if self.way == "push"
                else [self.server.url() + b"/", self.dst])
        return [self.way, "--json", "--progress", "--streams=%d" % STREAMS, *more, *ends]

    def begin(self, at, *more):
        p = self.t.start(*self.args("--bwlimit=%d" % (RATE // 1024), *more))
        self.t.until(lambda: moved(p) >= at, what="progress")
        return p

    def finish(self):
        r = self.t.run(*self.args(), rc=0)
        self.t.same(self.src, self.dst)
        self.t.no_stage_files(self.dst)
        return json.loads(r.out.splitlines()[-1])


def interrupted(t, way, how):
    """What was on its way arrives, is kept, and is not sent again."""
    run = Way(t, way)
    p = run.begin(60 * MIB)
    p.kill(how)
    begun = time.monotonic()
    r = p.wait(30)
    took = time.monotonic() - begun
    t.check(r.rc == 130, "exit 130 expected:", r)
    t.check(took < 9, "it did not end in good order: %.1f s" % took, r)
    t.check([row["state"] for row in rows(p, "state")] == ["stopping"], r)
    t.says(r, "stopping", "run the same command again")
    first = rows(p, "summary")[0]
    t.check(first["kept_files"] > 0 and first["kept_bytes"] > 0, first)
    # Of each stream the end of a unit is missing, which has to be sent again.
    sent = first["wire_sent" if way == "push" else "wire_received"]
    arrived = first["bytes"] + first["kept_bytes"]
    t.check(arrived > 50 * MIB and sent - arrived < STREAMS * UNIT + MIB,
            "sent %d, of use %d:" % (sent, arrived), first)
    t.check(first["files_durable"] in (first["files"], 0), "nothing waits to be synced:", first)
    second = run.finish()
    t.check(second["resumed_bytes"] == first["kept_bytes"], first, second)
    again = second["wire_sent" if way == "push" else "wire_received"] + sent - run.bytes
    t.check(again < STREAMS * UNIT + 2 * MIB, "sent twice: %d" % again, first, second)


def test_interrupted_push(t):
    interrupted(t, "push", signal.SIGINT)


def test_interrupted_pull(t):
    interrupted(t, "pull", signal.SIGINT)


def test_terminated_push(t):
    interrupted(t, "push", signal.SIGTERM)


def test_interrupted_twice(t):
    """The second time it does not wait for anything: not for a server that is stopped."""
    run = Way(t, "push")
    p = run.begin(20 * MIB)
    run.server.kill(signal.SIGSTOP)
    p.kill(signal.SIGINT)
    time.sleep(1)
    t.check(p.poll() is None, "it waits for its server:", p.result())
    begun = time.monotonic()
    p.kill(signal.SIGINT)
    r = p.wait(10)
    t.check(r.rc == 130 and time.monotonic() - begun < 2, r)
    run.server.kill(signal.SIGCONT)
    run.finish()


def test_interrupted_without_an_answer(t):
    """A server that does not answer is not waited for longer than --timeout."""
    run = Way(t, "push")
    p = run.begin(20 * MIB, "--timeout=2")
    run.server.kill(signal.SIGSTOP)
    p.kill(signal.SIGINT)
    begun = time.monotonic()
    r = p.wait(10)
    t.check(r.rc == 130 and time.monotonic() - begun < 5, r)
    run.server.kill(signal.SIGCONT)
    run.finish()


def test_interrupted_small_files(t):
    """Names that were given stay, and are counted."""
    run = Way(t, "push", large=0)
    p = run.begin(MIB, "--bwlimit=1M")
    p.kill(signal.SIGINT)
    r = p.wait(30)
    first = rows(p, "summary")[0]
    t.check(r.rc == 130 and 0 < first["files"] < SMALL, first)
    second = run.finish()
    t.check(first["files"] + second["files"] == SMALL, first, second)


def test_error_says_what_is_kept(t):
    """A server that ends a session because of an error says first what it keeps."""
    run = Way(t, "push")
    p = run.begin(60 * MIB, "--retries=0")
    run.server.kill(signal.SIGTERM)
    time.sleep(0.2)
    run.server.kill(signal.SIGTERM)  # it does not wait for us
    r = p.wait(30)
    t.check(r.rc == 3, r)
    first = rows(p, "summary")[0]
    t.check(first["kept_bytes"] > 20 * MIB, first)
    run.server.wait(30)
    run.server = t.server({"x": run.dst})
    second = run.finish()
    t.check(second["resumed_bytes"] >= first["kept_bytes"], first, second)


if __name__ == "__main__":
    hawser_test.main(globals())
