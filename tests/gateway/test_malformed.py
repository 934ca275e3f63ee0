#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Wrong packets: each is counted by its reason, none is forwarded, and the gateway lives on."""

import random
import struct

import packets
from gateway_case import GatewayCase, main
from lab.services import Services
from lab.topology import GATEWAY_LB, GATEWAY_POD, LB, POD

FROM_MAC = bytes.fromhex("020000000001")
COPIES = 5
HERE, THERE = LB, POD


def good_udp(**options):
    return packets.ip(HERE, THERE, packets.UDP, packets.udp(HERE, THERE, 1111, 2222), **options)


def good_tcp(**options):
    return packets.ip(HERE, THERE, packets.TCP, packets.tcp(HERE, THERE, 1111, 2222), **options)


def tcp_with(**options):
    return packets.ip(HERE, THERE, packets.TCP, packets.tcp(HERE, THERE, 1111, 2222, **options))


def udp_with(**options):
    return packets.ip(HERE, THERE, packets.UDP, packets.udp(HERE, THERE, 1111, 2222, **options))


def udp_between(source, destination):
    return packets.ip(source, destination, packets.UDP,
                      packets.udp(source, destination, 1111, 2222))


def icmp_with(kind, **options):
    return packets.ip(HERE, THERE, packets.ICMP, packets.icmp(kind, **options))


def udp_lite_with(**options):
    return packets.ip(HERE, THERE, packets.UDP_LITE,
                      packets.udp_lite(HERE, THERE, 1111, 2222, **options))


def sctp_with(chunks, **options):
    return packets.ip(HERE, THERE, packets.SCTP, packets.sctp(1111, 2222, chunks, **options))


# The fault: (packet, the reason that it is counted by).
CASES = {
    "nothing after Ethernet": (b"", "truncated"),
    "half an IP header": (good_udp()[:10], "truncated"),
    "shorter than the total length": (good_udp()[:-3], "truncated"),
    "IP version 6 inside": (good_udp(version=6), "bad_ip_header"),
    "IP header of 16 bytes": (good_udp(header_words=4), "bad_ip_header"),
    "total length below the header": (good_udp(length=12), "bad_ip_header"),
    "IP checksum": (good_udp(check=0x1234), "bad_ip_checksum"),
    "option runs over the end": (good_udp(options=b"\x44\x09\x01\x00"), "bad_ip_header"),
    "option of length 0": (good_udp(options=b"\x44\x00\x00\x00"), "bad_ip_header"),
    "loose source route": (good_udp(options=b"\x83\x07\x04\x0a\x02\x00\x02\x00"), "source_route"),
    "strict source route": (good_udp(options=b"\x89\x07\x04\x0a\x02\x00\x02\x00"), "source_route"),
    "protocol 0": (packets.ip(HERE, THERE, 0, b"\0" * 8), "protocol"),
    "IGMP": (packets.ip(HERE, THERE, 2, b"\0" * 8), "protocol"),
    "protocol 255": (packets.ip(HERE, THERE, 255, b"\0" * 8), "protocol"),
    "source 127.0.0.1": (udp_between("127.0.0.1", THERE), "bad_address"),
    "source 0.0.0.0": (udp_between("0.0.0.0", THERE), "bad_address"),
    "source multicast": (udp_between("224.0.0.1", THERE), "bad_address"),
    "destination multicast": (udp_between(HERE, "224.0.0.1"), "bad_address"),
    "destination broadcast": (udp_between(HERE, "255.255.255.255"), "bad_address"),
    "destination 127.0.0.1": (udp_between(HERE, "127.0.0.1"), "bad_address"),
    "land": (udp_between(THERE, THERE), "bad_address"),
    "TCP header cut": (packets.ip(HERE, THERE, packets.TCP, b"\x04\x57\x08\xae"), "bad_l4_header"),
    "TCP header of 16 bytes": (tcp_with(words=4), "bad_l4_header"),
    "TCP header beyond the packet": (tcp_with(words=15), "bad_l4_header"),
    "TCP without flags": (tcp_with(flags=0), "bad_l4_header"),
    "TCP Christmas tree": (tcp_with(flags=0x3f), "bad_l4_header"),
    "TCP SYN and FIN": (tcp_with(flags=0x03), "bad_l4_header"),
    "TCP SYN and RST": (tcp_with(flags=0x06), "bad_l4_header"),
    "TCP checksum": (tcp_with(check=0x1234), "bad_l4_checksum"),
    "TCP ACK of nothing": (tcp_with(flags=0x10), "tcp_not_syn"),
    "TCP RST of nothing": (tcp_with(flags=0x04), "tcp_not_syn"),
    "TCP SYN and ACK of nothing": (tcp_with(flags=0x12), "tcp_not_syn"),
    "UDP header cut": (packets.ip(HERE, THERE, packets.UDP, b"\x04\x57"), "bad_l4_header"),
    "UDP length below 8": (udp_with(length=7), "bad_l4_header"),
    "UDP length beyond the packet": (udp_with(length=4000), "bad_l4_header"),
    "UDP checksum": (udp_with(check=0x1234), "bad_l4_checksum"),
    "ICMP header cut": (packets.ip(HERE, THERE, packets.ICMP, b"\x08\x00"), "bad_l4_header"),
    "ICMP checksum": (icmp_with(8, check=0x1234), "bad_l4_checksum"),
    "ICMP reply of nothing": (icmp_with(0), "icmp_unrelated"),
    "ICMP redirect": (icmp_with(5, payload=good_udp()), "icmp_unrelated"),
    "ICMP error that quotes nothing": (icmp_with(3), "bad_l4_header"),
    "ICMP error that quotes half": (icmp_with(3, payload=good_udp()[:24]), "bad_l4_header"),
    "ICMP error about no flow": (icmp_with(3, payload=good_udp()), "icmp_unrelated"),
    "ICMP timestamp request cut": (icmp_with(13, payload=b"\0" * 11), "bad_l4_header"),
    "ICMP address mask request": (icmp_with(17, payload=b"\0" * 4), "protocol"),
    "SCTP header cut": (packets.ip(HERE, THERE, packets.SCTP, b"\0" * 11), "bad_l4_header"),
    "SCTP without chunks": (sctp_with(b""), "bad_l4_header"),
    "SCTP chunk of length 3": (sctp_with(b"\1\0\0\3"), "bad_l4_header"),
    "SCTP chunk beyond the packet": (sctp_with(b"\1\0\0\x14" + b"\0" * 15), "bad_l4_header"),
    "SCTP INIT with a tag": (sctp_with(packets.SCTP_INIT, tag=1), "bad_l4_header"),
    "SCTP INIT in company": (sctp_with(packets.SCTP_INIT * 2), "bad_l4_header"),
    "SCTP checksum": (sctp_with(packets.SCTP_INIT, check=1), "bad_l4_checksum"),
    "SCTP data of nothing": (sctp_with(b"\0\3\0\x11" + b"\0" * 16, tag=1), "sctp_not_init"),
    "UDP-Lite coverage of 7": (udp_lite_with(coverage=7), "bad_l4_header"),
    "UDP-Lite coverage beyond the packet": (udp_lite_with(coverage=13), "bad_l4_header"),
    "UDP-Lite without checksum": (udp_lite_with(check=0), "bad_l4_checksum"),
    "UDP-Lite checksum": (udp_lite_with(check=0x1234), "bad_l4_checksum"),
}


class RawSocketCase(GatewayCase):
    """Sends from a raw socket at the load balancer."""

    timeout_s = 120

    def setUp(self):
        super().setUp()
        self.socket = self.lb.packet_socket("lb0")
        self.addCleanup(self.socket.close)
        self.mac = self.gateway_mac()

    def send(self, packet, copies=1, ethertype=0x0800):
        for _ in range(copies):
            self.socket.send(packets.frame(self.mac, FROM_MAC, packet, ethertype))

    def assert_counted(self, reason, packet, **options):
        before = self.gateway.drops().get(reason, 0)
        self.send(packet, COPIES, **options)
        self.wait_until(lambda: self.gateway.drops().get(reason, 0) - before == COPIES,
                        f"{COPIES} more are counted as {reason} (now {self.gateway.drops()})", 5)


class Malformed(RawSocketCase):
    """One kind after the other. Not fragments: tests/gateway/test_fragments.py has them."""

    def test_each_reason(self):
        self.gateway.json("flows", "flush")
        for what, (packet, reason) in CASES.items():
            with self.subTest(what):
                self.assert_counted(reason, packet)
        self.assertEqual(self.gateway.json("flows", "list", "--source-port", 1111), [])

    def test_longer_than_a_packet_socket_can_hand_over(self):
        """Where the link takes more than noclash's port."""
        self.lb.ip("link", "set", "lb0", "mtu", 4000)
        self.topology.gateway.ip("link", "set", "gw-lb", "mtu", 4000)
        for length in (1941, 3000):
            self.assert_counted("frame_too_long", packets.ip(HERE, THERE, packets.UDP, packets.udp(
                HERE, THERE, 1111, 2222, payload=bytes(length))))

    def test_malformed_arp_is_survived(self):
        arp = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, FROM_MAC, bytes([10, 1, 0, 2]),
                          bytes(6), bytes([10, 1, 0, 1]))
        for length in range(len(arp)):
            self.send(arp[:length], ethertype=0x0806)
        for index in range(8):
            self.send(arp[:index] + bytes([arp[index] ^ 0xff]) + arp[index + 1:],
                      ethertype=0x0806)
        self.assert_pings(POD)

    def test_harmless_options_pass(self):
        receiver = self.pod.packet_socket("pod0")
        self.addCleanup(receiver.close)
        receiver.settimeout(5)
        self.send(good_udp(options=b"\x01\x01\x01\x00"))
        while True:
            packet = receiver.recv(2048)[14:]
            if packet[0] == 0x46 and packet[9] == packets.UDP:
                break
        self.assertEqual(packet[12:16], bytes(map(int, GATEWAY_POD.split("."))))
        self.assertEqual(packets.checksum(packet[:24]), 0)

    def test_own_addresses_are_not_forwarded(self):
        self.gateway.json("flows", "flush")
        for target in (GATEWAY_LB, GATEWAY_POD):
            with self.subTest(target):
                self.assert_counted("unsolicited", udp_between(HERE, target))


class Volley(RawSocketCase):
    """All kinds at once."""

    def test_volley(self):
        """Random damage to every kind of packet, from a fixed seed."""
        services = Services(self.topology)
        source = random.Random(4787)
        seeds = [good_udp(), good_tcp(), icmp_with(8), icmp_with(3, payload=good_udp()),
                 *(packet for packet, _ in CASES.values() if packet)]
        for _ in range(20000):
            packet = bytearray(source.choice(seeds))
            for _ in range(source.randrange(1, 5)):
                packet[source.randrange(len(packet))] = source.randrange(256)
            if source.random() < 0.3:
                del packet[source.randrange(len(packet)):]
            if source.random() < 0.1:
                packet += source.randbytes(source.randrange(1400))
            self.send(bytes(packet))
        self.assertIsNone(self.gateway.process.returncode)
        for name, check in services.checks()[:3]:
            with self.subTest(name):
                self.assertTrue(check().ok)


if __name__ == "__main__":
    main()
