"""A root file system in memory for a guest: busybox, programs with their libraries, kernel modules, jobs."""

import os
import re
import subprocess

from kernel import Missing

HERE = os.path.dirname(os.path.abspath(__file__))


class Archive:
    """cpio, format newc: Documentation/driver-api/early-userspace/buffer-format.rst of Linux."""

    def __init__(self):
        self.parts, self.inode, self.folders = [], 0, set()

    def entry(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        raw = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        self.parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]

    def folder(self, name):
        if name and name not in self.folders:
            self.folder(os.path.dirname(name))
            self.folders.add(name)
            self.entry(name, 0o040755)

    def file(self, name, data, mode=0o755):
        self.folder(os.path.dirname(name))
        self.entry(name, 0o100000 | mode, data)

    def link(self, name, target):
        self.folder(os.path.dirname(name))
        self.entry(name, 0o120777, target.encode())

    def bytes(self):
        self.entry("TRAILER!!!", 0)
        return b"".join(self.parts)


def libraries(program):
    """Paths of the shared libraries that @program is linked with, the loader included."""
    out = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(/\S+) \(0x", out)


def program_path(name):
    for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin"):
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    raise Missing(f"no {name} here: scripts/setup --guest installs it")


def build(kernel, programs, path):
    """Write the archive for @kernel to @path. @programs: {name: path} of ours, besides what every guest has."""
    archive = Archive()
    for name in ("dev", "proc", "sys", "tmp", "run", "source", "target", "root", "lib64"):
        archive.folder(name)
    archive.entry("dev/console", 0o020600, device=(5, 1))
    with open(program_path("busybox"), "rb") as file:
        archive.file("bin/busybox", file.read())
    archive.link("bin/sh", "busybox")
    copied = set()
    tools = {name: program_path(name) for name in ("rsync", "dmsetup", "xfs_quota")}
    tools["as-user"] = program_path("setpriv")  # by another name: busybox's shell prefers its own
    for name, program in {**programs, **tools}.items():
        for part in [program, *libraries(program)]:
            place = f"bin/{name}" if part == program else part.lstrip("/")
            if place in copied:
                continue
            copied.add(place)
            with open(part, "rb") as file:
                archive.file(place, file.read())
    names = []
    for name, data in kernel.modules():
        names.append(name)
        archive.file(f"modules/{name}.ko", data, 0o644)
    archive.file("modules/order", "\n".join(names).encode() + b"\n", 0o644)
    with open(os.path.join(HERE, "init.sh"), "rb") as file:
        archive.file("init", file.read())
    for job in sorted(os.listdir(os.path.join(HERE, "jobs"))):
        with open(os.path.join(HERE, "jobs", job), "rb") as file:
            archive.file(f"jobs/{job}", file.read())
    with open(path, "wb") as file:
        file.write(archive.bytes())
