#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Connections that the gateway ends, and tells both ends of: `noclashctl flows flush --reset`."""

import json
import os
import time

from gateway_case import GatewayCase, main, node, rule
from lab.noclash import DEFAULT_RULES
from lab.process import PATIENCE, PYTHON
from lab.topology import NODE_PORT, POD, POD_PORT
from raw_host import ACK, RST, SYN, RawCase

TCP_ENDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tcp_ends.py")
RESET, BROKEN = "ECONNRESET", "EPIPE"  # the second is what Linux says who has got a FIN


class RealEnds(GatewayCase):
    """Two Linux hosts. Linux takes a RST only with exactly the number that it expects."""

    settings = {}
    destination = node(NODE_PORT)
    exact_at_once = True  # else an end has to ask first
    timeout_s = 120

    # What the client does, and the server; and how each then has to hear of the end.
    cases = (("idle", "idle", RESET, RESET),
             ("idle", "send", RESET, RESET),
             ("send", "idle", RESET, RESET),
             ("send", "send", RESET, RESET),
             ("finish", "idle", RESET, BROKEN),
             ("idle", "finish", BROKEN, RESET),
             ("finish", "send", RESET, BROKEN))

    def start_ends(self, count, client_does, server_does):
        """Both processes, when all connections are there and in use."""
        server = self.pod.start(*PYTHON, TCP_ENDS, "serve", f"{POD}:{POD_PORT}", count,
                                server_does, name="tcp-server")
        server.wait_ready(lambda: "listens" in server.log())
        client = self.lb.start(*PYTHON, TCP_ENDS, "connect", self.destination, count,
                               client_does, name="tcp-client")
        for end in (client, server):
            end.wait_ready(lambda end=end: "ready" in end.log(), timeout_s=60)
        return client, server

    def flush(self, *options):
        """Returns what was flushed, and when that began."""
        begun = time.monotonic()
        row, = self.gateway.json("flows", "flush", "--reset", *options)
        self.assertEqual(row["untold"], 0)
        return row, begun

    def assert_ended(self, end, begun, count, error, within_s=1):
        """All connections of an end were ended by an error, in time."""
        self.wait_until(lambda: "errors" in end.log(), f"it has heard of the end: {end.log()}; "
                        f"drops: {self.gateway.drops()}", 10)
        heard = json.loads(end.log().splitlines()[-1])
        self.assertEqual(heard["errors"], {error: count})
        self.assertLess(heard["last"] - begun, within_s * PATIENCE)

    def sent(self):
        return sum(worker["datapath"]["flow_resets_sent"] for worker in self.gateway.json("stats"))

    def test_both_ends_hear_of_it(self):
        for client_does, server_does, client_hears, server_hears in self.cases:
            with self.subTest(client=client_does, server=server_does):
                before, ended = self.sent(), self.gateway.drops().get("tcp_ended", 0)
                client, server = self.start_ends(1, client_does, server_does)
                time.sleep(0.3)  # a transfer is in full swing, a FIN acknowledged
                row, begun = self.flush("--protocol", "tcp")
                self.assertEqual((row["flushed"], row["reset"]), (1, 1))
                self.assert_ended(client, begun, 1, client_hears)
                self.assert_ended(server, begun, 1, server_hears)
                if "send" not in (client_does, server_does):
                    self.assertEqual(self.sent() - before, 2, "one to each end")
                    if self.exact_at_once:
                        self.assertEqual(self.gateway.drops().get("tcp_ended", 0), ended)
                self.assertEqual(
                    self.gateway.json("flows", "list", "--protocol", "tcp"), [])


QUIET_AND_BUSY = (("idle", "idle", RESET, RESET), ("send", "send", RESET, RESET))


class Strict(RealEnds):
    cases = QUIET_AND_BUSY
    settings = {"top": 'tcp_window = "strict"'}


class Off(RealEnds):
    """Nobody knows the numbers: each end is asked, and its answer is answered."""

    settings = {"top": 'tcp_window = "off"'}
    exact_at_once = False


class Normalized(RealEnds):
    cases = QUIET_AND_BUSY
    settings = {"top": 'tcp_timestamps = "normalize"'}
    destination = f"{POD}:{POD_PORT}"  # through a rule whose source is translated


class WithoutTimestamps(RealEnds):
    cases = QUIET_AND_BUSY

    def setUp(self):
        super().setUp()
        for host in (self.lb, self.pod):
            host.run("sysctl", "-qw", "net.ipv4.tcp_timestamps=0")


class PickUp(RealEnds):
    """What is still under way to the other end brings no flow to life again."""

    cases = QUIET_AND_BUSY
    settings = {"rules": rule("through", "forward"), "top": "tcp_pickup = true"}
    destination = f"{POD}:{POD_PORT}"


class Thousands(RealEnds):
    """More than a worker's queue takes at once."""

    COUNT = 5000
    test_both_ends_hear_of_it = None

    def test_all_hear_of_it(self):
        client, server = self.start_ends(self.COUNT, "idle", "idle")
        row, begun = self.flush("--protocol", "tcp")
        self.assertEqual((row["flushed"], row["reset"]), (self.COUNT, self.COUNT))
        for end in (client, server):
            self.assert_ended(end, begun, self.COUNT, RESET)
        self.assertEqual(self.sent(), 2 * self.COUNT)
        self.assertEqual(self.gateway.drops(), {})
        self.assertEqual(self.gateway.json("flows", "list", "--protocol", "tcp"), [])


class BackendGone(RealEnds):
    """Nobody is there any more to tell the client."""

    test_both_ends_hear_of_it = None

    def test_its_clients_hear_of_it(self):
        client, _ = self.start_ends(10, "send", "send")
        self.pod.ip("link", "set", "pod0", "down")
        time.sleep(0.3)
        row, begun = self.flush("--address", POD, "--protocol", "tcp")
        self.assertEqual(row["flushed"], 10)
        self.assert_ended(client, begun, 10, RESET)

    def test_without_the_option_nobody_hears_of_it(self):
        client, server = self.start_ends(1, "idle", "idle")
        self.assertEqual(self.gateway.text("flows", "flush", "--protocol", "tcp"),
                         "1 flows removed\n")
        time.sleep(1)
        for end in (client, server):
            self.assertNotIn("errors", end.log())
        self.assertEqual(self.sent(), 0)


VIP = "10.1.0.80"


def service(backend, on_gone="reset"):
    """TOML of a service with one backend."""
    return f"""
[[service]]
name = "web"
address = "{VIP}"
ports = {POD_PORT}
protocol = "tcp"
source = "masquerade"
on_gone = "{on_gone}"
backends = ["{backend}"]
"""


class GoneByReload(RealEnds):
    """A service does not have its backend any more."""

    settings = {"rules": service(f"{POD}:{POD_PORT}")}
    destination = f"{VIP}:{POD_PORT}"
    test_both_ends_hear_of_it = None

    def reload_without_backend(self, **keys):
        self.gateway.change_configuration(rules=service("10.2.0.3:80", **keys))
        begun = time.monotonic()
        return self.gateway.json("reload")[-1]["outcome"]["flows"], begun

    def test_both_ends_are_reset(self):
        ends = self.start_ends(50, "send", "send")
        flows, begun = self.reload_without_backend()
        self.assertEqual(flows["ended"], 50)
        for end in ends:
            self.assert_ended(end, begun, 50, RESET)

    def test_a_service_may_keep_them(self):
        ends = self.start_ends(5, "idle", "idle")
        flows, _ = self.reload_without_backend(on_gone="keep")
        self.assertEqual((flows["ended"], flows["live_on"]), (0, 5))
        time.sleep(1)
        for end in ends:
            self.assertNotIn("errors", end.log())


class Numbers(RawCase):
    """Segment by segment, between hosts without a stack."""

    settings = {"rules": DEFAULT_RULES}

    def setUp(self):
        super().setUp()
        self.here, self.there = (self.INSIDE, 5555), (self.OUTSIDE, 7000)

    def flush(self):
        return self.gateway.text("flows", "flush", "--reset", "--protocol", "tcp")

    def heard(self, host, count):
        """The RSTs that a host got: from, to, flags, numbers."""
        got = []
        for _ in range(count):
            packet = self.arrives(host, 6)
            self.assertIsNotNone(packet, got)
            got.append((*packet.ends, packet.flags, packet.sequence, packet.acknowledgment))
        self.assertIsNone(host.receive(timeout_s=0.3))
        return got

    def test_data_in_flight(self):
        end = self.establish(self.here, self.there)
        for sequence in (2, 102):
            self.crosses(self.outside, self.inside, self.tcp(
                self.there, end, ACK, sequence=sequence, acknowledgment=2, payload=b"x" * 100))
        self.assertEqual(self.flush(), "1 flows removed, 1 of them reset\n")
        self.assertEqual(self.heard(self.inside, 2), [(self.there, self.here, RST, 202, 0),
                                                      (self.there, self.here, RST, 2, 0)])
        self.assertEqual(self.heard(self.outside, 1), [(end, self.there, RST, 2, 0)])
        # The second hundred was lost; and that the server still sends is told to itself.
        self.inside.send(self.tcp(self.here, self.there, ACK, sequence=2, acknowledgment=102))
        self.assertEqual(self.heard(self.inside, 1), [(self.there, self.here, RST, 102, 0)])
        for _ in range(100):
            self.outside.send(self.tcp(self.there, end, ACK, sequence=202, acknowledgment=2,
                                       payload=b"x" * 100))
        self.assertEqual(self.heard(self.outside, 100), [(end, self.there, RST, 2, 0)] * 100)
        self.assertEqual(self.gateway.drops(), {"tcp_ended": 101})
        self.inside.send(self.tcp(self.here, self.there, RST, sequence=2))
        self.assertIsNone(self.inside.receive(timeout_s=0.3), "no RST answers a RST")
        # The next connection of the same two is none of the former one's business.
        self.establish(self.here, self.there)

    def test_a_connection_that_opens(self):
        end = self.crosses(self.inside, self.outside,
                           self.tcp(self.here, self.there, SYN, sequence=77)).ends[0]
        self.flush()
        got, = self.heard(self.inside, 1)
        self.assertEqual((got[:3], got[4]), ((self.there, self.here, RST | ACK), 78))
        self.assertEqual(self.heard(self.outside, 1), [(end, self.there, RST, 78, 0)])

    def test_what_has_nobody_to_be_told(self):
        end = self.establish(self.here, self.there)
        self.crosses(self.outside, self.inside, self.tcp(self.there, end, RST, sequence=2))
        self.crosses(self.inside, self.outside, self.udp(self.here, self.there))
        row, = self.gateway.json("flows", "flush", "--reset")
        self.assertEqual((row["reset"], row["untold"]), (0, 0))
        self.assertGreaterEqual(row["flushed"], 2)
        for host in (self.inside, self.outside):
            self.assertIsNone(host.receive(timeout_s=0.3))


if __name__ == "__main__":
    main()
