#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Frames that are not plain IPv4: priority tags are taken off, all others are counted by kind."""

import socket
import struct

import packets
from gateway_case import GatewayCase, main, rule
from lab.topology import GATEWAY_LB, LB, POD
from raw_host import ARP_REPLY, ARP_REQUEST, BROADCAST, ETHER_ARP, ETHER_IPV4, RawCase

VLAN, SERVICE_VLAN = 0x8100, 0x88a8
MAC = bytes.fromhex("020000000001")
COPIES = 5


def tagged(frame, vlan=0, *, priority=0, drop_eligible=False, kind=VLAN):
    """The frame with an 802.1Q tag."""
    control = priority << 13 | drop_eligible << 12 | vlan
    return frame[:12] + struct.pack("!HH", kind, control) + frame[12:]


def arp(operation, sender_mac, sender, target_mac, target):
    return struct.pack("!HHBBH", 1, ETHER_IPV4, 6, 4, operation) + sender_mac + \
        socket.inet_aton(sender) + target_mac + socket.inet_aton(target)


class PriorityTags(RawCase):
    """A host that gives its frames a priority and no VLAN (IEEE 802.1Q): VLAN 0."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb")}

    TAGS = {"priority 0": {}, "priority 7": {"priority": 7},
            "drop eligible": {"priority": 1, "drop_eligible": True},
            "802.1ad": {"kind": SERVICE_VLAN, "priority": 3}}

    def setUp(self):
        super().setUp()
        self.mac = self.gateway_mac()
        self.raw = self.lb.packet_socket("lb0")
        self.addCleanup(self.raw.close)

    def next_frame(self, kind, wanted, timeout_s=5):
        """The next frame of an EtherType to the raw host, as it came."""
        found = []

        def look():
            try:
                frame = self.raw.recv(65535)
            except TimeoutError:
                return False
            if struct.unpack("!H", frame[12:14])[0] == kind and wanted(frame):
                found.append(frame)
            return bool(found)
        self.raw.settimeout(0.2)
        self.wait_until(look, "an answer without a tag", timeout_s)
        return found[0]

    def test_ip_passes(self):
        """There, translated, and back, without a tag."""
        for number, (what, options) in enumerate(self.TAGS.items()):
            with self.subTest(what):
                here, there = (self.INSIDE, 1000 + number), (self.OUTSIDE, 53)
                packet = self.udp(here, there, payload=what.encode())
                self.raw.send(tagged(packets.frame(self.mac, MAC, packet), **options))
                arrived = self.arrives(self.outside, packets.UDP)
                self.assertIsNotNone(arrived, self.drops())
                self.assertEqual(arrived.payload, what.encode())
                self.outside.send(self.udp(there, arrived.ends[0]))
                answer = self.arrives(self.inside, packets.UDP)
                self.assertIsNotNone(answer, self.drops())
                self.assertEqual(answer.ends, (there, here))

    def test_two_priority_tags_pass(self):
        packet = self.udp((self.INSIDE, 1000), (self.OUTSIDE, 53))
        self.raw.send(tagged(tagged(packets.frame(self.mac, MAC, packet)), kind=SERVICE_VLAN))
        self.assertIsNotNone(self.arrives(self.outside, packets.UDP), self.drops())

    def test_tagged_and_untagged_are_one_flow(self):
        here, there = (self.INSIDE, 1000), (self.OUTSIDE, 53)
        first = self.crosses(self.inside, self.outside, self.udp(here, there))
        self.raw.send(tagged(packets.frame(self.mac, MAC, self.udp(here, there))))
        second = self.arrives(self.outside, packets.UDP)
        self.assertIsNotNone(second, self.drops())
        self.assertEqual(first.ends, second.ends)

    def test_arp_is_answered_and_learned(self):
        host = "10.1.0.77"
        for what, options in self.TAGS.items():
            with self.subTest(what):
                request = arp(ARP_REQUEST, MAC, host, bytes(6), GATEWAY_LB)
                self.raw.send(tagged(packets.frame(BROADCAST, MAC, request, ETHER_ARP), **options))
                answer = self.next_frame(ETHER_ARP, lambda frame: frame[:6] == MAC)
                self.assertEqual(answer[14:42], arp(ARP_REPLY, self.mac, GATEWAY_LB, MAC, host))
        self.assertTrue(self.gateway_knows(host))

    def test_fragments_in_tagged_frames_pass(self):
        packet = packets.ip(self.INSIDE, self.OUTSIDE, packets.UDP, packets.udp(
            self.INSIDE, self.OUTSIDE, 1000, 53, payload=b"x" * 900), fragment=0)
        for part in packets.fragments(packet, 576):
            self.raw.send(tagged(packets.frame(self.mac, MAC, part)))
        self.assertIsNotNone(self.arrives(self.outside, packets.UDP), self.drops())

    def test_a_whole_mtu_fits_beside_the_tag(self):
        packet = self.udp((self.INSIDE, 1000), (self.OUTSIDE, 53), payload=b"x" * 1472)
        self.raw.send(tagged(packets.frame(self.mac, MAC, packet)))
        arrived = self.arrives(self.outside, packets.UDP)
        self.assertIsNotNone(arrived, self.drops())
        self.assertEqual(len(arrived.payload), 1472)


class Kinds(GatewayCase):
    """Each kind of frame that goes no further has a reason of its own."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb")}

    def setUp(self):
        super().setUp()
        self.raw = self.lb.packet_socket("lb0")
        self.addCleanup(self.raw.close)
        self.mac = self.gateway_mac()

    def assert_counted(self, reason, frame):
        before = self.gateway.drops().get(reason, 0)
        for _ in range(COPIES):
            self.raw.send(frame)
        self.wait_until(lambda: self.gateway.drops().get(reason, 0) - before >= COPIES,
                        f"{COPIES} more are counted as {reason} (now {self.gateway.drops()})", 5)

    def test_frames(self):
        packet = packets.ip(LB, POD, packets.UDP, packets.udp(LB, POD, 1111, 2222))
        plain = packets.frame(self.mac, MAC, packet)
        lldp, mac_control = bytes.fromhex("0180c200000e"), bytes.fromhex("0180c2000001")
        others = bytes.fromhex("01005e0000fb")

        def frame(kind, to=self.mac):
            return packets.frame(to, MAC, b"\0" * 50, kind)
        for what, reason, sent in (
                ("VLAN 1", "vlan", tagged(plain, 1)),
                ("VLAN 4095", "vlan", tagged(plain, 4095, priority=5)),
                ("VLAN 100 of a provider", "vlan", tagged(plain, 100, kind=SERVICE_VLAN)),
                ("VLAN 5 behind a priority", "vlan", tagged(tagged(plain, 5), kind=SERVICE_VLAN)),
                ("VLAN 5, to all", "vlan", tagged(BROADCAST + plain[6:], 5)),
                ("ARP of VLAN 5", "vlan",
                 tagged(packets.frame(BROADCAST, MAC, arp(ARP_REQUEST, MAC, LB, bytes(6),
                                                          GATEWAY_LB), ETHER_ARP), 5)),
                ("three tags", "vlan", tagged(tagged(tagged(plain)))),
                ("IPv6", "ipv6", frame(0x86dd)),
                ("IPv6 multicast", "ipv6", frame(0x86dd, bytes.fromhex("333300000001"))),
                ("IPv6 with a priority", "ipv6", tagged(frame(0x86dd), priority=6)),
                ("LLDP", "link_control", frame(0x88cc, lldp)),
                ("LLDP to us", "link_control", frame(0x88cc)),
                ("LACP", "link_control", frame(0x8809, bytes.fromhex("0180c2000002"))),
                ("pause", "link_control", frame(0x8808, mac_control)),
                ("802.1X", "link_control", frame(0x888e, bytes.fromhex("0180c2000003"))),
                ("spanning tree", "link_control", frame(0x0026, bytes.fromhex("0180c2000000"))),
                ("CDP", "link_control", frame(0x0032, bytes.fromhex("01000ccccccc"))),
                ("MPLS", "not_ip", frame(0x8847)),
                ("an unknown type", "not_ip", frame(0x1234)),
                ("multicast", "other_station", packets.frame(others, MAC, packet)),
                ("LLDP of others", "other_station", frame(0x88cc, b"\2" * 6))):
            with self.subTest(what):
                self.assert_counted(reason, sent)
        self.assertEqual(self.gateway.json("flows", "list", "--source-port", 1111), [])

    def test_arp(self):
        good = arp(ARP_REQUEST, MAC, "10.1.0.77", bytes(6), GATEWAY_LB)

        def changed(at, value):
            return good[:at] + bytes([value]) + good[at + 1:]
        group = bytes.fromhex("01005e000001")
        for what, reason, message in (
                ("sent by a group", "bad_arp",
                 arp(ARP_REQUEST, group, "10.1.0.77", bytes(6), GATEWAY_LB)),
                ("sent by all", "bad_arp",
                 arp(ARP_REPLY, BROADCAST, "10.1.0.77", bytes(6), GATEWAY_LB)),
                ("sent by nobody", "bad_arp",
                 arp(ARP_REQUEST, bytes(6), "10.1.0.77", bytes(6), GATEWAY_LB)),
                ("another hardware", "bad_arp", changed(1, 6)),
                ("another protocol", "bad_arp", changed(2, 0x86)),
                ("longer addresses", "bad_arp", changed(4, 8)),
                ("reverse ARP", "bad_arp", changed(7, 3)),
                ("cut", "truncated", good[:27])):
            with self.subTest(what):
                self.assert_counted(reason, packets.frame(BROADCAST, MAC, message, ETHER_ARP))
        known = {row["address"] for row in self.gateway.json("neighbors")}
        self.assertNotIn("10.1.0.77", known)


if __name__ == "__main__":
    main()
