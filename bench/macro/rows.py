"""The rows of the table: which data, which tools, which targets, and how the tools take turns."""

import mmap
import os
import shutil
import subprocess
import tempfile

import data
import targets
import tools
from cage import Tmpfs
from data import GIB, MIB
from measure import Unable, command_cost, memory_available, say


class Context:
    """What all rows share."""

    def __init__(self, options, inside, mount_point):
        self.options, self.inside, self.mount_point = options, inside, mount_point


class Row:
    """Copy to a fresh target; the tools take turns, and the order rotates.

    With `keep` the targets are removed at the end only: ext4 does not use a deleted inode again for minutes, and looks
    at all of them for each new file, so that each run would pay for the files of those before it (measured: 9.6 s
    instead of 6.4 s for 100,000 files, most of it in recently_deleted())."""

    def __init__(self, title, make, tool_classes, judged, medium="tmpfs", keep=False):
        self.title, self.make, self.tool_classes, self.judged, self.medium = title, make, tool_classes, judged, medium
        self.keep = keep

    def measure(self, context):
        """The row as it goes into the JSON."""
        if self.medium == "disk":
            return self.measure_in(context, context.options.disk)
        with Tmpfs(context.inside, context.mount_point, context.options.tmpfs, self.medium == "huge") as folder:
            return self.measure_in(context, folder)

    def measure_in(self, context, folder):
        root = tempfile.mkdtemp(prefix="hawser-compare-", dir=folder)
        logs = tempfile.mkdtemp(prefix="hawser-compare-log-")
        row = {"title": self.title, "medium": self.medium, "tools": {}, "notes": []}
        try:
            with open(os.path.join(logs, "log"), "wb") as log:
                source = os.path.join(root, "source")
                os.mkdir(source)
                note = self.make(source, context.options)
                if note:
                    row["notes"].append(note)
                row["bytes"], row["files"], row["entries"] = data.tree_size(source)
                self.check_room(root, row, context.options)
                self.turns(Turns(self, context, root, source, log, row))
        finally:
            shutil.rmtree(root, ignore_errors=True)
            shutil.rmtree(logs, ignore_errors=True)
        row["targets"] = [target.judge(row) for target in self.judged]
        return row

    def check_room(self, root, row, options):
        need = row["bytes"] + row["entries"] * 6144 + 64 * MIB
        if need > shutil.disk_usage(root).free * 0.9:
            raise Unable("%.1f GiB are needed in %s" % (need / GIB, root))
        available = memory_available()
        if self.medium != "disk" and need + GIB > available:
            raise Unable("%.1f GiB of memory are needed, %.1f are there" % (need / GIB, available / GIB))

    def turns(self, turns):
        with turns:
            for tool in turns.tools_now():
                turns.attempt(tool, turns.qualify)
            for number in range(turns.options.runs):
                for tool in turns.tools_now(number):
                    turns.attempt(tool, turns.round_of)


class Again(Row):
    """Nothing has changed since the last copy: all tools look at the same two trees."""

    def turns(self, turns):
        subprocess.run(["cp", "-aT", turns.source, turns.target], check=True)
        super().turns(turns)


class Once(Row):
    """One run, for what does not vary."""

    def turns(self, turns):
        with turns:
            for tool in turns.tools_now():
                turns.attempt(tool, turns.round_of)


class Flows(Row):
    """From memory to memory: nothing is copied."""

    def turns(self, turns):
        turns.row["bytes"], turns.row["files"] = turns.options.net_size, 1
        super().turns(turns)


class Patterns(Row):
    """The disk alone: nothing is copied."""

    def turns(self, turns):
        turns.row["bytes"], turns.row["files"] = turns.options.file_size, 1
        super().turns(turns)


class Latency(Row):
    """Many runs of the whole command for one file."""

    def turns(self, turns):
        source = os.path.join(turns.source, "file")
        copy = os.path.join(turns.target, "file")

        def one(tool):
            cost = command_cost(tool.command(source, turns.target + "/"), turns.log)
            if os.path.getsize(copy) != os.path.getsize(source):
                raise Unable("the copy is not whole")
            os.unlink(copy)
            return cost

        def qualify(tool):
            tools.fastest(tool, [(variant, self.trial(tool, variant, one)) for _ in range(turns.options.tries)
                                 for variant in tool.variants * 3])

        def keep(tool):
            wall, cpu = one(tool)
            turns.keep(tool, {"wall_s": wall, "cpu_client_s": cpu, "cpu_server_s": 0.0, "memory_client": 0,
                              "memory_server": 0})

        with turns:
            for tool in turns.tools_now():
                turns.attempt(tool, qualify)
            before = {tool.name: tool.server.settled_cpu() for tool in turns.tools_now()}
            for number in range(turns.options.latency_runs):
                for tool in turns.tools_now(number):
                    turns.attempt(tool, keep)
            for tool in turns.tools_now():
                samples = turns.row["tools"][tool.name]["samples"]
                share = (tool.server.settled_cpu() - before[tool.name]) / len(samples)
                for sample in samples:
                    sample["cpu_server_s"] = share

    @staticmethod
    def trial(tool, variant, one):
        tool.variant = variant
        return one(tool)[0]


class Turns:
    """The tools of one row while it is measured. A tool that fails once is out of the row, with its reason."""

    def __init__(self, row_type, context, root, source, log, row):
        self.options, self.log, self.row, self.source = context.options, log, row, source
        self.medium = row_type.medium
        self.target = os.path.join(root, "target")
        self.fresh = not isinstance(row_type, (Again, Flows))
        # Patterns through the page cache pay for memory that is new to the machine, as copies into a tmpfs do.
        self.touch = isinstance(row_type, Patterns) or (self.fresh and self.medium != "disk")
        self.keep_targets, self.target_count = row_type.keep, 0
        self.running = []
        os.mkdir(self.target)
        for tool_class in row_type.tool_classes:
            tool = tool_class(self.options, root, log)
            tool.durable = self.medium == "disk"
            self.running.append(tool)

    def __enter__(self):
        for tool in list(self.running):
            self.attempt(tool, type(tool).start)
        return self

    def __exit__(self, *_):
        for tool in self.running:
            tool.stop()

    def tools_now(self, number=0):
        first = number % len(self.running) if self.running else 0
        return self.running[first:] + self.running[:first]

    def attempt(self, tool, step):
        try:
            step(tool)
        except Unable as reason:
            self.row["notes"].append("%s: %s" % (tool.name, reason))
            say("#   %s: %s" % (tool.name, reason))
            self.row["tools"].pop(tool.name, None)
            self.row.setdefault("failed", []).append(tool.name)
            tool.stop()
            self.running.remove(tool)

    def prepare(self):
        """A target, a cache and free memory as they must be before a run."""
        if self.fresh:
            self.refresh()
        if self.medium == "disk":
            self.cool()
        if self.touch:
            memory_touch(self.row["bytes"] + self.row["entries"] * 4096)

    def run(self, tool, check=False):
        """One run on a target as it must be before it."""
        self.prepare()
        result = tool.measure(self.source, self.target)
        if check and tool.copies:
            data.contents_check(self.source, self.target, strict=isinstance(tool, tools.Hawser))
        return result

    def refresh(self):
        """An empty target."""
        if self.keep_targets:
            self.target_count += 1
            self.target = os.path.join(os.path.dirname(self.source), "target-%d" % self.target_count)
        else:
            shutil.rmtree(self.target)
        os.mkdir(self.target)

    def cool(self):
        """Nothing dirty, and nothing cached: only root may say so."""
        os.sync()
        try:
            if not self.options.short:
                with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
                    file.write("3")
        except OSError:
            warm = "the page cache was warm: only root may drop it"
            if warm not in self.row["notes"]:
                self.row["notes"].append(warm)

    def qualify(self, tool):
        """A first run, whose copy is looked at, and the variant that is fastest here."""
        tries = [(variant, self.run_variant(tool, variant, number == 0))
                 for number in range(self.options.tries if len(tool.variants) > 1 else 1) for variant in tool.variants]
        tools.fastest(tool, tries)

    def run_variant(self, tool, variant, check):
        tool.variant = variant
        return self.run(tool, check)["wall_s"]

    def round_of(self, tool):
        result = self.run(tool)
        self.keep(tool, result)
        say("#   %-16s %8.3f s" % (tool.name, result["wall_s"]))

    def keep(self, tool, result):
        kept = self.row["tools"].setdefault(tool.name, {"variant": " ".join(tool.variant), "samples": []})
        kept["samples"].append(result)


MADV_POPULATE_WRITE = 23  # Linux 5.14; Python 3.11 has no name for it


def memory_touch(size):
    """A virtual machine may give free memory back to its host, and who touches it first then waits for the host: that
    should be us, now, for as much as a copy takes, and not whichever tool comes after a pause."""
    with mmap.mmap(-1, -(-size // (2 * MIB)) * 2 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        try:
            memory.madvise(mmap.MADV_HUGEPAGE)
            memory.madvise(MADV_POPULATE_WRITE)
        except OSError as reason:
            raise Unable("memory cannot be touched ahead: %s" % reason.strerror) from reason


def nothing(_path, _options):
    """For rows that copy nothing."""


def latency_data(size):
    def make(path, _options):
        with open(os.path.join(path, "file"), "wb") as file:
            file.write(os.urandom(size))
    return make


class LatencyRsync(tools.Rsync):
    variants = [["-aHAXW"], ["-a"]]


def latency(title, size):
    return Latency(title, latency_data(size), [tools.Hawser, LatencyRsync],
                   [targets.latency("rsync", share, 0.5) for share in (50, 99)])


ROWS = {
    "net": Flows("memory to memory, shard i of both sides on core i", nothing,
                 [tools.HawserNet, tools.HawserNetPlain, tools.Iperf],
                 [targets.speed("iperf3", 1.0), targets.speed("iperf3", 1.0, of="hawser --no-verify")]),
    "shards": Flows("the same with one shard a side and with two", nothing, [tools.HawserNet, tools.HawserNetOne],
                    [targets.speed("hawser, 1 shard", 1.7)]),
    "one": Row("one large file", data.one_file, [tools.Hawser, tools.Wdt, tools.Rsync, tools.Cp],
               [targets.speed("wdt", 1.2), targets.speed("rsync", 1.6), targets.speed("cp -a", 1.0),
                targets.cpu_share("rsync", 0.65)]),
    "null": Row("one large file to a sink that verifies", data.one_file, [tools.HawserSink, tools.WdtSkip],
                [targets.speed("wdt -skip_writes", 1.0)]),
    "huge": Row("the same into tmpfs mounted huge=always", data.one_file, [tools.Hawser, tools.Wdt, tools.Cp],
                [targets.speed("wdt", 1.3)], medium="huge"),
    "small": Row("files of 4 KiB, a hundred to a directory", data.small,
                 [tools.Hawser, tools.Wdt, tools.Rsync, tools.RsyncPlain, tools.Tar],
                 [targets.speed("wdt", 1.3), targets.speed("rsync", 3), targets.speed("rsync -aW", 3),
                  targets.speed("tar", 1.5), targets.cpu_per_file(16)]),
    "noop": Again("a run over those that changes nothing", data.small,
                  [tools.Hawser, tools.Rsync, tools.RsyncPlain, tools.Stat],
                  [targets.time("rsync", 0.6), targets.time("rsync -aW", 0.6)]),
    "usr": Row("a real tree", data.usr, [tools.Hawser, tools.Wdt, tools.Rsync, tools.Cp],
               [targets.speed("rsync", 2.5), targets.speed("wdt", 1.0), targets.speed("cp -a", 1.0)]),
    "usrnoop": Again("a run over that which changes nothing", data.usr, [tools.Hawser, tools.Rsync, tools.Stat],
                     [targets.speed("rsync", 1.0)]),
    "disk": Row("one large file on disk, cold and synced", data.one_file,
                [tools.Hawser, tools.FioBoth, tools.FioRead, tools.FioWrite, tools.Rsync, tools.Cp],
                [targets.speed_of_slower(("fio read", "fio write"), 0.95), targets.speed("fio both", 0.95),
                 targets.speed("rsync", 1.0)], medium="disk"),
    "diskbench": Patterns("patterns on disk: hawser bench disk, and fio", nothing, tools.disk_patterns(),
                     [targets.speed("fio %s %s" % (pattern, io), 0.95, of="hawser %s %s" % (pattern, io))
                      for pattern in ("read", "write") for io in ("direct", "buffered")], medium="disk"),
    "disksmall": Row("files of 4 KiB on disk, cold and synced", data.small,
                     [tools.Hawser, tools.Rsync, tools.Tar, tools.Cp], [targets.speed("rsync", 1.0)], medium="disk",
                     keep=True),
    "disknoop": Again("a run over those that changes nothing", data.small, [tools.Hawser, tools.Rsync, tools.Stat],
                      [targets.speed("rsync", 1.0)], medium="disk"),
    "1MB": latency("the whole command for a file of 1 MB", 1_000_000),
    "4KiB": latency("the whole command for a file of 4 KiB", 4096),
    "million": Once("files of 100 bytes, a thousand to a directory", data.million, [tools.Hawser],
                    [targets.memory(64)]),
}
