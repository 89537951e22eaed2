"""Debian's kernels as files: packages are fetched and unpacked below a build folder; nothing is installed."""

import glob
import lzma
import os
import re
import shutil
import subprocess

# What a guest needs, without what these depend on: each module names that itself.
MODULES = ("nvme", "virtio_pci", "virtio_blk", "crc32c_generic", "crc32c-intel", "ext4",
           "dm-mod", "dm-flakey", "dm-delay", "xfs", "quota_v2")


class Missing(Exception):
    """Something that this suite needs is not here; the text says what and how to get it."""


def package_name(meta):
    """The package with the files behind @meta, such as linux-image-amd64."""
    try:
        out = subprocess.run(["apt-cache", "depends", meta], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        out = ""
    found = re.findall(r"Depends: (linux-image-\d\S+)", out)
    if not found:
        raise Missing(f"no package {meta} in the package index (apt-get update?)")
    return found[0]


def package_files(package, folder):
    """Fetch and unpack; keeps the kernel and the modules. Returns the folder."""
    place = os.path.join(folder, package)
    if os.path.exists(os.path.join(place, "complete")):
        return place
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    run = subprocess.run(["apt-get", "download", package], cwd=place, capture_output=True, text=True, check=False)
    archives = glob.glob(os.path.join(place, "*.deb"))
    if run.returncode != 0 or not archives:
        raise Missing(f"cannot fetch {package}: {run.stderr.strip() or run.stdout.strip()}")
    subprocess.run(["dpkg-deb", "-x", archives[0], place], check=True)
    os.remove(archives[0])
    with open(os.path.join(place, "complete"), "w", encoding="ascii"):
        pass
    return place


class Kernel:
    def __init__(self, meta, folder):
        """@meta is a package that depends on a kernel's; @folder keeps what was fetched."""
        self.package = package_name(meta)
        self.place = package_files(self.package, folder)
        self.image = glob.glob(os.path.join(self.place, "boot", "vmlinuz-*"))[0]
        self.release = os.path.basename(self.image)[len("vmlinuz-"):]
        self.found = {}  # name: path
        for base in ("lib", "usr/lib"):
            for path in glob.glob(os.path.join(self.place, base, "modules", "**", "*.ko*"), recursive=True):
                name = re.sub(r"\.ko(\.xz)?$", "", os.path.basename(path)).replace("-", "_")
                self.found[name] = path

    def modules(self, names=MODULES):
        """[(name, bytes)] of @names and what they depend on, in an order in which they can be loaded. What this
        kernel does not have is built in, or is missed by the test that needs it."""
        order, contents = [], {}

        def visit(name):
            name = name.replace("-", "_")
            if name in contents or name not in self.found:
                return
            path = self.found[name]
            with (lzma.open if path.endswith(".xz") else open)(path, "rb") as file:
                contents[name] = file.read()
            depends = re.search(rb"\0depends=([^\0]*)\0", contents[name])
            for other in (depends.group(1).decode().split(",") if depends else []):
                if other:
                    visit(other)
            order.append(name)

        for name in names:
            visit(name)
        return [(name, contents[name]) for name in order]
