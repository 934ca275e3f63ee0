# SPDX-License-Identifier: Apache-2.0
"""The common part of the controller's tests: an API, a gateway, and a controller between them.

    tests/kubernetes/test_services.py [TestCase.test_name]

The API server and the gateway are the tests' own; the controller is the program. No test needs a
privilege. NOCLASH_PATIENCE multiplies all limits of time.
"""

import os
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from fake_api import NODES, SERVICES, SLICES, FakeApi  # noqa: E402  (the path comes first)
from fake_gateway import FakeGateway  # noqa: E402
from lab.process import Process, run, wait_until  # noqa: E402

CLASS = "noclash.io/gateway"
CONTROLLER = ROOT / "tools" / "kubernetes" / "controller"
TIMEOUT_S = 30
FENCE = "fence"


def service(name="web", *, ports=((None, 80),), namespace="default", created=None, annotations=None,
            status=None, kind="LoadBalancer", **spec):
    """@param ports  names and numbers; the node port is 30,000 more"""
    meta = {"name": name, "namespace": namespace, "annotations": annotations}
    if created:
        meta["creationTimestamp"] = created
    entries = [{"port": port, "protocol": "TCP", "targetPort": 8080, "nodePort": 30000 + port}
               | ({"name": title} if title else {}) for title, port in ports]
    value = {"metadata": meta, "spec": {"type": kind, "loadBalancerClass": CLASS,
                                        "ports": entries, **spec}}
    if status:
        value["status"] = {"loadBalancer": {"ingress": [{"ip": address} for address in status]}}
    return value


def endpoint(address, node=None, **conditions):
    """Without a condition, the API leaves them to be guessed: ready."""
    return {"addresses": [address], "conditions": conditions or None} \
        | ({"nodeName": node} if node else {})


def ends(address, node=None, serving=True):
    """An endpoint that terminates."""
    return endpoint(address, node, ready=False, serving=serving, terminating=True)


def part(name, endpoints, *, of="web", namespace="default", ports=((None, 8080),), kind="IPv4"):
    """An EndpointSlice."""
    return {"metadata": {"name": name, "namespace": namespace,
                         "labels": {"kubernetes.io/service-name": of}},
            "addressType": kind, "endpoints": endpoints,
            "ports": None if ports is None else
            [{"name": title or "", "port": port, "protocol": "TCP"} for title, port in ports]}


def node(name, address, ready=True, labels=None):
    return {"metadata": {"name": name, "labels": labels},
            "status": {"addresses": [{"type": "Hostname", "address": name},
                                     {"type": "InternalIP", "address": address}],
                       "conditions": [{"type": "Ready", "status": "True" if ready else "False",
                                       "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]}}


class ControllerCase(unittest.TestCase):
    """Each test gets an API that has the Service `fence`, an empty gateway, and no controller."""

    addresses = '["192.0.2.16-192.0.2.31"]'
    settings = ""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.api = FakeApi()
        self.addCleanup(lambda: self.api.stop())
        self.gateway = FakeGateway(self.directory / "control.sock")
        self.addCleanup(lambda: self.gateway.stop())
        self.controller = None
        self._fenced = 0
        self.api.put(SERVICES, service(FENCE, created="2001-01-01T00:00:00Z",
                                       status=["192.0.2.31"], loadBalancerIP="192.0.2.31"))
        self.api.put(SLICES, part(FENCE, [], of=FENCE))

    def write_config(self):
        path = self.directory / "controller.toml"
        path.write_text(f'addresses = {self.addresses}\n'
                        f'control_socket = "{self.directory}/control.sock"\n{self.settings}\n'
                        f'[api]\nserver = "{self.api.server}"\n{self.api_settings()}')
        return path

    def api_settings(self):
        return ""

    def start(self):
        """Starts the controller, and waits until it has done what it has to."""
        self.begin()
        self.settle()

    def begin(self):
        self.controller = Process([CONTROLLER, "--verbose", "--config", self.write_config()],
                                  self.directory / "log",
                                  env=os.environ | {"PYTHONUNBUFFERED": "1"})
        self.addCleanup(self.controller.stop)

    def restart(self):
        self.assertEqual(self.controller.stop(), 0, self.controller.log())
        self.start()

    def wait(self, predicate, what):
        def fine():
            if self.controller and self.controller.returncode is not None:
                self.fail(f"the controller has ended:\n{self.controller.log()}")
            return predicate()
        try:
            return wait_until(fine, timeout_s=TIMEOUT_S, what=what)
        except Exception as error:
            log = self.controller.log() if self.controller else ""
            raise AssertionError(f"{error}\n{self.gateway.services}\n{log}") from None

    def settle(self):
        """Waits until the controller has sent what follows from all that has happened: changes of
        the fence come after it, by either watch."""
        self._fenced += 1
        name = f"k8s.default_{FENCE}_80"
        word = {"ClientIP": "client", "None": "none"}
        affinity = "ClientIP" if self._fenced % 2 else "None"
        self.api.put(SERVICES, service(FENCE, loadBalancerIP="192.0.2.31",
                                       sessionAffinity=affinity))
        self.wait(lambda: self.gateway.services.get(name, {}).get("affinity") == word[affinity],
                  "the fence's Service is changed")
        backend = f"10.255.0.{self._fenced}"
        self.api.put(SLICES, part(FENCE, [endpoint(backend)], of=FENCE))
        self.wait(lambda: f"{backend}:8080" in (self.gateway.backends(name) or ()),
                  "the fence's endpoint is changed")

    def sent(self):
        """The changes that were sent since the last call, but those of the fence."""
        changes, self.gateway.changes = self.gateway.changes, []
        return [change for change in changes
                if FENCE not in change.get("name", change.get("service", {}).get("name", ""))]

    def run_once(self, *options):
        """A controller that ends by itself."""
        return run([CONTROLLER, "--config", self.write_config(), *options], check=False,
                   timeout_s=TIMEOUT_S)


def set_backend(name, backend, weight=1):
    return {"op": "set_backend", "name": name, "backend": backend, "weight": weight}


def remove_backend(name, backend):
    return {"op": "remove_backend", "name": name, "backend": backend}


__all__ = ["NODES", "SERVICES", "SLICES", "ControllerCase", "endpoint", "ends", "node", "part",
           "remove_backend", "service", "set_backend", "unittest"]
