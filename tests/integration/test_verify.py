#!/usr/bin/env python3
"""hawser verify: every difference is named, nothing changes, an export that may only be read will do."""

import os
import subprocess

import hawser_test
import tree


def copy(src, dst):
    subprocess.run(["cp", "-a", src, dst], check=True)


def read_only(t, root):
    return t.server(args=("--export", "x=%s:ro" % root))


def lines(r):
    found = [(x["event"], x["path"], ",".join(x["differs"])) for x in r.rows("difference")]
    # Which of two names comes second is the directory's choice.
    return sorted(("differs", "two", "link") if x == ("differs", "one", "link") else x for x in found), r.summary()


def keep_times(path, function):
    """Change something below @path without a trace in its time."""
    st = os.stat(path)
    function()
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


def test_equal_trees(t):
    src, dst = t.dir("src"), t.path("dst")
    tree.build(src, parts=[p for p in tree.ALL if p is not tree.add_deep])
    copy(src, dst)
    server = read_only(t, dst)
    for digest in ("xxh3", "blake3"):
        r = t.run("verify", "--digest=" + digest, src + "/", server.url(), rc=0)
        t.says(r, "0 differences", digest)
    t.same(src, dst)


def test_every_kind_is_named(t):
    src, dst = t.dir("src"), t.dir("dst")
    b = tree.Builder(src)
    for name in ("same", "content", "size", "mode", "mtime", "gone", "kind", "both"):
        b.random_file(name, 70000, mtime_ns=10**18)
    b.random_file("large", 130 << 20, mtime_ns=10**18)
    b.directory("dir/below")
    b.symlink("link", "somewhere", mtime_ns=10**18)
    b.file("one", b"1" * 100, mtime_ns=10**18)
    os.link(src + "/one", src + "/two")
    os.rmdir(dst)
    copy(src, dst)

    def poke(name, at):
        st = os.stat(dst + "/" + name)
        with open(dst + "/" + name, "r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1]))
        os.utime(dst + "/" + name, ns=(st.st_atime_ns, st.st_mtime_ns))

    def change():
        poke("content", 5)
        poke("large", (130 << 20) - 1)
        poke("both", 69999)
        os.chmod(dst + "/both", 0o600)
        os.truncate(dst + "/size", 60000)
        os.utime(dst + "/size", ns=(10**18, 10**18))
        os.chmod(dst + "/mode", 0o640)
        os.utime(dst + "/mtime", ns=(10**18, 10**18 + 1))
        os.unlink(dst + "/gone")
        os.unlink(dst + "/kind")
        os.mkdir(dst + "/kind")
        os.unlink(dst + "/link")
        os.symlink("elsewhere", dst + "/link")
        os.utime(dst + "/link", ns=(10**18, 10**18), follow_symlinks=False)
        os.unlink(dst + "/two")
        copy(dst + "/one", dst + "/two")
        keep_times(dst + "/dir", lambda: open(dst + "/dir/extra", "w").close())
        os.chmod(dst + "/dir/below", 0o700)

    keep_times(dst, change)
    want = sorted([("differs", "content", "content"), ("differs", "large", "content"),
                   ("differs", "both", "content,mode"), ("differs", "size", "size"), ("metadata", "mode", "mode"),
                   ("metadata", "mtime", "mtime"), ("missing", "gone", ""), ("differs", "kind", "type"),
                   ("differs", "link", "content"), ("differs", "two", "link"), ("extra", "dir/extra", ""),
                   ("metadata", "dir/below", "mode")])
    server = read_only(t, dst)
    before = os.stat(dst).st_ctime_ns
    for digest in ("xxh3", "blake3"):
        r = t.run("verify", "--json", "--digest=" + digest, src + "/", server.url(), rc=1)
        found, summary = lines(r)
        t.check(found == want, "found %r\n wanted %r" % (found, want), r)
        t.check((summary["differences"], summary["exit"], summary["failed"]) == (len(want), 1, 0), "summary", r)
    t.check(os.stat(dst).st_ctime_ns == before, "it changed something")
    r = t.run("verify", src + "/", server.url(), rc=1)
    t.says(r, "differs both: content, mode", "missing gone", "extra dir/extra", "12 differences")
    r = t.run("verify", "--no-times", "--exclude=/[a-l]*", src + "/", server.url(), rc=1)
    t.says(r, "metadata mode: mode", "differs size: size", "3 differences")


def test_single_file_and_missing_tree(t):
    src, dst = t.dir("src"), t.dir("dst")
    tree.Builder(src).file("f", b"x" * 5000, mtime_ns=10**18)
    copy(src + "/f", dst + "/g")
    server = read_only(t, dst)
    t.says(t.run("verify", src + "/f", server.url(path="g"), rc=0), "0 differences")
    t.says(t.run("verify", src + "/f", server.url(path="h"), rc=1), "missing h")
    t.says(t.run("verify", src + "/", server.url(path="none/there"), rc=1), "missing f")
    t.run("verify", src + "/nothing", server.url(), rc=1)
    t.run("push", "-n", src + "/", server.url(), rc=3)  # the right to read is not enough for that


def test_many_differences(t):
    """More names than any buffer holds; each is told."""
    src, dst = t.dir("src"), t.dir("dst")
    long = "n" * 200
    for i in range(20000):
        with open("%s/%s%05d" % (src, long, i), "wb") as file:
            file.write(b"x")
    server = read_only(t, dst)
    r = t.run("verify", "--no-times", src + "/", server.url(), rc=1)
    names = [x for x in r.out.decode().split("\n") if x.startswith("missing ")]
    t.check(len(names) == 20000 and len(set(names)) == 20000, "%d names told" % len(names))
    t.says(r, "20,000 differences")


def test_refusals(t):
    src = t.dir("src")
    server = read_only(t, t.dir("dst"))
    t.run("verify", src + "/", server.url(export="y"), rc=3)
    for words in (["verify", src], ["verify", "hawser://h/x", src], ["verify", "-n", src, "hawser://h/x"],
                  ["verify", "--delete", src, "hawser://h/x"], ["verify", "--digest=md5", src, "hawser://h/x"]):
        t.run(*words, rc=2)


if __name__ == "__main__":
    hawser_test.main(globals())
