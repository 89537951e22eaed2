"""The tools: how each is started, what its command is, and which variants of it may be its fastest."""

import json
import os
import shutil
import statistics
import subprocess
import tempfile

import cage
from measure import Job, Sampler, Server, Unable, end, free_port, line_of, wait_for_port

LOOPBACK = "127.0.0.1"


class Tool:
    """One column of a row. `variants` are argument lists; a row tries each and keeps the fastest."""

    name = ""
    variants = [[]]
    syncs = False  # is the copy on the disk when the command ends?
    copies = True  # is there a copy at all?

    def __init__(self, options, root, log):
        self.options, self.root, self.log = options, root, log
        self.server = None
        self.variant = self.variants[0]
        self.durable = False

    def start(self):
        """Raises Unable where the tool cannot run here."""

    def stop(self):
        if self.server:
            self.server.stop()
            self.server = None

    def job(self, source, target):
        """What one run is; listeners in it run already."""
        raise NotImplementedError

    def measure(self, source, target):
        """One run: wall seconds, CPU and peak memory of the commands and of the server."""
        before, sampler = 0.0, None
        job = self.job(source, target)
        if self.durable and not self.syncs:
            job.after = [["sync", "-f", target]]
        if self.server:
            before = self.server.settled_cpu()
            sampler = Sampler([self.server.pid])
            sampler.start()
        try:
            wall, cpu, peak = job.run(self.log)
        finally:
            if sampler:
                sampler.look()
                sampler.stop()
        result = {"wall_s": wall, "cpu_client_s": cpu, "memory_client": peak, "cpu_server_s": 0.0, "memory_server": 0}
        if self.server:
            result["cpu_server_s"] = self.server.settled_cpu() - before
            result["memory_server"] = sampler.total(self.server.pid)
        return result

    def below(self, path):
        return os.path.relpath(path, self.root)

    def folder(self):
        return os.path.dirname(self.log.name)


class Hawser(Tool):
    name = "hawser"
    syncs = True
    pin = []  # a command in front of both

    server_options = []
    push_options = []

    def start(self):
        with tempfile.NamedTemporaryFile(dir=self.folder()) as out:
            popen = subprocess.Popen(
                [*self.pin, self.options.hawserd, "--listen", LOOPBACK + ":0", "--export", "x=%s:rw" % self.root,
                 *self.server_options, *self.options.hawserd_options.split()], stdout=out, stderr=self.log)
            try:
                port = line_of(popen, out.name, rb"hawserd: ready on \S+:(\d+)").group(1)
            except Unable:
                end(popen)
                raise
        self.server = Server(popen, int(port))

    def job(self, source, target):
        return Job([(self.command(source + "/", target), {})])

    def command(self, source, target):
        """Push or pull; what ends in / is copied without its own name."""
        args = [self.options.hawser, self.options.direction, "-q",
                "--durability=" + ("durable" if self.durable else "written"), *self.push_options,
                *self.options.hawser_options.split()]
        url = "hawser://%s:%d/x/" % (LOOPBACK, self.server.port)
        if self.options.direction == "push":
            return args + [source, url + self.below(target)]
        return args + [url + self.below(source) + ("/" if source.endswith("/") else ""), target]


class HawserSink(Hawser):
    """Everything is sent and verified, and nothing kept."""

    copies = False
    server_options = ["--bench"]
    push_options = ["--discard"]


class Rsync(Tool):
    """Whole replicas, with and without looking for what the target has."""

    name = "rsync"
    variants = [["-aHAXW"], ["-aHAX"]]

    def start(self):
        if not shutil.which("rsync"):
            raise Unable("not installed")
        port = free_port()
        config = os.path.join(self.folder(), "rsyncd.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write("address = %s\nuse chroot = no\nmunge symlinks = no\nreverse lookup = no\n"
                       "[x]\npath = %s\nread only = no\n" % (LOOPBACK, self.root))
            if os.geteuid() == 0:
                file.write("uid = 0\ngid = 0\n")
        popen = subprocess.Popen(["rsync", "--daemon", "--no-detach", "--config=" + config, "--port=%d" % port,
                                  "--log-file=/dev/null"], stderr=self.log, stdin=subprocess.DEVNULL)
        try:
            wait_for_port(port, popen)
        except Unable:
            end(popen)
            raise
        self.server = Server(popen, port)

    def job(self, source, target):
        return Job([(self.command(source + "/", target + "/"), {})])

    def command(self, source, target):
        args = ["rsync", *self.variant, "--numeric-ids"]
        url = "rsync://%s:%d/x/" % (LOOPBACK, self.server.port)
        if self.options.direction == "push":
            return args + [source, url + self.below(target) + "/"]
        return args + [url + self.below(source) + ("/" if source.endswith("/") else ""), target]


class RsyncPlain(Rsync):
    """No hard links, ACLs or attributes: less than a replica, and less work."""

    name = "rsync -aW"
    variants = [["-aW"]]


class Wdt(Tool):
    """Facebook's WDT: contents and names only. A receiver serves one transfer and is started before the clock."""

    name = "wdt"
    variants = [["-num_ports=%d" % n] for n in (1, 2, 4, 8)]
    receiver_options = []
    both_options = []

    def start(self):
        if not self.options.wdt:
            raise Unable("not installed (--wdt PATH, or in $PATH)")

    def job(self, source, target):
        args = [self.options.wdt, *self.variant, "-encryption_type=none", "-ipv4", "-minloglevel=2",
                *self.both_options]
        with tempfile.NamedTemporaryFile(dir=self.folder()) as out:
            receiver = subprocess.Popen([*args, *self.receiver_options, "-directory=" + target,
                                         "-hostname=" + LOOPBACK], stdout=out, stderr=self.log)
            try:
                url = line_of(receiver, out.name, rb"(wdt://\S+)\n").group(1).decode()
            except Unable:
                end(receiver)
                raise
        sender = [*args, "-directory=" + source, "-connection_url=" + url]
        return Job([(sender, {"stdout": subprocess.DEVNULL})], listeners=[receiver])


class WdtSkip(Wdt):
    """The receiver drops what comes, and nobody checks it."""

    name = "wdt -skip_writes"
    copies = False
    both_options = ["-enable_checksum=false"]
    receiver_options = ["-skip_writes"]


class Tar(Tool):
    name = "tar"

    def start(self):
        for program in ("tar", "socat"):
            if not shutil.which(program):
                raise Unable(program + " is not installed")

    def job(self, source, target):
        port = free_port()
        (pack_out, pack_in), (open_out, open_in) = os.pipe(), os.pipe()
        keep = ["--xattrs", "--acls", "--numeric-owner"]
        socat = ["socat", "-u", "-b", "1048576"]
        listener = subprocess.Popen([*socat, "TCP-LISTEN:%d,bind=%s" % (port, LOOPBACK), "STDOUT"], stdout=open_in,
                                    stderr=self.log)
        os.close(open_in)
        unpack = (["tar", "-C", target, *keep, "--xattrs-include=*", "-xpf", "-"], {"stdin": os.fdopen(open_out, "rb")})
        pack = (["tar", "-C", source, *keep, "--sparse", "--ignore-failed-read", "-cf", "-", "."],
                {"stdout": os.fdopen(pack_in, "wb")})
        sender = ([*socat, "STDIN", "TCP:%s:%d,retry=200,interval=0.01" % (LOOPBACK, port)],
                  {"stdin": os.fdopen(pack_out, "rb")})
        return Job([unpack, sender, pack], listeners=[listener])


class Cp(Tool):
    name = "cp -a"

    def job(self, source, target):
        return Job([(["cp", "-a", "--reflink=never", source + "/.", target + "/"], {})])


class Stat(Tool):
    """The floor of a run that changes nothing: every entry of both trees looked at once."""

    name = "find x2"

    def job(self, source, target):
        return Job([(["find", path, "-printf", "%s%T@"], {"stdout": subprocess.DEVNULL}) for path in (source, target)])


class Fio(Tool):
    """The disk alone: direct, 1 MiB, four in flight, its own clock (its start-up is no part of the disk)."""

    syncs = True
    copies = False
    mode = ""

    def start(self):
        if not shutil.which("fio"):
            raise Unable("not installed")

    def measure(self, source, target):
        out = os.path.join(self.folder(), "fio.json")
        path = os.path.join(source if self.mode == "read" else target, "file")
        args = ["fio", "--name=disk", "--filename=" + path, "--rw=" + self.mode, "--bs=1M", "--iodepth=4", "--direct=1",
                "--ioengine=io_uring", "--size=%d" % self.options.file_size, "--output-format=json", "--output=" + out]
        if self.mode == "read":
            args.append("--readonly")
        else:
            args += ["--end_fsync=1", "--fallocate=posix"]
        _, cpu, peak = Job([(args, {})]).run(self.log)
        with open(out, encoding="utf-8") as file:
            done = json.load(file)["jobs"][0][self.mode]
        return {"wall_s": done["runtime"] / 1e3, "cpu_client_s": cpu, "memory_client": peak, "cpu_server_s": 0.0,
                "memory_server": 0}


class FioBoth(Fio):
    """One file read and another written at the same time, from huge pages: what is left of a disk for a copy on it."""

    name = "fio both"
    memory = None

    def start(self):
        super().start()
        if os.environ.get(cage.MARK) != "in":
            raise Unable("its buffers are in a tmpfs of huge pages, which only a mount namespace may have")
        self.memory = tempfile.mkdtemp(prefix="fio-", dir=self.folder())
        subprocess.run(["mount", "-t", "tmpfs", "-o", "huge=always,size=64M", "fio", self.memory], check=True)

    def stop(self):
        if self.memory:
            subprocess.run(["umount", self.memory], check=False)
            self.memory = None

    def measure(self, source, target):
        out = os.path.join(self.folder(), "fio.json")
        args = ["fio", "--bs=1M", "--iodepth=4", "--direct=1", "--ioengine=io_uring",
                "--size=%d" % self.options.file_size, "--output-format=json", "--output=" + out,
                "--name=read", "--rw=read", "--filename=" + os.path.join(source, "file"), self.buffers("read"),
                "--name=write", "--rw=write", "--filename=" + os.path.join(target, "file"), "--end_fsync=1",
                "--fallocate=posix", self.buffers("write")]
        _, cpu, peak = Job([(args, {})]).run(self.log)
        with open(out, encoding="utf-8") as file:
            jobs = json.load(file)["jobs"]
        wall = max(job[job["jobname"]]["runtime"] for job in jobs) / 1e3
        return {"wall_s": wall, "cpu_client_s": cpu, "memory_client": peak, "cpu_server_s": 0.0, "memory_server": 0}

    def buffers(self, job):
        return "--iomem=mmap:" + os.path.join(self.memory, job)


class FioRead(Fio):
    name = "fio read"
    mode = "read"


class FioWrite(Fio):
    name = "fio write"
    mode = "write"


class DiskPattern(Tool):
    """One pattern on the disk, as `hawser bench disk` and fio measure it: 1 MiB, four in flight, one thread, each
    by its own clock, on a file of its own that was just laid out and is not in memory. Syncs are no part of it."""

    copies = False
    pattern, io = "", ""

    def measured(self, seconds, cpu, peak):
        return {"wall_s": seconds, "cpu_client_s": cpu, "memory_client": peak, "cpu_server_s": 0.0, "memory_server": 0}


class HawserDisk(DiskPattern):
    def measure(self, source, target):
        out = os.path.join(self.folder(), "disk.json")
        args = [self.options.hawser, "bench", "disk", target, "--size=%d" % self.options.file_size, "--chunk=1M",
                "--depth=4", "--shards=1", "--pattern=" + self.pattern, "--io=" + self.io, "--json"]
        with open(out, "wb") as file:
            _, cpu, peak = Job([(args, {"stdout": file})]).run(self.log)
        with open(out, encoding="utf-8") as file:
            point = json.load(file)["points"][0]
        return self.measured(point["elapsed_ns"] / 1e9, cpu, peak)


class FioDisk(DiskPattern):
    def start(self):
        if not shutil.which("fio"):
            raise Unable("not installed")

    def measure(self, source, target):
        out = os.path.join(self.folder(), "fio.json")
        args = ["fio", "--name=disk", "--directory=" + target, "--rw=" + self.pattern, "--bs=1M", "--iodepth=4",
                "--direct=%d" % (self.io == "direct"), "--ioengine=io_uring", "--fallocate=posix", "--unlink=1",
                "--size=%d" % self.options.file_size, "--output-format=json", "--output=" + out]
        _, cpu, peak = Job([(args, {})]).run(self.log)
        with open(out, encoding="utf-8") as file:
            done = json.load(file)["jobs"][0][self.pattern]
        return self.measured(done["runtime"] / 1e3, cpu, peak)


def disk_patterns():
    """Each pattern with both tools, one after the other."""
    return [type(tool.__name__, (tool,), {"pattern": pattern, "io": io, "name": "%s %s %s" % (name, pattern, io)})
            for pattern in ("read", "write") for io in ("direct", "buffered")
            for tool, name in ((HawserDisk, "hawser"), (FioDisk, "fio"))]


class Flow:
    """Memory to memory for a time; what is kept is the time and the CPU of `net_size` bytes at that rate."""

    copies = False

    def measure(self, _source, _target):
        out = os.path.join(self.folder(), "flow.json")
        before = self.server.settled_cpu()
        with open(out, "wb") as file:
            _, client, _ = Job([(self.flow(), {"stdout": file})]).run(self.log)
        server = self.server.settled_cpu() - before
        with open(out, encoding="utf-8") as file:
            rate, moved = self.outcome(json.load(file))
        share = self.options.net_size / moved
        return {"wall_s": self.options.net_size / rate, "cpu_client_s": client * share, "cpu_server_s": server * share,
                "memory_client": 0, "memory_server": 0}


class HawserNet(Flow, Hawser):
    """Every chunk hashed on both sides and acknowledged, as it does by default."""

    server_options = ["--bench"]

    def flow(self):
        return [*self.pin, self.options.hawser, "bench", "net", "--json", "--time=%d" % self.options.net_s,
                *self.variant, "%s:%d" % (LOOPBACK, self.server.port)]

    @staticmethod
    def outcome(report):
        point = report["points"][0]
        return point["bytes"] * 1e9 / point["elapsed_ns"], point["bytes"]


class HawserNetPlain(HawserNet):
    """Nothing hashed, as iperf3 does."""

    name = "hawser --no-verify"
    variants = [["--no-verify", "--no-ack", "--chunk=%dK" % size] for size in (256, 512, 1024)]


class HawserNetOne(HawserNet):
    """Both sides on one core."""

    name = "hawser, 1 shard"
    server_options = ["--bench", "--shards=1"]
    variants = [["--shards=1"]]
    pin = ["taskset", "-c", "0"]


class Iperf(Flow, Tool):
    name = "iperf3"
    variants = [["-l", "1M"], ["-l", "1M", "-Z"], ["-l", "1M", "-P", "2"], ["-l", "256K"], ["-l", "256K", "-P", "2"]]

    def start(self):
        if not shutil.which("iperf3"):
            raise Unable("not installed")
        port = free_port()
        popen = subprocess.Popen(["iperf3", "-s", "-B", LOOPBACK, "-p", str(port)], stdout=subprocess.DEVNULL,
                                 stderr=self.log)
        self.server = Server(popen, port)
        wait_for_port(port, popen)

    def flow(self):
        return ["iperf3", "-c", LOOPBACK, "-p", str(self.server.port), "-J", "-t", str(self.options.net_s),
                *self.variant]

    @staticmethod
    def outcome(report):
        end_of = report["end"]["sum_received"]
        return end_of["bits_per_second"] / 8, end_of["bytes"]


def fastest(tool, tries):
    """Keep the variant with the least time: `tries` are pairs of a variant and its wall seconds."""
    walls = {}
    for variant, wall in tries:
        walls.setdefault(tuple(variant), []).append(wall)
    tool.variant = list(min(walls, key=lambda v: statistics.median(walls[v])))
