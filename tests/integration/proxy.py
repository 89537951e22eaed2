"""A TCP proxy in front of a server that slows, stalls, cuts or changes what passes.

It knows nothing of the protocol: a hook sees (direction, connection index, offset, bytes) and
returns the bytes to pass on, or None to cut the connection.
"""

import ctypes
import select
import socket
import threading
import time

UP, DOWN = "up", "down"  # client to server, server to client


class Proxy:
    def __init__(self, port, rate=None, hook=None, host="127.0.0.1", piece=None, pause=0):
        self.target = (host, port)
        self.rate = rate  # bytes a second per connection and direction; None: no limit
        self.piece = piece  # bytes passed on at a time; None: as they come
        self.pause = pause  # seconds after each piece
        self.hook = hook
        self.passing = threading.Event()  # cleared: bytes stay where they are
        self.passing.set()
        self.total = {UP: 0, DOWN: 0}
        self.sockets = []
        self.count = 0
        self.closing = False
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.closing:
            try:
                readable, _, _ = select.select([self.listener], [], [], 0.2)
                if not readable:
                    continue
                a, _ = self.listener.accept()
                b = socket.create_connection(self.target, timeout=10)
            except (OSError, ValueError):
                continue
            b.settimeout(None)
            if self.piece:
                for s in (a, b):
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            index, self.count = self.count, self.count + 1
            if self.rate:
                # Small buffers, so that a limit of the proxy is felt at the sender.
                for s in (a, b):
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            self.sockets += [a, b]
            for source, target, way in ((a, b, UP), (b, a, DOWN)):
                threading.Thread(target=self._pump, args=(source, target, way, index),
                                 daemon=True).start()

    def _send(self, target, data):
        for at in range(0, len(data), self.piece or len(data) or 1):
            target.sendall(data[at:at + (self.piece or len(data))])
            if self.pause:
                time.sleep(self.pause)

    def reset(self):
        """End all connections with RST: connecting a socket to nothing does that."""
        nothing = ctypes.create_string_buffer(16)  # AF_UNSPEC
        for s in list(self.sockets):
            ctypes.CDLL(None).connect(s.fileno(), nothing, 16)

    def _pump(self, source, target, way, index):
        offset = 0
        try:
            while not self.closing:
                data = source.recv(16384 if self.rate else 262144)
                while not self.passing.wait(0.2):
                    if self.closing:
                        return
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                size = len(data)
                if self.hook:
                    data = self.hook(way, index, offset, data)
                    if data is None:
                        break
                offset += size
                self.total[way] += size
                self._send(target, data)
                if self.rate:
                    time.sleep(size / self.rate)
        except OSError:
            pass
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.closing = True
        self.passing.set()
        for s in [self.listener, *self.sockets]:
            try:
                s.close()
            except OSError:
                pass
