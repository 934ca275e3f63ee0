#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/upgrade: another daemon goes on with the flows of the one that runs, or that one does."""

import os
import select
import signal

from gateway_case import ROOT, build, main
from lab.process import PATIENCE, run
from restart_case import NAME, RestartCase

UPGRADE = os.path.join(ROOT, "tools", "upgrade")


class Successor:
    """A daemon that is no child of ours: as lab.process.Process, as far as tests need it. It writes
    to the log of its predecessor."""

    name = "noclash"

    def __init__(self, pid, predecessor):
        self.pid = pid
        self.log, self.log_tail = predecessor.log, predecessor.log_tail
        self._handle = os.pidfd_open(pid)

    @property
    def returncode(self):
        """0 when it has ended: how, nobody can tell us."""
        return 0 if select.select([self._handle], [], [], 0)[0] else None

    def stop(self, *, number=signal.SIGTERM, timeout_s=10):
        for signal_number in (number, signal.SIGKILL):
            if self.returncode is not None:
                return 0 if number == signal.SIGTERM else -number
            signal.pidfd_send_signal(self._handle, signal_number)
            select.select([self._handle], [], [], PATIENCE * timeout_s)
        return -signal.SIGKILL


class UpgradeCase(RestartCase):
    """With conversations that go on."""

    def setUp(self):
        super().setUp()
        self.conversations = self.begin_all()
        self.before = None  # the translations before the last upgrade

    def upgrade(self, *options, noclash=None, control=None, config=None):
        """Runs the tool; returns its exit status and words."""
        self.before = self.translations()
        result = self.topology.gateway.run(
            UPGRADE, "--config", config or self.gateway.config_path,
            "--old-noclashctl", build().control, "--new-noclash", noclash or build().daemon,
            "--new-noclashctl", control or build().control, *options, check=False, timeout_s=100)
        pid = self.gateway.json("state", "show", "--config", self.gateway.config_path)[0]["pid"]
        self.assertIsNotNone(pid, result.stdout + result.stderr)
        if pid != self.gateway.process.pid:
            self.gateway.process = Successor(pid, self.gateway.process)
            self.addCleanup(self.gateway.process.stop)
        return result.returncode, result.stdout + result.stderr

    def program(self, text):
        path = self.lab.fresh_path("program")
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(path, 0o755)
        return path

    def assert_goes_on(self):
        after = self.translations()
        self.assert_all_go_on(self.conversations)
        self.assertEqual(after, self.before)
        directory = os.path.dirname(self.state)
        self.assertEqual(sorted(os.listdir(directory)), [f"{NAME}.state", f"{NAME}.state.policy"])


class GoesOver(UpgradeCase):
    """A new daemon forwards."""

    def assert_is_replaced(self, *options):
        old = self.gateway.process.pid
        status, said = self.upgrade(*options)
        self.assertEqual(status, 0, said)
        self.assertNotEqual(self.gateway.process.pid, old)
        self.assertRegex(said, r"traffic stood for \d+\.\d\d s; (\d+) of \1 flows went over")
        self.assert_goes_on()
        return said

    def test_by_stream(self):
        before = {port: self.flow(port)["timeout_s"] for port in (5000, 5003)}
        for _ in range(2):
            said = self.assert_is_replaced("--by-stream")
            self.assertRegex(said, r"\d+ records exported and imported")
        for port, timeout_s in before.items():
            self.assertLessEqual(self.flow(port)["timeout_s"], timeout_s + 1)

    def test_by_the_state_file(self):
        said = self.assert_is_replaced()
        self.assertIn("nothing is exported or imported", said)

    def test_of_a_pidfile(self):
        path = self.lab.path("noclash.pid")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{self.gateway.process.pid}\n")
        self.assert_is_replaced("--by-stream", "--pidfile", path)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(int(file.read()), self.gateway.process.pid)


class GoesBack(UpgradeCase):
    """The new release does not work: the old daemon runs again, and nothing is lost."""

    def assert_old_one_is_back(self, *options, **programs):
        status, said = self.upgrade(*options, **programs)
        self.assertEqual(status, 1, said)
        self.assertIn("the old noclash runs again", said)
        self.assert_goes_on()

    def test_when_the_new_daemon_ends_at_once(self):
        broken = self.program("exit 7\n")
        for options in ((), ("--by-stream",)):
            with self.subTest(options):
                self.assert_old_one_is_back(*options, noclash=broken)

    def test_when_it_hangs(self):
        self.assert_old_one_is_back("--by-stream", "--wait", 10, noclash=self.program(
            "exec sleep 1000\n"))

    def test_when_the_import_fails(self):
        control = build().control
        self.assert_old_one_is_back("--by-stream", control=self.program(
            f'case "$*" in *import*) head -c 1000 | exec {control} "$@" ;; '
            f'*) exec {control} "$@" ;; esac\n'))


class Refused(UpgradeCase):
    """What is seen to be wrong before anything is stopped."""

    def test_nothing_is_stopped(self):
        old = self.gateway.process.pid
        faulty = self.lab.path("faulty.toml")
        with open(faulty, "w", encoding="utf-8") as file:
            file.write(self.gateway.configuration + "\nunknown = 1\n")
        for options in ({"config": faulty}, {"noclash": self.lab.path("absent")},
                        {"control": self.program("exit 1\n")}):
            with self.subTest(options):
                status, said = self.upgrade(**options)
                self.assertEqual(status, 1, said)
                self.assertIn("nothing was stopped", said)
                self.assertEqual(self.gateway.process.pid, old)
        self.assert_goes_on()


class ByHand(UpgradeCase):
    """noclashctl state, with no tool around it."""

    def state_command(self, *words, check=True):
        return run([build().control, "state", *words], check=check)

    def refused(self, *words):
        result = self.state_command(*words, check=False)
        self.assertEqual(result.returncode, 1, result.stdout)
        return result.stderr

    def test_export_and_import(self):
        whose = ("--config", self.gateway.config_path)
        stream = self.lab.path("edge1.flows")
        for words in (("export", *whose, stream), ("remove", *whose)):
            self.assertRegex(self.refused(*words), rf"\bpid {self.gateway.process.pid}\b")
        self.before = self.translations()
        self.gateway.stop()
        self.state_command("export", *whose, stream)
        self.assertIn("--replace", self.refused("import", *whose, stream))
        self.state_command("remove", "--path", self.state)
        self.assertEqual(self.state_command("show", *whose, check=False).returncode, 4)
        self.state_command("import", *whose, stream)
        self.gateway.launch(self.topology.gateway)
        self.assert_goes_on()


if __name__ == "__main__":
    main()
