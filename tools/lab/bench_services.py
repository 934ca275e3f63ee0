# SPDX-License-Identifier: Apache-2.0
"""tools/bench services: what clients notice while the backends of a service are replaced."""

from .balancers import IpvsBalancer, NetfilterBalancer, NoclashBalancer, service_text
from .bench_report import Report, Row
from .laboratory import Lab, clean_up_after_the_dead
from .namespaces import require_privilege
from .noclash import Noclash
from .process import LabError, NotAvailable
from .rolling_update import (AT_ONCE, BACKENDS, DRAINED, MANNERS, STOPPED, Outcome, Plan,
                             add_backends, roll)
from .topology import Topology

SUMMARY = "a rolling update of a web service under load: noclash, nftables, IPVS"

HELP = f"""\
A service with three backends, nginx each. All are replaced one after the other, five times
(--quick: twice), while wrk asks over eight connections, each of which lives for a hundred requests,
and six downloads of 4 MB/s are under way, which last longer than the whole update. An operator has

  {DRAINED + ":":<16} {MANNERS[DRAINED].replace("; started", ";" + chr(10) + " " * 19 + "started")}
  {AT_ONCE + ":":<16} {MANNERS[AT_ONCE]}
  {STOPPED + ":":<16} {MANNERS[STOPPED]}

each backend. Counted are requests that failed, by wrk (socket errors, and answers that are none of
2xx or 3xx); downloads that were cut, or whose SHA-256 is not the file's; connections that wrk
opened beside its first ones; SYNs that had to be sent again. The same goes through noclash with two
workers, `noclashctl service drain` and `undrain`; through this kernel's nftables, DNAT to a map by
numgen or jhash, which is replaced; and through this kernel's IPVS, with weights.

"{STOPPED}" has to fail, or the others' zeros mean nothing. What fails when servers are
"{AT_ONCE}" is not the gateway's fault: nginx closes connections that are idle, and a request
may be on its way. A kernel without IPVS is told, and no fault. Needs root.
"""

WORKERS = 2
ROUNDS, ROUNDS_QUICK = 5, 2
ROUND_S = 12  # a download lasts so long for each round
LEAST_REQUESTS = 100


def targets(_build):
    """The targets that ninja has to build."""
    return ["dpdk/noclash", "tools/noclashctl/noclashctl"]


def contestants(build, quick):
    """(balancer, manner), each not started yet."""
    def noclash():
        return NoclashBalancer(Noclash(build, rules=service_text(BACKENDS), workers=WORKERS))

    def kernel(method):
        return NetfilterBalancer(method, BACKENDS)
    found = [(noclash(), DRAINED), (kernel("numgen"), DRAINED), (kernel("jhash"), DRAINED),
             (IpvsBalancer(BACKENDS), DRAINED)]
    if not quick:
        found += [(noclash(), AT_ONCE), (kernel("numgen"), AT_ONCE)]
    return found + [(noclash(), STOPPED)]


def measure(build, options, console):
    """Runs all of it."""
    require_privilege()
    clean_up_after_the_dead()
    rounds = ROUNDS_QUICK if options.quick else ROUNDS
    plan = Plan(rounds, lasting_s=ROUND_S * rounds)
    outcomes = [_run(balancer, plan, manner, console)
                for balancer, manner in contestants(build, options.quick)]
    compare(outcomes, console)
    return report_of(outcomes)


def _run(balancer, plan, manner, console):
    outcome = Outcome(balancer.name, manner, configuration=balancer.configuration)
    with console.step(f"{balancer.name}, {manner}") as step, Lab() as lab:
        try:
            topology = Topology(lab)
            add_backends(topology)
            balancer.start(topology)
            outcome = roll(topology, balancer, plan, manner, step.show)
        except NotAvailable as error:
            outcome.not_run = str(error)
            step.conclude(f"not run: {error}", "yellow")
        except LabError as error:
            outcome.failure = str(error)
            step.conclude(f"failed: {error}", "red")
        else:
            step.conclude(f"{outcome.failed:,} of {outcome.requests:,} requests failed, "
                          f"{len(outcome.cut)} of {outcome.downloads} downloads cut")
    return outcome


def compare(outcomes, console):
    """The contestants side by side."""
    console.say()
    console.table(
        ("backends replaced by", "replaced", "requests", "failed", "downloads", "cut",
         "reconnects", "SYNs again", "seconds"),
        [(f"{one.contestant}, {one.manner}", *(
            (one.replaced, one.requests, one.failed, one.downloads, len(one.cut), one.reconnects,
             one.syns_again, f"{one.seconds:.1f}") if one.ran else ("not run", *("-" * 7))))
         for one in outcomes])


def report_of(outcomes):
    """Rows with targets, and what is wrong."""
    report = Report(details=[{"benchmark": "services"} | one.as_json() for one in outcomes])
    for one in outcomes:
        if one.not_run:
            report.remarks.append(f"{one.contestant}: {one.not_run}")
        else:
            report.rows += _rows(one)
            report.wrong += _wrong(one)
    return report


def _is_ours(outcome):
    return outcome.contestant == Noclash.name


def _rows(outcome):
    title = f"{outcome.contestant}, {outcome.manner}"
    failed, cut = (outcome.failed, len(outcome.cut)) if outcome.ran else (None, None)
    if outcome.manner == STOPPED:
        noticed = failed + cut if outcome.ran else None
        return [Row(f"{title}: failed and cut (the instrument sees it)", noticed, "", 1)]
    target = 0 if _is_ours(outcome) and outcome.manner == DRAINED else None
    return [Row(f"{title}: failed requests", failed, "", target, at_most=True),
            Row(f"{title}: cut downloads", cut, "", target, at_most=True)]


def _wrong(outcome):
    title = f"{outcome.contestant}, {outcome.manner}"
    if outcome.failure:
        return [f"{title}: {outcome.failure}"]
    found = []
    if outcome.requests < LEAST_REQUESTS:
        found.append(f"{title}: only {outcome.requests} requests were answered")
    noticed = outcome.failed + len(outcome.cut)
    if outcome.manner == STOPPED and not noticed:
        found.append(f"{title}: nobody noticed that servers were stopped")
    if outcome.manner == DRAINED and _is_ours(outcome) and noticed:
        found.append(f"{title}: {outcome.failed} requests failed ({outcome.failures}), "
                     f"{len(outcome.cut)} downloads were cut: {'; '.join(outcome.cut)}")
    return found
