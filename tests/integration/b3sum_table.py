#!/usr/bin/env python3
"""Every BLAKE3 kernel of this CPU prints what b3sum prints, in each mode.

usage: b3sum_table.py [--every] BLAKE3_TOOL

Lengths where the number of blocks, chunks or leaves changes, and random ones; with --every all
lengths up to 200 KiB (some minutes). Exits 77 without b3sum.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile

KEY = "a key of the tests, of 32 bytes."
CONTEXT = "Hawser 2026-11-21 a test of derived keys"
BATCH = 512  # files at once
EVERY_MAX = 200 << 10


def lengths(chance):
    around = [chunks * 1024 + near for chunks in range(70) for near in (-1, 0, 1, 63, 64, 65)]
    around += [(1 << shift) + near for shift in range(16, 23) for near in (-1, 0, 1, 1024, 65536)]
    return [x for x in around if x >= 0] + [chance.randrange(1 << chance.randrange(1, 24)) for _ in range(150)]


def judge(tool, folder, sizes, data):
    names = []
    for index, size in enumerate(sizes):
        names.append(f"{index:06}")
        with open(os.path.join(folder, names[-1]), "wb") as file:
            file.write(data[:size])
    wrong = 0
    for ours, theirs in ((["plain", "-"], []), (["keyed", KEY], ["--keyed"]),
                         (["derive", CONTEXT], ["--derive-key", CONTEXT])):
        want = subprocess.run(["b3sum", "--no-names", "--num-threads", "1", *theirs, "--", *names], cwd=folder,
                              input=KEY.encode(), stdout=subprocess.PIPE, check=True, timeout=600).stdout
        got = subprocess.run([tool, *ours, *names], cwd=folder, stdout=subprocess.PIPE, check=True,
                             timeout=600).stdout
        want, got = want.decode().splitlines(), got.decode().splitlines()
        if not len(want) == len(got) == len(sizes):
            sys.exit(f"{ours[0]}: {len(sizes)} files, {len(want)} lines of b3sum, {len(got)} of ours")
        for size, a, b in zip(sizes, want, got):
            if a != b:
                print(f"{ours[0]}, {size} bytes: b3sum says {a}, we say {b}")
                wrong += 1
    for name in names:
        os.unlink(os.path.join(folder, name))
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", action="store_true", help="all lengths up to 200 KiB")
    parser.add_argument("tool", help="blake3_tool of the build")
    args = parser.parse_args()
    if shutil.which("b3sum") is None:
        print("skipped: no b3sum")
        return 77
    chance = random.Random(3)
    data = chance.randbytes(8 << 20)
    sizes = list(range(EVERY_MAX + 1)) if args.every else lengths(chance)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="hawser-b3sum-") as folder:
        for at in range(0, len(sizes), BATCH):
            wrong += judge(os.path.abspath(args.tool), folder, sizes[at:at + BATCH], data)
    print(f"{len(sizes)} lengths in 3 modes, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
