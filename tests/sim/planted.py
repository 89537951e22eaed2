#!/usr/bin/env python3
"""Plants bugs into a copy of the source, one at a time, and lets the simulation find them.

usage: tests/sim/planted.py [--seconds N] [--seed N] [--some N] [--only WORD] [--folder DIR]

Each bug is a piece of the source and what stands in its place. The copy is built with the bug, the
scenarios run clean, then the swarm from a seed on for at most --seconds, then every fault and crash
of a few scenarios. The table says which run found it first. --some N: only N of them, chosen by the
seed, as the test does. Exit 0 only if each was found, and the source without a bug passes.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# name, file, what stands there, what the bug makes of it
BUGS = [
    ("acknowledged before the sync", "transfer/engine/target.c",
     "if (sync && !target->synced) {", "if (sync && !target->synced && false) {"),
    ("a pack member's digest not compared", "transfer/engine/stream_target.c",
     "hsr_require(memcmp(digest, item->member.digest, session->digest_size) == 0, HSR_E_DIGEST);",
     "(void)digest;"),
    ("the source not looked at again after the last read", "transfer/tree/source.c",
     "return HSR_E_CHANGED;\n    return 0;", "return 0;\n    return 0;"),
    ("a short write taken for a whole one", "transfer/tree/fileio.c",
     "*done = (uint32_t)now;\n    return now < size;", "*done = (uint32_t)size;\n    return 0;"),
    ("the end of a file taken for its content", "transfer/engine/stream_source.c",
     "if (have < view.size && rc != HSR_E_KIND)", "if (have < view.size && rc < 0)"),
    ("a byte too few in a range", "transfer/engine/stream_target.c",
     "intake->next += chunk->size;", "intake->next += chunk->size - 1;"),
    ("a hard link before its data", "transfer/engine/target_decide.c",
     "if (entry->link_id == link_id)\n            return false;",
     "if (entry->link_id == link_id)\n            return true;"),
    ("deleted before the listing was complete", "transfer/engine/target_dir.c",
     "!(entry->flags & HSR_ENTRY_INCOMPLETE) && ", ""),
    ("stale stages not removed", "transfer/tree/prune.c",
     "return prune_stage(prune, frame, name);", "return 0;"),
    ("a buffer reused before the kernel gave it back", "transfer/engine/stream_source.c",
     "if (chunk->loan.op.armed) {", "if (chunk->loan.op.armed && chunk->size == 1) {"),
    ("a descriptor leaked", "transfer/engine/stream_source.c",
     "(void)hsr_loop_call(loop, &op); /* read only: a failed close loses nothing */",
     "if (rc == 0)\n        (void)hsr_loop_call(loop, &op);"),
    ("a lost wake-up after a frame", "transfer/engine/stream_target.c",
     "hsr_list_push_tail(&stream->waiting, &chunk->node);\n"
     "    hsr_loop_wake(&stream->shard->loop, &stream->task);\n    return 0;",
     "hsr_list_push_tail(&stream->waiting, &chunk->node);\n    return 0;"),
    ("a lost wake-up after a sync", "transfer/engine/target_file.c",
     "target->files_synced = true; /* committed by the task, not here */\n"
     "    hsr_session_wake(file->session);",
     "target->files_synced = true;"),
    ("a silent peer never given up", "transfer/engine/conn.c",
     "if (now - conn->heard_ns > idle_ns && !conn->in_waits) {",
     "if (now - conn->heard_ns > 1000 * idle_ns && !conn->in_waits) {"),
    ("the rest of a direct write forgotten", "transfer/engine/target_file.c",
     "if (file->rc == 0 && file->tail_set)", "if (file->rc == 0 && file->tail_set && false)"),
    ("an in-place file not cut to its size", "transfer/engine/target_file.c",
     "if (file->rc == 0 && file->place.fd >= 0)\n        file->rc = hsr_basis_cut",
     "if (file->rc < -9999 && file->place.fd >= 0)\n        file->rc = hsr_basis_cut"),
    ("a clone of the old version not covered from end to end", "transfer/engine/target_file.c",
     "if (file->rewrite && file->bytes != file->entry.size)",
     "if (file->rewrite && file->bytes > file->entry.size)"),
    ("no deadline for a handshake", "transfer/engine/conn.c",
     "if (conn->state != HSR_CONN_SESSION && conn->state != HSR_CONN_LISTING) {",
     "if (conn->state == HSR_CONN_CLOSING) {"),
    ("a failed sync ignored", "transfer/engine/target_file.c",
     "    if (res < 0)\n        file->rc = (int)res;\n    file->synced = true;",
     "    file->synced = true;"),
    ("metadata compared without its nanoseconds", "transfer/tree/meta.c",
     "now->mtime_s != entry->mtime_s || now->mtime_ns != entry->mtime_ns;",
     "now->mtime_s != entry->mtime_s;"),
    ("a failure of a path not told", "transfer/engine/target.c",
     "        if (op != NULL) {\n            session->totals.failed++;",
     "        if (op != NULL && code != -EIO) {\n            session->totals.failed++;"),
    ("an error of a read forgotten", "transfer/engine/stream_source.c",
     "if (rc < 0 && work->rc == 0)\n        work->rc = rc ==",
     "if (rc < 0 && work->rc > 0)\n        work->rc = rc =="),
]


def run(argv, seconds):
    """Output and whether it passed; a hang is a failure too."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        out = process.communicate(timeout=seconds + 60)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        out = process.communicate()[0] + b"\nhangs"
    return out.decode("utf-8", "replace"), process.returncode == 0


def steps(sim, seed, seconds):
    yield "clean", [sim, "clean"]
    yield "swarm", [sim, "swarm", str(seed), "1000000", "--seconds", str(seconds)]
    for scenario, way in (("pack", "push"), ("tree", "pull"), ("large", "push"), ("delta", "pull"),
                          ("inplace", "push")):
        yield f"fault {scenario} {way}", [sim, "fault", scenario, way]
        yield f"crash {scenario} {way}", [sim, "crash", scenario, way]


def found(out):
    """The first words that repeat it, and what broke."""
    what = re.search(r"VIOLATION (.*)|(Assertion.*|.*assert.*failed.*)|(hangs)|(differs.*)", out,
                     re.IGNORECASE)
    words = re.search(r"repeat with: (.*)", out)
    runs = re.search(r"^(\d+) runs", out, re.MULTILINE)
    return (words.group(1) if words else "", what.group(0).strip() if what else out[-80:].strip(),
            runs.group(1) if runs else "")


def hunt(sim, seed, seconds):
    for name, argv in steps(sim, seed, seconds):
        out, passed = run(argv, seconds)
        if not passed:
            words, what, _ = found(out)
            count = ""
            if name == "swarm" and (match := re.match(r"tools/sim (\d+)", words)):
                count = f" (run {int(match.group(1)) - seed + 1})"
            return name + count, words, what
    return None


def plant(copy, bug):
    """The file as it was."""
    path = os.path.join(copy, bug[1])
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(bug[2]) != 1:
        return None
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(bug[2], bug[3]))
    return text


def build(copy):
    argv = ["ninja", "-C", os.path.join(copy, "b"), "tests/sim/sim"]
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def one(copy, bug, args):
    """A row of the table, and whether the bug was found."""
    before = plant(copy, bug)
    if before is None:
        return "its place in the source is gone: mend the list", False
    try:
        built = build(copy)
        if built.returncode != 0:
            return "does not compile: " + built.stdout.decode()[-300:], False
        hit = hunt(os.path.join(copy, "b/tests/sim/sim"), args.seed, args.seconds)
    finally:
        with open(os.path.join(copy, bug[1]), "w", encoding="utf-8") as file:
            file.write(before)
    if hit is None:
        return "NOT FOUND", False
    return f"{hit[0]} | {hit[2][:90]}", True


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=20, help="of the swarm for each bug")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--some", type=int, help="only so many, chosen by the seed")
    parser.add_argument("--only", help="those whose name has this in it")
    parser.add_argument("--folder", help="keep the copy and its build here")
    args = parser.parse_args()
    bugs = [bug for bug in BUGS if not args.only or args.only in bug[0]]
    if args.some:
        bugs = random.Random(args.seed).sample(bugs, min(args.some, len(bugs)))
    copy = args.folder or tempfile.mkdtemp(prefix="hawser-planted-")
    missed = 0
    try:
        for name in ("base", "bench", "client", "docs", "hash", "include", "numa", "ring", "scripts",
                     "server", "tests", "tools", "transfer", "meson.build", "meson_options.txt"):
            place = os.path.join(ROOT, name)
            if os.path.isdir(place):
                shutil.copytree(place, os.path.join(copy, name), dirs_exist_ok=True, symlinks=True)
            else:
                shutil.copy2(place, copy)
        if not os.path.exists(os.path.join(copy, "b")):
            subprocess.run(["meson", "setup", os.path.join(copy, "b"), copy, "-Dmicro=disabled",
                            "-Dwerror=false"], check=True, stdout=subprocess.DEVNULL)
        if build(copy).returncode != 0:
            sys.exit("the source without a bug does not build")
        hit = hunt(os.path.join(copy, "b/tests/sim/sim"), args.seed, args.seconds)
        if hit is not None:
            sys.exit(f"without a bug: {hit[0]}: {hit[1]}: {hit[2]}")
        for bug in bugs:
            start = time.monotonic()
            row, good = one(copy, bug, args)
            missed += not good
            print(f"| {bug[0]} | {row} |  {time.monotonic() - start:.0f} s", flush=True)
    finally:
        if not args.folder:
            shutil.rmtree(copy, ignore_errors=True)
    print(f"{len(bugs) - missed} of {len(bugs)} planted bugs found")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
