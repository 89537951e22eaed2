#!/usr/bin/env python3
"""Signatures made before their turn: used only while they are true, counted, and off where asked."""

import json
import os
import random

import hawser_test
import tree

FILES, SIZE = 300, 256 << 10
DELTAS = ("--delta=on", "--bwlimit=390M")  # whatever the machine is; gaps are found at that pace


def trees(t, files=FILES, size=SIZE):
    """src: new versions; dst: old ones, of another time."""
    generator = random.Random(5)
    src, dst = t.dir("src"), t.dir("dst")
    for i in range(files):
        data = bytearray(generator.randbytes(size))
        name = "f%04d" % i
        with open(os.path.join(dst, name), "wb") as out:
            out.write(data)
        os.utime(os.path.join(dst, name), (10**9, 10**9))
        at = generator.randrange(size - 50)
        data[at:at + 50] = generator.randbytes(50)
        with open(os.path.join(src, name), "wb") as out:
            out.write(data)
    return src, dst


def summary(t, r):
    row = r.summary()
    t.check(row["failed"] == 0, row)
    return row


def logged(result):
    """The server's own figures, from its log."""
    for line in result.err.decode().splitlines():
        row = json.loads(line)
        if row.get("message") == "signatures ahead":
            return row
    return None


def check_sums(t, ahead, files):
    used = ahead["hits"] + ahead["late"] + ahead["stale"]
    t.check(used <= files, "more turns than files", ahead)
    t.check(ahead["used_ns"] <= ahead["gap_ns"], "more used than found", ahead)
    t.check(ahead["step_p999_ns"] > 0 or used == 0, "steps without time", ahead)


def hits(t, direction):
    """Runs until signatures were ready before their turn, five at most: how often there are gaps is the machine's.
    @return the figures of the last, and its server"""
    for _ in range(5):
        src, dst = trees(t)
        server = t.server({"x": dst if direction == "push" else src}, ["--log", "json"])
        places = [src + "/", server.url()] if direction == "push" else [server.url() + b"/", dst]
        row = summary(t, t.run(direction, "--json", *DELTAS, "--ahead=on", *places, rc=0))
        t.same(src, dst)
        check_sums(t, row["ahead"], FILES)
        t.check(row["ahead"]["state"] == "on" and row["ahead"]["stale"] == 0, row["ahead"])
        if row["ahead"]["hits"] > 0:
            return row["ahead"], server
        t.clean("src", "dst")
    t.check(False, "none was ready before its turn:", row["ahead"])


def test_ahead_hits(t):
    ahead, server = hits(t, "push")
    t.check(ahead["ahead_bytes"] + ahead["demand_bytes"] == FILES * SIZE, "all were signed, once", ahead)
    t.check(ahead["wasted_bytes"] == 0, ahead)
    said = logged(server.stop())
    t.check(said is not None, "the server says nothing")
    for key in ("state", "hits", "late", "stale", "ahead_bytes", "demand_bytes", "wasted_bytes"):
        t.check(said[key] == ahead[key], key, "client:", ahead, "server:", said)


def test_ahead_pull(t):
    """The client is the target: the same figures, without a frame."""
    hits(t, "pull")


def test_ahead_off(t):
    src, dst = trees(t, 50)
    server = t.server({"x": dst})
    row = summary(t, t.run("push", "--json", *DELTAS, "--ahead=off", src + "/", server.url(), rc=0))
    t.same(src, dst)
    ahead = row["ahead"]
    t.check(ahead["state"] == "off", ahead)
    t.check(ahead["ahead_bytes"] == ahead["hits"] == ahead["late"] == ahead["used_ns"] == 0, ahead)
    t.check(ahead["demand_bytes"] == 50 * SIZE, ahead)
    row = summary(t, t.run("push", "--json", "--ahead=on", src + "/", server.url(path="fresh"), rc=0))
    t.check(row["ahead"]["state"] == "none" and row["ahead"]["demand_bytes"] == 0, row["ahead"])
    r = t.run("push", "--ahead=perhaps", src, server.url(), rc=2)
    t.says(r, "--ahead=perhaps: must be auto, on or off")


def push_and_change(t, src, dst, *args, size=SIZE):
    """Push while bytes of the old versions change, by descriptors that outlive their names.
    @return the result, and how many changes there were meanwhile"""
    generator, server = random.Random(11), t.server({"x": dst})
    fds = [os.open(os.path.join(dst, name), os.O_RDWR) for name in sorted(os.listdir(dst))]
    process = t.start("push", "--json", *DELTAS, *args, src + "/", server.url())
    during = 0
    try:
        while process.poll() is None:
            os.pwrite(generator.choice(fds), generator.randbytes(16), generator.randrange(size - 16))
            during += 1
    finally:
        for fd in fds:
            os.close(fd)
    r = process.wait(120)
    t.check(r.rc == 0, "push", r)
    t.same(src, dst)  # the oracle: contents, not only digests that were compared on the way
    server.stop()
    return r, during


def test_ahead_never_stale(t):
    """10,000 changes to old versions while their signatures are made and used: every file is right."""
    during = stale = 0
    for _ in range(20):
        src, dst = trees(t)
        r, now = push_and_change(t, src, dst, "--ahead=on")
        ahead = summary(t, r)["ahead"]
        check_sums(t, ahead, FILES)
        t.check(ahead["wasted_bytes"] <= ahead["ahead_bytes"] + FILES * SIZE, ahead)
        during += now
        stale += ahead["stale"]
        if during >= 10000 and stale > 0:
            break
    t.check(during >= 10000, "only", during, "changes were made meanwhile")
    t.check(stale > 0, "nothing was stale")


def test_ahead_turns_itself_off(t):
    """All old versions change all the time: it says that it does not pay."""
    for _ in range(8):
        src, dst = trees(t, 900, 96 << 10)
        r, _ = push_and_change(t, src, dst, size=96 << 10)
        row = summary(t, r)
        if row["ahead"]["state"] not in ("on", "off"):
            t.check(row["ahead"]["state"] in ("stale", "wasted", "no gaps", "quick"), row["ahead"])
            return
    t.check(False, "it never did", row["ahead"])


if __name__ == "__main__":
    hawser_test.main(globals())
