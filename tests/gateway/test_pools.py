#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which address and which port of a pool the flows of a host get, with real stacks on both sides."""

from gateway_case import GatewayCase, main, rule
from lab.topology import LB_SOURCES, POD

ADDRESSES = ["203.0.113.7", "203.0.113.10", "203.0.113.11", "198.51.100.3"]
PROTOCOLS = ("tcp", "udp")


def pool(**keys):
    """TOML of a pool of two ranges and a single address."""
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return f"""
[[pool]]
name = "outside"
addresses = ["203.0.113.7", "203.0.113.10-203.0.113.11", "198.51.100.3/32"]
{lines}"""


class PoolCase(GatewayCase):
    """Everything from the load balancer's side leaves through the pool."""

    timeout_s = 240  # each question is a process of its own
    OUTBOUND = rule("outbound", "snat", in_="lb", pool="outside")

    def seen(self, protocol, source, port=8000):
        """The address and port that the server saw."""
        answer = self.ask(protocol, f"{POD}:{port}", source)
        self.assertIsNotNone(answer, f"no answer to {protocol} from {source}; "
                                     f"drops: {self.gateway.drops()}")
        return answer[0]


class Paired(PoolCase):
    """As a pool is when nobody says anything."""

    settings = {"extra": pool(ports='"5000-5007"'), "rules": PoolCase.OUTBOUND}

    def test_a_host_keeps_its_address(self):
        """[RFC 4787 REQ-2] [RFC 6888 REQ-2]: whatever the protocol, port and destination."""
        self.serve(8000, 8001)
        address_of = {}
        for source in LB_SOURCES[:12]:
            seen = {self.seen(protocol, source, port)[0]
                    for protocol in PROTOCOLS for port in (8000, 8001)}
            self.assertEqual(len(seen), 1, f"{source} left with {seen}")
            address_of[source], = seen
        self.assertLessEqual(set(address_of.values()), set(ADDRESSES))
        # All twelve hosts with one address: once in 4^11 runs.
        self.assertGreater(len(set(address_of.values())), 1, address_of)

    def test_a_host_whose_address_is_used_up_is_refused(self):
        """[RFC 4787 REQ-2] [RFC 6888 REQ-13]: it gets each port of its address, none of others."""
        self.serve(8000)
        host = LB_SOURCES[0]
        ends = [self.seen("udp", f"{host}:{7000 + number}") for number in range(8)]
        self.assertEqual(sorted(port for _, port in ends), list(range(5000, 5008)))
        self.assertEqual(len({address for address, _ in ends}), 1)
        self.assertIsNone(self.ask("udp", f"{POD}:8000", f"{host}:7008"))
        self.assertGreaterEqual(self.gateway.drops().get("exhausted", 0), 1)
        # The host's flows go on.
        self.assertEqual(self.seen("udp", f"{host}:7003"), ends[3])


class Arbitrary(PoolCase):
    """One host may use all addresses."""

    settings = {"extra": pool(ports='"5000-5007"', pooling='"arbitrary"'),
                "rules": PoolCase.OUTBOUND}

    def test_a_host_gets_every_port_of_every_address(self):
        """[RFC 6888 REQ-13]"""
        self.serve(8000)
        ends = {self.seen("udp", f"{LB_SOURCES[0]}:{7000 + number}") for number in range(32)}
        self.assertEqual(ends, {(address, port) for address in ADDRESSES
                                for port in range(5000, 5008)})
        self.assertIsNone(self.ask("udp", f"{POD}:8000", f"{LB_SOURCES[0]}:7032"))


class Ports(PoolCase):
    """Ports that take after the client's own."""

    settings = {
        "extra": pool(port_preservation="true", port_parity="true"),
        "rules": rule("odd-or-even", "masquerade", in_="lb", to_port=8001, port_parity=True) +
        PoolCase.OUTBOUND}

    def test_port_is_preserved(self):
        self.serve(8000)
        for protocol in PROTOCOLS:
            self.assertEqual(self.seen(protocol, f"{LB_SOURCES[0]}:6001")[1], 6001)
        self.assertNotEqual(self.seen("udp", f"{LB_SOURCES[0]}:1023")[1], 1023)  # not of the range

    def test_a_port_that_is_taken_is_replaced(self):
        """[RFC 4787 REQ-4]: by one of its parity."""
        self.serve(8000)
        ends = [self.seen("udp", f"{source}:6001") for source in LB_SOURCES]
        self.assertEqual(len(set(ends)), len(ends))
        # 16 hosts share four addresses: some have to give way.
        self.assertEqual({port % 2 for _, port in ends}, {1})
        self.assertIn(6001, {port for _, port in ends})
        self.assertGreater(len({port for _, port in ends}), 1)

    def test_parity_without_preservation(self):
        """[RFC 4787 REQ-4]"""
        self.serve(8001)
        for number in range(12):
            port = self.seen("udp", f"{LB_SOURCES[0]}:{6000 + number}", 8001)[1]
            self.assertEqual(port % 2, number % 2)


class Classes(PoolCase):
    """A range that holds privileged ports and ordinary ones."""

    settings = {
        "extra": '[[pool]]\nname = "outside"\naddresses = "203.0.113.9"\nports = "1016-1031"\n',
        "rules": rule("all-ports", "masquerade", in_="lb", to_port=8001, ports="1-65535") +
                 PoolCase.OUTBOUND}

    def test_privileged_stay_privileged_and_ordinary_ones_ordinary(self):
        """[RFC 4787 REQ-3 a]: NFS and rsh servers refuse clients with ordinary ports."""
        self.serve(8001)
        for protocol in PROTOCOLS:
            for own in (700, 1023, 1024, 40000):
                port = self.seen(protocol, f"{LB_SOURCES[0]}:{own}", 8001)[1]
                self.assertEqual(port < 1024, own < 1024, f"{own} became {port}")

    def test_each_class_is_used_to_its_last_port(self):
        """[RFC 4787 REQ-3 a] [RFC 6888 REQ-13]"""
        self.serve(8000)
        for first, ports in ((700, range(1016, 1024)), (7000, range(1024, 1032))):
            seen = [self.seen("udp", f"{LB_SOURCES[0]}:{first + number}")[1]
                    for number in range(8)]
            self.assertEqual(sorted(seen), list(ports))
            self.assertIsNone(self.ask("udp", f"{POD}:8000", f"{LB_SOURCES[0]}:{first + 8}"))


if __name__ == "__main__":
    main()
