#!/usr/bin/env python3
"""Limits of the machine that are reached: descriptors, locked memory, a cgroup's memory, ports.  An error says
which, a server goes on, memory stays in the plan."""

import os
import resource
import signal
import socket
import subprocess
import time

import fault
import hawser_test
import tree
from hawser_test import Skip

MIB = tree.MIB


def limited(which, value):
    return lambda: resource.setrlimit(which, (value, value))


def source(t, *makers):
    return fault.pair(t, fault.seeded(t, t.name), *makers)[1]


def test_descriptors_of_server(t):
    """Whatever the limit: it does not start and says why, or the transfer ends well or with a name for it."""
    src, works, running = source(t, fault.small_pair), 0, []
    for count in (8, 16, 24, 32, 48, 64, 96, 160):
        dst = t.dir("dst%d" % count)
        server = t.server({"x": dst}, args=["--shards=2", "--handshake-timeout=3"],
                          preexec=limited(resource.RLIMIT_NOFILE, count))
        if server.poll() is not None:
            t.check(server.result().rc == 5, server.result())
            t.says(server.result(), ("file", "descriptor"))
        else:
            running.append((dst, server, t.start("push", src + "/", server.url())))
    for dst, server, p in running:
        r = p.wait(60)
        t.check(r.rc in (0, 1, 3, 5) and (r.rc == 0 or r.err), r)
        t.alive(server)
        if r.rc == 0:
            works += 1
            fault.replica(src, dst)
    t.check(works, "no limit was enough")


def test_connections_take_descriptors(t):
    """Strangers hold every descriptor: when they go, clients are served again."""
    src, dst = source(t, fault.small_pair), t.dir("dst")
    server = t.server({"x": dst}, args=["--shards=2", "--handshake-timeout=2"],
                      preexec=limited(resource.RLIMIT_NOFILE, 128))
    t.run("push", src + "/", server.url(), rc=0)
    held = []
    for _ in range(200):
        try:
            held.append(socket.create_connection(("127.0.0.1", server.port), timeout=1))
        except OSError:
            break
    time.sleep(0.3)
    t.alive(server)
    for s in held:
        s.close()
    t.until(lambda: t.run("push", src + "/", server.url(path="after")).rc == 0, 30, "service")
    fault.replica(src, dst + "/after")


def test_locked_memory(t):
    """A plain user without locked memory: it works without, or says what to raise."""
    if not tree.is_root():
        raise Skip("another user needs root")
    src, dst = source(t, fault.small_pair), t.dir("dst", mode=0o777)

    def become():
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    server = t.server({"x": dst}, preexec=become)
    if server.poll() is not None:
        t.check(server.result().rc == 5, server.result())
        t.says(server.result(), "ulimit -l")
        return
    t.run("push", "--no-owner", src + "/", server.url(path="in"), rc=0)
    t.check({n: v[-1] for n, v in fault.snapshot(src).items()}
            == {n: v[-1] for n, v in fault.snapshot(dst + "/in").items()}, "contents differ")


class Cgroup:
    """A memory cgroup, of version 1 or 2, where processes can be put."""

    def __init__(self, t, size):
        if not tree.is_root():
            raise Skip("a cgroup needs root")
        for base, name in (("/sys/fs/cgroup", "memory.max"),
                           ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")):
            self.path = "%s/hawser-test-%d" % (base, os.getpid())
            try:
                os.mkdir(self.path)
            except OSError:
                continue
            if os.path.exists(self.path + "/" + name):
                break
            os.rmdir(self.path)
        else:
            raise Skip("no memory cgroup can be made")
        self.write(name, size)
        try:
            self.write("memory.swap.max", 0)
        except OSError:
            pass
        self.t = t

    def write(self, name, value):
        with open(self.path + "/" + name, "w", encoding="ascii") as f:
            f.write(str(value))

    def enter(self):
        self.write("cgroup.procs", os.getpid())

    def remove(self):
        self.t.until(self.gone, 20, "end of the cgroup")

    def gone(self):
        try:
            os.rmdir(self.path)
            return True
        except OSError:
            return False


def test_memory_of_a_cgroup(t):
    """A server in a cgroup of 160 MiB with --memory=96M serves; one that is killed for its memory, or does not
    start for lack of it, leaves whole names, and a new one ends the job."""
    rng = fault.seeded(t, t.name)
    old, new = fault.pair(t, rng, fault.small_pair, fault.large_pair)
    versions = [fault.snapshot(x) for x in (old, new)]
    dst = t.path("dst")
    subprocess.run(["cp", "-a", old, dst], check=True)
    fate = None
    for size, memory, must in ((24, "256M", None), (160, "96M", 0)):
        group = Cgroup(t, size * MIB)
        try:
            server = t.server({"x": dst}, args=["--memory=" + memory], preexec=group.enter)
            killed = server.poll()
            if killed is None:
                r = t.run("push", "--delete", "--memory=96M", new + "/", server.url(), rc=must, timeout=60)
                killed = server.poll()
                t.check(must is None or killed is None, "killed within its plan:", server.result())
                t.check(killed is None or r.rc != 0, "killed, and a success?", r)
            t.check(killed in (None, -signal.SIGKILL, 5), server.result())
            fate = killed if must is None else fate
            server.kill()
            server.wait()
        finally:
            group.remove()
        fault.whole(dst, *versions)
    fault.replica(new, dst)
    if fate is None:
        raise Skip("a cgroup of 24 MiB was enough: the memory of this machine is counted otherwise")


def test_ports(t):
    """No port is left for a client: it says so, and ends."""
    if not tree.is_root() or subprocess.run(["unshare", "-n", "true"], check=False).returncode:
        raise Skip("a network namespace needs root")
    src, dst = source(t, fault.small_pair), t.dir("dst")
    script = ("ip link set lo up; echo '61000 61002' >/proc/sys/net/ipv4/ip_local_port_range; "
              "'%s' --listen 127.0.0.1:7440 --export x='%s' >'%s' 2>&1 & s=$!; "
              "for i in $(seq 200); do grep -q ready '%s' && break; sleep 0.05; done; "
              "'%s' push --retries=0 --streams=8 '%s/' hawser://127.0.0.1/x; rc=$?; "
              "echo '61000 62000' >/proc/sys/net/ipv4/ip_local_port_range; "
              "'%s' push '%s/' hawser://127.0.0.1/x; echo first $rc then $?; kill $s; wait $s"
              % (t.hawserd, dst, t.path("log"), t.path("log"), t.hawser, src, t.hawser, src))
    r = subprocess.run(["unshare", "-n", "sh", "-c", script], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=100, check=False)
    text = r.stdout.decode("utf-8", "replace")
    t.check("then 0" in text, text)
    t.check("first 0" in text or "assign requested address" in text.lower(), text)
    fault.replica(src, dst)


if __name__ == "__main__":
    hawser_test.main(globals())
