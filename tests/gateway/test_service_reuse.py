#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client's port is in use again while the gateway still has the flow of its last connection:
in each state of that, and with its backend in each."""

import socket
import struct
import time

from gateway_case import main
from lab.process import PATIENCE
from service_case import BACKENDS, PORT, VIP, ServiceCase, at, service, vanish

# The port of a kernel's challenge: a client that has forgotten a connection answers it by a RST,
# and sends its SYN again a second later.
AT_ONCE_S, AFTER_A_CHALLENGE_S = 0.9, 4


class ReusedPort(ServiceCase):
    """Linux at both ends. What the client forgets, it forgets as one that has lost power."""

    services = ()
    timeout_s = 120
    FIRST_PORT = 20000

    def setUp(self):
        super().setUp()
        # A backend that leaves keeps its connections: the flow stays.
        self.change({"op": "set", "service": service(on_gone="keep")})
        self.listening = self.listen_all()
        self.pod.nft("""
            table ip silence {
                set addresses { type ipv4_addr; }
                chain in { type filter hook input priority 0;
                           ip daddr @addresses tcp dport 80 drop; }
            }""")
        self.port = self.FIRST_PORT

    # Packets that are lost, so that a flow stays in its state, until lose_nothing().

    def lose(self, host, hook, match):
        host.nft(f"table ip lost {{ chain packets {{ type filter hook {hook} priority -300; "
                 f"{match} drop; }}; }}")

    def lose_nothing(self):
        for host in (self.lb, self.pod):
            host.nft("table ip lost { }\ndelete table ip lost")

    def is_in(self, source, state):
        self.wait_until(lambda: self.flow(source)["state"] == state, f"it is in {state}")

    # Connections: each leaves a flow to a backend behind, which it returns, in a state of TCP.

    def unanswered(self, source):
        """SYN_SENT: whichever backend is chosen, it is silent."""
        everyone = ", ".join(BACKENDS)
        self.pod.nft(f"add element ip silence addresses {{ {everyone} }}")
        client = self.socket(source=source)
        client.setblocking(False)
        client.connect_ex((VIP, PORT))
        self.wait_until(lambda: self.flow(source), "its SYN is there")
        client.close()
        self.pod.nft("flush set ip silence addresses")
        return self.flow(source)["reply"]["source"]

    def half_open(self, source):
        """SYN_RECV: the backend's answer is lost behind the gateway."""
        self.lose(self.lb, "prerouting", f"ip saddr {VIP} tcp flags & syn == syn")
        client = self.socket(source=source)
        client.setblocking(False)
        client.connect_ex((VIP, PORT))
        self.wait_until(lambda: self.flow(source), "its SYN is there")
        self.is_in(source, "SYN_RECV")
        client.close()
        return self.flow(source)["reply"]["source"]

    def established(self, source):
        client, backend, _ = self.connection(self.listening, source)
        self.is_in(source, "ESTABLISHED")
        vanish(client)
        return backend

    def unheard(self, source):
        """FIN_WAIT: the client has said that it is done; the answer is lost before the gateway."""
        client, backend, server = self.connection(self.listening, source)
        self.lose(self.pod, "output", "tcp sport 80 tcp flags == ack")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(server.recv(100), b"")
        self.is_in(source, "FIN_WAIT")
        vanish(client)
        return backend

    def half_closed(self, source):
        """CLOSE_WAIT: the client has said that it is done; its backend has not."""
        client, backend, server = self.connection(self.listening, source)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(server.recv(100), b"")
        self.is_in(source, "CLOSE_WAIT")
        vanish(client)
        return backend

    def closing(self, source):
        """LAST_ACK: both are done; the backend's FIN is lost behind the gateway."""
        client, backend, server = self.connection(self.listening, source)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(server.recv(100), b"")
        self.lose(self.lb, "prerouting", f"ip saddr {VIP} tcp flags & fin == fin")
        server.close()
        self.is_in(source, "LAST_ACK")
        vanish(client)
        return backend

    def reset(self, source):
        """CLOSE: the client has reset it."""
        client, backend, server = self.connection(self.listening, source)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        with self.assertRaises(ConnectionResetError):
            server.recv(100)
        self.is_in(source, "CLOSE")
        return backend

    def closed(self, source):
        """TIME_WAIT, which the backend holds."""
        client, backend, server = self.connection(self.listening, source)
        server.close()
        self.assertEqual(client.recv(100), b"")
        client.close()
        self.is_in(source, "TIME_WAIT")
        return backend

    def flow(self, source):
        rows = self.gateway.json("flows", "list", "--source-port", source[1])
        return rows[0] if rows else None

    # Backends: what becomes of one.

    def gone(self, backend):
        self.change({"op": "remove_backend", "name": "web", "backend": at(backend)})

    def draining(self, backend):
        self.change(self.drain(at(backend)))

    def down(self, backend):
        self.change(self.health(at(backend), False))

    def healthy(self, backend):
        """Nothing has happened."""

    def back(self, backend):
        """All is as it was."""
        self.change({"op": "set_backend", "name": "web", "backend": at(backend), "weight": 1},
                    self.drain(at(backend), op="undrain"), self.health(at(backend), True))

    def connect_again(self, source, within_s):
        """Returns the backend of the new connection."""
        begun = time.monotonic()
        _, backend, _ = self.connection(self.listening, source)
        self.assertLess(time.monotonic() - begun, within_s * PATIENCE)
        return backend

    def check(self, leave_behind):
        for happens in (self.gone, self.draining, self.down, self.healthy):
            with self.subTest(backend=happens.__name__):
                self.port += 1
                source = ("10.1.0.2", self.port)
                before = leave_behind(source)
                self.assertIsNotNone(self.flow(source))
                happens(before)
                # The backend knows a connection that the client has forgotten: it is asked first,
                # as long as it is well. (Anybody can forge a SYN.)
                lives = leave_behind not in (self.unanswered, self.closed, self.reset) and \
                    happens in (self.draining, self.healthy)
                self.lose_nothing()
                now = self.connect_again(source, AFTER_A_CHALLENGE_S if lives else AT_ONCE_S)
                if happens == self.healthy:
                    self.assertEqual(now, before)
                else:
                    self.assertNotEqual(now, before, "at a backend of today")
                self.assertEqual(self.flow(source)["reply"]["source"], now)
                self.back(before)

    def test_syn_sent(self):
        self.check(self.unanswered)

    def test_syn_recv(self):
        self.check(self.half_open)

    def test_established(self):
        self.check(self.established)

    def test_fin_wait(self):
        self.check(self.unheard)

    def test_close_wait(self):
        self.check(self.half_closed)

    def test_last_ack(self):
        self.check(self.closing)

    def test_time_wait(self):
        self.check(self.closed)

    def test_close(self):
        self.check(self.reset)


if __name__ == "__main__":
    main()
