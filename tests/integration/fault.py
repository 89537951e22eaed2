"""What the tests of faults share: trees in two versions, whether each name holds one of them whole,
and file systems in files."""

import hashlib
import os
import random
import shutil
import stat
import subprocess
import sys

import judge
import tree
import proxy
from hawser_test import Failure, Skip, rows, stage_files

HIDDEN = b".hawser."
NEW = ("created", "updated")
WAY = {"push": proxy.UP, "pull": proxy.DOWN}  # of contents


def seeded(t, salt):
    """A generator of its own for @salt; the seed is printed once for each."""
    sys.stdout.write("# %s: --seed %d\n" % (salt, t.options.seed))
    sys.stdout.flush()
    return random.Random("%d %s" % (t.options.seed, salt))


def edited(rng, data):
    """@data with a piece changed, one inserted and one removed: what a delta finds."""
    at = sorted(rng.randrange(len(data)) for _ in range(3))
    return (data[:at[0]] + rng.randbytes(3000) + data[at[0] + 3000:at[1]] + rng.randbytes(777)
            + data[at[1]:at[2]] + data[at[2] + 1234:])


def small_pair(rng, a, b, count=500):
    """Small files, which travel in packs: most differ, some are in one version only."""
    for i in range(count):
        name = "d%d/s%04d" % (i % 7, i)
        for n, version in enumerate((a, b)):
            if i % 11 != n:
                size = rng.choice((0, 1, 100, 4096, 9000, 40000))
                version.file(name, rng.randbytes(size), mode=rng.choice((0o644, 0o600, 0o755)))


def large_pair(rng, a, b, sizes=(70000, 1 << 20, 5 << 20, 18 << 20)):
    """Files that travel one at a time, without anything in common."""
    for i, size in enumerate(sizes):
        for n, version in enumerate((a, b)):
            if i or n:
                version.file("l%d" % i, rng.randbytes(size + n * 4099))


def delta_pair(rng, a, b, sizes=(70000, 1 << 20, 3 << 20, 14 << 20)):
    """Files whose versions are nearly the same."""
    for i, size in enumerate(sizes):
        data = rng.randbytes(size)
        a.file("e%d" % i, data)
        b.file("e%d" % i, edited(rng, data))


def pair(t, rng, *makers, where=None):
    """Two folders with the two versions; their times differ, so that no content passes as another."""
    places = [os.path.join(where or t.folder, name) for name in ("a", "b")]
    builders = []
    for index, place in enumerate(places):
        os.makedirs(place)
        builders.append(tree.Builder(place, seed=index + 1))
        for d in range(7):
            builders[-1].directory("d%d" % d)
    for maker in makers:
        maker(rng, *builders)
    for index, place in enumerate(places):
        for folder, _, files in os.walk(place):
            for name in files:
                os.utime(os.path.join(folder, name), ns=(10**18 + index, 10**18 + index * 10**10 + 1))
    return places


def look(path):
    """What makes a version of a name: type, mode, time, content."""
    info = os.lstat(path)
    if stat.S_ISDIR(info.st_mode):
        return ("directory",)
    if stat.S_ISLNK(info.st_mode):
        return ("link", os.readlink(path))
    with open(path, "rb") as f:
        return ("file", info.st_mode, info.st_mtime_ns, hashlib.blake2b(f.read()).digest())


def snapshot(root):
    """{name: version}; hidden files of ours are none."""
    root, found = os.fsencode(root), {}
    for folder, folders, files in os.walk(root):
        folders[:] = [n for n in folders if not n.startswith(HIDDEN)]
        for name in folders + [n for n in files if not n.startswith(HIDDEN)]:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, root)] = look(path)
    return found


def whole(root, *versions):
    """Every name below @root holds one of the versions (snapshots); returns the names and what they hold."""
    now = snapshot(root)
    for name, what in now.items():
        allowed = [v[name] for v in versions if name in v]
        if what not in allowed:
            path = os.path.join(os.fsencode(root), name)
            raise Failure("%r holds no version: %s, %d bytes of it; versions %s" % (
                name, what[:3], os.lstat(path).st_size, [v[:3] for v in allowed]))
    return now


def acknowledged(out):
    """Names that the lines of --json say have arrived."""
    return {os.fsencode(o["path"]).rstrip(b"/") for o in rows(out, "file") if o["event"] in NEW}


def replica(a, b):
    """The judge that is not ours."""
    found = judge.rsync(a, b) if judge.have("rsync") else tree.compare(a, b)
    if found:
        raise Failure("%s and %s differ:\n    %s" % (a, b, "\n    ".join(found[:10])))


def command(*args):
    r = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if r.returncode:
        raise Skip("%s: %s" % (" ".join(args), r.stdout.decode("utf-8", "replace").strip()))


def image(t, mkfs, size, options="loop"):
    """A file system of its own in a file, mounted; t unmounts it, whatever happens."""
    if not tree.is_root():
        raise Skip("mounting needs root")
    if not shutil.which(mkfs[0]):
        raise Skip("%s is not installed" % mkfs[0])
    path, place = os.path.join(t.disk_folder(), "image"), t.dir("mount%d" % len(t.mounts))
    with open(path, "wb") as f:
        f.truncate(size)
    command(*mkfs, path)
    command("mount", "-o", options, path, place)
    t.mounts.append(place)
    return place


def image_again(t, place, options="loop"):
    """Unmount an image and mount it anew: nothing of it is in memory."""
    image_path = subprocess.run(["losetup", "-n", "-O", "BACK-FILE", device(place)], check=True,
                                stdout=subprocess.PIPE).stdout.decode().strip()
    t.until(lambda: subprocess.run(["umount", place], stderr=subprocess.DEVNULL, check=False).returncode == 0,
            20, "unmount")
    if image_path.endswith("(deleted)"):
        raise Skip("the image is gone")
    subprocess.run(["mount", "-o", options, image_path, place], check=True)


def device(place):
    """What is mounted at @place."""
    with open("/proc/mounts", encoding="utf-8", errors="replace") as f:
        return [line.split()[0] for line in f if line.split()[1] == place][-1]


class Job:
    """A target that gets a newer version through a proxy."""

    def __init__(self, t, direction, makers=None, hook=None, **kw):
        self.t, self.direction = t, direction
        self.rng = seeded(t, t.name)
        self.old, self.new = pair(t, self.rng, *(makers or (small_pair, large_pair)))
        self.versions = [snapshot(x) for x in (self.old, self.new)]
        self.dst = t.path("dst")
        subprocess.run(["cp", "-a", self.old, self.dst], check=True)
        self.server = t.server({"x": self.dst if direction == "push" else self.new}, args=["--idle-timeout=3"])
        self.proxy = t.proxy(self.server.port, hook=hook, **kw)

    def start(self, *args, port=None):
        url = self.server.url(port=port or self.proxy.port)
        places = ([self.new + "/", url] if self.direction == "push" else [url + b"/", self.dst])
        return self.t.start(self.direction, "--json", "--delete", *args, *places)

    def whole(self):
        whole(self.dst, *self.versions)

    def ended(self, r):
        self.t.check(r.rc == 0, r)
        self.t.alive(self.server)
        replica(self.new, self.dst)
        self.t.until(lambda: not stage_files(self.dst), 20, "end of the stage files")
