# SPDX-License-Identifier: Apache-2.0
"""tools/demo: real traffic through noclash, and the same storm against it and netfilter."""

import argparse
import json
import os
import shutil
import sys

from . import builds, interrupts, laboratory
from .console import Console
from .namespaces import require_privilege, require_root
from .netfilter import MODES, Netfilter
from .noclash import DEFAULT_RULES, Noclash
from .process import LabError, NotAvailable, run
from .restarts import CONNECTIONS, contests, run_restart
from .services import NAME, Services
from .storm import run_storm
from .topology import GATEWAY_LB, NODE_PORT, POD, Topology

FINE, CLASHED, USAGE, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 130
# One NodePort, one pod and one outside address have 64,512 ports between them.
MOST_CONNECTIONS = 60000

# The gateway that --keep leaves has a pool, whose addresses can be changed while connections go on.
KEPT_POOL = """
[[pool]]
name = "outside"
addresses = ["10.2.9.1"]
"""
KEPT_RULES = DEFAULT_RULES.replace('action = "masquerade"', 'action = "snat"\npool = "outside"')

DESCRIPTION = """\
Shows noclash at work on this machine, in network namespaces of its own: nothing outside them is
touched, no huge pages and no real network interface are needed.

  lb (16 addresses) ---- gateway ---- pod

First real programs talk through noclash: curl, dig, ping, iperf3. Then a load balancer's storm
crosses each gateway in turn, this kernel's own NAT in its three modes and noclash: connections to
one service, opened from 16 addresses with the same source ports, by two CPUs in step. Every one of
them should arrive at the pod exactly once. At last noclash is killed and started again while 50
connections are in use, all of which should go on.
"""

GAP = """
  gap: the longest time in which no datagram got through, of one every 5 ms. netfilter's connections
  are the kernel's and end with the machine: there is no restart of it to compare with."""

EXAMPLES = """\
examples:
  sudo tools/demo                    the whole of it, in some minutes
  sudo tools/demo --json out.json    and the figures as JSON
  sudo tools/demo --keep             and leave the gateway running, to play with
  sudo tools/demo --clean            remove what --keep left

exit status:
  0  noclash lost no connection, not by its restart either, duplicated none, and all programs worked
  1  it did not: the table and the lines above it say what happened
  2  usage        3  this machine lacks something (the message says what)
  130  interrupted; everything was cleaned up
"""


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        prog="tools/demo", description=DESCRIPTION, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=40000, metavar="N",
                        help=f"of each storm, 2 to {MOST_CONNECTIONS} (default: 40000)")
    parser.add_argument("--rate", type=int, default=10000, metavar="CPS",
                        help="connections per second, on average (default: 10000)")
    parser.add_argument("--json", metavar="FILE", help="write the results to FILE as well")
    parser.add_argument("--keep", action="store_true",
                        help="leave the topology and the gateway running, and say how to use them")
    parser.add_argument("--clean", action="store_true",
                        help="only remove what an earlier --keep, or a killed run, has left")
    options = parser.parse_args(argv)
    if not 2 <= options.connections <= MOST_CONNECTIONS:
        parser.error(f"--connections: {options.connections} is not within 2 to {MOST_CONNECTIONS}")
    if not 100 <= options.rate <= 1_000_000:
        parser.error(f"--rate: {options.rate} is not within 100 to 1000000")
    if options.json and not os.path.isdir(os.path.dirname(os.path.abspath(options.json))):
        parser.error(f"--json: there is no directory for {options.json}")
    return options


class Demo:
    """One run, and what it found out."""

    def __init__(self, options, console):
        self._options = options
        self._console = console
        self._build = builds.release()
        self.storms = []
        self.services = []
        self.restarts = []
        self.not_run = []

    def prepare(self):
        """Installs, builds, and removes what killed runs have left.

        What may be missing for the demonstration is looked for first: building takes minutes.
        """
        self._console.heading("Preparing")
        with self._console.step("privileges") as step:
            require_root()
            if shutil.which("ip"):  # else tools/setup installs it, and it is tried below
                require_privilege()
            step.conclude("root")
        with self._console.step("packages") as step:
            run([os.path.join(builds.ROOT, "tools", "setup")], timeout_s=1800)
            step.conclude("all there")
        # The storm is built after the first packets have been seen.
        self._build_programs(builds.GATEWAY)
        with self._console.step("checking this machine") as step:
            require_privilege()
            dead = laboratory.clean_up_after_the_dead()
            step.conclude(f"fine; removed what {', '.join(dead)} had left" if dead else "fine")

    def _build_programs(self, programs):
        try:
            with self._console.step("building") as step:
                self._build.configure()
                self._build.compile(step, programs)
        except LabError as error:
            raise NotAvailable(str(error)) from error

    def run_services(self, lab):
        """Real programs through noclash."""
        self._console.heading("Through noclash")
        topology = self._start(lab, Noclash(self._build))
        servers = Services(topology)
        for name, check in servers.checks():
            with self._console.step(name) as step:
                result = check()
                self.services.append(result)
                step.conclude(("ok: " if result.ok else "FAILED: ") + result.detail,
                              "green" if result.ok else "red")
        lab.reset()

    def run_storms(self, lab):
        """The same storm through each gateway, each fresh."""
        count = self._options.connections
        self._console.heading(f"The storm: {count:,} connections from 16 addresses, in step, "
                              "to one service")
        self._build_programs(builds.STORM)
        for contestant in [*map(Netfilter, MODES), Noclash(self._build)]:
            with self._console.step(contestant.name) as step:
                self._run_storm(lab, contestant, step)
            lab.reset()

    def _run_storm(self, lab, contestant, step):
        try:
            topology = self._start(lab, contestant)
        except NotAvailable as error:
            if isinstance(contestant, Noclash):
                raise
            self.not_run.append((contestant.name, str(error)))
            step.conclude(f"not run: {error}", "yellow")
            return
        result = run_storm(self._build.storm, topology, contestant,
                           connections=self._options.connections, rate_cps=self._options.rate)
        self.storms.append(result)
        words = f"{result.lost:,} lost"
        if result.duplicated:
            words += f", {result.duplicated:,} duplicated"
        step.conclude(words, "green" if result.all_delivered_once else "red")
        if isinstance(contestant, Noclash) and not result.all_delivered_once:
            self._console.say(f"    counted drops: {contestant.drops()}")

    def run_restarts(self, lab):
        """Connections in use while their gateway is reloaded, or killed and restarted."""
        self._console.heading(f"The restart: {CONNECTIONS} connections in use")
        for contestant, event, befall in contests(self._build, lab):
            with self._console.step(f"{contestant.name}, {event}") as step:
                self._run_restart(lab, contestant, event, befall, step)
            lab.reset()

    def _run_restart(self, lab, contestant, event, befall, step):
        try:
            topology = self._start(lab, contestant)
        except NotAvailable as error:
            if isinstance(contestant, Noclash):
                raise
            step.conclude(f"not run: {error}", "yellow")
            return
        result = run_restart(contestant, topology, event, befall)
        self.restarts.append(result)
        step.conclude(result.words, "green" if result.all_live else "red")

    @staticmethod
    def _start(lab, contestant):
        topology = Topology(lab)
        contestant.start(topology)
        return topology

    def report(self):
        """The table, and the JSON file; returns the exit status."""
        self._console.heading("Result")
        header = ("gateway", "sent", "delivered once", "lost", "duplicated", "insert_failed",
                  "seconds")
        rows = [tuple(result.row().values()) for result in self.storms]
        styles = ["green" if result.all_delivered_once else "red" for result in self.storms]
        for name, _reason in self.not_run:
            rows.append((name, "not run", *("-" * (len(header) - 2))))
            styles.append("yellow")
        self._console.table(header, rows, styles)
        self._report_restarts()
        if self._options.json:
            self._write_json()
        return FINE if self._all_is_well() else CLASHED

    def _report_restarts(self):
        if not self.restarts:
            return
        self._console.say()
        self._console.table(
            ("gateway", "connections live", "gap, ms"),
            [(f"{result.contestant}, {result.event}", f"{result.live} of {result.connections}",
              f"{result.gap_ms:.0f}") for result in self.restarts],
            ["green" if result.all_live else "red" for result in self.restarts])
        self._console.say(GAP)

    def _all_is_well(self):
        """Whether noclash did everything, and did it right."""
        storms = [result for result in self.storms if result.contestant == Noclash.name]
        restarts = [result for result in self.restarts if result.contestant == Noclash.name]
        return (all(check.ok for check in self.services) and
                bool(storms) and all(result.all_delivered_once for result in storms) and
                bool(restarts) and all(result.all_live for result in restarts))

    def _write_json(self):
        results = {"storm": [result.row() for result in self.storms],
                   "services": [check.row() for check in self.services],
                   "restarts": [result.row() for result in self.restarts]}
        if self.not_run:
            results["not_run"] = [{"contestant": name, "reason": reason}
                                  for name, reason in self.not_run]
        with open(self._options.json, "w", encoding="utf-8") as handle:
            json.dump(results, handle, indent=2)
            handle.write("\n")

    def keep(self):
        """Leaves a gateway with its services, and says how to use it."""
        self._console.heading("Kept for you")
        with self._console.step("starting the gateway again") as step:
            laboratory.remove_kept()
            with laboratory.Lab(laboratory.KEPT_PREFIX) as lab:
                gateway = Noclash(self._build, name="demo", state=lab.memory_path("flows"),
                                  extra=KEPT_POOL, rules=KEPT_RULES)
                topology = self._start(lab, gateway)
                Services(topology)
                lab.keep()
            step.conclude(f"running, pid {gateway.process.pid}")
        client = f"sudo ip netns exec {topology.lb.name}"
        inside = f"sudo ip netns exec {topology.gateway.name}"
        control = " ".join(gateway.control_command())
        daemon, config = self._build.daemon, gateway.config_path
        storm = os.path.relpath(self._build.storm)
        self._console.say(f"""
  Talk through it:
    {client} curl -o /dev/null http://{GATEWAY_LB}:{NODE_PORT}/file
    {client} dig @{GATEWAY_LB} +short host1.{NAME}
    {client} ping {POD}
    {client} iperf3 -c {POD}
    {client} {storm} send --interface lb0 --destination {GATEWAY_LB}:{NODE_PORT} \\
        --source-base 10.1.1.1

  Look into it:
    sudo {control} flows list
    sudo {control} stats
    sudo {control} rules

  Change it while connections go on: edit {config}, another address of the pool, say; then
    sudo {control} config diff {config}
    sudo {control} reload
  Kill it, and start it again: its flows go on
    sudo kill -9 {gateway.process.pid}
    {inside} {daemon} --config {config} &
  Upgrade it, here to itself: the flows are exported and imported
    {inside} tools/upgrade --config {config} \\
        --old-noclashctl {self._build.control} --new-noclash {daemon} --by-stream

  Its configuration and its logs:  {lab.directory}
  Remove it all:                   sudo tools/demo --clean""")


def clean(console):
    """--clean."""
    require_privilege()
    kept = laboratory.remove_kept()
    dead = laboratory.clean_up_after_the_dead()
    removed = [laboratory.KEPT_PREFIX] * kept + dead
    console.say("removed: " + ", ".join(removed) if removed else "nothing was left")
    return FINE


def main(argv):
    options = parse_arguments(argv)
    console = Console()
    interrupts.raise_on_signals()
    try:
        if options.clean:
            return clean(console)
        demo = Demo(options, console)
        demo.prepare()
        try:
            with laboratory.Lab() as lab:
                demo.run_services(lab)
                demo.run_storms(lab)
                demo.run_restarts(lab)
        except LabError:
            demo.report()
            raise
        status = demo.report()
        if options.keep:
            demo.keep()
        return status
    except NotAvailable as error:
        print(f"demo: {error}", file=sys.stderr)
        return ENVIRONMENT
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return CLASHED
    except (KeyboardInterrupt, interrupts.Interrupted):
        print("demo: interrupted; everything was cleaned up", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
