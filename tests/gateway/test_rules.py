#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The effect of each kind of rule on real connections, and the choice among several rules."""

from gateway_case import HOSTS, GatewayCase, main, node, rule
from lab.process import PYTHON
from lab.topology import GATEWAY_LB, GATEWAY_POD, LB, POD

PROTOCOLS = ("tcp", "udp")


class SourceNat(GatewayCase):
    """SNAT to a pool with a range of ports; prefixes that are left alone."""

    settings = {
        "extra": """
[[pool]]
name = "outside"
addresses = ["203.0.113.7", "203.0.113.10-203.0.113.11"]
ports = "5000-5999"
""",
        "rules": rule("not-these", "forward", in_="lb", from_="10.1.0.2/32", to_port=8001) +
                 rule("outbound", "snat", in_="lb", pool="outside"),
    }

    def test_source_comes_from_the_pool(self):
        """[RFC 6888 REQ-3]"""
        self.serve(8000)
        addresses = {"203.0.113.7", "203.0.113.10", "203.0.113.11"}
        for protocol in PROTOCOLS:
            for _ in range(5):
                with self.subTest(protocol):
                    answer = self.ask(protocol, f"{POD}:8000")
                    self.assertIsNotNone(answer, "no answer")
                    (address, port), _own = answer
                    self.assertIn(address, addresses)
                    self.assertIn(port, range(5000, 6000))

    def test_prefix_without_snat(self):
        self.serve(8001)
        for protocol in PROTOCOLS:
            with self.subTest(protocol):
                answer = self.ask(protocol, f"{POD}:8001", f"{LB}:4444")
                self.assertIsNotNone(answer, "no answer")
                self.assertEqual(answer[0], (LB, 4444))

    def test_ping_through_the_pool(self):
        """[RFC 5508 REQ-1]"""
        self.assert_pings(POD, "-i", "0.05", count=10)


class Masquerade(GatewayCase):
    """The source becomes the egress port's address, and stays within the ports of the rule."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb", ports="40000-40063")}

    def test_masquerade(self):
        self.serve(8000)
        for protocol in PROTOCOLS:
            with self.subTest(protocol):
                answer = self.ask(protocol, f"{POD}:8000")
                self.assertIsNotNone(answer, "no answer")
                (address, port), _own = answer
                self.assertEqual(address, GATEWAY_POD)
                self.assertIn(port, range(40000, 40064))

    def test_every_port_of_the_range_is_used_before_exhaustion(self):
        """[RFC 6888 REQ-13] [RFC 6888 REQ-11]"""
        self.serve(8000)
        answers = [self.ask("udp", f"{POD}:8000", f"{LB}:{port}") for port in range(6000, 6064)]
        self.assertNotIn(None, answers)
        self.assertEqual(sorted(answer[0][1] for answer in answers), list(range(40000, 40064)))
        self.assertIsNone(self.ask("udp", f"{POD}:8000", f"{LB}:6064"))
        self.assertGreaterEqual(self.gateway.drops().get("exhausted", 0), 1)


class Exhausted(GatewayCase):
    """A client's own stack is told that there is no port left, and does not wait in vain."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb", ports="40000-40000"),
                "top": 'no_room_icmp = "prohibited"'}

    def test_the_client_is_told(self):
        """[RFC 6888 REQ-11] [RFC 5508 REQ-8]"""
        self.serve(8000)
        self.assertIsNotNone(self.ask("udp", f"{POD}:8000", f"{LB}:6000"))
        result = self.lb.run(*PYTHON, HOSTS, "ask", "udp", f"{POD}:8000", f"{LB}:6001",
                             check=False)
        self.assertIn("No route to host", result.stdout)  # Linux's word for 3/13
        self.wait_until(lambda: "no room: 1 packets" in self.gateway.process.log(),
                        "the operator is told, too")
        self.assertIsNotNone(self.ask("udp", f"{POD}:8000", f"{LB}:6000"))


class DestinationNat(GatewayCase):
    """Port forwards: with the source kept, replaced by the port's address, or from a pool."""

    settings = {
        "extra": """
[[pool]]
name = "outside"
addresses = ["203.0.113.7"]
ports = "5000-5999"
""",
        "rules": "".join(
            rule(f"{name}-{protocol}", "dnat", in_="lb", protocol=protocol, to=f"{GATEWAY_LB}/32",
                 to_port=port, target=target, source=source)
            for protocol in PROTOCOLS
            for name, port, target, source in (
                ("kept", 9001, f"{POD}:8000", "keep"),
                ("masqueraded", 9002, f"{POD}:8000", "masquerade"),
                ("pooled", 9003, f"{POD}:8000", "pool:outside"))) +
        rule("same-port", "dnat", in_="lb", protocol="tcp", to=f"{GATEWAY_LB}/32",
             to_port="8100-8110", target=POD),
    }

    def test_source_is_kept(self):
        self.serve(8000)
        for protocol in PROTOCOLS:
            with self.subTest(protocol):
                answer = self.ask(protocol, node(9001), f"{LB}:4445")
                self.assertIsNotNone(answer, "no answer")
                self.assertEqual(answer[0], (LB, 4445))
                self.assertEqual(answer[1][1], 8000)

    def test_source_is_masqueraded(self):
        self.serve(8000)
        for protocol in PROTOCOLS:
            with self.subTest(protocol):
                answer = self.ask(protocol, node(9002))
                self.assertIsNotNone(answer, "no answer")
                self.assertEqual(answer[0][0], GATEWAY_POD)

    def test_source_is_from_the_pool(self):
        self.serve(8000)
        for protocol in PROTOCOLS:
            with self.subTest(protocol):
                answer = self.ask(protocol, node(9003))
                self.assertIsNotNone(answer, "no answer")
                self.assertEqual(answer[0][0], "203.0.113.7")
                self.assertIn(answer[0][1], range(5000, 6000))

    def test_port_stays_when_the_target_names_none(self):
        self.serve(8105)
        answer = self.ask("tcp", node(8105))
        self.assertIsNotNone(answer, "no answer")
        self.assertEqual(answer[1], (POD, 8105))


class Targets(GatewayCase):
    """Several targets: each connection gets one of them at random."""

    pods = [POD, "10.2.0.3", "10.2.0.4"]
    settings = {"rules": rule("spread", "dnat", in_="lb", protocol="tcp", to=f"{GATEWAY_LB}/32",
                              to_port=9001, target=[f"{pod}:8000" for pod in pods],
                              source="masquerade")}

    def test_all_targets_are_used(self):
        for pod in self.pods[1:]:
            self.pod.ip("address", "add", f"{pod}/16", "dev", "pod0")
        self.serve(8000)
        seen = set()
        for _ in range(30):  # one of three is never drawn in one run of 65,000
            answer = self.ask("tcp", node(9001))
            self.assertIsNotNone(answer, "no answer")
            seen.add(answer[1])
        self.assertEqual(seen, {(pod, 8000) for pod in self.pods})
        row, = self.gateway.json("rules")
        self.assertIn(", ".join(f"{pod}:8000" for pod in self.pods), row["action"])


class Order(GatewayCase):
    """First match wins; each rule counts the flows that it decided."""

    settings = {"rules": rule("no-telnet", "drop", in_="lb", protocol="tcp", to_port=8023) +
                rule("first", "forward", in_="lb", protocol="tcp", to_port="8000-8001") +
                rule("shadowed", "masquerade", in_="lb", protocol="tcp", to_port=8001) +
                rule("rest", "masquerade", in_="lb")}

    def test_order_and_hits(self):
        self.serve(8000, 8001, 8002, 8023)
        self.gateway.json("flows", "flush")
        before = self.gateway.rule_hits()
        self.assertEqual(self.ask("tcp", f"{POD}:8000")[0][0], LB)
        self.assertEqual(self.ask("tcp", f"{POD}:8001")[0][0], LB)
        self.assertEqual(self.ask("tcp", f"{POD}:8002")[0][0], GATEWAY_POD)
        self.assertEqual(self.ask("udp", f"{POD}:8002")[0][0], GATEWAY_POD)
        after = self.gateway.rule_hits()
        hits = {name: after[name] - before[name] for name in after}
        self.assertEqual(hits, {"no-telnet": 0, "first": 2, "shadowed": 0, "rest": 2})

    def test_drop_rule(self):
        self.serve(8023)
        before = self.gateway.rule_hits()["no-telnet"]
        dropped = self.gateway.drops().get("rule", 0)
        self.assertIsNone(self.ask("tcp", f"{POD}:8023"))
        self.assertGreater(self.gateway.rule_hits()["no-telnet"], before)
        self.assertGreater(self.gateway.drops()["rule"], dropped)

    def test_nothing_matches_from_the_other_side(self):
        self.serve(8000, namespace=self.lb)
        self.assertIsNone(self.ask("tcp", f"{LB}:8000", namespace=self.pod))
        self.assertGreater(self.gateway.drops().get("no_rule", 0), 0)


if __name__ == "__main__":
    main()
