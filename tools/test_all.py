#!/usr/bin/env python3
"""Everything that must hold before a change is published; scripts/test runs it.

Steps: format, layers, tidiness, headers; gcc build with all tests and 10,000 runs of the swarm, or
as many as fit into five minutes; clang build with the unit tests; address and undefined-behaviour
sanitizers with all tests; thread sanitizer with the suite `tsan`; each fuzzer for ten seconds; an
emulated machine, where its programs are installed. Every lint step, build, meson test and half of
the swarm counts once. Builds stay in build/, so a second run only builds what changed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import sources

PROCESSES = max(2, os.cpu_count() or 2)
SWARM_SEEDS = 10000
SWARM_SECONDS = 300  # at most, on each core
TAIL_LINES = 30  # of a failed step's log; the whole log is kept and named

# name, compiler, meson options, suite (None: all), environment, timeout factor
STRICT = ["-Dstrict=true", "-Dbuildtype=debugoptimized", "-Db_lundef=false"]
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:check_initialization_order=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}
BUILDS = [
    ("gcc", "gcc", [], None, {}, 1),
    ("clang", "clang-14", [], "unit", {}, 1),
    ("asan", "clang-14", STRICT + ["-Db_sanitize=address,undefined",
                                   "-Dc_args=-fno-sanitize-recover=all -fno-omit-frame-pointer"],
     None, SANITIZER_ENV, 4),
    ("tsan", "clang-14", STRICT + ["-Db_sanitize=thread"], "tsan", SANITIZER_ENV, 6),
    ("fuzz", "clang-14", STRICT + ["-Db_sanitize=address,undefined", "-Dfuzz=true",
                                   "-Dc_args=-fno-sanitize-recover=all -fno-omit-frame-pointer"],
     "fuzz", SANITIZER_ENV, 4),
]
PASSED = {"OK", "EXPECTEDFAIL"}


class Run:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []
        self.stopped = []  # parts of the swarm that ran out of time: all is well, but not all was run
        self.logs = tempfile.mkdtemp(prefix="hawser-test-")
        self.start = time.monotonic()

    def say(self, text):
        print(f"[{time.monotonic() - self.start:5.0f}s] {text}", flush=True)

    def count(self, name, result, detail=""):
        if result in PASSED:
            self.passed += 1
        elif result == "SKIP":
            self.skipped += 1
        else:
            self.failed += 1
            self.failures.append(name)
            self.say(f"FAILED {name} ({result})")
            for line in detail.rstrip().split("\n")[-TAIL_LINES:]:
                print("    " + line)

    def command(self, name, argv, env=None, counts=True):
        """Run with the output in a log; count it as one step; True if it exits 0."""
        log = os.path.join(self.logs, name.replace(" ", "-").replace("/", "-") + ".log")
        with open(log, "wb") as file:
            try:
                code = subprocess.run(argv, cwd=sources.ROOT, stdout=file, stdin=subprocess.DEVNULL,
                                      stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}
                                      ).returncode
            except FileNotFoundError as error:
                file.write(str(error).encode())
                code = 127
        if counts or code != 0:
            with open(log, encoding="utf-8", errors="replace") as file:
                self.count(name, "OK" if code == 0 else f"exit {code}", file.read())
        return code == 0


def compiler(name):
    """clang-14 is called clang where it is the only one."""
    return name if shutil.which(name) else name.split("-")[0]


def no_randomize():
    """The thread sanitizer of clang 14 cannot place its shadow where the kernel randomizes over
    more than 28 bits (vm.mmap_rnd_bits); without randomization it always can."""
    argv = ["setarch", "--addr-no-randomize"]
    try:
        ok = subprocess.run(argv + ["true"], stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        ok = False
    return argv if ok else []


def build(run, name, cc, options):
    folder = os.path.join("build", name)
    env = {"CC": compiler(cc)}
    if not os.path.exists(os.path.join(sources.ROOT, folder, "build.ninja")):
        shutil.rmtree(os.path.join(sources.ROOT, folder), ignore_errors=True)
        argv = ["meson", "setup", folder, *options]
        if not run.command(f"{name} setup", argv, env, counts=False):
            return None
    if not run.command(f"{name} build", ["ninja", "-C", folder], env):
        return None
    return folder


def tests(run, name, folder, suite, env, factor):
    """Run the tests and count each by its line in testlog.json."""
    log = os.path.join(sources.ROOT, folder, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.remove(log)
    argv = ["meson", "test", "-C", folder, "--no-rebuild", "--timeout-multiplier", str(factor),
            "--num-processes", str(2 if suite == "fuzz" else PROCESSES)]
    if suite:
        argv += ["--suite", suite]
    if name == "tsan":
        argv = no_randomize() + argv
    path = os.path.join(run.logs, f"{name}-tests.log")
    with open(path, "wb") as file:
        code = subprocess.run(argv, cwd=sources.ROOT, env={**os.environ, **env}, stdout=file,
                              stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT).returncode
    failed_before = run.failed
    count = 0
    if os.path.exists(log):
        with open(log, encoding="utf-8", errors="replace") as file:
            for line in file:
                test = json.loads(line)
                detail = test.get("stdout", "") + test.get("stderr", "")
                run.count(f"{name}: {test['name']}", test["result"], detail)
                count += 1
        shutil.copy(log, os.path.join(run.logs, f"{name}-tests.json"))
    if code != 0 and run.failed == failed_before:  # meson itself failed
        with open(path, encoding="utf-8", errors="replace") as file:
            run.count(f"{name}: meson test", f"exit {code}", file.read())
    run.say(f"{name}: {count} tests")


def guest(run):
    """Older kernels, power cuts, failing disks: tests/guest. One test; skipped without its programs."""
    folder = build(run, "gcc", "gcc", [])
    if not folder:
        return
    log = os.path.join(run.logs, "guest.log")
    with open(log, "wb") as file:
        code = subprocess.run([sys.executable, "tests/guest/guest", "--build", folder], cwd=sources.ROOT,
                              stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT).returncode
    with open(log, encoding="utf-8", errors="replace") as file:
        text = file.read()
    run.count("guest", {0: "OK", 77: "SKIP"}.get(code, f"exit {code}"), text)
    run.say("guest: " + text.rstrip().split("\n")[-1])


def swarm(run, folder):
    """10,000 seeds of the simulation, from the commit on: each core takes its part, and stops after SWARM_SECONDS."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=sources.ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.strip()
    first = int(head[:12] or "1", 16)
    part = -(-SWARM_SEEDS // PROCESSES)
    driver = os.path.join(sources.ROOT, folder, "tests", "sim", "sim")
    logs = [os.path.join(run.logs, f"swarm-{i}.log") for i in range(PROCESSES)]
    parts = []
    for i, log in enumerate(logs):
        with open(log, "wb") as file:
            parts.append(subprocess.Popen([driver, "swarm", str(first + i * part), str(part),
                                           "--seconds", str(SWARM_SECONDS)],
                                          stdout=file, stderr=subprocess.STDOUT))
    for i, process in enumerate(parts):
        code = process.wait()
        with open(logs[i], encoding="utf-8", errors="replace") as file:
            text = file.read()
        run.count(f"swarm {first + i * part}", "OK" if code == 0 else f"exit {code}", text)
        last = text.rstrip().split("\n")[-1]
        run.say(f"swarm from seed {first + i * part}: {last}")
        if "; stopped after " in last:
            run.stopped.append(f"from {first + i * part} on " + last.rsplit("; stopped ", 1)[1])


def lint(run):
    for step in ("format", "deps", "tidy", "headers"):
        run.command(step, [sys.executable, f"tools/{step}.py"])
    run.say("lint: format, deps, tidy, headers")


def main():
    parser = argparse.ArgumentParser(prog="scripts/test", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="STEP", action="append",
                        choices=["lint"] + [b[0] for b in BUILDS] + ["guest"],
                        help="only this step (again for more): %(choices)s")
    parser.add_argument("--keep-logs", action="store_true", help="keep them after success too")
    args = parser.parse_args()
    run = Run()

    if not args.only or "lint" in args.only:
        lint(run)
    for name, cc, options, suite, env, factor in BUILDS:
        if args.only and name not in args.only:
            continue
        run.say(f"{name}: building")
        folder = build(run, name, cc, options)
        if folder:
            tests(run, name, folder, suite, env, factor)
        if folder and name == "gcc":
            swarm(run, folder)

    if not args.only or "guest" in args.only:
        guest(run)

    for failure in run.failures:
        print(f"failed: {failure}")
    for part in run.stopped:
        print(f"the swarm stopped: {part}")
    if run.failed or args.keep_logs:
        print(f"logs: {run.logs}")
    else:
        shutil.rmtree(run.logs)
    skipped = f", {run.skipped} skipped" if run.skipped else ""
    print(f"{run.passed} passed, {run.failed} failed{skipped}")
    sys.exit(1 if run.failed or not run.passed else 0)


if __name__ == "__main__":
    main()
