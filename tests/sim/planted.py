#!/usr/bin/env python3
"""Plants bugs into a copy of the source, one at a time, and lets the simulation find them.

usage: tests/sim/planted.py [--seconds N] [--seed N] [--some N] [--only WORD] [--folder DIR]
                            [--fresh] [--write]

Each bug of tests/sim/planted_bugs.py is a piece of the source and what stands in its place. The
copy is built with the bug; then the run that is known to find it goes first. If that does not, or
with --fresh, the hunt begins: the scenarios clean, the swarm from a seed on for at most --seconds,
then every fault, death and touched file of a few scenarios. --some N: only N bugs, chosen by the
seed. --write: put the table into docs/TESTING.md. Exit 0 only if each was found, and the source
without a bug passes the same runs; 77 where there is nothing to build with.
"""

import argparse
import concurrent.futures
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import planted_bugs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARTS = ("base", "bench", "client", "docs", "hash", "include", "numa", "ring", "scripts", "server",
         "tests", "tools", "transfer", "meson.build", "meson_options.txt")
TESTING = os.path.join(ROOT, "docs", "TESTING.md")
TABLE = re.compile(r"(\| planted \|.*\n\|[-| ]*\|\n)((?:\|.*\n)*)")
MEMORY = 4 << 30  # of a run with a bug in it, in bytes
# Scenarios and ways whose every operation fails, kills, or finds a file changed.
ROUNDS = (("pack", "push"), ("tree", "pull"), ("large", "push"), ("delta", "pull"),
          ("inplace", "push"), ("resume", "pull"))


def run(argv, seconds):
    """Output and whether it passed; a hang is a failure too. What the simulation has never heard of
    (a scenario, a knob) finds nothing: the list is wrong."""
    limit = ["prlimit", f"--as={MEMORY}"] if shutil.which("prlimit") else []
    process = subprocess.Popen(limit + argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        out = process.communicate(timeout=seconds + 60)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        out = process.communicate()[0] + b"\nhangs"
    text = out.decode("utf-8", "replace")
    if process.returncode == 2:
        sys.exit(f"no such run: {' '.join(argv[1:])}: {text[:300].strip()}")
    return text, process.returncode == 0


def steps(seed, seconds):
    """Words of the hunt, the quick ones first."""
    yield ["clean"]
    yield ["swarm", str(seed), "1000000", "--apart", "--seconds", str(seconds)]
    for scenario, way in ROUNDS:
        stride = ["--stride", "37"] if scenario == "resume" else []
        yield ["touch", scenario, way] + stride
        yield ["crash", scenario, way] + stride
        yield ["fault", scenario, way] + stride


def found(out):
    """The words that repeat it, and what broke."""
    what = re.search(r"VIOLATION (.*)|.*(assertion.*)|(hangs)|(nothing went wrong and.*)|"
                     r"(differs.*)", out, re.IGNORECASE)
    words = re.search(r"repeat with: tools/sim (.*)", out)
    text = next((part for part in what.groups() if part), "") if what else out[-80:].strip()
    return (words.group(1).split() if words else None), text.strip()


def hunt(sim, bug, seed, seconds, fresh):
    """(how, words, what broke), or None. The words are those of the smallest run known."""
    if bug is not None and bug.words and not fresh:
        words = bug.words.split()
        out, passed = run([sim, *words, "--first"], seconds)
        if not passed:
            return bug.words, words, found(out)[1]
    for words in steps(seed, seconds) if seconds > 0 else ():
        out, passed = run([sim, *words, "--first"], seconds)
        if passed:
            continue
        again, what = found(out)
        how = " ".join(words)
        if words[0] == "swarm" and again and again[0].isdigit():
            how = f"swarm, seed {again[0]}"
            again = ["swarm", again[0], "1"]
        elif words[0] == "clean":
            again = ["clean"]
        return how, again or words, what
    return None


def plant(copy, bug):
    """The file as it was; None: the place is gone."""
    path = os.path.join(copy, bug.file)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(bug.old) != 1:
        return None
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(bug.old, bug.new))
    return text


def build(copy):
    argv = ["ninja", "-C", os.path.join(copy, "b"), "tests/sim/sim"]
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def one(copy, bug, args):
    """(how, what broke) of a bug; how is None if nothing found it."""
    before = plant(copy, bug)
    if before is None:
        return None, "its place in the source is gone: mend the list"
    try:
        built = build(copy)
        if built.returncode != 0:
            return None, "does not compile: " + built.stdout.decode()[-300:]
        hit = hunt(os.path.join(copy, "b/tests/sim/sim"), bug, args.seed, args.seconds, args.fresh)
    finally:
        with open(os.path.join(copy, bug.file), "w", encoding="utf-8") as file:
            file.write(before)
    if hit is None:
        return None, "NOT FOUND"
    if " ".join(hit[1]) != bug.words:
        print(f"  the run that finds it: {' '.join(hit[1])}", flush=True)
    return hit[0], hit[2]


def copy_part(source, target):
    """As it is now; what has not changed keeps its time, so that it is not built again."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
        for name in os.listdir(source):
            if name != "__pycache__":
                copy_part(os.path.join(source, name), os.path.join(target, name))
        return
    with open(source, "rb") as file:
        wanted = file.read()
    if os.path.exists(target):
        with open(target, "rb") as file:
            if file.read() == wanted:
                return
    shutil.copy(source, target)  # with the time of now


def prepare(copy):
    for name in PARTS:
        copy_part(os.path.join(ROOT, name), os.path.join(copy, name))
    if not os.path.exists(os.path.join(copy, "b", "build.ninja")):
        subprocess.run(["meson", "setup", os.path.join(copy, "b"), copy, "-Dmicro=disabled",
                        "-Dwerror=false", "-Dstrict=true", "-Dbuildtype=debugoptimized"],
                       check=True, stdout=subprocess.DEVNULL)
    built = build(copy)
    if built.returncode != 0:
        sys.exit("the source without a bug does not build: " + built.stdout.decode()[-500:])


def innocent(copy, bugs):
    """The runs that find the bugs find nothing where there is none."""
    sim = os.path.join(copy, "b/tests/sim/sim")
    every = sorted({bug.words for bug in bugs} - {""})
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        ends = list(pool.map(lambda words: run([sim, *words.split(), "--first"], 60), every))
    for words, (out, passed) in zip(every, ends):
        if not passed:
            sys.exit(f"without a bug: {words}: {found(out)[1]}")
    print(f"without a bug {len(every)} runs found nothing", flush=True)


def table_write(rows):
    with open(TESTING, encoding="utf-8") as file:
        text = file.read()
    lines = "".join(f"| {name} | {how} | {what} |\n" for name, how, what in rows)
    text, count = TABLE.subn("| planted | found by | what broke |\n|---|---|---|\n" +
                             lines.replace("\\", r"\\"), text)
    if count != 1:
        sys.exit("docs/TESTING.md has no table of planted bugs")
    with open(TESTING, "w", encoding="utf-8") as file:
        file.write(text)


def hunt_all(copy, bugs, args):
    rows, missed = [], 0
    for bug in bugs:
        start = time.monotonic()
        how, what = one(copy, bug, args)
        missed += how is None
        what = what.replace("|", "/")[:90]
        rows.append((bug.name, f"`{how}`" if how else "nothing", what))
        print(f"| {bug.name} | {how} | {what} | {time.monotonic() - start:.0f} s", flush=True)
    return rows, missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=20,
                        help="of the swarm for each bug; 0: no hunt, only the runs that are known")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--some", type=int, help="only so many, chosen by the seed")
    parser.add_argument("--only", action="append", metavar="WORD",
                        help="those whose name has this in it (again for more)")
    parser.add_argument("--folder", help="keep the copy and its build here")
    parser.add_argument("--fresh", action="store_true", help="hunt, whatever is known")
    parser.add_argument("--write", action="store_true", help="the table into docs/TESTING.md")
    args = parser.parse_args()
    bugs = [bug for bug in planted_bugs.BUGS
            if not args.only or any(word in bug.name for word in args.only)]
    if not shutil.which("meson") or not shutil.which("ninja"):
        print("no meson or ninja here")
        sys.exit(77)
    if args.some:
        bugs = random.Random(args.seed).sample(bugs, min(args.some, len(bugs)))
    copy = args.folder or tempfile.mkdtemp(prefix="hawser-planted-")
    try:
        prepare(copy)
        innocent(copy, bugs)
        rows, missed = hunt_all(copy, bugs, args)
    finally:
        if not args.folder:
            shutil.rmtree(copy, ignore_errors=True)
    if args.write:
        table_write(rows)
    print(f"{len(bugs) - missed} of {len(bugs)} planted bugs found")
    sys.exit(1 if missed or not bugs else 0)


if __name__ == "__main__":
    main()
