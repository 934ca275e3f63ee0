#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The load balancer's storm onto services: every connection arrives exactly once."""

from gateway_case import build, main
from lab.storm import run_storm
from lab.topology import GATEWAY_LB, NODE_PORT, POD_PORT
from service_case import BACKENDS, ServiceCase, at, service


class Storms(ServiceCase):
    """Two workers, the source translated."""

    timeout_s = 120
    translates = True
    services = tuple(service(f"{protocol}-storm", protocol=protocol, address=GATEWAY_LB,
                             ports=NODE_PORT, source="masquerade",
                             backends=[at(backend, POD_PORT) for backend in BACKENDS])
                     for protocol in ("tcp", "udp"))

    def test_each_arrives_once(self):
        """[field a]"""
        for protocol in ("tcp", "udp"):
            with self.subTest(protocol):
                result = run_storm(build().storm, self.topology, self.gateway, protocol=protocol,
                                   connections=20000)
                self.assertTrue(result.all_delivered_once, f"{result}, {self.gateway.drops()}")
                self.assertEqual(result.changed_sources, result.sent * self.translates)
                openings = [row["openings"]
                            for row in self.backend_rows(f"{protocol}-storm").values()]
                self.assertEqual(sum(openings), result.sent)
                self.assertGreater(min(openings), result.sent / 3 / 2)


class StormsOfKeptSources(Storms):
    """Without source NAT: each backend sees its client's address and port."""

    translates = False
    services = tuple({**keys, "source": "keep"} for keys in Storms.services)


if __name__ == "__main__":
    main()
