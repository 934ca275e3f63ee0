#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Links that go down, interfaces that are deleted and made again, and what is lost meanwhile."""

import os
import signal

from gateway_case import GatewayCase, build, main
from lab.noclash import Noclash
from lab.process import PYTHON
from lab.topology import (GATEWAY_LB, GATEWAY_POD, LB, NODE_PORT, POD, POD_PORT, PREFIX_LENGTH)


class Links(GatewayCase):
    """The gateway of most tests: af_packet, two workers that nap."""

    def port(self, name, gateway=None):
        rows = (gateway or self.gateway).json("ports")
        return next(row for row in rows if row["name"] == name)

    def lines(self, text):
        """How many lines of the daemon's log say so."""
        return self.gateway.process.log().count(text)

    def wait_for_link(self, name, state):
        self.wait_until(lambda: self.port(name)["link"] == state, f"port {name} is {state}")

    def datagrams(self, count, destination=POD):
        """Sends so many datagrams that nobody answers, from one socket of the load balancer."""
        program = ("import socket, sys\n"
                   "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                   "s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)\n"
                   f"for _ in range({count}): s.sendto(b'x', ('{destination}', 9))\n")
        self.lb.run(*PYTHON, "-c", program)

    def set_up_lb(self):
        """The load balancer's end of a link that was made anew."""
        self.lb.ip("address", "add", f"{LB}/{PREFIX_LENGTH}", "dev", "lb0")
        self.lb.ip("route", "replace", "default", "via", GATEWAY_LB)

    def test_a_link_that_goes_down_is_shown_logged_once_and_comes_back(self):
        self.assert_pings(POD)
        before = self.port("pod")
        self.assertEqual((before["link"], before["link_changes"]), ("up", 0))
        self.pod.ip("link", "set", "pod0", "down")  # our end loses its carrier
        self.wait_for_link("pod", "down")
        self.assertEqual(self.port("lb")["link"], "up")
        self.assertLessEqual(self.port("pod")["link_s"], 15)
        self.datagrams(50)
        self.wait_until(lambda: self.gateway.drops().get("link_down", 0) >= 50,
                        "what is sent to a link that is down is counted")
        self.pod.ip("link", "set", "pod0", "up")
        self.wait_for_link("pod", "up")
        self.assertEqual(self.port("pod")["link_changes"], 2)
        self.assert_pings(POD)
        self.assertEqual(self.lines("port pod: link down"), 1)
        self.assertEqual(self.lines("port pod: link up again"), 1)
        text = self.gateway.text("ports")
        self.assertRegex(text, r"link +link_s +link_changes")

    def test_an_interface_that_is_switched_off_comes_back(self):
        for _ in range(3):
            self.topology.gateway.ip("link", "set", "gw-lb", "down")
            self.wait_for_link("lb", "down")
            self.topology.gateway.ip("link", "set", "gw-lb", "up")
            self.wait_for_link("lb", "up")
        self.assert_pings(POD)
        self.assertEqual(self.port("lb")["link_changes"], 6)
        self.assertEqual(self.port("lb")["reopened"], 0)

    def test_an_interface_that_is_deleted_and_made_again(self):
        self.serve(POD_PORT)
        # nobody answers; neighbours known
        asked = self.ask("udp", f"{GATEWAY_LB}:53", f"{LB}:4000")
        self.assertIsNone(asked)
        self.assertIsNotNone(self.ask("tcp", f"{GATEWAY_LB}:{NODE_PORT}"))
        before = self.port("lb")
        self.assertGreater(before["rx_packets"], 0)
        for times in range(1, 4):
            self.topology.gateway.ip("link", "delete", "gw-lb")
            self.wait_for_link("lb", "gone")
            self.assertIn("1 received", self.ping(GATEWAY_POD, namespace=self.pod))
            descriptors = self.descriptors()
            self.lab.link((self.lb, "lb0"), (self.topology.gateway, "gw-lb"))
            self.set_up_lb()
            self.wait_for_link("lb", "up")
            # The host has another MAC address now, which is believed when the old one is silent.
            self.wait_until(lambda: "1 received" in self.ping(GATEWAY_LB), "the host is answered")
            self.assertIsNotNone(self.ask("tcp", f"{GATEWAY_LB}:{NODE_PORT}"))
            after = self.port("lb")
            self.assertEqual(after["reopened"], times)
            self.assertEqual(after["mac"].replace(":", ""), self.gateway_mac().hex())
            self.assertGreater(after["rx_packets"], before["rx_packets"])
            self.assertEqual(self.descriptors() - descriptors, 2)  # a socket for each worker
            before = after
        self.assertEqual(self.lines("port lb: interface gw-lb has gone"), 3)
        self.assertEqual(self.lines("port lb: interface gw-lb is there again"), 3)

    def descriptors(self):
        """How many packet sockets the daemon has."""
        own = set()
        folder = f"/proc/{self.gateway.process.pid}/fd"
        for name in os.listdir(folder):
            target = os.readlink(os.path.join(folder, name))
            if target.startswith("socket:["):
                own.add(target[8:-1])
        with open(f"/proc/{self.gateway.process.pid}/net/packet", encoding="ascii") as handle:
            return sum(line.split()[-1] in own for line in handle)

    def test_a_flow_lives_on_when_its_interface_is_made_again(self):
        self.serve(7001)
        first = self.ask("udp", f"{POD}:7001", f"{LB}:4001")
        self.assertIsNotNone(first)
        self.topology.gateway.ip("link", "delete", "gw-pod")
        self.wait_for_link("pod", "gone")
        self.datagrams(20)
        self.assertGreaterEqual(self.gateway.drops().get("link_down", 0), 20)
        self.lab.link((self.pod, "pod0"), (self.topology.gateway, "gw-pod"))
        self.pod.ip("address", "add", f"{POD}/{PREFIX_LENGTH}", "dev", "pod0")
        self.wait_for_link("pod", "up")
        # The pod's MAC is another: the gateway asks again, though it knew one.
        self.wait_until(lambda: self.ask("udp", f"{POD}:7001", f"{LB}:4001") == first,
                        "the same flow, through the same port")

    def test_an_interface_that_gets_another_mac_address(self):
        self.assert_pings(POD)
        self.topology.gateway.ip("link", "set", "gw-lb", "address", "02:00:00:00:88:01")
        # The load balancer still knows the old one, and is told.
        self.wait_until(lambda: "1 received" in self.ping(POD), "the new address is announced")
        self.assertEqual(self.port("lb")["mac"], "02:00:00:00:88:01")
        self.assertEqual(self.lines("port lb: interface gw-lb has the MAC address"), 1)

    def test_an_interface_that_goes_to_another_namespace_and_returns(self):
        self.topology.gateway.ip("link", "set", "gw-lb", "netns", self.pod.name)
        self.wait_for_link("lb", "gone")
        self.pod.ip("link", "set", "gw-lb", "netns", self.topology.gateway.name)
        self.topology.gateway.ip("link", "set", "gw-lb", "up")
        self.wait_for_link("lb", "up")
        self.assert_pings(POD)

    def test_both_interfaces_at_once_and_the_daemon_ends_without_them(self):
        for name in ("gw-lb", "gw-pod"):
            self.topology.gateway.ip("link", "delete", name)
        self.wait_for_link("lb", "gone")
        self.wait_for_link("pod", "gone")
        # In the other order, so that DPDK's numbers change places.
        self.lab.link((self.pod, "pod0"), (self.topology.gateway, "gw-pod"))
        self.wait_for_link("pod", "up")
        self.lab.link((self.lb, "lb0"), (self.topology.gateway, "gw-lb"))
        self.wait_for_link("lb", "up")
        self.set_up_lb()
        self.pod.ip("address", "add", f"{POD}/{PREFIX_LENGTH}", "dev", "pod0")
        # The pod got its address too late to answer when the link came up: it is asked again
        # after `refresh_s`.
        self.wait_until(lambda: "1 received" in self.ping(POD), "the pod is found", timeout_s=40)
        self.topology.gateway.ip("link", "delete", "gw-lb")
        self.wait_for_link("lb", "gone")  # and it ends in order, as tearDown demands


class Losses(GatewayCase):
    """One worker, so that each frame has one ring to go to."""

    settings = {"workers": 1}
    port = Links.port
    datagrams = Links.datagrams

    def test_what_a_full_ring_drops_is_counted(self):
        sent = 6000  # a ring holds 4,096
        self.assert_pings(POD)
        before = self.port("lb")
        self.gateway.process.send_signal(signal.SIGSTOP)
        try:
            self.datagrams(sent)
        finally:
            self.gateway.process.send_signal(signal.SIGCONT)

        def seen():
            after = self.port("lb")
            return [after[name] - before[name] for name in ("rx_packets", "rx_missed")]
        self.wait_until(lambda: sum(seen()) >= sent, "every frame is received or counted as lost")
        received, missed = seen()
        self.assertGreaterEqual(missed, sent - 4096)
        self.assertLess(received + missed, sent + 100, "and none twice; ARP may be among them")
        self.assertRegex(self.gateway.text("ports"), rf"lb +rx_missed +{missed} ")
        self.assertRegex(self.gateway.text("stats"), rf"lb +rx_missed +{missed} ")


class Naps(GatewayCase):
    """Workers that sleep, and are woken by their devices."""

    def counted(self, name):
        return sum(worker["datapath"][name] for worker in self.gateway.json("stats"))

    def test_a_frame_ends_a_nap(self):
        count = 20
        self.assert_pings(POD)
        before = self.counted("woken")
        self.assert_pings(POD, "-i", "0.05", count=count)
        # Each way of each ping, if it did not come to a worker that was just awake.
        self.assertGreater(self.counted("woken") - before, count / 2)
        self.assertGreaterEqual(self.counted("naps"), self.counted("woken"))

    def test_naps_end_though_nothing_comes(self):
        before = self.counted("naps")
        self.wait_until(lambda: self.counted("naps") > before + 100, "workers look at their timers")


class MixedNaps(Naps):
    """One port wakes nobody: the other still does."""

    starts_gateway = False

    def setUp(self):
        super().setUp()
        self.gateway = Noclash(build(), workers=1, pod_device="ring:a")
        self.gateway.start(self.topology, wait=False)
        self.addCleanup(lambda: self.assertEqual(self.gateway.stop(), 0))

    def test_a_frame_ends_a_nap(self):
        self.assert_pings(GATEWAY_LB)
        before = self.counted("woken")
        self.assert_pings(GATEWAY_LB, "-i", "0.05", count=20)
        self.assertGreater(self.counted("woken") - before, 10)


if __name__ == "__main__":
    main()
