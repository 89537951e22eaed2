"""A guest: qemu's emulated processors (no KVM, so it runs anywhere), two NUMA nodes with an NVMe disk each."""

import os
import re
import selectors
import subprocess
import time

from initramfs import program_path


class Guest:
    """One boot. Lines that begin with "guest: " are what the job says."""

    def __init__(self, kernel, initramfs, job, source, target, log=None, words="", megabytes=1024):
        """@source is attached read-only. With @log, all writes to @target go there too, as dm-log-writes does."""
        disk = f"driver=file,node-name=f1,filename={target}"
        nodes = ["-blockdev", disk, "-blockdev", "driver=raw,node-name=d1,file=f1"]
        if log:
            nodes = ["-blockdev", disk, "-blockdev", f"driver=file,node-name=l1,filename={log}",
                     "-blockdev", "driver=blklogwrites,node-name=d1,file=f1,log=l1,log-super-update-interval=1"]
        # qemu's NVMe takes "force unit access" for a plain write (7.2), so a journal's commit would be at stake as no
        # real disk has it; virtio offers no such writes, and the kernel flushes after them instead.
        device = "virtio-blk-pci,serial=target,drive=d1,bus=r1" if log else "nvme,serial=target,drive=d1,bus=r1"
        half = megabytes // 2
        argv = [program_path("qemu-system-x86_64"), "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
                "-smp", "2", "-m", str(megabytes),
                "-object", f"memory-backend-ram,id=m0,size={half}M",
                "-object", f"memory-backend-ram,id=m1,size={half}M",
                "-numa", "node,nodeid=0,cpus=0,memdev=m0", "-numa", "node,nodeid=1,cpus=1,memdev=m1",
                "-device", "pxb-pcie,id=p0,bus_nr=64,numa_node=0,bus=pcie.0",
                "-device", "pcie-root-port,id=r0,bus=p0,chassis=1",
                "-device", "pxb-pcie,id=p1,bus_nr=128,numa_node=1,bus=pcie.0",
                "-device", "pcie-root-port,id=r1,bus=p1,chassis=2",
                "-blockdev", f"driver=file,node-name=f0,filename={source},read-only=on",
                "-blockdev", "driver=raw,node-name=d0,file=f0,read-only=on", *nodes,
                "-device", "nvme,serial=source,drive=d0,bus=r0", "-device", device,
                "-kernel", kernel.image, "-initrd", initramfs,
                "-append", f"console=ttyS0 panic=-1 loglevel=3 job={job} {words}",
                "-nographic", "-no-reboot", "-net", "none"]
        self.lines, self.console, self.rest = [], bytearray(), b""
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)

    def read(self, seconds):
        """Wait for output at most so long. False: the guest has ended."""
        if not self.selector.select(seconds):
            return True
        data = self.process.stdout.read()
        if data is None:
            return True
        if not data:
            return False
        self.console += data
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            found = re.match(rb"guest: (.*?)\r*$", line)
            if found:
                self.lines.append(found.group(1).decode("utf-8", "replace"))
        return True

    def run(self, seconds, until=None):
        """Until it ends, or @until(lines) holds. False: neither within @seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.read(min(1.0, max(0.0, end - time.monotonic()))):
                self.process.wait()
                return True
            if until is not None and until(self.lines):
                return True
        return False

    def kill(self):
        """Pull the plug."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        while self.read(0.0) and self.selector.select(0.0):
            pass

    def close(self):
        self.kill()
        self.selector.close()
        self.process.stdout.close()
