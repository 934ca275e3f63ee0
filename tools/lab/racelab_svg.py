# SPDX-License-Identifier: Apache-2.0
"""Drawing in SVG: shapes, scales, and labels that do not cover one another.

Drawings are 360 units wide and shown at about that many pixels, so that their text stays readable
on a phone; a page puts several beside one another where there is room. Colours are classes, which
the page's style fills in for light and dark.
"""

import itertools
import math
from html import escape

WIDTH = 360
LEAST_SHARE = 1e-5  # of the logarithmic scale; what is below but not 0 stands there, too
DECADES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1)

_numbers = itertools.count(1)


def drawing(title, description, height, parts):
    """An SVG that says what it shows to those who do not see it."""
    number = next(_numbers)
    return (f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
            f'aria-labelledby="drawing-{number}-title drawing-{number}-text">'
            f'<title id="drawing-{number}-title">{escape(title)}</title>'
            f'<desc id="drawing-{number}-text">{escape(description)}</desc>'
            f'{"".join(parts)}</svg>')


def text(x, y, words, *, anchor="start", classes=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{classes}">'
            f'{escape(words)}</text>')


def line(x1, y1, x2, y2, classes="grid"):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'class="{classes}"/>')


def rectangle(x, y, width, height, classes):
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0, width):.1f}" height="{height:.1f}" '
            f'class="{classes}"/>')


def circle(x, y, radius, classes):
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{classes}"/>'


def path(points, classes):
    return (f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" '
            f'class="line {classes}"/>')


def marker(shape, x, y, classes):
    """One of SHAPES, so that series differ by more than their colour."""
    if shape == "square":
        return rectangle(x - 3.5, y - 3.5, 7, 7, classes)
    if shape == "diamond":
        return f'<path d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z" class="{classes}"/>'
    if shape == "triangle":
        return f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z" class="{classes}"/>'
    return circle(x, y, 4, classes)


class ShareScale:
    """Shares of 0 to 1, logarithmic; `none` has a place of its own, apart from all others."""

    def __init__(self, none, least, most):
        """The coordinates of 0, of LEAST_SHARE, and of 1."""
        self._none, self._least, self._most = none, least, most

    def __call__(self, share):
        if share <= 0:
            return self._none
        part = 1 - math.log10(min(1, max(LEAST_SHARE, share))) / math.log10(LEAST_SHARE)
        return self._least + part * (self._most - self._least)

    def ticks(self):
        """(coordinate, label), `none` first."""
        return [(self._none, "none")] + [(self(share), f"{100 * share:g} %") for share in DECADES]


class ValueScale:
    """Parameter values, logarithmic; 0 stands apart when it is among them."""

    def __init__(self, values, start, end):
        self._has_zero = 0 in values
        above = [value for value in values if value > 0] or [1]
        self._low, self._high = math.log(min(above)), math.log(max(above))
        self._zero, self._end = start, end
        self._start = start + (30 if self._has_zero else 0)

    def __call__(self, value):
        if value <= 0:
            return self._zero
        if self._high == self._low:
            return (self._start + self._end) / 2
        part = (math.log(value) - self._low) / (self._high - self._low)
        return self._start + part * (self._end - self._start)


def apart(positions, gap, low, high):
    """Moves positions so that neighbours are at least `gap` apart, within low to high, and as near
    to where they were as this simple way allows. The order of `positions` is kept."""
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    moved = list(positions)
    for before, index in zip([None] + order, order):
        moved[index] = max(moved[index], low if before is None else moved[before] + gap)
    for after, index in zip([None] + order[::-1], order[::-1]):
        moved[index] = min(moved[index], high if after is None else moved[after] - gap)
    return moved
