# SPDX-License-Identifier: Apache-2.0
"""noclash as a gateway: its configuration, the daemon, and its control client."""

import json
import os
import signal

from .process import LabError, run
from .topology import (BACKENDS, DNS_PORT, GATEWAY_LB, GATEWAY_POD, NODE_PORT, POD, POD_PORT,
                       PREFIX_LENGTH)

# Rules of the demo and most tests: one NodePort and one resolver, and everything else from the load
# balancer's side leaves with the gateway's own address.
DEFAULT_RULES = f"""
[[rule]]
name = "nodeport"
action = "dnat"
in = "lb"
protocol = "tcp"
to = "{GATEWAY_LB}/32"
to_port = {NODE_PORT}
target = "{POD}:{POD_PORT}"
source = "masquerade"

[[rule]]
name = "dns-udp"
action = "dnat"
in = "lb"
protocol = "udp"
to = "{GATEWAY_LB}/32"
to_port = {DNS_PORT}
target = "{POD}:{DNS_PORT}"
source = "masquerade"

[[rule]]
name = "dns-tcp"
action = "dnat"
in = "lb"
protocol = "tcp"
to = "{GATEWAY_LB}/32"
to_port = {DNS_PORT}
target = "{POD}:{DNS_PORT}"
source = "masquerade"

[[rule]]
name = "outbound"
action = "masquerade"
in = "lb"
"""


def _dnat(name, protocol, port, target, source):
    return f"""
[[rule]]
name = "{name}"
action = "dnat"
in = "lb"
protocol = "{protocol}"
to = "{GATEWAY_LB}/32"
to_port = {port}
target = {json.dumps(target)}
source = "{source}"
"""


def service_section(name, protocol, address, port, backends, source="keep"):
    """TOML of a service; `backends` are addresses with ports."""
    return f"""
[[service]]
name = "{name}"
address = "{address}"
ports = [{port}]
protocol = "{protocol}"
backends = {json.dumps(backends)}
source = "{source}"
"""


# The storm's NodePort, TCP and UDP.
STORM_RULES = "".join(_dnat(f"nodeport-{protocol}", protocol, NODE_PORT, f"{POD}:{POD_PORT}",
                            "masquerade") for protocol in ("tcp", "udp"))
# A resolver with several backends, one of which is drawn for each connection.
RESOLVER_RULES = _dnat("resolver", "udp", DNS_PORT,
                       [f"{address}:{DNS_PORT}" for address in BACKENDS], "keep")


def _name(name):
    return f'name = "{name}"\n' if name else ""


def _state(state, keep):
    """The table of what a restart finds again."""
    keys = f'file = "{state}"\n' if state else ""
    if keep is not None:
        keys += f"keep = {str(keep).lower()}\n"
    return f"\n[state]\n{keys}" if keys else ""


def configuration(control_socket, *, rules=DEFAULT_RULES, workers=2, flows=131072, idle="nap",
                  lb_address=f"{GATEWAY_LB}/{PREFIX_LENGTH}",
                  pod_address=f"{GATEWAY_POD}/{PREFIX_LENGTH}", lb_mtu=1500, pod_mtu=1500,
                  lb_device="af_packet:gw-lb", pod_device="af_packet:gw-pod",
                  descriptors=1024, huge_pages="none",
                  log_level="info", top="", ports="", extra="", name=None, state=None, keep=None):
    """The text of a configuration file; `top` is TOML of further keys, `ports` of further keys of
    both ports, `extra` of sections. `name` is the instance's, `state` the file of its flows, and
    `keep` whether there is one."""
    return f"""# SPDX-License-Identifier: Apache-2.0
flows = {flows}
workers = {workers}
idle = "{idle}"
control_socket = "{control_socket}"
log_level = "{log_level}"
{_name(name)}{top}

[memory]
huge_pages = "{huge_pages}"

[[port]]
name = "lb"
device = "{lb_device}"
address = "{lb_address}"
mtu = {lb_mtu}
descriptors = {descriptors}
{ports}

[[port]]
name = "pod"
device = "{pod_device}"
address = "{pod_address}"
mtu = {pod_mtu}
descriptors = {descriptors}
{ports}
{_state(state, keep)}{extra}
{rules}"""


class Noclash:
    """The daemon of a build, started in the gateway's namespace."""

    name = "noclash"

    def __init__(self, build, **settings):
        """`settings` are those of configuration()."""
        self._build = build
        self._settings = settings
        self.environment = {}  # of the daemon, beside ours
        self.process = None
        self.config_path = None
        self.control_socket = None

    def start(self, topology, *, wait=True):
        lab = topology.lab
        self.control_socket = lab.path("control.sock")
        self.config_path = lab.path("gateway.toml")
        self.write_configuration()
        self.launch(topology.gateway)
        if wait:
            topology.wait_for_gateway()

    @property
    def configuration(self):
        """The text of the daemon's configuration file."""
        return configuration(self.control_socket, **self._settings)

    def write_configuration(self):
        with open(self.config_path, "w", encoding="utf-8") as handle:
            handle.write(self.configuration)

    def change_configuration(self, **settings):
        """Writes the file anew with these settings; the daemon reads it when it is told to."""
        self._settings.update(settings)
        self.write_configuration()

    def launch(self, namespace):
        """Starts the daemon on the configuration that is there; also after stop() or kill()."""
        self.spawn(namespace)
        self.process.wait_ready(self._answers, timeout_s=60)

    def spawn(self, namespace):
        """As launch(), but waits for nothing."""
        environment = {**os.environ, **self.environment}
        # A sanitized daemon must fail on the first report, not go on.
        environment.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
        self.process = namespace.start(self._build.daemon, "--config", self.config_path,
                                       name="noclash", env=environment)

    def stop(self, timeout_s=10):
        """SIGTERM; returns the exit status."""
        return self.process.stop(timeout_s=timeout_s)

    def kill(self):
        return self.process.stop(number=signal.SIGKILL)

    def control_command(self, *argv):
        return [self._build.control, "--socket", self.control_socket, *map(str, argv)]

    def text(self, *argv, **options):
        """The output of noclashctl for people."""
        return run(self.control_command(*argv), **options).stdout

    def json(self, *argv, **options):
        """The output of noclashctl for programs, parsed."""
        output = self.text("--json", *argv, **options)
        try:
            return json.loads(output)
        except ValueError as error:
            raise LabError(f"noclashctl --json {' '.join(map(str, argv))} is no JSON: {error}:\n"
                           f"{output[:500]}") from error

    def _stats_sum(self, group):
        sums = {}
        for worker in self.json("stats"):
            for name, value in worker[group].items():
                sums[name] = sums.get(name, 0) + value
        return sums

    def counters(self):
        """Counters with netfilter's names, of all workers together."""
        return self._stats_sum("netfilter")

    def drops(self):
        """Drop reasons that have been counted, of all workers together."""
        return {name: value for name, value in self._stats_sum("drops").items() if value}

    def flow_count(self):
        return self.json("flows", "count")[0]["count"]

    def rule_hits(self):
        return {row["name"]: row["hits"] for row in self.json("rules")}

    def _answers(self):
        """The socket is there before it is asked: to ask takes a process."""
        return os.path.exists(self.control_socket) and \
            run(self.control_command("version"), check=False, timeout_s=5).returncode == 0
