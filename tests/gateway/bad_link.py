#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A link that loses, delays, reorders and duplicates: run inside a network namespace by the tests,
where the kernel may have no netem.

    bad_link.py ONE OTHER SEED [LOSS DUPLICATES LATE]

Frames that arrive at interface ONE leave at OTHER, and the reverse; ARP passes unharmed. Of 1,000
IP frames, so many are lost, sent twice, and sent some milliseconds late, after later ones.
"""

import heapq
import itertools
import random
import selectors
import socket
import sys
import time

ALL_PROTOCOLS, IPV4 = 3, b"\x08\x00"
LATEST_S = 0.02


class BadLink:
    def __init__(self, names, seed, loss, duplicates, late):
        self._random = random.Random(seed)
        self._loss, self._duplicates, self._late = loss, duplicates, late
        self._waiting = []
        self._numbers = itertools.count()
        self._sockets = [self._open(name) for name in names]
        self._selector = selectors.DefaultSelector()
        for one, other in (self._sockets, self._sockets[::-1]):
            self._selector.register(one, selectors.EVENT_READ, other)

    @staticmethod
    def _open(name):
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
        opened.bind((name, ALL_PROTOCOLS))
        opened.setblocking(False)
        return opened

    def run(self):
        """Never returns."""
        while True:
            for key, _ in self._selector.select(self._patience_s()):
                self._take_from(key.fileobj, key.data)
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                _, _, to, frame = heapq.heappop(self._waiting)
                self._send(to, frame)

    def _patience_s(self):
        return max(0, self._waiting[0][0] - time.monotonic()) if self._waiting else None

    def _take_from(self, source, to):
        for _ in range(64):
            try:
                frame, (_, _, direction, *_) = source.recvfrom(65535)
            except BlockingIOError:
                return
            if direction != socket.PACKET_OUTGOING:
                self._pass_on(to, frame)

    def _pass_on(self, to, frame):
        fate = self._random.random() * 1000
        if frame[12:14] != IPV4 or (fate := fate - self._loss) >= self._duplicates + self._late:
            self._send(to, frame)
        elif fate < 0:
            pass
        elif fate < self._duplicates:
            self._send(to, frame)
            self._send_later(to, frame)
        else:
            self._send_later(to, frame)

    def _send_later(self, to, frame):
        when = time.monotonic() + self._random.random() * LATEST_S
        heapq.heappush(self._waiting, (when, next(self._numbers), to, frame))

    @staticmethod
    def _send(to, frame):
        try:
            to.send(frame)
        except OSError:
            pass  # its queue is full: one more loss


if __name__ == "__main__":
    link = BadLink(sys.argv[1:3], *map(int, sys.argv[3:4] + (sys.argv[4:7] or [10, 10, 50])))
    print("ready", flush=True)
    link.run()
