# SPDX-License-Identifier: Apache-2.0
"""The machine's own NAT as a gateway: nftables, in the gateway's namespace."""

import re

from .process import LabError, NotAvailable
from .topology import GATEWAY_LB, GATEWAY_POD, NODE_PORT, POD, POD_PORT, PREFIX_LENGTH

MODES = {"masquerade": "masquerade",
         "random": "masquerade random",
         "fully-random": "masquerade fully-random"}


class Netfilter:
    """netfilter with one of the MODES of choosing a port."""

    def __init__(self, mode):
        self.name = f"netfilter-{mode}"
        self._statement = MODES[mode]
        self._namespace = None

    def start(self, topology):
        """Raises NotAvailable when the kernel has no such NAT."""
        self._namespace = topology.gateway
        self._namespace.ip("address", "add", f"{GATEWAY_LB}/{PREFIX_LENGTH}", "dev", "gw-lb")
        self._namespace.ip("address", "add", f"{GATEWAY_POD}/{PREFIX_LENGTH}", "dev", "gw-pod")
        self._namespace.sysctl("net.ipv4.ip_forward", 1)
        try:
            self._namespace.nft(f"""
                table ip gateway {{
                    chain incoming {{
                        type nat hook prerouting priority dstnat;
                        ip daddr {GATEWAY_LB} tcp dport {NODE_PORT} dnat to {POD}:{POD_PORT}
                    }}
                    chain outgoing {{
                        type nat hook postrouting priority srcnat;
                        oifname "gw-pod" {self._statement}
                    }}
                }}""")
        except LabError as error:
            raise NotAvailable(f"this kernel has no netfilter NAT ({error})") from error
        topology.wait_for_gateway()

    def counters(self):
        """Sums of `conntrack -S` over all CPUs, by the names that it prints."""
        sums = {}
        for line in self._namespace.run("conntrack", "-S").stdout.splitlines():
            for name, value in re.findall(r"(\w+)=(\d+)", line):
                if name != "cpu":
                    sums[name] = sums.get(name, 0) + int(value)
        return sums

    def insert_failed(self):
        return self.counters().get("insert_failed", 0)
