# SPDX-License-Identifier: Apache-2.0
"""The common part of all tests of the running gateway.

    sudo tests/gateway/test_rules.py [TestCase.test_name]   a file alone, against build/
    sudo NOCLASH_BUILD=build-asan tests/gateway/...         against another build; with
                                                            NOCLASH_TESTERS=build loaded by that one

Every test has a time limit, makes its own network namespaces, and demands at its end that the
daemon is still alive and ends in order. NOCLASH_PATIENCE multiplies all limits of time.
"""

import os
import signal
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))

from lab import builds, interrupts, laboratory  # noqa: E402  (the path above comes first)
from lab.noclash import Noclash  # noqa: E402
from lab.process import PATIENCE, PYTHON, LabError, wait_until  # noqa: E402
from lab.topology import GATEWAY_LB, Topology  # noqa: E402

HOSTS = os.path.join(ROOT, "tests", "gateway", "hosts.py")


class TestTimeout(Exception):
    """The test took longer than its limit."""


def build():
    """The build under test."""
    return builds.Build(os.environ.get("NOCLASH_BUILD", "build"),
                        testers=os.environ.get("NOCLASH_TESTERS"))


class LabCase(unittest.TestCase):
    """Each test gets a laboratory, and so much time."""

    timeout_s = 60

    def setUp(self):
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.alarm(round(PATIENCE * self.timeout_s))
        self.addCleanup(signal.alarm, 0)
        self.lab = laboratory.Lab()
        self.addCleanup(self.lab.close)

    def run(self, result=None):
        """An interrupted test cleans up (unittest takes the exception for an error), and no other
        test starts after it."""
        result = super().run(result)
        if interrupts.interrupted():
            result.stop()
        return result

    def _on_alarm(self, _number, _frame):
        raise TestTimeout(f"not done within {PATIENCE * self.timeout_s:g} s")


class GatewayCase(LabCase):
    """Each test gets a fresh topology with noclash, configured by `settings`."""

    settings = {}
    starts_gateway = True

    def setUp(self):
        super().setUp()
        self.topology = Topology(self.lab)
        self.lb, self.pod = self.topology.lb, self.topology.pod
        self.gateway = Noclash(build(), **self.gateway_settings())
        if self.starts_gateway:
            self.gateway.start(self.topology)

    def gateway_settings(self):
        """The settings; for those that depend on the laboratory."""
        return self.settings

    def tearDown(self):
        process = self.gateway.process
        if process is None:
            return
        if self._has_failed():
            print(f"\n--- the daemon's log:\n{process.log_tail(40)}", file=sys.stderr)
        if self.starts_gateway:
            self.assertIsNone(process.returncode,
                              f"the daemon died ({process.returncode}):\n{process.log_tail(40)}")
            self.assertEqual(self.gateway.stop(), 0,
                             f"the daemon did not end in order:\n{process.log_tail(40)}")

    def _has_failed(self):
        return any(error for _, error in getattr(self._outcome, "errors", []) or []) or \
            not self._outcome.success

    # The vocabulary of tests.

    def serve(self, *ports, namespace=None):
        """Starts the host that says whom it talks to, in the pod."""
        server = (namespace or self.pod).start(*PYTHON, HOSTS, "serve", *ports,
                                               name="peer-server")
        server.wait_ready(lambda: "ready" in server.log())

    def ask(self, protocol, destination, source=None, *, namespace=None):
        """The server's view: ((address, port) of the client, (address, port) asked on).

        None when there was no answer.
        """
        result = (namespace or self.lb).run(
            *PYTHON, HOSTS, "ask", protocol, destination, *([source] if source else []),
            check=False)
        if result.returncode != 0:
            return None
        return tuple((address, int(port)) for address, port in
                     (text.split(":") for text in result.stdout.split()))

    def ping(self, destination, *options, namespace=None, count=1):
        """Runs ping and returns what it printed; the test decides what that must be."""
        return (namespace or self.lb).run("ping", "-n", "-c", count, "-W", 2, *options,
                                          destination, check=False).stdout

    def assert_pings(self, destination, *options, count=1, namespace=None):
        output = self.ping(destination, *options, count=count, namespace=namespace)
        self.assertIn(f"{count} packets transmitted, {count} received", output)

    def wait_until(self, predicate, what, timeout_s=15):
        try:
            return wait_until(predicate, timeout_s=timeout_s, what=what, interval_s=0.1)
        except LabError as error:
            self.fail(str(error))

    def rss_bytes(self):
        """Memory of the daemon that is in use."""
        with open(f"/proc/{self.gateway.process.pid}/status", encoding="ascii") as handle:
            for line in handle:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        return self.fail("no VmRSS")

    def gateway_mac(self, interface="gw-lb"):
        path = f"/sys/class/net/{interface}/address"
        return bytes.fromhex(self.topology.gateway.run("cat", path).stdout.strip()
                             .replace(":", ""))


def node(port):
    """The gateway's address towards the load balancer, with a port."""
    return f"{GATEWAY_LB}:{port}"


def rule(name, action, **keys):
    """TOML of a rule; a key that TOML calls `in` is written `in_`."""
    lines = [f'[[rule]]\nname = "{name}"\naction = "{action}"']
    for key, value in keys.items():
        text = str(value) if isinstance(value, (int, list)) else f'"{value}"'
        if isinstance(value, bool):
            text = text.lower()
        lines.append(f"{key.rstrip('_')} = {text}".replace("'", '"'))
    return "\n".join(lines) + "\n\n"


def main():
    """For files that are run alone."""
    # Unittest lets KeyboardInterrupt pass without cleaning up.
    interrupts.raise_on_signals(signal.SIGINT)
    unittest.main(verbosity=2)
