# SPDX-License-Identifier: Apache-2.0
"""The live half: the same storms through this kernel's NAT and through the noclash daemon."""

import os
from dataclasses import dataclass

from .laboratory import Lab, clean_up_after_the_dead
from .namespaces import require_privilege
from .netfilter import MODES, Netfilter, NetfilterBalancer, NetfilterService
from .noclash import RESOLVER_RULES, STORM_RULES, Noclash, service_section
from .process import LabError, NotAvailable
from .racelab_results import (DNS, EXHAUSTION, FREE_RUNNING, IN_STEP, KEEP, LIVE, PROTOCOLS,
                              SCHEDULES, SERVICE, SERVICE_PAIRS, STORM, TRANSLATE, Outcome)
from .storm import run_storm
from .topology import BACKENDS, DNS_PORT, GATEWAY_LB, NODE_PORT, POD_PORT, Topology

RATE_CPS = 10000
CONNECTIONS, CONNECTIONS_QUICK = 40000, 20000
# Connections for the 64,512 ports of a destination; noclash never proposes that of its own service.
# Sent faster, since the first of these connections must not expire before the last is there.
CROWD, CROWD_CPS = 64500, 20000
WORKERS = 2


@dataclass(frozen=True)
class Scenario:
    """One task, the same for all gateways."""

    kind: str
    protocol: str
    schedule: str
    connections: int
    rate_cps: int = RATE_CPS
    source: str = ""  # of clients of a service

    def outcome(self, contestant, **found):
        return Outcome(self.kind, LIVE, contestant, self.protocol, self.schedule,
                       source=self.source, rate_cps=self.rate_cps, **found)


def scenarios(quick):
    """In the order in which they run."""
    count = CONNECTIONS_QUICK if quick else CONNECTIONS
    storms = [Scenario(STORM, protocol, schedule, count)
              for schedule in SCHEDULES for protocol in PROTOCOLS]
    resolvers = [Scenario(DNS, "udp", schedule, count)
                 for schedule in ((IN_STEP,) if quick else SCHEDULES)]
    services = [Scenario(SERVICE, protocol, IN_STEP, count, source=source)
                for protocol in (PROTOCOLS[:1] if quick else PROTOCOLS)
                for source in (KEEP, TRANSLATE)]
    services.append(Scenario(SERVICE_PAIRS, "udp", IN_STEP, count, source=KEEP))
    return storms + resolvers + services + [
        Scenario(EXHAUSTION, "tcp", FREE_RUNNING, CROWD, CROWD_CPS)]


def gateways(scenario, build):
    """Whom a scenario is for, each not started yet."""
    if scenario.kind == DNS:
        return [NetfilterBalancer(), Noclash(build, rules=RESOLVER_RULES, workers=WORKERS)]
    if scenario.kind == SERVICE:
        return [_kernel_service("numgen", scenario, NODE_PORT, POD_PORT),
                _noclash_service(build, scenario, NODE_PORT, POD_PORT)]
    if scenario.kind == SERVICE_PAIRS:
        return [*(_kernel_service(method, scenario, DNS_PORT, DNS_PORT)
                  for method in NetfilterService.METHODS),
                _noclash_service(build, scenario, DNS_PORT, DNS_PORT)]
    return [*map(Netfilter, MODES), Noclash(build, rules=STORM_RULES, workers=WORKERS)]


def _kernel_service(method, scenario, port, target_port):
    return NetfilterService(method, GATEWAY_LB, port, BACKENDS, protocols=(scenario.protocol,),
                            target_port=target_port, masquerade=scenario.source == TRANSLATE)


def _noclash_service(build, scenario, port, target_port):
    section = service_section("service", scenario.protocol, GATEWAY_LB, port,
                              [f"{address}:{target_port}" for address in BACKENDS],
                              "masquerade" if scenario.source == TRANSLATE else "keep")
    return Noclash(build, rules=section, workers=WORKERS)


def run_live(build, quick, console):
    """All live runs, each in a fresh topology; those that this machine does not allow say why."""
    try:
        require_privilege()
        if len(os.sched_getaffinity(0)) < 2:
            raise NotAvailable("the storm needs two CPUs: one alone never races with itself")
        clean_up_after_the_dead()
    except NotAvailable as error:
        console.say(f"  live runs: {console.style(f'not run: {error}', 'yellow')}")
        return [scenario.outcome(gateway.name, not_run=str(error))
                for scenario in scenarios(quick) for gateway in gateways(scenario, build)]
    outcomes = []
    with Lab() as lab:
        for scenario in scenarios(quick):
            for gateway in gateways(scenario, build):
                outcomes.append(_run(lab, build, scenario, gateway, console))
                lab.reset()
    return outcomes


def _run(lab, build, scenario, gateway, console):
    words = f"{scenario.outcome(gateway.name).words}: {gateway.name}"
    with console.step(words) as step:
        try:
            topology = Topology(lab)
            if scenario.kind in (DNS, SERVICE, SERVICE_PAIRS):
                topology.add_backends()
            gateway.start(topology)
        except LabError as error:
            step.conclude(f"not run: {error}", "yellow")
            return scenario.outcome(gateway.name, not_run=str(error),
                                    configuration=gateway.configuration)
        try:
            outcome = _storm(build, topology, scenario, gateway)
        except LabError as error:
            step.conclude(f"the measurement failed: {error}", "red")
            return scenario.outcome(gateway.name, failure=str(error),
                                    configuration=gateway.configuration)
        step.conclude(result_words(outcome), "red" if outcome.faults else "green")
        return outcome


def _storm(build, topology, scenario, gateway):
    result = run_storm(build.storm, topology, gateway, protocol=scenario.protocol,
                       connections=scenario.connections, rate_cps=scenario.rate_cps,
                       free_running=scenario.schedule == FREE_RUNNING,
                       pairs=scenario.kind in (DNS, SERVICE_PAIRS))
    return scenario.outcome(
        gateway.name, sent=result.sent, delivered=result.delivered, lost=result.lost,
        duplicated=result.duplicated, split_pairs=result.split_pairs,
        tuple_collisions=result.tuple_collisions, bad_checksums=result.bad_checksums,
        changed_sources=result.changed_sources,
        insert_failed=result.insert_failed,
        clash_resolved=result.counters.get("clash_resolve", 0), seconds=round(result.seconds, 3),
        configuration=gateway.configuration, commands=result.commands, counters=result.counters)


def result_words(outcome):
    """The words of a line of progress."""
    words = [f"{outcome.lost:,} of {outcome.sent:,} lost"]
    for count, what in ((outcome.duplicated, "duplicated"),
                        (outcome.tuple_collisions, "with another's tuple"),
                        (outcome.bad_checksums, "damaged"),
                        (outcome.wrong_sources, "from a wrong source"),
                        (outcome.split_pairs, f"of {outcome.pairs:,} pairs split")):
        if count:
            words.append(f"{count:,} {what}")
    return ", ".join(words)
