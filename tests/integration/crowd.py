#!/usr/bin/env python3
"""Strangers in front of a server, in a process of their own, so that they cost the test nothing.

    crowd.py burst PORT HELLO       each line N on standard input: N connections, one after the other, of every
                                    kind; the answer is one line of JSON when they are over
    crowd.py dribble PORT HELLO N   N connections that send a byte a second for ever; who is cut comes back a
                                    second later; a line of JSON each second

HELLO is what a client says first, in hex.  A third of the strangers are silent or send nothing of sense, a
third never come to its end, and a third say it and then ask for nothing."""

import errno
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time

PACE = 1000  # connections a second: the strangers must not be what the processors are busy with
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


def tell(**what):
    print(json.dumps(what), flush=True)


def connect_once(port, hello, kind):
    """One stranger of a burst; true if somebody took the connection."""
    with socket.socket() as s:
        s.settimeout(5)
        try:
            s.connect(("127.0.0.1", port))
            if kind == 1:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            elif kind == 2:
                s.sendall(b"GET / HTTP/1.1\r\nHost: somewhere-else.example\r\nAccept: everything\r\n\r\n")
            elif kind == 3:
                s.sendall(hello[:len(hello) // 2])
            elif kind == 4:
                s.sendall(hello)
            elif kind == 5:
                s.sendall(hello)
                s.recv(4096)
        except OSError as error:
            return error.errno in (errno.ECONNRESET, errno.EPIPE)  # taken, and then refused
    return True


def burst(port, hello):
    done = 0
    for line in sys.stdin:
        taken, start = 0, time.monotonic()
        for i in range(int(line)):
            taken += connect_once(port, hello, done % 6)
            done += 1
            time.sleep(max(0, start + (i + 1) / PACE - time.monotonic()))
        tell(taken=taken, seconds=time.monotonic() - start)


class Dribbler:
    def __init__(self, crowd, index):
        self.crowd, self.socket, self.at = crowd, None, 0
        self.next = time.monotonic() + index / crowd.count
        # the first third sends one byte and the same again; others say HELLO as far as they come
        self.whole = crowd.hello if index % 3 == 2 else b""
        self.rest = b"H" * 4096 if index % 3 == 0 else crowd.hello[:-1]

    def step(self):
        """What is due once a second: a byte, or to come (back)."""
        self.next += 1
        try:
            if self.socket is None:
                self.connect()
            elif self.at < len(self.rest):
                self.at += self.socket.send(self.rest[self.at:self.at + 1])
        except BlockingIOError:
            pass
        except OSError:
            self.cut()

    def connect(self):
        self.socket = socket.socket()
        self.socket.settimeout(1)
        self.socket.connect(("127.0.0.1", self.crowd.port))
        self.socket.setblocking(False)
        self.crowd.came += 1
        self.crowd.live += 1
        self.crowd.selector.register(self.socket, selectors.EVENT_READ, self)
        self.at = 0
        if self.whole:
            self.socket.send(self.whole)

    def read(self):
        try:
            if self.socket.recv(65536):
                return
        except OSError:
            pass
        self.cut()

    def cut(self):
        try:
            self.crowd.selector.unregister(self.socket)
            self.crowd.live -= 1
        except KeyError:
            pass  # it was never connected
        self.socket.close()
        self.socket = None


class Crowd:
    def __init__(self, port, hello, count):
        self.port, self.hello, self.count = port, hello, count
        self.came = self.live = 0
        self.selector = selectors.DefaultSelector()
        self.strangers = [Dribbler(self, i) for i in range(count)]

    def run(self):
        said = time.monotonic()
        while True:
            now = time.monotonic()
            for stranger in self.strangers:
                if stranger.next <= now:
                    stranger.step()
            for key, _ in self.selector.select(0.01):
                if key.data.socket is key.fileobj:
                    key.data.read()
            if now - said >= 1:
                said = now
                tell(came=self.came, live=self.live)


def main():
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    kind, port, hello = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
    os.nice(5)  # the server and its honest client are what is measured
    if kind == "burst":
        burst(port, hello)
    else:
        Crowd(port, hello, int(sys.argv[4])).run()


if __name__ == "__main__":
    main()
