#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Peers on memif come and go as they like, and so does the daemon: each at the worst of moments.

slow_interrupts.cpp, preloaded into the daemon, makes those moments last.
"""

import os
import signal

from gateway_case import LabCase, build, main
from lab.cpsload import TesterTopology, ThroughNoclash, command, node_ports, run_cpsload
from lab.process import wait_until

SLOW_INTERRUPTS = "tests/gateway/libslow_interrupts.so"


class Peers(LabCase):
    """cpsload is the peer on both ports."""

    timeout_s = 120

    def setUp(self):
        super().setUp()
        self.topology = TesterTopology(self.lab)
        self.gateway = ThroughNoclash(build(), self.topology, memif=True, flows=200_000, workers=2)
        self.daemon = self.gateway.daemon
        self.slow_interrupts = os.path.join(build().directory, SLOW_INTERRUPTS)
        self.assertTrue(os.path.exists(self.slow_interrupts), self.slow_interrupts)
        self.daemon.environment["LD_PRELOAD"] = self.slow_interrupts
        self.gateway.start()

    def start_peer(self, *wrapper):
        """A peer under load, in the middle of it."""
        before = self.daemon.counters()["insert"]
        load = command(build(), self.gateway, *node_ports(1), "--duration", 60, "--rate", 2000,
                       "--no-self-test")
        peer = self.topology.tester.start(*wrapper, *load, name="cpsload",
                                          stdout_path=self.lab.path("out.json"))
        self.addCleanup(peer.stop, number=signal.SIGKILL)
        peer.wait_ready(lambda: self.daemon.counters()["insert"] > before + 500)
        return peer

    def hold_threads(self, process):
        """Stops threads of a process that use its peers' memory, in the middle of that."""
        held = self.count(process, "held")
        process.send_signal(signal.SIGURG)
        self.wait_for(process, lambda: self.count(process, "held") > held, "a thread is held")

    def wait_until_released(self, process):
        self.wait_for(process,
                      lambda: self.count(process, "released") == self.count(process, "held"),
                      "the threads go on")

    @staticmethod
    def count(process, what):
        return process.log().count(f"slow_interrupts: {what}")

    def wait_for(self, process, condition, what):
        def fulfilled():
            self.assertIsNone(process.returncode, process.log_tail())
            return condition()
        wait_until(fulfilled, timeout_s=30, what=what)

    def assert_next_peer_is_served(self):
        done = run_cpsload(build(), self.topology, self.gateway, *node_ports(1), "--connections",
                           1000, "--rate", 2000, "--no-self-test")
        self.assertEqual(done.status, 0, (done.result, done.stderr, self.daemon.process.log_tail()))

    def assert_stops(self):
        self.assertEqual(self.gateway.stop(), 0, self.daemon.process.log_tail())

    def test_leave_while_a_worker_is_in_their_memory(self):
        for number in (signal.SIGKILL, signal.SIGINT):
            peer = self.start_peer()
            self.hold_threads(self.daemon.process)
            peer.send_signal(number)
            self.wait_until_released(self.daemon.process)
            peer.wait(30)
            self.assert_next_peer_is_served()
        self.assert_stops()

    def test_daemon_stops_when_a_peer_was_just_killed(self):
        peer = self.start_peer()
        peer.stop(number=signal.SIGKILL)
        self.assert_stops()

    def test_daemon_stops_with_peers(self):
        self.start_peer()
        self.assert_stops()

    def test_daemon_stops_when_peers_have_left(self):
        self.assert_next_peer_is_served()
        self.assert_stops()

    def test_tester_survives_the_daemon(self):
        tester = self.start_peer("env", f"LD_PRELOAD={self.slow_interrupts}")
        self.hold_threads(tester)
        self.daemon.kill()
        self.wait_until_released(tester)
        tester.send_signal(signal.SIGINT)
        self.assertEqual(tester.wait(30), 130, tester.log_tail())


if __name__ == "__main__":
    main()
