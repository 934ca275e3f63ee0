#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checks of tools/demo before it begins, and its verdict."""

import contextlib
import io
import json
import os
import sys
import tempfile
import unittest
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))

from lab import demo  # noqa: E402  (the path above comes first)
from lab.console import Console  # noqa: E402
from lab.process import LabError  # noqa: E402
from lab.restarts import CONNECTIONS, Restart, contests, run_restart  # noqa: E402
from lab.services import Check  # noqa: E402
from lab.storm import Result  # noqa: E402


class WithoutRoot(unittest.TestCase):
    """Nothing is installed or built for somebody who cannot run what comes of it."""

    def test_it_is_said_at_once(self):
        said = io.StringIO()
        with mock.patch("os.geteuid", return_value=1000), \
                mock.patch("lab.demo.run") as install, \
                mock.patch("lab.builds.Build.configure") as configure, \
                mock.patch("lab.builds.Build.compile") as compile_, \
                contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = demo.main([])
        self.assertEqual(status, demo.ENVIRONMENT)
        self.assertIn("need root", said.getvalue())
        for step in (install, configure, compile_):
            step.assert_not_called()


def storm(lost=0):
    return Result("noclash", 1000, 1000 - lost, lost, 0, 0, 0.5, 0, 0)


def restart(live=50, contestant="noclash", gap_ms=612.4):
    return Restart(contestant, "killed and restarted", 50, live, gap_ms)


class Verdict(unittest.TestCase):
    """What it makes of its findings."""

    def report(self, *, storms=(storm(),), restarts=(restart(),), services=(), options=()):
        """The exit status, and what was printed."""
        said = io.StringIO()
        found = demo.Demo(demo.parse_arguments(options), Console(said))
        found.storms, found.restarts, found.services = map(list, (storms, restarts, services))
        return found.report(), said.getvalue()

    def test_all_is_well(self):
        status, said = self.report(services=[Check("curl", True, "")])
        self.assertEqual(status, demo.FINE)
        self.assertRegex(said, r"noclash, killed and restarted +50 of 50 +612\n")

    def test_a_connection_that_the_restart_has_ended(self):
        status, said = self.report(restarts=[restart(), restart(live=49)])
        self.assertEqual(status, demo.CLASHED)
        self.assertIn("49 of 50", said)

    def test_others_may_lose_theirs(self):
        others = restart(live=3, contestant="netfilter-masquerade")
        self.assertEqual(self.report(restarts=[others, restart()])[0], demo.FINE)

    def test_what_was_not_run_is_not_well(self):
        for findings in ({"storms": []}, {"restarts": []}, {"storms": [storm(lost=1)]},
                         {"services": [Check("curl", False, "")]}):
            self.assertEqual(self.report(**findings)[0], demo.CLASHED, findings)

    def test_as_json(self):
        with tempfile.NamedTemporaryFile() as out:
            self.report(options=["--json", out.name])
            results = json.load(out)
        self.assertEqual(results["restarts"], [
            {"contestant": "noclash", "event": "killed and restarted", "connections": 50,
             "live": 50, "gap_ms": 612.4}])


class Restarts(unittest.TestCase):
    """What befalls the gateways, and how it is counted."""

    def run_with(self, live):
        """One run whose connections are a stand-in, of which so many live."""
        order = []
        gateway = mock.Mock()
        gateway.name = "noclash"
        with mock.patch("lab.restarts.Echo") as made:
            echo = made.return_value.__enter__.return_value
            echo.alive_since.return_value = live
            echo.probe.longest_silence_ms.return_value = 7.0
            echo.wait_for_echoes.side_effect = lambda *_, **__: order.append("echoes") if \
                live == CONNECTIONS else self.raise_late(order)
            result = run_restart(gateway, mock.Mock(), "event",
                                 lambda *_: order.append("event"))
        self.assertEqual(order, ["event", "echoes"])
        return result

    @staticmethod
    def raise_late(order):
        order.append("echoes")
        raise LabError("late")

    def test_all_live(self):
        result = self.run_with(CONNECTIONS)
        self.assertTrue(result.all_live)
        self.assertEqual(result.words, "50 of 50 connections live, gap 7 ms")

    def test_some_are_lost(self):
        result = self.run_with(CONNECTIONS - 1)
        self.assertFalse(result.all_live)
        self.assertEqual(result.live, 49)

    def test_noclash_is_killed_with_a_file_of_flows_and_started_again(self):
        lab, topology = mock.Mock(), mock.Mock()
        lab.memory_path.return_value = "/somewhere/flows"
        *_, (gateway, event, befall) = contests(mock.Mock(), lab)
        self.assertEqual(event, "killed and restarted")
        self.assertIn('file = "/somewhere/flows"', gateway.configuration)
        self.assertRegex(gateway.configuration, r'(?m)^name = "demo"$')
        with mock.patch.object(gateway, "kill") as kill, \
                mock.patch.object(gateway, "launch") as launch:
            kill.side_effect = lambda: launch.assert_not_called()
            befall(gateway, topology)
        kill.assert_called_once_with()
        launch.assert_called_once_with(topology.gateway)


if __name__ == "__main__":
    unittest.main()
