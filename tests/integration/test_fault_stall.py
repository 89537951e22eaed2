#!/usr/bin/env python3
"""Ways that carry nothing any more, and peers that are stopped: both sides notice within the bound
that they were given, say what is stalled, and the job ends well. What is slow is left alone."""

import itertools
import os
import shutil
import signal
import subprocess
import threading
import time

import fault
import hawser_test
import proxy
import tree
from hawser_test import Skip

hawser_test.T.retries = None
TOGETHER = 4  # they wait for deadlines
CRAWL = 0.4  # seconds that a piece of content takes, of up to 256 KiB


class Crawl:
    """A job whose content crawls from some byte on, so that it does not end before what the test is about. That
    begins when all data connections are past their handshakes."""

    STREAMS = 3
    HANDSHAKE = 2  # what a server says in it: HELLO_ACK, JOIN_ACK; what comes next is a beat, or content

    def __init__(self, t, direction, hook=None):
        self.begun, self.over, self.hook = threading.Event(), threading.Event(), hook
        self.way, self.said = fault.WAY[direction], {}
        self.job = fault.Job(t, direction, hook=self.pass_on)
        self.at = self.job.rng.randrange(1 << 20, 4 << 20)

    def start(self, *args):
        return self.job.start("--timeout=2", "--streams=%d" % self.STREAMS, *args)

    def pass_on(self, way, index, _offset, data):
        late = self.job.proxy.total[self.way] > self.at
        if way == proxy.DOWN and index > 0:
            self.said[index] = self.said.get(index, 0) + 1
        joined = sum(said > self.HANDSHAKE for said in list(self.said.values()))
        if late and joined >= self.STREAMS and not self.begun.is_set():
            self.before, self.since = self.job.proxy.count, time.monotonic()
            self.begun.set()
        if self.hook and self.begun.is_set():
            self.hook(way, index)
        if late and way == self.way and index > 0 and not self.over.is_set():
            self.over.wait(CRAWL)
        return data


def stall(t, direction, way, which):
    """Bytes of some connections stay where they are, one way only, from some moment on; new connections
    are well. Both sides can tell, within the bound of each; the client's is the shorter one."""
    def hook(on, index):
        while on == way and index < crawl.before and index in which and not job.proxy.closing:
            time.sleep(0.05)

    crawl = Crawl(t, direction, hook)
    job = crawl.job
    p = crawl.start("--retries=5")
    t.until(lambda: crawl.begun.is_set() and job.proxy.count > crawl.before or p.poll() is not None, 30,
            "a new connection")
    t.check(crawl.begun.is_set(), "it was over before anything stalled:", p.result())
    noticed = time.monotonic() - crawl.since
    crawl.over.set()
    r = p.wait(60)
    # 2 s, half a second from one look to the next; then the old session has a second to go, and the
    # new one waits for up to a second; and the machine may be busy.
    t.check(noticed < 8, "noticed after %.1f s:" % noticed, r)
    if 0 not in which:
        t.check(not r.rows("retry"), "the session ended:", r)
        t.check(r.summary()["streams_lost"] >= 1, "no connection was given up:", r)
    else:
        t.check(r.rows("retry"), "the session went on:", r)
    # A client that pulls may not be told: its server's beats wait while it sends. Then the server notices.
    if (direction, way, which) != ("pull", proxy.UP, STREAM) or r.rows("stall"):
        t.check(r.rows("stall"), "a stall without a name:", r)
        t.says(r, "no byte", "waiting for 127.0.0.1", "(" if 0 in which else "(stream ")
    job.ended(r)
    t.say("noticed after %.1f s" % noticed)


ALL, CONTROL, STREAM, STREAMS = range(4), [0], [2], [1, 2, 3]  # the control connection comes first


def test_stall_all_up_push(t):
    stall(t, "push", proxy.UP, ALL)


def test_stall_all_down_push(t):
    stall(t, "push", proxy.DOWN, ALL)


def test_stall_all_up_pull(t):
    stall(t, "pull", proxy.UP, ALL)


def test_stall_all_down_pull(t):
    stall(t, "pull", proxy.DOWN, ALL)


def test_stall_control_up_push(t):
    stall(t, "push", proxy.UP, CONTROL)


def test_stall_control_down_push(t):
    stall(t, "push", proxy.DOWN, CONTROL)


def test_stall_control_up_pull(t):
    stall(t, "pull", proxy.UP, CONTROL)


def test_stall_stream_up_push(t):
    stall(t, "push", proxy.UP, STREAM)


def test_stall_stream_down_push(t):
    stall(t, "push", proxy.DOWN, STREAM)


def test_stall_stream_up_pull(t):
    stall(t, "pull", proxy.UP, STREAM)


def test_stall_stream_down_pull(t):
    stall(t, "pull", proxy.DOWN, STREAM)


def test_stall_streams_up_push(t):
    stall(t, "push", proxy.UP, STREAMS)


def test_stall_streams_down_pull(t):
    stall(t, "pull", proxy.DOWN, STREAMS)


def stopped(t, direction, who):
    """A program that is stopped, whose kernel goes on to acknowledge for it; then it goes on."""
    crawl = Crawl(t, direction)
    job = crawl.job
    p = crawl.start("--retries=9")
    t.until(crawl.begun.is_set, 30, "bytes")
    pid = p.pid if who == "client" else job.server.pid
    os.kill(pid, signal.SIGSTOP)
    if who == "server":
        t.until(lambda: p.rows("stall") and p.rows("retry"), 20, "word of the client")
    else:
        t.until(lambda: b"no byte" in job.server.read("err"), 20, "word of the server")
    os.kill(pid, signal.SIGCONT)
    crawl.over.set()
    r = p.wait(60)
    t.check(r.rows("retry"), "nobody noticed:", r)
    job.ended(r)


def test_stopped_server_push(t):
    stopped(t, "push", "server")


def test_stopped_server_pull(t):
    stopped(t, "pull", "server")


def test_stopped_client_push(t):
    stopped(t, "push", "client")


def bench(t, way):
    """A benchmark has no other connection to go on with: it ends, and says what it waited for."""
    carries, stalled = threading.Event(), threading.Event()

    def hook(on, index, offset, data):
        if on == proxy.UP and index == 2 and offset > 8 << 20:
            carries.set()
        if on == way and index == 2 and carries.is_set():
            stalled.set()
            while not p.closing:
                time.sleep(0.05)
        return data

    server = t.server(args=["--bench"])
    p = t.proxy(server.port, hook=hook)
    r = t.run("bench", "net", "--timeout=2", "--time=20", "--streams=3", "hawser://127.0.0.1:%d" % p.port, timeout=60)
    t.check(stalled.is_set() and r.rc == 3, r)
    t.check(r.seconds < 8, "noticed late:", r)
    # Either side may be the first: the other one says that it was closed.
    words = r.out + r.err + server.read("err")
    t.check(b"no byte" in words and b"(stream " in words, r)


def test_bench_up(t):
    bench(t, proxy.UP)


def test_bench_down(t):
    bench(t, proxy.DOWN)


class Wire:
    """A server behind a link of its own, on which packets of either way are lost: they are sent to a station
    that does not exist. The kernels are ours, so nothing acknowledges for anybody."""

    numbers = itertools.count()

    def __init__(self, t, exports):
        if not tree.is_root() or not shutil.which("ip") or not shutil.which("nsenter"):
            raise Skip("a network namespace needs root, ip and nsenter")
        number = next(Wire.numbers)
        self.name = "hw%dx%d" % (os.getpid(), number)
        net = "10.%d.%d." % (98 + number % 8, os.getpid() % 250)
        self.here, self.there = net + "1", net + "2"
        t.ends.append(self.close)
        fault.command("ip", "netns", "add", self.name)
        self.ip("link", "add", self.name + "a", "type", "veth", "peer", "name", self.name + "b")
        self.ip("link", "set", self.name + "b", "netns", self.name)
        for name, address, inside in (("a", self.here, ()), ("b", self.there, ("-n", self.name))):
            self.ip(*inside, "addr", "add", address + "/24", "dev", self.name + name)
            self.ip(*inside, "link", "set", self.name + name, "up")
        self.server = t.server(exports, args=["--idle-timeout=3", "--insecure"], listen=(self.there + ":0",),
                               prefix=("nsenter", "--net=/run/netns/" + self.name, "--"))

    def ip(self, *args):
        fault.command("ip", *args)

    def lose(self, way, what="replace"):
        nobody = ("lladdr", "02:00:00:00:00:99", "nud", "permanent") if what == "replace" else ()
        if way == proxy.UP:
            self.ip("neigh", what, self.there, "dev", self.name + "a", *nobody)
        else:
            self.ip("-n", self.name, "neigh", what, self.here, "dev", self.name + "b", *nobody)

    def close(self):
        subprocess.run(["ip", "link", "del", self.name + "a"], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["ip", "netns", "del", self.name], stderr=subprocess.DEVNULL, check=False)


def packets(t, direction, way):
    """Packets of one way are lost from some moment on, until both sides have noticed."""
    src, dst = t.dir("src"), t.dir("dst")
    for i in range(20):
        tree.Builder(src).random_file("f%d" % i, 1 << 20)
    wire = Wire(t, {"x": dst if direction == "push" else src})
    url = wire.server.url(host=wire.there)
    places = [src + "/", url] if direction == "push" else [url + b"/", dst]
    p = t.start(direction, "--json", "--timeout=2", "--retries=9", "--bwlimit=8M", *places)
    t.until(lambda: any(row["bytes_done"] > 2 << 20 for row in p.rows("progress")), 20, "bytes")
    wire.lose(way)
    begin = time.monotonic()
    t.until(lambda: p.rows("retry") or p.poll() is not None, 20, "retry")
    noticed = time.monotonic() - begin
    t.until(lambda: b"no byte" in wire.server.read("err"), 20, "word of the server")
    wire.lose(way, "del")
    r = p.wait(60)
    t.check(r.rc == 0, r)
    # A client whose bytes do not arrive hears it from the server, whose last words come; else it knows by itself.
    t.check(noticed < 7, "noticed after %.1f s:" % noticed, r)
    t.says(r, "no byte")
    fault.replica(src, dst)
    t.say("noticed after %.1f s" % noticed)


def test_packets_up_push(t):
    packets(t, "push", proxy.UP)


def test_packets_down_push(t):
    packets(t, "push", proxy.DOWN)


def test_packets_down_pull(t):
    packets(t, "pull", proxy.DOWN)


def slow(t, direction):
    """A line of two kilobytes a second is no stall, whatever it carries."""
    def makers(rng, a, b):
        fault.large_pair(rng, a, b, sizes=(900, 800))

    job = fault.Job(t, direction, [makers], piece=128, pause=0.05)
    r = job.start("--timeout=2", "--retries=0").wait(90)
    t.check(r.seconds > 3, "that was not slow:", r)
    t.check(r.summary()["streams_lost"] == 0, "a living connection was given up:", r)
    job.ended(r)


def test_slow_push(t):
    slow(t, "push")


def test_slow_pull(t):
    slow(t, "pull")


if __name__ == "__main__":
    hawser_test.main(globals())
