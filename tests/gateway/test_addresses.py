#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packets with addresses that nothing may have: directed broadcasts, the gateway's own, sources
that lead elsewhere; and where the gateway's own errors come from."""

from gateway_case import main, rule
from lab.topology import GATEWAY_LB, GATEWAY_POD
from raw_host import ACK, SYN, RawCase

import packets

OUTBOUND = rule("outbound", "masquerade", in_="lb")
FORWARD = rule("forward", "forward")
POOL = "10.2.0.77"
BROADCASTS = ("10.1.255.255", "10.1.0.0", "10.2.255.255", "10.2.0.0")
VIP = "10.9.9.9"  # a service that a load balancer has on this link, too


class Refused(RawCase):
    """Nothing is rewritten, asked for by ARP, or said about what is refused."""

    settings = {"rules": f'[[pool]]\nname = "pool"\naddresses = ["{POOL}"]\n\n' +
                rule("pooled", "snat", in_="lb", to="10.2.0.9/32", pool="pool") + OUTBOUND +
                rule("in", "forward", in_="pod")}

    def sent(self, counter):
        return sum(worker["datapath"][counter] for worker in self.gateway.json("stats"))

    def refuse(self, sender, receiver, source, destination, reason):
        ends = (source, 5555), (destination, 7000)
        syn = self.tcp(*ends, SYN)
        late = packets.ip(source, destination, packets.TCP, syn[20:], ttl=1)
        for packet in (self.udp(*ends), late, self.tcp(*ends, ACK),
                       self.icmp(source, destination, (8, 0))):
            self.is_dropped(sender, receiver, packet, reason)

    def check(self, cases):
        flows, arp, errors = (self.gateway.flow_count(), self.sent("arp_sent"),
                              self.sent("icmp_errors_sent"))
        known = {row["address"] for row in self.gateway.json("neighbors")}
        for sender, receiver, source, destination, reason in cases:
            with self.subTest(source=source, destination=destination):
                self.refuse(sender, receiver, source, destination, reason)
        self.assertIsNone(self.inside.receive(timeout_s=0.2))
        self.assertEqual((self.gateway.flow_count(), self.sent("icmp_errors_sent")),
                         (flows, errors))
        self.assertEqual({row["address"] for row in self.gateway.json("neighbors")}, known)
        self.assertLess(self.sent("arp_sent") - arp, 5)  # those of who is known

    def test_directed_broadcasts(self):
        """[RFC 1812 section 5.3.5] [RFC 1812 section 4.3.2.7]: to them and from them."""
        cases = []
        for address in BROADCASTS:
            cases.append((self.inside, self.outside, self.INSIDE, address, "directed_broadcast"))
            cases.append((self.inside, self.outside, address, self.OUTSIDE, "directed_broadcast"))
            cases.append((self.outside, self.inside, self.OUTSIDE, address, "directed_broadcast"))
        self.check(cases)

    def test_own_addresses_as_sources(self):
        """The addresses of ports and pools, from either side."""
        self.check([(self.inside, self.outside, own, self.OUTSIDE, "own_source")
                    for own in (GATEWAY_LB, GATEWAY_POD, POOL)] +
                   [(self.outside, self.inside, own, self.INSIDE, "own_source")
                    for own in (GATEWAY_LB, GATEWAY_POD, POOL)])

    def test_what_may_pass_passes(self):
        """The neighbours of a broadcast address, and limited ones as before."""
        self.crosses(self.inside, self.outside, self.udp(
            (self.INSIDE, 5555), (self.OUTSIDE, 7000)))
        self.is_dropped(self.inside, self.outside, self.udp(
            (self.INSIDE, 5555), ("255.255.255.255", 7000)), "bad_address")


class Probes(RawCase):
    """A load balancer has the address of the service that it probes."""

    settings = {"rules": rule("service", "dnat", in_="lb", protocol="tcp", to=f"{VIP}/32",
                              to_port=80, target="10.2.0.50:8080", source="masquerade") + OUTBOUND,
                "extra": f'\n[[route]]\nto = "{VIP}/32"\nvia = "10.1.0.50"\n'}

    def test_a_probe_is_answered(self):
        """[field d]"""
        probe = self.crosses(self.inside, self.outside, self.tcp((VIP, 1234), (VIP, 80), SYN))
        self.assertEqual(probe.ends[1], ("10.2.0.50", 8080))
        self.outside.send(self.tcp(probe.ends[1], probe.ends[0], SYN | ACK, acknowledgment=2))
        self.inside._bytes = packets.socket.inet_aton(VIP)  # the load balancer's other address
        answer = self.arrives(self.inside, packets.TCP)
        self.assertEqual((answer.ends, answer.flags), (((VIP, 80), (VIP, 1234)), SYN | ACK))

    def test_nothing_else_comes_from_there(self):
        for packet, reason in ((self.tcp((VIP, 1234), (VIP, 81), SYN), "bad_address"),
                               (self.tcp((VIP, 1234), (self.OUTSIDE, 80), SYN), "own_source"),
                               (self.udp((VIP, 1234), (VIP, 80)), "bad_address")):
            self.is_dropped(self.inside, self.outside, packet, reason)


class ReversePath(RawCase):
    """Both ports ask where the way back leads, and hairpin and established traffic pass."""

    settings = {"rules": '[[pool]]\nname = "pool"\naddresses = ["10.2.0.77"]\n'
                         'mapping = "endpoint-independent"\nfiltering = "endpoint-independent"\n\n'
                         + rule("bound", "static", inside="10.1.0.60", outside="10.2.0.60") +
                         rule("out", "snat", in_="lb", pool="pool") + FORWARD,
                "ports": 'reverse_path = "strict"'}

    def test_sources_that_lead_elsewhere(self):
        """[RFC 3704]"""
        there = (self.OUTSIDE, 7000)
        for sender, receiver, source, destination in (
                (self.inside, self.outside, ("10.2.0.9", 1), there),
                (self.inside, self.outside, ("198.51.100.1", 1), there),  # no route at all
                (self.outside, self.inside, ("10.1.0.9", 1), (self.INSIDE, 1))):
            self.is_dropped(sender, receiver, self.udp(source, destination), "reverse_path")
        out = self.crosses(self.inside, self.outside, self.udp((self.INSIDE, 5555), there))
        answer = self.crosses(self.outside, self.inside, self.udp(there, out.ends[0]))
        self.assertEqual(answer.ends[1], (self.INSIDE, 5555))

    def test_static_mappings_and_hairpin(self):
        """Their sources are inside addresses, and lead back."""
        bound = self.inside_host("10.1.0.60")
        out = self.crosses(bound, self.outside, self.udp(("10.1.0.60", 1), (self.OUTSIDE, 7000)))
        self.assertEqual(out.ends[0], ("10.2.0.60", 1))
        self.crosses(self.outside, bound, self.udp((self.OUTSIDE, 9), ("10.2.0.60", 2)))
        # An inside host by its outside address.
        hairpin = self.crosses(self.inside, bound, self.udp((self.INSIDE, 5), ("10.2.0.60", 3)))
        self.assertEqual(hairpin.destination, "10.1.0.60")


class Reporters(RawCase):
    """The gateway's own errors about what it forwards untranslated."""

    timeout_s = 90
    settings = {"rules": rule("untracked", "forward", in_="lb", to="10.2.7.0/24", track=False) +
                FORWARD}

    def reported(self, host, packet, kind):
        """Who reports it."""
        host.send(packet)
        error = self.arrives(host, packets.ICMP, 20)
        self.assertIsNotNone(error, "nothing was said")
        self.assertEqual((error.kind, error.quoted.ends), (kind, packets.Packet(packet).ends))
        return error.source

    def test_they_come_from_the_port_they_leave_by(self):
        """[RFC 1812 section 4.3.2.4]"""
        for host, peer, own in ((self.inside, "10.2.6.6", GATEWAY_LB),
                                (self.inside, "10.2.7.6", GATEWAY_LB),  # untracked
                                (self.outside, "10.1.6.6", GATEWAY_POD)):
            with self.subTest(host=host.address, peer=peer):
                # Nobody answers ARP there.
                self.assertEqual(own, self.reported(
                    host, self.udp((host.address, 1), (peer, 2)), (3, 1)))
                late = packets.ip(host.address, peer, packets.UDP, packets.udp(
                    host.address, peer, 3, 4), ttl=1)
                self.assertEqual(own, self.reported(host, late, (11, 0)))

    def test_whatever_port_the_packet_came_by(self):
        """[RFC 1812 section 4.3.2.4]: the way back need not be the way of the packet."""
        late = packets.ip(self.OUTSIDE, "10.2.0.9", packets.UDP, packets.udp(
            self.OUTSIDE, "10.2.0.9", 3, 4), ttl=1)
        self.inside.send(late)
        error = self.arrives(self.outside, packets.ICMP)
        self.assertEqual((error.kind, error.source), ((11, 0), GATEWAY_POD))
        self.assertNotIn(packets.socket.inet_aton(GATEWAY_LB), error.data)


class AboutServices(RawCase):
    """A service whose backend is not there: its client hears of it from the service."""

    settings = {"rules": rule("service", "dnat", in_="pod", protocol="udp", to=f"{GATEWAY_POD}/32",
                              to_port=53, target="10.1.6.6:53") + OUTBOUND}

    def test_the_inside_stays_unseen(self):
        """[RFC 1812 section 4.3.2.4] [RFC 5508 REQ-5]"""
        self.outside.send(self.udp((self.OUTSIDE, 5), (GATEWAY_POD, 53)))
        error = self.arrives(self.outside, packets.ICMP, 20)
        self.assertEqual((error.kind, error.source), ((3, 1), GATEWAY_POD))
        self.assertEqual(error.quoted.ends, ((self.OUTSIDE, 5), (GATEWAY_POD, 53)))
        self.assertNotIn(packets.socket.inet_aton(GATEWAY_LB), error.data)
        self.assertNotIn(packets.socket.inet_aton("10.1.6.6"), error.data)

    def test_a_client_of_ours_hears_from_its_own_side(self):
        """[RFC 1812 section 4.3.2.4]: of a masqueraded connection."""
        self.inside.send(self.udp((self.INSIDE, 5), ("10.2.6.6", 53)))
        error = self.arrives(self.inside, packets.ICMP, 20)
        self.assertEqual((error.kind, error.source), ((3, 1), GATEWAY_LB))
        self.assertEqual(error.quoted.ends, ((self.INSIDE, 5), ("10.2.6.6", 53)))


if __name__ == "__main__":
    main()
