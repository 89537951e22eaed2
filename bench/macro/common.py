"""What the programs of this folder share: sizes, where the binaries are, and what a report says of its machine."""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import time

import cage
from measure import first_line, read


def size_of(text):
    found = re.fullmatch(r"(\d+)([KMGT]?)(i?B)?", text)
    if not found:
        raise argparse.ArgumentTypeError("a size such as 64M or 4G, not %r" % text)
    return int(found.group(1)) << {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[found.group(2)]


def find_binary(folder, name):
    for place in ("", "server", "client/cli", "client", "bin"):
        path = os.path.join(folder, place, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return os.path.abspath(path)
    return shutil.which(name)


def about(o, inside):
    cpu = re.search(r"model name\s*:\s*(.*)", read("/proc/cpuinfo"))
    here = os.path.dirname(os.path.abspath(__file__))
    changed = subprocess.run(["git", "-C", here, "status", "--porcelain", "-uno"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, check=False).stdout
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "hawser": first_line([o.hawser, "--version"]),
        "commit": first_line(["git", "-C", here, "rev-parse", "--short=12", "HEAD"])
                  + (" and changes" if changed else ""),
        "kernel": platform.release(),
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "congestion": cage.congestion_seen(),
        "isolation": "network and mount namespace" if inside else "none, on the host as it is",
        "plan": first_line([o.hawserd, "--print-plan"]),
        "options": " ".join(x for x in (o.direction, o.hawser_options, o.hawserd_options) if x),
        "runs": o.runs,
        "rsync": first_line(["rsync", "--version"]),
        "wdt": first_line([o.wdt, "--version"]) if getattr(o, "wdt", None) else "not installed",
        "tar": first_line(["tar", "--version"]),
        "cp": first_line(["cp", "--version"]),
        "fio": first_line(["fio", "--version"]),
        "command": " ".join(sys.argv),
    }
