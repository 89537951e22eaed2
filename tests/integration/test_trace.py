#!/usr/bin/env python3
"""Traces of both sides can be read and drawn, and cover the time of the transfer."""

import json
import os
import subprocess
import sys

import hawser_test
import tree

PICTURE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                       "tools", "trace_picture")
KINDS = {"handlers", "task", "demand", "enter", "ahead", "sleep"}


def spans_read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_trace_of_both_sides(t):
    src = t.dir("src")
    tree.Builder(src).random_file("big", 8 * tree.MIB)
    server = t.server({"x": t.dir("dst")}, ["--trace", t.path("server.trace"), "--shards=2"])
    t.run("push", "--trace", t.path("client.trace"), "--shards=1", src + "/", server.url(), rc=0)
    t.check(server.stop().rc == 0, "the server did not end in peace")
    for name, loops in (("client", {0}), ("server", {0, 1})):
        spans = spans_read(t.path(name + ".trace"))
        t.check({span["loop"] for span in spans} == loops, "loops of", name)
        t.check({span["kind"] for span in spans} <= KINDS, "kinds of", name)
        t.check({"handlers", "task", "enter"} <= {span["kind"] for span in spans}, "kinds of", name)
        for loop in loops:
            flat = sorted((span["start_ns"], span["size_ns"]) for span in spans
                          if span["loop"] == loop and span["kind"] != "demand")
            late = sum(1 for a, b in zip(flat, flat[1:]) if a[0] + a[1] > b[0])
            t.check(late == 0, "one thread did two things at once:", late, "times")
            covered = sum(size for _, size in flat)
            lasted = flat[-1][0] + flat[-1][1] - flat[0][0]
            t.check(covered > 0.8 * lasted, "of", lasted, "ns only", covered, "are known")
    picture = subprocess.run([sys.executable, PICTURE, "hawserd=" + t.path("server.trace"),
                              "hawser=" + t.path("client.trace"), "--output", t.path("x.svg")],
                             capture_output=True, text=True)
    t.check(picture.returncode == 0, picture.stderr)
    with open(t.path("x.svg"), encoding="utf-8") as svg:
        text = svg.read()
    t.check(text.startswith("<svg") and text.count(">hawserd ") == 2 and ">hawser 0<" in text,
            "not that picture")


def test_trace_file_refused(t):
    missing = t.path("no/such/folder/trace")
    r = t.run("push", "--trace", missing, t.dir("src"), "hawser://127.0.0.1:1/x", rc=(1, 2, 5))
    t.says(r, "trace file")
    r = subprocess.run([t.hawserd, "--trace", missing, "--listen", "127.0.0.1:0", "--export",
                        "x=" + t.dir("x")], capture_output=True, timeout=20)
    t.check(r.returncode in (2, 5) and b"trace file" in r.stderr, r)


def test_trace_picture_refuses(t):
    """What is no trace is named with its line."""
    for text, word in (("{}\n", ":1: not a line"), ("x\n", ":1: not a line"),
                       ('{"loop":0,"kind":"dance","name":"a","start_ns":1,"size_ns":1}\n', "'dance'"),
                       ("", "nothing")):
        with open(t.path("bad"), "w", encoding="utf-8") as out:
            out.write(text)
        r = subprocess.run([sys.executable, PICTURE, "a=" + t.path("bad")], capture_output=True, text=True)
        t.check(r.returncode == 1 and word in r.stderr, repr(text), r)


if __name__ == "__main__":
    hawser_test.main(globals())
