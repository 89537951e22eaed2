#!/usr/bin/env python3
"""hawser digest: what b3sum prints, for files here and at a server."""

import os
import shutil
import subprocess

import hawser_test
import tree


def b3sum(folder, names):
    if shutil.which("b3sum") is None:
        raise hawser_test.Skip("no b3sum")
    return subprocess.run([b"b3sum", b"--"] + [os.fsencode(n) for n in names], cwd=folder, check=True,
                          stdout=subprocess.PIPE).stdout


def names_below(folder, top):
    """Regular files as a sorted walk meets them."""
    found = []
    for place, _, files in os.walk(os.path.join(folder, top)):
        found += [os.path.relpath(os.path.join(place, f), folder) for f in files
                  if os.path.isfile(os.path.join(place, f)) and not os.path.islink(os.path.join(place, f))]
    return sorted(found, key=lambda n: os.fsencode(n).replace(b"/", b"\0"))


def a_tree(t):
    src = t.dir("src")
    b = tree.Builder(src)
    for name in ("sizes", "a", "a/b"):
        b.directory(name)
    for size in (0, 1, 1024, 1025, 65536, 65537, 262144, 262145, 1 << 20, 70 << 20):
        b.random_file("sizes/f%d" % size, size)
    for name in ("a/x", "a-b", "a.c", "a/b/y", "line\nbreak", "back\\slash", "both\\\n", "space d", "caf\u00e9"):
        b.random_file(name, 3000)
    b.sparse("sparse", 40 << 20, [(0, 10), (17 << 20, 70000)])
    b.symlink("link", "a-b")
    os.mkfifo(src + "/fifo")
    return src


def test_files_here(t):
    src = a_tree(t)
    want = b3sum(t.folder, names_below(t.folder, "src"))
    r = t.run("digest", "src", rc=0, cwd=t.folder)
    t.check(r.out == want, "not what b3sum says", r)
    r = t.run("digest", "src/sizes/f1025", "src/sparse", rc=0, cwd=t.folder)
    t.check(r.out == b3sum(t.folder, ["src/sizes/f1025", "src/sparse"]), "files by name", r)
    r = t.run("digest", ".", rc=0, cwd=src)
    t.check(r.out == b3sum(src, ["./" + n for n in names_below(src, ".")]), "in .", r)
    check = subprocess.run(["b3sum", "--check", "-"], input=want, cwd=t.folder, stdout=subprocess.DEVNULL)
    t.check(check.returncode == 0, "b3sum --check disagrees")


def test_at_a_server(t):
    src = a_tree(t)
    server = t.server(args=("--export", "x=%s:ro" % src))
    want = b3sum(src, names_below(src, "."))
    r = t.run("digest", server.url() + b"/", rc=0)
    t.check(r.out == want, "not what b3sum says", r)
    r = t.run("digest", server.url(path="sizes"), rc=0)
    t.check(r.out == b3sum(src, names_below(src, "sizes")), "a directory", r)
    r = t.run("digest", server.url(path="sizes/f65537"), rc=0)
    t.check(r.out.split()[0] == b3sum(src, ["sizes/f65537"]).split()[0], "a file", r)
    t.run("digest", server.url(path="none"), rc=1)
    t.run("digest", server.url(export="y"), rc=3)


def test_options_and_failures(t):
    src = t.dir("src")
    tree.Builder(src).file("f", b"hello")
    tree.Builder(src).file("g", b"hello")
    r = t.run("digest", "--json", "--exclude=g", src, rc=0)
    found = r.rows()
    t.check(len(found) == 1 and found[0]["bytes"] == 5 and found[0]["path"] == src + "/f" and
            found[0]["blake3"] == "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f", found)
    r = t.run("digest", "--digest=xxh3", src + "/f", rc=0)
    t.check(len(r.out.split()[0]) == 32, "xxh3 has 16 bytes", r)
    r = t.run("digest", src + "/none", src + "/f", rc=1)
    t.check(b"f\n" in r.out, "the other file too", r)
    t.says(r, "none")
    t.run("digest", rc=2)
    t.run("digest", "--delete", src, rc=2)
    if not tree.is_root():
        os.chmod(src + "/g", 0)
        t.says(t.run("digest", src, rc=1), "g")


if __name__ == "__main__":
    hawser_test.main(globals())
