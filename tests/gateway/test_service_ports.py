#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A port of a virtual address, and the same port as the translated source of other connections:
one packet must never be taken for the other's."""

import socket
import struct

from gateway_case import main, rule
from lab.process import PATIENCE
from lab.topology import GATEWAY_LB, LB, LB_SOURCES
from service_case import BACKENDS, ServiceCase, at, service, toml

FIRST, COUNT = 40000, 8  # ports that connections from the pod leave by
TAKEN = FIRST + 3
REMOTE_PORT, BACKEND_PORT = 9000, 8080
OUTBOUND = rule("outbound", "masquerade", in_="pod", ports=f"{FIRST}-{FIRST + COUNT - 1}")
SERVICES = tuple(service(f"{protocol}-late", protocol=protocol, address=GATEWAY_LB, ports=TAKEN,
                         in_="lb", backends=[at(backend, BACKEND_PORT) for backend in BACKENDS])
                 for protocol in ("tcp", "udp"))


class SharedPort(ServiceCase):
    """The pod's hosts leave by few ports of the gateway's address, on which a service comes and
    goes."""

    services = ()
    settings = {"rules": OUTBOUND, "workers": 2, "top": 'tcp_reuse = "never"\n',
                "extra": "\n[timeouts]\ntcp_close_s = 2\nbelow_rfc_floor = true\n"}

    def setUp(self):
        super().setUp()
        self.serve_all(BACKEND_PORT)
        self.remote = {
            "tcp": self.socket(source=(LB, REMOTE_PORT)),
            "udp": self.socket(socket.SOCK_DGRAM, (LB, REMOTE_PORT))}
        self.remote["tcp"].listen(64)

    def reload(self, *services):
        self.gateway.change_configuration(rules=toml(*services) + OUTBOUND)
        outcome = self.gateway.json("reload")[-1]["outcome"]
        self.assertTrue(outcome["applied"], outcome)

    # Connections from the pod to the remote host, by the port that it sees: (inside end, outside).

    def leave_tcp(self):
        inside = self.socket(namespace=self.pod, connect=(LB, REMOTE_PORT))
        outside, (address, port) = self.remote["tcp"].accept()
        self.addCleanup(outside.close)
        outside.settimeout(5 * PATIENCE)
        self.assertEqual(address, GATEWAY_LB)
        return port, (inside, outside)

    def leave_udp(self):
        inside = self.socket(socket.SOCK_DGRAM, namespace=self.pod, connect=(LB, REMOTE_PORT))
        inside.send(b"first")
        _, (address, port) = self.remote["udp"].recvfrom(100)
        self.assertEqual(address, GATEWAY_LB)
        return port, (inside, port)

    def assert_all_in_use(self, connections, protocol):
        for number, ends in enumerate(connections.values()):
            if protocol == "tcp":
                self.assert_in_use(*ends)
                continue
            inside, port = ends
            text = b"answer %d" % number
            self.remote["udp"].sendto(text, (GATEWAY_LB, port))
            self.assertEqual(inside.recv(100), text)
            inside.send(text)
            self.assertEqual(self.remote["udp"].recvfrom(100), (text, (GATEWAY_LB, port)))

    def assert_no_port_is_left(self, protocol):
        before = self.gateway.drops().get("exhausted", 0)
        with self.assertRaises(OSError):
            inside = self.socket(
                socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM,
                namespace=self.pod, connect=(LB, REMOTE_PORT))
            inside.settimeout(2)
            inside.send(b"first")
            inside.recv(100)
        self.assertGreater(self.gateway.drops().get("exhausted", 0), before,
                           self.gateway.drops())

    def assert_served(self, protocol):
        """Clients reach the service, and each is seen as what it is."""
        seen = self.asked(20, protocol, TAKEN, GATEWAY_LB, LB_SOURCES[0])
        self.assertEqual({client for (client, _), _ in seen}, {LB_SOURCES[0]})
        self.assertGreater(len({backend for _, (backend, _) in seen}), 1)

    def check_of_flows_that_hold_it(self, protocol, leave):
        connections = dict(leave() for _ in range(COUNT))
        self.assertEqual(set(connections), set(range(FIRST, FIRST + COUNT)))
        self.reload(*SERVICES)
        self.assert_all_in_use(connections, protocol)
        self.assert_served(protocol)
        self.assert_all_in_use(connections, protocol)
        self.reload()
        self.assert_all_in_use(connections, protocol)

    def test_connections_that_hold_it_live_on(self):
        self.check_of_flows_that_hold_it("tcp", self.leave_tcp)

    def test_datagrams_that_hold_it_go_on(self):
        self.check_of_flows_that_hold_it("udp", self.leave_udp)

    def check_of_new_flows(self, protocol, leave):
        self.reload(*SERVICES)
        connections = dict(leave() for _ in range(COUNT - 1))
        self.assertNotIn(TAKEN, connections)
        self.assertEqual(len(connections), COUNT - 1)
        self.assert_no_port_is_left(protocol)
        self.assert_served(protocol)
        self.reload()
        connections |= dict([leave()])
        self.assertIn(TAKEN, connections, "nobody has it any more")
        self.assert_all_in_use(connections, protocol)

    def test_new_connections_do_not_get_it(self):
        self.check_of_new_flows("tcp", self.leave_tcp)

    def test_new_datagrams_do_not_get_it(self):
        self.check_of_new_flows("udp", self.leave_udp)

    def test_what_gave_it_back_does_not_get_it_again(self):
        """The last connection that holds it ends after the reload."""
        connections = dict(self.leave_tcp() for _ in range(COUNT))
        self.reload(*SERVICES)
        inside, outside = connections.pop(TAKEN)
        inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        inside.close()
        self.assert_reset(outside, within_s=5)
        self.wait_until(lambda: self.gateway.flow_count() == COUNT - 1, "its flow is gone", 20)
        self.assert_no_port_is_left("tcp")
        self.assert_served("tcp")
        self.assert_all_in_use(connections, "tcp")


if __name__ == "__main__":
    main()
