#!/usr/bin/env python3
"""Deltas: every edit comes out exact and moves little, whole or in place, pushed or pulled; what changes under our
hands, what is linked, sparse or cut off comes out exact too."""

import os
import random
import shutil
import subprocess
import time

import hawser_test
import tree
from hawser_test import Skip

MIB = 1 << 20
SIZE = 3 * MIB + 777
BLOCK = 4096


def edits():
    """name: (old bytes, new bytes); each moves far less than it holds."""
    change = random.Random(4)
    base = change.randbytes(SIZE)
    blocks = bytearray(base)
    for block in change.sample(range(SIZE // BLOCK), SIZE // BLOCK // 100):
        blocks[block * BLOCK:(block + 1) * BLOCK] = change.randbytes(BLOCK)
    log = b"".join(b"%08d a line of a log %d\n" % (i, change.getrandbits(60)) for i in range(60000))
    third = SIZE // 3
    return {
        "append": (base, base + change.randbytes(5000)),
        "prepend": (base, change.randbytes(5000) + base),
        "insert": (base, base[:third] + change.randbytes(100) + base[third:]),
        "delete": (base, base[:third] + base[third + 12345:]),
        "swap": (base, base[2 * third:] + base[third:2 * third] + base[:third]),
        "truncate": (base, base[:2 * third + 17]),
        "blocks": (bytes(base), bytes(blocks)),
        "rotated": (log, log[len(log) // 2:] + b"".join(b"%08d new %d\n" % (i, i * i) for i in range(2000))),
        "zeros": (base, base[:third] + bytes(MIB) + base[third:]),
        "touched": (base, base),
    }


def make(t, all_edits, src, dst):
    for name, (old, new) in all_edits.items():
        for folder, content, when in ((dst, old, 10**18), (src, new, 11 * 10**17)):
            path = os.path.join(folder, name)
            with open(path, "wb") as file:
                file.write(content)
            os.utime(path, ns=(when, when))


def pushed(t, src, dst, *options, server=None):
    server = server or t.server({"x": dst})
    r = t.run("push", "--json", "--delta=on", *options, src + "/", server.url(), rc=0)
    t.same(src, dst)
    t.no_stage_files(dst)
    return r.summary(), r


def check_small(t, found, r, files, fallbacks=0):
    wire = found["wire_sent"] + found["wire_received"]
    t.check(found["delta_files"] == files and found["delta_fallbacks"] == fallbacks, "not by delta:", r)
    t.check(found["copied_bytes"] > found["bytes"] * 0.8, "little was copied:", r)
    t.check(wire < found["bytes"] * 0.2, "much was sent:", wire, r)


def test_delta_every_edit(t):
    all_edits = edits()
    for number, options in enumerate(([], ["--streams=1", "--depth=1", "--chunk=65536"], ["--digest=blake3"],
                                      ["--delta-block=512"], ["--inplace"])):
        src, dst = t.dir("src%d" % number), t.dir("dst%d" % number)
        make(t, all_edits, src, dst)
        found, r = pushed(t, src, dst, *options)
        if options != ["--inplace"]:
            check_small(t, found, r, len(all_edits))
        again, r = pushed(t, src, dst, *options)
        t.check(again["bytes"] == 0, "moved again:", r)


def small_edits():
    """name: (old bytes, new bytes), of small files."""
    change = random.Random(5)
    found = {}
    for number in range(300):
        size = change.choice((700, 3000, 9000, 25000, 60000))
        old = b"".join(b"%06d line %d of a text\n" % (i, change.getrandbits(40)) for i in range(size // 30))
        at = change.randrange(len(old))
        new = {0: old, 1: old[:at] + b"inserted\n" * 3 + old[at:], 2: old[at // 2:], 3: old + old[:100],
               4: old[:at] + b"X" + old[at + 1:]}[number % 5]
        found["f%d" % number] = (old, new)
    return found


def test_delta_small_files(t):
    """Small files move little too, and come out exact; pushed and pulled, in chunks and packs of all sizes."""
    all_edits = small_edits()
    narrow = ["--chunk=65536", "--depth=1", "--streams=1"]
    for number, options in enumerate(([], narrow, ["--digest=blake3"], ["--inplace"])):
        src, dst = t.dir("src%d" % number), t.dir("dst%d" % number)
        make(t, all_edits, src, dst)
        found, r = pushed(t, src, dst, *options)
        t.check(found["delta_fallbacks"] == 0, "a delta failed:", r)
        t.check(found["delta_files"] > 250, "not by delta:", r)
        t.check(found["literal_bytes"] < found["bytes"] / 10, "much was sent:", r)
        t.check(found["literal_bytes"] + found["copied_bytes"] <= found["bytes"], "added up wrongly:", r)
        again, r = pushed(t, src, dst, *options)
        t.check(again["bytes"] == 0, "moved again:", r)
    src, dst = t.dir("src"), t.dir("dst")
    make(t, all_edits, src, dst)
    server = t.server({"x": src})
    r = t.run("pull", "--json", "--delta=on", server.url() + b"/", dst, rc=0)
    t.same(src, dst)
    found = r.summary()
    t.check(found["delta_files"] > 250 and found["wire_received"] < found["bytes"] / 5, "much came:", r)


def test_delta_10000_changes_meanwhile(t):
    """Somebody changes old versions, small and large, all the time while they are used: no stale signature is
    believed, and every file that was taken for a delta either came out by it or was wanted whole."""
    src, dst = t.dir("src"), t.dir("dst")
    change = random.Random(6)
    all_edits = dict(small_edits())
    for number in range(40):
        old = change.randbytes(200000)
        all_edits["large%d" % number] = (old, old[:90000] + b"new" * 5 + old[90000:])
    make(t, all_edits, src, dst)
    names = sorted(all_edits)
    server = t.server({"x": dst})
    p = t.start("push", "--json", "--delta=on", "--bwlimit=1M", src + "/", server.url())
    for number in range(10000):
        try:
            with open(os.path.join(dst, change.choice(names)), "r+b") as file:
                file.seek(change.randrange(100) * 7)
                file.write(b"%05d" % number)
        except FileNotFoundError:
            pass
        if p.poll() is not None:
            break
    r = p.wait()
    t.check(r.rc == 0, "it failed:", r)
    found = r.summary()
    t.check(number == 9999, "too few changes while it ran:", number)
    t.check(found["delta_fallbacks"] > 0, "nothing was noticed:", r)
    t.check(found["delta_files"] <= len(all_edits), "counted twice:", r)
    r = t.run("push", "--checksum", src + "/", server.url(), rc=0)  # what was changed after it had come
    t.same(src, dst)


def test_delta_pull_and_disk(t):
    all_edits = edits()
    disk = t.disk_folder()
    src, dst = os.path.join(disk, "src"), os.path.join(disk, "dst")
    os.mkdir(src)
    os.mkdir(dst)
    make(t, all_edits, src, dst)
    server = t.server({"x": src})
    r = t.run("pull", "--json", "--delta=on", server.url() + b"/", dst, rc=0)
    t.same(src, dst)
    check_small(t, r.summary(), r, len(all_edits))


def test_delta_whole_file_and_off(t):
    all_edits = {"append": edits()["append"]}
    for number, option in enumerate(("-W", "--delta=off")):
        src, dst = t.dir("src%d" % number), t.dir("dst%d" % number)
        make(t, all_edits, src, dst)
        server = t.server({"x": dst})
        r = t.run("push", "--json", option, src + "/", server.url(), rc=0)
        t.same(src, dst)
        t.check(r.summary()["copied_bytes"] == 0 and r.summary()["wire_sent"] > SIZE, "not whole:", r)


def test_delta_inplace_keeps_the_inode(t):
    """What has one name is written where it lies."""
    all_edits = {"blocks": edits()["blocks"], "prepend": edits()["prepend"]}
    for number, options in enumerate(([], ["--inplace"], ["--inplace", "-W"])):
        src, dst = t.dir("src%d" % number), t.dir("dst%d" % number)
        make(t, all_edits, src, dst)
        before = {name: os.stat(os.path.join(dst, name)).st_ino for name in all_edits}
        server = t.server({"x": dst})
        t.run("push", *(["--delta=on"] if "-W" not in options else []), *options, src + "/", server.url(), rc=0)
        t.same(src, dst)
        for name, inode in before.items():
            kept = os.stat(os.path.join(dst, name)).st_ino == inode
            t.check(kept == bool(options), "the inode:", name, options)


def test_delta_shared_inode(t):
    """Names that are one file at the target and several at the source come apart, in place too; a name outside of the
    transfer keeps what it had."""
    base = edits()["blocks"][0]
    for number, options in enumerate(([], ["--inplace"], ["--inplace", "-W"], ["--inplace", "--checksum"])):
        src, dst, other = t.dir("src%d" % number), t.dir("dst%d" % number), t.dir("other%d" % number)
        for i, name in enumerate(("a", "b", "c", "mode")):
            data = base if name == "mode" else base[:1000 * i] + os.urandom(500) + base[1000 * i + 500:]
            with open(os.path.join(src, name), "wb") as file:
                file.write(data)
            os.utime(os.path.join(src, name), ns=(10**18, 10**18 + (i if name != "mode" else 0)))
        os.chmod(os.path.join(src, "mode"), 0o600)
        with open(os.path.join(other, "outside"), "wb") as file:
            file.write(base)
        os.utime(os.path.join(other, "outside"), ns=(10**18, 10**18))
        os.chmod(os.path.join(other, "outside"), 0o640)
        for name in ("a", "b", "c", "mode"):
            os.link(os.path.join(other, "outside"), os.path.join(dst, name))
        server = t.server({"x": dst})
        t.run("push", *(["--delta=on"] if "-W" not in options else []), *options, src + "/", server.url(), rc=0)
        t.same(src, dst)
        with open(os.path.join(other, "outside"), "rb") as file:
            t.check(file.read() == base, "a name outside was written to", options)
        t.check(os.stat(os.path.join(other, "outside")).st_mode & 0o777 == 0o640, "or its mode set", options)


def test_checksum_by_delta(t):
    """Files of equal size and time that differ travel by delta when their digests have told them apart."""
    for way in ("push", "pull"):
        src, dst = t.dir("src-" + way), t.dir("dst-" + way)
        blocks = {"a": edits()["blocks"], "b": edits()["blocks"][::-1], "same": (edits()["blocks"][0],) * 2,
                  "small": (b"one" * 3000, b"one" * 1500 + b"two" + b"one" * 1499)}
        make(t, blocks, src, dst)
        for name in blocks:
            os.utime(os.path.join(src, name), ns=(10**18, 10**18))
        server = t.server({"x": dst if way == "push" else src})
        ends = [src + "/", server.url()] if way == "push" else [server.url() + b"/", dst]
        found = t.run(way, "--json", "--checksum", "--delta=on", *ends, rc=0).summary()
        t.same(src, dst)
        wire = found["wire_sent"] + found["wire_received"]
        t.check(found["delta_files"] == 2 and found["delta_fallbacks"] == 0, "not by delta:", found)
        t.check(found["files"] == 3 and wire < SIZE / 2, "much was sent:", wire, found)
        with open(os.path.join(src, "a"), "r+b") as file:
            file.write(b"changed")
        os.utime(os.path.join(src, "a"), ns=(10**18, 10**18))
        found = t.run(way, "--json", "--checksum", "-W", *ends, rc=0).summary()
        t.same(src, dst)
        t.check(found["delta_files"] == 0 and found["files"] == 1, "not whole:", found)


def test_delta_sparse(t):
    """Holes stay holes, over a base without any; in place too."""
    for number, options in enumerate(([], ["--inplace"])):
        src, dst = t.dir("src%d" % number), t.dir("dst%d" % number)
        data = random.Random(9).randbytes(MIB)
        with open(os.path.join(dst, "image"), "wb") as file:
            file.write(data * 8)
        os.utime(os.path.join(dst, "image"), ns=(10**18, 10**18))
        with open(os.path.join(src, "image"), "wb") as file:
            file.write(data)
            file.truncate(32 * MIB)
            file.seek(20 * MIB)
            file.write(data)
        pushed(t, src, dst, *options)
        blocks = os.stat(os.path.join(dst, "image")).st_blocks * 512
        t.check(blocks < 4 * MIB, "holes were written:", blocks, options)


def test_delta_base_changes_meanwhile(t):
    """Somebody writes to the old version while it is used: what arrives is the new version."""
    src, dst = t.dir("src"), t.dir("dst")
    data = random.Random(11).randbytes(4 * MIB)
    new = bytearray(data)
    for at in range(0, len(new), 16384):
        new[at:at + 4096] = os.urandom(4096)
    for folder, content, when in ((dst, data, 10**18), (src, new, 11 * 10**17)):
        path = os.path.join(folder, "file")
        with open(path, "wb") as file:
            file.write(content)
        os.utime(path, ns=(when, when))
    server = t.server({"x": dst})
    p = t.start("push", "--json", "--delta=on", "--bwlimit=500K", src + "/", server.url())
    with open(os.path.join(dst, "file"), "r+b") as file:
        for number in range(8):
            time.sleep(0.2)
            os.pwrite(file.fileno(), os.urandom(100), number * 500000 + 8000)
    r = p.wait()
    t.check(r.rc == 0, "it failed:", r)
    t.same(src, dst)
    t.check(r.summary()["delta_fallbacks"] == 1, "the old version was believed:", r)


def test_delta_inplace_killed(t):
    """A kill in the middle leaves a mix, as the manual says; the next run makes it good."""
    src, dst = t.dir("src"), t.dir("dst")
    all_edits = {"prepend": edits()["prepend"], "swap": edits()["swap"]}
    make(t, all_edits, src, dst)
    server = t.server({"x": dst})
    p = t.start("push", "--delta=on", "--inplace", "--bwlimit=200K", src + "/", server.url())
    time.sleep(1)
    p.kill()
    p.wait()
    pushed(t, src, dst, "--inplace", server=server)


def test_delta_reflink(t):
    """On a file system with reflinks an update takes little new space."""
    if not tree.is_root() or not shutil.which("mkfs.xfs"):
        raise Skip("needs root and mkfs.xfs")
    image, mount = t.path("image"), t.dir("mount")
    with open(image, "wb") as file:
        file.truncate(512 * MIB)
    for args in (["mkfs.xfs", "-q", image], ["mount", "-o", "loop", image, mount]):
        done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise Skip("%s: %s" % (args[0], done.stdout.decode("utf-8", "replace")))
    t.mounts.append(mount)
    src, dst = t.dir("src"), os.path.join(mount, "dst")
    os.mkdir(dst)
    data = bytearray(random.Random(12).randbytes(64 * MIB))
    with open(os.path.join(dst, "file"), "wb") as file:
        file.write(data)
    os.utime(os.path.join(dst, "file"), ns=(10**18, 10**18))
    os.link(os.path.join(dst, "file"), os.path.join(mount, "kept"))  # the old version stays
    data[32 * MIB:32 * MIB + 4096] = os.urandom(4096)
    with open(os.path.join(src, "file"), "wb") as file:
        file.write(data)
    os.sync()
    before = os.statvfs(mount).f_bfree * os.statvfs(mount).f_frsize
    pushed(t, src, dst)
    taken = before - os.statvfs(mount).f_bfree * os.statvfs(mount).f_frsize
    t.check(taken < 16 * MIB, "the whole file took space:", taken)


if __name__ == "__main__":
    hawser_test.main(globals())
