#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the daemon tells a service manager (systemd): ready, reloads, watchdog, end."""

import ctypes
import os
import re
import signal
import socket
import threading
import time

from gateway_case import GatewayCase, main, rule
from lab.process import PATIENCE, run
from lab.topology import POD

OUTBOUND = rule("outbound", "masquerade", in_="lb")
WATCHDOG_S = 2
LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WAIT_FOR_THREADS = 0x40000000  # __WALL: threads of others, too


class Manager:
    """Listens as systemd does, and keeps each message with the moment at which it came."""

    def __init__(self, path):
        self.path = path
        self.at_ready = None  # called once, when the daemon is ready, before anything else is read
        self.found = None  # what `at_ready` returned
        self._messages = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        # A daemon that nobody reads from would wait for us.
        while message := self._socket.recv(4096).decode():
            if message.startswith("READY=1") and self.at_ready is not None:
                call, self.at_ready = self.at_ready, None
                self.found = call()
            self._messages.append(message)

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", self.path)
        self._thread.join()
        self._socket.close()

    def heard(self, *, watchdog=False):
        """All messages so far, those that feed the watchdog or those that do not."""
        return [message for message in list(self._messages)
                if message.startswith("WATCHDOG=") == watchdog]

    def feedings(self):
        return len(self.heard(watchdog=True))


class StoppedThread:
    """A thread of another process that stands still, while all its others go on."""

    def __init__(self, thread_id):
        self._id = thread_id
        self._ptrace(PTRACE_SEIZE)
        self._ptrace(PTRACE_INTERRUPT)
        os.waitpid(thread_id, WAIT_FOR_THREADS)

    def resume(self):
        self._ptrace(PTRACE_DETACH)

    def _ptrace(self, request):
        none = ctypes.c_void_p(0)
        if LIBC.ptrace(ctypes.c_long(request), ctypes.c_long(self._id), none, none) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))


class ServiceManagerCase(GatewayCase):
    """The daemon with a service manager."""

    settings = {"rules": OUTBOUND}
    starts_gateway = False  # by setUp of GatewayCase
    environment = {}

    def setUp(self):
        super().setUp()
        self.manager = Manager(self.lab.path("notify.sock"))
        self.addCleanup(self.manager.close)
        self.gateway.environment = {"NOTIFY_SOCKET": self.manager.path, **self.environment}
        self.prepare()
        self.gateway.start(self.topology)
        self.starts_gateway = True  # tearDown looks at its end
        self.wait_until(self.manager.heard, "the daemon says something")

    def prepare(self):
        """Before the daemon starts."""

    def rule_names(self):
        return [row["name"] for row in self.gateway.json("rules")]


class Ready(ServiceManagerCase):
    """READY=1."""

    def prepare(self):
        self.manager.at_ready = self.look

    def look(self):
        """What is true at that very moment: the control socket answers, packets pass."""
        version = run(self.gateway.control_command("version"), check=False)
        received = re.search(r"(\d+) received", self.ping(POD, "-i", 0.2, count=5))
        return version.returncode == 0, received and int(received[1]) > 0

    def test_comes_when_packets_pass(self):
        self.wait_until(self.manager.heard, "the daemon is ready")
        self.assertEqual(self.manager.found, (True, True))
        message, = self.manager.heard()
        self.assertRegex(message, r"^READY=1\nSTATUS=forwarding: 2 workers, .*$")
        self.assertIn(self.gateway.control_socket, message)
        self.assertEqual(self.manager.feedings(), 0, "nobody asked for them")

    def test_end_is_told(self):
        self.wait_until(self.manager.heard, "the daemon is ready")
        self.assertEqual(self.gateway.stop(), 0)
        self.wait_until(lambda: len(self.manager.heard()) == 2, "the end is told")
        self.assertRegex(self.manager.heard()[-1], "^STOPPING=1\n")
        self.gateway.launch(self.topology.gateway)


class Reload(ServiceManagerCase):
    """RELOADING=1, and READY=1 whatever came of it."""

    def reload(self):
        """SIGHUP; returns the status that follows."""
        before = len(self.manager.heard())
        begun_us = time.monotonic_ns() // 1000
        self.gateway.process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: len(self.manager.heard()) == before + 2, "the reload is over")
        reloading, ready = self.manager.heard()[before:]
        at = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", reloading)
        self.assertTrue(at, reloading)
        self.assertTrue(begun_us <= int(at[1]) <= time.monotonic_ns() // 1000, reloading)
        status = re.fullmatch(r"READY=1\nSTATUS=(.*)", ready)
        self.assertTrue(status, ready)
        return status[1]

    def test_of_a_good_file(self):
        self.gateway.change_configuration(rules=rule("closed", "drop", in_="lb") + OUTBOUND)
        self.assertRegex(self.reload(), "forwarding; SIGHUP: .* reloaded in .*: changes: 1;")
        self.assertEqual(self.rule_names(), ["closed", "outbound"])

    def test_of_a_faulty_file(self):
        self.gateway.change_configuration(rules=rule("x", "walk") + rule("y", "run"))
        status = self.reload()
        self.assertIn("nothing was changed", status)
        self.assertIn('"walk" is not known', status)
        self.assertEqual(self.rule_names(), ["outbound"])
        self.gateway.change_configuration(rules=OUTBOUND)
        self.assertIn("no change", self.reload())

    def test_of_what_needs_a_restart(self):
        self.gateway.change_configuration(workers=1)
        self.assertIn("restart noclash to change workers", self.reload())


class Watchdog(ServiceManagerCase):
    """WATCHDOG=1."""

    environment = {"WATCHDOG_USEC": str(WATCHDOG_S * 1_000_000)}

    def wait_for_feedings(self, more):
        before = self.manager.feedings()
        self.wait_until(lambda: self.manager.feedings() >= before + more, "the watchdog is fed")

    def stop_worker(self, number):
        """Has one worker stand still; returns what resumes it."""
        directory = f"/proc/{self.gateway.process.pid}/task"
        names = {}
        for thread_id in os.listdir(directory):
            with open(f"{directory}/{thread_id}/comm", encoding="ascii") as name:
                names[name.read().strip()] = int(thread_id)
        # DPDK's name for a thread that works; its main one is lcore 0.
        name = next(name for name in names if re.fullmatch(rf".*worker-{number + 1}", name))
        try:
            stopped = StoppedThread(names[name])
        except PermissionError as error:
            self.skipTest(f"ptrace: {error}")
        return stopped

    def test_is_fed_by_workers_that_nap(self):
        self.wait_for_feedings(4)

    def test_starves_while_a_worker_stands_still(self):
        self.wait_for_feedings(1)
        stopped = self.stop_worker(1)
        try:
            self.wait_until(lambda: "worker 1 stands still" in self.gateway.process.log(),
                            "the log names the worker")
            before = self.manager.feedings()
            time.sleep(2 * WATCHDOG_S)
            self.assertEqual(self.manager.feedings(), before)
            self.gateway.json("version")
        finally:
            stopped.resume()
        self.wait_for_feedings(2)
        self.assertIn("worker 1 goes on", self.gateway.process.log())

    def test_is_fed_while_reloads_follow_each_other(self):
        before = self.manager.feedings()
        deadline = time.monotonic() + PATIENCE * 30
        number = 0
        while self.manager.feedings() < before + 3 and time.monotonic() < deadline:
            number += 1
            self.gateway.change_configuration(
                rules=OUTBOUND if number % 2 else rule("closed", "drop", in_="pod") + OUTBOUND)
            self.gateway.process.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        self.assertGreaterEqual(self.manager.feedings(), before + 3)


class PollingWatchdog(Watchdog):
    """With workers that never sleep: as above."""

    settings = {**Watchdog.settings, "idle": "poll"}
    test_is_fed_while_reloads_follow_each_other = None


if __name__ == "__main__":
    main()
