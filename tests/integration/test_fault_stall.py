#!/usr/bin/env python3
"""Ways that carry nothing any more, and peers that are stopped: both sides notice within the bound
that they were given, say what is stalled, and the job ends well. What is slow is left alone."""

import os
import signal
import threading
import time

import fault
import hawser_test
import proxy

hawser_test.T.retries = None


def stall(t, direction, way, which):
    """Bytes of some connections stay where they are, one way only, from some moment on; new connections
    are well. Both sides can tell, within the bound of each; the client's is the shorter one."""
    stalled = threading.Event()

    def hook(on, index, _offset, data):
        if on == way and not stalled.is_set() and job.proxy.total[fault.WAY[direction]] > job.at:
            job.before = job.proxy.count
            job.since = time.monotonic()
            stalled.set()
        while on == way and stalled.is_set() and index < job.before and index in which and not job.proxy.closing:
            time.sleep(0.05)
        return data

    job = fault.Job(t, direction, hook=hook)
    job.at = job.rng.randrange(1 << 20, 4 << 20)
    p = job.start("--timeout=2", "--retries=5", "--streams=3", "--bwlimit=6M")  # 5 s at least
    t.until(lambda: stalled.is_set() and job.proxy.count > job.before or p.poll() is not None, 30, "a new connection")
    noticed = time.monotonic() - job.since
    r = p.wait(60)
    # 2 s, half a second from one look to the next; then the old session has a second to go, and the
    # new one waits for up to a second; and the machine may be busy.
    t.check(noticed < 8, "noticed after %.1f s:" % noticed, r)
    t.check(fault.lines(r, "stall"), "a stall without a name:", r)
    t.says(r, "no byte", "waiting for 127.0.0.1")
    if 0 not in which:
        t.check(not fault.lines(r, "retry"), "the session ended:", r)
        t.check(fault.lines(r, "summary")[0]["streams_lost"] >= 1, "no connection was given up:", r)
        t.says(r, "(stream ")
    else:
        t.check(fault.lines(r, "retry"), "the session went on:", r)
    job.ended(r)
    print("# noticed after %.1f s" % noticed, flush=True)


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
    job = fault.Job(t, direction)
    p = job.start("--timeout=2", "--retries=5", "--bwlimit=6M")
    t.until(lambda: job.proxy.total[fault.WAY[direction]] > 2 << 20, 30, "bytes")
    pid = p.pid if who == "client" else job.server.pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(5)
    os.kill(pid, signal.SIGCONT)
    r = p.wait(60)
    t.check(fault.lines(r, "retry"), "nobody noticed:", r)
    if who == "server":
        t.check(fault.lines(r, "stall"), "a stall without a name:", r)
    job.ended(r)


def test_stopped_server_push(t):
    stopped(t, "push", "server")


def test_stopped_server_pull(t):
    stopped(t, "pull", "server")


def test_stopped_client_push(t):
    stopped(t, "push", "client")


def slow(t, direction):
    """A line of two kilobytes a second is no stall, whatever it carries."""
    def makers(rng, a, b):
        fault.large_pair(rng, a, b, sizes=(5000, 900, 800))

    job = fault.Job(t, direction, [makers], piece=128, pause=0.05)
    r = job.start("--timeout=1", "--retries=0").wait(90)
    t.check(r.seconds > 5, "that was not slow:", r)
    t.check(fault.lines(r, "summary")[0]["streams_lost"] == 0, "a living connection was given up:", r)
    job.ended(r)


def test_slow_push(t):
    slow(t, "push")


def test_slow_pull(t):
    slow(t, "pull")


if __name__ == "__main__":
    hawser_test.main(globals())
