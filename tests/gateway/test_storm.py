#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The load balancer's storm: every connection arrives exactly once."""

from gateway_case import GatewayCase, build, main
from lab.noclash import RESOLVER_RULES, STORM_RULES
from lab.storm import Receiver, run_storm
from lab.topology import BACKENDS, LB_SOURCES, POD


class Instrument(GatewayCase):
    """The instrument sees a loss and a duplicate when there is one. No gateway in between."""

    starts_gateway = False

    def setUp(self):
        super().setUp()
        self.lab.link((self.lb, "direct0"), (self.pod, "direct1"))
        self.lb.ip("address", "add", "10.9.0.1/24", "dev", "direct0")
        self.pod.ip("address", "add", "10.9.0.2/24", "dev", "direct1")

    def send(self, connections):
        self.lb.run(build().storm, "send", "--interface", "direct0", "--destination",
                    "10.9.0.2:80", "--source-base", LB_SOURCES[0], "--connections", connections)

    def receive(self, expected):
        return Receiver(build().storm, self.pod, interface="direct1", expected=expected)

    def test_all_is_well(self):
        receiver = self.receive(500)
        self.send(500)
        seen = receiver.finish()
        self.assertEqual((seen["delivered"], seen["lost"], seen["duplicated"]), (500, 0, 0))
        self.assertEqual((seen["tuple_collisions"], seen["bad_checksums"]), (0, 0))

    def test_it_sees_a_loss(self):
        receiver = self.receive(502)
        self.send(500)
        seen = receiver.finish()
        self.assertEqual((seen["delivered"], seen["lost"], seen["duplicated"]), (500, 2, 0))

    def test_it_sees_duplicates(self):
        receiver = self.receive(500)
        self.send(500)
        self.send(20)
        seen = receiver.finish()
        self.assertEqual((seen["delivered"], seen["lost"], seen["duplicated"]), (480, 0, 20))

    def test_it_sees_two_connections_with_one_tuple(self):
        receiver = self.receive(500)
        # Another id with the same tuple: two senders whose ids differ, their tuples do not.
        for sources in (2, 4):
            self.lb.run(build().storm, "send", "--interface", "direct0", "--destination",
                        "10.9.0.2:80", "--source-base", LB_SOURCES[0], "--sources", sources,
                        "--connections", 8)
        self.assertGreater(receiver.finish()["tuple_collisions"], 0)


class Storm(GatewayCase):
    """Two workers, two CPUs, the same source ports in step from 16 addresses."""

    settings = {"workers": 2}

    def assert_all_arrive(self, connections, **options):
        result = run_storm(build().storm, self.topology, self.gateway, connections=connections,
                           **options)
        self.assertEqual((result.sent, result.delivered, result.lost, result.duplicated),
                         (connections, connections, 0, 0), self.gateway.drops())
        self.assertEqual((result.tuple_collisions, result.bad_checksums), (0, 0))
        self.assertEqual(result.insert_failed, 0)

    def test_in_step(self):
        """[field a]"""
        self.assert_all_arrive(40000)

    def test_free_running(self):
        self.assert_all_arrive(20000, free_running=True)

    def test_one_after_the_other(self):
        self.assert_all_arrive(5000, burst=1)

    def test_nearly_every_port_in_use(self):
        """[RFC 4787 REQ-11] [RFC 6888 REQ-13]"""
        self.assert_all_arrive(64000)
        self.assertGreaterEqual(self.gateway.flow_count(), 64000)
        self.assertEqual(self.gateway.counters()["insert_failed"], 0)

    def test_the_pod_is_the_only_destination(self):
        self.assert_all_arrive(2000)
        rows = self.gateway.json("flows", "list", "--protocol", "tcp")
        self.assertEqual({row["reply"]["source"] for row in rows}, {POD})
        ports = [row["reply"]["destination_port"] for row in rows]
        self.assertEqual(len(ports), len(set(ports)))


class OneWorker(Storm):
    """The same with a single worker."""

    settings = {"workers": 1}


class UdpStorm(GatewayCase):
    """The same with datagrams."""

    settings = {"workers": 2, "rules": STORM_RULES}

    def test_in_step(self):
        result = run_storm(build().storm, self.topology, self.gateway, protocol="udp")
        self.assertTrue(result.all_delivered_once, f"{result}, drops {self.gateway.drops()}")


class Resolver(GatewayCase):
    """Two queries leave one socket at the same instant: both arrive, at one backend."""

    settings = {"workers": 2, "rules": RESOLVER_RULES}

    def assert_pairs_stay_together(self, pairs, **options):
        self.topology.add_backends()
        result = run_storm(build().storm, self.topology, self.gateway, protocol="udp", pairs=True,
                           connections=2 * pairs, **options)
        self.assertTrue(result.all_delivered_once, f"{result}, drops {self.gateway.drops()}")
        self.assertEqual(result.split_pairs, 0)
        rows = self.gateway.json("flows", "list", "--protocol", "udp")
        self.assertEqual(len(rows), pairs)
        backends = [row["reply"]["source"] for row in rows]
        for backend in BACKENDS:
            self.assertGreater(backends.count(backend), pairs / len(BACKENDS) / 2)

    def test_pairs_in_step(self):
        self.assert_pairs_stay_together(20000)

    def test_pairs_free_running(self):
        self.assert_pairs_stay_together(10000, free_running=True)


if __name__ == "__main__":
    main()
