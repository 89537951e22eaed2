"""Which files the checks read: everything in the tree but builds and what git keeps for itself."""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKIPPED = {".git", "__pycache__", "subprojects"}


def is_build(folder):
    return folder.startswith("build") or os.path.isdir(os.path.join(ROOT, folder, "meson-private"))


def files(*suffixes):
    """Paths relative to the root, sorted; all files without arguments."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in SKIPPED and not (folder == ROOT and is_build(f))]
        for name in names:
            path = os.path.join(folder, name)
            if (not suffixes or name.endswith(suffixes)) and not os.path.islink(path):
                found.append(os.path.relpath(path, ROOT))
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
