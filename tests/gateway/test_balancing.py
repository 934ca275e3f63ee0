#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which backend a connection goes to, and whom the backend sees: real hosts, two workers."""

import collections
import os
import socket

from gateway_case import HOSTS, main
from lab.process import PYTHON
from lab.topology import DNS_PORT, GATEWAY_POD, LB, LB_SOURCES
from service_case import BACKENDS, VIP, ServiceCase, at, service, toml

POOL_ADDRESS = "10.2.0.77"
POOL = f'\n[[pool]]\nname = "public"\naddresses = ["{POOL_ADDRESS}"]\n'
CONNECTIONS = 300


class Choice(ServiceCase):
    """Weights, affinity, health."""

    services = (service(),
                service("client", ports=81, affinity="client"),
                service("weighted", ports=82, backends=[
                    {"address": at(BACKENDS[0], 82), "weight": 1},
                    {"address": at(BACKENDS[1], 82), "weight": 4},
                    {"address": at(BACKENDS[2], 82), "weight": 0}]))

    def shares(self, **options):
        """How many of CONNECTIONS each backend has got."""
        return collections.Counter(backend for _, (backend, _) in
                                   self.asked(CONNECTIONS, **options))

    def test_all_backends_have_their_share(self):
        self.serve_all()
        shares = self.shares()
        self.assertEqual(set(shares), set(BACKENDS))
        self.assertGreater(min(shares.values()), CONNECTIONS / 3 / 2, shares)
        openings = {name: row["openings"] for name, row in self.backend_rows().items()}
        self.assertEqual(openings, {at(backend): shares[backend] for backend in BACKENDS})

    def test_weights(self):
        self.serve_all(82)
        shares = self.shares(port=82)
        self.assertEqual(set(shares), set(BACKENDS[:2]), "nothing goes to a weight of 0")
        self.assertAlmostEqual(shares[BACKENDS[1]] / CONNECTIONS, 0.8, delta=0.12)

    def test_a_client_stays_at_its_backend(self):
        self.serve(*(at(backend) for backend in BACKENDS))  # of all services, on the same port
        used = set()
        for source in LB_SOURCES:
            backends = {backend for _, (backend, _) in self.asked(6, port=81, source=source)}
            self.assertEqual(len(backends), 1, source)
            used |= backends
        self.assertGreater(len(used), 1, "16 clients are spread all the same")

    def test_a_client_leaves_a_backend_of_weight_0(self):
        """And one that drains or is down, for its new connections; later it comes back."""
        self.serve_all()
        self.change({"op": "set", "service": service("sticky", ports=83, affinity="client")})

        def weight(backend, value):
            return {"op": "set_backend", "name": "sticky", "backend": backend, "weight": value}

        def backend_of_client():
            backends = {backend for _, (backend, _) in self.asked(6, port=83)}
            self.assertEqual(len(backends), 1, "one client, one backend")
            return backends.pop()
        home = backend_of_client()
        backend = at(home)
        for leaves, returns in (
                (weight(backend, 0), weight(backend, 1)),
                (self.drain(backend, "sticky"), self.drain(backend, "sticky", "undrain")),
                (self.health(backend, False, "sticky"), self.health(backend, True, "sticky"))):
            with self.subTest(leaves["op"]):
                self.change(leaves)
                self.assertNotEqual(backend_of_client(), home)
                self.change(returns)
                self.assertEqual(backend_of_client(), home)

    def test_one_that_is_down_gets_nothing_and_all_down_means_all(self):
        self.serve_all()
        self.change(self.health(at(BACKENDS[0]), False))
        self.assertEqual(set(self.shares()), set(BACKENDS[1:]))
        self.change(*(self.health(at(backend), False) for backend in BACKENDS))
        self.assertEqual(self.service_row()["condition"], "all_down")
        self.assertEqual(set(self.shares()), set(BACKENDS))
        self.change(self.health(at(BACKENDS[2]), True))
        self.assertEqual(set(self.shares()), {BACKENDS[2]})

    def test_when_all_drain_they_serve(self):
        self.serve_all()
        self.only()
        self.assertEqual(self.service_row()["condition"], "draining")
        self.assertEqual(set(self.shares()), set(BACKENDS))


class Sources(ServiceCase):
    """Whom backends see."""

    services = tuple(service(f"{protocol}-{ports}", protocol=protocol, ports=ports, source=source,
                             backends=[at(backend) for backend in BACKENDS])
                     for protocol in ("tcp", "udp")
                     for ports, source in ((80, "keep"), (81, "masquerade"), (82, "pool:public")))
    settings = {**ServiceCase.settings, "extra": POOL}

    def test_sources(self):
        self.serve_all()
        for protocol in ("tcp", "udp"):
            for port, source in ((80, LB), (81, GATEWAY_POD), (82, POOL_ADDRESS)):
                with self.subTest(protocol=protocol, source=source):
                    seen = {address for (address, _), _ in
                            self.asked(20, protocol=protocol, port=port)}
                    self.assertEqual(seen, {source})


class Pairs(ServiceCase):
    """Two queries, A and AAAA, leave one socket at the same instant."""

    timeout_s = 120
    COUNT = int(os.environ.get("NOCLASH_PAIRS", "2000"))  # 20000 is a soak
    services = (service("dns", protocol="udp", ports=DNS_PORT,
                        backends=[at(backend, DNS_PORT) for backend in BACKENDS]),)

    def test_both_are_answered_by_one_backend(self):
        """[field b]"""
        self.serve_all(DNS_PORT)
        result = self.lb.run(*PYTHON, HOSTS, "pairs", at(VIP, DNS_PORT), self.COUNT,
                             timeout_s=100)
        self.assertEqual(result.stdout.split(), [str(self.COUNT), str(self.COUNT)],
                         self.gateway.drops())
        used = [row for row in self.backend_rows("dns").values() if row["openings"] > 0]
        self.assertEqual(len(used), len(BACKENDS))


class Reload(ServiceCase):
    """Datagrams of a connection, as QUIC's, while the configuration around them changes."""

    services = (service("quic", protocol="udp", ports=443,
                        backends=[at(backend, 443) for backend in BACKENDS]),)
    SOCKETS = 20

    def test_flows_stay_where_they_are(self):
        self.serve_all(443)
        clients = [self.socket(socket.SOCK_DGRAM, connect=(VIP, 443)) for _ in range(self.SOCKETS)]

        def seen():
            """By each client's server: the client's end and the server's."""
            answers = []
            for client in clients:
                client.send(b"?")
                answers.append(client.recv(200))
            return answers
        before = seen()
        self.assertGreater(len({answer.split()[1] for answer in before}), 1)
        other = service("other", ports=8443)
        for services in ((*self.services, other), (other, *self.services), self.services):
            self.gateway.change_configuration(
                rules=toml(*services), extra=POOL if len(services) > 1 else "")
            outcome = self.gateway.json("reload")[-1]["outcome"]
            self.assertTrue(outcome["applied"], outcome)
            self.assertEqual(outcome["flows"]["ended"], 0)
            self.assertEqual(seen(), before)
        # Only flows of a backend that drains move.
        drained = before[0].split()[1].decode().split(":")[0]
        self.change(self.drain(at(drained, 443), "quic"))
        for was, now in zip(before, seen()):
            if drained.encode() in was.split()[1]:
                self.assertNotIn(drained.encode(), now.split()[1])
                self.assertEqual(now.split()[0], was.split()[0], "the same client's end")
            else:
                self.assertEqual(now, was)


if __name__ == "__main__":
    main()
