#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients whose clocks are far apart, behind one address."""

import struct
import sys

from gateway_case import GatewayCase, build, main, rule
from lab.netfilter import Netfilter
from lab.topology import GATEWAY_LB, GATEWAY_POD
from raw_host import ACK, FIN, SYN, RawCase, RawHost

import packets

CLIENTS = 24


class RecyclingServer:
    """A Linux server with `net.ipv4.tcp_tw_recycle` (until 4.12): it keeps the latest timestamp of
    each host, and does not answer a SYN that is older by more than a tick."""

    PAWS_WINDOW = 1

    def __init__(self):
        self._latest = {}

    def accepts(self, packet):
        """Whether it answers the SYN."""
        value = packet.timestamps[0]
        latest = self._latest.get(packet.source)
        return latest is None or _ahead(latest, value) >= -self.PAWS_WINDOW

    def remembers(self, packet):
        """When the connection is over."""
        value = packet.timestamps[0]
        latest = self._latest.get(packet.source)
        if latest is None or _ahead(latest, value) > 0:
            self._latest[packet.source] = value


def _ahead(earlier, later):
    """How far `later` lies after `earlier`, in ticks of 32 bits."""
    return (later - earlier + 0x80000000) % 0x100000000 - 0x80000000


def _stamps(value, echo):
    return b"\1\1\x08\x0a" + struct.pack("!II", value & 0xffffffff, echo & 0xffffffff)


class FarApart:
    """A raw server, raw clients, and the whole life of a connection between them."""

    def connect_all(self, crosses):
        """Opens and closes a connection from each of CLIENTS ports, with a clock of its own each;
        returns how many SYNs the server refused. `crosses(sender, receiver, packet)` returns what
        arrived."""
        server = RecyclingServer()
        refused = 0
        there = (self.OUTSIDE, 7000)
        for number in range(CLIENTS):
            here = (self.INSIDE, 20000 + number)
            clock = number * 2654435761 + 12345  # far apart, in no order

            def segment(flags, value, echo, here=here, **options):
                return self.tcp(here, there, flags, options=_stamps(value, echo), **options)

            arrived = crosses(self.inside, self.outside, segment(SYN, clock, 0))
            self.assertEqual(arrived.timestamps[1], 0)
            if not server.accepts(arrived):
                refused += 1
                continue
            outside, offered = arrived.ends[0], arrived.timestamps[0]
            answer = crosses(self.outside, self.inside, self.tcp(
                there, outside, SYN | ACK, acknowledgment=2, options=_stamps(900, offered)))
            self.assertEqual(answer.timestamps, (900, clock & 0xffffffff))
            crosses(self.inside, self.outside, segment(ACK, clock + 5, 900, sequence=2,
                                                       acknowledgment=2))
            last = crosses(self.inside, self.outside, segment(FIN | ACK, clock + 9, 900, sequence=2,
                                                              acknowledgment=2))
            self.assertEqual(_ahead(offered, last.timestamps[0]), 9)
            server.remembers(last)
        return refused


class Preserve(RawCase, FarApart):
    """The gateway as it is by default."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb")}

    def test_clients_are_refused(self):
        """[field c]: what the mode is for."""
        self.assertGreater(self.connect_all(self.crosses), 0)


class Normalize(RawCase, FarApart):
    """One clock for the gateway's address."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb"),
                "top": 'tcp_timestamps = "normalize"'}

    def test_nobody_is_refused(self):
        """[field c]"""
        self.assertEqual(self.connect_all(self.crosses), 0)


class Strip(RawCase):
    """Nobody uses timestamps."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb"),
                "top": 'tcp_timestamps = "strip"'}

    def test_nobody_offers_them(self):
        """[field c]"""
        here, there = (self.INSIDE, 5555), (self.OUTSIDE, 7000)
        syn = self.crosses(self.inside, self.outside,
                           self.tcp(here, there, SYN, options=_stamps(7, 0)))
        self.assertIsNone(syn.timestamps)
        answer = self.crosses(self.outside, self.inside, self.tcp(
            there, syn.ends[0], SYN | ACK, acknowledgment=2, options=_stamps(1, 7)))
        self.assertIsNone(answer.timestamps)


class RealHosts(GatewayCase):
    """Linux on both sides, which checks what it gets back (RFC 7323, sections 4 and 5)."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb"),
                "top": 'tcp_timestamps = "normalize"'}

    def test_connections_work(self):
        self.serve(7000)
        for _ in range(20):
            self.assertIsNotNone(self.ask("tcp", "10.2.0.2:7000"))
        # (A busy machine sends again now and then; one that refuses timestamps says so.)
        self.assertEqual(self._sum("TcpExtPAWSEstab", "TcpExtPAWSActive"), 0)
        self.assertEqual(self.gateway.drops(), {})

    def _sum(self, *names):
        """The sum of counters of both hosts' TCP; names that a kernel does not know are 0."""
        total = 0
        for host in (self.lb, self.pod):
            for line in host.run("nstat", "-az").stdout.splitlines():
                name, value = (line.split() + ["", ""])[:2]
                total += int(value) if name in names else 0
        return total


class Netfilters(GatewayCase, FarApart):
    """The machine's own NAT under the same."""

    INSIDE, OUTSIDE = RawCase.INSIDE, RawCase.OUTSIDE
    tcp = RawCase.tcp
    starts_gateway = False

    def test_netfilter_refuses_clients_too(self):
        """[field c]"""
        Netfilter("masquerade").start(self.topology)
        self.inside = self._raw(self.lb, "lb0", self.INSIDE, GATEWAY_LB, "gw-lb")
        self.outside = self._raw(self.pod, "pod0", self.OUTSIDE, GATEWAY_POD, "gw-pod")
        refused = self.connect_all(self._crosses)
        print(f"\nbehind netfilter {refused} of {CLIENTS} clients were refused", file=sys.stderr)
        self.assertGreater(refused, 0)

    def _raw(self, namespace, interface, address, gateway, gateway_interface):
        host = RawHost(namespace, interface, address, gateway=gateway,
                       gateway_mac=self.gateway_mac(gateway_interface))
        self.addCleanup(host.close)
        return host

    def _crosses(self, sender, receiver, packet):
        for _ in range(3):  # the kernel may still be asking for an address
            sender.send(packet)
            arrived = receiver.receive(lambda arrived: arrived.protocol == packets.TCP, 2)
            if arrived is not None:
                return arrived
        return self.fail("nothing arrived")


if __name__ == "__main__":
    main()
