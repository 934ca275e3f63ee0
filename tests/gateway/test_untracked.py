#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Forwarding without flows, between real hosts, and beside translation."""

from gateway_case import GatewayCase, main, rule
from lab.process import PYTHON
from lab.topology import GATEWAY_LB, GATEWAY_POD, LB, LB_SOURCES, POD
from test_fragments import XDP

MASQUERADED = LB_SOURCES[0]
TARGET = "10.2.0.3"  # of a service
BOUND = "10.2.0.4"   # to OUTSIDE
OUTSIDE = "203.0.113.9"


# A TCP server: takes all that comes, and answers with as much, or with how much it was.
SERVER = """
import socket, sys
listener = socket.create_server(("", 8001))
print("ready", flush=True)
connection, _ = listener.accept()
count = 0
while data := connection.recv(65536):
    count += len(data)
connection.sendall(b"y" * count if sys.argv[1] == "mirror" else str(count).encode())
"""
CLIENT = """
import socket, sys
connection = socket.create_connection((sys.argv[1], 8001), 10)
connection.sendall(b"x" * 2000000)
connection.shutdown(1)
answer = b""
while data := connection.recv(65536):
    answer += data
print(len(answer) if sys.argv[2] == "mirror" else answer.decode())
"""
BOTH_WAYS = (rule("there", "forward", in_="lb", to="10.2.0.0/16", track=False) +
             rule("back", "forward", in_="pod", to="10.1.0.0/16", track=False))


class UntrackedCase(GatewayCase):
    """The common part of both classes."""

    def transfer(self, server, address, client, answer):
        """Returns how many bytes of 2 M arrived: there and back for "mirror", there for "count"."""
        process = server.start(*PYTHON, "-c", SERVER, answer, name=f"server-{address}")
        process.wait_ready(lambda: "ready" in process.log())
        return int(client.run(*PYTHON, "-c", CLIENT, address, answer).stdout)


class Untracked(UntrackedCase):
    """Everything between the two subnets is untracked, in both directions, unless it is translated.

    Rules that would forward answers of translated connections as they are must not get them."""

    settings = {
        "rules":
            rule("inside", "masquerade", in_="lb", from_=f"{MASQUERADED}/32") + BOTH_WAYS +
            rule("service", "dnat", in_="lb", protocol="tcp", to=f"{GATEWAY_LB}/32", to_port=9001,
                 target=f"{TARGET}:8000") +
            rule("bound", "static", protocol="tcp", inside=f"{BOUND}:8000",
                 outside=f"{OUTSIDE}:80"),
    }

    def setUp(self):
        super().setUp()
        for address in (TARGET, BOUND):
            self.pod.ip("address", "add", f"{address}/16", "dev", "pod0")

    def untracked(self):
        return sum(row["datapath"]["untracked"] for row in self.gateway.json("stats"))

    def test_tcp_both_ways(self):
        """A transfer in each direction, opened from each side."""
        for server, address, client in ((self.pod, POD, self.lb), (self.lb, LB, self.pod)):
            with self.subTest(address):
                self.assertEqual(self.transfer(server, address, client, "mirror"), 2000000)
        self.assertEqual(self.gateway.flow_count(), 0)

    def test_ping_and_what_is_counted(self):
        self.assert_pings(POD, "-i", "0.01", count=20)
        self.assert_pings(LB, "-i", "0.01", count=20, namespace=self.pod)
        self.assertEqual(self.gateway.flow_count(), 0)
        hits = self.gateway.rule_hits()
        self.assertEqual((hits["there"], hits["back"]), (40, 40), "packets, not flows")
        self.assertEqual(self.untracked(), 80)
        self.assertIn("forward untracked", self.gateway.text("rules"))

    def test_errors_of_the_gateway(self):
        output = self.ping(POD, "-t", 1)
        self.assertIn(f"From {GATEWAY_LB}", output)
        self.assertIn("Time to live exceeded", output)
        self.assertIn("Destination Host Unreachable", self.ping("10.2.0.99", "-W", "8"))

    def test_errors_of_hosts(self):
        """An ICMP error about an untracked packet comes back."""
        script = ("import socket;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);"
                  f"s.settimeout(3);s.connect(('{POD}',9));s.send(b'x');s.recv(10)")
        result = self.lb.run(*PYTHON, "-c", script, check=False)
        self.assertIn("ConnectionRefusedError", result.stderr)
        self.assertEqual(self.gateway.flow_count(), 0)

    def test_translation_beside_it(self):
        self.serve(8000)
        for protocol in ("tcp", "udp"):
            with self.subTest(protocol):
                answer = self.ask(protocol, f"{POD}:8000", f"{LB}:4444")
                self.assertIsNotNone(answer, "no answer")
                self.assertEqual(answer[0], (LB, 4444))
        self.assertEqual(self.gateway.flow_count(), 0)
        for name, destination, source, seen in (
                ("masqueraded", f"{POD}:8000", f"{MASQUERADED}:4445", (GATEWAY_POD, POD)),
                ("service", f"{GATEWAY_LB}:9001", f"{LB}:4446", (LB, TARGET)),
                ("bound", f"{OUTSIDE}:80", f"{LB}:4447", (LB, BOUND))):
            with self.subTest(name):
                answer = self.ask("tcp", destination, source)
                self.assertIsNotNone(answer, "no answer")
                self.assertEqual((answer[0][0], answer[1][0]), seen)
        self.assertEqual(self.gateway.flow_count(), 3)


class SmallerMtu(UntrackedCase):
    """The pod's link takes 1,400 bytes. Over AF_XDP, which hands over fragments as they come."""

    settings = {**XDP, "pod_mtu": 1400, "rules": BOTH_WAYS}

    def test_tcp_finds_the_mtu(self):
        """The client is told about its packets as it sent them."""
        self.assertEqual(self.transfer(self.pod, POD, self.lb, "count"), 2000000)
        self.assertGreater(self.gateway.drops().get("too_big", 0), 0)
        self.assertEqual(self.gateway.flow_count(), 0)

    def test_fragments(self):
        """Put together, forwarded as one, and cut again."""
        self.pod.ip("link", "set", "pod0", "mtu", 1400)
        self.assert_pings(POD, "-s", 4000, "-M", "dont", count=3)
        self.assertEqual(self.gateway.flow_count(), 0)
        self.assertEqual(self.gateway.rule_hits()["there"], 3)


if __name__ == "__main__":
    main()
