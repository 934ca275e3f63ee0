#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""5,000 Services with 50 endpoints each: how long a full comparison takes, and that one endpoint
costs one change.

    NOCLASH_SERVICES=500 tests/kubernetes/test_scale.py   fewer of them
"""

import os
import re
import time

from controller_case import (SERVICES, SLICES, ControllerCase, endpoint, part, remove_backend,
                             service, set_backend, unittest)

MANY = int(os.environ.get("NOCLASH_SERVICES", "5000"))
ENDPOINTS = 50
CHANGES = 20  # of one endpoint each


def backend(number, place):
    return f"10.{number >> 8}.{number & 255}.{place}"


def slice_of(number, places):
    return part(f"s{number}-1", [endpoint(backend(number, place)) for place in places],
                of=f"s{number}")


class Many(ControllerCase):
    """A large cluster."""

    addresses = '["100.64.0.0/16", "192.0.2.31"]'

    def setUp(self):
        super().setUp()
        for number in range(MANY):
            self.api.put(SERVICES, service(f"s{number}"))
            self.api.put(SLICES, slice_of(number, range(ENDPOINTS)))

    def compared(self):
        """The controller's own figure, in ms."""
        return re.findall(r"took (\d+) ms", self.controller.log())[-1]

    def test_full_comparison_and_increments(self):
        begun = time.monotonic()
        self.begin()
        self.wait(lambda: len(self.gateway.services) == MANY + 1, "all services are there")
        first_s = time.monotonic() - begun
        self.wait(lambda: len(self.api.patches) == MANY, "all addresses are in statuses")
        self.settle()
        self.assertEqual(sum(len(row["backends"]) for row in self.gateway.services.values()),
                         MANY * ENDPOINTS + 1)
        self.assertLessEqual(self.gateway.longest_request, 65536)
        self.sent()

        waited_ms = []
        for number in range(0, MANY, MANY // CHANGES):
            begun = time.monotonic()
            self.api.put(SLICES, slice_of(number, range(1, ENDPOINTS + 1)))
            name = f"k8s.default_s{number}_80"
            self.wait(lambda: f"{backend(number, 0)}:8080" not in self.gateway.backends(name),
                      "the endpoint is gone")
            waited_ms.append(1000 * (time.monotonic() - begun))
            self.assertEqual(self.sent(), [
                set_backend(name, f"{backend(number, ENDPOINTS)}:8080"),
                remove_backend(name, f"{backend(number, 0)}:8080")])

        self.api.patches.clear()
        self.controller.stop()
        begun = time.monotonic()
        self.start()
        again_s = time.monotonic() - begun
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.api.patches, [])
        print(f"\n{MANY} Services of {ENDPOINTS} endpoints: a first start sends all in "
              f"{first_s:.1f} s; a restart finds no difference in {again_s:.1f} s, of which the "
              f"full comparison takes {self.compared()} ms; an endpoint's change is at the gateway "
              f"in {min(waited_ms):.0f} to {max(waited_ms):.0f} ms")


if __name__ == "__main__":
    unittest.main()
