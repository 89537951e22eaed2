#!/usr/bin/env python3
"""Does every header compile alone, and the public ones as plain C11 and C++ too?"""

import concurrent.futures
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import sources

# Bodies that their includer configures first.
EXEMPT = {"hash/blake3_impl.h", "hash/blake3_lanes.h", "hash/xxh3_impl.h",
          "transfer/delta/weak_impl.h"}

WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Werror"]
PUBLIC = "include/"


def compiles(path, argv):
    # Twice: the guard must hold as well.
    name = path.removeprefix("include/")
    text = f'#include "{name}"\n#include "{name}"\n'
    done = subprocess.run([*argv, *WARNINGS, "-fsyntax-only", "-I.", "-Iinclude", "-"], input=text,
                          cwd=sources.ROOT, capture_output=True, text=True)
    return None if done.returncode == 0 else f"{path}: {' '.join(argv)}\n{done.stderr}"


def main():
    if len(sys.argv) > 1:
        print(__doc__)
        sys.exit(0 if sys.argv[1:] == ["--help"] else 2)
    jobs = []
    for path in sources.files(".h"):
        if path.startswith(PUBLIC):
            jobs.append((path, ["gcc", "-x", "c", "-std=c11", "-pedantic"]))
            if shutil.which("g++"):
                jobs.append((path, ["g++", "-x", "c++", "-std=c++17", "-pedantic"]))
        elif path not in EXEMPT:
            # tests/unit/hsr_test.h defines what a test may leave unused
            jobs.append((path, ["gcc", "-x", "c", "-std=gnu17", "-D_GNU_SOURCE",
                                "-Wno-unused-variable", "-Wno-unused-function"]))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [p for p in pool.map(lambda job: compiles(*job), jobs) if p]
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
