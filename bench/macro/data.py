"""What is copied: made anew for each row."""

import os
import shutil
import subprocess

from measure import Unable

MIB = 1 << 20
GIB = 1 << 30


def one_file(path, options):
    block = os.urandom(4 * MIB)  # no tool here compresses or looks for repeats
    with open(os.path.join(path, "file"), "wb", buffering=0) as file:
        left = options.file_size
        while left:
            left -= file.write(memoryview(block)[:min(left, len(block))])
        os.fsync(file.fileno())


def files(path, count, folders, size):
    data = os.urandom(size + count // folders)
    for number in range(folders):
        folder = os.path.join(path, "d%04d" % number)
        os.mkdir(folder)
        folder_fd = os.open(folder, os.O_RDONLY)
        for i in range(count // folders):
            fd = os.open("f%06d" % i, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=folder_fd)
            os.write(fd, data[i:i + size])
            os.close(fd)
        os.close(folder_fd)


def small(path, options):
    files(path, options.small_count, max(1, options.small_count // 100), 4096)


def million(path, options):
    files(path, options.million_count, 1000, 100)


def usr(path, options):
    """The tree, or what stays below --usr-size of its folders and of theirs, in order; returns a note of the rest."""
    root, room = options.usr.rstrip("/"), options.usr_size
    if stored_size(root) <= room:
        subprocess.run(["cp", "-aT", root, path], check=True)
        return root
    parted = []
    for name in sorted(os.listdir(root)):
        taken, left = fit(os.path.join(root, name), os.path.join(path, name), room)
        if left is not None:
            parted.append("%d of %d in %s" % (taken, taken + left, name))
        room = options.usr_size - stored_size(path)
    return "%s; left out to stay below %.1f GiB: all but %s" % (root, options.usr_size / GIB, ", ".join(parted))


def fit(source, target, room):
    """Copy a folder whole, or those of its entries that fit; returns how many were taken and left, or no left."""
    size = stored_size(source)
    if size <= room:
        subprocess.run(["cp", "-aT", source, target], check=True)
        return 1, None
    if os.path.islink(source) or not os.path.isdir(source):
        return 0, 1
    os.mkdir(target)
    taken = left = 0
    for name in sorted(os.listdir(source)):
        size = stored_size(os.path.join(source, name))
        if size > room:
            left += 1
            continue
        subprocess.run(["cp", "-a", os.path.join(source, name), target], check=True)
        taken, room = taken + 1, room - size
    return taken, left


def stored_size(path):
    done = subprocess.run(["du", "-s", "-B1", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return int(done.stdout.split()[0]) if done.stdout else 0


def tree_size(path):
    """Bytes of all files, files, and entries of any kind."""
    size = count = entries = 0
    for folder, folders, names in os.walk(path):
        entries += len(folders) + len(names)
        count += len(names)
        size += sum(os.lstat(os.path.join(folder, name)).st_size for name in names)
    return size, count, entries


def contents_check(source, target, strict):
    """Every regular file is there in full; `strict`: the copy is a replica, metadata and all."""
    for folder, _, names in os.walk(source):
        twin = os.path.join(target, os.path.relpath(folder, source))
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            copy = os.path.join(twin, name)
            if not os.path.isfile(copy) or os.path.getsize(copy) != os.path.getsize(path):
                raise Unable("the copy lacks %s" % os.path.relpath(path, source))
    if not strict or not shutil.which("rsync"):
        return
    done = subprocess.run(["rsync", "-aHAXni", "--numeric-ids", "--delete", source + "/", target + "/"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.stdout or done.returncode:
        raise Unable("the copy is no replica: %r" % done.stdout[:400])
