#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fragments, over AF_XDP with one worker, and over packet sockets with two."""

import random
import threading
import time

from gateway_case import GatewayCase, main, rule
from lab.process import PYTHON
from lab.topology import GATEWAY_LB, GATEWAY_POD, POD
from raw_host import RawCase

import packets

XDP = {"workers": 1, "lb_device": "af_xdp:gw-lb", "pod_device": "af_xdp:gw-pod"}
OUTBOUND = rule("outbound", "masquerade", in_="lb")
PORT = 7000


class Fragments(RawCase):
    """Cut and sent one by one; what comes out is looked at byte by byte."""

    settings = {**XDP, "rules": OUTBOUND, "extra": "[fragments]\ntimeout_ms = 1000\n"}

    def setUp(self):
        super().setUp()
        self.here, self.there = (self.INSIDE, 5555), (self.OUTSIDE, PORT)
        self.numbers = iter(range(100, 65536))

    def datagram(self, size, source=None, destination=None, *, dont_fragment=False, payload=None):
        """A UDP datagram of an IP packet with an identification of its own."""
        source, destination = source or self.here, destination or self.there
        payload = payload or random.randbytes(size)
        return packets.ip(source[0], destination[0], packets.UDP, packets.udp(
            source[0], destination[0], source[1], destination[1], payload=payload),
            identification=next(self.numbers),
            fragment=packets.DONT_FRAGMENT if dont_fragment else 0)

    def whole(self, host, wanted=lambda packet: True, timeout_s=5, most=1500, parts=None):
        """The next packet that a host gets, put together; None when there is none in time. `parts`
        keeps those of other packets for the next call: two workers send at the same time."""
        parts = {} if parts is None else parts
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            part = host.receive(wanted, left)
            if part is None:
                return None
            self.assertLessEqual(len(part.data), most)
            self.assertEqual(packets.checksum(part.data[:20]), 0)
            of_packet = parts.setdefault((part.source, part.protocol, part.identification), [])
            of_packet.append(part)
            packet = packets.reassembled(of_packet)
            if packet is not None:
                self.assertTrue(packet.checksums_are_right())
                packet.parts = parts.pop((part.source, part.protocol, part.identification))
                return packet
        return None

    def send_all(self, host, parts):
        for part in parts:
            host.send(part)

    def passes(self, datagram, parts, *, sender=None, receiver=None, **options):
        """Sends the parts of a datagram, which has to arrive; returns it as it arrived."""
        self.send_all(sender or self.inside, parts)
        arrived = self.whole(receiver or self.outside, **options)
        self.assertIsNotNone(arrived, self.gateway.drops())
        self.assertEqual(arrived.payload, packets.Packet(datagram).payload)
        return arrived

    def dies(self, parts, reason, count):
        """Sends parts of a datagram that goes nowhere; so many are counted by `reason`."""
        before = self.gateway.drops().get(reason, 0)
        self.send_all(self.inside, parts)
        self.wait_until(lambda: self.gateway.drops().get(reason, 0) == before + count,
                        f"{count} are counted as {reason} (now {self.gateway.drops()})", 10)
        self.assertIsNone(self.outside.receive(timeout_s=0.2))

    def datapath(self, name):
        return sum(worker["datapath"][name] for worker in self.gateway.json("stats"))

    def test_any_order(self):
        """[RFC 4787 REQ-14]: forwards, backwards, and the first one in the middle; and back."""
        for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]):
            with self.subTest(order):
                sent = self.datagram(4000)
                parts = packets.fragments(sent)
                self.assertEqual(len(parts), 3)
                arrived = self.passes(sent, [parts[i] for i in order])
                outside_end = arrived.ends[0]
                self.assertEqual(outside_end[0], GATEWAY_POD)
                self.assertEqual(len(arrived.parts), 3)
                answer = self.datagram(4000, self.there, outside_end)
                parts = packets.fragments(answer)
                back = self.passes(answer, [parts[i] for i in order], sender=self.outside,
                                   receiver=self.inside)
                self.assertEqual(back.ends, (self.there, self.here))
        self.assertEqual(self.datapath("reassembled"), 8)
        self.assertEqual(self.datapath("fragments_sent"), 24)

    def test_sizes(self):
        """As small as a fragment can be, and as many as fit one packet."""
        for size, mtu in ((20, 28), (1400, 620), (1472, 1500), (1473, 1500), (120 * 16 - 8, 36),
                          (65507, 1500), (65507, 572)):
            with self.subTest((size, mtu)):
                sent = self.datagram(size)
                self.passes(sent, packets.fragments(sent, mtu))

    def test_interleaved_packets(self):
        """Packets of two hosts, with one identification, and of two protocols between the same
        hosts, with one identification. Those of one protocol leave with different ones."""
        other = self.inside_host("10.1.0.51")
        first, second = self.datagram(3000), self.datagram(3000, ("10.1.0.51", 5555))
        second = second[:4] + first[4:6] + second[6:]
        ping = packets.ip(self.INSIDE, self.OUTSIDE, packets.ICMP, packets.icmp(
            8, rest=b"\x15\xb3\0\1", payload=bytes(2972)), identification=100, fragment=0)
        self.assertEqual(first[4:6], ping[4:6])
        # All cut at the same places, so that nothing but the key keeps them apart.
        trains = [(self.inside, packets.fragments(first)), (other, packets.fragments(second)),
                  (self.inside, packets.fragments(ping))]
        for number in range(3):
            for host, parts in trains:
                host.send(parts[number])
        parts = {}
        arrived = [self.whole(self.outside, parts=parts) for _ in trains]
        self.assertNotIn(None, arrived, self.gateway.drops())
        self.assertCountEqual([packet.protocol for packet in arrived], [17, 17, 1])
        first, second = (packet for packet in arrived if packet.protocol == packets.UDP)
        self.assertNotEqual(first.identification, second.identification)

    def test_one_identification_behind_one_address(self):
        """[RFC 6864 section 5.3.1]: hosts that use the same ones do not leave with the same one,
        whatever their packets came and leave in."""
        other = self.inside_host("10.1.0.51")
        seen = []
        for size, mtu in ((3000, 1500), (1200, 620), (1200, 620)):
            for host, address in ((self.inside, self.INSIDE), (other, "10.1.0.51")):
                sent = self.datagram(size, (address, 5555))
                sent = packets.with_identification(sent, 7)
                self.send_all(host, packets.fragments(sent, mtu))
                seen.append(self.whole(self.outside).identification)
        self.assertEqual(len(set(seen)), len(seen), seen)

    def test_copies(self):
        """Copies of any fragment, before and after its packet is whole."""
        for order in ([0, 0, 1, 2], [0, 1, 1, 2], [2, 2, 1, 0], [1, 0, 1, 2, 2], [0, 1, 2, 1, 2]):
            with self.subTest(order):
                sent = self.datagram(4000)
                parts = packets.fragments(sent)
                self.passes(sent, [parts[i] for i in order])
        self.wait_until(lambda: self.datapath("fragment_copies") == 7, "copies are counted", 10)
        self.assertEqual({reason for reason, count in self.gateway.drops().items()
                          if count and reason.startswith("fragment")}, set())

    def test_overlaps(self):
        """A packet whose fragments contradict each other is dropped whole, and holds nothing."""
        def parts():
            sent = self.datagram(4000)
            return sent, packets.fragments(sent)
        sent, (first, second, last) = parts()
        # As many bytes as the packet has, though some are there twice, and others not at all.
        into_first = packets.fragment(sent, 1472, 2952)
        self.dies([first, into_first, last], "fragment_overlap", 3)
        sent, (first, second, last) = parts()
        self.dies([first, packets.fragment(sent, 1480, 1488), second, last], "fragment_overlap", 4)
        sent, (first, second, last) = parts()
        damaged = first[:-1] + bytes([first[-1] ^ 1])
        self.dies([first, damaged, second, last, first], "fragment_overlap", 5)
        sent, (first, second, last) = parts()
        self.passes(sent, [first, second, last])

    def test_too_many(self):
        """More than the longest packet needs."""
        sent = self.datagram(151 * 8 - 8)
        self.dies(packets.fragments(sent, 28), "fragment_count", 151)

    def test_nonsense(self):
        """Fragments that cannot be parts of any packet, or of one that is too long."""
        sent = self.datagram(4000)
        self.dies([packets.fragment(sent, 0, 1001)], "fragment_invalid", 1)
        self.dies([packets.fragment(sent, 1480, 1480)], "fragment_invalid", 1)
        ping_of_death = packets.ip(self.INSIDE, self.OUTSIDE, packets.ICMP, bytes(1000),
                                   identification=9, fragment=0x1fff)
        self.dies([ping_of_death], "fragment_too_big", 1)

    def test_what_never_becomes_whole_is_forgotten(self):
        first, second, last = packets.fragments(self.datagram(4000))
        self.dies([first], "fragment_timeout", 1)
        self.dies([last, second], "fragment_timeout", 2)
        # Its rest, too late, waits in vain, too.
        self.dies([first], "fragment_timeout", 1)

    def test_a_flood_leaves_others_alone(self):
        """[RFC 4787 REQ-14] [RFC 4787 REQ-11]: one host sends more fragments than the gateway may
        hold, of packets that never get whole."""
        attacker = self.inside_host("10.1.0.66")
        flood = [packets.fragments(self.datagram(2000, ("10.1.0.66", 1)))[0] for _ in range(1500)]
        for round_ in range(4):
            with self.subTest(round_):
                self.send_all(attacker, flood)
                sent = self.datagram(4000)
                parts = packets.fragments(sent)
                self.send_all(self.inside, parts[:2])
                self.send_all(attacker, flood[:50])
                self.passes(sent, parts[2:])
                self.crosses(self.inside, self.outside, self.udp(self.here, self.there))
        self.wait_until(lambda: self.gateway.drops().get("fragment_source", 0) > 0,
                        "it was bounded")
        self.assertNotIn("fragment_full", self.gateway.drops())

    def test_corruption_is_seen(self):
        """The checksum of a first packet is checked over all of its fragments."""
        sent = self.datagram(4000)
        damaged = sent[:-1] + bytes([sent[-1] ^ 1])
        self.dies(packets.fragments(damaged), "bad_l4_checksum", 1)

    def test_dont_fragment_in_fragments(self):
        """A packet that its sender has cut, and lets nobody cut further, leaves as it came."""
        sent = self.datagram(4000, dont_fragment=True)
        arrived = self.passes(sent, packets.fragments(sent, 1000))
        self.assertEqual([len(part.data) for part in sorted(arrived.parts, key=lambda p: p.offset)],
                         [len(part) for part in packets.fragments(sent, 1000)])
        self.assertTrue(all(part.dont_fragment for part in arrived.parts))


class OverPacketSockets(Fragments):
    """Everything as above, where the kernel chooses which worker gets a fragment."""

    settings = {**Fragments.settings, "workers": 2, "lb_device": "af_packet:gw-lb",
                "pod_device": "af_packet:gw-pod"}


class OutOfService(RawCase):
    """Without reassembly."""

    settings = {**XDP, "rules": OUTBOUND, "extra": "[fragments]\ncapacity = 0\n"}

    def test_fragments_are_dropped_by_name(self):
        datagram = packets.ip(self.INSIDE, self.OUTSIDE, packets.UDP, packets.udp(
            self.INSIDE, self.OUTSIDE, 5555, PORT, payload=bytes(100)), fragment=0)
        for part in packets.fragments(datagram, 68):
            self.is_dropped(self.inside, self.outside, part, "fragment")
        self.crosses(self.inside, self.outside, datagram)


class SmallerMtu(Fragments):
    """The outside link takes 1,400 bytes, the inside one 1,500. Everything else is as above."""

    settings = {**Fragments.settings, "pod_mtu": 1400}

    def whole(self, host, wanted=lambda packet: True, timeout_s=5, most=None, parts=None):
        most = most or (1500 if host is self.inside else 1400)
        return super().whole(host, wanted, timeout_s, most, parts)

    def test_any_order(self):
        """[RFC 4787 REQ-13] [RFC 4787 REQ-14]"""
        sent = self.datagram(4000)
        arrived = self.passes(sent, packets.fragments(sent)[::-1])
        self.assertEqual(len(arrived.parts), 3)

    def test_a_whole_packet_is_cut(self):
        """[RFC 4787 REQ-13]"""
        sent = self.datagram(1472)
        arrived = self.passes(sent, [sent])
        self.assertEqual(len(arrived.parts), 2)
        self.assertFalse(any(part.dont_fragment for part in arrived.parts))
        self.assertEqual(arrived.ttl, 63)

    def test_options_are_copied_as_they_ask(self):
        """RFC 791: of the options, router alert goes into all fragments, a timestamp stays in the
        first."""
        sent = self.datagram(1400)
        alert, blank = b"\x94\4\0\0", b"\x44\4\5\0"
        sent = packets.ip(self.INSIDE, self.OUTSIDE, packets.UDP, sent[20:], fragment=0,
                          identification=7, options=alert + blank)
        self.inside.send(sent)
        first, second = (self.outside.receive(timeout_s=5) for _ in range(2))
        self.assertEqual((first.data[0], first.data[20:28]), (0x47, alert + blank))
        self.assertEqual((second.data[0] & 15, second.data[20:24]), (6, alert))

    def test_dont_fragment_in_fragments(self):
        """[RFC 4787 REQ-13]: fragments that are too big themselves get the MTU told."""
        sent = self.datagram(4000, dont_fragment=True)
        self.send_all(self.inside, packets.fragments(sent))
        error = self.arrives(self.inside, packets.ICMP)
        self.assertIsNotNone(error, self.gateway.drops())
        self.assertEqual((error.kind, error.segment[6:8]), ((3, 4), (1400).to_bytes(2, "big")))
        self.assertEqual(error.quoted.ends, (self.here, self.there))
        self.passes(sent, packets.fragments(sent, 1400))


class RealHosts(GatewayCase):
    """Two Linux stacks, whose fragments are their own."""

    settings = {**XDP, "rules": OUTBOUND}
    script = ("import socket,sys;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);"
              "s.settimeout(10);s.connect((sys.argv[1],int(sys.argv[2])));n=int(sys.argv[3]);"
              "p=bytes(i%251 for i in range(n));s.send(p);print(s.recv(65535)==p)")
    mirror = ("import socket,sys;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);"
              "s.bind(('',int(sys.argv[1])));print('ready',flush=True)\n"
              "while True:\n p,a=s.recvfrom(65535);s.sendto(p,a)")

    def test_pings(self):
        """[RFC 4787 REQ-14]: through the gateway, and to itself."""
        for size in (1473, 4000, 11000, 65500):
            for address in (POD, GATEWAY_LB):
                with self.subTest((size, address)):
                    self.assert_pings(address, "-s", size, "-M", "dont", count=3)

    def test_datagrams(self):
        """[RFC 4787 REQ-13] [RFC 4787 REQ-14]: up to the longest, there and back."""
        server = self.pod.start(*PYTHON, "-c", self.mirror, PORT, name="mirror")
        server.wait_ready(lambda: "ready" in server.log())
        for size in (1000, 1480, 8192, 65507):
            with self.subTest(size):
                result = self.lb.run(*PYTHON, "-c", self.script, POD, PORT, size, check=False)
                self.assertEqual(result.stdout.strip(), "True",
                                 (result.stderr, self.gateway.drops()))

    def test_absent_neighbor_is_reported(self):
        """About a packet in fragments, too, by what it was whole."""
        output = self.ping("10.2.0.99", "-W", 8, "-s", 4000, "-M", "dont")
        self.assertIn("Destination Host Unreachable", output)


class FloodOfPacketSockets(RawCase):
    """Over packet sockets, where the kernel must not put fragments together: its own store of them
    has no share for a source."""

    settings = {"rules": OUTBOUND}
    flood_packets = 8000  # more than the kernel's 4 MiB

    def flood(self, attacker):
        """First fragments, none of which ever gets its rest."""
        part = packets.fragments(packets.ip("10.1.0.66", self.OUTSIDE, packets.UDP, packets.udp(
            "10.1.0.66", self.OUTSIDE, 1, 1, payload=bytes(2000)), fragment=0))[0]
        for identification in range(self.flood_packets):
            attacker.send(packets.with_identification(part, identification))

    def pings(self):
        self.assert_pings(POD, "-s", 4000, "-M", "dont", "-i", 0.1, count=10)

    def test_others_fragments_pass_meanwhile_and_after(self):
        """[RFC 4787 REQ-14]"""
        attacker = self.inside_host("10.1.0.66")
        self.pings()
        flooding = threading.Thread(target=self.flood, args=(attacker,))
        flooding.start()
        try:
            while flooding.is_alive():
                self.pings()
        finally:
            flooding.join()
        self.pings()
        received = sum(worker["datapath"]["fragments_received"]
                       for worker in self.gateway.json("stats"))
        self.assertGreater(received, self.flood_packets / 2, self.gateway.drops())
        self.assertGreater(self.gateway.drops().get("fragment_source", 0), 0)


class RealHostsSmallerMtu(RealHosts):
    """The pod's link takes 1,400 bytes, and the client does not know."""

    settings = {**RealHosts.settings, "pod_mtu": 1400}

    def setUp(self):
        super().setUp()
        self.pod.ip("link", "set", "pod0", "mtu", 1400)

    def test_dont_fragment(self):
        """[RFC 4787 REQ-13]"""
        output = self.ping(POD, "-M", "do", "-s", 1400)
        self.assertRegex(output, rf"From {GATEWAY_LB}.*[Ff]rag needed.*mtu = 1400")
        self.assertGreater(self.gateway.drops().get("too_big", 0), 0)


if __name__ == "__main__":
    main()
