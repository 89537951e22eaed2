"""Processes and what they cost: wall seconds, CPU seconds, peak memory."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.05


class Unable(Exception):
    """This tool or row cannot run here; the text says why."""


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def read(path, default=""):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return default


def memory_available():
    """Bytes that new pages may take without anything being swapped or killed."""
    return int(read("/proc/meminfo").split("MemAvailable:")[1].split()[0]) * 1024


def first_line(args):
    try:
        done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.stdout.decode("utf-8", "replace").splitlines()[0].strip()
    except (OSError, IndexError):
        return "missing"


def cpu_of(pid):
    """CPU seconds of a process, its threads and the children it has reaped."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            fields = file.read().rsplit(b")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(x) for x in fields[11:15]) / TICK


def memory_of(pid):
    found = re.search(r"VmHWM:\s*(\d+)", read("/proc/%d/status" % pid))
    return int(found.group(1)) * 1024 if found else 0


def descendants(pid):
    found, queue = [], [pid]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += [int(x) for x in read("/proc/%d/task/%d/children" % (pid, pid)).split()]
    return found


class Sampler(threading.Thread):
    """Peak memory of process trees: the sum of the high-water marks of all that ever lived."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids = pids
        self.peak = {}  # root pid -> {pid: bytes}
        self.done = threading.Event()

    def look(self):
        for root in self.pids:
            for pid in descendants(root):
                marks = self.peak.setdefault(root, {})
                marks[pid] = max(marks.get(pid, 0), memory_of(pid))

    def run(self):
        while not self.done.wait(SAMPLE_S):
            self.look()

    def stop(self):
        self.done.set()
        self.join()

    def total(self, root):
        return sum(self.peak.get(root, {}).values())


class Server:
    """A server that lives for a whole row; its costs are differences."""

    def __init__(self, popen, port):
        self.popen, self.pid, self.port = popen, popen.pid, port

    def settled_cpu(self):
        """Wait until its children are reaped and their time has been added."""
        last, still = cpu_of(self.pid), 0
        end = time.monotonic() + 3
        while still < 3 and time.monotonic() < end:
            time.sleep(0.02)
            now = cpu_of(self.pid)
            still = still + 1 if now == last and len(descendants(self.pid)) == 1 else 0
            last = now
        return last

    def stop(self):
        end(self.popen)


def end(popen):
    """Ask it to stop; insist after ten seconds."""
    if popen.poll() is None:
        popen.send_signal(signal.SIGTERM)
    try:
        popen.wait(10)
    except subprocess.TimeoutExpired:
        popen.kill()
        popen.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, popen):
    limit = time.monotonic() + 10
    while time.monotonic() < limit and popen.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise Unable("the server does not answer on port %d" % port)


def line_of(popen, path, pattern, timeout_s=20):
    """Wait for what a program prints into the file at `path` when it is ready."""
    limit = time.monotonic() + timeout_s
    while time.monotonic() < limit:
        with open(path, "rb") as file:
            found = re.search(pattern, file.read())
        if found:
            return found
        if popen.poll() is not None:
            break
        time.sleep(0.005)
    raise Unable("%s does not become ready" % os.path.basename(popen.args[0]))


class Job:
    """The processes of one run: those that were started before the clock (listeners), and those that it times."""

    def __init__(self, commands, listeners=(), after=()):
        """`commands`: pairs of arguments and further Popen keywords; `after`: run last, alone, inside the time."""
        self.commands, self.listeners, self.after = commands, list(listeners), after
        self.started, self.span = [], None  # what ran, and from when to when on the monotonic clock

    def run(self, log):
        """Wall seconds, CPU seconds and peak memory of all of them."""
        sampler = Sampler([p.pid for p in self.listeners])
        sampler.start()
        # A child inherits the memory mark of the process that started it, which is ours.
        self.marks, self.cpu, self.bad, ours = {}, 0.0, [], memory_of(os.getpid())
        started = self.started = list(self.listeners)
        try:
            begin = time.perf_counter()
            started += [subprocess.Popen(args, stderr=log, **more) for args, more in self.commands]
            for _, more in self.commands:  # our ends of the pipes, or no reader ever sees the end
                for stream in ("stdin", "stdout"):
                    if hasattr(more.get(stream), "close"):
                        more[stream].close()
            sampler.pids = [p.pid for p in started]
            for popen in started:
                self.reap(popen, ours)
            for args in self.after:
                started.append(subprocess.Popen(args, stderr=log))
                self.reap(started[-1], ours)
            wall = time.perf_counter() - begin
            self.span = (begin, begin + wall)
        finally:
            for popen in started:
                if popen.returncode is None:
                    popen.kill()
                    popen.wait()
            sampler.stop()
        if self.bad:
            raise Unable("%s: %s" % ("; ".join(self.bad), tail(log)))
        for sampled in sampler.peak.values():
            for pid, size in sampled.items():
                self.marks[pid] = max(self.marks.get(pid, 0), size)
        return wall, self.cpu, sum(self.marks.values())

    def reap(self, popen, ours):
        _, status, usage = os.wait4(popen.pid, 0)
        popen.returncode = os.waitstatus_to_exitcode(status)
        self.cpu += usage.ru_utime + usage.ru_stime
        if usage.ru_maxrss * 1024 > ours:
            self.marks[popen.pid] = usage.ru_maxrss * 1024
        if popen.returncode:
            self.bad.append("%s exited %d" % (os.path.basename(str(popen.args[0])), popen.returncode))


def tail(log):
    log.flush()
    with open(log.name, "rb") as file:
        return file.read()[-600:].decode("utf-8", "replace").strip()


def command_cost(args, log):
    """Wall and CPU seconds of one short command, with as little of ours in it as there can be."""
    actions = [(os.POSIX_SPAWN_DUP2, log.fileno(), 1), (os.POSIX_SPAWN_DUP2, log.fileno(), 2)]
    begin = time.perf_counter()
    pid = os.posix_spawnp(args[0], args, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - begin
    if status:
        raise Unable("%s exited %d: %s" % (args[0], os.waitstatus_to_exitcode(status), tail(log)))
    return wall, usage.ru_utime + usage.ru_stime
