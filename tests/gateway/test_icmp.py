#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ICMP errors about flows, made byte by byte, in both directions."""

from gateway_case import main, rule
from lab.topology import GATEWAY_LB, GATEWAY_POD
from raw_host import ACK, RawCase

import packets

UNREACHABLE, SOURCE_QUENCH, TIME_EXCEEDED, PARAMETER_PROBLEM = 3, 4, 11, 12
# Soft and hard errors, and each kind of them.
ERRORS = [*((UNREACHABLE, code) for code in (0, 1, 2, 3, 4, 9, 10, 13)), (SOURCE_QUENCH, 0),
          (TIME_EXCEEDED, 0), (TIME_EXCEEDED, 1), (PARAMETER_PROBLEM, 0)]
ROUTER = "198.51.100.9"  # on the way outside
INSIDE_ROUTER = "10.1.0.99"


class Errors(RawCase):
    """About flows of the inside host, which leave by masquerade."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb")}

    def setUp(self):
        super().setUp()
        self.here, self.there = (self.INSIDE, 5555), (self.OUTSIDE, 7000)

    def error(self, source, destination, quoted, kind=(UNREACHABLE, 3), **options):
        return self.icmp(source, destination, kind, rest=bytes(4), payload=quoted, **options)

    def open_udp(self):
        """The first packet of a flow, as it arrives outside."""
        return self.crosses(self.inside, self.outside, self.udp(self.here, self.there))

    def open_tcp(self):
        self.establish(self.here, self.there)
        return self.crosses(self.inside, self.outside, self.tcp(
            self.here, self.there, ACK, sequence=2, acknowledgment=2, payload=b"data"))

    def test_errors_from_outside(self):
        """[RFC 5508 REQ-4] [RFC 5382 REQ-9] [RFC 4787 REQ-12] [RFC 5382 REQ-10]

        Each arrives with its type and code, quoting what the inside host has sent; and afterwards
        the flow goes on as if nothing had happened."""
        for opening, protocol in ((self.open_udp, packets.UDP), (self.open_tcp, packets.TCP)):
            sent = opening()
            for kind in ERRORS:
                with self.subTest(protocol=protocol, kind=kind):
                    before = self.flow(5555)
                    error = self.crosses(self.outside, self.inside,
                                         self.error(ROUTER, GATEWAY_POD, sent.data, kind))
                    self.assertEqual((error.kind, error.source), (kind, ROUTER))
                    self.assertEqual(error.quoted.ends, (self.here, self.there))
                    self.assertEqual(packets.checksum(error.quoted.data[:20]), 0)
                    after = self.flow(5555)
                    self.assertEqual((after["state"], after["reply"]),
                                     (before["state"], before["reply"]))
            self.assertEqual(opening().ends, sent.ends)
            self.gateway.json("flows", "flush")

    def test_errors_refresh_nothing(self):
        """[RFC 5508 REQ-6]"""
        sent = self.crosses(self.inside, self.outside, self.icmp(
            self.INSIDE, self.OUTSIDE, (8, 0), rest=b"\x15\xb3\0\1"))
        for _ in range(3):
            before = self.flow(5555)
            self.wait_until(lambda: self.flow(5555)["timeout_s"] < before["timeout_s"], "time goes")
            error = self.crosses(self.outside, self.inside,
                                 self.error(ROUTER, GATEWAY_POD, sent.data, (TIME_EXCEEDED, 0)))
            self.assertEqual(error.quoted.segment[4:6], b"\x15\xb3")
            self.assertLess(self.flow(5555)["timeout_s"], before["timeout_s"])

    def test_checksums(self):
        """[RFC 5508 REQ-3]"""
        sent = self.open_udp().data
        self.is_dropped(self.outside, self.inside,
                        self.error(ROUTER, GATEWAY_POD, sent, check=0x1234), "bad_l4_checksum")
        wrong_header = sent[:10] + b"\x12\x34" + sent[12:]
        # As of routers that quote a header which they have changed: the error is not lost for it.
        error = self.crosses(self.outside, self.inside,
                             self.error(ROUTER, GATEWAY_POD, wrong_header))
        self.assertEqual(error.quoted.ends, (self.here, self.there))
        self.assertNotEqual(packets.checksum(error.quoted.data[:20]), 0)
        wrong_datagram = sent[:26] + b"\x12\x34" + sent[28:]
        error = self.crosses(self.outside, self.inside,
                             self.error(ROUTER, GATEWAY_POD, wrong_datagram))
        self.assertEqual(error.quoted.ends, (self.here, self.there))

    def mtu_error(self, mtu, quoted):
        return self.icmp(ROUTER, GATEWAY_POD, (UNREACHABLE, 4), rest=mtu.to_bytes(4, "big"),
                         payload=quoted)

    def test_forged_errors_about_tcp(self):
        """[RFC 5927]: what they quote must be in flight, and 8 bytes of it suffice."""
        sent = self.open_tcp().data

        def quoting(sequence):
            return sent[:24] + (sequence % 2**32).to_bytes(4, "big")
        for sequence in (2, 6, 2 - 65535):
            self.crosses(self.outside, self.inside, self.mtu_error(1400, quoting(sequence)))
        for sequence in (7, 1000, 2**31, 2**31 + 2, -70000):
            with self.subTest(sequence):
                self.is_dropped(self.outside, self.inside,
                                self.mtu_error(1400, quoting(sequence)), "icmp_sequence")
                self.is_dropped(self.outside, self.inside,
                                self.error(ROUTER, GATEWAY_POD, quoting(sequence)),
                                "icmp_sequence")
        self.is_dropped(self.outside, self.inside, self.mtu_error(68, quoting(2)), "icmp_mtu")

    def test_forged_mtu(self):
        """[RFC 5927]: nobody's path is so narrow."""
        sent = self.open_udp().data
        for mtu in (1, 68, 551):
            self.is_dropped(self.outside, self.inside, self.mtu_error(mtu, sent), "icmp_mtu")
        for mtu in (552, 1280):
            error = self.crosses(self.outside, self.inside, self.mtu_error(mtu, sent))
            self.assertEqual(int.from_bytes(error.segment[4:8], "big"), mtu)

    def test_errors_about_nothing(self):
        """[RFC 5508 REQ-4] [RFC 5508 REQ-5]"""
        stray = self.udp((GATEWAY_POD, 1), self.there)
        self.is_dropped(self.outside, self.inside, self.error(ROUTER, GATEWAY_POD, stray),
                        "icmp_unrelated")
        stray = self.udp(self.there, self.here)
        self.is_dropped(self.inside, self.outside, self.error(self.INSIDE, self.OUTSIDE, stray),
                        "icmp_unrelated")

    def test_errors_from_inside(self):
        """[RFC 5508 REQ-5]: the outside sees neither the inside host nor an inside router."""
        end = self.open_udp().ends[0]
        answer = self.crosses(self.outside, self.inside, self.udp(self.there, end))
        for reporter in (self.INSIDE, INSIDE_ROUTER):
            with self.subTest(reporter):
                error = self.crosses(self.inside, self.outside,
                                     self.error(reporter, self.OUTSIDE, answer.data))
                self.assertEqual((error.kind, error.source), ((UNREACHABLE, 3), GATEWAY_POD))
                self.assertEqual(error.quoted.ends, (self.there, end))
                self.assertNotIn(bytes(map(int, self.INSIDE.split("."))), error.data)

    def test_extensions_survive(self):
        """[RFC 4884]: an MPLS label behind the quoted packet, which is padded to 128 bytes."""
        quoted = self.open_udp().data.ljust(128, b"\0")
        label = b"\0\x08\1\1" + b"\0\x06\x41\xff"  # one object, of class 1 and type 1
        blank = b"\x20\0\0\0"
        extension = blank[:2] + packets.checksum(blank + label).to_bytes(2, "big") + label
        length = len(quoted) // 4
        error = self.crosses(self.outside, self.inside, self.icmp(
            ROUTER, GATEWAY_POD, (TIME_EXCEEDED, 0), rest=bytes([0, length, 0, 0]),
            payload=quoted + extension))
        self.assertEqual(error.segment[5], length)
        self.assertEqual(error.segment[8 + len(quoted):], extension)
        self.assertEqual(error.quoted.ends, (self.here, self.there))

    def test_timestamps(self):
        """[RFC 5508 REQ-1]"""
        times = bytes(range(12))
        asked = self.crosses(self.inside, self.outside, self.icmp(
            self.INSIDE, self.OUTSIDE, (13, 0), rest=b"\x15\xb3\0\1", payload=times))
        self.assertEqual((asked.source, asked.segment[6:]), (GATEWAY_POD, b"\0\1" + times))
        answer = self.crosses(self.outside, self.inside, self.icmp(
            self.OUTSIDE, GATEWAY_POD, (14, 0), rest=asked.segment[4:8], payload=times[::-1]))
        self.assertEqual((answer.kind, answer.destination, answer.segment[4:]),
                         ((14, 0), self.INSIDE, b"\x15\xb3\0\1" + times[::-1]))
        # To the gateway itself it is no question: it tells nobody the time.
        self.is_dropped(self.inside, self.outside, self.icmp(
            self.INSIDE, GATEWAY_LB, (13, 0), rest=b"\x15\xb3\0\1", payload=times), "unsolicited")

    def test_queries(self):
        """[RFC 5508 REQ-1]: an echo request and its reply, with an identifier of the gateway's."""
        asked = self.crosses(self.inside, self.outside, self.icmp(
            self.INSIDE, self.OUTSIDE, (8, 0), rest=b"\x15\xb3\0\1", payload=b"are you there"))
        self.assertEqual((asked.source, asked.segment[6:]),
                         (GATEWAY_POD, b"\0\1are you there"))
        answer = self.crosses(self.outside, self.inside, self.icmp(
            self.OUTSIDE, GATEWAY_POD, (0, 0), rest=asked.segment[4:8], payload=b"here I am"))
        self.assertEqual((answer.destination, answer.segment[4:]),
                         (self.INSIDE, b"\x15\xb3\0\1here I am"))


class AboutServices(RawCase):
    """Errors about connections to an address of the gateway's, which forwards them."""

    settings = {"rules": rule("service", "dnat", in_="lb", protocol="udp", to=f"{GATEWAY_LB}/32",
                              to_port=53, target="10.2.0.50:7000", source="masquerade")}

    def test_fragmentation_needed(self):
        """[RFC 5508 REQ-4] [RFC 5508 REQ-5]: either side learns of the MTU behind the gateway, from
        an error about the connection as it knows it."""
        here, service, there = (self.INSIDE, 5555), (GATEWAY_LB, 53), (self.OUTSIDE, 7000)
        mtu = b"\0\0" + (1200).to_bytes(2, "big")
        sent = self.crosses(self.inside, self.outside, self.udp(here, service))
        end = sent.ends[0]
        self.assertEqual(sent.ends[1], there)
        error = self.crosses(self.outside, self.inside, self.icmp(
            ROUTER, GATEWAY_POD, (UNREACHABLE, 4), rest=mtu, payload=sent.data))
        self.assertEqual((error.kind, error.segment[4:8]), ((UNREACHABLE, 4), mtu))
        self.assertEqual((error.source, error.quoted.ends), (GATEWAY_LB, (here, service)))
        answer = self.crosses(self.outside, self.inside, self.udp(there, end))
        self.assertEqual(answer.ends, (service, here))
        error = self.crosses(self.inside, self.outside, self.icmp(
            INSIDE_ROUTER, GATEWAY_LB, (UNREACHABLE, 4), rest=mtu, payload=answer.data))
        self.assertEqual((error.kind, error.segment[4:8]), ((UNREACHABLE, 4), mtu))
        self.assertEqual((error.source, error.quoted.ends), (GATEWAY_POD, (there, end)))


if __name__ == "__main__":
    main()
