#!/usr/bin/env python3
"""A job that loses its connections, or its server: it is tried again, says so, and ends well."""

import json
import os
import signal
import socket
import threading
import time

import hawser_test
import proxy
import tree


hawser_test.T.retries = None


def make(t, name="src", count=40, size=300000):
    src = t.dir(name)
    b = tree.Builder(src)
    for i in range(count):
        b.random_file("f%03d" % i, size + i)
    return src


def lines(result, kind):
    return [json.loads(line) for line in result.out.splitlines() if b'"type":"%s"' % kind in
            line.replace(b'": "', b'":"')]


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
    retries = lines(r, b"retry")
    t.check(len(retries) == 1 and retries[0]["retry"] == 1 and retries[0]["pause_ns"] >= 0, r)
    t.check(b"trying again in" in r.err, r)
    summary = lines(r, b"summary")[0]
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
    summary = lines(r, b"summary")[0]
    t.check(summary["retries"] == 1 and summary["files"] == 40, summary)
    t.same(src, dst)
    t.no_stage_files(dst)


def test_retries_end(t):
    """A way that is always cut at the same place: N tries without progress, then exit 3."""
    src, dst = make(t, count=1, size=8 << 20), t.dir("dst")
    server = t.server({"x": dst})

    def hook(way, _index, offset, data):
        return None if way == proxy.UP and offset + len(data) > 1 << 20 else data

    p = t.proxy(server.port, hook=hook)
    r = t.run("push", "--streams=1", "--retries=2", src + "/", server.url(port=p.port), rc=3, timeout=60)
    t.check(r.err.count(b"trying again") == 2, r)
    r = t.run("push", "--streams=1", "--retries=0", src + "/", server.url(port=p.port), rc=3, timeout=60)
    t.check(b"trying again" not in r.err, r)


def test_server_killed_and_restarted(t):
    """kill -9 of the server in the middle; a new one on the same port ends the job."""
    src, dst = make(t), t.dir("dst")
    server = t.server({"x": dst})
    port = server.port
    client = t.start("push", "--json", "--bwlimit=20M", "--retries=20", src + "/", server.url())
    t.until(lambda: len([n for n in os.listdir(dst) if not n.startswith(".")]) > 2, 30, "first files")
    server.kill(signal.SIGKILL)
    server.wait()
    time.sleep(0.5)
    t.server({"x": dst}, listen=("127.0.0.1:%d" % port,))
    r = client.wait(60)
    t.check(r.rc == 0, r)
    t.check(lines(r, b"retry"), r)
    t.same(src, dst)


def test_server_comes_later(t):
    """A server that is not there yet is waited for if --retries says so, and only then."""
    src, dst = make(t, count=2), t.dir("dst")
    server = t.server({"x": dst})
    port = server.port
    server.stop()
    r = t.run("push", src + "/", server.url(), rc=3)
    t.check(b"trying again" not in r.err, r)
    client = t.start("push", "--retries=20", src + "/", server.url())
    t.until(lambda: b"trying again" in client.read("err"), 20, "retry")
    t.server({"x": dst}, listen=("127.0.0.1:%d" % port,))
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
    retries = lines(r, b"retry")
    t.check(len(retries) == 1 and retries[0]["code"] == "TIMEOUT", r)
    t.check(b"its client came back" in server.read("err"), server.read("err")[-2000:])
    t.same(src, dst)


def test_refused_is_final(t):
    """What time does not mend is not tried again."""
    src, dst = make(t, count=1), t.dir("dst")
    server = t.server({"x": (dst, "ro")})
    for path, export in (("", "y"), ("", "x")):
        r = t.run("push", "--retries=5", src + "/", server.url(export, path), rc=3)
        t.check(b"trying again" not in r.err, r)


if __name__ == "__main__":
    hawser_test.main(globals())
