#!/usr/bin/env python3
"""hawser doctor, as a person and as a program see it."""

import ctypes
import json
import os
import struct
import subprocess

import hawser_test
from hawser_test import Skip

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_NUMBER, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
SECCOMP_ALLOW, SECCOMP_EPERM = 0x7FFF0000, 0x00050001
IO_URING_SETUP = 425  # the same on every architecture


def forbid_io_uring():
    """As containers do: the filter of system calls says EPERM."""
    rows = [(LOAD_NUMBER, 0, 0, 0), (JUMP_EQUAL, 0, 1, IO_URING_SETUP),
            (RETURN, 0, 0, SECCOMP_EPERM), (RETURN, 0, 0, SECCOMP_ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *r) for r in rows))
    program = ctypes.create_string_buffer(struct.pack("HP", len(rows), ctypes.addressof(code)))
    libc = ctypes.CDLL(None)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or \
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) != 0:
        os._exit(77)


def document(t, out):
    lines = out.decode("utf-8").splitlines()
    t.check(len(lines) == 1, "not one document:", out)
    return json.loads(lines[0])


def test_text(t):
    r = t.run("doctor", rc=0)
    t.says(r, "kernel", "io_uring: allowed", "descriptors", "Hawser runs here.")
    t.check(max(len(line) for line in r.out.decode().splitlines() if "$ " not in line) <= 100,
            "long lines:", r)
    quiet = t.run("doctor", "-q", rc=0)
    t.check(b"\n  ok " not in quiet.out, "not quiet:", quiet)
    t.says(t.run("doctor", "--help", rc=0), "--json", "PATH", "exit: 0")


def test_json(t):
    found = document(t, t.run("doctor", "--json", t.dir("here"), rc=0).out)
    t.check(found["type"] == "doctor" and found["usable"] is True and found["exit"] == 0, found)
    keys = {"level", "area", "name", "subject", "what", "change", "gain"}
    for one in found["findings"]:
        t.check(set(one) == keys and one["level"] in ("ok", "advice", "problem"), one)
        t.check(bool(one["gain"]) == (one["level"] != "ok"), one)
    names = {(one["area"], one["name"]) for one in found["findings"]}
    t.check({("kernel", "io_uring"), ("limits", "files"), ("disk", "file system")} <= names, names)


def test_paths(t):
    missing = os.fsencode(t.path("no-such")) + b"\xff\x1b[31m"
    r = t.run("doctor", t.dir("here"), missing, rc=1)
    t.says(r, "no-such", "no such file", "Hawser runs here")
    t.check(b"\x1b" not in r.out and b"\xff" not in r.out, "raw bytes:", r)
    found = document(t, t.run("doctor", "--json", missing, rc=1).out)
    t.check(found["usable"] is True and found["exit"] == 1, found)
    one = [f for f in found["findings"] if f["level"] == "problem"]
    t.check(len(one) == 1 and "subject_base64" in one[0], one)


def test_usage(t):
    for args in (["hawser://h/x"], [""], ["--delete"], ["-v"], ["--json=x"]):
        r = t.run("doctor", *args, rc=2)
        t.check(r.err and not r.out, "no message:", r)


def test_forbidden(t):
    def run(*args):
        r = subprocess.run([t.hawser, *args], preexec_fn=forbid_io_uring, timeout=60, check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if r.returncode == 77:
            raise Skip("no system call filters here")
        t.check(r.returncode == 5, "expected exit 5:", r)
        return r.stdout

    text = run("doctor", "-q").decode("utf-8")
    for word in ("problem", "io_uring", "seccomp", "does not run here"):
        t.check(word in text, "nothing of %s:" % word, text)
    found = document(t, run("doctor", "--json"))
    t.check(found["usable"] is False and found["code"] == "NO_IO_URING", found)


if __name__ == "__main__":
    hawser_test.main(globals())
