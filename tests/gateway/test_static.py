#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Static mappings: inside endpoints that have outside ones of their own, with real stacks."""

from gateway_case import GatewayCase, main, rule
from lab.topology import GATEWAY_POD, LB, LB_SOURCES, POD

OUTSIDE, OTHER_OUTSIDE = "203.0.113.9", "203.0.113.10"
PROTOCOLS = ("tcp", "udp")


class WholeAddress(GatewayCase):
    """1:1 NAT of two inside hosts."""

    timeout_s = 120
    settings = {"rules": rule("no-9999", "drop", protocol="tcp", to_port=9999) +
                rule("one", "static", inside=LB, outside=OUTSIDE) +
                rule("other", "static", inside=LB_SOURCES[0], outside=OTHER_OUTSIDE)}

    def test_outward(self):
        self.serve(f"{POD}:8000")
        for protocol in PROTOCOLS:
            with self.subTest(protocol):
                answer = self.ask(protocol, f"{POD}:8000", f"{LB}:4444")
                self.assertEqual(answer, ((OUTSIDE, 4444), (POD, 8000)))

    def test_inward(self):
        self.serve(f"{LB}:8000", namespace=self.lb)
        for protocol in PROTOCOLS:
            with self.subTest(protocol):
                answer = self.ask(protocol, f"{OUTSIDE}:8000", f"{POD}:4444", namespace=self.pod)
                self.assertEqual(answer, ((POD, 4444), (LB, 8000)))
        self.assertEqual(self.gateway.rule_hits()["one"], 2)
        self.assertIsNone(self.ask("tcp", f"{OUTSIDE}:9999", namespace=self.pod))
        self.assertGreaterEqual(self.gateway.drops().get("rule", 0), 1)

    def test_pings(self):
        self.assert_pings(OUTSIDE, namespace=self.pod)
        self.assert_pings(POD)

    def test_inside_hosts_meet_outside(self):
        """(RFC 4787 REQ-9): they see each other's outside addresses."""
        self.serve(f"{LB_SOURCES[0]}:8000", namespace=self.lb)
        for protocol in PROTOCOLS:
            with self.subTest(protocol):
                answer = self.ask(protocol, f"{OTHER_OUTSIDE}:8000", f"{LB}:4445")
                self.assertEqual(answer, ((OUTSIDE, 4445), (LB_SOURCES[0], 8000)))


class Endpoints(GatewayCase):
    """A port of the gateway's own address belongs to an inside server, in both directions."""

    timeout_s = 120
    settings = {"rules": rule("server", "static", protocol="udp", inside=f"{LB}:8000",
                              outside=f"{GATEWAY_POD}:40000") +
                rule("outbound", "masquerade", in_="lb", ports="40000-40003")}

    def test_both_directions(self):
        self.serve(f"{POD}:8000")
        answer = self.ask("udp", f"{POD}:8000", f"{LB}:8000")
        self.assertEqual(answer, ((GATEWAY_POD, 40000), (POD, 8000)))
        self.serve(f"{LB}:8000", namespace=self.lb)
        answer = self.ask("udp", f"{GATEWAY_POD}:40000", f"{POD}:4444", namespace=self.pod)
        self.assertEqual(answer, ((POD, 4444), (LB, 8000)))

    def test_its_port_is_proposed_to_nobody_else(self):
        """[RFC 6888 REQ-13]: the others get all ports but that one."""
        self.serve(f"{POD}:8000")
        answers = [self.ask("udp", f"{POD}:8000", f"{LB}:{port}") for port in range(6000, 6003)]
        self.assertNotIn(None, answers)
        self.assertEqual(sorted(answer[0][1] for answer in answers), [40001, 40002, 40003])
        self.assertIsNone(self.ask("udp", f"{POD}:8000", f"{LB}:6003"))
        answer = self.ask("udp", f"{POD}:8000", f"{LB}:8000")
        self.assertEqual(answer, ((GATEWAY_POD, 40000), (POD, 8000)))


if __name__ == "__main__":
    main()
