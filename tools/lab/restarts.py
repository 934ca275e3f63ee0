# SPDX-License-Identifier: Apache-2.0
"""What connections that are in use notice when their gateway is reloaded, or killed and restarted.

netfilter keeps its connections in the kernel: they end with the machine, and there is no smaller
end of it to compare with. What people do to it while it runs is to load another ruleset, so noclash
is reloaded as well.
"""

import time
from dataclasses import asdict, dataclass

from .echo import Echo
from .netfilter import Netfilter
from .noclash import DEFAULT_RULES, Noclash
from .process import LabError
from .topology import GATEWAY_LB, NODE_PORT, POD, POD_PORT

CONNECTIONS = 50
PATIENCE_S = 20  # for those that are lost

# In front of the others, so that there is a change to be taken over.
_NEW_RULE = """
[[rule]]
name = "new"
action = "drop"
in = "lb"
protocol = "tcp"
to_port = 9
"""


@dataclass
class Restart:
    """What became of the connections."""

    contestant: str
    event: str
    connections: int
    live: int
    gap_ms: float  # the longest time in which not one datagram got through

    @property
    def all_live(self):
        return self.live == self.connections

    @property
    def words(self):
        return f"{self.live} of {self.connections} connections live, gap {self.gap_ms:.0f} ms"

    def row(self):
        """As `demo --json` writes it."""
        return asdict(self) | {"gap_ms": round(self.gap_ms, 1)}


def _reload_ruleset(gateway, _topology):
    gateway.reload()


def _reload_configuration(gateway, _topology):
    gateway.change_configuration(rules=_NEW_RULE + DEFAULT_RULES)
    gateway.json("reload")


def _kill(gateway, topology):
    gateway.kill()
    gateway.launch(topology.gateway)


def contests(build, lab):
    """The gateways, each to be started afresh, and what befalls them: (gateway, event, function of
    the gateway and the topology)."""
    def noclash():
        return Noclash(build, name="demo", state=lab.memory_path("flows"))
    return [(Netfilter("masquerade"), "ruleset reloaded (nft -f)", _reload_ruleset),
            (noclash(), "configuration reloaded", _reload_configuration),
            (noclash(), "killed and restarted", _kill)]


def run_restart(gateway, topology, event, befall):
    """Lets it befall a started gateway, with connections through it in use."""
    with Echo(topology.lb, topology.pod, served=(POD, POD_PORT), count=CONNECTIONS,
              asked=[(POD, POD_PORT), (GATEWAY_LB, NODE_PORT)]) as echo:
        begun_ns = time.monotonic_ns()
        befall(gateway, topology)
        over_ns = time.monotonic_ns()
        try:
            echo.wait_for_echoes(over_ns, CONNECTIONS, timeout_s=PATIENCE_S)
        except LabError:
            pass  # those that are lost are counted
        return Restart(gateway.name, event, CONNECTIONS, echo.alive_since(over_ns),
                       echo.probe.longest_silence_ms(begun_ns, time.monotonic_ns()))
