#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The live half's list when a machine does not allow it or something breaks. Sends nothing."""

import io
import re
import unittest
from unittest import mock

from races import SENT

from lab import racelab_live
from lab.console import Console
from lab.process import LabError, NotAvailable
from lab.racelab_live import gateways, run_live, scenarios
from lab.racelab_results import DNS, SERVICE, SERVICE_PAIRS
from lab.storm import Result


class Listed(unittest.TestCase):
    """Every contestant of every scenario, whatever happens."""

    def setUp(self):
        self.said = io.StringIO()
        self.expected = sum(len(gateways(scenario, None)) for scenario in scenarios(True))
        for name in ("Lab", "Topology", "clean_up_after_the_dead", "require_privilege"):
            self.replace(name)
        self.replace("gateways", side_effect=self.broken_gateways)
        self.have_cpus({0, 1})
        self.start = mock.Mock()
        self.storm = self.replace("run_storm", side_effect=self.result)

    def replace(self, name, **behaviour):
        patch = mock.patch.object(racelab_live, name, **behaviour)
        self.addCleanup(patch.stop)
        return patch.start()

    def have_cpus(self, cpus):
        patch = mock.patch("os.sched_getaffinity", return_value=cpus)
        self.addCleanup(patch.stop)
        patch.start()

    def broken_gateways(self, scenario, build):
        found = gateways(scenario, build)
        for gateway in found:
            gateway.start = self.start
            if gateway.name == "noclash":
                gateway.control_socket = "control.sock"
        return found

    @staticmethod
    def result(_storm, _topology, contestant, *, connections, **_options):
        return Result(contestant.name, connections, connections, 0, 0, 0, 1.0, 0, 0)

    def outcomes(self):
        found = run_live(mock.Mock(), True, Console(self.said))
        self.assertEqual(len(found), self.expected)
        return found

    def test_all_ran(self):
        found = self.outcomes()
        self.assertTrue(all(outcome.ran and outcome.sent in (SENT, 64500) for outcome in found))
        self.assertTrue(all(outcome.configuration for outcome in found))

    def test_pairs_are_sent_to_the_resolver_only(self):
        self.outcomes()
        for call in self.storm.call_args_list:
            self.assertEqual(call.kwargs["pairs"], re.search(
                r"dport 53|to_port = 53|ports = \[53\]", call.args[2].configuration) is not None)

    def test_no_privilege(self):
        self.replace("require_privilege", side_effect=NotAvailable("needs root"))
        self.assertEqual({outcome.not_run for outcome in self.outcomes()}, {"needs root"})
        self.assertIn("needs root", self.said.getvalue())
        self.storm.assert_not_called()

    def test_one_cpu(self):
        self.have_cpus({0})
        self.assertIn("two CPUs", self.outcomes()[0].not_run)

    def test_a_gateway_that_does_not_start(self):
        self.start.side_effect = NotAvailable("no NAT in this kernel")
        self.assertEqual({outcome.not_run for outcome in self.outcomes()},
                         {"no NAT in this kernel"})

    def test_a_measurement_that_fails(self):
        self.storm.side_effect = LabError("lost frames")
        found = self.outcomes()
        self.assertEqual({outcome.failure for outcome in found}, {"lost frames"})
        self.assertFalse(any(outcome.ran for outcome in found))


class Scenarios(unittest.TestCase):
    """The choice of scenarios."""

    def test_quick_is_a_part_of_all(self):
        def kinds(quick):
            return {(one.kind, one.protocol, one.schedule, one.source)
                    for one in scenarios(quick)}
        self.assertLess(kinds(True), kinds(False))
        self.assertEqual(len(kinds(True)), 9)

    def test_a_storm_has_all_modes_of_the_kernel(self):
        names = [gateway.name for gateway in gateways(scenarios(True)[0], None)]
        self.assertEqual(names, ["netfilter-masquerade", "netfilter-random",
                                 "netfilter-fully-random", "noclash"])
        pairs = next(one for one in scenarios(True) if one.kind == DNS)
        self.assertEqual([gateway.name for gateway in gateways(pairs, None)],
                         ["netfilter", "noclash"])

    def test_services_stand_beside_the_kernels(self):
        for one in scenarios(False):
            names = [gateway.name for gateway in gateways(one, None)]
            if one.kind == SERVICE:
                self.assertEqual(names, ["netfilter-numgen", "noclash"])
                for gateway in gateways(one, mock.Mock()):
                    gateway.control_socket = "control.sock"
                    self.assertEqual("masquerade" in gateway.configuration,
                                     one.source == "translate")
            if one.kind == SERVICE_PAIRS:
                self.assertEqual(names, ["netfilter-numgen", "netfilter-jhash", "noclash"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
