#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The load balancer's storm while the configuration changes all the time: nothing is lost, and
downloads and iperf3 go on."""

import os
import random
import threading

from gateway_case import GatewayCase, build, main, rule
from lab.noclash import DEFAULT_RULES
from lab.storm import run_storm
from lab.topology import GATEWAY_LB
from successive import downloads, measurements

# So many reloads in each test, of so many rules. NOCLASH_RELOADS=1000 is a soak; another one,
# NOCLASH_RELOADS=20 NOCLASH_RULES=10000.
RELOADS = int(os.environ.get("NOCLASH_RELOADS", "60"))
RULES = int(os.environ.get("NOCLASH_RULES", "300"))
SIZES = (10 if RULES <= 300 else RULES - 100, RULES)


def filler(count):
    """Rules that match nothing of the storm, in front of those that do."""
    return "".join(rule(f"filler-{number}", "dnat", in_="lb", protocol="tcp",
                        to=f"{GATEWAY_LB}/32", to_port=2000 + number, target="10.2.0.2:80",
                        source="masquerade") for number in range(count))


class Reloads(threading.Thread):
    """Reloads as fast as the gateway lets us, with 10 to 300 rules each time."""

    def __init__(self, gateway, count, sizes):
        super().__init__()
        self._gateway, self._count, self._sizes = gateway, count, sizes
        self._random = random.Random(count)
        self._stopped = threading.Event()
        self.applied = 0
        self.error = None

    def run(self):
        try:
            while self.applied < self._count and not self._stopped.is_set():
                rules = filler(self._random.randint(*self._sizes)) + DEFAULT_RULES
                self._gateway.change_configuration(rules=rules)
                outcome = self._gateway.json("reload")[-1]["outcome"]
                if outcome["needs_restart"]:
                    raise AssertionError(f"needs a restart: {outcome}")
                self.applied += 1
        except Exception as error:  # pylint: disable=broad-except  # told by the test's own thread
            self.error = error

    def stop(self):
        self._stopped.set()
        self.join()


class ReloadStorm(GatewayCase):
    """Two workers, and flows that race for tuples while the rules around them change."""

    settings = {"workers": 2}

    def storm(self, connections, reloads, **options):
        """One storm beside reloads."""
        result = run_storm(build().storm, self.topology, self.gateway, connections=connections,
                           **options)
        self.assertIsNone(reloads.error, reloads.error)
        self.assertEqual((result.sent, result.delivered, result.lost, result.duplicated),
                         (connections, connections, 0, 0), self.gateway.drops())
        self.assertEqual((result.tuple_collisions, result.bad_checksums), (0, 0))

    def test_nothing_is_lost_or_delivered_twice(self):
        transfers = [downloads(self), measurements(self)]
        reloads = Reloads(self.gateway, RELOADS, SIZES)
        reloads.start()
        try:
            storms = 0
            while reloads.is_alive() or storms == 0:
                self.storm(10000, reloads)
                # Room for the next, whose sources are the same.
                self.gateway.json("flows", "flush", "--source", "10.1.1.0/24")
                storms += 1
                for transfer in transfers:
                    transfer.keep_up()
            for transfer in transfers:
                transfer.finish()
        finally:
            reloads.stop()
        self.assertIsNone(reloads.error, reloads.error)
        self.assertEqual(reloads.applied, RELOADS)
        self.assertGreater(self.gateway.json("reload")[-1]["outcome"]["generation"], RELOADS / 2)

    def test_memory_does_not_grow(self):
        """Old policies are freed: the last hundred reloads take no more memory than the first."""
        def rounds(count):
            reloads = Reloads(self.gateway, count, (200, 300))
            reloads.run()
            self.assertIsNone(reloads.error, reloads.error)
            return resident_kib(self.gateway.process.pid)

        rounds(20)
        before = rounds(20)
        after = rounds(RELOADS)
        self.assertLess(after - before, 8192, f"KiB resident: {before}, then {after}")


def resident_kib(pid):
    """VmRSS of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as handle:
        return next(int(line.split()[1]) for line in handle if line.startswith("VmRSS"))


if __name__ == "__main__":
    main()
