#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon is killed again and again in a storm, and no connection notices more than a pause.

    NOCLASH_KILLS=200   a soak; 20 without it
    NOCLASH_SEED=N      the moments of a run that has printed N
"""

import json
import os
import random
import statistics
import sys
import time

from gateway_case import GatewayCase, build, main
from lab.echo import Echo
from lab.process import LabError
from lab.storm import Receiver
from lab.topology import GATEWAY_LB, GATEWAY_POD, LB_SOURCES, NODE_PORT, POD, POD_PORT
from restart_case import kept
from successive import downloads, measurements

KILLS = int(os.environ.get("NOCLASH_KILLS", "20"))
SEED = int(os.environ.get("NOCLASH_SEED", random.SystemRandom().randrange(1 << 32)))
CONNECTIONS = 50
STORM_CONNECTIONS, STORM_RATE_CPS = 20000, 1000
SYN = f"tcp dport {POD_PORT} tcp flags & (fin | syn | rst | ack) == syn"


def guard(ports):
    """The pod answers no SYN of the storm, and counts those that come from the ends of connections
    that it has."""
    return f"""
    table ip guard {{
        counter taken {{ }}
        set live {{ type inet_service; elements = {{ {", ".join(map(str, ports))} }} }}
        chain incoming {{
            type filter hook prerouting priority raw;
            ip saddr {GATEWAY_POD} tcp sport @live {SYN} counter name taken
            {SYN} drop
        }}
    }}"""


class Storm:
    """Connections to the service that the echoed ones use too, for as long as one wants."""

    def __init__(self, case):
        self._case = case
        self._receiver = self._sender = None
        self.delivered = self.duplicated = self.collisions = self.bad_checksums = 0

    def keep_up(self):
        """Starts one, or the next when one is through. While the gateway is there."""
        if self._sender is not None and self._sender.returncode is None:
            return
        if self._sender is not None:
            self.finish()
            # Room for the next, whose sources are the same.
            self._case.gateway.json("flows", "flush", "--source", "10.1.1.0/24")
        case = self._case
        self._receiver = Receiver(build().storm, case.pod, port=POD_PORT,
                                  expected=STORM_CONNECTIONS)
        self._sender = case.lb.start(
            build().storm, "send", "--interface", "lb0", "--destination",
            f"{GATEWAY_LB}:{NODE_PORT}", "--gateway-mac", case.gateway_mac().hex(":"),
            "--source-base", LB_SOURCES[0], "--sources", len(LB_SOURCES),
            "--connections", STORM_CONNECTIONS, "--rate", STORM_RATE_CPS, name="storm-send")

    def finish(self):
        """Ends it, however far it is, and counts what arrived."""
        self._sender.stop()
        seen = self._receiver.finish()
        self.delivered += seen["delivered"]
        self.duplicated += seen["duplicated"]
        self.collisions += seen["tuple_collisions"]
        self.bad_checksums += seen["bad_checksums"]
        self._sender = None


class RestartStorm(GatewayCase):
    """Two workers."""

    timeout_s = 120 + 8 * KILLS
    settings = {"workers": 2}

    def gateway_settings(self):
        return self.settings | kept(self.lab)

    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.killed_ns = []
        self.echo = Echo(self.lb, self.pod, served=(POD, POD_PORT), count=CONNECTIONS, seed=SEED,
                         asked=[(POD, POD_PORT), (GATEWAY_LB, NODE_PORT)])
        self.addCleanup(self.echo.close)
        self.ports = [line.seen[1] for line in self.echo.lines]
        self.assertEqual({line.seen[0] for line in self.echo.lines}, {GATEWAY_POD})
        self.assertEqual(len(set(self.ports)), CONNECTIONS)
        self.pod.nft(guard(self.ports))

    # The kills.

    def kill(self):
        """Also in the middle of a start, now and then. Returns how often it was killed."""
        self.killed_ns.append(time.monotonic_ns())
        self.gateway.kill()
        kills = 1
        while self.random.random() < 0.25:
            self.gateway.spawn(self.topology.gateway)
            time.sleep(self.random.uniform(0, 0.4))
            self.assertIsNone(self.gateway.process.returncode, self.gateway.process.log_tail())
            self.gateway.kill()
            kills += 1
        self.gateway.launch(self.topology.gateway)
        return kills

    def assert_no_tuple_twice(self):
        """In the table: of both directions of all flows that live."""
        tuples = set()
        rows = self.gateway.json("flows", "list")
        for row in rows:
            for direction in (row["original"], row["reply"]):
                tuple_ = (row["protocol"], *(direction[key] for key in (
                    "source", "source_port", "destination", "destination_port")))
                self.assertNotIn(tuple_, tuples)
                tuples.add(tuple_)
        for port in self.ports:
            self.assertIn(("tcp", POD, POD_PORT, GATEWAY_POD, port), tuples)

    def assert_nothing_is_wrong(self):
        self.assertEqual(self.echo.errors, {})
        listed = json.loads(self.pod.run("nft", "-j", "list", "counter", "ip", "guard",
                                         "taken").stdout)
        taken = next(row["counter"] for row in listed["nftables"] if "counter" in row)
        self.assertEqual(taken["packets"], 0, "new connections came from the ends of others")

    def report(self, kills):
        def line(of, waits):
            waits = [waited for waited in waits if waited is not None]
            return f"    {of}: median {statistics.median(waits):.0f} ms, worst {max(waits):.0f} ms"
        print(f"\n{kills} kills, seed {SEED}; from a kill until", file=sys.stderr)
        print(line("the first echoed byte", map(self.echo.first_waited_ms, self.killed_ns)),
              line("the first echoed datagram", map(self.echo.probe.waited_ms, self.killed_ns)),
              line("an echoed byte of one connection", (
                  line.waited_ms(killed_ns) for line in self.echo.lines
                  for killed_ns in self.killed_ns)), sep="\n", file=sys.stderr)

    def test_all_connections_survive(self):
        print(f"\nNOCLASH_SEED={SEED}", file=sys.stderr)
        storm = Storm(self)
        transfers = [downloads(self), measurements(self)]
        kills = 0
        while kills < KILLS:
            for traffic in (storm, *transfers):
                traffic.keep_up()
            time.sleep(self.random.uniform(0, 1))
            kills += self.kill()
            self.assertRegex(self.gateway.process.log(), r"adopted \d+ flows of edge1\b")
            try:
                self.echo.wait_for_echoes(self.killed_ns[-1], 1)
            except LabError as error:
                self.fail(f"{error}; drops: {self.gateway.drops()}")
            self.assert_no_tuple_twice()
            self.assert_nothing_is_wrong()
        self.echo.wait_for_echoes(self.killed_ns[-1], CONNECTIONS)
        storm.finish()
        for transfer in transfers:
            transfer.finish()
        self.echo.finish()
        self.assert_nothing_is_wrong()
        self.assertEqual((storm.duplicated, storm.collisions, storm.bad_checksums), (0, 0, 0))
        self.assertGreater(storm.delivered, 0)
        self.report(kills)


if __name__ == "__main__":
    main()
