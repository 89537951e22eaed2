#!/usr/bin/env python3
"""Do the manual pages say what the programs and the header say?

usage: docs.py SOURCE_DIRECTORY HAWSER HAWSERD
"""

import os
import re
import shutil
import subprocess
import sys

OPTION = re.compile(r"^ +(?:-(\w), )?\s*--([a-z0-9-]+)", re.M)
# What an installed page refers to is not installed while the tests run.
HARMLESS = re.compile(r"referenced manual not found|mandoc\.db lacks")


def help_of(program, *command):
    return subprocess.run([program, *command, "--help"], check=True, stdout=subprocess.PIPE,
                          text=True).stdout


def main():
    root, hawser, hawserd = sys.argv[1:4]
    problems = []

    def read(*path):
        with open(os.path.join(root, *path), encoding="utf-8") as f:
            return f.read()

    def options_check(page, text):
        for short, long in OPTION.findall(text):
            if not re.search(r"Fl .*-%s\b(?!-)" % re.escape(long), page[1]):
                problems.append("%s: --%s is not there" % (page[0], long))
            if short and not re.search(r"(Fl|,) %s\b" % short, page[1]):
                problems.append("%s: -%s is not there" % (page[0], short))

    pages = {name: (name, read("docs", "man", name)) for name in os.listdir(os.path.join(root, "docs", "man"))}
    helps = {c: help_of(hawser, *([c] if c else []))
             for c in ("", "push", "pull", "verify", "digest", "ls", "stat", "doctor", "jobs", "pause", "resume",
                       "cancel")}
    for text in helps.values():
        options_check(pages["hawser.1"], text)
    bench = help_of(hawser, "bench")
    options_check(pages["hawser-bench.1"], bench)
    server = help_of(hawserd)
    options_check(pages["hawserd.8"], server)
    # The other way round.
    for page, text in (("hawser.1", "".join(helps.values())), ("hawser-bench.1", bench), ("hawserd.8", server)):
        there_are = {name for names in OPTION.findall(text) for name in names}
        for line in re.findall(r"^\.It Fl .*$", pages[page][1], re.M):
            for name in re.findall(r"(?:Fl|,) (-[a-z0-9-]+|\w)(?= |$)", line):
                if name.removeprefix("-") not in there_are:
                    problems.append("%s: there is no -%s" % (page, name))

    known = {long for _, long in OPTION.findall(helps[""])} | {
        "bench", "insecure", "print-plan", "listen", "build-only", "export", "list"}
    for long in re.findall(r"(?<!-)--([a-z][a-z0-9-]*)", read("README.md")):
        if long not in known:
            problems.append("README.md: there is no --%s" % long)

    # Settings of the file are options of the server, and the other way round.
    settings = {long for _, long in OPTION.findall(server)} - {
        "config", "export", "print-plan", "trace", "help", "version"}
    for line in re.findall(r"^\.It Cm .*$", pages["hawser.conf.5"][1], re.M):
        for name in re.findall(r"[a-z-]+", line[len(".It Cm"):]):
            if name not in settings | {"path", "access"}:  # these two are an export's
                problems.append("hawser.conf.5: there is no %s" % name)
    for name in settings:
        if not re.search(r"\b%s\b" % name, pages["hawser.conf.5"][1]):
            problems.append("hawser.conf.5: %s is not there" % name)

    header = read("include", "hawser", "hawser.h") + read("include", "hawser", "bench.h")
    for name in re.findall(r"^HAWSER_API [^(]*?\b(hawser_\w+)\(", header, re.M):
        if ".Fn %s" % name not in pages["libhawser.3"][1]:
            problems.append("libhawser.3: %s() is not there" % name)
    for name in re.findall(r"\b(HAWSER_E_\w+) = -", header):
        if ".It Dv %s" % name not in pages["libhawser.3"][1]:
            problems.append("libhawser.3: %s is not there" % name)

    codes = {int(n) for n in re.findall(r"CLI_EXIT_\w+ = (\d+)", read("client", "cli", "cli.h"))}
    said = {int(n) for n in re.findall(r"^\.It (\d+)$", pages["hawser.1"][1], re.M)}
    printed = {int(n) for n in re.findall(r"(?:exit: |; |\n)(\d+) [a-z]",
                                          helps["push"][helps["push"].index("exit:"):])}
    if not codes == said == printed:
        problems.append("exit codes: code %s, hawser.1 %s, --help %s" % (codes, said, printed))
    codes = {int(n) for n in re.findall(r"SERVER_EXIT_\w+ = (\d+)", read("server", "server.h"))}
    said = {int(n) for n in re.findall(r"^\.It (\d+)$", pages["hawserd.8"][1], re.M)}
    if codes != said:
        problems.append("exit codes: code %s, hawserd.8 %s" % (codes, said))

    # Every kind of object that --json prints.
    for names in re.findall(r"line_new\(([^)]*)\)", read("client", "cli", "json.c")):
        for name in re.findall(r'"(\w+)"', names):
            if not re.search(r"^\.Cm (?:\w+ , )*%s\b" % name, pages["hawser.1"][1], re.M):
                problems.append("hawser.1: the type %s is not there" % name)

    if shutil.which("mandoc"):
        for name in sorted(pages):
            lint = subprocess.run(["mandoc", "-T", "lint", os.path.join(root, "docs", "man", name)],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  check=False).stdout
            problems += [line for line in lint.splitlines() if not HARMLESS.search(line)]

    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
