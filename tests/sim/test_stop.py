#!/usr/bin/env python3
"""A swarm that ends early says how many of its seeds it ran, and one that does not says nothing of the kind.

usage: test_stop.py SIM
"""

import re
import subprocess
import sys

ASKED = 1000000000  # of which no machine runs all in a second


def last_line(*args):
    done = subprocess.run([sys.argv[1], "swarm", "1", *args], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1]


def main():
    line = last_line(str(ASKED), "--seconds", "1")
    found = re.fullmatch(r"(\d+) runs: .*; 0 failed; stopped after (\d+) of (\d+) seeds", line)
    if not found or not 0 < int(found[1]) == int(found[2]) < int(found[3]) == ASKED:
        sys.exit("stopped: " + line)
    line = last_line("3")
    if not line.startswith("3 runs: ") or not line.endswith("; 0 failed"):
        sys.exit("not stopped: " + line)


if __name__ == "__main__":
    main()
