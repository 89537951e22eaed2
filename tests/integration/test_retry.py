#!/usr/bin/env python3
"""A job that loses its connections, or its server: it is tried again, says so, and ends well."""

import errno
import os
import signal
import socket
import threading
import time

import hawser_test
import proxy
import tree


hawser_test.T.retries = None
TOGETHER = 2


def make(t, name="src", count=40, size=300000):
    src = t.dir(name)
    b = tree.Builder(src)
    for i in range(count):
        b.random_file("f%03d" % i, size + i)
    return src


def cut_once(t, server, way, at):
    """A proxy that cuts all its connections once, when @at bytes have gone @way."""
    fired = []

    def hook(_way, _index, _offset, data):
        if not fired and p.total[way] > at:
            fired.append(1)
            for s in list(p.sockets):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            return None
        return data

    p = t.proxy(server.port, hook=hook)
    return p, fired


def test_all_connections_cut_push(t):
    src, dst = make(t), t.dir("dst")
    server = t.server({"x": dst})
    p, fired = cut_once(t, server, proxy.UP, 5 << 20)
    r = t.run("push", "--json", src + "/", server.url(port=p.port), rc=0, timeout=60)
    t.check(fired, "nothing was cut")
    retries = r.rows("retry")
    t.check(len(retries) == 1 and retries[0]["retry"] == 1 and retries[0]["pause_ns"] >= 0, r)
    t.check(b"trying again in" in r.err, r)
    summary = r.summary()
    t.check(summary["retries"] == 1 and summary["failed"] == 0, summary)
    t.check(summary["files"] + summary["unchanged"] >= 40, summary)
    t.same(src, dst)
    t.no_stage_files(dst)


def test_all_connections_cut_pull(t):
    src, dst = make(t), t.dir("dst")
    server = t.server({"x": src})
    p, fired = cut_once(t, server, proxy.DOWN, 5 << 20)
    r = t.run("pull", "--json", server.url(port=p.port) + b"/", dst, rc=0, timeout=60)
    t.check(fired, "nothing was cut")
    summary = r.summary()
    t.check(summary["retries"] == 1 and summary["files"] == 40, summary)
    t.same(src, dst)
    t.no_stage_files(dst)


def lose_streams(t, server, way, step, limit):
    """A proxy that resets one data connection whenever @step further bytes have gone @way, @limit
    times; the control connection, which is the first, stays."""
    fired = []

    def hook(which, index, _offset, data):
        if which == way and index > 0 and len(fired) < limit and \
                p.total[way] >= step * (len(fired) + 1):
            fired.append(index)
            return None
        return data

    p = t.proxy(server.port, hook=hook)
    return p, fired


def mixed(t, name="src"):
    """Small files, large ones, one with holes."""
    src = t.dir(name)
    b = tree.Builder(src)
    for d in range(5):
        b.directory("d%d" % d)
    for i in range(400):
        b.random_file("d%d/s%03d" % (i % 5, i), 200 * i)
    for i in range(12):
        b.random_file("large%02d" % i, 1500000 + 70001 * i)
    with open(src + "/holes", "wb") as f:
        for at in range(0, 64 << 20, 8 << 20):
            f.seek(at)
            f.write(os.urandom(300000))
        f.truncate(64 << 20)
    return src


def lost_streams(t, direction, *options, step=1500000, limit=8, streams=3, prepare=None):
    src, dst = mixed(t), t.dir("dst")
    server = t.server({"x": dst if direction == "push" else src})
    if prepare:
        t.run("push" if direction == "push" else "pull",
              *([src + "/", server.url()] if direction == "push" else [server.url() + b"/", dst]), rc=0)
        prepare(src)
    p, fired = lose_streams(t, server, proxy.UP if direction == "push" else proxy.DOWN, step, limit)
    words = ("--json", "--streams=%d" % streams, "--retries=0", *options)
    if direction == "push":
        r = t.run("push", *words, src + "/", server.url(port=p.port), timeout=100)
    else:
        r = t.run("pull", *words, server.url(port=p.port) + b"/", dst, timeout=100)
    t.check(r.rc == 0, r)
    summary = r.summary()
    t.check(fired and summary["streams_lost"] >= 1, "nothing was lost:", fired, summary)
    t.check(summary["failed"] == 0 and summary["retries"] == 0, summary)
    t.same(src, dst)
    t.no_stage_files(dst)
    t.check(t.run("verify", "--json", src + "/", server.url(), rc=0).rc == 0
            if direction == "push" else True)


def test_lost_stream_push(t):
    lost_streams(t, "push")


def test_lost_stream_pull(t):
    lost_streams(t, "pull")


def test_lost_stream_only_one(t):
    """The only data connection: nothing moves until it is there again."""
    lost_streams(t, "push", streams=1, limit=5)


def test_lost_stream_small_chunks(t):
    for step in (70000, 333333):
        lost_streams(t, "push", "--chunk=64K", "--depth=2", step=step, limit=20)
        t.clean("src", "dst")


def test_lost_stream_blake3(t):
    lost_streams(t, "push", "--digest=blake3")
    t.clean("src", "dst")
    lost_streams(t, "pull", "--digest=blake3")


def change(src):
    for i in range(12):
        with open(src + "/large%02d" % i, "r+b") as f:
            for at in range(0, 1400000, 90000):
                f.seek(at)
                f.write(os.urandom(20000))


def test_lost_stream_delta(t):
    lost_streams(t, "push", "--delta=on", step=400000, prepare=change)
    t.clean("src", "dst")
    lost_streams(t, "pull", "--delta=on", step=400000, prepare=change)


def test_lost_stream_inplace(t):
    lost_streams(t, "push", "--inplace", "--delta=on", step=400000, prepare=change)
    t.clean("src", "dst")
    lost_streams(t, "push", "--inplace", "--delta=off", step=1500000, prepare=change)


def test_lost_stream_again_and_again(t):
    """Connections are reset over and over: the session goes on as long as they come back."""
    lost_streams(t, "push", "--chunk=64K", step=700000, limit=200)


def huge_file_cut(t, direction):
    """One huge file over a line that is cut again and again: each attempt goes on where the one before was, so
    they are not counted against --retries, though no file is ever done."""
    size, each = 768 << 20, 100 << 20
    src, dst = t.dir("src"), t.dir("dst")
    with open(os.path.join(src, "huge"), "wb") as f:
        block = os.urandom(1 << 20)
        for i in range(size >> 20):
            f.write(i.to_bytes(8, "little") + block[8:])
    server = t.server({"x": dst if direction == "push" else src})
    way = proxy.UP if direction == "push" else proxy.DOWN
    ends = [each]

    def hook(_way, _index, _offset, data):
        if p.total[way] > ends[0]:
            ends[0] = p.total[way] + each
            p.reset()
            return None
        return data

    p = t.proxy(server.port, hook=hook)
    places = ([src + "/", server.url(port=p.port)] if direction == "push" else [server.url(port=p.port) + b"/", dst])
    r = t.run(direction, "--json", "--retries=2", *places, rc=0, timeout=170)
    retries = r.rows("retry")
    t.check(len(retries) > 3, "the line was hardly cut:", r)
    t.check(r.summary()["resumed_bytes"] > 0, r)
    with open(os.path.join(src, "huge"), "rb") as a, open(os.path.join(dst, "huge"), "rb") as b:
        while True:
            x, y = a.read(1 << 20), b.read(1 << 20)
            t.check(x == y, "they differ")
            if not x:
                break


def test_huge_file_cut_push(t):
    huge_file_cut(t, "push")


def test_huge_file_cut_pull(t):
    huge_file_cut(t, "pull")


def test_retries_end(t):
    """A way on which all is reset at the same place: N tries without progress, then exit 3."""
    src, dst = make(t, count=1, size=8 << 20), t.dir("dst")
    server = t.server({"x": dst})

    def hook(way, _index, offset, data):
        if way == proxy.UP and offset + len(data) > 1 << 20:
            p.reset()
            return None
        return data

    p = t.proxy(server.port, hook=hook)
    r = t.run("push", "--streams=1", "--retries=2", src + "/", server.url(port=p.port), rc=3, timeout=60)
    t.check(r.err.count(b"trying again") == 2, r)
    r = t.run("push", "--streams=1", "--retries=0", src + "/", server.url(port=p.port), rc=3, timeout=60)
    t.check(b"trying again" not in r.err, r)


def test_server_killed_and_restarted(t):
    """kill -9 of the server in the middle; a new one on the same port ends the job."""
    src, dst = make(t), t.dir("dst")
    address = t.address()
    server = t.server({"x": dst}, listen=(address,))
    client = t.start("push", "--json", "--bwlimit=20M", "--retries=20", src + "/", server.url())
    t.until(lambda: len([n for n in os.listdir(dst) if not n.startswith(".")]) > 2, 30, "first files")
    server.kill(signal.SIGKILL)
    server.wait()
    time.sleep(0.5)
    t.server({"x": dst}, listen=(address,))
    r = client.wait(60)
    t.check(r.rc == 0, r)
    t.check(r.rows("retry"), r)
    t.same(src, dst)


def test_server_comes_later(t):
    """A server that is not there yet is waited for if --retries says so, and only then."""
    src, dst = make(t, count=2), t.dir("dst")
    address = t.address()
    server = t.server({"x": dst}, listen=(address,))
    server.stop()
    r = t.run("push", src + "/", server.url(), rc=3)
    t.check(b"trying again" not in r.err, r)
    client = t.start("push", "--retries=20", src + "/", server.url())
    t.until(lambda: b"trying again" in client.read("err"), 20, "retry")
    t.server({"x": dst}, listen=(address,))
    r = client.wait(60)
    t.check(r.rc == 0, r)
    t.same(src, dst)


def test_busy_server(t):
    """A server without room for another session: the client waits for its turn."""
    src, dst = make(t, count=20, size=1 << 20), t.dir("dst")
    server = t.server({"x": dst}, args=("--max-sessions=1",))
    first = t.start("push", "--bwlimit=10M", src + "/", server.url(path="a"))
    t.until(lambda: os.path.isdir(dst + "/a"), 20, "first session")
    r = t.run("push", "--retries=0", src + "/", server.url(path="b"), rc=3)
    t.check(b"no room" in r.err, r)
    r = t.run("push", "--retries=20", src + "/", server.url(path="b"), rc=0, timeout=60)
    t.check(b"no room" in r.err and b"trying again" in r.err, r)
    t.check(first.wait(60).rc == 0, "the first one failed")
    t.same(src, dst + "/b")


def test_old_session_is_ended(t):
    """The network goes silent: the server has not noticed when the client comes back, and has room
    for one session only. The job takes over from itself."""
    src, dst = make(t, count=20, size=1 << 20), t.dir("dst")
    server = t.server({"x": dst}, args=("--max-sessions=1",))
    silent = threading.Event()

    def hook(_way, index, _offset, data):
        while silent.is_set() and index < p.before and not p.closing:
            time.sleep(0.05)
        return data

    p = t.proxy(server.port, hook=hook)
    p.before = 1 << 30
    client = t.start("push", "--json", "--timeout=2", "--bwlimit=10M", src + "/", server.url(port=p.port))
    t.until(lambda: p.total[proxy.UP] > 3 << 20, 20, "first bytes")
    p.before = p.count
    silent.set()
    r = client.wait(60)
    t.check(r.rc == 0, r)
    retries = r.rows("retry")
    t.check(len(retries) == 1 and retries[0]["code"] == "TIMEOUT", r)
    t.check(b"its client came back" in server.read("err"), server.read("err")[-2000:])
    t.same(src, dst)


def test_draining_server(t):
    """After SIGTERM a server ends what runs within its bound, and tells who comes to come back."""
    src, dst = make(t, count=30, size=1 << 20), t.dir("dst")
    address = t.address()
    server = t.server({"x": dst}, args=("--drain-timeout=2",), listen=(address,))
    slow = t.start("push", "--json", "--bwlimit=4M", "--retries=20", src + "/", server.url(path="slow"))
    t.until(lambda: os.path.isdir(dst + "/slow"), 20, "first session")
    server.kill(signal.SIGTERM)
    t.until(lambda: b"draining" in server.read("err"), 20, "drain")
    r = t.run("push", "--retries=0", src + "/", server.url(path="late"), rc=3)
    t.check(b"the server is shutting down" in r.err, r)
    late = t.start("push", "--retries=20", src + "/", server.url(path="late"))
    end = server.wait(20)
    t.check(end.rc == 0, end)
    t.server({"x": dst}, listen=(address,))
    for client in (slow, late):
        r = client.wait(60)
        t.check(r.rc == 0 and b"trying again" in r.err, r)
    t.same(src, dst + "/slow")
    t.same(src, dst + "/late")


def test_failures_round_trip(t):
    """What failed is written down; --files-from of the next run sends just that."""
    src, dst, place = make(t, count=6, size=100000), t.dir("dst"), t.dir("place", 0o777)
    odd = ["f000", "f003", "# no comment", "new\nline", " ", "caf\u00e9"]
    for name in odd[2:]:
        with open(src + "/" + name, "w", encoding="utf-8") as f:
            f.write(name * 100)
    for name in odd:
        os.chmod(src + "/" + name, 0)
    server = t.server({"x": dst})
    user = 65534 if tree.is_root() else None
    lines_file, nul_file = place + "/lines", place + "/nul"
    r = t.run("push", "--no-owner", "--failures=" + lines_file, src + "/", server.url(), rc=1, user=user)
    t.check(b"use --from0" in r.err, r)
    t.check(sorted(open(lines_file, encoding="utf-8").read().splitlines()) ==
            sorted(n for n in odd if n not in ("# no comment", "new\nline")), open(lines_file).read())
    t.run("push", "--no-owner", "--from0", "--failures=" + nul_file, src + "/", server.url(), rc=1, user=user)
    t.check(sorted(open(nul_file, "rb").read().decode().split("\0")[:-1]) == sorted(odd),
            open(nul_file, "rb").read())
    for name in odd:
        os.chmod(src + "/" + name, 0o644)
    r = t.run("push", "--json", "--no-owner", "--from0", "--files-from=" + nul_file, "--failures=" + lines_file,
              src + "/", server.url(), rc=0, user=user)
    t.check(r.summary()["files"] == len(odd), r)
    t.check(os.path.getsize(lines_file) == 0, "something failed:", r)
    for name in os.listdir(src):
        t.check(open(src + "/" + name, "rb").read() == open(dst + "/" + name, "rb").read(), name)


def test_failures_not_written(t):
    """A list that cannot be written is an error, told before the summary, whose exit code is that of the run."""
    if not os.path.exists("/dev/full"):
        raise hawser_test.Skip("no /dev/full")
    src, dst = make(t, count=3, size=1000), t.dir("dst")
    os.chmod(src + "/f001", 0)
    server = t.server({"x": dst})
    user = 65534 if tree.is_root() else None
    if user:
        os.chmod(dst, 0o777)
    r = t.run("push", "--json", "--no-owner", "--failures=/dev/full", src + "/", server.url(), rc=1, user=user)
    t.check(len(r.rows("error")) == 2 and r.rows()[-2]["number"] == -errno.ENOSPC, r)
    t.check(r.summary()["exit"] == r.rc, r)
    t.check(b"/dev/full" in r.err, r)


def test_refused_is_final(t):
    """What time does not mend is not tried again."""
    src, dst = make(t, count=1), t.dir("dst")
    server = t.server({"x": (dst, "ro")})
    for path, export in (("", "y"), ("", "x")):
        r = t.run("push", "--retries=5", src + "/", server.url(export, path), rc=3)
        t.check(b"trying again" not in r.err, r)


if __name__ == "__main__":
    hawser_test.main(globals())
