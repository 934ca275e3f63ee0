# SPDX-License-Identifier: Apache-2.0
"""Charts with lines: shares against a parameter."""

from dataclasses import dataclass, field

from .racelab_charts import look
from .racelab_findings import percent
from .racelab_models import contestants_of
from .racelab_results import short_name
from .racelab_svg import ShareScale, ValueScale, apart, circle, drawing, line, marker, path, text

LABEL_GAP = 14


@dataclass
class Series:
    """A line of a chart."""

    contestant: str
    points: list  # (x value, share)
    label: str = ""


@dataclass
class Axis:
    """The axis to the right: its values in order, their labels, and what they are."""

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
