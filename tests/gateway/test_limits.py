#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Limits on what one host may take of the gateway, and floods, which leave others their part."""

import sys
import threading
import time

from gateway_case import HOSTS, LabCase, main, rule
from lab.netfilter import KernelRules
from lab.process import PYTHON
from lab.topology import GATEWAY_LB, GATEWAY_POD, POD, Topology
from raw_host import ACK, SYN, RawCase, RawHost

import packets

OUTBOUND = rule("outbound", "masquerade", in_="lb")
PORTS = 256           # of the narrow pool that inside hosts share
CONNECTIONS = 60      # of a host that behaves
FLOOD = 600           # packets of one that does not
HALF_OPEN = 50        # that a service may have
SILENT = "10.2.0.60"  # a host that answers nothing


def limits(**keys):
    return "\n[limits]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())


def datagram(source, sport, destination, dport):
    return packets.ip(source, destination, packets.UDP,
                      packets.udp(source, destination, sport, dport))


def segment(source, sport, destination, dport, flags=SYN):
    return packets.ip(source, destination, packets.TCP,
                      packets.tcp(source, destination, sport, dport, flags=flags))


def half_open_ended(gateway):
    return sum(worker["datapath"]["half_open_ended"] for worker in gateway.json("stats"))


def flood_source(number):
    """An address on the link towards the load balancer that nobody has."""
    return f"10.1.{100 + number // 250}.{1 + number % 250}"


class Subscribers(RawCase):
    """An inside host that opens connections as fast as it can, and others beside it."""

    settings = {"rules": rule("outbound", "masquerade", in_="lb",
                              ports=f"20000-{20000 + PORTS - 1}"),
                "extra": limits(ports_per_subscriber=64, flows_per_subscriber=100)}

    def take_all_ports(self):
        for port in range(FLOOD):
            self.inside.send(datagram(self.INSIDE, 10000 + port, POD, 8000))
        self.wait_until(lambda: self.gateway.drops().get("subscriber_ports", 0) >= FLOOD - 64,
                        "what is over the limit is counted")

    def test_others_get_all_their_connections(self):
        """[field k] [RFC 6888 REQ-4]"""
        self.serve("8000")
        self.take_all_ports()
        result = self.lb.run(*PYTHON, HOSTS, "open", f"{POD}:8000", CONNECTIONS)
        self.assertEqual(int(result.stdout), CONNECTIONS)
        rows = self.gateway.json("subscribers", "--top", "2")
        self.assertEqual(len(rows), 2)
        flooder, = (row for row in rows if row["address"] == self.INSIDE)
        self.assertEqual((flooder["flows"], flooder["udp_ports"]), (64, 64))

    def test_who_is_over_the_limit_is_told(self):
        """[RFC 6888 REQ-4] [RFC 6888 REQ-11]"""
        self.take_all_ports()
        while self.inside.receive(timeout_s=0.3):
            pass
        refused = datagram(self.INSIDE, 9999, POD, 8000)
        self.is_dropped(self.inside, self.outside, refused, "subscriber_ports")
        error = self.arrives(self.inside, packets.ICMP)
        self.assertEqual((error.kind, error.source, error.quoted.data),
                         ((3, 1), GATEWAY_LB, refused))
        # Other protocols have ports of their own, up to the flows that there may be.
        for port in range(36):
            self.crosses(self.inside, self.outside, segment(
                self.INSIDE, 1000 + port, self.OUTSIDE, 8000))
        self.is_dropped(self.inside, self.outside,
                        segment(self.INSIDE, 2000, self.OUTSIDE, 8000), "subscriber_flows")
        self.wait_until(lambda: "subscriber_ports" in self.gateway.process.log(), "an alarm")

    def test_ended_flows_make_room(self):
        """[RFC 6888 REQ-5]"""
        self.take_all_ports()
        self.gateway.text("flows", "flush", "--source", self.INSIDE)
        self.assertEqual(self.gateway.json("subscribers"), [])
        self.crosses(self.inside, self.outside,
                     datagram(self.INSIDE, 9999, self.OUTSIDE, 8000))
        row, = self.gateway.json("subscribers")
        self.assertEqual((row["address"], row["flows"]), (self.INSIDE, 1))


def service(name, port, backend):
    return rule(name, "dnat", in_="lb", protocol="tcp", to=f"{GATEWAY_LB}/32", to_port=port,
                target=f"{backend}:80", source="masquerade")


class SynFlood(RawCase):
    """SYNs from addresses that do not exist, to a backend that is overwhelmed already."""

    settings = {"rules": service("silent", 30080, SILENT) + service("alive", 30081, POD) + OUTBOUND,
                "extra": limits(half_open_per_service=HALF_OPEN, half_open_per_source=20)}

    def test_half_open_connections_are_bounded(self):
        """[field e]: by service whatever the source says, and by source."""
        silent_host = self.outside_host(SILENT)
        here, there = (self.INSIDE, 5555), (self.OUTSIDE, 7000)
        end = self.establish(here, there)
        for number in range(FLOOD):
            self.inside.send(segment(flood_source(number), 1024 + number, GATEWAY_LB, 30080))

        def refused():  # by a worker that has none of them yet: at the beginning
            return self.gateway.drops().get("half_open_service", 0)
        # The oldest go, so the last one can still be answered.
        self.wait_until(lambda: half_open_ended(self.gateway) + refused() == FLOOD - HALF_OPEN,
                        "what is over the limit is counted")
        self.assertLess(refused(), HALF_OPEN)
        silent, = (row for row in self.gateway.json("rules") if row["name"] == "silent")
        self.assertEqual((silent["half_open"], silent["hits"]), (HALF_OPEN, FLOOD - refused()))
        for host in (silent_host, self.outside, self.inside):  # whose sockets the flood has filled
            while host.receive(timeout_s=0.5) is not None:
                pass
        syn = None
        for _ in range(10):  # a client sends its SYN again, too
            self.inside.send(segment(self.INSIDE, 5554, GATEWAY_LB, 30080))
            syn = syn or silent_host.receive(lambda packet: packet.protocol == packets.TCP, 0.5)
        self.assertEqual((syn.source, syn.ports[0]), (GATEWAY_POD, self.port_of(5554)))
        # The open connections go on, and other connections open.
        sent = self.crosses(self.inside, self.outside, self.tcp(
            here, there, ACK, sequence=2, acknowledgment=2, payload=b"still here"))
        self.assertEqual((sent.ends[0], sent.payload), (end, b"still here"))
        self.assertIsNotNone(self.establish((self.INSIDE, 5556), there))
        # One source that opens many, wherever to.
        for port in range(40):
            self.inside.send(segment(self.INSIDE, 6000 + port, self.OUTSIDE, 7000))
        # One of its 20 is the connection above.
        self.wait_until(lambda: self.gateway.drops().get("half_open_source", 0) == 21,
                        "what one source has too many is counted")

    def port_of(self, source_port):
        """The outside port of the inside host's flow."""
        return self.flow(source_port)["reply"]["destination_port"]

    def test_a_service_that_answers_has_room_again(self):
        """[field e]: connections that get established or end are not half open any more."""
        self.serve("80")
        for round_ in range(2):
            result = self.lb.run(*PYTHON, HOSTS, "open", f"{GATEWAY_LB}:30081",
                                 CONNECTIONS, "tcp")
            self.assertEqual(int(result.stdout), CONNECTIONS, round_)
        self.assertEqual(self.gateway.drops().get("half_open_service", 0), 0)
        self.wait_until(lambda: all(row["half_open"] == 0 for row in self.gateway.json("rules")),
                        "no connection is half open")


class SynFloodByDefault(RawCase):
    """Nothing is limited by configuration; sources that do not exist open connections to a service
    whose backend answers all of them."""

    timeout_s = 120
    settings = {"rules": service("alive", 30081, POD) + OUTBOUND, "flows": 32768}
    RATE = 15000  # SYNs a second: what the gateway's part of this machine takes without loss

    def flood(self, done):
        number = 0
        mac = self.gateway_mac()
        frames = [packets.frame(mac, b"\2\0\0\0\0\1", segment(
            flood_source(n % 30000), 1024 + n % 60000, GATEWAY_LB, 30081)) for n in range(60000)]
        link = self.lb.packet_socket("lb0")
        self.addCleanup(link.close)
        begin = time.monotonic()
        while not done.is_set():
            try:
                link.send(frames[number % len(frames)])
            except OSError:  # its queue is full
                time.sleep(0.001)
                continue
            number += 1
            time.sleep(max(0, begin + number / self.RATE - time.monotonic()))
        self.sent = number

    def test_outbound_and_the_service_live(self):
        """[field e] [RFC 4787 REQ-11]: the oldest half-open connections of the service go."""
        self.serve("80", "8000")
        done = threading.Event()
        flood = threading.Thread(target=self.flood, args=(done,))
        flood.start()
        try:
            self.wait_until(lambda: half_open_ended(self.gateway) > 0 or
                            self.gateway.drops().get("table_full", 0) > 0,
                            "the flood has taken all that it may", 60)
            outbound = self.lb.run(*PYTHON, HOSTS, "open", f"{POD}:8000", CONNECTIONS,
                                   "tcp").stdout
            served = self.lb.run(*PYTHON, HOSTS, "connect", f"{GATEWAY_LB}:30081",
                                 12).stdout
            rows = self.gateway.json("stats")
        finally:
            done.set()
            flood.join()
        print(f"\n{self.sent} SYNs, of which {half_open_ended(self.gateway)} had to go: outbound "
              f"{outbound.strip()} of {CONNECTIONS}, the service {served.strip()} of 12",
              file=sys.stderr)
        self.assertEqual((int(outbound), int(served)), (CONNECTIONS, 12), rows)
        self.assertLessEqual(self.gateway.flow_count(), 32768 * 0.75 + 2 * CONNECTIONS)
        self.assertEqual(self.gateway.drops().get("table_full", 0), 0)


class Unanswered(RawCase):
    """A service with a backend that answers nothing, and timeouts that a test can wait for."""

    settings = {"rules": service("silent", 30080, SILENT),
                "extra": limits(half_open_per_service=HALF_OPEN) +
                "\n[timeouts]\nbelow_rfc_floor = true\ntcp_syn_sent_s = 1\n"}

    def test_syns_without_answer_are_counted(self):
        """[field e]: for each backend, when they end."""
        self.outside_host(SILENT)
        for port in range(10):
            self.inside.send(segment(self.INSIDE, 3000 + port, GATEWAY_LB, 30080))

        def backends():
            row, = self.gateway.json("rules")
            return row["backends"], row["half_open"]
        self.wait_until(lambda: backends() == ([{"target": f"{SILENT}:80", "unanswered": 10}], 0),
                        "ten SYNs have had no answer", 30)


class Unfinished(RawCase):
    """A pool of so many addresses that the search for a port comes to no end."""

    settings = {"rules": '[[pool]]\nname = "wide"\naddresses = ["10.2.64.0-10.2.67.255"]\n'
                         'ports = "5000-5000"\npooling = "arbitrary"\n\n' +
                rule("outbound", "snat", in_="lb", pool="wide"),
                "workers": 1}

    def test_the_sender_is_told(self):
        """[RFC 6888 REQ-11]: of a search that is broken off, too."""
        def timeouts():
            return self.gateway.drops().get("search_timeout", 0)
        for port in range(10000, 14000):
            self.inside.send(self.udp((self.INSIDE, port), (self.OUTSIDE, 7000)))
            if port % 100 == 0 and timeouts() > 0:
                break
        self.wait_until(lambda: timeouts() > 0, "a search is broken off")
        error = self.inside.receive(lambda packet: packet.protocol == packets.ICMP, 5)
        self.assertIsNotNone(error)
        self.assertEqual((error.kind, error.source), ((3, 1), GATEWAY_LB))
        self.assertEqual(error.quoted.source, self.INSIDE)


class Rejected(RawCase):
    """A rule that says no, and says so."""

    settings = {"rules": rule("no", "reject", in_="lb", protocol="udp", to_port=9) +
                rule("never", "drop", in_="lb", protocol="udp", to_port=10) + OUTBOUND}

    def test_the_sender_is_told(self):
        """[RFC 5508 REQ-8]"""
        refused = self.udp((self.INSIDE, 1234), (self.OUTSIDE, 9))
        self.is_dropped(self.inside, self.outside, refused, "rejected")
        error = self.arrives(self.inside, packets.ICMP)
        self.assertEqual((error.kind, error.source, error.quoted.data),
                         ((3, 13), GATEWAY_LB, refused))
        self.is_dropped(self.inside, self.outside,
                        self.udp((self.INSIDE, 1234), (self.OUTSIDE, 10)), "rule")
        self.assertIsNone(self.inside.receive(timeout_s=0.3))
        self.assertEqual(self.gateway.rule_hits(), {"no": 1, "never": 1, "outbound": 0})


class EarlyDrop(RawCase):
    """The smallest table, and leave to end flows that nobody has answered."""

    settings = {"rules": OUTBOUND, "flows": 1024, "workers": 1,
                "extra": limits(early_drop="true")}

    def test_flows_without_answer_make_room(self):
        """A flood fills the table; who comes then gets in, and what is assured stays."""
        end = self.establish((self.INSIDE, 5555), (self.OUTSIDE, 7000))
        for port in range(10000, 12048):
            self.inside.send(self.udp((self.INSIDE, port), (self.OUTSIDE, 7000)))
        self.wait_until(lambda: self.gateway.counters()["early_drop"] > 0, "the table is full")
        while self.outside.receive(timeout_s=0.3):
            pass
        for port in range(2000, 2020):
            self.crosses(self.inside, self.outside,
                         self.udp((self.INSIDE, port), (self.OUTSIDE, 7001)))
        sent = self.crosses(self.inside, self.outside, self.tcp(
            (self.INSIDE, 5555), (self.OUTSIDE, 7000), ACK, sequence=2, acknowledgment=2,
            payload=b"still here"))
        self.assertEqual((sent.ends[0], sent.payload), (end, b"still here"))


class KernelCase(LabCase):
    """netfilter under the same floods; it has no such limits of its own."""

    def start(self, *, incoming=(), outgoing=()):
        self.topology = Topology(self.lab)
        kernel = KernelRules("netfilter", incoming=incoming, outgoing=outgoing)
        kernel.start(self.topology)
        path = "/sys/class/net/gw-lb/address"
        mac = bytes.fromhex(self.topology.gateway.run("cat", path).stdout.strip().replace(":", ""))
        self.inside = RawHost(self.topology.lb, "lb0", "10.1.0.50", gateway=GATEWAY_LB,
                              gateway_mac=mac)
        self.addCleanup(self.inside.close)

    def entries(self):
        return self.topology.gateway.run("conntrack", "-L", check=False).stdout

    def test_one_host_takes_all_ports(self):
        """[field k]: what noclash's limits keep free for others, netfilter gives away."""
        self.start(outgoing=[f'oifname "gw-pod" meta l4proto {{ tcp, udp }} masquerade to '
                             f":20000-{20000 + PORTS - 1}"])
        server = self.topology.pod.start(*PYTHON, HOSTS, "serve", "8000",
                                         name="peer-server")
        server.wait_ready(lambda: "ready" in server.log())
        for port in range(FLOOD):
            self.inside.send(datagram("10.1.0.50", 10000 + port, POD, 8000))
        result = self.topology.lb.run(*PYTHON, HOSTS, "open", f"{POD}:8000", CONNECTIONS)
        print(f"\nnetfilter let {result.stdout.strip()} of {CONNECTIONS} connections open beside "
              "a host that takes all ports", file=sys.stderr)
        self.assertLess(int(result.stdout), CONNECTIONS)

    def test_half_open_connections_are_not_bounded(self):
        """[field e]"""
        self.start(incoming=[f"ip daddr {GATEWAY_LB} tcp dport 30080 dnat to {SILENT}:80"])
        self.topology.gateway.ip("neighbor", "replace", SILENT, "lladdr", "02:00:0a:02:00:3c",
                                 "dev", "gw-pod", "nud", "permanent")
        for number in range(FLOOD):
            self.inside.send(segment(flood_source(number), 1024 + number, GATEWAY_LB, 30080))
        half_open = sum(state in line for line in self.entries().splitlines()
                        for state in ("SYN_SENT", "SYN_RECV"))
        print(f"\nnetfilter keeps {half_open} half-open connections of {FLOOD} SYNs",
              file=sys.stderr)
        self.assertGreater(half_open, HALF_OPEN)


if __name__ == "__main__":
    main()
