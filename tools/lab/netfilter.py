# SPDX-License-Identifier: Apache-2.0
"""The machine's own NAT as a gateway: nftables, in the gateway's namespace."""

import re

from .process import LabError, NotAvailable
from .topology import (BACKENDS, DNS_PORT, GATEWAY_LB, GATEWAY_POD, NODE_PORT, POD, POD_PORT,
                       PREFIX_LENGTH)

MODES = {"masquerade": "masquerade",
         "random": "masquerade random",
         "fully-random": "masquerade fully-random"}

NODE_PORT_RULES = [f"ip daddr {GATEWAY_LB} {protocol} dport {NODE_PORT} dnat to {POD}:{POD_PORT}"
                   for protocol in ("tcp", "udp")]
BACKEND_MAP = ", ".join(f"{number} : {address}" for number, address in enumerate(BACKENDS))


class _Kernel:
    """The common part of the gateways below."""

    def __init__(self, name, *, incoming, outgoing=()):
        """Both are statements of the NAT chains; `configuration` is the whole ruleset."""
        self.name = name
        self.configuration = "\n".join((
            "table ip gateway {",
            "    chain incoming {",
            "        type nat hook prerouting priority dstnat;",
            *(f"        {statement}" for statement in incoming),
            "    }",
            "    chain outgoing {",
            "        type nat hook postrouting priority srcnat;",
            *(f"        {statement}" for statement in outgoing),
            "    }",
            "}\n"))
        self._namespace = None

    def start(self, topology):
        """Raises NotAvailable when the kernel has no such NAT."""
        self._namespace = topology.gateway
        self._namespace.ip("address", "add", f"{GATEWAY_LB}/{PREFIX_LENGTH}", "dev", "gw-lb")
        self._namespace.ip("address", "add", f"{GATEWAY_POD}/{PREFIX_LENGTH}", "dev", "gw-pod")
        self._namespace.sysctl("net.ipv4.ip_forward", 1)
        try:
            self._namespace.nft(self.configuration)
        except LabError as error:
            raise NotAvailable(f"this kernel has no netfilter NAT ({error})") from error
        topology.wait_for_gateway()

    def reload(self):
        """Loads the ruleset anew, in one transaction."""
        self._namespace.nft("table ip gateway { }\ndelete table ip gateway\n" + self.configuration)

    def counters(self):
        """Sums of `conntrack -S` over all CPUs, by the names that it prints."""
        sums = {}
        for line in self._namespace.run("conntrack", "-S").stdout.splitlines():
            for name, value in re.findall(r"(\w+)=(\d+)", line):
                if name != "cpu":
                    sums[name] = sums.get(name, 0) + int(value)
        return sums


class Netfilter(_Kernel):
    """netfilter with one of the MODES of choosing a port."""

    def __init__(self, mode):
        super().__init__(f"netfilter-{mode}", incoming=NODE_PORT_RULES,
                         outgoing=[f'oifname "gw-pod" {MODES[mode]}'])


class KernelRules(_Kernel):
    """netfilter with the statements that a test wants in its chains."""


class NetfilterOfFewPorts(_Kernel):
    """netfilter with a range of ports for what leaves, as "5000-5063"."""

    def __init__(self, ports):
        super().__init__("netfilter", incoming=[], outgoing=[
            f'oifname "gw-pod" meta l4proto tcp masquerade to :{ports}'])


class NetfilterBalancer(_Kernel):
    """netfilter as kube-proxy sets it up for a resolver: a backend is drawn for each connection,
    which keeps its source address."""

    def __init__(self):
        super().__init__("netfilter", incoming=[
            f"ip daddr {GATEWAY_LB} udp dport {DNS_PORT} "
            f"dnat to numgen random mod {len(BACKENDS)} map {{ {BACKEND_MAP} }}:{DNS_PORT}"])


class NetfilterService(_Kernel):
    """netfilter as a service's balancer, one rule for each protocol: a new connection's backend is
    the one that `method` picks from a map of them."""

    METHODS = {"numgen": "numgen random mod {count}",
               "jhash": "jhash ip saddr . {protocol} sport mod {count}"}

    def __init__(self, method, vip, port, backends, *, protocols=("tcp",), target_port=None,
                 masquerade=False):
        self._method, self._vip, self._port = method, vip, port
        self._protocols, self._target_port = protocols, target_port or port
        super().__init__(f"netfilter-{method}", incoming=self._rules(backends),
                         outgoing=['oifname "gw-pod" masquerade'] if masquerade else [])

    def set_backends(self, backends):
        """In one transaction. Connections that are there keep their backends."""
        self._namespace.nft("flush chain ip gateway incoming\n" + "".join(
            f"add rule ip gateway incoming {rule}\n" for rule in self._rules(backends)))

    def _rules(self, backends):
        members = ", ".join(f"{number} : {address}" for number, address in enumerate(backends))
        return [f"ip daddr {self._vip} {protocol} dport {self._port} dnat to "
                f"{self.METHODS[self._method].format(count=len(backends), protocol=protocol)} "
                f"map {{ {members} }}:{self._target_port}" for protocol in self._protocols]
