# SPDX-License-Identifier: Apache-2.0
"""tools/bench cps: connections through noclash and the kernel, every one of them checked."""

import json
from dataclasses import dataclass

from . import laboratory
from .bench_report import Report, Row
from .cpsload import (DNS_PORT, GATEWAY_CLIENT, ThroughKernel, ThroughNoclash, TesterTopology,
                      node_ports, run_cpsload)
from .namespaces import require_privilege
from .process import LabError, NotAvailable, run

SUMMARY = "connections a second through noclash and the kernel; ten million of them, all checked"

HELP = """\
tools/cpsload opens connections through a gateway, answers them on its other side, and checks that
each is delivered once, with a translated tuple of its own, payload and checksums unchanged.

First it runs back to back: its own ceiling. Then ten million connections (--quick: a tenth) pass
noclash at rates that this machine bears: request and response, a load balancer's ports in step on
four NodePorts, and pairs of DNS queries; over memif and over veth with af_packet. A connection may
need a retransmission, when gateway and tester share CPUs with others; none may be lost, duplicated
or mistranslated. Then the highest rate is searched at which no more than one connection in a
thousand needs a retransmission: for noclash with one worker and for the kernel's NAT on the same
veth pairs, and for noclash over memif.

Pools, timeouts and table sizes: tools/lab/cpsload.py. Leave the machine alone meanwhile: two CPUs
are shared by tester and gateway as it is.
"""

MILLION = 1_000_000
MAX_LOSS = 0.001


@dataclass
class Part:
    """Some of the ten million."""

    title: str
    memif: bool
    millions: float
    rate_cps: int
    options: list

    def count(self, quick):
        return int(self.millions * MILLION / (10 if quick else 1))


DNS = ["--profile", "dns", "--service", f"{GATEWAY_CLIENT}:{DNS_PORT}"]
PARTS = [Part("memif, tcp-crr", True, 4, 40_000, node_ports(1)),
         Part("memif, lb, 4 NodePorts", True, 3, 40_000, ["--profile", "lb", *node_ports(4)]),
         Part("memif, dns", True, 1, 20_000, DNS),
         Part("veth, tcp-crr", False, 1, 10_000, node_ports(1)),
         Part("veth, lb", False, 0.5, 10_000, ["--profile", "lb", *node_ports(1)]),
         Part("veth, dns", False, 0.5, 10_000, DNS)]


def targets(_build):
    """The targets that ninja has to build."""
    return ["dpdk/noclash", "tools/noclashctl/noclashctl", "tools/cpsload/cpsload"]


def measure(build, options, console):
    """Runs all of it."""
    require_privilege()
    report = Report()
    with console.step("the tester itself, back to back") as step:
        ceiling = _self_test(build, report)
        step.conclude(f"{ceiling / MILLION:.2f} M connections per second of CPU")
    report.rows.append(Row("tester alone, per second of one CPU", ceiling / MILLION, "M", 2.0))
    _many(build, options, console, report)
    _searches(build, options, console, report)
    return report


def _self_test(build, report):
    result = json.loads(run([build.cpsload, "--self-test", "--json"], check=False).stdout or "{}")
    if not result.get("fine"):
        raise LabError(f"the tester's self-test failed: {result.get('faults')}")
    report.details.append({"name": "self-test", **result})
    share = result["cpu_seconds"] / result["seconds"]
    if share < 0.95:
        report.remarks.append(f"The tester had a CPU {100 * share:.0f} % of the time: something "
                              "else was running, and the figures say little.")
    return result["connections_per_cpu_second"]


def _many(build, options, console, report):
    opened = failed = 0
    for part in PARTS:
        with console.step(f"{part.count(options.quick):,} connections: {part.title}") as step, \
                laboratory.Lab() as lab:
            topology = TesterTopology(lab)
            gateway = ThroughNoclash(build, topology, memif=part.memif).start()
            result = run_cpsload(build, topology, gateway, *part.options, "--rate", part.rate_cps,
                                 "--connections", part.count(options.quick),
                                 timeout_s=60 + 5 * part.count(options.quick) / part.rate_cps)
            if not result.result:
                raise LabError(f"cpsload failed ({result.status}): {result.stderr}")
            report.details.append({"name": part.title, **result.result})
            if result.status != 0:
                report.wrong.append(f"{part.title}: {result.result['verdict_text']} "
                                    f"{result.result['faults']} {result.result['problem']}")
            opened += result.result["opened"]
            failed += result.result["opened"] - result.result["completed"]
            repeated = result.result["connections_with_retransmissions"]
            step.conclude("all checked" if result.status == 0 else
                          result.result["verdict_text"],
                          "green" if result.status == 0 else "red")
            console.say(f"    {result.result['connections_per_second']:,.0f}/s, {repeated} needed "
                        "a retransmission")
    report.rows.append(Row("connections checked", opened / MILLION, "M",
                           1.0 if options.quick else 10.0))
    report.rows.append(Row("of these not completed", failed, "", 0, at_most=True))


def _searches(build, options, console, report):
    contestants = (
        ("noclash, veth", lambda topology: ThroughNoclash(build, topology)),
        ("netfilter, veth", ThroughKernel),
        ("noclash, memif", lambda topology: ThroughNoclash(build, topology, memif=True)))
    highest = {}
    for title, make in contestants:
        with console.step(f"highest rate: {title}") as step, laboratory.Lab() as lab:
            topology = TesterTopology(lab)
            try:
                gateway = make(topology).start()
            except NotAvailable as error:
                step.conclude(str(error), "yellow")
                report.rows.append(Row(f"highest rate: {title}", None, "k/s"))
                continue
            result = run_cpsload(build, topology, gateway, *node_ports(1), "--search",
                                 "--search-from", 4000, "--max-loss", MAX_LOSS, "--attempts", 2,
                                 "--trial-seconds", 1 if options.quick else 3)
            if not result.result:
                raise LabError(f"cpsload failed ({result.status}): {result.stderr}")
            report.details.append({"name": f"search: {title}", **result.result})
            highest[title] = result.result["highest_per_second"]
            step.conclude(f"{highest[title]:,.0f}/s")
            if result.result["verdict"] == "none":
                report.remarks.append(f"{title}: above {highest[title]:,.0f}/s the tester itself "
                                      "lost packets; the gateway may do more.")
            report.rows.append(Row(f"highest rate: {title}", highest[title] / 1000, "k/s"))
    report.remarks.append("The kernel forwards on the CPU that sends, here the tester's; noclash "
                          "has a thread of its own.")
