#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Connections of which every byte is checked: whatever is wrong with one is seen."""

import pathlib
import socket
import sys
import time
import unittest
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from lab.echo import HEADER, Line, Probe  # noqa: E402  (the path above comes first)
from lab.process import LabError  # noqa: E402

MS = 1_000_000


class Lines(unittest.TestCase):
    """A client and its server, side by side."""

    def setUp(self):
        self.client, self.server = socket.socketpair()
        self.addCleanup(self.client.close)
        self.addCleanup(self.server.close)
        self.line = Line(3, self.client, self.server, ("10.2.0.1", 40000), seed=1)

    def begin(self):
        self.line.begin_chunk(time.monotonic() + 1)
        return self.server.recv(1 << 16, socket.MSG_PEEK)

    def chunk(self, connection, number, content=b"content", crc=None):
        crc = zlib.crc32(content) if crc is None else crc
        return HEADER.pack(connection, number, len(content), crc) + content

    def test_a_chunk_is_echoed_and_the_next_one_is_another(self):
        chunks = set()
        for number in range(3):
            chunks.add(self.begin())
            self.line.receive(self.server)
            self.assertEqual(len(self.line.echoes), number)
            self.line.receive(self.client)
            self.assertEqual(len(self.line.echoes), number + 1)
        self.assertEqual(len(chunks), 3)
        self.assertEqual(self.line.bytes_echoed, sum(map(len, chunks)))

    def test_no_chunk_is_sent_before_the_one_before_it_is_back(self):
        sent = self.begin()
        self.assertEqual(self.begin(), sent)

    def test_an_echo_that_differs(self):
        sent = bytearray(self.begin())
        sent[-1] ^= 1
        self.server.send(sent)
        with self.assertRaisesRegex(LabError, "chunk 0 differs"):
            self.line.receive(self.client)

    def test_an_echo_of_nothing(self):
        self.server.send(b"x")
        with self.assertRaisesRegex(LabError, "differs"):
            self.line.receive(self.client)

    def test_chunks_that_are_not_the_next_one(self):
        for wrong in (self.chunk(4, 0), self.chunk(3, 1), self.chunk(3, 0, crc=1)):
            line = Line(3, self.client, self.server, None, seed=1)
            self.client.send(wrong)
            with self.assertRaises(LabError):
                line.receive(self.server)

    def test_a_chunk_that_comes_twice(self):
        self.client.send(2 * self.chunk(3, 0))
        with self.assertRaisesRegex(LabError, "chunk 0 of connection 3 came as chunk 1"):
            self.line.receive(self.server)

    def test_an_end(self):
        self.server.close()
        with self.assertRaisesRegex(LabError, "closed"):
            self.line.receive(self.client)


class Times(unittest.TestCase):
    """What is measured of a pause."""

    def setUp(self):
        self.probe = Probe(None, None)
        # Every 5 ms until 100 ms; those of 105 to 395 ms are lost.
        self.probe.echoes = [(ms * MS, (ms + 1) * MS)
                             for ms in (*range(0, 101, 5), *range(400, 501, 5))]

    def test_the_wait_is_for_what_was_sent_after_it(self):
        self.assertEqual(self.probe.waited_ms(101 * MS), 300)
        self.assertEqual(self.probe.waited_ms(100 * MS), 1)
        self.assertIsNone(self.probe.waited_ms(501 * MS))

    def test_the_longest_silence(self):
        self.assertEqual(self.probe.longest_silence_ms(50 * MS, 500 * MS), 300)
        self.assertEqual(self.probe.longest_silence_ms(300 * MS, 500 * MS), 300)
        self.assertEqual(self.probe.longest_silence_ms(450 * MS, 500 * MS), 5)
        self.assertEqual(self.probe.longest_silence_ms(450 * MS, 901 * MS), 400)

    def test_the_silence_of_one_that_nothing_came_back_for(self):
        self.probe.echoes = []
        self.assertEqual(self.probe.longest_silence_ms(100 * MS, 500 * MS), 400)


if __name__ == "__main__":
    unittest.main()
