#!/usr/bin/env python3
"""Filter rules through rsync and through ours: both must keep the same paths of one tree.

Usage: filter_table.py FILTER_TOOL [--random N [SEED]]
A table of rule sets by hand, then random ones made of the same pieces.  Exit 77 without rsync.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile

FILES = [
    "x", "foo.o", "foo.c", "foo", "FOO.O", "a.b.c", ".hidden", "-dash", "+ plus", "- minus", "b[x]", "q\\r", "star*",
    "what?", "b-d", "a", "with space", "caret^", "bang!", "9nine", "tab\there", "new\nline", "]", "h\u00e9", "\u00fc",
    "b/x", "b/c/x", "b/c/foo.o", "b/foo.o", "b/d/e/f/x", "b/d/e/f/foo.o", "b/.hidden", "b/a", "b/aa",
    "dir/f", "dir/sub/g", "dir/sub/dir/h", "dir/sub/dir/x", "dir/x", "dir/dir/dir/x", "dirt/f", "dir.d/f",
    "src/a/b/c/d.c", "src/a/b/d.c", "src/b/d.c", "src/d.c", "src/d.h", "src/a/Makefile", "src/build/o.o",
    "build/o.o", "build/keep/k", "build/x/y/z", "deep/a/b/a/b/a/b/x", "deep/aa/ab/ba/bb/x", "deep/x/x/x/x",
    "c/b/a", "c/a/b", "cc/aXb", "cc/aXXb", "cc/a-b", "cc/ab", "cc/a.b", "cc/A5", "cc/z_", "cc/a/b/x", "cc/a/y/b",
    "\u00fc/x", "h\u00e9/\u00fc", "star*/x", "b[x]d/x", "q\\rd/x", "aaaa/aaab", "aaaa/aaaa",
]
RAW_FILES = [b"raw\xff", b"\xc3", b"d\xe4/\xf6", b"d\xe4/x"]
EMPTY = ["empty", "a.d", "dir/empty", "b/x.d", "cc/x/", "deep/foo.o"]

# One rule set a line.
TABLE = """
- *.o
- foo.o
- /foo.o
- foo
- x
- /x
- b/x
- /b/x
- b/c/x
- c/x
- /c/x
- dir
- dir/
- /dir/
- /dir
- x/
- x.d/
- foo.o/
- dir/*
- /dir/*
- dir/**
- /dir/**
- dir/***
- /dir/***
- /dir/***/
- dir/**/
- dir/sub/***
- sub/dir
- sub/dir/
- sub/dir/***
- **/x
- **/x/
- /**/x
- **/b/x
- **/dir/x
- **x
- **.o
- **/*.o
- *
- **
- ***
- /*
- /**
- /*/
- */
- /*/x
- */x
- */*/x
- /*/*/x
- a/**/b
- a/**/x
- /a/**/b
- b/**/x
- /b/**/x
- b/**/f/**/x
- /deep/**/b/x
- deep/**/a/b
- a**x
- a**b
- /a**b
- c**x
- /b**x
- d**/x
- src/**/d.c
- /src/**/d.c
- src/**d.c
- src/*/d.c
- src/*/*/d.c
- b**/x
- **b/x
- **b/**/x
- **a/b**
- **/a/**/b/**
- *a*b*
- cc/*a*b
- cc/a*b
- cc/a?b
- cc/a??b
- cc/a[X-]b
- cc/a[!X]b
- cc/a[^X]b
- cc/a[.-]b
- cc/[A-Z]*
- cc/[a-zA-Z][0-9]
- [!a-c]*
- [^a-c]*
- [a-c]*
- [!a-c]
- [a-c]/x
- [b/]x
- b[/]x
- [[:alpha:]]
- [[:alpha:]]*
- [[:digit:]]*
- [![:alnum:]]*
- [[:upper:]]*
- [[:lower:]][[:lower:]]*
- *[[:space:]]*
- *[[:blank:]]*
- *[[:cntrl:]]*
- *[[:punct:]]*
- [[:xdigit:]]*
- [[:graph:]]
- *[![:print:]]*
- [[:bogus:]]*
- [[:alpha:]*
- [[:alpha]]*
- [[:]*
- [[::]]*
- [[:]:]*
- []x]
- [!]x]
- []-a]
- [x-]*
- [-x]*
- [a-]*
- [z-a]*
- [a-c-e]*
- [[:digit:]-z]*
- [\\]]
- [\\[x]*
- [a\\-z]*
- [\\a-c]*
- [a-\\c]*
- *[\\\\]*
- [
- [a
- [!
- [a-
- x[
- *[
- a\\
- *a\\
- *\\
- q\\r
- q\\\\r
- q\\*
- q\\\\*
- q?r
- b[[]x]
- b\\[x]
- b\\[x\\]
- b[x]
- star\\*
- star*
- star[*]
- star\\*/x
- star\\**
- \\**
- \\*\\*x
- what\\?
- what?
- ?
- ??
- ???
- ????
- h?
- h??
- ?/x
- ??/x
- \u00fc
- [\u00fc]
- [\u00fc][\u00fc]
- h[\u00e9]*
- *[!a-z]
- raw?
- raw*
- d?/?
- d?/x
- .*
- .*/
- *.*
- *.*.*
- **/.*
- with space
- with*
- caret^
- caret[^]*
- bang!
- bang[!!]
- - *.o
- + *.o
-  x
- x\x20
- //x
- b//x
- /
- //
- x//
- dir//
- ./x
- ../x
- /./x
- b/../x
- /b/
- b/c/
- /b/c/
- b/*/
- b/*/x
- b/?/x
- /b/?/x
- b/[cd]/
- b/[cd]/***
- /b/*/***
- */***
- */**
- **/***
- ***/x
- ***x
- x***
- dir***
- dir**
- /dir***
- d***/x
- build/***
- build
- aaaa/*a*a*a*b
- **a**a**a**b
- *a*a*a*a*a*b
- **/**/x
- **/**
- /**/**/x
- **?x
- **[/]x
- ?**x
- [b]**x
- /?**/x
+ /b/ | - *
+ /b/ | + /b/** | - *
+ /a/ | - *
+ /b/ | + /b/c/ | + /b/c/x | - *
+ /b/*** | - *
+ */ | - *
+ */ | + *.c | - *
+ */ | + x | - *
+ foo.o | - *.o
- *.o | + foo.o
+ /foo.o | - foo.o
+ **/foo.o | - *.o
+ /dir/ | + /dir/sub/ | + /dir/sub/g | - *
+ /dir/ | + /dir/sub/*** | - /dir/* | - /b*
+ dir/ | - dir*
- dir/ | + dir
+ x | - x
- x/ | - /x
+ */x | - x
+ b/**/x | - x
- /src/a/ | + /src/** | - *.c
+ /src/ | + /src/**.c | + /src/**/ | - *
+ /src/ | + /src/*/ | + *.c | - *
- .* | - *.o | - build/ | - /deep
+ /cc/a* | - /cc/*
+ [a-c]* | - *
+ /*/ | - /*
- a | - b | - c
+ b/c | - c | - b/d
+ **/ | - **
+ b*** | - *
- dir/sub | + dir/sub/g
- /*.o
- /foo
- a/**
- a/*/c
- a[!1]
- /.*
- -dash
- foo.*
- a/***
+ /a/ | + /a/one.c | - *
- *.o | - *.c | - foo/
- b/c
+ /x/ | + /x/** | - /*
+ *.o | - *
"""


def rule_sets():
    for line in TABLE.strip("\n").split("\n"):
        yield [rule.replace("\\\\", "\\") for rule in line.split(" | ")]


def random_sets(count, seed):
    rng = random.Random(seed)
    pieces = ["a", "b", "c", "x", "dir", "foo", ".o", "sub", "*", "*", "**", "***", "?", "/", "/", "/", "[a-c]", "[!a]",
              "[^x]", "[[:alpha:]]", "\\*", "\\a", "[]]", ".", "src", "deep", "\u00fc", "aa"]
    for _ in range(count):
        rules = []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            pattern = "".join(rng.choice(pieces) for _ in range(rng.randint(1, 6)))
            rules.append(rng.choice("--+") + " " + pattern)
        yield rules


def make_tree(root):
    for name in [name.encode() for name in FILES] + RAW_FILES:
        path = os.path.join(root, name)
        if os.path.isdir(path):
            continue
        parent = os.path.dirname(path)
        if os.path.isfile(parent):
            os.unlink(parent)
        os.makedirs(parent, exist_ok=True)
        open(path, "wb").close()
    for name in EMPTY:
        os.makedirs(os.path.join(root, name.encode()), exist_ok=True)


def unescape(name):
    out = bytearray()
    at = 0
    while at < len(name):
        if name[at:at + 2] == b"\\#" and name[at + 2:at + 5].isdigit():
            out.append(int(name[at + 2:at + 5], 8))
            at += 5
        else:
            out.append(name[at])
            at += 1
    return bytes(out)


def rsync_paths(root, empty, rules):
    # A dry run into an empty directory names what would move; -8 leaves names as they are but for
    # control bytes, which come as \\#ooo.
    args = [b"rsync", b"-rn", b"-8", b"-0", b"--out-format=%n", b"--exclude-from=-", root + b"/", empty + b"/"]
    run = subprocess.run(args, input=b"".join(rule.encode() + b"\0" for rule in rules), capture_output=True,
                         env={**os.environ, "LC_ALL": "C"})
    if run.returncode != 0:
        return None, run.stderr.decode(errors="replace")
    paths = {unescape(line).rstrip(b"/") for line in run.stdout.split(b"\n") if line}
    return paths - {b".", b""}, ""


def our_paths(tool, root, rules):
    run = subprocess.run([tool.encode(), root] + [rule.encode() for rule in rules], capture_output=True)
    if run.returncode != 0:
        return None, run.stderr.decode(errors="replace")
    return {path for path in run.stdout.split(b"\0") if path}, ""


def check(tool, root, empty, rules, sizes):
    theirs, their_error = rsync_paths(root, empty, rules)
    ours, our_error = our_paths(tool, root, rules)
    if theirs is not None:
        sizes.append(len(theirs))
    if theirs is None and ours is None:
        return True
    if theirs is not None and theirs == ours:
        return True
    print("DIFFERS", rules)
    if theirs is None or ours is None:
        print("  rsync:", their_error or "accepts", "\n  ours:", our_error or "accepts")
    else:
        print("  only rsync keeps:", sorted(theirs - ours)[:8])
        print("  only ours keeps: ", sorted(ours - theirs)[:8])
    return False


def main():
    tool = sys.argv[1]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    if shutil.which("rsync") is None:
        print("skipped: no rsync here")
        return 77
    with tempfile.TemporaryDirectory() as scratch:
        root = os.path.join(scratch.encode(), b"tree")
        empty = os.path.join(scratch.encode(), b"empty")
        os.mkdir(root)
        os.mkdir(empty)
        make_tree(root)
        sets = list(rule_sets()) + list(random_sets(count, seed))
        sizes = []
        bad = sum(not check(tool, root, empty, rules, sizes) for rules in sets)
        all_size = len(our_paths(tool, root, [])[0])
    some = sum(0 < size < all_size for size in sizes)
    print(f"{len(sets)} rule sets, {bad} differ; of {all_size} paths {some} of them keep some, "
          f"{sizes.count(all_size)} all, {sizes.count(0)} none, {len(sets) - len(sizes)} are refused")
    if some < 100:  # else this test tests nothing
        print("too few rule sets have an effect")
        return 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
