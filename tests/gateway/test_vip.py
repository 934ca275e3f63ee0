#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The address of a service: who reaches it, who is told about it, and who may send from it."""

import socket
import struct

import packets
from gateway_case import main
from lab.topology import GATEWAY_POD, LB, POD
from raw_host import ACK, ARP_REQUEST, ETHER_ARP, SYN, RawCase
from service_case import PORT, VIP, ServiceCase, at, service

ON_LINK = "10.1.0.77"  # a VIP in the subnet of the clients


class Reached(ServiceCase):
    """By clients of both sides, by backends, and by ping."""

    services = (service(), service("on-link", address=ON_LINK),
                service("own", backends=[at(POD)], ports=81))

    def test_from_inside_and_outside(self):
        self.serve_all()
        self.pod.ip("address", "add", "10.2.0.9/16", "dev", "pod0")
        for address in (VIP, ON_LINK):
            with self.subTest(address):
                self.assertEqual({client for (client, _), _ in self.asked(10, address=address)},
                                 {LB})
                # Their answers would go past the gateway, from one host of the link to the other.
                self.assertEqual({client for (client, _), _ in self.asked(
                    10, address=address, source="10.2.0.9", namespace=self.pod)}, {GATEWAY_POD})

    def test_a_backend_reaches_its_own_service(self):
        """And so itself."""
        self.serve_all()
        (client, _), (backend, _) = self.asked(1, port=81, source=POD, namespace=self.pod)[0]
        self.assertEqual((client, backend), (GATEWAY_POD, POD))

    def test_ping(self):
        """The gateway answers itself."""
        for address in (VIP, ON_LINK):
            self.assert_pings(address)
            self.assert_pings(address, namespace=self.pod)

    def test_what_is_no_services(self):
        """The gateway has no such server of its own, and leads nothing on."""
        client = self.socket()
        client.settimeout(1)
        with self.assertRaises(OSError):
            client.connect((VIP, 4444))
        self.socket(socket.SOCK_DGRAM, connect=(VIP, PORT)).send(b"data")
        self.wait_until(lambda: sum(self.gateway.drops().values()) >= 2, "both are dropped")
        self.assertEqual(self.gateway.flow_count(), 0)

    def test_arp(self):
        """In the subnet of a port; with the port's MAC."""
        result = self.lb.run("arping", "-c", 1, "-w", 5, "-I", "lb0", ON_LINK, check=False)
        self.assertIn(f"[{self.gateway_mac().hex(':')}]".lower(), result.stdout.lower())
        result = self.lb.run("arping", "-c", 1, "-w", 1, "-I", "lb0", "10.1.0.78", check=False)
        self.assertNotIn("[", result.stdout)


class Announced(ServiceCase):
    """A VIP that comes while the gateway runs."""

    services = ()

    def test_neighbours_are_told(self):
        raw = self.lb.packet_socket("lb0", ETHER_ARP)
        self.addCleanup(raw.close)
        raw.settimeout(0.2)
        arping = self.lb.run("arping", "-c", 1, "-w", 1, "-I", "lb0", ON_LINK, check=False)
        self.assertNotEqual(arping.returncode, 0, "nobody has it yet")
        self.serve_all()
        self.change({"op": "set", "service": service(address=ON_LINK)})

        def announced():
            try:
                message = raw.recv(100)[14:]
            except TimeoutError:
                return False
            return struct.unpack("!H", message[6:8])[0] == ARP_REQUEST and \
                message[8:14] == self.gateway_mac() and \
                message[14:18] == message[24:28] == socket.inet_aton(ON_LINK)
        self.wait_until(announced, "the VIP is announced", 5)
        self.assertEqual(len(self.asked(3, address=ON_LINK)), 3)
        self.change({"op": "remove", "name": "web"})
        # An address that is gone is looked after every ten seconds.
        self.wait_until(lambda: self.lb.run("arping", "-c", 1, "-w", 1, "-I", "lb0", ON_LINK,
                                            check=False).returncode != 0,
                        "nobody has the VIP any more", 20)


class Probes(ServiceCase, RawCase):
    """A load balancer that has the VIP itself, and probes with it."""

    services = (service(backends=["10.2.0.50:8080"], source="masquerade"),)
    settings = {**ServiceCase.settings,
                "extra": f'\n[[route]]\nto = "{VIP}/32"\nvia = "10.1.0.50"\n'}

    def test_a_probe_from_the_vip_is_answered(self):
        """[field d]"""
        probe = self.crosses(self.inside, self.outside, self.tcp((VIP, 1234), (VIP, PORT), SYN))
        self.assertEqual(probe.ends[1], (self.OUTSIDE, 8080))
        self.assertEqual(probe.source, GATEWAY_POD)
        self.outside.send(self.tcp(probe.ends[1], probe.ends[0], SYN | ACK, acknowledgment=2))
        self.inside._bytes = packets.socket.inet_aton(VIP)  # the load balancer's other address
        answer = self.arrives(self.inside, packets.TCP)
        self.assertEqual((answer.ends, answer.flags), (((VIP, PORT), (VIP, 1234)), SYN | ACK))

    def test_nothing_else_comes_from_there(self):
        for packet, reason in ((self.tcp((VIP, 1234), (VIP, 81), SYN), "bad_address"),
                               (self.tcp((VIP, 1234), (self.OUTSIDE, 80), SYN), "own_source"),
                               (self.udp((VIP, 1234), (VIP, PORT)), "bad_address")):
            self.is_dropped(self.inside, self.outside, packet, reason)


if __name__ == "__main__":
    main()
