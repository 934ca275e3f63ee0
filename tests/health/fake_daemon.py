# SPDX-License-Identifier: Apache-2.0
"""A daemon that has services and nothing else: it speaks the control socket as noclash does."""

import contextlib
import json
import os
import socket
import threading

LONGEST_REQUEST = 65536


class Service:
    """As `service list` shows one."""

    def __init__(self, name, backends, ports=("80",)):
        self.name = name
        self.ports = list(ports)
        self.health = {backend: "unknown" for backend in backends}

    def row(self):
        return {"name": self.name, "address": "192.0.2.7", "protocol": "tcp", "ports": self.ports,
                "in": None, "source": "keep", "affinity": "none", "no_backend": "reject",
                "on_gone": "reset", "drain_s": 0, "origin": "control", "condition": "ok",
                "backends": [{"backend": backend, "weight": 1, "state": "active", "health": health,
                              "openings": 0, "unanswered": 0}
                             for backend, health in self.health.items()]}


class FakeDaemon:
    """Listens at `path` from start() to stop(). What it is told is kept over both."""

    def __init__(self, path, services):
        self.path = path
        self.services = {service.name: service for service in services}
        self.changes = []  # of all requests, in their order
        self.requests = []  # how many changes each `service change` had, accepted or not
        self.heartbeats = 0
        self.faults = []  # of what it was asked
        self.answers_heartbeats = True
        self._lock = threading.Lock()
        self._listener = None
        self._clients = []
        self._threads = []

    def start(self):
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen()
        self._run(self._accept, self._listener)

    def stop(self):
        """As a daemon that ends: connections break, and the socket is gone."""
        os.unlink(self.path)
        with self._lock:
            for client in [self._listener, *self._clients]:
                try:
                    client.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the other end was faster
                client.close()
            self._clients = []
        for thread in self._threads:
            thread.join()
        self._threads = []

    def restart(self):
        """Of what it was told, it knows nothing more."""
        self.stop()
        self.changes = []
        for service in self.services.values():
            service.health = dict.fromkeys(service.health, "unknown")
        self.start()

    @contextlib.contextmanager
    def standing_still(self):
        """Connections come about, and nothing is answered meanwhile."""
        with self._lock:
            yield

    def health(self, service, backend):
        with self._lock:
            return self.services[service].health.get(backend)

    def add(self, service, backend):
        with self._lock:
            self.services[service].health[backend] = "unknown"

    def remove(self, service, backend):
        with self._lock:
            del self.services[service].health[backend]

    def _run(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # stopped
            with self._lock:
                self._clients.append(client)
                self._run(self._serve, client)

    def _serve(self, client):
        try:
            with client.makefile("r", encoding="utf-8") as lines:
                for line in lines:
                    if len(line) > LONGEST_REQUEST + 1:
                        raise AssertionError(f"a request of {len(line)} bytes")
                    answer = self._answer(json.loads(line))
                    # The client takes rows for rows by their very bytes.
                    client.sendall("".join(json.dumps(part, separators=(",", ":")) + "\n"
                                           for part in answer).encode())
        except OSError:
            pass  # stopped, or the client has gone
        except Exception as error:  # pylint: disable=broad-except  # the test looks at them
            self.faults.append(repr(error))
            client.shutdown(socket.SHUT_RDWR)

    def _answer(self, request):
        with self._lock:
            try:
                rows = self._rows(request)
            except ValueError as error:
                return [{"error": str(error)}]
            return [*({"row": row} for row in rows), {"end": {"rows": len(rows)}}]

    def _rows(self, request):
        command = request["command"]
        if command == "service list":
            return [service.row() for service in self.services.values()]
        if command == "service change":
            return [self._change(request["changes"])]
        if command == "service heartbeat" and self.answers_heartbeats:
            if request != {"command": command, "name": "noclash-health"}:
                raise AssertionError(f"{request}")
            self.heartbeats += 1
            return []
        raise ValueError(f'no such command: "{command}"')

    def _change(self, changes):
        """All or nothing."""
        self.requests.append(len(changes))
        for number, change in enumerate(changes):
            if set(change) != {"op", "name", "backend", "up"} or change["op"] != "health":
                raise AssertionError(f"{change}")
            service = self.services.get(change["name"])
            if service is None or change["backend"] not in service.health:
                raise ValueError(f"changes[{number}]: {change['name']}: no such backend")
        for change in changes:
            self.services[change["name"]].health[change["backend"]] = \
                "up" if change["up"] else "down"
        self.changes += changes
        return {"changed": len(changes), "unchanged": 0, "generation": 1, "took_ms": 0}
