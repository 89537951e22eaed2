"""Judges that are not ours: rsync, getfattr, getfacl, du, b3sum.  Each returns a list of findings."""

import os
import shutil
import subprocess

import tree


def have(tool):
    return shutil.which(tool) is not None


def _run(args, **kw):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **kw)


def rsync(a, b, exclude=(), checksum=True, extra=()):
    """rsync -aHAXnic --delete must print nothing.  Nanoseconds need --modify-window=-1."""
    args = ["rsync", "-aHAXni" + ("c" if checksum else ""), "--numeric-ids", "--delete",
            "--modify-window=-1", *extra]
    args += ["--exclude=" + x for x in exclude]
    r = _run(args + [os.fsencode(a) + b"/", os.fsencode(b) + b"/"])
    found = ["rsync: %.200r" % line for line in r.stdout.splitlines()[:20]]
    if r.returncode != 0:
        found.append("rsync exited %d: %r" % (r.returncode, r.stderr[:500]))
    return found


def _dump(root, args):
    r = _run(args + ["."], cwd=root)
    return sorted(r.stdout.split(b"\n\n"))


def attributes(a, b, args):
    found = []
    left, right = _dump(a, args), _dump(b, args)
    if left != right:
        odd = [x for x in right if x not in set(left)] + [x for x in left if x not in set(right)]
        found.append("%s differs: %.400r" % (args[0], odd[:2]))
    return found


def getfattr(a, b):
    return attributes(a, b, ["getfattr", "-R", "-P", "-h", "-d", "-m", "-", "-e", "hex"])


def getfacl(a, b):
    return attributes(a, b, ["getfacl", "-R", "-P", "-n", "-p"])


def disk_usage(a, b):
    def blocks(path):
        return int(_run(["du", "-s", "-B512", path]).stdout.split()[0])

    x, y = blocks(a), blocks(b)
    # Directories and xattr blocks are laid out differently by another order of creation.
    return ["du: %d blocks became %d" % (x, y)] if y > x * 1.1 + 2048 else []


def digests(a, b):
    """b3sum (sha256sum where it is missing) of every regular file, names sorted."""
    # Mapping a file in tmpfs fills its holes: no --no-mmap, no trust in du afterwards.
    tool = ["b3sum", "--no-mmap"] if have("b3sum") else ["sha256sum"]

    def sums(root):
        find = _run(["find", ".", "-type", "f", "-not", "-path", "./deep/*", "-print0"], cwd=root)
        names = sorted(x for x in find.stdout.split(b"\0") if x)
        result = []
        for i in range(0, len(names), 500):
            result += _run([*tool, *names[i:i + 500]], cwd=root).stdout.splitlines()
        return result

    x, y = sums(a), sums(b)
    return [] if x == y else ["%s: %r" % (tool[0], sorted(set(x) ^ set(y))[:4])]


def all_of(a, b, deep="deep", **kw):
    """Every judge.  Tools that stop at PATH_MAX do not see the deep part; the walker does."""
    found = tree.compare(a, b, **kw)
    if have("rsync"):
        found += rsync(a, b, exclude=["/%s/*" % deep])
    if have("getfattr"):
        found += getfattr(a, b)
    if have("getfacl"):
        found += getfacl(a, b)
    return found + disk_usage(a, b) + digests(a, b)
