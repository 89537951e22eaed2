"""A network and mount namespace of our own, which end with the process that made them.

In them the congestion control is what the table says, and every tmpfs is private: whatever ends the run, a signal
included, leaves no route, no sysctl and no mount on the host.
"""

import os
import socket
import subprocess
import sys

from measure import Unable, memory_available, read, say

CONGESTION = "/proc/sys/net/ipv4/tcp_congestion_control"
MARK = "HAWSER_COMPARE_CAGE"


def enter():
    """Run this program again inside, or say why it runs on the host as it is; True inside."""
    mark = os.environ.get(MARK)
    if mark is None:
        os.environ[MARK] = "in" if works() else "out"
        if os.environ[MARK] == "in":
            os.execvp("unshare", [*UNSHARE, sys.executable, *sys.argv])
    return os.environ[MARK] == "in"


UNSHARE = ["unshare", "--net", "--mount", "--propagation", "private", "--"]


def works():
    """A plain user may not; some containers forbid it to root."""
    if os.geteuid() != 0:
        return False
    trial = [*UNSHARE, "sh", "-c", "ip link set lo up && mount -t tmpfs trial /mnt"]
    try:
        return subprocess.run(trial, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def congestion_set(name):
    """Make `name` what all connections over the loopback of this namespace use."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    try:
        with open(CONGESTION, "w", encoding="ascii") as file:
            file.write(name)
        return
    except OSError:
        pass
    # Only the first namespace may make a "restricted" algorithm the default; a route may name it.
    for to in ("127.0.0.0/8", "127.0.0.1"):
        done = subprocess.run(["ip", "route", "replace", "local", to, "dev", "lo", "table", "local", "proto", "kernel",
                               "scope", "host", "src", "127.0.0.1", "congctl", name],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise Unable("congestion control %s: %s (this kernel has: %s)" % (
                name, done.stdout.decode("utf-8", "replace").strip(),
                read("/proc/sys/net/ipv4/tcp_available_congestion_control")))


def congestion_seen():
    """What a connection over loopback gets that asks for nothing: both ends, as the kernel says."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        with socket.create_connection(listener.getsockname()) as near, listener.accept()[0] as far:
            names = {end.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
                     for end in (near, far)}
    return "/".join(sorted(names))


class Tmpfs:
    """A tmpfs for one row: private to the cage, or a folder in `fallback` outside of it."""

    def __init__(self, inside, folder, fallback, huge):
        self.inside, self.folder, self.fallback, self.huge = inside, folder, fallback, huge

    def __enter__(self):
        if not self.inside:
            if self.huge:
                raise Unable("mounting needs root and a mount namespace")
            return self.fallback
        # The kernel's own limit is half of the memory, which is too little for a large tree and its copy.
        options = "mode=0755,size=%d" % (memory_available() * 8 // 10) + (",huge=always" if self.huge else "")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "hawser-compare", self.folder],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise Unable("mount: " + done.stdout.decode("utf-8", "replace").strip())
        return self.folder

    def __exit__(self, *_):
        if self.inside:
            done = subprocess.run(["umount", self.folder], check=False)
            if done.returncode:
                say("# %s stays mounted until this namespace ends" % self.folder)
