# SPDX-License-Identifier: Apache-2.0
"""The race laboratory's page: one file, nothing fetched, opening with the finding."""

from .process import LabError
from .racelab_charts import (Axis, Series, crowd_chart, dns_outcomes, exhaustion_chart,
                             pairs_chart, storm_chart, sweep_chart)
from .racelab_findings import accounted, finding, percent, times_apart, wrong
from .racelab_html import (Link, bullets, command, facts, fold, keys, panel, panels, paragraph,
                           phrase, preformatted, section, table)
from .racelab_models import contestants_of, sweep
from .racelab_results import (EXHAUSTION, LIVE, MASQUERADE, MODEL, PROTOCOLS, SCHEDULES, STORM,
                              STORM_CONTESTANTS, schedule_words)
from .racelab_style import STYLE

MODELS_PLACE = "models"


def write_page(race, name):
    """@throws LabError when the file cannot be written"""
    try:
        with open(name, "w", encoding="utf-8") as handle:
            handle.write(page(race))
    except OSError as error:
        raise LabError(f"cannot write {name}: {error.strerror}") from error


def page(race):
    """The whole of it."""
    parts = [_storms(race), _sweeps(race), _pairs(race), _exhaustion(race), _not_run(race),
             _how(race)]
    return ('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            "<title>noclash: the race laboratory</title>\n"
            f"<style>{STYLE}</style>\n</head>\n<body>\n{_head(race)}<main>\n{''.join(parts)}"
            "</main>\n<footer>Made by noclash's race laboratory; docs/racelab.md tells how it "
            "measures.</footer>\n</body>\n</html>\n")


def _head(race):
    machine = race.machine
    known = (("Kernel", f"Linux {machine['kernel']}" if "kernel" in machine else ""),
             ("Machine", machine.get("cpu", "")),
             ("CPUs, memory", f"{machine['cpus']}, {machine['memory_gib']} GiB"
              if "cpus" in machine else ""),
             ("Load before the run", machine.get("load_average_before", "")),
             ("noclash", machine.get("noclash", "")),
             ("Date", machine.get("date", "")))
    faults = wrong(race)
    bad = f'<div class="wrong"><h2>Wrong</h2>{bullets(*faults)}</div>' if faults else ""
    return ('<header><p class="eyebrow">noclash · the race laboratory</p>\n'
            f"<h1>{phrase(finding(race))}</h1>\n"
            f"{facts([(name, value) for name, value in known if value != ''])}{bad}</header>\n")


def _storms(race):
    charts = [panel(f"{protocol.upper()}, {schedule_words(schedule)}",
                    storm_chart(race, protocol, schedule))
              for schedule in SCHEDULES for protocol in PROTOCOLS]
    rows = [_storm_line(race, outcome) for schedule in SCHEDULES for protocol in PROTOCOLS
            for contestant in STORM_CONTESTANTS for outcome in race.outcomes(STORM)
            if (outcome.protocol, outcome.schedule, outcome.contestant) ==
            (protocol, schedule, contestant)]
    header = ("contestant", "where", "storm", "lost", "share lost", "sent", "duplicated",
              "insert_failed", "clash_resolve", "command")
    return section(
        "A load balancer's storm",
        paragraph("Connections to one NodePort from 16 addresses. Two CPUs use the same source "
                  "ports: in step, at the same instant, or each by its own schedule. Two "
                  "connections clash when their gateway gives both the same translated tuple "
                  "before either is entered in its table."),
        paragraph("● live: measured on this machine   ○ the model in process. The scale is "
                  "logarithmic; “none” stands apart.", "legend"),
        panels(*charts, classes="panels two"),
        paragraph(accounted(race)), paragraph(_apart(race)),
        fold(f"The figures ({len(rows)} rows)", table(header, rows)))


def _apart(race):
    known = [f"{times:.2f} times ({protocol.upper()})" for protocol in PROTOCOLS
             if (times := times_apart(race, protocol))]
    return f"In step, the model and the live kernel's masquerade are {' and '.join(known)} apart." \
        if known else ""


def _storm_line(race, outcome):
    name = (outcome.contestant, outcome.origin,
            f"{outcome.protocol.upper()} {schedule_words(outcome.schedule)}")
    if not outcome.ran:
        return (*name, "not run", *("–" * 5), _command_link(race, outcome))
    return (*name, outcome.lost, percent(outcome.share_lost), outcome.sent, outcome.duplicated,
            outcome.insert_failed, outcome.clash_resolved, _command_link(race, outcome))


def _sweeps(race):
    if not race.models.sweeps:
        return ""
    kinds = (("Distance", "distance_ns", "between choosing and confirming", time_words),
             ("Threads", "threads", "threads that open connections", str),
             ("Load", "rate_cps", "connections a second", count_words))
    charts, tables = [], []
    for title, parameter, name, words in kinds:
        lines = {one: sweep(race.models, one, parameter) for one in STORM_CONTESTANTS}
        lines = {one: found for one, found in lines.items() if len(found) > 1}
        if not lines:
            continue
        values = sorted({getattr(storm, parameter) for found in lines.values() for storm in found})
        axis = Axis(values, [words(value) for value in values], name)
        series = [Series(one, [(getattr(storm, parameter), storm.share_lost) for storm in found])
                  for one, found in lines.items()]
        axis.marks = _live_marks(race, parameter)
        charts.append(panel(title, sweep_chart(f"Share lost against {title.lower()}", series,
                                               axis)))
        tables.append(table(
            (name, *lines),
            [(words(value), *(_share_at(found, parameter, value) for found in lines.values()))
             for value in values],
            caption=f"Share lost: {title.lower()}"))
    return section(
        "What the loss depends on: the model",
        paragraph("The TCP storm in step, one parameter changed at a time. The distance is the "
                  "time between the choice of a tuple and its entry in the table: without it "
                  "nothing can clash. The ring is what the live kernel lost, at the parameters "
                  f"that the model shares with it{_centre_words(race)}."),
        panels(*charts), fold("The figures", *tables, paragraph(
            "All from one command; it stands under “How to run it again”.")))


def _centre_words(race):
    one = race.find(MODEL, MASQUERADE)
    return (f": {one.threads} threads, {time_words(one.distance_ns)}, {one.rate_cps:,} "
            "connections a second") if one else ""


def _live_marks(race, parameter):
    live = race.find(LIVE, MASQUERADE)
    model = race.find(MODEL, MASQUERADE)
    if not live or not live.ran or not model:
        return []
    return [(getattr(model, parameter), live.share_lost, f"live {percent(live.share_lost)}")]


def _share_at(storms, parameter, value):
    shares = [storm.share_lost for storm in storms if getattr(storm, parameter) == value]
    return percent(shares[0]) if shares else "–"


def _pairs(race):
    outcomes = dns_outcomes(race)
    header = ("contestant", "where", "queries lost", "pairs split", "queries", "pairs",
              "schedule", "duplicated", "insert_failed", "clash_resolve", "command")
    rows = [_pairs_line(race, one) for one in outcomes]
    legend = keys(("together", "both queries at one backend"), ("split", "at two backends"),
                  ("gone", "a query lost"))
    return section(
        "A resolver's two queries",
        paragraph("A and AAAA leave one socket at the same instant, so both have the same original "
                  "tuple; one of two backends is drawn for each new connection. They are one "
                  "connection: both should arrive, at one backend. Kernels since 5.6 keep the "
                  "second entry for a second instead of dropping its packet, but it may stand for "
                  "another backend."),
        legend, panels(f"<figure>{pairs_chart(outcomes)}</figure>") if outcomes else "",
        table(header, rows))


def _pairs_line(race, one):
    if not one.ran:
        return (one.contestant, one.origin, "not run", *("–" * 3), schedule_words(one.schedule),
                *("–" * 3), _command_link(race, one))
    return (one.contestant, one.origin, one.lost, one.split_pairs, one.sent, one.pairs,
            schedule_words(one.schedule), one.duplicated, one.insert_failed, one.clash_resolved,
            _command_link(race, one))


def _exhaustion(race):
    crowd, points = race.outcomes(EXHAUSTION), race.models.exhaustion
    if not crowd and not points:
        return ""
    charts, tables = [], []
    if crowd:
        charts.append(panel("Lost until all but a few ports are in use, live", crowd_chart(crowd)))
        header = ("contestant", "where", "lost", "share lost", "sent", "duplicated",
                  "insert_failed", "command")
        tables.append(table(header, [_crowd_line(race, one) for one in crowd],
                            caption="Connections to one destination, which has 64,512 ports"))
    if points:
        charts.append(panel("Connections that succeed, models", exhaustion_chart(points)))
        tables += _exhaustion_tables(points)
    return section(
        "When ports run out",
        paragraph("One outside address has 64,512 ports towards one destination. An allocator that "
                  "gives up early, or that splits the range between workers, refuses connections "
                  "while ports are free. At 100 % there is none to be found, whoever searches."),
        panels(*charts, classes="panels two"), *tables)


def _crowd_line(race, one):
    if not one.ran:
        return (one.contestant, one.origin, "not run", *("–" * 4), _command_link(race, one))
    return (one.contestant, one.origin, one.lost, percent(one.share_lost), one.sent,
            one.duplicated, one.insert_failed, _command_link(race, one))


def _exhaustion_tables(points):
    found = {(point.contestant, point.occupancy_percent): point for point in points}
    levels = sorted({point.occupancy_percent for point in points})

    def rows(words):
        return [(name, *(words(found[name, level]) if (name, level) in found else "–"
                         for level in levels)) for name in contestants_of(points)]
    header = ("contestant", *(f"{level:g} % in use" for level in levels))
    return [table(header, rows(lambda point: percent(point.share)),
                  caption="Share of connections that find a port, models"),
            fold("Tries", table(header, rows(lambda point: f"{point.tries_mean:.1f}"),
                                caption="Ports tried for a connection, mean"))]


def _not_run(race):
    missing = race.not_run()
    if not missing:
        return section("Not run", paragraph("Nothing: every contestant ran on this machine."))
    return section("Not run", bullets(*(f"{what}: {why}" for what, why in missing)))


def _how(race):
    parts = [paragraph("Everything on this page:"), command(race.command)]
    if race.models.command:
        parts += [f'<div id="{MODELS_PLACE}">', paragraph(
            f"All models (seed {race.models.seed}; a seed reproduces a run):"),
            command(race.models.command), "</div>"]
    parts.append(paragraph("Each live run, in network namespaces made for it: what captured at the "
                           "pod, what sent from the load balancer, and the gateway between them."))
    for outcome in race.live:
        title = f"{outcome.words}: {outcome.contestant}"
        parts.append(fold(
            title if outcome.ran else f"{title} (not run)",
            *map(command, outcome.commands),
            preformatted(outcome.configuration) if outcome.configuration else "",
            paragraph("The gateway counted: " + ", ".join(
                f"{name} {value:,}" for name, value in outcome.counters.items()))
            if outcome.counters else "", place=_place(race, outcome)))
    return section("How to run it again", *parts)


def _place(race, outcome):
    return f"run-{race.live.index(outcome) + 1}"


def _command_link(race, outcome):
    if outcome.origin == LIVE:
        return Link(_place(race, outcome).replace("-", " "), _place(race, outcome))
    return Link("models", MODELS_PLACE)


def time_words(nanoseconds):
    """`100 ns`, `2 µs`."""
    if nanoseconds < 1000:
        return f"{nanoseconds:g} ns" if nanoseconds else "0"
    return f"{nanoseconds / 1000:g} µs"


def count_words(count):
    """`500`, `10 k`, `1 M`."""
    for size, word in ((1_000_000, " M"), (1000, " k")):
        if count >= size:
            return f"{count / size:g}{word}"
    return f"{count:g}"
