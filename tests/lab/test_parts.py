#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How the parts of a test run are scheduled. No part here does more than wait or fail."""

import io
import os
import pathlib
import signal
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from lab import suite  # noqa: E402  (the path above comes first)
from lab.console import Console  # noqa: E402
from lab.interrupts import Interrupted  # noqa: E402
from lab.parts import FAILED, MOST_AT_ONCE, NOT_RUN, PASSED, Kind, Part, Schedule  # noqa: E402
from lab.process import LabError  # noqa: E402


class ScheduleCase(unittest.TestCase):
    """Runs parts and notes which ran at once."""

    def setUp(self):
        self.said = io.StringIO()
        self.lock = threading.Lock()
        self.running, self.seen, self.order = [], [], []

    def part(self, name, kind=Kind.COMPUTES, needs=(), seconds=0.02, error=None):
        def work(_step):
            with self.lock:
                self.running.append((name, kind))
                self.order.append(name)
                self.seen.append(list(self.running))
            time.sleep(seconds)
            with self.lock:
                self.running.remove((name, kind))
            if error:
                raise error
        return Part(name, work, kind, needs)

    def run_parts(self, *parts):
        outcomes = Schedule(Console(self.said), parts).run()
        self.assertEqual([outcome.name for outcome in outcomes], [part.name for part in parts])
        return {outcome.name: outcome.result for outcome in outcomes}


class Order(ScheduleCase):
    """The order in which parts run."""

    def test_a_part_waits_for_what_it_needs(self):
        self.run_parts(self.part("tests", needs=("build",)), self.part("build"))
        self.assertEqual(self.order, ["build", "tests"])

    def test_no_more_at_once_than_allowed(self):
        self.run_parts(*(self.part(f"{kind.name} {number}", kind) for kind in
                         (Kind.COMPUTES, Kind.WAITS) for number in range(9)))
        for kind in (Kind.COMPUTES, Kind.WAITS):
            most = max(sum(other is kind for _, other in seen) for seen in self.seen)
            self.assertLessEqual(most, MOST_AT_ONCE[kind])

    def test_as_many_at_once_as_allowed(self):
        for kind in (Kind.COMPUTES, Kind.WAITS):
            all_there = threading.Barrier(MOST_AT_ONCE[kind])
            parts = [Part(str(number), lambda _, meet=all_there.wait: meet(60), kind)
                     for number in range(2 * MOST_AT_ONCE[kind])]
            self.assertEqual(set(self.run_parts(*parts).values()), {PASSED})

    def test_load_runs_beside_no_other_test_of_the_gateway(self):
        kinds = (Kind.ALONE, Kind.WAITS, Kind.COMPUTES)
        self.run_parts(*(self.part(f"{kind.name} {number}", kind) for number in range(4)
                         for kind in kinds))
        for seen in self.seen:
            running = [kind for _, kind in seen]
            if Kind.ALONE in running:
                self.assertEqual(running.count(Kind.ALONE), 1)
                self.assertNotIn(Kind.WAITS, running)

    def test_nothing_runs_beside_what_comes_first(self):
        self.run_parts(self.part("programs", Kind.FIRST), self.part("format"))
        self.assertEqual(self.seen[0], [("programs", Kind.FIRST)])
        self.assertEqual(self.order, ["programs", "format"])


class Failures(ScheduleCase):
    """One failure keeps nothing from running but what builds on it, and that is told."""

    def test_words_and_blocked_parts(self):
        results = self.run_parts(
            self.part("build", error=LabError("no such header")), self.part("format"),
            self.part("tests", needs=("build",)), self.part("more tests", needs=("tests",)))
        self.assertEqual(results, {"build": FAILED, "format": PASSED, "tests": NOT_RUN,
                                   "more tests": NOT_RUN})
        self.assertIn("no such header", self.said.getvalue())
        self.assertIn("tests: not run, as it needs build", self.said.getvalue())

    def test_a_fault_of_the_suite_is_a_failure(self):
        results = self.run_parts(self.part("build", error=KeyError("fault")))
        self.assertEqual(results, {"build": FAILED})
        self.assertIn("KeyError", self.said.getvalue())

    def test_not_run_fails_the_whole(self):
        schedule = Schedule(Console(self.said), [
            self.part("build", error=LabError("")), self.part("tests", needs=("build",))])
        self.assertEqual(suite.report(Console(self.said), schedule.run(), 0), suite.FAILED)
        self.assertIn("2 of 2 failed", self.said.getvalue())


class Interruption(ScheduleCase):
    """Every process that was started has ended, having been asked to."""

    def test_processes_are_ended_in_order(self):
        read, write = os.pipe()
        script = "trap 'echo cleaned up; exit' TERM; echo ready; while :; do sleep 0.02; done"

        def work(step):
            step.run(["sh", "-c", script], line=lambda text: os.write(write, text.encode() + b"\n"))

        def interrupt():
            self.assertEqual(os.read(read, 100), b"ready\n")
            signal.raise_signal(signal.SIGUSR1)

        def on_signal(_number, _frame):
            raise Interrupted(signal.SIGUSR1)

        before = signal.signal(signal.SIGUSR1, on_signal)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        threading.Thread(target=interrupt).start()
        schedule = Schedule(Console(self.said), [Part("endless", work, Kind.WAITS)])
        with self.assertRaises(Interrupted):
            schedule.run()
        os.close(write)
        self.assertIn(b"cleaned up", os.read(read, 100))
        os.close(read)


class Plan(unittest.TestCase):
    """The plan of each kind of run."""

    def test_every_need_is_a_part_and_names_are_unique(self):
        for argv in ([], ["--quick"], ["--all"]):
            parts = suite.plan(suite.parse_arguments(argv))
            names = [part.name for part in parts]
            self.assertEqual(len(names), len(set(names)), argv)
            self.assertLessEqual({need for part in parts for need in part.needs}, set(names), argv)

    def test_all_files_of_the_gateway_run(self):
        names = {part.name for part in suite.plan(suite.parse_arguments(["--all"]))}
        for name in suite.all_gateway_tests():
            self.assertIn(f"gateway: {name}", names)

    def test_each_budget_is_a_parts(self):
        names = {part.name for part in suite.plan(suite.parse_arguments(["--all"]))}
        self.assertLessEqual(set(suite.BUDGETS_MIN), names)


if __name__ == "__main__":
    unittest.main()
