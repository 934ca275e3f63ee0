# SPDX-License-Identifier: Apache-2.0
"""A gateway's control socket of the tests' own: it applies changes of services and records them."""

import copy
import json
import re
import socketserver
import threading
import time

LONGEST_REQUEST = 65536
MOST_CHANGES = 500
MOST_BACKENDS = 1024  # of a service
NAME = re.compile(r"[A-Za-z0-9._-]{1,160}")
BACKEND = re.compile(r"\d+\.\d+\.\d+\.\d+(:\d+)?")
DEFAULTS = {"in": None, "source": "keep", "affinity": "none", "no_backend": "reject",
            "on_gone": "reset", "drain_s": 0, "syn_proxy": "off", "inhibit": False}
KEYS = {"name", "address", "ports", "protocol", "backends", *DEFAULTS}


class Fault(Exception):
    """A request is wrong."""


class FakeGateway:
    """Services by name: the keys of a row of "service list", with weights by backend."""

    def __init__(self, path):
        self._path = path
        self._lock = threading.Lock()
        self.services = {}
        self.changes = []  # all that were accepted
        self.requests = []  # changes of each request, those that were refused, too
        self.lists = 0
        self.longest_request = 0
        self.refuse = None  # a function of a change: the words of a refusal, or None
        self.uptime_s = 1000
        self.start()

    def start(self):
        self._started = time.monotonic()
        gateway = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while line := self.rfile.readline(LONGEST_REQUEST + 2):
                    self.wfile.write(gateway._answer(line))

        self._server = socketserver.ThreadingUnixStreamServer(str(self._path), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self):
        """Nobody answers; start() goes on."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._path.unlink()

    def restart_empty(self):
        """As a daemon that was killed and has no service in its file."""
        self.stop()
        with self._lock:
            self.services.clear()
        self.uptime_s = 0
        self.start()

    def add(self, name, origin, **settings):
        """A service that somebody else has set up."""
        service = {"name": name, "protocol": "tcp", "ports": ["1"], "backends": {}} | settings
        with self._lock:
            self.services[name] = DEFAULTS | service | {"origin": origin}

    def backends(self, name):
        """Weights by backend; None when there is no such service."""
        with self._lock:
            service = self.services.get(name)
            return dict(service["backends"]) if service else None

    def _answer(self, line):
        try:
            if len(line) > LONGEST_REQUEST + 1:
                raise Fault("the request is longer than 65536 bytes")
            request = json.loads(line)
            with self._lock:
                self.longest_request = max(self.longest_request, len(line) - 1)
                rows = self._rows(request)
        except Fault as fault:
            return json.dumps({"error": str(fault)}).encode() + b"\n"
        return b"".join(json.dumps({"row": row}).encode() + b"\n" for row in rows) \
            + b"\n" + json.dumps({"end": {"rows": len(rows)}}).encode() + b"\n"

    def _rows(self, request):
        command = request.pop("command")
        if command == "version":
            return [{"version": "0", "uptime_s":
                     int(time.monotonic() - self._started + self.uptime_s)}]
        if command == "service list":
            self.lists += 1
            return [service | {"backends": [
                {"backend": backend, "weight": weight, "state": "active" if weight else "draining",
                 "health": "unknown", "openings": 0, "unanswered": 0}
                for backend, weight in service["backends"].items()]}
                for service in self.services.values()]
        if command != "service change":
            raise Fault(f"there is no command {command}")
        return [self._change(request.pop("changes"))]

    def _change(self, changes):
        self.requests.append(changes)
        if len(changes) > MOST_CHANGES:
            raise Fault(f"{len(changes)} changes; at most {MOST_CHANGES}")
        after = dict(self.services)
        taken = {end: name for name, service in after.items() for end in self._ends(service)}
        changed = 0
        for place, change in enumerate(changes):
            try:
                if self.refuse and (words := self.refuse(change)):
                    raise Fault(words)
                name = change["service"]["name"] if change["op"] == "set" else change["name"]
                for end in self._ends(after.get(name)):
                    del taken[end]
                changed += self._apply(after, name, copy.deepcopy(change))
                for end in self._ends(after.get(name)):
                    if taken.setdefault(end, name) != name:
                        raise Fault(f"service: ports: {taken[end]} has {end}")
                if name in after and len(after[name]["backends"]) > MOST_BACKENDS:
                    raise Fault(f"service: backends: at most {MOST_BACKENDS}")
            except Fault as fault:
                raise Fault(f"changes[{place}]: {fault}") from fault
        self.services = after
        self.changes += changes
        return {"changed": changed, "unchanged": len(changes) - changed, "generation": 1,
                "took_ms": 0}

    @staticmethod
    def _ends(service):
        """What no two services may have; None has nothing."""
        return [(service["address"], service["protocol"], port)
                for port in service["ports"]] if service else []

    @staticmethod
    def _apply(services, name, change):
        """Whether it changed something."""
        op = change.pop("op")
        if not NAME.fullmatch(name):
            raise Fault(f"service: name: {name} is no name")
        before = services.get(name)
        if before and before["origin"] == "file":
            raise Fault(f"{name} is a service of the file")
        if op == "remove":
            return services.pop(name, None) is not None
        if op == "set":
            service = change["service"]
            if unknown := service.keys() - KEYS:
                raise Fault(f"service: no such key: {unknown}")
            ports = service["ports"] if isinstance(service["ports"], list) else [service["ports"]]
            service["ports"] = [str(port) for port in ports]
            service["backends"] = {
                entry if isinstance(entry, str) else entry["address"]:
                    1 if isinstance(entry, str) else entry["weight"]
                for entry in service["backends"]}
            services[name] = DEFAULTS | service | {"origin": "control"}
            return services[name] != before
        if before is None:
            raise Fault(f"there is no service {name}")
        backends = dict(before["backends"])
        services[name] = before | {"backends": backends}
        if not BACKEND.fullmatch(change["backend"]):
            raise Fault(f"backend: {change['backend']} is none")
        if op == "set_backend":
            known = backends.get(change["backend"])
            backends[change["backend"]] = change["weight"]
            return known != change["weight"]
        if op == "remove_backend":
            return backends.pop(change["backend"], None) is not None
        raise Fault(f"op: {op} is none")
