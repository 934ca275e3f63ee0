#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Segments of TCP connections that the gateway does not know, as after its restart."""

from gateway_case import GatewayCase, main, rule
from lab.process import PYTHON
from lab.topology import GATEWAY_LB, GATEWAY_POD, POD
from raw_host import ACK, FIN, RST, SYN, RawCase

import packets

RULES = rule("transit", "forward", to="10.2.9.0/24") + \
    rule("service", "dnat", in_="pod", protocol="tcp", to=f"{GATEWAY_POD}/32", to_port=80,
         target="10.1.0.2:80") + \
    rule("outbound", "masquerade", in_="lb")
RESET = 'tcp_unknown = "reset"'

HOLDS = f"""
import socket
server = socket.create_server(("{POD}", 8000))
print("ready", flush=True)
held = [server.accept() for _ in range(9)]
"""
# Writes when a file appears, tells what it hears of it, and writes again.
WRITES = f"""
import pathlib, socket, sys, time
client = socket.create_connection(("{POD}", 8000))
client.settimeout(3)
print("connected", flush=True)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.05)
client.send(b"still there?")
try:
    print("heard", client.recv(1), flush=True)
except ConnectionResetError:
    print("reset", flush=True)
except TimeoutError:
    print("silence", flush=True)
try:
    client.send(b"and now?")
    print("written", flush=True)
except OSError as error:
    print("failed", type(error).__name__, flush=True)
"""


class Restart(GatewayCase):
    """Real hosts, whose connection is in use while the gateway is restarted."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb"), "top": RESET}
    hears = "reset"

    def test_the_client_hears_of_it(self):
        server = self.pod.start(*PYTHON, "-c", HOLDS, name="holds")
        server.wait_ready(lambda: "ready" in server.log())
        path = self.lab.path("restarted")
        client = self.lb.start(*PYTHON, "-c", WRITES, path, name="writes")
        client.wait_ready(lambda: "connected" in client.log())
        self.gateway.kill()
        self.gateway.launch(self.topology.gateway)
        self.topology.wait_for_gateway()
        with open(path, "w", encoding="ascii"):
            pass
        self.wait_until(lambda: client.log().count("\n") >= 3, "the client has said it all", 30)
        self.assertIn(self.hears, client.log())
        self.assertEqual("failed" in client.log(), self.hears == "reset", client.log())
        self.assertGreater(self.gateway.drops()["tcp_not_syn"], 0)


class RestartInSilence(Restart):
    """The default."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb")}
    hears = "silence"


class Unknown(RawCase):
    """Answers to unknown segments."""

    settings = {"rules": RULES, "top": RESET}

    def answer_to(self, flags, destination=None, **options):
        here, there = (self.INSIDE, 5555), (destination or self.OUTSIDE, 7000)
        self.inside.send(self.tcp(here, there, flags, **options))
        answer = self.arrives(self.inside, packets.TCP, 5)
        if answer is not None:
            self.assertEqual(answer.ends, (there, here))
        return answer

    def test_the_reset_is_believed(self):
        """The very number that its receiver expects next."""
        for flags in (ACK, ACK | FIN, ACK | SYN):
            for destination in (self.OUTSIDE, "10.2.9.9"):  # translated, and as it is
                answer = self.answer_to(flags, destination, sequence=0xfffffff0,
                                        acknowledgment=0x80000001, payload=b"x" * 32)
                self.assertIsNotNone(answer, self.gateway.drops())
                self.assertEqual((answer.flags, answer.sequence), (RST, 0x80000001))
        self.assertEqual(self.gateway.flow_count(), 0)
        self.assertIsNone(self.outside.receive(timeout_s=0.3))

    def test_what_hears_nothing(self):
        """[RFC 5382 REQ-4]: whoever sends to our addresses from outside; and no RST answers one."""
        there = (self.OUTSIDE, 7000)
        for flags in (ACK, ACK | FIN, ACK | SYN, RST, RST | ACK):
            for own in ((GATEWAY_POD, 40000), (GATEWAY_POD, 80), (GATEWAY_LB, 40000)):
                self.outside.send(self.tcp(there, own, flags))
            self.outside.send(self.tcp(there, (self.INSIDE, 5555), flags))
        for flags in (RST, RST | ACK):
            self.inside.send(self.tcp((self.INSIDE, 5555), there, flags))
        self.wait_until(lambda: self.gateway.drops().get("tcp_not_syn", 0) >= 22,
                        f"all are counted: {self.gateway.drops()}")
        self.assertIsNone(self.outside.receive(timeout_s=0.5))
        self.assertIsNone(self.inside.receive(timeout_s=0.3))

    def test_resets_are_limited(self):
        """As ICMP errors are: 20 at once to one host, and 20 a second."""
        for port in range(200):
            self.inside.send(self.tcp((self.INSIDE, 1000 + port), (self.OUTSIDE, 7000), ACK))
        self.wait_until(lambda: self.gateway.drops().get("tcp_not_syn", 0) >= 200, "all came")
        stats = [worker["datapath"] for worker in self.gateway.json("stats")]
        sent = sum(worker["tcp_resets_sent"] for worker in stats)
        self.assertEqual(sent + sum(worker["tcp_resets_suppressed"] for worker in stats), 200)
        self.assertGreaterEqual(sent, 20)
        self.assertLess(sent, 150)


if __name__ == "__main__":
    main()
