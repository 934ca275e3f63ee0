#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Protocols other than TCP, UDP and ICMP."""

import socket
import unittest

from gateway_case import GatewayCase, main, rule
from lab.process import PYTHON
from lab.topology import GATEWAY_POD
from raw_host import RawCase

import packets

DATA, INIT_ACK, SACK, ABORT, SHUTDOWN, SHUTDOWN_ACK, COOKIE_ECHO, COOKIE_ACK, COMPLETE = (
    0, 2, 3, 6, 7, 8, 10, 11, 14)
PORT_UNREACHABLE, PROTOCOL_UNREACHABLE = (3, 3), (3, 2)

# A datagram of 100 bytes there and back, of which the checksum covers so much; prints what the
# other side saw: whom it came from.
UDP_LITE_SERVER = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)
server.bind(("0.0.0.0", 7000))
server.setsockopt(136, 10, 8)
print("ready", flush=True)
while True:
    payload, peer = server.recvfrom(2048)
    server.sendto(f"{peer[0]}:{peer[1]}".encode().ljust(len(payload)), peer)
"""
UDP_LITE_CLIENT = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)
client.setsockopt(136, 10, int(sys.argv[1]))
client.settimeout(5)
client.connect(("10.2.0.2", 7000))
client.send(b"?" * 100)
print(client.recv(2048).decode().strip(), client.getsockname()[1])
"""


def knows_udp_lite():
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, packets.UDP_LITE):
            return True
    except OSError:
        return False


def chunk(kind, value=b""):
    return bytes((kind, 0)) + (4 + len(value)).to_bytes(2, "big") + value + b"\0" * (-len(value) % 4)


class UdpLite(GatewayCase):
    """The kernel's own, on both sides."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb", protocol="udplite")}

    @unittest.skipUnless(knows_udp_lite(), "this kernel has no UDP-Lite")
    def test_there_and_back(self):
        server = self.pod.start(*PYTHON, "-c", UDP_LITE_SERVER, name="udplite-server")
        server.wait_ready(lambda: "ready" in server.log())
        for coverage in (0, 8, 9, 20, 107):
            with self.subTest(coverage=coverage):
                seen, own_port = self.lb.run(*PYTHON, "-c", UDP_LITE_CLIENT,
                                             coverage).stdout.split()
                address, port = seen.split(":")
                self.assertEqual(address, GATEWAY_POD)
                row, = self.gateway.json("flows", "list", "--protocol", "udplite",
                                         "--source-port", own_port)
                self.assertEqual(row["reply"]["destination_port"], int(port))
        self.assertIsNone(self.ask("udp", "10.2.0.2:7000"))  # the rule is about UDP-Lite alone


class Sctp(RawCase):
    """An association, packet by packet."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb", protocol="sctp"),
                "extra": "[timeouts]\nsctp_established_s = 1000\nsctp_transitory_s = 100\n"}

    def setUp(self):
        super().setUp()
        self.here, self.there = (self.INSIDE, 5555), (self.OUTSIDE, 7000)

    def sctp(self, source, destination, chunks, tag):
        return packets.ip(source[0], destination[0], packets.SCTP,
                          packets.sctp(source[1], destination[1], chunks, tag=tag))

    def out(self, *chunks, tag=22):
        return self.crosses(self.inside, self.outside,
                            self.sctp(self.here, self.there, b"".join(chunks), tag))

    def back(self, end, *chunks, tag=11):
        arrived = self.crosses(self.outside, self.inside,
                               self.sctp(self.there, end, b"".join(chunks), tag))
        self.assertEqual(arrived.ends, (self.there, self.here))
        return arrived

    def assert_state(self, state, timeout_s):
        row = self.flow(5555)
        self.assertEqual((row["protocol"], row["state"]), ("sctp", state))
        self.assertLessEqual(row["timeout_s"], timeout_s)
        self.assertGreater(row["timeout_s"], timeout_s - 30)

    def associate(self):
        first = self.out(packets.SCTP_INIT, tag=0)
        end = first.ends[0]
        self.assertEqual(end[0], GATEWAY_POD)
        self.assertEqual(first.segment[12:], packets.SCTP_INIT)
        self.assert_state("OPENING", 100)
        self.back(end, chunk(INIT_ACK, bytes(16)))
        self.out(chunk(COOKIE_ECHO, b"cookie"), chunk(DATA, b"\0" * 12 + b"first"))
        self.back(end, chunk(COOKIE_ACK), chunk(SACK, bytes(12)))
        self.assert_state("ESTABLISHED", 1000)
        return end

    def test_association(self):
        end = self.associate()
        sent = self.out(chunk(DATA, b"\0" * 12 + b"x" * 1300))
        self.assertEqual((sent.ends, sent.segment[4:8]), ((end, self.there), b"\0\0\0\x16"))
        self.back(end, chunk(SHUTDOWN, bytes(4)))
        self.assert_state("CLOSING", 100)
        self.out(chunk(SHUTDOWN_ACK))
        self.back(end, chunk(COMPLETE))
        again = self.out(packets.SCTP_INIT, tag=0)
        self.assertEqual(again.ends[0], end)
        self.assert_state("OPENING", 100)

    def test_abort(self):
        end = self.associate()
        self.back(end, chunk(ABORT))
        self.assert_state("CLOSING", 100)

    def test_strays(self):
        for kind in (DATA, SACK, ABORT, COOKIE_ECHO, COMPLETE):
            self.is_dropped(self.inside, self.outside,
                            self.sctp(self.here, self.there, chunk(kind, bytes(12)), 22),
                            "sctp_not_init")
        end = self.associate()
        self.is_dropped(self.outside, self.inside,
                        self.sctp((self.OUTSIDE, 7001), end, packets.SCTP_INIT, 0), "unsolicited")

    def test_errors_about_it(self):
        """Whose quoted checksum the inside host could verify, where it is quoted."""
        sent = self.out(packets.SCTP_INIT, tag=0)
        error = self.crosses(self.outside, self.inside, self.icmp(
            self.OUTSIDE, GATEWAY_POD, PROTOCOL_UNREACHABLE, rest=bytes(4), payload=sent.data))
        self.assertEqual(error.kind, PROTOCOL_UNREACHABLE)
        self.assertEqual(error.quoted.ends, (self.here, self.there))
        self.assertTrue(error.quoted.checksums_are_right())


class ByAddress(RawCase):
    """GRE, and whatever else has no ports."""

    settings = {"rules": rule("partner", "forward", in_="lb", to="10.2.0.60/32", protocol=47) +
                rule("tunnels", "snat", in_="lb", protocol="gre", pool="outside") +
                rule("others", "masquerade", in_="lb"),
                "extra": '[[pool]]\nname = "outside"\n'
                         'addresses = ["10.2.9.1", "10.2.9.2"]\n'}
    GRE_HEADER = b"\0\0\x08\0"

    def gre(self, source, destination, inside=b"tunnelled", protocol=packets.GRE):
        return packets.ip(source, destination, protocol, self.GRE_HEADER + inside)

    def test_each_address_stands_for_one_inside_host(self):
        hosts = [self.inside, self.inside_host("10.1.0.51"), self.inside_host("10.1.0.52")]
        addresses = set()
        for host in hosts[:2]:
            sent = self.crosses(host, self.outside, self.gre(host.address, self.OUTSIDE))
            self.assertEqual(sent.segment, self.GRE_HEADER + b"tunnelled")
            addresses.add(sent.source)
            answer = self.crosses(self.outside, host, self.gre(self.OUTSIDE, sent.source))
            self.assertEqual(answer.source, self.OUTSIDE)
        self.assertEqual(addresses, {"10.2.9.1", "10.2.9.2"})
        self.is_dropped(hosts[2], self.outside, self.gre("10.1.0.52", self.OUTSIDE), "exhausted")
        self.assertEqual(self.arrives(hosts[2], packets.ICMP).kind, (3, 1))
        elsewhere = self.outside_host("10.2.0.51")
        self.crosses(hosts[2], elsewhere, self.gre("10.1.0.52", "10.2.0.51"))
        rows = self.gateway.json("flows", "list", "--protocol", "gre")
        self.assertEqual({row["original"]["source_port"] for row in rows}, {0})
        self.assertEqual(len(rows), 3)

    def test_other_protocols(self):
        for number, name in ((50, "esp"), (4, "ipip"), (200, "200")):
            sent = self.crosses(self.inside, self.outside,
                                self.gre(self.INSIDE, self.OUTSIDE, protocol=number))
            self.assertEqual(sent.source, GATEWAY_POD)
            self.crosses(self.outside, self.inside,
                         self.gre(self.OUTSIDE, GATEWAY_POD, protocol=number))
            row, = self.gateway.json("flows", "list", "--protocol", number)
            self.assertEqual((row["protocol"], row["rule"]), (name, "others"))
            self.assertTrue(row["replied"])
            self.assertIn("sport=0 dport=0", self.gateway.text("flows", "list"))

    def test_untranslated_where_a_rule_says_so(self):
        partner = self.outside_host("10.2.0.60")
        sent = self.crosses(self.inside, partner, self.gre(self.INSIDE, "10.2.0.60"))
        self.assertEqual(sent.source, self.INSIDE)

    def test_unsolicited(self):
        self.is_dropped(self.outside, self.inside, self.gre(self.OUTSIDE, "10.2.9.1"),
                        "unsolicited")

    def test_errors_about_it(self):
        sent = self.crosses(self.inside, self.outside, self.gre(self.INSIDE, self.OUTSIDE))
        for cut in (20, 24, len(sent.data)):
            error = self.crosses(self.outside, self.inside, self.icmp(
                self.OUTSIDE, sent.source, PROTOCOL_UNREACHABLE, rest=bytes(4),
                payload=sent.data[:cut]))
            self.assertEqual((error.quoted.source, error.quoted.destination),
                             (self.INSIDE, self.OUTSIDE))


if __name__ == "__main__":
    main()
