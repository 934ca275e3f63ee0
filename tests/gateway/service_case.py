# SPDX-License-Identifier: Apache-2.0
"""The common part of the tests of services: a VIP, and backends that are addresses of the pod."""

import contextlib
import json
import select
import socket
import time

import hosts
from control_client import ask_raw
from gateway_case import GatewayCase
from lab.process import PATIENCE, LabError
from lab.topology import POD, PREFIX_LENGTH, VIP

PORT = 80
BACKENDS = [POD, "10.2.0.3", "10.2.0.4"]
TCP_REPAIR = 19  # Linux; Python has no name for it


def service(name="web", **keys):
    """The keys of a service; a key that Python has a word for is written `in_`."""
    keys = {"name": name, "address": VIP, "ports": PORT, "protocol": "tcp",
            "backends": [at(backend) for backend in BACKENDS], **keys}
    return {key.rstrip("_"): value for key, value in keys.items()}


def at(address, port=PORT):
    return f"{address}:{port}"


def toml(*services):
    """Services, as the configuration file has them."""
    def text(value):
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{key} = {text(part)}" for key, part in value.items()) + " }"
        if isinstance(value, list):
            return "[" + ", ".join(map(text, value)) + "]"
        return json.dumps(value)
    return "".join("\n[[service]]\n" + "".join(f"{key} = {text(value)}\n"
                                               for key, value in keys.items())
                   for keys in services)


class ServiceCase(GatewayCase):
    """A gateway with `services` in its file, and what tests do with them."""

    services = (service(),)
    settings = {"rules": "", "workers": 2}

    def gateway_settings(self):
        # The gateway asks for its backends by ARP when it starts.
        self.pod.ip_batch([f"address add {backend}/{PREFIX_LENGTH} dev pod0"
                           for backend in BACKENDS if backend != POD])
        settings = dict(self.settings)
        settings["rules"] = toml(*self.services) + settings["rules"]
        return settings

    # Commands.

    def ask_control(self, command, **keys):
        """The rows of an answer; LabError with the gateway's words when it refuses."""
        lines = ask_raw(self.gateway, {"command": command, **keys})
        if "error" in lines[-1]:
            raise LabError(lines[-1]["error"])
        return [line["row"] for line in lines[:-1]]

    def change(self, *changes):
        """All changes or none; returns what they did."""
        row, = self.ask_control("service change", changes=changes)
        return row

    def service_row(self, name="web"):
        return next((row for row in self.ask_control("service list") if row["name"] == name), None)

    def backend_rows(self, name="web"):
        """By address and port."""
        return {row["backend"]: row for row in self.service_row(name)["backends"]}

    @staticmethod
    def drain(backend, name="web", op="drain"):
        return {"op": op, "name": name, "backend": backend}

    @staticmethod
    def health(backend, up, name="web"):
        return {"op": "health", "name": name, "backend": backend, "up": up}

    def only(self, *backends, name="web"):
        """Lets all other backends of a service of three drain."""
        self.change(*(self.drain(at(backend), name, "undrain" if backend in backends else "drain")
                      for backend in BACKENDS))

    # Hosts.

    def serve_all(self, port=PORT):
        """A host at each backend that says whom it talks to."""
        self.serve(*(at(backend, port) for backend in BACKENDS))

    def asked(self, count, protocol="tcp", port=PORT, address=VIP, source=None, namespace=None):
        """`count` clients, one after the other: what the server saw of each, as (end of the client,
        end of the backend). A client that is not answered fails the test."""
        def ask_all():
            return [hosts.ask(protocol, at(address, port), source) for _ in range(count)]
        seen = (namespace or self.lb).call(ask_all)
        return [tuple(hosts.split(end) for end in line.split()) for line in seen]

    def socket(self, kind=socket.SOCK_STREAM, source=None, namespace=None, connect=None):
        """A socket of a namespace, that of the clients by default, with a limit of time."""
        def make():
            made = socket.socket(socket.AF_INET, kind)
            self.addCleanup(made.close)
            made.settimeout(5 * PATIENCE)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if source:
                made.bind(source)
            if connect:
                made.connect(connect)
            return made
        return (namespace or self.lb).call(make)

    def listen(self, backend, port=PORT):
        """A listening socket of a backend."""
        listening = self.socket(source=(backend, port), namespace=self.pod)
        listening.listen(64)
        return listening

    def listen_all(self):
        """By the backend's address."""
        return {backend: self.listen(backend) for backend in BACKENDS}

    def accept(self, listening):
        """The next connection that any of `listening` has: the backend's address, and the end."""
        ready, _, _ = select.select(list(listening.values()), [], [], 5 * PATIENCE)
        self.assertTrue(ready, f"no backend has a connection; drops: {self.gateway.drops()}")
        end, _peer = ready[0].accept()
        self.addCleanup(end.close)
        end.settimeout(5 * PATIENCE)
        return end.getsockname()[0], end

    def connection(self, listening, source=None):
        """A connection in use: the client's end, the backend's address, the backend's end."""
        client = self.socket(source=source, connect=(VIP, PORT))
        backend, server = self.accept(listening)
        self.assert_in_use(client, server)
        return client, backend, server

    def assert_in_use(self, client, server):
        for sender, receiver in ((client, server), (server, client)):
            sender.sendall(b"data")
            self.assertEqual(receiver.recv(100), b"data")

    def assert_reset(self, *ends, within_s=1):
        """Each end hears of it at once: ECONNRESET."""
        begun = time.monotonic()
        for end in ends:
            with self.assertRaises(ConnectionResetError):
                end.recv(100)
        self.assertLess(time.monotonic() - begun, within_s * PATIENCE)

    def datagrams(self, backend, port=PORT):
        """A socket that gets the datagrams of a backend."""
        return self.socket(socket.SOCK_DGRAM, (backend, port), self.pod)

    def flows_to(self, backend):
        """Those that go to a backend."""
        return self.gateway.json("flows", "list", "--address", backend)


def vanish(connection):
    """Closes a socket without a word to its peer, as a host does that loses power."""
    connection.setsockopt(socket.SOL_TCP, TCP_REPAIR, 1)
    connection.close()


def received(host, timeout_s=0.3):
    """The datagrams that wait at a socket, and those that come in so much time."""
    end = time.monotonic() + timeout_s
    got = []
    with contextlib.suppress(TimeoutError):
        while (left := end - time.monotonic()) > 0:
            host.settimeout(left)
            got.append(host.recv(2048))
    return got
