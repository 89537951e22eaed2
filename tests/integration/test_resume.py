#!/usr/bin/env python3
"""A run that was killed goes on where it was: what is sent again is what was on its way."""

import os
import signal

import fault
import hawser_test
import tree
import way
from way import COUNT, MIB, SIZE, UNIT, moved

TOGETHER = 2
JOURNAL = ".hawser.journal"
# of a run: 4 streams at most, each with a unit that is not whole and 4 chunks of 1 MiB; and what
# moved between the last line of progress and the end
FLIGHT = 4 * (UNIT + 4 * MIB) + 12 * MIB


class Way(way.Way):
    """A push or a pull of which either side is killed."""

    def interrupted(self, victims, at=60 * MIB, **kw):
        """Begin, and kill when so much has moved.  @return what had moved."""
        p = self.begin(at, **kw)
        if "server" in victims:
            self.server.kill()
        if "client" in victims:
            p.kill()
        p.wait()
        if "server" in victims:
            self.server.wait()
        elif self.way == "push":
            self.seen()
        done = moved(p)
        self.t.check(os.path.exists(self.dst + "/" + JOURNAL), "no journal", os.listdir(self.dst))
        if "server" in victims:
            self.serve()
        return done

    def seen(self):
        """The server has seen that its client is gone, and kept what it has."""
        def over():
            log = self.server.read("err")
            return log.count(b" session ended ") == log.count(b" session opened ")
        self.t.until(over, what="end of the session")

    def finish(self, kept_min, kept_max=None):
        """Of what is whole so much is kept, and does not travel."""
        row = super().finish()
        kept, wire = row["resumed_bytes"], row["wire_sent"] + row["wire_received"]
        self.t.check(kept_min <= kept <= (kept_max or self.bytes), "kept", kept, "of at least", kept_min, row)
        self.t.check(wire <= self.bytes - kept + MIB, "wire", wire, "kept", kept)
        self.t.check(not os.path.exists(self.dst + "/" + JOURNAL), os.listdir(self.dst))
        return row


def small(t):
    """For what does not depend on sizes: a run that was killed when one file was whole, and the next had a unit
    or two."""
    run = Way(t, "push", "--streams=1", size=12 * MIB)
    run.interrupted(["client"], 16 * MIB, rate=16 * MIB)
    return run


def killed(t, direction, victims, *args):
    run = Way(t, direction, *args)
    done = run.interrupted(victims)
    row = run.finish(done - FLIGHT)
    t.check(row["resumed_files"] > 0, row)


def test_push_client_killed(t):
    killed(t, "push", ["client"])


def test_push_server_killed(t):
    killed(t, "push", ["server"], "--digest=blake3")


def test_push_both_killed(t):
    killed(t, "push", ["server", "client"])


def test_pull_client_killed(t):
    killed(t, "pull", ["client"], "--digest=blake3")


def test_pull_server_killed(t):
    killed(t, "pull", ["server"])


def test_pull_both_killed(t):
    killed(t, "pull", ["server", "client"])


def test_killed_again_and_again(t):
    """Each run adds to what is kept."""
    run = Way(t, "push")
    first = run.interrupted(["client"], 40 * MIB)
    second = run.interrupted(["server", "client"], 30 * MIB)
    run.finish(first + second - 2 * FLIGHT)


def test_interrupted_by_the_user(t):
    """Ctrl-C leaves what can be gone on with."""
    run = Way(t, "push")
    p = run.begin(60 * MIB)
    p.kill(signal.SIGINT)
    t.check(p.wait().rc == 130, p.result())
    done = moved(p)
    run.seen()
    run.finish(done - FLIGHT)


def test_changed_source_restarts(t):
    """Of files that changed nothing is kept; which of them had begun is up to the streams."""
    run = Way(t, "push")
    run.interrupted(["client"], 45 * MIB)
    for i in range(COUNT):
        with open(run.src + "/f%d" % i, "r+b") as f:
            f.write(b"changed")
    r = t.run(*run.args(), rc=0)
    t.check(r.summary()["resumed_files"] == 0 and r.summary()["resumed_bytes"] == 0, r)
    t.check(r.summary()["bytes"] >= COUNT * SIZE, r)
    t.same(run.src, run.dst)
    t.no_stage_files(run.dst)


def test_removed_source_leaves_nothing(t):
    run = small(t)
    begun = set(os.listdir(run.src)) - set(os.listdir(run.dst))
    t.check(begun and hawser_test.stage_files(run.dst), "nothing is half done", os.listdir(run.dst))
    for name in begun:
        os.unlink(run.src + "/" + name)
    t.run(*run.args("--delete"), rc=0)
    t.same(run.src, run.dst)
    t.no_stage_files(run.dst)


def test_rest_by_delta(t):
    """Of a file that was on its way by delta what had come is kept, and the rest goes on by delta."""
    src, dst = t.dir("src"), t.dir("dst")
    old = bytearray(os.urandom(64 * MIB))
    with open(dst + "/f", "wb") as f:
        f.write(old)
    os.utime(dst + "/f", ns=(10**18, 10**18))
    for at in range(0, len(old), 64 * 1024):
        old[at:at + 8192] = os.urandom(8192)
    with open(src + "/f", "wb") as f:
        f.write(old)
    run = Way(t, "push", "--delta=on", "--streams=1", large=0, small=0)
    p = run.begin(32 * MIB, rate=2 * MIB)
    p.kill()
    p.wait()
    run.seen()
    row = way.Way.finish(run)
    kept, wire = row["resumed_bytes"], row["wire_sent"] + row["wire_received"]
    t.check(16 * MIB <= kept < 64 * MIB, "kept", kept, row)
    t.check(row["delta_files"] == 1 and row["delta_fallbacks"] == 0, "not by delta", row)
    t.check(row["copied_bytes"] > (64 * MIB - kept) // 2, "copied", row)
    t.check(wire < (64 * MIB - kept) // 4 + MIB, "wire", wire, row)


def flipped(t, *always, options=()):
    """A run is killed, and in each stage one byte of what had come first is flipped.  @return how many"""
    run = Way(t, "push", *always)
    run.interrupted(["client"])
    stages = [path for path in hawser_test.stage_files(run.dst) if path.endswith(b".stage")]
    t.check(stages, "no stages")
    for path in stages:
        with open(path, "r+b") as f:
            f.seek(1000)
            byte = f.read(1)
            f.seek(1000)
            f.write(bytes([byte[0] ^ 4]))
    return run, len(stages), t.run(*run.args(*options), rc=0)


def test_verify_resume(t):
    """With --verify-resume what is not what it was is sent again, unit by unit, and said."""
    for digest in ("xxh3", "blake3"):
        run, count, r = flipped(t, "--digest=" + digest, options=["--verify-resume"])
        row = r.summary()
        t.same(run.src, run.dst)
        t.no_stage_files(run.dst)
        said = [line for line in r.out.splitlines() if b"is not what it was" in line]
        t.check(len(said) == count, "said", said, r)
        kept, wire = row["resumed_bytes"], row["wire_sent"] + row["wire_received"]
        t.check(kept > 8 * MIB, "kept", kept, r)
        t.check(wire <= run.bytes - kept + MIB, "wire", wire, "kept", kept)
        t.clean("src", "dst")


def test_verify_resume_good(t):
    """What is as it was is kept."""
    run = Way(t, "pull", "--verify-resume")
    done = run.interrupted(["client"])
    run.finish(done - FLIGHT)


def test_without_verify_resume(t):
    """What was kept is believed, as complete files are: verify finds what somebody did to either."""
    run, _, r = flipped(t)
    t.check(r.summary()["resumed_bytes"] > 0, r)
    r = t.run("verify", run.src + "/", run.server.url())
    t.check(r.rc == 1 and b"content" in r.out + r.err, r)


def test_no_journal(t):
    """Without one nothing is kept, and what an earlier run kept goes."""
    run = small(t)
    r = t.run(*run.args("--no-journal"), rc=0)
    t.check(r.summary()["resumed_bytes"] == 0, r)
    t.same(run.src, run.dst)
    t.no_stage_files(run.dst)
    t.check(not os.path.exists(run.dst + "/" + JOURNAL), os.listdir(run.dst))


def damaged(t, damage):
    run = small(t)
    damage(run.dst + "/" + JOURNAL)
    r = t.run(*run.args(), rc=0)
    t.same(run.src, run.dst)
    t.no_stage_files(run.dst)
    return r, r.summary()


def test_truncated_journal(t):
    r, row = damaged(t, lambda path: os.truncate(path, os.path.getsize(path) // 2 + 17))
    t.check(0 < row["resumed_bytes"], r)


def test_older_version(t):
    def other(path):
        with open(path, "r+b") as f:
            f.seek(8)
            f.write(b"\0")
    r, row = damaged(t, other)
    t.check(row["resumed_bytes"] == 0 and JOURNAL.encode() in r.out, r)


def test_foreign_file(t):
    """Something else has the journal's name: it is replaced, and nothing happens where it leads."""
    beside = t.path("beside")
    with open(beside, "wb") as f:
        f.write(b"precious")

    def link(path):
        os.unlink(path)
        os.symlink(beside, path)
    r, row = damaged(t, link)
    t.check(row["resumed_bytes"] == 0, r)
    with open(beside, "rb") as f:
        t.check(f.read() == b"precious")


def test_hostile_journals(t):
    """Whatever has the journal's name, the run goes well, and nothing else is touched."""
    precious = t.path("precious")

    def fifo(path):
        os.unlink(path)
        os.mkfifo(path)

    def huge(path):
        os.truncate(path, 1 << 40)

    def linked(path):
        os.unlink(path)
        with open(precious, "wb") as f:
            f.write(b"precious")
        os.link(precious, path)

    def poisoned(path):
        with open(path, "r+b") as f:
            f.write(os.urandom(96))

    def others(path):
        os.chown(path, 1000, 1000)

    for damage in [fifo, huge, linked, poisoned] + ([others] if os.getuid() == 0 else []):
        r, row = damaged(t, damage)
        t.check(row["resumed_bytes"] == 0 and JOURNAL.encode() in r.out, damage.__name__, r)
        t.clean("dst")
    with open(precious, "rb") as f:
        t.check(f.read() == b"precious", "a file beside was written to")


def test_replaced_stage(t):
    """A stage that somebody put another file in place of is not written to."""
    run = small(t)
    stages = [path for path in hawser_test.stage_files(run.dst) if path.endswith(b".stage")]
    t.check(stages, "no stages")
    for path in stages:
        os.unlink(path)
        os.link(run.src + "/s0", path)
    before = fault.look(run.src + "/s0")
    row = t.run(*run.args(), rc=0).summary()
    t.check(row["resumed_bytes"] == 0, row)
    t.check(fault.look(run.src + "/s0") == before, "a file outside of the export was written to")
    t.same(run.src, run.dst)


def test_two_sessions_at_once(t):
    """The second one works without a journal, and says so."""
    run = Way(t, "push")
    p = run.begin(1)
    other = t.dir("other")
    tree.Builder(other).random_file("g", 20 * MIB)
    r = t.run("push", "--json", other + "/g", run.server.url(), rc=0)
    t.check(JOURNAL.encode() in r.out and b"busy" in r.out.lower(), r)
    t.check(p.wait().rc == 0, p.read("err"))


if __name__ == "__main__":
    hawser_test.main(globals())
