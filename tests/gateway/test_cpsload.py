#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cpsload through noclash and through the kernel, every connection checked; usage and Ctrl-C."""

import json
import signal
import socket

import packets
from gateway_case import LabCase, build, main
from lab.cpsload import (CLIENT, DNS_PORT, GATEWAY_CLIENT, GATEWAY_SERVER, PREFIX_LENGTH, SERVER,
                         UDP_PORT, TesterTopology, ThroughKernel, ThroughNoclash, command,
                         node_ports, run_cpsload)
from lab.process import run
from raw_host import BROADCAST

SERVICES = {"udp": ["--service", f"{GATEWAY_CLIENT}:{UDP_PORT}"],
            "dns": ["--service", f"{GATEWAY_CLIENT}:{DNS_PORT}"],
            "mix": ["--service", f"{GATEWAY_CLIENT}:30080/tcp",
                    "--service", f"{GATEWAY_CLIENT}:{UDP_PORT}/udp",
                    "--service", f"{GATEWAY_CLIENT}:{DNS_PORT}/dns"]}


# Where the tester itself loses packets it gives no verdict: it is asked again at half the rate, so
# often.
ATTEMPTS = 5
NO_VERDICT = 4
STRANGER = bytes.fromhex("020000000099")
RING_FRAMES = 4096  # of a packet socket that cpsload opens


class CpsloadCase(LabCase):
    """Each test gets a tester and a gateway, in namespaces of their own."""

    timeout_s = 120

    def setUp(self):
        super().setUp()
        self.topology = TesterTopology(self.lab)

    def noclash(self, **settings):
        gateway = ThroughNoclash(build(), self.topology, flows=200_000, **settings).start()
        self.addCleanup(lambda: self.assertEqual(gateway.stop(), 0))
        return gateway

    def run_through(self, gateway, profile, *options, connections, rate=5000):
        """Runs a profile and demands that every connection was completed without a fault."""
        services = SERVICES.get(profile, node_ports(1))
        for attempt in range(ATTEMPTS):
            done = run_cpsload(build(), self.topology, gateway, "--profile", profile, *services,
                               "--connections", connections, "--rate", rate // 2**attempt,
                               "--no-self-test", *options)
            if done.status != NO_VERDICT:
                break
        self.assertEqual(done.status, 0, (done.result, done.stderr))
        self.assertEqual(done.result["opened"], connections)
        self.assertEqual(done.result["delivered"], connections)
        self.assertEqual(done.result["completed"], connections)
        self.assertEqual(set(done.result["faults"].values()), {0})
        return done.result


class OverVeth(CpsloadCase):
    """af_packet on both sides of the daemon."""

    def test_tcp_crr(self):
        gateway = self.noclash()
        result = self.run_through(gateway, "tcp-crr", connections=10_000)
        self.assertGreaterEqual(gateway.daemon.counters()["insert"], 10_000)
        self.assertEqual(result["setup_us"]["count"], 10_000)
        self.assertGreater(result["client"]["sent"], 40_000)

    def test_lb_in_step_on_four_node_ports(self):
        gateway = self.noclash(workers=2)
        result = self.run_through(gateway, "lb", *node_ports(4)[2:], connections=20_000)
        self.assertEqual(result["answered"], 20_000)
        # Which is true of one thread on veth, and must be said.
        self.assertIn("one thread sends", result["no_race"])

    def test_lb_shuffled(self):
        self.run_through(self.noclash(), "lb", "--port-order", "shuffled", connections=10_000)

    def test_dns(self):
        self.run_through(self.noclash(workers=2), "dns", connections=10_000)

    def test_udp(self):
        self.run_through(self.noclash(), "udp", "--payload", 1000, connections=10_000)


class OverMemif(CpsloadCase):
    """The daemon and the tester share memory."""

    def test_tcp_crr(self):
        self.run_through(self.noclash(memif=True), "tcp-crr", connections=20_000, rate=10_000)

    def test_tcp_syn(self):
        self.run_through(self.noclash(memif=True), "tcp-syn", connections=10_000)

    def test_mix(self):
        self.run_through(self.noclash(memif=True), "mix", connections=10_000)

    def test_teardown_and_capacity(self):
        gateway = self.noclash(memif=True)
        for measure in ("teardown", "capacity"):
            result = self.run_through(gateway, "tcp-crr", "--measure", measure, connections=5000)
            self.assertEqual(result["held"], 5000)
        self.assertEqual(result["still_alive"], 5000)

    def test_capacity_of_a_small_table(self):
        gateway = ThroughNoclash(build(), self.topology, memif=True, flows=1024).start()
        done = run_cpsload(build(), self.topology, gateway, *node_ports(1), "--measure",
                           "capacity", "--connections", 5000, "--rate", 5000, "--rto-ms", 50,
                           "--retries", 1, "--no-self-test")
        self.assertEqual(done.status, 0, (done.result, done.stderr))
        self.assertGreater(done.result["faults"]["lost"], 0)
        # The table rounds up to what its layout needs.
        self.assertGreaterEqual(done.result["held"], 1024)
        self.assertLess(done.result["held"], 4096)
        self.assertEqual(done.result["still_alive"], done.result["held"])

    def test_search(self):
        # The rates are far below what the machine can do: the search must reach its upper end.
        done = run_cpsload(build(), self.topology, self.noclash(memif=True), *node_ports(1),
                           "--search", "--search-from", 500, "--search-to", 2000,
                           "--trial-seconds", 0.5, "--pause-seconds", 0.1, "--attempts", 5,
                           "--no-self-test")
        failed = [trial for trial in done.result["trials"] if not trial["passed"]]
        if failed:  # a busy machine, and no fault of the gateway
            self.assertEqual([trial for trial in failed if trial["loss"] > 0], [])
            return
        self.assertEqual(done.status, 0, (done.result, done.stderr))
        self.assertGreater(done.result["highest_per_second"], 1900)
        self.assertGreaterEqual(len(done.result["trials"]), 3)


class OtherGateways(CpsloadCase):
    """cpsload's verdict on other gateways."""

    def test_the_kernels_nat(self):
        gateway = ThroughKernel(self.topology).start()
        # So long that only a loss, not a busy machine, makes it repeat a packet.
        result = self.run_through(gateway, "tcp-crr", "--rto-ms", 20_000, connections=10_000)
        self.assertEqual(result["retransmissions"], 0)
        self.assertEqual(result["verdict"], "fine")

    def text_through(self, gateway, *options):
        """Status and report for people of a run through a gateway."""
        words = command(build(), gateway, *node_ports(1), "--no-self-test", *options)
        words.remove("--json")
        done = self.topology.tester.run(*words, check=False)
        return done.returncode, done.stdout

    def run_that_loses_packets(self, *, json_wanted):
        """Status and output of a run whose tester stands still while more frames come than its ring
        holds."""
        gateway = ThroughKernel(self.topology).start()
        words = command(build(), gateway, *node_ports(1), "--no-self-test", "--connections", 2000,
                        "--rate", 1000, "--rto-ms", 100)
        if not json_wanted:
            words.remove("--json")
        output = self.lab.path("output")
        tester = self.topology.tester.start(*words, name="cpsload", stdout_path=output)
        self.addCleanup(tester.stop, number=signal.SIGKILL)
        flows = ("sysctl", "-n", "net.netfilter.nf_conntrack_count")
        tester.wait_ready(lambda: int(self.topology.gateway.run(*flows).stdout) > 100)
        tester.send_signal(signal.SIGSTOP)
        stray = packets.ip(GATEWAY_SERVER, SERVER, socket.IPPROTO_UDP,
                           packets.udp(GATEWAY_SERVER, SERVER, 9, 9))
        with self.topology.gateway.packet_socket("gw-pod") as raw:
            for _ in range(3 * RING_FRAMES):
                raw.send(packets.frame(BROADCAST, STRANGER, stray))
        tester.send_signal(signal.SIGCONT)
        status = tester.wait(60)
        with open(output, encoding="utf-8") as handle:
            return status, handle.read()

    def test_the_tester_loses_packets_itself(self):
        status, text = self.run_that_loses_packets(json_wanted=True)
        result = json.loads(text)
        self.assertEqual(status, NO_VERDICT, result)
        self.assertEqual(result["verdict"], "none")
        self.assertFalse(result["fine"])
        self.assertGreater(result["lost_by_tester"]["server"], 0)

    def test_losses_of_the_tester_in_words(self):
        status, text = self.run_that_loses_packets(json_wanted=False)
        self.assertEqual(status, NO_VERDICT)
        self.assertRegex(text, r"verdict +no verdict: the tester lost [1-9][0-9]* packets")
        self.assertNotIn("nothing lost", text)

    def test_a_lost_syn_is_told(self):
        gateway = ThroughKernel(self.topology).start()
        # 40 bytes each: the first ten are lost.
        self.topology.gateway.nft("""
            table ip loss {
                chain incoming {
                    type filter hook prerouting priority raw;
                    tcp flags & (syn | ack) == syn quota until 400 bytes drop
                }
            }""")
        status, text = self.text_through(gateway, "--connections", 1000, "--rate", 2000,
                                         "--rto-ms", 500)
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r"verdict +no connection lost, but [1-9][0-9]* delayed")
        self.assertRegex(text,
                         r"delayed connections +[0-9]+, [1-9][0-9]* of them by the first packet")
        self.assertNotIn("nothing lost", text)

    def test_the_ceiling_includes_devices_of_packet_sockets(self):
        gateway = ThroughKernel(self.topology).start()
        done = run_cpsload(build(), self.topology, gateway, *node_ports(1), "--connections", 10,
                           "--rate", 1000)
        self.assertIn(done.status, (0, NO_VERDICT), (done.result, done.stderr))
        self.assertTrue(done.result["ceiling_includes_devices"])
        self.assertGreater(done.result["ceiling_per_second"], 0)
        self.assertNotIn("cpsload0", self.topology.tester.run("ip", "link").stdout)

    def test_nobody_answers(self):
        nobody = ThroughKernel(self.topology)  # not started: no addresses
        done = run_cpsload(build(), self.topology, nobody, *node_ports(1), "--no-self-test")
        self.assertEqual(done.status, 3)
        self.assertIn(f"{GATEWAY_CLIENT} does not answer ARP", done.stderr)

    def test_what_is_refused_is_lost(self):
        # No rule for this port: the gateway drops, and says nothing.
        done = run_cpsload(build(), self.topology, self.noclash(), "--service",
                           f"{GATEWAY_CLIENT}:1", "--connections", 20, "--rto-ms", 50,
                           "--retries", 1, "--no-self-test")
        self.assertEqual(done.status, 1)
        self.assertEqual(done.result["faults"]["lost"] + done.result["faults"]["reset"], 20)
        self.assertFalse(done.result["fine"])


class CommandLine(CpsloadCase):
    """Help, bad usage, interruption."""

    def test_help_and_self_test(self):
        self.assertIn("exit status", run([build().cpsload, "--help"]).stdout)
        text = run([build().cpsload, "--self-test", "--duration", 0.3]).stdout
        self.assertIn("nothing lost, duplicated or mistranslated", text)

    def test_bad_usage(self):
        for options, words in (([], "--client is missing"), (["--rate", "x"], "--client"),
                               (["--self-test", "--profile", "http"], "--profile")):
            done = run([build().cpsload, *options], check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(words, done.stderr)

    def test_a_device_that_is_not_there(self):
        done = self.topology.tester.run(
            build().cpsload, "--client", "af_packet:nope", "--server", "af_packet:pod0",
            "--client-address", f"{CLIENT}/{PREFIX_LENGTH}", "--server-address",
            f"{SERVER}/{PREFIX_LENGTH}", *node_ports(1), "--connections", 10,
            "--no-self-test", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("no interface nope", done.stderr)

    def test_interrupted(self):
        gateway = self.noclash(memif=True)
        out = self.lab.path("out.json")
        process = self.topology.tester.start(
            *command(build(), gateway, *node_ports(1), "--duration", 60, "--rate", 2000,
                     "--no-self-test"), name="cpsload", stdout_path=out)
        process.wait_ready(lambda: gateway.daemon.flow_count() > 1000)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10), 130, process.log())
        with open(out, encoding="utf-8") as handle:
            result = json.load(handle)
        self.assertTrue(result["interrupted"])
        self.assertGreater(result["completed"], 1000)
        self.assertEqual(result["faults"]["lost"], 0)


if __name__ == "__main__":
    main()
