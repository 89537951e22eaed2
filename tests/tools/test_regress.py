#!/usr/bin/env python3
"""bench/micro/regress must fail for a row that became dearer, and for nothing else.

Method: count three rows into a file of our own, doctor one line of it at a time, count again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REGRESS = os.path.join(ROOT, "bench", "micro", "regress")
ROWS = ["hash128/avx2/64K", "hash128/scalar/64K", "frame/encode"]
FAILURES = []


def check(what, ok, detail=""):
    if not ok:
        FAILURES.append(what)
        print(f"{what}: {detail}", file=sys.stderr)


class Fixture:
    def __init__(self, build, folder):
        self.build = build
        self.file = os.path.join(folder, "counts.json")
        self.write({})

    def write(self, content):
        with open(self.file, "w", encoding="utf-8") as file:
            json.dump(content, file)

    def read(self):
        with open(self.file, encoding="utf-8") as file:
            return json.load(file)

    def regress(self, *words, **env):
        return subprocess.run([sys.executable, REGRESS, "--build", self.build, "--counts", self.file,
                               *words], env={**os.environ, **env}, capture_output=True, text=True)

    def case(self, what, rows, code, row=None, verdict=None):
        """With these counts in the file it exits so, and says this of that row alone."""
        build = next(iter(self.read()))
        self.write({build: rows})
        done = self.regress(*ROWS)
        self.write({build: self.honest})
        check(what, done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}")
        verdicts = [line.split() for line in done.stdout.splitlines()]
        named = [words[0] for words in verdicts
                 if words and " ".join(words[-3:]).endswith(("MORE", "less", "file", "row"))
                 and words[0] != "row"]
        check(what, named == ([row] if row else []), f"names {named}: {done.stdout}")
        check(what, verdict is None or f"  {verdict}\n" in done.stdout, done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hawser-regress-") as folder:
        fx = Fixture(args.build, folder)
        done = fx.regress("--update", *ROWS)
        if done.returncode == 77:
            print(done.stdout, end="")
            sys.exit(77)
        check("update", done.returncode == 0, done.stderr)
        (build, fx.honest), = fx.read().items()
        check("update", sorted(fx.honest) == sorted(ROWS), fx.honest)
        check("what is counted is the row's work",
              fx.honest[ROWS[1]] > 2 * fx.honest[ROWS[0]] > 100 * fx.honest[ROWS[2]], fx.honest)

        hash_count = fx.honest[ROWS[0]]
        fx.case("nothing changed", fx.honest, 0)
        fx.case("5 % more", {**fx.honest, ROWS[0]: hash_count / 1.05}, 1, ROWS[0], "MORE")
        fx.case("5 % less", {**fx.honest, ROWS[0]: hash_count / 0.95}, 1, ROWS[0], "less")
        fx.case("1 % more", {**fx.honest, ROWS[0]: hash_count / 1.01}, 0)
        fx.case("two instructions more", {**fx.honest, ROWS[2]: fx.honest[ROWS[2]] - 2}, 0)
        fx.case("a new row", {n: fx.honest[n] for n in ROWS[1:]}, 1, ROWS[0], "not in the file")
        fx.case("a row that is gone", {**fx.honest, "frame/encode/old": 1.0}, 1, "frame/encode/old",
                "no such row")

        check("no such row", fx.regress("frame/nothing").returncode == 1)
        check("no valgrind", fx.regress(PATH=folder).returncode == 77)
        fx.write({build: {**fx.honest, "kept": 1.0, "frame/encode/old": 1.0, ROWS[0]: 1.0}})
        check("update some", fx.regress("--update", *ROWS).returncode == 0)
        check("update some", fx.read() == {build: {**fx.honest, "kept": 1.0}}, fx.read())
        fx.write({"another compiler": {}})
        check("another compiler", fx.regress(*ROWS).returncode == 77)
    check("no build", subprocess.run([sys.executable, REGRESS, "--build", "/nonexistent"],
                                     stdout=subprocess.DEVNULL).returncode == 77)
    print(f"{len(FAILURES)} checks failed")
    sys.exit(1 if FAILURES else 0)


if __name__ == "__main__":
    main()
