#!/usr/bin/env python3
"""What goes wrong: each message names the file, the cause and what to do; nothing is half done."""

import os
import signal
import socket
import threading
import time

import hawser_test
import tree

TOGETHER = 2
NOBODY = 65534
# Who has no rights beyond those that modes give: root becomes somebody else, anyone else is it.
PLAIN = NOBODY if tree.is_root() else None


def test_unknown_host(t):
    src = t.dir("src")
    r = t.run("push", src + "/", "hawser://no-such-host.invalid/x", rc=3, timeout=60)
    t.says(r, "no-such-host.invalid")


def test_refused(t):
    src = t.dir("src")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]  # bound and not listening: refused
        r = t.run("push", src + "/", "hawser://127.0.0.1:%d/x" % port, rc=3)
    t.says(r, "refused", str(port))


def test_not_a_hawser_server(t):
    """A server that talks first, one that closes, one that says nothing."""
    src = t.dir("src")
    for banner in (b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 4096, b""):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen(8)

            def serve(s=s, banner=banner):
                try:
                    while True:
                        c, _ = s.accept()
                        c.sendall(banner)
                        c.close()
                except OSError:
                    pass

            threading.Thread(target=serve, daemon=True).start()
            r = t.run("push", src + "/", "hawser://127.0.0.1:%d/x" % s.getsockname()[1], rc=(3, 4))
            t.check(r.err, "no message:", r)
            s.shutdown(socket.SHUT_RDWR)


def test_no_such_export(t):
    src = t.dir("src")
    server = t.server({"x": t.dir("dst")})
    r = t.run("push", src + "/", server.url("nothere"), rc=3)
    t.says(r, "nothere", "export")
    r = t.run("pull", server.url("nothere") + b"/", t.path("back"), rc=3)
    t.says(r, "nothere")
    t.alive(server)


def test_read_only_export(t):
    src, dst = t.dir("src"), t.dir("dst")
    tree.Builder(src).file("f", b"x")
    server = t.server({"x": (dst, "ro")})
    r = t.run("push", src + "/", server.url(), rc=3)
    t.says(r, ("read-only", "read only"))
    t.check(os.listdir(dst) == [], "a read-only export was written")
    r = t.run("push", "--delete", src + "/", server.url(), rc=3)
    t.run("pull", server.url() + b"/", t.path("back"), rc=0)


def test_no_such_source(t):
    src, dst = t.dir("src"), t.dir("dst")
    tree.Builder(src).file("f", b"x")
    server = t.server({"x": dst})
    r = t.run("push", src, t.path("missing"), server.url(), rc=1)
    t.says(r, "missing", "no such file")
    t.check(os.path.exists(dst + "/src/f"), "the other source moves:", r)
    r = t.run("pull", server.url(path="nope"), t.path("back"), rc=(1, 3))
    t.says(r, "nope")


def test_unreadable_file_as_plain_user(t):
    """The others move, the exit code is 1, the file and the cause are named."""
    src, dst = t.dir("src"), t.dir("dst")
    b = tree.Builder(src)
    for i in range(50):
        b.random_file("f%02d" % i, 1000 * i)
    b.random_file("closed-small", 100, mode=0o000)
    b.random_file("closed-large", 3 * tree.MIB, mode=0o000)
    b.random_file("write-only", 100, mode=0o200)
    b.directory("closed-dir", mode=0o000)
    b.file("closed-dir/in", b"x")
    b.finish()
    server = t.server({"x": dst})
    r = t.run("push", src + "/", server.url(), user=PLAIN, rc=1)
    closed = ("closed-small", "closed-large", "write-only")
    t.says(r, *closed, "closed-dir", "permission denied")
    for i in range(50):
        t.check(os.path.getsize(dst + "/f%02d" % i) == 1000 * i, "f%02d did not move" % i, r)
    for name in closed:
        t.check(not os.path.lexists(dst + "/" + name), "an unreadable file appeared:", name)
    t.no_stage_files(dst)


def test_no_permission_at_target(t):
    src, back = t.dir("src"), t.dir("back", mode=0o555)
    b = tree.Builder(src)
    b.directory("ok")
    b.file("ok/f", b"x")
    b.file("f", b"x")
    server = t.server({"x": src})
    r = t.run("pull", server.url() + b"/", back, user=PLAIN, rc=1)
    t.says(r, "permission denied")
    t.check(os.listdir(back) == [], "written without permission")


def test_server_as_plain_user_without_rights(t):
    src, dst = t.dir("src"), t.dir("dst")
    tree.Builder(src).file("f", b"x")
    os.mkdir(dst + "/locked", 0o555)
    os.chmod(dst, 0o777)

    def become():
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    server = t.server({"x": dst}, preexec=become if PLAIN else None)
    r = t.run("push", src + "/", server.url(path="locked"), rc=(1, 3))
    t.says(r, "permission denied")
    t.run("push", src + "/", server.url(path="open"), rc=0)
    t.check(os.stat(dst + "/open/f").st_uid == (PLAIN or os.geteuid()), "owner")
    t.alive(server)


def slow_push(t, src, server, rate="4M"):
    """A push that has begun to write and will need seconds to end."""
    p = t.start("push", "--bwlimit=" + rate, src + "/", server.url())
    return p


def test_file_vanishes(t):
    """Files removed after the walk and before their turn: named, the others move, exit 1."""
    src, dst = t.dir("src"), t.dir("dst")
    b = tree.Builder(src)
    b.random_file("a-first", 24 * tree.MIB)
    for i in range(20):
        b.random_file("z%02d" % i, 2 * tree.MIB)
    server = t.server({"x": dst})
    p = slow_push(t, src, server, "16M")
    time.sleep(0.7)
    os.unlink(src + "/z19")
    r = p.wait()
    if r.rc == 0:  # its bytes were read before: then it must have arrived whole
        t.check(os.path.getsize(dst + "/z19") == 2 * tree.MIB, "exit 0 without z19:", r)
    else:
        t.check(r.rc == 1, "exit 1 expected:", r)
        t.says(r, "z19")
    for i in range(19):
        t.check(os.path.getsize(dst + "/z%02d" % i) == 2 * tree.MIB, "z%02d" % i, r)
    t.no_stage_files(dst)


def test_file_changes_while_read(t):
    """Retried, then reported.  What lands is one whole version or nothing; never a mixture."""
    src, dst = t.dir("src"), t.dir("dst")
    size = 8 * tree.MIB
    b = tree.Builder(src)
    b.file("busy", b"\0" * size)
    b.random_file("calm", 100000)
    server = t.server({"x": dst})
    stop = threading.Event()

    def write():
        with open(src + "/busy", "r+b", buffering=0) as f:
            n = 0
            while not stop.is_set():
                n = (n + 1) % 250
                for offset in range(0, size, tree.MIB):
                    f.seek(offset)
                    f.write(bytes([n + 1]) * 4096)
                    time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        r = t.run("push", "--bwlimit=16M", src + "/", server.url(), timeout=120)
    finally:
        stop.set()
        writer.join()
    t.check(r.rc == 1, "a file that always changes cannot be a success:", r)
    t.says(r, "busy", "changed")
    t.check(os.path.getsize(dst + "/calm") == 100000, "the other file did not move:", r)
    t.check(not os.path.exists(dst + "/busy"), "a mixture of versions was committed:", r)
    t.no_stage_files(dst)
    t.run("push", src + "/", server.url(), rc=0)  # now it is calm
    t.same(src, dst)


def test_small_file_becomes_fifo(t):
    """Between being listed and being read: nobody waits for a writer, and nothing is taken from the FIFO."""
    src, dst = t.dir("src"), t.dir("dst")
    names = ["f%04d" % i for i in range(3000)]
    b = tree.Builder(src)
    for name in names:
        b.random_file(name, 8192)
    server = t.server({"x": dst})
    p = slow_push(t, src, server, "8M")
    time.sleep(1)
    late = sorted(set(names) - set(os.listdir(dst)))[-2000:]
    held = {}  # every fourth holds bytes, which need an open descriptor: a user may have but 1024
    try:
        for index, name in enumerate(late):
            os.mkfifo(src + "/new")
            os.rename(src + "/new", src + "/" + name)
            if index % 4 == 0:
                held[name] = os.open(src + "/" + name, os.O_RDWR | os.O_NONBLOCK)
                os.write(held[name], b"kept")
        r = p.wait()
        refused = [name for name in late if not os.path.lexists(dst + "/" + name)]
        t.check(r.rc == 1 and len(refused) > 100,
                "only %d of %d were too late" % (len(refused), len(late)), r)
        t.check(len(held.keys() & set(refused)) > 25, "too few of them held bytes", r)
        t.says(r, refused[0])
        for name, fd in held.items():
            t.check(os.read(fd, 10) == b"kept", "something was read from", name, r)
    finally:
        for fd in held.values():
            os.close(fd)
    t.no_stage_files(dst)


def test_file_grows_and_shrinks_while_read(t):
    src, dst = t.dir("src"), t.dir("dst")
    tree.Builder(src).random_file("shrinks", 12 * tree.MIB)
    tree.Builder(src).random_file("grows", 12 * tree.MIB)
    server = t.server({"x": dst})
    p = slow_push(t, src, server, "12M")
    time.sleep(0.6)
    os.truncate(src + "/shrinks", 1000)
    with open(src + "/grows", "ab") as f:
        f.write(b"more" * 1000)
    r = p.wait()
    t.check(r.rc in (0, 1), "exit 0 after a retry or 1:", r)
    if r.rc == 0:
        t.same(src, dst)
    t.no_stage_files(dst)
    t.run("push", src + "/", server.url(), rc=0)
    t.same(src, dst)


def test_target_full_of_server(t):
    """ENOSPC at the server: said clearly, the old content stays, what was committed stays."""
    full = t.tmpfs("full", 24 * tree.MIB)
    src = t.dir("src")
    tree.Builder(full).random_file("big", 5 * tree.MIB)
    old = open(full + "/big", "rb").read()
    b = tree.Builder(src, seed=2)
    for i in range(10):
        b.random_file("a%d" % i, 10000)
    b.random_file("big", 40 * tree.MIB)
    server = t.server({"x": full})
    r = t.run("push", src + "/", server.url(), rc=(1, 5))
    t.says(r, "no space", "big")
    t.check(open(full + "/big", "rb").read() == old, "the old content is gone")
    t.no_stage_files(full)
    t.alive(server)
    b.random_file("big", 4 * tree.MIB)
    t.run("push", src + "/", server.url(), rc=0)
    t.same(src, full)


def test_target_full_of_client(t):
    full = t.tmpfs("full", 8 * tree.MIB)
    src = t.dir("src")
    tree.Builder(src).random_file("big", 40 * tree.MIB)
    tree.Builder(src).random_file("many", 1000)
    server = t.server({"x": src})
    r = t.run("pull", server.url() + b"/", full + "/in", rc=(1, 5))
    t.says(r, "no space", "big")
    t.check(not os.path.exists(full + "/in/big"), "a part appeared")
    t.no_stage_files(full)


def interrupted(t, direction, how, victim, *options):
    """Kill or interrupt one side in mid transfer; then check, then finish with a second run."""
    src, dst = t.dir("src"), t.dir("dst")
    b = tree.Builder(src)
    b.random_file("big", 48 * tree.MIB)
    for i in range(100):
        b.random_file("s%d" % i, 20000)
    tree.Builder(dst, seed=5).random_file("big", 48 * tree.MIB, mtime_ns=10**18)
    old = open(dst + "/big", "rb").read()
    export = dst if direction == "push" else src
    server = t.server({"x": export})
    if direction == "push":
        args = ["push", src + "/", server.url()]
    else:
        args = ["pull", server.url() + b"/", dst]
    p = t.start(args[0], "--bwlimit=16M", *options, *args[1:])
    time.sleep(1.5)
    t.check(p.poll() is None, "ended too soon:", p.result())
    if victim == "client":
        p.kill(how)
        r = p.wait(20)
        t.alive(server)
    else:
        server.kill(how)
        server.wait(20)
        r = p.wait(60)
        t.check(r.rc in (1, 3, 4), "the client must say that its server is gone:", r)
        t.check(r.err, "no message:", r)
        server = t.server({"x": export})
        args[1 if direction == "pull" else 2] = server.url() + (b"/" if direction == "pull" else b"")
    if how == signal.SIGINT and victim == "client":
        t.check(r.rc == 130, "exit 130 expected:", r)
        if "--no-journal" in options:
            t.until(lambda: not hawser_test.stage_files(dst), 20, "end of the stage files")
    t.check(open(dst + "/big", "rb").read() == old, "the old content changed")
    for name in os.listdir(dst):
        if not name.startswith(".hawser."):
            t.check(os.path.exists(src + "/" + name)
                    and os.path.getsize(dst + "/" + name) == os.path.getsize(src + "/" + name),
                    "a part is visible: %s" % name)
    t.run(*args, rc=0)
    t.same(src, dst)
    t.no_stage_files(dst)


def test_ctrl_c_push(t):
    interrupted(t, "push", signal.SIGINT, "client")


def test_ctrl_c_pull(t):
    interrupted(t, "pull", signal.SIGINT, "client")


def test_ctrl_c_without_a_journal(t):
    """Nothing is kept that the next run could go on with."""
    interrupted(t, "push", signal.SIGINT, "client", "--no-journal")


def test_ctrl_c_pull_without_a_journal(t):
    interrupted(t, "pull", signal.SIGINT, "client", "--no-journal")


def test_kill_client_push(t):
    interrupted(t, "push", signal.SIGKILL, "client")


def test_kill_client_pull(t):
    interrupted(t, "pull", signal.SIGKILL, "client")


def test_kill_server_push(t):
    interrupted(t, "push", signal.SIGKILL, "server")


def test_kill_server_pull(t):
    interrupted(t, "pull", signal.SIGKILL, "server")


def test_stale_stage_files_go(t):
    """What an earlier run left is removed; a file of the user that only looks alike is not."""
    src, dst = t.dir("src"), t.dir("dst")
    b = tree.Builder(src)
    b.random_file("big", 48 * tree.MIB)
    b.directory("d")
    b.random_file("d/f", 1000)
    tree.Builder(dst).file(".hawserrc", b"of the user")
    server = t.server({"x": dst})
    for _ in range(3):
        p = slow_push(t, src, server, "16M")
        time.sleep(1.0)
        p.kill(signal.SIGKILL)
        p.wait()
        server.kill(signal.SIGKILL)
        server.wait()
        server = t.server({"x": dst})
    t.run("push", src + "/", server.url(), rc=0)
    left = [x for x in hawser_test.stage_files(dst) if not x.endswith(b".hawserrc")]
    t.check(not left, "stage files remain: %s" % left)
    t.check(os.path.exists(dst + "/.hawserrc"), "a file of the user was removed")


if __name__ == "__main__":
    hawser_test.main(globals())
