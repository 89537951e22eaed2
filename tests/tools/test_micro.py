#!/usr/bin/env python3
"""A short run of bench/micro: every row gives a time, or says why this machine cannot run it.

The times mean nothing here.
"""

import argparse
import json
import os
import subprocess
import sys

MACHINE = ("this CPU does not have the instructions", "no io_uring here", "one core only",
           "no room for a second ring")


def run(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    args = parser.parse_args()
    folder = os.path.join(args.build, "bench", "micro")
    names = [line.split()[1] for line in run(os.path.join(folder, "micro_count"), "--list").splitlines()]
    result = json.loads(run(os.path.join(folder, "micro_bench"), "--benchmark_min_time=0.001",
                            "--benchmark_format=json"))

    problems = []
    if sorted(names) != sorted(set(names)):
        problems.append("two rows have one name")
    rows = {row["name"].removesuffix("/real_time"): row for row in result["benchmarks"]}
    if list(rows) != names:
        problems.append(f"not the rows of the list: {set(rows) ^ set(names)}")
    for name, row in rows.items():
        if row.get("error_occurred"):
            print(f"{name}: {row['error_message']}")
            if row["error_message"] not in MACHINE:
                problems.append(f"{name}: {row['error_message']}")
        elif not 0 < row["op"] < 1:  # seconds
            problems.append(f"{name}: {row['op']} s an operation")
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(rows)} rows, {len(problems)} problems")
    sys.exit(1 if problems or not rows else 0)


if __name__ == "__main__":
    main()
