# SPDX-License-Identifier: Apache-2.0
"""The sections of the race laboratory's page: what each scenario is, its charts, its figures."""

from .racelab_charts import dns_outcomes, live_chart, pairs_chart, storm_chart
from .racelab_findings import accounted, percent, times_apart
from .racelab_html import Link, fold, keys, panel, panels, paragraph, section, table
from .racelab_lines import Axis, Series, exhaustion_chart, sweep_chart
from .racelab_models import contestants_of, sweep
from .racelab_results import (EXHAUSTION, KEEP, LIVE, MASQUERADE, MODEL, PROTOCOLS, SCHEDULES,
                              SERVICE, SERVICE_PAIRS, STORM, STORM_CONTESTANTS, TRANSLATE,
                              schedule_words, source_words)

MODELS_PLACE = "models"  # where the page tells the models' command


def storms(race):
    """A load balancer's storm, live and in models."""
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


def sweeps(race):
    """The models' storm with other parameters; empty when they did not run."""
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


def pairs(race):
    """The resolver's."""
    return section(
        "A resolver's two queries",
        paragraph("A and AAAA leave one socket at the same instant, so both have the same original "
                  "tuple; one of two backends is drawn for each new connection. They are one "
                  "connection: both should arrive, at one backend. Kernels since 5.6 keep the "
                  "second entry for a second instead of dropping its packet, but it may stand for "
                  "another backend."), *_pairs_figures(race, dns_outcomes(race)))


def _pairs_figures(race, outcomes):
    """Legend, chart and table."""
    header = ("contestant", "where", "queries lost", "pairs split", "queries", "pairs",
              "schedule", "duplicated", "insert_failed", "clash_resolve", "command")
    legend = keys(("together", "both queries at one backend"), ("split", "at two backends"),
                  ("gone", "a query lost"))
    return (legend, panels(f"<figure>{pairs_chart(outcomes)}</figure>") if outcomes else "",
            table(header, [_pairs_line(race, one) for one in outcomes]))


def _pairs_line(race, one):
    if not one.ran:
        return (one.contestant, one.origin, "not run", *("–" * 3), schedule_words(one.schedule),
                *("–" * 3), _command_link(race, one))
    return (one.contestant, one.origin, one.lost, one.split_pairs, one.sent, one.pairs,
            schedule_words(one.schedule), one.duplicated, one.insert_failed, one.clash_resolved,
            _command_link(race, one))


def services(race):
    """Services with two backends, live; empty when none was tried."""
    storms_to, pairs_to = race.outcomes(SERVICE), dns_outcomes(race, SERVICE_PAIRS)
    if not storms_to and not pairs_to:
        return ""
    charts = []
    for protocol in PROTOCOLS:
        for source in (KEEP, TRANSLATE):
            chosen = [one for one in storms_to if (one.protocol, one.source) == (protocol, source)]
            title = f"{protocol.upper()}, {source_words(source)}"
            if chosen:
                charts.append(panel(title, live_chart(
                    f"Connections lost in the storm to a service: {title}", chosen)))
    header = ("contestant", "storm", "sources", "lost", "duplicated", "sent",
              "source is the client's", "insert_failed", "command")
    return section(
        "Services",
        paragraph("The storm in step onto a virtual address with two backends. Where sources are "
                  "kept, each backend has to see the address and port that the client has; where "
                  "they are translated, never. netfilter draws a backend by numgen random."),
        panels(*charts, classes="panels two"),
        table(header, [_service_line(race, one) for one in storms_to]),
        paragraph("Pairs of queries from one socket, to a service of resolvers, whose sources are "
                  "kept. netfilter picks the backend by numgen random, or by jhash of the client's "
                  "address and port; noclash by its Maglev table."),
        *_pairs_figures(race, pairs_to))


def _service_line(race, one):
    name = (one.contestant, f"{one.protocol.upper()} {schedule_words(one.schedule)}",
            source_words(one.source).removeprefix("sources "))
    if not one.ran:
        return (*name, "not run", *("–" * 4), _command_link(race, one))
    return (*name, one.lost, one.duplicated, one.sent, one.delivered - one.changed_sources,
            one.insert_failed, _command_link(race, one))


def exhaustion(race):
    """Live runs towards one destination, and models at each occupancy."""
    crowd, points = race.outcomes(EXHAUSTION), race.models.exhaustion
    if not crowd and not points:
        return ""
    charts, tables = [], []
    if crowd:
        charts.append(panel("Lost until all but a few ports are in use, live", live_chart(
            "Connections lost while a destination's ports run out", crowd)))
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


def place_of(race, outcome):
    """Where the page tells how a live run was made."""
    return f"run-{race.live.index(outcome) + 1}"


def _command_link(race, outcome):
    if outcome.origin == LIVE:
        return Link(place_of(race, outcome).replace("-", " "), place_of(race, outcome))
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
