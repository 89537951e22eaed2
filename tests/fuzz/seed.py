#!/usr/bin/env python3
"""Writes the seed corpus: one small, valid input or more for everything that a fuzzer can reach.

Usage: seed.py [DIRECTORY] (default: corpus/ beside this file).  Existing files of the same name are
replaced; nothing is removed.
"""

import os
import struct
import sys

ROOT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def save(fuzzer, name, data):
    folder = os.path.join(ROOT, fuzzer)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def string(data):
    return struct.pack("<H", len(data)) + data


def frames():
    kinds = ("hello hello_ack open open_ack join join_ack reject paths entries want same data pack file_end "
             "page_ack note walk_end done beat rest list list_end cancel bench bench_ack "
             "bench_data_ack bench_result stages sig patch digest ahead measured lost "
             "taken kept levels differs hold go stop left").split()
    for kind, name in enumerate(kinds, 1):
        entry_too = ("same", "data", "file_end", "sig", "patch", "digest", "kept", "differs")
        page = 7 if name in ("entries", "want", "page_ack", "lost", "taken", *entry_too) else 0
        index = 3 if name in entry_too else 0
        data = name in ("data", "patch")
        size = 0 if name in ("same", "beat", "rest", "list_end", "bench_data_ack", "lost",
                             "taken", "differs", "hold", "go", "stop") else 20
        counts = name in ("sig", "lost", "taken", "beat", "rest")
        offset = 65536 if counts or name in ("data", "bench_data_ack", "patch") else 0
        region = 65536 if name == "patch" else 0
        # The fuzzer fills in the header's check.
        save("frame", name, struct.pack("<HHIIIIIQQQ", kind, 1 if offset and not counts else 0, size,
                                        kind, page, index, region,
                                        offset, 0x1122334455667788, 9 if data else 0))


def messages():
    token = bytes(range(16))
    digest = b"\xd1" * 16
    payloads = [
        ("hello", struct.pack("<IHHQI", 0x72735748, 1, 2, 1, 30000) + string(b"agent/1")),
        ("hello_ack", struct.pack("<HQIIII", 1, 1, 64, 256, 1 << 20, 30000) + string(b"agent/1")),
        ("open", struct.pack("<BBBBIIIIQQI", 2, 1, 3, 0, 0x1fff, 8, 4, 65536, 0, 2**64 - 1, 2)
         + string(b"data") + string(b"a/b") + struct.pack("<I", 4) + b"\0\1\0x" + string(b"bbr")
         + bytes(range(16)) + struct.pack("<I", 2)),
        ("open_ack", token + struct.pack("<IIIIB", 8, 4, 65536, 16, 1) + string(b"top")),
        ("join", token + struct.pack("<I", 3)),
        ("reject", struct.pack("<i", -5010) + string(b"no such export")),
        ("note", struct.pack("<BiQ", 1, -13, 99) + string(b"a/b") + string(b"open")),
        ("done", struct.pack("<BBi7Q", 3, 3, -5027, 1, 2, 3, 4, 5, 6, 7)),
        ("walk_end", struct.pack("<5Q", 1, 2, 3, 4, 5)),
        ("file_end", struct.pack("<iIQQQQ", 0, 0, 65536, 4096, 1, 2)),
        ("list_request", b"\1" + string(b"data") + string(b"a")),
        ("join_ack", string(b"cubic")),
        ("bench_ask", struct.pack("<BBHIIIQQ", 1, 1, 0, 2, 16, 1 << 20, 10**9, 1 << 30)
         + string(b"cubic")),
        ("bench_ack", token + struct.pack("<IIIQQ", 2, 16, 1 << 20, 10**9, 1 << 30)),
        ("bench_result", struct.pack("<12Q", 1, 2, 3, 4, 100, 10, 20, 20, 30, 40, 50, 60)),
        ("stages", struct.pack("<26Q", *range(1000, 27000, 1000))),
        ("sig", struct.pack("<QQBBHI", 1, 10240, 12, 6, 0, 2) + digest + b"\xd2" * 4),
        ("digest_answer", struct.pack("<i", 0) + digest),
        ("measured", struct.pack("<4Q", 9, 8, 7, 1) + 14 * struct.pack("<8Q", 4, 1, 2, 2, 3, 3, 4, 4) +
         struct.pack("<2I", 2, 0) + struct.pack("<2I6Q", 3, 0, 9, 8, 1, 2, 3, 2) +
         struct.pack("<2I6Q", 0xffffffff, 0, 9, 8, 1, 2, 3, 2)),
        ("ahead", struct.pack("<16Q", 2, *range(1000, 16000, 1000))),
        ("kept", struct.pack("<IQQ", 1, 8 << 20, 4 << 20) + digest),
        ("levels", struct.pack("<I3Q", 7, 30, 20, 10)),
        ("left", struct.pack("<9Q", 2, 8 << 20, 1, 2, 3, 4, 5, 6, 7)),
        ("paths", struct.pack("<I", 3) + string(b"") + string(b"a") + string(b"a/b/c")),
        ("want", struct.pack("<IHBHBHB", 3, 0, 1, 7, 3, 511, 2) + digest),
        ("page_ack", struct.pack("<BIHBiHBi", 2, 2, 5, 0, -28, 6, 1, -16)),
    ]
    for pick, (name, payload) in enumerate(payloads):
        save("message", name, bytes([pick]) + payload)
        if name in ("file_end", "digest_answer", "kept"):  # the same with digests of 32 bytes
            save("message", name + "_32", bytes([pick + 128]) + payload + b"\xd3" * 16)
    save("message", "file_end_failed", b"\x09" + struct.pack("<iI4Q", -5017, 0, 0, 0, 0, 0))
    save("message", "note_created", b"\x06" + struct.pack("<BiQ", 4, 0, 99) + string(b"a") + string(b""))
    save("message", "want_empty", b"\x18" + struct.pack("<I", 0))
    save("message", "want_patch", b"\x18" + struct.pack("<IHBIBHB", 2, 9, 5, 200, 7, 0, 0)[:12] + bytes(range(12))
         + struct.pack("<HB", 10, 1))


def entry(kind, flags=0, name=b"name", parent=1, parts=b""):
    return struct.pack("<BBIB", kind, flags, parent, len(name)) + name + parts


def entries():
    meta = struct.pack("<HIIqI", 0o6755, 1000, 100, 1700000000, 123456789)
    none = struct.pack("<HI", 0, 0)
    xattrs = b"".join(struct.pack("<BI", len(n), len(v)) + n + v for n, v in ((b"user.a", b"1"), (b"user.b", b"")))
    some = struct.pack("<HI", 2, len(xattrs)) + xattrs
    kinds = {
        "file": entry(1, 1, parts=meta + struct.pack("<Q", 12345) + some),
        "file_version": entry(1, 33, parts=meta + struct.pack("<QQQ", 1 << 30, 5, 6) + some),
        "file_first": entry(1, 2, parts=meta + struct.pack("<QI", 5, 77) + none),
        "file_next": entry(1, 4, parts=meta + struct.pack("<QI", 5, 77) + string(b"a/first") + none),
        "dir": entry(2, parts=struct.pack("<I", 2) + meta + some),
        "dir_implied": entry(2, 16, parts=struct.pack("<I", 2) + meta + none),
        "dir_root": entry(2, name=b"", parent=0, parts=struct.pack("<I", 0) + meta + none),
        "symlink": entry(3, parts=meta + string(b"../x") + none),
        "fifo": entry(4, parts=meta + none),
        "char": entry(5, parts=meta + struct.pack("<II", 1, 3) + none),
        "block": entry(6, 2, parts=meta + struct.pack("<III", 8, 1, 4) + none),
        "socket": entry(7, parts=meta),
        "dir_end": entry(8, 8, parts=struct.pack("<I", 2) + meta + none),
    }
    for name, data in kinds.items():
        save("entry", name, data)
    save("entry", "page", b"".join(kinds.values()))


def packs():
    def member(page, index, code, size, flags=0):
        return struct.pack("<IHHiI", page, index, flags, code, size) + (b"\0" if code else b"\xdd") * 16

    for name, members in {
        "one": [(0, 0, 0, 5)],
        "empty_file": [(0, 1, 0, 0)],
        "failed": [(1, 2, -2, 0)],
        "patch": [(3, 4, 0, 40, 1)],
        "mixed": [(1, 0, 0, 100), (1, 1, -13, 0), (2, 511, 0, 60000)],
    }.items():
        tail = sum(member[3] for member in members)
        save("pack", name, struct.pack("<BHII", 0, tail, len(members), 0) + b"".join(member(*m) for m in members))


def paths():
    for name, data in {
        "empty": b"", "name": b"a", "path": b"a/b/c", "dot": b".", "dots": b"..", "inner": b"a/../b", "twice": b"a//b",
        "lead": b"/a", "tail": b"a/", "nul": b"a\0b", "hidden": b".a/...", "name_255": b"n" * 255,
        "name_256": b"n" * 256,
        "long": b"/".join([b"n" * 255] * 4),
    }.items():
        save("path", name, data)


def filters():
    rules = ["*.o", "/a/b", "a/b", "d/", "**/x", "a/**/b", "dir/***", "[!a-c]x", "[[:alpha:]-]*", "a\\*b?", "*a*b**c*d",
             "[]a]", "[z-a]", "[", "***", "/", "a**"]
    path = b"a/bc/x"
    for number, rule in enumerate(rules):
        pattern = rule.encode()
        save("filter", f"text_{number:02}", bytes([len(path) | (number & 1) << 7]) + path + pattern)
        save("filter", f"rules_{number:02}", bytes([len(path)]) + path + b"\1\3\0a/x"
             + struct.pack("<BH", 0, len(pattern)) + pattern)


def deltas():
    save("patch", "zeros", struct.pack("<5HIB", 0, 0, 0, 0, 1, 1, 1 << 2 | 2))
    save("patch", "all", struct.pack("<5HI", 10, 1, 512, 0, 29, 3) + bytes([9 << 2 | 0, 9 << 2 | 1, 0, 9 << 2 | 2]))
    save("signature", "small", struct.pack("<IIBB", 5000, 512, 4, 10) + bytes(range(100)))
    save("signature", "equal", struct.pack("<IIBB", 200000, 4096, 5, 255) + bytes(8))
    copy, zero, random = b"\2\0\0\0\x20", b"\1\0\0\0\x10", b"\0\1\0\x64\0"
    save("delta", "edits", bytes([0, 3, 33, 0, 90, 0]) + copy + random + copy + zero)
    save("delta", "spoilt", bytes([1, 3, 33, 2, 90, 9]) + copy + random + zero + copy)
    save("delta", "in_place", bytes([2, 0, 65, 0, 255, 40]) + random + copy + copy)


def journals():
    def record(kind, level=0, digest=0, slot=0, body=b""):
        return struct.pack("<BBBBI", kind, level, digest, 0, slot) + body.ljust(72, b"\0")

    unit = 4 << 20
    files = [record(1, 0, digest, slot, bytes(range(32)) + struct.pack("<QQI", 8 * unit, 9, 65536) + b"s" * 12)
             for slot, digest in ((0, 1), (1, 2))]
    ranges = [record(2, 1, 0, slot, struct.pack("<QQ", at * unit, unit) + b"\xd1" * 16)
              for slot in (0, 1) for at in (0, 1, 2, 5)]
    story = [*files, *ranges, record(3, 2), ranges[0], record(3, 3), record(3, 2, slot=1), record(3, 1, slot=1),
             record(5, slot=0, body=struct.pack("<QQ", unit, unit)), record(4, slot=1)]
    save("journal", "story", b"\1" + b"".join(story))
    save("journal", "short", b"\0" + bytes(96))


for make in (frames, messages, entries, packs, paths, filters, deltas, journals):
    make()
