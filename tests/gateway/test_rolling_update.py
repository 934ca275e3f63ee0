#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A service's backends, nginx each, are replaced one after the other under load: no request fails,
and no download is cut. `tools/bench services` does more of it, and beside the kernel."""

import os

from gateway_case import main
from lab.balancers import NoclashBalancer
from lab.rolling_update import BACKENDS, DRAINED, STOPPED, Plan, roll
from service_case import ServiceCase, at, service

# So often is every backend replaced; NOCLASH_ROUNDS=5 is a soak.
ROUNDS = int(os.environ.get("NOCLASH_ROUNDS", "2"))


class RollingUpdate(ServiceCase):
    """As an operator does it: `noclashctl service drain`, `nginx -s quit`, a new nginx, `undrain`."""

    timeout_s = 60 + 60 * ROUNDS
    services = (service(backends=[at(backend) for backend in BACKENDS]),)

    def roll(self, rounds, manner):
        return roll(self.topology, NoclashBalancer(self.gateway), Plan(rounds, 10 * rounds),
                    manner)

    def test_nobody_notices(self):
        outcome = self.roll(ROUNDS, DRAINED)
        self.assertEqual(outcome.replaced, ROUNDS * len(BACKENDS))
        self.assertEqual((outcome.failures, outcome.cut),
                         (dict.fromkeys(("connect", "read", "write", "timeout", "status"), 0), []),
                         f"{outcome}, {self.gateway.drops()}")
        self.assertGreater(outcome.requests, 100)
        self.assertGreater(outcome.downloaded_bytes, 0)
        self.assertEqual(self.service_row()["condition"], "ok")
        openings = [row["openings"] for row in self.backend_rows().values()]
        self.assertGreater(min(openings), 5, "each is in use")
        self.assertGreaterEqual(sum(openings), outcome.downloads + outcome.reconnects)

    def test_without_draining_somebody_notices(self):
        """The test above can fail."""
        outcome = self.roll(1, STOPPED)
        self.assertTrue(outcome.cut, outcome)
        self.assertGreater(outcome.failed + len(outcome.cut), 0)


if __name__ == "__main__":
    main()
