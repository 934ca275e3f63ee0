#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What becomes of a backend's flows when it drains, leaves, or comes back; and of a service's
clients when nobody is there."""

import socket
import threading
import time

from gateway_case import main
from lab.process import PATIENCE
from service_case import BACKENDS, PORT, VIP, ServiceCase, at, received, service, toml


class Sender(threading.Thread):
    """Sends datagrams one way, and never stops whatever it hears."""

    def __init__(self, sender):
        super().__init__(daemon=True)
        self._sender = sender
        self._stopped = threading.Event()
        self.sent = 0

    def run(self):
        while not self._stopped.wait(0.02):
            self._sender.sendto(b"%d" % self.sent, (VIP, PORT))
            self.sent += 1

    def stop(self):
        self._stopped.set()
        self.join()


class Datagrams(ServiceCase):
    """UDP: no sender is told that a flow has ended, so a flow must not outlive its backend."""

    services = ()

    def setUp(self):
        super().setUp()
        self.set_service(BACKENDS[:1])

    def set_service(self, backends):
        self.change({"op": "set", "service": service(
            protocol="udp", backends=[at(backend) for backend in backends])})

    def sender(self):
        sender = Sender(self.socket(socket.SOCK_DGRAM))
        sender.start()
        self.addCleanup(sender.stop)
        return sender

    def test_nobody_is_there(self):
        """[field f]: the client hears so at once."""
        served = self.datagrams(BACKENDS[0])
        client = self.socket(socket.SOCK_DGRAM, connect=(VIP, PORT))
        client.send(b"data")
        self.assertEqual(served.recv(100), b"data")
        self.change({"op": "remove_backend", "name": "web", "backend": at(BACKENDS[0])})
        self.assertEqual(self.service_row()["condition"], "no_backend")
        self.assertEqual(self.flows_to(BACKENDS[0]), [])
        begun = time.monotonic()
        client.send(b"data")
        with self.assertRaises(ConnectionRefusedError):
            client.recv(100)
        self.assertLess(time.monotonic() - begun, 1 * PATIENCE)
        self.assertEqual(received(served), [])
        self.assertEqual(self.gateway.drops().get("no_backend"), 1)

    def test_a_sender_that_never_stops_finds_the_next_backend(self):
        """[field f]: from its next datagram on."""
        one, other = (self.datagrams(backend) for backend in BACKENDS[:2])
        sender = self.sender()
        self.assertTrue(one.recv(100))
        self.change({"op": "remove_backend", "name": "web", "backend": at(BACKENDS[0])})
        received(one)
        self.wait_until(lambda: self.gateway.drops().get("no_backend", 0) > 5, "it still sends")
        self.change({"op": "set_backend", "name": "web", "backend": at(BACKENDS[1]), "weight": 1})
        sent = sender.sent
        first = int(other.recv(100))
        self.assertLessEqual(first, sent + 1, "the next datagram gets there")
        self.assertEqual(received(one), [], "nothing goes to whoever has the address by now")

    def test_a_sender_leaves_a_backend_that_drains(self):
        self.set_service(BACKENDS[:2])
        ends = [self.datagrams(backend) for backend in BACKENDS[:2]]
        sender = self.sender()
        self.wait_until(lambda: sender.sent > 5, "it sends")
        used = 0 if self.flows_to(BACKENDS[0]) else 1
        self.change(self.drain(at(BACKENDS[used])))
        received(ends[used])
        self.assertGreater(len(received(ends[1 - used])), 0)
        self.assertEqual(received(ends[used]), [])
        self.assertEqual(self.gateway.drops(), {})

    def test_a_service_that_is_deleted(self):
        """Its flows end with it: the address may be somebody else's soon."""
        served = self.datagrams(BACKENDS[0])
        sender = self.sender()
        self.assertTrue(served.recv(100))
        self.change({"op": "remove", "name": "web"})
        received(served)
        self.assertEqual(self.flows_to(BACKENDS[0]), [])
        sent = sender.sent
        self.wait_until(lambda: sender.sent > sent + 5, "it still sends")
        self.assertEqual(received(served), [])
        self.assertEqual(self.gateway.flow_count(), 0)

    def test_a_service_that_is_deleted_and_made_again(self):
        """While its client sends without a pause: from the next datagram on the backends of today
        have it, and whoever has the address of one of before has nothing."""
        one, other = (self.datagrams(backend) for backend in BACKENDS[:2])
        sender = self.sender()
        for before, after, backends in ((one, other, BACKENDS[1:2]), (other, one, BACKENDS[:1]),
                                        (one, one, BACKENDS[:1])):
            self.assertTrue(before.recv(100))
            self.change({"op": "remove", "name": "web"})
            received(before)
            sent = sender.sent
            self.wait_until(lambda sent=sent: sender.sent > sent + 5, "it still sends")
            self.assertEqual(received(before), [])
            self.set_service(backends)
            sent = sender.sent
            self.assertLessEqual(int(after.recv(100)), sent + 1, "the next datagram gets there")
            if after is not before:
                self.assertEqual(received(before), [])

    def test_a_file_that_deletes_and_brings_back(self):
        """The same by reloads."""
        self.change({"op": "remove", "name": "web"})
        one, other = (self.datagrams(backend) for backend in BACKENDS[:2])
        sender = self.sender()

        def reload(*services):
            self.gateway.change_configuration(rules=toml(*services))
            self.assertTrue(self.gateway.json("reload")[-1]["outcome"]["applied"])
        reload(service(protocol="udp", backends=[at(BACKENDS[0])]))
        self.assertTrue(one.recv(100))
        reload(service(protocol="udp", backends=[]))
        received(one)
        self.assertEqual(self.service_row()["condition"], "no_backend")
        self.wait_until(lambda: self.gateway.drops().get("no_backend", 0) > 5, "it still sends")
        reload()
        sent = sender.sent
        self.wait_until(lambda: sender.sent > sent + 5, "it still sends")
        self.assertEqual(received(one), [])
        self.assertEqual(self.gateway.flow_count(), 0)
        reload(service(protocol="udp", backends=[at(BACKENDS[1])]))
        sent = sender.sent
        self.assertLessEqual(int(other.recv(100)), sent + 1, "the next datagram gets there")
        self.assertEqual(received(one), [])


class NoBackend(ServiceCase):
    """TCP: what a client hears."""

    services = (service(backends=[]), service("silent", ports=81, backends=[], no_backend="drop"))

    def test_refused_at_once(self):
        begun = time.monotonic()
        with self.assertRaises(ConnectionRefusedError):
            self.socket(connect=(VIP, PORT))
        self.assertLess(time.monotonic() - begun, 1 * PATIENCE)

    def test_dropped(self):
        client = self.socket()
        client.settimeout(1.5)
        with self.assertRaises(TimeoutError):
            client.connect((VIP, 81))
        self.assertGreaterEqual(self.gateway.drops().get("no_backend", 0), 2)


class Gone(ServiceCase):
    """Connections to a backend that is not the service's any more."""

    COUNT = 20
    services = ()

    def start(self, **keys):
        """A service, and connections to it: (client, server's end) by backend."""
        self.change({"op": "set", "service": service(**keys)})
        listening = self.listen_all()
        ends = {backend: [] for backend in BACKENDS}
        for _ in range(self.COUNT):
            client, backend, server = self.connection(listening)
            ends[backend].append((client, server))
        self.assertTrue(all(ends.values()), "each backend has some")
        return ends

    def end(self, backend):
        self.change({"op": "remove_backend", "name": "web", "backend": at(backend)})

    def test_both_ends_are_told(self):
        ends = self.start()
        gone = ends.pop(BACKENDS[0])
        self.end(BACKENDS[0])
        self.assert_reset(*(end for pair in gone for end in pair))
        self.assertEqual(self.flows_to(BACKENDS[0]), [])
        for pair in sum(ends.values(), []):
            self.assert_in_use(*pair)

    def test_so_are_those_of_a_service_that_is_deleted(self):
        ends = self.start()
        self.change({"op": "remove", "name": "web"})
        self.assert_reset(*(end for pairs in ends.values() for pair in pairs for end in pair))

    def test_those_that_are_kept_live(self):
        ends = self.start(on_gone="keep")
        self.end(BACKENDS[0])
        for pair in sum(ends.values(), []):
            self.assert_in_use(*pair)
        self.assertEqual(len(self.flows_to(BACKENDS[0])), len(ends[BACKENDS[0]]))

    def test_draining_has_its_time(self):
        ends = self.start(drain_s=2)
        begun = time.monotonic()
        self.change(self.drain(at(BACKENDS[0])))
        for pair in ends[BACKENDS[0]]:
            self.assert_in_use(*pair)
        self.assert_reset(*(end for pair in ends.pop(BACKENDS[0]) for end in pair), within_s=6)
        self.assertGreater(time.monotonic() - begun, 1.9, "they had their time")
        for pair in sum(ends.values(), []):
            self.assert_in_use(*pair)

    def test_draining_keeps_its_time_while_other_things_change(self):
        ends = self.start(drain_s=3)
        begun = time.monotonic()
        self.change(self.drain(at(BACKENDS[0])))
        up = True
        while time.monotonic() - begun < 2.5:
            up = not up
            self.change(self.health(at(BACKENDS[2]), up))
            time.sleep(0.1)
        self.assert_reset(*(end for pair in ends.pop(BACKENDS[0]) for end in pair), within_s=3)

    def test_draining_as_long_as_they_like(self):
        ends = self.start()
        self.change(self.drain(at(BACKENDS[0])))
        time.sleep(2)
        for pair in sum(ends.values(), []):
            self.assert_in_use(*pair)

    def test_down_and_up_again(self):
        """A check that errs cuts nothing off."""
        ends = self.start()
        self.change(self.health(at(BACKENDS[0]), False))
        for pair in ends[BACKENDS[0]]:
            self.assert_in_use(*pair)
        self.change(self.health(at(BACKENDS[0]), True))
        for pair in ends[BACKENDS[0]]:
            self.assert_in_use(*pair)


if __name__ == "__main__":
    main()
