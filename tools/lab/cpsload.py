# SPDX-License-Identifier: Apache-2.0
"""cpsload between two namespaces: a tester with both sides of every connection, and a gateway.

        tester                  gateway
    10.1.0.2/16  lb0 ------- gw-lb  10.1.0.1/16     NodePorts 30080-30095/tcp, 7/udp, 53/udp
    10.2.0.2/16  pod0 ------ gw-pod 10.2.0.1/16     sources translated to POOL

Or noclash and the tester share memory (memif), and no link is used.

The tester's interfaces have no addresses: cpsload answers for them itself. A connection needs a
port of the pool for as long as it lives and TIME_WAIT_S longer: 16 addresses with 64,512 ports
each suffice for 100,000 connections a second for any length of time.
"""

import json
from dataclasses import dataclass

from .netfilter import MODES
from .noclash import Noclash
from .process import LabError, NotAvailable

CLIENT, SERVER = "10.1.0.2", "10.2.0.2"
GATEWAY_CLIENT, GATEWAY_SERVER = "10.1.0.1", "10.2.0.1"
PREFIX_LENGTH = 16
FIRST_SOURCE = "10.1.1.1"
POOL = "10.2.1.1-10.2.1.16"
NODE_PORTS = range(30080, 30096)
BACKEND_PORT = 80
UDP_PORT, DNS_PORT = 7, 53
MEMIF_DESCRIPTORS = 4096
# TIME_WAIT of a closed connection. The RFCs' 240 s would need 24 times the ports and the memory; no
# measurement depends on it, as no packet of an old connection is under way for so long here.
TIME_WAIT_S = 10

_RULE = """
[[rule]]
name = "{name}"
action = "dnat"
in = "lb"
protocol = "{protocol}"
to = "{gateway}/32"
to_port = "{ports}"
target = "{server}:{target}"
source = "pool:sources"
"""

_TIMEOUTS = f"""
[timeouts]
below_rfc_floor = true
tcp_time_wait_s = {TIME_WAIT_S}
udp_s = {TIME_WAIT_S}
udp_stream_s = {TIME_WAIT_S}

[[pool]]
name = "sources"
addresses = ["{POOL}"]
pooling = "arbitrary"
"""


def rules():
    """TOML for noclash: the NodePorts, the echo and the resolver."""
    ports = f"{NODE_PORTS[0]}-{NODE_PORTS[-1]}"
    kinds = (("nodeport", "tcp", ports, BACKEND_PORT), ("echo", "udp", UDP_PORT, UDP_PORT),
             ("dns", "udp", DNS_PORT, DNS_PORT))
    return _TIMEOUTS + "".join(
        _RULE.format(name=name, protocol=protocol, gateway=GATEWAY_CLIENT, ports=seen,
                     server=SERVER, target=target) for name, protocol, seen, target in kinds)


class TesterTopology:
    """The two namespaces and their links, without addresses."""

    def __init__(self, lab):
        self.lab = lab
        self.tester = lab.namespace("tester")
        self.gateway = lab.namespace("gateway")
        lab.link((self.tester, "lb0"), (self.gateway, "gw-lb"))
        lab.link((self.tester, "pod0"), (self.gateway, "gw-pod"))


class ThroughNoclash:
    """The daemon between the tester's two sides, over veth or memif."""

    name = "noclash"

    def __init__(self, build, topology, *, memif=False, workers=1, flows=2_000_000, **settings):
        self._topology = topology
        lab = topology.lab
        devices = {}
        self.client, self.server = "af_packet:lb0", "af_packet:pod0"
        self.descriptors = 1024
        if memif:
            self.descriptors = MEMIF_DESCRIPTORS
            self.client, self.server = (f"memif:{lab.path(name)}" for name in ("lb", "pod"))
            # Packets that come while the tester sleeps need room: 10 ms at 400,000 packets/s.
            devices = {"descriptors": self.descriptors,
                       "lb_device": f"{self.client},server",
                       "pod_device": f"{self.server},server"}
        self.daemon = Noclash(build, rules=rules(), workers=workers, flows=flows, **devices,
                              **settings)

    def start(self):
        self.daemon.start(self._topology, wait=False)
        return self

    def stop(self):
        """Returns the exit status of the daemon."""
        return self.daemon.stop()


class ThroughKernel:
    """netfilter between the tester's two sides, with the same pool and the same TIME_WAIT.

    nf_conntrack_max belongs to the whole machine and is left alone: the table holds that many
    connections, TIME_WAIT included, so a rate above nf_conntrack_max / TIME_WAIT_S fills it.
    """

    def __init__(self, topology, mode="masquerade"):
        self.name = f"netfilter-{mode}"
        self.client, self.server = "af_packet:lb0", "af_packet:pod0"
        self.descriptors = 1024
        self._namespace = topology.gateway
        self._option = MODES[mode].removeprefix("masquerade").strip()

    def start(self):
        """Raises NotAvailable when the kernel has no such NAT."""
        gateway = self._namespace
        gateway.ip("address", "add", f"{GATEWAY_CLIENT}/{PREFIX_LENGTH}", "dev", "gw-lb")
        gateway.ip("address", "add", f"{GATEWAY_SERVER}/{PREFIX_LENGTH}", "dev", "gw-pod")
        gateway.sysctl("net.ipv4.ip_forward", 1)
        try:
            gateway.nft(f"""
                table ip gateway {{
                    chain incoming {{
                        type nat hook prerouting priority dstnat;
                        ip daddr {GATEWAY_CLIENT} tcp dport {NODE_PORTS[0]}-{NODE_PORTS[-1]} \
                            dnat to {SERVER}:{BACKEND_PORT}
                        ip daddr {GATEWAY_CLIENT} udp dport {{ {UDP_PORT}, {DNS_PORT} }} \
                            dnat to {SERVER}
                    }}
                    chain outgoing {{
                        type nat hook postrouting priority srcnat;
                        oifname "gw-pod" snat to {POOL} {self._option}
                    }}
                }}""")
        except LabError as error:
            raise NotAvailable(f"this kernel has no netfilter NAT ({error})") from error
        for name in ("tcp_timeout_time_wait", "udp_timeout", "udp_timeout_stream"):
            gateway.sysctl(f"net.netfilter.nf_conntrack_{name}", TIME_WAIT_S)
        return self

    def stop(self):
        """Nothing runs; the namespace goes with the laboratory."""
        return 0


@dataclass
class Run:
    """How one run of cpsload ended."""

    status: int
    result: dict  # its JSON object; empty when it printed none
    stderr: str


def command(build, gateway, *options, sources=16):
    """The argument vector that runs cpsload through a gateway."""
    return [build.cpsload, "--client", gateway.client,
            "--client-address", f"{CLIENT}/{PREFIX_LENGTH}",
            "--server", gateway.server, "--server-address", f"{SERVER}/{PREFIX_LENGTH}",
            "--client-gateway", GATEWAY_CLIENT, "--server-gateway", GATEWAY_SERVER,
            "--first-source", FIRST_SOURCE, "--sources", sources, "--huge-pages", "none",
            "--descriptors", gateway.descriptors, "--reuse-after", 0, "--json", *options]


def run_cpsload(build, topology, gateway, *options, timeout_s=600):
    """Runs cpsload through a started gateway to its end."""
    done = topology.tester.run(*command(build, gateway, *options), check=False,
                               timeout_s=timeout_s)
    try:
        result = json.loads(done.stdout)
    except ValueError:
        result = {}
    return Run(done.returncode, result, done.stderr)


def node_ports(count=1):
    """Options that name so many NodePorts."""
    return [word for port in NODE_PORTS[:count]
            for word in ("--service", f"{GATEWAY_CLIENT}:{port}")]
