#!/usr/bin/env python3
"""Does every folder include and call only what the house allows?

The layers of docs/ARCHITECTURE.md are written down once, here. A folder may include its own files
and those of the folders named; outside libraries belong to one layer each. Calls that touch paths
belong to transfer/tree and the backends of ring; calls that cannot be used safely, nowhere.
"""

import os
import re
import sys

sys.dont_write_bytecode = True
import sources

ENGINE = ["base", "hash", "numa", "ring", "transfer/proto", "transfer/net", "transfer/tree",
          "transfer/delta"]

# folder: what it may include besides itself. The longest folder that contains a file counts.
LAYERS = {
    "include": [],
    "base": [],
    "hash": ["base"],
    "numa": ["base"],
    "ring": ["base"],
    "transfer/proto": ["base", "hash"],
    "transfer/net": ["base", "ring"],
    "transfer/tree": ["base", "hash", "ring", "transfer/proto"],
    "transfer/delta": ["base", "hash"],
    "transfer/engine": ENGINE,
    "server": ENGINE + ["transfer/engine"],
    "client": ENGINE + ["transfer/engine", "include"],
    "client/cli": ["include"],
    "bench": None,  # anything
    "tests": None,
}

# header: folders that may include it. None of the others is built or linked with that library.
LIBRARIES = {
    "liburing": ["ring"],
    "xxh": ["hash"],
    "hwloc": ["numa"],
    "openssl/": ["transfer/net"],
    "ini.h": ["server"],
    "json-c/": ["server", "client/cli"],
}

PATH_CALLS = """open open64 openat openat2 creat fopen freopen opendir scandir ftw nftw glob
rename renameat renameat2 stat lstat fstatat statx statfs statvfs access faccessat
unlink unlinkat remove rmdir mkdir mkdirat mkfifo mkfifoat mknod mknodat mkstemp mkostemp mkdtemp
tmpfile link linkat symlink symlinkat readlink readlinkat realpath chdir fchdir chroot
chmod fchmodat chown lchown fchownat utime utimes utimensat truncate
getxattr lgetxattr setxattr lsetxattr listxattr llistxattr removexattr lremovexattr""".split()

# path or folder: calls it may make, and why that does not break the rule.
PATH_ALLOWED = {
    "transfer/tree/": (PATH_CALLS, "the layer that knows paths, below a held root"),
    "ring/syscall.c": (PATH_CALLS, "runs the operations that tree describes"),
    "ring/uring.c": (["fopen", "open"], "opens fixed names in /proc at start"),
    "ring/boot.c": (["open"], "opens a fixed name in /proc at start"),
    "ring/slow.c": (["open"], "opens a fixed name in /proc at start"),
    "ring/probe.c": (["fopen", "open"], "reads fixed names in /proc at start"),
    "numa/cgroup.c": (["fopen"], "reads fixed names in /proc and /sys at start"),
    "numa/sysfs.c": (["fopen", "scandir", "realpath", "access"],
                     "reads small files of /proc and /sys for placement and doctor"),
    "server/config.c": (["fopen", "open"], "the configuration file, named by the administrator"),
    "client/cli/": (["fopen"], "lists of files and rules, named by the user"),
    "client/cli/control_place.c": (["open", "mkdir", "access", "fstatat", "renameat2", "unlinkat"],
                                   "the directory of the sockets that control running jobs"),
    "client/doctor.c": (["stat"], "which device the operator's own path is on"),
    "client/paths.c": (["open", "openat", "stat", "fstatat", "mkdir", "mkdtemp", "rmdir",
                         "unlinkat"],
                       "the operator's own arguments, before there is a loop to run tree on"),
}

# call: why not. Everywhere, tests included.
BANNED = {
    "strcpy": "memcpy with a checked size", "strcat": "snprintf", "strncat": "snprintf",
    "stpcpy": "memcpy with a checked size", "sprintf": "snprintf", "vsprintf": "vsnprintf",
    "gets": "fgets", "mktemp": "mkstemp", "tmpnam": "mkstemp", "tempnam": "mkstemp",
    "system": "no shell, ever", "popen": "no shell, ever", "alloca": "no unbounded stack",
    "strtok": "strtok_r, or strcspn", "atoi": "strtol, with its errors", "atol": "strtol",
    "atof": "strtod, with its errors",
}

# Below the programs nothing prints, ends the process, takes its signals or starts another one:
# libhawser is a guest in somebody's process.
GUEST_BANNED = """printf fprintf vprintf vfprintf puts fputs putchar perror exit _exit _Exit
quick_exit atexit signal sigaction fork vfork execl execlp execle execv execvp execve posix_spawn
setlocale""".split()
GUEST_FOLDERS = ["base", "hash", "numa", "ring", "transfer", "client"]
HOST_FOLDERS = ["client/cli", "server"]

# Comments and literals, so that what they hold is not read as code.
NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
CALL = re.compile(r"(?<![\w.])(?<!->)([a-zA-Z_]\w*)[ \t]*\(")


def is_in(path, folder):
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def layer_of(path):
    found = [layer for layer in LAYERS if is_in(path, layer)]
    return max(found, key=len) if found else None


def resolve(path, name):
    """The file an #include "..." names, relative to the root, or None."""
    for base in ("", "include", os.path.dirname(path)):
        candidate = os.path.normpath(os.path.join(base, name))
        if os.path.exists(os.path.join(sources.ROOT, candidate)):
            return candidate
    return None


def includes_check(path, text, say):
    layer = layer_of(path)
    if layer is None:
        say(path, 1, "this folder has no layer in tools/deps.py")
        return
    allowed = LAYERS[layer]
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        kind, name = match.groups()
        if allowed is None:
            continue
        if kind == "<":
            for library, owners in LIBRARIES.items():
                if name.startswith(library) and layer not in owners:
                    say(path, line, f"<{name}> belongs to {', '.join(owners)}")
            continue
        target = resolve(path, name)
        if target is None:
            say(path, line, f'"{name}" is not in the tree')
        elif layer_of(target) != layer and layer_of(target) not in allowed:
            say(path, line, f'{layer} may not include "{name}"')


def calls_check(path, text, say):
    code = NOISE.sub(lambda m: "\n" * m.group().count("\n") + " ", text)
    free = any(is_in(path, folder) for folder in ("tests", "bench"))
    guest = (any(is_in(path, f) for f in GUEST_FOLDERS) and
             not any(is_in(path, f) for f in HOST_FOLDERS))
    may = set()
    for place, (calls, _) in PATH_ALLOWED.items():
        if is_in(path, place.rstrip("/")):
            may.update(calls)
    for match in CALL.finditer(code):
        name = match.group(1)
        line = code.count("\n", 0, match.start()) + 1
        if name in BANNED:
            say(path, line, f"{name}() is banned: {BANNED[name]}")
        elif not free and name in PATH_CALLS and name not in may:
            say(path, line, f"{name}(): only transfer/tree touches paths")
        elif guest and name in GUEST_BANNED:
            say(path, line, f"{name}(): a library does not do that to its process")


def main():
    if len(sys.argv) > 1:
        print(__doc__)
        sys.exit(0 if sys.argv[1:] == ["--help"] else 2)
    problems = []

    def say(path, line, text):
        problems.append(f"{path}:{line}: {text}")

    for path in sources.files(".c", ".h"):
        text = sources.read(path)
        includes_check(path, text, say)
        calls_check(path, text, say)
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
