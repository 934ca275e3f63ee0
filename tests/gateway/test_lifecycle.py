#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Start, end, sudden death, and configurations that are wrong."""

import json
import os
import signal
import time

from gateway_case import GatewayCase, build, main, node, rule
from lab.noclash import configuration
from lab.process import PATIENCE, run
from lab.topology import POD


class Ends(GatewayCase):
    """The daemon's end, and the start after it."""

    timeout_s = 90

    def test_sigterm_ends_it_cleanly_within_two_seconds(self):
        begun = time.monotonic()
        self.assertEqual(self.gateway.stop(), 0)
        self.assertLess(time.monotonic() - begun, 2 * PATIENCE)
        self.assertFalse(os.path.exists(self.gateway.control_socket))
        self.gateway.launch(self.topology.gateway)

    def test_sigterm_under_load(self):
        flood = self.lb.start("ping", "-n", "-f", POD, name="flood")
        self.wait_until(lambda: self.gateway.flow_count() > 0, "the flood flows")
        begun = time.monotonic()
        self.assertEqual(self.gateway.stop(), 0)
        self.assertLess(time.monotonic() - begun, 2 * PATIENCE)
        flood.stop()
        self.gateway.launch(self.topology.gateway)

    def test_starts_again_after_kill(self):
        for _ in range(3):
            self.gateway.kill()
            self.gateway.launch(self.topology.gateway)
            self.topology.wait_for_gateway()
            self.assert_pings(POD)

    def start_second(self, socket, **settings):
        """The words of another daemon that must not start; the first goes on."""
        path = self.lab.path("second.toml")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(configuration(socket, **settings))
        second = self.topology.gateway.run(build().daemon, "--config", path, check=False)
        self.assertEqual(second.returncode, 1, second.stderr)
        self.assert_pings(POD)
        self.gateway.json("version")
        return second.stderr

    def test_second_daemon_on_the_same_socket_is_refused(self):
        said = self.start_second(self.gateway.control_socket, lb_device="null:a",
                                 pod_device="null:b")
        self.assertIn(self.gateway.control_socket, said)

    def test_second_daemon_on_the_same_interface_is_refused(self):
        """Both would forward every packet. Whatever the driver, name, and the other devices."""
        pod = self.topology.gateway
        pod.ip("link", "property", "add", "dev", "gw-pod", "altname", "another-name")
        for devices in ({}, {"lb_device": "null:a"}, {"pod_device": "null:a"},
                        {"lb_device": "af_xdp:gw-lb", "pod_device": "null:a"},
                        {"lb_device": "null:a", "pod_device": "af_packet:another-name"},
                        {"lb_device": "vdev:net_af_packet7,iface=gw-lb", "pod_device": "null:a"}):
            with self.subTest(devices):
                said = self.start_second(self.lab.path("other.sock"), **devices)
                self.assertIn(f"pid {self.gateway.process.pid}", said)
                self.assertRegex(said, "gw-lb|gw-pod|another-name")

    def test_an_interface_of_the_same_name_elsewhere_is_another(self):
        elsewhere = self.lab.namespace("elsewhere")
        elsewhere.ip("link", "add", "gw-lb", "type", "veth", "peer", "name", "gw-pod")
        for name in ("gw-lb", "gw-pod"):
            elsewhere.ip("link", "set", name, "up")
        path = self.lab.path("second.toml")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(configuration(self.lab.path("other.sock")))
        second = elsewhere.start(build().daemon, "--config", path, name="second")
        second.wait_ready(lambda: "ready; control" in second.log(), timeout_s=60)
        self.assertEqual(second.stop(), 0, second.log())

    def test_signals_that_end_nothing(self):
        """They are told by the log."""
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
            os.kill(self.gateway.process.pid, number)
            self.wait_until(lambda name=number.name: name in self.gateway.process.log(),
                            f"{number.name} is logged")
        self.assertRegex(self.gateway.process.log(), "SIGHUP: .*: no change")
        for _ in range(200):
            os.kill(self.gateway.process.pid, signal.SIGHUP)
        self.assert_pings(POD)

    def test_connections_survive_nothing_but_come_back(self):
        self.serve(8000)
        self.assertIsNotNone(self.ask("udp", f"{POD}:8000"))
        self.gateway.stop()
        self.assertIsNone(self.ask("udp", f"{POD}:8000"))
        self.gateway.launch(self.topology.gateway)
        self.assertIsNotNone(self.ask("udp", f"{POD}:8000"))


class ConfigurationCase(GatewayCase):
    """The daemon with a configuration that it must refuse."""

    starts_gateway = False

    def faults(self, text):
        """The daemon's words about a configuration that it must refuse."""
        path = self.lab.path("faulty.toml")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(text)
        result = self.topology.gateway.run(build().daemon, "--config", path, check=False)
        self.assertEqual(result.returncode, 2, result.stderr)
        return result.stderr

    def good(self, **settings):
        return configuration(self.lab.path("control.sock"), **settings)

    def line_of(self, text, needle):
        return next(number for number, line in enumerate(text.splitlines(), 1) if needle in line)

    def refused(self, text, *before):
        """The daemon's words about a configuration that is sound, but not here; status 1."""
        path = self.lab.path("refused.toml")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(text)
        result = self.topology.gateway.run(*before, build().daemon, "--config", path, check=False)
        self.assertEqual(result.returncode, 1, result.stderr)
        return result.stderr


class Configuration(ConfigurationCase):
    """Every fault is named with file, line and key; nothing is started."""

    def test_faults_name_line_and_key(self):
        text = self.good()
        cases = {
            "unknown key": ("workers = 2", "wokers = 2", "workers"),
            "wrong type": ("flows = 131072", 'flows = "many"', "flows"),
            "out of range": ("workers = 2", "workers = 1000", "workers"),
            "host bits": ('to = "10.1.0.1/32"', 'to = "10.1.0.1/24"', "to"),
            "unknown port": ('in = "lb"', 'in = "lbx"', "in"),
            "no such action": ('action = "masquerade"', 'action = "masq"', "action"),
            "bad device": ('device = "af_packet:gw-lb"', 'device = "gw-lb"', "device"),
        }
        for what, (good, bad, key) in cases.items():
            with self.subTest(what):
                faulty = text.replace(good, bad, 1)
                self.assertNotEqual(faulty, text)
                said = self.faults(faulty)
                self.assertRegex(said, rf"faulty\.toml:{self.line_of(faulty, bad)}\b")
                self.assertIn(key, said)

    def test_all_faults_at_once(self):
        text = self.good().replace("workers = 2", "workers = 0").replace("flows = 131072",
                                                                         "flows = 1")
        said = self.faults(text)
        self.assertIn("workers", said)
        self.assertIn("flows", said)

    def test_syntax_error(self):
        text = self.good() + "\nthis is no TOML\n"
        self.assertRegex(self.faults(text),
                         rf"faulty\.toml:{self.line_of(text, 'this is no TOML')}\b")

    def test_missing_file(self):
        result = run([build().daemon, "--config", self.lab.path("none.toml")], check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("none.toml", result.stderr)

    def test_no_configuration_is_a_usage_error(self):
        self.assertEqual(run([build().daemon], check=False).returncode, 2)

    def test_missing_interface_is_named(self):
        path = self.lab.path("absent.toml")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(self.good().replace("af_packet:gw-lb", "af_packet:absent0"))
        result = self.topology.gateway.run(build().daemon, "--config", path, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("absent0", result.stderr)

    def test_too_little_memory_for_packets(self):
        said = self.refused(self.good().replace('huge_pages = "none"',
                                                'huge_pages = "none"\npacket_buffers = 60000000'))
        self.assertIn("[memory] packet_buffers: too little memory", said)

    def test_warnings(self):
        """They are logged; with --strict they refuse the configuration."""
        text = self.good() + rule("late", "drop", in_="lb", protocol="tcp")
        with open(self.lab.path("faulty.toml"), "w", encoding="utf-8") as handle:
            handle.write(text)
        result = self.topology.gateway.run(build().daemon, "--strict", "--config",
                                           self.lab.path("faulty.toml"), check=False)
        self.assertEqual(result.returncode, 2)
        line = self.line_of(text, '"late"') + 1
        expected = rf'faulty\.toml:{line}:10: warning: \[rule "late"\] action: .*never reached'
        self.assertRegex(result.stderr, expected)
        daemon = self.topology.gateway.start(build().daemon, "--config",
                                             self.lab.path("faulty.toml"), name="warned")
        daemon.wait_ready(lambda: "ready; control" in daemon.log(), timeout_s=60)
        self.assertRegex(daemon.log(), r"warning.*" + expected)
        self.assertEqual(daemon.stop(), 0)

    def test_check_of_a_configuration(self):
        """noclashctl says the same, for people and for programs."""
        path = self.lab.path("warned.toml")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(self.good() + rule("late", "drop", in_="lb", protocol="tcp"))
        check = [build().control, "config", "check", path]
        relaxed = run(check, check=False)
        self.assertEqual(relaxed.returncode, 0)
        self.assertIn("fit for use", relaxed.stdout)
        self.assertIn("never reached", relaxed.stderr)
        strict = run([*check, "--strict"], check=False)
        self.assertEqual(strict.returncode, 1)
        self.assertNotIn("fit for use", strict.stdout)
        for options, fit in (([], True), (["--strict"], False)):
            row, = json.loads(run([*check, "--json", *options], check=False).stdout)
            self.assertEqual(row["fit"], fit)
            self.assertEqual(row["faults"], [])
            self.assertEqual(len(row["warnings"]), 1)
            finding, = row["findings"]
            self.assertEqual((finding["severity"], finding["section"], finding["key"]),
                             ("warning", '[rule "late"]', "action"))
            self.assertEqual(finding["text"], row["warnings"][0])

    def test_timeouts_below_the_floor_need_consent(self):
        """[RFC 4787 REQ-5]"""
        said = self.faults(self.good(extra="[timeouts]\nudp_s = 2\n"))
        self.assertIn("udp_s", said)
        self.assertIn("4787", said)


class AddressSpace(ConfigurationCase):
    """Limits of address space, within which no sanitized daemon could start."""

    def test_too_little_memory_for_flows(self):
        """The key, what it needs and what there is: before anything is allocated."""
        said = self.refused(self.good(flows=134217728), "prlimit", f"--as={8 << 30}")
        self.assertRegex(said, r"flows: too little memory: .* for 134217728 flows")
        self.assertNotIn("bad_alloc", said)

    def test_too_little_address_space(self):
        said = self.refused(self.good(flows=4194304), "prlimit", f"--as={700 << 20}")
        self.assertRegex(said, "flows: too little memory: .*ulimit -v")


class Expiry(GatewayCase):
    """Flows end by themselves, and give their tuples back."""

    settings = {
        "extra": """
[timeouts]
below_rfc_floor = true
tcp_syn_sent_s = 1
tcp_syn_recv_s = 1
tcp_established_s = 1
tcp_fin_wait_s = 1
tcp_close_wait_s = 1
tcp_last_ack_s = 1
tcp_time_wait_s = 1
tcp_close_s = 1
udp_s = 1
udp_stream_s = 1
icmp_s = 1
""",
        "rules": rule("outbound", "masquerade", in_="lb", ports="40000-40009"),
    }

    def test_flows_end_and_their_ports_come_back(self):
        self.serve(8000)
        for turn in range(3):
            with self.subTest(turn=turn):
                # Every port that there is, each time.
                for number in range(10):
                    source = f"10.1.0.2:{6000 + 10 * turn + number}"
                    self.assertIsNotNone(self.ask("udp", f"{POD}:8000", source))
                self.assertIsNotNone(self.ask("tcp", f"{POD}:8000"))
                self.assert_pings(POD)
                self.wait_until(lambda: self.gateway.flow_count() == 0, "all flows expired")

    def test_nothing_arrives_for_an_expired_flow(self):
        self.serve(8000)
        self.assertIsNotNone(self.ask("udp", f"{POD}:8000", "10.1.0.2:7777"))
        self.wait_until(lambda: self.gateway.flow_count() == 0, "the flow expired")
        self.assertIsNone(self.ask("udp", node(40000), namespace=self.pod))


if __name__ == "__main__":
    main()
