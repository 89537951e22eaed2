"""A push or a pull of one tree that is begun, stopped and begun again: what the tests of control and
of resuming share."""

import json

import tree

MIB = tree.MIB
SIZE, COUNT = 48 * MIB + 12345, 3
SMALL_SIZE = 20000
RATE = 40 * MIB  # a second, where a test wants to be there before the end
UNIT = 4 * MIB  # of a large file: what is cut is sent again


def moved(process):
    """Bytes by the newest line of progress."""
    for line in reversed(process.read("out").split(b"\n")[:-1]):
        if b'"progress"' in line:
            return json.loads(line)["bytes_done"]
    return 0


class Way:
    def __init__(self, t, way, *extra, name="", size=SIZE, large=COUNT, small=1, server=()):
        """@name: before those of its folders; @extra, @server: arguments of either side."""
        self.t, self.way, self.extra, self.server_args = t, way, extra, server
        self.src, self.dst = t.dir(name + "src"), t.dir(name + "dst")
        b = tree.Builder(self.src)
        for i in range(large):
            b.random_file("f%d" % i, size)
        for i in range(small):
            b.random_file("s%d" % i, SMALL_SIZE)
        self.bytes = large * size + small * SMALL_SIZE
        self.serve()

    def serve(self):
        self.server = self.t.server({"x": self.dst if self.way == "push" else self.src}, self.server_args)

    def args(self, *more):
        ends = ([self.src + "/", self.server.url()] if self.way == "push"
                else [self.server.url() + b"/", self.dst])
        return [self.way, "--json", "--progress", *self.extra, *more, *ends]

    def begin(self, at, *more, rate=RATE, **kw):
        """A run of @rate bytes a second, of which @at have moved; @kw is T.start()'s."""
        p = self.t.start(*self.args("--bwlimit=%d" % (rate // 1024), *more), **kw)
        self.t.until(lambda: moved(p) >= at or p.poll() is not None, what="progress")
        self.t.check(p.poll() is None, "it was over before it was to be stopped:", p.result())
        return p

    def finish(self, *more):
        """Its summary; the trees are equal, and nothing of ours is left."""
        r = self.t.run(*self.args(*more), rc=0)
        self.t.same(self.src, self.dst)
        self.t.no_stage_files(self.dst)
        return r.summary()
