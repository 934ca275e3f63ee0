#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""NAT behaviour in the words of RFC 4787: endpoint-independent mappings, who may send to them, and
inside hosts that meet by their outside endpoints (hairpin)."""

import time

from gateway_case import main, rule
from lab.topology import GATEWAY_POD
from raw_host import ACK, SYN, RawCase
EIM = "endpoint-independent"
UNREACHABLE = 3


def outbound(filtering, **keys):
    return rule("outbound", "masquerade", in_="lb", mapping=EIM, filtering=filtering, **keys)


class BehaviorCase(RawCase):
    """With a stranger outside, whom nobody has sent to."""

    STRANGER = "10.2.0.51"

    def setUp(self):
        super().setUp()
        self.stranger = self.outside_host(self.STRANGER)
        self.here, self.there = (self.INSIDE, 5555), (self.OUTSIDE, 7000)
        self.elsewhere = (self.STRANGER, 7001)

    def syn(self, source, destination):
        return self.tcp(source, destination, SYN)

    def both(self):
        """How to make a first packet of UDP, and of TCP."""
        return self.udp, self.syn

    def leaves(self, send, source=None):
        """The outside endpoint that a first packet to the outside host has."""
        return self.crosses(self.inside, self.outside,
                            send(source or self.here, self.there)).ends[0]

    def assert_gets_in(self, host, packet, to=None):
        """A packet of an outside host gets in, and its source is not touched."""
        got = self.crosses(host, self.inside, packet)
        self.assertEqual(got.source, host.address)
        self.assertEqual(got.ends[1], to or self.here)
        return got

    def mappings(self, state="MAPPING"):
        return self.gateway.json("flows", "list", "--state", state)


class EndpointIndependent(BehaviorCase):
    """EIM with EIF."""

    settings = {"rules": outbound("endpoint-independent")}

    def test_one_outside_endpoint_for_all_destinations(self):
        """[RFC 4787 REQ-1] [RFC 5382 REQ-1] [RFC 6888 REQ-7]"""
        for send in self.both():
            first = self.leaves(send)
            self.assertEqual(first[0], GATEWAY_POD)
            second = self.crosses(self.inside, self.stranger, send(self.here, self.elsewhere))
            self.assertEqual(second.ends, (first, self.elsewhere))

    def test_one_identifier_for_all_destinations(self):
        """[RFC 5508 REQ-1]"""
        seen = set()
        for host in (self.outside, self.stranger):
            asked = self.crosses(self.inside, host, self.icmp(
                self.INSIDE, host.address, (8, 0), rest=b"\x15\xb3\0\1"))
            seen.add(asked.segment[4:6])
            answer = self.crosses(host, self.inside, self.icmp(
                host.address, GATEWAY_POD, (0, 0), rest=asked.segment[4:8]))
            self.assertEqual((answer.destination, answer.segment[4:8]),
                             (self.INSIDE, b"\x15\xb3\0\1"))
        self.assertEqual(len(seen), 1)

    def test_anybody_gets_in(self):
        """[RFC 4787 REQ-8] [RFC 5382 REQ-3] [RFC 6888 REQ-7]"""
        for send in self.both():
            end = self.leaves(send)
            self.assert_gets_in(self.stranger, send(self.elsewhere, end))
            # And is answered as it expects.
            answer = self.crosses(self.inside, self.stranger, send(self.here, self.elsewhere))
            self.assertEqual(answer.ends, (end, self.elsewhere))
            # Where there is no mapping, nobody does.
            self.is_dropped(self.stranger, self.inside,
                            send(self.elsewhere, (end[0], end[1] ^ 1)), "unsolicited")

    def test_a_connection_from_outside(self):
        """[RFC 5382 REQ-3]"""
        end = self.leaves(self.syn)
        self.crosses(self.stranger, self.inside, self.tcp(self.elsewhere, end, SYN))
        self.crosses(self.inside, self.stranger, self.tcp(
            self.here, self.elsewhere, SYN | ACK, acknowledgment=2))
        data = self.crosses(self.stranger, self.inside, self.tcp(
            self.elsewhere, end, ACK, sequence=2, acknowledgment=2, payload=b"hello"))
        self.assertEqual(data.payload, b"hello")
        flow, = self.gateway.json("flows", "list", "--source", self.STRANGER)
        self.assertEqual(flow["state"], "ESTABLISHED")

    def test_mappings_can_be_seen(self):
        """[RFC 6888 REQ-8]"""
        end = self.leaves(self.udp)
        self.crosses(self.inside, self.stranger, self.udp(self.here, self.elsewhere))
        mapping, = self.mappings()
        self.assertEqual(mapping["inside"], {"address": self.INSIDE, "port": 5555})
        self.assertEqual(mapping["outside"], {"address": GATEWAY_POD, "port": end[1]})
        self.assertEqual((mapping["references"], mapping["filtering"]),
                         (2, "endpoint-independent"))
        self.assertIn(f"inside={self.INSIDE}:5555 outside={GATEWAY_POD}:{end[1]} references=2",
                      self.gateway.text("flows", "list", "--state", "mapping"))
        # Connections are counted and listed without them.
        self.assertEqual(self.gateway.json("flows", "count")[0]["count"], 2)
        self.assertEqual(len(self.gateway.json("flows", "list")), 2)
        # One that let anybody in stays its owner's for a while after its last connection.
        self.gateway.json("flows", "flush")
        mapping, = self.mappings()
        self.assertEqual(mapping["references"], 0)
        self.is_dropped(self.stranger, self.inside, self.udp(self.elsewhere, end), "filtered")
        self.assertEqual(self.leaves(self.udp), end)


class AddressDependent(BehaviorCase):
    """EIM with ADF."""

    settings = {"rules": outbound("address-dependent")}

    def test_any_port_of_a_known_address_gets_in(self):
        """[RFC 4787 REQ-8] [RFC 5382 REQ-3]"""
        for send in self.both():
            end = self.leaves(send)
            self.assert_gets_in(self.outside, send((self.OUTSIDE, 7999), end))
            self.is_dropped(self.stranger, self.inside, send(self.elsewhere, end), "filtered")
            self.crosses(self.inside, self.stranger, send(self.here, (self.STRANGER, 1)))
            self.assert_gets_in(self.stranger, send(self.elsewhere, end))
        self.assertEqual(len(self.mappings("PERMISSION")), 4)
        self.gateway.json("flows", "flush")
        self.assertEqual(self.mappings("PERMISSION") + self.mappings(), [])


class AddressAndPortDependent(BehaviorCase):
    """EIM with APDF, of which there are two outside ports."""

    settings = {"rules": outbound("address-and-port-dependent", ports="40000-40001")}

    def test_only_the_peer_gets_in(self):
        """[RFC 4787 REQ-8] [RFC 5382 REQ-3]"""
        for send in self.both():
            end = self.leaves(send)
            for host, port in ((self.stranger, 7000), (self.outside, 7999)):
                self.is_dropped(host, self.inside, send((host.address, port), end), "filtered")
            self.assert_gets_in(self.outside, send(self.there, end))

    def test_ports_are_not_shared(self):
        """[RFC 4787 REQ-3] [RFC 5382 REQ-7]: not even towards different destinations."""
        for send in self.both():
            ends = {self.leaves(send, (self.INSIDE, port)) for port in (5555, 5556)}
            self.assertEqual(ends, {(GATEWAY_POD, 40000), (GATEWAY_POD, 40001)})
            self.is_dropped(self.inside, self.stranger,
                            send((self.INSIDE, 5557), self.elsewhere), "exhausted")
            again = self.crosses(self.inside, self.stranger, send(self.here, self.elsewhere))
            self.assertIn(again.ends[0], ends)


class Hairpin(BehaviorCase):
    """Two inside hosts, on one link."""

    settings = {"rules": outbound("endpoint-independent")}
    OTHER = "10.1.0.51"

    def setUp(self):
        super().setUp()
        self.other = self.inside_host(self.OTHER)
        self.friend = (self.OTHER, 6666)

    def meet(self, send):
        """Both have an outside endpoint, and the first sends to the other's: returns both
        endpoints, and what the other gets."""
        mine = self.leaves(send)
        theirs = self.crosses(self.other, self.outside, send(self.friend, self.there)).ends[0]
        return mine, theirs, self.crosses(self.inside, self.other, send(self.here, theirs))

    def test_inside_hosts_meet_by_their_outside_endpoints(self):
        """[RFC 4787 REQ-9] [RFC 5382 REQ-8]"""
        for send in self.both():
            mine, theirs, got = self.meet(send)
            self.assertEqual(got.ends, (mine, self.friend))
            answer = self.crosses(self.other, self.inside, send(self.friend, mine))
            self.assertEqual(answer.ends, (theirs, self.here))

    def test_without_a_mapping_of_ones_own_before(self):
        """[RFC 4787 REQ-9]"""
        theirs = self.crosses(self.other, self.outside, self.udp(self.friend, self.there)).ends[0]
        got = self.crosses(self.inside, self.other, self.udp(self.here, theirs))
        self.assertEqual(got.source, GATEWAY_POD)
        self.assertEqual(self.leaves(self.udp), got.ends[0])

    def test_errors_come_back(self):
        """[RFC 5508 REQ-7]: about a packet to the other's outside endpoint, from the other."""
        for send in self.both():
            _, theirs, got = self.meet(send)
            error = self.crosses(self.other, self.inside, self.icmp(
                self.OTHER, got.source, (UNREACHABLE, 3), rest=bytes(4), payload=got.data))
            self.assertEqual((error.kind, error.source), ((UNREACHABLE, 3), theirs[0]))
            self.assertEqual(error.quoted.ends, (self.here, theirs))
            self.assertNotIn(bytes(map(int, self.OTHER.split("."))), error.data)

    def test_a_connection(self):
        """[RFC 5382 REQ-8]"""
        mine, theirs, _ = self.meet(self.syn)
        self.crosses(self.other, self.inside, self.tcp(self.friend, mine, SYN | ACK,
                                                       acknowledgment=2))
        data = self.crosses(self.inside, self.other, self.tcp(
            self.here, theirs, ACK, sequence=2, acknowledgment=2, payload=b"hello"))
        self.assertEqual((data.ends, data.payload), ((mine, self.friend), b"hello"))

    def test_nobody_meets_himself(self):
        mine = self.leaves(self.udp)
        self.is_dropped(self.inside, self.outside, self.udp(self.here, mine), "filtered")


class OutboundRefresh(BehaviorCase):
    """Packets from outside refresh nothing."""

    timeout_s = 120
    settings = {"rules": outbound("endpoint-independent"),
                "extra": "[timeouts]\ninbound_refresh = false\n"
                         "udp_s = 10\nudp_stream_s = 10\nport_quarantine_s = 1\n"
                         "below_rfc_floor = true\n"}

    def test_strangers_keep_no_mapping_alive(self):
        """[RFC 7857 section 6]"""
        end = self.leaves(self.udp)
        port = iter(range(8000, 60000))

        def mapping_is_gone():
            self.stranger.send(self.udp((self.STRANGER, next(port)), end))
            self.outside.send(self.udp(self.there, end))
            return self.mappings() == []
        self.wait_until(mapping_is_gone, "the mapping is gone", 60)

    def test_the_inside_host_does(self):
        """[RFC 4787 REQ-6]"""
        self.leaves(self.udp)
        first, = self.mappings()
        until = time.monotonic() + 15
        while time.monotonic() < until:
            self.leaves(self.udp)
            time.sleep(0.5)
        self.assertEqual(self.mappings(), [first])


class PortForwards(BehaviorCase):
    """A service of an inside host, which inside hosts use by its outside address as well."""

    SERVER = "10.1.0.51"
    settings = {"rules": rule("web", "dnat", to=f"{GATEWAY_POD}/32", protocol="tcp", to_port=8080,
                              target=f"{SERVER}:80") + outbound("address-and-port-dependent")}

    def test_from_outside_and_inside(self):
        """[RFC 5382 REQ-8]: the answer comes back by the gateway, from where the client asked."""
        server, service = self.inside_host(self.SERVER), (GATEWAY_POD, 8080)
        got = self.crosses(self.outside, server, self.syn(self.there, service))
        self.assertEqual(got.ends, (self.there, (self.SERVER, 80)))
        mine = self.leaves(self.syn)
        got = self.crosses(self.inside, server, self.syn(self.here, service))
        self.assertEqual(got.ends, (mine, (self.SERVER, 80)))
        answer = self.crosses(server, self.inside, self.tcp(
            (self.SERVER, 80), mine, SYN | ACK, acknowledgment=2))
        self.assertEqual(answer.ends, (service, self.here))


if __name__ == "__main__":
    main()
