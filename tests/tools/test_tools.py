#!/usr/bin/env python3
"""The tools that watch the house must notice what they are there for.

Method: a small tree with one planted fault at a time; the tool must name its line and exit 1, and
must be content with the tree without it.
"""

import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

CLEAN = {
    "base/util.h": "#ifndef U\n#define U\n#endif\n",
    "ring/ring.h": '#include "base/util.h"\n#include <liburing.h>\n',
    "transfer/tree/at.c": "int at(void)\n{\n    return openat2(1);\n}\n",
    "include/hawser/hawser.h": "#include <stdint.h>\n",
    "client/cli/main.c": '#include "hawser/hawser.h"\nint main(void)\n{\n    return puts("");\n}\n',
}

LONG_FUNCTION = "int f(void)\n{\n" + "    g();\n" * 69 + "}\n"
LATER = "TO" + "DO"

# tool, file, content, what the tool says (None: it is content)
CASES = [
    ("deps", "base/a.c", '#include "ring/ring.h"\n', "base/a.c:1: base may not include"),
    ("deps", "transfer/proto/a.c", '#include "transfer/tree/at.h"\n', "is not in the tree"),
    ("deps", "transfer/tree/a.c", '#include "ring/ring.h"\n', None),
    ("deps", "client/cli/a.c", '#include "base/util.h"\n', "client/cli may not include"),
    ("deps", "base/a.c", "#include <liburing.h>\n", "belongs to ring"),
    ("deps", "other/a.c", "int a;\n", "has no layer"),
    ("deps", "server/a.c", "int a(void)\n{\n    return unlink(p);\n}\n", "a.c:3: unlink()"),
    ("deps", "server/a.c", "/* unlink(p) */ char *a = \"unlink(p)\";\n", None),
    ("deps", "server/a.c", "int a = x->unlink(p) + hsr_unlink(p) + y.stat(q);\n", None),
    ("deps", "tests/a.c", "int a = unlink(p);\n", None),
    ("deps", "tests/a.c", "char *a = strcpy(p, q);\n", "strcpy() is banned"),
    ("deps", "ring/a.c", "int a = printf(p);\n", "printf(): a library does not"),
    ("deps", "server/a.c", "int a = printf(p);\n", None),
    ("tidy", "base/a.c", "/* " + "x" * 98 + " */\n", "104 columns"),
    ("tidy", "base/a.c", LONG_FUNCTION, "a function of 71 lines"),
    ("tidy", "base/a.c", LONG_FUNCTION.replace("    g();\n", "", 1), None),
    ("tidy", "base/a.c", "int a;\n" * 801, "a file of 801 lines"),
    ("tidy", "base/a.c", "int a; \n", "blanks at the end"),
    ("tidy", "base/a.c", "\tint a;\n", "a tab"),
    ("tidy", "base/a.c", "int a;", "no newline"),
    ("tidy", "base/a.c", f"/* {LATER}: later */\n", "without an issue number"),
    ("tidy", "base/a.c", f"/* {LATER}(#12): later */\n", None),
]


def write(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)


def case_run(tool, path, text, want):
    """None if the tool did as expected, else what went wrong."""
    with tempfile.TemporaryDirectory(prefix="hawser-tools-") as root:
        shutil.copytree(os.path.join(ROOT, "tools"), os.path.join(root, "tools"))
        for name, content in CLEAN.items():
            write(root, name, content)
        if path:
            write(root, path, text)
        done = subprocess.run([sys.executable, os.path.join(root, "tools", tool + ".py")],
                              capture_output=True, text=True)
    if want is None and (done.returncode != 0 or done.stderr):
        return f"is not content: {done.stderr}"
    if want is not None and (done.returncode != 1 or want not in done.stderr):
        return f"exit {done.returncode}, does not say \"{want}\": {done.stderr}"
    return None


def main():
    failures = 0
    for tool, path, text, want in [(t, "", "", None) for t in ("deps", "tidy")] + CASES:
        problem = case_run(tool, path, text, want)
        if problem:
            print(f"{tool}, {path or 'clean tree'}: {problem}", file=sys.stderr)
            failures += 1
    print(f"{len(CASES) + 2} cases, {failures} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
