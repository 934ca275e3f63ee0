# SPDX-License-Identifier: Apache-2.0
"""Gateways that spread a service's connections over its backends, each run as its operator does.

Each has a name, `configuration` and `start(topology)`. `take_out(end)`: the backend gets no new
connections, and keeps those that it has; `put_in(end)`: it gets its share again. `commands` are
those that did so, as one would type them, the last ones of each kind.
"""

import contextlib
import os
import shlex
import shutil

from .netfilter import NetfilterService
from .noclash import service_section
from .process import NotAvailable, run
from .topology import GATEWAY_LB, GATEWAY_POD, PREFIX_LENGTH, VIP

SERVICE = "web"
PORT = 80


def end_of(address):
    """A backend's address, with the port of all."""
    return f"{address}:{PORT}"


def service_text(addresses):
    """The service, as noclash's configuration file has it."""
    return service_section(SERVICE, "tcp", VIP, PORT, [end_of(address) for address in addresses])


class NoclashBalancer:
    """noclash, with the service of service_text()."""

    def __init__(self, gateway):
        self.gateway, self.name = gateway, gateway.name
        self.commands = []

    @property
    def configuration(self):
        return self.gateway.configuration

    def start(self, topology):
        self.gateway.start(topology)

    def take_out(self, end):
        self._service("drain", end)

    def put_in(self, end):
        self._service("undrain", end)

    def _service(self, command, end):
        words = ("service", command, SERVICE, end)
        self.gateway.text(*words)
        self.commands = [*self.commands[-1:], shlex.join(("noclashctl", *words))]


class NetfilterBalancer:
    """netfilter: the map of backends is replaced by one without the backend, and by one with it.
    The table of connections keeps those that it has."""

    def __init__(self, method, addresses):
        self._kernel = NetfilterService(method, VIP, PORT, addresses)
        self._all, self._out = list(addresses), set()
        self.name, self.configuration = self._kernel.name, self._kernel.configuration
        self.commands = ["nft -f: flush chain ip gateway incoming; add rule ... with the other map"]

    def start(self, topology):
        self._kernel.start(topology)

    def take_out(self, end):
        self._out.add(end)
        self._replace()

    def put_in(self, end):
        self._out.discard(end)
        self._replace()

    def _replace(self):
        self._kernel.set_backends([address for address in self._all
                                   if end_of(address) not in self._out])


class IpvsBalancer:
    """IPVS, round robin, with NAT: a backend that is out has the weight 0."""

    name = "ipvs"

    def __init__(self, addresses):
        self._ends = [end_of(address) for address in addresses]
        self._namespace = None
        self.configuration = "\n".join(shlex.join(self._argv(*words)) for words in self._setup())
        self.commands = []

    def _setup(self):
        vip = end_of(VIP)
        return [("-A", "-t", vip, "-s", "rr")] + [
            ("-a", "-t", vip, "-r", end, "-m", "-w", "1") for end in self._ends]

    def start(self, topology):
        """Raises NotAvailable when this kernel has no IPVS, or the machine no ipvsadm."""
        self._namespace = topology.gateway
        if not _kernel_has_ipvs():
            raise NotAvailable("not in this kernel")
        if not shutil.which("ipvsadm"):
            raise NotAvailable("ipvsadm is not installed: apt-get install ipvsadm")
        for device, address in (("gw-lb", f"{GATEWAY_LB}/{PREFIX_LENGTH}"), ("lo", f"{VIP}/32"),
                                ("gw-pod", f"{GATEWAY_POD}/{PREFIX_LENGTH}")):
            self._namespace.ip("address", "add", address, "dev", device)
        self._namespace.sysctl("net.ipv4.ip_forward", 1)
        for words in self._setup():
            self._namespace.run(*self._argv(*words))
        topology.wait_for_gateway()

    def take_out(self, end):
        self._set_weight(end, 0)

    def put_in(self, end):
        self._set_weight(end, 1)

    def _set_weight(self, end, weight):
        argv = self._argv("-e", "-t", end_of(VIP), "-r", end, "-m", "-w", weight)
        self._namespace.run(*argv)
        self.commands = [*self.commands[-1:], shlex.join(argv)]

    @staticmethod
    def _argv(*words):
        return ["ipvsadm", *map(str, words)]


def _kernel_has_ipvs():
    """Loads its module where it is one."""
    if not os.path.exists("/proc/net/ip_vs"):
        with contextlib.suppress(NotAvailable):
            run(["modprobe", "-q", "ip_vs"], check=False)
    return os.path.exists("/proc/net/ip_vs")
