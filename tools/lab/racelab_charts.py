# SPDX-License-Identifier: Apache-2.0
"""The charts of the race laboratory's page."""

from dataclasses import dataclass, field

from .racelab_findings import fault_words, percent
from .racelab_models import contestants_of
from .racelab_results import (DNS, LIVE, MODEL, STORM_CONTESTANTS, schedule_words, short_name)
from .racelab_svg import (WIDTH, ShareScale, ValueScale, apart, circle, drawing, line, marker, path,
                          rectangle, text)

# Class of its colour, and shape: contestants keep them throughout the page.
LOOKS = {"noclash": ("noclash", "circle"),
         "netfilter-masquerade": ("first", "square"), "netfilter": ("first", "square"),
         "netfilter-random": ("second", "triangle"), "10-try": ("second", "triangle"),
         "netfilter-fully-random": ("third", "diamond"), "worker-slices": ("third", "diamond")}
ROW_HEIGHT = 46
LABEL_GAP = 14


def look(contestant):
    return LOOKS.get(contestant, ("first", "square"))


def storm_chart(race, protocol, schedule):
    """Each contestant's share of lost connections, live and in the model."""
    return _lost_chart(
        f"Connections lost in the {protocol.upper()} storm {schedule_words(schedule)}",
        {contestant: {origin: race.find(origin, contestant, protocol=protocol, schedule=schedule)
                      for origin in (LIVE, MODEL)} for contestant in STORM_CONTESTANTS})


def crowd_chart(outcomes):
    """The same of live runs towards one destination until few of its ports are left."""
    return _lost_chart("Connections lost while a destination's ports run out",
                       {outcome.contestant: {LIVE: outcome} for outcome in outcomes})


def _lost_chart(title, contestants):
    """@param contestants  {contestant: {origin: outcome or None}}"""
    scale = ShareScale(18, 60, 340)
    bottom = 8 + ROW_HEIGHT * len(contestants)
    parts = []
    for x, label in scale.ticks():
        parts += [line(x, 4, x, bottom), text(x, bottom + 16, label, anchor="middle",
                                              classes="tick")]
    said = []
    for index, (contestant, outcomes) in enumerate(contestants.items()):
        parts += _lost_row(contestant, outcomes, scale, 8 + ROW_HEIGHT * index)
        said += [f"{contestant} {origin}: {_lost_words(outcome)}"
                 for origin, outcome in outcomes.items()]
    return drawing(title, "; ".join(said), bottom + 24, parts)


def _lost_row(contestant, outcomes, scale, top):
    colour, _ = look(contestant)
    y = top + 30
    parts = [rectangle(0, top - 1, WIDTH, 20, "band"),
             text(2, top + 13, contestant, classes=f"name {colour}")]
    words = [f"{dot} {_short_lost(outcomes[origin])}"
             for origin, dot in ((LIVE, "●"), (MODEL, "○")) if origin in outcomes]
    parts.append(text(WIDTH - 2, top + 13, "   ".join(words), anchor="end", classes="value"))
    places = [scale(outcome.share_lost) for outcome in outcomes.values()
              if outcome and outcome.ran]
    if places:
        parts.append(line(min(places), y, max(places), y, f"span {colour}"))
    for origin, radius, kind in ((MODEL, 7, "hollow"), (LIVE, 4.5, "solid")):
        outcome = outcomes.get(origin)
        if outcome and outcome.ran:
            parts.append(circle(scale(outcome.share_lost), y, radius, f"{kind} {colour}"))
    return parts


@dataclass
class Series:
    """A line of a chart."""

    contestant: str
    points: list  # (x value, share)
    label: str = ""


@dataclass
class Axis:
    """What runs to the right: its values in order, their labels, and what they are."""

    values: list
    labels: list
    name: str
    ordinal: bool = False  # each value has the same room, whatever it is
    marks: list = field(default_factory=list)  # (value, share, label): single measurements


def sweep_chart(title, series, axis):
    """Shares lost, logarithmic, against a parameter."""
    scale = ShareScale(196, 172, 14)
    return _line_chart(title, series, axis, scale, scale.ticks(), "lost")


def success_chart(title, series, axis):
    """Shares that succeed, 0 to 100 %."""
    def scale(share):
        return 196 - 182 * share
    ticks = [(scale(part / 4), f"{25 * part} %") for part in range(5)]
    return _line_chart(title, series, axis, scale, ticks, "succeed")


def _line_chart(title, series, axis, scale, ticks, verb):
    left, right, bottom = 50, 260, 208
    place = ValueScale(axis.values, left + 6, right - 6)
    if axis.ordinal:
        step = (right - left - 12) / max(1, len(axis.values) - 1)
        places = {value: left + 6 + step * index for index, value in enumerate(axis.values)}
        place = places.__getitem__
    parts = [part for y, label in ticks
             for part in (line(left, y, right, y), text(left - 6, y + 4, label, anchor="end",
                                                        classes="tick"))]
    parts += _ticks_below(axis, place, left, bottom)
    parts.append(text((left + right) / 2, bottom + 36, axis.name, anchor="middle", classes="axis"))
    parts += [line(place(value), 10, place(value), bottom, "mark") for value, *_ in axis.marks]
    ends = apart([scale(one.points[-1][1]) + 4 for one in series], LABEL_GAP, 12, bottom)
    said = []
    for one, end in zip(series, ends):
        colour, shape = look(one.contestant)
        points = [(place(value), scale(share)) for value, share in one.points]
        parts.append(path(points, colour))
        parts += [marker(shape, x, y, f"solid {colour}") for x, y in points]
        parts.append(text(right + 8, end, one.label or short_name(one.contestant),
                          classes=f"name {colour}"))
        said.append(f"{one.contestant}: " + ", ".join(
            f"{label} {percent(share)}" for label, (_, share) in
            zip(_labels_of(axis, one), one.points)))
    for value, share, label in axis.marks:
        parts += [circle(place(value), scale(share), 7.5, "hollow ink"),
                  text(place(value) + 6, scale(share) + 21, label, classes="value halo")]
    return drawing(title, f"{verb}, by {axis.name}. " + "; ".join(said), bottom + 44, parts)


def _labels_of(axis, series):
    labels = dict(zip(axis.values, axis.labels))
    return [labels[value] for value, _ in series.points]


def _ticks_below(axis, place, left, bottom):
    """Labels that would cover one another are left out."""
    parts, free_from = [], left - 20
    for value, label in zip(axis.values, axis.labels):
        x, half = place(value), 3 * len(label) + 2
        parts.append(line(x, bottom, x, bottom + 4, "axis-tick"))
        if x - half >= free_from:
            parts.append(text(x, bottom + 17, label, anchor="middle", classes="tick"))
            free_from = x + half
    return parts


def pairs_chart(outcomes):
    """What became of the pairs of queries: answered by one backend, split, or half lost."""
    parts, said = [], []
    bar = WIDTH - 4
    for index, outcome in enumerate(outcomes):
        top = 4 + ROW_HEIGHT * index
        name = f"{outcome.contestant}, {outcome.origin}" + (
            "" if outcome.schedule == "in-step" else f", {schedule_words(outcome.schedule)}")
        parts.append(text(2, top + 12, name, classes=f"name {look(outcome.contestant)[0]}"))
        if not outcome.ran:
            parts.append(text(WIDTH - 2, top + 12, "not run", anchor="end", classes="value"))
            said.append(f"{name}: not run")
            continue
        whole, split, lost = pair_shares(outcome)
        words = f"{percent(split)} split, {outcome.lost:,} lost"
        parts.append(text(WIDTH - 2, top + 12, words, anchor="end", classes="value"))
        x = 2.0
        for share, classes in ((whole, "together"), (split, "split"), (lost, "gone")):
            parts.append(rectangle(x, top + 19, bar * share, 16, classes))
            x += bar * share
        said.append(f"{name}: {words}")
    title = "What became of pairs of DNS queries"
    return drawing(title, "; ".join(said), 6 + ROW_HEIGHT * len(outcomes), parts)


def pair_shares(outcome):
    """Shares of the pairs: both at one backend, at two, and one query (at least) lost."""
    pairs = max(1, outcome.pairs)
    split = outcome.split_pairs / pairs
    lost = min(outcome.lost / pairs, 1 - split)
    return 1 - split - lost, split, lost


def exhaustion_chart(points):
    """Connections that succeed against how crowded their destination is, while a port is free."""
    points = [point for point in points if point.occupancy_percent < 100]
    levels = sorted({point.occupancy_percent for point in points})
    axis = Axis(levels, [f"{level:g}" for level in levels],
                "% of the destination's ports in use (not to scale)", ordinal=True)
    series = [Series(name, [(point.occupancy_percent, point.share) for point in
                            sorted(points, key=lambda one: one.occupancy_percent)
                            if point.contestant == name], name)
              for name in contestants_of(points)]
    return success_chart("Connections that succeed", series, axis)


def _short_lost(outcome):
    if outcome is None or not outcome.ran:
        return "not run"
    return percent(outcome.share_lost)


def _lost_words(outcome):
    if outcome is None or not outcome.ran:
        return "not run"
    return f"{outcome.lost:,} of {outcome.sent:,} lost ({fault_words(outcome)})"


def dns_outcomes(race):
    """Models first, older kernels leading; noclash last."""
    return sorted(race.outcomes(DNS),
                  key=lambda one: (one.contestant == "noclash", one.origin == LIVE))
