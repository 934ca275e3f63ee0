#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Failures that users of other gateways met in the field: here they are to stay away."""

from gateway_case import HOSTS, GatewayCase, main, node, rule
from lab.process import PYTHON
from lab.topology import GATEWAY_LB, GATEWAY_POD, LB, POD
from raw_host import ACK, FIN, RST, SYN, RawCase

import packets

PAIRS = 500


class Resolvers(GatewayCase):
    """An address with several resolvers behind it."""

    resolvers = [POD, "10.2.0.3", "10.2.0.4"]
    settings = {"rules": rule("dns", "dnat", in_="lb", protocol="udp", to=f"{GATEWAY_LB}/32",
                              to_port=53, target=[f"{address}:53" for address in resolvers],
                              source="masquerade")}

    def test_two_questions_at_once(self):
        """[field b]"""
        for address in self.resolvers[1:]:
            self.pod.ip("address", "add", f"{address}/16", "dev", "pod0")
        self.serve(*(f"{address}:53" for address in self.resolvers))
        result = self.lb.run(*PYTHON, HOSTS, "pairs", node(53), PAIRS)
        self.assertEqual(result.stdout.split(), [str(PAIRS)] * 2)
        rows = self.gateway.json("flows", "list", "--protocol", "udp")
        self.assertEqual({row["reply"]["source"] for row in rows}, set(self.resolvers))


class Bypass(GatewayCase):
    """A destination that knows the inside network, before everything else is masqueraded."""

    settings = {"rules": rule("partner", "forward", in_="lb", to="10.2.0.3/32") +
                rule("outbound", "masquerade", in_="lb")}

    def test_listed_destinations_see_the_inside_address(self):
        """[field i] [RFC 6888 REQ-6]"""
        self.pod.ip("address", "add", "10.2.0.3/16", "dev", "pod0")
        self.serve("10.2.0.2:8000", "10.2.0.3:8000")
        for protocol in ("tcp", "udp"):
            with self.subTest(protocol):
                (address, port), _own = self.ask(protocol, "10.2.0.3:8000", f"{LB}:4321")
                self.assertEqual((address, port), (LB, 4321))
                (address, port), _own = self.ask(protocol, "10.2.0.2:8000", f"{LB}:4321")
                self.assertEqual(address, GATEWAY_POD)


class Strays(RawCase):
    """Segments that no connection expects."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb")}

    def test_nothing_leaves_untranslated(self):
        """[field h]: before, during and after a connection, from either side."""
        here, there = (self.INSIDE, 5555), (self.OUTSIDE, 7000)
        strays = (ACK, RST, RST | ACK, FIN | ACK, SYN | ACK)
        for flags in strays:
            self.is_dropped(self.inside, self.outside, self.tcp(here, there, flags), "tcp_not_syn")
        end = self.establish(here, there)
        for sequence in (0, 0x7fffffff, 0xffffffff):  # far out of any window
            self.inside.send(self.tcp(here, there, ACK, sequence=sequence, payload=b"stray"))
            self.inside.send(self.tcp(here, there, SYN | ACK, sequence=sequence))
        self.inside.send(self.tcp(here, there, RST))
        self.inside.send(self.tcp(here, there, ACK, payload=b"after the end"))
        passed = 0
        while packet := self.outside.receive(timeout_s=0.5):
            self.assertEqual(packet.ends, (end, there))
            passed += 1
        self.assertEqual(passed, 5)  # all but the SYN-ACKs, which this side never sends
        for flags in strays:  # to the same port, but from nobody that it talks to
            self.is_dropped(self.outside, self.inside,
                            self.tcp((self.OUTSIDE, 7001), end, flags), "tcp_not_syn")


class TableFull(RawCase):
    """The smallest table that there is."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb"), "flows": 1024, "workers": 1}

    def test_existing_flows_notice_nothing(self):
        """[field g] [RFC 6888 REQ-11]"""
        end = self.establish((self.INSIDE, 5555), (self.OUTSIDE, 7000))
        for port in range(10000, 12048):
            self.inside.send(self.udp((self.INSIDE, port), (self.OUTSIDE, 7000)))
        self.wait_until(lambda: self.gateway.drops().get("table_full", 0) > 0, "the table is full")
        while self.outside.receive(timeout_s=0.3):
            pass
        while self.inside.receive(timeout_s=0.3):
            pass
        refused = self.udp((self.INSIDE, 9999), (self.OUTSIDE, 7000))
        self.is_dropped(self.inside, self.outside, refused, "table_full")
        error = self.arrives(self.inside, packets.ICMP)
        self.assertEqual((error.kind, error.source, error.quoted.data),
                         ((3, 1), GATEWAY_LB, refused))
        self.assertGreaterEqual(self.gateway.flow_count(), 1024)
        self.assertEqual(self.gateway.counters()["early_drop"], 0)
        sent = self.crosses(self.inside, self.outside, self.tcp(
            (self.INSIDE, 5555), (self.OUTSIDE, 7000), ACK, sequence=2, payload=b"still here"))
        self.assertEqual((sent.ends[0], sent.payload), (end, b"still here"))


if __name__ == "__main__":
    main()
