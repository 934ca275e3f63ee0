#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Neighbours under load and under attack: a burst to one that is not known yet, forged ARP."""

import ipaddress
import socket
import struct
import time

import packets
from gateway_case import GatewayCase, build, main, rule
from lab.noclash import DEFAULT_RULES
from lab.storm import SILENCE, Receiver
from lab.topology import GATEWAY_LB, GATEWAY_POD, LB, LB_SOURCES, NODE_PORT, POD
from raw_host import ARP_REPLY, ARP_REQUEST, BROADCAST, ETHER_ARP, ETHER_IPV4

FORGED = bytes.fromhex("020000006666")
OUTBOUND = rule("outbound", "masquerade", in_="lb")


def arp(operation, sender_mac, sender, target_mac, target, to=BROADCAST):
    """A frame."""
    message = struct.pack("!HHBBH", 1, ETHER_IPV4, 6, 4, operation) + sender_mac + \
        socket.inet_aton(sender) + target_mac + socket.inet_aton(target)
    return packets.frame(to, sender_mac, message, ETHER_ARP)


def text(mac):
    return mac.hex(":")


class NeighborCase(GatewayCase):
    """With what these tests ask of the daemon."""

    def row(self, address):
        return next((row for row in self.gateway.json("neighbors")
                     if row["address"] == address), None)

    def counter(self, name):
        """The sum over all workers."""
        return sum(group[name] for worker in self.gateway.json("stats")
                   for group in worker.values() if isinstance(group, dict) and name in group)

    def logged(self, words):
        self.wait_until(lambda: words in self.gateway.process.log(), f"the log says {words!r}", 5)


class ColdStart(NeighborCase):
    """The first packets after the start come all at once. One worker gets all of them."""

    settings = {"workers": 1}
    starts_gateway = False
    connections = 4000

    def burst(self):
        self.pod.nft(SILENCE)
        receiver = Receiver(build().storm, self.pod, expected=self.connections, idle_ms=4000)
        self.lb.run(build().storm, "send", "--interface", "lb0", "--destination",
                    f"{GATEWAY_LB}:{NODE_PORT}", "--source-base", LB_SOURCES[0],
                    "--connections", self.connections, "--rate", 40000)
        seen = receiver.finish()
        self.assertEqual((seen["delivered"], seen["lost"], seen["duplicated"]),
                         (self.connections, 0, 0), self.gateway.drops())

    def test_a_burst_at_once_after_the_start(self):
        self.gateway.start(self.topology, wait=False)
        self.burst()

    def test_a_burst_to_a_target_that_does_not_answer_yet(self):
        """[RFC 1122 section 2.3.2.2]: all of it waits for ARP, and nothing is lost."""
        self.pod.nft("table arp deaf { chain in { type filter hook input priority 0; drop; }; }")
        self.gateway.start(self.topology, wait=False)
        self.wait_until(lambda: self.row(POD)["state"] == "failed", "the target is given up")
        time.sleep(1.2)  # from then on the next packet begins anew
        # Deaf to the first question about the burst, and perhaps the second: a quota counts bytes.
        self.pod.nft("""
            flush chain arp deaf in
            add rule arp deaf in quota until 60 bytes drop""")
        self.burst()
        self.assertGreater(self.counter("neighbor_waited"), 0)


class Forged(NeighborCase):
    """Somebody on a link who sends ARP as he likes."""

    settings = {"rules": OUTBOUND, "extra": "[neighbors]\nrefresh_s = 600\n"}

    def setUp(self):
        super().setUp()
        self.raw = self.lb.packet_socket("lb0")
        self.addCleanup(self.raw.close)
        self.pod_raw = self.pod.packet_socket("pod0")
        self.addCleanup(self.pod_raw.close)

    def test_a_flood_of_senders_costs_nobody_a_neighbour(self):
        """12,000 of them, in the port's /16."""
        self.assert_pings(POD)
        first = int(ipaddress.IPv4Address("10.1.64.0"))
        for number in range(12000):
            sender = str(ipaddress.IPv4Address(first + number))
            mac = b"\x02\x66" + struct.pack("!I", number)
            self.raw.send(arp(ARP_REQUEST, mac, sender, bytes(6), GATEWAY_LB))
            if number % 100 == 0:
                time.sleep(0.002)
        # Both of the hosts that were in use, and one on each port that is new.
        self.assert_pings(POD)
        self.lb.ip("address", "add", "10.1.2.9/16", "dev", "lb0")
        self.pod.ip("address", "add", "10.2.0.9/16", "dev", "pod0")
        self.assert_pings("10.2.0.9")
        self.assert_pings(POD, "-I", "10.1.2.9")
        self.assertNotIn("neighbor_full", self.gateway.drops())
        self.assertEqual({self.row(address)["state"] for address in (LB, POD)}, {"reachable"})

    def test_one_forged_frame_moves_nobody(self):
        for operation, mode in ((ARP_REQUEST, "announced"), (ARP_REPLY, "replied")):
            with self.subTest(mode):
                self.assert_pings(POD)
                before = self.row(POD)["mac"]
                time.sleep(1.1)
                refused = self.counter("neighbor_claims")
                self.pod_raw.send(arp(operation, FORGED, POD, bytes(6), GATEWAY_POD))
                self.wait_until(lambda refused=refused: self.counter("neighbor_claims") > refused,
                                "the claim is counted", 5)
                self.assert_pings(POD, "-i", "0.05", count=20)
                self.assertEqual(self.row(POD)["mac"], before)
        self.logged(f"{text(FORGED)} claims the address of neighbour {POD}, which still answers "
                    f"at {before}")
        self.assertEqual(self.counter("neighbor_moved"), 0)

    def test_a_flood_of_forged_claims_costs_no_packet(self):
        for _ in range(200):
            self.pod_raw.send(arp(ARP_REPLY, FORGED, POD, bytes(6), GATEWAY_POD))
        self.assert_pings(POD, "-i", "0.01", count=100)
        claims = self.gateway.process.log().count("claims the address")
        self.assertLessEqual(claims, 2)

    def test_the_known_station_is_asked_first(self):
        """By a frame to it alone; then, as it answers, nobody else."""
        self.assert_pings(POD)
        pod = bytes.fromhex(self.pod.run("cat", "/sys/class/net/pod0/address").stdout.strip()
                            .replace(":", ""))
        listener = self.pod.packet_socket("pod0")
        self.addCleanup(listener.close)
        listener.settimeout(0.2)
        self.pod_raw.send(arp(ARP_REQUEST, FORGED, POD, bytes(6), GATEWAY_POD))
        asked = []
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            try:
                frame = listener.recv(2048)
            except TimeoutError:
                continue
            if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1" and \
                    frame[28:32] == socket.inet_aton(GATEWAY_POD):
                asked.append(frame[:6])
        self.assertEqual(set(asked), {pod})  # twice, should the answer be late

    def test_conflicts_about_own_addresses_are_defended(self):
        """[RFC 5227 section 2.4]: once in an interval, whatever comes."""
        gateway = self.gateway_mac()
        listener = self.lb.packet_socket("lb0")
        self.addCleanup(listener.close)
        listener.settimeout(0.2)
        for _ in range(20):
            self.raw.send(arp(ARP_REQUEST, FORGED, GATEWAY_LB, bytes(6), GATEWAY_LB))
        announced = 0
        end = time.monotonic() + 2
        own = socket.inet_aton(GATEWAY_LB)
        while time.monotonic() < end:
            try:
                frame = listener.recv(2048)
            except TimeoutError:
                continue
            if frame[:14] == BROADCAST + gateway + b"\x08\x06" and frame[28:32] == own and \
                    frame[38:42] == own:
                announced += 1
        self.assertEqual(announced, 1)
        self.wait_until(lambda: self.counter("address_conflicts") == 20, "each is counted", 5)
        self.logged(f"address conflict: {text(FORGED)} uses {GATEWAY_LB}")


class UnresolvableFlood(NeighborCase):
    """Packets to addresses of a connected subnet that nobody has."""

    settings = {"rules": DEFAULT_RULES}

    def test_others_go_on(self):
        raw = self.lb.packet_socket("lb0")
        self.addCleanup(raw.close)
        mac, pod = self.gateway_mac(), "10.2.0.9"
        self.pod.ip("address", "add", f"{pod}/16", "dev", "pod0")
        for number in range(20000):
            nobody = f"10.2.{100 + number // 250 % 80}.{number % 250}"
            raw.send(packets.frame(mac, FORGED, packets.ip(LB, nobody, packets.UDP, packets.udp(
                LB, nobody, 1024 + number, 9))))
            if number % 100 == 0:
                time.sleep(0.005)
        # Known neighbours, and one that nobody has asked for yet.
        self.assert_pings(POD, "-i", "0.05", count=20)
        self.wait_until(lambda: "1 received" in self.ping(pod), "a new neighbour is found", 4)

    def test_flows_that_end_while_their_packets_wait(self):
        """The ICMP error about such a packet is for nobody."""
        raw = self.lb.packet_socket("lb0")
        self.addCleanup(raw.close)
        mac = self.gateway_mac()
        for number in range(8):
            nobody = f"10.2.200.{number}"
            raw.send(packets.frame(mac, FORGED, packets.ip(LB, nobody, packets.UDP, packets.udp(
                LB, nobody, 1024, 9))))
        self.wait_until(lambda: self.gateway.flow_count() == 8, "all wait", 5)
        self.gateway.json("flows", "flush")
        self.wait_until(lambda: self.gateway.drops().get("neighbor_failed", 0) == 8,
                        "nobody answers", 10)
        self.assert_pings(POD)


if __name__ == "__main__":
    main()
