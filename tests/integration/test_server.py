#!/usr/bin/env python3
"""hawserd: exports, listeners, many clients, signals, configuration, logs, and bad connections."""

import json
import os
import random
import signal
import socket
import threading
import time

import hawser_test
import proxy
import tree


TOGETHER = 3


def make(t, name="src", size=200000):
    src = t.dir(name)
    b = tree.Builder(src, seed=name)
    b.random_file("f", size)
    for i in range(30):
        b.random_file("s%d" % i, i * 100)
    return src


def works(t, server, src, path="check"):
    t.alive(server)
    t.run("push", src + "/", server.url(path=path), rc=0, timeout=60)


def test_several_exports(t):
    src, a, b, ro = make(t), t.dir("a"), t.dir("b"), make(t, "ro")
    server = t.server({"alpha": a, "beta": b, "docs": (ro, "ro")})
    t.run("push", src + "/", server.url("alpha"), rc=0)
    t.run("push", src + "/", server.url("beta", "deep/er"), rc=0)
    t.run("pull", server.url("docs") + b"/", t.path("back"), rc=0)
    t.same(src, a)
    t.same(src, b + "/deep/er")
    t.same(ro, t.path("back"))
    t.says(t.run("push", src + "/", server.url("docs"), rc=3), ("read-only", "read only"))


def test_several_listeners(t):
    src, dst = make(t), t.dir("dst")
    listen = ["127.0.0.1:0", "127.0.0.2:0"]
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        listen.append("[::1]:0")
    except OSError:
        pass
    server = t.server({"x": dst}, listen=listen, ready=len(listen))
    t.check(len(server.addresses) == len(listen), "one ready line for each:", server.result())
    for i, (host, port) in enumerate(server.addresses):
        host = host if ":" not in host or host.startswith("[") else "[%s]" % host
        t.run("push", src + "/", server.url(path="p%d" % i, port=port, host=host), rc=0)
        t.same(src, dst + "/p%d" % i)


def test_many_clients(t):
    dst = t.dir("dst")
    sources = [make(t, "src%d" % i, 3 * tree.MIB + i) for i in range(4)]
    # 24 sessions at once: the default memory is for fewer, and refuses the rest
    server = t.server({"x": dst}, args=["--memory", "3G"])
    started = [t.start("push", sources[i % 4] + "/", server.url(path="c%d" % i)) for i in range(24)]
    for p in started:
        r = p.wait(120)
        t.check(r.rc == 0, r)
    for i in range(24):
        t.same(sources[i % 4], dst + "/c%d" % i)
    pulls = [t.start("pull", server.url(path="c%d/" % i), t.path("back%d" % i)) for i in range(12)]
    for i, p in enumerate(pulls):
        t.check(p.wait(120).rc == 0, p.result())
        t.same(sources[i % 4], t.path("back%d" % i))


def test_same_target_twice_at_once(t):
    """Two pushes to one place: each name ends as one whole version."""
    dst = t.dir("dst")
    a, b = make(t, "a", 8 * tree.MIB), make(t, "b", 8 * tree.MIB)
    server = t.server({"x": dst})
    for _ in range(5):
        started = [t.start("push", s + "/", server.url()) for s in (a, b)]
        for p in started:
            t.check(p.wait().rc in (0, 1), p.result())
        for name in os.listdir(a):
            got = open(dst + "/" + name, "rb").read()
            t.check(got in (open(a + "/" + name, "rb").read(), open(b + "/" + name, "rb").read()),
                    "%s is a mixture" % name)
    t.no_stage_files(dst)


def test_slow_client_stops_nobody(t):
    src, dst = make(t, size=64 * tree.MIB), t.dir("dst")
    server = t.server({"x": dst}, args=["--shards", "1"])
    slow = t.proxy(server.port, rate=1 << 20)
    crawling = t.start("push", src + "/", server.url(path="slow", port=slow.port))
    time.sleep(0.5)
    small = make(t, "small")
    for i in range(5):
        r = t.run("push", small + "/", server.url(path="fast%d" % i), rc=0, timeout=30)
        t.check(r.seconds < 10, "held up by a slow client:", r)
    crawling.kill()
    crawling.wait()


def test_sigterm_drains(t):
    """What runs is finished or says so; nothing half-committed; the port is closed at once."""
    src, dst = make(t, size=24 * tree.MIB), t.dir("dst")
    server = t.server({"x": dst})
    p = t.start("push", "--bwlimit=16M", src + "/", server.url())
    time.sleep(0.5)
    server.kill(signal.SIGTERM)
    r = p.wait(60)
    end = server.wait(60)
    t.check(end.rc == 0, "a drained server exits 0:", end)
    if r.rc == 0:
        t.same(src, dst)
    else:
        t.check(r.rc in (1, 3, 4) and r.err, "the client says what happened:", r)
    for name in os.listdir(dst):
        t.check(name.startswith(".hawser.") or os.path.getsize(dst + "/" + name)
                == os.path.getsize(src + "/" + name), "a part is visible: %s" % name)
    t.no_stage_files(dst)
    t.run("push", src + "/", server.url(), rc=3)


def test_sigterm_idle(t):
    server = t.server({"x": t.dir("dst")})
    r = server.stop(10)
    t.check(r.rc == 0 and r.seconds < 10, r)


def write_config(path, listen, exports, extra=""):
    """The format of hawser.conf(5)."""
    lines = ["# a comment", "[server]", "listen = " + listen, extra]
    for name, (folder, access) in exports.items():
        lines += ["[export %s]" % name, "path = " + folder, "access = " + access]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")


def test_config_file_and_sighup(t):
    src, a, b = make(t), t.dir("a"), t.dir("b")
    config = t.path("hawser.conf")
    write_config(config, "127.0.0.1:0", {"alpha": (a, "rw")})
    server = t.server(args=["--config", config], listen=())
    t.run("push", src + "/", server.url("alpha"), rc=0)
    t.run("push", src + "/", server.url("beta"), rc=3)
    running = t.start("push", "--bwlimit=100K", src + "/", server.url("alpha", "slow"))
    time.sleep(0.3)
    write_config(config, "127.0.0.1:0", {"alpha": (a, "ro"), "beta": (b, "rw")})
    server.kill(signal.SIGHUP)
    t.until(lambda: t.run("push", src + "/", server.url("beta")).rc == 0, what="reload")
    t.run("push", src + "/", server.url("alpha"), rc=3)
    t.check(running.wait().rc == 0, "a reload ends no running transfer:", running.result())
    with open(config, "w", encoding="utf-8") as f:
        f.write("[nonsense\nlisten = = =\n")
    server.kill(signal.SIGHUP)
    time.sleep(0.5)
    t.alive(server)
    t.run("push", src + "/", server.url("beta"), rc=0)  # a broken file changes nothing
    t.check(b"hawser.conf" in server.read("err"), "a broken file is named:", server.result())


def test_config_errors(t):
    for text in ("[server]\nno-such-key = 1\n", "[server]\nlisten = 127.0.0.1:999999\n",
                 "[export a]\naccess = rw\n", "[export a]\npath = /no/such/folder\n",
                 "[export a]\npath = /tmp\naccess = maybe\n", "[bogus]\nx = 1\n"):
        with open(t.path("bad.conf"), "w", encoding="utf-8") as f:
            f.write(text)
        server = t.server(args=["--config", t.path("bad.conf")], timeout=3)
        r = server.result()
        t.check(server.poll() == 2, "exit 2 expected for %r:" % text, r)
        t.says(r, "bad.conf")
    server = t.server(args=["--config", t.path("missing.conf")], timeout=3)
    t.check(server.poll() == 2, server.result())


def test_server_usage_errors(t):
    for args in (["--export", "noequals"], ["--export", "x=/no/such/folder"], ["--nope"],
                 ["--shards", "0"], ["--memory", "1K", "--export", "x=/tmp"], ["--listen", "here"],
                 ["--export", "a/b=/tmp"], ["--export", "x=/tmp", "--export", "x=/usr"]):
        server = t.server(args=args, timeout=5)
        t.check(server.poll() in (2, 5), "must refuse %s:" % args, server.result())
        t.check(server.read("err"), "no message for %s" % args)


def test_port_in_use(t):
    server = t.server({"x": t.dir("dst")})
    second = t.server({"x": t.dir("dst")}, listen=("127.0.0.1:%d" % server.port,), timeout=5)
    t.check(second.poll() not in (None, 0), "two servers on one port:", second.result())
    t.says(second.result(), "in use", str(server.port))


def test_port_in_use_for_a_moment(t):
    """A server that was killed may hold its port a little longer than its process is there."""
    address = t.address()
    port = int(address.split(":")[1])
    holder = socket.create_server(("127.0.0.1", port))
    timer = threading.Timer(0.3, holder.close)
    timer.start()
    server = t.server({"x": t.dir("dst")}, listen=(address,))
    timer.join()
    t.check(server.port == port, "must wait for its port:", server.result())


def test_refuses_other_addresses_without_insecure(t):
    for address in ("0.0.0.0:0", "[::]:0"):
        server = t.server({"x": t.dir("dst")}, listen=(address,), timeout=5)
        t.check(server.poll() == 2, "must refuse %s:" % address, server.result())
        t.says(server.result(), "--insecure", ("authentication", "loopback"))
    server = t.server({"x": t.dir("dst")}, args=["--insecure"], listen=("0.0.0.0:0",))
    t.alive(server)
    t.check(server.port > 0)
    t.says(server.result(), "insecure")


def test_print_plan(t):
    r = hawser_test.Server(t, ["--print-plan", "--export", "x=" + t.dir("d"), "--memory", "128M"],
                           timeout=10)
    t.check(r.poll() == 0, "--print-plan prints and ends:", r.result())
    t.says(r.result(), "total", "shard", ("bytes", "KiB", "MiB"))


ODD = "odd\n\x1b[31m\"'\\ \r\u00e9"


def test_logs_escape_names(t):
    for form in ("text", "json"):
        src, dst = t.dir("src-" + form), t.dir("dst-" + form)
        tree.Builder(src).file(ODD, b"x")
        tree.Builder(src).file(b"\xff\xfe", b"x")
        tree.Builder(dst).directory(ODD)  # not empty: the file cannot take its place
        tree.Builder(dst).file(ODD + "/child", b"x")
        server = t.server({"x": dst}, args=["--log", form])
        t.run("push", src + "/", server.url(path=ODD + "/below"))
        t.run("push", src + "/", server.url(path=ODD))
        t.run("push", src + "/", server.url("no\nsuch\x1bexport"), rc=(2, 3))
        server.stop()
        log = server.read("err")
        t.check(log, "no log")
        t.check(b"\x1b" not in log and b"\r" not in log, "raw control bytes: %r" % log[-500:])
        if form == "json":
            for line in log.splitlines():
                t.check(isinstance(json.loads(line.decode("utf-8")), dict), "no object: %r" % line)


def test_stalled_before_handshake(t):
    """Connections that say nothing, or one byte at a time, are cut; others work meanwhile."""
    src, dst = make(t), t.dir("dst")
    server = t.server({"x": dst}, args=["--memory", "3G", "--handshake-timeout=2"])
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(30)]
    works(t, server, src)
    deadline = time.monotonic() + 20
    drip = socket.create_connection(("127.0.0.1", server.port))
    drip.settimeout(0.5)
    cut = False
    while time.monotonic() < deadline and not cut:
        try:
            drip.send(b"H")
            cut = drip.recv(4096) == b""
        except TimeoutError:
            continue
        except OSError:
            cut = True
    t.check(cut, "a connection that drips was not cut")
    for s in idle:
        s.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            while s.recv(4096):
                pass
        except TimeoutError:
            t.check(False, "an idle connection was not cut")
        except OSError:
            pass
        s.close()
    works(t, server, src)


def test_stalled_after_handshake(t):
    """A client whose network stops in mid transfer is cut by a deadline; others do not notice."""
    src, dst = make(t, size=64 * tree.MIB), t.dir("dst")
    server = t.server({"x": dst}, args=["--idle-timeout=3"])
    wall = t.proxy(server.port)
    p = t.start("push", "--timeout=3", "--bwlimit=8M", src + "/", server.url(path="stalled", port=wall.port))
    t.until(lambda: wall.total[proxy.UP] > 4 << 20, what="transfer")
    wall.passing.clear()
    works(t, server, make(t, "small"))
    r = p.wait(60)
    t.check(r.rc in (1, 3, 4), "the client notices too:", r)
    t.until(lambda: not hawser_test.stage_files(dst), 60, "end of the stage files")
    t.alive(server)


def raw(port, data, linger=0.3):
    """Send bytes, read what comes back until the other side closes or nothing more comes."""
    got = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            s.sendall(data)
            s.settimeout(linger)
            while True:
                more = s.recv(65536)
                if not more:
                    break
                got += more
    except OSError:
        pass
    return got


def record(t, server, src):
    """The bytes that a well-behaved client sends on each of its connections."""
    seen = {}

    def hook(way, index, _offset, data):
        if way == proxy.UP:
            seen.setdefault(index, bytearray()).extend(data)
        return data

    p = t.proxy(server.port, hook=hook)
    t.run("push", "--streams=1", src + "/", server.url(path="recorded", port=p.port), rc=0)
    p.close()
    return [bytes(seen[i]) for i in sorted(seen)]


def test_garbage(t):
    src, dst = make(t), t.dir("dst")
    server = t.server({"x": dst})
    rng = random.Random(7)
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 100000, b"\xff" * 100000,
                 rng.randbytes(10), rng.randbytes(100000), b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
                 b"@RSYNCD: 31.0\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
        raw(server.port, data)
    for i in range(200):
        raw(server.port, rng.randbytes(rng.randrange(1, 2000)), linger=0.01)
    works(t, server, src)


def test_mutated_sessions(t):
    """A recorded session, truncated, with bits flipped, frames doubled, cut out or oversized."""
    src, dst = make(t), t.dir("dst")
    server = t.server({"x": dst})
    streams = record(t, server, src)
    t.check(streams and streams[0], "nothing recorded")
    rng = random.Random(11)
    before = tree.Compare().walk(src.encode(), (dst + "/recorded").encode())
    t.check(not before, before)
    for round_ in range(150):
        data = bytearray(rng.choice(streams)[:300000])
        kind = round_ % 6
        at = rng.randrange(min(len(data), rng.choice((64, 256, 4096, 1 << 20))))
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            end = min(len(data), at + rng.randrange(1, 512))
            data[at:at] = data[at:end]  # replayed
        elif kind == 3:
            del data[at:at + rng.randrange(1, 512)]
        elif kind == 4:
            data[at:at + 8] = b"\xff" * 8  # lengths and counts become huge
        else:
            data = data * 2  # the whole session twice
        raw(server.port, bytes(data), linger=0.02)
    works(t, server, src)
    works(t, server, src, "recorded")
    t.same(src, dst + "/recorded")


def corrupted(t, direction, way):
    """Bits flipped on the way are found: exit 4 (or a repeat that succeeds), never wrong content."""
    src, dst = make(t, size=4 * tree.MIB), t.dir("dst")
    server = t.server({"x": dst if direction == "push" else src})
    count = 0
    for at in (5, 40, 200, 5000, 100000, 1000000, 3000000):
        fired = []

        def hook(which, _index, offset, data, at=at, fired=fired):
            if which == way and not fired and offset <= at < offset + len(data):
                fired.append(1)
                data = bytearray(data)
                data[at - offset] ^= 0x10
                return bytes(data)
            return data

        p = t.proxy(server.port, hook=hook)
        target = dst + "/t%d" % at
        if direction == "push":
            r = t.run("push", src + "/", server.url(path="t%d" % at, port=p.port), timeout=90)
        else:
            r = t.run("pull", server.url(port=p.port) + b"/", target, timeout=90)
        p.close()
        count += len(fired)
        if not fired:
            continue
        if r.rc == 0:
            t.same(src, target)
        else:
            t.check(r.rc in (1, 3, 4), "exit 4 expected:", r)
            t.check(r.err, "no message:", r)
        if os.path.isdir(target):
            for name in os.listdir(target):
                if not name.startswith(".hawser."):
                    same = open(target + "/" + name, "rb").read() == open(src + "/" + name,
                                                                          "rb").read()
                    t.check(same, "wrong content was committed: %s (bit at %d)" % (name, at))
    t.check(count >= 3, "only %d bits were flipped" % count)
    works(t, server, make(t, "small")) if direction == "push" else t.alive(server)


def test_flipped_bits_push_up(t):
    corrupted(t, "push", proxy.UP)


def test_flipped_bits_push_down(t):
    corrupted(t, "push", proxy.DOWN)


def test_flipped_bits_pull_down(t):
    corrupted(t, "pull", proxy.DOWN)


def test_connection_cut(t):
    """Connections cut at any offset: an error that says so, no part, and the server goes on."""
    src, dst = make(t, size=4 * tree.MIB), t.dir("dst")
    server = t.server({"x": dst})
    started = []
    for at in (0, 10, 100, 1000, 50000, 2000000):

        def hook(way, _index, offset, data, at=at):
            return None if way == proxy.UP and offset + len(data) > at else data

        p = t.proxy(server.port, hook=hook)
        started.append((at, t.start("push", src + "/", server.url(path="cut%d" % at, port=p.port))))
    for at, p in started:
        r = p.wait(90)
        t.check(r.rc in (1, 3, 4) and r.err, "cut at %d:" % at, r)
        folder = dst + "/cut%d" % at
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            t.check(name.startswith(".hawser.") or os.path.getsize(folder + "/" + name)
                    == os.path.getsize(src + "/" + name), "a part is visible: %s" % name)
    t.until(lambda: not hawser_test.stage_files(dst), 60, "end of the stage files")
    works(t, server, src)


def test_connection_flood(t):
    """Hundreds of connections at once: bounded memory, and a client still gets in afterwards."""
    src, dst = make(t), t.dir("dst")
    server = t.server({"x": dst})
    works(t, server, src)
    before = hawser_test.memory_peak(server.pid)
    sockets = []

    def dial():
        for _ in range(100):
            try:
                sockets.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
            except OSError:
                pass

    threads = [threading.Thread(target=dial) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    t.alive(server)
    for s in sockets:
        s.close()
    t.until(lambda: t.run("push", src + "/", server.url(path="after")).rc == 0, 60, "service")
    t.check(hawser_test.memory_peak(server.pid) < before + 256 * tree.MIB, "memory grew to %d MiB"
            % (hawser_test.memory_peak(server.pid) >> 20))


if __name__ == "__main__":
    hawser_test.main(globals())
