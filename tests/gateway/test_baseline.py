#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The machine's own netfilter where the other tests put the gateway: what it does of the failures
in the field. docs/rfc.md says what was seen, in its column "netfilter".

Losses by chance depend on the kernel and the number of CPUs; that the instrument sees exactly what
netfilter itself counts does not."""

import sys

from gateway_case import GatewayCase, build, main
from lab.netfilter import Netfilter, NetfilterBalancer
from lab.storm import run_storm
from lab.topology import POD
from raw_host import ACK, RST, SYN, KernelRawCase

import packets


class Netfilters(GatewayCase):
    """The loads of test_storm."""

    starts_gateway = False

    def test_connections_in_step(self):
        """[field a]: what is lost are the connections whose tuples clashed."""
        contestant = Netfilter("masquerade")
        contestant.start(self.topology)
        result = run_storm(build().storm, self.topology, contestant)
        self.assertEqual((result.delivered + result.lost, result.duplicated), (result.sent, 0))
        self.assertEqual(result.lost, result.insert_failed)
        print(f"\nnetfilter lost {result.lost} of {result.sent} connections to clashes",
              file=sys.stderr)

    def test_pairs_of_questions(self):
        """[field b]: nothing is lost, but where two questions clash, two resolvers may answer."""
        self.topology.add_backends()
        contestant = NetfilterBalancer()
        contestant.start(self.topology)
        result = run_storm(build().storm, self.topology, contestant, protocol="udp", pairs=True,
                           connections=4000)
        self.assertEqual(result.delivered + result.lost, result.sent)
        self.assertLessEqual(result.split_pairs, result.counters["clash_resolve"])
        print(f"\nnetfilter split {result.split_pairs} of {result.sent // 2} pairs over two "
              f"resolvers; {result.counters['clash_resolve']} clashed", file=sys.stderr)


class Strays(KernelRawCase):
    """The segments of test_field, from an inside host whose source is masqueraded."""

    def setUp(self):
        super().setUp()
        self.here, self.there = (self.INSIDE, 5555), (self.OUTSIDE, 7000)

    def leaks(self, packet):
        """Whether a packet leaves with the source that it came with."""
        self.inside.send(packet)
        arrived = self.outside.receive(lambda seen: seen.protocol == packets.TCP, 2)
        return arrived is not None and arrived.source == self.INSIDE

    def test_what_fits_no_connection_leaves_untranslated(self):
        """[field h]: a stray RST, and a segment far out of the window: the inside address is
        shown, and what answers it finds no way back."""
        self.assertTrue(self.leaks(self.tcp((self.INSIDE, 5556), self.there, RST)))
        self.establish(self.here, self.there)
        self.assertFalse(self.leaks(self.tcp(self.here, self.there, ACK, sequence=2,
                                             acknowledgment=2, payload=b"in the window")))
        self.assertTrue(self.leaks(self.tcp(self.here, self.there, ACK, sequence=0x7fffffff,
                                            acknowledgment=2, payload=b"stray")))

    def test_blind_resets_close_nothing(self):
        """[field h]: a RST that does not hit the very sequence number is not believed."""
        end = self.establish(self.here, self.there)
        for sequence in range(3, 1 << 32, 1 << 26):
            self.outside.send(self.tcp(self.there, end, RST, sequence=sequence))
        self.outside.send(self.tcp(self.there, end, ACK, sequence=2, acknowledgment=2,
                                   payload=b"still here"))
        arrived = self.inside.receive(lambda seen: seen.payload == b"still here", 5)
        self.assertIsNotNone(arrived)
        self.assertIn("ESTABLISHED", self.tracked())


class Neighbors(GatewayCase):
    """As in test_router, with timers that are as short."""

    starts_gateway = False

    def test_silently_moved_neighbor_recovers(self):
        """[field j]: netfilter's router asks again by itself, too."""
        Netfilter("masquerade").start(self.topology)
        for name, value in (("base_reachable_time_ms", 1000), ("delay_first_probe_time", 1)):
            self.topology.gateway.sysctl(f"net.ipv4.neigh.gw-pod.{name}", value)
        self.assert_pings(POD)
        self.pod.ip("link", "set", "pod0", "address", "02:00:00:00:77:01")
        self.wait_until(lambda: "1 received" in self.ping(POD, "-W", "1"),
                        "the kernel asks the moved neighbour again", 50)


if __name__ == "__main__":
    main()
