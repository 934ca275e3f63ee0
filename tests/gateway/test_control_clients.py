#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of the control socket that vanish, read nothing, ask nonsense, or lack a daemon."""

import contextlib
import json
import os
import pathlib
import resource
import signal
import subprocess

from control_client import ask_raw, connect
from gateway_case import GatewayCase, build, main
from lab.process import run, wait_until
from lab.storm import run_storm
from lab.topology import POD


def sockets_of(process):
    """How many sockets a process has open."""
    links = pathlib.Path(f"/proc/{process.pid}/fd").iterdir()
    count = 0
    for link in links:
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(link).startswith("socket:")
    return count


class Robust(GatewayCase):
    """Exit codes, absent daemons, and clients that go away."""

    def test_exit_codes(self):
        def status(*argv):
            return run(argv, check=False).returncode
        control = build().control
        self.assertEqual(status(control, "--socket", self.gateway.control_socket, "version"), 0)
        self.assertEqual(status(control, "flows", "bogus"), 2)
        self.assertEqual(status(control, "--help"), 0)
        absent = run([control, "--socket", self.lab.path("absent.sock"), "stats"], check=False)
        self.assertEqual(absent.returncode, 3)
        self.assertIn("absent.sock", absent.stderr)

    def test_config_check(self):
        control = build().control
        good = run([control, "config", "check", self.gateway.config_path], check=False)
        self.assertEqual(good.returncode, 0, good.stderr)
        path = self.lab.path("bad.toml")
        with open(self.gateway.config_path, encoding="utf-8") as original, \
                open(path, "w", encoding="utf-8") as bad:
            bad.write(original.read().replace("workers = 2", "workers = 0"))
        faulty = run([control, "config", "check", path], check=False)
        self.assertEqual(faulty.returncode, 1)
        self.assertIn("bad.toml", faulty.stderr)

    def test_client_that_vanishes(self):
        run_storm(build().storm, self.topology, self.gateway, connections=20000)
        for _ in range(20):
            with subprocess.Popen(self.gateway.control_command("flows", "list"),
                                  stdout=subprocess.PIPE) as client:
                client.stdout.readline()
                client.kill()
        self.assertEqual(len(self.gateway.text("flows", "list").splitlines()),
                         self.gateway.flow_count())
        self.assert_pings(POD)

    def test_closed_pipe_is_quiet(self):
        run_storm(build().storm, self.topology, self.gateway, connections=20000)
        command = " ".join(self.gateway.control_command("flows", "list"))
        result = run(["sh", "-c", f"{command} | head -n 1"])
        self.assertEqual(result.stderr, "")
        self.assertTrue(result.stdout.startswith("tcp"))

    def test_an_output_that_cannot_be_written_is_an_error(self):
        command = " ".join(self.gateway.control_command("stats"))
        result = run(["sh", "-c", f"{command} > /dev/full"], check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot write: No space left on device", result.stderr)

    def test_a_pager_that_reads_nothing_holds_nothing_up(self):
        run_storm(build().storm, self.topology, self.gateway, connections=60000)
        before = sockets_of(self.gateway.process)
        with subprocess.Popen(self.gateway.control_command("flows", "list"),
                              stdout=subprocess.PIPE) as client:
            client.stdout.readline()
            # The list is longer than any buffer on its way. Nobody reads on, and yet the client
            # has all of it: the daemon has nothing more to do with it.
            wait_until(lambda: sockets_of(self.gateway.process) == before, timeout_s=20,
                       what="the client reads the whole answer")
            self.assertEqual(1 + sum(1 for _ in client.stdout), self.gateway.flow_count())
        self.assertEqual(client.returncode, 0)

    def test_text_is_as_fast_as_json(self):
        run_storm(build().storm, self.topology, self.gateway, connections=40000)

        def seconds(*form):
            """Of the CPU: how long the client waits for it is the machine's affair."""
            command = self.gateway.control_command(*form, "flows", "list")
            child = os.posix_spawn(command[0], [str(word) for word in command], os.environ,
                                   file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull,
                                                  os.O_WRONLY, 0)])
            _, status, used = os.wait4(child, 0)
            self.assertEqual(status, 0)
            return used.ru_utime + used.ru_stime

        took = [(seconds(), seconds("--json")) for _ in range(7)]
        text, programs = (min(column) for column in zip(*took))
        self.assertLess(text, 1.5 * programs)

    def test_a_stopped_daemon_is_given_up(self):
        command = self.gateway.control_command("--timeout", 1, "stats")
        os.kill(self.gateway.process.pid, signal.SIGSTOP)
        try:
            # The backlog of the socket fills up: then not even a connection is made.
            clients = [subprocess.Popen(command, stdout=subprocess.DEVNULL,  # pylint: disable=R1732
                                        stderr=subprocess.PIPE, text=True) for _ in range(24)]
            for client in clients:
                _, said = client.communicate(timeout=30)
                self.assertEqual(client.returncode, 3)
                self.assertIn(f"{self.gateway.control_socket} has been silent for 1 s", said)
        finally:
            os.kill(self.gateway.process.pid, signal.SIGCONT)
        self.gateway.json("version")

    def test_clients_that_read_nothing_lock_nobody_out(self):
        run_storm(build().storm, self.topology, self.gateway, connections=20000)
        with contextlib.ExitStack() as stack:
            for _ in range(8):
                client = stack.enter_context(connect(self.gateway))
                client.sendall(b'{"command":"flows list"}\n')
            self.gateway.json("version", timeout_s=10)
            for _ in range(8):
                stack.enter_context(connect(self.gateway))
            self.gateway.json("version", timeout_s=10)

    def test_json_of_many_flows_is_valid_while_they_change(self):
        run_storm(build().storm, self.topology, self.gateway, connections=20000)
        flood = self.lb.start("ping", "-n", "-f", POD, name="flood")
        for _ in range(5):
            rows = json.loads(self.gateway.text("--json", "flows", "list"))
            self.assertGreaterEqual(len(rows), 20000)
        flood.stop()


class SmallStacks(GatewayCase):
    """A daemon whose threads have stacks of 2 MiB."""

    starts_gateway = False

    def test_a_deep_request_is_refused(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
        resource.setrlimit(resource.RLIMIT_STACK, (2 << 20, hard))
        try:
            self.gateway.start(self.topology)
        finally:
            resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
        self.addCleanup(self.gateway.stop)
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            depth = 60000 // len(opening + closing)
            nested = opening * depth + b"0" + closing * depth
            for key in (b"filter", b"top", b"x"):
                answer = ask_raw(self.gateway,
                                 b'{"command":"flows list","' + key + b'":' + nested + b"}")
                self.assertEqual(answer,
                                 [{"error": "the request is nested deeper than 8 levels"}])
        self.assertIsNone(self.gateway.process.returncode)
        self.gateway.json("version")


if __name__ == "__main__":
    main()
