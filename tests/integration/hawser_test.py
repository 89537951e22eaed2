"""Small harness for tests with real processes: no packages needed, one TAP line per test.

A test file defines functions test_*(t) and ends with hawser_test.main(globals()).  Each function
gets a fresh T: scratch folders, servers, clients, proxies, checks.  Whatever happens, T.close()
ends the processes this file started, and only those, and removes what it made.

A file whose tests mostly wait may say TOGETHER = N: so many of them run at once.
"""

import argparse
import concurrent.futures
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import judge  # noqa: E402
import proxy  # noqa: E402
import tree  # noqa: E402

READY = re.compile(rb"hawserd: ready on (\S+):(\d+)")
RETRIED = ("push", "pull", "verify", "digest", "ls", "stat")  # take --retries
LIVE = []  # every T that is open: for the signal handler and the last-resort clean-up


class Skip(Exception):
    """Raised by a test that cannot run here; the text says why."""


class Failure(Exception):
    pass


def rows(out, kind=None):
    """The lines of --json as objects, of one type or all.  What a process that was killed had begun is none."""
    found = [json.loads(line) for line in out.split(b"\n")[:-1]]
    return [row for row in found if kind in (None, row.get("type"))]


def ends(text, first=300, last=1200):
    """What a person reads of a long output: its beginning, and how it ended."""
    text = text.decode("utf-8", "replace")
    if len(text) <= first + last:
        return text
    return "%s\n  ... %d characters ...\n%s" % (text[:first], len(text) - first - last, text[-last:])


class Result:
    def __init__(self, args, rc, out, err, seconds, memory):
        self.args, self.rc, self.out, self.err = args, rc, out, err
        self.seconds, self.memory = seconds, memory  # memory: peak in bytes

    @property
    def text(self):
        return (self.out + b"\n" + self.err).decode("utf-8", "replace")

    def __str__(self):
        args = " ".join(repr(a)[1:-1] if len(a) < 150 else "..." for a in map(os.fsdecode, self.args))
        return "%s\n  exit %s after %.2f s\n  stdout: %s\n  stderr: %s" % (
            args, self.rc, self.seconds, ends(self.out), ends(self.err))

    def rows(self, kind=None):
        return rows(self.out, kind)

    def summary(self):
        """The last line of a transfer with --json."""
        found = self.rows()
        if not found or found[-1]["type"] != "summary":
            raise Failure("no summary at the end: %s" % self)
        return found[-1]


def memory_peak(pid):
    """VmHWM in bytes, 0 if it is gone."""
    try:
        with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as f:
            for line in f:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class Process:
    """A child with its output in files: nothing to drain, nothing to deadlock on."""

    def __init__(self, args, folder, env=None, preexec=None, cwd=None):
        self.args = args
        self.out = tempfile.TemporaryFile(dir=folder)
        self.err = tempfile.TemporaryFile(dir=folder)
        self.start = time.monotonic()
        self.rc = None
        self.memory = 0
        self.popen = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self.out,
                                      stderr=self.err, env=env, preexec_fn=preexec, cwd=cwd,
                                      start_new_session=True)
        self.pid = self.popen.pid

    def poll(self):
        if self.rc is None:
            self.memory = max(self.memory, memory_peak(self.pid))
            pid, status, rusage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.rc = os.waitstatus_to_exitcode(status)
                self.popen.returncode = self.rc
                # A child inherits the mark of the process that started it, so the kernel's last
                # word counts only where it is larger than ours.
                if rusage.ru_maxrss * 1024 > memory_peak(os.getpid()):
                    self.memory = max(self.memory, rusage.ru_maxrss * 1024)
        return self.rc

    def kill(self, sig=signal.SIGKILL):
        if self.poll() is None:
            os.kill(self.pid, sig)

    def read(self, which):
        f = {"out": self.out, "err": self.err}[which]
        return os.pread(f.fileno(), 64 << 20, 0)

    def rows(self, kind=None):
        return rows(self.read("out"), kind)

    def wait(self, timeout=120):
        end = time.monotonic() + timeout
        pause = 0.001
        while self.poll() is None:
            if time.monotonic() > end:
                stacks = self.where()
                self.kill()
                while self.poll() is None:
                    time.sleep(0.01)
                raise Failure("no end after %d s (%s): %s" % (timeout, stacks, self.result()))
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)
        return self.result()

    def where(self):
        """What the kernel says the threads wait for: the first thing to know about a hang."""
        found = []
        try:
            for tid in os.listdir("/proc/%d/task" % self.pid):
                with open("/proc/%d/task/%s/wchan" % (self.pid, tid)) as f:
                    found.append(f.read())
        except OSError:
            pass
        return ",".join(found)

    def result(self):
        return Result(self.args, self.rc, self.read("out"), self.read("err"),
                      time.monotonic() - self.start, self.memory)


class Server(Process):
    def __init__(self, t, args, ready=1, timeout=20, preexec=None, prefix=()):
        """@prefix: a command that executes what follows it, such as nsenter."""
        command = [*prefix, t.hawserd, *args]
        if shutil.which("setpriv"):
            # exec keeps the process id; the server never outlives a test that is killed.
            command = ["setpriv", "--pdeathsig", "KILL", "--", *command]
        super().__init__(command, t.folder, env=t.env, preexec=preexec)
        self.addresses = []
        end = time.monotonic() + timeout
        while time.monotonic() < end and len(self.addresses) < ready:
            self.addresses = [(h.decode(), int(p)) for h, p in READY.findall(self.read("out"))]
            if self.poll() is not None:
                return
            time.sleep(0.005)

    @property
    def port(self):
        if not self.addresses:
            raise Failure("server is not ready: %s" % self.result())
        return self.addresses[0][1]

    def url(self, export="x", path="", port=None, host="127.0.0.1"):
        return b"hawser://%s:%d/%s%s" % (host.encode(), port or self.port, os.fsencode(export),
                                         b"/" + os.fsencode(path) if path != "" else b"")

    def stop(self, timeout=20):
        self.kill(signal.SIGTERM)
        return self.wait(timeout)


class T:
    """What one test function works with."""

    retries = "0"  # one attempt is what most tests look at; None: as users have it

    def __init__(self, options, name):
        self.options, self.name = options, name
        self.hawser, self.hawserd = options.hawser, options.hawserd
        self.env = dict(os.environ, LC_ALL="C.UTF-8", TZ="UTC")
        self.folder = tempfile.mkdtemp(prefix="hawser-%s-" % name[:30], dir=options.scratch)
        os.chmod(self.folder, 0o755)
        runtime = tempfile.mkdtemp(prefix="hawser-run-")  # sockets of killed jobs go with it
        self.env["XDG_RUNTIME_DIR"] = runtime
        self.processes, self.proxies, self.mounts = [], [], []
        self.folders = [self.folder, runtime]
        self.ends = []  # what else close() has to call, after the processes' end
        LIVE.append(self)

    # -- places

    def path(self, name):
        return os.path.join(self.folder, name)

    def dir(self, name, mode=0o755):
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        return path

    def clean(self, *names):
        """Empty scratch folders, for another go."""
        for name in names:
            tree.remove(self.path(name))

    def disk_folder(self):
        """A scratch folder on a real disk, for what tmpfs does differently."""
        folder = tempfile.mkdtemp(prefix="hawser-disk-", dir=self.options.disk)
        self.folders.append(folder)
        return folder

    def tmpfs(self, name, size):
        if not tree.is_root():
            raise Skip("a mount of its own needs root")
        path = self.dir(name)
        r = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % size, "hawser-test", path],
                           stderr=subprocess.PIPE, check=False)
        if r.returncode:
            raise Skip("mount tmpfs: %s" % r.stderr.decode())
        self.mounts.append(path)
        return path

    # -- processes

    @staticmethod
    def address():
        """To listen at, again after a server's end: no connection of anybody's takes its port meanwhile, because
        it is below those that the kernel gives away."""
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
            end = int(f.read().split()[0])
        while True:
            port = random.randrange(min(end, 10000), end)
            try:
                socket.create_server(("127.0.0.1", port)).close()
                return "127.0.0.1:%d" % port
            except OSError:
                pass

    def server(self, exports=None, args=(), ready=1, listen=("127.0.0.1:0",), **kw):
        """@exports: {name: path or (path, 'ro'|'rw')}"""
        command = []
        for address in listen:
            command += ["--listen", address]
        for name, path in (exports or {}).items():
            path, rights = path if isinstance(path, tuple) else (path, "rw")
            command += ["--export", "%s=%s:%s" % (name, path, rights)]
        s = Server(self, command + list(args), ready=ready, **kw)
        self.processes.append(s)
        return s

    def start(self, *args, user=None, cwd=None, env=None, prefix=()):
        """Start hawser, by the command @prefix if there is one; the caller waits."""
        if self.retries is not None and args[:1] and args[0] in RETRIED and \
                not any(str(a).startswith("--retries") for a in args):
            args = (args[0], "--retries=" + self.retries, *args[1:])
        command = [os.fsencode(self.hawser), *[os.fsencode(str(a) if isinstance(a, int) else a)
                                               for a in args]]
        if user:
            command = [b"setpriv", b"--reuid=%d" % user, b"--regid=%d" % user, b"--clear-groups",
                       b"--", *command]
        p = Process([*prefix, *command], self.folder, env=env or self.env, cwd=cwd)
        self.processes.append(p)
        return p

    def run(self, *args, rc=None, timeout=120, **kw):
        """Run hawser to its end; @rc: the exit code (or codes) it must have."""
        p = self.start(*args, **kw)
        result = p.wait(timeout)
        self.processes.remove(p)
        if rc is not None and result.rc not in (rc if isinstance(rc, tuple) else (rc,)):
            raise Failure("expected exit %s: %s" % (rc, result))
        return result

    def proxy(self, port, **kw):
        p = proxy.Proxy(port, **kw)
        self.proxies.append(p)
        return p

    # -- checks

    def say(self, text):
        """A line for the log; one write, so that tests that run at once do not mix."""
        sys.stdout.write("# %s: %s\n" % (self.name, text))
        sys.stdout.flush()

    def check(self, ok, *what):
        if not ok:
            raise Failure(" ".join(str(x) for x in what) or "check failed")

    def same(self, a, b, full=False, **kw):
        found = judge.all_of(a, b, **kw) if full else tree.compare(a, b, **kw)
        if found:
            raise Failure("%s and %s differ:\n    %s" % (
                os.fsdecode(a), os.fsdecode(b), "\n    ".join(x[:300] for x in found[:15])))

    def says(self, result, *words):
        """Every word (or one of a tuple of words) is in the output, whatever its case."""
        text = result.text.lower()
        for word in words:
            options = word if isinstance(word, tuple) else (word,)
            self.check(any(o.lower() in text for o in options),
                       "output says nothing of %r:" % (word,), result)

    def no_stage_files(self, root):
        self.check(not stage_files(root), "stage files remain:", stage_files(root)[:5])

    def alive(self, server):
        self.check(server.poll() is None, "server died:", server.result())

    def until(self, condition, timeout=20, what="condition"):
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise Failure("no %s within %d s" % (what, timeout))
            time.sleep(0.01)

    def close(self):
        if self in LIVE:
            LIVE.remove(self)
        for p in self.proxies:
            p.close()
        for p in self.processes:
            try:
                if p.poll() is None:
                    p.kill(signal.SIGKILL)
                    p.wait(10)
            except (OSError, Failure):
                pass
        for end in self.ends:
            end()
        for path in self.mounts:
            for _ in range(50):  # the kernel ends a ring after its process: "busy" for a while
                if subprocess.run(["umount", path], stderr=subprocess.DEVNULL,
                                  check=False).returncode == 0:
                    break
                time.sleep(0.1)
        if not self.options.keep:
            for folder in self.folders:
                tree.remove(folder)


def stage_files(root):
    """Hidden files of ours below @root: what an interrupted transfer leaves, a finished one not."""
    found = []
    for folder, folders, files in os.walk(os.fsencode(root)):
        found += [os.path.join(folder, n) for n in folders + files if n.startswith(b".hawser.")]
    return found


def find_binary(folder, name):
    for place in ("", "server", "client/cli", "client", "bin"):
        path = os.path.join(folder, place, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def is_sanitized(path):
    """Built with a sanitizer: its shadow memory and speed say nothing about ours."""
    if not path:
        return False
    with open(path, "rb") as f:
        text = f.read()
    return b"__asan_init" in text or b"__tsan_init" in text


def _parse(argv):
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=None, help="meson build folder")
    parser.add_argument("--scratch", default="/dev/shm" if os.path.isdir("/dev/shm") else None)
    parser.add_argument("--disk", default="/tmp", help="folder on a real disk")
    parser.add_argument("--keep", action="store_true", help="leave the scratch folders")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "little"),
                        help="of the fault tests: repeats their trees and moments")
    parser.add_argument("--points", type=int, default=42, help="moments at which test_fault_kill kills")
    parser.add_argument("-k", dest="filter", default="", help="only tests whose name holds this")
    options = parser.parse_args(argv)
    folder = os.path.abspath(os.environ.get("HAWSER_BIN_DIR") or options.build or ".")
    options.hawser = find_binary(folder, "hawser")
    options.hawserd = find_binary(folder, "hawserd")
    options.bin_dir = folder
    options.sanitized = is_sanitized(options.hawserd)
    return options


def _on_signal(number, _frame):
    raise KeyboardInterrupt("signal %d" % number)


def run_one(options, name, function):
    t = T(options, name.removeprefix("test_"))
    try:
        function(t)
        return None
    except BaseException:
        # The servers' last words explain most failures.
        for p in t.processes:
            if isinstance(p, Server):
                sys.stdout.write("# server stderr: %s\n" % p.read("err")[-1500:].decode(
                    "utf-8", "replace").replace("\n", "\n#   "))
        raise
    finally:
        t.close()


def run_timed(options, name, function):
    """(whether it went well, what to say of it after its name)"""
    start = time.monotonic()
    try:
        run_one(options, name, function)
        return True, "# %.1f s" % (time.monotonic() - start)
    except Skip as reason:
        return True, "# SKIP %s" % reason
    except Exception as error:  # pylint: disable=broad-except
        text = str(error) if isinstance(error, Failure) else traceback.format_exc()
        return False, "\n#   " + text.replace("\n", "\n#   ")


def main(scope, argv=None):
    options = _parse(argv if argv is not None else sys.argv[1:])
    if not options.hawser or not options.hawserd:
        print("1..0 # SKIP no hawser and hawserd in %s" % options.bin_dir)
        sys.exit(77)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _on_signal)
    tests = [(n, f) for n, f in scope.items()
             if n.startswith("test_") and callable(f) and options.filter in n]
    failed = skipped = 0
    print("1..%d" % len(tests), flush=True)
    pool, running = concurrent.futures.ThreadPoolExecutor(scope.get("TOGETHER", 1)), []
    try:
        if "TOGETHER" in scope:
            running = [pool.submit(run_timed, options, name, function) for name, function in tests]
            results = (future.result() for future in running)
        else:
            results = (run_timed(options, name, function) for name, function in tests)
        for index, ((name, _), (ok, text)) in enumerate(zip(tests, results), 1):
            skipped += text.startswith("# SKIP")
            failed += not ok
            sys.stdout.write("%s %d - %s %s\n" % ("ok" if ok else "not ok", index, name, text))
            sys.stdout.flush()
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        for t in list(LIVE):
            t.close()
        concurrent.futures.wait(running, 5)  # what they waited for is over
        print("Bail out! interrupted", flush=True)
        os._exit(130)
    sys.exit(1 if failed else 77 if skipped == len(tests) else 0)
