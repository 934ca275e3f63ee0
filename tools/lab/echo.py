# SPDX-License-Identifier: Apache-2.0
"""TCP connections that are in use all the time, and of which every byte is checked.

Each client sends a chunk, waits until the server has echoed it, compares it byte for byte, and
rests for some milliseconds. The server reads the chunks as well: who sent it, its number, its CRC.
"""

import random
import selectors
import socket
import struct
import threading
import time
import zlib

from .process import PATIENCE, LabError, wait_until

HEADER = struct.Struct("!IIII")  # the connection, the chunk's number, its bytes, their CRC
MOST_BYTES = 4096
RECEIVE_BYTES = 1 << 16
SOONEST_S, LATEST_S = 0.01, 0.09  # from an echo to the next chunk
PROBE_INTERVAL_S = 0.005


class Line:
    """One connection: its client's side and its server's. The thread of Echo writes, all read."""

    def __init__(self, number, client, server, seen, seed):
        self.number = number
        self.client, self.server = client, server
        self.seen = seen  # the client's address and port, as the server sees them
        self.error = None  # what has ended it, or was wrong with it
        self.echoes = []  # of each chunk when it was sent and when it was back, in ns
        self.bytes_echoed = 0
        self.sent_ns = None  # of the chunk on its way
        self._random = random.Random(f"{seed} {number}")
        self._due_s = 0
        self._missing = b""  # of the chunk's echo
        self._chunks = 0
        self._received = bytearray()  # by the server: less than a chunk
        self._received_chunks = 0
        self._unsent = {client: bytearray(), server: bytearray()}

    def begin_chunk(self, now_s):
        """Sends the next chunk when it is time to."""
        if self.sent_ns is not None or now_s < self._due_s:
            return
        content = self._random.randbytes(self._random.randint(1, MOST_BYTES))
        chunk = HEADER.pack(self.number, self._chunks, len(content), zlib.crc32(content)) + content
        self._chunks += 1
        self._missing = chunk
        self.sent_ns = time.monotonic_ns()
        self.send(self.client, chunk)

    def send(self, side, data=b""):
        """As much as goes; returns whether all did."""
        unsent = self._unsent[side]
        unsent += data
        try:
            while unsent:
                del unsent[:side.send(unsent)]
        except BlockingIOError:
            pass
        return not unsent

    def receive(self, side):
        """What has come for a side. Raises OSError when the connection has ended, and LabError when
        it is not what it should be."""
        data = side.recv(RECEIVE_BYTES)
        if not data:
            raise LabError("the connection was closed")
        if side is self.server:
            self._read_chunks(data)
            self.send(side, data)
            return
        if not self._missing.startswith(data):
            raise LabError(f"the echo of chunk {self._chunks - 1} differs")
        self._missing = self._missing[len(data):]
        self.bytes_echoed += len(data)
        if not self._missing:
            self.echoes.append((self.sent_ns, time.monotonic_ns()))
            self.sent_ns = None
            self._due_s = time.monotonic() + self._random.uniform(SOONEST_S, LATEST_S)

    def _read_chunks(self, data):
        self._received += data
        while len(self._received) >= HEADER.size:
            number, chunk, size, crc = HEADER.unpack_from(self._received)
            if (number, chunk) != (self.number, self._received_chunks) or size > MOST_BYTES:
                raise LabError(f"chunk {chunk} of connection {number} came as chunk "
                               f"{self._received_chunks} of {self.number}")
            if len(self._received) < HEADER.size + size:
                return
            if zlib.crc32(self._received[HEADER.size:HEADER.size + size]) != crc:
                raise LabError(f"chunk {chunk} has a wrong checksum")
            del self._received[:HEADER.size + size]
            self._received_chunks += 1

    def waited_ms(self, since_ns):
        """From then to the first echo of what was sent after it; None when there is none."""
        return _waited_ms(self.echoes, since_ns)


class Probe:
    """A datagram every few milliseconds, and its echo: when packets get through again."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.echoes = []  # of each datagram that came back, as those of a line
        self._due_s = 0

    def begin(self, now_s):
        if now_s >= self._due_s:
            self._due_s = now_s + PROBE_INTERVAL_S
            self.client.send(struct.pack("!Q", time.monotonic_ns()))

    def receive(self, side):
        data, peer = side.recvfrom(64)
        if side is self.server:
            side.sendto(data, peer)
        else:
            self.echoes.append((struct.unpack("!Q", data)[0], time.monotonic_ns()))

    def waited_ms(self, since_ns):
        """As that of a line."""
        return _waited_ms(self.echoes, since_ns)

    def longest_silence_ms(self, begin_ns, end_ns):
        """The longest time in which nothing came back, of those not over at `begin_ns`."""
        times = [echoed_ns for _, echoed_ns in self.echoes if echoed_ns <= end_ns] + [end_ns]
        return max(later - earlier for earlier, later in zip([begin_ns, *times], times)
                   if later >= begin_ns) / 1e6


class Echo:
    """Clients in one namespace, an echo server in another, and a thread that is both."""

    def __init__(self, client_namespace, server_namespace, *, served, asked, count, seed=0):
        """The server is at `served`; clients ask it by the places `asked`, one after the other. All
        have a connection, and have had a first echo, when this returns."""
        self._selector = selectors.DefaultSelector()
        self._stopped = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._sockets = []
        self.lines = []
        patience_s = 15 * PATIENCE
        listening = server_namespace.call(lambda: socket.create_server(served, backlog=128))
        listening.settimeout(patience_s)
        try:
            for number in range(count):
                place = asked[number % len(asked)]
                client = client_namespace.call(
                    lambda place=place: socket.create_connection(place, patience_s))
                server, seen = listening.accept()
                self.lines.append(Line(number, client, server, seen, seed))
                self._sockets += [client, server]
        except OSError as error:
            self.close()
            raise LabError(f"connection {len(self.lines)} cannot be opened: {error}") from error
        finally:
            listening.close()
        self.probe = self._open_probe(client_namespace, server_namespace, served)
        for line in self.lines:
            for side in (line.client, line.server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._selector.register(side, selectors.EVENT_READ, line)
        for side in self._sockets:
            side.setblocking(False)
        self._thread.start()
        try:
            self.wait_for_echoes(time.monotonic_ns(), count)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _open_probe(self, client_namespace, server_namespace, served):
        def bound():
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.bind(served)
            return opened

        def connected():
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.connect(served)
            return opened
        probe = Probe(client_namespace.call(connected), server_namespace.call(bound))
        for side in (probe.client, probe.server):
            self._sockets.append(side)
            self._selector.register(side, selectors.EVENT_READ, probe)
        return probe

    def _run(self):
        while not self._stopped.is_set():
            for key, events in self._selector.select(PROBE_INTERVAL_S):
                self._serve(key.data, key.fileobj, events)
            now_s = time.monotonic()
            if not self._ending:
                for line in self.lines:
                    if line.error is None:
                        self._attempt(line, lambda line=line: self._begin_chunk(line, now_s))
            self._attempt(self.probe, lambda: self.probe.begin(now_s))

    def _begin_chunk(self, line, now_s):
        line.begin_chunk(now_s)
        self._await_room(line, line.client)

    def _serve(self, line, side, events):
        if line is not self.probe and line.error is not None:
            return  # its other side has just failed

        def serve():
            if events & selectors.EVENT_READ:
                line.receive(side)
            if line is not self.probe:
                self._await_room(line, side)
        self._attempt(line, serve)

    def _await_room(self, line, side):
        """Waits for room to send as well, where something is left to be sent."""
        events = selectors.EVENT_READ
        if not line.send(side):
            events |= selectors.EVENT_WRITE
        if self._selector.get_key(side).events != events:
            self._selector.modify(side, events, line)

    def _attempt(self, line, action):
        """A line that fails ends. A datagram may be lost, and nobody may be there to take it."""
        try:
            action()
        except BlockingIOError:
            pass
        except (OSError, LabError) as error:
            if line is self.probe:
                return
            line.error = str(error)
            for side in (line.client, line.server):
                self._selector.unregister(side)

    @property
    def errors(self):
        """What has happened to those that have failed, by their number."""
        return {line.number: line.error for line in self.lines if line.error is not None}

    def alive_since(self, since_ns):
        """How many have had something echoed that they sent after that."""
        return sum(line.error is None and bool(line.echoes) and line.echoes[-1][0] >= since_ns
                   for line in self.lines)

    def wait_for_echoes(self, since_ns, count, timeout_s=60):
        """Until so many have had something echoed that they sent after that. Raises LabError when
        that cannot be any more, or is not in time."""
        def there():
            if self.errors and len(self.lines) - len(self.errors) < count:
                raise LabError(f"connections have ended: {self.errors}")
            return self.alive_since(since_ns) >= count
        wait_until(there, timeout_s=timeout_s,
                   what=f"{count} of {len(self.lines)} connections are echoed (now "
                        f"{self.alive_since(since_ns)})", interval_s=0.005)

    def first_waited_ms(self, since_ns):
        """From then to the first echoed byte of any connection that was sent after it."""
        waits = [waited for line in self.lines if (waited := line.waited_ms(since_ns)) is not None]
        return min(waits, default=None)

    def finish(self):
        """Begins no more chunks, and waits for the echoes of those on their way."""
        self._ending = True
        wait_until(lambda: all(line.sent_ns is None or line.error is not None
                               for line in self.lines),
                   timeout_s=60, what="all chunks are back")

    def close(self):
        """Safe to call again."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        for side in self._sockets:
            side.close()
        self._selector.close()


def _waited_ms(echoes, since_ns):
    """`echoes` are in the order of time: looks from the end, where those are that one asks for."""
    found = None
    for sent_ns, echoed_ns in reversed(echoes):
        if sent_ns < since_ns:
            break
        found = echoed_ns
    return None if found is None else (found - since_ns) / 1e6
