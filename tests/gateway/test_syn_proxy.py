#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Services whose SYNs the gateway answers itself: connections of Linux with Linux go on as if it did
not, whatever either end lacks."""

import itertools

from gateway_case import main
from lab.topology import GATEWAY_POD, LB
from service_case import PORT, VIP
from syn_proxy_case import (BARE_ACKS, FIRST_WORD, KEPT, MASQUERADED, SYN_ACKS, SYNS,
                            ProxiedCase)
from transfers import MIB, content, digest, receive

ABILITIES = ("timestamps", "sack", "window_scaling")


class Transfers(ProxiedCase):
    """Files, there and back."""

    timeout_s = 300

    def limit(self, namespace, lacks):
        """Has a host offer all but `lacks` in handshakes from now on."""
        for ability in ABILITIES:
            namespace.sysctl(f"net.ipv4.tcp_{ability}", 0 if ability in lacks else 1)

    def test_whatever_either_end_lacks(self):
        """All that the client and the backend can offer, in all combinations: a backend may lack
        what its client was offered."""
        self.serve_files()
        lacks = [lacking for count in range(len(ABILITIES) + 1)
                 for lacking in itertools.combinations(ABILITIES, count)]
        for of_client, of_backend in itertools.product(lacks, lacks):
            self.limit(self.lb, of_client)
            self.limit(self.pod, of_backend)
            for port in (KEPT, MASQUERADED):
                with self.subTest(client=of_client, backend=of_backend, port=port):
                    self.assert_transfers(self.connect(port), MIB // 2)
        self.assertEqual(self.gateway.drops(), {})
        self.assert_own_segments_add_up()

    def test_some_megabytes(self):
        server = self.serve_files()
        for port, seen in ((KEPT, LB), (MASQUERADED, GATEWAY_POD)):
            with self.subTest(port):
                self.assert_transfers(self.connect(port), 8 * MIB)
                self.assertEqual(server.peers[-1][0], seen)
        self.assertEqual(self.count("syn_cookies_accepted"), 2)

    def test_many_at_once(self):
        self.serve_files()
        clients = [self.connect(port) for port in 20 * (KEPT, MASQUERADED)]
        for client in clients:
            self.assert_transfers(client, MIB // 16)
        self.assertEqual(self.count("syn_cookies_accepted"), len(clients))
        self.assert_own_segments_add_up()

    def test_a_server_that_speaks_first(self):
        """Nothing that the gateway does waits for data of the client."""
        self.serve_files(FIRST_WORD, speaks_first=MIB)
        for _ in range(20):
            client = self.connect(FIRST_WORD)
            self.assertEqual(digest(receive(client, MIB)), digest(content(MIB)))
            self.assert_transfers(client, 1000)

    def test_a_client_beside_its_backend(self):
        """On its link, or the backend itself: the gateway is the client that the backend sees."""
        server = self.serve_files()
        self.assert_transfers(self.socket(namespace=self.pod, connect=(VIP, PORT)))
        self.assertEqual(server.peers[0][0], GATEWAY_POD)
        self.assertEqual(self.count("syn_cookies_accepted"), 1)

    def test_lost_segments(self):
        """What the ends say of the rest (SACK) is true in the numbers of either."""
        self.serve_files()
        data = "meta length > 1000 numgen inc mod 50 == 0"
        with self.losing(self.lb, "input", data), self.losing(self.pod, "input", data):
            for port in (KEPT, MASQUERADED):
                self.assert_transfers(self.connect(port), 2 * MIB)
        for namespace in (self.lb, self.pod):
            self.assertGreater(self.kernel_count(namespace, "TCPSackRecovery"), 0)
            self.assertEqual(self.kernel_count(namespace, "TCPSACKDiscard"), 0)
            self.assertEqual(self.kernel_count(namespace, "PAWSEstab"), 0)


class Strict(ProxiedCase):
    """Windows are checked, too."""

    settings = {**ProxiedCase.settings, "top": 'tcp_window = "strict"'}
    test_some_megabytes = Transfers.test_some_megabytes
    test_lost_segments = Transfers.test_lost_segments


class WithoutProxy(ProxiedCase):
    """The same services, and no cookie is sent: so that the tests of the others can fail."""

    services = tuple({**keys, "syn_proxy": "off"} for keys in ProxiedCase.services)

    def test_backends_answer(self):
        self.serve_files()
        self.assert_transfers(self.connect())
        self.assertEqual(self.count("syn_cookies_sent"), 0)


class Handshakes(ProxiedCase):
    """A path that loses every third segment of a kind."""

    CONNECTIONS = 8  # which lose some of a kind, but no SYN is lost all four times

    def test_each_is_sent_again(self):
        self.serve_files()
        for namespace, hook, what in (
                (self.lb, "output", SYNS), (self.lb, "input", SYN_ACKS),
                (self.lb, "output", BARE_ACKS), (self.lb, "input", BARE_ACKS),
                (self.pod, "input", SYNS), (self.pod, "output", SYN_ACKS),
                (self.pod, "input", BARE_ACKS), (self.pod, "output", BARE_ACKS)):
            with self.subTest(f"{namespace.name}, {hook}: {what}"), \
                    self.losing(namespace, hook, f"{what} numgen inc mod 3 == 0") as lost:
                clients = [self.patient(self.connect(), 30) for _ in range(self.CONNECTIONS)]
                for client in clients:
                    self.assert_transfers(client, 10000)
                self.assertGreaterEqual(lost(), self.CONNECTIONS // 3)
                for client in clients:
                    client.close()


if __name__ == "__main__":
    main()
