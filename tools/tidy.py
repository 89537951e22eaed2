#!/usr/bin/env python3
"""Small habits that a formatter does not check.

Lines over 100 columns (120 in scripts), functions over 70 lines, files over 800, trailing blanks, tabs in C, notes
to do something later that name no issue. Lists the branches marked as untested.
"""

import argparse
import re
import sys

sys.dont_write_bytecode = True
import sources

COLUMNS_MAX = 100  # of C; scripts and build files may be wider
SCRIPT_COLUMNS_MAX = 120
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 800

CODE = (".c", ".cc", ".h", ".py", ".sh", "meson.build", "meson_options.txt", "setup", "test", "check",
        "quickstart", "compare", "regress", "run", "sim")
PROSE = (".md", ".1", ".3", ".5", ".7", ".8", ".in", ".json", ".yml", ".conf")
LATER = re.compile(r"\b(?:TO" r"DO|FIX" r"ME)\b(?!\s*\(?#\d+)")  # split: this file is checked too


def functions_check(path, lines, say):
    """Formatted code has a function's braces in the first column, and nothing else there."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line.startswith("}") and start is not None:
            count = number - start + 1
            if count > FUNCTION_LINES_MAX:
                say(path, start, f"a function of {count} lines; at most {FUNCTION_LINES_MAX}")
            start = None


def code_check(path, lines, say, untested):
    if len(lines) > FILE_LINES_MAX:
        say(path, len(lines), f"a file of {len(lines)} lines; at most {FILE_LINES_MAX}")
    columns_max = COLUMNS_MAX if path.endswith((".c", ".cc", ".h")) else SCRIPT_COLUMNS_MAX
    for number, line in enumerate(lines, 1):
        if len(line) > columns_max:
            say(path, number, f"{len(line)} columns; at most {columns_max}")
        if LATER.search(line):
            say(path, number, "a note for later without an issue number")
        if path.endswith((".c", ".h")):
            if "\t" in line:
                say(path, number, "a tab")
            if "untested:" in line:
                untested.append(f"{path}:{number}: {line.strip()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--untested", action="store_true", help="list branches no test reaches")
    args = parser.parse_args()
    problems, untested = [], []

    def say(path, line, text):
        problems.append(f"{path}:{line}: {text}")

    for path in sources.files(*CODE, *PROSE):
        lines = sources.read(path).split("\n")
        if lines and lines[-1] == "":
            lines.pop()
        elif lines != [""]:
            say(path, len(lines), "no newline at the end")
        for number, line in enumerate(lines, 1):
            if line != line.rstrip():
                say(path, number, "blanks at the end")
        if path.endswith(CODE):
            code_check(path, lines, say, untested)
        if path.endswith((".c", ".h")):
            functions_check(path, lines, say)

    if args.untested:
        print("\n".join(untested))
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
