# SPDX-License-Identifier: Apache-2.0
"""tools/bench racelab: who loses connections to a tuple clash, live and in models."""

import json
import os
import shlex
import sys
import time

from . import builds
from .bench_report import Report, machine
from .process import run
from .racelab_findings import accounted, finding, percent, rows, wrong
from .racelab_live import run_live
from .racelab_models import contestants_of, run_models
from .racelab_page import write_page
from .racelab_results import (DNS, EXHAUSTION, LIVE, MODEL, PROTOCOLS, SCHEDULES, SERVICE,
                              SERVICE_PAIRS, STORM_CONTESTANTS, Race, schedule_words,
                              source_words)

SUMMARY = "who loses connections to a tuple clash: this kernel, noclash, models of both"

HELP = """\
The race laboratory. The same storms go through each contestant:

  storm        a load balancer opens connections to one NodePort from 16 addresses, two CPUs using
               the same source ports: in step, or each by its own schedule; TCP and UDP
  DNS pairs    resolvers send their A and AAAA query from one socket at the same instant, to a
               service with two backends, one of which is drawn for each connection
  services     the storm in step onto a virtual address with two backends, sources kept and
               translated; DNS pairs to a service of resolvers
  exhaustion   live, connections until all but a few of a destination's ports are in use; in models,
               connections that succeed while 0 to 100 % are

Live, in network namespaces of their own: this kernel's nftables NAT (masquerade, random,
fully-random; DNAT with numgen and jhash) and the noclash daemon with two workers. In process, in virtual
time: models of both (build/bench/racelab/race_models --help), and of other allocators. A receiver
behind the gateway counts what arrives, so a loss is seen and not inferred.

--quick sends 20,000 connections in each storm, not 40,000, leaves out the free-running DNS pairs
and the UDP storm to a service, and shortens the models.

Live runs need root and two CPUs. What cannot run on this machine is listed as not run. Results: a
table, FILE as JSON with every command, and a page with charts that needs no network.
"""

DEFAULT_PAGE = "racelab.html"  # in the build directory


def add_options(parser):
    """Adds the options that this benchmark has besides --quick and --json."""
    parser.add_argument("--html", metavar="FILE",
                        help="the page with charts (default: "
                             f"{DEFAULT_PAGE} in the build directory)")


def check_options(parser, options):
    if options.html and not os.path.isdir(os.path.dirname(os.path.abspath(options.html))):
        parser.error(f"--html: there is no directory for {options.html}")


def programs(build):
    """The programs that take part: name and path; race_models only if this tree has it."""
    listed = json.loads(run(["meson", "introspect", build.directory, "--targets"]).stdout)
    paths = {target["name"]: target["filename"][0] for target in listed
             if target["name"] in ("noclash", "noclashctl", "storm", "race_models")
             and target["type"] == "executable"}
    return paths


def targets(build):
    """The targets that ninja has to build."""
    return sorted(os.path.relpath(path, build.directory) for path in programs(build).values())


def measure(build, options, console):
    """All of it. What is wrong, and what did not run, is in the report."""
    race = Race(live=[], models=None, quick=options.quick, command=command_line(),
                machine=machine() | situation())
    with console.step("models in process") as step:
        race.models = run_models(programs(build).get("race_models"), options.quick, step)
        if race.models.not_run:
            step.conclude(f"not run: {race.models.not_run}", "yellow")
    race.live = run_live(build, options.quick, console)
    compare(race, console)
    report = Report(rows=rows(race), wrong=wrong(race), details=details(race))
    report.remarks += [words for words in (finding(race), accounted(race)) if words]
    report.remarks += [f"not run: {what}: {why}" for what, why in race.not_run()]
    page = options.html or os.path.join(build.directory, DEFAULT_PAGE)
    write_page(race, page)
    report.remarks.append(f"The page: {page}")
    return report


def command_line():
    """The command line as it was typed."""
    program = os.environ.get("RACELAB_COMMAND", "tools/bench racelab")
    return f"{program} {shlex.join(word for word in sys.argv[1:] if word != 'racelab')}".strip()


def situation():
    """When, of which tree, and what else the machine was doing."""
    commit = run(["git", "describe", "--always", "--dirty"], check=False, cwd=builds.ROOT)
    return {"date": time.strftime("%Y-%m-%d %H:%M %Z"),
            "noclash": commit.stdout.strip() or "unknown",
            "load_average_before": round(os.getloadavg()[0], 2)}


def details(race):
    """All of it as JSON objects."""
    found = [{"benchmark": "racelab", "finding": finding(race), "command": race.command,
              "quick": race.quick, "models_command": race.models.command,
              "models_seed": race.models.seed, **race.machine}]
    found += [{"benchmark": "racelab"} | outcome.as_json()
              for outcome in [*race.live, *race.models.outcomes]]
    found += [{"benchmark": "racelab", "sweep": True} | outcome.as_json()
              for outcome in race.models.sweeps]
    found += [{"benchmark": "racelab", "scenario": EXHAUSTION, "origin": MODEL} | point.as_json()
              for point in race.models.exhaustion]
    return found


def compare(race, console):
    """The contestants side by side."""
    console.say()
    columns = [(protocol, schedule) for schedule in SCHEDULES for protocol in PROTOCOLS]
    header = [f"{protocol.upper()} {schedule_words(schedule)}" for protocol, schedule in columns]
    console.table(("lost in the storm", *header),
                  [(f"{contestant}, {origin}",
                    *(lost_words(race.find(origin, contestant, protocol=protocol,
                                           schedule=schedule)) for protocol, schedule in columns))
                   for contestant in STORM_CONTESTANTS for origin in (LIVE, MODEL)])
    console.say()
    console.table(("DNS pairs", "queries lost", "pairs split"),
                  [(f"{outcome.contestant}, {outcome.origin}, {schedule_words(outcome.schedule)}"
                    f"{', to a service' if outcome.scenario == SERVICE_PAIRS else ''}",
                    lost_words(outcome),
                    f"{outcome.split_pairs:,} of {outcome.pairs:,}" if outcome.ran else "-")
                   for outcome in [*race.outcomes(DNS), *race.outcomes(SERVICE_PAIRS)]])
    console.say()
    console.table(("storm to a service", "lost", "duplicated", "wrong source"),
                  [(f"{outcome.contestant}, {outcome.protocol.upper()}, "
                    f"{source_words(outcome.source)}", lost_words(outcome),
                    *((outcome.duplicated, outcome.wrong_sources) if outcome.ran else "--"))
                   for outcome in race.outcomes(SERVICE)])
    console.say()
    console.table(("all but a few ports", "connections", "lost"),
                  [(f"{outcome.contestant}, {outcome.origin}", outcome.sent if outcome.ran else "-",
                    lost_words(outcome)) for outcome in race.outcomes(EXHAUSTION)])
    points = race.models.exhaustion
    if not points:
        return
    console.say()
    shares = {(point.contestant, point.occupancy_percent): point.share for point in points}
    levels = sorted({point.occupancy_percent for point in points})
    console.table(("succeed at occupancy", *(f"{level:g} %" for level in levels)),
                  [(name, *(f"{100 * shares[name, level]:.1f} %" if (name, level) in shares else "-"
                            for level in levels)) for name in contestants_of(points)])


def lost_words(outcome):
    """`5,229 (26.1 %)`."""
    if outcome is None or not outcome.ran:
        return "not run"
    return f"{outcome.lost:,} ({percent(outcome.share_lost)})" if outcome.lost else "0"
