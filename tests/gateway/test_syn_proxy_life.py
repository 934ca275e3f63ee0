#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The life of connections whose SYN the gateway has answered: how they end, what outlives a
restart, and ports that are used again."""

import signal
import socket
import sys
import threading

from gateway_case import main
from lab.topology import LB
from restart_case import NAME
from service_case import BACKENDS, PORT, VIP, at, toml, vanish
from syn_proxy_case import KEPT, MASQUERADED, SYNS, ProxiedCase, proxied
from transfers import GET, MIB, ask, content, digest, linger_never, receive

# A client that does nothing but be connected, from its own port, until it is killed.
HOLDER = """
import socket, struct, sys, time
end = socket.socket()
end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
end.bind((sys.argv[1], int(sys.argv[2])))
end.connect((sys.argv[3], int(sys.argv[4])))
end.sendall(b"p" + bytes(4))
end.recv(32)
print("ready", flush=True)
time.sleep(1000)
"""


class Refusals(ProxiedCase):
    """Clients believe in a connection that the backend does not want."""

    def test_a_port_that_is_closed(self):
        for port in (KEPT, MASQUERADED):
            with self.subTest(port), self.assertRaises(ConnectionResetError):
                self.connect(port).recv(100)  # the RST may be faster than `connect`
        self.assertEqual(self.count("syn_cookies_accepted"), 2)

    def test_a_backend_that_is_silent(self):
        """It is asked four times within 15 s; then the client is told."""
        with self.losing(self.pod, "input", SYNS) as lost:
            client = self.patient(self.connect(), 30)
            with self.assertRaises(ConnectionResetError):
                client.recv(100)
            self.assertEqual(lost(), 4)
        self.assertEqual((self.count("syn_proxy_retries"), self.count("syn_proxy_unanswered")),
                         (3, 1))
        self.assertEqual(self.gateway.flow_count(), 0)

    def test_one_that_answers_late(self):
        """The client's data waits for it."""
        self.serve_files()
        with self.losing(self.pod, "input", SYNS):
            client = self.patient(self.connect(), 30)
            ask(client, GET, MIB)
            self.wait_for_count("syn_proxy_retries", 2)
        self.assertEqual(digest(receive(client, MIB)), digest(content(MIB)))

    def test_a_client_that_leaves_before_its_backend_answers(self):
        with self.losing(self.pod, "input", SYNS):
            client = self.connect()
            self.wait_for_count("syn_proxy_retries", 1)
            linger_never(client)
            client.close()
            self.wait_until(lambda: self.states() == ["CLOSE"], "it is over")
        retries = self.count("syn_proxy_retries")
        self.serve_files()
        self.assert_transfers(self.connect())
        self.assertEqual(self.count("syn_proxy_retries"), retries)

    def states(self):
        """Of all flows."""
        return [row["state"] for row in self.gateway.json("flows", "list")]


class Ends(ProxiedCase):
    """Of connections in use."""

    services = (proxied(),)
    COUNT = 12

    def setUp(self):
        super().setUp()
        listening = self.listen_all()
        self.ends = {backend: [] for backend in BACKENDS}
        for _ in range(self.COUNT):
            client, backend, server = self.connection(listening)
            self.ends[backend].append((client, server))
        self.assertEqual(self.count("syn_cookies_accepted"), self.COUNT)
        self.listening = listening

    def all_ends(self):
        return sum(self.ends.values(), [])

    def test_drain(self):
        """They go on; others go elsewhere."""
        self.change(self.drain(at(BACKENDS[0])))
        for pair in self.all_ends():
            self.assert_in_use(*pair)
        for _ in range(self.COUNT):
            self.assertNotEqual(self.connection(self.listening)[1], BACKENDS[0])

    def test_a_backend_that_is_removed(self):
        """Both ends get a RST that they believe: in the numbers of each."""
        # The service is of the file: a reload removes it.
        kept = [at(backend) for backend in BACKENDS[1:]]
        self.reload(proxied(backends=kept))
        gone = self.ends.pop(BACKENDS[0])
        self.assert_reset(*(end for pair in gone for end in pair))
        for pair in self.all_ends():
            self.assert_in_use(*pair)

    def test_a_service_that_is_removed(self):
        self.reload()
        self.assert_reset(*(end for pair in self.all_ends() for end in pair))

    def test_the_proxy_is_turned_off(self):
        """Connections that it has opened go on; others are none of its business."""
        self.reload(proxied(syn_proxy="off"))
        sent = self.count("syn_cookies_sent")
        for pair in self.all_ends():
            self.assert_in_use(*pair)
        self.connection(self.listening)
        self.assertEqual(self.count("syn_cookies_sent"), sent)

    def test_orderly(self):
        """Either end first; the states are those of any connection."""
        for client, server in self.all_ends()[::2]:
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(server.recv(10), b"")
            server.sendall(b"last words")
            server.close()
            self.assertEqual(receive(client, 100), b"last words")
        for client, server in self.all_ends()[1::2]:
            server.close()
            self.assertEqual(client.recv(10), b"")
            client.close()
        self.wait_until(lambda: {row["state"] for row in self.gateway.json("flows", "list")} ==
                        {"TIME_WAIT"}, "all are over")

    def reload(self, *services):
        """The file has these services from now on."""
        self.gateway.change_configuration(rules=toml(*services))
        self.gateway.json("reload")


class Restart(ProxiedCase):
    """Of an instance with a name, after a kill, while files are on their way."""

    LENGTH = 8 * MIB

    def gateway_settings(self):
        return {**super().gateway_settings(), "name": NAME,
                "state": self.lab.memory_path(f"{NAME}.state")}

    def test_transfers_go_on(self):
        self.serve_files()
        clients = [self.patient(self.connect(port), 30) for port in 2 * (KEPT, MASQUERADED)]
        for client in clients:
            ask(client, GET, self.LENGTH)
        firsts = [bytes(receive(client, MIB)) for client in clients]
        self.assertEqual(self.gateway.process.stop(number=signal.SIGKILL), -signal.SIGKILL)
        self.gateway.launch(self.topology.gateway)
        for client, first in zip(clients, firsts):
            rest = receive(client, self.LENGTH - MIB)
            self.assertEqual(digest(first + rest), digest(content(self.LENGTH)))
            self.assert_transfers(client)
        self.assertEqual(self.count("syn_cookies_sent"), 0, "of the daemon that adopted them")
        self.assert_transfers(self.connect())

    def test_one_whose_backend_has_still_to_answer(self):
        self.serve_files()
        with self.losing(self.pod, "input", SYNS):
            client = self.patient(self.connect(), 30)
            ask(client, GET, MIB)
            self.wait_for_count("syn_proxy_retries", 1)
            self.gateway.process.stop(number=signal.SIGKILL)
            self.gateway.launch(self.topology.gateway)
        self.assertEqual(digest(receive(client, MIB)), digest(content(MIB)))

    def test_a_cookie_outlives_it(self):
        """The client has shown none yet: what it has is the gateway's word, by the same key."""
        self.serve_files()
        with self.losing(self.lb, "output", "tcp flags & (syn|ack) == ack"):
            client = self.patient(self.connect(), 30)
            ask(client, GET, MIB)
            self.assertEqual(self.gateway.flow_count(), 0)
            self.gateway.process.stop(number=signal.SIGKILL)
            self.gateway.launch(self.topology.gateway)
        self.assertEqual(digest(receive(client, MIB)), digest(content(MIB)))


class SamePort(ProxiedCase):
    """A client that has its port for itself, and connects again and again."""

    SOURCE = (LB, 20001)
    TIMES = 20

    def test_after_its_own_reset(self):
        self.serve_files()
        for port in (KEPT, MASQUERADED):
            for _ in range(self.TIMES):
                client = self.connect(port, self.SOURCE)
                self.assert_transfers(client, 1000)
                linger_never(client)
                client.close()
        self.assertEqual(self.count("syn_cookies_accepted"), 2 * self.TIMES)

    def test_after_an_end_by_the_backend(self):
        """Which holds it in TIME_WAIT."""
        listening = {BACKENDS[0]: self.listen(BACKENDS[0])}
        for _ in range(self.TIMES):
            client, _, server = self.connection(listening, self.SOURCE)
            server.close()
            self.assertEqual(client.recv(10), b"")
            client.close()
        self.assertEqual(self.count("syn_cookies_accepted"), self.TIMES)

    def test_after_it_was_killed(self):
        self.serve_files()
        for _ in range(3):
            holder = self.lb.start(sys.executable, "-c", HOLDER, *self.SOURCE, VIP, PORT,
                                   name="holder")
            holder.wait_ready(lambda holder=holder: "ready" in holder.log())
            self.assertEqual(holder.stop(number=signal.SIGKILL), -signal.SIGKILL)
            client = self.connect(source=self.SOURCE)
            self.assert_transfers(client, 1000)
            linger_never(client)
            client.close()

    def test_after_it_lost_power(self):
        """Backend and gateway have the old connection: the gateway asks the client by a
        challenge, and its RST ends the old one on both sides."""
        listening = {BACKENDS[0]: self.listen(BACKENDS[0])}
        client, _, server = self.connection(listening, self.SOURCE)
        vanish(client)
        again, _, _ = self.connection(listening, self.SOURCE)
        self.assertGreaterEqual(self.count("syn_proxy_challenges"), 1)
        self.assert_reset(server)
        vanish(again)

    def test_after_the_gateway_forgot(self):
        """The backend alone has the old connection: its challenge is answered for the client."""
        listening = {BACKENDS[0]: self.listen(BACKENDS[0])}
        client, _, server = self.connection(listening, self.SOURCE)
        vanish(client)
        self.gateway.text("flows", "flush")
        self.connection(listening, self.SOURCE)
        self.assert_reset(server)

    def test_many_in_turns(self):
        """Some clients, each with a port of its own, all the time."""
        self.serve_files()
        failures = []

        def client(number):
            try:
                for _ in range(self.TIMES):
                    end = self.connect(KEPT if number % 2 else MASQUERADED, (LB, 21000 + number))
                    self.assert_transfers(end, 2000)
                    linger_never(end)
                    end.close()
            except (OSError, AssertionError) as error:
                failures.append((number, error))
        clients = [threading.Thread(target=client, args=(number,)) for number in range(8)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.count("syn_cookies_accepted"), 8 * self.TIMES)


if __name__ == "__main__":
    main()
