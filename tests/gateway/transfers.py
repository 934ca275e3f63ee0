# SPDX-License-Identifier: Apache-2.0
"""Files over TCP: a server whose connections each have a thread, and what its clients do."""

import hashlib
import random
import socket
import struct
import threading

MIB = 1 << 20
_BYTES = random.Random(9293).randbytes(8 * MIB)
GET, PUT = b"g", b"p"
_REQUEST = struct.Struct("!cI")


def content(length):
    """What every file of this length contains."""
    return memoryview(_BYTES)[:length]


def digest(data):
    """Its SHA-256."""
    return hashlib.sha256(data).digest()


def receive(end, length):
    """So many bytes; fewer when the peer has said that there are no more."""
    got = bytearray()
    while len(got) < length:
        part = end.recv(min(length - len(got), 1 << 16))
        if not part:
            break
        got += part
    return got


class FileServer:
    """Serves on a listening socket until that is closed."""

    def __init__(self, listening, speaks_first=0):
        """`speaks_first`: sends a file of so many bytes before it reads anything."""
        self._listening, self._speaks_first = listening, speaks_first
        self.peers = []  # the clients' ends, as the server sees them
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        self._listening.settimeout(None)
        while True:
            try:
                end, peer = self._listening.accept()
            except OSError:
                return
            self.peers.append(peer)
            threading.Thread(target=self._serve, args=(end,), daemon=True).start()

    def _serve(self, end):
        try:
            with end:
                if self._speaks_first:
                    end.sendall(content(self._speaks_first))
                while request := receive(end, _REQUEST.size):
                    what, length = _REQUEST.unpack(request)
                    end.sendall(content(length) if what == GET else
                                digest(receive(end, length)))
        except OSError:
            pass  # the client hears of it, and the test of the client


def ask(end, what, length):
    """Sends the request for a file."""
    end.sendall(_REQUEST.pack(what, length))


def download(end, length):
    """The SHA-256 of what the server has sent."""
    ask(end, GET, length)
    return digest(receive(end, length))


def upload(end, length):
    """The SHA-256 of what the server has got."""
    ask(end, PUT, length)
    end.sendall(content(length))
    return bytes(receive(end, 32))


def linger_never(end):
    """From now on `close` sends a RST, and the port is free at once."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
