"""Trees with every kind of entry, and a walker that compares two of them.

Everything works relative to directory descriptors, so that paths deeper than PATH_MAX, names that
are no text and directories nobody may read are no special case.  Contents come from a seed: the
same seed gives the same bytes.
"""

import ctypes
import errno
import os
import random
import socket
import stat
import struct
import subprocess

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

SIZES = (0, 1, 4095, 4096, 4097, 65535, 65536, 65537, MIB - 1, MIB, MIB + 1, 5 * MIB + 3)

_libc = ctypes.CDLL(None, use_errno=True)


def is_root():
    return os.geteuid() == 0


def content(seed, size):
    """Bytes that do not compress and do not repeat, a function of the seed."""
    return random.Random(seed).randbytes(size)


class Builder:
    """Makes entries below one root; what the file system refuses is noted in `missing`."""

    def __init__(self, root, seed=1):
        self.root = os.fsencode(root)
        self.seed = seed
        self.missing = []
        self.later = []  # modes and times of directories, set when their children exist
        os.makedirs(self.root, exist_ok=True)

    def path(self, name):
        return os.path.join(self.root, os.fsencode(name))

    def directory(self, name, mode=0o755, mtime_ns=None):
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        self.later.append((path, mode, mtime_ns))
        return path

    def file(self, name, data=b"", mode=0o644, mtime_ns=None):
        path = self.path(name)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view):]
            os.fchmod(fd, mode)
        finally:
            os.close(fd)
        if mtime_ns is not None:
            os.utime(path, ns=(mtime_ns, mtime_ns))
        return path

    def random_file(self, name, size, **kw):
        return self.file(name, content("%s/%r" % (self.seed, name), size), **kw)

    def symlink(self, name, target, mtime_ns=None):
        path = self.path(name)
        os.symlink(os.fsencode(target), path)
        if mtime_ns is not None:
            os.utime(path, ns=(mtime_ns, mtime_ns), follow_symlinks=False)
        return path

    def sparse(self, name, size, pieces):
        """@pieces: (offset, size) of what is really written."""
        path = self.path(name)
        with open(path, "wb") as f:
            for offset, length in pieces:
                f.seek(offset)
                f.write(content("%s/%r/%d" % (self.seed, name, offset), length))
            f.truncate(size)
        return path

    def attempt(self, what, function, *args, **kw):
        """Do what some file systems or users may not do; remember what was refused."""
        try:
            function(*args, **kw)
            return True
        except (OSError, subprocess.CalledProcessError, FileNotFoundError) as error:
            self.missing.append("%s: %s" % (what, error))
            return False

    def finish(self):
        """Modes and times of directories, deepest first: children change them."""
        for path, mode, mtime_ns in sorted(self.later, key=lambda x: -x[0].count(b"/")):
            if mtime_ns is not None:
                os.utime(path, ns=(mtime_ns, mtime_ns))
            os.chmod(path, mode)
        self.later = []


def add_sizes(b):
    b.directory("sizes", mtime_ns=1_234_567_890_123_456_789)
    for size in SIZES:
        b.random_file("sizes/%08d" % size, size)


def add_small(b, count=300):
    b.directory("small")
    for i in range(count):
        if i % 50 == 0:
            b.directory("small/d%d" % (i // 50))
        b.random_file("small/d%d/f%d" % (i // 50, i), (i * 37) % 5000)
    b.directory("empty")
    b.directory("empty/nested")
    b.directory("empty/nested/more")


def add_modes(b):
    b.directory("modes")
    for mode in (0o400, 0o444, 0o600, 0o644, 0o755, 0o777):
        b.random_file("modes/f%04o" % mode, 100, mode=mode)
    b.random_file("modes/f4755", 5000, mode=0o4755)
    b.random_file("modes/f2755", 5000, mode=0o2755)
    b.random_file("modes/f6711", 5000, mode=0o6711)
    b.random_file("modes/f1644", 5000, mode=0o1644)
    b.directory("modes/sticky", mode=0o1777)
    b.directory("modes/setgid", mode=0o2775)
    b.file("modes/setgid/child", b"x")
    b.directory("modes/readonly", mode=0o555, mtime_ns=1_111_111_111_000_000_001)
    b.directory("modes/readonly/below", mode=0o500, mtime_ns=1_111_111_112_000_000_002)
    b.random_file("modes/readonly/below/f", 10000, mode=0o444)
    # Only root gets past these: for their owner they are errors, and have tests as such.
    if not is_root():
        b.missing.append("files and directories that their owner may not read: needs root")
        return
    for mode in (0o000, 0o200):
        b.random_file("modes/f%04o" % mode, 100, mode=mode)
    b.directory("modes/closed", mode=0o000)
    b.random_file("modes/closed/f", 5000, mode=0o000)


def add_owners(b):
    if not is_root():
        b.missing.append("owners: needs root")
        return
    b.directory("owners")
    for uid, gid in ((1, 1), (1000, 2000), (65534, 65534), (12345678, 4000000000)):
        path = b.random_file("owners/%d-%d" % (uid, gid), 1000)
        os.chown(path, uid, gid)
        path = b.directory("owners/dir-%d" % uid)
        os.chown(path, uid, gid)
        path = b.symlink("owners/link-%d" % uid, "x")
        os.lchown(path, uid, gid)
    # chown clears the set-id bits, so the mode comes second here, and must at the target too.
    path = b.random_file("owners/setuid", 1000)
    os.chown(path, 1000, 1000)
    os.chmod(path, 0o6755)


def add_times(b):
    b.directory("times", mtime_ns=999_999_999)
    s = 10**9
    for label, ns in (("epoch", 0), ("one-ns", 1), ("last-ns", s - 1), ("pre1970", -5 * s + 7),
                      ("1950", -631_152_000 * s + 123_456_789), ("2100", 4_102_444_800 * s + 987),
                      ("2400", 13_569_465_600 * s + 1), ("y2038", 2**31 * s + 5)):
        b.file("times/" + label, b"t", mtime_ns=ns)
        b.directory("times/dir-" + label, mtime_ns=ns)
        b.file("times/dir-%s/child" % label, b"c")
        b.symlink("times/link-" + label, "epoch", mtime_ns=ns)


def add_links(b):
    b.directory("links")
    b.directory("links/a")
    b.directory("links/z")
    b.file("links/file", b"target of links")
    b.symlink("links/relative", "file")
    b.symlink("links/absolute", "/etc/hostname")
    b.symlink("links/dangling", "no/such/thing")
    b.symlink("links/to-dir", "a")
    b.symlink("links/up", "../../../..")
    b.symlink("links/self", "self")
    b.symlink("links/bytes", b"\xff\xfe\n\x01 x")
    b.symlink("links/long", "x" * 4095)
    b.symlink("links/a/back", "../z")
    b.random_file("links/a/hard1", 70000)
    os.link(b.path("links/a/hard1"), b.path("links/z/hard2"))
    os.link(b.path("links/a/hard1"), b.path("links/hard3"))
    b.random_file("links/z/small1", 10)
    os.link(b.path("links/z/small1"), b.path("links/a/small2"))
    b.file("links/empty1", b"")
    os.link(b.path("links/empty1"), b.path("links/z/empty2"))
    b.attempt("hard-linked symlink", os.link, b.path("links/relative"), b.path("links/z/relative"),
              follow_symlinks=False)


def add_specials(b):
    b.directory("specials")
    os.mkfifo(b.path("specials/fifo"), 0o640)
    b.attempt("hard-linked fifo", os.link, b.path("specials/fifo"), b.path("specials/fifo2"))
    if is_root():
        for name, mode, dev in (("null", stat.S_IFCHR | 0o666, (1, 3)),
                                ("wide", stat.S_IFCHR | 0o600, (510, 300000)),
                                ("disk", stat.S_IFBLK | 0o660, (8, 1))):
            b.attempt("device node", os.mknod, b.path("specials/" + name), mode, os.makedev(*dev))
    else:
        b.missing.append("device nodes: needs root")


def add_sockets(b):
    """Apart from the rest: a socket cannot be kept, so this part of the tree never compares."""
    b.directory("sockets")
    b.file("sockets/neighbour", b"moves")
    here = os.getcwd()
    os.chdir(b.path("sockets"))  # sun_path holds 108 bytes
    try:
        s = socket.socket(socket.AF_UNIX)
        s.bind("a-socket")
        s.close()
    finally:
        os.chdir(here)


def add_sparse(b):
    b.directory("sparse")
    b.sparse("sparse/head", 3 * MIB, [(2 * MIB, MIB)])
    b.sparse("sparse/tail", 3 * MIB, [(0, MIB)])
    b.sparse("sparse/middle", 3 * MIB, [(0, MIB), (2 * MIB, MIB)])
    b.sparse("sparse/all", 8 * MIB, [])
    b.sparse("sparse/tiny", 64 * MIB, [(32 * MIB, 1)])
    b.sparse("sparse/odd", 10 * MIB + 777, [(123456, 4567), (5 * MIB + 1, 100)])
    b.sparse("sparse/comb", 4 * MIB, [(i * 64 * KIB, 4 * KIB) for i in range(64)])


def add_terabyte(b):
    b.sparse("terabyte", TIB, [(0, MIB), (512 * GIB, MIB), (TIB - MIB, MIB)])


def add_xattrs(b):
    b.directory("xattrs")
    path = b.random_file("xattrs/some", 5000)
    if not b.attempt("user xattrs", os.setxattr, path, b"user.plain", b"value"):
        return
    os.setxattr(path, b"user.binary", bytes(range(256)))
    os.setxattr(path, b"user.empty", b"")
    os.setxattr(path, b"user.name with = and \xff\n", b"odd name")
    path = b.random_file("xattrs/many", 10)
    for i in range(40):
        os.setxattr(path, b"user.n%d" % i, b"%d" % (i * i))
    path = b.file("xattrs/large", b"l")
    b.attempt("60 KiB xattr", os.setxattr, path, b"user.large", content("xattr", 60 * KIB))
    path = b.directory("xattrs/dir")
    os.setxattr(path, b"user.dir", b"on a directory")
    path = b.random_file("xattrs/readonly", 300, mode=0o400)
    if is_root():
        os.setxattr(path, b"user.ro", b"on a read-only file")
        for name in ("some", "dir", "readonly"):
            b.attempt("trusted xattrs", os.setxattr, b.path("xattrs/" + name), b"trusted.t", b"\0\1")
        link = b.symlink("xattrs/link", "some")
        b.attempt("xattr of a symlink", os.setxattr, link, b"trusted.l", b"link",
                  follow_symlinks=False)


def add_acls(b):
    b.directory("acls")
    b.random_file("acls/file", 2000)
    b.directory("acls/dir")

    def run(*args):
        subprocess.run(args, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    if b.attempt("ACLs", run, "setfacl", "-m", "u:1:rwx,g:2:r,u:65534:-", b.path("acls/file")):
        run("setfacl", "-m", "u:7:rx", b.path("acls/dir"))
        run("setfacl", "-d", "-m", "u:3:rwx,g:4:rx,o::-", b.path("acls/dir"))
        # Made under the default ACL: inherits, and must not inherit twice at the target.
        b.random_file("acls/dir/child", 100)
        b.directory("acls/dir/sub", mode=0o750)
        b.file("acls/dir/sub/f", b"f", mode=0o600)
    if is_root():
        path = b.random_file("acls/capable", 3000, mode=0o755)
        # cap_net_raw+ep in the version 2 format: needs neither setcap nor its package.
        value = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
        b.attempt("file capabilities", os.setxattr, path, b"security.capability", value)


def add_names(b):
    b.directory("names")
    for value in range(1, 256):
        if value == ord("/"):
            continue
        name = bytes([value])
        b.file(b"names/b" + name, name)  # a lone '.' would be the directory itself
    for name in (b"new\nline", b"\xff\xfe invalid", b"-rf", b"--delete", b" leading", b"trailing ",
                 b"quote'\"`", b"$(id);|&", b"%s%n", b"\x1b[31mred", b"back\\slash", b"*", b"?[x]",
                 b"...", b".hidden", "\u00e9\u4e2d\U0001f600".encode(), b"a" * 255, b"\xff" * 255):
        b.file(b"names/" + name, name)
    b.directory(b"names/dir \xff\n")
    b.file(b"names/dir \xff\n/in it", b"x")
    b.directory(b"names/" + b"d" * 255)
    b.file(b"names/" + b"d" * 255 + b"/" + b"f" * 255, b"x")


def add_deep(b, levels=24, width=200):
    """A path of levels * width bytes: longer than PATH_MAX with the defaults."""
    b.directory("deep")
    name = b"n" * width
    fd = os.open(b.path("deep"), os.O_RDONLY | os.O_DIRECTORY)
    try:
        for level in range(levels):
            os.mkdir(name, 0o755, dir_fd=fd)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = below
            f = os.open(b"f%d" % level, os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=fd)
            os.write(f, b"level %d" % level)
            os.close(f)
        os.symlink(b"somewhere", b"link", dir_fd=fd)
        os.mkdir(b"empty", 0o700, dir_fd=fd)
    finally:
        os.close(fd)


ALL = (add_sizes, add_small, add_modes, add_owners, add_times, add_links, add_specials,
       add_sparse, add_xattrs, add_acls, add_names, add_deep)
REDUCED = (add_sizes, add_small, add_links, add_times, add_sparse)


def build(root, parts=ALL, seed=1):
    """Build the tree and return the list of what this file system or user cannot have."""
    b = Builder(root, seed)
    for part in parts:
        part(b)
    b.finish()
    return b.missing


# --- comparison ----------------------------------------------------------------------------------

def _xattrs(dir_fd, name):
    path = b"/proc/self/fd/%d/%s" % (dir_fd, name)
    result = {}
    try:
        for key in os.listxattr(path, follow_symlinks=False):
            result[key] = os.getxattr(path, key, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EACCES):
            raise
    return result


def data_ranges(fd, size):
    offset = 0
    while offset < size:
        try:
            start = os.lseek(fd, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end
        offset = end


def _same_content(a_fd, b_fd, size):
    """Compares where either file has data: a terabyte of hole costs nothing."""
    for fd in (a_fd, b_fd):
        for start, end in data_ranges(fd, size):
            while start < end:
                length = min(MIB, end - start)
                if os.pread(a_fd, length, start) != os.pread(b_fd, length, start):
                    return start
                start += length
    return None


class Compare:
    def __init__(self, ignore=(), skip=(), times=True, owners=True, xattrs=True, links=True,
                 blocks=True, limit=20):
        self.ignore = set(os.fsencode(x) for x in ignore)  # paths relative to the root
        self.skip = skip  # predicate over (path, stat) or ()
        self.times, self.owners, self.xattrs = times, owners, xattrs
        self.links, self.blocks, self.limit = links, blocks, limit
        self.found = []
        self.inodes = ({}, {})

    def say(self, path, what):
        if len(self.found) < self.limit:
            self.found.append("%r: %s" % (path if len(path) < 300 else path[-300:], what))

    def entry(self, path, name, a_dir, b_dir):
        a = os.stat(name, dir_fd=a_dir, follow_symlinks=False)
        try:
            b = os.stat(name, dir_fd=b_dir, follow_symlinks=False)
        except FileNotFoundError:
            self.say(path, "missing in the copy")
            return None
        if stat.S_IFMT(a.st_mode) != stat.S_IFMT(b.st_mode):
            self.say(path, "type %o became %o" % (stat.S_IFMT(a.st_mode), stat.S_IFMT(b.st_mode)))
            return None
        self.attributes(path, a, b)
        if self.xattrs:
            x, y = _xattrs(a_dir, name), _xattrs(b_dir, name)
            if x != y:
                keys = [k for k in sorted(set(x) | set(y)) if x.get(k) != y.get(k)]
                self.say(path, "xattrs differ: %s" % keys)
        if stat.S_ISLNK(a.st_mode):
            if os.readlink(name, dir_fd=a_dir) != os.readlink(name, dir_fd=b_dir):
                self.say(path, "symlink target differs")
        elif stat.S_ISREG(a.st_mode):
            self.content(path, name, a_dir, b_dir, a, b)
        return a

    def attributes(self, path, a, b):
        if a.st_mode != b.st_mode:
            self.say(path, "mode %o became %o" % (a.st_mode, b.st_mode))
        if self.owners and (a.st_uid, a.st_gid) != (b.st_uid, b.st_gid):
            self.say(path, "owner %d:%d became %d:%d" % (a.st_uid, a.st_gid, b.st_uid, b.st_gid))
        if self.times and a.st_mtime_ns != b.st_mtime_ns:
            self.say(path, "mtime %d became %d" % (a.st_mtime_ns, b.st_mtime_ns))
        if stat.S_ISCHR(a.st_mode) or stat.S_ISBLK(a.st_mode):
            if a.st_rdev != b.st_rdev:
                self.say(path, "device number differs")
        if self.links and not stat.S_ISDIR(a.st_mode) and (a.st_nlink > 1 or b.st_nlink > 1):
            first_a = self.inodes[0].setdefault((a.st_dev, a.st_ino), path)
            first_b = self.inodes[1].setdefault((b.st_dev, b.st_ino), path)
            if first_a != first_b:
                self.say(path, "hard link to %r became one to %r" % (first_a, first_b))

    def content(self, path, name, a_dir, b_dir, a, b):
        if a.st_size != b.st_size:
            self.say(path, "size %d became %d" % (a.st_size, b.st_size))
            return
        # Granules differ between file systems; what must not happen is that a hole is filled.
        if self.blocks and b.st_blocks * 512 > a.st_blocks * 512 * 1.1 + 256 * KIB:
            self.say(path, "%d blocks became %d" % (a.st_blocks, b.st_blocks))
        try:
            a_fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=a_dir)
        except PermissionError:
            return
        try:
            b_fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=b_dir)
            try:
                where = _same_content(a_fd, b_fd, a.st_size)
            finally:
                os.close(b_fd)
        finally:
            os.close(a_fd)
        if where is not None:
            self.say(path, "content differs within 1 MiB of offset %d" % where)

    def walk(self, a_root, b_root):
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        # A stack of open pairs: deep trees need descriptors, not long paths.  Children of one
        # directory are finished before its descriptors close.
        a_fd, b_fd = os.open(a_root, flags), os.open(b_root, flags)
        self.attributes(b".", os.fstat(a_fd), os.fstat(b_fd))
        stack = [[b"", a_fd, b_fd, None]]
        try:
            while stack:
                top = stack[-1]
                prefix, a_fd, b_fd = top[:3]
                if top[3] is None:
                    top[3] = self.level(prefix, a_fd, b_fd)
                if not top[3]:
                    os.close(a_fd)
                    os.close(b_fd)
                    stack.pop()
                    continue
                name = top[3].pop()
                try:
                    a_sub = os.open(name, flags, dir_fd=a_fd)
                except PermissionError:
                    continue
                stack.append([prefix + name + b"/", a_sub, os.open(name, flags, dir_fd=b_fd), None])
        finally:
            for _, a_fd, b_fd, _ in stack:
                os.close(a_fd)
                os.close(b_fd)
        return self.found

    def level(self, prefix, a_fd, b_fd):
        a_names = sorted(os.fsencode(x) for x in os.listdir(a_fd))
        b_names = set(os.fsencode(x) for x in os.listdir(b_fd))
        below = []
        for name in a_names:
            path = prefix + name
            if path in self.ignore:
                b_names.discard(name)
                continue
            b_names.discard(name)
            info = self.entry(path, name, a_fd, b_fd)
            if info and stat.S_ISDIR(info.st_mode):
                below.append(name)
        for name in sorted(b_names):
            if prefix + name not in self.ignore:
                self.say(prefix + name, "only in the copy")
        return below


def compare(a_root, b_root, **kw):
    """List of differences between two trees, [] if the second is a replica of the first."""
    return Compare(**kw).walk(os.fsencode(a_root), os.fsencode(b_root))


def remove(path):
    """rm -rf that gets through read-only directories as a plain user, and past PATH_MAX."""
    path = os.fsencode(path)
    if not os.path.lexists(path):
        return
    if not is_root() and os.path.isdir(path) and not os.path.islink(path):
        subprocess.run(["chmod", "-R", "u+rwX", path], stderr=subprocess.DEVNULL, check=False)
    subprocess.run(["rm", "-rf", "--one-file-system", path], check=False)
