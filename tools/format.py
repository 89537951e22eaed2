#!/usr/bin/env python3
"""Is every C and C++ file as clang-format 14 would write it? --fix rewrites instead."""

import argparse
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import sources


def formatter():
    """clang-format 14: other versions disagree with it about details."""
    for name in ("clang-format-14", "clang-format"):
        path = shutil.which(name)
        if path:
            version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
            if re.search(r"version 14\.", version):
                return path
    sys.exit("format: clang-format 14 is not installed; run scripts/setup")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fix", action="store_true", help="rewrite the files")
    args = parser.parse_args()
    paths = sources.files(".c", ".cc", ".h")
    how = ["-i"] if args.fix else ["--dry-run", "-Werror", "--ferror-limit=2"]
    sys.exit(subprocess.run([formatter(), *how, *paths], cwd=sources.ROOT).returncode != 0)


if __name__ == "__main__":
    main()
