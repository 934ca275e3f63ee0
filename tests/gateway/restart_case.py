# SPDX-License-Identifier: Apache-2.0
"""The common part of the tests of a gateway that is killed and started again.

NOCLASH_KEEP=0 leaves `name` and `[state]` out of the configuration. Then nothing is kept, and every
test of what a restart keeps has to fail.
"""

import itertools
import os
import re
import signal
import socket

from gateway_case import rule
from lab.process import PATIENCE
from lab.topology import GATEWAY_POD, POD
from raw_host import ACK, SYN, RawCase

NAME = "edge1"
KEEPS = os.environ.get("NOCLASH_KEEP", "1") != "0"

WEB = rule("web", "dnat", in_="pod", protocol="tcp", to=f"{GATEWAY_POD}/32", to_port=8080,
           target="10.1.0.50:80")
PEERS = rule("peers", "masquerade", in_="lb", protocol="udp", to_port=3478,
             mapping="endpoint-independent", filtering="endpoint-independent",
             ports="20000-29999")
OUTBOUND = rule("outbound", "masquerade", in_="lb", ports="30000-65535")


def kept(lab):
    """The settings of an instance whose flows outlive it."""
    return {"name": NAME, "state": lab.memory_path(f"{NAME}.state")} if KEEPS else {}


class Segments:
    """A TCP connection of two raw hosts, and where each sees the other."""

    def __init__(self, case, client, here, server, asked):
        """The client sends from `here` to `asked`, as it knows the server."""
        self._case, self._client, self._server = case, client, server
        self.here, self.asked = here, asked
        self.seen = self.answers = None  # the client's end and the server's, as the server has it
        self._next = {client: 1, server: 1}  # sequence numbers

    def _send(self, sender, flags, payload=b""):
        """One segment crosses, translated as the others before it."""
        case, forth = self._case, sender is self._client
        receiver = self._server if forth else self._client
        source, destination = (self.here, self.asked) if forth else (self.answers, self.seen)
        got = case.crosses(sender, receiver, case.tcp(
            source, destination, flags, payload=payload, sequence=self._next[sender],
            acknowledgment=self._next[receiver] if flags & ACK else 0))
        if self.seen is None:
            self.seen, self.answers = got.ends
        case.assertEqual(got.ends, (self.seen, self.answers) if forth else (self.asked, self.here))
        case.assertEqual(got.payload, payload)
        self._next[sender] += len(payload) + (flags & SYN == SYN)

    def open(self):
        """The first segment."""
        self._send(self._client, SYN)

    def accept(self):
        """The rest of the handshake."""
        self._send(self._server, SYN | ACK)
        self._send(self._client, ACK)

    def exchange(self):
        """Data in both directions, from the server first."""
        self._send(self._server, ACK, b"from the server")
        self._send(self._client, ACK, b"from the client")


class Stacks:
    """A TCP connection of two real hosts that echo each other."""

    def __init__(self, case, asked=(POD, 8000), served=(POD, 8000)):
        self._case = case
        listening = case.pod.call(lambda: socket.create_server(served))
        case.addCleanup(listening.close)
        listening.settimeout(15 * PATIENCE)
        client = case.lb.call(lambda: socket.create_connection(asked, 15 * PATIENCE))
        case.addCleanup(client.close)
        server, self.seen = listening.accept()
        case.addCleanup(server.close)
        server.settimeout(15 * PATIENCE)
        self._ends = server, client
        self._number = itertools.count()
        self.exchange()

    def exchange(self):
        """Data in both directions, from the server first."""
        for sender, receiver in (self._ends, self._ends[::-1]):
            sent = f"exchange {next(self._number)} ".encode() * 500
            got = b""
            try:
                sender.sendall(sent)
                while len(got) < len(sent):
                    part = receiver.recv(len(sent) - len(got))
                    if not part:
                        break
                    got += part
            except OSError as error:
                self._case.fail(f"the connection is lost: {error}")
            self._case.assertEqual(got, sent)


class RestartCase(RawCase):
    """With a stranger outside, and conversations that a restart must not end."""

    timeout_s = 120
    # The shortest timeout by default is that of a ping: a slow machine must not come to its end.
    settings = {"rules": WEB + PEERS + OUTBOUND, "extra": "\n[timeouts]\nicmp_s = 1000\n"}
    STRANGER = "10.2.0.51"

    def gateway_settings(self):
        return self.settings | kept(self.lab)

    @property
    def state(self):
        """The file of flows."""
        return self.lab.memory_path(f"{NAME}.state")

    def restart(self, end=signal.SIGKILL, **settings):
        """Ends the daemon by a signal, and starts the next on what its configuration is by now."""
        status = self.gateway.process.stop(number=end, timeout_s=10)
        self.assertEqual(status, 0 if end == signal.SIGTERM else -end)
        self.gateway.change_configuration(**settings)
        self.gateway.launch(self.topology.gateway)

    def adopted(self):
        """How many flows the daemon says it has adopted."""
        match = re.search(rf"adopted (\d+) flows of {NAME}\b", self.gateway.process.log())
        self.assertIsNotNone(match, self.gateway.process.log_tail(40))
        told = self.gateway.json("stats")[0]["adoption"]
        self.assertEqual((told["instance"], told["flows"]), (NAME, int(match[1])))
        return told["flows"]

    def translations(self):
        """What each flow is made into: by protocol and original tuple, its reply and its rule."""
        def ends(tuple_):
            return tuple(tuple_[key] for key in ("source", "source_port", "destination",
                                                 "destination_port"))
        return {(row["protocol"], ends(row["original"])): (ends(row["reply"]), row["rule"])
                for row in self.gateway.json("flows", "list")}

    # Conversations: each begins one, and returns how it goes on, which may be asked again.

    def begin_stacks(self):
        return Stacks(self).exchange

    def begin_segments(self):
        connection = Segments(self, self.inside, (self.INSIDE, 5000), self.outside,
                              (self.OUTSIDE, 7000))
        connection.open()
        connection.accept()
        return connection.exchange

    def begin_half_open(self):
        """Its SYN has left; the answer comes after the restart."""
        connection = Segments(self, self.inside, (self.INSIDE, 5001), self.outside,
                              (self.OUTSIDE, 7001))
        connection.open()
        rest = iter([connection.accept])
        return lambda: next(rest, connection.exchange)()

    def begin_forwarded(self):
        """From outside, by the port that is forwarded."""
        connection = Segments(self, self.outside, (self.OUTSIDE, 5002), self.inside,
                              (GATEWAY_POD, 8080))
        connection.open()
        self.assertEqual(connection.answers, (self.INSIDE, 80))
        connection.accept()
        return connection.exchange

    def begin_udp(self):
        here, there = (self.INSIDE, 5003), (self.OUTSIDE, 7003)
        first = self.crosses(self.inside, self.outside, self.udp(here, there)).ends

        def goes_on():
            back = self.crosses(self.outside, self.inside, self.udp(there, first[0]))
            self.assertEqual(back.ends, (there, here))
            again = self.crosses(self.inside, self.outside, self.udp(here, there))
            self.assertEqual(again.ends, first)
        goes_on()
        return goes_on

    def begin_ping(self):
        def ask():
            return self.crosses(self.inside, self.outside, self.icmp(
                self.INSIDE, self.OUTSIDE, (8, 0), rest=b"\x15\xb3\0\1"))
        first = ask()

        def goes_on():
            back = self.crosses(self.outside, self.inside, self.icmp(
                self.OUTSIDE, GATEWAY_POD, (0, 0), rest=first.segment[4:8]))
            self.assertEqual((back.destination, back.segment[4:8]), (self.INSIDE, b"\x15\xb3\0\1"))
            again = ask()
            self.assertEqual((again.source, again.segment[4:8]),
                             (first.source, first.segment[4:8]))
        goes_on()
        return goes_on

    def begin_mapping(self):
        """An outside end for all destinations, to which anybody may send."""
        here = (self.INSIDE, 5004)
        end = self.crosses(self.inside, self.outside, self.udp(here, (self.OUTSIDE, 3478))).ends[0]
        ports = itertools.count(9000)

        def goes_on():
            there = (self.STRANGER, next(ports))
            got = self.crosses(self.stranger, self.inside, self.udp(there, end))
            self.assertEqual(got.ends, (there, here))
            again = self.crosses(self.inside, self.outside, self.udp(here, (self.OUTSIDE, 3478)))
            self.assertEqual(again.ends[0], end)
        goes_on()
        return goes_on

    def begin_all(self):
        """One conversation of each kind; returns how they go on, by name."""
        self.stranger = self.outside_host(self.STRANGER)
        return {name.removeprefix("begin_"): getattr(self, name)() for name in dir(RestartCase)
                if name.startswith("begin_") and name != "begin_all"}

    def assert_all_go_on(self, conversations):
        for name, goes_on in conversations.items():
            with self.subTest(name):
                goes_on()
