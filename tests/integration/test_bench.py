#!/usr/bin/env python3
"""hawser bench: short runs that must work, not be fast; what it prints; what it refuses."""

import csv
import html.parser
import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import hawser_test


def bench_server(t, exports=None, args=()):
    return t.server(exports, args=["--bench", *args])


def address(server):
    return "127.0.0.1:%d" % server.port


def result_check(t, result, size=None, verified=True):
    """What any point of any kind must say."""
    t.check(result["bytes"] > 0 and result["elapsed_ns"] > 0 and result["operations"] > 0, result)
    t.check(size is None or result["bytes"] == size, "bytes", result)
    t.check(abs(result["gb_per_s"] - result["bytes"] / result["elapsed_ns"]) < 0.01, result)
    t.check(result["cpu_ns"] > 0 and result["cpu_s_per_gb"] > 0, result)
    t.check(result["verified"] is verified, result)
    latency = result.get("latency")
    if latency:
        rising = [latency[k] for k in ("least_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns",
                                       "greatest_ns")]
        t.check(rising == sorted(rising) and latency["count"] > 0, latency)
        t.check(rising[0] <= latency["mean_ns"] <= rising[-1], latency)


def test_net_json(t):
    """Up and down, for a size and for a time, verified or not."""
    server = bench_server(t)
    for args, size, verified in ((["--size", "32M"], 32 << 20, True),
                                 (["--size", "32M", "--download"], 32 << 20, True),
                                 (["--size", "5000000", "--chunk", "4K", "--depth", "1"], 5000000, True),
                                 (["--time", "0.2", "--no-verify"], None, False)):
        r = t.run("bench", "net", address(server), "--json", *args, rc=0)
        document = json.loads(r.out)
        t.check(document["exit"] == 0 and len(document["points"]) == 1, document)
        t.check(document["kernel"] == os.uname().release and "shard" in document["engine"], document)
        point = document["points"][0]
        t.check(point["kind"] == "net", point)
        t.check(point["what"] == ("download" if "--download" in args else "upload"), point)
        result_check(t, point, size, verified)
        t.check(point["peer_cpu_ns"] > 0, point)
        t.check(point["latency"]["count"] == point["operations"], point)
        t.check(not r.err, "words on stderr:", r)
    t.alive(server)
    t.check(b"benchmark ended" in server.read("err"), "the log")


def side_check(t, side, times, count=None):
    """Times of these names, as often as chunks; each core's parts are within what it ran."""
    t.check(set(times) <= set(side["times"]), times, side["times"].keys())
    for name, latency in side["times"].items():
        rising = [latency[k] for k in ("least_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "greatest_ns")]
        t.check(rising == sorted(rising) and latency["count"] > 0, name, latency)
    t.check(count is None or side["times"]["chunk"]["count"] == count, side["times"]["chunk"], count)
    whole = side["times"]["chunk"]
    for name in times:
        if name not in ("idle", "read", "write", "receive", "lingering"):  # the way has it as a part
            t.check(side["times"][name]["mean_ns"] <= whole["greatest_ns"], name, side["times"])
    t.check(side["cpu_ns"] > 0 and side["cores"], side)
    for core in side["cores"]:
        t.check(core["cpu_ns"] > 0 and core["elapsed_ns"] > 0, core)
        t.check(core["digests_ns"] + core["files_ns"] + core["disk_ns"] <= core["cpu_ns"], core)
    t.check(side["zc_copied_bytes"] <= side["zc_sent_bytes"], side)


def test_sides(t):
    """How long chunks were in each state, on both sides; whose zero-copy sends were copied."""
    server = bench_server(t)
    sends, receives = ("reading", "ready", "sending"), ("receiving", "receive")
    for args, here, there in (([], sends, receives), (["--download"], receives, sends)):
        r = t.run("bench", "net", address(server), "--json", "--size", "32M", "--chunk", "1M", *args, rc=0)
        point = json.loads(r.out)["points"][0]
        side_check(t, point["here"], here)
        side_check(t, point["there"], there)
        sent = point["there" if args else "here"]["times"]["sending"]["count"]
        t.check(sent >= 32, "every chunk is timed", sent)
    r = t.run("bench", "net", address(server), "--json", "--size", "32M", "--chunk", "4K", rc=0)
    sent = json.loads(r.out)["points"][0]["here"]["times"]["sending"]["count"]
    t.check(32 * 256 / 8 <= sent <= 32 * 256 / 8 + 100, "one small one in eight", sent)
    r = t.run("bench", "net", address(server), "--csv", "--size", "8M", rc=0)
    rows = list(csv.DictReader(io.StringIO(r.out.decode(), newline="")))
    t.check(len(rows) == 1 and int(rows[0]["here_sending_count"]) >= 8, rows)
    t.check(int(rows[0]["there_receiving_p50_ns"]) > 0, rows)
    r = t.run("bench", "net", address(server), "--size", "8M", rc=0)
    t.says(r, "receiving")


def test_sides_zero_copy(t):
    """On one host the kernel copies what is sent without a copy, and that is told. Where it cannot say so,
    nothing is sent that way."""
    server = bench_server(t)
    r = t.run("bench", "net", address(server), "--json", "--size", "256M", "--zero-copy", "on", "--streams", "1",
              rc=0)
    document = json.loads(r.out)
    side = document["points"][0]["here"]
    if "send_zc" in document["engine"].split("without:")[0]:
        t.check(side["zc_sent_bytes"] > 32 << 20 and side["zc_copied_bytes"] > 32 << 20, side)
        t.check(side["zc_downgrades"] == 1, side)
        t.check(side["times"]["lingering"]["count"] > 0, side)
    else:
        t.check(side["zc_sent_bytes"] == 0, side)
    t.run("bench", "net", address(server), "--zero-copy", "some", rc=2)


def test_sides_path(t):
    """A push tells them too, with the server's processor time; small files are the files' work."""
    src, dst = t.dir("src"), t.dir("dst")
    with open(src + "/large", "wb") as f:
        f.write(os.urandom(32 << 20))
    for i in range(600):
        with open("%s/%d" % (src, i), "wb") as f:
            f.write(b"x" * 100)
    server = bench_server(t, {"x": dst})
    r = t.run("bench", "path", "--json", src, server.url("x"), rc=0)
    point = json.loads(r.out)["points"][0]
    t.check(point["peer_cpu_ns"] > 0 and point["peer_cpu_s_per_gb"] > 0, point)
    side_check(t, point["here"], ("reading", "ready", "sending", "read"))
    side_check(t, point["there"], ("receiving", "waiting", "writing", "write", "receive"))
    for side in ("here", "there"):
        t.check(sum(core["files_ns"] for core in point[side]["cores"]) > 0, point[side]["cores"])
    # a server that allows no benchmarks: our half of it
    server = t.server({"x": t.dir("other")})
    r = t.run("bench", "path", "--json", src, server.url("x"), rc=0)
    point = json.loads(r.out)["points"][0]
    side_check(t, point["here"], ("reading", "ready", "sending", "read"))
    t.check("peer_cpu_ns" not in point and not point["there"]["times"], point["there"])


class Page(html.parser.HTMLParser):
    """Is every element closed, in order? What does the page ask for?"""

    VOID = {"meta"}

    def __init__(self, text):
        super().__init__()
        self.open, self.problems, self.count = [], [], {}
        self.feed(text)
        self.close()
        self.problems += self.open

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        self.problems += [a for a in attrs if a[0] in ("src", "href", "onload") or "url(" in (a[1] or "")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append("</%s>" % tag)


def test_report(t):
    """A page that is well formed, needs nothing else, and has plots and tables."""
    server = bench_server(t)
    folder = t.dir("<d&d>")
    for name, args in (("net", [address(server), "--time", "0.4", "--chunk", "64K,256K", "--depth", "1,4"]),
                       ("disk", [folder, "--size", "2M", "--chunk", "64K", "--io", "buffered"]),
                       ("hash", ["--time", "0.02", "--shards", "1,2"])):
        path = t.path(name + ".html")
        t.run("bench", name, *args, "--report", path, rc=0)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        page = Page(text)
        t.check(not page.problems, name, page.problems)
        t.check(page.count["svg"] >= (6 if name == "net" else 3) and "script" not in page.count, page.count)
        t.check(page.count["table"] == (2 if name == "net" else 1), page.count)  # with the times of both sides
        t.check("@import" not in text and "url(" not in text and "http" not in text, "asks for something")
        t.check("prefers-color-scheme:dark" in text and "@media print" in text, "style")
        t.check(not re.search(r"\b(nan|inf)\b", text), "numbers that are none")
    t.check("<d&d>" not in open(t.path("disk.html"), encoding="utf-8").read(), "a name is not escaped")
    r = t.run("bench", "hash", "--time", "0.01", "--report", t.path("no/such/folder.html"), rc=1)
    t.says(r, "folder.html")


def test_small_messages(t):
    """Over a wire of 10 ms throughput grows with depth. (The script's own target is 3.5 at depth 4; here
    others may be busy.)"""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench/macro/small_messages")
    line = os.path.join(t.options.bin_dir, "bench/delay_line")
    if not os.path.exists(line):
        raise hawser_test.Skip("no delay_line in this build")
    r = subprocess.run([sys.executable, script, "--build", t.options.bin_dir, "--runs", "3", "--time", "0.8",
                        "--json"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=100)
    if r.returncode == 77:
        raise hawser_test.Skip(r.stdout.decode().strip())
    depths = json.loads(r.stdout)["depths"]
    t.check(depths["4"]["growth"] > 2 and depths["16"]["growth"] > depths["4"]["growth"], depths)
    t.check(all(d["p50_ms"] > 10 for d in depths.values()), depths)


def left_behind(folder):
    return os.listdir(folder)


def test_disk(t):
    """Every pattern, on a real disk; what syncing took; nothing is left."""
    folder = t.disk_folder()
    r = t.run("bench", "disk", folder, "--size", "8M", "--chunk", "64K", "--depth", "4", "--shards", "2",
              "--json", rc=0)
    points = json.loads(r.out)["points"]
    names = ["%s %s" % (p, io) for p in ("read", "write", "randread", "randwrite")
             for io in ("direct", "buffered")]
    t.check([p["what"] for p in points] == names, points)
    for point in points:
        result_check(t, point, 8 << 20, verified=False)
        t.check(point["operations"] == (8 << 20) // 65536 == point["latency"]["count"], point)
        t.check(point["shards"] == 2 and point["depth"] == 4 and point["chunk"] == 65536, point)
        t.check(("sync_ns" in point) == ("write" in point["what"]), point)
        t.check("peer_cpu_ns" not in point and "congestion" not in point, point)
    t.check(not left_behind(folder), left_behind(folder))


def test_disk_time(t):
    """For a time: files are gone through again; buffered reads are read once, as they are cold once."""
    folder = t.disk_folder()
    r = t.run("bench", "disk", folder, "--size", "64K", "--chunk", "4K", "--time", "0.3", "--json",
              "--shards", "1", rc=0)
    points = {p["what"]: p for p in json.loads(r.out)["points"]}
    for name in ("read direct", "write direct", "write buffered", "randread direct"):
        t.check(points[name]["bytes"] > 65536, points[name])
        t.check(0.25 < points[name]["elapsed_ns"] / 1e9 < 3, points[name])
    t.check(points["read buffered"]["bytes"] == 65536, points["read buffered"])
    t.check(points["randread buffered"]["bytes"] == 65536, points["randread buffered"])


def test_disk_refused(t):
    folder = t.dir("d")
    r = t.run("bench", "disk", folder, "--size", "1000T", rc=5)
    t.says(r, "twice as much is not free")
    r = t.run("bench", "disk", t.path("no-such-folder"), rc=1)
    t.says(r, "no-such-folder")
    with open(t.path("file"), "w", encoding="ascii") as f:
        f.write("x")
    r = t.run("bench", "disk", t.path("file"), rc=1)
    t.says(r, "not a directory")
    r = t.run("bench", "disk", folder, "--size", "4K", "--chunk", "8K", rc=2)
    t.says(r, "at least one block")
    r = t.run("bench", "disk", folder, "--depth", "256", "--chunk", "4M", "--shards", "2", rc=2)
    t.says(r, "buffers")
    t.check(not left_behind(folder), left_behind(folder))
    small = t.tmpfs("small", 16 << 20)
    r = t.run("bench", "disk", small, "--size", "12M", "--chunk", "1M", rc=5)
    t.says(r, "twice as much")
    t.run("bench", "disk", small, "--size", "6M", "--chunk", "1M", "--io", "buffered", rc=0)


def test_disk_interrupted(t):
    """Ctrl-C and even SIGKILL leave no file behind, nor used space."""
    folder = t.disk_folder()
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        p = t.start("bench", "disk", folder, "--size", "64M", "--time", "100", "--io", "direct",
                    "--pattern", "write", "--progress")
        t.until(lambda p=p: b"GB/s" in p.read("err"), what="first line of progress")
        t.check(not left_behind(folder), left_behind(folder))
        start = time.monotonic()
        p.kill(number)
        r = p.wait()
        t.check(r.rc == code and time.monotonic() - start < 5, r)
        t.check(not left_behind(folder), left_behind(folder))


def test_discard(t):
    """A push that is verified and dropped: what there is to move moves, nothing changes, nothing is promised."""
    src, dst = t.dir("src"), t.dir("dst")
    os.makedirs(src + "/sub/deep")
    with open(src + "/sub/large", "wb") as f:
        f.write(os.urandom(3000001))
    for i in range(40):
        with open("%s/sub/deep/%d" % (src, i), "wb") as f:
            f.write(b"x" * (i * 100))
    os.link(src + "/sub/large", src + "/again")
    os.symlink("sub", src + "/link")
    with open(dst + "/here", "wb") as f:
        f.write(b"here")
    total = 3000001 + sum(i * 100 for i in range(40))
    before = os.stat(dst)
    server = bench_server(t, {"x": dst, "ro": (dst, "ro")})
    for url in (server.url(), server.url("x", "new/dir")):
        r = t.run("push", "--discard", "--json", src + "/", url, rc=0)
        summary = r.summary()
        t.check(summary["bytes"] == total and summary["files"] == 40 and summary["failed"] == 0, summary)
        t.check(summary["durability"] == "none" and summary["discard"] is True, summary)
        t.check(summary["wire_sent"] > total, summary)
    r = t.run("push", "--discard", src + "/sub/large", server.url(), rc=0)
    t.says(r, "discarded, nothing was kept")
    r = t.run("bench", "path", src + "/", server.url(), "--discard", "--json", "--streams", "1,2", rc=0)
    for point in json.loads(r.out)["points"]:
        result_check(t, point, total)
        t.check(point["files"] == 40 and point["latency"]["count"] > 0, point)
    r = t.run("bench", "path", src + "/", server.url(), "--discard", "--csv", rc=0)
    rows = list(csv.DictReader(io.StringIO(r.out.decode(), newline="")))
    t.check(len(rows) == 1 and rows[0]["bytes"] == str(total) and rows[0]["code"] == "0", rows)
    t.check(os.listdir(dst) == ["here"] and os.stat(dst).st_mtime_ns == before.st_mtime_ns, os.listdir(dst))
    t.run("push", "--discard", src + "/", server.url("ro"), rc=3)
    t.run("pull", "--discard", server.url(), t.path("back"), rc=2)

    plain = t.server({"x": dst})
    r = t.run("push", "--discard", src + "/", plain.url(), rc=3)
    t.says(r, "--bench")
    t.check(os.listdir(dst) == ["here"], os.listdir(dst))


def test_path(t):
    """A push as it is: the copy is there."""
    src, dst = t.dir("src"), t.dir("dst")
    with open(src + "/f", "wb") as f:
        f.write(os.urandom(5 << 20))
    server = t.server({"x": dst})
    r = t.run("bench", "path", src + "/", server.url(), "--json", rc=0)
    result_check(t, json.loads(r.out)["points"][0], 5 << 20)
    t.same(src, dst)
    r = t.run("bench", "path", src + "/", server.url(), rc=0)
    t.says(r, "files/s")
    t.run("bench", "path", t.path("nothing"), server.url(), rc=1)


def test_all(t):
    """Everything in one document, and one page; nothing is left here or there."""
    src, dst = t.disk_folder(), t.dir("dst")
    with open(src + "/f", "wb") as f:
        f.write(os.urandom(1 << 20))
    server = bench_server(t, {"x": dst})
    page = t.path("all.html")
    r = t.run("bench", "--all", src, server.url(), "--size", "4M", "--time", "0.05", "--json", "--report", page,
              rc=0)
    points = json.loads(r.out)["points"]
    t.check({p["kind"] for p in points} == {"net", "disk", "hash", "path"}, points)
    with open(page, encoding="utf-8") as f:
        text = f.read()
    t.check(text.count("<h2>") == 4 and not Page(text).problems, "the page")
    t.check(os.listdir(src) == ["f"] and not os.listdir(dst), os.listdir(src), os.listdir(dst))
    t.run("bench", "--all", src, rc=2)


def test_hash(t):
    """All hashes this CPU has, in all forms; the digest of files is one of them."""
    r = t.run("bench", "hash", "--time", "0.02", "--chunk", "4K,1M", "--shards", "1,2", "--json", rc=0)
    points = json.loads(r.out)["points"]
    names = {p["what"] for p in points}
    t.check(len(points) == 4 * len(names) and "xxh3-128 scalar" in names, names)
    t.check(any(n.startswith("digest ") for n in names) and "blake3 portable" in names, names)
    for point in points:
        result_check(t, point, verified=False)
        t.check("depth" not in point and "streams" not in point, point)
    rates = {p["what"]: p["gb_per_s"] for p in points if p["chunk"] == 1 << 20 and p["shards"] == 1}
    t.check(max(rates.values()) > 1, rates)


def test_net_sweep(t):
    """Each combination is a point, with what was asked for in force."""
    server = bench_server(t)
    r = t.run("bench", "net", "hawser://" + address(server), "--json", "--size", "4M", "--streams",
              "1,3", "--chunk", "4K,64K,256K", "--depth", "1,4", "--shards", "1", rc=0)
    points = json.loads(r.out)["points"]
    asked = [(s, c, d) for s in (1, 3) for c in (4096, 65536, 262144) for d in (1, 4)]
    t.check([(p["streams"], p["chunk"], p["depth"]) for p in points] == asked, points)
    for point in points:
        result_check(t, point, 4 << 20)
        t.check(point["shards"] == 1, point)


def test_net_no_ack(t):
    """Without acknowledgements there is no latency, and none is made up."""
    server = bench_server(t)
    for way in ([], ["--download"]):
        r = t.run("bench", "net", address(server), "--json", "--size", "16M", "--no-ack", *way, rc=0)
        point = json.loads(r.out)["points"][0]
        result_check(t, point, 16 << 20)
        t.check("latency" not in point and "depth" not in point, point)
    r = t.run("bench", "net", address(server), "--no-ack", "--depth", "2", rc=2)
    t.says(r, "--no-ack")


def test_net_forms(t):
    """The table for people, CSV, JSON lines."""
    server = bench_server(t)
    sweep = ["bench", "net", address(server), "--size", "1M", "--chunk", "64K,256K"]
    r = t.run(*sweep, rc=0)
    lines = r.out.decode().splitlines()
    t.check("GB/s" in lines[0] and lines[1].startswith("upload") and lines[2].startswith("upload"), r)
    t.check(len({line.rindex(" ") for line in lines[:3]}) == 1, "columns are not aligned:", r)

    r = t.run(*sweep, "--csv", rc=0)
    t.check(r.out.count(b"\r\n") == 3, r)
    rows = list(csv.DictReader(io.StringIO(r.out.decode(), newline="")))
    t.check([row["chunk"] for row in rows] == ["65536", "262144"], rows)
    t.check(all(row["bytes"] == str(1 << 20) and row["code"] == "0" for row in rows), rows)
    t.check(all(None not in row and None not in row.values() for row in rows), rows)

    r = t.run(*sweep, "--json-lines", "--time", "0.3", "--size", "1T", rc=0)
    lines = [json.loads(line) for line in r.out.splitlines()]
    t.check([x["type"] for x in lines].count("point") == 2, r)
    samples = [x["sample"] for x in lines if x["type"] == "sample" and x["point"] == 0]
    t.check(samples, r)
    for before, after in zip(samples, samples[1:]):
        t.check(before["elapsed_ns"] < after["elapsed_ns"] and before["bytes"] <= after["bytes"], r)


def test_net_progress(t):
    """A live line where it is asked for; nothing else on stderr."""
    server = bench_server(t)
    r = t.run("bench", "net", address(server), "--time", "2.3", "--progress", rc=0)
    lines = r.err.decode().splitlines()
    t.check(2 <= len(lines) <= 4, r)
    t.check(all(re.match(r"net upload  1 of 1  .*[0-9.]+ s  [0-9.]+ GB/s$", x) for x in lines), r)
    r = t.run("bench", "net", address(server), "--size", "1M", "--quiet", rc=0)
    t.check(not r.err, r)


def test_refused_without_permission(t):
    server = t.server({"x": t.dir("x")})
    for form in ([], ["--json"]):
        r = t.run("bench", "net", address(server), "--size", "1M", *form, rc=3)
        t.says(r, "hawserd --bench")
    document = json.loads(r.out)
    t.check(document["exit"] == 3 and document["points"][0]["error"] == "DENIED", document)
    t.alive(server)


def test_permission_by_file(t):
    path = t.path("hawser.conf")
    for word, code in (("yes", 0), ("no", 3)):
        with open(path, "w", encoding="ascii") as f:
            f.write("[server]\nbench = %s\n[export x]\npath = %s\n" % (word, t.dir("x")))
        server = t.server(args=["--config", path])
        t.run("bench", "net", address(server), "--size", "1M", rc=code)
        server.stop()


def test_wrong_use(t):
    for args, words in (
            ([], "bench what"),
            (["fly"], "no such benchmark"),
            (["net"], "usage"),
            (["net", "a", "b"], "usage"),
            (["net", ""], "usage"),
            (["net", "host", "--streams", "0"], "--streams"),
            (["net", "host", "--streams", "65"], "--streams"),
            (["net", "host", "--streams", "1,"], "--streams"),
            (["net", "host", "--streams", ",".join(["1"] * 33)], "--streams"),
            (["net", "host", "--chunk", "5000"], "4K"),
            (["net", "host", "--chunk", "8M"], "--chunk"),
            (["net", "host", "--chunk", "4k,,8k"], "--chunk"),
            (["net", "host", "--depth", "257"], "--depth"),
            (["net", "host", "--time", "0"], "--time"),
            (["net", "host", "--time", "601"], "--time"),
            (["net", "host", "--time", "1s"], "--time"),
            (["net", "host", "--size", "0"], "--size"),
            (["net", "host", "--size", "2P"], "--size"),
            (["net", "host", "--json", "--csv"], "only one"),
            (["net", "host", "--delete"], "unknown"),
            (["net", "host", "--pattern", "read"], "takes no --pattern"),
            (["disk"], "usage"),
            (["disk", "/tmp", "--pattern", "reed"], "reed"),
            (["disk", "/tmp", "--io", "direct,"], "--io"),
            (["disk", "/tmp", "--streams", "2"], "takes no --streams"),
            (["hash", "/tmp"], "usage"),
            (["hash", "--report", ""], "--report"),
            (["hash", "--depth", "2"], "takes no --depth"),
            (["path", "/tmp"], "usage"),
            (["path", "/tmp", "hawser://h/x", "--time", "1"], "takes no --time"),
            (["net", "host/x", "--size", "1M"], "host"),
            (["net", "host:0", "--size", "1M"], "port"),
    ):
        r = t.run("bench", *args, rc=2)
        t.says(r, words)
    r = t.run("bench", "net", "no-such-host.invalid", rc=3, timeout=60)
    t.says(r, "no-such-host.invalid")
    r = t.run("bench", "--help", rc=0)
    t.says(r, "hawser bench net")


def test_interrupted(t):
    """Ctrl-C ends it soon, with 130; the server goes on."""
    server = bench_server(t)
    p = t.start("bench", "net", address(server), "--time", "100", "--progress")
    t.until(lambda: b"GB/s" in p.read("err"), what="first line of progress")
    start = time.monotonic()
    p.kill(signal.SIGINT)
    r = p.wait()
    t.check(r.rc == 130 and time.monotonic() - start < 5, r)
    t.run("bench", "net", address(server), "--size", "1M", rc=0)


def test_server_ends(t):
    """A server that is stopped in the middle: said, not hung."""
    server = bench_server(t)
    p = t.start("bench", "net", address(server), "--time", "100", "--progress")
    t.until(lambda: b"GB/s" in p.read("err"), what="first line of progress")
    server.kill(signal.SIGKILL)
    r = p.wait(30)
    t.check(r.rc == 3 and r.err, r)


def test_transfers_beside(t):
    """A transfer while a benchmark runs: both end well, the copy is right."""
    src, dst = t.dir("src"), t.dir("dst")
    for i in range(50):
        with open("%s/%d" % (src, i), "wb") as f:
            f.write(bytes([i]) * (i * 5000))
    server = bench_server(t, {"x": dst})
    p = t.start("bench", "net", address(server), "--time", "1")
    t.run("push", src + "/", server.url(), rc=0)
    t.same(src, dst)
    t.check(p.wait().rc == 0, p.result())


if __name__ == "__main__":
    hawser_test.main(globals())
